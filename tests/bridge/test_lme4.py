"""lme4 through the bridge, against what an independent Rscript prints and against the printed tutorial."""

import itertools
import json
import pickle
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest

from bridge import datasets, lme4
from bridge.errors import DataError, FormulaError, HandleError, RError, RPackageError, RWarning
from bridge.session import Session, default, use
from validation.contract import LinearMixedFit

pytestmark = pytest.mark.r

M1 = "course ~ 1 + (1 | school)"
M2 = "course ~ 1 + female + (1 | school)"
M3 = "course ~ 1 + female + (1 + female | school)"

RSCRIPT = r"""
suppressMessages(library(lme4))
data(Gcsemv, package = "mlmRev")
Gcsemv$female <- relevel(Gcsemv$gender, "M")
GCSE <- subset(x = Gcsemv, select = c(school, student, female, course))
num <- function(x) paste(format(as.double(x), digits = 17), collapse = ",")
for (f in c("course ~ 1 + (1 | school)", "course ~ 1 + female + (1 | school)",
            "course ~ 1 + female + (1 + female | school)")) for (REML in c(FALSE, TRUE)) {
  f <- as.formula(f)
  m <- eval(bquote(lmer(formula = .(f), data = GCSE, REML = .(REML))))
  cat("@fixef", num(fixef(m)), "\n@theta", num(getME(m, "theta")), "\n@ranef", num(unlist(ranef(m)$school)),
      "\n@condvar", num(attr(ranef(m, condVar = TRUE)$school, "postVar")), "\n@vcov", num(vcov(m)),
      "\n@numbers", num(c(logLik(m), sigma(m), AIC(m), BIC(m), df.residual(m), if (REML) REMLcrit(m) else deviance(m))),
      "\n@devfun", num({d <- update(m, devFunOnly = TRUE); d(getME(m, "theta") * 0.5 + 0.1)}),
      "\n@scaled", num(range(residuals(m, scaled = TRUE))), "\n@coef", num(unlist(coef(m)$school)),
      "\n@varcorr", num(as.data.frame(VarCorr(m))$sdcor), "\n@text\n")
  print(summary(m))
  cat("@end\n")
}
"""


@pytest.fixture(scope="module")
def by_rscript():
    done = subprocess.run(["Rscript", "-e", RSCRIPT], capture_output=True, text=True, timeout=120, check=True)
    fits = {}
    for part, key in zip(done.stdout.split("@end\n"), itertools.product((M1, M2, M3), (False, True)), strict=False):
        head, text = part.split("@text\n")
        numbers = {}
        for line in head.strip().splitlines():
            name, values = line[1:].split(" ", 1)
            numbers[name] = np.array([float(v) for v in values.split(",")])
        fits[key] = (numbers, text)
    assert len(fits) == 6
    return fits


@pytest.mark.parametrize("REML", [False, True])
@pytest.mark.parametrize("formula", [M1, M2, M3])
def test_every_number_and_the_summary_are_r_s(gcse, by_rscript, formula, REML):
    numbers, text = by_rscript[formula, REML]
    fit = lme4.lmer(formula, gcse, REML=REML)
    same = np.testing.assert_array_equal
    same(fit.fixef().to_numpy(), numbers["fixef"])
    same(fit.getME("theta").to_numpy(), numbers["theta"])
    same(fit.ranef()["school"].to_numpy().ravel(order="F"), numbers["ranef"])
    same(fit.ranef_condVar()["school"].to_numpy().transpose(1, 2, 0).ravel(order="F"), numbers["condvar"])
    same(fit.vcov().to_numpy().ravel(), numbers["vcov"])
    same(fit.coef()["school"].to_numpy().ravel(order="F"), numbers["coef"])
    same(fit.VarCorr()["sdcor"].to_numpy(), numbers["varcorr"])
    criterion = fit.REMLcrit() if REML else fit.deviance()
    same([fit.logLik(), fit.sigma(), fit.AIC(), fit.BIC(), fit.df_residual(), criterion], numbers["numbers"])
    same(fit.devfun(fit.getME("theta") * 0.5 + 0.1), numbers["devfun"])
    scaled = fit.residuals(scaled=True)
    same([scaled.min(), scaled.max()], numbers["scaled"])
    assert str(fit.summary()) == text


