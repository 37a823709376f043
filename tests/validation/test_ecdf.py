"""The two-sample ECDF-difference test: exact, against simulation, and able to fail."""

import itertools

import numpy as np
import pytest

from validation.judge.ecdf import band, ecdf_difference


def test_exact_against_all_orders_of_two_small_samples():
    n, m = 4, 5
    values = []
    for chosen in itertools.combinations(range(n + m), n):
        a = np.array(chosen, dtype=float)
        b = np.array([i for i in range(n + m) if i not in chosen], dtype=float)
        values.append(ecdf_difference(a, b).p_value)
    values = np.array(values)
    # All orders are equally likely: P(p <= t) is exactly t at every attained t.
    for t in np.unique(np.round(values, 12)):
        assert np.mean(values <= t + 1e-9) == pytest.approx(t, abs=1e-9)


def test_false_alarms_are_as_stated():
    rng = np.random.default_rng(11)
    values = np.array([ecdf_difference(rng.normal(size=150), rng.normal(size=100)).p_value for _ in range(200)])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(values <= level) - level) < 3.5 * np.sqrt(level * (1 - level) / 200)


@pytest.mark.parametrize(
    "other",
    [
        lambda rng: rng.normal(0.3, 1, size=1000),
        lambda rng: rng.normal(0, 1.3, size=1000),
        lambda rng: rng.standard_t(3, size=1000) / np.sqrt(3),
        lambda rng: np.where(rng.random(1000) < 0.04, 4.0, rng.normal(size=1000)),
    ],
    ids=["shift", "scale", "tails", "a second mode"],
)
def test_sees_a_shift_a_scale_tails_and_a_mode(other):
    rng = np.random.default_rng(5)
    assert ecdf_difference(rng.normal(size=2000), other(rng)).p_value < 1e-4


def test_band_covers_as_stated():
    rng = np.random.default_rng(2)
    position, lower, upper = band(100, 80)
    inside = 0
    for _ in range(200):
        found = ecdf_difference(rng.random(100), rng.random(80))
        np.testing.assert_array_equal(found.position, position)
        inside += bool(np.all((found.difference >= lower - 1e-12) & (found.difference <= upper + 1e-12)))
    assert 0.9 < inside / 200 < 1.0


def test_ties_and_bad_input():
    assert ecdf_difference(np.ones(50), np.ones(60)).p_value > 1e-3
    with pytest.raises(ValueError, match="two draws"):
        ecdf_difference(np.array([1.0]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="finite"):
        ecdf_difference(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
