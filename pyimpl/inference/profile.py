"""Likelihood profiles: the signed root deviance of one parameter, the others re-optimised (``profile.merMod``).

With x the parameter of interest and d the ML deviance (−2 log-likelihood, never the REML criterion),

    ζ(x) = sign(x − x̂) √(min d(x, rest) − d̂)                     (Bates et al. 2015, section 5.1).

Parameters are lme4's: standard deviations and correlations of the random effects (``.sig01``, ...; their order is the
version's, see :mod:`pyimpl.likelihood.parameters`), ``.sigma``, and the fixed effects. For given standard deviations
the fixed effects are profiled out (ibid., eq. 33 at its minimum over β), so that with θ = A/σ

    d(A, σ) = log|L(θ)|² + r²(θ)/σ² + n log(2πσ²) − Σ log w.

A holds the Cholesky factors of the terms' covariance matrices in absolute units. A Cholesky factor's first diagonal
element *is* the first effect's standard deviation, and its second row is (ρ s₂, √(1 − ρ²) s₂). The effects in question
are therefore put first (the model is the same), and the rest is free: no bounds, no constraints, and the same Newton
search as for the fit itself. lme4 searches over standard deviations and correlations within bounds instead.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.covariance.base import Covariance
from pyimpl.covariance.structures import Structure
from pyimpl.covariance.unstructured import Unstructured
from pyimpl.design.design import Design
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.inference.estimates import Estimates
from pyimpl.likelihood.cost import operations
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import optimize
from pyimpl.likelihood.parameters import Parameters
from pyimpl.likelihood.reduce import Reduced, make_engine, reduce_design
from pyimpl.likelihood.starts import natural_units
from pyimpl.likelihood.trust_region import ABSENT, EXACT, minimise
from pyimpl.linalg.forecast import Forecast
from r_scripts.caller import warn
from r_scripts.dialect import Dialect

__all__ = ["STEPS", "Profiler", "parameters_of", "percent_labels", "sdcor", "variance_parameters"]

#: Fits of a walk to the ends of an interval, roughly: four steps each way, and some over.
STEPS = 10

_EPS = float(np.finfo(float).eps)
_BUDGET = 5000  # evaluations for one point of a profile
_CHEAP = 3e5  # operations of an evaluation up to which differences of it cost little: a fifth of a millisecond
_OFF_BOUNDARY = 0.05  # standard deviation, or share of the way between a correlation's bounds, at a start
_MAXMULT = 10.0  # a step grows at most so much (lme4's maxmult)
_Evaluate = Callable[[float, "np.ndarray | None"], "_Point"]


def sdcor(covariances: Sequence[np.ndarray]) -> np.ndarray:
    """Return the standard deviations and correlations of each term, lower triangle by columns (``Cv_to_Sv``).

    Parameters
    ----------
    covariances : sequence of ndarray, shape (p, p)

    Returns
    -------
    ndarray, shape (n_theta,)
        NaN for correlations with an effect that does not vary.
    """
    parts = [np.empty(0)]
    for covariance in covariances:
        sd = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = covariance / np.outer(sd, sd)
        off = ~np.eye(len(sd), dtype=bool)
        matrix[off] = np.clip(matrix[off], -1.0, 1.0)
        np.fill_diagonal(matrix, sd)
        parts.append(matrix.T[np.triu_indices(len(sd))])
    return np.concatenate(parts)


def parameters_of(design: Design, dialect: Dialect) -> Parameters:
    """Return what a version of lme4 calls the parameters of a model."""
    covariances = None if design.structure is None else design.structure.covariances
    return Parameters([(term.group, term.effects) for term in design.terms], design.coef_names, dialect, covariances)


def variance_parameters(estimates: Estimates, covariances: Sequence[Covariance] | None) -> np.ndarray:
    """Standard deviations and correlations of all terms, in the order of :attr:`Parameters.by_columns`.

    Parameters
    ----------
    estimates : Estimates
    covariances : sequence of Covariance or None
        Structures of the terms; None where all are unstructured.
    """
    if covariances is None:
        return sdcor(estimates.covariances)
    structure = Structure(tuple(covariances))
    z = structure.coordinates(estimates.theta) * estimates.sigma**structure.powers
    return np.concatenate([_described(one, z[at]) for one, at in zip(covariances, structure.slices, strict=True)])


def _described(covariance: Covariance, z: np.ndarray, order: Sequence[int] | None = None) -> np.ndarray:
    """Standard deviations and correlations of a term at its coordinates in absolute units.

    `order`: in which its effects stand there, if it is unstructured.
    """
    if not isinstance(covariance, Unstructured):
        return covariance.parameters(z)
    A = _triangle(z, covariance.p)
    matrix = A @ A.T
    if order is not None:
        back = np.argsort(order)
        matrix = matrix[np.ix_(back, back)]
    return sdcor([matrix])


def percent_labels(tails: Sequence[float]) -> list[str]:
    """Write the tails as R's ``format.perc(tails, 3)`` does: ``2.5 %``, ``97.5 %``."""
    texts = [f"{100 * tail:.3g}" for tail in tails]
    decimals = max(len(text.partition(".")[2]) for text in texts)
    return [f"{100 * tail:.{decimals}f} %" for tail in tails]