def test_the_tutorials_printed_numbers(gcse):
    fit = lme4.lmer(M2, gcse, REML=False)
    text = [line.split() for line in str(fit.summary()).splitlines()]
    for line in (  # the widths of columns are the release's
        "14017.4 14039.2 -7004.7 14009.4 1721",
        "-4.7809 -0.5401 0.1259 0.6795 2.6753",
        "school (Intercept) 76.65 8.755",
        "Number of obs: 1725, groups: school, 73",
        "femaleF 6.739 0.678 9.94",
    ):
        assert line.split() in text
    printed = [-10.1702110, -17.0578149, 7.8007260, 0.4871012, -8.1940346, 4.4304453]
    head = fit.ranef()["school"].head()
    assert head.index.tolist()[:2] == ["20920", "22520"]
    # seven printed digits of a value that the optimizer of 2018 left within 1e-6
    np.testing.assert_allclose(fit.ranef()["school"]["(Intercept)"].to_numpy()[:6], printed, atol=2e-5)


def test_it_meets_the_contract(m3, gcse):
    assert isinstance(m3, LinearMixedFit)
    assert m3.getReCovs().reset_index().iloc[0].tolist() == ["school", "us", False, 2]
    assert list(m3.getME("lower").index) == list(m3.getME("theta").index)
    n, p, q = 1725, 2, 146
    assert m3.formula == M3
    assert m3.warnings == ()
    assert m3.messages == ()
    assert m3.fixef().index.tolist() == ["(Intercept)", "femaleF"]
    assert m3.vcov().shape == (p, p)
    assert m3.coef_table().columns.tolist() == ["Estimate", "Std. Error", "t value"]
    table = m3.VarCorr()
    assert table.columns.tolist() == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert table["grp"].tolist() == ["school"] * 3 + ["Residual"]
    assert pd.isna(table["var2"].iloc[0])
    assert pd.isna(table["var1"].iloc[3])
    assert table["var2"].iloc[2] == "femaleF"
    assert m3.ranef()["school"].shape == (73, 2)
    assert m3.ranef_condVar()["school"].dims == ("level", "effect", "effect2")
    assert m3.ngrps().to_dict() == {"school": 73}
    assert (m3.nobs(), m3.npar, m3.df_residual()) == (n, 6, n - 6)
    assert not m3.isREML()
    assert not m3.isSingular()
    assert m3.isSingular(tol=0.5)
    assert m3.fitted().index.equals(gcse.index[gcse["course"].notna()])
    np.testing.assert_allclose(m3.fitted() + m3.residuals(), gcse["course"].dropna(), rtol=1e-12)
    np.testing.assert_allclose(m3.residuals(scaled=True) * m3.sigma(), m3.residuals(), rtol=1e-12)
    theta = m3.getME("theta")
    assert theta.index.tolist() == ["school.(Intercept)", "school.femaleF.(Intercept)", "school.femaleF"]
    assert m3.getME("lower").tolist() == [0, -np.inf, 0]
    assert m3.getME("X").shape == (n, p)
    assert m3.getME("X").index.equals(m3.fitted().index)
    Z, Lambda = m3.getME("Z"), m3.getME("Lambda")
    assert Z.shape == (n, q)
    assert Lambda.shape == (q, q)
    assert m3.getME("u").shape == m3.getME("b").shape == (q,)
    np.testing.assert_allclose(Lambda @ m3.getME("u"), m3.getME("b"), rtol=1e-12)
    np.testing.assert_allclose(
        m3.getME("X").to_numpy() @ m3.fixef().to_numpy() + Z @ m3.getME("b"), m3.fitted(), rtol=1e-12
    )
    np.testing.assert_array_equal(m3.getME("b"), m3.ranef()["school"].to_numpy().ravel())
    assert m3.getME("cnms") == {"school": ["(Intercept)", "femaleF"]}
    assert m3.getME("flist")["school"].cat.categories.tolist() == m3.ranef()["school"].index.tolist()
    assert m3.getME("y").equals(gcse["course"].dropna()) or np.array_equal(m3.getME("y"), gcse["course"].dropna())
    for key in ("optimizer", "feval", "conv", "message", "gradient"):
        assert key in m3.optinfo
    assert len(m3.optinfo["gradient"]) == 3


