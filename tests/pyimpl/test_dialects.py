"""What each recorded R prints, names and says, without that R: ``data/dialect-*.json.gz``, made by ``make_dialects.R``.

Texts are compared at R's θ: only the words are, never the optimizers.
"""

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import ConvergenceWarning, DataError
from pyimpl.inference.at_optimum import SearchedModel
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optsummary import OptSummary
from pyimpl.likelihood.reduce import reduce_design
from pyimpl.models.lmer import LmerControl, LmerFit, lmer
from r_scripts.dialect import STACKS, Dialect
from tests.pyimpl.dialect_records import RECORDS, SHARED, dialect_of_record, frame

FITS = [(stack, i) for stack, record in RECORDS.items() for i in range(len(record["texts"]))]


def _label(stack, i):
    recorded = RECORDS[stack]["texts"][i]
    case = SHARED["cases"][recorded["case"]]
    return f"{stack}: {case['formula']} {case['extra'] or ''} {'REML' if recorded['REML'] else 'ML'}"


@cache
def _parts(index, REML, versions):
    """A case's design, its criterion and its optimum, which is R's θ; the call; and what was warned."""
    case = SHARED["cases"][index]
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        # one evaluation: θ is given
        options = {"dialect": dict(versions), "control": LmerControl(max_evaluations=1), **case["extra"]}
        fit = lmer(case["formula"], frame(case["frame"]), REML, **options)
    said = [str(one.message) for one in heard if not issubclass(one.category, ConvergenceWarning)]
    theta = np.array(case["theta"]["REML" if REML else "ML"], dtype=float)
    blocks = reduce_design(fit.design)
    objective = Objective(blocks, fit.isREML())
    value = float(objective(theta))
    optimum = OptSummary(
        initial=theta,
        final=theta,
        initial_objective=value,
        final_objective=value,
        evaluations=1,
        gradients=1,
        return_code=0,
        message="",
        gradient=np.zeros(theta.size),
        information=np.eye(theta.size),
        prss=objective.solve(theta).prss,
    )
    return SearchedModel(fit.design, blocks, objective, optimum), fit.call, said


def made(stack, index, REML):
    """Our fit of a case at R's θ, and what was warned."""
    dialect = dialect_of_record(stack)
    # what differs before the fit: two versions of lme4 are enough
    model, call, said = _parts(index, REML, (("lme4", "1.1-38" if dialect.has("autoscale") else "1.1-31"),))
    return LmerFit(model, replace(call, dialect=dialect)), said


@pytest.fixture(params=FITS, ids=[_label(*one) for one in FITS])
def both(request):
    stack, i = request.param
    recorded = RECORDS[stack]["texts"][i]
    return made(stack, recorded["case"], recorded["REML"]), recorded, SHARED["cases"][recorded["case"]]


def test_printed_text_names_and_sizes_are_those_of_that_r(both):
    (fit, said), recorded, _ = both
    assert str(fit.summary()) == recorded["summary"]
    assert str(fit) == recorded["print"]
    assert fit.VarCorr().to_text() == recorded["varcorr"]
    assert fit.VarCorr().to_text("Variance") == recorded["variance"]
    assert fit.VarCorr().to_text(("Std.Dev.", "Variance"), 3) == recorded["both"]
    if recorded["anova"] != "R fails" and recorded["anova"]:
        assert str(fit.anova()) == recorded["anova"]
    assert [note for note in said if "scales" in note] == [note for note in recorded["warnings"] if "scales" in note]
    assert list(fit.confint(method="Wald").index) == recorded["names"]
    assert list(fit.confint(method="Wald", signames=False).index) == recorded["spelled"]
    ours, theirs = set(fit.getME("ALL")), {name.replace(".", "_") for name in recorded["getME"]}
    assert theirs - ours == {"L", "RZX", "glmer_nb_theta"} - (ours - theirs)


