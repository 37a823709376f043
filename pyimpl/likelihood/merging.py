"""Levels with the same R_j, as balanced data have: an evaluation needs but a few rows of them.

Where R_j is the same, so is V₁'s block I + R_jTT'R_j', and an orthogonal transformation that mixes these levels, and
leaves their effects apart, changes nothing in log|V| or D'V⁻¹D. The C_j, one row of p·m numbers a level, may therefore
be replaced by the triangle of these rows' QR factorisation: at most p·m levels remain, and the others, whose C_j are
then 0, need only be counted. Nothing is squared, so no digit is lost.
"""

import numpy as np
from numba import njit

from pyimpl.likelihood.one_factor import same
from pyimpl.model.blocks import gram_schmidt

__all__ = ["WIDEST", "merge"]

WIDEST = 64  # numbers in a C_j from which the factorisation takes longer than it saves


@njit(cache=True, error_model="numpy")
def merge(R, C, widest):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Merge neighbouring levels with the same R_j.

    Parameters
    ----------
    R : ndarray, shape (J, p, p)
    C : ndarray, shape (J, p, m)
    widest : int
        Nothing is merged where p·m is larger.

    Returns
    -------
    R, C : ndarray, shapes (k, p, p) and (k, p, m)
        Of the k ≤ J levels that remain.
    copies : ndarray, shape (k,)
        How many levels have this R_j; all but one of these have a C_j of 0.
    """
    J, p, m = C.shape
    width = p * m
    kept_R, kept_C, copies = np.empty((J, p, p)), np.empty((J, p, m)), np.ones(J)
    at, begins = 0, 0
    while begins < J:
        ends = begins + 1
        while ends < J and same(R[begins], R[ends]):
            ends += 1
        remain = ends - begins
        if width < remain and width <= widest:
            rows, triangle = C[begins:ends].copy().reshape(remain, width), np.zeros((width, width))
            gram_schmidt(rows, triangle)
            kept_C[at : at + width] = triangle.reshape(width, p, m)
            copies[at + width - 1] = remain - width + 1
            remain = width
        else:
            kept_C[at : at + remain] = C[begins:ends]
        kept_R[at : at + remain] = R[begins : begins + remain]
        at += remain
        begins = ends
    return kept_R[:at].copy(), kept_C[:at].copy(), copies[:at].copy()
