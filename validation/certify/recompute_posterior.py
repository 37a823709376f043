"""Stored posteriors recomputed by programs that share nothing with the one that made them.

Two of them. Sums over a rotated lattice in double precision (``validation.certify.posteriors.estimate``) confirm every
number to seven digits of its posterior sd or better, but for the sds of random effects where there are several terms.
And where there is one term, mpmath with 40 digits confirms the log evidence, means and sds to :data:`AGREEMENT`:
Gauss-Legendre panels (not trapezoidal sums) in 1/σ² and τ (not their logarithms), the sums of squares by group in
floating point (not whole numbers), and A = I + Q/σ² by the eigenvalues of Q (not inverted at each point).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from mpmath import mp, mpf
from scipy.special import logsumexp
from scipy.stats import gamma

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from pyimpl.posterior.labels import Sigma_labels, level_label
from validation.cases import Case
from validation.certify.posteriors import CONTRADICTION, Estimates, estimate, posterior_name
from validation.certify.run import data_of
from validation.references.certified import ENCLOSED, LOG_EVIDENCE, CertifiedPosterior, load_posterior
from validation.references.store import DamagedReferenceError, model_hash

__all__ = ["AGREEMENT", "PosteriorCheck", "check_posterior", "compared", "one_term", "recompute_posterior"]

#: Decimal digits of mpmath.
PRECISION = 40

#: Gauss-Legendre nodes of a panel, panels over 1/σ², and a panel of τ over its distance to the nearest singularity.
NODES, PANELS, REACH = 20, 8, 0.5

#: Share of the integral over 1/σ² that is left out at either end, and log of what is small in τ.
TAIL, SMALL = 1e-26, 55.0

#: Largest difference from an enclosed mean, sd or log evidence beyond its radius, in posterior sds (the log evidence
#: absolutely).
AGREEMENT = 1e-12


@dataclass(frozen=True)
class PosteriorCheck:
    """Outcome of a recomputation.

    Attributes
    ----------
    name : str
    values : int
        Numbers compared with sums in double precision.
    alone : int
        Numbers that those sums do not have, and so were not compared with them: sds of random effects where there are
        several terms.
    precise : int
        Numbers compared in multi-precision as well.
    difference : float
        Greatest of those differences, in posterior sds.
    failures : tuple of str
    """

    name: str
    values: int
    alone: int
    precise: int
    difference: float
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all passed."""
        return not self.failures


def check_posterior(case: Case, directory: Any = None) -> PosteriorCheck:
    """Recompute a case's stored posterior on the case's data.

    Raises
    ------
    LookupError
        There is none.
    DamagedReferenceError
        The file was changed, or the data are not those of the posterior.
    """
    stored = load_posterior(posterior_name(case), directory)
    data = data_of(case)
    if model_hash(case.formula, data) != stored.model_hash:
        raise DamagedReferenceError(f"the data of {stored.name} are not those that it was integrated on")
    return recompute_posterior(stored, build_design(case.formula, data, checks=STAN_LMER_CHECKS))


def recompute_posterior(stored: CertifiedPosterior, design: Design) -> PosteriorCheck:
    """Recompute what is stored."""
    rough = estimate(design)
    if rough is None:
        raise DamagedReferenceError(f"{stored.name} has too many dimensions to be integrated")
    scalar = len(design.terms) == 1 and design.terms[0].p == 1
    return compared(stored, rough, dict(one_term(design)) if scalar else {})


def compared(stored: CertifiedPosterior, rough: Estimates, precise: Mapping[tuple[str, str], Any]) -> PosteriorCheck:
    """Compare stored numbers with those in double precision and, where there are any, in multi-precision."""
    failures = [text for row in stored.rows if (text := _against(row, rough))]
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


def _against(row: tuple[str, str, str, str, str], rough: Estimates) -> str | None:
    """What is wrong with a row by the sums in double precision."""
    parameter, statistic, value, radius, _ = row
    if (parameter, statistic) not in rough.rows:
        return f"{statistic} of {parameter}: the model has no such number"
    guess, error = rough.rows[parameter, statistic]
    sd = rough.sds.get(parameter, 1.0)
    if math.isnan(guess) or abs(float(value) - guess) <= float(radius) + error + CONTRADICTION * sd:
        return None
    return f"{statistic} of {parameter}: {value} ± {radius}, sums in double precision give {guess!r} ± {error:.1e}"


