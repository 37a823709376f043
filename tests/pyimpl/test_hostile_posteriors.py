"""Data that break samplers: each a correct posterior (against quadrature or a rescaled twin) or a clear error."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pyimpl.errors import DataError, ModelError, RankDeficientWarning
from pyimpl.models.stan_lmer import StanLmerFit, exponential, normal, stan_lmer, student_t
from pyimpl.posterior.conflict import stands_at
from pyimpl.posterior.gradient import log_density_gradient
from pyimpl.posterior.quadrature import integrate
from pyimpl.posterior.sampler import find_mode


def data(groups: int = 8, rows: int = 12, seed: int = 1, sd: float = 1.0, residual: float = 1.0) -> pd.DataFrame:
    """``rows`` rows in each group."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), rows)
    x = rng.standard_normal(codes.size)
    effects = sd * rng.standard_normal(groups)
    y = 2 + 0.5 * x + effects[codes] + residual * rng.standard_normal(codes.size)
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(codes.astype(str))})


def agrees_with_quadrature(fit: StanLmerFit) -> None:
    """Shares of the draws below quadrature's quantiles, and means in units of their Monte Carlo error."""
    truth = integrate(fit._density, quantiles=True).table
    draws = fit.as_matrix(pars=list(truth.index))
    z = []
    for name, row in truth.iterrows():
        x = draws[name].to_numpy()
        n = 0.7 * x.size  # the draws are nearly independent: the fits here have ESS above that
        for prob, column in ((0.025, "2.5%"), (0.5, "50%"), (0.975, "97.5%")):
            if np.isfinite(row[column]):
                z.append((np.mean(x <= row[column]) - prob) / np.sqrt(prob * (1 - prob) / n))
    limit = stats.norm.ppf(1 - 0.001 / (2 * len(z)))
    assert np.abs(z).max() < limit, z


def fitted(frame: pd.DataFrame, formula: str = "y ~ x + (1 | g)", **options: Any) -> StanLmerFit:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a good posterior comes without a warning
        warnings.filterwarnings("ignore", ".* may take about .* minutes")  # on a busy machine it may
        return stan_lmer(formula, frame, seed=1, **options)


def without_last_rows() -> pd.DataFrame:
    return data().iloc[:-11]  # one row is left of the last group


def one_row_each() -> pd.DataFrame:
    return data(20, 1, 2)


def same_factor_twice() -> pd.DataFrame:
    frame = data()
    frame["h"] = frame["g"]
    return frame


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (without_last_rows(), {}),
        (one_row_each(), {}),
        (data(2, 30), {}),
        (data(3, 2), {}),
        (data(10, 10, 5, sd=0.0), {}),
        (data(8, 12, 1, residual=1e-6), {}),
        (data(), {"prior": normal(50, 0.5), "prior_intercept": normal(-100, 0.1)}),
    ],
    ids=["a group of one row", "one row each", "two groups", "six rows", "no variance", "no residual", "conflict"],
)
def test_posterior_is_right(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    agrees_with_quadrature(fitted(frame, **options))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frame", "formula", "options"),
    [
        (data(2, 10), "y ~ x + (x | g)", {}),
        (data(3, 10), "y ~ x + (x | g)", {}),
        (data(10, 10, 5, sd=0.0), "y ~ x + (x | g)", {}),
        (same_factor_twice(), "y ~ x + (1 | g) + (1 | h)", {}),
        (data(), "y ~ x + (1 | g)", {"prior_intercept": student_t(1, -30, 0.5)}),
    ],
    ids=["two groups", "three groups", "no variance", "the same factor twice", "t prior in conflict"],
)
def test_harder_posterior_is_right(frame: pd.DataFrame, formula: str, options: dict[str, Any]) -> None:
    agrees_with_quadrature(fitted(frame, formula, **options))


def test_the_comparison_sees_a_wrong_posterior() -> None:
    fit = fitted(data())
    other = fitted(data(residual=1.1))
    fit.draws = other.draws
    with pytest.raises(AssertionError):
        agrees_with_quadrature(fit)


@pytest.mark.parametrize("scale", [1e8, 1e-8])
def test_a_rescaled_response_has_the_rescaled_posterior(scale: float) -> None:
    frame = data()
    one = fitted(frame).as_matrix()
    other = fitted(frame.assign(y=scale * frame["y"])).as_matrix()
    powers = np.array([2 if name.startswith("Sigma") else 1 for name in one])
    # the same draws, to rounding
    assert np.allclose(other.to_numpy() / scale**powers, one.to_numpy(), rtol=1e-6, atol=1e-6)


def test_a_shifted_response_has_the_shifted_posterior() -> None:
    frame = data()
    one = fitted(frame).as_matrix()
    other = fitted(frame.assign(y=frame["y"] + 1e9)).as_matrix()
    other["(Intercept)"] -= 1e9
    assert np.allclose(other, one, atol=2e-6)  # 1e9 + y keeps y to 1e-7


def test_a_collinear_column_is_left_out_with_a_warning() -> None:
    frame = data(50, 200, 3)
    frame["x2"] = 2 * frame["x"] - 1
    with pytest.warns(RankDeficientWarning, match="dropping 1 column"):
        fit = stan_lmer("y ~ x + x2 + (1 | g)", frame, seed=1)
    assert np.array_equal(fit.as_matrix(), fitted(frame).as_matrix())


def test_a_constant_response_is_refused() -> None:
    with pytest.raises(ValueError, match="constant"):
        stan_lmer("y ~ x + (1 | g)", data().assign(y=3.0), seed=1)


