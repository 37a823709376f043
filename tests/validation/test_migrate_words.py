"""R's words around models, each as the Python that stands for it (nothing is run: the text alone)."""

import json

import pytest

from mlmparity import migrate, translate
from validation.migrate.layout import wrapped


def script_of(tmp_path, code):
    path = tmp_path / "a.R"
    path.write_text(f"library(lme4)\nm <- lmer(y ~ x + a + (x | g), d)\n{code}\n", encoding="utf-8")
    done = migrate(path, tmp_path / "out", run=False)
    assert not done.missing
    compile(done.script, "a.py", "exec")
    return done.script


@pytest.mark.parametrize(
    ("r", "python"),
    [
        # functions of several statements are defined before the statement that needs them
        (
            "do.call(rbind, lapply(c('a', 'b'), function(n) {\n  f <- update(m, data = d)\n  data.frame(n = n)\n}))",
            "def for_n(n):",
        ),
        ("sapply(c(low = -1), function(k) fixef(m)[[1]] + k)", "m.fixef().iloc[0] + k for name, k in zip("),
        (
            "Map(function(f, n) AIC(f), list(a = m), c('a'))",
            '{name: f.AIC() for name, f, n in zip({"a": m}, {"a": m}.values()',
        ),
        ("mapply(function(a, b) a + b, c(1, 2), c(3, 4))", "[a + b for a, b in zip([1, 2], [3, 4])]"),
        (
            "by(d, d$g, function(x) sigma(lmer(y ~ 1 + (1 | h), x)))",
            'dict(list(d.groupby(d["g"], observed=True))).items()',
        ),
        ("map_dbl(list(a = m), ~ AIC(.x))", '{name: x.AIC() for name, x in {"a": m}.items()}'),
        ("sapply(VarCorr(m), function(v) v[1, 1])", "m.VarCorr()[group].iloc[0, 0] for group in"),
        ("Filter(function(f) isSingular(f), list(a = m))", "if f.isSingular()"),
        # tables of results
        ("head(subset(as.data.frame(ranef(m)), condval > 0, select = c(grp, condval)))", '[re["condval"] > 0]'),
        ("setNames(c(1, 2), c('a', 'b'))", 'pd.Series([1, 2], index=["a", "b"])'),
        ("cbind(a = fixef(m), b = fixef(m))", '"b": np.asarray(m.fixef())}, index=m.fixef().index)'),
        ("merge(coef(m)$g, ranef(m)$g, by = 'k', all = TRUE)", 'on="k", how="outer", sort=True'),
        ("tapply(d$y, list(d$g, d$h), mean)", '.groupby([d["g"], d["h"]], observed=False).mean().unstack()'),
        ("t(fixef(m)) %*% solve(vcov(m)) %*% fixef(m)", "np.linalg.inv(m.vcov())"),
        ("attr(ranef(m, condVar = TRUE)[['g']], 'postVar')[1, 1, ]", 'm.ranef_condVar()["g"][:, 0, 0].to_numpy()'),
        # dplyr
        (
            "coef(m)$g %>% rownames_to_column('who') %>% filter(x > 0) %>% arrange(desc(x)) %>% slice(1:3)",
            '    .sort_values("x", ascending=False, kind="stable")\n    .reset_index(drop=True)\n    .head(3)\n)',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% group_by(grp) %>% summarise(total = sum(vcov), n = n())",
            '.apply(lambda d: pd.Series({"total": d["vcov"].sum(), "n": len(d)}))',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% mutate(p = vcov / sum(vcov))",
            '.assign(p=lambda d: d["vcov"] / d["vcov"].sum())',
        ),
        (
            "aggregate(y ~ g, d, function(v) sum(v^2))",
            '[["y"]]\n    .agg(lambda v: np.sum(v ** 2))\n    .reset_index()',
        ),
        ("tapply(d$y, d$g, mean, na.rm = TRUE)", '.groupby(d["g"], observed=False).mean()'),
        ("outer(fixef(m), c(-1, 1))", "pd.DataFrame(np.outer(m.fixef(), [-1, 1]), index=m.fixef().index)"),
        ("predict(m, transform(head(coef(m)$g, 2), a = 'B'))", '.head(2).assign(a="B")'),
        ("unlist(lapply(list(a = m), sigma))", '{name: x.sigma() for name, x in {"a": m}.items()}'),
        (
            "x <- c(1, 2)\ny <- c(3, 4)\ndata.frame(x, y, z = sqrt(x))",
            'pd.DataFrame({"x": x, "y": y, "z": np.sqrt(x)})',
        ),
        ("rank(-fixef(m))", "(-m.fixef()).rank()"),
        # text
        ("sprintf('%s: %.2f', c('a', 'b'), c(1, 2))", '["%s: %.2f" % (a, b) for a, b in zip(["a", "b"], [1, 2])]'),
        ("fixef(m)[grepl('^x', names(fixef(m)))]", 'bool(regex.search("^x", one))'),
        ("gsub('[[:digit:]]+', '', c('a1', 'b2'))", 'regex.sub("[0-9]+", "", one)'),
        ("paste0('M', 1:3)", '[f"M{a}" for a in range(1, 4)]'),
        ("format.pval(0.00123, digits = 3)", 'format(0.00123, ".3g")'),
        ("quantile(c(1, 2, 3), c(.1, .9))", "np.quantile([1, 2, 3], [.1, .9])"),
        # what is asked of fits
        ("b <- bootMer(m, fixef, nsim = 9)\nb$t0", 'pd.Series(b.attrs["observed"])'),
        ("pf <- profile(m, which = 'theta_')\nconfint(pf, level = 0.9)", 'm.confint("theta_", level=0.9)'),
        ("emmeans(m, 'a', contr = 'pairwise')", 'm.emmeans("pairwise ~ a")'),
        ("contest1D(m, c(0, 1))", "m.contest(L=[0, 1], joint=False, confint=False)"),
        ("lmerTest::ls_means(m, which = 'a', pairwise = TRUE)", 'm.ls_means(which="a", pairwise=True)'),
        ("do.call(anova, unname(list(a = m, b = m)))", "[0].anova(*list("),
        ("attr(terms(m), 'term.labels')", "[term.label for term in m.terms().terms]"),
        ("x <- getME(m, 'Z')\ndim(t(x))", "x.T.shape"),
        # vectors
        ("summary(fixef(m))", 'm.fixef().describe()[["min", "25%", "50%", "mean", "75%", "max"]]'),
        ("summary(d)", 'd.describe(include="all")'),
        ("as.integer(d$g == 'F')", '(d["g"] == "F").astype(int)'),
        ("pmax(fixef(m), 0)", "np.maximum(m.fixef(), 0)"),
        ("setdiff(c('a', 'b'), names(fixef(m)))", 'list(pd.Index(["a", "b"]).difference(list('),
        ("cut(fixef(m), c(-Inf, 0, Inf), labels = c('no', 'yes'))", 'float(\'inf\')], labels=["no", "yes"])'),
        ("rep(c('a', 'b'), each = 2)", 'np.repeat(["a", "b"], 2).tolist()'),
        ("seq(0, 1, length.out = 5)", "np.linspace(0, 1, 5)"),
        ("5:3", "range(5, 2, -1)"),
        ("fixef(m)[-1]", "m.fixef().iloc[1:]"),
        ("x <- c(1, 2, 3)\nx[-length(x)]", "print(x[:-1])"),
        ("ranef(m)$g[-c(1, 3), ]", '.drop(m.ranef()["g"].index[np.array([1, 3]) - 1])'),
        ("ranef(m)$g[, -(1:2)]", ".iloc[:, 2:]"),
        ("ranef(m)$g[[1]]", 'm.ranef()["g"].iloc[:, 0]'),
        ("rownames(ranef(m)$g)[order(fixef(m))]", 'list(np.array(list(m.ranef()["g"].index))[np.argsort('),
        ("re <- ranef(m)\nattr(re$g, 'postVar')[1, 1, ]", 'm.ranef_condVar()["g"][:, 0, 0].to_numpy()'),
        ("cor(fixef(m), fixef(m), method = 'spearman')", '.corr(pd.Series(np.asarray(m.fixef())), method="spearman")'),
        ("identical(fixef(m), fixef(m))", "np.array_equal(m.fixef(), m.fixef())"),
        ("combn(c('a', 'b'), 2, function(p) nchar(p[1]))", 'len(p[0]) for p in combinations(["a", "b"], 2)'),
        ("summary(m)$coef", "m.coef_table()"),
        ("m@theta", 'm.getME("theta")'),
        ("is(m, 'merMod')", "isinstance(m, LmerFit)"),
        ("AIC(m, k = log(10))", "-2 * m.logLik() + np.log(10) * m.npar"),
        ("(s <- sigma(m))", "s = m.sigma()\nprint(s)"),
        ("c(est = fixef(m)[1], fixef(m)[-1])", 'pd.concat([pd.Series([m.fixef().iloc[0]], index=["est"]), pd.Series('),
        # functions that are given to others
        ("f <- list(a = AIC, s = function(x) sigma(x))\nsapply(f, function(g) g(m))", '{"a": lambda x: x.AIC()'),
        ("sapply(list(a = fixef(m)), '[', 'x')", 'x["x"] for name, x in'),
        ("Reduce(`+`, list(1, 2))", "sum([1, 2])"),
        ("fact <- function(n) if (n <= 1) 1 else n * Recall(n - 1)\nfact(5)", "n * fact(n - 1)"),
        ("split(d, ~ g)", 'd.groupby("g", observed=True)'),
        # what is written and shown
        ("write.csv(ranef(m)$g, 'a.csv', row.names = FALSE)", '.to_csv("a.csv", index=False)'),
        ("saveRDS(m, 'm.rds')\nsigma(readRDS('m.rds'))", 'pd.read_pickle("m.rds").sigma()'),
        ("dir.create(file.path('a', 'b'))", 'Path(f"a/b").mkdir(exist_ok=True)'),
        ("knitr::kable(coef(summary(m)), digits = 2)", "print(m.coef_table())"),
        ("paste0('b', 1:2, collapse = ', ')", '", ".join([f"b{a}" for a in range(1, 3)])'),
        ("sprintf('%.*f', 2, sigma(m))", '"%.*f" % (2, m.sigma())'),
        # wide and long, dplyr within groups
        (
            "as.data.frame(VarCorr(m)) %>% pivot_wider(id_cols = grp, names_from = var1, values_from = vcov)",
            '.pivot_table("vcov", "grp", "var1", aggfunc="first", sort=False, observed=True)',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% pivot_longer(c(vcov, sdcor), names_to = 'what')",
            'if one not in ["vcov", "sdcor"]], var_name="what", value_name="value", ignore_index=False)',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% group_by(grp) %>% mutate(share = vcov / sum(vcov)) %>% ungroup()",
            'd["vcov"] / d.groupby(["grp"], observed=True)["vcov"].transform("sum")',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% summarise(across(c(vcov, sdcor), list(m = mean)))",
            '{"vcov_m": d["vcov"].mean(), "sdcor_m": d["sdcor"].mean()}',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% mutate(across(where(is.numeric), ~ round(.x, 2)))",
            '{name: d[name].round(2) for name in list(d.select_dtypes("number"))}',
        ),
        (
            "as.data.frame(VarCorr(m)) %>% mutate(k = case_when(vcov > 9 ~ 'much', TRUE ~ 'little'))",
            'np.select([d["vcov"] > 9], ["much"], default="little")',
        ),
        ("as.data.frame(VarCorr(m)) %>% distinct(grp)", '[["grp"]].drop_duplicates().reset_index(drop=True)'),
        ("aggregate(d$y, by = list(g = d$g), FUN = mean)", '.rename("x").groupby(d["g"].rename("g"), observed=True)'),
        ("aggregate(log(y) ~ g, d, mean)", '.assign(**{"log(y)": np.log(d["y"])})'),
        ("apply(ranef(m)$g, 1, function(r) sum(r^2))", ".apply(lambda x: (x ** 2).sum(), axis=1)"),
        ("sweep(ranef(m)$g, 2, c(1, 2))", ".sub(np.asarray([1, 2]), axis=1)"),
        # control
        (
            "r <- tryCatch(confint(m), error = function(e) {\n  message('no: ', conditionMessage(e))\n  NULL\n})",
            '\n    print("no: ", str(e), sep="")\n    r = None',
        ),
        ("repeat {\n  s <- sigma(m)\n  break\n}", "while True:"),
        (
            "f <- function(k) {\n  if (k > 1) {\n    s <- sigma(m)\n    s\n  } else 0\n}\nf(2)",
            "    if k > 1:\n",
        ),
        ("steps <- list('a', c('a', 'b'))", 'steps = [["a"], ["a", "b"]]'),
    ],
)
def test_a_word_s_python(tmp_path, r, python):
    if "re[" in python:
        r = r.replace("as.data.frame(ranef(m))", "re")
        r = f"re <- as.data.frame(ranef(m))\n{r}"
    assert python in script_of(tmp_path, r)


