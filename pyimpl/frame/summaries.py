"""R's summaries of a column (``mean``, ``median``, ``rank``, ...), for formulas."""

import math
from collections.abc import Callable

import numpy as np

__all__ = ["SUMMARIES", "TIES", "mean", "rank", "trimmed_mean"]


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


def trimmed_mean(values: np.ndarray, trim: float) -> float:
    """``mean(x, trim)``: without that share of the values at each end; the median for a half or more."""
    if not len(values) or np.isnan(values).any():
        return math.nan
    if trim >= 0.5:
        return _median(values)
    cut = math.floor(len(values) * trim)
    return mean(np.sort(values)[cut : len(values) - cut])


#: What ``rank`` makes of ties: the method's name -> ranks from each value's place, the last of its ties, their count.
_TIES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "average": lambda place, last, count: last - (count - 1) / 2,
    "first": lambda place, last, count: place,
    "last": lambda place, last, count: 2 * last - count + 1 - place,
    "max": lambda place, last, count: last,
    "min": lambda place, last, count: last - count + 1,
}
TIES = tuple(_TIES)


def rank(values: np.ndarray, ties: str = "average") -> np.ndarray:
    """R's ``rank``: missing values stay missing; `ties` is one of `TIES`."""
    out = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    present = values[known]
    _, where, counts = np.unique(present, return_inverse=True, return_counts=True)
    place = np.empty(len(present))
    place[np.argsort(present, kind="stable")] = np.arange(1.0, len(present) + 1)
    out[known] = _TIES[ties](place, np.cumsum(counts)[where].astype(np.float64), counts[where])
    return out
