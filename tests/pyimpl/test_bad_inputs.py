"""Bad inputs: a fit, a documented warning, or one of our errors, never anything else; and R's yes and no are ours."""

import re
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import build_design
from pyimpl.errors import DataError, FormulaError, ModelError, PyimplError, PyimplWarning
from pyimpl.likelihood.starts import natural_units
from pyimpl.models.lm import lm
from pyimpl.models.lmer import LmerFit, lmer
from r_scripts.dialect import Dialect
from tests.pyimpl.bad_inputs import bad_arguments, bad_formula, bad_frame, picker
from tests.pyimpl.designs import design_from
from tests.pyimpl.model_oracle import RCrashError, ask_r

#: What we refuse and R accepts, on purpose (docs/agreement.md): R's fit is then no fit.
STRICTER = [
    "Response is constant",
    "weights has .* of 0",
    "beyond double precision",
    "'.' together with",
    "Unknown contrasts",  # R does not look at the contrasts of a factor that is coded in full
    "fixed effects for .* rows",
    "numbers and strings have no order",  # R turns the numbers into strings
    "criterion cannot be computed|profiled deviance cannot be computed",
]
#: Where R's arithmetic or optimizer gives up.
R_GIVES_UP = [
    "Downdated VtV is not positive definite",
    "objective in x0 returns NA",
    "missing value where TRUE/FALSE needed",
    "R crashed",
    "elapsed time limit",
]


def outcome(formula: str, frame: pd.DataFrame, arguments: dict[str, Any]) -> tuple[LmerFit | None, str]:
    """The fit, or the text of our error; anything else passes through."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PyimplWarning)
        try:
            return lmer(formula, frame, **arguments), ""
        except PyimplError as error:
            return None, str(error)


def of_bad_inputs(examples: int, check: Callable[[str, pd.DataFrame, dict[str, Any]], bool]) -> Counter[bool]:
    """How many of the bad inputs pass a check, and how many do not: a program that refuses all is none that passes."""
    found: Counter[bool] = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data):
        def pick(options):
            return data.draw(st.sampled_from(options))

        frame = bad_frame(picker(np.random.default_rng(pick(range(2000)))))
        found[check(bad_formula(pick), frame, bad_arguments(pick, len(frame)))] += 1

    run()
    return found


def test_lmer_fits_or_refuses():
    def fitted(formula, frame, arguments):
        fit, said = outcome(formula, frame, arguments)
        if fit is None:
            assert len(said) > 10
            return False
        assert np.isfinite(fit.fixef()).all()
        assert fit.sigma() >= 0
        str(fit.summary())
        return True

    found = of_bad_inputs(200, fitted)
    assert min(found[True], found[False]) > 20, found


def test_stan_lmer_s_design_is_built_or_refused():
    from pyimpl.posterior.priors import Priors
    from pyimpl.posterior.specification import specify

    def built(formula, frame, arguments):
        arguments.pop("REML")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", PyimplWarning)
            try:
                spec = specify(design_from(formula, frame, checks=STAN_LMER_CHECKS, **arguments), Priors())
            except PyimplError:
                return False
        assert np.isfinite(spec.x).all()
        assert spec.y.shape == (spec.design.N,)
        return True

    found = of_bad_inputs(100, built)
    assert min(found[True], found[False]) > 10, found


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON takes them."""
    out = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            out[name] = [None if np.isnan(v) else "Inf" if np.isinf(v) else float(v) for v in value]
    return out


