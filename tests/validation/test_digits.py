"""Digits of agreement."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.judge.rows import digits


@pytest.mark.parametrize(
    ("value", "reference", "expected"),
    [
        (1.0, 1.0, 15.0),
        (1.001, 1.0, 3.0),
        (-1.001, -1.0, 3.0),
        (1e-8, 0.0, 8.0),
        (0.0, 0.0, 15.0),
        (2.0, 1.0, 0.0),
        (5.0, 1.0, 0.0),
        (math.inf, 1.0, 0.0),
        (math.inf, math.inf, 15.0),
    ],
)
def test_log_relative_error(value, reference, expected):
    assert digits(value, reference) == pytest.approx(expected, abs=1e-9)


def test_never_more_digits_than_the_reference_has():
    assert digits(1.0 + 2.0**-52, 1.0) == 15.0
    assert digits(1.0, 1.0) == 15.0


def test_missing_is_missing():
    assert math.isnan(digits(math.nan, 1.0))
    assert math.isnan(digits(1.0, math.nan))


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_always_between_0_and_15(value, reference):
    assert 0.0 <= digits(value, reference) <= 15.0
