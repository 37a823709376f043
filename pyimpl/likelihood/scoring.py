"""Steps of the EM algorithm and of scoring, which go far where no quadratic model of the criterion does.

EM (Laird, Lange & Stout 1987, JASA 82, 97-105): TT' ← TT' − TT'G TT'/J, which for informative factors ends near the
minimum wherever it starts. Scoring is done in the inverse of TT', in which the scores are nearly linear (with balanced,
informative data they are linear).
"""

import cython
import numpy as np
from cython.cimports.libc.math import sqrt
from cython.cimports.pyimpl.likelihood.engine import Engine
from cython.cimports.pyimpl.likelihood.trust_region import cholesky_solve, eigen

__all__: list[str] = []

_EM_FACTOR = cython.declare(cython.double, 1e4)  # by which an eigenvalue of TT' may grow or fall in a step of EM
_SCORING_FACTOR = cython.declare(cython.double, 25.0)  # ... and of scoring


def scoring_step(engine: Engine, theta: cython.double[::1], first: cython.bint, out: cython.double[::1]):  # type: ignore[no-untyped-def]
    """Put θ after a step in TT' in `out`: of EM if it is the `first`, else of scoring.

    False where the information or a template is singular. TT' stays positive definite: see the factors above.
    """
    f: cython.Py_ssize_t
    k: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    c: cython.Py_ssize_t
    r: cython.Py_ssize_t
    total: cython.double
    gradient: cython.double[::1] = engine.gradient
    step: cython.double[::1] = out  # a factor's part is read before its new θ is written
    # between evaluations the engine's own information is a workspace
    if not first and not cholesky_solve(engine.information, gradient, engine._own_information, step):
        return False
    most: cython.double = _EM_FACTOR if first else _SCORING_FACTOR
    for f in range(engine.factors):
        p: cython.Py_ssize_t = engine.size[f]
        room: cython.double[:, :, ::1] = np.zeros((6, p, p))
        T: cython.double[:, ::1] = room[0]
        X: cython.double[:, ::1] = room[1]
        M: cython.double[:, ::1] = room[2]
        V: cython.double[:, ::1] = room[3]
        L: cython.double[:, ::1] = room[4]
        values: cython.double[::1] = room[5, 0]
        for k in range(engine.begin[f], engine.begin[f + 1]):
            T[engine.rows[k], engine.cols[k]] = theta[engine.place[k]]
            X[engine.rows[k], engine.cols[k]] = 0.5 * gradient[engine.place[k]] if first else step[engine.place[k]]
        for a in range(p):
            if T[a, a] == 0.0:
                return False
        if first:  # X = GT, lower triangle; M = I - T'GT/J
            for a in range(p):
                for c in range(a + 1):
                    total = 0.0
                    for r in range(a, p):
                        total += T[r, a] * X[r, c]
                    M[a, c] = -total / engine.levels[f]
                    M[c, a] = M[a, c]
        else:  # M = I + T^-1 dT + (T^-1 dT)'
            for a in range(p):
                for c in range(p):
                    total = X[a, c]
                    for b in range(a):
                        total -= T[a, b] * X[b, c]
                    X[a, c] = total / T[a, a]
            for a in range(p):
                for c in range(p):
                    M[a, c] = X[a, c] + X[c, a]
        for a in range(p):
            M[a, a] += 1.0
        eigen(M, L, values, V)
        if not first:  # 1 + x as 1 / (1 - x): the same step, in the inverse of TT'
            for a in range(p):
                values[a] = 1.0 / max(2.0 - values[a], 1.0 / most)
        for a in range(p):
            for b in range(a + 1):
                total = 0.0
                for c in range(p):
                    total += V[a, c] * min(max(values[c], 1.0 / most), most) * V[b, c]
                for c in range(b):
                    total -= L[a, c] * L[b, c]
                L[a, b] = sqrt(total) if a == b else total / L[b, b]
        for k in range(engine.begin[f], engine.begin[f + 1]):
            total = 0.0
            for c in range(engine.cols[k], engine.rows[k] + 1):
                total += T[engine.rows[k], c] * L[c, engine.cols[k]]
            out[engine.place[k]] = total
    return True
