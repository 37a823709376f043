"""``lmer``: linear mixed models by maximum likelihood or REML, as ``lme4::lmer`` fits them."""

import math
import warnings as _warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyimpl.design.accessors import ModelAccessors
from pyimpl.design.checks import ACTIONS, LMER_CHECKS, SCALE_NOTES, Action, CheckControl, scale_note
from pyimpl.design.design import Design, build_design
from pyimpl.design.re_form import wanted_effects
from pyimpl.errors import ConvergenceWarning, DataError, ModelError, PyimplWarning, SingularFitWarning
from pyimpl.formula.parse import deparse, deparse_lines, parse
from pyimpl.formula.update import update_formula
from pyimpl.frame.columns import Data, as_pandas
from pyimpl.inference.estimates import Estimates, infer, ranef_long
from pyimpl.inference.verbs import AfterTheLikelihoodFit
from pyimpl.likelihood.objective import COMPILED, Objective
from pyimpl.likelihood.omitted import carriers
from pyimpl.likelihood.optimum import OptSummary, optimize
from pyimpl.likelihood.reduce import NARROW, Blocks, reduce_design
from pyimpl.likelihood.refit import Minimum, Refits
from pyimpl.likelihood.trust_region import eigen
from pyimpl.linalg.threads import one_blas_thread
from pyimpl.plots.likelihood import LmerPlots
from pyimpl.printing import AnovaTable, CallText, LmerSummary, VarCorrTable, print_fit
from pyimpl.progress import with_bar
from pyimpl.records import changed
from r_scripts.dialect import CHANGES, Dialect

if TYPE_CHECKING:
    import xarray as xr
    from scipy import sparse

    from pyimpl.inference.allfit import AllFit
    from pyimpl.inference.influence import Influence, Refit
    from pyimpl.inference.kenward_roger import KenwardRoger
    from pyimpl.inference.prediction import Interval
    from pyimpl.inference.profile import Profiler
    from pyimpl.inference.satterthwaite import Satterthwaite
    from pyimpl.inference.small_sample import SmallSample
    from pyimpl.likelihood.parameters import Parameters

__all__ = ["LmerControl", "LmerFit", "fit_design", "lmer"]

_FEW = 2000  # rows up to which BLAS starts no threads for a narrow model matrix
_MANY = 4000  # random effects besides the eliminated factor's from which several BLAS threads pay
_FEW_ROWS = 10  # residual degrees of freedom for each variance, below which a refit is a fit of its own
_EXTREME = 1e6  # ratio of standard deviations from which the random effects fit the rows exactly, or nearly so
_LOST = 1e-10  # share of the response's sum of squares that rounding may add to that of the residuals
_TINY = 6  # rows of a matrix for which a call of LAPACK takes longer than the work
_EPS = float(np.finfo(float).eps)
_OPTIMIZER = "trust-region Newton, analytic gradient"
_PIECES = (
    "X", "Z", "Zt", "Ztlist", "mmList", "y", "mu", "u", "b", "Gp", "Tp", "Lambda", "Lambdat", "Lind", "Tlist", "A",
    "RX", "sigma", "flist", "fixef", "beta", "theta", "ST", "REML", "is_REML", "n_rtrms", "n_rfacs", "N", "n", "p",
    "q", "p_i", "l_i", "q_i", "k", "m_i", "m", "cnms", "devcomp", "offset", "lower", "devfun", "weights",
)  # fmt: skip
_NEWER_PIECES = ("par", "npar", "devarg")  # since lme4 2.0-1
_SINGULAR = "boundary (singular) fit: see help('isSingular')"
_SEE = "\n  See ?lme4::convergence and ?lme4::troubleshooting."


@dataclass(frozen=True)
class LmerControl:
    """How to optimise, and what to refuse (``lmerControl``).

    Attributes
    ----------
    max_evaluations : int
        Evaluations of the criterion after which the search stops, with a warning.
    starts : tuple of array-like
        θ to start from instead of lme4's and the scaled identity; the best minimum counts.
    singular_tol : float
        ``check.conv.singular``'s tolerance.
    hessian_tol : float
        ``check.conv.hess``'s tolerance.
    grad_tol : float
        ``check.conv.grad``'s tolerance, on the scaled gradient.
    check_conv_nobsmax, check_conv_nparmax : int
        Convergence is checked for fewer rows than the first and fewer parameters in θ than the second; since lme4
        1.1-38 (the defaults are those of 2.1-0), in older dialects always.
    check_nlev_gtr_1, check_nobs_vs_nlev, check_nobs_vs_nRE, check_scaleX : {"stop", "warning", "message", "ignore"}
        What to do about a grouping factor with one level, one with as many levels as rows, a term with as many random
        effects as rows, and predictors on very different scales; a message is a warning here.
    """

    max_evaluations: int = 5000
    starts: tuple[Any, ...] = ()
    singular_tol: float = 1e-4
    hessian_tol: float = 1e-6
    grad_tol: float = 2e-3
    check_conv_nobsmax: float = 10_000
    check_conv_nparmax: float = 10
    check_nlev_gtr_1: Action = "stop"
    check_nobs_vs_nlev: Action = "stop"
    check_nobs_vs_nRE: Action = "stop"
    check_scaleX: Action = "warning"

    def __post_init__(self) -> None:
        """Refuse unknown actions."""
        for name in ("check_nlev_gtr_1", "check_nobs_vs_nlev", "check_nobs_vs_nRE", "check_scaleX"):
            if getattr(self, name) not in ACTIONS:
                raise DataError(f"LmerControl: {name} is one of {', '.join(ACTIONS)}, not {getattr(self, name)!r}")

    @property
    def checks(self) -> CheckControl:
        """What is refused or warned about before the fit."""
        return CheckControl(
            nlev_gtr_1=self.check_nlev_gtr_1,
            nobs_vs_nlev=self.check_nobs_vs_nlev,
            nobs_vs_nre=self.check_nobs_vs_nRE,
            scale_x=self.check_scaleX,
        )


