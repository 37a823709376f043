"""The words and number formats that every form of the report shares: text, HTML, notebook and plots."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from validation.comparison import TABLE_COLUMNS, Comparison, Row, Side
from validation.verdict import Verdict

#: A symbol for each verdict and a colour for terminals, beside its word: nothing is said by colour or symbol alone.
VERDICT_MARKS: dict[Verdict, tuple[str, str]] = {
    Verdict.AGREES: ("✓", "green"),
    Verdict.BETTER: ("▲", "cyan"),
    Verdict.DISAGREES: ("✗", "bold red"),
    Verdict.INCONCLUSIVE: ("?", "yellow"),
    Verdict.MISSING: ("∅", "bold red"),
    Verdict.MALFORMED: ("!", "bold magenta"),
}
VERDICT_SYMBOLS = {verdict: symbol for verdict, (symbol, _) in VERDICT_MARKS.items()}

#: Label of a side that an error kept from being fitted.
NOT_REACHED = "not reached"

#: What a reader calls the quantities of the table; one that is not here is shown by its own name, without hyphens.
_QUANTITIES: dict[str, str] = {
    "fixef": "fixed effect",
    "se": "standard error",
    "t": "t value",
    "sd": "standard deviation",
    "cor": "correlation",
    "sigma": "residual sd",
    "ranef": "BLUP",
    "condsd": "conditional sd",
    "df_residual": "residual df",
    "coef": "coefficient of level",
    "scaled_residuals": "scaled residual",
    "residuals": "residual",
    "fitted": "fitted value",
    "REMLcrit": "REML criterion",
    "logLik": "log-likelihood",
    "npar": "number of parameters",
    "nobs": "rows used",
    "ngrps": "number of levels",
    "chisq": "chi-square",
    "df": "degrees of freedom",
    "p": "p-value",
    "predict-marginal": "marginal prediction",
    "predict-new": "prediction, unseen level",
    "dependence": "rank correlation",
    "post-mean": "posterior mean",
    "post-sd": "posterior sd",
    "post-q2.5": "posterior 2.5%",
    "post-q50": "posterior median",
    "post-q97.5": "posterior 97.5%",
    "repeated-draws": "copied draws",
    "reported-fixef": "reported coefficient",
    "reported-se": "reported standard error",
    "reported-ranef": "reported random effect",
}

_TEXT_COLUMNS = ("check", "quantity", "group", "term", "term2", "level", "unit", "reason")
_NUMBER_COLUMNS = ("reference", "candidate", "difference", "digits", "scaled", "tolerance")


def cell(value: str | float | None) -> str:
    """Return a label of the table as text: missing becomes empty, control characters become visible.

    Labels come from people's data: a line break or an escape sequence in a level must not break a terminal or a page.
    """
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shorten(text: str, width: int) -> str:
    """``text`` cut in its middle to at most ``width`` characters; both ends of a label tell it apart."""
    if len(text) <= width:
        return text
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}" if width > 0 else ""


def format_number(value: str | float | None, digits: int = 8) -> str:
    """Return a number in at most ``digits`` significant digits; missing as an empty string.

    Whole numbers (counts) are shown in full, infinities as ``Inf`` and ``-Inf`` as R shows them.
    """
    if value is None or pd.isna(value):
        return ""
    number = float(value)
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    if number == int(number) and abs(number) < 1e12:
        return str(int(number))
    mantissa, _, exponent = f"{number:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def digits_text(value: float) -> str:
    """Digits that two numbers have alike, to a tenth."""
    return f"{value:.1f}" if math.isfinite(value) else format_number(value)


def checked_table(comparison: Comparison) -> pd.DataFrame:
    """Return the comparison's table with exactly :data:`~validation.comparison.TABLE_COLUMNS`, positions as index.

    Raises
    ------
    ValueError
        If a column is not there: a lost column is a fault of the judge and must not turn into empty cells.
    """
    table = comparison.table
    missing = [name for name in TABLE_COLUMNS if name not in table.columns]
    if missing and (len(table) or len(table.columns)):
        raise ValueError(
            f"the table of comparison {comparison.title!r} has no column {', '.join(map(repr, missing))}; "
            f"expected {', '.join(TABLE_COLUMNS)}"
        )
    table = table.reindex(columns=list(TABLE_COLUMNS)).reset_index(drop=True)
    # pandas would turn a StrEnum into plain strings; the report needs the words' properties.
    table["verdict"] = pd.Series([Verdict(str(value)) for value in table["verdict"]], dtype="object")
    for name in _NUMBER_COLUMNS:
        table[name] = pd.to_numeric(table[name], errors="coerce").astype("float64")
    for name in _TEXT_COLUMNS:
        table[name] = [cell(value) for value in table[name]]
    return table


def quantity_words(quantity: str) -> str:
    """Say what a reader calls a quantity."""
    return _QUANTITIES.get(quantity, quantity.replace("-", " "))


def label_parts(group: str, term: str, term2: str, level: str) -> str:
    """Where in the model a row belongs: ``school: (Intercept), femaleF``, ``school 20920: (Intercept)``."""
    where = f"{group} {level}".strip() if level else group
    what = ", ".join(part for part in (term, term2) if part)
    return f"{where}: {what}" if where and what else where or what


def place_of(row: Row) -> str:
    """Where in the model a row of a checked table belongs."""
    return label_parts(*(part or "" for part in (row.group, row.term, row.term2, row.level)))


def row_label(row: Row) -> str:
    """Quantity and place of a row of a table made by :func:`checked_table`."""
    return f"{row.quantity} {place_of(row)}".strip()


def failed_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a checked table that make the comparison disagree, worst first."""
    failed = table.loc[np.array([verdict.failed for verdict in table["verdict"]], dtype=bool)]
    excess = (failed["scaled"].abs() / failed["tolerance"]).fillna(math.inf)
    return failed.loc[excess.sort_values(ascending=False, kind="stable").index]


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about parameters of the model: everything that is not about one level or one row of the data."""
    per_row = {"fitted", "residuals", "residual", "y", "X", "Z"}
    return table[(table["level"] == "") & ~table["quantity"].isin(per_row)]


#: Units of tolerances, short enough for a column.
_SHORT_UNITS = {
    "standard errors": "SE",
    "standard errors of Σ": "SE of Σ",
    "standard errors of coefficient and BLUP together": "SE",
    "standard errors of the level's own estimate": "SE",
    "of the product of the standard errors": "SE²",
    "relative": "rel",
    "absolute": "abs",
    "units of -2 log-likelihood": "dev",
    "of max(1, |t|)": "rel",
    "of max(1, |log p|)": "log p",
    "of the column's largest entry, times √N": "rel",
    "conditional sd": "csd",
    "conditional sds": "csd",
    "posterior sds": "sd",
    "residual sds": "sigma",
    "scaled residuals": "",
    "Monte Carlo standard errors": "MCSE",
    "Monte Carlo standard errors of the difference": "MCSE",
    "largest R-hat": "max",
    "smallest bulk ESS": "min",
    "smallest tail ESS": "min",
}


def tolerance_text(tolerance: float, unit: str) -> str:
    """Return a tolerance with its unit: ``1e-6 SE``; exact rows have the tolerance 0 and say so."""
    number = format_number(tolerance, 3)
    if not number:
        return ""
    if number == "0":
        return "exact"
    number = re.sub(r"^0\.000(\d)$", r"\1e-4", number)
    return f"{number} {shorten(_SHORT_UNITS.get(unit, unit), 10)}".rstrip()


def counts(table: pd.DataFrame) -> dict[Verdict, int]:
    """How many rows have each verdict (verdicts that no row has are left out)."""
    found = table["verdict"].value_counts()
    return {verdict: int(found[verdict]) for verdict in Verdict if verdict in found.index}


def headline(comparisons: Sequence[Comparison]) -> str:
    """Return the verdict on the whole as one sentence."""
    if not comparisons:
        return "Nothing was compared"
    verdicts = [comparison.verdict for comparison in comparisons]
    verdict, failed = Verdict.of(verdicts), sum(one.failed for one in verdicts)
    sides = "R and Python" if {side_names(c) for c in comparisons} == {("R", "Python")} else "The two sides"
    if verdict is Verdict.AGREES:
        return f"{sides} agree"
    if verdict is Verdict.MALFORMED:
        return "Malformed: what one side handed over is not what the contract asks for"
    if verdict is Verdict.DISAGREES:
        return f"{sides} disagree" + (f" in {failed} of {len(verdicts)} comparisons" if len(verdicts) > 1 else "")
    return "Inconclusive: neither agreement nor disagreement was shown"


def side_names(comparison: Comparison) -> tuple[str, str]:
    """Say what the columns of both sides are called: ``("R", "Python")`` where that is what they are."""
    kind = comparison.reference.kind
    reference = "R" if kind.endswith("-r") else kind if kind in ("certified", "quadrature") else "reference"
    return reference, "Python" if comparison.candidate.kind == "python" else "candidate"


def summary_line(comparisons: Sequence[Comparison]) -> str:
    """How many comparisons and numbers stand behind the verdict."""
    if not comparisons:
        return "No comparison was made, so there is nothing to agree or to disagree."
    by_verdict = [comparison.verdict for comparison in comparisons]
    shown = (Verdict.AGREES, Verdict.DISAGREES, Verdict.MALFORMED, Verdict.INCONCLUSIVE)
    parts = [f"{by_verdict.count(verdict)} {verdict.removesuffix('s')}" for verdict in shown if verdict in by_verdict]
    rows = sum(len(comparison.table) for comparison in comparisons)
    checks = sum(len(comparison.checks) for comparison in comparisons)
    return (
        f"{plural(len(comparisons), 'comparison')} ({', '.join(parts)}): "
        f"{plural(checks, 'check')}, {plural(rows, 'number')} compared."
    )


def plural(count: int, noun: str) -> str:
    """A count and what is counted."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def source_line(comparisons: Sequence[Comparison], reason: str | None = None) -> str:
    """Which of the two it was: live R (with versions) or recorded references (with why: ``"R was not found"``)."""
    kinds = {comparison.reference.kind for comparison in comparisons}
    labels = sorted({_with_r(c.reference) for c in comparisons if c.reference.label != NOT_REACHED})
    named = f": {'; '.join(labels)}" if labels else ""
    why = f", because {reason.strip().rstrip('.')}" if reason else ""
    if not comparisons:
        return "No reference: nothing was compared."
    if kinds == {"live-r"}:
        return f"Compared against live R{named}."
    if kinds == {"recorded-r"}:
        return f"Compared against recorded references, not live R{why}{named}."
    if kinds == {"live-r", "recorded-r"}:
        return f"Compared partly against live R and partly against recorded references{why}{named}."
    return f"Compared against{named}{f' (recorded{why})' if 'recorded-r' in kinds else ''}."


