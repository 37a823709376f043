"""Certified values recomputed by another road: mpmath, penalised least squares, derivatives by differences.

Nothing is shared with the enclosure but the design and the stored θ: floating point with many digits in place of balls,
the Cholesky factor of Λ'Z'ZΛ + I in place of (I + AΣ)⁻¹ (Bates et al. 2015, eq. 18 to 34), the criterion's differences
in place of its derivatives. A value passes where it lies within its radius; θ̂ passes where Newton's step from it is
nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
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

__all__ = ["PRECISION", "Recomputed", "recompute"]

#: Decimal digits: other than the enclosure's 96.
PRECISION = 75

#: Newton's step from the stored θ, relative to θ, that passes for none: θ is stored to 40 digits.
_NO_STEP = 1e-22

#: What recomputed values may be off beyond their radius, relative: θ's 40 digits, carried through.
_SLACK = 1e-27

Matrix: TypeAlias = list[list[mpf]]

#: quantity, group, term, term2, level
_Key: TypeAlias = tuple[str, str | None, str | None, str | None, str | None]


@dataclass(frozen=True)
class Recomputed:
    """Outcome of a recomputation.

    Attributes
    ----------
    values : int
        Values recomputed.
    step : float
        Greatest element of Newton's step from the stored θ, relative.
    difference : float
        Greatest relative difference from a stored value.
    failures : tuple of str
        What did not pass, in words.
    """

    values: int
    step: float
    difference: float
    failures: tuple[str, ...]

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
    """Recompute a certificate's values.

    Parameters
    ----------
    certificate : Certificate
    design : Design
        Of the data that the values were certified on.
    """
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
    ZZ: Matrix
    ZF: Matrix


class _Model:
    """Penalised least squares in mpmath, part by part."""

    def __init__(self, design: Design, reml: bool) -> None:
        self.design, self.reml = design, reml
        self.n, self.p = design.N, design.P
        self.correlated = [term.p > 1 for term in design.terms for _ in range(term.covariance.n_par)]
        offset = np.zeros(self.n) if design.offset is None else design.offset
        weights = [mpf(float(w)) for w in (np.ones(self.n) if design.weights is None else design.weights)]
        self.log_weights = mpmath.fsum(mpmath.log(w) for w in weights)
        F = [
            [*(mpf(float(x)) for x in row), mpf(float(y)) - mpf(float(b))]
            for row, y, b in zip(design.X, design.y, offset, strict=True)
        ]
        half = [[w * x for x in row] for w, row in zip(weights, F, strict=True)]
        self.FF = [[mpmath.fdot(zip(a, b, strict=True)) for b in zip(*half, strict=True)] for a in zip(*F, strict=True)]
        self.parts = self._parts(half, weights)

    def _parts(self, half: Matrix, weights: list[mpf]) -> list[_Part]:
        Z = self.design.Z.tocsr()
        ZZ: defaultdict[tuple[int, int], mpf] = defaultdict(mpf)
        ZF = [[mpf(0)] * (self.p + 1) for _ in range(Z.shape[1])]
        for row, w in enumerate(weights):
            here = slice(Z.indptr[row], Z.indptr[row + 1])
            entries = [(int(c), mpf(float(x))) for c, x in zip(Z.indices[here], Z.data[here], strict=True)]
            for a, x in entries:
                for b, z in entries:
                    ZZ[a, b] += w * x * z
                ZF[a] = [total + x * value for total, value in zip(ZF[a], half[row], strict=True)]
        terms = self.design.terms
        names = [(t, level, k) for t, term in enumerate(terms) for level in range(term.J) for k in range(term.p)]
        # the effects of a level hang together even where one of them is 0 in all its rows
        columns, firsts = np.arange(len(names)), [column - k for column, (_, _, k) in enumerate(names)]
        levels = sparse.coo_array((np.ones(len(names)), (columns, firsts)), shape=(len(names), len(names)))
        Z.data[:] = 1.0
        count, part = connected_components(Z.T @ Z + levels, directed=False)
        parts = []
        for number in range(count):
            own = [int(column) for column in np.flatnonzero(part == number)]
            parts.append(_Part([names[c] for c in own], [[ZZ[a, b] for b in own] for a in own], [ZF[c] for c in own]))
        return parts

    def templates(self, theta: Sequence[mpf]) -> list[Matrix]:
        """Λ's template of each term, lower triangular: its elements column by column, or what follows from ``par``."""
        rest = iter(theta)
        out = []
        for term in self.design.terms:
            if term.p > 1 and term.covariance.name != "us":
                out.append(_structured(term.covariance, [next(rest) for _ in range(term.covariance.n_par)]))
                continue
            T = [[mpf(0)] * term.p for _ in range(term.p)]
            for j in range(term.p):
                for i in range(j, term.p):
                    T[i][j] = next(rest)
            out.append(T)
        return out

    def _reduced(
        self, theta: Sequence[mpf], visit: Callable[[_Part, Matrix, Matrix, list[Matrix]], None] | None = None
    ) -> tuple[mpf, Matrix]:
        """2 log|L| and [X y]'[X y] − R'R, with LL' = Λ'Z'ZΛ + I and LR = Λ'Z'[X y]."""
        T = self.templates(theta)
        log_det = mpf(0)
        S = [list(row) for row in self.FF]
        size = self.p + 1
        for part in self.parts:
            q = len(part.columns)
            left = _rows_times(T, part.columns, part.ZZ)
            both = _rows_times(T, part.columns, [list(column) for column in zip(*left, strict=True)])
            L = _factor([[both[i][j] + (1 if i == j else 0) for j in range(q)] for i in range(q)])
            R = _forward(L, _rows_times(T, part.columns, part.ZF))
            log_det += 2 * mpmath.fsum(mpmath.log(L[i][i]) for i in range(q))
            for i in range(size):
                for j in range(i, size):
                    S[i][j] -= mpmath.fdot((R[k][i], R[k][j]) for k in range(q))
            if visit is not None:
                visit(part, L, R, T)
        for i in range(size):
            for j in range(i):
                S[i][j] = S[j][i]
        return log_det, S

    def criterion(self, theta: Sequence[mpf]) -> mpf:
        """ML deviance or REML criterion at θ."""
        log_det, S = self._reduced(theta)
        RX = _factor(S)  # of [X y]: its last pivot is the residual sum of squares
        df = self.n - self.p if self.reml else self.n
        value = log_det - self.log_weights + df * (1 + mpmath.log(2 * mpmath.pi * RX[-1][-1] ** 2 / df))
        if self.reml:
            value += 2 * mpmath.fsum(mpmath.log(RX[i][i]) for i in range(self.p))
        return value

    def values(self, theta: Sequence[mpf], certificate: Certificate) -> dict[_Key, mpf]:
        """Every certified quantity at θ, by its labels."""
        design, p = self.design, self.p
        visits: list[tuple[_Part, Matrix, Matrix]] = []
        _, S = self._reduced(theta, lambda part, L, R, T: visits.append((part, L, R)))
        RX = _factor(S)
        df = self.n - p if self.reml else self.n
        criterion = self.criterion(theta)
        sigma2 = RX[-1][-1] ** 2 / df
        sigma = mpmath.sqrt(sigma2)
        inner = [row[:p] for row in RX[:p]]
        beta = _backward(inner, [[RX[p][i]] for i in range(p)])
        unit = [[mpf(int(i == j)) for j in range(p)] for i in range(p)]
        inverse = _backward(inner, _forward(inner, unit))
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
            error = sigma * mpmath.sqrt(inverse[i][i])
            put("fixef", beta[i][0], term=name)
            put("se", error, term=name)
            put("t", beta[i][0] / error, term=name)
            for j in range(i + 1):
                put("vcov", sigma2 * inverse[i][j], term=name, term2=design.coef_names[j])
        T = self.templates(theta)
        for template, term in zip(T, design.terms, strict=True):
            elements: dict[int, mpf] = {}
            for which, (i, j) in zip(term.covariance.theta_index, term.covariance.places, strict=True):
                elements.setdefault(which, template[i][j])
            for which, name in enumerate(term.theta_names):
                put("theta", elements[which], term=name)
        if design.structure is not None:
            for name, value in zip(design.par_names, theta, strict=True):
                put("par", value, term=name)
        groups = list(dict.fromkeys(row[1] for row in certificate.rows if row[0] == "variance"))
        for template, term, group in zip(T, design.terms, groups, strict=False):
            Sigma = [
                [sigma2 * mpmath.fdot(zip(template[i], template[j], strict=True)) for j in range(term.p)]
                for i in range(term.p)
            ]
            for i, effect in enumerate(term.effects):
                put("variance", Sigma[i][i], group, effect)
                put("sd", mpmath.sqrt(Sigma[i][i]), group, effect)
                for j in range(i):
                    pair = (group, term.effects[j], effect)
                    put("covariance", Sigma[i][j], *pair)
                    if Sigma[i][i] and Sigma[j][j]:
                        put("cor", Sigma[i][j] / mpmath.sqrt(Sigma[i][i] * Sigma[j][j]), *pair)
        put("variance", sigma2, "Residual")
        put("sd", sigma, "Residual")
        for part, L, R in visits:
            self._modes(part, L, R, T, beta, sigma2, put)
        return out

    def _modes(
        self, part: _Part, L: Matrix, R: Matrix, T: list[Matrix], beta: Matrix, sigma2: mpf, put: Callable[..., None]
    ) -> None:
        """Modes b = Λu with LL'u = Λ'Z'(y − Xβ), and σ²Λ(LL')⁻¹Λ'."""
        p, q = self.p, len(part.columns)
        right = [[row[p] - mpmath.fdot((row[k], beta[k][0]) for k in range(p))] for row in R]
        u = _backward(L, right)
        rows = []  # of Λ
        for t, level, k in part.columns:
            rows.append([T[t][k][other] if (s, at) == (t, level) else mpf(0) for s, at, other in part.columns])
        spread = _forward(L, [list(column) for column in zip(*rows, strict=True)])
        for i, (t, level, k) in enumerate(part.columns):
            term = self.design.terms[t]
            labels = {"group": term.group, "level": term.levels[level]}
            put("ranef", mpmath.fdot((rows[i][c], u[c][0]) for c in range(q)), term=term.effects[k], **labels)
            for other in range(k + 1):
                j = i - k + other
                value = sigma2 * mpmath.fdot((spread[c][i], spread[c][j]) for c in range(q))
                if other == k:
                    put("condsd", mpmath.sqrt(value), term=term.effects[k], **labels)
                else:
                    put("condcov", value, term=term.effects[k], term2=term.effects[other], **labels)


