"""Intervals of predictions by simulation: merTools' ``predictInterval``, and the parametric bootstrap."""

from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Seeds, Share, generator
from pyimpl.design.re_form import ReForm
from pyimpl.errors import DataError
from pyimpl.inference.bootstrap import RefitArguments
from pyimpl.inference.contract import LikelihoodFit

__all__ = ["BootPredictionsArguments", "PredictIntervalArguments", "boot_predictions", "predict_interval"]

_CHUNK = 2**22  # numbers drawn at a time: 32 MB


class PredictIntervalArguments(TypedDict, total=False):
    """Arguments of :func:`predict_interval` after `newdata`."""

    which: Literal["full", "fixed", "random"]
    level: Share
    nsim: Count
    stat: Literal["median", "mean"]
    include_resid_var: bool
    seed: Seeds | None


class BootPredictionsArguments(RefitArguments, total=False):
    """Arguments of :func:`boot_predictions` after `newdata`."""

    re_form: ReForm
    allow_new_levels: bool
    level: Share
    nsim: Count
    use_u: bool | None


@SIGNATURES.checked
def predict_interval(
    fit: LikelihoodFit,
    newdata: pd.DataFrame | None = None,
    which: Literal["full", "fixed", "random"] = "full",
    level: Share = 0.8,
    nsim: Count = 1000,
    stat: Literal["median", "mean"] = "median",
    include_resid_var: bool = True,
    seed: Seeds | None = None,
) -> pd.DataFrame:
    """``merTools::predictInterval(m, newdata, which, level, n.sims, stat, include.resid.var)``.

    Parameters
    ----------
    fit : LmerFit
    newdata : DataFrame, optional
        Default: the rows used.
    which : {"full", "fixed", "random"}
        What is drawn: everything, the fixed effects' part, or the random effects'.
    level : float
        Of the intervals; merTools' default is 0.8.
    nsim : int
        Draws.
    stat : {"median", "mean"}
        What ``fit`` is.
    include_resid_var : bool
        Whether residuals are drawn, too: a prediction interval.
    seed : int or SeedSequence, optional

    Returns
    -------
    DataFrame
        ``fit``, ``upr``, ``lwr`` (merTools' order), the index of the data.

    Raises
    ------
    DataError
        An unknown `which` or `stat`, a level that is not between 0 and 1, fewer than two draws.

    Notes
    -----
    σ² is drawn from r²/χ²(df.residual), β from N(β̂, vcov) and each level's random effects from N(b̂, Var(b | y)),
    one independent of the other, as in merTools. A level that the fit does not know has random effects drawn from
    N(0, Σ) here; in merTools they are 0. ``predict(interval="prediction")`` knows the covariance of b̂ and β̂, and needs
    no draws.
    """
    if which not in ("full", "fixed", "random"):
        raise DataError(f"which is 'full', 'fixed' or 'random', not {which!r}")
    if stat not in ("median", "mean"):
        raise DataError(f"stat is 'median' or 'mean', not {stat!r}")
    if nsim < 2:
        raise DataError(f"nsim: at least two draws are needed, not {nsim!r}")
    design = fit.design
    rng = generator(seed)
    if newdata is None:
        index, offset = design.index, 0.0 if design.offset is None else design.offset
        X: np.ndarray | None = design.X
        terms: Any = design.terms
    else:
        rows = design.encode(newdata, fixed=which != "random", random=which != "fixed")
        index, X, offset, terms = rows.index, rows.X, rows.offset, rows.terms
    cmp = fit.getME("devcomp")["cmp"]
    sigma = np.sqrt(cmp["pwrss"] / rng.chisquare(fit.df_residual(), nsim))
    beta = _normal(rng, fit.fixef().to_numpy(), fit.vcov().to_numpy(), nsim)
    effects = [] if which == "fixed" else [_draw_term(fit, k, term, nsim, rng) for k, term in enumerate(terms)]
    N = len(index)
    out = np.empty((N, 3))
    tails = [0.5, 0.5 * (1 + level), 0.5 * (1 - level)]
    step = max(1, _CHUNK // nsim)
    for start in range(0, N, step):
        block = slice(start, min(start + step, N))
        values = np.zeros((block.stop - block.start, nsim))
        if which != "random":
            assert X is not None
            values += X[block] @ beta.T
            values += np.broadcast_to(offset, N)[block, None]
        for term, b in zip(terms, effects, strict=False):
            values += np.einsum("ij,sij->is", term.columns[block], b[0][:, b[1][block]])
        if include_resid_var:
            values += sigma * rng.standard_normal(values.shape)
        out[block] = np.quantile(values, tails, axis=1).T
        if stat == "mean":
            out[block, 0] = values.mean(axis=1)
    return pd.DataFrame(out, index=index, columns=["fit", "upr", "lwr"])


def _normal(rng: np.random.Generator, mean: np.ndarray, covariance: np.ndarray, n: int) -> np.ndarray:
    """Draw from normal distributions whose covariance matrix, shape (..., p, p), may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return mean + np.einsum("...ij,s...j->s...i", root, rng.standard_normal((n, *mean.shape)))


def _draw_term(
    fit: LikelihoodFit, k: int, term: Any, nsim: Count, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one term's random effects for the levels that occur, shape (nsim, levels, p), and say each row's place."""
    model = fit.design.terms[k]
    used, places = np.unique(term.codes, return_inverse=True)
    members = [i for i, other in enumerate(fit.design.terms) if other.group == model.group]
    at = sum(fit.design.terms[i].p for i in members[: members.index(k)])
    own = slice(at, at + model.p)
    T = list(fit.getME("Tlist").values())[k]
    known = (used >= 0) & (used < model.J)
    means = np.zeros((len(used), model.p))
    means[known] = fit.ranef()[model.group].iloc[used[known], own].to_numpy()
    variances = np.zeros((len(used), model.p, model.p))  # a missing level's effect is 0
    variances[known] = fit.ranef_condVar().blocks[model.group].variances[used[known], own, own]
    variances[used >= model.J] = fit.sigma() ** 2 * (T @ T.T)
    return _normal(rng, means, variances, nsim), places


@SIGNATURES.checked
def boot_predictions(
    fit: LikelihoodFit,
    newdata: pd.DataFrame | None = None,
    re_form: ReForm = None,
    *,
    allow_new_levels: bool = False,
    level: Share = 0.95,
    nsim: Count = 500,
    use_u: bool | None = None,
    **options: Unpack[RefitArguments],
) -> pd.DataFrame:
    """Bootstrap predictions: ``bootMer(m, function(m) predict(m, newdata, re.form), ...)`` and percentiles.

    Parameters
    ----------
    fit : LmerFit
    newdata, re_form, allow_new_levels
        As of :meth:`LmerFit.predict`.
    level : float
    nsim : int
        Refits.
    use_u : bool, optional
        Whether refits keep the random effects as estimated. Default: where `re_form` conditions on any; their error is
        of the levels that there are.
    **options
        Of :meth:`LmerFit.bootMer`: ``seed``, ``type``, ``n_jobs``, ``progress``.

    Returns
    -------
    DataFrame
        ``fit`` (of the model itself), ``lwr``, ``upr``: a confidence interval that counts the error of θ̂, too.
    """
    means = fit.predict(newdata, re_form, allow_new_levels)
    keep = use_u if use_u is not None else not (re_form is False or str(re_form) in ("~0", "~ 0", "NA", "nan"))

    def statistic(refit: LikelihoodFit) -> np.ndarray:
        return refit.predict(newdata, re_form, allow_new_levels).to_numpy(dtype=float)

    replicates = fit.bootMer(statistic, nsim=nsim, use_u=keep, **options).to_numpy(dtype=float)
    tails = [0.5 * (1 - level), 0.5 * (1 + level)]
    ends = np.nanquantile(replicates, tails, axis=0)
    return pd.DataFrame({"fit": means, "lwr": ends[0], "upr": ends[1]}, index=means.index)
