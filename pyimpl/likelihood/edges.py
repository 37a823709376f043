"""The edges of the parameters' space: singular covariance matrices, and variances without limit.

A criterion that has its minimum inside may have a lower one on the boundary, and the other way round, where a factor
has few levels. Far away it may be flat, where random effects are confounded with fixed ones, or fall without end, where
they fit the rows exactly.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import Factor
from pyimpl.likelihood.trust_region import APPROXIMATE, minimise

__all__ = [
    "boundary_starts",
    "carries_others",
    "drop_pivot",
    "falls_without_end",
    "shortened",
    "turn_to_covariances",
]

_GAINS = 10.0  # times the gain of a quadratic model that a search may end below where it began
_LARGE = (1e4, 1e6)  # standard deviations, in natural units, between which a criterion without a lowest value falls


def drop_pivot(factor: Factor, theta: np.ndarray, k: int) -> np.ndarray:
    """θ with the pivot k of T at 0, column k rotated into the later ones, so that TT' changes by T_kk alone."""
    # in Python's floats: a template has a handful of elements, and an array's takes a hundred times as long
    values: list[float] = theta.tolist()
    place = {(row, column): i for row, column, i in factor.elements}
    v: dict[int, float] = {}  # column k below the pivot
    for (row, column), i in place.items():
        if column == k:
            v[row], values[i] = values[i], 0.0
    for i in range(k + 1, factor.p):  # rank-one update of the trailing triangle by Givens rotations
        if i not in v:
            continue
        pivot = values[place[i, i]]
        r = math.hypot(pivot, v[i])
        if r == 0.0:
            continue
        cos, sin = pivot / r, v[i] / r
        for row in range(i, factor.p):
            if (row, i) in place:
                at = place[row, i]
                values[at], v[row] = cos * values[at] + sin * v[row], cos * v[row] - sin * values[at]
    return np.array(values)


def carries_others(factor: Factor, theta: np.ndarray, k: int) -> bool:
    """Whether, effect k being without variance, effects that come after it and may covary with it have some."""
    later = {row for row, column, _ in factor.elements if column == k and row > k}
    return any(column in later and theta[i] != 0.0 for _, column, i in factor.elements)


def turn_to_covariances(objective: Objective, factor: Factor, theta: np.ndarray, k: int) -> np.ndarray:
    """The same TT', where column k is 0, with what effect k is to covary with in that column.

    Where column k is 0, effect k has neither a variance nor covariances: both begin at a saddle, and its only way down,
    on which a correlation is ±1 from the start, is as narrow as the variance is small. With T_kk = 0, and below it what
    the criterion's first derivatives by effect k's covariances point to, the criterion is no saddle: its slope along
    T_kk is not 0. The later columns are turned into one and the rest.

    Parameters
    ----------
    objective : Objective
    factor : Factor
    theta : ndarray, shape (n_theta,)
        Column k of the factor's template is 0.
    k : int

    Returns
    -------
    ndarray, shape (n_theta,)
        The same where the criterion has no slope by any of the covariances.
    """
    place = {(row, column): i for row, column, i in factor.elements}
    later = sorted(row for row, column in place if column == k and row > k)
    out = theta.copy()
    if len(later) == 1:
        pivot, below = place[later[0], later[0]], place[later[0], k]
        out[pivot], out[below] = 0.0, theta[pivot]
        return out
    curvature = objective.value_gradient_hessian(theta)[2]  # (n_theta, n_theta)
    by_covariance = np.array([curvature[place[k, k], place[row, k]] for row in later])  # ∂d/∂Σ_kr, twice
    B = np.array([[theta[place[row, column]] if column <= row else 0.0 for column in later] for row in later])
    v = B.T @ by_covariance
    length = float(np.linalg.norm(v))
    if not 0.0 < length < math.inf:
        return out
    left = np.linalg.qr(np.column_stack([v / length, np.eye(len(v))]))[0]  # first column ±v / |v|
    turned = B @ left
    rest = np.linalg.qr(turned[:, 1:].T, mode="r").T
    for a, row in enumerate(later):
        out[place[row, k]] = turned[a, 0]
        for b, column in enumerate(later[: a + 1]):
            out[place[row, column]] = rest[a, b] if b < rest.shape[1] else 0.0
    return out


