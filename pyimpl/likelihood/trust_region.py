"""A trust-region Newton method that asks for its evaluations.

The caller owns the loop: it evaluates the function at :attr:`TrustRegion.trial`, hands value, gradient and a symmetric
matrix of second derivatives to :meth:`TrustRegion.update`, and goes on until that says that the search is over.

The matrix may be exact, an approximation, or absent, when symmetric rank-one updates alone carry it (Nocedal & Wright
2006, sections 4.3 and 6.2). What such updates add to an approximation is kept from step to step, as what an
approximation lacks changes little near the minimum: only then is its convergence superlinear.

The last step is one that no value would tell from none: it is taken without another evaluation.
"""

from collections.abc import Callable

import cython
import numpy as np
from cython.cimports.libc.math import fabs, isfinite, sqrt

__all__ = ["ABSENT", "APPROXIMATE", "EXACT", "TrustRegion", "minimise", "symmetric_eigenvalues", "trust_region_step"]

EXACT, APPROXIMATE, ABSENT = 0, 1, 2
CONVERGED, SPENT, STUCK = 0, 1, 2  # how a search ended

_NOISE = cython.declare(cython.double, 64 * 2.220446049250313e-16)  # rounding of a value, relative
_DOUBTED = cython.declare(cython.double, 100.0)  # noises that a matrix without its updates must not promise at the end
_MOST_DOUBTS = cython.declare(cython.int, 16)
_FAST = cython.declare(cython.double, 0.01)  # share of one step's length that the next has where convergence is fast
_MOST_ESCAPES = cython.declare(cython.int, 4)  # from saddles
_ESCAPE_TRIALS = cython.declare(cython.int, 6)  # points along the curvature, on both sides, at three distances
_MOST_POLISHING = cython.declare(cython.int, 6)
_LOG = cython.declare(cython.int, 400)  # accepted steps that are remembered
_JACOBI = cython.declare(cython.int, 24)  # parameters up to which rotations take no longer than a call of LAPACK
_FIRST = cython.declare(cython.int, 0)
_ORDINARY = cython.declare(cython.int, 1)
_POLISHING = cython.declare(cython.int, 2)
_ESCAPING = cython.declare(cython.int, 3)


@cython.cfunc
def _longest_last_step(kind: cython.int, fast: cython.bint) -> cython.double:
    """Step, relative to the point, up to which a search is over.

    Of an exact matrix a step leaves its square, of an approximate one about a hundredth, or less where the steps before
    shrank faster than that: a fit of thousands of rows and four crossed factors takes five evaluations in place of six.
    """
    return 1e-7 if kind == 0 else (2e-7 if fast else 1e-8) if kind == 1 else 1e-11


@cython.cfunc
def _largest_last_gradient(kind: cython.int) -> cython.double:
    """Gradient, relative to the curvature where that is above 1: of much data it is thousands."""
    return 1e-9 if kind == 2 else 1e-6


def cholesky_solve(B, g, L, s):  # type: ignore[no-untyped-def]
    """Solve Bs = −g; False where B is not (numerically) positive definite. L is a workspace."""
    n: cython.Py_ssize_t = g.shape[0]
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    total: cython.double
    for a in range(n):
        for b in range(a + 1):
            total = B[a, b]
            for c in range(b):
                total -= L[a, c] * L[b, c]
            if a == b:
                if not total > 1e-14 * fabs(B[a, a]):
                    return False
                L[a, a] = sqrt(total)
            else:
                L[a, b] = total / L[b, b]
    for a in range(n):
        total = -g[a]
        for c in range(a):
            total -= L[a, c] * s[c]
        s[a] = total / L[a, a]
    for a in range(n - 1, -1, -1):
        total = s[a]
        for c in range(a + 1, n):
            total -= L[c, a] * s[c]
        s[a] = total / L[a, a]
    return True


