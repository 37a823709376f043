"""Bases of splines with R's columns: B-splines and natural cubic splines (``bs`` and ``ns`` of R's package splines).

The B-splines themselves are scipy's. R's rules for knots, its extrapolation beyond the boundary knots and its
orthogonal reflection of natural splines stand here (R's ``splines::bs`` and ``splines::ns``; de Boor 1978).
"""

import math

import numpy as np

from pyimpl.errors import DataError
from pyimpl.frame.column_types import Spline
from pyimpl.linalg.dqrdc2 import dqrdc2
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.text.numbers import quantile7
from pyimpl.text.values import format_number

__all__ = ["b_spline_basis", "beyond", "inner_knots", "moved_inside", "natural_spline_basis"]

_CUBIC = 3
#: Where the polynomial that continues a B-spline is expanded: a quarter of the way to the first inner knot (R's bs).
_INSIDE = 0.25


def _affordable(splines: int, rows: int) -> None:
    refuse_too_large(2.0 * splines * (splines + rows), f"bases of {splines} splines", "Take a smaller df or degree.")


def inner_knots(x: np.ndarray, count: int) -> np.ndarray:
    """Inner knots at equally spaced quantiles of x, shape (count,)."""
    _affordable(count, x.size)
    return quantile7(x, np.linspace(0, 1, count + 2)[1:-1])


def moved_inside(knots: np.ndarray, boundary: np.ndarray) -> np.ndarray | None:
    """Inner knots that coincide with a boundary knot, moved an eighth of the way to the next one; None where all do."""
    out = knots.copy()
    for edge in boundary:
        at = out == edge
        if not at.any():
            continue
        others = out[~at]
        if not len(others):
            return None
        nearest = others[np.argmin(np.abs(others - edge))]
        out[at] += (nearest - edge) / 8
    return out


def beyond(x: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    """Mask of the values outside the boundary knots."""
    outside: np.ndarray = (x < boundary[0]) | (x > boundary[1])
    return outside


def _all_knots(spline: Spline) -> np.ndarray:
    return np.sort(np.concatenate([np.repeat(spline.boundary, spline.degree + 1), spline.knots]))


def _design(knots: np.ndarray, x: np.ndarray, degree: int, derivative: int = 0) -> np.ndarray:
    """``splineDesign(knots, x, degree + 1, derivative)``, shape (len(x), splines)."""
    from scipy.interpolate import BSpline  # most models have no splines, and scipy takes longer than their fit

    count = len(knots) - degree - 1
    _affordable(count, len(x))
    low, high = knots[degree], knots[count]
    if len(x) and not (x.min() >= low and x.max() <= high):
        raise DataError(
            f"splines: the values must be in the range {format_number(float(low))} to {format_number(float(high))} of "
            "the knots. Widen Boundary.knots, or move the inner knots between them."
        )
    with np.errstate(all="ignore"):
        design = BSpline(knots, np.eye(count), degree, extrapolate=False)(x, nu=derivative)
    # a spline whose knots all coincide is nothing: R has zero there
    return np.nan_to_num(np.asarray(design, dtype=np.float64), nan=0.0)


def b_spline_basis(x: np.ndarray, spline: Spline) -> np.ndarray:
    """``bs``: beyond the boundary knots the polynomials of the outermost pieces go on.

    Parameters
    ----------
    x : ndarray, shape (N,)
        Without missing values.
    spline : Spline

    Returns
    -------
    ndarray, shape (N, len(knots) + degree + intercept)
    """
    knots, degree = _all_knots(spline), spline.degree
    outside = beyond(x, spline.boundary)
    basis = np.zeros((len(x), len(knots) - degree - 1))
    basis[~outside] = _design(knots, x[~outside], degree)
    for edge, neighbour, side in (
        (spline.boundary[0], knots[degree + 1], x < spline.boundary[0]),
        (spline.boundary[1], knots[len(knots) - degree - 2], x > spline.boundary[1]),
    ):
        if side.any():
            pivot = (1 - _INSIDE) * edge + _INSIDE * neighbour
            taylor = np.vstack(
                [_design(knots, np.array([pivot]), degree, k) / math.factorial(k) for k in range(degree + 1)]
            )
            basis[side] = np.vander(x[side] - pivot, degree + 1, increasing=True) @ taylor
    return basis if spline.intercept else basis[:, 1:]


def natural_spline_basis(x: np.ndarray, spline: Spline) -> np.ndarray:
    """``ns``: cubic splines whose second derivatives vanish at the boundary knots, linear beyond them.

    Parameters
    ----------
    x : ndarray, shape (N,)
        Without missing values.
    spline : Spline
        Of degree 3.

    Returns
    -------
    ndarray, shape (N, len(knots) + 1 + intercept)
    """
    knots = _all_knots(spline)
    outside = beyond(x, spline.boundary)
    basis = np.zeros((len(x), len(knots) - _CUBIC - 1))
    basis[~outside] = _design(knots, x[~outside], _CUBIC)
    for edge, side in ((spline.boundary[0], x < spline.boundary[0]), (spline.boundary[1], x > spline.boundary[1])):
        if side.any():
            line = np.vstack([_design(knots, np.array([edge]), _CUBIC, k) for k in (0, 1)])
            basis[side] = np.vander(x[side] - edge, 2, increasing=True) @ line
    curvature = _design(knots, spline.boundary, _CUBIC, 2)
    if not spline.intercept:
        curvature, basis = curvature[:, 1:], basis[:, 1:]
    # what the reflections that triangularise the two conditions leave: their null space
    return np.ascontiguousarray(dqrdc2(curvature.T).multiply_qt(basis.T)[2:].T)
