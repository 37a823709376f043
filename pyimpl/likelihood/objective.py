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
from functools import cached_property
from typing import Any

import numpy as np

from pyimpl.errors import ModelError
from pyimpl.likelihood.engine import conditional_variances
from pyimpl.likelihood.equal_levels import merged_levels
from pyimpl.likelihood.reduce import Reduced, make_engine
from pyimpl.likelihood.trust_region import TrustRegion

__all__ = ["Objective", "Solution"]


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
        Z'V⁻¹(y − Xβ̂) for each factor of ``Reduced.factors``, shape (J, p); u = T'a, b = TT'a.
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
    blocks : Reduced
    REML : bool
    merging : bool
        Whether levels with the same model matrix are merged for it; not where the response will be another.

    Attributes
    ----------
    evaluations, gradients : int
        How often the value, and the value with its gradient, have been computed.
    """

    def __init__(self, blocks: Reduced, REML: bool, merging: bool = True) -> None:
        self.blocks, self._merging = blocks, merging
        self.REML = bool(REML)
        self.evaluations = 0
        self.gradients = 0
        self._df: float = blocks.N - blocks.P if REML else blocks.N
        if self._df <= 0:
            raise ModelError(f"{blocks.N} rows do not suffice for {blocks.P} fixed effects")
        self._constant = self._df * (1.0 + math.log(2 * math.pi / self._df)) - blocks.log_weights
        if REML:
            self._constant += blocks.fixed.log_det_X

    def __getstate__(self) -> dict[str, Any]:
        # the engine's workspaces are as large as the problem, and of no use to another process
        return {name: value for name, value in self.__dict__.items() if name not in ("engine", "_searched")}

    @cached_property
    def engine(self) -> Any:
        """What evaluates, with every level: :class:`pyimpl.likelihood.engine.Engine`."""
        return make_engine(self.blocks, self._df, self.REML)

    @cached_property
    def _searched(self) -> Any:
        """What is searched: the engine, or one of few levels."""
        levels = merged_levels(self.blocks.inner) if self._merging and self.blocks.outer is None else None
        return self.engine if levels is None else make_engine(self.blocks, self._df, self.REML, levels)

    # -- one evaluation ------------------------------------------------------------------------------------------

    def __call__(self, theta: np.ndarray) -> float:
        """Evaluate the objective at θ (lme4's order), +inf where it cannot be computed."""
        self.evaluations += 1
        return float(self._searched.criterion(theta)) + self._constant

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
        engine = self._searched
        value = float(engine.criterion(theta, 1))
        return value + self._constant, np.array(engine.gradient)

    @property
    def exact_hessian(self) -> bool:
        """Whether :meth:`value_gradient_hessian` gives second derivatives, and not their approximation."""
        return bool(self._searched.closed_form)

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
        engine = self._searched
        value = float(engine.criterion(theta, 2))
        return value + self._constant, np.array(engine.gradient), np.array(engine.hessian)

    def hessian(self, theta: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Second derivatives at θ: exact where one factor has one effect, else central differences of the gradient.

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

    def search(
        self, start: np.ndarray, units: np.ndarray, budget: int, region: TrustRegion, near: bool = False
    ) -> float:
        """Minimise from `start` in coordinates θ / `units`; returns the objective at the start.

        From a start said to be `near` the minimum no steps of EM are taken. The minimum is in the region then, its
        values without :attr:`constant`.
        """
        initial = float(self._searched.minimise(region, start, units, budget, near))
        self.gradients += region.evaluations
        return initial + self._constant

    def scan(self, points: np.ndarray) -> np.ndarray:
        """Evaluate the objective at many θ.

        Parameters
        ----------
        points : ndarray, shape (k, n_theta)

        Returns
        -------
        ndarray, shape (k,)
            +inf where it cannot be computed.
        """
        self.evaluations += len(points)
        values: np.ndarray = self._searched.scan(np.ascontiguousarray(points)) + self._constant
        return values

    @property
    def df(self) -> float:
        """n, or n − p."""
        return self._df

    @property
    def constant(self) -> float:
        """What the objective has besides the part that depends on θ."""
        return self._constant

    @property
    def prss(self) -> float:
        """r² where the objective was last evaluated."""
        return float(self._searched.prss)

    # -- the model at one θ ----------------------------------------------------------------------------------------

    def solve(self, theta: np.ndarray) -> Solution:
        """Everything that inference needs at θ.

        Raises
        ------
        ModelError
            If the objective cannot be computed there.
        """
        theta = np.asarray(theta, dtype=float)
        blocks, fixed, engine = self.blocks, self.blocks.fixed, self.engine
        value = float(engine.criterion(theta, 1))
        if not math.isfinite(value):
            raise ModelError(f"the profiled deviance cannot be computed at theta = {theta.tolist()}")
        P, Q = blocks.P, np.array(engine.to_basis)
        root = fixed.coef_from_basis @ Q[:P, :P]
        return Solution(
            theta=theta.copy(),
            objective=value + self._constant,
            beta=fixed.beta_ols - fixed.coef_from_basis @ Q[:P, P],
            unscaled_vcov=root @ root.T,
            prss=float(engine.prss),
            log_det_L2=float(engine.log_det),
            log_det_RX2=float(engine.log_det_RX) + (fixed.log_det_X if P else 0.0),
            a=tuple(engine.effects()),
            unscaled_cond_var=tuple(self._conditional_variances(theta)),
        )

    def _conditional_variances(self, theta: np.ndarray) -> list[np.ndarray]:
        """Diagonal blocks of Λ(Λ'Z'ZΛ + I)⁻¹Λ' of each factor, shape (J, p, p), where the engine has just evaluated."""
        blocks, engine, out = self.blocks, self.engine, []
        has_inner = len(blocks.inner.R) > 0
        if has_inner:
            T = blocks.factors[0].template(theta)
            half = _half_cond_var(blocks.inner.R @ T, T)
            out.append(np.swapaxes(half, 1, 2) @ half)
            if blocks.outer is not None:
                conditional_variances(engine.inner, T, engine.outer.factor.inverse, out[0])
        if blocks.outer is None:
            return out
        pattern, inverse = blocks.outer.pattern, np.asarray(engine.outer.factor.inverse)
        first, row_ptr = np.asarray(pattern.first), np.asarray(pattern.row_ptr)
        super_of = np.asarray(pattern.super_of)
        high = np.diff(first) + np.diff(row_ptr)
        columns, at = pattern.columns, 0
        for factor in blocks.outer_factors:
            c = columns[at : at + factor.J]
            at += factor.J
            s = super_of[c]
            corner = np.asarray(pattern.panel)[s] + (c - first[s]) * (high[s] + 1)
            i, k = np.arange(factor.p)[:, None], np.arange(factor.p)[None, :]
            row, col = np.maximum(i, k), np.minimum(i, k)
            block = inverse[corner[:, None, None] + col * high[s][:, None, None] + row]
            if not has_inner:  # A⁻¹ itself is there, and not N
                T = factor.template(theta)
                block = T @ block @ T.T
            out.append(block)
        return out


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
