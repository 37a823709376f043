"""A version is named as the cause where undoing its change gives the numbers, and never excuses another number."""

import math

import pandas as pd
import pytest

from validation.comparison import Side
from validation.judge.diagnosis import dialect_of_side, version_cause
from validation.judge.rows import missing_row, row
from validation.quantities import named
from validation.verdict import Verdict

OLD = Side("lme4 1.1-31, live", "live-r", {"lme4": "1.1-31", "R": "4.2.2"})
NEW = Side("pyimpl", "python", {})


class Fit:
    """What is read of a fit: its labels."""

    def __init__(self, group="(g:h)", levels=("1:a", "1:b"), rows=("1:a", "1:b", "1:b"), theta="(Intercept)"):
        self.parts = {
            "theta": pd.Series([1.0], index=[f"{group}.{theta}"]),
            "flist": pd.DataFrame({group: pd.Categorical(rows, categories=levels)}),
        }

    def getME(self, name):
        return self.parts[name]


FITS = (Fit(), Fit(group="g:h"))


def rows(value=2.0, group="g:h"):
    return [
        missing_row(named("sd", "(g:h)", "(Intercept)"), True, False, (2.0, math.nan)),
        missing_row(named("sd", group, "(Intercept)"), False, True, (math.nan, value)),
        row(named("theta-names"), 1, 1, Verdict.DISAGREES, "different labels"),
        missing_row(named("levels", "(g:h)"), True, False),
        missing_row(named("membership", "g:h"), False, True),
    ]


def test_the_name_of_an_interaction_is_the_versions():
    cause = version_cause(rows(), OLD, NEW, FITS)
    assert cause.name == "another-version"
    assert "lme4 1.1-31" in cause.title
    assert "since lme4 1.1-36" in cause.evidence


def test_no_other_difference_is_excused():
    assert version_cause(rows(value=2.1), OLD, NEW, FITS) is None
    assert version_cause(rows(group="h:g"), OLD, NEW, FITS) is None
    other = row(named("sigma"), 1.0, 1.1, Verdict.DISAGREES)
    assert version_cause([*rows(), other], OLD, NEW, FITS) is None
    assert version_cause(rows(), NEW, NEW, FITS) is None
    assert version_cause([], OLD, NEW, FITS) is None


@pytest.mark.parametrize(
    "candidate",
    [
        Fit(group="g:h", levels=("1:b", "1:a")),
        Fit(group="g:h", rows=("1:b", "1:a", "1:b")),
        Fit(group="g:h", theta="x"),
        Fit(group="h:g"),
        None,
    ],
)
def test_labels_that_differ_in_more_than_parentheses_are_not_excused(candidate):
    assert version_cause(rows(), OLD, NEW, FITS) is not None
    assert version_cause(rows(), OLD, NEW, (FITS[0], candidate)) is None


def test_who_speaks_which_dialect():
    assert dialect_of_side(OLD).versions["lme4"] == "1.1-31"
    assert dialect_of_side(Side("certified", "certified")).versions["lme4"] == dialect_of_side(NEW).versions["lme4"]
    assert dialect_of_side(Side("recorded", "recorded-r", {})) is None
    assert dialect_of_side(Side("own", "python", {"dialect": "1.1-37"})).versions["lme4"] == "1.1-37"
