"""A trust-region Newton method that asks for its evaluations, so that compiled and other functions share it.

The caller owns the loop: it evaluates the function at :attr:`trial`, hands value, gradient and a symmetric matrix of
second derivatives to :func:`absorb`, and goes on until that says that the search is over. Both functions are compiled
and work on arrays made by :func:`workspace`.

The matrix may be exact, an approximation, or absent, when symmetric rank-one updates alone carry it (Nocedal & Wright
2006, sections 4.3 and 6.2). What such updates add to an approximation is kept from step to step, as what an
approximation lacks changes little near the minimum: only then is its convergence superlinear.

The last step is one that no value would tell from none: it is taken without another evaluation.
"""

from collections.abc import Callable

import numpy as np

from pyimpl.compiled import kernel

__all__ = [
    "ABSENT",
    "APPROXIMATE",
    "EXACT",
    "absorb",
    "begin",
    "cholesky_solve",
    "compiled_workspace",
    "eigen",
    "lowest_eigenvalue",
    "minimise",
    "trust_region_step",
    "workspace",
]

EXACT, APPROXIMATE, ABSENT = 0, 1, 2

_EPS = float(np.finfo(float).eps)
_NOISE = 64 * _EPS  # rounding of a value, relative
#: A search is over where no step, relative to the point, is longer and no gradient larger than this: with an exact
#: matrix, with one that updates have corrected, and with updates alone. A step leaves its square, or about a hundredth.
_LAST = ((1e-7, 1e-6), (1e-8, 1e-6), (1e-11, 1e-9))
_DOUBTED = 100.0  # times the noise: a decrease that a matrix without its updates must not predict where a search ends
_MOST_DOUBTS = 16
# places in the integer workspace
_PHASE, _POLISHED, _ESCAPES, _CANDIDATE, _CODE, _COUNT, _LOGGED, _STARTED, _DOUBTS = range(9)
# places in the float workspace
_F, _RADIUS, _PREDICTED = range(3)
_FIRST, _ORDINARY, _POLISHING, _ESCAPING = range(4)
_LOG = 400  # accepted steps that are remembered

#: x, gradient, matrix, trial point, direction of escape, floats, integers, log of accepted steps, what the updates have
#: added to the matrix.
Workspace = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray
]

#: The same in a kernel's signature.
WORK = "(f1 f1 f2 f1 f1 f1 i1 f2 f2)"


def workspace(n: int) -> Workspace:
    """Arrays for a search over n coordinates: see :data:`Workspace`."""
    return (
        np.zeros(n), np.zeros(n), np.zeros((n, n)), np.zeros(n), np.zeros(n), np.zeros(3), np.zeros(9, dtype=np.int64),
        np.zeros((_LOG, 3)), np.zeros((n, n)),
    )  # fmt: skip


@kernel
def compiled_workspace(n):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Do what :func:`workspace` does, for searches that are compiled as a whole."""
    return (
        np.zeros(n), np.zeros(n), np.zeros((n, n)), np.zeros(n), np.zeros(n), np.zeros(3), np.zeros(9, dtype=np.int64),
        np.empty((_LOG, 3)), np.zeros((n, n)),
    )  # fmt: skip


@kernel
def cholesky_solve(B, g, s):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Solve Bs = −g; False where B is not (numerically) positive definite."""
    n = g.shape[0]
    L = np.empty((n, n))
    for a in range(n):
        for b in range(a + 1):
            total = B[a, b]
            for c in range(b):
                total -= L[a, c] * L[b, c]
            if a == b:
                if not total > 1e-14 * abs(B[a, a]):
                    return False
                L[a, a] = np.sqrt(total)
            else:
                L[a, b] = total / L[b, b]
    for a in range(n):
        total = -g[a]
        for c in range(a):
            total -= L[a, c] * s[c]
        s[a] = total / L[a, a]
    for a in range(n - 1, -1, -1):
        total = s[a]
        for c in range(a + 1, n):
            total -= L[c, a] * s[c]
        s[a] = total / L[a, a]
    return True


