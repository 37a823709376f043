"""Certified values recomputed by another road, in mpmath.

*Fits* by penalised least squares. Nothing is shared with the enclosure but the design, the stored θ, and what names the
numbers and takes AIC, t or a correlation from the rest (``validation.certify.values.labelled``): floating point with
many digits in place of balls, one sparse Cholesky factor of [ZΛ X y]'[ZΛ X y] + [I 0; 0 0] in place of (I + AΣ)⁻¹ block
by block (Bates et al. 2015, eq. 18 to 34), the criterion's differences in place of its derivatives. A value passes
where it lies within its radius; θ̂ passes where Newton's step from it is nothing.

*Posteriors* of one term with one effect: log evidence, means and sds, by Gauss-Legendre panels (not trapezoidal sums)
in 1/σ² and τ (not their logarithms), the sums of squares by group in floating point (not whole numbers), and
A = I + Q/σ² by the eigenvalues of Q (not inverted at each point).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import TypeAlias

import mpmath
import numpy as np
from mpmath import mp, mpf
from mpmath.calculus.quadrature import GaussLegendre
from scipy import sparse
from scipy.stats import gamma

from pyimpl.covariance.base import Covariance
from pyimpl.design.design import Design
from pyimpl.posterior.labels import Sigma_labels, level_label
from validation.certify.values import Computed, labelled
from validation.quantities import Key, named
from validation.references.certified import LOG_EVIDENCE, Certificate

#: Decimal digits, for fits other than the enclosure's 96; for posteriors.
PRECISION, PRECISION_OF_POSTERIOR = 75, 40

#: Newton's step from the stored θ, relative to θ, that passes for none: θ is stored to 40 digits.
_NO_STEP = 1e-22

#: What recomputed values may be off beyond their radius, relative: θ's 40 digits, carried through.
_SLACK = 1e-27

#: Degree of the Gauss-Legendre rule of a panel (3·2^(degree − 1) nodes), panels over 1/σ², and a panel of τ over its
#: distance to the nearest singularity.
DEGREE, PANELS, REACH = 4, 8, 0.5

#: Share of the integral over 1/σ² that is left out at either end, and of the largest density in τ what is small.
TAIL = 1e-26

_RULE = GaussLegendre(mp)

#: A row of a sparse matrix: column -> element.
_Row: TypeAlias = dict[int, mpf]


@dataclass(frozen=True)
class Recomputed:
    """Outcome of a recomputation."""

    figures: Mapping[str, object]  # as they are stored with the values
    confirmed: str  # what was confirmed, in words
    failures: tuple[str, ...]  # what did not pass, in words

    @property
    def passed(self) -> bool:
        """Whether all passed."""
        return not self.failures


def recompute(certificate: Certificate, design: Design) -> Recomputed:
    """Recompute a certificate's values, on the design of the data that they were certified on."""
    with mpmath.workdps(PRECISION):
        model = _Model(design, certificate.reml)
        stored: dict[Key, tuple[str, str]] = {row[:5]: row[5:] for row in certificate.rows}
        searched = "theta" if design.structure is None else "par"
        theta = [mpf(stored[named(searched, term=name)][0]) for name in design.par_names]
        failures: list[str] = []
        step = float(_newton_step(model, theta, failures))
        found = model.values(theta)
        failures += [f"{_name(key)} is stored and was not recomputed" for key in stored if key not in found]
        failures += [f"{_name(key)} is missing" for key in found if key not in stored]
        differences = [
            _difference(_name(key), *stored[key], value, failures) for key, value in found.items() if key in stored
        ]
        for name, point, text, radius in certificate.points:
            value = model.criterion([mpf(x) for x in point])
            _difference(f"the objective at {name}", text, radius, value, failures)
    difference = float(max(differences, default=0))
    figures = {
        "method": "penalised least squares in floating point, derivatives by differences (mpmath)",
        "digits": PRECISION,
        "values": len(found),
        "Newton step from θ": step,
        "greatest relative difference": difference,
        "passed": not failures,
    }
    worst = f"greatest relative difference {difference:.1e}, Newton step {step:.0e}"
    return Recomputed(figures, f"{len(found)} values confirmed ({worst})", tuple(failures))


def _name(key: Key) -> str:
    return " ".join(part for part in key if part is not None)


def _difference(name: str, text: str, radius: str, found: mpf, failures: list[str]) -> mpf:
    """Relative difference from a stored value."""
    value = mpf(text)
    difference, scale = abs(found - value), abs(value)
    if not difference <= mpf(radius) + _SLACK * max(scale, mpf(1)):
        failures.append(f"{name} is stored as {text} (radius {radius}), recomputed {mpmath.nstr(found, 25)}")
    return difference / max(scale, mpf("1e-12")) if scale else mpf(0)