def ask(frames: list[pd.DataFrame], cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """R's answers; where a case makes R crash (lme4 does on some infinite numbers), that is the answer."""
    try:
        answers, numbers = ask_r(frames, cases)
    except RCrashError as crash:
        before, after = cases[: crash.case], cases[crash.case + 1 :]
        return [
            *(ask(frames, before) if before else []),
            {"error": "R crashed"},
            *(ask(frames, after) if after else []),
        ]
    for answer in answers:
        if "criterion" in answer:
            answer["criterion"] = float(numbers(answer["criterion"])[0, 0])
    return answers


def judge(fit: LmerFit | None, said: str, answer: dict[str, Any]) -> str:
    """``"both fit"``, ``"both refuse"``, ``"documented"``, or what is wrong."""
    if fit is None:
        if "error" in answer:
            return "both refuse"
        return "documented" if any(re.search(text, said) for text in STRICTER) else f"we alone refuse: {said}"
    if "error" in answer:
        known = any(text in answer["error"] for text in R_GIVES_UP)
        return "documented" if known else f"R alone refuses: {answer['error']}"
    if fit.nobs() != answer["nobs"]:
        return f"{fit.nobs()} rows used, R uses {answer['nobs']}"
    if list(fit.fixef().index) != answer["names"]:
        return f"coefficients {list(fit.fixef().index)}, in R {answer['names']}"
    y = fit.design.y if fit.design.offset is None else fit.design.y - fit.design.offset
    if fit.sigma() < 1e-4 * np.abs(y).max():
        return "both fit"  # the criterion of a perfect fit has no minimum
    if fit.design.P and np.linalg.cond(fit.design.X) > 1e6:
        return "both fit"  # lme4 works with X'X, whose condition is the square: its criterion has few digits then
    ours, theirs = fit.model.optsum.final_objective, answer["criterion"]
    objective, units = fit.model.objective, natural_units(fit.model.reduced)
    falling = [objective(np.where(fit.model.reduced.lower == 0, size * units, 0.0)) for size in (1e4, 1e6)]
    near = [objective(np.where(fit.model.reduced.lower == 0, size * units, 0.0)) for size in (0.1, 1.0, 10.0)]
    if np.ptp(near) < 1e-9 * max(1.0, abs(ours)):
        return "both fit"  # the criterion does not depend on θ: R goes where its rounding errors lead
    if falling[1] < falling[0] < ours:
        return "both fit"  # the criterion falls for ever (a few rows, fitted exactly): R goes some way along
    if ours > theirs + 1e-6 * max(1.0, abs(theirs)):
        return f"criterion {ours}, R's is lower: {theirs}"
    return "both fit"


def differential(seed: int, count: int, dialect: Dialect) -> list[str]:
    """Outcomes of so many random cases; an outcome that is not agreement is an error with the case."""
    pick = picker(np.random.default_rng([4711, seed]))
    frames = [bad_frame(pick) for _ in range(count // 4)]
    cases = []
    for i in range(count):
        place = i % len(frames)
        cases.append((place, bad_formula(pick), bad_arguments(pick, len(frames[place]))))
    asked = [{"kind": "fit", "frame": p, "formula": text or " ", **_plain(a)} for p, text, a in cases]
    outcomes, wrong = [], []
    for (place, text, arguments), answer in zip(cases, ask(frames, asked), strict=True):
        verdict = judge(*outcome(text, frames[place], {**arguments, "dialect": dialect}), answer)
        outcomes.append(verdict)
        if verdict not in ("both fit", "both refuse", "documented"):
            wrong.append((verdict, text, arguments, frames[place].iloc[:2].to_dict("list")))
    assert not wrong, wrong
    return outcomes


@pytest.mark.r
def test_r_s_yes_and_no_are_ours(live_dialect):
    outcomes = differential(1, 200, live_dialect)
    assert outcomes.count("both fit") > 0.15 * len(outcomes)
    assert outcomes.count("both refuse") > 0.15 * len(outcomes)
    assert outcomes.count("documented") < 0.15 * len(outcomes)


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_r_s_yes_and_no_are_ours_campaign(seed, live_dialect):
    differential(seed, 600, live_dialect)


def test_the_judgement_can_fail():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=40), "g": np.repeat(list("abcdefgh"), 5)})
    frame["y"] += np.repeat(np.arange(8.0), 5)
    fit = lmer("y ~ 1 + (1 | g)", frame)
    good = {"nobs": 40, "names": ["(Intercept)"], "criterion": fit.model.optsum.final_objective}
    assert judge(fit, "", good) == "both fit"
    assert judge(fit, "", {"error": "no"}).startswith("R alone refuses")
    assert judge(None, "no such thing", good).startswith("we alone refuse")
    assert judge(None, "Response is constant", good) == "documented"
    assert "rows used" in judge(fit, "", good | {"nobs": 39})
    assert "coefficients" in judge(fit, "", good | {"names": ["x"]})
    assert "R's is lower" in judge(fit, "", good | {"criterion": good["criterion"] - 1e-3})


@pytest.mark.parametrize(
    ("change", "formula", "arguments", "error", "said"),
    [
        ({}, "y ~ x + (1 | g)", {"weights": np.zeros(40)}, DataError, "40 value"),
        ({"y": np.linspace(-1e200, 1e200, 40)}, "y ~ x + (1 | g)", {}, DataError, "y has values .* order of 1e.200"),
        ({"x": np.linspace(0, 1e-200, 40)}, "y ~ x + (1 | g)", {}, DataError, "x has values of the order of 1e-200"),
        ({"x": np.arange(40)}, "y ~ factor(x) + (1 | g)", {}, ModelError, "40 fixed effects for 40 rows"),
        ({"x": np.inf}, "y ~ cut(x, 3) + (1 | g)", {}, PyimplError, "infinite values cannot be cut"),
        ({"x": np.nan}, "y ~ cut(x, 3) + (1 | g)", {}, PyimplError, "no values cannot be cut"),
        ({"x": 3.7}, "y ~ scale(x) + (1 | g)", {}, ModelError, "non-NA"),
    ],
)  # fmt: skip
def test_what_fuzzing_found(change, formula, arguments, error, said):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "g": list("abcde") * 8}).assign(**change)
    with pytest.raises(error, match=said):
        lmer(formula, frame, **arguments)


