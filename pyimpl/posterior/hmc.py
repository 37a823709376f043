"""Hamiltonian Monte Carlo in many subchains at once, where independence Metropolis is not efficient.

One gradient for a hundred points costs little more than for one: so each chain is run as many short subchains side by
side, started at points drawn by importance weights, and a chain's draws are its subchains laid end to end. What differs
between subchains that have not mixed shows within the chain as slow autocorrelation, and so in its ESS and R-hat: they
hide nothing (Margossian et al. 2024, Bayesian Analysis, on many short chains).

Leapfrog steps in coordinates standardised by the approximate posterior; the number of steps is drawn anew for each
transition (Mackenzie 1989: no periodic orbits), in the same way for all subchains and without regard to where they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Subchains"]

_TARGET = 0.8  # acceptance that the step size is tuned to (Betancourt, Byrne & Girolami 2014)
_DIVERGENT = 1000.0  # error of the energy, as in Stan
_ADAPT = 64  # subchains of the adaptation
_LEAPS = 64  # most leapfrog steps of a transition
#: Mean length of a trajectory in standard deviations; π/2 forgets its start in a normal posterior.
_LENGTH = 1.6
_WARM = 15  # transitions of each subchain before the first that is kept

Gradient = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class _Standardised:
    """The density and its gradient in x, where u = mean + L x."""

    def __init__(self, gradient: Gradient, mean: np.ndarray, factor: np.ndarray) -> None:
        self.gradient, self.mean, self.factor = gradient, mean, factor

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = self.gradient(self.u(x))
        return value, slope @ self.factor

    def u(self, x: np.ndarray) -> np.ndarray:
        return self.mean + x @ self.factor.T

    def x(self, u: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self.factor, (u - self.mean).T).T


@dataclass
class _State:
    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray


def _transition(
    f: _Standardised, state: _State, momentum: np.ndarray, log_uniform: np.ndarray, step: float, leaps: int
) -> tuple[_State, np.ndarray, np.ndarray]:
    """One transition of all subchains: the new state, acceptance probabilities and energy errors."""
    x, p, slope = state.x.copy(), momentum + 0.5 * step * state.slope, state.slope
    for k in range(leaps):
        x += step * p
        value, slope = f(x)
        p = p + (step if k + 1 < leaps else 0.5 * step) * slope
    with np.errstate(over="ignore", invalid="ignore"):
        error = 0.5 * np.sum(p * p - momentum * momentum, axis=1) - (value - state.value)
    error = np.where(np.isfinite(error), error, np.inf)
    accept = log_uniform < -error
    new = _State(
        np.where(accept[:, None], x, state.x),
        np.where(accept, value, state.value),
        np.where(accept[:, None], slope, state.slope),
    )
    return new, np.exp(np.minimum(-error, 0.0)), error


def _leaps(step: float, uniform: float) -> int:
    return int(np.clip(round(_LENGTH * (0.6 + 0.8 * uniform) / step), 1, _LEAPS))


def _adapt(
    gradient: Gradient,
    mean: np.ndarray,
    factor: np.ndarray,
    start: np.ndarray,
    rng: np.random.Generator,
    rounds: int,
) -> tuple[_Standardised, float]:
    """Tune the step size (Robbins & Monro), and standardise by what the subchains have seen."""
    d = mean.size
    f, step = _Standardised(gradient, mean, factor), 1.2 / d**0.25
    u = start
    for last in range(rounds - 1, -1, -1):
        state = _State(f.x(u), *f(f.x(u)))
        seen = []
        for k in range(20):
            leaps = _leaps(step, rng.uniform())
            momentum = rng.standard_normal(state.x.shape)
            state, probability, _ = _transition(f, state, momentum, np.log(rng.uniform(size=len(u))), step, leaps)
            step = float(np.clip(step * np.exp((probability.mean() - _TARGET) / (1 + 0.15 * k)), 1e-4, 1.9))
            if k >= 8:
                seen.append(state.x)
        u = f.u(state.x)
        if last:
            sample = f.u(np.concatenate(seen))
            n = len(sample) / 4  # they are not independent
            mean, covariance = sample.mean(axis=0), np.cov(sample, rowvar=False).reshape(d, d)
            covariance = (n * covariance + d * factor @ factor.T) / (n + d)
            factor = np.linalg.cholesky(covariance)
            f = _Standardised(gradient, mean, factor)
    return f, step


class Subchains:
    """Chains made of subchains that can be run on for as long as is needed.

    Parameters
    ----------
    gradient : callable
        ``gradient(u)`` for u of shape (n, dim): log density (n,) and gradient (n, dim); −inf and 0 outside.
    mean : ndarray, shape (dim,)
    factor : ndarray, shape (dim, dim)
        Of an approximate posterior: lower Cholesky factor of its covariance.
    adapt_start : ndarray, shape (points, dim)
        Where the subchains of the adaptation start; of positive density.
    starts : list of ndarray, each (subchains, dim)
        Where the subchains of each chain start.
    rngs : list of Generator
        Random streams of the adaptation (and of the lengths of trajectories), then of each chain.
    rounds : int
        Of adaptation: the last tunes the step size only.

    Attributes
    ----------
    acceptance : float
        Mean acceptance probability so far.
    divergences : int
        Transitions with an energy error above 1000.
    """

    def __init__(
        self,
        gradient: Gradient,
        mean: np.ndarray,
        factor: np.ndarray,
        adapt_start: np.ndarray,
        starts: list[np.ndarray],
        rngs: list[np.random.Generator],
        *,
        rounds: int = 2,
    ) -> None:
        self._f, self._step = _adapt(gradient, mean, factor, adapt_start[:_ADAPT], rngs[0], rounds)
        self._adapt_rng, self._rngs = rngs[0], rngs[1:]
        self.chains, self.subchains, self.dim = len(starts), len(starts[0]), mean.size
        x = self._f.x(np.concatenate(starts))
        self._state = _State(x, *self._f(x))
        self._x: list[np.ndarray] = []
        self._value: list[np.ndarray] = []
        self._accepted, self.divergences = 0.0, 0
        for _ in range(_WARM):
            self._next()

    def _next(self) -> tuple[np.ndarray, np.ndarray]:
        # as many steps for every subchain: the adaptation's stream decides how many
        leaps = _leaps(self._step, self._adapt_rng.uniform())
        momentum = np.concatenate([r.standard_normal((self.subchains, self.dim)) for r in self._rngs])
        log_uniform = np.log(np.concatenate([r.uniform(size=self.subchains) for r in self._rngs]))
        self._state, probability, error = _transition(self._f, self._state, momentum, log_uniform, self._step, leaps)
        return probability, error

    @property
    def stuck(self) -> bool:
        """Whether the longest trajectory that there is would not cross half a standard deviation."""
        return self._step * _LEAPS < 0.5

    def begin_again(self, shorter: float) -> None:
        """Forget the draws, standardise by what was seen, and go on with steps that are shorter by a factor."""
        seen = self._f.u(np.concatenate(self._x))
        state = self._f.u(self._state.x)
        covariance = np.cov(seen, rowvar=False).reshape(self.dim, self.dim)
        covariance += 1e-3 * self._f.factor @ self._f.factor.T
        self._f = _Standardised(self._f.gradient, seen.mean(axis=0), np.linalg.cholesky(covariance))
        self._step *= shorter
        x = self._f.x(state)
        self._state = _State(x, *self._f(x))
        self._x, self._value = [], []
        self._accepted, self.divergences = 0.0, 0
        for _ in range(_WARM):
            self._next()

    def run(self, transitions: int) -> None:
        """Run every subchain on."""
        for _ in range(transitions):
            probability, error = self._next()
            self._accepted += float(probability.mean())
            self.divergences += int((error > _DIVERGENT).sum())
            self._x.append(self._state.x)
            self._value.append(self._state.value)

    @property
    def transitions(self) -> int:
        """Transitions of each subchain so far, the warm-up left out."""
        return len(self._x)

    @property
    def acceptance(self) -> float:
        """Mean acceptance probability."""
        return self._accepted / max(len(self._x), 1)

    def draws(self, draws: int, thin: int) -> tuple[np.ndarray, np.ndarray]:
        """Every thin-th state by subchain: coordinates (chains, draws, dim), log density (chains, draws)."""
        x, value = np.stack(self._x[thin - 1 :: thin]), np.stack(self._value[thin - 1 :: thin])
        shape = (len(x), self.chains, self.subchains)
        u = self._f.u(x.reshape(-1, self.dim)).reshape(*shape, self.dim)
        u = np.moveaxis(u, 0, 2).reshape(self.chains, -1, self.dim)[:, :draws]
        value = np.moveaxis(value.reshape(shape), 0, 2).reshape(self.chains, -1)[:, :draws]
        return np.ascontiguousarray(u), np.ascontiguousarray(value)