# ------------------------------------------------------------------------------------- one term, in mpmath


@dataclass(frozen=True)
class _Sums:
    """Standardised columns and the centred response, by group, as mpf."""

    n: int
    p: int
    S: list[Any]  # sum of z² of each level
    B: list[list[Any]]  # Z'[X r] of each level
    W: list[list[Any]]  # [X r]'[X r]
    scales: list[Any]
    means: list[Any]
    sd_y: Any


def _sums(design: Design) -> _Sums:
    n, p = design.N, design.P
    columns = [[mpf(float(v)) for v in design.X[:, k]] for k in range(p)] + [[mpf(float(v)) for v in design.y]]
    means = [mpf(0)] + [mp.fsum(column) / n for column in columns[1:]]
    centred = [[v - m for v in column] for column, m in zip(columns, means, strict=True)]
    sds = [mpf(1)] + [mp.sqrt(mp.fsum(v * v for v in column) / (n - 1)) for column in centred[1:]]
    sd_y = sds[p]
    scales = [mpf(5) / 2 * sd_y / (sd if sd else 1) for sd in sds[:p]]
    W = [[v * scale for v in column] for column, scale in zip(centred, [*scales, mpf(1)], strict=True)]
    term = design.terms[0]
    z = [mpf(float(v)) for v in term.columns[:, 0]]
    S, B = [mpf(0)] * term.J, [[mpf(0)] * (p + 1) for _ in range(term.J)]
    for row, level in enumerate(term.codes):
        S[level] += z[row] ** 2
        for k in range(p + 1):
            B[level][k] += z[row] * W[k][row]
    products = [[mp.fdot(a, b) for b in W] for a in W]
    return _Sums(n, p, S, B, products, scales, means, sd_y)


