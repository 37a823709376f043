"""The posterior by quadrature: truth without Monte Carlo error, for few dimensions.

The coordinates are standardised by the mode and the curvature there (u = mode + L s), and the collapsed density is
summed over a regular grid in s: for a smooth density that dies away in every direction the trapezoidal rule converges
faster than any power of the step (Trefethen & Weideman 2014, SIAM Review 56(3)). Coefficients and random effects are
mixtures over the grid of normals with known mean and variance, so their moments and quantiles are integrals too.

The same integrals on a coarser grid estimate the error of the step: it is that of the coarse grid, and so larger than
the fine one's. What both grids leave out is not in it: the points below the cut-off (`drop`), which with the default of
25 move means by about 1e-10 sd and sds by up to about 5e-7 of themselves. A larger `drop` makes that smaller.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, sici

from pyimpl.arguments import SIGNATURES, Count, Positive
from pyimpl.errors import ModelError
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.conflict import is_easy, only_mode, refuse_if_coarse, stands_at
from pyimpl.posterior.covariance import split_T
from pyimpl.posterior.gradient import log_density_gradient
from pyimpl.posterior.labels import Sigma_labels
from pyimpl.posterior.sampler import find_mode
from pyimpl.posterior.specification import FLAT, NORMAL, STUDENT_T

__all__ = ["QuadratureArguments", "QuadratureResult", "integrate"]

_PROBS = (0.025, 0.5, 0.975)
_NEGLIGIBLE = 1e-13  # weights, relative to the largest, that cannot be seen in the result


class QuadratureArguments(TypedDict, total=False):
    """Arguments of :func:`integrate` after the density."""

    step: Positive | None
    drop: Positive
    max_points: Count
    quantiles: bool


@dataclass(frozen=True)
class QuadratureResult:
    """The posterior, integrated.

    Attributes
    ----------
    table : pandas.DataFrame
        Index parameter (coefficients, sigma, Sigma); columns ``mean``, ``sd``, ``2.5%``, ``50%``, ``97.5%``.
    error : pandas.DataFrame
        The same, estimated errors of the step: differences between two grids. Not in it: what the cut-off leaves out.
    ranef : pandas.DataFrame
        Index ``b[...]`` as in R (without the padded levels); columns ``mean``, ``sd``.
    log_evidence, log_evidence_error : float
        Log of the integral of the full density.
    points : int
        Points of the fine grid with weight.
    """

    table: pd.DataFrame
    error: pd.DataFrame
    ranef: pd.DataFrame
    log_evidence: float
    log_evidence_error: float
    points: int


@dataclass(frozen=True)
class _Lattice:
    """Points of a regular lattice with weight, and the standardisation u = mode + L s."""

    index: np.ndarray  # (n, d) integers: s = h * index
    log_density: np.ndarray
    h: float
    log_volume: float  # of a cell, in u

    @property
    def log_total(self) -> float:
        top = self.log_density.max()
        return float(top + np.log(np.exp(self.log_density - top).sum()) + self.log_volume)

    def visible(self, negligible: float) -> tuple[np.ndarray, np.ndarray]:
        """Select s and normalised weights of the points above a share of the largest weight."""
        w = np.exp(self.log_density - self.log_density.max())
        keep = w > negligible
        return self.h * self.index[keep], w[keep] / w[keep].sum()


class _Standardised:
    """The density in s, where the last axis moves one coordinate of u alone."""

    def __init__(self, density: CollapsedDensity, mode: np.ndarray, covariance: np.ndarray, last: int) -> None:
        self.density, self.mode, self.last = density, mode, last
        d = density.dim
        order = [*(k for k in range(d) if k != last), last]
        factor = np.linalg.cholesky(covariance[np.ix_(order, order)])
        self.L = np.empty((d, d))
        self.L[order] = factor

    def u(self, s: np.ndarray) -> np.ndarray:
        return self.mode + s @ self.L.T

    def lattice(self, h: float, drop: float, max_points: int) -> _Lattice:
        """Flood the lattice from the mode outwards, as long as the density is within e^−drop of its maximum."""
        d = self.density.dim
        base = 1 << (60 // d)
        place = base ** np.arange(d, dtype=np.int64)
        half = (base // 2) * int(place.sum())
        moves = np.concatenate([np.eye(d, dtype=np.int64), -np.eye(d, dtype=np.int64)])
        jumps = moves @ place
        frontier = np.zeros((1, d), dtype=np.int64)
        keys = np.array([half])
        # A neighbour of layer n lies in layer n − 1 or n + 1, so only the last layer has to be remembered.
        previous = np.empty(0, dtype=np.int64)
        value = self.density.log_density(self.u(h * frontier))
        points, values = [frontier], [value]
        best, total = value[0], 1
        while frontier.size:
            candidates = np.sort((keys[:, None] + jumps).ravel())
            candidates = candidates[np.concatenate([[True], candidates[1:] != candidates[:-1]])]
            candidates = candidates[~np.isin(candidates, previous, assume_unique=True)]
            previous = keys
            frontier = (candidates[:, None] // place) % base - base // 2
            value = self.density.log_density(self.u(h * frontier))
            best = max(best, value.max(initial=-np.inf))
            keep = value > best - drop
            frontier, keys = frontier[keep], candidates[keep]
            points.append(frontier)
            values.append(value[keep])
            total += frontier.shape[0]
            if total > max_points:
                raise ModelError(
                    f"Quadrature over {d} dimensions with step {h:g} needs more than {max_points} points: give a "
                    "larger `step`, or sample instead."
                )
        _, log_det = np.linalg.slogdet(self.L)
        return _Lattice(np.concatenate(points), np.concatenate(values), h, float(log_det + d * np.log(h)))


#: Default steps by dimension: the trapezoidal rule of a standard normal errs by 2 exp(−2π²/h²).
_STEPS = {1: 0.2, 2: 0.25, 3: 0.5, 4: 0.6, 5: 0.85}


@SIGNATURES.checked
def integrate(
    density: CollapsedDensity,
    *,
    step: Positive | None = None,
    drop: Positive = 25.0,
    max_points: Count = 3_000_000,
    quantiles: bool = True,
) -> QuadratureResult:
    """Integrate the collapsed posterior.

    Parameters
    ----------
    density : CollapsedDensity
        Of up to 5 coordinates.
    step : float, optional
        Step of the fine lattice in standard deviations; the coarse one has 1.4 times that.
    drop : float
        Points whose log density is this much below the maximum are left out.
    max_points : int
        Most points of a lattice.
    quantiles : bool
        Whether to compute quantiles as well (the slow part).

    Returns
    -------
    QuadratureResult

    Raises
    ------
    ModelError
        Too many dimensions or points; nothing to integrate (``prior_PD``); several modes far apart; weights too
        large for floating point.
    """
    d = density.dim
    if d > max(_STEPS):
        raise ModelError(
            f"The collapsed posterior has {d} dimensions: quadrature is for {max(_STEPS)} or fewer. Sample instead."
        )
    if density.spec.prior_PD:
        raise ModelError("Quadrature is of the posterior: refit without prior_PD=True.")
    mode, covariance = _mode(density)
    h = _STEPS[d] if step is None else float(step)

    axes = [0]
    if quantiles:
        axes += [
            density.axis_of(i, r, c)
            for i, term in enumerate(density.spec.terms)
            for r in range(term.p)
            for c in range(r + 1)
        ]

    def at(step_: float, ranef: bool) -> tuple[pd.DataFrame, pd.DataFrame, float, int]:
        lattices = {}
        for axis in dict.fromkeys(axes):
            standardised = _Standardised(density, mode, covariance, axis)
            lattices[axis] = standardised, standardised.lattice(step_, drop, max_points)
        return _moments(density, lattices, quantiles, ranef)

    coarse, _, log_coarse, _ = at(1.4 * h, ranef=False)
    fine, ranef, log_fine, points = at(h, ranef=True)
    return QuadratureResult(fine, (fine - coarse).abs(), ranef, log_fine, abs(log_fine - log_coarse), points)


def _mode(density: CollapsedDensity) -> tuple[np.ndarray, np.ndarray]:
    mode, covariance = find_mode(density, density.start())
    if not is_easy(density) or not stands_at(log_density_gradient(density, mode[None])[1][0], covariance):
        mode, covariance = only_mode(density)
    refuse_if_coarse(density, density.log_density, mode)
    return mode, covariance


def _moments(
    density: CollapsedDensity, lattices: dict[int, tuple[_Standardised, _Lattice]], quantiles: bool, ranef: bool
) -> tuple[pd.DataFrame, pd.DataFrame, float, int]:
    spec = density.spec
    missing = [np.nan] * len(_PROBS)
    standardised, lattice = lattices[0]
    s, w = lattice.visible(_NEGLIGIBLE)
    values = density.values(standardised.u(s))
    mean, covariance = density.coefficient_moments(values)
    to_R = spec.to_R
    mean = mean @ to_R.T
    variance = np.einsum("ij,njk,ik->ni", to_R, covariance, to_R)

    rows: dict[str, list[float]] = {}
    for k, name in enumerate(spec.design.coef_names):
        first = float(w @ mean[:, k])
        row = [first, float(np.sqrt(w @ (variance[:, k] + (mean[:, k] - first) ** 2)))]
        # a coefficient that is a coordinate has no variance of its own to smooth its distribution
        exact = quantiles and bool((variance[:, k] > 0).all())
        rows[name] = row + (_mixture_quantiles(w, mean[:, k], variance[:, k], row) if exact else missing)
    row = _moments_of(w, values.sigma)
    rows["sigma"] = row + (_Line(*lattices[0]).sigma_quantiles(row) if quantiles else missing)
    names = iter(Sigma_labels(spec.terms))
    for i, Lambda in enumerate(values.Lambda):
        Sigma = Lambda @ np.swapaxes(Lambda, -1, -2) * values.sigma[:, None, None] ** 2
        for r, c in _lower_triangle(Lambda.shape[-1]):
            row = _moments_of(w, Sigma[:, r, c])
            if quantiles:
                line = _Line(*lattices[density.axis_of(i, r, c)])
                row += line.variance_quantiles(i, r, row) if r == c else line.covariance_quantiles(i, r, c, row)
            else:
                row += missing
            rows[next(names)] = row
    table = pd.DataFrame(rows, index=["mean", "sd", "2.5%", "50%", "97.5%"]).T
    effects = density.ranef_moments(values, w) if ranef else pd.DataFrame()
    return table, effects, lattice.log_total, w.size


def _lower_triangle(p: int) -> list[tuple[int, int]]:
    """Row and column of R's covariances: the lower triangle, column by column."""
    return [(row, column) for column in range(p) for row in range(column, p)]


