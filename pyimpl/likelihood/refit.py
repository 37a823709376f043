"""Refits of one model to many responses: what the response does not enter is used again.

A search starts at another fit's minimum, so that there are few evaluations, and what is said about a fit (whether it is
singular, whether it converged) follows from numbers that the search has anyway. All else is made when it is asked for.
"""

import math
from dataclasses import dataclass
from threading import Lock

import numpy as np

from pyimpl.design.design import Design
from pyimpl.likelihood.local_search import Point
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import search_from
from pyimpl.likelihood.optsummary import OptSummary, outcome
from pyimpl.likelihood.reduce import Reduced
from pyimpl.likelihood.responses import Responses
from pyimpl.likelihood.starts import natural_units
from pyimpl.likelihood.trust_region import TrustRegion

__all__ = ["Minimum", "Refits"]


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where a search ended, as numbers.

    Attributes
    ----------
    point : Point
    start : ndarray, shape (n_theta,)
        θ it started from.
    evaluations : int
    square : float
        Σy².
    least_pivot : float
        Smallest diagonal element of the templates, +inf where there is none.
    largest : float
        Largest element of θ, in its natural unit.
    """

    point: Point
    start: np.ndarray
    evaluations: int
    square: float
    least_pivot: float
    largest: float

    @property
    def code(self) -> int:
        """``OptSummary.return_code``."""
        return self.point.code

    @property
    def value(self) -> float:
        """The criterion."""
        return self.point.value

    @property
    def prss(self) -> float:
        """r²."""
        return self.point.prss

    def plain_derivatives(self, units: list[float]) -> tuple[list[float], np.ndarray]:
        """Gradient, and the Hessian (n_theta, n_theta) or its approximation, in θ but for the signs of columns."""
        gradient, hessian = self.point.gradient, self.point.information
        if len(units) == 1:
            return [float(gradient[0]) / units[0]], hessian / units[0] ** 2
        scale = np.array(units)
        return (gradient / scale).tolist(), hessian / scale / scale[:, None]

    def summary(self, objective: Objective, budget: int) -> OptSummary:
        """Everything about the search, `objective` being what was minimised."""
        count = self.evaluations
        return outcome(objective, self.point, self.start, natural_units(objective.blocks), budget, count, count)


class Refits:
    """A model, to be fitted to many responses; threads may share it.

    Parameters
    ----------
    design : Design
    blocks : Reduced
        Of that design.
    objective : Objective
        Of these blocks.

    Attributes
    ----------
    design : Design
    blocks : Reduced
    responses : Responses
    units : list of float
        Natural unit of each θ.
    df : float
        n, or n − p.
    """

    def __init__(self, design: Design, blocks: Reduced, objective: Objective) -> None:
        self.design, self.blocks, self.responses = design, blocks, Responses(design, blocks)
        self._of = objective
        self._units = natural_units(blocks)
        self.units: list[float] = self._units.tolist()
        self._pivots: list[bool] = (blocks.lower == 0.0).tolist()
        self.df = objective.df
        self._own = self.responses.copies()
        self._objective = Objective(self._own, objective.REML, merging=False)
        self._region = TrustRegion(blocks.n_theta)
        self._lock = Lock()

    def __reduce__(self) -> tuple[type["Refits"], tuple[Design, Reduced, Objective]]:
        # its arrays are as large as the data, and quickly made again
        return Refits, (self.design, self.blocks, self._of)

    def minimum(self, y: np.ndarray, start: np.ndarray, budget: int) -> Minimum | None:
        """Search for the minimum for one response.

        Parameters
        ----------
        y : ndarray of float, shape (N,), contiguous
        start : ndarray, shape (n_theta,)
            θ, said to be near the minimum.
        budget : int
            Evaluations of the criterion.

        Returns
        -------
        Minimum or None
            None where the response is not finite, or the criterion is not. Its code may be 2: another start may lead
            farther.
        """
        with self._lock:
            objective = self._objective
            square = float(self.responses.put(y, self._own))
            if not math.isfinite(square):
                return None
            before = objective.gradients
            point = search_from(objective, start, self._units, self._pivots, budget, self._region)
            count = objective.gradients - before
        if not math.isfinite(point.value):
            return None
        structure = self.blocks.structure
        if structure is not None:
            theta = point.x * self._units
            sizes = np.abs(point.x[structure.powers > 0])
            return Minimum(point, start, count, square, structure.distance(theta), float(sizes.max(initial=0.0)))
        x = [abs(one) for one in point.x.tolist()]
        pivots = [one * unit for one, unit, pivot in zip(x, self.units, self._pivots, strict=True) if pivot]
        return Minimum(point, start, count, square, min(pivots, default=math.inf), max(x))
