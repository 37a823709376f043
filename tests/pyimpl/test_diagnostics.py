"""R-hat and effective sample sizes against rstan's and ArviZ's; Pareto k-hat against known tails."""

import json

import numpy as np
import pytest

from pyimpl.posterior.diagnostics import ess_bulk, ess_tail, mcse_mean, pareto_k, rhat_rank, stan_ess, stan_rhat
from tests.pyimpl.posterior_cases import DATA

RECORDS = json.loads((DATA / "diagnostics.json").read_text())


def chains(record: dict) -> np.ndarray:
    return np.atleast_2d(np.array(record["x"], dtype=float))[None]


@pytest.mark.parametrize("record", RECORDS)
def test_n_eff_and_Rhat_are_those_of_rstans_summary(record: dict) -> None:
    x = chains(record)
    assert stan_ess(x)[0] == pytest.approx(record["ess"], rel=1e-9)
    assert stan_rhat(x)[0] == pytest.approx(record["rhat"], rel=1e-12)
    assert ess_tail(x)[0] == pytest.approx(record["tail"], rel=0.16)
    assert ess_bulk(x)[0] == pytest.approx(record["bulk"], rel=0.17)


@pytest.mark.parametrize("record", [r for r in RECORDS if chains(r).shape[1] > 1])
def test_rank_normalised_diagnostics_are_arvizs(record: dict) -> None:
    from arviz_stats.base import array_stats

    x = chains(record)
    options = {"chain_axis": 0, "draw_axis": 1}
    assert rhat_rank(x)[0] == pytest.approx(array_stats.rhat(x[0], **options), rel=1e-10)
    # (a chain too sticky for a negative pair of autocorrelations ends differently: ESS 3 in 100)
    tolerance = 0.1 if ess_bulk(x)[0] < 10 else 1e-9
    assert ess_bulk(x)[0] == pytest.approx(array_stats.ess(x[0], method="bulk", **options), rel=tolerance)
    tail = array_stats.ess(x[0], method="tail", prob=(0.05, 0.95), **options)
    assert ess_tail(x)[0] == pytest.approx(tail, rel=max(tolerance, 1e-9))


def test_they_see_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    good = rng.standard_normal((1, 4, 500))
    assert rhat_rank(good)[0] < 1.01
    assert ess_bulk(good)[0] > 1500
    shifted = good + np.arange(4)[None, :, None]
    assert rhat_rank(shifted)[0] > 1.3
    sticky = np.cumsum(good, axis=2)
    assert ess_bulk(sticky)[0] < 60
    # equal means, unequal spreads: only the folded ranks see it
    spread = good * np.array([1, 1, 1, 4])[None, :, None]
    assert stan_rhat(spread)[0] < 1.01
    assert rhat_rank(spread)[0] > 1.05
    constant = np.ones((1, 4, 100))
    assert np.isnan(ess_bulk(constant)[0])


def test_monte_carlo_error_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    means = rng.standard_normal((200, 4, 250)).mean(axis=(1, 2))
    one = mcse_mean(rng.standard_normal((1, 4, 250)))[0]
    assert one == pytest.approx(means.std(), rel=0.15)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.8, 1.2])
def test_pareto_k_finds_the_tail(shape: float) -> None:
    log_weights = shape * np.random.default_rng(1).exponential(size=50_000)
    assert pareto_k(log_weights) == pytest.approx(shape, abs=0.1)
    assert pareto_k(log_weights + 700) == pytest.approx(pareto_k(log_weights), abs=1e-9)


def test_pareto_k_is_arvizs() -> None:
    from arviz_stats.base import array_stats

    log_weights = 1.1 * np.random.default_rng(2).standard_normal(20_000)
    _, theirs = array_stats.psislw(-log_weights)  # it takes log likelihoods, and negates
    assert pareto_k(log_weights) == pytest.approx(float(theirs), abs=0.05)
    assert pareto_k(np.full(100, -np.inf)) == np.inf
