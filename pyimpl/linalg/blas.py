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
    global _loaded, _dgemm, _dsyrk, _dsymm, _dtrsm, _dpotrf, _dpotri
    if _loaded:
        return
    from scipy.linalg import cython_blas, cython_lapack

    def address(module: Any, name: str) -> Any:
        return module.__pyx_capi__[name]

    one = address(cython_blas, "dgemm")
    _dgemm = cython.cast(gemm_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
    one = address(cython_blas, "dsyrk")
    _dsyrk = cython.cast(syrk_t, PyCapsule_GetPointer(one, PyCapsule_GetName(one)))
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


def gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):  # type: ignore[no-untyped-def]
    """C = αAB + βC, of A and B each transposed if it is said so."""
    one: cython.char = 84 if ta else 78
    other: cython.char = 84 if tb else 78
    _dgemm(
        cython.address(one), cython.address(other), cython.address(m), cython.address(n), cython.address(k),
        cython.address(alpha), a, cython.address(lda), b, cython.address(ldb), cython.address(beta), c,
        cython.address(ldc),
    )  # fmt: skip


def syrk(transposed, n, k, alpha, a, lda, beta, c, ldc):  # type: ignore[no-untyped-def]
    """C = αAA' + βC (or A'A), lower triangle."""
    lower: cython.char = 76
    how: cython.char = 84 if transposed else 78
    _dsyrk(
        cython.address(lower), cython.address(how), cython.address(n), cython.address(k), cython.address(alpha), a,
        cython.address(lda), cython.address(beta), c, cython.address(ldc),
    )  # fmt: skip


def symm(m, n, alpha, a, lda, b, ldb, beta, c, ldc):  # type: ignore[no-untyped-def]
    """C = αAB + βC with A symmetric (m, m), B (m, n)."""
    left: cython.char = 76
    lower: cython.char = 76
    _dsymm(
        cython.address(left), cython.address(lower), cython.address(m), cython.address(n), cython.address(alpha), a,
        cython.address(lda), b, cython.address(ldb), cython.address(beta), c, cython.address(ldc),
    )  # fmt: skip


def trsm(right, transposed, m, n, a, lda, b, ldb):  # type: ignore[no-untyped-def]
    """B (m, n) = L⁻¹B, or BL⁻¹ if `right`; of L' if `transposed`."""
    side: cython.char = 82 if right else 76
    lower: cython.char = 76
    how: cython.char = 84 if transposed else 78
    plain: cython.char = 78
    one: cython.double = 1.0
    _dtrsm(
        cython.address(side), cython.address(lower), cython.address(how), cython.address(plain), cython.address(m),
        cython.address(n), cython.address(one), a, cython.address(lda), b, cython.address(ldb),
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
