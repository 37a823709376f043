"""Covariance structures of lme4 2.0: classes, fits against what lme4 2.1-0 recorded, and everything after the fit."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer, stan_lmer
from pyimpl.covariance.structures import STRUCTURES, covariance_of
from pyimpl.errors import FormulaError, ModelError, PyimplWarning

RECORD = json.loads(gzip.decompress((Path(__file__).parent / "data" / "structured.json.gz").read_bytes()))
MODELS = RECORD["models"]
KINDS = [
    pytest.param(name, p, hom, id=f"{name}-{p}-{'hom' if hom else 'het'}")
    for name, one in STRUCTURES.items()
    for p in (1, 2, 3, 5)
    for hom in ((False, True) if one.has_hom else (False,))
]


def frame(name):
    data = pd.DataFrame(RECORD["frames"][name])
    for column in ("Subject", "third", "half"):
        data[column] = pd.Categorical(data[column], dict.fromkeys(data[column].sort_values()))
    return data


@pytest.fixture(scope="module")
def sleep():
    return frame("sleepstudy")


def fitted(model):
    weights = "w" if model["weighted"] else None
    return lmer(model["formula"], frame(model["data"]), model["REML"], weights=weights)


@pytest.fixture(scope="module")
def ar1(sleep):
    return lmer("Reaction ~ Days + ar1(0 + third | Subject)", sleep)


def _correlation(name, p, rho):
    lag = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    return {"diag": np.eye(p), "cs": np.where(lag == 0, 1.0, rho), "ar1": rho ** lag.astype(float)}[name]


# -- the classes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "p", "hom"), KINDS)
def test_derivatives_are_those_of_the_elements(name, p, hom):
    covariance = covariance_of(name, p, hom)
    z = covariance.coordinates(covariance.start) + np.random.default_rng(p).normal(size=covariance.n_par) * 0.4
    found, h = covariance.expand(z), 1e-5
    for k, unit in enumerate(np.eye(covariance.n_par)):
        ahead, behind = covariance.expand(z + h * unit), covariance.expand(z - h * unit)
        assert found.jacobian[:, k] == pytest.approx((ahead.elements - behind.elements) / (2 * h), abs=1e-8)
        assert found.second[:, :, k] == pytest.approx((ahead.jacobian - behind.jacobian) / (2 * h), abs=1e-8)
        first, _ = covariance.slopes(z)
        step = (covariance.parameters(z + h * unit) - covariance.parameters(z - h * unit)) / (2 * h)
        if not covariance.linear and not (covariance.hom and k == 0):
            assert step[k] == pytest.approx(first[k], abs=1e-8)
    assert len(found.elements) == len(covariance.places) == len(covariance.theta_index)


@pytest.mark.parametrize("hom", [False, True])
@pytest.mark.parametrize("name", ["diag", "cs", "ar1"])
@pytest.mark.parametrize("rho", [-1.0, -0.4, 0.0, 0.3, 0.999, 1.0])
def test_the_template_gives_the_structures_matrix(name, hom, rho):
    """Also at the bounds of the correlation, where the matrix is singular."""
    p = 4
    covariance = covariance_of(name, p, hom)
    rho = max(rho, float(covariance.lower[-1])) if name != "diag" else 0.0
    sd = np.full(p, 1.5) if hom else np.array([0.5, 2.0, 0.0, 1.0])
    par = np.append(sd[: 1 if hom else p], [] if name == "diag" else [rho])
    T = np.zeros((p, p))
    for (row, col), value in zip(covariance.places, covariance.elements(par), strict=True):
        T[row, col] = value
    np.testing.assert_allclose(T @ T.T, _correlation(name, p, rho) * np.outer(sd, sd), atol=1e-12)
    assert covariance.from_covariance(T @ T.T) == pytest.approx(par, abs=1e-7)
    assert (covariance.distance(par) == 0.0) == (not hom or abs(rho) == 1.0 or rho == covariance.lower[-1] < 0)


# -- against lme4 2.1-0 ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=[model["formula"] for model in MODELS])
def test_fits_are_lme4s(model):
    fit = fitted(model)
    value = fit.REMLcrit() if model["REML"] else fit.deviance()
    assert value <= model["criterion"] + 1e-6
    assert value == pytest.approx(model["criterion"], abs=1e-4)
    assert fit.fixef().tolist() == pytest.approx(model["fixef"]["values"], rel=1e-4, abs=1e-4)
    assert list(fit.fixef().index) == model["fixef"]["names"]
    assert np.sqrt(np.diag(fit.vcov())) == pytest.approx(model["se"], rel=1e-3)
    assert fit.sigma() == pytest.approx(model["sigma"], rel=1e-4)
    assert fit.VarCorr()["sdcor"].to_numpy() == pytest.approx(model["sdcor"], rel=2e-3, abs=2e-3)
    assert fit.ranef()["Subject"].iloc[:, 0].to_numpy() == pytest.approx(model["modes"], rel=1e-3, abs=2e-2)
    for piece in ("par", "theta"):
        found = fit.getME(piece)
        assert list(found.index) == model[piece]["names"]
        assert found.to_numpy() == pytest.approx(model[piece]["values"], rel=1e-3, abs=1e-3)
    lower = [float(text.replace("Inf", "inf")) for text in model["lower"]]
    assert fit.getME("lower").to_numpy() == pytest.approx(lower, abs=1e-12)
    assert (fit.npar, fit.getME("m"), fit.getME("npar")) == (model["npar"], model["m"], len(lower))
    assert fit.getME("Lind")[:100].tolist() == model["Lind"]
    assert fit.isSingular() == model["singular"]
    assert " ".join(fit.formula.split()) == " ".join(model["formula_shown"].split())


@pytest.mark.parametrize("model", MODELS, ids=[model["formula"] for model in MODELS])
def test_variances_are_printed_as_by_lme4(model):
    """To the letter but for last digits, in which the two optima differ."""

    def words(text):
        return [
            round(float(word), 1) if word.replace(".", "").replace("-", "").isdigit() else word for word in text.split()
        ]

    lines = fitted(model).VarCorr().to_text(("Variance", "Std.Dev.")).splitlines()
    assert lines[0] == model["VarCorr"][0]
    for mine, theirs in zip(lines, model["VarCorr"], strict=True):
        assert len(mine) == len(theirs)
        for one, other in zip(words(mine), words(theirs), strict=True):
            assert one == (pytest.approx(other, rel=1e-3, abs=0.11) if isinstance(other, float) else other)


def test_what_is_known_is_a_structure(sleep):
    """Without a structure's freedom the same model: diag is ||, cs of two effects is us."""
    for pair in (
        ("diag(1 + Days | Subject)", "(1 + Days || Subject)"),
        ("cs(1 + Days | Subject)", "(1 + Days | Subject)"),
        ("us(1 + Days | Subject)", "(1 + Days | Subject)"),
        ("cs(1 | Subject)", "(1 | Subject)"),
    ):
        one, other = (lmer(f"Reaction ~ Days + {term}", sleep, REML=False) for term in pair)
        assert one.deviance() == pytest.approx(other.deviance(), abs=1e-7)
        assert one.npar == other.npar


