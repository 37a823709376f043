"""Whether two fits are of one model at one optimum: what follows from a θ, the proof of a cause, rows 1, 5 and 6.

And of row 12 what a response that is large for its spread costs.
"""

import math
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from validation.algebra import Solution
from validation.judge.diagnosis import all_close, assume, close, found_by, given
from validation.judge.evidence import Evidence
from validation.judge.rows import digits
from validation.quantities import Key, key_of, named, quietly, records
from validation.tolerances import OPTIMUM, REPRODUCED, ROUNDINGS, SINGULAR, Match, Multiple, Strength
from validation.verdict import Cause, Finding


def with_implied(evidence: Evidence, solution: Solution, *quantities: str) -> pd.DataFrame:
    """The rows of some quantities that both sides have, and what a solution implies of each: NaN where it says none."""
    rows, implied = evidence.compared(*quantities), solution.numbers()
    return rows.assign(implied=[implied.get(key_of(record), math.nan) for record in records(rows)])


def implied_by(evidence: Evidence) -> bool:
    """Whether the candidate's numbers follow from its θ by the judge's own algebra, from the reference's y, X and Z."""
    if (solution := evidence.at_candidate) is None:
        return False
    rows = with_implied(evidence, solution, "fixef", "se", "sigma", "variance", "sd", "ranef").dropna(subset="implied")
    limit = np.maximum(Match.ESTIMATED * rows["implied"].abs(), Match.SUMMED * solution.sigma)
    return len(rows) > 0 and bool(((rows["candidate"] - rows["implied"]).abs() <= limit).all())


#: The estimates of a fit, and all that it reports of its parameters.
_ESTIMATES = ("fixef", "se", "sigma", "variance", "covariance", "sd", "logLik")
NUMBERS = (*_ESTIMATES, "vcov", "cor", "ranef")
#: Those that say which criterion was optimised, whatever is made of the variance components.
_OF_CRITERION = ("fixef", "se", "sigma", "logLik")


#: Numbers of a fit that follow from θ alone, whatever σ is.
_OF_THETA = frozenset({"fixef", "ranef"})


class Reproduction(NamedTuple):
    """How many of a candidate's numbers a supposed cause gives."""

    total: int  # that both sides have and that tell: the cause moves them by more than the digits that would show it
    matched: int  # of them, to four digits at least and one more than the reference's are
    digits: float  # of the matched number that is reproduced worst
    quantities: frozenset[str]  # that are matched

    def words(self, model: str) -> str:
        """Say how many of the numbers are those of a model, and that it was computed here."""
        return (
            f"{self.matched} of the {self.total} numbers that tell are those of {model} to {self.digits:.0f} digits or "
            "more, computed here from the reference's own y, X and Z"
        )


def proof_by(
    evidence: Evidence, solution: Solution | None, quantities: Iterable[str] = _ESTIMATES, but: Collection[Key] = ()
) -> Reproduction:
    """What a model at its optimum gives of the candidate's numbers; nothing is found where that proves nothing.

    Nothing is proved by the numbers (``but``) that the model was chosen by.
    """
    found: list[tuple[str, float, float]] = []  # quantity, digits, digits of the reference's number
    columns: dict[Key, list[bool]] = {}  # but for the level: which of its numbers are reproduced
    for record in records(with_implied(evidence, given(solution), *quantities)):
        value, key = record["implied"], key_of(record)
        if key in but or math.isnan(value) or digits(value, record["reference"]) > REPRODUCED.telling:
            continue
        got, had = digits(record["candidate"], value), digits(record["reference"], value)
        matched = got >= max(REPRODUCED.least, digits(record["candidate"], record["reference"]) + REPRODUCED.gained)
        columns.setdefault((*key[:-1], None), []).append(matched)
        if matched:
            found.append((record["quantity"], got, had))
    assume(found)
    names, got_each, had_each = zip(*found, strict=True)
    # what moves most tells best: of the others an optimizer's last digits are a larger share
    independent = 1 if _OF_THETA.issuperset(names) else min(len(found), 2)
    nearer = independent * (min(got_each) - min(had_each))
    total, share = sum(map(len, columns.values())), float(np.mean([np.mean(column) for column in columns.values()]))
    assume(REPRODUCED.holds(total, share, min(got_each), nearer))
    return Reproduction(total, len(found), min(got_each), frozenset(names))


