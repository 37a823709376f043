"""Standard errors and intervals of predictions against dense algebra, definitions and simulation."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import pyimpl
from pyimpl.errors import DataError
from pyimpl.inference import joint_covariance


@cache
def _data(seed=3, n=160):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 2, n),
            "a": rng.choice(["p", "q", "r"], n),
            "g": rng.choice([f"g{i}" for i in range(9)], n),
            "h": rng.integers(1, 6, n),
        }
    )
    slopes = dict(zip(sorted(set(frame["g"])), rng.normal(0, 0.6, (9, 2)), strict=True))
    part = np.array([slopes[g][0] + slopes[g][1] * x for g, x in zip(frame["g"], frame["x"], strict=True)])
    frame["y"] = 1 + frame["x"] + part + rng.normal(0, 0.7, 5)[frame["h"] - 1] + rng.normal(0, 0.8, n)
    return frame


@cache
def _fit(formula, weights=None, REML=True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyimpl.lmer(formula, _data(), REML=REML, weights=weights)


def _dense(fit):
    """σ² times the inverse of Henderson's matrix, by dense algebra."""
    Z, X, L = fit.getME("Z").toarray(), fit.getME("X").to_numpy(), fit.getME("Lambda").toarray()
    W = fit.weights().to_numpy()[:, None]
    q, P = Z.shape[1], X.shape[1]
    ZL = np.hstack([Z @ L, X])
    inverse = np.linalg.inv(ZL.T @ (W * ZL) + np.diag(np.r_[np.ones(q), np.zeros(P)]))
    back = np.block([[L, np.zeros((q, P))], [np.zeros((P, q)), np.eye(P)]])
    return fit.sigma() ** 2 * back @ inverse @ back.T


MODELS = [
    ("y ~ x + a + (1 + x | g) + (1 | h)", "w", False),
    ("y ~ x + (1 | g) + (1 | h) + (1 | g:h)", None, True),
    ("y ~ 0 + a + (0 + x | g) + (1 | g)", None, True),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model[0])
def test_errors_are_those_of_the_mixed_model_equations(model):
    fit = _fit(*model)
    C = _dense(fit)
    np.testing.assert_allclose(fit.vcov(full=True), C, rtol=1e-9, atol=1e-10)
    Z, X = fit.getME("Z").toarray(), fit.getME("X").to_numpy()
    both = np.hstack([Z, X])
    se = np.sqrt(np.einsum("ij,jk,ik->i", both, C, both))
    np.testing.assert_allclose(fit.predict(se_fit=True)["se.fit"], se, rtol=1e-8)
    table = fit.predict(_data(), se_fit=True)
    np.testing.assert_allclose(table["se.fit"], se, rtol=1e-8)
    np.testing.assert_allclose(table["fit"], fit.fitted(), rtol=1e-10)


@pytest.mark.parametrize("most", [6000, 3], ids=["groups of rows", "too many hang together"])
def test_rows_that_have_levels_of_several_groups(most, monkeypatch):
    """Schools that share no row, and predictions for a pupil of one school with a teacher of another."""
    monkeypatch.setattr(joint_covariance, "MAX_CONNECTED", most)
    rng = np.random.default_rng(8)
    teacher = rng.integers(0, 120, 900)
    data = pd.DataFrame({"x": rng.normal(size=900), "t": teacher.astype(str), "s": (teacher // 4).astype(str)})
    data["y"] = data["x"] + rng.normal(size=120)[teacher] + rng.normal(size=30)[teacher // 4] + rng.normal(size=900)
    fit = pyimpl.lmer("y ~ x + (x | t) + (1 | s)", data)
    C, names = _dense(fit), list(fit.vcov(full=True).index)
    new = data.sample(40, random_state=1).assign(s=data["s"].sample(40, random_state=2).to_numpy())
    both = np.zeros((40, len(names)))
    for i, row in enumerate(new.itertuples()):
        for name, value in ((f"t.{row.t}.(Intercept)", 1), (f"t.{row.t}.x", row.x), (f"s.{row.s}.(Intercept)", 1)):
            both[i, names.index(name)] = value
        both[i, -2:] = 1, row.x
    se = np.sqrt(np.einsum("ij,jk,ik->i", both, C, both))
    np.testing.assert_allclose(fit.predict(new, se_fit=True)["se.fit"], se, rtol=1e-8)


def test_some_of_the_random_effects():
    fit = _fit(*MODELS[0])
    C, X = _dense(fit), fit.getME("X").to_numpy()
    names = list(fit.vcov(full=True).index)
    some = [name.startswith("h.") for name in names[: -X.shape[1]]]
    both = np.hstack([fit.getME("Z").toarray() * some, X])
    table = fit.predict(_data().drop(columns="g"), re_form="~ (1 | h)", se_fit=True)
    np.testing.assert_allclose(table["se.fit"], np.sqrt(np.einsum("ij,jk,ik->i", both, C, both)), rtol=1e-8)


def test_a_new_observation_varies_by_all_that_is_not_conditioned_on():
    fit = _fit(*MODELS[0])
    covariance = fit.VarCorr()
    of_g = np.array([[covariance["vcov"][i] for i in row] for row in ((0, 2), (2, 1))])
    of_h, residual = covariance["vcov"][3], covariance["vcov"][4]
    new = pd.DataFrame({"x": [0.5, -1.0], "a": ["p", "r"]})
    mean = fit.predict(new, re_form="~0", se_fit=True)
    table = fit.predict(new, re_form="~0", interval="prediction", level=0.9)
    z = np.column_stack([np.ones(2), new["x"]])
    sd = np.sqrt(mean["se.fit"] ** 2 + np.einsum("ij,jk,ik->i", z, of_g, z) + of_h + residual)
    np.testing.assert_allclose(table["upr"] - table["fit"], 1.6448536269514722 * sd, rtol=1e-9)
    known = new.assign(g=["g3", None], h=[2, 2])
    table = fit.predict(known, allow_new_levels=True, interval="prediction", level=0.9, weights=[1, 4])
    inside = fit.predict(known, allow_new_levels=True, se_fit=True)
    extra = np.array([0.0, (z @ of_g @ z.T)[1, 1]]) + residual / np.array([1, 4])
    np.testing.assert_allclose(table["upr"] - table["fit"], 1.6448536269514722 * np.sqrt(inside["se.fit"] ** 2 + extra))


def test_prediction_intervals_cover_new_observations():
    """Of data drawn from the fit itself, with levels that it does not know, nine in ten are inside."""
    fit = _fit(*MODELS[0])
    n = 4000
    rng = np.random.default_rng(1)
    new = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "a": rng.choice(["p", "q"], n),
            "g": [f"n{i}" for i in range(n)],
            "h": range(10, n + 10),
        }
    )
    drawn = fit.simulate(1, seed=2, newdata=new, allow_new_levels=True)["sim_1"]
    table = fit.predict(new, re_form="~0", interval="prediction", level=0.9)
    sd = (table["upr"] - table["fit"]) / 1.6448536269514722
    narrower = np.sqrt(sd**2 - table["se.fit"] ** 2)  # what was drawn has no error of β̂
    share = float((abs(drawn - table["fit"]) <= 1.6448536269514722 * narrower).mean())
    assert share == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / n))


