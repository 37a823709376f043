"""The criterion of a model with one grouping factor, with exact gradient and Hessian, and its search: all compiled.

With ψ = TT', K_j = Z_j'V⁻¹Z_j, Y_j = Z_j'V⁻¹[X, e] and e = y − Xβ̂ (notation of :mod:`pyimpl.likelihood.objective`) let
X be scaled such that X'V⁻¹X = I. For a change ψ' of ψ, M = Σ Y_j'ψ'Y_j, and m = n or n − p, the first derivative is
tr(ψ'G) with G = Σ_j (K_j − Y_jBY_j'), B = diag([REML] I, m/r²), and the second along ψ' and ψ''

    Σ_j −tr(K_jψ'K_jψ'') + 2 tr(B Y_j'ψ'K_jψ''Y_j)
        − 2 (m/r²) M'_xe·M''_xe − m M'_ee M''_ee / r⁴ − [REML] tr(M'_xx M''_xx).

∂ψ/∂T_rc = e_r t_c' + t_c e_r' with t_c the column c of T, and ∂²ψ/∂T_rc∂T_sc = e_r e_s' + e_s e_r'.
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood.trust_region import EXACT, WORK, absorb, begin

__all__ = ["cholesky_profile", "contrasts", "criterion", "eliminate", "same", "search"]


@kernel
def _eliminate_pairs(R, C, copies, T, E, D, S):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Do what `eliminate` does where a level has two effects."""
    J, m = R.shape[0], C.shape[2]
    t00, t10, t11 = T[0, 0], T[1, 0], T[1, 1]
    product, log_det = 1.0, 0.0
    before00, before01, before11 = np.nan, np.nan, np.nan
    determinant, inverse0, inverse1, l10 = 1.0, 1.0, 1.0, 0.0
    for j in range(J):
        r00, r01, r11 = R[j, 0, 0], R[j, 0, 1], R[j, 1, 1]
        if r00 != before00 or r01 != before01 or r11 != before11:
            w00, w01, w10, w11 = r00 * t00 + r01 * t10, r01 * t11, r11 * t10, r11 * t11
            square0 = 1.0 + w00 * w00 + w01 * w01
            inverse0 = 1.0 / np.sqrt(square0)
            l10 = (w10 * w00 + w11 * w01) * inverse0
            square1 = 1.0 + w10 * w10 + w11 * w11 - l10 * l10
            inverse1 = 1.0 / np.sqrt(square1)
            determinant = square0 * square1
            before00, before01, before11 = r00, r01, r11
        product *= determinant
        if copies[j] > 1.0:
            log_det += (copies[j] - 1.0) * np.log(determinant)
        if product > 1e200:
            log_det += np.log(product)
            product = 1.0
        E[j, 0, 0] = r00 * inverse0
        E[j, 0, 1] = r01 * inverse0
        E[j, 1, 0] = -l10 * E[j, 0, 0] * inverse1
        E[j, 1, 1] = (r11 - l10 * E[j, 0, 1]) * inverse1
        for c in range(m):
            x = C[j, 0, c] * inverse0
            y = (C[j, 1, c] - l10 * x) * inverse1
            D[j, 0, c] = x
            D[j, 1, c] = y
            for b in range(c + 1):
                S[c, b] += x * D[j, 0, b] + y * D[j, 1, b]
    return log_det + np.log(product)


