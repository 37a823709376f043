"""The optimum proved: a box that holds exactly one stationary point of the criterion, and that a minimum.

Krawczyk's operator (Krawczyk 1969; Rump 2010, Acta Numerica 19, 287-449, section 13) on the gradient: where
K(X) = x̃ − Yg(x̃) + (I − YH(X))(X − x̃) lies inside the box X, X holds one and only one zero of g. A Hessian that is
positive definite over the whole box makes it a strict minimum. A variance at its bound 0 is proved by the sign of the
derivative with respect to the variance: strictly positive there, so that the criterion rises on leaving the bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat

from validation.certify.criterion import Balls, Evaluation, ball, evaluate
from validation.certify.terms import Term

__all__ = ["Enclosure", "NotCertifiedError", "Parameters", "conditioned", "enclose"]

#: Newton steps before giving up: convergence is quadratic, and a start good to 6 digits needs 5 for 100 of them.
_STEPS = 60

#: Radii (relative to 1) of the boxes in which uniqueness is tried, widest first.
_RADII = tuple(2.0**-k for k in range(2, 60, 2))


class NotCertifiedError(RuntimeError):
    """The optimum could not be proved; the message says which step failed."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of all terms, in lme4's order, and which of them are held at their bound.

    Attributes
    ----------
    terms : tuple of Term
    bound : tuple of bool
        For each parameter whether it is at its bound 0; only that of a term with one effect can be.
    """

    terms: tuple[Term, ...]
    bound: tuple[bool, ...]

    def places(self) -> list[tuple[int, int]]:
        """Term of each parameter, and which it is of that term's."""
        return [(t, k) for t, term in enumerate(self.terms) for k in range(term.n_par)]

    def free(self) -> list[tuple[int, int]]:
        """Places of those that are not at their bound."""
        return [place for place, held in zip(self.places(), self.bound, strict=True) if not held]

    def full(self, values: Sequence[Any]) -> list[Any]:
        """All parameters: the free ones, and 0 at the bounds."""
        rest = iter(values)
        return [arb(0) if held else next(rest) for held in self.bound]

    def by_term(self, values: Sequence[Any]) -> list[list[Any]]:
        """All parameters of each term, from the free ones."""
        rest = iter(self.full(values))
        return [[next(rest) for _ in range(term.n_par)] for term in self.terms]

    def relative(self, values: Sequence[Any]) -> dict[int, Any]:
        """Σ of each term from the free parameters."""
        own = self.by_term(values)
        return {t: term.relative(own[t]) for t, term in enumerate(self.terms)}

    def evaluate(
        self, balls: Balls, REML: bool, values: Sequence[Any], order: int = 0, keep: bool = False
    ) -> Evaluation:
        """The criterion with derivatives in the free parameters up to an order."""
        own, free = self.by_term(values), self.free()
        first: list[dict[int, Any]] = []
        second: dict[tuple[int, int], dict[int, Any]] | None = None
        if order >= 1:
            first = [{t: self.terms[t].first(own[t], k)} for t, k in free]
        if order >= 2:
            second = {
                (a, b): {t: self.terms[t].second(own[t], k, m)}
                for a, (t, k) in enumerate(free)
                for b, (s, m) in enumerate(free)
                if a <= b and s == t
            }
        return evaluate(balls, REML, self.relative(values), first, second, keep)

    def slopes_at_bounds(self, balls: Balls, REML: bool, values: Sequence[Any]) -> list[Any]:
        """Derivative with respect to the (relative) variance of each parameter at its bound."""
        held = [place for place, is_held in zip(self.places(), self.bound, strict=True) if is_held]
        return evaluate(balls, REML, self.relative(values), [{t: arb_mat([[1]])} for t, _ in held]).gradient


@dataclass(frozen=True)
class Enclosure:
    """A proved optimum.

    Attributes
    ----------
    parameters : Parameters
    values : tuple of arb
        The free parameters.
    radius : float
        Half the side of the largest box tried in which the stationary point was proved to be the only one (0 where
        nothing is free).
    pivots : tuple of float
        Lower bounds of the pivots of the Hessian over that box's inner box: all positive.
    slopes : tuple of float
        Lower bounds of the derivatives at the bounds: all positive.
    """

    parameters: Parameters
    values: tuple[Any, ...]
    radius: float
    pivots: tuple[float, ...]
    slopes: tuple[float, ...]

    def all_values(self) -> list[Any]:
        """All parameters as balls."""
        return self.parameters.full(self.values)