@pytest.mark.parametrize(
    ("r", "why"),
    [
        ("step(m)", "step"),
        ("map(list(a = m), ~ unknown(.x))", "unknown"),
        ("f <- function(x) unknown(x)\nf(2)", "f(): unknown(x)"),
        ("grepl('[[:punct:]]', 'a')", "a regular expression of a kind"),
        ("as.data.frame(VarCorr(m)) %>% group_by(grp) %>% slice_max(vcov, n = 1)", "within groups"),
        ("cbind(m, 1)", "neither tables nor vectors"),
        ("merge(coef(m)$g, ranef(m)$g)", "the data are kept"),
        ("icc <- function(m) unknown(m)\nicc(m)", "icc(): unknown(m)"),
        ("b <- brm(y ~ x)\nsummary(b)", "what line 3 makes, which is not carried over"),
        ("cut(fixef(m), c(0, 1))", "cut() without labels"),
        ("format(fixef(m), digits = 3)", "R gives them one width"),
        ("as.data.frame(VarCorr(m)) %>% group_by(grp) %>% mutate(z = mean(log(vcov)))", "computed, within groups"),
        ("reshape(ranef(m)$g, direction = 'long')", "reshape() of this kind"),
        ("readRDS('unknown.rds')", "a file that the script did not write"),
    ],
)
def test_what_is_not_said_in_python_is_named(tmp_path, r, why):
    path = tmp_path / "a.R"
    path.write_text(f"library(lme4)\nm <- lmer(y ~ x + (x | g), d)\n{r}\n", encoding="utf-8")
    done = migrate(path, tmp_path / "out", run=False)
    assert any(why in reason for _, _, reason in done.missing), done.missing


