"""``rstanarm``, live: ``stan_lmer`` and all that R shows of its fits."""

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from bridge.call import SIGNATURES, Contrasts, ModelArguments, ModelCall, Vector, describe, emit, explain
from bridge.errors import DataError, RError
from bridge.fit import RFit
from bridge.frames import column_names, frame_to_r, labels_to_index
from bridge.priors import (
    DEFAULT,
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
from bridge.replies import Printed, frame, labels, series, terms, varcorr
from bridge.session import Handle, Reply, default
from r_scripts.arguments import RstanarmArguments, check_r_arguments
from r_scripts.escapes import visible
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "DEFAULT", "Loo", "Prior", "PriorSummary", "StanFit", "StanSummary", "cauchy", "decov", "default_prior_coef",
    "default_prior_intercept", "exponential", "hs", "hs_plus", "laplace", "lasso", "lkj", "normal", "parse_progress",
    "product_normal", "stan_lmer", "student_t",
]  # fmt: skip

_COEFFICIENT_PRIORS = {"normal", "student_t", "cauchy", "hs", "hs_plus", "laplace", "lasso", "product_normal",
                       "default_prior_coef"}  # fmt: skip
_INTERCEPT_PRIORS = {"normal", "student_t", "cauchy", "default_prior_intercept"}
_AUX_PRIORS = {"normal", "student_t", "cauchy", "exponential"}
_COVARIANCE_PRIORS = {"decov", "lkj"}


