"""Posteriors of the suite by quadrature: enclosed where it can be, with estimated errors elsewhere.

*Enclosed.* Models whose terms have one effect each: ``validation.certify.integrals`` sums the collapsed posterior in
ball arithmetic and bounds what the sums leave out.

*Estimated.* Everything of few dimensions is also summed over a regular lattice in double precision by
``pyimpl.posterior.quadrature``. Two things make such a sum differ from the integral: the step, and the points left out
where the density is small. Each is changed: the same sums over lattices with coarser steps and a nearer cut-off give
estimates of the error, and no more than that. They stand where nothing is enclosed, and check what is.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np
from flint import arb, arb_mat, ctx, fmpq
from mpmath import mp, mpf

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from pyimpl.errors import ModelError
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.labels import Sigma_labels, level_label
from pyimpl.posterior.priors import Priors
from pyimpl.posterior.quadrature import integrate
from pyimpl.posterior.specification import specify
from validation.cases import Case
from validation.certify.criterion import part
from validation.certify.enclose import NotCertifiedError
from validation.certify.integrals import CollapsedModel, Integrals, NotEnclosedError, Settings
from validation.certify.recompute import PRECISION_OF_POSTERIOR, Recomputed, one_term
from validation.certify.run import decimal, provenance, write_each
from validation.options import Progress, silent
from validation.references.certified import (
    ENCLOSED,
    ESTIMATED,
    LOG_EVIDENCE,
    CertifiedPosterior,
    PosteriorRow,
    check_data,
    load_posterior,
)
from validation.references.store import DamagedReferenceError, model_hash

#: Coordinates of the collapsed posterior, at most.
MOST_DIMENSIONS = 4

#: Steps by dimension, in posterior sds; the coarser lattice has 1.25 times that, the coarsest 1.4 times.
STEPS = {2: 0.15, 3: 0.35, 4: 0.5}

#: Points are left out where the log density is this much below its maximum, and for the estimate of what that does.
DROP, NEARER_DROP = 36.0, 30.0

#: A statistic whose estimated error is larger than this share of the posterior sd is not stored.
KNOWN_TO = 1e-6

#: Most points of a lattice.
MOST_POINTS = 3_000_000

#: Rounding of a sum in double precision, relative: a log density carries this share of its size as an absolute error,
#: and the weights of the points carry that.
ROUNDING = 8 * 2.0**-52

#: Tolerance of the roots that quantiles are found by, in posterior sds and relative to their size.
ROOT, RELATIVE_ROOT = 2e-9, 2e-12

#: Points of little weight that the moments of random effects leave out move them by this many posterior sds at most.
LEFT_OUT = 2e-7

#: More than this many posterior sds between an enclosed number and its estimate, beyond both errors, and nothing is
#: written.
CONTRADICTION = 1e-7

#: Largest difference of a number in multi-precision from an enclosed one beyond its radius, in posterior sds (the log
#: evidence absolutely).
AGREEMENT = 1e-12

#: How finely the rigorous sums are made, with one term and with several.
SINGLE = Settings(digits=22.0)
SEVERAL = Settings(digits=14.0, half_lines=False, point_digits=11.0, most_nodes=600_000, bits=128)

#: Names of the methods, written into the files; a change of them makes the files be written anew.
METHOD_OF_ESTIMATES = "trapezoidal sums of the collapsed posterior over two lattices and two cut-offs, rounding added"
METHOD = "trapezoidal sums of the collapsed posterior in ball arithmetic, what they leave out bounded"

#: Newton steps to a quantile, at most.
_ROUNDS = 8

#: Names of the quantiles and their probabilities.
PROBABILITIES = {"q2.5": fmpq(1, 40), "q50": fmpq(1, 2), "q97.5": fmpq(39, 40)}

#: parameter, statistic, ball
Statistic: TypeAlias = tuple[str, str, arb]

#: Columns of the sums in double precision, and what they are here.
STATISTICS = {"mean": "mean", "sd": "sd", "2.5%": "q2.5", "50%": "q50", "97.5%": "q97.5"}


def posterior_name(case: Case) -> str:
    """Name of a case's posterior: ``M1-bayes`` of ``M1-ml`` and ``M1-reml``."""
    return case.name.removesuffix("-reml").removesuffix("-ml") + "-bayes"


