"""Verbs of ``lmer`` fits beside live R: influence, ranova, printed tests, accessors, simulation; and allFit."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, ModelError
from pyimpl.linalg import threads
from pyimpl.models.lmer import lmer

# One R process for all: estimates of tight fits, so that what is compared are the verbs, not the optimizers.
_R = r"""
suppressMessages({library(lme4); library(lmerTest); library(jsonlite)})
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 2e-8))
sleep <- sleepstudy; sleep$w <- rep(c(1, 2, 0.5), 60); sleep$Reaction[c(3, 17)] <- NA
sleep$late <- factor(ifelse(sleep$Days > 4, "late", "early"))
few <- droplevels(subset(sleepstudy, as.integer(Subject) <= 4))
write.csv(sleep, file.path(folder, "sleep.csv"), row.names = FALSE)
write.csv(few, file.path(folder, "few.csv"), row.names = FALSE)
write.csv(Penicillin, file.path(folder, "Penicillin.csv"), row.names = FALSE)
fits <- list(
  sleep = lme4::lmer(Reaction ~ Days + late + (Days | Subject), sleep, weights = w, control = tight),
  Penicillin = lme4::lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, REML = FALSE, control = tight),
  few = lme4::lmer(Reaction ~ Days + (1 | Subject), few, control = tight))
frame <- function(x) list(rows = as.character(rownames(x)), columns = colnames(x), values = unname(as.matrix(x)))
one <- function(m, group) {  # lme4's dfbetas fails with one coefficient
  i <- if (is.null(group)) influence(m) else influence(m, group)
  list(dfbeta = frame(dfbeta(i)),
    components = frame(dfbeta(i, "var.cov")),
    dfbetas = if (length(fixef(m)) > 1) frame(dfbetas(i)),
    cooks = unname(cooks.distance(i)))
}
out <- list(influence = list(sleep = one(fits$sleep, "Subject"), Penicillin = one(fits$Penicillin, "sample"),
  few = one(fits$few, NULL)))
tests <- list(
  sleep = lmerTest::lmer(Reaction ~ Days + late + (Days | Subject), sleep, control = tight),
  ml = lmerTest::lmer(Reaction ~ Days + late + (Days | Subject), sleep, REML = FALSE, control = tight),
  double = lmerTest::lmer(Reaction ~ Days + (Days || Subject), sleep, weights = w, control = tight),
  slopes = lmerTest::lmer(Reaction ~ late + (0 + Days + late | Subject), sleep, control = tight),
  nested = lmerTest::lmer(Reaction ~ 1 + (1 | Subject/late), sleep, REML = FALSE, control = tight))
text <- function(x) paste(capture.output(print(x)), collapse = "\n")
rv <- function(m, ...) { r <- ranova(m, ...); list(table = frame(r), text = text(r)) }
out$ranova <- suppressWarnings(suppressMessages(lapply(tests, rv)))
out$whole <- suppressWarnings(suppressMessages(lapply(tests, rv, reduce.terms = FALSE)))
out$satterthwaite <- lapply(tests[c("sleep", "ml")], function(m) text(summary(m)))
out$kr <- text(summary(tests$sleep, ddf = "Kenward-Roger"))
out$refused <- tryCatch(text(summary(tests$ml, ddf = "Kenward-Roger")), error = conditionMessage)
m <- fits$sleep; n <- tests$nested
out$access <- list(
  extractAIC = extractAIC(m), k = extractAIC(m, k = 5), fixed = deparse(formula(m, fixed.only = TRUE)),
  random = deparse(formula(n, random.only = TRUE)), labels = attr(terms(m), "term.labels"),
  random_labels = attr(terms(m, random.only = TRUE), "term.labels"),
  all_labels = attr(terms(m, fixed.only = FALSE), "term.labels"),
  frame = names(model.frame(m)), fixed_frame = names(model.frame(m, fixed.only = TRUE)),
  rows = nrow(model.frame(m)), X = unname(model.matrix(m)), Z = unname(as.matrix(model.matrix(m, "random"))),
  raw = unname(model.matrix(m, "randomListRaw")[[1]]), weights = weights(m), data = dim(getData(m)),
  family = text(family(m)), logLik = c(logLik(m), logLik(m, REML = FALSE)),
  deviance = c(deviance(m, REML = TRUE), deviance(m, REML = FALSE)))
