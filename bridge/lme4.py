"""``lme4``, live: ``lmer`` and all that R shows of its fits."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bridge.call import SIGNATURES, Contrasts, ModelArguments, ModelCall, Vector, as_numbers, describe, emit, explain
from bridge.errors import DataError, RError, RWarning
from bridge.fit import RFit
from bridge.formula import parse, r_symbol
from bridge.frames import frame_to_r, labels_to_index
from bridge.replies import Printed, factors, frame, labels, series, sparse, table, terms, varcorr
from bridge.session import Handle, Reply, default
from r_scripts.caller import warn
from r_scripts.dialect import CHANGES
from r_scripts.variances import Block, ConditionalVariances

__all__ = ["LFormula", "LmerFit", "lFormula", "lmer", "lmerControl"]

#: What an argument of ``lmerControl`` may be: plain, or a mapping of plain values (``optCtrl``).
ControlValue = bool | int | float | str | Mapping[str, bool | int | float | str]

#: ``"tight"``, or what :func:`lmerControl` returns.
Control = str | Mapping[str, ControlValue]

#: Arguments of ``lme4::lmerControl``, R's dots written as ``_``.
_CONTROL = {
    name.replace(".", "_"): name
    for name in (
        "optimizer", "restart_edge", "boundary.tol", "calc.derivs", "use.last.params", "sparseX", "standardize.X",
        "check.nobs.vs.rankZ", "check.nobs.vs.nlev", "check.nlev.gtreq.5", "check.nlev.gtr.1", "check.nobs.vs.nRE",
        "check.rankX", "check.scaleX", "check.formula.LHS", "optCtrl",
    )
}  # fmt: skip


def lmerControl(**options: ControlValue | None) -> dict[str, ControlValue]:
    """Describe ``lme4::lmerControl(...)``.

    Parameters
    ----------
    **options
        R's arguments with ``_`` for dots (``calc_derivs=False``, ``optimizer="bobyqa"``,
        ``optCtrl={"maxfun": 100000}``, ``check_rankX="ignore"``).

    Returns
    -------
    dict
        For the argument ``control`` of :func:`lmer`.

    Raises
    ------
    DataError
        An argument that ``lmerControl`` does not have, or a value that is not plain.
    """
    described: dict[str, ControlValue] = {}
    for name, value in options.items():
        if name not in _CONTROL:
            raise DataError(f"lmerControl has no argument {name!r}; it has {', '.join(sorted(_CONTROL))}")
        if isinstance(value, Mapping):
            value = dict(value)
            bad = {k: v for k, v in value.items() if not isinstance(v, (bool, int, float, str))}
        else:
            bad = {} if value is None or isinstance(value, (bool, int, float, str)) else {name: value}
        if bad:
            raise DataError(f"lmerControl: {bad} is not a number, string or truth value")
        if value is not None:
            described[_CONTROL[name]] = value
    return described


#: ``control="tight"``: bobyqa with a trust region that shrinks to rounding; restarted by ``lme4_lmer`` of
#: ``r_scripts/lme4.R`` from its own optimum while that gains anything. Measured (lme4 1.1-31; ML and REML of M1-M3,
#: sleepstudy with | and ||, Penicillin, Pastes, Dyestuff2): the objective within 8e-12 of the lowest that any of eleven
#: optimizer settings found (rounding: an objective of 14 000 has a spacing of 2e-12), θ repeatable to 2e-7, where
#: default lme4 leaves up to 3e-8 in the objective and 1e-4 in θ. A derivative-free optimizer carries no more: the
#: objective is flat to rounding there. Derivatives are not computed: they would change nothing but the time taken.
TIGHT: dict[str, ControlValue] = lmerControl(
    optimizer="bobyqa", calc_derivs=False, optCtrl={"rhobeg": 0.2, "rhoend": 1e-11, "maxfun": 1_000_000}
)


def _describe_lmer(
    formula: str,
    data: pd.DataFrame,
    REML: bool,
    control: Control | None,
    start: Sequence[float] | np.ndarray | pd.Series | None,
    **options: Any,
) -> ModelCall:
    call = describe(formula, data, ModelArguments(**options))
    if not isinstance(REML, (bool, np.bool_)):
        raise DataError(f"REML is True or False, not {REML!r}")
    call.described["REML"] = bool(REML)
    if isinstance(control, str):
        if control != "tight":
            raise DataError(f'control={control!r}; it is None, "tight" or lmerControl(...)')
        control = TIGHT
        call.described["restart"] = True
    if control is not None:
        unknown = set(control) - set(_CONTROL.values())
        if unknown:
            raise DataError(f"control is what lmerControl(...) returns; {', '.join(sorted(unknown))} is not in it")
        call.described["control"] = dict(control)
    if start is not None:
        call.described["start"] = np.asarray(start, dtype=np.float64)
    return call


@SIGNATURES.leaving("formula", "data")
def lmer(
    formula: str,
    data: pd.DataFrame,
    REML: bool = True,
    control: Control | None = None,
    start: Sequence[float] | np.ndarray | pd.Series | None = None,
    weights: Vector | None = None,
    offset: Vector | None = None,
    subset: Vector | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    data_name: str | None = None,
    timeout: float | None = None,
) -> "LmerFit":
    """Fit a linear mixed model with R's ``lme4::lmer``.

    Parameters
    ----------
    formula : str
        R's formula, e.g. ``"course ~ 1 + female + (1 + female | school)"``.
    data : pandas.DataFrame
        Only the columns that the formula names are sent to R.
    REML : bool
        Restricted maximum likelihood (R's default), or maximum likelihood.
    control : "tight" or what :func:`lmerControl` returns, optional
        ``"tight"`` runs bobyqa with its stopping tolerances near machine precision.
    start : array-like, optional
        Starting value of θ.
    weights, offset : str, array-like or Series, optional
        A column's name, or one number for each row.
    subset : str, array-like or Series of bool or int, optional
        The rows to use: the name of a column of truth values, a condition (``"x > 0"``), truth values, or numbers of
        rows as R counts them, from 1.
    na_action : str
        ``"na.omit"``, ``"na.exclude"``, ``"na.fail"`` or ``"na.pass"``.
    contrasts : mapping, optional
        Column → ``"contr.sum"`` (and R's others) or a matrix.
    data_name : str, optional
        What R prints as ``Data:``; by default ``data.attrs["name"]``, or ``data``.
    timeout : float, optional
        Seconds.

    Returns
    -------
    LmerFit

    Raises
    ------
    FormulaError, DataError, RError, RPackageError, RNotFoundError, RTimeoutError, RCrashError
    """
    call = _describe_lmer(
        formula, data, REML, control, start, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, data_name=data_name,
    )  # fmt: skip
    session = default()
    try:
        reply = session.call("lme4_lmer", described=call.described, timeout=timeout)
    except RError as error:
        raise explain(error, call, data) from error.__cause__
    emit(reply)
    return LmerFit(reply, session.keep(reply.value["handle"]), call.index)


@SIGNATURES.verbs
class LmerFit(RFit):
    """A fit of ``lme4::lmer``; meets ``validation.contract.LinearMixedFit``."""

    def __init__(self, reply: Reply, handle: Handle, index: pd.Index) -> None:
        super().__init__(reply, handle, index)
        self._devfun: Handle | None = None

    # -- estimates ---------------------------------------------------------------------------------------------

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``."""
        return frame(self._x["coef_table"])

    def VarCorr(self) -> pd.DataFrame:
        """``as.data.frame(VarCorr(m))``."""
        return varcorr(self._x["VarCorr"])

    def getReCovs(self) -> pd.DataFrame:
        """Covariance structure of each random-effects term: ``getReCovs(m)``, there since lme4 2.0.

        Returns
        -------
        DataFrame
            Term, as ``getME("cnms")`` names it, x ``structure`` (``us``, ``diag``, ``cs``, ``ar1``; before lme4 2.0
            all are ``us``), ``hom`` (whether all its effects have one standard deviation) and ``nc`` (its effects).
        """
        x = self._x["reCovs"]
        columns = {"structure": list(x["structure"]), "hom": np.array(x["hom"], bool), "nc": np.array(x["nc"], int)}
        return pd.DataFrame(columns, index=[str(name) for name in x["term"]])

    def ranef_condVar(self) -> ConditionalVariances:
        """``attr(ranef(m, condVar = TRUE)[[g]], "postVar")`` as (level, effect, effect2)."""
        described = self._ask("lme4_condVar")
        return ConditionalVariances(
            {group: Block(item["values"], item["levels"], item["effects"]) for group, item in described.items()}
        )

    def coef(self) -> dict[str, pd.DataFrame]:
        """``coef(m)``: grouping factor → level × coefficient."""
        return {group: frame(matrix) for group, matrix in self._ask("lme4_coef").items()}

    # -- the objective -----------------------------------------------------------------------------------------

    def logLik(self) -> float:
        """``logLik(m)``."""
        return float(self._x["logLik"])

    @property
    def npar(self) -> int:
        """``attr(logLik(m), "df")``."""
        return int(self._x["npar"])

    def deviance(self) -> float:
        """``deviance(m)``: for a REML fit the REML criterion, with R's warning."""
        if not self.isREML():
            return float(self._x["criterion"])
        reply = self._handle.session.call("lme4_deviance", fit=self._handle)
        emit(reply)
        return float(reply.value)

    def REMLcrit(self) -> float:
        """``REMLcrit(m)``; R refuses where the fit is not REML."""
        if self.isREML():
            return float(self._x["criterion"])
        return float(self._ask("lme4_REMLcrit"))

    def AIC(self) -> float:
        """``AIC(m)``."""
        return float(self._x["AIC"])

    def BIC(self) -> float:
        """``BIC(m)``."""
        return float(self._x["BIC"])

    def df_residual(self) -> int:
        """``df.residual(m)``."""
        return int(self._x["df_residual"])

    def isREML(self) -> bool:
        """``isREML(m)``."""
        return bool(self._x["isREML"])

    def isSingular(self, tol: float = 1e-4) -> bool:
        """``isSingular(m, tol)``."""
        if tol == 1e-4:
            return bool(self._x["isSingular"])
        return bool(self._ask("lme4_isSingular", tol=float(tol)))

    #: Whether :meth:`devfun` takes several θ at once.
    devfun_takes_rows: ClassVar[bool] = True

    def devfun(self, theta: Sequence[float] | np.ndarray | pd.Series) -> Any:
        """Lme4's deviance function (ML deviance or REML criterion) at any θ; does not disturb the fit.

        Parameters
        ----------
        theta : array-like, shape (k,) or (points, k)
            ``getME("theta")``; of a model with ``cs()`` or ``ar1()``, ``getME("par")``, from which its θ follows.

        Returns
        -------
        float, or ndarray of shape (points,)

        Raises
        ------
        DataError
            Another number of parameters, or values that are not finite.
        """
        values = np.asarray(theta, dtype=np.float64)
        length = len(self._x["theta"]["values"])
        if values.ndim not in (1, 2) or not 0 < values.shape[-1] <= length:
            raise DataError(f"theta has shape {values.shape}; this model's theta has {length} elements")
        if not np.isfinite(values).all():
            raise DataError("theta holds values that are not finite")
        if self._devfun is None or not self._devfun.alive:
            session = self._handle.session
            self._devfun = session.keep(session.call("lme4_devfun", fit=self._handle).value)
        result = self._devfun.session.call(
            "lme4_objective", fit=self._handle, devfun=self._devfun, theta=np.atleast_2d(values)
        ).value
        return float(result[0]) if values.ndim == 1 else np.asarray(result)

    @property
    def optinfo(self) -> dict[str, object]:
        """How the optimizer ended (``m@optinfo``).

        ``optimizer``, ``feval``, ``conv`` (its return code), ``message``, ``lme4_codes`` and ``lme4_messages``
        (``checkConv``), ``warnings``, ``gradient`` and ``Hessian`` at the optimum (None where not computed), ``theta``.
        """
        return dict(self._x["optinfo"])

    # -- rows --------------------------------------------------------------------------------------------------

    def _rows(self, described: Mapping[str, Any]) -> pd.Series:
        index = labels_to_index(described["positions"], self._index)
        return pd.Series(np.array(described["values"], dtype=np.float64), index=index)

    def fitted(self) -> pd.Series:
        """``fitted(m)``, with the data's index."""
        return self._rows(self._x["fitted"])

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """``residuals(m, type, scaled)``, with the data's index."""
        if type == "response" and not scaled:
            return self._rows(self._x["residuals"])
        return self._rows(self._ask("lme4_residuals", type=type, scaled=bool(scaled)))

    # -- pieces ------------------------------------------------------------------------------------------------

    def getME(self, name: str) -> Any:
        """``getME(m, name)``; see ``validation.contract`` for the shapes. ``"weights"`` are R's ``weights(m)``.

        Raises
        ------
        RError
            R knows no such piece.
        """
        if name == "theta":
            return series(self._x["theta"])
        if name == "lower":
            return series(self._x["lower"])
        if name == "par" and self._x.get("par") is not None:  # of one parameter, too, with its name
            return series(self._x["par"])
        if name in ("beta", "fixef"):
            return self.fixef()
        if name == "cnms":
            return terms(self._x["cnms"])
        described = self._ask("lme4_getME", name=name)
        index = self.data_index
        if name == "flist":
            return factors(described, index)
        return self._piece(described, name, index)

    def _piece(self, described: Mapping[str, Any], name: str, index: pd.Index) -> Any:
        kind, value = described["kind"], described["value"]
        if kind == "sparse":
            return sparse(value)
        if kind == "matrix":
            if name == "X":
                return frame(value, index)
            array = np.array(value["values"])
            return array.ravel() if name in ("u", "b") else array
        if kind == "vector":
            numbers = np.array(value["values"], dtype=np.float64)
            if name in ("y", "mu"):
                return pd.Series(numbers, index=index)
            if numbers.size == 1 and name not in ("u", "b"):
                return float(numbers[0])
            return series(value) if value["names"] and name not in ("u", "b", "offset") else numbers
        if kind == "list":
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return {key: self._piece(item, name, index) for key, item in items}
        return value

    # -- other fits --------------------------------------------------------------------------------------------

    def _again(self, function: str, **args: Any) -> "LmerFit":
        session = self._handle.session
        reply = session.call(function, fit=self._handle, **args)
        emit(reply)
        return LmerFit(reply, session.keep(reply.value["handle"]), self._index)

    def refit(
        self,
        y: Sequence[float] | np.ndarray | pd.Series,
        newweights: Sequence[float] | np.ndarray | pd.Series | None = None,
    ) -> "LmerFit":
        """``refit(m, y, newweights)``: the same model for another response.

        Parameters
        ----------
        y : array-like
            One number for each row used, or for each row of the data.
        newweights : array-like, optional
            Other prior weights, likewise.

        Raises
        ------
        DataError
            Another number of values; `newweights` where R's lme4 is older than 1.1-34, which has no such argument.
        """
        weights = None if newweights is None else self._values_of_rows("newweights", newweights)
        return self._again(
            "lme4_refit", y=self._values_of_rows("y", y), newweights=weights, since=CHANGES["refit_newweights"].since
        )

    def _values_of_rows(self, what: str, values: Sequence[float] | np.ndarray | pd.Series) -> np.ndarray:
        """A number for each row used, of as many or of one for each row of the data."""
        numbers = as_numbers(values, what)
        if numbers.shape == (len(self._index),):
            numbers = numbers[np.asarray(self._x["positions"]) - 1]
        if numbers.shape != (self.nobs(),):
            raise DataError(
                f"{what} has shape {numbers.shape}; the model uses {self.nobs()} of {len(self._index)} rows"
            )
        return numbers

    def refit_each(self, responses: pd.DataFrame | np.ndarray) -> tuple[np.ndarray, float]:
        """Refit to one response after the other, in a loop within R.

        Parameters
        ----------
        responses : DataFrame or array, shape (rows used, k)

        Returns
        -------
        criteria : ndarray, shape (k,)
            -2 log-likelihood (REML: of the restricted likelihood) of each refit.
        seconds : float
            What the loop took, measured in R.

        Raises
        ------
        DataError
            Another number of rows than the model uses.
        """
        values = as_numbers(responses, "responses")
        if values.ndim != 2 or len(values) != self.nobs():
            raise DataError(
                f"responses have shape {values.shape}; one column a refit and {self.nobs()} rows are needed"
            )
        described = self._ask_once("lme4_refit_each", responses=values)
        return np.array(described["criteria"]), float(described["seconds"][2])

    def refitML(self) -> "LmerFit":
        """``refitML(m)``: the same model by maximum likelihood."""
        return self._again("lme4_refitML")

    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        re_form: str | None = None,
        allow_new_levels: bool = False,
        *,
        se_fit: bool = False,
    ) -> pd.Series | pd.DataFrame:
        """``predict(m, newdata, re.form, allow.new.levels, se.fit)``.

        Parameters
        ----------
        newdata : pandas.DataFrame, optional
        re_form : str, optional
            None for all random effects, ``"NA"`` (or ``"~0"``) for none, or a one-sided formula such as
            ``"~(1 | school)"``.
        allow_new_levels : bool
        se_fit : bool
            Standard errors as well.

        Returns
        -------
        Series, or DataFrame with the columns ``fit`` and ``se.fit``

        Raises
        ------
        DataError
            `se_fit` where R's lme4 is older than 1.1-35, which has no such argument.
        """
        if re_form is not None and re_form not in ("NA", "~0"):
            parse(re_form, require_response=False)
        sent = None if newdata is None else frame_to_r(newdata)
        described = self._ask_once(
            "lme4_predict", newdata=sent, re_form="NA" if re_form == "~0" else re_form,
            allow_new_levels=bool(allow_new_levels), se_fit=bool(se_fit), since=CHANGES["predict_se_fit"].since,
        )  # fmt: skip
        index = self._index if newdata is None else newdata.index
        fitted = pd.Series(np.array(described["values"]), index=labels_to_index(described["positions"], index))
        return pd.DataFrame({"fit": fitted, "se.fit": np.array(described["se"])}) if se_fit else fitted

    def vcov(self, full: bool = False) -> pd.DataFrame:
        """``vcov(m, full)``.

        Parameters
        ----------
        full : bool
            The joint covariance matrix of random and fixed effects, given θ.

        Raises
        ------
        DataError
            `full` where R's lme4 is older than 1.1-36, which has no such argument.
        """
        return frame(self._ask("lme4_vcov_full", since=CHANGES["vcov_full"].since)) if full else super().vcov()

    def simulate(self, nsim: int = 1, seed: int | None = None, use_u: bool = False) -> pd.DataFrame:
        """``simulate(m, nsim, seed)``: rows used × ``sim_1`` ...; R's own random numbers.

        Parameters
        ----------
        nsim : int
        seed : int, optional
            At random where absent.
        use_u : bool
            Keep the conditional modes (R's ``use.u``).
        """
        seed = secrets.randbelow(2**31 - 1) if seed is None else int(seed)
        described = self._ask_once("lme4_simulate", nsim=int(nsim), seed=seed, re_form_na=False, use_u=bool(use_u))
        index = labels_to_index(described["positions"], self._index)
        return pd.DataFrame(np.array(described["values"]), index=index, columns=labels(described["names"]))

    def anova(self, *others: "LmerFit", refit: bool = True, names: Sequence[str] | None = None) -> pd.DataFrame:
        """``anova(m, ...)``: likelihood-ratio tests (REML fits are refitted by ML, as R says in a message).

        Parameters
        ----------
        *others : LmerFit
        refit : bool
        names : sequence of str, optional
            R prints the names of the variables that hold the models; ``m1``, ``m2``, ... here.

        Returns
        -------
        pandas.DataFrame
            ``attrs["text"]`` is what R prints.
        """
        fits = [self, *others]
        called = [f"m{i + 1}" for i in range(len(fits))] if names is None else [r_symbol(n, "names") for n in names]
        if len(called) != len(fits):
            raise DataError(f"{len(called)} names for {len(fits)} models")
        session = self._handle.session
        reply = session.call("lme4_anova", fits=[f._handle for f in fits], names=called, refit=bool(refit))
        emit(reply)
        return table(reply.value)

    def drop1(self, test: str = "none") -> pd.DataFrame:
        """``drop1(m, test)``: ``test`` is ``"none"`` or ``"Chisq"``."""
        return table(self._ask("lme4_drop1", test=test))

    def confint(
        self,
        method: str = "profile",
        parm: Sequence[str] | Sequence[int] | str | None = None,
        level: float = 0.95,
        nsim: int = 500,
        seed: int | None = None,
        boot_type: str = "perc",
        timeout: float | None = None,
    ) -> pd.DataFrame:
        """``confint(m, parm, level, method)``: ``"profile"``, ``"Wald"`` or ``"boot"``.

        Parameters
        ----------
        method : str
        parm : str or sequence, optional
            Names (``"theta_"``, ``"beta_"``, ``".sig01"``, ``"(Intercept)"``) or 1-based numbers.
        level : float
        nsim, seed, boot_type
            For ``"boot"``.
        timeout : float, optional
        """
        chosen = None if parm is None else [parm] if isinstance(parm, str) else list(parm)
        seed = secrets.randbelow(2**31 - 1) if seed is None else int(seed)
        return frame(
            self._ask_once(
                "lme4_confint", parm=chosen, level=float(level), method=method, nsim=int(nsim), seed=seed,
                boot_type=boot_type, timeout=timeout,
            )
        )  # fmt: skip

    def profile(
        self,
        which: Sequence[str] | Sequence[int] | str | None = None,
        maxpts: int | None = None,
        delta_cutoff: float | None = None,
        timeout: float | None = None,
    ) -> pd.DataFrame:
        """``as.data.frame(profile(m))``: ``.zeta``, the parameters, ``.focal``/``.par``."""
        chosen = None if which is None else [which] if isinstance(which, str) else list(which)
        return table(
            self._ask_once("lme4_profile", which=chosen, maxpts=maxpts, delta_cutoff=delta_cutoff, timeout=timeout)
        )

    def bootMer(
        self, statistic: str = "sdcor", nsim: int = 100, seed: int | None = None, use_u: bool = False,
        type: str = "parametric", timeout: float | None = None,  # noqa: A002
    ) -> pd.DataFrame:  # fmt: skip
        """``bootMer(m, ...)``: simulation × statistic; ``attrs["observed"]`` holds those of the fit.

        Parameters
        ----------
        statistic : str
            ``"fixef"``, ``"theta"``, ``"sigma"`` or ``"sdcor"`` (standard deviations and correlations).
        nsim, seed, use_u, type
            R's.
        timeout : float, optional
        """
        allowed = ("fixef", "theta", "sigma", "sdcor")
        if statistic not in allowed:
            raise DataError(f"statistic={statistic!r}; it is one of {', '.join(allowed)}")
        seed = secrets.randbelow(2**31 - 1) if seed is None else int(seed)
        described = self._ask_once(
            "lme4_bootMer",
            statistic=statistic,
            nsim=int(nsim),
            seed=seed,
            use_u=bool(use_u),
            type=type,
            timeout=timeout,
        )
        result = pd.DataFrame(np.array(described["values"]), columns=labels(described["names"]))
        result.attrs["observed"] = dict(zip(described["names"], map(float, described["observed"]), strict=True))
        return result

    def rePCA(self) -> dict[str, np.ndarray]:
        """``rePCA(m)``: grouping factor → standard deviations of the principal components (relative to sigma)."""
        return {group: np.array(item["sdev"]) for group, item in self._ask("lme4_rePCA").items()}

    # -- text --------------------------------------------------------------------------------------------------

    def summary(self) -> Printed:
        """R's own ``summary(m)``, as printed, with the warnings that R gives for it."""
        for text in self._x["summary_warnings"]:
            warn(text, RWarning)
        return Printed(self._x["summary"])


class LFormula:
    """What ``lme4::lFormula`` makes of a formula and data, without fitting.

    Attributes
    ----------
    formula : str
    y : Series
    X : DataFrame
        Rows used × coefficients.
    Z : scipy.sparse CSC array
    cnms : dict
        Term → list of effects.
    flist : DataFrame
        Grouping factors as categoricals.
    theta : Series
        Starting values, named.
    lower : Series
        Lower bounds of θ.
    weights, offset : ndarray or None
    dropped : tuple of str
        Columns dropped for rank deficiency.
    warnings, messages : tuple of str
    """

    def __init__(self, reply: Reply, index: pd.Index) -> None:
        x = reply.value
        rows = labels_to_index(x["positions"], index)
        self.formula = str(x["formula"])
        self.y = pd.Series(np.array(x["y"]), index=rows)
        self.X = frame(x["X"], rows)
        self.Z = sparse(x["Z"])
        self.cnms = terms(x["cnms"])
        self.flist = factors(x["flist"], rows)
        self.theta = series(x["theta"])
        self.lower = pd.Series(np.array(x["lower"]), index=self.theta.index)
        self.weights = np.array(x["weights"]) if len(x["weights"]) else None
        self.offset = np.array(x["offset"]) if len(x["offset"]) else None
        self.dropped = tuple(x["dropped"])
        self.warnings, self.messages = reply.warnings, reply.messages


@SIGNATURES.leaving("formula", "data")
def lFormula(
    formula: str,
    data: pd.DataFrame,
    REML: bool = True,
    control: Control | None = None,
    weights: Vector | None = None,
    offset: Vector | None = None,
    subset: Vector | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
) -> LFormula:
    """``lme4::lFormula``: the design of a model without the fit. Parameters as in :func:`lmer`.

    Raises
    ------
    FormulaError, DataError, RError
    """
    call = _describe_lmer(
        formula, data, REML, control, None, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts,
    )  # fmt: skip
    try:
        reply = default().call("lme4_lFormula", described=call.described)
    except RError as error:
        raise explain(error, call, data) from error.__cause__
    emit(reply)
    return LFormula(reply, call.index)
