"""What the plots show is what the fits say; labels cannot break them; nothing stays with pyplot."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from pyimpl import plots
from pyimpl.errors import DataError
from pyimpl.models.lmer import lmer
from pyimpl.models.stan_lmer import stan_lmer
from pyimpl.plots.canvas import label
from pyimpl.plots.likelihood import no_pooling
from pyimpl.plots.smooth import lowess

HOSTILE = ["$a$", "$\\frac{", "_", "<script>alert(1)</script>", "x" * 500, "two\nlines", "a_b^c", "\\", "100%", "\\$"]


def data(levels, n=6, seed=1):
    rng = np.random.default_rng(seed)
    J = len(levels)
    g, x = np.repeat(np.arange(J), n), rng.normal(size=J * n)
    y = x + rng.normal(size=J)[g] + rng.normal(size=J)[g] * x + rng.normal(size=J * n)
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical.from_codes(g, levels)})


@pytest.fixture(scope="module")
def fit():
    return lmer("y ~ x + (x | g)", data([f"g{i}" for i in range(12)]))


@pytest.fixture(scope="module")
def bayes():
    return stan_lmer("y ~ x + (x | g)", data([f"g{i}" for i in range(12)]), seed=1, iter=600)


def lines(ax):
    """Ends of the intervals of a panel, shape (intervals, 2)."""
    collection = next(c for c in ax.collections if isinstance(c, LineCollection))
    return np.array([segment[:, 0] for segment in collection.get_segments()])


def dots(ax):
    return np.asarray(next(line for line in ax.lines if line.get_linestyle() == "None").get_xdata(), float)


def test_caterpillar_has_the_modes_and_their_intervals(fit):
    figure = fit.plot_ranef()
    modes, variances = fit.ranef()["g"], fit.ranef_condVar()["g"].to_numpy()
    order = np.argsort(modes["(Intercept)"].to_numpy())
    assert [ax.get_title() for ax in figure.axes] == ["(Intercept)", "x"]
    for k, ax in enumerate(figure.axes):
        middle = modes.iloc[order, k].to_numpy()
        np.testing.assert_allclose(dots(ax), middle)
        half = 1.959964 * np.sqrt(variances[order, k, k])
        np.testing.assert_allclose(lines(ax), np.column_stack([middle - half, middle + half]), rtol=1e-6)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list(modes.index[order])
    by_level = fit.plot_ranef(order="level", effects="x", level=0.5)
    np.testing.assert_allclose(dots(by_level.axes[0]), modes["x"][::-1])
    with pytest.raises(DataError, match="no effect 'z'; it has"):
        fit.plot_ranef(order="z")
    with pytest.raises(DataError, match="no random effects for 'h'"):
        fit.plot_ranef("h")
    with pytest.raises(DataError, match="level must be"):
        fit.plot_ranef(level=95)


def test_shrinkage_goes_from_each_level_alone_to_the_conditional_estimate(fit):
    figure = fit.plot_shrinkage()
    ax = figure.axes[0]
    start, end = (collection.get_offsets() for collection in ax.collections[1:3])
    frame = fit.design.frame
    alone = [np.polyfit(part["x"], part["y"], 1)[::-1] for _, part in frame.groupby("g", observed=True)]
    np.testing.assert_allclose(start, alone, rtol=1e-8)
    np.testing.assert_allclose(end, fit.coef()["g"][["(Intercept)", "x"]])
    one = fit.plot_shrinkage(effects="x").axes[0]
    np.testing.assert_allclose(one.collections[1].get_offsets()[:, 1], np.array(alone)[:, 1])
    with pytest.raises(DataError, match="one or two effects"):
        fit.plot_shrinkage(effects=["x", "z"])


def test_a_level_with_too_few_rows_has_no_estimate_of_its_own():
    frame = data(["a", "b", "c", "d"]).iloc[:-5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = lmer("y ~ x + (x | g)", frame)
    assert no_pooling(fit).isna().all(axis=1).tolist() == [False, False, False, True]
    assert "too few rows alone (1)" in fit.plot_shrinkage().axes[0].get_legend().get_texts()[2].get_text()


@pytest.mark.r
def test_lowess_and_levels_alone_are_those_of_r(rscript, tmp_path):
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=80), np.zeros(15), np.repeat([1.0, 2.0], 20)])
    y = np.sin(x) + rng.standard_t(2, x.size)
    frame = data(["a", "b", "c", "d"]).assign(w=np.tile([1.0, 2.0], 12), z=rng.normal(size=24))
    frame.to_csv(tmp_path / "d.csv", index=False)
    np.savetxt(tmp_path / "xy", np.column_stack([x, y]))
    script = f"""
    suppressMessages(library(lme4)); xy <- as.matrix(read.table("{tmp_path}/xy")); d <- read.csv("{tmp_path}/d.csv")
    curve <- function(...) lowess(xy, delta = 0, ...)$y
    alone <- as.matrix(coef(lmList(y ~ x | g, d, weights = w)))
    cat(jsonlite::toJSON(list(curve(), curve(f = 0.3, iter = 1), curve(iter = 0), unname(alone)), digits = NA))
    """
    default, narrow, plain, alone = json.loads(rscript(script))
    np.testing.assert_allclose(lowess(x, y)[:, 1], default, atol=1e-9)
    np.testing.assert_allclose(lowess(x, y, 0.3, 1)[:, 1], narrow, atol=1e-9)
    np.testing.assert_allclose(lowess(x, y, iterations=0)[:, 1], plain, atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = lmer("y ~ x + (x | g)", frame, weights="w")
    np.testing.assert_allclose(no_pooling(fit), alone, rtol=1e-8)


def test_lowess_of_many_points_is_interpolated():
    x = np.linspace(0, 6, 3000)
    y = np.sin(x) + np.random.default_rng(1).normal(size=3000)
    np.testing.assert_allclose(lowess(x, y, 0.2)[:, 1], lowess(x, y, 0.2, points=3000)[:, 1], atol=0.01)
    assert (lowess(np.ones(5), np.arange(5.0))[:, 1] == 2).all()


def test_residual_plots_have_every_row(fit):
    for figure, values in (
        (fit.plot(), fit.residuals("pearson")),
        (fit.plot("response", scaled=True), fit.residuals("response", scaled=True)),
        (fit.plot_scale_location(), np.sqrt(np.abs(fit.residuals("pearson", scaled=True)))),
    ):
        shown = figure.axes[0].collections[0].get_offsets()
        np.testing.assert_allclose(shown, np.column_stack([fit.fitted(), values]))
        assert figure.axes[0].get_xlabel() == "fitted y"
    with pytest.raises(DataError, match="type 'student'"):
        fit.plot("student")


def test_quantile_plot_is_against_normal_quantiles(fit):
    from scipy.special import ndtri

    figure = fit.plot_qq()
    assert [ax.get_title() for ax in figure.axes] == ["scaled residuals", "g: (Intercept)", "g: x"]
    n = fit.nobs()
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(line.get_xdata(), ndtri((np.arange(1, n + 1) - 0.5) / n))
    np.testing.assert_allclose(line.get_ydata(), np.sort(fit.residuals("pearson", scaled=True)))


def test_profile_plots_end_where_the_intervals_do(fit):
    profile = fit.profile("beta_")
    ends = fit.confint("beta_", level=0.95)
    figure = fit.plot_profile(profile=profile)
    for ax, (name, row) in zip(figure.axes, ends.iterrows(), strict=True):
        assert ax.get_title() == name
        marks = [c.get_segments()[0][0][0] for c in ax.collections if isinstance(c, LineCollection)]
        for end in row:
            assert np.abs(np.array(marks) - end).min() < 2e-3 * np.ptp(row)
    for ax in fit.plot_profile(profile=profile, kind="density").axes:
        x, height = ax.lines[0].get_data()
        assert np.trapezoid(height, x) == pytest.approx(0.998, abs=2e-3)
    assert fit.plot_profile(profile=profile, kind="abs").axes[0].get_ylabel() == "|ζ|"
    with pytest.raises(DataError, match="kind must be"):
        fit.plot_profile(profile=profile, kind="xy")
    with pytest.raises(DataError, match="a profile is needed"):
        plots.profile_zeta(fit.ranef()["g"])


@pytest.mark.parametrize("kind", ["intervals", *plots.PLOTS, "rhat", "ess", "mcmc_areas"])
def test_every_posterior_plot_is_drawn(bayes, kind):
    figure = bayes.plot(kind, pars=["x", "sigma"])
    figure.draw_without_rendering()
    assert all(ax.get_xlabel() or ax.get_title() or not ax.axison for ax in figure.axes)


def test_posterior_plots_show_the_draws(bayes):
    ax = bayes.plot("intervals", ["x", "sigma"], prob_outer=0.8).axes[0]
    np.testing.assert_allclose(lines(ax), bayes.posterior_interval(0.8, ["sigma", "x"]))
    table = bayes.summary().table
    rhat = bayes.plot("rhat").axes[0]
    shown = np.concatenate([c.get_offsets()[:, 0] for c in rhat.collections if not isinstance(c, LineCollection)])
    np.testing.assert_allclose(np.sort(shown), np.sort(table["Rhat"].dropna()))
    worst = plots.rhat_plot(pd.Series({"good": 1.0, "poor": 1.03, "bad": 1.2})).axes[0]
    assert [t.get_text().split("(")[1] for t in worst.get_legend().get_texts()] == ["1)", "1)", "1)"]
    few = plots.ess_plot(pd.Series({"good": 900.0, "poor": 300.0, "bad": 20.0}), 1000).axes[0]
    assert [t.get_text().split("(")[1] for t in few.get_legend().get_texts()] == ["1)", "1)", "1)"]
    ranked = bayes.plot_ranef(total=True, prob=0.5).axes[0]
    alpha = (
        bayes.as_matrix()["(Intercept)"].to_numpy()[:, None]
        + bayes.as_matrix(regex_pars=r"^b\[\(Intercept\)").to_numpy()
    )
    np.testing.assert_allclose(dots(ranked), np.sort(np.median(alpha, axis=0)))
    two = bayes.plot_difference("g3", "g7", effect="x")
    b = bayes.as_matrix(["b[x g:g3]", "b[x g:g7]"])
    share = (b.iloc[:, 0] > b.iloc[:, 1]).mean()
    assert two.axes[0].get_title() == f"g3 minus g7: P(g3 > g7) = {share:.3f}"
    for wrong, text in ((("g3", "zz"), "no level 'zz'"), (("g3", "g7", "h"), "no random effects for 'h'")):
        with pytest.raises(DataError, match=text):
            bayes.plot_difference(*wrong)
    with pytest.raises(DataError, match="no plotfun 'violin'"):
        bayes.plot("violin")
    with pytest.raises(DataError, match="too many panels"):
        bayes.plot("hist", regex_pars="^b")
    with pytest.raises(DataError, match="no effect 'z'"):
        bayes.plot_ranef(effect="z")


@pytest.mark.parametrize("kind", plots.PP_CHECKS)
def test_every_predictive_check_is_drawn(bayes, kind):
    figure = bayes.pp_check(kind, nreps=4, seed=1)
    figure.draw_without_rendering()
    assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes if ax.get_visible())


def test_predictive_checks_take_statistics(bayes):
    def spread(x):
        return np.ptp(x)

    ax = bayes.pp_check("stat", nreps=40, seed=1, stat=spread).axes[0]
    assert ax.get_xlabel() == "spread of y"
    assert ax.lines[0].get_xdata()[0] == np.ptp(bayes.design.y)
    assert bayes.pp_check("ppc_stat_2d", nreps=40, seed=1, stat=("min", "max")).axes[0].get_ylabel() == "max of y"
    with pytest.raises(DataError, match="stat must be a function or one of mean"):
        bayes.pp_check("stat", stat="kurtosis")
    with pytest.raises(DataError, match="no plotfun 'rootogram'"):
        bayes.pp_check("rootogram")


def test_hostile_labels_break_nothing(tmp_path):
    frame = data(HOSTILE, 3).rename(columns={"y": "y $x_1$", "x": "x $^{", "g": "g_<b>$"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = lmer("`y $x_1$` ~ `x $^{` + (1 | `g_<b>$`)", frame)
        bayes = stan_lmer("`y $x_1$` ~ `x $^{` + (1 | `g_<b>$`)", frame, seed=1, iter=200)
    figures = [fit.plot_ranef(), fit.plot_shrinkage(), fit.plot_qq(), bayes.plot("trace", ["sigma", "`x $^{`"])]
    figures += [bayes.plot(regex_pars="^b"), bayes.plot_difference(HOSTILE[0], HOSTILE[1]), bayes.pp_check(nreps=3)]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.svg")
    assert "<script>" not in (tmp_path / "0.svg").read_text()
    assert label("two\nlines $5") == r"two lines \$5"
    assert len(label("x" * 500)) == 38
    assert label("x" * 500 + "end").endswith("end")


def test_thousands_of_levels_are_drawn_without_names():
    frame = data([f"g{i}" for i in range(3000)], 3)
    fit = lmer("y ~ x + (1 | g)", frame)
    ax = fit.plot_ranef().axes[0]
    assert len(ax.get_yticks()) == 0
    assert ax.get_ylabel() == "3000 levels, by rank"
    assert fit.plot_ranef().get_size_inches()[1] < 8
    assert len(fit.plot_shrinkage().axes[0].collections[1].get_offsets()) == 3000


def test_nothing_is_loaded_before_it_is_used_and_nothing_stays():
    code = """
import sys
import numpy as np, pandas as pd
import pyimpl, pyimpl.plots
pyimpl.lmer, pyimpl.stan_lmer
heavy = [name for name in ("matplotlib", "arviz", "arviz_plots", "plotnine", "xarray", "pymc") if name in sys.modules]
assert heavy == [], heavy
d = pd.DataFrame({"y": np.sin(np.arange(40.0)), "g": list("abcd") * 10})
bayes = pyimpl.stan_lmer("y ~ 1 + (1 | g)", d, seed=1, iter=100)
bayes.plot("trace", ["sigma"]), bayes.plot()
from matplotlib import pyplot
assert pyplot.get_fignums() == []
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
