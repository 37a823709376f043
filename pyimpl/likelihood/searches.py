"""Searches whose evaluations are called one by one, from Python."""

import math
from typing import Protocol

import numpy as np

from pyimpl.likelihood import several_factors as several
from pyimpl.likelihood.large_searches import LARGE, absorb_large
from pyimpl.likelihood.trust_region import Workspace, absorb, begin
from pyimpl.linalg.threads import one_blas_thread

__all__ = [
    "COMPILED_SEARCH",
    "HEARD",
    "Engine",
    "Evaluation",
    "Modes",
    "ScoringEngine",
    "run",
    "scored",
    "step_cost",
]

#: Operations that may pass before a signal, such as that of Ctrl-C, is heard: well under a second.
HEARD = 5e8
#: Operations of an evaluation up to which a search is one compiled call: its whole budget takes no longer.
COMPILED_SEARCH = 1e5
_THREADS = 1000  # parameters from which a step is faster on several BLAS threads
_SMALL = 10  # parameters up to which a step is little beside an evaluation

#: Value, gradient and Hessian (or what stands for it).
Evaluation = tuple[float, np.ndarray, np.ndarray]
#: Value, Q of ``contrasts``, Z'V⁻¹(y − Xβ̂) and the modes' unscaled conditional variances of each factor.
Modes = tuple[float, np.ndarray, list[np.ndarray], list[np.ndarray]]


def step_cost(n: int) -> float:
    """Operations of a step of a search over n parameters, roughly: those of an eigendecomposition."""
    return (60.0 if n <= LARGE else 10.0) * float(n) ** 3 if n > _SMALL else 0.0


class Engine(Protocol):
    """What evaluates the criterion without its constant."""

    kind: int

    def evaluate(self, theta: np.ndarray, df: float, REML: bool, order: int) -> Evaluation:
        """Value, and gradient (order 1) and Hessian (order 2) where they are wanted."""
        ...


class ScoringEngine(Engine, Protocol):
    """One that knows the average information too."""

    info: np.ndarray

    @property
    def layout(self) -> tuple[np.ndarray, ...]:
        """Levels of each factor, and each θ's place: row and column of which factor's template of what size."""
        ...


def run(
    engine: Engine,
    start: np.ndarray,
    units: np.ndarray,
    budget: int,
    work: Workspace,
    df: float,
    REML: bool,
    known: Evaluation | None = None,
    spent: int = 0,
) -> float:
    """Search from `start` (θ / units), its evaluation perhaps `known`; returns the criterion there."""
    begin(work, start)
    work[6][5] = spent
    value, gradient, hessian = engine.evaluate(start * units, df, REML, 2) if known is None else known
    initial = value
    large = start.size > LARGE
    step = absorb_large if large else absorb
    done = False
    while not done:
        with one_blas_thread(large and start.size < _THREADS):
            done = step(work, value, gradient * units, hessian * np.outer(units, units), engine.kind, budget)
        if not done:
            value, gradient, hessian = engine.evaluate(work[3] * units, df, REML, 2)
    return initial


def scored(
    engine: ScoringEngine,
    start: np.ndarray,
    units: np.ndarray,
    budget: int,
    work: Workspace,
    df: float,
    REML: bool,
    near: bool,
) -> float:
    """Search likewise, after steps of EM (unless `near`) and scoring: see ``several_factors.scoring``."""
    theta = start * units
    best = engine.evaluate(theta, df, REML, 2)
    initial, count = best[0], 1
    ahead = np.empty_like(theta)
    while (
        count < several.SCORING
        and math.isfinite(best[0])
        and several.scoring(theta, best[1], engine.info, *engine.layout, count <= several.EM and not near, ahead)
    ):
        trial = engine.evaluate(ahead, df, REML, 2)
        count += 1
        gain = best[0] - trial[0]
        if not gain > 0:
            break
        theta, best = ahead.copy(), trial
        if gain < several.NEAR:
            break
    run(engine, theta / units, units, budget, work, df, REML, best, count - 1)
    return initial
