"""Designs: y, X, Z and every label as lme4's ``lFormula`` gives them, and lme4's refusals."""

import io
import json
import pickle
import subprocess
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from pyimpl.errors import DataError, FormulaError, ModelError, PyimplError, PyimplWarning, RankDeficientWarning
from pyimpl.frame.model_frame import FrameArguments
from tests.pyimpl.designs import design_from
from tests.pyimpl.model_oracle import ask_r, same
from tests.pyimpl.random_models import random_frame, random_mixed_formula

RTOL = 1e-13


DATA_SETS = {
    "Gcsemv": "mlmRev",
    "sleepstudy": "lme4",
    "Penicillin": "lme4",
    "Pastes": "lme4",
    "cake": "lme4",
    "cbpp": "lme4",
}


@pytest.fixture(scope="module")
def data_sets() -> dict[str, pd.DataFrame]:
    """Data sets of R packages, factors as categoricals with R's level order."""
    script = r"""
    for (spec in commandArgs(TRUE)) {
      part <- strsplit(spec, "::")[[1]]
      data(list = part[2], package = part[1])
      d <- as.data.frame(get(part[2]))
      cat(jsonlite::toJSON(lapply(Filter(is.factor, d), \(x) I(levels(x))), auto_unbox = TRUE), "\n")
      write.csv(d, stdout(), row.names = FALSE)
      cat("====\n")
    }
    """
    specs = [f"{package}::{name}" for name, package in DATA_SETS.items()]
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", script, *specs], capture_output=True, text=True, check=True, timeout=120
    )
    frames = {}
    for name, text in zip(DATA_SETS, done.stdout.split("====\n"), strict=False):
        first, _, rest = text.partition("\n")
        levels = json.loads(first)
        frame = pd.read_csv(io.StringIO(rest), dtype=dict.fromkeys(levels, str))
        for column, order in (levels or {}).items():
            frame[column] = pd.Categorical(frame[column], categories=order)
        frames[name] = frame
    frames["Gcsemv"]["female"] = frames["Gcsemv"]["gender"].cat.reorder_categories(["M", "F"])
    frames["cake"]["temperature"] = frames["cake"]["temperature"].cat.as_ordered()
    frames["cbpp"]["incidence"] = frames["cbpp"]["incidence"].astype(float)
    return frames


#: (data set, formula, further arguments)
MODELS = [
    ("Gcsemv", "course ~ 1 + (1 | school)", {}),
    ("Gcsemv", "course ~ 1 + female + (1 | school)", {}),
    ("Gcsemv", "course ~ 1 + female + (1 + female | school)", {}),
    ("Gcsemv", "course ~ written + gender * written + (gender || school)", {}),
    ("Gcsemv", "course ~ scale(written) + (1 | school) + (1 | student)", {}),
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", {}),
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)", {}),
    ("sleepstudy", "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", {}),
    ("sleepstudy", "log(Reaction) ~ poly(Days, 3) + (poly(Days, 2) | Subject)", {}),
    ("sleepstudy", "Reaction ~ factor(Days) + I(Days^2) + (1 | Subject)", {}),
    ("sleepstudy", "Reaction ~ Days + I(2 * Days) + (1 | Subject)", {}),
    ("sleepstudy", "Reaction ~ Days + offset(Days * 10) + (1 | Subject)", {"offset": "Days", "weights": "Reaction"}),
    ("sleepstudy", "Reaction ~ Days + (1 | Subject)", {"subset": "Days >= 2 & Subject != '308'"}),
    ("sleepstudy", "Reaction ~ 0 + (1 | Subject)", {}),
    ("sleepstudy", "Reaction ~ I(1e6 * Days) + (1 | Subject)", {}),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", {}),
    ("Penicillin", "diameter ~ 1 + (1 | sample) + (1 | plate)", {}),
    ("Pastes", "strength ~ 1 + (1 | batch/cask)", {}),
    ("Pastes", "strength ~ 1 + (1 | sample) + (1 | batch)", {}),
    ("Pastes", "strength ~ 1 + (1 | batch:cask) + (1 | batch)", {}),
    ("Pastes", "strength ~ cask + (1 | batch)", {"contrasts": {"cask": "contr.helmert"}}),
    ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", {}),
    ("cake", "angle ~ recipe + temperature + (1 | replicate/recipe)", {"contrasts": {"temperature": "contr.sum"}}),
    ("cake", "angle ~ . + (1 | replicate)", {}),
    ("cake", "angle ~ recipe + temp + (0 + recipe | replicate)", {}),
    ("cbpp", "incidence ~ period + size + (1 | herd) + (0 + size | period)", {}),
]