def test_results_are_copies(m3):
    for got in (m3.fixef(), m3.residuals()):
        got.iloc[0] = 99
    for got in (m3.ranef()["school"], m3.vcov()):
        got.iloc[0, 0] = 0
    assert 60 < m3.fixef().iloc[0] < 80
    assert m3.ranef()["school"].iloc[0, 0] != 0
    assert abs(m3.residuals().iloc[0]) < 50
    assert m3.vcov().iloc[0, 0] > 0


def test_devfun_is_the_fits_objective_and_does_not_disturb_it(m3):
    before = m3.fitted()
    theta = m3.getME("theta")
    assert m3.devfun(theta) == m3.deviance()
    points = np.vstack([theta, [1, 0, 1], [0.5, 0.1, 0.0]])
    values = m3.devfun(points)
    assert values.shape == (3,)
    assert values[0] == m3.deviance()
    assert (values[1:] > values[0]).all()
    np.testing.assert_array_equal(m3._ask_once("lme4_residuals", type="response", scaled=False)["values"],
                                  m3.residuals().to_numpy())  # fmt: skip
    pd.testing.assert_series_equal(before, m3.fitted())
    with pytest.raises(DataError, match="3 elements"):
        m3.devfun([1.0])
    with pytest.raises(DataError, match="finite"):
        m3.devfun([np.nan, 0, 1])


def test_tight_is_never_above_default_and_repeats(gcse, sleepstudy):
    penicillin = datasets.load("Penicillin", package="lme4")
    for formula, data in (
        (M3, gcse),
        ("Reaction ~ Days + (Days | Subject)", sleepstudy),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin),
    ):
        for REML in (False, True):
            loose = lme4.lmer(formula, data, REML=REML)
            tight = lme4.lmer(formula, data, REML=REML, control="tight")
            at = [f.devfun(f.getME("theta")) for f in (loose, tight)]
            assert at[1] <= at[0] + 1e-11 * abs(at[0])
            again = lme4.lmer(formula, data, REML=REML, control="tight")
            assert again.getME("theta").equals(tight.getME("theta"))


def test_reml_deviance_warns_as_r_does(sleepstudy):
    fit = lme4.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    with pytest.warns(RWarning, match="deprecated for REML fits"):
        assert fit.deviance() == fit.REMLcrit()
    ml = fit.refitML()
    assert not ml.isREML()
    # R evaluates the REML criterion at the ML estimates
    assert ml.REMLcrit() > fit.REMLcrit()


def test_singular_fit_says_so_in_messages():
    data = datasets.load("Dyestuff2", package="lme4")
    fit = lme4.lmer("Yield ~ 1 + (1 | Batch)", data)
    assert fit.messages == ("boundary (singular) fit: see help('isSingular')",)
    assert fit.isSingular()


def test_warnings_reach_python_twice(sleepstudy):
    control = lme4.lmerControl(optimizer="bobyqa", optCtrl={"maxfun": 5})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit = lme4.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, control=control)
    assert all(item.category is RWarning for item in seen)
    assert tuple(str(item.message) for item in seen) == fit.warnings
    assert any("convergence code 1 from bobyqa" in text for text in fit.warnings)
    assert fit.optinfo["optimizer"] == "bobyqa"


def test_index_of_any_kind_is_kept(sleepstudy):
    wanted = lme4.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy).fitted().to_numpy()
    shuffled = sleepstudy.copy()
    shuffled.loc[3, "Reaction"] = np.nan
    for index in (
        pd.Index([f"row{i}" for i in range(180)]),
        pd.Index(np.arange(180)[::-1] * 10),
        pd.Index([0] * 180),
        pd.MultiIndex.from_product([range(18), range(10)]),
        pd.date_range("2020", periods=180),
    ):
        data = sleepstudy.set_axis(index)
        fit = lme4.lmer("Reaction ~ Days + (1 | Subject)", data)
        assert fit.fitted().index.equals(index)
        np.testing.assert_array_equal(fit.fitted().to_numpy(), wanted)
        gap = lme4.lmer("Reaction ~ Days + (1 | Subject)", shuffled.set_axis(index))
        assert gap.fitted().index.equals(index.delete(3))