def eigen(B, A, values, V):  # type: ignore[no-untyped-def]
    """Eigenvalues and eigenvectors (columns) of a symmetric matrix: by Jacobi rotations if it is small."""
    n: cython.Py_ssize_t = B.shape[0]
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    sweep: cython.int
    off: cython.double
    size: cython.double
    x: cython.double
    left: cython.double
    right: cython.double
    if n > _JACOBI:
        matrix = np.asarray(B)
        w, v = np.linalg.eigh(0.5 * (matrix + matrix.T))
        np.asarray(values)[:] = w
        np.asarray(V)[:] = v
        return 0
    for a in range(n):
        for b in range(n):
            A[a, b] = B[a, b]
            V[a, b] = 1.0 if a == b else 0.0
    for sweep in range(60):
        off, size = 0.0, 0.0
        for a in range(n):
            size += A[a, a] * A[a, a]
            for b in range(a):
                off += A[a, b] * A[a, b]
        if off <= 1e-32 * size or off == 0.0:
            break
        for a in range(1, n):
            for b in range(a):
                x = A[a, b]
                if x == 0.0:
                    continue
                tau: cython.double = (A[a, a] - A[b, b]) / (2.0 * x)
                t: cython.double = (1.0 if tau >= 0 else -1.0) / (fabs(tau) + sqrt(1.0 + tau * tau))
                c: cython.double = 1.0 / sqrt(1.0 + t * t)
                s: cython.double = t * c
                for k in range(n):
                    left, right = A[k, b], A[k, a]
                    A[k, b] = c * left - s * right
                    A[k, a] = s * left + c * right
                for k in range(n):
                    left, right = A[b, k], A[a, k]
                    A[b, k] = c * left - s * right
                    A[a, k] = s * left + c * right
                    left, right = V[k, b], V[k, a]
                    V[k, b] = c * left - s * right
                    V[k, a] = s * left + c * right
    for a in range(n):
        values[a] = A[a, a]
    return 0


