"""The conformance table: who agrees with R on what, in Markdown, from the JSON files of several runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from validation.conformance.output import SCHEMA, SCHEMA_VERSION, ResultData, RunData
from validation.files import FileError, read_json
from validation.judge.rows import DOUBLE_DIGITS
from validation.plain import misfit
from validation.report.markdown import escaped, table

#: What the table needs of each result.
_OF_A_RESULT = {"case", "needs", "status", "error", "checks", "causes", "figures"}

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
        if (
            misfit(run, RunData)
            or run["schema"] != SCHEMA
            or run["schema_version"] != SCHEMA_VERSION
            or any(not result.keys() >= _OF_A_RESULT for result in run["results"])
        ):
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
    cases = {result["case"]: result for run in reversed(runs) for result in run["results"]}
    order = dict.fromkeys(result["case"] for run in runs for result in run["results"])
    by_run = [by_case(run) for run in runs]
    parts += [
        "",
        *table(
            ["case", "needs", *(run["candidate"]["name"] for run in runs)],
            [
                [name, ", ".join(cases[name]["needs"]), *(_mark(own[name]) if name in own else "" for own in by_run)]
                for name in order
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
