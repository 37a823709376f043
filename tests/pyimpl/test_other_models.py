"""Models made from a fit: updates and deletions of formulas with a dot, and which models ``anova`` compares."""

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.inference.estimates import ranef_long
from pyimpl.models.lmer import LmerControl, lmer


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    out = pd.DataFrame({"y": rng.normal(size=120), "x": rng.normal(size=120), "a b": rng.normal(size=120)})
    out["g"] = pd.Categorical(rng.integers(0, 12, 120).astype(str))
    out["y"] += out["x"] + rng.normal(size=12)[out["g"].cat.codes]
    return out


@pytest.mark.parametrize(
    ("dotted", "written"),
    [
        ("y ~ . - g + (x | g)", "y ~ x + `a b` + (x | g)"),
        ("y ~ 0 + . - g + (1 | g)", "y ~ 0 + x + `a b` + (1 | g)"),
    ],
)
def test_a_dot_keeps_its_columns(data, dotted, written):
    with_dot, without = lmer(dotted, data), lmer(written, data)
    assert with_dot.update(". ~ . - x").formula == without.update(". ~ . - x").formula
    assert str(with_dot.ranova()) == str(without.ranova())
    pd.testing.assert_frame_equal(pd.DataFrame(with_dot.drop1()), pd.DataFrame(without.drop1()))
    pd.testing.assert_frame_equal(with_dot.KRmodcomp(". ~ . - `a b`"), without.KRmodcomp(". ~ . - `a b`"))


@pytest.mark.r
def test_deletions_from_an_intercept_are_printed_as_r_does(rscript, data, tmp_path):
    data.to_csv(tmp_path / "d.csv", index=False)
    theirs = rscript(
        f'd <- read.csv("{tmp_path}/d.csv"); drop1(lme4::lmer(y ~ 1 + (1 | g), d, REML = FALSE), test = "Chisq")'
    )
    assert f"{lmer('y ~ 1 + (1 | g)', data).drop1('Chisq')}\n" == theirs


def test_models_of_other_data_are_not_compared(data):
    fit = lmer("y ~ x + (1 | g)", data)
    assert len(fit.anova(lmer("y ~ x + `a b` + (1 | g)", data.copy()))) == 2  # a copy is the same data
    assert len(fit.anova(lmer("y ~ x + (1 | g)", data.assign(other=1.0)))) == 2  # so is a column that neither uses
    with pytest.raises(ModelError, match="same data object"):
        fit.anova(lmer("y ~ x + `a b` + (1 | g)", data.assign(y=data["y"] + 1)))
    assert len(fit.anova(fit.refit(data["a b"]))) == 2  # R looks at the call, which is the same


def test_models_of_other_subsets_are_not_compared(data):
    fit = lmer("y ~ x + (1 | g)", data, subset="x > 0")
    mask = data["x"] > 0
    by_mask = lmer("y ~ x + (1 | g)", data, subset=mask)
    assert len(fit.anova(lmer("y ~ 1 + (1 | g)", data, subset="x>0"))) == 2
    assert len(by_mask.anova(lmer("y ~ 1 + (1 | g)", data, subset=mask.to_numpy()))) == 2
    other = np.roll(mask.to_numpy(), 1)
    for one, two in [
        (fit, by_mask),
        (fit, lmer("y ~ 1 + (1 | g)", data, subset="x > 0 & y < 100")),
        (by_mask, lmer("y ~ 1 + (1 | g)", data, subset=other)),
    ]:
        assert one.nobs() == two.nobs()
        with pytest.raises(ModelError, match="same subset"):
            one.anova(two)


def test_equal_modes_are_in_the_order_of_their_labels():
    frame = pd.DataFrame({"(Intercept)": [0.0, 0.0, -1.0, 0.0]}, index=["9", "b", "c", "10"])
    table = ranef_long({"g": frame}, {"g": np.ones((4, 1, 1))})
    assert list(table["grp"].cat.categories) == ["c", "10", "9", "b"]


@pytest.mark.r
def test_checks_can_be_set_as_in_lme4(rscript, tmp_path):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=40), "w": rng.uniform(0.2, 4, 40), "obs": [f"o{i}" for i in range(40)]})
    data["y"] = data["x"] + rng.normal(size=40) / np.sqrt(data["w"]) + rng.normal(size=40)
    data.to_csv(tmp_path / "d.csv", index=False)
    theirs = rscript(
        f'suppressMessages(library(lme4)); d <- read.csv("{tmp_path}/d.csv")\n'
        "m <- lmer(y ~ x + (1 | obs), d, weights = w, control = lmerControl(check.nobs.vs.nlev = 'ignore',"
        " check.nobs.vs.nRE = 'ignore', optimizer = 'bobyqa', optCtrl = list(rhoend = 1e-9)))\n"
        "cat(sprintf('%.12g', c(REMLcrit(m), getME(m, 'theta'), sigma(m))))"
    )
    with pytest.raises(ModelError, match="number of levels"):
        lmer("y ~ x + (1 | obs)", data, weights="w")
    control = LmerControl(check_nobs_vs_nlev="ignore", check_nobs_vs_nRE="warning")
    with pytest.warns(PyimplWarning, match="number of random effects"):
        fit = lmer("y ~ x + (1 | obs)", data, weights="w", control=control)
    assert any("number of random effects" in text for text in fit.warnings)
    ours = [fit.REMLcrit(), float(fit.getME("theta").iloc[0]), fit.sigma()]
    np.testing.assert_allclose(ours, [float(v) for v in theirs.split()], rtol=1e-6)
    with pytest.raises(ModelError, match="very different scales"):
        lmer(
            "y ~ I(x * 1e9) + (1 | obs)",
            data,
            control=LmerControl(check_nobs_vs_nlev="ignore", check_nobs_vs_nRE="ignore", check_scaleX="stop"),
        )
    with pytest.raises(DataError, match="check_scaleX must be 'stop'"):
        LmerControl(check_scaleX="no")  # type: ignore[arg-type]
