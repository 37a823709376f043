"""The compiled collapsed density: points side by side, alone, and by LAPACK give one result; failures stay alone."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import stan_lmer
from pyimpl.linalg.batch import BATCH
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.elimination import log_likelihood, reduce
from pyimpl.posterior.gradient import log_density_gradient
from pyimpl.posterior.specification import Specification
from tests.pyimpl.posterior_cases import specification_of


def _crossed(items: int, formula: str) -> Specification:
    rng = np.random.default_rng(items)
    rows = 6 * items
    person, item, x = rng.integers(0, 2 * items, rows), rng.integers(0, items, rows), rng.normal(size=rows)
    y = rng.normal(size=2 * items)[person] + rng.normal(size=items)[item] + x + rng.normal(size=rows)
    data = pd.DataFrame({"y": y, "x": x, "person": person.astype(str), "item": item.astype(str)})
    return stan_lmer(formula, data, chains=1, iter=4, seed=1).spec


@pytest.fixture(scope="module")
def large() -> CollapsedDensity:
    """A component of 140 columns: LAPACK's."""
    return CollapsedDensity(_crossed(140, "y ~ x + (1 | person) + (1 | item)"))


def _dense(density: CollapsedDensity, u: np.ndarray) -> np.ndarray:
    """The log density less its prior and constants, from V itself."""
    spec, values = density.spec, density.values(u)
    out = []
    for i in range(len(u)):
        V = np.eye(spec.y.size)
        for term, Lambda in zip(spec.terms, values.Lambda, strict=True):
            Z = term.columns @ Lambda[i]
            V += (Z @ Z.T) * (term.codes[:, None] == term.codes)
        Vi = np.linalg.inv(V)
        X, r, s2 = spec.X1, spec.y - spec.X1 @ density.centre, values.sigma[i] ** 2
        D, d = values.precision[i], density.prior_location
        A = X.T @ Vi @ X / s2 + np.diag(D)
        c = np.linalg.solve(A, X.T @ Vi @ r / s2 + D * d)
        e = r - X @ c
        quad = e @ Vi @ e / s2 + np.sum(D * (c - d) ** 2)
        value = -0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(A)[1] + quad) + 0.5 * np.log(D).sum()
        out.append(value - spec.y.size * np.log(values.sigma[i]) + values.log_prior[i])
    return np.array(out)


def test_a_component_for_lapack_has_the_density_of_dense_matrices_and_its_gradient(large: CollapsedDensity) -> None:
    u = large.start() + 0.2 * np.random.default_rng(1).standard_normal((3, large.dim))
    expected, got = _dense(large, u), large.log_density(u)
    np.testing.assert_allclose(np.diff(got), np.diff(expected), rtol=1e-9)
    value, gradient = log_density_gradient(large, u)
    np.testing.assert_allclose(value, got, rtol=1e-12)
    for k in range(large.dim):
        step = np.zeros(large.dim)
        step[k] = 1e-4
        one = large.log_density(u + step) - large.log_density(u - step)
        two = large.log_density(u + 2 * step) - large.log_density(u - 2 * step)
        np.testing.assert_allclose(gradient[:, k], (8 * one - two) / 12e-4, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["M1", "M3", "crossed", "four_two", "hs"])
def test_a_point_s_value_does_not_depend_on_those_beside_it(name: str) -> None:
    density = CollapsedDensity(specification_of(name))
    u = density.start() + 0.5 * np.random.default_rng(2).standard_normal((2 * BATCH + 1, density.dim))
    value, gradient = log_density_gradient(density, u)
    for n in range(1, BATCH + 2):
        np.testing.assert_array_equal(density.log_density(u[:n]), density.log_density(u)[:n])
        again, slope = log_density_gradient(density, u[:n])
        np.testing.assert_array_equal(again, value[:n])
        np.testing.assert_allclose(slope, gradient[:n], rtol=1e-12)


def test_lanes_have_the_logarithms_that_a_number_alone_has() -> None:
    """Determinants from 1 to e^500, side by side and each alone."""
    density = CollapsedDensity(specification_of("M1"))
    Lambda = np.exp(np.linspace(-50.0, 250.0, 301)).reshape(-1, 1, 1, 1)
    logdet, _ = reduce(density.statistics, Lambda)
    n, columns = len(Lambda), density.spec.X1.shape[1]
    # σ so large that the data say nothing, and coefficients whose prior precision is 1: log|V| is all that is left
    got = log_likelihood(density.statistics, Lambda, np.full(n, 1e150), np.ones((n, columns)), np.zeros((n, columns)))
    np.testing.assert_allclose(-2.0 * got, logdet, rtol=1e-14, atol=1e-200)


def test_a_point_outside_the_range_leaves_those_beside_it_alone() -> None:
    density = CollapsedDensity(specification_of("crossed"))
    u = np.repeat(density.start()[None], BATCH, axis=0)
    u[1, 1] = 400.0  # a standard deviation of e^400
    value, gradient = log_density_gradient(density, u)
    assert value[1] == -np.inf
    assert (gradient[1] == 0).all()
    assert np.isfinite(value[[0, 2, 3][: BATCH - 1]]).all()
    # the density with its gradient and the density alone are summed in another order: equal to rounding
    np.testing.assert_allclose(value[0], density.log_density(u[:1])[0], rtol=1e-14)
    draws = density.conditional_draws(density.values(u), np.random.default_rng(3))
    for part in (draws.coef, draws.b_matrix, draws.rss[:, None], draws.z_square[:, None]):
        assert np.isfinite(part[[0, 2, 3][: BATCH - 1]]).all()
    assert np.isnan(draws.rss[1])


def test_draws_have_the_moments_that_are_computed_without_them(large: CollapsedDensity) -> None:
    values = large.values(np.repeat(large.start()[None], 4000, axis=0))
    draws = large.conditional_draws(values, np.random.default_rng(3))
    mean, covariance = large.coefficient_moments(large.values(large.start()[None]))
    error = np.sqrt(np.diagonal(covariance[0]) / 4000)
    assert (np.abs(draws.coef.mean(axis=0) - mean[0]) < 5 * error).all()
    np.testing.assert_allclose(
        np.cov(draws.coef, rowvar=False), covariance[0], rtol=0.15, atol=0.15 * error.max() ** 2 * 4000
    )
    spec = large.spec
    residual = spec.y - draws.coef[:5] @ spec.X1.T
    for term, b in zip(spec.terms, draws.b, strict=True):
        residual -= np.einsum("kp,nkp->nk", term.columns, b[:5][:, term.codes])
    np.testing.assert_allclose(draws.rss[:5], np.sum(residual**2, axis=1), rtol=1e-9)
