"""Posterior draws of everything rstanarm reports, from draws of the coordinates or of the full model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.covariance import row_slices
from pyimpl.posterior.full import Beyond, FullDensity
from pyimpl.posterior.labels import Sigma_labels, b_labels
from pyimpl.posterior.specification import FLAT, NORMAL, Specification

__all__ = ["PosteriorDraws", "complete", "from_unconstrained"]


@dataclass(frozen=True)
class PosteriorDraws:
    """Draws of the full model, chain after chain: ``n = chains · draws`` rows.

    Attributes
    ----------
    spec : Specification
    chains, draws : int
    gamma : ndarray, shape (n, 0 or 1)
        Intercept at centred predictors.
    beta : ndarray, shape (n, K)
        Slopes of the columns of ``spec.x`` (with ``QR`` not those that R reports).
    z_beta : ndarray, shape (n, K)
        The same as Stan samples them; all factors under ``product_normal``.
    scales : ndarray, shape (n, ·), or None
        Logs of the coefficient prior's scales, Stan's blocks one after the other.
    b : ndarray, shape (n, Σ p (J + 1))
        Random effects in R's order, the padded levels included.
    sigma : ndarray, shape (n,)
    T : list of ndarray, each (n, p, p)
        Cholesky factors of the covariance matrices.
    mean_PPD : ndarray, shape (n,), or None
        None with ``prior_PD``, as in R.
    zeta_total, z_T_norm, z_T_unused : ndarray, shapes (n, ·)
        What the unconstrained vector holds beyond the model's parameters.
    rss, z_square : ndarray, shape (n,), or None
        Weighted residual sum of squares, and sum of squares of the standardised random effects, where they are known
        already.
    """

    spec: Specification
    chains: int
    draws: int
    gamma: np.ndarray
    beta: np.ndarray
    z_beta: np.ndarray
    b: np.ndarray
    sigma: np.ndarray
    T: list[np.ndarray]
    mean_PPD: np.ndarray | None
    zeta_total: np.ndarray
    z_T_norm: np.ndarray
    z_T_unused: np.ndarray
    rss: np.ndarray | None
    z_square: np.ndarray | None = None
    scales: np.ndarray | None = None

    @property
    def n(self) -> int:
        """Number of draws of all chains."""
        return self.chains * self.draws

    @cached_property
    def coef(self) -> np.ndarray:
        """Coefficients as R reports them: ``(Intercept)`` at uncentred predictors, then slopes; shape (n, P)."""
        return np.concatenate([self.gamma, self.beta], axis=1) @ self.spec.to_R.T

    @cached_property
    def Sigma(self) -> np.ndarray:
        """Covariances in R's order, shape (n, Σ p (p + 1)/2)."""
        pieces = []
        for T in self.T:
            S = T @ np.swapaxes(T, -1, -2)
            column, row = np.triu_indices(T.shape[-1])
            pieces.append(S[:, row, column])
        return np.concatenate(pieces, axis=1)

    @cached_property
    def full(self) -> FullDensity:
        """The full density."""
        return FullDensity(self.spec)

    def unconstrained(self, rows: np.ndarray | slice, with_b: bool = True) -> np.ndarray:
        """Draws on Stan's unconstrained scale, shape (rows, num_upars); random effects of 0 unless `with_b`."""
        b: list[np.ndarray] | None = None
        if with_b:
            b, at = [], 0
            for term in self.spec.terms:
                width = term.p * (term.J + 1)
                b.append(self.b[rows, at : at + width].reshape(-1, term.J + 1, term.p))
                at += width
        scales = None if self.scales is None else self.scales[rows]
        beyond = Beyond(self.zeta_total[rows], self.z_T_norm[rows], self.z_T_unused[rows], scales)
        return self.full.unconstrain(
            self.gamma[rows], self.z_beta[rows], b, self.sigma[rows], [T[rows] for T in self.T], beyond
        )

    @cached_property
    def log_posterior(self) -> np.ndarray:
        """Stan's ``lp__``: the log density with its constants and Jacobian, shape (n,)."""
        spec, out = self.spec, np.empty(self.n)
        constant, power = spec.likelihood_constant
        for start in range(0, self.n, 1000):
            rows = slice(start, start + 1000)
            with np.errstate(divide="ignore", invalid="ignore"):  # a correlation of ±1 to rounding is at infinity
                points = self.unconstrained(rows, with_b=self.z_square is None)
                out[rows] = self.full.log_prior(points)
            if self.z_square is not None:
                out[rows] -= 0.5 * self.z_square[rows]
            if spec.prior_PD:
                continue
            if self.rss is None:
                out[rows] += self.full.log_likelihood(points)
            else:
                sigma = self.sigma[rows]
                out[rows] += constant - power * np.log(sigma) - 0.5 * self.rss[rows] / sigma**2
        return out

    @cached_property
    def labels(self) -> list[str]:
        """R's column names: coefficients, b, sigma, Sigma, mean_PPD, log-posterior."""
        spec = self.spec
        names = [*spec.design.coef_names, *b_labels(spec.terms), "sigma", *Sigma_labels(spec.terms)]
        return [*names, *(["mean_PPD"] if self.mean_PPD is not None else []), "log-posterior"]

    def columns(self, positions: np.ndarray) -> np.ndarray:
        """Some of R's columns, by their positions in :attr:`labels`; shape (n, positions), column-major.

        What is not asked for is not computed: ``log-posterior`` costs more than all others.
        """
        positions = np.asarray(positions, dtype=np.intp)
        out = np.empty((positions.size, self.n))
        last, at = len(self.labels) - 1, 0
        pieces: list[tuple[int, Callable[[], np.ndarray]]] = [
            (self.coef.shape[1], lambda: self.coef),
            (self.b.shape[1], lambda: self.b),
            (1, lambda: self.sigma[:, None]),
            (last - self.coef.shape[1] - self.b.shape[1] - 1 - (self.mean_PPD is not None), lambda: self.Sigma),
            (int(self.mean_PPD is not None), lambda: np.asarray(self.mean_PPD)[:, None]),
            (1, lambda: self.log_posterior[:, None]),
        ]
        for width, values in pieces:
            wanted = np.flatnonzero((positions >= at) & (positions < at + width))
            if wanted.size:
                out[wanted] = values().T[positions[wanted] - at]
            at += width
        return out.T

    @cached_property
    def matrix(self) -> np.ndarray:
        """All of R's columns (``as.matrix(fit$stanfit)``), shape (n, len(labels))."""
        return np.ascontiguousarray(self.columns(np.arange(len(self.labels))))

    def frame(self) -> pd.DataFrame:
        """:attr:`matrix` as a DataFrame with R's column names."""
        return pd.DataFrame(self.columns(np.arange(len(self.labels))), columns=self.labels, copy=False)