@pytest.fixture(scope="module")
def answers(data_sets, live_dialect):
    rng = np.random.default_rng(3490)
    names = list(data_sets)
    frames = [*data_sets.values(), *(random_frame(rng) for _ in range(12))]
    cases = [
        {"kind": "design", "formula": formula, "frame": names.index(name), **extra} for name, formula, extra in MODELS
    ]
    cases += [random_case(rng, len(names), len(frames)) for _ in range(150)]
    got, numbers = ask_r(frames, cases)
    return frames, [({**case, "dialect": live_dialect}, one) for case, one in zip(cases, got, strict=True)], numbers


def random_case(rng: np.random.Generator, first: int, last: int) -> dict:
    """A random mixed model, sometimes with weights, an offset, a subset and contrasts."""
    case = {"kind": "design", "formula": random_mixed_formula(rng), "frame": int(rng.integers(first, last))}
    if rng.random() < 0.2:
        case["weights"] = "z"
    if rng.random() < 0.2:
        case["offset"] = "x"
    if rng.random() < 0.2:
        case["subset"] = str(rng.choice(["x > -0.5", "l", 's != "a"', "k < 4 & x < 1", '!(f == "a")']))
    if rng.random() < 0.2:
        case["contrasts"] = {"f": str(rng.choice(["contr.sum", "contr.helmert", "contr.SAS", "contr.poly"]))}
    return case


def differences(design: Design, answer: dict, numbers) -> list[str]:
    """Every way in which a design differs from lme4's."""
    flist = design.flist
    labels = {
        "formula": (design.formula, answer["formula"]),
        "coefficients": (list(design.coef_names), answer["names"]),
        "assign": (list(design.assign), answer["assign"]),
        "dropped": (sorted(design.dropped_coefs), sorted(answer["dropped"])),
        "cnms": ([list(term.effects) for term in design.terms], answer["cnms"]),
        "groups": ([term.group for term in design.terms], answer["groups"]),
        "terms": ([term.label for term in design.terms], answer["labels"]),
        "theta": (list(design.theta_names), answer["theta"]),
        "flist": (list(flist.columns), answer["flist"]),
        "levels": ([list(flist[name].cat.categories) for name in flist], answer["levels"]),
        "rows": ([str(i + 1) for i in design.index], answer["rows"]),
        "messages": (list(design.messages), [note.strip() for note in answer["notes"] if "rank deficient" in note]),
        "scale": (  # what follows the first sentence is the version's (test_dialects)
            [note.split(".")[0] for note in design.warnings if "different scales" in note],
            [note.split(".")[0] for note in answer["notes"] if "different scales" in note],
        ),
    }
    found = [f"{what}: {ours} is not {theirs}" for what, (ours, theirs) in labels.items() if ours != theirs]
    theirs_x = numbers(answer["X"]).reshape(design.N, -1)
    for what, ours, theirs in (
        ("y", design.y[:, None], numbers(answer["y"])),
        ("X", design.X, theirs_x),
        ("Z", design.Z.toarray(), numbers(answer["Z"])),
    ):
        if not same(ours, theirs, RTOL):
            found.append(f"{what} differs")
    for what, ours in (("offset", design.offset), ("weights", design.weights)):
        if (ours is None) != (answer.get(what) is None):
            found.append(f"{what} on one side only")
        elif ours is not None and not same(ours[:, None], numbers(answer[what]), RTOL):
            found.append(f"{what} differs")
    return found


def build(case: dict, frames: list[pd.DataFrame]) -> Design:
    extra = {key: case[key] for key in ("weights", "offset", "subset", "contrasts", "dialect") if key in case}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return design_from(case["formula"], frames[case["frame"]], **extra)


