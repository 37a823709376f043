"""The report as one self-contained HTML page: no request leaves it, scripts and styles are inline.

Everything that comes from data is escaped by jinja2 (autoescape is on for every template); all rows of the tables are
in the page as compressed JSON, the first ones as HTML. The page works without JavaScript, which only adds the others,
sorting and filtering.
"""

import base64
import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from validation.checks import Row, Side
from validation.comparison import Comparison
from validation.judge.rows import rows_of
from validation.owndata import some
from validation.plain import plain
from validation.report.glossary import GLOSSARY, term_of
from validation.report.json import package_version
from validation.report.plots import Plot, plots
from validation.report.result import digits_of, result_of
from validation.report.wording import (
    VERDICT_SYMBOLS,
    cell,
    checked_table,
    counts,
    failed_rows,
    format_number,
    headline,
    main_rows,
    place_of,
    quantity_words,
    side_names,
    source_line,
    summary_line,
    tolerance_text,
)
from validation.verdict import Verdict

#: So many rows stand in the page's HTML; the script shows the others (they are in the page as JSON).
STATIC_ROWS = 25

_MOST_IN_FOOT = 24
_HASH = 16  # letters of a hash that are shown
_FEW_LIMITS = 3
_GOOD = (Verdict.AGREES, Verdict.BETTER)
#: Comparisons of a page up to which each has its pictures; of more, those that do not agree. Pictures are two thirds of
#: the time that a comparison with recorded values takes.
_ALL_DRAWN = 12
_MOST_LINES = 60  # of a printed summary that stands open


def render_page(
    comparisons: Sequence[Comparison],
    *,
    reason: str | None = None,
    generated: str | None = None,
    extra_plots: Mapping[str, Sequence[Plot]] | None = None,
    command: str | None = None,
) -> str:
    """Return the comparisons as one HTML page.

    Parameters
    ----------
    comparisons : sequence of Comparison
        May be empty: the page then says that nothing was compared.
    reason : str, optional
        Why recorded references were used instead of live R.
    generated : str, optional
        When and how the page was made, for its foot.
    extra_plots : mapping of str to sequence of Plot, optional
        Further pictures by title of the comparison.
    command : str, optional
        The command that repeats the run, for the page's foot.
    """
    extra = extra_plots or {}
    verdict = Verdict.of(comparison.verdict for comparison in comparisons)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            source=source_line(comparisons, reason),
            headline=headline(comparisons),
            summary=summary_line(comparisons),
            verdict=_badge(verdict),
            views=[
                view(c, number, extra.get(c.title, ()), drawn=len(comparisons) <= _ALL_DRAWN or c.verdict not in _GOOD)
                for number, c in enumerate(comparisons, start=1)
            ],
            version=package_version(),
            generated=generated,
            command=command,
            glossary=GLOSSARY,
            foot=_foot(comparisons),
            policy=_policy(),
        )
    )


def render_fragment(comparison: Comparison) -> str:
    """Verdict, checks, causes, notes, first rows and plots for a notebook's cell: no script, styles confined to it."""
    return environment().get_template("fragment.html.j2").render(view=view(comparison))


#: Kinds of comparisons in words.
_KINDS = {"likelihood": "Likelihood", "bayes": "Bayes", "anova": "Likelihood-ratio tests"}


def view(comparison: Comparison, number: int = 1, extra: Sequence[Plot] = (), *, drawn: bool = True) -> dict[str, Any]:
    """All that the templates need to show one comparison; its pictures where they are `drawn`."""
    table = checked_table(comparison)
    failed = failed_rows(table)
    main = main_rows(table)
    first = failed.index.append(main.index.difference(failed.index, sort=False))
    ordered = table.loc[first.append(table.index.difference(first, sort=False))]
    rows = [_row(row) for row in rows_of(ordered)]
    return {
        "anchor": f"comparison-{number}",
        "number": number,
        "title": cell(comparison.title),
        "formula": cell(comparison.formula),
        "kind": _KINDS.get(comparison.kind, comparison.kind),
        "verdict": _badge(comparison.verdict),
        "result": result_of(comparison),
        "agreement": _agreement(comparison, len(table), len(failed)),
        "names": side_names(comparison),
        "reference": cell(comparison.reference.label),
        "candidate": cell(comparison.candidate.label),
        "checks": [
            {
                "id": cell(c.id),
                "term": term_of(c.id),
                "title": cell(c.title),
                "summary": cell(c.summary),
                "rule": cell(c.rule),
                "verdict": _badge(c.verdict),
            }
            for c in comparison.checks
        ],
        "causes": [
            {"title": cell(cause.title), "evidence": cell(cause.evidence), "remedy": cell(cause.remedy)}
            for cause in comparison.causes
        ],
        "notes": [cell(note) for note in comparison.notes],
        "least_digits": "" if comparison.kind == "bayes" else _least_digits(main),
        "row_count": len(table),
        "failed_count": len(failed),
        "counts": [(_badge(v), n) for v, n in counts(table).items()],
        "quantities": list(dict.fromkeys(quantity_words(q) for q in ordered["quantity"])),
        "static_rows": rows[:STATIC_ROWS],
        "remarks": any(row["remark"] for row in rows),
        "reasons": _reasons(rows),
        "data": _deflated(_columns(rows)),
        "plots": [
            {"name": p.name, "title": p.title, "alt": p.alt, "svg": _placed(p, f"p{number}-{i}")}
            for i, p in enumerate([*extra, *(plots(comparison) if drawn else ())])
        ],
        "digits": digits_of(comparison),
        "printed": _printed(comparison),
        "provenance": [(name, _provenance(side)) for name, side in _sides(comparison)],
    }


