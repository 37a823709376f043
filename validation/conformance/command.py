"""The work behind ``mlmparity conformance``: choose, judge, print, write."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from validation.conformance.candidate import Candidate
from validation.conformance.cases import all_cases, available, with_reference
from validation.conformance.deviations import problems_of, read_deviations
from validation.conformance.output import as_comparison, as_json, as_junit
from validation.conformance.run import Result, Status, overall_status, run
from validation.files import write_or_print
from validation.options import DEFAULT_SEED
from validation.progress import Tracker
from validation.references.choose import Source, choose_source
from validation.verdict import Verdict

__all__ = ["Outcome", "claimed_cases", "conformance", "write"]


@dataclass(frozen=True)
class Outcome:
    """A whole run: the results, what is wrong with the file of known deviations, the verdict."""

    candidate: Candidate
    source: Source
    results: list[Result]
    problems: list[str]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The verdict; a known deviation that no longer applies is a failure."""
        return Verdict.DISAGREES if self.problems else overall_status(self.results)

    @property
    def headline(self) -> str:
        """The verdict in one sentence, with the counts."""
        statuses = [result.status for result in self.results]
        counts = ", ".join(f"{status} {statuses.count(status)}" for status in Status if status in statuses)
        words = {
            Verdict.DISAGREES: "does not agree",
            Verdict.MALFORMED: "hands over malformed values and so cannot be said to agree",
            Verdict.INCONCLUSIVE: "cannot be said to agree",
            Verdict.AGREES: "agrees",
        }[self.verdict]
        judged = len(statuses) - statuses.count(Status.NOT_CLAIMED)
        if not judged:
            return f"{self.candidate.label}: nothing was judged, for it claims none of the {len(statuses)} cases"
        return f"{self.candidate.label} {words} with the reference on what it claims: {counts}"


def conformance(
    candidate: Candidate,
    *,
    source: str | Source = "auto",
    names: Sequence[str] = (),
    deviations: Path | None = None,
    seed: int = DEFAULT_SEED,
    track: Tracker | None = None,
    finished: Callable[[Result], None] = lambda result: None,
) -> Outcome:
    """Judge a candidate.

    Parameters
    ----------
    candidate : Candidate
        As of :func:`validation.conformance.isolated.isolated_candidate`: called in its own process.
    source : str or Source
        As of :func:`validation.references.choose.choose_source`; "auto" takes certified values first.
    names : sequence of str
        Cases; all that the source has where none is given.
    deviations : path, optional
        The third party's file of known deviations.
    seed : int
    track : validation.progress.Tracker, optional
    finished : callable
        Called with each result.

    Raises
    ------
    validation.conformance.candidate.CandidateError, validation.conformance.deviations.DeviationError
    validation.errors.UnknownCaseError, validation.errors.NoReferenceError, validation.errors.NoRError
    """
    known = read_deviations(deviations) if deviations is not None else ()
    settled = choose_source(source, certified_first=True)
    chosen = with_reference(settled, names)
    began = time.monotonic()
    results = run(candidate, chosen, settled, deviations=known, seed=seed, track=track, finished=finished)
    seen = [result.seen for result in results if result.seen is not None]
    could = claimed_cases(candidate, settled)
    problems = [problem for deviation in known for problem in problems_of(deviation, seen, could)]
    return Outcome(candidate, settled, results, problems, time.monotonic() - began)


def claimed_cases(candidate: Candidate, source: Source) -> frozenset[str]:
    """Names of all cases that could be judged: claimed, and with a reference."""
    there = available(source)
    return frozenset(case.name for case in all_cases() if not candidate.unclaimed(case.needs) and case.name in there)


def write(outcome: Outcome, junit: Path | None, data: Path | None, report: Path | None) -> list[Path]:
    """Write what was asked for (``-``: print it); each file is whole or not there."""
    from validation.report.files import write_report

    written = []
    for path, make in (
        (junit, lambda: as_junit(outcome.candidate, outcome.results, outcome.problems)),
        (data, lambda: as_json(outcome.candidate, outcome.results, outcome.source.name, outcome.problems)),
    ):
        if path is not None:
            write_or_print(path, make().rstrip("\n"))
            written += [] if str(path) == "-" else [path]
    if report is not None:
        judged = [result for result in outcome.results if result.status is not Status.NOT_CLAIMED]
        written += write_report(report, [as_comparison(result, outcome.candidate) for result in judged])
    return written
