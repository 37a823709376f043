"""``lmList``: a linear model in each group, as ``lme4::lmList`` fits them (no pooling)."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES
from pyimpl.design.linear import read_linear_formula
from pyimpl.design.model_matrix import Contrasts
from pyimpl.errors import FormulaError, ModelError, PyimplError, PyimplWarning
from pyimpl.formula.parse import Call, deparse, walk
from pyimpl.frame.columns import Data, as_factor, as_pandas
from pyimpl.frame.model_frame import NEW_DATA, model_frame
from pyimpl.inference.lm_text import call_text
from pyimpl.models.lm import LmFit, lm
from pyimpl.text.numbers import format_num, print_data_frame
from r_scripts.caller import warn
from r_scripts.printed import printed_html

__all__ = ["LmListFit", "lmList"]


@SIGNATURES.leaving("formula", "data", "offset", "weights")
def lmList(
    formula: str,
    data: pd.DataFrame,
    *,
    weights: str | None = None,
    offset: str | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    data_name: str | None = None,
) -> "LmListFit":
    """Fit a linear model in each group, as ``lme4::lmList``.

    Parameters
    ----------
    formula : str
        ``"y ~ x | g"``: the model, and right of the bar the grouping variable (or ``interaction(g, h)``).
    data : DataFrame of pandas or polars, pyarrow Table, or another that narwhals reads
    weights, offset : str, optional
        Name of a column.
    na_action, contrasts
        As for :func:`pyimpl.lm`.
    data_name : str, optional
        What is printed as ``data =``; default ``data.attrs["name"]``, or "data".

    Returns
    -------
    LmListFit

    Raises
    ------
    FormulaError
        No grouping variable, or several.

    Warns
    -----
    PyimplWarning
        Groups that cannot be fitted; their coefficients are missing.
    """
    tree = read_linear_formula(formula)
    right = tree.args[1]
    if not (isinstance(right, Call) and right.fn == "|"):
        raise FormulaError(f"{formula!r} has no grouping variable. Write 'y ~ x | g' (R: a conditioning expression).")
    model, group = right.args
    if any(isinstance(part, Call) and part.fn in (":", "*", "/", "+", "|", "||") for part in walk(group)):
        raise FormulaError(
            f"lmList takes one grouping variable, not {deparse(group)!r}. Write interaction(a, b) for two."
        )
    source = Data(data)
    frame = model_frame([group], source, NEW_DATA, drop_unused=True)
    factor = as_factor(frame.columns[group]).drop_unused()
    rows = as_pandas(data)
    text = deparse(Call("~", (tree.args[0], model)))
    name = data_name or str(getattr(data, "attrs", {}).get("name", "data"))
    fits: dict[str, LmFit | None] = {}
    failed: list[str] = []
    for k, level in enumerate(factor.levels):
        chosen = rows.iloc[np.flatnonzero(factor.codes == k)]
        try:
            fits[level] = lm(
                text,
                chosen,
                weights=weights,
                offset=offset,
                na_action=na_action,
                contrasts=contrasts,
                data_name="data",
            )
        except PyimplError as error:
            if isinstance(error, FormulaError):
                raise
            fits[level] = None
            failed.append(str(error))
    if failed and len(failed) == len(fits):
        raise ModelError(f"lmList: no group can be fitted: {failed[0]}")
    if failed:
        warn(_failures(failed), PyimplWarning)
    arguments = {"data": name, "weights": weights, "offset": offset}
    return LmListFit(fits, call_text("lmList", tree, arguments), deparse(tree))


def _failures(texts: list[str]) -> str:
    """R's warning about groups that could not be fitted, with the errors' frequencies."""
    counts = Counter(texts)
    if len(counts) > 1:
        listed = "".join(f"\n{count} times: {text}" for text, count in counts.most_common())
        return f"{len(texts)} errors caught in lm.  The error messages and their frequencies are{listed}"
    if len(texts) == 1:
        return f"1 error caught in lm: {texts[0]}"
    return f"{len(texts)} times caught the same error in lm: {texts[0]}"


@SIGNATURES.verbs
@dataclass(frozen=True, repr=False, eq=False)
class LmListFit(Mapping[str, LmFit | None]):
    """Linear models by group. Made by :func:`lmList`.

    Attributes
    ----------
    fits : dict
        Level of the grouping factor, in R's order -> LmFit, or None where it cannot be fitted.
    call : list of str
    formula : str
    """

    fits: dict[str, LmFit | None]
    call: list[str]
    formula: str

    def __getitem__(self, level: str) -> LmFit | None:
        return self.fits[level]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    def coef(self) -> pd.DataFrame:
        """``coef(m)``: group x coefficient; missing where a group has none."""
        found = {level: fit.coef() for level, fit in self.fits.items() if fit is not None}
        names = list(dict.fromkeys(name for one in found.values() for name in one.index))
        table = pd.DataFrame(np.nan, index=pd.Index(list(self.fits), dtype=object), columns=names)
        for level, one in found.items():
            table.loc[level, list(one.index)] = one.to_numpy()
        return table

    def nobs(self) -> int:
        """Rows used in all groups."""
        return sum(fit.nobs() for fit in self.fits.values() if fit is not None)

    def df_residual(self) -> int:
        """Residual degrees of freedom of :meth:`sigma`: as lme4 counts, undefined coefficients too."""
        return sum(len(fit.residuals()) - len(fit.coef()) for fit in self.fits.values() if fit is not None)

    def sigma(self) -> float:
        """Pooled residual standard deviation of all groups."""
        squares = sum(float(np.nansum(fit.residuals() ** 2)) for fit in self.fits.values() if fit is not None)
        df = self.df_residual()
        if df == 0:
            raise ModelError("No degrees of freedom for estimating std. dev.")
        return math.sqrt(squares / df) if df > 0 else math.nan

    def __str__(self) -> str:
        out = f"Call: {' '.join(self.call)} \nCoefficients:\n{print_data_frame(self.coef())}\n"
        total = sum(len(fit.fitted()) for fit in self.fits.values() if fit is not None)
        out += f"\nDegrees of freedom: {total} total; {self.df_residual()} residual\n"
        return out + f"Residual standard error: {format_num([self.sigma()])[0]}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return printed_html(str(self))
