"""Where the criterion has several minima the fit ends in the lowest: against many restarts of all scales, and lme4."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import ConvergenceWarning, PyimplError, PyimplWarning
from pyimpl.likelihood.omitted import omitted_starts
from pyimpl.likelihood.optimum import optimize
from tests.pyimpl.minima_designs import left_out, lowest_of_restarts, unlike_sizes
from tests.pyimpl.random_fits import model

pytestmark = pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")


def common_slope(seed):
    """Slopes with a common mean, for a model that has no fixed effect of theirs; few rows a level."""
    rng = np.random.default_rng(seed)
    levels = 100
    g, t = np.arange(3 * levels) % levels, rng.integers(0, 5, 3 * levels).astype(float)
    s = 10.0 ** rng.uniform(-2.5, -1.5)
    slopes = 1.0 + 0.5 * s * rng.normal(size=levels)
    y = 10.0 + s * rng.normal(size=levels)[g] + slopes[g] * t + s * rng.normal(size=g.size)
    return pd.DataFrame({"y": y, "t": t, "g": pd.Categorical(g.astype(str))})


def noise(fit):
    """Spread of the criterion where θ differs by less than matters: rounding, of which each processor has its own."""
    theta, criterion = fit.getME("theta").to_numpy(), fit.model.objective
    return np.ptp([criterion(theta * (1 + step)) for step in np.linspace(-1e-7, 1e-7, 41)])


def above(fit, rng, count):
    """How much a fit is above the lowest of its restarts, less what rounding may explain."""
    lowest, _ = lowest_of_restarts(fit, rng, count)
    value = fit.model.optsum.final_objective
    return value - lowest - max(1e-5 * max(1.0, 1e-3 * abs(value)), 4 * noise(fit))


def effects(fit):
    return sum(fit.ngrps()[term.group] * term.p for term in fit.design.terms)


def drawn(make, seed):
    """A fit of a random design whose rows the effects cannot fit exactly; None where it is another one, or refused."""
    rng = np.random.default_rng([seed, 77])
    formula, data, REML, weights = make(rng)
    try:
        fit = lmer(formula, data, REML, weights=weights)
    except PyimplError:
        return None
    return fit if fit.nobs() > effects(fit) + len(fit.fixef()) else None


def test_crossed_terms_that_carry_a_mean_each(monkeypatch):
    """The criterion has minima for pairs of levels of two factors, which no sum over the levels of one shows."""
    for others, none in (("_SPREAD", 0), ("_LARGE", ())):  # which may find it by chance
        monkeypatch.setattr(f"pyimpl.likelihood.starts.{others}", none)
    fit = drawn(left_out, 14169)
    assert [term.effects[1] for term in fit.design.terms] == ["t", "u"]
    assert above(fit, np.random.default_rng(14169), 12) <= 0
    monkeypatch.setattr("pyimpl.likelihood.omitted._PAIRS", 0)
    assert drawn(left_out, 14169).model.optsum.final_objective > fit.model.optsum.final_objective + 0.1


@pytest.mark.parametrize("REML", [False, True])
def test_a_mean_slope_that_a_variance_carries(REML):
    rng = np.random.default_rng(1)
    missed = 0
    for seed in range(12):
        fit = lmer("y ~ 1 + (t | g)", common_slope(seed), REML)
        assert above(fit, rng, 12) <= 0, seed
        missed += optimize(fit.model.objective).final_objective > fit.model.optsum.final_objective + 1e-3
    assert missed > 3  # else there was nothing to miss


def test_a_ridge_whose_slope_is_lost_in_rounding_errors():
    """Standard deviations of thousands of σ: the search stuck .001 above what values a few percent away show."""
    fit = drawn(left_out, 11337)
    assert fit.getME("theta").max() > 1e4
    assert noise(fit) < 1e-4
    assert above(fit, np.random.default_rng(11337), 12) <= 0


@pytest.mark.parametrize("seed", [22479, 22535])
def test_variances_of_unlike_sizes_may_be_gone_or_exchanged(seed, monkeypatch):
    """Standard deviations of hundreds of σ: a variance is 0 in the lowest minimum, and large in another."""
    fit = drawn(unlike_sizes, seed)
    assert fit.isSingular()
    assert above(fit, np.random.default_rng(seed), 12) <= 0
    monkeypatch.setattr("pyimpl.likelihood.starts.boundary_starts", lambda *_: [])
    monkeypatch.setattr("pyimpl.likelihood.starts._SPREAD", 0)
    assert drawn(unlike_sizes, seed).model.optsum.final_objective > fit.model.optsum.final_objective + 1.0


def test_of_two_variances_one_may_be_gone():
    """A coarse grid sees one minimum of two, which are .2 apart."""
    fit = drawn(unlike_sizes, 34287)
    assert fit.isSingular()
    assert above(fit, np.random.default_rng(34287), 12) <= 0


@pytest.mark.filterwarnings("ignore")
def test_a_hessian_without_a_factor_is_said_as_r_does():
    formula, data, options = model(801326)[1]  # its smallest eigenvalue is above 0 by rounding
    assert "unable to evaluate scaled gradient" in str(lmer(formula, data, **options).optinfo)


def test_a_refit_finds_the_minimum_of_a_fit():
    rng = np.random.default_rng(2)
    data = common_slope(3)
    fit = lmer("y ~ 1 + (t | g)", data, REML=False)
    for slope in (-2.0, 0.0, 3.0):
        y = data["y"].to_numpy() + slope * data["t"].to_numpy() + 0.01 * rng.normal(size=len(data))
        again = lmer("y ~ 1 + (t | g)", data.assign(y=y), REML=False)
        assert fit.refit(y).deviance() == pytest.approx(again.deviance(), abs=1e-7)
    assert fit.refitML() is fit
    reml = lmer("y ~ 1 + (t | g)", data)
    assert reml.refitML().deviance() == pytest.approx(fit.deviance(), abs=1e-7)


def test_a_valley_of_means_that_divides():
    """One minimum over the means that a variance may carry, and two over all of theta, .02 apart."""
    _, (formula, data, options) = model(702883)
    assert formula == "y ~ 1 + (1 | h) + (1 | f) + (t | k)"
    assert above(lmer(formula, data, **options), np.random.default_rng(1), 30) <= 0


def test_no_other_starts_where_the_fixed_effects_take_up_the_means():
    data = common_slope(5).assign(u=np.linspace(-1, 1, 300), k=np.arange(300) % 20)
    for formula in ("y ~ t + (t | g)", "y ~ u + (1 | g)", "y ~ t * u + (t * u | k)", "y ~ poly(t, 2) + (1 + t || g)"):
        fit = lmer(formula, data)
        assert not omitted_starts(fit.design, fit.model.objective, lambda wider: optimize(wider).final, True), formula
    fit = lmer("y ~ 1 + (t | g)", data)
    assert omitted_starts(fit.design, fit.model.objective, lambda wider: optimize(wider).final, True)


@pytest.mark.parametrize("seed", range(20))
def test_random_designs_without_the_fixed_effects_of_their_slopes(seed):
    fit = drawn(left_out, seed)
    if fit is not None:
        assert above(fit, np.random.default_rng(seed), 12) <= 0, fit.formula


def test_most_random_designs_can_be_fitted():
    assert sum(drawn(left_out, seed) is not None for seed in range(20)) >= 10


def test_two_terms_that_may_both_carry_the_mean():
    rng = np.random.default_rng(4)
    data = common_slope(7)
    data["h"] = pd.Categorical((np.arange(len(data)) * 7 // 3 % 8).astype(str))
    data["y"] += 0.02 * rng.normal(size=8)[data["h"].cat.codes]
    for formula in ("y ~ 0 + (t | g) + (1 | h)", "y ~ 1 + (t | g) + (t | h)", "y ~ 1 + (t || g) + (0 + t | h)"):
        assert above(lmer(formula, data, REML=False), rng, 40) <= 0, formula


def test_variances_that_carry_means_and_are_all_large():
    """Standard deviations of hundreds of σ, which the search for the means misses: lme4 ends at 881.65, 27 lower."""
    _, (formula, data, options) = model(701399)
    assert lmer(formula, data, **options).REMLcrit() < 881.65453


def test_a_response_that_a_slope_fits_exactly_is_no_foreign_error():
    """The criterion has no minimum, and no derivatives where the search ends: said in our words."""
    with pytest.warns(PyimplWarning):
        lmer("scale(t) ~ 1 + (t | g)", common_slope(1))


@pytest.mark.filterwarnings("ignore:Some predictor variables")
@pytest.mark.parametrize("scale", [1e6, 1e9])
def test_large_units_of_a_predictor_make_no_boundary(scale):
    data = common_slope(4).assign(y=lambda d: d["y"] + np.random.default_rng(1).normal(size=len(d)))
    effects = np.random.default_rng(2).normal(size=(2, 100))[:, data["g"].cat.codes]
    data["y"] += 2 * effects[0] + effects[1] * data["t"]
    plain = lmer("y ~ t + (t | g)", data)
    with pytest.warns(ConvergenceWarning, match=r"for the predictors' units alone.*Rescale"):
        scaled = lmer("y ~ t + (t | g)", data.assign(t=data["t"] * scale))
    assert not plain.isSingular()
    assert scaled.isSingular()  # R's rule: an element of theta below 1e-4
    np.testing.assert_allclose(scaled.getME("theta") * [1, scale, scale], plain.getME("theta"), rtol=1e-5)
    assert scaled.REMLcrit() == pytest.approx(plain.REMLcrit() + 2 * np.log(scale), abs=1e-6)


def few_levels(seed):
    """One level with most rows, the others with two, and an outlier: the criterion has two minima."""
    rng = np.random.default_rng(seed)
    g = np.r_[np.zeros(120, int), np.repeat(np.arange(1, 8), 2)]
    x = rng.exponential(size=g.size) ** 2
    y = rng.normal(size=g.size) + 30 * rng.normal(size=8)[g] + 10 * rng.normal(size=8)[g] * x
    y[rng.integers(g.size)] += 300
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g.astype(str))})


def test_few_levels_of_a_covariance_matrix(monkeypatch):
    missed = 0
    for seed in (*range(10), 55, 278):
        fit = lmer("y ~ x + (x | g)", few_levels(seed))
        assert above(fit, np.random.default_rng(seed), 12) <= 0, seed
        with monkeypatch.context() as patch:
            patch.setattr("pyimpl.likelihood.starts._SPREAD", 0)
            value = lmer("y ~ x + (x | g)", few_levels(seed)).model.optsum.final_objective
            missed += value > fit.model.optsum.final_objective + 1e-3
    assert missed > 0  # else there was nothing to miss


@pytest.mark.parametrize("seed", [1, 8, 19])
def test_a_criterion_that_falls_until_no_digit_is_left_is_fitted_and_said_so(seed):
    """R's optimizer stops on the way, somewhere; so does ours, where the model can still be solved."""
    rng = np.random.default_rng(seed)
    n = 15
    data = pd.DataFrame({"x": rng.exponential(size=n) ** 2, "f": rng.choice(list("abc"), n)})
    data["g"], data["h"] = rng.integers(0, 5, n), rng.integers(0, 3, n)
    slopes = rng.normal(size=5)[data["g"]] + rng.normal(size=5)[data["g"]] * 1e3 * data["x"]
    data["y"] = 1e6 * slopes + 1e-3 * rng.normal(size=n)
    with pytest.warns(PyimplWarning, match="no lowest value that can be computed"):
        fit = lmer("y ~ f + (x || g) + (1 | g:h)", data, REML=False)
    residual = data["y"] - fit.fitted()
    penalised = float(residual @ residual) + sum(float((u**2).sum()) for u in fit.model.estimates.u)
    assert penalised <= 1.01 * fit.model.prss + 1e-10 * float(data["y"] @ data["y"])


