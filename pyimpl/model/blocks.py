"""Reduce the data once: everything the likelihood needs afterwards, without the rows.

Writing V = I + ZΛΛ'Z' (the marginal covariance of √w·y over σ², Bates et al. 2015 eq. 1-4 with the random effects
integrated out), the profiled criteria need only log|V| and D'V⁻¹D with D = [X, y]. The term with most random effects
is eliminated level by level. For level j let Z_j = Q_j R_j (Householder). Then

    D'V₁⁻¹D = D'(I − QQ')D + Σ_j C_j' (I + R_j T T' R_j')⁻¹ C_j,    C_j = Q_j'D,

a sum of positive parts, in which nothing cancels however large T or the differences between levels are. R_j, C_j and
the constant first part are computed here, once; the number of rows plays no part in what follows.

X is replaced by an orthonormal basis of its columns and y by its least-squares residual: an exact change of
variables, after which a huge mean of y or of a covariate costs no digits.
"""

import os
import warnings
from dataclasses import dataclass

import numpy as np
from numba import njit

from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.model.crossproducts import Cross, cross_products
from pyimpl.model.design import Design
from pyimpl.model.memory import in_words, memory

__all__ = ["Blocks", "Factor", "Others", "centred_intercept", "level_bases", "reduce_design"]

#: Random effects besides the eliminated factor's up to which their matrix is dense without further ado.
DENSE = 2_000
_NARROW = 6  # columns of a narrow matrix
_EVALUATIONS = 15  # of the criterion in a usual fit of crossed factors
_SPEED = 1.5e10  # dense operations a second and core
_LONG = 120.0  # seconds that deserve a warning
_SLOW = 20.0  # an operation of the sparse factor takes so much longer than one of a dense one


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

    def template(self, theta: np.ndarray) -> np.ndarray:
        """T, shape (p, p), lower triangular: this factor's diagonal block of Λ (Bates et al. 2015, eq. 4 and 9)."""
        T = np.zeros((self.p, self.p))
        T[self.rows, self.cols] = theta[self.theta]
        return T


@dataclass(frozen=True)
class Others:
    """Cross-products of the factors that are not eliminated, together q random effects.

    Attributes
    ----------
    q : int
        Their number of columns in Z.
    first_column : ndarray of int64, shape (factors + 1,)
        First column of each factor; within a factor level by level, effects fastest.
    p : ndarray of int64, shape (factors,)
        Effects a level.
    indptr : ndarray of int64, shape (J + 1,)
        Compressed rows: which columns the rows of each eliminated level touch.
    columns : ndarray of int64, shape (nnz,)
        The columns, ascending within a level.
    values : ndarray, shape (nnz, p of the eliminated factor)
        Q_j'Z of those columns.
    within : ndarray, shape (q, q), lower triangle
        Z'(I − QQ')Z.
    within_dense : ndarray, shape (q, P + 1)
        Z'(I − QQ')D.
    """

    q: int
    first_column: np.ndarray
    p: np.ndarray
    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    within: np.ndarray
    within_dense: np.ndarray


@dataclass(frozen=True)
class Blocks:
    """What the likelihood needs of the data.

    Attributes
    ----------
    N, P : int
        Rows and fixed-effect columns.
    factors : tuple of Factor
        The eliminated factor first.
    n_theta : int
    lower : ndarray, shape (n_theta,)
        Lower bounds of θ: 0 for the diagonal of a template, else −inf.
    R : ndarray, shape (J, p, p)
        Triangular factors R_j of the eliminated factor's Z_j (rows beyond n_j are zero).
    C : ndarray, shape (J, p, P + 1)
        Q_j'D.
    within : ndarray, shape (P + 1, P + 1)
        D'(I − QQ')D.
    within_root : ndarray, shape (P + 1, P + 1)
        Upper triangular factor of ``within``, from the rows themselves.
    others : Others or None
    cross : Cross or None
        All cross-products, sparse, where the other factors have too many random effects for a dense matrix. No factor
        is eliminated beforehand then: ``R``, ``C`` and ``within_root`` are empty.
    coef_from_basis : ndarray, shape (P, P)
        β = ``beta_ols + coef_from_basis @ γ`` with γ the coefficients in the orthonormal basis of residual y.
    beta_ols : ndarray, shape (P,)
        (Weighted) least-squares coefficients.
    log_det_X : float
        log|X'WX|: what the change of basis adds to log|R_X|².
    log_weights : float
        Σ log w.
    basis : ndarray, shape (N, P)
        The orthonormal basis of √w·X.
    residual : ndarray, shape (N,)
        The least-squares residual of √w·(y − offset).
    order : ndarray of int64, shape (N,)
        Rows sorted by the eliminated factor's levels.
    starts : ndarray of int64, shape (J + 1,)
        Where each level begins in ``order``.
    """

    N: int
    P: int
    factors: tuple[Factor, ...]
    n_theta: int
    lower: np.ndarray
    R: np.ndarray
    C: np.ndarray
    within: np.ndarray
    within_root: np.ndarray
    others: Others | None
    cross: Cross | None
    coef_from_basis: np.ndarray
    beta_ols: np.ndarray
    log_det_X: float
    log_weights: float
    basis: np.ndarray
    residual: np.ndarray
    order: np.ndarray
    starts: np.ndarray


