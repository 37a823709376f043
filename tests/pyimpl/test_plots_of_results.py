"""Plots of results show what the fits say: every line, dot, interval and arrow is checked against the numbers."""

import itertools
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from pyimpl import emmeans, lmer, predictions, stan_lmer
from pyimpl.errors import DataError
from pyimpl.inference.comparison_arrows import comparison_arrows
from pyimpl.plots import plot_coefficients, plot_emmeans

HOSTILE = ["$a$", "$\\frac{", "<script>", "x" * 300, "two\nlines", "\\"]


@cache
def data(hostile=False):
    rng = np.random.default_rng(11)
    J, n = 30, 8
    g, f = np.repeat(np.arange(J), n), rng.integers(0, 3, J * n)
    x, z = rng.normal(size=J * n), rng.gamma(2, size=J * n)
    y = x * (1 + rng.normal(0, 0.4, J)[g]) + f + 0.2 * z + rng.normal(size=J)[g] + rng.normal(size=J * n)
    names = HOSTILE[:3] if hostile else ["low", "mid", "high"]
    levels = [f"{HOSTILE[i % 6]}{i}" if hostile else f"g{i}" for i in range(J)]
    return pd.DataFrame(
        {"y": y, "x": x, "z": z, "f": pd.Categorical.from_codes(f, names), "g": pd.Categorical.from_codes(g, levels)}
    )


@cache
def fit(hostile=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer("y ~ x * f + z + (x | g)", data(hostile))


@cache
def posterior():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stan_lmer("y ~ x * f + z + (x | g)", data(), seed=2, iter=400, chains=2)


def written(figure):
    figure.savefig("/dev/null", format="png", dpi=30)
    return [ax for ax in figure.axes if ax.get_visible()]


def test_lines_and_bands_are_the_predictions():
    (ax,) = written(fit().plot_predictions(["x", "f"], at={"z": 1.0}, level=0.9))
    for line, level in zip(ax.get_lines(), ["low", "mid", "high"], strict=True):
        table = predictions(fit(), {"x": line.get_xdata(), "f": [level]}, {"z": 1.0}, level=0.9)
        np.testing.assert_allclose(line.get_ydata(), table["predicted"])
        band = ax.collections[1 + ["low", "mid", "high"].index(level)].get_paths()[0].vertices
        assert band[:, 1].min() == pytest.approx(table["conf.low"].min())
        assert band[:, 1].max() == pytest.approx(table["conf.high"].max())
    assert len(ax.collections[0].get_offsets()) == len(data())
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["low", "mid", "high"]


def test_panels_hold_the_rows_that_belong_to_them():
    axes = written(fit().plot_predictions(["x", "z", "f"]))
    assert [ax.get_title() for ax in axes] == ["f = low", "f = mid", "f = high"]
    counts = data()["f"].value_counts()
    assert [len(ax.collections[0].get_offsets()) for ax in axes] == [counts[one] for one in ("low", "mid", "high")]
    assert len({ax.get_ylim() for ax in axes}) == 1
    assert not written(fit().plot_predictions(["x"], data=False))[0].collections[1:]


def test_dots_of_a_factor_are_the_predictions():
    (ax,) = written(fit().plot_predictions("f"))
    table = predictions(fit(), "f")
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), table["predicted"])
    bars = next(c for c in ax.collections if isinstance(c, LineCollection)).get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], table[["conf.low", "conf.high"]])


def test_means_and_arrows_are_emmeans():
    means = emmeans(fit(), "~ f", ddf="satterthwaite")
    (ax,) = written(plot_emmeans(means, comparisons=True))
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), means.frame["emmean"])
    arrows = comparison_arrows(means)
    ends = [text.xy[0] for text in ax.texts]
    wanted = np.concatenate([arrows.left, arrows.right])
    assert sorted(ends) == pytest.approx(sorted(wanted[~np.isnan(wanted)]))
    differ = means.pairs().frame["p.value"] < 0.05
    middle = means.frame["emmean"].to_numpy()
    for (i, j), different in zip([(0, 1), (0, 2), (1, 2)], differ, strict=True):
        low, high = (i, j) if middle[i] < middle[j] else (j, i)
        assert (arrows.right[low] < arrows.left[high]) == different
    by = written(fit().plot_emmeans("~ f | x", at={"x": [-1, 1]}, ddf="asymptotic"))
    assert [ax.get_title() for ax in by] == ["x = -1", "x = 1"]


def test_trajectories_are_predictions_with_the_group_s_effects():
    axes = written(fit().plot_trajectories("x", levels=["g3", "g7"]))
    assert [ax.get_title() for ax in axes] == ["g3", "g7"]
    rows = data()[data()["g"] == "g7"]
    dots, fixed, own = axes[1].get_lines()
    np.testing.assert_allclose(dots.get_ydata(), rows["y"])
    modal = rows["f"].mode().iloc[0]
    for line, form in ((own, None), (fixed, "~0")):
        points = pd.DataFrame({"x": line.get_xdata(), "z": rows["z"].mean(), "f": modal, "g": "g7"})
        np.testing.assert_allclose(line.get_ydata(), fit().predict(points, re_form=form))
    assert own.get_xdata().min() == rows["x"].min()
    (ax,) = written(fit().plot_trajectories("x"))
    assert len(ax.get_lines()) == 30 * 2 + 2


