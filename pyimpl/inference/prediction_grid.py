"""Predictions over a grid of the predictors (``ggeffects::ggpredict``)."""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Seed, Share
from pyimpl.design.re_form import ReForm
from pyimpl.errors import DataError
from pyimpl.frame.columns import Data, Factor, Logical
from pyimpl.inference.contract import Fit, LikelihoodFit, PosteriorFit
from pyimpl.inference.emm_text import At, Level, Over, Values
from pyimpl.inference.prediction import Uncertainty, predict_with_errors
from pyimpl.inference.reference_grid import Predictors, expand_grid, predictors_of

__all__ = ["PredictionsArguments", "prediction_grid", "predictions"]

_DISTINCT = 10  # values of a covariate up to which each is in the grid
_POINTS = 25  # equally spaced values otherwise


class PredictionsArguments(TypedDict, total=False):
    """Arguments of :func:`predictions` after `over`."""

    at: At | None
    re_form: ReForm
    interval: str
    level: Share
    ddf: str | float | None
    seed: Seed | None


@SIGNATURES.checked
def prediction_grid(fit: Fit, over: Over, at: At | None = None) -> pd.DataFrame:
    """Return every combination of the levels of some predictors, the others at a typical value.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    over : str, sequence of str, or mapping
        Predictors to vary; a mapping has their values (None: chosen as without). Of a factor every level; of a
        covariate every value if there are at most ten, else 25 equally spaced from least to largest.
    at : mapping, optional
        Values of other predictors, and levels of grouping factors. Without: covariates at their mean (weighted
        by the fit's prior weights), factors and logicals at their first level, as ggeffects.

    Returns
    -------
    DataFrame
        A column for each predictor, the first of `over` fastest; factors are categoricals with the model's levels.

    Raises
    ------
    DataError
        Not a predictor of the model, or a level that a factor lacks.
    """
    known = predictors_of(fit)
    names = [over] if isinstance(over, str) else over
    wanted: dict[str, Values | None] = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names)
    fixed = dict(at or {})
    groups = [name for term in fit.design.terms for name in term.group.split(":")]
    for name in [*wanted, *fixed]:
        if name not in known.names and name not in groups:
            raise DataError(f"{name!r} is not a predictor of the model; there are {', '.join(known.names)}")
    levels: dict[str, list[Level]] = {}
    for name, values in wanted.items():
        levels[name] = _values(known, name, values)
    for name in [*known.names, *fixed]:
        if name not in levels:
            levels[name] = (
                _values(known, name, fixed[name]) if name in fixed else [_typical(known, name, fit.design.weights)]
            )
    grid = expand_grid(levels)
    columns = Data(known.data)
    for name in known.names:
        column = columns.column(name)
        if isinstance(column, Factor):
            grid[name] = pd.Categorical(grid[name].astype(str), categories=column.levels, ordered=column.ordered)
    return grid


def _values(known: Predictors, name: str, given: Values | None) -> list[Level]:
    column = Data(known.data).column(name)
    if given is not None:
        values = [given] if isinstance(given, (str, bool, int, float, np.number)) else list(given)
        if isinstance(column, Factor) and name in known.names:
            values = [str(value) for value in values]
            missing = [value for value in values if value not in column.levels]
            if missing:
                raise DataError(f"{missing[0]!r} is not a level of {name}; there are {', '.join(column.levels)}")
        return values
    if isinstance(column, Factor):
        return list(column.levels)
    values_ = np.unique(np.asarray(column.array))
    if isinstance(column, Logical):
        return [bool(value) for value in values_]
    values_ = values_[~np.isnan(values_)]
    if len(values_) > _DISTINCT and name not in known.coerced_factors:
        values_ = np.linspace(values_[0], values_[-1], _POINTS)
    return [float(value) for value in values_]


def _typical(known: Predictors, name: str, weights: np.ndarray | None) -> Level:
    column = Data(known.data).column(name)
    if isinstance(column, Factor):
        return column.levels[0]
    if isinstance(column, Logical):
        return bool(np.unique(column.array)[0])
    if name in known.coerced_factors:  # numbers that the formula makes a factor of have no mean
        return float(np.nanmin(np.asarray(column.array, dtype=float)))
    return float(np.average(np.asarray(column.array, dtype=float), weights=weights))


@SIGNATURES.checked
def predictions(
    fit: Fit,
    over: Over,
    at: At | None = None,
    *,
    re_form: ReForm = "~0",
    interval: str = "confidence",
    level: Share = 0.95,
    ddf: str | float | None = None,
    seed: Seed | None = None,
) -> pd.DataFrame:
    """Predictions with intervals over a grid, as ``ggeffects::ggpredict(m, terms, condition)``.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    over, at
        See :func:`prediction_grid`: ``"x"``, ``["x", "a"]``, ``{"x": [0, 1, 2], "a": None}``.
    re_form : optional
        Random effects conditioned on, of levels named in `over` or `at`; default none. Those of new levels are 0.
    interval : {"confidence", "prediction"}
    level : float
    ddf : str or float, optional
        See :class:`~pyimpl.inference.prediction.Uncertainty`; ggeffects takes ``fit.df_residual()``.
    seed : int, optional
        Of a posterior's predictive draws (``stan_lmer``, ``interval="prediction"``).

    Returns
    -------
    DataFrame
        The grid and ``predicted``, ``std.error``, ``conf.low``, ``conf.high`` (ggeffects' names). Of a posterior:
        medians, standard deviations and central intervals.

    Raises
    ------
    DataError
        See :func:`prediction_grid`.
    """
    grid = prediction_grid(fit, over, at)
    names = ["predicted", "std.error", "conf.low", "conf.high"]
    if isinstance(fit, PosteriorFit):
        return grid.assign(**dict(zip(names, _posterior(fit, grid, re_form, interval, level, seed), strict=True)))
    assert isinstance(fit, LikelihoodFit)
    wanted = Uncertainty(interval, level, ddf)  # type: ignore[arg-type] # checked there
    table = predict_with_errors(fit, grid, re_form, True, False, wanted)
    columns = [table[column].to_numpy() for column in ("fit", "se.fit", "lwr", "upr")]
    return grid.assign(**dict(zip(names, columns, strict=True)))


def _posterior(
    fit: Any, grid: pd.DataFrame, re_form: ReForm, interval: str, level: Share, seed: Seed | None
) -> tuple[np.ndarray, ...]:
    if interval not in ("confidence", "prediction"):
        raise DataError(f"interval is 'confidence' or 'prediction', not {interval!r}")
    if interval == "confidence":
        draws = np.asarray(fit.posterior_epred(grid, re_form=re_form))
    else:
        draws = np.asarray(fit.posterior_predict(grid, re_form=re_form, seed=seed))
    ends = np.quantile(draws, [0.5 * (1 - level), 0.5 * (1 + level)], axis=0)
    return np.median(draws, axis=0), draws.std(axis=0, ddof=1), ends[0], ends[1]