long <- function(m) { d <- as.data.frame(ranef(m)); list(grpvar = d$grpvar, term = as.character(d$term),
  grp = as.character(d$grp), condval = d$condval, condsd = d$condsd, levels = levels(d$grp), terms = levels(d$term)) }
out$ranef <- lapply(fits[c("sleep", "Penicillin")], long)
new <- data.frame(Days = c(0, 5, 9, 9), late = c("early", "late", "late", "late"),
  Subject = c("308", "new", "new", "other"), w = 1)
s <- simulate(m, nsim = 5000, seed = 1, newdata = new, allow.new.levels = TRUE)
cond <- simulate(m, nsim = 4000, seed = 1, newdata = new[1:2, ], re.form = NULL, allow.new.levels = TRUE)
out$simulate <- list(mean = rowMeans(s), cov = cov(t(as.matrix(s))), conditional = rowMeans(cond),
  sd = apply(as.matrix(cond), 1, sd),
  refused = tryCatch(simulate(m, newdata = new), error = conditionMessage))
cat(toJSON(out, digits = NA, auto_unbox = TRUE, na = "null"))
"""

FORMULAS = {
    "sleep": ("Reaction ~ Days + late + (Days | Subject)", True, None),
    "ml": ("Reaction ~ Days + late + (Days | Subject)", False, None),
    "double": ("Reaction ~ Days + (Days || Subject)", True, "w"),
    "slopes": ("Reaction ~ late + (0 + Days + late | Subject)", True, None),
    "nested": ("Reaction ~ 1 + (1 | Subject/late)", False, None),
}


@pytest.fixture(scope="module")
def r(rscript, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    out = json.loads(rscript(f'folder <- "{folder}"\n{_R}'))
    frames = {}
    for path in folder.glob("*.csv"):
        frame = pd.read_csv(path)
        for name in ("Subject", "plate", "sample", "late"):
            if name in frame:
                values = frame[name].map(lambda v: None if pd.isna(v) else f"{v:.0f}" if not isinstance(v, str) else v)
                frame[name] = pd.Categorical(values)
        frame.attrs["name"] = path.stem
        frames[path.stem] = frame
    return out, frames


def fit(frames, name, dialect=None, frame="sleep"):
    formula, REML, weights = FORMULAS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(formula, frames[frame], REML, weights=weights, dialect=dialect)


@pytest.fixture(scope="module")
def ours(r, live_dialect):
    frames, spoken = r[1], {"dialect": live_dialect}
    return {
        "sleep": lmer("Reaction ~ Days + late + (Days | Subject)", frames["sleep"], weights="w", **spoken),
        "Penicillin": lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", frames["Penicillin"], REML=False, **spoken),
        "few": lmer("Reaction ~ Days + (1 | Subject)", frames["few"], **spoken),
    }


def table(part):
    return pd.DataFrame(
        np.array(part["values"], dtype=float), index=part["rows"], columns=np.atleast_1d(part["columns"])
    )


@pytest.mark.r
@pytest.mark.parametrize(("name", "group"), [("sleep", "Subject"), ("Penicillin", "sample"), ("few", None)])
def test_influence_is_that_of_lme4(r, ours, name, group):
    theirs, m = r[0]["influence"][name], ours[name]
    found = m.influence(group)
    se = m.coef_table()["Std. Error"].to_numpy()
    beta = table(theirs["dfbeta"])
    if group is None:
        beta.index = pd.Index(int(label) - 1 for label in beta.index)
    mine = found.dfbeta().rename(index=str if group else int)
    assert list(mine.index) == list(beta.index)
    assert list(mine.columns) == list(beta.columns)
    # lme4 refits with the default optimizer: 1e-3 standard errors is what that costs
    assert (np.abs(mine.to_numpy() - beta.to_numpy()) / se).max() < 2e-3
    parts = table(theirs["components"])
    assert list(found.var_cov_comps.index) == list(parts.columns)
    scale = np.maximum(np.abs(parts.to_numpy()).max(axis=0), 1e-12)
    assert (np.abs(found.dfbeta("var.cov").to_numpy() - parts.to_numpy()) / scale).max() < 5e-3
    if theirs["dfbetas"]:
        np.testing.assert_allclose(found.dfbetas().to_numpy(), table(theirs["dfbetas"]), atol=2e-3)
    cooks = np.array(theirs["cooks"], dtype=float)
    np.testing.assert_allclose(found.cooks_distance(), cooks, rtol=5e-3, atol=2e-5)
    assert found.converged.all()


def _small(n=6, seed=3):
    rng = np.random.default_rng(seed)
    g = np.repeat([f"g{i}" for i in range(n)], 5)
    f = pd.Categorical(np.where(np.arange(g.size) < 5, "rare", np.tile(["a", "b", "a", "b", "a"], n)))
    x = rng.normal(size=g.size)
    y = 1 + x + np.repeat(rng.normal(size=n), 5) + 0.5 * rng.normal(size=g.size)
    return pd.DataFrame({"y": y, "x": x, "g": g, "f": f})


def test_influence_deletes_what_an_update_without_the_rows_deletes():
    d = _small()
    d.loc[7, "x"] = np.nan
    d.loc[d["g"] == "g5", "y"] = np.nan
    m = lmer("y ~ x + (1 | g)", d)
    found = m.influence("g")
    for level in ("g0", "g3"):
        alone = lmer("y ~ x + (1 | g)", d[d["g"] != level])
        np.testing.assert_allclose(found.fixed_effects_deleted.loc[level], alone.fixef(), atol=1e-7)
        np.testing.assert_allclose(found.vcov_deleted[level], alone.vcov(), atol=1e-6)
    assert (found.dfbeta().loc["g5"] == 0).all()  # no row of it is used
    assert found.function_evals["g5"] == 0
    assert not (found.dfbeta().loc["g0"] == 0).any()


def test_influence_of_a_unit_that_takes_a_coefficient_along():
    d = _small()
    found = lmer("y ~ x + f + (1 | g)", d).influence("g")
    assert found.dfbeta().loc["g0"].isna().sum() == 1  # level "rare" is seen in g0 only
    assert not found.dfbeta().drop(index="g0").isna().any().any()


def test_influence_in_workers_and_by_two_columns(monkeypatch):
    d = _small()
    m = lmer("y ~ x + (1 | g)", d)
    alone = m.influence(["g", "f"])
    assert alone.groups == "g.f"
    assert alone.deleted[0] == "g0.rare"
    from joblib import parallel_config

    with parallel_config(backend="threading"):
        pd.testing.assert_frame_equal(m.influence(["g", "f"], n_jobs=2).dfbeta(), alone.dfbeta())


def test_influence_says_what_it_cannot_do():
    d = _small(3)
    m = lmer("y ~ x + (1 | g)", d)
    with pytest.raises(DataError, match="'school' is no column of the data"):
        m.influence("school")
    with pytest.raises(DataError, match="which must be"):
        m.influence("g").dfbeta("random")
    everything = d.assign(all="one")
    found = lmer("y ~ x + (1 | g)", everything).influence("all")
    assert list(found.errors) == ["one"]
    assert found.dfbeta().isna().all().all()


@pytest.mark.r
@pytest.mark.parametrize("name", FORMULAS)
def test_ranova_is_that_of_lmerTest(r, name, live_dialect):
    theirs, frames = r
    for part, reduce in (("ranova", True), ("whole", False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine = fit(frames, name, live_dialect).ranova(reduce)
        other = table(theirs[part][name]["table"])
        assert list(mine.columns) == list(other.columns)
        assert list(mine.index) == list(other.index)
        np.testing.assert_allclose(mine["logLik"], other["logLik"], atol=2e-3)  # refits are R's default ones
        np.testing.assert_allclose(mine[["npar", "Df"]], other[["npar", "Df"]])
        np.testing.assert_allclose(mine["Pr(>Chisq)"], other["Pr(>Chisq)"], rtol=5e-3, atol=1e-12)
        heading = theirs[part][name]["text"].split("npar")[0]
        assert mine.to_text().split("npar")[0] == heading


def printed(text):
    """What R printed, without the line about the optimizer's control."""
    return "\n".join(line for line in text.split("\n") if line != "Control: tight").rstrip("\n")


