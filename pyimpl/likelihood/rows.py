"""What is done once for each row: sorting by level, orthogonal factors, products of the random effects' columns.

All functions fill arrays that are given to them, unless they say otherwise.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import sqrt
from cython.cimports.pyimpl.likelihood.inner import Inner
from cython.cimports.pyimpl.linalg.columns import dot, load
from cython.cimports.pyimpl.linalg.pattern import Pattern

from pyimpl.linalg.columns import ROWS, column_means

__all__ = [
    "add_row_products",
    "by_level",
    "cliques_to_graph",
    "components",
    "constant_column",
    "gram_schmidt",
    "level_kinds",
    "level_products",
    "mean_degree",
    "nodes_by_level",
    "orthonormal_basis",
    "qr_by_level",
    "root_mean_squares",
    "sort_by_level",
    "sorted_columns",
    "subtract_products",
    "touched_nodes",
    "triangle",
]

_ROWS = cython.declare(cython.Py_ssize_t, ROWS)
_HEARS = cython.declare(cython.Py_ssize_t, 100_000)  # levels between two looks for Ctrl-C: each is held against many
#: Share of a column's square that those before it leave, at least. It is the square of a condition number of 1e6, with
#: which the first Q is 2e-4 from orthogonal: the second one is orthogonal to rounding.
_DEPENDENT = cython.declare(cython.double, 1e-12)
_MANY_ROWS = cython.declare(cython.Py_ssize_t, 10_000)  # from which a second Q takes time, and is asked for
#: ... and of one that is as orthogonal as a second one would be, but for rounding: a fit of a million rows takes .9.
_ORTHOGONAL = cython.declare(cython.double, 1e-13)
_NEARLY_ORTHOGONAL = cython.declare(cython.double, 0.05)  # ‖Q'Q − I‖ of a first Q whose own factor is well-conditioned


def sort_by_level(codes: cython.Py_ssize_t[::1], levels: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """The rows level by level, where each level starts, and each row's place: of N, levels + 1 and N ints, ndarrays."""
    i: cython.Py_ssize_t
    N: cython.Py_ssize_t = codes.shape[0]
    order_array, starts_array = np.empty(N, dtype=np.intp), np.zeros(levels + 1, dtype=np.intp)
    place_array = np.empty(N, dtype=np.intp)
    order: cython.Py_ssize_t[::1] = order_array
    starts: cython.Py_ssize_t[::1] = starts_array
    place: cython.Py_ssize_t[::1] = place_array
    for i in range(N):
        starts[codes[i] + 1] += 1
    for i in range(levels):
        starts[i + 1] += starts[i]
    following: cython.Py_ssize_t[::1] = starts_array[:levels].copy()
    for i in range(N):
        place[i] = following[codes[i]]
        order[place[i]] = i
        following[codes[i]] += 1
    return order_array, starts_array, place_array


def by_level(parts, place: cython.Py_ssize_t[::1]):  # type: ignore[no-untyped-def]
    """The columns of arrays (N, k) side by side, each row put in its place: ndarray, shape (N, Σ k).

    Rows are read one after the other and written level by level: half to a quarter of the time of the reverse.
    """
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    N: cython.Py_ssize_t = place.shape[0]
    width: cython.Py_ssize_t = 0
    for one in parts:
        width += one.shape[1]
    out_array = np.empty((N, width))
    out: cython.double[:, ::1] = out_array
    for one in parts:
        part: cython.const[cython.double][:, ::1] = one
        wide: cython.Py_ssize_t = part.shape[1]
        for i in range(N):
            for k in range(wide):
                out[place[i], at + k] = part[i, k]
        at += wide
    return out_array