@dataclass(frozen=True)
class _RowMeans:
    """Means over the rows of everything that the linear predictor multiplies: one pass over the data."""

    X: np.ndarray  # (P,)
    Z: np.ndarray  # (Σ p (J + 1),), zero for the padded levels
    offset: float

    @classmethod
    def of(cls, spec: Specification) -> "_RowMeans":
        N, means = spec.y.size, []
        for term in spec.terms:
            sums = np.zeros((term.J + 1, term.p))
            for k in range(term.p):
                sums[:-1, k] = np.bincount(term.codes, term.columns[:, k], minlength=term.J) / N
            means.append(sums.ravel())
        offset = spec.design.offset
        X = np.concatenate([np.ones(int(spec.has_intercept)), spec.x.mean(axis=0)])
        return cls(X, np.concatenate(means), 0.0 if offset is None else float(offset.mean()))


def _mean_PPD(
    means: _RowMeans, N: int, coef: np.ndarray, b: np.ndarray, sigma: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Mean of a posterior predictive sample of the rows: exactly Normal(mean of η, σ²/N), without the N draws.

    ``b`` has all random effects in R's order.
    """
    return coef @ means.X + b @ means.Z + means.offset + sigma / np.sqrt(N) * rng.standard_normal(sigma.size)


def complete(
    density: CollapsedDensity,
    u: np.ndarray,
    rngs: list[np.random.Generator],
    progress: Callable[[str, float], None] | None = None,
) -> PosteriorDraws:
    """Draw coefficients, random effects and everything else, given draws of the coordinates.

    Parameters
    ----------
    density : CollapsedDensity
    u : ndarray, shape (chains, draws, dim)
    rngs : list of Generator
        One for each chain.
    progress : callable, optional
        Called with what is being done and the share done.

    Returns
    -------
    PosteriorDraws
    """
    spec = density.spec
    chains, draws, _ = u.shape
    b = np.empty((chains, draws, sum(term.p * (term.J + 1) for term in spec.terms)))

    def tick(done: int) -> None:
        if progress is not None:
            progress(f"random effects, {done} of {chains * draws} draws", 0.7 + 0.3 * done / (chains * draws))

    several = [i for i, term in enumerate(spec.terms) if term.p > 1]
    rows = [j for i in several for j in range(2, spec.terms[i].p)]
    allocated = sum((term.p - 1) * max(term.p - 2, 0) for term in spec.terms)
    scales: list[np.ndarray] = []
    means, pieces = _RowMeans.of(spec), []
    for c, rng in enumerate(rngs):
        values = density.values(u[c])
        conditional = density.conditional_draws(
            values,
            rng,
            out=b[c],
            tick=lambda done, before=c * draws: tick(before + done),  # type: ignore[misc]
        )
        coef = conditional.coef
        gamma, beta = (coef[:, :1], coef[:, 1:]) if spec.has_intercept else (coef[:, :0], coef)
        if density.mixture is not None:
            deviation = beta - spec.coef.mean
            sd = 1.0 / np.sqrt(values.precision[:, int(spec.has_intercept) :])
            beta = spec.coef.mean + density.shrinkage(values) * deviation
            z_beta, chain_scales = density.mixture.stan_variables(values.scores, deviation, sd, rng)
            scales.append(chain_scales)
        elif spec.coef.dist == FLAT:
            z_beta = beta
        elif spec.coef.dist == NORMAL:
            z_beta = (beta - spec.coef.mean) / spec.coef.scale
        else:
            z_beta = values.z
        ppd = None if spec.prior_PD else _mean_PPD(means, spec.y.size, coef, conditional.b_matrix, values.sigma, rng)
        totals = [spec.concentration[i].sum() for i in several]
        pieces.append(
            (
                gamma,
                beta,
                z_beta,
                None,
                values.sigma,
                values.T,
                ppd,
                rng.gamma(totals, size=(draws, len(several))) if several else np.empty((draws, 0)),
                np.sqrt(rng.chisquare(rows, size=(draws, len(rows)))) if rows else np.empty((draws, 0)),
                rng.standard_normal((draws, allocated - sum(rows))),
                conditional.rss,
                conditional.z_square,
            )
        )
    joined = [
        None
        if column[0] is None
        else [np.concatenate(Ts) for Ts in zip(*column, strict=True)]
        if isinstance(column[0], list)
        else np.concatenate(column)
        for column in zip(*pieces, strict=True)
    ]
    joined[3] = b.reshape(chains * draws, -1)  # in one piece already
    drawn = PosteriorDraws(spec, chains, draws, *joined)  # type: ignore[arg-type]
    return replace(drawn, scales=np.concatenate(scales)) if scales else drawn


def from_unconstrained(
    spec: Specification, points: np.ndarray, chains: int, seed: np.random.SeedSequence
) -> PosteriorDraws:
    """Draws of the full model, sampled on the unconstrained scale.

    Parameters
    ----------
    spec : Specification
    points : ndarray, shape (chains · draws, num_upars)
        Chain after chain.
    chains : int
    seed : SeedSequence
        For ``mean_PPD``.

    Returns
    -------
    PosteriorDraws
    """
    full = FullDensity(spec)
    sigma, beta = full.sigma(points), full.beta(points)
    T = full.T(points, sigma)
    b = full.b(points, T)
    at = full.slices
    gamma = points[:, at["gamma"]]
    coef = np.concatenate([gamma, beta], axis=1)
    effects = np.concatenate([bi.reshape(len(points), -1) for bi in b], axis=1)
    ppd = None
    if not spec.prior_PD:
        ppd = _mean_PPD(_RowMeans.of(spec), spec.y.size, coef, effects, sigma, np.random.default_rng(seed))
    zeta, z_T = np.exp(points[:, at["zeta"]]), points[:, at["z_T"]]
    totals, norms, at_zeta, at_z = [], [], 0, 0
    for term in spec.terms:
        if term.p == 1:
            continue
        totals.append(zeta[:, at_zeta : at_zeta + term.p].sum(axis=1))
        at_zeta += term.p
        for j in range(2, len(row_slices(term.p)) + 1):
            norms.append(np.linalg.norm(z_T[:, at_z : at_z + j], axis=1))
            at_z += j
    empty = np.empty((len(points), 0))
    return PosteriorDraws(
        spec=spec,
        chains=chains,
        draws=len(points) // chains,
        gamma=gamma,
        beta=beta,
        z_beta=points[:, at["z_beta"]],
        b=effects,
        sigma=sigma,
        T=T,
        mean_PPD=ppd,
        zeta_total=np.column_stack(totals) if totals else empty,
        z_T_norm=np.column_stack(norms) if norms else empty,
        z_T_unused=z_T[:, at_z:],
        rss=None,
        scales=points[:, full.scales] if full.mixture is not None else None,
    )
