"""An objective that can be asked at several points at once: R answers each call after the time of a message."""

from collections.abc import Callable, Iterable

import numpy as np

from validation.quantities import quietly


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
