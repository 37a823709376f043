"""Refits of one model to many responses: each is one compiled call, from the response to the minimum.

A search starts at another fit's minimum, so that there are few evaluations, and what is said about a fit (whether it is
singular, whether it converged) follows from numbers that the search has anyway. All else is made when it is asked for.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyimpl.compiled import kernel
from pyimpl.design.design import Design
from pyimpl.likelihood import nested, one_factor
from pyimpl.likelihood import several_factors as several
from pyimpl.likelihood import strata as stratified
from pyimpl.likelihood.block_structure import find_strata
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import SNAP, OptSummary, Point, natural_units, outcome
from pyimpl.likelihood.reduce import Blocks
from pyimpl.likelihood.responses import Responses, least_squares, new_response, project_rows, within_part
from pyimpl.likelihood.searches import HEARD
from pyimpl.likelihood.trust_region import compiled_workspace

__all__ = ["Minimum", "Refits"]

_EPS = float(np.finfo(float).eps)
# places in what the compiled functions return; θ, gradient, Hessian and log follow
_CODE, _INITIAL, _VALUE, _PRSS, _COUNT, _SQUARE, _STEPS, _HEAD = range(8)
# places in the state of a minimisation: the pivot last put at 0, sweeps over them, whether one stayed, evaluations,
# whether a minimum on the boundary is to be compared with that from a start inside
_AT, _SWEEP, _CHANGED, _TOTAL, _INSIDE = range(5)
_FIRST, _ELSEWHERE = -2, -3  # instead of a pivot: there has been no search; the search started inside
_FEWEST = 8  # evaluations for which a compiled search is begun
_SWEEPS = 3  # over the pivots that are nearly 0
_OVERFLOW = 3  # code of a response whose squares overflow, or that is not finite


@kernel
def _report(work, initial, prss, count, square):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Put the outcome of a search in one array."""
    x, g, B, _, _, floats, ints, log, _ = work
    n, steps = x.shape[0], ints[6]
    out = np.empty(_HEAD + 2 * n + n * n + 3 * steps)
    out[_CODE], out[_INITIAL], out[_VALUE], out[_PRSS] = ints[4], initial, floats[0], prss
    out[_COUNT], out[_SQUARE], out[_STEPS] = count, square, steps
    at = _HEAD
    for k in range(n):
        out[at + k] = x[k]
        out[at + n + k] = g[k]
        for i in range(n):
            out[at + 2 * n + k * n + i] = B[k, i]
    at += 2 * n + n * n
    for k in range(steps):
        for i in range(3):
            out[at + 3 * k + i] = log[k, i]
    return out


@kernel
def _failure():  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Return what is returned where there is nothing to search for."""
    out = np.zeros(_HEAD)
    out[_CODE] = _OVERFLOW
    return out


@kernel
def _inside_start(state, x, layout, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Put x with its pivots on the boundary at 1 in `out`, if that is wanted, and for the first time."""
    rows, cols, _ = layout
    wanted = state[_INSIDE] == 1
    state[_INSIDE], state[_AT] = 0, _ELSEWHERE
    any_at_0 = False
    for i in range(x.shape[0]):
        at_0 = rows[i] == cols[i] and abs(x[i]) < SNAP
        any_at_0 = any_at_0 or at_0
        out[i] = 1.0 if at_0 else x[i]
    return wanted and any_at_0