def _same_but_for_rounding(ours, theirs):
    """Whether two texts have the same words, and numbers that are equal to five digits."""
    words = [text.replace(":", ": ").split() for text in (ours, theirs)]
    if len(words[0]) != len(words[1]):
        return False
    for one, other in zip(*words, strict=True):
        try:
            same = np.isclose(float(one), float(other), rtol=1e-5, atol=0)
        except ValueError:
            same = one == other
        if not same:
            return False
    return True


def _inside(theta, lower):
    return all(value > 0.05 for value, bound in zip(theta, lower, strict=True) if bound == 0)


def test_lmertests_text_is_that_of_that_r(both):
    (fit, _), recorded, _ = both
    if not _inside(recorded["theta"], fit.getME("lower")):
        pytest.skip("lmerTest's difference quotients cross the boundary")
    for what, ours in (
        ("lmerTest", lambda: fit.summary(ddf="Satterthwaite")),
        ("tests", lambda: fit.anova(type="III")),
    ):
        if recorded[what] and recorded[what] != "R fails":
            text = str(ours())
            assert _same_but_for_rounding(text, recorded[what])
            # what the version decides is above the table, and the table's width
            top = text.index("Fixed effects:") if what == "lmerTest" else 0
            assert text[:top] == recorded[what][:top]
            assert max(map(len, text.splitlines())) == max(map(len, recorded[what].splitlines()))


def test_lmertest_was_asked():
    for stack in STACKS:
        asked = [one for one in RECORDS[stack]["texts"] if one["lmerTest"] and one["lmerTest"] != "R fails"]
        assert len(asked) > 40


@pytest.mark.parametrize("stack", STACKS)
def test_weights_have_the_rows_that_they_have_in_that_r(stack):
    seen = set()
    for recorded in RECORDS[stack]["texts"]:
        case = SHARED["cases"][recorded["case"]]
        fit = (
            lmer(
                case["formula"],
                frame(case["frame"]),
                recorded["REML"],
                dialect=dialect_of_record(stack),
                **case["extra"],
            )
            if "na_action" in case["extra"]
            else made(stack, recorded["case"], recorded["REML"])[0]
        )
        assert len(fit.weights()) == recorded["weights"]
        seen.add(recorded["weights"] - fit.nobs())
    assert seen == ({0, 6, 8} if dialect_of_record(stack).has("weights_of_all_rows") else {0})


@pytest.mark.parametrize("stack", STACKS)
def test_comparisons_are_printed_as_in_that_r(stack):
    for pair in RECORDS[stack]["pairs"]:
        fits = [made(stack, index, False)[0] for index in pair["cases"]]
        assert str(fits[0].anova(fits[1], model_names=["one", "two"])) == pair["printed"]


