"""Certified values recomputed by another road: mpmath, penalised least squares, derivatives by differences.

Nothing is shared with the enclosure but the design and the stored θ: floating point with many digits in place of balls,
the Cholesky factor of Λ'Z'ZΛ + I in place of (I + AΣ)⁻¹ (Bates et al. 2015, eq. 18 to 34), the criterion's differences
in place of its derivatives. A value passes where it lies within its radius; θ̂ passes where Newton's step from it is
nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath

from pyimpl.covariance.base import Covariance
from pyimpl.design.design import Design
from validation.references.certified import Certificate

__all__ = ["PRECISION", "Recomputed", "recompute"]

#: Decimal digits: other than the enclosure's 96, and enough for differences with a step of 1e-15.
PRECISION = 75

#: Newton's step from the stored θ, relative to θ, that passes for none: θ is stored to 40 digits, differences carry 25.
_NO_STEP = 1e-22

#: What recomputed values may be off beyond their radius, relative: θ's 40 digits, carried through.
_SLACK = 1e-27

Matrix = list[list[Any]]


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

    def record(self) -> dict[str, Any]:
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
        stored = {(quantity, *labels): (text, radius) for quantity, *labels, text, radius in certificate.rows}
        what, names = ("theta", design.theta_names) if design.structure is None else ("par", design.par_names)
        theta = [mpmath.mpf(stored[what, None, name, None, None][0]) for name in names]
        failures: list[str] = []
        step = _newton_step(model, theta, failures)
        worst = mpmath.mpf(0)
        found = model.values(theta, certificate)
        for key, (text, radius) in stored.items():
            if key not in found:
                failures.append(f"{_name(key)} is stored and was not recomputed")
                continue
            value = mpmath.mpf(text)
            difference = abs(found[key] - value)
            scale = abs(value)
            if difference > mpmath.mpf(radius) + _SLACK * max(scale, mpmath.mpf(1)):
                failures.append(
                    f"{_name(key)} is stored as {text} (radius {radius}), recomputed {mpmath.nstr(found[key], 25)}"
                )
            if scale:
                worst = max(worst, difference / max(scale, mpmath.mpf("1e-12")))
        failures += [f"{_name(key)} is missing" for key in found if key not in stored]
        for name, point, text, radius in certificate.points:
            value = model.criterion([mpmath.mpf(x) for x in point])
            if abs(value - mpmath.mpf(text)) > mpmath.mpf(radius) + _SLACK * abs(value):
                failures.append(f"the objective at {name} is stored as {text}, recomputed {mpmath.nstr(value, 25)}")
        return Recomputed(len(found), float(step), float(worst), tuple(failures))


def _name(key: Sequence[str | None]) -> str:
    return " ".join(str(part) for part in key if part is not None)


def _newton_step(model: "_Model", theta: list[Any], failures: list[str]) -> Any:
    """Greatest relative element of −H⁻¹g in the free elements; at a bound, the sign of the slope in the variance."""
    free = [k for k, value in enumerate(theta) if value != 0 or model.correlated[k]]
    for k in range(len(theta)):
        if k in free:
            continue
        small = mpmath.mpf(10) ** -20
        moved = list(theta)
        moved[k] = mpmath.sqrt(small)
        if not model.criterion(moved) > model.criterion(theta):
            failures.append(f"the criterion does not rise where element {k + 1} of θ leaves 0")
    if not free:
        return mpmath.mpf(0)
    h = mpmath.mpf(10) ** -15

    def at(*moves: tuple[int, int]) -> Any:
        point = list(theta)
        for k, sign in moves:
            point[k] = point[k] + sign * h
        return model.criterion(point)

    centre = at()
    m = len(free)
    gradient, hessian = mpmath.matrix(m, 1), mpmath.matrix(m, m)
    for i, k in enumerate(free):
        up, down = at((k, 1)), at((k, -1))
        # the truncation error h²f‴/6 would be 1e-31: a second step of 2h takes it out
        far_up, far_down = at((k, 1), (k, 1)), at((k, -1), (k, -1))
        gradient[i] = (8 * (up - down) - (far_up - far_down)) / (12 * h)
        hessian[i, i] = (up - 2 * centre + down) / h**2
        for j in range(i):
            other = free[j]
            mixed = at((k, 1), (other, 1)) - at((k, 1), (other, -1)) - at((k, -1), (other, 1))
            hessian[i, j] = hessian[j, i] = (mixed + at((k, -1), (other, -1))) / (4 * h**2)
    try:
        mpmath.cholesky(hessian)
    except ValueError:
        failures.append("the Hessian at θ is not positive definite")
    steps = mpmath.lu_solve(hessian, gradient)
    step = max(abs(steps[i]) / max(abs(theta[k]), mpmath.mpf("1e-6")) for i, k in enumerate(free))
    if step > _NO_STEP:
        failures.append(f"Newton's step from θ is {mpmath.nstr(step, 3)} of it: this θ is no stationary point")
    return step


@dataclass
class _Part:
    """Rows that are connected by shared levels: their columns of Z, Z'Z and Z'[X y]."""

    columns: list[tuple[int, int, int]]
    ZZ: Matrix
    ZF: Matrix


class _Model:
    """Penalised least squares in mpmath, part by part."""

    def __init__(self, design: Design, reml: bool) -> None:
        self.design, self.reml = design, reml
        self.n, self.p = design.N, design.P
        self.correlated = [term.p > 1 for term in design.terms for _ in range(term.covariance.n_par)]
        mpf = mpmath.mpf
        response = [mpf(float(value)) for value in design.y]
        if design.offset is not None:
            response = [value - mpf(float(b)) for value, b in zip(response, design.offset, strict=True)]
        weights = None if design.weights is None else [mpf(float(w)) for w in design.weights]
        self.log_weights = mpf(0) if weights is None else mpmath.fsum(mpmath.log(w) for w in weights)
        F = [[*(mpf(float(x)) for x in row), value] for row, value in zip(design.X, response, strict=True)]
        half = F if weights is None else [[w * x for x in row] for w, row in zip(weights, F, strict=True)]
        size = self.p + 1
        self.FF = [
            [mpmath.fdot((a[i], b[j]) for a, b in zip(F, half, strict=True)) for j in range(size)] for i in range(size)
        ]
        self.parts = self._parts(F, weights)

    def _parts(self, F: Matrix, weights: list[Any] | None) -> list[_Part]:
        parent: dict[tuple[int, int], tuple[int, int]] = {}

        def root(node: tuple[int, int]) -> tuple[int, int]:
            while parent.setdefault(node, node) != node:
                node = parent[node]
            return node

        terms = self.design.terms
        for row in range(self.n):
            nodes = [(t, int(term.codes[row])) for t, term in enumerate(terms)]
            for node in nodes[1:]:
                parent[root(node)] = root(nodes[0])
        rows: dict[tuple[int, int], list[int]] = {}
        for row in range(self.n):
            rows.setdefault(root((0, int(terms[0].codes[row]))), []).append(row)
        return [self._part(members, F, weights) for members in rows.values()]

    def _part(self, rows: list[int], F: Matrix, weights: list[Any] | None) -> _Part:
        terms = self.design.terms
        entries = [
            {
                (t, int(term.codes[row]), k): mpmath.mpf(float(term.columns[row, k]))
                for t, term in enumerate(terms)
                for k in range(term.p)
            }
            for row in rows
        ]
        columns = sorted({column for entry in entries for column in entry})
        place = {column: i for i, column in enumerate(columns)}
        zero = mpmath.mpf(0)
        ZZ = [[zero] * len(columns) for _ in columns]
        ZF = [[zero] * (self.p + 1) for _ in columns]
        for row, entry in zip(rows, entries, strict=True):
            w = mpmath.mpf(1) if weights is None else weights[row]
            for a, x in entry.items():
                i = place[a]
                for b, z in entry.items():
                    ZZ[i][place[b]] += w * x * z
                for j in range(self.p + 1):
                    ZF[i][j] += w * x * F[row][j]
        return _Part(columns, ZZ, ZF)

    def templates(self, theta: Sequence[Any]) -> list[Matrix]:
        """Λ's template of each term, lower triangular: its elements column by column, or what follows from ``par``."""
        rest = iter(theta)
        out = []
        for term in self.design.terms:
            if term.p > 1 and term.covariance.name != "us":
                out.append(_structured(term.covariance, [next(rest) for _ in range(term.covariance.n_par)]))
                continue
            T = [[mpmath.mpf(0)] * term.p for _ in range(term.p)]
            for j in range(term.p):
                for i in range(j, term.p):
                    T[i][j] = next(rest)
            out.append(T)
        return out

    def _reduced(
        self, theta: Sequence[Any], visit: Callable[[_Part, Matrix, Matrix, list[Matrix]], None] | None = None
    ) -> tuple[Any, Matrix]:
        """2 log|L| and [X y]'[X y] − R'R, with LL' = Λ'Z'ZΛ + I and LR = Λ'Z'[X y]."""
        T = self.templates(theta)
        log_det = mpmath.mpf(0)
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

    def criterion(self, theta: Sequence[Any]) -> Any:
        """ML deviance or REML criterion at θ."""
        log_det, S = self._reduced(theta)
        RX = _factor(S)  # of [X y]: its last pivot is the residual sum of squares
        df = self.n - self.p if self.reml else self.n
        value = log_det - self.log_weights + df * (1 + mpmath.log(2 * mpmath.pi * RX[-1][-1] ** 2 / df))
        if self.reml:
            value += 2 * mpmath.fsum(mpmath.log(RX[i][i]) for i in range(self.p))
        return value

    def values(self, theta: Sequence[Any], certificate: Certificate) -> dict[tuple[Any, ...], Any]:
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
        unit = [[mpmath.mpf(int(i == j)) for j in range(p)] for i in range(p)]
        inverse = _backward(inner, _forward(inner, unit))
        out: dict[tuple[Any, ...], Any] = {}

        def put(
            quantity: str, value: Any, group: Any = None, term: Any = None, term2: Any = None, level: Any = None
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
            elements: dict[int, Any] = {}
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
        self, part: _Part, L: Matrix, R: Matrix, T: list[Matrix], beta: Matrix, sigma2: Any, put: Callable[..., None]
    ) -> None:
        """Modes b = Λu with LL'u = Λ'Z'(y − Xβ), and σ²Λ(LL')⁻¹Λ'."""
        p, q = self.p, len(part.columns)
        right = [[row[p] - mpmath.fdot((row[k], beta[k][0]) for k in range(p))] for row in R]
        u = _backward(L, right)
        rows = []  # of Λ
        for t, level, k in part.columns:
            rows.append([T[t][k][other] if (s, at) == (t, level) else mpmath.mpf(0) for s, at, other in part.columns])
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


def _structured(covariance: Covariance, par: list[Any]) -> Matrix:
    """T of standard deviations and, but for ``diag``, a correlation: of all pairs (``cs``), or its powers (``ar1``)."""
    p = covariance.p
    sd = [par[0 if covariance.hom else i] for i in range(p)]
    R = [[mpmath.mpf(int(i == j)) for j in range(p)] for i in range(p)]
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
    L = [[mpmath.mpf(0)] * size for _ in range(size)]
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