def other_criterion(evidence: Evidence) -> Cause | None:
    """Row 1: REML asked for and ML fitted, or the other way round."""
    flag = evidence.value("candidate", "criterion")
    # without fixed effects both criteria are one, and the flag says nothing
    restricts = bool(evidence.rows("fixef")["has_reference"].any())
    says_other = restricts and math.isfinite(flag) and bool(flag) != evidence.reml
    wanted, other = ("REML", "ML") if evidence.reml else ("ML", "REML")
    solution, quantities, rest = evidence.other_optimum, frozenset[str](), ""
    proof = found_by(proof_by, evidence, solution)
    if proof is None:
        proof, rest = (
            found_by(proof_by, evidence, solution, _OF_CRITERION),
            "; its variance components are of another fault",
        )
        proof = proof if proof is not None and proof.matched == proof.total and "se" in proof.quantities else None
    # Standard errors alone may be of the other criterion where the fit is not.
    if solution is not None and proof is not None and proof.quantities != {"se"}:
        strength, quantities = Strength.RECOMPUTED, proof.quantities
        ours, theirs = evidence.pair("logLik")
        words = f"candidate {theirs:.6f}, " if math.isfinite(theirs) else ""
        words = f"(log-likelihood {-solution.objective / 2:.6f}, {words}reference {ours:.6f})"
        evidence_text = f"{proof.words(f'the {other} fit')} {words}{rest}"
    else:
        assume(says_other)
        strength = Strength.CERTAIN
        evidence_text = f"the candidate's isREML() says {other}, and {wanted} was asked for"
    return Finding(1, "reml-vs-ml", strength, quantities).told(
        f"The candidate was fitted by {other}, the reference by {wanted}",
        evidence_text,
        f"Ask the candidate for {wanted} (in R: REML = {'TRUE' if evidence.reml else 'FALSE'}). If you did, it ignores "
        "the argument: variance components of REML and ML differ by about one part in the number of groups.",
    )


def standard_errors_of_other_criterion(evidence: Evidence) -> Cause | None:
    """Row 1: the standard errors alone are those of the other criterion's fit."""
    rows, sigma = with_implied(evidence, given(evidence.other_optimum), "se"), evidence.pair("sigma")
    off = [r for r in records(rows) if not close(r["candidate"], r["reference"], Match.ESTIMATED)]
    # of one coefficient alone the other criterion's is one number among many that it may be
    assume(off and len(rows) > 1 and close(sigma[1], sigma[0], Match.RULE))
    assume(all_close(rows["candidate"], rows["implied"], Match.ESTIMATED))
    (wanted, other), first = ("REML", "ML") if evidence.reml else ("ML", "REML"), off[0]
    return Finding(1, "standard-errors-other-criterion", Strength.ANOTHER_INPUT, frozenset({"se"})).told(
        f"The standard errors are those of the {other} fit; the rest is the {wanted} fit that was asked for",
        f"all {len(rows)} match the {other} fit, computed here from the reference's own y, X and Z; e.g. "
        f"{first['term']}: {first['candidate']:.8g}, where {wanted} gives {first['reference']:.8g} and {other} "
        f"{first['implied']:.8g}",
        f"Take vcov(β̂) from the same fit as β̂: σ̂²(X'V⁻¹X)⁻¹ at the θ̂ and σ̂ of {wanted}.",
    )


def boundary(evidence: Evidence) -> Cause | None:
    """Row 6: one side is on the boundary (a variance of 0), the other is not."""
    assume(evidence.same_model)
    # where the data or the criterion may be others, where θ̂ lies proves nothing
    assume(evidence.objective_agrees or implied_by(evidence))
    singular, known, pieces = evidence.pair("singular"), given(evidence.known_theta), evidence.reference_pieces
    said, own_theta = math.isfinite(singular[1]), given(evidence.reference_theta)
    names = given(evidence.theta("reference")).index
    # isSingular() looks at θ in the predictors' units, where a small one may be far from 0: both by one measure
    assume(pieces is None or pieces.inside(known))  # of a θ beyond its bounds neither side's rule holds
    own = None if evidence.at_candidate is None else evidence.at_candidate.numbers()[named("singular")]
    if said and own not in (None, singular[1]):
        return Finding(6, "singular-flag", Strength.CERTAIN, frozenset({"singular"})).told(
            f"isSingular() of the candidate is {singular[1] == 1.0}, and its own θ says otherwise",
            f"its θ ({', '.join(f'{value:.6g}' for value in known)}) {'has an' if own else 'has no'} element within "
            f"{SINGULAR:g} of a bound",
            "isSingular() asks whether an element of θ is at its bound, which is 0 for the diagonal, to within 1e-4.",
        )
    if pieces is not None and (not said or singular[0] == singular[1]):
        assume(said or implied_by(evidence))
        ours, theirs = pieces.on_boundary(own_theta), pieces.on_boundary(known)
        singular = float((ours & ~theirs).any()), float((theirs & ~ours).any())  # at a bound that the other is not at
        said = False
    assume(all(map(math.isfinite, singular)) and singular[0] != singular[1])
    side, other = ("candidate", "reference") if singular[1] == 1.0 else ("reference", "candidate")
    theta, better = (known, own_theta) if side == "candidate" else (own_theta, known)
    # a correlation is there at -1 and 1
    there = np.zeros(len(theta), dtype=bool)
    if pieces is not None:
        there = pieces.on_boundary(theta) & ~pieces.on_boundary(better)
    zeros = ", ".join(f"{name} is {round(value) or 0}" for name, value in zip(names[there], theta[there], strict=True))
    improvement, words = _improvement(evidence), ""
    if improvement is not None:
        direction = "lower" if improvement > 0 else "higher"
        words = f"; the objective at the candidate's θ is {direction} by {abs(improvement):.3g}"
    wrong = improvement is None or abs(improvement) > OPTIMUM.limit
    return Finding(6, "boundary", Strength.ANOTHER_MODEL if wrong else Strength.EQUAL_OPTIMA).told(
        f"The {side} puts a variance component on the boundary (0), the {other} does not",
        f"{'isSingular() is true of' if said else 'elements of θ are at their bounds for'} the {side} only"
        f"{f' ({zeros})' if zeros else ''}{words}",
        "Treat 0 as a boundary that the optimizer can reach and leave again (lme4 bounds θ's diagonal below by 0), and "
        "restart from inside when it ends there; compare the objective at both θ.",
    )


