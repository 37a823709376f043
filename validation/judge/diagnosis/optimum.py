"""Rows 5 and 6: an optimizer that stopped early or elsewhere, and the boundary."""

import math
from functools import partial

import numpy as np
import pandas as pd

from validation import tolerances
from validation.judge.diagnosis import all_close
from validation.judge.diagnosis.model import implied_by, same_model
from validation.judge.evidence import Evidence
from validation.quantities import quietly
from validation.tolerances import Match, Strength
from validation.verdict import Cause

__all__ = ["boundary", "optimizer"]


def boundary(evidence: Evidence) -> Cause | None:
    """Row 6: one side is on the boundary (a variance of 0), the other is not."""
    if not same_model(evidence):
        return None
    singular = evidence.pair("singular")
    pieces, known, reference = evidence.reference_pieces, evidence.known_theta, evidence.reference_theta
    said = math.isfinite(singular[1])
    # isSingular() looks at θ in the predictors' units, where a small one may be far from 0: both by one measure
    if pieces is not None and known is not None and reference is not None and (not said or singular[0] == singular[1]):
        if not said and not implied_by(evidence):
            return None
        singular = float(pieces.on_boundary(reference).any()), float(pieces.on_boundary(known).any())
        said = False
    if not all(map(math.isfinite, singular)) or singular[0] == singular[1]:
        return None
    if evidence.objective_agrees is not True and not implied_by(evidence):
        return None  # the data or the criterion may be others: where θ̂ lies proves nothing then
    side = "candidate" if singular[1] == 1.0 else "reference"
    other = "reference" if side == "candidate" else "candidate"
    theta = evidence.theta(side)
    names = evidence.theta("reference")
    if theta is None and known is not None and names is not None and len(names) == len(known):
        theta = pd.Series(known, names.index)
    zeros = ""
    if theta is not None and pieces is not None and len(theta) == pieces.n_theta:
        there = theta[pieces.on_boundary(theta.to_numpy())]  # a correlation is there at -1 and 1
        named = ", ".join(f"{name} is {round(value) or 0}" for name, value in there.items())
        zeros = f" ({named})" if named else ""
    improvement = _improvement(evidence)
    words = ""
    if improvement is not None:
        direction = "lower" if improvement > 0 else "higher"
        words = f"; the objective at the candidate's θ is {direction} by {abs(improvement):.3g}"
    wrong = improvement is None or abs(improvement) > tolerances.OPTIMUM.limit
    return Cause(
        6,
        "boundary",
        f"The {side} puts a variance component on the boundary (0), the {other} does not",
        f"{'isSingular() is true of' if said else 'the variances are singular for'} the {side} only{zeros}{words}",
        "Treat 0 as a boundary that the optimizer can reach and leave again (lme4 bounds θ's diagonal below by 0), and "
        "restart from inside when it ends there; compare the objective at both θ.",
        strength=Strength.ANOTHER_MODEL if wrong else Strength.EQUAL_OPTIMA,
    )


