"""Where searches begin: lme4's start, local minima of a grid, and starts of all sizes where the data are few.

Most criteria have one minimum. Several there may be where rows or levels are few, where a covariance matrix carries the
mean of effects that have no fixed part, and beside the boundary: these get more starts, where evaluations are cheap.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pyimpl.design.design import Design
from pyimpl.likelihood.cost import CHEAP, VERY_CHEAP, derivative_operations, operations
from pyimpl.likelihood.edges import boundary_starts, falls_without_end
from pyimpl.likelihood.grid_starts import GridMinima, deviations, grid_minima, near
from pyimpl.likelihood.local_search import Point, has_pivot_below
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.omitted import omitted_starts, spread_starts
from pyimpl.likelihood.reduce import Reduced

__all__ = ["Starts", "default_start", "natural_units"]

_SPREAD = 12  # starts of all sizes besides, where evaluations are cheap
_SIZES = 50.0  # a third of the largest standard deviation, in natural units, that these begin with
_LARGE = (10.0, 100.0)  # standard deviations, in natural units, of all effects alike, where variances may carry means
_FEW_LEVELS = 5  # levels for each parameter of a covariance matrix, below which the criterion may have several minima
_FEW_DEGREES = 10  # residual degrees of freedom for each variance, below which the criterion may have several minima
_COSTLY_STARTS = 2  # starts at most, the lowest, where variances may carry means and an evaluation is not cheap
_UNLIKE = 30.0  # standard deviations, in natural units, from which the criterion may have several minima
_NEAR = 10.0  # twice the log-likelihood that a minimum on the boundary may lie below the point from which it is reached
_OVERHEAD = 1500.0  # operations that take as long as what an evaluation takes whatever its size; of few rows more of
# them are worth it
_EDGE = 0.05  # pivots below this, in natural units, are near enough to the boundary for it to matter


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


def _has_few_levels(blocks: Reduced) -> bool:
    """Whether some covariance matrix has few levels for its parameters."""
    return any(_FEW_LEVELS * factor.theta.size > factor.J for factor in blocks.factors)


@dataclass
class Starts:
    """Where searches begin.

    Attributes
    ----------
    units : ndarray, shape (n_theta,)
        Natural unit of each θ.
    pivots : list of bool
        Which θ are diagonal elements.
    to_try : list of ndarray
        θ still to start from.
    near : list of ndarray
        θ that are said to be near a minimum, after those.
    chosen : bool
        Whether they are ours: then what the first search finds may add some.
    grid : GridMinima or None
        Local minima of a coarse grid of standard deviations: of one, or where several minima may be; None elsewhere,
        and where it costs too much.
    few : bool
        Whether there are few rows for the parameters.
    endless : bool
        Whether the criterion falls without end.
    """

    units: np.ndarray
    pivots: list[bool]
    to_try: list[np.ndarray]
    near: list[np.ndarray] = field(default_factory=list)
    chosen: bool = False
    grid: GridMinima | None = None
    few: bool = False
    endless: bool = False
    _extended: bool = False

    @classmethod
    def given(cls, objective: Objective, starts: Sequence[np.ndarray]) -> "Starts":
        """The caller's starts alone."""
        blocks = objective.blocks
        return cls(
            natural_units(blocks),
            (blocks.lower == 0.0).tolist(),
            [np.array(start, dtype=float) for start in starts],
        )

    @classmethod
    def of(cls, objective: Objective, design: Design | None, optimum: Callable[[Objective], np.ndarray]) -> "Starts":
        """lme4's start or a grid's, and those near minima at which covariance matrices carry means.

        `optimum` minimises the criterion of a wider model.
        """
        blocks, n = objective.blocks, objective.blocks.n_theta
        plan = cls.given(objective, [default_start(blocks)])
        plan.chosen, plan.few = True, _FEW_DEGREES * (n + 1) > objective.df
        if n == 1:
            plan._scan(objective, plan.to_try[0])
        # where the criterion is flat, lme4's start is as good as any
        if (
            plan.grid is not None
            and len(plan.grid.points)
            and not plan.grid.at_start <= plan.grid.lowest + 1e-9 * max(1.0, abs(plan.grid.lowest))
        ):
            plan.to_try = list(plan.grid.points * plan.units)
        plan.endless = plan.few and falls_without_end(objective, plan.units)
        if design is not None:
            cost = derivative_operations(blocks)
            plan.near = omitted_starts(design, objective, optimum, cost <= VERY_CHEAP)
            if len(plan.near) > _COSTLY_STARTS and cost > CHEAP:
                plan.near = sorted(plan.near, key=objective)[:_COSTLY_STARTS]
            elif plan.near and cost <= VERY_CHEAP:
                largest = max((max(np.abs(one) / plan.units) for one in plan.near), default=1.0)
                plan.near += spread_starts(design, plan.units, largest, _SPREAD)
                # the search for the means may itself have ended where all variances are small
                plan.near += [size * plan.units * np.array(plan.pivots, dtype=float) for size in _LARGE]
        return plan

    def _scan(self, objective: Objective, start: np.ndarray) -> None:
        """Look for minima on a coarse grid, where that is cheap."""
        work = operations(objective.blocks) + (0.0 if self.few else _OVERHEAD)
        self.grid = grid_minima(objective.scan, work, self.units, self.pivots, start)

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
        several = self.few or _has_few_levels(objective.blocks) or float(np.abs(point.x).max()) > _UNLIKE
        if several:  # of 3000 models with more levels a scan found no other minimum, and took a tenth of a small fit
            self._scan(objective, start)
        if cost <= CHEAP:
            pairs = several and cost <= VERY_CHEAP
            within = _NEAR if correlated or several else 0.0
            self.near += boundary_starts(
                objective, point.x * self.units, point.value, self.units, budget, within, pairs
            )
        if cost <= VERY_CHEAP and design is not None and not informed and several:
            self.near += spread_starts(design, self.units, _SIZES, _SPREAD)
        # another minimum shows, if anywhere, from far: from natural units, or from small variances; a grid has points
        # there already
        sizes = self.units.tolist()
        far = any([pivot and not 0.5 <= unit <= 2 for unit, pivot in zip(sizes, self.pivots, strict=True)])  # noqa: C419
        limit = CHEAP if point.code != 0 or has_pivot_below(_EDGE, point, self.pivots) else 0.0
        if far and self.grid is None:
            limit = max(limit, VERY_CHEAP)
        if limit and operations(objective.blocks) <= limit:
            scaled = start * self.units
            self.to_try.append(scaled if far else 0.1 * scaled)
        if self.grid is not None and len(self.grid.points):
            theta = [x * unit for x, unit in zip(point.x.tolist(), sizes, strict=True)]
            here = deviations(objective.blocks.factors, theta)
            self.to_try.extend(
                place * self.units
                for place in self.grid.points
                if not near(place.tolist(), here, self.pivots, self.grid.ratio)
            )
