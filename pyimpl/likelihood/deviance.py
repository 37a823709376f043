"""The profiled deviance and REML criterion at any θ, with their gradient.

Equations are those of Bates, Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1). With V = I + ZΛΛ'Z' the profiled
deviance (eq. 35) and REML criterion (eq. 42) are, up to −Σ log w,

    d(θ) = log|V| + n (1 + log(2π r²/n)),                              log|V| = log|L|² of eq. 18,
    d_R(θ) = log|V| + log|R_X|² + (n−p)(1 + log(2π r²/(n−p))),         R_X'R_X = X'V⁻¹X,

with r²(θ) = min_β (y − Xβ)'V⁻¹(y − Xβ), which is the penalized residual sum of squares of eq. 14. All that depends on
θ comes from the cross-products of :mod:`pyimpl.model.blocks`; the rows are not touched again.

Gradient. With T a template of Λ, e = y − Xβ̂ and i running over the levels of T's factor,

    ∂d/∂T = 2 tril(H T),   H = Σ_i Z_i'V⁻¹Z_i − (m/r²) (Z_i'V⁻¹e)(Z_i'V⁻¹e)' − [REML] (Z_i'V⁻¹X)(X'V⁻¹X)⁻¹(X'V⁻¹Z_i),

m = n or n − p; r² contributes only directly (envelope theorem). No Λ is inverted, so it holds on the boundary.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from scipy.linalg import blas, lapack

from pyimpl.errors import ModelError
from pyimpl.model.blocks import Blocks

__all__ = ["Objective", "Solution"]


@njit(cache=True)
def _eliminate(R, C, T, E, D, S):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Whiten the eliminated factor level by level: E_j = L_j⁻¹R_j, D_j = L_j⁻¹C_j, S += Σ D_j'D_j; returns log|V₁|.

    L_j is the Cholesky factor of I + R_j T T' R_j', the blocks of eq. 18 seen from the rows' side.
    """
    J, p, m = R.shape[0], R.shape[1], C.shape[2]
    L = np.zeros((p, p))
    W = np.zeros((p, p))
    product = 1.0
    log_det = 0.0
    for j in range(J):
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(max(a, b), p):
                    total += R[j, a, c] * T[c, b]
                W[a, b] = total
        for a in range(p):
            for b in range(a + 1):
                total = 1.0 if a == b else 0.0
                for c in range(p):
                    total += W[a, c] * W[b, c]
                for c in range(b):
                    total -= L[a, c] * L[b, c]
                if a == b:
                    L[a, a] = np.sqrt(total)
                    product *= total
                else:
                    L[a, b] = total / L[b, b]
        if product > 1e200:
            log_det += np.log(product)
            product = 1.0
        for a in range(p):
            inverse = 1.0 / L[a, a]
            for c in range(p):
                total = R[j, a, c]
                for b in range(a):
                    total -= L[a, b] * E[j, b, c]
                E[j, a, c] = total * inverse
            for c in range(m):
                total = C[j, a, c]
                for b in range(a):
                    total -= L[a, b] * D[j, b, c]
                D[j, a, c] = total * inverse
        for a in range(p):
            for c in range(m):
                x = D[j, a, c]
                for b in range(c + 1):
                    S[c, b] += x * D[j, a, b]
    return log_det + np.log(product)


