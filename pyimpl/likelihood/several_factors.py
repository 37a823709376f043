"""The steps of an evaluation where there are several grouping factors; the largest is eliminated level by level.

Notation as in :mod:`pyimpl.likelihood.objective`. Of the eliminated factor E_j = L_j⁻¹R_j, D_j = L_j⁻¹C_j, and U_j are
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
from pyimpl.linalg.dense import backward, factorise, forward, invert, symmetric_times

__all__ = [
    "assemble",
    "divide",
    "factors",
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
_PLAIN = 1e-2  # mean of what a variance adds to A's diagonal, from which A⁻¹'s may be taken from the identity
NEAR = 0.1  # a decrease of the criterion (twice the log-likelihood) after which the search goes on by itself


@kernel
def _meets_many(indptr, columns, q):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Whether the levels touch so many of the q columns that rows with their zeros are the faster."""
    return 3 * columns.shape[0] > (indptr.shape[0] - 1) * q


@kernel
def _add_gram(U, weights, indptr, columns, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out += Σ_j w_j u_j u_j' (lower triangle) for one effect a level, by rows with their zeros."""
    J, q = weights.shape[0], out.shape[0]
    rows = np.zeros((J, q))
    for j in range(J):
        for i in range(indptr[j], indptr[j + 1]):
            rows[j, columns[i]] = U[i, 0]
    for a in range(q):
        j = 0
        while j + 4 <= J:  # four at a time: there is one store for four products
            x0, x1 = weights[j] * rows[j, a], weights[j + 1] * rows[j + 1, a]
            x2, x3 = weights[j + 2] * rows[j + 2, a], weights[j + 3] * rows[j + 3, a]
            if x0 != 0.0 or x1 != 0.0 or x2 != 0.0 or x3 != 0.0:
                for b in range(a + 1):
                    out[a, b] += (x0 * rows[j, b] + x1 * rows[j + 1, b]) + (x2 * rows[j + 2, b] + x3 * rows[j + 3, b])
            j += 4
        while j < J:
            x0 = weights[j] * rows[j, a]
            for b in range(a + 1):
                out[a, b] += x0 * rows[j, b]
            j += 1


@kernel
def _eliminate_others(R, T, indptr, columns, values, U, S2):  # type: ignore[no-untyped-def] # pragma: no cover
    """Whiten the other factors' columns too: U = L_j⁻¹ values, S2 += Σ U'U (lower)."""
    J, p = R.shape[0], R.shape[1]
    if p == 1:
        t = T[0, 0]
        before, inverse = np.nan, 1.0
        many = _meets_many(indptr, columns, S2.shape[0])
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
                if not many:
                    row = columns[i]
                    for k in range(start, i + 1):
                        S2[row, columns[k]] += x * U[k, 0]
        if many:
            _add_gram(U, np.ones(J), indptr, columns, S2)
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
            into = S2[columns[i]]
            if p == 2:
                x, y = U[i, 0], U[i, 1]
                for k in range(indptr[j], i + 1):
                    into[columns[k]] += x * U[k, 0] + y * U[k, 1]
            else:
                for a in range(p):
                    x = U[i, a]
                    for k in range(indptr[j], i + 1):
                        into[columns[k]] += x * U[k, a]


@kernel
def _others_products(within_d, D, U, indptr, columns, S2x):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """S2x = `within_d` + Σ U'D."""
    along = within_d.T.copy()
    for j in range(D.shape[0]):
        for c in range(D.shape[2]):
            for a in range(D.shape[1]):
                x = D[j, a, c]
                for i in range(indptr[j], indptr[j + 1]):
                    along[c, columns[i]] += U[i, a] * x
    S2x[:] = along.T


@kernel
def _pairs_congruence(X, left, right, first, f, g, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Do what ``_congruence`` does, for two factors (or one) of two effects a level."""
    l00, l01, l10, l11 = left[0], left[1], left[2], left[3]
    r00, r01, r10, r11 = right[0], right[1], right[2], right[3]
    for r in range(first[f], first[f + 1], 2):
        upper, lower, to_upper, to_lower = X[r], X[r + 1], out[r], out[r + 1]
        for c in range(first[g], first[g + 1] if g < f else r + 1, 2):
            x10, x11 = lower[c], lower[c + 1]
            x00, x01 = upper[c], x10 if c == r else upper[c + 1]
            y00, y01 = x00 * r00 + x01 * r10, x00 * r01 + x01 * r11
            y10, y11 = x10 * r00 + x11 * r10, x10 * r01 + x11 * r11
            to_upper[c] = l00 * y00 + l10 * y10
            to_upper[c + 1] = l00 * y01 + l10 * y11
            to_lower[c] = l01 * y00 + l11 * y10
            to_lower[c + 1] = l01 * y01 + l11 * y11


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
            if pf == 2 and pg == 2:
                _pairs_congruence(X, T[start[f] : start[f] + 4], T[start[g] : start[g] + 4], first, f, g, out)
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
    _eliminate_others(R, T, indptr, columns, values, U, S2)
    _others_products(within_d, D, U, indptr, columns, S2x)
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
    along = lz.T.copy()
    for j in range(J):
        for a in range(p):
            for c in range(m):
                total = D[j, a, c]
                for i in range(indptr[j], indptr[j + 1]):
                    total -= U[i, a] * along[c, columns[i]]
                G[a, c] = total
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
    info[:] = 0.0
    x, along = np.zeros((n, p)), np.zeros((n, so.shape[0]))
    for j in range(J):
        for k in range(n):
            for a in range(p):
                total = 0.0
                for b in range(p):
                    total += E[j, a, b] * s1[j * p + b, k]
                x[k, a] = total
        for k in range(n):
            for i in range(k + 1):
                for a in range(p):
                    info[k, i] += x[k, a] * x[i, a]
            for a in range(p):
                y = x[k, a]
                if y != 0.0:  # θ_k is the eliminated factor's
                    for i in range(indptr[j], indptr[j + 1]):
                        along[k, columns[i]] += U[i, a] * y
    h[:] = along.T
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
def _plain_traces(S2, Ainv, first, width, T, start, KT):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Do what ``_traces`` does, from Λ'S2ΛA⁻¹ = I − A⁻¹; False where that would cancel, as for small variances."""
    for f in range(width.shape[0]):
        p, levels = width[f], float((first[f + 1] - first[f]) // width[f])
        at = start[f]
        B, X, Y = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p))
        for a in range(p):
            B[a, a] = levels
            size = 0.0
            for r in range(first[f] + a, first[f + 1], p):
                size += S2[r, r]
            if not T[at + a * p + a] * T[at + a * p + a] * size > _PLAIN * levels:
                return False
        for r0 in range(first[f], first[f + 1], p):
            for a in range(p):
                for b in range(a + 1):
                    B[a, b] -= Ainv[r0 + a, r0 + b]
        for a in range(p):
            for b in range(a + 1):
                X[a, b] = T[at + a * p + b]
                B[b, a] = B[a, b]
        divide(B, X, Y)  # (KT)' is this triangle's right quotient
        for a in range(p):
            for b in range(p):
                KT[at + a * p + b] = Y[b, a]
    return True


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
    K[:] = 0.0
    if p == 1 and _meets_many(indptr, columns, N.shape[0]):
        G, squares, total = np.zeros(N.shape), np.empty(J), 0.0
        for j in range(J):
            squares[j] = E[j, 0, 0] * E[j, 0, 0]
            total += squares[j] * copies[j]
        _add_gram(U, squares, indptr, columns, G)
        for a in range(N.shape[0]):
            s0, s1 = 0.0, 0.0
            for b in range(0, a - 1, 2):
                s0 += N[a, b] * G[a, b]
                s1 += N[a, b + 1] * G[a, b + 1]
            if a % 2:
                s0 += N[a, a - 1] * G[a, a - 1]
            total -= 2.0 * (s0 + s1) + N[a, a] * G[a, a]
        K[0, 0] = total
        return
    if p == 1:
        total = 0.0
        for j in range(J):
            square = 0.0
            start = indptr[j]
            for i in range(start, indptr[j + 1]):
                r = columns[i]
                s0, s1 = 0.0, 0.0  # two sums, so that no addition waits for the one before it
                for k in range(start, i - 1, 2):
                    s0 += N[r, columns[k]] * U[k, 0]
                    s1 += N[r, columns[k + 1]] * U[k + 1, 0]
                if (i - start) % 2:
                    s0 += N[r, columns[i - 1]] * U[i - 1, 0]
                square += U[i, 0] * (2.0 * (s0 + s1) + N[r, r] * U[i, 0])
            total += E[j, 0, 0] * E[j, 0, 0] * (copies[j] - square)
        K[0, 0] = total
        return
    most = 0
    for j in range(J):
        most = max(most, indptr[j + 1] - indptr[j])
    H = np.empty((p, most))  # E_j'U_j
    for j in range(J):
        start, count = indptr[j], indptr[j + 1] - indptr[j]
        for a in range(p):
            for i in range(count):
                total = 0.0
                for b in range(p):
                    total += E[j, b, a] * U[start + i, b]
                H[a, i] = total
            for c in range(a + 1):
                total = 0.0
                for b in range(p):
                    total += E[j, b, a] * E[j, b, c]
                K[a, c] += copies[j] * total
        for i in range(count):
            r = columns[start + i]
            if p == 2:
                x, y = 0.0, 0.0
                for k in range(i):
                    z = N[r, columns[start + k]]
                    x += z * H[0, k]
                    y += z * H[1, k]
                z, h0, h1 = N[r, r], H[0, i], H[1, i]
                K[0, 0] -= h0 * (2.0 * x + z * h0)
                K[1, 0] -= h0 * y + h1 * (x + z * h0)
                K[1, 1] -= h1 * (2.0 * y + z * h1)
            else:
                for a in range(p):
                    total = 0.5 * N[r, r] * H[a, i]
                    for k in range(i):
                        total += N[r, columns[start + k]] * H[a, k]
                    for c in range(p):
                        x = total * H[c, i]
                        if c <= a:
                            K[a, c] -= x
                        if a <= c:
                            K[c, a] -= x
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


@kernel
def _level_sums(E, copies, U, indptr, columns, S2, Ainv, first, width, flat, start, N, sums):  # type: ignore[no-untyped-def] # pragma: no cover
    """N = ΛA⁻¹Λ', and Σ Z_i'V⁻¹Z_i: in `sums` of the others, times T (flat like T), then of the eliminated factor.

    N may be A⁻¹'s.
    """
    p, KT = E.shape[1], sums[: flat.shape[0]]
    if width.max() == 1 or not _plain_traces(S2, Ainv, first, width, flat, start, KT):
        KT[:] = 0.0
        _traces(S2, Ainv, first, width, flat, start, KT)
    sandwich(Ainv, first, width, flat, start, N)
    _eliminated_trace(E, copies, indptr, columns, U, N, sums[flat.shape[0] : flat.shape[0] + p * p].reshape((p, p)))


@kernel
def _derivatives(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    p1, S2, N, sums, first, width, T, flat, start, rows, cols, factor, V1, Vo, weight, REML, gradient, hessian, curved
):
    """Gradient from ``_level_sums``; with `curved` the template's curvature is added to the information."""
    for f in range(-1, width.shape[0]):
        p = p1 if f < 0 else width[f]
        K = np.zeros((p, p))
        begins = 0 if f < 0 else first[f]
        ends = V1.shape[0] if f < 0 else first[f + 1]
        X = np.zeros((p, p))  # the template
        KTf = np.zeros((p, p))
        if f < 0:
            for a in range(p):
                for b in range(p):
                    X[a, b] = T[a, b]
                    K[a, b] = sums[flat.shape[0] + a * p + b]
            for a in range(p):
                for b in range(p):
                    for c in range(p):
                        KTf[a, b] += K[a, c] * X[c, b]
        else:
            smallest, largest = np.inf, 0.0
            for a in range(p):
                for b in range(p):
                    X[a, b] = flat[start[f] + a * p + b]
                    KTf[a, b] = sums[start[f] + a * p + b]
                    largest = max(largest, abs(X[a, b]))
                smallest = min(smallest, abs(X[a, a]))
            if curved and smallest > 1e-7 * largest and smallest > 1e-100:
                divide(KTf, X, K)
            elif curved:
                K[:] = _exact_traces(S2, N, first[f : f + 2], p)
        put_derivatives(
            f, V1 if f < 0 else Vo, begins, ends, X, KTf, K, weight, REML, rows, cols, factor, gradient, hessian, curved
        )


@kernel("f3 f1 f2 i1 i1 f2 f2 f2 i1 i1 f2 f1 i1 i1 i1 i1 i1 i1 f2 f2 f b f1 f2 b")
def finish(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    E, copies, U, indptr, columns, S2, Ainv, N, first, width, T, flat, start, place, rows, cols, size, factor, V1, Vo,
    weight, REML, gradient, hessian, curved,
):  # fmt: skip
    """Gradient from A⁻¹ (lower triangle); with `curved` the template's curvature is added to the information.

    N is a workspace, and may be A⁻¹'s.
    """
    p = E.shape[1]
    sums = np.empty(flat.shape[0] + p * p)
    _level_sums(E, copies, U, indptr, columns, S2, Ainv, first, width, flat, start, N, sums)
    _derivatives(
        p, S2, N, sums, first, width, T, flat, start, rows, cols, factor, V1, Vo, weight, REML, gradient, hessian,
        curved,
    )  # fmt: skip


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


@kernel("f3 f1 i1 i1 i1 i1 i1 f2 f2 f2 f1 f3 f2 f2 f2 f2 f1")
def factors(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    R, copies, first, width, start, indptr, columns, values, within_o, T, flat, E, U, S2, A, N, sums
):
    """Compute what of an evaluation no response enters, but for E and log|V₁|.

    That is U, S2, A's factor, N, and `sums`: what ``_level_sums`` gives, then log|A| (+inf where A is not positive
    definite).
    """
    S2[:] = within_o
    _eliminate_others(R, T, indptr, columns, values, U, S2)
    _congruence(S2, first, width, flat, start, A)
    for i in range(A.shape[0]):
        A[i, i] += 1.0
    last = sums.shape[0] - 1
    sums[last] = np.inf
    if factorise(A):
        inverse = np.empty(A.shape)
        invert(A, inverse)
        _level_sums(E, copies, U, indptr, columns, S2, inverse, first, width, flat, start, N, sums)
        sums[last] = log_diagonal(A)


@kernel("f1 f b f3 f3 f1 f2 i1 i1 i1 i1 i1 f2 f2 f2 i1 i1 i1 i1 i1 f2 f1 f3 f3 f2 f2 f2 f2 f2 f2 f2 f1 f1 f1 f2 f2 b b")
def criterion(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    theta, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o, within_d,
    place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, sums, parts, gradient, hessian, info,
    curved, known,
):  # fmt: skip
    """Evaluate the criterion without its constant, its gradient, the information and the Hessian's approximation.

    What :func:`factors` gives may be `known` at this θ, in the workspaces.
    """
    q, m, n = S2.shape[0], within.shape[0], theta.shape[0]
    templates(theta, place, rows, cols, size, T, flat)
    S[:] = within
    log_det = eliminate(R, C, copies, T, E, D, S)
    if not known:
        factors(R, copies, first, width, start, indptr, columns, values, within_o, T, flat, E, U, S2, A, N, sums)
    gradient[:] = np.nan
    log_det += sums[sums.shape[0] - 1]
    if not np.isfinite(log_det):
        return np.inf
    _others_products(within_d, D, U, indptr, columns, S2x)
    Y = np.empty((q, m))
    lambda_times(S2x, first, width, flat, start, True, Y)
    forward(A, Y)
    f = profile(log_det, Y, S, df, REML, parts, Q)
    if not np.isfinite(f):
        return f
    prss = parts[2]
    weight = df / prss
    backward(A, Y)
    lz, S2lz = np.empty((q, m)), np.empty((q, m))
    lambda_times(Y, first, width, flat, start, False, lz)
    symmetric_times(S2, lz, S2lz)
    q1 = R.shape[0] * R.shape[1]
    V1, Vo = np.empty((q1, m)), np.empty((q, m))
    modes(E, D, U, indptr, columns, S2x, S2lz, lz, Q, V1, Vo)
    if curved:
        s1, so = np.empty((q1, n)), np.empty((q, n))
        images(place, rows, cols, size, R.shape[0], first, factor, T, flat, V1, Vo, s1, so)
        h, S2so = np.empty((q, n)), np.empty((q, n))
        symmetric_times(S2, so, S2so)
        information(E, U, indptr, columns, s1, so, S2so, V1, Vo, weight, df, prss, h, hessian)
        lambda_times(h, first, width, flat, start, True, so)
        forward(A, so)
        for i in range(q):
            for k in range(n):
                for g in range(n):
                    hessian[k, g] -= weight * so[i, k] * so[i, g]
        info[:] = hessian
    _derivatives(
        R.shape[1], S2, N, sums, first, width, T, flat, start, rows, cols, factor, V1, Vo, weight, REML, gradient,
        hessian, curved,
    )  # fmt: skip
    return f


@kernel(
    f"f1 f1 i {WORK} f b f3 f3 f1 f2 i1 i1 i1 i1 i1 f2 f2 f2 i1 i1 i1 i1 i1 f2 f1 f3 f3 f2 f2 f2 f2 f2 f2 f2 f1 f1 i1 b"
    " b"
)
def search(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    begins, units, budget, work, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o,
    within_d, place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, sums, parts, levels, near, known,
):  # fmt: skip
    """Minimise from a start, in coordinates θ / units; returns the criterion at the start.

    What :func:`factors` gives may be `known` at the start.
    """
    n = begins.shape[0]
    theta, g, H, info = np.empty(n), np.empty(n), np.empty((n, n)), np.empty((n, n))
    ahead, g_ahead, H_ahead, info_ahead = np.empty(n), np.empty(n), np.empty((n, n)), np.empty((n, n))
    for k in range(n):
        theta[k] = begins[k] * units[k]
    f = criterion(
        theta, df, REML, R, C, copies, within, first, width, start, indptr, columns, values, within_o, within_d,
        place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, sums, parts, g, H, info, True, known,
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
            place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, sums, parts, g_ahead, H_ahead,
            info_ahead, True, False,
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
                place, rows, cols, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, sums, parts, g, H, info, True,
                False,
            )  # fmt: skip
    return initial
