"""Sparse Cholesky factors of matrices of one pattern, their solves, and the inverse on the factor's pattern.

A = LL' with the rows in a fill-reducing order. The last columns, from `core` on, are dense and are LAPACK's; those
before are computed column by column (left-looking; Davis 2006, Direct Methods for Sparse Linear Systems, chapter 4).
The elements of A⁻¹ on L's pattern follow from L without the rest of the inverse (Takahashi, Fagan & Chin 1973).
"""

from dataclasses import dataclass

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.linalg import lapack
from pyimpl.linalg.minimum_degree import minimum_degree

__all__ = ["Factor", "Symbolic", "analyse"]

_CORE = 0.7  # share of the nodes left that each must touch to be called dense


@dataclass(frozen=True)
class Symbolic:
    """The pattern of a factor.

    Attributes
    ----------
    order : ndarray of int64, shape (q,)
        Row of the matrix at each place.
    place : ndarray of int64, shape (q,)
        The inverse of ``order``.
    core : int
        First dense column.
    counts : ndarray of int64, shape (core,)
        Nonzero elements below the diagonal in each sparse column.
    parent : ndarray of int64, shape (q,)
        The elimination tree, −1 for a root.
    indptr, indices : ndarray of int64, the pattern that was analysed, in places (lower triangle by columns).
    """

    order: np.ndarray
    place: np.ndarray
    core: int
    counts: np.ndarray
    parent: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray

    @property
    def nonzeros(self) -> int:
        """Elements that are stored: sparse columns with their diagonals, and the core's square."""
        return int(self.counts.sum()) + self.core + (self.order.size - self.core) ** 2

    @property
    def flops(self) -> float:
        """Floating-point operations of a factor, those of the sparse columns and of the core."""
        return float((self.counts.astype(float) ** 2).sum()) + (self.order.size - self.core) ** 3 / 3.0


@kernel("i1 i1 i")
def _tree(indptr, indices, core):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Elimination tree and column counts of a pattern (upper triangle by columns: the rows above each column)."""
    n = indptr.shape[0] - 1
    parent = np.full(n, -1, dtype=np.int64)
    ancestor = np.full(n, -1, dtype=np.int64)
    for k in range(n):
        for a in range(indptr[k], indptr[k + 1]):
            i = indices[a]
            while i != -1 and i < k:
                up = ancestor[i]
                ancestor[i] = k
                if up == -1:
                    parent[i] = k
                i = up
    counts = np.zeros(core, dtype=np.int64)
    mark = np.full(n, -1, dtype=np.int64)
    for k in range(n):
        mark[k] = k
        for a in range(indptr[k], indptr[k + 1]):
            i = indices[a]
            while i != -1 and i < core and mark[i] != k:
                mark[i] = k
                counts[i] += 1
                i = parent[i]
    return parent, counts


@kernel("i1 i1 i1 i1 i")
def _pattern(indptr, indices, parent, counts, core):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Rows of each sparse column of L, sorted: the subtree below each row, row by row."""
    n = indptr.shape[0] - 1
    starts = np.zeros(core + 1, dtype=np.int64)
    for j in range(core):
        starts[j + 1] = starts[j] + counts[j]
    rows = np.empty(starts[core], dtype=np.int32)
    write = starts[:-1].copy()
    mark = np.full(n, -1, dtype=np.int64)
    for k in range(n):
        mark[k] = k
        for a in range(indptr[k], indptr[k + 1]):
            i = indices[a]
            while i != -1 and i < core and mark[i] != k:
                mark[i] = k
                rows[write[i]] = k
                write[i] += 1
                i = parent[i]
    return starts, rows