def test_a_response_that_predictors_reproduce_is_refused() -> None:
    frame = data()
    with pytest.raises(DataError, match="reproduce the response 'y' exactly"):
        stan_lmer("y ~ x + (1 | g)", frame.assign(y=2 + 3 * frame["x"]), seed=1)
    fitted(frame.assign(y=2 + 3 * frame["x"] + 1e-9 * frame["y"]), "y ~ x + (1 | g)")


@pytest.mark.parametrize(("column", "scale"), [("y", 1e150), ("y", 1e-150), ("x", 1e150), ("x", 1e-150)])
def test_squares_beyond_double_precision_are_refused_by_name(column: str, scale: float) -> None:
    frame = data()
    with pytest.raises(DataError, match=f"{column} has values of the order .* Rescale"):
        stan_lmer("y ~ x + (1 | g)", frame.assign(**{column: scale * frame[column]}), seed=1)


@pytest.mark.parametrize("scale", [1e8, 1e-8])
def test_a_rescaled_predictor_has_the_rescaled_slope(scale: float) -> None:
    frame = data()
    one, other = fitted(frame).as_matrix(), fitted(frame.assign(x=scale * frame["x"])).as_matrix()
    other["x"] *= scale
    assert np.allclose(other, one, rtol=1e-6, atol=1e-6)


def test_rows_of_weight_nothing_count_for_nothing() -> None:
    """Their response and predictor do not matter; its mean and sd do, in the autoscaled priors: so these are given."""
    frame = data()
    frame["w"] = np.where(frame["g"] == "3", 0.0, 1.5)
    priors = {"prior": normal(0, 2), "prior_intercept": normal(0, 5), "prior_aux": exponential(1), "weights": "w"}
    moved = frame.assign(y=np.where(frame["w"] == 0, 50.0, frame["y"]))
    assert np.allclose(fitted(moved, **priors).as_matrix(), fitted(frame, **priors).as_matrix(), rtol=1e-6, atol=1e-6)


def test_without_weight_the_posterior_is_the_prior() -> None:
    frame = data().assign(w=0.0)
    draws = fitted(frame, prior=normal(3, 2), prior_aux=exponential(0.5), weights="w").as_matrix(["x", "sigma"])
    assert stats.kstest(draws["x"][::2], stats.norm(3, 2).cdf).pvalue > 1e-4
    assert stats.kstest(draws["sigma"][::2], stats.expon(scale=2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("weight", [1e12, 1e-12])
def test_huge_and_tiny_weights(weight: float) -> None:
    agrees_with_quadrature(fitted(data().assign(w=weight), weights="w"))


@pytest.mark.parametrize(("rows", "weight"), [(1, 1e12), (1, 1e15), (96, 1e15)])
def test_weights_beyond_floating_point_are_refused(rows: int, weight: float) -> None:
    """The log density is so large, or so small a difference of large sums, that it jumps next to its mode."""
    frame = data()
    frame["w"] = np.where(np.arange(len(frame)) < rows, weight, 1.0)
    with pytest.raises(ModelError, match=r"weights: they add up to .* cannot be told from its rounding"):
        stan_lmer("y ~ x + (1 | g)", frame, weights="w", seed=1)


def test_a_search_that_stopped_short_is_not_taken_for_the_mode() -> None:
    density = fitted(data())._density
    mode, covariance = find_mode(density, density.start())
    assert stands_at(log_density_gradient(density, mode[None])[1][0], covariance)
    beside = mode + np.sqrt(np.diag(covariance)) / 2  # half a standard deviation away: Newton's step adds 1/8 and more
    assert not stands_at(log_density_gradient(density, beside[None])[1][0], covariance)
    # BFGS by itself stops short where weights make coordinates narrow; the quadrature goes on from there
    narrow = fitted(data().assign(w=1e12), weights="w")._density
    mode, covariance = find_mode(narrow, narrow.start())
    assert not stands_at(log_density_gradient(narrow, mode[None])[1][0], covariance)


def test_an_offset_beyond_the_priors_is_named() -> None:
    with pytest.raises(ModelError, match=r"prior_intercept: .* standard deviations apart"):
        stan_lmer("y ~ x + (1 | g)", data().assign(o=1e12), offset="o", seed=1)


@pytest.mark.parametrize(("groups", "rows"), [(2, 1), (3, 1), (2, 2)])
def test_as_few_rows_as_there_can_be(groups: int, rows: int) -> None:
    agrees_with_quadrature(fitted(data(groups, rows)))


def test_one_group_is_refused() -> None:
    with pytest.raises(ModelError, match="must have > 1 sampled level"):
        stan_lmer("y ~ x + (1 | g)", data(1, 20), seed=1)


def test_groups_without_spread_inside() -> None:
    """The residual sum of squares is 0, yet the posterior is proper: tau's prior keeps sigma away from 0."""
    frame = data()
    agrees_with_quadrature(fitted(frame.assign(y=frame["g"].astype(float)), "y ~ 1 + (1 | g)"))


def test_an_effect_of_a_constant_predictor() -> None:
    agrees_with_quadrature(fitted(data(20, 12).assign(x=0.0), "y ~ 1 + (0 + x | g)"))


@pytest.mark.slow
def test_five_effects_in_a_term() -> None:
    rng = np.random.default_rng(9)
    frame, names = data(12, 30), [f"a{k}" for k in range(4)]
    for k, name in enumerate(names):
        frame[name] = rng.standard_normal(len(frame))
        frame["y"] += rng.standard_normal(12)[frame["g"].cat.codes] * frame[name] * 0.4 * k
    slopes = " + ".join(names)
    fit = fitted(frame, f"y ~ {slopes} + ({slopes} | g)")  # without a warning: no divergences
    assert fit.diagnostics["divergences"] == 0
    assert min(fit.diagnostics["min_ess_bulk"], fit.diagnostics["min_ess_tail"]) > 1500
