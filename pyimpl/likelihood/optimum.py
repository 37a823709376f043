"""Minimise the profiled criterion over θ: a trust-region Newton method with the analytic gradient.

The criterion depends on a template T only through TT', so it is even in every column of T. It is therefore minimised
without bounds, and the columns' signs are set afterwards so that diagonals are not negative (lme4's convention). A
minimum on the boundary (TT' singular) is an ordinary minimum of the even function at T_kk = 0, which Newton's method
reaches fast; it is then put exactly on the boundary, and stays there only if the criterion is no higher and has no
descending direction there (the KKT conditions for TT' positive semidefinite).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pyimpl.likelihood.deviance import Objective
from pyimpl.model.blocks import Blocks, Factor

__all__ = ["OptSummary", "default_start", "optimize"]

_EPS = float(np.finfo(float).eps)
_SNAP = 2e-3  # diagonals of T below this (in units of the effect's root mean square) are tried at 0
_CHEAP = 3e6  # floating-point operations of an evaluation up to which Hessians are computed afresh at each step


@dataclass(frozen=True)
class OptSummary:
    """How the optimisation went.

    Attributes
    ----------
    initial, final : ndarray, shape (n_theta,)
        θ at the start that led to the minimum, and at the minimum.
    initial_objective, final_objective : float
    evaluations : int
        Evaluations of the objective, with or without gradient, over all starts.
    gradients : int
        How many of them computed the gradient.
    return_code : int
        0: converged; 1: too many evaluations; 2: no further progress though the gradient is not zero.
    message : str
    gradient : ndarray, shape (n_theta,)
        At the minimum, in lme4's θ.
    hessian : ndarray, shape (n_theta, n_theta)
        At the minimum, in lme4's θ (differences of the analytic gradient).
    smallest_eigenvalue : float
        Of the Hessian in units of the effects' root mean squares.
    boundary : tuple of int
        Positions of θ that are 0 because the minimum is on the boundary.
    log : tuple of (int, float, float)
        Accepted steps of the winning start: evaluations so far, objective, largest scaled gradient.
    """

    initial: np.ndarray
    final: np.ndarray
    initial_objective: float
    final_objective: float
    evaluations: int
    gradients: int
    return_code: int
    message: str
    gradient: np.ndarray
    hessian: np.ndarray
    smallest_eigenvalue: float
    boundary: tuple[int, ...] = ()
    log: tuple[tuple[int, float, float], ...] = field(default=(), repr=False)

    @property
    def converged(self) -> bool:
        """Whether the optimizer ended at a minimum."""
        return self.return_code == 0


def default_start(blocks: Blocks) -> np.ndarray:
    """lme4's start: every template the identity matrix."""
    return np.where(blocks.lower == 0.0, 1.0, 0.0)


def _units(blocks: Blocks) -> np.ndarray:
    """Natural unit of each θ: the inverse root mean square of the effect's column."""
    units = np.ones(blocks.n_theta)
    for factor in blocks.factors:
        units[factor.theta] = 1.0 / factor.scale[factor.rows]
    return units


def _work(blocks: Blocks) -> float:
    """Floating-point operations of one evaluation, roughly."""
    first = blocks.factors[0]
    total = first.J * first.p**2 * (first.p + blocks.P + 1.0)
    if blocks.others is not None:
        touched = np.diff(blocks.others.indptr).astype(float)
        total += float((touched**2).sum()) * first.p + float(blocks.others.q) ** 3
    return total


def _step(B: np.ndarray, g: np.ndarray, radius: float) -> np.ndarray:
    """Find the minimiser of g's + s'Bs/2 within the radius (exactly, by eigenvalues; n is small)."""
    if g.size == 1:
        b, slope = float(B[0, 0]), float(g[0])
        if b > 0 and abs(slope) <= b * radius:
            return np.array([-slope / b])
        return np.array([-math.copysign(radius, slope)])
    values, vectors = np.linalg.eigh(B)
    c = vectors.T @ g
    lowest = float(values[0])
    if lowest > 0:
        s = -c / values
        if float(s @ s) <= radius * radius:
            return vectors @ s
    # Newton's method on 1/|s(shift)| - 1/radius (Moré & Sorensen 1983), from the right of the pole
    floor = max(0.0, -lowest)
    shift = floor + max(1e-12 * max(1.0, abs(lowest)), abs(float(c[0])) / radius * 1e-3)
    low = floor
    for _ in range(60):
        gap = values + shift
        s = -c / gap
        length = math.sqrt(float(s @ s))
        if length > radius:
            low = shift
        if abs(length - radius) <= 1e-3 * radius or (length < radius and shift - floor <= 1e-10 * max(1.0, floor)):
            break
        slope = float((s * s / gap).sum())
        if slope <= 0.0:
            break
        change = (length / radius - 1.0) * length * length / slope
        shift = shift + change if shift + change > low else 0.5 * (shift + low)
    length = math.sqrt(float(s @ s))
    if length < 0.9 * radius and lowest < 0:  # the hard case: go on along the lowest eigenvector
        s[0] += math.copysign(math.sqrt(max(radius**2 - length**2, 0.0)), -c[0])
    elif length > radius:
        s *= radius / length
    return vectors @ s


