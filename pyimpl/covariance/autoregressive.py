"""``ar1(x | g)``: a first-order autoregressive process over the effects, in their order; ``hom = TRUE`` by default."""

import math

import numpy as np

from pyimpl.covariance.base import triangle_names
from pyimpl.covariance.jets import Jet, stacked
from pyimpl.covariance.one_correlation import OneCorrelation

__all__ = ["Autoregressive"]


class Autoregressive(OneCorrelation):
    """Correlation ρ^|i − j| of effects i and j, −1 ≤ ρ ≤ 1.

    C_i0 = ρ^i and C_ij = ρ^(i − j) √(1 − ρ²) for i ≥ j > 0; with ρ = sin φ the root is cos φ.
    """

    __slots__ = ()
    name = "ar1"
    hom_default = True

    @property
    def least_correlation(self) -> float:
        """−1."""
        return -1.0

    def correlation_factor(self, phi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """C by columns, with derivatives by φ."""
        sine, cosine = math.sin(phi), math.cos(phi)
        rho, root = Jet(sine, cosine, -sine), Jet(cosine, -sine, -cosine)
        powers = [rho.power(float(k)) for k in range(self.p)]
        innovations = [power * root for power in powers]
        return stacked([(innovations if col else powers)[row - col] for row, col in self.places])

    @property
    def theta_index(self) -> tuple[int, ...]:
        """With one standard deviation all elements of a diagonal but the first column's are one."""
        places = self.places
        if not self.hom:
            return tuple(range(len(places)))
        return tuple(row if col == 0 else self.p + row - col for row, col in places)

    def theta_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the first two columns where there is one standard deviation."""
        names = triangle_names(effects)
        return names[: 2 * self.p - 1] if self.hom else names
