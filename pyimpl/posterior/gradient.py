"""The gradient of the collapsed log density.

With f the log density, s = 1/σ², ĉ the conditional mean of the integrated coefficients, w = (−ĉ, −fixed, 1) the
weights of W's columns in the residual, and Ω = ww' + A⁻¹ (in the coefficients' block):

* ∂f/∂Q = −½ s Ω =: Ĝ; ∂f/∂s = −½ tr(ΩQ); ∂f/∂D = ½/D − ½ A⁻¹ − ½ (ĉ − m)²; ∂f/∂fixed = s Qw.
* The rest's terms, with A₂ = I + Λ₂'TΛ₂ their Schur complement, X̂ = A₂⁻¹Λ₂'V and N = Λ₂X̂:
  ∂f/∂Λ₂ = Λ₂'⁻¹ [−(I − A₂⁻¹) − 2 X̂ĜX̂'], summed over the diagonal blocks of each term.
* The first term, with M = I + Λ'SΛ for each level: ∂f/∂Λ = Λ'⁻¹ Σ_j [−(I − M⁻¹) + 2 M⁻¹Λ'F_jΛM⁻¹], where
  F_j = ½ C_jP₂C_j' − (B_j − C_jN)Ĝ(B_j − C_jN)' and P₂ = Λ₂A₂⁻¹Λ₂'.

(Derivatives of log determinants and of quadratic forms; all sums are over what one evaluation of the density makes
anyway.) The map from the coordinates to (σ, Λ, D, fixed, log prior) costs next to nothing, and is differentiated by
central differences: so every prior that the density knows has its gradient here too.
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.posterior.collapsed import CollapsedDensity, CoordinateValues
from pyimpl.posterior.kernels import (
    cholesky_lower,
    factor_coefficients,
    factor_level,
    schur_scaled,
    schur_unscaled,
    subtract_products,
    times_each_level,
)

__all__ = ["log_density_gradient"]

_STEP = 1e-5  # of the central differences: truncation 1e-10, rounding 1e-10


@kernel
def _inverse_from_cholesky(L: np.ndarray, n: int, out: np.ndarray) -> None:
    """(LL')⁻¹ of the leading n × n part of a lower factor, all of it, into ``out``."""
    for k in range(n):  # column k of L⁻¹, kept in the upper triangle of out (row k)
        out[k, k] = 1.0 / L[k, k]
        for a in range(k + 1, n):
            s = 0.0
            for c in range(k, a):
                s -= L[a, c] * out[k, c]
            out[k, a] = s / L[a, a]
    for a in range(n):  # L⁻¹'L⁻¹: element (a, b ≥ a) needs columns b, b + 1, ... of rows a and b
        for b in range(a, n):
            s = 0.0
            for c in range(b, n):
                s += out[a, c] * out[b, c]
            out[a, b] = s
    for a in range(n):
        for b in range(a):
            out[a, b] = out[b, a]


@kernel("f4 i f3 f1 f3 f1 i1 f3 f2 i1 i1 i1 i1 i1 f1 i1 i1 i1 i1 f2 f1 f2 f1 f2 f1 f4 f1 f2 f2")
def _likelihood_gradient(
    Lambda: np.ndarray,
    term: int,
    S: np.ndarray,
    count: np.ndarray,
    E: np.ndarray,
    WW: np.ndarray,
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
    sigma: np.ndarray,
    D: np.ndarray,
    dm: np.ndarray,
    fixed: np.ndarray,
    value: np.ndarray,
    d_Lambda: np.ndarray,
    d_sigma: np.ndarray,
    d_D: np.ndarray,
    d_fixed: np.ndarray,
) -> None:
    """What :func:`pyimpl.posterior.kernels.marginal` returns, and its derivatives, into the last five arguments.

    ``d_Lambda`` comes in as zeros. The value is −inf where a factor fails.
    """
    n, U, p, J, m = Lambda.shape[0], S.shape[0], S.shape[1], inverse.size, B.shape[2]
    g, H, packed = D.shape[1], fixed.shape[1], WW.size
    n_components = component_start.size - 1
    largest = 1
    for c in range(n_components):
        largest = max(largest, block_start[component_start[c + 1]] - block_start[component_start[c]])
    M, Hl = np.empty((p, p)), np.empty((p, p))
    P_all, M_inverse, F_all = np.empty((U, p, p)), np.empty((U, p, p)), np.empty((U, p, p))
    PB, residual, half = np.empty((J, p, m)), np.empty((p, m)), np.empty((p, m))
    A, Y = np.empty((largest, largest)), np.empty((largest, m))
    A_inverse = np.empty(G.size)  # component by component, as G; then Λ₂A₂⁻¹Λ₂'
    X_all, N_all = np.empty((R.shape[0], m)), np.empty((R.shape[0], m))
    work = np.empty((largest, largest))
    Ac, v, A_c_inverse, coef = np.empty((g, g)), np.empty(g), np.empty((g, g)), np.empty(g)
    Q, Q_full, Gq, w, Qw = np.empty(packed), np.empty((m, m)), np.empty((m, m)), np.empty(m), np.empty(m)
    left, sums = np.empty((p, p)), np.empty((p, largest))
    for i in range(n):
        Lam, s_i = Lambda[i, term], sigma[i]
        value[i] = -np.inf
        # ---------------------------------------------------------------- forwards
        logdet = 0.0
        for k in range(packed):
            Q[k] = WW[k]
        for u in range(U):
            logdet += count[u] * factor_level(Lam, S[u], p, M, Hl, P_all[u])
            _inverse_from_cholesky(M, p, M_inverse[u])
            pair = 0
            for a in range(p):
                for b in range(a + 1):
                    for k in range(packed):
                        Q[k] -= P_all[u, a, b] * E[u, pair, k]
                    pair += 1
        ok = True
        if n_components > 0:
            times_each_level(P_all, inverse, B, PB)
        for c in range(n_components):
            width = schur_unscaled(
                c, P_all, inverse, PB, R, block_start, component_start, G_start, G, level_start, levels, C_start,
                C_column, C, A, Y,
            )  # fmt: skip
            schur_scaled(Lambda[i], c, block_start, block_term, sizes, component_start, A, Y)
            if not cholesky_lower(A, width):
                ok = False
                break
            column0, start = block_start[component_start[c]], G_start[c]
            if width >= 48:
                root = np.linalg.inv(np.ascontiguousarray(A[:width, :width]))
                for a in range(width):
                    for b in range(a + 1, width):
                        root[a, b] = 0.0
                whole = np.dot(root.T, root)
                for a in range(width):
                    for b in range(width):
                        work[a, b] = whole[a, b]
            else:
                _inverse_from_cholesky(A, width, work)
            for a in range(width):
                logdet += 2.0 * np.log(A[a, a])
                for b in range(width):
                    A_inverse[start + a * width + b] = work[a, b]
                for k in range(m):
                    s = 0.0
                    for b in range(width):
                        s += work[a, b] * Y[b, k]
                    X_all[column0 + a, k] = s
            subtract_products(Y, X_all[column0 : column0 + width], width, Q)
            for block in range(component_start[c], component_start[c + 1]):
                t, s0 = block_term[block], block_start[block]
                for x in range(sizes[t]):
                    for k in range(m):
                        s = 0.0
                        for y in range(x + 1):
                            s += Lambda[i, t, x, y] * X_all[s0 + y, k]
                        N_all[s0 + x, k] = s
        if not ok:
            continue
        inv_s2 = 1.0 / (s_i * s_i)
        ok, logdet_A = factor_coefficients(Q, inv_s2, D[i], dm, fixed[i], Ac, v)
        if not ok:
            continue
        # ---------------------------------------------------------------- backwards: the coefficients
        for a in range(g - 1, -1, -1):
            s = v[a]
            for b in range(a + 1, g):
                s -= Ac[b, a] * coef[b]
            coef[a] = s / Ac[a, a]
        _inverse_from_cholesky(Ac, g, A_c_inverse)
        for a in range(g):
            w[a] = -coef[a]
            d_D[i, a] = -0.5 * (A_c_inverse[a, a] + (coef[a] - dm[a]) ** 2)
        for a in range(H):
            w[g + a] = -fixed[i, a]
        w[m - 1] = 1.0
        at = 0
        for a in range(m):
            for b in range(a + 1):
                Q_full[a, b] = Q[at]
                Q_full[b, a] = Q[at]
                at += 1
        trace = 0.0
        for a in range(m):
            s = 0.0
            for b in range(m):
                s += Q_full[a, b] * w[b]
                omega = w[a] * w[b]
                if a < g and b < g:
                    omega += A_c_inverse[a, b]
                Gq[a, b] = -0.5 * inv_s2 * omega
                trace += omega * Q_full[a, b]
            Qw[a] = s
        # the quadratic at its minimum: m'Dm − h'A⁻¹h has no digits left where D is large
        quad = 0.0
        for a in range(m):
            quad += w[a] * Qw[a]
        quad *= inv_s2
        for a in range(g):
            quad += D[i, a] * (coef[a] - dm[a]) ** 2
        value[i] = -0.5 * (logdet + logdet_A + quad)
        d_sigma[i] = trace * inv_s2 / s_i
        for a in range(H):
            d_fixed[i, a] = inv_s2 * Qw[g + a]
        # ---------------------------------------------------------------- the rest's terms
        for c in range(n_components):
            start, first = G_start[c], block_start[component_start[c]]
            width = block_start[component_start[c + 1]] - first
            for block in range(component_start[c], component_start[c + 1]):
                t, s0 = block_term[block], block_start[block]
                for x in range(sizes[t]):
                    for k in range(m):
                        s = 0.0
                        for h in range(m):
                            s += X_all[s0 + x, h] * Gq[h, k]
                        Y[x, k] = s
                for x in range(sizes[t]):
                    for y in range(sizes[t]):
                        s = A_inverse[start + (s0 - first + x) * width + s0 - first + y] - (1.0 if x == y else 0.0)
                        for k in range(m):
                            s -= 2.0 * Y[x, k] * X_all[s0 + y, k]
                        d_Lambda[i, t, x, y] += s
            # A₂⁻¹ becomes Λ₂A₂⁻¹Λ₂'
            for block in range(component_start[c], component_start[c + 1]):
                t, s0 = block_term[block], block_start[block] - first
                for x in range(sizes[t] - 1, -1, -1):
                    for b in range(width):
                        s = 0.0
                        for y in range(x + 1):
                            s += Lambda[i, t, x, y] * A_inverse[start + (s0 + y) * width + b]
                        A_inverse[start + (s0 + x) * width + b] = s
            for block in range(component_start[c], component_start[c + 1]):
                t, s0 = block_term[block], block_start[block] - first
                for a in range(width):
                    row = start + a * width + s0
                    for x in range(sizes[t] - 1, -1, -1):
                        s = 0.0
                        for y in range(x + 1):
                            s += Lambda[i, t, x, y] * A_inverse[row + y]
                        A_inverse[row + x] = s
        # ---------------------------------------------------------------- the first term
        if n_components == 0:
            for u in range(U):
                pair = 0
                for a in range(p):
                    for b in range(a + 1):
                        s, at = 0.0, 0
                        for k in range(m):
                            for h in range(k):
                                s += 2.0 * Gq[k, h] * E[u, pair, at]
                                at += 1
                            s += Gq[k, k] * E[u, pair, at]
                            at += 1
                        # E sums both of an off-diagonal pair; F has one in each triangle
                        if a != b:
                            s *= 0.5
                        F_all[u, a, b] = -s
                        F_all[u, b, a] = -s
                        pair += 1
        else:
            F_all[:] = 0.0
        for c in range(n_components):
            start, first = G_start[c], block_start[component_start[c]]
            width = block_start[component_start[c + 1]] - first
            for where in range(level_start[c], level_start[c + 1]):
                j = levels[where]
                F = F_all[inverse[j]]
                for x in range(p):
                    for k in range(m):
                        residual[x, k] = B[j, x, k]
                for x in range(p):
                    for b in range(width):
                        sums[x, b] = 0.0
                for e in range(C_start[j], C_start[j + 1]):
                    column = C_column[e]
                    row = start + column * width
                    of_column = A_inverse[row : row + width]
                    for x in range(p):
                        c_e, into = C[e, x], sums[x]
                        for k in range(m):
                            residual[x, k] -= c_e * N_all[first + column, k]
                        for b in range(width):
                            into[b] += c_e * of_column[b]
                for e in range(C_start[j], C_start[j + 1]):
                    for x in range(p):
                        for y in range(p):
                            F[x, y] += 0.5 * sums[x, C_column[e]] * C[e, y]
                for x in range(p):
                    for k in range(m):
                        s = 0.0
                        for h in range(m):
                            s += residual[x, h] * Gq[h, k]
                        half[x, k] = s
                for x in range(p):
                    for y in range(p):
                        s = 0.0
                        for k in range(m):
                            s += half[x, k] * residual[y, k]
                        F[x, y] -= s
        own = d_Lambda[i, term]
        for u in range(U):
            # M⁻¹Λ' F ΛM⁻¹, with left = ΛM⁻¹
            for x in range(p):
                for y in range(p):
                    s = 0.0
                    for z in range(x + 1):
                        s += Lam[x, z] * M_inverse[u, z, y]
                    left[x, y] = s
            for x in range(p):
                for y in range(p):
                    s = 0.0
                    for z in range(p):
                        s += F_all[u, x, z] * left[z, y]
                    M[x, y] = s
            for x in range(p):
                for y in range(p):
                    s = 0.0
                    for z in range(p):
                        s += left[z, x] * M[z, y]
                    own[x, y] += 2.0 * s + count[u] * (M_inverse[u, x, y] - (1.0 if x == y else 0.0))
        # Λ'⁻¹ from the left
        for t in range(sizes.size):
            for y in range(sizes[t]):
                for x in range(sizes[t] - 1, -1, -1):
                    s = d_Lambda[i, t, x, y]
                    for z in range(x + 1, sizes[t]):
                        s -= Lambda[i, t, z, x] * d_Lambda[i, t, z, y]
                    d_Lambda[i, t, x, y] = s / Lambda[i, t, x, x]


def log_density_gradient(density: CollapsedDensity, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log of the collapsed posterior density and its gradient.

    Parameters
    ----------
    density : CollapsedDensity
    u : ndarray, shape (n, dim)

    Returns
    -------
    value : ndarray, shape (n,)
        As :meth:`CollapsedDensity.log_density`: −inf outside the range in which it can be computed.
    gradient : ndarray, shape (n, dim)
        Zero there.
    """
    n, d = u.shape
    spec = density.spec
    moved = u + _STEP * np.concatenate([np.eye(d), -np.eye(d)])[:, None]

    def change(values: np.ndarray) -> np.ndarray:
        """Central differences times two steps, shape (d, n, ...)."""
        shaped = values.reshape(2, d, n, *values.shape[1:])
        return shaped[0] - shaped[1]

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        around = density.values(moved.reshape(-1, d))
        here = density.values(u)
        value, total = here.log_prior.copy(), change(around.log_prior)
        if not spec.prior_PD:
            likelihood, d_Lambda, d_sigma, d_D, d_fixed = _likelihood(density, here)
            value += likelihood
            total += change(around.sigma) * d_sigma
            for i, moved_Lambda in enumerate(around.Lambda):
                p = moved_Lambda.shape[-1]
                total += np.einsum("dnij,nij->dn", change(moved_Lambda), d_Lambda[:, i, :p, :p])
            if d_D.shape[1]:
                total += np.einsum("dng,ng->dn", change(around.precision), d_D)
            if d_fixed.shape[1]:
                total += np.einsum("dnh,nh->dn", change(around.fixed), d_fixed)
        gradient = total.T / (2 * _STEP)
    bad = ~np.isfinite(value) | ~np.isfinite(gradient).all(axis=1) | ~(here.sigma > 0)
    value[bad], gradient[bad] = -np.inf, 0.0
    return value, gradient


def _likelihood(
    density: CollapsedDensity, values: CoordinateValues
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The density without its log prior, and its derivatives in Λ, σ, D and the fixed coefficients."""
    n, data = values.sigma.size, density.reduced
    rest, Lambda = data.rest, density.stacked(values.Lambda)
    value, d_Lambda, d_sigma = np.empty(n), np.zeros(Lambda.shape), np.zeros(n)
    d_D, d_fixed = np.zeros(values.precision.shape), np.zeros(values.fixed.shape)
    _likelihood_gradient(
        Lambda, data.first, data.unique_S, data.unique_count, data.unique_E, data.WW, data.inverse, data.B, rest.R,
        rest.block_start, rest.block_term, density.sizes, rest.component_start, rest.G_start, rest.G,
        rest.level_start, rest.levels, rest.C_start, rest.C_column, rest.C, values.sigma, values.precision,
        density.prior_location, values.fixed - density.fixed_centre, value, d_Lambda, d_sigma, d_D, d_fixed,
    )  # fmt: skip
    constant, power = density.spec.likelihood_constant
    proper = values.precision > 0
    safe = np.where(proper, values.precision, 1.0)
    log_D = np.where(proper, np.log(safe), np.log(2 * np.pi))
    value += constant - power * np.log(values.sigma) + 0.5 * log_D.sum(axis=1)
    return value, d_Lambda, d_sigma - power / values.sigma, np.where(proper, d_D + 0.5 / safe, 0.0), d_fixed
