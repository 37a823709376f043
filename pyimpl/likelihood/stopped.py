"""Where the criterion falls on until rounding takes all of its digits: the last point at which it can be computed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import optimize
from pyimpl.likelihood.optsummary import STOPPED, OptSummary
from pyimpl.likelihood.starts import default_start
from pyimpl.likelihood.trust_region import STUCK

__all__ = ["last_computable"]

_MOST = 1024  # evaluations of the longest search
_HALVINGS = 20


def last_computable(objective: Objective, computable: Callable[[OptSummary], bool]) -> OptSummary | None:
    """How a search from lme4's start ends that is stopped while the model can still be solved.

    Searches of more and more evaluations are made until one has gone too far.

    Parameters
    ----------
    objective : Objective
    computable : callable
        Whether the model can be solved where a search ended.

    Returns
    -------
    OptSummary or None
        Marked as unbounded and not converged; None where the model cannot be solved at the start either.
    """
    start = default_start(objective.blocks)
    good, bad = 0, _MOST + 1  # evaluations
    found: OptSummary | None = None
    beyond: OptSummary | None = None
    while bad - good > 1:
        budget = min(2 * good or 1, (good + bad) // 2)
        summary = optimize(objective, [start], budget)
        if computable(summary):
            found, good = summary, budget
            if summary.return_code != 1:
                break
        else:
            beyond, bad = summary, budget
    if found is None and beyond is not None:  # the shortest search has gone too far: on the way there, then
        at_start = _moved(objective, beyond, start)
        found = at_start if computable(at_start) else None
    if found is None:
        return None
    if beyond is not None:
        found = _farthest(objective, found, beyond, computable)
    return replace(found, unbounded=True, return_code=STUCK, message=STOPPED)


def _farthest(
    objective: Objective, found: OptSummary, beyond: OptSummary, computable: Callable[[OptSummary], bool]
) -> OptSummary:
    """The last point that can be computed on the way from one to another that cannot, halved again and again."""
    low, high, best = 0.0, 1.0, found
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        there = _moved(objective, found, found.final + middle * (beyond.final - found.final))
        if there.final_objective < found.final_objective and computable(there):
            low, best = middle, there
        else:
            high = middle
    return best


def _moved(objective: Objective, summary: OptSummary, theta: np.ndarray) -> OptSummary:
    """The summary of a search as if it had ended at θ."""
    value, gradient, information = objective.value_gradient_hessian(theta)
    return replace(
        summary, final=theta, final_objective=value, gradient=gradient, information=information, prss=objective.prss
    )
