"""What is done once for each row: sorting by level, orthogonal factors, products of the random effects' columns.

All functions fill arrays that are given to them, unless they say otherwise.
"""

import cython
import numpy as np
from cython.cimports.libc.math import sqrt
from cython.cimports.pyimpl.linalg.supernodal import Pattern

__all__ = [
    "add_row_products",
    "cliques_to_graph",
    "components",
    "gram_schmidt",
    "level_products",
    "orthonormal_basis",
    "qr_by_level",
    "sort_by_level",
    "sorted_columns",
    "touched_nodes",
]


def sort_by_level(codes: cython.Py_ssize_t[::1], levels: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """The rows level by level, and where each level starts: ndarrays of int, shape (N,) and (levels + 1,)."""
    i: cython.Py_ssize_t
    order_array, starts_array = np.empty(codes.shape[0], dtype=np.intp), np.zeros(levels + 1, dtype=np.intp)
    order: cython.Py_ssize_t[::1] = order_array
    starts: cython.Py_ssize_t[::1] = starts_array
    for i in range(codes.shape[0]):
        starts[codes[i] + 1] += 1
    for i in range(levels):
        starts[i + 1] += starts[i]
    place: cython.Py_ssize_t[::1] = starts_array[:levels].copy()
    for i in range(codes.shape[0]):
        order[place[codes[i]]] = i
        place[codes[i]] += 1
    return order_array, starts_array


def gram_schmidt(X: cython.double[:, ::1], R: cython.double[:, ::1]):  # type: ignore[no-untyped-def]
    """X becomes Q of X = QR: classical Gram-Schmidt, twice for each column, which is enough (Giraud et al. 2005).

    Enough for a column that is not numerically dependent on those before it. One that is shrinks again at the second
    pass (Kahan's and Parlett's criterion): what remains of it is rounding error, not orthogonal to anything, and a
    later column would be projected on that direction twice. Such a column of Q is 0, and so is its diagonal of R.
    """
    N: cython.Py_ssize_t = X.shape[0]
    P: cython.Py_ssize_t = X.shape[1]
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    turn: cython.int
    x: cython.double
    total: cython.double
    part: cython.double[::1] = np.empty(P)
    for c in range(P):
        before: cython.double = 0.0
        square: cython.double = 0.0
        if c == 0:  # nothing to be orthogonal to
            for i in range(N):
                square += X[i, c] * X[i, c]
        for turn in range(2 if c else 0):
            for k in range(c):
                part[k] = 0.0
            for i in range(N):
                x = X[i, c]
                for k in range(c):
                    part[k] += X[i, k] * x
            before, square = square, 0.0
            for i in range(N):
                total = X[i, c]
                for k in range(c):
                    total -= X[i, k] * part[k]
                X[i, c] = total
                square += total * total
            for k in range(c):
                R[k, c] += part[k]
        if c and not square > 0.25 * before:
            square = 0.0
        R[c, c] = sqrt(square)
        x = 1.0 / R[c, c] if square > 0.0 else 0.0
        for i in range(N):
            X[i, c] *= x


def orthonormal_basis(  # type: ignore[no-untyped-def]
    X: cython.double[:, ::1], y: cython.double[::1], root: cython.double[::1], intercept: cython.Py_ssize_t,
    inverse: cython.double[:, ::1], beta: cython.double[::1], R: cython.double[:, ::1],
):  # fmt: skip
    """X becomes a basis of √w·X, y the residual of √w·y; receives the basis' map to β, β, and R of X = QR.

    With a constant column, subtracting means is exact algebra, and keeps the digits that a large mean would cost.
    """
    N: cython.Py_ssize_t = X.shape[0]
    P: cython.Py_ssize_t = X.shape[1]
    i: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    turn: cython.int
    total: cython.double
    mean: cython.double = 0.0
    constant: cython.double = 1.0
    shift: cython.double[::1] = np.zeros(P)
    projection: cython.double[::1] = np.zeros(P)
    part: cython.double[::1] = np.zeros(P)
    if intercept >= 0:
        constant = X[0, intercept]
        for i in range(N):
            mean += y[i]
        mean /= N
        for i in range(N):
            y[i] -= mean
        for c in range(P):
            if c != intercept:
                total = 0.0
                for i in range(N):
                    total += X[i, c]
                shift[c] = total / N
                for i in range(N):
                    X[i, c] -= shift[c]
    if root.shape[0]:
        for i in range(N):
            y[i] *= root[i]
            for c in range(P):
                X[i, c] *= root[i]
    for a in range(P):
        for c in range(P):
            R[a, c] = inverse[a, c] = 0.0
    gram_schmidt(X, R)
    for turn in range(2):  # twice, so that the rest is orthogonal to rounding
        for c in range(P):
            part[c] = 0.0
        for i in range(N):
            for c in range(P):
                part[c] += X[i, c] * y[i]
        for i in range(N):
            total = y[i]
            for c in range(P):
                total -= X[i, c] * part[c]
            y[i] = total
        for c in range(P):
            projection[c] += part[c]
    for c in range(P):
        inverse[c, c] = 1.0 / R[c, c] if R[c, c] != 0.0 else np.inf
        for a in range(c - 1, -1, -1):
            total = 0.0
            for b in range(a + 1, c + 1):
                total -= R[a, b] * inverse[b, c]
            inverse[a, c] = total / R[a, a] if R[a, a] != 0.0 else np.inf
    if intercept >= 0:  # columns were shifted by multiples of the constant one: undo it in its coefficient
        for c in range(P):
            part[c] = 0.0
            for a in range(P):
                part[c] += shift[a] / constant * inverse[a, c]
        for c in range(P):
            inverse[intercept, c] -= part[c]
    for a in range(P):
        beta[a] = 0.0
        for c in range(P):
            beta[a] += inverse[a, c] * projection[c]
    if intercept >= 0:
        beta[intercept] += mean / constant


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
    """The columns that each level touches, ascending: ``(indptr, columns)``; `column` is the first one of each node."""
    j: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    used: cython.Py_ssize_t = 0
    total: cython.Py_ssize_t = 0
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
    return ptr_array, out_array


def level_products(  # type: ignore[no-untyped-def]
    starts: cython.Py_ssize_t[::1], Q: cython.double[:, ::1], D: cython.double[:, ::1], C: cython.double[:, :, ::1],
    column: cython.Py_ssize_t[:, ::1], Z: cython.double[:, ::1], width: cython.Py_ssize_t[::1],
    indptr: cython.Py_ssize_t[::1], columns: cython.Py_ssize_t[::1], values: cython.double[:, ::1],
    within_dense: cython.double[:, ::1],
):  # fmt: skip
    """V_j' = Z_o'Q_j in `values`, and Z_o'(I − QQ')D in `within_dense` (m, q); both hold zeros.

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
