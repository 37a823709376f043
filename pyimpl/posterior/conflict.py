"""Where priors and data disagree: what disagrees with what, and all modes that the posterior may have then.

A prior far from the data leaves two places for the posterior to be: where the data are, in a tail of the prior, or
where the prior is, with a residual standard deviation large enough for the data. Heavy tails (``student_t``,
``cauchy``, the horseshoes) favour the first, light ones the second, and both may count. So the search begins in both,
and where the best of a grid of scales is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize

from pyimpl.errors import ModelError
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.coordinates import SamplerCoordinates
from pyimpl.posterior.full import cornish_fisher_t
from pyimpl.posterior.gradient import log_density_gradient
from pyimpl.posterior.mixtures import MAX_SCORE
from pyimpl.posterior.specification import EXPONENTIAL, FLAT, STUDENT_T

__all__ = ["Mode", "disagreements", "find_modes", "is_easy", "only_mode", "refuse_if_coarse", "stands_at", "unexplored"]

_FAR = 5.0  # standard deviations between prior and data from which one start is not enough
_AT_MODE = 0.1  # what Newton's step may still add to the log density at a point that is taken for the mode
_COARSE = 0.1  # distance of neighbouring floating-point numbers that a log density may have: acceptances err as much
_NARROW = 1e-3  # standard error over prior scale below which a coefficient that is a coordinate is hard to find
_MATTERS = 20.0  # log of the mass of the best mode over that of a mode that is left out
_UNEVEN = 1e8  # largest weight over smallest from which one row may be all that counts
_SCORES = (-8.0, -4.0, -1.0, 1.0, 3.0, 5.0, 7.0, 9.0, 12.0, 18.0, 28.0)  # tried for a prior's scales
_MOST_SCORES = 2000  # combinations of them
_STEPS = 60  # of Newton's method

Gradient = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Mode:
    """A mode of the collapsed density in the sampler's coordinates.

    Attributes
    ----------
    location : ndarray, shape (dim,)
    covariance : ndarray, shape (dim, dim)
        Inverse of the negative Hessian.
    log_mass : float
        Laplace's approximation of the integral around it.
    """

    location: np.ndarray
    covariance: np.ndarray
    log_mass: float


def _coefficient_scales(density: CollapsedDensity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prior means (nan: flat), prior scales and rough standard errors of (γ, β), each of shape (P,)."""
    spec, sd = density.spec, density.residual_sd
    means, scales = [], []
    if spec.has_intercept:
        flat = spec.intercept.dist == FLAT
        means.append(np.array([np.nan]) if flat else spec.intercept.mean)
        scales.append(spec.intercept.scale)
    if spec.K:
        means.append(np.full(spec.K, np.nan) if spec.coef.dist == FLAT else spec.coef.mean)
        if density.mixture is None:
            scales.append(spec.coef.scale)
        else:
            scales.append(density.mixture.sd(np.zeros((1, density.mixture.dim)), np.array([sd]))[0])
    if not means:
        return np.empty(0), np.empty(0), np.empty(0)
    size = density.column_sizes
    fewest = min(term.J for term in spec.terms)  # the effects of a term may vary as much as the residuals
    errors = sd / np.where(size > 0, size, np.inf) / np.sqrt(fewest)
    return np.concatenate(means), np.concatenate(scales), errors


def _distances(density: CollapsedDensity) -> np.ndarray:
    """How many standard deviations lie between prior mean and least squares, shape (P,); 0 under a flat prior."""
    mean, scale, error = _coefficient_scales(density)
    away = np.abs(mean - density.centre) / np.hypot(scale, np.maximum(error, 1e-300))
    return np.nan_to_num(away, nan=0.0, posinf=1e300)


