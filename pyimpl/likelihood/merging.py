"""Levels of the eliminated factor that are alike, as balanced data have: an evaluation needs but a few of them.

Where R_j is the same, so is V₁'s block I + R_jTT'R_j'. An orthogonal transformation that mixes such levels, and leaves
their effects apart, then changes nothing in log|V|, in D'V⁻¹D, or in any sum over the levels. It is chosen such that

- of levels that touch the same columns of the other factors with the same values, one does so, and the others none;
- of levels that touch no column, the C_j, one row of p·m numbers each, are the triangle of these rows' QR
  factorisation: at most p·m remain, and the others, whose C_j are then 0, need only be counted.

Nothing is squared, so no digit is lost. The modes of the levels are those before the transformation.
"""

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.likelihood.one_factor import same
from pyimpl.likelihood.reduce import gram_schmidt

__all__ = ["WIDEST", "merge"]

WIDEST = 64  # numbers in a C_j from which the factorisation takes longer than it saves
_WORTH = 0.8  # share of the levels up to which what remains is worth two sets of levels, one for the modes


@kernel
def _touch_alike(indptr, columns, values, i, j):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Whether two levels touch the same columns with the same values."""
    count = indptr[i + 1] - indptr[i]
    if indptr[j + 1] - indptr[j] != count:
        return False
    for k in range(count):
        if columns[indptr[i] + k] != columns[indptr[j] + k]:
            return False
    return same(values[indptr[i] : indptr[i + 1]], values[indptr[j] : indptr[j + 1]])


@kernel
def _helmert(rows):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Mix rows, in place: the last becomes their sum over √n, the others are orthogonal to it (Helmert's matrix)."""
    n = rows.shape[0]
    for c in range(rows.shape[1]):
        total = rows[0, c]
        for k in range(1, n):
            x = rows[k, c]
            rows[k - 1, c] = (total - k * x) / np.sqrt(k * (k + 1.0))
            total += x
        rows[n - 1, c] = total / np.sqrt(float(n))


def merge(
    R: np.ndarray,
    C: np.ndarray,
    indptr: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    order: np.ndarray,
    widest: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Merge levels that are alike and next to each other in an order.

    Parameters
    ----------
    R : ndarray, shape (J, p, p)
    C : ndarray, shape (J, p, m)
    indptr, columns, values : ndarray
        The other factors' columns that each level touches: see :class:`~pyimpl.likelihood.reduce.Others`.
    order : ndarray of int64, shape (J,)
        The levels, those that may be alike next to each other.
    widest : int
        Nothing is merged where p·m is larger.

    Returns
    -------
    R, C, indptr, columns, values : ndarray
        Of the k levels that remain; those given where few could be merged.
    copies : ndarray, shape (k,)
        How many levels have this R_j; all but one of these have a C_j of 0 and touch no column.
    """
    copies = np.ones(len(R))
    if C.shape[1] * C.shape[2] > widest:
        return R, C, indptr, columns, values, copies
    # kernels that return arrays to Python take a microsecond for each
    new_R, new_C, new_indptr = np.empty_like(R), np.empty_like(C), np.zeros_like(indptr)
    new_columns, new_values = np.empty_like(columns), np.empty_like(values)
    remain: int = _merge(
        R, C, indptr, columns, values, order, new_R, new_C, new_indptr, new_columns, new_values, copies
    )  # fmt: skip
    if remain > _WORTH * len(R):
        return R, C, indptr, columns, values, np.ones(len(R))
    new_indptr = new_indptr[: remain + 1].copy()
    if columns.size:
        touched = int(new_indptr[-1])
        new_columns, new_values = new_columns[:touched].copy(), new_values[:touched].copy()
    return new_R[:remain].copy(), new_C[:remain].copy(), new_indptr, new_columns, new_values, copies[:remain].copy()


@kernel("f3 f3 i1 i1 f2 i1 f3 f3 i1 i1 f2 f1")
def _merge(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    R, C, indptr, columns, values, order, new_R, new_C, new_indptr, new_columns, new_values, copies
):  # fmt: skip
    """Put the levels that remain in the `new_` arrays, and their `copies`; returns how many remain."""
    J, p, m = C.shape
    width = p * m
    rest = np.empty((J, width))  # C_j of levels that touch no column and whose R_j is that of the level `owner`
    owner, resting, at, begins = 0, 0, 0, 0
    while begins <= J:
        if resting and (begins == J or not same(R[owner], R[order[begins]])):
            remain = min(resting, width)
            if resting > width:
                triangle = np.zeros((width, width))
                gram_schmidt(rest[:resting], triangle)
                rest[:width] = triangle
                copies[at + width - 1] = resting - width + 1
            for i in range(remain):
                new_R[at] = R[owner]
                new_C[at] = rest[i].reshape(p, m)
                new_indptr[at + 1] = new_indptr[at]
                at += 1
            resting = 0
        if begins == J:
            break
        owner = order[begins]
        ends = begins + 1
        while ends < J and same(R[owner], R[order[ends]]) and _touch_alike(indptr, columns, values, owner, order[ends]):
            ends += 1
        n, count = ends - begins, indptr[owner + 1] - indptr[owner]
        rows = rest[resting : resting + n]
        for i in range(n):
            for a in range(p):
                for c in range(m):
                    rows[i, a * m + c] = C[order[begins + i], a, c]
        resting += n
        if count > 0:
            _helmert(rows)
            new_R[at] = R[owner]
            new_C[at] = rows[n - 1].reshape(p, m)
            to = new_indptr[at]
            new_indptr[at + 1] = to + count
            for k in range(count):
                new_columns[to + k] = columns[indptr[owner] + k]
                for a in range(p):
                    new_values[to + k, a] = values[indptr[owner] + k, a] * np.sqrt(float(n))
            at += 1
            resting -= 1
        begins = ends
    return at