def optimizer(evidence: Evidence) -> Cause | None:
    """Row 5: an optimizer stopped early, or at another optimum."""
    improvement = _improvement(evidence)
    if not same_model(evidence) or improvement is None or evidence.objective_agrees is False:
        return None
    if not math.isfinite(improvement) or abs(improvement) <= max(tolerances.ROUNDINGS * evidence.noise, Match.ENTRY):
        return None
    ours, theirs = evidence.reference_theta, evidence.known_theta
    if ours is None or theirs is None:
        return None
    side, other = ("candidate", "reference") if improvement < 0 else ("reference", "candidate")
    worse, better = (theirs, ours) if side == "candidate" else (ours, theirs)
    left, right = evidence.arrays("sigma", "sd", "se")
    if abs(improvement) <= tolerances.OPTIMUM.limit and all_close(right, left, Match.RULE):
        return None  # it cost no digit that is judged
    path = _along(evidence, worse, better)
    other_reasons = ""
    barrier = path is not None and max(path[1:-1], default=path[0]) > path[0] + max(
        tolerances.ROUNDINGS * evidence.noise, Match.COMPUTED
    )
    if barrier:
        minimum = "minimum" if _is_minimum(evidence, worse) else "optimum"
        name = "another-optimum"
        title = f"The {side} ended at another, worse {minimum}; the {other}'s θ gives {abs(improvement):.3g} lower"
        how = f"and rises by {max(path) - path[0]:.3g} on the way from one to the other" if path is not None else ""
        if minimum == "minimum":
            how += "; at every θ near by it is higher"
    else:
        name, title = "stopped-early", f"The {side} stopped before the optimum"
        how = "and falls all the way from one to the other" if path is not None else ""
        other_reasons = " What an optimizer that works ends there for is another criterion: a prior, a penalty."
    distance = float(np.max(np.abs(worse - better)))
    significant = abs(improvement) > tolerances.OPTIMUM.limit
    # What the candidate reports must be what its θ implies: otherwise the optimizer explains only a part.
    consistent = implied_by(evidence)
    if not consistent and evidence.objective_agrees is not True:
        return None  # the data, the columns or the criterion may be others: θ alone proves nothing
    if consistent:
        strength = Strength.ANOTHER_INPUT if significant else Strength.SMALL
    else:
        strength = Strength.PARTIAL if significant else Strength.HINT
    about = "the candidate" if side == "candidate" else "R here (as users call it; tight lme4 does not)"
    return Cause(
        5,
        name,
        title,
        f"the same objective is higher at the {side}'s θ by {abs(improvement):.3g} {how}; the θ differ by up to "
        f"{distance:.2g}" + ("; all numbers of the candidate follow from its θ" if consistent else ""),
        f"Tighten the stopping tolerances of {about}, or start it from the other side's θ; derivative-free optimizers "
        f"that stop on a change of 1e-8 leave variance components with 4 or 5 right digits.{other_reasons}",
        strength=strength,
    )


def _improvement(evidence: Evidence) -> float | None:
    """By how much the candidate's θ̂ is the better one; by the judge's own algebra where it gives no θ̂ itself."""
    if evidence.improvement is not None:
        return evidence.improvement
    ours, theirs = evidence.at_reference, evidence.at_candidate
    return None if ours is None or theirs is None else ours.objective - theirs.objective


def _along(evidence: Evidence, start: np.ndarray, end: np.ndarray) -> list[float] | None:
    points = [start + fraction * (end - start) for fraction in np.linspace(0.0, 1.0, 9)]
    for side in ("reference", "candidate"):
        devfun = evidence.devfun(side)
        if devfun is None or (side == "candidate" and evidence.objective_agrees is not True):
            continue
        devfun.ask(points)
        # A recorded objective knows its recorded points only.
        values = [quietly(partial(devfun, point), math.nan) for point in points]
        if not np.isnan(values).any():
            return values
    own = [solution.objective for point in points if (solution := evidence.solve(point)) is not None]
    return own if len(own) == len(points) else None


def _is_minimum(evidence: Evidence, theta: np.ndarray) -> bool:
    """Whether the objective is higher at every neighbour of θ (a hundredth away, one coordinate at a time)."""
    pieces = evidence.reference_pieces
    solution = evidence.solve(theta)
    if pieces is None or solution is None:
        return False
    least = solution.objective - max(tolerances.ROUNDINGS * evidence.noise, Match.COMPUTED)
    for i in range(len(theta)):
        for sign in (-1.0, 1.0):
            near = theta.copy()
            near[i] += sign * Match.VISIBLE * max(abs(theta[i]), Match.VISIBLE)
            if not pieces.inside(near):
                continue
            beside = evidence.solve(near)
            if beside is None or beside.objective < least:
                return False
    return True
