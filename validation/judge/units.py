"""An objective near its optimum: its rounding error, and from its curvature the standard errors of variance components.

These are the unit in which tier 4 measures θ, Σ, SDs and correlations. Neither side reports them, and an absolute or
relative tolerance would be wrong for one component or another. They come from the curvature of the profiled deviance,
or from a closed form where there is none (a boundary).
"""

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from validation.algebra import Pieces
from validation.quantities import Key, named, quietly

#: Relative step between the points, and their number: 13 fourth differences.
_STEP, _POINTS = 1e-9, 17


class Objective:
    """A side's objective as a function of θ, asked at several points at once: R answers after the time of a message.

    ``at_rows`` takes a matrix with a row for each θ, where the side can.
    """

    def __init__(
        self, at_one: Callable[[np.ndarray], float], at_rows: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self._at_one, self._at_rows = at_one, at_rows
        self._known: dict[bytes, float] = {}

    def __call__(self, theta: np.ndarray) -> float:
        """The value at θ."""
        point = np.asarray(theta, dtype=float)
        known = self._known.get(point.tobytes())
        return self._at_one(point) if known is None else known

    def ask(self, points: Iterable[np.ndarray]) -> None:
        """Have the values at several points; what fails there is asked, and fails, one point at a time."""
        at_rows = self._at_rows
        if at_rows is not None:
            rows = np.array(list(points), dtype=float)
            values = quietly(lambda: dict(zip((row.tobytes() for row in rows), at_rows(rows), strict=True)), {})
            self._known |= {point: float(value) for point, value in values.items()}


def ask_ahead(objective: Callable[[np.ndarray], float], points: Iterable[np.ndarray]) -> None:
    """:meth:`Objective.ask`, of what is one."""
    if isinstance(objective, Objective):
        objective.ask(points)


def measured_noise(objective: Callable[[np.ndarray], float], theta: np.ndarray, seed: int = 1) -> float:
    """Measure the standard deviation of the rounding errors of an objective near θ; NaN where a value is not finite.

    Along a line so short that a smooth function is a low polynomial on it, fourth differences of the values hold
    nothing but rounding errors: with independent errors of standard deviation ν their variance is (8!/(4!)²) ν² = 70 ν²
    (Moré & Wild 2011, SIAM J. Sci. Comput. 33(3), eq. 3.1). All steps are upwards, in a random direction, so that a θ
    on its lower bound stays feasible.
    """
    direction = np.random.default_rng(seed).uniform(0.5, 1.5, size=theta.size) * np.maximum(np.abs(theta), 1e-2)
    points = [theta + i * _STEP * direction for i in range(_POINTS)]
    ask_ahead(objective, points)
    values = np.array([objective(point) for point in points], dtype=float)
    if not np.isfinite(values).all():
        return float("nan")
    return float(np.sqrt(np.mean(np.square(np.diff(values, 4))) / 70.0))


@dataclass(frozen=True)
class ComponentErrors:
    """Standard errors of θ, ``par`` (where a term's covariances are structured), σ, Σ, SDs and correlations.

    Of θ, ``par`` and correlations only where there is a curvature: on the boundary they have no normal approximation.
    """

    known: dict[Key, float]
    source: str  # "curvature" or "closed form"

    def of(self, quantity: str, group: str | None, term: str | None = None, term2: str | None = None) -> float:
        """One of them, of a pair of effects in either order; NaN where it is not known."""
        given = self.known.get((quantity, group, term, term2, None), math.nan)
        return given if term2 is None else self.known.get((quantity, group, term2, term, None), given)


def theta_covariance(devfun: Callable[[np.ndarray], float], theta: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """Asymptotic covariance of θ: twice the inverse of the profiled deviance's Hessian at θ.

    Each step is chosen so that the deviance rises by about a tenth (a third of a standard error): far above its
    rounding error, near enough for the parabola. A few per cent of error is fine for a unit. ``scale`` is the size of
    elements whose effects move the response by about σ (``Pieces.theta_scale``). None where the Hessian is not positive
    definite or not finite.
    """
    centre = devfun(theta)
    steps = 0.05 * np.maximum(np.abs(theta), 0.1 * scale)
    for i, along in enumerate(np.eye(len(theta))):
        for _ in range(20):
            rise = devfun(theta + steps[i] * along) - centre
            if 0.02 <= rise <= 0.5:
                break
            steps[i] = min(steps[i] * (math.sqrt(0.1 / rise) if rise > 1e-9 else 8.0), 1e6 * scale[i])
    hessian = curvature(devfun, theta, steps)
    if not np.isfinite(hessian).all():
        return None
    try:
        np.linalg.cholesky(hessian)
        covariance = 2.0 * np.linalg.inv(hessian)
    except np.linalg.LinAlgError:
        return None
    return covariance if np.isfinite(covariance).all() and (np.diag(covariance) > 0).all() else None


def curvature(devfun: Callable[[np.ndarray], float], theta: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The Hessian of an objective at θ by central differences, with a step of this size along each coordinate."""
    k, centre, steps = len(theta), devfun(theta), np.diag(size)
    beside = [(i, theta + sign * step) for i, step in enumerate(steps) for sign in (1.0, -1.0)]
    corners = [side + sign * step for i, side in beside for step in steps[:i] for sign in (1.0, -1.0)]
    ask_ahead(devfun, [*(side for _, side in beside), *corners])
    hessian = np.empty((k, k))
    for i in range(k):
        up, down = theta + steps[i], theta - steps[i]
        hessian[i, i] = (devfun(up) - 2 * centre + devfun(down)) / steps[i, i] ** 2
        for j in range(i):
            mixed = devfun(up + steps[j]) - devfun(up - steps[j]) - devfun(down + steps[j]) + devfun(down - steps[j])
            hessian[i, j] = hessian[j, i] = mixed / (4 * steps[i, i] * steps[j, j])
    return hessian


def component_errors(
    pieces: Pieces, theta: np.ndarray, sigma: float, reml: bool, *devfuns: Callable[[np.ndarray], float]
) -> ComponentErrors:
    """Standard errors of θ, σ, Σ, SDs and correlations at an optimum.

    * Inside the parameter space: covariance of θ from the curvature (:func:`theta_covariance`) of the first function
      that has one, log σ with variance 1/(2 df) beside it (its correlation with θ ignored: a per cent or so), Σ, SDs
      and correlations by the delta method.
    * On the boundary, without a function or without curvature: the balanced one-way formula, Var(Σ̂_ij) ≈ (v_ii v_jj +
      v_ij²)/J with v = Σ + σ² diag(1/s), s the mean over levels of Σ_rows z² (Searle, Casella & McCulloch 1992, section
      3.5). It is positive whenever σ is.
    """
    N, P = pieces.X.shape
    df = max(N - P if reml else N, 1)
    of_sigma = sigma / math.sqrt(2 * df)
    known: dict[Key, float] = {
        named("sigma"): of_sigma,
        named("sd", "Residual"): of_sigma,
        named("variance", "Residual"): 2.0 * sigma * of_sigma,
    }
    inside, covariance = not pieces.on_boundary(theta).any() and len(theta) <= 21, None
    for devfun in devfuns if inside else ():
        with contextlib.suppress(Exception):  # a function that fails beside its optimum: the next one
            covariance = theta_covariance(devfun, theta, pieces.theta_scale)
        if covariance is not None:
            break
    if covariance is None:
        return ComponentErrors(known | _closed_form(pieces, theta, sigma), "closed form")

    joint = block_diag(covariance, 1.0 / (2 * df))  # (θ, log σ)

    def numbers(values: np.ndarray) -> dict[Key, float]:
        found = pieces.components(values[:-1], math.exp(values[-1]))
        elements = pieces.elements(values[:-1]) if pieces.element_names else ()
        return found | {
            named("theta", term=name): value for name, value in zip(pieces.element_names, elements, strict=True)
        }

    values, scale = np.append(theta, math.log(sigma)), np.append(pieces.theta_scale, 1.0)
    jacobian = []
    for column, step in enumerate(1e-6 * np.maximum(scale, np.abs(values))):
        move = np.where(np.arange(len(values)) == column, step, 0.0)
        up, down = numbers(values + move), numbers(values - move)
        jacobian.append([(up[key] - down[key]) / (2 * step) for key in up])
    errors = np.sqrt(np.maximum(np.einsum("ji,jk,ki->i", jacobian, joint, jacobian), 0.0))
    known |= {key: float(error) for key, error in zip(numbers(values), errors, strict=True)}
    own = "par" if pieces.structured else "theta"
    sds = zip(pieces.theta_names, np.sqrt(np.diag(covariance)), strict=True)
    return ComponentErrors(known | {named(own, term=name): float(error) for name, error in sds}, "curvature")


def _closed_form(pieces: Pieces, theta: np.ndarray, sigma: float) -> dict[Key, float]:
    found: dict[Key, float] = {}
    parts = zip(pieces.terms, pieces.templates(theta), pieces.by_level(pieces.squares), strict=True)
    for term, T, block in parts:
        Sigma = sigma**2 * T @ T.T
        with np.errstate(divide="ignore"):
            v = Sigma + np.diag(sigma**2 / block.mean(axis=0))
        error = np.sqrt((np.outer(np.diag(v), np.diag(v)) + v**2) / max(term.J - 1, 1))
        for i, first in enumerate(term.effects):
            own, sd = float(error[i, i]), math.sqrt(Sigma[i, i])
            found["variance", term.name, first, None, None] = own
            # An sd of 0 has no derivative with respect to the variance; its error is that of a variance's root.
            found["sd", term.name, first, None, None] = own / (2 * sd) if sd**2 > own else math.sqrt(own)
            for j in range(i + 1, term.p):
                found["covariance", term.name, first, term.effects[j], None] = float(error[i, j])
    return found
