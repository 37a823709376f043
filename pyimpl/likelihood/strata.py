"""The criterion of models with strata, with exact gradient and Hessian, and its search.

What strata are: :mod:`pyimpl.likelihood.block_structure`.

With d_k = 1 + Σ_f ψ_f λ_fk, ψ_f = θ_f², each evaluation is a sum over few rows, and V is never formed. X is scaled such
that X'V⁻¹X = I; z_k = u_k'[X, e] with e = y − Xβ̂, x_k are the squares of e without a row, m = n or n − p, and

    M_f = Σ_k λ_fk (z_k z_k' + x_k) / d_k²,
    ∂/∂ψ_f = Σ_k c_k λ_fk / d_k − (m/r²) M_f,ee − [REML] tr M_f,xx,
    ∂²/∂ψ_f∂ψ_g = Σ_k λ_fk λ_gk (−c_k / d_k² + 2 ((m/r²)(z_ke² + x_k) + [REML] |z_kx|²) / d_k³)
        − 2 (m/r²) M_f,xe·M_g,xe − m M_f,ee M_g,ee / r⁴ − [REML] tr(M_f,xx M_g,xx).
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood.one_factor import cholesky_profile, contrasts
from pyimpl.likelihood.trust_region import EXACT, absorb, begin

__all__ = ["criterion", "search"]


@kernel
def criterion(theta, data, df, REML, parts, gradient, hessian):  # type: ignore[no-untyped-def] # pragma: no cover
    """Evaluate the criterion without its constant, with gradient and Hessian.

    `data` is (variances (n, K), counts (K,), rows (K, P + 1) of u'[X, y], squares (K,) of the response besides,
    ``within``, ``within_root``); `parts` receives log|V|, log|R_X|² in the basis, r².
    """
    variances, counts, rows, squares, within, root = data
    n, K = variances.shape
    m = rows.shape[1]
    P = m - 1
    S, inverse = within.copy(), np.empty(K)
    log_det, product = 0.0, 1.0
    for k in range(K):
        total = 1.0
        for f in range(n):
            total += theta[f] * theta[f] * variances[f, k]
        if counts[k] == 1.0:
            product *= total
            if product > 1e200:
                log_det += np.log(product)
                product = 1.0
        elif counts[k] > 0.0:
            log_det += counts[k] * np.log(total)
        total = 1.0 / total
        inverse[k] = total
        for a in range(m):
            x = rows[k, a] * total
            for b in range(a + 1):
                S[a, b] += x * rows[k, b]
        S[P, P] += squares[k] * total
    log_det += np.log(product)
    gradient[:] = np.nan
    L, Q = np.zeros((m, m)), np.empty((m, m))
    if not np.isfinite(log_det) or not cholesky_profile(S, P, L):
        return np.inf
    contrasts(L, P, Q)
    # r² as a sum of squares: an error of β̂ counts only squared, and nothing cancels
    prss = 0.0
    for a in range(m):
        total = 0.0
        for c in range(a, m):
            total += root[a, c] * Q[c, P]
        prss += total * total
    z = np.empty((K, m))
    for k in range(K):
        for c in range(m):
            total = 0.0
            for b in range(c + 1):
                total += rows[k, b] * Q[b, c]
            z[k, c] = total
        prss += (z[k, P] * z[k, P] + squares[k]) * inverse[k]
    log_RX = 0.0
    for a in range(P):
        log_RX += 2.0 * np.log(L[a, a])
    parts[0], parts[1], parts[2] = log_det, log_RX, prss
    value = log_det + df * np.log(prss)
    if REML:
        value += log_RX
    if not np.isfinite(value):
        return np.inf
    weight = df / prss
    lowest = 0 if REML else P
    M, slope = np.zeros((n, m, m)), np.zeros(n)
    hessian[:] = 0.0
    for k in range(K):
        d = inverse[k]
        square = weight * (z[k, P] * z[k, P] + squares[k])
        if REML:
            for c in range(P):
                square += z[k, c] * z[k, c]
        curvature = (2.0 * square * d - counts[k]) * d * d
        for f in range(n):
            at = variances[f, k]
            if at == 0.0:
                continue
            slope[f] += counts[k] * at * d
            for g in range(f + 1):
                hessian[f, g] += at * variances[g, k] * curvature
            at *= d * d
            for a in range(lowest, m):
                x = at * z[k, a]
                for b in range(a + 1):
                    M[f, a, b] += x * z[k, b]
            M[f, P, P] += at * squares[k]
    for f in range(n):
        slope[f] -= weight * M[f, P, P]
        if REML:
            for c in range(P):
                slope[f] -= M[f, c, c]
        gradient[f] = 2.0 * theta[f] * slope[f]
    for f in range(n):
        for g in range(f + 1):
            total = hessian[f, g] - df * (M[f, P, P] / prss) * (M[g, P, P] / prss)
            for c in range(P):
                total -= 2.0 * weight * M[f, P, c] * M[g, P, c]
            if REML:
                for a in range(P):
                    for b in range(a):
                        total -= 2.0 * M[f, a, b] * M[g, a, b]
                    total -= M[f, a, a] * M[g, a, a]
            total *= 4.0 * theta[f] * theta[g]
            if f == g:
                total += 2.0 * slope[f]
            hessian[f, g] = total
            hessian[g, f] = total
    return value


@kernel
def search(start, units, budget, work, data, df, REML, parts):  # type: ignore[no-untyped-def] # pragma: no cover
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
        value = criterion(theta, data, df, REML, parts, g, H)
        if np.isnan(initial):
            initial = value
        for k in range(n):
            g[k] *= units[k]
            for i in range(n):
                H[k, i] *= units[k] * units[i]
        done = absorb(work, value, g, H, EXACT, budget)
    return initial