def test_derivatives_of_the_criterion(ar1):
    objective, par = ar1.model.objective, ar1.getME("par").to_numpy() * [1.1, 0.9]
    value, gradient = objective.value_and_gradient(par)
    for k, h in enumerate((1e-5, 1e-5)):
        step = np.eye(2)[k] * h
        assert gradient[k] == pytest.approx((objective(par + step) - objective(par - step)) / (2 * h), rel=1e-6)
    assert value == objective(par)
    assert objective(np.array([1.0, 1.0 + 1e-6])) == math.inf
    assert objective(np.array([-1.0, 0.0])) == math.inf


# -- after the fit ---------------------------------------------------------------------------------


def test_verbs_after_the_fit(ar1):
    assert ar1.devfun(ar1.getME("par")) == pytest.approx(ar1.REMLcrit(), abs=1e-9)
    y = ar1.simulate(1, seed=1).iloc[:, 0]
    refit, fresh = ar1.refit(y), lmer(ar1.formula, ar1.design.frame.assign(Reaction=y.to_numpy()))
    assert refit.REMLcrit() == pytest.approx(fresh.REMLcrit(), abs=1e-6)
    by_par = ar1.simulate(1, seed=2, newparams={"par": [0.5, 0.2]})
    T = refit_theta(ar1, [0.5, 0.2])
    # equal but for the rounding of par found from theta
    pd.testing.assert_frame_equal(by_par, ar1.simulate(1, seed=2, newparams={"theta": T}), rtol=1e-12)
    assert not by_par.equals(ar1.simulate(1, seed=2))
    assert ar1.predict(ar1.design.frame).to_numpy() == pytest.approx(ar1.fitted().to_numpy())
    assert ar1.update(". ~ . - Days").formula == "Reaction ~ ar1(0 + third | Subject)"
    assert ar1.confint(method="Wald", signames=False).index[:3].tolist() == ["sd_*|Subject", "cor_rho|Subject", "sigma"]


