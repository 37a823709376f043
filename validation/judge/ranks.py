"""Are ranks uniform? The ECDF of ranks against the uniform, with a simultaneous band computed exactly.

Säilynoja, Bürkner & Vehtari (2022), Stat. Comput. 32, 32: pointwise intervals whose level is adjusted so that the whole
ECDF of a sample stays inside with the stated probability. The number of ranks below each of a row of limits is a Markov
chain of binomial steps, so the probability of staying inside is a product of small matrices (their section 2.2).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import binom

__all__ = ["RankEcdf", "rank_band", "rank_ecdf"]


@dataclass(frozen=True)
class RankEcdf:
    """The ECDF of ranks minus the uniform's.

    Attributes
    ----------
    position : ndarray
        Limits, as shares of the possible ranks.
    difference : ndarray
        Share of the ranks below the limit, minus the limit.
    p_value : float
        Probability, for uniform ranks, of an ECDF as extreme as this one at some limit; exact.
    """

    position: np.ndarray
    difference: np.ndarray
    p_value: float


def _limits(draws: int, points: int) -> np.ndarray:
    """Numbers of possible ranks (of draws + 1) below each limit."""
    return np.unique(np.round(np.linspace(0, draws + 1, min(points, draws) + 1)).astype(int))[1:-1]


@lru_cache(maxsize=64)
def _tails(n: int, draws: int, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limits as shares, and P(C <= c), P(C >= c) at each (rows) for c = 0..n (columns)."""
    share = _limits(draws, points) / (draws + 1)
    counts = np.arange(n + 1)
    return share, binom.cdf(counts, n, share[:, None]), binom.sf(counts - 1, n, share[:, None])


def _bounds(n: int, draws: int, points: int, level: float, strict: bool) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest counts whose both tail probabilities are at least (``strict``: above) level / 2."""
    _, lower, upper = _tails(n, draws, points)
    edge = level / 2 * (1 + 1e-12 if strict else 1.0)
    inside = (lower > edge) & (upper > edge) if strict else (lower >= edge) & (upper >= edge)
    low = np.argmax(inside, axis=1)
    high = n - np.argmax(inside[:, ::-1], axis=1)
    empty = ~inside.any(axis=1)
    return np.where(empty, 1, low), np.where(empty, 0, high)


def _stays_inside(n: int, share: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    if (low > high).any():
        return 0.0
    before, states, weights = 0.0, np.array([0]), np.array([1.0])
    for p, lowest, highest in zip(share, low, high, strict=True):
        new = np.arange(lowest, highest + 1)
        step = (p - before) / (1 - before)
        weights = weights @ binom.pmf(new[None, :] - states[:, None], (n - states)[:, None], step)
        before, states = p, new
    return float(min(weights.sum(), 1.0))


def rank_ecdf(ranks: np.ndarray, draws: int, points: int = 50) -> RankEcdf:
    """Compare ranks with the uniform distribution on 0..draws.

    Parameters
    ----------
    ranks : ndarray of int
        Each the number of draws below the true value.
    draws : int
        Draws that each true value was ranked among.
    points : int
        Limits at which the ECDF is looked at.

    Raises
    ------
    ValueError
        No ranks, or a rank outside 0..draws.
    """
    ranks = np.asarray(ranks)
    n = ranks.size
    if n == 0 or ranks.min() < 0 or ranks.max() > draws:
        raise ValueError(f"ranks should be one or more numbers from 0 to {draws}")
    limits = _limits(draws, points)
    share, lower, upper = _tails(n, draws, points)
    counts = np.searchsorted(np.sort(ranks), limits, side="left")
    rows = np.arange(limits.size)
    smallest = float(2.0 * np.min(np.minimum(lower[rows, counts], upper[rows, counts])))
    # far out Bonferroni's bound says the same, and needs no matrices as wide as the sample
    p_value = min(smallest * limits.size, 1.0)
    if p_value > 1e-10:
        p_value = 1.0 - _stays_inside(n, share, *_bounds(n, draws, points, smallest, strict=True))
    return RankEcdf(share, counts / n - share, max(p_value, float(np.finfo(float).eps)))


@lru_cache(maxsize=64)
def rank_band(
    n: int, draws: int, confidence: float = 0.95, points: int = 50
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simultaneous band of the ECDF difference of n uniform ranks, for a plot.

    Returns
    -------
    position, lower, upper : ndarray
    """
    share, _, _ = _tails(n, draws, points)
    low_level, high_level = 0.0, 1.0 - confidence
    for _ in range(40):  # coverage falls as the pointwise level rises
        level = (low_level + high_level) / 2
        if _stays_inside(n, share, *_bounds(n, draws, points, level, strict=False)) >= confidence:
            low_level = level
        else:
            high_level = level
    low, high = _bounds(n, draws, points, low_level, strict=False)
    return share, low / n - share, high / n - share
