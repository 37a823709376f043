"""Draws, estimates and summaries of the fit that ``stan_lmer`` returns (a base class of ``StanLmerFit``)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Digits, Probs, Seed, Share, generator
from pyimpl.design.accessors import ModelAccessors
from pyimpl.design.design import Design
from pyimpl.errors import ModelError
from pyimpl.inference.source import Source
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.diagnostics import ess_bulk, ess_tail, rhat_rank, stan_ess, stan_rhat
from pyimpl.posterior.draws import PosteriorDraws
from pyimpl.posterior.full import FullDensity
from pyimpl.posterior.labels import b_labels, is_new_level, term_labels
from pyimpl.posterior.predictions import interval
from pyimpl.posterior.sampler import SamplerResult
from pyimpl.posterior.specification import Specification
from pyimpl.posterior.text import PrintedText, print_text, prior_text, summary_text
from pyimpl.printing import VarCorrTable
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

    from pyimpl.posterior.quadrature import QuadratureArguments, QuadratureResult

__all__ = ["Diagnostics", "StanEstimates", "StanLmerSummary", "percent"]

_MAD = 1.4826


def _mad(values: np.ndarray) -> np.ndarray:
    """``mad()`` of each column."""
    return _MAD * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


def percent(q: float) -> str:
    """A quantile's name as R writes it: ``2.5%``."""
    return f"{100 * q:.7g}%"


class Diagnostics(TypedDict):
    """How the sampling went; see :attr:`StanEstimates.diagnostics`."""

    method: str
    khat: float
    acceptance: float
    thin: int
    evaluations: int
    divergences: int
    min_ess_bulk: float
    min_ess_tail: float
    max_rhat: float
    seconds: float


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


@dataclass(frozen=True, eq=False)
class SamplingRecord:
    """How draws came about.

    Attributes
    ----------
    result : SamplerResult or None
        Of the collapsed sampler.
    density : CollapsedDensity or None
        What it sampled.
    seed : int or None
    seconds : float
        From the reduced data to the last draw.
    divergences : int
        Of NUTS on the full model.
    """

    result: SamplerResult | None = None
    density: CollapsedDensity | None = None
    seed: int | None = None
    seconds: float = 0.0
    divergences: int = 0


