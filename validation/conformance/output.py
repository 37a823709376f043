"""The work behind ``mlmparity conformance``: choose, judge, print, write; and the table of several runs.

What a run leaves are lines for the terminal, JSON, and comparisons for the report.
"""

import datetime as dt
import json
import math
import platform
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import pandas as pd

from validation.cases import FEATURES, all_cases, available, with_reference
from validation.comparison import Check, Comparison, Side
from validation.conformance.answer import OFFERS, POSTERIOR_OFFERS
from validation.conformance.candidate import SHIPPED, Candidate, CandidateError
from validation.conformance.deviations import problems_of, read_deviations
from validation.conformance.isolated import TIME_LIMIT, isolated_candidate
from validation.conformance.run import Result, Status, overall_status, run
from validation.console import VisibleConsole
from validation.files import FileError, read_json, write_or_print
from validation.judge.rows import DOUBLE_DIGITS
from validation.options import DEFAULT_SEED
from validation.plain import Json, misfit, plain
from validation.progress import tracker
from validation.quantities import records
from validation.references.choose import Source, choose_source
from validation.report.json import package_version
from validation.report.wording import VERDICT_MARKS, cell, escaped, table
from validation.verdict import Verdict

SCHEMA, SCHEMA_VERSION = "mlmparity-conformance", 1

#: So many quantities that failed are named in a line.
_MOST_FAILED = 4

#: So many cases that are not claimed, too.
_MOST_NAMES = 6


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
) -> Verdict:
    """Judge a candidate, print a line for each case, write what was asked for, and return the verdict.

    ``deviations`` is read; the JSON ``data`` (``-``: printed) and the report are files that are written.
    """
    out = VisibleConsole(stderr=str(data) == "-")  # standard output is for the JSON alone where that is printed

    def say(text: str, style: str = "", always: bool = False) -> None:
        if always or not quiet:
            out.say(text, style)

    def show(result: Result) -> None:
        if result.status not in (Status.NOT_CLAIMED, Status.NOT_RUN):
            say(line(result), VERDICT_MARKS[result.status.verdict][1])

    known = read_deviations(deviations) if deviations is not None else ()
    settled = choose_source(source, certified_first=True)
    cases = with_reference(settled, names)
    began = time.monotonic()
    with tracker(sum(not candidate.unclaimed(case.needs) for case in cases), quiet=quiet) as track:
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
        from validation.report.html import render_page, write_report
        from validation.report.json import dumps

        judged = [as_comparison(result, candidate) for result in results if result.status is not Status.NOT_CLAIMED]
        for path in write_report(report, render_page(judged), dumps(judged)):
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


# ---------------------------------------------------------------------------------------------------- one run


def _what_failed(result: Result) -> str:
    """The quantities that failed with their digits, worst first: ``se (3.6 digits), t (3.6 digits)``."""
    failed = [row for row in records(result.figures) if row["failed"]]
    failed.sort(key=lambda row: row["digits"] if math.isfinite(row["digits"]) else -math.inf)
    parts = []
    for row in failed:
        why = ""
        if row["missing"] == row["failed"]:
            why = f" ({row['missing']} missing)"
        elif row["malformed"]:
            why = " (malformed)"
        elif math.isfinite(row["digits"]) and row["digits"] < DOUBLE_DIGITS:
            why = f" ({row['digits']:.1f} digits)"
        parts.append(f"{row['quantity']}{why}")
    more = f" and {len(parts) - _MOST_FAILED} more" if len(parts) > _MOST_FAILED else ""
    return ", ".join(parts[:_MOST_FAILED]) + more


def line(result: Result) -> str:
    """One line on a result, for the terminal."""
    text = f"{result.case.name}: {result.status}"
    if result.status in (Status.DISAGREES, Status.MALFORMED):
        text += f" in {_what_failed(result)}"
        if result.comparison is not None and result.comparison.causes:
            text += f". Likely cause: {result.reason}"
    elif result.reason:
        text += f" ({result.reason})"
    return text


def as_comparison(result: Result, candidate: Candidate) -> Comparison:
    """The result as a comparison, for the HTML report: what was raised or not claimed is said in a check."""
    if result.comparison is not None:
        return result.comparison
    said, rule = f"{result.status}: {result.reason}", "A candidate that claims a feature fits every case that needs it."
    check = Check("run", "The candidate fits the model", result.status.verdict, said, rule)
    sides = Side("not reached", "live-r"), Side(candidate.label, "third-party", dict(candidate.versions))
    return Comparison(result.case.title, result.case.formula, result.case.kind, *sides, (check,), pd.DataFrame())


