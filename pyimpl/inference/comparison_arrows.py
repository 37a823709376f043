"""Comparison arrows of estimated marginal means (``emmeans::plot(e, comparisons = TRUE)``).

Two means differ, at the level of the test, where their arrows do not overlap. Each pair asks for a sum of the lengths
of the two arrows that face each other; all pairs at once are solved by least squares, those near the border of
significance weighted most.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pyimpl.errors import DataError
from pyimpl.inference.emm_grid import EmmGrid

__all__ = ["Arrows", "comparison_arrows"]


@dataclass(frozen=True)
class Arrows:
    """Ends of the arrows of each mean.

    Attributes
    ----------
    left, right : ndarray, shape (rows,)
        Missing where a mean is the smallest (largest) of its group: nothing is there to point at.
    discrepancies : tuple of str
        Pairs whose arrows say something else than their test.
    """

    left: np.ndarray
    right: np.ndarray
    discrepancies: tuple[str, ...]


def comparison_arrows(means: EmmGrid, alpha: float = 0.05, adjust: str = "tukey") -> Arrows:
    """Arrows whose overlap says which means differ.

    Parameters
    ----------
    means : EmmGrid
        As :func:`~pyimpl.inference.emmeans.emmeans` makes them, within groups of its `by` variables.
    alpha : float
        Level of the tests.
    adjust : str
        Adjustment for several tests.

    Raises
    ------
    DataError
        Arrows of negative length: no arrows say what the tests say (as in R).
    """
    if not 0 < alpha < 1:
        raise DataError(f"alpha must be between 0 and 1, not {alpha!r}")
    if means.basis.draws is not None:
        raise DataError("comparison arrows show tests, and a posterior has none: plot intervals of its pairs()")
    pairs = means.pairs().confint(level=1 - alpha, adjust=adjust)
    table = pairs.frame
    low, high = next(
        (table[a].to_numpy(float), table[b].to_numpy(float))
        for a, b in (("lower.CL", "upper.CL"), ("asymp.LCL", "asymp.UCL"))
        if a in table
    )
    difference = table[pairs.estimate].to_numpy(float)
    estimate = means.frame[means.estimate].to_numpy(float)
    left, right = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    wrong: list[str] = []
    start = 0
    for rows in means.rows_of(means.by):
        count = len(rows) * (len(rows) - 1) // 2
        if not count:
            continue
        here = slice(start, start + count)
        start += count
        found = _lengths(difference[here], low[here], high[here], len(rows))
        left[rows], right[rows] = _shown(estimate[rows], *found)
        doubtful = _contradicted(difference[here], low[here], high[here], *found)
        wrong += [str(table.iloc[here.start + k, 0]) for k in doubtful]
    return Arrows(left, right, tuple(wrong))


def _pairs(count: int) -> np.ndarray:
    return np.array(list(combinations(range(count), 2)), dtype=np.intp)


def _overlap(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far an interval of a difference reaches across zero: 0 at the border, positive where it holds zero."""
    return 2 * np.minimum(-low, high) / (high - low)


def _facing(difference: float, i: int, j: int) -> tuple[int, int]:
    """The larger and the smaller mean of a pair: the left arrow of the first faces the right one of the second."""
    return (i, j) if difference > 0 else (j, i)


def _lengths(difference: np.ndarray, low: np.ndarray, high: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the arrows to the left and to the right, shape (count,) each."""
    quarter = (high - low) / 4
    wanted = 1 - _overlap(low, high)
    pairs = _pairs(count)
    rows = np.zeros((len(pairs), 2 * count))
    sums = np.zeros(len(pairs))
    for k, (i, j) in enumerate(pairs):
        if np.isnan(wanted[k]):
            continue
        weight = 3 + 20 * max(0.0, 0.5 - (1 - wanted[k]) ** 2)
        upper, lower = _facing(difference[k], i, j)
        rows[k, upper] = rows[k, count + lower] = weight * wanted[k]
        sums[k] = weight * abs(difference[k])
    usual = np.array([np.min(quarter[(pairs == i).any(axis=1)]) for i in range(count)])
    target = np.nan_to_num(np.concatenate([sums, usual, usual]))
    solution = np.linalg.lstsq(np.vstack([rows, np.eye(2 * count)]), target, rcond=None)[0]
    if (solution < 0).any():
        raise DataError(
            "some comparison arrows would have negative length: no arrows say what these tests say (R stops, too). "
            "Plot the intervals of pairs() instead."
        )
    return solution[:count], solution[count:]


def _contradicted(
    difference: np.ndarray, low: np.ndarray, high: np.ndarray, left: np.ndarray, right: np.ndarray
) -> list[int]:
    """Pairs whose arrows overlap although they differ, or the other way round."""
    found = []
    target = _overlap(low, high)
    for k, (i, j) in enumerate(_pairs(len(left))):
        upper, lower = _facing(difference[k], i, j)
        drawn = 1 - abs(difference[k]) / (left[upper] + right[lower])
        if target[k] * drawn < 0:
            found.append(k)
    return found


def _shown(estimate: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the arrows: cut a little beyond the outermost means, none beyond these."""
    least, largest = np.nanmin(estimate), np.nanmax(estimate)
    width = largest - least
    left = np.where(estimate - left < least, estimate - least + 0.02 * width, left)
    right = np.where(estimate + right > largest, largest - estimate + 0.02 * width, right)
    left = np.where(estimate < least + 1e-4 * width, np.nan, left)
    right = np.where(estimate > largest - 1e-4 * width, np.nan, right)
    return estimate - left, estimate + right
