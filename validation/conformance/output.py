"""What runs of conformance leave: lines for the terminal, JSON, comparisons for the report, a table of several."""

import datetime as dt
import math
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import pandas as pd

from validation.comparison import Check, Comparison, Side
from validation.conformance.candidate import Candidate
from validation.conformance.run import Result, Status, overall_status
from validation.files import FileError, read_json
from validation.judge.rows import DOUBLE_DIGITS
from validation.plain import Json, misfit, plain
from validation.quantities import records
from validation.report.json import package_version
from validation.report.markdown import escaped, table

SCHEMA, SCHEMA_VERSION = "mlmparity-conformance", 1

#: So many quantities that failed are named in a line.
_MOST_FAILED = 4


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
    check = Check(
        "run",
        "The candidate fits the model",
        result.status.verdict,
        f"{result.status}: {result.reason}",
        "A candidate that claims a feature fits every case that needs it.",
    )
    return Comparison(
        result.case.title,
        result.case.formula,
        result.case.kind,
        Side("not reached", "live-r"),
        Side(candidate.label, "third-party", dict(candidate.versions)),
        (check,),
        pd.DataFrame(),
    )


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
    for run in runs:
        parts += _failures(run)
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
    labels = [result.get("judged_by") for result in run["results"]]
    counts = {label: labels.count(label) for label in dict.fromkeys(labels) if label}
    if not counts:
        return str(run["reference"]["label"])
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{label} ({count})" for label, count in counts.items())


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
