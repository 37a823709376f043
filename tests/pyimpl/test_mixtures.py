"""Coefficient priors that are normal given scales: quantile functions, Stan's variables, exact integration."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pyimpl.design.design import Design
from pyimpl.posterior import mixtures
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.draws import complete
from pyimpl.posterior.elimination import log_likelihood
from pyimpl.posterior.full import FullDensity
from pyimpl.posterior.mixtures import NormalMixture
from pyimpl.posterior.priors import Prior, exponential, hs, hs_plus, laplace, lasso, normal, product_normal
from tests.pyimpl.posterior_cases import design_of, recorded, sampled, specification_of

NAMES = ["laplace", "lasso", "hs_default", "hs", "hs_plus", "product"]


def mixture_of(name: str) -> NormalMixture:
    spec = specification_of(name)
    return NormalMixture(spec.coef, spec.K)


class HalfT:
    """|t|, which scipy has not."""

    def __init__(self, df: float) -> None:
        self.t = stats.t(df)

    def sf(self, x: np.ndarray) -> np.ndarray:
        return 2 * self.t.sf(x)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return 1 - self.sf(x)


@pytest.mark.parametrize(
    ("of_score", "distribution"),
    [
        (mixtures._exponential, stats.expon()),
        (mixtures._half_normal, stats.halfnorm()),
        (lambda v: mixtures._half_t(v, 1.0), stats.halfcauchy()),
        (lambda v: mixtures._half_t(v, 3.0), HalfT(3.0)),
        (lambda v: mixtures._chi_square(v, 1.5), stats.chi2(1.5)),
        (lambda v: mixtures._inverse_gamma(v, 2.0), stats.invgamma(2.0, scale=2.0)),
    ],
    ids=["exponential", "half-normal", "half-cauchy", "half-t", "chi-square", "inverse gamma"],
)
def test_scales_are_quantiles_at_normal_scores(of_score: Callable, distribution: Any) -> None:
    v = np.array([-20.0, -7.0, -1.0, -1e-3, 0.0, 0.5, 3.0, 7.5])
    x = of_score(v)
    assert (np.diff(x) > 0).all()
    assert np.allclose(distribution.cdf(x), stats.norm.cdf(v), rtol=1e-9, atol=1e-14)
    assert np.allclose(distribution.sf(x), stats.norm.sf(v), rtol=1e-9)


def test_far_lower_tails_keep_their_digits() -> None:
    """At v = −20, where Φ(v) = 2.8e-89, the distribution functions are linear (or known powers) at 0."""
    v, p = np.array([-20.0]), stats.norm.cdf(-20.0)
    assert mixtures._exponential(v)[0] == pytest.approx(p, rel=1e-12)
    assert mixtures._half_normal(v)[0] == pytest.approx(p * np.sqrt(np.pi / 2), rel=1e-12)
    for df in (1.0, 3.0):
        assert mixtures._half_t(v, df)[0] == pytest.approx(p / (2 * stats.t.pdf(0, df)), rel=1e-10)


@pytest.mark.parametrize("name", [*NAMES, "hs_none"])
def test_stan_variables_give_back_the_coefficients(name: str) -> None:
    spec = specification_of(name)
    full, mixture = FullDensity(spec), mixture_of(name)
    rng = np.random.default_rng(4)
    v, sigma = rng.standard_normal((50, mixture.dim)), rng.uniform(0.5, 2.0, 50)
    deviation = rng.standard_normal((50, spec.K))
    z, logs = mixture.stan_variables(v, deviation, mixture.sd(v, sigma), rng)
    points = np.zeros((50, full.num_upars))
    points[:, full.slices["z_beta"]], points[:, full.scales] = z, logs
    points[:, full.slices["aux"]] = np.log(sigma / spec.aux.scale[0])[:, None]
    assert np.allclose(full.beta(points), spec.coef.mean + deviation, rtol=1e-10, atol=1e-12)
    # and the scales are those of the scores: given them β is normal with these sds
    if name != "product":
        assert np.allclose(z * mixture.sd(v, sigma), deviation, rtol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_stan_variables_have_their_prior_distribution(name: str) -> None:
    """Scores and coefficients drawn from the prior give Stan's variables drawn from theirs, independent."""
    spec, mixture = specification_of(name), mixture_of(name)
    rng, n = np.random.default_rng(9), 4000
    v, sigma = rng.standard_normal((n, mixture.dim)), np.full(n, 1.7)
    deviation = mixture.sd(v, sigma) * rng.standard_normal((n, spec.K))
    z, logs = mixture.stan_variables(v, deviation, mixture.sd(v, sigma), rng)
    blocks = np.split(np.exp(logs), np.cumsum(list(mixture.block_lengths.values()))[:-1], axis=1)
    scales = dict(zip(mixtures.BLOCKS, blocks, strict=True))
    expected = [(z[:, k], stats.norm()) for k in range(z.shape[1])]
    expected += [(x, stats.expon()) for x in scales["mix"].T]
    expected += [(x, stats.chi2(spec.coef.df[0])) for x in scales["one_over_lambda"].T]

    def inverse_gamma(df: float) -> object:
        return stats.invgamma(df / 2, scale=df / 2)

    if scales["global"].size:
        expected.append((scales["global"][:, 0], stats.halfnorm()))
        expected.append((scales["global"][:, 1], inverse_gamma(spec.coef.global_df)))
        expected.append((scales["caux"][:, 0], inverse_gamma(spec.coef.slab_df)))
        local = scales["local"].reshape(n, -1, spec.K)
        for j, df in enumerate((spec.coef.df, spec.coef.scale)[: local.shape[1] // 2]):
            for k in range(spec.K):
                expected.append((local[:, 2 * j, k], stats.halfnorm()))
                expected.append((local[:, 2 * j + 1, k], inverse_gamma(df[k])))
    p = [stats.kstest(x, distribution.cdf).pvalue for x, distribution in expected]
    assert min(p) > 0.001 / len(p)
    scores = np.column_stack([stats.norm.ppf(np.clip(d.cdf(x), 1e-12, 1 - 1e-12)) for x, d in expected])
    correlation = np.corrcoef(scores.T) - np.eye(len(p))
    assert np.abs(correlation).max() < 5 / np.sqrt(n)


def test_the_prior_test_sees_a_wrong_split() -> None:
    """Splitting a half-t into its parts with the wrong degrees of freedom is noticed."""
    rng, n = np.random.default_rng(9), 4000
    scale = mixtures._half_t(rng.standard_normal((n, 1)), 3.0)
    parts = np.exp(mixtures._two_parts(scale, 9.0, rng))
    assert stats.kstest(parts[:, 1], stats.invgamma(1.5, scale=1.5).cdf).pvalue < 1e-6


def test_laplace_integrates_to_laplace() -> None:
    """The mixture over the normal scores is the Laplace density itself."""
    mixture = mixture_of("laplace")
    grid = np.linspace(-9, 9, 4001)
    v = np.repeat(grid[:, None], mixture.dim, axis=1)
    sd = mixture.sd(v, np.ones(grid.size))[:, 0]
    for x in (0.3, 2.0, 10.0):
        density = np.sum(stats.norm.pdf(x, scale=sd) * stats.norm.pdf(grid)) * (grid[1] - grid[0])
        assert density == pytest.approx(stats.laplace.pdf(x, scale=mixture.prior.scale[0]), rel=1e-8)


@pytest.mark.parametrize("shrunk", [1e-3, 1e-6, 1e-9, 1e-11])
def test_coefficients_shrunk_to_their_mean_keep_the_digits(shrunk: float) -> None:
    """As a scale goes to 0 the density goes to that of the model with the coefficient fixed at its prior mean."""
    density = CollapsedDensity(specification_of("two_one"))
    X, count = density.spec.X1, len(density.spec.y)
    r = density.spec.y - X @ density.centre
    d = np.array([0.1, -2.0, 3.0])
    D = np.array([0.01, 1 / shrunk**2, 4 / shrunk**2])
    none = np.zeros((1, 2, 2, 2))  # random effects of variance 0
    got = log_likelihood(density.statistics, none, np.array([1.3]), D[None], d[None])[0]
    # by the covariance matrix of the response, which has no large numbers
    V = 1.3**2 * np.eye(count) + X @ np.diag(1 / D) @ X.T
    residual = r - X @ d
    dense = -0.5 * (np.linalg.slogdet(V)[1] + residual @ np.linalg.solve(V, residual))
    assert got + 0.5 * np.log(D).sum() - count * np.log(1.3) == pytest.approx(dense, rel=1e-10)


def test_scales_too_small_to_matter_do_not_change_the_density() -> None:
    """Deep in the horseshoe's corner the density is flat but for the scores' own prior, and draws stay standard."""
    density = CollapsedDensity(specification_of("hs_plus"))
    u = np.repeat(density.start()[None], 400, axis=0)
    scores = slice(density.dim - density.standard_normals, density.dim)
    u[:200, scores], u[200:, scores] = -6.0, -9.0
    values = density.values(u)
    likelihood = density.log_density(u) - values.log_prior
    assert likelihood[0] == pytest.approx(likelihood[-1], abs=1e-8)
    rngs = [np.random.default_rng(1)]
    draws = complete(density, u[None], rngs)
    assert np.isfinite(draws.log_posterior).all()
    assert np.abs(draws.z_beta.mean()) < 0.15
    assert draws.z_beta.std() == pytest.approx(1.0, abs=0.1)
    # and the slopes have the sd that the prior gives them, not the one that the density was computed with
    exact = density.mixture.sd(values.scores, values.sigma)
    assert (exact < 0.01 / np.sqrt(values.precision)).all()
    assert np.allclose(draws.beta, draws.z_beta * exact, rtol=1e-8)
    _, covariance = density.coefficient_moments(values)
    assert np.allclose(np.sqrt(np.einsum("nkk->nk", covariance)), exact, rtol=1e-6)


def test_slopes_that_the_data_say_nothing_of_keep_their_prior() -> None:
    """A response of 1e8 and a slab of 2.5: the slope's posterior is its prior."""
    case = design_of(recorded()["cases"]["two_one"])
    wide = sampled(replace(case, y=1e8 * case.y), prior=laplace(0, 2.0), seed=3)
    assert wide.draws.beta[:, 0].std() == pytest.approx(2.0 * np.sqrt(2), rel=0.1)


def test_coordinates_of_the_scales_are_named() -> None:
    def names(case: str) -> list[str]:
        density = CollapsedDensity(specification_of(case))
        return [name.removeprefix("normal score of ") for name in density.labels[-density.standard_normals :]]

    assert names("laplace") == ["mix[x1]", "mix[x2]"]
    assert names("lasso") == ["mix[x1]", "mix[x2]", "mix[x3]", "one_over_lambda"]
    assert names("hs_default") == ["local[fb]", "local[fc]", "local[x1]", "global", "caux"]
    assert names("hs_plus")[3:6] == ["local[x1]", "local2[fa]", "local2[fb]"]
    assert names("product") == ["factor[x1,1]", "factor[x2,1]", "factor[x2,2]", "factor[x3,1]", "factor[x3,2]",
                                "factor[x3,3]"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "prior"),
    [("M2", laplace(scale=3)), pytest.param("product_small", product_normal(2, scale=1.5), marks=pytest.mark.slow)],
    ids=["laplace", "product_normal"],
)
def test_draws_agree_with_quadrature(name: str, prior: Prior) -> None:
    design = small_design() if name == "product_small" else design_of(recorded()["cases"][name])
    fit = sampled(design, prior=prior, seed=349)
    truth = fit.quadrature(quantiles=False)
    parameters = list(truth.table.index)
    x = fit.as_matrix(pars=parameters).to_numpy()
    assert (truth.error[["mean", "sd"]].max(axis=1) < 0.005 * truth.table["sd"]).all()
    z_mean = (x.mean(axis=0) - truth.table["mean"]) / (truth.table["sd"] / np.sqrt(len(x)))
    square = (x - truth.table["mean"].to_numpy()) ** 2
    z_sd = (square.mean(axis=0) - truth.table["sd"] ** 2) / (square.std(axis=0) / np.sqrt(len(x)))
    assert np.abs(np.concatenate([z_mean, z_sd])).max() < 4.5


def small_design() -> Design:
    """Two coefficients, one term."""
    case = design_of(recorded()["cases"]["two_one"])
    term = case.terms[1]
    return replace(case, terms=(term,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior",
    [laplace(0, 1), lasso(2, 0, 0.5), hs(global_scale=0.5), hs_plus(global_scale=0.3), product_normal(2, 0, 1.2)],
    ids=lambda prior: prior.dist,
)
def test_simulation_based_calibration(prior: Prior) -> None:
    """Data from the prior: the true values' ranks among the draws are uniform (Talts et al. 2018)."""
    base = design_of(recorded()["cases"]["product"])
    keep = slice(0, 60)
    term = base.terms[0]
    design = replace(
        base, y=base.y[keep], X=base.X[keep], index=base.index[keep],
        terms=(replace(term, codes=term.codes[keep], columns=term.columns[keep]),),
    )  # fmt: skip
    priors = {"prior": prior, "prior_intercept": normal(0, 2), "prior_aux": exponential(1)}
    simulations, ranks = 150, []
    truth = sampled(design, seed=1, prior_PD=True, chains=1, iter=2 * simulations, **priors)
    y = truth.posterior_predict(seed=2).to_numpy()
    true = truth.as_matrix()
    main = [c for c in true.columns if not c.startswith("b[")] + ["b[(Intercept) g:1]"]
    for k in range(simulations):
        posterior = sampled(replace(design, y=y[k]), seed=k, iter=200, chains=2, **priors)
        ranks.append((posterior.as_matrix(pars=main) < true.loc[k, main]).sum().to_numpy())
    counts = np.apply_along_axis(lambda r: np.histogram(r, bins=10, range=(0, 201))[0], 0, np.array(ranks))
    statistic = ((counts - simulations / 10) ** 2 / (simulations / 10)).sum(axis=0)
    assert statistic.max() < stats.chi2.ppf(1 - 0.001 / len(main), 9)
