"""The report as JSON, for programs: a stable schema with a version.

Layout of version 1 (keys never change their meaning within a version; new ones may be added)::

    schema          name of the layout: "mlmparity-report"
    schema_version  1
    generator       name and version of the program
    source          which of the two it was: live R or recorded references (one sentence)
    verdict         "agrees" | "disagrees" | "malformed" | "inconclusive"
    comparisons     list of
        title, formula, kind, verdict, agrees
        reference, candidate      label, kind, provenance
        checks                    list of id, title, verdict, summary, rule
        causes                    list of fault, name, title, evidence, remedy
        notes                     list of str
        table                     columns (list of str) and rows (list of lists, in that order)
        printed                   reference, candidate

Missing numbers are ``null``; infinite ones the strings ``"Infinity"`` and ``"-Infinity"`` (JSON has neither).
"""

import json
from collections.abc import Sequence
from importlib import metadata

from validation.comparison import TABLE_COLUMNS, Comparison
from validation.judge.rows import rows_of
from validation.plain import Json, plain
from validation.report.wording import checked_table, source_line
from validation.verdict import Verdict

SCHEMA = "mlmparity-report"
SCHEMA_VERSION = 1
_OF_CAUSE = ("fault", "name", "title", "evidence", "remedy")


def dumps(comparisons: Sequence[Comparison], *, reason: str | None = None) -> str:
    """Return the comparisons as JSON text (strict: no ``NaN`` or ``Infinity`` literals).

    ``reason`` says why recorded references were used instead of live R.
    """
    data = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "generator": {"name": "mlmparity", "version": package_version()},
        "source": source_line(comparisons, reason),
        "verdict": str(Verdict.of(comparison.verdict for comparison in comparisons)),
        "comparisons": [_comparison(comparison) for comparison in comparisons],
    }
    return json.dumps(data, allow_nan=False, ensure_ascii=False)


def package_version() -> str:
    """Version of the installed distribution, or of the source tree when it is not installed."""
    try:
        return metadata.version("mlmparity")
    except metadata.PackageNotFoundError:
        return "0+source"


def _comparison(comparison: Comparison) -> dict[str, Json]:
    checked_table(comparison)  # refuses a table that has lost a column
    table = comparison.table.reindex(columns=list(TABLE_COLUMNS))
    return {
        "title": comparison.title,
        "formula": comparison.formula,
        "kind": comparison.kind,
        "verdict": str(comparison.verdict),
        "agrees": comparison.agrees,
        "reference": plain(vars(comparison.reference)),
        "candidate": plain(vars(comparison.candidate)),
        "checks": [plain(vars(check)) for check in comparison.checks],
        "causes": [plain({name: getattr(cause, name) for name in _OF_CAUSE}) for cause in comparison.causes],
        "notes": plain(comparison.notes),
        "table": {"columns": list(TABLE_COLUMNS), "rows": plain(rows_of(table))},
        "printed": plain(comparison.printed),
    }
