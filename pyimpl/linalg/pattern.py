"""Where the elements of a symmetric matrix and of its Cholesky factor are: supernodes.

A matrix is held as panels (Ng & Peyton 1993, SIAM J. Sci. Comput. 14, 1034-1056; Chen, Davis, Hager & Rajamanickam
2008, ACM TOMS 35(3), 22): columns whose rows below are the same stand side by side in one dense array of Fortran's
order, the triangle on the diagonal above the rows below it. A dense matrix is one panel, a block-diagonal one has
panels without rows below, and anything between is what the fill-reducing order makes of it: there is one algorithm.

A matrix has nodes, each of one or more columns that are never told apart: the levels of a grouping factor with their
effects. :mod:`pyimpl.linalg.supernodal` computes with such matrices.
"""

import cython
import numpy as np

__all__ = ["Pattern", "analyse", "blocks"]

#: Columns of a panel: more are split, so that no call of LAPACK takes long.
_WIDEST = 256
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
            t = super_of(out, out.rows[i])
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


def super_of(pattern: Pattern, column: cython.Py_ssize_t) -> cython.Py_ssize_t:
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
