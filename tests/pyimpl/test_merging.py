"""Levels that are alike are merged: nothing but the number of levels changes."""

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.design import build_design
from pyimpl.likelihood import merging
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import reduce_design


def balanced(levels, items, seed, drop=0):
    """Rows of every level with every item and time; the last `drop` rows are left out."""
    rng = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(levels), items), np.tile(np.arange(items), levels)
    data = pd.DataFrame(
        {
            "y": rng.normal(size=levels)[g] + rng.normal(size=items)[h] + rng.normal(size=g.size),
            "time": h.astype(float) ** 1.1,
            "curve": np.cos(h),
            "x": rng.normal(size=g.size),
            "g": pd.Categorical([f"g{i:03d}" for i in g]),
            "h": pd.Categorical([f"h{i:03d}" for i in h]),
            # every third level of g in one of k: levels that are alike stand far from each other
            "k": pd.Categorical([f"k{i % 3}" for i in g]),
        }
    )
    return data.iloc[: len(data) - drop]


CASES = {
    "intercepts": ("y ~ 1 + (1 | g)", balanced(20, 5, 1), 2),
    "unequal sizes": ("y ~ time + (1 | g)", balanced(20, 5, 2, drop=3), 4),
    "two effects": ("y ~ time + (time | g)", balanced(18, 10, 3), 6),
    "a covariate": ("y ~ x + (time || g)", balanced(30, 6, 4, drop=5), 7),
    "three effects": ("y ~ curve + (time + curve | g)", balanced(40, 8, 5), 9),
    "crossed": ("y ~ 1 + (1 | g) + (1 | h)", balanced(24, 6, 6), 3),
    "crossed with slopes": ("y ~ time + (time | g) + (1 | h)", balanced(24, 6, 7), 7),
    "crossed, unequal": ("y ~ x + (1 | g) + (1 | h)", balanced(30, 7, 8, drop=4), 5),
    "nested": ("y ~ 1 + (1 | k / g)", balanced(21, 4, 9), 5),
    "few alike": ("y ~ 1 + (1 | g) + (1 | h)", balanced(30, 7, 8).sample(180, random_state=1), 30),
}


@pytest.mark.parametrize("REML", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_merged_levels_change_nothing(case, REML, monkeypatch):
    formula, data, remain = CASES[case]
    blocks = reduce_design(build_design(formula, data))
    merged = Objective(blocks, REML)
    monkeypatch.setattr(merging, "WIDEST", 0)
    whole = Objective(blocks, REML)
    assert len(merged._engine._R) == remain <= len(whole._engine._R) == blocks.factors[0].J
    assert merged._engine._copies.sum() == blocks.factors[0].J
    rng = np.random.default_rng(10)
    points = [np.abs(rng.normal(size=blocks.n_theta)) * 10.0**k for k in (-3, -1, 0, 1)]
    for theta in points:
        value, gradient, hessian = whole.value_gradient_hessian(theta)
        found = merged.value_gradient_hessian(theta)
        assert found[0] == pytest.approx(value, rel=1e-13)
        size = np.abs(gradient).max()
        np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-9 * size + 1e-11)
        np.testing.assert_allclose(found[2], hessian, rtol=1e-8, atol=1e-9 * np.abs(hessian).max() + 1e-11)
    np.testing.assert_allclose(merged.scan(np.array(points)), whole.scan(np.array(points)), rtol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_modes_are_those_of_every_level(case, monkeypatch):
    formula, data, _ = CASES[case]
    blocks = reduce_design(build_design(formula, data))
    theta = np.linspace(0.4, 0.9, blocks.n_theta)
    merged = Objective(blocks, False).solve(theta)
    monkeypatch.setattr(merging, "WIDEST", 0)
    whole = Objective(blocks, False).solve(theta)
    for found, expected in zip(
        (merged.beta, merged.unscaled_vcov, *merged.a, *merged.unscaled_cond_var),
        (whole.beta, whole.unscaled_vcov, *whole.a, *whole.unscaled_cond_var),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert merged.objective == pytest.approx(whole.objective, rel=1e-14)
    assert merged.prss == pytest.approx(whole.prss, rel=1e-13)


def test_levels_that_differ_are_not_merged():
    rng = np.random.default_rng(11)
    R, C = np.zeros((9, 1, 1)), rng.normal(size=(9, 1, 2))
    R[:, 0, 0] = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 4.0]
    indptr, none = np.zeros(10, dtype=np.int64), np.empty(0, dtype=np.int64)
    new_R, new_C, *_, copies = merging.merge(R, C, indptr, none, np.empty((0, 1)), np.arange(9), merging.WIDEST)
    assert new_R.ravel().tolist() == [1.0, 1.0, 2.0, 2.0, 3.0, 4.0]
    assert copies.tolist() == [1.0, 3.0, 1.0, 2.0, 1.0, 1.0]
    np.testing.assert_array_equal(new_C[4:], C[7:])
    for kept, given in ((new_C[:2], C[:4]), (new_C[2:4], C[4:7])):
        np.testing.assert_allclose(kept[:, 0].T @ kept[:, 0], given[:, 0].T @ given[:, 0], rtol=1e-14)


def test_nothing_is_merged_where_little_could_be():
    rng = np.random.default_rng(13)
    R, C = np.arange(10.0).reshape(10, 1, 1), rng.normal(size=(10, 1, 2))
    R[:3] = 0.5
    indptr, none = np.zeros(11, dtype=np.int64), np.empty(0, dtype=np.int64)
    for order in (np.arange(10), np.arange(10)[::-1].copy(), rng.permutation(10)):
        new_R, new_C, *_, copies = merging.merge(R, C, indptr, none, np.empty((0, 1)), order, merging.WIDEST)
        np.testing.assert_array_equal(new_R, R)
        np.testing.assert_array_equal(new_C, C)
        assert copies.tolist() == [1.0] * 10


def test_levels_that_touch_other_columns_are_not_merged():
    rng = np.random.default_rng(12)
    R, C, values = np.ones((7, 1, 1)), rng.normal(size=(7, 1, 2)), np.array([[0.5]] * 6 + [[0.7]])
    indptr, columns = np.arange(8), np.array([0, 0, 1, 1, 1, 1, 1])
    found = merging.merge(R, C, indptr, columns, values, np.arange(7), merging.WIDEST)
    assert found[3].tolist() == [0, 1, 1]  # two are alike, and four; what is left of them touches nothing
    assert found[2].tolist() == [0, 1, 2, 3, 3, 3]
    assert found[5].tolist() == [1.0, 1.0, 1.0, 1.0, 3.0]
    np.testing.assert_allclose(found[4].ravel(), [0.5 * np.sqrt(2.0), 1.0, 0.7])
    np.testing.assert_allclose(found[1][1], C[2:6].sum(axis=0) / 2.0, rtol=1e-14)
    np.testing.assert_allclose(np.einsum("jac,jad->cd", found[1], found[1]), np.einsum("jac,jad->cd", C, C), rtol=1e-13)
