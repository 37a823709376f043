"""Predictions with their standard errors and intervals.

Two questions have two answers. How well is the *mean* known, of a level whose random effects were estimated or of the
fixed effects alone? A confidence interval, with lme4's standard error (``predict(m, se.fit = TRUE)``, since 1.1-35).
Where will a *new observation* be? A prediction interval: the residual variance besides, and the variance of the random
effects that are not conditioned on, those of levels that the fit does not know above all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtri, stdtrit

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.design.design import Design, EncodedTerm, random_columns
from pyimpl.design.re_form import ReForm, wanted_effects
from pyimpl.errors import DataError
from pyimpl.formula.parse import all_names
from pyimpl.frame.columns import as_pandas
from pyimpl.inference.contract import LikelihoodFit
from pyimpl.inference.joint_covariance import JointCovariance
from pyimpl.inference.kenward_roger import KenwardRoger
from pyimpl.inference.simulation import NewParameters
from pyimpl.likelihood.threads import fit_threads
from pyimpl.linalg.quadratic_forms import quadratic_forms

__all__ = ["Interval", "PredictArguments", "Uncertainty", "predict_with_errors"]

Interval = Literal["confidence", "prediction"]

#: Prior weights: one, or one for each row.
Weights = float | Sequence[float] | np.ndarray | pd.Series

_NEW_LEVEL = "(a level that is not in the data)"


class PredictArguments(TypedDict, total=False):
    """The rarer arguments of ``predict``: of its rows and parameters, and of :class:`Uncertainty`."""

    na_action: str
    newparams: NewParameters | None
    level: Share
    ddf: str | float | None
    weights: Weights | None


@SIGNATURES.fields("predict")
@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What is wanted besides predictions.

    Attributes
    ----------
    interval : {"confidence", "prediction"} or None
        Of the mean, or of a new observation.
    level : float
    ddf : {"Satterthwaite", "Kenward-Roger"}, float or None
        Degrees of freedom of confidence intervals of the fixed part (``re_form="~0"``), or a number of them for any
        interval; None: normal quantiles.
    weights : array-like or None
        Prior weights of the observations predicted; default those of the fit for its own rows, 1 for new ones.
    """

    interval: Interval | None = None
    level: Share = 0.95
    ddf: str | float | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        if isinstance(self.ddf, str):
            if self.ddf not in ("Satterthwaite", "Kenward-Roger"):
                raise DataError(f"ddf is 'Satterthwaite', 'Kenward-Roger' or a number, not {self.ddf!r}")
        elif self.ddf is not None and not float(self.ddf) > 0:
            raise DataError(f"ddf: degrees of freedom must be positive, not {self.ddf!r}")


@dataclass(frozen=True, eq=False)
class _Part:
    """One term's part in the rows: how often each effect counts (0: not conditioned on), and the term's codings.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
    counts : ndarray, shape (p,)
    codes : ndarray, shape (rows,)
        −1 for a level that the fit does not know, or a missing one.
    columns : ndarray, shape (rows, p)
    levels : int
    """

    covariance: np.ndarray
    counts: np.ndarray
    codes: np.ndarray
    columns: np.ndarray
    levels: int

    def loadings(self) -> sparse.csc_array:
        """The term's columns of z, shape (rows, J p): zeros where the level is not known."""
        columns = np.where((self.codes >= 0)[:, None], self.columns, 0.0) * self.counts
        return random_columns(np.maximum(self.codes, 0), np.nan_to_num(columns), self.levels)

    def unconditional(self) -> np.ndarray:
        """Variance of the effects that are not conditioned on, shape (rows,)."""
        taken = (self.codes >= 0)[:, None] & (self.counts > 0)
        z = np.where(taken, 0.0, self.columns)
        return quadratic_forms(z, self.covariance)


