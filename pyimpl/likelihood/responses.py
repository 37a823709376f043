"""Another response for a model that is reduced already: only what holds y is computed anew.

The refits of ``refit``, ``bootMer`` and simulation studies spend most of their time here if everything is done again.
All that has a row for each observation is held in the order of the inner factor's levels, and its columns one after the
other, so that a pass reads memory from front to end.
"""

from dataclasses import replace

import cython
import numpy as np
from cython.cimports.libc.math import sqrt

from pyimpl.likelihood.rows import constant_column, qr_by_level

__all__ = ["Projections", "Responses"]

#: A projection that leaves less of a vector's square than this is done again: it cost a digit of orthogonality.
_LITTLE = cython.declare(cython.double, 1e-2)


@cython.cfunc
@cython.exceptval(check=False)
def _dot(a: cython.p_double, b: cython.p_double, n: cython.Py_ssize_t) -> cython.double:
    """Σ a_i b_i, in eight sums so that no addition waits for the one before it."""
    i: cython.Py_ssize_t = 0
    s0: cython.double = 0.0
    s1: cython.double = 0.0
    s2: cython.double = 0.0
    s3: cython.double = 0.0
    s4: cython.double = 0.0
    s5: cython.double = 0.0
    s6: cython.double = 0.0
    s7: cython.double = 0.0
    while i + 8 <= n:
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
        s4 += a[i + 4] * b[i + 4]
        s5 += a[i + 5] * b[i + 5]
        s6 += a[i + 6] * b[i + 6]
        s7 += a[i + 7] * b[i + 7]
        i += 8
    while i < n:
        s0 += a[i] * b[i]
        i += 1
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@cython.cfunc
@cython.exceptval(check=False)
def _project(basis: cython.double[:, ::1], v: cython.double[::1], coefficients: cython.double[::1]) -> cython.double:
    """Take from v its projection on orthonormal rows, again where little is left; returns the square of the rest."""
    K: cython.Py_ssize_t = basis.shape[0]
    N: cython.Py_ssize_t = v.shape[0]
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    turn: cython.int
    c: cython.double
    x: cython.p_double = cython.address(v[0])
    for k in range(K):
        coefficients[k] = 0.0
    after: cython.double = _dot(x, x, N)
    for turn in range(2 if K else 0):
        before: cython.double = after
        for k in range(K):
            row: cython.p_double = cython.address(basis[k, 0])
            c = _dot(row, x, N)
            coefficients[k] += c
            for i in range(N):
                x[i] -= c * row[i]
        after = _dot(x, x, N)
        if after > _LITTLE * before:
            break
    return after


class Projections:
    """The bases on which a response is projected; made by :class:`Responses`."""

    def __init__(self, order, offset, root, centre, basis, levels, outer) -> None:  # type: ignore[no-untyped-def]
        self.order, self.offset, self.root, self.centre, self.basis = order, offset, root, centre, basis
        self.starts, self.Q, self.within_basis, self.triangle = levels
        self.column, self.Z, self.width, self.indptr, self.columns, self.values = outer
        self.N, self.P, self.p, self.J = order.size, basis.shape[0], self.Q.shape[0], self.starts.shape[0] - 1
        self.residual, self.rest = np.empty(self.N), np.empty(self.N)
        self.part, self.coefficients = np.empty(max(self.P, 1)), np.empty(self.P)

    def put(self, y: cython.const[cython.double][::1], C, within_root, within, within_dense):  # type: ignore[no-untyped-def]
        """Put what holds y in the last columns (or rows) of these arrays; returns the residual, by level."""
        i: cython.Py_ssize_t
        levels: cython.double[:, :, ::1] = C
        before: cython.double = self._least_squares(y)
        for i in range(self.N):
            self.rest[i] = self.residual[i]
        self._levels(before, levels)
        self._within(within_root, within)
        if self.width.shape[0]:
            self._outer(levels, within_dense)
        return self.residual

    def _least_squares(self, y):  # type: ignore[no-untyped-def]
        """The residual of √w(y − offset), by level; returns its square."""
        i: cython.Py_ssize_t
        v: cython.double[::1] = self.residual
        for i in range(self.N):
            v[i] = y[self.order[i]]
        self.square = _dot(cython.address(v[0]), cython.address(v[0]), self.N)
        if self.offset.shape[0]:
            for i in range(self.N):
                v[i] -= self.offset[i]
        self.mean = 0.0
        if self.centre:
            for i in range(self.N):
                self.mean += v[i]
            self.mean /= self.N
            for i in range(self.N):
                v[i] -= self.mean
        if self.root.shape[0]:
            for i in range(self.N):
                v[i] *= self.root[i]
        return _project(self.basis, v, self.coefficients)

    def _levels(self, before, C):  # type: ignore[no-untyped-def]
        """Take from the rest, of the square `before`, its projection on the levels' bases; C's last column gets Q'y."""
        j: cython.Py_ssize_t
        c: cython.Py_ssize_t
        i: cython.Py_ssize_t
        turn: cython.int
        total: cython.double
        v: cython.p_double = cython.address(self.rest[0])
        for j in range(self.J):
            for c in range(self.p):
                C[j, c, self.P] = 0.0
        for turn in range(2 if self.J else 0):
            for j in range(self.J):
                s: cython.Py_ssize_t = self.starts[j]
                n: cython.Py_ssize_t = self.starts[j + 1] - s
                for c in range(self.p):
                    row: cython.p_double = cython.address(self.Q[c, 0]) + s
                    total = _dot(row, v + s, n)
                    C[j, c, self.P] += total
                    for i in range(n):
                        v[s + i] -= total * row[i]
            if _dot(v, v, self.N) > _LITTLE * before:
                break

    def _within(self, within_root, within):  # type: ignore[no-untyped-def]
        """The response's column of both, from what no level explains."""
        P: cython.Py_ssize_t = self.P
        a: cython.Py_ssize_t
        k: cython.Py_ssize_t
        total: cython.double
        square: cython.double = _project(self.within_basis, self.rest, self.part)
        within_root[P, P] = sqrt(square)
        for k in range(P):
            within_root[k, P] = self.part[k]
            square += self.part[k] * self.part[k]
            total = 0.0
            for a in range(k + 1):
                total += self.triangle[a, k] * self.part[a]
            within[k, P] = within[P, k] = total
        within[P, P] = square

    def _outer(self, C, within_dense):  # type: ignore[no-untyped-def]
        """Last row of [X, y]'(I − QQ')Z_o."""
        P: cython.Py_ssize_t = self.P
        i: cython.Py_ssize_t
        f: cython.Py_ssize_t
        k: cython.Py_ssize_t
        j: cython.Py_ssize_t
        at: cython.Py_ssize_t
        for i in range(within_dense.shape[1]):
            within_dense[P, i] = 0.0
        for i in range(self.N):
            at = 0
            for f in range(self.width.shape[0]):
                for k in range(self.width[f]):
                    within_dense[P, self.column[i, f] + k] += self.Z[i, at + k] * self.residual[i]
                at += self.width[f]
        for j in range(self.J):
            for i in range(self.indptr[j], self.indptr[j + 1]):
                for k in range(self.p):
                    within_dense[P, self.columns[i]] -= self.values[i, k] * C[j, k, P]