def _panels(edges: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Nodes and weights of Gauss-Legendre panels."""
    rule = _rule()
    for low, high in pairwise(edges):
        half, middle = (high - low) / 2, (high + low) / 2
        for x, w in rule:
            yield middle + half * x, half * w


def _rule() -> list[tuple[Any, Any]]:
    """The Gauss-Legendre rule, by Newton's method on the Legendre polynomial."""
    rule = []
    for start in np.polynomial.legendre.leggauss(NODES)[0]:
        x = mpf(float(start))
        for _ in range(3):
            before, here = mpf(1), x
            for k in range(2, NODES + 1):
                before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
            slope = NODES * (x * here - before) / (x * x - 1)
            x -= here / slope
        rule.append((x, 2 / ((1 - x * x) * slope * slope)))
    return rule


@dataclass(frozen=True)
class _At:
    """One τ."""

    log_det: Any
    Q: list[list[Any]]
    r2: float


def _at(sums: _Sums, tau: Any) -> _At:
    p = sums.p
    Q = [row[:] for row in sums.W]
    log_det = mpf(0)
    for s, b in zip(sums.S, sums.B, strict=True):
        d = 1 + tau * tau * s
        log_det += mp.log(d)
        share = tau * tau / d
        for i in range(p + 1):
            part = share * b[i]
            for j in range(i + 1):
                Q[i][j] -= part * b[j]
                Q[j][i] = Q[i][j]
    doubles = np.array([[float(v) for v in row] for row in Q])
    r2 = doubles[p, p] - doubles[p, :p] @ np.linalg.lstsq(doubles[:p, :p], doubles[:p, p], rcond=None)[0]
    return _At(log_det, Q, float(r2))


def _tau_edges(sums: _Sums) -> list[Any]:
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


def one_term(design: Design) -> Iterator[tuple[tuple[str, str], Any]]:
    """Log evidence, means and sds."""
    with mp.workdps(PRECISION):
        sums = _sums(design)
        p, J = sums.p, len(sums.S)
        total = {power: mpf(0) for power in (0, 1, 2)}
        variance = [mpf(0), mpf(0)]
        x = mp.zeros(p, 1)
        xx = mp.zeros(p, p)
        b1, b2 = [mpf(0)] * J, [mpf(0)] * J
        top = None
        for tau, w in _panels(_tau_edges(sums)):
            here = _at(sums, tau)
            if top is None:
                top = here.log_det / 2 + mpf(sums.n) / 2 * mp.log(2 * mp.pi * here.r2 / sums.n)
            moments, mean, second = _over_sigma(sums, here, tau, top, w)
            for power in total:
                total[power] += moments[power]
            variance[0] += tau**2 * moments[2]
            variance[1] += tau**4 * moments[4]
            x += mean
            xx += second
            for j, (s, b) in enumerate(zip(sums.S, sums.B, strict=True)):
                share = tau * tau / (1 + tau * tau * s)
                row = mp.matrix([[-v for v in b[:p]]])
                linear = (row * mean)[0]
                b1[j] += share * (b[p] * moments[0] + linear)
                square = b[p] ** 2 * moments[0] + 2 * b[p] * linear + (row * second * row.T)[0]
                b2[j] += share * share * square + share * moments[2]
        mass = total[0]
        yield (LOG_EVIDENCE, "value"), mp.log(mass) - top
        yield from _moments("sigma", total[1] / mass, total[2] / mass)
        yield from _moments(Sigma_labels(design.terms)[0], variance[0] / mass, variance[1] / mass)
        for k, name in enumerate(design.coef_names):
            row = mp.zeros(1, p)
            row[k] = sums.scales[k]
            if k == 0:
                for j in range(1, p):
                    row[j] = -sums.means[j] * sums.scales[j]
            mean = (row * x)[0] / mass
            second = (row * xx * row.T)[0] / mass
            yield (name, "mean"), mean + (sums.means[p] if k == 0 else 0)
            yield (name, "sd"), mp.sqrt(second - mean * mean)
        term = design.terms[0]
        for j, level in enumerate(term.levels):
            name = f"b[{term.effects[0]} {term.group}:{level_label(level)}]"
            yield from _moments(name, b1[j] / mass, b2[j] / mass)


def _moments(name: str, mean: Any, square: Any) -> Iterator[tuple[tuple[str, str], Any]]:
    yield (name, "mean"), mean
    yield (name, "sd"), mp.sqrt(square - mean * mean)


def _over_sigma(sums: _Sums, here: _At, tau: Any, top: Any, weight: Any) -> tuple[dict[int, Any], Any, Any]:
    """Integrals over λ = 1/σ² at one τ: of powers of σ, of the coefficients and their products."""
    n, p = sums.n, sums.p
    values, vectors = mp.eigsy(mp.matrix([row[:p] for row in here.Q[:p]]))
    turned = vectors.T * mp.matrix([here.Q[i][p] for i in range(p)])
    shape = (n - 1) / 2
    low, high = gamma.ppf(TAIL, shape) * 2 / here.r2, gamma.isf(TAIL, shape) * 2 / here.r2
    edges = [mpf(edge) for edge in np.linspace(low * 0.7, high * 1.1, PANELS + 1)]
    constant = top - here.log_det / 2 - mpf(n) / 2 * mp.log(2 * mp.pi) - tau - mp.log(2 * sums.sd_y)
    moments = {power: mpf(0) for power in (0, 1, 2, 4)}
    first, second = [mpf(0)] * p, [[mpf(0)] * p for _ in range(p)]
    for lam, w in _panels(edges):
        sigma = 1 / mp.sqrt(lam)
        shrunk = [1 / (1 + v * lam) for v in values]
        mean = [lam * t * s for t, s in zip(turned, shrunk, strict=True)]
        quadratic = lam * (here.Q[p][p] - mp.fdot(turned, mean))
        # dσ = −½ λ^(−3/2) dλ
        log_f = constant + (mpf(n - 3) / 2) * mp.log(lam) - quadratic / 2 - sigma / sums.sd_y
        f = weight * w * mp.exp(log_f) * mp.sqrt(mp.fprod(shrunk))
        for power in moments:
            moments[power] += f * sigma**power
        for i in range(p):
            first[i] += f * mean[i]
            second[i][i] += f * shrunk[i]
            for j in range(i + 1):
                part = f * mean[i] * mean[j]
                second[i][j] += part
                if i != j:
                    second[j][i] += part
    return moments, vectors * mp.matrix(first), vectors * mp.matrix(second) * vectors.T
