# cython: infer_types=True
"""Exact draws of coefficients and random effects given the collapsed density's coordinates, compiled.

As :mod:`pyimpl.posterior.elimination` does, whose factors are used: several points side by side where the matrices are
small. What a number is nan of has no Cholesky factor somewhere.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.pyimpl.linalg.batch import batch, number, numbers, reciprocal, zero
from cython.cimports.pyimpl.posterior.elimination import (
    Statistics,
    Work,
    batch_for,
    eliminate,
    load,
    solve_coefficients,
)

__all__ = ["draw"]


@cython.cclass
class _Draw:
    """The draws of one point, or of a batch: work space, and where the effects stand."""

    buffer: cython.object  # keeps the memory of all that follows; each counts numbers, not doubles
    Lambda: cython.p_double  # (terms, pmax, pmax): the last one that was factored
    b: cython.p_double  # (Σ p (J + 1),): standard normals, then the random effects
    coef: cython.p_double  # (g,): standard normals, then the coefficients
    w: cython.p_double  # (m,): weights of W's columns in the residual
    Bw: cython.p_double  # (J, p): Z_j'residual of the first term's levels
    x: cython.p_double  # (q,): the other terms' effects
    z: cython.p_double  # (pmax,)
    change: cython.p_double  # what the draws add to the residual sum of squares
    square: cython.p_double  # Σ z'z
    term_start: cython.longlong[::1]  # (terms + 1,): where each term stands in b
    rest_at: cython.longlong[::1]  # (q,): where each column of the other terms stands in b

    def __init__(self, data: Statistics, width: int, places: tuple[np.ndarray, np.ndarray]) -> None:
        self.term_start, self.rest_at = places
        square: cython.Py_ssize_t = data.terms * data.pmax * data.pmax
        effects: cython.Py_ssize_t = self.term_start[data.terms]
        levels: cython.Py_ssize_t = data.levels_of_first * data.p
        sizes = [square, effects, data.m, data.m, levels, data.columns, data.pmax, 1, 1]
        starts = np.concatenate([[0], np.cumsum(sizes)]) * width
        self.buffer = np.full(int(starts[len(sizes)]), np.nan)
        memory: cython.double[::1] = self.buffer
        at: cython.longlong[::1] = starts.astype(np.int64)
        base: cython.p_double = cython.address(memory[0])
        self.Lambda, self.b, self.coef, self.w = base + at[0], base + at[1], base + at[2], base + at[3]
        self.Bw, self.x, self.z = base + at[4], base + at[5], base + at[6]
        self.change, self.square = base + at[7], base + at[8]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _draw_coefficients(
    data: Statistics, work: Work, at: _Draw, Lambda: cython.pointer[number], g: cython.Py_ssize_t
) -> cython.void:
    """The integrated coefficients; w, and Z'residual of the first term, follow."""
    m: cython.Py_ssize_t = data.m
    a: cython.Py_ssize_t
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    packed: cython.Py_ssize_t = 0
    s: number
    L: cython.pointer[number] = numbers(work.coefficients, Lambda)
    c: cython.pointer[number] = numbers(work.c, Lambda)
    coef: cython.pointer[number] = numbers(at.coef, Lambda)
    w: cython.pointer[number] = numbers(at.w, Lambda)
    Bw: cython.pointer[number] = numbers(at.Bw, Lambda)
    solve_coefficients(data, work, Lambda, g)
    for a in range(g - 1, -1, -1):  # L'⁻¹ε, added to the mean
        s = coef[a]
        for k in range(a + 1, g):
            s -= L[k * g + a] * coef[k]
        coef[a] = s / L[a * g + a]
    for a in range(m):
        if a < g:
            coef[a] += c[a]
            w[a] = zero(Lambda) - coef[a]
        else:
            w[a] = zero(Lambda) - c[a]
    s = zero(Lambda)
    for a in range(m):
        for k in range(a):
            s += (w[a] + w[a]) * w[k] * data.WW[packed]
            packed += 1
        s += w[a] * w[a] * data.WW[packed]
        packed += 1
    numbers(at.change, Lambda)[0] = s
    numbers(at.square, Lambda)[0] = zero(Lambda)
    for j in range(data.levels_of_first):
        for a in range(data.p):
            s = zero(Lambda)
            for k in range(m):
                s += data.B[j, a, k] * w[k]
            Bw[0] = s
            Bw += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _draw_component(
    data: Statistics, work: Work, at: _Draw, Lambda: cython.pointer[number], component: cython.Py_ssize_t
) -> cython.void:
    """One component of the other terms: z = L'⁻¹(L⁻¹Λ'Rw/σ + ε), x = σΛz; what the effects leave to the first term."""
    m: cython.Py_ssize_t = data.m
    p: cython.Py_ssize_t = data.p
    pmax: cython.Py_ssize_t = data.pmax
    first: cython.Py_ssize_t = data.component_start[component]
    column0: cython.Py_ssize_t = data.block_start[first]
    n: cython.Py_ssize_t = data.block_start[data.component_start[component + 1]] - column0
    G0: cython.Py_ssize_t = data.G_start[component]
    a: cython.Py_ssize_t
    block: cython.Py_ssize_t
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    s0: cython.Py_ssize_t
    where: cython.Py_ssize_t
    y: cython.Py_ssize_t
    L: cython.pointer[number] = numbers(work.A, Lambda) + G0
    Y: cython.pointer[number] = numbers(work.Y, Lambda) + column0 * m
    x: cython.pointer[number] = numbers(at.x, Lambda) + column0
    b: cython.pointer[number] = numbers(at.b, Lambda)
    w: cython.pointer[number] = numbers(at.w, Lambda)
    Bw: cython.pointer[number] = numbers(at.Bw, Lambda)
    own: cython.pointer[number]
    sigma: number = numbers(work.sigma, Lambda)[0]
    inv_sigma: number = reciprocal(sigma)
    change: number = zero(Lambda)
    square: number = zero(Lambda)
    s: number
    for a in range(n):
        s = zero(Lambda)
        for k in range(m):
            s += Y[a * m + k] * w[k]
        x[a] = s * inv_sigma + b[at.rest_at[column0 + a]]
    for a in range(n - 1, -1, -1):
        s = x[a] / L[a * n + a]
        x[a] = s
        square += s * s
        for k in range(a):
            x[k] -= L[a * n + k] * s
    for block in range(first, data.component_start[component + 1]):
        own = Lambda + data.block_term[block] * pmax * pmax
        s0 = data.block_start[block] - column0
        for k in range(data.sizes[data.block_term[block]] - 1, -1, -1):
            s = zero(Lambda)
            for y in range(k + 1):
                s += own[k * pmax + y] * x[s0 + y]
            x[s0 + k] = s * sigma
    for a in range(n):
        b[at.rest_at[column0 + a]] = x[a]
        s = zero(Lambda)
        for k in range(n):
            s += data.G[G0 + a * n + k] * x[k]
        for k in range(m):
            s -= (w[k] + w[k]) * data.R[column0 + a, k]
        change += x[a] * s
    numbers(at.change, Lambda)[0] += change
    numbers(at.square, Lambda)[0] += square
    for where in range(data.level_start[component], data.level_start[component + 1]):
        j = data.levels[where]
        for k in range(data.C_start[j], data.C_start[j + 1]):
            s = x[data.C_column[k]]
            for a in range(p):
                Bw[j * p + a] -= data.C[k, a] * s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _draw_first(data: Statistics, work: Work, at: _Draw, Lambda: cython.pointer[number]) -> cython.void:
    """The first term's effects: with LL' = I + Λ'SΛ, z = L'⁻¹(L⁻¹Λ'Bw/σ + ε), b = σΛz."""
    p: cython.Py_ssize_t = data.p
    pmax: cython.Py_ssize_t = data.pmax
    j: cython.Py_ssize_t
    u: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    own: cython.pointer[number] = Lambda + data.first * pmax * pmax
    M: cython.pointer[number]
    H: cython.pointer[number]
    b: cython.pointer[number] = numbers(at.b, Lambda) + at.term_start[data.first]
    z: cython.pointer[number] = numbers(at.z, Lambda)
    Bw: cython.pointer[number] = numbers(at.Bw, Lambda)
    S: cython.pointer[cython.const[cython.double]]
    sigma: number = numbers(work.sigma, Lambda)[0]
    inv_sigma: number = reciprocal(sigma)
    change: number = zero(Lambda)
    square: number = zero(Lambda)
    s: number
    for j in range(data.levels_of_first):
        u = data.inverse[j]
        M = numbers(work.M, Lambda) + u * p * p
        H = numbers(work.H, Lambda) + u * p * p
        S = cython.address(data.S[u, 0, 0])
        for x in range(p):
            s = zero(Lambda)
            for y in range(p):
                s += H[x * p + y] * Bw[y]
            z[x] = s * inv_sigma + b[x]
        for x in range(p - 1, -1, -1):
            s = z[x]
            for y in range(x + 1, p):
                s -= M[y * p + x] * z[y]
            s /= M[x * p + x]
            z[x] = s
            square += s * s
        for x in range(p):
            s = zero(Lambda)
            for y in range(x + 1):
                s += own[x * pmax + y] * z[y]
            b[x] = s * sigma
        for x in range(p):
            s = zero(Lambda)
            for y in range(p):
                s += S[x * p + y] * b[y]
            change += b[x] * (s - (Bw[x] + Bw[x]))
        b += p
        Bw += p
    numbers(at.change, Lambda)[0] += change
    numbers(at.square, Lambda)[0] += square


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _draw_new_levels(data: Statistics, work: Work, at: _Draw, Lambda: cython.pointer[number]) -> cython.void:
    """The padded level of each term, of which the data say nothing: b = σΛε."""
    pmax: cython.Py_ssize_t = data.pmax
    k: cython.Py_ssize_t
    t: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    own: cython.pointer[number]
    b: cython.pointer[number]
    square: number = zero(Lambda)
    s: number
    for t in range(data.terms):
        own = Lambda + t * pmax * pmax
        k = data.sizes[t]
        b = numbers(at.b, Lambda) + at.term_start[t + 1] - k
        for x in range(k - 1, -1, -1):
            square += b[x] * b[x]
            s = zero(Lambda)
            for y in range(x + 1):
                s += own[x * pmax + y] * b[y]
            b[x] = s * numbers(work.sigma, Lambda)[0]
    numbers(at.square, Lambda)[0] += square


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _draw_all(
    data: Statistics, work: Work, at: _Draw, Lambda: cython.pointer[number], g: cython.Py_ssize_t
) -> cython.void:
    """All draws at work's points, whose standard normals are there."""
    size: cython.size_t = data.terms * data.pmax * data.pmax * work.width * cython.sizeof(cython.double)
    component: cython.Py_ssize_t
    if memcmp(Lambda, at.Lambda, size) != 0:  # points with the same Λ (rejected proposals) are factored once
        memcpy(at.Lambda, Lambda, size)
        eliminate(data, work, Lambda)
    _draw_coefficients(data, work, at, Lambda, g)
    for component in range(data.components):
        _draw_component(data, work, at, Lambda, component)
    _draw_first(data, work, at, Lambda)
    _draw_new_levels(data, work, at, Lambda)


