"""Minimise the profiled criterion over θ: a trust-region Newton method with the analytic gradient.

The criterion depends on a template T only through TT', so it is even in every column of T. It is therefore minimised
without bounds, and the columns' signs are set afterwards so that diagonals are not negative (lme4's convention). A
minimum on the boundary (TT' singular) is an ordinary minimum of the even function at T_kk = 0, which Newton's method
reaches fast; it is then put exactly on the boundary, and stays there only if the criterion is no higher and has no
descending direction there (the KKT conditions for TT' positive semidefinite).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from pyimpl.likelihood.deviance import Objective
from pyimpl.likelihood.trust_region import Workspace, workspace
from pyimpl.model.blocks import Blocks, Factor

__all__ = ["SNAP", "OptSummary", "Point", "default_start", "natural_units", "optimize", "outcome"]

_EPS = float(np.finfo(float).eps)
SNAP = 2e-3  # diagonals of T below this (in units of the effect's root mean square) are tried at 0
_CHEAP = 3e6  # floating-point operations of an evaluation up to which a second start is tried where it may matter
_FREE = 3e5  # ... and up to which it is tried anyway
_SCAN = 1e5  # ... of all points of a scan for other valleys
_SCANNED = 4  # valleys that a scan may add
_EDGE = 0.05  # pivots below this (in the same units) are near enough to the boundary for it to matter
_MESSAGES = ("converged", "stopped after {budget} evaluations", "no further progress along the gradient")


@dataclass(frozen=True)
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

    @cached_property
    def hessian(self) -> np.ndarray:
        """At the minimum, in lme4's θ: shape (n_theta, n_theta). Computed when first asked for."""
        if self.objective is None or self.steps is None or self.objective.exact_hessian:
            return self.information
        from pyimpl.likelihood.threads import one_blas_thread

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


def default_start(blocks: Blocks) -> np.ndarray:
    """lme4's start: every template the identity matrix."""
    return (blocks.lower == 0.0).astype(float)


def natural_units(blocks: Blocks) -> np.ndarray:
    """Natural unit of each θ: the inverse root mean square of the effect's column."""
    units = np.empty(blocks.n_theta)
    for factor in blocks.factors:
        units[factor.theta] = 1.0 / factor.scale[factor.rows]
    return units


def _work(blocks: Blocks) -> float:
    """Floating-point operations of one evaluation, roughly."""
    first = blocks.factors[0]
    total = first.J * first.p**2 * (first.p + blocks.P + 1.0)
    if blocks.cross is not None:
        return blocks.cross.symbolic.flops
    if blocks.others is not None:
        touched = np.diff(blocks.others.indptr).astype(float)
        total += float(touched.dot(touched)) * first.p + float(blocks.others.q) ** 3
    return total


def _with_positive_diagonals(factors: Sequence[Factor], theta: np.ndarray) -> np.ndarray:
    """Flip the signs of the templates' columns so that no diagonal is negative (lme4's convention)."""
    values = theta.tolist()
    if min(values, default=0.0) < 0:
        for factor in factors:
            places = list(zip(factor.rows.tolist(), factor.cols.tolist(), factor.theta.tolist(), strict=True))
            turned = {c for r, c, i in places if r == c and values[i] < 0}
            for _, c, i in places:
                if c in turned:
                    values[i] = -values[i]
    return np.array(values) + 0.0  # no negative zeros


def _drop_pivot(factor: Factor, theta: np.ndarray, k: int) -> np.ndarray:
    """θ with the pivot k of T at 0, column k rotated into the later ones, so that TT' changes by T_kk alone."""
    T = factor.template(theta)
    term = max(i for i, start in enumerate(factor.effect_start) if start <= k)
    stop = factor.effect_start[term + 1] if term + 1 < len(factor.effect_start) else factor.p
    v = T[k + 1 : stop, k].copy()
    T[k:, k] = 0.0
    for i in range(k + 1, stop):  # rank-one update of the trailing triangle by Givens rotations
        at = i - k - 1
        r = math.hypot(T[i, i], v[at])
        if r == 0.0:
            continue
        cos, sin = T[i, i] / r, v[at] / r
        column = T[i:stop, i].copy()
        T[i:stop, i] = cos * column + sin * v[at:]
        v[at:] = cos * v[at:] - sin * column
    out = theta.copy()
    out[factor.theta] = T[factor.rows, factor.cols]
    return out


#: Values of each standard deviation (in natural units) in a scan, the finest first, and for one θ.
_AXES = (2.0 ** np.arange(-5, 12), 2.0 ** np.arange(-5, 12, 2), 2.0 ** np.arange(-4, 9, 3), 2.0 ** np.arange(-4, 5, 4))
_AXIS = np.concatenate([[0.0], 2.0 ** np.arange(-6, 21)])


