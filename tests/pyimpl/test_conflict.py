"""Priors far from the data: the posterior in its right place, all of its modes, and the errors that name a prior."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import ModelError
from pyimpl.models.stan_lmer import StanLmerFit, stan_lmer
from pyimpl.posterior import priors
from pyimpl.posterior.conflict import disagreements, find_modes, is_easy, unexplored
from pyimpl.posterior.coordinates import SamplerCoordinates
from pyimpl.posterior.quadrature import _Standardised


def data(rows: int = 200, groups: int = 20, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, groups, rows), rng.standard_normal((rows, 2))
    y = 1 + 2 * x[:, 0] + rng.standard_normal(groups)[g] + rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "x": x[:, 0], "x2": x[:, 1], "g": g.astype(str)})


def fitted(formula: str = "y ~ x + x2 + (1 | g)", frame: pd.DataFrame | None = None, **options: Any) -> StanLmerFit:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".* may take about .* minutes")  # on a busy machine it may
        return stan_lmer(formula, data() if frame is None else frame, seed=1, **options)


def z_scores(one: StanLmerFit, other: StanLmerFit) -> np.ndarray:
    """Differences of means and log sds in units of their Monte Carlo error."""
    names = ["(Intercept)", "x", "x2", "sigma", "Sigma[g:(Intercept),(Intercept)]"]
    a, b = one.as_matrix(names), other.as_matrix(names)
    n = min(one.diagnostics["min_ess_bulk"], other.diagnostics["min_ess_bulk"])
    means = (a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / n)
    return np.concatenate([means, np.log(a.std() / b.std()) * np.sqrt(n) / 1.5])


@pytest.mark.parametrize(
    ("vague", "options"),
    [
        ("prior_intercept", {"prior_intercept": priors.student_t(3, 1e5, 0.1)}),
        ("prior_intercept", {"prior_intercept": priors.cauchy(-1e6, 1)}),
        ("prior", {"prior": priors.student_t(3, 1e4, 0.1)}),
        ("prior", {"prior": priors.student_t(10, 1e6, 0.01)}),
        ("prior", {"prior": priors.student_t(3, 0, 1e8)}),
        ("prior", {"prior": priors.lasso(1, 1e4, 0.1)}),
        ("prior_aux", {"prior_aux": priors.cauchy(0, 1e-8)}),
    ],
)
def test_a_heavy_tail_is_flat_where_the_data_are(vague: str, options: dict[str, Any]) -> None:
    """The posterior is that under a flat prior, whatever is at the prior's location."""
    z = z_scores(fitted(**options), fitted(**{vague: None}))
    assert np.abs(z).max() < 5, z


@pytest.mark.parametrize("prior", [priors.laplace(1e4, 0.1), priors.normal(1e4, 0.1), priors.product_normal(2, 1e4, 1)])
def test_a_light_tail_pulls_the_slopes_to_the_prior(prior: Any) -> None:
    draws = fitted(prior=prior).as_matrix(["x", "x2", "sigma"])
    assert np.allclose(draws[["x", "x2"]], 1e4, atol=10)
    assert draws["sigma"].min() > 1000


@pytest.mark.parametrize(
    "prior", [priors.hs(slab_scale=1e-4), priors.hs(slab_scale=1e-6), priors.hs_plus(slab_scale=1e-4)]
)
def test_a_tiny_slab_widens_where_the_data_want_it(prior: Any) -> None:
    draws = fitted(prior=prior).as_matrix(["x", "x2"])
    assert abs(draws["x"].mean() - 2) < 0.2
    assert abs(draws["x2"].mean()) < 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"prior_intercept": priors.normal(1e5, 0.1)},
        {"prior_aux": priors.exponential(1e9)},
        {"prior_aux": priors.normal(0, 1e-6)},
        {"prior_aux": priors.student_t(3, 1e4, 0.1)},
        {"prior": priors.normal(1e5, 0.1)},
    ],
)
def test_a_light_tail_far_away_agrees_with_quadrature(options: dict[str, Any]) -> None:
    fit = fitted(**options)
    truth = fit.quadrature(quantiles=False).table
    draws = fit.as_matrix(list(truth.index))
    error = truth["sd"] / np.sqrt(fit.diagnostics["min_ess_bulk"])
    assert np.abs((draws.mean() - truth["mean"]) / error).max() < 4.5
    assert np.abs(np.log(draws.std() / truth["sd"])).max() < 0.15


def test_two_modes_have_their_shares() -> None:
    """A prior with tails of middle weight: both places count, by the integrals around each."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(5), 3)
    frame = pd.DataFrame({"y": 1 + rng.standard_normal(5)[g] + rng.standard_normal(15), "g": g.astype(str)})
    fit = fitted("y ~ 1 + (1 | g)", frame, prior_intercept=priors.student_t(10, 120, 0.5), iter=6000)
    density = fit._density
    assert density is not None
    coordinates = SamplerCoordinates(density)
    modes = find_modes(coordinates, coordinates.log_density_gradient, coordinates.log_density)
    assert len(modes) == 2
    totals = [
        _Standardised(density, m.location, m.covariance, 0).lattice(0.5, 14.0, 1_000_000).log_total for m in modes
    ]
    centres = [density.coefficient_moments(density.values(m.location[None]))[0][0, 0] for m in modes]
    share = 1 / (1 + np.exp(totals[1] - totals[0]))
    at_first = (fit.as_matrix(["(Intercept)"]).to_numpy() > np.mean(centres)) == (centres[0] > centres[1])
    n = fit.diagnostics["min_ess_bulk"]
    assert 0.02 < share < 0.98
    assert abs(at_first.mean() - share) < 4 * np.sqrt(share * (1 - share) / n) + 0.01
    with pytest.raises(ModelError, match="2 modes"):
        fit.quadrature()


def test_what_disagrees_is_named_with_its_distance() -> None:
    fit = fitted()
    assert is_easy(fit._density)
    assert disagreements(fit._density) == []
    far = fitted(
        prior_intercept=priors.student_t(3, 1e5, 0.1),
        prior=priors.normal([1, 50], 0.1),
        prior_aux=priors.exponential(1e6),
    )
    said = disagreements(far._density)
    assert [line.split(":")[0] for line in said] == ["prior_intercept", "prior of x2", "prior_aux"]
    assert "standard deviations apart" in said[0]


def test_what_cannot_be_sampled_ends_in_an_error_that_names_the_prior() -> None:
    with pytest.raises(ModelError, match=r"prior_covariance: decov\(\) with shape 100000"):
        fitted(prior_covariance=priors.decov(shape=1e5))


def test_an_error_claims_no_distance_that_was_not_found() -> None:
    known = str(unexplored(fitted(prior_intercept=priors.student_t(3, 1e5, 0.1))._density))
    assert "Priors and data are very far apart: prior_intercept: 100000 with scale" in known
    unknown = str(unexplored(fitted()._density))
    assert "It is not known why: no prior was found to be far from what the data say. Look at" in unknown
    assert "apart:" not in unknown
