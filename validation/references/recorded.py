"""Fits as plain data: what a live fit gave, frozen, meeting the same contract, so that it is compared unchanged.

A recorded fit answers what was asked when it was recorded; anything else is a :class:`NotRecordedError` that says what
to do. The same classes serve as the material of planted faults (``validation.faults``): a wrong fit is a right one with
a field replaced.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from r_scripts.variances import Block, ConditionalVariances
from validation.algebra import by_row
from validation.contract import LinearMixedFit
from validation.covariances import structures_of
from validation.tolerances import SINGULAR

_T = TypeVar("_T")


class NotRecordedError(LookupError):
    """A recorded fit was asked for something that was not recorded."""


def _number(name: str, kind: Callable[[float], _T]) -> Callable[[Any], _T]:
    """The contract's method that gives a number of :attr:`ReportedFit.scalars`."""

    def number(fit: "ReportedFit") -> _T:
        try:
            return kind(fit.scalars[name])
        except KeyError:
            raise NotRecordedError(f"{name} was not recorded; `mlmparity record` records it anew") from None

    return number


def _held(name: str, kind: type[_T]) -> Callable[[Any], _T]:
    """The contract's method that gives what is recorded: a copy, which the taker may change."""
    return lambda fit: cast(_T, deepcopy(getattr(fit, name)))


