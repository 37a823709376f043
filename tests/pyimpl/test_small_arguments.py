"""Arguments that R's verbs have: what they refuse, and what only Python can check of them."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import DataError

rng = np.random.default_rng(5)
DATA = pd.DataFrame({"x": rng.normal(size=90), "f": np.arange(90) % 3, "g": np.arange(90) % 10})
DATA["f"] = DATA["f"].map({0: "a", 1: "b", 2: "c"})
DATA["y"] = DATA["x"] + rng.normal(size=10)[DATA["g"]] + rng.normal(size=90)


@cache
def fit():
    return lmer("y ~ x * f + (1 | g)", DATA)


def test_a_refit_with_other_weights_is_the_fit_with_them():
    weights = pd.Series(rng.uniform(0.5, 2, 90), name="w")
    again = fit().refit(newweights=weights)
    direct = lmer("y ~ x * f + (1 | g)", DATA, weights=weights)
    pd.testing.assert_series_equal(again.fixef(), direct.fixef(), rtol=1e-9)
    assert again.REMLcrit() == pytest.approx(direct.REMLcrit(), abs=1e-8)
    assert again.weights().tolist() == weights.tolist()
    assert "Weights: w" in str(again)
    assert again.update(". ~ x + (1 | g)").REMLcrit() == pytest.approx(
        lmer("y ~ x + (1 | g)", DATA, weights=weights).REMLcrit(), abs=1e-8
    )
    both = fit().refit(DATA["y"] * 2, weights)
    pd.testing.assert_series_equal(both.fixef(), 2 * direct.fixef(), rtol=1e-5)


def test_weights_of_a_refit_may_be_given_for_every_row_of_the_data():
    weights = rng.uniform(0.5, 2, 90)
    some = lmer("y ~ x + (1 | g)", DATA, subset="x > -1")
    used = DATA["x"].to_numpy() > -1
    for given in (weights, weights[used]):
        direct = lmer("y ~ x + (1 | g)", DATA[used], weights=weights[used])
        np.testing.assert_allclose(some.refit(newweights=given).fixef(), direct.fixef(), rtol=1e-9)


def test_random_effects_may_be_drawn_from_another_distribution():
    signs = fit().simulate(400, seed=3, cluster_rand=lambda rng, shape: np.where(rng.random(shape) < 0.5, -1.0, 1.0))
    normal = fit().simulate(400, seed=3)
    sd, sigma = fit().VarCorr()["sdcor"]

    def kurtosis(draws):
        means = (draws.groupby(DATA["g"]).mean() - draws.mean()).to_numpy()
        return float((means**4).mean() / (means**2).mean() ** 2)

    assert sd > sigma / 3  # or the two distributions could not be told apart
    assert kurtosis(signs) < kurtosis(normal) - 0.3
    assert signs.var(axis=1).mean() == pytest.approx(normal.var(axis=1).mean(), rel=0.1)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: m.refit(newweights=np.ones(5)), "expected 90 numbers"),
        (lambda m: m.refit(newweights=np.r_[0.0, np.ones(89)]), "positive and finite"),
        (lambda m: m.simulate(cluster_rand=lambda rng, shape: rng.normal(size=3)), "in the shape it is asked for"),
        (lambda m: m.confint([0], method="Wald"), "counts parameters from 1 to 8"),
        (lambda m: m.confint([1, -2], method="Wald"), "all negative"),
        (lambda m: m.confint([9], method="Wald"), "counts parameters from 1 to 8"),
        (lambda m: m.confint([True], method="Wald"), r"parm must be .* not \[True\]"),
        (lambda m: m.ranef(whichel="h"), "no grouping factor 'h'; there are g"),
        (lambda m: m.VarCorr().stddev("h"), "no 'h'"),
        (lambda m: m.drop1(scope="~ z"), "scope names 'z'"),
        (lambda m: m.drop1(scope="~ x", ddf="Satterthwaite"), "without another that contains it"),
        (lambda m: m.predict(DATA, na_action="na.what"), "na_action is one of"),
        (lambda m: m.predict(DATA.assign(x=np.nan), na_action="na.fail"), "missing values in 90 rows"),
        (lambda m: m.predict(DATA, newparams={"beta": [1]}), "beta needs 6"),
        (lambda m: m.predict(DATA, newparams={"beta": range(6)}, se_fit=True), "leave newparams out"),
        (lambda m: m.ls_means("x"), "no term of factors; there are f"),
        (lambda m: m.ls_means(ddf="lme4"), "ddf is one of"),
        (lambda m: m.get_df("wald"), "type is 'residual'"),
        (lambda m: m.model_matrix("fixed", DATA.assign(f="z")), "new level"),
        (lambda m: m.model_matrix("sparse"), "must be 'fixed'"),
    ],
)
def test_what_is_refused(call, told):
    with pytest.raises(DataError, match=told):
        call(fit())


def test_new_rows_are_coded_as_the_fit_s_own():
    m = lmer("y ~ poly(x, 2) * f + (1 + scale(x) | g)", DATA)
    few = DATA.iloc[[3, 50, 4]].assign(g=[3, 0, 99])
    np.testing.assert_allclose(m.model_matrix(newdata=few), m.model_matrix().iloc[[3, 50, 4]], rtol=1e-12)
    Z = m.model_matrix("random", few).toarray()
    np.testing.assert_allclose(Z[:2], m.model_matrix("random").toarray()[[3, 50]], rtol=1e-12)
    assert not Z[2].any()
    raw = m.model_matrix("randomListRaw", few)
    assert list(raw) == list(m.model_matrix("randomListRaw"))
    assert raw["1 + scale(x) | g"].shape == (3, 2)


def test_degrees_of_freedom():
    assert fit().get_df() == fit().df_residual()
    assert fit().get_df("model") == 8
    assert fit().get_df("normal") == float("inf")
    assert fit().get_df("kenward").equals(fit().kenward_roger()["df"])
