"""The criterion of models whose crossed grouping factors are too many for a dense matrix: a sparse factor of all.

As in lme4 itself A = I + Λ'Z'ZΛ is factorised whole (Bates et al. 2015, eq. 18), in a fill-reducing order; the gradient
needs A⁻¹ only where Z'Z has elements, since Z'V⁻¹ZΛ = Z'ZΛA⁻¹ and its diagonal blocks are wanted alone. The notation is
that of :mod:`pyimpl.likelihood.several_factors`, with no factor eliminated beforehand.
"""

import math
from typing import Any

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood import several_factors as several
from pyimpl.likelihood.crossproducts import Cross
from pyimpl.likelihood.reduce import Blocks
from pyimpl.likelihood.searches import Evaluation, Modes, scored
from pyimpl.likelihood.trust_region import APPROXIMATE, Workspace
from pyimpl.linalg.sparse_cholesky import Factor

__all__ = ["SparseFactors"]


@kernel("i1 i1 i1 f1 i1 i1 f1 i1 f1")
def _fill(left, right, offset, blocks, where, width, T, start, values):  # type: ignore[no-untyped-def] # pragma: no cover
    """Put I + Λ'Z'ZΛ in `values`, block by block."""
    values[:] = 0.0
    for t in range(left.shape[0]):
        f, g = left[t], right[t]
        pf, pg = width[f], width[g]
        at = offset[t]
        if pf == 1 and pg == 1:
            values[where[at]] = T[start[f]] * blocks[at] * T[start[g]]
            continue
        for a in range(pf):
            for b in range(pg):
                total = 0.0
                for i in range(a, pf):
                    inner = 0.0
                    for k in range(b, pg):
                        inner += blocks[at + i * pg + k] * T[start[g] + k * pg + b]
                    total += T[start[f] + i * pf + a] * inner
                values[where[at + a * pg + b]] = total


@kernel("i1 i1 b1 i1 f1 i1 i1 f1 i1 f1 f1")
def _traces(left, right, diagonal, offset, blocks, where, width, T, start, inverse, KT):  # type: ignore[no-untyped-def] # pragma: no cover
    """Σ over levels of the diagonal blocks of Z'ZΛA⁻¹, flat like T."""
    KT[:] = 0.0
    for t in range(left.shape[0]):
        f, g = left[t], right[t]
        pf, pg = width[f], width[g]
        at = offset[t]
        if pf == 1 and pg == 1:
            x = blocks[at] * inverse[where[at]]
            KT[start[f]] += x * T[start[g]]
            if not diagonal[t]:
                KT[start[g]] += x * T[start[f]]
            continue
        for a in range(pf):
            for b in range(pf):
                total = 0.0
                for i in range(pg):
                    inner = 0.0
                    for k in range(i + 1):
                        inner += T[start[g] + i * pg + k] * inverse[where[at + b * pg + k]]
                    total += blocks[at + a * pg + i] * inner
                KT[start[f] + a * pf + b] += total
        if not diagonal[t]:
            for a in range(pg):
                for b in range(pg):
                    total = 0.0
                    for i in range(pf):
                        inner = 0.0
                        for k in range(i + 1):
                            inner += T[start[f] + i * pf + k] * inverse[where[at + k * pg + b]]
                        total += blocks[at + i * pg + a] * inner
                    KT[start[g] + a * pg + b] += total


@kernel("i1 i1 b1 i1 f1 i1 i1 i1 f2 f2")
def _times(left, right, diagonal, offset, blocks, width, row, col, X, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Out = Z'ZX."""
    out[:] = 0.0
    for t in range(left.shape[0]):
        pf, pg = width[left[t]], width[right[t]]
        at = offset[t]
        for a in range(pf):
            for b in range(pg):
                x = blocks[at + a * pg + b]
                if x != 0.0:
                    for c in range(X.shape[1]):
                        out[row[t] + a, c] += x * X[col[t] + b, c]
                        if not diagonal[t]:
                            out[col[t] + b, c] += x * X[row[t] + a, c]


@kernel("f2 i1 i1 f1 i1 f1 f1 f b i1 i1 i1 f1 f2 b")
def _gradient(V, first, width, T, start, KT, K, weight, REML, rows, cols, factor, gradient, hessian, curved):  # type: ignore[no-untyped-def] # pragma: no cover
    for f in range(width.shape[0]):
        p = width[f]
        X, KTf, Kf = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p))
        for a in range(p):
            for b in range(p):
                X[a, b] = T[start[f] + a * p + b]
                KTf[a, b] = KT[start[f] + a * p + b]
                Kf[a, b] = K[start[f] + a * p + b]
        several.put_derivatives(
            f, V, first[f], first[f + 1], X, KTf, Kf, weight, REML, rows, cols, factor, gradient, hessian, curved
        )


