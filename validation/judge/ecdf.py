"""Two-sample ECDF-difference test with simultaneous bands, computed exactly.

Säilynoja, Bürkner & Vehtari (2022), Stat. Comput. 32, 32: pointwise intervals whose level is adjusted so that a whole
ECDF stays inside with the stated probability. They get the two-sample adjustment by simulation; here it is computed.
Of two samples of one continuous distribution, the number of a's among the first k pooled values is hypergeometric, and
as k grows it is a Markov chain: the probability of its staying inside a band is a product of small matrices.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import gammaln

__all__ = ["EcdfDifference", "band", "ecdf_difference", "simultaneous_p"]

#: p-values below this are all the same to any limit in use.
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True)
class EcdfDifference:
    """An ECDF difference at grid points of the pooled ranks.

    Attributes
    ----------
    position : ndarray
        Fraction of the pooled sample.
    difference : ndarray
        ECDF of a minus ECDF of b there.
    p_value : float
        Simultaneous p-value, exact for independent draws.
    """

    position: np.ndarray
    difference: np.ndarray
    p_value: float


def _grid(total: int, points: int) -> np.ndarray:
    return np.unique(np.round(np.linspace(0, total, min(points, total) + 1)).astype(int))[1:-1]


@lru_cache(maxsize=64)
def _tails(n: int, m: int, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid, and P(C <= c), P(C >= c) for every grid point (rows) and c = 0..n (columns)."""
    grid = _grid(n + m, points)
    counts = np.arange(n + 1)
    k = grid[:, None]
    log_pmf = _log_choose(n, counts)[None, :] + _log_choose(m, k - counts[None, :]) - _log_choose(n + m, grid)[:, None]
    pmf = np.exp(log_pmf)
    pmf /= pmf.sum(axis=1, keepdims=True)
    lower = np.cumsum(pmf, axis=1)
    upper = np.cumsum(pmf[:, ::-1], axis=1)[:, ::-1]
    return grid, np.minimum(lower, 1.0), np.minimum(upper, 1.0)


@lru_cache(maxsize=8)
def _log_factorials(size: int) -> np.ndarray:
    return gammaln(np.arange(size + 1) + 1.0)


def _log_choose(total: np.ndarray | int, chosen: np.ndarray | int) -> np.ndarray:
    total, chosen = np.asarray(total), np.asarray(chosen)
    rest = total - chosen
    possible = (chosen >= 0) & (rest >= 0)
    # A table: the log-gamma function itself would take most of the test's time.
    table = _log_factorials(int(np.max(total)))
    value = table[total] - table[np.where(possible, chosen, 0)] - table[np.where(possible, rest, 0)]
    return np.where(possible, value, -np.inf)


def _stays_inside(n: int, m: int, grid: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Probability that low <= C_k <= high at every grid point, by the chain's transition matrices."""
    if (low > high).any():
        return 0.0
    previous_k, states, weights = 0, np.array([0]), np.array([1.0])
    for k, lowest, highest in zip(grid, low, high, strict=True):
        step = int(k - previous_k)
        new = np.arange(lowest, highest + 1)
        gained = new[None, :] - states[:, None]
        log_transition = (
            _log_choose((n - states)[:, None], gained)
            + _log_choose((m - previous_k + states)[:, None], step - gained)
            - _log_choose(n + m - previous_k, step)
        )
        weights = weights @ np.exp(log_transition)
        previous_k, states = int(k), new
    return float(min(weights.sum(), 1.0))


def _band(n: int, m: int, points: int, level: float, strict: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts whose both tail probabilities are at least (``strict``: above) level / 2."""
    grid, lower, upper = _tails(n, m, points)
    edge = level / 2 * (1 + 1e-12 if strict else 1.0)
    inside = (lower > edge) & (upper > edge) if strict else (lower >= edge) & (upper >= edge)
    low = np.argmax(inside, axis=1)
    high = n - np.argmax(inside[:, ::-1], axis=1)
    empty = ~inside.any(axis=1)
    return grid, np.where(empty, 1, low), np.where(empty, 0, high)


def simultaneous_p(a: np.ndarray, b: np.ndarray, points: int = 100, seed: int = 0) -> float:
    """Probability, for two samples of one distribution, of an ECDF difference as extreme as this one somewhere."""
    return ecdf_difference(a, b, points, seed).p_value


def ecdf_difference(a: np.ndarray, b: np.ndarray, points: int = 100, seed: int = 0) -> EcdfDifference:
    """ECDF difference of two samples and its simultaneous p-value.

    Parameters
    ----------
    a, b : ndarray
        Independent draws (thin a Markov chain to its ESS first), at least two each and all finite.
    points : int
        Number of grid points.
    seed : int
        Of the random order of tied values.

    Raises
    ------
    ValueError
        Fewer than two draws, or values that are not finite.
    """
    a, b = np.asarray(a, dtype=float).ravel(), np.asarray(b, dtype=float).ravel()
    if min(a.size, b.size) < 2:
        raise ValueError(f"an ECDF comparison needs at least two draws a side; got {a.size} and {b.size}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("an ECDF comparison needs finite draws; some are missing or infinite")
    n, m = a.size, b.size
    pooled = np.concatenate([a, b])
    from_a = np.concatenate([np.ones(n, dtype=bool), np.zeros(m, dtype=bool)])
    order = np.lexsort((np.random.default_rng(seed).random(n + m), pooled))
    grid, lower, upper = _tails(n, m, points)
    counts = np.cumsum(from_a[order])[grid - 1]
    rows = np.arange(grid.size)
    smallest = float(2.0 * np.min(np.minimum(lower[rows, counts], upper[rows, counts])))
    # A band that hardly excludes anything is as wide as the sample, and slow to follow; far out in
    # the tail Bonferroni's
    # bound over the grid says the same.
    p_value = smallest * grid.size
    if p_value > _NEGLIGIBLE:
        _, low, high = _band(n, m, points, smallest, strict=True)
        p_value = 1.0 - _stays_inside(n, m, grid, low, high)
    # The complement of a probability is known to rounding only.
    return EcdfDifference(grid / (n + m), counts / n - (grid - counts) / m, max(p_value, float(np.finfo(float).eps)))


@lru_cache(maxsize=64)
def band(n: int, m: int, confidence: float = 0.95, points: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simultaneous band of the ECDF difference of two samples of sizes n and m, for a plot.

    Returns
    -------
    position, lower, upper : ndarray
        Fraction of the pooled sample, and the band of the difference there.
    """
    low_level, high_level = 0.0, 1.0 - confidence
    for _ in range(40):  # coverage falls as the pointwise level rises
        level = (low_level + high_level) / 2
        grid, low, high = _band(n, m, points, level, strict=False)
        if _stays_inside(n, m, grid, low, high) >= confidence:
            low_level = level
        else:
            high_level = level
    grid, low, high = _band(n, m, points, low_level, strict=False)
    return grid / (n + m), low / n - (grid - low) / m, high / n - (grid - high) / m
