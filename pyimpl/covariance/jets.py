"""Functions of one variable with their first two derivatives: truncated Taylor arithmetic."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Jet"]


@dataclass(frozen=True, slots=True)
class Jet:
    """Value, first and second derivative."""

    value: float
    first: float
    second: float

    def __add__(self, number: float) -> "Jet":
        return Jet(self.value + number, self.first, self.second)

    def __mul__(self, other: "Jet | float") -> "Jet":
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.first * other, self.second * other)
        return Jet(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + 2.0 * self.first * other.first + self.value * other.second,
        )

    def power(self, exponent: float) -> "Jet":
        """To a power; of a value above 0, unless the exponent is 0, 1 or a whole number from 2 on."""
        if exponent == 0:
            return Jet(1.0, 0.0, 0.0)
        if exponent == 1:
            return self
        slope = exponent * self.value ** (exponent - 1)
        curvature = exponent * (exponent - 1) * self.value ** (exponent - 2)
        return Jet(self.value**exponent, slope * self.first, curvature * self.first**2 + slope * self.second)


def stacked(jets: "list[Jet]") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, first and second derivatives of several, each shape (k,)."""
    table = np.array([(jet.value, jet.first, jet.second) for jet in jets]).reshape(-1, 3).T
    return table[0].copy(), table[1].copy(), table[2].copy()
