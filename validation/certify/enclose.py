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
from validation.certify.criterion import Balls, Evaluation, ExactSums, evaluate, part
from validation.covariances import FREE, Structure, triangle

#: Newton steps before giving up: convergence is quadratic, and a start good to 6 digits needs 5 for 100 of them.
_STEPS = 60

#: Radii (relative to 1) of the boxes in which uniqueness is tried, widest first.
_RADII = tuple(2.0**-k for k in range(2, 60, 2))

#: Pieces of the half-line before giving up.
MOST_PIECES = 20_000

#: Products that are added, each of the parameters that are multiplied.
Polynomial: TypeAlias = list[tuple[int, ...]]


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
                return [(at[i, k], at[j, k]) for k in range(min(i, j) + 1)]
            if self.structure.name == "diag" and i != j:
                return []
            power = abs(i - j) if self.structure.name == "ar1" else int(i != j)
            return [(*((0, 0) if self.structure.hom else (i, j)), *[last] * power)]

        return [[entry(i, j) for j in range(self.size)] for i in range(self.size)]

    def Sigma(self, values: Sequence[arb], *by: int) -> arb_mat:
        """Σ, or its derivative by one parameter or several."""

        def value(polynomial: Polynomial) -> arb:
            for k in by:
                polynomial = [
                    (*factors[:i], *factors[i + 1 :])
                    for factors in polynomial
                    for i, factor in enumerate(factors)
                    if factor == k
                ]
            # products, not powers: arb's power of a ball about 0 is not finite
            return sum((math.prod((values[k] for k in factors), start=arb(1)) for factors in polynomial), arb(0))

        return arb_mat([[value(polynomial) for polynomial in row] for row in self._entries])


def terms_of(design: Design) -> tuple[Term, ...]:
    """The terms of a design; one effect has a variance, whatever the structure."""
    return tuple(
        Term(FREE if term.p == 1 else Structure(term.covariance.name, term.covariance.hom), term.p)
        for term in design.terms
    )


def eliminated(matrix: arb_mat) -> list[list[arb]]:
    """A symmetric matrix after Gauss's elimination: rows from the diagonal on; what is before it is not 0 here."""
    rows = matrix.tolist()
    for k, row in enumerate(rows):
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / row[k]
            rows[i][k + 1 :] = [own - factor * other for own, other in zip(rows[i][k + 1 :], row[k + 1 :], strict=True)]
    return rows


def cholesky(matrix: arb_mat) -> arb_mat:
    """Lower triangular factor."""
    U = eliminated(matrix)
    L = arb_mat(len(U), len(U))
    for j, row in enumerate(U):
        L[j, j] = row[j].sqrt()
        for i in range(j + 1, len(U)):
            L[i, j] = row[i] / L[j, j]
    return L