@kernel("f3 f3 f1 f2 f3 f3 f2")
def eliminate(R, C, copies, T, E, D, S):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Whiten the eliminated factor level by level: E_j = L_j⁻¹R_j, D_j = L_j⁻¹C_j, S += Σ D_j'D_j; returns log|V₁|.

    L_j is the Cholesky factor of I + R_j T T' R_j', the blocks of eq. 18 seen from the rows' side; a level whose R_j is
    that of the level before it (as in balanced data) has the same. A level stands for `copies` (J) of them, all but
    one with a C_j of 0: see :mod:`pyimpl.likelihood.merging`.
    """
    J, p, m = R.shape[0], R.shape[1], C.shape[2]
    product = 1.0
    log_det = 0.0
    if p == 1:
        t = T[0, 0]
        before, total, inverse = np.nan, 1.0, 1.0
        for j in range(J):
            r = R[j, 0, 0]
            if r != before:
                w = r * t
                total = 1.0 + w * w
                inverse = 1.0 / np.sqrt(total)
                before = r
            product *= total
            if copies[j] > 1.0:
                log_det += (copies[j] - 1.0) * np.log(total)
            if product > 1e200:
                log_det += np.log(product)
                product = 1.0
            E[j, 0, 0] = r * inverse
            for c in range(m):
                x = C[j, 0, c] * inverse
                D[j, 0, c] = x
                for b in range(c + 1):
                    S[c, b] += x * D[j, 0, b]
        return log_det + np.log(product)
    if p == 2:
        return _eliminate_pairs(R, C, copies, T, E, D, S)
    L = np.zeros((p, p))
    W = np.zeros((p, p))
    for j in range(J):
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(max(a, b), p):
                    total += R[j, a, c] * T[c, b]
                W[a, b] = total
        determinant = 1.0
        for a in range(p):
            for b in range(a + 1):
                total = 1.0 if a == b else 0.0
                for c in range(p):
                    total += W[a, c] * W[b, c]
                for c in range(b):
                    total -= L[a, c] * L[b, c]
                if a == b:
                    L[a, a] = np.sqrt(total)
                    determinant *= total
                else:
                    L[a, b] = total / L[b, b]
        product *= determinant
        if copies[j] > 1.0:
            log_det += (copies[j] - 1.0) * np.log(determinant)
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


@kernel("f2 i f2")
def cholesky_profile(S, P, L):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
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


@kernel("f2 i f2")
def contrasts(L, P, Q):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Fill Q (m, m): [X, y]Q = [X R_X⁻¹, y − Xβ̂] in the basis; its last column is (−γ, 1)."""
    Q[:] = 0.0
    for c in range(P):  # R_X⁻¹, transposed: the rows of R_X'⁻¹
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


@kernel
def residual_square(Q, root, D):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """r² as a sum of squares, |root v|² + Σ|D_j v|² with v Q's last column: its error counts only squared."""
    m = Q.shape[0]
    P = m - 1
    square = 0.0
    for a in range(m):
        total = 0.0
        for c in range(a, m):
            total += root[a, c] * Q[c, P]
        square += total * total
    for j in range(D.shape[0]):
        for a in range(D.shape[1]):
            total = 0.0
            for c in range(m):
                total += D[j, a, c] * Q[c, P]
            square += total * total
    return square


