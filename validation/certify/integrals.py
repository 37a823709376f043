"""The collapsed posterior of ``stan_lmer`` and its integrals over σ and τ, enclosed: lattice sums in ball arithmetic.

*The density*, for terms of one effect each, with rstanarm's priors. Coefficients are standardised by their priors:
x = (γ − ȳ, β)/scale ~ N(0, I), γ the intercept at centred predictors. With
V = I + Σ τ_k² Z_kZ_k' and Q = [X r]'V⁻¹[X r], where r = y − ȳ,

    A = I + Q_XX/σ²,   h = Q_Xr/σ²,   μ = A⁻¹h,
    log f(log σ, log τ) = −(N/2) log 2πσ² − ½ log|V| − ½ log|A| − ½ (Q_rr/σ² − h'μ)
                          − σ/s_y + log(σ/s_y) + Σ (log τ_k − τ_k),

the density of y, σ and τ with respect to log σ and log τ, every constant kept. Given σ and τ, x ~ N(μ, A⁻¹), and the
random effects are Gaussian given x. Mean and sd of the data, which the priors are scaled by, are enclosed too: nothing
depends on how a double was rounded.

*The integrals.* ``validation.certify.remainder`` has the bounds of what the sums leave out. Nothing here estimates an
error: a ball that comes out holds the exact number.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat
from scipy.special import logsumexp

from pyimpl.design.design import Design
from validation.certify.criterion import ExactSums, eliminate, exact_sums, less_explained, part
from validation.certify.remainder import LARGEST_WEIGHT, LEAST_REACH, MARGIN, POWERS, Shape, axis, bounds
from validation.options import Progress, silent

#: Random effects in all, the sum of the cubes of the sizes of different blocks of V, and coefficients (A is inverted
#: at every point), at most: one τ takes milliseconds, and there are up to some hundred thousand.
MOST_EFFECTS, MOST_WORK, MOST_COEFFICIENTS = 300, 100_000, 8


class NotEnclosedError(ValueError):
    """The model is not one of scalar terms and an intercept without weights, or it is too large."""


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
    #: of each random effect: term, level, gain g = τ²Z'V⁻¹[X r] and spread; its mean is g(−x, 1), its variance σ² times
    #: its spread (besides that of x)
    effects: list[tuple[int, int, arb_mat, arb]]


class CollapsedModel:
    """A model with its data and rstanarm's default priors, as balls."""

    def __init__(self, design: Design) -> None:
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
        self.counts = tuple(term.J for term in design.terms)
        if sum(self.counts) > MOST_EFFECTS or design.P > MOST_COEFFICIENTS:
            raise NotEnclosedError(
                f"there are more than {MOST_EFFECTS} random effects or more than {MOST_COEFFICIENTS} coefficients"
            )
        sums = exact_sums(design)
        # blocks of the same A are of the same difficulty, and counted once
        sizes = {tuple(block.A.entries()): len(block.columns) for block in sums.blocks}
        if sum(size**3 for size in sizes.values()) > MOST_WORK:
            raise NotEnclosedError("too many random effects hang together")
        n, p, C = sums.n, sums.p, sums.C
        means = [C[0, k] / n for k in range(p + 1)]
        squares = [C[k, k] - n * means[k] ** 2 for k in range(p + 1)]
        sds = [arb(square / (n - 1)).sqrt() if square else arb(1) for square in squares]
        self.n, self.p, self.mean_y, self.sd_y = n, p, arb(means[p]), sds[p]
        #: prior sds of (γ, β): the intercept's column counts as one of sd 1
        scales = [self.sd_y * 5 / 2 / sd for sd in sds[:p]]
        to_W = arb_mat(p + 1, p + 1, 1)
        for k, scale in enumerate([*scales, arb(1)]):
            to_W[k, k] = scale
            if k:
                to_W[0, k] = -means[k] * scale
        #: R's coefficients, less the response's mean, from the standardised ones
        self.to_R = part(to_W, slice(0, p), slice(0, p))
        #: sums of the standardised columns and the centred response
        self.balls = sums.balls().transformed(to_W)
        #: residual sum of squares of least squares on [X Z]: a lower bound of r² at every τ
        self.least_rss = arb(_least_rss(sums))

    def node(self, tau: Sequence[arb], effects: bool = True) -> Node:
        """Eliminate the random effects at one τ (an arb for each term)."""
        p, m = self.p, self.p + 1
        log_det, S, solutions = eliminate(self.balls, {t: arb_mat([[value * value]]) for t, value in enumerate(tau)})
        pieces = []
        for block, Sigma, G, M in solutions if effects else ():
            gains, spread = (Sigma * G).tolist(), Sigma * M.inv()
            pieces += [
                (term, level, arb_mat([gains[i]]), spread[i, i]) for i, (term, level, _) in enumerate(block.columns)
            ]
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


