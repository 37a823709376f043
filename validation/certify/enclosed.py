"""Means, sds, quantiles and log evidence of a posterior as balls, labelled by R's names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from flint import arb, arb_mat, fmpq

from pyimpl.design.design import Design
from pyimpl.posterior.labels import Sigma_labels, level_label
from validation.certify.collapsed import CollapsedModel
from validation.certify.enclose import NotCertifiedError
from validation.certify.integrals import HalfPlane, Integrals, Point

__all__ = ["PROBABILITIES", "Statistic", "statistics"]

#: parameter, statistic, ball
Statistic: TypeAlias = tuple[str, str, arb]

#: Newton steps to a quantile, at most.
_ROUNDS = 8

#: Half-widths of the boxes about an approximate quantile, in posterior sds, narrowest first.
_WIDTHS = (1e-7, 1e-5, 1e-3, 1e-1)

#: Names of the quantiles and their probabilities.
PROBABILITIES = {"q2.5": fmpq(1, 40), "q50": fmpq(1, 2), "q97.5": fmpq(39, 40)}


def statistics(
    design: Design,
    model: CollapsedModel,
    integrals: Integrals,
    estimates: Mapping[tuple[str, str], float],
    half_lines: bool,
) -> Iterator[Statistic]:
    """Everything that is enclosed.

    Parameters
    ----------
    design : Design
    model : CollapsedModel
    integrals : Integrals
    estimates : mapping of (parameter, statistic) to float
        Approximate sds and quantiles: where the quantiles are looked for.
    half_lines : bool
        Whether quantiles of the variances are wanted.

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
        line = _Coefficient(integrals.points, row, shift, integrals.loss)
        for label, probability in PROBABILITIES.items():
            start = estimates[name, label]
            yield name, label, line.quantile(probability * total, start, estimates[name, "sd"], name)
    mean = integrals.sigma[1] / total
    yield "sigma", "mean", mean
    yield "sigma", "sd", _root(integrals.sigma[2] / total - mean * mean)
    yield from _quantiles("sigma", lambda x: integrals.sigma_line.below(x.log()), total, estimates)
    for k, name in enumerate(Sigma_labels(design.terms)):
        first, second = integrals.variance[k]
        mean = first / total
        yield name, "mean", mean
        yield name, "sd", _root(second / total - mean * mean)
        if half_lines:
            yield from _quantiles(name, partial(_below_variance, integrals.variance_lines[k]), total, estimates)
    for k, term in enumerate(design.terms):
        for level, label in enumerate(term.levels):
            first, second = integrals.effects[k, level]
            mean = first / total
            name = f"b[{term.effects[0]} {term.group}:{level_label(label)}]"
            yield name, "mean", mean
            yield name, "sd", _root(second / total - mean * mean)
    yield "log evidence", "value", total.log() + arb(integrals.top)


def _below_variance(plane: HalfPlane, x: arb) -> arb:
    return plane.below(x.log() / 2)


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


class _Coefficient:
    """Distribution function of a combination of coefficients: a mixture of normals over the lattice."""

    def __init__(self, points: list[Point], row: arb_mat, shift: arb, loss: arb) -> None:
        self.weights = [point.weight for point in points]
        self.means = [shift + (row * point.mean)[0, 0] for point in points]
        turned = row.transpose()
        self.sds = [(row * point.covariance * turned)[0, 0].sqrt() for point in points]
        self.loss = loss

    def quantile(self, mass: arb, start: float, sd: float, name: str) -> arb:
        """Enclose where the integral reaches a mass: interval Newton about a start.

        The sum's derivative is the mixture's density f. Whatever the sum lacks at any x is within ``loss``; so if
        start − (F(start) + loss − mass)/f(X) lies inside the box X, the quantile does.
        """
        found = self._newton(mass, arb(start), sd, _WIDTHS)
        if found is not None and found.rad() > _WIDTHS[0] ** 2 * sd:  # the start was poor: once more from a better one
            better = self._newton(mass, found.mid(), sd, _WIDTHS[:1])
            found = found if better is None else better
        if found is None:
            raise NotCertifiedError(f"{name}: the quantile near {start:.12g} could not be enclosed")
        return found

    def _newton(self, mass: arb, at: arb, sd: float, widths: Sequence[float]) -> arb | None:
        """One step from ``at``, in the narrowest box that it proves anything about; None where there is none."""
        half = arb(2).sqrt() / 2
        rest = self.loss - mass
        for weight, mean, own in zip(self.weights, self.means, self.sds, strict=True):
            rest += weight * ((mean - at) / own * half).erfc() / 2
        for width in widths:
            box = at + arb(0, width * sd)
            slope = arb(0)
            for weight, mean, own in zip(self.weights, self.means, self.sds, strict=True):
                z = (box - mean) / own
                slope += weight * (-z * z / 2).exp() / own
            found = at - rest / (slope / (2 * arb.pi()).sqrt())
            if box.contains_interior(found):
                return found
        return None


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
            radius = 3 * float((value.rad() / slope).upper()) + sd * 1e-28
            if abs(move) < max(radius, 1e-12 * sd):  # the next move would be 1e-7 times that at most
                break
        radius += 2e-7 * abs(move)
        left, right = below(centre - radius) - mass, below(centre + radius) - mass
        if not (left < 0 and right > 0):
            raise NotCertifiedError(f"{name}: the quantile near {float(centre):.12g} could not be enclosed")
        yield name, label, centre + arb(0, radius)
