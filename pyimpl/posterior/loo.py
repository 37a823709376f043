"""Leave-one-out cross-validation and WAIC from pointwise log likelihoods, with the numbers of R's package loo.

What the releases of loo and rstanarm changed stands in :mod:`r_scripts.dialect`; the newest is the default.
Importance weights are Pareto-smoothed by ArviZ (``psislw``) with loo's tail lengths, so that Pareto k and the estimates
are loo's. Source: Vehtari, Gelman & Gabry (2017, Statistics and Computing 27, 1413-1432).
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp, ndtr, ndtri

from pyimpl.arguments import SIGNATURES
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.linalg.heard import heard_if_long
from pyimpl.posterior.diagnostics import ess_mean, ess_mean_split
from pyimpl.text.numbers import format_num, print_matrix, r_round
from r_scripts.caller import warn
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    from arviz_stats import ELPDDataLOO

    from pyimpl.models.stan_fit import StanLmerFit

__all__ = [
    "Loo",
    "LooCompareTable",
    "Waic",
    "bootstrap_R2",
    "estimates_text",
    "good_k",
    "loo",
    "loo_compare",
    "loo_means",
    "psis",
    "relative_eff",
    "summed",
    "waic",
]

#: Above this Pareto k an observation's estimate is unreliable, whatever the number of draws: rstanarm warns.
K_THRESHOLD = 0.7

_NEWEST = Dialect.of(None)


def good_k(draws: int, dialect: Dialect = _NEWEST) -> float:
    """Pareto k up to which an observation's estimate is good (``loo::ps_khat_threshold``; before loo 2.7.0: 0.7)."""
    return min(1 - 1 / math.log10(draws), K_THRESHOLD) if dialect.has("sample_size_k") else K_THRESHOLD


def _fr(values: Any, digits: int) -> list[str]:
    """``loo:::.fr``: rounded, all with that many decimals and of one width."""
    return format_num(r_round(np.asarray(values, float), digits), nsmall=digits)


