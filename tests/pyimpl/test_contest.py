"""Tests of contrasts beside live lmerTest."""

import json

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, ModelError
from pyimpl.models.lmer import lmer

_R = r"""
suppressMessages({library(lmerTest); library(jsonlite)})
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 2e-8))
write.csv(sleepstudy, file.path(folder, "sleep.csv"), row.names = FALSE)
L <- rbind(c(0, 1, 0), c(0, 1, -1), c(1, 0, 0.5)); twice <- rbind(c(0, 1, 1), c(0, 2, 2))
frame <- function(x) list(columns = names(x), values = unname(as.matrix(x)))
out <- lapply(c(TRUE, FALSE), function(REML) {
  m <- lmer(Reaction ~ Days + I(Days^2) + (Days | Subject), sleepstudy, REML = REML, control = tight)
  lapply(c("Satterthwaite", if (REML) "Kenward-Roger"), function(ddf) lapply(list(
    contest(m, L, ddf = ddf), contest(m, L, rhs = 1:3, ddf = ddf), contest(m, c(0, 1, 1), rhs = -1, ddf = ddf),
    contest(m, twice, ddf = ddf), contest(m, L, rhs = 2, joint = FALSE, ddf = ddf),
    contest(m, L, joint = FALSE, confint = FALSE, ddf = ddf), contest(m, L, joint = FALSE, level = 0.8, ddf = ddf)),
    frame))
})
cat(toJSON(out, digits = NA))
"""
L = np.array([[0, 1, 0], [0, 1, -1], [1, 0, 0.5]])


@pytest.fixture(scope="module")
def answers(rscript, tmp_path_factory):
    folder = tmp_path_factory.mktemp("contest")
    text = rscript(f'folder <- "{folder}"\n{_R}')
    return pd.read_csv(folder / "sleep.csv"), json.loads(text)


def _differences(ours: list[pd.DataFrame], theirs: list[dict]) -> float:
    worst = 0.0
    for table, other in zip(ours, theirs, strict=True):
        assert list(table.columns) == other["columns"]
        values = np.array(other["values"], dtype=float)
        worst = max(worst, float(np.max(np.abs(table.to_numpy() - values) / np.maximum(np.abs(values), 1e-3))))
    return worst


def _all(fit, ddf, error=0.0):
    contrasts = L + error
    return [
        fit.contest(contrasts, ddf=ddf),
        fit.contest(contrasts, [1, 2, 3], ddf=ddf),
        fit.contest([0, 1, 1], -1, ddf=ddf),
        fit.contest([[0, 1, 1], [0, 2, 2]], ddf=ddf),
        fit.contest(contrasts, 2, joint=False, ddf=ddf),
        fit.contest(contrasts, joint=False, confint=False, ddf=ddf),
        fit.contest(contrasts, joint=False, level=0.8, ddf=ddf),
    ]


@pytest.mark.r
@pytest.mark.parametrize("REML", [True, False])
def test_contrasts_are_those_of_lmerTest(answers, REML):
    fit = lmer("Reaction ~ Days + I(Days^2) + (Days | Subject)", answers[0], REML)
    theirs = answers[1][0 if REML else 1]
    for ddf, other in zip(("Satterthwaite", "Kenward-Roger"), theirs, strict=False):
        assert _differences(_all(fit, ddf), other) < 2e-4
        assert _differences(_all(fit, ddf, 0.01), other) > 2e-4  # and it would be seen
    if not REML:
        with pytest.raises(ModelError, match="only available for REML"):
            fit.contest(L, ddf="Kenward-Roger")


def test_rows_keep_their_names_and_bad_contrasts_are_refused():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=30), "x": rng.normal(size=30), "g": list("abcde") * 6})
    data["y"] += np.repeat(rng.normal(size=5), 6)[np.argsort(np.argsort(data["g"], kind="stable"), kind="stable")]
    fit = lmer("y ~ x + (1 | g)", data)
    named = pd.DataFrame([[0, 1], [1, 2]], index=["slope", "at 2"])
    assert fit.contest(named, joint=False).index.tolist() == ["slope", "at 2"]
    for arguments, words in [
        (([0, 1, 0],), "needs 2 columns"),
        (([np.nan, 1],), "missing or infinite"),
        (([[0, 1], [1, 0]], [1, 2, 3]), "rhs has shape"),
        (([[0, 1], [0, 2]], [1, 3]), "linearly dependent"),
        (([[0, 1]], 0, True, True, 1.5), "level"),
        (([[0, 1]], 0, True, True, 0.9, "lme4"), "ddf must be"),
        (([[0, 1], [1, 0]], [1, 2], False), "one number"),
        (([[0, 0]],), "no row other than zeros"),
        ((["a", "b"],), "L must be a sequence"),
    ]:
        with pytest.raises(DataError, match=words):
            fit.contest(*arguments)