def _newton_step(model: "_Model", theta: list[mpf], failures: list[str]) -> mpf:
    """Greatest relative element of −H⁻¹g in the free elements; at a bound, the sign of the slope in the variance."""
    free = [k for k, value in enumerate(theta) if value != 0 or model.correlated[k]]
    for k in (k for k in range(len(theta)) if k not in free):
        moved = list(theta)
        moved[k] = mpf(10) ** -10
        if not model.criterion(moved) > model.criterion(theta):
            failures.append(f"the criterion does not rise where element {k + 1} of θ leaves 0")
    if not free:
        return mpf(0)

    def slope(*by: int) -> mpf:
        return mpmath.diff(
            lambda *point: model.criterion(point), tuple(theta), [by.count(k) for k in range(len(theta))]
        )

    gradient = mpmath.matrix([slope(k) for k in free])
    hessian = mpmath.matrix(len(free))
    for i, j in combinations_with_replacement(range(len(free)), 2):
        hessian[i, j] = hessian[j, i] = slope(free[i], free[j])
    try:
        mpmath.cholesky(hessian)
    except ValueError:
        failures.append("the Hessian at θ is not positive definite")
    steps = mpmath.lu_solve(hessian, gradient)
    step = max(abs(steps[i]) / max(abs(theta[k]), mpf("1e-6")) for i, k in enumerate(free))
    if step > _NO_STEP:
        failures.append(f"Newton's step from θ is {mpmath.nstr(step, 3)} of it: this θ is no stationary point")
    return step


class _Model:
    """Penalised least squares in mpmath; columns are those of Z (q), X (p) and y."""

    def __init__(self, design: Design, reml: bool) -> None:
        self.design, self.reml = design, reml
        self.n, self.q, self.p = design.N, design.Z.shape[1], design.P
        self.df = self.n - self.p if reml else self.n
        self.correlated = [term.p > 1 for term in design.terms for _ in range(term.covariance.n_par)]
        self.starts = np.cumsum([0, *(term.J * term.p for term in design.terms)]).tolist()
        weights = exactly(np.ones(self.n) if design.weights is None else design.weights)
        self.log_weights = mpmath.fsum(mpmath.log(w) for w in weights)
        y = exactly(design.y) - exactly(np.zeros(self.n) if design.offset is None else design.offset)
        ZX = sparse.hstack([design.Z, sparse.csr_array(design.X)], format="csr")
        values = exactly(ZX.data)
        self.products: list[_Row] = [defaultdict(mpf) for _ in range(self.q + self.p + 1)]  # [Z X y]'W[Z X y]
        for i in range(self.n):
            own = slice(*ZX.indptr[i : i + 2])
            row = [*zip(ZX.indices[own].tolist(), values[own], strict=True), (self.q + self.p, y[i])]
            for a, x in row:
                weighted = weights[i] * x
                for b, z in row:
                    self.products[a][b] += weighted * z

    def templates(self, theta: Sequence[mpf]) -> list[list[_Row]]:
        """T' of each term, upper triangular: from its elements row by row, or from ``par``."""
        rest = iter(theta)
        return [
            _structured(term.covariance, [next(rest) for _ in range(term.covariance.n_par)])
            if term.p > 1 and term.covariance.name != "us"
            else [{k: next(rest) for k in range(j, term.p)} for j in range(term.p)]
            for term in self.design.terms
        ]

    def Lambda(self, T: Sequence[list[_Row]]) -> list[_Row]:
        """Λ, and the identity for X and y."""
        rows: list[_Row] = []
        for term, own in zip(self.design.terms, T, strict=True):
            for _ in range(term.J):
                start = len(rows)
                rows += [{start + m: own[m][k] for m in range(k + 1)} for k in range(term.p)]
        return rows + [{self.q + k: mpf(1)} for k in range(self.p + 1)]

    def factor(self, Lambda: list[_Row]) -> list[_Row]:
        """R, upper triangular: R'R = [ZΛ X y]'W[ZΛ X y] + [I 0; 0 0]. Its last pivot is the root of r²."""
        M: list[_Row] = [defaultdict(mpf, {j: mpf(j < self.q)}) for j in range(len(Lambda))]
        for a, products in enumerate(self.products):
            for b, value in products.items():
                for i, x in Lambda[a].items():
                    for j, z in Lambda[b].items():
                        if i <= j:
                            M[i][j] += x * value * z
        return _factor(M)

    def criterion(self, theta: Sequence[mpf]) -> mpf:
        """ML deviance or REML criterion at θ."""
        R = self.factor(self.Lambda(self.templates(theta)))
        *pivots, root = (row[j] for j, row in enumerate(R))
        logs = [2 * mpmath.log(pivot) for pivot in pivots[: None if self.reml else self.q]]
        return mpmath.fsum(logs) - self.log_weights + self.df * (1 + mpmath.log(2 * mpmath.pi * root**2 / self.df))

    def values(self, theta: Sequence[mpf]) -> dict[Key, mpf]:
        """Every certified quantity at θ, by its labels."""
        T = self.templates(theta)
        Lambda = self.Lambda(T)
        R, end = self.factor(Lambda), self.q + self.p
        sigma2, last = R[end][end] ** 2 / self.df, {j: R[j][end] for j in range(end)}
        half = [_forward(R, row, end) for row in Lambda[:end]]

        def column(t: int, level: int, k: int) -> int:
            return int(self.starts[t] + level * self.design.terms[t].p + k)

        def conditional(t: int, level: int, k: int, other: int) -> mpf:  # given β: without the columns of X
            return sigma2 * _product(half[column(t, level, k)], half[column(t, level, other)], self.q)

        computed = Computed(
            self.criterion(theta),
            theta,
            sigma2,
            fixef=lambda i: _product(half[self.q + i], last, end),
            vcov=lambda i, j: sigma2 * _product(half[self.q + i], half[self.q + j], end),
            T=lambda t, i, j: T[t][j][i],
            covariance=lambda t, i, j: sigma2 * mpmath.fsum(row[i] * row[j] for row in T[t][: min(i, j) + 1]),
            ranef=lambda *at: _product(half[column(*at)], last, end),
            condcov=conditional,
            sqrt=mpmath.sqrt,
            log=mpmath.log,
        )
        return labelled(self.design, self.reml, computed)


