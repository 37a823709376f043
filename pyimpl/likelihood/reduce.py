"""Reduce the data once: everything the likelihood needs afterwards, without the rows.

Writing V = I + ZΛΛ'Z' (the marginal covariance of √w·y over σ², Bates et al. 2015 eq. 1-4 with the random effects
integrated out), the profiled criteria need only log|V| and D'V⁻¹D with D = [X, y]. The factor with most random effects
is the inner one, eliminated level by level. For level j let Z_j = Q_j R_j (Householder). Then

    D'V₁⁻¹D = D'(I − QQ')D + Σ_j C_j' (I + R_j T T' R_j')⁻¹ C_j,    C_j = Q_j'D,

a sum of positive parts, in which nothing cancels however large T or the differences between levels are. R_j, C_j and
the constant first part are computed here, once; the number of rows plays no part in what follows.

X is replaced by an orthonormal basis of its columns and y by its least-squares residual: an exact change of
variables, after which a huge mean of y or of a covariate costs no digits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from pyimpl.covariance.base import Covariance
from pyimpl.covariance.structures import Structure
from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import ModelError
from pyimpl.likelihood.engine import Engine
from pyimpl.likelihood.inner import Inner
from pyimpl.likelihood.outer import Outer
from pyimpl.likelihood.rows import (
    add_row_products,
    by_level,
    constant_column,
    level_products,
    nodes_by_level,
    orthonormal_basis,
    qr_by_level,
    root_mean_squares,
    sort_by_level,
    sorted_columns,
    subtract_products,
    touched_nodes,
    triangle,
)
from pyimpl.likelihood.structure import choose_pattern
from pyimpl.likelihood.structured import StructuredEngine
from pyimpl.likelihood.threads import sized_threads
from pyimpl.linalg.heard import heard_if_long
from pyimpl.linalg.memory import zeros

__all__ = ["NARROW", "Factor", "FixedPart", "InnerPart", "OuterPart", "Reduced", "reduce_design", "reduce_rows"]

_NEARLY_ORTHOGONAL = 0.05  # ‖Q'Q − I‖ of a first Q whose own factor is well-conditioned
_WELL_CONDITIONED = 10.0  # condition number whose square costs a triangle no more than two of its digits
_DEPENDENT = 1e-10  # share of its square that the columns before it leave of one that may depend on them
_NOTHING_LEFT = 1e-12  # ... and share of its length that is rounding error: its square is lost beside all others'
NARROW = 6  # columns of a narrow [X, y], for which a call of LAPACK takes longer than the work
_NOT_FULL_RANK = "the fixed-effects model matrix does not have full column rank; drop the redundant columns"


@dataclass(frozen=True)
class Factor:
    """All random effects of one grouping factor: one block of p effects a level, Λ's template T block-diagonal.

    Terms that share a grouping factor, such as those of ``(x || g)``, are one factor.

    Attributes
    ----------
    terms : tuple of int
        Positions in ``Design.terms``.
    codes : ndarray of int64, shape (N,)
        Level of each row.
    J, p : int
        Levels, and effects a level (all terms together).
    effect_start : tuple of int
        First effect of each term within the p.
    rows, cols, theta : ndarray of int64, shape (nθ of this factor,)
        ``T[rows[k], cols[k]] = θ[theta[k]]``.
    scale : ndarray, shape (p,)
        Root mean square of each column of the model matrix: the natural unit of θ is its inverse.
    structure : Structure or None
        Where the templates' elements are not θ themselves but follow from it: then ``theta`` has their places.
    """

    terms: tuple[int, ...]
    codes: np.ndarray
    J: int
    p: int
    effect_start: tuple[int, ...]
    rows: np.ndarray
    cols: np.ndarray
    theta: np.ndarray
    scale: np.ndarray
    structure: Structure | None

    @cached_property
    def elements(self) -> tuple[tuple[int, int, int], ...]:
        """Row, column and θ's position of each element of the template."""
        return tuple(zip(self.rows.tolist(), self.cols.tolist(), self.theta.tolist(), strict=True))

    def template(self, theta: np.ndarray) -> np.ndarray:
        """T, shape (p, p), lower triangular: this factor's diagonal block of Λ (Bates et al. 2015, eq. 4 and 9)."""
        T = np.zeros((self.p, self.p))
        elements = theta if self.structure is None else self.structure.elements(theta)
        T[self.rows, self.cols] = elements[self.theta]
        return T


