"""The report as one self-contained HTML page: no request leaves it, scripts and styles are inline.

Everything that comes from data has its control characters written out and is escaped by jinja2 (for every template);
all rows of the tables are in the page as compressed JSON, the first ones as HTML. The page works without JavaScript,
which only adds the others, sorting and filtering.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from validation.comparison import Comparison, Side
from validation.files import write_atomically
from validation.judge.rows import rows_of
from validation.owndata import some
from validation.plain import plain
from validation.report.json import package_version
from validation.report.plots import Plot, plots
from validation.report.wording import (
    VERDICT_SYMBOLS,
    cell,
    checked_table,
    counts,
    digits_text,
    failed_rows,
    format_number,
    headline,
    label_parts,
    main_rows,
    place_of,
    plural,
    quantity_words,
    side_names,
    source_line,
    summary_line,
    tolerance_text,
)
from validation.verdict import Verdict

#: So many rows stand in the page's HTML; the script shows the others (they are in the page as JSON).
_STATIC_ROWS = 25
_MOST_IN_FOOT = 24
_HASH = 16  # letters of a hash that are shown
_FEW_LIMITS = 3
_GOOD = (Verdict.AGREES, Verdict.BETTER)
#: Comparisons of a page up to which each has its pictures; of more, those that do not agree. Pictures are two thirds of
#: the time that a comparison with recorded values takes.
_ALL_DRAWN = 12
_MOST_LINES = 60  # of a printed summary that stands open

#: Quantities of estimates with those of their standard errors, by kind of comparison, in the order of a summary.
_ESTIMATES = {
    "likelihood": (("fixef", "se", "Fixed effects"), ("sd", "", "Standard deviations"), ("cor", "", "Correlations"),
                   ("sigma", "", "Residual standard deviation")),
    "bayes": (("post-mean", "post-sd", "Posterior means and standard deviations"),),
}  # fmt: skip
_LABEL = ["group", "term", "term2", "level"]
_DIGITS = 5  # of an estimate
_MOST_ESTIMATES = 40  # all others are among the numbers
_DOUBLE = 15.0  # digits that double precision carries


def write_report(directory: Path, page: str, data: str) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.json``, each whole or not there, to a folder that is made; their paths."""
    html, json = directory / "report.html", directory / "report.json"
    write_atomically(html, page)
    write_atomically(json, data + "\n")
    return html, json


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
    few = len(comparisons) <= _ALL_DRAWN
    template = _environment().get_template("page.html.j2")
    return template.render(
        source=source_line(comparisons, reason),
        headline=headline(comparisons),
        summary=summary_line(comparisons),
        verdict=Verdict.of(comparison.verdict for comparison in comparisons),
        views=[
            _view(comparison, number, extra.get(comparison.title, ()), few or comparison.verdict not in _GOOD)
            for number, comparison in enumerate(comparisons, start=1)
        ],
        version=package_version(),
        generated=generated,
        command=command,
        foot=_foot(comparisons),
    )


def render_fragment(comparison: Comparison) -> str:
    """Verdict, checks, causes, notes, first rows and plots for a notebook's cell: no script, styles confined to it."""
    return _environment().get_template("fragment.html.j2").render(view=_view(comparison))


#: Kinds of comparisons in words.
_KINDS = {"likelihood": "Likelihood", "bayes": "Bayes", "anova": "Likelihood-ratio tests"}


def _view(comparison: Comparison, number: int = 1, extra: Sequence[Plot] = (), drawn: bool = True) -> dict[str, Any]:
    """What the templates show beside the comparison's own words; its pictures where they are `drawn`."""
    table = checked_table(comparison)
    failed, main = failed_rows(table), main_rows(table)
    rows = _rows(table.loc[list(dict.fromkeys([*failed.index, *main.index, *table.index]))])
    reasons, rows = _reasons(rows), rows.drop(columns="reason")
    least = main.loc[main["quantity"] == "fixef", "digits"].min()
    names, sides = side_names(comparison), (comparison.reference, comparison.candidate)
    return {
        "comparison": comparison,
        "anchor": f"comparison-{number}",
        "kind": _KINDS.get(comparison.kind, comparison.kind),
        "estimates": _estimates(comparison, table),
        "agreement": _agreement(comparison, len(table), len(failed)),
        "names": names,
        "least_digits": "" if pd.isna(least) else f"{least:.1f}",
        "row_count": len(table),
        "failed_count": len(failed),
        "counts": counts(table),
        "quantities": rows["quantity"].unique(),
        "static_rows": rows.head(_STATIC_ROWS).to_dict("records"),
        "remarks": rows["remark"].any(),
        "reasons": reasons,
        "data": _deflated({**rows.to_dict("list"), "symbols": VERDICT_SYMBOLS}),
        "plots": [
            (p, _placed(p, f"p{number}-{i}")) for i, p in enumerate([*extra, *(plots(comparison) if drawn else ())])
        ],
        "digits": digits_of(comparison),
        "printed": _printed(comparison),
        "provenance": [(f"{name}: {side.label}", _provenance(side)) for name, side in zip(names, sides, strict=True)],
    }


