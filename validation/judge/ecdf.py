"""Whether an ECDF leaves a simultaneous band, computed exactly: of two samples, and of ranks that should be uniform.

Säilynoja, Bürkner & Vehtari (2022), Stat. Comput. 32, 32: pointwise intervals whose level is adjusted so that a whole
ECDF stays inside with the stated probability. They get the two-sample adjustment by simulation; here it is computed.
How many of a sample are below each of a row of limits is a Markov chain (their section 2.2), so the probability of its
staying inside a band is a product of small matrices: of binomial steps for uniform ranks; hypergeometric ones for the
a's among the first k values of two pooled samples of one continuous distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

#: p-values below this are all the same to any limit in use.
_NEGLIGIBLE = 1e-10
#: Probability that the bands of the plots hold, and limits at which two samples and ranks are looked at.
_CONFIDENCE, _OF_SAMPLES, _OF_RANKS = 0.95, 100, 50


@dataclass(frozen=True)
class Ecdf:
    """An ECDF less what it is compared with.

    ``p_value`` is the probability, for one distribution (or uniform ranks), of an ECDF as extreme as this somewhere;
    exact for independent draws.
    """

    position: np.ndarray  # limits: fractions of the pooled sample, or shares of the possible ranks
    difference: np.ndarray  # ECDF of a minus ECDF of b there; or the share of the ranks below the limit, minus it
    p_value: float


@dataclass(frozen=True)
class _Chain:
    """How many of n values are below each limit: a chain in which they can only become more."""

    n: int
    values: int  # that the limits are among: pooled ones, or possible ranks
    limits: np.ndarray  # how many of these are below each
    #: (limit before, limit, states, gained) -> log probability of gaining so many (columns) from each state (rows).
    log_steps: Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    difference: Callable[[np.ndarray], np.ndarray]  # the ECDF difference that counts are

    @cached_property
    def tails(self) -> tuple[np.ndarray, np.ndarray]:
        """P(C <= c) and P(C >= c) at each limit (rows) for c = 0..n (columns): one step from no limit at all."""
        pmf = np.exp(self.log_steps(0, self.limits[:, None], np.zeros((1, 1), int), np.arange(self.n + 1)[None, :]))
        pmf /= pmf.sum(axis=1, keepdims=True)
        lower, upper = np.cumsum(pmf, axis=1), np.cumsum(pmf[:, ::-1], axis=1)[:, ::-1]
        return np.minimum(lower, 1.0), np.minimum(upper, 1.0)

    def bounds(self, level: float, strict: bool) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest counts whose both tail probabilities are at least (``strict``: above) level / 2."""
        lower, upper = self.tails
        edge = level / 2 * (1 + 1e-12 if strict else 1.0)
        inside = (lower > edge) & (upper > edge) if strict else (lower >= edge) & (upper >= edge)
        low = np.argmax(inside, axis=1)
        high = self.n - np.argmax(inside[:, ::-1], axis=1)
        empty = ~inside.any(axis=1)
        return np.where(empty, 1, low), np.where(empty, 0, high)

    def stays_inside(self, low: np.ndarray, high: np.ndarray) -> float:
        """Probability that low <= C <= high at every limit, by the chain's transition matrices."""
        if (low > high).any():
            return 0.0
        before, states, weights = 0, np.array([0]), np.array([1.0])
        for limit, lowest, highest in zip(self.limits, low, high, strict=True):
            new = np.arange(lowest, highest + 1)
            gained = new[None, :] - states[:, None]
            weights = weights @ np.exp(self.log_steps(before, limit, states[:, None], gained))
            before, states = limit, new
        return float(min(weights.sum(), 1.0))

    def compared(self, counts: np.ndarray) -> Ecdf:
        """The ECDF of these counts, and how extreme it is."""
        lower, upper = self.tails
        rows = np.arange(self.limits.size)
        smallest = float(2.0 * np.min(np.minimum(lower[rows, counts], upper[rows, counts])))
        # A band that hardly excludes anything is as wide as the sample, and slow to follow; far out in the tail
        # Bonferroni's bound over the limits says the same.
        p_value = smallest * self.limits.size
        if p_value > _NEGLIGIBLE:
            p_value = 1.0 - self.stays_inside(*self.bounds(smallest, strict=True))
        # The complement of a probability is known to rounding only.
        p_value = max(p_value, float(np.finfo(float).eps))
        return Ecdf(self.limits / self.values, self.difference(counts), p_value)

    @cached_property
    def band(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Limits, and the lower and upper edge of the difference's simultaneous band."""
        low_level, high_level = 0.0, 1.0 - _CONFIDENCE
        for _ in range(40):  # coverage falls as the pointwise level rises
            level = (low_level + high_level) / 2
            covers = self.stays_inside(*self.bounds(level, strict=False)) >= _CONFIDENCE
            low_level, high_level = (level, high_level) if covers else (low_level, level)
        low, high = self.bounds(low_level, strict=False)
        return self.limits / self.values, self.difference(low), self.difference(high)


def _limits(values: int, points: int) -> np.ndarray:
    return np.unique(np.round(np.linspace(0, values, min(points, values) + 1)).astype(int))[1:-1]


# Chains are kept with their tails: comparisons of samples of one size share them.
@lru_cache(maxsize=64)
def _two_samples(n: int, other: int) -> _Chain:
    """The a's among the first k of the pooled values, of samples of sizes ``n`` and ``other``."""
    values, limits = n + other, _limits(n + other, _OF_SAMPLES)

    def log_steps(before: int, limit: np.ndarray, states: np.ndarray, gained: np.ndarray) -> np.ndarray:
        step = limit - before
        ways = _log_choose(n - states, gained) + _log_choose(other - before + states, step - gained)
        return np.asarray(ways - _log_choose(values - before, step))

    def difference(counts: np.ndarray) -> np.ndarray:
        return counts / n - (limits - counts) / other

    return _Chain(n, values, limits, log_steps, difference)


@lru_cache(maxsize=64)
def _ranks(n: int, draws: int) -> _Chain:
    """Ranks below each limit, of ``n`` uniform ones among so many draws."""
    values, limits = draws + 1, _limits(draws + 1, _OF_RANKS)

    def log_steps(before: int, limit: np.ndarray, states: np.ndarray, gained: np.ndarray) -> np.ndarray:
        step, left = (limit - before) / (values - before), n - states
        possible = (gained >= 0) & (gained <= left)
        kept = np.where(possible, gained, 0)
        found = _log_choose(left, kept) + xlogy(kept, step) + xlog1py(left - kept, -step)
        return np.where(possible, found, -np.inf)

    def difference(counts: np.ndarray) -> np.ndarray:
        return counts / n - limits / values

    return _Chain(n, values, limits, log_steps, difference)


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


def ecdf_difference(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Ecdf:
    """ECDF difference of two samples and its simultaneous p-value; tied values stand in a random order.

    Draws must be independent (thin a Markov chain to its ESS first): a ValueError where there are fewer than two a
    side, or any that are not finite.
    """
    a, b = np.asarray(a, dtype=float).ravel(), np.asarray(b, dtype=float).ravel()
    if min(a.size, b.size) < 2:
        raise ValueError(f"an ECDF comparison needs at least two draws a side; got {a.size} and {b.size}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("an ECDF comparison needs finite draws; some are missing or infinite")
    from_a = np.arange(a.size + b.size) < a.size
    order = np.lexsort((np.random.default_rng(seed).random(a.size + b.size), np.concatenate([a, b])))
    chain = _two_samples(a.size, b.size)
    return chain.compared(np.cumsum(from_a[order])[chain.limits - 1])


def band(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simultaneous band of the ECDF difference of two samples, for a plot: share of the pool, lower and upper edge."""
    return _two_samples(n, m).band


def rank_ecdf(ranks: np.ndarray, draws: int) -> Ecdf:
    """Compare ranks, of true values among so many draws each, with the uniform distribution on 0..draws.

    A ValueError where there are none, or one is outside.
    """
    ranks = np.asarray(ranks)
    if ranks.size == 0 or ranks.min() < 0 or ranks.max() > draws:
        raise ValueError(f"ranks should be one or more numbers from 0 to {draws}")
    chain = _ranks(ranks.size, draws)
    return chain.compared(np.searchsorted(np.sort(ranks), chain.limits, side="left"))


def rank_band(n: int, draws: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simultaneous band of the ECDF difference of n uniform ranks, for a plot: position, lower and upper edge."""
    return _ranks(n, draws).band