@njit(cache=True, error_model="numpy")
def _sort_by_level(codes: np.ndarray, J: int) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover - compiled
    """Sort by counting: the rows level by level, and where each level starts."""
    n = codes.shape[0]
    starts = np.zeros(J + 1, dtype=np.int64)
    for i in range(n):
        starts[codes[i] + 1] += 1
    for j in range(J):
        starts[j + 1] += starts[j]
    place = starts[:-1].copy()
    order = np.empty(n, dtype=np.int64)
    for i in range(n):
        order[place[codes[i]]] = i
        place[codes[i]] += 1
    return order, starts


@njit(cache=True, error_model="numpy")
def _qr_by_level(Z, D, starts, R, C, Q, want_q):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Householder QR of each level's rows of Z, applied to D: R_j, C_j = Q_j'D; D keeps what is orthogonal to Z_j.

    Z and D are overwritten. With `want_q` the thin Q_j are formed in Q (rows of level j, p columns).
    """
    p, m = Z.shape[1], D.shape[1]
    tau = np.zeros(p)
    for j in range(starts.shape[0] - 1):
        s, e = starts[j], starts[j + 1]
        k_max = min(p, e - s)
        for k in range(k_max):
            square = 0.0
            for i in range(s + k, e):
                square += Z[i, k] * Z[i, k]
            head = Z[s + k, k]
            norm = np.sqrt(square)
            tau[k] = 0.0
            if norm > 0.0:
                alpha = -norm if head > 0 else norm
                v0 = head - alpha
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
            for k in range(k_max):
                Q[s + k, k] = 1.0
            for k in range(k_max - 1, -1, -1):
                for c in range(k_max):
                    dot = 0.0
                    for i in range(s + k, e):
                        dot += Z[i, k] * Q[i, c]
                    dot *= tau[k]
                    for i in range(s + k, e):
                        Q[i, c] -= dot * Z[i, k]
        for k in range(k_max):
            for c in range(m):
                C[j, k, c] = D[s + k, c]
                D[s + k, c] = 0.0


@njit(cache=True, error_model="numpy")
def _cross_products(starts, Q, D, C, columns, Z, width, q):  # type: ignore[no-untyped-def] # pragma: no cover
    """Cross-products of the other factors' columns: with Q level by level (sparse), with each other, and with D.

    `columns` (N, factors) holds the first column that a row touches in each factor, `Z` (N, Σp) its values.
    """
    J, F, p, m = starts.shape[0] - 1, columns.shape[1], Q.shape[1], D.shape[1]
    stamp = np.full(q, -1, dtype=np.int64)
    indptr = np.zeros(J + 1, dtype=np.int64)
    for j in range(J):
        count = 0
        for i in range(starts[j], starts[j + 1]):
            for f in range(F):
                c = columns[i, f]
                if stamp[c] != j:
                    stamp[c] = j
                    count += width[f]
        indptr[j + 1] = indptr[j] + count
    col = np.empty(indptr[J], dtype=np.int64)
    val = np.zeros((indptr[J], p))
    within = np.zeros((q, q))
    within_dense = np.zeros((q, m))
    position = np.empty(q, dtype=np.int64)
    stamp[:] = -1
    for j in range(J):
        count = indptr[j]
        for i in range(starts[j], starts[j + 1]):
            for f in range(F):
                c = columns[i, f]
                if stamp[c] != j:
                    stamp[c] = j
                    for k in range(width[f]):
                        col[count + k] = c + k
                    count += width[f]
        col[indptr[j] : indptr[j + 1]] = np.sort(col[indptr[j] : indptr[j + 1]])
        for a in range(indptr[j], indptr[j + 1]):
            position[col[a]] = a
        for i in range(starts[j], starts[j + 1]):
            at = 0
            for f in range(F):
                for k in range(width[f]):
                    ca, za = columns[i, f] + k, Z[i, at + k]
                    a = position[ca]
                    for c in range(p):
                        val[a, c] += Q[i, c] * za
                    for c in range(m):
                        within_dense[ca, c] += za * D[i, c]
                    before = 0
                    for g in range(f + 1):
                        for h in range(width[g]):
                            cb = columns[i, g] + h
                            if cb <= ca:
                                within[ca, cb] += za * Z[i, before + h]
                        before += width[g]
                at += width[f]
        for a in range(indptr[j], indptr[j + 1]):
            for b in range(indptr[j], a + 1):
                dot = 0.0
                for c in range(p):
                    dot += val[a, c] * val[b, c]
                within[col[a], col[b]] -= dot
            for c in range(m):
                dot = 0.0
                for k in range(p):
                    dot += val[a, k] * C[j, k, c]
                within_dense[col[a], c] -= dot
    return indptr, col, val, within, within_dense


def _factors(design: Design) -> tuple[list[Factor], int, np.ndarray, list[np.ndarray]]:
    """Group the terms by grouping factor; θ numbered term by term, each template's columns down (lme4's order)."""
    theta_start, n_theta = [], 0
    for term in design.terms:
        theta_start.append(n_theta)
        n_theta += term.p * (term.p + 1) // 2
    lower = np.full(n_theta, -np.inf)
    members: list[list[int]] = []
    for i, term in enumerate(design.terms):
        for group in members:
            first = design.terms[group[0]]
            if first.group == term.group and np.array_equal(first.codes, term.codes):
                group.append(i)
                break
        else:
            members.append([i])
    factors, columns = [], []
    for group in members:
        rows, cols, index, starts, p = [], [], [], [], 0
        for i in group:
            starts.append(p)
            at = theta_start[i]
            for c in range(design.terms[i].p):
                lower[at] = 0.0
                for r in range(c, design.terms[i].p):
                    rows.append(p + r)
                    cols.append(p + c)
                    index.append(at)
                    at += 1
            p += design.terms[i].p
        Z = design.terms[group[0]].columns
        if len(group) > 1:
            Z = np.hstack([design.terms[i].columns for i in group])
        Z = np.array(Z, dtype=float, order="C")
        if design.weights is not None:
            Z *= np.sqrt(design.weights)[:, None]
        columns.append(Z)
        rms = np.sqrt(np.einsum("ij,ij->j", Z, Z) / max(design.N, 1))
        factors.append(
            Factor(
                terms=tuple(group),
                codes=np.ascontiguousarray(design.terms[group[0]].codes, dtype=np.int64),
                J=design.terms[group[0]].J,
                p=p,
                effect_start=tuple(starts),
                rows=np.array(rows, dtype=np.int64),
                cols=np.array(cols, dtype=np.int64),
                theta=np.array(index, dtype=np.int64),
                scale=np.where(rms > 0, rms, 1.0),
            )
        )
    order = sorted(range(len(factors)), key=lambda f: (-factors[f].J * factors[f].p, f))
    return [factors[f] for f in order], n_theta, lower, [columns[f] for f in order]


@njit(cache=True, error_model="numpy")
def _gram_schmidt(X, R):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """X becomes Q of X = QR: classical Gram-Schmidt, twice for each column, which is enough (Giraud et al. 2005).

    Enough for a column that is not numerically dependent on those before it. One that is shrinks again at the second
    pass (Kahan's and Parlett's criterion): what remains of it is rounding error, not orthogonal to anything, and a
    later column would be projected on that direction twice. Such a column of Q is 0, and so is its diagonal of R.
    """
    N, P = X.shape
    part = np.empty(P)
    for c in range(P):
        before, square = 0.0, 0.0
        for _ in range(2):
            part[:] = 0.0
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
        R[c, c] = np.sqrt(square)
        inverse = 1.0 / R[c, c] if square > 0.0 else 0.0
        for i in range(N):
            X[i, c] *= inverse


def _thin_qr(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q and R of a tall matrix; of a narrow one without LAPACK, whose call takes longer than the work."""
    if X.shape[1] > _NARROW or X.shape[0] < X.shape[1]:
        full, triangle = np.linalg.qr(X)
        return full, triangle
    Q = np.array(X, dtype=float, order="C")
    R = np.zeros((X.shape[1], X.shape[1]))
    _gram_schmidt(Q, R)
    return Q, R


