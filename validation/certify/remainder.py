r"""What lattice sums of the collapsed posterior leave out, bounded.

Sums over s_k = k h_s (s = log σ) and t_l = l h_t (t = log τ of each term) stand for integrals over the plane. Let

    G(s, t) = (σ/s_y)(2πσ²)^(−N/2) |V(τ)|^(−½) exp(−ρ(τ)/2σ²) Π τ_k exp(−c_k τ_k),   ρ = (1 − 2/N) r²(τ),

where r² is the residual sum of squares of generalised least squares. |V| grows with each τ and r² falls (V does, in
Loewner's order), so G is bounded on a cell by |V| at its lower corner and r² at its upper one; over σ it integrates to
a gamma function. Let U be the sum of these bounds over all cells, the infinite ones at the ends included. Then:

*Complex arguments.* The density is an integral over coefficients and random effects of products of Gaussians, and

    |N(x; 0, v e^{2ia})| = cos(2a)^(−n/2) N(x; 0, v / cos 2a)      (n numbers, |a| < π/4).

Hence with σ turned by the angle a the density is at most cos(2a)^(−N/2) times one at the real σ/√cos 2a; with τ_k
turned it is at most cos(2a)^(−J_k/2) times one at τ_k/√cos 2a, J_k the number of levels. The priors exp(−τ_k) become
exp(−c_k τ_k) with c_k = √cos 2a · cos a. What is integrated may be multiplied by an indicator or a power of a
coefficient: it is the absolute value's integral that is bounded. So the integral of the absolute value over the turned
axis is at most cos(2a)^(−N/2) U or cos(2a)^(−(J_k − 1)/2) U.

*The step* (Trefethen & Weideman 2014, SIAM Review 56(3), theorem 5.1): a function that is analytic in the strip
\|Im\| ≤ a, with integrals of its absolute value at most M there, has a trapezoidal sum within 2M/(exp(2πa/h) − 1). The
axes are summed one after the other, so the errors add.

*Half-lines.* ∫_{−∞}^X f is Σ f_k h (½ + Si(π(X − s_k)/h)/π), within M h (1 + π)/(π² a sinh(πa/h)): the residue theorem
writes the error of the sinc interpolant as sin(πx/h)/2πi ∮ f(z)/((z − x) sin(πz/h)) dz (Stenger 1981, SIAM Review
23(2)); integrating over x by parts leaves (h/π)(1 + π)/a.

*Ends.* Beyond the last point in s, G is log-concave: a geometric series bounds the rest. Beyond the last points in τ
the infinite cells do.

*Moments.* Standardised coefficients x have E|x| and E x² at most 1 under their prior, and G has the likelihood's
maximum over x. A random effect b = σ τ z has (given x) E z² ≤ 1 + q, where exp(−q/2) is in the density and
q ≥ r²/σ²: and (1 + q) exp(−q/2) ≤ 1.22 N exp(−ρ/2σ²) (this is what the 2/N in ρ is for). Powers of σ up to the fourth
are at most 1 + (σ/σ₀)⁴ times σ₀'s, for any σ₀.

All this is computed in double precision: it concerns bounds, and :data:`MARGIN` is far above its rounding.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, lambertw, logsumexp

#: Bounds are multiplied by this, so that their own rounding (relative 1e-9 at most) cannot make them too small.
MARGIN = 1.01

#: Angles that are tried; below π/4.
_ANGLES = np.linspace(0.01, 0.775, 154)

#: |½ + Si(x)/π| is at most this.
LARGEST_WEIGHT = 1.1

#: Powers of τ that occur in the moments.
POWERS = (0, 1, 2, 4)

#: cτ at the last point, at least: what lies beyond can be bounded from there on.
LEAST_REACH = 12.0


@dataclass(frozen=True)
class Axis:
    """Step along an axis and the errors it makes, as logarithms of shares of U."""

    step: float
    #: of integrals over the whole line and over a half-line
    log_whole: float
    log_half: float
    rate: float  # c: how much of the prior's rate the turned axis keeps


def _errors(step: float, loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Log errors at each angle, where turning by a costs cos(2a)^−loss."""
    a = _ANGLES
    turned = -loss * np.log(np.cos(2 * a))
    x = np.pi * a / step
    whole = np.log(2) - 2 * x - np.log1p(-np.exp(-2 * x)) + turned
    log_sinh = x + np.log1p(-np.exp(-2 * x)) - np.log(2)
    half = np.log(step * (1 + np.pi) / (np.pi**2 * a)) - log_sinh + turned
    return whole, half


def axis(loss: float, log_target: float, half_lines: bool) -> Axis:
    """Find the widest step whose error is at most a share of U, on half-lines too where they are to be that good.

    Turning by the angle a multiplies the density by cos(2a)^−loss at most.
    """

    def excess(log_step: float) -> float:
        whole, half = _errors(math.exp(log_step), loss)
        return float((half if half_lines else whole).min()) - log_target

    step = math.exp(brentq(excess, math.log(1e-5), math.log(2.0), xtol=1e-3) - 2e-3)
    whole, half = _errors(step, loss)
    angles = _ANGLES[[whole.argmin(), half.argmin()]]
    rate = float((np.sqrt(np.cos(2 * angles)) * np.cos(angles)).min())
    return Axis(step, float(whole.min()), float(half.min()), rate)


