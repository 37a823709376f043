"""The criterion at many θ at once, in step, so that one instruction of the processor serves several of them.

Notation as in :mod:`pyimpl.likelihood.several_factors`; arrays have one more dimension, of the θ in step (the lanes).
Where there is one grouping factor, the others have no columns.
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood.one_factor import same

__all__ = ["scan"]

_LANES = 128  # at most


@kernel
def _factorise(A, L, inverse, total):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Cholesky factors of A (n, n, lanes; lower triangle) and their diagonals' inverses; NaN where there is none."""
    lanes = total.shape[0]
    for a in range(A.shape[0]):
        for b in range(a + 1):
            for k in range(lanes):
                total[k] = A[a, b, k]
            for c in range(b):
                for k in range(lanes):
                    total[k] -= L[a, c, k] * L[b, c, k]
            if a == b:
                for k in range(lanes):
                    total[k] = np.sqrt(total[k])
                for k in range(lanes):
                    L[a, a, k] = total[k]
                for k in range(lanes):
                    inverse[a, k] = 1.0 / total[k]
            else:
                for k in range(lanes):
                    L[a, b, k] = total[k] * inverse[b, k]


@kernel
def _add_log(L, out, product):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Add twice the sum of the logarithms of factors' diagonals to `out`; few logarithms are taken."""
    lanes = out.shape[0]
    for k in range(lanes):
        product[k] = 1.0
    for a in range(L.shape[0]):
        smallest, largest = 1.0, 1.0
        for k in range(lanes):
            product[k] *= L[a, a, k]
            smallest, largest = min(smallest, product[k]), max(largest, product[k])
        if a == L.shape[0] - 1 or not (smallest > 1e-100 and largest < 1e100):
            for k in range(lanes):
                out[k] += 2.0 * np.log(product[k])
                product[k] = 1.0


@kernel
def _whitening(R, T, W, M, L, inverse, total):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Cholesky factor L of M = I + RTT'R' for one level's R (p, p)."""
    p, lanes = R.shape[0], total.shape[0]
    for a in range(p):
        for b in range(p):
            for k in range(lanes):
                W[a, b, k] = 0.0
            for c in range(max(a, b), p):
                x = R[a, c]
                for k in range(lanes):
                    W[a, b, k] += x * T[c, b, k]
    for a in range(p):
        for b in range(a + 1):
            x = 1.0 if a == b else 0.0
            for k in range(lanes):
                M[a, b, k] = x
            for c in range(p):
                for k in range(lanes):
                    M[a, b, k] += W[a, c, k] * W[b, c, k]
    _factorise(M, L, inverse, total)


@kernel
def _eliminate(R, C, copies, T, indptr, columns, values, square, D, U, S, S2, S2x, log_det):  # type: ignore[no-untyped-def] # pragma: no cover
    """Eliminate the first factor: add to S, S2, S2x and log|V₁|; `square` (3, p, p, lanes), D and U are workspace."""
    p, m, lanes = R.shape[1], C.shape[2], log_det.shape[0]
    W, M, L = square[0], square[1], square[2]
    inverse, own, product = np.empty((p, lanes)), np.empty(lanes), np.empty(lanes)
    for j in range(R.shape[0]):
        if j == 0 or not same(R[j], R[j - 1]):
            _whitening(R[j], T, W, M, L, inverse, product)
            own[:] = 0.0
            _add_log(L, own, product)
        for k in range(lanes):
            log_det[k] += copies[j] * own[k]
        for a in range(p):
            for c in range(m):
                x = C[j, a, c]
                for k in range(lanes):
                    D[a, c, k] = x
                for b in range(a):
                    for k in range(lanes):
                        D[a, c, k] -= L[a, b, k] * D[b, c, k]
                for k in range(lanes):
                    D[a, c, k] *= inverse[a, k]
                for b in range(c + 1):
                    for k in range(lanes):
                        S[c, b, k] += D[a, c, k] * D[a, b, k]
        start = indptr[j]
        for i in range(start, indptr[j + 1]):
            row = columns[i]
            for a in range(p):
                x = values[i, a]
                for k in range(lanes):
                    U[i, a, k] = x
                for b in range(a):
                    for k in range(lanes):
                        U[i, a, k] -= L[a, b, k] * U[i, b, k]
                for k in range(lanes):
                    U[i, a, k] *= inverse[a, k]
                for other in range(start, i + 1):
                    column = columns[other]
                    for k in range(lanes):
                        S2[row, column, k] += U[i, a, k] * U[other, a, k]
                for c in range(m):
                    for k in range(lanes):
                        S2x[row, c, k] += U[i, a, k] * D[a, c, k]


