"""Where else the criterion may have a minimum: a scan of standard deviations on a lattice.

A few rows can have several minima, and the search from one start finds one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cython
import numpy as np
from cython.cimports.libc.math import isfinite

from pyimpl.likelihood.reduce import Factor

__all__ = ["GridMinima", "deviations", "grid_minima", "lowest", "near"]

_EPS = float(np.finfo(float).eps)
_SCAN = 1e5  # floating-point operations of all points of a scan
_SCANNED = 4  # minima that a scan may add
#: Values of each standard deviation (in natural units) in a scan, the finest first, and for one θ.
_AXES = (2.0 ** np.arange(-5, 12), 2.0 ** np.arange(-5, 12, 2), 2.0 ** np.arange(-4, 9, 3), 2.0 ** np.arange(-4, 5, 4))
_AXIS = np.concatenate([[0.0], 2.0 ** np.arange(-6, 21)])
_SMALLEST = float(_AXES[0][0])


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Points of a scan, in natural units.

    Attributes
    ----------
    points : ndarray, shape (k, n_theta)
        The first standard deviation changes slowest.
    size, axes : int
        How many values each standard deviation has, and how many of these there are.
    rounding : ndarray, shape (k,)
        What keeps rounding from making minima of its own where the criterion is flat: it grows with the variances'
        square.
    ratio : float
        Of neighbours.
    """

    points: np.ndarray
    size: int
    axes: int
    rounding: np.ndarray
    ratio: float


@lru_cache(maxsize=16)
def _lattice(diagonal: tuple[bool, ...], axis: int | None) -> _Lattice:
    """Lattice over the θ that are `diagonal`, the others 0: that of one θ, or the `axis`-th of the others."""
    values = _AXIS if axis is None else _AXES[axis]
    d = sum(diagonal)
    points = np.zeros((values.size**d, len(diagonal)))
    points[:, np.array(diagonal)] = np.stack(np.meshgrid(*[values] * d, indexing="ij"), axis=-1).reshape(-1, d)
    return _Lattice(points, values.size, d, 16 * _EPS * (points**2).max(axis=1), float(values[2] / values[1]))


def lowest(  # type: ignore[no-untyped-def]
    values: cython.double[::1], rounding: cython.double[::1], size: cython.Py_ssize_t, axes: cython.Py_ssize_t,
    places: cython.Py_ssize_t[::1],
):  # fmt: skip
    """Put the places of a lattice's local minima in `places`, the lowest first, and return how many these are.

    Places are in C order, with `size` values along each of the `axes`; as many count as there is room for. At a minimum
    the value is finite and no neighbour's is lower, `rounding` added to each; the upper edges have none.
    """
    count: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t
    axis: cython.Py_ssize_t
    for i in range(rounding.shape[0]):
        here: cython.double = values[i] + rounding[i]
        found: cython.bint = isfinite(here)
        stride: cython.Py_ssize_t = 1
        for axis in range(axes):
            at = (i // stride) % size
            found = found and at < size - 1 and not here > values[i + stride] + rounding[i + stride]
            found = found and (at == 0 or not here > values[i - stride] + rounding[i - stride])
            if not found:
                break
            stride *= size
        if not found:
            continue
        at = count
        while at > 0 and here < values[places[at - 1]] + rounding[places[at - 1]]:
            at -= 1
        if at < places.shape[0]:
            count = min(count + 1, places.shape[0])
            for k in range(count - 1, at, -1):
                places[k] = places[k - 1]
            places[at] = i
    return count


@dataclass(frozen=True, slots=True)
class GridMinima:
    """What a scan found.

    Attributes
    ----------
    points : ndarray, shape (k, n_theta)
        Where the criterion is lower than all around, in natural units, the lowest first.
    lowest, at_start : float
        The criterion at the first of them (infinite where there is none), and at the start.
    ratio : float
        Of the lattice's neighbours.
    """

    points: np.ndarray
    lowest: float
    at_start: float
    ratio: float


@cython.wraparound(True)
def grid_minima(
    scan: Callable[[np.ndarray], np.ndarray], work: float, units: np.ndarray, pivots: list[bool], start: np.ndarray
) -> GridMinima | None:
    """Return where the criterion is lower than all around on a lattice of standard deviations; None if costly.

    A lattice's upper edge is no minimum: there the criterion may fall for ever, as it does where random effects fit the
    rows exactly.

    Parameters
    ----------
    scan : callable
        θ, shape (k, n_theta), to the criterion there.
    work : float
        Floating-point operations of one evaluation.
    units : ndarray, shape (n_theta,)
        Natural units of θ.
    pivots : list of bool
        Which θ are diagonal elements.
    start : ndarray, shape (n_theta,)
        θ at which the criterion is wanted too.
    """
    if len(pivots) == 1:
        axis = None
        if work * _AXIS.size > 10.0 * _SCAN:
            return None
    else:
        axis = next((k for k, values in enumerate(_AXES) if work * values.size ** sum(pivots) <= _SCAN), None)
        if axis is None:
            return None
    lattice = _lattice(tuple(pivots), axis)
    theta = np.empty((len(lattice.points) + 1, len(pivots)))
    np.multiply(lattice.points, units, out=theta[:-1])
    theta[-1] = start
    values = scan(theta)
    places = np.empty(_SCANNED, dtype=np.intp)
    places = places[: lowest(values, lattice.rounding, lattice.size, lattice.axes, places)]
    best = float(values[places[0]]) if places.size else math.inf
    return GridMinima(lattice.points.take(places, axis=0), best, float(values[-1]), lattice.ratio)


def deviations(factors: Sequence[Factor], theta: Sequence[float]) -> list[float]:
    """Standard deviations of the effects, in natural units, at the places of θ's diagonals."""
    out = [0.0] * len(theta)
    for factor in factors:
        places = list(zip(factor.rows.tolist(), factor.theta.tolist(), strict=True))
        squares, scale = [0.0] * factor.p, factor.scale.tolist()
        for row, i in places:
            squares[row] += theta[i] * theta[i]  # inf where it overflows
        for row, i in places:
            out[i] = math.sqrt(squares[row]) * scale[row]
    return out


def near(x: Sequence[float], others: Sequence[float], pivots: Sequence[bool], ratio: float) -> bool:
    """Whether standard deviations are those of a point of a lattice, or of its neighbours, of this ratio."""
    limit = math.log(ratio)
    return all(
        abs(math.log(one) - math.log(max(other, _SMALLEST))) <= limit
        for one, other, pivot in zip(x, others, pivots, strict=True)
        if pivot
    )
