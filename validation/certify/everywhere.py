"""That a minimum is the only one there is: a search of the whole half-line, in ball arithmetic.

For a model of one random intercept (or one uncorrelated slope) the criterion is a function of s = θ² ≥ 0 alone. With
a = z'z, B = z'[X y] of a group and W = [X y]'[X y] − Σ B'B/a (exact),

    S(s) = W + Σ B'B / (a(1 + as)),

a sum without cancellation. [0, 1] is cut in s and [1, ∞] in t = 1/s until the derivative has one sign on each piece, or
the piece lies inside the box in which the optimum is the only stationary point. A function on a half-line whose only
stationary point is a strict minimum has no lower value anywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, arb_mat

from validation.certify.criterion import ball
from validation.certify.enclose import Enclosure
from validation.certify.exact import ExactSums

__all__ = ["MOST_PIECES", "GlobalProof", "prove_only"]

#: Pieces before giving up.
MOST_PIECES = 20_000


@dataclass(frozen=True)
class GlobalProof:
    """Outcome of the search.

    Attributes
    ----------
    proved : bool
    pieces : int
        Pieces looked at.
    why : str
        Where it was given up.
    """

    proved: bool
    pieces: int
    why: str = ""


def prove_only(
    sums: ExactSums, REML: bool, enclosure: Enclosure, beta: Sequence[float], most: int = MOST_PIECES
) -> GlobalProof:
    """Prove that the enclosed optimum is the only local minimum over all θ ≥ 0.

    Parameters
    ----------
    sums : ExactSums
        Of a model with one term of one effect.
    REML : bool
    enclosure : Enclosure
    beta : sequence of float
        Any approximation of β̂: the response is moved near its residuals, which tightens the balls and changes nothing.
    most : int
        Pieces before giving up.

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
    for slope, known in ((line.in_s, inside), (line.in_t, (_inverse(inside[1]), _inverse(inside[0])))):
        stack = [(0.0, 1.0)]
        while stack:
            low_end, high_end = stack.pop()
            pieces += 1
            if known[0] < low_end and high_end < known[1]:
                continue
            sign = _sign(slope, low_end, high_end)
            if sign:
                continue
            middle = 0.5 * (low_end + high_end)
            if pieces > most or not low_end < middle < high_end:
                return GlobalProof(False, pieces, f"undecided between {low_end} and {high_end}")
            stack += [(low_end, middle), (middle, high_end)]
    return GlobalProof(True, pieces)


def _inverse(value: float) -> float:
    return 1.0 / value if value > 0 else float("inf")


def _sign(slope: Callable[[Any], Any], low: float, high: float) -> int:
    try:
        value = slope(ball(low).union(ball(high)))
    except ZeroDivisionError:
        return 0
    return 1 if value > 0 else -1 if value < 0 else 0


class _Line:
    """The derivative of the criterion along s, and s times it along t = 1/s; its sign is what is wanted."""

    def __init__(self, sums: ExactSums, REML: bool, beta: Sequence[float]) -> None:
        self.p, self.REML = sums.p, REML
        self.df = sums.n - sums.p if REML else sums.n
        shift = [Fraction(float(value)) for value in beta]
        size = sums.p + 1
        within = _moved([list(row) for row in sums.C], shift)
        by_a: dict[Fraction, list[list[Fraction]]] = {}
        counts: dict[Fraction, int] = {}
        for block in sums.blocks:
            a = block.A[0][0]
            if a == 0:  # the slope is 0 in the whole group: it has no part in V
                continue
            row = list(block.B[0])
            row[-1] -= sum((x * b for x, b in zip(row, shift, strict=False)), Fraction(0))
            sums_of_a = by_a.setdefault(a, [[Fraction(0)] * size for _ in range(size)])
            counts[a] = counts.get(a, 0) + 1
            for i in range(size):
                for j in range(size):
                    product = row[i] * row[j]
                    sums_of_a[i][j] += product
                    within[i][j] -= product / a
        # columns of X that do not vary within groups lose their weight as s grows: their equations are scaled by s
        self.between = [within[k][k] == 0 for k in range(sums.p)]
        self.W = _balls(within)
        self.groups = [(ball(a), count, _balls(by_a[a])) for a, count in counts.items()]

    def in_s(self, s: Any) -> Any:
        """Derivative of the criterion with respect to s."""
        S, D, log_det = self.W, arb_mat(self.p + 1, self.p + 1), arb(0)
        for a, count, K in self.groups:
            one = 1 + a * s
            S = S + K * (1 / (a * one))
            D = D + K * (1 / (one * one))
            log_det += count * a / one
        return self._slope(S, S, D, D, log_det)

    def in_t(self, t: Any) -> Any:
        """S times the derivative with respect to s, at s = 1/t; finite at t = 0."""
        size = self.p + 1
        K0, D0, log_det = arb_mat(size, size), arb_mat(size, size), arb(0)
        for a, count, K in self.groups:
            K0 = K0 + K * (1 / (a * (t + a)))
            D0 = D0 + K * (1 / ((t + a) * (t + a)))
            log_det += count * a / (t + a)
        S, D = self.W + K0 * t, D0 * t
        rows, slopes = S.tolist(), D.tolist()
        for k in range(self.p):
            if self.between[k]:
                rows[k], slopes[k] = K0.tolist()[k], D0.tolist()[k]
        return self._slope(S, arb_mat(rows), D, arb_mat(slopes), log_det)

    def _slope(self, S: Any, scaled: Any, D: Any, D_scaled: Any, log_det: Any) -> Any:
        """(log|V|)' − df v'Dv/r² − tr(Sxx⁻¹Dxx), where −D is the derivative of S; rows of both may be scaled alike."""
        p = self.p
        Q = arb_mat([row[:p] for row in scaled.tolist()[:p]])
        right = [row[:] for row in D_scaled.tolist()[:p]]
        joint = arb_mat([[scaled[i, p], *right[i][:p]] for i in range(p)])
        solved = Q.solve(joint)
        beta = [solved[i, 0] for i in range(p)]
        v = arb_mat([*([-value] for value in beta), [arb(1)]])
        r2 = S[p, p] - sum((S[p, i] * beta[i] for i in range(p)), arb(0))
        slope = log_det - self.df * (v.transpose() * (D * v))[0, 0] / r2
        if self.REML:
            slope -= sum((solved[i, i + 1] for i in range(p)), arb(0))
        return slope


def _moved(C: list[list[Fraction]], shift: Sequence[Fraction]) -> list[list[Fraction]]:
    """[X y]'[X y] with y replaced by y − X·shift."""
    for _ in range(2):  # the last column, then (transposed) the last row
        for row in C:
            row[-1] -= sum((x * b for x, b in zip(row, shift, strict=False)), Fraction(0))
        C = [list(column) for column in zip(*C, strict=True)]
    return C


def _balls(matrix: Sequence[Sequence[Fraction]]) -> Any:
    return arb_mat([[ball(value) for value in row] for row in matrix])