@fit_threads
def predict_with_errors(
    fit: LikelihoodFit,
    newdata: pd.DataFrame | None = None,
    re_form: ReForm = None,
    allow_new_levels: bool = False,
    random_only: bool = False,
    wanted: Uncertainty | None = None,
) -> pd.DataFrame:
    """``predict(m, newdata, re.form, allow.new.levels, random.only, se.fit = TRUE)``, with intervals.

    Parameters
    ----------
    fit : LmerFit
    newdata, re_form, allow_new_levels, random_only
        As of :meth:`LmerFit.predict`.
    wanted : Uncertainty, optional

    Returns
    -------
    DataFrame
        ``fit``, ``se.fit`` and, where an interval is asked for, ``lwr`` and ``upr`` (R's ``predict.lm`` has these
        names); the index of `newdata`, or of the data. Missing where a predictor is.

    Raises
    ------
    DataError
        As :meth:`LmerFit.predict`; degrees of freedom of predictions that use random effects.

    Notes
    -----
    ``se.fit`` is lme4's: the error of z'b̂ + x'β̂, given θ. A level that the fit does not know has b = 0 without error
    in it, as in lme4; a prediction interval counts the variance of its random effects. Of levels known it counts that
    of the effects which ``re_form`` leaves out. Grouping factors of such effects need not be columns of `newdata`.
    """
    wanted = Uncertainty() if wanted is None else wanted
    design = fit.design
    chosen = wanted_effects(design, re_form)
    means = fit.predict(newdata, re_form, allow_new_levels, random_only)
    inside = np.ones(len(means), dtype=bool)
    if newdata is None:
        inside = np.zeros(len(means), dtype=bool)  # na.exclude pads with missing values
        inside[~np.isnan(fit.fitted().to_numpy())] = True
    X, parts = _codings(fit, newdata, chosen, random_only, everything=wanted.interval == "prediction")
    joint = JointCovariance(fit)
    conditioned = any(chosen)
    Z = sparse.csr_array(sparse.hstack([part.loadings() for part in parts], format="csr")) if conditioned else None
    variance = joint.variance(X, Z) if X is not None or Z is not None else np.zeros(int(inside.sum()))
    quantile = _quantile(fit, wanted, X, conditioned or random_only)
    se = np.sqrt(variance)
    if isinstance(wanted.ddf, str) and X is not None:
        se = np.sqrt(quadratic_forms(X, _covariance(fit, wanted.ddf)))
    values = means.to_numpy()
    columns = {"fit": values, "se.fit": _padded(se, inside, values)}
    if wanted.interval is not None:
        spread = se**2
        if wanted.interval == "prediction":
            spread = spread + fit.sigma() ** 2 / _prior_weights(design, wanted.weights, newdata, len(se))
            for part in parts:
                spread = spread + part.unconditional()
        half = _padded(quantile(np.sqrt(spread)), inside, values)
        columns |= {"lwr": values - half, "upr": values + half}
    return pd.DataFrame(columns, index=means.index)


def _padded(numbers: np.ndarray, inside: np.ndarray, means: np.ndarray) -> np.ndarray:
    out = np.full(len(inside), np.nan)
    out[inside] = numbers
    out[np.isnan(means)] = np.nan
    return out


