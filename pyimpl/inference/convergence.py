"""What is said of a fit: whether it converged, is singular, or fits perfectly (lme4's ``checkConv``, ``checkHess``)."""

import math

import numpy as np

from pyimpl.inference.at_optimum import AtOptimum, least_pivot
from pyimpl.inference.control import LmerControl
from pyimpl.likelihood.trust_region import symmetric_eigenvalues
from r_scripts.dialect import Dialect

__all__ = ["SINGULAR", "convergence_messages", "singular_messages"]

SINGULAR = "boundary (singular) fit: see help('isSingular')"
_SEE = "\n  See ?lme4::convergence and ?lme4::troubleshooting."
_EPS = float(np.finfo(float).eps)
_TINY = 6  # rows of a matrix for which a call of LAPACK takes longer than the work
# how far within its limits the search's approximation of the Hessian must be for the exact one not to be computed:
# factors on the smallest and the largest eigenvalue and on the gradient
_SAFE_CURVATURE, _SAFE_EIGENVALUE, _SAFE_GRADIENT = 1e2, 0.5, 0.1


def convergence_messages(model: AtOptimum, control: LmerControl, dialect: Dialect) -> tuple[str, ...]:
    """Say of a model at its optimum what lme4's ``checkConv`` and ``checkHess`` say, and whether it fits perfectly.

    Parameters
    ----------
    model : AtOptimum
    control : LmerControl
        The tolerances.
    dialect : Dialect
        Whose words, and which sizes of fits are not checked.

    Returns
    -------
    tuple of str
        Empty where there is nothing to say.
    """
    return (*_perfect_fit(model), *_unbounded(model), *_check_convergence(model, control, dialect))


def singular_messages(model: AtOptimum, control: LmerControl) -> tuple[str, ...]:
    """Say that a fit is singular by R's rule, and whether it is so in the random effects' own sizes, too.

    Returns
    -------
    tuple of str
        Empty, :data:`SINGULAR`, or that R's rule is met for the predictors' units alone.
    """
    tol = control.singular_tol
    if not model.least_pivot < tol:
        return ()
    if model.least_pivot == 0.0:  # in any units
        return (SINGULAR,)
    optsum = model.optsum
    least = math.inf if optsum.steps is None else least_pivot(optsum.final / optsum.steps, model.reduced)
    if optsum.steps is None or least < tol:
        return (SINGULAR,)
    return (
        "isSingular() is TRUE, as in R, for the predictors' units alone: Lambda's smallest diagonal element is "
        f"{model.least_pivot:.2g}, but {least:.2g} for predictors of root mean square 1, so no covariance matrix "
        "is singular. Rescale the predictors of the random effects",
    )


def _perfect_fit(model: AtOptimum) -> tuple[str, ...]:
    """Say so where the residuals are no more than rounding errors of the response (R's ``summary.lm`` warns too)."""
    design = model.refitter.design
    sigma = math.sqrt(max(0.0, model.prss) / model.refitter.objective.df)
    if sigma > 10 * _EPS * math.sqrt(model.square / design.N):
        return ()
    return (
        f"essentially perfect fit: sigma = {sigma:.2g} is rounding error of {design.response!r}, so variances, "
        "standard errors and random effects mean nothing; is the response computed from the predictors?",
    )


def _unbounded(model: AtOptimum) -> tuple[str, ...]:
    """Say so where the criterion has no lowest value (an optimizer that does not notice stops anywhere on the way)."""
    if not model.unbounded:
        return ()
    if model.optsum.converged:
        here = "This is a local minimum, of several perhaps"
    else:
        here = "The search was stopped on the way, before rounding errors took all digits: another one stops elsewhere"
    return (
        "the criterion has no lowest value that can be computed: as their variances grow, the random effects fit the "
        f"{model.design.N} rows exactly or nearly so, and it falls on. {here}; take random effects out of the formula",
    )


def _check_convergence(model: AtOptimum, control: LmerControl, dialect: Dialect) -> tuple[str, ...]:
    if model.return_code == 1:
        return (f"{model.optsum.message}; give lmer a larger LmerControl(max_evaluations=...) or another start",)
    if model.least_pivot < control.singular_tol or _unchecked(model, control, dialect):
        return ()
    if _plainly_converged(*model.derivatives(), control):
        return ()
    see = _SEE if dialect.has("see_convergence") else ""
    hessian, gradient = model.optsum.hessian, model.optsum.gradient
    texts: list[str] = []
    if not np.isfinite(hessian).all():  # the criterion cannot be computed next to the minimum
        return ("Problem with Hessian check (infinite or missing values?)",)
    values = np.linalg.eigvalsh(hessian)
    tol = control.hessian_tol
    negative, small = int((values < -tol).sum()), bool((np.abs(values) < tol).any())
    root = _cholesky_factor(hessian) if values[0] > 0 else None
    if root is not None:
        scaled = np.linalg.solve(root, gradient)
        worst = float(np.max(np.minimum(np.abs(scaled), np.abs(gradient))))
        if worst > control.grad_tol:
            texts.append(
                f"Model failed to converge with max|grad| = {worst:g} (tol = {control.grad_tol:g}, component 1){see}"
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


def _cholesky_factor(matrix: np.ndarray) -> np.ndarray | None:
    """L; None where rounding leaves none, though the smallest eigenvalue is above 0."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None


def _unchecked(model: AtOptimum, control: LmerControl, dialect: Dialect) -> bool:
    """Whether a version of lme4 leaves the convergence of a fit of this size unchecked."""
    if not dialect.has("large_fits_unchecked"):
        return False
    N, n_theta = model.refitter.design.N, model.refitter.reduced.n_theta
    return not (control.check_conv_nobsmax > N and n_theta < control.check_conv_nparmax)


def _plainly_converged(gradient: list[float], information: np.ndarray, control: LmerControl) -> bool:
    """Whether the search's own approximation of the Hessian is so far from all limits that the exact one is too.

    What R compares with the limit, the gradient or L⁻¹ times it with LL' the Hessian, is no longer than the gradient
    over the root of the Hessian's smallest eigenvalue.
    """
    smallest, largest = _extreme_eigenvalues(information)
    return bool(
        smallest > _SAFE_CURVATURE * control.hessian_tol
        and smallest > _SAFE_CURVATURE * control.hessian_tol * largest
        and largest * control.hessian_tol < _SAFE_EIGENVALUE
        and math.hypot(*gradient) < _SAFE_GRADIENT * control.grad_tol * max(1.0, math.sqrt(smallest))
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
        found = symmetric_eigenvalues(matrix)
        return min(found), max(found)
    values = np.linalg.eigvalsh(matrix)
    return float(values[0]), float(values[-1])