@kernel("i1 i1 i1 w1 i i")
def _locate(row, col, starts, rows, core, n):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Where each element (row ≥ col, in places) is stored: diagonals, then sparse columns, then the core by rows."""
    where = np.empty(row.shape[0], dtype=np.int64)
    width = n - core
    below = core + starts[core]
    for k in range(row.shape[0]):
        r, c = row[k], col[k]
        if c < r:
            r, c = c, r
        r, c = c, r
        if c >= core:
            where[k] = below + (r - core) * width + (c - core)
        elif r == c:
            where[k] = c
        else:
            low, high = starts[c], starts[c + 1]
            while low < high:
                middle = (low + high) // 2
                if rows[middle] < r:
                    low = middle + 1
                else:
                    high = middle
            where[k] = core + low
    return where


@kernel("f1 f1 f2 i1 w1 i")
def _factorise(diagonal, below, dense, starts, rows, core):  # type: ignore[no-untyped-def] # pragma: no cover
    """Factorise the sparse columns in place, and take them from the core's lower triangle; False if not positive."""
    n = core + dense.shape[0]
    work = np.zeros(n)
    head = np.full(core, -1, dtype=np.int64)  # columns whose next row is this one
    link = np.full(core, -1, dtype=np.int64)
    at = starts[:-1].copy()
    for j in range(core):
        s, e = starts[j], starts[j + 1]
        d = diagonal[j]
        for a in range(s, e):
            work[rows[a]] = below[a]
        k = head[j]
        while k >= 0:
            following = link[k]
            a = at[k]
            x = below[a]
            d -= x * x
            stop = starts[k + 1]
            for b in range(a + 1, stop):
                work[rows[b]] -= x * below[b]
            at[k] = a + 1
            if a + 1 < stop and rows[a + 1] < core:
                r = rows[a + 1]
                link[k] = head[r]
                head[r] = k
            k = following
        if not d > 0.0:
            return False
        root = np.sqrt(d)
        diagonal[j] = root
        inverse = 1.0 / root
        for a in range(s, e):
            below[a] = work[rows[a]] * inverse
        if s < e and rows[s] < core:
            r = rows[s]
            link[j] = head[r]
            head[r] = j
    for j in range(core):
        first = starts[j + 1]
        while first > starts[j] and rows[first - 1] >= core:
            first -= 1
        for a in range(first, starts[j + 1]):
            x = below[a]
            into = dense[rows[a] - core]
            for b in range(first, a + 1):
                into[rows[b] - core] -= x * below[b]
    return True


