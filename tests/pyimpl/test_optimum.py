"""The optimizer: stationary to rounding, exactly on the boundary, never stuck, honest when it stops early."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.shapes import raters
from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import ConvergenceWarning, PyimplError, PyimplWarning
from pyimpl.likelihood import structure as structure_module
from pyimpl.likelihood.edges import drop_pivot
from pyimpl.likelihood.local_search import Point, better
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import optimize
from pyimpl.likelihood.reduce import reduce_design
from pyimpl.likelihood.starts import natural_units
from pyimpl.likelihood.trust_region import trust_region_step
from pyimpl.models.lmer import LmerControl, lmer


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
    out = drop_pivot(factor, theta, 0)
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
        s = trust_region_step(B, g, radius)
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


def few_rows(rng):
    """A random data set of 3 to 12 rows, with a model of one or two θ."""
    n = int(rng.integers(3, 13))
    y = rng.normal(size=n) * (1.0 if rng.random() < 0.7 else 10.0 ** rng.integers(-2, 3, n))
    x = [rng.normal(size=n), rng.choice([-1, 0, 1], n) + 0.02 * rng.normal(size=n), 10.0 ** rng.uniform(-3, 2, n)]
    g = rng.integers(0, rng.integers(2, 7), n)
    h = rng.integers(0, rng.integers(2, 5), n)
    y = y + g * rng.choice([0, 1, 100]) + h * rng.choice([0, 0, 10])
    formulas = ("y ~ x + (1 | g)", "y ~ 0 + x + (1 | g)", "y ~ x + (0 + x | g)", "y ~ x + (x || g)",
                "y ~ 1 + (1 | g) + (1 | h)")  # fmt: skip
    data = pd.DataFrame({"y": y, "x": x[rng.integers(3)], "g": g.astype(str), "h": h.astype(str)})
    return formulas[rng.integers(len(formulas))], data, bool(rng.integers(2))


def lowest_on_a_grid(objective):
    """Lowest value that searches from a fine grid's inner valleys find; +inf where there is none."""
    units = natural_units(objective.blocks)
    axis = 10.0 ** np.linspace(-3, 5, 200) if units.size == 1 else 10.0 ** np.linspace(-2, 3, 31)
    axis = np.concatenate([[0.0 if units.size == 1 else 1e-3], axis])
    points = np.stack(np.meshgrid(*[axis] * units.size, indexing="ij"), axis=-1).reshape(-1, units.size)
    values = np.array([objective(point * units) for point in points]).reshape((axis.size,) * units.size)
    low = np.isfinite(values)
    for k in range(units.size):
        along, lowest = np.moveaxis(values, k, 0), np.moveaxis(low, k, 0)
        lowest[1:] &= along[1:] <= along[:-1]
        lowest[:-1] &= along[:-1] <= along[1:]
        lowest[-1] = False
    places = sorted(np.flatnonzero(low), key=lambda place: values.flat[place])[:3]
    found = [optimize(objective, [points[place] * units]) for place in places]
    inside = [one.final_objective for one in found if (one.final / units).max() < 1e4]
    return min(inside, default=np.inf)


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_of_several_minima_the_lowest():
    rng = np.random.default_rng(20261123)
    missed_from_one, compared = 0, 0
    while compared < 80:
        formula, data, REML = few_rows(rng)
        try:
            fit = lmer(formula, data, REML)
        except PyimplError:
            continue
        objective, best = fit.model.objective, fit.model.optsum
        lowest = lowest_on_a_grid(objective)
        if not np.isfinite(lowest):
            continue  # it falls for ever: the random effects fit the rows exactly
        compared += 1
        assert best.final_objective < lowest + 1e-6 * max(1.0, abs(lowest)), (formula, REML, data.to_dict("list"))
        start = np.where(objective.blocks.lower == 0, 1.0, 0.0)
        missed_from_one += optimize(objective, [start]).final_objective > lowest + 1e-3
    assert missed_from_one  # else the check above had nothing to check


