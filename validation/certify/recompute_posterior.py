"""Stored posteriors recomputed by programs that share nothing with the one that made them.

Two of them. Sums over a rotated lattice in double precision (``validation.certify.posteriors.estimate``) confirm every
number to seven digits of its posterior sd or better, but for the sds of random effects where there are several terms.
And where there is one term, mpmath with 40 digits confirms the log evidence, means and sds to :data:`AGREEMENT`:
Gauss-Legendre panels (not trapezoidal sums) in 1/σ² and τ (not their logarithms), the sums of squares by group in
floating point (not whole numbers), and A = I + Q/σ² by the eigenvalues of Q (not inverted at each point).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from mpmath import mp, mpf
from mpmath.calculus.quadrature import GaussLegendre
from scipy.special import logsumexp
from scipy.stats import gamma

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from pyimpl.posterior.labels import Sigma_labels, level_label
from validation.cases import Case
from validation.certify.posteriors import Estimates, contradiction, estimate, posterior_name
from validation.certify.recompute import exactly
from validation.certify.run import data_stored_on
from validation.references.certified import ENCLOSED, LOG_EVIDENCE, CertifiedPosterior, load_posterior
from validation.references.store import DamagedReferenceError

#: Decimal digits of mpmath.
PRECISION = 40

#: Degree of the Gauss-Legendre rule of a panel (3·2^(degree − 1) nodes), panels over 1/σ², and a panel of τ over its
#: distance to the nearest singularity.
DEGREE, PANELS, REACH = 4, 8, 0.5

#: Share of the integral over 1/σ² that is left out at either end, and log of what is small in τ.
TAIL, SMALL = 1e-26, 55.0

#: Largest difference from an enclosed mean, sd or log evidence beyond its radius, in posterior sds (the log evidence
#: absolutely).
AGREEMENT = 1e-12


@dataclass(frozen=True)
class PosteriorCheck:
    """Outcome of a recomputation."""

    name: str
    values: int  # numbers compared with sums in double precision
    #: numbers that those sums do not have, and so were not compared with them: sds of random effects where there are
    #: several terms
    alone: int
    precise: int  # numbers compared in multi-precision as well
    difference: float  # greatest of those differences, in posterior sds
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all passed."""
        return not self.failures

    @property
    def confirmed(self) -> str:
        """What was confirmed, in words."""
        text = f"{self.values} values confirmed in double precision"
        if self.precise:
            text += f", {self.precise} with mpmath (greatest difference {max(self.difference, 0):.1e} sds)"
        if self.alone:
            text += f"; {self.alone} sds of random effects are not recomputed (there are several terms)"
        return text


def check_posterior(case: Case, directory: Path | None = None) -> PosteriorCheck:
    """Recompute a case's stored posterior on the case's data.

    Raises
    ------
    LookupError
        There is none.
    DamagedReferenceError
        The file was changed, or the data are not those of the posterior.
    """
    stored = load_posterior(posterior_name(case), directory)
    design = build_design(case.formula, data_stored_on(case, stored), checks=STAN_LMER_CHECKS)
    rough = estimate(design)
    if rough is None:
        raise DamagedReferenceError(f"{stored.name} has too many dimensions to be integrated")
    scalar = len(design.terms) == 1 and design.terms[0].p == 1
    return compared(stored, rough, dict(one_term(design)) if scalar else {})


def compared(stored: CertifiedPosterior, rough: Estimates, precise: Mapping[tuple[str, str], mpf]) -> PosteriorCheck:
    """Compare stored numbers with those in double precision and, where there are any, in multi-precision."""
    failures = [text for row in stored.rows if (text := contradiction(row, rough))]
    alone = sum(math.isnan(rough.rows.get(row[:2], (0.0, 0.0))[0]) for row in stored.rows)
    count, worst = 0, 0.0
    for parameter, statistic, value, radius, kind in stored.rows:
        if kind != ENCLOSED or (parameter, statistic) not in precise:
            continue
        sd = rough.sds.get(parameter, 1.0)
        with mp.workdps(PRECISION):
            away = float((abs(mpf(value) - precise[parameter, statistic]) - mpf(radius)) / sd)
        count, worst = count + 1, max(worst, away)
        if not away <= AGREEMENT:
            failures.append(f"{statistic} of {parameter}: {value} ± {radius}, recomputed {away:.1e} sds away")
    return PosteriorCheck(stored.name, len(stored.rows) - alone, alone, count, worst, tuple(failures))


