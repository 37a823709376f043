"""Row 1 of AGREEMENT.md's table of faults: REML for ML, or the other way round."""

import math

import numpy as np

from validation.algebra import Solution
from validation.judge.diagnosis import all_close, assume, close, given
from validation.judge.diagnosis.model import another_model, least_objective, searchable
from validation.judge.diagnosis.reproduced import proof_by
from validation.judge.evidence import Evidence
from validation.judge.implied import implied_numbers
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding


def other_criterion(evidence: Evidence) -> Cause | None:
    """Row 1: REML asked for and ML fitted, or the other way round."""
    flag = evidence.value("candidate", "criterion")
    says_other = math.isfinite(flag) and bool(flag) != evidence.reml
    wanted, other = ("REML", "ML") if evidence.reml else ("ML", "REML")
    solution = other_optimum(evidence)
    # Standard errors alone may be of the other criterion where the fit is not.
    if solution is not None and (proof := proof_by(evidence, solution)) is not None and proof.quantities != {"se"}:
        strength = Strength.RECOMPUTED
        ours, theirs = evidence.pair("logLik")
        words = f"candidate {theirs:.6f}, " if math.isfinite(theirs) else ""
        words = f"(log-likelihood {-solution.objective / 2:.6f}, {words}reference {ours:.6f})"
        evidence_text = f"{proof.words(f'the {other} fit')} {words}"
    else:
        assume(says_other)
        strength = Strength.CERTAIN
        evidence_text = f"the candidate's isREML() says {other}, and {wanted} was asked for"
    return Finding(1, "reml-vs-ml", strength).told(
        f"The candidate was fitted by {other}, the reference by {wanted}",
        evidence_text,
        f"Ask the candidate for {wanted} (in R: REML = {'TRUE' if evidence.reml else 'FALSE'}). If you did, it ignores "
        "the argument: variance components of REML and ML differ by about one part in the number of groups.",
    )


def other_optimum(evidence: Evidence) -> Solution | None:
    """The reference's model at the optimum of the other criterion, by our own algebra; None where it is too large."""
    pieces, theta = searchable(evidence), evidence.reference_theta
    if pieces is None or theta is None or another_model(evidence):
        return None

    def at(point: np.ndarray) -> Solution | None:
        return evidence.solve(point, not evidence.reml)

    starts = [theta] if evidence.known_theta is None else [theta, evidence.known_theta]
    # if the candidate was fitted by the other criterion, its θ̂ is that one's optimum
    found = [(solution.objective, start) for start in starts if (solution := at(start)) is not None]
    return least_objective(at, min(found, key=lambda pair: pair[0])[1], pieces) if found else None


def standard_errors_of_other_criterion(evidence: Evidence) -> Cause | None:
    """Row 1: the standard errors alone are those of the other criterion's fit."""
    (ours, theirs), sigma = evidence.by_term("se"), evidence.pair("sigma")
    off = [term for term, value in theirs.items() if not close(value, ours[term], Match.ESTIMATED)]
    assume(off and close(sigma[1], sigma[0], Match.RULE))
    implied = implied_numbers(given(other_optimum(evidence)))
    expected = {term: implied.get(("se", None, term, None, None), math.nan) for term in theirs}
    assume(all_close(theirs.values(), expected.values(), Match.ESTIMATED))
    wanted, other = ("REML", "ML") if evidence.reml else ("ML", "REML")
    first = off[0]
    return Finding(1, "standard-errors-other-criterion", Strength.ANOTHER_INPUT).told(
        f"The standard errors are those of the {other} fit; the rest is the {wanted} fit that was asked for",
        f"all {len(theirs)} match the {other} fit, computed here from the reference's own y, X and Z; e.g. "
        f"{first}: {theirs[first]:.8g}, where {wanted} gives {ours[first]:.8g} and {other} {expected[first]:.8g}",
        f"Take vcov(β̂) from the same fit as β̂: σ̂²(X'V⁻¹X)⁻¹ at the θ̂ and σ̂ of {wanted}.",
    )
