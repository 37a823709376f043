"""Judge a candidate case by case: fit, compare with the reference, allow for what is declared, say why it fails."""

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import cast

import numpy as np
import pandas as pd

from validation.cases import Case
from validation.checks import Check, Side
from validation.compare import About, is_refusal, judge_pair
from validation.comparison import Comparison
from validation.conformance.answer import OFFERS, Answer, as_fit, as_posterior
from validation.conformance.candidate import Candidate
from validation.conformance.deviations import Deviation, Seen
from validation.contract import BayesianFit, LinearMixedFit
from validation.errors import RAISED, error_in_words
from validation.judge.diagnosis import unknown_cause
from validation.judge.rows import Row, check_of, rows_of
from validation.options import DEFAULT_SEED
from validation.progress import Tracker
from validation.quantities import records
from validation.references.choose import Source, choose_source, reference_of
from validation.references.reference import Fitted, Reference
from validation.report.wording import cell
from validation.tolerances import FAILED_ALIKE
from validation.verdict import Cause, Verdict

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
    def failed(self) -> bool:
        """Whether the candidate fails."""
        return self in (Status.DISAGREES, Status.MALFORMED, Status.RAISED)


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
    seen: Seen | None = None  # what failed before known deviations were allowed for
    figures: pd.DataFrame = field(default_factory=pd.DataFrame)  # :func:`figures_of` the comparison


def overall_status(results: Sequence[Result]) -> Verdict:
    """The verdict on a run: a failure beats what is inconclusive beats agreement; nothing judged is inconclusive."""
    judged = [result.status for result in results if result.status is not Status.NOT_CLAIMED]
    if _failed_alike(results) is not None:
        return Verdict.INCONCLUSIVE  # it fitted nothing at all: nothing was compared
    failures = {status for status in judged if status.failed}
    if failures:
        return Verdict.MALFORMED if failures == {Status.MALFORMED} else Verdict.DISAGREES
    open_ = (Status.INCONCLUSIVE, Status.NOT_SUPPORTED, Status.NO_REFERENCE, Status.NOT_RUN)
    if not judged or any(status in open_ for status in judged):
        return Verdict.INCONCLUSIVE
    return Verdict.AGREES


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
        followed = track is not None and not candidate.unclaimed(case.needs)
        if track is not None and followed:
            track.start(case.title)
        result = judge_case(candidate, case, source, deviations=deviations, seed=seed)
        if track is not None and followed:
            track.finish()
        results.append(result)
        finished(result)
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
    options: dict[str, object] = dict(case.options)
    if case.kind == "bayes":
        options["seed"] = seed
    else:
        options["REML"] = case.REML
    started = time.perf_counter()
    with warnings.catch_warnings(record=True, action="always") as caught:
        try:
            answer = function(case.formula, data.copy(), **options)
            fit = (
                as_posterior(answer)
                if case.kind == "bayes"
                else as_fit(answer, case.formula, data, case.REML, candidate.missing)
            )
            failure: BaseException | None = None
        except RAISED as error:  # a candidate may raise anything: it is a field of the result
            logging.getLogger(__name__).debug("%s raised", candidate.name, exc_info=True)
            failure = error
    seconds = time.perf_counter() - started
    said = tuple(
        dict.fromkeys(" ".join(error_in_words(cast("Warning", w.message)).split()) for w in caught[:_MOST_WARNINGS])
    )
    if failure is not None:
        return _raised(case, failure, said, seconds, deviations)
    try:
        comparison = _compare(candidate, case, reference, fit, seed)
    except (SystemExit, GeneratorExit) as error:  # what a fit answers, it may compute when it is asked
        return _raised(case, error, said, seconds, deviations)
    comparison, not_offered = without_missing(comparison, candidate.missing)
    if case.kind == "bayes" and not any(check.id == "gate-1" for check in comparison.checks):
        not_offered = tuple(sorted({*not_offered, "density"}))
    failed = comparison.table[[verdict.failed for verdict in comparison.table["verdict"]]]
    comparison, known = _allow(comparison, case.name, deviations)
    status = {
        Verdict.AGREES: Status.KNOWN if known else Status.AGREES,
        Verdict.INCONCLUSIVE: Status.INCONCLUSIVE,
        Verdict.MALFORMED: Status.MALFORMED,
    }.get(comparison.verdict, Status.DISAGREES)
    figures = figures_of(comparison.table)
    reason = ""
    if status.failed:
        quantities = ", ".join(dict.fromkeys(figures.loc[figures["failed"] > 0, "quantity"]))
        reason = comparison.causes[0].title if comparison.causes else f"differs in {quantities}"
    seen = Seen(case.name, failed)
    return Result(case, status, reason, comparison, "", said, seconds, not_offered, known, seen, figures)


