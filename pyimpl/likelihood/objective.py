"""The profiled deviance and REML criterion at any θ, with their gradient.

Equations are those of Bates, Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1). With V = I + ZΛΛ'Z' the profiled
deviance (eq. 35) and REML criterion (eq. 42) are, up to −Σ log w,

    d(θ) = log|V| + n (1 + log(2π r²/n)),                              log|V| = log|L|² of eq. 18,
    d_R(θ) = log|V| + log|R_X|² + (n−p)(1 + log(2π r²/(n−p))),         R_X'R_X = X'V⁻¹X,

with r²(θ) = min_β (y − Xβ)'V⁻¹(y − Xβ), which is the penalized residual sum of squares of eq. 14. All that depends on
θ comes from the cross-products of :mod:`pyimpl.likelihood.reduce`; the rows are not touched again.

Gradient. With T a template of Λ, e = y − Xβ̂ and i running over the levels of T's factor,

    ∂d/∂T = 2 tril(H T),   H = Σ_i Z_i'V⁻¹Z_i − (m/r²) (Z_i'V⁻¹e)(Z_i'V⁻¹e)' − [REML] (Z_i'V⁻¹X)(X'V⁻¹X)⁻¹(X'V⁻¹Z_i),

m = n or n − p; r² contributes only directly (envelope theorem). No Λ is inverted, so it holds on the boundary.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.errors import ModelError
from pyimpl.likelihood import merging, nested, one_factor, scanning
from pyimpl.likelihood import several_factors as several
from pyimpl.likelihood.reduce import Blocks, Others
from pyimpl.likelihood.searches import COMPILED_SEARCH, Evaluation, Modes, run, scored, step_cost
from pyimpl.likelihood.trust_region import APPROXIMATE, EXACT, Workspace
from pyimpl.linalg import lapack

if TYPE_CHECKING:
    from pyimpl.likelihood.sparse_factors import SparseFactors

__all__ = ["COMPILED", "Objective", "Solution"]

_HESSIAN = 10.0  # operations of an element of one level's share of the Hessian
_NESTED = 10.0  # ... of one level of a factor that is nested in the other, and one element of [X, y]'[X, y]
COMPILED = 200  # random effects besides the eliminated factor's up to which no LAPACK is called

# of other factors, where there are none
_ONE_ZERO, _NO_PLACES, _NO_VALUES = np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 0))


@dataclass(frozen=True)
class Solution:
    """The model solved at one θ (Bates et al. 2015, section 3.4), all in the units of the data.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
    objective : float
        Deviance or REML criterion.
    beta : ndarray, shape (P,)
    unscaled_vcov : ndarray, shape (P, P)
        (X'V⁻¹X)⁻¹; times σ² the covariance matrix of β̂.
    prss : float
        r², the penalized residual sum of squares.
    log_det_L2 : float
        log|L|².
    log_det_RX2 : float
        log|R_X|².
    a : tuple of ndarray
        Z'V⁻¹(y − Xβ̂) for each factor of ``Blocks.factors``, shape (J, p); u = T'a, b = TT'a.
    unscaled_cond_var : tuple of ndarray
        Λ(Λ'Z'ZΛ + I)⁻¹Λ', its diagonal blocks, for each factor, shape (J, p, p); times σ² the conditional variances.
    """

    theta: np.ndarray
    objective: float
    beta: np.ndarray
    unscaled_vcov: np.ndarray
    prss: float
    log_det_L2: float
    log_det_RX2: float
    a: tuple[np.ndarray, ...]
    unscaled_cond_var: tuple[np.ndarray, ...]


class Objective:
    """The profiled deviance (or REML criterion) as a function of θ.

    Parameters
    ----------
    blocks : Blocks
    REML : bool

    Attributes
    ----------
    evaluations, gradients : int
        How often the value, and the value with its gradient, have been computed.
    """

    def __init__(self, blocks: Blocks, REML: bool) -> None:
        self.blocks = blocks
        self.REML = bool(REML)
        self.evaluations = 0
        self.gradients = 0
        self._df: float = blocks.N - blocks.P if REML else blocks.N
        if self._df <= 0:
            raise ModelError(f"{blocks.N} rows do not suffice for {blocks.P} fixed effects")
        self._engine: _OneFactor | _SeveralFactors | SparseFactors
        if blocks.cross is not None:
            from pyimpl.likelihood import sparse_factors

            self._engine = sparse_factors.SparseFactors(blocks, blocks.cross)
        elif blocks.others is not None:
            data = nested.nested_data(blocks)
            self._engine = (
                _SeveralFactors(blocks, blocks.others) if data is None else _NestedFactors(blocks, blocks.others, data)
            )
        else:
            self._engine = _OneFactor(blocks)
        self._constant = self._df * (1.0 + math.log(2 * math.pi / self._df)) - blocks.log_weights
        if REML:
            self._constant += blocks.log_det_X

    # -- one evaluation ------------------------------------------------------------------------------------------

    def __call__(self, theta: np.ndarray) -> float:
        """Evaluate the objective at θ (lme4's order), +inf where it cannot be computed."""
        self.evaluations += 1
        theta = np.asarray(theta, dtype=float)
        return float(self._engine.evaluate(theta, self._df, self.REML, 0)[0]) + self._constant

    def _evaluate(self, theta: np.ndarray) -> tuple[float, dict[str, float]]:
        """Value at θ, and log|L|² and r² there."""
        value = float(self._engine.evaluate(theta, self._df, self.REML, 0)[0]) + self._constant
        log_det, _, prss = self._engine.parts.tolist()
        return value, {"log_det": log_det, "prss": prss}

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the objective and its gradient at θ.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)

        Returns
        -------
        float, ndarray of shape (n_theta,)
            +inf and NaN where the objective cannot be computed.
        """
        self.gradients += 1
        value, gradient, _ = self._engine.evaluate(np.asarray(theta, dtype=float), self._df, self.REML, 1)
        return float(value) + self._constant, gradient

    @property
    def exact_hessian(self) -> bool:
        """Whether :meth:`value_gradient_hessian` gives second derivatives, and not their approximation."""
        return self._engine.kind == EXACT

    def value_gradient_hessian(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Evaluate the objective, its gradient, and its Hessian or the average information in its place.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)

        Returns
        -------
        float, ndarray of shape (n_theta,), symmetric ndarray of shape (n_theta, n_theta)
        """
        self.gradients += 1
        value, gradient, hessian = self._engine.evaluate(np.asarray(theta, dtype=float), self._df, self.REML, 2)
        return float(value) + self._constant, gradient, hessian

    def hessian(self, theta: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Second derivatives at θ: exact where there is one grouping factor, else central differences of the gradient.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)
        steps : ndarray, shape (n_theta,)
            Differences are taken over these steps.

        Returns
        -------
        symmetric ndarray, shape (n_theta, n_theta)
        """
        theta = np.asarray(theta, dtype=float)
        if self.exact_hessian:
            return self.value_gradient_hessian(theta)[2]
        hessian = np.empty((theta.size, theta.size))
        for k in range(theta.size):
            ahead, behind = theta.copy(), theta.copy()
            ahead[k] += steps[k]
            behind[k] -= steps[k]
            difference = self.value_and_gradient(ahead)[1] - self.value_and_gradient(behind)[1]
            hessian[k] = difference / (ahead[k] - behind[k])
        return 0.5 * (hessian + hessian.T)

    # -- a search --------------------------------------------------------------------------------------------------

    def search(self, start: np.ndarray, units: np.ndarray, budget: int, work: Workspace, near: bool = False) -> float:
        """Minimise from `start` in coordinates θ / `units`, in the workspace; returns the objective at the start.

        From a start said to be `near` the minimum no steps of EM are taken.

        The values in the workspace are without :attr:`constant`.
        """
        initial = float(self._engine.search(start, units, budget, work, self._df, self.REML, near))
        self.gradients += int(work[6][5])
        return initial + self._constant

    def scan(self, points: np.ndarray) -> np.ndarray:
        """Evaluate the objective at many θ, for small models in one compiled loop.

        Parameters
        ----------
        points : ndarray, shape (k, n_theta)

        Returns
        -------
        ndarray, shape (k,)
            +inf where it cannot be computed.
        """
        self.evaluations += len(points)
        return self._engine.scan(np.ascontiguousarray(points), self._df, self.REML) + self._constant

    @property
    def df(self) -> float:
        """n, or n − p."""
        return self._df

    @property
    def compiled_layout(self) -> tuple[np.ndarray, ...] | None:
        """What a search that is compiled as a whole needs besides the blocks; None where searches are not.

        Where there is one factor: nothing. Else first column of each other factor, where each of their templates
        starts in a flat array, ``Others.within``; of each θ the start of its template (−1: the eliminated factor's) and
        the template's size; and the levels of each factor.
        """
        return self._engine.compiled_layout

    @property
    def cost(self) -> float:
        """Operations of an evaluation with its derivatives and of a step of the search, roughly."""
        return self._engine.cost

    @property
    def linear(self) -> bool:
        """Whether an evaluation takes a time that grows with the levels, as where one factor is nested in the other."""
        return isinstance(self._engine, _NestedFactors)

    @property
    def constant(self) -> float:
        """What the objective has besides the part that depends on θ."""
        return self._constant

    @property
    def prss(self) -> float:
        """r² where the objective was last evaluated."""
        return float(self._engine.parts[2])

    # -- the model at one θ ----------------------------------------------------------------------------------------

    def solve(self, theta: np.ndarray) -> Solution:
        """Everything that inference needs at θ.

        Raises
        ------
        ModelError
            If the objective cannot be computed there.
        """
        theta = np.asarray(theta, dtype=float)
        blocks = self.blocks
        value, Q, a, cond = self._engine.solve(theta, self._df, self.REML)
        if not math.isfinite(value):
            raise ModelError(f"the profiled deviance cannot be computed at theta = {theta.tolist()}")
        P = blocks.P
        log_det, log_det_RX, prss = self._engine.parts.tolist()
        root = blocks.coef_from_basis @ Q[:P, :P]
        return Solution(
            theta=theta.copy(),
            objective=value + self._constant,
            beta=blocks.beta_ols - blocks.coef_from_basis @ Q[:P, P],
            unscaled_vcov=root @ root.T,
            prss=prss,
            log_det_L2=log_det,
            log_det_RX2=log_det_RX + (blocks.log_det_X if P else 0.0),
            a=tuple(a),
            unscaled_cond_var=tuple(cond),
        )


def _half_cond_var(W: np.ndarray, T: np.ndarray) -> np.ndarray:
    """H_j with H_j'H_j = T(I + W_j'W_j)⁻¹T'; W has shape (J, p, p)."""
    p = T.shape[0]
    if p == 1:
        return T / np.hypot(1.0, W)
    try:
        L = np.linalg.cholesky(np.eye(p) + np.swapaxes(W, 1, 2) @ W)
    except np.linalg.LinAlgError:  # variances so large that the square loses the identity
        stacked = np.concatenate([W, np.broadcast_to(np.eye(p), W.shape)], axis=1)
        L = np.swapaxes(np.linalg.qr(stacked, mode="r"), 1, 2)
    return np.linalg.solve(L, np.broadcast_to(T.T, W.shape))


class _OneFactor:
    """One grouping factor: see :mod:`pyimpl.likelihood.one_factor`; levels that are alike are merged."""

    kind = EXACT

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        first = blocks.factors[0]
        self.parts = np.zeros(3)
        # θ in the factor's order; lme4's terms of one factor are numbered one after the other
        self._order = None if first.theta.tolist() == list(range(first.theta.size)) else first.theta
        self._none = np.zeros(first.J + 1, dtype=np.int64)  # columns of other factors that each level touches
        self._R, self._C, _, _, _, self._copies = merging.merge(
            blocks.R,
            blocks.C,
            self._none,
            _NO_PLACES,
            _NO_VALUES,
            blocks.R[:, 0, 0].argsort(kind="stable"),
            merging.WIDEST,
        )
        self._E, self._D = np.empty_like(self._R), np.empty_like(self._C)
        self._T = np.zeros((first.p, first.p))

    @property
    def compiled_layout(self) -> tuple[np.ndarray, ...] | None:
        return () if self._order is None else None

    @cached_property
    def cost(self) -> float:
        """Operations of an evaluation with its derivatives and of a step of the search, roughly."""
        J, p, m = self._C.shape
        n = self.blocks.n_theta
        return J * (p * p * (p + m) + n * m * m + _HESSIAN * n * n * (p > 1)) + step_cost(n)

    def _data(self, df: float, REML: bool) -> tuple[Any, ...]:
        blocks = self.blocks
        first = blocks.factors[0]
        return (
            first.rows, first.cols, self._R, self._C, self._copies, blocks.within, blocks.within_root, float(df), REML,
            self._E, self._D, self._T,
        )  # fmt: skip

    def evaluate(self, theta: np.ndarray, df: float, REML: bool, order: int) -> Evaluation:
        n = theta.size
        gradient, hessian = np.full(n, np.nan), np.full((n, n), np.nan)
        place = self._order
        if place is None:
            value = one_factor.criterion(theta, *self._data(df, REML), order, self.parts, gradient, hessian)
            return value, gradient, hessian
        value = one_factor.criterion(theta[place], *self._data(df, REML), order, self.parts, gradient, hessian)
        g, H = np.empty(n), np.empty((n, n))
        g[place] = gradient
        H[np.ix_(place, place)] = hessian
        return value, g, H

    def scan(self, points: np.ndarray, df: float, REML: bool) -> np.ndarray:
        blocks = self.blocks
        first = blocks.factors[0]
        values, n = np.empty(len(points)), first.theta.size
        ordered = points if self._order is None else np.ascontiguousarray(points[:, self._order])
        scanning.scan(
            ordered, values, float(df), REML, np.full(n, -1), first.rows, first.cols, np.full(n, first.p), self._R,
            self._C, self._copies, blocks.within, _ONE_ZERO, _NO_PLACES, _ONE_ZERO, self._none, _NO_PLACES, _NO_VALUES,
            _NO_VALUES, _NO_VALUES,
        )  # fmt: skip
        return values

    def search(
        self, start: np.ndarray, units: np.ndarray, budget: int, work: Workspace, df: float, REML: bool, near: bool
    ) -> float:
        if self._order is None and self.cost <= COMPILED_SEARCH:
            return one_factor.search(start, units, budget, work, *self._data(df, REML), self.parts)
        return run(self, start, units, budget, work, df, REML)

    def solve(self, theta: np.ndarray, df: float, REML: bool) -> Modes:
        blocks = self.blocks
        first = blocks.factors[0]
        P = blocks.P
        value = self.evaluate(theta, df, REML, 0)[0]
        Q = np.zeros((P + 1, P + 1))
        if not math.isfinite(value):
            return value, Q, [], []
        T = first.template(theta)
        E, D = np.empty_like(blocks.R), np.empty_like(blocks.C)  # of all levels: each has its own modes
        S = blocks.within.copy()
        one_factor.eliminate(blocks.R, blocks.C, np.ones(first.J), T, E, D, S)
        L = np.zeros((P + 1, P + 1))
        one_factor.cholesky_profile(S, P, L)
        one_factor.contrasts(L, P, Q)
        W = blocks.R @ T
        half = _half_cond_var(W, T)
        a = np.einsum("jab,ja->jb", E, D @ Q[:, P])
        return value, Q, [a], [np.swapaxes(half, 1, 2) @ half]


@lru_cache(maxsize=64)
def _places(
    factors: tuple[tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...],
) -> tuple[np.ndarray, ...]:
    """Where the templates of the factors but the first start in a flat array, and each θ's place in them.

    Of each factor: p, and the rows, cols and theta of :class:`~pyimpl.likelihood.reduce.Factor`. The first factor's
    place is −1. Returned are the starts; and for each θ the start of its template, its row, its column, p and the
    factor.
    """
    n = sum(len(theta) for _, _, _, theta in factors)
    start = np.array([0, *accumulate(p * p for p, _, _, _ in factors[1:])], dtype=np.int64)
    place, row, col, size, number = (np.empty(n, dtype=np.int64) for _ in range(5))
    for f, (p, rows, cols, theta) in enumerate(factors):
        at = list(theta)
        place[at] = start[f - 1] if f else -1
        row[at], col[at], size[at], number[at] = rows, cols, p, f - 1
    return start, place, row, col, size, number


class _SeveralFactors:
    """Several grouping factors, all but the largest in a dense matrix: :mod:`pyimpl.likelihood.several_factors`.

    Levels of the largest that are alike are `merged`, unless every level's modes are wanted.
    """

    kind = APPROXIMATE

    def __init__(self, blocks: Blocks, others: Others, merged: bool = True) -> None:
        self.blocks = blocks
        self.others = others
        self.parts = np.zeros(3)
        self.info = np.empty((0, 0))
        self.small = others.q <= COMPILED
        first = blocks.factors[0]
        self._start, self._place, self._rows, self._cols, self._size, self._factor = _places(
            tuple(
                (f.p, tuple(f.rows.tolist()), tuple(f.cols.tolist()), tuple(f.theta.tolist())) for f in blocks.factors
            )
        )
        self._levels = np.array([factor.J for factor in blocks.factors], dtype=np.int64)
        self._T = np.zeros((first.p, first.p))
        self._flat = np.zeros(int(self._start[-1]))
        self._work: tuple[np.ndarray, ...] | None = None
        # levels that are alike touch the same columns, with the same R_j; every level touches some column
        order = np.lexsort((blocks.R[:, 0, 0], others.columns[others.indptr[:-1]]))
        self._R, self._C, self._indptr, self._columns, self._values, self._copies = merging.merge(
            blocks.R, blocks.C, others.indptr, others.columns, others.values, order, merging.WIDEST if merged else 0
        )

    def __getstate__(self) -> dict[str, Any]:
        # the workspaces are as large as the problem, and of no use to another process
        return {**self.__dict__, "_work": None}

    @property
    def layout(self) -> tuple[np.ndarray, ...]:
        """Levels of each factor, and each θ's place: row and column of which factor's template of what size."""
        return self._levels, self._rows, self._cols, self._size, self._factor

    @cached_property
    def cost(self) -> float:
        """Operations of an evaluation with its derivatives and of a step of the search, roughly."""
        J, p, m = self._C.shape
        n, q = self.blocks.n_theta, self.others.q
        touched = self._indptr[1:] - self._indptr[:-1]
        levels = p * p * (p + m) + p * n * (n + m)
        return J * levels + 3.0 * p * float(touched.dot(touched)) + q * (q * (q + n) + n * n) + step_cost(n)

    @property
    def compiled_layout(self) -> tuple[np.ndarray, ...] | None:
        if not self.small:
            return None
        return (
            self.others.first_column, self._start, self.others.within, self._place, self._size, self._levels
        )  # fmt: skip

    @property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        """Workspaces E, D, U, S, S2, S2x, A, N, Q, and sums over levels with log|A|."""
        if self._work is None:
            q, m = self.others.q, self.blocks.P + 1
            A = np.empty((q, q))
            self._work = (
                np.empty_like(self._R), np.empty_like(self._C), np.empty_like(self._values), np.empty((m, m)),
                np.empty((q, q)), np.empty((q, m)), A, np.empty((q, q)) if self.small else A, np.zeros((m, m)),
                np.empty(self._flat.size + self._T.size + 1),
            )  # fmt: skip
        return self._work

    def _data(self, df: float, REML: bool) -> tuple[Any, ...]:
        blocks, others = self.blocks, self.others
        return (
            float(df), REML, self._R, self._C, self._copies, blocks.within, others.first_column, others.p, self._start,
            self._indptr, self._columns, self._values, others.within, others.within_dense,
            self._place, self._rows, self._cols, self._size, self._factor, self._T, self._flat, *self._arrays,
        )  # fmt: skip

    def evaluate(self, theta: np.ndarray, df: float, REML: bool, order: int) -> Evaluation:
        n = theta.size
        gradient, hessian = np.full(n, np.nan), np.full((n, n), np.nan)
        if self.small:
            info = np.empty((n, n))
            value = several.criterion(
                theta, *self._data(df, REML), self.parts, gradient, hessian, info, order == 2, False
            )
            self.info = info
            return value, gradient, hessian
        value, lz = self._value(theta, df, REML)
        if order == 0 or not math.isfinite(value):
            return value, gradient, hessian
        E, _, U, _, S2, _, A, N, _, _ = self._arrays
        others = self.others
        layout = (others.first_column, others.p, self._flat, self._start)
        V1, Vo = self._modes(lz)
        weight = df / self.parts[2]
        if order == 2:
            s1, so = np.empty((V1.shape[0], n)), np.empty((others.q, n))
            several.images(
                self._place, self._rows, self._cols, self._size, len(self._R), others.first_column,
                self._factor, self._T, self._flat, V1, Vo, s1, so,
            )  # fmt: skip
            h = np.empty_like(so)
            S2so = lapack.symmetric_times(S2, so)
            several.information(
                E, U, self._indptr, self._columns, s1, so, S2so, V1, Vo, weight, df, self.parts[2], h, hessian
            )
            several.lambda_times(h, *layout, True, so)
            back = lapack.forward(A, so)
            hessian -= weight * (back.T @ back)
            self.info = hessian.copy()
        lapack.invert(A)
        several.finish(
            E, self._copies, U, self._indptr, self._columns, S2, A, N, others.first_column, others.p, self._T,
            self._flat, self._start, self._place, self._rows, self._cols, self._size, self._factor, V1, Vo, weight,
            REML, gradient, hessian, order == 2,
        )  # fmt: skip
        return value, gradient, hessian

    def _value(self, theta: np.ndarray, df: float, REML: bool) -> tuple[float, np.ndarray]:
        """Value at θ, and ΛA⁻¹Λ'S2x; A's factor is in the workspace then."""
        blocks, others = self.blocks, self.others
        E, D, U, S, S2, S2x, A, _, Q, _ = self._arrays
        layout = (others.first_column, others.p, self._flat, self._start)
        several.templates(theta, self._place, self._rows, self._cols, self._size, self._T, self._flat)
        rhs = np.empty_like(S2x)
        log_det = several.assemble(
            self._R, self._C, self._copies, self._T, self._flat, others.first_column, others.p, self._start,
            self._indptr, self._columns, self._values, blocks.within, others.within, others.within_dense,
            E, D, U, S, S2, S2x, A, rhs,
        )  # fmt: skip
        if not lapack.factorise(A):
            return math.inf, rhs
        Y = lapack.forward(A, rhs)
        log_det += several.log_diagonal(A)
        value = several.profile(log_det, np.ascontiguousarray(Y), S, float(df), REML, self.parts, Q)
        z = lapack.backward(A, Y)
        lz = np.empty_like(S2x)
        several.lambda_times(np.ascontiguousarray(z), *layout, False, lz)
        return float(value), lz

    def _modes(self, lz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Z'V⁻¹[X R_X⁻¹, y − Xβ̂] of the eliminated factor and of the others."""
        E, D, U, _, S2, S2x, _, _, Q, _ = self._arrays
        V1, Vo = np.empty((D.shape[0] * D.shape[1], D.shape[2])), np.empty_like(S2x)
        S2lz = lapack.symmetric_times(S2, lz)
        several.modes(E, D, U, self._indptr, self._columns, S2x, S2lz, lz, Q, V1, Vo)
        return V1, Vo

    def scan(self, points: np.ndarray, df: float, REML: bool) -> np.ndarray:
        values = np.empty(len(points))
        if self.small:
            blocks, others = self.blocks, self.others
            scanning.scan(
                points, values, float(df), REML, self._place, self._rows, self._cols, self._size, self._R, self._C,
                self._copies, blocks.within, others.first_column, others.p, self._start, self._indptr, self._columns,
                self._values, others.within, others.within_dense,
            )  # fmt: skip
        else:
            values[:] = [self.evaluate(theta, df, REML, 0)[0] for theta in points]
        return values

    def search(
        self, start: np.ndarray, units: np.ndarray, budget: int, work: Workspace, df: float, REML: bool, near: bool
    ) -> float:
        if self.small and self.cost <= COMPILED_SEARCH:
            return several.search(
                start, units, budget, work, *self._data(df, REML), self.parts, self._levels, near, False
            )
        return scored(self, start, units, budget, work, df, REML, near)

    def solve(self, theta: np.ndarray, df: float, REML: bool) -> Modes:
        blocks, others = self.blocks, self.others
        if len(self._R) < blocks.factors[0].J:  # each level has its own modes
            every = _SeveralFactors(blocks, others, merged=False)
            every.parts = self.parts
            return every.solve(theta, df, REML)
        E, _, U, _, _, _, A, N, Q, _ = self._arrays
        value, lz = self._value(theta, df, REML)
        if not math.isfinite(value):
            return value, Q, [], []
        V1, Vo = self._modes(lz)
        first, T = blocks.factors[0], self._T
        W = blocks.R @ T
        half = _half_cond_var(W, T)
        cond = [np.swapaxes(half, 1, 2) @ half]
        lapack.invert(A)
        several.sandwich(A, others.first_column, others.p, self._flat, self._start, N)
        _add_cond_var(cond[0], E, T, others.indptr, others.columns, U, N)
        P = blocks.P
        a = [V1[:, P].reshape(first.J, first.p)]
        for f, factor in enumerate(blocks.factors[1:]):
            p = factor.p
            a.append(Vo[others.first_column[f] : others.first_column[f + 1], P].reshape(factor.J, p))
            at = others.first_column[f] + np.arange(factor.J)[:, None, None] * p
            r, c = np.arange(p)[None, :, None], np.arange(p)[None, None, :]
            cond.append(N[at + np.maximum(r, c), at + np.minimum(r, c)])
        return value, Q.copy(), a, cond


class _NestedFactors(_SeveralFactors):
    """Two factors of one effect each, one nested in the other: searches as in :mod:`pyimpl.likelihood.nested`."""

    kind = EXACT

    @cached_property
    def cost(self) -> float:
        return _NESTED * self.blocks.factors[0].J * (self.blocks.P + 1) ** 2

    def __init__(self, blocks: Blocks, others: Others, data: tuple[np.ndarray, ...]) -> None:
        super().__init__(blocks, others)
        self._nested = data
        self._inner = int(blocks.factors[0].theta[0])

    def evaluate(self, theta: np.ndarray, df: float, REML: bool, order: int) -> Evaluation:
        if order == 0:
            return super().evaluate(theta, df, REML, 0)
        gradient, hessian = np.empty(2), np.full((2, 2), np.nan)
        value = nested.criterion(theta, self._inner, self._nested, float(df), REML, self.parts, gradient, hessian)
        return value, gradient, hessian

    def search(
        self, start: np.ndarray, units: np.ndarray, budget: int, work: Workspace, df: float, REML: bool, near: bool
    ) -> float:
        if self.cost > COMPILED_SEARCH:
            return run(self, start, units, budget, work, df, REML)
        return nested.search(start, units, budget, work, self._inner, self._nested, float(df), REML, self.parts)


@kernel("f3 f3 f2 i1 i1 f2 f2")
def _add_cond_var(cond, E, T, indptr, columns, U, N):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """cond_j += K_j (U_j N U_j') K_j' with K_j = T T' E_j': what the other factors' uncertainty adds."""
    p = E.shape[1]
    M = np.zeros((p, p))
    K = np.zeros((p, p))
    TT = T @ T.T
    for j in range(indptr.shape[0] - 1):
        M[:] = 0.0
        for i in range(indptr[j], indptr[j + 1]):
            for k in range(indptr[j], indptr[j + 1]):
                r, c = columns[i], columns[k]
                x = N[r, c] if c <= r else N[c, r]
                for a in range(p):
                    for b in range(p):
                        M[a, b] += U[i, a] * x * U[k, b]
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(p):
                    total += TT[a, c] * E[j, b, c]
                K[a, b] = total
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(p):
                    for d in range(p):
                        total += K[a, c] * M[c, d] * K[b, d]
                cond[j, a, b] += total