@kernel
def _congruence(S2, first, width, flat, start, half, A):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """A = I + Λ'S2Λ, lower triangle, block by block; `half` (p, p, lanes) is workspace."""
    lanes = A.shape[2]
    for f in range(width.shape[0]):
        for r in range(first[f], first[f + 1], width[f]):
            for g in range(f + 1):
                for c in range(first[g], first[g + 1] if g < f else r + 1, width[g]):
                    for i in range(width[f]):
                        for b in range(width[g]):
                            for k in range(lanes):
                                half[i, b, k] = 0.0
                            for a in range(b, width[g]):
                                row, column = max(r + i, c + a), min(r + i, c + a)
                                at = start[g] + a * width[g] + b
                                for k in range(lanes):
                                    half[i, b, k] += S2[row, column, k] * flat[at, k]
                    for a in range(width[f]):
                        for b in range(width[g]):
                            x = 1.0 if r + a == c + b else 0.0
                            for k in range(lanes):
                                A[r + a, c + b, k] = x
                            for i in range(a, width[f]):
                                at = start[f] + i * width[f] + a
                                for k in range(lanes):
                                    A[r + a, c + b, k] += flat[at, k] * half[i, b, k]


@kernel
def _lambda_times(X, first, width, flat, start, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = Λ'X."""
    lanes = X.shape[2]
    for f in range(width.shape[0]):
        p = width[f]
        for r in range(first[f], first[f + 1], p):
            for a in range(p):
                for c in range(X.shape[1]):
                    for k in range(lanes):
                        out[r + a, c, k] = 0.0
                    for i in range(a, p):
                        at = start[f] + i * p + a
                        for k in range(lanes):
                            out[r + a, c, k] += flat[at, k] * X[r + i, c, k]


@kernel("f2 f1 f b i1 i1 i1 i1 f3 f3 f1 f2 i1 i1 i1 i1 i1 f2 f2 f2")
def scan(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    points, values, df, REML, place, rows, cols, size, R, C, copies, within, first, width, start, indptr, columns,
    entries, within_o, within_d,
):  # fmt: skip
    """Put the criterion, without its constant, at each row of `points` (θ) in `values`; +inf where there is none.

    `place`, `rows`, `cols` and `size` say where each θ stands, as in ``several_factors.templates``.
    """
    n, p, m, q = points.shape[1], R.shape[1], within.shape[0], within_o.shape[0]
    lanes = min(points.shape[0], _LANES)
    T, square, D = np.zeros((p, p, lanes)), np.empty((3, p, p, lanes)), np.empty((p, m, lanes))
    S, L, inverse = np.empty((m, m, lanes)), np.empty((m, m, lanes)), np.empty((max(m, q), lanes))
    flat = np.zeros((start[start.shape[0] - 1], lanes))
    U, S2, S2x = np.empty((columns.shape[0], p, lanes)), np.empty((q, q, lanes)), np.empty((q, m, lanes))
    widest = width.max() if q > 0 else 0
    half, A, factor = np.empty((widest, widest, lanes)), np.empty((q, q, lanes)), np.empty((q, q, lanes))
    Y = np.empty((q, m, lanes))
    log_det, log_RX, product = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    for begin in range(0, points.shape[0], lanes):
        filled = min(lanes, points.shape[0] - begin)
        for k in range(lanes):
            at = begin + min(k, filled - 1)
            for i in range(n):
                if place[i] < 0:
                    T[rows[i], cols[i], k] = points[at, i]
                else:
                    flat[place[i] + rows[i] * size[i] + cols[i], k] = points[at, i]
        for a in range(m):
            for b in range(a + 1):
                for k in range(lanes):
                    S[a, b, k] = within[a, b]
        for a in range(q):
            for b in range(a + 1):
                for k in range(lanes):
                    S2[a, b, k] = within_o[a, b]
            for c in range(m):
                for k in range(lanes):
                    S2x[a, c, k] = within_d[a, c]
        log_det[:] = 0.0
        _eliminate(R, C, copies, T, indptr, columns, entries, square, D, U, S, S2, S2x, log_det)
        if q > 0:
            _congruence(S2, first, width, flat, start, half, A)
            _lambda_times(S2x, first, width, flat, start, Y)
            _factorise(A, factor, inverse, product)
            _add_log(factor, log_det, product)
            for a in range(q):
                for c in range(m):
                    for b in range(a):
                        for k in range(lanes):
                            Y[a, c, k] -= factor[a, b, k] * Y[b, c, k]
                    for k in range(lanes):
                        Y[a, c, k] *= inverse[a, k]
                    for b in range(c + 1):
                        for k in range(lanes):
                            S[c, b, k] -= Y[a, c, k] * Y[a, b, k]
        _factorise(S, L, inverse, product)
        log_RX[:] = 0.0
        _add_log(L[: m - 1, : m - 1], log_RX, product)
        for k in range(filled):
            f = log_det[k] + 2.0 * df * np.log(L[m - 1, m - 1, k])
            if REML:
                f += log_RX[k]
            values[begin + k] = f if np.isfinite(f) else np.inf