@pytest.mark.r
def test_printed_tests_are_those_of_lmerTest(r, live_dialect):
    theirs, frames = r
    for name, text in theirs["satterthwaite"].items():
        assert fit(frames, name, live_dialect).summary(ddf="Satterthwaite").to_text() == printed(text), name
    assert fit(frames, "sleep", live_dialect).summary(ddf="Kenward-Roger").to_text() == printed(theirs["kr"])
    ml = fit(frames, "ml")
    assert "REML" in theirs["refused"]
    with pytest.raises(ModelError, match="only available for REML"):
        ml.summary(ddf="Kenward-Roger")
    assert ml.summary(ddf="lme4").to_text() == ml.summary().to_text()
    with pytest.raises(DataError, match="'z'"):
        ml.summary(ddf="z")


@pytest.mark.r
def test_accessors_are_those_of_lme4(r, ours):
    theirs, frames = r
    a, m, nested = theirs["access"], ours["sleep"], fit(frames, "nested")
    np.testing.assert_allclose(m.extractAIC(), a["extractAIC"], rtol=1e-9)
    np.testing.assert_allclose(m.extractAIC(k=5), a["k"], rtol=1e-9)
    assert m.get_formula(fixed_only=True) == a["fixed"]
    assert nested.get_formula(random_only=True) == a["random"]
    assert m.get_formula() == m.formula
    assert list(m.terms().labels) == a["labels"]
    assert list(m.terms(random_only=True).labels) == a["random_labels"]
    assert list(m.terms(fixed_only=False).labels) == a["all_labels"]
    assert list(m.model_frame().columns) == a["frame"]
    assert list(m.model_frame(fixed_only=True).columns) == a["fixed_frame"]
    assert len(m.model_frame()) == a["rows"] == m.nobs()
    np.testing.assert_array_equal(m.model_matrix().to_numpy(), a["X"])
    np.testing.assert_array_equal(m.model_matrix("random").toarray(), a["Z"])
    np.testing.assert_array_equal(m.model_matrix("randomListRaw")["Days | Subject"].to_numpy(), a["raw"])
    np.testing.assert_array_equal(m.weights(), a["weights"])
    assert list(m.getData().shape) == a["data"]
    assert str(m.family()).strip() == a["family"].strip()
    np.testing.assert_allclose([m.logLik(), m.logLik(REML=False)], a["logLik"], rtol=1e-9)
    # lme4 1.1-31 gives the deviance for REML = TRUE as well, where its help promises the criterion
    assert m.deviance(REML=False) == pytest.approx(a["deviance"][0], rel=1e-9) == a["deviance"][1]
    assert m.deviance(REML=True) == pytest.approx(-2 * a["logLik"][0], rel=1e-9)
    assert (m.isLMM(), m.isGLMM(), m.isNLMM()) == (True, False, False)
    with pytest.raises(DataError, match="can't specify"):
        m.get_formula(fixed_only=True, random_only=True)
    with pytest.raises(DataError, match="type must be"):
        m.model_matrix("mixed")