def optimizer(evidence: Evidence) -> Cause | None:
    """Row 5: an optimizer stopped early, or at another optimum."""
    improvement, rounding = given(_improvement(evidence)), ROUNDINGS * evidence.noise
    assume(evidence.same_model and evidence.objective_agrees is not False)
    assume(math.isfinite(improvement) and abs(improvement) > max(rounding, Match.ENTRY))
    ours, theirs = given(evidence.reference_theta), given(evidence.known_theta)
    side, other = ("candidate", "reference") if improvement < 0 else ("reference", "candidate")
    worse, better = (theirs, ours) if side == "candidate" else (ours, theirs)
    left, right = evidence.arrays("sigma", "sd", "se")
    significant = abs(improvement) > OPTIMUM.limit
    assume(significant or not all_close(right, left, Match.RULE))  # otherwise it cost no digit that is judged
    # What the candidate reports must be what its θ implies: otherwise the optimizer explains only a part, and where
    # the data, the columns or the criterion may be others θ alone proves nothing.
    consistent = implied_by(evidence)
    assume(consistent or evidence.objective_agrees)
    if side == "candidate" and consistent and (cause := found_by(_at_other_criterion, evidence, worse, better)):
        return cause
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


def _at_other_criterion(evidence: Evidence, theirs: np.ndarray, ours: np.ndarray) -> Cause:
    """Row 1: θ̂ alone is the other criterion's; what follows from it is computed by the formulas asked for."""
    other = given(evidence.other_optimum)
    away, apart = (float(np.max(np.abs(theta - other.theta))) for theta in (theirs, ours))
    assume(apart > 0.0 and math.log10(apart / max(away, Match.ZERO)) >= REPRODUCED.nearer)
    reported, own = evidence.value("candidate", "logLik"), -other.objective / 2
    quantities = frozenset({"logLik"}) if close(reported, own, Match.SUMMED) else frozenset[str]()
    wanted, name = ("REML", "ML") if evidence.reml else ("ML", "REML")
    return Finding(1, "theta-other-criterion", Strength.RECOMPUTED, quantities).told(
        f"θ̂ is that of the {name} fit; σ and standard errors are computed from it by {wanted}'s formulas",
        f"the candidate's θ is at most {away:.2g} from the {name} optimum, computed here from the reference's own y, X "
        f"and Z, and {apart:.2g} from there is the reference's; all its numbers follow from its θ"
        + (f"; its log-likelihood {reported:.6f} is that of {name} there" if quantities else ""),
        f"Optimise {wanted}'s own criterion: σ̂ with another divisor does not turn the one fit into the other.",
    )


def _improvement(evidence: Evidence) -> float | None:
    """By how much the candidate's θ̂ is the better one; by the judge's own algebra where it gives no θ̂ itself."""
    ours, theirs = evidence.at_reference, evidence.at_candidate
    own = None if ours is None or theirs is None else ours.objective - theirs.objective
    return own if evidence.improvement is None else evidence.improvement


