# cython: infer_types=True
"""The collapsed density, compiled: levels, other terms and coefficients eliminated one after the other.

:mod:`pyimpl.posterior.collapsed` has the algebra. For each point: the first term's levels (P_j = Λ(I + Λ'S_jΛ)⁻¹Λ'),
then each connected component of the other terms, whose Schur complement A = I + Λ₂'(G − Σ C_j'P_jC_j)Λ₂ is factored,
then the coefficients. Several points are worked on side by side (:mod:`pyimpl.linalg.batch`) where the matrices are
small; each alone, by LAPACK, where they are large.
"""

from typing import Any

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import INFINITY
from cython.cimports.pyimpl.linalg.batch import (
    MLMPARITY_BATCH,
    batch,
    logarithm,
    number,
    numbers,
    reciprocal,
    root,
    zero,
)
from cython.cimports.pyimpl.linalg.cholesky import factorise, log_determinant, solve_lower

__all__ = ["Statistics", "Work", "log_likelihood", "reduce"]

# columns of a component from which LAPACK factors it, a point at a time: there it is as fast as four side by side
_ALONE_FROM = cython.declare(cython.Py_ssize_t, 128)


@cython.cclass
class Statistics:
    """What the rows come to, for compiled loops (shapes: ``elimination.pxd``).

    Parameters
    ----------
    blocks : object
        With the attributes of the collapsed density's sufficient statistics.
    sizes : ndarray, shape (terms,)
        Effects of each term.
    """

    def __init__(self, blocks: Any, sizes: np.ndarray) -> None:
        rest = blocks.rest
        self.S, self.count, self.E, self.WW = blocks.unique_S, blocks.unique_count, blocks.unique_E, blocks.WW
        self.inverse, self.B, self.R, self.sizes = blocks.inverse, blocks.B, rest.R, sizes
        self.block_start, self.block_term = rest.block_start, rest.block_term
        self.component_start, self.G_start, self.G = rest.component_start, rest.G_start, rest.G
        self.level_start, self.levels = rest.level_start, rest.levels
        self.C_start, self.C_column, self.C = rest.C_start, rest.C_column, rest.C
        self.first, self.terms, self.pmax = blocks.first, len(sizes), max(sizes)
        self.levels_of_first, self.p, self.m = blocks.B.shape
        self.different, self.packed = len(blocks.unique_S), len(blocks.WW)
        self.components, self.columns = len(rest.component_start) - 1, len(rest.R)
        widths = np.diff(rest.block_start[rest.component_start])
        self.largest = int(widths.max()) if widths.size else 0


@cython.cclass
class Work:
    """Work space for one point, or for a batch.

    Parameters
    ----------
    data : Statistics
    width : int
        Numbers side by side.
    derivatives : bool
        Whether derivatives are wanted, too.
    factors : bool
        Whether each different level's M and H are kept: for draws.
    """

    def __init__(self, data: Statistics, width: int, derivatives: bool = False, factors: bool = False) -> None:
        square: cython.Py_ssize_t = data.pmax * data.pmax * data.terms
        level: cython.Py_ssize_t = data.p * data.p
        m: cython.Py_ssize_t = data.m
        G: cython.Py_ssize_t = data.G.shape[0]
        q: cython.Py_ssize_t = data.columns * m
        slopes: cython.Py_ssize_t = 1 if derivatives else 0
        kept: cython.Py_ssize_t = data.different if factors else 1
        of_level: cython.Py_ssize_t = data.p * (2 * data.largest + 3 * m + 2 * data.p) + m + 8
        sizes = np.array(
            [
                square, kept * level, kept * level, data.different * level, slopes * data.different * level,
                slopes * data.different * level, data.packed, G, slopes * G, q, slopes * q, slopes * q,
                max(slopes * data.largest * data.largest, 0) + of_level + data.largest, m * m, m, 1, m, m,
                square, m, m, 1, 3 * m * m,
            ]
        )  # fmt: skip
        starts = np.concatenate([[0], np.cumsum(sizes)]) * width
        self.buffer = np.empty(int(starts[len(sizes)]) + 1)
        memory: cython.double[::1] = self.buffer
        at: cython.longlong[::1] = starts.astype(np.int64)
        base: cython.p_double = cython.address(memory[0])
        self.width, self.derivatives, self.factors = width, derivatives, factors
        self.Lambda, self.M, self.H, self.P = base + at[0], base + at[1], base + at[2], base + at[3]
        self.M_inverse, self.F, self.Q = base + at[4], base + at[5], base + at[6]
        self.A, self.A_inverse, self.Y = base + at[7], base + at[8], base + at[9]
        self.X, self.N, self.scratch = base + at[10], base + at[11], base + at[12]
        self.coefficients, self.c, self.sigma = base + at[13], base + at[14], base + at[15]
        self.D, self.known = base + at[16], base + at[17]
        self.d_Lambda, self.d_D, self.d_fixed = base + at[18], base + at[19], base + at[20]
        self.d_sigma, self.full = base + at[21], base + at[22]