@kernel
def same(A, B):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Whether two matrices are equal, element by element."""
    for a in range(A.shape[0]):
        for b in range(A.shape[1]):
            if A[a, b] != B[a, b]:
                return False
    return True


@kernel
def _value(theta, rows, cols, R, C, copies, within, root, df, REML, E, D, T, parts, SL, Q):  # type: ignore[no-untyped-def] # pragma: no cover
    """Evaluate the criterion alone; SL (2, m, m) is one more workspace, Q as in `contrasts`."""
    m = C.shape[2]
    P = m - 1
    S, L = SL[0], SL[1]
    T[:] = 0.0
    for k in range(rows.shape[0]):
        T[rows[k], cols[k]] = theta[k]
    S[:] = within
    log_det = eliminate(R, C, copies, T, E, D, S)
    if not np.isfinite(log_det) or not cholesky_profile(S, P, L):
        return np.inf
    contrasts(L, P, Q)
    prss = residual_square(Q, root, D)
    f = log_det + df * np.log(prss)
    log_RX = 0.0
    for a in range(P):
        log_RX += 2.0 * np.log(L[a, a])
    if REML:
        f += log_RX
    parts[0], parts[1], parts[2] = log_det, log_RX, prss
    return f if np.isfinite(f) else np.inf


@kernel("f1 i1 i1 f3 f3 f1 f2 f2 f b f3 f3 f2 i f1 f1 f2")
def criterion(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    theta, rows, cols, R, C, copies, within, root, df, REML, E, D, T, order, parts, gradient, hessian
):
    """Evaluate the criterion without its constant; gradient and Hessian if order is 1 or 2.

    E, D, T are workspaces; parts receives log|V₁|, log|R_X|² in the basis, r².
    """
    p, m = R.shape[1], C.shape[2]
    P = m - 1
    n = rows.shape[0]
    Q = np.empty((m, m))
    f = _value(theta, rows, cols, R, C, copies, within, root, df, REML, E, D, T, parts, np.empty((2, m, m)), Q)
    if not np.isfinite(f):
        gradient[:] = np.nan
        return f
    prss = parts[2]
    if order == 0:
        return f
    J = R.shape[0]
    weight = df / prss
    if p == 1:
        _derivatives_scalar(T[0, 0], copies, E, D, Q, weight, REML, order, gradient, hessian, df, prss)
        return f
    square, oblong = np.zeros((7, p, p)), np.zeros((3, p, m))  # one array: to make one takes as long as to fill it
    G, K, KT, TKT, W, WT, TWT = square[0], square[1], square[2], square[3], square[4], square[5], square[6]
    Y, TY, F = oblong[0], oblong[1], oblong[2]
    first = 0 if order == 2 or REML else P  # without the Hessian ML needs e alone
    M = np.zeros((n, m, m))
    if order == 2:
        hessian[:] = 0.0
    many = 0.0
    for j in range(J):
        for a in range(p):
            for c in range(first, m):
                total = 0.0
                for b in range(c + 1):
                    total += D[j, a, b] * Q[b, c]
                F[a, c] = total
        for a in range(p):
            for c in range(first, m):
                total = 0.0
                for b in range(p):
                    total += E[j, b, a] * F[b, c]
                Y[a, c] = total
        for a in range(p):
            for b in range(a + 1):
                total = weight * Y[a, P] * Y[b, P]
                if REML:
                    for c in range(P):
                        total += Y[a, c] * Y[b, c]
                W[a, b] += total
        many += copies[j]
        if order == 2:
            for a in range(p):
                for c in range(m):
                    total = 0.0
                    for b in range(a, p):
                        total += T[b, a] * Y[b, c]
                    TY[a, c] = total
            lowest = 0 if REML else P
            for k in range(n):
                r, c = rows[k], cols[k]
                for a in range(lowest, m):
                    for b in range(a + 1):
                        M[k, a, b] += Y[r, a] * TY[c, b] + TY[c, a] * Y[r, b]
        if j + 1 < J and same(E[j], E[j + 1]):
            continue  # all that follows is the same for these levels, or linear in W
        for a in range(p):
            for b in range(a + 1):
                total = 0.0
                for c in range(p):
                    total += E[j, c, a] * E[j, c, b]
                K[a, b] = total
                K[b, a] = total
                W[b, a] = W[a, b]
                G[a, b] += many * total - W[a, b]
        if order == 2:
            for a in range(p):
                for c in range(p):
                    left, right = 0.0, 0.0
                    for b in range(c, p):
                        left += K[a, b] * T[b, c]
                        right += W[a, b] * T[b, c]
                    KT[a, c] = left
                    WT[a, c] = right
            for a in range(p):
                for c in range(p):
                    left, right = 0.0, 0.0
                    for b in range(a, p):
                        left += T[b, a] * KT[b, c]
                        right += T[b, a] * WT[b, c]
                    TKT[a, c] = left
                    TWT[a, c] = right
            for k in range(n):
                r, c = rows[k], cols[k]
                for i in range(k + 1):
                    s, d = rows[i], cols[i]
                    hessian[k, i] += 2.0 * (
                        K[r, s] * (TWT[c, d] - many * TKT[c, d])
                        + W[r, s] * TKT[c, d]
                        + KT[r, d] * (WT[s, c] - many * KT[s, c])
                        + WT[r, d] * KT[s, c]
                    )
        many = 0.0
        W[:] = 0.0
    for a in range(p):
        for b in range(a):
            G[b, a] = G[a, b]
    for k in range(n):
        total = 0.0
        for c in range(cols[k], p):
            total += G[rows[k], c] * T[c, cols[k]]
        gradient[k] = 2.0 * total
    if order == 2:
        for k in range(n):
            for i in range(k + 1):
                total = hessian[k, i] - df * (M[k, P, P] / prss) * (M[i, P, P] / prss)
                for c in range(P):
                    total -= 2.0 * weight * M[k, P, c] * M[i, P, c]
                if REML:
                    for a in range(P):
                        for b in range(a):
                            total -= 2.0 * M[k, a, b] * M[i, a, b]
                        total -= M[k, a, a] * M[i, a, a]
                if cols[k] == cols[i]:
                    total += 2.0 * G[rows[k], rows[i]]
                hessian[k, i] = total
                hessian[i, k] = total
    return f


@kernel
def _derivatives_scalar(t, copies, E, D, Q, weight, REML, order, gradient, hessian, df, prss):  # type: ignore[no-untyped-def] # pragma: no cover
    """Do the same for one effect a level, where everything is a number."""
    J, m = D.shape[0], D.shape[2]
    P = m - 1
    y = np.zeros(m)
    M = np.zeros((m, m))
    g, h = 0.0, 0.0
    lowest = 0 if REML else P
    for j in range(J):
        e = E[j, 0, 0]
        K = e * e
        for c in range(0 if order == 2 or REML else P, m):
            total = 0.0
            for b in range(c + 1):
                total += D[j, 0, b] * Q[b, c]
            y[c] = total * e
        W = weight * y[P] * y[P]
        if REML:
            for c in range(P):
                W += y[c] * y[c]
        g += copies[j] * K - W
        if order == 2:
            h += K * (2.0 * W - copies[j] * K)
            for a in range(lowest, m):
                for b in range(a + 1):
                    M[a, b] += y[a] * y[b]
    gradient[0] = 2.0 * g * t
    if order == 2:
        square = M[P, P] * M[P, P] * df / (prss * prss)
        for c in range(P):
            square += 2.0 * weight * M[P, c] * M[P, c]
        if REML:
            for a in range(P):
                for b in range(a):
                    square += 2.0 * M[a, b] * M[a, b]
                square += M[a, a] * M[a, a]
        hessian[0, 0] = 4.0 * t * t * (h - square) + 2.0 * g


@kernel(f"f1 f1 i {WORK} i1 i1 f3 f3 f1 f2 f2 f b f3 f3 f2 f1")
def search(start, units, budget, work, rows, cols, R, C, copies, within, root, df, REML, E, D, T, parts):  # type: ignore[no-untyped-def] # pragma: no cover
    """Minimise from a start, in coordinates θ / units; returns the criterion at the start.

    The workspace is that of :mod:`pyimpl.likelihood.trust_region`.
    """
    n = start.shape[0]
    theta, g, H = np.empty(n), np.empty(n), np.empty((n, n))
    begin(work, start)
    trial = work[3]
    initial = np.nan
    done = False
    while not done:
        for k in range(n):
            theta[k] = trial[k] * units[k]
        f = criterion(theta, rows, cols, R, C, copies, within, root, df, REML, E, D, T, 2, parts, g, H)
        if np.isnan(initial):
            initial = f
        for k in range(n):
            g[k] *= units[k]
            for i in range(n):
                H[k, i] *= units[k] * units[i]
        done = absorb(work, f, g, H, EXACT, budget)
    return initial
