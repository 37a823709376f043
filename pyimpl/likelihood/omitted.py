"""Starts for models whose random effects have means that no fixed effect takes up, such as ``y ~ 1 + (t | g)``.

Such a mean m has to be carried by a covariance matrix, which becomes Σ₀ + dd' with Σ₀ the covariance about the mean and
d = m/σ: standard deviations many times σ. The fixed effects that there are (the intercept of the example) leave a
freedom: the effects b_j and b_j − Ka have the same fit, if ZK lies in the span of X, the fixed effects being changed by
as much. So d may be m/σ + Ka for any a, whose price is about

    Σ_j log(1 + d'M_j d),   M_j = Z_j'(I + Z_jΣ₀Z_j')⁻¹Z_j.

As a function of a that is the criterion of a Cauchy distribution's location, which can have a minimum for each level.
Two of them are apart by much more than a Newton search steps. Here Σ₀ and m are estimated with the columns left out put
into X, the sum is minimised over a from many places, and each of its minima is a start.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import ModelError
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import reduce_design

__all__ = ["carriers", "omitted_starts", "spread_starts"]

_DEPENDENT = 1e-8  # length of a column's part outside a span, relative to the column, up to which it is within
_LEVELS = 64  # levels from whose own best a the sum is minimised
_SWEEPS = 60  # majorisations of the sum: each halves the distance, or better
_STARTS = 6  # of the minima of one term
_SAME = 1e-2  # relative distance of two minima that are one


@dataclass(frozen=True)
class _Carrier:
    """A term some of whose effects have means outside the span of X.

    Attributes
    ----------
    term : int
        Position in ``Design.terms``.
    outside : ndarray, shape (N, p)
        √w times its columns, less what lies in the span of √w·X.
    free : ndarray, shape (p, k)
        Directions of the mean that X takes up, orthonormal in the columns' natural units.
    shared : ndarray, shape (p, l), l >= k
        Those that X and the other carriers take up.
    scale : ndarray, shape (p,)
        Root mean squares of the columns.
    """

    term: int
    outside: np.ndarray
    free: np.ndarray
    shared: np.ndarray
    scale: np.ndarray


def carriers(design: Design, basis: np.ndarray) -> list[_Carrier]:
    """Terms of random effects whose columns are not in the span of X.

    Parameters
    ----------
    design : Design
    basis : ndarray, shape (N, P)
        Orthonormal, of √w·X.
    """
    known = frozenset(design.coef_names)
    found = []
    for i, term in enumerate(design.terms):
        if known.issuperset(term.effects):
            continue
        columns = _weighted(design, term.columns)
        scale = np.sqrt(np.mean(columns**2, axis=0))
        scale[~(scale > 0)] = 1.0
        outside = _rest(columns / scale, basis)
        free = _null_space(outside)
        if free.shape[1] < term.p:
            found.append((i, outside, free, scale))
    out = []
    for i, outside, free, scale in found:
        others = [other for k, other, _, _ in found if k != i]
        shared = _null_space(_rest(outside, _range(np.hstack(others)))) if others else free
        out.append(_Carrier(i, outside, free, shared, scale))
    return out


def _null_space(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis (p, k) of the combinations of columns (N, p), in natural units, that are 0."""
    _, lengths, turn = np.linalg.svd(np.linalg.qr(columns, mode="r"))
    rank = int(np.sum(lengths > _DEPENDENT * np.sqrt(len(columns))))
    out: np.ndarray = turn[rank:].T
    return out


