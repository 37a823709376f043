"""Model matrices: R's columns, names, order and values, for every kind of variable."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.design.design import model_matrix
from pyimpl.errors import DataError, FormulaError, ModelError, PyimplError
from pyimpl.frame.contrasts import contrast_matrix
from tests.pyimpl.model_oracle import ask_r, same
from tests.pyimpl.random_models import random_formula, random_frame

#: R's numbers come from other arithmetic (LINPACK, libm): equal to this, relative to a column's largest value.
RTOL = 1e-13


def hand_made() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": [1.5, 2.5, -1.0, 0.25, 3.0, 8.0, 2.0, 1.0, 4.0, 7.5, 0.5, 6.0],
            "x": [0.1, 2.0, 3.5, -1.0, 0.0, 4.0, 2.5, 1.0, -2.0, 0.3, 1.7, 9.0],
            "k": [3, 1, 2, 3, 1, 2, 1, 1, 2, 3, 3, 2],
            "f": pd.Categorical(list("bacbacbacbac"), categories=["b", "c", "a", "never"]),
            "h": pd.Categorical(list("MFMFFMMFMFMF"), categories=["M", "F"]),
            "o": pd.Categorical(list("lmhlmhtllmht"), categories=["l", "m", "h", "t"], ordered=True),
            "s": ["q", "B", "a", "q", "B", "a", "a", "B", "q", "a", "q", "B"],
            "l": [True, False, True, True, False, False, True, True, False, False, True, False],
            "a b": [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 89.0, 144.0, 233.0],
            "f f": pd.Categorical(list("uvuvuvuvuvuv")),
        }
    )


FORMULAS = [
    "y ~ h",
    "y ~ 0 + h",
    "y ~ f",
    "y ~ h * x",
    "y ~ h:x",
    "y ~ h:f",
    "y ~ 0 + h:f",
    "y ~ h + h:f",
    "y ~ f / h",
    "y ~ f / x",
    "y ~ f %in% h",
    "y ~ (f + h + x)^2",
    "y ~ (f + h + o)^3 - f:h:o",
    "y ~ o",
    "y ~ o:x",
    "y ~ 0 + o",
    "y ~ o * h",
    "y ~ s",
    "y ~ l",
    "y ~ 0 + l",
    "y ~ l:s",
    "y ~ x:l",
    "y ~ `a b` * `f f`",
    "y ~ I(`a b`^2)",
    "y ~ factor(k)",
    "y ~ factor(k):x",
    "y ~ as.factor(s)",
    "y ~ ordered(k)",
    "y ~ poly(x, 2)",
    "y ~ poly(x, 1)",
    "y ~ poly(x, 3, raw = TRUE)",
    "y ~ poly(x, 4)",
    "y ~ poly(x, degree = 2):h",
    "y ~ scale(x)",
    "y ~ scale(x, scale = FALSE)",
    "y ~ scale(x, center = FALSE)",
    "y ~ scale(x, 2, 3)",
    "y ~ scale(x, T, F)",
    "y ~ log(`a b`)",
    "y ~ log2(`a b`) + log10(`a b`) + log1p(`a b`)",
    "y ~ log(`a b`, 3) + log(`a b`, base = 10) + exp(x) + expm1(x)",
    "y ~ sqrt(`a b`) + abs(x) + sin(x) + cos(x) + tan(x)",
    "y ~ floor(x) + ceiling(x)",
    "y ~ I(x > 1)",
    "y ~ I(x > 1 & l)",
    "y ~ I(!l)",
    "y ~ I(s == 'a')",
    'y ~ I(s != "a")',
    "y ~ I(o > 'm')",
    'y ~ I(o >= "h"):x',
    "y ~ I(f == 'a')",
    "y ~ I(k %in% c(1, 3))",
    "y ~ I(s %in% c('a', 'B'))",
    "y ~ I(x %% 2) + I(x %/% 2) + I(k %% 2L) + I(-7 %/% 2 + k)",
    "y ~ I(x / k - 2 * x^2 + (x - 1)^3)",
    "y ~ I(-x^2)",
    "y ~ I(k^-1)",
    "y ~ relevel(f, 'a')",
    "y ~ relevel(f, ref = 2)",
    'y ~ relevel(factor(s), "q")',
    "y ~ as.numeric(f) + as.integer(x)",
    "y ~ as.numeric(l)",
    "y ~ factor(l)",
    "y ~ factor(h, levels = c('F', 'M'))",
    "y ~ factor(s, labels = c('one', 'two', 'three'))",
    "y ~ factor(k, levels = 3:1, ordered = TRUE)",
    "y ~ factor(k, labels = 'lev')",
    "y ~ factor(s, labels = c('u', 'u', 'v'))",
    "y ~ cut(x, 3)",
    "y ~ cut(x, c(-3, 0, 2, 10))",
    "y ~ cut(x, c(-2, 0, 2, 9), include.lowest = TRUE)",
    "y ~ cut(x, c(-3, 0, 2.5, 10), right = FALSE)",
    "y ~ cut(`a b`, 4, dig.lab = 2)",
    "y ~ cut(x, c(-3, 0, 10), labels = c('lo', 'hi'))",
    "y ~ cut(x, c(-3, 0, 2, 10), ordered_result = TRUE)",
    "y ~ I(x - mean(x)) + I((k - mean(k)) / sd(k))",
    "y ~ I((x - min(x)) / (max(x) - min(x))) + I(x / sum(`a b`, k)) + I(x > median(x)) + I(x / var(x))",
    "y ~ ave(x, f) + I(x - ave(x, f, l)) + ave(k, o, FUN = max) + ave(x)",
    "y ~ ave(k, f, FUN = median) * ave(x, k, FUN = sd) + ave(x, s, FUN = sum):l",
    "y ~ pmax(x, 0) + pmin(x, k, 2) + pmax(k, 2L) + I(pmax(0, x - 1)^2)",
    "y ~ round(x) + round(`a b` / 7, 1) + round(x * 100, -2) + trunc(x) + round(k)",
    "y ~ round(x * 1e15, -5) + round(x * 100, 12) + round(x * 100, 13) + round(x, 400) + round(x, -400)",
    "y ~ rank(x) + rank(k) + asin(x / 10) + acos(x / 10) + sinh(x) + cosh(x)",
    "y ~ cut(x, quantile(x, c(0, 0.3, 0.62, 1)), include.lowest = TRUE)",
    "y ~ cut(x, quantile(x), include.lowest = TRUE, labels = FALSE)",
    "y ~ cut(x, seq(-3, 9, by = 4)) + cut(x, seq(-3, 9.5, length.out = 3))",
    "y ~ interaction(h, l)",
    "y ~ interaction(h, s, sep = '-', drop = TRUE):x",
    "y ~ droplevels(f) + as.logical(k - 1)",
    "y ~ dummy(h, 'F') + dummy(s, c('B', 'q')):x",
    "y ~ 0 + dummy(o)",
    "y ~ as.logical(ifelse(l, 1, 0)) + I(as.logical(x) & l)",
    "y ~ x + offset(`a b`)",
    "y ~ x + offset(log(`a b`)):h + h",
    "y ~ 1",
    "y ~ 0",
    "y ~ -1 + x",
    "y ~ I(pi * x) + I(x * T)",
    "y ~ y + x",
    "y ~ y:x",
    "y ~ 0 + y:f + f",
    "y ~ h + x - h",
    "y ~ x + x + h:x + x:h",
    "~ f * o - 1",
    "log(`a b`) ~ x",
    "y ~ .",
    "y ~ . - f",
    "y ~ (h + s)^2 - s",
    "y ~ x:h - 1",
    "y ~ 0 + x + h",
    "y ~ 0 + x:h + h",
    "y ~ I(poly(x, 2)^2)",
    "y ~ log(scale(`a b`) + 3)",
    "y ~ I(x * 1e3)",
    "y ~ I(x==k)",
    "y ~ 1 * f + x",
    "y ~ x * TRUE",
    "y ~ k:l:h",
    "y ~ 0 + l:k + s",
    "y ~ scale(poly(x, 2))",
    "y ~ h:o:s",
    "y ~ o^2",
    "y ~ factor(k) * ordered(k)",
    "y ~ I(as.numeric(s == 'a'))",
    "y ~ I(s)",
    "y ~ I(f)",
    "y ~ I(l)",
    "y ~ scale(l)",
    "y ~ poly(k, 2)",
    "y ~ factor(f)",
    "y ~ factor(o)",
    "y ~ ordered(f)",
    "y ~ as.factor(o)",
    "y ~ as.factor(k)",
    "y ~ as.factor(l)",
    "y ~ relevel(h,'F'):x",
    "y ~ c(x)",
    "y ~ I(x)^2",
    "y ~ x:x",
    "y ~ k^2",
    "y ~ factor(f, levels=c('c','a'))",
    "y ~ I(l & NA)",
    "y ~ I(l | TRUE)",
    "y ~ log10(k) + I(log(k)^2)",
    "y ~ offset(k) + x",
    "y ~ I(k > 1):o",
    "y ~ h:I(x^2)",
    "y ~ exp(x)/f",
    "y ~ f:(x+k)",
    "y ~ (x+k):f + f",
    "y ~ as.integer(f)",
    "y ~ as.integer(l)",
    "y ~ cut(k, 2)",
    "y ~ cut(x, 3, labels=c('a','b','c'))",
    "y ~ factor(x > 1)",
    "y ~ factor(cut(x,2))",
    "y ~ I(k %in% 1:2)",
    "y ~ I(1:12)",
    "y ~ scale(scale(x))",
    "y ~ scale(log(`a b`))",
    "y ~ log(`a b`):poly(x,2)",
    "y ~ poly(poly(x,1),2)",
    "y ~ poly(scale(x),2)",
    "y ~ scale(poly(x,2)):h",
    "y ~ I(x > 1) + I(x > 1):k",
    "y ~ as.numeric(s == 'a')",
    "y ~ I(k == '1')",
    "y ~ I(s == 1)",
    "y ~ I(h == 'M' & f == 'a')",
    "y ~ I(o == 'l')",
    "y ~ I(o < o)",
    "y ~ I(o != 'zzz')",
    "y ~ I(s < 'b')",
    "y ~ I(s > 'a')",
    "y ~ -x + k",
    "y ~ x + (-1)",
    "y ~ x - (k + 1)",
    "y ~ I(x^0.5)",
    "y ~ I(2^k)",
    "y ~ sqrt(x)",
    "y ~ I(x %% -2)",
    "y ~ I(-x %/% 3)",
    "y ~ I(k * 2L)",
    "y ~ I(k + 1.5)",
    "y ~ factor(k * 1e5)",
    "y ~ factor(k / 3)",
    "y ~ factor(k * 100000L)",
    "y ~ factor(x)",
    "y ~ ordered(x > 0)",
    "y ~ factor(s, levels = c('q', 'a', 'B'))",
    "y ~ factor(s, c('q', 'a', 'B'), c('Q', 'A', 'B'))",
    "y ~ factor(o, ordered = FALSE)",
    "y ~ factor(f, ordered = TRUE)",
    "y ~ ordered(o, levels = c('t','h','m','l'))",
    "y ~ factor(l, labels = c('no','yes'))",
    "y ~ I(as.numeric(o)^2)",
    "y ~ log(abs(x) + 1)",
    "y ~ log1p(abs(x)) * h",
    "y ~ I(x * pi)",
    "y ~ poly(x, 2, raw = TRUE):f",
    "y ~ poly(x, 2) * poly(k, 2)",
    "y ~ poly(x, raw = TRUE, degree = 3)",
    "y ~ poly(x, raw = TRUE, 3)",
    "y ~ poly(degree = 2, x)",
    "y ~ scale(center = FALSE, x)",
    "y ~ scale(x, FALSE, FALSE)",
    "y ~ scale(x, scale = 2)",
    "y ~ log(x = `a b`)",
    "y ~ log(base = 2, x = `a b`)",
    "y ~ log(`a b`, b = 2)",
    "y ~ cut(x, breaks = c(-10, 0, 10), lab = c('a', 'b'))",
    "y ~ I(ifelse(x > 0, 1, 0))",
    "y ~ x + TRUE",
    "y ~ x * FALSE",
    "y ~ 0 + l + s",
    "y ~ 0 + l:s",
    "y ~ 0 + x:l",
    "y ~ l * s * h",
    "y ~ `f f`:`a b` - 1",
    "y ~ f:h:s:l",
    "y ~ f %in% (h + s)",
    "y ~ f / (h + x)",
    "y ~ (f + h) / x",
    "y ~ f / x / h",
    "y ~ h / (f * x)",
    "y ~ (f * h)^2 - f",
    "y ~ (f + h + s + o)^2 - h:s - o",
    "y ~ f * h - f",
    "y ~ f * h - h",
    "y ~ f:h - f",
    "y ~ f:h + f - f",
    "y ~ s:f + s",
    "y ~ x:f:h + f:h",
    "y ~ x:f + x:h",
    "y ~ x + x:f + x:f:h",
    "y ~ h:x + f:x",
    "y ~ 0 + h:x + f:x",
    "y ~ 0 + h:f + x:f",
    "y ~ 0 + x + h:f",
    "y ~ 1 + 0 + h",
    "y ~ h - 1 + 1",
    "y ~ offset(x) + offset(k) + h",
    "y ~ offset(x):h",
    "y ~ h * offset(x)",
    "y ~ I(offset(x))",
    "y ~ log(offset(`a b`))",
    "y ~ abs(l)",
    "y ~ exp(l)",
    "y ~ floor(l)",
    "y ~ I(-l)",
    "y ~ I(l + l)",
    "y ~ I(l * x)",
    "y ~ I(!k)",
    "y ~ I(!x)",
    "y ~ I(x & k)",
    "y ~ -s",
    "y ~ s^2",
    "y ~ as.numeric(as.character(k))",
    "y ~ as.factor(as.integer(x))",
    "y ~ ordered(s)",
    "y ~ ordered(l):x",
    "y ~ ordered(k) / x",
    "y ~ cut(x, 3, ordered_result = TRUE)",
    "y ~ cut(x, 3, dig.lab = 5)",
    "y ~ cut(`a b`, c(0, 1e5, 10, 20, 1e-5, 300))",
    "y ~ cut(`a b`, 2, right = FALSE)",
    "y ~ cut(k, c(1,2,3), include.lowest = TRUE)",
    "y ~ cut(k, c(1,2,3), include.lowest = TRUE, right = FALSE)",
    "y ~ cut(x, 3, labels = FALSE)",
    "y ~ cut(k/1000, 3)",
    "y ~ cut(`a b`*1e6, 3)",
    "y ~ cut(`a b`*123.456, 4)",
    "y ~ as.character(f)",
    "y ~ as.character(k)",
    "y ~ as.character(x)",
    "y ~ as.character(o)",
    "y ~ I(is.na(x))",
    "y ~ ifelse(l,x,k)",
    "y ~ ifelse(x>0,l,FALSE)",
    "y ~ factor(ifelse(x>0,1L,2L))",
    "y ~ I(ifelse(l,100000,20))",
    "y ~ factor(ifelse(l,100000,20))",
    "y ~ sign(x)+tanh(x)+atan(x)",
    "y ~ I(2*x)+I(2L*x)",
    "y ~ I(k != '2')",
    "y ~ I(x=='2')",
    "y ~ poly(x,deg=2)",
    "y ~ relevel(factor(as.character(k)),'2')",
    "y ~ as.numeric(as.character(k))",
]

CONTRASTS = [
    ("y ~ f", {"f": "contr.sum"}),
    ("y ~ f", {"f": "contr.helmert"}),
    ("y ~ f", {"f": "contr.SAS"}),
    ("y ~ f", {"f": "contr.poly"}),
    ("y ~ o", {"o": "contr.treatment"}),
    ("y ~ o * f", {"o": "contr.sum", "f": "contr.helmert"}),
    ("y ~ 0 + f + o", {"f": "contr.sum", "o": "contr.helmert"}),
    ("y ~ l:x", {"l": "contr.sum"}),
    ("y ~ l", {"l": "contr.sum"}),
    ("y ~ s", {"s": "contr.helmert"}),
    ("y ~ factor(k)", {"factor(k)": "contr.sum"}),
    ("y ~ h", {"h": [[-0.5], [0.5]]}),
    ("y ~ o", {"o": [[-1, 1], [0, -1], [0, -1], [1, 1]]}),
    ("y ~ o:x", {"o": [[-1, 1, 2, 0], [0, -1, 1, 5], [0, -1, 1, 2], [1, 1, 1, 1]]}),
]


@pytest.fixture(scope="module")
def answers():
    rng = np.random.default_rng(349)
    frames = [hand_made(), *(random_frame(rng) for _ in range(12))]
    frames[0]["f"] = frames[0]["f"].cat.remove_unused_categories()
    cases = [{"kind": "matrix", "formula": text, "frame": 0} for text in FORMULAS]
    cases += [{"kind": "matrix", "formula": f, "frame": 0, "contrasts": c} for f, c in CONTRASTS]
    cases += [
        {"kind": "matrix", "formula": random_formula(rng), "frame": int(rng.integers(1, len(frames)))}
        for _ in range(400)
    ]
    got, numbers = ask_r(frames, cases)
    return frames, list(zip(cases, got, strict=True)), numbers


def compare_with_r(frames, case, answer, numbers) -> str:
    """Compare one model matrix; says what happened, fails on any difference."""
    try:
        ours = model_matrix(case["formula"], frames[case["frame"]], contrasts=case.get("contrasts"))
    except PyimplError as error:
        if "error" not in answer:
            raise AssertionError(f"we alone refuse {case['formula']}: {error}") from error
        return "refused"
    assert "error" not in answer, f"R alone refuses {case['formula']}: {answer['error']}"
    assert list(ours.columns) == answer["names"], case
    assert [str(i + 1) for i in ours.index] == answer["rows"], case
    theirs = numbers(answer["X"])
    assert same(ours.to_numpy(), theirs, RTOL), case
    return "exact" if same(ours.to_numpy(), theirs) else "equal"


@pytest.mark.r
def test_hand_made_cases_have_rs_columns(answers):
    frames, pairs, numbers = answers
    for case, answer in pairs[: len(FORMULAS) + len(CONTRASTS)]:
        assert "error" not in answer, (case, answer["error"])
        compare_with_r(frames, case, answer, numbers)


@pytest.mark.r
def test_random_cases_have_rs_columns(answers):
    frames, pairs, numbers = answers
    outcomes = [compare_with_r(frames, *pair, numbers) for pair in pairs[len(FORMULAS) + len(CONTRASTS) :]]
    assert outcomes.count("refused") < 0.2 * len(outcomes)
    # Without poly, exp and the like the columns are R's to the last bit.
    assert outcomes.count("exact") > 0.6 * len(outcomes)


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_random_campaign(seed):
    rng = np.random.default_rng([20260349, seed])
    frames = [random_frame(rng) for _ in range(20)]
    cases = [{"kind": "matrix", "formula": random_formula(rng), "frame": int(rng.integers(20))} for _ in range(1500)]
    got, numbers = ask_r(frames, cases)
    for case, answer in zip(cases, got, strict=True):
        compare_with_r(frames, case, answer, numbers)


@pytest.mark.r
def test_the_comparison_can_fail(answers):
    frames, pairs, numbers = answers
    case, answer = pairs[0]
    matrix = numbers(answer["X"])
    changed = matrix.copy()
    changed[3, 1] += 1e-9
    assert same(matrix, matrix)
    assert not same(changed, matrix)
    assert not same(changed, matrix, RTOL)
    assert not same(matrix[:, :1], matrix, RTOL)
    swapped = frames[0].assign(h=frames[0]["h"].cat.reorder_categories(["F", "M"]))
    with pytest.raises(AssertionError):
        compare_with_r([swapped], case, answer, numbers)


def test_column_names_are_rs():
    names = list(model_matrix("y ~ h * x + o + `f f`", hand_made()).columns)
    assert names == ["(Intercept)", "hF", "x", "o.L", "o.Q", "o.C", "`f f`v", "hF:x"]


def test_polynomial_contrasts_of_many_levels_are_orthonormal():
    levels = [str(i) for i in range(12)]
    coding = contrast_matrix("contr.poly", levels, "o")
    np.testing.assert_allclose(coding.contrasts.T @ coding.contrasts, np.eye(11), atol=1e-8)
    assert coding.suffixes[:4] == (".L", ".Q", ".C", "^4")


@pytest.mark.parametrize(
    ("formula", "kwargs", "error", "message"),
    [
        ("y ~ z", {}, DataError, "no column 'z'"),
        ("y ~ X", {}, DataError, "Did you mean 'x'"),
        ("y ~ x + system('ls')", {}, FormulaError, r"system\(\) cannot be called"),
        ("y ~ __import__('os')", {}, FormulaError, "cannot start with '_'"),
        ("y ~ log(f)", {}, FormulaError, "numbers are needed, but f is a factor"),
        ("y ~ I(s + 1)", {}, FormulaError, "but s is strings"),
        ("y ~ poly(x, 12)", {}, DataError, "less than number of unique points"),
        ("y ~ poly(x, k, 2)", {}, FormulaError, "the same length"),
        ("y ~ relevel(f, 'zz')", {}, FormulaError, "must be an existing level"),
        ("y ~ relevel(s, 'a')", {}, FormulaError, "only for"),
        ("y ~ factor(k, levels = c(1, 1))", {}, FormulaError, "listed twice"),
        ("y ~ factor(k, 1:3, c('a', 'b'))", {}, FormulaError, "2 labels for 3 levels"),
        ("y ~ scale(x, centre = TRUE)", {}, FormulaError, "an argument 'centre'"),
        ("y ~ log(x, 2, 3)", {}, FormulaError, "at most 2 arguments"),
        ("y ~ I(f < 'a')", {}, FormulaError, "not meaningful"),
        ("y ~ I(o < 'zz')", {}, FormulaError, "not a level"),
        ("y ~ I(2)", {}, FormulaError, "1 values but the data have 12"),
        ("y ~ log(.)", {}, FormulaError, "'.'"),
        ("y ~ f", {"contrasts": {"f": "contr.none"}}, DataError, "Unknown contrasts"),
        ("y ~ f", {"contrasts": {"f": [[1.0], [2.0]]}}, DataError, "Wrong number of contrast matrix rows"),
        ("y ~ x", {"contrasts": {"x": "contr.sum"}}, DataError, "apply only to factors"),
        ("y ~ x + I(1/(x*0))", {}, DataError, "infinite"),
        ("y ~ h", {"subset": "h == 'M'"}, ModelError, "2 or more levels"),
    ],
)
def test_bad_input_is_refused_by_name(formula, kwargs, error, message):
    frame = hand_made()
    frame["f"] = frame["f"].cat.remove_unused_categories()
    if "h ==" in str(kwargs):
        frame["h"] = frame["h"].astype(str)
    with pytest.raises(error, match=message):
        model_matrix(formula, frame, **kwargs)


def test_a_factor_carries_its_contrasts_in_the_attrs_of_the_data():
    frame = hand_made()
    levels = len(frame["f"].cat.categories)
    asked = model_matrix("y ~ f", frame, contrasts={"f": "contr.sum"})
    frame.attrs["contrasts"] = {"f": "contr.sum"}
    assert model_matrix("y ~ f", frame).equals(asked)
    columns = {f"k{k}": [float(i == k) for i in range(levels)] for k in range(1, levels)}
    frame.attrs["contrasts"] = {"f": columns}
    assert list(model_matrix("y ~ f", frame).columns) == ["(Intercept)", *(f"f{name}" for name in columns)]
    # R's argument `contrasts` does not reach the random effects; what a factor carries does
    frame = pd.concat([hand_made().assign(y=hand_made()["y"] + np.arange(12.0) % 5 + shift) for shift in range(6)])
    frame["s"] = np.repeat(list("abcdef"), 12)
    frame.attrs["contrasts"] = {"h": "contr.sum"}
    fit = lmer("y ~ h + (h | s)", frame.reset_index(drop=True))
    assert list(fit.ranef()["s"].columns) == ["(Intercept)", "h1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": "contr.sum"}, "'x', which is not a factor"),
        ({"h": [[1.0]]}, "1 rows for 'h'; expected one for each of its 2 levels"),
        ({"h": "contr.none"}, "Unknown contrasts"),
    ],
)
def test_contrasts_in_the_attrs_that_do_not_fit_are_named(given, message):
    frame = hand_made()
    frame.attrs["contrasts"] = given
    with pytest.raises(DataError, match=message):
        model_matrix("y ~ x + h", frame)
