"""``lm``: linear models by (weighted) least squares, as ``stats::lm`` fits them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.design.linear import LinearDesign, build_linear_design
from pyimpl.design.model_matrix import Contrasts
from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.formula.parse import all_names, deparse, parse
from pyimpl.formula.update import update_formula
from pyimpl.frame.columns import Data
from pyimpl.frame.model_frame import FrameArguments, Subset, VectorLike, model_frame
from pyimpl.inference.lm_text import LmSummary, call_text, print_lm
from pyimpl.inference.profile import percent_labels
from pyimpl.inference.source import Source
from pyimpl.linalg.dqrdc2 import independent_columns
from pyimpl.linalg.heard import heard_if_long
from pyimpl.printing import AnovaTable, CallText
from r_scripts.caller import warn
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    from pyimpl.models.changes import LmChanges

__all__ = ["LmFit", "lm"]

_NOT_ESTIMABLE = 1e-7  # share of a row outside the row space of X from which its prediction depends on what is dropped
_PERFECT_SUMMARY, _PERFECT_ANOVA = 1e-30, 1e-10  # R's own bounds, summary.lm and anova.lm


@SIGNATURES.leaving("formula", "data", "offset", "weights")
def lm(
    formula: str,
    data: pd.DataFrame,
    *,
    weights: VectorLike | None = None,
    offset: VectorLike | None = None,
    subset: Subset | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    data_name: str | None = None,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> "LmFit":
    """Fit a linear model by least squares, as ``stats::lm``.

    Parameters
    ----------
    formula : str
        In R's language, without random-effects terms: ``"course ~ female + school"``.
    data : DataFrame of pandas or polars, pyarrow Table, or another that narwhals reads
    weights, offset : str, array or Series, optional
        Name of a column, or a number for each row of the data. Rows of weight 0 have no part in the fit.
    subset : str, array of bool or of int, optional
        Rows to use: a condition in R's words, a mask, or numbers of rows as R counts them, from 1 (``"1:50"``).
    na_action : {"na.omit", "na.exclude", "na.fail"}
    contrasts : mapping, optional
        Variable -> name (``"contr.sum"``) or matrix.
    data_name : str, optional
        What is printed as ``data =``; default ``data.attrs["name"]``, or "data".
    dialect : Dialect, mapping or str, optional
        Whose R prints the summary; the newest where not given.

    Returns
    -------
    LmFit

    Raises
    ------
    FormulaError, DataError, ModelError
        Where the formula, the data or the model do not fit.

    Examples
    --------
    >>> fit = lm("course ~ female", gcse)  # doctest: +SKIP
    >>> print(fit.summary())  # doctest: +SKIP
    """
    try:
        spoken = Dialect.of(dialect)
    except ValueError as error:
        raise DataError(str(error)) from None
    arguments: dict[str, object] = {
        "weights": weights,
        "offset": offset,
        "subset": subset,
        "na_action": na_action,
        "contrasts": contrasts,
        "data_name": data_name,
        "dialect": dialect,
    }
    design = build_linear_design(
        formula,
        data,
        FrameArguments(weights, offset, subset, na_action),
        contrasts=contrasts,
        dialect=spoken,
    )
    call = call_text(
        "lm",
        design.call_formula,
        {
            "data": _data_name(data, data_name),
            "subset": _argument_text(subset, "subset"),
            "weights": _argument_text(weights, "weights"),
            "na.action": None if na_action == "na.omit" else na_action,
            "contrasts": contrasts or None,
            "offset": _argument_text(offset, "offset"),
        },
    )
    return LmFit(design, _least_squares(design), call, data, arguments, spoken)


def _data_name(data: pd.DataFrame, given: object) -> str:
    return str(given or getattr(data, "attrs", {}).get("name", "data"))


def _argument_text(value: object, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return deparse(parse(value))
    own = getattr(value, "name", None)
    return own if isinstance(own, str) and own.isidentifier() else name


@dataclass(frozen=True)
class _Solution:
    """Least squares by QR of the rows with positive weights.

    ``kept`` are the columns that are not linear combinations of earlier ones; Q and R are of these.
    """

    kept: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    effects: np.ndarray
    beta: np.ndarray
    residuals: np.ndarray
    used: np.ndarray


def _least_squares(design: LinearDesign) -> _Solution:
    y = design.y if design.offset is None else design.y - design.offset
    weights = design.weights
    used = np.arange(len(y)) if weights is None else np.flatnonzero(weights > 0)
    if len(used) == 0:
        raise ModelError("0 (non-NA) cases: all weights are 0.")
    root = np.ones(len(used)) if weights is None else np.sqrt(weights[used])
    X, target = design.X[used] * root[:, None], y[used] * root
    kept = np.sort(independent_columns(X)) if X.shape[1] else np.empty(0, dtype=np.intp)
    Q, R = heard_if_long(4.0 * len(X) * len(kept) ** 2, np.linalg.qr, X[:, kept])
    effects = Q.T @ target
    beta = np.linalg.solve(R, effects) if len(kept) else effects
    residuals = y - design.X[:, kept] @ beta
    # where the columns fit every row R's residuals are 0, not what rounding leaves
    residuals[used] = 0.0 if len(kept) == len(used) else (target - Q @ effects) / root
    return _Solution(kept, Q, R, effects, beta, residuals, used)


def _t_tail(t: np.ndarray, df: float) -> np.ndarray:
    """``2 * pt(abs(t), df, lower.tail = FALSE)``."""
    from scipy.special import betainc

    if df <= 0:
        return np.full(np.shape(t), np.nan)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(betainc(df / 2, 0.5, 1 / (1 + np.asarray(t) ** 2 / df)))


def _f_tail(f: float, numdf: float, dendf: float) -> float:
    """``pf(f, numdf, dendf, lower.tail = FALSE)``."""
    from scipy.special import betainc

    if not (numdf > 0 and dendf > 0) or math.isnan(f) or f < 0:
        return math.nan
    return float(betainc(dendf / 2, numdf / 2, 1 / (1 + f * numdf / dendf)))


@SIGNATURES.verbs
@dataclass(frozen=True, repr=False, eq=False)
class LmFit:
    """A fitted linear model, with R's verbs. Made by :func:`lm`."""

    _design: LinearDesign
    _solution: _Solution
    _call: list[str]
    _data: pd.DataFrame
    _arguments: dict[str, object] = field(default_factory=dict)
    dialect: Dialect = field(default_factory=Dialect)

    # -- beside fits of lmer -----------------------------------------------------------------------

    @property
    def call(self) -> CallText:
        """The call's formula, data and subset, as text."""
        name = _data_name(self._data, self._arguments.get("data_name"))
        subset = _argument_text(self._arguments.get("subset"), "subset")
        return CallText(self.formula, name, subset=subset, dialect=self.dialect)

    @property
    def source(self) -> Source:
        """The data and arguments of the call."""
        return Source(self._data, self._arguments, lm)

    @property
    def npar(self) -> int:
        """Number of parameters: the defined coefficients and the residual variance."""
        return self.rank + 1

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised: never."""
        return False

    def refitML(self) -> "LmFit":
        """The fit itself: its likelihood is at its maximum."""
        return self

    def variable_names(self) -> tuple[str, ...]:
        """Columns of the data that the formula names."""
        return tuple(dict.fromkeys(all_names(self._design.formula)))

    # -- sizes and criteria ------------------------------------------------------------------------

    @property
    def formula(self) -> str:
        """The formula as R deparses it, a dot written out."""
        return deparse(self._design.formula)

    @property
    def rank(self) -> int:
        """Number of coefficients that are defined."""
        return len(self._solution.kept)

    def nobs(self) -> int:
        """Rows used, those of weight 0 not counted."""
        return len(self._solution.used)

    def df_residual(self) -> int:
        """Residual degrees of freedom: rows minus rank."""
        return self.nobs() - self.rank

    def deviance(self) -> float:
        """Weighted sum of squared residuals."""
        return float(np.sum(self._weighted_residuals() ** 2))

    def sigma(self) -> float:
        """Residual standard deviation; missing without residual degrees of freedom."""
        df = self.df_residual()
        return math.sqrt(self.deviance() / df) if df else math.nan

    def logLik(self) -> float:
        """Log-likelihood at the maximum (the variance estimated by maximum likelihood)."""
        n, rss = self.nobs(), self.deviance()
        weights = self._design.weights
        logs = 0.0 if weights is None else float(np.sum(np.log(weights[self._solution.used])))
        return 0.5 * (logs - n * (math.log(2 * math.pi) + 1 - math.log(n) + (math.log(rss) if rss > 0 else -math.inf)))

    def AIC(self) -> float:
        """Akaike's criterion; the residual variance counts as a parameter."""
        return -2 * self.logLik() + 2 * self.npar

    def BIC(self) -> float:
        """Schwarz's criterion."""
        return -2 * self.logLik() + math.log(self.nobs()) * self.npar

    def _sums_of_squares(self) -> tuple[float, float]:
        """Of the model (about the mean where there is an intercept), and of the residuals."""
        design = self._design
        fitted = design.y - self._solution.residuals
        if design.offset is not None and self.dialect.has("r_squared_without_offset"):
            fitted = fitted - design.offset
        weights = np.ones(len(fitted)) if design.weights is None else design.weights
        centre = float(np.sum(weights * fitted) / np.sum(weights)) if design.plan.intercept else 0.0
        return float(np.sum(weights * (fitted - centre) ** 2)), self.deviance()

    @property
    def r_squared(self) -> float:
        """``summary(m)$r.squared``."""
        if self.rank == int(self._design.plan.intercept):
            return 0.0
        mss, rss = self._sums_of_squares()
        return mss / (mss + rss)

    @property
    def adj_r_squared(self) -> float:
        """``summary(m)$adj.r.squared``."""
        intercept, df = int(self._design.plan.intercept), self.df_residual()
        if self.rank == intercept:
            return 0.0
        return 1 - (1 - self.r_squared) * ((self.nobs() - intercept) / df) if df else math.nan

    @property
    def fstatistic(self) -> pd.Series | None:
        """``summary(m)$fstatistic``: value, numdf, dendf; None where the intercept is all there is."""
        intercept, df = int(self._design.plan.intercept), self.df_residual()
        if self.rank == intercept:
            return None
        mss, rss = self._sums_of_squares()
        numdf = self.rank - intercept
        value = (mss / numdf) / (rss / df) if df and rss > 0 else (math.inf if df else math.nan)
        return pd.Series({"value": value, "numdf": float(numdf), "dendf": float(df)})

    # -- coefficients ------------------------------------------------------------------------------

    def coef(self) -> pd.Series:
        """Coefficients by R's name; missing where a column depends on earlier ones."""
        values = np.full(len(self._design.coef_names), np.nan)
        values[self._solution.kept] = self._solution.beta
        return pd.Series(values, index=pd.Index(self._design.coef_names, dtype=object))

    def _unscaled(self) -> np.ndarray:
        inverse = np.linalg.solve(self._solution.R, np.eye(self.rank))
        return np.asarray(inverse @ inverse.T)

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients; rows and columns of undefined ones are missing, as in R."""
        names = pd.Index(self._design.coef_names, dtype=object)
        out = np.full((len(names), len(names)), np.nan)
        kept = self._solution.kept
        out[np.ix_(kept, kept)] = self._unscaled() * self.sigma() ** 2
        return pd.DataFrame(out, index=names, columns=names)

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``: Estimate, Std. Error, t value, Pr(>|t|) of the defined coefficients."""
        beta = self._solution.beta
        se = np.sqrt(np.diag(self._unscaled())) * self.sigma()
        with np.errstate(divide="ignore", invalid="ignore"):
            t = beta / se
        return pd.DataFrame(
            {"Estimate": beta, "Std. Error": se, "t value": t, "Pr(>|t|)": _t_tail(t, self.df_residual())},
            index=pd.Index([self._design.coef_names[k] for k in self._solution.kept], dtype=object),
        )

    def confint(self, parm: str | Sequence[str] | None = None, level: Share = 0.95) -> pd.DataFrame:
        """``confint(m, parm, level)``: intervals by the t distribution.

        Parameters
        ----------
        parm : str or sequence of str, optional
            Names of coefficients; default all.
        level : float
        """
        names = list(self._design.coef_names)
        wanted = names if parm is None else [parm] if isinstance(parm, str) else list(parm)
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise DataError(f"confint: there is no coefficient {unknown[0]!r}; there are {', '.join(names)}")
        tails = ((1 - level) / 2, 1 - (1 - level) / 2)
        centre, se = self.coef(), pd.Series(np.sqrt(np.diag(self.vcov())), index=names)
        half = self._t_quantile(level)
        ends = np.column_stack([centre - half * se, centre + half * se])
        return pd.DataFrame(ends, index=centre.index, columns=percent_labels(tails)).loc[wanted]

    def _t_quantile(self, level: float) -> float:
        from scipy.special import stdtrit

        df = self.df_residual()
        return float(stdtrit(df, 1 - (1 - level) / 2)) if df else math.nan

    # -- rows --------------------------------------------------------------------------------------

    def _rows(self, values: np.ndarray) -> pd.Series:
        """With the data's index; na.exclude pads the rows left out."""
        design = self._design
        positions = design.kept
        if design.na_action == "na.exclude" and len(design.frame.omitted):
            every = np.sort(np.concatenate([positions, design.frame.omitted]))
            padded = np.full(len(every), np.nan)
            padded[np.searchsorted(every, positions)] = values
            positions, values = every, padded
        return pd.Series(values, index=design.index[positions])

    def _weighted_residuals(self) -> np.ndarray:
        weights = self._design.weights
        return self._solution.residuals * (1.0 if weights is None else np.sqrt(weights))

    def fitted(self) -> pd.Series:
        """Fitted values, with the data's index."""
        return self._rows(self._design.y - self._solution.residuals)

    def residuals(self, type: str = "response") -> pd.Series:  # noqa: A002
        """Residuals, with the data's index.

        Parameters
        ----------
        type : {"response", "working", "pearson", "deviance"}
            The last two are multiplied by the root of the weights.
        """
        if type in ("response", "working"):
            return self._rows(self._solution.residuals.copy())
        if type in ("pearson", "deviance"):
            return self._rows(self._weighted_residuals())
        raise DataError(f"residuals of type {type!r} are not there; take response, working, pearson or deviance")

    def hatvalues(self) -> pd.Series:
        """Leverages, with the data's index; 0 for rows that have no part in the fit."""
        out = np.zeros(len(self._design.y))
        out[self._solution.used] = (self._solution.Q**2).sum(axis=1)
        return self._rows(out).fillna(0.0)

    def model_matrix(self) -> pd.DataFrame:
        """``model.matrix(m)``: all columns, with the data's index of the rows used."""
        names = pd.Index(self._design.coef_names, dtype=object)
        return pd.DataFrame(self._design.X.copy(), index=self._design.index[self._design.kept], columns=names)

    def model_frame(self) -> pd.DataFrame:
        """Variables of the model for the rows used."""
        return self._design.frame.to_pandas()

    def getData(self) -> pd.DataFrame:
        """Return the data that the model was fitted to."""
        return self._data

    @overload
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        *,
        se_fit: Literal[False] = False,
        interval: Literal["none"] | None = None,
        level: Share = 0.95,
    ) -> pd.Series: ...
    @overload
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        *,
        se_fit: Literal[True],
        interval: str | None = None,
        level: Share = 0.95,
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        *,
        se_fit: bool = False,
        interval: Literal["confidence", "prediction"],
        level: Share = 0.95,
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        *,
        se_fit: bool = False,
        interval: str | None = None,
        level: Share = 0.95,
    ) -> pd.Series | pd.DataFrame: ...
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        *,
        se_fit: bool = False,
        interval: str | None = None,
        level: Share = 0.95,
    ) -> pd.Series | pd.DataFrame:
        """``predict(m, newdata, se.fit, interval, level)``.

        Parameters
        ----------
        newdata : data frame of any kind, optional
            Default: the rows the model was fitted to.
        se_fit : bool
            Whether standard errors of the mean are wanted.
        interval : {"confidence", "prediction"}, optional
        level : float

        Returns
        -------
        Series or DataFrame
            A frame of ``fit``, ``se.fit`` and ``lwr``, ``upr`` where they are asked for.

        Raises
        ------
        DataError
            A column is missing, or a factor has new levels.

        Warns
        -----
        PyimplWarning
            A row's prediction depends on a coefficient that is not defined; prediction intervals of weighted fits.
        """
        if interval not in (None, "none", "confidence", "prediction"):
            raise DataError(f"predict: interval must be 'confidence' or 'prediction', not {interval!r}")
        design, solution = self._design, self._solution
        if newdata is None:
            X, values = design.X, design.y - solution.residuals
            variance: Any = (
                1.0 if design.weights is None else 1.0 / np.where(design.weights > 0, design.weights, np.nan)
            )
        else:
            index, X, offset = design.encode(newdata)
            values = X[:, solution.kept] @ solution.beta + offset + self._argument_offset(newdata)
            variance = 1.0
            self._warn_of_rows_outside(X)
        wanted = {"fit": values}
        leverage = np.sqrt(np.sum(np.linalg.solve(solution.R.T, X[:, solution.kept].T) ** 2, axis=0))
        se = self.sigma() * leverage
        if interval in ("confidence", "prediction"):
            spread = se
            if interval == "prediction":
                self._warn_of_prediction(newdata is None)
                spread = np.sqrt(se**2 + self.sigma() ** 2 * variance)
            half = self._t_quantile(level) * spread
            wanted |= {"lwr": values - half, "upr": values + half}
        if se_fit:
            wanted = {"fit": values, "se.fit": se, **wanted}
        columns = {k: self._rows(v) if newdata is None else pd.Series(v, index=index) for k, v in wanted.items()}
        return columns["fit"].rename(None) if len(columns) == 1 else pd.DataFrame(columns)

    def _argument_offset(self, newdata: pd.DataFrame) -> np.ndarray:
        """The argument ``offset`` for new data, as R evaluates it there: a column of theirs, or the numbers given."""
        given, data = self._arguments.get("offset"), Data(newdata)
        if given is None:
            return np.zeros(data.rows)
        if not isinstance(given, str):
            raise DataError(
                "predict: the offset of the fit is an array, which new data have no values for. Give lm the name of a "
                "column, or write offset(x) in the formula."
            )
        offset = model_frame((), data, FrameArguments(offset=given, na_action="na.pass")).offset
        assert offset is not None
        return offset

    def _warn_of_rows_outside(self, X: np.ndarray) -> None:
        """R since 4.3 warns where a row is not in the row space of the model matrix."""
        if self.rank == X.shape[1]:
            return
        _, _, basis = np.linalg.svd(self._design.X[self._solution.used], full_matrices=False)
        basis = basis[: self.rank]
        rows = X[~np.isnan(X).any(axis=1)]
        outside = np.linalg.norm(rows - rows @ basis.T @ basis, axis=1)
        doubtful = int(np.sum(outside > _NOT_ESTIMABLE * np.linalg.norm(rows, axis=1)))
        if doubtful:
            warn(
                f"prediction from rank-deficient fit: {doubtful} row(s) of newdata have doubtful predictions, which "
                "depend on coefficients that are not defined",
                PyimplWarning,
            )

    def _warn_of_prediction(self, current: bool) -> None:
        if current:
            text = "predictions on current data refer to _future_ responses"
        elif self._design.weights is not None:
            text = "Assuming constant prediction variance even though model fit is weighted"
        else:
            return
        warn(text, PyimplWarning)

    # -- tests and text ----------------------------------------------------------------------------

    def update(self, formula: str | None = None, **changes: "Unpack[LmChanges]") -> "LmFit":
        """``update(m, formula, ...)``: the same call with some arguments changed; ``". ~ . - x"``."""
        arguments: dict[str, Any] = {**self._arguments, **changes}
        data = arguments.pop("data", self._data)
        text = self.formula if formula is None else update_formula(self.formula, formula)
        return lm(text, data, **arguments)

    def anova(self, *others: "LmFit", model_names: Sequence[str] | None = None) -> AnovaTable:
        """``anova(m, ...)``: sequential sums of squares of one model, or F tests between nested models.

        Parameters
        ----------
        *others : LmFit
        model_names : sequence of str, optional
            A name for each model, as fits of lmer take them; R numbers linear models (the default).

        Raises
        ------
        DataError
            One of `others` is no fit of lm.
        ModelError
            The models were fitted to different numbers of rows, or have different responses.
        """
        return _compare([self, *others], model_names) if others else self._sequential_anova()

    def _sequential_anova(self) -> AnovaTable:
        design, solution, df = self._design, self._solution, self.df_residual()
        rss = self.deviance()
        weights = 1.0 if design.weights is None else design.weights
        if rss < _PERFECT_ANOVA * float(np.sum(weights * (design.y - solution.residuals) ** 2)):
            text = "ANOVA F-tests on an essentially perfect fit are unreliable"
            warn(text, PyimplWarning)
        assign = np.array([design.plan.assign[k] for k in solution.kept], dtype=int)
        scale = rss / df if df else math.nan
        rows = []
        for term in sorted(set(assign.tolist()) - {0}):
            chosen = assign == term
            count, total = int(chosen.sum()), float(np.sum(solution.effects[chosen] ** 2))
            f = total / count / scale if scale > 0 else math.nan
            rows.append([count, total, total / count, f, _f_tail(f, count, df)])
        rows.append([df, rss, scale, math.nan, math.nan])
        labels = [design.terms.labels[term - 1] for term in sorted(set(assign.tolist()) - {0})]
        heads = ["Df", "Sum Sq", "Mean Sq", "F value", "Pr(>F)"]
        table = AnovaTable(rows, index=[*labels, "Residuals"], columns=heads)
        response = deparse(design.terms.variables[design.terms.response])
        absent = np.zeros(table.shape, dtype=bool)
        absent[-1, 3:] = True
        table.absent = absent
        table.heading = ("Analysis of Variance Table\n", f"Response: {response}")
        return table

    def summary(self) -> LmSummary:
        """``summary(m)``: an object whose ``str()`` is exactly what R prints."""
        design, df = self._design, self.df_residual()
        fitted = design.y - self._solution.residuals
        if df and len(fitted) > 1:
            spread = float(np.mean(fitted)) ** 2 + float(np.var(fitted, ddof=1))
            if self.rank and self.deviance() / df < spread * _PERFECT_SUMMARY:
                warn("essentially perfect fit: summary may be unreliable", PyimplWarning)
        f = self.fstatistic
        return LmSummary(
            call=self._call,
            residuals=pd.Series(self._weighted_residuals(), index=design.labels),
            weighted=design.weights is not None and bool(np.ptp(design.weights) > 0),
            coefficients=self.coef_table(),
            names=design.coef_names,
            sigma=self.sigma(),
            df=(self.rank, df, len(design.coef_names)),
            r_squared=self.r_squared,
            adj_r_squared=self.adj_r_squared,
            fstatistic=f,
            p_value=math.nan if f is None else _f_tail(f["value"], f["numdf"], f["dendf"]),
            omitted=len(design.frame.omitted),
        )

    def __str__(self) -> str:
        return print_lm(self._call, self.coef())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return printed_html(str(self))


