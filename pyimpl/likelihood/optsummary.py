"""How an optimisation went (lme4's ``optinfo``)."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pyimpl.likelihood.local_search import Point, with_positive_diagonals
from pyimpl.likelihood.objective import Objective

__all__ = ["STOPPED", "OptSummary", "outcome"]

#: Of a search where the criterion has no lowest value.
STOPPED = "stopped before rounding errors took all digits"

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
    unbounded : bool
        Whether the criterion falls on as variances grow, since the effects fit all rows exactly: then this is a local
        minimum, or where a search was stopped on the way.
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
        theta = with_positive_diagonals(blocks.factors, theta)
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
