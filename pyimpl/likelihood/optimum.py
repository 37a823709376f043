"""Minimise the profiled criterion over θ: a trust-region Newton method with the analytic gradient.

The criterion depends on a template T only through TT', so it is even in every column of T. It is therefore minimised
without bounds, and the columns' signs are set afterwards so that diagonals are not negative (lme4's convention). A
minimum on the boundary (TT' singular) is an ordinary minimum of the even function at T_kk = 0, which Newton's method
reaches fast; it is then put exactly on the boundary, and stays there only if the criterion is no higher and has no
descending direction there (the KKT conditions for TT' positive semidefinite).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pyimpl.design.design import Design
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.likelihood.edges import boundary_starts, drop_pivot, falls_without_end, shortened
from pyimpl.likelihood.grid_starts import Valleys, deviations, find_valleys, near
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.omitted import omitted_starts, spread_starts
from pyimpl.likelihood.reduce import Factor, Reduced
from pyimpl.likelihood.structured import StructuredMinimum, lowest, starting_points
from pyimpl.likelihood.trust_region import TrustRegion
from pyimpl.linalg.memory import in_words, memory
from pyimpl.records import changed, record
from r_scripts.caller import warn

__all__ = [
    "CHEAP",
    "SNAP",
    "OptSummary",
    "Point",
    "default_start",
    "derivative_operations",
    "natural_units",
    "operations",
    "optimize",
    "outcome",
    "search_from",
]

_EPS = float(np.finfo(float).eps)
_NOTHING = 1e-8  # ... and below this, whose square is lost beside 1, they are 0 whatever rounding says of the value
SNAP = 2e-3  # diagonals of T below this (in units of the effect's root mean square) are tried at 0
CHEAP = 3e6  # floating-point operations of an evaluation up to which a second start is tried where it may matter
_FREE = 3e5  # ... and up to which it is tried anyway
_SPREAD = 12  # starts of all sizes besides, where evaluations are cheap
_SIZES = 50.0  # a third of the largest standard deviation, in natural units, that these begin with
_FEW_LEVELS = 5  # levels for each parameter of a covariance matrix, below which the criterion may have several minima
_DEAR_STARTS = 2  # starts at most, the lowest, where variances may carry means and an evaluation takes more than that
_LARGE = 50  # parameters from which their number may fill the memory
_STEP = 10.0  # operations of an eigendecomposition, for each parameter's cube
_MATRICES = 12  # of second derivatives, in a search and its reports
_EVALUATIONS = 30  # of a usual search, besides one for each parameter
_SPEED = 1e9  # operations a second of compiled loops
_LONG = 120.0  # seconds that deserve a warning
_FAR = 1e3  # standard deviation, in natural units, from which coordinates are taken relative to it
_NEXT_TO = (-3e-7, -1e-7, -3e-8, 0.0, 3e-8, 1e-7, 3e-7)  # relative distances at which the criterion is the same
_DIP = 10.0  # spreads of the noise that a search may have found the bottom of
_EXACT = 1e5  # standard deviation, in natural units, of effects that fit the rows exactly or nearly so
_FEW_DEGREES = 10  # residual degrees of freedom for each variance, below which the criterion may have several minima
_OVERHEAD = 1500.0  # operations that take as long as what an evaluation takes whatever its size; of few rows more of
# them are worth it
_EDGE = 0.05  # pivots below this (in the same units) are near enough to the boundary for it to matter
_MESSAGES = ("converged", "stopped after {budget} evaluations", "no further progress along the gradient")


@record
class OptSummary:
    """How the optimisation went.

    Attributes
    ----------
    initial, final : ndarray, shape (n_theta,)
        θ at the start that led to the minimum, and at the minimum.
    initial_objective, final_objective : float
    evaluations : int
        Evaluations of the objective, with or without gradient, over all starts.
    gradients : int
        How many of them computed the gradient.
    return_code : int
        0: converged; 1: too many evaluations; 2: no further progress though the gradient is not zero.
    message : str
    gradient : ndarray, shape (n_theta,)
        At the minimum, in lme4's θ.
    information : ndarray, shape (n_theta, n_theta)
        The Hessian at the minimum, in lme4's θ, where there is one grouping factor; else the average information
        corrected by the search's last steps, which is close to it.
    prss : float
        r² at the winning search's last evaluation, which is the minimum to rounding.
    boundary : tuple of int
        Positions of θ that are 0 because the minimum is on the boundary.
    objective : Objective, optional
        What was minimised.
    steps : ndarray, shape (n_theta,), optional
        Natural unit of each θ, for differences.
    trace : ndarray, shape (steps, 3), optional
        See :attr:`log`.
    unbounded : bool
        Whether the criterion falls on as variances grow, since the random effects fit all of few rows exactly: then
        this is a local minimum.
    local : OptSummary, optional
        The best minimum at usual variances, where the lowest is at ones that leave the criterion few digits.
    """

    initial: np.ndarray
    final: np.ndarray
    initial_objective: float
    final_objective: float
    evaluations: int
    gradients: int
    return_code: int
    message: str
    gradient: np.ndarray
    information: np.ndarray
    prss: float = math.nan
    boundary: tuple[int, ...] = ()
    objective: Objective | None = field(default=None, repr=False, compare=False)
    steps: np.ndarray | None = field(default=None, repr=False, compare=False)
    trace: np.ndarray | None = field(default=None, repr=False, compare=False)
    unbounded: bool = False
    local: "OptSummary | None" = field(default=None, repr=False, compare=False)

    @cached_property
    def hessian(self) -> np.ndarray:
        """At the minimum, in lme4's θ: shape (n_theta, n_theta). Computed when first asked for."""
        if self.objective is None or self.steps is None or self.objective.exact_hessian:
            return self.information
        from pyimpl.linalg.threads import one_blas_thread

        with one_blas_thread():
            return self.objective.hessian(self.final, 1e-5 * np.maximum(self.steps, np.abs(self.final)))

    @property
    def smallest_eigenvalue(self) -> float:
        """Of the Hessian in units of the effects' root mean squares."""
        if self.steps is None or not self.final.size:
            return 0.0
        return float(np.linalg.eigvalsh(self.hessian * np.outer(self.steps, self.steps))[0])

    @property
    def log(self) -> tuple[tuple[int, float, float], ...]:
        """Accepted steps of the winning start: evaluations so far, objective, largest scaled gradient."""
        if self.trace is None:
            return ()
        return tuple((int(count), float(value), float(worst)) for count, value, worst in self.trace)

    @property
    def converged(self) -> bool:
        """Whether the optimizer ended at a minimum."""
        return self.return_code == 0


