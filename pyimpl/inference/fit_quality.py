"""How good a fit is: R², intraclass correlation, AICc, and checks, as R's performance and MuMIn have them."""

import warnings
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from scipy.special import chdtrc, expit, logit, ndtri
from scipy.stats import f as f_distribution

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.formula.bars import find_bars
from pyimpl.formula.parse import Call, deparse, parse
from pyimpl.inference.contract import LikelihoodFit
from r_scripts.caller import warn

__all__ = [
    "AICc",
    "QualityArguments",
    "Variances",
    "check_collinearity",
    "check_heteroscedasticity",
    "check_outliers",
    "check_singularity",
    "icc",
    "model_performance",
    "r2",
    "variances",
]

_SINGULAR = 1e-5  # performance's tolerance: θ of a standard deviation that counts as 0


class QualityArguments(TypedDict, total=False):
    """Arguments of :func:`r2` and :func:`icc` after `by_group`."""

    tolerance: float


@dataclass(frozen=True)
class Variances:
    """``insight::get_variance(m)``: what the response's variance is made of.

    Attributes
    ----------
    fixed : float
        Variance of Xβ̂ over the rows (divided by n − 1).
    random : float
        Mean over the rows of z'Σz, summed over terms (Johnson 2014); missing where a standard deviation is 0.
    residual : float
        σ².
    intercepts : Series
        Variance of each term's intercept, by R's name of the term.
    """

    fixed: float
    random: float
    residual: float
    intercepts: pd.Series


@SIGNATURES.checked
def check_singularity(fit: LikelihoodFit, tolerance: float = _SINGULAR) -> bool:
    """``performance::check_singularity(m)``: whether a relative standard deviation in θ is below `tolerance`."""
    return bool(fit.isSingular(tolerance))


def variances(fit: LikelihoodFit, tolerance: float = _SINGULAR) -> Variances:
    """``insight::get_variance(m)``.

    Parameters
    ----------
    fit : LmerFit
    tolerance : float
        θ below which a term's standard deviation counts as 0, and there is no variance of random effects (R says the
        same); 0 to have it all the same.

    Notes
    -----
    Where a slope is not among the fixed effects, insight takes the slope's variance for nothing, and of two terms of a
    factor (``(x || g)``) it takes the first alone; here all of it counts.
    """
    design = fit.design
    linear = design.X @ fit.fixef().to_numpy() if design.P else np.zeros(design.N)
    random, intercepts = 0.0, {}
    names = design.unique_groups
    for name, term, T in zip(names, design.terms, fit.getME("Tlist").values(), strict=True):
        covariance = fit.sigma() ** 2 * (T @ T.T)
        random += float(np.einsum("ij,jk,ik->", term.columns, covariance, term.columns)) / design.N
        if term.effects[0] == "(Intercept)":
            intercepts[name] = float(covariance[0, 0])
    if check_singularity(fit, tolerance):
        warn(
            "Some variance components equal zero: the variance of the random effects is not computed. Take the term "
            "out, or lower `tolerance`",
            PyimplWarning,
        )
        random = np.nan
    return Variances(float(np.var(linear, ddof=1)), random, fit.sigma() ** 2, pd.Series(intercepts, dtype=float))


@SIGNATURES.checked
def r2(fit: LikelihoodFit, by_group: bool = False, tolerance: float = _SINGULAR) -> pd.DataFrame:
    """``performance::r2(m, by_group)``: Nakagawa's R², of the fixed effects and of the whole model.

    Parameters
    ----------
    fit : LmerFit
    by_group : bool
        The share of the variance of each level that the fixed effects explain: one minus its ratio to that of the
        model without them.
    tolerance : float
        See :func:`variances`.

    Returns
    -------
    DataFrame
        ``R2_conditional``, ``R2_marginal``, one row; or ``Level``, ``R2``, a row for each level.

    References
    ----------
    Nakagawa, Johnson & Schielzeth (2017), J. R. Soc. Interface 14.
    """
    parts = variances(fit, tolerance)
    if not by_group:
        random = 0.0 if np.isnan(parts.random) else parts.random
        total = parts.fixed + random + parts.residual
        conditional = (parts.fixed + parts.random) / total
        return pd.DataFrame({"R2_conditional": [conditional], "R2_marginal": [parts.fixed / total]})
    _note_slopes(fit, "Explained variance by levels is not accurate")
    null = variances(_null_model(fit), tolerance)
    groups = [name for name in _groups_as_written(fit) if name in parts.intercepts and name in null.intercepts]
    explained = [1 - parts.intercepts[name] / null.intercepts[name] for name in groups]
    return pd.DataFrame({"Level": ["Level 1", *groups], "R2": [1 - parts.residual / null.residual, *explained]})