def _range(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the span of columns in natural units."""
    left, lengths, _ = np.linalg.svd(columns, full_matrices=False)
    out: np.ndarray = left[:, lengths > _DEPENDENT * np.sqrt(len(columns))]
    return out


def _rest(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Columns without their part in the span of a basis, orthogonal to it to rounding."""
    columns = columns - basis @ (basis.T @ columns)
    out: np.ndarray = columns - basis @ (basis.T @ columns)
    return out


def _weighted(design: Design, columns: np.ndarray) -> np.ndarray:
    values = np.asarray(columns, dtype=float)
    return values if design.weights is None else values * np.sqrt(design.weights)[:, None]


def omitted_starts(
    design: Design, objective: Objective, minimise: Callable[[Objective], np.ndarray]
) -> list[np.ndarray]:
    """θ from which a search may find a minimum where covariance matrices carry the means of random effects.

    Parameters
    ----------
    design : Design
    objective : Objective
        Of this design.
    minimise : callable
        Returns θ at the minimum of an objective, shape (n_theta,).

    Returns
    -------
    list of ndarray, shape (n_theta,)
        Empty where there are no such means to carry.
    """
    found = carriers(design, objective.blocks.fixed.basis)
    if not found:
        return []
    extra = _range(np.hstack([carrier.outside for carrier in found]))
    P, k = design.P, extra.shape[1]
    if design.N - P - k < 1:
        return []
    root = np.ones(design.N) if design.weights is None else np.sqrt(design.weights)
    full = replace(
        design,
        X=np.ascontiguousarray(np.hstack([design.X, extra / root[:, None]])),
        coef_names=(*design.coef_names, *(f"omitted {i}" for i in range(k))),
        assign=(),
    )
    wider = Objective(reduce_design(full), objective.REML)
    try:
        theta = minimise(wider)
        solution = wider.solve(theta)
    except (ModelError, ArithmeticError):  # with the means the criterion has no minimum that can be computed
        return []
    sigma = np.sqrt(solution.prss / wider.df)
    mean = extra @ (solution.beta[P:] / sigma)
    try:
        return _carried(design, found, theta, mean)
    except np.linalg.LinAlgError:  # covariances so large that nothing can be told of the means
        return []


def _carried(design: Design, found: list[_Carrier], theta: np.ndarray, mean: np.ndarray) -> list[np.ndarray]:
    """θ with the mean (N,) in the carriers' covariance matrices, each carrier the first once."""
    out: list[np.ndarray] = []
    for first in range(len(found)):
        starts = [(theta, mean)]
        for carrier in found[first:] + found[:first]:
            most = 1 if len(starts) > 1 else _STARTS
            starts = [way for start, rest in starts for way in _ways(design, carrier, theta, start, rest, most)]
        out += [start for start, _ in starts]
    return out


def _ways(
    design: Design, carrier: _Carrier, theta: np.ndarray, start: np.ndarray, rest: np.ndarray, most: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Put what a term can carry of the mean `rest` (N,) into its covariance matrix in `start`.

    `theta` is that of the model with the means. Returned are θ and what is left of the mean, for each of the ways to do
    so, the cheapest first and no more than `most`.
    """
    term, begins = design.terms[carrier.term], _first_theta(design, carrier.term)
    T = _template(theta, begins, term.p) * carrier.scale[:, None]
    M = _level_prices(design, term, carrier.scale, T)
    share = np.linalg.lstsq(carrier.outside, rest, rcond=_DEPENDENT)[0]
    found = _directions(share, carrier.free, M)[:most]
    if most > 1 and carrier.shared.shape[1] > carrier.free.shape[1]:
        found += _directions(share, carrier.shared, M)[:most]
    return [
        (_put(start, begins, _with_direction(T, d) / carrier.scale[:, None]), rest - carrier.outside @ d) for d in found
    ]


def spread_starts(design: Design, units: np.ndarray, largest: float, count: int) -> list[np.ndarray]:
    """θ spread over the sizes and correlations that covariance matrices may have; the same ones at each call.

    Parameters
    ----------
    design : Design
    units : ndarray, shape (n_theta,)
        Natural unit of each θ.
    largest : float
        Standard deviation, in natural units, that a minimum has shown.
    count : int
    """
    rng = np.random.default_rng(0)
    top = np.log10(max(10.0, 3.0 * largest))
    out = []
    for _ in range(count):
        theta = np.zeros(units.size)
        for i, term in enumerate(design.terms):
            d = 10.0 ** rng.uniform(-2, top, term.p) * rng.normal(size=term.p)
            T = np.tril(rng.normal(size=(term.p, term.p)), -1) * 10.0 ** rng.uniform(-1, 1)
            theta = _put(theta, _first_theta(design, i), _with_direction(T, d))
        out.append(theta * units)
    return out


def _first_theta(design: Design, term: int) -> int:
    return sum(one.p * (one.p + 1) // 2 for one in design.terms[:term])


def _template(theta: np.ndarray, begins: int, p: int) -> np.ndarray:
    T = np.zeros((p, p))
    cols, rows = np.triu_indices(p)  # the lower triangle, column by column
    T[rows, cols] = theta[begins : begins + rows.size]
    return T


def _put(theta: np.ndarray, begins: int, T: np.ndarray) -> np.ndarray:
    cols, rows = np.triu_indices(len(T))
    out = theta.copy()
    out[begins : begins + rows.size] = T[rows, cols]
    return out


def _with_direction(T: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Lower triangular factor of TT' + dd', its diagonal not negative."""
    R = np.linalg.qr(np.vstack([T.T, d]), mode="r")
    out: np.ndarray = (R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]).T
    return out


def _level_prices(design: Design, term: RandomTerm, scale: np.ndarray, T: np.ndarray) -> np.ndarray:
    """M_j = Z_j'(I + Z_jTT'Z_j')⁻¹Z_j of each level, in natural units: shape (J, p, p)."""
    Z = _weighted(design, term.columns) / scale
    out = np.empty((term.J, term.p, term.p))
    for a in range(term.p):
        for b in range(a + 1):
            out[:, a, b] = out[:, b, a] = np.bincount(term.codes, Z[:, a] * Z[:, b], minlength=term.J)
    M = np.linalg.solve(np.eye(term.p) + out @ (T @ T.T), out)
    return 0.5 * (M + np.swapaxes(M, 1, 2))


def _directions(m: np.ndarray, K: np.ndarray, M: np.ndarray) -> list[np.ndarray]:
    """The d = m + Ka at minima of Σ_j log(1 + d'M_j d) over a, the lowest first, in natural units.

    Each step minimises the majorising quadratic form Σ_j d'M_j d / (1 + d'M_j d), the denominators being the last d's.
    """
    k = K.shape[1]
    if k == 0:
        return [m]
    KM = K.T @ M  # (J, k, p)
    curvature, slope = KM @ K, KM @ m
    total = np.trace(curvature, axis1=1, axis2=2)
    own = np.flatnonzero(total > 0)
    own = own[:: max(1, own.size // _LEVELS)]
    best = -np.einsum("jab,jb->ja", np.linalg.pinv(curvature[own], rcond=1e-6, hermitian=True), slope[own])
    whole = -np.linalg.lstsq(curvature.sum(axis=0), slope.sum(axis=0), rcond=None)[0]
    points = np.vstack([np.zeros(k), whole, best])
    ridge = 1e-12 * np.trace(curvature.sum(axis=0)) * np.eye(k)
    for _ in range(_SWEEPS):
        price = _prices(m + points @ K.T, M)
        weight = 1.0 / (1.0 + price)
        left = np.einsum("sj,jab->sab", weight, curvature) + ridge * weight.mean(axis=1)[:, None, None]
        points = -np.linalg.solve(left, (weight @ slope)[:, :, None])[:, :, 0]
    d = m + points @ K.T
    value = np.log1p(_prices(d, M)).sum(axis=1)
    out: list[np.ndarray] = []
    for i in np.argsort(value, kind="stable"):
        if all(np.abs(d[i] - other).max() > _SAME * np.abs(d[i]).max() for other in out):
            out.append(d[i])
    return out


def _prices(d: np.ndarray, M: np.ndarray) -> np.ndarray:
    """d'M_j d of each d (s, p) and level: shape (s, J)."""
    J, p, _ = M.shape
    outer = (d[:, :, None] * d[:, None, :]).reshape(len(d), p * p)
    return np.maximum(outer @ M.reshape(J, p * p).T, 0.0)
