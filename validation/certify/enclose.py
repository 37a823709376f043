"""The optimum proved: a box that holds exactly one stationary point of the criterion, and that a minimum; the only one.

Krawczyk's operator (Krawczyk 1969; Rump 2010, Acta Numerica 19, 287-449, section 13) on the gradient: where
K(X) = x̃ − Yg(x̃) + (I − YH(X))(X − x̃) lies inside the box X, X holds one and only one zero of g. A Hessian that is
positive definite over the whole box makes it a strict minimum. A variance at its bound 0 is proved by the sign of the
derivative with respect to the variance: strictly positive there, so that the criterion rises on leaving the bound.

For a model of one random intercept (or one uncorrelated slope) the criterion is a function of s = θ² ≥ 0 alone, and the
whole half-line is searched. With a = z'z, B = z'[X y] of a group and W = [X y]'[X y] − Σ B'B/a (exact),

    S(s) = W + Σ B'B / (a(1 + as)),

a sum without cancellation. [0, 1] is cut in s and [1, ∞] in t = 1/s until the derivative has one sign on each piece, or
the piece lies inside the box in which the optimum is the only stationary point. A function on a half-line whose only
stationary point is a strict minimum has no lower value anywhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat

from pyimpl.design.design import Design
from validation.certify.criterion import Balls, Evaluation, ExactSums, evaluate, identity, part
from validation.covariances import FREE, Structure, triangle

#: Newton steps before giving up: convergence is quadratic, and a start good to 6 digits needs 5 for 100 of them.
_STEPS = 60

#: Radii (relative to 1) of the boxes in which uniqueness is tried, widest first.
_RADII = tuple(2.0**-k for k in range(2, 60, 2))

#: Pieces of the half-line before giving up.
MOST_PIECES = 20_000

#: Parameters that are multiplied (each as often as its power, ascending) -> coefficient.
Polynomial: TypeAlias = dict[tuple[int, ...], int]


class NotCertifiedError(RuntimeError):
    """The optimum could not be proved; the message says which step failed."""


# ------------------------------------------------------------------------------------------- the model's parameters


@dataclass(frozen=True)
class Term:
    """A term's relative covariance matrix Σ as polynomials in its parameters, with their derivatives.

    An unstructured term's parameters are the elements of T (lme4's θ), Σ = TT'. A structured one's (lme4's ``par``) are
    standard deviations s and a correlation ρ, Σ_ij = s_i s_j ρ^d_ij: d = 1 off the diagonal (``cs``) or |i − j|
    (``ar1``); of ``diag`` all that is off the diagonal is 0.
    """

    structure: Structure
    size: int  # number of effects

    def bounds(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each parameter."""
        return self.structure.bounds(self.size)

    @cached_property
    def _entries(self) -> list[list[Polynomial]]:
        at = {place: k for k, place in enumerate(triangle(self.size))}
        last = self.structure.n_par(self.size) - 1

        def entry(i: int, j: int) -> Polynomial:
            if self.structure.free:
                return {tuple(sorted((at[i, k], at[j, k]))): 1 for k in range(min(i, j) + 1)}
            if self.structure.name == "diag" and i != j:
                return {}
            power = abs(i - j) if self.structure.name == "ar1" else int(i != j)
            return {(*((0, 0) if self.structure.hom else sorted((i, j))), *[last] * power): 1}

        return [[entry(i, j) for j in range(self.size)] for i in range(self.size)]

    def Sigma(self, values: Sequence[arb], *by: int) -> arb_mat:
        """Σ, or its derivative by one parameter or several."""

        def value(polynomial: Polynomial) -> arb:
            for k in by:
                polynomial = {
                    (*powers[: powers.index(k)], *powers[powers.index(k) + 1 :]): times * powers.count(k)
                    for powers, times in polynomial.items()
                    if k in powers
                }
            # products, not powers: arb's power of a ball about 0 is not finite
            products = (math.prod((values[k] for k in powers), start=arb(n)) for powers, n in polynomial.items())
            return sum(products, arb(0))

        return arb_mat([[value(polynomial) for polynomial in row] for row in self._entries])

    def template(self, values: Sequence[arb]) -> arb_mat:
        """T with TT' = Σ, lower triangular."""
        if not self.structure.free:
            return cholesky(self.Sigma(values))
        T = arb_mat(self.size, self.size)
        for place, value in zip(triangle(self.size), values, strict=True):
            T[place] = value
        return T


def terms_of(design: Design) -> tuple[Term, ...]:
    """The terms of a design; one effect has a variance, whatever the structure."""
    return tuple(
        Term(FREE if term.p == 1 else Structure(term.covariance.name, term.covariance.hom), term.p)
        for term in design.terms
    )


def cholesky(matrix: arb_mat) -> arb_mat:
    """Lower triangular factor."""
    L = arb_mat(matrix.nrows(), matrix.nrows())
    for j in range(matrix.nrows()):
        for i in range(j, matrix.nrows()):
            rest = matrix[i, j] - sum((L[i, k] * L[j, k] for k in range(j)), arb(0))
            L[i, j] = rest.sqrt() if i == j else rest / L[j, j]
    return L


@dataclass(frozen=True)
class Problem:
    """A criterion of data, the parameters of all terms in lme4's order, and which of them are held at their bound."""

    balls: Balls
    REML: bool
    terms: tuple[Term, ...]
    #: for each parameter whether it is at its bound 0; only that of a term with one effect can be
    bound: tuple[bool, ...]

    def places(self, held: bool) -> list[tuple[int, int]]:
        """Term of each parameter that is (not) at its bound, and which it is of that term's."""
        places = ((t, k) for t, term in enumerate(self.terms) for k in range(len(term.bounds())))
        return [place for place, at_bound in zip(places, self.bound, strict=True) if at_bound == held]

    def bounds(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each parameter."""
        return [pair for term in self.terms for pair in term.bounds()]

    def full(self, values: Sequence[arb]) -> list[arb]:
        """All parameters: the free ones, and 0 at the bounds."""
        rest = iter(values)
        return [arb(0) if held else next(rest) for held in self.bound]

    def by_term(self, values: Sequence[arb]) -> list[list[arb]]:
        """All parameters of each term, from the free ones."""
        rest = iter(self.full(values))
        return [[next(rest) for _ in term.bounds()] for term in self.terms]

    def relative(self, values: Sequence[arb]) -> dict[int, arb_mat]:
        """Σ of each term from the free parameters."""
        return {t: term.Sigma(own) for t, (term, own) in enumerate(zip(self.terms, self.by_term(values), strict=True))}

    def evaluate(self, values: Sequence[arb], order: int = 0) -> Evaluation:
        """The criterion with derivatives in the free parameters up to an order (0, or 2)."""
        own, free = self.by_term(values), self.places(held=False) if order else []
        first = [{t: self.terms[t].Sigma(own[t], k)} for t, k in free]
        second = {
            (a, b): {t: self.terms[t].Sigma(own[t], k, m)}
            for a, (t, k) in enumerate(free)
            for b, (s, m) in enumerate(free)
            if a <= b and s == t
        }
        return evaluate(self.balls, self.REML, self.relative(values), first, second)

    def conditioned(self, values: Sequence[arb]) -> "Problem":
        """The same problem with X'V⁻¹X near the identity and the response near its residuals.

        [X y] is multiplied by a matrix of exact numbers, which moves the criterion by a constant and nothing else; over
        a wide box the balls then overestimate far less.
        """
        found = self.evaluate(values)
        root = zip(cholesky(found.unscaled).tolist(), found.beta.tolist(), strict=True)
        rows = [[*row, -beta] for row, (beta,) in root]
        to_W = arb_mat([*rows, [*([arb(0)] * self.balls.p), arb(1)]]).mid()
        return replace(self, balls=self.balls.transformed(to_W))


# --------------------------------------------------------------------------------------------------- a proved optimum


@dataclass(frozen=True)
class Enclosure:
    """A proved optimum."""

    problem: Problem
    values: tuple[arb, ...]  # the free parameters
    #: half the side of the largest box tried in which the stationary point was proved to be the only one (0 where
    #: nothing is free)
    radius: float
    pivots: tuple[float, ...]  # lower bounds of the pivots of the Hessian over that box's inner box: all positive
    slopes: tuple[float, ...]  # lower bounds of the derivatives at the bounds: all positive


def enclose(balls: Balls, REML: bool, terms: Sequence[Term], start: np.ndarray) -> Enclosure:
    """Prove the optimum near the terms' parameters in a fit in double precision.

    One that is exactly at its bound 0 is taken to be at it.

    Raises
    ------
    NotCertifiedError
        A step of the proof failed.
    """
    places = [(term, bounds) for term in terms for bounds in term.bounds()]
    held = tuple(float(value) in bounds for (_, bounds), value in zip(places, start, strict=True))
    if any(at_bound and term.size > 1 for (term, _), at_bound in zip(places, held, strict=True)):
        raise NotCertifiedError(
            "a term of several effects is singular; only variances of terms with one effect can be proved to be 0"
        )
    problem = Problem(balls, REML, tuple(terms), held)
    near = [arb(float(value)) for value, at_bound in zip(start, held, strict=True) if not at_bound]
    conditioned = problem.conditioned(near)
    values, radius, pivots = _krawczyk(conditioned, _newton(conditioned, near))
    variances = [{t: arb_mat([[1]])} for t, _ in problem.places(held=True)]
    slopes = evaluate(conditioned.balls, REML, problem.relative(values), variances).gradient
    if not all(slope > 0 for slope in slopes):
        raise NotCertifiedError(
            "the derivative at a variance of 0 is not positive, so 0 is no minimum: start from a fit with that "
            f"variance free ({', '.join(slope.str(5) for slope in slopes)})"
        )
    return Enclosure(problem, tuple(values), radius, pivots, tuple(float(slope.lower()) for slope in slopes))


def _newton(problem: Problem, values: list[arb]) -> list[arb]:
    """Newton's method on midpoints until the step is rounding."""
    if not values:
        return []
    best = math.inf
    for _ in range(_STEPS):
        found = problem.evaluate(values, 2)
        step = found.hessian.mid().solve(arb_mat([[g.mid()] for g in found.gradient]))
        size = max(float(abs(step[i, 0]).upper()) for i in range(len(values)))
        if size >= best / 2 and best < 1e-20:
            return values
        best = min(best, size)
        values = [(value - step[i, 0]).mid() for i, value in enumerate(values)]
    raise NotCertifiedError(f"Newton's method did not settle in {_STEPS} steps (last step {size:.3g})")


def _krawczyk(problem: Problem, centre: list[arb]) -> tuple[list[arb], float, tuple[float, ...]]:
    """Prove one zero of the gradient in a box about ``centre``, and enclose it as tightly as the precision allows."""
    if not centre:
        return [], 0.0, ()
    here = problem.evaluate(centre, 2)
    Y = here.hessian.mid().inv().mid()
    step = (Y * arb_mat([[g] for g in here.gradient])).entries()

    def image_of(box: list[arb]) -> tuple[list[arb], arb_mat] | None:
        try:
            H = problem.evaluate(box, 2).hessian
        except ZeroDivisionError:
            return None
        contraction = identity(len(centre)) - Y * H
        off = contraction * arb_mat([[side - middle] for side, middle in zip(box, centre, strict=True)])
        image = [middle - move + rest for middle, move, rest in zip(centre, step, off.entries(), strict=True)]
        return (image, H) if all(value.is_finite() for value in image) else None

    for radius in _RADII:
        box = [value + arb(0, radius) for value in centre]
        found = image_of(box)
        pivots = _pivots(found[1]) if found else None
        if not found or pivots is None or not all(map(arb.contains_interior, box, found[0])):
            continue
        image = found[0]
        for _ in range(_STEPS):  # each round squares the radius, until rounding stops it
            again = image_of(image)
            if again is None or not all(a.rad() < 0.9 * b.rad() for a, b in zip(again[0], image, strict=True)):
                break
            image = [a.intersection(b) for a, b in zip(again[0], image, strict=True)]
        return image, radius, pivots
    raise NotCertifiedError("Krawczyk's operator maps no box about the optimum into itself: more bits are needed")


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


# ----------------------------------------------------------------------------------------------- the only minimum


def prove_only(sums: ExactSums, enclosure: Enclosure, beta: Sequence[float]) -> tuple[int, str]:
    """Prove that the enclosed optimum is the only local minimum over all θ ≥ 0, or give up after :data:`MOST_PIECES`.

    How many pieces were looked at comes back, and where it was given up: nothing where it is proved. ``beta`` is any
    approximation of β̂: the response is moved near its residuals, which tightens the balls and changes nothing.

    Raises
    ------
    ValueError
        The model has other terms.
    """
    if [term.size for term in enclosure.problem.terms] != [1]:
        raise ValueError("the search is for models with one term of one effect")
    line = _Line(sums, enclosure.problem.REML, beta)
    if enclosure.values:
        theta = enclosure.values[0]
        low, high = (theta - enclosure.radius).upper(), (theta + enclosure.radius).lower()
        inside = (max(float((low * low).upper()), 0.0), float((high * high).lower()))
    else:
        inside = (0.0, 0.0)
    pieces = 0
    in_t = (_inverse(inside[1]), _inverse(inside[0]))
    for slope, (left, right) in ((line.in_s, inside), (line.in_t, in_t)):
        stack = [(0.0, 1.0)]
        while stack:
            low_end, high_end = stack.pop()
            pieces += 1
            if (left < low_end and high_end < right) or _has_sign(slope, low_end, high_end):
                continue
            middle = 0.5 * (low_end + high_end)
            if pieces > MOST_PIECES or not low_end < middle < high_end:
                return pieces, f"undecided between {low_end} and {high_end}"
            stack += [(low_end, middle), (middle, high_end)]
    return pieces, ""


def _inverse(value: float) -> float:
    return 1.0 / value if value > 0 else math.inf


def _has_sign(slope: Callable[[arb], arb], low: float, high: float) -> bool:
    try:
        value = slope(arb(low).union(high))
    except ZeroDivisionError:
        return False
    return value > 0 or value < 0


class _Line:
    """The derivative of the criterion along s, and s times it along t = 1/s; its sign is what is wanted."""

    def __init__(self, sums: ExactSums, REML: bool, beta: Sequence[float]) -> None:
        self.p, self.REML = sums.p, REML
        self.df = sums.n - sums.p if REML else sums.n
        moved = fmpq_mat([[int(i == j) for j in range(sums.p + 1)] for i in range(sums.p + 1)])  # y to y − X·beta
        for i, value in enumerate(beta):
            moved[i, sums.p] = -fmpq(*float(value).as_integer_ratio())
        sums = sums.transformed(moved)
        within = sums.C
        groups: dict[fmpq, tuple[int, fmpq_mat]] = {}
        for block in sums.blocks:
            a, products = block.A[0, 0], block.B.transpose() * block.B
            if a == 0:  # the slope is 0 in the whole group: it has no part in V
                continue
            count, before = groups.get(a, (0, 0 * products))
            groups[a] = count + 1, before + products
            within -= products / a
        # columns of X that do not vary within groups lose their weight as s grows: their equations are scaled by s
        self.between = [within[k, k] == 0 for k in range(sums.p)]
        self.W = arb_mat(within)
        self.groups = [(arb(a), count, arb_mat(products)) for a, (count, products) in groups.items()]

    def _sums(self, denominators: Sequence[arb]) -> tuple[arb_mat, arb_mat, arb]:
        S, D, log_det = 0 * self.W, 0 * self.W, arb(0)
        for (a, count, K), one in zip(self.groups, denominators, strict=True):
            S = S + K * (1 / (a * one))
            D = D + K * (1 / (one * one))
            log_det += count * a / one
        return S, D, log_det

    def in_s(self, s: arb) -> arb:
        """Derivative of the criterion with respect to s."""
        between, D, log_det = self._sums([1 + a * s for a, _, _ in self.groups])
        S = self.W + between
        return self._slope(S, S, D, D, log_det)

    def in_t(self, t: arb) -> arb:
        """S times the derivative with respect to s, at s = 1/t; finite at t = 0."""
        K0, D0, log_det = self._sums([t + a for a, _, _ in self.groups])
        S, D = self.W + K0 * t, D0 * t

        def scaled(whole: arb_mat, rest: arb_mat) -> arb_mat:
            rows = zip(whole.tolist(), rest.tolist(), [*self.between, False], strict=True)
            return arb_mat([b if between else a for a, b, between in rows])

        return self._slope(S, scaled(S, K0), D, scaled(D, D0), log_det)

    def _slope(self, S: arb_mat, scaled: arb_mat, D: arb_mat, D_scaled: arb_mat, log_det: arb) -> arb:
        """(log|V|)' − df v'Dv/r² − tr(Sxx⁻¹Dxx), where −D is the derivative of S; rows of both may be scaled alike."""
        p, of_X = self.p, slice(0, self.p)
        Q = part(scaled, of_X, of_X)
        beta = Q.solve(part(scaled, of_X, slice(p, p + 1)))
        v = arb_mat([*((-beta).tolist()), [1]])
        r2 = S[p, p] - sum((S[p, i] * beta[i, 0] for i in range(p)), arb(0))
        slope = log_det - self.df * (v.transpose() * (D * v))[0, 0] / r2
        if self.REML:
            slope -= Q.solve(part(D_scaled, of_X, of_X)).trace()
        return slope