def _agreement(comparison: Comparison, numbers: int, failed: int) -> str:
    """One line on the checks: what stands in place of them where they are folded."""
    agreed = sum(not check.verdict.failed and check.verdict is not Verdict.INCONCLUSIVE for check in comparison.checks)
    outside = f", {failed:,} of them outside their tolerance" if failed else ""
    checks = len(comparison.checks)
    share = "all" if agreed == checks > 0 else f"{agreed} of"
    return f"checks that agree: {share} {checks}; {plural(numbers, 'number')} compared{outside}"


def _estimates(comparison: Comparison, table: pd.DataFrame) -> tuple[list[tuple[str, list[Any]]], int]:
    """What the model says on both sides, a row for each parameter under headings; and how many are left out.

    A row has its name, estimate and standard error of each side, and the digits that the estimates have alike.
    """
    table = table[table["level"] == ""]
    if comparison.kind == "bayes":
        table = table[~table["term"].str.startswith("b[")]
    of_residual = ((table["quantity"] == "sd") & (table["group"] == "Residual")).any()
    parts: list[tuple[str, list[Any]]] = []
    left, left_out = _MOST_ESTIMATES, 0
    for quantity, error, heading in _ESTIMATES.get(comparison.kind, ()):
        rows = table[table["quantity"] == quantity]
        if rows.empty or (quantity == "sigma" and of_residual):  # it stands among the standard deviations
            continue
        # other checks compare the same numbers again, and each side with the truth
        rows = rows[rows["check"] == rows["check"].iloc[0]]
        errors = table[table["quantity"] == error].drop_duplicates(_LABEL, keep="last")
        both = rows.merge(errors[[*_LABEL, "reference", "candidate"]], "left", _LABEL, suffixes=("", " error"))
        shown = both.head(left)
        left, left_out = left - len(shown), left_out + len(both) - len(shown)
        names = [label_parts(*label) or "sigma" for label in shown[_LABEL].itertuples(index=False)]
        columns = shown[["reference", "reference error", "candidate", "candidate error"]].to_numpy()
        numbers = [[format_number(number, _DIGITS) for number in row] for row in columns]
        if names:
            parts.append((heading, list(zip(names, numbers, map(digits_text, shown["digits"]), strict=True))))
    return parts, left_out


class QuantityDigits(NamedTuple):
    """Digits that both sides have alike of a quantity's numbers."""

    least: float
    name: str
    numbers: int
    shown: list[tuple[str, int]]  # least, median and most, each with its share of double precision's digits in percent
    failed: bool  # whether any number is outside its tolerance


def digits_of(comparison: Comparison) -> list[QuantityDigits]:
    """Return the digits of agreement of each quantity, the least first.

    Counts and labels are left out: they are equal or not. So are posteriors: their digits tell of the number of draws.
    """
    if comparison.kind == "bayes":
        return []
    table = checked_table(comparison)
    table = table[(table["tolerance"] != 0) & (table["unit"] != "exact") & np.isfinite(table["digits"])]
    made = []
    for name, rows in table.groupby(table["quantity"].map(quantity_words), sort=False):
        digits = rows["digits"].quantile([0.0, 0.5, 1.0])
        shown = [(f"{value:.1f}", round(100 * min(max(value / _DOUBLE, 0.0), 1.0))) for value in digits]
        failed = any(verdict.failed for verdict in rows["verdict"])
        made.append(QuantityDigits(float(digits.min()), str(name), len(rows), shown, failed))
    return sorted(made, key=lambda one: one.least)


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
                    hashes.setdefault(value[:_HASH], {}).setdefault(comparison.title)
                elif key.startswith("packages.") or last in ("R", "mlmparity", "python", "numpy", "scipy", "pandas"):
                    kept["Versions"].setdefault(f"{last} {value}")
    # where all comparisons have the same data, their names say nothing
    kept["Data (SHA-256)"] = {
        f"{found} ({'; '.join(titles)})" if len(hashes) > 1 else found: None for found, titles in hashes.items()
    }
    return [(name, some(list(values), _MOST_IN_FOOT)) for name, values in kept.items() if values]