@dataclass(frozen=True)
class StanSummary:
    """``summary(m, pars, probs, digits)``: R's text (``str()``) and its numbers (``table``)."""

    table: pd.DataFrame
    text: str

    def __str__(self) -> str:
        return visible(self.text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(self.text)


@dataclass(frozen=True)
class PriorSummary:
    """``prior_summary(m)``: R's text (``str()``) and its values."""

    values: Mapping[str, object]
    text: str

    def __str__(self) -> str:
        return visible(self.text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(self.text)


@dataclass(frozen=True)
class Loo:
    """``loo(m)``: estimates, Pareto k, and R's text."""

    estimates: pd.DataFrame
    pareto_k: pd.Series
    text: str

    def __str__(self) -> str:
        return visible(self.text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(self.text)


def _count(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or int(value) < least:
        raise DataError(f"{name}={value!r}; expected a whole number, at least {least}")
    return int(value)


def _check_prior(argument: str, prior: object, allowed: set[str], nullable: bool) -> dict[str, Any] | None:
    """Describe a prior; an empty dict stands for NULL (flat), None for R's default."""
    if prior is DEFAULT:
        return None
    if prior is None:
        if not nullable:
            raise DataError(f"{argument}=None: rstanarm has no flat prior there")
        return {}
    if not isinstance(prior, Prior):
        raise DataError(f"{argument} is a prior such as normal(0, 2.5), or None for a flat one, not {prior!r}")
    if prior.dist not in allowed:
        raise DataError(f"{argument}={prior!r}: rstanarm allows {', '.join(sorted(allowed))} there")
    return prior.described()


@SIGNATURES.leaving("formula", "data", "prior", "prior_intercept", "prior_aux", "prior_covariance", "r_arguments")
def stan_lmer(
    formula: str,
    data: pd.DataFrame,
    prior: Prior | None = DEFAULT,
    prior_intercept: Prior | None = DEFAULT,
    prior_aux: Prior | None = DEFAULT,
    prior_covariance: Prior = DEFAULT,
    prior_PD: bool = False,
    QR: bool = False,
    weights: Vector | None = None,
    offset: Vector | None = None,
    subset: Vector | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    seed: int | None = None,
    chains: int = 4,
    iter: int = 2000,  # noqa: A002 - R's name
    warmup: int | None = None,
    thin: int = 1,
    adapt_delta: float | None = None,
    max_treedepth: int | None = None,
    cores: int | None = None,
    data_name: str | None = None,
    progress: Callable[[str], object] | None = None,
    timeout: float | None = None,
    unconstrained: bool = True,
    **r_arguments: Unpack[RstanarmArguments],
) -> "StanFit":
    """Sample a Gaussian multilevel model with R's ``rstanarm::stan_lmer``.

    Parameters
    ----------
    formula, data, weights, offset, subset, na_action, contrasts, data_name, timeout
        As in :func:`bridge.lme4.lmer`.
    prior, prior_intercept, prior_aux : Prior or None
        rstanarm's priors, made with the functions of that name here; None is R's ``NULL`` (flat).
    prior_covariance : Prior
        ``decov(...)``.
    prior_PD : bool
        Draw from the prior predictive distribution.
    QR : bool
        QR decomposition of the predictors.
    seed : int, optional
        0 to 2³¹ − 1. Drawn at random where absent, and kept as ``fit.seed``.
    chains, iter, warmup, thin, adapt_delta, max_treedepth
        The sampler's; R's defaults.
    cores : int, optional
        Chains at once; by default as many as the machine has. The draws do not depend on it.
    progress : callable, optional
        Called with each line that Stan prints (``Chain 1: Iteration: 200 / 2000 [ 10%]  (Warmup)``).
    unconstrained : bool
        Whether to keep some draws on the unconstrained scale (for :meth:`StanFit.unconstrained_draws`); Stan then
        writes them to temporary files.
    **r_arguments
        Arguments of R's without a meaning from Python (``refresh=0``, ``algorithm="sampling"``): accepted; a value that
        asks for something else is refused, with why.

    Returns
    -------
    StanFit

    Raises
    ------
    FormulaError, DataError, RError, RPackageError, RNotFoundError, RTimeoutError, RCrashError
    """
    if r_arguments:
        check_r_arguments("rstanarm.stan_lmer", r_arguments, signature(stan_lmer).parameters, DataError)
    arguments = ModelArguments(weights, offset, subset, na_action, contrasts, data_name)
    call = describe(formula, data, arguments, needs_response=not prior_PD)
    chains, iterations, thin = _count("chains", chains, 1), _count("iter", iter, 2), _count("thin", thin, 1)
    warmup = None if warmup is None else _count("warmup", warmup, 0)
    if warmup is not None and warmup >= iterations:
        raise DataError(f"warmup={warmup} leaves no draws of iter={iterations}")
    if adapt_delta is not None and not 0 < float(adapt_delta) < 1:
        raise DataError(f"adapt_delta={adapt_delta!r}; expected a number between 0 and 1")
    cores = min(chains, os.cpu_count() or 1) if cores is None else _count("cores", cores, 1)
    seed = secrets.randbelow(2**31 - 1) if seed is None else _count("seed", seed, 0)
    if seed > 2**31 - 1:
        raise DataError(f"seed={seed}; R takes 0 to {2**31 - 1}")
    priors = {
        name: described
        for name, described in (
            ("prior", _check_prior("prior", prior, _COEFFICIENT_PRIORS, True)),
            ("prior_intercept", _check_prior("prior_intercept", prior_intercept, _INTERCEPT_PRIORS, True)),
            ("prior_aux", _check_prior("prior_aux", prior_aux, _AUX_PRIORS, True)),
            ("prior_covariance", _check_prior("prior_covariance", prior_covariance, _COVARIANCE_PRIORS, False)),
        )
        if described is not None
    }
    options: dict[str, Any] = {"seed": seed, "chains": chains, "iter": iterations, "cores": cores}
    if warmup is not None:
        options["warmup"] = warmup
    if thin != 1:
        options["thin"] = thin
    if prior_PD:
        options["prior_PD"] = True
    if QR:
        options["QR"] = True
    if adapt_delta is not None:
        options["adapt_delta"] = float(adapt_delta)
    described = dict(
        call.described,
        priors=priors,
        options=options,
        unconstrained=bool(unconstrained),
        control={} if max_treedepth is None else {"max_treedepth": _count("max_treedepth", max_treedepth, 1)},
        refresh=0 if progress is None else max(iterations // 10, 1),
    )
    session = default()
    try:
        reply = session.call(
            "rstanarm_stan_lmer", described=described, timeout=timeout, progress=progress, follow=progress is not None
        )
    except RError as error:
        raise explain(error, call, data) from error.__cause__
    emit(reply)
    return StanFit(reply, session.keep(reply.value["handle"]), call, seed)


@SIGNATURES.verbs
class StanFit(RFit):
    """A fit of ``rstanarm::stan_lmer``; meets ``validation.contract.BayesianFit``.

    The draws as well were read when the model was sampled.
    """

    def __init__(self, reply: Reply, handle: Handle, call: ModelCall, seed: int) -> None:
        super().__init__(reply, handle, call.index)
        self._parsed = call.formula
        self.seed = seed

    @property
    def elapsed(self) -> pd.DataFrame:
        """``rstan::get_elapsed_time``: seconds of each chain, ``warmup`` and ``sample``."""
        values = np.array(self._x["elapsed"])
        return pd.DataFrame(values, columns=["warmup", "sample"], index=pd.RangeIndex(len(values), name="chain"))

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all chains together, warm-up and sampling (Stan's own clock)."""
        return float(self._x["elapsed"].sum())

    @property
    def control(self) -> dict[str, object]:
        """The sampler's settings and the packages' versions."""
        return {"seed": self.seed, **self._x["control"]}

    # -- estimates ---------------------------------------------------------------------------------------------

    def se(self) -> pd.Series:
        """``se(m)``: MAD_SD of each coefficient and of each random effect."""
        return series(self._x["se"])

    def coef(self) -> dict[str, pd.DataFrame]:
        """``coef(m)``."""
        return {group: frame(matrix) for group, matrix in self._x["coef"].items()}

    def VarCorr(self) -> pd.DataFrame:
        """``as.data.frame(VarCorr(m))``: posterior means of Sigma, and their roots and correlations."""
        return varcorr(self._x["VarCorr"])

    def fitted(self) -> pd.Series:
        """``fitted(m)``, with the data's index."""
        return pd.Series(np.array(self._x["fitted"]), index=self.data_index)

    @property
    def cnms(self) -> dict[str, list[str]]:
        """Term → effects, in R's order."""
        return terms(self._x["cnms"])

    # -- draws -------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> tuple[str, ...]:
        """All columns of ``as.matrix(m$stanfit)``, in R's order."""
        return tuple(self._x["parameters"])

    @property
    def posterior(self) -> "xr.DataTree":
        """The draws as an ArviZ DataTree; see ``validation.contract.BayesianFit.posterior``."""
        if "posterior" not in self._cache:
            self._cache["posterior"] = self._tree()
        return self._cache["posterior"].copy(deep=True)

    def _tree(self) -> "xr.DataTree":
        import xarray as xr

        draws = self._x["draws"]  # iteration, chain, parameter
        names = list(self.parameters)
        coords = {"chain": np.arange(draws.shape[1]), "draw": np.arange(draws.shape[0])}
        random = [i for i, name in enumerate(names) if name.startswith("b[")]
        variables: dict[str, Any] = {
            name: (("chain", "draw"), draws[:, :, i].T.copy()) for i, name in enumerate(names) if i not in set(random)
        }
        if random:
            variables["b"] = (("chain", "draw", "b_label"), np.moveaxis(draws[:, :, random], 0, 1).copy())
        posterior = xr.Dataset(
            variables, coords={**coords, **({"b_label": [names[i] for i in random]} if random else {})}
        )
        posterior.attrs.update(inference_library="rstanarm", seed=self.seed)
        stats = self._x["sampler"]  # iteration, quantity, chain
        renamed = {
            "accept_stat__": "acceptance_rate", "stepsize__": "step_size", "treedepth__": "tree_depth",
            "n_leapfrog__": "n_steps", "divergent__": "diverging", "energy__": "energy",
        }  # fmt: skip
        sampled: dict[str, Any] = {}
        for i, name in enumerate(self._x["sampler_names"]):
            values: np.ndarray = stats[:, i, :].T.copy()
            if name == "divergent__":
                values = values.astype(bool)
            elif name in ("treedepth__", "n_leapfrog__"):
                values = values.astype(np.int64)
            sampled[renamed.get(name, name)] = (("chain", "draw"), values)
        if "log-posterior" in names:
            sampled["lp"] = (("chain", "draw"), draws[:, :, names.index("log-posterior")].T.copy())
        groups = {"posterior": posterior, "sample_stats": xr.Dataset(sampled, coords=coords)}
        if len(self._x["y"]):
            response = self.formula.split("~")[0].strip()
            groups["observed_data"] = xr.Dataset(
                {response: (("obs_id",), np.array(self._x["y"]))}, coords={"obs_id": np.arange(len(self._x["y"]))}
            )
        return xr.DataTree.from_dict(groups)

    def _flat(self) -> np.ndarray:
        draws = self._x["draws"]
        return draws.transpose(1, 0, 2).reshape(-1, draws.shape[2])

    def stanfit_matrix(self) -> pd.DataFrame:
        """``as.matrix(m$stanfit)``: every column, the ``_NEW_`` levels, ``mean_PPD`` and ``log-posterior`` included."""
        return pd.DataFrame(self._flat().copy(), columns=labels(self.parameters))

    def as_matrix(
        self, pars: Sequence[str] | str | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """``as.matrix(m, pars, regex_pars)``: draws (chain after chain) × R's columns.

        As in R, without arguments the ``_NEW_`` levels, ``mean_PPD`` and ``log-posterior`` are left out (they are in
        :meth:`stanfit_matrix`); the last two can be named in ``pars``.
        """
        if pars is None and regex_pars is None:
            columns = list(self._x["default_columns"])
        else:
            columns = self._ask("stan_columns", pars=_strings(pars), regex_pars=_strings(regex_pars))
        where = [self.parameters.index(name) for name in columns]
        return pd.DataFrame(self._flat()[:, where], columns=labels(columns))

    def posterior_interval(
        self,
        prob: float = 0.9,
        pars: Sequence[str] | str | None = None,
        regex_pars: Sequence[str] | str | None = None,
    ) -> pd.DataFrame:
        """``posterior_interval(m, prob, pars, regex_pars)``."""
        return frame(self._ask("stan_interval", prob=float(prob), pars=_strings(pars), regex_pars=_strings(regex_pars)))

    def diagnostics(self) -> pd.DataFrame:
        """``Rhat`` and ``n_eff`` of every parameter, as rstan computes them."""
        return pd.DataFrame(
            {"Rhat": np.array(self._x["Rhat"]), "n_eff": np.array(self._x["n_eff"])}, index=labels(self.parameters)
        )

    # -- text --------------------------------------------------------------------------------------------------

    def print(self, digits: int = 1, detail: bool = True) -> Printed:
        """``print(m, digits, detail)``."""
        return Printed(self._ask("stan_print", digits=float(digits), detail=bool(detail)))

    def summary(
        self,
        pars: Sequence[str] | str | None = None,
        regex_pars: Sequence[str] | str | None = None,
        probs: Sequence[float] = (0.1, 0.5, 0.9),
        digits: int = 1,
    ) -> StanSummary:
        """``summary(m, pars, regex_pars, probs, digits)``; ``str()`` of it is R's print."""
        answer = self._ask(
            "stan_summary", pars=_strings(pars), regex_pars=_strings(regex_pars),
            probs=np.asarray(probs, dtype=np.float64), digits=float(digits),
        )  # fmt: skip
        return StanSummary(frame(answer["table"]), answer["text"])

    def prior_summary(self, digits: int = 2, model_name: str = "fit") -> PriorSummary:
        """``prior_summary(m, digits)``; R prints the name of the variable that holds the model, ``model_name`` here."""
        answer = self._ask("stan_prior_summary", digits=float(digits), name=str(model_name))
        return PriorSummary(answer["values"], answer["text"])

    # -- the density -------------------------------------------------------------------------------------------

    @property
    def num_upars(self) -> int:
        """``rstan::get_num_upars``."""
        return int(self._x["num_upars"])

    def _points(self, upars: np.ndarray) -> np.ndarray:
        points = np.asarray(upars, dtype=np.float64)
        if points.ndim not in (1, 2) or points.shape[-1] != self.num_upars:
            raise DataError(
                f"upars has shape {points.shape}; expected ({self.num_upars},) or (points, {self.num_upars})"
            )
        return points

    def log_prob(self, upars: np.ndarray) -> float | np.ndarray:
        """``rstan::log_prob(adjust_transform = TRUE)`` at unconstrained points.

        Parameters
        ----------
        upars : ndarray, shape (num_upars,) or (points, num_upars)

        Returns
        -------
        float, or ndarray of shape (points,)
        """
        points = self._points(upars)
        result = self._handle.session.call("stan_log_prob", fit=self._handle, upars=np.atleast_2d(points)).value
        return float(result[0]) if points.ndim == 1 else np.asarray(result)

    def grad_log_prob(self, upars: np.ndarray) -> np.ndarray:
        """``rstan::grad_log_prob``: gradient, of the shape of ``upars``."""
        points = self._points(upars)
        result = self._handle.session.call("stan_grad_log_prob", fit=self._handle, upars=np.atleast_2d(points)).value
        return np.asarray(result).reshape(points.shape)

    def _unconstrained(self) -> dict[str, Any]:
        kept = self._ask("stan_unconstrained")
        if kept is None:
            raise DataError("no unconstrained draws were kept; fit with unconstrained=True")
        return kept

    @property
    def upar_names(self) -> tuple[str, ...]:
        """Stan's names of the unconstrained parameters: ``gamma.1``, ``z_b.1``, ..., ``aux_unscaled``."""
        return tuple(self._unconstrained()["names"])

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        """``n`` posterior draws on the unconstrained scale, shape ``(n, num_upars)``.

        As Stan wrote them while sampling (six significant digits): places at which to compare densities. At most 100
        of each chain are kept.

        Parameters
        ----------
        n : int
        seed : int
        """
        kept = self._unconstrained()["values"]
        if n > len(kept):
            raise DataError(f"{n} unconstrained draws asked for, {len(kept)} kept")
        chosen = np.random.default_rng(seed).choice(len(kept), size=n, replace=False)
        return np.array(kept[chosen])

    # -- prediction --------------------------------------------------------------------------------------------

    def _draw_rows(
        self, what: str, newdata: pd.DataFrame | None, draws: int | None, seed: int | None, re_form: str | None
    ) -> pd.DataFrame:
        if re_form not in (None, "NA", "~0"):
            raise DataError(f're_form={re_form!r}; it is None (all random effects) or "NA" (none)')
        session = self._handle.session
        sent = None
        if newdata is not None:
            names = column_names(newdata)
            absent = [n for n in self._parsed.names if n not in names and n != self._parsed.response]
            if absent:
                raise DataError(f"newdata lacks {', '.join(map(repr, absent))}. Columns: {', '.join(names[:30])}")
            sent = frame_to_r(newdata, None if self._parsed.dot else self._parsed.names)
        reply = session.call(
            "stan_rows", fit=self._handle, what=what, newdata=sent, seed=self.seed if seed is None else seed,
            draws=draws, re_form_na=re_form is not None,
        )  # fmt: skip
        emit(reply)
        index = self._index if newdata is None else newdata.index
        rows = np.asarray(reply.value["rows"])
        used = labels_to_index(rows, index) if len(rows) else self.data_index
        return pd.DataFrame(np.array(reply.value["values"]), columns=used)

    def posterior_predict(
        self, newdata: pd.DataFrame | None = None, draws: int | None = None, seed: int | None = None,
        re_form: str | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """``posterior_predict(m, newdata, draws, re.form, seed)``: draws × rows."""
        return self._draw_rows("posterior_predict", newdata, draws, seed, re_form)

    def posterior_epred(self, newdata: pd.DataFrame | None = None, re_form: str | None = None) -> pd.DataFrame:
        """``posterior_epred(m, newdata, re.form)``: draws × rows."""
        return self._draw_rows("posterior_epred", newdata, None, None, re_form)

    def posterior_linpred(self, newdata: pd.DataFrame | None = None, re_form: str | None = None) -> pd.DataFrame:
        """``posterior_linpred(m, newdata, re.form)``: draws × rows."""
        return self._draw_rows("posterior_linpred", newdata, None, None, re_form)

    def log_lik(self) -> pd.DataFrame:
        """``log_lik(m)``: draws × rows used."""
        return pd.DataFrame(np.array(self._ask("stan_log_lik")), columns=self.data_index)

    def bayes_R2(self) -> pd.Series:
        """``bayes_R2(m)``: one value for each draw."""
        return pd.Series(np.array(self._ask("stan_bayes_R2")))

    def loo(self) -> Loo:
        """``loo(m)``."""
        answer = self._ask("stan_loo")
        return Loo(frame(answer["estimates"]), pd.Series(answer["pareto_k"], index=self.data_index), answer["text"])


_PROGRESS = re.compile(r"Chain (\d+): *Iteration: *(\d+) / (\d+) .*\((Warmup|Sampling)\)")


def parse_progress(line: str) -> tuple[int, int, int, str] | None:
    """Read a line of Stan's progress.

    Parameters
    ----------
    line : str
        As the argument ``progress`` of :func:`stan_lmer` gets it.

    Returns
    -------
    tuple or None
        Chain (from 1), iteration, iterations in all, ``"Warmup"`` or ``"Sampling"``; None for any other line.
    """
    match = _PROGRESS.search(line)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]), match[4])


def _strings(value: Sequence[str] | str | None) -> list[str] | None:
    if value is None:
        return None
    values = [value] if isinstance(value, str) else list(value)
    if not values or not all(isinstance(item, str) for item in values):
        raise DataError(f"expected parameter names, not {value!r}")
    return values
