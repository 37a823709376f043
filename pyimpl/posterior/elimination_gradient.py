# cython: infer_types=True
"""Derivatives of the collapsed density in Λ, σ, the prior precisions and the fixed coefficients, compiled.

:mod:`pyimpl.posterior.gradient` has the equations; this goes backwards through :mod:`pyimpl.posterior.elimination`.
"""

# ruff: noqa: SIM102 - a branch on the type alone is decided where the function is compiled
import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import INFINITY
from cython.cimports.pyimpl.linalg.batch import batch, number, numbers, reciprocal, zero
from cython.cimports.pyimpl.linalg.cholesky import inverse, solve_upper
from cython.cimports.pyimpl.posterior.elimination import (
    Statistics,
    Work,
    batch_for,
    eliminate,
    inverse_of_small,
    load,
    solve_coefficients,
)

__all__ = ["log_likelihood_gradient"]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _invert_components(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> cython.void:
    """A₂⁻¹, X = A₂⁻¹Λ₂'R and N = Λ₂X of every component, from the factors that the elimination left."""
    m: cython.Py_ssize_t = data.m
    pmax: cython.Py_ssize_t = data.pmax
    block: cython.Py_ssize_t
    component: cython.Py_ssize_t
    column0: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t
    s0: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    A: cython.pointer[number]
    X: cython.pointer[number]
    N: cython.pointer[number]
    Y: cython.pointer[number]
    own: cython.pointer[number]
    s: number
    for component in range(data.components):
        column0 = data.block_start[data.component_start[component]]
        n = data.block_start[data.component_start[component + 1]] - column0
        A = numbers(work.A, Lambda) + data.G_start[component]
        Y = numbers(work.Y, Lambda) + column0 * m
        X = numbers(work.X, Lambda) + column0 * m
        inverse(A, n, n, numbers(work.A_inverse, Lambda) + data.G_start[component], n, numbers(work.scratch, Lambda))
        for k in range(n * m):
            X[k] = Y[k]
        solve_upper(A, n, n, X, m, m)
    X = numbers(work.X, Lambda)
    N = numbers(work.N, Lambda)
    for block in range(data.block_term.shape[0]):
        own = Lambda + data.block_term[block] * pmax * pmax
        s0 = data.block_start[block]
        for x in range(data.sizes[data.block_term[block]]):
            for k in range(m):
                s = zero(Lambda)
                for y in range(x + 1):
                    s += own[x * pmax + y] * X[(s0 + y) * m + k]
                N[(s0 + x) * m + k] = s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _differentiate_coefficients(
    data: Statistics, work: Work, Lambda: cython.pointer[number], g: cython.Py_ssize_t
) -> cython.void:
    """∂f/∂σ, ∂f/∂D, ∂f/∂fixed, and Ĝ = ∂f/∂Q (m, m), the second matrix of ``work.full``."""
    m: cython.Py_ssize_t = data.m
    half: cython.double = 0.5
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    Q: cython.pointer[number] = numbers(work.Q, Lambda)
    full: cython.pointer[number] = numbers(work.full, Lambda)  # (m, m): Q
    G: cython.pointer[number] = full + m * m
    A_inverse: cython.pointer[number] = G + m * m  # (g, g)
    c: cython.pointer[number] = numbers(work.c, Lambda)  # −w: (ĉ, fixed, −1)
    D: cython.pointer[number] = numbers(work.d_D, Lambda)
    known: cython.pointer[number] = numbers(work.known, Lambda)
    fixed: cython.pointer[number] = numbers(work.d_fixed, Lambda)
    slope: cython.pointer[number] = numbers(work.d_sigma, Lambda)
    sigma: number = numbers(work.sigma, Lambda)[0]
    inv_s2: number = reciprocal(sigma * sigma)
    trace: number = zero(Lambda)
    omega: number
    s: number
    inverse_of_small(numbers(work.coefficients, Lambda), g, A_inverse)
    for a in range(g):
        s = c[a] - known[a]
        D[a] = zero(Lambda) - half * (A_inverse[a * g + a] + s * s)
    for a in range(m):
        for b in range(a + 1):
            full[a * m + b] = Q[at]
            full[b * m + a] = Q[at]
            at += 1
    for a in range(m):
        s = zero(Lambda)
        for b in range(m):
            s -= full[a * m + b] * c[b]
            omega = c[a] * c[b]
            if a < g and b < g:
                omega += A_inverse[a * g + b]
            G[a * m + b] = zero(Lambda) - half * (inv_s2 * omega)
            trace += omega * full[a * m + b]
        if g <= a < m - 1:
            fixed[a - g] = inv_s2 * s
    slope[0] = trace * inv_s2 / sigma


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _differentiate_rest(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> cython.void:
    """Λ₂'∂f/∂Λ₂ = −(I − A₂⁻¹) − 2 XĜX', summed over each term's blocks; then A₂⁻¹ becomes P₂ = Λ₂A₂⁻¹Λ₂'."""
    m: cython.Py_ssize_t = data.m
    pmax: cython.Py_ssize_t = data.pmax
    one: cython.double = 1.0
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    block: cython.Py_ssize_t
    component: cython.Py_ssize_t
    first: cython.Py_ssize_t
    h: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t
    s0: cython.Py_ssize_t
    size: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    A: cython.pointer[number]
    X: cython.pointer[number]
    XG: cython.pointer[number] = numbers(work.scratch, Lambda)  # (m,)
    G: cython.pointer[number] = numbers(work.full, Lambda) + m * m
    own: cython.pointer[number]
    row: cython.pointer[number]
    slope: cython.pointer[number]
    s: number
    for component in range(data.components):
        first = data.block_start[data.component_start[component]]
        n = data.block_start[data.component_start[component + 1]] - first
        A = numbers(work.A_inverse, Lambda) + data.G_start[component]
        for block in range(data.component_start[component], data.component_start[component + 1]):
            size = data.sizes[data.block_term[block]]
            slope = numbers(work.d_Lambda, Lambda) + data.block_term[block] * pmax * pmax
            s0 = data.block_start[block] - first
            X = numbers(work.X, Lambda) + (first + s0) * m
            for x in range(size):
                for k in range(m):
                    s = zero(Lambda)
                    for h in range(m):
                        s += X[x * m + h] * G[h * m + k]
                    XG[k] = s
                for y in range(size):
                    s = A[(s0 + x) * n + s0 + y]
                    if x == y:
                        s -= one
                    for k in range(m):
                        s -= (XG[k] + XG[k]) * X[y * m + k]
                    slope[x * pmax + y] += s
        for block in range(data.component_start[component], data.component_start[component + 1]):
            size = data.sizes[data.block_term[block]]
            own = Lambda + data.block_term[block] * pmax * pmax
            s0 = data.block_start[block] - first
            for x in range(size - 1, -1, -1):  # rows: row x of ΛA needs rows up to x
                row = A + (s0 + x) * n
                for b in range(n):
                    s = own[x * pmax + x] * row[b]
                    for y in range(x):
                        s += own[x * pmax + y] * A[(s0 + y) * n + b]
                    row[b] = s
        for block in range(data.component_start[component], data.component_start[component + 1]):
            size = data.sizes[data.block_term[block]]
            own = Lambda + data.block_term[block] * pmax * pmax
            s0 = data.block_start[block] - first
            for a in range(n):  # columns likewise
                row = A + a * n + s0
                for x in range(size - 1, -1, -1):
                    s = own[x * pmax + x] * row[x]
                    for y in range(x):
                        s += own[x * pmax + y] * row[y]
                    row[x] = s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _half_product(
    data: Statistics,
    work: Work,
    Lambda: cython.pointer[number],
    P2: cython.pointer[number],
    n: cython.Py_ssize_t,
    j: cython.Py_ssize_t,
    T: cython.pointer[number],
) -> cython.void:
    """T (p, p) with T + T' = C_jP₂C_j', from P₂'s lower triangle."""
    p: cython.Py_ssize_t = data.p
    begin: cython.Py_ssize_t = data.C_start[j]
    width: cython.Py_ssize_t = data.C_start[j + 1] - begin
    half: cython.double = 0.5
    b: cython.Py_ssize_t
    column: cython.Py_ssize_t
    e: cython.Py_ssize_t
    f: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    row: cython.pointer[number]
    sums: cython.pointer[number] = T + p * p  # (p, n): C_j times the lower triangle, its diagonal halved
    into: cython.pointer[number]
    C: cython.pointer[cython.const[cython.double]]
    s: number
    s1: number
    for x in range(p * p):
        T[x] = zero(Lambda)
    if number is cython.double:
        if 3 * width >= n:  # whole rows, zeros included, are faster than picking columns
            for x in range(p * n):
                sums[x] = 0.0
            for e in range(width):
                column = data.C_column[begin + e]
                row = P2 + column * n
                for x in range(p):
                    into = sums + x * n
                    s = data.C[begin + e, x]
                    for b in range(column):
                        into[b] += s * row[b]
                    into[column] += half * s * row[column]
            for e in range(width):
                column = data.C_column[begin + e]
                for x in range(p):
                    for y in range(p):
                        T[x * p + y] += sums[x * n + column] * data.C[begin + e, y]
            return
    for e in range(width):
        row = P2 + data.C_column[begin + e] * n
        C = cython.address(data.C[begin, 0])
        y = 0
        while y < p:
            if y + 2 <= p:  # two sums at a time
                s = zero(Lambda)
                s1 = zero(Lambda)
                for f in range(e):
                    s += row[data.C_column[begin + f]] * C[f * p + y]
                    s1 += row[data.C_column[begin + f]] * C[f * p + y + 1]
                s += half * row[data.C_column[begin + e]] * C[e * p + y]
                s1 += half * row[data.C_column[begin + e]] * C[e * p + y + 1]
                for x in range(p):
                    T[x * p + y] += s * C[e * p + x]
                    T[x * p + y + 1] += s1 * C[e * p + x]
                y += 2
            else:
                s = zero(Lambda)
                for f in range(e):
                    s += row[data.C_column[begin + f]] * C[f * p + y]
                s += half * row[data.C_column[begin + e]] * C[e * p + y]
                for x in range(p):
                    T[x * p + y] += s * C[e * p + x]
                y += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _sum_over_levels(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> cython.void:
    """F of each different level: the sum of ½ C_jP₂C_j' − (B_j − C_jN)Ĝ(B_j − C_jN)' over those that share S."""
    p: cython.Py_ssize_t = data.p
    m: cython.Py_ssize_t = data.m
    half: cython.double = 0.5
    component: cython.Py_ssize_t
    column0: cython.Py_ssize_t
    e: cython.Py_ssize_t
    h: cython.Py_ssize_t
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t
    where: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    G: cython.pointer[number] = numbers(work.full, Lambda) + m * m
    N: cython.pointer[number]
    F: cython.pointer[number] = numbers(work.F, Lambda)
    residual: cython.pointer[number] = numbers(work.scratch, Lambda)  # (p, m)
    product: cython.pointer[number] = residual + p * m  # (p, m)
    T: cython.pointer[number] = product + p * m  # (p, p), and p rows more
    s: number
    for k in range(data.different * p * p):
        F[k] = zero(Lambda)
    for component in range(data.components):
        column0 = data.block_start[data.component_start[component]]
        n = data.block_start[data.component_start[component + 1]] - column0
        for where in range(data.level_start[component], data.level_start[component + 1]):
            j = data.levels[where]
            F = numbers(work.F, Lambda) + data.inverse[j] * p * p
            for x in range(p):
                for k in range(m):
                    residual[x * m + k] = zero(Lambda) + data.B[j, x, k]
            for e in range(data.C_start[j], data.C_start[j + 1]):
                N = numbers(work.N, Lambda) + (column0 + data.C_column[e]) * m
                for x in range(p):
                    for k in range(m):
                        residual[x * m + k] -= data.C[e, x] * N[k]
            _half_product(data, work, Lambda, numbers(work.A_inverse, Lambda) + data.G_start[component], n, j, T)
            for x in range(p):
                for k in range(m):
                    s = zero(Lambda)
                    for h in range(m):
                        s += residual[x * m + h] * G[h * m + k]
                    product[x * m + k] = s
            for x in range(p):
                for y in range(p):
                    s = half * (T[x * p + y] + T[y * p + x])
                    for k in range(m):
                        s -= product[x * m + k] * residual[y * m + k]
                    F[x * p + y] += s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _sum_of_products(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> cython.void:
    """F where the first term is the only one: −Σ B_jĜB_j', from the sums of outer products."""
    p: cython.Py_ssize_t = data.p
    m: cython.Py_ssize_t = data.m
    half: cython.double = 0.5
    a: cython.Py_ssize_t
    at: cython.Py_ssize_t
    b: cython.Py_ssize_t
    h: cython.Py_ssize_t
    k: cython.Py_ssize_t
    u: cython.Py_ssize_t
    G: cython.pointer[number] = numbers(work.full, Lambda) + m * m
    F: cython.pointer[number]
    E: cython.pointer[cython.const[cython.double]]
    s: number
    for u in range(data.different):
        F = numbers(work.F, Lambda) + u * p * p
        E = cython.address(data.E[u, 0, 0])
        for a in range(p):
            for b in range(a + 1):
                s = zero(Lambda)
                at = 0
                for k in range(m):
                    for h in range(k):
                        s += (G[k * m + h] + G[k * m + h]) * E[at]
                        at += 1
                    s += G[k * m + k] * E[at]
                    at += 1
                E += data.packed
                if a != b:  # E sums both of an off-diagonal pair; F has one in each triangle
                    s *= half
                F[a * p + b] = zero(Lambda) - s
                F[b * p + a] = zero(Lambda) - s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _differentiate_first(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> cython.void:
    """Λ'∂f/∂Λ of the first term: Σ [−(I − M⁻¹) + 2 M⁻¹Λ'FΛM⁻¹] over its different levels."""
    p: cython.Py_ssize_t = data.p
    pmax: cython.Py_ssize_t = data.pmax
    one: cython.double = 1.0
    u: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    z: cython.Py_ssize_t
    own: cython.pointer[number] = Lambda + data.first * pmax * pmax
    slope: cython.pointer[number] = numbers(work.d_Lambda, Lambda) + data.first * pmax * pmax
    left: cython.pointer[number] = numbers(work.scratch, Lambda)  # (p, p): ΛM⁻¹
    M: cython.pointer[number] = numbers(work.M, Lambda)
    F: cython.pointer[number]
    M_inverse: cython.pointer[number]
    s: number
    for u in range(data.different):
        F = numbers(work.F, Lambda) + u * p * p
        M_inverse = numbers(work.M_inverse, Lambda) + u * p * p
        for x in range(p):
            for y in range(p):
                s = zero(Lambda)
                for z in range(x + 1):
                    s += own[x * pmax + z] * M_inverse[z * p + y]
                left[x * p + y] = s
        for x in range(p):
            for y in range(p):
                s = zero(Lambda)
                for z in range(p):
                    s += F[x * p + z] * left[z * p + y]
                M[x * p + y] = s
        for x in range(p):
            for y in range(p):
                s = zero(Lambda)
                for z in range(p):
                    s += left[z * p + x] * M[z * p + y]
                s += s
                if x == y:
                    s += data.count[u] * (M_inverse[x * p + y] - one)
                else:
                    s += data.count[u] * M_inverse[x * p + y]
                slope[x * pmax + y] += s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _differentiate(data: Statistics, work: Work, Lambda: cython.pointer[number], g: cython.Py_ssize_t) -> cython.void:
    """All derivatives, into ``work``, after the elimination at the same point."""
    pmax: cython.Py_ssize_t = data.pmax
    size: cython.Py_ssize_t
    t: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    z: cython.Py_ssize_t
    own: cython.pointer[number]
    slope: cython.pointer[number] = numbers(work.d_Lambda, Lambda)
    s: number
    for x in range(data.terms * pmax * pmax):
        slope[x] = zero(Lambda)
    _invert_components(data, work, Lambda)
    _differentiate_coefficients(data, work, Lambda, g)
    _differentiate_rest(data, work, Lambda)
    if data.components:
        _sum_over_levels(data, work, Lambda)
    else:
        _sum_of_products(data, work, Lambda)
    _differentiate_first(data, work, Lambda)
    for t in range(data.terms):  # Λ'⁻¹ from the left
        size = data.sizes[t]
        own = Lambda + t * pmax * pmax
        slope = numbers(work.d_Lambda, Lambda) + t * pmax * pmax
        for y in range(size):
            for x in range(size - 1, -1, -1):
                s = slope[x * pmax + y]
                for z in range(x + 1, size):
                    s -= own[z * pmax + x] * slope[z * pmax + y]
                slope[x * pmax + y] = s / own[x * pmax + x]


def log_likelihood_gradient(
    data: Statistics,
    Lambda: cython.double[:, :, :, ::1],
    sigma: cython.double[::1],
    D: cython.double[:, ::1],
    known: cython.double[:, ::1],
) -> tuple:
    """What :func:`pyimpl.posterior.elimination.log_likelihood` gives, and its derivatives.

    Parameters
    ----------
    data, Lambda, sigma, D, known
        See there.

    Returns
    -------
    value : ndarray, shape (n,)
    d_Lambda : ndarray, shape (n, terms, pmax, pmax)
    d_sigma : ndarray, shape (n,)
    d_D : ndarray, shape (n, g)
    d_fixed : ndarray, shape (n, H)
        Of no use where the value is −inf.
    """
    n: cython.Py_ssize_t = Lambda.shape[0]
    g: cython.Py_ssize_t = D.shape[1]
    H: cython.Py_ssize_t = known.shape[1] - g
    size: cython.Py_ssize_t = Lambda.shape[1] * Lambda.shape[2] * Lambda.shape[3]
    width: cython.Py_ssize_t = batch_for(data)
    work: Work = Work(data, width, True)
    results = (np.empty(n), np.empty((n, size)), np.empty(n), np.empty((n, g)), np.empty((n, H)))
    values: cython.double[::1] = results[0]
    d_Lambda: cython.double[:, ::1] = results[1]
    d_sigma: cython.double[::1] = results[2]
    d_D: cython.double[:, ::1] = results[3]
    d_fixed: cython.double[:, ::1] = results[4]
    start: cython.Py_ssize_t
    point: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    value: cython.double
    several: batch
    at: cython.pointer[batch] = numbers(work.Lambda, cython.cast(cython.pointer[batch], work.Lambda))
    kept: cython.double[::1] = np.empty(width)
    for start in range(0, n, width):
        load(work, Lambda, sigma, D, known, start)
        if width == 1:
            value = eliminate(data, work, work.Lambda)
            kept[0] = value + solve_coefficients(data, work, work.Lambda, g)
            _differentiate(data, work, work.Lambda, g)
        else:
            several = eliminate(data, work, at)
            several += solve_coefficients(data, work, at, g)
            cython.cast(cython.pointer[batch], cython.address(kept[0]))[0] = several
            _differentiate(data, work, at, g)
        for point in range(min(width, n - start)):
            i = start + point
            value = -0.5 * kept[point]
            values[i] = value if value == value else -INFINITY
            for k in range(size):
                d_Lambda[i, k] = work.d_Lambda[k * width + point]
            d_sigma[i] = work.d_sigma[point]
            for k in range(g):
                d_D[i, k] = work.d_D[k * width + point]
            for k in range(H):
                d_fixed[i, k] = work.d_fixed[k * width + point]
        PyErr_CheckSignals()
    return results[0], results[1].reshape(n, Lambda.shape[1], Lambda.shape[2], Lambda.shape[3]), *results[2:]
