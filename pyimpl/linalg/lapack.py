"""LAPACK on symmetric matrices that are held in their lower triangle, in C's order.

To LAPACK, which reads columns first, that triangle is the upper one. scipy's LAPACK is loaded when it is first needed:
small models do without.
"""

from functools import cache
from typing import Any

import numpy as np

from pyimpl.linalg.threads import blas_is_loaded

__all__ = ["backward", "factorise", "forward", "invert", "symmetric_times"]


@cache
def _scipy() -> tuple[Any, Any]:
    """Scipy's modules of BLAS and LAPACK."""
    from scipy.linalg import blas, lapack

    blas_is_loaded()
    return blas, lapack


def factorise(A: np.ndarray) -> bool:
    """Cholesky factor L of A, shape (n, n), in place (lower triangle); False if A is not positive definite."""
    lapack = _scipy()[1]
    return bool(lapack.dpotrf(A.T, lower=0, clean=0, overwrite_a=1)[1] == 0)


def forward(L: np.ndarray, X: np.ndarray) -> np.ndarray:
    """L⁻¹X for X of shape (n, m); the result is in Fortran's order."""
    blas = _scipy()[0]
    solved: np.ndarray = blas.dtrsm(1.0, L.T, np.asfortranarray(X), lower=0, trans_a=1)
    return solved


def backward(L: np.ndarray, X: np.ndarray) -> np.ndarray:
    """L⁻ᵀX for X of shape (n, m); the result is in Fortran's order."""
    blas = _scipy()[0]
    solved: np.ndarray = blas.dtrsm(1.0, L.T, np.asfortranarray(X), lower=0)
    return solved


def invert(L: np.ndarray) -> None:
    """(LL')⁻¹ in place of L (lower triangle)."""
    lapack = _scipy()[1]
    lapack.dpotri(L.T, lower=0, overwrite_c=1)


def symmetric_times(S: np.ndarray, X: np.ndarray) -> np.ndarray:
    """SX for symmetric S, shape (n, n), and X of shape (n, m); in C's order."""
    blas = _scipy()[0]
    return np.ascontiguousarray(blas.dsymm(1.0, S.T, np.asfortranarray(X), lower=0))