@dataclass(frozen=True)
class Shape:
    """The bound G over σ at one τ."""

    n: int  # rows
    log_sd_y: float
    log_sigma0: float  # log of σ₀

    def shrunk(self, r2: np.ndarray | float) -> np.ndarray | float:
        """ρ of r²."""
        return (1 - 2 / self.n) * r2

    def log_integral(self, r2: np.ndarray | float, power: int = 0) -> np.ndarray:
        """Log of the integral of (σ/σ₀)^power (σ/s_y)(2πσ²)^(−N/2) exp(−ρ/2σ²) over log σ."""
        m = self.n - 1 - power
        log_gamma = gammaln(m / 2) - math.log(2) + (m / 2) * np.log(2 / self.shrunk(np.asarray(r2)))
        return log_gamma - 0.5 * self.n * math.log(2 * math.pi) - self.log_sd_y - power * self.log_sigma0

    def log_both(self, r2: np.ndarray | float) -> np.ndarray:
        """Log of the integral with 1 + (σ/σ₀)⁴ in place of the power."""
        return np.logaddexp(self.log_integral(r2), self.log_integral(r2, 4))

    def peak_share(self, power: int) -> float:
        """The largest value over the integral (over log σ): the same at every τ."""
        m = self.n - 1 - power
        return math.exp(math.log(2) + (m / 2) * (math.log(m / 2) - 1) - gammaln(m / 2))

    def sum_factor(self, step: float) -> float:
        """A lattice sum with a step is at most this many times the integral: G has one peak in s."""
        return 1 + step * max(self.peak_share(0), self.peak_share(4))

    def window(self, r2: float, drop: float, step: float) -> tuple[int, int]:
        """First and last lattice point such that G falls by e^−drop to either side of its peak."""
        ends = []
        for power, branch in ((0, -1), (4, 0)):
            m = self.n - 1 - power
            # where σ² is the peak's over u, G has fallen by m(u − 1 − log u)/2: u e^−u is known
            u = -float(lambertw(-math.exp(-1 - 2 * drop / m), branch).real)
            ends.append(0.5 * math.log(self.shrunk(r2) / (m * u)) / step)
        return math.floor(ends[0]), math.ceil(ends[1])

    def beyond(self, r2: float, first: int, last: int, step: float) -> float:
        """Log of the lattice sum (times the step) of (1 + (σ/σ₀)⁴)·G/(what depends on τ only) outside a window."""
        parts = []
        for power in (0, 4):
            for index, move in ((first - 1, -1), (last + 1, 1)):
                here, next_ = (self._log_G(r2, step * k, power) for k in (index, index + move))
                if next_ >= here:
                    raise ValueError("the window does not hold the peak")
                parts.append(here - math.log1p(-math.exp(next_ - here)))
        return float(logsumexp(parts)) + math.log(step)

    def _log_G(self, r2: float, s: float, power: int) -> float:
        m = self.n - 1 - power
        quadratic = 0.5 * float(self.shrunk(r2)) * math.exp(-2 * s)
        return -m * s - quadratic - 0.5 * self.n * math.log(2 * math.pi) - self.log_sd_y - power * self.log_sigma0


def bounds(
    shape: Shape, taus: list[np.ndarray], axes: list[Axis], log_det: np.ndarray, r2: np.ndarray, least_rss: float
) -> dict[tuple[int, int], tuple[float, float]]:
    """Logarithms of U and of the share of it in the infinite cells, for each term and power of its τ.

    The term does not matter with power 0. Cells lie between 0, the lattice points ``taus`` of each τ (ascending), and
    infinity; ``log_det`` is log|V| at their lower corners (one longer than ``taus`` along each dimension), ``r2`` is r²
    at the lattice points, their upper corners, and at least ``least_rss`` where a τ is infinite.
    """
    upper = np.full(log_det.shape, least_rss)
    upper[tuple(slice(0, -1) for _ in taus)] = r2
    body = -0.5 * log_det + shape.log_both(upper)
    ends = np.ones(log_det.shape, dtype=bool)
    ends[tuple(slice(1, -1) for _ in taus)] = False
    found = {}
    for term, power in product(range(len(taus)), POWERS):
        weights = [
            _log_weights(tau, along, power if k == term else 0)
            for k, (tau, along) in enumerate(zip(taus, axes, strict=True))
        ]
        total = sum(np.ix_(*weights), start=body)
        found[term, power] = (
            float(logsumexp(total)) + math.log(MARGIN),
            float(logsumexp(total[ends])) + math.log(MARGIN),
        )
    return found


def _log_weights(tau: np.ndarray, along: Axis, power: int) -> np.ndarray:
    """Log of the greatest integral, or lattice sum times the step, of τ^(power + 1) exp(−cτ) over each cell."""
    step, c = along.step, along.rate
    out = np.empty(tau.size + 1)
    out[0] = (1 + power) * math.log(tau[0]) + math.log(step / -math.expm1(-step))
    out[1:-1] = math.log(step) + (1 + power) * np.log(tau[1:]) - c * tau[:-1]
    last = float(tau[-1])
    if last * c < 2 * (1 + power):  # not beyond the peak of τ^(power + 1) exp(−cτ)
        raise ValueError("the last point is too near for what lies beyond it to be bounded")
    out[-1] = power * math.log(last) - c * last - math.log(c - power / last)
    return out
