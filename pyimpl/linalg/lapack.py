"""LAPACK on symmetric matrices that are held in their lower triangle, in C's order.

To LAPACK, which reads columns first, that triangle is the upper one. scipy's LAPACK is loaded when it is first needed:
small models do without. A call of seconds is :func:`~pyimpl.linalg.heard.heard`, on a copy: what an interrupt leaves
running changes nothing that is used again. It goes to the same routine by its address, as scipy's own wrappers keep the
interpreter's lock.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from pyimpl.linalg.heard import LONG, heard
from pyimpl.linalg.threads import blas_is_loaded

__all__ = ["backward", "factorise", "forward", "invert", "symmetric_times"]


@cache
def _scipy() -> tuple[Any, Any]:
    """Scipy's modules of BLAS and LAPACK."""
    from scipy.linalg import blas, lapack

    blas_is_loaded()
    return blas, lapack


@cache
def _routine(name: str, arguments: int) -> Callable[..., None]:
    """Return scipy's own routine of BLAS or LAPACK, by its address: ctypes lets go of the interpreter's lock."""
    from scipy.linalg import cython_blas, cython_lapack

    table = cython_lapack if name in ("dpotrf", "dpotri") else cython_blas
    capsule = table.__pyx_capi__[name]
    signature, address = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    signature.restype, signature.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)
    return kind(address(capsule, signature(capsule)))


def _by_address(name: str, *arguments: bytes | int | float | np.ndarray) -> int:
    """Call a routine with all arguments by reference, as Fortran has them; the last whole number is handed back."""
    kept: list[Any] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            kept.append(ctypes.c_void_p(argument.ctypes.data))
        else:
            kind: Any = {bytes: ctypes.c_char, int: ctypes.c_int, float: ctypes.c_double}[type(argument)]
            kept.append(kind(argument))
    _routine(name, len(kept))(*(one if isinstance(one, ctypes.c_void_p) else ctypes.addressof(one) for one in kept))
    return int(getattr(kept[-1], "value", 0) or 0)


def _long(A: np.ndarray, columns: float) -> bool:
    """Whether as many operations as in A times so many columns are heard of too late."""
    return 2.0 * A.shape[0] ** 2 * columns > LONG


def factorise(A: np.ndarray) -> bool:
    """Cholesky factor L of A, shape (n, n), in place (lower triangle); False if A is not positive definite."""
    n = A.shape[0]
    if not _long(A, n / 3):
        return bool(_scipy()[1].dpotrf(A.T, lower=0, clean=0, overwrite_a=1)[1] == 0)
    own = A.copy("C")
    info = heard(_by_address, "dpotrf", b"U", n, own, n, 0)
    A[:] = own
    return info == 0


def _solved(L: np.ndarray, X: np.ndarray, transposed: bool) -> np.ndarray:
    """L⁻¹X, or L⁻ᵀX; the result is in Fortran's order."""
    n, m = X.shape
    if not _long(L, m / 2):
        solved: np.ndarray = _scipy()[0].dtrsm(1.0, L.T, np.asfortranarray(X), lower=0, trans_a=int(not transposed))
        return solved
    own, out = L.copy("C"), X.copy("F")
    heard(_by_address, "dtrsm", b"L", b"U", b"N" if transposed else b"T", b"N", n, m, 1.0, own, n, out, n)
    return out


def forward(L: np.ndarray, X: np.ndarray) -> np.ndarray:
    """L⁻¹X for X of shape (n, m); the result is in Fortran's order."""
    return _solved(L, X, False)


def backward(L: np.ndarray, X: np.ndarray) -> np.ndarray:
    """L⁻ᵀX for X of shape (n, m); the result is in Fortran's order."""
    return _solved(L, X, True)


def invert(L: np.ndarray) -> None:
    """(LL')⁻¹ in place of L (lower triangle)."""
    n = L.shape[0]
    if not _long(L, 2 * n / 3):
        _scipy()[1].dpotri(L.T, lower=0, overwrite_c=1)
        return
    own = L.copy("C")
    heard(_by_address, "dpotri", b"U", n, own, n, 0)
    L[:] = own


def symmetric_times(S: np.ndarray, X: np.ndarray) -> np.ndarray:
    """SX for symmetric S, shape (n, n), and X of shape (n, m); in C's order."""
    n, m = X.shape
    if not _long(S, m):
        return np.ascontiguousarray(_scipy()[0].dsymm(1.0, S.T, np.asfortranarray(X), lower=0))
    own, given, out = S.copy("C"), X.copy("F"), np.zeros((n, m), order="F")
    heard(_by_address, "dsymm", b"L", b"U", n, m, 1.0, own, n, given, n, 0.0, out, n)
    return np.ascontiguousarray(out)
