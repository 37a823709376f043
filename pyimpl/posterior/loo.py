"""Leave-one-out cross-validation and WAIC from pointwise log likelihoods, with the numbers of R's package loo 2.5.1.

Importance weights are Pareto-smoothed by ArviZ (``psislw``) with loo's tail lengths, so that Pareto k and the estimates
are loo's. Source: Vehtari, Gelman & Gabry (2017, Statistics and Computing 27, 1413-1432).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.posterior.diagnostics import ess_mean

if TYPE_CHECKING:
    from arviz_stats import ELPDDataLOO

__all__ = ["Loo", "Waic", "bootstrap_R2", "loo", "loo_compare", "loo_means", "psis", "relative_eff", "waic"]

#: Above this Pareto k an observation's estimate is unreliable.
K_THRESHOLD = 0.7


@dataclass(frozen=True)
class _Estimates:
    """Estimates with standard errors, and what each observation adds.

    Attributes
    ----------
    estimates : pandas.DataFrame
        Index ``elpd_*``, ``p_*`` and the information criterion; columns ``Estimate``, ``SE``.
    pointwise : pandas.DataFrame
        A row for each observation, the same columns as the index of `estimates`.
    shape : tuple of int
        Draws and observations.
    """

    estimates: pd.DataFrame
    pointwise: pd.DataFrame
    shape: tuple[int, int]

    def _table(self) -> str:
        body = self.estimates.map(lambda value: f"{value:.1f}").to_string()
        return f"\nComputed from {self.shape[0]} by {self.shape[1]} log-likelihood matrix\n\n{body}"

    def __str__(self) -> str:
        return self._table()

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class Waic(_Estimates):
    """``waic(m)``: ``elpd_waic``, ``p_waic``, ``waic``."""


@dataclass(frozen=True, repr=False)
class Loo(_Estimates):
    """``loo(m)``: ``elpd_loo``, ``p_loo``, ``looic``.

    Attributes
    ----------
    pareto_k : pandas.Series
        Shape of the tail of each observation's importance weights: up to 0.7 its estimate can be relied on.
    r_eff : pandas.Series
        Relative efficiency of each observation's likelihood.
    log_weights : ndarray, shape (draws, observations)
        Smoothed log weights, each observation's normalised to sum to 1 on the natural scale.
    """

    pareto_k: pd.Series
    r_eff: pd.Series
    log_weights: np.ndarray

    def __str__(self) -> str:
        k = self.pareto_k
        bad = int((k > K_THRESHOLD).sum())
        tail = (
            f"All Pareto k estimates are below {K_THRESHOLD} (largest {k.max():.2f})."
            if not bad
            else f"{bad} of {len(k)} Pareto k estimates are above {K_THRESHOLD} (largest {k.max():.2f})."
        )
        return f"{self._table()}\n------\n{tail}"

    __repr__ = __str__

    @property
    def elpd(self) -> float:
        """``elpd_loo``."""
        return float(self.pointwise["elpd_loo"].sum())

    def elpd_data(self) -> "ELPDDataLOO":
        """Return the same as ArviZ holds it, for ``arviz_stats.compare`` and ArviZ's plots.

        Its standard error is ArviZ's: with divisor n where R divides by n - 1.
        """
        import xarray as xr
        from arviz_stats import ELPDDataLOO

        elpd = self.pointwise["elpd_loo"].to_numpy()
        draws, n = self.shape
        coords = {"obs": [str(label) for label in self.pointwise.index]}
        return ELPDDataLOO(
            elpd=self.elpd,
            se=float(np.sqrt(n * elpd.var())),
            p=float(self.pointwise["p_loo"].sum()),
            n_samples=draws,
            n_data_points=n,
            scale="log",
            warning=bool((self.pareto_k > K_THRESHOLD).any()),
            good_k=min(1 - 1 / np.log10(draws), K_THRESHOLD),
            elpd_i=xr.DataArray(elpd, dims="obs", coords=coords),
            pareto_k=xr.DataArray(self.pareto_k.to_numpy(), dims="obs", coords=coords),
        )


def _summed(pointwise: pd.DataFrame) -> pd.DataFrame:
    """``loo:::table_of_estimates``: sums, and sqrt(n) times the sd."""
    return pd.DataFrame({"Estimate": pointwise.sum(), "SE": np.sqrt(len(pointwise)) * pointwise.std(ddof=1)})


def relative_eff(likelihood: np.ndarray, chains: int) -> np.ndarray:
    """``loo::relative_eff``: ESS of the mean of each column over the number of draws.

    Parameters
    ----------
    likelihood : ndarray, shape (draws, observations)
        Chain after chain, on the natural scale.
    chains : int
    """
    draws = likelihood.shape[0]
    by_chain = likelihood.T.reshape(likelihood.shape[1], chains, draws // chains)
    return ess_mean(by_chain) / draws


def psis(log_lik: np.ndarray, r_eff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``loo::psis(-log_lik, r_eff)``: smoothed log weights (normalised) and Pareto k.

    Parameters
    ----------
    log_lik : ndarray, shape (draws, observations)
    r_eff : ndarray, shape (observations,)

    Returns
    -------
    log_weights : ndarray, shape (draws, observations)
    k : ndarray, shape (observations,)

    Raises
    ------
    ModelError
        Too few draws: the tail has fewer than 5.
    """
    from arviz_stats.base import array_stats

    draws, n = log_lik.shape
    tails = np.ceil(np.minimum(0.2 * draws, 3 * np.sqrt(draws / r_eff)))
    if tails.min() < 5:
        raise ModelError(f"{draws} draws are too few for Pareto-smoothed importance sampling; 25 are needed at least.")
    log_weights, k = np.empty((draws, n)), np.empty(n)
    for i, tail in enumerate(tails):
        # ArviZ rounds the tail's length down where loo rounds up: ask for the length, half a draw inside
        log_weights[:, i], k[i] = array_stats.psislw(log_lik[:, i], r_eff=9 * draws / (tail + 0.5) ** 2)
    return log_weights, k


