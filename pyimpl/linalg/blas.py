"""The BLAS and LAPACK that scipy brings, for compiled code; loaded when a matrix is first large enough to want it.

Importing ``scipy.linalg`` takes longer than most fits, so the functions' addresses are looked up by :func:`load`, and
not by a ``cimport``, which would load scipy with the module. Matrices are in Fortran's order, symmetric and triangular
ones in their lower triangle. What takes long is done in pieces, and Ctrl-C is heard between them: a single call may
take a minute (a factor of 9000 columns), and Python sees no signal meanwhile.
"""

from typing import Any

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.cpython.pycapsule import PyCapsule_GetName, PyCapsule_GetPointer

from pyimpl.linalg.threads import blas_is_loaded

__all__ = ["load"]

_loaded: bool = False

#: Operations of one piece, about a tenth of a second, and the columns that a piece has at least.
_PIECE = cython.declare(cython.double, 2e9)
_COLUMNS = cython.declare(cython.int, 64)


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


@cython.cfunc
@cython.exceptval(check=False)
def _width(each: cython.double, count: cython.int) -> cython.int:
    """How many of `count` columns of `each` operations a piece takes."""
    if each * count <= _PIECE:
        return count
    return min(count, max(_COLUMNS, cython.cast(cython.int, _PIECE / each)))


@cython.cfunc
@cython.exceptval(check=False)
def _part(a: Matrix, row: cython.Py_ssize_t, col: cython.Py_ssize_t, rows: cython.int, cols: cython.int) -> Matrix:
    """The part (rows, cols) of a matrix that begins at (row, col)."""
    return matrix(a.at + row + col * a.stride, rows, cols, a.stride)


def gemm(ta, tb, alpha, a, b, beta, c):  # type: ignore[no-untyped-def]
    """C = αAB + βC, of A and B each transposed if it is said so."""
    one: cython.char = 84 if ta else 78
    other: cython.char = 84 if tb else 78
    inner: cython.int = a.rows if ta else a.cols
    width: cython.int = _width(2.0 * c.rows * inner, c.cols)
    j: cython.int = 0
    while j < c.cols:
        if j:
            PyErr_CheckSignals()
        width = min(width, c.cols - j)
        its: Matrix = _part(b, j, 0, width, inner) if tb else _part(b, 0, j, inner, width)
        out: Matrix = _part(c, 0, j, c.rows, width)
        _dgemm(
            cython.address(one), cython.address(other), cython.address(c.rows), cython.address(width),
            cython.address(inner), cython.address(alpha), a.at, cython.address(a.stride), its.at,
            cython.address(its.stride), cython.address(beta), out.at, cython.address(out.stride),
        )  # fmt: skip
        j += width
    return 0


def symm(alpha, a, b, beta, c):  # type: ignore[no-untyped-def]
    """C = αAB + βC with A symmetric."""
    left: cython.char = 76
    lower: cython.char = 76
    width: cython.int = _width(2.0 * a.rows * a.rows, c.cols)
    j: cython.int = 0
    while j < c.cols:
        if j:
            PyErr_CheckSignals()
        width = min(width, c.cols - j)
        its: Matrix = _part(b, 0, j, b.rows, width)
        out: Matrix = _part(c, 0, j, c.rows, width)
        _dsymm(
            cython.address(left), cython.address(lower), cython.address(c.rows), cython.address(width),
            cython.address(alpha), a.at, cython.address(a.stride), its.at, cython.address(its.stride),
            cython.address(beta), out.at, cython.address(out.stride),
        )  # fmt: skip
        j += width
    return 0


def trsm(right, transposed, factor, b):  # type: ignore[no-untyped-def]
    """B = L⁻¹B, or BL⁻¹ if `right`; of L' if `transposed`."""
    side: cython.char = 82 if right else 76
    lower: cython.char = 76
    how: cython.char = 84 if transposed else 78
    plain: cython.char = 78
    one: cython.double = 1.0
    count: cython.int = b.rows if right else b.cols  # what is solved for, row by row or column by column
    width: cython.int = _width(1.0 * factor.rows * factor.rows, count)
    j: cython.int = 0
    while j < count:
        if j:
            PyErr_CheckSignals()
        width = min(width, count - j)
        its: Matrix = _part(b, j, 0, width, b.cols) if right else _part(b, 0, j, b.rows, width)
        _dtrsm(
            cython.address(side), cython.address(lower), cython.address(how), cython.address(plain),
            cython.address(its.rows), cython.address(its.cols), cython.address(one), factor.at,
            cython.address(factor.stride), its.at, cython.address(its.stride),
        )  # fmt: skip
        j += width
    return 0


def potrf(n, a, lda):  # type: ignore[no-untyped-def]
    """Cholesky factor in place; whether there is one.

    In pieces the columns come in blocks from the left: A_js −= L_j,:s L_s,:s', its square's factor, and the rows below.
    """
    lower: cython.char = 76
    info: cython.int = 0
    width: cython.int = n if n * (n / 3.0) * n <= _PIECE else _COLUMNS
    whole: Matrix = matrix(a, n, n, lda)
    s: cython.int = 0
    while s < n:
        if s:
            PyErr_CheckSignals()
        width = min(width, n - s)
        if s:
            left: Matrix = _part(whole, s, 0, n - s, s)
            gemm(False, True, -1.0, left, _part(whole, s, 0, width, s), 1.0, _part(whole, s, s, n - s, width))
        square: Matrix = _part(whole, s, s, width, width)
        _dpotrf(cython.address(lower), cython.address(width), square.at, cython.address(lda), cython.address(info))
        if info != 0:
            return False
        if s + width < n:
            trsm(True, True, square, _part(whole, s + width, s, n - s - width, width))
        s += width
    return True


def potri(n, a, lda):  # type: ignore[no-untyped-def]
    """(LL')⁻¹ in place of L.

    The columns come in blocks from the right, by the equations of :mod:`pyimpl.linalg.supernodal`: nearly all of it are
    products of matrices, and so it is faster than LAPACK's own on a few hundred columns, too (an evaluation of the
    benchmarks' raters 3.0 -> 2.7 ms).
    """
    lower: cython.char = 76
    info: cython.int = 0
    width: cython.int = min(n, _COLUMNS)
    whole: Matrix = matrix(a, n, n, lda)
    room: cython.double[::1] = np.empty(0 if width == n else width * n)
    end: cython.int = n
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    while end > 0:
        if end < n:
            PyErr_CheckSignals()
        width = min(width, end)
        s: cython.int = end - width
        below: cython.int = n - end
        square: Matrix = _part(whole, s, s, width, width)
        if below:
            rows: Matrix = _part(whole, end, s, below, width)
            Y: Matrix = matrix(cython.address(room[0]), below, width, below)
            for j in range(width):
                for i in range(below):
                    Y.at[i + j * below] = rows.at[i + j * lda]
            trsm(True, False, square, Y)
            symm(-1.0, _part(whole, end, end, below, below), Y, 0.0, rows)
        _dpotri(cython.address(lower), cython.address(width), square.at, cython.address(lda), cython.address(info))
        if below:
            gemm(True, False, -1.0, Y, rows, 1.0, square)
        end = s
    return 0
