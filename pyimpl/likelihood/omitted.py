"""Starts for models whose random effects have means that no fixed effect takes up, such as ``y ~ 1 + (t | g)``.

Such a mean m has to be carried by a covariance matrix, which becomes Σ₀ + dd' with Σ₀ the covariance about the mean and
d = m/σ: standard deviations many times σ. The fixed effects that there are (the intercept of the example) leave a
freedom: the effects b_j and b_j − Ka have the same fit, if ZK lies in the span of X, the fixed effects being changed by
as much. Where several terms may carry a mean, how they share it is free, too. So the d of all these terms, one below
the other, may be d₀ + Ka for any a, whose price is about

    Σ_j log(1 + d'M_j d),   M_j = Z_j'(I + Z_jΣ₀Z_j')⁻¹Z_j,

over the levels j of all of them. As a function of a that is the criterion of a Cauchy distribution's location, which
can have a minimum for each level, and one for each pair of levels of two crossed factors, for which the sum is only
rough. Two of them are apart by much more than a Newton search steps. Here Σ₀ and m are estimated with the columns left
out put into X; the sum is minimised over a from where levels pay nothing; and of these places and minima those from
which different minima seem to be reached are starts, the lowest first: by the criterion itself where it is cheap.
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
_LEVELS = 16  # levels of a term from whose own best a the sum is minimised
_PAIRS = 128  # choices of a level of each term at whose best a the criterion is looked at
_OTHERS = 1e-6  # weight of all other levels at the best a of one
_SWEEPS = 60  # majorisations of the sum: each halves the distance, or better
_LOOKED_AT = 48  # of the places, the lowest, that may be starts
_STARTS = 6  # starts at most
_LEAST = 3  # ... and at least, where other places are no higher than the lowest and this much:
_BESIDE = 10.0


@dataclass(frozen=True)
class _Carrier:
    """A term some of whose effects have means outside the span of X.

    Attributes
    ----------
    term : int
        Position in ``Design.terms``.
    outside : ndarray, shape (N, p)
        √w times its columns, less what lies in the span of √w·X.
    scale : ndarray, shape (p,)
        Root mean squares of the columns.
    """

    term: int
    outside: np.ndarray
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
        if _null_space(outside).shape[1] < term.p:
            found.append(_Carrier(i, outside, scale))
    return found


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
    design: Design, objective: Objective, minimise: Callable[[Objective], np.ndarray], cheap: bool
) -> list[np.ndarray]:
    """θ from which a search may find a minimum where covariance matrices carry the means of random effects.

    Parameters
    ----------
    design : Design
    objective : Objective
        Of this design.
    minimise : callable
        Returns θ at the minimum of an objective, shape (n_theta,).
    cheap : bool
        Whether the criterion may be evaluated some hundred times.

    Returns
    -------
    list of ndarray, shape (n_theta,)
        The lowest first; empty where there are no such means to carry.
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
        ways = _Ways.of(design, found, theta, mean)
        places, value = ways.minima(), ways.price
        if cheap:
            places, value = np.vstack([places, ways.places(_PAIRS)]), lambda a: objective.scan(ways.theta(a))
        return list(ways.theta(_apart(places, value)))
    except np.linalg.LinAlgError:  # covariances so large that nothing can be told of the means
        return []