def loo(log_lik: pd.DataFrame, chains: int) -> Loo:
    """PSIS-LOO, ``loo::loo(log_lik, r_eff = relative_eff(exp(log_lik), chain_id))``.

    Parameters
    ----------
    log_lik : pandas.DataFrame
        Draws (chain after chain) x observations.
    chains : int

    Warns
    -----
    PyimplWarning
        Some Pareto k is above 0.7.
    """
    values = log_lik.to_numpy()
    r_eff = relative_eff(np.exp(values), chains)
    log_weights, k = psis(values, np.where(np.isfinite(r_eff), r_eff, 1.0))
    elpd = logsumexp(values + log_weights, axis=0)
    p = logsumexp(values, axis=0) - np.log(len(values)) - elpd
    pointwise = pd.DataFrame({"elpd_loo": elpd, "p_loo": p, "looic": -2 * elpd}, index=log_lik.columns)
    bad = int((k > K_THRESHOLD).sum())
    if bad:
        warnings.warn(
            f"Found {bad} observation(s) with a pareto_k > {K_THRESHOLD}: their elpd is unreliable "
            "(exact cross-validation of them means to refit the model without each).",
            PyimplWarning,
            stacklevel=3,
        )
    index = pointwise.index
    return Loo(
        _summed(pointwise),
        pointwise,
        (values.shape[0], values.shape[1]),
        pd.Series(k, index=index),
        pd.Series(r_eff, index=index),
        log_weights,
    )


def waic(log_lik: pd.DataFrame) -> Waic:
    """``loo::waic(log_lik)``.

    Parameters
    ----------
    log_lik : pandas.DataFrame
        Draws x observations.

    Warns
    -----
    PyimplWarning
        Some ``p_waic`` is above 0.4: LOO is to be preferred.
    """
    values = log_lik.to_numpy()
    p = values.var(axis=0, ddof=1)
    elpd = logsumexp(values, axis=0) - np.log(len(values)) - p
    pointwise = pd.DataFrame({"elpd_waic": elpd, "p_waic": p, "waic": -2 * elpd}, index=log_lik.columns)
    many = int((p > 0.4).sum())
    if many:
        warnings.warn(
            f"{many} ({100 * many / p.size:.1f}%) p_waic estimates greater than 0.4. We recommend trying loo instead.",
            PyimplWarning,
            stacklevel=3,
        )
    return Waic(_summed(pointwise), pointwise, (values.shape[0], values.shape[1]))


