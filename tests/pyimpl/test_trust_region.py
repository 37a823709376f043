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


def test_what_a_matrix_lacks_is_remembered_from_step_to_step():
    lacking = np.diag([3.0, -1.0, 2.0, 0.5]) + 0.3
    calls = []

    def function(x):
        calls.append(x.copy())
        e = np.exp(0.1 * x)
        H = np.diag(2.0 + e) + lacking * 0.5
        return (x @ x) + 100 * e.sum() + 0.25 * x @ lacking @ x, 2 * x + 10 * e + 0.5 * lacking @ x, H - 0.5 * lacking

    x, _, code = minimise(function, np.zeros(4), 100, APPROXIMATE)
    assert code == 0
    assert np.abs(2 * x + 10 * np.exp(0.1 * x) + 0.5 * lacking @ x).max() < 1e-9
    # updates of four directions, and a few steps: an approximation that forgets takes three times as many
    assert len(calls) <= 14


@pytest.mark.parametrize("kind", [EXACT, APPROXIMATE])
def test_the_last_step_is_taken_without_an_evaluation(kind):
    points = []

    def function(x):
        points.append(x.copy())
        return np.exp(x[0] - 3.0) - x[0], np.exp(x - 3.0) - 1.0, np.diag(np.exp(x - 3.0))

    x, value, code = minimise(function, np.array([3.5]), 100, kind)
    assert code == 0
    assert x[0] == pytest.approx(3.0, abs=1e-13)
    assert min(abs(point[0] - 3.0) for point in points) > 1e-13
    assert value == pytest.approx(-2.0, rel=1e-15)


def test_a_last_step_may_be_longer_where_the_steps_shrank_fast():
    n, counts = 6, {0.0: 0, 2e4: 0}  # by an offset with which values tell nothing of the last steps
    for seed in range(20):
        rng = np.random.default_rng(seed)
        basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
        matrix = 2e3 * (np.eye(n) + 0.004 * (basis * [1.0, -1.0, 0.7, -0.6, 0.5, 0.9]) @ basis.T)
        start = 1.0 + 2e-3 * rng.normal(size=n)
        for offset in counts:

            def function(x, offset=offset, matrix=matrix):
                counts[offset] += 1
                return offset + 1e3 * (x - 1.0) @ (x - 1.0), 2e3 * (x - 1.0), matrix

            x, _, code = minimise(function, start, 100, APPROXIMATE)
            assert code == 0
            assert np.abs(x - 1.0).max() < 1e-8
    assert counts[2e4] <= counts[0.0] - 12
