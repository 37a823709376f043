"""The printed text of fits against live R, character for character."""

import warnings

import pytest

from pyimpl.formula.parse import deparse_lines, parse
from pyimpl.models.lmer import lmer
from pyimpl.printing import abbreviate, cat_fill
from tests.pyimpl.printing_oracle import AT_THETA, frames_of
from tests.pyimpl.printing_oracle import r_text as r_text_at

# (R's formula, data, further arguments): R and Python read the same text
CASES = [
    ("course ~ 1 + (1 | school)", "GCSE", {}),
    ("course ~ 1 + female + (1 | school)", "GCSE", {}),
    ("course ~ 1 + female + (1 + female | school)", "GCSE", {}),
    ("course ~ written + (written | school)", "GCSE", {}),
    ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}),
    ("Reaction ~ Days + (Days || Subject)", "sleepstudy", {}),
    ("Reaction ~ 0 + Days + (0 + Days | Subject)", "sleepstudy", {}),
    ("Reaction ~ 0 + (1 | Subject)", "sleepstudy", {}),
    ("log(Reaction) ~ poly(Days, 2) + (1 | Subject)", "sleepstudy", {}),
    ("Reaction ~ Days + (Days | Subject)", "sleepw", {"weights": "w"}),
    ("Reaction ~ Days + (1 | Subject)", "sleepw", {"weights": "w", "offset": "o"}),
    ("Reaction ~ Days + offset(o) + (1 | Subject)", "sleepw", {"subset": "Days > 2"}),
    ("Reaction ~ Days + Days2 + (1 | Subject)", "sleepw", {}),
    (
        "Reaction ~ Days + a.rather.long.name.of.a.predictor + another.long.predictor + Third_predictor + "
        "(1 + Days | Subject)",
        "sleepw",
        {},
    ),
    (
        "Reaction ~ Days * a.rather.long.name.of.a.predictor * another.long.predictor + I(Third_predictor^2) + "
        "(1 + Days + Third_predictor | Subject)",
        "sleepw",
        {},
    ),
    ("Yield ~ 1 + (1 | Batch)", "Dyestuff", {}),
    ("Yield ~ 1 + (1 | Batch)", "Dyestuff2", {}),
    ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", {}),
    ("strength ~ 1 + (1 | batch/cask)", "Pastes", {}),
    ("strength ~ 1 + (1 | sample) + (1 | batch)", "Pastes", {}),
    ("angle ~ recipe * temperature + (1 | recipe:replicate)", "cake", {}),
    ("angle ~ recipe + temp + (1 | replicate) + (1 | recipe:replicate)", "cake", {}),
    ("height ~ age + (age | Subject)", "Oxboys", {}),
    ("height ~ age + I(age^2) + (age + I(age^2) | Subject)", "Oxboys", {}),
    ("normexam ~ standLRT * sex + (standLRT | school)", "Exam", {}),
    ("normexam ~ standLRT + sex + schgend + intake + (standLRT + sex | school)", "Exam", {}),
    ("score ~ gcsecnt + gender + (1 | lea/school)", "Chem", {}),
    ("y ~ service + studage + lectage + (1 | s) + (1 | d) + (1 | dept:service)", "Inst", {}),
]


def _label(case):
    formula, data, extra = case
    return f"{data}: {formula}" + (f" {extra}" if extra else "")


@pytest.fixture(scope="module")
def fits(r_frames, live_dialect):
    out = {}
    for i, (formula, data, extra) in enumerate(CASES):
        for REML in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out[i, REML] = lmer(formula, r_frames[data], REML, dialect=live_dialect, **extra)
    return out


@pytest.fixture(scope="module")
def r_text(rscript, r_setup, fits):
    lines = [r_setup.split("for (name in names(frames))")[0], "invisible(list2env(frames, globalenv()))", AT_THETA]
    for (i, REML), fit in fits.items():
        formula, data, extra = CASES[i]
        arguments = "".join(f", {name} = {value}" for name, value in extra.items())
        theta = ", ".join(repr(float(t)) for t in fit.getME("theta"))
        call = f"quote(lmer(formula = {formula}, data = {data}, REML = {str(REML).upper()}{arguments}))"
        lines.append(f'show("{i}|{REML}", at_theta(c({theta}), {call}))')
    out = {}
    for block in rscript("\n".join(lines)).split("@@")[1:]:
        head, text = block.split("\n", 1)
        i, reml, what = head.split("|")
        out[int(i), reml == "True", what] = text
    return out


