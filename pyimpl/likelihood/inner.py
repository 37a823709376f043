"""The inner grouping factor, the one with most random effects, eliminated level by level.

Of level j let R_j be the triangular factor of its columns Z_j, and C_j = Q_j'[X, y], V_j = Q_j'Z_o what these are for
the dense columns and for the outer factors' columns: see :mod:`pyimpl.likelihood.reduce`. With L_j the Cholesky factor
of I + R_jTT'R_j', the block of eq. 18 (Bates et al. 2015) seen from the rows' side,

    E_j = L_j⁻¹R_j,    D_j = L_j⁻¹C_j,    U_j = L_j⁻¹V_j,

and V₁ = I + ZTT'Z' of this factor alone has log|V₁| = Σ log|L_j|², [X, y]'V₁⁻¹[X, y] = within + Σ D_j'D_j, and so
on: sums of positive parts, in which nothing cancels. On the way back Z_j'V⁻¹[X, y] = E_j'(D_j − U_jΛA⁻¹Λ'S_x), and
what the gradient and the average information need is summed level by level.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import NAN, log, sqrt
from cython.cimports.pyimpl.likelihood.wide_levels import WideLevels

from pyimpl.likelihood.wide_levels import wide_levels

__all__ = ["Inner"]

_NO_PAIRS = np.zeros(1, dtype=np.intc)
_LISTENS = cython.declare(cython.double, 2e8)  # operations after which a signal, such as that of Ctrl-C, is looked for


class Inner:
    """The levels of the inner factor.

    Parameters
    ----------
    R : ndarray, shape (J, p, p)
    C : ndarray, shape (J, p, P + 1)
    indptr, columns : ndarray of int
        The outer columns, in the Schur complement's order and ascending, that the rows of each level touch.
    values : ndarray, shape (nnz, p)
        V_j' of those columns.
    pattern : Pattern or None
        Of the Schur complement; None where there are no outer factors.
    counts : ndarray, shape (J,), optional
        How many levels each one's R stands for, where there are no outer factors: see
        :mod:`pyimpl.likelihood.equal_levels`.
    """

    def __init__(self, R, C, indptr, columns, values, pattern, counts=None) -> None:  # type: ignore[no-untyped-def]
        self.R, self.C = R, C
        self.merged = counts is not None
        if self.merged:
            self.counts = counts
        self.J, self.p, self.m = C.shape
        self.indptr, self.columns, self.values = indptr, columns, values
        size: cython.Py_ssize_t = self.J * self.p * self.p + 1
        width: cython.Py_ssize_t = self.J * self.p * self.m + 1
        touched: cython.Py_ssize_t = self.values.shape[0] * self.p + 1
        work: cython.Py_ssize_t = 3 * self.p * self.p + (3 * self.p + 2) * (self.m + 1)
        elements: cython.Py_ssize_t = self.p * (self.p + 1) // 2  # of T at most
        back: cython.Py_ssize_t = self.p * (2 * self.m + self.p + elements) + 1
        room: cython.double[::1] = np.zeros(size + width + touched + work + back)
        self._E, self._D = room[:size], room[size : size + width]
        self._U = room[size + width : size + width + touched]
        self._work = room[size + width + touched : size + width + touched + work]
        self._room = room[size + width + touched + work :]
        self.E, self.D = cython.address(self._E[0]), cython.address(self._D[0])
        self.U = cython.address(self._U[0])
        self.pairs = 0.0
        j: cython.Py_ssize_t
        for j in range(self.J):
            count: cython.double = self.indptr[j + 1] - self.indptr[j]
            self.pairs += count * count
        self.q = 0 if pattern is None else pattern.q
        self.contiguous = True
        self.pair_row = _NO_PAIRS
        self.wide = None
        if pattern is not None:
            self.base, self.contiguous = pattern.base, pattern.contiguous
            self.wide = wide_levels(indptr, columns, self.p, pattern)
            if not self.contiguous:
                self._find_pairs(pattern)

    @cython.wraparound(True)
    def _find_pairs(self, pattern) -> None:  # type: ignore[no-untyped-def]
        """The place in its column's panel of the row of each pair of columns that meet in a level."""
        count = np.diff(np.asarray(self.indptr))
        ends = np.zeros(self.J + 1, dtype=np.intp)
        np.cumsum(count * (count + 1) // 2, out=ends[1:])
        self.pair_ptr = ends
        self.pair_row = np.empty(max(int(ends[-1]), 1), dtype=np.intc)
        _fill_pairs(self, pattern.first, pattern.row_ptr, pattern.rows, pattern.super_of)

    def eliminate(self, T, S, Sx, S2):  # type: ignore[no-untyped-def]
        """E_j and D_j, added to S (m, m; lower) and, if there is an S2, U_j and what it adds; Sx gets U_j'D_j.

        T (p, p) is the template of Λ. Returned is log|V₁|.
        """
        p: cython.Py_ssize_t = self.p
        m: cython.Py_ssize_t = self.m
        j: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        i: cython.Py_ssize_t
        x: cython.double
        y: cython.double
        total: cython.double
        product: cython.double = 1.0
        log_det: cython.double = 0.0
        determinant: cython.double = 1.0
        before: cython.double = NAN
        inverse: cython.double = 1.0
        spent: cython.double = 0.0
        L: cython.p_double = cython.address(self._work[0])
        R: cython.p_double = cython.address(self.R[0, 0, 0])
        C: cython.p_double = cython.address(self.C[0, 0, 0])
        E: cython.p_double = self.E
        D: cython.p_double = self.D
        for j in range(self.J):
            if p == 1:
                x = R[0]
                if x != before:
                    y = x * T[0]
                    determinant = 1.0 + y * y
                    inverse = 1.0 / sqrt(determinant)
                    before = x
                E[0] = x * inverse
                for c in range(m):
                    x = C[c] * inverse
                    D[c] = x
                    # times C, as D, just stored one by one, would be waited for in pairs: 2410 levels 81 -> 68 us
                    x *= inverse
                    for b in range(c + 1):
                        S[c * m + b] += x * C[b]
            else:
                if p == 2:
                    determinant = _two_effects(m, R, T, C, L, E, D)
                elif p == 3:
                    determinant = _level_factor(3, R, T, L)
                    _solve_level(3, 3, L, R, E)
                    _solve_level(3, m, L, C, D)
                else:
                    determinant = _level_factor(p, R, T, L)
                    _solve_level(p, p, L, R, E)
                    _solve_level(p, m, L, C, D)
                for a in range(p):
                    for c in range(m):
                        x = D[a * m + c]
                        for b in range(c + 1):
                            S[c * m + b] += x * D[a * m + b]
            if self.merged:
                log_det += self.counts[j] * log(determinant)
            else:
                product *= determinant
            if product > 1e200:
                log_det += log(product)
                product = 1.0
            if S2 != cython.NULL:
                U: cython.p_double = self.U + self.indptr[j] * p
                V: cython.p_double = cython.address(self.values[0, 0]) + self.indptr[j] * p
                for i in range(self.indptr[j + 1] - self.indptr[j]):
                    if p == 1:
                        U[i] = V[i] * inverse
                    else:
                        _solve_vector(p, L, V + i * p, U + i * p)
                self._scatter(j, S2)
                spent += p * (self.indptr[j + 1] - self.indptr[j]) ** 2
                if spent > _LISTENS:
                    PyErr_CheckSignals()
                    spent = 0.0
            R += p * p
            E += p * p
            C += p * m
            D += p * m
        if self.q:
            D = self.D
            for j in range(self.J):
                for i in range(self.indptr[j], self.indptr[j + 1]):
                    for c in range(m):
                        total = 0.0
                        for a in range(p):
                            total += self.U[i * p + a] * D[a * m + c]
                        Sx[c * self.q + self.columns[i]] += total
                D += p * m
        return log_det + log(product)

    def _scatter(self, j, S2):  # type: ignore[no-untyped-def]
        """S2 += U_j'U_j (lower)."""
        p: cython.Py_ssize_t = self.p
        begin: cython.Py_ssize_t = self.indptr[j]
        count: cython.Py_ssize_t = self.indptr[j + 1] - begin
        if count == 0:
            return 0
        column: cython.pointer(cython.Py_ssize_t) = cython.address(self.columns[begin])
        U: cython.p_double = self.U + begin * p
        wide: WideLevels = self.wide
        if wide is not None and wide.place[j] >= 0:
            return wide.scatter(j, U, S2)
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        a: cython.Py_ssize_t
        x: cython.double
        y: cython.double
        into: cython.p_double
        if not self.contiguous:
            row: cython.p_int = cython.address(self.pair_row[self.pair_ptr[j]])
            for i in range(count):
                into = S2 + self.base[column[i]]
                for k in range(i, count):
                    x = 0.0
                    for a in range(p):
                        x += U[i * p + a] * U[k * p + a]
                    into[row[0]] += x
                    row += 1
            return 0
        for i in range(count):
            into = S2 + self.base[column[i]]
            if p == 1:
                x = U[i]
                for k in range(i, count):
                    into[column[k]] += x * U[k]
            elif p == 2:
                x, y = U[2 * i], U[2 * i + 1]
                for k in range(i, count):
                    into[column[k]] += x * U[2 * k] + y * U[2 * k + 1]
            else:
                for k in range(i, count):
                    x = 0.0
                    for a in range(p):
                        x += U[i * p + a] * U[k * p + a]
                    into[column[k]] += x
        return 0

    def forget_products(self):  # type: ignore[no-untyped-def]
        """Be ready for another N."""
        if self.wide is not None:
            self.wide.batch = -1

    def residual_square(self, v):  # type: ignore[no-untyped-def]
        """Σ|D_j v|²."""
        i: cython.Py_ssize_t
        c: cython.Py_ssize_t
        total: cython.double
        square: cython.double = 0.0
        for i in range(self.J * self.p):
            total = 0.0
            for c in range(self.m):
                total += self.D[i * self.m + c] * v[c]
            square += total * total
        return square

    def effects(self, j, lz, Q, first, V):  # type: ignore[no-untyped-def]
        """V (p, m) = Z_j'V⁻¹[X R_X⁻¹, y − Xβ̂], from the column `first` on; lz = ΛA⁻¹Λ'S_x."""
        _effects(self, self.p, j, lz, Q, first, V)

    def level_trace(self, j, N, K, own):  # type: ignore[no-untyped-def]
        """K (p, p; lower) += E_j'(I − U_jNU_j')E_j, without the I unless `own`."""
        return _level_trace(self, self.p, j, N, K, own)

    def _quadratic(self, j, N):  # type: ignore[no-untyped-def]
        """U_jNU_j' where the level has one effect."""
        begin: cython.Py_ssize_t = self.indptr[j]
        count: cython.Py_ssize_t = self.indptr[j + 1] - begin
        column: cython.pointer(cython.Py_ssize_t) = cython.address(self.columns[begin])
        U: cython.p_double = self.U + begin
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        s0: cython.double
        s1: cython.double
        square: cython.double = 0.0
        row: cython.p_int
        if self.contiguous:
            for i in range(count):
                x: cython.p_double = N + self.base[column[i]]
                s0, s1 = 0.5 * x[column[i]] * U[i], 0.0
                k = i + 1
                while k + 2 <= count:  # two sums, so that no addition waits for the one before it
                    s0 += x[column[k]] * U[k]
                    s1 += x[column[k + 1]] * U[k + 1]
                    k += 2
                if k < count:
                    s0 += x[column[k]] * U[k]
                square += U[i] * (s0 + s1)
        else:
            row = cython.address(self.pair_row[self.pair_ptr[j]])
            for i in range(count):
                z: cython.p_double = N + self.base[column[i]]
                s0 = 0.5 * z[row[0]] * U[i]
                for k in range(i + 1, count):
                    s0 += z[row[k - i]] * U[k]
                row += count - i
                square += U[i] * s0
        return 2.0 * square

    def back(self, T, lz, Q, N, weight, REML, curved):  # type: ignore[no-untyped-def]
        """Sum over the levels, on the way back from the solution of the outer factors, into what the caller has put.

        W (p, p; lower) = Σ weight·e_je_j' + [REML] x_jx_j' of Z_j'V⁻¹[X R_X⁻¹, e] = [x_j, e_j]; K (p, p; lower) =
        Σ Z_j'V⁻¹Z_j. If `curved`, for the n elements (rows, cols) of T with s_k = ψ'_k e_j: info (n, n; lower) =
        Σ s_k'E_j'E_js_l, M (n, m) = Σ s_k'[x_j, e_j], h (n columns of q) = Σ U_j'E_js_k.
        """
        self.REML = REML
        if self.p == 1:
            return self._scalar_back(T[0], lz, Q, N, weight, curved)
        # constants, as in `eliminate`: an evaluation of 100 000 levels with two effects 15.6 -> 12.2 ms; a fit of 5000
        # levels with three 25 -> 19 ms
        if self.p == 2:
            return _sum_back(self, 2, T, lz, Q, N, weight, curved)
        if self.p == 3:
            return _sum_back(self, 3, T, lz, Q, N, weight, curved)
        return _sum_back(self, self.p, T, lz, Q, N, weight, curved)

    def _scalar_back(self, t, lz, Q, N, weight, curved):  # type: ignore[no-untyped-def]
        """The sums of :meth:`back` where a level has one effect: then e_j, s_j = 2t e_j, K and W are numbers."""
        m: cython.Py_ssize_t = self.m
        P: cython.Py_ssize_t = m - 1
        q: cython.Py_ssize_t = self.q
        j: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        i: cython.Py_ssize_t
        x: cython.double
        e: cython.double
        s: cython.double
        total: cython.double
        W: cython.double = 0.0
        information: cython.double = 0.0
        spent: cython.double = 0.0
        each: cython.double = m * m + 1
        REML: cython.bint = self.REML
        G: cython.p_double = cython.address(self._work[0])  # D_j − U_j lz, (m,)
        self.forget_products()
        for j in range(self.J):
            begin: cython.Py_ssize_t = self.indptr[j]
            end: cython.Py_ssize_t = self.indptr[j + 1]
            D: cython.p_double = self.D + j * m
            E: cython.double = self.E[j]
            e = 0.0
            for c in range(m):
                total = D[c]
                for i in range(begin, end):
                    total -= self.U[i] * lz[c * q + self.columns[i]]
                G[c] = total
                e += total * Q[c * m + P]
            e *= E
            s = 2.0 * t * e
            W += weight * e * e
            if REML or curved:
                for c in range(P):
                    x = 0.0
                    for b in range(c + 1):
                        x += G[b] * Q[b * m + c]
                    x *= E
                    if REML:
                        W += x * x
                    if curved:
                        self.M[c] += s * x
            if curved:
                self.M[P] += s * e
                x = E * s
                information += x * x
                for i in range(begin, end):
                    self.h[self.columns[i]] += self.U[i] * x
            _level_trace(self, 1, j, N, self.K, True)
            spent += each + (end - begin) ** 2
            if spent > _LISTENS:
                PyErr_CheckSignals()
                spent = 0.0
        self.W[0] += W
        if curved:
            self.info[0] += information
        return 0

    def scalar_derivatives(self, t, Q, df, prss, REML, room, curvature):  # type: ignore[no-untyped-def]
        """First derivative, and the second one, exact, where this factor is alone and has one effect.

        With ψ = t², K_j = E_j² and Y_j = Z_j'V⁻¹[X R_X⁻¹, e] everything is a number for each level; `room` is a
        workspace of m + m² numbers.
        """
        m: cython.Py_ssize_t = self.m
        P: cython.Py_ssize_t = m - 1
        j: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        K: cython.double
        W: cython.double
        total: cython.double
        g: cython.double = 0.0
        h: cython.double = 0.0
        weight: cython.double = df / prss
        D: cython.p_double = self.D
        y: cython.p_double = room
        M: cython.p_double = y + m
        for a in range(m * m):
            M[a] = 0.0
        for c in range(m):
            y[c] = 0.0
        for j in range(self.J):
            K = self.E[j] * self.E[j]
            if REML:
                for c in range(m):
                    y[c] = 0.0
                for b in range(m):
                    for c in range(b, m):
                        y[c] += D[b] * Q[b * m + c]
                for c in range(m):
                    y[c] *= self.E[j]
                total = y[P]
            else:
                total = 0.0
                for b in range(m):
                    total += D[b] * Q[b * m + P]
                total *= self.E[j]
            W = weight * total * total
            if REML:
                for c in range(P):
                    W += y[c] * y[c]
                for a in range(m):
                    for b in range(a + 1):
                        M[a * m + b] += y[a] * y[b]
            else:  # e_jY_j is wanted alone: before Q
                for b in range(m):
                    y[b] += total * self.E[j] * D[b]
            g += K - W
            h += K * (2.0 * W - K)
            D += m
        if not REML:
            for c in range(m):
                for b in range(c + 1):
                    M[P * m + c] += y[b] * Q[b * m + c]
        total = M[P * m + P] * M[P * m + P] * df / (prss * prss)
        for c in range(P):
            total += 2.0 * weight * M[P * m + c] * M[P * m + c]
        if REML:
            for a in range(P):
                for b in range(a):
                    total += 2.0 * M[a * m + b] * M[a * m + b]
                total += M[a * m + a] * M[a * m + a]
        curvature[0] = 4.0 * t * t * (h - total) + 2.0 * g
        return 2.0 * g * t


@cython.cfunc
@cython.exceptval(check=False)
def _effects(
    inner: Inner, p: cython.Py_ssize_t, j: cython.Py_ssize_t, lz: cython.p_double, Q: cython.p_double,
    first: cython.Py_ssize_t, V: cython.p_double,
) -> cython.void:  # fmt: skip
    """See :meth:`Inner.effects`; p is a constant where it is said so."""
    m: cython.Py_ssize_t = inner.m
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    i: cython.Py_ssize_t
    x: cython.double
    total: cython.double
    G: cython.p_double = cython.address(inner._work[3 * p * p])
    H: cython.p_double = G + p * m
    D: cython.p_double = inner.D + j * p * m
    E: cython.p_double = inner.E + j * p * p
    for i in range(p * m):
        G[i] = D[i]
    for i in range(inner.indptr[j], inner.indptr[j + 1]):
        for a in range(p):
            x = inner.U[i * p + a]
            for c in range(m):
                G[a * m + c] -= x * lz[c * inner.q + inner.columns[i]]
    for a in range(p):
        for c in range(first, m):
            total = 0.0
            for b in range(c + 1):
                total += G[a * m + b] * Q[b * m + c]
            H[a * m + c] = total
    for a in range(p):
        for c in range(first, m):
            total = 0.0
            for b in range(p):
                total += E[b * p + a] * H[b * m + c]
            V[a * m + c] = total


@cython.cfunc
@cython.exceptval(-1)
def _level_trace(
    inner: Inner, p: cython.Py_ssize_t, j: cython.Py_ssize_t, N: cython.p_double, K: cython.p_double, own: cython.bint,
) -> cython.int:  # fmt: skip
    """See :meth:`Inner.level_trace`; p is a constant where it is said so."""
    begin: cython.Py_ssize_t = inner.indptr[j]
    count: cython.Py_ssize_t = inner.indptr[j + 1] - begin
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    x: cython.double
    total: cython.double
    E: cython.p_double = inner.E + j * p * p
    M: cython.p_double = cython.address(inner._work[0])  # U_jNU_j'
    wide: WideLevels = inner.wide
    is_wide: cython.bint = wide is not None and wide.place[j] >= 0
    if is_wide:
        wide.trace(j, inner.U, N, M)
    if p == 1:
        total = 0.0
        if is_wide:
            total = 2.0 * M[0]
        elif count:
            total = inner._quadratic(j, N)
        K[0] += E[0] * E[0] * ((1.0 if own else 0.0) - total)
        return 0
    x = inner.counts[j] if inner.merged else 1.0
    for a in range(p if own else 0):
        for c in range(a + 1):
            total = 0.0
            for b in range(p):
                total += E[b * p + a] * E[b * p + c]
            K[a * p + c] += x * total
    if count == 0:
        return 0
    column: cython.pointer(cython.Py_ssize_t) = cython.address(inner.columns[begin])
    U: cython.p_double = inner.U + begin * p
    y: cython.p_double = M + p * p
    for a in range(0 if is_wide else p * p):
        M[a] = 0.0
    row: cython.p_int = cython.address(inner.pair_row[0])
    if not inner.contiguous:
        row = cython.address(inner.pair_row[inner.pair_ptr[j]])
    for i in range(0 if is_wide else count):
        from_: cython.p_double = N + inner.base[column[i]]
        for a in range(p):
            y[a] = 0.0
        if inner.contiguous:
            x = 0.5 * from_[column[i]]
            for a in range(p):
                y[a] = x * U[i * p + a]
            for k in range(i + 1, count):
                x = from_[column[k]]
                for a in range(p):
                    y[a] += x * U[k * p + a]
        else:
            x = 0.5 * from_[row[0]]
            for a in range(p):
                y[a] = x * U[i * p + a]
            for k in range(i + 1, count):
                x = from_[row[k - i]]
                for a in range(p):
                    y[a] += x * U[k * p + a]
            row += count - i
        for a in range(p):
            for b in range(p):
                M[a * p + b] += U[i * p + a] * y[b]
    for a in range(p):
        for c in range(a + 1):
            total = 0.0
            for b in range(p):
                for k in range(p):
                    total += E[b * p + a] * (M[b * p + k] + M[k * p + b]) * E[k * p + c]
            K[a * p + c] -= total
    return 0


@cython.cfunc
@cython.exceptval(-1)
def _sum_back(
    inner: Inner, p: cython.Py_ssize_t, T: cython.p_double, lz: cython.p_double, Q: cython.p_double, N: cython.p_double,
    weight: cython.double, curved: cython.bint,
) -> cython.int:  # fmt: skip
    """See :meth:`Inner.back`; p is a constant where it is said so."""
    REML: cython.bint = inner.REML
    n: cython.Py_ssize_t = inner.n
    rows: cython.pointer(cython.Py_ssize_t) = inner.rows
    cols: cython.pointer(cython.Py_ssize_t) = inner.cols
    W: cython.p_double = inner.W
    K: cython.p_double = inner.K
    info: cython.p_double = inner.info
    M: cython.p_double = inner.M
    h: cython.p_double = inner.h
    m: cython.Py_ssize_t = inner.m
    P: cython.Py_ssize_t = m - 1
    j: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    x: cython.double
    total: cython.double
    spent: cython.double = 0.0
    first: cython.Py_ssize_t = 0 if REML or curved else P
    V: cython.p_double = cython.address(inner._room[0])
    TV: cython.p_double = V + p * m  # T'[x_j, e_j], (p, m)
    ET: cython.p_double = TV + p * m  # E_jT, (p, p)
    z: cython.p_double = ET + p * p  # E_js_k of all k, (p, n)
    each: cython.double = p * m * (p + m) + (n * (p + m + n * p) + p * p * (p + m) if curved else 0) + 1
    inner.forget_products()
    for j in range(inner.J):
        _effects(inner, p, j, lz, Q, first, V)
        for a in range(p):
            for b in range(a + 1):
                total = weight * V[a * m + P] * V[b * m + P]
                if REML:
                    for c in range(P):
                        total += V[a * m + c] * V[b * m + c]
                W[a * p + b] += total
        _level_trace(inner, p, j, N, K, True)
        spent += each + (inner.indptr[j + 1] - inner.indptr[j]) ** 2
        if spent > _LISTENS:
            PyErr_CheckSignals()
            spent = 0.0
        if not curved:
            continue
        E: cython.p_double = inner.E + j * p * p
        for b in range(p):
            for c in range(m):
                TV[b * m + c] = 0.0
            for a in range(b, p):
                for c in range(m):
                    TV[b * m + c] += T[a * p + b] * V[a * m + c]
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(b, p):
                    total += E[a * p + c] * T[c * p + b]
                ET[a * p + b] = total
        for k in range(n):  # s_k = ψ'_k e_j: T'e's element of column k, in row k, and column k of T times e's of row k
            x = V[rows[k] * m + P]
            total = TV[cols[k] * m + P]
            for a in range(p):
                z[a * n + k] = E[a * p + rows[k]] * total + ET[a * p + cols[k]] * x
            for c in range(m):
                M[k * m + c] += total * V[rows[k] * m + c] + x * TV[cols[k] * m + c]
        for a in range(p):
            for k in range(n):
                x = z[a * n + k]
                for i in range(k + 1):
                    info[k * n + i] += x * z[a * n + i]
        for i in range(inner.indptr[j], inner.indptr[j + 1]):
            for k in range(n):
                total = 0.0
                for a in range(p):
                    total += inner.U[i * p + a] * z[a * n + k]
                h[k * inner.q + inner.columns[i]] += total
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _two_effects(
    m: cython.Py_ssize_t, R: cython.p_double, T: cython.p_double, C: cython.p_double, L: cython.p_double,
    E: cython.p_double, D: cython.p_double,
) -> cython.double:  # fmt: skip
    """L_j, E_j and D_j of two effects a level; returns |L_j|². In numbers that stay in registers: half the time."""
    c: cython.Py_ssize_t
    w0: cython.double = R[0] * T[0] + R[1] * T[2]
    w1: cython.double = R[1] * T[3]
    w2: cython.double = R[3] * T[2]
    w3: cython.double = R[3] * T[3]
    square: cython.double = 1.0 + (w0 * w0 + w1 * w1)
    first: cython.double = 1.0 / sqrt(square)
    below: cython.double = (w2 * w0 + w3 * w1) * first
    rest: cython.double = 1.0 + (w2 * w2 + w3 * w3) - below * below
    second: cython.double = 1.0 / sqrt(rest)
    L[0], L[2], L[3] = square * first, below, rest * second
    w0, w1 = R[0] * first, R[1] * first
    E[0], E[1] = w0, w1
    E[2], E[3] = -below * w0 * second, (R[3] - below * w1) * second
    for c in range(m):
        w0 = C[c] * first
        D[c] = w0
        D[m + c] = (C[m + c] - below * w0) * second
    return square * rest


@cython.cfunc
@cython.exceptval(check=False)
def _level_factor(p: cython.Py_ssize_t, R: cython.p_double, T: cython.p_double, L: cython.p_double) -> cython.double:
    """L (p, p) of LL' = I + RTT'R'; returns its squared determinant."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    total: cython.double
    determinant: cython.double = 1.0
    W: cython.p_double = L + p * p
    for a in range(p):
        for b in range(p):
            total = 0.0
            for c in range(max(a, b), p):
                total += R[a * p + c] * T[c * p + b]
            W[a * p + b] = total
    for a in range(p):
        for b in range(a + 1):
            total = 1.0 if a == b else 0.0
            for c in range(p):
                total += W[a * p + c] * W[b * p + c]
            for c in range(b):
                total -= L[a * p + c] * L[b * p + c]
            if a == b:
                L[a * p + a] = sqrt(total)
                determinant *= total
            else:
                L[a * p + b] = total / L[b * p + b]
    return determinant


@cython.cfunc
@cython.exceptval(check=False)
def _solve_level(
    p: cython.Py_ssize_t, m: cython.Py_ssize_t, L: cython.p_double, X: cython.p_double, out: cython.p_double
) -> cython.void:
    """Out = L⁻¹X, both (p, m)."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    x: cython.double
    for a in range(p):
        for c in range(m):
            out[a * m + c] = X[a * m + c]
        for b in range(a):
            x = L[a * p + b]
            for c in range(m):
                out[a * m + c] -= x * out[b * m + c]
        x = 1.0 / L[a * p + a]
        for c in range(m):
            out[a * m + c] *= x


@cython.cfunc
@cython.exceptval(check=False)
def _solve_vector(p: cython.Py_ssize_t, L: cython.p_double, x: cython.p_double, out: cython.p_double) -> cython.void:
    """Out = L⁻¹x."""
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    total: cython.double
    for a in range(p):
        total = x[a]
        for b in range(a):
            total -= L[a * p + b] * out[b]
        out[a] = total / L[a * p + a]


def _fill_pairs(  # type: ignore[no-untyped-def]
    inner: Inner, first: cython.Py_ssize_t[::1], row_ptr: cython.Py_ssize_t[::1], rows: cython.Py_ssize_t[::1],
    super_of: cython.Py_ssize_t[::1],
):  # fmt: skip
    """Where the row of each pair stands in the panel of its column: both ascend, so a search goes on."""
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    row: cython.Py_ssize_t
    low: cython.Py_ssize_t
    high: cython.Py_ssize_t
    middle: cython.Py_ssize_t
    for j in range(inner.J):
        for i in range(inner.indptr[j], inner.indptr[j + 1]):
            s: cython.Py_ssize_t = super_of[inner.columns[i]]
            low = row_ptr[s]
            for k in range(i, inner.indptr[j + 1]):
                row = inner.columns[k]
                if row < first[s + 1]:
                    inner.pair_row[at] = row - first[s]
                else:
                    high = row_ptr[s + 1]
                    while low < high:
                        middle = (low + high) // 2
                        if rows[middle] < row:
                            low = middle + 1
                        else:
                            high = middle
                    inner.pair_row[at] = first[s + 1] - first[s] + low - row_ptr[s]
                at += 1
