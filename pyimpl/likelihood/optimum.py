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
    """The minimiser of g's + s'Bs/2 within the radius (exactly, by eigenvalues; n is small)."""
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
    shift = max(0.0, -lowest)
    low, high = shift, shift + float(np.linalg.norm(g)) / radius + 1e-300
    for _ in range(100):
        middle = 0.5 * (low + high)
        gap = values + middle
        s = -c / np.where(gap > 0, gap, 1e-300)
        if float(s @ s) > radius * radius:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    s = -c / np.maximum(values + high, 1e-300)
    length = float(np.linalg.norm(s))
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
        self.limit = max_evaluations
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

    def hessian(self, x: np.ndarray, g: np.ndarray, central: bool) -> np.ndarray:
        """Differences of the analytic gradient; symmetric."""
        n = x.size
        H = np.empty((n, n))
        for k in range(n):
            h = (1e-5 if central else 1e-7) * max(1.0, abs(float(x[k])))
            ahead = x.copy()
            ahead[k] += h
            g_ahead = self.fg(ahead)[1]
            if central:
                behind = x.copy()
                behind[k] -= h
                H[k] = (g_ahead - self.fg(behind)[1]) / (2 * h)
            else:
                H[k] = (g_ahead - g) / h
        H = 0.5 * (H + H.T)
        return np.where(np.isfinite(H), H, 0.0)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Minimise from x; returns x, f, gradient (scaled)."""
        f, g = self.fg(x)
        while not math.isfinite(f) and self.spent < self.limit:
            x = 0.5 * x
            f, g = self.fg(x)
        B = self.hessian(x, g, central=False)
        radius, polishing, escapes = 1.0, 0, 0
        while self.spent < self.limit:
            self.log.append((self.spent, f, float(np.max(np.abs(g), initial=0.0))))
            s = _step(B, g, radius)
            predicted = -float(g @ s + 0.5 * s @ B @ s)
            noise = 64 * _EPS * max(1.0, abs(f))
            if predicted < noise:
                lowest = float(np.linalg.eigvalsh(B)[0])
                if lowest < -1e-7 * max(1.0, float(np.max(np.abs(B)))) and escapes < 4:
                    # a saddle, such as T_kk = 0 where a positive variance is better: leave along the curvature
                    escapes += 1
                    x, f, g, moved = self._escape(x, f, g, B)
                    if moved:
                        B = self.hessian(x, g, central=False)
                        radius = 1.0
                        continue
            new = x + s
            f_new, g_new = self.fg(new)
            if predicted < noise:
                # the objective's last digit says no more; the gradient does
                if math.isfinite(f_new) and float(np.linalg.norm(g_new)) < 0.5 * float(np.linalg.norm(g)):
                    x, f, g = new, min(f, f_new), g_new
                    polishing += 1
                    if polishing < 6:
                        if self.cheap:
                            B = self.hessian(x, g, central=False)
                        continue
                break
            actual = f - f_new
            if abs(actual) < 1e3 * noise and math.isfinite(f_new):
                actual = -0.5 * float((g + g_new) @ s)  # trapezoid: more digits than the difference of two values
            ratio = actual / predicted if math.isfinite(f_new) else -1.0
            length = float(np.linalg.norm(s))
            if ratio < 0.25:
                radius = 0.25 * length
            elif ratio > 0.75 and length > 0.8 * radius:
                radius *= 4.0
            if not self.cheap and math.isfinite(f_new):
                self._update(B, s, g_new - g)
            if ratio > 1e-4:
                x, f, g = new, f_new, g_new
                if self.cheap:
                    B = self.hessian(x, g, central=False)
            elif radius < 1e-12 * max(1.0, float(np.max(np.abs(x), initial=0.0))):
                self.code, self.message = 2, "no further progress along the gradient"
                break
        else:
            self.code, self.message = 1, f"stopped after {self.limit} evaluations"
        return x, f, g

    def _escape(
        self, x: np.ndarray, f: float, g: np.ndarray, B: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray, bool]:
        direction = np.linalg.eigh(B)[1][:, 0]
        for size in (0.3, 0.03, 0.003):
            for sign in (1.0, -1.0):
                f_new, g_new = self.fg(x + sign * size * direction)
                if f_new < f - 64 * _EPS * max(1.0, abs(f)):
                    return x + sign * size * direction, f_new, g_new, True
        return x, f, g, False

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


def _settle_on_boundary(
    search: _Search, x: np.ndarray, f: float, g: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Put nearly zero pivots exactly at 0 where the criterion agrees."""
    factors, units = search.objective.blocks.factors, search.units
    for _ in range(3):
        changed = False
        theta = _with_positive_diagonals(factors, x * units)
        for factor in factors:
            for k in range(factor.p):
                pivot = float(factor.template(theta)[k, k]) * float(factor.scale[k])
                if not 0.0 < pivot < _SNAP:
                    continue
                trial = search.run(_drop_pivot(factor, theta, k) / units)
                still = factor.template(trial[0] * units)[k, k] == 0.0
                if still and trial[1] <= f + 256 * _EPS * max(1.0, abs(f)):
                    x, f, g = trial
                    theta = _with_positive_diagonals(factors, x * units)
                    changed = True
        if not changed:
            break
    return x, f, g


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
    if starts is None:
        start = default_start(blocks)
        scaled = start * _units(blocks)
        starts = [start]
        if cheap and not np.array_equal(start, scaled):
            starts.append(scaled)
    best: tuple[float, np.ndarray, np.ndarray, np.ndarray, _Search] | None = None
    for start in starts:
        search = _Search(objective, objective.evaluations + objective.gradients + max_evaluations, cheap)
        x, f, g = search.run(np.asarray(start, dtype=float) / search.units)
        x, f, g = _settle_on_boundary(search, x, f, g)
        if best is None or f < best[0] - 64 * _EPS * max(1.0, abs(f)):
            best = (f, x, g, np.asarray(start, dtype=float), search)
        if on_step is not None:
            on_step(search.spent, best[0])
    assert best is not None
    f, x, g, start, search = best
    units = search.units
    theta = _with_positive_diagonals(blocks.factors, x * units)
    f, g_theta = objective.value_and_gradient(theta)
    hessian = search.hessian(theta / units, g_theta * units, central=cheap)
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
        gradient=g_theta,
        hessian=hessian / np.outer(units, units),
        smallest_eigenvalue=float(np.linalg.eigvalsh(hessian)[0]) if theta.size else 0.0,
        boundary=zero,
        log=tuple(search.log),
    )
