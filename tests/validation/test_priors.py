"""One prior for both sides, and what a comparison says of priors that differ."""

import warnings

import numpy as np
import pandas as pd
import pytest

import pyimpl
from bridge import priors as r_priors
from pyimpl.posterior.priors import default_prior_coef, default_prior_intercept
from validation import compare, compare_fits
from validation.judge.diagnosis.priors import has_scales, layout_of, read_prior_summary
from validation.priors import bridge_prior, for_r


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (pyimpl.normal([0, 1], 2, autoscale=True), r_priors.normal([0, 1], 2, True)),
        (pyimpl.student_t(4, scale=3), r_priors.student_t(4, 0, 3)),
        (pyimpl.cauchy(1), r_priors.student_t(1, 1)),
        (pyimpl.laplace(), r_priors.laplace()),
        (pyimpl.lasso(3, 1, 2), r_priors.lasso(3, 1, 2)),
        (pyimpl.hs(2, 3, 0.5, 6, 7), r_priors.hs(2, 3, 0.5, 6, 7)),
        (pyimpl.hs_plus(2, 8, 3, 0.5, 6, 7), r_priors.hs_plus(2, 8, 3, 0.5, 6, 7)),
        (pyimpl.product_normal(3, 1, 2), r_priors.product_normal(3, 1, 2)),
        (pyimpl.exponential(4, autoscale=True), r_priors.exponential(4, True)),
        (pyimpl.decov(2, 3, 4, 5), r_priors.decov(2, 3, 4, 5)),
        (pyimpl.lkj(2), r_priors.lkj(2)),
        (default_prior_coef(), r_priors.default_prior_coef()),
        (default_prior_intercept(), r_priors.default_prior_intercept()),
    ],
)
def test_pyimpls_prior_is_the_bridges(mine: object, theirs: r_priors.Prior) -> None:
    got = bridge_prior(mine)
    assert got.dist == theirs.dist
    assert set(got.args) == set(theirs.args)
    for name, value in theirs.args.items():
        assert np.array_equal(got.args[name], value), name


def test_what_is_no_prior_is_refused() -> None:
    with pytest.raises(TypeError, match=r"pyimpl\.normal"):
        bridge_prior(2.5)
    with pytest.raises(ValueError, match="bayes=True"):
        compare("y ~ x + (1 | g)", pd.DataFrame(), priors={"prior": pyimpl.hs()})


def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g = rng.integers(0, 12, 150)
    x = rng.normal(size=(150, 2))
    y = 3 + x @ [0.5, 0.0] + rng.normal(size=12)[g] + rng.normal(size=150)
    return pd.DataFrame({"y": y, "x1": x[:, 0], "x2": x[:, 1], "g": g.astype(str)})


FORMULA = "y ~ x1 + x2 + (1 | g)"


def test_prior_summaries_are_read() -> None:
    fit = pyimpl.stan_lmer(FORMULA, data(), prior=pyimpl.laplace(autoscale=True), QR=True, seed=1, iter=200)
    read = read_prior_summary(str(fit.prior_summary()))
    assert read["Coefficients (in Q-space)"].startswith("laplace(location = [0,0], scale = [3.")
    assert read["Covariance"] == "decov(reg. = 1, conc. = 1, shape = 1, scale = 1)"
    assert read["Auxiliary (sigma)"].startswith("exponential(rate = 0.")


@pytest.mark.parametrize(
    ("reference", "candidate", "name", "words"),
    [
        ({"prior": pyimpl.laplace()}, {"prior": pyimpl.normal(0, 2.5)}, "prior-printed", "laplace"),
        ({"prior": pyimpl.hs(df=3)}, {"prior": pyimpl.hs()}, "prior-printed", "hs\\(df = \\[3,3\\]\\)"),
        ({"QR": True}, {}, "prior-printed", "in Q-space"),
        # what prior_summary does not show, the densities do
        (
            {"prior": pyimpl.hs(global_scale=1)},
            {"prior": pyimpl.hs()},
            "prior-coefficients",
            "scales of the coefficients",
        ),
    ],
)
def test_other_priors_are_named_as_the_cause(reference: dict, candidate: dict, name: str, words: str) -> None:
    fits = [pyimpl.stan_lmer(FORMULA, data(), seed=k, iter=300, **o) for k, o in ((1, reference), (2, candidate))]
    comparison = compare_fits(*fits)
    assert not comparison.agrees
    first = comparison.causes[0]
    assert first.name == name, comparison.causes
    assert pd.Series([first.title + first.evidence]).str.contains(words).all()


def test_blocks_of_the_unconstrained_vector_include_the_scales() -> None:
    fit = pyimpl.stan_lmer(FORMULA, data(), prior=pyimpl.lasso(), seed=1, iter=200)
    names = list(fit.stanfit_matrix().columns)
    assert layout_of(names, fit.num_upars) is None
    assert has_scales(fit)
    parts = layout_of(names, fit.num_upars, scales=True).parts
    full = fit._full
    assert parts["coefficient-scales"].tolist() == list(range(full.scales.start, full.scales.stop))
    assert parts["sigma"].tolist() == [full.num_upars - 1]


@pytest.mark.r
def test_densities_are_live_rstanarms_whatever_the_prior() -> None:
    """A new design, not among the recorded ones, with every kind of scale."""
    from bridge import rstanarm

    for options in (
        {"prior": pyimpl.lasso(2, scale=0.7, autoscale=True)},
        {"prior": pyimpl.hs_plus(df1=[2, 1], global_scale=0.3), "QR": True},
        {"prior": pyimpl.product_normal([2, 3]), "prior_intercept": None},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a chain of 20 draws, for its density only
            theirs = rstanarm.stan_lmer(FORMULA, data(), seed=1, chains=1, iter=40, **for_r(options))
        mine = pyimpl.stan_lmer(FORMULA, data(), seed=1, iter=40, **options)
        assert mine.num_upars == theirs.num_upars
        points = np.concatenate([mine.unconstrained_draws(30, 2), theirs.unconstrained_draws(20, 3)])
        got, expected = mine.log_prob(points), theirs.log_prob(points)
        assert np.max(np.abs(got - expected) / np.maximum(1.0, np.abs(expected))) < 1e-8
        assert str(mine.prior_summary(model_name="fit")) == str(theirs.prior_summary(model_name="fit")).rstrip()


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize(
    "priors",
    [
        {"prior": pyimpl.laplace(scale=0.3)},
        {"prior": pyimpl.lasso()},
        {"prior": pyimpl.product_normal()},
        {"prior": pyimpl.hs(global_scale=0.5), "QR": True},
    ],
    ids=["laplace", "lasso", "product_normal", "hs-QR"],
)
def test_the_posterior_agrees_with_live_rstanarm(priors: dict) -> None:
    comparison = compare(FORMULA, data(), bayes=True, priors=priors, reference_options={"cores": 1})
    gates = {check.id: check for check in comparison.checks}
    assert gates["gate-1"].verdict == "agrees", gates["gate-1"].summary
    failed = [check.summary for check in comparison.checks if check.verdict.failed]
    assert not failed


@pytest.mark.r
@pytest.mark.slow
def test_live_hs_plus_is_told_to_be_improper() -> None:
    comparison = compare(
        FORMULA, data(), bayes=True, priors={"prior": pyimpl.hs_plus()}, reference_options={"cores": 1, "iter": 300}
    )
    gates = {check.id: check for check in comparison.checks}
    assert gates["gate-1"].verdict == "agrees", gates["gate-1"].summary
    assert "hs-plus-improper" in [cause.name for cause in comparison.causes]