def _raised(
    case: Case, error: BaseException, said: tuple[str, ...], seconds: float, deviations: Sequence[Deviation]
) -> Result:
    kind = type(error).__name__
    text = cell(" ".join(error_in_words(error).split()))  # its own text: no escape code of it reaches a terminal
    known = tuple(d.number for d in deviations if d.covers_case(case.name) and d.covers_error(kind))
    status = Status.KNOWN if known else Status.NOT_SUPPORTED if is_refusal(error) else Status.RAISED
    nothing = pd.DataFrame(columns=["check", "quantity", "scaled"])
    seen = Seen(case.name, nothing, kind)
    return Result(case, status, text, None, text, said, seconds, known=known, seen=seen)


def _compare(
    candidate: Candidate, case: Case, reference: Reference, fit: LinearMixedFit | BayesianFit, seed: int
) -> Comparison:
    if isinstance(fit, Answer):
        fit.align(cast("LinearMixedFit", reference.fit))
    side = Side(candidate.label, "third-party", dict(candidate.versions))
    density = callable(getattr(fit, "log_prob", None)) or "density" not in candidate.missing
    about = About(case.formula, case.title, case.REML, reference.data, seed, density=density)
    return judge_pair(reference, Fitted(fit, side), about)


# ---------------------------------------------------------------------------------------------------- what is declared


def without_missing(comparison: Comparison, missing: Iterable[str]) -> tuple[Comparison, tuple[str, ...]]:
    """Leave out the rows that a candidate lacks and declares to lack; a tier of which nothing is left is not judged.

    What is declared are keys of ``OFFERS`` and ``POSTERIOR_OFFERS``; returned beside is which of them are missing.
    """
    declared = set(missing)
    table = comparison.table
    if not declared or table.empty:
        return comparison, ()
    offered = _posterior_offer if comparison.kind == "bayes" else _likelihood_offer
    names = np.array(
        [offered(record) for record in records(table[["quantity", "term", "level", "group"]])], dtype=object
    )
    missing_there = np.array([verdict is Verdict.MISSING for verdict in table["verdict"]], dtype=bool)
    lacking = missing_there & table["candidate"].isna().to_numpy() & np.isin(names, list(declared))
    if not lacking.any():
        return comparison, ()
    kept = table[~lacking].reset_index(drop=True)
    checks, notes = [], []
    for check in comparison.checks:
        own = (table["check"] == check.id).to_numpy()
        gone, rows = ", ".join(sorted(set(names[own & lacking]))), rows_of(table[own & ~lacking])
        if gone and not rows:
            notes.append(f"{check.title} was not judged: the candidate does not offer {gone}.")
        else:
            checks.append(_again(check, rows, f"not offered: {gone}") if gone else check)
    open_ = any(check.verdict.failed or check.verdict is Verdict.INCONCLUSIVE for check in checks)
    causes = comparison.causes if open_ else ()
    if not _lacking(kept).any():
        # What is declared is no cause, and what the reference lacks is not missing in the candidate.
        causes = tuple(cause for cause in causes if cause.name != "missing-numbers")
    causes = tuple(_of_what_is_left(cause, kept) if cause.name == "missing-numbers" else cause for cause in causes)
    if any(check.verdict.failed for check in checks) and not causes:
        causes = (unknown_cause(checks, rows_of(kept)),)
    gaps = tuple(sorted(set(names[lacking])))
    notes.append(f"The candidate declares that it does not offer {', '.join(gaps)}.")
    found = replace(comparison, checks=tuple(checks), table=kept, causes=causes, notes=(*comparison.notes, *notes))
    return found, gaps


