# cython: infer_types=True
"""Cholesky factors, triangular solves and inverses of dense symmetric matrices: for every compiled module, once.

Up to some tens of rows plain loops that run along rows are the fastest; larger matrices go to LAPACK, which blocks them
for the cache. A factor fills the square, L in the lower triangle and L' in the upper one, so that both substitutions
run along rows. Matrices are C-contiguous by rows; compiled callers give a pointer, the order and the distance between
rows (``cholesky.pxd``), so that a part of a work array can be factored in place. Several matrices of one size can be
worked on side by side (:mod:`pyimpl.linalg.batch`).
"""

# ruff: noqa: SIM102 - a branch on the type alone is decided where the function is compiled
import cython
import numpy as np
from cython.cimports.libc.math import NAN
from cython.cimports.pyimpl.linalg.batch import logarithm, number, reciprocal, root, zero
from cython.cimports.scipy.linalg.cython_blas import dtrsm
from cython.cimports.scipy.linalg.cython_lapack import dpotrf, dpotri

__all__ = ["cholesky_factor", "inverse_of_factored", "solve_factored"]

# rows from which LAPACK's Cholesky is faster than the loops (measured: equal between 48 and 80)
_LAPACK_FROM = cython.declare(cython.Py_ssize_t, 64)
# LAPACK reads by columns: what it calls upper ("U") is the lower triangle here


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _mirror(A: cython.pointer[number], n: cython.Py_ssize_t, ld: cython.Py_ssize_t) -> cython.void:
    """The upper triangle becomes the lower one's mirror image."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    for a in range(1, n):
        for b in range(a):
            A[b * ld + a] = A[a * ld + b]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def cholesky(A: cython.p_double, n: cython.Py_ssize_t, ld: cython.Py_ssize_t) -> cython.bint:
    """A = LL' from the lower triangle of A, in place; False where A is not positive definite."""
    factorise(A, n, ld)
    return n == 0 or A[(n - 1) * ld + n - 1] > 0.0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def factorise(A: cython.pointer[number], n: cython.Py_ssize_t, ld: cython.Py_ssize_t) -> cython.void:
    """A = LL' from the lower triangle of A, in place; the last rows are nan where A is not positive definite.

    Zeros at the beginning of a row stay zeros and cost little, as where factors are nested.
    """
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    if number is cython.double:
        if n >= _LAPACK_FROM:
            _factorise_by_lapack(A, n, ld)
            return
    for a in range(n):
        row = A + a * ld
        for b in range(a, n):
            row[b] = A[b * ld + a]
        k = 0
        while k + 4 <= a:  # four rows of L' at a time: one store for four products
            x0 = row[k]
            x1 = row[k + 1]
            x2 = row[k + 2]
            x3 = row[k + 3]
            r0 = A + k * ld
            r1 = r0 + ld
            r2 = r1 + ld
            r3 = r2 + ld
            k += 4
            if number is cython.double:
                if x0 == 0.0 and x1 == 0.0 and x2 == 0.0 and x3 == 0.0:
                    continue
            for b in range(a, n):
                row[b] -= (x0 * r0[b] + x1 * r1[b]) + (x2 * r2[b] + x3 * r3[b])
        while k < a:
            x0 = row[k]
            r0 = A + k * ld
            for b in range(a, n):
                row[b] -= x0 * r0[b]
            k += 1
        row[a] = root(row[a])
        scale = reciprocal(row[a])
        for b in range(a + 1, n):
            row[b] *= scale
            A[b * ld + a] = row[b]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _factorise_by_lapack(A: cython.p_double, n: cython.Py_ssize_t, ld: cython.Py_ssize_t) -> cython.void:
    a: cython.Py_ssize_t
    order: cython.int = cython.cast(cython.int, n)
    stride: cython.int = cython.cast(cython.int, ld)
    info: cython.int = 0
    for a in range(n):
        if A[a * ld + a] != A[a * ld + a]:  # LAPACK does not look for nan
            info = 1
    if info == 0:
        dpotrf(b"U", cython.address(order), A, cython.address(stride), cython.address(info))
    if info != 0:
        A[(n - 1) * ld + n - 1] = NAN
        return
    _mirror(A, n, ld)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def log_determinant(L: cython.pointer[number], n: cython.Py_ssize_t, ld: cython.Py_ssize_t) -> number:
    """log|LL'|."""
    a: cython.Py_ssize_t
    total = zero(L)
    for a in range(n):
        total += logarithm(L[a * ld + a])
    return 2.0 * total


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def solve_lower(
    L: cython.pointer[number],
    n: cython.Py_ssize_t,
    ld: cython.Py_ssize_t,
    B: cython.pointer[number],
    m: cython.Py_ssize_t,
    ldb: cython.Py_ssize_t,
) -> cython.void:
    """B (n, m) becomes L⁻¹B."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    if number is cython.double:
        if n >= _LAPACK_FROM:
            _solve_by_blas(L, n, ld, B, m, ldb, b"N")
            return
    for a in range(n):
        row = B + a * ldb
        for b in range(a):
            x = L[a * ld + b]
            above = B + b * ldb
            for k in range(m):
                row[k] -= x * above[k]
        x = reciprocal(L[a * ld + a])
        for k in range(m):
            row[k] *= x


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def solve_upper(
    L: cython.pointer[number],
    n: cython.Py_ssize_t,
    ld: cython.Py_ssize_t,
    B: cython.pointer[number],
    m: cython.Py_ssize_t,
    ldb: cython.Py_ssize_t,
) -> cython.void:
    """B (n, m) becomes L'⁻¹B."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    if number is cython.double:
        if n >= _LAPACK_FROM:
            _solve_by_blas(L, n, ld, B, m, ldb, b"T")
            return
    for a in range(n - 1, -1, -1):
        row = B + a * ldb
        for b in range(a + 1, n):
            x = L[a * ld + b]
            below = B + b * ldb
            for k in range(m):
                row[k] -= x * below[k]
        x = reciprocal(L[a * ld + a])
        for k in range(m):
            row[k] *= x


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _solve_by_blas(
    L: cython.p_double,
    n: cython.Py_ssize_t,
    ld: cython.Py_ssize_t,
    B: cython.p_double,
    m: cython.Py_ssize_t,
    ldb: cython.Py_ssize_t,
    transposed: cython.p_char,
) -> cython.void:
    """X = L⁻¹B is X' = B'L'⁻¹, and by columns BLAS sees B' and, as an upper triangle, L'."""
    rows: cython.int = cython.cast(cython.int, m)
    order: cython.int = cython.cast(cython.int, n)
    stride: cython.int = cython.cast(cython.int, ld)
    stride_b: cython.int = cython.cast(cython.int, ldb)
    one: cython.double = 1.0
    if m > 0:
        dtrsm(
            b"R", b"U", transposed, b"N",
            cython.address(rows), cython.address(order), cython.address(one), cython.cast(cython.p_double, L),
            cython.address(stride), B, cython.address(stride_b),
        )  # fmt: skip


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def inverse(
    L: cython.pointer[number],
    n: cython.Py_ssize_t,
    ld: cython.Py_ssize_t,
    out: cython.pointer[number],
    ldo: cython.Py_ssize_t,
    work: cython.pointer[number],
) -> cython.void:
    """(LL')⁻¹, all of the square, into ``out``; ``work`` holds n² numbers. ``out`` may not be L."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    if number is cython.double:
        if n >= _LAPACK_FROM:
            _inverse_by_lapack(L, n, ld, out, ldo)
            return
    # L⁻¹ by rows into work
    for a in range(n):
        row = work + a * n
        for b in range(a):
            row[b] = zero(L)
        for c in range(a):
            x0 = L[a * ld + c]
            r0 = work + c * n
            for b in range(c + 1):
                row[b] -= x0 * r0[b]
        x0 = reciprocal(L[a * ld + a])
        for b in range(a):
            row[b] *= x0
        row[a] = x0
    # L⁻¹'L⁻¹, lower triangle: four rows of L⁻¹ at a time
    for a in range(n):
        row = out + a * ldo
        for b in range(a + 1):
            row[b] = zero(L)
        c = a
        while c < n:
            r0 = work + c * n
            x0 = r0[a]
            if c + 4 <= n:
                r1 = r0 + n
                r2 = r1 + n
                r3 = r2 + n
                x1 = r1[a]
                x2 = r2[a]
                x3 = r3[a]
                for b in range(a + 1):
                    row[b] += (x0 * r0[b] + x1 * r1[b]) + (x2 * r2[b] + x3 * r3[b])
                c += 4
            else:
                for b in range(a + 1):
                    row[b] += x0 * r0[b]
                c += 1
    _mirror(out, n, ldo)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _inverse_by_lapack(
    L: cython.p_double, n: cython.Py_ssize_t, ld: cython.Py_ssize_t, out: cython.p_double, ldo: cython.Py_ssize_t
) -> cython.void:
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    order: cython.int = cython.cast(cython.int, n)
    stride: cython.int = cython.cast(cython.int, ldo)
    info: cython.int = 0
    for a in range(n):
        for b in range(a + 1):
            out[a * ldo + b] = L[a * ld + b]
    dpotri(b"U", cython.address(order), out, cython.address(stride), cython.address(info))
    _mirror(out, n, ldo)


# -- for Python --------------------------------------------------------------------------------------------------------


def cholesky_factor(A: cython.double[:, ::1]) -> bool:
    """Lower Cholesky factor L of A, in place, with L' in the upper triangle.

    Parameters
    ----------
    A : ndarray, shape (n, n)
        Symmetric; only the lower triangle is read.

    Returns
    -------
    bool
        False where A is not positive definite; then its content is of no use.
    """
    return cholesky(cython.address(A[0, 0]), A.shape[0], A.shape[1]) if A.shape[0] else True


def solve_factored(L: cython.double[:, ::1], B: cython.double[:, ::1], transposed: cython.bint = False) -> None:
    """B becomes L⁻¹B, or L'⁻¹B where ``transposed``.

    Parameters
    ----------
    L : ndarray, shape (n, n)
        From :func:`cholesky_factor`.
    B : ndarray, shape (n, m)
    transposed : bool
    """
    if B.shape[0] == 0 or B.shape[1] == 0:
        return
    if transposed:
        solve_upper(cython.address(L[0, 0]), L.shape[0], L.shape[1], cython.address(B[0, 0]), B.shape[1], B.shape[1])
    else:
        solve_lower(cython.address(L[0, 0]), L.shape[0], L.shape[1], cython.address(B[0, 0]), B.shape[1], B.shape[1])


def inverse_of_factored(L: cython.double[:, ::1]) -> np.ndarray:
    """(LL')⁻¹.

    Parameters
    ----------
    L : ndarray, shape (n, n)
        From :func:`cholesky_factor`.

    Returns
    -------
    ndarray, shape (n, n)
    """
    n: cython.Py_ssize_t = L.shape[0]
    out = np.empty((n, n))
    into: cython.double[:, ::1] = out
    work: cython.double[:, ::1] = np.empty((n, n))
    if n:
        inverse(cython.address(L[0, 0]), n, n, cython.address(into[0, 0]), n, cython.address(work[0, 0]))
    return out
