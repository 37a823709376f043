"""Predictions for the rows used or new ones (``predict.merMod``), and residuals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.design.re_form import ReForm, wanted_effects
from pyimpl.errors import DataError
from pyimpl.frame.columns import as_pandas
from pyimpl.inference.estimates import Estimates
from r_scripts.grammar import NA_ACTIONS

__all__ = ["predict_newdata", "predict_rows", "refuse_new_levels", "residual_values", "rows_for_prediction"]

_LONGEST = 60  # characters of level names that an error shows


def residual_values(design: Design, estimates: Estimates, kind: str, scaled: bool) -> np.ndarray:
    """Residuals of the rows used, shape (N,).

    Parameters
    ----------
    design : Design
    estimates : Estimates
    kind : {"response", "working", "pearson", "deviance"}
        The last two are multiplied by the root of the weights.
    scaled : bool
        Divide by sigma.

    Raises
    ------
    DataError
        Another kind.
    """
    values = design.y - estimates.fitted
    if kind in ("pearson", "deviance"):
        if design.weights is not None:
            values = values * np.sqrt(design.weights)
    elif kind not in ("response", "working"):
        raise DataError(f"residuals of type {kind!r} are not there; take response, working, pearson or deviance")
    return values / estimates.sigma if scaled else values


def predict_rows(
    design: Design, estimates: Estimates, wanted: Sequence[Sequence[int]], random_only: bool
) -> np.ndarray:
    """Predict for the rows used, shape (N,).

    Parameters
    ----------
    design : Design
    estimates : Estimates
    wanted : sequence of sequence of int
        Effects of each term that take part.
    random_only : bool
        The random effects' part alone.
    """
    values = np.zeros(design.N)
    if not random_only:
        values = design.X @ estimates.beta if design.P else values
        if design.offset is not None:
            values = values + design.offset
    for term, b, keep in zip(design.terms, estimates.b, wanted, strict=True):
        if keep:
            values = values + np.einsum("ij,ij->i", term.columns[:, keep], b[term.codes][:, keep])
    return values


def predict_newdata(
    design: Design,
    estimates: Estimates,
    newdata: pd.DataFrame,
    wanted: Sequence[Sequence[int]],
    *,
    allow_new_levels: bool,
    random_only: bool,
) -> pd.Series:
    """Predict for the rows of a data frame; see :meth:`pyimpl.LmerFit.predict`.

    Returns
    -------
    Series
        With the index of `newdata`; missing where a predictor is missing.
    """
    # the columns of terms that are not asked for need not be there
    rows = design.encode(newdata, fixed=not random_only, random=[bool(keep) for keep in wanted])
    values = np.zeros(len(rows.index))
    if not random_only:
        if rows.X is not None and design.P:
            values = rows.X @ estimates.beta
        values = values + rows.offset
    asked = [(b, keep) for b, keep in zip(estimates.b, wanted, strict=True) if keep]
    for new_term, (b, keep) in zip(rows.terms, asked, strict=True):
        if not allow_new_levels:
            refuse_new_levels(new_term.codes, new_term.new_levels, b.shape[0])
        padded = np.vstack([b, np.zeros((1, b.shape[1]))])
        codes = np.where((new_term.codes < 0) | (new_term.codes >= b.shape[0]), b.shape[0], new_term.codes)
        values = values + np.einsum("ij,ij->i", new_term.columns[:, keep], padded[codes][:, keep])
    return pd.Series(values, index=rows.index)


def rows_for_prediction(
    design: Design, newdata: pd.DataFrame | None, re_form: ReForm, random_only: bool, na_action: str
) -> pd.DataFrame | None:
    """Rows of new data to predict for (``predict(m, newdata, na.action)``).

    Parameters
    ----------
    design : Design
    newdata : data frame of any kind, or None
        None: the rows used, of which none is missing.
    re_form, random_only
        Which variables are needed.
    na_action : {"na.exclude", "na.omit", "na.fail"}
        Rows with missing values stay, are left out, or are refused.

    Raises
    ------
    DataError
        Another action; missing values with ``na.fail``.
    """
    if na_action not in NA_ACTIONS:
        raise DataError(f"na_action is one of {', '.join(NA_ACTIONS)}, not {na_action!r}")
    if newdata is None or na_action in ("na.pass", "na.exclude"):
        return newdata
    wanted = wanted_effects(design, re_form)
    rows = design.encode(newdata, fixed=not random_only, random=[bool(keep) for keep in wanted])
    missing = np.isnan(rows.offset)
    if rows.X is not None:
        missing |= np.isnan(rows.X).any(axis=1)
    for term in rows.terms:  # a level that is missing is one that is not known: for allow_new_levels to say
        missing |= np.isnan(term.columns).any(axis=1)
    if missing.any() and na_action == "na.fail":
        raise DataError(
            f"newdata has missing values in {int(missing.sum())} rows, first in row {rows.index[missing][0]!r}, and "
            "na_action is 'na.fail'"
        )
    return as_pandas(newdata).iloc[np.flatnonzero(~missing)]


def refuse_new_levels(
    codes: np.ndarray, new_levels: Sequence[str], known: int, otherwise: str = "is taken as 0"
) -> None:
    """Refuse rows whose level of a grouping factor is missing or one that the fit does not know.

    Parameters
    ----------
    codes : ndarray of int, shape (rows,)
        -1: missing; `known` and more: new.
    new_levels : sequence of str
    known : int
        Levels that the fit knows.
    otherwise : str
        What ``allow_new_levels=True`` would do with their random effect.

    Raises
    ------
    DataError
    """
    if (codes < 0).any():
        raise DataError("NAs are not allowed in prediction data for grouping variables unless allow_new_levels is True")
    used = [level for i, level in enumerate(new_levels) if (codes == known + i).any()]
    if used:
        text = ", ".join(used)
        if len(text) > _LONGEST:
            text = text[:_LONGEST].rsplit(",", 1)[0] + ", ..."
        raise DataError(
            f"new levels detected in newdata: {text}. With allow_new_levels=True their random effect {otherwise}"
        )
