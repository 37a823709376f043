"""The optimum proved: a box that holds exactly one stationary point of the criterion, and that a minimum.

Krawczyk's operator (Krawczyk 1969; Rump 2010, Acta Numerica 19, 287-449, section 13) on the gradient: where
K(X) = x̃ − Yg(x̃) + (I − YH(X))(X − x̃) lies inside the box X, X holds one and only one zero of g. A Hessian that is
positive definite over the whole box makes it a strict minimum. A variance at its bound 0 is proved by the sign of the
derivative with respect to the variance: strictly positive there, so that the criterion rises on leaving the bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat

from validation.certify.criterion import Balls, Evaluation, evaluate, identity
from validation.certify.terms import Term, cholesky

#: Newton steps before giving up: convergence is quadratic, and a start good to 6 digits needs 5 for 100 of them.
_STEPS = 60

#: Radii (relative to 1) of the boxes in which uniqueness is tried, widest first.
_RADII = tuple(2.0**-k for k in range(2, 60, 2))


class NotCertifiedError(RuntimeError):
    """The optimum could not be proved; the message says which step failed."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of all terms, in lme4's order, and which of them are held at their bound."""

    terms: tuple[Term, ...]
    #: for each parameter whether it is at its bound 0; only that of a term with one effect can be
    bound: tuple[bool, ...]

    def free(self) -> list[tuple[int, int]]:
        """Term of each parameter that is not at its bound, and which it is of that term's."""
        places = [(t, k) for t, term in enumerate(self.terms) for k in range(len(term.bounds))]
        return [place for place, held in zip(places, self.bound, strict=True) if not held]

    def full(self, values: Sequence[arb]) -> list[arb]:
        """All parameters: the free ones, and 0 at the bounds."""
        rest = iter(values)
        return [arb(0) if held else next(rest) for held in self.bound]

    def by_term(self, values: Sequence[arb]) -> list[list[arb]]:
        """All parameters of each term, from the free ones."""
        rest = iter(self.full(values))
        return [[next(rest) for _ in term.bounds] for term in self.terms]

    def relative(self, values: Sequence[arb]) -> dict[int, arb_mat]:
        """Σ of each term from the free parameters."""
        return {t: term.Sigma(own) for t, (term, own) in enumerate(zip(self.terms, self.by_term(values), strict=True))}

    def evaluate(self, balls: Balls, REML: bool, values: Sequence[arb], order: int = 0) -> Evaluation:
        """The criterion with derivatives in the free parameters up to an order (0, or 2)."""
        own, free = self.by_term(values), self.free() if order else []
        first = [{t: self.terms[t].Sigma(own[t], k)} for t, k in free]
        second = {
            (a, b): {t: self.terms[t].Sigma(own[t], k, m)}
            for a, (t, k) in enumerate(free)
            for b, (s, m) in enumerate(free)
            if a <= b and s == t
        }
        return evaluate(balls, REML, self.relative(values), first, second)

    def slopes_at_bounds(self, balls: Balls, REML: bool, values: Sequence[arb]) -> list[arb]:
        """Derivative with respect to the (relative) variance of each parameter at its bound."""
        free = self.free()
        held = [
            {t: arb_mat([[1]])}
            for t, term in enumerate(self.terms)
            for k in range(len(term.bounds))
            if (t, k) not in free
        ]
        return evaluate(balls, REML, self.relative(values), held).gradient


@dataclass(frozen=True)
class Enclosure:
    """A proved optimum."""

    parameters: Parameters
    values: tuple[arb, ...]  # the free parameters
    #: half the side of the largest box tried in which the stationary point was proved to be the only one (0 where
    #: nothing is free)
    radius: float
    pivots: tuple[float, ...]  # lower bounds of the pivots of the Hessian over that box's inner box: all positive
    slopes: tuple[float, ...]  # lower bounds of the derivatives at the bounds: all positive

    def all_values(self) -> list[arb]:
        """All parameters as balls."""
        return self.parameters.full(self.values)


def enclose(balls: Balls, REML: bool, terms: Sequence[Term], start: np.ndarray) -> Enclosure:
    """Prove the optimum near the terms' parameters in a fit in double precision.

    One that is exactly at its bound 0 is taken to be at it.

    Raises
    ------
    NotCertifiedError
        A step of the proof failed.
    """
    parameters = _parameters(terms, start)
    free = [float(value) for value, held in zip(start, parameters.bound, strict=True) if not held]
    balls = conditioned(parameters, balls, REML, [arb(value) for value in free])
    centre = _newton(parameters, balls, REML, [arb(value) for value in free])
    values, radius, pivots = _krawczyk(parameters, balls, REML, centre)
    slopes = parameters.slopes_at_bounds(balls, REML, values) if any(parameters.bound) else []
    if not all(slope > 0 for slope in slopes):
        raise NotCertifiedError(
            "the derivative at a variance of 0 is not positive, so 0 is no minimum: start from a fit with that "
            f"variance free ({', '.join(slope.str(5) for slope in slopes)})"
        )
    return Enclosure(parameters, tuple(values), radius, pivots, tuple(float(slope.lower()) for slope in slopes))