class SparseFactors:
    """Several grouping factors, all in one sparse matrix.

    Parameters
    ----------
    blocks : Blocks
    cross : Cross
    """

    kind = APPROXIMATE
    compiled_layout = None

    def __init__(self, blocks: Blocks, cross: Cross) -> None:
        self.blocks = blocks
        self.cross = cross
        self.parts = np.zeros(3)
        self.info = np.empty((0, 0))
        n = blocks.n_theta
        self._start = np.concatenate([[0], np.cumsum(cross.p**2)]).astype(np.int64)
        self._place, self._factor = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        self._rows, self._cols, self._size = (np.empty(n, dtype=np.int64) for _ in range(3))
        for f, factor in enumerate(blocks.factors):
            self._place[factor.theta] = self._start[f]
            self._factor[factor.theta] = f
            self._rows[factor.theta] = factor.rows
            self._cols[factor.theta] = factor.cols
            self._size[factor.theta] = factor.p
        # the first place is that of an eliminated factor, which there is none of
        self._levels = np.array([1, *(factor.J for factor in blocks.factors)], dtype=np.int64)
        self._flat = np.zeros(int(self._start[-1]))
        self._work: tuple[Factor, np.ndarray, np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_work": None}

    @property
    def cost(self) -> float:
        """Operations of an evaluation with its derivatives, roughly."""
        return 3.0 * self.cross.symbolic.flops

    @property
    def layout(self) -> tuple[np.ndarray, ...]:
        """Levels of each factor, and each θ's place: row and column of which factor's template of what size."""
        return self._levels, self._rows, self._cols, self._size, self._factor

    @property
    def _matrix(self) -> tuple[Factor, np.ndarray, np.ndarray]:
        """The factor, where the blocks' elements are in it, and where its diagonal is."""
        if self._work is None:
            cross = self.cross
            factor = Factor(cross.symbolic)
            every = np.arange(cross.q)
            self._work = factor, factor.locate(*cross.elements()), factor.locate(every, every)
        return self._work

    def _factorise(self, theta: np.ndarray) -> bool:
        cross = self.cross
        factor, where, diagonal = self._matrix
        several.templates(theta, self._place, self._rows, self._cols, self._size, np.empty((0, 0)), self._flat)
        _fill(
            cross.left, cross.right, cross.offset, cross.blocks, where, cross.p, self._flat, self._start, factor.values
        )
        factor.values[diagonal] += 1.0
        return factor.factorise()

    def _traces(self) -> np.ndarray:
        """Invert, and return the diagonal blocks' sums of Z'ZΛA⁻¹ = Z'V⁻¹ZΛ."""
        cross = self.cross
        factor, where, _ = self._matrix
        factor.invert()
        KT = np.zeros_like(self._flat)
        _traces(
            cross.left, cross.right, cross.diagonal, cross.offset, cross.blocks, where, cross.p, self._flat,
            self._start, factor.inverse, KT,
        )  # fmt: skip
        return KT

    def _curvature(self, theta: np.ndarray, KT: np.ndarray) -> np.ndarray:
        """Σ Z_i'V⁻¹Z_i of each factor; where a template is singular, from one next to it."""
        pivots = self._rows == self._cols
        size = np.zeros(self._levels.size)
        np.maximum.at(size, self._factor + 1, np.abs(theta))
        scale = size[self._factor + 1]
        smallest = 1e-6 * np.where(scale > 0, scale, 1.0)
        low = pivots & (np.abs(theta) < 1e-7 * np.where(scale > 0, scale, 1.0))
        if low.any():
            if not self._factorise(np.where(low, smallest, theta)):
                return np.zeros_like(KT)
            KT = self._traces()
        K = np.zeros_like(KT)
        for f, p in enumerate(self.cross.p.tolist()):
            part = slice(int(self._start[f]), int(self._start[f + 1]))
            out = np.zeros((p, p))
            several.divide(KT[part].reshape(p, p), self._flat[part].reshape(p, p), out)
            K[part] = out.ravel()
        if low.any():
            several.templates(theta, self._place, self._rows, self._cols, self._size, np.empty((0, 0)), self._flat)
        return K

    def _value(self, theta: np.ndarray, df: float, REML: bool) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, Q of ``contrasts``, and ΛA⁻¹Λ'Z'[X, y]."""
        cross = self.cross
        m = cross.dense.shape[1]
        Q, lz = np.zeros((m, m)), np.empty_like(cross.dense)
        if not self._factorise(theta):
            return math.inf, Q, lz
        factor = self._matrix[0]
        layout = (cross.first_column, cross.p, self._flat, self._start)
        several.lambda_times(cross.dense, *layout, True, lz)
        Y = factor.forward(lz)
        S = cross.total.copy()
        value = float(several.profile(factor.log_det(), Y, S, float(df), REML, self.parts, Q))
        several.lambda_times(factor.backward(Y), *layout, False, lz)
        return value, Q, lz

    def _modes(self, lz: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """Z'V⁻¹[X R_X⁻¹, y − Xβ̂]."""
        out: np.ndarray = (self.cross.dense - self._times(lz)) @ Q
        return np.ascontiguousarray(out)

    def _times(self, X: np.ndarray) -> np.ndarray:
        cross = self.cross
        out = np.empty_like(X)
        _times(
            cross.left, cross.right, cross.diagonal, cross.offset, cross.blocks, cross.p, cross.row, cross.col, X, out
        )
        return out

    def evaluate(self, theta: np.ndarray, df: float, REML: bool, order: int) -> Evaluation:
        """Value, and gradient (order 1) and the Hessian's approximation (order 2) where they are wanted."""
        n, cross = theta.size, self.cross
        gradient, hessian = np.full(n, np.nan), np.full((n, n), np.nan)
        value, Q, lz = self._value(theta, df, REML)
        if order == 0 or not math.isfinite(value):
            return value, gradient, hessian
        V = self._modes(lz, Q)
        weight = df / self.parts[2]
        layout = (cross.first_column, cross.p, self._flat, self._start)
        if order == 2:
            none = np.empty((0, n))
            images = np.empty((cross.q, n))
            several.images(
                self._place, self._rows, self._cols, self._size, 0, cross.first_column, self._factor,
                np.empty((0, 0)), self._flat, V[:0], V, none, images,
            )  # fmt: skip
            h = np.empty_like(images)
            several.information(
                np.empty((0, 1, 1)), np.empty((0, 1)), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64),
                none, images, self._times(images), V[:0], V, weight, df, self.parts[2], h, hessian,
            )  # fmt: skip
            several.lambda_times(h, *layout, True, images)
            back = self._matrix[0].forward(images)
            hessian -= weight * (back.T @ back)
            self.info = hessian.copy()
        KT = self._traces()
        K = self._curvature(theta, KT) if order == 2 else np.zeros_like(KT)
        _gradient(V, *layout, KT, K, weight, REML, self._rows, self._cols, self._factor, gradient, hessian, order == 2)
        return value, gradient, hessian

    def scan(self, points: np.ndarray, df: float, REML: bool) -> np.ndarray:
        """Evaluate at many θ."""
        return np.array([self.evaluate(theta, df, REML, 0)[0] for theta in points])

    def search(
        self, start: np.ndarray, units: np.ndarray, budget: int, work: Workspace, df: float, REML: bool, near: bool
    ) -> float:
        """Minimise from `start` (θ / units), in the workspace; returns the criterion at the start."""
        return scored(self, start, units, budget, work, df, REML, near)

    def solve(self, theta: np.ndarray, df: float, REML: bool) -> Modes:
        """Modes and their conditional variances at θ."""
        cross = self.cross
        value, Q, lz = self._value(theta, df, REML)
        if not math.isfinite(value):
            return value, Q, [], []
        V = self._modes(lz, Q)
        factor, where, _ = self._matrix
        factor.invert()
        a, cond = [], []
        for f, one in enumerate(self.blocks.factors):
            p = one.p
            a.append(V[cross.first_column[f] : cross.first_column[f + 1], -1].reshape(one.J, p))
            own = np.flatnonzero(cross.diagonal & (cross.left == f))
            own = own[np.argsort(cross.row[own])]
            T = one.template(theta)
            inside = factor.inverse[where[cross.offset[own][:, None] + np.arange(p * p)]].reshape(one.J, p, p)
            cond.append(T @ inside @ T.T)
        return value, Q, a, cond
