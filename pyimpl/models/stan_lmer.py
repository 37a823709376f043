"""``stan_lmer``: rstanarm's Bayesian linear mixed model, in Python alone.

The model and its priors are exactly rstanarm's (the same from 2.21.3 to 2.32.2). It is sampled by integrating the
random effects and the coefficients out (``sampler="collapsed"``, the default: fractions of a second), or by NUTS on the
full model as a readable PyMC model (``sampler="nuts"``). Quadrature gives the same posterior without Monte Carlo error
where the dimension allows (:meth:`StanLmerFit.quadrature`).
"""

import re
import time
import warnings as warnings_module
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyimpl.design.accessors import ModelAccessors
from pyimpl.design.design import Design
from pyimpl.errors import DataError, ModelError
from pyimpl.formula.update import update_formula
from pyimpl.frame.columns import as_pandas
from pyimpl.inference.verbs import AfterTheFit
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.linalg.threads import one_blas_thread
from pyimpl.plots.posterior import StanLmerPlots
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.conflict import unexplored
from pyimpl.posterior.diagnostics import ess_bulk, ess_tail, rhat_rank, stan_ess, stan_rhat
from pyimpl.posterior.draws import PosteriorDraws, complete, from_unconstrained
from pyimpl.posterior.full import FullDensity
from pyimpl.posterior.labels import b_labels, is_new_level, refuse_ambiguous_names, term_labels
from pyimpl.posterior.loo import Loo, Waic, bootstrap_R2, loo, loo_compare, loo_means, waic
from pyimpl.posterior.predictions import PredictionRows, interval, linear_predictor, prediction_rows, response
from pyimpl.posterior.priors import (
    Decov,
    Prior,
    cauchy,
    decov,
    default_prior_coef,
    default_prior_intercept,
    exponential,
    hs,
    hs_plus,
    laplace,
    lasso,
    lkj,
    normal,
    product_normal,
    student_t,
)
from pyimpl.posterior.sampler import SamplerResult, sample_collapsed, sample_prior
from pyimpl.posterior.specification import FLAT, Specification, specify
from pyimpl.posterior.text import PrintedText, print_text, prior_text, summary_text
from pyimpl.progress import progress_bar, with_bar
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr
    from matplotlib.figure import Figure

    from pyimpl.posterior.leave_out import Kfold
    from pyimpl.posterior.quadrature import QuadratureResult

__all__ = [
    "StanLmerFit",
    "cauchy",
    "decov",
    "default_prior_coef",
    "default_prior_intercept",
    "exponential",
    "hs",
    "hs_plus",
    "laplace",
    "lasso",
    "lkj",
    "loo_compare",
    "normal",
    "product_normal",
    "stan_lmer",
    "stan_lmer_design",
    "student_t",
]

_DEFAULT_COEF = default_prior_coef()
_DEFAULT_INTERCEPT = default_prior_intercept()
_DEFAULT_AUX = exponential(autoscale=True)
_DEFAULT_COVARIANCE = decov()
_MAD = 1.4826


def _mad(values: np.ndarray) -> np.ndarray:
    """``mad()`` of each column."""
    return _MAD * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


@dataclass(frozen=True, eq=False)
class StanLmerSummary:
    """``summary(fit)``: ``table`` holds the numbers, ``str()`` is what R prints.

    Attributes
    ----------
    table : pandas.DataFrame
        Index parameter; columns ``mean``, ``mcse``, ``sd``, the quantiles (``10%``, ...), ``n_eff``, ``Rhat``:
        ``n_eff`` and ``Rhat`` as ``rstan::summary`` computes them.
    text : str
    """

    table: pd.DataFrame
    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(self.text)