@dataclass(frozen=True)
class _Lattice:
    """Points of a scan, in natural units.

    Attributes
    ----------
    points : ndarray, shape (k, n_theta)
        The first standard deviation changes slowest.
    shape : tuple of int
        How many values each standard deviation has.
    rounding : ndarray, shape (k,)
        What keeps rounding from making valleys of its own where the criterion is flat: it grows with the variances'
        square.
    ratio : float
        Of neighbours.
    """

    points: np.ndarray
    shape: tuple[int, ...]
    rounding: np.ndarray
    ratio: float


@lru_cache(maxsize=16)
def _lattice(diagonal: tuple[bool, ...], axis: int | None) -> _Lattice:
    """Lattice over the θ that are `diagonal`, the others 0: that of one θ, or the `axis`-th of the others."""
    values = _AXIS if axis is None else _AXES[axis]
    d = sum(diagonal)
    points = np.zeros((values.size**d, len(diagonal)))
    points[:, np.array(diagonal)] = np.stack(np.meshgrid(*[values] * d, indexing="ij"), axis=-1).reshape(-1, d)
    return _Lattice(points, (values.size,) * d, 16 * _EPS * (points**2).max(axis=1), float(values[2] / values[1]))


def _lowest(values: np.ndarray) -> np.ndarray:
    """Mask of the values below which no neighbour lies; the upper edges are never such."""
    lowest = np.isfinite(values)
    for k in range(values.ndim):
        before: tuple[slice, ...] = (slice(None),) * k
        up, down, last = (*before, slice(1, None)), (*before, slice(-1)), (*before, slice(-1, None))
        lowest[up] &= ~(values[up] > values[down])
        lowest[down] &= ~(values[down] > values[up])
        lowest[last] = False
    return lowest


def _valleys(
    objective: Objective, units: np.ndarray, diagonal: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float] | None:
    """Return where the criterion is lower than all around on a lattice of standard deviations; None where that is dear.

    A few rows can have several minima, and the search from one start finds one. Returned are points in natural units,
    the lowest first, the criterion there, the criterion at `start` (θ), and the ratio of the lattice's neighbours. A
    lattice's upper edge is no valley: there the criterion may fall for ever, as it does where random effects fit the
    rows exactly.
    """
    mask = tuple(diagonal.tolist())
    work, d = _work(objective.blocks), sum(mask)
    if len(mask) == 1:
        if work * _AXIS.size > 10.0 * _SCAN:
            return None
        lattice = _lattice(mask, None)
    else:
        axis = next((k for k, values in enumerate(_AXES) if work * values.size**d <= _SCAN), None)
        if axis is None:
            return None
        lattice = _lattice(mask, axis)
    points = lattice.points
    theta = np.empty((len(points) + 1, len(mask)))
    np.multiply(points, units, out=theta[:-1])
    theta[-1] = start
    found = objective.scan(theta)
    values = found[:-1] + lattice.rounding
    places = _lowest(values.reshape(lattice.shape)).ravel().nonzero()[0]
    if places.size > 1:
        places = places[values[places].argsort(kind="stable")][:_SCANNED]
    return points[places], found[places], float(found[-1]), lattice.ratio


def _deviations(blocks: Blocks, x: np.ndarray, units: np.ndarray) -> list[float]:
    """Standard deviations of the effects, in natural units, at the places of θ's diagonals."""
    out = [0.0] * x.size
    theta = (x * units).tolist()
    for factor in blocks.factors:
        places = list(zip(factor.rows.tolist(), factor.theta.tolist(), strict=True))
        squares = [0.0] * factor.p
        for row, i in places:
            squares[row] += theta[i] * theta[i]  # inf where it overflows
        for row, i in places:
            out[i] = math.sqrt(squares[row]) * float(factor.scale[row])
    return out


def _near(x: list[float], deviations: list[float], pivots: list[bool], ratio: float) -> bool:
    """Whether standard deviations are those of a point of a lattice, or of its neighbours, of this ratio."""
    limit, smallest = math.log(ratio), float(_AXES[0][0])
    return all(
        abs(math.log(one) - math.log(max(other, smallest))) <= limit
        for one, other, pivot in zip(x, deviations, pivots, strict=True)
        if pivot
    )


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
    objective: Objective, start: np.ndarray, units: np.ndarray, budget: int, work: Workspace, near: bool = True
) -> Point:
    """Minimise from `start` (scaled), which may be near the minimum."""
    initial = objective.search(start, units, budget, work, near)
    x, g, B, _, _, floats, ints, log = work
    trace = log[: ints[6]].copy()
    trace[:, 1] += objective.constant
    value = float(floats[0]) + objective.constant
    return Point(x.copy(), value, g.copy(), B.copy(), int(ints[4]), trace, initial, objective.prss)


def _has_pivot_below(limit: float, point: Point, diagonal: np.ndarray) -> bool:
    """Whether some template has a diagonal element smaller than this, in natural units."""
    return any(pivot and abs(x) < limit for x, pivot in zip(point.x.tolist(), diagonal.tolist(), strict=True))