# -- the first term ----------------------------------------------------------------------------------------------------


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def factor_level(
    Lambda: cython.pointer[number],
    stride: cython.Py_ssize_t,
    S: cython.pointer[cython.const[cython.double]],
    p: cython.Py_ssize_t,
    M: cython.pointer[number],
    H: cython.pointer[number],
    P: cython.pointer[number],
) -> number:
    """L L' = I + Λ'SΛ into M (lower triangle), H = L⁻¹Λ', P = H'H; log|I + Λ'SΛ|. All are p × p but Λ's stride."""
    logdet: number
    lam: number
    d: number
    scale: number
    s: number
    one: cython.double = 1.0
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    if p == 1:
        lam = Lambda[0]
        d = one + lam * lam * S[0]
        M[0] = root(d)
        H[0] = lam / M[0]
        P[0] = lam * lam / d
        return logarithm(d)
    for a in range(p):  # H first holds SΛ
        for b in range(p):
            s = zero(Lambda)
            for c in range(b, p):
                s += S[a * p + c] * Lambda[c * stride + b]
            H[a * p + b] = s
    logdet = zero(Lambda)
    for a in range(p):
        for b in range(a + 1):
            s = zero(Lambda)
            if a == b:
                s += one
            for c in range(a, p):
                s += Lambda[c * stride + a] * H[c * p + b]
            for c in range(b):
                s -= M[a * p + c] * M[b * p + c]
            if a == b:
                M[a * p + a] = root(s)
                logdet += logarithm(s)
            else:
                M[a * p + b] = s / M[b * p + b]
    for a in range(p):
        scale = reciprocal(M[a * p + a])
        for c in range(p):
            s = Lambda[c * stride + a] if c >= a else zero(Lambda)  # Λ' has zeros below the diagonal
            for b in range(a):
                s -= M[a * p + b] * H[b * p + c]
            H[a * p + c] = s * scale
    for a in range(p):
        for b in range(a + 1):
            s = zero(Lambda)
            for c in range(p):
                s += H[c * p + a] * H[c * p + b]
            P[a * p + b] = s
            P[b * p + a] = s
    return logdet


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _two_effects(
    Lambda: cython.pointer[number],
    stride: cython.Py_ssize_t,
    S: cython.pointer[cython.const[cython.double]],
    P: cython.pointer[number],
) -> number:
    """P and log|I + Λ'SΛ| of two effects, with R = ΛΛ': D = 1 + tr(SR) + |S||R|, P = (R + |R| adj S)/D."""
    l11: number
    l21: number
    l22: number
    r11: number
    r21: number
    r22: number
    det: number
    d: number
    scale: number
    one: cython.double = 1.0
    l11, l21, l22 = Lambda[0], Lambda[stride], Lambda[stride + 1]
    r11 = l11 * l11
    r21 = l21 * l11
    r22 = l21 * l21 + l22 * l22
    det = (l11 * l22) * (l11 * l22)
    d = one + S[0] * r11 + (S[2] + S[2]) * r21 + S[3] * r22 + (S[0] * S[3] - S[2] * S[2]) * det
    scale = reciprocal(d)
    P[0] = (r11 + det * S[3]) * scale
    P[2] = (r21 - det * S[2]) * scale
    P[1] = P[2]
    P[3] = (r22 + det * S[0]) * scale
    return logarithm(d)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def inverse_of_small(L: cython.pointer[number], p: cython.Py_ssize_t, out: cython.pointer[number]) -> cython.void:
    """(LL')⁻¹ from a lower factor."""
    s: number
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for k in range(p):  # column k of L⁻¹, kept in the upper triangle of out (row k)
        out[k * p + k] = reciprocal(L[k * p + k])
        for a in range(k + 1, p):
            s = zero(L)
            for c in range(k, a):
                s -= L[a * p + c] * out[k * p + c]
            out[k * p + a] = s / L[a * p + a]
    for a in range(p):  # element (a, b ≥ a) needs columns b, b + 1, ... of rows a and b
        for b in range(a, p):
            s = zero(L)
            for c in range(b, p):
                s += out[a * p + c] * out[b * p + c]
            out[a * p + b] = s
    for a in range(p):
        for b in range(a):
            out[a * p + b] = out[b * p + a]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _first_term(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> number:
    """log|V| of the first term alone, and Q = W'W − Σ B_j'P_jB_j, packed."""
    Q: cython.pointer[number]
    P_all: cython.pointer[number]
    M: cython.pointer[number]
    H: cython.pointer[number]
    own: cython.pointer[number]
    logdet: number
    P: cython.pointer[number]
    weight: number
    p: cython.Py_ssize_t = data.p
    width: cython.Py_ssize_t = data.packed
    Q = numbers(work.Q, Lambda)
    P_all = numbers(work.P, Lambda)
    M = numbers(work.M, Lambda)
    H = numbers(work.H, Lambda)
    own = Lambda + data.first * data.pmax * data.pmax
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    u: cython.Py_ssize_t
    E: cython.pointer[cython.const[cython.double]]
    for k in range(width):
        Q[k] = zero(Lambda) + data.WW[k]
    logdet = zero(Lambda)
    for u in range(data.different):
        P = P_all + u * p * p
        if work.factors:
            factor_level(own, data.pmax, cython.address(data.S[u, 0, 0]), p, M + u * p * p, H + u * p * p, P)
        elif p == 2 and not work.derivatives:
            logdet += data.count[u] * _two_effects(own, data.pmax, cython.address(data.S[u, 0, 0]), P)
        else:
            logdet += data.count[u] * factor_level(own, data.pmax, cython.address(data.S[u, 0, 0]), p, M, H, P)
        if work.derivatives:
            inverse_of_small(M, p, numbers(work.M_inverse, Lambda) + u * p * p)
        E = cython.address(data.E[u, 0, 0])
        for a in range(p):
            for b in range(a + 1):
                weight = P[a * p + b]
                for k in range(width):
                    Q[k] -= weight * E[k]
                E += width
    return logdet


# -- the other terms ---------------------------------------------------------------------------------------------------


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _subtract_level(
    data: Statistics,
    work: Work,
    Lambda: cython.pointer[number],
    j: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    A: cython.pointer[number],
    Y: cython.pointer[number],
) -> cython.void:
    """Take C_j'P_jC_j off A (lower triangle) and C_j'P_jB_j off Y, of one level of the first term."""
    P: cython.pointer[number]
    PB: cython.pointer[number]
    PC: cython.pointer[number]
    Ct: cython.p_double
    row: cython.pointer[number]
    s: number
    s1: number
    p: cython.Py_ssize_t = data.p
    m: cython.Py_ssize_t = data.m
    begin: cython.Py_ssize_t = data.C_start[j]
    width: cython.Py_ssize_t = data.C_start[j + 1] - begin
    P = numbers(work.P, Lambda) + data.inverse[j] * p * p
    PB = numbers(work.scratch, Lambda)  # (p, m)
    PC = PB + p * m  # (p,)
    Ct = cython.cast(cython.p_double, PC + p)  # (p, n)
    # a level that meets many columns: whole rows, zeros included, are faster than picking columns
    whole: cython.bint = 3 * width >= n
    column: cython.Py_ssize_t
    e: cython.Py_ssize_t
    f: cython.Py_ssize_t
    k: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    C: cython.pointer[cython.const[cython.double]]
    for x in range(p):
        for k in range(m):
            s = zero(Lambda)
            for y in range(p):
                s += P[x * p + y] * data.B[j, y, k]
            PB[x * m + k] = s
    if whole:
        for e in range(p * n):
            Ct[e] = 0.0
        for e in range(width):
            for x in range(p):
                Ct[x * n + data.C_column[begin + e]] = data.C[begin + e, x]
    for e in range(width):
        column = data.C_column[begin + e]
        C = cython.address(data.C[begin + e, 0])
        row = A + column * n
        for x in range(p):
            s = zero(Lambda)
            for y in range(p):
                s += P[x * p + y] * C[y]
            PC[x] = s
            for k in range(m):
                Y[column * m + k] -= C[x] * PB[x * m + k]
        if not whole:  # columns are sorted within a level: the lower triangle
            for f in range(e + 1):
                s = PC[0] * data.C[begin + f, 0]
                for x in range(1, p):
                    s += PC[x] * data.C[begin + f, x]
                row[data.C_column[begin + f]] -= s
            continue
        x = 0
        while x + 2 <= p:  # two at a time: half the passes over the row
            s = PC[x]
            s1 = PC[x + 1]
            for f in range(column + 1):
                row[f] -= s * Ct[x * n + f] + s1 * Ct[(x + 1) * n + f]
            x += 2
        if x < p:
            s = PC[x]
            for f in range(column + 1):
                row[f] -= s * Ct[x * n + f]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _scale(
    data: Statistics,
    Lambda: cython.pointer[number],
    component: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    A: cython.pointer[number],
    Y: cython.pointer[number],
) -> cython.void:
    """A becomes I + Λ₂'AΛ₂ (lower triangle) and Y becomes Λ₂'Y: block by block, in place."""
    own: cython.pointer[number]
    row: cython.pointer[number]
    lam: number
    below: cython.pointer[number]
    s: number
    m: cython.Py_ssize_t = data.m
    pmax: cython.Py_ssize_t = data.pmax
    first: cython.Py_ssize_t = data.component_start[component]
    column0: cython.Py_ssize_t = data.block_start[first]
    one: cython.double = 1.0
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    block: cython.Py_ssize_t
    k: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    s0: cython.Py_ssize_t
    size: cython.Py_ssize_t
    for block in range(first, data.component_start[component + 1]):
        own = Lambda + data.block_term[block] * pmax * pmax
        s0 = data.block_start[block] - column0
        size = data.sizes[data.block_term[block]]
        for x in range(size):  # within the block the full square is needed
            for y in range(x + 1, size):
                A[(s0 + x) * n + s0 + y] = A[(s0 + y) * n + s0 + x]
        for x in range(size):  # row x of Λ'A only needs rows x, x + 1, ...: in place from the top
            row = A + (s0 + x) * n
            lam = own[x * pmax + x]
            for b in range(s0 + size):
                row[b] *= lam
            for k in range(m):
                Y[(s0 + x) * m + k] *= lam
            for y in range(x + 1, size):
                lam = own[y * pmax + x]
                below = A + (s0 + y) * n
                for b in range(s0 + size):
                    row[b] += lam * below[b]
                for k in range(m):
                    Y[(s0 + x) * m + k] += lam * Y[(s0 + y) * m + k]
        for a in range(s0, n):  # columns likewise
            row = A + a * n + s0
            for x in range(size):
                s = row[x] * own[x * pmax + x]
                for y in range(x + 1, size):
                    s += row[y] * own[y * pmax + x]
                row[x] = s
    for a in range(n):
        A[a * n + a] += one


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def eliminate(data: Statistics, work: Work, Lambda: cython.pointer[number]) -> number:
    """log|V| of all terms and, in ``work``, Q; nan where a factor fails."""
    Q: cython.pointer[number]
    logdet: number
    A: cython.pointer[number]
    Y: cython.pointer[number]
    s: number
    m: cython.Py_ssize_t = data.m
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    component: cython.Py_ssize_t
    h: cython.Py_ssize_t
    k: cython.Py_ssize_t
    where: cython.Py_ssize_t
    at: cython.Py_ssize_t
    column0: cython.Py_ssize_t
    n: cython.Py_ssize_t
    Q = numbers(work.Q, Lambda)
    logdet = _first_term(data, work, Lambda)
    for component in range(data.components):
        column0 = data.block_start[data.component_start[component]]
        n = data.block_start[data.component_start[component + 1]] - column0
        at = data.G_start[component]
        A = numbers(work.A, Lambda) + at
        Y = numbers(work.Y, Lambda) + column0 * m
        for a in range(n):
            for b in range(a + 1):
                A[a * n + b] = zero(Lambda) + data.G[at + a * n + b]
            for k in range(m):
                Y[a * m + k] = zero(Lambda) + data.R[column0 + a, k]
        for where in range(data.level_start[component], data.level_start[component + 1]):
            _subtract_level(data, work, Lambda, data.levels[where], n, A, Y)
        _scale(data, Lambda, component, n, A, Y)
        factorise(A, n, n)
        logdet += log_determinant(A, n, n)
        solve_lower(A, n, n, Y, m, m)
        for a in range(n):  # Q −= Y'Y
            at = 0
            for k in range(m):
                s = Y[a * m + k]
                for h in range(k + 1):
                    Q[at] -= s * Y[a * m + h]
                    at += 1
    return logdet


# -- the coefficients --------------------------------------------------------------------------------------------------


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def solve_coefficients(data: Statistics, work: Work, Lambda: cython.pointer[number], g: cython.Py_ssize_t) -> number:
    """Factor A = Q_XX/σ² + D of the g integrated coefficients, and find their mean c: what is left of −2 log density.

    log|A| plus min over c of w'Qw/σ² + (c − d)'D(c − d), where w = (−c, −fixed, 1). The quadratic is evaluated at its
    minimum: in d'Dd − h'A⁻¹h, which it equals, two numbers of the size of D cancel, and a prior may have scales of 1e-6
    and less.
    """
    Q: cython.pointer[number]
    m: cython.Py_ssize_t = data.m
    Q = numbers(work.Q, Lambda)
    return _coefficients(
        Q, m, g,
        numbers(work.sigma, Lambda), numbers(work.D, Lambda), numbers(work.known, Lambda),
        numbers(work.coefficients, Lambda), numbers(work.c, Lambda),
    )  # fmt: skip


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _coefficients(
    Q: cython.pointer[number],
    m: cython.Py_ssize_t,
    g: cython.Py_ssize_t,
    sigma: cython.pointer[number],
    D: cython.pointer[number],
    known: cython.pointer[number],
    A: cython.pointer[number],
    c: cython.pointer[number],
) -> number:
    """See :func:`solve_coefficients`; A is (g, g), c (m,) becomes (mean, fixed, −1): minus the weights w."""
    inv_s2: number
    logdet: number
    quad: number
    s: number
    one: cython.double = 1.0
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    inv_s2 = reciprocal(sigma[0] * sigma[0])
    logdet = zero(Q)
    for a in range(g):
        for b in range(a + 1):
            s = Q[at] * inv_s2
            at += 1
            if a == b:
                s += D[a]
            for k in range(b):
                s -= A[a * g + k] * A[b * g + k]
            if a == b:
                A[a * g + a] = root(s)
                logdet += logarithm(s)
            else:
                A[a * g + b] = s / A[b * g + b]
        s = Q[m * (m - 1) // 2 + a]
        for k in range(g, m - 1):
            s -= Q[k * (k + 1) // 2 + a] * known[k]
        s = s * inv_s2 + D[a] * known[a]
        for k in range(a):
            s -= A[a * g + k] * c[k]
        c[a] = s / A[a * g + a]
    for a in range(g - 1, -1, -1):
        for b in range(a + 1, g):
            c[a] -= A[b * g + a] * c[b]
        c[a] /= A[a * g + a]
    for a in range(g, m - 1):
        c[a] = known[a]
    c[m - 1] = zero(Q) - one
    quad = zero(Q)
    at = 0
    for a in range(m):
        s = zero(Q)
        for b in range(a):
            s += c[b] * Q[at]
            at += 1
        quad += c[a] * (s + s + c[a] * Q[at])
        at += 1
    quad *= inv_s2
    for a in range(g):
        s = c[a] - known[a]
        quad += D[a] * s * s
    return logdet + quad


# -- for Python --------------------------------------------------------------------------------------------------------


@cython.cfunc
def load(
    work: Work,
    Lambda: cython.double[:, :, :, ::1],
    sigma: cython.double[::1],
    D: cython.double[:, ::1],
    known: cython.double[:, ::1],
    start: cython.Py_ssize_t,
) -> cython.void:
    """Put the points from ``start`` on side by side; the last one again where there are too few."""
    point: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    width: cython.Py_ssize_t = work.width
    size: cython.Py_ssize_t = Lambda.shape[1] * Lambda.shape[2] * Lambda.shape[3]
    of_point: cython.p_double
    for point in range(width):
        i = min(start + point, Lambda.shape[0] - 1)
        of_point = cython.address(Lambda[i, 0, 0, 0])
        for k in range(size):
            work.Lambda[k * width + point] = of_point[k]
        work.sigma[point] = sigma[i]
        for k in range(D.shape[1]):
            work.D[k * width + point] = D[i, k]
        for k in range(known.shape[1]):
            work.known[k * width + point] = known[i, k]


@cython.cfunc
@cython.exceptval(check=False)
def batch_for(data: Statistics) -> cython.Py_ssize_t:
    """How many points are worked on side by side."""
    return MLMPARITY_BATCH if data.largest < _ALONE_FROM else 1


def log_likelihood(
    data: Statistics,
    Lambda: cython.double[:, :, :, ::1],
    sigma: cython.double[::1],
    D: cython.double[:, ::1],
    known: cython.double[:, ::1],
) -> np.ndarray:
    """−½ log|V| − ½ log|A| − ½ min over c of w'Qw/σ² + (c − d)'D(c − d), at n points.

    Parameters
    ----------
    data : Statistics
    Lambda : ndarray, shape (n, terms, pmax, pmax)
    sigma : ndarray, shape (n,)
    D : ndarray, shape (n, g)
        Prior precisions of the integrated coefficients.
    known : ndarray, shape (n, m − 1)
        d, the prior means of the g integrated coefficients, then the values of the H others; less the centre.

    Returns
    -------
    ndarray, shape (n,)
        −inf where a matrix has no Cholesky factor.
    """
    n: cython.Py_ssize_t = Lambda.shape[0]
    width: cython.Py_ssize_t = batch_for(data)
    work: Work = Work(data, width, False)
    result = np.empty(n)
    out: cython.double[::1] = result
    start: cython.Py_ssize_t
    point: cython.Py_ssize_t
    value: cython.double
    several: batch
    g: cython.Py_ssize_t = D.shape[1]
    for start in range(0, n, width):
        load(work, Lambda, sigma, D, known, start)
        if width == 1:
            value = eliminate(data, work, work.Lambda)
            work.Lambda[0] = value + solve_coefficients(data, work, work.Lambda, g)
        else:
            at = cython.cast(cython.pointer[batch], work.Lambda)
            several = eliminate(data, work, at)
            at[0] = several + solve_coefficients(data, work, at, g)
        for point in range(min(width, n - start)):
            value = -0.5 * work.Lambda[point]
            out[start + point] = value if value == value else -INFINITY
        PyErr_CheckSignals()
    return result


def reduce(data: Statistics, Lambda: cython.double[:, :, :, ::1]) -> tuple:
    """log|V| and packed Q = W'V⁻¹W at n points, shapes (n,) and (n, m (m + 1)/2); nan where a factor fails."""
    n: cython.Py_ssize_t = Lambda.shape[0]
    work: Work = Work(data, 1, False)
    logdet = np.empty(n)
    Q = np.empty((n, data.packed))
    out: cython.double[::1] = logdet
    into: cython.double[:, ::1] = Q
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for i in range(n):
        out[i] = eliminate(data, work, cython.address(Lambda[i, 0, 0, 0]))
        for k in range(data.packed):
            into[i, k] = work.Q[k]
        PyErr_CheckSignals()
    return logdet, Q