def conditioned(parameters: Parameters, balls: Balls, REML: bool, values: list[arb]) -> Balls:
    """The same problem with X'V⁻¹X near the identity and the response near its residuals.

    [X y] is multiplied by a matrix of exact numbers, which moves the criterion by a constant and nothing else; over a
    wide box the balls then overestimate far less.
    """
    found = parameters.evaluate(balls, REML, values)
    rows = [[*row, -beta] for row, (beta,) in zip(cholesky(found.unscaled).tolist(), found.beta.tolist(), strict=True)]
    return balls.transformed(arb_mat([*rows, [*([arb(0)] * balls.p), arb(1)]]).mid())


def _parameters(terms: Sequence[Term], start: np.ndarray) -> Parameters:
    bound = []
    places = [(term, bounds) for term in terms for bounds in term.bounds]
    for (term, bounds), value in zip(places, start, strict=True):
        held = float(value) in bounds
        if held and term.size > 1:
            raise NotCertifiedError(
                "a term of several effects is singular; only variances of terms with one effect can be proved to be 0"
            )
        bound.append(held)
    return Parameters(tuple(terms), tuple(bound))


def _newton(parameters: Parameters, balls: Balls, REML: bool, values: list[arb]) -> list[arb]:
    """Newton's method on midpoints until the step is rounding."""
    if not values:
        return []
    best = math.inf
    for _ in range(_STEPS):
        found = parameters.evaluate(balls, REML, values, 2)
        step = found.hessian.mid().solve(arb_mat([[g.mid()] for g in found.gradient]))
        size = max(float(abs(step[i, 0]).upper()) for i in range(len(values)))
        if size >= best / 2 and best < 1e-20:
            return values
        best = min(best, size)
        values = [(value - step[i, 0]).mid() for i, value in enumerate(values)]
    raise NotCertifiedError(f"Newton's method did not settle in {_STEPS} steps (last step {size:.3g})")


def _krawczyk(
    parameters: Parameters, balls: Balls, REML: bool, centre: list[arb]
) -> tuple[list[arb], float, tuple[float, ...]]:
    """Prove one zero of the gradient in a box about ``centre``, and enclose it as tightly as the precision allows."""
    m = len(centre)
    if m == 0:
        return [], 0.0, ()
    here = parameters.evaluate(balls, REML, centre, 2)
    Y = here.hessian.mid().inv().mid()
    step = Y * arb_mat([[g] for g in here.gradient])
    for radius in _RADII:
        box = [value + arb(0, radius) for value in centre]
        image, H = _image(parameters, balls, REML, centre, box, Y, step)
        if image is None or H is None:
            continue
        pivots = _pivots(H)
        if pivots is None or not all(box[i].contains_interior(image[i]) for i in range(m)):
            continue
        for _ in range(_STEPS):  # each round squares the radius, until rounding stops it
            again, _ = _image(parameters, balls, REML, centre, image, Y, step)
            if again is None or not all(a.rad() < 0.9 * b.rad() for a, b in zip(again, image, strict=True)):
                break
            image = [a.intersection(b) for a, b in zip(again, image, strict=True)]
        return image, radius, pivots
    raise NotCertifiedError("Krawczyk's operator maps no box about the optimum into itself: more bits are needed")


def _image(
    parameters: Parameters, balls: Balls, REML: bool, centre: list[arb], box: list[arb], Y: arb_mat, step: arb_mat
) -> tuple[list[arb] | None, arb_mat | None]:
    m = len(centre)
    try:
        H = parameters.evaluate(balls, REML, box, 2).hessian
    except ZeroDivisionError:
        return None, None
    contraction = identity(m) - Y * H
    off = contraction * arb_mat([[box[i] - centre[i]] for i in range(m)])
    image = [centre[i] - step[i, 0] + off[i, 0] for i in range(m)]
    return (image, H) if all(value.is_finite() for value in image) else (None, None)


def _pivots(H: arb_mat) -> tuple[float, ...] | None:
    """Lower bounds of the pivots of a symmetric matrix; None where one may not be positive."""
    rows = H.tolist()
    pivots = []
    for k in range(len(rows)):
        pivot = rows[k][k]
        if not pivot > 0:
            return None
        pivots.append(float(pivot.lower()))
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / pivot
            for j in range(k + 1, len(rows)):
                rows[i][j] = rows[i][j] - factor * rows[k][j]
    return tuple(pivots)