def as_data(
    candidate: Candidate, results: Sequence[Result], source: str, problems: Sequence[str] = ()
) -> dict[str, Json]:
    """The run as plain data (schema ``mlmparity-conformance``, version 1)."""
    reference = next((r.comparison.reference for r in results if r.comparison is not None), None)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "generator": {"name": "mlmparity", "version": package_version()},
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "candidate": {
            "name": candidate.name,
            "versions": dict(candidate.versions),
            "can": sorted(candidate.can),
            "missing": sorted(candidate.missing),
        },
        "reference": {"source": source, "label": reference.label if reference is not None else ""},
        "verdict": str(overall_status(results, problems)),
        "deviation_problems": list(problems),
        "results": [_result(result) for result in results],
    }


def _digits(comparison: Comparison | None) -> dict[str, float | None]:
    """Digits of each kind of number, where certified values judge."""
    if comparison is None or comparison.reference.kind != "certified":
        return {}
    from validation.certify.scores import score_table

    found = score_table(comparison.table)
    return {name: round(value, 1) if math.isfinite(value) else None for name, value in found.items()}


def _attributes(things: Iterable[object], *names: str) -> list[Json]:
    return [{name: plain(getattr(thing, name)) for name in names} for thing in things]


def _result(result: Result) -> dict[str, Json]:
    comparison = result.comparison
    return {
        "case": result.case.name,
        "title": result.case.title,
        "formula": result.case.formula,
        "needs": sorted(result.case.needs),
        "status": str(result.status),
        "reason": result.reason,
        "error": result.error,
        "warnings": list(result.warnings),
        "seconds": round(result.seconds, 3) if math.isfinite(result.seconds) else None,
        "not_offered": list(result.not_offered),
        "known_deviations": list(result.known),
        "judged_by": comparison.reference.label if comparison is not None else "",
        "digits": _digits(comparison),
        "checks": _attributes(comparison.checks if comparison else (), "id", "title", "verdict", "summary"),
        "causes": _attributes(comparison.causes if comparison else (), "name", "fault", "title", "evidence"),
        "figures": [plain(row) for row in records(result.figures)],
    }


def properties(result: Result, check: str | None = None) -> list[tuple[str, str]]:
    """Figures as properties of a test, which pytest writes down: of each quantity its digits and largest difference."""
    found = [("status", str(result.status))]
    for row in records(result.figures):
        if check is not None and row["check"] != check:
            continue
        value = f"{row['numbers']} numbers, {row['failed']} failed"
        if math.isfinite(row["digits"]):
            value += f", {row['digits']:.1f} digits"
        if math.isfinite(row["scaled"]):
            value += f", largest difference {row['scaled']:.3g} {row['unit']} (allowed {row['tolerance']:.3g})"
        found.append((f"{row['check']} {row['quantity']}", value))
    if math.isfinite(result.seconds):
        found.append(("seconds", f"{result.seconds:.3f}"))
    return found


# ---------------------------------------------------------------------------------------------------- several runs


class _Candidate(TypedDict):
    name: str
    versions: dict[str, str]


class _Cause(TypedDict):
    title: str


class _Figure(TypedDict):
    quantity: str
    failed: int
    digits: float | None


class ResultData(TypedDict):
    """A case, as far as a table needs what is in a run's file."""

    case: str
    needs: list[str]
    status: str
    error: str
    judged_by: NotRequired[str]
    digits: NotRequired[dict[str, float | None]]
    checks: list[dict[str, str]]
    causes: list[_Cause]
    figures: list[_Figure]


class RunData(TypedDict):
    """A run, as far as a table needs what is in its file (schema ``mlmparity-conformance``, version 1)."""

    schema: str
    schema_version: int
    date: str
    candidate: _Candidate
    reference: dict[str, str]
    results: list[ResultData]


_CELLS = {
    "agrees": "✓",
    "known deviation": "(✓)",
    "disagrees": "✗",
    "malformed": "✗ malformed",
    "raised": "✗ raises",
    "inconclusive": "?",
    "no reference": "",
    "not run": "",
    "not claimed": "–",
}


