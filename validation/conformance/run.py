"""Judge a candidate case by case: fit, compare with the reference, allow for what is declared, say why it fails."""

import logging
import math
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import cast

import pandas as pd

from validation.cases import Case
from validation.compare import About, is_refusal, judge_pair
from validation.comparison import Check, Comparison, Fitted, Reference, Side
from validation.conformance.answer import OFFERS, as_fit, as_posterior
from validation.conformance.candidate import Candidate
from validation.conformance.deviations import Deviation
from validation.contract import BayesianFit, LinearMixedFit
from validation.errors import RAISED, error_in_words
from validation.judge.diagnosis import unknown_cause
from validation.judge.rows import Row, check_of, rows_of, table_of
from validation.options import DEFAULT_SEED
from validation.progress import Tracker
from validation.references.choose import Source, choose_source, reference_of
from validation.report.wording import cell
from validation.tolerances import FAILED_ALIKE
from validation.verdict import Verdict

#: What the same error says of one model and of another: names in quotes, numbers.
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|[-+]?\d[\d.eE+-]*")


#: Warnings of a candidate that are kept.
_MOST_WARNINGS = 200


class Status(StrEnum):
    """How one case ended."""

    AGREES = "agrees"
    KNOWN = "known deviation"  # differs as the third party's own file says, and no more
    DISAGREES = "disagrees"
    MALFORMED = "malformed"  # handed over what is no such number, table or label
    RAISED = "raised"  # claims the case's features, and could not fit it: a failure
    NOT_SUPPORTED = "not supported"  # says of itself that it does not have what the case needs: nothing was compared
    INCONCLUSIVE = "inconclusive"
    NO_REFERENCE = "no reference"  # nothing to compare with
    NOT_RUN = "not run"  # the candidate had failed alike in each of the first cases
    NOT_CLAIMED = "not claimed"  # nothing is said about it

    @property
    def verdict(self) -> Verdict:
        """What it says of the candidate."""
        return _VERDICTS.get(self, Verdict.INCONCLUSIVE)

    @property
    def failed(self) -> bool:
        """Whether the candidate fails."""
        return self.verdict.failed


_VERDICTS = {
    **dict.fromkeys((Status.AGREES, Status.KNOWN), Verdict.AGREES),
    **dict.fromkeys((Status.DISAGREES, Status.RAISED), Verdict.DISAGREES),
    Status.MALFORMED: Verdict.MALFORMED,
}


@dataclass(frozen=True)
class Result:
    """What became of one case."""

    case: Case
    status: Status
    reason: str = ""  # one sentence: what was not claimed, what was raised, why there is no reference
    comparison: Comparison | None = None  # what is not offered is left out of it, and known deviations are allowed for
    error: str = ""  # ``Type: text`` of what the candidate raised
    warnings: tuple[str, ...] = ()  # of the candidate, while it fitted
    seconds: float = float("nan")  # that its fit took
    not_offered: tuple[str, ...] = ()  # declared missing, and missing
    known: tuple[int, ...] = ()  # numbers of the entries of the file of known deviations that were needed

    @property
    def judged(self) -> bool:
        """Whether the candidate was asked, and answered or raised."""
        return self.comparison is not None or bool(self.error)

    @cached_property
    def rows(self) -> list[Row]:
        """What was compared; what failed has failed here, known deviation or not."""
        return [] if self.comparison is None else rows_of(self.comparison.table)

    @cached_property
    def figures(self) -> pd.DataFrame:
        """A row for each check and quantity: numbers, failures, fewest digits, the largest difference in its unit."""
        parts: dict[tuple[str, str], list[Row]] = {}
        for r in self.rows:
            parts.setdefault((r.check, r.quantity), []).append(r)
        figures = []
        for (check, quantity), own in parts.items():
            worst = max(own, key=lambda r: -math.inf if math.isnan(r.scaled) else r.scaled)
            verdicts = [r.verdict for r in own]
            figures.append(
                {
                    "check": check,
                    "quantity": quantity,
                    "numbers": len(own),
                    "failed": sum(verdict.failed for verdict in verdicts),
                    "missing": verdicts.count(Verdict.MISSING),
                    "malformed": verdicts.count(Verdict.MALFORMED),
                    "digits": min((r.digits for r in own if math.isfinite(r.digits)), default=math.nan),
                    "scaled": worst.scaled,
                    "unit": worst.unit,
                    "tolerance": worst.tolerance,
                }
            )
        return pd.DataFrame(figures)


def overall_status(results: Sequence[Result], problems: Sequence[str] = ()) -> Verdict:
    """The verdict on a run: a failure beats what is inconclusive beats agreement; nothing judged is inconclusive.

    A known deviation that no longer applies, one of the ``problems``, is a failure.
    """
    if problems:
        return Verdict.DISAGREES
    if _failed_alike(results) is not None:
        return Verdict.INCONCLUSIVE  # it fitted nothing at all: nothing was compared
    return Verdict.of(result.status.verdict for result in results if result.status is not Status.NOT_CLAIMED)


