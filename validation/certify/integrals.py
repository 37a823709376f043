"""Integrals of the collapsed posterior over σ and τ, enclosed: lattice sums in ball arithmetic, and their remainder.

``validation.certify.collapsed`` has the density, ``validation.certify.remainder`` the bounds. Nothing here estimates an
error: a ball that comes out holds the exact number.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from flint import acb, arb, arb_mat
from scipy.special import logsumexp

from validation.certify.collapsed import CollapsedModel, Node, NotEnclosedError
from validation.certify.criterion import identity
from validation.certify.remainder import LARGEST_WEIGHT, LEAST_REACH, MARGIN, POWERS, Axis, Bounds, Shape, axis


@dataclass(frozen=True)
class Settings:
    """How finely to integrate."""

    digits: float  # remainders are to be below 10^−digits of the integral of the density
    half_lines: bool = True  # whether distribution functions of the variances are to be that good too
    #: points of a share below 10^−point_digits are left out of the coefficients' distribution functions
    point_digits: float = 24.0
    effects: bool = True  # whether to integrate the random effects
    most_nodes: int = 20_000  # most values of τ


class TooLargeError(NotEnclosedError):
    """The lattice over τ has too many points."""


@dataclass(frozen=True)
class Point:
    """A point of the lattice: its share of the integral, and the coefficients given it."""

    weight: arb
    mean: arb_mat
    covariance: arb_mat


@dataclass(frozen=True)
class HalfLine:
    """∫ of the density over a coordinate below a threshold."""

    weights: list[tuple[arb, arb]]  # where the points of the lattice are, and what they weigh
    step: arb
    remainder: arb

    def below(self, threshold: arb) -> arb:
        """Integral of the density where the coordinate is below a threshold."""
        shares = (weight * share_below(threshold - place, self.step) for place, weight in self.weights)
        return sum(shares, arb(0)) + self.remainder


def share_below(distance: arb, step: arb) -> arb:
    """½ + Si(π·distance/step)/π."""
    return (1 + 2 * acb(arb.pi() * distance / step).si().real / arb.pi()) / 2


@dataclass(frozen=True)
class _Scan:
    """A coarse look at the bound over τ: where the box ends, and how far the bound overshoots."""

    low: list[float]
    high: list[float]
    log_U: float


def _scan(model: CollapsedModel, shape: Shape, log_evidence: float, digits: float, rate: float) -> _Scan:
    m = len(model.counts)
    step = 0.25 if m == 1 else 1.0
    grid = np.arange(-math.ceil(digits * math.log(10)) - 12.0, 7.0, step)
    log_det, r2 = _corners(model, [np.exp(grid)] * m)
    spread = [grid.reshape([-1 if j == k else 1 for j in range(m)]) for k in range(m)]
    body = -0.5 * log_det + sum(t - rate * np.exp(t) for t in spread)
    inside = body + shape.log_both(r2)
    outside = body + shape.log_both(float(model.least_rss.lower()))
    limit = log_evidence - digits * math.log(10) - 5
    low, high = [], []
    for k in range(m):
        others = tuple(j for j in range(m) if j != k)
        within = np.flatnonzero(inside.max(axis=others) >= limit)
        reach = outside.max(axis=others) + 4 * np.maximum(grid, 0)  # the moments need the fourth power of τ
        far = np.flatnonzero(reach >= limit)
        low.append(float(grid[max(within[0] - 1, 0)]))
        high.append(float(grid[min(far[-1] + 1, grid.size - 1)]))
    return _Scan(low, high, float(logsumexp(inside)) + m * math.log(step))


def _corners(model: CollapsedModel, taus: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """log|V| and r² on a grid of τ, in doubles."""
    shape = tuple(tau.size for tau in taus)
    log_det, r2 = np.empty(shape), np.empty(shape)
    for index in np.ndindex(shape):
        node = model.node([arb(float(tau[i])) for tau, i in zip(taus, index, strict=True)], effects=False)
        log_det[index], r2[index] = float(node.log_det.mid()), float(node.r2.mid())
    return log_det, r2


def integrate_rigorously(
    model: CollapsedModel, log_evidence: float, settings: Settings, progress: Callable[[float], None] | None = None
) -> "Integrals":
    """Enclose the integrals of a model that was made at the precision in force.

    ``log_evidence``, roughly, scales the numbers and sets what is small, and nothing that is proved depends on it.

    Raises
    ------
    TooLargeError
        The lattice over τ would have more points than the settings allow.
    """
    n, counts = model.n, model.counts
    guess = float(model.least_rss.mid()) / n
    shape = Shape(n, math.log(float(model.sd_y.mid())), 0.5 * math.log(guess))
    scan = _scan(model, shape, log_evidence, settings.digits, 0.3)
    log_target = log_evidence - scan.log_U - settings.digits * math.log(10) - math.log(4)
    along_s = axis(n / 2, log_target, half_lines=True)
    along = [axis((count - 1) / 2, log_target, settings.half_lines) for count in counts]
    indices = [
        range(math.floor(low / a.step), math.ceil(max(high, math.log(LEAST_REACH / a.rate)) / a.step) + 1)
        for low, high, a in zip(scan.low, scan.high, along, strict=True)
    ]
    size = math.prod(len(index) for index in indices)
    if size > settings.most_nodes:
        raise TooLargeError(f"{size} values of τ would be needed, and at most {settings.most_nodes} are allowed")
    return Integrals(model, shape, along_s, along, indices, log_evidence, settings, progress)


def _widened(matrix: arb_mat, radius: float) -> arb_mat:
    """Every element with a larger radius; ``matrix + ball`` adds to the diagonal alone."""
    return arb_mat([[value + arb(0, radius) for value in row] for row in matrix.tolist()])


class Integrals:
    """Enclosed integrals of the density (times e^−top): lattice sums, with what they leave out as radius."""

    def __init__(
        self,
        model: CollapsedModel,
        shape: Shape,
        along_s: Axis,
        along: list[Axis],
        indices: list[range],
        top: float,
        settings: Settings,
        progress: Callable[[float], None] | None,
    ) -> None:
        p, m = model.p, len(model.counts)
        self.model, self.shape, self.along_s, self.along, self.top = model, shape, along_s, along, top
        self.indices, self.settings = indices, settings
        self.step_s, self.steps_t = arb(along_s.step), [arb(a.step) for a in along]
        self.steps = {"log sigma": along_s.step, "log tau": min(a.step for a in along)}
        self.volume = math.prod(self.steps_t, start=self.step_s)
        self.taus = [[(i * step).exp() for i in line] for line, step in zip(indices, self.steps_t, strict=True)]
        #: values of τ; values of (σ, τ)
        self.nodes, self.evaluations = math.prod(len(line) for line in indices), 0
        #: log of what may be left out at a node
        self.negligible = top - (settings.digits + 1) * math.log(10) - math.log(self.nodes)
        self.log_cell = sum(math.log(a.step) for a in along)
        self.total = arb(0)  # of the density
        self.sigma = {power: arb(0) for power in (1, 2, 4)}  # of powers of σ
        self.variance = [[arb(0), arb(0)] for _ in range(m)]  # for each term, of σ²τ² and its square
        #: of the standardised coefficients, p x 1, and their products, p x p
        self.x, self.xx = arb_mat(p, 1), arb_mat(p, p)
        self.effects: dict[tuple[int, int], list[arb]] = {}  # by term and level, of a random effect and its square
        #: for distribution functions of coefficients; what the points that are left out weigh is in ``loss``
        self.points: list[Point] = []
        self.loss = arb(0)
        self.line: defaultdict[int, arb] = defaultdict(arb)
        self.planes: list[defaultdict[tuple[int, int], arb]] = [defaultdict(arb) for _ in range(m)]
        self.beyond: defaultdict[tuple[int, int], float] = defaultdict(float)
        self.at_s: dict[int, tuple[arb, arb, arb]] = {}
        self.identity = identity(p)
        self._sum(progress)
        self._widen()

    def _sum(self, progress: Callable[[float], None] | None) -> None:
        model = self.model
        sizes = [len(line) for line in self.indices]
        log_det = np.empty([size + 1 for size in sizes])
        r2 = np.empty(sizes)
        rows = list(product(*(range(size + 1) for size in sizes)))
        for number, place in enumerate(rows):
            if progress is not None and number % 64 == 0:
                progress(number / len(rows))
            inside = all(place)
            tau = [self.taus[k][j - 1] if j else arb(0) for k, j in enumerate(place)]
            node = model.node(tau, effects=inside and self.settings.effects)
            log_det[place] = float(node.log_det.mid())
            if not inside:
                continue
            here = tuple(j - 1 for j in place)
            r2[here] = float(node.r2.mid())
            index = [self.indices[k][j] for k, j in enumerate(here)]
            self._node(index, tau, node, float(log_det[place]), float(r2[here]))
        doubles = [np.array([float(tau.mid()) for tau in line]) for line in self.taus]
        least = float(model.least_rss.lower())
        self.bounds = Bounds.of(self.shape, doubles, self.along, log_det, r2, least)

    def _node(self, index: list[int], tau: list[arb], node: Node, log_det: float, r2: float) -> None:
        t = [float(value.log().mid()) for value in tau]
        log_base = -0.5 * log_det + sum(value - math.exp(value) for value in t)
        log_most = log_base + self.log_cell + float(self.shape.log_both(r2))
        factor = self.shape.sum_factor(self.along_s.step)
        if log_most + math.log(factor) < self.negligible:
            self._left_out(t, log_most + math.log(factor))
            return
        step = self.along_s.step
        first, last = self.shape.window(r2, log_most - self.negligible + 1, step)
        self._left_out(t, log_base + self.log_cell + self.shape.beyond(r2, first, last, step))
        base = -node.log_det / 2 + sum((value.log() - value for value in tau), arb(0)) - arb(self.top)
        weight, x, xx = arb(0), arb_mat(self.model.p, 1), arb_mat(self.model.p, self.model.p)
        powers = {power: arb(0) for power in (1, 2, 4)}
        for k in range(first, last + 1):
            sigma, inverse, log_s = self._at(k)
            A = self.identity + node.XX * inverse
            covariance = A.inv()
            h = node.Xr * inverse
            mean = covariance * h
            quadratic = node.rr * inverse - (h.transpose() * mean)[0, 0]
            f = (base + log_s - quadratic / 2).exp() / A.det().sqrt() * self.volume
            weight += f
            x += mean * f
            xx += (covariance + mean * mean.transpose()) * f
            power = f * sigma
            powers[1] += power
            power *= sigma
            powers[2] += power
            powers[4] += power * sigma * sigma
            self.line[k] += f
            for i, plane in enumerate(self.planes):
                plane[k, index[i]] += f
            self._point(f, mean, covariance)
        self.evaluations += last - first + 1
        self.total += weight
        self.x += x
        self.xx += xx
        for k, value in powers.items():
            self.sigma[k] += value
        for i, value in enumerate(tau):
            square = value * value
            self.variance[i][0] += square * powers[2]
            self.variance[i][1] += square * square * powers[4]
        self._effects(node, weight, x, xx, powers[2])

    def _point(self, f: arb, mean: arb_mat, covariance: arb_mat) -> None:
        if float(f.mid()) < 10.0**-self.settings.point_digits:
            self.loss += f
        else:
            self.points.append(Point(f, mean, covariance))

    def _effects(self, node: Node, weight: arb, x: arb_mat, xx: arb_mat, sigma2: arb) -> None:
        p = self.model.p
        for effect in node.effects:
            g = arb_mat([[-value for value in effect.gain[:p]]])
            own = effect.gain[p]
            linear = (g * x)[0, 0]
            square = own * own * weight + 2 * own * linear + (g * xx * g.transpose())[0, 0] + effect.spread * sigma2
            sums = self.effects.setdefault((effect.term, effect.level), [arb(0), arb(0)])
            sums[0] += own * weight + linear
            sums[1] += square

    def _at(self, k: int) -> tuple[arb, arb, arb]:
        """σ, 1/σ², and what the log density adds at a point of the lattice in log σ."""
        if k not in self.at_s:
            s = k * self.step_s
            sigma = s.exp()
            ratio = sigma / self.model.sd_y
            n = self.model.n
            log_s = -n * s - arb(n) / 2 * (2 * arb.pi()).log() - ratio + ratio.log()
            self.at_s[k] = sigma, 1 / (sigma * sigma), log_s
        return self.at_s[k]

    def _left_out(self, t: list[float], log_amount: float) -> None:
        amount = MARGIN * math.exp(log_amount - self.top)
        for term, value in enumerate(t):
            for power in POWERS:
                self.beyond[term, power] += amount * math.exp(power * value)

    # ------------------------------------------------------------------------------------------------- remainders
    def _remainder(self, term: int, tau_power: int, half: str | None = None) -> float:
        """What the sums may lack, for a functional bounded by τ^power (1 + (σ/σ₀)⁴)."""
        factor = self.shape.sum_factor(self.along_s.step)
        U = math.exp(self.bounds.log_all[term, tau_power] - self.top)
        ends = math.exp(self.bounds.log_ends[term, tau_power] - self.top) * factor
        ends += self.beyond[term, tau_power]
        along_s = self.along_s.log_half if half == "sigma" else self.along_s.log_whole
        share = math.exp(along_s)
        for k, a in enumerate(self.along):
            share += math.exp(a.log_half) * factor if half == "variance" and k == term else math.exp(a.log_whole)
        return MARGIN * (U * share + (LARGEST_WEIGHT if half else 1.0) * ends)

    def _widen(self) -> None:
        """Add to each integral what the sums may lack of it."""
        sigma0, plain = math.exp(self.shape.log_sigma0), self._remainder(0, 0)
        self.remainder = plain / float(self.total.mid())
        self.total += arb(0, plain)
        for power in self.sigma:
            self.sigma[power] += arb(0, sigma0**power * plain)
        for term, sums in enumerate(self.variance):
            for k, power in enumerate((2, 4)):
                sums[k] += arb(0, sigma0**power * self._remainder(term, power))
        for (term, _), sums in self.effects.items():
            for k, power in enumerate((1, 2)):
                sums[k] += arb(0, 1.22 * self.model.n * sigma0**power * self._remainder(term, power))
        self.x, self.xx = _widened(self.x, plain), _widened(self.xx, plain)
        self.loss = arb(0, plain) + self.loss.union(0)

    def sigma_line(self) -> HalfLine:
        """The distribution function of log σ."""
        weights = [(k * self.step_s, weight) for k, weight in self.line.items()]
        return HalfLine(weights, self.step_s, arb(0, self._remainder(0, 0, "sigma")))

    def variance_line(self, term: int) -> HalfLine:
        """That of the logarithm of a term's sd, log σ + log τ."""
        step = self.steps_t[term]
        weights = [(k * self.step_s + at * step, weight) for (k, at), weight in self.planes[term].items()]
        return HalfLine(weights, step, arb(0, self._remainder(term, 0, "variance")))
