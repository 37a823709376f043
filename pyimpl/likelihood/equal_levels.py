"""Levels with the same model matrix stand for each other, as in balanced data: a few do for all of them.

Of n levels of one factor with the same R the criterion has n log|L|² and sums over the levels that are quadratic in
vec C_j: any rows with the same cross-products do in place of the n, and p (P + 1) of them are enough, the triangular
factor of the n, whose digits are those of an orthogonal transformation. A quadratic growth curve of 5000 persons at the
same times takes a third of the time.
"""

import numpy as np

from pyimpl.likelihood.reduce import InnerPart, triangle_of
from pyimpl.likelihood.rows import level_kinds

__all__ = ["MergedLevels", "merged_levels"]

_FEWER = 4  # times that there must be fewer levels afterwards
_MOST = 256  # kinds of levels

#: R (K, p, p) and C (K, p, P + 1) of the levels that are left, and for how many each one's R stands: (K,).
MergedLevels = tuple[np.ndarray, np.ndarray, np.ndarray]


def merged_levels(inner: InnerPart) -> MergedLevels | None:
    """Few levels in place of many with the same R_j; None where there are few of them, or one effect a level.

    Parameters
    ----------
    inner : InnerPart
        Of a model of one factor, J levels with p effects.

    Returns
    -------
    MergedLevels or None
        R (K, p, p), C (K, p, P + 1) and counts (K,), whose sum is J.
    """
    J, p, m = inner.C.shape
    most = min(J // (_FEWER * p * m), _MOST)
    kinds = level_kinds(inner.R, most) if p > 1 and most else None
    if kinds is None:
        return None
    order = np.argsort(kinds, kind="stable")
    count = np.bincount(kinds)
    C = inner.C.reshape(J, p * m)
    rows, places, counts = [], [], []
    for levels in np.split(order, np.cumsum(count)[:-1]):
        few = C[levels] if len(levels) <= p * m else triangle_of(C[levels])
        rows.append(few)
        places.append(np.full(len(few), levels[0]))
        counts.append(np.append(float(len(levels)), np.zeros(len(few) - 1)))
    return inner.R[np.concatenate(places)], np.concatenate(rows).reshape(-1, p, m), np.concatenate(counts)