def test_weights_offset_subset_by_name_array_and_series(sleepstudy):
    data = sleepstudy.assign(w=np.linspace(1, 2, 180), o=np.arange(180.0), keep=np.arange(180) % 3 > 0)
    f = "Reaction ~ Days + (1 | Subject)"
    by_name = lme4.lmer(f, data, weights="w", offset="o", subset="keep")
    by_array = lme4.lmer(f, data, weights=data["w"].to_numpy(), offset=data["o"].tolist(), subset=data["keep"])
    assert by_name.nobs() == 120
    pd.testing.assert_series_equal(by_name.fixef(), by_array.fixef())
    assert by_name.fitted().index.equals(data.index[data["keep"]])
    assert "Weights: w\n" in str(by_name.summary())
    assert by_name.fixef().iloc[0] != lme4.lmer(f, data).fixef().iloc[0]
    for bad, said in (
        ({"weights": "nope"}, "names no column"),
        ({"weights": np.ones(3)}, "3 values"),
        ({"weights": ["a"] * 180}, "weights must be a string, a sequence of numbers"),
        ({"subset": np.ones(180)}, "booleans"),
        ({"offset": pd.Series(np.ones(180), index=np.arange(180) + 1)}, "index"),
        ({"weights": np.ones((180, 2))}, "2 dimensions"),
        ({"na_action": "drop"}, "na.omit"),
        ({"control": "loose"}, "tight"),
        ({"control": {"a": 1}}, "lmerControl"),
        ({"REML": "yes"}, "True or False"),
        ({"contrasts": {"nope": "contr.sum"}}, "no column"),
        ({"contrasts": {"Subject": "system"}}, "contr.helmert"),
        ({"data_name": "a; b"}, "not a name in R"),
    ):
        with pytest.raises(DataError, match=said):
            lme4.lmer(f, data, **bad)


def test_contrasts_by_name_and_matrix(gcse):
    by_name = lme4.lmer(M2, gcse, contrasts={"female": "contr.sum"})
    by_matrix = lme4.lmer(M2, gcse, contrasts={"female": np.array([[1.0], [-1.0]])})
    assert by_name.fixef().index.tolist() == ["(Intercept)", "female1"]
    np.testing.assert_allclose(by_name.fixef(), by_matrix.fixef(), rtol=1e-9)
    plain = lme4.lmer(M2, gcse).fixef()
    np.testing.assert_allclose(by_name.fixef()["female1"], -plain["femaleF"] / 2, rtol=1e-6)


def test_other_columns_do_no_harm(sleepstudy):
    data = sleepstudy.assign(odd=[[1]] * 180, complex=1j)
    assert lme4.lmer("Reaction ~ Days + (1 | Subject)", data).nobs() == 180


def test_dot_means_all_other_columns(sleepstudy):
    fit = lme4.lmer("Reaction ~ . - Subject + (1 | Subject)", sleepstudy)
    assert "Days" in fit.fixef().index


def test_data_name(sleepstudy):
    f = "Reaction ~ Days + (1 | Subject)"
    assert "Data: sleepstudy\n" in str(lme4.lmer(f, sleepstudy).summary())
    assert "Data: mine\n" in str(lme4.lmer(f, sleepstudy, data_name="mine").summary())
    plain = pd.DataFrame(sleepstudy)
    plain.attrs = {}
    assert "Data: data\n" in str(lme4.lmer(f, plain).summary())


def test_lFormula_is_the_design_without_the_fit(gcse, m3):
    design = lme4.lFormula(M3, gcse)
    pd.testing.assert_frame_equal(design.X, m3.getME("X"))
    assert abs(design.Z - m3.getME("Z")).nnz == 0
    assert design.cnms == m3.getME("cnms")
    assert design.theta.index.equals(m3.getME("theta").index)
    pd.testing.assert_frame_equal(design.flist, m3.getME("flist"))
    dropped = lme4.lFormula("course ~ female + I(2 * (female == 'F')) + (1 | school)", gcse)
    assert dropped.messages
    assert dropped.X.shape[1] == 2


