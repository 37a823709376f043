"""Rows 5 and 6: an optimizer that stopped early or elsewhere, and the boundary."""

import math
from functools import partial

import numpy as np
import pandas as pd

from validation import tolerances
from validation.judge.diagnosis import all_close, assume, given
from validation.judge.diagnosis.model import implied_by, same_model
from validation.judge.evidence import Evidence
from validation.quantities import quietly
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding


def boundary(evidence: Evidence) -> Cause | None:
    """Row 6: one side is on the boundary (a variance of 0), the other is not."""
    assume(same_model(evidence))
    # where the data or the criterion may be others, where θ̂ lies proves nothing
    assume(evidence.objective_agrees or implied_by(evidence))
    singular, known, pieces = evidence.pair("singular"), given(evidence.known_theta), evidence.reference_pieces
    said, names = math.isfinite(singular[1]), given(evidence.theta("reference"))
    # isSingular() looks at θ in the predictors' units, where a small one may be far from 0: both by one measure
    if pieces is not None and (not said or singular[0] == singular[1]):
        assume(said or implied_by(evidence))
        singular = float(pieces.on_boundary(names.to_numpy()).any()), float(pieces.on_boundary(known).any())
        said = False
    assume(all(map(math.isfinite, singular)) and singular[0] != singular[1])
    side, other = ("candidate", "reference") if singular[1] == 1.0 else ("reference", "candidate")
    theta, zeros = evidence.theta(side), ""
    if theta is None and len(names) == len(known):
        theta = pd.Series(known, names.index)
    if theta is not None and pieces is not None and len(theta) == pieces.n_theta:
        there = theta[pieces.on_boundary(theta.to_numpy())]  # a correlation is there at -1 and 1
        named = ", ".join(f"{name} is {round(value) or 0}" for name, value in there.items())
        zeros = f" ({named})" if named else ""
    improvement, words = _improvement(evidence), ""
    if improvement is not None:
        direction = "lower" if improvement > 0 else "higher"
        words = f"; the objective at the candidate's θ is {direction} by {abs(improvement):.3g}"
    wrong = improvement is None or abs(improvement) > tolerances.OPTIMUM.limit
    return Finding(6, "boundary", Strength.ANOTHER_MODEL if wrong else Strength.EQUAL_OPTIMA).told(
        f"The {side} puts a variance component on the boundary (0), the {other} does not",
        f"{'isSingular() is true of' if said else 'the variances are singular for'} the {side} only{zeros}{words}",
        "Treat 0 as a boundary that the optimizer can reach and leave again (lme4 bounds θ's diagonal below by 0), and "
        "restart from inside when it ends there; compare the objective at both θ.",
    )


def optimizer(evidence: Evidence) -> Cause | None:
    """Row 5: an optimizer stopped early, or at another optimum."""
    improvement, rounding = given(_improvement(evidence)), tolerances.ROUNDINGS * evidence.noise
    assume(same_model(evidence) and evidence.objective_agrees is not False)
    assume(math.isfinite(improvement) and abs(improvement) > max(rounding, Match.ENTRY))
    ours, theirs = given(evidence.reference_theta), given(evidence.known_theta)
    side, other = ("candidate", "reference") if improvement < 0 else ("reference", "candidate")
    worse, better = (theirs, ours) if side == "candidate" else (ours, theirs)
    left, right = evidence.arrays("sigma", "sd", "se")
    significant = abs(improvement) > tolerances.OPTIMUM.limit
    assume(significant or not all_close(right, left, Match.RULE))  # otherwise it cost no digit that is judged
    # What the candidate reports must be what its θ implies: otherwise the optimizer explains only a part, and where
    # the data, the columns or the criterion may be others θ alone proves nothing.
    consistent = implied_by(evidence)
    assume(consistent or evidence.objective_agrees)
    path, other_reasons = _along(evidence, worse, better), ""
    if path and max(path[1:-1], default=path[0]) > path[0] + max(rounding, Match.COMPUTED):
        minimum = _is_minimum(evidence, worse)
        name, what = "another-optimum", "minimum" if minimum else "optimum"
        title = f"The {side} ended at another, worse {what}; the {other}'s θ gives {abs(improvement):.3g} lower"
        how = f"and rises by {max(path) - path[0]:.3g} on the way from one to the other"
        how += "; at every θ near by it is higher" if minimum else ""
    else:
        name, title = "stopped-early", f"The {side} stopped before the optimum"
        how = "and falls all the way from one to the other" if path else ""
        other_reasons = " What an optimizer that works ends there for is another criterion: a prior, a penalty."
    strength = (Strength.ANOTHER_INPUT, Strength.SMALL) if consistent else (Strength.PARTIAL, Strength.HINT)
    distance = float(np.max(np.abs(worse - better)))
    about = "the candidate" if side == "candidate" else "R here (as users call it; tight lme4 does not)"
    return Finding(5, name, strength[not significant]).told(
        title,
        f"the same objective is higher at the {side}'s θ by {abs(improvement):.3g} {how}; the θ differ by up to "
        f"{distance:.2g}" + ("; all numbers of the candidate follow from its θ" if consistent else ""),
        f"Tighten the stopping tolerances of {about}, or start it from the other side's θ; derivative-free optimizers "
        f"that stop on a change of 1e-8 leave variance components with 4 or 5 right digits.{other_reasons}",
    )


def _improvement(evidence: Evidence) -> float | None:
    """By how much the candidate's θ̂ is the better one; by the judge's own algebra where it gives no θ̂ itself."""
    if evidence.improvement is not None:
        return evidence.improvement
    ours, theirs = evidence.at_reference, evidence.at_candidate
    return None if ours is None or theirs is None else ours.objective - theirs.objective


def _along(evidence: Evidence, start: np.ndarray, end: np.ndarray) -> list[float] | None:
    points = [start + fraction * (end - start) for fraction in np.linspace(0.0, 1.0, 9)]
    candidate = evidence.devfun("candidate") if evidence.objective_agrees else None
    for devfun in filter(None, (evidence.devfun("reference"), candidate)):
        devfun.ask(points)
        # A recorded objective knows its recorded points only.
        values = [quietly(partial(devfun, point), math.nan) for point in points]
        if not np.isnan(values).any():
            return values
    own = [evidence.own_objective(point) for point in points]
    return None if np.isnan(own).any() else own


def _is_minimum(evidence: Evidence, theta: np.ndarray) -> bool:
    """Whether the objective is higher at every neighbour of θ (a hundredth away, one coordinate at a time)."""
    pieces, least = evidence.reference_pieces, evidence.own_objective(theta)
    least -= max(tolerances.ROUNDINGS * evidence.noise, Match.COMPUTED)
    steps = np.diag(Match.VISIBLE * np.maximum(np.abs(theta), Match.VISIBLE))
    beside = [near for near in (*(theta - steps), *(theta + steps)) if pieces is not None and pieces.inside(near)]
    return all(evidence.own_objective(near) >= least for near in beside) and not math.isnan(least)