#: Doubles as mpf, in an array of objects.
exactly = np.vectorize(lambda value: mpf(float(value)), otypes=[object])


def _structured(covariance: Covariance, par: list[mpf]) -> list[_Row]:
    """T' of standard deviations and a correlation: of all pairs (``cs``), or its powers (``ar1``); none (``diag``)."""
    p, rho = covariance.p, par[-1] if covariance.name != "diag" else mpf(0)
    R: list[_Row] = [
        {j: rho ** (j - i if covariance.name == "ar1" else int(i < j)) for j in range(i, p)} for i in range(p)
    ]
    return [{j: value * par[0 if covariance.hom else j] for j, value in row.items()} for row in _factor(R)]


def _factor(M: list[_Row]) -> list[_Row]:
    """The upper Cholesky factor of a matrix, made from its upper triangle in place (a last pivot of 0 is let stand)."""
    for j, row in enumerate(M):
        row[j] = mpmath.sqrt(row[j])
        rest = sorted(k for k in row if k > j)
        for k in rest:
            row[k] /= row[j]
        for i, k in enumerate(rest):
            for m in rest[i:]:
                M[k][m] -= row[k] * row[m]
    return M


def _forward(R: list[_Row], right: _Row, end: int) -> _Row:
    """Solve R'x = right, in the rows before the end."""
    x, rest = {}, defaultdict(mpf, right)
    while rest and (j := min(rest)) < end:
        x[j] = rest.pop(j) / R[j][j]
        for k in R[j]:
            if k > j:
                rest[k] -= R[j][k] * x[j]
    return x


def _product(left: _Row, right: _Row, end: int) -> mpf:
    return mpmath.fsum(value * right[k] for k, value in left.items() if k < end and k in right)


# ------------------------------------------------------------------------------------- posteriors of one term


