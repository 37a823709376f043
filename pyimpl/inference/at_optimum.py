"""A model at the minimum of its criterion: what a fit is made of, whether a search or a refit has found it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import pandas as pd

from pyimpl.arguments import as_numbers
from pyimpl.design.design import Design
from pyimpl.errors import DataError, ModelError
from pyimpl.inference.control import LmerControl
from pyimpl.inference.estimates import Estimates, infer
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.omitted import carriers
from pyimpl.likelihood.optimum import optimize
from pyimpl.likelihood.optsummary import OptSummary
from pyimpl.likelihood.reduce import Reduced
from pyimpl.likelihood.refit import Minimum, Refits
from pyimpl.likelihood.stopped import last_computable
from pyimpl.likelihood.threads import threads_for, wants_one_thread
from pyimpl.linalg.columns import square_sum
from pyimpl.linalg.threads import one_blas_thread

__all__ = [
    "AtOptimum",
    "RefittedModel",
    "Refitter",
    "SearchedModel",
    "Theta",
    "checked_theta",
    "criterion_at",
    "find_optimum",
    "least_pivot",
    "warm_start",
    "with_response",
]

#: θ as a user gives it: numbers in lme4's order, or R's ``start = list(theta = ...)``.
Theta = Sequence[float] | np.ndarray | pd.Series | Mapping[str, Sequence[float] | np.ndarray]

# standard deviation of a random effect, in units of σ, from which the random effects fit the rows exactly or nearly so
_NEARLY_EXACT_FIT = 1e6
# share of the response's sum of squares that rounding may add to that of the residuals
_ROUNDING_SHARE = 1e-10
# residual degrees of freedom for each variance below which the criterion may have several minima, and a refit looks for
# its minimum as a first fit does
_FEW_DEGREES_OF_FREEDOM = 10

_OFF_BOUNDARY = 0.05  # smallest diagonal element of Λ's templates at a start: at 0 the gradient is 0

_CANNOT_BE_COMPUTED = (
    "The criterion cannot be computed ({error}): the model fits the {N} rows exactly, or its predictors are on scales "
    "too far apart (R: Downdated VtV is not positive definite). Take effects out, or rescale."
)


class AtOptimum(Protocol):
    """A model at the minimum of its criterion.

    Attributes
    ----------
    design : Design
    reduced : Reduced
        The design's cross-products.
    objective : Objective
        The criterion.
    optsum : OptSummary
        How the search went.
    estimates : Estimates
        What follows from θ̂.
    REML : bool
    value : float
        The criterion's minimum.
    prss : float
        r² there.
    square : float
        Σy².
    return_code : int
        ``OptSummary.return_code``.
    least_pivot : float
        Smallest diagonal element of Λ's templates, +inf where there is none.
    unbounded : bool
        Whether the criterion falls without end, so that this is a local minimum.
    refitter : Refitter
        The model without its response.
    """

    REML: bool
    value: float
    prss: float
    square: float
    return_code: int
    least_pivot: float
    unbounded: bool

    @property
    def design(self) -> Design:
        """y, X, the random-effects terms and all labels."""

    @property
    def reduced(self) -> Reduced:
        """Cross-products."""

    @property
    def objective(self) -> Objective:
        """The criterion."""

    @property
    def optsum(self) -> OptSummary:
        """How the search went."""

    @property
    def estimates(self) -> Estimates:
        """What follows from θ̂."""

    @property
    def refitter(self) -> "Refitter":
        """The model without its response."""

    def derivatives(self) -> tuple[list[float], np.ndarray]:
        """Gradient and Hessian, or the search's approximation of it, in θ but for the signs of T's columns."""


def _infer_at(model: AtOptimum) -> Estimates:
    """Infer from the solution at θ̂; computed when first asked for, since a bootstrap may want less."""
    try:
        with threads_for(model.design):
            solution = model.objective.solve(model.optsum.final)
            return infer(model.design, model.reduced, solution, model.REML)
    except (ModelError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise ModelError(_CANNOT_BE_COMPUTED.format(error=error, N=model.design.N)) from error


class SearchedModel:
    """A model whose minimum a search has found; see :class:`AtOptimum`.

    Parameters
    ----------
    design : Design
    reduced : Reduced
    objective : Objective
    optsum : OptSummary
    refitter : Refitter, optional
        That of a fit of another response, where there is one.
    """

    def __init__(
        self,
        design: Design,
        reduced: Reduced,
        objective: Objective,
        optsum: OptSummary,
        refitter: "Refitter | None" = None,
    ) -> None:
        self.design, self.reduced, self.objective, self.optsum = design, reduced, objective, optsum
        self.REML, self.value, self.return_code = objective.REML, optsum.final_objective, optsum.return_code
        self.prss, self.square = optsum.prss, square_sum(design.y)
        self.least_pivot, self.unbounded = least_pivot(optsum.final, reduced), optsum.unbounded
        if refitter is not None:
            self.refitter = refitter

    def derivatives(self) -> tuple[list[float], np.ndarray]:
        """Gradient and Hessian, or the search's approximation of it, in θ."""
        return self.optsum.gradient.tolist(), self.optsum.information

    estimates = cached_property(_infer_at)

    @cached_property
    def refitter(self) -> "Refitter":
        """The model without its response."""
        return Refitter(self.design, self.reduced, self.objective)


