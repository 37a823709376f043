"""``cs(x | g)``: compound symmetry, the same correlation of any two effects."""

import math

import numpy as np

from pyimpl.covariance.base import triangle_names
from pyimpl.covariance.jets import Jet, stacked
from pyimpl.covariance.one_correlation import OneCorrelation

__all__ = ["CompoundSymmetry"]


class CompoundSymmetry(OneCorrelation):
    """Correlation ρ of any two effects, −1/(p − 1) ≤ ρ ≤ 1.

    With columns counted from 0, C_jj² = (1 − ρ)(1 + jρ)/(1 + (j − 1)ρ), C_ij = ρ√(1 − ρ)/√((1 + (j − 1)ρ)(1 + jρ)) for
    i > j > 0, C_i0 = ρ: what lme4 computes by a recursion (its vignette on covariance structures). The roots that
    vanish at a bound, √(1 − ρ) and √(1 + (p − 1)ρ), are sines of half an angle of φ, and so smooth there.
    """

    __slots__ = ()
    name = "cs"

    @property
    def least_correlation(self) -> float:
        """−1/(p − 1)."""
        return -1.0 / (self.p - 1)

    def correlation_factor(self, phi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """C by columns, with derivatives by φ."""
        p = self.p
        c, h = self._middle
        rho = Jet(c + h * math.sin(phi), h * math.cos(phi), -h * math.sin(phi))
        half = 0.5 * (0.5 * math.pi - phi)
        size = math.sqrt(2.0 * h)
        upper = Jet(size * math.sin(half), -0.5 * size * math.cos(half), -0.25 * size * math.sin(half))  # √(1 − ρ)
        half = 0.5 * (0.5 * math.pi + phi)
        size = math.sqrt(2.0 * (p - 1) * h)
        last = Jet(size * math.sin(half), 0.5 * size * math.cos(half), -0.25 * size * math.sin(half))

        def root(j: int) -> Jet:
            """√(1 + jρ)."""
            return last if j == p - 1 else (rho * float(j) + 1.0).power(0.5)

        columns: list[Jet] = []
        for j in range(p):
            if j == 0:
                columns += [Jet(1.0, 0.0, 0.0), *[rho] * (p - 1)]
                continue
            before = root(j - 1).power(-1.0)
            columns.append(upper * before * root(j))
            if j < p - 1:
                columns += [rho * upper * before * root(j).power(-1.0)] * (p - 1 - j)
        return stacked(columns)

    @property
    def theta_index(self) -> tuple[int, ...]:
        """With one standard deviation all elements of a column below its diagonal are one."""
        places = self.places
        if not self.hom:
            return tuple(range(len(places)))
        return tuple(2 * col + (row > col) for row, col in places)

    def theta_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """``x`` and ``*.x`` for each column where there is one standard deviation."""
        if not self.hom:
            return triangle_names(effects)
        names = [name for effect in effects for name in (effect, f"*.{effect}")]
        return tuple(names[: 2 * self.p - 1])