def disagreements(density: CollapsedDensity) -> list[str]:
    """Say which priors are far from what the data say, with numbers; empty where none is.

    Parameters
    ----------
    density : CollapsedDensity

    Returns
    -------
    list of str
    """
    spec = density.spec
    if spec.prior_PD:
        return []
    out = []
    mean, scale, error = _coefficient_scales(density)
    for k, away in enumerate(_distances(density)):
        if away <= _FAR:
            continue
        own = spec.has_intercept and k == 0
        name = "prior_intercept" if own else f"prior of {spec.design.coef_names[k]}"
        if spec.R_inv is not None and not own:
            name = f"prior of predictor {k + 1 - int(spec.has_intercept)} of QR"
        out.append(
            f"{name}: {mean[k]:g} with scale {scale[k]:.3g}, while the data say {density.centre[k]:.4g} ± "
            f"{error[k]:.2g} ({away:.3g} standard deviations apart)"
        )
    sd, aux = density.residual_sd, spec.aux
    if aux.dist != FLAT:
        low = max(float(aux.mean[0]), 0.0) if aux.dist != EXPONENTIAL else 0.0
        high = low + 20 * float(aux.scale[0])
        if not low / 3 < sd < high:
            out.append(
                f"prior_aux: sigma between {low:g} and about {low + float(aux.scale[0]):.3g}, while the residuals' "
                f"standard deviation is {sd:.3g}"
            )
    if spec.weights is not None:
        used = spec.weights[spec.weights > 0]
        if used.size and used.max() > _UNEVEN * used.min():
            out.append(
                f"weights: from {used.min():.3g} to {used.max():.3g}; they multiply the rows' log densities, so "
                "that one row may outweigh all others and the priors"
            )
    for i, term in enumerate(spec.terms):
        typical = float(spec.shape[i] * spec.scale[i])
        if typical > 100 and spec.shape[i] > 20:
            out.append(
                f"prior_covariance: decov() with shape {spec.shape[i]:g} and scale {spec.scale[i]:g} puts the standard "
                f"deviations of {term.group} near {typical:.3g} times sigma"
            )
    return out


def is_easy(density: CollapsedDensity) -> bool:
    """Whether one start, and steps of one size, find the mode: priors and data agree, in place and in size."""
    if density.spec.prior_PD:
        return True
    if density.sampled.size:
        _, scale, error = _coefficient_scales(density)
        if (error[density.sampled] < _NARROW * scale[density.sampled]).any():
            return False
    return not disagreements(density)


def unexplored(density: CollapsedDensity) -> ModelError:
    """Make the error for a posterior that no sampler gets around in, with the priors that are to blame as far as known.

    Parameters
    ----------
    density : CollapsedDensity
    """
    found = disagreements(density)
    if found:
        why = f"Priors and data are very far apart: {'; '.join(found)}. Check locations, scales and units of the priors"
    else:
        why = (
            "It is not known why: no prior was found to be far from what the data say. Look at prior_intercept, prior, "
            "prior_aux and prior_covariance (locations, scales, units), and for terms that the data cannot tell apart"
        )
    return ModelError(
        f"The posterior could not be explored around its mode. {why}; autoscale=True takes the units from the data; "
        'sampler="nuts" samples the full model.'
    )


def stands_at(slope: np.ndarray, covariance: np.ndarray) -> bool:
    """Whether a point is the mode: Newton's step from it would hardly add to the log density.

    A quasi-Newton search stops far from the mode where coordinates differ much in width (weights of 1e12).

    Parameters
    ----------
    slope : ndarray, shape (dim,)
        Gradient of the log density there.
    covariance : ndarray, shape (dim, dim)
        Inverse of the negative Hessian.
    """
    return bool(0.5 * slope @ covariance @ slope < _AT_MODE)


def refuse_if_coarse(density: CollapsedDensity, value: Callable[[np.ndarray], np.ndarray], mode: np.ndarray) -> None:
    """Refuse weights with which the log density's rounding changes the posterior.

    Its numbers are large, or it is a small difference of large sums: next to the mode it jumps.

    Parameters
    ----------
    density : CollapsedDensity
    value : callable
        Log density at points, in the coordinates of `mode`.
    mode : ndarray, shape (dim,)

    Raises
    ------
    ModelError
    """
    weights = density.spec.weights
    if weights is None:
        return
    steps = 1e-15 * np.arange(-8, 9)  # a few floating-point numbers either way
    found = value(mode + steps[:, None] * np.maximum(np.abs(mode), 1.0))
    centre = float(found[8])
    with np.errstate(invalid="ignore"):
        rounding = max(float(np.abs(found - centre).max()), float(np.spacing(abs(centre))))
    if rounding <= _COARSE:  # nan and inf are not
        return
    raise ModelError(
        f"weights: they add up to {weights.sum():.3g}, the largest is {weights.max():.3g}; the log density at its mode "
        f"is {centre:.3g}, give or take {rounding:.2g} by rounding, so that the posterior cannot be told from its "
        "rounding. Divide the weights by a constant (they count rows: a row of weight 2 stands for two rows), or give "
        "none that outweighs all others"
    )