def draw(
    data: Statistics,
    Lambda: cython.double[:, :, :, ::1],
    sigma: cython.double[::1],
    D: cython.double[:, ::1],
    known: cython.double[:, ::1],
    noise: cython.double[:, ::1],
    b: cython.double[:, ::1],
    places: tuple[np.ndarray, np.ndarray],
) -> tuple:
    """Draw coefficients (as deviations from ĉ) and random effects, exactly, given the coordinates.

    Parameters
    ----------
    data, Lambda, sigma, D, known
        As of :func:`pyimpl.posterior.elimination.log_likelihood`.
    noise : ndarray, shape (n, g)
        Standard normals, for the coefficients.
    b : ndarray, shape (n, Σ p (J + 1))
        Standard normals; becomes the random effects in R's order, the padded levels included.
    places : pair of ndarray
        Where each term stands in a row of ``b``, (terms + 1,), and each column of the other terms, (q,).

    Returns
    -------
    coef : ndarray, shape (n, g)
        nan where a matrix has no Cholesky factor, and so is the point's row of ``b``.
    rss : ndarray, shape (n,)
        Weighted residual sums of squares.
    z_square : ndarray, shape (n,)
        Sums of squares of the standardised effects (b = T z).
    """
    n: cython.Py_ssize_t = Lambda.shape[0]
    g: cython.Py_ssize_t = D.shape[1]
    width: cython.Py_ssize_t = batch_for(data)
    work: Work = Work(data, width, factors=True)
    at: _Draw = _Draw(data, width, places)
    results = (np.empty((n, g)), np.empty(n), np.empty(n))
    coef: cython.double[:, ::1] = results[0]
    rss: cython.double[::1] = results[1]
    z_square: cython.double[::1] = results[2]
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    point: cython.Py_ssize_t
    start: cython.Py_ssize_t
    for start in range(0, n, width):
        load(work, Lambda, sigma, D, known, start)
        for point in range(width):
            i = min(start + point, n - 1)
            for k in range(b.shape[1]):
                at.b[k * width + point] = b[i, k]
            for k in range(g):
                at.coef[k * width + point] = noise[i, k]
        if width == 1:
            _draw_all(data, work, at, work.Lambda, g)
        else:
            _draw_all(data, work, at, cython.cast(cython.pointer[batch], work.Lambda), g)
        for point in range(min(width, n - start)):
            i = start + point
            for k in range(b.shape[1]):
                b[i, k] = at.b[k * width + point]
            for k in range(g):
                coef[i, k] = at.coef[k * width + point]
            rss[i], z_square[i] = at.change[point], at.square[point]
        PyErr_CheckSignals()
    return results
