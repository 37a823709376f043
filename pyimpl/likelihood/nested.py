"""The criterion of two factors of which one is nested in the other, one effect a level, balanced or not; its search.

Levels j of the inner factor lie in one level c of the outer factor each. With ψ₁, ψ₂ the squares of the inner and the
outer θ, d_j = 1 + ψ₁λ_j, and v_j = q_j'Z_c, c_j = q_j'[X, y] (notation of :mod:`pyimpl.likelihood.reduce`), let

    s_c = Z_c'(I − QQ')Z_c + Σ_j v_j² / d_j,   h_c = Z_c'(I − QQ')[X, y] + Σ_j v_j c_j / d_j,    ρ_c = ψ₂ / (1 + ψ₂s_c).

Then log|V| = Σ_j log d_j + Σ_c log(1 + ψ₂s_c), and A = [X, y]'V⁻¹[X, y] is [X, y]'(I − QQ')[X, y] + Σ_j c_j c_j' / d_j
− Σ_c ρ_c h_c h_c'. All this is differentiated twice; with X scaled such that X'V⁻¹X = I, e = y − Xβ̂, and m = n or
n − p, derivatives of the criterion are

    log|V|_k + (m/r²) A_k,ee + [REML] tr A_k,xx,
    log|V|_kl + (m/r²)(A_kl,ee − 2 A_k,xe·A_l,xe) − m A_k,ee A_l,ee / r⁴ + [REML] (tr A_kl,xx − tr A_k,xx A_l,xx).
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood.one_factor import cholesky_profile, contrasts
from pyimpl.likelihood.reduce import Blocks
from pyimpl.likelihood.trust_region import EXACT, WORK, absorb, begin

__all__ = ["criterion", "nested_data", "search"]

#: What the functions here need of a model (:func:`nested_data`), in a kernel's signature.
DATA = "(f1 f1 i1 f2 f2 f1 f2)"

#: Pairs of ψ of which each second derivative is.
_PAIRS = ((0, 0), (0, 1), (1, 1))


@kernel
def _congruent(A, Q, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = Q'AQ for symmetric A given by its lower triangle and upper triangular Q."""
    m = A.shape[0]
    image = np.zeros((m, m))
    for a in range(m):
        for c in range(m):
            for b in range(c + 1):
                image[a, c] += (A[a, b] if b <= a else A[b, a]) * Q[b, c]
    for a in range(m):
        for c in range(m):
            total = 0.0
            for b in range(a + 1):
                total += Q[b, a] * image[b, c]
            out[a, c] = total


