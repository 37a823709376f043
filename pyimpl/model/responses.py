"""Another response for a model that is reduced already: only what holds y in its blocks is computed anew.

The refits of ``refit``, ``bootMer`` and simulation studies spend most of their time here if everything is done again.
"""

from typing import TYPE_CHECKING

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.model.blocks import Blocks, centred_intercept, level_bases, project_out
from pyimpl.model.design import Design, changed

if TYPE_CHECKING:
    from pyimpl.model.crossproducts import Cross

__all__ = ["Responses"]


@kernel
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


@kernel("f1 f1 f1 i f i1 i1 f2 f2 f2 f3 f2 f2 f2 i2 i1 f2 i1 i1 f2 f2")
def _new_response(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    y, offset, root, intercept, constant, order, starts, basis, Q, within_basis, old_C, old_within, triangle, inverse,
    touched, width, Z, indptr, columns, values, old_dense,
):  # fmt: skip
    """Return what holds the response: C, within, within_root, within_dense of the other factors, residual, β."""
    N, P = basis.shape
    p = Q.shape[1]
    C, within, within_root, dense = old_C.copy(), old_within.copy(), triangle.copy(), old_dense.copy()
    mean = 0.0
    if intercept >= 0:
        for i in range(N):
            mean += y[i] - offset[i]
        mean /= N
    residual = np.empty(N)
    for i in range(N):
        residual[i] = (y[i] - offset[i] - mean) * root[i]
    projection = np.empty(P)
    project_out(basis, residual, projection)
    beta = np.zeros(P)
    for a in range(P):
        for c in range(P):
            beta[a] += inverse[a, c] * projection[c]
    if intercept >= 0:
        beta[intercept] += mean / constant
    rest = np.empty(N)
    for i in range(N):
        rest[i] = residual[order[i]]
    in_order = rest.copy()
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
    if width.shape[0] > 0:
        _others_column(touched, width, Z, in_order, indptr, columns, values, C, dense)
    return C, within, within_root, dense, residual, beta


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
        touched, width, Z = np.empty((0, 0), dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 0))
        indptr = columns = np.empty(0, dtype=np.int64)
        values, dense = np.empty((0, 0)), np.empty((0, 0))
        if blocks.others is not None:
            others, factors = blocks.others, blocks.factors[1:]
            width, indptr, columns, values = others.p, others.indptr, others.columns, others.values
            dense = others.within_dense
            starts = zip(factors, others.first_column.tolist(), strict=False)
            touched = np.column_stack([start + f.codes[blocks.order] * f.p for f, start in starts])
            Z = np.hstack([design.terms[i].columns[blocks.order] for f in factors for i in f.terms])
            Z *= self._root[blocks.order][:, None]
        self._arguments = (
            blocks.order, blocks.starts, self._basis, self._Q, self._within_basis, blocks.C, blocks.within,
            self._within_root, blocks.coef_from_basis, touched, width, Z, indptr, columns, values, dense,
        )  # fmt: skip

    def blocks(self, y: np.ndarray) -> Blocks:
        """Blocks of the design with the response y, shape (N,)."""
        old = self._blocks
        if old.cross is not None:
            return self._sparse_blocks(y, old.cross)
        C, within, within_root, dense, residual, beta = _new_response(
            y, self._offset, self._root, self._intercept, self._constant, *self._arguments
        )
        others = None if old.others is None else changed(old.others, within_dense=dense)
        return changed(
            old, C=C, within=within, within_root=within_root, others=others, beta_ols=beta, residual=residual
        )

    def _sparse_blocks(self, y: np.ndarray, cross: "Cross") -> Blocks:
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
        cross = changed(cross, dense=dense, total=total)
        return changed(old, cross=cross, within=total, beta_ols=beta, residual=residual)
