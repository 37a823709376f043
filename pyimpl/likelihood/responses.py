"""Another response for a model that is reduced already: only what holds y in its blocks is computed anew.

The refits of ``refit``, ``bootMer`` and simulation studies spend most of their time here if everything is done again.
All that has a row for each observation is held in the order of the eliminated factor's levels, and its columns one
after the other, so that a pass reads memory from front to end.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.design.design import Design
from pyimpl.likelihood.reduce import Blocks, centred_intercept, level_bases
from pyimpl.linalg.dense import dot
from pyimpl.records import changed

if TYPE_CHECKING:
    from pyimpl.likelihood.crossproducts import Cross

__all__ = ["Responses", "least_squares", "new_response", "project_rows", "within_part"]

#: A projection that leaves less of a vector's square than this is done again: it cost a digit of orthogonality.
_LITTLE = 1e-2


@kernel
def _total(v):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Sum likewise."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    i, stop = 0, v.shape[0]
    while i + 4 <= stop:
        s0 += v[i]
        s1 += v[i + 1]
        s2 += v[i + 2]
        s3 += v[i + 3]
        i += 4
    while i < stop:
        s0 += v[i]
        i += 1
    return (s0 + s1) + (s2 + s3)


@kernel
def project_rows(basis, v, coefficients):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Take from v its projection on orthonormal rows, again where little is left; returns the square of the rest.

    `coefficients` receives those of the projection.
    """
    K, N = basis.shape
    coefficients[:] = 0.0
    after = dot(v, v, 0, N)
    for _ in range(2 if K else 0):
        before = after
        for k in range(K):
            row = basis[k]
            coefficient = dot(row, v, 0, N)
            coefficients[k] += coefficient
            for i in range(N):
                v[i] -= coefficient * row[i]
        after = dot(v, v, 0, N)
        if after > _LITTLE * before:
            break
    return after


@kernel("f1 i1 f1 f1 b f2 f1 f1")
def least_squares(y, order, offset, root, centre, basis, residual, coefficients):  # type: ignore[no-untyped-def] # pragma: no cover
    """Put the residual of √w(y − offset) in `residual` (by level); returns the mean that was taken off, Σy² and its Σ².

    `offset` and `root` (√w) are empty where there are none.
    """
    N = order.shape[0]
    for i in range(N):
        residual[i] = y[order[i]]
    total = dot(residual, residual, 0, N)
    if offset.shape[0]:
        for i in range(N):
            residual[i] -= offset[i]
    mean = 0.0
    if centre:
        mean = _total(residual) / N
        for i in range(N):
            residual[i] -= mean
    if root.shape[0]:
        for i in range(N):
            residual[i] *= root[i]
    return mean, total, project_rows(basis, residual, coefficients)


@kernel
def within_part(within_basis, rest, within_root, within):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Fill the response's column of ``within_root``, and that of ``within``, from what no random effect explains."""
    P = within_basis.shape[0]
    part = np.empty(P)
    square = project_rows(within_basis, rest, part)
    within_root[P, P] = np.sqrt(square)
    for k in range(P):
        within_root[k, P] = part[k]
        square += part[k] * part[k]
        total = 0.0
        for a in range(k + 1):
            total += within_root[a, k] * part[a]
        within[k, P] = total
        within[P, k] = total
    within[P, P] = square


@kernel
def _level_part(Q, starts, rest, before, C):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Take from `rest`, of the square `before`, its projection on the levels' bases; C's last column gets Q'rest."""
    p, N = Q.shape
    P = C.shape[2] - 1
    for j in range(C.shape[0]):
        for c in range(p):
            C[j, c, P] = 0.0
    for _ in range(2):
        for j in range(starts.shape[0] - 1):
            s, e = starts[j], starts[j + 1]
            for c in range(p):
                row = Q[c]
                total = dot(row, rest, s, e)
                C[j, c, P] += total
                for i in range(s, e):
                    rest[i] -= total * row[i]
        if dot(rest, rest, 0, N) > _LITTLE * before:
            break


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


@kernel
def new_response(y, rows, levels, others):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Compute what holds the response.

    Parameters
    ----------
    y : ndarray, shape (N,)
    rows, levels, others : tuple
        :attr:`Responses.rows`, :attr:`Responses.levels`, :attr:`Responses.others`.

    Returns
    -------
    C, within, within_root, within_dense
        As of :class:`~pyimpl.likelihood.reduce.Blocks`; the last of the other factors.
    residual : ndarray, shape (N,)
        By level.
    coefficients : ndarray, shape (P,)
        Of the least-squares fit, in the basis.
    mean : float
        What was taken off the response before.
    square : float
        Σy².
    """
    order, offset, root, centre, basis = rows
    starts, Q, within_basis, old_C, old_within, triangle = levels
    touched, width, Z, indptr, columns, values, old_dense = others
    residual, coefficients = np.empty(order.shape[0]), np.empty(basis.shape[0])
    mean, square, left = least_squares(y, order, offset, root, centre, basis, residual, coefficients)
    C, within, within_root, dense = old_C.copy(), old_within.copy(), triangle.copy(), old_dense.copy()
    rest = residual.copy()
    _level_part(Q, starts, rest, left, C)
    within_part(within_basis, rest, within_root, within)
    if width.shape[0] > 0:
        _others_column(touched, width, Z, residual, indptr, columns, values, C, dense)
    return C, within, within_root, dense, residual, coefficients, mean, square


@kernel("f1 (i1 f1 f1 b f2) (i1 f2 f2 f3 f2 f2) (i2 i1 f2 i1 i1 f2 f2)")
def _to_python(y, rows, levels, others):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Do what ``new_response`` does, for Python.

    A kernel that others have inside must not return arrays to Python: loaded from the cache after them, numba mistakes
    their copy's environment for its own, and fails ("descr is NULL").
    """
    return new_response(y, rows, levels, others)