def refit_theta(fit, par):
    return fit.model.reduced.structure.theta(np.array(par))


def test_satterthwaite_is_lmertests(sleep):
    """``lmerTest`` 3.2-1 on lme4 2.1-0, ``coef(summary(m))[, "df"]``."""
    expected = {
        "diag(1 + Days | Subject)": [18.15619604, 18.15609129],
        "cs(0 + third | Subject)": [17.92450740, 38.73667825],
        "cs(0 + third | Subject, hom = TRUE)": [26.52151654, 81.09255651],
        "ar1(0 + third | Subject)": [28.87210507, 79.58830267],
    }
    for term, df in expected.items():
        table = lmer(f"Reaction ~ Days + {term}", sleep).summary(ddf="Satterthwaite").coefficients
        assert table["df"].tolist() == pytest.approx(df, rel=5e-5)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("diag(1 + Days || Subject)", "'||' inside diag"),
        ("cs(1 + Days | Subject, hom = T)", "hom is TRUE or FALSE"),
        ("cs(1 + Days | Subject, TRUE)", "hom = TRUE"),
        ("ar1(1 + Days | Subject, het = TRUE)", "may not have an argument 'het'"),
    ],
)
def test_what_lme4_would_pass_over_is_refused(sleep, term, words):
    with pytest.raises(FormulaError, match=words.replace("|", r"\|")):
        lmer(f"Reaction ~ Days + {term}", sleep)


def test_an_older_lme4_knows_no_structures(sleep):
    with pytest.raises(FormulaError, match=r"exist since lme4 2\.0-1"):
        lmer("Reaction ~ Days + cs(1 + Days | Subject)", sleep, dialect="1.1-37")


def test_what_is_not_there_says_so(ar1, sleep):
    with pytest.raises(ModelError, match="decov"):
        stan_lmer("Reaction ~ Days + ar1(0 + third | Subject)", sleep)
    with pytest.raises(ModelError, match="Satterthwaite"):
        ar1.summary(ddf="Kenward-Roger")
    with pytest.raises(ModelError, match="ranova"):
        ar1.ranova()


def test_as_many_effects_as_rows_are_fitted_where_structured(sleep):
    """lme4 checks this of unstructured covariances only: a structure has few parameters."""
    thin = sleep.iloc[::2].assign(day=lambda d: pd.Categorical(d["Days"]))
    with pytest.raises(ModelError, match="number of random effects"):
        lmer("Reaction ~ 1 + (0 + day | Subject)", thin)
    assert lmer("Reaction ~ 1 + cs(0 + day | Subject, hom = TRUE)", thin).npar == 4


def test_no_variance_is_on_the_boundary():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 6).astype(str), "t": np.tile(list("abc"), 40)})
    data["y"] = rng.normal(size=120)
    data["y"] -= data.groupby("g")["y"].transform("mean")
    with pytest.warns(PyimplWarning, match="singular"):
        fit = lmer("y ~ 1 + cs(0 + t | g, hom = TRUE)", data)
    assert fit.isSingular()
    assert fit.getME("par").iloc[1] == pytest.approx(-0.5) or fit.getME("par").iloc[0] == 0.0


def test_profile_intervals_are_lme4s(sleep):
    """``confint(m)`` of lme4 2.1-0, interpolated; it has none where all effects have one standard deviation."""
    fit = lmer("Reaction ~ Days + cs(1 + Days | Subject)", sleep, REML=False)
    table = fit.confint([".sig01", ".sig02", ".sig03", ".sigma"])
    theirs = np.array([[14.38145, 37.71593], [3.80116, 8.75338], [-0.48150, 0.68499], [22.89827, 28.85800]])
    assert table.to_numpy() == pytest.approx(theirs, rel=1e-4)
    spelled = fit.confint("cor_rho|Subject", signames=False)
    assert spelled.index.tolist() == ["cor_rho|Subject"]
    assert spelled.to_numpy() == pytest.approx(theirs[2:3], rel=1e-4)
