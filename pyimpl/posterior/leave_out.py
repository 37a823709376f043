"""Predictions of what was left out: PSIS expectations (``loo::E_loo``) and K-fold cross-validation (``kfold``)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from pyimpl.arguments import as_numbers
from pyimpl.errors import DataError, ModelError
from pyimpl.linalg.forecast import Forecast
from pyimpl.posterior.loo import estimates_text, psis, relative_eff, summed
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

__all__ = ["Folds", "Kfold", "expectation", "folds_of", "kfold"]

#: The fold of each row, from 1 on.
Folds = Sequence[int] | np.ndarray | pd.Series


def expectation(
    values: np.ndarray,
    log_lik: np.ndarray,
    chains: int,
    type: str,  # noqa: A002
    probs: Sequence[float],
    dialect: Dialect,
) -> np.ndarray:
    """``E_loo(values, psis, type, probs)$value``: what is expected of each column without its observation.

    Parameters
    ----------
    values, log_lik : ndarray, shape (draws, observations)
    chains : int
    type : {"mean", "var", "quantile"}
    probs : sequence of float
        For ``"quantile"``.
    dialect : Dialect
        Before loo 2.7.0 the "variance" is the squared Monte Carlo error of the mean.

    Returns
    -------
    ndarray, shape (observations,) or (observations, len(probs))
    """
    if type not in ("mean", "var", "quantile"):
        raise DataError(f"type must be 'mean', 'var' or 'quantile', not {type!r}")
    wrong = [p for p in probs if not 0 < p < 1]
    if type == "quantile" and (wrong or not len(probs)):
        raise DataError(f"probs must be numbers between 0 and 1, not {list(probs)}")
    r_eff = relative_eff(np.exp(log_lik), chains, dialect)
    weights = np.exp(psis(log_lik, r_eff)[0])
    mean = np.einsum("sn,sn->n", weights, values)
    if type == "mean":
        return mean
    if type == "var":
        square = (values - mean) ** 2
        if not dialect.has("weighted_variance_mended"):
            return np.einsum("sn,sn->n", weights**2, square) / r_eff
        with np.errstate(invalid="ignore"):  # all weight on one draw: not a number, as in R
            return np.einsum("sn,sn->n", weights, square) / (1 - np.einsum("sn,sn->n", weights, weights))
    return np.array([_quantiles(x, w, probs) for x, w in zip(values.T, weights.T, strict=True)])


def _quantiles(x: np.ndarray, w: np.ndarray, probs: Sequence[float]) -> np.ndarray:
    """``loo:::.wquant``."""
    if (w == w[0]).all():
        return np.quantile(x, probs)
    order = np.argsort(x, kind="stable")
    x, total = x[order], np.cumsum(w[order])
    total = total / total[-1]
    out = []
    for p in probs:
        i = int(np.searchsorted(total, p))
        share = 0.0 if i == 0 else (p - total[i - 1]) / (total[i] - total[i - 1])
        out.append(x[0] if i == 0 else x[i - 1] + (x[i] - x[i - 1]) * share)
    return np.array(out)


@dataclass(frozen=True, repr=False)
class Kfold:
    """``kfold(m)``: ``elpd_kfold``, ``p_kfold``, ``kfoldic``; ``str()`` is what R prints.

    Attributes
    ----------
    estimates : DataFrame
        Columns Estimate, SE.
    pointwise : DataFrame
        A row for each observation.
    folds : Series of int
        The fold of each observation, from 1.
    dialect : Dialect
        Whose text.
    """

    estimates: pd.DataFrame
    pointwise: pd.DataFrame
    folds: pd.Series
    dialect: Dialect

    @property
    def K(self) -> int:
        """Number of folds."""
        return int(self.folds.max())

    def __str__(self) -> str:
        stop = "." if self.dialect.has("sample_size_k") else ""
        return f"\nBased on {self.K}-fold cross-validation{stop}\n\n{estimates_text(self.estimates)}"

    def _repr_html_(self) -> str:
        return printed_html(str(self))

    __repr__ = __str__


def folds_of(K: int, folds: Folds | None, index: pd.Index, seed: int | None) -> np.ndarray:
    """Fold of each row, from 1: those given, or K of (nearly) equal size at random (``kfold_split_random``).

    Raises
    ------
    DataError
        `folds` does not number the rows' folds from 1 without gaps; K is not between 2 and the number of rows.
    """
    n = len(index)
    if folds is None:
        if not 2 <= K <= n:
            raise DataError(f"kfold: K must be between 2 and the number of observations ({n}), not {K}")
        return np.random.default_rng(seed).permutation(np.arange(n) % K) + 1
    given = folds.reindex(index) if isinstance(folds, pd.Series) and index.is_unique else folds
    numbers = as_numbers(given, "kfold: folds")
    if numbers.shape != (n,) or not (np.isfinite(numbers) & (numbers == np.rint(numbers))).all():
        raise DataError(f"kfold: folds must be one whole number for each of the {n} rows used")
    values = numbers.astype(int)
    if set(values) != set(range(1, values.max() + 1)) or values.max() < 2:
        raise DataError("kfold: folds must be numbered 1, 2, ... without gaps, two at least")
    return values


def kfold(
    fit_without: Callable[[np.ndarray], np.ndarray],
    log_lik: pd.DataFrame,
    folds: np.ndarray,
    progress: Callable[[Sequence[int]], Iterable[int]],
    dialect: Dialect,
    seconds: float,
) -> Kfold:
    """Refit without each fold, and say how well what was left out is predicted.

    Parameters
    ----------
    fit_without : callable
        Mask of the rows to leave out -> their log likelihood, shape (draws, rows left out).
    log_lik : DataFrame
        Of the whole fit: draws x observations.
    folds : ndarray of int
    progress : callable
        Wraps the folds as they are taken.
    dialect : Dialect
        Whose text.
    seconds : float
        What the whole fit took.
    """
    Forecast("kfold", int(folds.max()), "fits", "Take fewer folds, or loo()", seconds)
    n = len(folds)
    elpd = np.empty(n)
    for k in progress(range(1, int(folds.max()) + 1)):
        out = folds == k
        left = fit_without(out)
        if left.shape[1] != out.sum():
            raise ModelError(f"kfold: fold {k} has {out.sum()} rows, but {left.shape[1]} were predicted")
        elpd[out] = logsumexp(left, axis=0) - np.log(len(left))
    whole = logsumexp(log_lik.to_numpy(), axis=0) - np.log(len(log_lik))
    pointwise = pd.DataFrame({"elpd_kfold": elpd, "p_kfold": whole - elpd, "kfoldic": -2 * elpd}, index=log_lik.columns)
    return Kfold(summed(pointwise), pointwise, pd.Series(folds, index=log_lik.columns), dialect)