# ------------------------------------------------------------------------------------- one term, in mpmath


@dataclass(frozen=True)
class _Sums:
    """Standardised columns and the centred response, by group: arrays of mpf."""

    n: int
    S: np.ndarray  # sum of z² of each level
    B: np.ndarray  # Z'[X r] of each level
    W: np.ndarray  # [X r]'[X r]
    scales: np.ndarray
    means: np.ndarray
    sd_y: mpf


def _sums(design: Design) -> _Sums:
    n, term = design.N, design.terms[0]
    columns = exactly(np.column_stack([design.X, design.y]))
    means = columns.sum(axis=0) / n
    means[0] = mpf(0)  # the intercept's column stays what it is
    centred = columns - means
    sds = [mpf(1), *(mp.sqrt(square / (n - 1)) for square in (centred[:, 1:] ** 2).sum(axis=0))]
    scales = np.array([mpf(5) / 2 * sds[-1] / (sd if sd else 1) for sd in sds[:-1]])
    W = centred * np.array([*scales, mpf(1)])
    z = exactly(term.columns[:, 0])
    S, B = np.full(term.J, mpf(0)), np.full((term.J, W.shape[1]), mpf(0))
    np.add.at(S, term.codes, z * z)
    np.add.at(B, term.codes, z[:, None] * W)
    return _Sums(n, S, B, W.T @ W, scales, means, sds[-1])


def _panels(edges: Iterable[mpf]) -> Iterator[tuple[mpf, mpf]]:
    """Nodes and weights of Gauss-Legendre panels."""
    for low, high in pairwise(edges):
        half, middle = (high - low) / 2, (high + low) / 2
        for x, w in _rule(mp.prec):
            yield middle + half * x, half * w


@cache
def _rule(bits: int) -> list[tuple[mpf, mpf]]:
    return GaussLegendre(mp).calc_nodes(DEGREE, bits)


@dataclass(frozen=True)
class _At:
    """One τ: log|V|, [X r]'V⁻¹[X r], and the least residual sum of squares."""

    log_det: mpf
    Q: np.ndarray
    r2: float


def _at(sums: _Sums, tau: mpf) -> _At:
    d = 1 + tau * tau * sums.S
    Q = sums.W - (sums.B * (tau * tau / d)[:, None]).T @ sums.B
    doubles, p = Q.astype(float), sums.scales.size
    r2 = doubles[p, p] - doubles[p, :p] @ np.linalg.lstsq(doubles[:p, :p], doubles[:p, p], rcond=None)[0]
    return _At(mp.fsum(mp.log(value) for value in d), Q, float(r2))


def _tau_edges(sums: _Sums) -> list[mpf]:
    """Panels of τ where the density is not negligible, narrow near the singularities ±i/√S."""
    nearest = 1 / math.sqrt(max(float(s) for s in sums.S))
    edges = [0.0]
    while edges[-1] < 2 * SMALL:
        edges.append(edges[-1] + REACH * math.hypot(edges[-1], nearest))
    profile = []
    for tau in edges:
        here = _at(sums, mpf(tau))
        profile.append(-0.5 * float(here.log_det) - (sums.n - 1) / 2 * math.log(here.r2) - tau)
    keep = [i for i, value in enumerate(profile) if value > logsumexp(profile) - SMALL]
    return [mpf(edge) for edge in edges[max(keep[0] - 1, 0) : keep[-1] + 2]]


