"""The proposal of independence Metropolis and of importance sampling: a mixture of multivariate t distributions.

It is fitted to weighted draws: one t by their moments, several by population Monte Carlo (Cappé et al. 2008).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln

__all__ = ["Proposal", "efficiency_of", "fitted", "normalised", "split", "update", "with_tails"]

_DF = 5.0  # heavier tails than any posterior with a few groups has


def _factors(covariances: np.ndarray) -> np.ndarray:
    """Lower Cholesky factors, of the correlations: one coordinate may be a billion times narrower than another."""
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    correlations = covariances / (sd[..., :, None] * sd[..., None, :])
    return sd[..., :, None] * np.linalg.cholesky(correlations + 1e-10 * np.eye(sd.shape[-1]))


@dataclass(frozen=True)
class Proposal:
    """A mixture of multivariate t distributions.

    Attributes
    ----------
    shares : ndarray, shape (K,)
    means : ndarray, shape (K, d)
    factors : ndarray, shape (K, d, d)
        Lower Cholesky factors of the scale matrices.
    """

    shares: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray) -> "Proposal":
        """One t."""
        return cls.mixture(np.ones(1), mean[None], covariance[None])

    @classmethod
    def mixture(cls, shares: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> "Proposal":
        """Several, of these covariance matrices, shape (K, d, d)."""
        return cls(shares, means, _factors(covariances))

    @property
    def mean(self) -> np.ndarray:
        """Mean of the mixture."""
        return self.shares @ self.means

    @property
    def factor(self) -> np.ndarray:
        """Cholesky factor of the mixture's scale."""
        scatter = self.means - self.mean
        scale = np.einsum("k,kij,klj->il", self.shares, self.factors, self.factors)
        return _factors(scale + np.einsum("k,ki,kj->ij", self.shares, scatter, scatter))

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """``n`` points, shape (n, d)."""
        d = self.means.shape[1]
        z = rng.standard_normal((n, d)) / np.sqrt(rng.chisquare(_DF, n) / _DF)[:, None]
        component = rng.choice(self.shares.size, size=n, p=self.shares)
        out = np.empty((n, d))
        for k in range(self.shares.size):
            mine = component == k
            out[mine] = self.means[k] + z[mine] @ self.factors[k].T
        return out

    def by_component(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log share plus log density of each component, and squared Mahalanobis distances, shapes (K, n)."""
        d = self.means.shape[1]
        constant = gammaln(0.5 * (_DF + d)) - gammaln(0.5 * _DF) - 0.5 * d * np.log(_DF * np.pi)
        distance = np.empty((self.shares.size, len(u)))
        for k in range(self.shares.size):
            z = solve_triangular(self.factors[k], np.eye(d), lower=True) @ (u - self.means[k]).T
            distance[k] = np.einsum("ij,ij->j", z, z)
        log_scale = np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(axis=1)
        offset = np.log(self.shares) + constant - log_scale
        return offset[:, None] - 0.5 * (_DF + d) * np.log1p(distance / _DF), distance

    def log_density(self, u: np.ndarray) -> np.ndarray:
        """Log density, shape (n,)."""
        parts, _ = self.by_component(u)
        return parts[0] if len(parts) == 1 else np.logaddexp.reduce(parts, axis=0)


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Weights whose sum is 1, shape (n,)."""
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def efficiency_of(log_weights: np.ndarray) -> float:
    """Relative effective sample size of importance sampling, 1 / (n Σ w²)."""
    weights = normalised(log_weights)
    return float(1.0 / (weights.size * np.sum(weights**2)))


def _tempered(log_weights: np.ndarray, least: int) -> np.ndarray:
    """Flatten log weights until the effective sample size is `least` (Koblents & Míguez 2015, Stat. Comput. 25).

    Of fewer points than coordinates no covariance matrix can be estimated: that of one point is 0.
    """
    finite = np.isfinite(log_weights)
    least = min(least, int(finite.sum()) // 2)
    if log_weights.size * efficiency_of(log_weights) >= least:
        return log_weights
    low, high = 0.0, 1.0
    for _ in range(50):
        power = 0.5 * (low + high)
        tried = np.where(finite, power * np.where(finite, log_weights, 0.0), -np.inf)
        low, high = (power, high) if tried.size * efficiency_of(tried) >= least else (low, power)
    return np.where(finite, low * np.where(finite, log_weights, 0.0), -np.inf)


def fitted(u: np.ndarray, log_weights: np.ndarray) -> Proposal:
    """Fit a t with the weighted moments; the largest weights are cut at √n times the mean (Ionides 2008)."""
    weights = normalised(_tempered(log_weights, 4 * u.shape[1]))
    weights = np.minimum(weights, 1 / np.sqrt(weights.size))
    weights /= weights.sum()
    mean = weights @ u
    centred = u - mean
    covariance = (centred * weights[:, None]).T @ centred
    # too few effective points: shrink towards the diagonal
    effective = 1.0 / np.sum(weights**2)
    keep = effective / (effective + 2 * mean.size)
    covariance = keep * covariance + (1 - keep) * np.diag(np.diag(covariance))
    return Proposal.of(mean, covariance)


def with_tails(proposal: Proposal, axes: list[int]) -> Proposal:
    """Add a component for each log τ that reaches down: where a variance may be 0 the posterior falls only as τ."""
    share, sd = min(0.04, 0.2 / len(axes)), 1.5
    count = len(axes)
    mean, factor = proposal.mean, proposal.factor
    means, covariances = np.repeat(mean[None], count, axis=0), np.repeat((factor @ factor.T)[None], count, axis=0)
    for k, axis in enumerate(axes):
        means[k, axis] -= sd
        covariances[k, axis, axis] += sd**2
    return Proposal(
        np.concatenate([(1 - share * count) * proposal.shares, np.full(count, share)]),
        np.concatenate([proposal.means, means]),
        np.concatenate([proposal.factors, _factors(covariances)]),
    )


def split(proposal: Proposal, u: np.ndarray, log_weights: np.ndarray, K: int, rng: np.random.Generator) -> Proposal:
    """Begin a mixture: components at weighted points, and the whole t kept as one of them."""
    single = fitted(u, log_weights)
    weights = np.minimum(normalised(log_weights), 1 / np.sqrt(len(u)))
    chosen = rng.choice(len(u), size=K, p=weights / weights.sum())
    covariance = single.factors[0] @ single.factors[0].T
    means = np.concatenate([single.means, single.means + 0.8 * (u[chosen] - single.means)])
    covariances = np.concatenate([1.3 * covariance[None], np.repeat(0.5 * covariance[None], K, axis=0)])
    return Proposal.mixture(np.full(K + 1, 1 / (K + 1)), means, covariances)


def update(proposal: Proposal, u: np.ndarray, log_weights: np.ndarray) -> Proposal:
    """One step of population Monte Carlo for mixtures of t (Cappé et al. 2008, Statistics and Computing 18, sec. 4).

    The first component stays wide (the global moments), so that no tail is forgotten; each other one is shrunk towards
    the global covariance by as much as its effective sample is small.
    """
    d = u.shape[1]
    weights = np.minimum(normalised(log_weights), 1 / np.sqrt(len(u)))
    weights /= weights.sum()
    effective = 1 / np.sum(weights**2)
    parts, distance = proposal.by_component(u)
    membership = weights * np.exp(parts - np.logaddexp.reduce(parts, axis=0))
    robust = membership * (_DF + d) / (_DF + distance)
    shares = membership.sum(axis=1)
    single = fitted(u, log_weights)
    covariance = single.factors[0] @ single.factors[0].T
    means, covariances = proposal.means.copy(), np.empty((shares.size, d, d))
    for k in range(shares.size):
        total = robust[k].sum()
        if k == 0 or not total > 0:
            means[k], covariances[k] = single.means[0], 1.3 * covariance
            continue
        means[k] = robust[k] @ u / total
        centred = u - means[k]
        own = (centred * robust[k][:, None]).T @ centred / max(shares[k], 1e-12)
        count = effective * shares[k]
        keep = count / (count + 2 * d)
        covariances[k] = keep * own + (1 - keep) * 0.5 * covariance
    shares = np.maximum(shares, 0.02)
    shares[0] = max(shares[0], 0.15)
    return Proposal.mixture(shares / shares.sum(), means, covariances)
