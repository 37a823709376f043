"""Compiled kernels of the collapsed posterior (see :mod:`pyimpl.posterior.collapsed` for the algebra).

Each works on a batch of points; ``Lambda`` has shape (n, terms, pmax, pmax). Symmetric m × m matrices are packed by
rows of their lower triangle.
"""

import numba
import numpy as np

__all__ = ["draw", "marginal", "reduce_first", "reduce_rest"]

_LAPACK_FROM = 48  # columns from which LAPACK's Cholesky beats the plain loops


@numba.njit(cache=True, error_model="numpy")
def _factor_level(Lam: np.ndarray, S: np.ndarray, p: int, M: np.ndarray, H: np.ndarray, P: np.ndarray) -> float:
    """L L' = I + Λ'SΛ into M, H = L⁻¹Λ', P = H'H; returns log|I + Λ'SΛ|."""
    if p == 1:
        lam = Lam[0, 0]
        D = 1.0 + lam * lam * S[0, 0]
        M[0, 0] = np.sqrt(D)
        H[0, 0] = lam / M[0, 0]
        P[0, 0] = lam * lam / D
        return np.log(D)
    # H first holds SΛ
    for a in range(p):
        for b in range(p):
            s = 0.0
            for c in range(b, p):
                s += S[a, c] * Lam[c, b]
            H[a, b] = s
    logdet = 0.0
    for a in range(p):
        for b in range(a + 1):
            s = 1.0 if a == b else 0.0
            for c in range(a, p):
                s += Lam[c, a] * H[c, b]
            for c in range(b):
                s -= M[a, c] * M[b, c]
            if a == b:
                M[a, a] = np.sqrt(s)
                logdet += np.log(s)
            else:
                M[a, b] = s / M[b, b]
    for a in range(p):
        for c in range(p):
            s = Lam[c, a]  # Λ' has zeros below the diagonal
            if c < a:
                s = 0.0
            for b in range(a):
                s -= M[a, b] * H[b, c]
            H[a, c] = s / M[a, a]
    for a in range(p):
        for b in range(a + 1):
            s = 0.0
            for c in range(p):
                s += H[c, a] * H[c, b]
            P[a, b] = s
            P[b, a] = s
    return logdet