def lmer(
    formula: str,
    data: pd.DataFrame,
    REML: bool = True,
    *,
    control: LmerControl | None = None,
    start: Sequence[float] | np.ndarray | pd.Series | None = None,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "na.omit",
    contrasts: Mapping[str, Any] | None = None,
    data_name: str | None = None,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> "LmerFit":
    """Fit a linear mixed model, as ``lme4::lmer``.

    Parameters
    ----------
    formula : str
        In lme4's language: ``"course ~ 1 + female + (1 + female | school)"``.
    data : DataFrame of pandas or polars, pyarrow Table, or another that narwhals reads
        Categorical columns are factors, with their categories' order; results have pandas' index, or 0, 1, ...
    REML : bool
        Restricted maximum likelihood (R's default), or maximum likelihood.
    control : LmerControl, optional
        Options of the optimizer.
    start : array-like, optional
        θ to start from, in lme4's order.
    weights, offset : str, array or Series, optional
        Name of a column, or a number for each row of the data.
    subset : str or array of bool, optional
        Rows to use: a condition in R's words, or a mask.
    na_action : {"na.omit", "na.exclude", "na.fail"}
        What to do with rows that have missing values.
    contrasts : mapping, optional
        Variable -> name (``"contr.sum"``) or matrix.
    data_name : str, optional
        What ``summary()`` prints after "Data:"; default ``data.attrs["name"]``, or "data".
    dialect : Dialect, mapping or str, optional
        Whose words the fit has: a version of lme4 (``"1.1-31"``), a tested stack (``"debian-12"``) or packages with
        their versions (``"lme4 1.1-37, R 4.5.0"``). It decides what is printed, named and warned, never an estimate.
        The newest where not given; fits made from this one have its dialect.

    Returns
    -------
    LmerFit

    Raises
    ------
    FormulaError, DataError, ModelError
        Where the formula, the data or the model do not fit; R refuses too. A dialect that says nothing.

    Warns
    -----
    SingularFitWarning
        The estimated covariance matrix of the random effects is singular.
    ConvergenceWarning
        The optimizer did not reach a minimum, or the model is nearly unidentifiable.

    Examples
    --------
    >>> fit = lmer("course ~ 1 + female + (1 + female | school)", gcse, REML=False)  # doctest: +SKIP
    >>> print(fit.summary())  # doctest: +SKIP
    """
    arguments = {
        "control": control,
        "weights": weights,
        "offset": offset,
        "subset": subset,
        "na_action": na_action,
        "contrasts": contrasts,
        "data_name": data_name,
        "dialect": dialect,
    }
    _check_arguments(REML, control)
    spoken = _dialect(dialect)
    name = data_name if data_name is not None else str(getattr(data, "attrs", {}).get("name", "data"))
    # one block: going back to several threads in between would wake them for nothing
    with one_blas_thread(getattr(data, "shape", (math.inf,))[0] > _FEW):
        design = build_design(
            formula,
            data,
            weights=weights,
            offset=offset,
            subset=subset,
            na_action=na_action,
            contrasts=contrasts,
            checks=replace(LMER_CHECKS if control is None else control.checks, scale_note=scale_note(spoken)),
            dialect=spoken,
        )
        call = CallText(
            formula=design.formula,
            data=name,
            weights=_argument_text(weights, "weights"),
            offset=_argument_text(offset, "offset"),
            subset=_argument_text(subset, "subset"),
            dialect=spoken,
        )
        source = _Source(data, arguments)
        fit = None
        if _small(design):
            with one_blas_thread(not _tiny(design)):
                fit = _fit(design, REML, control or LmerControl(), start, call, source, None)
    if fit is None:
        return fit_design(design, REML, control=control, start=start, call=call, source=source)
    fit._warn()
    return fit


def _check_arguments(REML: Any, control: Any) -> None:
    """Refuse what Python would silently take as true or false, and options that are another package's."""
    if not isinstance(REML, (bool, np.bool_)) and not (isinstance(REML, (int, np.integer)) and REML in (0, 1)):
        raise DataError(f"REML is True (restricted maximum likelihood) or False (maximum likelihood), not {REML!r}.")
    if control is not None and not isinstance(control, LmerControl):
        raise DataError(
            f"control is None or LmerControl(...), not {control!r}: lme4's optimizers and their options are not there "
            "(fit.allFit() compares optimizers)."
        )


def _dialect(which: Dialect | Mapping[str, str] | str | None) -> Dialect:
    """Return the dialect that is meant; one that is not understood is refused as an argument is."""
    try:
        return Dialect.of(which)
    except ValueError as error:
        raise DataError(str(error)) from None


def _tiny(design: Design) -> bool:
    """Whether nothing is so large that BLAS would start threads, which the libraries need not be looked up for."""
    crossed = design.q - max((term.J * term.p for term in design.terms), default=0)
    return design.N <= _FEW and design.P < NARROW and crossed <= COMPILED


def _small(design: Design) -> bool:
    """Whether one BLAS thread is enough: the dense matrix of the factors that are not eliminated is small."""
    return not design.terms or design.q - max(term.J * term.p for term in design.terms) < _MANY


def _argument_text(value: Any, name: str) -> str | None:
    """How R's call would show an argument: a column's name or condition as written, an array by its name."""
    if value is None:
        return None
    if isinstance(value, str):
        return deparse(parse(value)) if name == "subset" else value
    return str(getattr(value, "name", None) or name)


@dataclass(frozen=True)
class _Source:
    """Where a fit comes from: what ``update`` needs."""

    data: pd.DataFrame
    arguments: dict[str, Any]


def _with_y(design: Design, y: np.ndarray) -> Design:
    """The design with another response."""
    return changed(design, y=y, frame_source=partial(_frame_with_y, design, y))


def _frame_with_y(design: Design, y: np.ndarray) -> pd.DataFrame:
    frame = design.frame
    return frame.assign(**{design.response: y}) if design.response in frame.columns else frame


_CANNOT_BE_COMPUTED = (
    "The criterion cannot be computed ({error}): the model fits the {N} rows exactly, or its predictors are on scales "
    "too far apart (R: Downdated VtV is not positive definite). Take effects out, or rescale."
)


def fit_design(
    design: Design,
    REML: bool = True,
    *,
    control: LmerControl | None = None,
    start: Sequence[float] | np.ndarray | pd.Series | None = None,
    call: CallText | None = None,
    source: _Source | None = None,
    blocks: Blocks | None = None,
) -> "LmerFit":
    """Fit a design that is there already.

    Parameters
    ----------
    design : Design
    REML : bool
    control : LmerControl, optional
    start : array-like, optional
        θ to start from.
    call : CallText, optional
        What the printed output shows.
    source : optional
        The data frame and arguments, for ``update``.
    blocks : Blocks, optional
        The design's cross-products, if they are there already.

    Returns
    -------
    LmerFit
    """
    options = control or LmerControl()
    with one_blas_thread(_small(design)):
        fit = _fit(design, REML, options, start, call, source, blocks)
    fit._warn(4)
    return fit


def _fit(
    design: Design,
    REML: bool,
    options: "LmerControl",
    start: Any,
    call: CallText | None,
    source: "_Source | None",
    blocks: Blocks | None,
) -> "LmerFit":
    if blocks is None:
        blocks = reduce_design(design)
    if design.P >= design.N:
        raise ModelError(
            f"{design.P} fixed effects for {design.N} rows: they fit the rows exactly, and no variance can be "
            "estimated (lme4's criterion is infinite or undefined there). Take terms out of the formula."
        )
    # without fixed effects the two criteria are one, and lme4 calls such a fit maximum likelihood
    objective = Objective(blocks, REML and design.P > 0)
    REML = objective.REML
    starts: list[np.ndarray] | None = None
    if start is not None:
        starts = [_checked_theta(start, blocks.n_theta)]
    elif options.starts:
        starts = [_checked_theta(one, blocks.n_theta) for one in options.starts]
    try:
        optimum = optimize(objective, starts, options.max_evaluations, design=design)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise ModelError(_CANNOT_BE_COMPUTED.format(error=error, N=design.N)) from error
    fit = LmerFit(design, blocks, objective, optimum, call or CallText(design.formula), source, options)
    assert optimum.steps is not None
    if any(abs(x) > _EXTREME * unit for x, unit in zip(optimum.final.tolist(), optimum.steps.tolist(), strict=True)):
        # it may not be solvable there, or not to any digit: better said now than when the first verb is called
        _refuse_rounding_errors(design, fit._estimates)
    return fit


def _refuse_rounding_errors(design: Design, estimates: Estimates) -> None:
    """Refuse estimates whose residuals are not those that the criterion was computed from."""
    residuals = design.y - estimates.fitted
    square = residuals**2 if design.weights is None else design.weights * residuals**2
    total = float(design.y @ design.y) if design.weights is None else float(design.weights @ design.y**2)
    penalised = float(square.sum()) + sum(float((u**2).sum()) for u in estimates.u)
    if not penalised <= 1.01 * estimates.prss + _LOST * total:
        raise ModelError(
            _CANNOT_BE_COMPUTED.format(
                error=f"the penalised residual sum of squares is {penalised:.2g} and not {estimates.prss:.2g}: "
                "rounding errors",
                N=design.N,
            )
        )


def _numbers(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers, not {values!r:.60}.") from error


def _checked_theta(theta: Any, n: int) -> np.ndarray:
    if isinstance(theta, Mapping) and list(theta) == ["theta"]:  # R's start = list(theta = ...)
        theta = theta["theta"]
    values = _numbers(theta, "theta").ravel()
    if values.shape != (n,):
        raise ModelError(f"theta has {values.size} elements; the model has {n}")
    if not np.isfinite(values).all():
        raise ModelError("theta has missing or infinite elements")
    return values


def _perfect_fit(design: Design, square: float, sigma: float) -> tuple[str, ...]:
    """Say so where the residuals are no more than rounding errors of the response (R's ``summary.lm`` warns too)."""
    if sigma > 10 * _EPS * math.sqrt(square / design.N):
        return ()
    return (
        f"essentially perfect fit: sigma = {sigma:.2g} is rounding error of {design.response!r}, so variances, "
        "standard errors and random effects mean nothing; is the response computed from the predictors?",
    )


def _plainly_converged(gradient: list[float], information: np.ndarray, options: LmerControl) -> bool:
    """Whether the search's own approximation of the Hessian is so far from all limits that the exact one is too."""
    smallest, largest = _extreme_eigenvalues(information)
    return bool(
        smallest > 1e2 * options.hessian_tol
        and smallest > 1e2 * options.hessian_tol * largest
        and largest * options.hessian_tol < 0.5
        and all(abs(x) < 0.1 * options.grad_tol for x in gradient)
    )


def _extreme_eigenvalues(matrix: np.ndarray) -> tuple[float, float]:
    """Smallest and largest eigenvalue of a symmetric matrix; where it is tiny without LAPACK, whose call is long."""
    if matrix.shape[0] == 1:
        return float(matrix[0, 0]), float(matrix[0, 0])
    if matrix.shape[0] == 2:
        (a, b), (_, d) = matrix.tolist()
        middle, radius = 0.5 * (a + d), math.hypot(0.5 * (a - d), b)
        return middle - radius, middle + radius
    if matrix.shape[0] <= _TINY:
        found = np.empty(matrix.shape[0])
        eigen(matrix, found, np.empty_like(matrix))
        return min(found.tolist()), max(found.tolist())
    values = np.linalg.eigvalsh(matrix)
    return float(values[0]), float(values[-1])


def _least_pivot(theta: np.ndarray, lower: np.ndarray) -> float:
    """Smallest diagonal element of Λ's templates."""
    return min((x for x, bound in zip(theta.tolist(), lower.tolist(), strict=True) if bound == 0), default=math.inf)


def _unchecked(N: int, n_theta: int, options: LmerControl, dialect: Dialect) -> bool:
    """Whether a version of lme4 leaves the convergence of a fit of this size unchecked."""
    if not dialect.has("large_fits_unchecked"):
        return False
    return not (options.check_conv_nobsmax > N and n_theta < options.check_conv_nparmax)


def _convergence_messages(
    optimum: OptSummary, least_pivot: float, N: int, options: LmerControl, dialect: Dialect
) -> tuple[str, ...]:
    """Say what lme4's ``checkConv`` and ``checkHess`` say of a fit that is not singular."""
    if optimum.return_code == 1:
        return (f"{optimum.message}; give lmer a larger LmerControl(max_evaluations=...) or another start",)
    if least_pivot < options.singular_tol or _unchecked(N, optimum.final.size, options, dialect):
        return ()
    if _plainly_converged(optimum.gradient.tolist(), optimum.information, options):
        return ()
    see = _SEE if dialect.has("see_convergence") else ""
    hessian, gradient = optimum.hessian, optimum.gradient
    texts: list[str] = []
    if not np.isfinite(hessian).all():  # the criterion cannot be computed next to the minimum
        return ("Problem with Hessian check (infinite or missing values?)",)
    values = np.linalg.eigvalsh(hessian)
    tol = options.hessian_tol
    negative, small = int((values < -tol).sum()), bool((np.abs(values) < tol).any())
    if values[0] > 0:
        scaled = np.linalg.solve(np.linalg.cholesky(hessian), gradient)
        worst = float(np.max(np.minimum(np.abs(scaled), np.abs(gradient))))
        if worst > options.grad_tol:
            texts.append(
                f"Model failed to converge with max|grad| = {worst:g} (tol = {options.grad_tol:g}, component 1){see}"
            )
    else:
        texts.append("unable to evaluate scaled gradient")
    if negative:
        texts.append(f"Model failed to converge: degenerate  Hessian with {negative} negative eigenvalues{see}")
    elif small:
        texts.append(" Hessian is numerically singular: parameters are not uniquely determined")
    else:
        if values[-1] * tol > 1:
            texts.append("Model is nearly unidentifiable: very large eigenvalue\n - Rescale variables?")
        if values[0] / values[-1] < tol:
            texts.append("Model is nearly unidentifiable: large eigenvalue ratio\n - Rescale variables?")
    return tuple(texts)


class LmerFit(ModelAccessors, LmerPlots, AfterTheLikelihoodFit):
    """A fitted linear mixed model (``lmerMod``), with R's verbs; see ``validation.contract.LinearMixedFit``.

    Made by :func:`lmer`. Everything returned is a copy; nothing changes the fit.
    """

    def __init__(
        self,
        design: Design,
        blocks: Blocks,
        objective: Objective,
        optimum: OptSummary,
        call: CallText,
        source: _Source | None,
        control: LmerControl,
        optimizer: str = _OPTIMIZER,
    ) -> None:
        self._optimizer = optimizer
        self._minimum: Minimum | None = None
        self._design = design
        self._y = design.y
        self._blocks = blocks
        self._objective = objective
        self._optimum = optimum
        self._call = call
        self._source = source
        self._control = control
        self._REML, self._value = objective.REML, optimum.final_objective
        self._least_pivot = _least_pivot(optimum.final, blocks.lower)
        self._convergence = (
            *_perfect_fit(design, float(design.y @ design.y), math.sqrt(max(0.0, optimum.prss) / objective.df)),
            *_convergence_messages(optimum, self._least_pivot, design.N, control, call.dialect),
        )

    def _refitted_at(self, minimum: Minimum, y: np.ndarray) -> "LmerFit":
        """The fit of another response where its minimum is known; most of it is made when it is asked for."""
        refits, control = self._refits, self._control
        fit = object.__new__(LmerFit)
        fit._optimizer = _OPTIMIZER
        fit._refits, fit._minimum, fit._y = refits, minimum, y
        fit._call, fit._source, fit._control = self._call, self._source, control
        fit._REML, fit._value, fit._least_pivot = self._REML, minimum.value, minimum.least_pivot
        fit._convergence = _perfect_fit(refits.design, minimum.square, math.sqrt(max(0.0, minimum.prss) / refits.df))
        if minimum.code != 0 or not (
            minimum.least_pivot < control.singular_tol
            or _plainly_converged(*minimum.plain_derivatives(refits.units), control)
        ):
            fit._convergence += _convergence_messages(
                fit._optimum, minimum.least_pivot, refits.design.N, control, self.dialect
            )
        return fit

    @cached_property
    def _refits(self) -> Refits:
        return Refits(self._design, self._blocks, self._objective)

    @cached_property
    def _fits_anew(self) -> bool:
        """Whether another response's minimum may be far from this one's, and is looked for from all starts.

        So it is where covariance matrices may carry the means of random effects, and where a few rows are all there
        is: then the criterion may have several minima.
        """
        design, blocks = self._refits.design, self._refits.blocks
        return _FEW_ROWS * (blocks.n_theta + 1) > design.N - design.P or bool(carriers(design, blocks.basis))

    # what a refit makes when it is asked for; another fit has it from the start

    @cached_property
    def _design(self) -> Design:
        return _with_y(self._refits.design, self._y)

    @cached_property
    def _blocks(self) -> Blocks:
        return self._refits.responses.blocks(self._y)

    @cached_property
    def _objective(self) -> Objective:
        return Objective(self._blocks, self._REML)

    @cached_property
    def _optimum(self) -> OptSummary:
        assert self._minimum is not None
        return self._minimum.summary(self._objective, self._control.max_evaluations)

    @cached_property
    def _estimates(self) -> Estimates:
        """What is estimated at θ̂: computed when first asked for, since a bootstrap may want less."""
        try:
            with one_blas_thread(_small(self._design)):
                solution = self._objective.solve(self._optimum.final)
                return infer(self._design, self._blocks, solution, self._REML)
        except (ModelError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise ModelError(_CANNOT_BE_COMPUTED.format(error=error, N=self._design.N)) from error

    # -- what was fitted ---------------------------------------------------------------------------

    @property
    def design(self) -> Design:  # type: ignore[override]
        """y, X, the random-effects terms and all labels."""
        return self._design

    @property
    def dialect(self) -> Dialect:
        """Whose words the fit has: versions of R, lme4 and others."""
        return self._call.dialect

    def _source_data(self) -> pd.DataFrame | None:
        return None if self._source is None else as_pandas(self._source.data)

    @property
    def formula(self) -> str:
        """The formula as R deparses it."""
        return self._design.formula

    @property
    def warnings(self) -> tuple[str, ...]:
        """Texts of the fit's warnings."""
        return (*self._design.warnings, *self._convergence)

    @property
    def messages(self) -> tuple[str, ...]:
        """Texts of the fit's messages, R's wording."""
        singular = self._singular_texts
        return (*self._design.messages, *singular)

    @property
    def optinfo(self) -> dict[str, Any]:
        """How the optimizer ended: ``optimizer``, ``feval``, ``conv``, ``message``, ``gradient``, ``Hessian``, ...

        ``summary`` is the whole :class:`~pyimpl.likelihood.optimum.OptSummary`.
        """
        optimum = self._optimum
        names = list(self._design.theta_names)
        return {
            "optimizer": self._optimizer,
            "feval": optimum.evaluations,
            "conv": optimum.return_code,
            "message": optimum.message,
            "gradient": pd.Series(optimum.gradient, index=names, name="gradient"),
            "Hessian": pd.DataFrame(optimum.hessian, index=names, columns=names),
            "val": pd.Series(optimum.final, index=names, name="theta"),
            "fval": optimum.final_objective,
            "boundary": tuple(names[i] for i in optimum.boundary),
            "warnings": self._convergence,
            "summary": optimum,
        }

    def nobs(self) -> int:
        """Rows used."""
        return self._design.N

    def ngrps(self) -> pd.Series:
        """Levels of each grouping factor: int64, indexed by factor."""
        counts: dict[str, int] = {}
        for term in self._design.terms:
            counts.setdefault(term.group, term.J)
        return pd.Series(counts, dtype="int64")

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised."""
        return self._REML

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether a diagonal element of Λ's template is below `tol`, as in R.

        That is in the predictors' own units, and so may be true of a fit whose covariance matrices are not singular, if
        a predictor's numbers are large (Hz, bytes): the fit's warning tells the two apart.
        """
        return self._least_pivot < tol

    @property
    def _singular_texts(self) -> tuple[str, ...]:
        """What is to be said of a fit that is singular by R's rule: whether it is so in the effects' own sizes, too."""
        tol = self._control.singular_tol
        if not self.isSingular(tol):
            return ()
        optimum, lower = self._optimum, self._blocks.lower
        least = math.inf if optimum.steps is None else _least_pivot(optimum.final / optimum.steps, lower)
        if optimum.steps is None or least < tol:
            return (_SINGULAR,)
        return (
            "isSingular() is TRUE, as in R, for the predictors' units alone: Lambda's smallest diagonal element is "
            f"{self._least_pivot:.2g}, but {least:.2g} for predictors of root mean square 1, so no covariance matrix "
            "is singular. Rescale the predictors of the random effects",
        )

    # -- estimates ---------------------------------------------------------------------------------

    def fixef(self) -> pd.Series:
        """Return the fixed effects by R's coefficient name."""
        return pd.Series(self._estimates.beta.copy(), index=list(self._design.coef_names), dtype=float)

    def vcov(self, full: bool = False) -> pd.DataFrame:
        """Covariance matrix of the fixed effects; `full`: of the errors of random and fixed effects, given θ."""
        if full:
            from pyimpl.inference.joint_covariance import JointCovariance

            return JointCovariance(self).full()
        names = list(self._design.coef_names)
        return pd.DataFrame(self._estimates.vcov.copy(), index=names, columns=names)

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``: Estimate, Std. Error, t value."""
        se = np.sqrt(np.diag(self._estimates.vcov))
        beta = self._estimates.beta
        table = {"Estimate": beta.copy(), "Std. Error": se, "t value": beta / se}
        return pd.DataFrame(table, index=list(self._design.coef_names))

    def sigma(self) -> float:
        """Residual standard deviation."""
        return self._estimates.sigma

    def _varcorr_pieces(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[np.ndarray, ...], float]:
        terms = self._design.terms
        groups = _varcorr_names([term.group for term in terms])
        return groups, tuple(term.effects for term in terms), self._estimates.covariances, self._estimates.sigma

    def VarCorr(self) -> VarCorrTable:
        """``as.data.frame(VarCorr(m))``: grp, var1, var2, vcov, sdcor; ``.to_text()`` is what R prints."""
        groups, effects, covariances, sigma = self._varcorr_pieces()
        rows: list[tuple[str, str | None, str | None, float, float]] = []
        for group, names, covariance in zip(groups, effects, covariances, strict=True):
            sd = np.sqrt(np.diag(covariance))
            rows += [(group, name, None, float(covariance[i, i]), float(sd[i])) for i, name in enumerate(names)]
            with np.errstate(invalid="ignore", divide="ignore"):
                for j in range(len(names)):
                    for i in range(j + 1, len(names)):
                        value = float(covariance[i, j])
                        rows.append((group, names[j], names[i], value, float(np.float64(value) / sd[i] / sd[j])))
        rows.append(("Residual", None, None, sigma**2, sigma))
        table = VarCorrTable(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])
        table._pieces = (groups, effects, covariances, sigma, self.dialect)
        return table

    def _by_factor(self) -> dict[str, list[int]]:
        """Terms of each grouping factor, in lme4's order."""
        members: dict[str, list[int]] = {}
        for i, term in enumerate(self._design.terms):
            members.setdefault(term.group, []).append(i)
        return members

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes: grouping factor -> DataFrame, level x effect (all terms of a factor side by side)."""
        terms, b = self._design.terms, self._estimates.b
        out = {}
        for group, members in self._by_factor().items():
            effects = [name for i in members for name in terms[i].effects]
            values = np.hstack([b[i] for i in members])
            out[group] = pd.DataFrame(values, index=list(terms[members[0]].levels), columns=effects)
        return out

    def ranef_frame(self) -> pd.DataFrame:
        """``as.data.frame(ranef(m))``: every conditional mode with its conditional standard deviation, in long form.

        Returns
        -------
        DataFrame
            ``grpvar``, ``term`` and ``grp`` (categoricals; the levels of `grp` in the order of their modes of the
            factor's first effect, as for a dotplot), ``condval``, ``condsd``; factor by factor, effect by effect.
        """
        return ranef_long(self.ranef(), {name: array.to_numpy() for name, array in self.ranef_condVar().items()})

    def ranef_condVar(self) -> "dict[str, xr.DataArray]":
        """Conditional variances of the modes: grouping factor -> DataArray (level, effect, effect2).

        Missing between terms of the same factor (R gives none).
        """
        import xarray as xr

        out = {}
        terms, estimates = self._design.terms, self._estimates
        for group, members in self._by_factor().items():
            effects = [name for i in members for name in terms[i].effects]
            values = np.full((terms[members[0]].J, len(effects), len(effects)), np.nan)
            at = 0
            for i in members:
                f, start = estimates.factor_of_term[i]
                p = terms[i].p
                values[:, at : at + p, at : at + p] = estimates.cond_var[f][:, start : start + p, start : start + p]
                at += p
            out[group] = xr.DataArray(
                values,
                dims=("level", "effect", "effect2"),
                coords={"level": list(terms[members[0]].levels), "effect": effects, "effect2": effects},
            )
        return out

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return the fixed effects plus conditional modes of each level: grouping factor -> DataFrame."""
        fixed = self.fixef()
        modes = self.ranef()
        missing = [name for frame in modes.values() for name in frame.columns if name not in fixed.index]
        base = pd.concat([pd.Series(0.0, index=list(dict.fromkeys(missing))), fixed]) if missing else fixed
        out = {}
        for group, frame in modes.items():
            values = np.tile(base.to_numpy(), (len(frame), 1))
            columns = list(base.index)
            for j, name in enumerate(frame.columns):
                values[:, columns.index(name)] += frame.iloc[:, j].to_numpy()
            out[group] = pd.DataFrame(values, index=frame.index, columns=columns)
        return out

    # -- criteria ----------------------------------------------------------------------------------

    @property
    def npar(self) -> int:
        """``attr(logLik(m), "df")``: fixed effects, θ and sigma."""
        return self._design.P + self._blocks.n_theta + 1

    def _criterion(self, REML: bool) -> float:
        if self._REML == REML:
            return self._value
        return self._estimates.criterion(REML, self._design.N, self._blocks.log_weights)

    def logLik(self, REML: bool | None = None) -> float:
        """Log-likelihood (for a REML fit the restricted one), all constants kept."""
        return -0.5 * self._criterion(self._REML if REML is None else REML)

    def deviance(self, REML: bool | None = None) -> float:
        """-2 log-likelihood; for a REML fit the REML criterion, with R's warning, unless ``REML=False``."""
        if REML is None and self._REML:
            _warnings.warn(
                "deviance() is deprecated for REML fits; use REMLcrit for the REML criterion or "
                "deviance(REML=False) for deviance calculated at the REML fit",
                PyimplWarning,
                stacklevel=2,
            )
            return self._criterion(True)
        return self._criterion(bool(REML))

    def REMLcrit(self) -> float:
        """-2 restricted log-likelihood, at the estimates of either criterion."""
        return self._criterion(True)

    def AIC(self) -> float:
        """``AIC(m)``: from the criterion that was optimised."""
        return -2.0 * self.logLik() + 2.0 * self.npar

    def BIC(self) -> float:
        """``BIC(m)``: from the criterion that was optimised."""
        return -2.0 * self.logLik() + math.log(self.nobs()) * self.npar

    def extractAIC(self, scale: float = 0.0, k: float = 2.0) -> tuple[int, float]:
        """``extractAIC(m, scale, k)``: number of parameters and -2 logLik + k times it, of the ML fit.

        `scale` is there as in R, and as in R it plays no part.
        """
        ml = self.refitML()
        return ml.npar, -2.0 * ml.logLik() + k * ml.npar

    def df_residual(self) -> int:
        """Rows used minus ``npar``."""
        return self.nobs() - self.npar

    def devfun(self, theta: Sequence[float] | np.ndarray | pd.Series) -> float:
        """Evaluate the optimised criterion at any θ, lme4's order (a Series is taken by position)."""
        values = _checked_theta(theta, self._blocks.n_theta)
        with one_blas_thread(_small(self._design)):
            return self._objective(values)

    # -- fitted values and predictions -------------------------------------------------------------

    def _rows(self, values: np.ndarray, name: str | None = None) -> pd.Series:
        """One number for each row used, with the data's index; na.exclude pads the rows left out."""
        series = pd.Series(values, index=self._design.index, name=name)
        design = self._design
        if design.na_action != "na.exclude" or design.omitted.size == 0 or self._source is None:
            return series
        index = Data(self._source.data).index
        kept = np.setdiff1d(np.arange(len(index)), design.omitted)
        if len(kept) != design.N:  # a subset as well: only the omitted rows come back
            if not index.is_unique:
                raise DataError("na.exclude with a subset needs a data frame whose index has no repeated labels")
            kept = index.get_indexer(design.index)
        every = np.sort(np.concatenate([kept, design.omitted]))
        padded = np.full(len(every), np.nan)
        padded[np.searchsorted(every, kept)] = values
        return pd.Series(padded, index=index[every], name=name)

    def fitted(self) -> pd.Series:
        """Conditional fitted values, with the data's index."""
        return self._rows(self._estimates.fitted.copy())

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Residuals, with the data's index.

        Parameters
        ----------
        type : {"response", "working", "pearson", "deviance"}
            The last two are multiplied by the root of the weights.
        scaled : bool
            Divide by sigma.
        """
        return self._rows(self._residuals(type, scaled))

    def _residuals(self, kind: str, scaled: bool) -> np.ndarray:
        values = self._design.y - self._estimates.fitted
        if kind in ("pearson", "deviance"):
            if self._design.weights is not None:
                values = values * np.sqrt(self._design.weights)
        elif kind not in ("response", "working"):
            raise DataError(f"residuals of type {kind!r} are not there; take response, working, pearson or deviance")
        return values / self._estimates.sigma if scaled else values

    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        re_form: Any = None,
        allow_new_levels: bool = False,
        random_only: bool = False,
        *,
        se_fit: bool = False,
        interval: "Interval | None" = None,
        **uncertainty: Any,
    ) -> Any:
        """``predict(m, newdata, re.form, allow.new.levels, random.only, se.fit)``.

        Parameters
        ----------
        newdata : data frame of any kind, optional
            Default: the rows the model was fitted to.
        re_form : None, ``"~0"``, NaN, or a formula
            None: all random effects; ``"~0"`` (or NaN): none; ``"~ (1 | g)"``: those named.
        allow_new_levels : bool
            Levels unknown to the fit (and missing ones) get the random effect 0; otherwise they are an error.
        random_only : bool
            The random effects' part alone.
        se_fit : bool
            Whether standard errors are wanted (lme4's, given θ).
        interval : {"confidence", "prediction"}, optional
            Of the mean, or of a new observation.
        **uncertainty
            ``level`` (0.95), ``ddf``, ``weights``: see :class:`pyimpl.inference.prediction.Uncertainty`.

        Returns
        -------
        Series or DataFrame
            With the index of `newdata`; missing where a predictor is missing. With `se_fit` or `interval` a frame of
            ``fit``, ``se.fit`` and, of an interval, ``lwr`` and ``upr``.

        Raises
        ------
        DataError
            A column is missing, or a level is new and `allow_new_levels` is False.
        """
        if se_fit or interval is not None or uncertainty:
            from pyimpl.inference.prediction import Uncertainty, predict_with_errors

            asked_for = Uncertainty(interval, **uncertainty)
            return predict_with_errors(self, newdata, re_form, allow_new_levels, random_only, asked_for)
        design, estimates = self._design, self._estimates
        wanted = self._wanted_effects(re_form)
        if newdata is None:
            if re_form is None and not random_only:
                return self.fitted()
            values = np.zeros(design.N)
            if not random_only:
                values = design.X @ estimates.beta if design.P else values
                if design.offset is not None:
                    values = values + design.offset
            for term, b, keep in zip(design.terms, estimates.b, wanted, strict=True):
                if keep:
                    values = values + np.einsum("ij,ij->i", term.columns[:, keep], b[term.codes][:, keep])
            return self._rows(values)
        # the columns of terms that are not asked for need not be there
        rows = design.encode(newdata, fixed=not random_only, random=[bool(keep) for keep in wanted])
        values = np.zeros(len(rows.index))
        if not random_only:
            if rows.X is not None and design.P:
                values = rows.X @ estimates.beta
            values = values + rows.offset
        asked = [(b, keep) for b, keep in zip(estimates.b, wanted, strict=True) if keep]
        for new_term, (b, keep) in zip(rows.terms, asked, strict=True):
            if not allow_new_levels:
                _refuse_new_levels(new_term.codes, new_term.new_levels, b.shape[0])
            padded = np.vstack([b, np.zeros((1, b.shape[1]))])
            codes = np.where((new_term.codes < 0) | (new_term.codes >= b.shape[0]), b.shape[0], new_term.codes)
            values = values + np.einsum("ij,ij->i", new_term.columns[:, keep], padded[codes][:, keep])
        return pd.Series(values, index=rows.index)

    def _wanted_effects(self, re_form: Any) -> list[list[int]]:
        """Which effects of each term a ``re.form`` asks for."""
        return wanted_effects(self._design, re_form)

    def simulate(
        self,
        nsim: int = 1,
        seed: int | np.random.SeedSequence | None = None,
        re_form: Any = "~0",
        use_u: bool | None = None,
        newdata: pd.DataFrame | None = None,
        allow_new_levels: bool = False,
        newparams: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """``simulate(m, nsim, seed, re.form, newdata, newparams)``: new responses from the fitted model.

        Parameters
        ----------
        nsim : int
        seed : int or SeedSequence, optional
            Of NumPy's generator (R's random numbers are others).
        re_form : optional
            ``"~0"`` (R's default): new random effects are drawn; None: conditional on the estimated ones.
        use_u : bool, optional
            Another way to say it: True conditions on the estimated random effects.
        newdata : pandas.DataFrame, optional
            Rows to simulate; default those used. The response need not be there.
        allow_new_levels : bool
            Whether `newdata` may have levels that the fit does not know. Their random effects are drawn, each level's
            its own; where `re_form` conditions on a term, they are 0, as in :meth:`predict`.
        newparams : mapping, optional
            ``"beta"``, ``"theta"``, ``"sigma"``: parameters to take instead of the estimates (for a power analysis).

        Returns
        -------
        DataFrame
            Columns ``sim_1``, ``sim_2``, ...; the data's index. As in lme4, weights play no part. Rows of `newdata`
            in which a predictor is missing are missing.

        Raises
        ------
        DataError
            `newdata` lacks a column or has a level that is not known; `newparams` do not fit the model.
        """
        from pyimpl.inference.simulation import SimulationRows, new_parameters, simulate_rows

        if not isinstance(nsim, (int, np.integer)) or nsim < 1:
            raise DataError(f"nsim must be a whole number, at least 1, not {nsim!r}")
        if use_u is not None:
            re_form = None if use_u else "~0"
        wanted = self._wanted_effects(re_form)
        estimates = new_parameters(self._design, self._blocks, self._estimates, newparams, any(wanted))
        if newdata is None:
            rows = SimulationRows.of_design(self._design)
        else:
            rows = SimulationRows.of_data(self._design, newdata)
            if not allow_new_levels:
                for term in rows.terms:
                    _refuse_new_levels(term.codes, term.new_levels, len(term.levels), "is drawn")
        values = simulate_rows(rows, estimates, wanted, nsim, np.random.default_rng(seed))
        names = [f"sim_{s + 1}" for s in range(nsim)]
        if newdata is not None:
            return pd.DataFrame(values, index=rows.index, columns=names)
        return pd.DataFrame({name: self._rows(values[:, s]) for s, name in enumerate(names)})

    def _simulated(self, seed: int | np.random.SeedSequence | None, re_form: Any) -> np.ndarray:
        """One new response for the rows used, shape (N,)."""
        from pyimpl.inference.simulation import SimulationRows, simulate_rows

        rows = SimulationRows.of_design(self._design)
        wanted = self._wanted_effects(re_form)
        return simulate_rows(rows, self._estimates, wanted, 1, np.random.default_rng(seed))[:, 0]

    # -- other fits --------------------------------------------------------------------------------

    def refit(self, newresp: Sequence[float] | np.ndarray | pd.Series | pd.DataFrame) -> "LmerFit":
        """Fit the same model to another response, started from this fit's θ.

        Parameters
        ----------
        newresp : array-like
            A number for each row used, or for each row of the data; a data frame of one column is one (R's list of
            one, which ``simulate`` gives).

        Raises
        ------
        DataError
            Another number of values, values that are missing or infinite, or several columns.
        ModelError
            The criterion cannot be computed.

        Warns
        -----
        SingularFitWarning, ConvergenceWarning
            As ``lmer``.
        """
        fit = self._refitted(newresp)
        fit._warn()
        return fit

    def _refitted(self, newresp: Any) -> "LmerFit":
        """Refit without warnings: they are the new fit's ``messages`` and ``warnings``."""
        y = self._new_response(newresp)
        start = self._warm_start
        anew = self._fits_anew
        minimum = None if anew else self._refits.minimum(y, start, self._control.max_evaluations)
        if minimum is not None and minimum.code != 2 and not minimum.largest > _EXTREME:
            return self._refitted_at(minimum, y)
        if not np.isfinite(y).all():
            raise DataError("newresp has missing or infinite values")
        design = _with_y(self._refits.design, y)
        with one_blas_thread(_small(design)):
            blocks = self._refits.responses.blocks(y)
            # a search that stuck, as on a winding ridge, is done from all starts; where a fit is made anew, the minimum
            # that this one has found may still be the lower
            stuck = minimum is not None and minimum.code == 2
            ways = [None, start] if anew else [None if stuck else start]
            fits, failed = [], None
            for way in ways:
                try:
                    fits.append(_fit(design, self._REML, self._control, way, self._call, self._source, blocks))
                except ModelError as error:  # from one start the criterion may end where it cannot be computed
                    failed = error
            if not fits:
                assert failed is not None
                raise failed
            fit = min(fits, key=lambda one: one._optimum.final_objective)
        fit._refits = self._refits  # the new fit's own refits need nothing else
        return fit

    def _warn(self, stacklevel: int = 3) -> None:
        """Give the fit's warnings."""
        for text in self._singular_texts:
            kind = SingularFitWarning if text == _SINGULAR else ConvergenceWarning
            _warnings.warn(text, kind, stacklevel=stacklevel)
        for text in self._convergence:
            _warnings.warn(text, ConvergenceWarning, stacklevel=stacklevel)

    def _new_response(self, newresp: Any) -> np.ndarray:
        """Return another response: a number for each row used, from those or from one for each row of the data."""
        if isinstance(newresp, pd.DataFrame) and newresp.shape[1] != 1:
            raise DataError(
                f"newresp has {newresp.shape[1]} columns; refit takes one response "
                "([fit.refit(y) for _, y in newresp.items()] refits to each)"
            )
        values = newresp.to_numpy() if isinstance(newresp, (pd.Series, pd.DataFrame)) else newresp
        y = _numbers(values, "newresp").flatten()  # a copy: the caller's may change
        design = self._refits.design
        if y.size != design.N and design.omitted.size and y.size == design.N + design.omitted.size:
            y = np.delete(y, design.omitted)
        if y.size != design.N:
            raise DataError(f"newresp has {y.size} values; the model uses {design.N} rows")
        return y

    @cached_property
    def _warm_start(self) -> np.ndarray:
        """θ of this fit, away from the boundary so that the search can leave it."""
        theta = self._optimum.final.copy()
        low = (self._blocks.lower == 0) & (theta < 0.05)
        theta[low] = 0.05
        return theta

    def refitML(self) -> "LmerFit":
        """Fit the same model by maximum likelihood (itself, if it is one)."""
        return self._with_REML(False)

    def _with_REML(self, REML: bool) -> "LmerFit":
        if self._REML == REML:
            return self
        return fit_design(
            self._design,
            REML,
            control=self._control,
            start=None if self._fits_anew else self._warm_start,
            call=self._call,
            source=self._source,
            blocks=self._blocks,
        )

    def update(self, formula: str | None = None, **changes: Any) -> "LmerFit":
        """``update(m, formula, ...)``: the same call with some arguments changed.

        Parameters
        ----------
        formula : str, optional
            ``". ~ . - x"``: a dot stands for the present left- or right-hand side.
        **changes
            Arguments of :func:`lmer`, ``data`` and ``REML`` included.
        """
        if self._source is None:
            raise ModelError("this fit was made from a design, not from a data frame: call lmer instead of update")
        arguments = {**self._source.arguments, **changes}
        data = arguments.pop("data", self._source.data)
        REML = arguments.pop("REML", self._REML)
        text = self.formula if formula is None else update_formula(self._explicit_formula(), formula)
        return lmer(text, data, REML, **arguments)

    def anova(
        self,
        *others: "LmerFit",
        refit: bool = True,
        model_names: Sequence[str] | None = None,
        type: str | None = None,  # noqa: A002
        ddf: str | None = None,
    ) -> AnovaTable:
        """``anova(m, ...)``: likelihood-ratio tests between models, or sequential sums of squares of one.

        REML fits are refitted by maximum likelihood first, unless ``refit=False``; models are sorted by their number
        of parameters, as in R.

        Parameters
        ----------
        *others : LmerFit
        refit : bool
        model_names : sequence of str, optional
            Row names in the order given; R takes the variables' names, the default here is ``MODEL1``, ...
        type, ddf : str, optional
            Of one model, either of them asks for lmerTest's table of F tests: hypotheses of type ``"III"`` (the
            default), ``"II"`` or ``"I"``, degrees of freedom by ``"Satterthwaite"`` (the default) or
            ``"Kenward-Roger"`` (REML fits only, as in lmerTest).
        """
        if type is not None or ddf is not None:
            if others:
                raise DataError("anova: type and ddf belong to the F tests of one model; compare models without them")
            kind, method = type or "III", ddf or "Satterthwaite"
            tests = AnovaTable(self._small_sample.f_table(kind, method))
            roman = {"1": "I", "2": "II", "3": "III"}.get(kind, kind)
            tests.heading = (f"Type {roman} Analysis of Variance Table with {method}'s method",)
            return tests
        if not others:
            return self._sequential_anova()
        fits = [self, *others]
        for other in others:
            if not isinstance(other, LmerFit):
                raise DataError(f"anova compares fits of lmer; {other!r:.60} is none")
        if len({fit.nobs() for fit in fits}) > 1:
            raise ModelError("models were not all fitted to the same size of dataset")
        names = list(model_names) if model_names is not None else [f"MODEL{i + 1}" for i in range(len(fits))]
        if len(names) != len(fits):
            raise ModelError("model names vector and model list have different lengths")
        for other in others:
            _refuse_other_data(self, other)
        if refit:
            fits = [fit.refitML() for fit in fits]
        elif len({fit.isREML() for fit in fits}) > 1:
            _warnings.warn("some models fit with REML = TRUE, some not", PyimplWarning, stacklevel=2)
        order = sorted(range(len(fits)), key=lambda i: fits[i].npar)
        fits, names = [fits[i] for i in order], [names[i] for i in order]
        npar = np.array([fit.npar for fit in fits])
        loglik = np.array([fit.logLik() for fit in fits])
        chisq = np.concatenate([[np.nan], 2 * np.maximum(0.0, np.diff(loglik))])
        df = np.concatenate([[np.nan], np.diff(npar).astype(float)])
        table = AnovaTable(
            {
                "npar": npar,
                "AIC": [fit.AIC() for fit in fits],
                "BIC": [fit.BIC() for fit in fits],
                "logLik": loglik,
                _deviance_name(self.dialect): -2 * loglik,
                "Chisq": chisq,
                "Df": df,
                "Pr(>Chisq)": _chisq_tail(chisq, df),
            },
            index=names,
        )
        heading = [f"Data: {fits[0]._call.data}"]
        if fits[0]._call.subset is not None:
            heading.append(f"Subset: {fits[0]._call.subset}")
        heading.append("Models:")
        heading += [f"{name}: {fit.formula}" for name, fit in zip(names, fits, strict=True)]
        table.heading = tuple(heading)
        return table

    def _sequential_anova(self) -> AnovaTable:
        design, estimates = self._design, self._estimates
        if not design.P:
            raise ModelError("the model has no fixed effects to test")
        root = np.linalg.cholesky(np.linalg.inv(estimates.vcov / estimates.sigma**2))
        squares = (root.T @ estimates.beta) ** 2
        rows = []
        for term in sorted(set(design.assign)):
            columns = [i for i, a in enumerate(design.assign) if a == term]
            if term == 0:
                continue
            total = float(squares[columns].sum())
            mean = total / len(columns)
            rows.append((design.term_labels[term - 1], len(columns), total, mean, mean / estimates.sigma**2))
        table = AnovaTable(
            [row[1:] for row in rows], index=[row[0] for row in rows], columns=["npar", "Sum Sq", "Mean Sq", "F value"]
        )
        table.heading = ("Analysis of Variance Table",)
        return table

    def drop1(self, test: str = "none", k: float = 2.0) -> AnovaTable:
        """``drop1(m, test, k)``: the model without each term that no other term contains, by maximum likelihood.

        Parameters
        ----------
        test : {"none", "Chisq"}
        k : float
            Penalty for each parameter in the AIC.
        """
        if test not in ("none", "Chisq"):
            raise DataError(f"test must be 'none' or 'Chisq', not {test!r}")
        design = self._design
        if design.recipe is None:
            raise ModelError("this fit was made from a design without its formula: drop1 cannot take terms away")
        terms = design.recipe.fixed.terms
        scope = [
            t.label
            for t in terms
            if not any(set(t.variables) < set(other.variables) for other in terms if other is not t)
        ]
        fits = [self.refitML(), *(self.update(f". ~ . - {label}").refitML() for label in scope)]
        if len({fit.nobs() for fit in fits}) > 1:
            raise ModelError("number of rows in use has changed: remove missing values?")
        npar = np.array([fit.npar for fit in fits], dtype=float)
        aic = np.array([-2 * fit.logLik() + k * fit.npar for fit in fits])
        df = npar[0] - npar
        df[0] = np.nan
        columns: dict[str, np.ndarray] = {"npar": df, "AIC": aic}
        if test == "Chisq":
            lrt = aic - k * npar
            lrt = lrt - lrt[0]
            lrt[0] = np.nan
            columns |= {"LRT": lrt, "Pr(Chi)": _chisq_tail(lrt, df)}
        table = AnovaTable(columns, index=["<none>", *scope] if scope else ["1"])  # R numbers a single row
        table.heading = ("Single term deletions", "\nModel:", *deparse_lines(parse(self.formula)))
        return table

    def confint(
        self,
        parm: str | Sequence[str] | None = None,
        level: float = 0.95,
        method: str = "profile",
        *,
        nsim: int = 500,
        boot_type: str = "perc",
        FUN: Callable[["LmerFit"], Any] | None = None,
        seed: int | np.random.SeedSequence | None = None,
        n_jobs: int = 1,
        progress: bool = False,
        signames: bool = True,
    ) -> pd.DataFrame:
        """``confint(m, parm, level, method)``: confidence intervals.

        Profile intervals end exactly where the signed root deviance is the normal quantile; lme4 interpolates between
        points of its profile by a spline. Where the deviance stays below it, they end at the parameter's bound.

        Parameters
        ----------
        parm : str or sequence of str, optional
            ``.sig01``, ... (standard deviations and correlations of each term; lme4 2.0 changed their order: see
            :mod:`pyimpl.likelihood.parameters`), ``.sigma``, coefficient names; or what they are, in the words of
            ``signames=False``. ``"theta_"``: all standard deviations and correlations, ``"beta_"``: the coefficients.
        level : float
        method : {"profile", "Wald", "boot"}
            R's default is the first. Wald intervals are missing for ``.sig01``, ..., ``.sigma``, as in R.
        nsim, FUN, seed, n_jobs
            For ``"boot"``: see :meth:`bootMer`; with FUN, `parm` chooses among its names.
        boot_type : {"perc", "basic", "norm"}
            For ``"boot"``.
        progress : bool
            Show a bar.
        signames : bool
            False: rows are named by what they are, ``sd_(Intercept)|g``, ``cor_x.(Intercept)|g``, ``sigma`` (lme4's
            ``oldNames = FALSE``, since 1.1-38 ``signames = FALSE``).

        Returns
        -------
        DataFrame
            Parameter x ``2.5 %``, ``97.5 %``, in the order of the fit's dialect.
        """
        from pyimpl.inference.profile import percent_labels

        if method not in ("profile", "Wald", "boot"):
            raise DataError(f"confint: method must be 'profile', 'Wald' or 'boot', not {method!r}")
        if not 0 < level < 1:
            raise DataError(f"confint: level must be between 0 and 1, not {level}")
        parameters = self._parameters
        rename = {} if signames else dict(zip(parameters.names(), parameters.names(signames=False), strict=True))
        if method == "boot":
            from pyimpl.inference.bootstrap import boot_intervals

            chosen = None if FUN is not None else parameters.choose(parm)
            boot = self.bootMer(FUN, nsim, seed, n_jobs=n_jobs, progress=progress)
            if chosen is None:
                chosen = _chosen_statistics(list(boot.columns), parm)
            intervals = boot_intervals(boot[chosen] if parm is not None else boot, level, boot_type)
            return intervals if FUN is not None else intervals.rename(index=rename)
        chosen = parameters.choose(parm)
        if method == "profile":
            profiler = self._profiler()
            with one_blas_thread(_small(self._design)):
                ends = [
                    profiler.interval(name, level)
                    for name in with_bar("confint", chosen, [1] * len(chosen), shown=progress)
                ]
            heads = percent_labels((0.5 * (1 - level), 0.5 * (1 + level)))
            return pd.DataFrame(ends, index=chosen, columns=heads).rename(index=rename)
        from scipy.special import ndtri

        tails = ((1 - level) / 2, 1 - (1 - level) / 2)
        beta, se = self._estimates.beta, np.sqrt(np.diag(self._estimates.vcov))
        missing = np.full(self._blocks.n_theta + 1, np.nan)
        bounds = {
            head: np.concatenate([missing, beta + se * float(ndtri(tail))])
            for head, tail in zip(percent_labels(tails), tails, strict=True)
        }
        return pd.DataFrame(bounds, index=list(parameters.names())).loc[chosen].rename(index=rename)

    @cached_property
    def _parameters(self) -> "Parameters":
        """What the fit's dialect calls its parameters, and in which order."""
        from pyimpl.inference.profile import parameters_of

        return parameters_of(self._design, self.dialect)

    def _profiler(self) -> "Profiler":
        from pyimpl.inference.profile import Profiler

        if self.isREML():
            with one_blas_thread(_small(self._design)):
                ml = _fit(self._design, False, self._control, self._warm_start, None, None, self._blocks)
        else:
            ml = self
        return Profiler(ml._design, ml._blocks, ml._estimates, ml._optimum.final_objective, self.dialect)

    def profile(
        self,
        which: str | Sequence[str] | None = None,
        alphamax: float = 0.01,
        maxpts: int = 100,
        delta_cutoff: float = 0.125,
        progress: bool = False,
        signames: bool = True,
    ) -> pd.DataFrame:
        """``as.data.frame(profile(m))``: the signed root of the ML deviance's rise, each parameter held in turn.

        REML fits are refitted by maximum likelihood first, as in R. Parameters are those of :meth:`confint`, on the
        scale of standard deviations and correlations.

        Parameters
        ----------
        which : str or sequence of str, optional
            Which parameters, as in :meth:`confint`; default all.
        alphamax : float
            Profiles go on until ``.zeta`` is beyond ``sqrt(qchisq(1 - alphamax, npar))``.
        maxpts : int
            Points on each side.
        delta_cutoff : float
            Steps in ``.zeta``, as a share of its end.
        progress : bool
            Show a bar.
        signames : bool
            As in :meth:`confint`.

        Returns
        -------
        DataFrame
            ``.zeta``, all parameters, ``.par`` (the one held) and ``.focal`` (its value), ascending within a parameter.

        Raises
        ------
        ModelError
            A deviance below the fit's is found: the fit was not the minimum.

        Warns
        -----
        PyimplWarning
            A profile is not monotonic, or a correlation is not defined because a variance is 0.
        """
        if not 0 < alphamax < 1 or not delta_cutoff > 0 or maxpts < 3:
            raise DataError("profile needs 0 < alphamax < 1, delta_cutoff > 0 and maxpts of at least 3")
        chosen = self._parameters.choose(which)
        profiler = self._profiler()
        with one_blas_thread(_small(self._design)):
            table = profiler.table(
                with_bar("profile", chosen, [1] * len(chosen), shown=progress), alphamax, maxpts, delta_cutoff
            )
        if signames:
            return table
        spelled = dict(zip(self._parameters.names(), self._parameters.names(signames=False), strict=True))
        return table.rename(columns=spelled).assign(**{".par": table[".par"].map(spelled)})

    def bootMer(
        self,
        FUN: Callable[["LmerFit"], Any] | None = None,
        nsim: int = 100,
        seed: int | np.random.SeedSequence | None = None,
        use_u: bool = False,
        type: str = "parametric",  # noqa: A002
        n_jobs: int = 1,
        progress: bool = False,
    ) -> pd.DataFrame:
        """``bootMer(m, FUN, nsim, seed, use.u, type)``: a statistic of refits to simulated responses.

        Parameters
        ----------
        FUN : callable, optional
            Fit -> a number, array, Series or dict of numbers, always of one length. Default: what
            ``confint(m, method = "boot")`` takes, the parameters of :meth:`confint`.
        nsim : int
            Replicates.
        seed : int or SeedSequence, optional
            Each replicate has a stream of its own, so the result depends neither on `n_jobs` nor on the backend.
        use_u : bool
            Keep the random effects as estimated instead of drawing new ones.
        type : {"parametric", "semiparametric"}
            The latter adds resampled residuals to the fitted values, and needs ``use_u=True``, as in R.
        n_jobs : int
            Workers, as joblib counts them; ``joblib.parallel_config`` chooses the backend.
        progress : bool
            Show a bar.

        Returns
        -------
        DataFrame
            Replicate x statistic. ``attrs``: ``observed`` (the statistic of this fit), ``messages`` (texts of the
            refits' messages and warnings, and how often), ``errors`` (likewise; such replicates are missing), ``seed``.

        Warns
        -----
        PyimplWarning
            Replicates failed.
        """
        from pyimpl.inference.bootstrap import bootstrap

        if type not in ("parametric", "semiparametric"):
            raise DataError(f"type must be 'parametric' or 'semiparametric', not {type!r}")
        if type == "semiparametric" and not use_u:
            raise DataError(
                "semiparametric bootstrapping with use_u=False is not implemented, as in lme4; use_u=True is"
            )
        draw = partial(_refit_to_draw, self, use_u, type == "semiparametric")
        with one_blas_thread(_small(self._design)):
            return bootstrap(self, draw, FUN or _sdcor_and_fixef, nsim, seed, n_jobs, progress)

    def rePCA(self) -> dict[str, np.ndarray]:
        """``rePCA(m)``: grouping factor -> standard deviations of its principal components, relative to sigma.

        Returns
        -------
        dict of str to ndarray, shape (p,)
            Descending, over all terms of the factor; a 0 says that the covariance matrix is singular.
        """
        templates = self._estimates.templates
        return {
            group: np.sort(np.concatenate([np.linalg.svd(templates[i], compute_uv=False) for i in members]))[::-1]
            for group, members in self._by_factor().items()
        }

    def ranova(self, reduce_terms: bool = True) -> AnovaTable:
        """``lmerTest::ranova(m, reduce.terms)`` (``rand``): likelihood-ratio tests of the random-effects terms.

        Each effect that no other contains is taken out of its term; a term of one intercept goes altogether. The fits
        are compared by the criterion of this one (REML or ML), without fixed effects changing.

        Parameters
        ----------
        reduce_terms : bool
            False: whole terms are taken away.

        Returns
        -------
        AnovaTable
            ``<none>``, then a row for each smaller model: npar, logLik, AIC, LRT, Df, Pr(>Chisq).
        """
        from pyimpl.inference.ranova import full_formula, linear_model_loglik, lrt_table, reduced_formulas

        full = full_formula(self._explicit_formula(), self.dialect)
        rows = {"<none>": (self.logLik(), self.npar)}
        for label, formula in reduced_formulas(full, self.dialect, reduce_terms).items():
            if "|" not in formula:
                rows[label] = linear_model_loglik(self._design, self.isREML())
                continue
            fit = self.update(formula)
            if fit.nobs() != self.nobs():
                raise ModelError("number of rows in use has changed: remove missing values?")
            rows[label] = (fit.logLik(), fit.npar)
        table = AnovaTable(lrt_table(rows))
        table.heading = ("ANOVA-like table for random-effects: Single term deletions", "\nModel:", full)
        return table

    rand = ranova

    def allFit(
        self, optimizers: Sequence[str] | None = None, start: Any = None, max_evaluations: int = 20_000
    ) -> "AllFit":
        """``allFit(m)``: fit the same model by several optimizers, to see whether they find the same optimum.

        Parameters
        ----------
        optimizers : sequence of str, optional
            Names from ``pyimpl.inference.allfit.OPTIMIZERS`` and ``"trust-region Newton"`` (ours); default all.
        start : array-like, optional
            θ that each starts from; default lme4's start.
        max_evaluations : int
            Of each.

        Returns
        -------
        AllFit
            A mapping of name to fit; ``str()`` and ``summary()`` are R's, ``agreement()`` compares with the best.
        """
        from pyimpl.inference.allfit import AllFit, chosen, minimise, timed
        from pyimpl.likelihood.optimum import default_start

        ours = "trust-region Newton"
        first = default_start(self._blocks) if start is None else _checked_theta(start, self._blocks.n_theta)

        def one(name: str) -> LmerFit:
            objective = Objective(self._blocks, self.isREML())
            optimum = (
                optimize(objective, None if start is None else [first], max_evaluations, design=self._design)
                if name == ours
                else minimise(objective, name, first, max_evaluations)
            )
            return LmerFit(
                self._design, self._blocks, objective, optimum, self._call, self._source, self._control, name
            )

        fits, seconds = {}, {}
        with one_blas_thread(_small(self._design)):
            for name in chosen(optimizers, ours):
                fits[name], seconds[name] = timed(partial(one, name))
        return AllFit(fits, seconds, self, self._call.data)

    # -- small samples -----------------------------------------------------------------------------

    @cached_property
    def _small_sample(self) -> "SmallSample":
        from pyimpl.inference.small_sample import SmallSample

        return SmallSample(self._design, self._estimates, self.isREML())

    def small_sample_method(self, ddf: str) -> "Satterthwaite | KenwardRoger":
        """Return the method that knows the degrees of freedom of any contrast: its ``df(row)``.

        Parameters
        ----------
        ddf : {"Satterthwaite", "Kenward-Roger"}
            The latter is that of the REML fit, for a maximum likelihood fit, too.
        """
        if ddf not in ("Satterthwaite", "Kenward-Roger"):
            raise DataError(f"ddf must be 'Satterthwaite' or 'Kenward-Roger', not {ddf!r}")
        if ddf == "Satterthwaite":
            return self._small_sample.satterthwaite
        return self._with_REML(True)._small_sample.kenward_roger

    def satterthwaite(self) -> pd.DataFrame:
        """``coef(summary(m))`` of lmerTest: Estimate, Std. Error, df (Satterthwaite's), t value, Pr(>|t|)."""
        return self._small_sample.satterthwaite_table()

    def kenward_roger(self) -> pd.DataFrame:
        """``coef(summary(m, ddf = "Kenward-Roger"))`` of lmerTest: adjusted standard errors, df, t and p values.

        A maximum likelihood fit is refitted by REML first, as ``pbkrtest::vcovAdj`` does (lmerTest refuses it).
        """
        return self._with_REML(True)._small_sample.kenward_roger_table()

    def vcovAdj(self) -> pd.DataFrame:
        """``pbkrtest::vcovAdj(m)``: Kenward and Roger's adjusted covariance matrix, of the REML fit."""
        names = list(self._design.coef_names)
        adjusted = self._with_REML(True)._small_sample.kenward_roger.adjusted
        return pd.DataFrame(adjusted.copy(), index=names, columns=names)

    def KRmodcomp(self, small: "LmerFit | str | np.ndarray | pd.DataFrame", betaH: Any = 0.0) -> pd.DataFrame:
        """``pbkrtest::KRmodcomp(m, small, betaH)$test``: Kenward and Roger's F test of a smaller model.

        Parameters
        ----------
        small : LmerFit, str or array of shape (rows, P)
            The smaller model (either way round), a formula for :meth:`update` (``". ~ . - x"``), or the matrix L of
            the hypotheses Lβ = 0.
        betaH : float or array of shape (P,)
            The hypothesis is Lβ = Lβ_H.

        Returns
        -------
        DataFrame
            Rows ``Ftest`` and ``FtestU`` (unscaled); columns stat, ndf, ddf, F.scaling, p.value. Of the REML fit.

        Raises
        ------
        ModelError
            If the models' fixed effects are the same, or not nested.
        """
        from pyimpl.inference.small_sample import full_rank_rows, restriction_matrix

        if isinstance(small, str):
            small = self.update(small)
        if isinstance(small, LmerFit):
            large = self if self._design.P >= small._design.P else small
            other = small if large is self else self
            L = restriction_matrix(large._design.X, other._design.X)
        else:
            large, L = self, full_rank_rows(np.atleast_2d(np.asarray(small, dtype=float)), self._design.P)
        return large._with_REML(True)._small_sample.modcomp(L, np.asarray(betaH, dtype=float))

    def contest(
        self,
        L: Sequence[Any] | np.ndarray | pd.DataFrame,
        rhs: float | Sequence[float] | np.ndarray = 0.0,
        joint: bool = True,
        confint: bool = True,
        level: float = 0.95,
        ddf: str = "Satterthwaite",
    ) -> pd.DataFrame:
        """``lmerTest::contest(m, L, rhs, joint, ...)``: tests of the contrasts Lβ = rhs.

        Parameters
        ----------
        L : array-like, shape (rows, P) or (P,)
            A contrast a row; of a DataFrame the index names them.
        rhs : float or array of shape (rows,)
            One number for all unless `joint`.
        joint : bool
            True: one F test of all rows; False: a t test of each.
        confint : bool
            Whether the t tests show confidence intervals of the contrasts.
        level : float
            Of these intervals.
        ddf : {"Satterthwaite", "Kenward-Roger"}

        Returns
        -------
        DataFrame
            Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F); or Estimate, Std. Error, df, t value, lower, upper,
            Pr(>|t|) of each row.

        Raises
        ------
        DataError
            L does not have a column for each coefficient, or is not finite.
        ModelError
            Kenward-Roger's method for a fit by maximum likelihood.
        """
        if not 0 < level < 1:
            raise DataError(f"contest: level must be between 0 and 1, not {level}")
        rows = np.atleast_2d(_numbers(L, "L"))
        tests = self._small_sample
        if joint:
            return tests.joint_contest(rows, _numbers(rhs, "rhs"), ddf)
        labels = [str(name) for name in L.index] if isinstance(L, pd.DataFrame) else None
        table = tests.single_contests(rows, _numbers(rhs, "rhs"), ddf, level if confint else None)
        return table if labels is None else table.set_axis(labels)

    # -- influence ---------------------------------------------------------------------------------

    def influence(
        self,
        groups: str | Sequence[str] | None = None,
        *,
        n_jobs: int = 1,
        progress: bool = False,
    ) -> "Influence":
        """``influence(m, groups)``: the model fitted again without each group, or each row of the data.

        Rows or groups of which no row is in use (missing values) are there too, as in R: without them nothing changes.
        A unit that cannot be left out (all but one level would be gone) is missing, with the reason in ``errors``.

        Parameters
        ----------
        groups : str or sequence of str, optional
            Columns of the data; their combinations are the units. Default: each row.
        n_jobs : int
            Workers, as joblib counts them; ``joblib.parallel_config`` chooses the backend.
        progress : bool
            Show a bar.

        Returns
        -------
        Influence
            With ``dfbeta()``, ``dfbetas()`` and ``cooks_distance()``. Its tables are indexed by the units, in the
            order of the data; without `groups` by the data's index (by position, if a label is there twice).
        """
        from pyimpl.inference.influence import delete_each, deletion_units

        if self._source is None:
            raise ModelError("this fit was made from a design, not from a data frame: influence cannot leave out rows")
        data = as_pandas(self._source.data)
        position = np.full(len(data), -2, dtype=np.intp)
        used = self._used_rows()
        position[self._design.omitted] = -1
        position[used] = np.arange(used.size)
        name, units = deletion_units(data, data.index, groups, position)
        whole = _pieces_of(self)
        return delete_each(partial(_refit_without, self), whole, name, units, n_jobs, progress)

    def _used_rows(self) -> np.ndarray:
        """Positions, in the data, of the rows used."""
        assert self._source is not None
        index, design = Data(self._source.data).index, self._design
        kept = np.setdiff1d(np.arange(len(index)), design.omitted)
        if len(kept) == design.N:
            return kept
        if not index.is_unique:
            raise DataError("with a subset the data frame's index must not have repeated labels: reset_index() it")
        return np.asarray(index.get_indexer(design.index), dtype=np.intp)

    def weights(self, type: str = "prior") -> pd.Series:  # noqa: A002
        """``weights(m, type)``: the weights of the rows, ones where none were given.

        Parameters
        ----------
        type : {"prior", "working"}
            Working weights of a linear model are its prior weights; lme4 gives them since 2.0-1.

        Returns
        -------
        Series
            The data's index. Since lme4 2.0-1 the rows that ``na.exclude`` left out are there, as missing.

        Raises
        ------
        DataError
            Another type.
        """
        newer = self.dialect.has("weights_of_all_rows")
        if type not in ("prior", "working") or (type == "working" and not newer):
            raise DataError(
                f"weights: type must be 'prior' or (since lme4 {CHANGES['weights_of_all_rows'].since}) 'working', not "
                f"{type!r} in the dialect of lme4 {self.dialect.versions['lme4']}"
            )
        prior = super().weights()
        return self._rows(prior.to_numpy(), None if prior.name is None else str(prior.name)) if newer else prior

    def hatvalues(self) -> pd.Series:
        """``hatvalues(m)``: the leverage of each row, the diagonal of the hat matrix; the data's index."""
        return self._rows(self._hat.copy())

    @cached_property
    def _hat(self) -> np.ndarray:
        from pyimpl.inference.leverage import hat_diagonal

        return hat_diagonal(self._design, self._estimates)

    def hat_matrix(self) -> pd.DataFrame:
        """``hatvalues(m, fullHatMatrix = TRUE)``: fitted from observed responses (both times √w)."""
        from pyimpl.inference.leverage import hat_matrix

        index = self._design.index
        return pd.DataFrame(hat_matrix(self._design, self._estimates), index=index, columns=index)

    def cooks_distance(self) -> pd.Series:
        """``cooks.distance(m)``: r²h / (σ̂² P (1 − h)²), r the Pearson residual; the data's index."""
        hat = self._hat
        with np.errstate(divide="ignore", invalid="ignore"):
            values = (self._residuals("pearson", False) / (1 - hat)) ** 2 * hat / (self.sigma() ** 2 * self._design.P)
        return self._rows(np.where(np.isinf(values), np.nan, values))

    def rstudent(self) -> pd.Series:
        """``rstudent(m)``: r / (σ̂ √(1 − h)), R's definition for merMod (σ̂ keeps the row); the data's index."""
        hat = self._hat
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self._residuals("pearson", True) / np.sqrt(1 - hat)
        return self._rows(np.where(np.isinf(values), np.nan, values))

    # -- pieces ------------------------------------------------------------------------------------

    @cached_property
    def _pieces(self) -> dict[str, Any]:
        return {}

    def getME(self, name: str | Sequence[str]) -> Any:
        """Return a piece of the model, ``getME(m, name)``; see the contract for shapes.

        Parameters
        ----------
        name : str or sequence of str
            One of ``X``, ``Z``, ``Zt``, ``Ztlist``, ``mmList``, ``y``, ``mu``, ``u``, ``b``, ``Gp``, ``Tp``,
            ``Lambda``, ``Lambdat``, ``Lind``, ``Tlist``, ``A``, ``RX``, ``sigma``, ``flist``, ``fixef``, ``beta``,
            ``theta``, ``ST``, ``REML``, ``is_REML``, ``n_rtrms``, ``n_rfacs``, ``N``, ``n``, ``p``, ``q``, ``p_i``,
            ``l_i``, ``q_i``, ``k``, ``m_i``, ``m``, ``cnms``, ``devcomp``, ``offset``, ``lower``, ``devfun``,
            ``weights``; since lme4 2.0-1 ``par`` and ``devarg`` (θ, unless covariances are structured) and ``npar``; of
            several, or ``"ALL"``, a dict. R's ``L`` and ``RZX`` are not there: they depend on the
            order in which R's sparse Cholesky factorisation takes the random effects.

        Raises
        ------
        DataError
            There is no such piece.
        """
        if not isinstance(name, str):
            return {one: self.getME(one) for one in name}
        newer = self.dialect.has("getme_par")
        known = (*_PIECES, *_NEWER_PIECES) if newer else _PIECES
        if name == "ALL":
            return {one: self.getME(one) for one in known}
        if name in _NEWER_PIECES and not newer:
            raise DataError(
                f"getME: {name!r} is there since lme4 {CHANGES['getme_par'].since}; this fit's dialect is lme4 "
                f"{self.dialect.versions['lme4']}"
            )
        from pyimpl.inference.get_me import effect_rows, st_factor, theta_index, unique_names

        design, estimates = self._design, self._estimates
        terms = design.terms
        theta_names = list(design.theta_names)
        labels = [term.label for term in terms]
        by_group = unique_names([term.group for term in terms])
        match name:
            case "theta" | "par" | "devarg":
                return pd.Series(estimates.theta.copy(), index=theta_names)
            case "lower":
                return pd.Series(self._blocks.lower.copy(), index=theta_names)
            case "beta" | "fixef":
                return self.fixef()
            case "X":
                return pd.DataFrame(design.X.copy(), index=design.index, columns=list(design.coef_names))
            case "Z":
                return design.Z.copy()
            case "Zt":
                return design.Z.T.tocsc()
            case "y":
                return pd.Series(design.y.copy(), index=design.index)
            case "mu":
                return pd.Series(estimates.fitted.copy(), index=design.index)
            case "offset":
                offset = np.zeros(design.N) if design.offset is None else design.offset.copy()
                return pd.Series(offset, index=design.index)
            case "weights":
                weights = np.ones(design.N) if design.weights is None else design.weights.copy()
                return pd.Series(weights, index=design.index)
            case "cnms":
                return dict(zip(by_group, (list(t.effects) for t in terms), strict=True))
            case "flist":
                return design.flist
            case "Lambda":
                return self._lambda()
            case "Lambdat":
                return self._lambda().T.tocsc()
            case "Tlist":
                return dict(zip(by_group, (T.copy() for T in estimates.templates), strict=True))
            case "ST":
                return dict(zip(by_group, map(st_factor, estimates.templates), strict=True))
            case "Lind":
                return theta_index(terms)
            case "A":
                return (self._lambda().T @ design.Z.T).tocsc()
            case "Ztlist":
                return effect_rows(design)
            case "mmList":
                return self.model_matrix("randomListRaw")
            case "u":
                return np.concatenate([u.ravel() for u in estimates.u])
            case "b":
                return np.concatenate([b.ravel() for b in estimates.b])
            case "Gp":
                return np.concatenate([[0], np.cumsum([t.J * t.p for t in terms])])
            case "Tp":
                sizes = np.cumsum([0, *(t.p * (t.p + 1) // 2 for t in terms)])
                return pd.Series(sizes, index=["beg__", *(t.group for t in terms)])
            case "RX":
                names = list(design.coef_names)
                root = np.linalg.cholesky(np.linalg.inv(estimates.vcov / estimates.sigma**2)).T
                return pd.DataFrame(root, index=names, columns=names)
            case "sigma":
                return estimates.sigma
            case "REML":
                return design.P if self.isREML() else 0
            case "is_REML":
                return self.isREML()
            case "n" | "N":
                return design.N
            case "p":
                return design.P
            case "q":
                return design.q
            case "m" | "npar":
                return self._blocks.n_theta
            case "k" | "n_rtrms":
                return len(terms)
            case "n_rfacs":
                return len(self.ngrps())
            case "p_i":
                return pd.Series([t.p for t in terms], index=labels)
            case "q_i":
                return pd.Series([t.J * t.p for t in terms], index=labels)
            case "m_i":
                return pd.Series([t.p * (t.p + 1) // 2 for t in terms], index=labels)
            case "l_i":
                return self.ngrps()
            case "devcomp":
                return self._devcomp()
            case "devfun":
                return self.devfun
        raise DataError(f"getME: there is no piece {name!r}; there are {', '.join(known)} and 'ALL'")

    def _devcomp(self) -> dict[str, Any]:
        """``getME(m, "devcomp")``: parts of the criterion (Bates et al. 2015, eq. 34), and sizes."""
        estimates, design = self._estimates, self._design
        ussq = float(sum((u**2).sum() for u in estimates.u))
        return {
            "cmp": {
                "ldL2": estimates.log_det_L2,
                "ldRX2": estimates.log_det_RX2,
                "wrss": estimates.prss - ussq,
                "ussq": ussq,
                "pwrss": estimates.prss,
                "REML": self._optimum.final_objective if self.isREML() else math.nan,
                "dev": math.nan if self.isREML() else self._optimum.final_objective,
                "sigmaML": math.sqrt(estimates.prss / design.N),
                "sigmaREML": math.sqrt(estimates.prss / (design.N - design.P)),
            },
            "dims": {"N": design.N, "n": design.N, "p": design.P, "nmp": design.N - design.P, "q": design.q},
        }

    def _lambda(self) -> "sparse.csc_array":
        from scipy import sparse

        blocks = [
            sparse.kron(sparse.eye_array(term.J), T, format="csc")
            for term, T in zip(self._design.terms, self._estimates.templates, strict=True)
        ]
        return sparse.csc_array(sparse.block_diag(blocks, format="csc"))

    # -- text --------------------------------------------------------------------------------------

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> LmerSummary:
        """``summary(m)``: an object whose ``str()`` is exactly what R prints.

        Parameters
        ----------
        correlation : bool, optional
            Whether the correlations of the fixed effects are shown; R's default is up to 12 coefficients.
        ddf : {"Satterthwaite", "Kenward-Roger"}, optional
            The summary of lmerTest: t tests of the coefficients with these degrees of freedom, and p values.
            ``"lme4"`` is the same as None.

        Raises
        ------
        ModelError
            Kenward-Roger's method for a fit by maximum likelihood, as in lmerTest.
        """
        if ddf not in (None, "lme4", "Satterthwaite", "Kenward-Roger"):
            raise DataError(f"summary: ddf must be 'Satterthwaite', 'Kenward-Roger' or 'lme4', not {ddf!r}")
        ddf = None if ddf == "lme4" else ddf
        if self.isREML():
            aictab = pd.Series({"REML": self._criterion(True)})
        else:
            aictab = pd.Series(
                {
                    "AIC": self.AIC(),
                    "BIC": self.BIC(),
                    "logLik": self.logLik(),
                    _deviance_name(self.dialect): self._criterion(False),
                    "df.resid": float(self.df_residual()),
                }
            )
        groups, effects, covariances, sigma = self._varcorr_pieces()
        singular = self._singular_texts
        return LmerSummary(
            REML=self.isREML(),
            call=self._call,
            aictab=aictab,
            residuals=self._residuals("pearson", True),
            groups=groups,
            effects=effects,
            covariances=covariances,
            sigma=sigma,
            ngrps=self.ngrps(),
            nobs=self.nobs(),
            coefficients=self._tested_coefficients(ddf),
            vcov=self.vcov(),
            ddf=ddf,
            fit_messages=(*self._design.messages, *(note for note in self._design.warnings if note in SCALE_NOTES)),
            convergence_messages=(*singular, *self._convergence),
            correlation=correlation,
        )

    def _tested_coefficients(self, ddf: str | None) -> pd.DataFrame:
        if ddf is None:
            return self.coef_table()
        tests = self._small_sample
        return tests.satterthwaite_table() if ddf == "Satterthwaite" else tests.kenward_roger_table()

    def __str__(self) -> str:
        return print_fit(self.summary())

    def __repr__(self) -> str:
        return print_fit(self.summary())


def _deviance_name(dialect: Dialect) -> str:
    """What tables call -2 log-likelihood."""
    return "-2*log(L)" if dialect.has("minus_two_log_lik") else "deviance"


def _sdcor_and_fixef(fit: LmerFit) -> dict[str, float]:
    """Return the statistics of ``confint(m, method = "boot")``: standard deviations, correlations, coefficients."""
    from pyimpl.inference.profile import sdcor

    estimates, parameters = fit._estimates, fit._parameters
    values = np.concatenate([sdcor(estimates.covariances), [estimates.sigma], estimates.beta])[list(parameters.order)]
    return dict(zip(parameters.names(), values.tolist(), strict=True))


def _chosen_statistics(names: Sequence[str], wanted: str | Sequence[str] | None) -> list[str]:
    """Return the statistics of a bootstrap that are meant, in their order."""
    if wanted is None:
        return list(names)
    from pyimpl.likelihood.parameters import asked_names

    asked = asked_names(wanted)
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise DataError(f"there is no parameter {unknown[0]!r}; FUN gives {', '.join(names)}")
    return [name for name in names if name in asked]


def _refit_to_draw(fit: LmerFit, use_u: bool, semiparametric: bool, seed: np.random.SeedSequence) -> LmerFit:
    """Refit to a response drawn from the model, without warnings: they are the new fit's ``messages``, ``warnings``."""
    if semiparametric:
        residuals = fit._residuals("response", False)
        y = fit._estimates.fitted + np.random.default_rng(seed).choice(residuals, size=residuals.size)
    else:
        y = fit._simulated(seed, None if use_u else "~0")
    return fit._refitted(y)


def _pieces_of(fit: LmerFit) -> "Refit":
    """What ``influence`` compares: coefficients, vcov, variances, whether converged, evaluations."""
    from pyimpl.inference.influence import variance_names, variances

    groups, _, covariances, sigma = fit._varcorr_pieces()
    components = pd.Series(variances(sigma, covariances), index=variance_names(fit._design.terms, groups))
    optimum = fit._optimum
    converged = optimum.return_code == 0 and not fit._convergence
    return fit.fixef(), fit.vcov(), components, converged, optimum.evaluations


def _refit_without(fit: LmerFit, rows: np.ndarray) -> "Refit":
    """Fit without some of the rows used, from this fit's θ, without warnings."""
    from pyimpl.inference.influence import without_rows

    with _warnings.catch_warnings():
        _warnings.simplefilter("ignore")
        design = without_rows(fit._design, rows)
        if design is None:
            assert fit._source is not None
            mask = np.zeros(len(fit._source.data), dtype=bool)
            mask[np.delete(fit._used_rows(), rows)] = True
            arguments = {k: v for k, v in fit._source.arguments.items() if k not in ("control", "data_name")}
            design = build_design(
                fit._design.call_formula, fit._source.data, checks=fit._control.checks, **{**arguments, "subset": mask}
            )
        same = design.theta_names == fit._design.theta_names
        with one_blas_thread(_small(design)):
            return _pieces_of(
                _fit(design, fit.isREML(), fit._control, fit._warm_start if same else None, fit._call, None, None)
            )


def _refuse_other_data(first: LmerFit, other: LmerFit) -> None:
    """Refuse to compare models of different data or subsets, which R knows by the text of their calls.

    Copies of a data frame are the same data; what counts are the columns that both models use.
    """
    subsets = [None if fit._source is None else fit._source.arguments.get("subset") for fit in (first, other)]
    texts = [
        fit._call.subset if isinstance(one, str) else None for fit, one in zip((first, other), subsets, strict=True)
    ]
    masks = [None if one is None or isinstance(one, str) else np.asarray(one) for one in subsets]
    same_mask = masks[0] is masks[1] if masks[0] is None or masks[1] is None else np.array_equal(masks[0], masks[1])
    if texts[0] != texts[1] or not same_mask:
        raise ModelError("all models must use the same subset: fit them with the same argument subset")
    data = [fit._source_data() for fit in (first, other)]
    if data[0] is data[1] or data[0] is None or data[1] is None:
        return
    used = [name for name in first.variable_names() if name in set(other.variable_names())]
    if data[0].shape[0] != data[1].shape[0] or not all(
        data[0][name].reset_index(drop=True).equals(data[1][name].reset_index(drop=True))
        for name in used
        if name in data[0].columns and name in data[1].columns
    ):
        raise ModelError("all models must be fit to the same data object: their data frames differ in what both use")


def _refuse_new_levels(
    codes: np.ndarray, new_levels: Sequence[str], known: int, otherwise: str = "is taken as 0"
) -> None:
    if (codes < 0).any():
        raise DataError("NAs are not allowed in prediction data for grouping variables unless allow_new_levels is True")
    used = [level for i, level in enumerate(new_levels) if (codes == known + i).any()]
    if used:
        text = ", ".join(used)
        if len(text) > 60:
            text = text[:60].rsplit(",", 1)[0] + ", ..."
        raise DataError(
            f"new levels detected in newdata: {text}. With allow_new_levels=True their random effect {otherwise}"
        )


def _varcorr_names(groups: Sequence[str]) -> tuple[str, ...]:
    """Names of the terms in ``VarCorr``: ``make.names(unique = TRUE)`` of all of them if any is repeated."""
    if len(set(groups)) == len(groups):
        return tuple(groups)
    legal = []
    for group in groups:
        name = "".join(c if c.isalnum() or c in "._" else "." for c in group)
        if not (name[:1].isalpha() or (name[:1] == "." and not name[1:2].isdigit())):
            name = "X" + name
        legal.append(name)
    taken = set(legal)
    seen: set[str] = set()
    counts: dict[str, int] = {}
    out = []
    for name in legal:
        new = name
        if name in seen:
            while new in taken:
                counts[name] = counts.get(name, 0) + 1
                new = f"{name}.{counts[name]}"
            taken.add(new)
        seen.add(name)
        out.append(new)
    return tuple(out)


def _chisq_tail(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Upper tail of the chi-squared distribution; missing where df is 0 or missing."""
    from scipy.special import chdtrc

    with np.errstate(invalid="ignore"):
        usable = (df > 0) & ~np.isnan(statistic)
    out = np.full(len(df), np.nan)
    out[usable] = chdtrc(df[usable], np.maximum(statistic[usable], 0.0))
    return out