def by_level(fixed: pd.Series, modes: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """R's ``coef()``: ``fixef`` plus ``ranef`` for each level, of each effect that is in either."""
    return {
        group: pd.DataFrame(
            {
                name: float(fixed.get(name, 0.0)) + (frame[name] if name in frame.columns else 0.0)
                for name in dict.fromkeys([*fixed.index, *frame.columns])
            },
            index=frame.index,
        )
        for group, frame in modes.items()
    }


@dataclass(frozen=True, kw_only=True)
class ReportedFit:
    """What ``summary()`` of a likelihood fit says, as plain data: of default lme4 no more is recorded."""

    coefficients: pd.DataFrame  # ``coef_table()``
    components: pd.DataFrame  # ``VarCorr()``
    #: ``logLik``; of a whole fit also ``sigma deviance REMLcrit AIC BIC npar nobs df_residual singular``.
    scalars: Mapping[str, float]
    printed: str = ""  # by ``summary(m)``

    @classmethod
    def of(cls, fit: LinearMixedFit) -> "ReportedFit":
        """Freeze what a fit reports."""
        return ReportedFit(
            coefficients=fit.coef_table(),
            components=fit.VarCorr(),
            scalars={"logLik": float(fit.logLik())},
            printed=str(fit.summary()),
        )

    logLik = _number("logLik", float)
    coef_table = _held("coefficients", pd.DataFrame)
    VarCorr = _held("components", pd.DataFrame)
    summary = _held("printed", str)

    def fixef(self) -> pd.Series:
        """Fixed effects."""
        return self.coefficients["Estimate"].copy()


@dataclass(frozen=True, kw_only=True)
class RecordedLmerFit(ReportedFit):
    """A likelihood fit as plain data (contract: ``validation.contract.LinearMixedFit``)."""

    formula: str
    reml: bool
    groups: pd.Series  # number of levels by grouping factor
    covariance: pd.DataFrame  # ``vcov()``
    theta: pd.Series
    lower: pd.Series  # the bounds of θ; of ``par``, where there is one
    modes: Mapping[str, pd.DataFrame]  # ``ranef()``
    mode_variances: Mapping[str, np.ndarray]  # by grouping factor: (level, effect, effect)
    effects: Mapping[str, Sequence[str]]  # ``getME("cnms")``
    factors: pd.DataFrame  # ``getME("flist")``
    X: pd.DataFrame
    Z: sp.csc_array
    y: pd.Series  # response of the rows used
    fits: pd.Series  # ``fitted()``
    points: tuple[tuple[str, tuple[float, ...], float], ...] = ()  # name, θ, and the objective there
    warnings: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    optimizer: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    weights: np.ndarray | None = None  # prior weights of the rows used, where the model has them
    offset: np.ndarray | None = None  # the same of the offset
    par: pd.Series | None = None  # ``getME("par")``, where a term's covariances are structured
    structures: pd.DataFrame | None = None  # ``getReCovs()``, the same

    # What follows is never stored, and is there where a live fit stands behind this one.
    objective: Callable[[np.ndarray], float] | None = None  # at any θ
    tests: pd.DataFrame | None = None  # ``satterthwaite()``, where it was asked for
    predictor: Callable[..., pd.Series] | None = None  # ``predict(newdata, re_form, allow_new_levels)``

    @classmethod
    def of(cls, fit: Any, points: Sequence[tuple[str, np.ndarray]] = (), live: bool = False) -> "RecordedLmerFit":
        """Freeze a fit, with the objective at some named points.

        Of a ``live`` one keep ``devfun`` and ``predict`` beside the recorded points, and its tests where it has them.
        """
        reml = bool(fit.isREML())
        verbs = ["sigma", "logLik", "deviance", "AIC", "BIC", "nobs", "df_residual", *(["REMLcrit"] if reml else [])]
        with warnings.catch_warnings(action="ignore"):  # deviance() of a REML fit warns, as R does
            scalars = {name: float(getattr(fit, name)()) for name in verbs}
        scalars |= {"npar": float(fit.npar), "singular": float(bool(fit.isSingular()))}
        structured = any(not structure.free for structure in structures_of(fit) or ())
        modes = {str(group): frame.copy() for group, frame in fit.ranef().items()}
        rows = int(scalars["nobs"])
        return cls(
            formula=str(fit.formula),
            reml=reml,
            scalars=scalars,
            groups=fit.ngrps(),
            coefficients=fit.coef_table(),
            covariance=fit.vcov(),
            components=fit.VarCorr(),
            theta=fit.getME("theta"),
            lower=fit.getME("lower"),
            par=fit.getME("par") if structured else None,
            structures=fit.getReCovs() if structured else None,
            modes=modes,
            mode_variances={str(group): np.asarray(array) for group, array in fit.ranef_condVar().items()},
            effects={str(name): list(effects) for name, effects in fit.getME("cnms").items()},
            factors=fit.getME("flist"),
            X=fit.getME("X"),
            Z=sp.csc_array(fit.getME("Z")),
            y=fit.getME("y"),
            fits=fit.fitted(),
            points=tuple((name, tuple(map(float, theta)), float(fit.devfun(theta))) for name, theta in points),
            warnings=tuple(fit.warnings),
            messages=tuple(fit.messages),
            printed=str(fit.summary()),
            optimizer=dict(fit.optinfo),
            objective=fit.devfun if live else None,
            weights=by_row(fit, "weights", 1.0, rows),
            offset=by_row(fit, "offset", 0.0, rows),
            tests=fit.satterthwaite() if live and callable(getattr(fit, "satterthwaite", None)) else None,
            predictor=getattr(fit, "predict", None) if live else None,
        )

    sigma = _number("sigma", float)
    deviance = _number("deviance", float)
    REMLcrit = _number("REMLcrit", float)
    AIC = _number("AIC", float)
    BIC = _number("BIC", float)
    nobs = _number("nobs", int)
    npar = property(_number("npar", int))
    df_residual = _number("df_residual", int)
    ngrps = _held("groups", pd.Series)
    vcov = _held("covariance", pd.DataFrame)
    ranef = _held("modes", dict[str, pd.DataFrame])
    fitted = _held("fits", pd.Series)
    isREML = _held("reml", bool)
    optinfo = property(_held("optimizer", dict[str, object]))  # how the optimizer ended

    def getReCovs(self) -> pd.DataFrame:
        """Covariance structures of the terms: free, where none were recorded."""
        if self.structures is not None:
            return self.structures.copy()
        sizes = [len(effects) for effects in self.effects.values()]
        return pd.DataFrame({"structure": "us", "hom": False, "nc": sizes}, index=list(self.effects))

    def ranef_condVar(self) -> ConditionalVariances:
        """Conditional variances: group -> DataArray (level, effect, effect2)."""
        return ConditionalVariances(
            {
                group: Block(array, [str(level) for level in modes.index], list(modes.columns))
                for group, array in self.mode_variances.items()
                for modes in (self.modes[group],)
            }
        )

    def coef(self) -> dict[str, pd.DataFrame]:
        """``fixef`` plus ``ranef`` for each level."""
        return by_level(self.fixef(), self.modes)

    def satterthwaite(self) -> pd.DataFrame:
        """Tests of the coefficients with their degrees of freedom."""
        if self.tests is None:
            raise NotRecordedError("tests of the coefficients were not recorded")
        return self.tests.copy()

    def predict(self, newdata: pd.DataFrame | None = None, **options: Any) -> pd.Series:
        """Predictions, where a live fit stands behind this one."""
        if self.predictor is None:
            raise NotRecordedError("predictions were not recorded; compare against live R (against='live')")
        return self.predictor(newdata, **options)

    def isSingular(self, tol: float = SINGULAR) -> bool:
        """Whether a parameter is nearer than ``tol`` to a bound: a diagonal element of Λ's template, a correlation."""
        if self.par is None:
            return bool((self.theta.to_numpy(dtype=float)[self.lower.to_numpy(dtype=float) == 0.0] < tol).any())
        par, lower = self.par.to_numpy(dtype=float), self.lower.to_numpy(dtype=float)
        return bool((par - lower < tol).any() or (1.0 - par[(lower < 0.0) & np.isfinite(lower)] < tol).any())

    def getME(self, name: str) -> Any:
        """The recorded pieces."""
        pieces: dict[str, Any] = {
            "theta": self.theta,
            "par": self.theta if self.par is None else self.par,
            "lower": self.lower,
            "beta": self.fixef(),
            "X": self.X,
            "Z": self.Z,
            "y": self.y,
            "cnms": self.effects,
            "flist": self.factors,
            "weights": np.ones(len(self.y)) if self.weights is None else self.weights,
            "offset": np.zeros(len(self.y)) if self.offset is None else self.offset,
        }
        if name not in pieces:
            raise NotRecordedError(f"getME({name!r}) was not recorded; there are {', '.join(pieces)}")
        return deepcopy(pieces[name])

    def devfun(self, theta: Sequence[float] | np.ndarray | pd.Series) -> float:
        """The objective at a recorded θ (or anywhere, where a live objective is held)."""
        point = np.asarray(theta, dtype=float)
        if self.objective is not None:
            return float(self.objective(point))
        for _, recorded, value in self.points:
            if np.array_equal(point, np.asarray(recorded)):
                return value
        raise NotRecordedError(
            f"the objective was recorded at {len(self.points)} points, not at θ = {point.tolist()}; "
            "compare against live R (against='live') to evaluate it anywhere"
        )

    def theta_points(self) -> list[tuple[str, np.ndarray]] | None:
        """The θ at which the objective is known; None where it can be evaluated anywhere."""
        if self.objective is not None:
            return None
        return [(name, np.asarray(theta)) for name, theta, _ in self.points]

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Response residuals."""
        if type != "response":
            raise NotRecordedError(f"residuals of type {type!r} were not recorded, only 'response'")
        residuals = self.y - self.fits
        return residuals / self.sigma() if scaled else residuals


@dataclass(frozen=True)
class RecordedStanFit:
    """A posterior as plain data: summaries of all parameters, thinned draws of the main ones, the density at points."""

    formula: str
    table: pd.DataFrame  # as ``validation.quantities.posterior_summary`` returns it, a row for each parameter
    draws: pd.DataFrame  # nearly independent ones, of the main parameters
    points: np.ndarray  # unconstrained: (points, num_upars)
    log_density: np.ndarray  # ``log_prob`` there
    divergences: int = 0
    observations: int = 0
    warnings: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    printed: str = ""
    priors: str = ""
    provenance: Mapping[str, object] = field(default_factory=dict)

    posterior_summary = _held("table", pd.DataFrame)
    independent_draws = _held("draws", pd.DataFrame)
    recorded_points = _held("points", np.ndarray)  # where the log density is known
    nobs = _held("observations", int)
    prior_summary = _held("priors", str)
    summary = _held("printed", str)

    @property
    def num_upars(self) -> int:
        """Length of the unconstrained parameter vector."""
        return int(self.points.shape[1])

    def log_prob(self, upars: np.ndarray) -> float | np.ndarray:
        """Log density at recorded points."""
        wanted = np.atleast_2d(np.asarray(upars, dtype=float))
        known = {row.tobytes(): value for row, value in zip(self.points, self.log_density, strict=True)}
        try:
            values = np.array([known[np.ascontiguousarray(row).tobytes()] for row in wanted])
        except KeyError:
            raise NotRecordedError(
                f"the log density was recorded at {len(self.points)} points, and not at all of those asked for; "
                "compare against live R (against='live') to evaluate it anywhere"
            ) from None
        return float(values[0]) if np.ndim(upars) == 1 else values

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        """The first ``n`` recorded points (``seed`` does not matter)."""
        return self.points[:n].copy()