class TrustRegion:
    """A search over n coordinates.

    Parameters
    ----------
    n : int

    Attributes
    ----------
    x, gradient : ndarray, shape (n,)
        The best point so far.
    matrix : ndarray, shape (n, n)
        Second derivatives there, or what stands for them.
    value : float
    trial : ndarray, shape (n,)
        Where the function is wanted next.
    code : int
        0 converged, 1 budget spent, 2 no further progress.
    evaluations : int
    accepted : ndarray, shape (400, 3)
        Of the first `steps` accepted steps: evaluations so far, value, largest element of the gradient.
    """

    def __init__(self, n: cython.Py_ssize_t) -> None:
        self.n = n
        room: cython.double[:, ::1] = np.zeros((5 * n + 9, n))
        self.matrix, self._added = room[:n], room[n : 2 * n]
        self._vectors, self._square = room[2 * n : 3 * n], room[3 * n : 4 * n]
        self.x, self.gradient, self.trial = room[4 * n], room[4 * n + 1], room[4 * n + 2]
        self._direction, self._values, self._step = room[4 * n + 3], room[4 * n + 4], room[4 * n + 5]
        self._other, self._change, self._plain_step = room[4 * n + 6], room[4 * n + 7], room[4 * n + 8]
        self._plain = room[4 * n + 9 :]
        self.accepted = np.empty((_LOG, 3))

    def found(self, constant: cython.double):  # type: ignore[no-untyped-def]
        """Copies of :attr:`x`, :attr:`gradient`, :attr:`matrix` and the accepted steps, a constant added to values."""
        n: cython.Py_ssize_t = self.n
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        x_array, gradient_array, matrix_array = np.empty(n), np.empty(n), np.empty((n, n))
        trace_array = np.empty((self.steps, 3))
        x: cython.double[::1] = x_array
        gradient: cython.double[::1] = gradient_array
        matrix: cython.double[:, ::1] = matrix_array
        trace: cython.double[:, ::1] = trace_array
        for a in range(n):
            x[a], gradient[a] = self.x[a], self.gradient[a]
            for b in range(n):
                matrix[a, b] = self.matrix[a, b]
        for a in range(self.steps):
            for b in range(3):
                trace[a, b] = self.accepted[a, b]
            trace[a, 1] += constant
        return x_array, gradient_array, matrix_array, trace_array

    def start(self, start, kind, budget, spent):  # type: ignore[no-untyped-def]
        """Start a search: the first trial is `start`; `spent` evaluations have been made before."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        for a in range(self.n):
            self.gradient[a] = 0.0
            self.trial[a] = start[a]
            for b in range(self.n):
                self._added[a, b] = 0.0
        self.kind, self._budget = kind, budget
        self.value, self.radius, self._predicted, self._before = np.inf, 1.0, 0.0, 0.0
        self.code, self.steps, self.evaluations = CONVERGED, 0, spent
        self._phase = _FIRST
        self._polished = self._escapes = self._candidate = self._doubts = 0
        self._started = False

    def _accept(self, value, gradient):  # type: ignore[no-untyped-def]
        a: cython.Py_ssize_t
        worst: cython.double = 0.0
        for a in range(self.n):
            self.x[a] = self.trial[a]
            self.gradient[a] = gradient[a]
            worst = max(worst, fabs(gradient[a]))
        self.value = value
        if self.steps < _LOG:
            self.accepted[self.steps, 0] = self.evaluations
            self.accepted[self.steps, 1] = value
            self.accepted[self.steps, 2] = worst
            self.steps += 1

    def _rank_one(self, s, y):  # type: ignore[no-untyped-def]
        """Symmetric rank-one update: matrix·s = y afterwards."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        total: cython.double
        bottom: cython.double = 0.0
        size_rest: cython.double = 0.0
        size_s: cython.double = 0.0
        rest: cython.double[::1] = self._other
        for a in range(self.n):
            total = y[a]
            for b in range(self.n):
                total -= self.matrix[a, b] * s[b]
            rest[a] = total
            bottom += total * s[a]
            size_rest += total * total
            size_s += s[a] * s[a]
        if fabs(bottom) > 1e-8 * sqrt(size_rest * size_s):
            for a in range(self.n):
                for b in range(self.n):
                    total = rest[a] * rest[b] / bottom
                    self.matrix[a, b] += total
                    self._added[a, b] += total

    def _renew(self, matrix):  # type: ignore[no-untyped-def]
        """Take an accepted point's matrix, with what updates have added, and update it by the step that led there."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        if self.kind != 2:
            for a in range(self.n):
                for b in range(self.n):
                    self.matrix[a, b] = matrix[a, b] + self._added[a, b]
        if self.kind != 0:
            self._rank_one(self._step, self._change)

    def _decrease(self, B, s):  # type: ignore[no-untyped-def]
        """Decrease that the quadratic model predicts for the step s."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        inner: cython.double
        predicted: cython.double = 0.0
        for a in range(self.n):
            inner = 0.0
            for b in range(self.n):
                inner += B[a, b] * s[b]
            predicted -= s[a] * (self.gradient[a] + 0.5 * inner)
        return predicted

    def _minimise_model(self, B, radius, s):  # type: ignore[no-untyped-def]
        """Put the minimiser of g's + s'Bs/2 within the radius in `s` (Moré & Sorensen 1983)."""
        n: cython.Py_ssize_t = self.n
        g: cython.double[::1] = self.gradient
        values: cython.double[::1] = self._values
        V: cython.double[:, ::1] = self._vectors
        a: cython.Py_ssize_t
        k: cython.Py_ssize_t
        low: cython.Py_ssize_t = 0
        turn: cython.int
        square: cython.double = 0.0
        slope: cython.double
        total: cython.double
        if cholesky_solve(B, g, self._square, s):
            for a in range(n):
                square += s[a] * s[a]
            if square <= radius * radius:
                return 0
        eigen(B, self._square, values, V)
        for a in range(1, n):
            if values[a] < values[low]:
                low = a
        lowest: cython.double = values[low]
        c: cython.double[::1] = self._change
        z: cython.double[::1] = self._other
        for k in range(n):
            c[k] = 0.0
            z[k] = 0.0
            for a in range(n):
                c[k] += V[a, k] * g[a]
        # Newton's method on 1/|s(shift)| - 1/radius, from the right of the pole
        floor: cython.double = max(0.0, -lowest)
        shift: cython.double = floor + max(1e-12 * max(1.0, fabs(lowest)), fabs(c[low]) / radius * 1e-3)
        bound: cython.double = floor
        length: cython.double = 0.0
        for turn in range(60):
            square, slope = 0.0, 0.0
            for k in range(n):
                z[k] = -c[k] / (values[k] + shift)
                square += z[k] * z[k]
                slope += z[k] * z[k] / (values[k] + shift)
            length = sqrt(square)
            if length > radius:
                bound = shift
            if fabs(length - radius) <= 1e-3 * radius or (length < radius and shift - floor <= 1e-10 * max(1.0, floor)):
                break
            if slope <= 0.0:
                break
            moved: cython.double = shift + (length / radius - 1.0) * length * length / slope
            shift = moved if moved > bound else 0.5 * (shift + bound)
        if length < 0.9 * radius and lowest < 0:  # the hard case: go on along the lowest eigenvector
            total = sqrt(max(radius * radius - length * length, 0.0))
            z[low] += total if c[low] <= 0 else -total
        elif length > radius:
            for k in range(n):
                z[k] *= radius / length
        for a in range(n):
            total = 0.0
            for k in range(n):
                total += V[a, k] * z[k]
            s[a] = total
        return 0

    def _propose(self):  # type: ignore[no-untyped-def]
        """Choose the next trial from the present point; True when there is nothing left to try."""
        n: cython.Py_ssize_t = self.n
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        s: cython.double[::1] = self._step
        self._minimise_model(self.matrix, self.radius, s)
        predicted: cython.double = self._decrease(self.matrix, s)
        noise: cython.double = _NOISE * max(1.0, fabs(self.value))
        if predicted < noise and self.kind == 1:
            # what updates have added from farther away, along a ridge, may hide that there is more to gain
            plain: cython.double[:, ::1] = self._plain
            other: cython.double[::1] = self._plain_step
            for a in range(n):
                for b in range(n):
                    plain[a, b] = self.matrix[a, b] - self._added[a, b]
            self._minimise_model(plain, 1.0, other)
            gain: cython.double = self._decrease(plain, other)
            if gain >= _DOUBTED * noise:
                if self._doubts == _MOST_DOUBTS:
                    self.code = STUCK
                    return True
                self._doubts += 1
                self.radius, predicted = 1.0, gain
                for a in range(n):
                    s[a] = other[a]
                    for b in range(n):
                        self.matrix[a, b] = plain[a, b]
                        self._added[a, b] = 0.0
        self._predicted = predicted
        for a in range(n):
            self.trial[a] = self.x[a] + s[a]
        if predicted >= noise:
            self._phase = _ORDINARY
            return False
        if self._escapes < _MOST_ESCAPES and self._escape():
            return False
        # the objective's last digit says no more; the gradient does
        self._phase = _POLISHING
        worst: cython.double = 0.0
        longest: cython.double = 0.0
        size: cython.double = 0.0
        steepest: cython.double = 1.0
        for a in range(n):
            worst = max(worst, fabs(self.gradient[a]))
            longest = max(longest, fabs(s[a]))
            size = max(size, fabs(self.x[a]))
            steepest = max(steepest, self.matrix[a, a])
        fast: cython.bint = 0.0 <= predicted < _FAST * _FAST * self._before
        last: cython.double = _longest_last_step(self.kind, fast)
        if longest <= last * size and worst <= _largest_last_gradient(self.kind) * steepest:
            for a in range(n):
                self.x[a] = self.trial[a]
            return True
        return self._polished > _MOST_POLISHING

    def _escape(self):  # type: ignore[no-untyped-def]
        """Leave a saddle, such as T_kk = 0 where a positive variance is better; False: there is none."""
        n: cython.Py_ssize_t = self.n
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        low: cython.Py_ssize_t = 0
        size: cython.double = 1.0
        for a in range(n):
            for b in range(n):
                size = max(size, fabs(self.matrix[a, b]))
        eigen(self.matrix, self._square, self._values, self._vectors)
        for a in range(1, n):
            if self._values[a] < self._values[low]:
                low = a
        if not self._values[low] < -1e-7 * size:
            return False
        self._escapes += 1
        self._candidate = 0
        self._phase = _ESCAPING
        for a in range(n):
            self._direction[a] = self._vectors[a, low]
            self.trial[a] = self.x[a] + 0.3 * self._direction[a]
        return True

    def _after_escape(self, value, gradient, matrix, finite):  # type: ignore[no-untyped-def]
        """Take the evaluation at a point beside a saddle."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        self._before = 0.0
        if finite and value < self.value - _NOISE * max(1.0, fabs(self.value)):
            self._accept(value, gradient)
            if self.kind != 2:
                for a in range(self.n):
                    for b in range(self.n):
                        self.matrix[a, b] = matrix[a, b]
                        self._added[a, b] = 0.0
            self.radius = 1.0
            return self._propose()
        self._candidate += 1
        k: cython.int = self._candidate
        if k < _ESCAPE_TRIALS:
            size: cython.double = (0.3 if k < 2 else 0.03 if k < 4 else 0.003) * (1.0 if k % 2 == 0 else -1.0)
            for a in range(self.n):
                self.trial[a] = self.x[a] + size * self._direction[a]
            return False
        self._escapes = _MOST_ESCAPES
        return self._propose()

    def update(self, value, gradient, matrix):  # type: ignore[no-untyped-def]
        """Take the evaluation at the trial point; True when the search is over.

        An absent matrix is used at the first point all the same.
        """
        n: cython.Py_ssize_t = self.n
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        self.evaluations += 1
        if self.evaluations >= self._budget:
            if value < self.value or not self._started:
                self._accept(value, gradient)
                for a in range(n):
                    for b in range(n):
                        self.matrix[a, b] = matrix[a, b]
            self.code = SPENT
            return True
        finite: cython.bint = isfinite(value)
        for a in range(n):
            finite = finite and isfinite(gradient[a])
        if self._phase == _FIRST:
            if not finite:
                for a in range(n):
                    self.trial[a] *= 0.5
                return False
            self._started = True
            self._accept(value, gradient)
            for a in range(n):
                for b in range(n):
                    self.matrix[a, b] = matrix[a, b]
            return self._propose()
        if self._phase == _ESCAPING:
            return self._after_escape(value, gradient, matrix, finite)
        square: cython.double = 0.0
        before: cython.double = 0.0
        after: cython.double = 0.0
        for a in range(n):
            self._step[a] = self.trial[a] - self.x[a]
            self._change[a] = gradient[a] - self.gradient[a]
            square += self._step[a] * self._step[a]
            before += self.gradient[a] * self.gradient[a]
            after += gradient[a] * gradient[a]
        if self._phase == _POLISHING:
            if not (finite and after < 0.25 * before):
                return True
            self._polished += 1
            self._before = self._predicted
            self._accept(min(self.value, value), gradient)
            self._renew(matrix)
            return self._propose()
        noise: cython.double = _NOISE * max(1.0, fabs(self.value)) if isfinite(self.value) else 0.0
        length: cython.double = sqrt(square)
        ratio: cython.double = -1.0
        if finite:
            actual: cython.double = self.value - value
            if fabs(actual) < 1e3 * noise:  # trapezoid: more digits than the difference of two values
                actual = 0.0
                for a in range(n):
                    actual -= 0.5 * (self.gradient[a] + gradient[a]) * self._step[a]
            ratio = actual / self._predicted
        if ratio < 0.25:
            self.radius = 0.25 * length
        elif ratio > 0.75 and length > 0.8 * self.radius:
            self.radius *= 4.0
        if ratio > 1e-4:
            self._before = self._predicted
            self._accept(value, gradient)
            self._renew(matrix)
        else:
            self._before = 0.0
            if finite and self.kind != 0:
                self._rank_one(self._step, self._change)
            size: cython.double = 1.0
            for a in range(n):
                size = max(size, fabs(self.x[a]))
            if self.radius < 1e-12 * size:
                self.code = STUCK
                return True
        return self._propose()


def minimise(
    function: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]], start: np.ndarray, budget: int, kind: int
) -> tuple[np.ndarray, float, int]:
    """Minimise a function that returns value, gradient and a matrix of the given kind.

    Parameters
    ----------
    function : callable
    start : ndarray, shape (n,)
    budget : int
        Calls.
    kind : {EXACT, APPROXIMATE, ABSENT}

    Returns
    -------
    x : ndarray, shape (n,)
    value : float
    code : int
        0 converged, 1 budget spent, 2 no further progress.
    """
    search: TrustRegion = TrustRegion(start.size)
    search.start(np.ascontiguousarray(start, dtype=float), kind, budget, 0)
    done: cython.bint = False
    while not done:
        value, gradient, matrix = function(np.array(search.trial))
        done = search.update(value, np.ascontiguousarray(gradient, float), np.ascontiguousarray(matrix, float))
    return np.array(search.x), search.value, search.code


def trust_region_step(B: np.ndarray, g: np.ndarray, radius: float) -> np.ndarray:
    """Return the minimiser of g's + s'Bs/2 within the radius, shape (n,).

    Parameters
    ----------
    B : symmetric ndarray, shape (n, n)
    g : ndarray, shape (n,)
    radius : float
    """
    search: TrustRegion = TrustRegion(g.size)
    search.gradient = np.array(g, dtype=float)
    out = np.empty(g.size)
    search._minimise_model(np.ascontiguousarray(B, dtype=float), radius, out)
    return out


def symmetric_eigenvalues(B: np.ndarray) -> list[float]:
    """Eigenvalues of a symmetric matrix, in no order; of a small one without LAPACK, whose call is long."""
    n: cython.Py_ssize_t = B.shape[0]
    values = np.empty(n)
    eigen(np.ascontiguousarray(B, dtype=float), np.empty((n, n)), values, np.empty((n, n)))
    return values.tolist()