def estimates_text(estimates: pd.DataFrame, digits: int = 1) -> str:
    """``loo:::print.loo``'s table."""
    cells = [_fr(estimates[name], digits) for name in estimates.columns]
    return print_matrix(
        np.array(cells, dtype=object).T, [str(name) for name in estimates.index], list(estimates.columns)
    )


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
    dialect : Dialect
        Whose text.
    """

    estimates: pd.DataFrame
    pointwise: pd.DataFrame
    shape: tuple[int, int]
    dialect: Dialect

    def _table(self) -> str:
        stop = "." if self.dialect.has("sample_size_k") else ""
        head = f"\nComputed from {self.shape[0]} by {self.shape[1]} log-likelihood matrix{stop}\n\n"
        return head + estimates_text(self.estimates)

    def __str__(self) -> str:
        return self._table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(str(self))


@dataclass(frozen=True, repr=False)
class Waic(_Estimates):
    """``waic(m)``: ``elpd_waic``, ``p_waic``, ``waic``; ``str()`` is what R prints."""

    def __str__(self) -> str:
        return self._table() + _waic_note(self.pointwise["p_waic"].to_numpy(), "\n\n", " ")

    __repr__ = __str__


@SIGNATURES.verbs
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
    n_eff : ndarray, shape (observations,)
        Effective sample size of the weighted draws.
    mcse_elpd : ndarray, shape (observations,)
        Monte Carlo standard error of each observation's ``elpd_loo``.

    ``str()`` is what R prints.
    """

    pareto_k: pd.Series
    r_eff: pd.Series
    log_weights: np.ndarray
    n_eff: np.ndarray
    mcse_elpd: np.ndarray

    @property
    def good_k(self) -> float:
        """Pareto k up to which an observation's estimate is good."""
        return good_k(self.shape[0], self.dialect)

    def pareto_k_table(self) -> pd.DataFrame:
        """``pareto_k_table(l)``: observations by their Pareto k: Count, Proportion, smallest effective sample size."""
        newer = self.dialect.has("sample_size_k")
        breaks = [self.good_k, 1.0] if newer else [0.5, K_THRESHOLD, 1.0]
        shown = [f"{r_round(at, 2):g}" for at in breaks]
        ranges = [f"({low}, {high}]" for low, high in pairwise(["-Inf", *shown])] + ["(1, Inf)"]
        cut = pd.cut(self.pareto_k, [-np.inf, *breaks, np.inf], labels=ranges)
        count = cut.value_counts(sort=False)
        # above the threshold it says nothing
        n_eff = np.where(newer & (self.pareto_k > self.good_k), np.nan, self.n_eff)
        smallest = [n_eff[(cut == name).to_numpy()].min() if count[name] else np.nan for name in ranges]
        table = {"Count": count, "Proportion": count / count.sum(), "Min. n_eff": smallest}
        return pd.DataFrame(table, index=pd.Index(ranges, dtype=object))

    @property
    def mcse(self) -> float:
        """Monte Carlo standard error of ``elpd_loo``; missing where a Pareto k is above :attr:`good_k`, as in R."""
        return math.nan if (self.pareto_k > self.good_k).any() else float(np.sqrt((self.mcse_elpd**2).sum()))

    def __str__(self) -> str:
        newer = self.dialect.has("sample_size_k")
        name = "MCSE" if newer else "Monte Carlo SE"
        out = f"{self._table()}\n------\n{name} of elpd_loo is {_fr([self.mcse], 1)[0]}.\n"
        if newer:
            out += f"MCSE and ESS estimates assume {self._assumed()}.\n"
        table = self.pareto_k_table()
        counts = table["Count"].to_numpy()
        if not counts[1:].sum():
            out += f"\nAll Pareto k estimates are good (k < {r_round(self.good_k, 2) if newer else 0.5:g}).\n"
        else:
            cells = np.array(
                [
                    [""] * len(table),
                    ["(good)", *([] if newer else ["(ok)"]), "(bad)", "(very bad)"],
                    _fr(counts, 0),
                    [f"{share}%" for share in _fr(100 * table["Proportion"], 1)],
                    ["<NA>" if math.isnan(n) else f"{r_round(n, 0):.0f}" for n in table["Min. n_eff"]],
                ],
                dtype=object,
            ).T
            width = max(map(len, table.index))
            heads = [" ", " ", "Count", "Pct.   ", "Min. ESS" if newer else "Min. n_eff"]
            rows = [label.rjust(width) for label in table.index]
            out += f"\nPareto k diagnostic values:\n{print_matrix(cells, rows, heads, right=False)}\n"
            if not newer and not counts[2:].sum():
                out += "\nAll Pareto k estimates are ok (k < 0.7).\n"
        return out + "See help('pareto-k-diagnostic') for details."

    def _assumed(self) -> str:
        """``loo:::print_reff_summary``."""
        if (self.r_eff == 1).all():
            return "independent draws (r_eff=1)"
        low, high = (_fr([value], 1)[0] for value in (self.r_eff.min(), self.r_eff.max()))
        return f"MCMC draws (r_eff in [{low}, {high}])"

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

        elpd = self.pointwise["elpd_loo"].to_numpy()
        draws, n = self.shape
        coords = {"obs": [str(label) for label in self.pointwise.index]}
        return _elpd_data_class()(
            elpd=self.elpd,
            se=float(np.sqrt(n * elpd.var())),
            p=float(self.pointwise["p_loo"].sum()),
            n_samples=draws,
            n_data_points=n,
            scale="log",
            warning=bool((self.pareto_k > K_THRESHOLD).any()),
            good_k=good_k(draws),
            elpd_i=xr.DataArray(elpd, dims="obs", coords=coords),
            pareto_k=xr.DataArray(self.pareto_k.to_numpy(), dims="obs", coords=coords),
        )


def _elpd_data_class() -> "Callable[..., ELPDDataLOO]":
    """ArviZ's holder of leave-one-out results; before ArviZ 1 (Python 3.11) one class held those of every method."""
    try:
        from arviz_stats import ELPDDataLOO
    except ImportError:
        from arviz_stats.utils import ELPDData

        return partial(ELPDData, kind="loo")
    return ELPDDataLOO


def _stacking_weights(loos: "Mapping[str, ELPDDataLOO]") -> pd.Series:
    """ArviZ's stacking weights, with all their digits (before ArviZ 1 it did not round)."""
    from arviz_stats import compare

    unrounded = {"round_to": "none"} if "round_to" in inspect.signature(compare).parameters else {}
    return compare(dict(loos), **unrounded)["weight"]


def summed(pointwise: pd.DataFrame) -> pd.DataFrame:
    """``loo:::table_of_estimates``: sums, and sqrt(n) times the sd."""
    return pd.DataFrame({"Estimate": pointwise.sum(), "SE": np.sqrt(len(pointwise)) * pointwise.std(ddof=1)})