@kernel("f2 f1 f2")
def eigen(B, values, V):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Eigenvalues and eigenvectors (columns) of a small symmetric matrix by Jacobi rotations."""
    n = B.shape[0]
    A = B.copy()
    V[:] = 0.0
    for a in range(n):
        V[a, a] = 1.0
    for _ in range(60):
        off = 0.0
        size = 0.0
        for a in range(n):
            size += A[a, a] * A[a, a]
            for b in range(a):
                off += A[a, b] * A[a, b]
        if off <= 1e-32 * size or off == 0.0:
            break
        for a in range(1, n):
            for b in range(a):
                x = A[a, b]
                if x == 0.0:
                    continue
                tau = (A[a, a] - A[b, b]) / (2.0 * x)
                t = (1.0 if tau >= 0 else -1.0) / (abs(tau) + np.sqrt(1.0 + tau * tau))
                c = 1.0 / np.sqrt(1.0 + t * t)
                s = t * c
                for k in range(n):
                    left, right = A[k, b], A[k, a]
                    A[k, b] = c * left - s * right
                    A[k, a] = s * left + c * right
                for k in range(n):
                    left, right = A[b, k], A[a, k]
                    A[b, k] = c * left - s * right
                    A[a, k] = s * left + c * right
                    left, right = V[k, b], V[k, a]
                    V[k, b] = c * left - s * right
                    V[k, a] = s * left + c * right
    for a in range(n):
        values[a] = A[a, a]


@kernel
def lowest_eigenvalue(B, direction):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Return the lowest eigenvalue of a symmetric matrix, and put its eigenvector in `direction`."""
    n = B.shape[0]
    values, V = np.empty(n), np.empty((n, n))
    eigen(B, values, V)
    k = 0
    for a in range(1, n):
        if values[a] < values[k]:
            k = a
    for a in range(n):
        direction[a] = V[a, k]
    return values[k]


@kernel
def trust_region_step(B, g, radius, s):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Put the minimiser of g's + s'Bs/2 within the radius in `s` (Moré & Sorensen 1983)."""
    n = g.shape[0]
    if cholesky_solve(B, g, s):
        square = 0.0
        for a in range(n):
            square += s[a] * s[a]
        if square <= radius * radius:
            return
    values, V = np.empty(n), np.empty((n, n))
    eigen(B, values, V)
    low = 0
    for a in range(1, n):
        if values[a] < values[low]:
            low = a
    lowest = values[low]
    c = np.zeros(n)
    for a in range(n):
        for k in range(n):
            c[k] += V[a, k] * g[a]
    z = np.zeros(n)
    # Newton's method on 1/|s(shift)| - 1/radius, from the right of the pole
    floor = max(0.0, -lowest)
    shift = floor + max(1e-12 * max(1.0, abs(lowest)), abs(c[low]) / radius * 1e-3)
    bound = floor
    length = 0.0
    for _ in range(60):
        square, slope = 0.0, 0.0
        for k in range(n):
            gap = values[k] + shift
            z[k] = -c[k] / gap
            square += z[k] * z[k]
            slope += z[k] * z[k] / gap
        length = np.sqrt(square)
        if length > radius:
            bound = shift
        if abs(length - radius) <= 1e-3 * radius or (length < radius and shift - floor <= 1e-10 * max(1.0, floor)):
            break
        if slope <= 0.0:
            break
        moved = shift + (length / radius - 1.0) * length * length / slope
        shift = moved if moved > bound else 0.5 * (shift + bound)
    if length < 0.9 * radius and lowest < 0:  # the hard case: go on along the lowest eigenvector
        rest = np.sqrt(max(radius * radius - length * length, 0.0))
        z[low] += rest if c[low] <= 0 else -rest
    elif length > radius:
        for k in range(n):
            z[k] *= radius / length
    for a in range(n):
        total = 0.0
        for k in range(n):
            total += V[a, k] * z[k]
        s[a] = total


@kernel
def _rank_one(B, added, s, y):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Symmetric rank-one update, in place: Bs = y afterwards, and `added` has it too."""
    n = s.shape[0]
    rest = np.empty(n)
    bottom, size_rest, size_s = 0.0, 0.0, 0.0
    for a in range(n):
        total = y[a]
        for b in range(n):
            total -= B[a, b] * s[b]
        rest[a] = total
        bottom += total * s[a]
        size_rest += total * total
        size_s += s[a] * s[a]
    if abs(bottom) > 1e-8 * np.sqrt(size_rest * size_s):
        for a in range(n):
            for b in range(n):
                update = rest[a] * rest[b] / bottom
                B[a, b] += update
                added[a, b] += update


