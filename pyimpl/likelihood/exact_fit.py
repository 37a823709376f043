"""Whether a model's effects fit all of its rows exactly: then its criterion has no lowest value.

As the standard deviations grow by a factor c, n log r² falls by 2n log c, and log|V| grows by 2 log c for each effect
that can be told apart, of which there are fewer than rows. So it is where a response is the same in all rows of a
level: where it is a school's, and not a student's.
"""

import numpy as np

from pyimpl.design.design import Design

__all__ = ["fits_exactly"]

_EPS = float(np.finfo(float).eps)
_ROUNDING = 64.0  # units of rounding, of the response's largest value, that an exact fit may leave in a row
_LEFT_OF_ANY = 1e-6  # of a response without any structure, of standard deviation 1, in some row
_STEPS = 2000  # of one solution by least squares
_AGAIN = 3  # solutions: each takes from the residuals what the one before it has left


def fits_exactly(design: Design) -> bool:
    """Whether fixed and random effects, without any penalty, leave no more of the response than rounding errors.

    Where there are as many of them as rows, so that they fit any response, it is not so: the criterion need not fall.

    It takes some hundred products of the model matrices (LSMR: Fong & Saunders 2011, SIAM J. Sci. Comput. 33, 2950):
    a fit asks where standard deviations have become so large that it may be so.

    Parameters
    ----------
    design : Design

    Returns
    -------
    bool
        False, too, where the method has not converged.
    """
    from scipy import sparse
    from scipy.sparse.linalg import lsmr

    y = np.asarray(design.y if design.offset is None else design.y - design.offset, dtype=float)
    columns = sparse.hstack([sparse.csr_array(np.asarray(design.X, dtype=float)), design.Z], format="csr")
    length = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
    columns = columns @ sparse.diags_array(1.0 / np.where(length > 0.0, length, 1.0))
    limit = _ROUNDING * _EPS * float(np.abs(design.y).max(initial=0.0))

    def left_of(values: np.ndarray) -> np.ndarray:
        return values - columns @ lsmr(columns, values, atol=_EPS, btol=_EPS, conlim=0.0, maxiter=_STEPS)[0]

    for _ in range(_AGAIN):
        y = left_of(y)
        if float(np.abs(y).max(initial=0.0)) <= limit:
            any_other = np.random.default_rng(0).normal(size=y.size)
            return float(np.abs(left_of(any_other)).max()) > _LEFT_OF_ANY
    return False