class _Search:
    """One minimisation, in scaled coordinates x = θ / unit."""

    def __init__(self, objective: Objective, max_evaluations: int, cheap: bool) -> None:
        self.objective = objective
        self.units = _units(objective.blocks)
        self.budget = max_evaluations
        self.limit = objective.evaluations + objective.gradients + max_evaluations
        self.cheap = cheap
        self.log: list[tuple[int, float, float]] = []
        self.code = 0
        self.message = "converged"

    def fg(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = self.objective.value_and_gradient(x * self.units)
        return f, g * self.units

    @property
    def spent(self) -> int:
        return self.objective.evaluations + self.objective.gradients

    def fgh(self, x: np.ndarray, central: bool = False) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient and Hessian, all scaled."""
        size = np.maximum(1.0, np.abs(x)) * (1e-5 if central else 1e-7)
        f, g, H = self.objective.value_gradient_hessian(x * self.units, size * self.units, central)
        H *= self.units
        H *= self.units[:, None]
        if not np.isfinite(H).all():
            H = np.where(np.isfinite(H), H, 0.0)
        return f, g * self.units, H

    def run(self, x: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        """Minimise from x; returns x, f, gradient and (approximate) Hessian, scaled."""
        f, g, B = self.fgh(x)
        while not math.isfinite(f) and self.spent < self.limit:
            x = 0.5 * x
            f, g, B = self.fgh(x)
        fresh = True  # whether B belongs to x
        radius, polishing, escapes = 1.0, 0, 0
        while self.spent < self.limit:
            self.log.append((self.spent, f, float(np.abs(g).max(initial=0.0))))
            s = _step(B, g, radius)
            predicted = -float(g @ s + 0.5 * s @ B @ s)
            noise = 64 * _EPS * max(1.0, abs(f))
            if predicted < noise:
                if not fresh:  # a quasi-Newton matrix is not to be trusted with the last digits
                    f, g, B = self.fgh(x)
                    fresh = True
                    continue
                lowest = float(np.linalg.eigvalsh(B)[0]) if x.size > 1 else float(B[0, 0])
                if lowest < -1e-7 * max(1.0, float(np.abs(B).max())) and escapes < 4:
                    # a saddle, such as T_kk = 0 where a positive variance is better: leave along the curvature
                    escapes += 1
                    x, moved = self._escape(x, f, B)
                    if moved:
                        f, g, B = self.fgh(x)
                        radius = 1.0
                        continue
                # the objective's last digit says no more; the gradient does
                f_new, g_new = self.fg(x + s)
                if not (math.isfinite(f_new) and float(np.linalg.norm(g_new)) < 0.5 * float(np.linalg.norm(g))):
                    break
                x, f, g = x + s, min(f, f_new), g_new
                polishing += 1
                if polishing > 5:
                    break
                continue
            new = x + s
            H_new: np.ndarray | None = None
            if self.cheap:
                f_new, g_new, H_new = self.fgh(new)
            else:
                f_new, g_new = self.fg(new)
            actual = f - f_new
            if abs(actual) < 1e3 * noise and math.isfinite(f_new):
                actual = -0.5 * float((g + g_new) @ s)  # trapezoid: more digits than the difference of two values
            ratio = actual / predicted if math.isfinite(f_new) else -1.0
            length = math.sqrt(float(s @ s))
            if ratio < 0.25:
                radius = 0.25 * length
            elif ratio > 0.75 and length > 0.8 * radius:
                radius *= 4.0
            if not self.cheap and math.isfinite(f_new):
                self._update(B, s, g_new - g)
                fresh = False
            if ratio > 1e-4:
                x, f, g = new, f_new, g_new
                if H_new is not None:
                    B = H_new
            elif radius < 1e-12 * max(1.0, float(np.abs(x).max(initial=0.0))):
                self.code, self.message = 2, "no further progress along the gradient"
                break
        else:
            self.code, self.message = 1, f"stopped after {self.budget} evaluations"
        return x, f, g, B

    def _escape(self, x: np.ndarray, f: float, B: np.ndarray) -> tuple[np.ndarray, bool]:
        """Leave a saddle along the direction of negative curvature."""
        direction = np.linalg.eigh(B)[1][:, 0]
        for size in (0.3, 0.03, 0.003):
            for sign in (1.0, -1.0):
                new = x + sign * size * direction
                if self.fg(new)[0] < f - 64 * _EPS * max(1.0, abs(f)):
                    return new, True
        return x, False

    @staticmethod
    def _update(B: np.ndarray, s: np.ndarray, y: np.ndarray) -> None:
        """Symmetric rank-one update, in place."""
        rest = y - B @ s
        denominator = float(rest @ s)
        if abs(denominator) > 1e-8 * float(np.linalg.norm(rest) * np.linalg.norm(s)):
            B += np.outer(rest, rest) / denominator


def _with_positive_diagonals(factors: Sequence[Factor], theta: np.ndarray) -> np.ndarray:
    """Flip the signs of the templates' columns so that no diagonal is negative (lme4's convention)."""
    out = theta.copy()
    for factor in factors:
        T = factor.template(theta)
        flip = np.where(np.diag(T) < 0, -1.0, 1.0)
        out[factor.theta] = (T * flip)[factor.rows, factor.cols]
    return out + 0.0  # no negative zeros


def _drop_pivot(factor: Factor, theta: np.ndarray, k: int) -> np.ndarray:
    """θ with the pivot k of T at 0, column k rotated into the later ones, so that TT' changes by T_kk alone."""
    T = factor.template(theta)
    term = max(i for i, start in enumerate(factor.effect_start) if start <= k)
    stop = factor.effect_start[term + 1] if term + 1 < len(factor.effect_start) else factor.p
    v = T[k + 1 : stop, k].copy()
    T[k:, k] = 0.0
    for i in range(k + 1, stop):  # rank-one update of the trailing triangle by Givens rotations
        at = i - k - 1
        r = math.hypot(T[i, i], v[at])
        if r == 0.0:
            continue
        cos, sin = T[i, i] / r, v[at] / r
        column = T[i:stop, i].copy()
        T[i:stop, i] = cos * column + sin * v[at:]
        v[at:] = cos * v[at:] - sin * column
    out = theta.copy()
    out[factor.theta] = T[factor.rows, factor.cols]
    return out


