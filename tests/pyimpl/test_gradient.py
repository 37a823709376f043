"""The gradient of the collapsed density against differences of the density itself."""

import numpy as np
import pytest

from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.gradient import log_density_gradient
from tests.pyimpl.posterior_cases import case_names, specification_of
from tests.pyimpl.test_collapsed import nested_specification


def density_of(name: str) -> CollapsedDensity:
    return CollapsedDensity(nested_specification() if name == "nested" else specification_of(name))


@pytest.mark.parametrize("name", [*case_names(), "nested"])
def test_gradient_is_the_densitys(name: str) -> None:
    density = density_of(name)
    d = density.dim
    rng = np.random.default_rng(4)
    u = density.start() + 0.5 * rng.standard_normal((4, d))
    value, gradient = log_density_gradient(density, u)
    assert np.allclose(value, density.log_density(u), rtol=1e-12, atol=1e-9)
    h = 1e-4
    for k in range(d):
        step = np.zeros(d)
        step[k] = h
        # five points: the error is of order h⁴
        one = density.log_density(u + step) - density.log_density(u - step)
        two = density.log_density(u + 2 * step) - density.log_density(u - 2 * step)
        expected = (8 * one - two) / (12 * h)
        assert np.allclose(gradient[:, k], expected, rtol=1e-6, atol=1e-5 * (1 + np.abs(gradient).max()))


def test_outside_the_range_it_is_zero() -> None:
    density = density_of("M1")
    value, gradient = log_density_gradient(density, np.array([[0.0, 50.0], [0.0, 0.0]]))
    assert value[0] == -np.inf
    assert (gradient[0] == 0).all()
    assert np.isfinite(value[1])
    assert (gradient[1] != 0).all()


def test_a_variance_near_zero_has_a_gradient() -> None:
    """Towards 0 the density falls as τ: the gradient in log τ tends to 1."""
    density = density_of("M1")
    u = density.start()
    u[1] = -18.0
    _, gradient = log_density_gradient(density, u[None])
    assert gradient[0, 1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", ["hs", "hs_plus", "product", "lasso"])
def test_strongly_shrunk_coefficients_keep_the_digits(name: str) -> None:
    """Where scales are next to 0 precisions are huge, and the value is the density's all the same."""
    density = density_of(name)
    u = np.repeat(density.start()[None], 3, axis=0)
    u[:, density.dim - density.standard_normals :] = np.array([-2.0, -3.5, -5.0])[:, None]
    value, gradient = log_density_gradient(density, u)
    assert np.allclose(value, density.log_density(u), rtol=1e-12, atol=1e-9)
    h = 1e-4
    for k in range(density.dim):
        step = np.eye(density.dim)[k] * h
        one = density.log_density(u + step) - density.log_density(u - step)
        two = density.log_density(u + 2 * step) - density.log_density(u - 2 * step)
        expected = (8 * one - two) / (12 * h)
        assert np.allclose(gradient[:, k], expected, rtol=1e-5, atol=1e-4 * (1 + np.abs(gradient).max()))