@dataclass(frozen=True)
class _Ways:
    """Ways in which covariance matrices may carry a mean: d = d₀ + Ka, of all carriers one below the other.

    Attributes
    ----------
    theta_about : ndarray, shape (n_theta,)
        θ of the covariances about the mean, Σ₀.
    begins : list of int
        First θ of each carrier.
    T : list of ndarray, shape (p, p)
        Templates of Σ₀, in natural units.
    scale : list of ndarray, shape (p,)
    d0 : list of ndarray, shape (p,)
        The shortest d, in natural units.
    K : list of ndarray, shape (p, q)
        What is free in it.
    M : list of ndarray, shape (J, p, p)
        Prices of the levels.
    """

    theta_about: np.ndarray
    begins: list[int]
    T: list[np.ndarray]
    scale: list[np.ndarray]
    d0: list[np.ndarray]
    K: list[np.ndarray]
    M: list[np.ndarray]

    @classmethod
    def of(cls, design: Design, found: list[_Carrier], theta: np.ndarray, mean: np.ndarray) -> "_Ways":
        """Those of a mean (N,), `theta` being that of the model with the means."""
        begins = [_first_theta(design, one.term) for one in found]
        terms, scale = [design.terms[one.term] for one in found], [one.scale for one in found]
        T = [_template(theta, first, len(s)) * s[:, None] for first, s in zip(begins, scale, strict=True)]
        M = [_level_prices(design, term, s, one) for term, s, one in zip(terms, scale, T, strict=True)]
        outside = np.hstack([one.outside for one in found])
        d0, K = np.linalg.lstsq(outside, mean, rcond=_DEPENDENT)[0], _null_space(outside)
        stops = np.cumsum([len(s) for s in scale])[:-1]
        return cls(theta, begins, T, scale, np.split(d0, stops), np.split(K, stops), M)

    def theta(self, a: np.ndarray) -> np.ndarray:
        """Put d₀ + Ka, for each a (s, q), into the covariance matrices: θ, shape (s, n_theta)."""
        out = np.tile(self.theta_about, (len(a), 1))
        for first, T, scale, d0, K in zip(self.begins, self.T, self.scale, self.d0, self.K, strict=True):
            _put(out, first, _with_directions(T, d0 + a @ K.T) / scale[:, None])
        return out

    def price(self, a: np.ndarray) -> np.ndarray:
        """Σ_j log(1 + d'M_j d) of each a (s, q): shape (s,)."""
        out: np.ndarray = np.log1p(self._prices(a)).sum(axis=1)
        return out

    def _prices(self, a: np.ndarray) -> np.ndarray:
        """d'M_j d of each a (s, q), and of the levels of all carriers: shape (s, ΣJ)."""
        return np.hstack([_prices(d0 + a @ K.T, M) for d0, K, M in zip(self.d0, self.K, self.M, strict=True)])

    def _quadratics(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """d'M_j d as functions of a, for each carrier: curvatures K'M_jK (J, q, q) and slopes K'M_j d₀ (J, q)."""
        products = [K.T @ M for K, M in zip(self.K, self.M, strict=True)]  # (J, q, p)
        return [(KM @ K, KM @ d0) for KM, K, d0 in zip(products, self.K, self.d0, strict=True)]

    def places(self, pairs: int) -> np.ndarray:
        """The a (s, q) that are best for all levels, for all but a carrier's, for one level, and for one of each."""
        if not self.K[0].shape[1]:
            return np.zeros((1, 0))
        quadratics = self._quadratics()
        whole = [(curvature.sum(axis=0), slope.sum(axis=0)) for curvature, slope in quadratics]
        total = _added(whole)
        own = [np.flatnonzero(np.trace(one, axis1=1, axis2=2) > 0) for one, _ in quadratics]
        sums = [(total[0] - curvature, total[1] - slope) for curvature, slope in whole]
        for (curvature, slope), levels in zip(quadratics, own, strict=True):
            some = levels[:: max(1, levels.size // _LEVELS)]
            sums += zip(curvature[some], slope[some], strict=True)
        if len(own) > 1 and all(levels.size for levels in own):
            rng = np.random.default_rng(0)
            chosen = [rng.choice(levels, pairs) for levels in own]
            each = [(one[at], other[at]) for (one, other), at in zip(quadratics, chosen, strict=True)]
            sums += zip(*_added(each), strict=True)
        A = np.array([total[0], *(one + _OTHERS * total[0] for one, _ in sums)])
        b = np.array([total[1], *(one + _OTHERS * total[1] for _, one in sums)])
        found = -np.einsum("sab,sb->sa", np.linalg.pinv(A, rcond=1e-9, hermitian=True), b)
        return np.vstack([np.zeros(len(total[1])), found])

    def minima(self) -> np.ndarray:
        """Where Σ_j log(1 + d'M_j d) has minima over a: shape (s, q), some of them the same.

        Each step minimises the majorising quadratic form Σ_j d'M_j d / (1 + d'M_j d), the denominators being the last
        d's.
        """
        a = self.places(0)
        q = a.shape[1]
        if not q:
            return a
        quadratics = self._quadratics()
        curvature = np.concatenate([one for one, _ in quadratics])
        slope = np.concatenate([one for _, one in quadratics])
        ridge = 1e-12 * np.trace(curvature.sum(axis=0)) * np.eye(q)
        for _ in range(_SWEEPS):
            weight = 1.0 / (1.0 + self._prices(a))
            left = (weight @ curvature.reshape(-1, q * q)).reshape(-1, q, q)
            left += ridge * weight.mean(axis=1)[:, None, None]
            a = -np.linalg.solve(left, (weight @ slope)[:, :, None])[:, :, 0]
        return a


def _added(quadratics: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Curvatures of all added up, and slopes."""
    return np.add.reduce([one for one, _ in quadratics]), np.add.reduce([one for _, one in quadratics])


def _apart(places: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The lowest of places (s, q), no two of which seem to be in one valley: shape (k, q), k <= _STARTS.

    In one valley a function is convex: halfway it is below the mean of both. `value` gives those of some places. As the
    covariances about the mean change on the way, what is one valley here may divide: where few are found, places low
    enough on its sides join them.
    """
    values = value(places)
    order = np.argsort(values, kind="stable")[:_LOOKED_AT]
    order = order[np.isfinite(values[order])]
    out: list[int] = []
    for i in order.tolist():
        halfway = value(0.5 * (places[out] + places[i])) if out else values[:0]
        if np.all(halfway > 0.5 * (values[out] + values[i])):
            out.append(i)
            if len(out) == _STARTS:
                break
    beside = order[values[order] < values[order].min(initial=np.inf) + _BESIDE]
    while len(out) < _LEAST:
        distances = np.linalg.norm(places[beside][:, None] - places[out], axis=2).min(axis=1, initial=np.inf)
        if not np.any((distances > 0) & np.isfinite(distances)):
            break
        out.append(int(beside[distances.argmax()]))
    return places[out]


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
        theta = np.zeros((1, units.size))
        for i, term in enumerate(design.terms):
            d = 10.0 ** rng.uniform(-2, top, term.p) * rng.normal(size=term.p)
            T = np.tril(rng.normal(size=(term.p, term.p)), -1) * 10.0 ** rng.uniform(-1, 1)
            _put(theta, _first_theta(design, i), _with_directions(T, d[None]))
        out.append(theta[0] * units)
    return out


def _first_theta(design: Design, term: int) -> int:
    return sum(one.p * (one.p + 1) // 2 for one in design.terms[:term])


def _template(theta: np.ndarray, begins: int, p: int) -> np.ndarray:
    T = np.zeros((p, p))
    cols, rows = np.triu_indices(p)  # the lower triangle, column by column
    T[rows, cols] = theta[begins : begins + rows.size]
    return T


def _put(theta: np.ndarray, begins: int, T: np.ndarray) -> None:
    """Write templates (s, p, p) into θ (s, n_theta), of which the first begins there."""
    cols, rows = np.triu_indices(T.shape[-1])
    theta[:, begins : begins + rows.size] = T[:, rows, cols]


def _with_directions(T: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Lower triangular factors of TT' + dd', their diagonals not negative, for each d (s, p): shape (s, p, p)."""
    stacked = np.concatenate([np.broadcast_to(T.T, (len(d), *T.shape)), d[:, None, :]], axis=1)
    R = np.linalg.qr(stacked, mode="r")
    signs = np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)
    return np.swapaxes(R * signs[:, :, None], 1, 2)


def _level_prices(design: Design, term: RandomTerm, scale: np.ndarray, T: np.ndarray) -> np.ndarray:
    """M_j = Z_j'(I + Z_jTT'Z_j')⁻¹Z_j of each level, in natural units: shape (J, p, p)."""
    Z = _weighted(design, term.columns) / scale
    out = np.empty((term.J, term.p, term.p))
    for a in range(term.p):
        for b in range(a + 1):
            out[:, a, b] = out[:, b, a] = np.bincount(term.codes, Z[:, a] * Z[:, b], minlength=term.J)
    M = np.linalg.solve(np.eye(term.p) + out @ (T @ T.T), out)
    return 0.5 * (M + np.swapaxes(M, 1, 2))


def _prices(d: np.ndarray, M: np.ndarray) -> np.ndarray:
    """d'M_j d of each d (s, p) and level: shape (s, J)."""
    J, p, _ = M.shape
    outer = (d[:, :, None] * d[:, None, :]).reshape(len(d), p * p)
    return np.maximum(outer @ M.reshape(J, p * p).T, 0.0)
