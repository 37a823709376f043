"""A response that the effects fit exactly, as a school's in data of students: the criterion has no lowest value."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import ConvergenceWarning, PyimplWarning
from pyimpl.likelihood.exact_fit import fits_exactly
from tests.pyimpl.random_fits import model


def schools(rows=300, noise=0.0):
    """Students in schools and classes: a response of the schools', and one of schools' and classes' together."""
    rng = np.random.default_rng(1)
    g, h = rng.integers(0, 30, rows), rng.integers(0, 10, rows)
    data = pd.DataFrame({"x": rng.normal(size=rows), "t": rng.integers(0, 5, rows).astype(float)})
    for name, codes in (("g", g), ("h", h), ("k", g // 4)):
        data[name] = pd.Categorical([f"{name}{code}" for code in codes])
    school, slope, other = rng.normal(size=30), rng.normal(size=30), rng.normal(size=10)
    error = noise * rng.normal(size=rows)
    data["school"], data["growth"] = school[g] + error, slope[g] * data["t"] + error
    return data.assign(both=school[g] + other[h] + 2 * data["x"] + error)


@pytest.mark.parametrize(
    "formula",
    [
        "school ~ x + (1 | g)", "school ~ x + (1 | g) + (1 | h)", "school ~ x + (1 | k/g)", "growth ~ x + (t | g)",
        "school ~ x + (t || g)", "both ~ x + (1 | g) + (1 | h)", "both ~ (1 | h) + (1 | g) + offset(2 * x)",
        "school ~ x + cs(t | g)",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_it_is_said_that_the_criterion_has_no_lowest_value(formula):
    with pytest.warns(ConvergenceWarning, match="no lowest value .*fit the 300 rows exactly"):
        fit = lmer(formula, schools(), dialect="2.0-1")
    assert fit.model.unbounded
    assert not fit.model.optsum.converged
    assert fits_exactly(fit.design)


@pytest.mark.parametrize(
    ("formula", "noise"),
    [
        ("school ~ x + (1 | g)", 1e-9), ("school ~ x + (1 | g)", 1e-4), ("growth ~ x + (t | g)", 1e-4),
        ("both ~ x + (1 | g) + (1 | h)", 1e-4),
    ],
)  # fmt: skip
def test_small_residuals_are_residuals(formula, noise):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = lmer(formula, schools(noise=noise))
    assert not fits_exactly(fit.design)
    assert not any("no lowest value" in str(one.message) for one in caught)


def test_effects_that_fit_any_response_are_no_exact_fit():
    """As many effects as rows: the criterion rises far away, and its minimum is where it was."""
    data = schools().iloc[:24].assign(y=np.arange(24.0) ** 2 % 7)
    many = lmer("y ~ x + (t || k) + (x || g) + (1 | h)", data)
    assert many.design.q > 24
    assert not fits_exactly(many.design)
    few = lmer("school ~ x + (1 | h)", data)
    assert not fits_exactly(few.design)


def test_an_exact_fit_far_away_is_not_taken_for_noise():
    """The criterion, where it falls, was called noise, and a search that ended at 0 the better one, 780 above."""
    formula, data, options = model(900234)[1]
    with pytest.warns(PyimplWarning, match="no lowest value"):
        fit = lmer(formula, data, **options)
    assert fit.model.optsum.final_objective < fit.devfun(np.zeros(2)) - 700
