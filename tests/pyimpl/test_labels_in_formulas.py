"""Comparisons, ``%in%`` and ``ifelse`` of strings, factors, ordered factors and dates, missing values too: as in R."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest

from bridge import lme4, stats
from pyimpl import lmer
from pyimpl.design.design import model_matrix
from pyimpl.errors import FormulaError

rng = np.random.default_rng(23)
N = 90
LEVELS = ["10", "9", "low", "high"]


def frame(n: int = N) -> pd.DataFrame:
    """Columns of every kind with labels; every column but the response and the group has missing values."""
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": np.round(rng.normal(size=n), 1),
            "k": pd.array(rng.integers(8, 12, n), dtype="Int64"),
            "l": pd.array(rng.random(n) < 0.4, dtype="boolean"),
            "s": pd.array(rng.choice(["10", "9", "B", "a", "TRUE", "F"], n), dtype="string"),
            "f": pd.Categorical(rng.choice(LEVELS, n), categories=LEVELS),
            "f2": pd.Categorical(rng.choice(LEVELS, n), categories=LEVELS[::-1]),
            "o": pd.Categorical(rng.choice(LEVELS, n), categories=LEVELS, ordered=True),
            "o2": pd.Categorical(rng.choice(LEVELS, n), categories=LEVELS, ordered=True),
            "d": [dt.date(2020, 1, 1) + dt.timedelta(int(days)) for days in rng.integers(0, 400, n)],
            "g": pd.Categorical(np.arange(n) % 9),
        }
    )
    for place, name in enumerate(data.columns[1:-1]):
        data.loc[data.index[place::23], name] = None
    return data


DATA = frame()

#: A term, evaluated in R and here.
TERMS = """
ifelse(f == 'low', 1, 0)
ifelse(s == 'a', 1, 0)
ifelse(s == 'a', 'p', 'q')
ifelse(s > 'B', s, 'other')
ifelse(is.na(s), 'none', s)
ifelse(is.na(f), 'none', as.character(f))
ifelse(f == '9', f, 0)
ifelse(x > 0, f, 'q')
ifelse(x > 0, 'q', o)
ifelse(x > 0, 'q', x)
ifelse(x > 0, 'q', l)
ifelse(l, x, 'q')
ifelse(l, NA, s)
ifelse(l, TRUE, k)
ifelse(l, d, 0)
ifelse(s, 1, 2)
ifelse(x, 'a', 'b')
ifelse(x > 0, c(1, 2), 9)
ifelse(x > 0, poly(k, 1, raw = TRUE), -1)
ifelse(scale(k) > 0, 'late', 'early')
ifelse(d > '2020-06-01', 'late', 'early'):x
factor(ifelse(s %in% c('a', 'B'), 'letter', ifelse(s == '9', 'nine', 'else')), levels = c('nine', 'letter', 'else'))
I(ifelse(o >= 'low', x, -x))
ifelse(o >= 'low' & !(f == '9'), 1L, 2L)
I(s < 'a')
I(s >= '9')
I(s == k)
I(x < '0')
I(l == 'TRUE')
I(l < 'TRUE')
I(f == s)
I(f != f2)
I(f == k)
I(k == f)
I(o == 10)
I(o != 'zz')
I(o > 9)
I('low' > o)
I(o <= s)
I(o < o2)
I(o == o2)
I(d > '2020-06-01')
I(d <= '2020/6/1 12:00')
I('2020-06-01' != d)
I(d > 18400)
I(k %in% '9')
I(x %in% c('0.1', '-1'))
I(l %in% 'TRUE')
I(x %in% NA)
I(x %in% c(0.1, NA))
I(s %in% c('a', NA))
I(f %in% k)
I(f %in% s)
I(k %in% f)
I(o %in% c('low', 'zz'))
I(!(f %in% 'low'))
I(scale(k) > 0)
I(is.na(f) & l)
xor(f == 'low', l)
I(as.logical(s))
c(s == '9') + x
""".strip().splitlines()

#: Refused: R has an error, or an answer that is missing in every row, or one that depends on its version or time zone.
REFUSED = {
    "I(f < 'low')": "not meaningful for unordered factors",
    "I(o < 'zz')": "'zz' is not a level of the ordered factor (10, 9, low, high)",
    "I(o == f)": "ordered factor with an unordered one",
    "I(o < factor(o, levels = c('9', 'low', '10', 'high')))": "level sets of the two factors are different",
    "I(f == factor(k))": "level sets of the two factors are different",
    "I(s == c('a', 'b'))": "the sides have 90 and 2 values",
    "I(d > 'soon')": "'soon' is not a date",
    "I(d > '2020-02-31')": "'2020-02-31' is not a date",
    "I(d == f)": "does not compare a date with a factor",
    "I(d %in% '2020-06-01')": "R before 4.3 finds no date",
    "I(t > '2020-06-01')": "time zone of its session",
    "I(poly(k, 2, raw = TRUE) > 9)": "a matrix cannot be a logical variable",
    "I(poly(k, 2, raw = TRUE) %in% 9)": "a matrix cannot be a logical variable",
    "ifelse(f, 1, 2)": "f is neither a logical nor a number",
    "I(!s)": "s is neither a logical nor a number",
    "I(f & l)": "f is neither a logical nor a number",
    "I(s & l)": "s is neither a logical nor a number",
}


@pytest.mark.r
@pytest.mark.parametrize("term", TERMS)
def test_labels_are_compared_as_r_compares_them(term):
    # DATA's own missing values: both sides leave the same rows out
    known = DATA.dropna(subset=["k"]) if "poly(k" in term else DATA
    theirs, ours = stats.model_matrix(f"y ~ {term}", known), model_matrix(f"y ~ {term}", known)
    assert list(ours.columns) == list(theirs.columns)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("term", REFUSED)
def test_what_cannot_be_compared_is_refused_with_the_reason(term):
    data = DATA.assign(t=pd.Timestamp("2020-06-01"), k=DATA["k"].fillna(9))
    with pytest.raises(FormulaError, match=re.escape(REFUSED[term])):
        model_matrix(f"y ~ {term}", data)


@pytest.mark.r
@pytest.mark.parametrize(
    "text", ["y ~ x + \u0661", "y ~ I(x * \uff11)", "y ~ I(x^\u0662)", "y ~ I(x * 1e\u0662)", "y ~ \u0663"]
)
def test_digits_of_other_scripts_are_no_numbers(text):
    for refused in (model_matrix, stats.model_matrix):
        with pytest.raises(ValueError, match=r"unexpected|not be read|unknown|R:|operator|syntax"):
            refused(text, DATA)
    words = DATA.assign(s=["\u0661", "2.5", " 3 "] * 30)
    assert model_matrix("y ~ as.numeric(s)", words)["as.numeric(s)"].unique().tolist() == [2.5, 3.0]


@pytest.mark.r
@pytest.mark.parametrize(
    "formula", ["y ~ ifelse(f == 'low', 1, 0) + (1 | g)", "y ~ ifelse(s > 'B', 'p', 'q') * x + (1 | g)"]
)
def test_models_with_chosen_labels_agree_with_r_on_new_data_too(formula):
    data = DATA.assign(y=DATA["y"] + rng.normal(size=9)[np.arange(N) % 9])
    new = data.dropna().head(30)
    theirs, ours = lme4.lmer(formula, data), lmer(formula, data)
    np.testing.assert_allclose(ours.fixef(), theirs.fixef(), rtol=1e-5)
    assert list(ours.fixef().index) == list(theirs.fixef().index)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-5)
