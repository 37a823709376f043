"""x'Vx for each of many rows x."""

import numpy as np

__all__ = ["quadratic_forms"]

_WORK = 10**8  # multiplications between two steps of Python, where Ctrl-C is heard


def quadratic_forms(X: np.ndarray, V: np.ndarray) -> np.ndarray:
    """X'Vx for each row x of X: the variances of linear functions of what has covariance V.

    Parameters
    ----------
    X : ndarray, shape (rows, P)
    V : ndarray, shape (P, P)

    Returns
    -------
    ndarray, shape (rows,)
    """
    out = np.empty(len(X))
    step = max(1, _WORK // max(1, V.size))
    for start in range(0, len(X), step):
        block = X[start : start + step]
        out[start : start + step] = np.einsum("ij,ij->i", block @ V, block)
    return out