def test_degrees_of_freedom_of_the_fixed_part():
    fit = _fit(*MODELS[1])
    table = fit.predict(re_form="~0", interval="confidence", ddf="Kenward-Roger", level=0.9)
    contrast = fit.contest(fit.getME("X").to_numpy()[:3], joint=False, ddf="Kenward-Roger", confint=True, level=0.9)
    np.testing.assert_allclose(table["lwr"].iloc[:3], contrast["lower"], rtol=1e-9)
    np.testing.assert_allclose(table["se.fit"].iloc[:3], contrast["Std. Error"], rtol=1e-9)
    with pytest.raises(DataError, match="fixed effects' part alone"):
        fit.predict(interval="confidence", ddf="Satterthwaite")


def test_rows_left_out_come_back_missing():
    holes = _data().copy()
    holes.loc[[4, 17], "x"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = pyimpl.lmer(MODELS[1][0], holes, na_action="na.exclude")
    table = fit.predict(interval="prediction")
    assert len(table) == len(holes)
    assert table.index[table["upr"].isna()].tolist() == [4, 17]
    new = fit.predict(holes, interval="prediction")
    assert new.index[new["se.fit"].isna()].tolist() == [4, 17]


def test_grids_vary_what_is_named_and_hold_the_rest():
    fit = _fit(*MODELS[0])
    table = fit.predictions({"a": None, "x": [0, 2]})
    assert table["a"].tolist() == ["p", "q", "r"] * 2
    assert list(table.columns[-4:]) == ["predicted", "std.error", "conf.low", "conf.high"]
    assert len(fit.predictions("x")) == 25
    held = fit.predictions("a", at={"x": 2})
    np.testing.assert_allclose(held["predicted"], table["predicted"].iloc[3:])
    conditional = fit.predictions({"x": [1]}, at={"g": "g3", "h": 2, "a": "q"}, re_form=None)
    row = pd.DataFrame({"x": [1.0], "a": ["q"], "g": ["g3"], "h": [2]})
    assert conditional["predicted"].item() == pytest.approx(fit.predict(row).item())


def test_the_bootstrap_widens_by_the_error_of_theta():
    fit = _fit("y ~ x + (1 | g)")
    new = _data().head(3)
    table = fit.boot_predictions(new, re_form="~0", nsim=60, seed=4)
    wald = fit.predict(new, re_form="~0", interval="confidence")
    assert list(table.columns) == ["fit", "lwr", "upr"]
    np.testing.assert_allclose(table["upr"] - table["lwr"], wald["upr"] - wald["lwr"], rtol=0.6)
    pd.testing.assert_frame_equal(table, fit.boot_predictions(new, re_form="~0", nsim=60, seed=4))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda fit: fit.predict(interval="credible"), "interval must be 'confidence', 'prediction' or None"),
        (lambda fit: fit.predict(se_fit=True, level=95), "level must be a number between 0 and 1"),
        (lambda fit: fit.predict(interval="prediction", weights=[1, 2]), "weights: 160 positive numbers"),
        (lambda fit: fit.predict(interval="confidence", ddf="between"), "ddf is"),
        (lambda fit: fit.predict(_data().assign(g="new"), se_fit=True), "new levels detected"),
        (lambda fit: fit.predictions("nothing"), "'nothing' is not a predictor"),
        (lambda fit: fit.predictions({"a": ["s"]}), "'s' is not a level of a"),
        (lambda fit: fit.predict_interval(which="most"), "which must be 'full', 'fixed' or 'random'"),
    ],
)
def test_bad_arguments_are_named(call, text):
    with pytest.raises(DataError, match=text):
        call(_fit(*MODELS[0]))