def _along(evidence: Evidence, start: np.ndarray, end: np.ndarray) -> list[float] | None:
    objectives: list[Callable[[np.ndarray], float] | None] = [evidence.own_objective, evidence.devfun("reference")]
    objectives += [evidence.devfun("candidate")] if evidence.objective_agrees else []
    for objective in filter(None, objectives):  # a recorded one knows its recorded points only
        way = (start + fraction * (end - start) for fraction in np.linspace(0.0, 1.0, 9))
        values = [quietly(partial(objective, point), math.nan) for point in way]
        if not np.isnan(values).any():
            return values
    return None


def _is_minimum(evidence: Evidence, theta: np.ndarray) -> bool:
    """Whether the objective is higher at every neighbour of θ (a hundredth away, one coordinate at a time)."""
    pieces, least = evidence.reference_pieces, evidence.own_objective(theta)
    least -= max(ROUNDINGS * evidence.noise, Match.COMPUTED)
    steps = np.diag(Match.VISIBLE * np.maximum(np.abs(theta), Match.VISIBLE))
    beside = [near for near in (*(theta - steps), *(theta + steps)) if pieces is not None and pieces.inside(near)]
    return all(evidence.own_objective(near) >= least for near in beside) and not math.isnan(least)


def cancellation(evidence: Evidence) -> Cause | None:
    """Row 12: digits lost because the response is large for its spread, and was not centred before it was squared.

    What is lost by squaring the response, or by subtracting fitted values of its size, is known beforehand. The
    candidate's residual sum of squares must be off what its own θ implies by no more than that, and its θ no worse than
    an objective with such an error explains.
    """
    pieces, own, best = given(evidence.reference_pieces), given(evidence.at_candidate), given(evidence.at_reference)
    assume(evidence.same_model)
    left, right = evidence.arrays("sigma", "variance")
    assume(not all_close(right, left, Match.ESTIMATED))
    # where it says itself that its criterion is the other one, that comes first
    assume(evidence.value("candidate", "criterion") != float(not evidence.reml))
    N = pieces.y.size
    df = N - pieces.X.shape[1] if evidence.reml else N
    squares = own.sigma**2 * df
    epsilon = float(np.finfo(float).eps)
    weights = np.ones(N) if pieces.weights is None else pieces.weights
    total = float(weights @ pieces.y**2)
    assume(total >= Multiple.FAR * float(weights @ (pieces.y - np.average(pieces.y, weights=weights)) ** 2))
    # What is lost, as a share of the residual sum of squares: where y'y itself is summed, and where y − Xβ̂ − Zb is.
    by_squares = epsilon * total / squares
    by_differences = 2.0 * epsilon * math.sqrt(N * total / squares)
    reported = evidence.value("candidate", "sigma") ** 2 * df
    share, excess = abs(reported / squares - 1.0), own.objective - best.objective
    off = -2.0 * evidence.value("candidate", "logLik") - own.objective
    # Lost digits show in the numbers at the candidate's own θ; an optimizer that stopped early leaves right ones there.
    assume(excess <= Multiple.MISLED * max(df * share, abs(off) if math.isfinite(off) else 0.0))
    # A sum of squares that is off by no more than its residuals' rounding was not taken from y'y.
    direct = share <= Multiple.ROUNDED_SUM * by_differences
    loss, how = (by_differences, "the residuals") if direct else (by_squares, "the sum of squares of the response")
    noise = N * math.log1p(Multiple.ROUNDED_SUM * loss)  # of the objective, N log r² and more
    # Beside a minimum the parameters are off by the root of the objective's noise: what is small is explained so.
    assume(ROUNDINGS * math.sqrt(noise) > Match.ESTIMATED)
    assume(share <= Multiple.ROUNDED_SUM * loss and excess <= noise + Match.COMPUTED)
    size, spread = float(np.abs(pieces.y).max()), evidence.value("reference", "sigma")
    kept = max(0.0, -math.log10(loss))
    return Finding(12, "cancellation", Strength.COUNTS).told(
        "Digits are lost to the size of the response: it is far from 0 for its spread, and was not centred",
        f"the response goes up to {size:.4g} and its residual sd is {spread:.4g}: of the 16 digits of double "
        f"precision {kept:.0f} are left in {how} (y'y is {total:.3g}, of which {epsilon * total:.2g} is rounding; the "
        f"residual sum of squares is {squares:.4g}). The candidate's residual sum of squares is {100.0 * share:.2g}% "
        f"off what its own θ implies, its objective {excess:.2g} above the least"
        + (f", its -2 log-likelihood {off:+.2g} off" if math.isfinite(off) else "")
        + ": no more than that loss. With the response centred first, the judge's own algebra gives the reference's "
        "log-likelihood to 9 digits",
        "Subtract a round number near its mean from the response (years since 2000, not the year; points above 500) "
        "before fitting, and add it to the intercept afterwards: nothing else changes. A program should centre by "
        "itself, and should sum squared residuals rather than take y'y apart.",
    )