class RefittedModel:
    """A model whose minimum for another response is known as numbers; see :class:`AtOptimum`.

    The design with that response, its cross-products and the record of the search are made when they are asked for.

    Parameters
    ----------
    refitter : Refitter
    minimum : Minimum
    y : ndarray, shape (N,)
    budget : int
        Evaluations that the search might have taken.
    """

    def __init__(self, refitter: "Refitter", minimum: Minimum, y: np.ndarray, budget: int) -> None:
        self.refitter, self.minimum, self.y, self._budget = refitter, minimum, y, budget
        self.REML, self.value, self.return_code = refitter.objective.REML, minimum.value, minimum.code
        self.prss, self.square, self.least_pivot = minimum.prss, minimum.square, minimum.least_pivot
        self.unbounded = False  # of few rows a search is made, not a refit

    def derivatives(self) -> tuple[list[float], np.ndarray]:
        """Gradient and Hessian, or the search's approximation of it, in θ but for the signs of T's columns."""
        return self.minimum.plain_derivatives(self.refitter.refits.units)

    @cached_property
    def design(self) -> Design:
        """The design with the new response."""
        return with_response(self.refitter.design, self.y)

    @cached_property
    def reduced(self) -> Reduced:
        """Cross-products with the new response."""
        return self.refitter.refits.responses.blocks(self.y)

    @cached_property
    def objective(self) -> Objective:
        """The new response's criterion."""
        return Objective(self.reduced, self.REML)

    @cached_property
    def optsum(self) -> OptSummary:
        """How the search went."""
        return self.minimum.summary(self.objective, self._budget)

    estimates = cached_property(_infer_at)


