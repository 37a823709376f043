"""Means, sds, quantiles and log evidence of a posterior as balls, labelled by R's names."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

from flint import arb, arb_mat, fmpq

from pyimpl.design.design import Design
from pyimpl.posterior.labels import Sigma_labels, level_label
from validation.certify.collapsed import CollapsedModel
from validation.certify.enclose import NotCertifiedError
from validation.certify.integrals import HalfLine, Integrals

#: parameter, statistic, ball
Statistic: TypeAlias = tuple[str, str, arb]

#: Newton steps to a quantile, at most.
_ROUNDS = 8

#: Names of the quantiles and their probabilities.
PROBABILITIES = {"q2.5": fmpq(1, 40), "q50": fmpq(1, 2), "q97.5": fmpq(39, 40)}


def statistics(
    design: Design,
    model: CollapsedModel,
    integrals: Integrals,
    estimates: Mapping[tuple[str, str], float],
    half_lines: bool,
) -> Iterator[Statistic]:
    """Everything that is enclosed; quantiles of the variances where ``half_lines`` are.

    The quantiles are looked for where approximate sds and quantiles, the ``estimates``, have them.

    Raises
    ------
    NotCertifiedError
        A quantile is not where the estimates have it.
    """
    total = integrals.total
    for name, weights, shift in _coefficients(design, model):
        row = arb_mat([weights])
        mean = (row * integrals.x)[0, 0] / total
        square = (row * integrals.xx * row.transpose())[0, 0] / total
        yield name, "mean", shift + mean
        yield name, "sd", _root(square - mean * mean)
        yield from _quantiles(name, _mixture(integrals, row, shift), total, estimates)
    mean = integrals.sigma[1] / total
    yield "sigma", "mean", mean
    yield "sigma", "sd", _root(integrals.sigma[2] / total - mean * mean)
    line = integrals.sigma_line()
    yield from _quantiles("sigma", lambda x: line.below(x.log()), total, estimates)
    for k, name in enumerate(Sigma_labels(design.terms)):
        first, second = integrals.variance[k]
        mean = first / total
        yield name, "mean", mean
        yield name, "sd", _root(second / total - mean * mean)
        if half_lines:
            yield from _quantiles(name, partial(_below_variance, integrals.variance_line(k)), total, estimates)
    for k, term in enumerate(design.terms):
        for level, label in enumerate(term.levels):
            first, second = integrals.effects[k, level]
            mean = first / total
            name = f"b[{term.effects[0]} {term.group}:{level_label(label)}]"
            yield name, "mean", mean
            yield name, "sd", _root(second / total - mean * mean)
    yield "log evidence", "value", total.log() + arb(integrals.top)


def _below_variance(line: HalfLine, x: arb) -> arb:
    return line.below(x.log() / 2)


def _root(variance: arb) -> arb:
    if not variance > 0:
        raise NotCertifiedError("a variance of the posterior is not known well enough to be positive")
    return variance.sqrt()


def _coefficients(design: Design, model: CollapsedModel) -> Iterator[tuple[str, list[arb], arb]]:
    """R's coefficients as combinations of the standardised ones, and what is added."""
    p = model.p
    centred = [-centre * scale for centre, scale in zip(model.centres, model.scales[1:], strict=True)]
    yield design.coef_names[0], [model.scales[0], *centred], model.mean_y
    for k in range(1, p):
        yield design.coef_names[k], [model.scales[k] if j == k else arb(0) for j in range(p)], arb(0)


def _mixture(integrals: Integrals, row: arb_mat, shift: arb) -> Callable[[arb], arb]:
    """∫ of the density where a combination of coefficients is below a threshold: normals, mixed over the lattice."""
    turned = row.transpose()
    parts = [
        (point.weight, shift + (row * point.mean)[0, 0], (2 * (row * point.covariance * turned)[0, 0]).sqrt())
        for point in integrals.points
    ]

    def below(x: arb) -> arb:
        return (
            sum((weight * ((mean - x) / spread).erfc() for weight, mean, spread in parts), arb(0)) / 2 + integrals.loss
        )

    return below


def _quantiles(
    name: str, below: Callable[[arb], arb], total: arb, estimates: Mapping[tuple[str, str], float]
) -> Iterator[Statistic]:
    """Quantiles by a distribution function known at points: below the probability left of them, above it right."""
    sd = estimates[name, "sd"]
    for label, probability in PROBABILITIES.items():
        mass = probability * total
        centre = arb(estimates[name, label])
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
