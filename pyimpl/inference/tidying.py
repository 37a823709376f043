"""``tidy``, ``glance`` and ``augment``: a fit as data frames, with the columns of R's broom.mixed.

Columns have broom.mixed's names (``std.error``, ``conf.low``); what a row lacks is missing.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from pyimpl.arguments import SIGNATURES, Count, Jobs, Seeds, Share
from pyimpl.errors import DataError
from pyimpl.inference.contract import Fit, LikelihoodFit, PosteriorFit
from pyimpl.inference.intervals import hpd_interval

__all__ = ["BootIntervalArguments", "TidyArguments", "augment", "glance", "tidy"]

_EFFECTS = ("fixed", "ran_pars", "ran_vals", "ran_coefs")
_POSTERIOR_EFFECTS = ("fixed", "auxiliary", "ran_pars", "ran_vals")
_ORDER = ("effect", "group", "level", "term", "estimate", "std.error", "statistic", "df", "p.value", "conf.low")
_NAMES = {
    "Estimate": "estimate",
    "Std. Error": "std.error",
    "t value": "statistic",
    "Pr(>|t|)": "p.value",
}
_AUXILIARY = ("sigma", "mean_PPD")


class BootIntervalArguments(TypedDict, total=False):
    """Arguments of ``LmerFit.confint`` for ``method="boot"``."""

    nsim: Count
    boot_type: str
    seed: Seeds | None
    n_jobs: Jobs
    progress: bool


class TidyArguments(BootIntervalArguments, total=False):
    """Arguments of :func:`tidy` after `conf_method`."""

    ddf: str | None
    scales: str


@SIGNATURES.checked
def tidy(
    fit: Fit,
    effects: str | Sequence[str] | None = None,
    conf_int: bool = False,
    conf_level: Share | None = None,
    conf_method: str | None = None,
    ddf: str | None = None,
    scales: str = "sdcor",
    **options: Unpack[BootIntervalArguments],
) -> pd.DataFrame:
    """``broom.mixed::tidy(m)``: a row for each coefficient, variance parameter or random effect.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    effects : str or sequence of str, optional
        Of ``lmer``: ``"fixed"``, ``"ran_pars"`` (the default has both), ``"ran_vals"`` (conditional modes),
        ``"ran_coefs"`` (coefficients of each level). Of ``stan_lmer``: ``"fixed"`` (default), ``"auxiliary"``,
        ``"ran_pars"``, ``"ran_vals"``. The order of the rows is that of these lists, whatever the order asked for.
    conf_int : bool
        Whether there are ``conf.low`` and ``conf.high``.
    conf_level : float, optional
        R's defaults: 0.95 of ``lmer``, 0.9 of ``stan_lmer``.
    conf_method : str, optional
        Of ``lmer``: ``"Wald"`` (default; none for ``ran_pars``), ``"profile"`` or ``"boot"``; of ``stan_lmer``:
        ``"quantile"`` (default) or ``"HPDinterval"`` (for ``fixed``, as in R).
    ddf : {"Satterthwaite", "Kenward-Roger"}, optional
        As for a fit of lmerTest: ``df`` and ``p.value`` of the coefficients, and t intervals.
    scales : {"sdcor", "vcov"}
        Whether ``ran_pars`` are standard deviations and correlations, or variances and covariances (``lmer`` only).
    **options
        Of ``confint(method="boot")``: ``nsim``, ``seed``, ``n_jobs``, ...

    Returns
    -------
    DataFrame
        Columns, as far as there are any: effect, group, level, term, estimate, std.error, statistic, df, p.value,
        conf.low, conf.high.

    Raises
    ------
    DataError
        An unknown effect, method or scale, or a level that is not between 0 and 1.
    """
    if isinstance(fit, PosteriorFit):
        if ddf is not None or scales != "sdcor" or options:
            raise DataError("tidy: ddf, scales and options of confint are for fits of lmer, not of stan_lmer")
        return _tidy_posterior(fit, effects, conf_int, conf_level, conf_method)
    assert isinstance(fit, LikelihoodFit)
    wanted = _chosen(effects, ("fixed", "ran_pars"), _EFFECTS)
    level = 0.95 if conf_level is None else conf_level
    method = "Wald" if conf_method is None else conf_method
    if method not in ("Wald", "profile", "boot"):
        raise DataError(f"tidy: conf_method must be 'Wald', 'profile' or 'boot', not {conf_method!r}")
    if scales not in ("sdcor", "vcov"):
        raise DataError(f"tidy: scales must be 'sdcor' or 'vcov', not {scales!r}")
    interval = (level, method, options) if conf_int else None
    parts: dict[str, pd.DataFrame] = {}
    if "fixed" in wanted:
        parts["fixed"] = _fixed(fit, ddf, interval)
    if "ran_pars" in wanted:
        parts["ran_pars"] = _variance_parameters(fit, scales, interval)
    if "ran_vals" in wanted:
        parts["ran_vals"] = _modes(fit, level if conf_int else None, method)
    if "ran_coefs" in wanted:
        parts["ran_coefs"] = _level_coefficients(fit, conf_int)
    table = _bound([part.assign(effect=name) for name, part in parts.items()])
    order = [*_ORDER, "conf.high"]
    return table[[name for name in order if name in table.columns]]


_Interval = tuple[float, str, BootIntervalArguments] | None


def _chosen(effects: str | Sequence[str] | None, default: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = default if effects is None else (effects,) if isinstance(effects, str) else tuple(effects)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        found = ", ".join(map(repr, unknown)) or "none"
        raise DataError(f"tidy: effects are some of {', '.join(known)}; found {found}")
    return wanted


def _bound(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """``dplyr::bind_rows``: columns in order of first appearance, missing where a part lacks them."""
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    texts = {name for part in parts for name in part.columns if not pd.api.types.is_numeric_dtype(part[name])}
    columns: dict[str, Any] = {}
    for name in names:
        pieces = [
            part[name].to_numpy(dtype=object if name in texts else float)
            if name in part.columns
            else np.full(len(part), None if name in texts else np.nan, dtype=object if name in texts else float)
            for part in parts
        ]
        columns[name] = np.concatenate(pieces)
    return pd.DataFrame(columns)


def _ends(table: pd.DataFrame) -> dict[str, np.ndarray]:
    values = table.to_numpy(dtype=float)
    return {"conf.low": values[:, 0], "conf.high": values[:, 1]}


def _text(values: Sequence[str] | pd.Series | pd.Index) -> np.ndarray:
    return np.array([str(value) for value in values], dtype=object)


def _fixed(fit: LikelihoodFit, ddf: str | None, interval: _Interval) -> pd.DataFrame:
    if ddf in (None, "lme4"):
        table = fit.coef_table()
    elif ddf == "Satterthwaite":
        table = fit.satterthwaite()
    elif ddf == "Kenward-Roger":
        table = fit.kenward_roger()
    else:
        raise DataError(f"tidy: ddf must be 'Satterthwaite' or 'Kenward-Roger', not {ddf!r}")
    out = table.rename(columns=_NAMES).reset_index(drop=True)
    out.insert(0, "term", _text(table.index))
    if interval is not None:
        level, method, options = interval
        if method != "Wald":
            out = out.assign(**_ends(fit.confint("beta_", level, method, **options)))
        else:
            tail = 0.5 * (1 + level)
            quantile = stdtrit(out["df"].to_numpy(), tail) if "df" in out else ndtri(tail)
            half = quantile * out["std.error"].to_numpy()
            out["conf.low"], out["conf.high"] = out["estimate"] - half, out["estimate"] + half
    return out


def _variance_parameters(fit: LikelihoodFit, scales: str, interval: _Interval) -> pd.DataFrame:
    sd, cor = ("var", "cov") if scales == "vcov" else ("sd", "cor")
    table = fit.VarCorr()
    rows = []
    for group in dict.fromkeys(table["grp"]):
        own = table[table["grp"] == group]
        names = [name for name, other in zip(own["var1"], own["var2"], strict=True) if not isinstance(other, str)]
        cells: dict[tuple[Any, Any], float] = {
            (one, other if isinstance(other, str) else one): value
            for one, other, value in zip(own["var1"], own["var2"], own[scales], strict=True)
        }
        # the lower triangle of each term, column by column, as confint's parameters
        for j, name in enumerate(names):
            first = name if isinstance(name, str) else "Observation"
            rows.append((str(group), f"{sd}__{first}", cells[name, name]))
            rows += [(str(group), f"{cor}__{name}.{other}", cells[name, other]) for other in names[j + 1 :]]
    out = pd.DataFrame(
        {
            "group": _text([row[0] for row in rows]),
            "term": _text([row[1] for row in rows]),
            "estimate": [row[2] for row in rows],
        }
    )
    if interval is not None:
        level, method, options = interval
        if method == "Wald":
            ends = {"conf.low": np.full(len(out), np.nan), "conf.high": np.full(len(out), np.nan)}
        else:
            ends = _ends(fit.confint("theta_", level, method, **options))
        if scales == "vcov" and method != "Wald":
            raise DataError("tidy: intervals by profile and bootstrap are of scales='sdcor'")
        out = out.assign(**ends)
    return out


def _modes(fit: LikelihoodFit, level: float | None, method: str) -> pd.DataFrame:
    table = fit.ranef_frame()
    estimate, se = table["condval"].to_numpy(), table["condsd"].to_numpy()
    out = pd.DataFrame(
        {
            "group": _text(table["grpvar"]),
            "level": _text(table["grp"]),
            "term": _text(table["term"]),
            "estimate": estimate,
            "std.error": se,
        }
    )
    if level is not None:
        if method != "Wald":
            raise DataError("tidy: conditional modes (ran_vals) have only Wald intervals: take conf_method='Wald'")
        half = float(ndtri(0.5 * (1 + level))) * se
        out["conf.low"], out["conf.high"] = estimate - half, estimate + half
    return out


def _level_coefficients(fit: LikelihoodFit, conf_int: bool) -> pd.DataFrame:
    parts = []
    for group, table in fit.coef().items():
        for name in table.columns:
            columns = {
                "group": np.full(len(table), group, dtype=object),
                "level": _text(table.index),
                "term": np.full(len(table), str(name), dtype=object),
                "estimate": table[name].to_numpy(dtype=float),
            }
            parts.append(pd.DataFrame(columns))
    out = _bound(parts)
    return out.assign(**{"conf.low": np.nan, "conf.high": np.nan}) if conf_int else out


# -- posteriors --------------------------------------------------------------------------------------------------------


def _tidy_posterior(
    fit: PosteriorFit,
    effects: str | Sequence[str] | None,
    conf_int: bool,
    conf_level: Share | None,
    conf_method: str | None,
) -> pd.DataFrame:
    wanted = _chosen(effects, ("fixed",), _POSTERIOR_EFFECTS)
    prob = 0.9 if conf_level is None else conf_level
    method = "quantile" if conf_method is None else conf_method
    if method not in ("quantile", "HPDinterval"):
        raise DataError(f"tidy: conf_method must be 'quantile' or 'HPDinterval', not {conf_method!r}")
    parts = []
    if "fixed" in wanted:
        names = list(fit.fixef().index)
        part = _estimates(names, fit.fixef().to_numpy(), fit.se().iloc[: len(names)].to_numpy())
        if conf_int and method == "HPDinterval":
            ends = hpd_interval(fit.stanfit_matrix()[names].to_numpy(), prob)
            part = part.assign(**{"conf.low": ends[:, 0], "conf.high": ends[:, 1]})
        elif conf_int:
            part = part.assign(**_ends(fit.posterior_interval(prob, pars=names)))
        parts.append(part)
    if "auxiliary" in wanted:
        names = [name for name in _AUXILIARY if name in fit.stanfit_matrix().columns]
        table = fit.summary(pars=names).table
        part = _estimates(names, table.loc[names, "50%"].to_numpy(), table.loc[names, "sd"].to_numpy())
        if conf_int:
            part = part.assign(**_ends(fit.posterior_interval(prob, pars=names)))
        parts.append(part)
    if "ran_pars" in wanted:
        table = fit.VarCorr()
        terms = []
        for grp, one, other in zip(table["grp"], table["var1"], table["var2"], strict=True):
            effects_ = [name for name in (one, other) if isinstance(name, str)] or ["Observation"]
            terms.append(f"{('sd', 'cor')[len(effects_) - 1]}_{'.'.join(effects_)}.{grp}")
        columns = {"term": _text(terms), "group": _text(table["grp"]), "estimate": table["sdcor"].to_numpy(dtype=float)}
        parts.append(pd.DataFrame(columns))
    if "ran_vals" in wanted:
        parts.append(_varying(fit, prob if conf_int else None))
    return _bound(parts)


def _estimates(names: Sequence[str], estimate: np.ndarray, error: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"term": _text(names), "estimate": estimate, "std.error": error})


def _varying(fit: PosteriorFit, prob: float | None) -> pd.DataFrame:
    labels = [
        (level.replace(" ", "_"), term.group, effect)
        for term in fit.design.terms
        for level in term.levels
        for effect in term.effects
    ]
    names = [f"b[{effect} {group}:{level}]" for level, group, effect in labels]
    out = pd.DataFrame(
        {
            "level": _text([label[0] for label in labels]),
            "group": _text([label[1] for label in labels]),
            "term": _text([label[2] for label in labels]),
            "estimate": fit.summary(pars=["varying"]).table.loc[names, "50%"].to_numpy(),
            "std.error": fit.se().iloc[len(fit.fixef()) :].to_numpy(),
        }
    )
    return out if prob is None else out.assign(**_ends(fit.posterior_interval(prob, pars=names)))


# -- one row, and one for each row of the data -------------------------------------------------------------------------


@SIGNATURES.checked
def glance(fit: Fit, looic: bool = False) -> pd.DataFrame:
    """``broom.mixed::glance(m)``: a fit in one row.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    looic : bool
        Of ``stan_lmer``: whether ``looic``, ``elpd_loo`` and ``p_loo`` are there.

    Returns
    -------
    DataFrame
        nobs, sigma, logLik, AIC, BIC, REMLcrit (or deviance), df.residual; of ``stan_lmer`` algorithm, pss (the number
        of draws), nobs, sigma.
    """
    if isinstance(fit, PosteriorFit):
        row: dict[str, Any] = {
            "algorithm": "sampling",
            "pss": fit.nsamples(),
            "nobs": fit.nobs(),
            "sigma": fit.sigma(),
        }
        if looic:
            estimates: Any = fit.loo().estimates
            row |= {name: float(estimates.loc[name, "Estimate"]) for name in ("looic", "elpd_loo", "p_loo")}
        return pd.DataFrame([row])
    assert isinstance(fit, LikelihoodFit)
    if looic:
        raise DataError("glance: looic is of fits of stan_lmer")
    deviance = {"REMLcrit": fit.REMLcrit()} if fit.isREML() else {"deviance": -2.0 * fit.logLik()}
    row = {
        "nobs": fit.nobs(),
        "sigma": fit.sigma(),
        "logLik": fit.logLik(),
        "AIC": fit.AIC(),
        "BIC": fit.BIC(),
        **deviance,
        "df.residual": fit.df_residual(),
    }
    return pd.DataFrame([row])


@SIGNATURES.checked
def augment(fit: LikelihoodFit, data: pd.DataFrame | None = None, newdata: pd.DataFrame | None = None) -> pd.DataFrame:
    """``broom.mixed::augment(m, data, newdata)``: the data with fitted values, residuals, leverages, Cook's distances.

    Parameters
    ----------
    fit : LmerFit
    data : DataFrame, optional
        The data fitted to, whose columns are shown instead of those of the model frame; rows not used are left out.
    newdata : DataFrame, optional
        Other data: ``.fitted`` and ``.fixed`` are predictions, and nothing else is there (broom.mixed binds the fitted
        rows' numbers to them where the number of rows happens to be equal).

    Returns
    -------
    DataFrame
        The columns and ``.fitted``, ``.resid``, ``.hat``, ``.cooksd``, ``.fixed`` (without random effects), ``.mu``,
        ``.offset``, ``.sqrtXwt``, ``.sqrtrwt``, ``.weights``, ``.wtres`` (residuals times the root of the weights), for
        each row used; the data's index (R has a column ``.rownames`` instead).

    Raises
    ------
    DataError
        `data` lacks rows that were used; a fit of ``stan_lmer`` (broom.mixed has no method either).
    """
    if not isinstance(fit, LikelihoodFit):
        raise DataError("augment is for fits of lmer; for a posterior take fitted(), residuals() or posterior_epred()")
    if newdata is not None:
        predictions = {".fitted": fit.predict(newdata), ".fixed": fit.predict(newdata, re_form="~0")}
        return newdata.assign(**{name: values.to_numpy() for name, values in predictions.items()})
    design = fit.design
    frame = fit.model_frame()
    if data is not None:
        positions = used_positions(data.index, fit)
        frame = data.iloc[positions].copy()
    weights = np.ones(design.N) if design.weights is None else design.weights
    offset = np.zeros(design.N) if design.offset is None else design.offset
    fixed = offset + design.X @ fit.fixef().to_numpy()
    fitted = _used(fit.fitted(), fit)
    columns = {
        ".fitted": fitted,
        ".resid": design.y - fitted,
        ".hat": _used(fit.hatvalues(), fit),
        ".cooksd": _used(fit.cooks_distance(), fit),
        ".fixed": fixed,
        ".mu": fitted,
        ".offset": offset,
        ".sqrtXwt": np.sqrt(weights),
        ".sqrtrwt": np.sqrt(weights),
        ".weights": weights,
        ".wtres": np.sqrt(weights) * (design.y - fitted),
    }
    return frame.assign(**columns)


def _used(values: pd.Series, fit: Fit) -> np.ndarray:
    """Values of the rows used: ``na.exclude`` has padded them with missing ones."""
    numbers = values.to_numpy(dtype=float)
    return numbers if len(numbers) == fit.design.N else numbers[~np.isnan(numbers)]


def used_positions(index: pd.Index, fit: Fit) -> np.ndarray:
    """Positions, in the data with this index, of the rows used.

    Raises
    ------
    DataError
        The data have other rows, or labels that occur twice together with a subset.
    """
    design = fit.design
    kept = np.setdiff1d(np.arange(len(index)), design.omitted)
    if len(kept) == design.N and index.take(kept).equals(design.index):
        return kept
    if len(index) == design.N and index.equals(design.index):
        return np.arange(design.N)
    if not index.is_unique:
        raise DataError("with a subset the data frame's index must not have repeated labels: reset_index() it")
    positions = index.get_indexer(design.index)
    if (positions < 0).any():
        label = design.index[int(np.argmax(positions < 0))]
        raise DataError(f"the data lack the row {label!r} that the model was fitted to: give the data of the fit")
    return np.asarray(positions, dtype=np.intp)
