"""lm and lmList against live R: texts to the letter, numbers to rounding."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyimpl import DataError, FormulaError, ModelError, PyimplWarning, lm, lmer, lmList


def _data() -> pd.DataFrame:
    rng = np.random.default_rng(20261128)
    n = 60
    frame = pd.DataFrame({"x": rng.normal(size=n).round(3), "z": rng.uniform(1, 9, n).round(2)})
    frame["g"] = pd.Categorical(rng.choice(["lo", "mid", "hi"], n), categories=["lo", "mid", "hi"])
    frame["h"] = pd.Categorical(rng.choice(["a", "b"], n))
    frame["w"] = rng.uniform(0.2, 3, n).round(2)
    frame["w0"] = np.where(np.arange(n) % 7 == 0, 0.0, frame["w"])
    frame["o"] = rng.normal(0, 2, n).round(2)
    frame["x2"] = 2 * frame["x"] - 1
    frame["y"] = (3 + frame["x"] - 0.3 * frame["z"] + (frame["g"] == "hi") + rng.normal(size=n)).round(3)
    frame["ym"] = frame["y"].where(np.arange(n) % 9 != 3)
    frame["one"] = frame["y"].where(np.arange(n) != 4)
    frame["cluster"] = pd.Categorical(np.array(["k", "b", "m", "a", "q", "e"])[np.arange(n) % 6])
    frame["bad"] = frame["y"].where(frame["cluster"] != "m")
    return frame


MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "plain": ("y ~ x + z", {}, ""),
    "interaction": ("y ~ g * x + h", {}, ""),
    "aliased": ("y ~ x + x2 + g", {}, ""),
    "two aliased": ("y ~ x + x2 + I(x + x2) + h", {}, ""),
    "weights": ("y ~ x + g", {"weights": "w"}, ", weights = w"),
    "zero weights": ("y ~ x + g", {"weights": "w0"}, ", weights = w0"),
    "weights aliased": ("ym ~ x + x2 + h:g", {"weights": "w"}, ", weights = w"),
    "missing": ("ym ~ x", {}, ""),
    "one missing": ("one ~ poly(z, 2)", {}, ""),
    "na.exclude": ("ym ~ x + h", {"na_action": "na.exclude"}, ", na.action = na.exclude"),
    "subset": ("y ~ x + h", {"subset": "z > 4"}, ", subset = z > 4"),
    "contr.sum": (
        "y ~ g * h",
        {"contrasts": {"g": "contr.sum", "h": "contr.sum"}},
        ', contrasts = list(g = "contr.sum", h = "contr.sum")',
    ),
    "no intercept": ("y ~ 0 + cluster + x", {}, ""),
    "intercept": ("y ~ 1", {}, ""),
    "nothing": ("y ~ 0", {}, ""),
    "transformed": ("log(z) ~ I(x^2) + sqrt(w)", {}, ""),
    "few": ("y ~ x + h", {"subset": "z > 7.9"}, ", subset = z > 7.9"),
    "offset": ("y ~ x + offset(o)", {}, ""),
    "offset argument": ("y ~ x + g", {"offset": "o", "weights": "w"}, ", weights = w, offset = o"),
}
MIXED = {"refitted": "anova(m, b, a)", "as they are": "anova(m, b, refit = FALSE)", "AIC": "AIC(m, b)"}
LISTS = {
    "simple": "y ~ x | cluster",
    "failing": "bad ~ x | cluster",
    "factors": "y ~ x + z | g",
    "absent": "y ~ cluster | h",
}


def _block(tag: str, what: str, expression: str) -> str:
    return f'cat("@@{tag}|{what}\\n"); invisible(capture.output(print({expression})) |> writeLines())'


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    frame = _data()
    frame.attrs["name"] = "d"
    return frame


@pytest.fixture(scope="module")
def answers(rscript, tmp_path_factory) -> dict[tuple[str, str], str]:
    """What R prints of every model: (tag, what) -> text."""
    folder = tmp_path_factory.mktemp("lm")
    _data().to_csv(folder / "d.csv", index=False, na_rep="NA")
    lines = [
        "suppressMessages(library(lme4)); options(width = 80)",
        f'd <- read.csv("{folder}/d.csv", stringsAsFactors = TRUE); d$g <- factor(d$g, c("lo", "mid", "hi"))',
        "new <- d[c(3, 11, 40), ]; full <- function(x) writeLines(sprintf('%.17g', unlist(x)))",
        'cat("@@R|version\\n"); writeLines(as.character(getRversion()))',
    ]
    for tag, (formula, _, extra) in MODELS.items():
        lines.append(f"m <- lm({formula}, d{extra})".replace(", d", ", data = d", 1))
        lines.append("m$call$formula <- m$call$formula")
        lines += [_block(tag, "summary", "suppressWarnings(summary(m))"), _block(tag, "print", "m")]
        lines += [_block(tag, "anova", "anova(m)")]
        numbers = (
            "list(coef(m), vcov(m), confint(m), sigma(m), logLik(m), AIC(m), BIC(m), deviance(m), nobs(m), "
            "df.residual(m), fitted(m), residuals(m), if (m$rank) hatvalues(m) else 0 * residuals(m), "
            "suppressWarnings(predict(m, new, interval = 'prediction', se.fit = TRUE)[c('fit', 'se.fit')]))"
        )
        lines.append(f'cat("@@{tag}|numbers\\n"); full({numbers})')
    lines.append("a <- lm(y ~ x, d); b <- lm(y ~ x + g, d); k <- lm(y ~ x * g + h, d)")
    lines.append(_block("several", "anova", "anova(a, b, k)"))
    lines.append("m <- lmer(y ~ x + g + (1 | cluster), d)")
    for what, call in MIXED.items():
        lines.append(_block("mixed", what, f"suppressWarnings(suppressMessages({call}))"))
    for formula in ("y ~ x + z", "y ~ x * z"):
        lines.append(f"m <- lm({formula}, data = d[1:3, ])")
        lines += [_block(formula, "summary", "summary(m)"), _block(formula, "anova", "suppressWarnings(anova(m))")]
    for tag, formula in LISTS.items():
        lines.append(f"f <- suppressWarnings(lmList({formula}, data = d))")
        lines += [_block(tag, "list", "f"), f'cat("@@{tag}|coef\\n"); full(coef(f))']
    text = rscript("\n".join(lines))
    out = {}
    for part in text.split("@@")[1:]:
        head, _, body = part.partition("\n")
        tag, _, what = head.partition("|")
        out[tag, what] = body
    return out


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word.replace("NA", "nan")) for word in text.split()])


def _spoken(answers: dict[tuple[str, str], str]) -> str:
    return f"R {answers['R', 'version'].strip()}"


@pytest.mark.parametrize("tag", MODELS)
def test_texts_and_numbers(tag, frame, answers):
    formula, arguments, _ = MODELS[tag]
    fit = lm(formula, frame, dialect=_spoken(answers), **arguments)
    assert str(fit.summary()) + "\n" == answers[tag, "summary"]
    assert str(fit) + "\n" == answers[tag, "print"]
    assert str(fit.anova()) + "\n" == answers[tag, "anova"]
    if not fit.rank:  # of an empty model R's predict() ignores the new data
        return
    new = frame.iloc[[2, 10, 39]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = fit.predict(new, se_fit=True, interval="prediction")
    ours = [
        fit.coef(),
        fit.vcov().to_numpy().ravel(order="F"),
        fit.confint().to_numpy().ravel(order="F"),
        [fit.sigma(), fit.logLik(), fit.AIC(), fit.BIC(), fit.deviance(), fit.nobs(), fit.df_residual()],
        fit.fitted(),
        fit.residuals(),
        fit.hatvalues(),
        predicted[["fit", "lwr", "upr"]].to_numpy().ravel(order="F"),
        predicted["se.fit"],
    ]
    flat = np.concatenate([np.asarray(part, dtype=float) for part in ours])
    theirs = _numbers(answers[tag, "numbers"])
    if tag == "zero weights":  # hatvalues leaves such rows out in R
        at = len(flat) - 12 - 60
        keep = np.ones(len(flat), dtype=bool)
        keep[at : at + 60] = frame["w0"] > 0
        flat = flat[keep] if len(theirs) < len(flat) else flat
    np.testing.assert_allclose(flat, theirs, rtol=1e-9, atol=1e-11)


def test_models_compared(frame, answers):
    fits = [lm(formula, frame) for formula in ("y ~ x", "y ~ x + g", "y ~ x * g + h")]
    assert str(fits[0].anova(*fits[1:])) + "\n" == answers["several", "anova"]


@pytest.mark.filterwarnings("ignore")  # that a variance is 0, and that REML is compared with ML
def test_models_with_and_without_random_effects_compared(frame, answers):
    a, b = (lm(formula, frame) for formula in ("y ~ x", "y ~ x + g"))
    m = lmer("y ~ x + g + (1 | cluster)", frame, dialect="debian-12")
    spoken = {"-2*log(L)": "deviance ", " -2*log(L)": " deviance "}
    for what, ours in {
        "refitted": m.anova(b, a, model_names=["m", "b", "a"]),
        "as they are": m.anova(b, refit=False, model_names=["m", "b"]),
    }.items():
        theirs = answers["mixed", what]
        for new, old in spoken.items():
            theirs = theirs.replace(new, old)
        assert str(ours).split() == theirs.split()
    theirs = answers["mixed", "AIC"].split()
    np.testing.assert_allclose(m.AIC(b).to_numpy().ravel(), [float(theirs[i]) for i in (3, 4, 6, 7)], rtol=1e-6)
    assert (b.npar, b.isREML(), b.refitML() is b) == (5, False, True)
    with pytest.raises(ModelError, match="same subset"):
        m.anova(lm("y ~ x", frame, subset=np.ones(len(frame), dtype=bool)))
    with pytest.raises(ModelError, match="same data object"):
        m.anova(lm("y ~ x", frame.assign(y=frame["y"] + 1)))
    with pytest.raises(DataError, match="LmFit"):
        m.anova("y ~ x")


@pytest.mark.parametrize("tag", LISTS)
def test_lists(tag, frame, answers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        fits = lmList(LISTS[tag], frame)
    assert str(fits) + "\n" == answers[tag, "list"]
    np.testing.assert_allclose(
        fits.coef().to_numpy().ravel(order="F"), _numbers(answers[tag, "coef"]), rtol=1e-9, atol=1e-11
    )


def test_groups_that_cannot_be_fitted_are_warned_about(frame):
    with pytest.warns(PyimplWarning, match="1 error caught in lm"):
        fits = lmList("bad ~ x | cluster", frame)
    assert fits["m"] is None
    assert fits.coef().loc["m"].isna().all()


def test_an_offset_has_no_part_in_r_squared_since_r_4_3(frame):
    old, new = (lm("y ~ x", frame, offset="o", dialect=which) for which in ("debian-12", "debian-13"))
    without = lm("I(y - o) ~ x", frame)
    assert new.r_squared == pytest.approx(without.r_squared)
    assert old.r_squared != pytest.approx(without.r_squared)


@pytest.mark.parametrize("formula", ["y ~ x + z", "y ~ x * z"])
def test_saturated_fits(frame, answers, formula):
    fit = lm(formula, frame.iloc[:3], data_name="d[1:3, ]")
    assert str(fit.summary()) + "\n" == answers[formula, "summary"]
    with pytest.warns(PyimplWarning, match="essentially perfect fit"):
        table = fit.anova()
    assert str(table) + "\n" == answers[formula, "anova"]


@pytest.mark.parametrize(
    ("formula", "arguments", "error", "says"),
    [
        ("y ~ x + (1 | g)", {}, FormulaError, "lmer"),
        ("~ x", {}, FormulaError, "two-sided"),
        ("g ~ x", {}, DataError, "must be numeric"),
        ("y ~ nothere", {}, DataError, "nothere"),
        ("y ~ x", {"weights": -np.ones(60)}, DataError, "negative"),
        ("y ~ x", {"weights": np.zeros(60)}, ModelError, "weights are 0"),
        ("y ~ x", {"dialect": "no such"}, DataError, "dialect"),
    ],
)
def test_bad_input(frame, formula, arguments, error, says):
    with pytest.raises(error, match=says):
        lm(formula, frame, **arguments)


def test_rows_outside_what_the_fit_knows_are_warned_about(frame):
    fit = lm("y ~ x + x2", frame)
    with pytest.warns(PyimplWarning, match="1 row"):
        fit.predict(pd.DataFrame({"x": [0.0, 1.0], "x2": [-1.0, 5.0]}))


def test_update_and_the_dot(frame):
    fit = lm("y ~ .", frame[["y", "x", "z"]])
    assert fit.formula == "y ~ x + z"
    assert fit.update(". ~ . - z").formula == "y ~ x"


def test_models_may_be_named(frame):
    fits = [lm("y ~ x", frame), lm("y ~ x + g", frame)]
    assert list(fits[0].anova(fits[1], model_names=["one", "two"]).index) == ["one", "two"]
    with pytest.raises(ModelError, match="different lengths"):
        fits[0].anova(fits[1], model_names=["one"])
