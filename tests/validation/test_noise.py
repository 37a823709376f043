"""The measured rounding error of an objective, and what it is allowed to buy."""

import numpy as np
import pytest

from validation.judge.units import measured_noise
from validation.tolerances import ESTIMATE, LARGEST_ESTIMATE_LIMIT, OPTIMUM, design_limit, optimum_limit


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-5])
def test_known_noise_is_found(noise: float) -> None:
    rng = np.random.default_rng(3)
    found = [
        measured_noise(lambda theta: float(theta @ theta * 1e4 + noise * rng.normal()), np.array([0.8, 0.0, 0.3]), seed)
        for seed in range(40)
    ]
    assert np.median(found) == pytest.approx(noise, rel=0.25)


def test_a_smooth_objective_has_its_rounding_error_only() -> None:
    found = measured_noise(lambda theta: 7000.0 + 1e5 * float(np.sum((theta - 0.5) ** 2)), np.array([0.5, 0.5]))
    assert found < 4 * np.finfo(float).eps * 7000


def test_what_is_not_finite_measures_nothing() -> None:
    assert np.isnan(measured_noise(lambda theta: float("inf"), np.array([1.0])))


def test_noise_buys_no_more_than_the_optimum_s_own_limit() -> None:
    assert optimum_limit(0.0) == ESTIMATE.limit
    assert optimum_limit(1e-10) == pytest.approx(4e-5)
    assert optimum_limit(1.0) == LARGEST_ESTIMATE_LIMIT == pytest.approx(np.sqrt(OPTIMUM.limit))


def test_single_precision_is_beyond_the_design_s_limit() -> None:
    assert design_limit(100_000) < np.finfo(np.float32).eps / 100