# ---------------------------------------------------------------------- where to begin
def _quantile_of_cornish_fisher(value: np.ndarray, df: np.ndarray) -> np.ndarray:
    """The z of rstanarm's t that stands for a standardised coefficient (within ±38, where normals end)."""
    low, high = np.full(value.shape, -38.0), np.full(value.shape, 38.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = cornish_fisher_t(middle, df) < value
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def _starts(density: CollapsedDensity, value: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """The best point of each kind: coefficients where the data have them or where the prior has, small or large scales.

    In the density's own coordinates.
    """
    spec, base = density.spec, density.start()
    mean, scale, _ = _coefficient_scales(density)
    at_prior = np.where(np.isnan(mean), density.centre, mean)
    sd = density.residual_sd
    sd_prior = max(float(np.std(spec.y - spec.X1 @ at_prior)), sd)
    aux = spec.aux
    shift = float(aux.mean[0]) if aux.dist not in (FLAT, EXPONENTIAL) else 0.0
    unit = 1.0 if aux.dist == FLAT else float(aux.scale[0])
    sigmas = np.geomspace(0.5 * min(sd, max(1e-12 * sd, unit)), max(sd_prior, unit if shift > 0 else 0.0), 12)
    log_a = np.log(np.concatenate([np.maximum(sigmas - shift, 0.05 * unit) / unit, [0.5, 1.0, 3.0]]))
    taus = np.concatenate([[0.0], np.log(sd_prior / sd) * np.array([0.5, 1.0]), [2.0, 4.0]])
    tau_axes = [density.axis_of(i, 0, 0) for i in range(len(spec.terms))]
    n_normal = density.standard_normals
    where_w = density.dim - n_normal - 1
    ws, tails = [0.0], [np.zeros(n_normal)]
    if density.has_w:
        df, d2 = float(spec.intercept.df[0]), ((mean[0] - density.centre[0]) / scale[0]) ** 2
        ws.append(float(np.log((df + 1) / (df + d2))))
    if spec.coef.dist == STUDENT_T:
        away = (density.centre[density.sampled] - spec.coef.mean) / spec.coef.scale
        tails.append(_quantile_of_cornish_fisher(away, spec.coef.df))
    elif density.mixture is not None:
        tails.append(_scores_for_data(density, value, np.log(max(0.8 * sd - shift, 0.05 * unit) / unit)))
    found: list[tuple[float, int, np.ndarray]] = []
    for w, tail in product(ws, tails):
        points = np.repeat(base[None], log_a.size * taus.size, axis=0)
        points[:, 0] = np.repeat(log_a, taus.size)
        for axis in tau_axes:
            points[:, axis] = np.clip(points[:, axis] + np.tile(taus, log_a.size), -20.0, 6.5)
        if density.has_w:
            points[:, where_w] = w
        if n_normal:
            points[:, density.dim - n_normal :] = tail
        values = value(points)
        best = int(np.argmax(values))
        if np.isfinite(values[best]):
            found.append((float(values[best]), len(found), points[best]))
    found.sort(reverse=True)
    return [base, *(point for _, _, point in found[:4])]


def _scores_for_data(density: CollapsedDensity, value: Callable[[np.ndarray], np.ndarray], log_a: float) -> np.ndarray:
    """Choose normal scores with which the prior reaches the data: the best of a grid, a value for each block of scales.

    The residual standard deviation is as small as the data's: that is what the slopes have to explain.
    """
    assert density.mixture is not None
    widths = density.mixture.widths
    grid = np.array(list(product(_SCORES, repeat=len(widths))))
    if len(grid) > _MOST_SCORES:
        grid = grid[np.random.default_rng(1).choice(len(grid), _MOST_SCORES, replace=False)]
    points = np.repeat(density.start()[None], len(grid), axis=0)
    points[:, 0] = log_a
    scores = np.repeat(grid, widths, axis=1)
    points[:, density.dim - scores.shape[1] :] = scores
    return scores[int(np.argmax(value(points)))]


# ---------------------------------------------------------------------- modes
def _newton(gradient: Gradient, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Newton's method with differences as long as the posterior is wide: mode, covariance, log density there.

    A coordinate's width may be 1e-6 of another's: quasi-Newton methods stop short of such modes.
    """
    d, at = start.size, start.copy()
    h, adapted = np.full(d, 1e-3), 0
    covariance, value = np.eye(d), -np.inf
    for _ in range(_STEPS):
        points = np.concatenate([at[None], at + np.diag(h), at - np.diag(h)])
        values, slopes = gradient(points)
        value = float(values[0])
        H = -(slopes[1 : d + 1] - slopes[d + 1 :]) / (2 * h[:, None])
        H = 0.5 * (H + H.T)
        width = np.clip(0.2 / np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-6)), 1e-13, 0.2)
        if adapted < 6 and (np.abs(np.log(width / h)) > 1.5).any():
            h, adapted = width, adapted + 1
            continue
        adapted = 0
        root = np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-2))
        eigenvalue, vector = np.linalg.eigh(H / np.outer(root, root))
        inverse = (vector / np.maximum(np.abs(eigenvalue), 1e-3)) @ vector.T
        covariance = inverse / np.outer(root, root)
        step = covariance @ slopes[0]
        if step @ slopes[0] < 1e-6:
            break
        lengths = 0.5 ** np.arange(14.0)
        trial, _ = gradient(at + lengths[:, None] * np.clip(step, -5.0, 5.0))
        best = int(np.argmax(trial))
        if not trial[best] > value:
            break
        at = at + lengths[best] * np.clip(step, -5.0, 5.0)
        h = width
    return at, covariance, value


def find_modes(
    coordinates: SamplerCoordinates, value: Gradient, log_density: Callable[[np.ndarray], np.ndarray]
) -> list[Mode]:
    """Find the modes of a posterior whose priors and data disagree, the best first; those without mass are left out.

    Parameters
    ----------
    coordinates : SamplerCoordinates
    value : callable
        Log density and gradient at points of the sampler's coordinates.
    log_density : callable
        Log density at such points.

    Returns
    -------
    list of Mode
        Empty if none was found.

    Raises
    ------
    ModelError
        The scales of the prior would have to be larger than floating point has.
    """
    density = coordinates.density

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        at, slope = value(v[None])
        return (-float(at[0]), -slope[0]) if np.isfinite(at[0]) else (1e300, np.zeros(v.size))

    with np.errstate(all="ignore"):  # where there is no density, the search steps back
        modes = _modes_from_all_starts(coordinates, value, objective, log_density)
    edge = density.standard_normals if density.mixture is not None else 0
    if modes and edge and np.abs(modes[0].location[-edge:]).max() > 0.95 * MAX_SCORE:
        raise unexplored(density)  # the best place would be beyond the numbers that there are
    return [mode for mode in modes if mode.log_mass > modes[0].log_mass - _MATTERS]


def _modes_from_all_starts(
    coordinates: SamplerCoordinates,
    value: Gradient,
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    log_density: Callable[[np.ndarray], np.ndarray],
) -> list[Mode]:
    density = coordinates.density
    modes: list[Mode] = []
    for start in _starts(density, lambda u: log_density(coordinates.from_density(u))):
        v = coordinates.from_density(start[None])[0]
        result = minimize(objective, v, jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 200})
        at, covariance, height = _newton(value, result.x if result.fun < 1e299 else v)
        sign, log_det = np.linalg.slogdet(covariance)
        if not np.isfinite(height) or sign <= 0:
            continue
        mode = Mode(at, covariance, height + 0.5 * log_det + 0.5 * at.size * np.log(2 * np.pi))
        near = [
            (at - other.location) @ np.linalg.solve(other.covariance, at - other.location) < 1.0 + 0.1 * at.size
            for other in modes
        ]
        if not any(near):
            modes.append(mode)
    modes.sort(key=lambda mode: -mode.log_mass)
    return modes


def only_mode(density: CollapsedDensity) -> tuple[np.ndarray, np.ndarray]:
    """Find the one mode of a posterior whose priors and data disagree, and its covariance; the density's coordinates.

    Raises
    ------
    ModelError
        Several modes have mass.
    """
    coordinates = SamplerCoordinates(density)
    modes = find_modes(coordinates, coordinates.log_density_gradient, coordinates.log_density)
    if not modes:
        raise unexplored(density)
    if len(modes) > 1 and modes[1].log_mass > modes[0].log_mass - np.log(1e5):
        raise ModelError(
            f"The posterior has {len(modes)} modes, far from each other: too far for one lattice of points. Sample it."
        )
    with np.errstate(all="ignore"):
        at, covariance, _ = _newton(
            lambda u: log_density_gradient(density, u), coordinates.to_density(modes[0].location[None])[0]
        )
    return at, covariance
