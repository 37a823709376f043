"""The search that asks for its evaluations."""

import numpy as np
import pytest

from pyimpl.likelihood.trust_region import ABSENT, APPROXIMATE, EXACT, minimise


def rosenbrock(x):
    a, b = x
    f = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    g = np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])
    return f, g, np.array([[2 - 400 * (b - 3 * a * a), -400 * a], [-400 * a, 200.0]])


@pytest.mark.parametrize("kind", [EXACT, APPROXIMATE, ABSENT])
def test_finds_the_minimum_whatever_the_matrix(kind):
    def function(x):
        f, g, H = rosenbrock(x)
        return f, g, H if kind == EXACT else H + 5.0 * np.eye(2)

    x, value, code = minimise(function, np.array([-1.2, 1.0]), 500, kind)
    assert code == 0
    np.testing.assert_allclose(x, [1, 1], atol=1e-7)
    assert value < 1e-13


def test_leaves_a_saddle():
    def function(x):
        a, b = x
        return a**4 - a**2 + b**2, np.array([4 * a**3 - 2 * a, 2 * b]), np.diag([12 * a**2 - 2, 2.0])

    x, value, code = minimise(function, np.zeros(2), 200, EXACT)
    assert code == 0
    assert abs(x[0]) == pytest.approx(np.sqrt(0.5), abs=1e-8)
    assert value == pytest.approx(-0.25)


def test_a_spent_budget_is_said():
    calls = []

    def function(x):
        calls.append(x)
        return rosenbrock(x)

    _, value, code = minimise(function, np.array([-1.2, 1.0]), 4, EXACT)
    assert code == 1
    assert len(calls) == 4
    assert value < rosenbrock(np.array([-1.2, 1.0]))[0]


def test_comes_back_from_where_the_function_is_not_defined():
    def function(x):
        if x[0] > 5:
            return np.inf, np.full(1, np.nan), np.full((1, 1), np.nan)
        return (x[0] - 1) ** 2, 2 * (x - 1), np.array([[2.0]])

    x, _, code = minimise(function, np.array([40.0]), 100, EXACT)
    assert code == 0
    assert x[0] == pytest.approx(1)