@pytest.mark.parametrize("seed", [50750, 50858, 51405])
def test_a_first_step_that_goes_too_far_is_no_refusal(seed):
    """The shortest search ends where no digit is left; lme4 stops somewhere before, and so do we, saying so."""
    _, (formula, data, options) = model(seed)
    with pytest.warns(PyimplWarning, match="no lowest value that can be computed"):
        fit = lmer(formula, data, **options)
    assert fit.model.prss == pytest.approx(fit.model.estimates.prss, rel=1e-6)
    left = fit.design.y - fit.fitted().to_numpy()
    penalised = float(left @ left) + sum(float((u**2).sum()) for u in fit.model.estimates.u)
    assert penalised <= 1.01 * fit.model.prss + 1e-10 * float(fit.design.y @ fit.design.y)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_designs_none_above_their_restarts():
    wrong, compared, seed = [], 0, 1000
    while compared < 10_000:
        seed += 1
        fit = drawn(left_out, seed)
        if fit is None:
            continue
        compared += 1
        if above(fit, np.random.default_rng(seed), 12) > 0:
            wrong.append((seed, fit.formula))
    assert not wrong


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make", [left_out, unlike_sizes])
def test_none_above_live_lme4(make):
    lme4 = pytest.importorskip("bridge.lme4")
    from bridge.errors import BridgeError

    wrong, compared = [], 0
    for seed in range(400):
        fit = drawn(make, seed)
        if fit is None:
            continue
        formula, data, REML, weights = make(np.random.default_rng([seed, 77]))
        try:
            theirs = lme4.lmer(formula, data, REML=REML, weights=weights)
        except BridgeError:
            continue
        compared += 1
        value, other = (-2.0 * float(one.logLik()) for one in (fit, theirs))
        # at standard deviations of 10⁵ σ lme4's sums lose digits that ours keep: then ours is lower at its θ, too
        criterion = fit.model.objective
        lower = criterion(theirs.getME("theta").to_numpy()) < criterion(fit.getME("theta").to_numpy()) - noise(fit)
        if value > other + 1e-5 * max(1.0, 1e-3 * abs(value)) and lower:
            wrong.append((seed, formula, value - other))
    assert compared > 100
    assert not wrong