class _OneTerm:
    """A posterior's sums: of squares and products of the standardised columns and the centred response, by level."""

    def __init__(self, design: Design) -> None:
        self.design, self.term, self.n, self.p = design, design.terms[0], design.N, design.P
        columns = exactly(np.column_stack([design.X, design.y]))
        self.means = columns.sum(axis=0) / self.n
        self.means[0] = mpf(0)  # the intercept's column stays what it is
        centred = columns - self.means
        sds = [mpf(1), *(mp.sqrt(square / (self.n - 1)) for square in (centred[:, 1:] ** 2).sum(axis=0))]
        self.sd_y = sds[-1]
        self.scales = np.array([mpf(5) / 2 * self.sd_y / (sd if sd else 1) for sd in sds[:-1]])
        W = centred * np.array([*self.scales, mpf(1)])
        z = exactly(self.term.columns[:, 0])
        self.S, self.B = np.full(self.term.J, mpf(0)), np.full((self.term.J, W.shape[1]), mpf(0))
        np.add.at(self.S, self.term.codes, z * z)
        np.add.at(self.B, self.term.codes, z[:, None] * W)
        self.W = W.T @ W

    def tau_edges(self) -> list[mpf]:
        """Panels of τ where the density is not negligible, narrow near the singularities ±i/√S."""
        edges, nearest = [mpf(0)], 1 / mp.sqrt(max(self.S))
        while edges[-1] < -math.log(TAIL):  # the prior is exp(−τ)
            edges.append(edges[-1] + REACH * mp.hypot(edges[-1], nearest))
        heights = [self.over_sigma(edge)[0][0] for edge in edges]
        keep = [i for i, height in enumerate(heights) if height > TAIL * max(heights)]
        return edges[max(keep[0] - 1, 0) : keep[-1] + 2]

    def over_sigma(self, tau: mpf) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Integrals over λ = 1/σ²: of the powers 0 to 4 of σ, of the coefficients and their products."""
        n, p, V = self.n, self.p, 1 + tau * tau * self.S
        Q = self.W - (self.B * (tau * tau / V)[:, None]).T @ self.B
        found, turn = mp.eigsy(mp.matrix(Q[:p, :p].tolist()))
        values, vectors = np.array(list(found)), np.array(turn.tolist())
        turned = vectors.T @ Q[:p, p]
        shape, r2 = (n - 1) / 2, float(Q[p, p] - (turned**2 / values).sum())  # r²: the least that coefficients leave
        low, high = gamma.ppf(TAIL, shape) * 2 / r2, gamma.isf(TAIL, shape) * 2 / r2
        edges = [mpf(edge) for edge in np.linspace(low * 0.7, high * 1.1, PANELS + 1)]
        lam, weights = (np.array(column) for column in zip(*_panels(edges), strict=True))
        sigma = np.array([1 / mp.sqrt(value) for value in lam])
        shrunk = 1 / (1 + np.outer(lam, values))
        mean = lam[:, None] * turned * shrunk
        quadratic = lam * (Q[p, p] - mean @ turned)
        logs = np.array([mp.log(value) for value in lam])
        constant = -mp.fsum(map(mp.log, V)) / 2 - mpf(n) / 2 * mp.log(2 * mp.pi) - tau - mp.log(2 * self.sd_y)
        # dσ = −½ λ^(−3/2) dλ
        log_f = constant + (mpf(n - 3) / 2) * logs - quadratic / 2 - sigma / self.sd_y
        roots = [mp.exp(value) * mp.sqrt(mp.fprod(row)) for value, row in zip(log_f, shrunk, strict=True)]
        f = weights * np.array(roots)
        moments = np.array([(f * sigma**power).sum() for power in range(5)])
        second = np.diag(f @ shrunk) + (f[:, None] * mean).T @ mean
        return moments, vectors @ (f @ mean), vectors @ second @ vectors.T


def one_term(design: Design) -> Iterator[tuple[tuple[str, str], mpf]]:
    """Log evidence, means and sds of a posterior with rstanarm's default priors."""
    with mp.workdps(PRECISION_OF_POSTERIOR):
        sums = _OneTerm(design)
        p, term, X, y = sums.p, sums.term, sums.B[:, : sums.p], sums.B[:, sums.p]
        sigma, variance, b = np.full(5, mpf(0)), np.full(2, mpf(0)), np.full((2, term.J), mpf(0))
        x, xx = np.full(p, mpf(0)), np.full((p, p), mpf(0))
        for tau, weight in _panels(sums.tau_edges()):
            moments, mean, second = (weight * integral for integral in sums.over_sigma(tau))
            sigma, x, xx = sigma + moments, x + mean, xx + second
            variance = variance + np.array([tau**2 * moments[2], tau**4 * moments[4]])
            share = tau * tau / (1 + tau * tau * sums.S)
            linear, square = X @ mean, ((X @ second) * X).sum(axis=1)
            b[0] += share * (y * moments[0] - linear)
            b[1] += share**2 * (y**2 * moments[0] - 2 * y * linear + square) + share * moments[2]
        mass = sigma[0]
        yield (LOG_EVIDENCE, "value"), mp.log(mass)
        yield from _moments("sigma", sigma[1] / mass, sigma[2] / mass)
        yield from _moments(Sigma_labels(design.terms)[0], *(variance / mass))
        combinations = np.diag(sums.scales)
        combinations[0, 1:] = -sums.means[1:p] * sums.scales[1:]
        for k, (name, row) in enumerate(zip(design.coef_names, combinations, strict=True)):
            yield from _moments(name, row @ x / mass, row @ xx @ row / mass, sums.means[p] if k == 0 else mpf(0))
        for j, level in enumerate(term.levels):
            yield from _moments(f"b[{term.effects[0]} {term.group}:{level_label(level)}]", *(b[:, j] / mass))


def _moments(name: str, mean: mpf, square: mpf, shift: mpf = 0) -> Iterator[tuple[tuple[str, str], mpf]]:
    yield (name, "mean"), mean + shift
    yield (name, "sd"), mp.sqrt(square - mean * mean)


def _panels(edges: Sequence[mpf]) -> Iterator[tuple[mpf, mpf]]:
    """Nodes and weights of Gauss-Legendre panels."""
    for low, high in pairwise(edges):
        yield from _RULE.get_nodes(low, high, DEGREE, mp.prec)
