"""Cross-products of all grouping factors, sparse: what a model needs whose factors are too many for a dense matrix.

Z'Z has a block for each pair of levels that meet in a row (Bates et al. 2015, section 3.2), and one for each level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyimpl.linalg.sparse_cholesky import Symbolic, analyse

__all__ = ["Cross", "cross_products"]


@dataclass(frozen=True)
class Cross:
    """Z'Z by blocks, one for each pair of levels; columns factor by factor, level by level, effects fastest.

    Attributes
    ----------
    q : int
        Columns of Z.
    first_column : ndarray of int64, shape (factors + 1,)
    p : ndarray of int64, shape (factors,)
        Effects a level.
    left, right : ndarray of int64, shape (blocks,)
        Factors of each block's rows and columns; left ≤ right.
    row, col : ndarray of int64, shape (blocks,)
        First row and column of each block.
    diagonal : ndarray of bool, shape (blocks,)
        Whether the block is a level's own.
    offset : ndarray of int64, shape (blocks,)
        Where it begins in ``blocks``, by rows.
    blocks : ndarray
        Their elements.
    dense : ndarray, shape (q, P + 1)
        Z'D.
    total : ndarray, shape (P + 1, P + 1)
        D'D.
    symbolic : Symbolic
        The pattern of the factor.
    """

    q: int
    first_column: np.ndarray
    p: np.ndarray
    left: np.ndarray
    right: np.ndarray
    row: np.ndarray
    col: np.ndarray
    diagonal: np.ndarray
    offset: np.ndarray
    blocks: np.ndarray
    dense: np.ndarray
    total: np.ndarray
    symbolic: Symbolic

    def elements(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each element of ``blocks``."""
        high, wide = self.p[self.left], self.p[self.right]
        rows, cols = np.empty(self.blocks.size, dtype=np.int64), np.empty(self.blocks.size, dtype=np.int64)
        for a in range(int(self.p.max())):
            for b in range(int(self.p.max())):
                there = (a < high) & (b < wide)
                at = self.offset[there] + a * wide[there] + b
                rows[at] = self.row[there] + a
                cols[at] = self.col[there] + b
        return rows, cols

    @property
    def size(self) -> float:
        """Bytes of the factor, of the inverse on its pattern and of what belongs to them."""
        nonzeros = float(self.symbolic.nonzeros)
        return 8 * 2.5 * nonzeros + 8 * 4.0 * self.blocks.size


def cross_products(
    codes: Sequence[np.ndarray], levels: Sequence[int], columns: Sequence[np.ndarray], D: np.ndarray
) -> Cross:
    """Form the cross-products, and analyse the pattern of the factor.

    Parameters
    ----------
    codes : sequence of ndarray of int, shape (N,)
        Level of each row, for each factor.
    levels : sequence of int
    columns : sequence of ndarray, shape (N, p)
        Each factor's columns of the model matrix.
    D : ndarray, shape (N, P + 1)
        The dense columns.
    """
    p = np.array([Z.shape[1] for Z in columns], dtype=np.int64)
    J = np.array(levels, dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(J * p)])
    node = np.concatenate([[0], np.cumsum(J)])
    names = ("left", "right", "row", "col", "node_r", "node_c")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    values = []
    for f in range(len(J)):
        for g in range(f, len(J)):
            blocks = None
            for a in range(p[f]):
                for b in range(p[g]):
                    product = columns[f][:, a] * columns[g][:, b]
                    # duplicates are summed, zeros are kept: the pattern is the same for all a and b
                    matrix = sparse.csr_matrix((product, (codes[f], codes[g])), shape=(J[f], J[g]))
                    matrix.sum_duplicates()
                    if blocks is None:
                        blocks = np.empty((matrix.data.size, p[f], p[g]))
                    blocks[:, a, b] = matrix.data
            assert blocks is not None
            i = np.repeat(np.arange(J[f]), np.diff(matrix.indptr))
            k = matrix.indices.astype(np.int64)
            for name, part in zip(
                names,
                (
                    np.full(i.size, f),
                    np.full(i.size, g),
                    first[f] + i * p[f],
                    first[g] + k * p[g],
                    node[f] + i,
                    node[g] + k,
                ),
                strict=True,
            ):
                parts[name].append(part.astype(np.int64))
            values.append(blocks.ravel())
    left, right, row, col, node_r, node_c = (np.concatenate(parts[name]) for name in names)
    size = p[left] * p[right]
    apart = node_r != node_c
    ends = np.concatenate([node_r[apart], node_c[apart]]), np.concatenate([node_c[apart], node_r[apart]])
    graph = sparse.csr_matrix((np.ones(ends[0].size, dtype=np.int8), ends), shape=(node[-1], node[-1]))
    symbolic = analyse(graph.indptr.astype(np.int64), graph.indices.astype(np.int64), np.repeat(p, J))
    dense = np.empty((first[-1], D.shape[1]))
    for f in range(len(J)):
        for a in range(p[f]):
            for c in range(D.shape[1]):
                dense[first[f] + a : first[f + 1] : p[f], c] = np.bincount(
                    codes[f], columns[f][:, a] * D[:, c], minlength=J[f]
                )
    return Cross(
        q=int(first[-1]),
        first_column=first.astype(np.int64),
        p=p,
        left=left,
        right=right,
        row=row,
        col=col,
        diagonal=~apart,
        offset=np.cumsum(size) - size,
        blocks=np.concatenate(values),
        dense=dense,
        total=D.T @ D,
        symbolic=symbolic,
    )
