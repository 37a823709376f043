"""Why two fits differ: detectors for the faults that people who port R code really meet (AGREEMENT.md's table).

Each detector looks for one fault, independently of the others, and gives its cause with the figures that it computed
and the strength of its evidence, or None. What it needs it takes with :func:`given`, what it takes for granted it says
with :func:`assume`: where either fails it has found nothing. :func:`diagnose` runs them all, the likeliest first.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from validation.comparison import Check
from validation.errors import DetectorWarning, error_in_words
from validation.judge.rows import Row
from validation.owndata import some
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Verdict

EvidenceT = TypeVar("EvidenceT")
T = TypeVar("T")

#: What looks for one fault: its cause, or None.
Detector: TypeAlias = Callable[[EvidenceT], Cause | None]


class UnfoundedError(Exception):
    """What a detector needs is not known, or what it takes for granted does not hold."""


def assume(holds: object) -> None:
    """Go on where something holds; otherwise the detector finds nothing."""
    if not holds:
        raise UnfoundedError


def given(value: T | None) -> T:
    """What a detector needs; without it, it finds nothing."""
    if value is None:
        raise UnfoundedError
    return value


def first_of(found: Iterable[T]) -> T:
    """The first of what was found; without one, the detector finds nothing."""
    return given(next(iter(found), None))


def close(value: float, target: float, relative: float = Match.ESTIMATED) -> bool:
    """Whether a number is another one, but for a small share of it; never where one is missing or infinite."""
    finite = math.isfinite(value) and math.isfinite(target)
    return finite and abs(value - target) <= relative * max(abs(target), Match.ZERO)


def all_close(values: Iterable[float], targets: Iterable[float], relative: float = Match.ESTIMATED) -> bool:
    """Whether all numbers are :func:`close` to others."""
    return all(close(value, target, relative) for value, target in zip(values, targets, strict=True))


def same_p(p: float, q: float, limit: float = Match.FOLLOWS) -> bool:
    """Whether a p-value is another one, by their logarithms; never where one is no probability."""
    if not (0.0 <= p <= 1.0 and 0.0 <= q <= 1.0):
        return False
    logs = [math.log(max(value, Match.ZERO)) for value in (p, q)]
    return abs(logs[0] - logs[1]) <= limit * max(1.0, abs(logs[1]))


def is_single(values: np.ndarray) -> np.ndarray:
    """Which numbers are exactly representable in 32 bits."""
    with np.errstate(over="ignore"):
        return np.asarray(values == values.astype(np.float32))


def is_long(values: np.ndarray) -> np.ndarray:
    """Which numbers have more than 16 significant bits: 0.5 and 17 are exact in any format, and tell nothing of it."""
    mantissas = np.frexp(values)[0] * 2.0**16
    return np.asarray(np.isfinite(values) & (mantissas != np.round(mantissas)))


def found_by(detector: Detector[EvidenceT], evidence: EvidenceT) -> Cause | None:
    """What a detector finds."""
    try:
        return detector(evidence)
    except UnfoundedError:
        return None


def diagnose(
    evidence: EvidenceT, detectors: Sequence[Detector[EvidenceT]], unknown: Callable[[], Cause] | None = None
) -> tuple[Cause, ...]:
    """Run detectors over the evidence.

    ``unknown`` says what is known where no detector is sure; its cause then comes first. A detector that goes wrong
    finds nothing, and a :class:`~validation.errors.DetectorWarning` says so: the verdict never depends on one, and our
    tests take the warning for the error that it is.
    """
    found: list[Cause | None] = []
    for detector in detectors:
        try:
            found.append(found_by(detector, evidence))
        except Exception as error:
            text = f"the detector {detector.__name__} went wrong: {error_in_words(error)}"
            warnings.warn(text, DetectorWarning, stacklevel=2)
    causes = sorted((cause for cause in found if cause is not None), key=lambda cause: -cause.strength)
    if causes and causes[0].strength >= Strength.CERTAIN:
        # What a weak detector saw is then a consequence (a coefficient of another name is also a missing one).
        causes = [cause for cause in causes if cause.strength >= Strength.SEEN]
    proven = [cause for cause in causes if cause.strength >= Strength.SAME_NUMBERS]
    # what a cause is about may be what another, proven one has reproduced
    explained = [cause for cause in causes if any(cause.quantities <= one.quantities for one in proven)]
    causes = [cause for cause in causes if cause in proven or not cause.quantities or cause not in explained]
    if unknown is not None and (not causes or causes[0].strength < Strength.SEEN):
        causes.insert(0, unknown())
    return tuple(causes)


def unknown_cause(checks: Sequence[Check], rows: Sequence[Row]) -> Cause:
    """What is known where no cause is: the checks that passed, those that failed, and where they fail worst.

    It is named ``"unknown"``, of row 0: no row of AGREEMENT.md's table.
    """
    passed = [check for check in checks if check.verdict in (Verdict.AGREES, Verdict.BETTER)]
    failed = [check for check in checks if check.verdict.failed]
    parts = []
    for check in passed:
        shown = some(list(dict.fromkeys(r.quantity for r in rows if r.check == check.id)), 6)
        parts.append(_lower(check.title).partition(":")[0] + (f" ({shown})" if shown else ""))
    parts = ["both sides agree on: " + "; ".join(parts)] if parts else []
    for check in failed:
        wrong = [r for r in rows if r.check == check.id and r.verdict.failed]
        names = list(dict.fromkeys(str(r.quantity) for r in wrong))
        text = f"they differ on: {_lower(check.title)} ({len(wrong)} rows: {', '.join(names[:6])}"
        if sized := [r for r in wrong if r.scaled >= 0]:
            worst = max(sized, key=lambda r: r.scaled / r.tolerance if r.tolerance > 0 else -1.0)
            text += f"; the largest is {worst.name}, off by {worst.scaled:.3g} {worst.unit}"
        parts.append(text + ")")
    first = failed[0].id if failed else ""
    remedy = _ADVICE.get(first, "The densities agree where they were compared, the draws do not: look at the sampler.")
    known = {r.quantity for r in rows if not r.verdict.failed or r.verdict is Verdict.DISAGREES}
    lacking = [words for quantity, words in _FOR_MORE.items() if quantity not in known]
    if first in ("tier-3", "tier-4", "tier-5") and not {"tier-2", "tier-3"} <= {first, *(c.id for c in passed)}:
        more = " and ".join(filter(None, (", ".join(lacking[:-1]), *lacking[-1:]))) or "the design (X, Z, y)"
        remedy = (
            "What was compared does not say whether it is the data, the model, the optimum or what is computed "
            f"afterwards. For more the candidate would have to return {more}."
        )
    return Cause(
        0,
        "unknown",
        "Unknown: none of the known faults explains the difference",
        ". ".join(part[:1].upper() + part[1:] for part in parts) or "no check passed",
        remedy if passed or failed else "Nothing was compared.",
    )


#: Where to look, by the first check that failed.
_ADVICE = {
    "tier-1": "The models differ before anything is estimated: begin with the first part of tier 1 that differs "
    "(rows, columns, levels).",
    "tier-2": "The same data give another objective: evaluate both at the same θ and take its terms apart "
    "(log|L|, the residual sum of squares, log|R_X|, constants).",
    "tier-3": "The objective is the same function, its reported optimum is not: look at the optimizer and at how "
    "the log-likelihood is reported.",
    "tier-4": "Data, objective and optimum agree, so the model was fitted rightly; what differs is computed "
    "afterwards: look at how the candidate gets these numbers from θ.",
    "tier-5": "The estimates agree; what differs is computed from them: look at the conditional modes, their "
    "variances, and predictions.",
    "anova-models": "The two sides do not compare the same models: look at how each counts parameters and rows.",
    "anova-fits": "A model's log-likelihood differs: compare its two fits first (validation.compare).",
    "anova-tests": "The fits agree, the test does not: recompute chi-square, degrees of freedom and p by hand.",
    "gate-1": "The densities differ: switch the parts of the model off one by one (priors, then likelihood) and "
    "compare again.",
}
#: What tells more of a likelihood fit, where a candidate does not give it: quantity -> what to return.
_FOR_MORE = {
    "nobs": "nobs",
    "se": "standard errors",
    "logLik": "the log-likelihood",
    "sigma": "sigma",
    "variance": "VarCorr",
    "theta": "θ",
    "ranef": "the random effects",
    "objective": "the objective at any θ (devfun)",
}


def _lower(title: str) -> str:
    return title if title[:4] == "BLUP" else title[:1].lower() + title[1:]
