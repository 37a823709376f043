"""Splines, contrasts by C(), polynomials of several variables, running totals, texts, row numbers: as in R."""

import re

import numpy as np
import pandas as pd
import pytest

from bridge import lme4, stats
from pyimpl import lmer
from pyimpl.design.design import model_matrix
from pyimpl.errors import DataError, FormulaError, PyimplWarning

rng = np.random.default_rng(17)
N = 120
DATA = pd.DataFrame(
    {
        "x": np.round(rng.normal(size=N), 2),
        "z": rng.gamma(2.0, size=N),
        "k": rng.integers(0, 6, N),
        "l": rng.random(N) < 0.4,
        "s": rng.choice(["ab", "Cde", "fghij"], N),
        "f": pd.Categorical(rng.choice(list("abcd"), N), categories=list("abcd")),
        "o": pd.Categorical(rng.choice(["low", "mid", "high"], N), categories=["low", "mid", "high"], ordered=True),
        "g": pd.Categorical(np.arange(N) % 12),
    }
)
DATA["y"] = np.sin(2 * DATA["x"]) + 0.3 * DATA["z"] + rng.normal(size=12)[np.arange(N) % 12] + rng.normal(size=N)
M = np.arange(48)
NEW = pd.DataFrame(
    {
        "x": np.linspace(-5, 5, 48),  # beyond what the model has seen
        "z": np.linspace(0.1, 12, 48),
        "k": M % 6,
        "l": M // 12 % 2 == 0,
        "s": np.array(["Cde", "ab", "fghij"])[M % 3],  # R codes the texts of new data by those that are there
        "f": pd.Categorical(np.array(list("cabd"))[M // 3 % 4], categories=list("abcd")),
        "o": pd.Categorical(np.array(["mid", "low"])[M % 2], categories=["low", "mid", "high"], ordered=True),
        "g": pd.Categorical(M % 12, categories=range(12)),
    }
)

#: Evaluated in R on the data, and predicted from on new data.
TERMS = """
ns(x, 3)
ns(x, df = 4)
ns(x, knots = c(-0.5, 0.7))
ns(x, 3, intercept = TRUE)
ns(x, df = 3, Boundary.knots = c(-1, 1.5))
ns(x)
ns(log(z), 2):f
bs(x)
bs(x, df = 5)
bs(x, degree = 2, knots = c(-0.3, 0, 0.9))
bs(x, degree = 1, df = 4)
bs(z, 6, intercept = TRUE)
bs(x, Boundary.knots = c(-6, 6), df = 4)
bs(x, df = 4, Boundary.knots = c(-1, 1))
bs(k, df = 4)
poly(x, z, degree = 2)
poly(x, z, degree = 2, raw = TRUE)
poly(x, z, k, degree = 2)
poly(cbind(x, z), 2)
poly(cbind(x, z), degree = 3, raw = TRUE)
C(f, sum)
C(f, contr.helmert)
C(f, contr.treatment)
C(f, contr.SAS)
C(f, 'contr.sum')
C(f, treatment)
C(f, treatment, base = 3)
C(f, helmert, 2)
C(f, c(-1, 0, 0, 1))
C(f, cbind(c(-1, 0, 0, 1)), 1)
C(f, cbind(lin = c(-3, -1, 1, 3), quad = c(1, -1, -1, 1)))
C(f, poly)
C(o)
C(o, contr.sum, how.many = 1):x
C(f, sum) * l
0 + C(f, sum)
paste(f, l)
paste0(s, k > 2)
paste(f, s, sep = '-')
nchar(s)
nchar(s, type = 'bytes')
substr(s, 1, 1)
substr(f, 1, k)
substring(s, 2)
toupper(s)
tolower(s)
startsWith(s, 'a')
endsWith(s, 'e')
xor(l, x > 0)
signif(z, 2)
logb(z, 3)
cbind(x, z)
cbind(a = x, z^2)
cbind(x, l, f)
cbind(poly(x, 2), z)
""".strip().splitlines()

#: What depends on the rows before, and so on the data as a whole; and what new data cannot have.
RUNNING = """
cumsum(x)
cumsum(k)
cumprod(1 + x / 50)
cummax(x)
cummin(z)
cumsum(l)
rev(x)
rev(f)
signif(x * 1234.5678, 3)
nchar(k * 1.5)
nchar(x / 3)
paste(round(x, 1))
scale(bs(x, 4))
I(ns(x, 2) * 2)
log(10 + bs(x, 3))
""".strip().splitlines()


def alike(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours.columns) == list(theirs.columns)
    np.testing.assert_allclose(
        ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-11 * max(1, np.abs(theirs).max().max())
    )


#: One of each kind in the quick suite.
QUICK = {
    *("ns(x, 3)", "bs(x, df = 4, Boundary.knots = c(-1, 1))", "poly(x, z, degree = 2)", "C(f, helmert, 2)"),
    *("C(f, contr.treatment)", "cumsum(x)", "paste(f, l)", "substr(s, 1, 1)", "cbind(a = x, z^2)"),
}


def mostly_slow(terms: list[str]) -> list[object]:
    return [term if term in QUICK else pytest.param(term, marks=pytest.mark.slow) for term in terms]


@pytest.mark.r
@pytest.mark.filterwarnings("ignore:.*(some 'x' values|rank deficient|new levels)")
@pytest.mark.parametrize("term", mostly_slow([*TERMS, *RUNNING]))
def test_columns_are_r_s(term, live_dialect):
    alike(model_matrix(f"y ~ {term}", DATA, dialect=live_dialect), stats.model_matrix(f"y ~ {term}", DATA))


@pytest.mark.r
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("term", mostly_slow(TERMS))
def test_new_data_have_r_s_columns(term, live_dialect):
    formula = f"y ~ {term} + (1 | g)"
    expected = (theirs := lme4.lmer(formula, DATA)).predict(NEW, re_form="~0")
    X = lmer(formula, DATA, dialect=live_dialect).model_matrix(newdata=NEW)
    assert list(X.columns) == list(theirs.fixef().index)
    large = (np.abs(X) @ np.abs(theirs.fixef())).max()
    np.testing.assert_allclose(X @ theirs.fixef(), expected, rtol=0, atol=1e-11 * large)


def test_knots_are_remembered_and_knots_on_a_boundary_are_moved():
    fit = lmer("y ~ ns(x, 3) + (1 | g)", DATA)
    few = DATA.iloc[:7]
    pd.testing.assert_frame_equal(fit.model_matrix(newdata=few), fit.model_matrix().iloc[:7])
    heaped = pd.DataFrame({"y": np.arange(12.0), "k": [0] * 6 + [1, 2, 3, 4, 5, 6]})
    with pytest.warns(PyimplWarning, match="shoving 'interior' knots"):
        moved = model_matrix("y ~ ns(k, 4)", heaped)
    # R 4.6.2: the columns of the first row that is not at the boundary
    np.testing.assert_allclose(
        moved.iloc[6, 1:],
        [0.519541252443025625, -0.032415758251295265, 0.336111882244238436, -0.223072835094956901],
        atol=1e-12,
    )
    assert np.linalg.matrix_rank(moved) == 5


@pytest.mark.parametrize(
    ("term", "told"),
    [
        ("ns(f, 3)", "numbers are needed"),
        ("bs(x, knots = NA)", "non-finite knots"),
        ("ns(x, 3, Boundary.knots = 1)", "two different boundary knots"),
        ("bs(x, degree = 0)", "must be integer >= 1"),
        ("ns(cbind(x, z), 3)", "one column, not of a matrix"),
        ("poly(x, z, 2)", "Name the degree"),
        ("C(f, cbind(c(1, 2)))", "wrong number of contrast matrix rows: 2 for 4 levels"),
        ("C(f, cbind(c(1, 1, 1, 1)))", "singular contrast matrix"),
        ("C(f, sum, base = 2)", "base is the number of a level"),
        ("C(f, helmert, 7)", "how.many is a number of contrasts, 1 to 3; found 7"),
        ("paste(s, collapse = '')", "one text for all rows"),
        ("nchar(f)", "not a factor"),
        ("nchar(s, type = 'lines')", "type is one of chars"),
        ("substr(s, 1)", "needs x, start, stop"),
        ("xor(x)", "needs x and y"),
        ("cbind(s, x)", "strings"),
        ("cumsum(f)", "numbers are needed"),
    ],
)
def test_what_r_refuses_is_refused_with_the_reason(term, told):
    with pytest.raises((FormulaError, DataError), match=re.escape(told)):
        model_matrix(f"y ~ {term}", DATA)


def test_contrasts_of_a_factor_whose_level_goes_are_dropped_as_in_r():
    with pytest.warns(PyimplWarning, match="contrasts dropped from factor"):
        fit = lmer("y ~ C(f, sum) + (1 | g)", DATA, subset="f != 'd'")
    assert list(fit.fixef().index) == ["(Intercept)", "C(f, sum)b", "C(f, sum)c"]
    older = model_matrix("y ~ C(f, contr.treatment)", DATA, dialect="debian-12")
    assert list(older.columns[1:]) == [f"C(f, contr.treatment){i}" for i in (2, 3, 4)]


SUBSETS = ("1:50", "-(1:20)", "c(3, 1, 7:90)", "s == 'ab' | nchar(s) > 4", list(range(5, 100)), "-c(1, 5)")


@pytest.mark.r
@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_a_subset_may_number_rows_or_be_a_condition(subset):
    theirs, ours = lme4.lmer("y ~ x + (1 | g)", DATA, subset=subset), lmer("y ~ x + (1 | g)", DATA, subset=subset)
    assert list(ours.fitted().index) == list(theirs.fitted().index)
    np.testing.assert_allclose(ours.fixef(), theirs.fixef(), rtol=1e-6)


@pytest.mark.parametrize("subset", [[0, 1], [1000], np.ones(N), "c(1, -2)", "f", "0:9"], ids=str)
def test_a_subset_that_numbers_no_rows_is_refused(subset):
    with pytest.raises(DataError, match="subset"):
        lmer("y ~ x + (1 | g)", DATA, subset=subset)
