"""Compiled kernels of the collapsed posterior (see :mod:`pyimpl.posterior.collapsed` for the algebra).

Each works on a batch of points; ``Lambda`` has shape (n, terms, pmax, pmax). Symmetric m × m matrices are packed by
rows of their lower triangle.
"""

import numpy as np

from pyimpl.compiled import kernel

__all__ = [
    "cholesky_lower",
    "draw",
    "factor_coefficients",
    "factor_level",
    "forward_solve",
    "marginal",
    "reduce_first",
    "reduce_rest",
    "schur_scaled",
    "schur_unscaled",
    "subtract_products",
    "times_each_level",
]

_LAPACK_FROM = 48  # columns from which LAPACK's Cholesky beats the plain loops


@kernel
def factor_level(Lam: np.ndarray, S: np.ndarray, p: int, M: np.ndarray, H: np.ndarray, P: np.ndarray) -> float:
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


@kernel("f4 i f3 f1 f3 f1")
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
                total += count[u] * factor_level(Lam, S[u], p, M, H, P)
                pair = 0
                for a in range(p):
                    for b in range(a + 1):
                        c = P[a, b]
                        for k in range(width):
                            Q[i, k] -= c * E[u, pair, k]
                        pair += 1
        logdet[i] = total
    return logdet, Q


@kernel
def cholesky_lower(A: np.ndarray, n: int) -> bool:
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