def nodes_by_level(codes, levels, place: cython.Py_ssize_t[::1]):  # type: ignore[no-untyped-def]
    """The nodes of each row, numbered factor by factor, each row in its place: ndarray of int, shape (N, factors)."""
    i: cython.Py_ssize_t
    f: cython.Py_ssize_t
    first: cython.Py_ssize_t = 0
    N: cython.Py_ssize_t = place.shape[0]
    out_array = np.empty((N, len(codes)), dtype=np.intp)
    out: cython.Py_ssize_t[:, ::1] = out_array
    for f in range(len(codes)):
        code: cython.Py_ssize_t[::1] = codes[f]
        for i in range(N):
            out[place[i], f] = first + code[i]
        first += levels[f]
    return out_array


def root_mean_squares(Z: cython.const[cython.double][:, ::1]):  # type: ignore[no-untyped-def]
    """Root mean square of each column, 1 for one of zeros: ndarray, shape (p,)."""
    N: cython.Py_ssize_t = Z.shape[0]
    p: cython.Py_ssize_t = Z.shape[1]
    k: cython.Py_ssize_t
    out_array = np.ones(p)
    out: cython.double[::1] = out_array
    for k in range(p if N else 0):
        x: cython.p_double = cython.cast(cython.p_double, cython.address(Z[0, k]))
        square: cython.double = dot(x, x, N, p, p)
        if square > 0.0:
            out[k] = sqrt(square / N)
    return out_array


def constant_column(X):  # type: ignore[no-untyped-def]
    """Position and value of the first column (N, P) that is constant and not 0, or (−1, 0)."""
    view: cython.const[cython.double][:, :] = X
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for k in range(view.shape[1] if view.shape[0] else 0):
        value: cython.double = view[0, k]
        constant: cython.bint = value != 0.0
        for i in range(view.shape[0]):
            constant = constant and view[i, k] == value
            if not constant:
                break
        if constant:
            return k, value
    return -1, 0.0


def gram_schmidt(X: cython.double[:, ::1], R: cython.double[:, ::1]):  # type: ignore[no-untyped-def]
    """X becomes Q of X = QR: classical Gram-Schmidt, twice for each column, which is enough (Giraud et al. 2005).

    X and Q stand column by column: shape (m, N). Enough for a column that is not numerically dependent on those before
    it. One that is shrinks again at the second pass (Kahan's and Parlett's criterion): what remains of it is rounding
    error, not orthogonal to anything, and a later column would be projected on that direction twice. Such a column of Q
    is 0, and so is its diagonal of R.
    """
    m: cython.Py_ssize_t = X.shape[0]
    n: cython.Py_ssize_t = X.shape[1]
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    turn: cython.int
    factor: cython.double
    part: cython.double[::1] = np.empty(m)
    for c in range(m if n else 0):
        x: cython.p_double = cython.address(X[c, 0])
        before: cython.double = 0.0
        square: cython.double = dot(x, x, n, 1, 1) if c == 0 else 0.0  # nothing to be orthogonal to
        for turn in range(2 if c else 0):
            for k in range(c):
                part[k] = dot(cython.address(X[k, 0]), x, n, 1, 1)
                R[k, c] += part[k]
            for k in range(c):
                z: cython.p_double = cython.address(X[k, 0])
                factor = part[k]
                for i in range(n):
                    x[i] -= factor * z[i]
            before, square = square, dot(x, x, n, 1, 1)
        if c and not square > 0.25 * before:
            square = 0.0
        R[c, c] = sqrt(square)
        factor = 1.0 / R[c, c] if square > 0.0 else 0.0
        for i in range(n):
            x[i] *= factor