def by_posterior(cases: Iterable[Case]) -> dict[str, Case]:
    """Names of the cases' posteriors, each with one of its cases."""
    return {posterior_name(case): case for case in cases}


@dataclass(frozen=True)
class Estimates:
    """A posterior by sums in double precision, with estimated errors."""

    rows: dict[tuple[str, str], tuple[float, float]]  # all of them, however large their errors
    sds: dict[str, float]
    log_evidence: float
    dimensions: int
    points: int
    step: float


def default_density(design: Design) -> CollapsedDensity:
    """The collapsed posterior of a design under rstanarm's default priors, in double precision."""
    return CollapsedDensity(specify(design, Priors()))


def estimate(design: Design) -> Estimates | None:
    """Integrate a posterior under rstanarm's default priors; None where it has too many dimensions or points."""
    if 1 + sum(term.p * (term.p + 1) // 2 for term in design.terms) > MOST_DIMENSIONS:
        return None
    density = default_density(design)
    step = STEPS[density.dim]
    try:
        with warnings.catch_warnings(action="ignore"):
            fine = integrate(density, step=step, drop=DROP, max_points=MOST_POINTS)
            other = integrate(density, step=1.25 * step, drop=NEARER_DROP, max_points=MOST_POINTS)
    except ModelError:  # too many points
        return None
    # the response's mean, and what is left when it is subtracted, are rounded too
    conditioning = design.N * 2.0**-52 * float(np.abs(design.y).max() / design.y.std(ddof=1))
    rounding = ROUNDING * max(1.0, abs(fine.log_evidence)) + conditioning
    rows: dict[tuple[str, str], tuple[float, float]] = {}
    sds: dict[str, float] = {}
    errors = fine.error + (fine.table - other.table).abs()
    of_ranef = (fine.ranef, (fine.ranef - other.ranef).abs(), LEFT_OUT)
    for table, error, left_out in ((fine.table, errors, 0.0), of_ranef):
        sd = table["sd"].fillna(table["mean"].std())  # of a random effect among several terms a scale will do
        sds |= {str(parameter): float(value) for parameter, value in sd.items()}
        root = np.array([STATISTICS[column] in PROBABILITIES for column in table.columns])
        size = error + np.outer(sd, rounding + left_out + ROOT * root) + table.abs() * (ROUNDING + RELATIVE_ROOT * root)
        places = product(map(str, table.index), map(STATISTICS.__getitem__, table.columns))
        pairs = zip(table.to_numpy().ravel().tolist(), size.to_numpy().ravel().tolist(), strict=True)
        rows |= dict(zip(places, pairs, strict=True))
    log_error = fine.log_evidence_error + abs(fine.log_evidence - other.log_evidence) + rounding
    rows[LOG_EVIDENCE, "value"] = fine.log_evidence, log_error
    return Estimates(rows, sds, fine.log_evidence, density.dim, fine.points, step)


def certify_posterior(case: Case, progress: Progress = silent) -> CertifiedPosterior | None:
    """Enclose a case's posterior as far as it can be, and estimate the rest; None where it has too many dimensions.

    Raises
    ------
    NotCertifiedError
        What is enclosed and what is estimated contradict each other.
    """
    data = case.load("recorded")
    design = build_design(case.formula, data, checks=STAN_LMER_CHECKS)
    estimates = estimate(design)
    if estimates is None:
        return None
    rows = [
        (parameter, statistic, repr(value), f"{error:.2e}", ESTIMATED)
        for (parameter, statistic), (value, error) in estimates.rows.items()
        if error <= KNOWN_TO * estimates.sds.get(parameter, 1.0)
    ]
    proof: dict[str, object] = {
        "dimensions": estimates.dimensions,
        "priors": "rstanarm's defaults",
        ESTIMATED: {"method": METHOD_OF_ESTIMATES, "step": estimates.step, "points": estimates.points},
    }
    try:
        enclosed, how = enclose_posterior(design, estimates, progress)
    except NotEnclosedError as error:
        proof[ENCLOSED] = {"method": METHOD, "why not": str(error)}
    else:
        proof[ENCLOSED] = how
        rest = {row[:2]: row for row in rows}
        for row in enclosed:
            if said := contradiction(row, estimates):
                raise NotCertifiedError(f"{case.name}: {said}")
            rest.pop(row[:2], None)
        rows = [*enclosed, *rest.values()]
    return CertifiedPosterior(
        posterior_name(case),
        case.formula,
        model_hash(case.formula, data),
        tuple(rows),
        proof,
        provenance(case),
    )


def enclose_posterior(
    design: Design, estimates: Estimates, progress: Progress = silent
) -> tuple[list[PosteriorRow], dict[str, object]]:
    """Rows that are enclosed, and how.

    Raises
    ------
    NotEnclosedError
        The model has a term with several effects, or it would take too long.
    """
    settings = SEVERAL if len(design.terms) > 1 else SINGLE
    with ctx.workprec(settings.bits):
        found = Integrals(CollapsedModel(design), estimates.log_evidence, settings, progress)
        rows: list[PosteriorRow] = []
        for parameter, statistic, value in statistics(design, found, estimates):
            if float(value.rad()) <= KNOWN_TO * estimates.sds.get(parameter, 1.0):
                rows.append((parameter, statistic, *decimal(value), ENCLOSED))
    how = {
        "method": METHOD,
        "bits": settings.bits,
        "steps": found.steps,
        "values of tau": found.nodes,
        "points": found.evaluations,
        "remainder": float(f"{found.remainder:.2e}"),
    }
    return rows, how


def statistics(design: Design, integrals: Integrals, estimates: Estimates) -> Iterator[Statistic]:
    """Means, sds, quantiles and log evidence as balls, by R's names; quantiles of variances where half-lines are known.

    The quantiles are looked for where the estimates have them.

    Raises
    ------
    NotCertifiedError
        A quantile is not where the estimates have it.
    """
    total, model = integrals.total, integrals.model

    def moments(name: str, first: arb, second: arb, shift: arb | int = 0) -> Iterator[Statistic]:
        mean = first / total
        variance = second / total - mean * mean
        if not variance > 0:
            raise NotCertifiedError("a variance of the posterior is not known well enough to be positive")
        yield name, "mean", shift + mean
        yield name, "sd", variance.sqrt()

    for k, name in enumerate(design.coef_names):
        row, shift = part(model.to_R, slice(k, k + 1), slice(None)), model.mean_y if k == 0 else arb(0)
        yield from moments(name, (row * integrals.x)[0, 0], (row * integrals.xx * row.transpose())[0, 0], shift)
        yield from _quantiles(name, _mixture(integrals, row, shift), total, estimates)
    yield from moments("sigma", integrals.moment(1), integrals.moment(2))
    yield from _quantiles("sigma", integrals.below, total, estimates)
    for k, name in enumerate(Sigma_labels(design.terms)):
        yield from moments(name, integrals.moment(2, k), integrals.moment(4, k))
        if integrals.settings.half_lines:
            yield from _quantiles(name, partial(integrals.below, term=k), total, estimates)
    for k, term in enumerate(design.terms):
        for level, label in enumerate(term.levels):
            name = f"b[{term.effects[0]} {term.group}:{level_label(label)}]"
            yield from moments(name, *integrals.effects[k, level])
    yield LOG_EVIDENCE, "value", total.log() + arb(integrals.top)


def _mixture(integrals: Integrals, row: arb_mat, shift: arb) -> Callable[[arb], arb]:
    """∫ of the density where a combination of coefficients is below a threshold: normals, mixed over the lattice."""
    turned = row.transpose()
    parts = [
        (weight, shift + (row * mean)[0, 0], (2 * (row * covariance * turned)[0, 0]).sqrt())
        for weight, mean, covariance in integrals.points
    ]

    def below(x: arb) -> arb:
        return (
            sum((weight * ((mean - x) / spread).erfc() for weight, mean, spread in parts), arb(0)) / 2 + integrals.loss
        )

    return below


def _quantiles(name: str, below: Callable[[arb], arb], total: arb, estimates: Estimates) -> Iterator[Statistic]:
    """Quantiles by a distribution function known at points: below the probability left of them, above it right."""
    sd = estimates.sds[name]
    for label, probability in PROBABILITIES.items():
        mass = probability * total
        centre = arb(estimates.rows[name, label][0])
        for _ in range(_ROUNDS):  # Newton's method, with the secant over a narrow interval for the slope
            step = 1e-7 * sd
            slope = ((below(centre + step) - below(centre - step)) / (2 * step)).mid()
            value = below(centre) - mass
            move, centre = float((value / slope).mid()), (centre - value / slope).mid()
            known_to = float((value.rad() / slope).upper())
            if abs(move) < max(known_to, 1e-12 * sd):  # the next move would be 1e-7 times that at most
                break
        for times in (1.01, 3.0):  # the slope is known roughly
            radius = times * known_to + 2e-7 * abs(move) + sd * 1e-28
            if below(centre - radius) - mass < 0 < below(centre + radius) - mass:
                break
        else:
            raise NotCertifiedError(f"{name}: the quantile near {float(centre):.12g} could not be enclosed")
        yield name, label, centre + arb(0, radius)


def contradiction(row: PosteriorRow, estimates: Estimates) -> str:
    """What sums in double precision have against a number; nothing where they agree, or have no such number."""
    parameter, statistic, value, radius, _ = row
    if (parameter, statistic) not in estimates.rows:
        return f"{statistic} of {parameter}: the model has no such number"
    guess, error = estimates.rows[parameter, statistic]
    allowed = float(radius) + error + CONTRADICTION * estimates.sds.get(parameter, 1.0)
    if math.isnan(guess) or abs(float(value) - guess) <= allowed:
        return ""
    return f"{statistic} of {parameter}: {value} ± {radius}, sums in double precision give {guess!r} ± {error:.1e}"


def check_posterior(case: Case, directory: Path | None = None) -> Recomputed:
    """Recompute a case's stored posterior on the case's data, by programs that share nothing with the sums in balls.

    Sums over a rotated lattice in double precision (:func:`estimate`) confirm every number to seven digits of its
    posterior sd or better, but for the sds of random effects where there are several terms. And where there is one term
    of one effect, mpmath (:func:`validation.certify.recompute.one_term`) confirms the log evidence, means and sds to
    :data:`AGREEMENT`.

    Raises
    ------
    LookupError
        There is none.
    DamagedReferenceError
        The file was changed, or the data are not those of the posterior.
    """
    stored, data = load_posterior(posterior_name(case), directory), case.load("recorded")
    check_data(stored, data)
    design = build_design(case.formula, data, checks=STAN_LMER_CHECKS)
    rough = estimate(design)
    if rough is None:
        raise DamagedReferenceError(f"{stored.name} has too many dimensions to be integrated")
    scalar = len(design.terms) == 1 and design.terms[0].p == 1
    return compared(stored, rough, dict(one_term(design)) if scalar else {})


def compared(stored: CertifiedPosterior, rough: Estimates, precise: Mapping[tuple[str, str], mpf]) -> Recomputed:
    """Compare stored numbers with those in double precision and, where there are any, in multi-precision."""
    failures = [text for row in stored.rows if (text := contradiction(row, rough))]
    # sums in double precision do not have the sds of random effects where there are several terms
    alone = sum(math.isnan(rough.rows.get(row[:2], (0.0, 0.0))[0]) for row in stored.rows)
    differences = []  # in posterior sds (the log evidence absolutely), beyond the radius
    for parameter, statistic, value, radius, kind in stored.rows:
        if kind != ENCLOSED or (parameter, statistic) not in precise:
            continue
        with mp.workdps(PRECISION_OF_POSTERIOR):
            away = abs(mpf(value) - precise[parameter, statistic]) - mpf(radius)
        differences.append(float(away / rough.sds.get(parameter, 1.0)))
        if not differences[-1] <= AGREEMENT:
            failures.append(
                f"{statistic} of {parameter}: {value} ± {radius}, recomputed {differences[-1]:.1e} sds away"
            )
    figures = {"values": len(stored.rows) - alone, "alone": alone, "precise": len(differences)}
    text = f"{figures['values']} values confirmed in double precision"
    if differences:
        text += f", {len(differences)} with mpmath (greatest difference {max(0.0, *differences):.1e} sds)"
    if alone:
        text += f"; {alone} sds of random effects are not recomputed (there are several terms)"
    return Recomputed(figures, text, tuple(failures))


def certify_posteriors(
    cases: Iterable[Case], directory: Path | None = None, progress: Progress = silent, anew: bool = False
) -> list[Path]:
    """Integrate the posteriors of cases and write them; finished ones are kept. The files written are returned."""
    work = by_posterior(cases)
    return write_each(work, certify_posterior, load_posterior, {"method": METHOD}, directory, progress, anew)