@pytest.mark.parametrize(
    "line",
    [
        'top = m.ranef()["id"].rename_axis("a.b()").reset_index().rename(columns={"(I)": "e"}).head(5).tail(1)',
        "y = (a.b().c() - d.e().f()) / some_function_of(one.two().three().four(), five.six().seven()) - n.ten()",
        'x = {name: pd.DataFrame({"a": name, "b": m}, index=[0]) for name, m, n in zip(one, two, three)}',
        'print(pd.DataFrame({"effect": list(first.values()), "low": pd.Series(b), "up": pd.Series(c) - 2 * fourth}))',
        'forms = {"one": "y ~ 1 + (1 | g)", "two, for": "y ~ x + (1 | g)", "three": "y ~ x * z + (x | g)"}',
        'print(pd.DataFrame({"estimate": np.asarray(b), "lower": np.asarray(b - (1.96 * se)), "upper": np.asarray(b + '
        '(1.96 * se)), "and so on": some_function(of_one, of_another, and_of_a_third)}, index=b).round(3))',
        'print("a text that is longer than a line may be, with a place for a value, a tuple of one: %s" % (x,))',
        'f("a text that is longer than a line and ends in a backslash\\\\", "(another, that has brackets\\")", 1, 2)',
        '[f"a for {b}, {c}" for b, c in zip(a_very_long_name_of_a_list_of_texts, another_name_of_a_list_of_texts)]',
    ],
)
def test_a_long_line_that_is_broken_is_the_same_python(line):
    import ast

    assert ast.dump(ast.parse("\n".join(wrapped(line)))) == ast.dump(ast.parse(line))