def test_several_terms_of_one_factor(sleepstudy):
    fit = lme4.lmer("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleepstudy)
    assert fit.getME("cnms") == {"Subject": ["(Intercept)"], "Subject.1": ["Days"]}
    variances = fit.ranef_condVar()["Subject"]
    assert variances.shape == (18, 2, 2)
    assert np.isnan(variances.sel(effect="Days", effect2="(Intercept)")).all()
    assert (variances.sel(effect="Days", effect2="Days") > 0).all()


@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("Reaction ~ Days + (Days || Subject)", ("sleepstudy", "lme4")),
        ("angle ~ recipe * temperature + (recipe | replicate)", ("cake", "lme4")),
        ("strength ~ 1 + (1 | batch/cask)", ("Pastes", "lme4")),
        ("height ~ age + I(age^2) + (age + I(age^2) | Subject)", ("Oxboys", "mlmRev")),
        ("Reaction ~ poly(Days, 2) + scale(Days^3) + (0 + Days | Subject)", ("sleepstudy", "lme4")),
    ],
)
def test_other_designs_hang_together(formula, data):
    data = datasets.load(data[0], package=data[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = lme4.lmer(formula, data)
    design = lme4.lFormula(formula, data)
    assert design.theta.index.equals(fit.getME("theta").index)
    assert abs(design.Z - fit.getME("Z")).nnz == 0
    linear = fit.getME("X").to_numpy() @ fit.fixef().to_numpy() + fit.getME("Z") @ fit.getME("b")
    np.testing.assert_allclose(linear, fit.fitted(), rtol=1e-10)
    np.testing.assert_allclose(fit.getME("Lambda") @ fit.getME("u"), fit.getME("b"), atol=1e-10)
    np.testing.assert_allclose(fit.devfun(fit.getME("theta")), fit.REMLcrit(), rtol=1e-13)
    assert sum(len(e) for e in fit.getME("cnms").values()) == sum(f.shape[1] for f in fit.ranef().values())
    for group, variances in fit.ranef_condVar().items():
        assert variances.shape == (fit.ngrps()[group], *[fit.ranef()[group].shape[1]] * 2)
    assert fit.getME("is_REML") is True
    assert fit.getME("devcomp")["cmp"]["REML"] == fit.REMLcrit()
    assert isinstance(fit.getME("ST"), dict)


def test_crossed_terms_in_lme4s_order():
    data = datasets.load("Penicillin", package="lme4")
    fit = lme4.lmer("diameter ~ 1 + (1 | sample) + (1 | plate)", data)
    assert list(fit.ngrps().index) == ["plate", "sample"]
    assert fit.getME("theta").index.tolist() == ["plate.(Intercept)", "sample.(Intercept)"]


def test_verbs_of_lme4(sleepstudy):
    f1, f0 = "Reaction ~ Days + (Days | Subject)", "Reaction ~ 1 + (Days | Subject)"
    fit, smaller = lme4.lmer(f1, sleepstudy), lme4.lmer(f0, sleepstudy)
    table = fit.anova(smaller, names=["full", "null"])
    assert table.index.tolist() == ["null", "full"]
    np.testing.assert_allclose(table.loc["full", "Chisq"], 23.5365, atol=1e-3)
    assert "null: Reaction ~ 1 + (Days | Subject)" in table.attrs["text"]
    assert fit.drop1("Chisq").index.tolist() == ["<none>", "Days"]
    wald = fit.confint("Wald")
    assert wald.columns.tolist() == ["2.5 %", "97.5 %"]
    np.testing.assert_allclose(
        wald.loc["Days"], fit.fixef()["Days"] + np.array([-1, 1]) * 1.959964 * np.sqrt(fit.vcov().loc["Days", "Days"])
    )
    assert np.isnan(wald.loc[".sig01"]).all()
    profiled = fit.confint(parm="theta_")
    assert profiled.index.tolist() == [".sig01", ".sig02", ".sig03", ".sigma"]
    zeta = fit.profile("beta_")
    assert {".zeta", "Days", ".par"} <= set(zeta.columns)
    simulated = fit.simulate(3, seed=1)
    assert simulated.shape == (180, 3)
    pd.testing.assert_frame_equal(simulated, fit.simulate(3, seed=1))
    again = fit.refit(simulated["sim_1"])
    assert again.fixef()["Days"] != fit.fixef()["Days"]
    same = fit.refit(sleepstudy["Reaction"])
    np.testing.assert_allclose(same.fixef(), fit.fixef(), rtol=1e-6)
    with pytest.raises(DataError, match="180"):
        fit.refit([1.0, 2.0])
    new = sleepstudy.iloc[:2].assign(Subject=["308", "new"])
    with pytest.raises(RError, match="new levels"):
        fit.predict(new)
    predicted = fit.predict(new, allow_new_levels=True)
    np.testing.assert_allclose(predicted.iloc[0], fit.fitted().iloc[0])
    np.testing.assert_allclose(predicted.iloc[1], fit.fixef().iloc[0] + fit.fixef().iloc[1])
    np.testing.assert_allclose(fit.predict(re_form="NA").iloc[0], fit.fixef().iloc[0])
    pd.testing.assert_series_equal(fit.predict(), fit.fitted())
    with pytest.raises(FormulaError):
        fit.predict(re_form="~system('ls')")
    boot = fit.bootMer("fixef", nsim=3, seed=1)
    assert boot.shape == (3, 2)
    assert boot.attrs["observed"]["Days"] == fit.fixef()["Days"]
    assert fit.rePCA()["Subject"].shape == (2,)


def test_an_objective_without_a_value_has_one_elsewhere_again(sleepstudy, live_dialect):
    """lme4 2.1-0's own function gives NaN for ever once it gave NaN."""
    if not live_dialect.has("structured_covariances"):
        pytest.skip("lme4 has no cs() before 2.0")
    data = sleepstudy.assign(part=pd.cut(sleepstudy["Days"], 3, labels=["early", "middle", "late"]))
    fit = lme4.lmer("Reaction ~ Days + cs(0 + part | Subject)", data)
    par = fit.getME("par").to_numpy()
    before = fit.devfun(par)
    assert np.isnan(fit.devfun([*par[:-1], 1.0]))
    assert fit.devfun(par) == before


def test_what_was_read_outlives_r(sleepstudy):
    with Session() as session, use(session):
        fit = lme4.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        session.restart()
        assert fit.fixef()["Days"] > 10
        assert "Reaction" in str(fit.summary())
        with pytest.raises(HandleError, match="fit the model again"):
            fit.devfun([1.0])


def test_handles_of_fits_are_freed(sleepstudy):
    fit = lme4.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    fit.devfun([1.0])
    before = default().live_handles()
    del fit
    assert default().live_handles() == before - 2


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "y": rng.normal(size=24),
            "x": rng.normal(size=24),
            "g": pd.Categorical(np.repeat(list("abcdef"), 4)),
            "one": "only",
            "each": [f"r{i}" for i in range(24)],
            "text": ["a", "b"] * 12,
            "constant": 3.0,
        }
    )


