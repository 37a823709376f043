"""The judge's own evaluation of a linear mixed model from y, X and Z: a third opinion that owes nothing to either side.

It is short rather than quick, and is used to say *why* two fits differ: which criterion a reported value belongs to,
what the BLUPs of a given θ are, whether a better optimum's other numbers follow from it. Equations are those of Bates,
Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import lsqr, splu

from validation.contract import LinearMixedFit
from validation.covariances import FREE, Structure, parameters_of, structures_of
from validation.quantities import Key, named, numbered, quietly
from validation.tolerances import SINGULAR, Match


@dataclass(frozen=True)
class Term:
    """One random-effects term: its name in VarCorr, its grouping factor, effects and levels, in lme4's order."""

    name: str
    group: str
    effects: tuple[str, ...]
    levels: tuple[str, ...]
    structure: Structure = FREE

    @property
    def p(self) -> int:
        """Effects per level."""
        return len(self.effects)

    @property
    def J(self) -> int:
        """Levels."""
        return len(self.levels)

    @property
    def n_theta(self) -> int:
        """Number of its covariance parameters."""
        return self.structure.n_par(self.p)


@dataclass(frozen=True)
class Pieces:
    """y, X, Z and the terms of a fit, as ``getME`` gives them; prior weights and offset where it has them.

    ``weights`` and ``offset`` are None where all are 1 and 0. "θ" is here what the objective takes: where a term's
    covariances are structured, lme4's ``par`` (:mod:`validation.covariances`); otherwise θ itself. ``element_names``
    are those of lme4's θ, where that is another.
    """

    y: np.ndarray
    X: np.ndarray
    Z: sp.csc_array
    coef_names: tuple[str, ...]
    terms: tuple[Term, ...]
    theta_names: tuple[str, ...]
    element_names: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None

    @cached_property
    def n_theta(self) -> int:
        """Length of θ."""
        return sum(term.n_theta for term in self.terms)

    @property
    def structured(self) -> bool:
        """Whether a term's covariances are not free."""
        return any(not term.structure.free for term in self.terms)

    def by_term(self, theta: np.ndarray) -> list[np.ndarray]:
        """Each term's part of θ."""
        ends = np.cumsum([term.n_theta for term in self.terms])
        return np.split(np.asarray(theta, dtype=float), ends[:-1]) if self.terms else []

    def templates(self, theta: np.ndarray) -> list[np.ndarray]:
        """The relative covariance factor T of each term (lower triangular)."""
        return [
            term.structure.template(part, term.p) for term, part in zip(self.terms, self.by_term(theta), strict=True)
        ]

    def components(self, theta: np.ndarray, sigma: float) -> dict[Key, float]:
        """The numbers of Σ = σ²TT', by the keys of a comparison's rows: a term's variances, then its covariances."""
        found: dict[Key, float] = {}
        for term, T in zip(self.terms, self.templates(theta), strict=True):
            Sigma = sigma**2 * T @ T.T
            for effect, variance in zip(term.effects, np.diag(Sigma).tolist(), strict=True):
                found["variance", term.name, effect, None, None] = variance
                found["sd", term.name, effect, None, None] = math.sqrt(variance)
            for (i, first), (j, second) in combinations(enumerate(term.effects), 2):
                product = Sigma[i, i] * Sigma[j, j]
                correlation = Sigma[i, j] / math.sqrt(product) if product > 0 else math.nan
                found["covariance", term.name, first, second, None] = float(Sigma[i, j])
                found["cor", term.name, first, second, None] = float(correlation)
        return found

    def elements(self, theta: np.ndarray) -> np.ndarray:
        """lme4's ``getME("theta")``: the different elements of the templates."""
        parts = zip(self.terms, self.by_term(theta), strict=True)
        return np.concatenate([term.structure.theta(part, term.p) for term, part in parts])

    @cached_property
    def freed(self) -> "Pieces":
        """The same with all covariances free."""
        return replace(self, terms=tuple(replace(term, structure=FREE) for term in self.terms))

    def between(self, start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
        """θ of :attr:`freed` whose relative covariance matrices TT' lie on the straight line between those of two θ.

        V is linear in them: where the data can't tell two θ apart, they can't tell those between apart either. (Not all
        structures hold mixtures of their matrices.)
        """
        values: list[np.ndarray] = []
        for first, last in zip(self.templates(start), self.templates(end), strict=True):
            # [√(1−s)T₁, √sT₂] times its transpose is the mixture; QR gives its Cholesky factor, definite or not
            stacked = np.hstack([np.sqrt(1.0 - share) * first, np.sqrt(share) * last])
            factor = np.linalg.qr(stacked.T, mode="r").T
            factor = factor * np.where(np.diag(factor) < 0.0, -1.0, 1.0)
            values.append(np.array([factor[place] for place in FREE.places(len(factor))]))
        return np.concatenate(values)

    def Lambda(self, theta: np.ndarray) -> sp.csc_array:
        """Λ(θ): block diagonal, a copy of each term's T per level."""
        blocks = [
            sp.kron(sp.eye_array(term.J), sp.csc_array(T))
            for term, T in zip(self.terms, self.templates(theta), strict=True)
        ]
        return sp.block_diag(blocks, format="csc") if blocks else sp.csc_array((0, 0))

    def by_level(self, values: np.ndarray) -> list[np.ndarray]:
        """What there is of each column of Z, by term: shape (levels, effects)."""
        ends = np.cumsum([term.J * term.p for term in self.terms])
        return [part.reshape(term.J, term.p) for term, part in zip(self.terms, np.split(values, ends), strict=False)]

    @cached_property
    def squares(self) -> np.ndarray:
        """Σ w z² of each column of Z: how much its level's own rows say about it."""
        squared = self.Z.multiply(self.Z)
        weighted = squared if self.weights is None else sp.diags_array(self.weights) @ squared
        return np.asarray(weighted.sum(axis=0)).ravel()

    @cached_property
    def units(self) -> list[np.ndarray]:
        """For each term's effects: 1 over the root mean square of the effect's columns in Z."""
        rows = max(self.Z.shape[0], 1)
        rms = [np.sqrt(block.sum(axis=0) / rows) for block in self.by_level(self.squares)]
        return [np.where(size > 0.0, 1.0 / np.where(size > 0.0, size, 1.0), 1.0) for size in rms]

    @cached_property
    def theta_scale(self) -> np.ndarray:
        """What an element of θ must be for its effect to move the response by about σ: 1 over the column's rms in Z.

        θ itself depends on a predictor's unit (metres, kilometres); divided by this it does not.
        """
        pairs = zip(self.terms, self.units, strict=True)
        return np.concatenate([term.structure.units(unit) for term, unit in pairs])

    def on_boundary(self, theta: np.ndarray) -> np.ndarray:
        """Which elements of θ are (nearly) at a bound, in units that no predictor's unit changes."""
        return np.concatenate(
            [
                term.structure.on_boundary(part, unit)
                for term, part, unit in zip(self.terms, self.by_term(theta), self.units, strict=True)
            ]
        )

    @cached_property
    def bounds(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each element of θ."""
        return [pair for term in self.terms for pair in term.structure.bounds(term.p)]

    def inside(self, theta: np.ndarray) -> bool:
        """Whether θ is within its bounds."""
        return all(low <= value <= high for value, (low, high) in zip(theta, self.bounds, strict=True))


@dataclass(frozen=True)
class Solution:
    """Everything that follows from θ under one criterion.

    Attributes
    ----------
    beta, se : ndarray
    """

    objective: float  # profiled ML deviance, eq. (35), or REML criterion, eq. (42)
    beta: np.ndarray
    vcov: np.ndarray
    sigma: float
    b: np.ndarray  # shape (q,): conditional modes, Λu
    #: shape (N,): with and without the random effects, the offset included
    fitted: np.ndarray
    marginal: np.ndarray
    pieces: Pieces = field(repr=False)
    theta: np.ndarray = field(repr=False)

    @property
    def se(self) -> np.ndarray:
        """Standard errors of β."""
        return np.sqrt(np.diag(self.vcov))

    def ranef(self) -> dict[tuple[str, str, str], float]:
        """Conditional modes by (group, effect, level)."""
        return by_label(self.pieces, self.b)

    def conditional_sds(self, largest: int = 3000) -> dict[tuple[str, str, str], float]:
        """Conditional sds by (group, effect, level), eq. (58); empty where Z has more than ``largest`` columns."""
        if self.pieces.Z.shape[1] > largest:
            return {}
        return by_label(self.pieces, self.sigma * np.sqrt(np.sum(self._conditional_root() ** 2, axis=0)))

    def conditional_covariance(self) -> np.ndarray:
        """Covariance matrix of the random effects given y, eq. (58): one of all columns of Z, not sparse."""
        root = self.sigma * self._conditional_root()
        return np.asarray(root.T @ root)

    def _conditional_root(self) -> np.ndarray:
        Lambda = self.pieces.Lambda(self.theta)
        ZL = _scaled(self.pieces.Z @ Lambda, self.pieces.weights)
        A = (ZL.T @ ZL).toarray() + np.eye(self.pieces.Z.shape[1])
        return np.asarray(scipy.linalg.solve_triangular(np.linalg.cholesky(A), Lambda.T.toarray(), lower=True))

    def numbers(self) -> dict[Key, float]:
        """Every number that follows from θ, by the keys of a comparison's rows."""
        pieces, sigma = self.pieces, self.sigma
        values: dict[Key, float] = {}
        names, se = pieces.coef_names, self.se
        for i, name in enumerate(names):
            for quantity, value in (("fixef", self.beta[i]), ("se", se[i]), ("t", self.beta[i] / se[i])):
                values[named(quantity, term=name)] = float(value)
            for j in range(i + 1):
                values[named("vcov", None, name, names[j])] = float(self.vcov[i, j])
        values |= pieces.components(self.theta, sigma)
        values |= {named("variance", "Residual"): sigma**2, named("sd", "Residual"): sigma, named("sigma"): sigma}
        values[named("logLik")] = -0.5 * self.objective
        # R's isSingular() looks at the parameters as they are, in the predictors' own units.
        low, high = np.array(pieces.bounds).reshape(-1, 2).T
        distance = np.minimum(np.abs(self.theta - low), np.abs(high - self.theta))
        values[named("singular")] = float((distance < SINGULAR).any())
        for quantity, by_level in (("ranef", self.ranef()), ("condsd", self.conditional_sds())):
            for (group, effect, level), value in by_level.items():
                values[named(quantity, group, effect, level=level)] = value
        return values


def by_label(pieces: Pieces, vector: np.ndarray) -> dict[tuple[str, str, str], float]:
    """A number for each column of Z, by (group, effect, level)."""
    result: dict[tuple[str, str, str], float] = {}
    seen: dict[str, list[str]] = {}  # the effects of a group so far: one that it has again is numbered as in the tables
    for term, block in zip(pieces.terms, pieces.by_level(vector), strict=True):
        seen[term.group] = [*seen.get(term.group, []), *term.effects]
        effects = numbered(seen[term.group])[-term.p :]
        for level, row in zip(term.levels, block, strict=True):
            result.update(((term.group, effect, level), float(x)) for effect, x in zip(effects, row, strict=True))
    return result


def pieces_of(fit: LinearMixedFit) -> Pieces:
    """Collect y, X, Z and the terms of a fit from ``getME``.

    Raises
    ------
    ValueError
        The pieces do not fit each other (as many columns of Z as levels times effects, as many θ as the terms need).
    """
    X = fit.getME("X")
    cnms: Mapping[str, Any] = fit.getME("cnms")
    flist: pd.DataFrame = fit.getME("flist")
    terms = []
    names = [str(name) for name in cnms]
    # cnms of (x || g) has one name twice in R; VarCorr's names (g, g.1) tell the terms apart.
    groups = list(dict.fromkeys(str(group) for group in fit.VarCorr()["grp"] if str(group) != "Residual"))
    if len(groups) == len(names):
        names = groups
    structures = structures_of(fit) or [FREE] * len(names)
    for name, effects, structure in zip(names, cnms.values(), structures, strict=True):
        group = _factor_of(name, [str(column) for column in flist.columns])
        levels = tuple(str(level) for level in flist[group].cat.categories)
        terms.append(Term(name, group, tuple(str(effect) for effect in effects), levels, structure))
    theta = parameters_of(fit)
    structured = any(not structure.free for structure in structures)
    pieces = Pieces(
        y=np.asarray(fit.getME("y"), dtype=float),
        X=X.to_numpy(dtype=float),
        Z=sp.csc_array(fit.getME("Z")).astype(float),
        coef_names=tuple(str(name) for name in X.columns),
        terms=tuple(terms),
        theta_names=tuple(str(name) for name in theta.index),
        element_names=tuple(str(name) for name in fit.getME("theta").index) if structured else (),
        weights=by_row(fit, "weights", 1.0, X.shape[0]),
        offset=by_row(fit, "offset", 0.0, X.shape[0]),
    )
    if sum(term.J * term.p for term in terms) != pieces.Z.shape[1]:
        raise ValueError(f"Z has {pieces.Z.shape[1]} columns, its terms {sum(term.J * term.p for term in terms)}")
    if pieces.n_theta != len(theta):
        raise ValueError(f"theta has {len(theta)} elements, the terms need {pieces.n_theta}")
    return pieces


def by_row(fit: LinearMixedFit, name: str, usual: float, rows: int) -> np.ndarray | None:
    """Prior weights or offset; None where the fit has none, or does not say."""
    try:
        values = np.asarray(fit.getME(name), dtype=float).ravel()
    except Exception:  # a fit that knows no such piece: the caller checks that the objective is reproduced
        return None
    if values.size == 1 and rows > 1:
        values = np.full(rows, float(values[0]))
    if values.size != rows or not np.isfinite(values).all():
        return None
    return None if (values == usual).all() else values


def _scaled(matrix: Any, weights: np.ndarray | None) -> Any:
    """Rows times the roots of the prior weights: W^½ M, eq. (28)."""
    if weights is None:
        return matrix
    root = np.sqrt(weights)
    return sp.csc_array(sp.diags_array(root) @ matrix) if sp.issparse(matrix) else matrix * root[:, None]


def _factor_of(term: str, factors: list[str]) -> str:
    # lme4 names a second term of one factor "g.1": the longest factor that the name starts with.
    found = [factor for factor in factors if term == factor or term.startswith(f"{factor}.")]
    if not found:
        raise ValueError(f"term {term!r} has no grouping factor among {factors}")
    return max(found, key=len)


def _centred(pieces: Pieces) -> tuple[np.ndarray, tuple[int, float] | None]:
    """The response less a constant near its middle, and the column of ones that takes the constant up again.

    A response that is large for its spread (a year, a salary in cents) loses digits in every sum otherwise. Numbers
    within a factor of two of each other are subtracted without any error (Sterbenz 1974).
    """
    y = pieces.y if pieces.offset is None else pieces.y - pieces.offset
    ones = np.flatnonzero((pieces.X == 1.0).all(axis=0))
    middle = float(np.median(y)) if y.size else 0.0
    if not ones.size or middle == 0.0 or not ((y / middle >= 0.5) & (y / middle <= 2.0)).all():
        return y, None
    return y - middle, (int(ones[0]), middle)


def objective_floor(pieces: Pieces, reml: bool) -> float:
    """A bound below the objective at every θ; -inf where X and Z leave no residual, and nothing bounds it.

    The penalised residual sum of squares is at least that of y on all columns of X and Z; log|Λ'Z'ZΛ + I| is at least
    0, and with log|R_X|² it is log|X'X| + log|Λ'Z'MZΛ + I|, M projecting off X, hence at least log|X'X|.
    """
    X = _scaled(pieces.X, pieces.weights)
    N, P = X.shape
    y = (1.0 if pieces.weights is None else np.sqrt(pieces.weights)) * _centred(pieces)[0]
    columns = sp.hstack([sp.csc_array(X), sp.csc_array(_scaled(pieces.Z, pieces.weights))], format="csc")
    _, how, _, norm, *_ = lsqr(columns, y, atol=Match.COMPUTED, btol=Match.COMPUTED)
    sign, logdet_X = np.linalg.slogdet(X.T @ X) if reml and P else (1.0, 0.0)
    # converged, and to a residual that is no rounding error of y
    if how != 2 or sign <= 0.0 or norm <= Match.COMPUTED * float(np.linalg.norm(y)):
        return -math.inf
    df = N - P if reml else N
    weights = 0.0 if pieces.weights is None else float(np.log(pieces.weights).sum())
    return df * (1.0 + math.log(2.0 * math.pi * norm**2 / df)) + float(logdet_X) - weights


def solve(pieces: Pieces, theta: np.ndarray, reml: bool) -> Solution:
    """Solve the penalised least-squares problem at θ, eq. (16), and everything that follows from it.

    Prior weights make it the problem of W^½y, W^½X and W^½Z, with −Σ log w added to the objective; an offset is taken
    off y. A caller checks first that this reproduces the reference's objective.
    """
    N, P = pieces.X.shape
    root = 1.0 if pieces.weights is None else np.sqrt(pieces.weights)
    X = _scaled(pieces.X, pieces.weights)
    response, centre = _centred(pieces)
    y = root * response
    Lambda = pieces.Lambda(np.asarray(theta, dtype=float))
    plain_ZL = sp.csc_array(pieces.Z @ Lambda)
    ZL = sp.csc_array(_scaled(plain_ZL, pieces.weights))
    A = sp.csc_array(ZL.T @ ZL + sp.eye_array(ZL.shape[1]))
    factor = splu(A, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    logdet = float(np.log(np.abs(factor.U.diagonal())).sum())

    def augmented(M: np.ndarray) -> np.ndarray:
        """What is left of [M; 0] outside the columns of [ZΛ; I]: products of it are M'V⁻¹M, V = I + ZΛΛ'Z'.

        A sum of squares, where X'X less what ZΛ takes of it would leave no digits at a large θ.
        """
        U = factor.solve(np.asarray(ZL.T @ M))
        return np.concatenate([M - ZL @ U, -U])

    if P:
        columns = augmented(X)
        cholesky = scipy.linalg.cho_factor(columns.T @ columns)
        beta = scipy.linalg.cho_solve(cholesky, columns.T @ augmented(y))
        # One step of refinement: a huge offset of y costs digits otherwise.
        beta = beta + scipy.linalg.cho_solve(cholesky, columns.T @ augmented(y - X @ beta))
        logdet_X = 2.0 * float(np.log(np.diag(cholesky[0])).sum())
        unscaled = scipy.linalg.cho_solve(cholesky, np.eye(P))
    else:
        beta, logdet_X, unscaled = np.empty(0), 0.0, np.empty((0, 0))
    u = factor.solve(np.asarray(ZL.T @ (y - X @ beta)))
    r2 = float(np.sum((y - X @ beta - ZL @ u) ** 2) + np.sum(u**2))
    if centre is not None:
        beta = beta.copy()
        beta[centre[0]] += centre[1]
    marginal = pieces.X @ beta + (0.0 if pieces.offset is None else pieces.offset)
    fitted = marginal + plain_ZL @ u
    df = N - P if reml else N
    objective = logdet + df * (1.0 + math.log(2.0 * math.pi * r2 / df)) + (logdet_X if reml else 0.0)
    if pieces.weights is not None:
        objective -= float(np.log(pieces.weights).sum())
    sigma2 = r2 / df
    return Solution(
        objective=objective,
        beta=beta,
        vcov=sigma2 * unscaled,
        sigma=math.sqrt(sigma2),
        b=np.asarray(Lambda @ u),
        fitted=fitted,
        marginal=marginal,
        pieces=pieces,
        theta=np.asarray(theta, dtype=float),
    )


_SEARCH_ENDS = 1e-14  # on a change of the objective, as a share of it
_INSIDE = (0.02, 0.1, 0.4)  # distances from a bound at which a search that ended there is tried again


def optimum_of(pieces: Pieces, reml: bool, start: np.ndarray | None = None) -> Solution | None:
    """A model at its own optimum, by the judge's algebra, from a start (or lme4's); None where it has no objective.

    The objective is even in a standard deviation: at 0 its slope vanishes whether 0 is its minimum or not. So where a
    search ends on a bound, points inside are tried, and the search goes on from one that is lower.
    """
    from scipy.optimize import minimize

    unit = pieces.theta_scale

    def at(point: np.ndarray) -> Solution | None:
        return quietly(lambda: solve(pieces, point * unit, reml), None)

    def objective(point: np.ndarray) -> float:
        found = at(point)
        return found.objective if found is not None else math.inf

    bounds = [(low / one, high / one) for (low, high), one in zip(pieces.bounds, unit, strict=True)]
    at_one = np.array([low == 0.0 for low, _ in bounds], dtype=float)  # lme4's start
    point = at_one if start is None else np.asarray(start, dtype=float) / unit
    for _ in range(len(point) + 1):
        point = minimize(objective, point, method="L-BFGS-B", bounds=bounds, options={"ftol": _SEARCH_ENDS}).x
        beside = [
            np.where(np.arange(len(point)) == i, bound + sign * step, point)
            for i, pair in enumerate(bounds)
            for bound, sign in zip(pair, (1.0, -1.0), strict=True)
            if abs(point[i] - bound) <= SINGULAR
            for step in _INSIDE
        ]
        lower = min(beside, key=objective, default=point)
        if not objective(lower) < objective(point):
            break
        point = lower
    return at(point)