def _has_few_levels(blocks: Reduced) -> bool:
    """Whether some covariance matrix has few levels for its parameters."""
    return any(_FEW_LEVELS * factor.theta.size > factor.J for factor in blocks.factors)


def default_start(blocks: Reduced) -> np.ndarray:
    """lme4's start: every template the identity matrix."""
    if blocks.structure is not None:
        return blocks.structure.start.copy()
    return (blocks.lower == 0.0).astype(float)


def natural_units(blocks: Reduced) -> np.ndarray:
    """Natural unit of each θ: the inverse root mean square of the effect's column."""
    if blocks.structure is not None:
        return blocks.structure.units(_scales(blocks))
    units = [0.0] * blocks.n_theta
    for factor in blocks.factors:
        scale = factor.scale.tolist()
        for row, i in zip(factor.rows.tolist(), factor.theta.tolist(), strict=True):
            units[i] = 1.0 / scale[row]
    return np.array(units)


def _scales(blocks: Reduced) -> list[np.ndarray]:
    """Root mean squares of the columns of each term."""
    out = {}
    for factor in blocks.factors:
        stops = (*factor.effect_start[1:], factor.p)
        for i, start, stop in zip(factor.terms, factor.effect_start, stops, strict=True):
            out[i] = factor.scale[start:stop]
    return [out[i] for i in range(len(out))]


def operations(blocks: Reduced) -> float:
    """Floating-point operations of one evaluation of the criterion, roughly."""
    first = blocks.factors[0]
    total = float(len(blocks.inner.R)) * first.p**2 * (first.p + blocks.P + 1.0)
    if blocks.outer is not None:
        total += blocks.inner.pairs * first.p + 3.0 * float(blocks.outer.pattern.flops)
    return total


def derivative_operations(blocks: Reduced) -> float:
    """Floating-point operations of one evaluation with its derivatives, and of a step of the search, roughly."""
    first, n = blocks.factors[0], blocks.n_theta
    total = 2.0 * operations(blocks) + len(blocks.inner.R) * first.p * n * (n + blocks.P + 1.0)
    if blocks.outer is not None:
        total += n * float(blocks.outer.pattern.size)
    return total + _STEP * float(n) ** 3


