"""Levels with the same model matrix are merged for a search, and nothing else changes."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.likelihood.equal_levels import merged_levels
from pyimpl.likelihood.objective import Objective


def curves(seed, persons=400, times=6, lost=0.0, own_times=False):
    rng = np.random.default_rng(seed)
    i, t = np.repeat(np.arange(persons), times), np.tile(np.arange(times) / 2.0 - 1.0, persons)
    if own_times:
        t = t + 0.1 * rng.normal(size=t.size)
    b = rng.normal(size=(persons, 3))[i]
    frame = pd.DataFrame({"i": pd.Categorical(i), "t": t, "t2": t**2, "v": rng.normal(size=persons)[i]})
    frame["y"] = 2.0 + b[:, 0] + b[:, 1] * t + 0.4 * b[:, 2] * t**2 + rng.normal(size=t.size)
    # persons stop, each after another time
    last = np.where(rng.random(persons) < lost, rng.integers(1, times, persons), times)[i]
    return frame[np.tile(np.arange(times), persons) < last].reset_index(drop=True)


@pytest.mark.parametrize("REML", [False, True])
@pytest.mark.parametrize(
    ("formula", "lost"),
    [
        ("y ~ t + (t | i)", 0.0),
        ("y ~ t + t2 + v + (t + t2 | i)", 0.0),
        ("y ~ t + t2 + (t + t2 || i)", 0.0),
        ("y ~ t + v + (t | i)", 0.3),
        ("y ~ 1 + (t | i)", 0.3),
        ("y ~ t + cs(t | i)", 0.0),
    ],
)
def test_the_criterion_and_its_derivatives_are_those_of_all_levels(formula, lost, REML):
    fit = lmer(formula, curves(1, lost=lost), REML=REML)
    blocks = fit.model.objective.blocks
    few = merged_levels(blocks.inner)
    assert few is not None
    assert len(few[0]) <= len(blocks.inner.R) / 4
    assert few[2].sum() == len(blocks.inner.R)
    merged, plain = Objective(blocks, REML), Objective(blocks, REML, merging=False)
    rng = np.random.default_rng(2)
    at = fit.model.optsum.final
    for theta in (at, 1.3 * at, at + 0.05 * rng.normal(size=at.size)):
        (value, gradient, hessian), (other, slope, curvature) = (
            one.value_gradient_hessian(theta) for one in (merged, plain)
        )
        assert value == pytest.approx(other, rel=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(hessian, curvature, rtol=1e-9, atol=1e-7)
        assert merged(theta) == pytest.approx(plain(theta), rel=1e-12)


def test_levels_that_differ_are_not_merged():
    for frame in (curves(3, own_times=True), curves(3, persons=20)):
        fit = lmer("y ~ t + (t | i)", frame)
        assert merged_levels(fit.model.objective.blocks.inner) is None
    scalar = lmer("y ~ t + (1 | i)", curves(3))  # in closed form
    assert merged_levels(scalar.model.objective.blocks.inner) is None


@pytest.mark.parametrize("REML", [False, True])
def test_what_a_fit_gives_is_of_every_level(REML):
    frame = curves(4, lost=0.2)
    fit = lmer("y ~ t + (t | i)", frame, REML=REML)
    # one weight in a thousand differs, so that no two persons are alike, and the numbers are nearly the same
    apart = 1.0 + 1e-9 * np.random.default_rng(5).normal(size=len(frame))
    other = lmer("y ~ t + (t | i)", frame.assign(w=apart), weights="w", REML=REML)
    assert merged_levels(other.model.objective.blocks.inner) is None
    np.testing.assert_allclose(fit.getME("theta"), other.getME("theta"), rtol=1e-6)
    np.testing.assert_allclose(fit.ranef()["i"], other.ranef()["i"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fit.vcov(), other.vcov(), rtol=1e-6)
    y = frame["y"].to_numpy()[::-1].copy()
    assert fit.refit(y).logLik() == pytest.approx(lmer("y ~ t + (t | i)", frame.assign(y=y), REML=REML).logLik())
