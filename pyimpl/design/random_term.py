"""A random-effects term, ready for the algebra."""

from dataclasses import dataclass

import numpy as np

from pyimpl.covariance.base import Covariance
from pyimpl.covariance.unstructured import Unstructured

__all__ = ["RandomTerm"]


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term ``(lhs | group)``, ready for the algebra.

    Attributes
    ----------
    group : str
        Name of the grouping factor as R shows it: ``school``, ``batch:cask``.
    effects : tuple of str
        R's column names of the left-hand side's model matrix (``cnms``), length p.
    levels : tuple of str
        Level labels in R's order (only levels that occur in the rows used), length J.
    codes : ndarray of intp, shape (N,)
        Level of each row, 0-based.
    columns : ndarray of float64, shape (N, p)
        Model matrix of the left-hand side. ``Z_ij = columns[i]`` at level ``codes[i]``; effects fastest in q.
    label : str
        The term as lme4 shows it: ``1 + female | school``.
    structured : Covariance or None
        Its covariance structure, where it is not ``us``.
    """

    group: str
    effects: tuple[str, ...]
    levels: tuple[str, ...]
    codes: np.ndarray
    columns: np.ndarray
    label: str = ""
    structured: Covariance | None = None

    @property
    def covariance(self) -> Covariance:
        """Its covariance structure."""
        return Unstructured(self.p) if self.structured is None else self.structured

    @property
    def p(self) -> int:
        """Number of effects per level."""
        return len(self.effects)

    @property
    def J(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def theta_names(self) -> tuple[str, ...]:
        """Names of the term's part of θ, column-major lower triangle (lme4's ``tnames``)."""
        return tuple(f"{self.group}.{name}" for name in self.covariance.theta_names(self.effects))

    @property
    def par_names(self) -> tuple[str, ...]:
        """Names of the term's parameters, which are θ unless its covariances are structured (``getParNames``)."""
        return tuple(f"{self.group}.{name}" for name in self.covariance.par_names(self.effects))