def run(
    candidate: Candidate,
    cases: Iterable[Case],
    source: str | Source,
    *,
    deviations: Sequence[Deviation] = (),
    seed: int = DEFAULT_SEED,
    track: Tracker | None = None,
    finished: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Judge a candidate on several cases, one after the other, and call ``finished`` with each result.

    The seed is that of the points where objectives are compared, and of samplers; ``track`` hears which case begins.
    """
    results: list[Result] = []
    for case in cases:
        if (stuck := _failed_alike(results)) is not None:
            results.append(Result(case, Status.NOT_RUN, stuck))
            continue
        if track is not None and not candidate.unclaimed(case.needs):
            track.start(case.title)
        results.append(judge_case(candidate, case, source, deviations=deviations, seed=seed))
        if track is not None:
            track.finish()
        finished(results[-1])
    return results


def _failed_alike(results: Sequence[Result]) -> str | None:
    """What the candidate raised in each of the first cases that it was given; None where it got further.

    Errors are alike that differ by what they quote, and by numbers: ``KeyError: 'school'``, ``KeyError: 'Subject'``.
    """
    tried = [result for result in results if result.status not in (Status.NOT_CLAIMED, Status.NO_REFERENCE)]
    first = tried[:FAILED_ALIKE]
    if len(first) < FAILED_ALIKE or any(r.status not in (Status.RAISED, Status.NOT_SUPPORTED) for r in first):
        return None
    alike = {_VARYING.sub("…", result.error) for result in first}
    return first[0].error if len(alike) == 1 else None


def judge_case(
    candidate: Candidate,
    case: Case,
    source: str | Source = "live",
    *,
    deviations: Sequence[Deviation] = (),
    seed: int = DEFAULT_SEED,
    reference: Reference | None = None,
) -> Result:
    """Fit one case with the candidate and judge it, by the reference that is at hand or by the source's."""
    source = choose_source(source, certified_first=True)
    unclaimed = candidate.unclaimed(case.needs)
    function = candidate.sample if case.kind == "bayes" else candidate.fit
    if unclaimed or function is None:
        return Result(case, Status.NOT_CLAIMED, f"does not claim {', '.join(unclaimed) or case.kind}")
    if reference is None:
        try:
            reference = reference_of(replace(case, seed=seed, default=False), source)
        except LookupError as error:  # NoReferenceError, NotRecordedError
            return Result(case, Status.NO_REFERENCE, str(error))
        except Exception as error:  # R itself refuses the model, or crashed: the other cases go on
            logging.getLogger(__name__).debug("no reference of %s", case.name, exc_info=True)
            return Result(case, Status.NO_REFERENCE, f"the reference could not fit it: {error_in_words(error)}")
    data = reference.data if reference.data is not None else case.load("recorded")
    asked = {"seed": seed} if case.kind == "bayes" else {"REML": case.REML}
    fit: BayesianFit | LinearMixedFit
    failure: BaseException | None = None
    started = time.perf_counter()
    with warnings.catch_warnings(record=True, action="always") as caught:
        try:
            answer = function(case.formula, data.copy(), **{**case.options, **asked})
            if case.kind == "bayes":
                fit = as_posterior(answer)
            else:
                fit = as_fit(
                    answer, case.formula, data, case.REML, candidate.missing, cast("LinearMixedFit", reference.fit)
                )
        except RAISED as error:  # a candidate may raise anything: it is a field of the result
            logging.getLogger(__name__).debug("%s raised", candidate.name, exc_info=True)
            failure = error
    seconds = time.perf_counter() - started
    said = tuple(
        dict.fromkeys(" ".join(error_in_words(cast("Warning", w.message)).split()) for w in caught[:_MOST_WARNINGS])
    )
    if failure is not None:
        return _raised(case, failure, said, seconds, deviations)
    density = callable(getattr(fit, "log_prob", None)) or "density" not in candidate.missing
    about = About(case.formula, case.title, case.REML, reference.data, seed, density=density)
    side = Side(candidate.label, "third-party", dict(candidate.versions))
    try:
        comparison = judge_pair(reference, Fitted(fit, side), about)
    except (SystemExit, GeneratorExit) as error:  # what a fit answers, it may compute when it is asked
        return _raised(case, error, said, seconds, deviations)
    comparison, not_offered = without_missing(comparison, candidate.missing)
    if case.kind == "bayes" and not any(check.id == "gate-1" for check in comparison.checks):
        not_offered = tuple(sorted({*not_offered, "density"}))
    comparison, known = _allow(comparison, case.name, deviations)
    status = Status.KNOWN if known and comparison.verdict is Verdict.AGREES else Status(comparison.verdict.value)
    failed = dict.fromkeys(r.quantity for r in rows_of(comparison.table) if r.verdict.failed)
    why = comparison.causes[0].title if comparison.causes else f"differs in {', '.join(failed)}"
    return Result(case, status, why if status.failed else "", comparison, "", said, seconds, not_offered, known)


def _raised(
    case: Case, error: BaseException, said: tuple[str, ...], seconds: float, deviations: Sequence[Deviation]
) -> Result:
    text = cell(" ".join(error_in_words(error).split()))  # its own text: no escape code of it reaches a terminal
    kind = type(error).__name__
    known = tuple(d.number for d in deviations if d.covers_case(case.name) and d.covers_error(kind))
    status = Status.KNOWN if known else Status.NOT_SUPPORTED if is_refusal(error) else Status.RAISED
    return Result(case, status, text, None, text, said, seconds, known=known)


# ---------------------------------------------------------------------------------------------------- what is declared


def without_missing(comparison: Comparison, missing: Iterable[str]) -> tuple[Comparison, tuple[str, ...]]:
    """Leave out the rows that a candidate lacks and declares to lack; a tier of which nothing is left is not judged.

    What is declared are keys of ``OFFERS`` and ``POSTERIOR_OFFERS``; returned beside is which of them are missing.
    """
    declared = frozenset(missing)
    rows, offer = rows_of(comparison.table), _posterior_offer if comparison.kind == "bayes" else _likelihood_offer
    gaps = [
        name if r.verdict is Verdict.MISSING and math.isnan(r.candidate) and (name := offer(r)) in declared else ""
        for r in rows
    ]
    if not any(gaps):
        return comparison, ()
    checks, notes = [], []
    for check in comparison.checks:
        lost = ", ".join(sorted({name for r, name in zip(rows, gaps, strict=True) if r.check == check.id} - {""}))
        left = _again(check, rows, gaps, f"not offered: {lost}")
        checks += [left] if left is not None else []
        notes += [f"{check.title} was not judged: the candidate does not offer {lost}."] if left is None else []
    kept = [r for r, name in zip(rows, gaps, strict=True) if not name]
    # What is declared is no cause, and what the reference lacks is not missing in the candidate.
    lacking = Counter(
        r.quantity for r in kept if math.isnan(r.candidate) and r.verdict in (Verdict.MISSING, Verdict.DISAGREES)
    )
    evidence = "missing: " + ", ".join(f"{name} ({count})" for name, count in lacking.most_common())
    open_ = any(check.verdict.failed or check.verdict is Verdict.INCONCLUSIVE for check in checks)
    causes = tuple(
        replace(cause, evidence=evidence) if cause.name == "missing-numbers" else cause
        for cause in (comparison.causes if open_ else ())
        if lacking or cause.name != "missing-numbers"
    )
    if any(check.verdict.failed for check in checks) and not causes:
        causes = (unknown_cause(checks, kept),)
    undeclared = tuple(sorted({*gaps} - {""}))
    notes.append(f"The candidate declares that it does not offer {', '.join(undeclared)}.")
    found = replace(
        comparison, checks=tuple(checks), table=table_of(kept), causes=causes, notes=(*comparison.notes, *notes)
    )
    return found, undeclared


def _likelihood_offer(row: Row) -> str:
    return next((offer for offer, quantities in OFFERS.items() if row.quantity in quantities), row.quantity)


def _posterior_offer(row: Row) -> str:
    if row.quantity == "log-density":
        return "density"
    if isinstance(row.level, str) and row.group is not None:
        return "new-levels" if "_NEW_" in row.level else "ranef"
    return "VarCorr" if row.group is not None else str(row.term)


def _again(check: Check, rows: Sequence[Row], out: Sequence[object], added: str) -> Check | None:
    """Make a check's outcome anew without its rows that are out, if any; None where nothing is left of it."""
    own = [(r, gone) for r, gone in zip(rows, out, strict=True) if r.check == check.id]
    left = [r for r, gone in own if not gone]
    if len(left) == len(own):
        return check
    failed = sum(r.verdict.failed for r in left)
    summary = f"{len(left)} compared, {failed or 'none'} failed; {added}"
    return check_of(check.id, left, summary, check.rule) if left else None


def _allow(comparison: Comparison, name: str, deviations: Sequence[Deviation]) -> tuple[Comparison, tuple[int, ...]]:
    """Take known deviations out of the verdict; the rows stay in the table as they are."""
    concerned = [deviation for deviation in deviations if deviation.covers_case(name)]
    rows = rows_of(comparison.table)
    hits = [{d.number for d in concerned if d.covers_row(r)} for r in rows]
    if not any(hits):
        return comparison, ()
    table = table_of(
        r._replace(reason=f"known deviation: {r.reason}") if hit else r for r, hit in zip(rows, hits, strict=True)
    )
    checks = []
    for check in comparison.checks:
        text = f"{sum(bool(hit) for r, hit in zip(rows, hits, strict=True) if r.check == check.id)} known deviations"
        only = replace(check, verdict=Verdict.AGREES, summary=f"only {text}")
        checks.append(_again(check, rows, hits, text) or only)
    left = [r for r, hit in zip(rows, hits, strict=True) if not hit]
    failed = {r.quantity for r in left if r.verdict.failed}
    # a cause that is about what is known alone says nothing of the rest
    causes = tuple(cause for cause in comparison.causes if not cause.quantities or cause.quantities & failed)
    causes = causes or (unknown_cause(checks, left),) if failed else ()
    return replace(comparison, checks=tuple(checks), table=table, causes=causes), tuple(sorted(set().union(*hits)))
