"""Cholesky factors of symmetric matrices by supernodes, and the inverse on the factor's pattern.

A matrix is held as panels (Ng & Peyton 1993, SIAM J. Sci. Comput. 14, 1034-1056; Chen, Davis, Hager & Rajamanickam
2008, ACM TOMS 35(3), 22): columns whose rows below are the same stand side by side in one dense array of Fortran's
order, the triangle on the diagonal above the rows below it. A dense matrix is one panel, a block-diagonal one has
panels without rows below, and anything between is what the fill-reducing order makes of it: there is one algorithm.
Small panels are done by loops, larger ones by LAPACK.

A matrix has nodes, each of one or more columns that are never told apart: the levels of a grouping factor with their
effects. The elements of A⁻¹ on the pattern follow from L, supernode by supernode from the last (Takahashi, Fagan &
Chin 1973): with the rows R below the columns s, Y = L_Rs L_ss⁻¹ and Z = A⁻¹,

    Z_Rs = −Z_RR Y,    Z_ss = (L_ss L_ss')⁻¹ − Y'Z_Rs.
"""

import cython
import numpy as np
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.math import log, sqrt
from cython.cimports.pyimpl.linalg import blas

from pyimpl.linalg import blas as python_blas

__all__ = ["Factor", "Pattern", "analyse", "blocks"]

#: Columns of a panel: more are split, so that no call of LAPACK takes long.
_WIDEST = 256
#: Columns from which LAPACK's calls are worth their overhead.
_BLAS = 24
#: Share of zeros up to which a supernode is joined with the next, for so many columns together: fewer, larger panels
#: are faster than what their zeros cost (the steps are CHOLMOD's).
_JOIN = ((4, 0.8), (16, 0.5), (48, 0.1), (_WIDEST, 0.05))


class Pattern:
    """Where the elements of a matrix and its factor are.

    Attributes
    ----------
    q : int
        Columns.
    nodes, supernodes : int
    size : int
        Elements that are stored.
    flops : float
        Operations of a factorisation, roughly.
    order : ndarray of int, shape (nodes,)
        The matrix's node at each place of the factor.
    node_first : ndarray of int, shape (nodes + 1,)
        First column of each node, by place.
    columns : ndarray of int, shape (nodes,)
        First column in the factor of each node of the matrix.
    super_of : ndarray of int, shape (q,)
        The supernode of each column.
    base : ndarray of int, shape (q,)
        The elements of each column are stored at its base plus a number for the row.
    contiguous : bool
        Whether that number is the row's own, as in a dense matrix or one of dense blocks: the rows of each panel follow
        each other. Else it is the row's place in the panel.
    """

    @property
    def dense(self):  # type: ignore[no-untyped-def]
        """Whether there is one panel."""
        return self.supernodes == 1

    def __reduce__(self):  # type: ignore[no-untyped-def]
        names = (
            "q", "nodes", "supernodes", "size", "widest", "tallest", "flops", "order", "node_first", "node_super",
            "super_node", "first", "panel", "node_row_ptr", "node_rows", "row_ptr", "rows", "source_ptr", "source",
            "source_begin", "source_end", "super_of", "base", "contiguous", "columns",
        )  # fmt: skip
        values = [getattr(self, name) for name in names]
        return _restored, (tuple(x if isinstance(x, (int, float)) else np.asarray(x) for x in values),)


def _restored(values):  # type: ignore[no-untyped-def]
    """Make a pattern of its pickled parts."""
    out: Pattern = Pattern.__new__(Pattern)
    (
        out.q, out.nodes, out.supernodes, out.size, out.widest, out.tallest, out.flops, out.order, out.node_first,
        out.node_super, out.super_node, out.first, out.panel, out.node_row_ptr, out.node_rows, out.row_ptr, out.rows,
        out.source_ptr, out.source, out.source_begin, out.source_end, out.super_of, out.base, out.contiguous,
        out.columns,
    ) = values  # fmt: skip
    return out