def one_term(design: Design) -> Iterator[tuple[tuple[str, str], mpf]]:
    """Log evidence, means and sds."""
    with mp.workdps(PRECISION):
        sums = _sums(design)
        p, X, y = sums.scales.size, sums.B[:, : sums.scales.size], sums.B[:, sums.scales.size]
        sigma, variance = np.full(5, mpf(0)), np.full(2, mpf(0))
        x, xx = np.full(p, mpf(0)), np.full((p, p), mpf(0))
        b = np.full((2, sums.S.size), mpf(0))
        top = None
        for tau, w in _panels(_tau_edges(sums)):
            here = _at(sums, tau)
            if top is None:
                top = here.log_det / 2 + mpf(sums.n) / 2 * mp.log(2 * mp.pi * here.r2 / sums.n)
            moments, mean, second = _over_sigma(sums, here, tau, top, w)
            sigma, x, xx = sigma + moments, x + mean, xx + second
            variance = variance + np.array([tau**2 * moments[2], tau**4 * moments[4]])
            share = tau * tau / (1 + tau * tau * sums.S)
            linear, square = X @ mean, ((X @ second) * X).sum(axis=1)
            b[0] += share * (y * moments[0] - linear)
            b[1] += share**2 * (y**2 * moments[0] - 2 * y * linear + square) + share * moments[2]
        mass = sigma[0]
        yield (LOG_EVIDENCE, "value"), mp.log(mass) - top
        yield from _moments("sigma", sigma[1] / mass, sigma[2] / mass)
        yield from _moments(Sigma_labels(design.terms)[0], *(variance / mass))
        combinations = np.diag(sums.scales)
        combinations[0, 1:] = -sums.means[1:p] * sums.scales[1:]
        for k, (name, row) in enumerate(zip(design.coef_names, combinations, strict=True)):
            yield from _moments(name, row @ x / mass, row @ xx @ row / mass, sums.means[p] if k == 0 else mpf(0))
        term = design.terms[0]
        for j, level in enumerate(term.levels):
            yield from _moments(f"b[{term.effects[0]} {term.group}:{level_label(level)}]", *(b[:, j] / mass))


def _moments(name: str, mean: mpf, square: mpf, shift: mpf = 0) -> Iterator[tuple[tuple[str, str], mpf]]:
    yield (name, "mean"), mean + shift
    yield (name, "sd"), mp.sqrt(square - mean * mean)


def _over_sigma(sums: _Sums, here: _At, tau: mpf, top: mpf, weight: mpf) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integrals over λ = 1/σ² at one τ: of the powers 0 to 4 of σ, of the coefficients and their products."""
    n, p = sums.n, sums.scales.size
    found, turn = mp.eigsy(mp.matrix(here.Q[:p, :p].tolist()))
    values, vectors = np.array(list(found)), np.array(turn.tolist())
    turned = vectors.T @ here.Q[:p, p]
    shape = (n - 1) / 2
    low, high = gamma.ppf(TAIL, shape) * 2 / here.r2, gamma.isf(TAIL, shape) * 2 / here.r2
    constant = top - here.log_det / 2 - mpf(n) / 2 * mp.log(2 * mp.pi) - tau - mp.log(2 * sums.sd_y)
    edges = [mpf(edge) for edge in np.linspace(low * 0.7, high * 1.1, PANELS + 1)]
    lam, weights = (np.array(column) for column in zip(*_panels(edges), strict=True))
    sigma = np.array([1 / mp.sqrt(value) for value in lam])
    shrunk = 1 / (1 + np.outer(lam, values))
    mean = lam[:, None] * turned * shrunk
    quadratic = lam * (here.Q[p, p] - mean @ turned)
    logs = np.array([mp.log(value) for value in lam])
    # dσ = −½ λ^(−3/2) dλ
    log_f = constant + (mpf(n - 3) / 2) * logs - quadratic / 2 - sigma / sums.sd_y
    roots = [mp.exp(value) * mp.sqrt(mp.fprod(row)) for value, row in zip(log_f, shrunk, strict=True)]
    f = weight * weights * np.array(roots)
    moments = np.array([(f * sigma**power).sum() for power in range(5)])
    second = np.diag(f @ shrunk) + (f[:, None] * mean).T @ mean
    return moments, vectors @ (f @ mean), vectors @ second @ vectors.T
