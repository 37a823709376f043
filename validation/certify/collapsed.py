"""The collapsed posterior of ``stan_lmer`` in ball arithmetic, for terms of one effect each, with rstanarm's priors.

Coefficients are standardised by their priors: x = (γ − ȳ, β)/scale ~ N(0, I), γ the intercept at centred predictors.
With V = I + Σ τ_k² Z_kZ_k' and Q = [X r]'V⁻¹[X r], where r = y − ȳ,

    A = I + Q_XX/σ²,   h = Q_Xr/σ²,   μ = A⁻¹h,
    log f(log σ, log τ) = −(N/2) log 2πσ² − ½ log|V| − ½ log|A| − ½ (Q_rr/σ² − h'μ)
                          − σ/s_y + log(σ/s_y) + Σ (log τ_k − τ_k),

the density of y, σ and τ with respect to log σ and log τ, every constant kept. Given σ and τ, x ~ N(μ, A⁻¹), and the
random effects are Gaussian given x. Mean and sd of the data, which the priors are scaled by, are enclosed too: nothing
depends on how a double was rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb, arb_mat, fmpq, fmpq_mat

from pyimpl.design.design import Design
from validation.certify.criterion import Balls, eliminate, identity, part
from validation.certify.exact import ExactSums, exact_sums, less_explained

#: Random effects in all, the sum of the cubes of the sizes of different blocks of V, and coefficients (A is inverted
#: at every point), at most: one τ takes milliseconds, and there are up to some hundred thousand.
MOST_EFFECTS, MOST_WORK, MOST_COEFFICIENTS = 300, 100_000, 8


class NotEnclosedError(ValueError):
    """The model is not one of scalar terms and an intercept without weights, or it is too large."""


@dataclass(frozen=True)
class Effect:
    """One random effect given τ: mean ``gain`` · (−x, 1), variance σ² · ``spread`` (besides that of x)."""

    term: int
    level: int
    gain: list[arb]  # τ²Z'V⁻¹[X r]
    spread: arb


@dataclass(frozen=True)
class Node:
    """What the density needs to know at one τ."""

    #: log|V|, and the residual sum of squares that no coefficients can bring below (generalised least squares)
    log_det: arb
    r2: arb
    #: Q
    XX: arb_mat
    Xr: arb_mat
    rr: arb
    effects: list[Effect]


@dataclass(frozen=True)
class CollapsedModel:
    """A model with its data and rstanarm's default priors, as balls."""

    #: rows and coefficients
    n: int
    p: int
    counts: tuple[int, ...]  # levels of each term
    balls: Balls  # sums of the standardised columns and the centred response
    sd_y: arb
    mean_y: arb
    scales: list[arb]  # prior sds of (γ, β)
    centres: list[fmpq]  # means of the slopes' columns
    least_rss: arb  # residual sum of squares of least squares on [X Z]: a lower bound of r² at every τ

    @classmethod
    def of(cls, design: Design) -> "CollapsedModel":
        """Enclose a design's sums, at the precision in force.

        Raises
        ------
        NotEnclosedError
            A term has several effects, there are weights, no intercept comes first, or it would take too long.
        """
        if any(term.p != 1 for term in design.terms):
            raise NotEnclosedError("a term has several effects")
        if design.weights is not None or design.coef_names[0] != "(Intercept)":
            raise NotEnclosedError("only models with an intercept and without weights are enclosed")
        if sum(term.J for term in design.terms) > MOST_EFFECTS or design.P > MOST_COEFFICIENTS:
            raise NotEnclosedError(
                f"there are more than {MOST_EFFECTS} random effects or more than {MOST_COEFFICIENTS} coefficients"
            )
        sums = exact_sums(design)
        n, p, C = sums.n, sums.p, sums.C
        means = [C[0, k] / n for k in range(p + 1)]
        squares = [C[k, k] - n * means[k] ** 2 for k in range(p + 1)]
        sds = [arb(square / (n - 1)).sqrt() if square else arb(1) for square in squares]
        sd_y = sds[p]
        scales = [sd_y * 5 / 2, *(sd_y * 5 / 2 / sds[k] for k in range(1, p))]
        to_W = identity(p + 1)
        for k, scale in enumerate([*scales, arb(1)]):
            to_W[k, k] = scale
            if k:
                to_W[0, k] = -means[k] * scale
        counts = tuple(term.J for term in design.terms)
        # blocks of the same A are of the same difficulty, and counted once
        sizes = {tuple(block.A.entries()): len(block.columns) for block in sums.blocks}
        if sum(size**3 for size in sizes.values()) > MOST_WORK:
            raise NotEnclosedError("too many random effects hang together")
        return cls(
            n,
            p,
            counts,
            Balls.of(sums).transformed(to_W),
            sd_y,
            arb(means[p]),
            scales,
            means[1:p],
            arb(_least_rss(sums)),
        )

    def node(self, tau: Sequence[arb], effects: bool = True) -> Node:
        """Eliminate the random effects at one τ (an arb for each term)."""
        p, m = self.p, self.p + 1
        log_det, S, solutions = eliminate(self.balls, {t: arb_mat([[value * value]]) for t, value in enumerate(tau)})
        pieces = []
        for columns, Sigma, G, M in solutions if effects else ():
            gains, spread = (Sigma * G).tolist(), Sigma * M.inv()
            pieces += [Effect(term, level, gains[i], spread[i, i]) for i, (term, level, _) in enumerate(columns)]
        XX, Xr = (part(S, slice(0, p), columns) for columns in (slice(0, p), slice(p, m)))
        r2 = S[p, p] - (Xr.transpose() * XX.solve(Xr))[0, 0]
        return Node(log_det, r2, XX, Xr, S[p, p], pieces)


def _least_rss(sums: ExactSums) -> fmpq:
    """Residual sum of squares of y on [X Z], in rational numbers."""
    C = sums.C
    for block in sums.blocks:
        C = less_explained(C, block.A, block.B)
    rows, p = C.tolist(), sums.p
    X, y = fmpq_mat([row[:p] for row in rows[:p]]), fmpq_mat([row[p:] for row in rows[:p]])
    return less_explained(fmpq_mat([rows[p][p:]]), X, y)[0, 0]