@dataclass(frozen=True)
class InnerPart:
    """The inner factor's levels.

    Attributes
    ----------
    order : ndarray of int, shape (N,)
        Rows sorted by level.
    starts : ndarray of int, shape (J + 1,)
        Where each level begins in ``order``.
    R : ndarray, shape (J, p, p)
        Triangular factors R_j of Z_j (rows beyond n_j are zero).
    C : ndarray, shape (J, p, P + 1)
        Q_j'D.
    indptr : ndarray of int, shape (J + 1,)
    columns : ndarray of int, shape (nnz,)
        The outer columns that each level touches, ascending in the Schur complement's order.
    values : ndarray, shape (nnz, p)
        Z_o'Q_j of those columns.
    pairs : float
        Pairs of outer columns that meet in a level, summed over the levels.
    """

    order: np.ndarray
    starts: np.ndarray
    R: np.ndarray
    C: np.ndarray
    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    pairs: float = 0.0


@dataclass(frozen=True)
class OuterPart:
    """The cross-products of the other factors, together q random effects; see :class:`pyimpl.likelihood.outer.Outer`.

    Attributes
    ----------
    pattern : Pattern
        Of their Schur complement.
    within : ndarray, shape (pattern.size,)
        Z_o'(I − QQ')Z_o, in panels.
    within_dense : ndarray, shape (P + 1, q)
        D'(I − QQ')Z_o.
    node_factor : ndarray of int, shape (levels of all,)
        Which of them each node belongs to, by place.
    width : ndarray of int
        Effects a level of each factor.
    column : ndarray of int, shape (N, factors)
        First column that each row touches, the rows by level of the inner factor.
    Z : ndarray, shape (N, Σ width)
        √w times their model matrix, likewise.
    """

    pattern: Any
    within: np.ndarray
    within_dense: np.ndarray
    node_factor: np.ndarray
    width: np.ndarray
    column: np.ndarray
    Z: np.ndarray


@dataclass(frozen=True)
class FixedPart:
    """The fixed effects and the response.

    Attributes
    ----------
    basis : ndarray, shape (N, P)
        Orthonormal, of √w·X.
    residual : ndarray, shape (N,)
        The least-squares residual of √w·(y − offset).
    within : ndarray, shape (P + 1, P + 1)
        D'(I − QQ')D.
    within_root : ndarray, shape (P + 1, P + 1)
        Upper triangular factor of ``within``, from the rows themselves.
    coef_from_basis : ndarray, shape (P, P)
        β = ``beta_ols + coef_from_basis @ γ`` with γ the coefficients in the basis.
    beta_ols : ndarray, shape (P,)
        (Weighted) least-squares coefficients.
    log_det_X : float
        log|X'WX|: what the change of basis adds to log|R_X|².
    """

    basis: np.ndarray
    residual: np.ndarray
    within: np.ndarray
    within_root: np.ndarray
    coef_from_basis: np.ndarray
    beta_ols: np.ndarray
    log_det_X: float


@dataclass(frozen=True)
class Reduced:
    """What the likelihood needs of the data.

    Attributes
    ----------
    N, P : int
        Rows and fixed-effect columns.
    factors : tuple of Factor
        The inner factor first, if there is one.
    n_theta : int
        Parameters of the search: θ, or with structured covariances lme4's ``par``.
    lower : ndarray, shape (n_theta,)
        Lower bounds of θ: 0 for the diagonal of a template, else −inf.
    structure : Structure or None
        Covariance structures, where the templates' elements are not θ themselves.
    elements : ndarray of int, shape (3, elements)
        Of each element of the templates, factor by factor: the position of its θ, its row, its column.
    inner : InnerPart
        Without levels where the Schur complement has all factors.
    outer : OuterPart or None
    fixed : FixedPart
    log_weights : float
        Σ log w.
    """

    N: int
    P: int
    factors: tuple[Factor, ...]
    n_theta: int
    lower: np.ndarray
    structure: Structure | None
    elements: np.ndarray
    inner: InnerPart
    outer: OuterPart | None
    fixed: FixedPart
    log_weights: float

    @property
    def outer_factors(self) -> tuple[Factor, ...]:
        """The factors of the Schur complement."""
        return self.factors[1:] if len(self.inner.R) else self.factors


