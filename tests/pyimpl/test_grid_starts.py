"""Local minima on a lattice, and near which of its points a minimum is."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.design import build_design
from pyimpl.likelihood.grid_starts import deviations, grid_minima, lowest, near
from pyimpl.likelihood.reduce import reduce_design


def by_definition(values, rounding):
    """Points below which no neighbour lies, the lowest first, without the upper edges."""
    raised = values + rounding
    found = []
    for at in itertools.product(*map(range, values.shape)):
        if any(k == size - 1 for k, size in zip(at, values.shape, strict=True)) or not np.isfinite(raised[at]):
            continue
        steps = [(axis, step) for axis in range(values.ndim) for step in (-1, 1)]
        around = [tuple(k + step * (axis == i) for i, k in enumerate(at)) for axis, step in steps]
        if not any(raised[at] > raised[other] for other in around if min(other) >= 0):
            found.append(at)
    found.sort(key=lambda at: raised[at])
    return [int(np.ravel_multi_index(at, values.shape)) for at in found]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_lowest_finds_the_local_minima_in_their_order(axes):
    rng = np.random.default_rng(axes)
    size = {1: 40, 2: 9, 3: 6}[axes]
    for _ in range(50):
        values = rng.integers(0, 8, (size,) * axes).astype(float)  # with ties
        values[rng.random(values.shape) < 0.1] = np.inf
        rounding = 0.5 * rng.random(values.shape)
        expected = by_definition(values, rounding)
        for room in (4, values.size):
            places = np.empty(room, dtype=np.int64)
            count = lowest(values.ravel(), rounding.ravel(), size, axes, places)
            assert places[:count].tolist() == expected[:room]


def test_a_scan_finds_two_minimums_of_one_variance():
    def scan(theta):
        x = np.log2(np.maximum(theta[:, 0], 1e-9) / 3.0)  # in units of 3
        return np.minimum((x + 3.2) ** 2 + 1.0, (x - 4.1) ** 2)

    found = grid_minima(scan, 1.0, np.array([3.0]), [True], np.array([6.0]))
    assert found.points.ravel().tolist() == [2.0**4, 2.0**-3]
    assert found.lowest == pytest.approx(0.01)
    assert found.at_start == pytest.approx((1 - 4.1) ** 2)
    assert grid_minima(scan, 1e9, np.array([3.0]), [True], np.array([6.0])) is None


def test_near_is_a_step_of_the_lattice():
    assert near([1.0, 0.3, 4.0], [2.0, 77.0, 2.0], [True, False, True], 2.0)
    assert not near([1.0, 0.3, 4.0], [2.1, 77.0, 2.0], [True, False, True], 2.0)
    assert near([2.0**-5], [0.0], [True], 2.0)  # what is smaller than the lattice's smallest counts as that


def test_deviations_are_the_rows_of_the_templates():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=60), "x": rng.normal(size=60), "g": list("abcdef") * 10})
    data["h"] = np.repeat(list("uvwx"), 15)
    blocks = reduce_design(build_design("y ~ x + (x | g) + (1 | h)", data))
    theta = np.array([0.5, -0.3, 0.4, 2.0])
    found = deviations(blocks.factors, theta.tolist())
    for factor in blocks.factors:
        T = factor.template(theta)
        sd = np.sqrt(np.diag(T @ T.T)) * factor.scale
        diagonal = factor.theta[factor.rows == factor.cols]
        np.testing.assert_allclose(np.array(found)[diagonal], sd)
