"""Intervals of draws."""

import numpy as np

__all__ = ["hpd_interval"]


def hpd_interval(draws: np.ndarray, prob: float) -> np.ndarray:
    """``coda::HPDinterval``: the shortest interval that holds this share of the draws.

    Parameters
    ----------
    draws : ndarray, shape (draws, k)
    prob : float

    Returns
    -------
    ndarray, shape (k, 2)
        Ends of the interval of each column; missing where a draw is.
    """
    ordered = np.sort(draws, axis=0)
    n = len(ordered)
    gap = max(1, min(n - 1, int(np.rint(n * prob))))
    widths = ordered[gap:] - ordered[: n - gap]
    first = np.argmin(widths, axis=0)
    at = np.arange(ordered.shape[1])
    ends: np.ndarray = np.column_stack([ordered[first, at], ordered[first + gap, at]])
    ends[np.isnan(draws).any(axis=0)] = np.nan
    return ends