def enclose(balls: Balls, REML: bool, terms: Sequence[Term], start: np.ndarray) -> Enclosure:
    """Prove the optimum near a start.

    Parameters
    ----------
    balls : Balls
    REML : bool
    terms : sequence of Term
    start : ndarray
        Their parameters in a fit in double precision; one that is exactly at its bound 0 is taken to be at it.

    Returns
    -------
    Enclosure

    Raises
    ------
    NotCertifiedError
        A step of the proof failed.
    """
    parameters = _parameters(terms, start)
    free = [float(value) for value, held in zip(start, parameters.bound, strict=True) if not held]
    balls = conditioned(parameters, balls, REML, [ball(value) for value in free])
    centre = _newton(parameters, balls, REML, [ball(value) for value in free])
    values, radius, pivots = _krawczyk(parameters, balls, REML, centre)
    slopes = parameters.slopes_at_bounds(balls, REML, values) if any(parameters.bound) else []
    if not all(slope > 0 for slope in slopes):
        raise NotCertifiedError(
            "the derivative at a variance of 0 is not positive, so 0 is no minimum: start from a fit with that "
            f"variance free ({', '.join(slope.str(5) for slope in slopes)})"
        )
    return Enclosure(parameters, tuple(values), radius, pivots, tuple(float(slope.lower()) for slope in slopes))


def conditioned(parameters: Parameters, balls: Balls, REML: bool, values: list[Any]) -> Balls:
    """The same problem with X'V⁻¹X near the identity and the response near its residuals.

    [X y] is multiplied by a matrix of exact numbers, which moves the criterion by a constant and nothing else; over a
    wide box the balls then overestimate far less.
    """
    p = balls.p
    found = parameters.evaluate(balls, REML, values)
    root = _cholesky(found.unscaled.mid())
    last = arb_mat([[-value.mid()] for value in found.beta])
    rows = [[*root.tolist()[i], last[i, 0]] for i in range(p)]
    rows.append([*([arb(0)] * p), arb(1)])
    return balls.transformed(arb_mat(rows))


def _cholesky(matrix: Any) -> Any:
    """Lower triangular factor, rounded to exact numbers."""
    rows = matrix.tolist()
    size = len(rows)
    L = [[arb(0)] * size for _ in range(size)]
    for j in range(size):
        for i in range(j, size):
            rest = rows[i][j] - sum((L[i][k] * L[j][k] for k in range(j)), arb(0))
            L[i][j] = (rest.sqrt() if i == j else rest / L[j][j]).mid()
    return arb_mat(L)


def _parameters(terms: Sequence[Term], start: np.ndarray) -> Parameters:
    bound = []
    places = [(term, k) for term in terms for k in range(term.n_par)]
    for (term, k), value in zip(places, start, strict=True):
        held = term.at_bound(k, float(value))
        if held and term.size > 1:
            raise NotCertifiedError(
                "a term of several effects is singular; only variances of terms with one effect can be proved to be 0"
            )
        bound.append(held)
    return Parameters(tuple(terms), tuple(bound))


def _newton(parameters: Parameters, balls: Balls, REML: bool, values: list[Any]) -> list[Any]:
    """Newton's method on midpoints until the step is rounding."""
    if not values:
        return []
    best = math.inf
    for _ in range(_STEPS):
        found = parameters.evaluate(balls, REML, values, 2)
        H = arb_mat(found.hessian).mid()
        step = H.solve(arb_mat([[g.mid()] for g in found.gradient]))
        size = max(float(abs(step[i, 0]).upper()) for i in range(len(values)))
        if size >= best / 2 and best < 1e-20:
            return values
        best = min(best, size)
        values = [(value - step[i, 0]).mid() for i, value in enumerate(values)]
    raise NotCertifiedError(f"Newton's method did not settle in {_STEPS} steps (last step {size:.3g})")


def _krawczyk(
    parameters: Parameters, balls: Balls, REML: bool, centre: list[Any]
) -> tuple[list[Any], float, tuple[float, ...]]:
    """Prove one zero of the gradient in a box about ``centre``, and enclose it as tightly as the precision allows."""
    m = len(centre)
    if m == 0:
        return [], 0.0, ()
    here = parameters.evaluate(balls, REML, centre, 2)
    Y = arb_mat(here.hessian).mid().inv().mid()
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
    parameters: Parameters, balls: Balls, REML: bool, centre: list[Any], box: list[Any], Y: Any, step: Any
) -> tuple[list[Any] | None, Any]:
    m = len(centre)
    try:
        H = arb_mat(parameters.evaluate(balls, REML, box, 2).hessian)
    except ZeroDivisionError:
        return None, None
    contraction = arb_mat([[int(i == j) for j in range(m)] for i in range(m)]) - Y * H
    off = contraction * arb_mat([[box[i] - centre[i]] for i in range(m)])
    image = [centre[i] - step[i, 0] + off[i, 0] for i in range(m)]
    return (image, H) if all(value.is_finite() for value in image) else (None, None)


def _pivots(H: Any) -> tuple[float, ...] | None:
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