class Refitter:
    """A model without its response, which all its refits share.

    Parameters
    ----------
    design : Design
    reduced : Reduced
    objective : Objective
    """

    def __init__(self, design: Design, reduced: Reduced, objective: Objective) -> None:
        self.design, self.reduced, self.objective = design, reduced, objective

    @cached_property
    def refits(self) -> Refits:
        """The compiled search from a response to the minimum."""
        return Refits(self.design, self.reduced, self.objective)

    @cached_property
    def _one_thread(self) -> bool:
        """Whether BLAS is to have one thread in a search."""
        return wants_one_thread(self.design, skip_tiny=True)

    @cached_property
    def several_minima(self) -> bool:
        """Whether another response's minimum may be far from this one's, and is looked for from all starts.

        So it is where covariance matrices may carry the means of random effects, and where a few rows are all there
        is: then the criterion may have several minima.
        """
        design, reduced = self.design, self.reduced
        few = _FEW_DEGREES_OF_FREEDOM * (reduced.n_theta + 1) > design.N - design.P
        return few or bool(carriers(design, reduced.fixed.basis))

    def refit(self, y: np.ndarray, start: np.ndarray, control: LmerControl) -> AtOptimum:
        """Fit the model to another response.

        Parameters
        ----------
        y : ndarray of float, shape (N,)
        start : ndarray, shape (n_theta,)
            θ that is near the minimum.
        control : LmerControl

        Raises
        ------
        DataError
            Values are missing or infinite.
        ModelError
            The criterion cannot be computed from any start.
        """
        minimum = None
        if not self.several_minima:
            with one_blas_thread(self._one_thread):
                minimum = self.refits.minimum(y, start, control.max_evaluations)
        if minimum is not None and minimum.code != 2 and not minimum.largest > _NEARLY_EXACT_FIT:
            return RefittedModel(self, minimum, y, control.max_evaluations)
        if not np.isfinite(y).all():
            raise DataError("newresp has missing or infinite values")
        design = with_response(self.design, y)
        with threads_for(design):
            reduced = self.refits.responses.blocks(y)
        # a search that stuck, as on a winding ridge, is done from all starts; where there may be several minima, that
        # which this start leads to may still be the lower
        stuck = minimum is not None and minimum.code == 2
        ways = [None, start] if self.several_minima else [None if stuck else start]
        found, failure = [], None
        for way in ways:
            try:
                found.append(find_optimum(design, reduced, self.objective.REML, control, way, self))
            except ModelError as error:  # from one start the criterion may end where it cannot be computed
                failure = error
        if not found:
            assert failure is not None
            raise failure
        return min(found, key=lambda one: one.value)

    def response(
        self,
        newresp: Sequence[float] | np.ndarray | pd.Series | pd.DataFrame,
        used: Callable[[np.ndarray], np.ndarray] = lambda values: values,
    ) -> np.ndarray:
        """Return another response: a number for each row used, from those or from one for each row of the data.

        Parameters
        ----------
        newresp : array-like
        used : callable, optional
            Takes the rows used out of all rows of the data.

        Raises
        ------
        DataError
            Several columns, another number of values, or none that are numbers.
        """
        if isinstance(newresp, pd.DataFrame) and newresp.shape[1] != 1:
            raise DataError(
                f"newresp has {newresp.shape[1]} columns; refit takes one response "
                "([fit.refit(y) for _, y in newresp.items()] refits to each)"
            )
        values = newresp.to_numpy() if isinstance(newresp, (pd.Series, pd.DataFrame)) else newresp
        y = as_numbers(values, "newresp").flatten()  # a copy: the caller's may change
        design = self.design
        if y.size != design.N and design.omitted.size and y.size == design.N + design.omitted.size:
            y = np.delete(y, design.omitted)
        y = used(y)
        if y.size != design.N:
            raise DataError(f"newresp has {y.size} values; the model uses {design.N} rows")
        return y


def find_optimum(
    design: Design,
    reduced: Reduced,
    REML: bool,
    control: LmerControl,
    start: Theta | None = None,
    refitter: Refitter | None = None,
) -> SearchedModel:
    """Minimise the criterion over θ (lme4's ``mkLmerDevfun`` and ``optimizeLmer``).

    Parameters
    ----------
    design : Design
    reduced : Reduced
        The design's cross-products.
    REML : bool
    control : LmerControl
    start : array-like, optional
        θ to start from.
    refitter : Refitter, optional
        That of a fit of another response, where there is one.

    Raises
    ------
    ModelError
        There are as many fixed effects as rows, or the criterion cannot be computed.
    """
    if design.P >= design.N:
        raise ModelError(
            f"{design.P} fixed effects for {design.N} rows: they fit the rows exactly, and no variance can be "
            "estimated (lme4's criterion is infinite or undefined there). Take terms out of the formula."
        )
    starts = control.starts if start is None else (start,)
    thetas = [checked_theta(one, reduced.n_theta) for one in starts] or None
    with threads_for(design, skip_tiny=True):
        # without fixed effects the two criteria are one, and lme4 calls such a fit maximum likelihood
        objective = Objective(reduced, REML and design.P > 0)
        try:
            optsum = optimize(objective, thetas, control.max_evaluations, design=design)
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            raise ModelError(_CANNOT_BE_COMPUTED.format(error=error, N=design.N)) from error
    model = SearchedModel(design, reduced, objective, optsum, refitter)
    assert optsum.steps is not None
    sizes = zip(optsum.final.tolist(), optsum.steps.tolist(), strict=True)
    if any(abs(x) > _NEARLY_EXACT_FIT * unit for x, unit in sizes):
        # it may not be solvable there, or not to any digit: better said now than when the first verb is called
        def solved(summary: OptSummary) -> SearchedModel:
            one = SearchedModel(design, reduced, objective, summary, refitter)
            _refuse_rounding_errors(design, one.estimates)
            return one

        def computable(summary: OptSummary) -> bool:
            try:
                solved(summary)
            except ModelError:
                return False
            return True

        try:
            return solved(optsum)
        except ModelError:
            other = optsum.local or last_computable(objective, computable)
            if other is None:
                raise
            return SearchedModel(design, reduced, objective, other, refitter)
    return model


