"""``mlmparity migrate``: the grammar against R's own parser, what is watched and written, and whether it is proved."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bridge import sandbox
from validation.cli import main
from validation.migrate.code import quoted
from validation.migrate.instrument import instrument, sites
from validation.migrate.judged import judge
from validation.migrate.layout import Span, as_comment, shown
from validation.migrate.rcode import RSyntaxError, parse
from validation.migrate.replay import AT_R, Replayed
from validation.migrate.run import migrate, translate
from validation.migrate.script import Piece, Script
from validation.migrate.sources import read_source
from validation.migrate.values import Labelled
from validation.migrate.watch import Watched

SCRIPTS = Path(__file__).parent / "migrate_scripts"

_CALLS = r"""
p <- getParseData(parse(commandArgs(TRUE)[1], keep.source = TRUE))
f <- p[p$token == "SYMBOL_FUNCTION_CALL", ]
for (i in seq_len(nrow(f))) {
  call <- p[p$id == p$parent[p$id == f$parent[i]], ]
  cat(f$text[i], call$line1, call$line2, "\n")
}
"""


def calls_by_r(path: Path) -> Counter[tuple[str, int, int]]:
    out = subprocess.run(
        ["Rscript", "--vanilla", "-e", _CALLS, str(path)], capture_output=True, text=True, check=True
    ).stdout
    return Counter((name, int(a), int(b)) for name, a, b in (line.split() for line in out.splitlines() if line.strip()))


@pytest.mark.r
@pytest.mark.parametrize(
    "path", [SCRIPTS / "tutorial.R", *sorted(Path("r_scripts").glob("l*.R"))], ids=lambda p: p.name
)
def test_calls_stand_where_r_sees_them(path):
    text = path.read_text(encoding="utf-8")
    found: Counter[tuple[str, int, int]] = Counter()
    for statement in parse(text):
        for node in statement.walk():
            if node.kind == "call" and node.parts[0].kind in ("name", "namespace"):
                found[node.text, node.line, node.line + text.count("\n", node.start, node.end)] += 1
    theirs = calls_by_r(path)
    assert sum(theirs.values()) > 20
    # R's tokens tell m$f(x) from f(x) only by what stands before
    assert not found - theirs
    assert sum((theirs - found).values()) <= 0.1 * sum(theirs.values())


@pytest.mark.parametrize(
    ("code", "tree"),
    [
        ("-2^2", "unary - (binary ^ (2, 2))"),
        ("a <- b <- 3", "assign <- (a, assign <- (b, 3))"),
        ("x %in% y | !z", "binary | (binary %in% (x, y), unary ! (z))"),
        ("-1:3", "binary : (unary - (1), 3)"),
        ("y ~ x + (1 | g)", "binary ~ (y, binary + (x, paren ( (binary | (1, g))))"),
        ("if (a) b else c", "if if (a, b, c)"),
        ("f(x = , 2)[[1]]$b", "dollar $ (index [[ (call f (f)), b)"),
        (r'r"(a\b)"', r"a\b"),
        ("3 -> x", "assign -> (x, 3)"),
        ("function(a, b = 2) a + b", "function function (binary + (a, b))"),
    ],
)
def test_trees_are_those_of_r_s_grammar(code, tree):
    def shown(node):
        inside = [shown(part) for part in node.parts]
        head = node.text if node.kind in ("name", "number", "string") else f"{node.kind} {node.text}"
        return f"{head} ({', '.join(inside)})" if inside else head

    (statement,) = parse(code)
    assert shown(statement) == tree


@pytest.mark.parametrize(
    ("code", "line"),
    [("x <- (1", 1), ("a b", 1), ("f(1,\n 2", 2), ('"open', 1), ("x <-\n}", 2), ('x <- 1\ny <- "\ud800"', 2)],
)
def test_code_that_r_refuses_is_refused_with_its_line(code, line):
    with pytest.raises(RSyntaxError) as caught:
        parse(code)
    assert caught.value.line == line


def test_code_within_the_text_is_read_as_a_statement(tmp_path):
    source = read_source(SCRIPTS / "language_scores.qmd")
    (line,) = [k for k, line in enumerate(source.lines) if "`r round(fixef(m44)" in line]
    assert source.code.split("\n")[line].startswith("round(fixef(m44)")
    path = tmp_path / "a.Rmd"
    path.write_text("```{r}\nx <- 1\n```\nIt is `r x + 1`, not `r x * 2` or `r )(`.\n")
    assert read_source(path).code.split("\n")[3] == "x + 1; x * 2"


def test_every_watched_call_is_marked_and_nothing_else_changes():
    code = "m <- update(lmer(y ~ x + (1 | g), d), . ~ .)\nlevels(x) <- c(1)\nd |> lmer(formula = f)\nquote(lmer(a))\n"
    statements = parse(code)
    marked = instrument(code, statements, sites(statements))
    assert marked.splitlines()[0] == (
        ".mlmparity_at(0L); m <- .mlmparity(0L, update(.mlmparity(1L, lmer(y ~ x + (1 | g), d)), . ~ .))"
    )
    assert ".mlmparity(2L, d |> lmer(formula = f))" in marked
    assert "quote(lmer(a))" in marked
    parse(marked)


def test_chunks_keep_their_line_numbers(tmp_path):
    source = read_source(SCRIPTS / "notebook.Rmd")
    code = source.code.split("\n")
    assert code[12] == "m <- lmer(Yield ~ 1 + (1 | Batch), data = Dyestuff)"
    assert [why for _, why in source.omitted] == ["a chunk of python, not R", "a chunk with eval = FALSE"]


DOCUMENT = """---
title: a
params:
  year: 2024
  who: "me"