@dataclass(frozen=True)
class Problem:
    """A criterion of data and the parameters of all terms, in lme4's order."""

    balls: Balls
    REML: bool
    terms: tuple[Term, ...]

    def bounds(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each parameter."""
        return [pair for term in self.terms for pair in term.bounds()]

    def by_term(self, values: Sequence[arb]) -> list[list[arb]]:
        """The parameters of each term."""
        rest = iter(values)
        return [[next(rest) for _ in term.bounds()] for term in self.terms]

    def relative(self, values: Sequence[arb]) -> dict[int, arb_mat]:
        """Σ of each term."""
        return {t: term.Sigma(own) for t, (term, own) in enumerate(zip(self.terms, self.by_term(values), strict=True))}

    def evaluate(self, values: Sequence[arb], by: Sequence[int] = ()) -> Evaluation:
        """The criterion, with its gradient and Hessian in some of the parameters."""
        own = self.by_term(values)
        places = [(t, k) for t, term in enumerate(self.terms) for k in range(len(term.bounds()))]
        free = list(enumerate(places[k] for k in by))
        first = [{t: self.terms[t].Sigma(own[t], k)} for _, (t, k) in free]
        second = {
            (a, b): {t: self.terms[t].Sigma(own[t], k, m)} for a, (t, k) in free for b, (s, m) in free[a:] if s == t
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
    par: tuple[arb, ...]  # all parameters: exactly 0 those at their bound
    held: tuple[bool, ...]  # which are; only the parameter of a term with one effect can be
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
    problem = Problem(balls, REML, tuple(terms))
    held = tuple(float(value) in bounds for value, bounds in zip(start, problem.bounds(), strict=True))
    owners = [t for t, term in enumerate(terms) for _ in term.bounds()]
    without = [t for t, at_bound in zip(owners, held, strict=True) if at_bound]
    if any(terms[t].size > 1 for t in without):
        raise NotCertifiedError(
            "a term of several effects is singular; only variances of terms with one effect can be proved to be 0"
        )
    near = [arb(0) if at_bound else arb(float(value)) for value, at_bound in zip(start, held, strict=True)]
    conditioned = problem.conditioned(near)
    free = [k for k, at_bound in enumerate(held) if not at_bound]

    def full(moved: Sequence[arb]) -> list[arb]:
        rest = iter(moved)
        return [arb(0) if at_bound else next(rest) for at_bound in held]

    def around(moved: Sequence[arb]) -> Evaluation:
        return conditioned.evaluate(full(moved), free)

    proved, radius, pivots = _krawczyk(around, _newton(around, [near[k] for k in free])) if free else ([], 0.0, ())
    values = tuple(full(proved))
    variances = [{t: arb_mat([[1]])} for t in without]
    slopes = evaluate(conditioned.balls, REML, problem.relative(values), variances).gradient
    if not all(slope > 0 for slope in slopes):
        raise NotCertifiedError(
            "the derivative at a variance of 0 is not positive, so 0 is no minimum: start from a fit with that "
            f"variance free ({', '.join(slope.str(5) for slope in slopes)})"
        )
    return Enclosure(problem, values, held, radius, pivots, tuple(float(slope.lower()) for slope in slopes))


#: The criterion with its derivatives in all the parameters that it takes.
_Criterion: TypeAlias = Callable[[Sequence[arb]], Evaluation]


def _newton(criterion: _Criterion, values: list[arb]) -> list[arb]:
    """Newton's method on midpoints until the step is rounding."""
    best = math.inf
    for _ in range(_STEPS):
        found = criterion(values)
        step = found.hessian.mid().solve(arb_mat([[g.mid()] for g in found.gradient])).entries()
        size = max(float(abs(move).upper()) for move in step)
        if size >= best / 2 and best < 1e-20:
            return values
        best = min(best, size)
        values = [(value - move).mid() for value, move in zip(values, step, strict=True)]
    raise NotCertifiedError(f"Newton's method did not settle in {_STEPS} steps (last step {size:.3g})")


def _krawczyk(criterion: _Criterion, centre: list[arb]) -> tuple[list[arb], float, tuple[float, ...]]:
    """Prove one zero of the gradient in a box about ``centre``, and enclose it as tightly as the precision allows."""
    here = criterion(centre)
    Y = here.hessian.mid().inv().mid()
    step = (Y * arb_mat([[g] for g in here.gradient])).entries()

    def image_of(box: list[arb]) -> tuple[list[arb], arb_mat] | None:
        try:
            H = criterion(box).hessian
        except ZeroDivisionError:
            return None
        contraction = 1 - Y * H
        off = contraction * arb_mat([[side - middle] for side, middle in zip(box, centre, strict=True)])
        image = [middle - move + rest for middle, move, rest in zip(centre, step, off.entries(), strict=True)]
        return (image, H) if all(value.is_finite() for value in image) else None

    for radius in _RADII:
        box = [value + arb(0, radius) for value in centre]
        if (found := image_of(box)) is None:
            continue
        image, H = found
        pivots = [row[k] for k, row in enumerate(eliminated(H))]
        if not all(pivot > 0 for pivot in pivots) or not all(map(arb.contains_interior, box, image)):
            continue
        for _ in range(_STEPS):  # each round squares the radius, until rounding stops it
            again = image_of(image)
            if again is None or not all(a.rad() < 0.9 * b.rad() for a, b in zip(again[0], image, strict=True)):
                break
            image = [a.intersection(b) for a, b in zip(again[0], image, strict=True)]
        return image, radius, tuple(float(pivot.lower()) for pivot in pivots)
    raise NotCertifiedError("Krawczyk's operator maps no box about the optimum into itself: more bits are needed")


# ----------------------------------------------------------------------------------------------- the only minimum


def prove_only(sums: ExactSums, enclosure: Enclosure) -> tuple[int, str]:
    """Prove that the enclosed optimum is the only local minimum over all θ ≥ 0, or give up after :data:`MOST_PIECES`.

    How many pieces were looked at comes back, and where or why it was given up: nothing where it is proved.
    """
    if [term.size for term in enclosure.problem.terms] != [1]:
        return 0, "θ has several elements"
    beta = enclosure.problem.evaluate(enclosure.par).beta.entries()
    slope = _slope_along_the_line(sums, enclosure.problem.REML, [float(value.mid()) for value in beta])
    theta = enclosure.par[0]
    low, high = (theta - enclosure.radius).upper(), (theta + enclosure.radius).lower()
    inside = (max(float((low * low).upper()), 0.0), float((high * high).lower()))
    inside_in_t = tuple(1.0 / end if end > 0 else math.inf for end in reversed(inside))

    def decided(s: arb, t: arb) -> bool:
        try:
            value = slope(s, t)
        except ZeroDivisionError:
            return False
        return value > 0 or value < 0

    pieces, one = 0, arb(1)
    for in_t, (left, right) in enumerate((inside, inside_in_t)):
        stack = [(0.0, 1.0)]
        while stack:
            low_end, high_end = stack.pop()
            pieces += 1
            piece = arb(low_end).union(high_end)
            if (left < low_end and high_end < right) or (decided(one, piece) if in_t else decided(piece, one)):
                continue
            middle = 0.5 * (low_end + high_end)
            if pieces > MOST_PIECES or not low_end < middle < high_end:
                return pieces, f"undecided between {low_end} and {high_end}"
            stack += [(low_end, middle), (middle, high_end)]
    return pieces, ""


def _slope_along_the_line(sums: ExactSums, REML: bool, beta: Sequence[float]) -> Callable[[arb, arb], arb]:
    """The derivative of the criterion with respect to σ-relative variance s/t, of which a fraction's s and t are given.

    Where t is 1 it is that; where s is 1 it is s/t times that, which is finite at t = 0. Its sign is what is wanted.
    """
    p, df = sums.p, sums.n - sums.p if REML else sums.n
    # the response near its residuals, y − X·beta, tightens the balls and changes nothing
    moved = fmpq_mat([[int(i == j) for j in range(p + 1)] for i in range(p + 1)])
    for i, value in enumerate(beta):
        moved[i, p] = -fmpq(*float(value).as_integer_ratio())
    sums = sums.transformed(moved)
    within = sums.C
    alike: dict[fmpq, tuple[int, fmpq_mat]] = {}
    for block in sums.blocks:
        a, products = block.A[0, 0], block.B.transpose() * block.B
        if a == 0:  # the slope is 0 in the whole group: it has no part in V
            continue
        count, before = alike.get(a, (0, 0 * products))
        alike[a] = count + 1, before + products
        within -= products / a
    # columns of X that do not vary within groups lose their weight as s grows: their equations are divided by t
    between = [within[k, k] == 0 for k in range(p)] + [False]
    W = arb_mat(within)
    groups = [(arb(a), count, arb_mat(products)) for a, (count, products) in alike.items()]

    def slope(s: arb, t: arb) -> arb:  # (log|V|)' − df v'Dv/r² − tr(Sxx⁻¹Dxx), where −D is the derivative of S
        S_t, D_t, log_det = 0 * W, 0 * W, arb(0)  # what t is to multiply
        for a, count, K in groups:
            one = t + a * s
            S_t, D_t = S_t + K * (1 / (a * one)), D_t + K * (1 / (one * one))
            log_det += count * a / one
        S, D = W + S_t * t, D_t * t

        def scaled(whole: arb_mat, divided: arb_mat) -> arb_mat:
            rows = zip(whole.tolist(), divided.tolist(), between, strict=True)
            return arb_mat([b if divide else a for a, b, divide in rows])

        of_X, equations = slice(0, p), scaled(S, S_t)
        Q = part(equations, of_X, of_X)
        beta = Q.solve(part(equations, of_X, slice(p, p + 1)))
        v = arb_mat([*((-beta).tolist()), [1]])
        r2 = S[p, p] - sum((S[p, i] * beta[i, 0] for i in range(p)), arb(0))
        value = log_det - df * (v.transpose() * (D * v))[0, 0] / r2
        return value - Q.solve(part(scaled(D, D_t), of_X, of_X)).trace() if REML else value

    return slope
