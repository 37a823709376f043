"""The collapsed posterior: random effects and Gaussian coefficients integrated out, exactly.

With Λ = T/σ (it does not depend on σ), V = I + Σ Z Λ Λ' Z', r = y − X₁ĉ for a fixed ĉ and W = [X₁, r]:

* S_j = Z_j'Z_j and B_j = Z_j'W for each level, P_j = Λ (I + Λ'S_jΛ)⁻¹ Λ', log|V| = Σ log|I + Λ'S_jΛ|,
  Q = W'V⁻¹W = W'W − Σ B_j'P_jB_j;
* A = Q_XX/σ² + D, h = Q_Xr/σ² + D(m − ĉ), where D holds the prior precisions and m the prior means of the
  coefficients that are integrated out;
* log p = a − n log σ − ½ log|V| + ½ log|D| − ½ log|A| − ½ (Q_rr/σ² + (m − ĉ)'D(m − ĉ) − h'A⁻¹h) + log prior + Jacobian.

With several terms the one with most levels is eliminated level by level; for the rest a dense Schur complement is
factored, one for each connected component (a nested design falls apart into small ones).

Everything depends on the data through S_j, B_j and W'W: after the first pass the cost does not grow with the rows.
Levels with the same S_j share P_j, so their B_j enter through one sum of outer products.

Priors that are not Gaussian stay exact: an intercept with a t prior is Gaussian given its precision w ~ Gamma(df/2,
df/2), which becomes a coordinate; coefficients with rstanarm's ``student_t`` prior become coordinates z themselves.

Coordinates: log of sigma's unscaled parameter; for each term log τ, the additive log-ratios of π, and the directions'
canonical partial correlations on the atanh scale; then log w; then z. For p effects a term has p (p + 1)/2 of them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from scipy.special import gammaln

from pyimpl.errors import ModelError
from pyimpl.posterior.covariance import ball_exponents, ball_log_constant, build_T, row_slices, split_T
from pyimpl.posterior.full import _HALF_LOG_2PI, _LOG_2, _log_student_t, cornish_fisher_t
from pyimpl.posterior.specification import EXPONENTIAL, FLAT, NORMAL, STUDENT_T, Specification

__all__ = ["CollapsedDensity", "CoordinateValues"]

#: Beyond e^7 times sigma the factor of A loses its digits, while the prior is e^(−e^7).
_LOG_TAU_MAX = 7.0


@dataclass(frozen=True)
class CoordinateValues:
    """What the coordinates stand for, at ``n`` points.

    Attributes
    ----------
    sigma : ndarray, shape (n,)
    T : list of ndarray, each (n, p, p)
        Cholesky factors of the covariance matrices.
    Lambda : list of ndarray, each (n, p, p)
        T / sigma.
    precision : ndarray, shape (n, G)
        Prior precisions of the coefficients that are integrated out.
    z : ndarray, shape (n, H)
        Standardised coefficients that are coordinates.
    fixed : ndarray, shape (n, H)
        Their values.
    log_prior : ndarray, shape (n,)
        Log prior of the coordinates and Jacobian.
    """

    sigma: np.ndarray
    T: list[np.ndarray]
    Lambda: list[np.ndarray]
    precision: np.ndarray
    z: np.ndarray
    fixed: np.ndarray
    log_prior: np.ndarray


@dataclass(frozen=True)
class _Blocks:
    """Sufficient statistics. ``first`` is the term with most levels; the rest is stored as one list of columns.

    ``S`` (J, p, p), ``B`` (J, p, m) for the first term; ``G`` (q, q) within components, ``R`` (q, m) for the other
    terms' columns; ``C`` the cross-products first × rest in compressed form.
    """

    first: int
    S: np.ndarray
    B: np.ndarray
    WW: np.ndarray
    unique_S: np.ndarray  # (U, p, p)
    unique_count: np.ndarray  # (U,)
    unique_E: np.ndarray  # (U, p(p+1)/2, m(m+1)/2): sums of outer products of B's rows
    rest: "_Rest | None"


@dataclass(frozen=True)
class _Rest:
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


def _crossproduct(codes: np.ndarray, left: np.ndarray, right: np.ndarray, J: int) -> np.ndarray:
    """``left'right`` for each level: shape (J, left columns, right columns)."""
    out = np.empty((J, left.shape[1], right.shape[1]))
    for a in range(left.shape[1]):
        for b in range(right.shape[1]):
            out[:, a, b] = np.bincount(codes, left[:, a] * right[:, b], minlength=J)
    return out


def _blocks(spec: Specification, W: np.ndarray) -> _Blocks:
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
    rest = _rest(spec, first, columns, Ww, root) if len(terms) > 1 else None
    return _Blocks(first, S, B, Ww.T @ Ww, unique.reshape(-1, p, p), count.astype(np.float64), E, rest)


def _rest(spec: Specification, first: int, columns: np.ndarray, Ww: np.ndarray, root: np.ndarray) -> _Rest:
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
    _, component = connected_components(sum(pairs).tocsr(), directed=False)
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
    G_start = np.concatenate([[0], np.cumsum(widths**2)])
    dense = np.concatenate([G[a:b, a:b].toarray().ravel() for a, b in zip(starts[:-1], starts[1:], strict=True)])
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
    return _Rest(
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