---
```r
shown <- "only"
```
```{r a, fig.cap="{eval}"}
one <- params$year
```
```{r child="child.Rmd"}
```
{{< include more.qmd >}}
```{r}
#| eval: !expr x > 2
never <- 1
```
```{r, eval = nchar("a") > 2}
never <- 2
```
It is `{r} one + 1` and `r one + 2`.
```{r}
knitr::opts_chunk$set(eval = FALSE)
```
```{r}
never <- 3
```
```{r, eval=TRUE}
last <- 4
```
"""


def test_which_chunks_are_run_is_read_as_knitr_and_quarto_read_it(tmp_path):
    (tmp_path / "child.Rmd").write_text("```{r}\ntwo <- 2\n```\n```{bash}\nls\n```\n")
    (tmp_path / "more.qmd").write_text("```{r}\nthree <- 3\n```\n")
    path = tmp_path / "a.qmd"
    path.write_text(DOCUMENT)
    done = migrate(path, tmp_path / "out", run=False)
    assert 'params = {"year": 2024, "who": "me"}' in done.script
    made = [
        line.split(" = ")[0] for line in done.script.splitlines() if " = " in line and not line.startswith(("#", " "))
    ]
    assert made == ["params", "one", "two", "three", "last"]
    assert "print(one + 1)" in done.script
    assert "print(one + 2)" in done.script
    assert [(line, why) for line, _, why in done.missing] == [
        (13, "child.Rmd, line 4: a chunk of bash, not R"),
        (17, "a chunk with eval: !expr x > 2"),
        (20, 'a chunk with eval = nchar("a") > 2'),
        (27, "a chunk that the document's options leave out (eval: false)"),
    ]


@pytest.mark.parametrize(
    ("r", "python"),
    [
        (
            "lmer(course ~ 1 + (1 | school), data = GCSE, REML = FALSE)",
            'lmer("course ~ 1 + (1 | school)", GCSE, REML=False)',
        ),
        ("M1 <- lme4::lmer(y ~ x + (x || g), d, weights = w)", 'M1 = lmer("y ~ x + (x || g)", d, weights="w")'),
        (
            "stan_lmer(y ~ x + (1 | g), data = d, prior = normal(0, 2.5), cores = 4, seed = 12)",
            'stan_lmer("y ~ x + (1 | g)", d, prior=normal(location=0, scale=2.5), seed=12)',
        ),
    ],
)
def test_one_call_is_translated(r, python):
    assert translate(r) == python


@pytest.mark.parametrize(("r", "why"), [("glmer(y ~ x + (1 | g), d)", "generalised"), ("brm(y ~ x)", "no counterpart")])
def test_what_has_no_counterpart_is_said(r, why):
    with pytest.raises(ValueError, match=why):
        translate(r)


@pytest.mark.parametrize("value", ["meanfield", "fullrank"])
def test_an_argument_that_asks_for_another_posterior_is_refused(value):
    with pytest.raises(ValueError, match=f"algorithm = '{value}', but expected is 'sampling'"):
        translate(f"stan_lmer(y ~ x + (1 | g), data = d, algorithm = '{value}')")
    assert "algorithm" not in translate("stan_lmer(y ~ x + (1 | g), data = d, algorithm = 'sampling')")


def text_alone(tmp_path, code):
    path = tmp_path / "a.R"
    path.write_text(code, encoding="utf-8")
    return migrate(path, tmp_path / "out", run=False)


def test_arguments_without_effect_are_named_above_the_call(tmp_path):
    done = text_alone(tmp_path, "m <- stan_lmer(y ~ 1 + (1 | g), d, refresh = 0, cores = 4)\n")
    assert "# without effect here: refresh = 0 (progress=True" in done.script
    assert "cores = 4" in done.script
    assert not done.missing


@pytest.mark.parametrize(
    ("r", "python"),
    [
        ("pairs(emmeans(m, ~ a | b), adjust = 'holm')", 'm.emmeans("~ a | b").pairs(adjust="holm")'),
        ("emmeans(m, 'a') |> contrast('trt.vs.ctrl', ref = 1)", 'm.emmeans("a").contrast("trt.vs.ctrl", ref=1)'),
        ("e <- emmeans(m, pairwise ~ a)\ne$contrasts", "print(e.contrasts)"),
        ("confint(emtrends(m, ~ a, var = 'x'), level = 0.9)", 'm.emtrends("~ a", var="x").confint(level=0.9)'),
        ("emm_options(lmer.df = 'satterthwaite')\njoint_tests(m)", 'joint_tests(m, ddf="satterthwaite")'),
        ("loo_compare(loo(m), loo(m))", 'loo_compare({"model1": m.loo(), "model2": m.loo()})'),
        ("anova(m, type = 'II')", 'm.anova(type="II", ddf="Satterthwaite")'),
        ("f <- y ~ a\nlmer(update(f, . ~ . + (1 | g)), d)", 'lmer(update_formula(f, ". ~ . + (1 | g)"), d)'),
    ],
)
def test_what_is_asked_of_means_and_comparisons(tmp_path, r, python):
    done = text_alone(tmp_path, f"library(lmerTest)\nm <- lmer(y ~ a * b + (1 | g), d)\n{r}\n")
    assert python in done.script
    assert not done.missing


@pytest.mark.parametrize(
    ("r", "python"),
    [
        ("which(is.na(d$x))", 'np.flatnonzero(d["x"].isna()) + 1'),
        ("tapply(d$y, d$g, sd)", 'd["y"].groupby(d["g"], observed=False).std()'),
        ("xtabs(~ g + h, data = d)", 'pd.crosstab(d["g"], d["h"], dropna=False)'),
        (
            "re <- ranef(m)$g\nre[order(-re[, 1]), ][1:3, ]",
            're.iloc[np.argsort(-re.iloc[:, 0].to_numpy(), kind="stable"), :]',
        ),
        ('attr(VarCorr(m)$g, "stddev")', 'm.VarCorr().stddev("g")'),
        ('VarCorr(m)$g["x", "x"]', 'm.VarCorr()["g"].loc["x", "x"]'),
        ("s <- sigma(m)\ncat(sprintf('s = %.2f\\n', s))", 'print("s = %.2f" % (s,))'),
        ('cat("a", "b\\n", sep = "")', 'print("a", "b", sep="")'),
        ("r <- tryCatch(lmer(y ~ 1 + (1 | q), d), error = function(e) NULL)", "except Exception:\n    r = None"),
        ('f <- reformulate(c("a", "(1 | g)"), "y")', 'f = "y ~ " + " + ".join(["a", "(1 | g)"])'),
        ("for (k in 1:2) {\n  p <- subset(d, x != k)\n  lmer(y ~ 1 + (1 | g), p)\n}", 'p = d[d["x"] != k]'),
        ("fit <- function(o, ...) lmer(as.formula(paste(o, '~ (1 | g)')), d, ...)\nfit('y')", "def fit(o):"),
        ("fits <- list(m, m)\nnames(fits) <- c('a', 'b')", 'fits = dict(zip(["a", "b"], fits))'),
        ("b <- bootMer(m, fixef, nsim = 9)", "m.bootMer(lambda fit: fit.fixef(), nsim=9, seed=1)"),
        ("invisible(lapply(list(m), function(f) print(fixef(f))))", "\n[print(f.fixef()) for f in [m]]"),
        ("print(m, digits = 3)", "# without effect here: digits = 3 (of print(): how it is printed)\nprint(m)"),
    ],
)
def test_words_around_models(tmp_path, r, python):
    done = text_alone(tmp_path, f"library(lme4)\nm <- lmer(y ~ x + (x | g), d)\n{r}\n")
    assert python in done.script
    assert not done.missing


@pytest.mark.parametrize(
    ("r", "argument"),
    [
        ("mean(d$y, trim = 0.1)", "trim"),
        ("tapply(d$y, d$g, mean, trim = 0.1)", "trim"),
        ("unlist(list(1, 2), use.names = FALSE)", "use.names"),
        ("round(fixef(m), dig = 2, extra = 1)", "extra"),
        ("log(d$y, base = 2)", "base"),
        ("table(d$g, useNA = 'always')", "useNA"),
    ],
)
def test_an_argument_that_is_not_read_is_named(tmp_path, r, argument):
    done = text_alone(tmp_path, f"library(lme4)\nm <- lmer(y ~ x + (x | g), d)\n{r}\n")
    ((line, _, why),) = done.missing
    assert line == 3
    assert f"the argument {argument} of" in why


def test_attached_data_that_nobody_made_are_taken_for_data(tmp_path):
    done = text_alone(tmp_path, "attach(mtcars)\nm <- lmer(mpg ~ wt + (1 | cyl))\nsigma(m)\ndetach(mtcars)\n")
    assert "R stopped" not in done.script
    assert [line for line, _, _ in done.missing] == [2, 3]


def test_pairs_of_data_are_left_out(tmp_path):
    done = text_alone(tmp_path, "pairs(d)\n")
    assert [line for line, _, _ in done.missing] == [1]


def test_a_sourced_file_stands_in_its_place_with_its_own_lines(tmp_path):
    (tmp_path / "helpers.R").write_text("# one\nfit <- function(d) lmer(y ~ 1 + (1 | g), data = d)\nplot(1)\n")
    (tmp_path / "broken.R").write_text("x <- (\n")
    done = text_alone(
        tmp_path, "library(lme4)\nsource('helpers.R')  # ours\nsource('broken.R')\nm <- fit(d)\nplot(2)\n"
    )
    assert "# helpers.R, line 2: fit <-" in done.script
    assert "# a.R, line 4: m <- fit(d)" in done.script
    assert [(line, text) for line, text, _ in done.missing] == [
        (3, "helpers.R: plot(1)"),
        (3, "source('broken.R')"),
        (5, "plot(2)"),
    ]


def test_python_that_does_not_parse_is_named_by_its_line(tmp_path):
    from validation.migrate.replay import replay

    path = tmp_path / "a.py"
    path.write_text("x = 1\nf(a=1, a=2)\n")
    found = replay(path, {"spans": []})
    assert (found.line, found.error) == (2, "SyntaxError: keyword argument repeated: a")


HOSTILE = [
    'x <- lmer(`y"); import os; os.system("touch pwned") #` ~ 1 + (1 | g), d)',
    "f <- paste(\"y ~ {__import__('os').system('touch pwned')}\", \"+ (1 | g)\"); lmer(f, d)",
    'lmer(y ~ 1 + (1 | g), d) # """\n\n"""; import os',
    'results <- list(); results[["a\\"]; import os #"]] <- lmer(y ~ 1 + (1 | g), d)',
    "lmer(y ~ 1 + (1 | g), d)\r\nimport os",
    "lmer(y ~ 1 + (1 | g), d) # \ue0000;import os\ue001",
    'f <- function(`x); import os; os.system("touch pwned") #`) lmer(y ~ 1 + (1 | g), d)\nf(1)',
    'aggregate(`y"]; import os; #` ~ g, d, mean)\nexpand.grid(`a"], names=[__import__("os")] #` = 1:2, b = 1:2)',
    "for (`i in [__import__('os')]:\n  x #` in 1:2) lmer(y ~ 1 + (1 | g), d)",
    "print(lmer(y ~ 1 + (1 | g), d), digits = `3\nimport os`)\nreformulate('a', response = 'y\"; import os #')",
    "data.frame(d, `x=__import__('os')` = 1)\nlmer(y ~ 1 + (1 | g), d, control = `x\nimport os`)",
]


@pytest.mark.parametrize(
    "text", ['a"b\\', "a\rimport os\n", "\x0c\x1b]0;x\x07", "\u2028\x85\ue0000;\ue001", "\U0001f600é"]
)
def test_a_text_of_any_characters_is_a_string_and_a_comment(text):
    """What R was seen to have (levels, names, messages) can hold characters that end a line of Python."""
    import ast

    assert ast.literal_eval(quoted(text)) == text
    assert not ast.parse("\n".join(as_comment(text))).body
    assert "\x1b" not in shown(text)


def test_a_hostile_file_name_never_becomes_python_code(tmp_path):
    import ast

    path = tmp_path / 'a"""\nimport os\n"""b.R'
    path.write_text("m <- lmer(y ~ 1 + (1 | g), d)\n")
    done = migrate(path, tmp_path / "out", run=False)
    assert not [node for node in ast.walk(ast.parse(done.script)) if isinstance(node, ast.Import)]


@pytest.mark.parametrize("code", HOSTILE)
def test_text_of_a_script_never_becomes_python_code(code, tmp_path):
    import ast

    path = tmp_path / "a.R"
    path.write_text(code, encoding="utf-8")
    try:
        done = migrate(path, tmp_path / "out", run=False)
    except ValueError:
        return
    tree = ast.parse(done.script)
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= {"numpy", "pandas"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "__import__" not in called


def test_a_script_is_not_run_without_a_word(tmp_path, capsys):
    path = tmp_path / "a.R"
    path.write_text("file.create('ran')\n")
    with pytest.raises(SystemExit) as ended:
        main(["migrate", str(path), "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "--yes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


SMALL = """library(lme4)
sleepstudy$week <- sleepstudy$Days / 7
fits <- list()
for (rhs in c("1", "week")) {
  fits[[rhs]] <- lmer(as.formula(paste("Reaction ~", rhs, "+ (1 | Subject)")), data = sleepstudy, REML = FALSE)
}
sapply(fits, AIC)
s <- summary(fits[["week"]])
s$sigma
summary(fits[["week"]])$coefficients["week", "Estimate"]
anova(fits[["1"]], fits[["week"]])
writeLines("mine", "beside.txt")
plot(fits[[1]])
g <- glmer(cbind(incidence, size - incidence) ~ 1 + (1 | herd), cbpp, family = binomial)
"""


@pytest.mark.r
def test_a_script_is_carried_over_and_proved(tmp_path):
    place = tmp_path / "there"
    place.mkdir()
    (place / "small.R").write_text(SMALL)
    (place / "beside.txt").write_text("theirs")
    done = migrate(place / "small.R", tmp_path / "out")
    assert not done.disagreements
    assert [one.verdict for one in done.compared if one.what == "model"] == ["agrees", "agrees"]
    assert done.exit_code == 3
    assert [line for line, _, _ in done.missing] == [12, 13, 14]
    assert "for rhs in" in done.script
    assert (place / "beside.txt").read_text() == "theirs"
    assert sorted(path.name for path in place.iterdir()) == ["beside.txt", "small.R"]
    # the tests that were written hold R's values, and fail where a value is another
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(done.folder),
        str(done.folder),
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    script = done.folder / "small.py"
    script.write_text(script.read_text().replace("REML=False", "REML=True "))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


NOT_PLAIN = """library(lme4)
options(contrasts = c("contr.sum", "contr.poly"))
d <- subset(sleepstudy, Days < 8)
d$half <- factor(ifelse(d$Days > 3, "b", "a"))
d$third <- factor(d$Days %% 3)
contrasts(d$third) <- contr.helmert(3)
d$Reaction[5] <- NA
tapply(d$Reaction, d$half, mean)
mean(d$Reaction)
mean(d$Reaction, na.rm = TRUE)
quantile(d$Reaction, 0.3, na.rm = TRUE, type = 6)
unused <- mad(d$Days)
fit_to <- function(rows) lmer(Reaction ~ half + third + (half | Subject), d[rows, ], na.action = na.exclude)
m <- fit_to(1:144)
length(residuals(m))
out <- c(1, 2)
for (k in 1:2) {
  part <- fit_to(c(seq_len(100), 101:(100 + 10 * k)))
  out[k] <- sigma(part)
}
out
launch_shinystan(m)
quit(save = "no")
plot(m)
"""


@pytest.mark.r
def test_what_is_not_computed_in_python_is_said(tmp_path):
    path = tmp_path / "a.R"
    path.write_text(NOT_PLAIN)
    done = migrate(path, tmp_path / "out")
    assert not done.disagreements, str(done)
    assert [one.verdict for one in done.compared if one.what == "model"] == ["agrees"] * 3
    # a value that the data's preparation does not need; what a loop made besides its models; what waits for a person
    assert [(line, why.split(":")[0]) for line, _, why in done.missing if line != 21] == [
        (11, "quantile(d$Reaction, 0.3, na.rm = TRUE, type = 6)"),
        (12, "no model and no later value depends on it"),
        (17, "out"),
        (22, "it waits for a person at the screen, and was not run"),
    ]
    assert "contrasts in its attrs: half by contr.sum, third by a matrix" in done.script
    assert "[after quit()] plot(m)" in done.script
    assert "out = np.array([" in done.script.replace("\n", " ")
    assert "# as R had it" in done.script


@pytest.mark.r
@pytest.mark.skipif(not sandbox.status().landlock, reason="this kernel has no Landlock")
def test_a_script_cannot_write_outside_its_scratch_folder(tmp_path):
    place = tmp_path / "there"
    place.mkdir()
    (place / "mine.csv").write_text("x")
    path = place / "a.R"
    path.write_text(
        f"m <- lme4::lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)\ntry(writeLines('n', '{place}/mine.csv'))\n"
        f"try(unlink('{place}/mine.csv'))\ntry(file.create('{place}/new'))\nsystem('touch {place}/by_program')\n"
    )
    done = migrate(path, tmp_path / "out")
    assert [one.verdict for one in done.compared] == ["agrees"]
    assert {one.name: one.read_text()[:1] for one in place.iterdir()} == {"a.R": "m", "mine.csv": "x"}
    migrate(path, tmp_path / "out", write_anywhere=True)
    assert {one.name for one in place.iterdir()} == {"a.R", "new", "by_program"}


@pytest.mark.r
def test_a_script_s_r_gets_no_start_of_others_and_leaves_folders_alone(tmp_path, monkeypatch):
    """R ends with ``rm -Rf`` of its temporary folder, unquoted: a blank in the name leads it to another."""
    place = tmp_path / "my tmp"
    place.mkdir()
    mine = tmp_path / "my"
    mine.mkdir()
    (tmp_path / "start.R").write_text(f"file.create('{tmp_path}/started')\n")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setenv("R_TESTS", str(tmp_path / "start.R"))
    path = tmp_path / "a.R"
    path.write_text("m <- lme4::lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)\n")
    done = migrate(path, tmp_path / "out", write_anywhere=True)
    assert [one.verdict for one in done.compared] == ["agrees"]
    assert mine.is_dir()
    assert not list(place.iterdir())
    assert not (tmp_path / "started").exists()


def test_a_folder_that_cannot_be_is_named(tmp_path, capsys):
    path = tmp_path / "a.R"
    path.write_text("x <- 1\n")
    with pytest.raises(SystemExit) as ended:
        main(["migrate", str(path), "--no-run", "-o", str(tmp_path / ("n" * 300))])
    assert ended.value.code == 2
    assert "cannot be made" in " ".join(capsys.readouterr().err.split())


@pytest.mark.r
def test_a_wrong_translation_is_noticed(tmp_path, monkeypatch):
    from validation.migrate import watched, words

    monkeypatch.setitem(watched.VERBS, "AIC", watched.Verb("BIC", "number"))
    path = tmp_path / "a.R"
    path.write_text(
        "m <- lme4::lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)\nlogLik(m)\nsigma(m)\n"
        "all <- sum(lme4::fixef(m)^2)\nmean(range(c(1, 5)))\nsum(c(2, 4)) + 1\n"
    )
    monkeypatch.setitem(watched.VERBS, "sigma", watched.Verb("df_residual", "number"))
    # what no watched call gives is noticed too: a variable, and what a statement shows
    monkeypatch.setitem(words.WORDS, "sum", words.WORDS["var"])
    done = migrate(path, tmp_path / "out")
    assert [(one.line, one.name) for one in done.disagreements] == [(3, "sigma"), (4, "all"), (6, "what it shows")]
    assert done.exit_code == 1


def posterior_verdict(draws: dict, ours: dict[str, float]) -> str:
    """The verdict on one posterior of one parameter, x."""
    place = sites(parse("m <- stan_lmer(y ~ 1 + (1 | g), d)"))[0]
    fit = {"classes": ["stanreg"], "draws": draws}
    events = [
        {"event": "fit", "site": 0, "statement": 0, "number": 1, "fit": fit},
        {"event": "value", "site": 0, "statement": 0, "value": {"type": "fit", "fit": 1}},
    ]
    script = Script("", [Span(0, 1, 0, 1, 1)], [Piece(0, 1, "", "carried")], {}, {}, [place])
    labelled = Labelled([(f"draws · x · {name}", value) for name, value in ours.items()])
    (one,) = judge(script, Watched(events=events), Replayed({0: [labelled]}))
    return one.verdict


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "agrees"), (0.05, "agrees"), (0.5, "disagrees")])
def test_a_posterior_that_is_another_is_noticed(shift, verdict):
    """R's mean 2, sd 1, 1000 effective draws: half an sd away is 11 Monte Carlo standard errors."""
    columns = [{"type": "double", "values": [value]} for value in (2.0, 1.0, 1000.0)]
    draws = {"type": "frame", "names": ["mean", "sd", "n_eff"], "rows": ["x"], "columns": columns}
    assert posterior_verdict(draws, {"mean": 2.0 + shift, "sd": 1.0, "n_eff": 1000.0}) == verdict


