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

from validation.checks import TABLE_COLUMNS
from validation.comparison import Comparison
from validation.plain import Json, plain
from validation.report.wording import checked_table, source_line
from validation.verdict import Verdict

SCHEMA = "mlmparity-report"
SCHEMA_VERSION = 1


def dumps(comparisons: Sequence[Comparison], *, reason: str | None = None, indent: int | None = None) -> str:
    """Return the comparisons as JSON text (strict: no ``NaN`` or ``Infinity`` literals).

    ``reason`` says why recorded references were used instead of live R; ``indent`` is :func:`json.dumps`'s.
    """
    return json.dumps(as_data(comparisons, reason=reason), allow_nan=False, ensure_ascii=False, indent=indent)


def as_data(comparisons: Sequence[Comparison], *, reason: str | None = None) -> dict[str, Json]:
    """Return the same as :func:`dumps`, before it becomes text: dicts, lists, strings and finite numbers only."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "generator": {"name": "mlmparity", "version": package_version()},
        "source": source_line(comparisons, reason),
        "verdict": str(Verdict.of(comparison.verdict for comparison in comparisons)),
        "comparisons": [_comparison(comparison) for comparison in comparisons],
    }


def package_version() -> str:
    """Version of the installed distribution, or of the source tree when it is not installed."""
    try:
        return metadata.version("mlmparity")
    except metadata.PackageNotFoundError:
        return "0+source"


def _comparison(comparison: Comparison) -> dict[str, Json]:
    return {
        "title": comparison.title,
        "formula": comparison.formula,
        "kind": comparison.kind,
        "verdict": str(comparison.verdict),
        "agrees": comparison.agrees,
        "reference": plain(vars(comparison.reference)),
        "candidate": plain(vars(comparison.candidate)),
        "checks": [plain(vars(check)) for check in comparison.checks],
        "causes": [
            plain({name: value for name, value in vars(cause).items() if name != "strength"})
            for cause in comparison.causes
        ],
        "notes": [str(note) for note in comparison.notes],
        "table": _table(comparison),
        "printed": {str(side): str(text) for side, text in comparison.printed.items()},
    }


def _table(comparison: Comparison) -> dict[str, Json]:
    checked_table(comparison)  # refuses a table that has lost a column
    table = comparison.table.reindex(columns=list(TABLE_COLUMNS))
    columns = [[plain(value) for value in table[name].tolist()] for name in TABLE_COLUMNS]
    return {"columns": list(TABLE_COLUMNS), "rows": [list(row) for row in zip(*columns, strict=True)]}