def triangle(X: cython.double[:, ::1]):  # type: ignore[no-untyped-def]
    """R of X = QR, shape (m, m), of a narrow X (N, m): by blocks of rows that stay in the cache.

    The triangle of all rows is that of the blocks' triangles, one below the other (Demmel et al. 2012).
    """
    N: cython.Py_ssize_t = X.shape[0]
    m: cython.Py_ssize_t = X.shape[1]
    b: cython.Py_ssize_t
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    begin: cython.Py_ssize_t
    n: cython.Py_ssize_t
    count: cython.Py_ssize_t = max(1, N // max(_ROWS, m))
    triangles = np.zeros((count * m, m))
    for b in range(count):
        begin = b * N // count
        n = (b + 1) * N // count - begin
        columns: cython.double[:, ::1] = np.empty((m, n))
        for i in range(n):
            for c in range(m):
                columns[c, i] = X[begin + i, c]
        gram_schmidt(columns, triangles[b * m : (b + 1) * m])
    return triangles if count == 1 else triangle(triangles)


@cython.cfunc
def _change_columns(
    X: cython.double[:, ::1], y: cython.double[::1], shift: cython.double[::1], root: cython.double[::1],
    A: cython.double[:, ::1], G: cython.double[:, ::1], block: cython.p_double,
) -> cython.int:  # fmt: skip
    """[X, y] becomes √w([X, y] − shift)A, A upper triangular, by blocks of rows; adds its products to G (lower)."""
    N: cython.Py_ssize_t = X.shape[0]
    P: cython.Py_ssize_t = X.shape[1]
    begin: cython.Py_ssize_t
    n: cython.Py_ssize_t
    i: cython.Py_ssize_t
    a: cython.Py_ssize_t
    c: cython.Py_ssize_t
    x: cython.p_double
    z: cython.p_double
    factor: cython.double
    for begin in range(0, N, _ROWS):
        PyErr_CheckSignals()
        n = min(_ROWS, N - begin)
        if P:
            load(cython.address(X[begin, 0]), P, n, cython.address(shift[0]), block)
        load(cython.address(y[begin]), 1, n, cython.address(shift[P]), block + P * _ROWS)
        for c in range(P + 1 if root.shape[0] else 0):
            x = block + c * _ROWS
            for i in range(n):
                x[i] *= root[begin + i]
        for c in range(P, -1, -1):
            x = block + c * _ROWS
            factor = A[c, c]
            if factor != 1.0:
                for i in range(n):
                    x[i] *= factor
            for a in range(c):
                factor = A[a, c]
                if factor != 0.0:
                    z = block + a * _ROWS
                    for i in range(n):
                        x[i] += factor * z[i]
        for i in range(n):
            for c in range(P):
                X[begin + i, c] = block[c * _ROWS + i]
            y[begin + i] = block[P * _ROWS + i]
        for a in range(P + 1):
            for c in range(a + 1):
                G[a, c] += dot(block + a * _ROWS, block + c * _ROWS, n, 1, 1)
    return 0


@cython.cfunc
def _from_products(G: cython.double[:, ::1], R: cython.double[:, ::1], A: cython.double[:, ::1]) -> cython.bint:
    """R of X = QR and the map A from [X, y] to [Q, y − QQ'y] from the cross-products G; False where there is none."""
    P: cython.Py_ssize_t = G.shape[0] - 1
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    total: cython.double
    for c in range(P + 1):  # the last column of R is Q'y
        for a in range(min(c + 1, P)):
            total = G[c, a]
            for b in range(a):
                total -= R[b, a] * R[b, c]
            if a < c:
                R[a, c] = total / R[a, a]
            elif total > _DEPENDENT * G[c, c]:
                R[c, c] = sqrt(total)
            else:
                return False
    for c in range(P):
        A[c, c] = 1.0 / R[c, c]
        for a in range(c - 1, -1, -1):
            total = 0.0
            for b in range(a + 1, c + 1):
                total -= R[a, b] * A[b, c]
            A[a, c] = total / R[a, a]
    for a in range(P):
        total = 0.0
        for c in range(a, P):
            total -= A[a, c] * R[c, P]
        A[a, P] = total
    A[P, P] = 1.0
    return True


@cython.cfunc
def _is_orthogonal(off: cython.double, G: cython.double[:, ::1]) -> cython.bint:
    """Whether the cross-products G of [Q, y - QQ'y] leave no more to do; `off` is ‖Q'Q − I‖²."""
    P: cython.Py_ssize_t = G.shape[0] - 1
    a: cython.Py_ssize_t
    least: cython.double = _ORTHOGONAL * _ORTHOGONAL
    for a in range(P):
        if not G[P, a] * G[P, a] <= least * G[P, P]:
            return False
    return off <= least


def orthonormal_basis(  # type: ignore[no-untyped-def]
    X: cython.double[:, ::1], y: cython.double[::1], root: cython.double[::1], intercept: cython.Py_ssize_t,
    inverse: cython.double[:, ::1], beta: cython.double[::1], R: cython.double[:, ::1],
):  # fmt: skip
    """X becomes a basis of √w·X, y the residual of √w·y; receives the basis' map to β, β, and R of X = QR.

    By Cholesky factors of cross-products, once or twice: the first Q is as far from orthogonal as X is ill-conditioned,
    the second as far as rounding (Yamamoto et al. 2015, ETNA 44, 306-326). False where X is too ill-conditioned for
    that, or its columns are dependent: X and y are then of no use any more. With a constant column, subtracting means
    is exact algebra, and keeps the digits that a large mean would cost.
    """
    P: cython.Py_ssize_t = X.shape[1]
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    off: cython.double = 0.0
    constant: cython.double = 1.0
    none: cython.double[::1] = np.empty(0)
    room: cython.double[::1] = np.empty(ROWS * (P + 1))
    block: cython.p_double = cython.address(room[0])
    shift: cython.double[::1] = np.zeros(P + 1)
    unshifted: cython.double[::1] = np.zeros(P + 1)
    squares: cython.double[:, :, ::1] = np.zeros((6, P + 1, P + 1))
    A: cython.double[:, ::1] = squares[0]
    R1: cython.double[:, ::1] = squares[1]
    R2: cython.double[:, ::1] = squares[2]
    G: cython.double[:, ::1] = squares[3]
    G2: cython.double[:, ::1] = squares[4]
    if intercept >= 0:
        constant = X[0, intercept]
        means: cython.double[::1] = column_means(X)
        for c in range(P):
            shift[c] = means[c] if c != intercept else 0.0
        shift[P] = column_means(np.asarray(y)[:, None])[0]
    for a in range(P + 1):
        A[a, a] = 1.0
    _change_columns(X, y, shift, root, A, G, block)
    if not _from_products(G, R1, A):
        return False
    _change_columns(X, y, unshifted, none, A, G2, block)
    for a in range(P):
        for c in range(a + 1):
            off += (1.0 if a == c else 2.0) * (G2[a, c] - (1.0 if a == c else 0.0)) ** 2
    if not off <= _NEARLY_ORTHOGONAL * _NEARLY_ORTHOGONAL:
        return False
    if X.shape[0] > _MANY_ROWS and _is_orthogonal(off, G2):
        for a in range(P):
            R2[a, a] = 1.0
    elif _from_products(G2, R2, A):
        _change_columns(X, y, unshifted, none, A, squares[5], block)
    else:
        return False
    for c in range(P + 1):  # √w[X, y] = Q₁R₁ = Q₂R₂R₁; the last column is Q'y, of which R₂'s has what was left
        for a in range(min(c + 1, P)):
            G[a, c] = R2[a, P] if c == P else 0.0
            for b in range(a, min(c + 1, P)):
                G[a, c] += R2[a, b] * R1[b, c]
    for a in range(P):
        for c in range(P):
            R[a, c] = G[a, c] if c >= a else 0.0
            inverse[a, c] = 0.0
    for c in range(P):
        inverse[c, c] = 1.0 / R[c, c]
        for a in range(c - 1, -1, -1):
            for b in range(a + 1, c + 1):
                inverse[a, c] -= R[a, b] * inverse[b, c]
            inverse[a, c] /= R[a, a]
    if intercept >= 0:  # columns were shifted by multiples of the constant one: undo it in its coefficient
        for c in range(P):
            for a in range(P):
                if a != intercept:
                    inverse[intercept, c] -= shift[a] / constant * inverse[a, c]
    for a in range(P):
        beta[a] = 0.0
        for c in range(P):
            beta[a] += inverse[a, c] * G[c, P]
    if intercept >= 0:
        beta[intercept] += shift[P] / constant
    return True


def qr_by_level(  # type: ignore[no-untyped-def]
    Z: cython.double[:, ::1], D: cython.double[:, ::1], starts: cython.Py_ssize_t[::1], R: cython.double[:, :, ::1],
    C: cython.double[:, :, ::1], Q: cython.double[:, ::1], want_q: cython.bint,
):  # fmt: skip
    """Householder QR of each level's rows of Z, applied to D: R_j, C_j = Q_j'D; D keeps what is orthogonal to Z_j.

    Z and D are overwritten, R and C hold zeros. With `want_q` the thin Q_j are formed in Q, which holds zeros.
    """
    p: cython.Py_ssize_t = Z.shape[1]
    m: cython.Py_ssize_t = D.shape[1]
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t
    s: cython.Py_ssize_t
    e: cython.Py_ssize_t
    most: cython.Py_ssize_t
    square: cython.double
    dot: cython.double
    tau: cython.double[::1] = np.zeros(p)
    for j in range(starts.shape[0] - 1):
        s, e = starts[j], starts[j + 1]
        most = min(p, e - s)
        for k in range(most):
            square = 0.0
            for i in range(s + k, e):
                square += Z[i, k] * Z[i, k]
            head: cython.double = Z[s + k, k]
            norm: cython.double = sqrt(square)
            tau[k] = 0.0
            if norm > 0.0:
                alpha: cython.double = -norm if head > 0 else norm
                v0: cython.double = head - alpha
                Z[s + k, k] = v0
                tau[k] = 2.0 / (square - head * head + v0 * v0)
                for c in range(k + 1, p):
                    dot = 0.0
                    for i in range(s + k, e):
                        dot += Z[i, k] * Z[i, c]
                    dot *= tau[k]
                    for i in range(s + k, e):
                        Z[i, c] -= dot * Z[i, k]
                for c in range(m):
                    dot = 0.0
                    for i in range(s + k, e):
                        dot += Z[i, k] * D[i, c]
                    dot *= tau[k]
                    for i in range(s + k, e):
                        D[i, c] -= dot * Z[i, k]
                R[j, k, k] = alpha
            for c in range(k + 1, p):
                R[j, k, c] = Z[s + k, c]
        if want_q:
            for k in range(most):
                Q[s + k, k] = 1.0
            for k in range(most - 1, -1, -1):
                for c in range(most):
                    dot = 0.0
                    for i in range(s + k, e):
                        dot += Z[i, k] * Q[i, c]
                    dot *= tau[k]
                    for i in range(s + k, e):
                        Q[i, c] -= dot * Z[i, k]
        for k in range(most):
            for c in range(m):
                C[j, k, c] = D[s + k, c]
                D[s + k, c] = 0.0


def level_kinds(R: cython.double[:, :, ::1], most: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """Which of the different R_j, in the order in which they turn up, each level has: ndarray of int, shape (J,).

    None where there are more than `most`.
    """
    kinds_array = np.empty(R.shape[0], dtype=np.intp)
    kinds: cython.Py_ssize_t[::1] = kinds_array
    firsts: cython.Py_ssize_t[::1] = np.empty(most, dtype=np.intp)
    size: cython.Py_ssize_t = R.shape[1] * R.shape[2]
    count: cython.Py_ssize_t = 0
    kind: cython.Py_ssize_t = 0
    j: cython.Py_ssize_t
    tries: cython.Py_ssize_t
    i: cython.Py_ssize_t
    for j in range(R.shape[0]):
        if j % _HEARS == 0:
            PyErr_CheckSignals()
        mine: cython.p_double = cython.address(R[j, 0, 0])
        tries = 0
        while tries < count:  # neighbours are often alike: the kind before comes first
            other: cython.p_double = cython.address(R[firsts[kind], 0, 0])
            i = 0
            while i < size and mine[i] == other[i]:
                i += 1
            if i == size:
                break
            kind = kind + 1 if kind + 1 < count else 0
            tries += 1
        if tries == count:
            if count == most:
                return None
            firsts[count] = j
            kind = count
            count += 1
        kinds[j] = kind
    return kinds_array


def touched_nodes(starts: cython.Py_ssize_t[::1], nodes: cython.Py_ssize_t[:, ::1], count: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """The outer nodes that the rows of each level touch: ``(indptr, nodes)``.

    `nodes` (N, factors) has those of each row, the rows level by level; there are `count` of them.
    """
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    f: cython.Py_ssize_t
    used: cython.Py_ssize_t = 0
    stamp: cython.Py_ssize_t[::1] = np.full(count, -1, dtype=np.intp)
    indptr_array = np.zeros(starts.shape[0], dtype=np.intp)
    indptr: cython.Py_ssize_t[::1] = indptr_array
    out_array = np.empty(nodes.shape[0] * nodes.shape[1], dtype=np.intp)
    out: cython.Py_ssize_t[::1] = out_array
    for j in range(starts.shape[0] - 1):
        for i in range(starts[j], starts[j + 1]):
            for f in range(nodes.shape[1]):
                if stamp[nodes[i, f]] != j:
                    stamp[nodes[i, f]] = j
                    out[used] = nodes[i, f]
                    used += 1
        indptr[j + 1] = used
    return indptr_array, out_array[:used].copy()


def components(indptr: cython.Py_ssize_t[::1], nodes: cython.Py_ssize_t[::1], count: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """Label of each node such that nodes of one clique have the same: ndarray of int, shape (count,)."""
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    out_array = np.arange(count)
    root: cython.Py_ssize_t[::1] = out_array
    for j in range(indptr.shape[0] - 1):
        for i in range(indptr[j] + 1, indptr[j + 1]):
            a, b = nodes[i - 1], nodes[i]
            while root[a] != a:
                root[a] = root[root[a]]
                a = root[a]
            while root[b] != b:
                root[b] = root[root[b]]
                b = root[b]
            if a < b:
                root[b] = a
            else:
                root[a] = b
    for i in range(count):
        a = i
        while root[a] != a:
            a = root[a]
        root[i] = a
    return out_array


def mean_degree(  # type: ignore[no-untyped-def]
    indptr: cython.Py_ssize_t[::1], nodes: cython.Py_ssize_t[::1], count: cython.Py_ssize_t,
    looked_at: cython.Py_ssize_t,
):  # fmt: skip
    """How many nodes one meets in cliques, itself among them: the mean over some, `looked_at` (at most 32) or more."""
    step: cython.Py_ssize_t = max(1, count // looked_at)
    met: cython.Py_ssize_t[::1] = np.zeros(count, dtype=np.intp)  # which of them each node meets, a bit each
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    bits: cython.Py_ssize_t
    one: cython.Py_ssize_t = 1
    total: cython.double = 0.0
    for j in range(indptr.shape[0] - 1):
        bits = 0
        for i in range(indptr[j], indptr[j + 1]):
            if nodes[i] % step == 0:
                bits |= one << (nodes[i] // step)
        if bits:
            for i in range(indptr[j], indptr[j + 1]):
                met[nodes[i]] |= bits
    for i in range(count):
        bits = met[i]
        while bits:
            bits &= bits - 1
            total += 1.0
    return total / ((count + step - 1) // step)


def cliques_to_graph(indptr: cython.Py_ssize_t[::1], nodes: cython.Py_ssize_t[::1], count: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """Neighbours of each node where the nodes of each clique touch each other: ``(indptr, indices)``."""
    cliques: cython.Py_ssize_t = indptr.shape[0] - 1
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    a: cython.Py_ssize_t
    k: cython.Py_ssize_t
    used: cython.Py_ssize_t = 0
    ptr: cython.Py_ssize_t[::1] = np.zeros(count + 1, dtype=np.intp)
    member: cython.Py_ssize_t[::1] = np.empty(max(nodes.shape[0], 1), dtype=np.intp)
    for i in range(nodes.shape[0]):
        ptr[nodes[i] + 1] += 1
    for i in range(count):
        ptr[i + 1] += ptr[i]
    write: cython.Py_ssize_t[::1] = np.array(ptr)
    for j in range(cliques):
        for i in range(indptr[j], indptr[j + 1]):
            member[write[nodes[i]]] = j
            write[nodes[i]] += 1
    starts_array = np.zeros(count + 1, dtype=np.intp)
    starts: cython.Py_ssize_t[::1] = starts_array
    out_array = np.empty(max(4 * nodes.shape[0], 16), dtype=np.intp)
    out: cython.Py_ssize_t[::1] = out_array
    stamp: cython.Py_ssize_t[::1] = np.full(count, -1, dtype=np.intp)
    for i in range(count):
        stamp[i] = i
        if used + count > out.shape[0]:
            out_array = np.concatenate([out_array[:used], np.empty(used + count, dtype=np.intp)])
            out = out_array
        for a in range(ptr[i], ptr[i + 1]):
            j = member[a]
            for k in range(indptr[j], indptr[j + 1]):
                if stamp[nodes[k]] != i:
                    stamp[nodes[k]] = i
                    out[used] = nodes[k]
                    used += 1
        starts[i + 1] = used
    return starts_array, out_array[:used].copy()


def sorted_columns(  # type: ignore[no-untyped-def]
    indptr: cython.Py_ssize_t[::1], nodes: cython.Py_ssize_t[::1], column: cython.Py_ssize_t[::1],
    width: cython.Py_ssize_t[::1],
):  # fmt: skip
    """The columns that each level touches, ascending, and how many pairs meet in a level: ``(indptr, columns, pairs)``.

    `column` is the first one of each node.
    """
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    used: cython.Py_ssize_t = 0
    total: cython.Py_ssize_t = 0
    pairs: cython.double = 0.0
    for i in range(nodes.shape[0]):
        total += width[nodes[i]]
    out_array = np.empty(total, dtype=np.intp)
    out: cython.Py_ssize_t[::1] = out_array
    ptr_array = np.zeros(indptr.shape[0], dtype=np.intp)
    ptr: cython.Py_ssize_t[::1] = ptr_array
    for j in range(indptr.shape[0] - 1):
        begin: cython.Py_ssize_t = used
        for i in range(indptr[j], indptr[j + 1]):
            for k in range(width[nodes[i]]):
                out[used] = column[nodes[i]] + k
                used += 1
        ptr[j + 1] = used
        pairs += cython.cast(cython.double, used - begin) * (used - begin)
        if used - begin > 32:
            out_array[begin:used].sort()
            continue
        for i in range(begin + 1, used):  # by insertion: a call takes longer for so few
            moved: cython.Py_ssize_t = out[i]
            k = i
            while k > begin and out[k - 1] > moved:
                out[k] = out[k - 1]
                k -= 1
            out[k] = moved
    return ptr_array, out_array, pairs


def level_products(  # type: ignore[no-untyped-def]
    inner: Inner, starts: cython.Py_ssize_t[::1], Q: cython.double[:, ::1], D: cython.double[:, ::1],
    column: cython.Py_ssize_t[:, ::1], Z: cython.double[:, ::1], width: cython.Py_ssize_t[::1],
    within_dense: cython.double[:, ::1],
):  # fmt: skip
    """V_j' = Z_o'Q_j in the inner factor's `values`, and Z_o'(I − QQ')D in `within_dense` (m, q); both hold zeros.

    `column` (N, factors) holds the first column that a row touches of each outer factor, `Z` (N, Σ width) its values.
    """
    p: cython.Py_ssize_t = Q.shape[1]
    m: cython.Py_ssize_t = D.shape[1]
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    f: cython.Py_ssize_t
    k: cython.Py_ssize_t
    a: cython.Py_ssize_t
    c: cython.Py_ssize_t
    at: cython.Py_ssize_t
    z: cython.double
    position: cython.Py_ssize_t[::1] = np.empty(within_dense.shape[1], dtype=np.intp)
    C: cython.double[:, :, ::1] = inner.C
    indptr: cython.Py_ssize_t[::1] = inner.indptr
    columns: cython.Py_ssize_t[::1] = inner.columns
    values: cython.double[:, ::1] = inner.values
    for j in range(starts.shape[0] - 1):
        for a in range(indptr[j], indptr[j + 1]):
            position[columns[a]] = a
        for i in range(starts[j], starts[j + 1]):
            at = 0
            for f in range(width.shape[0]):
                for k in range(width[f]):
                    z = Z[i, at + k]
                    a = column[i, f] + k
                    for c in range(m):
                        within_dense[c, a] += z * D[i, c]
                    a = position[a]
                    for c in range(p):
                        values[a, c] += Q[i, c] * z
                at += width[f]
        for a in range(indptr[j], indptr[j + 1]):
            for c in range(m):
                z = 0.0
                for k in range(p):
                    z += values[a, k] * C[j, k, c]
                within_dense[c, columns[a]] -= z


def subtract_products(inner: Inner, within: cython.double[::1]):  # type: ignore[no-untyped-def]
    """Take Σ V_j'V_j from `within`: what Q spans of the outer factors' cross-products."""
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    count: cython.Py_ssize_t = inner.values.shape[0] * inner.p
    values: cython.p_double = cython.address(inner.values[0, 0])
    for i in range(within.shape[0]):
        within[i] = -within[i]
    for i in range(count):
        inner.U[i] = values[i]
    for j in range(inner.J):
        inner._scatter(j, cython.address(within[0]))
    for i in range(within.shape[0]):
        within[i] = -within[i]


def add_row_products(  # type: ignore[no-untyped-def]
    pattern: Pattern, column: cython.Py_ssize_t[:, ::1], Z: cython.double[:, ::1], width: cython.Py_ssize_t[::1],
    super_of: cython.Py_ssize_t[::1], within: cython.double[::1],
):  # fmt: skip
    """Z_o'Z_o added to `within`, in panels; `column` and `Z` as of :func:`level_products`."""
    i: cython.Py_ssize_t
    f: cython.Py_ssize_t
    g: cython.Py_ssize_t
    k: cython.Py_ssize_t
    h: cython.Py_ssize_t
    s: cython.Py_ssize_t
    c: cython.Py_ssize_t
    r: cython.Py_ssize_t
    low: cython.Py_ssize_t
    high: cython.Py_ssize_t
    middle: cython.Py_ssize_t
    at: cython.Py_ssize_t
    before: cython.Py_ssize_t
    for i in range(column.shape[0]):
        at = 0
        for f in range(width.shape[0]):
            before = 0
            for g in range(width.shape[0]):
                c, r = column[i, g], column[i, f]
                if c <= r:
                    s = super_of[c]
                    nc: cython.Py_ssize_t = pattern.first[s + 1] - pattern.first[s]
                    nr: cython.Py_ssize_t = nc + pattern.row_ptr[s + 1] - pattern.row_ptr[s]
                    if r < pattern.first[s + 1]:
                        low = r - pattern.first[s]
                    else:
                        low, high = pattern.row_ptr[s], pattern.row_ptr[s + 1]
                        while low < high:
                            middle = (low + high) // 2
                            if pattern.rows[middle] < r:
                                low = middle + 1
                            else:
                                high = middle
                        low += nc - pattern.row_ptr[s]
                    for h in range(width[g]):
                        into: cython.Py_ssize_t = pattern.panel[s] + (c + h - pattern.first[s]) * nr + low
                        for k in range(h if f == g else 0, width[f]):
                            within[into + k] += Z[i, at + k] * Z[i, before + h]
                before += width[g]
            at += width[f]