def _with_positive_diagonals(factors: Sequence[Factor], theta: np.ndarray) -> np.ndarray:
    """Flip the signs of the templates' columns so that no diagonal is negative (lme4's convention)."""
    values: list[float] = theta.tolist()
    if min(values, default=0.0) < 0:
        for factor in factors:
            places = list(zip(factor.rows.tolist(), factor.cols.tolist(), factor.theta.tolist(), strict=True))
            turned = {c for r, c, i in places if r == c and values[i] < 0}
            for _, c, i in places:
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
        ``OptSummary.return_code``.
    trace : ndarray, shape (steps, 3)
        As of :attr:`OptSummary.trace`.
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


def _search(
    objective: Objective, start: np.ndarray, units: np.ndarray, budget: int, work: TrustRegion, near: bool = True
) -> Point:
    """Minimise from `start` (scaled), which may be near the minimum.

    Where standard deviations have become so large that their differences' squares drown the others' in rounding, the
    search goes on in coordinates relative to them.
    """
    point = _searched(objective, start, units, budget, work, near)
    if math.isfinite(point.value) and max(map(abs, point.x.tolist()), default=0.0) > _FAR:
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


def _has_pivot_below(limit: float, point: Point, pivots: Sequence[bool]) -> bool:
    """Whether some template has a diagonal element smaller than this, in natural units."""
    return any([pivot and abs(x) < limit for x, pivot in zip(point.x.tolist(), pivots, strict=True)])  # noqa: C419


def _is_far(point: Point) -> bool:
    """Whether random effects fit the rows exactly, or nearly so."""
    return max(map(abs, point.x.tolist()), default=0.0) > _EXACT


def _rounding(point: Point) -> float:
    """Error that the criterion may have there, where it is flat: it grows with the variances."""
    return 64 * _EPS * max([1.0, abs(point.value), *[x * x for x in point.x.tolist()]])


def _better(point: Point, best: Point) -> bool:
    """Whether a minimum is lower for certain, or as low but for rounding errors, which are smaller there."""
    noise, other = _rounding(point), _rounding(best)
    return not point.value >= best.value - noise or (100 * noise < other and point.value <= best.value + other)


def _settle_on_boundary(
    objective: Objective, units: np.ndarray, pivots: Sequence[bool], budget: int, work: TrustRegion, point: Point
) -> Point:
    """Put nearly zero pivots exactly at 0 where the criterion agrees."""
    blocks = objective.blocks
    for _ in range(3):
        if not _has_pivot_below(SNAP, point, pivots):
            return point
        moved = False
        theta = _with_positive_diagonals(blocks.factors, point.x * units)
        for factor in blocks.factors:
            for k in range(factor.p):
                pivot = float(factor.template(theta)[k, k]) * float(factor.scale[k])
                if not 0.0 < pivot < SNAP:
                    continue
                trial = _search(objective, drop_pivot(factor, theta, k) / units, units, budget, work)
                still = factor.template(trial.x * units)[k, k] == 0.0
                no_higher = trial.value <= point.value + 256 * _EPS * max(1.0, abs(point.value))
                if still and (no_higher or pivot < _NOTHING):
                    trial.initial, trial.trace = point.initial, point.trace
                    point = trial
                    theta = _with_positive_diagonals(blocks.factors, point.x * units)
                    moved = True
        if not moved:
            break
    return point


def _pull_back(objective: Objective, units: np.ndarray, budget: int, work: TrustRegion, point: Point) -> Point:
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
    trial = _search(objective, theta / units, units, budget, work)
    if not trial.value <= point.value + _DIP * _measured_noise(objective, point.x * units):
        return point
    trial.initial, trial.trace = point.initial, point.trace
    return trial


