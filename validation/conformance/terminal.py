"""The command line's side of conformance: what is printed while it runs and when it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from validation.conformance.answer import OFFERS, POSTERIOR_OFFERS
from validation.conformance.candidate import SHIPPED, Candidate, CandidateError
from validation.conformance.cases import with_reference
from validation.conformance.command import conformance, write
from validation.conformance.isolated import TIME_LIMIT, isolated_candidate
from validation.conformance.output import line
from validation.conformance.run import Result, Status
from validation.options import DEFAULT_SEED
from validation.progress import tracker
from validation.references.choose import choose_source
from validation.report.wording import cell
from validation.suite import FEATURES
from validation.verdict import Verdict

__all__ = ["Files", "candidate_named", "features", "judge", "table"]

_MOST_NAMES = 6


@dataclass(frozen=True)
class Files:
    """What is read besides the candidate, and where the outcome is written (``-``: printed)."""

    deviations: Path | None = None
    junit: Path | None = None
    data: Path | None = None
    report: Path | None = None


def features() -> str:
    """Features, quantities and adapters, as text."""
    width = max(map(len, FEATURES))
    lines = ["Features (--can):", *(f"  {name:<{width}}  {text}" for name, text in FEATURES.items())]
    lines += ["Quantities of likelihood fits (--missing):", f"  {', '.join(OFFERS)}"]
    lines += ["Quantities of posteriors (--missing):", f"  {', '.join(POSTERIOR_OFFERS)}"]
    lines += ["Adapters that ship (--candidate):", f"  {', '.join(SHIPPED)}"]
    return "\n".join(lines)


def table(paths: Sequence[Path]) -> str:
    """The conformance table of several runs, in Markdown."""
    from validation.conformance.table import markdown, read_runs

    return markdown(read_runs(paths))


def candidate_named(target: str, can: str | None, missing: str | None, limit: float | None) -> Candidate:
    """The candidate that a command line names, with what it says it can do.

    Raises
    ------
    CandidateError
        None is named, or it cannot be imported.
    """
    if not target:
        raise CandidateError(
            "no candidate was named; write --candidate package.module:function, or one that ships: "
            + ", ".join(SHIPPED)
        )
    # The folder where the command is run is on the path of the candidate's process, as `python -m` has it: not on ours.
    # Its faults come before R is started.
    return isolated_candidate(target, can, missing, folders=[Path.cwd()], limit=limit or TIME_LIMIT)


def judge(
    candidate: Candidate,
    source: str,
    names: Sequence[str],
    files: Files,
    *,
    seed: int | None,
    quiet: bool,
    out: Console,
    err: Console,
) -> Verdict:
    """Judge a candidate, print a line for each case, write what was asked for, and return the verdict."""
    settled = choose_source(source, certified_first=True)
    chosen = with_reference(settled, names)
    styles = {Status.AGREES: "green", Status.KNOWN: "green", Status.DISAGREES: "red"}
    styles |= dict.fromkeys((Status.MALFORMED, Status.RAISED), "red")

    def show(result: Result) -> None:
        if not quiet and result.status not in (Status.NOT_CLAIMED, Status.NOT_RUN):
            out.print(Text(line(result), style=styles.get(result.status, "")), soft_wrap=True)

    if str(files.data) == "-":
        out = err  # standard output is for the JSON alone
    claimed = sum(not candidate.unclaimed(case.needs) for case in chosen)
    with tracker(claimed, quiet=quiet, console=err) as track:
        outcome = conformance(
            candidate,
            source=settled,
            names=names,
            deviations=files.deviations,
            seed=DEFAULT_SEED if seed is None else seed,
            track=track,
            finished=show,
        )
    unclaimed = [result.case.name for result in outcome.results if result.status is Status.NOT_CLAIMED]
    if unclaimed and not quiet:
        some = ", ".join(unclaimed[:_MOST_NAMES]) + ("" if len(unclaimed) <= _MOST_NAMES else ", ...")
        out.print(Text(f"Not claimed: {len(unclaimed)} of {len(outcome.results)} cases ({some})"), soft_wrap=True)
    stuck = [result for result in outcome.results if result.status is Status.NOT_RUN]
    if stuck:
        why = cell(stuck[0].reason)
        text = f"It failed alike in each of the first cases ({why}); the other {len(stuck)} were not run."
        out.print(Text(text, style="red"), soft_wrap=True)
    absent = _undeclared(outcome.results)
    if absent and not quiet:
        out.print(
            Text(
                f"Not given: {', '.join(absent)}. What the program does not offer can be declared: "
                f"--missing {','.join(absent)}, or MISSING in its module; it is then reported as not offered."
            ),
            soft_wrap=True,
        )
    for problem in outcome.problems:
        out.print(Text(f"Known deviations: {problem}", style="red"), soft_wrap=True)
    for path in write(outcome, files.junit, files.data, files.report):
        if not quiet:
            out.print(f"Wrote {path}", markup=False, highlight=False, soft_wrap=True)
    out.print(Text(f"{outcome.headline} ({outcome.seconds:.0f} s)."), style="bold", soft_wrap=True)
    return outcome.verdict


def _undeclared(results: Sequence[Result]) -> list[str]:
    """Quantities of which a candidate gave nothing at all in a case, and which it did not declare missing."""
    absent: set[str] = set()
    for result in results:
        if result.comparison is None or result.case.kind != "likelihood":
            continue
        table = result.comparison.table
        given = table.groupby("quantity")["candidate"].apply(lambda values: bool(values.notna().any()))
        for name, parts in OFFERS.items():
            known = [part for part in parts if part in given.index]
            if known and not given[known].any() and name not in result.not_offered:
                absent.add(name)
    return [name for name in OFFERS if name in absent]
