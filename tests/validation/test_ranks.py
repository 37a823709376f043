"""The exact simultaneous test of ranks: its level, its power, its band."""

import numpy as np
import pytest
from scipy import stats

from validation.judge.ecdf import rank_band, rank_ecdf


def test_p_values_have_their_level() -> None:
    rng = np.random.default_rng(1)
    p = np.array([rank_ecdf(rng.integers(0, 101, 200), 100).p_value for _ in range(400)])
    for level in (0.05, 0.2, 0.5):
        expected = stats.binom.ppf([0.0005, 0.9995], p.size, level) / p.size
        # the statistic is discrete: the level is kept, not always exhausted
        assert expected[0] * 0.8 <= np.mean(p <= level) <= expected[1]


@pytest.mark.parametrize("fault", ["shifted", "too narrow", "too wide"])
def test_faults_are_seen(fault: str) -> None:
    rng = np.random.default_rng(2)
    z = rng.standard_normal(300)
    centre, scale = {"shifted": (0.3, 1.0), "too narrow": (0.0, 0.75), "too wide": (0.0, 1.4)}[fault]
    ranks = np.floor(stats.norm.cdf(z, centre, scale) * 101).astype(int)
    assert rank_ecdf(ranks, 100).p_value < 0.01


def test_band_holds_what_it_says() -> None:
    rng = np.random.default_rng(3)
    _, lower, upper = rank_band(250, 100)
    inside = []
    for _ in range(250):
        ecdf = rank_ecdf(rng.integers(0, 101, 250), 100)
        inside.append(((ecdf.difference >= lower) & (ecdf.difference <= upper)).all())
    assert 0.9 < np.mean(inside) < 0.99


def test_band_and_p_value_agree() -> None:
    rng = np.random.default_rng(4)
    _, lower, upper = rank_band(200, 60)
    for _ in range(100):
        ecdf = rank_ecdf(rng.binomial(60, rng.beta(1, rng.uniform(0.8, 1.4), 200)), 60)
        if abs(ecdf.p_value - 0.05) > 0.01:
            outside = ((ecdf.difference < lower) | (ecdf.difference > upper)).any()
            assert outside == (ecdf.p_value < 0.05)


def test_impossible_ranks_are_refused() -> None:
    for ranks in ([], [-1], [101]):
        with pytest.raises(ValueError, match="0 to 100"):
            rank_ecdf(np.array(ranks), 100)