@SIGNATURES.verbs
class StanEstimates(ModelAccessors):
    """A posterior of a Gaussian multilevel model: its draws and what they say of the parameters.

    Attributes
    ----------
    design : Design
    spec : Specification
        The model as numbers: centred predictors, resolved priors.
    draws : PosteriorDraws
    sampling : SamplingRecord
        How the draws came about.
    dialect : Dialect
        The versions of R, lme4, rstanarm and loo whose texts and numbers the verbs give.
    source : Source or None
        The data and the arguments of the call; None for a fit of a design.
    """

    def __init__(
        self,
        spec: Specification,
        draws: PosteriorDraws,
        sampling: SamplingRecord,
        *,
        warnings: tuple[str, ...] = (),
        data_name: str | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        self.spec = spec
        self.design: Design = spec.design
        self.draws = draws
        self.sampling = sampling
        self.data_name = data_name
        self.dialect = Dialect.of(dialect)
        self._density = sampling.density
        self._warnings = warnings
        self.source: Source | None = None

    # ------------------------------------------------------------------ what it is
    @property
    def sampler_result(self) -> SamplerResult | None:
        """How the collapsed sampler went (None after ``sampler="nuts"``)."""
        return self.sampling.result

    @property
    def seed(self) -> int | None:
        """As given."""
        return self.sampling.seed

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
        return None if self.source is None else self.source.frame

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
    def diagnostics(self) -> Diagnostics:
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
            "divergences": r.divergences if r else self.sampling.divergences,
            "min_ess_bulk": float(np.min(ess_bulk(x))),
            "min_ess_tail": float(np.min(ess_tail(x))),
            "max_rhat": float(np.max(rhat_rank(x))),
            "seconds": self.sampling.seconds,
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
            try:
                matches = [name for e in expressions for name in self.draws.labels if re.search(e, name)]
            except re.error as error:
                raise ModelError(f"regex_pars: {error.pattern!r} is no regular expression: {error}") from None
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

    def VarCorr(self) -> VarCorrTable:
        """``as.data.frame(VarCorr(m))``: posterior means of the covariances, their roots and correlations.

        As in rstanarm: ``sdcor`` of a variance is the root of its mean, of a covariance the correlation of the mean
        matrix; ``Residual`` is the mean of sigma and its square.
        """
        mean, at = self.draws.Sigma.mean(axis=0), 0
        covariances = []
        for term in self.design.terms:
            S = np.zeros((term.p, term.p))
            column, row = np.triu_indices(term.p)
            S[row, column] = S[column, row] = mean[at : at + column.size]
            at += column.size
            covariances.append(S)
        effects = [term.effects for term in self.design.terms]
        labels = term_labels(self.design.terms)
        return VarCorrTable.of(labels, effects, covariances, float(self.draws.sigma.mean()), self.dialect)

    def posterior_interval(
        self, prob: Share = 0.9, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """Central posterior intervals: index parameter; columns ``5%`` and ``95%`` (for ``prob=0.9``)."""
        matrix = self.as_matrix(pars, regex_pars)
        values, probs = interval(matrix.to_numpy(), prob)
        return pd.DataFrame(values, index=list(matrix.columns), columns=[percent(q) for q in probs])

    # ------------------------------------------------------------------ printed output
    def summary(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        probs: Probs = (0.1, 0.5, 0.9),
        digits: Digits = 1,
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
            unknown = [par for par in wanted if par not in special and par not in names]
            if unknown or not wanted:
                what = f"no parameter {unknown[0]!r}" if unknown else "no parameter in an empty pars"
                raise ModelError(f"summary: there is {what}. The fit has: {', '.join(names[:8])}, ...")
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
        pieces |= {percent(q): row for q, row in zip(probs, quantiles, strict=True)}
        pieces |= {"n_eff": np.round(n_eff), "Rhat": stan_rhat(x)}
        return pd.DataFrame(pieces, index=[self.draws.labels[k] for k in columns])

    def print(self, digits: Digits = 1, detail: bool = True) -> PrintedText:
        """``print(m, digits, detail)``: medians and MAD_SDs."""
        coefficients = pd.DataFrame({"Median": self.fixef(), "MAD_SD": _mad(self.draws.coef)})
        sigma = self.draws.sigma[:, None]
        auxiliary = pd.DataFrame({"Median": np.median(sigma, axis=0), "MAD_SD": _mad(sigma)}, index=["sigma"])
        return PrintedText(
            print_text(
                (coefficients, auxiliary, self.VarCorr()),
                formula=self.formula,
                nobs=self.nobs(),
                ngrps=self._levels,
                digits=digits,
                detail=detail,
                dialect=self.dialect,
            )
        )

    def __str__(self) -> str:
        return str(self.print())

    __repr__ = __str__

    def prior_summary(self, digits: Digits = 2, model_name: str = "m") -> PrintedText:
        """``prior_summary(m, digits)``; R prints the name of the variable, here ``model_name``."""
        return PrintedText(prior_text(self.spec, digits=digits, model_name=model_name))

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

    def unconstrained_draws(self, n: Count, seed: Seed) -> np.ndarray:
        """``n`` of the posterior draws on the unconstrained scale, chosen at random, shape (n, num_upars)."""
        rng = generator(seed)
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

    def quadrature(self, **options: "Unpack[QuadratureArguments]") -> "QuadratureResult":
        """Posterior means, sds, quantiles and log evidence by quadrature: no Monte Carlo error.

        See :func:`pyimpl.posterior.quadrature.integrate` for the options.
        """
        from pyimpl.posterior.quadrature import integrate

        return integrate(self.collapsed, **options)

    def log_evidence(self, **options: "Unpack[QuadratureArguments]") -> float:
        """Log marginal likelihood, by quadrature."""
        return self.quadrature(**options).log_evidence