def test_offset_and_matrix_columns_of_the_model_frame():
    d = _small().assign(o=0.5)
    m = lmer("y ~ poly(x, 2) + (x | g)", d.assign(h=d["g"]), offset="o")
    assert list(m.model_frame().columns) == ["y", "poly(x, 2).1", "poly(x, 2).2", "x", "g", "(offset)"]
    assert list(m.model_frame(fixed_only=True).columns) == ["y", "poly(x, 2).1", "poly(x, 2).2", "(offset)"]
    inside = lmer("y ~ x + offset(o) + (1 | g)", d)
    assert "(offset)" not in inside.model_frame()
    assert (inside.weights() == 1).all()


@pytest.mark.r
@pytest.mark.parametrize("name", ["sleep", "Penicillin"])
def test_long_random_effects_are_those_of_lme4(r, ours, name):
    mine, theirs = ours[name].ranef_frame(), r[0]["ranef"][name]
    for column in ("grpvar", "term", "grp"):
        assert mine[column].astype(str).tolist() == np.ravel(theirs[column]).tolist()
    # the levels' order is that of the modes, up to R's rounding errors of equal ones
    assert set(mine["grp"].cat.categories) == set(theirs["levels"])
    first = mine[mine["term"] == "(Intercept)"].set_index("grp")["condval"]
    for group in mine["grpvar"].unique():
        known = [level for level in theirs["levels"] if level in set(mine["grp"][mine["grpvar"] == group])]
        assert (np.diff(first[known].to_numpy(float)) > -1e-6).all()
        assert (np.diff(first[[v for v in mine["grp"].cat.categories if v in known]].to_numpy(float)) >= 0).all()
    assert list(mine["term"].cat.categories) == list(np.ravel(theirs["terms"]))
    np.testing.assert_allclose(mine["condval"], theirs["condval"], atol=2e-5 * np.abs(theirs["condval"]).max())
    np.testing.assert_allclose(mine["condsd"], theirs["condsd"], rtol=1e-5)


