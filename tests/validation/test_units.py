"""Standard errors of variance components."""

import numpy as np
import pytest

from validation.algebra import pieces_of, solve
from validation.judge.objective import theta_points
from validation.judge.units import component_errors, theta_covariance


def test_curvature_of_a_known_parabola():
    H = np.array([[4.0, 1.0], [1.0, 3.0]])
    centre = np.array([0.5, 1.5])

    def devfun(theta):
        d = theta - centre
        return 1000.0 + 0.5 * d @ H @ d

    np.testing.assert_allclose(theta_covariance(devfun, centre, np.ones(len(centre))), 2 * np.linalg.inv(H), rtol=1e-6)


def test_no_curvature_no_covariance():
    assert theta_covariance(lambda theta: -float(theta @ theta), np.zeros(2), np.ones(2)) is None
    assert theta_covariance(lambda theta: 1.0, np.zeros(1), np.ones(1)) is None


def test_curvature_and_closed_form_agree_on_a_balanced_design(make_data, make_design, make_fit):
    data = make_data(seed=5, schools=60)
    pieces, factors = make_design(data, slope=False)
    fit = make_fit(pieces, factors, reml=True)
    theta, sigma = fit.theta.to_numpy(), fit.sigma()
    curved = component_errors(pieces, theta, sigma, True, fit.objective)
    closed = component_errors(pieces, theta, sigma, True)
    assert curved.source == "curvature"
    assert closed.source == "closed form"
    for quantity in ("variance", "sd"):
        place = quantity, "school", "(Intercept)"
        assert curved.of(*place) == pytest.approx(closed.of(*place), rel=0.2)


def test_the_unit_of_a_zero_variance_is_not_zero(ml_fit):
    pieces = pieces_of(ml_fit)
    theta = np.zeros(3)
    sigma = solve(pieces, theta, False).sigma
    errors = component_errors(pieces, theta, sigma, False, ml_fit.objective)
    assert errors.source == "closed form"
    assert {key[0] for key in errors.known} >= {"variance", "sd", "covariance"}
    assert all(value > 0 and np.isfinite(value) for value in errors.known.values())


@pytest.mark.parametrize("optimum", [[0.8, 0.1, 0.6], [0.8, 0.0, 0.0]])
def test_points_of_comparison_do_not_depend_on_a_predictors_unit(optimum):
    scale = np.array([1.0, 1e-4, 1e-4])  # a slope over Hz
    bounds = [(0.0, np.inf), (-np.inf, np.inf), (0.0, np.inf)]
    plain = theta_points(np.array(optimum), None, bounds, seed=1)
    scaled = theta_points(np.array(optimum) * scale, None, bounds, seed=1, scale=scale)
    for (name, point), (same, other) in zip(plain, scaled, strict=True):
        assert name == same
        np.testing.assert_allclose(other, point * scale, rtol=1e-12)