def _with_r(side: Side) -> str:
    """Return the label of a reference without "live" or "recorded", and with R's version where it is known."""
    label = re.sub(r"(,\s*live$)|(^recorded\s+)", "", cell(side.label))
    version = side.provenance.get("R")
    return label if not version or "on R " in label else f"{label} on R {cell(str(version))}"


def ascii_fallback(text: str) -> str:
    """``text`` with characters outside ASCII replaced by a plain spelling, for terminals that show nothing else."""
    spelled = {
        "θ": "theta", "σ": "sigma", "β": "beta", "Λ": "Lambda", "α": "alpha", "Σ": "Sigma", "τ": "tau", "π": "pi",
        "–": "-", "—": "-", "−": "-", "…": "...", "≥": ">=", "≤": "<=", "±": "+/-", "×": "x", "·": "*", "→": "->",
        "“": '"', "”": '"', "‘": "'", "’": "'", "✓": "+", "✗": "x", "▲": "^", "∅": "0", "²": "^2", "√": "sqrt",
    }  # fmt: skip
    text = "".join(spelled.get(character, character) for character in text)
    text = unicodedata.normalize("NFKD", text)
    return text.encode("ascii", "replace").decode("ascii")


def escaped(text: object) -> str:
    """Text that breaks neither a cell nor a line of a table in Markdown."""
    return str(text).replace("|", "&#124;").replace("\n", " ")


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table in Markdown; what would break a cell is written out."""
    first, *others = (f"| {' | '.join(map(escaped, cells))} |" for cells in (head, *rows))
    return [first, "|---" * len(head) + "|", *others]
