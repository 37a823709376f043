"""Structures with standard deviations and one correlation: T = diag(s) C(ρ), C the Cholesky factor of a correlation.

A structure of this kind says what C is, and between which bounds ρ lies.
"""

import math
from abc import abstractmethod

import numpy as np

from pyimpl.covariance.base import Covariance, Expansion, Meaning, triangle

__all__ = ["OneCorrelation"]


class OneCorrelation(Covariance):
    """Standard deviations relative to σ (one of them, if `hom`), then ρ, if there are two effects at least."""

    __slots__ = ()

    @property
    @abstractmethod
    def least_correlation(self) -> float:
        """The smallest ρ for which the matrix is positive semidefinite; the largest is 1."""

    @abstractmethod
    def correlation_factor(self, phi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """C's lower triangle by columns, and its first and second derivatives, by the coordinate φ of ρ."""

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """The lower triangle."""
        return triangle(self.p)

    @property
    def n_sd(self) -> int:
        """Number of standard deviations."""
        return min(self.p, 1) if self.hom else self.p

    @property
    def n_par(self) -> int:
        """The standard deviations and ρ."""
        return self.n_sd + (self.p > 1)

    @property
    def start(self) -> np.ndarray:
        """σ, and no correlation."""
        return np.append(np.ones(self.n_sd), np.zeros(self.n_par - self.n_sd))

    @property
    def lower(self) -> np.ndarray:
        """0, and the least correlation."""
        return np.append(np.zeros(self.n_sd), [self.least_correlation] if self.p > 1 else [])

    @property
    def upper(self) -> np.ndarray:
        """Infinity, and 1."""
        return np.append(np.full(self.n_sd, math.inf), [1.0] if self.p > 1 else [])

    def units(self, scale: np.ndarray) -> np.ndarray:
        """By effect; 1 for ρ."""
        sd = 1.0 / (np.sqrt(np.mean(scale**2, keepdims=True)) if self.hom else scale)
        return np.append(sd, [1.0] if self.p > 1 else [])

    def distance(self, par: np.ndarray) -> float:
        """Of the nearest bound."""
        near = float(min(par[: self.n_sd], default=math.inf))
        return min(near, float(par[-1]) - self.least_correlation, 1.0 - float(par[-1])) if self.p > 1 else near

    # -- the search's coordinates ------------------------------------------------------------------

    @property
    def _squared(self) -> bool:
        """Whether a standard deviation is its coordinate's square: its sign would be one of correlations."""
        return not self.hom and self.p > 1

    @property
    def _middle(self) -> tuple[float, float]:
        """Middle c and half width h of ρ = c + h sin φ."""
        return 0.5 * (1.0 + self.least_correlation), 0.5 * (1.0 - self.least_correlation)

    @property
    def powers(self) -> np.ndarray:
        """½ for a coordinate whose square is a standard deviation, 0 for φ."""
        return np.append(np.full(self.n_sd, 0.5 if self._squared else 1.0), np.zeros(self.n_par - self.n_sd))

    def coordinates(self, par: np.ndarray) -> np.ndarray:
        """Coordinates of the parameters, which are within their bounds."""
        z = np.array(par, dtype=float)
        if self._squared:
            z[: self.n_sd] = np.sqrt(z[: self.n_sd])
        if self.p > 1:
            c, h = self._middle
            sine = (z[-1] - c) / h
            # in floating point a bound may be missed by a rounding error
            z[-1] = math.asin(min(1.0, max(-1.0, sine))) if abs(sine) < 1.0 + 1e-12 else math.nan
        return z

    def parameters(self, z: np.ndarray) -> np.ndarray:
        """The parameters at z."""
        par = np.array(z, dtype=float)
        par[: self.n_sd] = par[: self.n_sd] ** 2 if self._squared else np.abs(par[: self.n_sd])
        if self.p > 1:
            c, h = self._middle
            par[-1] = min(1.0, max(self.least_correlation, c + h * math.sin(z[-1])))
        return par

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative of each parameter by its coordinate."""
        first, second = np.ones(self.n_par), np.zeros(self.n_par)
        if self._squared:
            first[: self.n_sd], second[: self.n_sd] = 2.0 * z[: self.n_sd], 2.0
        if self.p > 1:
            h = self._middle[1]
            first[-1], second[-1] = h * math.cos(z[-1]), -h * math.sin(z[-1])
        return first, second

    def expand(self, z: np.ndarray) -> Expansion:
        """T's elements and their derivatives by z."""
        n, places = self.n_par, self.places
        rows = np.zeros(len(places), dtype=int) if self.hom else np.array([row for row, _ in places], dtype=int)
        each = np.arange(len(places))
        s = z[: self.n_sd] ** 2 if self._squared else z[: self.n_sd]
        slope = 2.0 * z[: self.n_sd] if self._squared else np.ones(self.n_sd)
        jacobian, second = np.zeros((len(places), n)), np.zeros((len(places), n, n))
        if self.p == 1:
            jacobian[0, 0] = 1.0
            return Expansion(s.copy(), jacobian, second)
        C, C1, C2 = self.correlation_factor(float(z[-1]))
        jacobian[each, rows] = slope[rows] * C
        jacobian[:, -1] = s[rows] * C1
        if self._squared:
            second[each, rows, rows] = 2.0 * C
        second[each, rows, -1] = second[each, -1, rows] = slope[rows] * C1
        second[:, -1, -1] = s[rows] * C2
        return Expansion(s[rows] * C, jacobian, second)

    def from_covariance(self, covariance: np.ndarray) -> np.ndarray:
        """Standard deviations, and the correlation of the first two effects that vary."""
        sd = np.sqrt(np.diag(covariance))
        par = sd[: self.n_sd]
        if self.p == 1:
            return par
        rho = 0.0
        if sd[0] * sd[1] > 0:
            rho = float(covariance[1, 0] / sd[0] / sd[1])
        return np.append(par, min(1.0, max(self.least_correlation, rho)))

    # -- words -------------------------------------------------------------------------------------

    def par_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """The effects or ``*``, then ``rho``."""
        return (*(("*",) if self.hom else effects), *(("rho",) if self.p > 1 else ()))

    def meanings(self, effects: tuple[str, ...]) -> tuple[Meaning, ...]:
        """Standard deviations, then the correlation."""
        names = self.par_names(effects)
        sds = tuple(Meaning("sd", name) for name in names[: self.n_sd])
        return (*sds, *((Meaning("correlation", "rho"),) if self.p > 1 else ()))

    @property
    def rows_printed(self) -> int:
        """One, where all effects have the same standard deviation."""
        return 1 if self.hom else self.p

    @property
    def printed(self) -> str:
        """The structure's name, after the one correlation."""
        return self.name