def _structured(covariance: Covariance, par: list[mpf]) -> Matrix:
    """T of standard deviations and, but for ``diag``, a correlation: of all pairs (``cs``), or its powers (``ar1``)."""
    p = covariance.p
    sd = [par[0 if covariance.hom else i] for i in range(p)]
    R = [[mpf(int(i == j)) for j in range(p)] for i in range(p)]
    if covariance.name != "diag":
        for i in range(p):
            for j in range(i):
                R[i][j] = R[j][i] = par[-1] ** (i - j if covariance.name == "ar1" else 1)
    return [[sd[i] * value for value in row] for i, row in enumerate(_factor(R))]


def _rows_times(T: Sequence[Matrix], columns: Sequence[tuple[int, int, int]], M: Matrix) -> Matrix:
    """Λ'M, where the rows of M are columns of Z."""
    out = []
    for i, (t, _, k) in enumerate(columns):
        size = len(T[t])
        first = i - k
        out.append(
            [mpmath.fdot((T[t][other][k], M[first + other][c]) for other in range(k, size)) for c in range(len(M[0]))]
        )
    return out


def _factor(M: Matrix) -> Matrix:
    """Lower triangular Cholesky factor (a last pivot of 0 is let stand)."""
    size = len(M)
    L = [[mpf(0)] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = M[i][j] - mpmath.fdot((L[i][k], L[j][k]) for k in range(j))
            L[i][j] = mpmath.sqrt(rest) if i == j else rest / L[j][j]
    return L


def _forward(L: Matrix, B: Matrix) -> Matrix:
    """Solve LX = B."""
    X: Matrix = []
    for i, row in enumerate(B):
        X.append([(value - mpmath.fdot((L[i][k], X[k][c]) for k in range(i))) / L[i][i] for c, value in enumerate(row)])
    return X


def _backward(L: Matrix, B: Matrix) -> Matrix:
    """Solve L'X = B."""
    size = len(B)
    X: Matrix = [[] for _ in range(size)]
    for i in reversed(range(size)):
        X[i] = [
            (value - mpmath.fdot((L[k][i], X[k][c]) for k in range(i + 1, size))) / L[i][i]
            for c, value in enumerate(B[i])
        ]
    return X