def _codings(
    fit: LikelihoodFit, newdata: pd.DataFrame | None, chosen: list[list[int]], random_only: bool, everything: bool
) -> tuple[np.ndarray | None, list[_Part]]:
    """X of the rows and each term's part; a term without any has no columns unless `everything` is asked for."""
    design = fit.design
    asked = [everything or bool(keep) for keep in chosen]
    terms: list[EncodedTerm | None] = [None] * len(design.terms)
    X: np.ndarray | None
    if newdata is None:
        X, rows = design.X, design.N
        terms = [EncodedTerm(t.group, t.effects, t.levels, t.codes, t.columns) for t in design.terms]
    else:
        data = _with_every_level(design, newdata) if everything else newdata
        encoded = design.encode(data, fixed=not random_only, random=asked)
        X, rows = encoded.X, len(encoded.index)
        found = iter(encoded.terms)
        terms = [next(found) if take else None for take in asked]
        if everything:  # the levels as they are, missing ones among them
            known = [bool(keep) for keep in chosen]
            real = iter(design.encode(newdata, fixed=False, random=known).terms) if any(known) else iter(())
            codes = [next(real).codes if take else None for take in known]
            terms = [
                EncodedTerm(t.group, t.effects, t.levels, np.full(rows, -1) if own is None else own, t.columns)
                for t, own in zip(terms, codes, strict=True)
                if t is not None
            ]
    if random_only:
        X = None
    templates = _covariances(fit)
    parts = []
    for term, model, keep, covariance in zip(terms, design.terms, chosen, templates, strict=True):
        counts = np.bincount(np.asarray(keep, dtype=np.intp), minlength=model.p).astype(float)
        if term is None:
            nothing = np.full(rows, -1)
            parts.append(_Part(covariance, counts, nothing, np.zeros((rows, model.p)), model.J))
            continue
        codes_ = np.where((term.codes < 0) | (term.codes >= model.J), -1, term.codes)
        parts.append(_Part(covariance, counts, codes_, term.columns, model.J))
    return X, parts


def _covariances(fit: LikelihoodFit) -> list[np.ndarray]:
    """Σ = σ²TT' of each term, shape (p, p)."""
    templates = fit.getME("Tlist").values()
    return [fit.sigma() ** 2 * (T @ T.T) for T in templates]


def _with_every_level(design: Design, newdata: pd.DataFrame) -> pd.DataFrame:
    """Give grouping factors that are not there, or are missing, some level: effects' columns do not depend on it."""
    assert design.recipe is not None
    data = as_pandas(newdata).copy()
    for bar, _, _ in design.recipe.random:
        for name in all_names(bar.group):
            if name not in data.columns:
                data[name] = _NEW_LEVEL
            elif data[name].isna().all():
                data[name] = np.full(len(data), _NEW_LEVEL, dtype=object)
            elif data[name].isna().any():
                data[name] = data[name].fillna(data[name].dropna().iloc[0])
    return data


def _prior_weights(design: Design, given: Any, newdata: pd.DataFrame | None, rows: int) -> np.ndarray:
    if given is None:
        own = design.weights if newdata is None else None
        return np.ones(rows) if own is None else own
    weights = np.asarray(given, dtype=float)
    weights = np.full(rows, weights) if weights.ndim == 0 else weights
    if weights.shape != (rows,) or not (weights > 0).all():
        raise DataError(f"weights: {rows} positive numbers are needed, one for each row predicted")
    return weights


def _covariance(fit: LikelihoodFit, ddf: str) -> np.ndarray:
    method = fit.small_sample_method(ddf)
    return method.adjusted if isinstance(method, KenwardRoger) else fit.vcov().to_numpy()


def _quantile(
    fit: LikelihoodFit, wanted: Uncertainty, X: np.ndarray | None, conditioned: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Half widths of intervals, as a function of standard deviations."""
    tail = 0.5 * (1 + wanted.level)
    if wanted.ddf is None:
        return lambda sd: float(ndtri(tail)) * sd
    if not isinstance(wanted.ddf, str):
        number = float(wanted.ddf)
        return lambda sd: float(stdtrit(number, tail)) * sd
    if conditioned or wanted.interval == "prediction" or X is None:
        raise DataError(
            f"ddf: {wanted.ddf}'s degrees of freedom are of the fixed effects' part alone: take re_form='~0' and "
            "interval='confidence', or give a number of degrees of freedom"
        )
    method = fit.small_sample_method(wanted.ddf)
    df = np.array([method.df(row) if row.any() and not np.isnan(row).any() else np.nan for row in X])
    return lambda sd: stdtrit(df, tail) * sd