class Responses:
    """What a new response needs of a reduced design.

    Parameters
    ----------
    design : Design
    blocks : Blocks
        Of that design.

    Attributes
    ----------
    rows : tuple
        What :func:`least_squares` needs: the order of the rows (by level of the eliminated factor, if there is one),
        their offsets and √w (empty where there are none), whether the mean is taken off, the basis of X (P, N).
    levels : tuple
        Where each level starts, the levels' bases (p, N), a basis (P, N) of what they leave of X's, and the old ``C``,
        ``within`` and ``within_root``. None where the cross-products are sparse.
    others : tuple
        Of the other factors: the columns that each row touches (N, factors), effects a level, model matrix (N, effects
        of all), and the old ``indptr``, ``columns``, ``values`` and ``within_dense``.
    """

    def __init__(self, design: Design, blocks: Blocks) -> None:
        self._blocks = blocks
        self._intercept, self._constant = centred_intercept(design.X)
        N, P = design.N, blocks.P
        root = np.empty(0) if design.weights is None else np.sqrt(design.weights)
        offset = np.empty(0) if design.offset is None else np.asarray(design.offset, dtype=float)
        order = np.arange(N) if blocks.cross is not None else blocks.order
        self.rows: tuple[Any, ...] = (
            order,
            offset[order] if offset.size else offset,
            root[order] if root.size else root,
            self._intercept >= 0,
            np.ascontiguousarray(blocks.basis[order].T),
        )
        self.levels: tuple[np.ndarray, ...] | None = None
        if blocks.cross is not None:
            columns = [np.hstack([design.terms[i].columns for i in f.terms]) for f in blocks.factors]
            self._columns = [Z * root[:, None] for Z in columns] if root.size else columns
            return
        Q, rest = level_bases(design, blocks)
        triangle, within_basis = np.zeros((P + 1, P + 1)), np.zeros((P, N))
        if P:
            basis, triangle[:P, :P] = np.linalg.qr(rest)
            within_basis = np.ascontiguousarray(basis.T)
        self.levels = (
            blocks.starts, np.ascontiguousarray(Q.T), within_basis, blocks.C, blocks.within, triangle
        )  # fmt: skip
        touched, width, Z = np.empty((0, 0), dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 0))
        indptr = columns_ = np.empty(0, dtype=np.int64)
        values, dense = np.empty((0, 0)), np.empty((0, 0))
        if blocks.others is not None:
            others, factors = blocks.others, blocks.factors[1:]
            width, indptr, columns_, values = others.p, others.indptr, others.columns, others.values
            dense = others.within_dense
            starts = zip(factors, others.first_column.tolist(), strict=False)
            touched = np.column_stack([start + f.codes[order] * f.p for f, start in starts])
            Z = np.hstack([design.terms[i].columns[order] for f in factors for i in f.terms])
            if root.size:
                Z *= root[order][:, None]
        self.others = touched, width, Z, indptr, columns_, values, dense

    def blocks(self, y: np.ndarray) -> Blocks:
        """Blocks of the design with the response y, shape (N,)."""
        old = self._blocks
        if old.cross is not None:
            return self._sparse_blocks(y, old.cross)
        C, within, within_root, dense, by_level, coefficients, mean, _ = _to_python(
            y, self.rows, self.levels, self.others
        )
        others = None if old.others is None else changed(old.others, within_dense=dense)
        residual = np.empty_like(by_level)
        residual[old.order] = by_level
        return changed(
            old,
            C=C,
            within=within,
            within_root=within_root,
            others=others,
            beta_ols=self._coefficients(coefficients, mean),
            residual=residual,
        )

    def _coefficients(self, in_basis: np.ndarray, mean: float) -> np.ndarray:
        """Least-squares coefficients of X's columns."""
        beta: np.ndarray = self._blocks.coef_from_basis @ in_basis
        if self._intercept >= 0:
            beta[self._intercept] += mean / self._constant
        return beta

    def _sparse_blocks(self, y: np.ndarray, cross: "Cross") -> Blocks:
        """Blocks with sparse cross-products: only their last column changes."""
        old = self._blocks
        P = old.P
        residual, coefficients = np.empty(old.N), np.empty(P)
        mean, _, square = least_squares(y, *self.rows, residual, coefficients)
        dense, total = cross.dense.copy(), cross.total.copy()
        for f, (factor, Z) in enumerate(zip(old.factors, self._columns, strict=True)):
            for a in range(factor.p):
                column = np.bincount(factor.codes, Z[:, a] * residual, minlength=factor.J)
                dense[cross.first_column[f] + a : cross.first_column[f + 1] : factor.p, P] = column
        total[:P, P] = total[P, :P] = old.basis.T @ residual
        total[P, P] = square
        cross = changed(cross, dense=dense, total=total)
        beta = self._coefficients(coefficients, mean)
        return changed(old, cross=cross, within=total, beta_ols=beta, residual=residual)