def relative_eff(likelihood: np.ndarray, chains: int, dialect: Dialect = _NEWEST) -> np.ndarray:
    """``loo::relative_eff``: ESS of the mean of each column over the number of draws.

    Parameters
    ----------
    likelihood : ndarray, shape (draws, observations)
        Chain after chain, on the natural scale.
    chains : int
    dialect : Dialect, optional

    Returns
    -------
    ndarray, shape (observations,)
        1 where it cannot be told, as of a constant.
    """
    draws = likelihood.shape[0]
    by_chain = likelihood.T.reshape(likelihood.shape[1], chains, draws // chains)
    if dialect.has("split_r_eff"):
        found = ess_mean_split(by_chain) / draws
    else:
        found = ess_mean(by_chain, inflated=not dialect.has("autocovariance_mended")) / draws
    return np.where(np.isfinite(found), found, 1.0)


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
        with np.errstate(divide="ignore", invalid="ignore"):
            log_weights[:, i], k[i] = array_stats.psislw(log_lik[:, i], r_eff=9 * draws / (tail + 0.5) ** 2)
        # ArviZ 0.8, the newest for Python 3.11, where a quarter of the tail is at its beginning
        if not np.isfinite(log_weights[:, i]).all():
            log_weights[:, i], k[i] = -log_lik[:, i] - logsumexp(-log_lik[:, i]), np.inf
    # as loo: a tail that no generalised Pareto distribution fits
    return log_weights, np.where(np.isnan(k), np.inf, k)


def loo(log_lik: pd.DataFrame, chains: int, dialect: Dialect = _NEWEST, r_eff: bool | None = None) -> Loo:
    """PSIS-LOO, ``loo::loo(log_lik, r_eff)``.

    Parameters
    ----------
    log_lik : pandas.DataFrame
        Draws (chain after chain) x observations.
    chains : int
    dialect : Dialect, optional
    r_eff : bool, optional
        Estimate the draws' relative efficiency; otherwise they are taken as independent. By default as the dialect's
        rstanarm: estimated before 2.32.2.

    Warns
    -----
    PyimplWarning
        Some Pareto k is above 0.7.
    """
    values = log_lik.to_numpy()
    estimated = not dialect.has("no_r_eff") if r_eff is None else r_eff
    efficiency = np.ones(values.shape[1])
    if estimated:
        likelihood = heard_if_long(20.0 * values.size, np.exp, values)
        efficiency = heard_if_long(100.0 * values.size, relative_eff, likelihood, chains, dialect)
    log_weights, k = psis(values, efficiency)
    elpd, p, variance, ess = heard_if_long(100.0 * values.size, _weighted, values, log_weights)
    pointwise = pd.DataFrame({"elpd_loo": elpd, "p_loo": p, "looic": -2 * elpd}, index=log_lik.columns)
    bad = int((k > K_THRESHOLD).sum())
    if bad:
        warn(
            f"Found {bad} observation(s) with a pareto_k > {K_THRESHOLD}: their elpd is unreliable "
            "(exact cross-validation of them means to refit the model without each).",
            PyimplWarning,
        )
    index = pointwise.index
    return Loo(
        summed(pointwise),
        pointwise,
        (values.shape[0], values.shape[1]),
        dialect,
        pd.Series(k, index=index),
        pd.Series(efficiency, index=index),
        log_weights,
        n_eff=efficiency * ess,
        mcse_elpd=_mcse_elpd(variance, efficiency, dialect),
    )


def _weighted(values: np.ndarray, log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``elpd_loo``, ``p_loo``, the variance of the density over its square, and 1/Σw², each of shape (observations,).

    Parameters
    ----------
    values, log_weights : ndarray, shape (draws, observations)
    """
    elpd = logsumexp(values + log_weights, axis=0)
    p = logsumexp(values, axis=0) - np.log(len(values)) - elpd
    # relative to the density, so that tiny ones do not vanish
    with np.errstate(over="ignore", invalid="ignore"):  # hopeless tails: not a number there, as in R
        variance = (np.exp(2 * log_weights) * (np.exp(values - elpd) - 1) ** 2).sum(axis=0)
    return elpd, p, variance, np.exp(-logsumexp(2 * log_weights, axis=0))


def _mcse_elpd(variance: np.ndarray, r_eff: np.ndarray, dialect: Dialect) -> np.ndarray:
    """``loo:::mcse_elpd``, of the variances of the predictive densities over their squares, shape (observations,)."""
    if dialect.has("sample_size_k"):
        return np.sqrt(np.log1p(variance / r_eff))
    # the sd of the log of normal quantiles around each density
    S, c = 1000, 3 / 8
    z = ndtri((np.arange(1, S + 1) - c) / (S - 2 * c + 1))
    out = np.empty(variance.size)
    for i, width in enumerate(np.sqrt(variance)):
        points = 1 + width * z
        positive = points[points > 0]
        out[i] = np.log(positive).var(ddof=1) if positive.size > 1 else np.nan  # R's var of one number or none
    return np.sqrt(out / r_eff)


def _waic_note(p: np.ndarray, before: str = "", after: str = "") -> str:
    many = int((p > 0.4).sum())
    if not many:
        return ""
    share = _fr([100 * many / p.size], 1)[0]
    return f"{before}{many} ({share}%) p_waic estimates greater than 0.4. We recommend trying loo instead.{after}"


class LooCompareTable(pd.DataFrame):
    """:func:`loo_compare`'s table; :meth:`to_text` is what R prints of it."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def to_text(self) -> str:
        """Write what R prints: ``elpd_diff`` and ``se_diff``; since loo 2.10.0 more, as a data frame."""
        if "p_worse" in self:
            names = ["model", "elpd_diff", "se_diff", "p_worse", "diag_diff", "diag_elpd"]
            places = {"elpd_diff": 1, "se_diff": 1, "p_worse": 2}
            columns = [_fr(self[n], places[n]) if n in places else list(self[n]) for n in names]
            return print_matrix(np.array(columns, dtype=object).T, [""] * len(self), names)
        cells = _fr(self[["elpd_diff", "se_diff"]].to_numpy().ravel(), 1)
        rows = np.array(cells, dtype=object).reshape(-1, 2)
        return print_matrix(rows, [str(name) for name in self.index], ["elpd_diff", "se_diff"], right=False)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return printed_html(self.to_text())


def waic(log_lik: pd.DataFrame, dialect: Dialect = _NEWEST) -> Waic:
    """``loo::waic(log_lik)``.

    Parameters
    ----------
    log_lik : pandas.DataFrame
        Draws x observations.
    dialect : Dialect, optional
        Whose text.

    Warns
    -----
    PyimplWarning
        Some ``p_waic`` is above 0.4: LOO is to be preferred.
    """
    values = log_lik.to_numpy()
    p = heard_if_long(10.0 * values.size, values.var, axis=0, ddof=1)
    elpd = heard_if_long(50.0 * values.size, logsumexp, values, axis=0) - np.log(len(values)) - p
    pointwise = pd.DataFrame({"elpd_waic": elpd, "p_waic": p, "waic": -2 * elpd}, index=log_lik.columns)
    note = _waic_note(p)
    if note:
        warn(note, PyimplWarning)
    return Waic(summed(pointwise), pointwise, (values.shape[0], values.shape[1]), dialect)


@SIGNATURES.checked
def loo_compare(models: "Mapping[str, Loo | StanLmerFit]") -> LooCompareTable:
    """``loo_compare(list(a = loo(m1), b = loo(m2)))``, the best model first, with ArviZ's stacking weights.

    Parameters
    ----------
    models : mapping of str to Loo or fit
        At least two, of the same observations; of a fit, its :meth:`loo` is taken.

    Returns
    -------
    LooCompareTable
        Index model; R's columns: ``model``, ``elpd_diff``, ``se_diff``, ``p_worse`` (the probability that the model
        predicts worse than the best, by a normal approximation), ``diag_diff`` and ``diag_elpd`` (why not to rely on
        it), ``elpd_loo``, ``se_elpd_loo``, ``p_loo``, ``se_p_loo``, ``looic``, ``se_looic``; and ``weight`` (stacking;
        ``arviz_stats.compare``). A dialect before loo 2.10.0 has no ``model``, ``p_worse`` and ``diag_*``.

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
    weights = _stacking_weights({name: value.elpd_data() for name, value in loos.items()})
    order = sorted(loos, key=lambda name: loos[name].elpd, reverse=True)
    best = loos[order[0]].pointwise["elpd_loo"]
    rows = []
    newer = first.dialect.has("loo_compare_frame")
    for name in order:
        difference = loos[name].pointwise["elpd_loo"] - best
        total, se = float(difference.sum()), float(np.sqrt(len(difference)) * difference.std(ddof=1))
        row: dict[str, Any] = {"model": name} if newer else {}
        row |= {"elpd_diff": total, "se_diff": se}
        if newer:
            row |= _compare_diagnostics(loos[name], total, se)
        for quantity in ("elpd_loo", "p_loo", "looic"):
            row[quantity], row[f"se_{quantity}"] = loos[name].estimates.loc[quantity]
        rows.append(row | {"weight": float(weights[name])})
    return LooCompareTable(rows, index=order)


def _compare_diagnostics(one: Loo, difference: float, se: float) -> dict[str, Any]:
    """``p_worse``, ``diag_diff`` and ``diag_elpd`` of a model whose elpd differs so from the best's (loo 2.10.0)."""
    n = len(one.pointwise)
    diagnosis = ""
    if difference != 0:
        diagnosis = "N < 100" if n < 100 else ("|elpd_diff| < 4" if difference > -4 else "")
    bad = int((one.pareto_k > one.good_k).sum())
    return {
        "p_worse": float(ndtr(-difference / se)) if difference != 0 else math.nan,
        "diag_diff": diagnosis,
        "diag_elpd": f"{bad} k_psis > {r_round(one.good_k, 2):g}" if bad else "",
    }


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
