"""The bootstrap: reproducible whatever the workers, R's intervals from the same replicates, and failures counted."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, PyimplWarning
from pyimpl.inference.bootstrap import boot_intervals
from pyimpl.models.lmer import lmer


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(15), 6)
    x = rng.normal(size=90)
    b = rng.normal(size=(15, 2)) * [1.5, 0.7]
    data = pd.DataFrame({"y": 2 + x + b[group, 0] + b[group, 1] * x + rng.normal(size=90), "x": x})
    data["g"] = pd.Categorical(group.astype(str))
    return lmer("y ~ x + (x | g)", data)


def _fixef(model):
    return model.fixef()


def test_replicates_depend_on_the_seed_alone(fit):
    one = fit.bootMer(nsim=12, seed=3)
    assert list(one.columns) == [".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "x"]
    assert one.attrs["observed"]["x"] == fit.fixef()["x"]
    assert one.attrs["observed"][".sigma"] == fit.sigma()
    assert one["x"].nunique() == 12
    pd.testing.assert_frame_equal(one, fit.bootMer(nsim=12, seed=3, n_jobs=2), check_exact=True)
    with joblib.parallel_config(backend="threading"):
        threaded = fit.bootMer(_fixef, nsim=12, seed=3, n_jobs=2, progress=True)
    np.testing.assert_array_equal(threaded, one[["(Intercept)", "x"]])
    sequence = np.random.SeedSequence(3)
    first, second = (fit.bootMer(_fixef, nsim=3, seed=sequence) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    np.testing.assert_array_equal(first, threaded[:3])
    assert not np.array_equal(first, fit.bootMer(_fixef, nsim=3, seed=4))


def test_a_replicate_is_the_refit_to_a_simulated_response(fit):
    table = fit.bootMer(lambda m: np.r_[m.fixef(), m.getME("y")], nsim=2, seed=1)
    row = table.iloc[1].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = fit.refit(row[2:])
    np.testing.assert_array_equal(again.fixef(), row[:2])
    child = np.random.SeedSequence(1).spawn(2)[1]
    np.testing.assert_array_equal(fit.simulate(1, child)["sim_1"], row[2:])


def test_use_u_keeps_the_random_effects_and_semiparametric_resamples_residuals(fit):
    kept = fit.bootMer(lambda m: m.getME("y"), nsim=40, seed=1, use_u=True)
    deviation = kept.to_numpy() - fit.fitted().to_numpy()
    assert np.std(deviation) == pytest.approx(fit.sigma(), rel=0.1)
    resampled = fit.bootMer(lambda m: m.getME("y"), nsim=5, seed=1, use_u=True, type="semiparametric")
    drawn = resampled.to_numpy() - fit.fitted().to_numpy()
    distance = np.abs(drawn[..., None] - fit.residuals().to_numpy()).min(axis=-1)
    assert distance.max() < 1e-12
    with pytest.raises(DataError, match="use_u=False is not implemented"):
        fit.bootMer(type="semiparametric")
    with pytest.raises(DataError, match="must be 'parametric' or"):
        fit.bootMer(type="residual")


def test_rows_left_out_stay_out():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=60), "g": pd.Categorical(np.repeat(np.arange(10), 6).astype(str))})
    data["y"] += rng.normal(size=10)[data["g"].cat.codes]
    data.loc[[3, 40], "y"] = np.nan
    tables = [lmer("y ~ 1 + (1 | g)", data, na_action=a).bootMer(nsim=3, seed=1) for a in ("na.omit", "na.exclude")]
    assert not tables[0].isna().any(axis=None)
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_failures_and_messages_are_counted(fit):
    def picky(model):
        if model.fixef()["x"] > fit.fixef()["x"]:
            raise ValueError("too large")
        return {"slope": model.fixef()["x"]}

    # the fit's own value is not larger than itself
    with pytest.warns(
        PyimplWarning, match=r"some bootstrap runs failed \(\d+/20\), the most often with ValueError: too"
    ):
        table = fit.bootMer(picky, nsim=20, seed=1)
    failed = int(table["slope"].isna().sum())
    assert 0 < failed < 20
    assert table.attrs["errors"] == {"ValueError: too large": failed}
    with pytest.warns(PyimplWarning, match="extreme order"):
        assert boot_intervals(table).notna().all(axis=None)
    flat = lmer("y ~ x + (1 | g)", fit.design.frame.assign(y=np.random.default_rng(1).normal(size=90)))
    assert any("singular" in text for text in flat.bootMer(nsim=20, seed=1).attrs["messages"])


def test_bad_statistics(fit):
    with pytest.raises(DataError, match="returns numbers"):
        fit.bootMer(lambda m: "none", nsim=2)
    with pytest.raises(DataError, match="not distinct"):
        fit.bootMer(lambda m: pd.Series([1.0, 2.0], index=["a", "a"]), nsim=2)
    with pytest.raises(DataError, match="nsim must be a whole number, at least 1"):
        fit.bootMer(nsim=0)
    with pytest.raises(DataError, match="boot_type"):
        fit.confint(method="boot", nsim=2, boot_type="bca")


def test_bootstrap_intervals(fit):
    table = fit.confint(method="boot", nsim=99, seed=5, level=0.9)
    assert list(table.columns) == ["5 %", "95 %"]
    assert list(table.index) == list(fit.confint().index)
    expected = boot_intervals(fit.bootMer(nsim=99, seed=5), 0.9)
    pd.testing.assert_frame_equal(table, expected)
    pd.testing.assert_frame_equal(fit.confint("beta_", 0.9, "boot", nsim=99, seed=5), expected.iloc[4:])
    own = fit.confint(method="boot", nsim=99, seed=5, level=0.9, FUN=_fixef)
    np.testing.assert_array_equal(own, expected.iloc[4:])


@pytest.mark.r
def test_intervals_of_the_same_replicates_are_rs(rscript):
    rng = np.random.default_rng(2)
    code, ours = "", []
    for size, level in ((199, 0.95), (150, 0.9), (39, 0.95)):
        values = rng.gamma(2.0, size=size).round(6)
        values[3] = np.nan
        table = pd.DataFrame({"t": values})
        table.attrs["observed"] = {"t": 1.7}
        numbers = ", ".join("NA" if np.isnan(v) else repr(float(v)) for v in values)
        code += f"""
        t <- matrix(c({numbers}), ncol = 1)
        b <- structure(list(t0 = c(t = 1.7), t = t, R = nrow(t), sim = "parametric", call = quote(bootMer())),
                       class = c("bootMer", "boot"))
        attr(b, "boot_type") <- "boot"
        for (type in c("perc", "basic", "norm"))
          cat(sprintf("%.15g", suppressWarnings(lme4:::confint.bootMer(b, level = {level}, type = type))), fill = TRUE)
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PyimplWarning)
            ours += [boot_intervals(table, level, kind).iloc[0].to_numpy() for kind in ("perc", "basic", "norm")]
    theirs = [[float(v) for v in line.split()] for line in rscript(code).splitlines()]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.r
def test_bootstrap_agrees_with_lme4s_in_distribution_and_rePCA_exactly():
    from bridge import datasets, lme4

    data = datasets.load("sleepstudy", package="lme4")
    formula = "Reaction ~ Days + (Days | Subject)"
    theirs = lme4.lmer(formula, data)
    reference = theirs.bootMer("fixef", nsim=60, seed=1)
    ours = lmer(formula, data)
    table = ours.bootMer(_fixef, nsim=600, seed=1)
    for name in ("(Intercept)", "Days"):
        spread = reference[name].std()
        assert abs(table[name].mean() - reference[name].mean()) < 4 * spread / np.sqrt(60)
        assert table[name].std() == pytest.approx(spread, rel=4 / np.sqrt(120))
    for text in (formula, "Reaction ~ Days + (Days || Subject)"):
        components, expected = lmer(text, data).rePCA(), lme4.lmer(text, data, control="tight").rePCA()
        assert list(components) == list(expected)
        np.testing.assert_allclose(components["Subject"], expected["Subject"], rtol=1e-5)
