"""lmerTest's least-squares means of the factor terms, and their differences (``ls_means``, ``difflsmeans``).

They are emmeans' means with equal weights; the tables, their names and their text are lmerTest's, and covariates are
always at their mean.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.errors import DataError
from pyimpl.frame.columns import Data, Factor, Logical
from pyimpl.inference.contract import LikelihoodFit
from pyimpl.inference.emm_grid import EmmGrid
from pyimpl.inference.emm_text import label_of
from pyimpl.inference.reference_grid import GridOptions, predictors_of, reference_grid
from pyimpl.text.numbers import CoefmatColumns, format_num, print_coefmat, r_round
from r_scripts.printed import printed_html

__all__ = ["LeastSquaresMeans", "ls_means"]

_METHODS = ("Satterthwaite", "Kenward-Roger")


class LeastSquaresMeans(pd.DataFrame):
    """Means or differences: Estimate, Std. Error, df, t value, lower, upper, Pr(>|t|); ``str()`` is what R prints."""

    _metadata = ["level", "ddf"]  # noqa: RUF012 - pandas' own protocol
    level: Share
    ddf: str

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def to_text(self) -> str:
        """Write what lmerTest prints, the last newline left out."""
        values = self.to_numpy(dtype=float, copy=True)
        values[:, 2] = r_round(values[:, 2], 1)
        table = print_coefmat(
            values,
            [str(name) for name in self.index],
            [str(name) for name in self.columns],
            columns=CoefmatColumns(cs=(0, 1, 4, 5), tst=(3,), has_pvalue=True),
        )
        level = format_num([100 * self.level], 2)[0]
        return (
            f"Least Squares Means table:\n\n{table}\n\n  Confidence level: {level}%\n"
            f"  Degrees of freedom method: {self.ddf} "
        )

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(self.to_text())


@SIGNATURES.checked
def ls_means(
    fit: LikelihoodFit,
    which: str | Sequence[str] | None = None,
    level: Share = 0.95,
    ddf: str = "Satterthwaite",
    pairwise: bool = False,
) -> LeastSquaresMeans:
    """``lmerTest::ls_means(m, which, level, ddf, pairwise)``: means of the levels of each term of factors.

    Other factors are averaged over with equal weights, covariates are at their mean.

    Parameters
    ----------
    fit : LmerFit
    which : str or sequence of str, optional
        Labels of terms of factors, ``"a"`` or ``"a:b"``; default all.
    level : float
        Of the confidence intervals.
    ddf : {"Satterthwaite", "Kenward-Roger"}
    pairwise : bool
        Differences of all pairs of a term's means instead (``difflsmeans``).

    Returns
    -------
    LeastSquaresMeans
        A row for each mean, named by variable and level; missing where it cannot be estimated.

    Raises
    ------
    DataError
        A term that is not there or not of factors alone; an unknown method.
    """
    if ddf not in _METHODS:
        raise DataError(f"ddf is one of {', '.join(_METHODS)}, not {ddf!r}")
    known = predictors_of(fit)
    columns = Data(known.data)
    categorical = {
        name
        for name in known.names
        if name in known.coerced_factors
        or (isinstance(columns.column(name), (Factor, Logical)) and name not in known.coerced_covariates)
    }
    means = {
        name: float(known.data[name].mean())
        for name in known.names
        if name not in categorical and not isinstance(columns.column(name), Factor)
    }
    grid = reference_grid(fit, GridOptions(at=means, ddf=ddf, ddf_limit=fit.nobs()))
    asked = ([which] if isinstance(which, str) else list(which)) if which is not None else None
    terms = {label: names for label, names in _terms(fit).items() if names and set(names) <= categorical}
    if asked is not None and (unknown := [label for label in asked if label not in terms]):
        raise DataError(f"which: {unknown[0]!r} is no term of factors; there are {', '.join(terms) or 'none'}")
    names: list[str] = []
    rows: list[np.ndarray] = []
    for label in terms if asked is None else asked:
        own_names, own_rows = _averages(grid, terms[label])
        if pairwise:
            pairs = list(combinations(range(len(own_names)), 2))
            rows += [own_rows[i] - own_rows[j] for i, j in pairs]
            names += [f"{own_names[i]} - {own_names[j]}" for i, j in pairs]
        else:
            rows += list(own_rows)
            names += own_names
    L = np.array(rows).reshape(len(rows), grid.linfct.shape[1])
    value, se, df = grid.basis.estimates(L, None)
    t = value / se
    half = stdtrit(df, 0.5 * (1 + level)) * se
    table = LeastSquaresMeans(
        {
            "Estimate": value,
            "Std. Error": se,
            "df": df,
            "t value": t,
            "lower": value - half,
            "upper": value + half,
            "Pr(>|t|)": 2 * stdtr(df, -np.abs(t)),
        },
        index=names,
    )
    table.level, table.ddf = level, ddf
    return table


def _terms(fit: LikelihoodFit) -> dict[str, tuple[str, ...]]:
    """Each term's variables of the data."""
    from pyimpl.formula.parse import all_names

    recipe = fit.design.recipe
    assert recipe is not None
    variables = recipe.fixed.variables
    return {
        term.label: tuple(dict.fromkeys(name for i in term.variables for name in all_names(variables[i])))
        for term in recipe.fixed.terms
    }


def _averages(grid: EmmGrid, variables: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The combinations of levels, the first variable fastest, and the mean of their rows of the grid."""
    keys = [
        ":".join(f"{name}{label_of(value)}" for name, value in zip(variables, row, strict=True))
        for row in grid.grid[list(variables)].itertuples(index=False, name=None)
    ]
    names = list(dict.fromkeys(keys))
    order = np.array([names.index(key) for key in keys])
    return names, np.array([grid.linfct[order == i].mean(axis=0) for i in range(len(names))])