@pytest.mark.parametrize(
    ("r", "python"),
    [
        ("confint(m, method = 'Wald', level = .9)", 'm.confint(level=.9, method="Wald")'),
        ("anova(m1, m2, refit = FALSE)", 'm1.anova(m2, refit=False, model_names=("m1", "m2"))'),
        ("summary(m)", "m.summary()"),
        ("m |> fixef()", "m.fixef()"),
        ("m@theta", 'm.getME("theta")'),
        ("sapply(list(m1, m2), AIC)", "[x.AIC() for x in [m1, m2]]"),
        ("1 - var(resid(m)) / var(d$y)", '1 - (m.residuals().var() / d["y"].var())'),
        ("mean(as.matrix(fit, pars = 'x') > 0)", 'np.mean(fit.as_matrix(pars=["x"]) > 0)'),
        ("posterior_interval(fit, prob = 0.9)", "fit.posterior_interval(prob=0.9)"),
        ("lmer(as.formula(paste('y ~', x, '+ (1 | g)')), d)", 'lmer(f"y ~ {x} + (1 | g)", d)'),
        ("with(d, lmer(y ~ x + (1 | g)))", 'lmer("y ~ x + (1 | g)", d)'),
        ("lmer(y ~ x + (1 | g), subset(d, x > 1), weights = 1 / v)", 'd[d["x"] > 1], weights=1 / v'),
    ],
)
def test_one_line_is_translated_by_what_its_names_are_used_for(r, python):
    assert python in translate(r)


