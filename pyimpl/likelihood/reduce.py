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

import math
import os
import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.design.design import Design, RandomTerm
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.likelihood.threads import sized_threads
from pyimpl.linalg.memory import in_words, memory
from pyimpl.records import record

if TYPE_CHECKING:
    from pyimpl.likelihood.crossproducts import Cross

__all__ = [
    "NARROW",
    "Blocks",
    "Factor",
    "Others",
    "centred_intercept",
    "gram_schmidt",
    "level_bases",
    "reduce_design",
]

#: Random effects besides the eliminated factor's up to which their matrix is dense without further ado.
DENSE = 2_000
NARROW = 6  # columns of a narrow [X, y], for which a call of LAPACK takes longer than the work
_SHORT = 32  # elements that are sorted sooner by insertion than by a call
_EVALUATIONS = 15  # of the criterion in a usual fit of crossed factors
_SPEED = 1.5e10  # dense operations a second and core
_LONG = 120.0  # seconds that deserve a warning
_SLOW = 20.0  # an operation of the sparse factor takes so much longer than one of a dense one
_NOT_FULL_RANK = "the fixed-effects model matrix does not have full column rank; drop the redundant columns"


@record
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


@record
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


@record
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
    cross: "Cross | None"
    coef_from_basis: np.ndarray
    beta_ols: np.ndarray
    log_det_X: float
    log_weights: float
    basis: np.ndarray
    residual: np.ndarray
    order: np.ndarray
    starts: np.ndarray


@kernel
def _sort_by_level(codes, order, starts):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Sort by counting: the rows level by level in `order`, and where each level starts."""
    starts[:] = 0
    for i in range(codes.shape[0]):
        starts[codes[i] + 1] += 1
    for j in range(starts.shape[0] - 1):
        starts[j + 1] += starts[j]
    place = starts[:-1].copy()
    for i in range(codes.shape[0]):
        order[place[codes[i]]] = i
        place[codes[i]] += 1


@kernel("f2 f2 i1 f3 f3 f2 b")
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


@kernel
def _sort(x):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Sort in place."""
    if x.shape[0] > _SHORT:
        x[:] = np.sort(x)
        return
    for i in range(1, x.shape[0]):
        moved, at = x[i], i
        while at > 0 and x[at - 1] > moved:
            x[at] = x[at - 1]
            at -= 1
        x[at] = moved


@kernel
def _cross_products(starts, Q, D, C, columns, Z, width, indptr, within, within_dense):  # type: ignore[no-untyped-def] # pragma: no cover
    """Cross-products of the other factors' columns: with Q level by level (sparse), with each other, and with D.

    `columns` (N, factors) holds the first column that a row touches in each factor, `Z` (N, Σp) its values. The last
    two arrays hold zeros. Returned are the columns that each level touches, and their values.
    """
    J, F, p, m = starts.shape[0] - 1, columns.shape[1], Q.shape[1], D.shape[1]
    stamp = np.full(within.shape[0], -1, dtype=np.int64)
    indptr[0] = 0
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
    position = np.empty(within.shape[0], dtype=np.int64)
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
        _sort(col[indptr[j] : indptr[j + 1]])
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
    return col, val