def _compare(fits: list[LmFit], model_names: Sequence[str] | None) -> AnovaTable:
    """``anova.lmlist``: each model against the one before, by the residual variance of the largest."""
    for fit in fits:
        if not isinstance(fit, LmFit):
            raise DataError(f"anova compares fits of lm; {fit!r:.60} is none")
    responses = {deparse(fit._design.terms.variables[fit._design.terms.response]) for fit in fits}
    if len(responses) > 1:
        raise ModelError(f"anova: the models have different responses ({', '.join(sorted(responses))})")
    if len({len(fit._design.y) for fit in fits}) > 1:
        raise ModelError("models were not all fitted to the same size of dataset")
    df = np.array([fit.df_residual() for fit in fits], dtype=float)
    rss = np.array([fit.deviance() for fit in fits])
    largest = int(np.argmin(df))
    scale = rss[largest] / df[largest] if df[largest] else math.nan
    steps, squares = np.r_[np.nan, -np.diff(df)], np.r_[np.nan, -np.diff(rss)]
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(steps != 0, squares / steps / scale, np.nan)
    p = [_f_tail(float(a), abs(float(b)), float(df[largest])) for a, b in zip(f, steps, strict=True)]
    names = [str(k + 1) for k in range(len(fits))] if model_names is None else list(model_names)
    if len(names) != len(fits):
        raise ModelError("model names vector and model list have different lengths")
    table = AnovaTable({"Res.Df": df, "RSS": rss, "Df": steps, "Sum of Sq": squares, "F": f, "Pr(>F)": p}, index=names)
    width = max(map(len, names))
    models = [f"Model {name.ljust(width)}: {fit.formula}" for name, fit in zip(names, fits, strict=True)]
    table.heading = ("Analysis of Variance Table\n", *models)
    return table
