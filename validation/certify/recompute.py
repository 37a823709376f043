"""Certified values recomputed by another road: mpmath, penalised least squares, derivatives by differences.

Nothing is shared with the enclosure but the design and the stored θ: floating point with many digits in place of balls,
the Cholesky factor of Λ'Z'ZΛ + I in place of (I + AΣ)⁻¹ (Bates et al. 2015, eq. 18 to 34), the criterion's differences
in place of its derivatives. A value passes where it lies within its radius; θ̂ passes where Newton's step from it is
nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import mpmath
import numpy as np
from mpmath import mpf
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyimpl.covariance.base import Covariance
from pyimpl.design.design import Design
from validation.references.certified import Certificate

#: Decimal digits: other than the enclosure's 96.
PRECISION = 75

#: Newton's step from the stored θ, relative to θ, that passes for none: θ is stored to 40 digits.
_NO_STEP = 1e-22

#: What recomputed values may be off beyond their radius, relative: θ's 40 digits, carried through.
_SLACK = 1e-27

#: quantity, group, term, term2, level
_Key: TypeAlias = tuple[str, str | None, str | None, str | None, str | None]


@dataclass(frozen=True)
class Recomputed:
    """Outcome of a recomputation."""

    values: int  # values recomputed
    step: float  # greatest element of Newton's step from the stored θ, relative
    difference: float  # greatest relative difference from a stored value
    failures: tuple[str, ...]  # what did not pass, in words

    @property
    def passed(self) -> bool:
        """Whether all passed."""
        return not self.failures

    @property
    def confirmed(self) -> str:
        """What was confirmed, in words."""
        return (
            f"{self.values} values confirmed (greatest relative difference {self.difference:.1e}, "
            f"Newton step {self.step:.0e})"
        )

    def record(self) -> dict[str, object]:
        """As it is stored with the values."""
        return {
            "method": "penalised least squares in floating point, derivatives by differences (mpmath)",
            "digits": PRECISION,
            "values": self.values,
            "Newton step from θ": self.step,
            "greatest relative difference": self.difference,
            "passed": self.passed,
        }


def recompute(certificate: Certificate, design: Design) -> Recomputed:
    """Recompute a certificate's values, on the design of the data that they were certified on."""
    with mpmath.workdps(PRECISION):
        model = _Model(design, certificate.reml)
        stored: dict[_Key, tuple[str, str]] = {row[:5]: row[5:] for row in certificate.rows}
        what, names = ("theta", design.theta_names) if design.structure is None else ("par", design.par_names)
        theta = [mpf(stored[what, None, name, None, None][0]) for name in names]
        failures: list[str] = []
        step = _newton_step(model, theta, failures)
        found = model.values(theta, certificate)
        failures += [f"{_name(key)} is stored and was not recomputed" for key in stored if key not in found]
        failures += [f"{_name(key)} is missing" for key in found if key not in stored]
        worst = mpf(0)
        for key in (key for key in stored if key in found):
            difference, failure = _difference(_name(key), stored[key], found[key])
            failures += failure
            worst = max(worst, difference)
        for name, point, *text in certificate.points:
            value = model.criterion([mpf(x) for x in point])
            failures += _difference(f"the objective at {name}", (text[0], text[1]), value)[1]
        return Recomputed(len(found), float(step), float(worst), tuple(failures))


def _name(key: _Key) -> str:
    return " ".join(part for part in key if part is not None)


def _difference(name: str, stored: tuple[str, str], found: mpf) -> tuple[mpf, list[str]]:
    """Relative difference from a stored value, and what is wrong with that."""
    (text, radius), value = stored, mpf(stored[0])
    difference, scale = abs(found - value), abs(value)
    relative = difference / max(scale, mpf("1e-12")) if scale else mpf(0)
    if difference <= mpf(radius) + _SLACK * max(scale, mpf(1)):
        return relative, []
    return relative, [f"{name} is stored as {text} (radius {radius}), recomputed {mpmath.nstr(found, 25)}"]


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
    hessian = mpmath.matrix([[slope(*sorted((j, k))) for j in free] for k in free])
    try:
        mpmath.cholesky(hessian)
    except ValueError:
        failures.append("the Hessian at θ is not positive definite")
    steps = mpmath.lu_solve(hessian, gradient)
    step = max(abs(steps[i]) / max(abs(theta[k]), mpf("1e-6")) for i, k in enumerate(free))
    if step > _NO_STEP:
        failures.append(f"Newton's step from θ is {mpmath.nstr(step, 3)} of it: this θ is no stationary point")
    return step