def _agreement(comparison: Comparison, numbers: int, failed: int) -> str:
    """One line on the checks: what stands in place of them where they are folded."""
    checks = len(comparison.checks)
    agreed = sum(not check.verdict.failed and check.verdict is not Verdict.INCONCLUSIVE for check in comparison.checks)
    words = f"{agreed} of {checks} checks agree" if agreed < checks else f"all {checks} checks agree"
    if checks == 0:
        words = "no check was made"
    elif checks == 1:
        words = "the check agrees" if agreed else "the check does not agree"
    compared = f"{numbers:,} number{'s' * (numbers != 1)} compared"
    return f"{words}; {compared}" + (f", {failed:,} of them outside their tolerance" if failed else "")


def _foot(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Versions, machine and hashes of the data: what somebody needs who wants the same numbers."""
    kept: dict[str, dict[str, None]] = {"Versions": {}, "Machine": {}}
    hashes: dict[str, dict[str, None]] = {}
    machine = {"platform", "system", "machine", "blas", "BLAS", "LAPACK", "os"}
    for comparison in comparisons:
        for side in (comparison.reference, comparison.candidate):
            for key, value in _provenance(side):
                last = key.rpartition(".")[2]
                if last in machine:
                    kept["Machine"].setdefault(f"{last} {value}")
                elif last in ("data", "sha256") and len(value) >= _HASH:
                    hashes.setdefault(value[:_HASH], {}).setdefault(cell(comparison.title))
                elif key.startswith("packages.") or last in ("R", "mlmparity", "python", "numpy", "scipy", "pandas"):
                    kept["Versions"].setdefault(f"{last} {value}")
    # where all comparisons have the same data, their names say nothing
    kept["Data (SHA-256)"] = {
        f"{found} ({'; '.join(titles)})" if len(hashes) > 1 else found: None for found, titles in hashes.items()
    }
    return [(name, some(list(values), _MOST_IN_FOOT)) for name, values in kept.items() if values]


@cache
def environment() -> Environment:
    """The templates' own: what comes from data is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("validation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["raw"] = _raw
    return made


@cache
def _raw(name: str) -> Markup:
    """Return a style sheet or script of ours, as it is."""
    loader = PackageLoader("validation.report", "templates")
    source, _, _ = loader.get_source(Environment(), name)
    return Markup(source)


@cache
def _policy() -> Markup:
    """Content-Security-Policy of the page: our one script runs, nothing is loaded, nothing is sent.

    Should text from data ever get into the page as markup, it could run nothing. Styles are inline, for the pictures
    are SVG with style attributes.
    """
    script = base64.b64encode(hashlib.sha256(_raw("script.js").encode("utf-8")).digest()).decode("ascii")
    return Markup(
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _badge(verdict: Verdict) -> dict[str, str]:
    return {"name": str(verdict), "word": str(verdict), "symbol": VERDICT_SYMBOLS[verdict]}


def _row(row: Row) -> dict[str, Any]:
    return {
        "verdict": _badge(row.verdict),
        "check": row.check,
        "quantity": quantity_words(row.quantity),
        "place": place_of(row),
        "reference": format_number(row.reference, _digits_shown(row)),
        "candidate": format_number(row.candidate, _digits_shown(row)),
        "difference": format_number(row.difference, 2),
        "digits": "" if pd.isna(row.digits) else f"{row.digits:.1f}" if np.isfinite(row.digits) else "Inf",
        "scaled": format_number(row.scaled, 2),
        "limit": tolerance_text(row.tolerance, row.unit),
        "tolerance": plain(row.tolerance),  # to sort by
        "reason": row.reason,
        # why it agrees is the tolerance's reason, which stands once below the table
        "remark": "" if row.verdict in _GOOD else row.reason,
    }


def _digits_shown(row: Row) -> int:
    """Two digits more than both sides have alike, within reason: what is beyond says nothing."""
    return 8 if pd.isna(row.digits) else int(min(8, max(5, math.ceil(row.digits) + 2)))


def _reasons(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Tolerances with what they are for and why they are what they are, each once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row["verdict"]["name"] in _GOOD and row["reason"]:
            found.setdefault((row["reason"], row["limit"]), {}).setdefault(row["quantity"])
    kept: dict[str, tuple[list[str], dict[str, None]]] = {}
    for (reason, tolerance), quantities in found.items():
        limits, words = kept.setdefault(reason, ([], {}))
        limits += [tolerance] if tolerance and tolerance not in limits else []
        words.update(quantities)
    return [(", ".join(words), _some(limits), reason) for reason, (limits, words) in kept.items()]


def _some(limits: list[str]) -> str:
    """A few tolerances, or the range of many that are made from the numbers themselves."""
    return ", ".join(limits) if len(limits) <= _FEW_LIMITS else f"{limits[0]} and {len(limits) - 1} more"


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows for the page's script, column by column: the numbers as they are shown, for it formats nothing."""
    names = [name for name in rows[0] if name not in ("verdict", "reason")] if rows else []
    return {
        **{name: [row[name] for row in rows] for name in names},
        "verdict": [row["verdict"]["name"] for row in rows],
        "symbols": {str(verdict): symbol for verdict, symbol in VERDICT_SYMBOLS.items()},
    }


def _deflated(data: Any) -> str:
    """JSON for ``<script>``, compressed and in base64: a third of the size, and no character that could end it."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 9)).decode("ascii")


def _placed(plot: Plot, prefix: str) -> Markup:
    """Return the SVG with ids of its own on this page, and its description for those who do not see it."""
    import re

    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", plot.svg)
    described = Markup(' role="img" aria-label="{}">').format(plot.alt)
    opening, rest = svg.split(">", 1)
    return Markup(opening) + described + Markup(rest)


def _least_digits(rows: pd.DataFrame) -> str:
    digits = rows.loc[rows["quantity"].isin(["fixef", "post-mean"]), "digits"].dropna()
    return f"{digits.min():.1f}" if len(digits) else ""


def _sides(comparison: Comparison) -> list[tuple[str, Side]]:
    names = side_names(comparison)
    return [(f"{names[0]}: {cell(comparison.reference.label)}", comparison.reference),
            (f"{names[1]}: {cell(comparison.candidate.label)}", comparison.candidate)]  # fmt: skip


def _provenance(side: Side) -> list[tuple[str, str]]:
    """Key and value pairs, nested mappings flattened with a dot."""
    found: list[tuple[str, str]] = []

    def flatten(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                flatten(f"{prefix}.{key}" if prefix else str(key), item)
        elif isinstance(value, list):
            found.append((prefix, ", ".join(str(item) for item in value)))
        elif value is not None:
            found.append((prefix, format_number(value) if isinstance(value, float) else str(value)))

    flatten("", plain(dict(side.provenance)))
    return [(cell(key), cell(value)) for key, value in found]


def _side_by_side(reference: list[str], candidate: list[str]) -> tuple[tuple[list[str], list[str]], list[bool]]:
    """Both texts' lines, blank where the other has more, so that the same lines stand beside each other."""
    left: list[str] = []
    right: list[str] = []
    differs: list[bool] = []
    for tag, a, b, c, d in SequenceMatcher(None, reference, candidate, autojunk=False).get_opcodes():
        rows = max(b - a, d - c)
        left += [*reference[a:b], *[""] * (rows - (b - a))]
        right += [*candidate[c:d], *[""] * (rows - (d - c))]
        differs += [tag != "equal"] * rows
    return (left, right), differs


def _printed(comparison: Comparison) -> dict[str, Any] | None:
    """Both printed summaries line by line, with a mark on lines that differ."""
    if not comparison.printed:
        return None
    sides = [str(comparison.printed.get(side, "")).rstrip("\n").split("\n") for side in ("reference", "candidate")]
    padded, differs = _side_by_side(*sides)
    length, count = len(differs), sum(differs)
    if not count:
        remark = "Character for character the same."
    elif comparison.kind == "bayes":
        remark = "The draws are other draws, so the last digits differ."
        differs = [False] * length
    else:
        remark = f"{count} {'line differs' if count == 1 else 'lines differ'} (marked ≠)."
    return {
        "same": not any(differs),
        "open": length <= _MOST_LINES,
        "remark": remark,
        "sides": [
            (name, [(cell(line.expandtabs()), flag) for line, flag in zip(lines, differs, strict=True)])
            for name, lines in zip(side_names(comparison), padded, strict=True)
        ],
    }
