"""The optimizer: stationary to rounding, exactly on the boundary, never stuck, honest when it stops early."""

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import ConvergenceWarning
from pyimpl.likelihood.deviance import Objective
from pyimpl.likelihood.optimum import _drop_pivot, optimize
from pyimpl.likelihood.trust_region import trust_region_step
from pyimpl.lmer import LmerControl, lmer
from pyimpl.model.blocks import reduce_design
from pyimpl.model.design import Design, RandomTerm


def simulated(rng, J=12, n=8, sd=(1.0, 0.5), cor=0.3, extra=False, scale=1.0, x_scale=1.0):
    """A random-slope design; `sd` of intercept and slope, possibly 0."""
    N = J * n
    codes = np.repeat(np.arange(J), n)
    x = x_scale * rng.normal(size=N)
    cov = np.array([[sd[0] ** 2, cor * sd[0] * sd[1]], [cor * sd[0] * sd[1], sd[1] ** 2]])
    b = rng.multivariate_normal([0, 0], cov, J, method="eigh")
    y = scale * (1 + b[codes, 0] + b[codes, 1] * x / x_scale + rng.normal(size=N))
    terms = [RandomTerm("g", ("(Intercept)", "x"), tuple(map(str, range(J))), codes, np.column_stack([np.ones(N), x]))]
    if extra:
        other = rng.permutation(np.arange(N) % 5)
        y = y + scale * rng.normal(size=5)[other]
        terms.append(RandomTerm("h", ("(Intercept)",), tuple("abcde"), other, np.ones((N, 1))))
    X = np.column_stack([np.ones(N), x])
    return Design("y", "y", pd.RangeIndex(N), y, X, ("(Intercept)", "x"), tuple(terms), None, None, pd.DataFrame())


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_ends_at_a_minimum_that_nothing_beats(seed, extra):
    rng = np.random.default_rng(seed)
    sd = [(1.0, 0.5), (1.0, 0.0), (0.0, 0.0), (0.05, 1.0)][seed % 4]
    design = simulated(rng, sd=sd, cor=[0.3, 1.0, -1.0][seed % 3], extra=extra)
    blocks = reduce_design(design)
    objective = Objective(blocks, bool(seed % 2))
    best = optimize(objective)
    assert best.converged
    # the gradient is zero to rounding, also along the boundary
    assert np.abs(best.gradient).max() < 1e-7 * max(1.0, np.abs(best.hessian).max())
    assert best.smallest_eigenvalue > -1e-6 * np.abs(best.hessian).max()
    assert (best.final[blocks.lower == 0] >= 0).all()
    # no other start and no neighbour is lower
    for _ in range(4):
        start = rng.normal(size=blocks.n_theta)
        start[blocks.lower == 0] = np.abs(start[blocks.lower == 0]) + 0.05
        assert optimize(objective, [start]).final_objective > best.final_objective - 1e-8
    for size in (1e-1, 1e-2, 1e-3, 1e-4):
        for _ in range(20):
            near = best.final + size * rng.normal(size=blocks.n_theta)
            near[blocks.lower == 0] = np.maximum(near[blocks.lower == 0], 0)
            assert objective(near) > best.final_objective - 1e-9


def test_singular_fits_are_exactly_singular():
    exact = 0
    for seed in range(40):
        design = simulated(np.random.default_rng(seed), sd=(1.0, 0.0), cor=0.0)
        best = optimize(Objective(reduce_design(design), True))
        small = best.final[[0, 2]] < 1e-4
        assert (best.final[[0, 2]][small] == 0.0).all()
        exact += small.any()
    assert exact > 5  # the check above must have had something to check


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("x_scale", [1e-6, 1.0, 1e6])
def test_units_do_not_matter(scale, x_scale):
    reference = optimize(Objective(reduce_design(simulated(np.random.default_rng(5))), False))
    design = simulated(np.random.default_rng(5), scale=scale, x_scale=x_scale)
    best = optimize(Objective(reduce_design(design), False))
    assert best.final_objective - 2 * design.N * np.log(scale) == pytest.approx(reference.final_objective, abs=1e-8)
    units = np.array([1.0, 1 / x_scale, 1 / x_scale])
    np.testing.assert_allclose(best.final / units, reference.final, rtol=1e-6)


