"""The steps of an evaluation where there are several grouping factors; the largest is eliminated level by level.

Notation as in :mod:`pyimpl.likelihood.deviance`. Of the eliminated factor E_j = L_j⁻¹R_j, D_j = L_j⁻¹C_j, and U_j are
the other factors' columns whitened likewise; S2 = Z_o'V₁⁻¹Z_o and S2x = Z_o'V₁⁻¹[X, y] belong to the others, and
A = I + Λ'S2Λ = LL' is their Schur complement. Then with N = ΛA⁻¹Λ'

    V⁻¹ = V₁⁻¹ − V₁⁻¹Z_o N Z_o'V₁⁻¹.

Symmetric matrices are held in their lower triangles. The factorisation and the solves of A are the caller's: LAPACK's
where A is large, those at the end of this file, with everything around them compiled, where it is small.

The Hessian's approximation is the average information (Gilmour, Thompson & Cullis 1995, Biometrics 51, 1440-1450), the
mean of the observed and the expected one, with σ² profiled out: for changes G_k of the covariance matrix, with
w = V⁻¹(y − Xβ̂), V⁻¹ deflated by X to P, and m = n or n − p

    (m/r²) w'G_kPG_lw − m (w'G_kw)(w'G_lw)/r⁴,

to which the exact curvature of Λ's template in TT' is added. Far from the minimum the criterion is nearly a function
of log T, of which no quadratic model goes far. A search therefore begins with steps of the EM algorithm (Laird, Lange
& Stout 1987, JASA 82, 97-105), TT' ← TT' − TT'G TT'/J, which for informative factors ends near the minimum wherever it
starts, and goes on with scoring in the inverse of TT', in which the scores are then nearly linear (with balanced,
informative data they are linear).
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood.one_factor import cholesky_profile, contrasts, eliminate
from pyimpl.likelihood.trust_region import APPROXIMATE, WORK, absorb, begin, cholesky_solve, eigen

__all__ = [
    "assemble",
    "divide",
    "finish",
    "images",
    "information",
    "lambda_times",
    "log_diagonal",
    "modes",
    "profile",
    "put_derivatives",
    "sandwich",
    "scoring",
    "search",
]


EM = 1  # first steps that are those of the EM algorithm
SCORING = 8  # evaluations with steps of EM and scoring at most
NEAR = 0.1  # a decrease of the criterion (twice the log-likelihood) after which the search goes on by itself


@kernel
def _eliminate_others(R, T, indptr, columns, values, D, U, S2, S2x):  # type: ignore[no-untyped-def] # pragma: no cover
    """Whiten the other factors' columns too: U = L_j⁻¹ values, S2 += Σ U'U (lower), S2x += Σ U'D."""
    J, p, m = R.shape[0], R.shape[1], D.shape[2]
    if p == 1:
        t = T[0, 0]
        before, inverse = np.nan, 1.0
        for j in range(J):
            r = R[j, 0, 0]
            if r != before:
                w = r * t
                inverse = 1.0 / np.sqrt(1.0 + w * w)
                before = r
            start = indptr[j]
            for i in range(start, indptr[j + 1]):
                x = values[i, 0] * inverse
                U[i, 0] = x
                row = columns[i]
                into = S2[row]
                for k in range(start, i + 1):
                    into[columns[k]] += x * U[k, 0]
                for c in range(m):
                    S2x[row, c] += x * D[j, 0, c]
        return
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