@SIGNATURES.checked
def icc(fit: LikelihoodFit, by_group: bool = False, tolerance: float = _SINGULAR) -> pd.DataFrame:
    """``performance::icc(m, by_group)``: the intraclass correlation.

    Parameters as of :func:`r2`.

    Returns
    -------
    DataFrame
        ``ICC_adjusted`` (random/(random + residual)), ``ICC_unadjusted`` (the fixed effects' variance in the
        denominator, too); or ``Group``, ``ICC``.
    """
    parts = variances(fit, tolerance)
    within = parts.random + parts.residual
    if by_group:
        _note_slopes(fit, "ICCs by group factors are not accurate")
        shares = parts.intercepts / within
        return pd.DataFrame({"Group": list(shares.index), "ICC": shares.to_numpy()})
    return pd.DataFrame(
        {"ICC_adjusted": [parts.random / within], "ICC_unadjusted": [parts.random / (within + parts.fixed)]}
    )


def _note_slopes(fit: LikelihoodFit, text: str) -> None:
    if any(term.effects != ("(Intercept)",) for term in fit.design.terms):
        warn(f"The model has random slopes. {text}.", PyimplWarning)


def _groups_as_written(fit: LikelihoodFit) -> list[str]:
    """Grouping factors in the formula's order, which is ``insight::find_random``'s."""
    tree = parse(fit.design.formula)
    assert isinstance(tree, Call)
    return list(dict.fromkeys(deparse(bar.group) for bar in find_bars(tree.args[1])))


def _null_model(fit: LikelihoodFit) -> LikelihoodFit:
    """The model of the random effects alone, and an intercept (``insight::null_model``)."""
    tree = parse(fit.design.formula)
    assert isinstance(tree, Call)
    terms = " + ".join(bar.text for bar in find_bars(tree.args[1]))
    offsets = [] if fit.design.recipe is None else fit.design.recipe.fixed.offsets
    assert fit.design.recipe is not None
    texts = [deparse(fit.design.recipe.fixed.variables[position]) for position in offsets]
    formula = " + ".join([f"{deparse(tree.args[0])} ~ 1", *texts, terms])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit.update(formula)


@SIGNATURES.checked
def AICc(fit: LikelihoodFit, REML: bool | None = None) -> float:
    """AIC with the correction for small samples (Hurvich & Tsai 1989): −2 log L + 2 k n/(n − k − 1).

    Parameters
    ----------
    fit : LmerFit
    REML : bool, optional
        The likelihood taken: default that of the fit (as ``MuMIn::AICc`` and ``performance::performance_aicc``); False:
        the ML log-likelihood at the estimates.
    """
    n = fit.nobs()
    k = n - fit.df_residual()
    if n == k + 1:
        return float("inf")
    return float(-2 * fit.logLik(REML) + 2 * k * (n / (n - k - 1)))


@SIGNATURES.checked
def model_performance(fit: LikelihoodFit) -> pd.DataFrame:
    """``performance::model_performance(m)``: criteria, R², ICC and the size of residuals in one row.

    Parameters
    ----------
    fit : LmerFit

    Returns
    -------
    DataFrame
        ``AIC``, ``AICc``, ``BIC`` of the likelihood that was optimised, ``R2_conditional``, ``R2_marginal``, ``ICC``
        (adjusted), ``RMSE`` (root of the mean squared residual), ``Sigma``.
    """
    explained, shares = r2(fit), icc(fit)
    n = fit.nobs()
    k = n - fit.df_residual()
    return pd.DataFrame(
        {
            "AIC": [-2 * fit.logLik() + 2 * k],
            "AICc": [AICc(fit)],
            "BIC": [-2 * fit.logLik() + np.log(n) * k],
            "R2_conditional": explained["R2_conditional"],
            "R2_marginal": explained["R2_marginal"],
            "ICC": shares["ICC_adjusted"],
            "RMSE": [float(np.sqrt(np.mean(fit.residuals().dropna() ** 2)))],
            "Sigma": [fit.sigma()],
        }
    )


