"""The structures that there are, and those of a model's terms together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from pyimpl.covariance.autoregressive import Autoregressive
from pyimpl.covariance.base import Covariance
from pyimpl.covariance.compound_symmetry import CompoundSymmetry
from pyimpl.covariance.diagonal import Diagonal
from pyimpl.covariance.unstructured import Unstructured

__all__ = ["STRUCTURES", "Structure", "covariance_of"]

#: Name in formulas -> class.
STRUCTURES: dict[str, type[Covariance]] = {
    one.name: one for one in (Unstructured, Diagonal, CompoundSymmetry, Autoregressive)
}


def covariance_of(name: str, p: int, hom: bool | None = None) -> Covariance:
    """The covariance structure of a term.

    Parameters
    ----------
    name : {"us", "diag", "cs", "ar1"}
    p : int
        Effects of the term.
    hom : bool, optional
        Whether they have the same standard deviation; by default as in lme4.
    """
    one = STRUCTURES[name]
    return one(p, one.hom_default if hom is None else hom)


@dataclass(frozen=True)
class Structure:
    """The covariance structures of all terms: from the parameters of the model to the elements of Λ's templates.

    Attributes
    ----------
    covariances : tuple of Covariance
        By term.
    """

    covariances: tuple[Covariance, ...]

    @cached_property
    def _places(self) -> tuple[list[slice], list[slice]]:
        """Of each term: its parameters, and its elements."""
        pars = np.cumsum([0, *(one.n_par for one in self.covariances)]).tolist()
        elements = np.cumsum([0, *(len(one.places) for one in self.covariances)]).tolist()
        return (
            [slice(a, b) for a, b in pairwise(pars)],
            [slice(a, b) for a, b in pairwise(elements)],
        )

    @property
    def named(self) -> tuple[Covariance, ...]:
        """Those that are not unstructured."""
        return tuple(one for one in self.covariances if not isinstance(one, Unstructured))

    @property
    def slices(self) -> list[slice]:
        """Where each term's parameters stand."""
        return self._places[0]

    @property
    def n_par(self) -> int:
        """Number of parameters."""
        return sum(one.n_par for one in self.covariances)

    @property
    def n_elements(self) -> int:
        """Number of the templates' elements."""
        return sum(len(one.places) for one in self.covariances)

    @cached_property
    def lower(self) -> np.ndarray:
        """Lower bounds of the parameters."""
        return np.concatenate([one.lower for one in self.covariances])

    @cached_property
    def upper(self) -> np.ndarray:
        """Upper bounds of the parameters."""
        return np.concatenate([one.upper for one in self.covariances])

    @cached_property
    def start(self) -> np.ndarray:
        """Where lme4's search starts."""
        return np.concatenate([one.start for one in self.covariances])

    def units(self, scales: Sequence[np.ndarray]) -> np.ndarray:
        """Natural unit of each parameter, from the root mean squares of each term's columns."""
        return np.concatenate([one.units(scale) for one, scale in zip(self.covariances, scales, strict=True)])

    @cached_property
    def can_vanish(self) -> np.ndarray:
        """Which parameters are standard deviations by themselves, whatever the others are: shape (n_par,), bool."""
        return np.concatenate(
            [(one.lower == 0.0) & (not one.linear or one.p == 1 or one.name == "diag") for one in self.covariances]
        )

    @cached_property
    def powers(self) -> np.ndarray:
        """See :attr:`Covariance.powers`."""
        return np.concatenate([one.powers for one in self.covariances])

    def _by_term(self, values: np.ndarray, what: str) -> np.ndarray:
        return np.concatenate(
            [getattr(one, what)(values[at]) for one, at in zip(self.covariances, self._places[0], strict=True)]
        )

    def elements(self, par: np.ndarray) -> np.ndarray:
        """Elements of the templates at the parameters, shape (n_elements,)."""
        return self._by_term(par, "elements")

    def theta(self, par: np.ndarray) -> np.ndarray:
        """lme4's θ at the parameters."""
        return self._by_term(par, "theta")

    def coordinates(self, par: np.ndarray) -> np.ndarray:
        """The search's coordinates of the parameters."""
        return self._by_term(np.asarray(par, dtype=float), "coordinates")

    def parameters(self, z: np.ndarray) -> np.ndarray:
        """The parameters at the search's coordinates."""
        return self._by_term(z, "parameters")

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative of each parameter by its coordinate."""
        pairs = [one.slopes(z[at]) for one, at in zip(self.covariances, self._places[0], strict=True)]
        return np.concatenate([first for first, _ in pairs]), np.concatenate([second for _, second in pairs])

    def from_theta(self, theta: np.ndarray) -> np.ndarray:
        """Parameters of lme4's θ."""
        out, at = [], 0
        for one in self.covariances:
            count = max(one.theta_index, default=-1) + 1
            out.append(one.from_theta(theta[at : at + count]))
            at += count
        return np.concatenate(out)

    def distance(self, par: np.ndarray) -> float:
        """From the nearest boundary."""
        return min(one.distance(par[at]) for one, at in zip(self.covariances, self._places[0], strict=True))

    def inside(self, par: np.ndarray, margin: float) -> np.ndarray:
        """The parameters, correlations at most as near to their bounds as a share of the way between them."""
        low, high = self.lower, self.upper
        correlation = self.powers == 0
        room = np.where(correlation, margin * (np.where(correlation, high, 1.0) - low), 0.0)
        return np.where(correlation, np.clip(par, low + room, high - room), par)

    def element_values(self, z: np.ndarray) -> np.ndarray:
        """Elements of the templates at the search's coordinates, shape (n_elements,)."""
        return np.concatenate(
            [one.expand(z[at]).elements for one, at in zip(self.covariances, self._places[0], strict=True)]
        )

    def chain(
        self, z: np.ndarray, gradient: np.ndarray, hessian: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Derivatives by the search's coordinates, from those by the templates' elements: J'g, J'HJ + Σ g_k ∂²T_k."""
        J = np.zeros((self.n_elements, self.n_par))
        curvature = np.zeros((self.n_par, self.n_par))
        for one, par, at in zip(self.covariances, *self._places, strict=True):
            expansion = one.expand(z[par])
            J[at, par] = expansion.jacobian
            if hessian is not None:
                curvature[par, par] = np.tensordot(gradient[at], expansion.second, 1)
        return J.T @ gradient, None if hessian is None else J.T @ hessian @ J + curvature
