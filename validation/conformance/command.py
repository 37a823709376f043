"""The work behind ``mlmparity conformance``: choose, judge, print, write."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from validation.cases import FEATURES, all_cases, available, with_reference
from validation.conformance.answer import OFFERS, POSTERIOR_OFFERS
from validation.conformance.candidate import SHIPPED, Candidate, CandidateError
from validation.conformance.deviations import problems_of, read_deviations
from validation.conformance.isolated import TIME_LIMIT, isolated_candidate
from validation.conformance.output import as_comparison, as_data, line
from validation.conformance.run import Result, Status, overall_status, run
from validation.files import write_or_print
from validation.options import DEFAULT_SEED
from validation.progress import tracker
from validation.references.choose import Source, choose_source
from validation.report.wording import cell
from validation.verdict import Verdict

_MOST_NAMES = 6

_STYLES = {Verdict.AGREES: "green", Verdict.DISAGREES: "red", Verdict.MALFORMED: "red"}


def features() -> str:
    """Features, quantities and adapters, as text."""
    width = max(map(len, FEATURES))
    lines = ["Features (--can):", *(f"  {name:<{width}}  {text}" for name, text in FEATURES.items())]
    lines += ["Quantities of likelihood fits (--missing):", f"  {', '.join(OFFERS)}"]
    lines += ["Quantities of posteriors (--missing):", f"  {', '.join(POSTERIOR_OFFERS)}"]
    lines += ["Adapters that ship (--candidate):", f"  {', '.join(SHIPPED)}"]
    return "\n".join(lines)


def candidate_named(target: str, can: str | None, missing: str | None, limit: float | None) -> Candidate:
    """The candidate that a command line names, with what it says it can do."""
    if not target:
        raise CandidateError(
            "no candidate was named; write --candidate package.module:function, or one that ships: "
            + ", ".join(SHIPPED)
        )
    # The folder where the command is run is on the path of the candidate's process, as `python -m` has it: not on ours.
    # Its faults come before R is started.
    return isolated_candidate(target, can, missing, folders=[Path.cwd()], limit=limit or TIME_LIMIT)


def claimed_cases(candidate: Candidate, source: Source) -> frozenset[str]:
    """Names of all cases that could be judged: claimed, and with a reference."""
    there = available(source)
    return frozenset(case.name for case in all_cases() if not candidate.unclaimed(case.needs) and case.name in there)


def judge(
    candidate: Candidate,
    source: str | Source,
    names: Sequence[str],
    *,
    deviations: Path | None,
    data: Path | None,
    report: Path | None,
    seed: int | None,
    quiet: bool,
    out: Console,
    err: Console,
) -> Verdict:
    """Judge a candidate, print a line for each case, write what was asked for, and return the verdict.

    ``deviations`` is read; the JSON ``data`` (``-``: printed) and the report are files that are written.
    """
    if str(data) == "-":
        out = err  # standard output is for the JSON alone

    def say(text: str, style: str = "", always: bool = False) -> None:
        if always or not quiet:
            out.print(Text(text, style=style), soft_wrap=True)

    def show(result: Result) -> None:
        if result.status not in (Status.NOT_CLAIMED, Status.NOT_RUN):
            say(line(result), _STYLES.get(result.status.verdict, ""))

    known = read_deviations(deviations) if deviations is not None else ()
    settled = choose_source(source, certified_first=True)
    cases = with_reference(settled, names)
    began = time.monotonic()
    with tracker(sum(not candidate.unclaimed(case.needs) for case in cases), quiet=quiet, console=err) as track:
        results = run(
            candidate,
            cases,
            settled,
            deviations=known,
            seed=DEFAULT_SEED if seed is None else seed,
            track=track,
            finished=show,
        )
    could = claimed_cases(candidate, settled)
    problems = [problem for deviation in known for problem in problems_of(deviation, results, could)]
    verdict = overall_status(results, problems)
    unclaimed = [result.case.name for result in results if result.status is Status.NOT_CLAIMED]
    if unclaimed:
        some = ", ".join(unclaimed[:_MOST_NAMES]) + ("" if len(unclaimed) <= _MOST_NAMES else ", ...")
        say(f"Not claimed: {len(unclaimed)} of {len(results)} cases ({some})")
    stuck = [cell(result.reason) for result in results if result.status is Status.NOT_RUN]
    if stuck:
        rest = f"the other {len(stuck)} were not run."
        say(f"It failed alike in each of the first cases ({stuck[0]}); {rest}", "red", always=True)
    absent = _undeclared(results)
    if absent:
        say(
            f"Not given: {', '.join(absent)}. What the program does not offer can be declared: "
            f"--missing {','.join(absent)}, or MISSING in its module; it is then reported as not offered."
        )
    for problem in problems:
        say(f"Known deviations: {problem}", "red", always=True)
    if data is not None:
        written = as_data(candidate, results, settled.name, problems)
        write_or_print(data, json.dumps(written, indent=1, ensure_ascii=False, allow_nan=False))
        if str(data) != "-":
            say(f"Wrote {data}")
    if report is not None:
        from validation.report.html import write_report

        judged = [result for result in results if result.status is not Status.NOT_CLAIMED]
        for path in write_report(report, [as_comparison(result, candidate) for result in judged]):
            say(f"Wrote {path}")
    seconds = time.monotonic() - began
    say(f"{headline(candidate, results, verdict)} ({seconds:.0f} s).", "bold", always=True)
    return verdict


def headline(candidate: Candidate, results: Sequence[Result], verdict: Verdict) -> str:
    """The verdict in one sentence, with the counts."""
    statuses = [result.status for result in results]
    if all(status is Status.NOT_CLAIMED for status in statuses):
        return f"{candidate.label}: nothing was judged, for it claims none of the {len(statuses)} cases"
    counts = ", ".join(f"{status} {statuses.count(status)}" for status in Status if status in statuses)
    words = {
        Verdict.DISAGREES: "does not agree",
        Verdict.MALFORMED: "hands over malformed values and so cannot be said to agree",
        Verdict.INCONCLUSIVE: "cannot be said to agree",
        Verdict.AGREES: "agrees",
    }[verdict]
    return f"{candidate.label} {words} with the reference on what it claims: {counts}"


def _undeclared(results: Sequence[Result]) -> list[str]:
    """Quantities of which a candidate gave nothing at all in a case, and which it did not declare missing."""
    absent: set[str] = set()
    for result in results:
        if result.case.kind == "likelihood":
            asked = {r.quantity for r in result.rows}
            given = {r.quantity for r in result.rows if not math.isnan(r.candidate)}
            lacking = {name for name, parts in OFFERS.items() if parts & asked and not parts & given}
            absent |= lacking - {*result.not_offered}
    return [name for name in OFFERS if name in absent]
