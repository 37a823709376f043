"""The sufficient statistics of the collapsed posterior: cross-products of each level's rows.

The rows are reduced as for the likelihood (:func:`pyimpl.likelihood.reduce.reduce_rows`), with the term of most levels
as the inner factor: R_j, C_j = Q_j'W and what the others' columns have within and across its levels. A posterior is
wanted at thousands of points side by side, at which Z_j'Z_j = R_j'R_j and Z_j'W = R_j'C_j are read in place of R_j and
C_j: levels of which they are the same are worked on once. The other terms' columns are put in order by component
(levels that rows bring together), of each of which the dense matrix is kept.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pyimpl.errors import ModelError
from pyimpl.likelihood.reduce import InnerPart, OuterPart, reduce_rows
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

_DIGITS = 12  # in which cross-products of the same rows in another order agree


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
    root = np.ones((spec.y.size, 1)) if spec.weights is None else np.sqrt(spec.weights)[:, None]
    terms = spec.terms
    first = int(np.argmax([term.J for term in terms]))
    order = [first, *(i for i in range(len(terms)) if i != first)]
    inner, outer, triangle = reduce_rows(
        [np.ascontiguousarray(W * root)],
        [np.ascontiguousarray(terms[i].columns * root) for i in order],
        [np.array(terms[i].codes, dtype=np.intp) for i in order],
        [terms[i].J for i in order],
        [terms[i].group for i in order],
        "blocks",
    )
    S = np.einsum("jki,jkl->jil", inner.R, inner.R)
    B = np.einsum("jki,jkc->jic", inner.R, inner.C)
    p, m = S.shape[1], W.shape[1]
    rows_m, cols_m = np.tril_indices(m)
    WW = (triangle.T @ triangle + np.einsum("jka,jkb->ab", inner.C, inner.C))[rows_m, cols_m]
    which, inverse, count = _alike(S)
    rows_p, cols_p = np.tril_indices(p)
    E = np.zeros((len(which), rows_p.size, rows_m.size))
    for k, (a, b) in enumerate(zip(rows_p, cols_p, strict=True)):
        outer_products = B[:, a, rows_m] * B[:, b, cols_m]
        if a != b:
            outer_products = outer_products + B[:, b, rows_m] * B[:, a, cols_m]
        np.add.at(E[:, k], inverse, outer_products)
    rest = _no_other_terms(len(S), p, m) if outer is None else _other_terms(spec, order[1:], inner, outer)
    return CrossProducts(first, S, B, WW, inverse, S[which], count.astype(np.float64), E, rest)


def _alike(S: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group the levels whose S (J, p, p) are the same but for rounding, as of the same rows in another order.

    Returns
    -------
    which : ndarray of int, shape (U,)
        A level of each group.
    inverse : ndarray of int64, shape (J,)
        The group of each level.
    count : ndarray of int, shape (U,)
    """
    size = np.sqrt(np.einsum("jii->ji", S))
    by = np.where(size > 0, size, 1.0)
    logarithm = np.where(size > 0, np.log2(by), -np.inf)
    rows, cols = np.tril_indices(S.shape[1], -1)
    cosines = (S / by[:, :, None] / by[:, None, :])[:, rows, cols]
    key = np.column_stack([np.round(logarithm, _DIGITS), np.round(cosines, _DIGITS)]) + 0.0
    _, which, inverse, count = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return which, inverse.reshape(-1).astype(np.int64), count


def _no_other_terms(J: int, p: int, m: int) -> OtherTerms:
    none, zero = np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    start = np.zeros(J + 1, dtype=np.int64)
    return OtherTerms(
        np.empty((0, m)), zero, none, none, zero, zero, np.empty(0), zero, none, start, none, np.empty((0, p))
    )


def _other_terms(spec: Specification, others: list[int], inner: InnerPart, outer: OuterPart) -> OtherTerms:
    """The other terms' columns from what is within the first term's levels and across them."""
    from scipy import sparse

    pattern = outer.pattern
    q, p = pattern.q, inner.R.shape[1]
    nodes = np.asarray(pattern.order)
    offsets = np.cumsum([0, *[spec.terms[i].J for i in others]])
    place = np.searchsorted(offsets, nodes, side="right") - 1
    # a component is a dense matrix, of panels of which only the last has no rows below
    last = np.flatnonzero(np.diff(pattern.row_ptr) == 0)
    panels = np.append(0, last + 1)  # (components + 1,): first panel of each
    start = np.asarray(pattern.first)[panels]  # ... and first column
    widths = np.diff(start)
    if widths.max() > MAX_DENSE:
        names = ", ".join(spec.terms[i].group for i in others)
        raise ModelError(
            f"the terms besides the largest ({names}) have {widths.max()} random effects that hang together; at most "
            f"{MAX_DENSE} fit a dense matrix. Leave out a term, or sample the model with rstanarm"
        )
    level = np.repeat(np.arange(len(inner.R)), np.diff(inner.indptr))
    across = sparse.csr_array(  # (J p, q): Q_j'Z of the other terms
        (
            inner.values.ravel(),
            ((level[:, None] * p + np.arange(p)).ravel(), np.repeat(inner.columns, p)),
        ),
        shape=(len(inner.R) * p, q),
    )
    squares = (across.T @ across).tocsr()
    G = []
    for (a, b), (begin, end) in zip(pairwise(start), pairwise(panels), strict=True):
        lower = np.zeros((b - a, b - a))
        for s in range(begin, end):
            left, right = pattern.first[s] - a, pattern.first[s + 1] - a
            panel = outer.within[pattern.panel[s] : pattern.panel[s + 1]].reshape(right - left, -1)
            lower[left:, left:right] = panel.T
        lower = np.tril(lower)
        G.append((lower + np.tril(lower, -1).T + squares[a:b, a:b].toarray()).ravel())
    component = np.searchsorted(start, inner.columns, side="right") - 1
    own = np.full(len(inner.R), -1)  # the component of each level
    own[level] = component
    level_order = np.argsort(own, kind="stable")
    return OtherTerms(
        R=np.ascontiguousarray(outer.within_dense.T + across.T @ inner.C.reshape(len(inner.R) * p, -1)),
        block_start=np.asarray(pattern.node_first).astype(np.int64),
        block_term=np.array(others, dtype=np.int64)[place],
        block_level=(nodes - offsets[place]).astype(np.int64),
        component_start=np.asarray(pattern.super_node)[panels].astype(np.int64),
        G_start=np.concatenate([[0], np.cumsum(widths**2)]).astype(np.int64),
        G=np.concatenate(G),
        level_start=np.searchsorted(own[level_order], np.arange(widths.size + 1)).astype(np.int64),
        levels=level_order.astype(np.int64),
        C_start=inner.indptr.astype(np.int64),
        C_column=(inner.columns - start[component]).astype(np.int64),
        C=np.ascontiguousarray(np.einsum("ek,eki->ei", inner.values, inner.R[level])),
    )
