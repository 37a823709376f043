"""The linear predictor of a ``stan_lmer`` fit for the rows used and for new data (``rstanarm:::pp_eta``)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.design.re_form import ReForm, wanted_effects
from pyimpl.errors import DataError, ModelError
from pyimpl.formula.parse import all_names
from pyimpl.frame.columns import Data, Factor
from pyimpl.frame.model_frame import NEW_DATA, model_frame
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.linalg.heard import heard_if_long
from pyimpl.posterior.draws import PosteriorDraws

__all__ = [
    "Offset",
    "PredictionRows",
    "interval",
    "linear_predictor",
    "log_density",
    "predicted_responses",
    "prediction_rows",
    "response",
]

#: An offset of the linear predictor: one number, or one for each row.
Offset = float | Sequence[float] | np.ndarray | pd.Series


@dataclass(frozen=True)
class PredictionRows:
    """Rows to predict, in the codings of the fit.

    Attributes
    ----------
    index : pandas.Index
    X : ndarray, shape (rows, P)
    offset : ndarray, shape (rows,), or None
    terms : tuple of (codes, columns, wanted)
        For each random-effects term the level of each row (J, the padded level ``_NEW_``, for a level that the fit
        does not know), the columns, shape (rows, p), and the positions of the effects that are wanted.
    """

    index: pd.Index
    X: np.ndarray
    offset: np.ndarray | None
    terms: tuple[tuple[np.ndarray, np.ndarray, list[int]], ...]


def prediction_rows(
    design: Design, newdata: pd.DataFrame | None = None, re_form: ReForm = None, offset: Offset | None = None
) -> PredictionRows:
    """Encode the rows to predict (``rstanarm:::pp_data``).

    Parameters
    ----------
    design : Design
    newdata : pandas.DataFrame, optional
        Default: the rows used.
    re_form : optional
        See :func:`pyimpl.design.re_form.wanted_effects`.
    offset : array-like, optional
        One number, or one for each row; replaces the model's offset. Without it an ``offset()`` term is evaluated on
        `newdata` (rstanarm 2.21.3 adds the *fitted* rows' offset to new rows, recycled by position).

    Raises
    ------
    DataError
        `newdata` is no data frame, has no rows or missing values, lacks a column, or has a level of a fixed factor
        that the fit does not know.
    ModelError
        The fit had an argument ``offset``, and none is given for `newdata`.
    """
    wanted = wanted_effects(design, re_form)
    if newdata is None:
        return PredictionRows(
            design.index,
            design.X,
            design.offset if offset is None else _offset(offset, design.N),
            tuple((term.codes, term.columns, keep) for term, keep in zip(design.terms, wanted, strict=True)),
        )
    _check_newdata(design, newdata)
    rows = design.encode(newdata, random=any(wanted))
    assert rows.X is not None
    if offset is not None:
        given: np.ndarray | None = _offset(offset, len(rows.index))
    else:
        recipe = design.recipe
        if design.offset is not None and recipe is not None and not recipe.fixed.offsets:
            raise ModelError(
                "The model was fitted with the argument offset, which newdata cannot hold: "
                "give offset, one number for each row of newdata."
            )
        given = rows.offset
    encoded = []
    if any(wanted):
        for term, new, keep in zip(design.terms, rows.terms, wanted, strict=True):
            codes = np.where((new.codes < 0) | (new.codes >= term.J), term.J, new.codes)
            encoded.append((codes, new.columns, keep))
    return PredictionRows(rows.index, rows.X, given, tuple(encoded))


def _offset(offset: Offset, rows: int) -> np.ndarray:
    values = np.asarray(offset, dtype=np.float64)
    if values.shape not in ((), (rows,)):
        raise DataError(f"offset has shape {values.shape}; expected one number for each of the {rows} rows.")
    if not np.isfinite(values).all():
        raise DataError("offset has missing or infinite values.")
    return np.broadcast_to(values, (rows,))


def _check_newdata(design: Design, newdata: pd.DataFrame) -> None:
    """``rstanarm:::validate_newdata``."""
    data = Data(newdata)
    if data.rows == 0:
        raise DataError("If newdata is specified it must have more than 0 rows.")
    recipe = design.recipe
    if recipe is None:
        raise ModelError("This design was not made by build_design and cannot encode new data.")
    names: set[str] = set()
    for node in recipe.fixed.variables:
        names.update(all_names(node))
    for bar, effects, _ in recipe.random:
        names.update(all_names(bar.group))
        for node in effects.variables:
            names.update(all_names(node))
    missing = [name for name in data.names() if name in names and data.column(name).any_missing()]
    if missing:
        raise DataError(
            f"NAs are not allowed in newdata, but {', '.join(missing)} has some. Leave these rows out "
            "(a level that is not known needs a name of its own)."
        )


def _refuse_too_many(draws: int, rows: int) -> None:
    refuse_too_large(3.0 * draws * rows, f"predictions of {rows} rows by {draws} draws", "Ask for fewer: draws=400")


def linear_predictor(draws: PosteriorDraws, chosen: np.ndarray, rows: PredictionRows) -> np.ndarray:
    """Linear predictor, shape (chosen draws, rows).

    All rows of levels that the fit does not know share one draw of the padded level's effects, as in rstanarm.

    Parameters
    ----------
    draws : PosteriorDraws
    chosen : ndarray of int
        Which draws.
    rows : PredictionRows
    """
    _refuse_too_many(chosen.size, len(rows.X))
    effects = sum(len(wanted) for _, _, wanted in rows.terms)
    operations = float(chosen.size) * len(rows.X) * (rows.X.shape[1] + 10 * (effects + 1))
    return heard_if_long(operations, _linear_predictor, draws, chosen, rows)


def _linear_predictor(draws: PosteriorDraws, chosen: np.ndarray, rows: PredictionRows) -> np.ndarray:
    eta = draws.coef[chosen] @ rows.X.T
    if rows.offset is not None:
        eta += rows.offset
    at = 0
    for term, (codes, columns, wanted) in zip(draws.spec.terms, rows.terms, strict=False):
        width = term.p * (term.J + 1)
        b = draws.b[chosen, at : at + width].reshape(chosen.size, term.J + 1, term.p)
        at += width
        for k in wanted:
            eta += b[:, codes, k] * columns[:, k]
    return eta


def predicted_responses(eta: np.ndarray, sigma: np.ndarray, seed: int | None) -> np.ndarray:
    """Draw responses around linear predictors.

    Parameters
    ----------
    eta : ndarray, shape (draws, rows)
    sigma : ndarray, shape (draws,)
    seed : int, optional

    Returns
    -------
    ndarray, shape (draws, rows)
    """
    noise = np.random.default_rng(None if seed is None else [seed, 1]).standard_normal(eta.shape)
    noise *= sigma[:, None]
    noise += eta
    return noise


def log_density(y: np.ndarray, eta: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Log of the normal density of each response, shape (draws, rows).

    Parameters
    ----------
    y : ndarray, shape (rows,)
    eta : ndarray, shape (draws, rows)
    sigma : ndarray, shape (draws, 1)
    """
    z = (y - eta) / sigma
    return -0.5 * z * z - np.log(sigma) - 0.5 * np.log(2 * np.pi)


def response(design: Design, newdata: pd.DataFrame | None = None) -> np.ndarray:
    """Response of the rows used or of `newdata`, shape (rows,).

    Raises
    ------
    DataError
        `newdata` has no response.
    """
    if newdata is None:
        return design.y
    recipe = design.recipe
    if recipe is None or recipe.fixed.response < 0:
        raise ModelError("This design was not made by build_design and cannot encode new data.")
    node = recipe.fixed.variables[recipe.fixed.response]
    frame = model_frame([node], newdata, NEW_DATA, drop_unused=False, bases=recipe.bases)
    column = frame.columns[node]
    if isinstance(column, Factor):
        raise DataError(f"The response {design.response!r} of newdata is not numeric.")
    return np.asarray(column.array, dtype=np.float64).reshape(frame.rows)


def interval(values: np.ndarray, prob: float) -> tuple[np.ndarray, Sequence[float]]:
    """Central intervals of columns, shape (columns, 2), and their two probabilities."""
    if not 0 < prob < 1:
        raise ModelError(f"prob should be a number between 0 and 1, but is {prob!r}.")
    probs = ((1 - prob) / 2, 1 - (1 - prob) / 2)
    return np.quantile(values, probs, axis=0).T, probs
