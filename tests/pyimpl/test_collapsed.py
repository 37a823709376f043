"""The collapsed density against dense linear algebra, and its exact draws against their exact moments."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import ModelError
from pyimpl.linalg.batch import BATCH
from pyimpl.models.stan_lmer import stan_lmer
from pyimpl.posterior.collapsed import CollapsedDensity, CoordinateValues
from pyimpl.posterior.specification import Specification
from tests.pyimpl.posterior_cases import case_names, is_prior_PD, specification_of

PROPER = [name for name in case_names() if not is_prior_PD(name)]


def nested_specification() -> Specification:
    """g within a coarser factor: the rest falls apart into components."""
    spec = specification_of("two_one")
    g, h = spec.design.terms
    codes = g.codes // 3
    coarse = RandomTerm(
        "coarse", h.effects, tuple(f"c{k}" for k in range(codes.max() + 1)), codes.astype(np.intp), h.columns
    )
    return replace(spec, design=replace(spec.design, terms=(g, coarse)))


def _Z(term: RandomTerm) -> np.ndarray:
    N = term.codes.size
    Z = np.zeros((N, term.J * term.p))
    for k in range(term.p):
        Z[np.arange(N), term.codes * term.p + k] = term.columns[:, k]
    return Z


def _at(values: CoordinateValues, i: int) -> tuple[float, list[np.ndarray]]:
    return float(values.sigma[i]), [T[i] for T in values.T]


def _dense(spec: Specification, density: CollapsedDensity, values: CoordinateValues, i: int) -> float:
    """Log marginal likelihood by the N x N covariance matrix."""
    sigma, T = _at(values, i)
    w = np.ones(spec.y.size) if spec.weights is None else spec.weights
    V = np.diag(sigma**2 / w)
    for term, factor in zip(spec.terms, T, strict=True):
        Z = _Z(term)
        V += Z @ np.kron(np.eye(term.J), factor @ factor.T) @ Z.T
    X = spec.X1
    g, s = density.integrated, density.sampled
    residual = spec.y - X[:, s] @ values.fixed[i]
    D = values.precision[i]
    constant, power = spec.likelihood_constant
    # the textbook normaliser is replaced by rstanarm's (they differ with weights)
    correction = constant - power * np.log(sigma) + 0.5 * np.sum(np.log(2 * np.pi * sigma**2 / w))
    prior_mean = np.concatenate([spec.intercept.mean if spec.has_intercept else [], spec.coef.mean])[g]
    proper = D > 0
    own, flat = X[:, g[proper]], X[:, g[~proper]]
    V += own @ np.diag(1 / D[proper]) @ own.T
    residual = residual - own @ prior_mean[proper]
    # integrate exp(−½ r'V⁻¹r) over the coefficients with a flat prior
    solved = np.linalg.solve(V, np.column_stack([flat, residual]))
    A = flat.T @ solved[:, :-1]
    c = np.linalg.solve(A, flat.T @ solved[:, -1])
    quad = residual @ solved[:, -1] - c @ A @ c
    _, log_det = np.linalg.slogdet(2 * np.pi * V)
    flats = 0.5 * flat.shape[1] * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(A)[1]
    return -0.5 * (log_det + quad) + flats + correction


def _points(density: CollapsedDensity, n: int, spread: float) -> np.ndarray:
    return density.start() + spread * np.random.default_rng(8).standard_normal((n, density.dim))


@pytest.mark.parametrize("name", [*[n for n in PROPER if n not in ("M1", "M2")], "nested"])
def test_log_density_is_the_dense_marginal_likelihood_times_the_prior(name: str) -> None:
    spec = nested_specification() if name == "nested" else specification_of(name)
    density = CollapsedDensity(spec)
    u = _points(density, 2 if name == "M3" else 4, 0.5)
    values = density.values(u)
    got = density.log_density(u)
    for i in range(len(u)):
        assert got[i] - values.log_prior[i] == pytest.approx(_dense(spec, density, values, i), abs=1e-8, rel=1e-11)


def test_nested_designs_fall_apart_into_components() -> None:
    rest = CollapsedDensity(nested_specification()).reduced.rest
    assert rest.component_start.size - 1 == 5  # one for each level of the coarse factor
    crossed = CollapsedDensity(specification_of("crossed")).reduced.rest
    assert crossed.component_start.size - 1 == 1


@pytest.mark.parametrize("name", ["M1", "M3", "three_one", "decov", "student", "hs", "lasso"])
def test_log_prior_of_the_coordinates_is_normalised(name: str) -> None:
    """Its mean under itself of any density ratio is 1: importance sampling against exact prior draws."""
    from scipy.stats import multivariate_normal

    from pyimpl.posterior.sampler import _prior_coordinates

    density = CollapsedDensity(specification_of(name))
    u = _prior_coordinates(density, np.random.default_rng(0), 200_000)
    mean, covariance = u.mean(axis=0), np.cov(u.T)
    q = multivariate_normal(mean, 0.3 * covariance).logpdf(u)
    ratio = np.exp(q - density.values(u).log_prior)
    error = ratio.std() / np.sqrt(ratio.size)
    assert error < 0.05
    assert abs(ratio.mean() - 1) < 4.5 * error


@pytest.mark.parametrize(
    "name", ["M3", "two_one", "four_two", "nested", "weights", "student", "flat", "no_intercept", "hs", "qr_student"]
)
def test_conditional_draws_have_their_exact_moments(name: str) -> None:
    spec = nested_specification() if name == "nested" else specification_of(name)
    density = CollapsedDensity(spec)
    n = 20_000
    values = density.values(np.repeat(_points(density, 1, 0.2), n, axis=0))
    got = density.conditional_draws(values, np.random.default_rng(5))

    sigma, T = _at(values, 0)
    w = np.ones(spec.y.size) if spec.weights is None else spec.weights
    g, s = density.integrated, density.sampled
    Z = np.concatenate([_Z(term) for term in spec.terms], axis=1)
    M = np.concatenate([spec.X1[:, g], Z], axis=1)
    precision = (M.T * w) @ M / sigma**2
    prior = np.zeros_like(precision)
    prior[: g.size, : g.size] = np.diag(values.precision[0])
    at = g.size
    for term, factor in zip(spec.terms, T, strict=True):
        block = np.kron(np.eye(term.J), np.linalg.inv(factor @ factor.T))
        prior[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    m = np.zeros(M.shape[1])
    m[: g.size] = np.where(
        values.precision[0] > 0,
        np.concatenate([spec.intercept.mean if spec.has_intercept else [], spec.coef.mean])[g],
        0,
    )
    covariance = np.linalg.inv(precision + prior)
    response = spec.y - spec.X1[:, s] @ values.fixed[0]
    mean = covariance @ (M.T @ (w * response) / sigma**2 + prior @ m)

    draws = np.concatenate([got.coef[:, g], *[b[:, :-1].reshape(n, -1) for b in got.b]], axis=1)
    sd = np.sqrt(np.diag(covariance))
    z_mean = (draws.mean(axis=0) - mean) / (sd / np.sqrt(n))
    assert np.abs(z_mean).max() < 5
    assert np.sqrt(np.mean(z_mean**2)) < 1.5
    standardised = np.linalg.solve(np.linalg.cholesky(covariance), (draws - mean).T)
    # sample covariances of independent standard normals: sd 1/√n off the diagonal, √2/√n on it
    deviation = (standardised @ standardised.T / n - np.eye(len(m))) * np.sqrt(n)
    assert np.abs(deviation).max() < 7.5
    eta = draws @ M.T + (spec.X1[:, s] @ values.fixed[0])
    assert np.allclose(got.rss[:50], ((spec.y - eta[:50]) ** 2) @ w, rtol=1e-9)
    z = [np.linalg.solve(factor, np.swapaxes(b[:50], 1, 2)) for b, factor in zip(got.b, T, strict=True)]
    assert np.allclose(got.z_square[:50], sum((zi**2).sum(axis=(1, 2)) for zi in z), rtol=1e-9)
    assert np.array_equal(got.b_matrix, np.concatenate([b.reshape(n, -1) for b in got.b], axis=1))
    # the padded level is a draw from its prior
    new = np.linalg.solve(T[0], got.b[0][:, -1].T)
    assert np.abs(new.mean(axis=1)).max() < 5 / np.sqrt(n)
    assert np.abs(new.var(axis=1) - 1).max() < 8 / np.sqrt(n)


def test_cost_and_statistics_do_not_depend_on_the_number_of_rows() -> None:
    """Ten copies of each row with a tenth of the weight: the same sufficient statistics."""
    spec = specification_of("weights")
    copies = 10
    term = spec.design.terms[0]
    many_term = replace(term, codes=np.repeat(term.codes, copies), columns=np.repeat(term.columns, copies, axis=0))
    many = replace(
        spec,
        x=np.repeat(spec.x, copies, axis=0),
        y=np.repeat(spec.y, copies),
        weights=np.repeat(spec.weights / copies, copies),
        design=replace(spec.design, terms=(many_term,), y=np.repeat(spec.design.y, copies)),
    )
    one, ten = CollapsedDensity(spec), CollapsedDensity(many)
    u = _points(one, 5, 0.3)
    assert np.allclose(one.log_density(u), ten.log_density(u), rtol=1e-11)
    assert ten.reduced.S.shape == one.reduced.S.shape


def test_far_points_are_minus_infinity() -> None:
    density = CollapsedDensity(specification_of("M3"))
    u = np.repeat(density.start()[None], 3, axis=0)
    u[0, 1], u[1, 0], u[2, 0] = 50.0, 800.0, np.nan
    assert np.array_equal(density.log_density(u), np.full(3, -np.inf))


def test_wrong_number_of_coordinates_is_refused() -> None:
    with pytest.raises(ModelError, match=r"\(n, 2\)"):
        CollapsedDensity(specification_of("M1")).log_density(np.zeros((3, 3)))


def test_coordinates_are_named() -> None:
    assert CollapsedDensity(specification_of("M3")).labels == [
        "log aux",
        "school[(Intercept)+femaleF]:log tau",
        "school[(Intercept)+femaleF]:alr pi[1]",
        "school[(Intercept)+femaleF]:atanh cpc[2,1]",
    ]
    assert CollapsedDensity(specification_of("student")).labels[-3:] == ["log w", "z[x1]", "z[x2]"]


def test_a_term_too_large_to_sample_is_refused_by_name() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=4000),
            "g": pd.Categorical((np.arange(4000) % 50).astype(str)),
            "many": pd.Categorical((np.arange(4000) // 4).astype(str)),
        }
    )
    with pytest.raises(ModelError, match=r"\| g\) has 1000 effects for each of 50 levels, 500500 covariance"):
        stan_lmer("y ~ 1 + (1 + many | g)", frame, seed=1)


@pytest.mark.parametrize("name", ["M3", "two_one", "four_two", "nested", "student"])
def test_draws_do_not_depend_on_what_is_drawn_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points with the Λ of the point before share its factor; progress and Ctrl-C come in between pieces."""
    density = CollapsedDensity(nested_specification() if name == "nested" else specification_of(name))
    points = _points(density, 3, 0.2)[[*np.repeat([0, 1], 2 * BATCH), 2, 2, 0, 1]]
    points[BATCH + 1, 0] += 0.3  # another sigma, the same Λ
    values, seen = density.values(points), []
    together = density.conditional_draws(values, np.random.default_rng(1))
    monkeypatch.setattr(CollapsedDensity, "at_once", property(lambda self: 1))
    out = np.empty_like(together.b_matrix)
    apart = density.conditional_draws(values, np.random.default_rng(1), out=out, tick=seen.append)
    assert seen == [*range(1, len(points) + 1)]
    assert apart.b_matrix is out
    for part in ("coef", "b_matrix", "rss", "z_square"):
        assert np.array_equal(getattr(apart, part), getattr(together, part))
