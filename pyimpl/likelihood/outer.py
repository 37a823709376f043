"""The outer grouping factors: the Schur complement that the inner factor leaves, and what is asked of it.

With V₁ that of the inner factor, S2 = Z_o'V₁⁻¹Z_o and S_x = Z_o'V₁⁻¹[X, y] let A = I + Λ'S2Λ = LL' (the trailing
block of eq. 18, Bates et al. 2015). Then with N = ΛA⁻¹Λ'

    V⁻¹ = V₁⁻¹ − V₁⁻¹Z_o N Z_o'V₁⁻¹,

and of A⁻¹ the elements on the pattern of A are all that is needed. Columns are in the order of the factor
(:class:`pyimpl.linalg.pattern.Pattern`), whose nodes are the levels; a node's columns are its effects, and Λ is
block-diagonal with the template T_f of the node's grouping factor.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.pyimpl.linalg.supernodal import Factor

from pyimpl.linalg.memory import zeros

__all__ = ["Outer"]

#: Mean of what a variance adds to A's diagonal from which A⁻¹'s may be taken from the identity without cancelling.
_PLAIN = cython.declare(cython.double, 1e-2)
_BATCH = cython.declare(cython.Py_ssize_t, 64)  # right-hand sides at a time


@cython.cfunc
@cython.exceptval(check=False)
def _times(
    X: cython.p_double, Y: cython.p_double, ld: cython.Py_ssize_t, low: cython.Py_ssize_t, high: cython.Py_ssize_t,
    T: cython.p_double, p: cython.Py_ssize_t, inner: cython.bint,
) -> cython.void:  # fmt: skip
    """Rows `low` to `high` of p columns X become Y = XT, or XT'; X may be Y."""
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t
    factor: cython.double
    for n in range(p):
        k = n if inner else p - 1 - n  # a column needs those after it, or those before it
        y: cython.p_double = Y + k * ld
        x: cython.p_double = X + k * ld
        factor = T[k * p + k]
        for i in range(low, high):
            y[i] = factor * x[i]
        for c in range(k + 1 if inner else 0, p if inner else k):
            x = X + c * ld
            factor = T[c * p + k] if inner else T[k * p + c]
            for i in range(low, high):
                y[i] += factor * x[i]


