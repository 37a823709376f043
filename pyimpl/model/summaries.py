"""R's summaries of a column (``mean``, ``median``, ``quantile``, ...) and its rounding, for formulas."""

import math
from collections.abc import Callable

import numpy as np

__all__ = ["SUMMARIES", "mean", "quantile", "rank", "round_half_even"]


def _sum(values: np.ndarray) -> float:
    """R's sums are accumulated in long double."""
    return float(values.astype(np.longdouble).sum())


def mean(values: np.ndarray) -> float:
    """R's ``mean``: summed in long double, with a second pass over the residuals; NaN of no values."""
    if not len(values):
        return math.nan
    wide = values.astype(np.longdouble)
    middle = wide.sum() / len(values)
    return float(middle + (wide - middle).sum() / len(values))


def _median(values: np.ndarray) -> float:
    if not len(values) or np.isnan(values).any():
        return math.nan
    return float(np.median(values))


def _variance(values: np.ndarray) -> float:
    """R's ``var``: the mean in long double, n - 1 in the denominator."""
    if len(values) < 2:
        return math.nan
    return float(((values - mean(values)).astype(np.longdouble) ** 2).sum() / (len(values) - 1))


def _standard_deviation(values: np.ndarray) -> float:
    return math.sqrt(_variance(values))


def _smallest(values: np.ndarray) -> float:
    return float(np.min(values, initial=math.inf))


def _largest(values: np.ndarray) -> float:
    return float(np.max(values, initial=-math.inf))


#: R's name -> one number of many; missing values are missing in the result.
SUMMARIES: dict[str, Callable[[np.ndarray], float]] = {
    "max": _largest,
    "mean": mean,
    "median": _median,
    "min": _smallest,
    "sd": _standard_deviation,
    "sum": _sum,
    "var": _variance,
}


def quantile(values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """R's ``quantile`` of type 7.

    Parameters
    ----------
    values : ndarray, shape (n,)
        None missing.
    probabilities : ndarray, shape (k,)

    Returns
    -------
    ndarray, shape (k,)
    """
    ordered = np.sort(values)
    place = 1 + (len(ordered) - 1) * probabilities  # R counts from 1, and that decides about the last bit
    low = np.floor(place)
    below, above = ordered[low.astype(np.intp) - 1], ordered[np.ceil(place).astype(np.intp) - 1]
    share = place - low
    return np.where((share > 0) & (above != below), (1 - share) * below + share * above, below)


def rank(values: np.ndarray) -> np.ndarray:
    """R's ``rank``: ties have their average, missing values stay missing."""
    out = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    _, where, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    out[known] = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return out


def round_half_even(values: np.ndarray, digits: int) -> np.ndarray:
    """R's ``round`` since 4.0.0: of the two neighbours with so many digits the nearer, of equally near ones the even.

    Neighbours are compared as doubles: ``round(0.15, 1)`` is 0.1, for 0.15 is a little less.
    """
    if digits == 0:
        return np.rint(values)
    out = values.copy()
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
        # there is nothing to round beyond 15 digits; infinite and missing values and 0 stay
        some = np.isfinite(values) & (values != 0) & (digits + exponent < 15)
        x = np.abs(values[some])
        power = 10.0 ** abs(digits)
        scaled = x * power if digits > 0 else x / power
        floor, ceiling = np.floor(scaled), np.ceil(scaled)
        low, high = (floor / power, ceiling / power) if digits > 0 else (floor * power, ceiling * power)
        down, up = x - low, high - x
        chosen = np.where((down < up) | ((down == up) & (np.mod(floor, 2) == 0)), low, high)
    out[some] = np.copysign(chosen, values[some])
    return out
