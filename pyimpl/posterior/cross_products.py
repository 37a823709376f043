"""The sufficient statistics of the collapsed posterior: cross-products of each level's rows.

Of the term with most levels they are kept level by level; the other terms' columns are put in order by component
(levels that rows bring together), of each of which the dense matrix is kept.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pyimpl.errors import ModelError
from pyimpl.posterior.specification import Specification

__all__ = [
    "MAX_DENSE",
    "MAX_ELEMENTS",
    "MAX_PARAMETERS",
    "CrossProducts",
    "OtherTerms",
    "cross_products",
    "refuse_too_large",
]

#: Most random effects, besides the largest term's, that hang together: their matrix is dense.
MAX_DENSE = 12_000

#: Most covariance parameters of a term: 20 effects a level.
MAX_PARAMETERS = 210

#: Most numbers that the sufficient statistics of the levels may take (4 GB).
MAX_ELEMENTS = 500_000_000


@dataclass(frozen=True)
class OtherTerms:
    """The other terms' columns, ordered by component; within a component term by term, level by level."""

    R: np.ndarray  # (q, m)
    block_start: np.ndarray  # (blocks + 1,): first column of each (term, level) block
    block_term: np.ndarray  # (blocks,): its term (index into the model's terms)
    block_level: np.ndarray
    component_start: np.ndarray  # (components + 1,): first block of each component
    G_start: np.ndarray  # (components + 1,): where its (n, n) matrix stands in G
    G: np.ndarray
    level_start: np.ndarray  # (components + 1,): its levels of the first term in `levels`
    levels: np.ndarray
    C_start: np.ndarray  # (J + 1,): per level of the first term (model order), its columns in C_column
    C_column: np.ndarray  # index within the component
    C: np.ndarray  # (nnz, p1)


@dataclass(frozen=True)
class CrossProducts:
    """Sufficient statistics. ``first`` is the term with most levels; the rest is stored as one list of columns.

    ``S`` (J, p, p) and ``B`` (J, p, m) belong to the first term.
    """

    first: int
    S: np.ndarray
    B: np.ndarray
    WW: np.ndarray  # packed
    inverse: np.ndarray  # (J,): which of the unique S a level has
    unique_S: np.ndarray  # (U, p, p)
    unique_count: np.ndarray  # (U,)
    unique_E: np.ndarray  # (U, p(p+1)/2, m(m+1)/2): sums of outer products of B's rows
    rest: OtherTerms


def _crossproduct(codes: np.ndarray, left: np.ndarray, right: np.ndarray, J: int) -> np.ndarray:
    """``left'right`` for each level: shape (J, left columns, right columns)."""
    out = np.empty((J, left.shape[1], right.shape[1]))
    for a in range(left.shape[1]):
        for b in range(right.shape[1]):
            out[:, a, b] = np.bincount(codes, left[:, a] * right[:, b], minlength=J)
    return out


