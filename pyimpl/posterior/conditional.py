# cython: infer_types=True
"""Exact draws of coefficients and random effects given the collapsed density's coordinates, compiled."""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import NAN
from cython.cimports.libc.string import memcmp
from cython.cimports.pyimpl.posterior.elimination import (
    Statistics,
    Work,
    eliminate,
    factor_level,
    load,
    solve_coefficients,
)

__all__ = ["draw"]


@cython.cclass
class _Draw:
    """One point's draws: where they go, and what is needed on the way (shapes: ``elimination.pxd``)."""

    b: cython.double[::1]  # (Σ p (J + 1),): standard normals, then the random effects
    w: cython.double[::1]  # (m,): weights of W's columns in the residual
    Bw: cython.double[:, ::1]  # (J, p): Z_j'residual of the first term's levels
    x: cython.double[::1]  # (q,): the other terms' effects
    M: cython.double[:, :, ::1]  # (U, p, p): a level's factor
    H: cython.double[:, :, ::1]  # (U, p, p): L⁻¹Λ'
    z: cython.double[::1]  # (pmax,)
    term_start: cython.longlong[::1]  # (terms + 1,): where each term stands in b
    rest_at: cython.longlong[::1]  # (q,): where each column of the other terms stands in b
    sigma: cython.double
    change: cython.double  # what the draws add to the residual sum of squares
    square: cython.double  # Σ z'z

    def __init__(self, data: Statistics, term_start: cython.longlong[::1], rest_at: cython.longlong[::1]) -> None:
        p: cython.Py_ssize_t = data.p
        self.w, self.x, self.z = np.empty(data.m), np.empty(data.columns), np.empty(max(data.pmax, p))
        self.Bw = np.empty((data.levels_of_first, p))
        self.M, self.H = np.empty((data.different, p, p)), np.empty((data.different, p, p))
        self.term_start, self.rest_at = term_start, rest_at


@cython.cfunc
@cython.exceptval(check=False)
def _factor_first(data: Statistics, work: Work, at: _Draw) -> cython.void:
    """M and H of each different level at work's Λ."""
    u: cython.Py_ssize_t
    own: cython.p_double = work.Lambda + data.first * data.pmax * data.pmax
    for u in range(data.different):
        factor_level(
            own, data.pmax, cython.address(data.S[u, 0, 0]), data.p, cython.address(at.M[u, 0, 0]),
            cython.address(at.H[u, 0, 0]), work.scratch,
        )  # fmt: skip


@cython.cfunc
@cython.exceptval(check=False)
def _draw_component(data: Statistics, work: Work, at: _Draw, component: cython.Py_ssize_t) -> cython.void:
    """One component of the other terms: z = L'⁻¹(L⁻¹Λ'Rw/σ + ε), x = σΛz; what the effects leave to the first term."""
    m: cython.Py_ssize_t = data.m
    p: cython.Py_ssize_t = data.p
    pmax: cython.Py_ssize_t = data.pmax
    first: cython.Py_ssize_t = data.component_start[component]
    column0: cython.Py_ssize_t = data.block_start[first]
    n: cython.Py_ssize_t = data.block_start[data.component_start[component + 1]] - column0
    G0: cython.Py_ssize_t = data.G_start[component]
    L: cython.p_double = work.A + G0
    Y: cython.p_double = work.Y + column0 * m
    x: cython.p_double = cython.address(at.x[column0])
    own: cython.p_double
    a: cython.Py_ssize_t
    block: cython.Py_ssize_t
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    s0: cython.Py_ssize_t
    where: cython.Py_ssize_t
    y: cython.Py_ssize_t
    s: cython.double
    for a in range(n):
        s = 0.0
        for k in range(m):
            s += Y[a * m + k] * at.w[k]
        x[a] = s / at.sigma + at.b[at.rest_at[column0 + a]]
    for a in range(n - 1, -1, -1):
        s = x[a] / L[a * n + a]
        x[a] = s
        at.square += s * s
        for k in range(a):
            x[k] -= L[a * n + k] * s
    for block in range(first, data.component_start[component + 1]):
        own = work.Lambda + data.block_term[block] * pmax * pmax
        s0 = data.block_start[block] - column0
        for k in range(data.sizes[data.block_term[block]] - 1, -1, -1):
            s = 0.0
            for y in range(k + 1):
                s += own[k * pmax + y] * x[s0 + y]
            x[s0 + k] = s * at.sigma
    for a in range(n):
        at.b[at.rest_at[column0 + a]] = x[a]
        s = 0.0
        for k in range(n):
            s += data.G[G0 + a * n + k] * x[k]
        for k in range(m):
            s -= 2.0 * data.R[column0 + a, k] * at.w[k]
        at.change += x[a] * s
    for where in range(data.level_start[component], data.level_start[component + 1]):
        j = data.levels[where]
        for k in range(data.C_start[j], data.C_start[j + 1]):
            s = x[data.C_column[k]]
            for a in range(p):
                at.Bw[j, a] -= data.C[k, a] * s