@pytest.mark.parametrize("stack", STACKS)
def test_ranovas_heading_and_rows_are_those_of_that_r(stack):
    assert len(RECORDS[stack]["ranova"]) > 10
    for recorded in RECORDS[stack]["ranova"]:
        case = SHARED["cases"][recorded["case"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = lmer(case["formula"], frame(case["frame"]), dialect=dialect_of_record(stack), **case["extra"])
            table = fit.ranova()
        assert list(table.heading) == recorded["heading"]
        assert list(table.index) == recorded["rows"]
        assert list(table["npar"]) == recorded["npar"]


@pytest.mark.parametrize("stack", STACKS)
def test_convergence_checks_say_what_they_say_in_that_r(stack):
    base = lmer("Reaction ~ Days + (Days || Subject)", frame("sleep"), dialect=dialect_of_record(stack))
    summary = base.optinfo["summary"]
    for recorded in RECORDS[stack]["checks"].values():
        optimum = OptSummary(
            **{
                **{name: getattr(summary, name) for name in summary.__dataclass_fields__},
                "gradient": np.array(recorded["gradient"], dtype=float),
                "information": np.array(recorded["hessian"], dtype=float),
                "objective": None,
            }
        )
        reduced = reduce_design(base.design)
        model = SearchedModel(base.design, reduced, Objective(reduced, True), optimum)
        fit = LmerFit(model, base.call)
        assert list(fit.warnings) == recorded["messages"]


def test_the_comparison_can_fail():
    fit, _ = made("debian-12", 1, False)
    (recorded,) = [one for one in RECORDS["debian-12"]["texts"] if one["case"] == 1 and not one["REML"]]
    assert str(fit.summary()) == recorded["summary"]
    for stack in ("debian-13", "debian-sid"):
        other, _ = made(stack, 1, False)
        assert str(other.summary()) != recorded["summary"]
    assert not _same_but_for_rounding("Days 10.47", "Days 10.48")
    assert not _same_but_for_rounding("Days 10.47", "Day 10.47")
    assert _same_but_for_rounding("Days 10.471234", "Days 10.471235")


def test_estimates_have_no_dialect():
    fits = [lmer("Reaction ~ Days + (Days | Subject)", frame("sleep"), dialect=stack) for stack in STACKS]
    for fit in fits[1:]:
        pd.testing.assert_series_equal(fit.getME("theta"), fits[0].getME("theta"), check_exact=True)
        pd.testing.assert_frame_equal(fit.coef_table(), fits[0].coef_table(), check_exact=True)


def test_other_fits_speak_the_dialect_of_the_fit_they_come_from():
    fit = lmer("Reaction ~ Days + (Days | Subject)", frame("sleep"), dialect="debian-12")
    assert fit.dialect == Dialect.of("debian-12")
    small = fit.update(". ~ . - Days")
    for other in (
        fit.refitML(),
        fit.refit(frame("sleep")["Reaction"] + 1.0),
        small,
        *fit.allFit(["L-BFGS-B"]).values(),
    ):
        assert other.dialect == fit.dialect
    assert "deviance" in fit.anova(small)
    assert "deviance" not in lmer("Reaction ~ Days + (1 | Subject)", frame("sleep")).anova(small)
    assert fit.update(dialect="1.1-37").dialect.versions["lme4"] == "1.1-37"
    assert lmer("Reaction ~ Days + (1 | Subject)", frame("sleep")).dialect == Dialect.of(None)


@pytest.mark.parametrize(
    "wrong", ["debian-11", "lme4", {"lme5": "1.0"}, {"lme4": "new"}, {"lme4": 2.0}, "", 5, ["lme4"]]
)
def test_a_dialect_that_says_nothing_is_refused(wrong):
    with pytest.raises(DataError, match="dialect"):
        lmer("Reaction ~ Days + (1 | Subject)", frame("sleep"), dialect=wrong)


def test_pieces_of_a_newer_lme4_say_since_when_they_are_there():
    old = lmer("Reaction ~ Days + (Days | Subject)", frame("sleep"), dialect="1.1-38")
    new = lmer("Reaction ~ Days + (Days | Subject)", frame("sleep"))
    for name in ("par", "npar", "devarg"):
        with pytest.raises(DataError, match=rf"'{name}' is there since lme4 2\.0-1"):
            old.getME(name)
    pd.testing.assert_series_equal(new.getME("par"), new.getME("theta"))
    pd.testing.assert_series_equal(new.getME("devarg"), new.getME("theta"))
    assert new.getME("npar") == 3
    assert list(new.weights("working")) == list(new.weights())
    with pytest.raises(DataError, match="since lme4"):
        old.weights("working")


def test_large_fits_and_many_parameters_are_not_checked_since_1_1_38():
    # a limit that no fit meets: whether it is checked at all is what the version decides
    def said(dialect, **options):
        control = LmerControl(hessian_tol=1e-30, grad_tol=-1.0, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = lmer("Reaction ~ Days + (Days | Subject)", frame("sleep"), dialect=dialect, control=control)
        return [text.split(" with")[0] for text in fit.warnings]

    assert said("1.1-37") == said(None) == ["Model failed to converge"]
    assert said("1.1-37", check_conv_nobsmax=180) == ["Model failed to converge"]
    assert said("1.1-38", check_conv_nobsmax=180) == said("1.1-38", check_conv_nparmax=3) == []
    assert said("1.1-38", check_conv_nobsmax=181, check_conv_nparmax=4) == ["Model failed to converge"]
