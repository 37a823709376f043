"""Column names that R would parse: inert in R, the user's own in everything that comes back."""

import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest

from bridge import lme4, rstanarm, stats
from bridge.errors import DataError, RWarning

pytestmark = pytest.mark.r

X, F, G = "score (x+1) %", "sex: M/F", "school `no.`"


@pytest.fixture(scope="module")
def odd() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 120
    school = np.repeat([f"s{i}" for i in range(12)], 10)
    effect = np.repeat(rng.normal(size=12), 10)
    data = pd.DataFrame({
        X: rng.normal(size=n),
        F: pd.Categorical(np.tile(["m", "f"], n // 2)),
        G: pd.Categorical(school),
        "w-1": rng.uniform(1, 2, n),
    })  # fmt: skip
    data["y*2"] = data[X] + effect + rng.normal(size=n)
    return data


FORMULA = f"`y*2` ~ `{X}` * `{F}` + (1 + `{X}` | `{G.replace('`', chr(92) + '`')}`)"


@pytest.fixture(scope="module")
def fit(odd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RWarning)
        return lme4.lmer(FORMULA, odd, weights="w-1")


def test_labels_are_the_users(fit):
    assert list(fit.fixef().index) == ["(Intercept)", f"`{X}`", f"`{F}`m", f"`{X}`:`{F}`m"]
    assert list(fit.ranef()) == [G]
    assert list(fit.ranef()[G].columns) == ["(Intercept)", f"`{X}`"]
    assert list(fit.VarCorr()["grp"]) == [G, G, G, "Residual"]
    assert list(fit.ngrps().index) == [G]
    assert list(fit.getME("cnms")) == [G]
    assert list(fit.getME("flist").columns) == [G]
    assert "Weights: w-1" in fit.summary()
    assert fit.formula.startswith(f"`y*2` ~ `{X}` * `{F}`")


@pytest.mark.parametrize("name", ["a`b", "a\\b", "a\nb", "..", "...", "..1", "x+z", "1", "if", "`", "a\tb"])
def test_labels_are_as_r_writes_them(name):
    """As deparse() does, of a name that it has backticks for: escaped; the two sides called them apart otherwise."""
    from pyimpl import lmer

    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=60), name: rng.normal(size=60), "g": [str(i % 6) for i in range(60)]})
    quoted = "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    formula = f"y ~ {quoted} + (0 + {quoted} | g)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = lme4.lmer(formula, data), lmer(formula, data)
    assert list(theirs.fixef().index) == list(ours.fixef().index)
    assert list(theirs.ranef()["g"].columns) == list(ours.ranef()["g"].columns)
    assert list(theirs.VarCorr()["var1"].dropna()) == list(ours.VarCorr()["var1"].dropna())


def test_verbs_that_parse_formulas_again_work(fit, odd):
    assert fit.drop1(test="Chisq").index.tolist() == ["<none>", f"`{X}`:`{F}`"]
    assert list(fit.confint(method="Wald", parm=f"`{X}`").index) == [f"`{X}`"]
    np.testing.assert_allclose(fit.predict(odd), fit.fitted())
    assert fit.refitML().isREML() is False
    assert ".zeta" in fit.profile(which=f"`{F}`m")
    fixed = fit.predict(odd, re_form=f"~(1 | `{G.replace('`', chr(92) + '`')}`)")
    assert fixed.shape == (len(odd),)
    assert list(fit.bootMer("fixef", nsim=2, seed=1).columns) == list(fit.fixef().index)