@kernel
def schur_unscaled(
    component: int,
    P_all: np.ndarray,
    inverse: np.ndarray,
    PB: np.ndarray,
    R: np.ndarray,
    block_start: np.ndarray,
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
    """Z₂'Z₂ − Z₂'Z₁ P Z₁'Z₂ of one component into A (lower triangle), R − Z₂'Z₁ PB into Y; its width.

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
    Ct, scratch, PC = np.empty((p, n)), np.empty(n), np.empty(p)
    for where in range(level_start[component], level_start[component + 1]):
        j = levels[where]
        P = P_all[inverse[j]]
        begin, width = C_start[j], C_start[j + 1] - C_start[j]
        # a level that meets many columns: whole rows, zeros included, are faster than picking columns
        whole = 3 * width >= n
        if whole:
            Ct[:] = 0.0
        for e in range(width):
            at = C_column[begin + e] if whole else e
            for x in range(p):
                Ct[x, at] = C[begin + e, x]
        for e in range(width):
            column = C_column[begin + e]
            for x in range(p):
                s = 0.0
                for y in range(p):
                    s += P[x, y] * C[begin + e, y]
                PC[x] = s
            for k in range(m):
                s = 0.0
                for x in range(p):
                    s += C[begin + e, x] * PB[j, x, k]
                Y[column, k] -= s
            # columns are sorted within a level: the lower triangle
            if whole:
                row = A[column, : column + 1]
                for x in range(0, p - 1, 2):  # two at a time: half the passes over the row
                    s0, s1, c0, c1 = PC[x], PC[x + 1], Ct[x], Ct[x + 1]
                    for f in range(row.size):
                        row[f] -= s0 * c0[f] + s1 * c1[f]
                if p % 2 == 1:
                    s, c = PC[p - 1], Ct[p - 1]
                    for f in range(row.size):
                        row[f] -= s * c[f]
                continue
            for f in range(e + 1):
                scratch[f] = 0.0
            for x in range(p):
                s, c = PC[x], Ct[x]
                for f in range(e + 1):
                    scratch[f] += s * c[f]
            for f in range(e + 1):
                A[column, C_column[begin + f]] -= scratch[f]
    return n


@kernel
def schur_scaled(
    Lam_all: np.ndarray,
    component: int,
    block_start: np.ndarray,
    block_term: np.ndarray,
    sizes: np.ndarray,
    component_start: np.ndarray,
    A: np.ndarray,
    Y: np.ndarray,
) -> None:
    """Turn A into I + Λ₂'AΛ₂ (lower triangle) and Y into Λ₂'Y, in place."""
    m = Y.shape[1]
    first_block, last_block = component_start[component], component_start[component + 1]
    column0 = block_start[first_block]
    n = block_start[last_block] - column0
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


@kernel
def times_each_level(P_all: np.ndarray, inverse: np.ndarray, B: np.ndarray, PB: np.ndarray) -> None:
    """P_jB_j of each level into ``PB`` (J, p, m); ``inverse`` (J,) says which of the different P (U, p, p) is P_j."""
    for j in range(B.shape[0]):
        P = P_all[inverse[j]]
        for x in range(B.shape[1]):
            for k in range(B.shape[2]):
                s = 0.0
                for y in range(B.shape[1]):
                    s += P[x, y] * B[j, y, k]
                PB[j, x, k] = s


@kernel
def forward_solve(L: np.ndarray, width: int, Y: np.ndarray) -> None:
    """Y becomes L⁻¹Y; L (lower triangle) and Y of so many rows."""
    for a in range(width):
        for k in range(Y.shape[1]):
            s = Y[a, k]
            for b in range(a):
                s -= L[a, b] * Y[b, k]
            Y[a, k] = s / L[a, a]


@kernel
def subtract_products(Y: np.ndarray, X: np.ndarray, width: int, packed: np.ndarray) -> None:
    """Take Y'X, symmetric, of so many rows off a matrix that is packed by rows of its lower triangle."""
    at = 0
    for k in range(Y.shape[1]):
        for h in range(k + 1):
            s = 0.0
            for a in range(width):
                s += Y[a, k] * X[a, h]
            packed[at] -= s
            at += 1


@kernel("f4 i f3 i1 f3 f2 i1 i1 i1 i1 i1 f1 i1 i1 i1 i1 f2 f1 f2")
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
            factor_level(Lambda[i, term], S[u], p, M, H, P_all[u])
        times_each_level(P_all, inverse, B, PB)
        for c in range(n_components):
            width = schur_unscaled(
                c, P_all, inverse, PB, R, block_start, component_start, G_start, G, level_start, levels, C_start,
                C_column, C, A, Y,
            )  # fmt: skip
            schur_scaled(Lambda[i], c, block_start, block_term, sizes, component_start, A, Y)
            if not cholesky_lower(A, width):
                logdet[i] = np.nan
                break
            for a in range(width):
                logdet[i] += 2.0 * np.log(A[a, a])
            forward_solve(A, width, Y)
            subtract_products(Y, Y, width, Q[i])


@kernel
def factor_coefficients(
    Q: np.ndarray, inv_s2: float, D: np.ndarray, dm: np.ndarray, fixed: np.ndarray, A: np.ndarray, v: np.ndarray
) -> tuple[bool, float]:
    """Factor A = LL', and v = L⁻¹h: whether it worked, and log|A|."""
    g, H = D.size, fixed.size
    last = g + H
    base = last * (last + 1) // 2
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
                    return False, 0.0
                A[a, a] = np.sqrt(s)
                logdet += np.log(s)
            else:
                A[a, b] = s / A[b, b]
        r = Q[base + a]
        for x in range(H):
            r -= Q[(g + x) * (g + x + 1) // 2 + a] * fixed[x]
        h = r * inv_s2 + D[a] * dm[a]
        for c in range(a):
            h -= A[a, c] * v[c]
        v[a] = h / A[a, a]
    return True, logdet


@kernel("f2 f1 f1 f2 f1 f2")
def marginal(
    Q: np.ndarray, logdet: np.ndarray, sigma: np.ndarray, D: np.ndarray, dm: np.ndarray, fixed: np.ndarray
) -> np.ndarray:
    """−½ log|V| − ½ log|A| − ½ min over c of w'Qw/σ² + (c − d)'D(c − d), where w = (−c, −fixed, 1); shape (n,).

    The quadratic is evaluated at its minimum: in ``d'Dd − h'A⁻¹h``, which it equals, two numbers of the size of D
    cancel, and a prior may have scales of 1e-6 and less.

    Parameters
    ----------
    Q : ndarray, shape (n, m (m + 1)/2)
        W'V⁻¹W, packed by rows of the lower triangle.
    logdet, sigma : ndarray, shape (n,)
        log|V| and σ.
    D : ndarray, shape (n, g)
        Prior precisions of the integrated coefficients.
    dm : ndarray, shape (g,)
        d: prior means less the centre.
    fixed : ndarray, shape (n, H)
        The other coefficients less the centre.

    Returns
    -------
    ndarray, shape (n,)
        −inf where A has no Cholesky factor.
    """
    n, g, H = D.shape[0], D.shape[1], fixed.shape[1]
    A, c, w = np.empty((g, g)), np.empty(g), np.empty(g + H + 1)
    out = np.empty(n)
    w[g + H] = 1.0
    for i in range(n):
        inv_s2 = 1.0 / (sigma[i] * sigma[i])
        ok, logdet_A = factor_coefficients(Q[i], inv_s2, D[i], dm, fixed[i], A, c)
        if not ok:
            out[i] = -np.inf
            continue
        quad = 0.0
        for a in range(g - 1, -1, -1):
            for b in range(a + 1, g):
                c[a] -= A[b, a] * c[b]
            c[a] /= A[a, a]
            w[a] = -c[a]
        for a in range(H):
            w[g + a] = -fixed[i, a]
        at = 0
        for a in range(g + H + 1):
            s = 0.0
            for b in range(a):
                s += w[b] * Q[i, at]
                at += 1
            quad += w[a] * (2.0 * s + w[a] * Q[i, at])
            at += 1
        quad *= inv_s2
        for a in range(g):
            quad += D[i, a] * (c[a] - dm[a]) ** 2
        out[i] = -0.5 * (logdet[i] + logdet_A + quad)
    return out


@kernel
def _draw_first(
    Lam: np.ndarray,
    sigma: float,
    S: np.ndarray,
    inverse: np.ndarray,
    Bw: np.ndarray,
    factor: np.ndarray,
    M: np.ndarray,
    H: np.ndarray,
    P: np.ndarray,
    b: np.ndarray,
    at: int,
) -> tuple[float, float]:
    """Draw the first term's effects of one row of ``b``, in place of its standard normals ε.

    With L L' = I + Λ'SΛ: z = L'⁻¹(L⁻¹Λ'Bw/σ + ε), b = σΛz. ``Bw`` (J, p, 1) is Z'residual; ``factor`` (U, 5) and
    ``M``, ``H``, ``P`` (U, p, p) are work space.

    Returns
    -------
    change : float
        Of the residual sum of squares: Σ b'Sb − 2 b'Bw.
    square : float
        Σ z'z.
    """
    U, p, J = S.shape[0], S.shape[1], inverse.size
    change, square = 0.0, 0.0
    if p == 1:
        lam = Lam[0, 0]
        for u in range(U):
            D = 1.0 / (1.0 + lam * lam * S[u, 0, 0])
            factor[u, 0] = lam * D / sigma
            factor[u, 1] = np.sqrt(D)
            factor[u, 2] = S[u, 0, 0]
        scale = sigma * lam
        for j in range(J):
            f, k = factor[inverse[j]], at + j
            r = Bw[j, 0, 0]
            z = f[0] * r + f[1] * b[k]
            e = scale * z
            b[k] = e
            square += z * z
            change += e * (f[2] * e - 2.0 * r)
    elif p == 2:
        l11, l21, l22 = Lam[0, 0], Lam[1, 0], Lam[1, 1]
        for u in range(U):
            s11, s21, s22 = S[u, 0, 0], S[u, 1, 0], S[u, 1, 1]
            a1, a2 = s11 * l11 + s21 * l21, s21 * l11 + s22 * l21  # SΛ's first column
            m11 = np.sqrt(1.0 + l11 * a1 + l21 * a2)
            m21 = l22 * a2 / m11
            m22 = np.sqrt(1.0 + l22 * l22 * s22 - m21 * m21)
            factor[u, 0], factor[u, 1], factor[u, 2] = 1.0 / m11, m21, 1.0 / m22
        for j in range(J):
            u, k = inverse[j], at + 2 * j
            i11, m21, i22 = factor[u, 0], factor[u, 1], factor[u, 2]
            r1, r2 = Bw[j, 0, 0], Bw[j, 1, 0]
            v1 = (l11 * r1 + l21 * r2) / sigma * i11
            v2 = (l22 * r2 / sigma - m21 * v1) * i22
            z2 = (v2 + b[k + 1]) * i22
            z1 = (v1 + b[k] - m21 * z2) * i11
            e1, e2 = sigma * l11 * z1, sigma * (l21 * z1 + l22 * z2)
            b[k], b[k + 1] = e1, e2
            square += z1 * z1 + z2 * z2
            change += e1 * (S[u, 0, 0] * e1 + 2.0 * (S[u, 1, 0] * e2 - r1)) + e2 * (S[u, 1, 1] * e2 - 2.0 * r2)
    else:
        z = np.empty(p)
        for u in range(U):
            factor_level(Lam, S[u], p, M[u], H[u], P[u])
        for j in range(J):
            u, k = inverse[j], at + p * j
            for x in range(p):
                s = 0.0
                for y in range(p):
                    s += H[u, x, y] * Bw[j, y, 0]
                z[x] = s / sigma + b[k + x]
            for x in range(p - 1, -1, -1):
                s = z[x]
                for y in range(x + 1, p):
                    s -= M[u, y, x] * z[y]
                z[x] = s / M[u, x, x]
                square += z[x] * z[x]
            for x in range(p):
                s = 0.0
                for y in range(x + 1):
                    s += Lam[x, y] * z[y]
                b[k + x] = s * sigma
            for x in range(p):
                change -= 2.0 * b[k + x] * Bw[j, x, 0]
                for y in range(p):
                    change += b[k + x] * S[u, x, y] * b[k + y]
    return change, square


@kernel
def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two small arrays of three dimensions are equal."""
    for t in range(one.shape[0]):
        for x in range(one.shape[1]):
            for y in range(one.shape[2]):
                if one[t, x, y] != other[t, x, y]:
                    return False
    return True


@kernel("f4 i f3 i1 f3 f1 f2 i1 i1 i1 i1 i1 f1 i1 i1 i1 i1 f2 f2 f1 f2 f1 f2 f2 i1 i1 f2 f2 f1 f1")
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
    term_start: np.ndarray,
    rest_at: np.ndarray,
    coef: np.ndarray,
    b: np.ndarray,
    rss: np.ndarray,
    z_square: np.ndarray,
) -> None:
    """Exact draws of the coefficients (as deviations from ĉ) and of all random effects, given the coordinates.

    ``Q`` is that of :func:`reduce_first`: the other terms' part is taken off it here, so that each point is factored
    once, and points that follow each other with the same Λ (rejected proposals) together. ``b`` (n, Σ p (J + 1)) and
    ``e_coef`` come in as standard normals; ``b`` goes out as the random effects in R's order, the padded levels
    included. ``term_start`` says where each term stands in a row of ``b``, ``rest_at`` where each column of the rest
    does. ``rss`` is the weighted residual sum of squares, ``z_square`` the sum of squares of the standardised effects
    (b = T z).
    """
    n, U, p, J, m = Lambda.shape[0], S.shape[0], S.shape[1], B.shape[0], B.shape[2]
    g, H = D.shape[1], fixed.shape[1]
    n_components = component_start.size - 1
    Ac, v = np.empty((g, g)), np.empty(g)
    M, H_level = np.empty((p, p)), np.empty((p, p))
    M_all, H_all, P_all = np.empty((U, p, p)), np.empty((U, p, p)), np.empty((U, p, p))
    factor = np.empty((U, 3))
    Bw = np.empty((J, p, 1))
    PB = np.empty((J if n_components > 0 else 0, p, m))
    A_all, Y_all = np.empty(G.size), np.empty((R.shape[0], m))  # factors and L⁻¹Λ₂'V, component by component
    x_all, rest_part = np.empty(R.shape[0]), np.empty(WW.size)
    w, pad = np.empty(m), np.empty(Lambda.shape[2])
    for i in range(n):
        Lam, s_i = Lambda[i, term], sigma[i]
        if n_components > 0 and (i == 0 or not _same(Lambda[i], Lambda[i - 1])):
            for u in range(U):
                factor_level(Lam, S[u], p, M, H_level, P_all[u])
            times_each_level(P_all, inverse, B, PB)
            rest_part[:] = 0.0
            for c in range(n_components):
                column0 = block_start[component_start[c]]
                width = block_start[component_start[c + 1]] - column0
                A = A_all[G_start[c] : G_start[c + 1]].reshape(width, width)
                Y = Y_all[column0 : column0 + width]
                schur_unscaled(
                    c, P_all, inverse, PB, R, block_start, component_start, G_start, G, level_start, levels, C_start,
                    C_column, C, A, Y,
                )  # fmt: skip
                schur_scaled(Lambda[i], c, block_start, block_term, sizes, component_start, A, Y)
                cholesky_lower(A, width)
                forward_solve(A, width, Y)
                subtract_products(Y, Y, width, rest_part)
        if n_components > 0:
            for k in range(WW.size):
                Q[i, k] += rest_part[k]
        ok, _ = factor_coefficients(Q[i], 1.0 / (s_i * s_i), D[i], dm, fixed[i], Ac, v)
        if not ok:
            for a in range(g):
                coef[i, a] = np.nan
            continue
        for a in range(g - 1, -1, -1):
            s = v[a] + e_coef[i, a]
            for k in range(a + 1, g):
                s -= Ac[k, a] * coef[i, k]
            coef[i, a] = s / Ac[a, a]
        for a in range(g):
            w[a] = -coef[i, a]
        for a in range(H):
            w[g + a] = -fixed[i, a]
        w[m - 1] = 1.0
        total, square, at = 0.0, 0.0, 0
        for a in range(m):
            for k in range(a):
                total += 2.0 * w[a] * w[k] * WW[at]
                at += 1
            total += w[a] * w[a] * WW[at]
            at += 1
        for j in range(J):
            for x in range(p):
                s = 0.0
                for k in range(m):
                    s += B[j, x, k] * w[k]
                Bw[j, x, 0] = s
        for c in range(n_components):
            column0 = block_start[component_start[c]]
            width = block_start[component_start[c + 1]] - column0
            A = A_all[G_start[c] : G_start[c + 1]].reshape(width, width)
            x_c = x_all[column0 : column0 + width]
            for a in range(width):
                s = 0.0
                for k in range(m):
                    s += Y_all[column0 + a, k] * w[k]
                x_c[a] = s / s_i + b[i, rest_at[column0 + a]]
            for a in range(width - 1, -1, -1):
                z = x_c[a] / A[a, a]
                x_c[a] = z
                square += z * z
                for k in range(a):
                    x_c[k] -= A[a, k] * z
            for block in range(component_start[c], component_start[c + 1]):
                t, s0 = block_term[block], block_start[block] - column0
                for x in range(sizes[t] - 1, -1, -1):
                    s = 0.0
                    for y in range(x + 1):
                        s += Lambda[i, t, x, y] * x_c[s0 + y]
                    x_c[s0 + x] = s * s_i
            at = G_start[c]
            for a in range(width):
                e = x_c[a]
                b[i, rest_at[column0 + a]] = e
                s = 0.0
                for k in range(width):
                    s += G[at + a * width + k] * x_c[k]
                for k in range(m):
                    s -= 2.0 * R[column0 + a, k] * w[k]
                total += e * s
            for where in range(level_start[c], level_start[c + 1]):
                j = levels[where]
                for k in range(C_start[j], C_start[j + 1]):
                    e = x_c[C_column[k]]
                    for x in range(p):
                        Bw[j, x, 0] -= C[k, x] * e
        change, own = _draw_first(
            Lam, s_i, S, inverse, Bw, factor, M_all, H_all, P_all, b[i], term_start[term]
        )  # fmt: skip
        rss[i], square = total + change, square + own
        for t in range(sizes.size):
            k, width = term_start[t + 1] - sizes[t], sizes[t]
            for x in range(width):
                pad[x] = b[i, k + x]
                square += pad[x] * pad[x]
            for x in range(width):
                s = 0.0
                for y in range(x + 1):
                    s += Lambda[i, t, x, y] * pad[y]
                b[i, k + x] = s * s_i
        z_square[i] = square