def _measured_noise(objective: Objective, theta: np.ndarray) -> float:
    """Spread of the criterion where θ differs by so little that all of it is rounding errors."""
    values = [objective(theta * (1.0 + step)) for step in _NEXT_TO]
    return max(values) - min(values) if all(map(math.isfinite, values)) else math.inf


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
    point = _search(objective, start / units, units, budget, work)
    if _has_pivot_below(SNAP, point, pivots):
        point = _settle_on_boundary(objective, units, pivots, budget, work, point)
        if objective.exact_hessian:
            other = _search(objective, np.ones(start.size), units, budget, work)
            if other.value < point.value - 256 * _EPS * max(1.0, abs(point.value)):
                other.initial = point.initial
                point = _settle_on_boundary(objective, units, pivots, budget, work, other)
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
        valley may be missed, the identity in units of the effects' root mean squares or a tenth of it.
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
    if objective.blocks.structure is not None:
        return _optimize_structured(objective, starts, natural_units(objective.blocks), max_evaluations, on_step)
    if design is not None and design.structure is not None:
        design = None  # what carries a mean there is an unstructured covariance matrix
    plan = _Plan.of(objective, design) if starts is None else _Plan.given(objective, starts)
    work = TrustRegion(objective.blocks.n_theta)
    best: tuple[Point, np.ndarray] | None = None
    inside: tuple[Point, np.ndarray] | None = None  # the best that is not far
    while plan.starts or plan.near:
        near_one = not plan.starts
        start = plan.near.pop(0) if near_one else plan.starts.pop(0)
        point = _search(objective, start / plan.units, plan.units, max_evaluations, work, near_one or not plan.chosen)
        point = _settle_on_boundary(objective, plan.units, plan.pivots, max_evaluations, work, point)
        point = _pull_back(objective, plan.units, max_evaluations, work, point)
        if plan.chosen and plan.single and plan.valleys is None:
            point = _or_from_zero(objective, plan.units, plan.pivots, max_evaluations, work, point)
        if best is None or _better(point, best[0]):
            best = (point, start)
        if not _is_far(point) and (inside is None or _better(point, inside[0])):
            inside = (point, start)
        if on_step is not None:
            on_step(objective.evaluations + objective.gradients, best[0].value)
        plan.extend(objective, design, point, start, max_evaluations)
    assert best is not None
    if not math.isfinite(best[0].value):
        raise FloatingPointError("it is infinite or not a number at every start")
    count, gradients = objective.evaluations + objective.gradients, objective.gradients
    local = None
    if inside is not None and (plan.endless or _is_far(best[0])):
        local = changed(outcome(objective, *inside, plan.units, max_evaluations, count, gradients), unbounded=True)
    if local is not None and plan.endless:
        return local
    summary = outcome(objective, *best, plan.units, max_evaluations, count, gradients)
    return summary if local is None else changed(summary, local=local)


def _or_from_zero(
    objective: Objective, units: np.ndarray, pivots: Sequence[bool], budget: int, work: TrustRegion, point: Point
) -> Point:
    """Of one θ that no scan has looked at: the minimum near 0 where that is lower than this one."""
    if point.x[0] == 0.0 or not objective(np.zeros(1)) < point.value:
        return point
    other = _search(objective, np.zeros(1), units, budget, work)
    return _settle_on_boundary(objective, units, pivots, budget, work, other)


