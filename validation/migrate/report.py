"""The report of a migration: in the terminal, and as a page."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from validation.migrate.layout import shown

if TYPE_CHECKING:
    from validation.migrate.run import Migration
    from validation.migrate.script import Script

__all__ = ["html_report", "text_report"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def _headline(migration: "Migration") -> str:
    compared = [one for one in migration.compared if one.verdict != "not compared"]
    agree = sum(one.verdict == "agrees" for one in compared)
    if migration.watched is None:
        return "Translated from the text alone: nothing was run, nothing is proved"
    if migration.disagreements:
        return f"{len(migration.disagreements)} of {len(compared)} values differ from R's"
    words = f"All {agree} values that R gave are given by Python" if compared else "R gave no value to compare"
    left = len(migration.missing)
    words += f"; {left} statement{'s were' if left > 1 else ' was'} not carried over" if left else ""
    unproved = len(migration.unproved)
    return words + (f"; {unproved} value{'s' if unproved > 1 else ''} could not be compared" if unproved else "")


def text_report(migration: "Migration") -> str:
    """The report in a terminal's words."""
    lines = [_headline(migration) + "."]
    if migration.error:
        lines.append(f"R did not reach the script's end: {migration.error}")
        if "Permission denied" in (migration.watched.printed if migration.watched else ""):
            lines.append("  (it may write in its scratch folder only; --write-anywhere lifts that)")
    if migration.watched and migration.watched.not_copied:
        lines.append(f"Too large to be copied for the script: {', '.join(migration.watched.not_copied)}")
    failed = [one for one in migration.disagreements if one.why and one.why == migration.failed]
    if failed:  # one reason, not one for each value
        places = ", ".join(dict.fromkeys(f"{one.file + ', ' if one.file else ''}line {one.line}" for one in failed[:3]))
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        lines.append(f"  The Python script failed: {migration.failed}\n      without a value: {places}{more}")
    for one in migration.disagreements:
        if one in failed:
            continue
        lines.append(f"  {one.file + ', ' if one.file else ''}line {one.line}: {one.title}: {one.why or 'differs'}")
        worst = sorted(
            (row for row in one.rows if not row.agrees), key=lambda row: -_excess(row.r, row.python, row.limit)
        )
        lines += [f"      {row.label}: R {row.r:.6g}, Python {row.python:.6g}" for row in worst[:3]]
    if migration.missing:
        lines.append("Not carried over:")
        lines += _grouped(migration.missing)
    if migration.unproved:
        lines.append("Carried over, and not compared:")
        lines += [f"  line {line}: {name}: {why}" for line, name, why in migration.unproved]
    lines.append(f"Script, data, tests, report: {migration.folder}")
    return shown("\n".join(lines))


def _grouped(missing: list[tuple[int, str, str]]) -> list[str]:
    """What was left out; statements that follow each other and have one reason, the end of R's run, as one."""
    lines: list[str] = []
    k = 0
    while k < len(missing):
        line, text, why = missing[k]
        last = k
        while why.startswith("R did not get here") and last + 1 < len(missing) and missing[last + 1][2] == why:
            last += 1
        if last - k >= 2:
            lines.append(f"  from line {line} on, {last - k + 1} statements: {_short(text)} …\n      {why}")
        else:
            lines += [f"  line {a}: {_short(b)}\n      {c}" for a, b, c in missing[k : last + 1]]
        k = last + 1
    return lines


def _excess(a: float, b: float, limit: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.inf
    return abs(a - b) / limit if limit > 0 else math.inf


def _short(text: str) -> str:
    first, _, more = text.partition("\n")
    return first[:90] + (" …" if more or len(first) > 90 else "")


def html_report(migration: "Migration", script: "Script") -> str:
    """The page.

    Returns
    -------
    str
        HTML; every text of the user's is escaped, nothing is loaded from elsewhere, no script runs.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = lambda value: "–" if math.isnan(value) else f"{value:.7g}"
    by_statement: dict[int, list[object]] = {}
    for one in migration.compared:
        by_statement.setdefault(one.statement, []).append(one)
    code = script.text.split("\n")
    starts = sorted(script.first_lines.items(), key=lambda item: item[1])
    parts: dict[int, str] = {}
    for k, (statement, first) in enumerate(starts):
        last = starts[k + 1][1] - 1 if k + 1 < len(starts) else len(code) + 1
        lines = code[first - 1 : last - 1]
        while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
            lines.pop()
        parts[statement] = "\n".join(lines)
    packages = ", ".join([f"R {migration.watched.r}", *migration.watched.packages]) if migration.watched else "no R"
    return environment.get_template("report.html.j2").render(
        migration=migration,
        headline=_headline(migration),
        pieces=script.pieces,
        by_statement=by_statement,
        parts=parts,
        policy=_POLICY,
        packages=packages,
    )