@numba.njit(cache=True, error_model="numpy")
def reduce_first(
    Lambda: np.ndarray, term: int, S: np.ndarray, count: np.ndarray, E: np.ndarray, WW: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """log|V| and Q after the term with most levels, shapes (n,) and (n, m (m + 1)/2).

    ``S`` (U, p, p) are the different cross-products, ``count`` how many levels share each, ``E`` the sums of outer
    products of their B's.
    """
    n, U, p = Lambda.shape[0], S.shape[0], S.shape[1]
    width = WW.shape[0]
    logdet = np.zeros(n)
    Q = np.empty((n, width))
    M, H, P = np.empty((p, p)), np.empty((p, p)), np.empty((p, p))
    for i in range(n):
        Lam = Lambda[i, term]
        for k in range(width):
            Q[i, k] = WW[k]
        total = 0.0
        if p == 1:
            l2 = Lam[0, 0] * Lam[0, 0]
            for u in range(U):
                D = 1.0 + l2 * S[u, 0, 0]
                total += count[u] * np.log(D)
                c = l2 / D
                for k in range(width):
                    Q[i, k] -= c * E[u, 0, k]
        elif p == 2:
            # closed form with R = ΛΛ': D = 1 + tr(SR) + |S||R|, P = (R + |R| adj S)/D
            r11 = Lam[0, 0] * Lam[0, 0]
            r21 = Lam[1, 0] * Lam[0, 0]
            r22 = Lam[1, 0] * Lam[1, 0] + Lam[1, 1] * Lam[1, 1]
            det_R = (Lam[0, 0] * Lam[1, 1]) ** 2
            for u in range(U):
                s11, s21, s22 = S[u, 0, 0], S[u, 1, 0], S[u, 1, 1]
                D = 1.0 + s11 * r11 + 2.0 * s21 * r21 + s22 * r22 + (s11 * s22 - s21 * s21) * det_R
                total += count[u] * np.log(D)
                p11 = (r11 + det_R * s22) / D
                p21 = (r21 - det_R * s21) / D
                p22 = (r22 + det_R * s11) / D
                for k in range(width):
                    Q[i, k] -= p11 * E[u, 0, k] + p21 * E[u, 1, k] + p22 * E[u, 2, k]
        else:
            for u in range(U):
                total += count[u] * _factor_level(Lam, S[u], p, M, H, P)
                pair = 0
                for a in range(p):
                    for b in range(a + 1):
                        c = P[a, b]
                        for k in range(width):
                            Q[i, k] -= c * E[u, pair, k]
                        pair += 1
        logdet[i] = total
    return logdet, Q


@numba.njit(cache=True, error_model="numpy")
def _cholesky(A: np.ndarray, n: int) -> bool:
    """Lower Cholesky factor of the leading n × n part, in place; False where it is not positive definite."""
    if n >= _LAPACK_FROM:
        for a in range(n):
            if not np.isfinite(A[a, a]):
                return False
        A[:n, :n] = np.linalg.cholesky(A[:n, :n])
        return True
    for a in range(n):
        for b in range(a + 1):
            s = A[a, b]
            for c in range(b):
                s -= A[a, c] * A[b, c]
            if a == b:
                if not s > 0.0:
                    return False
                A[a, a] = np.sqrt(s)
            else:
                A[a, b] = s / A[b, b]
    return True


@numba.njit(cache=True, error_model="numpy")
def _schur(
    Lam_all: np.ndarray,
    component: int,
    P_all: np.ndarray,
    inverse: np.ndarray,
    PB: np.ndarray,
    R: np.ndarray,
    block_start: np.ndarray,
    block_term: np.ndarray,
    sizes: np.ndarray,
    component_start: np.ndarray,
    G_start: np.ndarray,
    G: np.ndarray,
    level_start: np.ndarray,
    levels: np.ndarray,
    C_start: np.ndarray,
    C_column: np.ndarray,
    C: np.ndarray,
    A: np.ndarray,
    Y: np.ndarray,
) -> int:
    """I + Λ₂'(Z₂'Z₂ − Z₂'Z₁ P Z₁'Z₂)Λ₂ of one component into A (lower), Λ₂'(R − Z₂'Z₁ PB) into Y; its width.

    ``PB`` (J, p, m) holds P_j times the right-hand sides of the first term; ``R`` the rest's right-hand sides.
    """
    p, m = C.shape[1], Y.shape[1]
    first_block, last_block = component_start[component], component_start[component + 1]
    column0 = block_start[first_block]
    n = block_start[last_block] - column0
    at = G_start[component]
    for a in range(n):
        for b in range(a + 1):
            A[a, b] = G[at + a * n + b]
        for k in range(m):
            Y[a, k] = R[column0 + a, k]
    PC = np.empty(p)
    for where in range(level_start[component], level_start[component + 1]):
        j = levels[where]
        P = P_all[inverse[j]]
        for e in range(C_start[j], C_start[j + 1]):
            for x in range(p):
                s = 0.0
                for y in range(p):
                    s += P[x, y] * C[e, y]
                PC[x] = s
            column = C_column[e]
            for f in range(C_start[j], e + 1):  # columns are sorted within a level
                s = 0.0
                for x in range(p):
                    s += C[f, x] * PC[x]
                A[column, C_column[f]] -= s
            for k in range(m):
                s = 0.0
                for x in range(p):
                    s += C[e, x] * PB[j, x, k]
                Y[column, k] -= s
    # Λ₂' from the left, Λ₂ from the right, block by block; only the lower triangle is kept
    for block in range(first_block, last_block):
        t, s0 = block_term[block], block_start[block] - column0
        width = sizes[t]
        if width == 1:
            lam = Lam_all[t, 0, 0]
            for k in range(m):
                Y[s0, k] *= lam
            for b in range(s0):
                A[s0, b] *= lam
            for a in range(s0 + 1, n):
                A[a, s0] *= lam
            A[s0, s0] *= lam * lam
            continue
        for x in range(width):  # within the block the full square is needed
            for y in range(x + 1, width):
                A[s0 + x, s0 + y] = A[s0 + y, s0 + x]
        for x in range(width):  # rows: row x of Λ'A only needs rows x, x + 1, ...: in place from the top
            for b in range(s0 + width):
                s = 0.0
                for y in range(x, width):
                    s += Lam_all[t, y, x] * A[s0 + y, b]
                A[s0 + x, b] = s
            for k in range(m):
                s = 0.0
                for y in range(x, width):
                    s += Lam_all[t, y, x] * Y[s0 + y, k]
                Y[s0 + x, k] = s
        for x in range(width):  # columns likewise
            for a in range(s0, n):
                s = 0.0
                for y in range(x, width):
                    s += A[a, s0 + y] * Lam_all[t, y, x]
                A[a, s0 + x] = s
    for a in range(n):
        A[a, a] += 1.0
    return n


@numba.njit(cache=True, error_model="numpy")
def reduce_rest(
    Lambda: np.ndarray,
    term: int,
    S: np.ndarray,
    inverse: np.ndarray,
    B: np.ndarray,
    R: np.ndarray,
    block_start: np.ndarray,
    block_term: np.ndarray,
    sizes: np.ndarray,
    component_start: np.ndarray,
    G_start: np.ndarray,
    G: np.ndarray,
    level_start: np.ndarray,
    levels: np.ndarray,
    C_start: np.ndarray,
    C_column: np.ndarray,
    C: np.ndarray,
    logdet: np.ndarray,
    Q: np.ndarray,
) -> None:
    """Carry log|V| and Q on from the first term to all terms, in place (nan where a factor fails)."""
    n, U, p, J, m = Lambda.shape[0], S.shape[0], S.shape[1], B.shape[0], B.shape[2]
    n_components = component_start.size - 1
    largest = 0
    for c in range(n_components):
        largest = max(largest, block_start[component_start[c + 1]] - block_start[component_start[c]])
    A, Y = np.empty((largest, largest)), np.empty((largest, m))
    M, H = np.empty((p, p)), np.empty((p, p))
    P_all, PB = np.empty((U, p, p)), np.empty((J, p, m))
    for i in range(n):
        for u in range(U):
            _factor_level(Lambda[i, term], S[u], p, M, H, P_all[u])
        for j in range(J):
            P = P_all[inverse[j]]
            for x in range(p):
                for k in range(m):
                    s = 0.0
                    for y in range(p):
                        s += P[x, y] * B[j, y, k]
                    PB[j, x, k] = s
        for c in range(n_components):
            width = _schur(
                Lambda[i], c, P_all, inverse, PB, R, block_start, block_term, sizes, component_start, G_start, G,
                level_start, levels, C_start, C_column, C, A, Y,
            )  # fmt: skip
            if not _cholesky(A, width):
                logdet[i] = np.nan
                break
            for a in range(width):
                logdet[i] += 2.0 * np.log(A[a, a])
                for k in range(m):
                    s = Y[a, k]
                    for b in range(a):
                        s -= A[a, b] * Y[b, k]
                    Y[a, k] = s / A[a, a]
            at = 0
            for k in range(m):
                for h in range(k + 1):
                    s = 0.0
                    for a in range(width):
                        s += Y[a, k] * Y[a, h]
                    Q[i, at] -= s
                    at += 1


@numba.njit(cache=True, error_model="numpy")
def _coefficients(
    Q: np.ndarray, inv_s2: float, D: np.ndarray, dm: np.ndarray, fixed: np.ndarray, A: np.ndarray, v: np.ndarray
) -> tuple[bool, float, float]:
    """Factor A, and v = L⁻¹h: (whether it worked, log|A|, Q_rr/σ² + (m−ĉ)'D(m−ĉ) − h'A⁻¹h)."""
    g, H = D.size, fixed.size
    last = g + H
    base = last * (last + 1) // 2
    rr = Q[base + last]
    for x in range(H):
        row = (g + x) * (g + x + 1) // 2
        rr -= 2.0 * fixed[x] * Q[base + g + x]
        for y in range(x):
            rr += 2.0 * fixed[x] * fixed[y] * Q[row + g + y]
        rr += fixed[x] * fixed[x] * Q[row + g + x]
    quad = rr * inv_s2
    at = 0
    logdet = 0.0
    for a in range(g):
        for b in range(a + 1):
            s = Q[at] * inv_s2
            at += 1
            if a == b:
                s += D[a]
            for c in range(b):
                s -= A[a, c] * A[b, c]
            if a == b:
                if not s > 0.0:
                    return False, 0.0, 0.0
                A[a, a] = np.sqrt(s)
                logdet += np.log(s)
            else:
                A[a, b] = s / A[b, b]
        r = Q[base + a]
        for x in range(H):
            r -= Q[(g + x) * (g + x + 1) // 2 + a] * fixed[x]
        h = r * inv_s2 + D[a] * dm[a]
        quad += D[a] * dm[a] * dm[a]
        for c in range(a):
            h -= A[a, c] * v[c]
        v[a] = h / A[a, a]
        quad -= v[a] * v[a]
    return True, logdet, quad


@numba.njit(cache=True, error_model="numpy")
def marginal(
    Q: np.ndarray, logdet: np.ndarray, sigma: np.ndarray, D: np.ndarray, dm: np.ndarray, fixed: np.ndarray
) -> np.ndarray:
    """−½ log|V| − ½ log|A| − ½ (Q_rr/σ² + (m − ĉ)'D(m − ĉ) − h'A⁻¹h), shape (n,); −inf where A has no factor."""
    n, g = D.shape
    A, v = np.empty((g, g)), np.empty(g)
    out = np.empty(n)
    for i in range(n):
        ok, logdet_A, quad = _coefficients(Q[i], 1.0 / (sigma[i] * sigma[i]), D[i], dm, fixed[i], A, v)
        out[i] = -0.5 * (logdet[i] + logdet_A + quad) if ok else -np.inf
    return out


@numba.njit(cache=True, error_model="numpy")
def draw(
    Lambda: np.ndarray,
    term: int,
    S: np.ndarray,
    inverse: np.ndarray,
    B: np.ndarray,
    WW: np.ndarray,
    R: np.ndarray,
    block_start: np.ndarray,
    block_term: np.ndarray,
    sizes: np.ndarray,
    component_start: np.ndarray,
    G_start: np.ndarray,
    G: np.ndarray,
    level_start: np.ndarray,
    levels: np.ndarray,
    C_start: np.ndarray,
    C_column: np.ndarray,
    C: np.ndarray,
    Q: np.ndarray,
    sigma: np.ndarray,
    D: np.ndarray,
    dm: np.ndarray,
    fixed: np.ndarray,
    e_coef: np.ndarray,
    z_first: np.ndarray,
    z_rest: np.ndarray,
    coef: np.ndarray,
    b_first: np.ndarray,
    b_rest: np.ndarray,
    rss: np.ndarray,
) -> None:
    """Exact draws of the coefficients (as deviations from ĉ) and of all random effects, given the coordinates.

    ``z_first``, ``z_rest`` and ``e_coef`` come in as standard normals; the z's go out as the standardised effects
    (b = T z). ``rss`` is the weighted residual sum of squares.
    """
    n, U, p, J, m = Lambda.shape[0], S.shape[0], S.shape[1], B.shape[0], B.shape[2]
    g, H = D.shape[1], fixed.shape[1]
    n_components = component_start.size - 1
    largest = 1
    for c in range(n_components):
        largest = max(largest, block_start[component_start[c + 1]] - block_start[component_start[c]])
    Ac, v = np.empty((g, g)), np.empty(g)
    A, Y = np.empty((largest, largest)), np.empty((largest, 1))
    M_all, H_all, P_all = np.empty((U, p, p)), np.empty((U, p, p)), np.empty((U, p, p))
    Bw, PB = np.empty((J, p, 1)), np.empty((J, p, 1))
    Rw = np.empty((R.shape[0], 1))
    w, z = np.empty(m), np.empty(p)
    for i in range(n):
        Lam, s_i = Lambda[i, term], sigma[i]
        ok, _, _ = _coefficients(Q[i], 1.0 / (s_i * s_i), D[i], dm, fixed[i], Ac, v)
        if not ok:
            for a in range(g):
                coef[i, a] = np.nan
            continue
        for a in range(g - 1, -1, -1):
            s = v[a] + e_coef[i, a]
            for b in range(a + 1, g):
                s -= Ac[b, a] * coef[i, b]
            coef[i, a] = s / Ac[a, a]
        for a in range(g):
            w[a] = -coef[i, a]
        for a in range(H):
            w[g + a] = -fixed[i, a]
        w[m - 1] = 1.0
        total, at = 0.0, 0
        for a in range(m):
            for b in range(a):
                total += 2.0 * w[a] * w[b] * WW[at]
                at += 1
            total += w[a] * w[a] * WW[at]
            at += 1
        for u in range(U):
            _factor_level(Lam, S[u], p, M_all[u], H_all[u], P_all[u])
        for j in range(J):
            for x in range(p):
                s = 0.0
                for k in range(m):
                    s += B[j, x, k] * w[k]
                Bw[j, x, 0] = s
        if n_components > 0:
            for j in range(J):
                P = P_all[inverse[j]]
                for x in range(p):
                    s = 0.0
                    for y in range(p):
                        s += P[x, y] * Bw[j, y, 0]
                    PB[j, x, 0] = s
            for a in range(R.shape[0]):
                s = 0.0
                for k in range(m):
                    s += R[a, k] * w[k]
                Rw[a, 0] = s
            for c in range(n_components):
                width = _schur(
                    Lambda[i], c, P_all, inverse, PB, Rw, block_start, block_term, sizes, component_start, G_start, G,
                    level_start, levels, C_start, C_column, C, A, Y,
                )  # fmt: skip
                _cholesky(A, width)
                column0 = block_start[component_start[c]]
                for a in range(width):
                    s = Y[a, 0]
                    for b in range(a):
                        s -= A[a, b] * Y[b, 0]
                    Y[a, 0] = s / A[a, a]
                for a in range(width - 1, -1, -1):
                    s = Y[a, 0] / s_i + z_rest[i, column0 + a]
                    for b in range(a + 1, width):
                        s -= A[b, a] * z_rest[i, column0 + b]
                    z_rest[i, column0 + a] = s / A[a, a]
                for block in range(component_start[c], component_start[c + 1]):
                    t, s0 = block_term[block], block_start[block]
                    for x in range(sizes[t]):
                        s = 0.0
                        for y in range(x + 1):
                            s += Lambda[i, t, x, y] * z_rest[i, s0 + y]
                        b_rest[i, s0 + x] = s * s_i
                at = G_start[c]
                for a in range(width):
                    total -= 2.0 * b_rest[i, column0 + a] * Rw[column0 + a, 0]
                    for b in range(width):
                        total += b_rest[i, column0 + a] * G[at + a * width + b] * b_rest[i, column0 + b]
                for where in range(level_start[c], level_start[c + 1]):
                    j = levels[where]
                    for e in range(C_start[j], C_start[j + 1]):
                        for x in range(p):
                            Bw[j, x, 0] -= C[e, x] * b_rest[i, column0 + C_column[e]]
        for j in range(J):
            u = inverse[j]
            M, Hu = M_all[u], H_all[u]
            # L⁻¹Λ'(Z'residual)/σ + ε, then L'⁻¹
            for x in range(p):
                s = 0.0
                for y in range(p):
                    s += Hu[x, y] * Bw[j, y, 0]
                z[x] = s / s_i + z_first[i, j, x]
            for x in range(p - 1, -1, -1):
                s = z[x]
                for y in range(x + 1, p):
                    s -= M[y, x] * z[y]
                z[x] = s / M[x, x]
            for x in range(p):
                s = 0.0
                for y in range(x + 1):
                    s += Lam[x, y] * z[y]
                b_first[i, j, x] = s * s_i
                z_first[i, j, x] = z[x]
            for x in range(p):
                total -= 2.0 * b_first[i, j, x] * Bw[j, x, 0]
                for y in range(p):
                    total += b_first[i, j, x] * S[u, x, y] * b_first[i, j, y]
        rss[i] = total