def test_a_quantile_that_is_another_s_is_noticed():
    """Heavy tails: the standard deviations are far apart and say nothing, the quantiles of 1000 draws do."""
    names = [f"{100 * p:g}%" for p in (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)]
    quantiles = [0.1, 0.2, 0.8, 1.5, 3.0, 11.0, 20.0]
    columns = [{"type": "double", "values": [value]} for value in (3.0, 5.0, *quantiles, 1000.0)]
    draws = {"type": "frame", "names": ["mean", "sd", *names, "n_eff"], "rows": ["x"], "columns": columns}
    ours = {"mean": 3.5, "sd": 15.0, "n_eff": 1000.0, **dict(zip(names, quantiles, strict=True))}
    assert posterior_verdict(draws, ours) == "agrees"
    assert posterior_verdict(draws, ours | {"50%": 2.2}) == "disagrees"


AROUND = """library(lme4)
attach(Dyestuff)
m <- lmer(Yield ~ 1 + (1 | Batch))
c <- function(...) stop("the script's own")
fits <- parallel::mclapply(1:2, function(i) lmer(Yield ~ 1 + (1 | Batch), Dyestuff[-i, ]), mc.cores = 2)
makeActiveBinding("never", function() stop("looked at"), globalenv())
later <- lmer(Reaction ~ Days + (1 | Subject), sleepstudy)
summary(sleepstudy)
write.csv(ranef(m)$Batch, "effects.csv")
try(write.csv(ranef(m)$Batch, "OUTSIDE/effects.csv"))
set.seed(3)
again <- sapply(simulate(m, nsim = 5), function(y) sigma(refit(m, y)))
"""