@lru_cache(maxsize=64)
def _numbering(
    covariances: tuple[Covariance, ...], members: tuple[tuple[int, ...], ...]
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray], ...]]:
    """Lower bounds of the templates' elements, and where each factor's stand in its template.

    The second are :attr:`Reduced.elements`. They are numbered term by term, each template's columns down (lme4's
    order). For each factor (its terms are `members`): first effect of each term, and :class:`Factor`'s rows, cols and
    theta.
    """
    theta_start = [0]
    for covariance in covariances:
        theta_start.append(theta_start[-1] + len(covariance.places))
    lower = np.full(theta_start[-1], -np.inf)
    places = []
    for group in members:
        rows, cols, index, starts, p = [], [], [], [], 0
        for i in group:
            starts.append(p)
            for at, (r, c) in enumerate(covariances[i].places, theta_start[i]):
                if r == c:
                    lower[at] = 0.0
                rows.append(p + r)
                cols.append(p + c)
                index.append(at)
            p += covariances[i].p
        place = tuple(starts), np.array(rows, np.int64), np.array(cols, np.int64), np.array(index, np.int64)
        places.append(place)
    elements = np.array([[i for _, *one in places for i in one[k]] for k in (2, 0, 1)], dtype=np.intp)
    return lower, elements, tuple(places)


def _grouped(terms: Sequence[RandomTerm]) -> tuple[tuple[int, ...], ...]:
    """Positions of the terms of each grouping factor, the factor with most random effects first."""
    members: list[list[int]] = []
    for i, term in enumerate(terms):
        for group in members:
            first = terms[group[0]]
            if first.group == term.group and np.array_equal(first.codes, term.codes):
                group.append(i)
                break
        else:
            members.append([i])
    if len(members) > 1:
        members.sort(key=lambda group: -terms[group[0]].J * sum(terms[i].p for i in group))
    return tuple(map(tuple, members))


def _effects(terms: Sequence[RandomTerm], group: Sequence[int], root: np.ndarray) -> np.ndarray:
    """√w times the model matrix of all terms of one factor, shape (N, p); may be a term's own."""
    Z = terms[group[0]].columns if len(group) == 1 else np.hstack([terms[i].columns for i in group])
    Z = np.ascontiguousarray(Z, dtype=float)
    return Z * root[:, None] if root.size else Z


