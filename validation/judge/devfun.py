"""An objective that can be asked at several points at once, and its rounding error, measured.

R answers each call after the time of a message, so points are asked together. Along a line so short that a smooth
function is a low polynomial on it, fourth differences of the values hold nothing but rounding errors: with independent
errors of standard deviation ν their variance is (8!/(4!)²) ν² = 70 ν² (Moré & Wild 2011, SIAM J. Sci. Comput. 33(3),
eq. 3.1).
"""

from collections.abc import Callable, Iterable

import numpy as np

from validation.quantities import quietly

#: Relative step between the points, and their number: 13 fourth differences.
_STEP, _POINTS = 1e-9, 17


class Objective:
    """A side's objective as a function of θ; ``at_rows`` takes a matrix with a row for each θ, where the side can."""

    def __init__(
        self, at_one: Callable[[np.ndarray], float], at_rows: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self._at_one, self._at_rows = at_one, at_rows
        self._known: dict[bytes, float] = {}

    def __call__(self, theta: np.ndarray) -> float:
        """The value at θ."""
        point = np.asarray(theta, dtype=float)
        known = self._known.get(point.tobytes())
        return self._at_one(point) if known is None else known

    def ask(self, points: Iterable[np.ndarray]) -> None:
        """Have the values at several points; what fails there is asked, and fails, one point at a time."""
        at_rows = self._at_rows
        if at_rows is not None:
            rows = np.array(list(points), dtype=float)
            values = quietly(lambda: dict(zip((row.tobytes() for row in rows), at_rows(rows), strict=True)), {})
            self._known |= {point: float(value) for point, value in values.items()}


def ask_ahead(objective: Callable[[np.ndarray], float], points: Iterable[np.ndarray]) -> None:
    """:meth:`Objective.ask`, of what is one."""
    if isinstance(objective, Objective):
        objective.ask(points)


def measured_noise(objective: Callable[[np.ndarray], float], theta: np.ndarray, seed: int = 1) -> float:
    """Measure the standard deviation of the rounding errors of an objective near θ; NaN where a value is not finite.

    All steps are upwards, in a random direction, so that a θ on its lower bound stays feasible.
    """
    direction = np.random.default_rng(seed).uniform(0.5, 1.5, size=theta.size) * np.maximum(np.abs(theta), 1e-2)
    points = [theta + i * _STEP * direction for i in range(_POINTS)]
    ask_ahead(objective, points)
    values = np.array([objective(point) for point in points], dtype=float)
    if not np.isfinite(values).all():
        return float("nan")
    return float(np.sqrt(np.mean(np.square(np.diff(values, 4))) / 70.0))