def test_a_far_minimum_that_lme4_finds():
    data = pd.DataFrame(
        {"y": [0.55, 0.22, -0.06, -2.32, 0.43, -2.13], "x": [1, 0.004, -1, -0.013, 1, 0.022], "g": list("fbadfa")}
    )
    fit = lmer("y ~ x + (1 | g)", data, REML=False)
    others = [fit.model.objective([theta]) for theta in 10.0 ** np.linspace(-3, 6, 1000)]
    assert fit.model.optsum.final_objective <= min(others)
    assert fit.model.optsum.final[0] > 10


def test_a_flat_criterion_keeps_lme4_s_start():
    # x is not 0 in one level only, so that its random slope there is its fixed effect
    data = pd.DataFrame({"y": [1.0, 0, 1, -1, 0, 1, -1, 0], "x": [0.0, 2, 0, 0, 1, 0, 2, 2], "g": list("abbbbbbb")})
    with pytest.warns(ConvergenceWarning, match="not uniquely determined"):
        fit = lmer("y ~ x + (0 + x | g)", data)
    assert fit.model.optsum.final[0] == pytest.approx(1.0)


@pytest.mark.parametrize("formula", ["y ~ x + (x || g)", "y ~ x + (x | g)", "y ~ 1 + (x || g)", "y ~ x + (1 | g)"])
@pytest.mark.parametrize("size", [1e-12, 1e8, 1e12])
@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_a_predictor_in_any_unit(formula, size):
    rng = np.random.default_rng(11)
    g, x = np.repeat(np.arange(8), 6), rng.normal(size=48)
    y = rng.normal(size=8)[g] + rng.normal(size=8)[g] * x + x + rng.normal(size=48)
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    plain, scaled = (lmer(formula, data.assign(x=x * unit), REML=False) for unit in (1.0, size))
    assert scaled.model.optsum.final_objective == pytest.approx(plain.model.optsum.final_objective, abs=1e-7)
    assert scaled.sigma() == pytest.approx(plain.sigma(), rel=1e-5)


def test_a_fit_of_minutes_is_announced_once(monkeypatch):
    rng = np.random.default_rng(12)
    g, h = rng.integers(0, 40, 300), rng.integers(0, 30, 300)
    data = pd.DataFrame({"y": rng.normal(size=300) + rng.normal(size=40)[g] + rng.normal(size=30)[h], "g": g, "h": h})
    data = data.astype({"g": "str", "h": "str"})
    lmer("y ~ 1 + (1 | g) + (1 | h)", data)  # quiet: it takes no minutes
    monkeypatch.setattr(structure_module, "_SPEED", 10.0)
    with pytest.warns(PyimplWarning, match="may take about .* minutes") as said:
        lmer("y ~ 1 + (1 | g) + (1 | h)", data)
    assert len(said) == 1


def test_a_minimum_among_rounding_errors_gives_way_to_one_that_is_certain():
    """Where a variance is not identified the criterion is flat, and at 1e7 natural units its rounding errors are 10."""

    def point(x, value):
        empty = np.empty(0)
        return Point(np.array(x), value, empty, empty, 0, np.empty((0, 3)), value, 1.0)

    lost, found = point([2.3, 2.7e7], 46.04), point([2.3, 2.4e3], 51.226)
    assert better(found, lost)
    assert not better(lost, found)
    lower = point([2.3, 1.0], 30.0)
    assert better(lower, found)
    assert not better(found, lower)
    assert not better(point([2.3, 1.0], 51.3), point([2.3, 1.5], 51.226))  # as certain, and higher


def test_a_search_that_ended_early_is_believed_without_differences_of_gradients():
    # the last step, of which no evaluation is made, begins where the gradient is above the limit of the check
    fit = lmer("y ~ x + (x | rater) + (1 | student) + (1 | task) + (1 | school)", raters(), REML=False)
    optimum = fit.model.optsum
    assert np.abs(optimum.gradient).max() > 1e-4
    assert fit.model.objective.gradients == optimum.gradients
    at_minimum = fit.model.objective.value_and_gradient(optimum.final)[1]
    assert np.abs(at_minimum).max() < 1e-5
