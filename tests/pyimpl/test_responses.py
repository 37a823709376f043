"""Blocks with another response are those of a design that has it from the start."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import reduce_design
from pyimpl.likelihood.responses import Responses
from pyimpl.models.lmer import fit_design, lmer
from tests.pyimpl.test_deviance import CASES, make_design


@pytest.mark.parametrize("structure", ["best", "joint"])
@pytest.mark.parametrize("mean", [0.0, 1e6])
@pytest.mark.parametrize("case", CASES)
def test_the_same_blocks(case, mean, structure):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, n=40, **CASES[case])
    y = mean + rng.normal(size=40)
    fresh = reduce_design(replace(design, y=y), structure)
    blocks = Responses(design, reduce_design(design, structure)).blocks(y)
    scale = 1e-9 if mean and not design.P else 1e-12  # without an intercept the mean stays in the residual
    np.testing.assert_allclose(blocks.fixed.beta_ols, fresh.fixed.beta_ols, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(blocks.fixed.residual, fresh.fixed.residual, atol=1e-9)
    theta = np.where(fresh.lower == 0, 0.7, -0.2)
    for REML in (False, True):
        one, two = Objective(blocks, REML), Objective(fresh, REML)
        assert one(theta) == pytest.approx(two(theta), rel=max(scale, 1e-11))
        np.testing.assert_allclose(one.solve(theta).beta, two.solve(theta).beta, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore::pyimpl.errors.SingularFitWarning")
@pytest.mark.parametrize("case", ["slope, weights, offset", "crossed", "crossed slopes, weights"])
def test_a_refit_is_a_fit_and_so_is_a_refit_of_it(case):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, n=60, **CASES[case])
    fit = fit_design(design)
    for _ in range(2):
        y = rng.normal(size=60) + sum(rng.normal(size=t.J)[t.codes] for t in design.terms)
        fit = fit.refit(y)
        fresh = fit_design(replace(design, y=y))
        assert fit.logLik() == pytest.approx(fresh.logLik(), abs=1e-8)
        np.testing.assert_allclose(fit.fitted(), fresh.fitted(), atol=1e-5)
        np.testing.assert_array_equal(fit.getME("y"), y)


@pytest.mark.filterwarnings("ignore::pyimpl.errors.SingularFitWarning")
def test_a_refit_keeps_neither_the_caller_s_response_nor_the_old_frame():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.normal(size=40), "g": pd.Categorical((np.arange(40) % 5).astype(str))})
    fit = lmer("y ~ 1 + (1 | g)", data)
    assert (fit.design.frame["y"] == data["y"]).all()  # made, and kept by the design
    y = rng.normal(size=40) + np.arange(40) % 5
    again, kept = fit.refit(y), y.copy()
    y[:] = 0.0
    assert (again.getME("y") == kept).all()
    assert (again.design.frame["y"] == kept).all()


@pytest.mark.filterwarnings("ignore::pyimpl.errors.SingularFitWarning")
def test_the_frame_is_that_of_the_fit_whatever_becomes_of_the_data():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.normal(size=40), "g": pd.Categorical((np.arange(40) % 5).astype(str))})
    data.attrs["name"] = "school"
    fit, before = lmer("y ~ 1 + (1 | g)", data), data.copy()
    data.loc[3, "y"] = 99.0
    data.loc[4, "g"] = "0"
    pd.testing.assert_frame_equal(fit.design.frame, before, check_categorical=False)
