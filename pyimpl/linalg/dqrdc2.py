"""R's default QR decomposition (LINPACK ``dqrdc2``): Householder with limited column pivoting.

It decides which columns R drops from a rank-deficient matrix, and gives ``poly`` and ``contr.poly`` their columns.
"""

import math
from dataclasses import dataclass

import numpy as np

from pyimpl.linalg.columns import products
from pyimpl.linalg.heard import heard_if_long

__all__ = ["PivotedQR", "dqrdc2", "full_column_rank", "independent_columns"]

_NARROW = 6  # columns up to which a call of the BLAS takes longer than the loop


@dataclass(frozen=True)
class PivotedQR:
    """``qr(x, tol)`` of R.

    Attributes
    ----------
    R : ndarray, shape (min(n, p), p)
        Upper triangle, columns in pivoted order.
    reflectors : list of ndarray
        Householder vectors, each of length n.
    rank : int
    pivot : ndarray of intp, shape (p,)
        0-based original position of each column.
    """

    R: np.ndarray
    reflectors: list[np.ndarray]
    rank: int
    pivot: np.ndarray

    def multiply_q(self, matrix: np.ndarray) -> np.ndarray:
        """``qr.qy``: Q @ matrix, a matrix with fewer rows than Q has columns filled with zeros below."""
        rows = len(self.reflectors[0])
        out = np.zeros((rows, matrix.shape[1]))
        out[: matrix.shape[0]] = matrix
        # As R's dqrqy, only the first `rank` reflections take part.
        for vector in reversed(self.reflectors[: self.rank]):
            out -= np.outer(vector, (vector @ out) / _half_norm(vector))
        return out

    def multiply_qt(self, matrix: np.ndarray) -> np.ndarray:
        """``qr.qty``: Q' @ matrix, of shape (n, k)."""
        out = np.array(matrix, dtype=np.float64)
        for vector in self.reflectors[: self.rank]:
            out -= np.outer(vector, (vector @ out) / _half_norm(vector))
        return out


def _half_norm(vector: np.ndarray) -> float:
    half = float(vector @ vector) / 2
    return half if half > 0 else 1.0


def dqrdc2(x: np.ndarray, tol: float = 1e-7) -> PivotedQR:
    """Decompose as R's ``qr.default`` (``LAPACK = FALSE``).

    A column whose norm falls below ``tol`` times its original norm, once the columns before it are projected out, is
    moved to the end; the others keep their order.

    Parameters
    ----------
    x : ndarray, shape (n, p)
    tol : float
    """
    a = np.array(x, dtype=np.float64, order="F")
    n, p = a.shape
    pivot = np.arange(p)
    largest = np.max(np.abs(a), axis=0, initial=0.0)
    safe = np.where(largest > 0, largest, 1.0)  # against overflow, as BLAS's dnrm2
    norms = safe * np.sqrt(((a / safe) ** 2).sum(axis=0))
    current, recomputed = norms.copy(), norms.copy()
    original = np.where(norms == 0, 1.0, norms)
    reflectors: list[np.ndarray] = []
    k = p
    last = min(n, p)
    for step in range(last):
        while step < k and current[step] < original[step] * tol:
            # Cycle this column to the end.
            order = np.r_[0:step, step + 1 : p, step]
            a = np.asfortranarray(a[:, order])
            pivot, current, recomputed, original = pivot[order], current[order], recomputed[order], original[order]
            k -= 1
        if step == n - 1:
            break
        column = a[step:, step]
        length = float(np.sqrt(column @ column))
        vector = np.zeros(n)
        if length != 0:
            if column[0] != 0:
                length = float(np.copysign(length, column[0]))
            vector[step:] = column / length
            vector[step] += 1.0
            active = vector[step:]
            if step + 1 < p:
                a[step:, step + 1 :] -= np.outer(active, (active @ a[step:, step + 1 :]) / active[0])
                with np.errstate(all="ignore"):
                    for j in range(step + 1, p):
                        if current[j] == 0:
                            continue
                        shrink = max(1.0 - (abs(a[step, j]) / current[j]) ** 2, 0.0)
                        # LINPACK's guard, modified by R, against cancellation in the downdated norm.
                        if abs(shrink) < 1e-6:
                            tail = a[step + 1 :, j]
                            current[j] = recomputed[j] = float(np.sqrt(tail @ tail))
                        else:
                            current[j] *= np.sqrt(shrink)
            a[step, step] = -length
            a[step + 1 :, step] = 0.0
        reflectors.append(vector * (1.0 / np.sqrt(vector[step]) if length != 0 else 1.0))
    return PivotedQR(np.triu(a[:last]), reflectors, min(k, n), pivot)


def full_column_rank(x: np.ndarray) -> bool:
    """Whether X is so clearly of full column rank that R's QR cannot find otherwise (a cheap sufficient test).

    The squared norm of a column with the others projected out, relative to its own, is at least the smallest
    eigenvalue of the normalised cross-product; R drops a column where its root is below 1e-7.
    """
    n, p = x.shape
    if p == 0:
        return True
    if n < p:
        return False
    if p <= _NARROW:
        gram = products(np.ascontiguousarray(x, dtype=np.float64), np.zeros(p))
    else:
        with np.errstate(all="ignore"):
            gram = x.T @ x
    scale = [math.sqrt(square) for square in gram.diagonal().tolist()]
    if not all([0.0 < one < math.inf for one in scale]):  # noqa: C419
        return False
    if p <= 2:  # the eigenvalues of two normalised columns are 1 ± their cosine: LAPACK takes longer
        return p == 1 or 1.0 - abs(float(gram[0, 1])) / (scale[0] * scale[1]) > 1e-8
    return bool(np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] > 1e-8)


def independent_columns(x: np.ndarray, tol: float = 1e-7) -> np.ndarray:
    """Positions of the columns that R keeps, ``qr(x, tol)$pivot[seq_len(rank)]``."""
    return heard_if_long(2.0 * len(x) * x.shape[1] ** 2, _independent_columns, x, tol)


def _independent_columns(x: np.ndarray, tol: float) -> np.ndarray:
    if full_column_rank(x):
        return np.arange(x.shape[1])
    n, p = x.shape
    # Rank and pivots do not depend on the columns' units; powers of two keep the digits, and nothing overflows.
    _, exponents = np.frexp(np.max(np.abs(x), axis=0, initial=0.0))
    x = np.ldexp(x, -exponents)
    # The triangle of an unpivoted QR has the same column norms and projections as x, and is small.
    small = np.linalg.qr(x, mode="r") if n > p else x
    decomposition = dqrdc2(small, tol)
    return decomposition.pivot[: decomposition.rank]
