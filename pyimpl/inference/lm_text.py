"""The text that R prints for a linear model: ``print(m)`` and ``print(summary(m))`` of ``lm``."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.design.model_matrix import Contrasts
from pyimpl.formula.parse import Call, Name, Node, Str, deparse_lines, parse
from pyimpl.text.numbers import (
    as_character,
    format_num,
    format_pval,
    formatC,
    print_coefmat,
    print_vector,
    quantile7,
    r_signif,
    zapsmall,
)
from r_scripts.printed import printed_html

__all__ = ["LmSummary", "call_text", "print_lm"]

_DIGITS = 4  # max(3, getOption("digits") - 3)
_FEW = 5  # residual degrees of freedom up to which R prints the residuals themselves


def call_text(function: str, formula: Node, arguments: Mapping[str, str | Contrasts | None]) -> list[str]:
    """Write a call as R deparses it, in lines.

    Parameters
    ----------
    function : str
    formula : Node
    arguments : mapping
        R's name -> text that R would show (None: not given), or a mapping of contrasts.
    """
    names, values = ["formula"], [formula]
    shown: tuple[str, str] | None = None
    for name, value in arguments.items():
        if value is None:
            continue
        names.append(name)
        if isinstance(value, Mapping):
            kinds: list[Node] = [Str(v) if isinstance(v, str) else Name("contrasts") for v in value.values()]
            values.append(Call("list", tuple(kinds), tuple(value)))
        elif name == "data":  # any expression of R's may stand there: a symbol as long holds its place
            symbol = "d" * len(value)
            shown = (f"data = {symbol}", f"data = {value}")
            values.append(Name(symbol))
        else:
            values.append(parse(value))
    lines = deparse_lines(Call(function, tuple(values), tuple(names)))
    return lines if shown is None else [line.replace(*shown, 1) for line in lines]


def print_lm(call: list[str], coefficients: pd.Series) -> str:
    """``print(m)``, the last newline left out."""
    out = "\nCall:\n" + "\n".join(call) + "\n\n"
    if len(coefficients) == 0:
        return out + "No coefficients\n"
    names = [str(name) for name in coefficients.index]
    cells = format_num(coefficients.to_numpy(dtype=float), _DIGITS)
    return out + f"Coefficients:\n{print_vector(cells, names=names, gap=2)}\n"


@dataclass(frozen=True)
class LmSummary:
    """``summary(m)`` of a linear model; ``str()`` is exactly the text that R prints.

    Attributes
    ----------
    call : list of str
    residuals : Series
        Times the root of the weights, by R's row name.
    weighted : bool
        Whether weights differ.
    coefficients : DataFrame
        Estimate, Std. Error, t value, Pr(>|t|), without the coefficients that are not defined.
    names : tuple of str
        All coefficients.
    sigma : float
    df : tuple of int
        Rank, residual degrees of freedom, number of coefficients.
    r_squared, adj_r_squared : float
    fstatistic : Series or None
        value, numdf, dendf.
    p_value : float
        Of the F test.
    omitted : int
        Rows left out because of missing values.
    """

    call: list[str]
    residuals: pd.Series
    weighted: bool
    coefficients: pd.DataFrame
    names: tuple[str, ...]
    sigma: float
    df: tuple[int, int, int]
    r_squared: float
    adj_r_squared: float
    fstatistic: pd.Series | None
    p_value: float
    omitted: int

    def _residual_text(self) -> str:
        rank, rdf, _ = self.df
        values = self.residuals.to_numpy(dtype=float)
        if rdf > _FEW:
            quantiles = zapsmall(quantile7(values), _DIGITS + 1)
            return print_vector(quantiles, _DIGITS, names=["Min", "1Q", "Median", "3Q", "Max"])
        if rdf > 0:
            return print_vector(values, _DIGITS, names=[str(name) for name in self.residuals.index])
        return f"ALL {rank} residuals are 0: no residual degrees of freedom!"

    def _coefficient_text(self) -> str:
        rank, _, count = self.df
        if not self.names:
            return "\nNo Coefficients\n"
        lost = count - rank
        note = f" ({lost} not defined because of singularities)" if lost else ""
        table = np.full((count, 4), np.nan)
        defined = [self.names.index(str(name)) for name in self.coefficients.index]
        table[defined] = self.coefficients.to_numpy(dtype=float)
        absent = np.ones(table.shape, dtype=bool)
        absent[defined] = False
        heads = [str(head) for head in self.coefficients.columns]
        text = print_coefmat(table, list(self.names), heads, _DIGITS, absent=absent)
        return f"\nCoefficients:{note}\n{text}\n"

    def to_text(self) -> str:
        """Write what R's ``print(summary(m))`` does, the last newline left out."""
        out = "\nCall:\n" + "\n".join(self.call) + "\n\n"
        out += ("Weighted " if self.weighted else "") + f"Residuals:\n{self._residual_text()}\n"
        out += self._coefficient_text()
        sigma = format_num(r_signif([self.sigma], _DIGITS), na="NaN")[0]
        out += f"\nResidual standard error: {sigma} on {self.df[1]} degrees of freedom\n"
        if self.omitted:
            noun = "observation" if self.omitted == 1 else "observations"
            out += f"  ({self.omitted} {noun} deleted due to missingness)\n"
        if self.fstatistic is not None:
            value, numdf, dendf = (float(part) for part in self.fstatistic)
            r2, adjusted, f = (
                "NaN".rjust(_DIGITS + 1) if np.isnan(v) else formatC([v], digits=_DIGITS)[0]
                for v in (self.r_squared, self.adj_r_squared, value)
            )
            p = "NA" if np.isnan(self.p_value) else format_pval([self.p_value], digits=_DIGITS)[0]
            out += (
                f"Multiple R-squared:  {r2},\tAdjusted R-squared:  {adjusted} \n"
                f"F-statistic: {f} on {as_character(numdf, 7)} and {as_character(dendf, 7)} DF,  p-value: {p}\n"
            )
        return out

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return printed_html(str(self))