@pytest.mark.parametrize(
    ("formula", "change", "error", "said"),
    [
        ("y ~ x2 + (1 | g)", {}, DataError, r"'x2' \(did you mean 'x'\?\)|'x2'"),
        ("text ~ x + (1 | g)", {}, DataError, "'text' is not numeric"),
        ("g ~ x + (1 | g)", {}, DataError, "'g' is not numeric"),
        ("y ~ x + (1 | g)", {"y": np.nan}, DataError, "'y' is missing in all 24 rows"),
        ("y ~ x + (1 | g)", {"x": np.nan}, DataError, r"no row is complete.*'x' in 24"),
        ("y ~ x + (1 | one)", {}, DataError, "one level.*'one' has 1"),
        ("y ~ x + (1 | each)", {}, DataError, "level for each row.*'each' has 24"),
        ("constant ~ x + (1 | g)", {}, DataError, "same value, 3, in all 24 rows"),
        ("y ~ x + (1 | g)", {"y": [np.inf] + [1.0] * 23}, DataError, "'y' holds 1 infinite value;"),
        ("y ~ x + (1 | g)", {"x": [-np.inf, np.inf] + [1.0] * 22}, DataError, "'x' holds 2 infinite values;"),
        ("y ~ x + (1 | g", {}, FormulaError, "without"),
        ("y ~ x + system('ls') + (1 | g)", {}, FormulaError, "'system'"),
        ("y ~ x", {}, RError, "No random effects terms"),
        ("y ~ x + (x | g)", {"g": np.repeat(list("abcdefghijkl"), 2)}, DataError, "more random effects than rows"),
    ],
)
def test_bad_input(small, formula, change, error, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error, match=said):
            lme4.lmer(formula, small.assign(**change))
        # and the next call works
        assert default().call("echo", x=1).value == [1]


