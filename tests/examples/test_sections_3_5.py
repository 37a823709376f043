"""The tutorial's posteriors: its steps are R's, and every number it prints is right to its Monte Carlo error."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from examples.tutorial import sections_1_2 as tutorial
from examples.tutorial import sections_3_5 as tutorial_bayes


@pytest.fixture(scope="module")
def gcse():
    return tutorial.prepare(tutorial.load_gcsemv("recorded"))[1]


@pytest.fixture(scope="module")
def fits(gcse):
    return tutorial_bayes.fit_models(gcse, iter=6000)


@pytest.fixture(scope="module")
def judged(fits):
    return tutorial_bayes.compare_printed(fits)


def test_every_printed_number_agrees(judged):
    assert len(judged) == 82
    assert not judged.isna().any().any()
    assert judged["agrees"].all(), judged[~judged["agrees"]].to_string()
    # most of the tolerance is Monte Carlo error, and none of it is generous: 5% of the posterior's sd or so
    intercept = judged[(judged["parameter"] == "(Intercept)") & (judged["statistic"] == "mean")]
    assert intercept["tolerance"].max() < 0.2


@pytest.mark.parametrize(
    ("model", "parameter", "statistic", "wrong"),
    [
        ("M1", "(Intercept)", "mean", "74.0"),
        ("M1", "sigma", "sd", "0.28"),
        ("M1", "alpha[22520]", "97.5%", "61.1"),
        ("M1", "alpha[60501] - alpha[68271]", "mean", "-5.13"),
        ("M1", "alpha[60501] - alpha[68271]", "P(> 0)", "0.840"),
        ("M1", "(Intercept)", "mcse", "0.05"),
        ("M1", "sigma", "mcse", "0.02"),
        ("M1", "(Intercept)", "Rhat", "1.03"),
        ("M2", "femaleF", "Median", "6.9"),
        ("M3", "school (Intercept), femaleF", "Corr", "-0.52"),
    ],
)
def test_a_wrong_number_is_caught(fits, model, parameter, statistic, wrong):
    printed = tutorial_bayes.printed_numbers()
    where = (printed["model"] == model) & (printed["parameter"] == parameter) & (printed["statistic"] == statistic)
    changed = printed[where].assign(printed=wrong)
    assert len(changed)
    judged = tutorial_bayes.compare_printed(fits, changed)
    assert not judged["agrees"].any()


def test_another_prior_is_caught(gcse):
    from pyimpl.models.stan_lmer import normal, stan_lmer

    fit = stan_lmer(tutorial.FORMULAS["M1"], gcse, prior_intercept=normal(0, 1), seed=1, iter=2000)
    judged = tutorial_bayes.compare_printed({"M1": fit})
    assert not judged[judged["parameter"] == "(Intercept)"]["agrees"].all()


@pytest.mark.r
def test_steps_are_those_of_r(fits, tmp_path):
    """The tutorial's R code of section 3.4, on the same draws."""
    draws = tutorial_bayes.alpha(fits["M1"])
    draws.to_numpy().tofile(tmp_path / "alpha")
    code = f"""
    a_sims <- t(matrix(readBin("{tmp_path}/alpha", "double", {draws.size}), {draws.shape[1]}))
    describe <- function(x) cbind(apply(x, 2, mean), apply(x, 2, sd), t(apply(x, 2, quantile, c(0.025, 0.5, 0.975))))
    difference <- a_sims[, 21] - a_sims[, 51]
    out <- rbind(cbind(describe(a_sims), NA), c(describe(as.matrix(difference)), mean(difference > 0)))
    writeBin(as.double(out), "{tmp_path}/out")
    """
    subprocess.run(["Rscript", "--vanilla", "-e", code], check=True)
    theirs = np.fromfile(tmp_path / "out").reshape(6, -1).T
    schools = list(draws.columns)
    assert len(schools) == 73
    np.testing.assert_allclose(tutorial_bayes.alpha_table(draws), theirs[:-1, :5], rtol=1e-12)
    one = tutorial_bayes.difference(draws, schools[20], schools[50])
    assert one.name == "60501 - 68271"
    np.testing.assert_allclose(tutorial_bayes.difference_table(one).to_numpy()[0], theirs[-1], rtol=1e-12)


@pytest.mark.r
@pytest.mark.slow
def test_live_rstanarm_gives_the_printed_numbers_too(gcse):
    live = tutorial_bayes.fit_models(gcse, "rstanarm", models=["M1"], chains=2)
    judged = tutorial_bayes.compare_printed(live)
    assert len(judged) == 62
    assert judged["agrees"].all(), judged[~judged["agrees"]].to_string()


def test_monte_carlo_error_is_that_of_theory():
    draws = np.random.default_rng(1).normal(size=(40_000, 1))
    found = {name: tutorial_bayes.monte_carlo_sd(tutorial_bayes.STATISTICS[name], draws) for name in ("mean", "sd")}
    assert found["mean"] == pytest.approx(1, rel=0.25)
    assert found["sd"] == pytest.approx(np.sqrt(0.5), rel=0.25)
    with pytest.raises(ValueError, match="too few"):
        tutorial_bayes.monte_carlo_sd(tutorial_bayes.STATISTICS["mean"], draws[:500])


def test_what_is_not_there_is_named(fits, gcse):
    with pytest.raises(KeyError, match="no varying intercept for 'student'"):
        tutorial_bayes.alpha(fits["M1"], "student")
    with pytest.raises(KeyError, match="no level '1'"):
        tutorial_bayes.difference(tutorial_bayes.alpha(fits["M1"]), "1", "60501")
    with pytest.raises(ValueError, match="engine"):
        tutorial_bayes.fit_models(gcse, engine="stan")


def test_pictures_show_every_school_by_rank_and_the_difference(fits):
    draws = tutorial_bayes.alpha(fits["M1"])
    caterpillar = tutorial_bayes.plot_caterpillar(tutorial_bayes.alpha_table(draws))
    shown = caterpillar.data
    assert len(shown) == 73
    assert shown["mean"].is_monotonic_increasing
    assert ((shown["low"] < shown["mean"]) & (shown["mean"] < shown["high"])).all()
    figure = caterpillar.draw()
    assert 73 in [len(collection.get_paths()) for collection in figure.axes[0].collections]
    picture = tutorial_bayes.plot_difference(tutorial_bayes.difference(draws, "60501", "68271"))
    assert len(picture.data) == len(draws)
    picture.draw()


def test_import_is_light():
    heavy = "[m for m in ('rpy2', 'pymc', 'plotnine') if m in sys.modules]"
    code = f"import sys, examples.tutorial.sections_3_5; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_table_is_in_the_order_of_the_levels(fits, gcse):
    table = tutorial_bayes.alpha_table(tutorial_bayes.alpha(fits["M1"]), probs=(0.1,))
    assert table.index.tolist() == [str(level) for level in gcse["school"].cat.categories]
    assert table.columns.tolist() == ["mean", "sd", "10%"]
    assert isinstance(table, pd.DataFrame)