@pytest.mark.r
def test_simulation_of_new_data_has_the_moments_of_lme4(r, ours):
    theirs, m = r[0]["simulate"], ours["sleep"]
    late = ["early", "late", "late", "late"]
    new = pd.DataFrame(
        {"Days": [0, 5, 9, 9], "late": late, "Subject": ["308", "new", "new", "other"]}, index=list("abcd")
    )
    mine = m.simulate(5000, 1, newdata=new, allow_new_levels=True)
    assert list(mine.index) == list("abcd")
    cov, other = np.cov(mine.to_numpy()), np.array(theirs["cov"])
    sd = np.sqrt(np.diag(other))
    # four Monte Carlo errors of a difference of two runs of 5000
    assert (np.abs(mine.mean(axis=1).to_numpy() - theirs["mean"]) / sd).max() < 4 * 2**0.5 / 5000**0.5
    assert (np.abs(cov - other) / np.outer(sd, sd)).max() < 4 * 2 / 5000**0.5
    # rows of one new level move together, those of others do not
    assert cov[1, 2] / (sd[1] * sd[2]) > 0.3
    assert abs(cov[2, 3] / (sd[2] * sd[3])) < 0.08
    given = m.simulate(4000, 1, newdata=new.iloc[:2], re_form=None, allow_new_levels=True)
    np.testing.assert_allclose(given.mean(axis=1), theirs["conditional"], atol=6 * max(theirs["sd"]) / 4000**0.5)
    np.testing.assert_allclose(given.std(axis=1), theirs["sd"], rtol=0.08)
    assert "new levels detected" in theirs["refused"]
    with pytest.raises(DataError, match=r"new levels detected in newdata: new, other.*is drawn"):
        m.simulate(newdata=new)


def test_simulation_with_other_parameters():
    m = lmer("y ~ x + (1 | g)", _small())
    flat = m.simulate(2, 1, newparams={"beta": [3.0, 0.0], "theta": [0.0], "sigma": 0.0})
    assert (flat == 3.0).all().all()
    named = m.simulate(
        1, 1, newparams={"beta": pd.Series({"x": 0.0, "(Intercept)": 3.0}), "theta": [0.0], "sigma": 0.0}
    )
    assert (named == 3.0).all().all()
    for wrong, text in (
        ({"beta": [1.0]}, "beta needs 2"),
        ({"tau": 1}, "'tau'"),
        ({"sigma": -1}, "negative"),
    ):
        with pytest.raises(DataError, match=text):
            m.simulate(newparams=wrong)
    with pytest.raises(DataError, match="another theta"):
        m.simulate(newparams={"theta": [1.0]}, re_form=None)
    missing = m.simulate(1, 1, newdata=pd.DataFrame({"x": [1.0, np.nan], "g": ["g0", "g1"]}))
    assert missing["sim_1"].isna().tolist() == [False, True]


