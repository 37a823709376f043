"""The report as text, for terminals and logs: short by default, every row on request, readable without colour."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from validation.comparison import Check, Comparison
from validation.console import VisibleConsole
from validation.judge.rows import rows_of
from validation.report.wording import (
    VERDICT_MARKS,
    cell,
    checked_table,
    counts,
    digits_text,
    failed_rows,
    format_number,
    main_rows,
    row_label,
    shorten,
    side_names,
    tolerance_text,
)
from validation.verdict import Verdict

#: So many failed rows are shown by default; the rest is counted, and is in the HTML and JSON files.
MOST_FAILURES = 20

#: So many rows about parameters at most.
MOST_MAIN = 48

_MOST_REASONS = 6  # failed rows whose reason is spelled out under the table
_NARROW = 66  # below this many columns the table becomes a list


def verdict_text(verdict: Verdict) -> Text:
    """Return a verdict as coloured word."""
    return Text(verdict, style=VERDICT_MARKS[verdict][1])


def render_text(comparison: Comparison, *, all_rows: bool = False, brief: bool = False, width: int = 100) -> str:
    """Return the comparison as plain text without colour, of so many columns at most.

    Every row of the table, or the failed ones and those about parameters.
    """
    console = VisibleConsole(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable(comparison, all_rows=all_rows, brief=brief, width=width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def renderable(
    comparison: Comparison, *, all_rows: bool = False, brief: bool = False, width: int = 100
) -> RenderableType:
    """Return the comparison as a rich renderable: verdict, checks, causes, notes, table, of so many columns at most.

    In brief what agrees is a line; of what does not, the checks and the rows that agree are counted.
    """
    if brief and comparison.agrees:
        return one_line(comparison)
    table = checked_table(comparison)
    parts: list[RenderableType] = [_heading(comparison)]
    told = [c for c in comparison.checks if not (brief and c.verdict in (Verdict.AGREES, Verdict.BETTER))]
    if told:
        parts.append(_check_lines(told))
    if agreeing := len(comparison.checks) - len(told):
        parts.append(Text(f"  {agreeing} other {'check agrees' if agreeing == 1 else 'checks agree'}."))
    if not comparison.checks:
        parts.append(Text("  No check was made, so nothing is concluded.", style="yellow"))
    for cause in comparison.causes:
        body = Text.assemble(
            ("Likely cause: ", "bold"), cell(cause.title),
            ("\nEvidence: ", "bold"), cell(cause.evidence),
            ("\nWhat to do: ", "bold"), cell(cause.remedy),
        )  # fmt: skip
        parts.append(_indented(body))
    parts.extend(_indented(f"Note: {cell(note)}") for note in comparison.notes)
    shown, remark = _choose_rows(table, all_rows, 0 if brief else MOST_MAIN)
    if len(shown):
        parts.append((_list if width < _NARROW else _rich_table)(shown, side_names(comparison), width))
    wrong = [row for row in rows_of(shown) if row.verdict.failed]
    parts.extend(
        _indented(f"{shorten(row_label(row), 60)}: {shorten(row.reason, 300)}")
        for row in wrong[:_MOST_REASONS]
        if row.reason
    )
    if remark:
        parts.append(_indented(remark))
    if not brief:
        parts.append(Text(""))
    return Group(*parts)


def one_line(comparison: Comparison) -> Text:
    """Verdict, title and how much stands behind it, in a line."""
    table = checked_table(comparison)
    line = verdict_text(comparison.verdict)
    line.append(f"  {cell(comparison.title)}", style="bold")
    details = [f"{len(table):,} numbers, {len(comparison.checks)} checks"]
    digits = main_rows(table)["digits"].dropna()
    if comparison.kind != "bayes" and len(digits):  # the digits of posteriors tell of the number of draws
        details.append(f"at least {digits_text(float(digits.min()))} digits")
    better = sum(check.verdict is Verdict.BETTER for check in comparison.checks)
    details += [f"{better} better than the reference"] if better else []
    details += [f"notes: {len(comparison.notes)}"] if comparison.notes else []
    return line.append(f"  {'; '.join(details)}", style="dim")


def _indented(shown: str | Text | Table) -> Padding:
    return Padding.indent(Text(shown) if isinstance(shown, str) else shown, 2)


def _heading(comparison: Comparison) -> Text:
    formula = cell(comparison.formula) if comparison.formula != comparison.title else ""
    sides = f"reference: {cell(comparison.reference.label)}; candidate: {cell(comparison.candidate.label)}"
    return Text.assemble(
        (cell(comparison.title), "bold"), ": ", verdict_text(comparison.verdict),
        *(f"\n  {line}" for line in (formula, sides) if line),
    )  # fmt: skip


def _check_lines(checks: Sequence[Check]) -> Padding:
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in checks:
        grid.add_row(verdict_text(check.verdict), Text(f"{cell(check.title)}: {cell(check.summary)}"))
    return _indented(grid)


def _choose_rows(table: pd.DataFrame, all_rows: bool, most_main: int) -> tuple[pd.DataFrame, str]:
    """Return the rows to show, and a remark on those that are not."""
    if all_rows or not len(table):
        return table, ""
    failed = failed_rows(table)
    # A number that several checks judge (z-score, size, truth) is shown once.
    main = main_rows(table).drop_duplicates(["quantity", "group", "term", "term2"])
    main = main.drop(failed.index, errors="ignore").head(most_main)
    more, rest = len(failed) - MOST_FAILURES, table.drop([*failed.index, *main.index])
    remarks = [f"{more:,} more failed rows"] if more > 0 else []
    if len(rest):
        tally = ", ".join(
            f"{count:,} {'agree' if count > 1 and verdict is Verdict.AGREES else verdict}"
            for verdict, count in counts(rest).items()
        )
        remarks.append(f"{len(rest):,} more rows ({tally})")
    shown = pd.concat([failed.head(MOST_FAILURES), main])
    return shown, f"Not shown: {'; '.join(remarks)}." if remarks else ""


def _rich_table(rows: pd.DataFrame, names: tuple[str, str], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    widest = max(24, width - 66)
    table.add_column("quantity", max_width=widest, overflow="fold")
    for name in (*names, "difference", "digits", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows_of(rows):
        table.add_row(
            Text(shorten(row_label(row), 3 * widest)),
            format_number(row.reference) or "missing",
            format_number(row.candidate) or "missing",
            format_number(row.difference, 2),
            digits_text(row.digits),
            tolerance_text(row.tolerance, row.unit),
            verdict_text(row.verdict),
        )
    return table


def _list(rows: pd.DataFrame, names: tuple[str, str], width: int) -> RenderableType:
    lines = []
    for row in rows_of(rows):
        sides = zip(names, (row.reference, row.candidate), strict=True)
        words = [f"{name} {format_number(value) or 'missing'}" for name, value in sides]
        words += [f"{digits_text(row.digits)} digits"] if pd.notna(row.digits) else []
        label = shorten(row_label(row), max(20, 2 * width))
        lines.append(Text.assemble(f"  {label}\n    {', '.join(words)}: ", verdict_text(row.verdict)))
    return Group(*lines)