@dataclass
class _Part:
    """Rows that are connected by shared levels: their columns of Z (term, level, effect), Z'Z and Z'[X y]."""

    columns: list[tuple[int, int, int]]
    ZZ: np.ndarray
    ZF: np.ndarray

    def turned(self, T: Sequence[np.ndarray], M: np.ndarray) -> np.ndarray:
        """Λ'M: Λ is block diagonal, a copy of each term's template per level."""
        out = M.copy()
        for i, (t, _, k) in enumerate(self.columns):
            if k == 0:
                own = slice(i, i + len(T[t]))
                out[own] = T[t].T @ M[own]
        return out


class _Model:
    """Penalised least squares in mpmath, part by part."""

    def __init__(self, design: Design, reml: bool) -> None:
        self.design, self.reml = design, reml
        self.n, self.p = design.N, design.P
        self.correlated = [term.p > 1 for term in design.terms for _ in range(term.covariance.n_par)]
        weights = exactly(np.ones(self.n) if design.weights is None else design.weights)
        self.log_weights = mpmath.fsum(mpmath.log(w) for w in weights)
        y = exactly(design.y) - exactly(np.zeros(self.n) if design.offset is None else design.offset)
        F = np.column_stack([exactly(design.X), y])
        weighted = weights[:, None] * F
        self.FF = F.T @ weighted
        self.parts = list(self._parts(weighted, weights))

    def _parts(self, weighted: np.ndarray, weights: np.ndarray) -> Iterator[_Part]:
        Z = self.design.Z.tocsc()
        terms = self.design.terms
        names = [(t, level, k) for t, term in enumerate(terms) for level in range(term.J) for k in range(term.p)]
        # the effects of a level hang together even where one of them is 0 in all its rows
        columns, firsts = np.arange(len(names)), [column - k for column, (_, _, k) in enumerate(names)]
        levels = sparse.coo_array((np.ones(len(names)), (columns, firsts)), shape=(len(names), len(names)))
        count, part = connected_components(abs(Z.T) @ abs(Z) + levels, directed=False)
        for number in range(count):
            own = np.flatnonzero(part == number)
            block = Z[:, own].tocsr()
            rows = np.flatnonzero(np.diff(block.indptr))
            z = exactly(block[rows].toarray())
            yield _Part([names[c] for c in own], z.T @ (weights[rows, None] * z), z.T @ weighted[rows])

    def templates(self, theta: Sequence[mpf]) -> list[np.ndarray]:
        """Λ's template of each term, lower triangular: its elements column by column, or what follows from ``par``."""
        rest = iter(theta)
        out = []
        for term in self.design.terms:
            if term.p > 1 and term.covariance.name != "us":
                out.append(_structured(term.covariance, [next(rest) for _ in range(term.covariance.n_par)]))
                continue
            T = _zeros(term.p)
            for j in range(term.p):
                for i in range(j, term.p):
                    T[i, j] = next(rest)
            out.append(T)
        return out

    def _reduced(self, T: Sequence[np.ndarray]) -> tuple[mpf, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """2 log|L|, [X y]'[X y] − R'R, and L and R of each part, with LL' = Λ'Z'ZΛ + I and LR = Λ'Z'[X y]."""
        log_det, S, solved = mpf(0), self.FF, []
        for part in self.parts:
            L = _factor(part.turned(T, part.turned(T, part.ZZ).T) + _identity(len(part.columns)))
            R = _forward(L, part.turned(T, part.ZF))
            log_det += 2 * mpmath.fsum(map(mpmath.log, L.diagonal()))
            S = S - R.T @ R
            solved.append((L, R))
        return log_det, S, solved

    def criterion(self, theta: Sequence[mpf]) -> mpf:
        """ML deviance or REML criterion at θ."""
        log_det, S, _ = self._reduced(self.templates(theta))
        RX = _factor(S)  # of [X y]: its last pivot is the residual sum of squares
        df = self.n - self.p if self.reml else self.n
        value = log_det - self.log_weights + df * (1 + mpmath.log(2 * mpmath.pi * RX[-1, -1] ** 2 / df))
        if self.reml:
            value += 2 * mpmath.fsum(map(mpmath.log, RX.diagonal()[:-1]))
        return value

    def values(self, theta: Sequence[mpf], certificate: Certificate) -> dict[_Key, mpf]:
        """Every certified quantity at θ, by its labels."""
        design, p = self.design, self.p
        T = self.templates(theta)
        _, S, solved = self._reduced(T)
        RX = _factor(S)
        criterion = self.criterion(theta)
        sigma2 = RX[-1, -1] ** 2 / (self.n - p if self.reml else self.n)
        sigma = mpmath.sqrt(sigma2)
        inner = RX[:p, :p]
        beta = _backward(inner, RX[p, :p])
        inverse = _backward(inner, _forward(inner, _identity(p)))
        out: dict[_Key, mpf] = {}

        def put(
            quantity: str,
            value: mpf,
            group: str | None = None,
            term: str | None = None,
            term2: str | None = None,
            level: str | None = None,
        ) -> None:
            out[quantity, group, term, term2, level] = value

        npar = p + len(theta) + 1
        put("logLik", -criterion / 2)
        put("REMLcrit" if self.reml else "deviance", criterion)
        put("AIC", criterion + 2 * npar)
        put("BIC", criterion + npar * mpmath.log(self.n))
        put("sigma", sigma)
        for i, name in enumerate(design.coef_names):
            error = sigma * mpmath.sqrt(inverse[i, i])
            put("fixef", beta[i], term=name)
            put("se", error, term=name)
            put("t", beta[i] / error, term=name)
            for j in range(i + 1):
                put("vcov", sigma2 * inverse[i, j], term=name, term2=design.coef_names[j])
        for template, term in zip(T, design.terms, strict=True):
            elements: dict[int, mpf] = {}
            for which, place in zip(term.covariance.theta_index, term.covariance.places, strict=True):
                elements.setdefault(which, template[place])
            for which, name in enumerate(term.theta_names):
                put("theta", elements[which], term=name)
        if design.structure is not None:
            for name, value in zip(design.par_names, theta, strict=True):
                put("par", value, term=name)
        groups = list(dict.fromkeys(row[1] for row in certificate.rows if row[0] == "variance"))
        for template, term, group in zip(T, design.terms, groups, strict=False):
            Sigma = sigma2 * (template @ template.T)
            for i, effect in enumerate(term.effects):
                put("variance", Sigma[i, i], group, effect)
                put("sd", mpmath.sqrt(Sigma[i, i]), group, effect)
                for j in range(i):
                    pair = (group, term.effects[j], effect)
                    put("covariance", Sigma[i, j], *pair)
                    if Sigma[i, i] and Sigma[j, j]:
                        put("cor", Sigma[i, j] / mpmath.sqrt(Sigma[i, i] * Sigma[j, j]), *pair)
        put("variance", sigma2, "Residual")
        put("sd", sigma, "Residual")
        # modes b = Λu with LL'u = Λ'Z'(y − Xβ), and their variances σ²Λ(LL')⁻¹Λ'
        for part, (L, R) in zip(self.parts, solved, strict=True):
            turned = part.turned(T, _identity(len(L)))  # Λ'
            modes = turned.T @ _backward(L, R[:, p] - R[:, :p] @ beta)
            half = _forward(L, turned)
            spread = sigma2 * (half.T @ half)
            for i, (t, level, k) in enumerate(part.columns):
                term = design.terms[t]
                where = {"group": term.group, "level": term.levels[level]}
                put("ranef", modes[i], term=term.effects[k], **where)
                put("condsd", mpmath.sqrt(spread[i, i]), term=term.effects[k], **where)
                for other in range(k):
                    put("condcov", spread[i, i - k + other], term=term.effects[k], term2=term.effects[other], **where)
        return out


def exactly(values: np.ndarray) -> np.ndarray:
    """Doubles as mpf, in an array of objects."""
    return np.vectorize(lambda value: mpf(float(value)), otypes=[object])(values)


def _zeros(size: int) -> np.ndarray:
    return np.full((size, size), mpf(0))


def _identity(size: int) -> np.ndarray:
    return exactly(np.eye(size))


def _structured(covariance: Covariance, par: list[mpf]) -> np.ndarray:
    """T of standard deviations and, but for ``diag``, a correlation: of all pairs (``cs``), or its powers (``ar1``)."""
    p = covariance.p
    sd = np.array([par[0 if covariance.hom else i] for i in range(p)])
    R = _identity(p)
    if covariance.name != "diag":
        for i in range(p):
            for j in range(i):
                R[i, j] = R[j, i] = par[-1] ** (i - j if covariance.name == "ar1" else 1)
    return sd[:, None] * _factor(R)


def _factor(M: np.ndarray) -> np.ndarray:
    """Lower triangular Cholesky factor (a last pivot of 0 is let stand)."""
    L = _zeros(len(M))
    for j in range(len(M)):
        rest = M[j:, j] - L[j:, :j] @ L[j, :j]
        L[j, j] = mpmath.sqrt(rest[0])
        L[j + 1 :, j] = rest[1:] / L[j, j]
    return L


def _forward(L: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Solve LX = B."""
    X = B.copy()
    for i in range(len(L)):
        X[i] = (X[i] - L[i, :i] @ X[:i]) / L[i, i]
    return X


def _backward(L: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Solve L'X = B: a lower triangle, from its last row and column on."""
    return _forward(L[::-1, ::-1].T, B[::-1])[::-1]