@kernel
def _renew(work, H_new, kind, step, change):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Take the matrix of an accepted point, with what updates have added, and update it by the step that led there."""
    _, _, B, _, _, _, _, _, added = work
    if kind != ABSENT:
        B[:] = H_new + added
    if kind != EXACT:
        _rank_one(B, added, step, change)


@kernel(f"{WORK} f1")
def begin(work, start):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Start a search: the first trial is `start`."""
    _, g, _, trial, _, floats, ints, _, added = work
    g[:] = 0.0
    added[:] = 0.0
    trial[:] = start
    floats[_F] = np.inf
    floats[_RADIUS] = 1.0
    ints[:] = 0


@kernel
def _decrease(B, g, s):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Decrease that the quadratic model predicts for the step s."""
    n = s.shape[0]
    predicted = 0.0
    for a in range(n):
        inner = 0.0
        for b in range(n):
            inner += B[a, b] * s[b]
        predicted -= s[a] * (g[a] + 0.5 * inner)
    return predicted


@kernel
def _propose(work, kind):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Choose the next trial from the present point; True when there is nothing left to try."""
    x, g, B, trial, direction, floats, ints, _, added = work
    n = x.shape[0]
    s = np.empty(n)
    trust_region_step(B, g, floats[_RADIUS], s)
    predicted = _decrease(B, g, s)
    noise = _NOISE * max(1.0, abs(floats[_F]))
    if predicted < noise and kind == APPROXIMATE:
        # what updates have added from farther away, along a ridge, may hide that there is more to gain
        plain, other = B - added, np.empty(n)
        trust_region_step(plain, g, 1.0, other)
        gain = _decrease(plain, g, other)
        if gain >= _DOUBTED * noise:
            if ints[_DOUBTS] == _MOST_DOUBTS:
                ints[_CODE] = 2
                return True
            ints[_DOUBTS] += 1
            floats[_RADIUS] = 1.0
            B[:] = plain
            added[:] = 0.0
            s[:] = other
            predicted = gain
    floats[_PREDICTED] = predicted
    for a in range(n):
        trial[a] = x[a] + s[a]
    if predicted >= noise:
        ints[_PHASE] = _ORDINARY
        return False
    if ints[_ESCAPES] < 4:
        size = 1.0
        for a in range(n):
            for b in range(n):
                size = max(size, abs(B[a, b]))
        if lowest_eigenvalue(B, direction) < -1e-7 * size:
            # a saddle, such as T_kk = 0 where a positive variance is better: leave along the curvature
            ints[_ESCAPES] += 1
            ints[_CANDIDATE] = 0
            ints[_PHASE] = _ESCAPING
            for a in range(n):
                trial[a] = x[a] + 0.3 * direction[a]
            return False
    # the objective's last digit says no more; the gradient does
    ints[_PHASE] = _POLISHING
    worst, longest, size = 0.0, 0.0, 0.0
    for a in range(n):
        worst = max(worst, abs(g[a]))
        longest = max(longest, abs(s[a]))
        size = max(size, abs(x[a]))
    shortest, flattest = _LAST[kind]
    if longest <= shortest * size and worst <= flattest:
        x[:] = trial
        return True
    return ints[_POLISHED] > 6


@kernel
def _accept(work, f, g_new):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    x, g, _, trial, _, floats, ints, log, _ = work
    x[:] = trial
    g[:] = g_new
    floats[_F] = f
    at = ints[_LOGGED]
    if at < log.shape[0]:
        log[at, 0] = ints[_COUNT]
        log[at, 1] = f
        worst = 0.0
        for a in range(g.shape[0]):
            worst = max(worst, abs(g[a]))
        log[at, 2] = worst
        ints[_LOGGED] = at + 1


