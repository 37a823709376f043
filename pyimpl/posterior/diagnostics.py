"""Diagnostics of draws: R-hat, effective sample sizes, Pareto k-hat; vectorised over parameters.

Two families stand side by side, because two are asked for: what ``rstan::summary`` prints (split R-hat and the ESS of
Stan's C++, of the raw draws), and the rank-normalised ones (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021,
Bayesian Analysis 16(2)) that decide whether a fit is good enough.

Own code, not ArviZ's, because importing ArviZ takes longer than the whole fit; the tests compare the two.
"""

import numpy as np
from scipy import fft
from scipy.special import ndtri

from pyimpl.posterior.chains import autocorrelation_time, mean_autocovariance

__all__ = ["assess", "ess_bulk", "ess_tail", "mcse_mean", "pareto_k", "rhat_rank", "stan_ess", "stan_rhat"]


_AUTOCOVARIANCES = 4_000_000  # numbers in a batch of them: memory
_DIRECT = 16  # lags up to which autocovariances are summed directly: a good sampler's chains need a few only


def _autocovariance(x: np.ndarray) -> np.ndarray:
    """Biased autocovariances along the last axis."""
    n = x.shape[-1]
    centred = x - x.mean(axis=-1, keepdims=True)
    size = fft.next_fast_len(2 * n, real=True)
    transform = fft.rfft(centred, size, axis=-1)
    return fft.irfft(transform.real**2 + transform.imag**2, size, axis=-1)[..., :n] / n


def _ess(x: np.ndarray, improved: bool) -> np.ndarray:
    """ESS by Geyer's initial monotone sequence of paired autocorrelations.

    Parameters
    ----------
    x : ndarray, shape (parameters, chains, draws)
    improved : bool
        With the truncation and the cap of Vehtari et al. (2021); without them as ``rstan::summary``.

    Returns
    -------
    ndarray, shape (parameters,)
        nan for a constant or non-finite parameter.
    """
    k, m, n = x.shape
    out = np.full(k, np.nan)
    if n <= 3:
        return out
    floor = 1 / np.log10(m * n)  # rstan:::rstan_ess caps at S log10(S), and so does the improved one
    for i in range(k):
        values = np.ascontiguousarray(x[i], dtype=np.float64)
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)) or low == high:
            continue
        between = values.mean(axis=1).var(ddof=1) if m > 1 else 0.0
        tau = autocorrelation_time(mean_autocovariance(values, min(_DIRECT, n)), between, n, improved)
        if np.isnan(tau):
            tau = autocorrelation_time(_autocovariance(values).mean(axis=0), between, n, improved)
        out[i] = m * n / max(tau, floor)
    return out


def _split(x: np.ndarray) -> np.ndarray:
    half = x.shape[2] // 2
    return np.concatenate([x[:, :, :half], x[:, :, -half:]], axis=1)


def _rhat(x: np.ndarray) -> np.ndarray:
    n = x.shape[2]
    within = x.var(axis=2, ddof=1).mean(axis=1)
    between = x.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(between / within + (n - 1) / n)


