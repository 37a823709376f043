"""Cholesky factors of symmetric matrices by supernodes, and the inverse on the factor's pattern.

The matrices are held as panels (:mod:`pyimpl.linalg.pattern`), small ones of which are done by loops, larger ones by
LAPACK. The elements of A⁻¹ on the pattern follow from L, supernode by supernode from the last (Takahashi, Fagan & Chin
1973): with the rows R below the columns s, Y = L_Rs L_ss⁻¹ and Z = A⁻¹,

    Z_Rs = −Z_RR Y,    Z_ss = (L_ss L_ss')⁻¹ − Y'Z_Rs.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import log, sqrt
from cython.cimports.pyimpl.linalg import blas
from cython.cimports.pyimpl.linalg.blas import Matrix, matrix
from cython.cimports.pyimpl.linalg.pattern import Pattern, super_of

from pyimpl.linalg import blas as python_blas
from pyimpl.linalg.memory import zeros

__all__ = ["Factor"]

#: Columns from which LAPACK's calls are worth their overhead.
_BLAS = 24


@cython.cfunc
@cython.exceptval(check=False)
def _small_factor(X: cython.p_double, nc: cython.Py_ssize_t, nr: cython.Py_ssize_t) -> cython.bint:
    """Cholesky factor of a panel, in place; whether there is one."""
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    for j in range(nc):
        y: cython.p_double = X + j * nr
        k = 0
        while k + 4 <= j:  # four columns at a time: there is one store for four products
            p: cython.p_double = X + k * nr
            a: cython.double = p[j]
            b: cython.double = p[nr + j]
            c: cython.double = p[2 * nr + j]
            d: cython.double = p[3 * nr + j]
            if a != 0.0 or b != 0.0 or c != 0.0 or d != 0.0:
                for i in range(j, nr):
                    y[i] -= (a * p[i] + b * p[nr + i]) + (c * p[2 * nr + i] + d * p[3 * nr + i])
            k += 4
        while k < j:
            x: cython.double = X[k * nr + j]
            z: cython.p_double = X + k * nr
            if x != 0.0:
                for i in range(j, nr):
                    y[i] -= x * z[i]
            k += 1
        if not y[j] > 0.0:
            return False
        root: cython.double = sqrt(y[j])
        y[j] = root
        root = 1.0 / root
        for i in range(j + 1, nr):
            y[i] *= root
    return True


@cython.cfunc
@cython.exceptval(check=False)
def _small_inverse(
    L: cython.p_double, n: cython.Py_ssize_t, ld: cython.Py_ssize_t, X: cython.p_double, out: cython.p_double
) -> cython.void:
    """(LL')⁻¹, lower triangle, in `out` (ld); X (n, n) is a workspace."""
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    x: cython.double
    y: cython.p_double
    for j in range(n):  # L⁻¹, column by column
        y = X + j * n
        for i in range(j, n):
            y[i] = 0.0
        y[j] = 1.0
        for k in range(j, n):
            x = y[k] / L[k * ld + k]
            y[k] = x
            if x != 0.0:
                for i in range(k + 1, n):
                    y[i] -= x * L[k * ld + i]
    for j in range(n):
        for i in range(j, n):
            s0: cython.double = 0.0
            s1: cython.double = 0.0
            k = i
            while k + 2 <= n:
                s0 += X[i * n + k] * X[j * n + k]
                s1 += X[i * n + k + 1] * X[j * n + k + 1]
                k += 2
            if k < n:
                s0 += X[i * n + k] * X[j * n + k]
            out[j * ld + i] = s0 + s1


@cython.cfunc
@cython.exceptval(-1)
def _update(
    L: cython.p_double, nr: cython.Py_ssize_t, nc: cython.Py_ssize_t, height: cython.Py_ssize_t,
    wide: cython.Py_ssize_t, W: cython.p_double,
) -> cython.int:  # fmt: skip
    """W (height, wide) = L[:height] L[:wide]' of the rows (nc columns, nr apart) that begin at L."""
    c: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    x: cython.double
    if height >= _BLAS and nc * wide >= _BLAS:
        blas.gemm(
            False, True, 1.0, matrix(L, height, nc, nr), matrix(L, wide, nc, nr), 0.0,
            matrix(W, height, wide, height),
        )  # fmt: skip
        return 0
    for c in range(wide):
        x = L[c]
        for i in range(c, height):
            W[c * height + i] = x * L[i]
        for k in range(1, nc):
            x = L[k * nr + c]
            if x != 0.0:
                for i in range(c, height):
                    W[c * height + i] += x * L[k * nr + i]
    return 0


class Factor:
    """A factor of a matrix of one pattern: filled, factorised, solved with, inverted on its pattern.

    Parameters
    ----------
    pattern : Pattern

    Attributes
    ----------
    values : ndarray, shape (pattern.size,)
        The matrix's elements, after :meth:`factorise` the factor's.
    inverse : ndarray, shape (pattern.size,)
        After :meth:`invert` those of A⁻¹. What a panel's square has above its diagonal means nothing.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        size: cython.Py_ssize_t = max(pattern.size, 1)
        wide: cython.Py_ssize_t
        tall: cython.Py_ssize_t
        work: cython.Py_ssize_t
        wide, tall = max(pattern.widest, 1), pattern.tallest
        work = 2 * (tall + wide) * wide + wide * wide
        room: cython.double[::1] = zeros(2 * size + work + tall * tall + 1)
        self.values, self.inverse = room[:size], room[size : 2 * size]
        self._work, self._square = room[2 * size : 2 * size + work], room[2 * size + work :]
        self.L, self.Z = cython.address(self.values[0]), cython.address(self.inverse[0])
        self._at = np.zeros(max(pattern.q, 1), dtype=np.intp)
        if pattern.widest >= _BLAS or tall >= _BLAS:
            python_blas.load()

    def factorise(self) -> cython.bint:
        """Turn the matrix in `values` into its factor; False if it is not positive definite."""
        p: Pattern = self.pattern
        s: cython.Py_ssize_t
        e: cython.Py_ssize_t
        i: cython.Py_ssize_t
        c: cython.Py_ssize_t
        at: cython.pointer(cython.Py_ssize_t) = cython.address(self._at[0])
        W: cython.p_double = cython.address(self._work[0])
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            X: cython.p_double = self.L + p.panel[s]
            if p.source_ptr[s] < p.source_ptr[s + 1]:
                _rows_to_places(p, s, at)
                for e in range(p.source_ptr[s], p.source_ptr[s + 1]):
                    d: cython.Py_ssize_t = p.source[e]
                    begin: cython.Py_ssize_t = p.source_begin[e]
                    wide: cython.Py_ssize_t = p.source_end[e] - begin
                    dc: cython.Py_ssize_t = p.first[d + 1] - p.first[d]
                    below: cython.Py_ssize_t = p.row_ptr[d + 1] - p.row_ptr[d]
                    high: cython.Py_ssize_t = below - begin
                    rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[p.row_ptr[d] + begin])
                    _update(self.L + p.panel[d] + dc + begin, dc + below, dc, high, wide, W)
                    for c in range(wide):
                        into: cython.p_double = X + at[rows[c]] * nr
                        for i in range(c, high):
                            into[at[rows[i]]] -= W[c * high + i]
            if nc < _BLAS:
                if not _small_factor(X, nc, nr):
                    return False
            else:
                PyErr_CheckSignals()
                if not blas.potrf(nc, X, nr):
                    return False
                if nb:
                    blas.trsm(True, True, matrix(X, nc, nc, nr), matrix(X + nc, nb, nc, nr))
        return True

    def log_det(self) -> cython.double:
        """log|A|."""
        p: Pattern = self.pattern
        s: cython.Py_ssize_t
        j: cython.Py_ssize_t
        total: cython.double = 0.0
        product: cython.double = 1.0
        for s in range(p.supernodes):
            nr: cython.Py_ssize_t = p.first[s + 1] - p.first[s] + p.row_ptr[s + 1] - p.row_ptr[s]
            for j in range(p.first[s + 1] - p.first[s]):
                product *= self.L[p.panel[s] + j * (nr + 1)]
                if product > 1e100 or product < 1e-100:
                    total += log(product)
                    product = 1.0
        return 2.0 * (total + log(product))

    def forward(self, X: cython.p_double, m: cython.Py_ssize_t) -> cython.int:
        """X = L⁻¹X, in place: m columns of q elements."""
        p: Pattern = self.pattern
        q: cython.Py_ssize_t = p.q
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        c: cython.Py_ssize_t
        W: cython.p_double = cython.address(self._work[0])
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            L: cython.p_double = self.L + p.panel[s]
            rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
            if nc < _BLAS:
                for c in range(m):
                    x: cython.p_double = X + c * q
                    for j in range(nc):
                        value: cython.double = x[c0 + j] / L[j * nr + j]
                        x[c0 + j] = value
                        if value != 0.0:
                            for i in range(j + 1, nc):
                                x[c0 + i] -= value * L[j * nr + i]
                            for i in range(nb):
                                x[rows[i]] -= value * L[j * nr + nc + i]
                continue
            blas.trsm(False, False, matrix(L, nc, nc, nr), matrix(X + c0, nc, m, q))
            if nb:
                for c in range(m):
                    below: Matrix = matrix(L + nc, nb, nc, nr)
                    blas.gemm(False, False, 1.0, below, matrix(X + c * q + c0, nc, 1, q), 0.0, matrix(W, nb, 1, nb))
                    for i in range(nb):
                        X[c * q + rows[i]] -= W[i]
        return 0

    def backward(self, X: cython.p_double, m: cython.Py_ssize_t) -> cython.int:
        """X = L⁻ᵀX, in place: m columns of q elements."""
        p: Pattern = self.pattern
        q: cython.Py_ssize_t = p.q
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        c: cython.Py_ssize_t
        W: cython.p_double = cython.address(self._work[0])
        for s in range(p.supernodes - 1, -1, -1):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            L: cython.p_double = self.L + p.panel[s]
            rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
            if nc < _BLAS:
                for c in range(m):
                    x: cython.p_double = X + c * q
                    for j in range(nc - 1, -1, -1):
                        value: cython.double = x[c0 + j]
                        for i in range(j + 1, nc):
                            value -= L[j * nr + i] * x[c0 + i]
                        for i in range(nb):
                            value -= L[j * nr + nc + i] * x[rows[i]]
                        x[c0 + j] = value / L[j * nr + j]
                continue
            if nb:
                for c in range(m):
                    for i in range(nb):
                        W[i] = X[c * q + rows[i]]
                    below: Matrix = matrix(L + nc, nb, nc, nr)
                    blas.gemm(True, False, -1.0, below, matrix(W, nb, 1, nb), 1.0, matrix(X + c * q + c0, nc, 1, q))
            blas.trsm(False, True, matrix(L, nc, nc, nr), matrix(X + c0, nc, m, q))
        return 0

    def invert(self) -> cython.int:
        """Put A⁻¹ on the factor's pattern in `inverse`."""
        p: Pattern = self.pattern
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t
        x: cython.double
        at: cython.pointer(cython.Py_ssize_t) = cython.address(self._at[0])
        G: cython.p_double = cython.address(self._square[0])
        for s in range(p.supernodes - 1, -1, -1):
            nc: cython.Py_ssize_t = p.first[s + 1] - p.first[s]
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            L: cython.p_double = self.L + p.panel[s]
            Z: cython.p_double = self.Z + p.panel[s]
            Y: cython.p_double = cython.address(self._work[0])
            B: cython.p_double = Y + nb * nc
            if nc < _BLAS:
                _small_inverse(L, nc, nr, B, Z)
            else:
                PyErr_CheckSignals()
                for j in range(nc):
                    for i in range(j, nc):
                        Z[j * nr + i] = L[j * nr + i]
                blas.potri(nc, Z, nr)
            if nb == 0:
                continue
            self._gather(s, G, at)
            for j in range(nc):
                for i in range(nb):
                    Y[j * nb + i] = L[j * nr + nc + i]
            if nc < _BLAS:
                for j in range(nc - 1, -1, -1):
                    for k in range(j + 1, nc):
                        x = L[j * nr + k]
                        for i in range(nb):
                            Y[j * nb + i] -= x * Y[k * nb + i]
                    x = 1.0 / L[j * nr + j]
                    for i in range(nb):
                        Y[j * nb + i] *= x
            else:
                blas.trsm(True, False, matrix(L, nc, nc, nr), matrix(Y, nb, nc, nb))
            if nb < _BLAS or nc < 4:
                for j in range(nc):
                    _minus_symmetric(G, nb, Y + j * nb, Z + j * nr + nc)
            else:
                blas.symm(-1.0, matrix(G, nb, nb, nb), matrix(Y, nb, nc, nb), 0.0, matrix(Z + nc, nb, nc, nr))
            if nc < _BLAS:
                for j in range(nc):
                    for k in range(j, nc):
                        x = 0.0
                        for i in range(nb):
                            x += Y[k * nb + i] * Z[j * nr + nc + i]
                        Z[j * nr + k] -= x
            else:
                blas.gemm(
                    True, False, -1.0, matrix(Y, nb, nc, nb), matrix(Z + nc, nb, nc, nr), 1.0, matrix(Z, nc, nc, nr)
                )
        return 0

    def _gather(self, s, G, at):  # type: ignore[no-untyped-def]
        """The inverse's elements among the rows below a supernode, lower triangle in G."""
        p: Pattern = self.pattern
        nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
        rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[p.row_ptr[s]])
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t = 0
        stop: cython.Py_ssize_t
        t: cython.Py_ssize_t
        while k < nb:
            t = super_of(p, rows[k])
            nr: cython.Py_ssize_t = p.first[t + 1] - p.first[t] + p.row_ptr[t + 1] - p.row_ptr[t]
            _rows_to_places(p, t, at)
            stop = p.first[t + 1]
            while k < nb and rows[k] < stop:
                Z: cython.p_double = self.Z + p.panel[t] + at[rows[k]] * nr
                for i in range(k, nb):
                    G[k * nb + i] = Z[at[rows[i]]]
                k += 1

    def symmetric_times(
        self, S: cython.p_double, X: cython.p_double, m: cython.Py_ssize_t, out: cython.p_double
    ) -> cython.int:
        """Out = SX for symmetric S of this pattern, given by its panels; X and out have m columns of q elements."""
        p: Pattern = self.pattern
        q: cython.Py_ssize_t = p.q
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        c: cython.Py_ssize_t
        W: cython.p_double = cython.address(self._work[0])
        for i in range(m * q):
            out[i] = 0.0
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            panel: cython.p_double = S + p.panel[s]
            rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
            if nc >= _BLAS:
                blas.symm(1.0, matrix(panel, nc, nc, nr), matrix(X + c0, nc, m, q), 1.0, matrix(out + c0, nc, m, q))
                below: Matrix = matrix(panel + nc, nb, nc, nr)
                for c in range(m if nb else 0):
                    x: cython.p_double = X + c * q
                    y: cython.p_double = out + c * q
                    blas.gemm(False, False, 1.0, below, matrix(x + c0, nc, 1, q), 0.0, matrix(W, nb, 1, nb))
                    for i in range(nb):
                        y[rows[i]] += W[i]
                        W[i] = x[rows[i]]
                    blas.gemm(True, False, 1.0, below, matrix(W, nb, 1, nb), 1.0, matrix(y + c0, nc, 1, q))
                continue
            for j in range(nc):
                column: cython.p_double = panel + j * nr
                for c in range(m):
                    x = X + c * q
                    y = out + c * q
                    value: cython.double = x[c0 + j]
                    total: cython.double = column[j] * value
                    for i in range(j + 1, nc):
                        y[c0 + i] += value * column[i]
                        total += column[i] * x[c0 + i]
                    for i in range(nb):
                        y[rows[i]] += value * column[nc + i]
                        total += column[nc + i] * x[rows[i]]
                    y[c0 + j] += total
        return 0

    def solve(self, X):  # type: ignore[no-untyped-def]
        """A⁻¹X for X of shape (q, m), rows in the factor's order."""
        out = np.array(X, dtype=float, order="F", ndmin=2)
        if out.size:
            view: cython.double[::1, :] = out
            self.forward(cython.address(view[0, 0]), out.shape[1])
            self.backward(cython.address(view[0, 0]), out.shape[1])
        return out


@cython.cfunc
@cython.exceptval(check=False)
def _rows_to_places(p: Pattern, s: cython.Py_ssize_t, at: cython.pointer(cython.Py_ssize_t)) -> cython.void:
    """Where each row of the matrix stands in a supernode's panel, for the rows that it has."""
    i: cython.Py_ssize_t
    nc: cython.Py_ssize_t = p.first[s + 1] - p.first[s]
    c0: cython.Py_ssize_t = p.first[s]
    for i in range(nc):
        at[c0 + i] = i
    for i in range(p.row_ptr[s], p.row_ptr[s + 1]):
        at[p.rows[i]] = nc + i - p.row_ptr[s]


@cython.cfunc
@cython.exceptval(check=False)
def _minus_symmetric(G: cython.p_double, n: cython.Py_ssize_t, x: cython.p_double, out: cython.p_double) -> cython.void:
    """Out = −Gx for symmetric G given by its lower triangle."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for i in range(n):
        out[i] = 0.0
    for k in range(n):
        g: cython.p_double = G + k * n
        y: cython.double = x[k]
        total: cython.double = 0.0
        for i in range(k + 1, n):
            out[i] -= y * g[i]
            total += g[i] * x[i]
        out[k] -= total + g[k] * y