def compare_with_r(case, answer, frames, numbers) -> str:
    try:
        design = build(case, frames)
    except PyimplError as error:
        if "error" not in answer:
            raise AssertionError(f"we alone refuse {case}: {error}") from error
        return "refused"
    assert "error" not in answer, f"R alone refuses {case}: {answer['error']}"
    found = differences(design, answer, numbers)
    assert not found, (case, found)
    return "equal"


@pytest.mark.r
@pytest.mark.parametrize("position", range(len(MODELS)), ids=[f"{name}: {text}" for name, text, _ in MODELS])
def test_known_models_are_lme4s(answers, position):
    frames, pairs, numbers = answers
    case, answer = pairs[position]
    assert "error" not in answer
    assert compare_with_r(case, answer, frames, numbers) == "equal"


@pytest.mark.r
def test_random_models_are_lme4s(answers):
    frames, pairs, numbers = answers
    outcomes = [compare_with_r(*pair, frames, numbers) for pair in pairs[len(MODELS) :]]
    assert outcomes.count("equal") > 0.5 * len(outcomes)


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_random_campaign(seed, live_dialect):
    rng = np.random.default_rng([3490, seed])
    frames = [random_frame(rng) for _ in range(20)]
    cases = [random_case(rng, 0, len(frames)) for _ in range(700)]
    got, numbers = ask_r(frames, cases)
    for case, answer in zip(cases, got, strict=True):
        compare_with_r({**case, "dialect": live_dialect}, answer, frames, numbers)


@pytest.mark.r
def test_the_comparison_can_fail(answers):
    frames, pairs, numbers = answers
    case, answer = pairs[2]
    design = build(case, frames)
    assert differences(design, answer, numbers) == []
    from dataclasses import replace

    x = design.X.copy()
    x[5, 1] += 1e-9
    assert differences(replace(design, X=x), answer, numbers) == ["X differs"]
    term = design.terms[0]
    wrong = replace(term, codes=np.roll(term.codes, 1))
    assert "Z differs" in differences(replace(design, terms=(wrong,)), answer, numbers)
    renamed = replace(design, coef_names=("(Intercept)", "genderF"))
    assert len(differences(renamed, answer, numbers)) == 1


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 40
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "w": rng.uniform(0.5, 2, size=n),
            "g": pd.Categorical(rng.choice(list("abcdef"), size=n)),
            "h": rng.choice(["u", "v", "w"], size=n),
            "one": "only",
            "id": np.arange(n),
            "k": 3.0,
        },
        index=pd.RangeIndex(100, 100 + n),
    )


