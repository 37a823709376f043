"""What a covariance structure says: Λ's template of one term as a function of few parameters (lme4 2.0's ``par``).

Bates et al. (2015) have Λ's template T with all elements of its lower triangle free. A structure has T = T(par), with
``par`` standard deviations relative to σ and correlations, within bounds. A search wants no bounds: it works in
coordinates z, one for each parameter, in which the parameters' space has no end and T is smooth, on the boundary too,

    par_k = z_k           elements of T, in each column of which the criterion is even;
    par_k = z_k²          standard deviations in which it is not, since their signs would be those of correlations;
    ρ = c + h sin z       a correlation between c − h and c + h.

A minimum on the boundary is an ordinary minimum in z. lme4 searches over ``par`` within its bounds instead.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

__all__ = ["Covariance", "Expansion", "Meaning"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a parameter on the scale of profiles and intervals is (lme4's ``getProfPar``).

    Attributes
    ----------
    quantity : {"sd", "correlation"}
    term : str
        The effect; ``*`` for all effects of the term, ``rho`` for a correlation of all of them.
    term2 : str
        Second effect of a correlation of two.
    """

    quantity: str
    term: str
    term2: str = ""


@dataclass(frozen=True, slots=True)
class Expansion:
    """T's elements as functions of the search's coordinates, to second order.

    Attributes
    ----------
    elements : ndarray, shape (m,)
    jacobian : ndarray, shape (m, n_par)
    second : ndarray, shape (m, n_par, n_par)
    """

    elements: np.ndarray
    jacobian: np.ndarray
    second: np.ndarray


@dataclass(frozen=True, slots=True)
class Covariance(ABC):
    """The covariance structure of a term of p effects a level.

    Attributes
    ----------
    p : int
        Effects of the term.
    hom : bool
        Whether all effects have the same standard deviation.
    """

    p: int
    hom: bool = False

    #: As in formulas: ``us``, ``diag``, ``cs``, ``ar1``.
    name: ClassVar[str]
    #: Whether `hom` can be chosen.
    has_hom: ClassVar[bool] = True
    #: What it is where nothing is said.
    hom_default: ClassVar[bool] = False

    # -- the template ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def places(self) -> tuple[tuple[int, int], ...]:
        """Row and column of each element of T that may be other than 0, by columns."""

    @property
    def linear(self) -> bool:
        """Whether the elements of T are the parameters themselves, each by itself."""
        return False

    @property
    @abstractmethod
    def theta_index(self) -> tuple[int, ...]:
        """Which of lme4's θ each element of T is: θ has elements that are equal for all parameters once."""

    @abstractmethod
    def expand(self, z: np.ndarray) -> Expansion:
        """T's elements and their derivatives at the search's coordinates z, shape (n_par,)."""

    def elements(self, par: np.ndarray) -> np.ndarray:
        """T's elements at the parameters, shape (m,)."""
        return self.expand(self.coordinates(par)).elements

    def theta(self, par: np.ndarray) -> np.ndarray:
        """lme4's θ: T's different elements, by columns."""
        elements, index = self.elements(par), self.theta_index
        first = [index.index(k) for k in range(max(index, default=-1) + 1)]
        return elements[first]

    def from_theta(self, theta: np.ndarray) -> np.ndarray:
        """Parameters of lme4's θ (``setTheta``), shape (n_par,)."""
        T = np.zeros((self.p, self.p))
        for k, (row, col) in enumerate(self.places):
            T[row, col] = theta[self.theta_index[k]]
        return self.from_covariance(T @ T.T)

    @abstractmethod
    def from_covariance(self, covariance: np.ndarray) -> np.ndarray:
        """Parameters of a covariance matrix over σ², shape (p, p), that has the structure."""

    # -- the parameters ----------------------------------------------------------------------------

    @property
    @abstractmethod
    def n_par(self) -> int:
        """Number of parameters."""

    @property
    @abstractmethod
    def start(self) -> np.ndarray:
        """Where lme4's search starts: standard deviations of σ, no correlation."""

    @property
    @abstractmethod
    def lower(self) -> np.ndarray:
        """Lower bounds of the parameters."""

    @property
    def upper(self) -> np.ndarray:
        """Upper bounds of the parameters."""
        return np.full(self.n_par, math.inf)

    @abstractmethod
    def units(self, scale: np.ndarray) -> np.ndarray:
        """Natural unit of each parameter, from the root mean squares of the effects' columns, shape (p,)."""

    @abstractmethod
    def distance(self, par: np.ndarray) -> float:
        """Distance from the boundary, which ``isSingular`` compares with its tolerance."""

    # -- the search's coordinates ------------------------------------------------------------------

    def coordinates(self, par: np.ndarray) -> np.ndarray:
        """The search's coordinates z of the parameters."""
        return np.array(par, dtype=float)

    def parameters(self, z: np.ndarray) -> np.ndarray:
        """The parameters at the search's coordinates."""
        return np.array(z, dtype=float)

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative of each parameter by its coordinate."""
        return np.ones(self.n_par), np.zeros(self.n_par)

    @property
    def powers(self) -> np.ndarray:
        """How each coordinate goes with the standard deviations' unit: as its power 1, ½, or 0 (a correlation's)."""
        return np.ones(self.n_par)

    # -- words -------------------------------------------------------------------------------------

    @abstractmethod
    def par_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the parameters in ``getME(m, "par")``, without the group."""

    @abstractmethod
    def theta_names(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """Names of lme4's θ, without the group."""

    @abstractmethod
    def meanings(self, effects: tuple[str, ...]) -> tuple[Meaning, ...]:
        """What profiles and intervals are of: a standard deviation or a correlation for each parameter."""

    @property
    def rows_printed(self) -> int:
        """Rows of the term in the printed table of variances."""
        return self.p

    @property
    def printed(self) -> str:
        """What is printed beside them: ``"matrix"`` of correlations, ``"none"``, or one with the structure's name."""
        return "matrix"


def triangle(p: int) -> tuple[tuple[int, int], ...]:
    """Row and column of the elements of a lower triangle, by columns."""
    return tuple((row, col) for col in range(p) for row in range(col, p))


def triangle_names(effects: tuple[str, ...]) -> tuple[str, ...]:
    """lme4's names of these elements: ``x`` on the diagonal, ``x2.x1`` below."""
    return tuple(effects[row] + (f".{effects[col]}" if row != col else "") for row, col in triangle(len(effects)))