def _moments_of(w: np.ndarray, x: np.ndarray) -> list[float]:
    mean = float(w @ x)
    return [mean, float(np.sqrt(w @ (x - mean) ** 2))]


def _solve(cdf: Callable[[float], float], prob: float, low: float, high: float, tolerance: float) -> float:
    return float(brentq(lambda x: cdf(x) - prob, low, high, xtol=tolerance, rtol=1e-12))


def _mixture_quantiles(w: np.ndarray, mean: np.ndarray, variance: np.ndarray, row: list[float]) -> list[float]:
    """Quantiles of a mixture of normals."""
    sd = np.sqrt(variance)

    def cdf(x: float) -> float:
        return float(w @ ndtr((x - mean) / sd))

    reach = 12 * row[1]
    return [_solve(cdf, p, row[0] - reach, row[0] + reach, 1e-9 * row[1]) for p in _PROBS]


class _Line:
    """Distribution functions along the lattice's last axis, which moves one coordinate alone.

    Along a line the density is known on a regular grid; its band-limited interpolant integrates to
    Σ f_k h (1/2 + Si(π (t − s_k)/h)/π), which is as accurate as the trapezoidal rule itself. For sigma the axis is that
    of its logarithm, for a variance that of its term's log τ, for a covariance that of its own canonical partial
    correlation: each moves its target monotonically, and most of all.
    """

    def __init__(self, standardised: _Standardised, lattice: _Lattice) -> None:
        self.density = standardised.density
        s, self.w = lattice.visible(1e-10)
        self.s, self.h = s[:, -1], lattice.h
        self.u = standardised.u(s)
        last = standardised.last
        self.scale = standardised.L[last, -1]
        self.rest = standardised.mode[last] + s[:, :-1] @ standardised.L[last, :-1]
        self._values = self.density.values(self.u)
        self.coordinate = self.u[:, last]

    def below(self, threshold: np.ndarray | float) -> np.ndarray:
        """Share of each lattice point's weight that lies below a threshold of the coordinate on its line."""
        x = np.pi * ((threshold - self.rest) / self.scale - self.s) / self.h
        return 0.5 + sici(np.clip(x, -1e15, 1e15))[0] / np.pi

    def sigma_quantiles(self, row: list[float]) -> list[float]:
        """Quantiles of sigma."""
        aux = self.density.spec.aux
        shift = aux.mean[0] if aux.dist in (NORMAL, STUDENT_T) else 0.0
        scale = 1.0 if aux.dist == FLAT else aux.scale[0]

        def cdf(x: float) -> float:
            return float(self.w @ self.below(np.log((x - shift) / scale)))

        low = max(row[0] - 15 * row[1], shift + 1e-12 * row[0])
        return [_solve(cdf, p, low, row[0] + 40 * row[1], 1e-9 * row[1]) for p in _PROBS]

    def variance_quantiles(self, term: int, r: int, row: list[float]) -> list[float]:
        """Quantiles of a variance: a ratio that is fixed on a line, times τ²."""
        T = self._values.T[term]
        log_ratio = np.log(np.einsum("nk,nk->n", T[:, r], T[:, r])) - 2 * self.coordinate

        def cdf(x: float) -> float:
            return float(self.w @ self.below(0.5 * (np.log(x) - log_ratio)))

        low = max(row[0] - 15 * row[1], 1e-12 * row[0])
        return [_solve(cdf, p, low, row[0] + 40 * row[1], 1e-9 * row[1]) for p in _PROBS]

    def covariance_quantiles(self, term: int, r: int, c: int, row: list[float]) -> list[float]:
        """Quantiles of a covariance: linear in the canonical partial correlation of its row and column."""
        T = self._values.T[term]
        s = np.sqrt(T.shape[-1]) * np.sqrt(split_T(T)[1]) * split_T(T)[0][:, None]
        at = self.density.axis_of(term, r, c)
        left = np.prod(1 / np.cosh(self.u[:, at - c : at]), axis=1)
        slope = T[:, c, c] * s[:, max(1, r - 1)] * left
        fixed = np.einsum("nk,nk->n", T[:, r, :c], T[:, c, :c])

        def cdf(x: float) -> float:
            return float(self.w @ self.below(np.arctanh(np.clip((x - fixed) / slope, -1 + 1e-16, 1 - 1e-16))))

        low, high = row[0] - 15 * row[1], row[0] + 15 * row[1]
        return [_solve(cdf, p, low, high, 1e-9 * row[1]) for p in _PROBS]