_Point = tuple[np.ndarray, float, np.ndarray, np.ndarray]


def _settle_on_boundary(search: _Search, point: _Point) -> _Point:
    """Put nearly zero pivots exactly at 0 where the criterion agrees."""
    factors, units = search.objective.blocks.factors, search.units
    for _ in range(3):
        changed = False
        theta = _with_positive_diagonals(factors, point[0] * units)
        for factor in factors:
            for k in range(factor.p):
                pivot = float(factor.template(theta)[k, k]) * float(factor.scale[k])
                if not 0.0 < pivot < _SNAP:
                    continue
                trial = search.run(_drop_pivot(factor, theta, k) / units)
                still = factor.template(trial[0] * units)[k, k] == 0.0
                if still and trial[1] <= point[1] + 256 * _EPS * max(1.0, abs(point[1])):
                    point = trial
                    theta = _with_positive_diagonals(factors, point[0] * units)
                    changed = True
        if not changed:
            break
    return point


def optimize(
    objective: Objective,
    starts: Sequence[np.ndarray] | None = None,
    max_evaluations: int = 5000,
    on_step: Callable[[int, float], None] | None = None,
) -> OptSummary:
    """Minimise the objective over θ.

    Parameters
    ----------
    objective : Objective
    starts : sequence of ndarray, optional
        θ to start from; the best minimum counts. Default: lme4's start, and, where evaluations are cheap, the
        identity in units of the effects' root mean squares.
    max_evaluations : int
        Over one start.
    on_step : callable, optional
        Called after each start with the evaluations so far and the objective.

    Returns
    -------
    OptSummary
    """
    blocks = objective.blocks
    cheap = _work(blocks) <= _CHEAP
    chosen = starts is None
    if starts is None:
        start = default_start(blocks)
        scaled = start * _units(blocks)
        starts = [start]
        if cheap and blocks.n_theta > 1:
            # another valley shows, if anywhere, from far: from natural units, or from small variances
            far = np.abs(np.log(_units(blocks)[blocks.lower == 0])).max() > math.log(2)
            starts.append(scaled if far else 0.1 * scaled)
    best: tuple[_Point, np.ndarray, _Search] | None = None
    for start in starts:
        search = _Search(objective, max_evaluations, cheap)
        point = search.run(np.asarray(start, dtype=float) / search.units)
        point = _settle_on_boundary(search, point)
        if chosen and blocks.n_theta == 1 and objective(np.zeros(1)) < point[1]:
            point = _settle_on_boundary(search, search.run(np.zeros(1)))
        if best is None or point[1] < best[0][1] - 64 * _EPS * max(1.0, abs(point[1])):
            best = (point, np.asarray(start, dtype=float), search)
        if on_step is not None:
            on_step(search.spent, best[0][1])
    assert best is not None
    (x, _, _, hessian), start, search = best
    units = search.units
    theta = _with_positive_diagonals(blocks.factors, x * units)
    if cheap:
        f, g, hessian = search.fgh(theta / units, central=True)
    else:
        f, g = search.fg(theta / units)
        flips = np.where(theta * (x * units) < 0, -1.0, 1.0)
        hessian = hessian * np.outer(flips, flips)
    zero = tuple(int(i) for i in np.flatnonzero((theta == 0.0) & (blocks.lower == 0.0)))
    return OptSummary(
        initial=start,
        final=theta,
        initial_objective=objective(start),
        final_objective=f,
        evaluations=objective.evaluations + objective.gradients,
        gradients=objective.gradients,
        return_code=search.code,
        message=search.message,
        gradient=g / units,
        hessian=hessian / np.outer(units, units),
        smallest_eigenvalue=float(np.linalg.eigvalsh(hessian)[0]) if theta.size else 0.0,
        boundary=zero,
        log=tuple(search.log),
    )