@kernel
def _sums(psi, data, log_det, A):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Put log|V| in `log_det` and A (lower triangle) in `A`, each followed by its derivatives: 1, 2, 11, 12, 22."""
    variances, v, outer, C, within, within_o, within_d = data
    J, m = C.shape
    q = within_o.shape[0]
    s, s1, s11 = within_o.copy(), np.zeros(q), np.zeros(q)
    h, h1, h11 = within_d.copy(), np.zeros((q, m)), np.zeros((q, m))
    log_det[:] = 0.0
    A[:] = 0.0
    A[0] = within
    product, first, second = 1.0, 0.0, 0.0
    for j in range(J):
        total = 1.0 + psi[0] * variances[j]
        product *= total
        if product > 1e200:
            log_det[0] += np.log(product)
            product = 1.0
        d = 1.0 / total
        t = variances[j] * d
        first += t
        second -= t * t
        k, x = outer[j], v[j] * v[j] * d
        s[k] += x
        s1[k] -= x * t
        s11[k] += 2.0 * x * t * t
        for a in range(m):
            x = C[j, a] * d
            y = x * t
            z = 2.0 * y * t
            h[k, a] += v[j] * x
            h1[k, a] -= v[j] * y
            h11[k, a] += v[j] * z
            for b in range(a + 1):
                A[0, a, b] += x * C[j, b]
                A[1, a, b] -= y * C[j, b]
                A[3, a, b] += z * C[j, b]
    log_det[0] += np.log(product)
    log_det[1], log_det[3] = first, second
    product = 1.0
    for k in range(q):
        total = 1.0 + psi[1] * s[k]
        product *= total
        if product > 1e200:
            log_det[0] += np.log(product)
            product = 1.0
        d = 1.0 / total
        r = psi[1] * d
        log_det[1] += r * s1[k]
        log_det[2] += s[k] * d
        log_det[3] += r * s11[k] - r * s1[k] * r * s1[k]
        log_det[4] += s1[k] * d * d
        log_det[5] -= s[k] * d * s[k] * d
        r1, r2, r22 = -r * r * s1[k], d * d, -2.0 * s[k] * d * d * d
        r11, r12 = 2.0 * r * r * r * s1[k] * s1[k] - r * r * s11[k], -2.0 * r * r2 * s1[k]
        for a in range(m):
            for b in range(a + 1):
                x, y = h[k, a] * h[k, b], h1[k, a] * h[k, b] + h[k, a] * h1[k, b]
                z = h11[k, a] * h[k, b] + h[k, a] * h11[k, b] + 2.0 * h1[k, a] * h1[k, b]
                A[0, a, b] -= r * x
                A[1, a, b] -= r1 * x + r * y
                A[2, a, b] -= r2 * x
                A[3, a, b] -= r11 * x + 2.0 * r1 * y + r * z
                A[4, a, b] -= r12 * x + r2 * y
                A[5, a, b] -= r22 * x
    log_det[0] += np.log(product)


@kernel(f"f1 i {DATA} f b f1 f1 f2")
def criterion(theta, inner, data, df, REML, parts, gradient, hessian):  # type: ignore[no-untyped-def] # pragma: no cover
    """Evaluate the criterion without its constant, with gradient and Hessian; `inner` is the place of the inner θ.

    `data` is what :func:`nested_data` gives; `parts` receives log|V|, log|R_X|² in the basis, r².
    """
    m = data[3].shape[1]
    P = m - 1
    psi, place = np.empty(2), np.empty(2, dtype=np.int64)
    place[0], place[1] = inner, 1 - inner
    for k in range(2):
        psi[k] = theta[place[k]] * theta[place[k]]
    log_det, A = np.empty(6), np.empty((6, m, m))
    _sums(psi, data, log_det, A)
    gradient[:] = np.nan
    L, Q = np.zeros((m, m)), np.empty((m, m))
    if not np.isfinite(log_det[0]) or not cholesky_profile(A[0], P, L):
        return np.inf
    contrasts(L, P, Q)
    prss = L[P, P] * L[P, P]
    log_RX = 0.0
    for a in range(P):
        log_RX += 2.0 * np.log(L[a, a])
    parts[0], parts[1], parts[2] = log_det[0], log_RX, prss
    value = log_det[0] + df * np.log(prss)
    if REML:
        value += log_RX
    if not np.isfinite(value):
        return np.inf
    weight = df / prss
    G = np.empty((6, m, m))
    slope = np.empty(2)
    for k in range(1, 6):
        _congruent(A[k], Q, G[k])
        total = log_det[k] + weight * G[k, P, P]
        if REML:
            for c in range(P):
                total += G[k, c, c]
        log_det[k] = total
    for k in range(2):
        slope[k] = log_det[k + 1]
        gradient[place[k]] = 2.0 * theta[place[k]] * slope[k]
    for at in range(3):
        k, i = _PAIRS[at]
        left, right = G[k + 1], G[i + 1]
        total = log_det[at + 3] - df * (left[P, P] / prss) * (right[P, P] / prss)
        for c in range(P):
            total -= 2.0 * weight * left[P, c] * right[P, c]
        if REML:
            for a in range(P):
                for b in range(P):
                    total -= left[a, b] * right[a, b]
        total *= 4.0 * theta[place[k]] * theta[place[i]]
        if k == i:
            total += 2.0 * slope[k]
        hessian[place[k], place[i]] = total
        hessian[place[i], place[k]] = total
    return value


@kernel(f"f1 f1 i {WORK} i {DATA} f b f1")
def search(start, units, budget, work, inner, data, df, REML, parts):  # type: ignore[no-untyped-def] # pragma: no cover
    """Minimise from a start, in coordinates θ / units; returns the criterion at the start.

    The workspace is that of :mod:`pyimpl.likelihood.trust_region`.
    """
    theta, g, H = np.empty(2), np.empty(2), np.empty((2, 2))
    begin(work, start)
    trial = work[3]
    initial = np.nan
    done = False
    while not done:
        for k in range(2):
            theta[k] = trial[k] * units[k]
        value = criterion(theta, inner, data, df, REML, parts, g, H)
        if np.isnan(initial):
            initial = value
        for k in range(2):
            g[k] *= units[k]
            for i in range(2):
                H[k, i] *= units[k] * units[i]
        done = absorb(work, value, g, H, EXACT, budget)
    return initial


def nested_data(blocks: Blocks) -> tuple[np.ndarray, ...] | None:
    """What the functions here need of a model; None where its factors are not two, of one effect each, and nested.

    Parameters
    ----------
    blocks : Blocks

    Returns
    -------
    tuple of ndarray, or None
        λ (J,), v (J,), outer level (J,), c (J, P + 1), ``within``, and of the outer factor the diagonal of
        ``Others.within`` and ``Others.within_dense``.
    """
    others = blocks.others
    if others is None or len(blocks.factors) != 2 or any(factor.p != 1 for factor in blocks.factors):
        return None
    J = blocks.factors[0].J
    # every level of the inner factor meets one of the outer factor, and those do not meet each other
    if others.columns.size != J or others.indptr[-1] != J or (others.indptr[1:] - others.indptr[:-1] != 1).any():
        return None
    diagonal = others.within.diagonal().copy()
    if np.count_nonzero(others.within) != np.count_nonzero(diagonal):
        return None
    R = blocks.R.reshape(J)
    return (
        R * R,
        others.values.reshape(J),
        others.columns,
        blocks.C.reshape(J, -1),
        blocks.within,
        diagonal,
        (others.within_dense),
    )
