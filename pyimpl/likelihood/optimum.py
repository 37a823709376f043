"""Minimise the profiled criterion over θ: a trust-region Newton method with the analytic gradient.

The criterion depends on a template T only through TT', so it is even in every column of T. It is therefore minimised
without bounds, and the columns' signs are set afterwards so that diagonals are not negative (lme4's convention). A
minimum on the boundary (TT' singular) is an ordinary minimum of the even function at T_kk = 0, which Newton's method
reaches fast; it is then put exactly on the boundary, and stays there only if the criterion is no higher and has no
descending direction there (the KKT conditions for TT' positive semidefinite).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pyimpl.design.design import Design
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.likelihood.cost import CHEAP, derivative_operations
from pyimpl.likelihood.exact_fit import fits_exactly
from pyimpl.likelihood.local_search import (
    SNAP,
    Point,
    at_zero,
    better,
    from_zero_if_lower,
    has_pivot_below,
    is_far,
    is_noisy,
    least_gain,
    past_rounding,
    pull_back,
    put_on_boundary,
    search,
)
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optsummary import STOPPED, OptSummary, outcome
from pyimpl.likelihood.starts import Starts, natural_units
from pyimpl.likelihood.structured_search import StructuredMinimum, lowest, starting_points
from pyimpl.likelihood.trust_region import STUCK, TrustRegion
from pyimpl.linalg.memory import in_words, memory
from r_scripts.caller import warn

__all__ = ["optimize", "search_from"]

_LARGE = 50  # parameters from which their number may fill the memory
_MATRICES = 12  # of second derivatives, in a search and its reports
_EVALUATIONS = 30  # of a usual search, besides one for each parameter
_SPEED = 1e9  # operations a second of compiled loops
_LONG = 120.0  # seconds that deserve a warning


def optimize(
    objective: Objective,
    starts: Sequence[np.ndarray] | None = None,
    max_evaluations: int = 5000,
    on_step: Callable[[int, float], None] | None = None,
    design: Design | None = None,
) -> OptSummary:
    """Minimise the objective over θ.

    Parameters
    ----------
    objective : Objective
    starts : sequence of ndarray, optional
        θ to start from; the best minimum counts. Default: lme4's start, and, where evaluations are cheap and another
        minimum may be missed, the identity in units of the effects' root mean squares or a tenth of it.
    max_evaluations : int
        Over one start.
    on_step : callable, optional
        Called after each start with the evaluations so far and the objective.
    design : Design, optional
        The objective's. Without `starts` the search then begins where means of random effects may be carried by
        variances, too: see :mod:`pyimpl.likelihood.omitted`.

    Returns
    -------
    OptSummary
    """
    _warn_if_long(objective)
    whole = design
    if objective.blocks.structure is not None:
        units = natural_units(objective.blocks)
        return _optimize_structured(objective, starts, units, max_evaluations, on_step, whole)
    if design is not None and design.structure is not None:
        design = None  # what carries a mean there is an unstructured covariance matrix
    plan = (
        Starts.of(objective, design, lambda wider: optimize(wider).final)
        if starts is None
        else Starts.given(objective, starts)
    )
    work = TrustRegion(objective.blocks.n_theta)
    best: tuple[Point, np.ndarray] | None = None
    inside: tuple[Point, np.ndarray] | None = None  # the best that is not far
    exact: bool | None = None  # whether the effects fit the rows exactly, which is asked where a search has gone far
    while plan.to_try or plan.near:
        near_one = not plan.to_try
        start = plan.near.pop(0) if near_one else plan.to_try.pop(0)
        point = search(objective, start / plan.units, plan.units, max_evaluations, work, near_one or not plan.chosen)
        point = put_on_boundary(objective, plan.units, plan.pivots, max_evaluations, work, point)
        point = pull_back(objective, plan.units, max_evaluations, work, point)
        if plan.chosen and plan.single and plan.grid is None:
            point = from_zero_if_lower(objective, plan.units, plan.pivots, max_evaluations, work, point)
        if exact is None and is_far(point) and math.isfinite(point.value) and not plan.endless:
            exact = whole is not None and fits_exactly(whole)
            if exact:
                best = (point, start)
                break
        if best is None or better(point, best[0]):
            best = (point, start)
        if not is_far(point) and (inside is None or better(point, inside[0])):
            inside = (point, start)
        if on_step is not None:
            on_step(objective.evaluations + objective.gradients, best[0].value)
        plan.extend(objective, design, point, start, max_evaluations)
    assert best is not None
    if (best[0].code == STUCK or is_noisy(best[0])) and not is_far(best[0]):
        best = (past_rounding(objective, plan.units, max_evaluations, work, best[0]), best[1])
    if not math.isfinite(best[0].value):
        raise FloatingPointError("it is infinite or not a number at every start")
    count, gradients = objective.evaluations + objective.gradients, objective.gradients
    local = None
    if inside is not None and (plan.endless or is_far(best[0])) and not exact:
        local = replace(outcome(objective, *inside, plan.units, max_evaluations, count, gradients), unbounded=True)
    if local is not None and plan.endless:
        return local
    summary = outcome(objective, *best, plan.units, max_evaluations, count, gradients)
    if plan.endless or exact:
        return _without_end(summary)
    return summary if local is None else replace(summary, local=local)


def _without_end(summary: OptSummary) -> OptSummary:
    """The summary of a search that has gone on and on, since the criterion has no lowest value."""
    return replace(summary, unbounded=True, return_code=STUCK, message=STOPPED)


def search_from(
    objective: Objective,
    start: np.ndarray,
    units: np.ndarray,
    pivots: Sequence[bool],
    budget: int,
    work: TrustRegion,
) -> Point:
    """Search from one start, said to be near the minimum, and put what is nearly 0 exactly there.

    Exact Newton steps from a start near the boundary may end there though another minimum inside is lower: it is
    looked for, too.

    Parameters
    ----------
    objective : Objective
    start, units : ndarray, shape (n_theta,)
        θ, and the natural unit of each.
    pivots : sequence of bool
        Which θ are diagonal elements.
    budget : int
        Evaluations of the criterion.
    work : TrustRegion
    """
    if objective.blocks.structure is not None:
        return _structured_point(objective, lowest(objective, [start], units, budget), units)
    point = search(objective, start / units, units, budget, work)
    if has_pivot_below(SNAP, point, pivots):
        point = put_on_boundary(objective, units, pivots, budget, work, at_zero(objective, point))
        if objective.exact_hessian:
            other = search(objective, np.ones(start.size), units, budget, work)
            if other.value < point.value - least_gain(point.value):
                other.initial = point.initial
                point = put_on_boundary(objective, units, pivots, budget, work, other)
    return point


def _warn_if_long(objective: Objective) -> None:
    """Say before it starts that a search over many parameters will take minutes; refuse one that memory cannot hold.

    Of several factors :func:`~pyimpl.likelihood.reduce.reduce_design` has said it.
    """
    blocks = objective.blocks
    n = blocks.n_theta
    what = f"the random-effects terms have {n} variances and correlations"
    if n > _LARGE and 8 * _MATRICES * float(n) ** 2 > memory():
        raise ModelError(
            f"{what}; their second derivatives need {in_words(8 * _MATRICES * float(n) ** 2)} of memory, and the "
            f"machine has {in_words(memory())} for a fit. Take effects out of a term, or write (x || g)"
        )
    cost = derivative_operations(blocks)
    seconds = (_EVALUATIONS + n) * cost / _SPEED
    if seconds > _LONG and blocks.outer is None:
        warn(
            f"this fit may take about {max(1.0, seconds / 60):.0f} minutes: {what}, and each of some "
            f"{_EVALUATIONS + n} evaluations takes {cost:.1g} operations",
            PyimplWarning,
        )


def _optimize_structured(
    objective: Objective,
    starts: Sequence[np.ndarray] | None,
    units: np.ndarray,
    budget: int,
    on_step: Callable[[int, float], None] | None,
    design: Design | None,
) -> OptSummary:
    """:func:`optimize` for a model with covariance structures."""
    structure = objective.blocks.structure
    assert structure is not None
    places = starting_points(structure, units) if starts is None else [np.array(one, dtype=float) for one in starts]
    if starts is None and derivative_operations(objective.blocks) > CHEAP:
        # lme4's, and the lowest of the others
        places = [places[0], min(places[1:], key=objective)] if len(places) > 1 else places
    found = lowest(objective, places, units, budget, on_step)
    point = _structured_point(objective, found, units)
    evaluations = objective.evaluations + objective.gradients
    summary = outcome(objective, point, found.start, units, budget, evaluations, objective.gradients)
    endless = design is not None and is_far(point) and fits_exactly(design)
    return _without_end(summary) if endless else summary


def _structured_point(objective: Objective, found: StructuredMinimum, units: np.ndarray) -> Point:
    """A minimum over the parameters of covariance structures, with its derivatives, which are not there on a bound."""
    _, gradient, information = objective.value_gradient_hessian(found.par)
    return Point(
        found.par / units,
        found.value,
        gradient * units,
        information * np.outer(units, units),
        found.code,
        found.trace + np.array([0.0, objective.constant, 0.0]),
        found.initial,
        objective.prss,
    )