@dataclass(frozen=True)
class _Point:
    """A point of a profile: the parameter, ζ, the free parameters to start from nearby, and what all parameters are."""

    x: float
    zeta: float
    free: np.ndarray | None
    others: Callable[[], np.ndarray]


class _ScaledDeviance(Objective):
    """The ML deviance at any θ and σ, with its gradient; of structured covariances, θ are the search's coordinates."""

    @cached_property
    def engine(self) -> Any:
        """What evaluates."""
        engine = make_engine(self.blocks, self._df, self.REML)
        return engine if self.blocks.structure is None else engine.in_coordinates()

    def at(self, theta: np.ndarray, sigma: float) -> tuple[float, np.ndarray, float]:
        """Value, derivative by θ, and r²/σ²."""
        engine, n = self.engine, self.blocks.N
        scaled = float(engine.gradient_at_sigma(theta, sigma))
        self.gradients += 1
        if not math.isfinite(scaled):
            return math.inf, np.full(theta.size, np.nan), math.nan
        deviance = float(engine.log_det) + scaled + n * math.log(2 * math.pi * sigma**2) - self.blocks.log_weights
        return deviance, np.array(engine.gradient), scaled


class _Inner:
    """The search over the free parameters (all but the one that is held).

    Where evaluations are cheap, differences of the gradient are the Hessian at each step, else at the profile's first
    point only: the next ones begin with it, and updates do the rest (three levels, 90 000 rows: with one evaluation
    for value and gradient, a whole profile 19.8 -> 5.0 s).
    """

    def __init__(self, function: "_Held", units: np.ndarray, cheap: bool) -> None:
        self.function = function
        self.units = units
        self.kind = EXACT if cheap else ABSENT
        self._first: np.ndarray | None = None

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient and Hessian, all scaled."""
        f, g = self._gradient(x)
        if self._first is not None:
            return f, g, self._first
        H = np.zeros((x.size, x.size))
        if math.isfinite(f):
            for k in range(x.size):
                h = max(1.0, abs(float(x[k]))) * 1e-6
                moved = x.copy()
                moved[k] += h
                ahead = self._gradient(moved)[1]
                moved[k] = x[k] - h
                H[k] = (ahead - self._gradient(moved)[1]) / (2 * h)
            H = 0.5 * (H + H.T)
        H = np.where(np.isfinite(H), H, 0.0)
        if self.kind == ABSENT and math.isfinite(f):
            self._first = H
        return f, g, H

    def _gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = self.function(x * self.units)
        return f, g * self.units


class _Held:
    """The deviance as a function of the free parameters: A (lme4's order) and log σ, less what is held.

    Parameters
    ----------
    objective : _ScaledDeviance
        Of the design with the effects in question first in their term.
    kind : {"sd", "cor", "own", "sigma"}
        ``"own"``: a parameter of a structured covariance, which has a coordinate of its own.
    at : int
        Position in θ of the term's first element (``"sd"``, ``"cor"``), or of the coordinate (``"own"``).
    p : int
        Effects of that term.
    """

    def __init__(self, objective: _ScaledDeviance, kind: str, at: int, p: int) -> None:
        self.objective = objective
        structure = objective.blocks.structure
        self.powers = np.ones(objective.blocks.n_theta) if structure is None else structure.powers
        self.kind = kind
        self.n = objective.blocks.n_theta
        self.first, self.below, self.second = at, at + 1, at + p  # A₁₁, A₂₁, A₂₂
        dropped = {"sd": self.first, "own": self.first, "cor": self.below, "sigma": self.n}[kind]
        self.keep = np.delete(np.arange(self.n + 1), dropped)
        self.x = 0.0

    def restrict(self, full: np.ndarray) -> np.ndarray:
        """Return the free parameters of (A, log σ)."""
        full = full.copy()
        if self.kind == "cor":  # the two standard deviations by their logarithms: their signs would turn ρ's
            full[self.second] = math.log(math.hypot(full[self.below], full[self.second]))
            full[self.first] = math.log(abs(full[self.first]))
        return full[self.keep]

    def expand(self, free: np.ndarray) -> np.ndarray:
        """Return (A, log σ) of the free parameters and the held one."""
        full = np.zeros(self.n + 1)
        full[self.keep] = free
        if self.kind in ("sd", "own"):
            full[self.first] = self.x
        elif self.kind == "sigma":
            full[self.n] = math.log(self.x)
        else:
            with np.errstate(over="ignore"):
                full[self.first], s = np.exp(full[self.first]), np.exp(full[self.second])
            full[self.below], full[self.second] = self.x * s, math.sqrt(max(0.0, 1 - self.x**2)) * s
        return full

    def __call__(self, free: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the deviance and its gradient by the free parameters."""
        full = self.expand(free)
        if not np.isfinite(full).all() or abs(full[self.n]) > 300:
            return math.inf, np.full(free.size, np.nan)
        sigma = math.exp(full[self.n])
        scale = sigma**self.powers
        theta = full[: self.n] / scale
        value, slope, scaled = self.objective.at(theta, sigma)
        by_sigma = 2 * self.objective.blocks.N - 2 * scaled - float((self.powers * slope) @ theta)
        gradient = np.append(slope / scale, by_sigma)
        if self.kind == "cor":
            gradient[self.second] = gradient[self.below] * full[self.below] + gradient[self.second] * full[self.second]
            gradient[self.first] *= full[self.first]
        return value, gradient[self.keep]


class Profiler:
    """Profiles of a model fitted by maximum likelihood.

    Parameters
    ----------
    design : Design
    blocks : Reduced
    estimates : Estimates
        At the ML optimum.
    deviance : float
        The minimum of the deviance.
    dialect : Dialect
        Whose names the parameters have.
    """

    def __init__(
        self, design: Design, blocks: Reduced, estimates: Estimates, deviance: float, dialect: Dialect
    ) -> None:
        self.design = design
        self.estimates = estimates
        self.deviance = deviance
        self.parameters = parameters_of(design, dialect)
        # by columns of each term's lower triangle, whatever the order in which the version gives them
        self.names = self.parameters.names_by_columns()
        self.n_variance = blocks.n_theta + 1
        variances = variance_parameters(estimates, self.parameters.covariances)
        self.optimum = np.concatenate([variances, [estimates.sigma], estimates.beta])
        self._blocks = blocks
        self._structure = design.structure or Structure(tuple(term.covariance for term in design.terms))
        # term of each parameter, its position there, and the effects that it is of, the later first
        self._rows: dict[str, tuple[int, int, int, int]] = {}
        names = iter(self.names)
        for t, term in enumerate(design.terms):
            if isinstance(term.covariance, Unstructured):
                places = term.covariance.places
            else:
                places = tuple((k, k) for k in range(term.covariance.n_par))
            for k, (i, j) in enumerate(places):
                self._rows[next(names)] = (t, k, i, j)

    # -- the function ------------------------------------------------------------------------------

    def bounds(self, name: str) -> tuple[float, float]:
        """Return the smallest and largest value that a parameter can have."""
        if name in self._rows:
            t, k, i, j = self._rows[name]
            covariance = self.design.terms[t].covariance
            if not isinstance(covariance, Unstructured):
                return float(covariance.lower[k]), float(covariance.upper[k])
            return (0.0, math.inf) if i == j else (-1.0, 1.0)
        return (0.0 if name == ".sigma" else -math.inf), math.inf

    def _zeta(self, name: str, x: float, deviance: float) -> float:
        difference = deviance - self.deviance
        # what rounding of the deviance explains is no news
        if difference < -1e-8 - 1024 * _EPS * abs(self.deviance):
            raise ModelError(
                f"profiling {name} detected a lower deviance ({deviance:.10g}) than the fit's ({self.deviance:.10g}): "
                "fit the model again from another start (start=..., or LmerControl(starts=...))"
            )
        center = self.optimum[self.names.index(name)]
        return math.copysign(math.sqrt(max(0.0, difference)), x - center) if x != center else 0.0

    def _function(self, name: str) -> tuple[_Evaluate, np.ndarray | None]:
        """Return what gives a point of a parameter's profile, and the free parameters at the optimum."""
        position = self.names.index(name)
        if position >= self.n_variance:
            return self._coefficient(name, position - self.n_variance), self.estimates.theta
        t, k, i, j = self._rows.get(name, (0, 0, 0, 0))
        own = not isinstance(self.design.terms[t].covariance, Unstructured)
        kind = "sigma" if name not in self._rows else "own" if own else "sd" if i == j else "cor"
        order = list(range(self.design.terms[t].p)) if own else self._order(t, i, j)
        if kind == "sigma" or order == sorted(order):
            design, blocks, order = self.design, self._blocks, sorted(order)
        else:
            term = self.design.terms[t]
            terms = list(self.design.terms)
            terms[t] = replace(
                term,
                effects=tuple(term.effects[k] for k in order),
                columns=np.ascontiguousarray(term.columns[:, order]),
            )
            design = replace(self.design, terms=tuple(terms))
            blocks = reduce_design(design)
        at = self._structure.slices[t].start + (k if kind == "own" else 0)
        held = _Held(_ScaledDeviance(blocks, False), kind, at, design.terms[t].p)
        units = np.append((natural_units(blocks) * self.estimates.sigma) ** held.powers, 1.0)
        if kind == "cor":
            units[[held.first, held.second]] = 1.0
        full = np.append(self._absolute(t, order), math.log(self.estimates.sigma))
        search = _Inner(held, units[held.keep], operations(blocks) <= _CHEAP)

        def evaluate(x: float, start: np.ndarray | None) -> _Point:
            assert start is not None
            held.x = self._coordinate(t, k, x) if kind == "own" else x
            at_minimum, value, code = minimise(search, start / search.units, _BUDGET, search.kind)
            if code == 1:
                message = f"stopped after {_BUDGET} evaluations"
                warn(f"profile of {name} at {x:g}: {message}", PyimplWarning)
            free = at_minimum * search.units
            zeta = self._zeta(name, x, value)
            return _Point(x, zeta, free, partial(self._describe, held, t, order, held.expand(free)))

        return evaluate, held.restrict(full)

    def _describe(self, held: _Held, t: int, order: Sequence[int], full: np.ndarray) -> np.ndarray:
        """Return all parameters, lme4's, at (A, log σ) of the design whose term t has its effects in this order."""
        sigma = math.exp(full[-1])
        beta = held.objective.solve(full[:-1] / sigma**held.powers).beta
        return np.concatenate([self._variances(full[:-1], t, order), [sigma], beta])

    def _variances(self, z: np.ndarray, t: int = -1, order: Sequence[int] | None = None) -> np.ndarray:
        """Standard deviations and correlations at absolute coordinates, term t with its effects in an order."""
        structure = self._structure
        parts = [
            _described(one, z[at], order if k == t else None)
            for k, (one, at) in enumerate(zip(structure.covariances, structure.slices, strict=True))
        ]
        return np.concatenate(parts)

    def _absolute(self, t: int, order: Sequence[int]) -> np.ndarray:
        """Coordinates in absolute units (Cholesky factors of the covariances), term t's effects in this order."""
        sigma, structure = self.estimates.sigma, self._structure
        z = structure.coordinates(self.estimates.theta) * sigma**structure.powers
        if list(order) != sorted(order):
            A = sigma * self.estimates.templates[t]
            A = np.linalg.qr(A[list(order)].T, mode="r").T
            A = A * np.where(np.diag(A) < 0, -1.0, 1.0)
            columns, rows = np.triu_indices(len(A))
            z[structure.slices[t]] = A[rows, columns]
        return z

    def _order(self, t: int, i: int, j: int) -> list[int]:
        """The effects of a term, those in question first."""
        return list(dict.fromkeys([j, i, *range(self.design.terms[t].p)]))

    def _coordinate(self, t: int, k: int, x: float) -> float:
        """Coordinate of a structured term's parameter k, in absolute units."""
        covariance = self.design.terms[t].covariance
        par = covariance.start
        par[k] = x
        return float(covariance.coordinates(par)[k])

    def _coefficient(self, name: str, j: int) -> _Evaluate:
        design = self.design
        others = [k for k in range(design.P) if k != j]
        offset = np.zeros(design.N) if design.offset is None else design.offset
        without = replace(
            design,
            X=np.ascontiguousarray(design.X[:, others]),
            coef_names=tuple(design.coef_names[k] for k in others),
            assign=tuple(design.assign[k] for k in others) if design.assign else (),
        )

        def evaluate(x: float, start: np.ndarray | None) -> _Point:
            objective = Objective(reduce_design(replace(without, offset=offset + design.X[:, j] * x)), False)
            starts = None if start is None else [_off_boundary(start, objective.blocks)]
            summary = optimize(objective, starts, _BUDGET)
            if summary.return_code == 1:
                warn(f"profile of {name} at {x:g}: {summary.message}", PyimplWarning)

            def describe() -> np.ndarray:
                solution = objective.solve(summary.final)
                sigma2 = solution.prss / design.N
                structure = self._structure
                z = structure.coordinates(summary.final) * math.sqrt(sigma2) ** structure.powers
                beta = np.insert(solution.beta, j, x)
                return np.concatenate([self._variances(z), [math.sqrt(sigma2)], beta])

            return _Point(x, self._zeta(name, x, summary.final_objective), summary.final, describe)

        return evaluate

    # -- walking along it --------------------------------------------------------------------------

    def walk(
        self, name: str, cutoff: float, delta: float, maxpts: int = 100, forecast: Forecast | None = None
    ) -> tuple[list[_Point], _Evaluate | None]:
        """Follow a parameter's profile both ways from the optimum, lme4's steps: about `delta` apart in ζ.

        Parameters
        ----------
        name : str
        cutoff : float
            Go on until ζ is beyond this.
        delta : float
        maxpts : int
            Points on one side.
        forecast : Forecast, optional
            Gets to know of each point.

        Returns
        -------
        list of points, ascending; the function that gives others (None where the parameter is not defined).

        Raises
        ------
        ModelError
            A deviance below the fit's is found.
        """
        center = float(self.optimum[self.names.index(name)])
        if not math.isfinite(center):
            warn(f"{name} is not defined: one of the two effects has the variance 0; it is not profiled", PyimplWarning)
            return [], None
        function, free = self._function(name)

        def evaluate(x: float, start: np.ndarray | None) -> _Point:
            point = function(x, start)
            if forecast is not None:
                forecast.done()
            return point

        lower, upper = self.bounds(name)
        middle = _Point(center, 0.0, free, lambda: self.optimum)
        nearby = [middle]
        scale = self._scale(name)
        if upper - center <= 1e-6 * scale:  # a correlation of 1: there is one side only
            upper = center
        if center - lower <= 1e-6 * scale:
            lower = center
        first = self._first_step(name, center, delta)
        if center + first > upper:
            first = 0.5 * (upper - center)
        if first > 0:
            nearby.append(evaluate(center + first, free))
        else:
            nearby.append(evaluate(center + max(-0.01 * scale, 0.5 * (lower - center)), free))
        nearby.sort(key=lambda point: point.x)
        monotonic = True
        above, below = list(nearby), nearby[::-1]
        for side, bound in ((above, upper), (below, lower)):
            outward = side[1].x > side[0].x
            while len(side) < maxpts and abs(side[-1].zeta) <= cutoff and side[-1].x != bound:
                last, before = side[-1], side[-2]
                gap = last.x - before.x
                rise = abs(last.zeta - before.zeta) if (last.zeta > before.zeta) == outward else 0.0
                step = gap * (min(_MAXMULT, delta / rise) if rise > 0 else 1.0)
                monotonic &= rise > 0
                target = last.x + step
                target = min(bound, target) if outward else max(bound, target)
                side.append(evaluate(target, last.free))
        if not monotonic:
            warn(f"non-monotonic profile for {name}", PyimplWarning)
        points = {point.x: point for point in (*below, *above)}
        return sorted(points.values(), key=lambda point: point.x), evaluate

    def _scale(self, name: str) -> float:
        """Return the natural unit of a parameter."""
        if name not in self._rows:
            return self.estimates.sigma
        t, k, i, j = self._rows[name]
        squares = np.mean(self.design.terms[t].columns ** 2, axis=0)
        covariance = self.design.terms[t].covariance
        if not isinstance(covariance, Unstructured):
            if covariance.powers[k] == 0:
                return 1.0
            return self.estimates.sigma * float(covariance.units(np.sqrt(np.where(squares > 0, squares, 1.0)))[k])
        if i != j:
            return 1.0
        root_mean_square = math.sqrt(float(squares[i])) or 1.0
        return self.estimates.sigma / root_mean_square

    def _first_step(self, name: str, center: float, delta: float) -> float:
        position = self.names.index(name) - self.n_variance
        if position >= 0:
            return delta * math.sqrt(float(self.estimates.vcov[position, position]))
        return max(0.01 * abs(center), 1e-3 * self._scale(name))

    # -- results -----------------------------------------------------------------------------------

    def table(
        self, which: Iterable[str], alphamax: float, maxpts: int, delta_cutoff: float, count: int | None = None
    ) -> pd.DataFrame:
        """Return the profiles: see ``LmerFit.profile``; `count` is how many they are, to tell how long it will take."""
        from scipy.special import chdtri

        cutoff = math.sqrt(float(chdtri(len(self.names), alphamax)))
        parts = []
        fits = (len(self.names) if count is None else count) * 2 * math.ceil(1 / delta_cutoff)
        forecast = Forecast("profile", fits, "fits", "Name fewer parameters")
        for name in which:
            points, _ = self.walk(name, cutoff, cutoff * delta_cutoff, maxpts, forecast)
            if not points:
                continue
            values = np.array([point.others() for point in points])
            focal = np.array([point.x for point in points])
            values[:, self.names.index(name)] = focal
            part = pd.DataFrame(values, columns=list(self.names))
            part.insert(0, ".zeta", [point.zeta for point in points])
            part[".par"] = name
            part[".focal"] = focal
            parts.append(part)
        columns = [".zeta", *self.parameters.names(), ".par", ".focal"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def interval(self, name: str, level: float, forecast: Forecast | None = None) -> tuple[float, float]:
        """Return the two values of a parameter whose ζ is the normal quantile, exactly (not by interpolation).

        Where ζ does not go so far, the interval ends at the parameter's bound (lme4 does the same).

        Parameters
        ----------
        name : str
        level : float
        forecast : Forecast, optional
            Gets to know of each step along the profile; there are some `STEPS` of them.
        """
        from scipy.optimize import brentq
        from scipy.special import ndtri

        z = float(ndtri(0.5 + 0.5 * level))
        # larger steps than a profile's: the end is searched for anyway
        points, evaluate = self.walk(name, z, z / 4, forecast=forecast)
        if evaluate is None:
            return math.nan, math.nan
        middle = next(k for k, point in enumerate(points) if point.zeta == 0.0 and point.x == self._center(name))
        ends = []
        for side, bound in zip((points[middle::-1], points[middle:]), self.bounds(name), strict=True):
            beyond = next((k for k, point in enumerate(side) if abs(point.zeta) >= z), None)
            if not beyond:
                ends.append(bound)
                continue
            inner, outer = side[beyond - 1], side[beyond]
            end = brentq(
                lambda x, inner=inner, outer=outer: abs(_between(evaluate, x, inner, outer).zeta) - z,
                inner.x,
                outer.x,
                xtol=1e-10 * max(abs(outer.x), abs(outer.x - inner.x)),
                rtol=1e-10,
            )
            ends.append(float(end))
        return ends[0], ends[1]

    def _center(self, name: str) -> float:
        return float(self.optimum[self.names.index(name)])


def _between(evaluate: _Evaluate, x: float, inner: _Point, outer: _Point) -> _Point:
    """Return the point at x between two known ones, started from between theirs."""
    if x in (inner.x, outer.x):
        return inner if x == inner.x else outer
    start = inner.free
    if inner.free is not None and outer.free is not None:
        share = (x - inner.x) / (outer.x - inner.x)
        start = inner.free + share * (outer.free - inner.free)
    return evaluate(x, start)


def _triangle(values: np.ndarray, p: int) -> np.ndarray:
    """Return the lower triangular matrix whose columns come one after the other (lme4's θ)."""
    out = np.zeros((p, p))
    columns, rows = np.triu_indices(p)
    out[rows, columns] = values[: columns.size]
    return out


def _off_boundary(theta: np.ndarray, blocks: Reduced) -> np.ndarray:
    """Return θ moved off the boundary, so that the search can leave it."""
    moved = np.where((blocks.lower == 0) & (theta < _OFF_BOUNDARY), _OFF_BOUNDARY, theta)
    return moved if blocks.structure is None else blocks.structure.inside(moved, _OFF_BOUNDARY)
