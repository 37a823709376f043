"""Cleveland's robust locally weighted regression, as R's ``lowess``."""

import numpy as np

__all__ = ["lowess"]


def lowess(x: np.ndarray, y: np.ndarray, f: float = 2 / 3, iterations: int = 3, points: int = 400) -> np.ndarray:
    """``lowess(x, y, f, iter)``: smoothed y at the sorted x.

    Weights are Cleveland's (1979, J. Am. Stat. Assoc. 74, 829-836): tricube in the distance from the point over that of
    its ``f n`` nearest neighbours, and bisquare in the residual over six times its median.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    f : float
        Share of the points that each local line sees.
    iterations : int
        Robustifying fits after the first.
    points : int
        Up to so many values of x are fitted; between them the curve is interpolated (R's ``delta``).

    Returns
    -------
    ndarray, shape (n, 2)
        Sorted x, and the curve there.
    """
    order = np.argsort(x, kind="stable")
    x, y = np.asarray(x, float)[order], np.asarray(y, float)[order]
    n = x.size
    if n < 3 or x[0] == x[-1]:
        return np.column_stack([x, np.full(n, y.mean() if n else np.nan)])
    k = max(2, min(n, int(f * n + 1e-7)))
    at = np.unique(x if n <= points else x[np.linspace(0, n - 1, points).round().astype(int)])
    span = x[-1] - x[0]
    starts = _windows(x, at, k)
    robust = np.ones(n)
    fitted = np.empty(n)
    for _ in range(iterations + 1):
        curve = np.array([_local(x, y, robust, start, k, value, span) for start, value in zip(starts, at, strict=True)])
        fitted = np.interp(x, at, curve)
        residual = np.abs(y - fitted)
        middle = 6 * np.median(residual)
        if middle < 1e-7 * residual.mean() or middle == 0:
            break
        share = residual / middle
        robust = np.where(share <= 0.001, 1.0, np.where(share > 0.999, 0.0, (1 - share**2) ** 2))
    return np.column_stack([x, fitted])


def _windows(x: np.ndarray, at: np.ndarray, k: int) -> np.ndarray:
    """First of the k nearest neighbours of each point."""
    starts = np.empty(at.size, dtype=int)
    start = 0
    for i, value in enumerate(at):
        while start + k < x.size and value - x[start] > x[start + k] - value:
            start += 1
        starts[i] = start
    return starts


def _local(x: np.ndarray, y: np.ndarray, robust: np.ndarray, start: int, k: int, at: float, span: float) -> float:
    h = max(at - x[start], x[start + k - 1] - at)
    # ties: neighbours as far away as the farthest count too
    low, high = np.searchsorted(x, at - 0.999 * h), np.searchsorted(x, at + 0.999 * h, "right")
    low, high = min(low, int(np.searchsorted(x, at))), max(high, int(np.searchsorted(x, at, "right")))
    d = np.abs(x[low:high] - at)
    with np.errstate(divide="ignore", invalid="ignore"):
        w = np.where(d <= 0.001 * h, 1.0, (1 - (d / h) ** 3) ** 3 if h > 0 else 1.0) * robust[low:high]
    total = w.sum()
    if total <= 0:
        return float(y[low:high].mean())
    w = w / total
    centre = float(w @ x[low:high])
    spread = float(w @ (x[low:high] - centre) ** 2)
    if np.sqrt(spread) > 0.001 * span:
        w = w * (1 + (at - centre) * (x[low:high] - centre) / spread)
    return float(w @ y[low:high])