def test_infinite_values_outside_the_subset_do_no_harm(small):
    small.loc[0, "x"] = np.inf
    assert lme4.lmer("y ~ x + (1 | g)", small, subset=np.arange(24) > 0).nobs() == 23


def test_a_package_that_is_missing_or_too_old():
    with pytest.raises(RPackageError, match=r"'lme4' is version .*; version 99\.1 or later is needed. Run: ") as caught:
        default().call("need", package="lme4", needed="99.1")
    assert caught.value.needed == "99.1"
    with pytest.raises(RPackageError, match="'noSuchPackage' is not installed"):
        default().call("need", package="noSuchPackage")


def test_errors_survive_pickling():
    for error in (RPackageError("lme4", None, "1.1", "cmd"), RError("m", "f(x)", ("a",)), DataError("d")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)


def test_a_name_that_is_no_symbol_in_attrs_is_not_used(small):
    small.attrs["name"] = "my data"
    assert "Data: data\n" in str(lme4.lmer("y ~ x + (1 | g)", small).summary())


def test_empty_data(small):
    with pytest.raises(DataError, match="no rows"):
        lme4.lmer("y ~ x + (1 | g)", small.iloc[:0])
    with pytest.raises(DataError, match="DataFrame"):
        lme4.lmer("y ~ x + (1 | g)", json)


def test_unknown_control_argument():
    with pytest.raises(DataError, match="'optimiser'"):
        lme4.lmerControl(optimiser="bobyqa")
    with pytest.raises(DataError, match="not a number"):
        lme4.lmerControl(optCtrl={"maxfun": [1]})


def test_refit_where_rows_were_dropped():
    data = datasets.load("sleepstudy", package="lme4")
    data.loc[[3, 90], "Reaction"] = np.nan
    fit = lme4.lmer("Reaction ~ Days + (1 | Subject)", data, REML=False)
    response = fit.simulate(1, seed=1)["sim_1"]
    assert len(response) == fit.nobs() == 178
    again = fit.refit(response)
    criteria, seconds = fit.refit_each(pd.DataFrame({"a": response, "b": fit.getME("y")}))
    assert criteria.tolist() == [again.deviance(), fit.refit(fit.getME("y")).deviance()]
    assert seconds >= 0
    with pytest.raises(DataError, match=r"178 rows are needed"):
        fit.refit_each(np.zeros((180, 2)))
    full = pd.Series(0.0, index=data.index)
    full.loc[response.index] = response
    assert again.deviance() == fit.refit(full).deviance() != fit.deviance()
    assert again.seconds["elapsed"] >= 0


@pytest.mark.r
def test_a_fit_whose_vcov_fails_in_r_is_still_a_fit():
    """R's vcov() stops where sigma^2 underflows, and takes summary() and print() with it."""
    frame = pd.DataFrame({"x": np.tile([0.0, 1.0, 3.0], 20), "g": np.repeat(np.arange(12), 5)})
    frame["y"] = (np.random.default_rng(1).normal(size=60) + np.arange(60) % 12) * 1e-200
    fit = lme4.lmer("y ~ x + (1 | g)", frame)
    assert fit.vcov().isna().all(axis=None)
    assert fit.vcov().index.tolist() == ["(Intercept)", "x"]
    assert fit.coef_table()["Estimate"].tolist() == fit.fixef().tolist()
    assert fit.coef_table()["Std. Error"].isna().all()
    with pytest.warns(RWarning, match="not a positive definite matrix"):
        assert "R prints nothing of this fit" in fit.summary()