@njit(cache=True)
def _eliminate_others(R, T, indptr, columns, values, D, U, S2, S2x):  # type: ignore[no-untyped-def] # pragma: no cover
    """Do the same whitening to the other factors' columns: U = L_j⁻¹ values, S2 += Σ U'U (lower), S2x += Σ U'D."""
    J, p, m = R.shape[0], R.shape[1], D.shape[2]
    L = np.zeros((p, p))
    W = np.zeros((p, p))
    for j in range(J):
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(max(a, b), p):
                    total += R[j, a, c] * T[c, b]
                W[a, b] = total
        for a in range(p):
            for b in range(a + 1):
                total = 1.0 if a == b else 0.0
                for c in range(p):
                    total += W[a, c] * W[b, c]
                for c in range(b):
                    total -= L[a, c] * L[b, c]
                L[a, b] = np.sqrt(total) if a == b else total / L[b, b]
        for i in range(indptr[j], indptr[j + 1]):
            for a in range(p):
                total = values[i, a]
                for b in range(a):
                    total -= L[a, b] * U[i, b]
                U[i, a] = total / L[a, a]
            row = columns[i]
            for a in range(p):
                x = U[i, a]
                for k in range(indptr[j], i + 1):
                    S2[row, columns[k]] += x * U[k, a]
                for c in range(m):
                    S2x[row, c] += x * D[j, a, c]


@njit(cache=True)
def _scale_others(S2, first, width, T, start, A):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Form A = I + Λ'S2Λ (lower triangle) for the block-diagonal Λ of the other factors; T: their templates, flat."""
    F = width.shape[0]
    for f in range(F):
        pf = width[f]
        for g in range(f + 1):
            pg = width[g]
            for r0 in range(first[f], first[f + 1], pf):
                stop = first[g + 1] if g < f else r0 + 1
                for c0 in range(first[g], stop, pg):
                    for a in range(pf):
                        for b in range(pg):
                            total = 0.0
                            for i in range(a, pf):
                                left = T[start[f] + i * pf + a]
                                if left != 0.0:
                                    inner = 0.0
                                    for k in range(b, pg):
                                        r, c = r0 + i, c0 + k
                                        s = S2[r, c] if c <= r else S2[c, r]
                                        inner += s * T[start[g] + k * pg + b]
                                    total += left * inner
                            A[r0 + a, c0 + b] = total
    for i in range(A.shape[0]):
        A[i, i] += 1.0


