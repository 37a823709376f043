"""Dense matrices of some tens of rows, in compiled loops that read memory along rows; larger ones are LAPACK's.

A symmetric matrix is held in its lower triangle. A Cholesky factor fills the whole array: L in the lower triangle, and
L' in the upper one, so that both substitutions run along rows.
"""

import numpy as np

from pyimpl.compiled import kernel

__all__ = ["backward", "dot", "factorise", "forward", "invert", "symmetric_times"]


@kernel
def dot(a, b, start, stop):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Σ a_i b_i over a range, in eight sums so that no addition waits for the one before it."""
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    i = start
    while i + 8 <= stop:
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
        s4 += a[i + 4] * b[i + 4]
        s5 += a[i + 5] * b[i + 5]
        s6 += a[i + 6] * b[i + 6]
        s7 += a[i + 7] * b[i + 7]
        i += 8
    while i < stop:
        s0 += a[i] * b[i]
        i += 1
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@kernel
def factorise(A):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Cholesky factor in place; False if A is not positive definite.

    Zeros at the beginning of a row stay zeros, and cost little, as where factors are nested.
    """
    q = A.shape[0]
    for a in range(q):
        for b in range(a, q):
            A[a, b] = A[b, a]
        k = 0
        while k + 4 <= a:  # four rows of L' at a time: there is one store for four products
            x0, x1, x2, x3 = A[a, k], A[a, k + 1], A[a, k + 2], A[a, k + 3]
            if x0 != 0.0 or x1 != 0.0 or x2 != 0.0 or x3 != 0.0:
                for b in range(a, q):
                    A[a, b] -= (x0 * A[k, b] + x1 * A[k + 1, b]) + (x2 * A[k + 2, b] + x3 * A[k + 3, b])
            k += 4
        while k < a:
            x0 = A[a, k]
            for b in range(a, q):
                A[a, b] -= x0 * A[k, b]
            k += 1
        if not A[a, a] > 0.0:
            return False
        A[a, a] = np.sqrt(A[a, a])
        inverse = 1.0 / A[a, a]
        for b in range(a + 1, q):
            A[a, b] *= inverse
            A[b, a] = A[a, b]
    return True


@kernel
def forward(L, X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """X = L⁻¹X, in place."""
    q = L.shape[0]
    x = np.empty(q)
    for c in range(X.shape[1]):
        for a in range(q):
            x[a] = X[a, c]
        for a in range(q):
            value = x[a] / L[a, a]
            X[a, c] = value
            if value != 0.0:
                for b in range(a + 1, q):
                    x[b] -= value * L[a, b]


@kernel
def backward(L, X):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """X = L⁻ᵀX, in place."""
    q = L.shape[0]
    x = np.empty(q)
    for c in range(X.shape[1]):
        for a in range(q):
            x[a] = X[a, c]
        for a in range(q - 1, -1, -1):
            value = x[a] / L[a, a]
            X[a, c] = value
            if value != 0.0:
                for b in range(a):
                    x[b] -= value * L[a, b]


@kernel
def invert(L, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = (LL')⁻¹, lower triangle."""
    q = L.shape[0]
    X = np.zeros((q, q))  # L⁻¹
    for a in range(q):
        c = 0
        while c + 4 <= a:
            x0, x1, x2, x3 = L[a, c], L[a, c + 1], L[a, c + 2], L[a, c + 3]
            if x0 != 0.0 or x1 != 0.0 or x2 != 0.0 or x3 != 0.0:
                for b in range(c + 4):
                    X[a, b] -= (x0 * X[c, b] + x1 * X[c + 1, b]) + (x2 * X[c + 2, b] + x3 * X[c + 3, b])
            c += 4
        while c < a:
            x0 = L[a, c]
            for b in range(c + 1):
                X[a, b] -= x0 * X[c, b]
            c += 1
        inverse = 1.0 / L[a, a]
        for b in range(a):
            X[a, b] *= inverse
        X[a, a] = inverse
    for a in range(q):
        for b in range(a + 1):
            out[a, b] = 0.0
        c = a
        while c + 4 <= q:
            x0, x1, x2, x3 = X[c, a], X[c + 1, a], X[c + 2, a], X[c + 3, a]
            if x0 != 0.0 or x1 != 0.0 or x2 != 0.0 or x3 != 0.0:
                for b in range(a + 1):
                    out[a, b] += (x0 * X[c, b] + x1 * X[c + 1, b]) + (x2 * X[c + 2, b] + x3 * X[c + 3, b])
            c += 4
        while c < q:
            x0 = X[c, a]
            for b in range(a + 1):
                out[a, b] += x0 * X[c, b]
            c += 1


@kernel
def symmetric_times(S, X, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Out = SX for symmetric S given by its lower triangle."""
    q = S.shape[0]
    x, total = np.empty(q), np.empty(q)
    for c in range(X.shape[1]):
        for a in range(q):
            x[a] = X[a, c]
        for a in range(q):
            value, s0, s1 = x[a], 0.0, 0.0
            for b in range(0, a - 1, 2):
                s0 += S[a, b] * x[b]
                s1 += S[a, b + 1] * x[b + 1]
            if a % 2:
                s0 += S[a, a - 1] * x[a - 1]
            total[a] = s0 + s1 + S[a, a] * value
            for b in range(a):
                total[b] += value * S[a, b]
        for a in range(q):
            out[a, c] = total[a]