class StanLmerFit(ModelAccessors, StanLmerPlots, AfterTheFit):
    """A posterior of a Gaussian multilevel model: what :func:`stan_lmer` returns.

    Meets ``validation.contract.BayesianFit``. Everything returned is a copy.

    Attributes
    ----------
    design : Design
    spec : Specification
        The model as numbers: centred predictors, resolved priors.
    draws : PosteriorDraws
    sampler_result : SamplerResult or None
        How the collapsed sampler went (None after ``sampler="nuts"``).
    seed : int or None
        As given.
    dialect : Dialect
        The versions of R, lme4, rstanarm and loo whose texts and numbers the verbs give.
    """

    def __init__(
        self,
        spec: Specification,
        draws: PosteriorDraws,
        *,
        sampler_result: SamplerResult | None,
        density: CollapsedDensity | None,
        seed: int | None,
        seconds: float,
        warnings: tuple[str, ...] = (),
        data_name: str | None = None,
        divergences: int = 0,
        dialect: Dialect | None = None,
    ) -> None:
        self.spec = spec
        self.design: Design = spec.design
        self.draws = draws
        self.sampler_result = sampler_result
        self.seed = seed
        self.data_name = data_name
        self.dialect = Dialect.of(dialect)
        self._density = density
        self._seconds = seconds
        self._warnings = warnings
        self._divergences = divergences
        self._call: dict[str, Any] | None = None

    # ------------------------------------------------------------------ what it is
    @property
    def formula(self) -> str:
        """The model formula as R deparses it."""
        return self.design.formula

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of all warnings of the fit."""
        return self._warnings

    @property
    def messages(self) -> tuple[str, ...]:
        """What R would say on the way, and what the sampler did on its own account."""
        return (*self.design.messages, *(self.sampler_result.messages if self.sampler_result else ()))

    def _source_data(self) -> pd.DataFrame | None:
        return None if self._call is None else as_pandas(self._call["data"])

    def update(self, formula: str | None = None, **changes: Any) -> "StanLmerFit":
        """``update(m, formula, ...)``: the same call of :func:`stan_lmer` with some arguments changed.

        Parameters
        ----------
        formula : str, optional
            ``". ~ . + x"``: a dot stands for the present left- or right-hand side.
        **changes
            Arguments of :func:`stan_lmer`, ``data`` included.
        """
        if self._call is None:
            raise ModelError(
                "This fit was made from a design, not from a data frame: call stan_lmer instead of update."
            )
        arguments = {**self._call, **changes}
        if formula is not None:
            arguments["formula"] = update_formula(self._explicit_formula(), formula)
        return stan_lmer(**arguments)

    def nobs(self) -> int:
        """Return the number of rows used."""
        return self.design.N

    def ngrps(self) -> pd.Series:
        """Return the number of levels of each grouping factor, int64."""
        return pd.Series({term.group: term.J for term in self.design.terms}, dtype=np.int64)

    @property
    def _levels(self) -> dict[str, int]:
        return {term.group: term.J for term in self.design.terms}

    @cached_property
    def diagnostics(self) -> dict[str, Any]:
        """How the sampling went.

        ``method``, ``khat``, ``acceptance``, ``thin``, ``evaluations``, ``divergences``, ``min_ess_bulk``,
        ``min_ess_tail``, ``max_rhat`` (rank-normalised, over coefficients, sigma, Sigma and the log posterior) and
        ``seconds`` (of the sampling, from the reduced data to the last draw).
        """
        r = self.sampler_result
        x = self._by_chain(np.column_stack([self.draws.coef, self.draws.sigma, self.draws.Sigma, self._log_posterior]))
        usable = np.ptp(x.reshape(len(x), -1), axis=1) > 0
        x = x[usable]
        return {
            "method": r.method if r else "NUTS on the full model (PyMC, nutpie)",
            "khat": r.khat if r else np.nan,
            "acceptance": r.acceptance if r else np.nan,
            "thin": r.thin if r else 1,
            "evaluations": r.evaluations if r else 0,
            "divergences": r.divergences if r else self._divergences,
            "min_ess_bulk": float(np.min(ess_bulk(x))),
            "min_ess_tail": float(np.min(ess_tail(x))),
            "max_rhat": float(np.max(rhat_rank(x))),
            "seconds": self._seconds,
        }

    @property
    def _log_posterior(self) -> np.ndarray:
        return self.draws.log_posterior

    def _by_chain(self, columns: np.ndarray) -> np.ndarray:
        """Shape (n, k) to (k, chains, draws)."""
        return np.moveaxis(columns.reshape(self.draws.chains, self.draws.draws, -1), 2, 0)

    # ------------------------------------------------------------------ draws
    def stanfit_matrix(self) -> pd.DataFrame:
        """``as.matrix(m$stanfit)``: every column, ``_NEW_`` levels, ``mean_PPD`` and ``log-posterior`` included."""
        return self.draws.frame()

    def as_matrix(
        self, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """``as.matrix(m, pars, regex_pars)``: draws (chain after chain) x R's columns.

        As in R: without arguments all but ``mean_PPD`` and ``log-posterior``; ``_NEW_`` levels never.

        Parameters
        ----------
        pars : sequence of str, optional
            Column names.
        regex_pars : str or sequence of str, optional
            Regular expressions, searched for in the names.

        Raises
        ------
        ModelError
            A name that is not there, or expressions that match nothing.
        """
        names = self.draws.labels
        wanted = self._collect(pars, regex_pars)
        if wanted is None:
            wanted = [name for name in names if not re.search("mean_PPD|log-posterior", name)]
        missing = [name for name in wanted if name not in set(names)]
        if missing:
            raise ModelError(f"No parameter(s) {', '.join(missing)}. The fit has: {', '.join(names[:8])}, ...")
        wanted = [name for name in wanted if not is_new_level(name)]
        position = {name: k for k, name in enumerate(names)}
        values = self.draws.columns(np.array([position[name] for name in wanted], dtype=np.intp))
        return pd.DataFrame(values, columns=wanted, copy=False)

    def as_array(
        self, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> "xr.DataArray":
        """``as.array(m, pars, regex_pars)``: the draws of :meth:`as_matrix` as iterations x chains x parameters."""
        import xarray as xr

        matrix = self.as_matrix(pars, regex_pars)
        values = matrix.to_numpy().reshape(self.draws.chains, self.draws.draws, -1).swapaxes(0, 1)
        chains = [f"chain:{k + 1}" for k in range(self.draws.chains)]
        coords = {
            "iterations": np.arange(1, self.draws.draws + 1),
            "chains": chains,
            "parameters": list(matrix.columns),
        }
        return xr.DataArray(values, dims=("iterations", "chains", "parameters"), coords=coords)

    def as_data_frame(
        self, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """``as.data.frame(m, pars, regex_pars)``: the same as :meth:`as_matrix`."""
        return self.as_matrix(pars, regex_pars)

    def nsamples(self) -> int:
        """``nsamples(m)``: the number of draws of all chains."""
        return self.draws.n

    ndraws = nsamples

    def _collect(self, pars: Sequence[str] | None, regex_pars: Sequence[str] | str | None) -> list[str] | None:
        """``rstanarm:::collect_pars``."""
        if pars is None and regex_pars is None:
            return None
        if isinstance(pars, str):
            pars = [pars]
        found = list(pars or [])
        if regex_pars is not None:
            expressions = [regex_pars] if isinstance(regex_pars, str) else list(regex_pars)
            matches = [name for e in expressions for name in self.draws.labels if re.search(e, name)]
            if not matches:
                raise ModelError(f"No matches for 'regex_pars': {', '.join(expressions)}.")
            found += matches
        return list(dict.fromkeys(found))

    @cached_property
    def posterior(self) -> "xr.DataTree":
        """The draws as an ArviZ DataTree: groups ``posterior``, ``sample_stats``, ``observed_data``."""
        import xarray as xr

        chains, draws = self.draws.chains, self.draws.draws
        coords = {"chain": np.arange(chains), "draw": np.arange(draws)}
        names, matrix = self.draws.labels, self.draws.matrix
        is_b = np.array([name.startswith("b[") for name in names])
        shaped = matrix.reshape(chains, draws, -1)
        variables: dict[str, Any] = {
            name: (("chain", "draw"), shaped[:, :, k].copy()) for k, name in enumerate(names) if not is_b[k]
        }
        variables["b"] = (("chain", "draw", "b_label"), shaped[:, :, is_b].copy())
        labels = [name for name, b in zip(names, is_b, strict=True) if b]
        posterior = xr.Dataset(variables, coords={**coords, "b_label": labels})
        lp = self.draws.log_posterior.reshape(chains, draws)
        stats = xr.Dataset({"lp": (("chain", "draw"), lp)}, coords=coords)
        observed = xr.Dataset(
            {self.design.response: (("obs",), self.design.y.copy())},
            coords={"obs": [str(label) for label in self.design.index]},
        )
        d = self.diagnostics
        attributes = {
            "inference_library": "pyimpl",
            "method": d["method"],
            "sampling_time": d["seconds"],
            "formula": self.formula,
        }
        posterior.attrs.update(attributes)
        return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats, "observed_data": observed})

    # ------------------------------------------------------------------ estimates
    def fixef(self) -> pd.Series:
        """Posterior medians of the coefficients."""
        return pd.Series(np.median(self.draws.coef, axis=0), index=list(self.design.coef_names), dtype=np.float64)

    def se(self) -> pd.Series:
        """``se(m)``: MAD_SD of each coefficient and then, as in R, of each random effect (``b[...]``)."""
        names = [*self.design.coef_names, *b_labels(self.design.terms)]
        values = np.concatenate([_mad(self.draws.coef), _mad(self.draws.b)])
        shown = [k for k, name in enumerate(names) if not is_new_level(name)]
        return pd.Series(values[shown], index=[names[k] for k in shown], dtype=np.float64)

    def sigma(self) -> float:
        """Posterior median of the residual standard deviation."""
        return float(np.median(self.draws.sigma))

    def vcov(self) -> pd.DataFrame:
        """Posterior covariance matrix of the coefficients, ``vcov(m)``."""
        names = list(self.design.coef_names)
        matrix = np.cov(self.draws.coef, rowvar=False, ddof=1).reshape(len(names), len(names))
        return pd.DataFrame(matrix, index=names, columns=names)

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Posterior medians of the random effects: grouping factor -> level x effect."""
        median = np.median(self.draws.b, axis=0)
        out: dict[str, pd.DataFrame] = {}
        at = 0
        for term in self.design.terms:
            width = term.p * (term.J + 1)
            values = median[at : at + width].reshape(term.J + 1, term.p)[:-1]
            at += width
            frame = pd.DataFrame(values.copy(), index=list(term.levels), columns=list(term.effects))
            out[term.group] = pd.concat([out[term.group], frame], axis=1) if term.group in out else frame
        return out

    def coef(self) -> dict[str, pd.DataFrame]:
        """``fixef`` plus ``ranef`` for each level: grouping factor -> level x coefficient."""
        fixed, random = self.fixef(), self.ranef()
        missing = list(dict.fromkeys(e for frame in random.values() for e in frame.columns if e not in fixed.index))
        start = pd.concat([pd.Series(0.0, index=missing), fixed]) if missing else fixed
        out = {}
        for group, effects in random.items():
            values = np.repeat(start.to_numpy()[None], len(effects), axis=0)
            frame = pd.DataFrame(values, index=effects.index, columns=list(start.index))
            for name in effects.columns:
                frame[name] = frame[name] + effects[name]
            out[group] = frame
        return out

    def VarCorr(self) -> pd.DataFrame:
        """``as.data.frame(VarCorr(m))``: posterior means of the covariances, their roots and correlations.

        As in rstanarm: ``sdcor`` of a variance is the root of its mean, of a covariance the correlation of the mean
        matrix; ``Residual`` is the mean of sigma and its square.
        """
        mean, at = self.draws.Sigma.mean(axis=0), 0
        rows: list[tuple[str, str | None, str | None, float, float]] = []
        for term, group in zip(self.design.terms, term_labels(self.design.terms), strict=True):
            p = term.p
            S = np.zeros((p, p))
            column, row = np.triu_indices(p)
            S[row, column] = S[column, row] = mean[at : at + column.size]
            at += column.size
            sd = np.sqrt(np.diag(S))
            rows += [(group, term.effects[k], None, S[k, k], sd[k]) for k in range(p)]
            # as.data.frame.VarCorr.merMod: the lower triangle, column by column
            rows += [
                (group, term.effects[j], term.effects[k], S[k, j], S[k, j] / (sd[k] * sd[j]))
                for j in range(p)
                for k in range(j + 1, p)
            ]
        s = float(self.draws.sigma.mean())
        rows.append(("Residual", None, None, s * s, s))
        return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])

    def posterior_interval(
        self, prob: float = 0.9, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """Central posterior intervals: index parameter; columns ``5%`` and ``95%`` (for ``prob=0.9``)."""
        matrix = self.as_matrix(pars, regex_pars)
        values, probs = interval(matrix.to_numpy(), prob)
        return pd.DataFrame(values, index=list(matrix.columns), columns=[_percent(q) for q in probs])

    # ------------------------------------------------------------------ printed output
    def summary(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        probs: Sequence[float] = (0.1, 0.5, 0.9),
        digits: int = 1,
    ) -> StanLmerSummary:
        """``summary(m, pars, regex_pars, probs, digits)``.

        Parameters
        ----------
        pars : sequence of str, optional
            Names, or ``"alpha"`` (the intercept), ``"beta"`` (coefficients), ``"varying"`` or ``"b"`` (random effects).
        regex_pars : str or sequence of str, optional
        probs : sequence of float
        digits : int

        Returns
        -------
        StanLmerSummary
        """
        names = self.draws.labels
        wanted = self._collect(pars, regex_pars)
        if wanted is not None:
            special = {
                "alpha": [n for n in names if n == "(Intercept)"],
                "beta": [n for n in self.design.coef_names if n != "(Intercept)"],
                "b": [n for n in names if n.startswith("b[")],
                "varying": [n for n in names if n.startswith("b[")],
            }
            keep = {name for par in wanted for name in special.get(par, [par])}
            columns = [k for k, name in enumerate(names) if name in keep]
        else:
            columns = list(range(len(names)))
        columns = [k for k in columns if ":_NEW_" not in names[k]]
        table = self._summary_table(columns, probs)
        text = summary_text(
            table,
            formula=self.formula,
            nobs=self.nobs(),
            sample_size=self.draws.n,
            ngrps=self._levels,
            digits=digits,
        )
        return StanLmerSummary(table, text)

    def _summary_table(self, columns: list[int], probs: Sequence[float]) -> pd.DataFrame:
        values = self.draws.matrix[:, columns]
        x = self._by_chain(values)
        sd, n_eff = values.std(axis=0, ddof=1), stan_ess(x)
        with np.errstate(invalid="ignore", divide="ignore"):
            pieces = {"mean": values.mean(axis=0), "mcse": sd / np.sqrt(n_eff), "sd": sd}
        quantiles = np.quantile(values, probs, axis=0)
        pieces |= {_percent(q): row for q, row in zip(probs, quantiles, strict=True)}
        pieces |= {"n_eff": np.round(n_eff), "Rhat": stan_rhat(x)}
        return pd.DataFrame(pieces, index=[self.draws.labels[k] for k in columns])

    def print(self, digits: int = 1, detail: bool = True) -> PrintedText:
        """``print(m, digits, detail)``: medians and MAD_SDs."""
        coefficients = pd.DataFrame({"Median": self.fixef(), "MAD_SD": _mad(self.draws.coef)})
        sigma = self.draws.sigma[:, None]
        auxiliary = pd.DataFrame({"Median": np.median(sigma, axis=0), "MAD_SD": _mad(sigma)}, index=["sigma"])
        return PrintedText(
            print_text(
                formula=self.formula,
                nobs=self.nobs(),
                coefficients=coefficients,
                auxiliary=auxiliary,
                var_corr=self.VarCorr(),
                ngrps=self._levels,
                digits=digits,
                detail=detail,
                dialect=self.dialect,
            )
        )

    def __str__(self) -> str:
        return str(self.print())

    __repr__ = __str__

    def prior_summary(self, digits: int = 2, model_name: str = "m") -> PrintedText:
        """``prior_summary(m, digits)``; R prints the name of the variable, here ``model_name``."""
        return PrintedText(prior_text(self.spec, digits=digits, model_name=model_name))

    def posterior_vs_prior(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        prob: float = 0.9,
        prior: "StanLmerFit | None" = None,
    ) -> pd.DataFrame:
        """What ``posterior_vs_prior(m, pars, regex_pars, prob)`` plots: medians and intervals of prior and posterior.

        Parameters
        ----------
        pars, regex_pars
            As of :meth:`summary`; default all parameters.
        prob : float
            Of the central intervals.
        prior : StanLmerFit, optional
            Draws from the prior that are there already; by default the model is fitted with ``prior_PD=True`` and two
            chains, as in rstanarm.

        Returns
        -------
        DataFrame
            Columns model (``Prior``, ``Posterior``), parameter, estimate (median), lb, ub.
            :func:`pyimpl.plots.posterior_vs_prior_plot` draws it.

        Raises
        ------
        ModelError
            A prior is flat: there is nothing to draw from.
        """
        if not 0 < prob < 1:
            raise ModelError(f"prob should be a number between 0 and 1, but is {prob!r}.")
        if prior is None:
            prior = self.update(prior_PD=True, chains=2)
        probs = ((1 - prob) / 2, 0.5, 1 - (1 - prob) / 2)
        parts = []
        for name, fit in (("Prior", prior), ("Posterior", self)):
            table = fit.summary(pars=pars, regex_pars=regex_pars, probs=probs).table
            if pars is None:
                table = table.drop(index=["log-posterior", "mean_PPD"], errors="ignore")
            low, middle, high = (table[_percent(q)].to_numpy() for q in probs)
            columns = {"model": name, "parameter": table.index, "estimate": middle, "lb": low, "ub": high}
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def plot_posterior_vs_prior(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        prob: float = 0.9,
        group_by_parameter: bool = False,
        prior: "StanLmerFit | None" = None,
    ) -> "Figure":
        """``posterior_vs_prior(m, ...)``: the plot of :meth:`posterior_vs_prior`, by default without random effects."""
        from pyimpl.plots.posterior import posterior_vs_prior_plot

        if pars is None and regex_pars is None:
            pars = [name for name in self.as_matrix().columns if not name.startswith("b[")]
        return posterior_vs_prior_plot(self.posterior_vs_prior(pars, regex_pars, prob, prior), group_by_parameter)

    # ------------------------------------------------------------------ densities
    @cached_property
    def _full(self) -> FullDensity:
        return FullDensity(self.spec)

    @property
    def num_upars(self) -> int:
        """Length of the unconstrained parameter vector (``rstan::get_num_upars``)."""
        return self._full.num_upars

    def log_prob(self, upars: np.ndarray) -> float | np.ndarray:
        """Log density at unconstrained points: ``rstan::log_prob(fit, upars, adjust_transform = TRUE)``.

        Parameters
        ----------
        upars : ndarray, shape (num_upars,) or (points, num_upars)

        Returns
        -------
        float or ndarray, shape (points,)
        """
        return self._full.log_prob(upars)

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        """``n`` of the posterior draws on the unconstrained scale, chosen at random, shape (n, num_upars)."""
        rng = np.random.default_rng(seed)
        rows = rng.choice(self.draws.n, size=n, replace=n > self.draws.n)
        return self.draws.unconstrained(np.sort(rows))

    @property
    def collapsed(self) -> CollapsedDensity:
        """The posterior with random effects and Gaussian coefficients integrated out."""
        if self._density is None:
            self._density = CollapsedDensity(self.spec)
        return self._density

    def pymc_model(self) -> "pm.Model":
        """Build the full posterior as a PyMC model with named coordinates and Stan's parameters."""
        from pyimpl.posterior.pymc_model import build_pymc_model

        return build_pymc_model(self.spec)

    def quadrature(self, **options: Any) -> "QuadratureResult":
        """Posterior means, sds, quantiles and log evidence by quadrature: no Monte Carlo error.

        See :func:`pyimpl.posterior.quadrature.integrate` for the options.
        """
        from pyimpl.posterior.quadrature import integrate

        return integrate(self.collapsed, **options)

    def log_evidence(self, **options: Any) -> float:
        """Log marginal likelihood, by quadrature."""
        return self.quadrature(**options).log_evidence

    # ------------------------------------------------------------------ predictions
    def _rows(self, draws: int | None, seed: int | None) -> np.ndarray:
        if draws is None:
            return np.arange(self.draws.n)
        if draws > self.draws.n:
            raise ModelError(f"'draws' should be <= posterior sample size ({self.draws.n}), but is {draws}.")
        return np.sort(np.random.default_rng(seed).choice(self.draws.n, size=draws, replace=False))

    @cached_property
    def _rows_used(self) -> PredictionRows:
        return prediction_rows(self.design)

    def _eta(self, chosen: np.ndarray) -> np.ndarray:
        return linear_predictor(self.draws, chosen, self._rows_used)

    def _frame(self, values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, columns=self.design.index)

    def posterior_linpred(
        self,
        newdata: pd.DataFrame | None = None,
        draws: int | None = None,
        re_form: Any = None,
        offset: Any = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """``posterior_linpred(m, newdata, draws, re.form, offset)``: the linear predictor, draws x rows.

        Parameters
        ----------
        newdata : pandas.DataFrame, optional
            Default: the rows used. A level that the fit does not know has the effects of the padded level ``_NEW_``:
            draws of a new level from the fitted distribution, one and the same for all its unknown levels, as in
            rstanarm.
        draws : int, optional
            So many of the posterior draws, chosen at random; default all.
        re_form : None, ``"NA"``, ``"~0"`` or a formula
            None: all random effects; ``"NA"`` or ``"~0"``: none; ``"~ (1 | g)"``: those named.
        offset : array-like, optional
            Needed for `newdata` where the model was fitted with the argument `offset`.
        seed : int, optional

        Returns
        -------
        pandas.DataFrame
            Columns: the labels of the rows.

        Raises
        ------
        DataError
            `newdata` lacks a column or has missing values; `re_form` names what the model does not have.
        """
        rows = prediction_rows(self.design, newdata, re_form, offset)
        eta = linear_predictor(self.draws, self._rows(draws, seed), rows)
        return pd.DataFrame(eta, columns=rows.index)

    def posterior_epred(
        self,
        newdata: pd.DataFrame | None = None,
        draws: int | None = None,
        re_form: Any = None,
        offset: Any = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Draw the expected response: :meth:`posterior_linpred`, in a Gaussian model."""
        return self.posterior_linpred(newdata, draws, re_form, offset, seed)

    def posterior_predict(
        self,
        newdata: pd.DataFrame | None = None,
        draws: int | None = None,
        re_form: Any = None,
        fun: Callable[[np.ndarray], np.ndarray] | None = None,
        seed: int | None = None,
        offset: Any = None,
    ) -> pd.DataFrame:
        """``posterior_predict(m, newdata, draws, re.form, fun, seed, offset)``: predicted responses, draws x rows.

        Parameters as of :meth:`posterior_linpred`; `fun` transforms the predictions (``numpy.exp`` for a logged
        response). With `draws`, rstanarm 2.21.3 pairs the linear predictors of the chosen draws with the sigmas of the
        first draws; here each draw keeps its own sigma.
        """
        rows = prediction_rows(self.design, newdata, re_form, offset)
        chosen = self._rows(draws, seed)
        eta = linear_predictor(self.draws, chosen, rows)
        noise = np.random.default_rng(None if seed is None else [seed, 1]).standard_normal(eta.shape)
        values = eta + self.draws.sigma[chosen, None] * noise
        return pd.DataFrame(values if fun is None else fun(values), columns=rows.index)

    def predictive_interval(
        self,
        prob: float = 0.9,
        newdata: pd.DataFrame | None = None,
        draws: int | None = None,
        re_form: Any = None,
        fun: Callable[[np.ndarray], np.ndarray] | None = None,
        seed: int | None = None,
        offset: Any = None,
    ) -> pd.DataFrame:
        """``predictive_interval(m, prob, newdata, ...)``: central intervals of :meth:`posterior_predict`.

        Returns
        -------
        pandas.DataFrame
            A row for each row predicted; columns ``5%`` and ``95%`` (for ``prob=0.9``).
        """
        predicted = self.posterior_predict(newdata, draws, re_form, fun, seed, offset)
        values, probs = interval(predicted.to_numpy(), prob)
        return pd.DataFrame(values, index=predicted.columns, columns=[_percent(q) for q in probs])

    def predictive_error(
        self,
        newdata: pd.DataFrame | None = None,
        draws: int | None = None,
        re_form: Any = None,
        seed: int | None = None,
        offset: Any = None,
    ) -> pd.DataFrame:
        """``predictive_error(m, newdata, ...)``: observed minus predicted, draws x rows.

        `newdata` must hold the response.
        """
        y = response(self.design, newdata)
        predicted = self.posterior_predict(newdata, draws, re_form, None, seed, offset)
        return pd.DataFrame(y - predicted.to_numpy(), columns=predicted.columns)

    def loo_linpred(
        self,
        type: str = "mean",  # noqa: A002
        probs: Sequence[float] = (0.5,),
    ) -> pd.Series | pd.DataFrame:
        """``loo_linpred(m, type, probs)``: the linear predictor of each row, from the other rows (PSIS).

        Parameters
        ----------
        type : {"mean", "var", "quantile"}
        probs : sequence of float
            Of ``"quantile"``.

        Returns
        -------
        Series, or DataFrame for quantiles
            The data's index.
        """
        return self._left_out(self._eta(np.arange(self.draws.n)), type, probs)

    def loo_predict(
        self,
        type: str = "mean",  # noqa: A002
        probs: Sequence[float] = (0.5,),
        seed: int | None = None,
    ) -> pd.Series | pd.DataFrame:
        """``loo_predict(m, type, probs)``: as :meth:`loo_linpred`, of predicted responses."""
        return self._left_out(self.posterior_predict(seed=seed).to_numpy(), type, probs)

    def loo_predictive_interval(self, prob: float = 0.9, seed: int | None = None) -> pd.DataFrame:
        """``loo_predictive_interval(m, prob)``: central intervals of each row's prediction from the other rows."""
        if not 0 < prob < 1:
            raise ModelError(f"prob should be a number between 0 and 1, but is {prob!r}.")
        found = self.loo_predict("quantile", ((1 - prob) / 2, 1 - (1 - prob) / 2), seed)
        return pd.DataFrame(found)

    def _left_out(self, values: np.ndarray, type: str, probs: Sequence[float]) -> pd.Series | pd.DataFrame:  # noqa: A002
        from pyimpl.posterior.leave_out import expectation

        found = expectation(values, self.log_lik().to_numpy(), self.draws.chains, type, probs, self.dialect)
        if type == "quantile":
            return pd.DataFrame(found, index=self.design.index, columns=[_percent(q) for q in probs])
        return pd.Series(found, index=self.design.index)

    def fitted(self) -> pd.Series:
        """``fitted(m)``: the linear predictor at the posterior medians; the data's index."""
        medians = self.draws.coef, self.draws.b
        coef, b = (np.median(values, axis=0) for values in medians)
        rows, at = self._rows_used, 0
        eta = rows.X @ coef
        if rows.offset is not None:
            eta = eta + rows.offset
        for term, (codes, columns, _) in zip(self.design.terms, rows.terms, strict=True):
            width = term.p * (term.J + 1)
            eta = eta + np.einsum("ij,ij->i", columns, b[at : at + width].reshape(-1, term.p)[codes])
            at += width
        return pd.Series(eta, index=self.design.index)

    def residuals(self) -> pd.Series:
        """``residuals(m)``: the response minus :meth:`fitted`; the data's index."""
        return pd.Series(self.design.y, index=self.design.index) - self.fitted()

    def predict(self, *arguments: Any, **options: Any) -> pd.Series:
        """``predict(m)`` is refused, as by rstanarm: take :meth:`posterior_predict`."""
        raise ModelError(
            "'predict' is not available for models fit with stan_lmer. Please use the 'posterior_predict' function "
            "instead."
        )

    def confint(self, *arguments: Any, **options: Any) -> pd.DataFrame:
        """``confint(m)`` is refused, as by rstanarm: take :meth:`posterior_interval`."""
        raise ModelError(
            "For models fit using MCMC or a variational approximation please use posterior_interval() to obtain "
            "Bayesian interval estimates."
        )

    # ------------------------------------------------------------------ predictive accuracy
    def log_lik(self, newdata: pd.DataFrame | None = None, offset: Any = None) -> pd.DataFrame:
        """``log_lik(m, newdata, offset)``: pointwise log likelihood, draws x rows.

        Parameters
        ----------
        newdata : pandas.DataFrame, optional
            With the response; levels that the fit does not know have the effects of ``_NEW_``. Default: the rows used,
            the model's weights multiplied in (new rows have none).
        offset : array-like, optional
            Of `newdata`, where the model was fitted with the argument `offset`.
        """
        sigma, every = self.draws.sigma[:, None], np.arange(self.draws.n)
        if newdata is None:
            z = (self.design.y - self._eta(every)) / sigma
        else:
            rows = prediction_rows(self.design, newdata, None, offset)
            z = (response(self.design, newdata) - linear_predictor(self.draws, every, rows)) / sigma
        value = -0.5 * z * z - np.log(sigma) - 0.5 * np.log(2 * np.pi)
        if newdata is not None:
            return pd.DataFrame(value, columns=newdata.index)
        if self.spec.weights is not None:
            value *= self.spec.weights
        return self._frame(value)

    def kfold(self, K: int = 10, folds: Any = None, seed: int | None = None, progress: bool = False) -> "Kfold":
        """``kfold(m, K, folds)``: exact K-fold cross-validation: the model fitted again without each fold.

        Levels that only occur in the fold left out are predicted as new ones.

        Parameters
        ----------
        K : int
            Folds of nearly equal size, at random.
        folds : array-like or Series, optional
            The fold of each row used, from 1 on; instead of K.
        seed : int, optional
            Of the folds; the refits have the fit's own seed.
        progress : bool
            Show a bar.

        Raises
        ------
        ModelError
            The model has weights (rstanarm refuses as well), or was made from a design.
        """
        from pyimpl.posterior.leave_out import folds_of, kfold

        if self.spec.weights is not None:
            raise ModelError("kfold is not currently available for models fit using weights.")
        data = self.getData()
        used = data.index.get_indexer(self.design.index) if data.index.is_unique else None
        if used is None:
            raise ModelError("kfold needs data whose index has no repeated labels: reset_index() them.")
        chosen = folds_of(K, folds, self.design.index, seed)

        def without(out: np.ndarray) -> np.ndarray:
            mask = np.zeros(len(data), dtype=bool)
            mask[used[~out]] = True
            argument = self._call is not None and self._call.get("offset") is not None
            offset = self.design.offset[out] if argument and self.design.offset is not None else None
            return self.update(subset=mask).log_lik(data.iloc[used[out]], offset).to_numpy()

        def shown(names: Sequence[int]) -> Any:
            return with_bar("kfold", names, [1] * len(names), shown=progress)

        return kfold(without, self.log_lik(), chosen, shown, self.dialect, self._seconds)

    def loo(self, r_eff: bool | None = None) -> Loo:
        """``loo(m, r_eff)``: approximate leave-one-out cross-validation (PSIS), with R's numbers.

        Parameters
        ----------
        r_eff : bool, optional
            Whether the draws' relative efficiency is estimated, or the draws are taken as independent. By default as
            the dialect's rstanarm does: estimated before 2.32.2, not since.

        Raises
        ------
        ModelError
            The model has weights (rstanarm refuses as well).

        Warns
        -----
        PyimplWarning
            Some Pareto k is above 0.7.
        """
        if self.spec.weights is not None:
            raise ModelError("'loo' is not supported if model has weights.")
        return loo(self.log_lik(), self.draws.chains, self.dialect, r_eff)

    def waic(self) -> Waic:
        """``waic(m)``, with R's numbers."""
        return waic(self.log_lik(), self.dialect)

    def bayes_R2(self) -> pd.Series:
        """``bayes_R2(m)``: variance of the fit over that plus sigma², for each draw."""
        rows = np.arange(self.draws.n)
        fit = self._eta(rows).var(axis=1, ddof=1)
        return pd.Series(fit / (fit + self.draws.sigma**2))

    def loo_R2(self, seed: int | None = None) -> pd.Series:
        """``loo_R2(m)``: R² of leave-one-out predictions, draws of a Bayesian bootstrap.

        `seed` defaults to the fit's, as in rstanarm.
        """
        log_lik = self.log_lik().to_numpy()
        error = loo_means(self._eta(np.arange(self.draws.n)), log_lik) - self.design.y
        rng = np.random.default_rng(self.seed if seed is None else seed)
        return pd.Series(bootstrap_R2(self.design.y, error, rng.standard_exponential(log_lik.shape)))


def _dialect(which: Dialect | Mapping[str, str] | str | None) -> Dialect:
    """Return the dialect that is meant; one that is not understood is refused as any argument is."""
    try:
        return Dialect.of(which)
    except ValueError as error:
        raise DataError(str(error)) from None


def _percent(q: float) -> str:
    return f"{100 * q:.7g}%"


@contextmanager
def _reporting(progress: bool) -> Iterator[Callable[[str, float], None] | None]:
    """Show what is being done, on the terminal or in the notebook."""
    if not progress:
        yield None
        return
    with progress_bar("stan_lmer", 1.0) as bar:
        yield bar.say


def stan_lmer(
    formula: str,
    data: pd.DataFrame,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "na.omit",
    contrasts: Mapping[str, Any] | None = None,
    prior: Prior | None = _DEFAULT_COEF,
    prior_intercept: Prior | None = _DEFAULT_INTERCEPT,
    prior_aux: Prior | None = _DEFAULT_AUX,
    prior_covariance: Decov = _DEFAULT_COVARIANCE,
    prior_PD: bool = False,
    QR: bool = False,
    chains: int = 4,
    iter: int = 2000,  # noqa: A002
    warmup: int | None = None,
    seed: int | None = None,
    sampler: str = "collapsed",
    data_name: str | None = None,
    progress: bool = False,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> StanLmerFit:
    """Fit a Bayesian linear mixed model as ``rstanarm::stan_lmer`` does.

    Parameters
    ----------
    formula : str
        lme4's: ``"course ~ 1 + female + (1 + female | school)"``.
    data : pandas.DataFrame
    weights, offset, subset : str or array, optional
        As in :func:`pyimpl.lmer`.
    na_action, contrasts
        As in :func:`pyimpl.lmer`.
    prior, prior_intercept, prior_aux : Prior or None
        Of the coefficients, of the intercept at centred predictors, of sigma: ``normal()``, ``student_t()``,
        ``cauchy()``; for the coefficients ``laplace()``, ``lasso()``, ``hs()``, ``hs_plus()`` and
        ``product_normal()`` too, for sigma ``exponential()``; None is flat. A prior given here is not autoscaled unless
        its ``autoscale`` is true; the defaults are.
    prior_covariance : Decov
        ``decov()``.
    prior_PD : bool
        Draw from the prior: the likelihood is left out.
    QR : bool
        Give `prior` to the slopes of the QR-orthogonalised predictors, as rstanarm; 2 or more of them. What is reported
        are the slopes of the predictors themselves.
    chains, iter, warmup : int
        ``iter - warmup`` draws a chain are kept; ``warmup`` is ``iter // 2`` unless given. (The collapsed sampler
        needs no warm-up of its own: the arguments only say how many draws are wanted.)
    seed : int, optional
        The same seed gives the same draws.
    sampler : {"collapsed", "nuts"}
        ``"collapsed"`` integrates random effects and coefficients out and draws them exactly afterwards; ``"nuts"``
        samples the full model with PyMC and nutpie.
    data_name : str, optional
        How the data are called in printed output.
    progress : bool
        Show on the terminal what is being done.
    dialect : Dialect, mapping or str, optional
        The R whose texts and numbers the fit's verbs give (``loo``, ``print``, ...): a stack (``"debian-12"``) or
        versions (``"rstanarm 2.21.3, loo 2.5.1"``). The newest where not given. The posterior does not depend on it.

    Returns
    -------
    StanLmerFit

    Raises
    ------
    FormulaError, DataError, ModelError
        What cannot be fitted, with the reason and the remedy.

    Warns
    -----
    ConvergenceWarning
        The draws are not good enough.

    Examples
    --------
    >>> fit = stan_lmer("course ~ 1 + (1 | school)", gcse, seed=349)  # doctest: +SKIP
    >>> print(fit.summary(pars=["(Intercept)", "sigma"], probs=[0.025, 0.975], digits=2))  # doctest: +SKIP
    """
    call = dict(locals())
    spoken = _dialect(dialect)
    from pyimpl.design.checks import STAN_LMER_CHECKS
    from pyimpl.design.design import build_design

    design = build_design(
        formula,
        data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        checks=STAN_LMER_CHECKS,
        dialect=spoken,
    )
    if design.structure is not None:
        raise ModelError(
            f"stan_lmer has no prior for structured covariances ({', '.join(one.name for one in design.structure.named)})"
            ": decov is one of unstructured matrices. Write (x | g); lmer fits diag(), cs() and ar1()."
        )
    fit = stan_lmer_design(
        design,
        prior=prior,
        prior_intercept=prior_intercept,
        prior_aux=prior_aux,
        prior_covariance=prior_covariance,
        prior_PD=prior_PD,
        QR=QR,
        chains=chains,
        iter=iter,
        warmup=warmup,
        seed=seed,
        sampler=sampler,
        data_name=data_name,
        progress=progress,
        dialect=spoken,
    )
    fit._call = call
    return fit


def stan_lmer_design(
    design: Design,
    *,
    prior: Prior | None = _DEFAULT_COEF,
    prior_intercept: Prior | None = _DEFAULT_INTERCEPT,
    prior_aux: Prior | None = _DEFAULT_AUX,
    prior_covariance: Decov = _DEFAULT_COVARIANCE,
    prior_PD: bool = False,
    QR: bool = False,
    chains: int = 4,
    iter: int = 2000,  # noqa: A002
    warmup: int | None = None,
    seed: int | None = None,
    sampler: str = "collapsed",
    data_name: str | None = None,
    progress: bool = False,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> StanLmerFit:
    """:func:`stan_lmer` for a design that is there already (the arguments are the same)."""
    spoken = _dialect(dialect)
    warmup = iter // 2 if warmup is None else warmup
    for name, value, least in (("chains", chains, 1), ("iter", iter, 1), ("warmup", warmup, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise ModelError(f"{name} should be an integer of {least} or more, but is {value!r}.")
    if warmup >= iter:
        raise ModelError(f"iter ({iter}) should be more than warmup ({warmup}): iter - warmup draws a chain are kept.")
    if sampler not in ("collapsed", "nuts"):
        raise ModelError(f"sampler should be 'collapsed' or 'nuts', but is {sampler!r}.")
    if not design.terms:
        raise ModelError("No random effects terms specified in formula: stan_lmer needs one, such as (1 | group).")
    refuse_ambiguous_names(design.terms)
    seeds = np.random.SeedSequence(seed).spawn(chains + 1)
    with warnings_module.catch_warnings(record=True) as caught:
        warnings_module.simplefilter("always")
        spec = specify(
            design,
            prior=prior,
            prior_intercept=prior_intercept,
            prior_aux=prior_aux,
            prior_covariance=prior_covariance,
            prior_PD=prior_PD,
            QR=QR,
        )
        if prior_PD:
            _refuse_improper(spec)
        effects = sum(term.p * (term.J + 1) for term in spec.terms)
        refuse_too_large(
            float(chains) * (iter - warmup) * (spec.K + 2 * effects),
            f"{chains * (iter - warmup)} draws of {effects} random effects",
            "Take a smaller iter",
        )
        density: CollapsedDensity | None = None
        result: SamplerResult | None = None
        divergences = 0
        with _reporting(progress) as report, one_blas_thread():
            if sampler == "nuts":
                from pyimpl.posterior.pymc_model import sample_full

                began = time.perf_counter()
                points, divergences = sample_full(
                    spec, chains=chains, draws=iter - warmup, tune=max(warmup, 1), seed=seeds[0], progress=progress
                )
                draws = from_unconstrained(spec, points, chains, seeds[1])
            else:
                density = CollapsedDensity(spec)
                if not prior_PD:
                    density.read_rows()
                began = time.perf_counter()  # from here on nothing depends on the number of rows
                draw = sample_prior if prior_PD else sample_collapsed
                options = {} if prior_PD else {"progress": report}
                try:
                    result = draw(density, chains=chains, draws=iter - warmup, seeds=seeds, **options)
                except np.linalg.LinAlgError as error:
                    raise unexplored(density) from error
                rngs = [np.random.default_rng(child.spawn(1)[0]) for child in seeds[1:]]
                draws = complete(density, result.u, rngs, report)
            seconds = time.perf_counter() - began
    fit = StanLmerFit(
        spec,
        draws,
        sampler_result=result,
        density=density,
        seed=seed,
        seconds=seconds,
        warnings=(*design.warnings, *(str(w.message) for w in caught)),
        data_name=data_name,
        divergences=divergences,
        dialect=spoken,
    )
    for w in caught:
        warnings_module.warn(w.message, w.category, stacklevel=2)
    return fit


def _refuse_improper(spec: Specification) -> None:
    flat = []
    if spec.has_intercept and spec.intercept.dist == FLAT:
        flat.append("prior_intercept")
    if spec.K and spec.coef.dist == FLAT:
        flat.append("prior")
    if flat:
        raise ModelError(
            f"With prior_PD=True there is nothing to draw from: {' and '.join(flat)} is flat (improper). "
            "Give a proper prior, e.g. normal(0, 2.5, autoscale=True)."
        )
