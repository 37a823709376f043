"""The rounding error of an objective, measured.

Along a line so short that a smooth function is a low polynomial on it, fourth differences of the values hold nothing
but rounding errors: with independent errors of standard deviation ν their variance is (8!/(4!)²) ν² = 70 ν² (Moré &
Wild 2011, SIAM J. Sci. Comput. 33(3), eq. 3.1).
"""

from collections.abc import Callable

import numpy as np

from validation.judge.ahead import ask_ahead

#: Relative step between the points, and their number: 13 fourth differences.
_STEP, _POINTS = 1e-9, 17


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
