"""Where the data do not determine the variance components, two different answers are neither right nor wrong."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from validation import compare_fits
from validation.faults import at_theta
from validation.references.recorded import RecordedLmerFit
from validation.verdict import Verdict


@pytest.fixture(scope="module")
def twins():
    """A grouping factor twice, under two names: only the sum of their variances has a value."""
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(12), 6)
    y = rng.normal(size=12)[g] + rng.normal(size=72)
    return pd.DataFrame({"y": y, "x": rng.normal(size=72), "g": [f"a{i}" for i in g], "h": [f"b{i}" for i in g]})


def fitted(data, start, formula="y ~ x + (1 | g) + (1 | h)"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(formula, data, start=start)


def test_two_points_of_a_flat_ridge_are_inconclusive(twins):
    first, second = fitted(twins, [1.0, 0.1]), fitted(twins, [0.1, 1.0])
    assert abs(first.getME("theta").iloc[0] - second.getME("theta").iloc[0]) > 0.1  # else this tests nothing
    result = compare_fits(first, second, data=twins)
    assert result.verdict is Verdict.INCONCLUSIVE, result
    assert any("do not determine all variance components" in note for note in result.notes)
    rows = result.table
    assert set(rows.loc[rows["quantity"].isin(["fixef", "sigma"]), "verdict"]) == {Verdict.AGREES}
    assert Verdict.INCONCLUSIVE in set(rows.loc[rows["quantity"] == "ranef", "verdict"])


def test_a_wrong_number_on_the_ridge_still_disagrees(twins):
    first, second = fitted(twins, [1.0, 0.1]), fitted(twins, [0.1, 1.0])
    sigma = second.sigma()
    second.sigma = lambda: 1.01 * sigma  # type: ignore[method-assign]
    assert compare_fits(first, second, data=twins).verdict is Verdict.DISAGREES


def test_a_wrong_number_of_the_reference_is_no_question_of_the_ridge(twins):
    first, second = fitted(twins, [1.0, 0.1]), fitted(twins, [0.1, 1.0])
    sigma = first.sigma()
    first.sigma = lambda: 1.01 * sigma  # type: ignore[method-assign]
    assert compare_fits(first, second, data=twins).verdict is Verdict.DISAGREES


def test_one_theta_is_not_a_ridge(twins):
    """Both at the same θ: the objective does not vary between them, and a wrong coefficient is wrong."""
    right = RecordedLmerFit.of(fitted(twins, None, "y ~ x + (1 | g)"), live=True)
    coefficients = right.coefficients.copy()
    coefficients.loc["x", "Estimate"] += 1e-3
    wrong = replace(right, coefficients=coefficients)
    for reference, candidate in ((wrong, right), (right, wrong)):
        assert compare_fits(reference, candidate, data=twins).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("excess", [1e-9, 1e-7])
def test_an_optimizer_that_stopped_early_is_not_excused(twins, excess):
    """One term: where the criterion has a curvature, as good an optimum is at the same θ."""
    right = fitted(twins, None, "y ~ x + (1 | g)")
    theta = right.getME("theta").to_numpy()
    step = 1e-6
    while right.devfun(theta + step) - right.devfun(theta) < excess:
        step *= 1.1
    stopped = at_theta(RecordedLmerFit.of(right, live=True), theta + step)
    assert compare_fits(right, stopped, data=twins).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g) + (1 | g)", "y ~ x + (1 | g) + (x | g)"])
def test_one_effect_in_two_terms_has_one_verdict(twins, formula):
    """Each of both has its own BLUPs; that they are not determined is said of all of them alike."""
    x, rng = twins["x"].to_numpy(), np.random.default_rng(5)
    twins = twins.assign(y=twins["y"] + 2.0 * x * rng.normal(size=12)[np.repeat(np.arange(12), 6)])
    size = 2 if formula.endswith("(1 | g)") else 4
    first, second = (fitted(twins, [a, b, 0.0, 1.0][:size], formula) for a, b in ((1.0, 0.1), (0.1, 1.0)))
    assert abs(first.getME("theta").iloc[0] - second.getME("theta").iloc[0]) > 0.05  # else this tests nothing
    result = compare_fits(first, second, data=twins)
    rows = result.table
    assert not any(verdict.failed for verdict in rows["verdict"]), result
    ranef = rows[rows["quantity"] == "ranef"]
    assert {"(Intercept)", "(Intercept) (2)"} <= set(ranef["term"])
    assert (rows["quantity"] == "condsd").sum() == len(ranef)
    modes = second.ranef()
    modes["g"].iloc[3, 1] += 0.01
    second.ranef = lambda: modes  # type: ignore[method-assign]
    assert compare_fits(first, second, data=twins).verdict is Verdict.DISAGREES