@SIGNATURES.checked
def check_collinearity(fit: LikelihoodFit, ci: Share = 0.95) -> pd.DataFrame:
    """``performance::check_collinearity(m)``: the variance inflation factor of each term.

    Parameters
    ----------
    fit : LmerFit
    ci : float
        Level of the intervals of 1 − 1/VIF, on the logit scale.

    Returns
    -------
    DataFrame
        Term, VIF (of terms with several columns the generalised one, Fox & Monette 1992), VIF_CI_low, VIF_CI_high,
        SE_factor (its root), Tolerance, Tolerance_CI_low, Tolerance_CI_high.

    Raises
    ------
    ModelError
        Fewer than two terms.
    """
    design = fit.design
    assign = np.asarray(design.assign)
    kept = assign > 0
    labels = [(i + 1, label) for i, label in enumerate(design.term_labels) if (assign == i + 1).any()]
    if len(labels) < 2:
        raise ModelError("check_collinearity: the model needs at least two fixed terms besides the intercept")
    covariance = fit.vcov().to_numpy()[np.ix_(kept, kept)]
    sd = np.sqrt(np.diag(covariance))
    _, whole = np.linalg.slogdet(covariance / np.outer(sd, sd))
    logs = []
    for number, _ in labels:
        own = assign[kept] == number
        pieces = [(covariance / np.outer(sd, sd))[np.ix_(part, part)] for part in (own, ~own)]
        logs.append(sum(float(np.linalg.slogdet(piece)[1]) for piece in pieces) - float(whole))
    vif = np.exp(logs)
    n, p = fit.nobs(), design.P
    r = 1 - 1 / vif
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt((1 - r**2) ** 2 * (n - p - 1) ** 2 / ((n**2 - 1) * (n + 3))) / (r * (1 - r))
        half = float(ndtri(0.5 * (1 + ci))) * se
        low, high = expit(logit(r) - half), expit(logit(r) + half)
    return pd.DataFrame(
        {
            "Term": [label for _, label in labels],
            "VIF": vif,
            "VIF_CI_low": 1 / (1 - low),
            "VIF_CI_high": 1 / (1 - high),
            "SE_factor": np.sqrt(vif),
            "Tolerance": 1 / vif,
            "Tolerance_CI_low": 1 - high,
            "Tolerance_CI_high": 1 - low,
        }
    )


@SIGNATURES.checked
def check_heteroscedasticity(fit: LikelihoodFit) -> float:
    """``performance::check_heteroscedasticity(m)``: p value of Breusch and Pagan's test against the fitted values."""
    r = fit.residuals("pearson").dropna().to_numpy()
    fitted = fit.fitted().dropna().to_numpy()
    u = r**2 / (fit.df_residual() * fit.sigma() ** 2 / len(r))
    centred = fitted - fitted.mean()
    explained = float(centred @ u) ** 2 / float(centred @ centred)
    return float(chdtrc(1, explained / 2))


@SIGNATURES.checked
def check_outliers(fit: LikelihoodFit, threshold: float | None = None) -> pd.DataFrame:
    """``performance::check_outliers(m)``: rows with a large Cook's distance.

    Parameters
    ----------
    fit : LmerFit
    threshold : float, optional
        Default: the median of F(p, n − p).

    Returns
    -------
    DataFrame
        ``Distance_Cook``, ``Outlier_Cook`` for each row used, the data's index.
    """
    n, p = fit.nobs(), fit.design.P
    if threshold is None:
        threshold = float(f_distribution.ppf(0.5, p, n - p))
    elif not threshold > 0:
        raise DataError(f"threshold must be positive, not {threshold!r}")
    distance = fit.cooks_distance()
    return pd.DataFrame({"Distance_Cook": distance, "Outlier_Cook": distance > threshold})
