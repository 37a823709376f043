"""Data that break samplers: each a correct posterior (against quadrature or a rescaled twin) or a clear error."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pyimpl.errors import RankDeficientWarning
from pyimpl.posterior.quadrature import integrate
from pyimpl.stan_lmer import StanLmerFit, normal, stan_lmer, student_t


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
