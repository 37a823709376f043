"""R's summaries of a column (``mean``, ``median``, ``rank``, ...), for formulas."""

import math
from collections.abc import Callable

import numpy as np

__all__ = ["SUMMARIES", "mean", "rank"]


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


def rank(values: np.ndarray) -> np.ndarray:
    """R's ``rank``: ties have their average, missing values stay missing."""
    out = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    _, where, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    out[known] = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return out