@dataclass
class _Plan:
    """Where searches begin.

    Attributes
    ----------
    units : ndarray, shape (n_theta,)
        Natural unit of each θ.
    pivots : list of bool
        Which θ are diagonal elements.
    starts : list of ndarray
        θ still to start from.
    near : list of ndarray
        θ that are said to be near a minimum, after those.
    chosen : bool
        Whether they are ours: then what the first search finds may add some.
    valleys : Valleys or None
        What a scan has found.
    few : bool
        Whether there are few rows for the parameters.
    endless : bool
        Whether the criterion falls without end.
    """

    units: np.ndarray
    pivots: list[bool]
    starts: list[np.ndarray]
    near: list[np.ndarray] = field(default_factory=list)
    chosen: bool = False
    valleys: Valleys | None = None
    few: bool = False
    endless: bool = False
    _extended: bool = False

    @classmethod
    def given(cls, objective: Objective, starts: Sequence[np.ndarray]) -> "_Plan":
        """The caller's starts alone."""
        blocks = objective.blocks
        return cls(
            natural_units(blocks),
            (blocks.lower == 0.0).tolist(),
            [np.array(start, dtype=float) for start in starts],
        )

    @classmethod
    def of(cls, objective: Objective, design: Design | None) -> "_Plan":
        """lme4's start or a scan's, and those near minima at which covariance matrices carry means."""
        blocks, n = objective.blocks, objective.blocks.n_theta
        plan = cls.given(objective, [default_start(blocks)])
        plan.chosen, plan.few = True, _FEW_DEGREES * (n + 1) > objective.df
        if n:
            work = operations(blocks) + (0.0 if plan.few else _OVERHEAD)
            plan.valleys = find_valleys(objective.scan, work, plan.units, plan.pivots, plan.starts[0])
        # where the criterion is flat, lme4's start is as good as any
        if (
            plan.valleys is not None
            and n == 1
            and len(plan.valleys.points)
            and not plan.valleys.at_start <= plan.valleys.lowest + 1e-9 * max(1.0, abs(plan.valleys.lowest))
        ):
            plan.starts = list(plan.valleys.points * plan.units)
        plan.endless = plan.few and falls_without_end(objective, plan.units)
        if design is not None:
            plan.near = omitted_starts(design, objective, lambda wider: optimize(wider).final)
            cost = derivative_operations(blocks)
            if len(plan.near) > _DEAR_STARTS and cost > CHEAP:
                plan.near = sorted(plan.near, key=objective)[:_DEAR_STARTS]
            elif plan.near and cost <= _FREE:
                largest = max((max(np.abs(one) / plan.units) for one in plan.near), default=1.0)
                plan.near += spread_starts(design, plan.units, largest, _SPREAD)
        return plan

    @property
    def single(self) -> bool:
        """Whether there is one θ."""
        return len(self.pivots) == 1

    def extend(self, objective: Objective, design: Design | None, point: Point, start: np.ndarray, budget: int) -> None:
        """Add what the first minimum suggests: others on the boundary, and starts from far."""
        if self._extended or not self.chosen or self.single:
            return
        self._extended = True
        cost, informed = derivative_operations(objective.blocks), bool(self.near)
        correlated = any(factor.theta.size > factor.p for factor in objective.blocks.factors)
        several = self.few or _has_few_levels(objective.blocks)
        if cost <= CHEAP and (correlated or self.valleys is None or several):  # a scan looks at variances near 0
            self.near += boundary_starts(objective, point.x * self.units, point.value, self.units, budget)
        if cost <= _FREE and design is not None and not informed and several:
            self.near += spread_starts(design, self.units, _SIZES, _SPREAD)
        # another valley shows, if anywhere, from far: from natural units, or from small variances; a scan has looked
        # there already
        sizes = self.units.tolist()
        far = any([pivot and not 0.5 <= unit <= 2 for unit, pivot in zip(sizes, self.pivots, strict=True)])  # noqa: C419
        limit = CHEAP if point.code != 0 or _has_pivot_below(_EDGE, point, self.pivots) else 0.0
        if far and self.valleys is None:
            limit = max(limit, _FREE)
        if limit and operations(objective.blocks) <= limit:
            scaled = start * self.units
            self.starts.append(scaled if far else 0.1 * scaled)
        if self.valleys is not None and len(self.valleys.points):
            theta = [x * unit for x, unit in zip(point.x.tolist(), sizes, strict=True)]
            here = deviations(objective.blocks.factors, theta)
            self.starts.extend(
                place * self.units
                for place in self.valleys.points
                if not near(place.tolist(), here, self.pivots, self.valleys.ratio)
            )


def _optimize_structured(
    objective: Objective,
    starts: Sequence[np.ndarray] | None,
    units: np.ndarray,
    budget: int,
    on_step: Callable[[int, float], None] | None,
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
    return outcome(objective, point, found.start, units, budget, evaluations, objective.gradients)


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


def outcome(
    objective: Objective,
    point: Point,
    start: np.ndarray,
    units: np.ndarray,
    budget: int,
    evaluations: int,
    gradients: int,
) -> OptSummary:
    """How an optimisation went that ended at this point.

    Parameters
    ----------
    objective : Objective
    point : Point
    start : ndarray, shape (n_theta,)
        θ that led there.
    units : ndarray, shape (n_theta,)
        Natural unit of each θ.
    budget : int
        Evaluations over one start.
    evaluations, gradients : int
        As of :class:`OptSummary`.
    """
    blocks = objective.blocks
    theta = point.x * units
    if blocks.structure is None:
        theta = _with_positive_diagonals(blocks.factors, theta)
    values, sizes, bounds = theta.tolist(), units.tolist(), blocks.lower.tolist()
    flips = [
        (-1.0 if value * x < 0.0 else 1.0) / unit
        for value, x, unit in zip(values, point.x.tolist(), sizes, strict=True)
    ]
    turned = np.array([flips])
    zero = tuple([i for i, value in enumerate(values) if value == 0.0 and bounds[i] == 0.0])
    return OptSummary(
        initial=start,
        final=theta,
        initial_objective=point.initial,
        final_objective=point.value,
        evaluations=evaluations,
        gradients=gradients,
        return_code=point.code,
        message=_MESSAGES[point.code].format(budget=budget),
        gradient=point.gradient * turned[0],
        information=point.information * (turned.T * turned),
        prss=point.prss,
        boundary=zero,
        objective=objective,
        steps=units,
        trace=point.trace,
        unbounded=False,
        local=None,
    )
