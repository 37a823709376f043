"""``diag(x | g)``: no correlations; with ``hom = TRUE`` one variance for all effects.

For numeric effects it is ``(x || g)``, in one term. A factor keeps its indicators: they have a variance each.
"""

import math

import numpy as np

from pyimpl.covariance.base import Covariance, Expansion, Meaning

__all__ = ["Diagonal"]


class Diagonal(Covariance):
    """T is diagonal; the parameters are standard deviations relative to σ."""

    __slots__ = ()
    name = "diag"

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """The diagonal."""
        return tuple((k, k) for k in range(self.p))

    @property
    def linear(self) -> bool:
        """Where each effect has a variance of its own."""
        return not self.hom

    @property
    def theta_index(self) -> tuple[int, ...]:
        """All are one where there is one variance."""
        return (0,) * self.p if self.hom else tuple(range(self.p))

    def expand(self, z: np.ndarray) -> Expansion:
        """The coordinates are the standard deviations; the criterion is even in each."""
        n = self.n_par
        jacobian = np.ones((self.p, 1)) if self.hom else np.eye(self.p)
        return Expansion(jacobian @ z, jacobian, np.zeros((self.p, n, n)))

    def from_covariance(self, covariance: np.ndarray) -> np.ndarray:
        """Roots of the variances."""
        sd = np.sqrt(np.diag(covariance))
        return sd[:1] if self.hom else sd

    def parameters(self, z: np.ndarray) -> np.ndarray:
        """The coordinates without their signs."""
        return np.abs(z)

    @property
    def n_par(self) -> int:
        """A standard deviation for each effect, or one."""
        return min(self.p, 1) if self.hom else self.p

    @property
    def start(self) -> np.ndarray:
        """σ."""
        return np.ones(self.n_par)

    @property
    def lower(self) -> np.ndarray:
        """0."""
        return np.zeros(self.n_par)

    def units(self, scale: np.ndarray) -> np.ndarray:
        """By effect; of all together their mean square counts."""
        return 1.0 / (np.sqrt(np.mean(scale**2, keepdims=True)) if self.hom else scale)

    def distance(self, par: np.ndarray) -> float:
        """The smallest standard deviation."""
        return float(min(par, default=math.inf))

    def par_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """The effects, or ``*``."""
        return ("*",) if self.hom else effects

    def theta_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """As the parameters'."""
        return self.par_names(effects)

    @property
    def printed(self) -> str:
        """No correlations."""
        return "none"

    def meanings(self, effects: tuple[str, ...]) -> tuple[Meaning, ...]:
        """Standard deviations."""
        return tuple(Meaning("sd", name) for name in self.par_names(effects))
