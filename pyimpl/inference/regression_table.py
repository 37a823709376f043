"""Several models side by side: a table for a paper, in HTML, LaTeX, Markdown or Word."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import pandas as pd
from scipy.special import ndtr

from pyimpl.arguments import SIGNATURES, Digits, Share
from pyimpl.errors import DataError
from pyimpl.inference.contract import Fit, LikelihoodFit, PosteriorFit
from r_scripts.escapes import visible
from r_scripts.installing import install_command

__all__ = ["RegressionTable", "maketables_coefficients", "maketables_stat", "regression_table"]

Below = Literal["se", "ci", "statistic", "none"]

_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
_MINUS = "\N{MINUS SIGN}"


@SIGNATURES.verbs
@dataclass(frozen=True, eq=False)
class RegressionTable:
    """A table of models: rows of cells, in parts.

    Attributes
    ----------
    models : tuple of str
        Heads of the columns.
    parts : tuple of (str, tuple of (str, tuple of str))
        Part (``"Fixed effects"``) -> rows: a label, and a cell for each model; an empty cell where a model lacks it.
    notes : tuple of str
    title : str
    """

    models: tuple[str, ...]
    parts: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...]
    notes: tuple[str, ...]
    title: str = ""

    @property
    def frame(self) -> pd.DataFrame:
        """The cells as text: a row for each line, indexed by part and label (``great_tables.GT(table.frame)``)."""
        index = [(part, label) for part, rows in self.parts for label, _ in rows]
        cells = [row for _, rows in self.parts for _, row in rows]
        keys = pd.MultiIndex.from_tuples(index, names=["part", "term"])
        return pd.DataFrame(cells, index=keys, columns=list(self.models))

    def __str__(self) -> str:
        return self.to_markdown()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_markdown(self) -> str:
        """Return the table in Markdown, columns aligned."""
        lines = [("", self.models)]
        for part, rows in self.parts:
            lines.append((f"**{part}**", ("",) * len(self.models)))
            lines += rows
        text = [[_markdown(label), *map(_markdown, cells)] for label, cells in lines]
        text[0] = ["", *map(_markdown, self.models)]
        for k, (label, _) in enumerate(lines):
            if label.startswith("**"):
                text[k][0] = label
        widths = [max(3, *(len(row[k]) for row in text)) for k in range(len(self.models) + 1)]
        out = [
            _line(
                [
                    cell.ljust(w) if k == 0 else cell.rjust(w)
                    for k, (cell, w) in enumerate(zip(row, widths, strict=True))
                ]
            )
            for row in text
        ]
        out.insert(1, _line(["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]))
        head = [f"**{_markdown(self.title)}**", ""] if self.title else []
        return "\n".join([*head, *out, "", *(_markdown(note) for note in self.notes)]).rstrip("\n")

    def to_html(self) -> str:
        """Return the table in HTML: plain, with heads that screen readers read."""
        columns = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in self.models)
        body = []
        for part, rows in self.parts:
            body.append(
                f'<tr><th scope="rowgroup" colspan="{len(self.models) + 1}" style="text-align:left;'
                f'padding:.6em .4em .1em;border-top:1px solid #999">{escape(part)}</th></tr>'
            )
            for label, cells in rows:
                data = "".join(f'<td style="{_CELL}">{_whole_interval(escape(cell))}</td>' for cell in cells)
                head = (
                    f'<th scope="row" style="text-align:left;font-weight:normal;padding:.1em .4em">{escape(label)}</th>'
                )
                body.append(f"<tr>{head}{data}</tr>")
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        notes = "<br>".join(map(escape, self.notes))
        width = len(self.models) + 1
        foot = f'<tfoot><tr><td colspan="{width}" style="font-size:.85em;padding:.4em">{notes}</td></tr></tfoot>'
        return (
            f'<table style="border-collapse:collapse;border-top:2px solid;border-bottom:2px solid">{caption}'
            f"<thead><tr><td></td>{columns}</tr></thead><tbody>{''.join(body)}</tbody>{foot if notes else ''}</table>"
        )

    def to_latex(self) -> str:
        r"""Return the table in LaTeX, for the package booktabs."""
        rows = [r"\toprule", " & ".join(["", *map(_latex, self.models)]) + r" \\"]
        for part, lines in self.parts:
            rows += [r"\midrule", rf"\multicolumn{{{len(self.models) + 1}}}{{l}}{{\textit{{{_latex(part)}}}}} \\"]
            rows += [" & ".join([_latex(label), *map(_latex, cells)]) + r" \\" for label, cells in lines]
        rows.append(r"\bottomrule")
        rows += [
            rf"\multicolumn{{{len(self.models) + 1}}}{{l}}{{\footnotesize {_latex(note)}}} \\" for note in self.notes
        ]
        inner = "\n".join([rf"\begin{{tabular}}{{l{'r' * len(self.models)}}}", *rows, r"\end{tabular}"])
        if not self.title:
            return inner
        return "\n".join([r"\begin{table}", r"\centering", rf"\caption{{{_latex(self.title)}}}", inner, r"\end{table}"])

    def to_word(self, path: str | Path) -> None:
        """Write the table as a Word document (needs python-docx).

        Parameters
        ----------
        path : str or Path
            Ends in ``.docx``.
        """
        try:
            import docx
            from docx.enum.text import WD_ALIGN_PARAGRAPH
        except ImportError as error:
            raise DataError(f"to_word needs python-docx: {install_command('mlmparity[word]')}") from error
        document = docx.Document()
        if self.title:
            document.add_paragraph(self.title, style="Caption")
        count = 1 + sum(1 + len(rows) for _, rows in self.parts)
        table = document.add_table(rows=count, cols=len(self.models) + 1)
        table.style = "Light List"
        lines = [("", self.models)]
        for part, rows in self.parts:
            lines += [(part, ("",) * len(self.models)), *rows]
        for i, (label, cells) in enumerate(lines):
            for k, text in enumerate((label, *cells)):
                paragraph = table.rows[i].cells[k].paragraphs[0]
                run = paragraph.add_run(text)
                run.bold = i == 0 or (k == 0 and not any(cells))
                if k:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        for note in self.notes:
            document.add_paragraph(note)
        document.save(str(path))


_CELL = "text-align:right;padding:.1em .8em"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


#: What Markdown would read: emphasis, code, cells and mathematics; mark-up of HTML and links where they would begin.
_MARKS = re.compile(r"[\\|*_`$]|<(?=[a-zA-Z/!?])|&(?=[#\w])|\](?=\()")


def _in_one_line(text: str) -> str:
    return " ".join(visible(text).replace("\t", " ").splitlines())


def _markdown(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", _in_one_line(text))


_LATEX = {
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "²": "$^2$",
    _MINUS: "$-$",
}


def _whole_interval(cell: str) -> str:
    """A cell that is not broken within its interval."""
    return cell.replace(", ", ",\N{NO-BREAK SPACE}")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in _in_one_line(text))


@SIGNATURES.checked
def regression_table(
    models: Sequence[Fit] | Mapping[str, Fit],
    *,
    below: Below = "se",
    digits: Digits = 3,
    level: Share = 0.95,
    ddf: str | None = None,
    stars: bool = False,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> RegressionTable:
    """Put models side by side (``sjPlot::tab_model``, ``texreg``, ``modelsummary``).

    Parameters
    ----------
    models : sequence or mapping of LmerFit or StanLmerFit
        A mapping's keys are the heads of the columns; otherwise Model 1, Model 2, ...
    below : {"se", "ci", "statistic", "none"}
        What stands in brackets after an estimate: its standard error, interval, or t (of a posterior the MAD_SD, the
        central interval; it has no t).
    digits : int
    level : float
        Of the intervals: Wald's, or of a posterior the quantiles'.
    ddf : {"Satterthwaite", "Kenward-Roger"}, optional
        Degrees of freedom of intervals and stars; default normal quantiles.
    stars : bool
        Whether p < 0.05, 0.01, 0.001 are marked (``lmer`` only).
    labels : mapping, optional
        Coefficient -> how it is called in the table.
    title : str

    Returns
    -------
    RegressionTable
        ``.to_html()``, ``.to_latex()``, ``.to_markdown()``, ``.to_word(path)``, ``.frame``.

    Raises
    ------
    DataError
        No models, or an unknown option.
    """
    named = models if isinstance(models, Mapping) else {f"Model {k + 1}": fit for k, fit in enumerate(models)}
    if not named:
        raise DataError("regression_table: there are no models")
    if below not in ("se", "ci", "statistic", "none"):
        raise DataError(f"below is 'se', 'ci', 'statistic' or 'none', not {below!r}")
    called = dict(labels or {})
    columns = [_column(fit, below, digits, level, ddf, stars) for fit in named.values()]
    parts = []
    for part in ("Fixed effects", "Random effects", "Model"):
        keys = _merged([list(column[part]) for column in columns])
        rows = tuple((called.get(key, key), tuple(column[part].get(key, "") for column in columns)) for key in keys)
        if rows:
            parts.append((part, rows))
    return RegressionTable(tuple(named), tuple(parts), tuple(_notes(named, below, level, ddf, stars)), title)


def _merged(orders: Sequence[Sequence[str]]) -> list[str]:
    """Every key once, new ones after the key that they follow in their own model."""
    merged: list[str] = []
    for order in orders:
        at = 0
        for key in order:
            if key in merged:
                at = merged.index(key) + 1
            else:
                merged.insert(at, key)
                at += 1
    return merged


def _number(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.replace("-", _MINUS) if float(text) else text.lstrip("-")


def _column(
    fit: Fit, below: Below, digits: Digits, level: Share, ddf: str | None, stars: bool
) -> dict[str, dict[str, str]]:
    """One model's cells by part and row."""
    if isinstance(fit, PosteriorFit):
        table = fit.tidy(effects=["fixed"], conf_int=True, conf_level=level)
    elif isinstance(fit, LikelihoodFit):
        table = fit.tidy(effects="fixed", conf_int=True, conf_level=level, ddf=ddf)
    else:
        raise DataError(f"regression_table takes fits of lmer and stan_lmer, not {type(fit).__name__}")
    fixed = {}
    for row in table.to_dict("records"):
        cell = _number(row["estimate"], digits)
        if stars and isinstance(fit, LikelihoodFit):
            p = row.get("p.value", 2 * float(ndtr(-abs(row["statistic"]))))
            cell += next((mark for limit, mark in _STARS if p < limit), "")
        if below == "se":
            cell += f" ({_number(row['std.error'], digits)})"
        elif below == "ci":
            cell += f" [{_number(row['conf.low'], digits)}, {_number(row['conf.high'], digits)}]"
        elif below == "statistic" and "statistic" in row:
            cell += f" ({_number(row['statistic'], digits)})"
        fixed[row["term"]] = cell
    random = {}
    for row in fit.VarCorr().to_dict("records"):
        first, second = row["var1"], row["var2"]
        if row["grp"] == "Residual":
            random["SD residual"] = _number(row["sdcor"], digits)
        elif isinstance(second, str):
            random[f"Cor {first}, {second} | {row['grp']}"] = _number(row["sdcor"], digits)
        else:
            random[f"SD {first} | {row['grp']}"] = _number(row["sdcor"], digits)
    return {"Fixed effects": fixed, "Random effects": random, "Model": _whole(fit, digits)}