# ------------------------------------------------------------------------------------------------------- integrals


@dataclass(frozen=True)
class Settings:
    """How finely to integrate."""

    digits: float  # remainders are to be below 10^−digits of the integral of the density
    half_lines: bool = True  # whether distribution functions of the variances are to be that good too
    #: points of a share below 10^−point_digits are left out of the coefficients' distribution functions
    point_digits: float = 24.0
    most_nodes: int = 20_000  # most values of τ
    bits: int = 192


def share_below(distance: arb, step: arb) -> arb:
    """½ + Si(π·distance/step)/π."""
    return (1 + 2 * (arb.pi() * distance / step).si() / arb.pi()) / 2


class Integrals:
    """Enclosed integrals of the density (times e^−top): lattice sums, with what they leave out as radius."""

    def __init__(
        self, model: CollapsedModel, log_evidence: float, settings: Settings, progress: Progress = silent
    ) -> None:
        """Integrate a model that was made at the precision in force.

        ``log_evidence``, roughly, scales the numbers and sets what is small, and nothing that is proved depends on it.

        Raises
        ------
        NotEnclosedError
            The lattice over τ would have more points than the settings allow.
        """
        p, m = model.p, len(model.counts)
        self.model, self.top, self.settings = model, log_evidence, settings
        guess = float(model.least_rss.mid()) / model.n
        self.shape = Shape(model.n, math.log(float(model.sd_y.mid())), 0.5 * math.log(guess))
        ends, log_U = self._scan(rate=0.3)
        log_target = log_evidence - log_U - settings.digits * math.log(10) - math.log(4)
        self.along_s = axis(model.n / 2, log_target, half_lines=True)
        self.along = [axis((count - 1) / 2, log_target, settings.half_lines) for count in model.counts]
        self.indices = [
            range(math.floor(low / a.step), math.ceil(max(high, math.log(LEAST_REACH / a.rate)) / a.step) + 1)
            for (low, high), a in zip(ends, self.along, strict=True)
        ]
        #: values of τ; values of (σ, τ)
        self.nodes, self.evaluations = math.prod(len(index) for index in self.indices), 0
        if self.nodes > settings.most_nodes:
            raise NotEnclosedError(
                f"{self.nodes} values of τ would be needed, and at most {settings.most_nodes} are allowed"
            )
        self.step_s, self.steps_t = arb(self.along_s.step), [arb(a.step) for a in self.along]
        self.steps = {"log sigma": self.along_s.step, "log tau": min(a.step for a in self.along)}
        self.volume = math.prod(self.steps_t, start=self.step_s)
        self.taus = [[(i * step).exp() for i in line] for line, step in zip(self.indices, self.steps_t, strict=True)]
        #: log of what may be left out at a node
        self.negligible = self.top - (settings.digits + 1) * math.log(10) - math.log(self.nodes)
        self.log_cell = sum(math.log(a.step) for a in self.along)
        self.total = arb(0)  # of the density
        #: of the standardised coefficients, p x 1, and their products, p x p
        self.x, self.xx = arb_mat(p, 1), arb_mat(p, p)
        self.effects: dict[tuple[int, int], list[arb]] = {}  # by term and level, of a random effect and its square
        #: for distribution functions of coefficients, the points of the lattice: their share of the integral, mean and
        #: covariance of the coefficients given them; what the points that are left out weigh is in ``loss``
        self.points: list[tuple[arb, arb_mat, arb_mat]] = []
        self.loss = arb(0)
        #: density by the lattice's place in log σ, and for each term by that and the place in log τ
        self.line: defaultdict[int, arb] = defaultdict(arb)
        self.planes: list[defaultdict[tuple[int, int], arb]] = [defaultdict(arb) for _ in range(m)]
        self.beyond: defaultdict[tuple[int, int], float] = defaultdict(float)
        self.at_s: dict[int, tuple[arb, arb]] = {}
        self._sum(progress)
        self._widen()

    def _scan(self, rate: float) -> tuple[list[tuple[float, float]], float]:
        """A coarse look at the bound over τ, in doubles: the ends of the box, and the log of the bound's integral."""
        model, m, digits = self.model, len(self.model.counts), self.settings.digits
        step = 0.25 if m == 1 else 1.0
        grid = np.arange(-math.ceil(digits * math.log(10)) - 12.0, 7.0, step)
        taus, log_det, r2 = np.exp(grid), np.empty([grid.size] * m), np.empty([grid.size] * m)
        for index in np.ndindex(r2.shape):
            node = model.node([arb(float(taus[i])) for i in index], effects=False)
            log_det[index], r2[index] = float(node.log_det.mid()), float(node.r2.mid())
        body = -0.5 * log_det + sum(t - rate * np.exp(t) for t in np.ix_(*[grid] * m))
        inside = body + self.shape.log_both(r2)
        outside = body + self.shape.log_both(float(model.least_rss.lower()))
        limit = self.top - digits * math.log(10) - 5
        ends = []
        for k in range(m):
            others = tuple(j for j in range(m) if j != k)
            within = np.flatnonzero(inside.max(axis=others) >= limit)
            reach = outside.max(axis=others) + 4 * np.maximum(grid, 0)  # the moments need the fourth power of τ
            far = np.flatnonzero(reach >= limit)
            ends.append((float(grid[max(within[0] - 1, 0)]), float(grid[min(far[-1] + 1, grid.size - 1)])))
        return ends, float(logsumexp(inside)) + m * math.log(step)

    def _sum(self, progress: Progress) -> None:
        corners = [[arb(0), *line] for line in self.taus]
        log_det, r2 = np.empty([len(line) for line in corners]), np.empty([len(line) for line in self.taus])
        for number, place in enumerate(np.ndindex(log_det.shape)):
            if number % 64 == 0:
                progress("", number / log_det.size)
            inside = all(place)
            tau = [corner[j] for corner, j in zip(corners, place, strict=True)]
            node = self.model.node(tau, effects=inside)
            log_det[place] = float(node.log_det.mid())
            if inside:
                here = tuple(j - 1 for j in place)
                r2[here] = float(node.r2.mid())
                self._node([line[j] for line, j in zip(self.indices, here, strict=True)], tau, node)
        doubles = [np.array([float(tau.mid()) for tau in line]) for line in self.taus]
        least = float(self.model.least_rss.lower())
        self.bounds = bounds(self.shape, doubles, self.along, log_det, r2, least)

    def _node(self, index: list[int], tau: list[arb], node: Node) -> None:
        t, r2 = [float(value.log().mid()) for value in tau], float(node.r2.mid())
        log_base = -0.5 * float(node.log_det.mid()) + sum(value - math.exp(value) for value in t)
        log_most = log_base + self.log_cell + float(self.shape.log_both(r2))
        factor = self.shape.sum_factor(self.along_s.step)
        if log_most + math.log(factor) < self.negligible:
            self._left_out(t, log_most + math.log(factor))
            return
        step = self.along_s.step
        first, last = self.shape.window(r2, log_most - self.negligible + 1, step)
        self._left_out(t, log_base + self.log_cell + self.shape.beyond(r2, first, last, step))
        base = -node.log_det / 2 + sum((value.log() - value for value in tau), arb(0)) - arb(self.top)
        weight, sigma2, x, xx = arb(0), arb(0), arb_mat(self.model.p, 1), arb_mat(self.model.p, self.model.p)
        for k in range(first, last + 1):
            square, log_s = self._at(k)
            inverse = 1 / square
            A = 1 + node.XX * inverse
            covariance = A.inv()
            h = node.Xr * inverse
            mean = covariance * h
            quadratic = node.rr * inverse - (h.transpose() * mean)[0, 0]
            f = (base + log_s - quadratic / 2).exp() / A.det().sqrt() * self.volume
            weight += f
            x += mean * f
            xx += (covariance + mean * mean.transpose()) * f
            sigma2 += f * square
            self.line[k] += f
            for i, plane in enumerate(self.planes):
                plane[k, index[i]] += f
            if float(f.mid()) < 10.0**-self.settings.point_digits:
                self.loss += f
            else:
                self.points.append((f, mean, covariance))
        self.evaluations += last - first + 1
        self.total += weight
        self.x += x
        self.xx += xx
        self._effects(node, weight, x, xx, sigma2)

    def _effects(self, node: Node, weight: arb, x: arb_mat, xx: arb_mat, sigma2: arb) -> None:
        below = [-value for value in x.entries()]
        products = arb_mat([*([*row, own] for row, own in zip(xx.tolist(), below, strict=True)), [*below, weight]])
        for term, level, gain, spread in node.effects:
            first = gain * products
            sums = self.effects.setdefault((term, level), [arb(0), arb(0)])
            sums[0] += first[0, self.model.p]
            sums[1] += (first * gain.transpose())[0, 0] + spread * sigma2

    def _at(self, k: int) -> tuple[arb, arb]:
        """σ², and what the log density adds at a point of the lattice in log σ."""
        if k not in self.at_s:
            s = k * self.step_s
            sigma = s.exp()
            ratio = sigma / self.model.sd_y
            n = self.model.n
            log_s = -n * s - arb(n) / 2 * (2 * arb.pi()).log() - ratio + ratio.log()
            self.at_s[k] = sigma * sigma, log_s
        return self.at_s[k]

    def _left_out(self, t: list[float], log_amount: float) -> None:
        amount = MARGIN * math.exp(log_amount - self.top)
        for term, value in enumerate(t):
            for power in POWERS:
                self.beyond[term, power] += amount * math.exp(power * value)

    # ------------------------------------------------------------------------------------------------- remainders
    def _remainder(self, term: int | None, tau_power: int, half_line: bool = False) -> float:
        """What the sums may lack, for a functional bounded by τ^power (1 + (σ/σ₀)⁴), τ that of a term.

        On a half-line the functional is 0 beyond a value of σ, or of the term's variance.
        """
        factor = self.shape.sum_factor(self.along_s.step)
        U, ends = (math.exp(size - self.top) for size in self.bounds[term or 0, tau_power])
        ends = ends * factor + self.beyond[term or 0, tau_power]
        share = math.exp(self.along_s.log_half if half_line and term is None else self.along_s.log_whole)
        for k, a in enumerate(self.along):
            share += math.exp(a.log_half) * factor if half_line and k == term else math.exp(a.log_whole)
        return MARGIN * (U * share + (LARGEST_WEIGHT if half_line else 1.0) * ends)

    def _widen(self) -> None:
        """Add to each integral what the sums may lack of it."""
        p, plain = self.model.p, self._remainder(None, 0)
        self.remainder = plain / float(self.total.mid())
        self.total += arb(0, plain)
        for (term, _), sums in self.effects.items():
            for k, power in enumerate((1, 2)):
                size = 1.22 * self.model.n * math.exp(power * self.shape.log_sigma0)
                sums[k] += arb(0, size * self._remainder(term, power))
        # matrices of balls: a ball alone would be added to the diagonal
        self.x += arb_mat(p, 1, [arb(0, plain)] * p)
        self.xx += arb_mat(p, p, [arb(0, plain)] * (p * p))
        self.loss = arb(0, plain) + self.loss.union(0)

    def _log_sds(self, term: int | None) -> list[tuple[arb, arb]]:
        """The values of log σ, or of log στ of a term, each with its share of the density."""
        if term is None:
            return [(k * self.step_s, weight) for k, weight in self.line.items()]
        step = self.steps_t[term]
        return [(k * self.step_s + at * step, weight) for (k, at), weight in self.planes[term].items()]

    def moment(self, power: int, term: int | None = None) -> arb:
        """Integral of the density times a power of σ, or of στ of a term."""
        found = sum((weight * (power * place).exp() for place, weight in self._log_sds(term)), arb(0))
        size = math.exp(power * self.shape.log_sigma0)
        return found + arb(0, size * self._remainder(term, 0 if term is None else power))

    def below(self, threshold: arb, term: int | None = None) -> arb:
        """Integral of the density where σ, or a term's variance σ²τ², is below a threshold."""
        log_sd, step = (threshold.log(), self.step_s) if term is None else (threshold.log() / 2, self.steps_t[term])
        found = sum((weight * share_below(log_sd - place, step) for place, weight in self._log_sds(term)), arb(0))
        return found + arb(0, self._remainder(term, 0, half_line=True))