@lru_cache(maxsize=64)
def _numbering(
    sizes: tuple[int, ...], members: tuple[tuple[int, ...], ...]
) -> tuple[np.ndarray, tuple[tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray], ...]]:
    """Lower bounds of θ, and where each factor's θ stand in its template, for terms of so many effects.

    θ is numbered term by term, each template's columns down (lme4's order). For each factor (its terms are `members`):
    first effect of each term, and :class:`Factor`'s rows, cols and theta.
    """
    theta_start = [0]
    for size in sizes:
        theta_start.append(theta_start[-1] + size * (size + 1) // 2)
    lower = np.full(theta_start[-1], -np.inf)
    places = []
    for group in members:
        rows, cols, index, starts, p = [], [], [], [], 0
        for i in group:
            starts.append(p)
            at = theta_start[i]
            for c in range(sizes[i]):
                lower[at] = 0.0
                for r in range(c, sizes[i]):
                    rows.append(p + r)
                    cols.append(p + c)
                    index.append(at)
                    at += 1
            p += sizes[i]
        place = tuple(starts), np.array(rows, np.int64), np.array(cols, np.int64), np.array(index, np.int64)
        places.append(place)
    return lower, tuple(places)


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


@kernel
def gram_schmidt(X, R):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """X becomes Q of X = QR: classical Gram-Schmidt, twice for each column, which is enough (Giraud et al. 2005).

    Enough for a column that is not numerically dependent on those before it. One that is shrinks again at the second
    pass (Kahan's and Parlett's criterion): what remains of it is rounding error, not orthogonal to anything, and a
    later column would be projected on that direction twice. Such a column of Q is 0, and so is its diagonal of R.
    """
    N, P = X.shape
    part = np.empty(P)
    for c in range(P):
        before, square = 0.0, 0.0
        if c == 0:  # nothing to be orthogonal to
            for i in range(N):
                square += X[i, c] * X[i, c]
        for _ in range(2 if c else 0):
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


@kernel("f2")
def centred_intercept(X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Position and value of X's first constant column that is not 0, or (−1, 0)."""
    N = X.shape[0]
    for k in range(X.shape[1] if N else 0):
        value = X[0, k]
        i = 1
        while i < N and X[i, k] == value:
            i += 1
        if i == N and value != 0.0:
            return k, value
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


@kernel
def _centre(X, y, intercept, shift):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Subtract the means from y and from the columns of X but the intercept; `shift` receives X's; returns y's."""
    N, P = X.shape
    mean = 0.0
    for i in range(N):
        mean += y[i]
    mean /= N
    for i in range(N):
        y[i] -= mean
    for c in range(P):
        shift[c] = 0.0
        if c != intercept:
            total = 0.0
            for i in range(N):
                total += X[i, c]
            total /= N
            shift[c] = total
            for i in range(N):
                X[i, c] -= total
    return mean


@kernel
def _project_out(Q, v, c):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """V −= Qc with c = Q'v, twice so that the rest is orthogonal to rounding; c receives the sum."""
    N, P = Q.shape
    part = np.empty(P)
    c[:] = 0.0
    for _ in range(2):
        part[:] = 0.0
        for i in range(N):
            for k in range(P):
                part[k] += Q[i, k] * v[i]
        for i in range(N):
            total = v[i]
            for k in range(P):
                total -= Q[i, k] * part[k]
            v[i] = total
        for k in range(P):
            c[k] += part[k]


@kernel("f2 f1 f1 i f2 f1 f2")
def _orthonormal_basis(X, y, root, intercept, inverse, beta, R):  # type: ignore[no-untyped-def] # pragma: no cover
    """X becomes a basis of √w·X, y the residual of √w·y; receives the basis' map to β, β, and R of X = QR.

    With a constant column, subtracting means is exact algebra, and keeps the digits that a large mean would cost.
    """
    N, P = X.shape
    shift, mean, constant = np.zeros(P), 0.0, 1.0
    if intercept >= 0:
        constant = X[0, intercept]
        mean = _centre(X, y, intercept, shift)
    if root.shape[0] > 0:
        for i in range(N):
            y[i] *= root[i]
            for c in range(P):
                X[i, c] *= root[i]
    R[:] = 0.0
    gram_schmidt(X, R)
    projection = np.empty(P)
    _project_out(X, y, projection)
    inverse[:] = 0.0
    for c in range(P):
        inverse[c, c] = 1.0 / R[c, c]
        for a in range(c - 1, -1, -1):
            total = 0.0
            for b in range(a + 1, c + 1):
                total -= R[a, b] * inverse[b, c]
            inverse[a, c] = total / R[a, a]
    if intercept >= 0:  # columns were shifted by multiples of the constant one: undo it in its coefficient
        change = np.zeros(P)
        for a in range(P):
            for c in range(P):
                change[c] += shift[a] / constant * inverse[a, c]
        for c in range(P):
            inverse[intercept, c] -= change[c]
    for a in range(P):
        beta[a] = 0.0
        for c in range(P):
            beta[a] += inverse[a, c] * projection[c]
    if intercept >= 0:
        beta[intercept] += mean / constant


@kernel
def _gather(X, y, root, intercept, codes, Z, narrow, inverse, beta, R_X, order, starts, D, Zs, scale):  # type: ignore[no-untyped-def] # pragma: no cover
    """Make X and y basis and residual if `narrow`, and put them and Z level by level in D and Zs; Z's column norms."""
    if narrow:
        _orthonormal_basis(X, y, root, intercept, inverse, beta, R_X)
    _sort_by_level(codes, order, starts)
    N, P = X.shape
    p = Z.shape[1]
    square = np.zeros(p)
    for i in range(N):
        row = order[i]
        for c in range(P):
            D[i, c] = X[row, c]
        D[i, P] = y[row]
        for c in range(p):
            x = Z[row, c]
            Zs[i, c] = x
            square[c] += x * x
    for c in range(p):
        scale[c] = np.sqrt(square[c] / N) if square[c] > 0.0 else 1.0


@kernel
def _triangle(D, within_root, within):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Triangular factor of D, and D'D."""
    within_root[:] = 0.0
    gram_schmidt(D, within_root)
    for a in range(within.shape[0]):
        for b in range(within.shape[0]):
            total = 0.0
            for c in range(min(a, b) + 1):
                total += within_root[c, a] * within_root[c, b]
            within[a, b] = total


@kernel("f2 f1 f1 i i1 f2 b f2 f1 f2 i1 i1 f2 f3 f3 f2 f2 f1")
def _reduce(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    X, y, root, intercept, codes, Z, narrow, inverse, beta, R_X, order, starts, D, R, C, within_root, within, scale
):  # fmt: skip
    """Do the one pass over the rows where there is one factor; X and y are overwritten by basis and residual.

    Where X is not `narrow` they hold these already, and the last triangle is left to the caller: LAPACK's QR is faster.
    The arrays after that receive what their names say; R and C hold zeros.
    """
    Zs = np.empty_like(Z)
    _gather(X, y, root, intercept, codes, Z, narrow, inverse, beta, R_X, order, starts, D, Zs, scale)
    _qr_by_level(Zs, D, starts, R, C, np.empty((1, Z.shape[1])), False)
    if narrow:
        _triangle(D, within_root, within)


@kernel("f2 f1 f1 i i1 f2 b f2 f1 f2 i1 i1 f2 f3 f3 f2 f2 f1 i2 i1 i1 f2 i1 f2 f2")
def _reduce_several(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    X, y, root, intercept, codes, Z, narrow, inverse, beta, R_X, order, starts, D, R, C, within_root, within, scale,
    others, width, first_column, Z_others, indptr, within_others, within_dense,
):  # fmt: skip
    """Do the same where there are several; returns the other factors' columns of each level, and their values.

    `others` (N, factors) holds the other factors' codes, `Z_others` their columns side by side. The last two arrays
    hold zeros.
    """
    N, p = Z.shape
    F = width.shape[0]
    Zs, Q = np.empty_like(Z), np.zeros((N, p))
    _gather(X, y, root, intercept, codes, Z, narrow, inverse, beta, R_X, order, starts, D, Zs, scale)
    original = D.copy()
    _qr_by_level(Zs, D, starts, R, C, Q, True)
    touched, sorted_others = np.empty((N, F), dtype=np.int64), np.empty(Z_others.shape)
    square = np.zeros(Z_others.shape[1])
    for i in range(N):
        row = order[i]
        for f in range(F):
            touched[i, f] = first_column[f] + others[row, f] * width[f]
        for c in range(Z_others.shape[1]):
            x = Z_others[row, c]
            sorted_others[i, c] = x
            square[c] += x * x
    for c in range(Z_others.shape[1]):
        scale[p + c] = np.sqrt(square[c] / N) if square[c] > 0.0 else 1.0
    if narrow:
        _triangle(D, within_root, within)
    return _cross_products(
        starts, Q, original, C, touched, sorted_others, width, indptr, within_others, within_dense
    )  # fmt: skip


def _wide_basis(
    X: np.ndarray, y: np.ndarray, root: np.ndarray, intercept: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Do what the compiled ``_orthonormal_basis`` does, by LAPACK; returns the basis and the residual too."""
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
    Q, R = np.linalg.qr(X)
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


def _sparse_if_better(
    design: Design,
    members: Sequence[Sequence[int]],
    codes: list[np.ndarray],
    J: list[int],
    Zs: list[np.ndarray],
    D: np.ndarray,
) -> "Cross | None":
    """Sparse cross-products where a dense matrix of the factors that are not eliminated would be slower or too large.

    Raises
    ------
    ModelError
        If neither fits the memory.
    """
    from pyimpl.likelihood.crossproducts import cross_products

    q = sum(count * Z.shape[1] for count, Z in zip(J[1:], Zs[1:], strict=True))
    available = memory()
    dense = 8 * 4.0 * q**2  # the cross-products, the Schur complement, its factor and its inverse
    cross = cross_products(codes, J, Zs, D)
    if dense > available and cross.size > available:
        names = " and ".join(design.terms[group[0]].group for group in members)
        raise ModelError(
            f"the crossed grouping factors {names} ({q + J[0] * Zs[0].shape[1]} random effects) need "
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


@sized_threads
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
    terms = design.terms
    members = _grouped(terms)
    lower, places = _numbering(tuple(term.p for term in terms), members)
    root = np.empty(0) if design.weights is None else np.sqrt(design.weights)
    Zs = [_effects(terms, group, root) for group in members]
    codes = [np.ascontiguousarray(terms[group[0]].codes, dtype=np.int64) for group in members]
    J = [terms[group[0]].J for group in members]
    p = [Z.shape[1] for Z in Zs]
    log_weights = 0.0 if design.weights is None else float(np.log(design.weights).sum())

    N, P = design.X.shape
    basis = np.array(design.X, dtype=float, order="C")
    residual = np.array(design.y, dtype=float) if design.offset is None else design.y - design.offset
    intercept, _ = centred_intercept(design.X)
    narrow = P < NARROW and P < N
    many = sum(map(mul, J[1:], p[1:])) > DENSE
    cross = None
    if not narrow:
        basis, residual, inverse, beta, R_X = _wide_basis(basis, residual, root, intercept)
    elif many:
        inverse, beta, R_X = np.empty((P, P)), np.empty(P), np.empty((P, P))
        _orthonormal_basis(basis, residual, root, intercept, inverse, beta, R_X)
    if many:
        narrow = False
        cross = _sparse_if_better(design, members, codes, J, Zs, np.column_stack([basis, residual]))
    if cross is not None:
        R, C = np.empty((0, p[0], p[0])), np.empty((0, p[0], P + 1))
        within, within_root = cross.total, np.empty((0, 0))
        order = starts = np.empty(0, dtype=np.int64)
        scale = np.concatenate([np.sqrt(np.einsum("ij,ij->j", Z, Z) / N) for Z in Zs])
        scale[~(scale > 0)] = 1.0
        others = None
    else:
        first, m = p[0], P + 1
        if narrow:
            inverse, beta, R_X = np.empty((P, P)), np.empty(P), np.empty((P, P))
        order, starts = np.empty(N, dtype=np.int64), np.empty(J[0] + 1, dtype=np.int64)
        D, R, C = np.empty((N, m)), np.zeros((J[0], first, first)), np.zeros((J[0], first, m))
        within_root, within, scale = np.empty((m, m)), np.empty((m, m)), np.empty(sum(p))
        arguments = (
            basis, residual, root, intercept, codes[0], Zs[0], narrow, inverse, beta, R_X, order, starts, D, R, C,
            within_root, within, scale,
        )  # fmt: skip
        others = None
        if len(members) == 1:
            _reduce(*arguments)
        else:
            width = np.array(p[1:], dtype=np.int64)
            first_column = np.array([0, *accumulate(map(mul, J[1:], p[1:]))], dtype=np.int64)
            if len(members) == 2:
                other_codes, Z_others = codes[1].reshape(-1, 1), Zs[1]
            else:
                other_codes, Z_others = np.stack(codes[1:], axis=1), np.hstack(Zs[1:])
            q = int(first_column[-1])
            indptr, within_others, within_dense = np.empty_like(starts), np.zeros((q, q)), np.zeros((q, m))
            columns, values = _reduce_several(
                *arguments, other_codes, width, first_column, Z_others, indptr, within_others, within_dense
            )
            others = Others(q, first_column, width, indptr, columns, values, within_others, within_dense)
        if not narrow:
            triangle = np.linalg.qr(D, mode="r")
            within_root[:] = 0.0
            within_root[: triangle.shape[0]] = triangle
            within = within_root.T @ within_root
    log_det = 0.0
    for k in range(P):
        if not abs(R_X[k, k]) > 0:
            raise ModelError(_NOT_FULL_RANK)
        log_det += 2.0 * math.log(abs(R_X[k, k]))
    factors, at = [], 0
    for k, (group, (effect_start, rows, cols, theta)) in enumerate(zip(members, places, strict=True)):
        factors.append(Factor(group, codes[k], J[k], p[k], effect_start, rows, cols, theta, scale[at : at + p[k]]))
        at += p[k]
    return Blocks(
        N=N,
        P=P,
        factors=tuple(factors),
        n_theta=lower.size,
        lower=lower,
        R=R,
        C=C,
        within=within,
        within_root=within_root,
        others=others,
        cross=cross,
        coef_from_basis=inverse,
        beta_ols=beta,
        log_det_X=log_det,
        log_weights=log_weights,
        basis=basis,
        residual=residual,
        order=order,
        starts=starts,
    )
