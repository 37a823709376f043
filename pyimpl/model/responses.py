"""Another response for a model that is reduced already: only what holds y in its blocks is computed anew.

The refits of ``refit``, ``bootMer`` and simulation studies spend most of their time here if everything is done again.
"""

from dataclasses import replace

import numpy as np
from numba import njit

from pyimpl.model.blocks import Blocks, centred_intercept, level_bases, project_out
from pyimpl.model.crossproducts import Cross
from pyimpl.model.design import Design

__all__ = ["Responses"]


@njit(cache=True, error_model="numpy")
def _new_response(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    y, offset, root, mean, order, starts, basis, Q, within_basis, C, within, within_root, projection
):
    """Put a response into C, within, within_root; returns the least-squares residual, in the levels' order too."""
    N, P = basis.shape
    p = Q.shape[1]
    residual = y - offset
    residual -= mean
    residual *= root
    project_out(basis, residual, projection)
    rest = np.empty(N)
    for i in range(N):
        rest[i] = residual[order[i]]
    sorted_residual = rest.copy()
    for j in range(starts.shape[0] - 1):
        for c in range(p):
            C[j, c, P] = 0.0
    for _ in range(2):
        for j in range(starts.shape[0] - 1):
            s, e = starts[j], starts[j + 1]
            for c in range(p):
                total = 0.0
                for i in range(s, e):
                    total += Q[i, c] * rest[i]
                C[j, c, P] += total
                for i in range(s, e):
                    rest[i] -= Q[i, c] * total
    part = np.zeros(P)
    project_out(within_basis, rest, part)
    square = 0.0
    for i in range(N):
        square += rest[i] * rest[i]
    for k in range(P):
        within_root[k, P] = part[k]
    within_root[P, P] = np.sqrt(square)
    for k in range(P):
        total = 0.0
        for a in range(k + 1):
            total += within_root[a, k] * part[a]
        within[k, P] = total
        within[P, k] = total
        square += part[k] * part[k]
    within[P, P] = square
    return residual, sorted_residual


@njit(cache=True, error_model="numpy")
def _others_column(touched, width, Z, residual, indptr, columns, values, C, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Last column of Z'(I − QQ')D for the other factors."""
    P = out.shape[1] - 1
    out[:, P] = 0.0
    for i in range(residual.shape[0]):
        at = 0
        for f in range(width.shape[0]):
            for k in range(width[f]):
                out[touched[i, f] + k, P] += Z[i, at + k] * residual[i]
            at += width[f]
    for j in range(indptr.shape[0] - 1):
        for i in range(indptr[j], indptr[j + 1]):
            for c in range(values.shape[1]):
                out[columns[i], P] -= values[i, c] * C[j, c, P]


class Responses:
    """What a new response needs of a reduced design.

    Parameters
    ----------
    design : Design
    blocks : Blocks
        Of that design.
    """

    def __init__(self, design: Design, blocks: Blocks) -> None:
        self._blocks = blocks
        self._offset = np.zeros(design.N) if design.offset is None else np.asarray(design.offset, dtype=float)
        self._root = np.ones(design.N) if design.weights is None else np.sqrt(design.weights)
        self._intercept, self._constant = centred_intercept(design.X)
        self._basis = np.ascontiguousarray(blocks.basis)
        if blocks.cross is not None:
            self._columns = [
                np.hstack([design.terms[i].columns for i in f.terms]) * self._root[:, None] for f in blocks.factors
            ]
            return
        self._Q, rest = level_bases(design, blocks)
        P = blocks.P
        self._within_root = np.zeros((P + 1, P + 1))
        self._within_basis = np.zeros((design.N, P))
        if P:
            basis, triangle = np.linalg.qr(rest)
            self._within_basis = np.ascontiguousarray(basis)
            self._within_root[:P, :P] = triangle
        self._others = None
        if blocks.others is not None:
            others = blocks.others
            factors = blocks.factors[1:]
            touched = np.column_stack(
                [others.first_column[k] + f.codes[blocks.order] * f.p for k, f in enumerate(factors)]
            )
            Z = np.hstack([design.terms[i].columns[blocks.order] for f in factors for i in f.terms])
            self._others = (touched, others.p, Z * self._root[blocks.order][:, None])

    def blocks(self, y: np.ndarray) -> Blocks:
        """Blocks of the design with the response y, shape (N,)."""
        old = self._blocks
        P = old.P
        if old.cross is not None:
            return self._sparse_blocks(y, old.cross)
        C, within, within_root = old.C.copy(), old.within.copy(), self._within_root.copy()
        projection = np.empty(P)
        shift = self._intercept >= 0
        mean = float((y - self._offset).mean()) if shift else 0.0
        residual, in_order = _new_response(
            y, self._offset, self._root, mean, old.order, old.starts, self._basis, self._Q, self._within_basis,
            C, within, within_root, projection,
        )  # fmt: skip
        beta = old.coef_from_basis @ projection
        if shift:
            beta[self._intercept] += mean / self._constant
        others = old.others
        if others is not None and self._others is not None:
            dense = others.within_dense.copy()
            _others_column(*self._others, in_order, others.indptr, others.columns, others.values, C, dense)
            others = replace(others, within_dense=dense)
        return replace(
            old, C=C, within=within, within_root=within_root, others=others, beta_ols=beta, residual=residual
        )

    def _sparse_blocks(self, y: np.ndarray, cross: Cross) -> Blocks:
        """Blocks with sparse cross-products: only their last column changes."""
        old = self._blocks
        P = old.P
        shift = self._intercept >= 0
        residual = y - self._offset
        mean = float(residual.mean()) if shift else 0.0
        residual = (residual - mean) * self._root
        projection = np.zeros(P)
        project_out(self._basis, residual, projection)
        beta = old.coef_from_basis @ projection
        if shift:
            beta[self._intercept] += mean / self._constant
        dense, total = cross.dense.copy(), cross.total.copy()
        for f, (factor, Z) in enumerate(zip(old.factors, self._columns, strict=True)):
            for a in range(factor.p):
                column = np.bincount(factor.codes, Z[:, a] * residual, minlength=factor.J)
                dense[cross.first_column[f] + a : cross.first_column[f + 1] : factor.p, P] = column
        total[:P, P] = total[P, :P] = self._basis.T @ residual
        total[P, P] = residual @ residual
        changed = replace(cross, dense=dense, total=total)
        return replace(old, cross=changed, within=total, beta_ols=beta, residual=residual)
