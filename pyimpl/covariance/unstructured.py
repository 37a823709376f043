"""``us(x | g)``, which is ``(x | g)``: all variances and covariances are free (Bates et al. 2015, section 2.2)."""

import math

import numpy as np

from pyimpl.covariance.base import Covariance, Expansion, Meaning, triangle, triangle_names

__all__ = ["Unstructured"]


class Unstructured(Covariance):
    """All elements of T's lower triangle are parameters."""

    __slots__ = ()
    name = "us"
    has_hom = False

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """The lower triangle."""
        return triangle(self.p)

    @property
    def linear(self) -> bool:
        """The elements are the parameters."""
        return True

    @property
    def theta_index(self) -> tuple[int, ...]:
        """Each element is one of its own."""
        return tuple(range(self.n_par))

    def expand(self, z: np.ndarray) -> Expansion:
        """The elements are the coordinates."""
        n = self.n_par
        return Expansion(np.array(z, dtype=float), np.eye(n), np.zeros((n, n, n)))

    def from_covariance(self, covariance: np.ndarray) -> np.ndarray:
        """The Cholesky factor, which a singular matrix has too."""
        values, vectors = np.linalg.eigh(covariance)
        R = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T, mode="r")
        T = (R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]).T
        return np.array([T[row, col] for row, col in self.places])

    def parameters(self, z: np.ndarray) -> np.ndarray:
        """The coordinates, the signs of columns such that no diagonal element is negative."""
        signs = {col: -1.0 if x < 0 else 1.0 for x, (row, col) in zip(z, self.places, strict=True) if row == col}
        return np.array([x * signs[col] for x, (_, col) in zip(z, self.places, strict=True)]) + 0.0

    @property
    def n_par(self) -> int:
        """As many as the triangle has elements."""
        return self.p * (self.p + 1) // 2

    @property
    def start(self) -> np.ndarray:
        """The identity matrix."""
        return np.array([float(row == col) for row, col in self.places])

    @property
    def lower(self) -> np.ndarray:
        """0 on the diagonal."""
        return np.array([0.0 if row == col else -math.inf for row, col in self.places])

    def units(self, scale: np.ndarray) -> np.ndarray:
        """By the row's effect."""
        return np.array([1.0 / scale[row] for row, _ in self.places])

    def distance(self, par: np.ndarray) -> float:
        """The smallest diagonal element."""
        return min((float(x) for x, (row, col) in zip(par, self.places, strict=True) if row == col), default=math.inf)

    def par_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """As θ's."""
        return triangle_names(effects)

    def theta_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """``x`` on the diagonal, ``x2.x1`` below."""
        return triangle_names(effects)

    def meanings(self, effects: tuple[str, ...]) -> tuple[Meaning, ...]:
        """By columns of the triangle: a standard deviation, then its correlations."""
        return tuple(
            Meaning("sd", effects[col]) if row == col else Meaning("correlation", effects[col], effects[row])
            for row, col in self.places
        )