def boundary_starts(
    objective: Objective,
    theta: np.ndarray,
    value: float,
    units: np.ndarray,
    budget: int,
    within: float,
    pairs: bool,
) -> list[np.ndarray]:
    """θ at minima on the boundary that are lower than a minimum inside.

    Parameters
    ----------
    objective : Objective
    theta : ndarray, shape (n_theta,)
        A minimum.
    value : float
        The criterion there.
    units : ndarray, shape (n_theta,)
        Natural unit of each θ.
    budget : int
        Evaluations for each of them.
    within : float
        How much higher the criterion may be where a search over the others begins.
    pairs : bool
        Whether two pivots may be 0 together (an effect that is in two terms is gone only without both of its
        variances), and searches begin whatever they promise.

    Returns
    -------
    list of ndarray, shape (n_theta,)
    """
    pivots = [
        (factor, k, at)
        for factor in objective.blocks.factors
        for k, column, at in factor.elements
        if k == column and theta[at] != 0.0
    ]
    out = []
    for chosen in (*combinations(pivots, 1), *(combinations(pivots, 2) if pairs else ())):
        without = theta
        for factor, k, _ in chosen:
            without = drop_pivot(factor, without, k)
        if not (pairs and len(chosen) == 1) and not objective(without) < value + within:
            continue
        free = np.delete(np.arange(theta.size), [at for _, _, at in chosen])
        if not (pairs or _may_fall(objective, without, free, value)):
            continue
        found, lowest = _restricted_minimum(objective, without, free, units, budget)
        if lowest < value:
            for factor, k, _ in chosen:
                found = drop_pivot(factor, found, k)
                if carries_others(factor, found, k):
                    found = turn_to_covariances(objective, factor, found, k)
            out.append(found)
    return out


def _may_fall(objective: Objective, theta: np.ndarray, free: np.ndarray, value: float) -> bool:
    """Whether a search over the free θ, a few times its quadratic model's gain, could end below this value."""
    here, gradient, information = objective.value_gradient_hessian(theta)
    slope = gradient[free]
    step = np.linalg.lstsq(information[np.ix_(free, free)], slope)[0]
    return bool(here - _GAINS * 0.5 * float(slope @ step) < value)


def _restricted_minimum(
    objective: Objective, theta: np.ndarray, free: np.ndarray, units: np.ndarray, budget: int
) -> tuple[np.ndarray, float]:
    """Minimise over the free θ alone; returns θ and the criterion."""

    def restricted(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        point = theta.copy()
        point[free] = x * units[free]
        value, gradient, hessian = objective.value_gradient_hessian(point)
        scale = units[free]
        return value, gradient[free] * scale, hessian[np.ix_(free, free)] * np.outer(scale, scale)

    x, value, _ = minimise(restricted, theta[free] / units[free], budget, APPROXIMATE)
    found = theta.copy()
    found[free] = x * units[free]
    return found, value


def shortened(factors: Sequence[Factor], theta: np.ndarray, most: float) -> np.ndarray | None:
    """θ with the templates of terms whose standard deviations are above `most`, in natural units, scaled to 1.

    None where there is no such term.
    """
    out = theta.copy()
    for factor in factors:
        size = np.sqrt((factor.template(theta) ** 2).sum(axis=1)) * factor.scale
        stops = (*factor.effect_start[1:], factor.p)
        for start, stop in zip(factor.effect_start, stops, strict=True):
            largest = float(size[start:stop].max())
            if largest > most:
                own = factor.theta[(factor.rows >= start) & (factor.rows < stop)]
                out[own] = theta[own] / largest
    return None if np.array_equal(out, theta) else out


def falls_without_end(objective: Objective, units: np.ndarray) -> bool:
    """Whether the criterion falls without end as all variances grow: the random effects fit all rows exactly.

    Then n log r² falls by 2n log c where the standard deviations grow by a factor c, and log|V| grows by less: by 2
    log c for each of the effects that can be told apart, of which there are fewer than rows.
    """
    lower = (objective.blocks.lower == 0.0) * units
    near, far = (objective(lower * size) for size in _LARGE)
    return far < near - math.log(_LARGE[1] / _LARGE[0])
