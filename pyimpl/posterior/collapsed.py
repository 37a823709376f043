"""The collapsed posterior: random effects and Gaussian coefficients integrated out, exactly.

With Λ = T/σ (it does not depend on σ), V = I + Σ Z Λ Λ' Z', r = y − X₁ĉ for a fixed ĉ and W = [X₁, r]:

* S_j = Z_j'Z_j and B_j = Z_j'W for each level, P_j = Λ (I + Λ'S_jΛ)⁻¹ Λ', log|V| = Σ log|I + Λ'S_jΛ|,
  Q = W'V⁻¹W = W'W − Σ B_j'P_jB_j;
* A = Q_XX/σ² + D, h = Q_Xr/σ² + D(m − ĉ), where D holds the prior precisions and m the prior means of the
  coefficients that are integrated out;
* log p = a − n log σ − ½ log|V| + ½ log|D| − ½ log|A| − ½ (Q_rr/σ² + (m − ĉ)'D(m − ĉ) − h'A⁻¹h) + log prior + Jacobian.

With several terms the one with most levels is eliminated level by level; for the rest a dense Schur complement is
factored, one for each connected component (a nested design falls apart into small ones).

Everything depends on the data through S_j, B_j and W'W: after the first pass the cost does not grow with the rows.
Levels with the same S_j share P_j, so their B_j enter through one sum of outer products.

Priors that are not Gaussian stay exact: an intercept with a t prior is Gaussian given its precision w ~ Gamma(df/2,
df/2), which becomes a coordinate; coefficients under laplace, lasso, hs, hs_plus and product_normal are Gaussian given
their scales (:mod:`pyimpl.posterior.mixtures`), whose normal scores v become coordinates; coefficients with rstanarm's
``student_t`` prior, which is no such mixture, become coordinates z themselves.

Coordinates: log of sigma's unscaled parameter; for each term log τ, the additive log-ratios of π, and the directions'
canonical partial correlations on the atanh scale; then log w; then v or z, both standard normal a priori. For p effects
a term has p (p + 1)/2 of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import gammaln

from pyimpl.errors import ModelError
from pyimpl.posterior.conditional import draw
from pyimpl.posterior.covariance import ball_exponents, ball_log_constant, build_T, log_sum_exp, row_slices
from pyimpl.posterior.cross_products import CrossProducts, cross_products, refuse_too_large
from pyimpl.posterior.elimination import Statistics, log_likelihood, reduce
from pyimpl.posterior.full import cornish_fisher_t, log_student_t
from pyimpl.posterior.labels import b_labels, is_new_level
from pyimpl.posterior.mixtures import MAX_SCORE, NormalMixture
from pyimpl.posterior.specification import EXPONENTIAL, FLAT, NORMAL, STUDENT_T, Specification

__all__ = ["CollapsedDensity", "ConditionalDraws", "CoordinateValues"]

#: Multiplications of half a second or so.
_AT_ONCE = 5e9

#: Beyond e^7 times sigma the factor of A loses its digits, while the prior is e^(−e^7).
LOG_TAU_MAX = 7.0


@dataclass(frozen=True)
class CoordinateValues:
    """What the coordinates stand for, at ``n`` points.

    Attributes
    ----------
    sigma : ndarray, shape (n,)
    T : list of ndarray, each (n, p, p)
        Cholesky factors of the covariance matrices.
    Lambda : list of ndarray, each (n, p, p)
        T / sigma.
    precision : ndarray, shape (n, G)
        Prior precisions of the coefficients that are integrated out.
    z : ndarray, shape (n, H)
        Standardised coefficients that are coordinates.
    fixed : ndarray, shape (n, H)
        Their values.
    log_prior : ndarray, shape (n,)
        Log prior of the coordinates and Jacobian.
    scores : ndarray, shape (n, S)
        Normal scores of the coefficients' scales (S = 0 unless the prior has scales).
    """

    sigma: np.ndarray
    T: list[np.ndarray]
    Lambda: list[np.ndarray]
    precision: np.ndarray
    z: np.ndarray
    fixed: np.ndarray
    log_prior: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class ConditionalDraws:
    """Exact draws of everything that the collapsed density integrates out.

    Attributes
    ----------
    coef : ndarray, shape (n, P)
        (γ, β): the intercept at centred predictors first.
    b_matrix : ndarray, shape (n, Σ p (J + 1))
        All random effects in R's order: term by term, level by level, the padded level last.
    b : list of ndarray, each (n, J + 1, p)
        The same (the same memory), term by term.
    rss : ndarray, shape (n,)
        Weighted residual sum of squares (0 without a likelihood).
    z_square : ndarray, shape (n,)
        Sum of squares of the standardised random effects z (b = T z).
    """

    coef: np.ndarray
    b_matrix: np.ndarray
    b: list[np.ndarray]
    rss: np.ndarray
    z_square: np.ndarray


@dataclass(frozen=True)
class CollapsedDensity:
    """The collapsed posterior density of a :class:`~pyimpl.posterior.specification.Specification`.

    Attributes
    ----------
    spec : Specification
    """

    spec: Specification

    def __post_init__(self) -> None:
        refuse_too_large(self.spec)

    # ------------------------------------------------------------------ which coefficient is what
    @cached_property
    def integrated(self) -> np.ndarray:
        """Columns of X₁ whose coefficients are integrated out."""
        has, K = int(self.spec.has_intercept), self.spec.K
        return np.arange(has) if self.spec.coef.dist == STUDENT_T else np.arange(has + K)

    @cached_property
    def sampled(self) -> np.ndarray:
        """Columns of X₁ whose coefficients are coordinates."""
        return np.arange(self.integrated.size, self.spec.X1.shape[1])

    @property
    def has_w(self) -> bool:
        """Whether the intercept's precision is a coordinate (t prior)."""
        return self.spec.has_intercept and self.spec.intercept.dist == STUDENT_T

    @cached_property
    def mixture(self) -> NormalMixture | None:
        """The coefficient prior's scales, whose normal scores are coordinates; None where it has none."""
        return NormalMixture.of(self.spec.coef, self.spec.K)

    @property
    def standard_normals(self) -> int:
        """How many coordinates, the last ones, are independent standard normal a priori (z or v)."""
        return self.mixture.dim if self.mixture else int(self.sampled.size)

    @cached_property
    def labels(self) -> list[str]:
        """Names of the coordinates."""
        names = ["log aux"]
        for term in self.spec.terms:
            at = f"{term.group}:" if term.p == 1 else f"{term.group}[{'+'.join(term.effects)}]:"
            names.append(f"{at}log tau")
            names += [f"{at}alr pi[{k + 1}]" for k in range(term.p - 1)]
            names += [f"{at}atanh cpc[{k + 1},{j + 1}]" for k in range(1, term.p) for j in range(k)]
        if self.has_w:
            names.append("log w")
        names += [f"z[{self.spec.design.coef_names[k]}]" for k in self.sampled]
        if self.mixture is not None:
            names += self.mixture.labels(self.spec.design.coef_names[int(self.spec.has_intercept) :])
        return names

    def axis_of(self, term: int, row: int, column: int) -> int:
        """Find the coordinate that an element of a term's covariance matrix depends on most.

        log τ for a variance, the canonical partial correlation of row and column for a covariance.
        """
        sizes = [t.p * (t.p + 1) // 2 for t in self.spec.terms]
        start = 1 + sum(sizes[:term])
        if row == column:
            return start
        return start + self.spec.terms[term].p + row * (row - 1) // 2 + column

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.labels)

    # ------------------------------------------------------------------ data
    @cached_property
    def centre(self) -> np.ndarray:
        """ĉ: least squares coefficients, shape (P,). Any value would do; this one loses no digits."""
        if self.spec.prior_PD or not self.spec.X1.shape[1]:
            return np.zeros(self.spec.X1.shape[1])
        root = 1.0 if self.spec.weights is None else np.sqrt(self.spec.weights)[:, None]
        return np.linalg.lstsq(self.spec.X1 * root, self.spec.y * np.squeeze(root), rcond=None)[0]

    @cached_property
    def residual_sd(self) -> float:
        """Standard deviation of the least squares residuals of the rows that have weight; 1 where it is 0."""
        residual = self.spec.y - self.spec.X1 @ self.centre
        used = residual if self.spec.weights is None else residual[self.spec.weights > 0]
        return float(np.std(used if used.size else residual)) or 1.0

    @cached_property
    def column_sizes(self) -> np.ndarray:
        """Root mean square of each column of X₁, shape (P,)."""
        return np.sqrt(np.mean(self.spec.X1**2, axis=0))

    @cached_property
    def reduced(self) -> CrossProducts:
        """What the rows come to: cross-products by level of the first term, and of the other terms."""
        residual = self.spec.y - self.spec.X1 @ self.centre
        return cross_products(self.spec, np.column_stack([self.spec.X1, residual]))

    @cached_property
    def statistics(self) -> Statistics:
        """The same, for compiled loops."""
        return Statistics(self.reduced, self.sizes)

    def read_rows(self) -> None:
        """Pass over the rows now: nothing that is evaluated afterwards depends on their number."""
        _ = self.reduced, self.residual_sd, self.column_sizes

    @cached_property
    def prior_location(self) -> np.ndarray:
        """Prior means less ĉ of the integrated coefficients (0 under a flat prior), shape (g,)."""
        spec = self.spec
        mean = np.concatenate([spec.intercept.mean if spec.has_intercept else [], spec.coef.mean])
        flat = np.concatenate(
            [
                np.repeat(spec.intercept.dist == FLAT, int(spec.has_intercept)),
                np.repeat(spec.coef.dist == FLAT, spec.K),
            ]
        ).astype(bool)
        return np.where(flat, 0.0, mean - self.centre)[self.integrated]

    @cached_property
    def _least_sd(self) -> np.ndarray:
        """In units of sigma: a prior sd of a slope below which its size changes the density by less than 1e-12 t².

        A millionth of the slope's least standard error, where t is its t statistic at the prior mean. Any smaller sd
        is replaced by it, so that precisions stay within the digits that there are; draws and moments of the slopes
        are then taken back to the sd that the prior has (:meth:`shrinkage`).
        """
        weights = 1.0 if self.spec.weights is None else self.spec.weights[:, None]
        squares = np.sum(weights * self.spec.x**2, axis=0)
        return 1e-6 / np.sqrt(np.where(squares > 0, squares, np.inf))

    # ------------------------------------------------------------------ coordinates
    def start(self) -> np.ndarray:
        """Choose a point to start from: sigma below the residual sd, everything else at the middle of its prior."""
        spec = self.spec
        sigma = 0.8 * self.residual_sd
        aux = spec.aux
        a = sigma if aux.dist == FLAT else sigma / aux.scale[0]
        if aux.dist in (NORMAL, STUDENT_T):
            a = max((sigma - aux.mean[0]) / aux.scale[0], 0.05)
        u = np.zeros(self.dim)
        u[0] = np.log(a)
        at = 1
        for i, term in enumerate(spec.terms):
            # one standard deviation of the effects of about half sigma, in the scale of its own columns
            size = np.sqrt(np.mean(term.columns**2, axis=0)) if term.columns.size else np.ones(term.p)
            share = 1.0 / np.maximum(size, 1e-8) ** 2
            u[at] = np.clip(np.log(0.5 * np.sqrt(share.mean()) / spec.scale[i]), -5.0, 2.0)
            u[at + 1 : at + term.p] = np.clip(np.log(share[:-1] / share[-1]), -4.0, 4.0)
            at += term.p * (term.p + 1) // 2
        if self.spec.coef.dist == STUDENT_T:
            u[self.dim - self.sampled.size :] = np.clip(
                (self.centre[self.sampled] - spec.coef.mean) / spec.coef.scale, -1.0, 1.0
            )
        return u

    def values(self, u: np.ndarray) -> CoordinateValues:
        """Translate coordinates to what they stand for.

        Parameters
        ----------
        u : ndarray, shape (n, dim)

        Returns
        -------
        CoordinateValues
        """
        spec, n = self.spec, u.shape[0]
        log_a = u[:, 0]
        a = np.exp(log_a)
        aux = spec.aux
        log_p = log_a.copy()
        sigma = a
        if aux.dist != FLAT:
            sigma = aux.scale[0] * a
        if aux.dist == EXPONENTIAL:
            log_p -= a
        elif aux.dist == NORMAL:
            sigma = sigma + aux.mean[0]
            log_p += np.log(2.0) - 0.5 * np.log(2 * np.pi) - 0.5 * a * a
        elif aux.dist == STUDENT_T:
            sigma = sigma + aux.mean[0]
            log_p += np.log(2.0) + log_student_t(a, aux.df[0])
        at = 1
        Ts, Lambdas = [], []
        for i, term in enumerate(spec.terms):
            p = term.p
            lt, shape = u[:, at], spec.shape[i]
            at += 1
            log_p += shape * lt - np.exp(lt) - gammaln(shape)
            log_p[lt > LOG_TAU_MAX] = -np.inf
            size = spec.scale[i] * np.exp(lt)
            if p == 1:
                Lambda = size[:, None, None]
            else:
                ratio = np.concatenate([u[:, at : at + p - 1], np.zeros((n, 1))], axis=1)
                at += p - 1
                log_pi = ratio - log_sum_exp(ratio)[:, None]
                delta = spec.concentration[i]
                log_p += log_pi @ delta + gammaln(delta.sum()) - gammaln(delta).sum()
                exponents = ball_exponents(p, spec.regularization[i])
                x = np.empty((n, p * (p - 1) // 2))
                for j, rows in enumerate(row_slices(p), start=1):
                    v = u[:, at : at + j]
                    at += j
                    t = np.tanh(v)
                    # log(1 − tanh²) without cancellation
                    log_c = 2.0 * (np.log(2.0) - np.abs(v) - np.log1p(np.exp(-2.0 * np.abs(v))))
                    b = exponents[j - 1]
                    power = b + 0.5 * (j - np.arange(1, j + 1))
                    log_p += log_c @ power + ball_log_constant(j, b)
                    left = np.concatenate([np.zeros((n, 1)), np.cumsum(log_c[:, :-1], axis=1)], axis=1)
                    x[:, rows] = t * np.exp(0.5 * left)
                Lambda = build_T(size, np.exp(log_pi), x)
            Lambdas.append(Lambda)
            Ts.append(Lambda * sigma[:, None, None])
        g = self.integrated.size
        precision = np.zeros((n, g))
        if spec.has_intercept and spec.intercept.dist != FLAT:
            precision[:, 0] = 1.0 / spec.intercept.scale[0] ** 2
            if self.has_w:
                lw, half = u[:, at], 0.5 * spec.intercept.df[0]
                at += 1
                w = np.exp(lw)
                log_p += half * np.log(half) - gammaln(half) + half * lw - half * w
                precision[:, 0] *= w
        z = u[:, at:]
        fixed = np.empty((n, 0))
        if spec.coef.dist == NORMAL:
            precision[:, int(spec.has_intercept) :] = 1.0 / spec.coef.scale**2
        elif spec.coef.dist == STUDENT_T:
            fixed = spec.coef.mean + spec.coef.scale * cornish_fisher_t(z, spec.coef.df)
        scores = np.empty((n, 0))
        if self.mixture is not None:
            scores, z = z, np.empty((n, 0))
            precision[:, int(spec.has_intercept) :] = self.slope_precision(scores, sigma)
        normal = scores if self.mixture is not None else z
        if self.mixture is not None:
            log_p[(np.abs(scores) > MAX_SCORE).any(axis=1)] = -np.inf
        log_p += -0.5 * np.sum(normal * normal, axis=1) - 0.5 * normal.shape[1] * np.log(2 * np.pi)
        return CoordinateValues(sigma, Ts, Lambdas, precision, z, fixed, log_p, scores)

    def slope_precision(self, scores: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Prior precisions of the slopes under a mixture, of its scores (n, S) and σ (n,): shape (n, K)."""
        assert self.mixture is not None
        sd = self.mixture.sd(scores, sigma)
        if not self.spec.prior_PD:
            sd = np.maximum(sd, self._least_sd * sigma[:, None])
        return 1.0 / sd**2

    def stacked(self, Lambdas: list[np.ndarray]) -> np.ndarray:
        """Λ's templates of all terms, (n, p, p) each, as one array (n, terms, largest p, largest p), padded by 0."""
        width = max(term.p for term in self.spec.terms)
        out = np.zeros((Lambdas[0].shape[0], len(Lambdas), width, width))
        for i, Lambda in enumerate(Lambdas):
            p = Lambda.shape[-1]
            out[:, i, :p, :p] = Lambda
        return out

    def _reduce(self, Lambda: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log|V| and packed Q at each point."""
        return reduce(self.statistics, Lambda)

    @property
    def at_once(self) -> int:
        """How many points are worked on before progress is shown and Ctrl-C is heard: half a second's, at most 2048."""
        return int(np.clip(_AT_ONCE / self.multiplications, 4, 2048))

    @property
    def sizes(self) -> np.ndarray:
        """Effects of each term, shape (terms,)."""
        return np.array([term.p for term in self.spec.terms], dtype=np.int64)

    @cached_property
    def multiplications(self) -> float:
        """About how many multiplications an evaluation takes; does not depend on the machine."""
        data, rest = self.reduced, self.reduced.rest
        p, m = data.S.shape[1], data.B.shape[2]
        columns = np.diff(rest.C_start).astype(float)
        widths = np.diff(rest.block_start[rest.component_start]).astype(float)
        first = len(data.unique_S) * (p**3 + p * (p + 1) / 2 * m * (m + 1) / 2)
        return float(first + p * np.sum(columns**2) / 2 + np.sum(widths**3 / 6 + widths**2 * m))

    # ------------------------------------------------------------------ the density
    def log_density(self, u: np.ndarray) -> np.ndarray:
        """Log of the collapsed posterior density at coordinates, normalised as the full density is.

        Its integral over the coordinates is the evidence: the integral of the full density.

        Parameters
        ----------
        u : ndarray, shape (n, dim)

        Returns
        -------
        ndarray, shape (n,)
            −inf outside the range in which it can be computed.

        Raises
        ------
        ModelError
            Another number of coordinates than ``dim``.
        """
        u = np.asarray(u, dtype=np.float64)
        if u.ndim != 2 or u.shape[1] != self.dim:
            raise ModelError(f"coordinates should have shape (n, {self.dim}), but have {u.shape}.")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = self.values(u)
            out = values.log_prior
            if not self.spec.prior_PD:
                out = out + log_likelihood(
                    self.statistics, self.stacked(values.Lambda), values.sigma, values.precision, self.known(values)
                )
                constant, n = self.spec.likelihood_constant
                proper = values.precision > 0
                log_D = np.where(proper, np.log(np.where(proper, values.precision, 1.0)), np.log(2 * np.pi))
                out = out + constant - n * np.log(values.sigma) + 0.5 * log_D.sum(axis=1)
            out[~(values.sigma > 0)] = -np.inf
        return np.where(np.isnan(out), -np.inf, out)

    @property
    def fixed_centre(self) -> np.ndarray:
        """ĉ of the coefficients that are coordinates, shape (H,)."""
        return self.centre[self.sampled]

    def known(self, values: CoordinateValues) -> np.ndarray:
        """Prior means of the integrated coefficients, then the others' values, less the centre, shape (n, P)."""
        n, g = values.sigma.size, self.integrated.size
        out = np.empty((n, g + self.sampled.size))
        out[:, :g], out[:, g:] = self.prior_location, values.fixed - self.fixed_centre
        return out

    # ------------------------------------------------------------------ exact draws
    def conditional_draws(
        self,
        values: CoordinateValues,
        rng: np.random.Generator,
        *,
        out: np.ndarray | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> ConditionalDraws:
        """Draw coefficients and random effects, exactly, given the coordinates.

        Parameters
        ----------
        values : CoordinateValues
            At n points.
        rng : numpy.random.Generator
        out : ndarray, shape (n, Σ p (J + 1)), optional
            Where the random effects go: C-contiguous float64. Default: an array of their own.
        tick : callable, optional
            Called with the number of points done, every half second or so: for progress. Ctrl-C is heard as often.

        Returns
        -------
        ConditionalDraws
        """
        spec, n = self.spec, values.sigma.size
        P, g = spec.X1.shape[1], self.integrated.size
        starts = np.cumsum([0, *(term.p * (term.J + 1) for term in spec.terms)])
        matrix = np.empty((n, int(starts[-1]))) if out is None else out
        rng.standard_normal(out=matrix)
        b = [
            matrix[:, start:stop].reshape(n, term.J + 1, term.p, copy=False)
            for term, (start, stop) in zip(spec.terms, pairwise(starts), strict=True)
        ]
        e = rng.standard_normal((n, g))
        coef = np.empty((n, P))
        coef[:, self.sampled] = values.fixed
        if spec.prior_PD:
            location = self.prior_location + self.centre[self.integrated]
            if (values.precision <= 0).any():
                raise ModelError("With prior_PD=True a flat prior cannot be drawn from: give a proper prior.")
            coef[:, self.integrated] = location + e / np.sqrt(values.precision)
            z_square = np.einsum("ij,ij->i", matrix, matrix)
            for T, effects in zip(values.T, b, strict=True):
                effects[:] = np.einsum("nkl,njl->njk", T, effects)
            return ConditionalDraws(coef, matrix, b, np.zeros(n), z_square)
        data, rest = self.reduced, self.reduced.rest
        Lambda, known = self.stacked(values.Lambda), self.known(values)
        rest_at = np.empty(rest.R.shape[0], dtype=np.int64)
        for i, term in enumerate(spec.terms):
            if i != data.first:
                rest_at[self._columns_of(i).ravel()] = starts[i] + np.arange(term.J * term.p)
        deviation, rss, z_square = np.empty((n, g)), np.empty(n), np.empty(n)
        places = (starts.astype(np.int64), rest_at)
        for start in range(0, n, self.at_once):
            rows = slice(start, start + self.at_once)
            deviation[rows], rss[rows], z_square[rows] = draw(
                self.statistics, Lambda[rows], values.sigma[rows], values.precision[rows], known[rows], e[rows],
                matrix[rows], places,
            )  # fmt: skip
            if tick is not None:
                tick(min(start + self.at_once, n))
        coef[:, self.integrated] = self.centre[self.integrated] + deviation
        return ConditionalDraws(coef, matrix, b, rss, z_square)

    def _columns_of(self, term: int) -> np.ndarray:
        """Columns of the rest that belong to a term, shape (J, p)."""
        rest, p = self.reduced.rest, self.spec.terms[term].p
        mine = np.flatnonzero(rest.block_term == term)
        mine = mine[np.argsort(rest.block_level[mine])]
        return rest.block_start[mine][:, None] + np.arange(p)

    def shrinkage(self, values: CoordinateValues) -> np.ndarray:
        """Prior sds of the slopes over those that `values` has, shape (n, K): 1 but where an sd is too small to matter.

        There the data say nothing of the slope: its standardised deviation from the prior mean is standard normal.
        """
        if self.mixture is None:
            return np.ones((values.sigma.size, self.spec.K))
        used = 1.0 / np.sqrt(values.precision[:, int(self.spec.has_intercept) :])
        ratio = self.mixture.sd(values.scores, values.sigma) / used
        return np.where(ratio < 1.0 - 1e-9, ratio, 1.0)

    # ------------------------------------------------------------------ exact moments
    def coefficient_moments(self, values: CoordinateValues) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of (γ, β) given the coordinates.

        Parameters
        ----------
        values : CoordinateValues
            At n points.

        Returns
        -------
        mean : ndarray, shape (n, P)
        covariance : ndarray, shape (n, P, P)
            Zero for the coefficients that are coordinates.
        """
        n, P, g = values.sigma.size, self.spec.X1.shape[1], self.integrated.size
        _, packed = self._reduce(self.stacked(values.Lambda))
        m = P + 1
        row, column = np.tril_indices(m)
        Q = np.empty((n, m, m))
        Q[:, row, column] = Q[:, column, row] = packed
        s2 = values.sigma[:, None] ** 2
        A = Q[:, :g, :g] / s2[:, None]
        A[:, np.arange(g), np.arange(g)] += values.precision
        Qr = Q[:, :g, -1] - np.einsum("nij,nj->ni", Q[:, :g, g:P], values.fixed - self.fixed_centre)
        h = Qr / s2 + values.precision * self.prior_location
        inverse = np.linalg.inv(A) if g else A
        mean = np.empty((n, P))
        mean[:, :g] = self.centre[self.integrated] + np.einsum("nij,nj->ni", inverse, h)
        mean[:, g:] = values.fixed
        covariance = np.zeros((n, P, P))
        covariance[:, :g, :g] = inverse
        if self.mixture is not None:
            ratio = np.ones((n, P))
            ratio[:, int(self.spec.has_intercept) :] = self.shrinkage(values)
            location = np.zeros(P)
            location[int(self.spec.has_intercept) :] = self.spec.coef.mean
            mean = location + ratio * (mean - location)
            covariance *= ratio[:, :, None] * ratio[:, None, :]
        return mean, covariance

    def ranef_moments(self, values: CoordinateValues, weights: np.ndarray) -> pd.DataFrame:
        """Posterior means and sds of the random effects, integrated over weighted points.

        Parameters
        ----------
        values : CoordinateValues
        weights : ndarray, shape (n,)
            They sum to 1.

        Returns
        -------
        pandas.DataFrame
            Index ``b[...]`` (without the padded levels); columns ``mean`` and ``sd``. The sd is missing where the
            model has several terms.
        """
        spec, data = self.spec, self.reduced
        keep = weights > 1e-9 * weights.max()
        w = weights[keep] / weights[keep].sum()
        labels = [name for name in b_labels(spec.terms) if not is_new_level(name)]
        mean_c, cov_c = self.coefficient_moments(values)
        mean_c, cov_c = mean_c[keep] - self.centre, cov_c[keep]
        first, second = np.zeros(len(labels)), np.full(len(labels), np.nan)
        if len(spec.terms) > 1:
            return pd.DataFrame({"mean": self._ranef_means(values, weights), "sd": second}, index=labels)
        second = np.zeros(len(labels))
        Lambda, sigma = values.Lambda[0][keep], values.sigma[keep]
        B_x, B_r = data.B[:, :, :-1], data.B[:, :, -1]
        eye = np.eye(spec.terms[0].p)
        for start in range(0, w.size, 512):
            rows = slice(start, start + 512)
            L = Lambda[rows][:, None]
            M = eye + np.swapaxes(L, -1, -2) @ data.S @ L
            P = L @ np.linalg.solve(M, np.swapaxes(L, -1, -2))
            residual = B_r - np.einsum("jpk,nk->njp", B_x, mean_c[rows])
            mean = np.einsum("njpq,njq->njp", P, residual)
            PB = P @ B_x
            variance = np.einsum("njpp->njp", P) * sigma[rows, None, None] ** 2
            variance = variance + np.einsum("njpa,nab,njpb->njp", PB, cov_c[rows], PB)
            first += np.einsum("n,njp->jp", w[rows], mean).ravel()
            second += np.einsum("n,njp->jp", w[rows], variance + mean * mean).ravel()
        return pd.DataFrame({"mean": first, "sd": np.sqrt(second - first**2)}, index=labels)

    def _ranef_means(self, values: CoordinateValues, weights: np.ndarray) -> np.ndarray:
        """Means alone: conditional draws with all their noise set to 0."""
        conditional = self.conditional_draws(values, _Silence())  # type: ignore[arg-type]
        pieces = [np.einsum("n,njp->jp", weights, b[:, :-1]).ravel() for b in conditional.b]
        return np.concatenate(pieces)


class _Silence:
    """A generator of zeros."""

    @staticmethod
    def standard_normal(shape: tuple[int, ...] | None = None, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            return np.zeros(shape or ())
        out[:] = 0.0
        return out
