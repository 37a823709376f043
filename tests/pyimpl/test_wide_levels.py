"""Levels that meet most outer columns are multiplied by the BLAS: with the numbers of loops, and of no elimination."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import reduce_design


def crossed(subjects: int, items: int, kept: float, seed: int) -> pd.DataFrame:
    """Every subject answers most items."""
    rng = np.random.default_rng(seed)
    s, i = np.repeat(np.arange(subjects), items), np.tile(np.arange(items), subjects)
    x = rng.normal(size=s.size)
    y = 1 + x + rng.normal(size=subjects)[s] + rng.normal(size=items)[i] * (1 + 0.5 * x) + rng.normal(size=s.size)
    data = pd.DataFrame(
        {"y": y, "x": x, "s": pd.Categorical(s), "i": pd.Categorical(i), "w": rng.uniform(0.5, 2, s.size)}
    )
    # one level with few rows, which is not wide
    few = (s == 0) & (i > 3)
    return data[(rng.random(s.size) < kept) & ~few].reset_index(drop=True)


MODELS = ["y ~ x + (1 | s) + (1 | i)", "y ~ x + (x | s) + (x | i)", "y ~ x + (1 + x + I(x^2) | s) + (1 | i)"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", MODELS)
def test_wide_levels_give_the_same_criterion(formula: str, weighted: bool) -> None:
    data = crossed(300, 30, 0.9, 3)
    fit = lmer(formula, data, weights=data["w"] if weighted else None)
    design = fit.model.design
    wide = Objective(reduce_design(design, "blocks"), True)
    place = np.asarray(wide.engine.inner.wide.place)
    assert place.max() > 200  # several batches
    assert place.min() == -1  # and a level that is not wide
    plain = Objective(reduce_design(design, "joint"), True)
    assert plain.engine.inner.wide is None
    for theta in (fit.getME("theta"), 0.5 * fit.getME("theta") + 0.2):
        one, other = (each.value_gradient_hessian(np.asarray(theta)) for each in (wide, plain))
        assert one[0] == pytest.approx(other[0], rel=1e-12)
        scale = np.abs(other[2]).max()
        np.testing.assert_allclose(one[1], other[1], atol=1e-9 * scale)
        np.testing.assert_allclose(one[2], other[2], atol=1e-9 * scale)
    mine, theirs = (each.solve(np.asarray(fit.getME("theta"))) for each in (wide, plain))
    for a, b in zip(mine.unscaled_cond_var, theirs.unscaled_cond_var, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
    for a, b in zip(mine.a, theirs.a, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9 * np.abs(b).max())


def test_narrow_levels_are_left_to_loops() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.normal(size=900), "s": rng.integers(0, 300, 900), "i": rng.integers(0, 40, 900)})
    fit = lmer("y ~ 1 + (1 | s) + (1 | i)", data.astype({"s": "str", "i": "str"}))
    assert Objective(reduce_design(fit.model.design, "blocks"), True).engine.inner.wide is None