def _whole(fit: Fit, digits: int) -> dict[str, str]:
    rows = {"Observations": str(fit.nobs())}
    for term in fit.design.terms:
        rows[f"Levels of {term.group}"] = str(term.J)
    if isinstance(fit, LikelihoodFit):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a singular fit has no conditional R², and the cell is empty
            explained = fit.r2()
        rows["R² marginal"] = _number(float(explained["R2_marginal"].iloc[0]), digits)
        rows["R² conditional"] = _number(float(explained["R2_conditional"].iloc[0]), digits)
        criterion = "REML criterion" if fit.isREML() else "Deviance"
        rows[criterion] = _number(-2 * fit.logLik(), 1)
        rows["AIC"] = _number(fit.AIC(), 1)
        rows["BIC"] = _number(fit.BIC(), 1)
    return rows


def _notes(named: Mapping[str, Fit], below: Below, level: float, ddf: str | None, stars: bool) -> list[str]:
    likelihood = any(isinstance(fit, LikelihoodFit) for fit in named.values())
    posterior = any(isinstance(fit, PosteriorFit) for fit in named.values())
    notes = []
    if below == "se":
        kinds = [*(["standard errors"] if likelihood else []), *(["posterior MAD_SDs"] if posterior else [])]
        notes.append(f"In brackets: {' and '.join(kinds)}.")
    elif below == "ci":
        kinds = [*(["Wald confidence"] if likelihood else []), *(["central posterior"] if posterior else [])]
        notes.append(f"In brackets: {100 * level:g}% {' and '.join(kinds)} intervals.")
    elif below == "statistic":
        notes.append("In brackets: t values.")
    if stars and likelihood:
        method = (
            f"t tests with {ddf}'s degrees of freedom"
            if ddf
            else "normal quantiles, which are too small for few groups"
        )
        notes.append(f"* p < 0.05, ** p < 0.01, *** p < 0.001 by {method}.")
    fits = [fit for fit in named.values() if isinstance(fit, LikelihoodFit)]
    if len({fit.isREML() for fit in fits}) > 1:
        notes.append("Criteria, AIC and BIC of REML and of maximum likelihood cannot be compared.")
    elif fits and fits[0].isREML() and len({fit.design.coef_names for fit in fits}) > 1:
        notes.append("REML criteria, AIC and BIC of models with different fixed effects cannot be compared.")
    return notes


