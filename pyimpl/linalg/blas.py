"""The BLAS and LAPACK that scipy brings, for compiled code; loaded when a matrix is first large enough to want it.

Importing ``scipy.linalg`` takes longer than most fits, so the functions' addresses are looked up by :func:`load`, and
not by a ``cimport``, which would load scipy with the module. Matrices are in Fortran's order, symmetric and triangular
ones in their lower triangle.
"""

from typing import Any

import cython
from cython.cimports.cpython.pycapsule import PyCapsule_GetName, PyCapsule_GetPointer

from pyimpl.linalg.threads import blas_is_loaded

__all__ = ["load"]

_loaded: bool = False


def load() -> None:
    """Look up the functions' addresses, unless that is done."""
    global _loaded, _dgemm, _dsymm, _dtrsm, _dpotrf, _dpotri
    if _loaded:
        return
    from scipy.linalg import cython_blas, cython_lapack

    def address(module: Any, name: str) -> Any:
        return module.__pyx_capi__[name]

    one = address(cython_blas, "dgemm")
    _dgemm = cython.cast(gemm_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
    one = address(cython_blas, "dsymm")
    _dsymm = cython.cast(symm_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
    one = address(cython_blas, "dtrsm")
    _dtrsm = cython.cast(trsm_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
    one = address(cython_lapack, "dpotrf")
    _dpotrf = cython.cast(potrf_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
    one = address(cython_lapack, "dpotri")
    _dpotri = cython.cast(potrf_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
    blas_is_loaded()
    _loaded = True


def matrix(at, rows, cols, stride):  # type: ignore[no-untyped-def]
    """The matrix (rows, cols) whose columns begin `stride` apart from ``at`` on."""
    made: Matrix
    made.at, made.rows, made.cols, made.stride = at, rows, cols, stride
    return made


def gemm(ta, tb, alpha, a, b, beta, c):  # type: ignore[no-untyped-def]
    """C = αAB + βC, of A and B each transposed if it is said so."""
    one: cython.char = 84 if ta else 78
    other: cython.char = 84 if tb else 78
    inner: cython.int = a.rows if ta else a.cols
    _dgemm(
        cython.address(one), cython.address(other), cython.address(c.rows), cython.address(c.cols),
        cython.address(inner), cython.address(alpha), a.at, cython.address(a.stride), b.at, cython.address(b.stride),
        cython.address(beta), c.at, cython.address(c.stride),
    )  # fmt: skip


def symm(alpha, a, b, beta, c):  # type: ignore[no-untyped-def]
    """C = αAB + βC with A symmetric."""
    left: cython.char = 76
    lower: cython.char = 76
    _dsymm(
        cython.address(left), cython.address(lower), cython.address(c.rows), cython.address(c.cols),
        cython.address(alpha), a.at, cython.address(a.stride), b.at, cython.address(b.stride), cython.address(beta),
        c.at, cython.address(c.stride),
    )  # fmt: skip


def trsm(right, transposed, factor, b):  # type: ignore[no-untyped-def]
    """B = L⁻¹B, or BL⁻¹ if `right`; of L' if `transposed`."""
    side: cython.char = 82 if right else 76
    lower: cython.char = 76
    how: cython.char = 84 if transposed else 78
    plain: cython.char = 78
    one: cython.double = 1.0
    _dtrsm(
        cython.address(side), cython.address(lower), cython.address(how), cython.address(plain),
        cython.address(b.rows), cython.address(b.cols), cython.address(one), factor.at, cython.address(factor.stride),
        b.at, cython.address(b.stride),
    )  # fmt: skip


def potrf(n, a, lda):  # type: ignore[no-untyped-def]
    """Cholesky factor in place; whether there is one."""
    lower: cython.char = 76
    info: cython.int = 0
    _dpotrf(cython.address(lower), cython.address(n), a, cython.address(lda), cython.address(info))
    return info == 0


def potri(n, a, lda):  # type: ignore[no-untyped-def]
    """(LL')⁻¹ in place of L."""
    lower: cython.char = 76
    info: cython.int = 0
    _dpotri(cython.address(lower), cython.address(n), a, cython.address(lda), cython.address(info))