def _refuse_rounding_errors(design: Design, estimates: Estimates) -> None:
    """Refuse estimates whose residuals are not those that the criterion was computed from."""
    residuals = design.y - estimates.fitted
    square = residuals**2 if design.weights is None else design.weights * residuals**2
    total = square_sum(design.y) if design.weights is None else float(design.weights @ design.y**2)
    penalised = float(square.sum()) + sum(float((u**2).sum()) for u in estimates.u)
    if not penalised <= 1.01 * estimates.prss + _ROUNDING_SHARE * total:
        raise ModelError(
            _CANNOT_BE_COMPUTED.format(
                error=f"the penalised residual sum of squares is {penalised:.2g} and not {estimates.prss:.2g}: "
                "rounding errors",
                N=design.N,
            )
        )


def least_pivot(theta: np.ndarray, reduced: Reduced) -> float:
    """Smallest diagonal element of Λ's templates, +inf where there is none.

    With structured covariances: the smallest distance of a parameter from its bounds.

    Parameters
    ----------
    theta : ndarray, shape (n_theta,)
    reduced : Reduced
        Its lower bounds are 0 on the diagonals.
    """
    if reduced.structure is not None:
        return reduced.structure.distance(theta)
    bounds = reduced.lower.tolist()
    return min((x for x, bound in zip(theta.tolist(), bounds, strict=True) if bound == 0), default=math.inf)


def warm_start(model: AtOptimum) -> np.ndarray:
    """θ̂, moved away from the boundary so that another search can leave it, shape (n_theta,)."""
    theta = model.optsum.final.copy()
    theta[(model.reduced.lower == 0) & (theta < _OFF_BOUNDARY)] = _OFF_BOUNDARY
    structure = model.reduced.structure
    return theta if structure is None else structure.inside(theta, _OFF_BOUNDARY)


def checked_theta(theta: Theta, n: int) -> np.ndarray:
    """Return θ as an array.

    Parameters
    ----------
    theta : array-like or mapping
    n : int
        How many elements the model's has.

    Raises
    ------
    DataError, ModelError
        Where there are no numbers, another count of them, or some that are missing or infinite.
    """
    if isinstance(theta, Mapping) and list(theta) == ["theta"]:  # R's start = list(theta = ...)
        theta = theta["theta"]
    values = as_numbers(theta, "theta").ravel()
    if values.shape != (n,):
        raise ModelError(f"theta has {values.size} elements; the model has {n}")
    if not np.isfinite(values).all():
        raise ModelError("theta has missing or infinite elements")
    return values


def criterion_at(model: AtOptimum, theta: Theta) -> float:
    """Evaluate a model's criterion at any θ, in lme4's order (a Series is taken by position)."""
    values = checked_theta(theta, model.reduced.n_theta)
    with threads_for(model.design):
        return model.objective(values)


def with_response(design: Design, y: np.ndarray) -> Design:
    """The design with another response, shape (N,); also in its model frame."""
    return replace(design, y=y, frame_source=partial(_frame_with_response, design, y))


def _frame_with_response(design: Design, y: np.ndarray) -> pd.DataFrame:
    frame = design.frame
    return frame.assign(**{design.response: y}) if design.response in frame.columns else frame