def _made(order, width, super_node, node_row_ptr, node_rows):  # type: ignore[no-untyped-def]
    """The pattern of these supernodes: their first nodes, and the nodes below each."""
    out: Pattern = Pattern.__new__(Pattern)
    n: cython.Py_ssize_t = order.size
    ns: cython.Py_ssize_t = super_node.size - 1
    s: cython.Py_ssize_t
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    nc: cython.Py_ssize_t
    nb: cython.Py_ssize_t
    run: cython.Py_ssize_t
    t: cython.Py_ssize_t
    begin: cython.Py_ssize_t
    out.order = order
    out.nodes, out.supernodes = n, ns
    node_first = np.zeros(n + 1, dtype=np.intp)
    np.cumsum(width[order], out=node_first[1:])
    out.node_first = node_first
    out.q = int(node_first[n])
    out.super_node, out.node_row_ptr, out.node_rows = super_node, node_row_ptr, node_rows
    out.first = node_first[super_node]
    out.node_super = np.repeat(np.arange(ns), np.diff(super_node))
    out.row_ptr, out.panel = np.zeros(ns + 1, dtype=np.intp), np.zeros(ns + 1, dtype=np.intp)
    out.widest, out.tallest, out.flops = 0, 0, 0.0
    for s in range(ns):
        nb = 0
        for i in range(out.node_row_ptr[s], out.node_row_ptr[s + 1]):
            nb += out.node_first[out.node_rows[i] + 1] - out.node_first[out.node_rows[i]]
        nc = out.first[s + 1] - out.first[s]
        out.row_ptr[s + 1] = out.row_ptr[s] + nb
        out.panel[s + 1] = out.panel[s] + nc * (nc + nb)
        out.widest, out.tallest = max(out.widest, nc), max(out.tallest, nb)
        out.flops += nc * (cython.cast(cython.double, nc) * nc / 3.0 + cython.cast(cython.double, nb) * (nb + nc))
    out.size = out.panel[ns]
    out.rows = np.empty(max(out.row_ptr[ns], 1), dtype=np.intp)
    count: cython.Py_ssize_t[::1] = np.zeros(ns + 1, dtype=np.intp)
    c = 0
    for s in range(ns):
        t = -1
        for i in range(out.node_row_ptr[s], out.node_row_ptr[s + 1]):
            for run in range(out.node_first[out.node_rows[i]], out.node_first[out.node_rows[i] + 1]):
                out.rows[c] = run
                c += 1
            if out.node_super[out.node_rows[i]] != t:
                t = out.node_super[out.node_rows[i]]
                count[t + 1] += 1
    for s in range(ns):
        count[s + 1] += count[s]
    out.source_ptr = np.array(count)
    total: cython.Py_ssize_t = count[ns]
    out.source, out.source_begin, out.source_end = (np.empty(total, dtype=np.intp) for _ in range(3))
    for s in range(ns):
        begin = out.row_ptr[s]
        i = begin
        while i < out.row_ptr[s + 1]:
            t = _super_of(out, out.rows[i])
            run = i
            while i < out.row_ptr[s + 1] and out.rows[i] < out.first[t + 1]:
                i += 1
            c = count[t]
            count[t] += 1
            out.source[c], out.source_begin[c], out.source_end[c] = s, run - begin, i - begin
    _find_places(out)
    return out


