"""That a minimum is the only one there is: a search of the whole half-line, in ball arithmetic.

For a model of one random intercept (or one uncorrelated slope) the criterion is a function of s = θ² ≥ 0 alone. With
a = z'z, B = z'[X y] of a group and W = [X y]'[X y] − Σ B'B/a (exact),

    S(s) = W + Σ B'B / (a(1 + as)),

a sum without cancellation. [0, 1] is cut in s and [1, ∞] in t = 1/s until the derivative has one sign on each piece, or
the piece lies inside the box in which the optimum is the only stationary point. A function on a half-line whose only
stationary point is a strict minimum has no lower value anywhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flint import arb, arb_mat, fmpq, fmpq_mat

from validation.certify.criterion import part
from validation.certify.enclose import Enclosure
from validation.certify.exact import ExactSums

#: Pieces before giving up.
MOST_PIECES = 20_000


@dataclass(frozen=True)
class GlobalProof:
    """Outcome of the search."""

    proved: bool
    pieces: int  # pieces looked at
    why: str = ""  # where it was given up


def prove_only(
    sums: ExactSums, REML: bool, enclosure: Enclosure, beta: Sequence[float], most: int = MOST_PIECES
) -> GlobalProof:
    """Prove that the enclosed optimum is the only local minimum over all θ ≥ 0, or give up after so many pieces.

    ``beta`` is any approximation of β̂: the response is moved near its residuals, which tightens the balls and changes
    nothing.

    Raises
    ------
    ValueError
        The model has other terms.
    """
    if sums.sizes != (1,):
        raise ValueError("the search is for models with one term of one effect")
    line = _Line(sums, REML, beta)
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
            if pieces > most or not low_end < middle < high_end:
                return GlobalProof(False, pieces, f"undecided between {low_end} and {high_end}")
            stack += [(low_end, middle), (middle, high_end)]
    return GlobalProof(True, pieces)


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
        size = sums.p + 1
        moved = fmpq_mat([[int(i == j) for j in range(size)] for i in range(size)])  # y to y − X·beta
        for i, value in enumerate(beta):
            moved[i, sums.p] = -fmpq(*float(value).as_integer_ratio())
        within = moved.transpose() * sums.C * moved
        groups: dict[fmpq, tuple[int, fmpq_mat]] = {}
        for block in sums.blocks:
            a, B = block.A[0, 0], block.B * moved
            if a == 0:  # the slope is 0 in the whole group: it has no part in V
                continue
            products = B.transpose() * B
            count, before = groups.get(a, (0, fmpq_mat(size, size)))
            groups[a] = count + 1, before + products
            within -= products / a
        # columns of X that do not vary within groups lose their weight as s grows: their equations are scaled by s
        self.between = [within[k, k] == 0 for k in range(sums.p)]
        self.W = arb_mat(within)
        self.groups = [(arb(a), count, arb_mat(products)) for a, (count, products) in groups.items()]

    def in_s(self, s: arb) -> arb:
        """Derivative of the criterion with respect to s."""
        S, D, log_det = self.W, arb_mat(self.p + 1, self.p + 1), arb(0)
        for a, count, K in self.groups:
            one = 1 + a * s
            S = S + K * (1 / (a * one))
            D = D + K * (1 / (one * one))
            log_det += count * a / one
        return self._slope(S, S, D, D, log_det)

    def in_t(self, t: arb) -> arb:
        """S times the derivative with respect to s, at s = 1/t; finite at t = 0."""
        size = self.p + 1
        K0, D0, log_det = arb_mat(size, size), arb_mat(size, size), arb(0)
        for a, count, K in self.groups:
            K0 = K0 + K * (1 / (a * (t + a)))
            D0 = D0 + K * (1 / ((t + a) * (t + a)))
            log_det += count * a / (t + a)
        S, D = self.W + K0 * t, D0 * t
        scaled = [
            arb_mat(
                [
                    b if between else a
                    for a, b, between in zip(whole.tolist(), rest.tolist(), [*self.between, False], strict=True)
                ]
            )
            for whole, rest in ((S, K0), (D, D0))
        ]
        return self._slope(S, scaled[0], D, scaled[1], log_det)

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
