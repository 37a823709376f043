"""Standard errors of variance components: the unit in which tier 4 measures θ, Σ, SDs and correlations.

Neither side reports them, and an absolute or relative tolerance would be wrong for one component or another. They come
from the curvature of the profiled deviance, or from a closed form where there is none (a boundary).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from validation.algebra import Pieces

__all__ = ["ComponentErrors", "component_errors", "theta_covariance"]


@dataclass(frozen=True)
class ComponentErrors:
    """Standard errors of the covariance parameters.

    Attributes
    ----------
    theta : dict of str to float
        By name of θ; empty on the boundary, where θ has no normal approximation.
    par : dict of str to float
        By name of ``par``, where a term's covariances are structured.
    sigma : float
        Of the residual sd.
    covariance, sd, cor : dict
        By (term, effect, effect2); ``sd`` by (term, effect). Correlations only where there is a curvature.
    source : str
        ``"curvature"`` or ``"closed form"``.
    """

    theta: dict[str, float]
    sigma: float
    covariance: dict[tuple[str, str, str], float]
    sd: dict[tuple[str, str], float]
    cor: dict[tuple[str, str, str], float]
    source: str
    par: dict[str, float] = field(default_factory=dict)


def theta_covariance(
    devfun: Callable[[np.ndarray], float], theta: np.ndarray, scale: np.ndarray | None = None
) -> np.ndarray | None:
    """Asymptotic covariance of θ: twice the inverse of the profiled deviance's Hessian at θ.

    Each step is chosen so that the deviance rises by about a tenth (a third of a standard error): far above its
    rounding error, near enough for the parabola. A few per cent of error is fine for a unit. ``scale`` is the size of
    elements whose effects move the response by about σ (``Pieces.theta_scale``); 1 where not given.

    Returns
    -------
    ndarray or None
        None where the Hessian is not positive definite or not finite.
    """
    k = len(theta)
    centre = devfun(theta)
    steps = np.empty(k)
    for i in range(k):
        unit = 1.0 if scale is None else scale[i]
        step = 0.05 * max(abs(theta[i]), 0.1 * unit)
        for _ in range(20):
            direction = np.zeros(k)
            direction[i] = step
            rise = devfun(theta + direction) - centre
            if 0.02 <= rise <= 0.5:
                break
            step *= math.sqrt(0.1 / rise) if rise > 1e-9 else 8.0
            step = min(step, 1e6 * unit)
        steps[i] = step
    hessian = np.empty((k, k))
    forward = np.empty((k, k))

    def at(i: int, j: int, si: float, sj: float) -> float:
        point = theta.copy()
        point[i] += si * steps[i]
        if j != i:
            point[j] += sj * steps[j]
        return devfun(point)

    for i in range(k):
        forward[i, i] = at(i, i, 1, 0) - 2 * centre + at(i, i, -1, 0)
        hessian[i, i] = forward[i, i] / steps[i] ** 2
    for i in range(k):
        for j in range(i):
            mixed = at(i, j, 1, 1) - at(i, j, 1, -1) - at(i, j, -1, 1) + at(i, j, -1, -1)
            hessian[i, j] = hessian[j, i] = mixed / (4 * steps[i] * steps[j])
    if not np.isfinite(hessian).all():
        return None
    try:
        np.linalg.cholesky(hessian)
        covariance = 2.0 * np.linalg.inv(hessian)
    except np.linalg.LinAlgError:
        return None
    return covariance if np.isfinite(covariance).all() and (np.diag(covariance) > 0).all() else None


def component_errors(
    pieces: Pieces,
    theta: np.ndarray,
    sigma: float,
    reml: bool,
    devfun: Callable[[np.ndarray], float] | None,
) -> ComponentErrors:
    """Standard errors of θ, σ, Σ, SDs and correlations at an optimum.

    * Inside the parameter space: covariance of θ from the curvature of ``devfun`` (:func:`theta_covariance`), log σ
      with variance 1/(2 df) beside it (its correlation with θ ignored: a per cent or so), Σ, SDs and correlations by
      the delta method.
    * On the boundary, without ``devfun`` or without curvature: the balanced one-way formula, Var(Σ̂_ij) ≈ (v_ii v_jj +
      v_ij²)/J with v = Σ + σ² diag(1/s), s the mean over levels of Σ_rows z² (Searle, Casella & McCulloch 1992, section
      3.5). It is positive whenever σ is.

    Parameters
    ----------
    pieces : Pieces
    theta : ndarray
        The optimum.
    sigma : float
    reml : bool
    devfun : callable or None
        The profiled objective.
    """
    N, P = pieces.X.shape
    df = max(N - P if reml else N, 1)
    sigma_error = sigma / math.sqrt(2 * df)
    interior = not pieces.on_boundary(theta).any()
    covariance = None
    if devfun is not None and interior and len(theta) <= 21:
        covariance = theta_covariance(devfun, theta, pieces.theta_scale)
    if covariance is None:
        closed_covariance, closed_sd = _closed_form(pieces, theta, sigma)
        return ComponentErrors({}, sigma_error, closed_covariance, closed_sd, {}, "closed form")

    joint = np.zeros((len(theta) + 1, len(theta) + 1))  # (θ, log σ)
    joint[:-1, :-1] = covariance
    joint[-1, -1] = 1.0 / (2 * df)
    names, keys = _component_keys(pieces)
    values = np.append(theta, math.log(sigma))
    jacobian = np.empty((len(keys), len(values)))
    scale = np.append(pieces.theta_scale, 1.0)
    for column in range(len(values)):
        step = 1e-6 * max(scale[column], abs(values[column]))
        up, down = values.copy(), values.copy()
        up[column] += step
        down[column] -= step
        jacobian[:, column] = (_components(pieces, up) - _components(pieces, down)) / (2 * step)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, joint, jacobian), 0.0))
    result: dict[str, dict] = {"covariance": {}, "sd": {}, "cor": {}, "theta": {}}
    for kind, key, error in zip(names, keys, errors, strict=True):
        result[kind][key] = float(error)
    own = {name: float(error) for name, error in zip(pieces.theta_names, np.sqrt(np.diag(covariance)), strict=True)}
    return ComponentErrors(
        {key[0]: error for key, error in result["theta"].items()} if pieces.structured else own,
        sigma_error,
        result["covariance"],
        result["sd"],
        result["cor"],
        "curvature",
        own if pieces.structured else {},
    )


def _component_keys(pieces: Pieces) -> tuple[list[str], list[tuple[str, ...]]]:
    kinds: list[str] = []
    keys: list[tuple[str, ...]] = []
    for term in pieces.terms:
        for i in range(term.p):
            for j in range(i, term.p):
                kinds.append("covariance")
                keys.append((term.name, term.effects[i], term.effects[j]))
        for i in range(term.p):
            kinds.append("sd")
            keys.append((term.name, term.effects[i]))
        for i in range(term.p):
            for j in range(i + 1, term.p):
                kinds.append("cor")
                keys.append((term.name, term.effects[i], term.effects[j]))
    kinds.extend("theta" for _ in pieces.element_names)
    keys.extend((name,) for name in pieces.element_names)
    return kinds, keys


def _components(pieces: Pieces, values: np.ndarray) -> np.ndarray:
    theta, sigma = values[:-1], math.exp(values[-1])
    out: list[float] = []
    for term, T in zip(pieces.terms, pieces.templates(theta), strict=True):
        Sigma = sigma**2 * T @ T.T
        sds = np.sqrt(np.diag(Sigma))
        out.extend(Sigma[i, j] for i in range(term.p) for j in range(i, term.p))
        out.extend(sds)
        out.extend(Sigma[i, j] / (sds[i] * sds[j]) for i in range(term.p) for j in range(i + 1, term.p))
    if pieces.element_names:
        out.extend(pieces.elements(theta))
    return np.array(out)


def _closed_form(
    pieces: Pieces, theta: np.ndarray, sigma: float
) -> tuple[dict[tuple[str, str, str], float], dict[tuple[str, str], float]]:
    squares = pieces.squares
    covariances: dict[tuple[str, str, str], float] = {}
    sds: dict[tuple[str, str], float] = {}
    start = 0
    for term, T in zip(pieces.terms, pieces.templates(theta), strict=True):
        block = squares[start : start + term.J * term.p].reshape(term.J, term.p)
        start += term.J * term.p
        mean_squares = block.mean(axis=0)
        Sigma = sigma**2 * T @ T.T
        with np.errstate(divide="ignore"):
            v = Sigma + np.diag(sigma**2 / mean_squares)
        for i in range(term.p):
            for j in range(i, term.p):
                error = math.sqrt((v[i, i] * v[j, j] + v[i, j] ** 2) / max(term.J - 1, 1))
                covariances[term.name, term.effects[i], term.effects[j]] = error
            # An sd of 0 has no derivative with respect to the variance; its error is that of a variance's root.
            variance_error = covariances[term.name, term.effects[i], term.effects[i]]
            sd = math.sqrt(Sigma[i, i])
            sds[term.name, term.effects[i]] = (
                variance_error / (2 * sd) if sd**2 > variance_error else math.sqrt(variance_error)
            )
    return covariances, sds