@kernel
def _boundary_start(state, x, units, layout, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Put x (θ / units) with its next pivot that is nearly 0 at 0 in `out`; False where there is nothing left to try.

    The pivot's column of the template T goes into the later ones, so that TT' changes by the pivot alone. `layout` has
    of each θ its row and column in which factor's template.
    """
    rows, cols, factor = layout
    n = x.shape[0]
    at = -1
    while at < 0:
        for i in range(state[_AT] + 1, n):
            if rows[i] == cols[i] and 0.0 < abs(x[i]) < SNAP:
                at = i
                break
        if at < 0:
            state[_SWEEP] += 1
            if state[_CHANGED] == 0 or state[_SWEEP] == _SWEEPS:
                return _inside_start(state, x, layout, out)
            state[_AT], state[_CHANGED] = -1, 0
    state[_AT] = at
    f, k = factor[at], rows[at]
    p, stop = 0, k + 1  # effects of the factor, and the end of the pivot's term
    for i in range(n):
        if factor[i] == f:
            p = max(p, rows[i] + 1)
            if cols[i] == k:
                stop = max(stop, rows[i] + 1)
    T = np.zeros((p, p))
    for i in range(n):
        if factor[i] == f:
            T[rows[i], cols[i]] = x[i] * units[i]
    v = T[:, k].copy()
    T[k:, k] = 0.0
    for i in range(k + 1, stop):  # rank-one update of the trailing triangle by Givens rotations
        r = np.hypot(T[i, i], v[i])
        if r == 0.0:
            continue
        cos, sin = T[i, i] / r, v[i] / r
        for a in range(i, stop):
            t = T[a, i]
            T[a, i] = cos * t + sin * v[a]
            v[a] = cos * v[a] - sin * t
    for i in range(n):
        out[i] = T[rows[i], cols[i]] / units[i] if factor[i] == f else x[i]
    return True


@kernel
def _accepted(state, work, trial, constant):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Whether the search in `trial` is to be kept.

    It is if it is the first one, if it stayed on the boundary and is no higher (its log is then the first's), or if it
    started inside and is lower.
    """
    state[_TOTAL] += trial[6][5]
    at = state[_AT]
    if at == _FIRST:
        state[_AT] = -1
        return True
    noise = 256 * _EPS * max(1.0, abs(work[5][0] + constant))
    if at == _ELSEWHERE:
        lower = trial[5][0] < work[5][0] - noise
        state[_AT] = -1 if lower else trial[0].shape[0]
        state[_SWEEP], state[_CHANGED] = 0, 0
        return lower
    if trial[0][at] != 0.0 or not trial[5][0] <= work[5][0] + noise:
        return False
    trial[7][:] = work[7]
    trial[6][6] = work[6][6]
    state[_CHANGED] = 1
    return True


@kernel
def _state(inside):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Where a minimisation is before its first search; `inside` as of its places."""
    state = np.zeros(5, dtype=np.int64)
    state[_AT], state[_INSIDE] = _FIRST, inside
    return state


@kernel
def _minimise_strata(data, layout, start, units, budget, df, REML, constant, square):  # type: ignore[no-untyped-def] # pragma: no cover
    """Search, and put what is nearly 0 exactly there where the criterion agrees."""
    n = units.shape[0]
    work, trial, parts, state = compiled_workspace(n), compiled_workspace(n), np.zeros(3), _state(1)
    # exact Newton steps from a start near the boundary may end there though another valley inside is lower
    x, initial, prss = start / units, np.nan, np.nan
    while True:
        value = stratified.search(x, units, budget, trial, data, df, REML, parts)
        if state[_AT] == _FIRST:
            initial = value
        if _accepted(state, work, trial, constant):
            work, trial, prss = trial, work, parts[2]
        if not _boundary_start(state, work[0], units, layout, x):
            return _report(work, initial, prss, state[_TOTAL], square)


@kernel("f1 (i1 f1 f1 b f2) (i1 f2 f2 f3 f2 f2) (i2 i1 f2 i1 i1 f2 f2) (i1 i1 i1) (f2 f1) f1 f1 i f b f")
def _refit_levels(y, rows, levels, others, layout, strata, start, units, budget, df, REML, constant):  # type: ignore[no-untyped-def] # pragma: no cover
    """One factor with one effect a level."""
    C, within, within_root, _, _, _, _, square = new_response(y, rows, levels, others)
    if not np.isfinite(square):
        return _failure()
    variances, counts = strata
    J = C.shape[0]
    data = variances, counts, C.reshape((J, C.shape[2])), np.zeros(J), within, within_root
    return _minimise_strata(data, layout, start, units, budget, df, REML, constant, square)


@kernel("f1 (i1 f1 f1 b f2) (i1 i1 i1) (f2 f1 f2 i1 b1 f2 f2 f2 f2) f1 f1 i f b f")
def _refit_strata(y, rows, layout, strata, start, units, budget, df, REML, constant):  # type: ignore[no-untyped-def] # pragma: no cover
    """Several factors with common eigenvectors."""
    variances, counts, directions, row_of, alone, X, within_basis, old_within, triangle = strata
    N, P, K = y.shape[0], X.shape[1], X.shape[0]
    order, offset, root, centre, basis = rows
    residual, coefficients = np.empty(N), np.empty(P)
    _, square, _ = least_squares(y, order, offset, root, centre, basis, residual, coefficients)
    if not np.isfinite(square):
        return _failure()
    along = np.empty(directions.shape[0])
    project_rows(directions, residual, along)
    lines, squares = np.zeros((K, P + 1)), np.zeros(K)
    lines[:, :P] = X
    for i in range(along.shape[0]):
        if alone[i]:
            lines[row_of[i], P] = along[i]
        else:
            squares[row_of[i]] += along[i] * along[i]
    within_root, within = triangle.copy(), old_within.copy()
    within_part(within_basis, residual, within_root, within)
    data = variances, counts, lines, squares, within, within_root
    return _minimise_strata(data, layout, start, units, budget, df, REML, constant, square)


@kernel("f1 (i1 f1 f1 b f2) (i1 f2 f2 f3 f2 f2) (i2 i1 f2 i1 i1 f2 f2) (i1 i1 i1) f1 f1 f1 f1 i f b f")
def _refit_nested(y, rows, levels, others, layout, outer, variances, start, units, budget, df, REML, constant):  # type: ignore[no-untyped-def] # pragma: no cover
    """Two factors, the one that is eliminated nested in the other; `outer` is the diagonal of ``Others.within``."""
    C, within, _, dense, _, _, _, square = new_response(y, rows, levels, others)
    if not np.isfinite(square):
        return _failure()
    columns, values = others[4], others[5]
    data = variances, values[:, 0], columns, C.reshape((C.shape[0], C.shape[2])), within, outer, dense
    inner = 0 if layout[2][0] < 0 else 1
    work, trial, parts, state = compiled_workspace(2), compiled_workspace(2), np.zeros(3), _state(1)
    x, initial, prss = start / units, np.nan, np.nan
    while True:
        value = nested.search(x, units, budget, trial, inner, data, df, REML, parts)
        if state[_AT] == _FIRST:
            initial = value
        if _accepted(state, work, trial, constant):
            work, trial, prss = trial, work, parts[2]
        if not _boundary_start(state, work[0], units, layout, x):
            return _report(work, initial, prss, state[_TOTAL], square)


@kernel("f1 (i1 f1 f1 b f2) (i1 f2 f2 f3 f2 f2) (i2 i1 f2 i1 i1 f2 f2) (i1 i1 i1) f3 f1 f1 i f b f")
def _refit_one_factor(y, rows, levels, others, layout, R, start, units, budget, df, REML, constant):  # type: ignore[no-untyped-def] # pragma: no cover
    """One factor with several effects a level."""
    C, within, within_root, _, _, _, _, square = new_response(y, rows, levels, others)
    if not np.isfinite(square):
        return _failure()
    n = units.shape[0]
    work, trial, parts, state = compiled_workspace(n), compiled_workspace(n), np.zeros(3), _state(0)
    x, initial, prss = start / units, np.nan, np.nan
    E, D, T, copies = np.empty(R.shape), np.empty(C.shape), np.zeros((R.shape[1], R.shape[1])), np.ones(R.shape[0])
    while True:
        value = one_factor.search(
            x, units, budget, trial, layout[0], layout[1], R, C, copies, within, within_root, df, REML, E, D, T, parts
        )
        if state[_AT] == _FIRST:
            initial = value
        if _accepted(state, work, trial, constant):
            work, trial, prss = trial, work, parts[2]
        if not _boundary_start(state, work[0], units, layout, x):
            return _report(work, initial, prss, state[_TOTAL], square)


@kernel(
    "f1 (i1 f1 f1 b f2) (i1 f2 f2 f3 f2 f2) (i2 i1 f2 i1 i1 f2 f2) (i1 i1 i1) (i1 i1 f2 i1 i1 i1) (f2 f2 f2 f2 f1) f3"
    " f1 f1 i f b f"
)
def _refit_several(y, rows, levels, others, layout, matrix, known, R, start, units, budget, df, REML, constant):  # type: ignore[no-untyped-def] # pragma: no cover
    """Several factors, those that are not eliminated small; `known` is what ``several_factors.factors`` gives."""
    C, within, _, dense, _, _, _, square = new_response(y, rows, levels, others)
    if not np.isfinite(square):
        return _failure()
    width, indptr, columns, values = others[1], others[3], others[4], others[5]
    first, begins, within_o, place, size, sizes = matrix
    line, col, factor = layout
    n, (q, m) = units.shape[0], dense.shape
    work, trial, parts, state = compiled_workspace(n), compiled_workspace(n), np.zeros(3), _state(0)
    x, initial, prss = start / units, np.nan, np.nan
    E, D, S, S2x, Q = np.empty(R.shape), np.empty(C.shape), np.empty((m, m)), np.empty((q, m)), np.zeros((m, m))
    U, S2, A, N, sums = known[0].copy(), known[1].copy(), known[2].copy(), known[3].copy(), known[4].copy()
    T, flat, copies = np.zeros((R.shape[1], R.shape[1])), np.zeros(begins[-1]), np.ones(R.shape[0])
    while True:
        value = several.search(
            x, units, budget, trial, df, REML, R, C, copies, within, first, width, begins, indptr, columns, values,
            within_o, dense, place, line, col, size, factor, T, flat, E, D, U, S, S2, S2x, A, N, Q, sums, parts, sizes,
            True, state[_AT] == _FIRST,
        )  # fmt: skip
        if state[_AT] == _FIRST:
            initial = value
        if _accepted(state, work, trial, constant):
            work, trial, prss = trial, work, parts[2]
        if not _boundary_start(state, work[0], units, layout, x):
            return _report(work, initial, prss, state[_TOTAL], square)


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where a search ended, as numbers.

    Attributes
    ----------
    numbers : ndarray
        What the compiled search returned.
    start : ndarray, shape (n_theta,)
        θ it started from.
    code : int
        ``OptSummary.return_code``.
    value : float
        The criterion.
    prss : float
        r².
    square : float
        Σy².
    least_pivot : float
        Smallest diagonal element of the templates, +inf where there is none.
    largest : float
        Largest element of θ, in its natural unit.
    """

    numbers: np.ndarray
    start: np.ndarray
    code: int
    value: float
    prss: float
    square: float
    least_pivot: float
    largest: float

    def plain_derivatives(self, units: list[float]) -> tuple[list[float], np.ndarray]:
        """Gradient, and the Hessian (n_theta, n_theta) or its approximation, in θ but for the signs of columns."""
        gradient, hessian = self._derivatives()
        if len(units) == 1:
            return [float(gradient[0]) / units[0]], hessian / units[0] ** 2
        scale = np.array(units)
        return (gradient / scale).tolist(), hessian / np.outer(scale, scale)

    def _derivatives(self) -> tuple[np.ndarray, np.ndarray]:
        n = self.start.size
        at = _HEAD + n
        return self.numbers[at : at + n], self.numbers[at + n : at + n + n * n].reshape(n, n)

    def summary(self, objective: Objective, budget: int) -> OptSummary:
        """Everything about the search, `objective` being what was minimised."""
        n, count = self.start.size, int(self.numbers[_COUNT])
        trace = self.numbers[_HEAD + 2 * n + n * n :].reshape(-1, 3).copy()
        gradient, information = self._derivatives()
        point = Point(
            x=self.numbers[_HEAD : _HEAD + n],
            value=self.value,
            gradient=gradient,
            information=information,
            code=self.code,
            trace=trace,
            initial=float(self.numbers[_INITIAL]) + objective.constant,
            prss=self.prss,
        )
        return outcome(objective, point, self.start, natural_units(objective.blocks), budget, count, count)


class Refits:
    """A model, to be fitted to many responses. Threads may share it: what it keeps of its last start is put in whole.

    Parameters
    ----------
    design : Design
    blocks : Blocks
        Of that design.
    objective : Objective
        Of these blocks.

    Attributes
    ----------
    design : Design
    blocks : Blocks
    responses : Responses
    units : list of float
        Natural unit of each θ.
    df : float
        n, or n − p.
    """

    def __init__(self, design: Design, blocks: Blocks, objective: Objective) -> None:
        self.design, self.blocks, self.responses = design, blocks, Responses(design, blocks)
        self._units = natural_units(blocks)
        self.units: list[float] = self._units.tolist()
        self._pivots = np.flatnonzero(blocks.lower == 0.0).tolist()
        self.df = objective.df
        self._constant = objective.constant
        self._cost = max(objective.cost, 1.0)
        self._criterion = float(objective.df), objective.REML, objective.constant
        self._strata: tuple[Any, ...] | None = None
        self._outer: tuple[np.ndarray, np.ndarray] | None = None
        self._matrix: tuple[np.ndarray, ...] | None = None
        self._kept: tuple[np.ndarray, tuple[np.ndarray, ...]] | None = None
        n = blocks.n_theta
        rows, cols, factor = (np.empty(n, dtype=np.int64) for _ in range(3))
        for f, one in enumerate(blocks.factors):  # numbered as those that are not eliminated are
            rows[one.theta], cols[one.theta], factor[one.theta] = one.rows, one.cols, f - 1
        self._layout = rows, cols, factor
        strata = find_strata(design, blocks)
        if strata is not None and len(blocks.factors) == 1:
            self._strata = strata.variances, strata.counts
        elif strata is not None:
            self._strata = (
                strata.variances, strata.counts, strata.directions, strata.rows, strata.alone, strata.X,
                strata.within_basis, strata.within, strata.triangle,
            )  # fmt: skip
        elif (data := nested.nested_data(blocks)) is not None:
            self._outer = data[5], data[0]
        else:
            self._matrix = objective.compiled_layout

    def minimum(self, y: np.ndarray, start: np.ndarray, budget: int) -> Minimum | None:
        """Search for the minimum for one response.

        Parameters
        ----------
        y : ndarray of float, shape (N,), contiguous
        start : ndarray, shape (n_theta,)
            θ, said to be near the minimum.
        budget : int
            Evaluations of the criterion.

        Returns
        -------
        Minimum or None
            None where it takes more than a compiled search that is over in a moment, or the response is not finite. Its
            code may be 2: another start may lead farther.
        """
        limit = int(HEARD / self._cost)
        if limit < _FEWEST:
            return None
        if self._strata is None and self._outer is None and self._matrix is None:
            return None
        responses, single = self.responses, len(self.blocks.factors) == 1
        search = start, self._units, min(budget, limit), *self._criterion
        blocks = y, responses.rows, responses.levels, responses.others, self._layout
        if self._strata is not None and single:
            numbers = _refit_levels(*blocks, self._strata, *search)
        elif self._strata is not None:
            numbers = _refit_strata(y, responses.rows, self._layout, self._strata, *search)
        elif self._outer is not None:
            numbers = _refit_nested(*blocks, *self._outer, *search)
        elif single:
            numbers = _refit_one_factor(*blocks, self.blocks.R, *search)
        else:
            assert self._matrix is not None
            numbers = _refit_several(*blocks, self._matrix, self._factors(start), self.blocks.R, *search)
        values = numbers.tolist()
        code, value, prss, square = int(values[_CODE]), values[_VALUE] + self._constant, values[_PRSS], values[_SQUARE]
        if code == _OVERFLOW or not math.isfinite(value) or (code == 1 and limit < budget):
            return None
        x = [abs(one) for one in values[_HEAD : _HEAD + start.size]]
        least = math.inf
        for i in self._pivots:
            least = min(least, x[i] * self.units[i])
        return Minimum(numbers, start, code, value, prss, square, least, max(x))

    def _factors(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """What ``several_factors.factors`` gives at θ: the last one's is kept, as many refits begin at the same."""
        kept = self._kept
        if kept is None or not np.array_equal(kept[0], theta):
            blocks, matrix = self.blocks, self._matrix
            assert blocks.others is not None
            assert matrix is not None
            first, begins, within, place, size, _ = matrix
            rows, cols, _ = self._layout
            others, (J, p), m = blocks.others, blocks.R.shape[:2], blocks.P + 1
            q, T, flat, copies = others.q, np.zeros((p, p)), np.zeros(int(begins[-1])), np.ones(J)
            several.templates(theta, place, rows, cols, size, T, flat)
            E, U, sums = np.empty((J, p, p)), np.empty_like(others.values), np.empty(flat.size + p * p + 1)
            S2, A, N = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
            one_factor.eliminate(blocks.R, blocks.C, copies, T, E, np.empty((J, p, m)), np.zeros((m, m)))
            several.factors(
                blocks.R, copies, first, others.p, begins, others.indptr, others.columns, others.values, within, T,
                flat, E, U, S2, A, N, sums,
            )  # fmt: skip
            self._kept = kept = theta.copy(), (U, S2, A, N, sums)
        return kept[1]