@pytest.mark.parametrize("ratio", [1e-3, 1e3, 1e5])
def test_variance_ratios_far_from_one(ratio):
    rng = np.random.default_rng(9)
    J, n = 200, 50
    codes = np.repeat(np.arange(J), n)
    y = ratio * rng.normal(size=J)[codes] + rng.normal(size=J * n)
    term = RandomTerm("g", ("(Intercept)",), tuple(map(str, range(J))), codes, np.ones((J * n, 1)))
    design = Design(
        "y", "y", pd.RangeIndex(J * n), y, np.ones((J * n, 1)), ("(Intercept)",), (term,), None, None, pd.DataFrame()
    )
    best = optimize(Objective(reduce_design(design), True))
    # balanced: REML is the analysis of variance, in closed form
    means = y.reshape(J, n).mean(axis=1)
    within = ((y.reshape(J, n) - means[:, None]) ** 2).sum() / (J * (n - 1))
    between = n * means.var(ddof=1)
    theta = np.sqrt(max(0.0, (between - within) / n / within))
    assert best.final[0] == pytest.approx(theta, rel=1e-9, abs=1e-12)


def test_a_saddle_at_zero_is_left():
    design = simulated(np.random.default_rng(0), sd=(1.0, 0.8), cor=0.0)
    objective = Objective(reduce_design(design), False)
    best = optimize(objective)
    from_zero = optimize(objective, [np.zeros(3)])
    assert from_zero.final_objective == pytest.approx(best.final_objective, abs=1e-9)


def test_rotating_a_pivot_away_keeps_the_covariance_of_the_rest():
    rng = np.random.default_rng(1)
    design = simulated(rng)
    factor = reduce_design(design).factors[0]
    theta = np.array([0.0, 0.7, 0.4])
    out = _drop_pivot(factor, theta, 0)
    T, S = factor.template(theta), factor.template(out)
    np.testing.assert_allclose(S @ S.T, T @ T.T, atol=1e-15)
    assert out[0] == out[1] == 0


def test_trust_region_step_is_the_constrained_minimum():
    rng = np.random.default_rng(2)
    for _ in range(200):
        n = int(rng.integers(1, 5))
        B = rng.normal(size=(n, n))
        B = B + B.T + rng.choice([-1, 0, 3]) * np.eye(n)
        g = rng.normal(size=n)
        radius = float(rng.uniform(0.1, 2))
        s = np.empty(n)
        trust_region_step(B, g, radius, s)
        assert np.linalg.norm(s) <= radius * (1 + 2e-3)
        model = g @ s + 0.5 * s @ B @ s
        points = rng.normal(size=(4000, n))
        points *= (radius * rng.uniform(0, 1, 4000) ** (1 / n) / np.linalg.norm(points, axis=1))[:, None]
        assert model <= (points @ g + 0.5 * np.einsum("ij,jk,ik->i", points, B, points)).min() + 2e-3 * abs(model)


def test_stopping_early_is_said(r_frames):
    data = r_frames["sleepstudy"]
    with pytest.warns(ConvergenceWarning, match="stopped after 5 evaluations"):
        fit = lmer("Reaction ~ Days + (Days | Subject)", data, control=LmerControl(max_evaluations=5))
    assert fit.optinfo["conv"] == 1
    assert not fit.optinfo["summary"].converged
    good = lmer("Reaction ~ Days + (Days | Subject)", data)
    summary = good.optinfo["summary"]
    assert summary.converged
    assert summary.initial_objective == pytest.approx(good.devfun([1, 0, 1]))
    assert summary.final_objective < summary.initial_objective
    objectives = [objective for _, objective, _ in summary.log]
    assert objectives == sorted(objectives, reverse=True)