@cython.cfunc
@cython.exceptval(check=False)
def _draw_first(data: Statistics, work: Work, at: _Draw) -> cython.void:
    """The first term's effects: with LL' = I + Λ'SΛ, z = L'⁻¹(L⁻¹Λ'Bw/σ + ε), b = σΛz."""
    p: cython.Py_ssize_t = data.p
    pmax: cython.Py_ssize_t = data.pmax
    own: cython.p_double = work.Lambda + data.first * pmax * pmax
    M: cython.p_double
    H: cython.p_double
    S: cython.pointer[cython.const[cython.double]]
    b: cython.p_double = cython.address(at.b[at.term_start[data.first]])
    z: cython.p_double = cython.address(at.z[0])
    Bw: cython.p_double
    j: cython.Py_ssize_t
    u: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    s: cython.double
    inv_sigma: cython.double = 1.0 / at.sigma
    change: cython.double = 0.0
    square: cython.double = 0.0
    for j in range(data.levels_of_first):
        u = data.inverse[j]
        M = cython.address(at.M[u, 0, 0])
        H = cython.address(at.H[u, 0, 0])
        S = cython.address(data.S[u, 0, 0])
        Bw = cython.address(at.Bw[j, 0])
        if p == 1:
            s = (H[0] * Bw[0] * inv_sigma + b[0]) / M[0]
            square += s * s
            b[0] = s * own[0] * at.sigma
            change += b[0] * (S[0] * b[0] - 2.0 * Bw[0])
            b += 1
            continue
        for x in range(p):
            s = 0.0
            for y in range(p):
                s += H[x * p + y] * Bw[y]
            z[x] = s * inv_sigma + b[x]
        for x in range(p - 1, -1, -1):
            s = z[x]
            for y in range(x + 1, p):
                s -= M[y * p + x] * z[y]
            z[x] = s / M[x * p + x]
            square += z[x] * z[x]
        for x in range(p):
            s = 0.0
            for y in range(x + 1):
                s += own[x * pmax + y] * z[y]
            b[x] = s * at.sigma
        for x in range(p):
            s = 0.0
            for y in range(p):
                s += S[x * p + y] * b[y]
            change += b[x] * (s - 2.0 * Bw[x])
        b += p
    at.change += change
    at.square += square


@cython.cfunc
@cython.exceptval(check=False)
def _draw_new_levels(data: Statistics, work: Work, at: _Draw) -> cython.void:
    """The padded level of each term, of which the data say nothing: b = σΛε."""
    pmax: cython.Py_ssize_t = data.pmax
    own: cython.p_double
    k: cython.Py_ssize_t
    size: cython.Py_ssize_t
    t: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    s: cython.double
    for t in range(data.terms):
        size = data.sizes[t]
        own = work.Lambda + t * pmax * pmax
        k = at.term_start[t + 1] - size
        for x in range(size):
            at.z[x] = at.b[k + x]
            at.square += at.z[x] * at.z[x]
        for x in range(size):
            s = 0.0
            for y in range(x + 1):
                s += own[x * pmax + y] * at.z[y]
            at.b[k + x] = s * at.sigma


@cython.cfunc
@cython.exceptval(check=False)
def _draw_coefficients(
    data: Statistics, work: Work, at: _Draw, noise: cython.p_double, coef: cython.p_double, g: cython.Py_ssize_t
) -> cython.bint:
    """The integrated coefficients; w and Z'residual of the first term follow. False where there is no factor."""
    m: cython.Py_ssize_t = data.m
    L: cython.p_double = work.coefficients
    a: cython.Py_ssize_t
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    packed: cython.Py_ssize_t = 0
    s: cython.double = solve_coefficients(data, work, work.Lambda, g)
    if s != s:
        for a in range(g):
            coef[a] = NAN
        return False
    for a in range(g - 1, -1, -1):  # L'⁻¹ε, added to the mean
        s = noise[a]
        for k in range(a + 1, g):
            s -= L[k * g + a] * coef[k]
        coef[a] = s / L[a * g + a]
    for a in range(g):
        coef[a] += work.c[a]
        at.w[a] = -coef[a]
    for a in range(g, m):
        at.w[a] = -work.c[a]
    at.change = 0.0
    for a in range(m):
        for k in range(a):
            at.change += 2.0 * at.w[a] * at.w[k] * data.WW[packed]
            packed += 1
        at.change += at.w[a] * at.w[a] * data.WW[packed]
        packed += 1
    for j in range(data.levels_of_first):
        for a in range(data.p):
            s = 0.0
            for k in range(m):
                s += data.B[j, a, k] * at.w[k]
            at.Bw[j, a] = s
    return True


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

    Points that follow each other with the same Λ (rejected proposals) are factored once.

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
        nan where a matrix has no Cholesky factor.
    rss : ndarray, shape (n,)
        Weighted residual sums of squares.
    z_square : ndarray, shape (n,)
        Sums of squares of the standardised effects (b = T z).
    """
    n: cython.Py_ssize_t = Lambda.shape[0]
    g: cython.Py_ssize_t = D.shape[1]
    size: cython.Py_ssize_t = Lambda.shape[1] * Lambda.shape[2] * Lambda.shape[3] * 8
    work: Work = Work(data, 1, False)
    at: _Draw = _Draw(data, places[0], places[1])
    results = (np.zeros((n, max(g, 1))), np.full(n, np.nan), np.full(n, np.nan))
    coef: cython.double[:, ::1] = results[0]
    rss: cython.double[::1] = results[1]
    z_square: cython.double[::1] = results[2]
    padded: cython.double[:, ::1] = noise if g else np.zeros((n, 1))
    component: cython.Py_ssize_t
    i: cython.Py_ssize_t
    for i in range(n):
        load(work, Lambda, sigma, D, known, i)
        if i == 0 or memcmp(cython.address(Lambda[i, 0, 0, 0]), cython.address(Lambda[i - 1, 0, 0, 0]), size) != 0:
            eliminate(data, work, work.Lambda)
            _factor_first(data, work, at)
        at.b, at.sigma, at.square = b[i], sigma[i], 0.0
        if not _draw_coefficients(data, work, at, cython.address(padded[i, 0]), cython.address(coef[i, 0]), g):
            continue
        for component in range(data.components):
            _draw_component(data, work, at, component)
        _draw_first(data, work, at)
        rss[i] = at.change
        _draw_new_levels(data, work, at)
        z_square[i] = at.square
        PyErr_CheckSignals()
    return results[0][:, :g], results[1], results[2]