class Responses:
    """What a new response needs of a reduced design.

    Parameters
    ----------
    design : Design
    blocks : Reduced
        Of that design.

    Attributes
    ----------
    projections : Projections
    """

    def __init__(self, design, blocks) -> None:  # type: ignore[no-untyped-def]
        self._blocks = blocks
        self._intercept, self._constant = constant_column(np.array(design.X, dtype=float))
        inner, outer, fixed, N, P = blocks.inner, blocks.outer, blocks.fixed, design.N, blocks.P
        root = np.empty(0) if design.weights is None else np.sqrt(design.weights)
        offset = np.empty(0) if design.offset is None else np.asarray(design.offset, dtype=float)
        order = np.asarray(inner.order)
        J, p = inner.R.shape[:2]
        basis = fixed.basis[order]
        rest, Q = basis, np.zeros((N, p))
        if J:
            terms = blocks.factors[0].terms
            Z = np.hstack([design.terms[i].columns for i in terms])[order].astype(float)
            if root.size:
                Z *= root[order][:, None]
            C = np.zeros((J, p, P))
            qr_by_level(
                np.ascontiguousarray(Z), np.array(basis, order="C"), inner.starts, np.zeros((J, p, p)), C, Q, True
            )
            count = np.diff(inner.starts)
            for c in range(p):  # (I − QQ') times the basis
                rest = rest - Q[:, c : c + 1] * np.repeat(C[:, c, :], count, axis=0)
        triangle, within_basis = np.zeros((P, P)), np.zeros((P, N))
        if P:
            left, triangle = np.linalg.qr(rest)
            within_basis = np.ascontiguousarray(left.T)
        none = np.zeros((0, 0))
        parts = np.zeros((0, 0), dtype=np.intp), none, np.zeros(0, dtype=np.intp)
        if outer is not None:
            parts = outer.column, outer.Z, outer.width
        self.projections = Projections(
            order.astype(np.intp),
            offset[order] if offset.size else offset,
            root[order] if root.size else root,
            self._intercept >= 0,
            np.ascontiguousarray(basis.T),
            (inner.starts, np.ascontiguousarray(Q.T), within_basis, np.ascontiguousarray(triangle)),
            (*parts, inner.indptr, inner.columns, inner.values),
        )

    def copies(self):  # type: ignore[no-untyped-def]
        """Return the reduced design with arrays of its own for what holds the response."""
        old = self._blocks
        root = np.array(old.fixed.within_root)
        if old.P:
            root[: old.P, : old.P] = np.asarray(self.projections.triangle)
        outer = old.outer
        return replace(
            old,
            inner=replace(old.inner, C=old.inner.C.copy()),
            outer=None if outer is None else replace(outer, within_dense=outer.within_dense.copy()),
            fixed=replace(old.fixed, within=old.fixed.within.copy(), within_root=root),
        )

    def put(self, y, blocks):  # type: ignore[no-untyped-def]
        """Put a response, shape (N,), in what :meth:`copies` returned; returns Σy²."""
        dense = None if blocks.outer is None else blocks.outer.within_dense
        self.projections.put(
            np.ascontiguousarray(y, float), blocks.inner.C, blocks.fixed.within_root, blocks.fixed.within, dense
        )
        return self.projections.square

    def blocks(self, y):  # type: ignore[no-untyped-def]
        """The reduced design with the response y, shape (N,)."""
        blocks, projections = self.copies(), self.projections
        dense = None if blocks.outer is None else blocks.outer.within_dense
        by_level = projections.put(
            np.ascontiguousarray(y, float), blocks.inner.C, blocks.fixed.within_root, blocks.fixed.within, dense
        )
        residual = np.empty(blocks.N)
        residual[np.asarray(projections.order)] = by_level
        beta = blocks.fixed.coef_from_basis @ np.asarray(projections.coefficients)
        if self._intercept >= 0:
            beta[self._intercept] += projections.mean / self._constant
        return replace(blocks, fixed=replace(blocks.fixed, beta_ols=beta, residual=residual))