@njit(cache=True)
def _lambda_times(X, first, width, T, start, transpose, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Out = ΛX (or Λ'X) for the other factors."""
    m = X.shape[1]
    for f in range(width.shape[0]):
        p = width[f]
        for r0 in range(first[f], first[f + 1], p):
            for a in range(p):
                for c in range(m):
                    total = 0.0
                    for b in range(p):
                        t = T[start[f] + b * p + a] if transpose else T[start[f] + a * p + b]
                        total += t * X[r0 + b, c]
                    out[r0 + a, c] = total


@njit(cache=True)
def _trace_others(S2, Ainv, first, width, T, start, G):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """G_f = Σ_levels [S2 Λ A⁻¹] of each other factor's diagonal blocks, which is Σ Z_i'V⁻¹Z_i T (flat like T)."""
    F = width.shape[0]
    for f in range(F):
        pf = width[f]
        for g in range(f + 1):
            pg = width[g]
            for r0 in range(first[f], first[f + 1], pf):
                stop = first[g + 1] if g < f else r0 + pf
                for c0 in range(first[g], stop, pg):
                    for a in range(pf):
                        for b in range(pf):
                            total = 0.0
                            for i in range(pg):
                                r, c = r0 + a, c0 + i
                                s = S2[r, c] if c <= r else S2[c, r]
                                inner = 0.0
                                for k in range(i + 1):
                                    c2, r2 = c0 + k, r0 + b
                                    x = Ainv[r2, c2] if c2 <= r2 else Ainv[c2, r2]
                                    inner += T[start[g] + i * pg + k] * x
                                total += s * inner
                            G[start[f] + a * pf + b] += total
                    if r0 != c0 or f != g:
                        for a in range(pg):
                            for b in range(pg):
                                total = 0.0
                                for i in range(pf):
                                    s = S2[r0 + i, c0 + a]
                                    inner = 0.0
                                    for k in range(i + 1):
                                        inner += T[start[f] + i * pf + k] * Ainv[r0 + k, c0 + b]
                                    total += s * inner
                                G[start[g] + a * pg + b] += total


@njit(cache=True)
def _score(E, D, B, H):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """H += Σ_j E_j'(I − D_j B D_j')E_j, symmetric B (m, m)."""
    J, p, m = D.shape
    F = np.zeros((p, m))
    M = np.zeros((p, p))
    for j in range(J):
        for a in range(p):
            for c in range(m):
                total = 0.0
                for b in range(m):
                    total += D[j, a, b] * B[b, c]
                F[a, c] = total
        for a in range(p):
            for b in range(p):
                total = 1.0 if a == b else 0.0
                for c in range(m):
                    total -= F[a, c] * D[j, b, c]
                M[a, b] = total
        for r in range(p):
            for c in range(r + 1):
                total = 0.0
                for a in range(p):
                    inner = 0.0
                    for b in range(p):
                        inner += M[a, b] * E[j, b, c]
                    total += E[j, a, r] * inner
                H[r, c] += total
    for r in range(p):
        for c in range(r):
            H[c, r] = H[r, c]


@njit(cache=True)
def _score_with_others(E, D, B, indptr, columns, U, N, NS, H):  # type: ignore[no-untyped-def] # pragma: no cover
    """H += Σ_j E_j'(I − U_j N U_j' − G_j B G_j')E_j with G_j = D_j − U_j NS; N given by its lower triangle."""
    J, p, m = D.shape
    M = np.zeros((p, p))
    G = np.zeros((p, m))
    for j in range(J):
        for a in range(p):
            for b in range(p):
                M[a, b] = 1.0 if a == b else 0.0
            for c in range(m):
                G[a, c] = D[j, a, c]
        for i in range(indptr[j], indptr[j + 1]):
            row = columns[i]
            for c in range(m):
                x = NS[row, c]
                for a in range(p):
                    G[a, c] -= U[i, a] * x
            if p == 1:
                total = 0.0
                for k in range(indptr[j], i):
                    total += N[row, columns[k]] * U[k, 0]
                M[0, 0] -= U[i, 0] * (2.0 * total + N[row, row] * U[i, 0])
            else:
                for k in range(indptr[j], i + 1):
                    x = N[row, columns[k]]
                    if k == i:
                        for a in range(p):
                            for b in range(p):
                                M[a, b] -= U[i, a] * x * U[i, b]
                    else:
                        for a in range(p):
                            for b in range(p):
                                M[a, b] -= x * (U[i, a] * U[k, b] + U[k, a] * U[i, b])
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(m):
                    inner = 0.0
                    for d in range(m):
                        inner += B[c, d] * G[b, d]
                    total += G[a, c] * inner
                M[a, b] -= total
        for r in range(p):
            for c in range(r + 1):
                total = 0.0
                for a in range(p):
                    inner = 0.0
                    for b in range(p):
                        inner += M[a, b] * E[j, b, c]
                    total += E[j, a, r] * inner
                H[r, c] += total
    for r in range(p):
        for c in range(r):
            H[c, r] = H[r, c]


@njit(cache=True)
def _cholesky_profile(S, P, L):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Cholesky factor of S = [X, y]'V⁻¹[X, y] (lower triangle used): R_X' and the square root of r² on its diagonal."""
    m = P + 1
    for a in range(m):
        for b in range(a + 1):
            total = S[a, b]
            for c in range(b):
                total -= L[a, c] * L[b, c]
            if a == b:
                if not total > 0.0:
                    return False
                L[a, a] = np.sqrt(total)
            else:
                L[a, b] = total / L[b, b]
    return True


@njit(cache=True)
def _residual_square(v, root, D):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """r² as a sum of squares, |root v|² + Σ|D_j v|²: an error of v counts only squared, and nothing cancels."""
    m = v.shape[0]
    square = 0.0
    for a in range(m):
        total = 0.0
        for c in range(a, m):
            total += root[a, c] * v[c]
        square += total * total
    for j in range(D.shape[0]):
        for a in range(D.shape[1]):
            total = 0.0
            for c in range(m):
                total += D[j, a, c] * v[c]
            square += total * total
    return square


@njit(cache=True)
def _one_factor(theta, rows, cols, R, C, within, root, df, REML, E, D, T, gradient):  # type: ignore[no-untyped-def] # pragma: no cover
    """Objective (without its constant) and gradient where there is one grouping factor: all of it compiled."""
    p, m = R.shape[1], C.shape[2]
    P = m - 1
    T[:] = 0.0
    for k in range(rows.shape[0]):
        T[rows[k], cols[k]] = theta[k]
    S = within.copy()
    log_det = _eliminate(R, C, T, E, D, S)
    L = np.zeros((m, m))
    if not np.isfinite(log_det) or not _cholesky_profile(S, P, L):
        return np.inf
    inverse = np.zeros((P, P))  # of R_X'
    for c in range(P):
        for a in range(c, P):
            total = 1.0 if a == c else 0.0
            for b in range(c, a):
                total -= L[a, b] * inverse[b, c]
            inverse[a, c] = total / L[a, a]
    v = np.ones(m)  # (-gamma, 1)
    for c in range(P):
        total = 0.0
        for a in range(c, P):
            total += inverse[a, c] * L[P, a]
        v[c] = -total
    prss = _residual_square(v, root, D)
    f = log_det + df * np.log(prss)
    B = np.empty((m, m))
    for a in range(m):
        for b in range(m):
            B[a, b] = v[a] * v[b] * df / prss
    if REML:
        for a in range(P):
            f += 2.0 * np.log(L[a, a])
            for b in range(P):
                for c in range(max(a, b), P):
                    B[a, b] += inverse[c, a] * inverse[c, b]
    H = np.zeros((p, p))
    _score(E, D, B, H)
    for k in range(rows.shape[0]):
        total = 0.0
        for c in range(p):
            total += H[rows[k], c] * T[c, cols[k]]
        gradient[k] = 2.0 * total
    return f


@njit(cache=True)
def _one_factor_hessian(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    theta, step, rows, cols, R, C, within, root, df, REML, E, D, T, gradient, hessian
):
    """Differences of the gradient in place of second derivatives: forward (step > 0) or central (step < 0)."""
    n = theta.shape[0]
    f = _one_factor(theta, rows, cols, R, C, within, root, df, REML, E, D, T, gradient)
    ahead, behind = np.empty(n), gradient.copy()
    moved = theta.copy()
    for k in range(n):
        h = abs(step[k])
        moved[k] = theta[k] + h
        _one_factor(moved, rows, cols, R, C, within, root, df, REML, E, D, T, ahead)
        width = h
        if step[k] < 0.0:
            moved[k] = theta[k] - h
            _one_factor(moved, rows, cols, R, C, within, root, df, REML, E, D, T, behind)
            width = 2.0 * h
        moved[k] = theta[k]
        for i in range(n):
            hessian[k, i] = (ahead[i] - behind[i]) / width
    for k in range(n):
        for i in range(k):
            mean = 0.5 * (hessian[k, i] + hessian[i, k])
            hessian[k, i] = mean
            hessian[i, k] = mean
    return f


@dataclass(frozen=True)
class Solution:
    """The model solved at one θ (Bates et al. 2015, section 3.4), all in the units of the data.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
    objective : float
        Deviance or REML criterion.
    beta : ndarray, shape (P,)
    unscaled_vcov : ndarray, shape (P, P)
        (X'V⁻¹X)⁻¹; times σ² the covariance matrix of β̂.
    prss : float
        r², the penalized residual sum of squares.
    log_det_L2 : float
        log|L|².
    log_det_RX2 : float
        log|R_X|².
    a : tuple of ndarray
        Z'V⁻¹(y − Xβ̂) for each factor of ``Blocks.factors``, shape (J, p); u = T'a, b = TT'a.
    unscaled_cond_var : tuple of ndarray
        Λ(Λ'Z'ZΛ + I)⁻¹Λ', its diagonal blocks, for each factor, shape (J, p, p); times σ² the conditional variances.
    """

    theta: np.ndarray
    objective: float
    beta: np.ndarray
    unscaled_vcov: np.ndarray
    prss: float
    log_det_L2: float
    log_det_RX2: float
    a: tuple[np.ndarray, ...]
    unscaled_cond_var: tuple[np.ndarray, ...]


class Objective:
    """The profiled deviance (or REML criterion) as a function of θ.

    Parameters
    ----------
    blocks : Blocks
    REML : bool

    Attributes
    ----------
    evaluations, gradients : int
        How often the value, and the value with its gradient, have been computed.
    """

    def __init__(self, blocks: Blocks, REML: bool) -> None:
        self.blocks = blocks
        self.REML = REML
        self.evaluations = 0
        self.gradients = 0
        self._df: float = blocks.N - blocks.P if REML else blocks.N
        if self._df <= 0:
            raise ModelError(f"{blocks.N} rows do not suffice for {blocks.P} fixed effects")
        first = blocks.factors[0]
        self._E = np.empty((first.J, first.p, first.p))
        self._D = np.empty((first.J, first.p, blocks.P + 1))
        self._ordered = bool((first.theta == np.arange(first.theta.size)).all())
        self._constant = self._df * (1.0 + math.log(2 * math.pi / self._df)) - blocks.log_weights
        if REML:
            self._constant += blocks.log_det_X
        if blocks.others is not None:
            q = blocks.others.q
            self._S2 = np.empty((q, q))
            self._A = np.empty((q, q))
            self._U = np.empty_like(blocks.others.values)
            self._t_start = np.concatenate([[0], np.cumsum(blocks.others.p**2)]).astype(np.int64)

    # -- one evaluation ------------------------------------------------------------------------------------------

    def __call__(self, theta: np.ndarray) -> float:
        """Evaluate the objective at θ (lme4's order), +inf where it cannot be computed."""
        self.evaluations += 1
        return self._evaluate(np.asarray(theta, dtype=float))[0]

    def _evaluate(self, theta: np.ndarray) -> tuple[float, dict[str, np.ndarray | float]]:
        blocks = self.blocks
        P = blocks.P
        T = blocks.factors[0].template(theta)
        S = blocks.within.copy()
        log_det = _eliminate(blocks.R, blocks.C, T, self._E, self._D, S)
        parts: dict[str, np.ndarray | float] = {"T": T}
        if blocks.others is not None:
            others = blocks.others
            templates = [factor.template(theta) for factor in blocks.factors[1:]]
            flat = np.concatenate([t.ravel() for t in templates])
            np.copyto(self._S2, others.within)
            S2x = others.within_dense.copy()
            _eliminate_others(
                blocks.R, T, others.indptr, others.columns, others.values, self._D, self._U, self._S2, S2x
            )
            _scale_others(self._S2, others.first_column, others.p, flat, self._t_start, self._A)
            # the lower triangle in C order is the upper one in Fortran order
            _, info = lapack.dpotrf(self._A.T, lower=0, clean=0, overwrite_a=1)
            if info != 0:
                return math.inf, parts
            log_det += 2.0 * float(np.log(np.diagonal(self._A)).sum())
            rhs = np.empty_like(S2x)
            _lambda_times(S2x, others.first_column, others.p, flat, self._t_start, True, rhs)
            Y = blas.dtrsm(1.0, self._A.T, np.asfortranarray(rhs), lower=0, trans_a=1)
            S -= Y.T @ Y
            parts |= {"flat": flat, "S2x": S2x, "Y": Y}
        L = np.zeros((P + 1, P + 1))
        if not (math.isfinite(log_det) and _cholesky_profile(S, P, L)):
            return math.inf, parts
        prss = float(L[P, P]) ** 2
        if blocks.others is None and P:
            gamma = lapack.dtrtrs(L[:P, :P], L[P, :P], lower=1, trans=1)[0]
            prss = float(_residual_square(np.append(-gamma, 1.0), blocks.within_root, self._D))
        objective = log_det + self._df * math.log(prss) + self._constant
        log_det_RX = 2.0 * float(np.log(np.diagonal(L)[:P]).sum()) if P else 0.0
        if self.REML:
            objective += log_det_RX
        parts |= {"L": L, "prss": prss, "log_det": log_det, "log_det_RX": log_det_RX}
        return objective, parts

    def _contrast(self, parts: dict[str, np.ndarray | float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """B of the module's docstring in the basis, the coefficients γ of y's residual, and R_X'⁻¹."""
        P = self.blocks.P
        L = np.asarray(parts["L"])
        inverse = lapack.dtrtri(L[:P, :P], lower=1)[0] if P else np.empty((0, 0))
        gamma = inverse.T @ L[P, :P]
        v = np.concatenate([-gamma, [1.0]])
        B = np.outer(v, v) * (self._df / float(parts["prss"]))
        if self.REML:
            B[:P, :P] += inverse.T @ inverse
        return B, gamma, inverse

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the objective and its gradient at θ.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)

        Returns
        -------
        float, ndarray of shape (n_theta,)
            +inf and NaN where the objective cannot be computed.
        """
        self.gradients += 1
        theta = np.asarray(theta, dtype=float)
        blocks = self.blocks
        if blocks.others is None:
            one = np.empty(blocks.n_theta)
            value = _one_factor(*self._one_factor_arguments(theta), one)
            return value + self._constant, self._in_order(one)
        objective, parts = self._evaluate(theta)
        gradient = np.full(blocks.n_theta, np.nan)
        if not math.isfinite(objective):
            return objective, gradient
        B, _, _ = self._contrast(parts)
        first = blocks.factors[0]
        H = np.zeros((first.p, first.p))
        if blocks.others is not None:
            others = blocks.others
            flat, S2x, Y = (np.asarray(parts[k]) for k in ("flat", "S2x", "Y"))
            z = blas.dtrsm(1.0, self._A.T, Y, lower=0)
            lz = np.empty_like(S2x)
            _lambda_times(np.ascontiguousarray(z), others.first_column, others.p, flat, self._t_start, False, lz)
            lapack.dpotri(self._A.T, lower=0, overwrite_c=1)
            G = np.zeros(int(self._t_start[-1]))
            _trace_others(self._S2, self._A, others.first_column, others.p, flat, self._t_start, G)
            a = S2x - blas.dsymm(1.0, self._S2.T, np.asfortranarray(lz), lower=0)
            for f, factor in enumerate(blocks.factors[1:]):
                p = factor.p
                block = a[others.first_column[f] : others.first_column[f + 1]].reshape(factor.J, p, -1)
                T_f = flat[self._t_start[f] : self._t_start[f + 1]].reshape(p, p)
                G_f = G[self._t_start[f] : self._t_start[f + 1]].reshape(p, p)
                weighted = block @ B
                HT = G_f - np.tensordot(weighted, block, axes=([0, 2], [0, 2])) @ T_f
                gradient[factor.theta] = 2.0 * HT[factor.rows, factor.cols]
            N = self._relative_covariance(flat)
            _score_with_others(self._E, self._D, B, others.indptr, others.columns, self._U, N, lz, H)
        HT = H @ np.asarray(parts["T"])
        gradient[first.theta] = 2.0 * HT[first.rows, first.cols]
        return objective, gradient

    def value_gradient_hessian(
        self, theta: np.ndarray, steps: np.ndarray, central: bool = False
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Evaluate the objective, its gradient, and differences of the gradient in place of its Hessian.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)
        steps : ndarray, shape (n_theta,)
            Differences are taken over these steps.
        central : bool
            Central differences, for twice the evaluations.

        Returns
        -------
        float, ndarray of shape (n_theta,), symmetric ndarray of shape (n_theta, n_theta)
        """
        theta = np.asarray(theta, dtype=float)
        n = self.blocks.n_theta
        if self.blocks.others is None:
            self.gradients += 1 + n * (1 + central)
            one, square = np.empty(n), np.empty((n, n))
            order = self.blocks.factors[0].theta
            signed = np.ascontiguousarray((-steps if central else steps)[order])
            t, *rest = self._one_factor_arguments(theta)
            value = _one_factor_hessian(t, signed, *rest, one, square)
            if self._ordered:
                return value + self._constant, one, square
            hessian = np.empty((n, n))
            hessian[np.ix_(order, order)] = square
            return value + self._constant, self._in_order(one), hessian
        value, gradient = self.value_and_gradient(theta)
        hessian = np.empty((n, n))
        for k in range(n):
            moved = theta.copy()
            moved[k] += steps[k]
            ahead = self.value_and_gradient(moved)[1]
            if central:
                moved[k] = theta[k] - steps[k]
                hessian[k] = (ahead - self.value_and_gradient(moved)[1]) / (2 * steps[k])
            else:
                hessian[k] = (ahead - gradient) / steps[k]
        return value, gradient, 0.5 * (hessian + hessian.T)

    def _one_factor_arguments(self, theta: np.ndarray) -> tuple[Any, ...]:
        blocks = self.blocks
        first = blocks.factors[0]
        T = np.empty((first.p, first.p))
        return (
            theta[first.theta], first.rows, first.cols, blocks.R, blocks.C, blocks.within, blocks.within_root,
            float(self._df), self.REML,
            self._E, self._D, T,
        )  # fmt: skip

    def _in_order(self, gradient: np.ndarray) -> np.ndarray:
        """Put derivatives in the factor's order into θ's."""
        out = np.empty_like(gradient)
        out[self.blocks.factors[0].theta] = gradient
        return out

    def _relative_covariance(self, flat: np.ndarray) -> np.ndarray:
        """Λ A⁻¹ Λ' of the other factors (lower triangle), from A⁻¹ in the workspace."""
        others = self.blocks.others
        assert others is not None
        N = np.empty_like(self._A)
        transposed = np.concatenate(
            [
                flat[self._t_start[f] : self._t_start[f + 1]].reshape(p, p).T.ravel()
                for f, p in enumerate(others.p.tolist())
            ]
        )
        _sandwich(self._A, others.first_column, others.p, transposed, self._t_start, N)
        return N

    # -- the model at one θ --------------------------------------------------------------------------------------

    def solve(self, theta: np.ndarray) -> Solution:
        """Everything that inference needs at θ.

        Raises
        ------
        ModelError
            If the objective cannot be computed there.
        """
        theta = np.asarray(theta, dtype=float)
        objective, parts = self._evaluate(theta)
        if not math.isfinite(objective):
            raise ModelError(f"the profiled deviance cannot be computed at theta = {theta.tolist()}")
        blocks = self.blocks
        P = blocks.P
        _, gamma, inverse = self._contrast(parts)
        v = np.concatenate([-gamma, [1.0]])
        first, T = blocks.factors[0], np.asarray(parts["T"])
        level = self._D @ v
        a: list[np.ndarray] = []
        cond: list[np.ndarray] = []
        W = blocks.R @ T
        A1 = np.eye(first.p) + np.swapaxes(W, 1, 2) @ W
        half = np.linalg.solve(np.linalg.cholesky(A1), np.broadcast_to(T.T, A1.shape))
        first_cond = np.swapaxes(half, 1, 2) @ half
        if blocks.others is not None:
            others = blocks.others
            flat, S2x, Y = (np.asarray(parts[k]) for k in ("flat", "S2x", "Y"))
            z = blas.dtrsm(1.0, self._A.T, Y, lower=0)
            lz = np.empty_like(S2x)
            _lambda_times(np.ascontiguousarray(z), others.first_column, others.p, flat, self._t_start, False, lz)
            lapack.dpotri(self._A.T, lower=0, overwrite_c=1)
            a_others = (S2x - blas.dsymm(1.0, self._S2.T, np.asfortranarray(lz), lower=0)) @ v
            N = self._relative_covariance(flat)
            _add_cond_var(first_cond, self._E, T, others.indptr, others.columns, self._U, N)
            shift = np.zeros_like(level)
            _subtract_others(shift, others.indptr, others.columns, self._U, lz @ v)
            level += shift
            for f, factor in enumerate(blocks.factors[1:]):
                p = factor.p
                a.append(a_others[others.first_column[f] : others.first_column[f + 1]].reshape(factor.J, p))
                at = others.first_column[f] + np.arange(factor.J)[:, None, None] * p
                r, c = np.arange(p)[None, :, None], np.arange(p)[None, None, :]
                cond.append(N[at + np.maximum(r, c), at + np.minimum(r, c)])
        a.insert(0, np.einsum("jab,ja->jb", self._E, level))
        cond.insert(0, first_cond)
        beta = blocks.beta_ols + blocks.coef_from_basis @ gamma
        root = blocks.coef_from_basis @ inverse.T
        return Solution(
            theta=theta.copy(),
            objective=objective,
            beta=beta,
            unscaled_vcov=root @ root.T,
            prss=float(parts["prss"]),
            log_det_L2=float(parts["log_det"]),
            log_det_RX2=float(parts["log_det_RX"]) + (blocks.log_det_X if P else 0.0),
            a=tuple(a),
            unscaled_cond_var=tuple(cond),
        )


@njit(cache=True)
def _sandwich(X, first, width, T, start, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = ΛXΛ' (lower triangle) for symmetric X given by its lower triangle; T holds the transposed templates."""
    F = width.shape[0]
    for f in range(F):
        pf = width[f]
        for g in range(f + 1):
            pg = width[g]
            for r0 in range(first[f], first[f + 1], pf):
                stop = first[g + 1] if g < f else r0 + 1
                for c0 in range(first[g], stop, pg):
                    for a in range(pf):
                        for b in range(pg):
                            total = 0.0
                            for i in range(a + 1):
                                left = T[start[f] + i * pf + a]
                                inner = 0.0
                                for k in range(b + 1):
                                    r, c = r0 + i, c0 + k
                                    x = X[r, c] if c <= r else X[c, r]
                                    inner += x * T[start[g] + k * pg + b]
                                total += left * inner
                            out[r0 + a, c0 + b] = total


@njit(cache=True)
def _subtract_others(level, indptr, columns, U, x):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """level_j −= U_j x, where x lives on the other factors' columns."""
    for j in range(indptr.shape[0] - 1):
        for i in range(indptr[j], indptr[j + 1]):
            for a in range(level.shape[1]):
                level[j, a] -= U[i, a] * x[columns[i]]


@njit(cache=True)
def _add_cond_var(cond, E, T, indptr, columns, U, N):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """cond_j += K_j (U_j N U_j') K_j' with K_j = T T' E_j': what the other factors' uncertainty adds."""
    p = E.shape[1]
    M = np.zeros((p, p))
    K = np.zeros((p, p))
    TT = T @ T.T
    for j in range(indptr.shape[0] - 1):
        M[:] = 0.0
        for i in range(indptr[j], indptr[j + 1]):
            for k in range(indptr[j], indptr[j + 1]):
                r, c = columns[i], columns[k]
                x = N[r, c] if c <= r else N[c, r]
                for a in range(p):
                    for b in range(p):
                        M[a, b] += U[i, a] * x * U[k, b]
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(p):
                    total += TT[a, c] * E[j, b, c]
                K[a, b] = total
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(p):
                    for d in range(p):
                        total += K[a, c] * M[c, d] * K[b, d]
                cond[j, a, b] += total
