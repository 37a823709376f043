"""Gate 5 on what belongs together: draws of each parameter right, of all together wrong."""

import numpy as np
import pytest
from scipy.stats import kstest

from validation import Verdict, compare_draws
from validation.judge.posteriors import correlation, p_value, pairs


def draws(seed, correlation=0.6, chains=4, n=1000, phi=0.0):
    """An intercept, a slope, and the effects of two groups, which hang together; autoregressive in time."""
    rng = np.random.default_rng(seed)
    r = np.array([[1, correlation, -0.5, 0], [correlation, 1, 0, 0], [-0.5, 0, 1, 0.2], [0, 0, 0.2, 1]])
    z = rng.normal(size=(chains, n, 4)) @ np.linalg.cholesky(r).T
    for i in range(1, n):
        z[:, i] = phi * z[:, i - 1] + np.sqrt(1 - phi**2) * z[:, i]
    names = ["(Intercept)", "x", "b[(Intercept) g:1]", "b[(Intercept) g:2]"]
    return {name: z[:, :, k] for k, name in enumerate(names)}


def shuffled(posterior, name, seed=5):
    order = np.random.default_rng(seed).permutation(posterior[name].size)
    return {**posterior, name: posterior[name].ravel()[order].reshape(posterior[name].shape)}


def test_every_pair_of_main_parameters_and_each_random_effect_with_its_coefficient():
    names = ["(Intercept)", "x", "sigma", "b[(Intercept) g:1]", "b[x g:1]", "b[z g:1]", "b[x g:_NEW_g]"]
    assert pairs(names[:3], names) == [
        ("(Intercept)", "x"), ("(Intercept)", "sigma"), ("x", "sigma"), ("(Intercept)", "b[(Intercept) g:1]"),
        ("x", "b[x g:1]"), ("x", "b[x g:_NEW_g]"),
    ]  # fmt: skip


def test_two_right_samplers_agree():
    result = compare_draws(draws(1, phi=0.5), draws(2, phi=0.3))
    assert result.verdict is Verdict.AGREES, result
    rows = result.table[result.table["quantity"] == "dependence"]
    assert len(rows) == 3  # one pair of main parameters, two random effects with the intercept
    assert "3 pairs" in next(check for check in result.checks if check.id == "gate-5").summary


@pytest.mark.parametrize("name", ["x", "b[(Intercept) g:1]"])
def test_draws_shuffled_by_parameter_are_caught_and_named(name):
    result = compare_draws(draws(1), shuffled(draws(2), name))
    assert result.verdict is Verdict.DISAGREES
    failed = result.table[result.table["verdict"] == Verdict.DISAGREES]
    assert set(failed["quantity"]) == {"dependence"}  # no margin sees it
    assert result.causes[0].name == "torn-apart", result.causes
    assert name in result.causes[0].evidence


def test_a_weaker_dependence_is_caught_and_not_called_lost():
    result = compare_draws(draws(1, 0.6), draws(2, 0.4))
    assert result.verdict is Verdict.DISAGREES
    assert "torn-apart" not in [cause.name for cause in result.causes]


def test_a_parameter_that_is_another_one_is_not_called_torn_apart():
    """An intercept at centred predictors lies elsewhere, and hangs no longer together with the slope."""
    wrong = shuffled(draws(2), "(Intercept)")
    assert "torn-apart" in [cause.name for cause in compare_draws(draws(1), wrong).causes]
    wrong["(Intercept)"] = wrong["(Intercept)"] + 1.0
    assert "torn-apart" not in [cause.name for cause in compare_draws(draws(1), wrong).causes]


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_the_p_values_of_right_samplers_are_uniform_or_larger(phi):
    found = []
    for seed in range(150):
        left, right = draws(2 * seed, phi=phi, n=400), draws(2 * seed + 1, phi=phi, n=400)
        sides = [correlation(side["(Intercept)"], side["b[(Intercept) g:2]"]) for side in (left, right)]
        found.append(p_value(*sides, 60.0))
    assert kstest(found, "uniform", alternative="greater").pvalue > 0.01  # small p-values are not too many


def test_a_parameter_that_does_not_vary_on_both_sides_is_no_difference():
    still = np.ones((4, 100))
    assert p_value(correlation(still, still), correlation(still, still), 60.0) == 1.0
    varying = correlation(
        np.random.default_rng(1).normal(size=(4, 100)), np.random.default_rng(2).normal(size=(4, 100))
    )
    assert p_value(correlation(still, still), varying, 60.0) == 0.0