@pytest.mark.r
@pytest.mark.skipif(not sandbox.status().landlock, reason="this kernel has no Landlock")
def test_what_stands_around_models_is_seen_and_writes_nowhere_else(tmp_path):
    """Attached data, packages' data, forked fits, an own ``c``; what the Python script writes stays in scratch, too."""
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tmp_path / "a.R"
    path.write_text(AROUND.replace("OUTSIDE", str(outside)))
    done = migrate(path, tmp_path / "out")
    assert not done.disagreements, str(done)
    assert {line for line, _, _ in done.missing} == {4, 6, 10}
    assert not done.unproved
    assert [one.verdict for one in done.compared if one.what == "model"] == ["agrees"] * 9
    # the simulation, five fits to it and their sigma, the variable that they are in
    assert sum(one.random for one in done.compared) == 12
    assert 'm = lmer("Yield ~ 1 + (1 | Batch)", Dyestuff)' in done.script
    assert 'print(sleepstudy.describe(include="all"))' in done.script
    assert not list(outside.iterdir())
    assert not (Path.cwd() / "effects.csv").exists()


@pytest.mark.parametrize(("excess", "verdict"), [(2e-5, "agrees"), (2e-3, "disagrees"), (float("nan"), "disagrees")])
def test_a_theta_that_is_as_good_is_no_disagreement(excess, verdict):
    """At a boundary R's θ is 0.002 and Python's 0: by the criterion there, and not by how far they are apart."""
    place = sites(parse("m <- lmer(y ~ 1 + (1 | g), d)"))[0]
    numbers = {"logLik": -10.0, "sigma": 1.0, "nobs": 30.0}
    fit = {name: {"type": "double", "values": [value]} for name, value in numbers.items()}
    fit |= {"classes": ["lmerMod"], "theta": {"type": "double", "values": [0.002], "names": ["g.(Intercept)"]}}
    events = [
        {"event": "fit", "site": 0, "statement": 0, "number": 1, "fit": fit},
        {"event": "value", "site": 0, "statement": 0, "value": {"type": "fit", "fit": 1}},
    ]
    script = Script("", [Span(0, 1, 0, 1, 1)], [Piece(0, 1, "", "carried")], {}, {}, [place])
    ours = Labelled([*numbers.items(), ("theta · g.(Intercept)", 0.0), (AT_R, excess)])
    (one,) = judge(script, Watched(events=events), Replayed({0: [ours]}))
    assert one.verdict == verdict


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(SCRIPTS.iterdir()), ids=lambda path: path.stem)
def test_scripts_of_the_usual_kind(path, tmp_path):
    place = tmp_path / "there"
    place.mkdir()
    copied = place / path.name
    copied.write_bytes(path.read_bytes())
    done = migrate(copied, tmp_path / "out")
    if done.error is not None and "there is no package" in done.error:
        pytest.skip(done.error)
    assert not done.disagreements, str(done)
    assert not done.unproved, str(done)
    assert done.compared
    environment = {"PATH": "/nowhere", "PYTHONPATH": str(Path.cwd()), "HOME": str(tmp_path)}
    script = next(done.folder.glob("[a-z]*.py"), None)
    assert script is not None
    alone = subprocess.run([sys.executable, str(done.folder / f"{path.stem}.py")], env=environment, check=False)
    assert alone.returncode == 0
