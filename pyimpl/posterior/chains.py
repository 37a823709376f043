"""Loops along chains, compiled: independence Metropolis, autocovariances, autocorrelation time."""

import cython
import numpy as np
from cython.cimports.libc.math import INFINITY, NAN

__all__ = ["autocorrelation_time", "independence_chain", "mean_autocovariance"]


def independence_chain(
    log_weights: cython.double[::1], log_uniform: cython.double[::1], start: cython.double, thin: cython.Py_ssize_t
) -> tuple:
    """Run an independence chain.

    Parameters
    ----------
    log_weights : ndarray, shape (n,)
        Of the proposals.
    log_uniform : ndarray, shape (n,)
    start : float
        Log weight of the state that the chain starts at.
    thin : int

    Returns
    -------
    kept : ndarray, shape (n // thin,)
        Indices of the kept states (−1: the starting state).
    accepted : int
    """
    n: cython.Py_ssize_t = log_weights.shape[0]
    kept = np.empty(n // thin, dtype=np.int64)
    into: cython.longlong[::1] = kept
    i: cython.Py_ssize_t
    left: cython.Py_ssize_t = thin
    place: cython.Py_ssize_t = 0
    state: cython.Py_ssize_t = -1
    accepted: cython.Py_ssize_t = 0
    current: cython.double = start
    for i in range(n):
        if log_uniform[i] < log_weights[i] - current:
            state, current = i, log_weights[i]
            accepted += 1
        left -= 1
        if left == 0:
            into[place] = state
            place += 1
            left = thin
    return kept, accepted


def mean_autocovariance(x: cython.double[:, ::1], lags: cython.Py_ssize_t) -> np.ndarray:
    """Biased autocovariances at the first lags, mean over the chains.

    Parameters
    ----------
    x : ndarray, shape (chains, draws)
    lags : int

    Returns
    -------
    ndarray, shape (lags,)
    """
    m: cython.Py_ssize_t = x.shape[0]
    n: cython.Py_ssize_t = x.shape[1]
    result = np.zeros(lags)
    out: cython.double[::1] = result
    centred: cython.double[::1] = np.empty(n)
    c: cython.Py_ssize_t
    i: cython.Py_ssize_t
    lag: cython.Py_ssize_t
    mean: cython.double
    s0: cython.double
    s1: cython.double
    s2: cython.double
    s3: cython.double
    for c in range(m):
        mean = 0.0
        for i in range(n):
            mean += x[c, i]
        mean /= n
        for i in range(n):
            centred[i] = x[c, i] - mean
        for lag in range(lags):
            s0 = s1 = s2 = s3 = 0.0
            i = lag
            while i + 4 <= n:  # four sums, so that no addition waits for the one before it
                s0 += centred[i] * centred[i - lag]
                s1 += centred[i + 1] * centred[i + 1 - lag]
                s2 += centred[i + 2] * centred[i + 2 - lag]
                s3 += centred[i + 3] * centred[i + 3 - lag]
                i += 4
            while i < n:
                s0 += centred[i] * centred[i - lag]
                i += 1
            out[lag] += (s0 + s1) + (s2 + s3)
    for lag in range(lags):
        out[lag] /= m * n
    return result


def autocorrelation_time(
    acov: cython.double[::1], between: cython.double, n: cython.Py_ssize_t, improved: cython.bint
) -> float:
    """Integrated autocorrelation time from the first autocovariances, by Geyer's initial monotone sequence.

    Parameters
    ----------
    acov : ndarray, shape (lags,)
    between : float
        Variance of the chains' means.
    n : int
        Draws of a chain.
    improved : bool
        With the last positive even term (Vehtari et al. 2021).

    Returns
    -------
    float
        nan where more autocovariances are needed.
    """
    lags: cython.Py_ssize_t = acov.shape[0]
    # the Stan of rstan 2.21 divides each lag by its own number of terms
    within: cython.double = acov[0] * n / (n - 1)
    total: cython.double = within * (n - 1) / n + between
    tau: cython.double = -1.0
    smallest: cython.double = INFINITY
    even: cython.double
    odd: cython.double
    rho_even: cython.double
    both: cython.double
    pair: cython.Py_ssize_t
    for pair in range(lags // 2):
        even, odd = acov[2 * pair], acov[2 * pair + 1]
        if not improved:
            even, odd = even * n / (n - 2 * pair), odd * n / (n - 2 * pair - 1)
        rho_even = 1.0 - (within - even) / total if pair > 0 else 1.0
        both = rho_even + 1.0 - (within - odd) / total
        if both < 0.0:
            return tau + max(rho_even, 0.0) if improved else tau
        smallest = min(smallest, both)
        tau += 2.0 * smallest
    if lags < n:
        return NAN
    return tau + max(1.0 - (within - acov[n - 1]) / total, 0.0) if improved else tau
