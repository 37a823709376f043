"""Minima on the boundary and inside it, ridges without an end, and criteria without a lowest value."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import ConvergenceWarning
from pyimpl.likelihood import local_search, starts
from pyimpl.likelihood.edges import carries_others, turn_to_covariances
from pyimpl.likelihood.optimum import optimize
from tests.pyimpl import random_fits
from tests.pyimpl.golden_designs import design


def few_levels(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(5), 6)
    x = rng.normal(size=g.size)
    y = rng.normal(size=g.size) + rng.normal(size=5)[g] + rng.normal(size=5)[g] * x
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g)})


@pytest.mark.filterwarnings("ignore")
def test_no_start_leads_below_the_minimum():
    for seed in range(20):
        fit = lmer("y ~ x + (x | g)", few_levels(seed), REML=False)
        rng = np.random.default_rng(seed)
        for _ in range(8):
            start = rng.normal(size=3) * 10.0 ** rng.uniform(-1, 1)
            assert optimize(fit.model.objective, [start]).final_objective > fit.model.value - 1e-6, seed


@pytest.mark.filterwarnings("ignore")
def test_of_a_minimum_inside_and_one_on_the_boundary_the_lower_is_found(monkeypatch):
    formula, data, options = design(1039)  # 36 rows: 122.54 inside, 122.44 on the boundary
    fit = lmer(formula, data, **options)
    assert fit.isSingular()
    monkeypatch.setattr(starts, "boundary_starts", lambda *_: [])
    monkeypatch.setattr(starts, "spread_starts", lambda *_: [])
    inside = lmer(formula, data, **options)
    assert not inside.isSingular()
    assert fit.model.value < inside.model.value - 0.1


@pytest.mark.filterwarnings("ignore")
def test_an_effect_in_two_terms_is_gone_only_without_both_of_its_variances(monkeypatch):
    _, (formula, data, options) = random_fits.model(801973)  # 25 rows, x and the intercept twice
    fit = lmer(formula, data, **options)
    assert fit.isSingular()
    both = starts.boundary_starts
    monkeypatch.setattr(starts, "boundary_starts", lambda *given: both(*given[:-1], False))
    one_by_one = lmer(formula, data, **options)
    assert fit.model.value < one_by_one.model.value - 0.09


def a_variance_near_zero_between_others(seed):
    """Data of `y ~ a + b + (a + b | g)` where a's effects hardly vary, and the little they do goes with b's."""
    rng = np.random.default_rng(seed)
    levels = int(rng.integers(12, 50))
    rows = levels * int(rng.integers(6, 25))
    g = rng.integers(0, levels, rows)
    X = np.column_stack([np.ones(rows), rng.choice([-0.5, 0.5], rows), rng.normal(size=rows)])
    effects = rng.normal(size=(levels, 3)) * [1.0, 0.0, 1.0]
    y = X @ rng.normal(size=3) + (X * effects[g]).sum(axis=1) + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "a": X[:, 1], "b": X[:, 2], "g": pd.Categorical(g)})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [565, 2346])
def test_a_variance_near_zero_between_others_is_reached(seed, monkeypatch):
    data = a_variance_near_zero_between_others(seed)
    fit = lmer("y ~ a + b + (a + b | g)", data, REML=False)
    assert fit.model.optsum.return_code == 0
    assert 0.0 < fit.getME("theta").iloc[3] < 1e-3
    # the way down from a column of zeros is too narrow for a search in the plain coordinates
    monkeypatch.setattr(local_search, "turn_to_covariances", lambda objective, factor, theta, k: theta)
    plain = lmer("y ~ a + b + (a + b | g)", data, REML=False)
    assert plain.model.optsum.return_code == 2
    assert plain.model.value > fit.model.value + 1e-7
    assert plain.model.optsum.evaluations > 1.5 * fit.model.optsum.evaluations


@pytest.mark.parametrize("effects", ["a + b", "a + b + I(a * b)"])
def test_a_turned_template_is_the_same_and_slopes_along_the_variance(effects):
    objective = lmer(f"y ~ a + b + ({effects} | g)", a_variance_near_zero_between_others(1), REML=False).model.objective
    (factor,) = objective.blocks.factors
    rng = np.random.default_rng(5)
    theta = np.zeros(objective.blocks.n_theta)
    for row, column, at in factor.elements:
        theta[at] = 0.0 if column == 1 else (1.0 + rng.random() if row == column else rng.normal())
    assert carries_others(factor, theta, 1)
    turned = turn_to_covariances(objective, factor, theta, 1)
    before, after = factor.template(theta), factor.template(turned)
    np.testing.assert_allclose(after @ after.T, before @ before.T, rtol=0, atol=1e-12)
    pivot = next(at for row, column, at in factor.elements if row == column == 1)
    assert turned[pivot] == 0.0
    assert abs(objective.value_and_gradient(theta)[1][pivot]) < 1e-10
    assert abs(objective.value_and_gradient(turned)[1][pivot]) > 1e-2
    # of all ways to turn it the steepest
    slopes = []
    for _ in range(20):
        size = factor.p - 2
        other = before.copy()
        mixed = before[2:, 2:] @ np.linalg.qr(rng.normal(size=(size, size)))[0]
        other[2:, 1] = mixed[:, 0]
        other[2:, 2:] = 0.0
        other[2:, 2 : factor.p - 1] = np.linalg.qr(mixed[:, 1:].T, mode="r").T
        place = theta.copy()
        for row, column, at in factor.elements:
            place[at] = other[row, column]
        slopes.append(abs(objective.value_and_gradient(place)[1][pivot]))
    assert max(slopes) <= abs(objective.value_and_gradient(turned)[1][pivot]) * (1 + 1e-9)


def confounded(seed):
    rng = np.random.default_rng(seed)
    f, g = rng.integers(0, 4, 120), rng.integers(0, 15, 120)
    y = 3.0 * f + rng.normal(size=15)[g] + rng.normal(size=120)
    return pd.DataFrame({"y": y, "f": pd.Categorical(f), "g": pd.Categorical(g)})


@pytest.mark.filterwarnings("ignore")
def test_a_flat_ridge_is_not_walked_along():
    for seed in range(5):
        data = confounded(seed)
        # the REML criterion does not depend on the variance of effects that the fixed ones take up
        fit = lmer("y ~ 0 + f + (1 | f) + (1 | g)", data)
        plain = lmer("y ~ 0 + f + (1 | g)", data)
        assert fit.REMLcrit() == pytest.approx(plain.REMLcrit(), abs=1e-7)
        assert max(fit.getME("theta")) < 1e3
        far = optimize(fit.model.objective, [np.array([fit.getME("theta").iloc[0], 5e6])])
        assert max(far.final) < 1e3


@pytest.mark.filterwarnings("ignore::pyimpl.errors.SingularFitWarning")
def test_a_criterion_without_a_lowest_value_is_said_to_be_such():
    rng = np.random.default_rng(3)
    columns = {name: rng.normal(size=12) for name in ("y", "x", "u", "v", "w", "z")}
    data = pd.DataFrame({**columns, "g": pd.Categorical(np.repeat(np.arange(4), 3))})
    # 4 covariates and 8 random effects for 12 rows, which they fit exactly
    with pytest.warns(ConvergenceWarning, match="no lowest value .*random effects fit the 12 rows exactly"):
        fit = lmer("y ~ x + u + v + w + (z | g)", data, REML=False)
    assert np.isfinite(fit.deviance())
    assert max(fit.getME("theta")) < 1e5
    far = [fit.devfun([size, 0.0, size]) for size in (1e2, 1e4, 1e6)]
    assert far[0] > far[1] > far[2]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lmer("y ~ x + u + (z | g)", data, REML=False)
    assert not any("no lowest value" in str(one.message) for one in caught)