def loo_compare(models: Mapping[str, Any]) -> pd.DataFrame:
    """``loo_compare(list(a = loo(m1), b = loo(m2)))``, the best model first, with ArviZ's stacking weights.

    Parameters
    ----------
    models : mapping of str to Loo or fit
        At least two, of the same observations; of a fit, its :meth:`loo` is taken.

    Returns
    -------
    pandas.DataFrame
        Index model; R's columns ``elpd_diff``, ``se_diff``, ``elpd_loo``, ``se_elpd_loo``, ``p_loo``, ``se_p_loo``,
        ``looic``, ``se_looic``; and ``weight`` (stacking; ``arviz_stats.compare``).

    Raises
    ------
    ModelError
        Fewer than two models, or other observations.
    """
    if not isinstance(models, Mapping) or len(models) < 2:
        raise ModelError("'loo_compare' requires at least two models, as a dict such as {'a': loo_a, 'b': loo_b}.")
    loos: dict[str, Loo] = {str(name): m if isinstance(m, Loo) else m.loo() for name, m in models.items()}
    first = next(iter(loos.values()))
    for name, value in loos.items():
        if not value.pointwise.index.equals(first.pointwise.index):
            raise ModelError(
                f"Not all models have the same observations: {name!r} has {value.shape[1]}, another {first.shape[1]}, "
                "and their labels must be the same. Fit all models to the same rows."
            )
    from arviz_stats import compare

    weights = compare({name: value.elpd_data() for name, value in loos.items()}, round_to="none")["weight"]
    order = sorted(loos, key=lambda name: loos[name].elpd, reverse=True)
    best = loos[order[0]].pointwise["elpd_loo"]
    rows = []
    for name in order:
        difference = loos[name].pointwise["elpd_loo"] - best
        row = [difference.sum(), np.sqrt(len(difference)) * difference.std(ddof=1)]
        row += loos[name].estimates.loc[["elpd_loo", "p_loo", "looic"]].to_numpy().ravel().tolist()
        rows.append([*row, float(weights[name])])
    columns = ["elpd_diff", "se_diff"]
    columns += [prefix + quantity for quantity in ("elpd_loo", "p_loo", "looic") for prefix in ("", "se_")]
    return pd.DataFrame(rows, index=order, columns=[*columns, "weight"])


def loo_means(values: np.ndarray, log_lik: np.ndarray) -> np.ndarray:
    """``loo::E_loo(values, psis(-log_lik, r_eff = NA))$value``: leave-one-out means of each column.

    Parameters
    ----------
    values, log_lik : ndarray, shape (draws, observations)
    """
    log_weights, _ = psis(log_lik, np.ones(log_lik.shape[1]))
    return np.einsum("sn,sn->n", np.exp(log_weights), values)


def bootstrap_R2(y: np.ndarray, error: np.ndarray, exponentials: np.ndarray) -> np.ndarray:
    """``rstanarm::loo_R2`` from leave-one-out errors: one value for each draw of a Bayesian bootstrap.

    Parameters
    ----------
    y, error : ndarray, shape (N,)
    exponentials : ndarray, shape (draws, N)
        Draws of Exponential(1).
    """
    n = y.size
    w = exponentials / exponentials.sum(axis=1, keepdims=True)
    var_y = (w @ y**2 - (w @ y) ** 2) * (n / (n - 1))
    # rstanarm 2.21.3 subtracts the sum of the squares (w e)², where a variance has the square of the sum: kept
    var_error = (w @ error**2 - w**2 @ error**2) * (n / (n - 1))
    return np.clip(1 - var_error / var_y, -1, 1)