class Outer:
    """The outer factors' cross-products and their factor.

    Parameters
    ----------
    pattern : Pattern
    within : ndarray, shape (pattern.size,)
        Z_o'(I − QQ')Z_o in panels; Q spans the inner factor's columns.
    within_dense : ndarray, shape (P + 1, q)
        [X, y]'(I − QQ')Z_o.
    node_factor : ndarray of int, shape (nodes,)
        Grouping factor of each node, from 0, by place.
    width : ndarray of int, shape (factors,)
        Effects a level.
    """

    def __init__(self, pattern, within, within_dense, node_factor, width) -> None:  # type: ignore[no-untyped-def]
        self.pattern, self.within, self.within_dense = pattern, within, within_dense
        self.q, self.m, self.factors = pattern.q, within_dense.shape[0], width.size
        self.node_factor, self.width = node_factor, width
        f: cython.Py_ssize_t
        i: cython.Py_ssize_t
        widest: cython.Py_ssize_t = 0
        table: cython.Py_ssize_t[:, ::1] = np.zeros((3, self.factors + 1), dtype=np.intp)
        self.template, self.levels, self.level_ptr = table[0], table[1, : self.factors], table[2]
        self.scalar = True
        for i in range(self.node_factor.shape[0]):
            self.levels[self.node_factor[i]] += 1
        for f in range(self.factors):
            self.template[f + 1] = self.template[f] + self.width[f] * self.width[f]
            self.level_ptr[f + 1] = self.level_ptr[f] + self.levels[f]
            self.scalar = self.scalar and self.width[f] == 1
            widest = max(widest, self.width[f])
        self.factor = Factor(pattern)
        square: cython.double[:, ::1] = np.zeros((2 * self.m, self.q))
        self.Sx, self.V = square[: self.m], square[self.m :]
        size: cython.Py_ssize_t = max(pattern.size, 1)
        work: cython.Py_ssize_t = 3 * widest * widest + widest
        room: cython.double[::1] = zeros(size + self.q + 1 + work + self.template[self.factors])
        self.S2, self._scale = room[:size], room[size : size + self.q + 1]
        self._work = room[size + self.q + 1 :]
        self._sizes = room[size + self.q + 1 + work :]

    def set_template(self, T):  # type: ignore[no-untyped-def]
        """Take the templates of Λ, one after the other, each by rows; they are not copied."""
        i: cython.Py_ssize_t
        self._T = T
        if self.scalar:
            for i in range(self.q):
                self._scale[i] = T[self.node_factor[i]]

    def factorise(self):  # type: ignore[no-untyped-def]
        """A = I + Λ'S2Λ and its factor; False if it is not positive definite."""
        s: cython.Py_ssize_t
        j: cython.Py_ssize_t
        p = self.pattern
        A: cython.p_double = self.factor.L
        PyErr_CheckSignals()
        self._product(cython.address(self.S2[0]), True, A)
        PyErr_CheckSignals()
        for s in range(p.supernodes):
            nc: cython.Py_ssize_t = p.first[s + 1] - p.first[s]
            nr: cython.Py_ssize_t = nc + p.row_ptr[s + 1] - p.row_ptr[s]
            for j in range(nc):
                A[p.panel[s] + j * (nr + 1)] += 1.0
        return self.factor.factorise()

    def _product(self, S, inner, out):  # type: ignore[no-untyped-def]
        """Out = Λ'SΛ if `inner`, else ΛSΛ', for symmetric S in panels; S may be out."""
        p = self.pattern
        s: cython.Py_ssize_t
        j: cython.Py_ssize_t
        i: cython.Py_ssize_t
        b: cython.Py_ssize_t
        a: cython.Py_ssize_t
        z: cython.double
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            X: cython.p_double = S + p.panel[s]
            Y: cython.p_double = out + p.panel[s]
            if self.scalar:
                scale: cython.p_double = cython.address(self._scale[0])
                rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
                for j in range(nc):
                    z = scale[c0 + j]
                    for i in range(j, nc):
                        Y[j * nr + i] = z * scale[c0 + i] * X[j * nr + i]
                    for i in range(nb):
                        Y[j * nr + nc + i] = z * scale[rows[i]] * X[j * nr + nc + i]
                continue
            for b in range(p.super_node[s], p.super_node[s + 1]):
                wide: cython.Py_ssize_t = self.width[self.node_factor[b]]
                T: cython.p_double = self._T + self.template[self.node_factor[b]]
                j = p.node_first[b] - c0
                self._square(X + j * (nr + 1), Y + j * (nr + 1), nr, T, wide, inner)
                _times(X + j * nr, Y + j * nr, nr, j + wide, nr, T, wide, inner)
                Y += j * nr
                a = b + 1
                while a < p.super_node[s + 1]:  # the nodes below in the panel's square, then those below the square
                    i = a
                    while i < p.super_node[s + 1] and self.node_factor[i] == self.node_factor[a]:
                        i += 1
                    self._nodes_times(Y + p.node_first[a] - c0, nr, wide, self.node_factor[a], i - a, inner)
                    a = i
                x: cython.p_double = Y + nc
                a = p.node_row_ptr[s]
                while a < p.node_row_ptr[s + 1]:
                    f: cython.Py_ssize_t = self.node_factor[p.node_rows[a]]
                    i = a
                    while i < p.node_row_ptr[s + 1] and self.node_factor[p.node_rows[i]] == f:
                        i += 1
                    self._nodes_times(x, nr, wide, f, i - a, inner)
                    x += (i - a) * self.width[f]
                    a = i
                Y -= j * nr

    def _square(self, X, Y, ld, T, p, inner):  # type: ignore[no-untyped-def]
        """A node's own block, T'XT or TXT', of which the lower triangle is stored."""
        half: cython.p_double = cython.address(self._work[0])
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        c: cython.Py_ssize_t
        total: cython.double
        for i in range(p):  # half = XT, or XT'
            for k in range(p):
                total = 0.0
                if inner:
                    for c in range(k, p):
                        total += (X[c * ld + i] if i >= c else X[i * ld + c]) * T[c * p + k]
                else:
                    for c in range(k + 1):
                        total += (X[c * ld + i] if i >= c else X[i * ld + c]) * T[k * p + c]
                half[i * p + k] = total
        for k in range(p):
            for i in range(k, p):
                total = 0.0
                if inner:
                    for c in range(i, p):
                        total += T[c * p + i] * half[c * p + k]
                else:
                    for c in range(i + 1):
                        total += T[i * p + c] * half[c * p + k]
                Y[k * ld + i] = total

    def _nodes_times(self, Y, ld, m, f, n, inner):  # type: ignore[no-untyped-def]
        """Of m columns Y the elements y of each of n nodes of factor f become T'y, or Ty."""
        T: cython.p_double = self._T + self.template[f]
        p: cython.Py_ssize_t = self.width[f]
        i: cython.Py_ssize_t
        c: cython.Py_ssize_t
        k: cython.Py_ssize_t
        a: cython.Py_ssize_t
        factor: cython.double
        for c in range(m):
            y: cython.p_double = Y + c * ld
            if p == 1:
                factor = T[0]
                for k in range(n):
                    y[k] *= factor
                continue
            for k in range(n):
                if inner:  # an element needs those after it
                    for i in range(p):
                        y[i] *= T[i * p + i]
                        for a in range(i + 1, p):
                            y[i] += T[a * p + i] * y[a]
                else:  # ... or those before it
                    for i in range(p - 1, -1, -1):
                        y[i] *= T[i * p + i]
                        for a in range(i):
                            y[i] += T[i * p + a] * y[a]
                y += p

    def lambda_times(self, X, m, transposed, out):  # type: ignore[no-untyped-def]
        """Out = ΛX, or Λ'X: m columns of q elements; X is not out."""
        p = self.pattern
        q: cython.Py_ssize_t = self.q
        n: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        total: cython.double
        if self.scalar:
            for c in range(m):
                for a in range(q):
                    out[c * q + a] = self._scale[a] * X[c * q + a]
            return
        for n in range(p.nodes):
            wide: cython.Py_ssize_t = self.width[self.node_factor[n]]
            T: cython.p_double = self._T + self.template[self.node_factor[n]]
            at: cython.Py_ssize_t = p.node_first[n]
            for c in range(m):
                x: cython.p_double = X + c * q + at
                y: cython.p_double = out + c * q + at
                for a in range(wide):
                    total = 0.0
                    if transposed:
                        for b in range(a, wide):
                            total += T[b * wide + a] * x[b]
                    else:
                        for b in range(a + 1):
                            total += T[a * wide + b] * x[b]
                    y[a] = total

    def symmetric(self, X, m, out):  # type: ignore[no-untyped-def]
        """Out = S2 X: m columns of q elements."""
        self.factor.symmetric_times(cython.address(self.S2[0]), X, m, out)

    def effects(self, lz, SZ, Q):  # type: ignore[no-untyped-def]
        """V = Z_o'V⁻¹[X R_X⁻¹, y − Xβ̂] = (S_x − S2 lz)Q, with lz = NS_x; SZ is a workspace of its size."""
        q: cython.Py_ssize_t = self.q
        m: cython.Py_ssize_t = self.m
        i: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        x: cython.double
        self.factor.symmetric_times(cython.address(self.S2[0]), lz, m, SZ)
        for c in range(m):
            for i in range(q):
                self.V[c, i] = 0.0
            for b in range(c + 1):
                x = Q[b * m + c]
                for i in range(q):
                    self.V[c, i] += x * (self.Sx[b, i] - SZ[b * q + i])

    def plain_traces(self, KT):  # type: ignore[no-untyped-def]
        """KT_f of :meth:`traces` from Λ'S2ΛA⁻¹ = I − A⁻¹; False where that would cancel."""
        p = self.pattern
        f: cython.Py_ssize_t
        n: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        s: cython.Py_ssize_t
        total: cython.double
        size: cython.double[::1] = self._sizes
        for n in range(self.template[self.factors]):
            KT[n] = size[n] = 0.0
        for n in range(p.nodes):
            f = self.node_factor[n]
            wide: cython.Py_ssize_t = self.width[f]
            s = p.node_super[n]
            nr: cython.Py_ssize_t = p.first[s + 1] - p.first[s] + p.row_ptr[s + 1] - p.row_ptr[s]
            c = p.panel[s] + (p.node_first[n] - p.first[s]) * (nr + 1)
            for a in range(wide):
                size[self.template[f] + a * wide + a] += self.S2[c + a * (nr + 1)]
                for b in range(a + 1):
                    KT[self.template[f] + a * wide + b] -= self.factor.Z[c + b * nr + a]
        for f in range(self.factors):
            wide = self.width[f]
            T: cython.p_double = self._T + self.template[f]
            B: cython.p_double = KT + self.template[f]
            X: cython.p_double = cython.address(self._work[0])
            for a in range(wide):
                if (
                    not T[a * wide + a] * T[a * wide + a] * size[self.template[f] + a * wide + a]
                    > _PLAIN * self.levels[f]
                ):
                    return False
                B[a * wide + a] += self.levels[f]
                for b in range(a):
                    B[b * wide + a] = B[a * wide + b]
            # T'(KT) = B, so the columns of KT are T'⁻¹B's
            for c in range(wide):
                for a in range(wide - 1, -1, -1):
                    total = B[a * wide + c]
                    for b in range(a + 1, wide):
                        total -= T[b * wide + a] * X[b * wide + c]
                    X[a * wide + c] = total / T[a * wide + a]
            for a in range(wide * wide):
                B[a] = X[a]
        return True

    def traces(self, KT):  # type: ignore[no-untyped-def]
        """KT_f = Σ over levels of [S2ΛA⁻¹]'s diagonal blocks, which is Σ Z_i'V⁻¹Z_i T_f, all factors' flat."""
        p = self.pattern
        s: cython.Py_ssize_t
        j: cython.Py_ssize_t
        i: cython.Py_ssize_t
        b: cython.Py_ssize_t
        a: cython.Py_ssize_t
        f: cython.Py_ssize_t
        g: cython.Py_ssize_t
        x: cython.double
        for i in range(self.template[self.factors]):
            KT[i] = 0.0
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            X: cython.p_double = cython.address(self.S2[0]) + p.panel[s]
            Z: cython.p_double = self.factor.Z + p.panel[s]
            if self.scalar:
                for j in range(nc):
                    g = self.node_factor[c0 + j]
                    KT[g] += self._T[g] * X[j * nr + j] * Z[j * nr + j]
                    for i in range(j + 1, nr):
                        x = X[j * nr + i]
                        if x != 0.0:
                            f = self.node_factor[c0 + i if i < nc else p.rows[p.row_ptr[s] + i - nc]]
                            x *= Z[j * nr + i]
                            KT[f] += self._T[g] * x
                            KT[g] += self._T[f] * x
                continue
            for b in range(p.super_node[s], p.super_node[s + 1]):
                j = p.node_first[b] - c0
                for a in range(b, p.super_node[s + 1]):
                    i = j * nr + p.node_first[a] - c0
                    self._block_trace(X + i, Z + i, nr, a, b, KT)
                i = j * nr + nc
                for a in range(p.node_row_ptr[s], p.node_row_ptr[s + 1]):
                    self._block_trace(X + i, Z + i, nr, p.node_rows[a], b, KT)
                    i += self.width[self.node_factor[p.node_rows[a]]]

    def _block_trace(self, X, Z, ld, a, b, KT):  # type: ignore[no-untyped-def]
        """What the block of two nodes adds to each of theirs: X_ab T_b Z_ab' and X_ab' T_a Z_ab."""
        f: cython.Py_ssize_t = self.node_factor[a]
        g: cython.Py_ssize_t = self.node_factor[b]
        pf: cython.Py_ssize_t = self.width[f]
        pg: cython.Py_ssize_t = self.width[g]
        Tf: cython.p_double = self._T + self.template[f]
        Tg: cython.p_double = self._T + self.template[g]
        into: cython.p_double = KT + self.template[f]
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        c: cython.Py_ssize_t
        d: cython.Py_ssize_t
        x: cython.double
        for i in range(pf):
            for c in range(pg):
                x = X[c * ld + i] if a != b or i >= c else X[i * ld + c]
                for d in range(c + 1):
                    for k in range(pf):
                        into[i * pf + k] += x * Tg[c * pg + d] * (Z[d * ld + k] if a != b or k >= d else Z[k * ld + d])
        if a == b:
            return
        into = KT + self.template[g]
        for i in range(pf):
            for c in range(pg):
                x = X[c * ld + i]
                for d in range(i + 1):
                    for k in range(pg):
                        into[c * pg + k] += x * Tf[i * pf + d] * Z[k * ld + d]

    def exact_trace(self, f, K):  # type: ignore[no-untyped-def]
        """K (p, p; lower) = Σ over levels of [S2 − S2NS2]'s diagonal blocks of one factor, of which T may be singular.

        With Y = L⁻¹Λ'S2 of a level's columns that is S2 − Y'Y.
        """
        p = self.pattern
        q: cython.Py_ssize_t = self.q
        wide: cython.Py_ssize_t = self.width[f]
        n: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        count: cython.Py_ssize_t
        total: cython.double
        for a in range(wide * wide):
            K[a] = 0.0
        nodes = np.flatnonzero(np.asarray(self.node_factor) == f)
        batch: cython.Py_ssize_t = max(1, _BATCH // wide)
        room: cython.double[::1] = np.empty(3 * batch * wide * q)
        unit: cython.p_double = cython.address(room[0])
        image: cython.p_double = unit + batch * wide * q
        Y: cython.p_double = image + batch * wide * q
        begin: cython.Py_ssize_t
        for begin in range(0, nodes.size, batch):
            part: cython.Py_ssize_t[::1] = nodes[begin : begin + batch]
            count = part.shape[0]
            for i in range(count * wide * q):
                unit[i] = 0.0
            for k in range(count):
                for a in range(wide):
                    unit[(k * wide + a) * q + p.node_first[part[k]] + a] = 1.0
            self.factor.symmetric_times(cython.address(self.S2[0]), unit, count * wide, image)
            self.lambda_times(image, count * wide, True, Y)
            self.factor.forward(Y, count * wide)
            for k in range(count):
                n = p.node_first[part[k]]
                for a in range(wide):
                    for b in range(a + 1):
                        total = image[(k * wide + b) * q + n + a]
                        for i in range(q):
                            total -= Y[(k * wide + a) * q + i] * Y[(k * wide + b) * q + i]
                        K[a * wide + b] += total
        return 0

    def sandwich(self):  # type: ignore[no-untyped-def]
        """Put N = ΛA⁻¹Λ' in the place of A⁻¹."""
        self._product(self.factor.Z, False, self.factor.Z)

    def squares(self, f, weight, REML, W):  # type: ignore[no-untyped-def]
        """W (p, p; lower) = Σ over levels weight·ee' + [REML] xx' of V = [x, e] of one factor."""
        p = self.pattern
        wide: cython.Py_ssize_t = self.width[f]
        n: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        total: cython.double
        for a in range(wide * wide):
            W[a] = 0.0
        for n in range(p.nodes):
            if self.node_factor[n] != f:
                continue
            at: cython.Py_ssize_t = p.node_first[n]
            for a in range(wide):
                for b in range(a + 1):
                    total = weight * self.V[self.m - 1, at + a] * self.V[self.m - 1, at + b]
                    if REML:
                        for c in range(self.m - 1):
                            total += self.V[c, at + a] * self.V[c, at + b]
                    W[a * wide + b] += total

    def images(self, f, n, rows, cols, s):  # type: ignore[no-untyped-def]
        """ψ'_k Z_o'w of one factor's n elements of T, w = V⁻¹(y − Xβ̂): n columns of q elements, which hold zeros."""
        p = self.pattern
        q: cython.Py_ssize_t = self.q
        wide: cython.Py_ssize_t = self.width[f]
        T: cython.p_double = self._T + self.template[f]
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        b: cython.Py_ssize_t
        x: cython.double
        for i in range(p.nodes):
            if self.node_factor[i] != f:
                continue
            at: cython.Py_ssize_t = p.node_first[i]
            e: cython.p_double = cython.address(self.V[self.m - 1, 0]) + at
            for k in range(n):
                c: cython.Py_ssize_t = cols[k]
                x = 0.0
                for b in range(c, wide):
                    x += T[b * wide + c] * e[b]
                s[k * q + at + rows[k]] += x
                x = e[rows[k]]
                for b in range(c, wide):
                    s[k * q + at + b] += T[b * wide + c] * x
