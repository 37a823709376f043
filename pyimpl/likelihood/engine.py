"""One evaluation of the profiled criterion: value, gradient and second derivatives at θ (Bates et al. 2015).

    T_f = T_f(θ)                        templates of Λ                                       eq. 4, 9
    L_jL_j' = I + R_jTT'R_j'            inner factor, level by level                         eq. 18, leading block
    LL' = A = I + Λ'S2Λ                 outer factors, the Schur complement                  eq. 18, trailing block
    S = [X, y]'V⁻¹[X, y]                = [R_X, r]'[R_X, r] after the elimination of both    eq. 19, 21-23
    d(θ) = log|V| + n log r²            log|V| = Σ log|L_j|² + log|L|²                       eq. 35
    d_R(θ) = d(θ) + log|R_X|²           with n − p for n                                     eq. 42

up to constants. Gradient: with e = y − Xβ̂, w = V⁻¹e, i running over the levels of a factor and m = n or n − p

    ∂d/∂T = 2 tril(H T),   H = Σ_i Z_i'V⁻¹Z_i − (m/r²) (Z_i'w)(Z_i'w)' − [REML] (Z_i'V⁻¹X)(X'V⁻¹X)⁻¹(X'V⁻¹Z_i);

r² contributes only directly (envelope theorem), and no Λ is inverted, so it holds on the boundary.

The Hessian's approximation is the average information (Gilmour, Thompson & Cullis 1995, Biometrics 51, 1440-1450), the
mean of the observed and the expected one, with σ² profiled out: for changes G_k of the covariance matrix, with V⁻¹
deflated by X to P,

    (m/r²) w'G_kPG_lw − m (w'G_kw)(w'G_lw)/r⁴,

to which the exact curvature of Λ's template in TT' is added. Where one factor has one effect, the Hessian is exact, and
everything a number a level.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import INFINITY, NAN, fabs, isfinite, log, sqrt
from cython.cimports.pyimpl.likelihood.inner import Inner
from cython.cimports.pyimpl.likelihood.outer import Outer
from cython.cimports.pyimpl.likelihood.scoring import scoring_step

__all__ = ["Engine", "conditional_variances"]

_EM = cython.declare(cython.int, 1)  # first steps that are those of the EM algorithm
_SCORING = cython.declare(cython.int, 8)  # evaluations with steps of EM and scoring at most
#: A decrease of the criterion (twice the log-likelihood) after which the search goes on by itself: scoring is near.
_NEAR = cython.declare(cython.double, 0.1)
_SINGULAR = cython.declare(cython.double, 1e-7)  # pivots of a template, relative, that are not divided by


class Engine:
    """The criterion of a reduced model.

    Parameters
    ----------
    inner : Inner
    outer : Outer or None
    fixed : FixedPart
        ``within`` and ``within_root``, each (P + 1, P + 1): [X, y]'(I − QQ')[X, y], Q spanning the inner factor's
        columns, and its triangular factor.
    elements : ndarray of int, shape (3, n_theta)
        Of each element of the templates, factor by factor: the position of its θ, its row, its column.
    factors : sequence
        Of each grouping factor, the inner one first, ``(p, J, k)``: its template is (p, p), k of it elements.
    df : float
        n, or n − p.
    REML : bool

    Attributes
    ----------
    theta, value, log_det, log_det_RX, prss
        Of the last evaluation: θ, the criterion without its constant, log|V|, log|R_X|² in the basis, r².
    gradient : ndarray, shape (n_theta,)
    hessian, information : ndarray, shape (n_theta, n_theta)
        Second derivatives or their approximation, and the average information alone.
    to_basis : ndarray, shape (P + 1, P + 1)
        Q with [X, y]Q = [X R_X⁻¹, y − Xβ̂] in the basis; its last column is (−γ, 1).
    """

    def __init__(self, inner, outer, fixed, elements, factors, df, REML) -> None:  # type: ignore[no-untyped-def]
        self.inner, self.outer = inner, outer
        self.within, self.within_root = fixed.within, fixed.within_root
        self.df, self.REML = df, REML
        self.m, self.p = self.within.shape[0], self.inner.p if self.inner.J else 0
        self.q = 0 if outer is None else self.outer.q
        self.factors = len(factors)
        self.place, self.rows, self.cols = elements[0], elements[1], elements[2]
        self.n = elements.shape[1]
        self.closed_form = self.q == 0 and self.p == 1
        n: cython.Py_ssize_t = self.n
        m: cython.Py_ssize_t = self.m
        q: cython.Py_ssize_t = self.q
        count: cython.Py_ssize_t = len(factors)
        f: cython.Py_ssize_t
        size: cython.Py_ssize_t
        levels: cython.Py_ssize_t
        length: cython.Py_ssize_t
        total: cython.Py_ssize_t = 0
        widest: cython.Py_ssize_t = 1
        table: cython.Py_ssize_t[:, ::1] = np.zeros((4, count + 1), dtype=np.intp)
        self.begin, self.template, self.size, self.levels = table[0], table[1], table[2], table[3]
        for f in range(count):
            size, levels, length = factors[f]
            total, widest = total + size * size, max(widest, size)
            self.size[f], self.levels[f] = size, levels
            self.begin[f + 1], self.template[f + 1] = self.begin[f] + length, total
        # one array each of vectors, of matrices of θ and of [X, y]: to make an array takes as long as an evaluation
        squares: cython.double[:, ::1] = np.zeros((4 * n, n))
        self.hessian, self.information = squares[:n], squares[n : 2 * n]
        self._own_information, self._scaled_hessian = squares[2 * n : 3 * n], squares[3 * n :]
        squares = np.zeros((3 * m, m))
        self.to_basis, self._S, self._L = squares[:m], squares[m : 2 * m], squares[2 * m :]
        work: cython.Py_ssize_t = 3 * widest * widest
        shares: cython.Py_ssize_t = 2 * m * q + 1
        sums: cython.Py_ssize_t = n * m + 2 * self.p * self.p + m * m + m
        room: cython.double[::1] = np.zeros(7 * n + 2 * total + work + shares + sums)
        self.theta, self.gradient, self._own_gradient = room[:n], room[n : 2 * n], room[2 * n : 3 * n]
        self._search = room[3 * n : 7 * n]
        at: cython.Py_ssize_t = 7 * n
        self._T, self._KT = room[at : at + total], room[at + total : at + 2 * total]
        at += 2 * total
        self._work, self._lz = room[at : at + work], room[at + work : at + work + shares]
        self._sums = room[at + work + shares :]
        self._images = room[:0]

    def criterion(self, theta, order=0):  # type: ignore[no-untyped-def]
        """Evaluate at θ: the value, its gradient too (order 1), and second derivatives (order 2)."""
        return self.evaluate(np.ascontiguousarray(theta, float), order)

    def gradient_at_sigma(self, theta, sigma):  # type: ignore[no-untyped-def]
        """Evaluate log|V| + r²/σ² at θ with its gradient, σ held: returns r²/σ², NaN where it cannot be computed.

        The gradient is that of log|V| + m log r² with m = r²/σ².
        """
        if not isfinite(self.evaluate(np.ascontiguousarray(theta, float), 0)):
            return NAN
        df: cython.double = self.df
        self.df = self.prss / (sigma * sigma)
        self._derivatives(False)
        scaled: cython.double = self.df
        self.df = df
        return scaled

    def scan(self, points: cython.double[:, ::1]):  # type: ignore[no-untyped-def]
        """Values at many θ, shape (k, n_theta)."""
        out = np.empty(points.shape[0])
        values: cython.double[::1] = out
        i: cython.Py_ssize_t
        for i in range(points.shape[0]):
            values[i] = self.evaluate(points[i], 0)
        return out

    def _fill_templates(self, theta):  # type: ignore[no-untyped-def]
        """θ into the templates, one after the other."""
        k: cython.Py_ssize_t
        f: cython.Py_ssize_t
        for k in range(self._T.shape[0]):
            self._T[k] = 0.0
        for f in range(self.factors):
            for k in range(self.begin[f], self.begin[f + 1]):
                self._T[self.template[f] + self.rows[k] * self.size[f] + self.cols[k]] = theta[self.place[k]]
        for k in range(self.n):
            self.theta[k] = theta[k]

    def evaluate(self, theta, order):  # type: ignore[no-untyped-def]
        """The criterion without its constant, +inf where it cannot be computed; see :meth:`criterion`."""
        m: cython.Py_ssize_t = self.m
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        i: cython.Py_ssize_t
        outer: Outer = self.outer
        inner: Inner = self.inner
        has_outer: cython.bint = self.q > 0
        Sx: cython.p_double = cython.NULL
        S2: cython.p_double = cython.NULL
        PyErr_CheckSignals()
        self._fill_templates(theta)
        for a in range(m):
            for b in range(a + 1):
                self._S[a, b] = self.within[a, b]
        for a in range(self.n):
            self.gradient[a] = NAN
        self.value = INFINITY
        T: cython.p_double = cython.address(self._T[0])
        if has_outer:
            S2, Sx = cython.address(outer.S2[0]), cython.address(outer.Sx[0, 0])
            for i in range(outer.pattern.size):
                S2[i] = outer.within[i]
            for i in range(m * self.q):
                Sx[i] = cython.address(outer.within_dense[0, 0])[i]
            outer.set_template(T + self.p * self.p)
        self.log_det = inner.eliminate(T, cython.address(self._S[0, 0]), Sx, S2)
        if not isfinite(self.log_det):
            return self.value
        if has_outer:
            if not outer.factorise():
                return self.value
            self.log_det += outer.factor.log_det()
            Y: cython.p_double = cython.address(self._lz[0])
            outer.lambda_times(Sx, m, True, Y)
            outer.factor.forward(Y, m)
            for a in range(m):
                for b in range(a + 1):
                    total: cython.double = 0.0
                    for i in range(self.q):
                        total += Y[a * self.q + i] * Y[b * self.q + i]
                    self._S[a, b] -= total
        if not self._profile():
            return self.value
        value: cython.double = self.log_det + self.df * log(self.prss)
        if self.REML:
            value += self.log_det_RX
        if isfinite(value):
            self.value = value
            if order > 0:
                self._derivatives(order == 2)
        return self.value

    def _profile(self):  # type: ignore[no-untyped-def]
        """r² and R_X from S = [X, y]'V⁻¹[X, y], and what turns the basis into [X R_X⁻¹, y − Xβ̂]; False: no such."""
        m: cython.Py_ssize_t = self.m
        P: cython.Py_ssize_t = m - 1
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        total: cython.double
        L: cython.double[:, ::1] = self._L
        Q: cython.double[:, ::1] = self.to_basis
        for a in range(m):
            for b in range(a + 1):
                total = self._S[a, b]
                for c in range(b):
                    total -= L[a, c] * L[b, c]
                if a == b:
                    if not total > 0.0:
                        return False
                    L[a, a] = sqrt(total)
                else:
                    L[a, b] = total / L[b, b]
        self.log_det_RX = 0.0
        for c in range(P):  # R_X⁻¹, transposed: the rows of R_X'⁻¹
            self.log_det_RX += 2.0 * log(L[c, c])
            for a in range(c, P):
                total = 1.0 if a == c else 0.0
                for b in range(c, a):
                    total -= L[a, b] * Q[c, b]
                Q[c, a] = total / L[a, a]
        for c in range(P):
            total = 0.0
            for a in range(c, P):
                total += Q[c, a] * L[P, a]
            Q[c, P] = -total
        Q[P, P] = 1.0
        self.prss = L[P, P] * L[P, P]
        if self.q == 0:  # as a sum of squares, in which the error of γ counts only squared
            v: cython.double[::1] = self._S[0]  # is not needed any more
            for c in range(m):
                v[c] = Q[c, P]
            self.prss = self.inner.residual_square(cython.address(v[0]))
            for a in range(m):
                total = 0.0
                for c in range(a, m):
                    total += self.within_root[a, c] * Q[c, P]
                self.prss += total * total
        return self.prss > 0.0

    def _derivatives(self, curved):  # type: ignore[no-untyped-def]
        """Gradient, and if `curved` the second derivatives, where the value has just been computed."""
        m: cython.Py_ssize_t = self.m
        p: cython.Py_ssize_t = self.p
        n: cython.Py_ssize_t = self.n
        q: cython.Py_ssize_t = self.q
        inner: Inner = self.inner
        outer: Outer = self.outer
        own: cython.Py_ssize_t = self.begin[1] if inner.J else 0
        f: cython.Py_ssize_t
        k: cython.Py_ssize_t
        i: cython.Py_ssize_t
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        Q: cython.p_double = cython.address(self.to_basis[0, 0])
        T: cython.p_double = cython.address(self._T[0])
        lz: cython.p_double = cython.address(self._lz[0])
        N: cython.p_double = cython.NULL
        weight: cython.double = self.df / self.prss
        curvature: cython.double = 0.0
        if self.closed_form:
            self.gradient[0] = inner.scalar_derivatives(
                T[0], Q, self.df, self.prss, self.REML, cython.address(self._sums[0]), cython.address(curvature)
            )
            self.hessian[0, 0] = self.information[0, 0] = curvature
            return 0
        info: cython.p_double = cython.address(self._own_information[0, 0])
        M: cython.p_double = cython.address(self._sums[0])
        W: cython.p_double = M + n * m
        K: cython.p_double = W + p * p
        h: cython.p_double = cython.NULL
        for i in range(n * m + 2 * p * p):
            M[i] = 0.0
        if curved:
            if self._images.shape[0] < 3 * n * q + 1:
                self._images = np.zeros(3 * n * q + 1)
            h = cython.address(self._images[0])
            for i in range(2 * n * q):
                h[i] = 0.0
            for i in range(n * n):
                info[i] = 0.0
        if q:
            outer.factor.backward(lz, m)
            outer.lambda_times(lz, m, False, lz + m * q)
            for i in range(m * q):
                lz[i] = lz[m * q + i]
            outer.effects(lz, lz + m * q, Q)
            outer.factor.invert()
            if not outer.plain_traces(cython.address(self._KT[p * p])):
                outer.traces(cython.address(self._KT[p * p]))
            if p:
                outer.sandwich()
                N = outer.factor.Z
        if p:
            # of the inner factor's elements, which are the first `own`, the information's rows are `own` long
            inner.n, inner.rows, inner.cols = own, cython.address(self.rows[0]), cython.address(self.cols[0])
            inner.W, inner.K, inner.info, inner.M, inner.h = W, K, info, M, h
            inner.back(T, lz, Q, N, weight, self.REML, curved)
            if curved and own < n:
                for a in range(own - 1, -1, -1):
                    for b in range(own - 1, -1, -1):
                        info[a * n + b] = info[a * own + b] if b <= a else 0.0
                for a in range(own):
                    for b in range(own, n):
                        info[a * n + b] = 0.0
            for a in range(p):
                for b in range(a):
                    W[b * p + a] = W[a * p + b]
                    K[b * p + a] = K[a * p + b]
            for a in range(p):
                for b in range(p):
                    self._KT[a * p + b] = 0.0
                    for c in range(p):
                        self._KT[a * p + b] += K[a * p + c] * T[c * p + b]
        if curved:
            self._information(info, M, h)
        if p:
            self._put(0, cython.address(self._KT[0]), K, W, curved)
        for f in range(1 if p else 0, self.factors):
            self._outer_derivatives(f, weight, curved)
        for k in range(n):
            self.gradient[self.place[k]] = self._own_gradient[k]
            if curved:
                for i in range(n):
                    self.hessian[self.place[k], self.place[i]] = info[k * n + i]
        return 0

    def _outer_derivatives(self, f, weight, curved):  # type: ignore[no-untyped-def]
        """Gradient of one outer factor's elements, and the curvature of its template."""
        p: cython.Py_ssize_t = self.size[f]
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        total: cython.double
        smallest: cython.double = INFINITY
        largest: cython.double = 0.0
        outer: Outer = self.outer
        which: cython.Py_ssize_t = f - (1 if self.p else 0)
        T: cython.p_double = cython.address(self._T[self.template[f]])
        KT: cython.p_double = cython.address(self._KT[self.template[f]])
        W: cython.p_double = cython.address(self._work[0])
        K: cython.p_double = W + p * p
        outer.squares(which, weight, self.REML, W)
        if curved:
            for a in range(p):
                smallest = min(smallest, fabs(T[a * p + a]))
                for b in range(a + 1):
                    largest = max(largest, fabs(T[a * p + b]))
            if smallest > _SINGULAR * largest and smallest > 1e-100:
                for a in range(p):  # K = (KT)T⁻¹
                    for c in range(p - 1, -1, -1):
                        total = KT[a * p + c]
                        for b in range(c + 1, p):
                            total -= K[a * p + b] * T[b * p + c]
                        K[a * p + c] = total / T[c * p + c]
            else:
                outer.exact_trace(which, K)
                for a in range(p):
                    for b in range(a):
                        K[b * p + a] = K[a * p + b]
        for a in range(p):
            for b in range(a):
                W[b * p + a] = W[a * p + b]
        self._put(f, KT, K, W, curved)
        return 0

    def _put(self, f, KT, K, W, curved):  # type: ignore[no-untyped-def]
        """Gradient of factor f's elements, 2(KT − WT), and its template's curvature added to the information."""
        p: cython.Py_ssize_t = self.size[f]
        n: cython.Py_ssize_t = self.n
        k: cython.Py_ssize_t
        i: cython.Py_ssize_t
        r: cython.Py_ssize_t
        s: cython.Py_ssize_t
        b: cython.Py_ssize_t
        total: cython.double
        info: cython.p_double = cython.address(self._own_information[0, 0])
        T: cython.p_double = cython.address(self._T[self.template[f]])
        for k in range(self.begin[f], self.begin[f + 1]):
            r = self.rows[k]
            total = KT[r * p + self.cols[k]]
            for b in range(self.cols[k], p):
                total -= W[r * p + b] * T[b * p + self.cols[k]]
            self._own_gradient[k] = 2.0 * total
            if curved:
                for i in range(self.begin[f], k + 1):
                    if self.cols[i] == self.cols[k]:
                        s = self.rows[i]
                        total = K[r * p + s] + K[s * p + r] - 2.0 * W[r * p + s]
                        info[k * n + i] += total
                        if i != k:
                            info[i * n + k] += total
        return 0

    def _information(self, info, M, h):  # type: ignore[no-untyped-def]
        """Average information from what the inner factor has summed: `info`, `M` and `h` as of ``Inner.back``."""
        n: cython.Py_ssize_t = self.n
        m: cython.Py_ssize_t = self.m
        q: cython.Py_ssize_t = self.q
        P: cython.Py_ssize_t = m - 1
        own: cython.Py_ssize_t = self.begin[1] if self.p else 0
        f: cython.Py_ssize_t
        k: cython.Py_ssize_t
        g: cython.Py_ssize_t
        i: cython.Py_ssize_t
        c: cython.Py_ssize_t
        x: cython.double
        total: cython.double
        weight: cython.double = self.df / self.prss
        outer: Outer = self.outer
        if q and n > own:
            s: cython.p_double = h + n * q
            for f in range(1 if self.p else 0, self.factors):
                k = self.begin[f]
                outer.images(
                    f - (1 if self.p else 0), self.begin[f + 1] - k, cython.address(self.rows[k]),
                    cython.address(self.cols[k]), s + k * q,
                )  # fmt: skip
            S2s: cython.p_double = h + 2 * n * q
            outer.symmetric(s + own * q, n - own, S2s)
            for k in range(n):
                for g in range(k + 1):
                    total = 0.0
                    if k >= own:
                        for i in range(q):
                            total += s[k * q + i] * h[g * q + i]
                        if g >= own:
                            for i in range(q):
                                total += s[k * q + i] * S2s[(g - own) * q + i] + h[k * q + i] * s[g * q + i]
                    info[k * n + g] += total
            for k in range(own, n):
                for i in range(q):
                    h[k * q + i] += S2s[(k - own) * q + i]
                for c in range(m):
                    total = 0.0
                    for i in range(q):
                        total += s[k * q + i] * outer.V[c, i]
                    M[k * m + c] += total
        if q:
            y: cython.p_double = h + n * q
            outer.lambda_times(h, n, True, y)
            outer.factor.forward(y, n)
        for k in range(n):
            for g in range(k + 1):
                total = info[k * n + g]
                for c in range(P):
                    total -= M[k * m + c] * M[g * m + c]
                if q:
                    for i in range(q):
                        total -= y[k * q + i] * y[g * q + i]
                x = weight * total - self.df * (M[k * m + P] / self.prss) * (M[g * m + P] / self.prss)
                info[k * n + g] = x
                info[g * n + k] = x
                self.information[self.place[k], self.place[g]] = x
                self.information[self.place[g], self.place[k]] = x
        return 0

    def _offer(self, units, g, H):  # type: ignore[no-untyped-def]
        """Gradient and Hessian in coordinates θ / units."""
        k: cython.Py_ssize_t
        i: cython.Py_ssize_t
        for k in range(self.n):
            g[k] = self.gradient[k] * units[k]
            for i in range(self.n):
                H[k, i] = self.hessian[k, i] * units[k] * units[i]
        return 0

    def search(self, region, start, units, budget, near):  # type: ignore[no-untyped-def]
        """Minimise from `start`, in coordinates θ / units; returns the criterion at the start.

        Far from the minimum the criterion is nearly a function of log T, of which no quadratic model goes far. A search
        therefore begins with a step of the EM algorithm, unless the start is said to be `near`, and goes on with
        scoring (:mod:`pyimpl.likelihood.scoring`) until that gains little. Where the Hessian is exact, Newton's method
        needs neither.
        """
        n: cython.Py_ssize_t = self.n
        k: cython.Py_ssize_t
        count: cython.int = 1
        theta: cython.double[::1] = self._search[:n]
        ahead: cython.double[::1] = self._search[n : 2 * n]
        scaled: cython.double[::1] = self._search[2 * n : 3 * n]
        g: cython.double[::1] = self._search[3 * n :]
        H: cython.double[:, ::1] = self._scaled_hessian
        for k in range(n):
            theta[k] = start[k] * units[k]
        initial: cython.double = self.evaluate(theta, 2)
        value: cython.double = initial
        gain: cython.double
        self._offer(units, g, H)
        if not self.closed_form:
            while count < _SCORING and isfinite(value) and scoring_step(self, theta, count <= _EM and not near, ahead):
                gain = value - self.evaluate(ahead, 2)
                count += 1
                if not gain > 0.0:
                    break
                value = self.value
                for k in range(n):
                    theta[k] = ahead[k]
                self._offer(units, g, H)
                if gain < _NEAR:
                    break
        for k in range(n):
            scaled[k] = theta[k] / units[k]
        region.start(scaled, 0 if self.closed_form else 1, budget, count - 1)
        while not region.update(value, g, H):
            for k in range(n):
                theta[k] = region.trial[k] * units[k]
            value = self.evaluate(theta, 2)
            self._offer(units, g, H)
        return initial

    def minimise(self, region, start, units, budget, near):  # type: ignore[no-untyped-def]
        """Call :meth:`search` from Python."""
        return self.search(region, np.ascontiguousarray(start, float), np.ascontiguousarray(units, float), budget, near)

    def effects(self):  # type: ignore[no-untyped-def]
        """Z'V⁻¹e of every factor, and N's and the inner factor's share of the conditional variances.

        Where the criterion has just been evaluated with its gradient. Of each factor: ndarray, shape (J, p).
        """
        j: cython.Py_ssize_t
        p: cython.Py_ssize_t = self.p
        m: cython.Py_ssize_t = self.m
        a: cython.Py_ssize_t
        out = []
        if p:
            inner: Inner = self.inner
            V: cython.double[::1] = np.zeros(p * m)
            own = np.empty((inner.J, p))
            view: cython.double[:, ::1] = own
            for j in range(inner.J):
                inner.effects(
                    j, cython.address(self._lz[0]), cython.address(self.to_basis[0, 0]), m - 1, cython.address(V[0])
                )
                for a in range(p):
                    view[j, a] = V[a * m + m - 1]
            out.append(own)
        if self.q:
            outer: Outer = self.outer
            e = np.asarray(outer.V)[m - 1]
            columns = outer.pattern.columns
            for f in range(self.factors - (1 if p else 0)):
                nodes = columns[outer.level_ptr[f] : outer.level_ptr[f + 1]]
                out.append(e[nodes[:, None] + np.arange(outer.width[f])])
        return out


def conditional_variances(inner: Inner, T, N: cython.double[::1], cond: cython.double[:, :, ::1]):  # type: ignore[no-untyped-def]
    """Add to each level's conditional variance what the outer factors' uncertainty adds: K(U_jNU_j')K', K = TT'E_j'."""
    p: cython.Py_ssize_t = inner.p
    j: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    i: cython.Py_ssize_t
    e: cython.double
    TT: cython.double[:, ::1] = np.ascontiguousarray(T @ T.T)
    room: cython.double[::1] = np.zeros(p * p)
    M: cython.p_double = cython.address(room[0])  # −E_j'U_jNU_j'E_j
    inner.forget_products()
    for j in range(inner.J):
        for a in range(p * p):
            M[a] = 0.0
        inner.level_trace(j, cython.address(N[0]), M, False)
        for a in range(p):
            for b in range(a):
                M[b * p + a] = M[a * p + b]
        for a in range(p):
            for b in range(p):
                e = 0.0
                for i in range(p * p):
                    e -= TT[a, i // p] * M[i] * TT[b, i % p]
                cond[j, a, b] += e