def test_poly_of_a_factor_takes_its_codes_or_is_refused():
    """Codes of an ordered factor in every R, of another until R 4.6 (``r_scripts.dialect``)."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, 60)
    frame = pd.DataFrame({"y": rng.normal(size=60), "g": list("abcde") * 12, "k": codes + 1})
    frame["f"] = pd.Categorical.from_codes(codes, list("dcba"))
    wanted = build_design("y ~ poly(k, 2) + (1 | g)", frame).X
    assert np.array_equal(wanted, build_design("y ~ poly(f, 2) + (1 | g)", frame, dialect="R 4.5.0").X)
    ordered = frame.assign(f=frame["f"].cat.as_ordered())
    assert np.array_equal(wanted, build_design("y ~ poly(f, 2) + (1 | g)", ordered).X)
    for call in ("poly(f, 2)", "poly(f, 2, raw = TRUE)", "I(2 * poly(f, 2))"):
        with pytest.raises(DataError, match=r"poly\(f, 2.* f is a factor whose levels have no order .*4\.6\.0"):
            build_design(f"y ~ {call} + (1 | g)", frame)
    with pytest.raises(DataError, match="no order"):
        lm("y ~ poly(f, 2)", frame)
    assert lm("y ~ poly(f, 2)", frame, dialect="R 4.5.0").nobs() == 60


def small() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "g": list("abcde") * 8})
    frame["y"] += np.tile(rng.normal(size=5), 8)
    return frame.assign(f=pd.Categorical(["u", "v", "w", "u"] * 10))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda d, f: lmer(d, f), FormulaError, "must be a string .* not DataFrame"),
        (lambda d, f: lmer(f, d, "yes"), DataError, "REML must be True or False, not 'yes'"),
        (lambda d, f: lmer(f, d, REML=None), DataError, "REML must be True or False, not None"),
        (lambda d, f: lmer(f, d, control={"optimizer": "bobyqa"}), DataError, "control is None or LmerControl"),
        (lambda d, f: lmer(f, d, contrasts="contr.sum"), DataError, "contrasts is a mapping .* not 'contr.sum'"),
        (lambda d, f: lmer(f, d, start="a"), DataError, "start must be a sequence of numbers, .* not 'a'"),
        (lambda d, f: lmer(f, d).refit(["a"] * 40), DataError, "newresp must be numbers, not a list"),
        (lambda d, f: lmer(f, d).simulate(1.5), DataError, "nsim must be a whole number, at least 1, not 1.5"),
        (lambda d, f: lmer(f, d).anova(3), DataError, "anova takes a LmerFit or a LmFit, not 3"),
        (lambda d, f: lmer("y ~ C(f, 'cat') + (1 | g)", d), FormulaError, "contr is one of contr.treatment"),
        (lambda d, f: lmer("y ~ mean(x, 2) + (1 | g)", d), FormulaError, "mean.. has at most 1 arguments"),
        (lambda d, f: lmer("y ~ cut(x, quantile(x, 2)) + (1 | g)", d), FormulaError, "probs"),
        (lambda d, f: lmer("y ~ cut(x, seq(1, 2, by = -1)) + (1 | g)", d), FormulaError, "wrong sign"),
        (lambda d, f: lmer("y ~ interaction(f, sepp = 'a') + (1 | g)", d), FormulaError, "an argument 'sepp'"),
        (lambda d, f: lmer("y ~ max(x) + (1 | g)", d), FormulaError, "has 1 values but the data have 40 rows"),
    ],
)
def test_arguments_of_another_kind_are_refused(call, error, said):
    with pytest.raises(error, match=said):
        call(small(), "y ~ x + (1 | g)")


def test_reml_as_0_or_1_and_start_as_in_r():
    frame = small()
    assert not lmer("y ~ x + (1 | g)", frame, REML=0).isREML()
    fit = lmer("y ~ x + (1 | g)", frame, start={"theta": [0.5]})
    assert fit.REMLcrit() == pytest.approx(lmer("y ~ x + (1 | g)", frame, REML=1).REMLcrit(), rel=1e-12)