def centred_intercept(X: np.ndarray) -> tuple[int, float]:
    """Position and value of X's first constant column that is not 0, or (−1, 0)."""
    for k in range(X.shape[1] if X.shape[0] else 0):
        value = X[0, k]
        # most columns differ in their first rows: look at all only if these do not
        if value != 0 and (X[:8, k] == value).all() and (X[:, k] == value).all():
            return k, float(value)
    return -1, 0.0


def level_bases(design: Design, blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal bases Q_j of the eliminated factor's columns, and what they leave of X's basis.

    Returns
    -------
    Q : ndarray, shape (N, p)
        Rows in the levels' order (``blocks.order``).
    rest : ndarray, shape (N, P)
        (I − QQ') times the basis, rows in that order.
    """
    first = blocks.factors[0]
    Z = np.hstack([design.terms[i].columns for i in first.terms])[blocks.order]
    if design.weights is not None:
        Z = Z * np.sqrt(design.weights)[blocks.order][:, None]
    Z = np.array(Z, dtype=float, order="C")
    D = np.array(blocks.basis[blocks.order], dtype=float, order="C")
    rest = D.copy()
    R = np.zeros((first.J, first.p, first.p))
    C = np.zeros((first.J, first.p, blocks.P))
    Q = np.zeros((design.N, first.p))
    _qr_by_level(Z, D, blocks.starts, R, C, Q, True)
    for c in range(first.p):  # what is left, in the original coordinates (D now holds the reflected rows)
        rest -= Q[:, c : c + 1] * np.repeat(C[:, c, :], np.diff(blocks.starts), axis=0)
    return Q, rest


def _orthonormal_basis(design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Basis of √w·X, residual of √w·(y − offset), the map from basis to β, least-squares β, and log|X'WX|."""
    N, P = design.X.shape
    y = np.array(design.y, dtype=float)
    if design.offset is not None:
        y -= design.offset
    root = None if design.weights is None else np.sqrt(design.weights)
    if P == 0:
        residual = y if root is None else y * root
        return np.empty((N, 0)), residual, np.empty((0, 0)), np.empty(0), 0.0
    X = np.array(design.X, dtype=float, order="F")
    # With a constant column, subtracting means is exact algebra, and keeps the digits that a large mean would cost.
    shift = np.zeros(P)
    mean_y = 0.0
    intercept, _ = centred_intercept(X)
    if intercept >= 0:
        mean_y = float(y.mean())
        y -= mean_y
        shift = X.mean(axis=0)
        shift[intercept] = 0.0
        X -= shift
    if root is not None:
        X *= root[:, None]
        y *= root
    Q, R = _thin_qr(X)
    diagonal = np.abs(np.diag(R))
    if not np.all(diagonal > 0):
        raise ModelError("the fixed-effects model matrix does not have full column rank; drop the redundant columns")
    inverse = np.linalg.inv(R)
    projection = Q.T @ y
    residual = y - Q @ projection
    again = Q.T @ residual  # once more: the residual orthogonal to rounding
    residual -= Q @ again
    projection += again
    if intercept >= 0:
        # columns of X were shifted by multiples of the constant column: undo it in the constant's coefficient
        inverse[intercept] -= (shift / design.X[0, intercept]) @ inverse
    beta = inverse @ projection
    if intercept >= 0:
        beta[intercept] += mean_y / design.X[0, intercept]
    return Q, residual, inverse, beta, float(2 * np.log(diagonal).sum())


def _sparse_if_better(design: Design, factors: list[Factor], Zs: list[np.ndarray], D: np.ndarray) -> Cross | None:
    """Sparse cross-products where a dense matrix of the factors that are not eliminated would be slower or too large.

    Raises
    ------
    ModelError
        If neither fits the memory.
    """
    q = sum(f.J * f.p for f in factors[1:])
    if q <= DENSE:
        return None
    available = memory()
    dense = 8 * 4.0 * q**2  # the cross-products, the Schur complement, its factor and its inverse
    cross = cross_products([f.codes for f in factors], [f.J for f in factors], Zs, D)
    if dense > available and cross.size > available:
        names = " and ".join(design.terms[f.terms[0]].group for f in factors)
        raise ModelError(
            f"the crossed grouping factors {names} ({sum(f.J * f.p for f in factors)} random effects) need "
            f"{in_words(min(dense, cross.size))} of memory, and the machine has {in_words(available)} for a fit: their "
            f"levels meet in so many combinations that the Cholesky factor has {cross.symbolic.nonzeros:.3g} elements. "
            "Leave out a term, or take fewer levels"
        )
    slow = _SLOW * float((cross.symbolic.counts.astype(float) ** 2).sum())
    core = float(cross.symbolic.order.size - cross.symbolic.core) ** 3
    if dense > available:
        _warn_if_long(slow + core)
        return cross
    if cross.size <= available and slow + core < float(q) ** 3:
        _warn_if_long(slow + core)
        return cross
    _warn_if_long(float(q) ** 3)
    return None


def _warn_if_long(operations: float) -> None:
    """Say before it starts that a fit will take minutes, and why: an evaluation has so many dense operations."""
    seconds = _EVALUATIONS * operations / (_SPEED * (os.cpu_count() or 1))
    if seconds > _LONG:
        warnings.warn(
            f"this fit may take about {seconds / 60:.0f} minutes: the levels of the crossed grouping factors meet in "
            f"so many combinations that each of some {_EVALUATIONS} evaluations takes {operations:.1g} operations",
            PyimplWarning,
            stacklevel=2,
        )


def reduce_design(design: Design) -> Blocks:
    """Reduce a design to its blocks: one pass over the rows.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Blocks

    Raises
    ------
    ModelError
        If there is no random-effects term, X has not full column rank, or the crossed factors need more memory than
        there is, both as a dense matrix and as a sparse factor.
    """
    if not design.terms:
        raise ModelError("the model has no random-effects term, such as (1 | group)")
    factors, n_theta, lower, Zs = _factors(design)
    basis, residual, inverse, beta, log_det = _orthonormal_basis(design)
    log_weights = 0.0 if design.weights is None else float(np.log(design.weights).sum())
    cross = _sparse_if_better(design, factors, Zs, np.column_stack([basis, residual]))
    if cross is not None:
        p, P = factors[0].p, design.P
        return Blocks(
            N=design.N,
            P=P,
            factors=tuple(factors),
            n_theta=n_theta,
            lower=lower,
            R=np.empty((0, p, p)),
            C=np.empty((0, p, P + 1)),
            within=cross.total,
            within_root=np.empty((0, 0)),
            others=None,
            cross=cross,
            coef_from_basis=inverse,
            beta_ols=beta,
            log_det_X=log_det,
            log_weights=log_weights,
            basis=basis,
            residual=residual,
            order=np.empty(0, dtype=np.int64),
            starts=np.empty(0, dtype=np.int64),
        )
    first = factors[0]
    order, starts = _sort_by_level(first.codes, first.J)
    P = design.P
    D = np.empty((design.N, P + 1))
    D[:, :P] = basis[order]
    D[:, P] = residual[order]
    Z = Zs[0][order]
    R = np.zeros((first.J, first.p, first.p))
    C = np.zeros((first.J, first.p, P + 1))
    several = len(factors) > 1
    Q = np.zeros((design.N, first.p) if several else (1, first.p))
    original = D.copy() if several else D
    _qr_by_level(Z, D, starts, R, C, Q, several)
    within_root = np.zeros((P + 1, P + 1))
    triangle = _thin_qr(D)[1]
    within_root[: triangle.shape[0]] = triangle
    within = within_root.T @ within_root
    others = None
    if several:
        width = np.array([f.p for f in factors[1:]], dtype=np.int64)
        first_column = np.concatenate([[0], np.cumsum([f.J * f.p for f in factors[1:]])]).astype(np.int64)
        touched = np.empty((design.N, len(width)), dtype=np.int64)
        for k, factor in enumerate(factors[1:]):
            touched[:, k] = first_column[k] + factor.codes[order] * factor.p
        values = np.hstack([Z_[order] for Z_ in Zs[1:]])
        indptr, col, val, within_2, within_dense = _cross_products(
            starts, Q, original, C, touched, values, width, int(first_column[-1])
        )
        others = Others(int(first_column[-1]), first_column, width, indptr, col, val, within_2, within_dense)
    return Blocks(
        N=design.N,
        P=P,
        factors=tuple(factors),
        n_theta=n_theta,
        lower=lower,
        R=R,
        C=C,
        within=within,
        within_root=within_root,
        others=others,
        cross=None,
        coef_from_basis=inverse,
        beta_ols=beta,
        log_det_X=log_det,
        log_weights=log_weights,
        basis=basis,
        residual=residual,
        order=order,
        starts=starts,
    )