@pytest.mark.parametrize(
    ("formula", "change", "kwargs", "error", "message"),
    [
        ("y ~ x", {}, {}, ModelError, "No random effects terms specified"),
        ("~ x + (1 | g)", {}, {}, FormulaError, "no response"),
        ("y ~ x + (1 | one)", {}, {}, ModelError, "must have > 1 sampled level"),
        ("y ~ x + (1 | id)", {}, {}, ModelError, r"must be < number of observations \(problems: id\)"),
        (
            "y ~ x + (x * h + z + w | g)",
            {},
            {},
            ModelError,
            r"\(=40\) <= number of random effects \(=48\) for term \(x \* h",
        ),
        ("h ~ x + (1 | g)", {}, {}, DataError, "response must be numeric: h is strings"),
        ("g ~ x + (1 | h)", {}, {}, DataError, "response must be numeric: g is a factor"),
        ("k ~ x + (1 | g)", {}, {}, DataError, "Response is constant"),
        ("y ~ x + (1 | q)", {}, {}, DataError, "no column 'q'"),
        ("y ~ Xx + (1 | g)", {}, {}, DataError, "no column 'Xx'"),
        ("Y ~ x + (1 | g)", {}, {}, DataError, "Did you mean 'y'"),
        ("y ~ one + (1 | g)", {}, {}, ModelError, "2 or more levels: one has only 'only'"),
        ("y ~ x + (one | g)", {}, {}, ModelError, r"In the random-effects term \(one \| g\)"),
        ("y ~ x + (1 | g)", {"y": np.nan}, {}, ModelError, r"0 \(non-NA\) cases: y is missing in every row"),
        ("y ~ x + (1 | g)", {"x": np.inf}, {}, DataError, "x has 40 infinite"),
        ("y ~ x + (1 | g)", {"y": -np.inf}, {}, DataError, "y has 40 infinite"),
        ("y ~ x + (1 | g)", {}, {"subset": "x > 100"}, ModelError, "subset leaves no row"),
        ("y ~ x + (1 | g)", {}, {"subset": "x"}, DataError, "must be logical"),
        ("y ~ x + (1 | g)", {}, {"subset": [0.5, 2]}, DataError, "one True or False for each of the 40 rows"),
        ("y ~ x + (1 | g)", {}, {"weights": "nope"}, DataError, "no column 'nope'"),
        ("y ~ x + (1 | g)", {}, {"weights": -np.ones(40)}, DataError, "must not be negative"),
        ("y ~ x + (1 | g)", {}, {"weights": np.ones(39)}, DataError, "lengths differ"),
        ("y ~ x + (1 | g)", {}, {"weights": pd.Series(np.ones(40))}, DataError, "index of the Series"),
        ("y ~ x + (1 | g)", {}, {"offset": "g"}, DataError, "must be numeric"),
        ("y ~ x + (1 | g)", {}, {"na_action": "na.pass"}, DataError, "not supported"),
        ("y ~ x + (1 | g)", {}, {"na_action": "drop"}, DataError, "unknown"),
        (
            "y ~ x + (1 | g)",
            {"x": [np.nan, *range(39)]},
            {"na_action": "na.fail"},
            ModelError,
            "Missing values in 1 rows",
        ),
        ("y ~ x + (0 | g)", {}, {}, ModelError, "has no effects"),
        ("y ~ x + (1 | 1)", {}, {}, (ModelError, FormulaError), "1"),
        ("y ~ x + (1 | g + h)", {}, {"dialect": "1.1-31"}, ModelError, "Invalid grouping factor"),
        ("y ~ x + (1 | factor(id))", {}, {}, ModelError, "couldn't evaluate grouping factor"),
        ("log(w) ~ . + (1 | g)", {}, {}, FormulaError, "'.'"),
        ("y ~ . + (1 | g)", {}, {"weights": "w"}, FormulaError, "'.' together with weights"),
        ("y ~ x + system('ls') + (1 | g)", {}, {}, FormulaError, r"system\(\) cannot be called"),
        ("cbind(y, x) ~ 1 + (1 | g)", {}, {}, DataError, "has 2 columns"),
        ("poly(x, 2) ~ 1 + (1 | g)", {}, {}, DataError, "2 columns"),
    ],
)
def test_what_lme4_refuses_is_refused(small, formula, change, kwargs, error, message):
    with pytest.raises(error, match=message):
        design_from(formula, small.assign(**change), **kwargs)


def test_not_a_data_frame():
    with pytest.raises(DataError, match="must be a data frame"):
        build_design("y ~ x + (1 | g)", {"y": [1]})


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1 + 2j] * 40, "complex"),
        (pd.to_timedelta(np.arange(40), unit="D"), "timedelta"),
        ([object()] * 40, "Python types: object"),
        ([1, "a"] * 20, "Python types: int, str"),
    ],
)
def test_columns_that_no_model_can_use(small, column, message):
    with pytest.raises(DataError, match=message):
        build_design("y ~ bad + (1 | g)", small.assign(bad=column))


def test_columns_with_one_name(small):
    doubled = pd.concat([small, small[["x"]]], axis=1)
    with pytest.raises(DataError, match="2 columns named 'x'"):
        build_design("y ~ x + (1 | g)", doubled)


def test_rank_deficient_columns_are_dropped_with_lme4s_message(small):
    with pytest.warns(RankDeficientWarning, match=r"dropping 1 column / coefficient \(I\(2 \* x\)\)"):
        design = build_design("y ~ x + I(2 * x) + z + (1 | g)", small)
    assert design.coef_names == ("(Intercept)", "x", "z")
    assert design.dropped_coefs == ("I(2 * x)",)
    assert design.messages == ("fixed-effect model matrix is rank deficient so dropping 1 column / coefficient",)


def test_scales_are_checked(small):
    with pytest.warns(PyimplWarning, match="very different scales"):
        build_design("y ~ I(1e6 * x) + (1 | g)", small)


