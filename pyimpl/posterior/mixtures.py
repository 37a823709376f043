"""Coefficient priors that are normal given scales of their own: laplace, lasso, hs, hs_plus, product_normal.

Each writes a coefficient as ``β_k = m_k + s_k z_k`` with ``z_k ~ Normal(0, 1)`` and a random scale ``s_k``. Given the
scales the coefficients are Gaussian, and can be integrated out. Two sets of variables stand side by side:

* Stan's (:meth:`NormalMixture.beta`, :meth:`NormalMixture.log_prior`): the blocks ``global``, ``local``, ``caux``,
  ``mix`` and ``one_over_lambda`` of positive numbers, which follow ``z_beta`` in the unconstrained vector as logs;
* normal scores (:meth:`NormalMixture.sd`): each independent scale σ_j with distribution function F_j is given as
  ``v_j = Φ⁻¹(F_j(σ_j))``, so that a priori v ~ Normal(0, I), however heavy the scale's tails are. The collapsed density
  has these as coordinates.

With λ_k, η_k, g half-t, c² = slab_scale² caux and τ = σ global_scale g the scales are

===================  =================================================================================================
``laplace``          ``s_k = scale_k √(2 mix_k)``, mix ~ Exponential(1)
``lasso``            ``s_k = scale_k λ⁻¹ √(2 mix_k)``, one λ⁻¹ ~ χ²(df₁) for all coefficients
``hs``               ``s_k = τ λ_k / √(1 + τ² λ_k² / c²)``, caux ~ InvGamma(slab_df/2, slab_df/2)
``hs_plus``          the same with λ_k η_k for λ_k
``product_normal``   ``s_k = scale_k^df_k |z_k2 ⋯ z_k,df|``: the factors beyond the first, each standard normal
===================  =================================================================================================

Source: rstanarm 2.21.3's Stan program (``priors_glm``, ``tparameters_glm``, ``hs_prior``, ``hsplus_prior``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import (
    betaincinv,
    erfcinv,
    erfinv,
    gammainccinv,
    gammaincinv,
    gammaln,
    log_ndtr,
    ndtr,
)

from pyimpl.posterior.specification import HS, HS_PLUS, LAPLACE, LASSO, MIXTURES, PRODUCT_NORMAL, ResolvedPrior

__all__ = ["BLOCKS", "MAX_SCORE", "NormalMixture"]

#: Beyond this normal score (a probability of 1e-300) a scale would not be what its distribution says, but infinite.
MAX_SCORE = 37.0

#: Stan's blocks of scales, in the order of the unconstrained vector (between ``z_beta`` and ``z_b``).
BLOCKS = ("global", "local", "caux", "mix", "one_over_lambda")

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)
_LOG_2 = np.log(2.0)


# ---------------------------------------------------------------------- quantile functions at normal scores
# Each takes the tail that is small, so that no digit is lost in either.
def _tails(v: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    return np.where(v < 0, lower, upper)


def _exponential(v: np.ndarray) -> np.ndarray:
    """Exponential(1)."""
    return _tails(v, -np.log1p(-ndtr(np.minimum(v, 0.0))), -log_ndtr(-np.maximum(v, 0.0)))


def _half_normal(v: np.ndarray) -> np.ndarray:
    return np.sqrt(2.0) * _tails(v, erfinv(ndtr(v)), erfcinv(ndtr(-v)))


def _half_t(v: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """|t| with ``df`` degrees of freedom: t²/(df + t²) ~ Beta(1/2, df/2)."""
    small = ndtr(-np.abs(v))
    if np.all(np.asarray(df) == 1.0):
        at = np.tan(0.5 * np.pi * small)
        return _tails(v, at, 1.0 / at)
    half = 0.5 * np.asarray(df)
    low, high = betaincinv(0.5, half, small), betaincinv(half, 0.5, small)
    return np.sqrt(df * _tails(v, low / (1.0 - low), (1.0 - high) / high))


def _chi_square(v: np.ndarray, df: float) -> np.ndarray:
    small = ndtr(-np.abs(v))
    return 2.0 * _tails(v, gammaincinv(0.5 * df, small), gammainccinv(0.5 * df, small))


def _inverse_gamma(v: np.ndarray, a: float) -> np.ndarray:
    """InvGamma(a, a)."""
    small = ndtr(-np.abs(v))
    return a / _tails(v, gammainccinv(a, small), gammaincinv(a, small))


# ---------------------------------------------------------------------- log densities of logarithms
def _log_half_normal(log_x: np.ndarray) -> np.ndarray:
    return _LOG_2 - _HALF_LOG_2PI - 0.5 * np.exp(2 * log_x) + log_x


def _log_inverse_gamma(log_x: np.ndarray, a: np.ndarray | float) -> np.ndarray:
    a = np.asarray(a, dtype=np.float64)
    return a * np.log(a) - gammaln(a) - a * log_x - a * np.exp(-log_x)


@dataclass(frozen=True)
class NormalMixture:
    """One of these priors, for K coefficients.

    Attributes
    ----------
    prior : ResolvedPrior
        With ``dist`` in ``specification.MIXTURES``.
    K : int
    """

    prior: ResolvedPrior
    K: int

    @classmethod
    def of(cls, prior: ResolvedPrior, K: int) -> "NormalMixture | None":
        """The mixture, or None for a prior that is none (flat, normal, Cornish-Fisher t)."""
        return cls(prior, K) if prior.dist in MIXTURES else None

    # ------------------------------------------------------------------ Stan's variables
    @cached_property
    def block_lengths(self) -> dict[str, int]:
        """Lengths of Stan's blocks of scales."""
        dist, K = self.prior.dist, self.K
        hs = self._locals
        lengths = (hs, hs * K, int(hs > 0), K * (dist in (LAPLACE, LASSO)), int(dist == LASSO))
        return dict(zip(BLOCKS, lengths, strict=True))

    @property
    def _locals(self) -> int:
        """Stan's local scales of one coefficient: two parts of each half-t."""
        return {HS: 2, HS_PLUS: 4}.get(self.prior.dist, 0)

    @cached_property
    def factors(self) -> np.ndarray:
        """Number of z's of each coefficient, shape (K,): 1, or the factors of ``product_normal``."""
        return self.prior.df.astype(int) if self.prior.dist == PRODUCT_NORMAL else np.ones(self.K, dtype=int)

    @property
    def num_z(self) -> int:
        """Length of ``z_beta``."""
        return int(self.factors.sum())

    def beta(self, z: np.ndarray, logs: Mapping[str, np.ndarray], sigma: np.ndarray) -> np.ndarray:
        """Coefficients from Stan's variables.

        Parameters
        ----------
        z : ndarray, shape (n, num_z)
        logs : mapping
            The blocks as logarithms, each of shape (n, length).
        sigma : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n, K)
        """
        prior, dist = self.prior, self.prior.dist
        if dist == PRODUCT_NORMAL:
            starts = np.concatenate([[0], np.cumsum(self.factors)[:-1]])
            product = np.multiply.reduceat(z, starts, axis=1) if self.K else z
            return prior.mean + prior.scale**self.factors * product
        if dist in (LAPLACE, LASSO):
            s = prior.scale * np.sqrt(2 * np.exp(logs["mix"]))
            return prior.mean + (s * np.exp(logs["one_over_lambda"]) if dist == LASSO else s) * z
        local = logs["local"].reshape(len(z), self._locals, self.K)
        log_lambda = local[:, 0] + 0.5 * local[:, 1]
        if dist == HS_PLUS:
            log_lambda = log_lambda + local[:, 2] + 0.5 * local[:, 3]
        tau = np.exp(logs["global"][:, 0] + 0.5 * logs["global"][:, 1]) * prior.global_scale * sigma
        return _slab(tau[:, None] * np.exp(log_lambda), prior.slab_scale**2 * np.exp(logs["caux"])) * z

    def log_prior(self, logs: Mapping[str, np.ndarray]) -> np.ndarray | float:
        """Log density of the scales' logarithms (that of z is not in it), shape (n,).

        rstanarm declares four ``global`` scales for ``hs_plus`` and uses two: the others have no prior and no effect,
        but their Jacobian (their logarithm) is in Stan's density.
        """
        prior, dist = self.prior, self.prior.dist
        if dist == PRODUCT_NORMAL:
            return 0.0
        if dist in (LAPLACE, LASSO):
            out = np.sum(logs["mix"] - np.exp(logs["mix"]), axis=1)
            if dist == LASSO:
                half, log_x = 0.5 * prior.df[0], logs["one_over_lambda"][:, 0]
                out = out + half * (log_x - _LOG_2) - gammaln(half) - 0.5 * np.exp(log_x)
            return out
        g = logs["global"]
        out = _log_half_normal(g[:, 0]) + _log_inverse_gamma(g[:, 1], 0.5 * prior.global_df) + g[:, 2:].sum(axis=1)
        out = out + _log_inverse_gamma(logs["caux"][:, 0], 0.5 * prior.slab_df)
        local = logs["local"].reshape(len(g), self._locals, self.K)
        for j, df in enumerate((prior.df, prior.scale)[: self._locals // 2]):
            # Stan's program normalises K half-normals with one log 2 (``normal_lpdf(local[1] | 0, 1) - log_half``)
            out = out + np.sum(_log_half_normal(local[:, 2 * j]), axis=1) - (self.K - 1) * _LOG_2
            out = out + np.sum(_log_inverse_gamma(local[:, 2 * j + 1], 0.5 * df), axis=1)
        return out

    # ------------------------------------------------------------------ normal scores
    @property
    def widths(self) -> list[int]:
        """Numbers of normal scores of each kind of scale, in their order."""
        return [width for _, width in self._widths]

    @cached_property
    def _widths(self) -> list[tuple[str, int]]:
        """Names and numbers of the independent scales."""
        dist, K = self.prior.dist, self.K
        if dist == PRODUCT_NORMAL:
            return [("factor", self.num_z - K)]
        if dist in (LAPLACE, LASSO):
            return [("mix", K), *([("one_over_lambda", 1)] if dist == LASSO else [])]
        return [("local", K), *([("local2", K)] if dist == HS_PLUS else []), ("global", 1), ("caux", 1)]

    @property
    def dim(self) -> int:
        """Number of normal scores."""
        return sum(self.widths)

    def labels(self, coefficients: Sequence[str]) -> list[str]:
        """Name the normal scores."""
        names: list[str] = []
        for name, width in self._widths:
            if name == "factor":
                names += [
                    f"{name}[{c},{j}]" for c, m in zip(coefficients, self.factors, strict=True) for j in range(1, m)
                ]
            elif name in ("global", "caux", "one_over_lambda"):
                names.append(name)
            else:
                names += [f"{name}[{c}]" for c in coefficients[:width]]
        return [f"normal score of {name}" for name in names]

    def _split(self, v: np.ndarray) -> dict[str, np.ndarray]:
        out, at = {}, 0
        for name, width in self._widths:
            out[name] = v[:, at : at + width]
            at += width
        return out

    def _product(self, absolute: np.ndarray) -> np.ndarray:
        """Product of each coefficient's factors beyond the first, shape (n, K)."""
        owner = np.repeat(np.arange(self.K), self.factors - 1)
        starts = np.searchsorted(owner, np.arange(self.K))
        return np.multiply.reduceat(absolute, starts, axis=1)

    def sd(self, v: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Standard deviations of the coefficients given the scales.

        Parameters
        ----------
        v : ndarray, shape (n, dim)
            Normal scores.
        sigma : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n, K)
        """
        prior, dist, part = self.prior, self.prior.dist, self._split(v)
        if self.K == 0:
            return np.empty((len(v), 0))
        if dist == PRODUCT_NORMAL:
            return prior.scale**self.factors * self._product(_half_normal(part["factor"]))
        if dist in (LAPLACE, LASSO):
            s = prior.scale * np.sqrt(2 * _exponential(part["mix"]))
            return s * _chi_square(part["one_over_lambda"], prior.df[0]) if dist == LASSO else s
        local = _half_t(part["local"], prior.df)
        if dist == HS_PLUS:
            local = local * _half_t(part["local2"], prior.scale)
        tau = _half_t(part["global"], prior.global_df) * prior.global_scale * sigma[:, None]
        return _slab(tau * local, prior.slab_scale**2 * _inverse_gamma(part["caux"], 0.5 * prior.slab_df))

    # ------------------------------------------------------------------ from normal scores to Stan's variables
    def stan_variables(
        self, v: np.ndarray, deviation: np.ndarray, sd: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stan's variables at given coefficients and normal scores; what these leave open is drawn.

        A half-t scale is ``l₁ √l₂`` in Stan with l₁ half-normal and l₂ inverse gamma: given λ = l₁ √l₂,
        ``l₂ ~ InvGamma((df + 1)/2, (df + λ²)/2)``. The signs of a product's factors are equally likely. The two unused
        global scales of ``hs_plus``, which have no distribution, are 1.

        Parameters
        ----------
        v : ndarray, shape (n, dim)
        deviation : ndarray, shape (n, K)
            Coefficients less their prior means.
        sd : ndarray, shape (n, K)
            What they were drawn with: :meth:`sd`, or more where that is too small to matter.
        rng : numpy.random.Generator

        Returns
        -------
        z : ndarray, shape (n, num_z)
        logs : ndarray, shape (n, sum of the block lengths)
            In the order of :data:`BLOCKS`.
        """
        prior, dist, part, n = self.prior, self.prior.dist, self._split(v), len(v)
        # a scale that underflows leaves z undetermined: the coefficient is at its mean whatever z is
        z = np.where(sd > 0, deviation / np.where(sd > 0, sd, 1.0), 0.0)
        if dist == PRODUCT_NORMAL:
            out = np.empty((n, self.num_z))
            absolute = _half_normal(part["factor"])
            signs = rng.choice([-1.0, 1.0], size=absolute.shape)
            first = np.concatenate([[0], np.cumsum(self.factors)[:-1]]).astype(int)
            rest = np.setdiff1d(np.arange(self.num_z), first)
            out[:, rest] = signs * absolute
            if self.K:
                out[:, first] = z * self._product(signs)
            return out, np.empty((n, 0))
        if dist in (LAPLACE, LASSO):
            logs = [np.log(_exponential(part["mix"]))]
            if dist == LASSO:
                logs.append(np.log(_chi_square(part["one_over_lambda"], prior.df[0])))
            return z, np.concatenate(logs, axis=1)
        pieces = [_two_parts(_half_t(part["global"], prior.global_df), prior.global_df, rng)]
        if dist == HS_PLUS:
            pieces.append(np.zeros((n, 2)))
        pieces.append(_two_parts(_half_t(part["local"], prior.df), prior.df, rng))
        if dist == HS_PLUS:
            pieces.append(_two_parts(_half_t(part["local2"], prior.scale), prior.scale, rng))
        pieces.append(np.log(_inverse_gamma(part["caux"], 0.5 * prior.slab_df)))
        return z, np.concatenate(pieces, axis=1)


def _slab(s: np.ndarray, c2: np.ndarray) -> np.ndarray:
    """``√(c² s² / (c² + s²))``, without overflow of s²."""
    return s / np.hypot(1.0, s / np.sqrt(c2))


def _two_parts(scale: np.ndarray, df: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """Log of Stan's two parts of half-t scales: all first parts, then all second parts; shape (n, 2 · columns)."""
    second = 0.5 * (df + scale**2) / rng.gamma(0.5 * (np.asarray(df) + 1), size=scale.shape)
    return np.concatenate([np.log(scale) - 0.5 * np.log(second), np.log(second)], axis=1)