def _settle_on_boundary(objective: Objective, units: np.ndarray, budget: int, work: Workspace, point: Point) -> Point:
    """Put nearly zero pivots exactly at 0 where the criterion agrees."""
    blocks = objective.blocks
    diagonal = blocks.lower == 0.0
    for _ in range(3):
        if not _has_pivot_below(SNAP, point, diagonal):
            return point
        changed = False
        theta = _with_positive_diagonals(blocks.factors, point.x * units)
        for factor in blocks.factors:
            for k in range(factor.p):
                pivot = float(factor.template(theta)[k, k]) * float(factor.scale[k])
                if not 0.0 < pivot < SNAP:
                    continue
                trial = _search(objective, _drop_pivot(factor, theta, k) / units, units, budget, work)
                still = factor.template(trial.x * units)[k, k] == 0.0
                if still and trial.value <= point.value + 256 * _EPS * max(1.0, abs(point.value)):
                    trial.initial, trial.trace = point.initial, point.trace
                    point = trial
                    theta = _with_positive_diagonals(blocks.factors, point.x * units)
                    changed = True
        if not changed:
            break
    return point


def optimize(
    objective: Objective,
    starts: Sequence[np.ndarray] | None = None,
    max_evaluations: int = 5000,
    on_step: Callable[[int, float], None] | None = None,
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

    Returns
    -------
    OptSummary
    """
    blocks = objective.blocks
    n = blocks.n_theta
    units = natural_units(blocks)
    diagonal = blocks.lower == 0.0
    pivots = diagonal.tolist()
    work = workspace(n)
    chosen = starts is None
    queue = [default_start(blocks)] if starts is None else [np.array(start, dtype=float) for start in starts]
    best: tuple[Point, np.ndarray] | None = None
    valleys = _valleys(objective, units, diagonal, queue[0]) if chosen and n else None
    if valleys is not None and n == 1 and len(valleys[0]):
        # where the criterion is flat, lme4's start is as good as any
        lowest, at_start = float(valleys[1][0]), valleys[2]
        if not at_start <= lowest + 1e-9 * max(1.0, abs(lowest)):
            queue = [x * units for x in valleys[0]]
    at = 0
    while at < len(queue):
        start = queue[at]
        point = _search(objective, start / units, units, max_evaluations, work, not chosen)
        point = _settle_on_boundary(objective, units, max_evaluations, work, point)
        if chosen and n == 1 and valleys is None and point.x[0] != 0.0 and objective(np.zeros(1)) < point.value:
            other = _search(objective, np.zeros(1), units, max_evaluations, work)
            point = _settle_on_boundary(objective, units, max_evaluations, work, other)
        rounding = 64 * _EPS * max(1.0, abs(point.value), *(x * x for x in point.x.tolist()))
        if best is None or not point.value >= best[0].value - rounding:
            best = (point, start)
        if on_step is not None:
            on_step(objective.evaluations + objective.gradients, best[0].value)
        at += 1
        if chosen and at == 1 and n > 1:
            # another valley shows, if anywhere, from far: from natural units, or from small variances
            far = any(pivot and not 0.5 <= unit <= 2 for unit, pivot in zip(units.tolist(), pivots, strict=True))
            edge = far or point.code != 0 or _has_pivot_below(_EDGE, point, diagonal)
            free = _FREE if objective.exact_hessian and valleys is None else 0.0
            limit = _CHEAP if edge else free
            if limit and _work(blocks) <= limit:
                scaled = start * units
                queue.append(scaled if far else 0.1 * scaled)
            if valleys is not None and len(valleys[0]):
                here = _deviations(blocks, point.x, units)
                queue.extend(x * units for x in valleys[0] if not _near(x.tolist(), here, pivots, valleys[3]))
    assert best is not None
    point, start = best
    if not math.isfinite(point.value):
        raise FloatingPointError("it is infinite or not a number at every start")
    return outcome(
        objective,
        point,
        start,
        units,
        max_evaluations,
        objective.evaluations + objective.gradients,
        objective.gradients,
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
    pivots = (blocks.lower == 0.0).tolist()
    theta = _with_positive_diagonals(blocks.factors, point.x * units)
    flips = np.where(theta * point.x < 0, -1.0, 1.0) / units
    zero = tuple(i for i, value in enumerate(theta.tolist()) if pivots[i] and value == 0.0)
    return OptSummary(
        initial=start,
        final=theta,
        initial_objective=point.initial,
        final_objective=point.value,
        evaluations=evaluations,
        gradients=gradients,
        return_code=point.code,
        message=_MESSAGES[point.code].format(budget=budget),
        gradient=point.gradient * flips,
        information=point.information * (flips[:, None] * flips),
        prss=point.prss,
        boundary=zero,
        objective=objective,
        steps=units,
        trace=point.trace,
    )
