"""The decomposition behind ``decov``: from sizes, shares and directions to a Cholesky factor, and back.

For a term with p effects, T (lower triangular, ``Sigma = T T'``) is built from

* ``tau``: size, ``trace(Sigma) = p (scale · tau · sigma)²``;
* ``pi`` (p,): shares of the trace, ``s_k = sqrt(pi_k · trace)``;
* ``x``: for each row k = 2..p a point in the unit ball of dimension k − 1, packed row by row (p (p − 1) / 2 values):
  ``T[k, :k-1] = s · x_k`` and ``T[k, k] = s_k sqrt(1 − |x_k|²)``.

The factor s of the off-diagonals is s_2 in row 2, but **s_{k−1} in rows k ≥ 3**: a quirk of rstanarm's Stan function
``make_theta_L`` in every release looked at. For p ≥ 3 the diagonal of Sigma is therefore not ``s²``. It is part of
the model that R fits, and is reproduced here, in this one place.
"""

from functools import reduce

import numpy as np
from scipy.special import gammaln

__all__ = ["ball_exponents", "ball_log_constant", "build_T", "log_sum_exp", "row_slices", "split_T"]


def row_slices(p: int) -> list[slice]:
    """Where row k = 2..p of the packed ``x`` stands: ``p − 1`` slices of lengths 1, 2, ..., p − 1."""
    starts = np.concatenate([[0], np.cumsum(np.arange(1, p))]).astype(int)
    return [slice(int(starts[j]), int(starts[j + 1])) for j in range(p - 1)]


def log_sum_exp(x: np.ndarray) -> np.ndarray:
    """Log Σ exp over the few columns of x (n, p), shape (n,): by whole columns, four times as fast as along rows."""
    return reduce(np.logaddexp, x.T)


def ball_exponents(p: int, regularization: float) -> np.ndarray:
    """Exponents b_j, j = 1..p − 1, of the priors of the directions: density of x_j ∝ (1 − |x_j|²)^(b_j − 1).

    Row 2: (1 + r)/2 ~ Beta(ν, ν), ν = η + (p − 2)/2; row j + 1: |x|² ~ Beta(j/2, η + (p − 1 − j)/2), its direction
    uniform. The first is the second with j = 1.
    """
    return regularization + 0.5 * (p - 1 - np.arange(1, p))


def ball_log_constant(j: int, b: float) -> float:
    """Log normaliser of (1 − |x|²)^(b − 1) on the unit ball of dimension j."""
    return float(gammaln(0.5 * j + b) - 0.5 * j * np.log(np.pi) - gammaln(b))


def build_T(size: np.ndarray, pi: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Cholesky factors from sizes, shares and directions.

    Parameters
    ----------
    size : ndarray, shape (...)
        ``scale · tau · sigma``: the root of the mean variance.
    pi : ndarray, shape (..., p)
        Shares of the trace (``[1.]`` for p = 1).
    x : ndarray, shape (..., p (p − 1) / 2)

    Returns
    -------
    ndarray, shape (..., p, p)
        Lower triangular T.
    """
    p = pi.shape[-1]
    s = np.sqrt(pi * p) * size[..., None]
    T = np.zeros((*size.shape, p, p))
    T[..., 0, 0] = s[..., 0]
    for k, rows in enumerate(row_slices(p), start=1):
        xk = x[..., rows]
        off = s[..., 1] if k == 1 else s[..., k - 1]
        T[..., k, :k] = off[..., None] * xk
        T[..., k, k] = s[..., k] * np.sqrt(np.maximum(1.0 - np.sum(xk * xk, axis=-1), 0.0))
    return T


def split_T(T: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverse of :func:`build_T`: ``(size, pi, x)`` from T.

    Row 2 gives s_2 from its norm; a row k ≥ 3 has x = T[k, :k−1] / s_{k−1} and then s_k from its diagonal.
    """
    p = T.shape[-1]
    s = np.empty(T.shape[:-1])
    s[..., 0] = T[..., 0, 0]
    x = np.empty((*T.shape[:-2], p * (p - 1) // 2))
    for k, rows in enumerate(row_slices(p), start=1):
        if k == 1:
            s[..., 1] = np.hypot(T[..., 1, 0], T[..., 1, 1])
            x[..., rows] = T[..., 1, :1] / s[..., 1, None]
        else:
            x[..., rows] = T[..., k, :k] / s[..., k - 1, None]
            s[..., k] = T[..., k, k] / np.sqrt(1.0 - np.sum(x[..., rows] ** 2, axis=-1))
    trace = np.sum(s * s, axis=-1)
    return np.sqrt(trace / p), s * s / trace[..., None], x
