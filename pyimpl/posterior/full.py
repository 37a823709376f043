"""The full posterior density of rstanarm's Gaussian ``stan_lmer``, on Stan's unconstrained scale.

Order of the unconstrained vector (``rstan::unconstrain_pars``): γ | z_β | logs of the coefficient prior's scales
(``global``, ``local``, ``caux``, ``mix``, ``one_over_lambda``, as far as the prior has them) | z_b (term by term, level
by level, effects fastest, the padded ``_NEW_`` level last) | z_T | logit ρ | log ζ | log τ | log of sigma's unscaled
parameter. All constants and the Jacobian are kept, so values equal
``rstan::log_prob(fit, upars, adjust_transform = TRUE)``.

What each piece means is in :mod:`pyimpl.posterior.covariance` (T from τ, ζ, ρ and z_T), in
:mod:`pyimpl.posterior.mixtures` (scales of the coefficients) and in :mod:`pyimpl.posterior.specification` (priors).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betaln, expit, gammaln

from pyimpl.errors import ModelError
from pyimpl.posterior.covariance import build_T, row_slices, split_T
from pyimpl.posterior.labels import Sigma_labels, b_labels
from pyimpl.posterior.mixtures import BLOCKS, NormalMixture
from pyimpl.posterior.specification import EXPONENTIAL, FLAT, NORMAL, STUDENT_T, Specification

__all__ = ["FullDensity", "cornish_fisher_t", "log_student_t"]

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)
_LOG_2 = np.log(2.0)
#: Points are evaluated in chunks of about this many linear predictors.
_CHUNK = 4_000_000


def cornish_fisher_t(z: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """Cornish-Fisher expansion of the t quantile at the normal quantile z, to order 4 in 1/df.

    Abramowitz & Stegun (1964), 26.7.5; rstanarm's Stan function ``CFt``.
    """
    s = z * z
    v = np.asarray(df, dtype=np.float64)
    first = (s + 1) / 4
    second = ((5 * s + 16) * s + 3) / 96
    third = (((3 * s + 19) * s + 17) * s - 15) / 384
    fourth = ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160
    return z * (1 + first / v + second / v**2 + third / v**3 + fourth / v**4)


def _log_normal(z: np.ndarray) -> np.ndarray:
    """Sum over the last axis of the standard normal log density."""
    return -0.5 * np.einsum("...i,...i->...", z, z) - z.shape[-1] * _HALF_LOG_2PI


def log_student_t(z: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """Log density of the standard Student t."""
    return (
        gammaln(0.5 * (df + 1)) - gammaln(0.5 * df) - 0.5 * np.log(df * np.pi) - 0.5 * (df + 1) * np.log1p(z * z / df)
    )


def _log_sigmoid(u: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -u)


@dataclass(frozen=True, eq=False)
class Beyond:
    """What Stan's unconstrained vector holds beyond the parameters: it does not change the model.

    Drawn from its priors (the scales aside, which are the coefficient prior's own).

    Attributes
    ----------
    zeta_total : ndarray, shape (points, terms with p > 1)
        Sums of ζ.
    z_T_norm : ndarray, shape (points, rows k >= 3 of all terms)
        Length of each z_T.
    z_T_unused : ndarray, shape (points, unused z_T)
    scales : ndarray, shape (points, ·), or None
        Logs of the coefficient prior's scales, needed where it has any (``product_normal`` has all its factors among
        the coefficients).
    """

    zeta_total: np.ndarray
    z_T_norm: np.ndarray
    z_T_unused: np.ndarray
    scales: np.ndarray | None


@dataclass(frozen=True)
class FullDensity:
    """The full posterior density of a :class:`~pyimpl.posterior.specification.Specification`.

    Attributes
    ----------
    spec : Specification
    """

    spec: Specification

    @cached_property
    def mixture(self) -> NormalMixture | None:
        """The coefficient prior's scales, None where it has none."""
        return NormalMixture.of(self.spec.coef, self.spec.K)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each block stands in the unconstrained vector.

        gamma, z_beta, the five blocks of scales (empty unless the coefficient prior has them), z_b, z_T, rho, zeta,
        tau, aux.
        """
        terms, mixture = self.spec.terms, self.mixture
        p = [term.p for term in terms]
        lengths = {
            "gamma": int(self.spec.has_intercept),
            "z_beta": mixture.num_z if mixture else self.spec.K,
            **(mixture.block_lengths if mixture else dict.fromkeys(BLOCKS, 0)),
            "z_b": sum(term.p * (term.J + 1) for term in terms),
            # p = 4 and more allocate values that no row uses; the used ones stand together at the front
            "z_T": sum((k - 1) * max(k - 2, 0) for k in p),
            "rho": sum(p) - len(p),
            "zeta": sum(k for k in p if k > 1),
            "tau": len(p),
            "aux": 1,
        }
        stops = np.cumsum(list(lengths.values()))
        return {name: slice(int(b) - n, int(b)) for (name, n), b in zip(lengths.items(), stops, strict=True)}

    @property
    def scales(self) -> slice:
        """Where the five blocks of the coefficients' scales stand, together."""
        return slice(self.slices[BLOCKS[0]].start, self.slices[BLOCKS[-1]].stop)

    @property
    def num_upars(self) -> int:
        """Length of the unconstrained vector (``rstan::get_num_upars``)."""
        return self.slices["aux"].stop

    @cached_property
    def labels(self) -> list[str]:
        """R's names of what :meth:`constrain` returns: coefficients, b, sigma, Sigma."""
        spec = self.spec
        return [*spec.design.coef_names, *b_labels(spec.terms), "sigma", *Sigma_labels(spec.terms)]

    # ------------------------------------------------------------------ pieces of the map
    def _points(self, upars: np.ndarray) -> np.ndarray:
        points = np.asarray(upars, dtype=np.float64)
        if points.ndim not in (1, 2) or points.shape[-1] != self.num_upars:
            raise ModelError(
                f"upars should have shape ({self.num_upars},) or (points, {self.num_upars}), but has {points.shape}."
            )
        return np.atleast_2d(points)

    def sigma(self, points: np.ndarray) -> np.ndarray:
        """Residual standard deviation, shape (points,)."""
        a = np.exp(points[:, self.slices["aux"]][:, 0])
        aux = self.spec.aux
        if aux.dist == FLAT:
            return a
        sigma = aux.scale[0] * a
        return sigma + aux.mean[0] if aux.dist in (NORMAL, STUDENT_T) else sigma

    def _log_scales(self, points: np.ndarray) -> dict[str, np.ndarray]:
        return {name: points[:, self.slices[name]] for name in BLOCKS}

    def beta(self, points: np.ndarray) -> np.ndarray:
        """Slopes of the columns of ``spec.x``, shape (points, K)."""
        z = points[:, self.slices["z_beta"]]
        coef = self.spec.coef
        if self.mixture is not None:
            return self.mixture.beta(z, self._log_scales(points), self.sigma(points))
        if coef.dist == FLAT:
            return z
        return coef.mean + coef.scale * (z if coef.dist == NORMAL else cornish_fisher_t(z, coef.df))

    def T(self, points: np.ndarray, sigma: np.ndarray) -> list[np.ndarray]:
        """Cholesky factors of the terms' covariance matrices, each of shape (points, p, p)."""
        z_T, rho = points[:, self.slices["z_T"]], expit(points[:, self.slices["rho"]])
        zeta, tau = np.exp(points[:, self.slices["zeta"]]), np.exp(points[:, self.slices["tau"]])
        factors, at_rho, at_zeta, at_z = [], 0, 0, 0
        for i, term in enumerate(self.spec.terms):
            size = self.spec.scale[i] * tau[:, i] * sigma
            p = term.p
            if p == 1:
                factors.append(size[:, None, None])
                continue
            share = zeta[:, at_zeta : at_zeta + p]
            share = share / share.sum(axis=1, keepdims=True)
            at_zeta += p
            x = np.empty((points.shape[0], p * (p - 1) // 2))
            for j, rows in enumerate(row_slices(p), start=1):
                r = rho[:, at_rho]
                at_rho += 1
                if j == 1:
                    x[:, rows] = (2 * r - 1)[:, None]
                else:
                    direction = z_T[:, at_z : at_z + j]
                    at_z += j
                    norm = np.sqrt(np.einsum("ij,ij->i", direction, direction))
                    x[:, rows] = (np.sqrt(r) / norm)[:, None] * direction
            factors.append(build_T(size, share, x))
        return factors

    def b(self, points: np.ndarray, T: list[np.ndarray]) -> list[np.ndarray]:
        """Random effects of each term, shape (points, J + 1, p), the padded level last."""
        z = points[:, self.slices["z_b"]]
        effects, at = [], 0
        for term, factor in zip(self.spec.terms, T, strict=True):
            n = term.p * (term.J + 1)
            zi = z[:, at : at + n].reshape(-1, term.J + 1, term.p)
            effects.append(np.einsum("mkl,mjl->mjk", factor, zi))
            at += n
        return effects

    def linear_predictor(self, gamma: np.ndarray, beta: np.ndarray, b: list[np.ndarray]) -> np.ndarray:
        """γ + Xc β + Z b (no offset), shape (points, N)."""
        eta = beta @ self.spec.x.T
        if self.spec.has_intercept:
            eta += gamma[:, None]
        for term, effects in zip(self.spec.terms, b, strict=True):
            for k in range(term.p):
                eta += effects[:, term.codes, k] * term.columns[:, k]
        return eta

    # ------------------------------------------------------------------ the density
    def log_prior(self, points: np.ndarray) -> np.ndarray:
        """Log prior and Jacobian, shape (points,)."""
        spec, at = self.spec, self.slices
        log_p = np.zeros(points.shape[0])
        if spec.has_intercept and spec.intercept.dist != FLAT:
            scale = spec.intercept.scale[0]
            z = (points[:, at["gamma"]][:, 0] - spec.intercept.mean[0]) / scale
            if spec.intercept.dist == NORMAL:
                log_p += -0.5 * z * z - _HALF_LOG_2PI - np.log(scale)
            else:
                log_p += log_student_t(z, spec.intercept.df[0]) - np.log(scale)
        if spec.coef.dist != FLAT:
            log_p += _log_normal(points[:, at["z_beta"]])
        if self.mixture is not None:
            log_p += self.mixture.log_prior(self._log_scales(points))
        log_a = points[:, at["aux"]][:, 0]
        a = np.exp(log_a)
        if spec.aux.dist == NORMAL:
            log_p += _log_normal(a[:, None]) + _LOG_2
        elif spec.aux.dist == STUDENT_T:
            log_p += log_student_t(a, spec.aux.df[0]) + _LOG_2
        elif spec.aux.dist == EXPONENTIAL:
            log_p -= a
        log_p += log_a
        if not spec.terms:
            return log_p
        log_p += _log_normal(points[:, at["z_b"]]) + _log_normal(points[:, at["z_T"]])
        u = points[:, at["rho"]]
        log_rho, log_1m_rho = _log_sigmoid(u), _log_sigmoid(-u)
        log_p += (log_rho + log_1m_rho).sum(axis=1)
        log_zeta, log_tau = points[:, at["zeta"]], points[:, at["tau"]]
        at_rho, at_zeta = 0, 0
        for i, term in enumerate(spec.terms):
            p = term.p
            lt, shape = log_tau[:, i], spec.shape[i]
            log_p += shape * lt - np.exp(lt) - gammaln(shape)  # Gamma(shape, 1) and its Jacobian
            if p == 1:
                continue
            delta = spec.concentration[i]
            lz = log_zeta[:, at_zeta : at_zeta + p]
            at_zeta += p
            log_p += (delta * lz - np.exp(lz) - gammaln(delta)).sum(axis=1)
            eta = spec.regularization[i]
            for j in range(1, p):
                first = eta + 0.5 * (p - 2) if j == 1 else 0.5 * j
                second = eta + 0.5 * (p - 1 - j)
                log_p += (first - 1) * log_rho[:, at_rho] + (second - 1) * log_1m_rho[:, at_rho] - betaln(first, second)
                at_rho += 1
        return log_p

    def log_likelihood(self, points: np.ndarray) -> np.ndarray:
        """Log likelihood, shape (points,)."""
        spec = self.spec
        sigma = self.sigma(points)
        b = self.b(points, self.T(points, sigma))
        eta = self.linear_predictor(points[:, self.slices["gamma"]].sum(axis=1), self.beta(points), b)
        residual = spec.y - eta
        square = residual * residual
        rss = square.sum(axis=1) if spec.weights is None else square @ spec.weights
        constant, n = spec.likelihood_constant
        return constant - n * np.log(sigma) - 0.5 * rss / (sigma * sigma)

    def log_prob(self, upars: np.ndarray) -> float | np.ndarray:
        """Log posterior density on the unconstrained scale, all constants and the Jacobian kept.

        Parameters
        ----------
        upars : ndarray, shape (num_upars,) or (points, num_upars)

        Returns
        -------
        float or ndarray, shape (points,)
            −inf where the density is 0 or overflows.

        Raises
        ------
        ModelError
            Another length than ``num_upars``.
        """
        points = self._points(upars)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            out = self.log_prior(points)
            if not self.spec.prior_PD:
                step = max(1, _CHUNK // max(self.spec.y.size, 1))
                for start in range(0, len(points), step):
                    out[start : start + step] += self.log_likelihood(points[start : start + step])
        out = np.where(np.isnan(out), -np.inf, out)
        return out if np.ndim(upars) == 2 else float(out[0])

    def constrain(self, upars: np.ndarray) -> np.ndarray:
        """Coefficients, random effects, sigma and covariances at unconstrained points.

        Parameters
        ----------
        upars : ndarray, shape (num_upars,) or (points, num_upars)

        Returns
        -------
        ndarray, shape (points, len(labels))
            In the order of :attr:`labels`; ``(Intercept)`` is the one at uncentred predictors, as R reports it.
        """
        points = self._points(upars)
        sigma, beta = self.sigma(points), self.beta(points)
        T = self.T(points, sigma)
        b = self.b(points, T)
        coef = np.concatenate([points[:, self.slices["gamma"]], beta], axis=1) @ self.spec.to_R.T
        pieces = [coef, *[bi.reshape(len(points), -1) for bi in b], sigma[:, None]]
        for factor in T:
            Sigma = factor @ np.swapaxes(factor, -1, -2)
            column, row = np.triu_indices(factor.shape[-1])
            pieces.append(Sigma[:, row, column])
        return np.concatenate(pieces, axis=1)

    def unconstrain(
        self,
        gamma: np.ndarray,
        z_beta: np.ndarray,
        b: list[np.ndarray] | None,
        sigma: np.ndarray,
        T: list[np.ndarray],
        beyond: "Beyond | None" = None,
    ) -> np.ndarray:
        """Unconstrained points of parameter values.

        Parameters
        ----------
        gamma : ndarray, shape (points, 0 or 1)
            Intercept at centred predictors.
        z_beta : ndarray, shape (points, K)
            Standardised slopes (the slopes themselves under a flat prior; all factors under ``product_normal``).
        b : list of ndarray, each (points, J + 1, p), or None
            None leaves their standardised values at 0.
        sigma : ndarray, shape (points,)
        T : list of ndarray, each (points, p, p)
        beyond : Beyond, optional
            What the vector holds beyond the parameters; typical values unless given.

        Returns
        -------
        ndarray, shape (points, num_upars)
        """
        spec, at = self.spec, self.slices
        n = sigma.size
        out = np.zeros((n, self.num_upars))
        out[:, at["gamma"]], out[:, at["z_beta"]] = gamma, z_beta
        if self.scales.stop > self.scales.start:
            if beyond is None or beyond.scales is None:
                raise ModelError("The coefficient prior has scales of its own: give `scales`.")
            out[:, self.scales] = beyond.scales
        aux = spec.aux
        a = sigma if aux.dist == FLAT else sigma / aux.scale[0]
        if aux.dist in (NORMAL, STUDENT_T):
            a = (sigma - aux.mean[0]) / aux.scale[0]
        out[:, at["aux"]] = np.log(a)[:, None]
        z_b, z_T, rho, zeta, tau = (out[:, at[name]] for name in ("z_b", "z_T", "rho", "zeta", "tau"))
        at_b = at_z = at_rho = at_zeta = several = row = 0
        for i, term in enumerate(spec.terms):
            p = term.p
            if b is not None:
                zi = np.linalg.solve(T[i][:, None], b[i][..., None])[..., 0]
                z_b[:, at_b : at_b + zi[0].size] = zi.reshape(n, -1)
                at_b += zi[0].size
            size, pi, x = split_T(T[i])
            tau[:, i] = np.log(size / (spec.scale[i] * sigma))
            if p == 1:
                continue
            total = spec.concentration[i].sum() if beyond is None else beyond.zeta_total[:, several]
            zeta[:, at_zeta : at_zeta + p] = np.log(pi) + np.reshape(np.log(total), (-1, 1))
            at_zeta, several = at_zeta + p, several + 1
            for j, rows in enumerate(row_slices(p), start=1):
                xj = x[:, rows]
                if j == 1:
                    rho[:, at_rho] = np.log1p(xj[:, 0]) - np.log1p(-xj[:, 0])
                else:
                    square = np.sum(xj * xj, axis=1)
                    rho[:, at_rho] = np.log(square) - np.log1p(-square)
                    length = np.sqrt(j) if beyond is None else beyond.z_T_norm[:, row]
                    z_T[:, at_z : at_z + j] = xj * np.reshape(length / np.sqrt(square), (-1, 1))
                    at_z, row = at_z + j, row + 1
                at_rho += 1
        if beyond is not None and beyond.z_T_unused.size:
            z_T[:, at_z:] = beyond.z_T_unused
        return out