@cython.cfunc
def _find_places(pattern: Pattern) -> cython.int:
    """Where the columns' elements are stored."""
    s: cython.Py_ssize_t
    c: cython.Py_ssize_t
    i: cython.Py_ssize_t
    columns = np.empty(pattern.nodes, dtype=np.intp)
    first_column: cython.Py_ssize_t[::1] = columns
    for i in range(pattern.nodes):
        first_column[pattern.order[i]] = pattern.node_first[i]
    pattern.columns = columns
    pattern.super_of, pattern.base = np.empty(pattern.q, dtype=np.intp), np.empty(pattern.q, dtype=np.intp)
    pattern.contiguous = True
    for s in range(pattern.supernodes):
        c = pattern.first[s]
        for i in range(pattern.row_ptr[s], pattern.row_ptr[s + 1]):
            if pattern.rows[i] != pattern.first[s + 1] + i - pattern.row_ptr[s]:
                pattern.contiguous = False
                break
    for s in range(pattern.supernodes):
        nr: cython.Py_ssize_t = pattern.first[s + 1] - pattern.first[s] + pattern.row_ptr[s + 1] - pattern.row_ptr[s]
        for c in range(pattern.first[s], pattern.first[s + 1]):
            i = c - pattern.first[s]
            pattern.super_of[c] = s
            pattern.base[c] = pattern.panel[s] + i * nr - (pattern.first[s] if pattern.contiguous else 0)
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _super_of(pattern: Pattern, column: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The supernode of a column."""
    low: cython.Py_ssize_t = 0
    high: cython.Py_ssize_t = pattern.supernodes - 1
    middle: cython.Py_ssize_t
    while low < high:
        middle = (low + high + 1) // 2
        if pattern.first[middle] <= column:
            low = middle
        else:
            high = middle - 1
    return low


@cython.wraparound(True)
def _split(order, width, begins, ends, rows):  # type: ignore[no-untyped-def]
    """The pattern of supernodes (their nodes from `begins` to `ends`, the nodes below), the wide ones split."""
    super_node, node_rows, ptr = [0], [], [0]
    places = np.concatenate([[0], np.cumsum(width[order])])
    for begin, end, below in zip(begins, ends, rows, strict=True):
        at = begin
        while at < end:
            stop = end
            if places[end] - places[at] > _WIDEST:
                stop = max(at + 1, int(np.searchsorted(places, places[at] + _WIDEST, "right")) - 1)
            if stop < end:
                node_rows.append(np.arange(stop, end))
            node_rows.append(below)
            ptr.append(ptr[-1] + (end - stop) + len(below))
            super_node.append(stop)
            at = stop
    flat = np.concatenate(node_rows) if node_rows else np.empty(0)
    return _made(order, width, np.array(super_node, dtype=np.intp), np.array(ptr, dtype=np.intp), flat.astype(np.intp))


@cython.wraparound(True)
def blocks(label, width):  # type: ignore[no-untyped-def]
    """Return the pattern of a block-diagonal matrix, each block dense.

    Parameters
    ----------
    label : ndarray of int, shape (nodes,)
        Each node's block.
    width : ndarray of int, shape (nodes,)
        Columns of each node.
    """
    order = np.argsort(label, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(label[order])) + 1, label.size)
    begins = np.concatenate([[0], ends[:-1]])
    none = np.empty(0, dtype=np.intp)
    return _split(order, width, begins.tolist(), ends.tolist(), [none] * ends.size)


def analyse(indptr: cython.Py_ssize_t[::1], indices: cython.Py_ssize_t[::1], width, order, core):  # type: ignore[no-untyped-def]
    """Find the supernodes of a symmetric pattern.

    Parameters
    ----------
    indptr, indices : ndarray of int
        Neighbours of each node (both triangles, without itself).
    width : ndarray of int, shape (nodes,)
        Columns of each node.
    order : ndarray of int, shape (nodes,)
        A fill-reducing order.
    core : int
        Its last nodes that are dense among themselves.

    Returns
    -------
    Pattern
    """
    n: cython.Py_ssize_t = order.size
    sparse: cython.Py_ssize_t = n - core
    parent = _tree(indptr, indices, order, sparse)
    post = _postorder(parent, sparse)
    order = np.concatenate([order[post], order[sparse:]])
    places = np.empty(n, dtype=np.intp)
    places[post], places[sparse:] = np.arange(sparse), np.arange(sparse, n)
    parent = np.where(parent[post] >= 0, places[parent[post]], -1)
    starts, rows = _structures(indptr, indices, order, parent, sparse)
    begins, ends, below = _joined(width[order], parent, starts, rows, sparse)
    if core:
        begins.append(sparse)
        ends.append(n)
        below.append(np.empty(0, dtype=np.intp))
    return _split(order, width, begins, ends, below)


def _tree(  # type: ignore[no-untyped-def]
    indptr: cython.Py_ssize_t[::1], indices: cython.Py_ssize_t[::1], order: cython.Py_ssize_t[::1],
    sparse: cython.Py_ssize_t,
):  # fmt: skip
    """Parents in the elimination tree (Liu 1990) of the nodes that are not of the core, by place; −1 for a root."""
    n: cython.Py_ssize_t = order.shape[0]
    k: cython.Py_ssize_t
    a: cython.Py_ssize_t
    i: cython.Py_ssize_t
    up: cython.Py_ssize_t
    place: cython.Py_ssize_t[::1] = np.empty(n, dtype=np.intp)
    for k in range(n):
        place[order[k]] = k
    parent_array = np.full(sparse, -1, dtype=np.intp)
    parent: cython.Py_ssize_t[::1] = parent_array
    ancestor: cython.Py_ssize_t[::1] = np.full(sparse, -1, dtype=np.intp)
    for k in range(n):
        for a in range(indptr[order[k]], indptr[order[k] + 1]):
            i = place[indices[a]]
            while i != -1 and i < k and i < sparse:
                up = ancestor[i]
                ancestor[i] = k
                if up == -1:
                    parent[i] = k
                i = up
    return parent_array


def _postorder(parent: cython.Py_ssize_t[::1], n: cython.Py_ssize_t):  # type: ignore[no-untyped-def]
    """Nodes such that the subtree below each stands right before it."""
    i: cython.Py_ssize_t
    count: cython.Py_ssize_t = 0
    out_array = np.empty(n, dtype=np.intp)
    out: cython.Py_ssize_t[::1] = out_array
    head: cython.Py_ssize_t[::1] = np.full(n + 1, -1, dtype=np.intp)
    following: cython.Py_ssize_t[::1] = np.full(n, -1, dtype=np.intp)
    for i in range(n - 1, -1, -1):
        up: cython.Py_ssize_t = parent[i] if 0 <= parent[i] < n else n
        following[i] = head[up]
        head[up] = i
    stack: cython.Py_ssize_t[::1] = np.empty(n + 1, dtype=np.intp)
    top: cython.Py_ssize_t = 0
    root: cython.Py_ssize_t = head[n]
    while root != -1:
        stack[0] = root
        top = 1
        while top > 0:
            i = stack[top - 1]
            if head[i] != -1:
                stack[top] = head[i]
                head[i] = following[head[i]]
                top += 1
            else:
                out[count] = i
                count += 1
                top -= 1
        root = following[root]
    return out_array


def _structures(  # type: ignore[no-untyped-def]
    indptr: cython.Py_ssize_t[::1], indices: cython.Py_ssize_t[::1], order: cython.Py_ssize_t[::1],
    parent: cython.Py_ssize_t[::1], sparse: cython.Py_ssize_t,
):  # fmt: skip
    """The nodes below each node in the factor: its neighbours and those of the nodes that it is parent of."""
    n: cython.Py_ssize_t = order.shape[0]
    j: cython.Py_ssize_t
    a: cython.Py_ssize_t
    i: cython.Py_ssize_t
    child: cython.Py_ssize_t
    used: cython.Py_ssize_t = 0
    place: cython.Py_ssize_t[::1] = np.empty(n, dtype=np.intp)
    for j in range(n):
        place[order[j]] = j
    head: cython.Py_ssize_t[::1] = np.full(n, -1, dtype=np.intp)
    following: cython.Py_ssize_t[::1] = np.full(sparse, -1, dtype=np.intp)
    starts_array = np.zeros(sparse + 1, dtype=np.intp)
    starts: cython.Py_ssize_t[::1] = starts_array
    rows_array = np.empty(max(16, 2 * indices.shape[0]), dtype=np.intp)
    rows: cython.Py_ssize_t[::1] = rows_array
    mark: cython.Py_ssize_t[::1] = np.full(n, -1, dtype=np.intp)
    for j in range(sparse):
        need: cython.Py_ssize_t = indptr[order[j] + 1] - indptr[order[j]]
        child = head[j]
        while child != -1:
            need += starts[child + 1] - starts[child]
            child = following[child]
        if used + need > rows.shape[0]:
            rows_array = np.concatenate([rows_array[:used], np.empty(used + need, dtype=np.intp)])
            rows = rows_array
        mark[j] = j
        for a in range(indptr[order[j]], indptr[order[j] + 1]):
            i = place[indices[a]]
            if i > j and mark[i] != j:
                mark[i] = j
                rows[used] = i
                used += 1
        child = head[j]
        while child != -1:
            for a in range(starts[child], starts[child + 1]):
                i = rows[a]
                if mark[i] != j:
                    mark[i] = j
                    rows[used] = i
                    used += 1
            child = following[child]
        starts[j + 1] = used
        if parent[j] >= 0:
            following[j] = head[parent[j]]
            head[parent[j]] = j
    return starts_array, rows_array[:used].copy()


@cython.wraparound(True)
def _joined(width, parent, starts, rows, sparse):  # type: ignore[no-untyped-def]
    """Supernodes: first and last nodes, the nodes below; neighbours are joined where that costs little."""
    size = np.diff(starts)
    height = np.concatenate([[0], np.cumsum(width[rows])]) if rows.size else np.zeros(1, dtype=np.intp)
    height = np.diff(height[starts]) if rows.size else np.zeros(sparse, dtype=np.intp)
    follows = np.zeros(sparse, dtype=bool)
    follows[1:] = (parent[: sparse - 1] == np.arange(1, sparse)) & (size[: sparse - 1] == size[1:] + 1)
    begins = np.flatnonzero(~follows).tolist()
    parents, heights, columns = parent.tolist(), height.tolist(), np.concatenate([[0], np.cumsum(width)]).tolist()
    stack: list = []  # first node, end, columns, rows below, zeros
    for k, begin in enumerate(begins):
        end = begins[k + 1] if k + 1 < len(begins) else sparse
        now = [begin, end, columns[end] - columns[begin], heights[end - 1], 0]
        while stack:
            last = stack[-1]
            if not now[0] <= parents[last[1] - 1] < now[1]:
                break
            wide = last[2] + now[2]
            zeros = last[4] + now[4] + last[2] * (now[2] + now[3] - last[3])
            share = next((share for most, share in _JOIN if wide <= most), 0.0)
            if zeros > share * (wide * (wide + 1) / 2 + wide * now[3]):
                break
            now = [last[0], now[1], wide, now[3], zeros]
            stack.pop()
        stack.append(now)
    below = []
    for one in stack:
        part = rows[starts[one[1] - 1] : starts[one[1]]].copy()
        part.sort()
        below.append(part)
    return [one[0] for one in stack], [one[1] for one in stack], below


@cython.cfunc
@cython.exceptval(check=False)
def _small_factor(X: cython.p_double, nc: cython.Py_ssize_t, nr: cython.Py_ssize_t) -> cython.bint:
    """Cholesky factor of a panel, in place; whether there is one."""
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    for j in range(nc):
        y: cython.p_double = X + j * nr
        k = 0
        while k + 4 <= j:  # four columns at a time: there is one store for four products
            p: cython.p_double = X + k * nr
            a: cython.double = p[j]
            b: cython.double = p[nr + j]
            c: cython.double = p[2 * nr + j]
            d: cython.double = p[3 * nr + j]
            if a != 0.0 or b != 0.0 or c != 0.0 or d != 0.0:
                for i in range(j, nr):
                    y[i] -= (a * p[i] + b * p[nr + i]) + (c * p[2 * nr + i] + d * p[3 * nr + i])
            k += 4
        while k < j:
            x: cython.double = X[k * nr + j]
            z: cython.p_double = X + k * nr
            if x != 0.0:
                for i in range(j, nr):
                    y[i] -= x * z[i]
            k += 1
        if not y[j] > 0.0:
            return False
        root: cython.double = sqrt(y[j])
        y[j] = root
        root = 1.0 / root
        for i in range(j + 1, nr):
            y[i] *= root
    return True


@cython.cfunc
@cython.exceptval(check=False)
def _small_inverse(
    L: cython.p_double, n: cython.Py_ssize_t, ld: cython.Py_ssize_t, X: cython.p_double, out: cython.p_double
) -> cython.void:
    """(LL')⁻¹, lower triangle, in `out` (ld); X (n, n) is a workspace."""
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    x: cython.double
    y: cython.p_double
    for j in range(n):  # L⁻¹, column by column
        y = X + j * n
        for i in range(j, n):
            y[i] = 0.0
        y[j] = 1.0
        for k in range(j, n):
            x = y[k] / L[k * ld + k]
            y[k] = x
            if x != 0.0:
                for i in range(k + 1, n):
                    y[i] -= x * L[k * ld + i]
    for j in range(n):
        for i in range(j, n):
            s0: cython.double = 0.0
            s1: cython.double = 0.0
            k = i
            while k + 2 <= n:
                s0 += X[i * n + k] * X[j * n + k]
                s1 += X[i * n + k + 1] * X[j * n + k + 1]
                k += 2
            if k < n:
                s0 += X[i * n + k] * X[j * n + k]
            out[j * ld + i] = s0 + s1


@cython.cfunc
@cython.exceptval(check=False)
def _update(
    L: cython.p_double, nr: cython.Py_ssize_t, nc: cython.Py_ssize_t, height: cython.Py_ssize_t,
    wide: cython.Py_ssize_t, W: cython.p_double,
) -> cython.void:  # fmt: skip
    """W (height, wide) = L[:height] L[:wide]' of the rows (nc columns, nr apart) that begin at L."""
    c: cython.Py_ssize_t
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    x: cython.double
    if height >= _BLAS and nc * wide >= _BLAS:
        blas.gemm(False, True, height, wide, nc, 1.0, L, nr, L, nr, 0.0, W, height)
        return
    for c in range(wide):
        x = L[c]
        for i in range(c, height):
            W[c * height + i] = x * L[i]
        for k in range(1, nc):
            x = L[k * nr + c]
            if x != 0.0:
                for i in range(c, height):
                    W[c * height + i] += x * L[k * nr + i]


class Factor:
    """A factor of a matrix of one pattern: filled, factorised, solved with, inverted on its pattern.

    Parameters
    ----------
    pattern : Pattern

    Attributes
    ----------
    values : ndarray, shape (pattern.size,)
        The matrix's elements, after :meth:`factorise` the factor's.
    inverse : ndarray, shape (pattern.size,)
        After :meth:`invert` those of A⁻¹. What a panel's square has above its diagonal means nothing.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        size: cython.Py_ssize_t = max(pattern.size, 1)
        wide: cython.Py_ssize_t
        tall: cython.Py_ssize_t
        work: cython.Py_ssize_t
        wide, tall = max(pattern.widest, 1), pattern.tallest
        work = 2 * (tall + wide) * wide + wide * wide
        room: cython.double[::1] = np.zeros(2 * size + work + tall * tall + 1)
        self.values, self.inverse = room[:size], room[size : 2 * size]
        self._work, self._square = room[2 * size : 2 * size + work], room[2 * size + work :]
        self.L, self.Z = cython.address(self.values[0]), cython.address(self.inverse[0])
        self._at = np.zeros(max(pattern.q, 1), dtype=np.intp)
        if pattern.widest >= _BLAS or tall >= _BLAS:
            python_blas.load()

    def factorise(self) -> cython.bint:
        """Turn the matrix in `values` into its factor; False if it is not positive definite."""
        p: Pattern = self.pattern
        s: cython.Py_ssize_t
        e: cython.Py_ssize_t
        i: cython.Py_ssize_t
        c: cython.Py_ssize_t
        at: cython.pointer(cython.Py_ssize_t) = cython.address(self._at[0])
        W: cython.p_double = cython.address(self._work[0])
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            X: cython.p_double = self.L + p.panel[s]
            if p.source_ptr[s] < p.source_ptr[s + 1]:
                _rows_to_places(p, s, at)
                for e in range(p.source_ptr[s], p.source_ptr[s + 1]):
                    d: cython.Py_ssize_t = p.source[e]
                    begin: cython.Py_ssize_t = p.source_begin[e]
                    wide: cython.Py_ssize_t = p.source_end[e] - begin
                    dc: cython.Py_ssize_t = p.first[d + 1] - p.first[d]
                    below: cython.Py_ssize_t = p.row_ptr[d + 1] - p.row_ptr[d]
                    high: cython.Py_ssize_t = below - begin
                    rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[p.row_ptr[d] + begin])
                    _update(self.L + p.panel[d] + dc + begin, dc + below, dc, high, wide, W)
                    for c in range(wide):
                        into: cython.p_double = X + at[rows[c]] * nr
                        for i in range(c, high):
                            into[at[rows[i]]] -= W[c * high + i]
            if nc < _BLAS:
                if not _small_factor(X, nc, nr):
                    return False
            else:
                PyErr_CheckSignals()
                if not blas.potrf(nc, X, nr):
                    return False
                if nb:
                    blas.trsm(True, True, nb, nc, X, nr, X + nc, nr)
        return True

    def log_det(self) -> cython.double:
        """log|A|."""
        p: Pattern = self.pattern
        s: cython.Py_ssize_t
        j: cython.Py_ssize_t
        total: cython.double = 0.0
        product: cython.double = 1.0
        for s in range(p.supernodes):
            nr: cython.Py_ssize_t = p.first[s + 1] - p.first[s] + p.row_ptr[s + 1] - p.row_ptr[s]
            for j in range(p.first[s + 1] - p.first[s]):
                product *= self.L[p.panel[s] + j * (nr + 1)]
                if product > 1e100 or product < 1e-100:
                    total += log(product)
                    product = 1.0
        return 2.0 * (total + log(product))

    def forward(self, X: cython.p_double, m: cython.Py_ssize_t) -> cython.void:
        """X = L⁻¹X, in place: m columns of q elements."""
        p: Pattern = self.pattern
        q: cython.Py_ssize_t = p.q
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        c: cython.Py_ssize_t
        W: cython.p_double = cython.address(self._work[0])
        for s in range(p.supernodes):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            L: cython.p_double = self.L + p.panel[s]
            rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
            if nc < _BLAS:
                for c in range(m):
                    x: cython.p_double = X + c * q
                    for j in range(nc):
                        value: cython.double = x[c0 + j] / L[j * nr + j]
                        x[c0 + j] = value
                        if value != 0.0:
                            for i in range(j + 1, nc):
                                x[c0 + i] -= value * L[j * nr + i]
                            for i in range(nb):
                                x[rows[i]] -= value * L[j * nr + nc + i]
                continue
            blas.trsm(False, False, nc, m, L, nr, X + c0, q)
            if nb:
                for c in range(m):
                    blas.gemm(False, False, nb, 1, nc, 1.0, L + nc, nr, X + c * q + c0, q, 0.0, W, nb)
                    for i in range(nb):
                        X[c * q + rows[i]] -= W[i]

    def backward(self, X: cython.p_double, m: cython.Py_ssize_t) -> cython.void:
        """X = L⁻ᵀX, in place: m columns of q elements."""
        p: Pattern = self.pattern
        q: cython.Py_ssize_t = p.q
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        c: cython.Py_ssize_t
        W: cython.p_double = cython.address(self._work[0])
        for s in range(p.supernodes - 1, -1, -1):
            c0: cython.Py_ssize_t = p.first[s]
            nc: cython.Py_ssize_t = p.first[s + 1] - c0
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            L: cython.p_double = self.L + p.panel[s]
            rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
            if nc < _BLAS:
                for c in range(m):
                    x: cython.p_double = X + c * q
                    for j in range(nc - 1, -1, -1):
                        value: cython.double = x[c0 + j]
                        for i in range(j + 1, nc):
                            value -= L[j * nr + i] * x[c0 + i]
                        for i in range(nb):
                            value -= L[j * nr + nc + i] * x[rows[i]]
                        x[c0 + j] = value / L[j * nr + j]
                continue
            if nb:
                for c in range(m):
                    for i in range(nb):
                        W[i] = X[c * q + rows[i]]
                    blas.gemm(True, False, nc, 1, nb, -1.0, L + nc, nr, W, nb, 1.0, X + c * q + c0, q)
            blas.trsm(False, True, nc, m, L, nr, X + c0, q)

    def invert(self) -> cython.int:
        """Put A⁻¹ on the factor's pattern in `inverse`."""
        p: Pattern = self.pattern
        s: cython.Py_ssize_t
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t
        x: cython.double
        at: cython.pointer(cython.Py_ssize_t) = cython.address(self._at[0])
        G: cython.p_double = cython.address(self._square[0])
        for s in range(p.supernodes - 1, -1, -1):
            nc: cython.Py_ssize_t = p.first[s + 1] - p.first[s]
            nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
            nr: cython.Py_ssize_t = nc + nb
            L: cython.p_double = self.L + p.panel[s]
            Z: cython.p_double = self.Z + p.panel[s]
            Y: cython.p_double = cython.address(self._work[0])
            B: cython.p_double = Y + nb * nc
            if nc < _BLAS:
                _small_inverse(L, nc, nr, B, Z)
            else:
                PyErr_CheckSignals()
                for j in range(nc):
                    for i in range(j, nc):
                        Z[j * nr + i] = L[j * nr + i]
                blas.potri(nc, Z, nr)
            if nb == 0:
                continue
            self._gather(s, G, at)
            for j in range(nc):
                for i in range(nb):
                    Y[j * nb + i] = L[j * nr + nc + i]
            if nc < _BLAS:
                for j in range(nc - 1, -1, -1):
                    for k in range(j + 1, nc):
                        x = L[j * nr + k]
                        for i in range(nb):
                            Y[j * nb + i] -= x * Y[k * nb + i]
                    x = 1.0 / L[j * nr + j]
                    for i in range(nb):
                        Y[j * nb + i] *= x
            else:
                blas.trsm(True, False, nb, nc, L, nr, Y, nb)
            if nb < _BLAS or nc < 4:
                for j in range(nc):
                    _minus_symmetric(G, nb, Y + j * nb, Z + j * nr + nc)
            else:
                blas.symm(nb, nc, -1.0, G, nb, Y, nb, 0.0, Z + nc, nr)
            if nc < _BLAS:
                for j in range(nc):
                    for k in range(j, nc):
                        x = 0.0
                        for i in range(nb):
                            x += Y[k * nb + i] * Z[j * nr + nc + i]
                        Z[j * nr + k] -= x
            else:
                blas.gemm(True, False, nc, nc, nb, -1.0, Y, nb, Z + nc, nr, 1.0, Z, nr)
        return 0

    def _gather(self, s, G, at):  # type: ignore[no-untyped-def]
        """The inverse's elements among the rows below a supernode, lower triangle in G."""
        p: Pattern = self.pattern
        nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
        rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[p.row_ptr[s]])
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t = 0
        stop: cython.Py_ssize_t
        t: cython.Py_ssize_t
        while k < nb:
            t = _super_of(p, rows[k])
            nr: cython.Py_ssize_t = p.first[t + 1] - p.first[t] + p.row_ptr[t + 1] - p.row_ptr[t]
            _rows_to_places(p, t, at)
            stop = p.first[t + 1]
            while k < nb and rows[k] < stop:
                Z: cython.p_double = self.Z + p.panel[t] + at[rows[k]] * nr
                for i in range(k, nb):
                    G[k * nb + i] = Z[at[rows[i]]]
                k += 1

    def solve(self, X):  # type: ignore[no-untyped-def]
        """A⁻¹X for X of shape (q, m), rows in the factor's order."""
        out = np.array(X, dtype=float, order="F", ndmin=2)
        if out.size:
            view: cython.double[::1, :] = out
            self.forward(cython.address(view[0, 0]), out.shape[1])
            self.backward(cython.address(view[0, 0]), out.shape[1])
        return out


@cython.cfunc
@cython.exceptval(check=False)
def _rows_to_places(p: Pattern, s: cython.Py_ssize_t, at: cython.pointer(cython.Py_ssize_t)) -> cython.void:
    """Where each row of the matrix stands in a supernode's panel, for the rows that it has."""
    i: cython.Py_ssize_t
    nc: cython.Py_ssize_t = p.first[s + 1] - p.first[s]
    c0: cython.Py_ssize_t = p.first[s]
    for i in range(nc):
        at[c0 + i] = i
    for i in range(p.row_ptr[s], p.row_ptr[s + 1]):
        at[p.rows[i]] = nc + i - p.row_ptr[s]


@cython.cfunc
@cython.exceptval(check=False)
def _minus_symmetric(G: cython.p_double, n: cython.Py_ssize_t, x: cython.p_double, out: cython.p_double) -> cython.void:
    """Out = −Gx for symmetric G given by its lower triangle."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for i in range(n):
        out[i] = 0.0
    for k in range(n):
        g: cython.p_double = G + k * n
        y: cython.double = x[k]
        total: cython.double = 0.0
        for i in range(k + 1, n):
            out[i] -= y * g[i]
            total += g[i] * x[i]
        out[k] -= total + g[k] * y


def symmetric_times(
    p: Pattern, S: cython.p_double, X: cython.p_double, m: cython.Py_ssize_t, out: cython.p_double
) -> cython.void:
    """Out = SX for symmetric S given by its panels; X and out have m columns of q elements."""
    q: cython.Py_ssize_t = p.q
    s: cython.Py_ssize_t
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    c: cython.Py_ssize_t
    for i in range(m * q):
        out[i] = 0.0
    for s in range(p.supernodes):
        c0: cython.Py_ssize_t = p.first[s]
        nc: cython.Py_ssize_t = p.first[s + 1] - c0
        nb: cython.Py_ssize_t = p.row_ptr[s + 1] - p.row_ptr[s]
        rows: cython.pointer(cython.Py_ssize_t) = cython.address(p.rows[0]) + p.row_ptr[s]
        for j in range(nc):
            column: cython.p_double = S + p.panel[s] + j * (nc + nb)
            for c in range(m):
                x: cython.p_double = X + c * q
                y: cython.p_double = out + c * q
                value: cython.double = x[c0 + j]
                total: cython.double = column[j] * value
                for i in range(j + 1, nc):
                    y[c0 + i] += value * column[i]
                    total += column[i] * x[c0 + i]
                for i in range(nb):
                    y[rows[i]] += value * column[nc + i]
                    total += column[nc + i] * x[rows[i]]
                y[c0 + j] += total