def refuse_too_large(spec: Specification) -> None:
    """Refuse a term with too many effects.

    Raises
    ------
    ModelError
        If one has more than :data:`MAX_PARAMETERS` covariance parameters, or its cross-products more than
        :data:`MAX_ELEMENTS` numbers.
    """
    m = spec.X1.shape[1] + 1
    for term in spec.terms:
        parameters = term.p * (term.p + 1) // 2
        if parameters > MAX_PARAMETERS or term.J * (parameters * m * (m + 1) // 2 + term.p**2) > MAX_ELEMENTS:
            raise ModelError(
                f"the term ({' + '.join(term.effects[:3])}{' + …' if term.p > 3 else ''} | {term.group}) has {term.p} "
                f"effects for each of {term.J} levels, {parameters} covariance parameters: too many to sample. Let "
                "fewer effects vary, or make a factor with many levels a grouping factor of its own"
            )


def cross_products(spec: Specification, W: np.ndarray) -> CrossProducts:
    """Read the rows once.

    Parameters
    ----------
    spec : Specification
    W : ndarray, shape (N, m)
        [X₁, y − X₁ĉ].

    Raises
    ------
    ModelError
        If more than :data:`MAX_DENSE` random effects besides the largest term's hang together.
    """
    weights = spec.weights
    root = np.ones(spec.y.size) if weights is None else np.sqrt(weights)
    Ww = W * root[:, None]
    terms = spec.terms
    first = int(np.argmax([term.J for term in terms]))
    term = terms[first]
    columns = term.columns * root[:, None]
    S = _crossproduct(term.codes, columns, columns, term.J)
    B = _crossproduct(term.codes, columns, Ww, term.J)
    p, m = term.p, W.shape[1]
    unique, inverse, count = np.unique(
        np.ascontiguousarray(S).reshape(term.J, -1), axis=0, return_inverse=True, return_counts=True
    )
    rows_p, cols_p = np.tril_indices(p)
    rows_m, cols_m = np.tril_indices(m)
    E = np.zeros((len(unique), rows_p.size, rows_m.size))
    for k, (a, b) in enumerate(zip(rows_p, cols_p, strict=True)):
        outer = B[:, a, rows_m] * B[:, b, cols_m]
        if a != b:
            outer = outer + B[:, b, rows_m] * B[:, a, cols_m]
        np.add.at(E[:, k], inverse.reshape(-1), outer)
    rest = _other_terms(spec, first, columns, Ww, root) if len(terms) > 1 else _no_other_terms(term.J, p, m)
    WW = (Ww.T @ Ww)[rows_m, cols_m]
    inverse = inverse.reshape(-1).astype(np.int64)
    return CrossProducts(first, S, B, WW, inverse, unique.reshape(-1, p, p), count.astype(np.float64), E, rest)


def _no_other_terms(J: int, p: int, m: int) -> OtherTerms:
    none, zero = np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    start = np.zeros(J + 1, dtype=np.int64)
    return OtherTerms(
        np.empty((0, m)), zero, none, none, zero, zero, np.empty(0), zero, none, start, none, np.empty((0, p))
    )


def _other_terms(spec: Specification, first: int, columns: np.ndarray, Ww: np.ndarray, root: np.ndarray) -> OtherTerms:
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    terms = spec.terms
    others = [i for i in range(len(terms)) if i != first]
    codes_1, J1, p1 = terms[first].codes, terms[first].J, terms[first].p
    offsets = np.cumsum([0, *[terms[i].J for i in others]])
    n_blocks = int(offsets[-1])
    block_of_row = [terms[i].codes + offset for i, offset in zip(others, offsets[:-1], strict=True)]
    # blocks and levels of the first term that share a row belong together
    pairs = [
        sparse.coo_array((np.ones(codes_1.size), (codes_1, J1 + block)), shape=(J1 + n_blocks,) * 2)
        for block in block_of_row
    ]
    together = pairs[0].tocsr()
    for pair in pairs[1:]:
        together = together + pair.tocsr()
    _, component = connected_components(together, directed=False)
    order = np.argsort(component[J1:], kind="stable")
    block_term = np.concatenate([np.full(terms[i].J, i) for i in others])[order]
    block_level = np.concatenate([np.arange(terms[i].J) for i in others])[order]
    sizes = np.array([term.p for term in terms])[block_term]
    block_start = np.concatenate([[0], np.cumsum(sizes)])
    position = np.empty(n_blocks, dtype=np.intp)
    position[order] = np.arange(n_blocks)
    labels, component_start = np.unique(component[J1:][order], return_index=True)
    component_start = np.append(component_start, n_blocks)
    level_order = np.argsort(component[:J1], kind="stable")
    level_start = np.append(np.searchsorted(component[:J1][level_order], labels), J1)

    q = int(block_start[-1])
    rows = np.arange(codes_1.size)
    indices = np.concatenate(
        [
            block_start[position[block]] + k
            for i, block in zip(others, block_of_row, strict=True)
            for k in range(terms[i].p)
        ]
    )
    values = np.concatenate([terms[i].columns[:, k] * root for i in others for k in range(terms[i].p)])
    total_p = sum(terms[i].p for i in others)
    Z2 = sparse.csr_array((values, (np.tile(rows, total_p), indices)), shape=(rows.size, q))
    G = (Z2.T @ Z2).tocsr()
    starts = block_start[component_start]
    widths = np.diff(starts)
    if widths.max() > MAX_DENSE:
        names = ", ".join(terms[i].group for i in others)
        raise ModelError(
            f"the terms besides the largest ({names}) have {widths.max()} random effects that hang together; at most "
            f"{MAX_DENSE} fit a dense matrix. Leave out a term, or sample the model with rstanarm"
        )
    G_start = np.concatenate([[0], np.cumsum(widths**2)])
    dense = np.concatenate([G[a:b, a:b].toarray().ravel() for a, b in pairwise(starts)])
    cross = []
    for k in range(p1):
        Z1 = sparse.csr_array((columns[:, k], (codes_1, rows)), shape=(J1, rows.size))
        cross.append((Z1 @ Z2).tocsr())
    pattern = sum(abs(c) for c in cross) + sparse.csr_array(
        (np.ones(indices.size), (np.tile(codes_1, total_p), indices)), shape=(J1, q)
    )
    pattern = pattern.tocsr()
    pattern.sort_indices()
    level = np.repeat(np.arange(J1), np.diff(pattern.indptr))
    C = np.column_stack([np.asarray(c[level, pattern.indices]).ravel() for c in cross])
    start_of_column = np.repeat(starts[:-1], widths)
    return OtherTerms(
        R=np.ascontiguousarray(Z2.T @ Ww),
        block_start=block_start.astype(np.int64),
        block_term=block_term.astype(np.int64),
        block_level=block_level.astype(np.int64),
        component_start=component_start.astype(np.int64),
        G_start=G_start.astype(np.int64),
        G=dense,
        level_start=level_start.astype(np.int64),
        levels=level_order.astype(np.int64),
        C_start=pattern.indptr.astype(np.int64),
        C_column=(pattern.indices - start_of_column[pattern.indices]).astype(np.int64),
        C=np.ascontiguousarray(C),
    )
