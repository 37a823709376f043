"""Models with structured covariances: the criterion as a function of lme4's ``par``.

The engine knows the elements of Λ's templates only. Here they follow from the parameters of the terms' covariance
structures (:mod:`pyimpl.covariance`), and derivatives by the chain rule, with T = T(z), g and H the engine's:

    ∂d/∂z = J'g,   ∂²d/∂z∂z' = J'HJ + Σ_k g_k ∂²T_k/∂z∂z'.
"""

import math
from typing import Any

import numpy as np

from pyimpl.covariance.structures import Structure

__all__ = ["StructuredEngine"]


class StructuredEngine:
    """An engine whose θ are the parameters of covariance structures; see :class:`pyimpl.likelihood.engine.Engine`.

    Parameters
    ----------
    engine : Engine
        Of the templates' elements.
    structure : Structure
    free : bool
        Whether θ are the search's coordinates instead, which know no bounds.
    """

    closed_form = False

    def __init__(self, engine: Any, structure: Structure, free: bool = False) -> None:
        self._engine, self.structure, self.free = engine, structure, free
        self.gradient = np.full(structure.n_par, math.nan)
        self.hessian = np.full((structure.n_par, structure.n_par), math.nan)

    def __getattr__(self, name: str) -> Any:  # log_det, prss, to_basis, inner, outer, ...: the engine's
        return getattr(self._engine, name)

    def in_coordinates(self) -> "StructuredEngine":
        """The same engine as a function of the search's coordinates."""
        return StructuredEngine(self._engine, self.structure, True)

    def gradient_at_sigma(self, theta: np.ndarray, sigma: float) -> float:
        """See :meth:`pyimpl.likelihood.engine.Engine.gradient_at_sigma`; of an engine of coordinates."""
        scaled = float(self._engine.gradient_at_sigma(self.structure.element_values(theta), sigma))
        self.gradient = self.structure.chain(theta, np.array(self._engine.gradient), None)[0]
        return scaled

    def criterion(self, theta: np.ndarray, order: int = 0) -> float:
        """Value; its gradient too (order 1), and second derivatives (order 2). +inf outside the bounds."""
        structure = self.structure
        theta = np.asarray(theta, dtype=float)
        outside = not self.free and ((theta < structure.lower) | (theta > structure.upper)).any()
        if outside or not np.isfinite(theta).all():
            self.gradient[:], self.hessian[:] = math.nan, math.nan
            return math.inf
        z = theta if self.free else structure.coordinates(theta)
        value = float(self._engine.criterion(structure.element_values(z), order))
        if order == 0:
            return value
        gradient = np.array(self._engine.gradient)
        g, H = structure.chain(z, gradient, np.array(self._engine.hessian) if order == 2 else None)
        if not self.free:
            first, second = structure.slopes(z)
            with np.errstate(divide="ignore", invalid="ignore"):  # on the boundary there are none
                g = g / first
                if H is not None:
                    H = (H - np.diag(g * second)) / np.outer(first, first)
        self.gradient = g
        if H is not None:
            self.hessian = H
        return value

    def scan(self, points: np.ndarray) -> np.ndarray:
        """Values at many θ, shape (k, n_theta)."""
        return np.array([self.criterion(point) for point in points])