@kernel
def _congruence(X, first, width, T, start, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = B'XB (lower triangle) with B block-diagonal, of the blocks T (flat) of each factor; X may be `out`."""
    F = width.shape[0]
    widest = width.max() if F > 0 else 0
    block = np.empty((widest, widest))
    for f in range(F):
        pf = width[f]
        for g in range(f + 1):
            pg = width[g]
            if pf == 1 and pg == 1:
                x = T[start[f]] * T[start[g]]
                for r in range(first[f], first[f + 1]):
                    for c in range(first[g], first[g + 1] if g < f else r + 1):
                        out[r, c] = x * X[r, c]
                continue
            for r0 in range(first[f], first[f + 1], pf):
                stop = first[g + 1] if g < f else r0 + 1
                for c0 in range(first[g], stop, pg):
                    for a in range(pf):
                        for b in range(pg):
                            total = 0.0
                            for i in range(pf):
                                left = T[start[f] + i * pf + a]
                                if left != 0.0:
                                    inner = 0.0
                                    for k in range(pg):
                                        r, c = r0 + i, c0 + k
                                        s = X[r, c] if c <= r else X[c, r]
                                        inner += s * T[start[g] + k * pg + b]
                                    total += left * inner
                            block[a, b] = total
                    for a in range(pf):
                        for b in range(pg):
                            out[r0 + a, c0 + b] = block[a, b]


@kernel("f2 i1 i1 f1 i1 f2")
def sandwich(X, first, width, T, start, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = ΛXΛ' (lower triangle) for symmetric X given by its lower triangle; X may be `out`."""
    turned = np.empty_like(T)
    for f in range(width.shape[0]):
        p = width[f]
        for a in range(p):
            for b in range(p):
                turned[start[f] + a * p + b] = T[start[f] + b * p + a]
    _congruence(X, first, width, turned, start, out)


@kernel("f2 i1 i1 f1 i1 b f2")
def lambda_times(X, first, width, T, start, transpose, out):  # type: ignore[no-untyped-def] # pragma: no cover
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


@kernel("f1 i1 i1 i1 i1 f2 f1")
def templates(theta, place, rows, cols, size, T, flat):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Fill the eliminated factor's template T (`place` −1) and the others' (flat; where a block starts)."""
    T[:] = 0.0
    flat[:] = 0.0
    for k in range(theta.shape[0]):
        if place[k] < 0:
            T[rows[k], cols[k]] = theta[k]
        else:
            flat[place[k] + rows[k] * size[k] + cols[k]] = theta[k]


@kernel
def whiten(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    R, C, copies, T, indptr, columns, values, within, within_o, within_d, E, D, U, S, S2, S2x
):
    """Eliminate the first factor: S = [X, y]'V₁⁻¹[X, y], S2 and S2x; returns log|V₁|."""
    S[:] = within
    log_det = eliminate(R, C, copies, T, E, D, S)
    S2[:] = within_o
    S2x[:] = within_d
    _eliminate_others(R, T, indptr, columns, values, D, U, S2, S2x)
    return log_det


@kernel
def schur_complement(S2, S2x, first, width, flat, start, A, rhs):  # type: ignore[no-untyped-def] # pragma: no cover
    """A = I + Λ'S2Λ (lower triangle), and the right-hand sides Λ'S2x."""
    _congruence(S2, first, width, flat, start, A)
    for i in range(A.shape[0]):
        A[i, i] += 1.0
    lambda_times(S2x, first, width, flat, start, True, rhs)


@kernel("f3 f3 f1 f2 f1 i1 i1 i1 i1 i1 f2 f2 f2 f2 f3 f3 f2 f2 f2 f2 f2 f2")
def assemble(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    R, C, copies, T, flat, first, width, start, indptr, columns, values, within, within_o, within_d, E, D, U, S, S2,
    S2x, A, rhs,
):  # fmt: skip
    """Form A, the right-hand sides Λ'S2x and S = [X, y]'V₁⁻¹[X, y]; returns log|V₁|."""
    log_det = whiten(R, C, copies, T, indptr, columns, values, within, within_o, within_d, E, D, U, S, S2, S2x)
    schur_complement(S2, S2x, first, width, flat, start, A, rhs)
    return log_det


@kernel("f2")
def log_diagonal(A):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Twice the sum of the logarithms of a factor's diagonal."""
    log_det, product = 0.0, 1.0
    for i in range(A.shape[0]):
        product *= A[i, i]
        if product > 1e100:
            log_det += 2.0 * np.log(product)
            product = 1.0
    return log_det + 2.0 * np.log(product)


@kernel("f f2 f2 f b f1 f2")
def profile(log_det, Y, S, df, REML, parts, Q):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Return the criterion without its constant from log|V| and Y = L⁻¹Λ'S2x; Q as in ``contrasts``.

    parts receives log|V|, log|R_X|² in the basis, r².
    """
    m = S.shape[0]
    P = m - 1
    for i in range(Y.shape[0]):
        for a in range(m):
            for b in range(a + 1):
                S[a, b] -= Y[i, a] * Y[i, b]
    L = np.zeros((m, m))
    if not np.isfinite(log_det) or not cholesky_profile(S, P, L):
        return np.inf
    contrasts(L, P, Q)
    prss = L[P, P] * L[P, P]
    log_RX = 0.0
    for a in range(P):
        log_RX += 2.0 * np.log(L[a, a])
    parts[0], parts[1], parts[2] = log_det, log_RX, prss
    f = log_det + df * np.log(prss)
    if REML:
        f += log_RX
    return f if np.isfinite(f) else np.inf


@kernel("f3 f3 f2 i1 i1 f2 f2 f2 f2 f2 f2")
def modes(E, D, U, indptr, columns, S2x, S2lz, lz, Q, V1, Vo):  # type: ignore[no-untyped-def] # pragma: no cover
    """Z'V⁻¹[X R_X⁻¹, y − Xβ̂] of the eliminated factor (V1) and of the others (Vo)."""
    J, p, m = D.shape
    G = np.zeros((p, m))
    H = np.zeros((p, m))
    for j in range(J):
        for a in range(p):
            for c in range(m):
                G[a, c] = D[j, a, c]
        for i in range(indptr[j], indptr[j + 1]):
            row = columns[i]
            for a in range(p):
                x = U[i, a]
                for c in range(m):
                    G[a, c] -= x * lz[row, c]
        for a in range(p):
            for c in range(m):
                total = 0.0
                for b in range(c + 1):
                    total += G[a, b] * Q[b, c]
                H[a, c] = total
        for a in range(p):
            for c in range(m):
                total = 0.0
                for b in range(p):
                    total += E[j, b, a] * H[b, c]
                V1[j * p + a, c] = total
    for i in range(S2x.shape[0]):
        for c in range(m):
            total = 0.0
            for b in range(c + 1):
                total += (S2x[i, b] - S2lz[i, b]) * Q[b, c]
            Vo[i, c] = total


@kernel("i1 i1 i1 i1 i i1 i1 f2 f1 f2 f2 f2 f2")
def images(theta_place, rows, cols, size, J1, first, factor, T, flat, V1, Vo, s1, so):  # type: ignore[no-untyped-def] # pragma: no cover
    """ψ'_k Z'w for each θ_k, w = V⁻¹(y − Xβ̂): of the eliminated factor in s1, of the others in so (else 0)."""
    m = V1.shape[1]
    s1[:] = 0.0
    so[:] = 0.0
    for k in range(rows.shape[0]):
        r, c, p = rows[k], cols[k], size[k]
        if theta_place[k] < 0:
            for j in range(J1):
                total = 0.0
                for b in range(c, p):
                    total += T[b, c] * V1[j * p + b, m - 1]
                s1[j * p + r, k] += total
                x = V1[j * p + r, m - 1]
                for b in range(c, p):
                    s1[j * p + b, k] += T[b, c] * x
        else:
            at, f = theta_place[k], factor[k]
            for r0 in range(first[f], first[f + 1], p):
                total = 0.0
                for b in range(c, p):
                    total += flat[at + b * p + c] * Vo[r0 + b, m - 1]
                so[r0 + r, k] += total
                x = Vo[r0 + r, m - 1]
                for b in range(c, p):
                    so[r0 + b, k] += flat[at + b * p + c] * x


@kernel("f3 f2 i1 i1 f2 f2 f2 f2 f2 f i f f2 f2")
def information(E, U, indptr, columns, s1, so, S2so, V1, Vo, weight, df, prss, h, info):  # type: ignore[no-untyped-def] # pragma: no cover
    """Average information, less what N = ΛA⁻¹Λ' takes from it: that is (m/r²) h'Nh with h = Z_o'V₁⁻¹Zs."""
    J, p = E.shape[0], E.shape[1]
    n, m = s1.shape[1], V1.shape[1]
    P = m - 1
    h[:] = 0.0
    info[:] = 0.0
    x = np.zeros((p, n))
    for j in range(J):
        for a in range(p):
            for k in range(n):
                total = 0.0
                for b in range(p):
                    total += E[j, a, b] * s1[j * p + b, k]
                x[a, k] = total
        for k in range(n):
            for i in range(k + 1):
                for a in range(p):
                    info[k, i] += x[a, k] * x[a, i]
        for i in range(indptr[j], indptr[j + 1]):
            row = columns[i]
            for a in range(p):
                for k in range(n):
                    h[row, k] += U[i, a] * x[a, k]
    for i in range(so.shape[0]):
        for k in range(n):
            for g in range(k + 1):
                info[k, g] += so[i, k] * (h[i, g] + S2so[i, g]) + h[i, k] * so[i, g]
    for i in range(so.shape[0]):
        for k in range(n):
            h[i, k] += S2so[i, k]
    M = np.zeros((n, m))
    for part in range(2):
        V, s = (V1, s1) if part == 0 else (Vo, so)
        for i in range(s.shape[0]):
            for k in range(n):
                if s[i, k] != 0.0:
                    for c in range(m):
                        M[k, c] += s[i, k] * V[i, c]
    for k in range(n):
        for i in range(k + 1):
            total = info[k, i]
            for c in range(P):
                total -= M[k, c] * M[i, c]
            info[k, i] = weight * total - df * (M[k, P] / prss) * (M[i, P] / prss)
            info[i, k] = info[k, i]


@kernel
def _traces(S2, Ainv, first, width, T, start, KT):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """KT_f = Σ_levels [S2ΛA⁻¹] of each other factor's diagonal blocks, which is Σ Z_i'V⁻¹Z_i T (flat like T)."""
    F = width.shape[0]
    for f in range(F):
        pf = width[f]
        for g in range(f + 1):
            pg = width[g]
            if pf == 1 and pg == 1:
                left, right, diagonal = 0.0, 0.0, 0.0
                for r in range(first[f], first[f + 1]):
                    stop = first[g + 1] if g < f else r
                    total = 0.0
                    for c in range(first[g], stop):
                        total += S2[r, c] * Ainv[r, c]
                    left += total
                    if g == f:
                        diagonal += S2[r, r] * Ainv[r, r]
                right = left
                KT[start[f]] += T[start[g]] * (left + diagonal)
                KT[start[g]] += T[start[f]] * right
                continue
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
                            KT[start[f] + a * pf + b] += total
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
                                KT[start[g] + a * pg + b] += total


@kernel
def _eliminated_trace(E, copies, indptr, columns, U, N, K):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """K = Σ_j E_j'(I − U_j N U_j')E_j of the eliminated factor; U_j is 0 in all `copies` of a level but one."""
    J, p = E.shape[0], E.shape[1]
    M = np.zeros((p, p))
    K[:] = 0.0
    if p == 1:
        total = 0.0
        for j in range(J):
            square = 0.0
            start = indptr[j]
            for i in range(start, indptr[j + 1]):
                row = N[columns[i]]
                inner = 0.0
                for k in range(start, i):
                    inner += row[columns[k]] * U[k, 0]
                square += U[i, 0] * (2.0 * inner + row[columns[i]] * U[i, 0])
            total += E[j, 0, 0] * E[j, 0, 0] * (copies[j] - square)
        K[0, 0] = total
        return
    for j in range(J):
        for a in range(p):
            for b in range(p):
                M[a, b] = copies[j] if a == b else 0.0
        for i in range(indptr[j], indptr[j + 1]):
            row = columns[i]
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
        for r in range(p):
            for c in range(r + 1):
                total = 0.0
                for a in range(p):
                    inner = 0.0
                    for b in range(p):
                        inner += M[a, b] * E[j, b, c]
                    total += E[j, a, r] * inner
                K[r, c] += total
    for r in range(p):
        for c in range(r):
            K[c, r] = K[r, c]


@kernel
def _exact_traces(S2, N, first, p):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Σ_levels [S2 − S2 N S2] of one factor's diagonal blocks, where its template cannot be divided by."""
    q = S2.shape[0]
    K = np.zeros((p, p))
    row, image = np.empty((p, q)), np.empty(q)
    for r0 in range(first[0], first[1], p):
        for a in range(p):
            r = r0 + a
            for c in range(q):
                row[a, c] = S2[r, c] if c <= r else S2[c, r]
        for a in range(p):
            s, t = row[a], image
            t[:] = 0.0
            for i in range(q):
                total = 0.0
                left, x = N[i], s[i]
                for k in range(i):
                    total += left[k] * s[k]
                    t[k] += left[k] * x
                t[i] += total + left[i] * x
            for b in range(a + 1):
                total = row[a, r0 + b]
                for i in range(q):
                    total -= row[b, i] * t[i]
                K[a, b] += total
    for a in range(p):
        for b in range(a):
            K[b, a] = K[a, b]
    return K


@kernel("f2 f2 f2")
def divide(KT, T, K):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """K = (KT)T⁻¹ for lower triangular T."""
    p = T.shape[0]
    for a in range(p):
        for c in range(p - 1, -1, -1):
            total = KT[a, c]
            for b in range(c + 1, p):
                total -= K[a, b] * T[b, c]
            K[a, c] = total / T[c, c]


@kernel
def put_derivatives(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    f, V, begins, ends, X, KTf, K, weight, REML, rows, cols, factor, gradient, hessian, curved
):
    """Gradient of factor f from KT and Z'V⁻¹[X R_X⁻¹, e] (V, rows begins to ends), and its template's curvature."""
    p, n, P = X.shape[0], gradient.shape[0], V.shape[1] - 1
    W = np.zeros((p, p))
    for r0 in range(begins, ends, p):
        for a in range(p):
            for b in range(a + 1):
                total = weight * V[r0 + a, P] * V[r0 + b, P]
                if REML:
                    for c in range(P):
                        total += V[r0 + a, c] * V[r0 + b, c]
                W[a, b] += total
    for a in range(p):
        for b in range(a):
            W[b, a] = W[a, b]
    for k in range(n):
        if factor[k] != f:
            continue
        r, c = rows[k], cols[k]
        total = KTf[r, c]
        for b in range(c, p):
            total -= W[r, b] * X[b, c]
        gradient[k] = 2.0 * total
        if curved:
            for i in range(k + 1):
                if factor[i] == f and cols[i] == c:
                    x = K[r, rows[i]] + K[rows[i], r] - 2.0 * W[r, rows[i]]
                    hessian[k, i] += x
                    if i != k:
                        hessian[i, k] += x


@kernel("f3 f1 f2 i1 i1 f2 f2 f2 i1 i1 f2 f1 i1 i1 i1 i1 i1 i1 f2 f2 f b f1 f2 b")
def finish(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    E, copies, U, indptr, columns, S2, Ainv, N, first, width, T, flat, start, place, rows, cols, size, factor, V1, Vo,
    weight, REML, gradient, hessian, curved,
):  # fmt: skip
    """Gradient from A⁻¹ (lower triangle); with `curved` the template's curvature is added to the information.

    N is a workspace, and may be A⁻¹'s.
    """
    p1 = E.shape[1]
    F = width.shape[0]
    KT = np.zeros(flat.shape[0])
    _traces(S2, Ainv, first, width, flat, start, KT)
    sandwich(Ainv, first, width, flat, start, N)
    for f in range(-1, F):
        p = p1 if f < 0 else width[f]
        K = np.zeros((p, p))
        begins = 0 if f < 0 else first[f]
        ends = V1.shape[0] if f < 0 else first[f + 1]
        X = np.zeros((p, p))  # the template
        KTf = np.zeros((p, p))
        if f < 0:
            _eliminated_trace(E, copies, indptr, columns, U, N, K)
            for a in range(p):
                for b in range(p):
                    X[a, b] = T[a, b]
            for a in range(p):
                for b in range(p):
                    for c in range(p):
                        KTf[a, b] += K[a, c] * X[c, b]
        else:
            smallest, largest = np.inf, 0.0
            for a in range(p):
                for b in range(p):
                    X[a, b] = flat[start[f] + a * p + b]
                    KTf[a, b] = KT[start[f] + a * p + b]
                    largest = max(largest, abs(X[a, b]))
                smallest = min(smallest, abs(X[a, a]))
            if curved and smallest > 1e-7 * largest and smallest > 1e-100:
                divide(KTf, X, K)
            elif curved:
                K[:] = _exact_traces(S2, N, first[f : f + 2], p)
        put_derivatives(
            f, V1 if f < 0 else Vo, begins, ends, X, KTf, K, weight, REML, rows, cols, factor, gradient, hessian, curved
        )


@kernel("f1 f1 f2 i1 i1 i1 i1 i1 b f1")
def scoring(theta, gradient, info, levels, rows, cols, size, factor, first, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Put θ after a step in TT' in `out`: of EM if it is the `first`, else of scoring.

    False where the information or a template is singular. No eigenvalue of TT' falls or grows by more than a factor of
    10⁴ (EM), 25 (scoring), so that it stays positive definite.
    """
    n = theta.shape[0]
    step = np.zeros(n)
    if not first and not cholesky_solve(info, gradient, step):
        return False
    most = 1e4 if first else 25.0
    for f in range(-1, factor.max() + 1):
        p = 0
        for k in range(n):
            if factor[k] == f:
                p = size[k]
        T, X = np.zeros((p, p)), np.zeros((p, p))
        for k in range(n):
            if factor[k] == f:
                T[rows[k], cols[k]] = theta[k]
                X[rows[k], cols[k]] = 0.5 * gradient[k] if first else step[k]
        M = np.zeros((p, p))
        for a in range(p):
            if T[a, a] == 0.0:
                return False
        if first:  # X = GT, lower triangle; M = I - T'GT/J
            for a in range(p):
                for c in range(a + 1):
                    total = 0.0
                    for r in range(a, p):
                        total += T[r, a] * X[r, c]
                    M[a, c] = -total / levels[f + 1]
                    M[c, a] = M[a, c]
        else:  # M = I + T^-1 dT + (T^-1 dT)'
            for a in range(p):
                for c in range(p):
                    total = X[a, c]
                    for b in range(a):
                        total -= T[a, b] * X[b, c]
                    X[a, c] = total / T[a, a]
            M[:] = X + X.T
        for a in range(p):
            M[a, a] += 1.0
        values, V = np.empty(p), np.empty((p, p))
        eigen(M, values, V)
        if not first:  # 1 + x as 1 / (1 - x): the same step, in the inverse of TT'
            for a in range(p):
                values[a] = 1.0 / max(2.0 - values[a], 1.0 / most)
        L = np.zeros((p, p))
        for a in range(p):
            for b in range(a + 1):
                total = 0.0
                for c in range(p):
                    total += V[a, c] * min(max(values[c], 1.0 / most), most) * V[b, c]
                for c in range(b):
                    total -= L[a, c] * L[b, c]
                L[a, b] = np.sqrt(total) if a == b else total / L[b, b]
        for k in range(n):
            if factor[k] == f:
                total = 0.0
                for c in range(cols[k], rows[k] + 1):
                    total += T[rows[k], c] * L[c, cols[k]]
                out[k] = total
    return True


# -- small A: everything compiled ----------------------------------------------------------------------------------


@kernel
def _leading_zeros(A, a):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """How many zeros row a of a lower triangle begins with."""
    count = 0
    while count < a and A[a, count] == 0.0:
        count += 1
    return count


@kernel
def _factorise(A):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Cholesky factor in place (lower triangle); False if A is not positive definite.

    Zeros at the beginning of a row stay zeros, as where factors are nested.
    """
    q = A.shape[0]
    for a in range(q):
        begins = _leading_zeros(A, a)
        for b in range(begins, a + 1):
            total = A[a, b]
            for c in range(begins, b):
                total -= A[a, c] * A[b, c]
            if a == b:
                if not total > 0.0:
                    return False
                A[a, a] = np.sqrt(total)
            else:
                A[a, b] = total / A[b, b]
    return True


@kernel
def _forward(L, X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """X = L⁻¹X, in place."""
    for a in range(L.shape[0]):
        inverse = 1.0 / L[a, a]
        for b in range(a):
            x = L[a, b]
            if x != 0.0:
                for c in range(X.shape[1]):
                    X[a, c] -= x * X[b, c]
        for c in range(X.shape[1]):
            X[a, c] *= inverse


@kernel
def _backward(L, X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """X = L⁻ᵀX, in place."""
    for a in range(L.shape[0] - 1, -1, -1):
        inverse = 1.0 / L[a, a]
        for c in range(X.shape[1]):
            X[a, c] *= inverse
        for b in range(a):
            x = L[a, b]
            if x != 0.0:
                for c in range(X.shape[1]):
                    X[b, c] -= x * X[a, c]


@kernel
def _invert(L, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = (LL')⁻¹, lower triangle; L is overwritten by its inverse."""
    q = L.shape[0]
    total = np.empty(q)
    for a in range(q):  # rows are added to rows: that is how the triangles lie in memory
        row = L[a]
        total[:a] = 0.0
        for c in range(_leading_zeros(L, a), a):
            x, inverse = row[c], L[c]
            for b in range(c + 1):
                total[b] -= x * inverse[b]
        row[a] = 1.0 / row[a]
        for b in range(a):
            row[b] = total[b] * row[a]
    for a in range(q):
        for b in range(a + 1):
            out[a, b] = 0.0
    for c in range(q):
        row = L[c]
        for a in range(c + 1):
            x, into = row[a], out[a]
            if x != 0.0:
                for b in range(a + 1):
                    into[b] += x * row[b]


@kernel
def _symmetric_times(S, X, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = SX for symmetric S given by its lower triangle."""
    out[:] = 0.0
    for a in range(S.shape[0]):
        for b in range(a + 1):
            x = S[a, b]
            if x != 0.0:
                for c in range(X.shape[1]):
                    out[a, c] += x * X[b, c]
                    if a != b:
                        out[b, c] += x * X[a, c]


@kernel("f1 f b f3 f3 f1 f2 i1 i1 i1 i1 i1 f2 f2 f2 i1 i1 i1 i1 i1 f2 f1 f3 f3 f2 f2 f2 f2 f2 f2 f2 f1 f1 f2 f2 b")
def criterion(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    theta, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o, within_d,
    place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, parts, gradient, hessian, info, curved,
):  # fmt: skip
    """Evaluate the criterion without its constant, its gradient, the information and the Hessian's approximation."""
    q, m, n = S2.shape[0], within.shape[0], theta.shape[0]
    templates(theta, place, rows, cols, size, T, flat)
    Y = np.empty((q, m))
    log_det = assemble(
        R, C, copies, T, flat, first, width, start, indptr, columns, values, within, within_o, within_d, E, D, U, S, S2,
        S2x, A, Y,
    )  # fmt: skip
    gradient[:] = np.nan
    if not _factorise(A):
        return np.inf
    _forward(A, Y)
    f = profile(log_det + log_diagonal(A), Y, S, df, REML, parts, Q)
    if not np.isfinite(f):
        return f
    prss = parts[2]
    weight = df / prss
    _backward(A, Y)
    lz, S2lz = np.empty((q, m)), np.empty((q, m))
    lambda_times(Y, first, width, flat, start, False, lz)
    _symmetric_times(S2, lz, S2lz)
    q1 = R.shape[0] * R.shape[1]
    V1, Vo = np.empty((q1, m)), np.empty((q, m))
    modes(E, D, U, indptr, columns, S2x, S2lz, lz, Q, V1, Vo)
    if curved:
        s1, so = np.empty((q1, n)), np.empty((q, n))
        images(place, rows, cols, size, R.shape[0], first, factor, T, flat, V1, Vo, s1, so)
        h, S2so = np.empty((q, n)), np.empty((q, n))
        _symmetric_times(S2, so, S2so)
        information(E, U, indptr, columns, s1, so, S2so, V1, Vo, weight, df, prss, h, hessian)
        lambda_times(h, first, width, flat, start, True, so)
        _forward(A, so)
        for i in range(q):
            for k in range(n):
                for g in range(n):
                    hessian[k, g] -= weight * so[i, k] * so[i, g]
        info[:] = hessian
    inverse = np.empty((q, q))
    _invert(A, inverse)
    finish(
        E, copies, U, indptr, columns, S2, inverse, N, first, width, T, flat, start, place, rows, cols, size, factor,
        V1, Vo, weight, REML, gradient, hessian, curved,
    )  # fmt: skip
    return f


@kernel(
    f"f1 f1 i {WORK} f b f3 f3 f1 f2 i1 i1 i1 i1 i1 f2 f2 f2 i1 i1 i1 i1 i1 f2 f1 f3 f3 f2 f2 f2 f2 f2 f2 f2 f1 i1 b"
)
def search(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    begins, units, budget, work, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o,
    within_d, place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, parts, levels, near,
):  # fmt: skip
    """Minimise from a start, in coordinates θ / units; returns the criterion at the start."""
    n = begins.shape[0]
    theta, g, H, info = np.empty(n), np.empty(n), np.empty((n, n)), np.empty((n, n))
    ahead, g_ahead, H_ahead, info_ahead = np.empty(n), np.empty(n), np.empty((n, n)), np.empty((n, n))
    for k in range(n):
        theta[k] = begins[k] * units[k]
    f = criterion(
        theta, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o, within_d,
        place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, parts, g, H, info, True,
    )  # fmt: skip
    initial = f
    count = 1
    while (
        count < SCORING
        and np.isfinite(f)
        and scoring(theta, g, info, levels, rows, cols, size, factor, count <= EM and not near, ahead)
    ):
        f_ahead = criterion(
            ahead, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o, within_d,
            place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, parts, g_ahead, H_ahead, info_ahead,
            True,
        )  # fmt: skip
        count += 1
        gain = f - f_ahead
        if not gain > 0.0:
            break
        f = f_ahead
        theta[:] = ahead
        g[:] = g_ahead
        H[:] = H_ahead
        info[:] = info_ahead
        if gain < NEAR:
            break
    begin(work, theta / units)
    trial, ints = work[3], work[6]
    ints[5] = count - 1
    done = False
    while not done:
        for k in range(n):
            g[k] *= units[k]
            for i in range(n):
                H[k, i] *= units[k] * units[i]
        done = absorb(work, f, g, H, APPROXIMATE, budget)
        if not done:
            for k in range(n):
                theta[k] = trial[k] * units[k]
            f = criterion(
                theta, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o, within_d,
                place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, parts, g, H, info, True,
            )  # fmt: skip
    return initial
