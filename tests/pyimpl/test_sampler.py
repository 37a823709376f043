"""Draws of the sampler against quadrature; its judgement of itself; its fall-backs."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pyimpl.errors import ConvergenceWarning
from pyimpl.models.stan_lmer import StanLmerFit
from pyimpl.posterior import sampler
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.coordinates import SamplerCoordinates
from pyimpl.posterior.diagnostics import ess_bulk
from pyimpl.posterior.proposal import Proposal
from pyimpl.posterior.quadrature import QuadratureResult, integrate
from pyimpl.posterior.sampler import find_mode, sample_collapsed
from tests.pyimpl.posterior_cases import design_of, recorded, sampled, specification_of


@cache
def fit(name: str, seed: int = 349, **options: Any) -> StanLmerFit:
    return sampled(design_of(recorded()["cases"][name]), seed=seed, **options)


@cache
def truth(name: str) -> QuadratureResult:
    return integrate(
        CollapsedDensity(specification_of(name)), quantiles=name != "M3", step=0.75 if name == "M3" else None
    )


def z_scores(fit: StanLmerFit, truth: QuadratureResult) -> np.ndarray:
    """(draws − truth)/mcse of means, sds and quantiles."""
    names = list(truth.table.index)
    x = fit.as_matrix(pars=names).to_numpy()
    chains = np.moveaxis(x.reshape(fit.draws.chains, -1, len(names)), 2, 0)

    def root_n(values: np.ndarray) -> float:
        # of the very function whose mean is compared: NUTS's draws are antithetic, their squares are not
        return float(np.sqrt(ess_bulk(values[None])[0]))

    scores = []
    for k, name in enumerate(names):
        row, draws = truth.table.loc[name], chains[k]
        scores.append((draws.mean() - row["mean"]) / (row["sd"] / root_n(draws)))
        square = (draws - row["mean"]) ** 2
        scores.append((square.mean() - row["sd"] ** 2) / (square.std() / root_n(square)))
        for prob, column in ((0.025, "2.5%"), (0.5, "50%"), (0.975, "97.5%")):
            if np.isfinite(row[column]):
                below = (draws <= row[column]).astype(float)
                scores.append((below.mean() - prob) / (np.sqrt(prob * (1 - prob)) / root_n(below)))
    return np.array(scores)


@pytest.mark.parametrize("name", ["M1", "M2", "M3", "crossed"])
def test_draws_agree_with_quadrature(name: str) -> None:
    z = z_scores(fit(name), truth(name))
    # false alarms: one in a thousand for the largest, and for the sum of squares
    assert np.abs(z).max() < stats.norm.ppf(1 - 0.001 / (2 * z.size))
    assert np.sum(z**2) < 2 * stats.chi2.ppf(0.999, z.size)  # the z's are correlated: twice the independent bound


def test_the_comparison_sees_a_shift_of_a_tenth_of_an_sd() -> None:
    shifted = truth("M2").table.copy()
    shifted["mean"] += 0.1 * shifted["sd"]
    z = z_scores(fit("M2"), QuadratureResult(shifted, shifted, shifted, 0.0, 0.0, 0))
    assert np.abs(z).max() > stats.norm.ppf(1 - 0.001 / (2 * z.size))


@pytest.mark.parametrize("name", ["M2", "M3"])
def test_random_effects_agree_with_their_exact_moments(name: str) -> None:
    exact = truth(name).ranef
    draws = fit(name).as_matrix(pars=list(exact.index)).to_numpy()
    z = (draws.mean(axis=0) - exact["mean"]) / (exact["sd"] / np.sqrt(len(draws)))
    assert np.abs(z).max() < 5
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.3
    ratio = draws.std(axis=0) / exact["sd"]
    assert ((ratio - 1).abs() * np.sqrt(2 * len(draws)) < 5).all()


def test_mode_is_a_mode() -> None:
    density = CollapsedDensity(specification_of("M3"))
    mode, covariance = find_mode(density, density.start())
    top = density.log_density(mode[None])[0]
    sd = np.sqrt(np.diag(covariance))
    around = mode + np.concatenate([np.diag(sd), -np.diag(sd)]) * 0.05
    assert (density.log_density(around) < top).all()
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_chains_are_chains() -> None:
    """Own random streams: no draw of one chain appears in another, and a chain does not depend on how many follow."""
    density = CollapsedDensity(specification_of("M2"))
    seeds = np.random.SeedSequence(5).spawn(5)
    four = sample_collapsed(density, chains=4, draws=200, seeds=seeds)
    values = [set(four.u[c, :, 0]) for c in range(4)]
    assert all(values[a].isdisjoint(values[b]) for a in range(4) for b in range(a))
    two = sample_collapsed(density, chains=2, draws=200, seeds=seeds[:3])
    assert np.array_equal(two.u[1], four.u[1])


def test_r_hat_sees_a_chain_that_is_elsewhere() -> None:
    density = CollapsedDensity(specification_of("M2"))
    result = sample_collapsed(density, chains=4, draws=500, seeds=np.random.SeedSequence(5).spawn(5))
    assert result.max_rhat < 1.01
    u = result.u.copy()
    u[3] += u.reshape(-1, 2).std(axis=0)
    assert sampler._worst(u, result.log_density)[2] > 1.1


def test_good_draws_of_five_coordinates() -> None:
    result = fit("two_one").sampler_result
    assert result is not None
    assert min(result.min_ess_bulk, result.min_ess_tail) > 2500


def test_sampler_coordinates_are_one_to_one_with_a_constant_jacobian() -> None:
    density = CollapsedDensity(specification_of("three_one"))
    coordinates = SamplerCoordinates(density)
    rng = np.random.default_rng(8)
    u = rng.standard_normal((5, density.dim))
    v = coordinates.from_density(u)
    assert np.allclose(coordinates.to_density(v), u)
    h, determinants = 1e-6, []
    for point in v:
        moved = coordinates.to_density(point + h * np.eye(density.dim)) - coordinates.to_density(
            point - h * np.eye(density.dim)
        )
        determinants.append(abs(np.linalg.det(moved / (2 * h))))
    assert np.allclose(determinants, determinants[0], rtol=1e-6)
    # log sds: those of T for the first two effects (rows from the third on are rstanarm's quirk)
    values = density.values(u)
    assert np.allclose(np.exp(v[:, 1]), np.abs(values.Lambda[0][:, 0, 0]) / density.spec.scale[0])
    _, gradient = coordinates.log_density_gradient(v)
    for k in range(density.dim):
        step = 1e-4 * np.eye(density.dim)[k]
        difference = (coordinates.log_density(v + step) - coordinates.log_density(v - step)) / 2e-4
        assert np.allclose(gradient[:, k], difference, rtol=1e-4, atol=1e-3)


def test_hamiltonian_draws_agree_with_quadrature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "_metropolis_pays", lambda thin, kept, d: False)
    density = CollapsedDensity(specification_of("M2"))
    result = sample_collapsed(density, chains=4, draws=1000, seeds=np.random.SeedSequence(6).spawn(5))
    assert result.method == "Hamiltonian Monte Carlo"
    assert result.divergences == 0
    assert min(result.min_ess_bulk, result.min_ess_tail) > 2000
    sigma = density.values(result.u.reshape(-1, 2)).sigma
    row = truth("M2").table.loc["sigma"]
    n = result.min_ess_bulk
    assert abs(sigma.mean() - row["mean"]) < 4 * row["sd"] / np.sqrt(n)
    assert abs(sigma.std() / row["sd"] - 1) < 4 / np.sqrt(2 * n)


def test_subchains_that_do_not_mix_are_seen() -> None:
    """Two far modes, subchains in both: the draws of a chain say so themselves."""
    from pyimpl.posterior.hmc import Subchains

    def two_modes(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nearest = np.where(u > 0, 15.0, -15.0)
        return -0.5 * ((u - nearest) ** 2).sum(axis=1), nearest - u

    rng = np.random.default_rng(1)
    rngs = [np.random.default_rng(k) for k in range(4)]
    starts = [np.where(np.arange(8)[:, None] % 2, 15.0, -15.0) for _ in range(4)]
    subchains = Subchains(two_modes, np.zeros(1), np.eye(1), starts[0], starts, [rng, *rngs], rounds=1)
    subchains.run(30)
    u, value = subchains.draws(240, 1)
    assert u.shape == (4, 240, 1)
    assert sampler._worst(u, value)[0] < 100


def test_nuts_on_the_collapsed_density_agrees_with_quadrature() -> None:
    density = CollapsedDensity(specification_of("M2"))
    mode, covariance = find_mode(density, density.start())
    where_to = SamplerCoordinates(density)
    run = sampler._Run(sampler._Counted(where_to), where_to, 4, 500, [np.random.SeedSequence(3)])
    result = sampler._nuts(run, Proposal.of(mode, covariance))
    assert result.max_rhat < 1.02
    sigma = density.values(result.u.reshape(-1, 2)).sigma
    row = truth("M2").table.loc["sigma"]
    assert abs(sigma.mean() - row["mean"]) < 5 * row["sd"] / np.sqrt(result.min_ess_bulk)


def test_a_sampler_that_has_not_converged_says_so() -> None:
    density = CollapsedDensity(specification_of("M1"))
    good = sample_collapsed(density, chains=4, draws=200, seeds=np.random.SeedSequence(1).spawn(5))
    from dataclasses import replace

    with pytest.warns(ConvergenceWarning, match="effective sample size is 12"):
        sampler._warn_if_poor(replace(good, min_ess_bulk=12.0))
    with pytest.warns(ConvergenceWarning, match="R-hat is 1.200"):
        sampler._warn_if_poor(replace(good, max_rhat=1.2))
    with pytest.warns(ConvergenceWarning, match="3 transitions diverged"):
        sampler._warn_if_poor(replace(good, divergences=3))


def test_interruption_and_progress() -> None:
    density = CollapsedDensity(specification_of("M1"))
    seen: list[str] = []

    def stop(what: str, share: float) -> None:
        seen.append(what)
        if what.startswith("sampling"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_collapsed(density, chains=2, draws=100, seeds=np.random.SeedSequence(1).spawn(3), progress=stop)
    assert seen[0] == "finding the mode"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["three_one", "four_two", "student", "weights", "decov"])
def test_harder_posteriors_are_sampled_well(name: str) -> None:
    priors = specification_of(name)
    density = CollapsedDensity(priors)
    result = sample_collapsed(density, chains=4, draws=1000, seeds=np.random.SeedSequence(2).spawn(5))
    assert result.max_rhat < 1.01
    assert min(result.min_ess_bulk, result.min_ess_tail) > 800


@pytest.mark.slow
def test_nuts_on_the_full_model_agrees_with_quadrature() -> None:
    z = z_scores(fit("M2", sampler="nuts", iter=1500), truth("M2"))
    assert np.abs(z).max() < stats.norm.ppf(1 - 0.001 / (2 * z.size))


@pytest.mark.slow
def test_simulation_based_calibration() -> None:
    """Data from the prior: the true values' ranks among the draws are uniform (Talts et al. 2018)."""
    from dataclasses import replace

    base = design_of(recorded()["cases"]["two_one"])
    keep = slice(0, 80)
    terms = tuple(replace(t, codes=t.codes[keep], columns=t.columns[keep]) for t in base.terms)
    design = replace(base, y=base.y[keep], X=base.X[keep], index=base.index[keep], terms=terms)
    from pyimpl.posterior.priors import exponential, normal

    priors = {"prior": normal(0, 2), "prior_intercept": normal(0, 2), "prior_aux": exponential(1)}
    simulations, ranks = 200, []
    prior = sampled(design, seed=1, prior_PD=True, chains=1, iter=2 * simulations, **priors)
    y = prior.posterior_predict(seed=2).to_numpy()
    true = prior.as_matrix()
    main = [c for c in true.columns if not c.startswith("b[")] + ["b[(Intercept) g:1]"]
    for k in range(simulations):
        posterior = sampled(replace(design, y=y[k]), seed=k, iter=200, chains=2, **priors)
        ranks.append((posterior.as_matrix(pars=main) < true.loc[k, main]).sum().to_numpy())
    counts = np.apply_along_axis(lambda r: np.histogram(r, bins=10, range=(0, 201))[0], 0, np.array(ranks))
    statistic = ((counts - simulations / 10) ** 2 / (simulations / 10)).sum(axis=0)
    assert statistic.max() < stats.chi2.ppf(1 - 0.001 / len(main), 9)
