"""The search for the minimum of a model with structured covariances (:mod:`pyimpl.likelihood.structured`).

It is over coordinates z in which there are no bounds. A criterion may have several minima over a correlation, so that
the search starts at several values of each.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyimpl.covariance.structures import Structure
from pyimpl.likelihood.local_search import least_gain
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.trust_region import APPROXIMATE, minimise

__all__ = ["StructuredMinimum", "lowest", "starting_points"]

_CORRELATIONS = (0.7, -0.7)  # where searches start besides 0: shares of the way to the bounds
_NOTHING = 1e-8  # standard deviations and distances of correlations from their bounds that are rounding errors
_SNAP = 2e-3  # standard deviations, in natural units, that are tried at 0


@dataclass(frozen=True)
class StructuredMinimum:
    """Where a search over the parameters of covariance structures ended.

    Attributes
    ----------
    par, start : ndarray, shape (n_par,)
        Parameters at the minimum, and those that the search started from.
    value, initial : float
        The criterion at both.
    code : int
        0 converged, 1 budget spent, 2 no further progress.
    trace : ndarray, shape (steps, 3)
        Evaluations so far, value (without the criterion's constant), largest element of the gradient of each step down.
    """

    par: np.ndarray
    start: np.ndarray
    value: float
    initial: float
    code: int
    trace: np.ndarray


def starting_points(structure: Structure, units: np.ndarray) -> list[np.ndarray]:
    """lme4's start, and others: standard deviations in natural units, correlations on both sides of 0."""
    first = structure.start
    points = [first, first * np.where(structure.powers > 0, units, 1.0)]
    middle = structure.powers == 0  # correlations
    if middle.any():
        for share in _CORRELATIONS:
            bound = structure.upper if share > 0 else -structure.lower
            for point in points[:2]:
                moved = point.copy()
                moved[middle] = share * bound[middle]
                points.append(moved)
    return [point for i, point in enumerate(points) if not any(np.array_equal(point, one) for one in points[:i])]


def lowest(
    objective: Objective,
    starts: Sequence[np.ndarray],
    units: np.ndarray,
    budget: int,
    on_step: Callable[[int, float], None] | None = None,
) -> StructuredMinimum:
    """The lowest of the minima to which searches from these parameters lead.

    Parameters
    ----------
    objective : Objective
        Of a model with a structure.
    starts : sequence of ndarray, shape (n_par,)
    units : ndarray, shape (n_par,)
        Natural unit of each parameter.
    budget : int
        Evaluations over one start.
    on_step : callable, optional
        Called after each start with the evaluations so far and the criterion.

    Raises
    ------
    FloatingPointError
        The criterion cannot be computed from any start.
    """
    best: StructuredMinimum | None = None
    for start in starts:
        found = _settled(objective, _search(objective, start, units, budget), units, budget)
        if best is None or not found.value >= best.value - least_gain(best.value):
            best = found
        if on_step is not None:
            on_step(objective.evaluations + objective.gradients, best.value)
    if best is None or not math.isfinite(best.value):
        raise FloatingPointError("it is infinite or not a number at every start")
    return best


def _search(objective: Objective, start: np.ndarray, units: np.ndarray, budget: int) -> StructuredMinimum:
    """Where one search ends."""
    structure = objective.blocks.structure
    assert structure is not None
    engine = objective.engine.in_coordinates()
    scale = units**structure.powers
    trace: list[tuple[float, float, float]] = []

    def function(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        objective.gradients += 1
        value = engine.criterion(x * scale, 2)
        gradient = engine.gradient * scale
        if not trace or value < trace[-1][1]:
            trace.append((len(trace) + 1.0, value, float(np.abs(gradient).max(initial=0.0))))
        return value, gradient, engine.hessian * np.outer(scale, scale)

    x, value, code = minimise(function, structure.coordinates(start) / scale, budget, APPROXIMATE)
    par = structure.parameters(x * scale)
    return StructuredMinimum(
        _on_bounds(structure, par, units),
        start,
        value + objective.constant,
        trace[0][1] + objective.constant,
        code,
        np.array(trace),
    )


def _on_bounds(structure: Structure, par: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The parameters, those that miss a bound by rounding errors only put there."""
    near = np.where(structure.powers > 0, units, 1.0) * _NOTHING
    # a correlation's coordinate has its bound where it is even: the square of what is missed is missed in it
    near[structure.powers == 0] **= 2
    out = par.copy()
    for bound in (structure.lower, structure.upper):
        out = np.where(np.abs(out - bound) < near, bound, out)
    return out


def _settled(objective: Objective, point: StructuredMinimum, units: np.ndarray, budget: int) -> StructuredMinimum:
    """Put standard deviations that are nearly 0 exactly there, where the criterion is no higher for it."""
    structure = objective.blocks.structure
    assert structure is not None
    for k in np.flatnonzero(structure.can_vanish):
        if not 0.0 < point.par[k] < _SNAP * units[k]:
            continue
        start = point.par.copy()
        start[k] = 0.0
        trial = _search(objective, start, units, budget)
        if trial.par[k] == 0.0 and trial.value <= point.value + least_gain(point.value):
            point = replace(trial, start=point.start, initial=point.initial, trace=point.trace)
    return point