def test_stan_lmer_has_checks_of_its_own(small):
    assert build_design("y ~ x + (1 | id)", small, checks=STAN_LMER_CHECKS).terms[0].J == 40
    with pytest.raises(ModelError, match="duplicate group-specific terms"):
        build_design("y ~ x + (1 | g) + (1 + x | g)", small, checks=STAN_LMER_CHECKS)
    with pytest.raises(DataError, match="name 'b'"):
        build_design("y ~ b + (1 | g)", small.assign(b=small["x"]), checks=STAN_LMER_CHECKS)
    with pytest.raises(ModelError, match="> 1 sampled level"):
        build_design("y ~ x + (1 | one)", small, checks=STAN_LMER_CHECKS)


def test_the_data_are_not_held(small):
    data = small.copy()
    design = build_design("y ~ x + (1 | g)", data, FrameArguments(weights="w", offset="z"))
    kept = (design.y.copy(), design.X.copy(), design.weights.copy(), design.offset.copy())
    for name in ("y", "x", "w", "z"):
        data.loc[:, name] = 99.0
    for ours, before in zip((design.y, design.X, design.weights, design.offset), kept, strict=True):
        np.testing.assert_array_equal(ours, before)


def test_a_design_can_be_pickled(small):
    design = build_design("y ~ poly(x, 2) + h + (1 | g/h)", small)
    back = pickle.loads(pickle.dumps(design))
    np.testing.assert_array_equal(back.encode(small).X, design.encode(small).X)
    assert back.theta_names == design.theta_names


def test_nans_of_functions_are_warned_about_and_left_out(small):
    with pytest.warns(PyimplWarning, match=r"NaNs produced in log\(x\)"):
        design = build_design("y ~ log(x) + (1 | g)", small)
    assert design.warnings == ("NaNs produced",)
    assert (small["x"] > 0).sum() == design.N


def test_columns_whose_names_are_numbers(small):
    numbered = small.assign(**{"a b": small["x"]}).rename(columns={"x": 1})
    design = build_design("y ~ `1` + `a b` + (`a b` | g)", numbered.assign(**{"a b": small["z"]}))
    assert design.coef_names == ("(Intercept)", "`1`", "`a b`")


def test_no_rows():
    with pytest.raises(ModelError, match="the data have no rows"):
        build_design("y ~ x + (1 | g)", pd.DataFrame({"y": [], "x": [], "g": []}))


def test_index_and_omitted_rows(small):
    data = small.copy()
    data.loc[[103, 110], "x"] = np.nan
    design = build_design("y ~ x + (1 | g)", data, FrameArguments(na_action="na.exclude"))
    assert list(design.omitted) == [3, 10]
    assert 103 not in design.index
    assert design.N == 38
    assert design.na_action == "na.exclude"


def test_weights_are_an_array_a_series_or_a_column(small):
    by_name = build_design("y ~ x + (1 | g)", small, FrameArguments(weights="w")).weights
    for given in (small["w"], small["w"].to_numpy(), small["w"].tolist()):
        np.testing.assert_array_equal(
            build_design("y ~ x + (1 | g)", small, FrameArguments(weights=given)).weights, by_name
        )


def test_names_of_terms_with_one_group(small):
    design = build_design("y ~ x + (x || g) + (1 | h)", small)
    assert [term.group for term in design.terms] == ["g", "g", "h"]
    assert design.unique_groups == ("g", "g.1", "h")
    assert design.theta_names == ("g.(Intercept)", "g.x", "h.(Intercept)")
    assert list(design.flist.columns) == ["g", "h"]


def test_m3_builds_in_milliseconds(data_sets):
    times = []
    for _ in range(30):
        start = time.perf_counter()
        build_design("course ~ 1 + female + (1 + female | school)", data_sets["Gcsemv"])
        times.append(time.perf_counter() - start)
    assert min(times) < 5e-3


def test_the_frame_is_made_on_demand_and_keeps_what_was_fitted() -> None:
    data = pd.DataFrame({"y": np.arange(12.0), "x": np.arange(12.0) ** 2, "g": pd.Categorical(list("aabbccddeeff"))})
    design = build_design("y ~ x + (1 | g)", data)
    data.loc[:, "x"] = -1.0
    data["x"].to_numpy(copy=False)
    assert design.frame["x"].tolist() == (np.arange(12.0) ** 2).tolist()
    assert pickle.loads(pickle.dumps(design)).frame.equals(design.frame)