def maketables_coefficients(fit: LikelihoodFit) -> pd.DataFrame:
    """``__maketables_coef_table__``: b, se, t, p and the 95 % interval, by normal quantiles, of each coefficient."""
    table = fit.tidy(effects="fixed", conf_int=True)
    columns = {"b": "estimate", "se": "std.error", "t": "statistic"}
    out = pd.DataFrame({name: table[column].to_numpy() for name, column in columns.items()}, index=table["term"])
    out["p"] = 2 * ndtr(-out["t"].abs())
    out["ci95l"], out["ci95u"] = table["conf.low"].to_numpy(), table["conf.high"].to_numpy()
    out.index.name = "Coefficient"
    return out


def maketables_stat(fit: LikelihoodFit, key: str) -> float | int | None:
    """``__maketables_stat__(key)``: a statistic by maketables' name; None where there is none."""
    match key:
        case "N":
            return fit.nobs()
        case "ll":
            return fit.logLik()
        case "aic":
            return fit.AIC()
        case "bic":
            return fit.BIC()
        case "df_resid":
            return fit.df_residual()
        case "rmse":
            return float((fit.residuals() ** 2).mean() ** 0.5)
        case "r2" | "r2_marginal" | "r2_conditional":
            column = "R2_marginal" if key == "r2_marginal" else "R2_conditional"
            return float(fit.r2()[column].iloc[0])
    return None