def test_coefficients_of_several_models_stand_side_by_side():
    smaller = fit().update(". ~ x + f + (x | g)")
    (ax,) = written(plot_coefficients({"large": fit(), "small": smaller}, level=0.8, labels={"x": "slope"}))
    tables = [one.tidy(effects=["fixed"], conf_int=True, conf_level=0.8).set_index("term") for one in (fit(), smaller)]
    for line, table in zip(ax.get_lines()[1:], tables, strict=True):
        assert sorted(line.get_xdata()) == pytest.approx(sorted(table["estimate"].drop("(Intercept)")))
    assert "slope" in [tick.get_text() for tick in ax.get_yticklabels()]


def test_a_posterior_has_them_too():
    (ax,) = written(posterior().plot_predictions(["x", "f"]))
    assert len(ax.get_lines()) == 3
    assert len(written(posterior().plot_trajectories("x", levels=["g1"]))) == 1
    (ax,) = written(plot_coefficients([fit(), posterior()]))
    assert len(ax.get_lines()) == 3
    means = emmeans(posterior(), "~ f")
    np.testing.assert_allclose(written(plot_emmeans(means))[0].get_lines()[0].get_xdata(), means.frame["emmean"])
    with pytest.raises(DataError, match="a posterior has none"):
        plot_emmeans(means, comparisons=True)


LONG = [f"medication (high dose) with counselling {how} weekly" for how in ("once", "twice", "thrice")]


@cache
def long_names():
    rng = np.random.default_rng(5)
    n = 240
    month, f, g = rng.integers(0, 12, n), rng.integers(0, 3, n), np.repeat(np.arange(24), 10)
    months = [f"month {k}, from January on" if k < 8 else f"month {k}" for k in range(12)]
    frame = pd.DataFrame(
        {
            "f": pd.Categorical.from_codes(f, LONG),
            "month": pd.Categorical.from_codes(month, months),
            "x": rng.normal(size=n),
            "income": rng.gamma(2, 60_000, n),
            "g": pd.Categorical.from_codes(g, [f"School of St Bartholomew the Younger, number {i}" for i in range(24)]),
        }
    )
    frame["y"] = f + frame["x"] + rng.normal(size=24)[g] + rng.normal(size=n)
    return lmer("y ~ f + month + x + income + (1 | g)", frame)


def test_levels_that_begin_and_end_alike_are_told_apart():
    figure = long_names().plot_predictions(["month", "f"])
    names = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
    assert names == LONG
    ticks = long_names().plot_predictions("f").axes[0].get_xticklabels()
    assert len({text.get_text() for text in ticks}) == len(LONG)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.plot_predictions("month"),
        lambda m: m.plot_predictions(["month", "f"]),
        lambda m: m.plot_predictions(["x", "g"], re_form=None),
        lambda m: m.plot_predictions("income"),
        lambda m: m.plot_emmeans("~ f | month", ddf="asymptotic"),
        lambda m: plot_coefficients({"a model that has a long name, too": m, "b": m}),
    ],
)
def test_no_text_is_cut_off_or_lies_on_another(call):
    figure = call(long_names())
    figure.draw_without_rendering()
    whole = figure.bbox
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        shown = [text for text in axes.get_xticklabels() if text.get_text()]
        # of labels aslant the boxes overlap, not the letters: their beginnings are a line's height apart
        aslant = shown[0].get_rotation() != 0
        boxes = sorted((text.get_window_extent() for text in shown), key=lambda box: box.x1)
        apart = [b.x1 - a.x1 if aslant else b.x0 - a.x1 for a, b in itertools.pairwise(boxes)]
        assert min(apart) > (shown[0].get_fontsize() if aslant else 0)
    texts = [figure._supxlabel, *(text for legend in figure.legends for text in legend.get_texts())]
    for text in filter(None, texts):
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1, text.get_text()
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1, text.get_text()


def test_labels_cannot_break_a_picture():
    written(fit(True).plot_predictions(["x", "f"]))
    written(fit(True).plot_predictions(["f", "z"]))
    written(fit(True).plot_emmeans("~ f", ddf="asymptotic"))
    written(fit(True).plot_trajectories("x", kind="panels"))
    written(fit(True).plot_coefficients())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: m.plot_predictions(["x", "f", "z", "g"]), "one to three predictors"),
        (lambda m: m.plot_predictions("q"), "not a predictor"),
        (lambda m: m.plot_trajectories("f"), "no covariate"),
        (lambda m: m.plot_trajectories("x", group="h"), "no random effects for 'h'"),
        (lambda m: m.plot_trajectories("x", levels=["none"]), "no level of g"),
        (lambda m: m.plot_trajectories("x", kind="lines"), "'panels' or 'together'"),
        (lambda m: plot_coefficients([]), "no models"),
        (lambda m: m.plot_coefficients(["q"]), "no model has 'q'"),
        (lambda m: comparison_arrows(m.emmeans("~ f", ddf="asymptotic"), alpha=2), "alpha must be"),
    ],
)
def test_what_is_refused(call, told):
    with pytest.raises(DataError, match=told):
        call(fit())