def test_printed_as_r_prints_them(tmp_path):
    """Names without escapes of their own: R's text for the user's names, to the character."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(60, 3)), columns=["y", "a (b+c)", "a (b-c) long one"])
    data["g/h"] = np.repeat(list("abcdef"), 10)
    data.attrs["name"] = "d"
    formula = "y ~ `a (b+c)` + `a (b-c) long one` + (1 | `g/h`)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RWarning)
        ours = lme4.lmer(formula, data)
    data.to_csv(tmp_path / "d.csv", index=False)
    script = (
        f"suppressMessages(library(lme4)); d <- read.csv('{tmp_path}/d.csv', check.names = FALSE);"
        f"m <- suppressWarnings(lmer({formula}, data = d)); print(summary(m)); cat('####\\n'); print(m)"
    )
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "LANGUAGE": "en"}
    done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True, env=env)
    summary, printed = done.stdout.split("####\n")
    assert str(ours.summary()) == summary
    assert repr(ours) == printed


def test_other_verbs(odd):
    assert list(stats.model_matrix(f"~ `{X}` + `{F}`", odd).columns) == ["(Intercept)", f"`{X}`", f"`{F}`m"]
    summed = stats.model_matrix(f"~ `{F}`", odd, contrasts={F: "contr.sum"})
    assert list(summed.columns) == ["(Intercept)", f"`{F}`1"]
    assert f"`{X}`" in stats.lm(f"`y*2` ~ `{X}`", odd).summary()


@pytest.mark.parametrize("name", ["system('touch %')", "x) + system('touch %", "g) + (1|g", "a b", "repeat T", "1"])
def test_a_name_is_never_code(name, tmp_path, odd):
    marker = tmp_path / "canary"
    name = name.replace("%", str(marker))
    data = odd.rename(columns={X: "x", "y*2": "y", G: name})
    with pytest.raises(DataError, match="rename the column"):  # lme4 cannot read such a name when it parses again
        lme4.lmer(f"y ~ x + (x || `{name}`)", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RWarning)
        fit = lme4.lmer(f"y ~ x + (1 | `{name}`)", data)
    assert list(fit.ranef()) == [name]
    fit.drop1()
    fit.confint(method="boot", nsim=2, seed=1)
    assert not marker.exists()


def test_stan_names_are_the_users(odd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RWarning)
        fit = rstanarm.stan_lmer(
            f"`y*2` ~ `{X}` + (1 | `{F}`)", odd, chains=1, iter=50, seed=1, cores=1, unconstrained=False
        )
    assert f"`{X}`" in fit.parameters
    assert f"b[(Intercept) {F}:f]" in fit.parameters
    assert list(fit.as_matrix(pars=f"`{X}`").columns) == [f"`{X}`"]
    assert list(fit.as_matrix(regex_pars=r"\(x\+1\)").columns) == [f"`{X}`"]
    assert f"`{X}`" in str(fit.summary(pars=f"`{X}`"))
    # with newdata rstanarm itself finds no column whose name needs backticks
    assert fit.posterior_predict(seed=1).shape[1] == len(odd)


@pytest.mark.parametrize(("name", "said"), [("a\0b", "NUL"), ("a\U0001d005", "Byzantine")])
def test_names_that_r_cannot_hold_are_refused_by_name(name, said):
    with pytest.raises(DataError, match=said) as caught:
        stats.str_frame(pd.DataFrame({name: [1.0]}))
    assert repr(name) in str(caught.value)


def test_a_dot_in_backticks_is_rs(odd):
    plain = odd.rename(columns={X: ".", F: "f", G: "g", "y*2": "y"}).drop(columns="w-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RWarning)
        for data in (plain, plain.rename(columns={".": "x"})):
            names = [list(lme4.lmer(f"y ~ {dot} - g + (1 | g)", data).fixef().index) for dot in (".", "`.`")]
            assert names[0] == names[1] == ["(Intercept)", data.columns[0], "fm"]


def test_a_text_that_r_would_cut_is_refused(fit):
    """Only its beginning would arrive: the name of another parameter."""
    for parm in (f"{fit.fixef().index[1]}\0", ["\0.sig01"]):
        with pytest.raises(DataError, match="NUL character"):
            fit.confint(parm=parm, method="Wald")


def test_levels_with_symbols_of_the_bridge_are_refused():
    with pytest.raises(DataError, match=r"'g'.*Byzantine"):
        stats.str_frame(pd.DataFrame({"g": ["a", "\U0001d005"]}))