@cache
def _environment() -> Environment:
    """The templates' own: what comes from data is made visible and escaped; a name that is not there is an error."""
    loader = PackageLoader("validation.report", "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda shown: shown if isinstance(shown, Markup) else cell(shown),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (Markup(loader.get_source(made, name)[0]) for name in ("style.css", "script.js"))
    # Should text from data ever get into the page as markup, it could run nothing: our one script runs, nothing is
    # loaded, nothing is sent. Styles are inline, for the pictures are SVG with style attributes.
    allowed = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = Markup(
        f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    made.globals |= {"style": style, "script": script, "policy": policy, "symbols": VERDICT_SYMBOLS}
    return made


def _rows(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers as they are shown; the tolerance itself is there to sort by."""
    rows = table[["verdict", "check", "quantity"]].assign(quantity=table["quantity"].map(quantity_words))
    rows["place"] = [place_of(row) for row in rows_of(table)]
    # two digits more than both sides have alike, within reason: what is beyond says nothing
    digits = (np.ceil(table["digits"]) + 2).clip(5, 8).fillna(8).astype(int)
    for side in ("reference", "candidate"):
        rows[side] = list(map(format_number, table[side], digits))
    rows["difference"] = [format_number(number, 2) for number in table["difference"]]
    rows["digits"] = list(map(digits_text, table["digits"]))
    rows["scaled"] = [format_number(number, 2) for number in table["scaled"]]
    rows["limit"] = list(map(tolerance_text, table["tolerance"], table["unit"]))
    rows["tolerance"] = table["tolerance"]
    # why it agrees is the tolerance's reason, which stands once below the table
    rows["remark"] = table["reason"].where(~table["verdict"].isin(_GOOD), "")
    rows["reason"] = table["reason"].where(table["verdict"].isin(_GOOD), "")
    return rows


def _reasons(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Why tolerances are what they are, each reason once: what they are for, the tolerances, the reason."""
    return [
        (", ".join(own["quantity"].unique()), some(list(filter(None, own["limit"].unique())), _FEW_LIMITS), str(reason))
        for reason, own in rows[rows["reason"] != ""].groupby("reason", sort=False)
    ]


def _deflated(data: object) -> str:
    """JSON for ``<script>``, compressed and in base64: a third of the size, and no character that could end it."""
    text = json.dumps(plain(data), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 9)).decode("ascii")


def _placed(plot: Plot, prefix: str) -> Markup:
    """Return the SVG with ids of its own on this page, and its description for those who do not see it."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", plot.svg)
    described = Markup(' role="img" aria-label="{}">').format(plot.alt)
    opening, rest = svg.split(">", 1)
    return Markup(opening) + described + Markup(rest)


def _provenance(side: Side) -> list[tuple[str, str]]:
    """Key and value pairs, nested mappings flattened with a dot."""
    told: Any = plain(dict(side.provenance))
    (flat,) = pd.json_normalize(told).to_dict("records")
    found = []
    for key, value in flat.items():
        if isinstance(value, list):
            found.append((str(key), ", ".join(map(str, value))))
        elif value is not None:
            found.append((str(key), format_number(value) if isinstance(value, float) else str(value)))
    return found


def _printed(comparison: Comparison) -> dict[str, Any] | None:
    """Both printed summaries line by line, with a mark on lines that differ.

    Where one has more lines the other has blank ones, so that the same lines stand beside each other.
    """
    printed = [str(comparison.printed.get(side, "")).rstrip("\n") for side in ("reference", "candidate")]
    if not any(printed):
        return None
    left, right = (text.split("\n") for text in printed)
    lines, differs = [], []
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        beside = list(zip_longest(left[a:b], right[c:d], fillvalue=""))
        lines += beside
        differs += [tag != "equal"] * len(beside)
    differing = sum(differs)
    marked = differing > 0 and comparison.kind != "bayes" and all(printed)
    if not all(printed):
        remark = "Of the other side there is none."
    elif not differing:
        remark = "Character for character the same."
    elif marked:
        remark = f"{differing} {'line differs' if differing == 1 else 'lines differ'} (marked ≠)."
    else:
        remark = "The draws are other draws, so the last digits differ."
    return {
        "marked": marked,
        "open": len(lines) <= _MOST_LINES,
        "remark": remark,
        "sides": [
            (name, [(line.expandtabs(), marked and one) for line, one in zip(column, differs, strict=True)])
            for name, column, there in zip(side_names(comparison), zip(*lines, strict=True), printed, strict=True)
            if there
        ],
    }