def _wide_basis(
    X: np.ndarray, y: np.ndarray, root: np.ndarray, intercept: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Basis of √w·X, residual of √w·y, the basis' map to β, β, and R of X = QR: of wide X, by LAPACK."""
    shift, mean, constant = np.zeros(X.shape[1]), 0.0, 1.0
    if intercept >= 0:
        constant = float(X[0, intercept])
        mean = float(y.mean())
        y -= mean
        shift = X.mean(axis=0)
        shift[intercept] = 0.0
        X -= shift
    if root.size:
        X *= root[:, None]
        y *= root
    Q, R = heard_if_long(4.0 * X.size * X.shape[1], _orthogonal, X)
    if not np.all(np.abs(np.diag(R)) > 0):
        raise ModelError(_NOT_FULL_RANK)
    inverse = np.linalg.inv(R)
    projection = Q.T @ y
    residual = y - Q @ projection
    again = Q.T @ residual  # once more: the residual orthogonal to rounding
    residual -= Q @ again
    projection += again
    if intercept >= 0:
        inverse[intercept] -= (shift / constant) @ inverse
    beta = inverse @ projection
    if intercept >= 0:
        beta[intercept] += mean / constant
    return Q, residual, inverse, beta, R


def _response_and_matrix(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """X and y less the offset, copies."""
    y = np.array(design.y, dtype=float) if design.offset is None else np.asarray(design.y - design.offset, dtype=float)
    return np.array(design.X, dtype=float, order="C"), y


def _fixed_part(design: Design, root: np.ndarray) -> FixedPart:
    """Basis and residual; what the inner factor leaves of them is not known yet."""
    N, P = design.X.shape
    X, y = _response_and_matrix(design)
    intercept, _ = constant_column(X)
    inverse, beta, R = np.empty((P, P)), np.empty(P), np.empty((P, P))
    if not (P < NARROW and P < N and orthonormal_basis(X, y, root, intercept, inverse, beta, R)):
        X, y, inverse, beta, R = _wide_basis(*_response_and_matrix(design), root, intercept)
    log_det = 0.0
    for k in range(P):
        if not abs(R[k, k]) > 0:
            raise ModelError(_NOT_FULL_RANK)
        log_det += 2.0 * math.log(abs(R[k, k]))
    return FixedPart(X, y, np.empty((0, 0)), np.empty((0, 0)), inverse, beta, log_det)


def triangle_of(D: np.ndarray) -> np.ndarray:
    """Upper triangular factor of D (N, m), which may be overwritten: shape (m, m)."""
    m = D.shape[1]
    if m <= NARROW and m <= len(D):
        return triangle(D)
    root = np.zeros((m, m))
    left = np.flatnonzero(D.any(axis=0))  # an inner factor's effects leave nothing of a constant column
    found = heard_if_long(2.0 * D.size * m, _triangle, D if left.size == m else D[:, left])
    root[np.ix_(np.arange(len(found)), left)] = found
    return root


def _orthogonal(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q and R of X (N, m): by cross-products where that keeps the digits, by Householder's way else."""
    found = _by_cross_products(X, True)
    Q, R = np.linalg.qr(X) if found is None else found
    return Q, R


def _triangle(X: np.ndarray) -> np.ndarray:
    """R alone of :func:`_orthogonal`, where columns may depend on others."""
    found = _by_cross_products(X, False)
    if found is not None:
        return found[1]
    R = _dependent_triangle(X)
    return np.linalg.qr(X, mode="r") if R is None else R


def _dependent_triangle(X: np.ndarray) -> np.ndarray | None:
    """R of X = QR, with rows of zeros where a column depends on those before it but for rounding.

    So do the predictors that random slopes have left nothing of: a fit of 40 000 rows, 120 fixed effects and a slope
    takes two thirds of the time. None where columns are nearly dependent, or the last one, a response, is.
    """
    if not len(X) >= 4 * X.shape[1] > 0:  # else products take longer
        return None
    product = X.T @ X
    length = np.sqrt(np.diag(product))
    if not (np.isfinite(length).all() and length.min() > 0):
        return None
    product = product / length / length[:, None]
    R, kept = np.zeros_like(product), np.zeros(len(product), dtype=bool)
    for c in range(len(R)):
        row = product[c, c:] - R[:c, c] @ R[:c, c:]
        if row[0] > _DEPENDENT:
            R[c, c:] = row / math.sqrt(row[0])
            kept[c] = True
    upper = R[np.ix_(kept, kept)]
    if not kept[-1] or np.linalg.cond(upper) >= _WELL_CONDITIONED:
        return None
    combination = np.zeros((len(R), int((~kept).sum())))  # each dependent column less what the others make of it
    combination[kept] = -np.linalg.solve(upper, R[np.ix_(kept, ~kept)])
    combination[~kept] = np.eye(combination.shape[1])
    left = np.linalg.norm(X @ (combination / length[:, None]), axis=0)
    return R * length if left.max(initial=0.0) <= _NOTHING_LEFT else None


def _by_cross_products(X: np.ndarray, want_q: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Q and R by Cholesky factors of cross-products, twice; None where columns are dependent, or nearly, or rows few.

    The first Q is as far from orthogonal as X is ill-conditioned, the second as far as rounding; whether the first is
    near enough for that is seen from its cross-products (Yamamoto et al. 2015, ETNA 44, 306-326). Of a well-conditioned
    X the first R is as exact as Householder's: it is enough where Q is not wanted, which is the first then. A fit of
    20 000 rows and 100 columns takes two thirds of the time.
    """
    if len(X) < 4 * X.shape[1]:
        return None
    Q, R = X, np.eye(X.shape[1])
    try:
        for turn in range(2):
            product = Q.T @ Q
            length = np.sqrt(np.diag(product))
            if not (np.isfinite(length).all() and length.min(initial=np.inf) > 0):
                return None
            if turn and np.linalg.norm(product - np.eye(len(R))) > _NEARLY_ORTHOGONAL:
                return None
            upper = np.linalg.cholesky(product / length / length[:, None]).T
            R = (upper * length) @ R
            if not want_q and (turn or np.linalg.cond(upper) < _WELL_CONDITIONED):
                return Q, R
            Q = Q @ (np.linalg.inv(upper) / length[:, None])
    except np.linalg.LinAlgError:
        return None
    return Q, R


@sized_threads
def reduce_design(design: Design, structure: str = "best") -> Reduced:
    """Reduce a design: one pass over the rows.

    Parameters
    ----------
    design : Design
    structure : {"best", "blocks", "ordered", "joint"}
        Of the Schur complement: see :func:`pyimpl.likelihood.structure.choose_pattern`.

    Returns
    -------
    Reduced

    Raises
    ------
    ModelError
        If there is no random-effects term, X has not full column rank, or the crossed factors need more memory than
        there is.
    """
    if not design.terms:
        raise ModelError("the model has no random-effects term, such as (1 | group)")
    terms = design.terms
    members = _grouped(terms)
    covariances = tuple([term.covariance for term in terms])
    lower, elements, places = _numbering(covariances, members)
    structured = None if all([one.linear for one in covariances]) else design.structure  # noqa: C419
    if structured is not None:
        lower = structured.lower
    root = np.empty(0) if design.weights is None else np.sqrt(design.weights)
    fixed = _fixed_part(design, root)
    Zs = [_effects(terms, group, root) for group in members]
    codes = [np.array(terms[group[0]].codes, dtype=np.intp) for group in members]  # a caller's may be read-only
    J = [terms[group[0]].J for group in members]
    factors = []
    for k, (group, (effect_start, rows, cols, theta)) in enumerate(zip(members, places, strict=True)):
        scale = root_mean_squares(Zs[k])
        factors.append(
            Factor(group, codes[k], J[k], Zs[k].shape[1], effect_start, rows, cols, theta, scale, structured)
        )
    names = [terms[group[0]].group for group in members]
    inner, outer, within_root = reduce_rows((fixed.basis, fixed.residual[:, None]), Zs, codes, J, names, structure)
    return Reduced(
        N=design.N,
        P=design.P,
        factors=tuple(factors),
        n_theta=lower.size,
        lower=lower,
        structure=structured,
        elements=elements,
        inner=inner,
        outer=outer,
        fixed=FixedPart(
            fixed.basis,
            fixed.residual,
            within_root.T @ within_root,
            within_root,
            fixed.coef_from_basis,
            fixed.beta_ols,
            fixed.log_det_X,
        ),
        log_weights=0.0 if design.weights is None else float(np.log(design.weights).sum()),
    )


def reduce_rows(
    D: Sequence[np.ndarray],
    Zs: Sequence[np.ndarray],
    codes: Sequence[np.ndarray],
    J: Sequence[int],
    names: Sequence[str],
    structure: str,
) -> tuple[InnerPart, OuterPart | None, np.ndarray]:
    """Reduce rows: what an elimination of random effects needs of any columns D, which the posterior has others of.

    Parameters
    ----------
    D : sequence of ndarray, each (N, k)
        √w times the columns, together m of them.
    Zs : sequence of ndarray, each (N, p)
        √w times each factor's model matrix, the inner factor's first.
    codes : sequence of ndarray of intp, each (N,)
        Each factor's level of each row.
    J : sequence of int
        Levels of each.
    names : sequence of str
        Of the factors, for messages.
    structure : {"best", "blocks", "ordered", "joint"}
        See :func:`pyimpl.likelihood.structure.choose_pattern`.

    Returns
    -------
    InnerPart
        With C of m columns.
    OuterPart or None
        None where there is one factor.
    ndarray, shape (m, m)
        Upper triangular factor of D'(I − QQ')D.

    Raises
    ------
    ModelError
        If the crossed factors need more memory than there is.
    """
    order, starts, place = sort_by_level(codes[0], J[0])
    Ds = by_level(D, place)
    m = Ds.shape[1]
    none = np.empty(0, dtype=np.intp)
    if len(Zs) == 1:
        R, C, rest, _ = _inner_qr(Ds, by_level(Zs[:1], place), starts, False)
        inner = InnerPart(order, starts, R, C, np.zeros(J[0] + 1, dtype=np.intp), none, np.zeros((0, R.shape[1])), 0.0)
        return inner, None, triangle_of(rest)
    p = np.array([Z.shape[1] for Z in Zs], dtype=np.intp)
    nodes = nodes_by_level(codes[1:], J[1:], place)
    touched = touched_nodes(starts, nodes, sum(J[1:]))
    width = np.repeat(p[1:], J[1:])

    def everything() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        every = nodes_by_level(codes, J, place)
        return np.arange(0, every.size + 1, every.shape[1], dtype=np.intp), every.ravel(), np.repeat(p, J)

    pattern, has_inner = choose_pattern(touched, width, everything, names, structure)
    if not has_inner:
        column = pattern.columns[nodes_by_level(codes, J, place)]
        outer = _outer_part(pattern, J, p, column, by_level(Zs, place), Ds, m)
        inner = InnerPart(
            order, np.zeros(1, dtype=np.intp), np.zeros((0, p[0], p[0])), np.zeros((0, p[0], m)),
            np.zeros(1, dtype=np.intp), none, np.zeros((0, p[0])), 0.0,
        )  # fmt: skip
        return inner, outer, triangle_of(Ds)
    R, C, rest, Q = _inner_qr(Ds.copy(), by_level(Zs[:1], place), starts, True)
    indptr, columns, pairs = sorted_columns(touched[0], touched[1], pattern.columns, width)
    values = np.zeros((columns.size, p[0]))
    column = pattern.columns[nodes]
    Z = by_level(Zs[1:], place)
    outer = _outer_part(pattern, J[1:], p[1:], column, Z, None, m)
    levels = Inner(R, C, indptr, columns, values, pattern)
    level_products(levels, starts, Q, Ds, column, Z, outer.width, outer.within_dense)
    subtract_products(levels, outer.within)
    return InnerPart(order, starts, R, C, indptr, columns, values, pairs), outer, triangle_of(rest)


def _inner_qr(
    D: np.ndarray, Z: np.ndarray, starts: np.ndarray, want_q: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """R_j, C_j, what is left of D, and the Q_j (N, p); D and Z, by level, are overwritten."""
    J, p, m = starts.size - 1, Z.shape[1], D.shape[1]
    R, C = np.zeros((J, p, p)), np.zeros((J, p, m))
    Q = np.zeros((len(Z) if want_q else 1, p))
    qr_by_level(np.ascontiguousarray(Z), D, starts, R, C, Q, want_q)
    return R, C, D, Q


def _outer_part(
    pattern: Any,
    J: Sequence[int],
    width: np.ndarray,
    column: np.ndarray,
    Z: np.ndarray,
    D: np.ndarray | None,
    m: int,
) -> OuterPart:
    """The outer part of Z_o'Z_o, and of Z_o'D (of m columns) if D is given."""
    within = zeros(max(pattern.size, 1))
    add_row_products(pattern, column, Z, width, pattern.super_of, within)
    dense = np.zeros((m, pattern.q))
    if D is not None:
        at = 0
        for f, wide in enumerate(width.tolist()):
            for k in range(wide):
                for c in range(D.shape[1]):
                    dense[c] += np.bincount(column[:, f] + k, Z[:, at + k] * D[:, c], minlength=pattern.q)
            at += wide
    by_place = np.repeat(np.arange(len(J)), J).take(pattern.order)
    return OuterPart(pattern, within, dense, by_place, width, column, Z)


def make_engine(
    reduced: Reduced, df: float, REML: bool, levels: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
) -> Any:
    """The engine that evaluates the criterion of a reduced model.

    Parameters
    ----------
    reduced : Reduced
    df : float
    REML : bool
    levels : tuple of ndarray, optional
        The inner factor's in place of all: see :mod:`pyimpl.likelihood.equal_levels`.
    """
    part, fixed = reduced.inner, reduced.fixed
    outer = None
    if (o := reduced.outer) is not None:
        outer = Outer(o.pattern, o.within, o.within_dense, o.node_factor, o.width)
    if levels is None:
        pattern = None if reduced.outer is None else reduced.outer.pattern
        inner = Inner(part.R, part.C, part.indptr, part.columns, part.values, pattern)
    else:
        R, C, counts = levels
        inner = Inner(R, C, part.indptr[: len(R) + 1], part.columns, part.values, None, counts)
    factors = [(f.p, f.J, len(f.theta)) for f in reduced.factors]
    engine = Engine(inner, outer, fixed, reduced.elements, factors, df, REML)
    return engine if reduced.structure is None else StructuredEngine(engine, reduced.structure)