@kernel("f1 f1 i1 w1 f2")
def _forward(diagonal, below, starts, rows, X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    for j in range(diagonal.shape[0]):
        inverse = 1.0 / diagonal[j]
        for c in range(X.shape[1]):
            X[j, c] *= inverse
        for a in range(starts[j], starts[j + 1]):
            for c in range(X.shape[1]):
                X[rows[a], c] -= below[a] * X[j, c]


@kernel("f1 f1 i1 w1 f2")
def _backward(diagonal, below, starts, rows, X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    for j in range(diagonal.shape[0] - 1, -1, -1):
        for a in range(starts[j], starts[j + 1]):
            for c in range(X.shape[1]):
                X[j, c] -= below[a] * X[rows[a], c]
        inverse = 1.0 / diagonal[j]
        for c in range(X.shape[1]):
            X[j, c] *= inverse


@kernel("f1 f1 f2 i1 w1 i f1 f1")
def _selected_inverse(diagonal, below, dense, starts, rows, core, inv_diagonal, inv_below):  # type: ignore[no-untyped-def] # pragma: no cover
    """Elements of A⁻¹ on L's pattern; `dense` holds the core's, lower triangle."""
    place = np.full(core + dense.shape[0], -1, dtype=np.int64)
    longest = 0
    for j in range(core):
        longest = max(longest, starts[j + 1] - starts[j])
    total = np.zeros(longest)
    for j in range(core - 1, -1, -1):
        s, e = starts[j], starts[j + 1]
        inverse = 1.0 / diagonal[j]
        for a in range(s, e):
            place[rows[a]] = a - s
            total[a - s] = 0.0
        for a in range(s, e):
            k = rows[a]
            x = below[a]
            if k < core:
                total[a - s] += inv_diagonal[k] * x
                mine = 0.0
                for b in range(starts[k], starts[k + 1]):
                    at = place[rows[b]]
                    if at >= 0:
                        z = inv_below[b]
                        total[at] += z * x
                        mine += z * below[s + at]
                total[a - s] += mine
            else:
                row = dense[k - core]
                mine = row[k - core] * x
                for b in range(a - 1, s - 1, -1):
                    if rows[b] < core:
                        break
                    z = row[rows[b] - core]
                    total[b - s] += z * x
                    mine += z * below[b]
                total[a - s] += mine
        d = inverse * inverse
        for a in range(s, e):
            z = -total[a - s] * inverse
            inv_below[a] = z
            d -= inverse * below[a] * z
            place[rows[a]] = -1
        inv_diagonal[j] = d


def analyse(indptr: np.ndarray, indices: np.ndarray, width: np.ndarray) -> Symbolic:
    """Order a symmetric block pattern and analyse its factor, without storing the factor's pattern.

    Parameters
    ----------
    indptr, indices : ndarray of int64
        Neighbours of each node (both triangles, without the diagonal).
    width : ndarray of int64, shape (nodes,)
        Rows of each node.
    """
    nodes, dense_nodes = minimum_degree(indptr, indices, _CORE)
    first = np.concatenate([[0], np.cumsum(width)])
    order = np.concatenate([np.arange(first[i], first[i + 1]) for i in nodes]) if (width != 1).any() else nodes
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    core = int(width[nodes[: nodes.size - dense_nodes]].sum())
    above, rows = _upper(indptr, indices, width, first, place)
    parent, counts = _tree(above, rows, core)
    return Symbolic(order, place, core, counts, parent, above, rows)


@kernel("i1 i1 i1 i1 i1")
def _upper(indptr, indices, width, first, place):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Pattern of the rows in their places: for each column the rows above it."""
    n = place.shape[0]
    count = np.zeros(n + 1, dtype=np.int64)
    for go in range(2):
        if go == 1:
            for j in range(n):
                count[j + 1] += count[j]
            starts = count.copy()
            rows = np.empty(count[n], dtype=np.int64)
            write = count[:-1].copy()
        for i in range(indptr.shape[0] - 1):
            for a in range(indptr[i] - 1, indptr[i + 1]):
                k = i if a < indptr[i] else indices[a]
                for r in range(first[i], first[i + 1]):
                    for c in range(first[k], first[k + 1]):
                        if place[r] < place[c]:
                            if go == 0:
                                count[place[c] + 1] += 1
                            else:
                                rows[write[place[c]]] = place[r]
                                write[place[c]] += 1
    return starts, rows


class Factor:
    """A factor of a matrix with a pattern that is known: filled, factorised, solved with, inverted on its pattern.

    Parameters
    ----------
    symbolic : Symbolic
    """

    def __init__(self, symbolic: Symbolic) -> None:
        self.order, self.core = symbolic.order, symbolic.core
        self.starts, self.rows = _pattern(
            symbolic.indptr, symbolic.indices, symbolic.parent, symbolic.counts, symbolic.core
        )
        self._place = symbolic.place
        width = symbolic.order.size - symbolic.core
        self._size = (symbolic.core, int(self.starts[-1]), width)
        # one array each, so that an element is one number away: diagonals, sparse columns, core
        self.values = np.zeros(self._size[0] + self._size[1] + width * width)
        self.inverse = np.zeros_like(self.values)

    def locate(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Where elements of the matrix (in its own rows and columns) are stored in `values` and `inverse`."""
        places = self._place[row], self._place[col]
        return _locate(*places, self.starts, self.rows, self.core, self.order.size)

    def _parts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        core, below, width = self._size
        return values[:core], values[core : core + below], values[core + below :].reshape(width, width)

    def factorise(self) -> bool:
        """Turn the matrix in `values` into its factor; False if it is not positive definite."""
        diagonal, below, dense = self._parts(self.values)
        if not _factorise(diagonal, below, dense, self.starts, self.rows, self.core):
            return False
        return not dense.size or lapack.factorise(dense)

    def log_det(self) -> float:
        """log|A|."""
        diagonal, _, dense = self._parts(self.values)
        return 2.0 * float(np.log(diagonal).sum() + np.log(np.diagonal(dense)).sum())

    def forward(self, X: np.ndarray) -> np.ndarray:
        """L⁻¹X, rows of the result in the factor's order."""
        diagonal, below, dense = self._parts(self.values)
        out = np.ascontiguousarray(X[self.order])
        _forward(diagonal, below, self.starts, self.rows, out)
        if dense.size:
            out[self.core :] = lapack.forward(dense, out[self.core :])
        return out

    def backward(self, Y: np.ndarray) -> np.ndarray:
        """L⁻ᵀY for Y in the factor's order; rows of the result in the matrix's."""
        diagonal, below, dense = self._parts(self.values)
        out = Y.copy()
        if dense.size:
            out[self.core :] = lapack.backward(dense, out[self.core :])
        _backward(diagonal, below, self.starts, self.rows, out)
        return out[self._place]

    def invert(self) -> None:
        """Put A⁻¹ on the factor's pattern in `inverse`."""
        diagonal, below, dense = self._parts(self.values)
        inv_diagonal, inv_below, inv_dense = self._parts(self.inverse)
        inv_dense[:] = dense
        if dense.size:
            lapack.invert(inv_dense)
        _selected_inverse(diagonal, below, inv_dense, self.starts, self.rows, self.core, inv_diagonal, inv_below)