@pytest.mark.r
@pytest.mark.parametrize("REML", [False, True], ids=["ML", "REML"])
@pytest.mark.parametrize("i", range(len(CASES)), ids=map(_label, CASES))
def test_text_is_r_s(i, REML, r_text, fits):
    fit = fits[i, REML]
    assert str(fit.summary()) + "\n" == r_text[i, REML, "summary"]
    if CASES[i][1] == "Dyestuff":
        # the mean is 1527.5 exactly: R's rounding error decides between 1527 and 1528 in print(m), and it is wrong
        assert fit.fixef()["(Intercept)"] == pytest.approx(1527.5, rel=1e-15)
    else:
        assert str(fit) + "\n" == r_text[i, REML, "print"]
    assert fit.VarCorr().to_text() + "\n" == r_text[i, REML, "varcorr"]
    assert fit.VarCorr().to_text(("Variance", "Std.Dev."), 3) + "\n" == r_text[i, REML, "both"]
    if len(fit.fixef()):
        assert str(fit.anova()) + "\n" == r_text[i, REML, "anova"]


FUZZ = r"""
set.seed(3)
word <- function() paste(replicate(sample(1:3, 1), paste(sample(c(letters, letters, "a", "e", "i", "o", LETTERS[1:5],
  ".", "_", 0:9, "(", ")", ":", "^"), sample(1:12, 1), TRUE), collapse = "")), collapse = sample(c(" ", ":", ""), 1))
for (i in 1:500) {
  x <- unique(replicate(sample(1:6, 1), word())); m <- sample(c(4, 6, 11), 1)
  cat("A", m, paste(x, collapse = "|"), paste(abbreviate(x, m), collapse = "|"), sep = "\t"); cat("\n")
}
name <- function() paste(sample(letters, sample(3:18, 1), TRUE), collapse = "")
part <- function() switch(sample(8, 1), name(), paste0(name(), ":", name()), paste0("log(", name(), ")"),
  paste0("I(", name(), "^2)"), paste0("poly(", name(), ", 2, raw = TRUE)"), paste(name(), "*", name()),
  paste0("(", name(), " + ", name(), ")"), paste0("offset(", name(), ")"))
for (i in 1:400) {
  rhs <- paste(replicate(sample(1:9, 1), part()), collapse = sample(c(" + ", " + ", " - "), 1))
  bars <- paste(replicate(sample(1:3, 1), paste0("(", paste(replicate(sample(1:4, 1), part()), collapse = " + "), " | ",
    name(), sample(c("", "/h", ":h"), 1), ")")), collapse = " + ")
  f <- as.formula(paste(name(), "~", rhs, "+", bars))
  lines <- deparse(f)
  filled <- capture.output(cat("Formula:", lines, fill = TRUE))
  one <- paste(deparse(f, 500), collapse = "")
  cat("D", one, paste(lines, collapse = "|"), paste(filled, collapse = "|"), sep = "\t")
  cat("\n")
}
"""


@pytest.mark.r
def test_abbreviations_and_broken_formulas_at_random(rscript):
    lines = rscript(FUZZ).splitlines()
    assert len(lines) == 900
    for line in lines:
        kind, *rest = line.split("\t")
        if kind == "A":
            assert abbreviate(rest[1].split("|"), int(rest[0])) == rest[2].split("|")
        else:
            text, broken, filled = rest[0], rest[1], rest[2]
            ours = deparse_lines(parse(text))
            # the bar of a random-effects term is the separator's sign too
            assert "|".join(ours) == broken
            assert "|".join(cat_fill(["Formula:", *ours]).splitlines()) == filled


WIDE = r"""local({set.seed(12); d <- data.frame(y = rnorm(90, 10)); d[["日本"]] <- round(rnorm(90), 2)
  d[["éà ü"]] <- factor(sample(c("ä", "ß", "ø ø"), 90, TRUE))
  d[["学校"]] <- factor(sample(c("東京", "大阪"), 90, TRUE))
  d[["ｆｕｌｌ name"]] <- factor(sample(letters[1:5], 90, TRUE)); d$y <- d$y + rnorm(5)[d[["ｆｕｌｌ name"]]]; d})"""


@pytest.mark.r
def test_names_in_wide_characters_are_aligned_as_r_does(rscript, tmp_path, live_dialect):
    frames = frames_of(rscript, {"wide": WIDE}, tmp_path)
    formulas = [
        "y ~ 日本 * `éà ü` + (日本 | `ｆｕｌｌ name`)",
        "y ~ `éà ü` * 学校 + (1 | `ｆｕｌｌ name`) + (1 | 学校:`ｆｕｌｌ name`)",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [
            (str(i), (f, "wide", {}), True, lmer(f, frames["wide"], dialect=live_dialect))
            for i, f in enumerate(formulas)
        ]
    texts = r_text_at(rscript, {"wide": WIDE}, fits, "none")
    for tag, _, _, fit in fits:
        assert f"{fit.summary()}\n" == texts[tag, "summary"]
        assert f"{fit}\n" == texts[tag, "print"]
        assert f"{fit.anova()}\n" == texts[tag, "anova"]
        assert f"{fit.VarCorr().to_text()}\n" == texts[tag, "varcorr"]


@pytest.mark.r
def test_a_wrong_digit_would_be_seen(fits, r_text):
    text = str(fits[0, False].summary())
    assert text + "\n" == r_text[0, False, "summary"]
    assert text.replace("75.2", "75.3") + "\n" != r_text[0, False, "summary"]