def test_every_optimizer_finds_the_same_optimum():
    d = _small(20)
    d["y"] += d["x"] * d["g"].map(lambda level: int(level[1:]) % 5 - 2)  # slopes that vary
    m = lmer("y ~ x + (x | g)", d, data_name="d")
    fits = m.allFit()
    assert len(fits) == 7
    assert fits.spread < 1e-6
    found = fits.agreement()
    assert (found["behind"] < 1e-6).all()
    assert (found["fixef"] < 1e-4).all()
    shown = fits.summary()
    assert shown.which_OK.all()
    pd.testing.assert_series_equal(
        shown.sdcor.loc["L-BFGS-B"].round(4), shown.sdcor.loc["COBYQA"].round(4), check_names=False
    )
    assert list(shown.sdcor.columns) == ["g.(Intercept)", "g.x", "g.x.(Intercept)", "sigma"]
    for part in ("$which.OK", "$msgs", "$fixef", "$llik", "$sdcor", "$theta", "$times", "$feval", "summary.allFit"):
        assert part in str(shown)
    assert "differences in negative log-likelihoods:\nmax= " in str(fits)
    assert "data:  d \noptimizers (7): trust-region Newton, L-BFGS-B" in str(fits)
    assert m.optinfo["optimizer"].startswith("trust-region")
    assert fits["Powell"].optinfo["optimizer"] == "Powell"


def test_an_optimizer_that_stops_early_is_seen():
    m = lmer("y ~ x + (1 | g) + (1 | f)", _small(20))
    fits = m.allFit(["trust-region Newton", "Nelder-Mead"], max_evaluations=8)
    behind = m.allFit(["Nelder-Mead"], max_evaluations=8)["Nelder-Mead"]
    assert behind.optinfo["conv"] == 1
    assert behind.logLik() < m.logLik() - 1e-6
    assert fits.summary().msgs["Nelder-Mead"]
    with pytest.raises(DataError, match="no optimizer 'bobyqa'"):
        m.allFit(["bobyqa"])


def test_an_optimizer_that_fails_is_counted(monkeypatch):
    from pyimpl.inference import allfit

    def broken(*arguments):
        raise ValueError("no")

    m = lmer("y ~ x + (1 | g)", _small())
    monkeypatch.setattr(allfit, "minimise", broken)
    fits = m.allFit(["trust-region Newton", "Powell"])
    assert isinstance(fits["Powell"], ValueError)
    assert "1 optimizer(s) failed" in str(fits)
    assert fits.summary().which_OK.to_dict() == {"trust-region Newton": True, "Powell": False}
    with pytest.raises(DataError, match="no optimizer ended"):
        m.allFit(["Powell"]).summary()


_THREADED = {
    "satterthwaite": lambda fit: fit.satterthwaite(),
    "anova": lambda fit: fit.anova(ddf="Kenward-Roger"),
    "ranova": lambda fit: fit.ranova(),
    "hatvalues": lambda fit: fit.hatvalues(),
    "predict": lambda fit: fit.predict(se_fit=True),
    "confint": lambda fit: fit.confint("sigma"),
    "influence": lambda fit: fit.influence("g"),
}


@pytest.mark.parametrize("verb", _THREADED)
def test_verbs_of_small_models_start_no_threads_of_the_blas(verb, monkeypatch):
    """On a busy machine they wait for each other: degrees of freedom took seventy times as long."""
    before = []

    class Blas:
        threads = 7

        def get_num_threads(self):
            return self.threads

        def set_num_threads(self, count):
            self.threads = count
            before.append(count)

    blas = Blas()
    monkeypatch.setattr(threads, "_libraries", lambda scipy: [blas])
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=90), "g": np.arange(90) % 9})
    data["y"] = data["x"] + rng.normal(size=9)[data["g"]] + rng.normal(size=90)
    fit = lmer("y ~ x + (1 | g)", data)
    before.clear()
    _THREADED[verb](fit)
    assert before[0] == 1
    assert blas.threads == 7