def read_runs(paths: Iterable[Path]) -> list[RunData]:
    """Read the JSON files of runs; a FileError where one is no such file, or of another version."""
    runs = []
    for path in paths:
        try:
            run = cast("RunData", read_json(path))
        except FileNotFoundError:
            raise FileError(f"there is no file {str(path)!r}") from None
        if misfit(run, RunData) or (run["schema"], run["schema_version"]) != (SCHEMA, SCHEMA_VERSION):
            raise FileError(f"{path.name} is no file of `mlmparity conformance --json` of this version; write it anew")
        runs.append(run)
    return runs


def markdown(runs: Sequence[RunData]) -> str:
    """The table, a row for each case and a column for each candidate, and below what fails, and why."""
    if not runs:
        return "*No runs yet.*"
    statuses = [[result["status"] for result in run["results"]] for run in runs]
    parts = table(
        ["candidate", "version", "judged by", "date", "agrees", "fails", "not claimed"],
        [
            [
                run["candidate"]["name"],
                version_of(run),
                _judges(run),
                run["date"],
                own.count("agrees"),
                sum(own.count(status) for status in ("disagrees", "malformed", "raised")),
                own.count("not claimed"),
            ]
            for run, own in zip(runs, statuses, strict=True)
        ],
    )
    by_run = [by_case(run) for run in runs]
    needs = {name: result["needs"] for own in by_run for name, result in own.items()}
    parts += [
        "",
        *table(
            ["case", "needs", *(run["candidate"]["name"] for run in runs)],
            [
                [name, ", ".join(needs[name]), *(_mark(own[name]) if name in own else "" for own in by_run)]
                for name in needs
            ],
        ),
        "",
        "✓ agrees · ✗ 1 4 differs in tiers 1 and 4 (posteriors: gates) · – not claimed · ? inconclusive",
        "",
    ]
    parts += [text for run in runs for text in _failures(run)]
    return "\n".join(parts).rstrip()


def by_case(run: RunData) -> dict[str, ResultData]:
    """The results of a run, by the names of their cases."""
    return {result["case"]: result for result in run["results"]}


def _mark(result: ResultData) -> str:
    """The cell of a result: which tiers or gates failed, where it disagrees."""
    mark = _CELLS.get(result["status"], "?")
    if result["status"] not in ("disagrees", "malformed"):
        return mark
    failed = [
        check["id"].partition("-")[2]
        for check in result["checks"]
        if check["verdict"] in ("disagrees", "missing", "malformed")
    ]
    return f"{mark} {' '.join(failed)}"


def _judges(run: RunData) -> str:
    """What judged the candidate, with the number of cases where there are several."""
    labels = Counter(label for result in run["results"] if (label := result.get("judged_by")))
    counted = [f"{label} ({count})" if len(labels) > 1 else label for label, count in labels.items()]
    return ", ".join(counted) or str(run["reference"]["label"])


def version_of(run: RunData) -> str:
    """The candidate's version."""
    return ", ".join(run["candidate"]["versions"].values()) or "?"


def _failures(run: RunData) -> list[str]:
    """What a candidate fails, cases of one kind of failure together."""
    kinds: dict[str, list[str]] = {}
    for result in run["results"]:
        if result["status"] == "raised":
            kinds.setdefault(f"raises `{_code(result['error'])}`", []).append(result["case"])
        elif result["status"] in ("disagrees", "malformed", "inconclusive"):
            failed = [row for row in result["figures"] if row["failed"]]
            quantities = ", ".join(dict.fromkeys(row["quantity"] for row in failed[:6]))
            more = len({row["quantity"] for row in failed}) > 6
            digits = [row["digits"] for row in failed if row["digits"] is not None and row["digits"] < DOUBLE_DIGITS]
            cause = result["causes"][0]["title"] if result["causes"] else result["status"]
            known = f"{cause}: {quantities}{', …' if more else ''}"
            kinds.setdefault(known, []).append(result["case"] + (f" ({min(digits):.1f} digits)" if digits else ""))
    if not kinds:
        return []
    lines = [f"**{run['candidate']['name']} {version_of(run)}**", ""]
    lines += [f"- {escaped(kind)} — {', '.join(cases)}" for kind, cases in kinds.items()]
    return [*lines, ""]


def _code(text: str, most: int = 140) -> str:
    short = " ".join(str(text).split()).replace("`", "'")
    return short if len(short) <= most else short[: most - 1] + "…"
