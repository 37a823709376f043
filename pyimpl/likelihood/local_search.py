"""A search from one start, and what is done with the point where it ends.

The criterion is even in every column of a template: it is minimised without bounds, in coordinates θ / natural unit. A
minimum on the boundary is then put exactly there, and one at standard deviations so large that the criterion is noise
is pulled back to usual ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyimpl.likelihood.edges import (
    carries_others,
    drop_pivot,
    shortened,
    turn_to_covariances,
)
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import Factor
from pyimpl.likelihood.trust_region import TrustRegion

__all__ = [
    "SNAP",
    "Point",
    "at_zero",
    "better",
    "from_zero_if_lower",
    "has_pivot_below",
    "is_far",
    "is_noisy",
    "least_gain",
    "past_rounding",
    "pull_back",
    "put_on_boundary",
    "search",
    "with_positive_diagonals",
]

_EPS = float(np.finfo(float).eps)
SNAP = 2e-3  # diagonals of T below this (in units of the effect's root mean square) are tried at 0
_NOTHING = 1e-8  # ... and below this, whose square is lost beside 1, they are 0 whatever rounding says of the value
_REACHED = 1e-10  # columns below this, of a search that converges to 0, add nothing to the others' θ
_FAR = 1e3  # standard deviation, in natural units, from which coordinates are taken relative to it
_NEXT_TO = (-3e-7, -1e-7, -3e-8, 0.0, 3e-8, 1e-7, 3e-7)  # relative distances at which the criterion is the same
_DIP = 10.0  # spreads of the noise that a search may have found the bottom of
_STRIDES = (0.1, 0.03, 0.01)  # relative steps with which a search that stuck goes on
_MOST_STRIDES = 8  # times that it does
_EXACT = 1e5  # standard deviation, in natural units, of effects that fit the rows exactly or nearly so


def with_positive_diagonals(factors: Sequence[Factor], theta: np.ndarray) -> np.ndarray:
    """Flip the signs of the templates' columns so that no diagonal is negative (lme4's convention)."""
    values: list[float] = theta.tolist()
    if min(values, default=0.0) < 0:
        for factor in factors:
            turned = {c for r, c, i in factor.elements if r == c and values[i] < 0}
            for _, c, i in factor.elements:
                if c in turned:
                    values[i] = -values[i]
    return np.array(values) + 0.0  # no negative zeros


@dataclass
class Point:
    """A minimum in coordinates θ / units, with what is known there (scaled too).

    Attributes
    ----------
    x : ndarray, shape (n_theta,)
    value : float
    gradient : ndarray, shape (n_theta,)
    information : ndarray, shape (n_theta, n_theta)
    code : int
        0: converged; 1: too many evaluations; 2: no further progress though the gradient is not zero.
    trace : ndarray, shape (steps, 3)
        Accepted steps: evaluations so far, criterion, largest scaled gradient.
    initial : float
        The criterion at the start.
    prss : float
        r².
    """

    x: np.ndarray
    value: float
    gradient: np.ndarray
    information: np.ndarray
    code: int
    trace: np.ndarray
    initial: float
    prss: float


def search(
    objective: Objective, start: np.ndarray, units: np.ndarray, budget: int, work: TrustRegion, near: bool = True
) -> Point:
    """Minimise from `start` (scaled), which may be near the minimum.

    Where standard deviations have become so large that their differences' squares drown the others' in rounding, the
    search goes on in coordinates relative to them.
    """
    point = _searched(objective, start, units, budget, work, near)
    if math.isfinite(point.value) and is_noisy(point):
        larger = np.maximum(1.0, _row_deviations(objective.blocks.factors, point.x * units))
        again = _searched(objective, point.x / larger, units * larger, budget, work, True)
        if again.value <= point.value:
            point = replace(
                again,
                x=again.x * larger,
                gradient=again.gradient / larger,
                information=again.information / np.outer(larger, larger),
                initial=point.initial,
            )
    return point


def _row_deviations(factors: Sequence[Factor], theta: np.ndarray) -> np.ndarray:
    """Standard deviation, in natural units, of the effect that each θ belongs to: shape (n_theta,)."""
    out = np.zeros(theta.size)
    for factor in factors:
        out[factor.theta] = (np.sqrt((factor.template(theta) ** 2).sum(axis=1)) * factor.scale)[factor.rows]
    return out


def _searched(
    objective: Objective, start: np.ndarray, units: np.ndarray, budget: int, work: TrustRegion, near: bool
) -> Point:
    """Where one search ends."""
    initial = objective.search(start, units, budget, work, near)
    x, gradient, information, trace = work.found(objective.constant)
    return Point(x, work.value + objective.constant, gradient, information, work.code, trace, initial, objective.prss)


def has_pivot_below(limit: float, point: Point, pivots: Sequence[bool]) -> bool:
    """Whether some template has a diagonal element smaller than this, in natural units."""
    return any([pivot and abs(x) < limit for x, pivot in zip(point.x.tolist(), pivots, strict=True)])  # noqa: C419


def is_far(point: Point) -> bool:
    """Whether random effects fit the rows exactly, or nearly so."""
    return max(map(abs, point.x.tolist()), default=0.0) > _EXACT


def is_noisy(point: Point) -> bool:
    """Whether standard deviations are so large that a search may take rounding errors for the end of a slope."""
    return max(map(abs, point.x.tolist()), default=0.0) > _FAR


def least_gain(value: float) -> float:
    """Difference from this value of the criterion that is more than rounding leaves of sums of many terms."""
    return 256 * _EPS * max(1.0, abs(value))


def _rounding(point: Point) -> float:
    """Error that the criterion may have there, where it is flat: it grows with the variances."""
    return 64 * _EPS * max([1.0, abs(point.value), *[x * x for x in point.x.tolist()]])


def better(point: Point, best: Point) -> bool:
    """Whether a minimum is lower for certain, or as low but for rounding errors, which are smaller there."""
    noise, other = _rounding(point), _rounding(best)
    return not point.value >= best.value - noise or (100 * noise < other and point.value <= best.value + other)


def put_on_boundary(
    objective: Objective, units: np.ndarray, pivots: Sequence[bool], budget: int, work: TrustRegion, point: Point
) -> Point:
    """Put nearly zero pivots exactly at 0, with all of their column, where the criterion agrees.

    A variance that is 0 among others is no minimum where covariances with these would make the criterion fall.
    """
    factors = objective.blocks.factors
    inside: set[int] = set()  # θ that are no pivots at 0
    for _ in range(1 + sum(pivots)):  # a pass that moves something settles a pivot for good
        moved = False
        for factor in factors:
            for k, column, at in factor.elements:
                pivot = abs(point.x.item(at))
                if k != column or pivot >= SNAP or at in inside:
                    continue
                below = [i for _, c, i in factor.elements if c == k and i != at]
                at_zero_already = pivot == 0.0 and not any(point.x[i] for i in below)
                if at_zero_already and not below:  # nothing that it may covary with
                    continue
                theta = with_positive_diagonals(factors, point.x * units)
                dropped = drop_pivot(factor, theta, k)
                if carries_others(factor, dropped, k):
                    turned = turn_to_covariances(objective, factor, dropped, k)
                    trial = search(objective, turned / units, units, budget, work)
                    noise = least_gain(trial.value)
                    if trial.value < trial.initial - noise:
                        inside.add(at)
                        if trial.value < point.value - noise:
                            trial.initial, trial.trace = point.initial, point.trace
                            point, moved = trial, True
                        continue
                if at_zero_already:
                    continue
                trial = search(objective, dropped / units, units, budget, work)
                no_higher = trial.value <= point.value + least_gain(point.value)
                if trial.x[at] == 0.0 and (no_higher or pivot < _NOTHING):
                    trial.initial, trial.trace = point.initial, point.trace
                    point, moved = trial, True
        if not moved:
            break
    return point


def at_zero(objective: Objective, point: Point) -> Point:
    """The same point with columns at 0 that a search has brought there but for a last step.

    It takes no evaluation: the criterion is even in a column. Where every second refit is singular, refits take five
    sixths of the time.
    """
    for factor in objective.blocks.factors:
        for k in range(factor.p):
            own = [i for _, c, i in factor.elements if c == k]
            if max([abs(point.x.item(i)) for i in own], default=1.0) < _REACHED:
                point.x[own] = point.gradient[own] = 0.0
    return point


def pull_back(objective: Objective, units: np.ndarray, budget: int, work: TrustRegion, point: Point) -> Point:
    """End at standard deviations of the usual size where larger ones are no better but for rounding errors.

    So it is where random effects are confounded with fixed ones: the criterion is flat there, and at very large values
    it is noise, in which a search finds dips.
    """
    # no standard deviation is larger than the largest element times their number
    if max(map(abs, point.x.tolist()), default=0.0) * len(point.x) <= _FAR:
        return point
    theta = shortened(objective.blocks.factors, point.x * units, _FAR)
    if theta is None:
        return point
    trial = search(objective, theta / units, units, budget, work)
    if not trial.value <= point.value + _DIP * _measured_noise(objective, point.x * units):
        return point
    trial.initial, trial.trace = point.initial, point.trace
    return trial


def past_rounding(objective: Objective, units: np.ndarray, budget: int, work: TrustRegion, point: Point) -> Point:
    """Go on from where a search has stuck, by steps of one θ that are longer than the reach of rounding errors.

    At standard deviations of thousands σ a ridge may be so sharp across, and so flat along it, that the gradient along
    it is lost in the errors of that across; values a few percent away still tell up from down.
    """
    noise = _measured_noise(objective, point.x * units)
    if not math.isfinite(noise):
        return point
    for _ in range(_MOST_STRIDES):  # what the search finds from there may be another place where it sticks
        x = _strode(objective, units, point, 2.0 * noise)
        if x is None:
            break
        onward = search(objective, x, units, budget, work)
        if not onward.value < point.value:
            break
        onward.initial = point.initial
        point = onward
    return point


def _strode(objective: Objective, units: np.ndarray, point: Point, least: float) -> np.ndarray | None:
    """Where steps of one θ lead that each gain so much at least; None where there is none."""
    x, value = point.x.copy(), point.value
    for share in _STRIDES:
        moved = True
        while moved:
            moved = False
            for k in range(x.size):
                for factor in (1.0 + share, 1.0 - share):
                    trial = x.copy()
                    trial[k] *= factor
                    there = objective(trial * units) if abs(trial[k]) < _EXACT else math.inf
                    if there < value - least:
                        x, value, moved = trial, there, True
                        break
    return x if value < point.value else None


def _measured_noise(objective: Objective, theta: np.ndarray) -> float:
    """Spread of the criterion where θ differs by so little that all of it is rounding errors."""
    values = [objective(theta * (1.0 + step)) for step in _NEXT_TO]
    return max(values) - min(values) if all(map(math.isfinite, values)) else math.inf


def from_zero_if_lower(
    objective: Objective, units: np.ndarray, pivots: Sequence[bool], budget: int, work: TrustRegion, point: Point
) -> Point:
    """Of one θ that no scan has looked at: the minimum near 0 where that is lower than this one."""
    if point.x[0] == 0.0 or not objective(np.zeros(1)) < point.value:
        return point
    other = search(objective, np.zeros(1), units, budget, work)
    return put_on_boundary(objective, units, pivots, budget, work, other)
