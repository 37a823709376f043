"""Levels of the inner factor that meet a large part of the outer columns: their products by the BLAS.

What such a level adds to the Schur complement, U_j'U_j, and what is asked of it on the way back, U_jNU_j', touches much
of a dense matrix. As full rows, a batch of levels at a time, both are matrix products. So it is where every student has
answered every item, and of ratings, in which a few levels have most of the rows (67 000 of them, 943 × 1682: a quarter
less time for an evaluation).
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.pyimpl.linalg import blas
from cython.cimports.pyimpl.linalg.blas import Matrix, matrix
from cython.cimports.pyimpl.linalg.pattern import Pattern

from pyimpl.linalg import blas as python_blas

__all__ = ["WideLevels", "wide_levels"]

_SHARE = 1.0 / 3.0  # of the columns, from which a level is wide: where loops over its pairs take longer than the BLAS
_FEWEST = 24  # columns, as of a factor that the BLAS does
_ROWS = cython.declare(cython.Py_ssize_t, 256)  # of a batch, roughly


def wide_levels(indptr: np.ndarray, columns: np.ndarray, p: int, pattern: Pattern) -> "WideLevels | None":
    """Return the wide levels, or None where there are none, or where the outer columns are not one dense matrix.

    Parameters
    ----------
    indptr, columns : ndarray of int
        The columns that each level touches.
    p : int
        Effects a level.
    pattern : Pattern
        Of the Schur complement.
    """
    if pattern.q < _FEWEST or not pattern.contiguous:
        return None
    ends = np.asarray(pattern.first)[1:] + np.diff(np.asarray(pattern.row_ptr))  # of each panel's rows
    if not np.all(ends == pattern.q):
        return None
    levels = np.flatnonzero(np.diff(indptr) >= _SHARE * pattern.q)
    return WideLevels(indptr, columns, levels, p, pattern) if levels.size else None


class WideLevels:
    """A batch of rows of U, as full rows.

    Parameters
    ----------
    indptr, columns : ndarray of int
        As of :func:`wide_levels`.
    levels : ndarray of int
        Those that are wide, ascending.
    p : int
    pattern : Pattern

    Attributes
    ----------
    place : ndarray of int, shape (levels of all,)
        Number of each wide level among them, −1 for the others.
    """

    def __init__(self, indptr, columns, levels, p, pattern) -> None:  # type: ignore[no-untyped-def]
        self.indptr, self.columns, self.levels, self.pattern = indptr, columns, levels, pattern
        self.p, self.q = p, pattern.q
        place = np.full(indptr.size - 1, -1, dtype=np.intp)
        place[levels] = np.arange(levels.size)
        self.place = place
        self.each = max(1, min(_ROWS // self.p, levels.size))
        square: cython.double[:, ::1] = np.zeros((2 * self.each * self.p, self.q))
        self.rows, self.images = square[: self.each * self.p], square[self.each * self.p :]
        self.batch = -1
        python_blas.load()

    def put(self, j, U):  # type: ignore[no-untyped-def]
        """Write a level's p rows of U, which are given by the columns that they touch, in full; returns the first."""
        a: cython.Py_ssize_t
        i: cython.Py_ssize_t
        begin: cython.Py_ssize_t = self.indptr[j]
        first: cython.Py_ssize_t = (self.place[j] % self.each) * self.p
        for a in range(self.p):
            row: cython.p_double = cython.address(self.rows[first + a, 0])
            for i in range(self.q):
                row[i] = 0.0
            for i in range(self.indptr[j + 1] - begin):
                row[self.columns[begin + i]] = U[i * self.p + a]
        return first

    def scatter(self, j, U, S2):  # type: ignore[no-untyped-def]
        """S2 += U_j'U_j (lower), when a batch is full or the last level has come."""
        self.put(j, U)
        self.batch = -1
        number: cython.Py_ssize_t = self.place[j]
        if (number + 1) % self.each != 0 and number + 1 < self.levels.shape[0]:
            return 0
        p: Pattern = self.pattern
        height: cython.Py_ssize_t = (number % self.each + 1) * self.p
        s: cython.Py_ssize_t
        B: cython.p_double = cython.address(self.rows[0, 0])
        for s in range(p.supernodes):
            c: cython.Py_ssize_t = p.first[s]
            high: cython.Py_ssize_t = self.q - c
            into: cython.p_double = S2 + p.panel[s]
            wide: cython.Py_ssize_t = p.first[s + 1] - c
            blas.gemm(
                False, True, 1.0, matrix(B + c, high, height, self.q), matrix(B + c, wide, height, self.q), 1.0,
                matrix(into, high, wide, high),
            )  # fmt: skip
        return 0

    def trace(self, j, U, N, M):  # type: ignore[no-untyped-def]
        """M (p, p) = U_jNU_j' / 2; U and N are those of all levels."""
        number: cython.Py_ssize_t = self.place[j]
        if self.batch != number // self.each:
            self._multiply(number // self.each, U, N)
        first: cython.Py_ssize_t = (number % self.each) * self.p
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        i: cython.Py_ssize_t
        total: cython.double
        for a in range(self.p):
            for b in range(self.p):
                total = 0.0
                for i in range(self.indptr[j], self.indptr[j + 1]):
                    total += U[i * self.p + a] * self.images[first + b, self.columns[i]]
                M[a * self.p + b] = 0.5 * total
        return 0

    def _multiply(self, batch, U, N):  # type: ignore[no-untyped-def]
        """The rows of a batch, and their products with N."""
        k: cython.Py_ssize_t
        i: cython.Py_ssize_t
        s: cython.Py_ssize_t
        q: cython.Py_ssize_t = self.q
        p: Pattern = self.pattern
        begin: cython.Py_ssize_t = batch * self.each
        end: cython.Py_ssize_t = min(begin + self.each, self.levels.shape[0])
        height: cython.Py_ssize_t = (end - begin) * self.p
        B: cython.p_double = cython.address(self.rows[0, 0])
        G: cython.p_double = cython.address(self.images[0, 0])
        PyErr_CheckSignals()
        for k in range(begin, end):
            self.put(self.levels[k], U + self.indptr[self.levels[k]] * self.p)
        for i in range(height * q):
            G[i] = 0.0
        for s in range(p.supernodes):
            c: cython.Py_ssize_t = p.first[s]
            d: cython.Py_ssize_t = p.first[s + 1]
            high: cython.Py_ssize_t = q - c
            panel: cython.p_double = N + p.panel[s]
            own, its = matrix(B + c, d - c, height, q), matrix(G + c, d - c, height, q)
            blas.symm(1.0, matrix(panel, d - c, d - c, high), own, 1.0, its)
            if d < q:
                below: Matrix = matrix(panel + d - c, q - d, d - c, high)
                blas.gemm(False, False, 1.0, below, own, 1.0, matrix(G + d, q - d, height, q))
                blas.gemm(True, False, 1.0, below, matrix(B + d, q - d, height, q), 1.0, its)
        self.batch = batch
        return 0