@kernel(f"{WORK} f f1 f2 i i")
def absorb(work, f_new, g_new, H_new, kind, budget):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Take the evaluation at the trial point; True when the search is over.

    `kind` says what H_new is: EXACT, APPROXIMATE or ABSENT (used at the first point all the same).
    The point is then in the workspace's x, value in its floats[0]; ints[4] is 0 (converged), 1 (budget spent) or 2
    (no further progress), ints[5] counts the evaluations.
    """
    x, g, B, trial, direction, floats, ints, _, added = work
    n = x.shape[0]
    ints[_COUNT] += 1
    if ints[_COUNT] >= budget:
        if f_new < floats[_F] or ints[_STARTED] == 0:
            _accept(work, f_new, g_new)
            B[:] = H_new
        ints[_CODE] = 1
        return True
    f = floats[_F]
    finite = np.isfinite(f_new)
    for a in range(n):
        finite = finite and np.isfinite(g_new[a])
    noise = _NOISE * max(1.0, abs(f)) if np.isfinite(f) else 0.0
    phase = ints[_PHASE]
    if phase == _FIRST:
        if not finite:
            for a in range(n):
                trial[a] *= 0.5
            return False
        ints[_STARTED] = 1
        _accept(work, f_new, g_new)
        B[:] = H_new
        return _propose(work, kind)
    if phase == _ESCAPING:
        if finite and f_new < f - noise:
            _accept(work, f_new, g_new)
            if kind != ABSENT:
                B[:] = H_new
                added[:] = 0.0
            floats[_RADIUS] = 1.0
            return _propose(work, kind)
        ints[_CANDIDATE] += 1
        k = ints[_CANDIDATE]
        if k < 6:
            size = (0.3 if k < 2 else 0.03 if k < 4 else 0.003) * (1.0 if k % 2 == 0 else -1.0)
            for a in range(n):
                trial[a] = x[a] + size * direction[a]
            return False
        ints[_ESCAPES] = 4
        return _propose(work, kind)
    step, change = np.empty(n), np.empty(n)
    square, before, after = 0.0, 0.0, 0.0
    for a in range(n):
        step[a] = trial[a] - x[a]
        change[a] = g_new[a] - g[a]
        square += step[a] * step[a]
        before += g[a] * g[a]
        after += g_new[a] * g_new[a]
    if phase == _POLISHING:
        if not (finite and after < 0.25 * before):
            return True
        ints[_POLISHED] += 1
        _accept(work, min(f, f_new), g_new)
        _renew(work, H_new, kind, step, change)
        return _propose(work, kind)
    length = np.sqrt(square)
    ratio = -1.0
    if finite:
        actual = f - f_new
        if abs(actual) < 1e3 * noise:  # trapezoid: more digits than the difference of two values
            actual = 0.0
            for a in range(n):
                actual -= 0.5 * (g[a] + g_new[a]) * step[a]
        ratio = actual / floats[_PREDICTED]
    if ratio < 0.25:
        floats[_RADIUS] = 0.25 * length
    elif ratio > 0.75 and length > 0.8 * floats[_RADIUS]:
        floats[_RADIUS] *= 4.0
    if ratio > 1e-4:
        _accept(work, f_new, g_new)
        _renew(work, H_new, kind, step, change)
    else:
        if finite and kind != EXACT:
            _rank_one(B, added, step, change)
        size = 1.0
        for a in range(n):
            size = max(size, abs(x[a]))
        if floats[_RADIUS] < 1e-12 * size:
            ints[_CODE] = 2
            return True
    return _propose(work, kind)


def minimise(
    function: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]], start: np.ndarray, budget: int, kind: int
) -> tuple[np.ndarray, float, int]:
    """Minimise a function that returns value, gradient and a matrix of the given kind.

    Parameters
    ----------
    function : callable
    start : ndarray, shape (n,)
    budget : int
        Calls.
    kind : {EXACT, APPROXIMATE, ABSENT}

    Returns
    -------
    x : ndarray, shape (n,)
    value : float
    code : int
        0 converged, 1 budget spent, 2 no further progress.
    """
    work = workspace(start.size)
    begin(work, start)
    while not absorb(work, *function(work[3]), kind, budget):
        pass
    return work[0].copy(), float(work[5][0]), int(work[6][_CODE])