def _rank_normalise(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    n = flat.shape[1]
    scores = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    out = np.empty(flat.shape)
    for row, values in zip(out, flat, strict=True):
        order = values.argsort()
        row[order] = scores
        ordered = values[order]
        new = ordered[1:] != ordered[:-1]
        if not new.all():  # ties: the score of their mean rank
            first = np.concatenate([[0], np.flatnonzero(new) + 1])
            count = np.diff(np.append(first, n))
            row[order] = np.repeat(ndtri((first + (count + 1) / 2 - 0.375) / (n + 0.25)), count)
        if np.isnan(ordered[-1]):
            row[:] = np.nan
    return out.reshape(x.shape)


def stan_rhat(x: np.ndarray) -> np.ndarray:
    """Split R-hat of raw draws, as in ``rstan::summary``; x has shape (parameters, chains, draws)."""
    return _rhat(_split(x))


def stan_ess(x: np.ndarray) -> np.ndarray:
    """``n_eff`` of ``rstan::summary``; x has shape (parameters, chains, draws)."""
    return _ess(x, improved=False)


def ess_mean(x: np.ndarray, *, inflated: bool = False) -> np.ndarray:
    """``loo:::ess_rfun``: ESS of the mean of unsplit chains, as ``relative_eff`` takes it before loo 2.9.

    Parameters
    ----------
    x : ndarray, shape (parameters, chains, draws)
    inflated : bool
        With loo's autocovariances from before 2.6: too large by the size of the Fourier transform over the number of
        draws, where that has prime factors above 5.

    Returns
    -------
    ndarray, shape (parameters,)
        nan for a constant or non-finite parameter, and for fewer than 3 draws a chain.
    """
    k, m, n = x.shape
    out = np.full(k, np.nan)
    if n < 3:
        return out
    usable = np.isfinite(x).all(axis=(1, 2))
    usable &= np.where(usable, x.max(axis=(1, 2)) > x.min(axis=(1, 2)), False)
    at_once = max(1, _AUTOCOVARIANCES // (m * n))
    for chosen in np.array_split(np.flatnonzero(usable), max(1, -(-int(usable.sum()) // at_once))):
        values = x[chosen]
        between = values.mean(axis=2).var(axis=1, ddof=1) if m > 1 else np.zeros(len(values))
        acov = _autocovariance(values).mean(axis=1)
        if inflated:
            acov *= fft.next_fast_len(n, real=True) / n
        out[chosen] = m * n / np.maximum(_loo_tau(acov, between), 1 / np.log10(m * n))
    return out


def _loo_tau(acov: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Integrated autocorrelation times as ``loo:::ess_rfun`` and ``posterior:::.ess`` count them.

    Geyer's monotone sequence, as :func:`~pyimpl.posterior.chains.autocorrelation_time`, but two lags are treated
    otherwise: the pairs end five lags before the chain's end (the last one gives its even lag alone), and a first pair
    that is negative gives 2.

    Parameters
    ----------
    acov : ndarray, shape (parameters, draws)
        Biased autocovariances, mean over the chains.
    between : ndarray, shape (parameters,)
        Variance of the chains' means.
    """
    k, n = acov.shape
    within = acov[:, :1] * n / (n - 1)
    rho = 1.0 - (within - acov) / (acov[:, :1] + between[:, None])
    rho[:, 0] = 1.0
    count = max(0, -(-(n - 5) // 2))  # pairs that may be followed by another
    pairs = rho[:, 0 : 2 * count + 2 : 2] + rho[:, 1 : 2 * count + 2 : 2]
    positive = pairs[:, :count] > 0  # nan ends the sequence
    ends = np.where(positive.all(axis=1), count, np.argmin(positive, axis=1) if count else 0)
    rows = np.arange(k)
    even = rho[rows, 2 * ends]
    last = np.where((even > 0) | (pairs[rows, ends] >= 0), even, 0.0)
    monotone = np.minimum.accumulate(pairs, axis=1)
    before = np.where(np.arange(count + 1) < ends[:, None], monotone, 0.0).sum(axis=1)
    # R's 1:0 takes the first autocorrelation
    return -1.0 + 2.0 * np.where(ends == 0, 1.0, before) + last


def ess_mean_split(x: np.ndarray) -> np.ndarray:
    """``posterior::ess_mean``: ESS of the mean of chains split in half; x has shape (parameters, chains, draws)."""
    return ess_mean(_split(x))


def rhat_rank(x: np.ndarray) -> np.ndarray:
    """Rank-normalised split R-hat: the larger of that of the draws and of the folded draws."""
    split = _split(x)
    folded = np.abs(split - np.median(split.reshape(len(split), -1), axis=1)[:, None, None])
    return np.maximum(_rhat(_rank_normalise(split)), _rhat(_rank_normalise(folded)))


def ess_bulk(x: np.ndarray) -> np.ndarray:
    """Bulk ESS: of rank-normalised split chains; x has shape (parameters, chains, draws)."""
    return _ess(_rank_normalise(_split(x)), improved=True)


def ess_tail(x: np.ndarray) -> np.ndarray:
    """Tail ESS: the smaller of those of the indicators of the 5% and 95% quantiles."""
    flat = x.reshape(len(x), -1)
    both = []
    for prob in (0.05, 0.95):
        below = x <= np.quantile(flat, prob, axis=1)[:, None, None]
        both.append(_ess(_split(below.astype(np.float64)), improved=True))
    return np.minimum(both[0], both[1])


def assess(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bulk ESS, tail ESS and rank-normalised R-hat, with their common work done once.

    Parameters
    ----------
    x : ndarray, shape (parameters, chains, draws)

    Returns
    -------
    bulk, tail, rhat : ndarray, each (parameters,)
        nan for fewer than 4 draws a chain.
    """
    if x.shape[2] < 4:  # halves of one draw have no variance
        return (np.full(len(x), np.nan),) * 3
    split = _split(x)
    normalised = _rank_normalise(split)
    folded = np.abs(split - np.median(split.reshape(len(split), -1), axis=1)[:, None, None])
    rhat = np.maximum(_rhat(normalised), _rhat(_rank_normalise(folded)))
    return _ess(normalised, improved=True), ess_tail(x), rhat


def mcse_mean(x: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean: sd / sqrt(ESS of the raw split chains)."""
    return x.reshape(len(x), -1).std(axis=1, ddof=1) / np.sqrt(_ess(_split(x), improved=True))


def pareto_k(log_weights: np.ndarray) -> float:
    """Shape of the generalised Pareto distribution that fits the largest importance weights.

    Below 0.7 importance sampling is reliable (Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25); fitted as in
    Zhang & Stephens (2009, Technometrics 51), with the weak prior of PSIS.

    Parameters
    ----------
    log_weights : ndarray, shape (n,)

    Returns
    -------
    float
    """
    finite = np.sort(log_weights[np.isfinite(log_weights)])
    n = log_weights.size
    tail = min(int(np.ceil(min(0.2 * n, 3 * np.sqrt(n)))), finite.size - 1)
    if tail < 5:
        return float("inf")
    weights = np.exp(finite - finite[-1])
    excess = weights[-tail:] - weights[-tail - 1]
    if excess[-1] <= 0:
        return float("-inf")  # all the largest weights are equal
    excess = excess[excess > 0]
    size = excess.size
    grid = 30 + int(np.sqrt(size))
    b = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    b = b / (3 * excess[int(size / 4 + 0.5) - 1]) + 1 / excess[-1]
    k = np.log1p(-b[:, None] * excess).mean(axis=1)
    profile = size * (np.log(-b / k) - k - 1)
    with np.errstate(over="ignore"):
        posterior = 1 / np.exp(profile - profile[:, None]).sum(axis=1)
    posterior[posterior < 10 * np.finfo(float).eps] = 0.0
    posterior /= posterior.sum()
    mean_b = np.sum(b * posterior)
    shape = np.log1p(-mean_b * excess).mean()
    return float((size * shape + 10 * 0.5) / (size + 10))
