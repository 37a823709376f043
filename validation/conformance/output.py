"""What a run of conformance leaves: a table for the terminal, JSON, comparisons for the report."""

import datetime as dt
import json
import math
import platform
from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

from validation.checks import Check, Side
from validation.comparison import Comparison
from validation.conformance.candidate import Candidate
from validation.conformance.run import Result, Status, overall_status
from validation.judge.rows import DOUBLE_DIGITS
from validation.plain import plain
from validation.quantities import records
from validation.report.json import package_version
from validation.verdict import Verdict

SCHEMA, SCHEMA_VERSION = "mlmparity-conformance", 1


class CandidateData(TypedDict):
    """Who was judged, and what it claims."""

    name: str
    versions: dict[str, str]
    can: list[str]
    missing: list[str]


class CauseData(TypedDict):
    """A cause; abridged, its name and title."""

    name: str
    fault: NotRequired[int]
    title: str
    evidence: NotRequired[str]


class FigureData(TypedDict):
    """A quantity's figures (:func:`validation.conformance.run.figures_of`); abridged, three of them."""

    check: NotRequired[str]
    quantity: str
    numbers: NotRequired[int]
    failed: int
    missing: NotRequired[int]
    malformed: NotRequired[int]
    digits: float | None
    scaled: NotRequired[float | str | None]
    unit: NotRequired[str]
    tolerance: NotRequired[float | None]


class ResultData(TypedDict, total=False):
    """A case, in a run's file; abridged it has only what the table needs."""

    case: str
    title: str
    formula: str
    needs: list[str]
    status: str
    reason: str
    error: str
    warnings: list[str]
    seconds: float | None
    not_offered: list[str]
    known_deviations: list[int]
    judged_by: str
    digits: dict[str, float | None]
    checks: list[dict[str, str]]
    causes: list[CauseData]
    figures: list[FigureData]


class RunData(TypedDict):
    """A run as its file has it (schema ``mlmparity-conformance``, version 1)."""

    schema: str
    schema_version: int
    generator: dict[str, str]
    date: str
    python: str
    candidate: CandidateData
    reference: dict[str, str]
    verdict: str
    deviation_problems: list[str]
    results: list[ResultData]


def what_failed(result: Result, most: int = 4) -> str:
    """The quantities that failed with their digits, worst first: ``se (3.6 digits), t (3.6 digits)``."""
    figures = result.figures
    if figures.empty:
        return ""
    failed = figures[figures["failed"] > 0].sort_values("digits", na_position="first")
    parts = []
    for row in records(failed):
        if row["missing"] == row["failed"]:
            parts.append(f"{row['quantity']} ({row['missing']} missing)")
        elif row["malformed"]:
            parts.append(f"{row['quantity']} (malformed)")
        elif math.isfinite(row["digits"]) and row["digits"] < DOUBLE_DIGITS:
            parts.append(f"{row['quantity']} ({row['digits']:.1f} digits)")
        else:
            parts.append(str(row["quantity"]))
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more


def line(result: Result) -> str:
    """One line on a result, for the terminal."""
    text = f"{result.case.name}: {result.status}"
    if result.status in (Status.DISAGREES, Status.MALFORMED):
        text += f" in {what_failed(result)}"
        if result.comparison is not None and result.comparison.causes:
            text += f". Likely cause: {result.reason}"
    elif result.reason:
        text += f" ({result.reason})"
    return text


def as_comparison(result: Result, candidate: Candidate) -> Comparison:
    """The result as a comparison, for the HTML report: what was raised or not claimed is said in a check."""
    if result.comparison is not None:
        return result.comparison
    verdict = Verdict.DISAGREES if result.status.failed else Verdict.INCONCLUSIVE
    if result.status is Status.KNOWN:
        verdict = Verdict.AGREES
    check = Check(
        "run",
        "The candidate fits the model",
        verdict,
        f"{result.status}: {result.reason}",
        "A candidate that claims a feature fits every case that needs it.",
    )
    import pandas as pd

    return Comparison(
        result.case.title,
        result.case.formula,
        result.case.kind,
        Side("not reached", "live-r"),
        Side(candidate.label, "third-party", dict(candidate.versions)),
        (check,),
        pd.DataFrame(),
    )


def as_data(candidate: Candidate, results: Sequence[Result], source: str, problems: Sequence[str] = ()) -> RunData:
    """The run as plain data (schema ``mlmparity-conformance``, version 1)."""
    reference = next((r.comparison.reference for r in results if r.comparison is not None), None)
    verdict = Verdict.DISAGREES if problems else overall_status(results)
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
        "verdict": str(verdict),
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


def _result(result: Result) -> ResultData:
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
        "checks": [
            {"id": check.id, "title": check.title, "verdict": str(check.verdict), "summary": check.summary}
            for check in (comparison.checks if comparison is not None else ())
        ],
        "causes": [
            {"name": cause.name, "fault": cause.fault, "title": cause.title, "evidence": cause.evidence}
            for cause in (comparison.causes if comparison is not None else ())
        ],
        "figures": cast("list[FigureData]", [plain(row) for row in records(result.figures)]),
    }


def as_json(candidate: Candidate, results: Sequence[Result], source: str, problems: Sequence[str] = ()) -> str:
    """The run as JSON text."""
    data = as_data(candidate, results, source, problems)
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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