def test_names_that_would_be_one_in_python_stay_apart(tmp_path):
    code = "a.b <- sigma(m)\na_b <- AIC(m)\n.k <- 1\nk <- 2\n变 <- 3\nsum(a.b, a_b)\nsum(.k, k, 变)\n"
    code += "sorted <- 4\nnormal <- sorted"
    script = script_of(tmp_path, code)
    assert "print(sum([a_b, a_b_2]))" in script
    assert "print(sum([k, k_2, 变]))" in script
    assert "normal_ = sorted_" in script


def test_data_tables_by_dplyr_s_verbs(tmp_path):
    code = """
vc <- as.data.table(VarCorr(m))
vc[, share := vcov / sum(vcov)][]
vc[grp == "g", .(vcov, share)]
vc[, .(n = .N, most = max(vcov)), by = grp][order(-most)]
"""
    script = script_of(tmp_path, code)
    assert 'vc = vc.assign(share=lambda d: d["vcov"] / d["vcov"].sum())\nprint(vc)' in script
    assert '[lambda d: d["grp"] == "g"].reset_index(drop=True)[["vcov", "share"]]' in script
    assert '.groupby(["grp"], observed=True, sort=False)' in script
    assert '.sort_values("most", ascending=False, kind="stable")' in script


HOSTILE = [
    *("a\nimport os", '"""\nimport os\n"""', "a\\\nimport os", "\u2028import os"),
    *("a\rimport os", "# a\n\nimport os", "*/\x0cimport os"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_texts_of_a_script_are_no_lines_of_the_python_that_is_written(name, tmp_path):
    import ast

    quoted, text = "`" + name.replace("\\", "\\\\") + "`", json.dumps(name)
    script = tmp_path / "a.R"
    script.write_text(
        f"m <- lmer({quoted} ~ x + (1 | {quoted}), data = {quoted})\nd[[{text}]] <- {quoted}\nprint({text})\n"
        f"# {name!r}\nsource({text})\nunheard_of({quoted}, {text})\n"
    )
    written = migrate(script, tmp_path / "out", run=False)
    for file in (tmp_path / "out").glob("*.py"):
        imported = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Import)]
        assert not [node for node in imported if node.names[0].name == "os"], file.read_text("utf-8")
    assert written


@pytest.mark.parametrize("name", ["\\u0000", "\\ud800", "x" * 5000])
def test_what_is_no_name_of_a_file_is_left_to_r(name, tmp_path):
    script = tmp_path / "a.R"
    script.write_text(f'source("{name}")\nx <- 1\n')
    assert migrate(script, tmp_path / "out", run=False)


def test_a_script_imports_what_its_code_names_and_no_more(tmp_path):
    used = script_of(tmp_path, "x <- sqrt(fixef(m))\ny <- pnorm(1.5)\ndir.create('a')")
    assert {"import numpy as np", "from scipy import stats", "from pathlib import Path"} <= set(used.split("\n"))
    assert "import pandas as pd" not in used
    assert "import re as regex" not in used
    (tmp_path / "b").mkdir()
    plain = script_of(tmp_path / "b", "print('np.sqrt(x)')  # stats")
    assert "import numpy" not in plain
    assert "scipy" not in plain