def _lacking(table: pd.DataFrame) -> np.ndarray:
    """Which rows the candidate lacks."""
    missing = np.array([verdict in (Verdict.MISSING, Verdict.DISAGREES) for verdict in table["verdict"]], dtype=bool)
    return missing & table["candidate"].isna().to_numpy()


def _of_what_is_left(cause: Cause, kept: pd.DataFrame) -> Cause:
    """The cause that numbers are missing, of those that are offered."""
    lacking = kept.loc[_lacking(kept), "quantity"].value_counts()
    return replace(cause, evidence="missing: " + ", ".join(f"{name} ({count})" for name, count in lacking.items()))


def _likelihood_offer(record: Mapping[str, object]) -> str:
    quantity = record["quantity"]
    return next((offer for offer, quantities in OFFERS.items() if quantity in quantities), str(quantity))


def _posterior_offer(record: Mapping[str, object]) -> str:
    term, group, level = record["term"], record["group"], record["level"]
    if record["quantity"] == "log-density":
        return "density"
    if isinstance(level, str) and group is not None:
        return "new-levels" if "_NEW_" in level else "ranef"
    return "VarCorr" if group is not None else str(term)


def _again(check: Check, rows: Sequence[Row], added: str) -> Check:
    """Make the check's outcome anew from the rows that are left."""
    failed = [r for r in rows if r.verdict.failed]
    summary = f"{len(rows)} compared, {len(failed)} failed" if failed else f"{len(rows)} compared, none failed"
    return check_of(check.id, rows, f"{summary}; {added}", check.rule)


def _allow(comparison: Comparison, name: str, deviations: Sequence[Deviation]) -> tuple[Comparison, tuple[int, ...]]:
    """Take known deviations out of the verdict; the rows stay in the table as they are."""
    concerned = [deviation for deviation in deviations if deviation.covers_case(name)]
    if not concerned or comparison.table.empty:
        return comparison, ()
    table = comparison.table.copy()
    hits = [
        {d.number for d in concerned if r.verdict.failed and d.covers_row(r.check, r.quantity, r.scaled)}
        for r in rows_of(table)
    ]
    known = np.array([bool(numbers) for numbers in hits], dtype=bool)
    if not known.any():
        return comparison, ()
    table["reason"] = table["reason"].astype(object).mask(known, "known deviation: " + table["reason"].astype(str))
    checks = []
    for check in comparison.checks:
        own = (table["check"] == check.id).to_numpy()
        text, rows = f"{int((own & known).sum())} known deviations", rows_of(table[own & ~known])
        if not (own & known).any():
            checks.append(check)
        elif rows:
            checks.append(_again(check, rows, text))
        else:
            checks.append(replace(check, verdict=Verdict.AGREES, summary=f"only {text}"))
    causes = comparison.causes if any(check.verdict.failed for check in checks) else ()
    return replace(comparison, checks=tuple(checks), table=table, causes=causes), tuple(sorted(set().union(*hits)))


# ---------------------------------------------------------------------------------------------------- figures


_FIGURES = ("check", "quantity", "numbers", "failed", "missing", "malformed", "digits", "scaled", "unit", "tolerance")


def figures_of(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each check and quantity: numbers, failures, fewest digits, largest difference (:data:`_FIGURES`)."""

    def of(part: pd.DataFrame) -> dict[str, object]:
        scaled = part["scaled"].to_numpy(dtype=float)
        worst = part.iloc[int(np.nanargmax(scaled)) if np.isfinite(scaled).any() else 0]
        verdicts = list(part["verdict"])
        return {
            "check": worst["check"],
            "quantity": worst["quantity"],
            "numbers": len(part),
            "failed": sum(verdict.failed for verdict in verdicts),
            "missing": verdicts.count(Verdict.MISSING),
            "malformed": verdicts.count(Verdict.MALFORMED),
            "digits": float(part["digits"].astype(float).where(np.isfinite).min()),
            "scaled": float(worst["scaled"]),
            "unit": str(worst["unit"]),
            "tolerance": float(worst["tolerance"]),
        }

    rows = [of(part) for _, part in table.groupby(["check", "quantity"], sort=False)]
    return pd.DataFrame(rows, columns=list(_FIGURES))
