"""Nestings of data-dependent transforms, by a grammar, and what live R predicts from them on new data."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_R = r"""
suppressMessages(library(lme4))
spec <- jsonlite::fromJSON("cases.json", simplifyVector = FALSE)
read <- function(name) read.csv(name, colClasses = c(g = "character", f = "character"))
d <- read("data.csv")
news <- lapply(seq_len(spec$news), function(i) read(sprintf("new%d.csv", i)))
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9), calc.derivs = FALSE)
one <- function(text) {
  m <- tryCatch(suppressWarnings(suppressMessages(lmer(as.formula(text), d, control = tight))), error = identity)
  if (inherits(m, "error")) return(list(fit = conditionMessage(m)))
  list(beta = I(unname(fixef(m))), news = lapply(news, function(new) tryCatch({
    p <- as.vector(suppressWarnings(predict(m, new, allow.new.levels = TRUE)))
    list(values = I(ifelse(is.na(p), "NA", sprintf("%.17g", p))))
  }, error = function(e) list(error = conditionMessage(e)))))
}
cat(jsonlite::toJSON(lapply(spec$formulas, one), auto_unbox = TRUE, digits = NA, null = "null"), file = "answers.json")
"""

#: Functions of one numeric expression that give numbers; ``{}`` is the expression.
NUMBERS = (
    "poly({}, 2)", "poly({}, degree = 1)", "poly({}, 2, raw = TRUE)", "scale({})", "scale({}, scale = FALSE)",
    "scale({}, center = FALSE)", "scale({}, TRUE, FALSE)", "scale({}, FALSE)", "scale({}, center = 2, scale = 3)",
    "log({} + 9)", "exp({} / 9)", "sqrt(abs({}))", "abs({})", "I({}^2)", "I({})", "as.numeric({})", "I({} - mean({}))",
    "I({} / sd({}))", "I(-{})", "I(2 * {})", "I({} + z)", "I(z + {})", "rank({})", "pmin({}, 1)", "pmax(z, {})",
    "round({}, 1)", "ave({}, f)", "({})", "ifelse({} > median({}), {}, 0)", "exp(-{})", "offset({})",
)  # fmt: skip
#: ... and that give factors or truth values, outermost only.
CLASSES = (
    "cut({}, 3)", "cut({}, c(-99, 0, 1, 99))", "cut({}, quantile({}), include.lowest = TRUE)", "factor({} > 0)",
    "relevel(factor({} > mean({})), ref = 2)", "cut(rank({}), 2, labels = FALSE)", "factor(round({} / 9))",
)  # fmt: skip
#: Where an expression stands in the model.
PLACES = ("y ~ {} + (1 | g)", "y ~ {} * z + (1 | g)", "y ~ z + (0 + {} | g)", "y ~ {} + f + (1 | g)")


def nesting(rng: np.random.Generator, depth: int) -> str:
    """Write an expression of this depth."""
    text = str(rng.choice(["x", "z"], p=[0.8, 0.2]))
    for level in range(depth):
        last = level == depth - 1
        pool = NUMBERS + CLASSES if last else NUMBERS[:-1]
        text = str(rng.choice(pool)).replace("{}", text)
    return text


def formulas(seed: int, count: int) -> list[str]:
    """Different models with a nesting of two or three transforms each."""
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        inner = nesting(rng, int(rng.integers(2, 4)))
        place = PLACES[0] if inner.startswith("offset") else str(rng.choice(PLACES, p=[0.5, 0.15, 0.2, 0.15]))
        found[place.format(inner)] = None
    return list(found)


def frames(seed: int) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Data, and new data: other rows, two of the rows, and the same rows in another order with another spread."""
    rng = np.random.default_rng(seed)
    n = 48
    d = pd.DataFrame(
        {
            "x": rng.normal(0.3, 1.2, n).round(3),
            "z": rng.normal(0.0, 1.0, n).round(3),
            "f": rng.permutation(np.resize(["a", "b", "c"], n)),
            "g": np.repeat([f"s{i}" for i in range(8)], n // 8),
        }
    )
    effect = dict(zip([f"s{i}" for i in range(8)], rng.normal(0, 2, 8), strict=True))
    d.insert(0, "y", (0.7 * d.x + 0.4 * d.x**2 + d.g.map(effect) + rng.normal(0, 0.6, n)).round(3))
    other = d.drop(columns="y").iloc[:9].assign(x=lambda t: t.x + 0.4, z=lambda t: t.z * 0.9).reset_index(drop=True)
    wide = d.drop(columns="y").sample(frac=1.0, random_state=seed).reset_index(drop=True)
    return d, [other, d.drop(columns="y").iloc[[3, 11]].reset_index(drop=True), wide.assign(x=wide.x * 1.5)]


def ask_r(texts: list[str], data: pd.DataFrame, news: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """Live R's fits of these models and their predictions, or its errors: one process for all."""
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder)
        data.to_csv(inside / "data.csv", index=False)
        for i, new in enumerate(news, 1):
            new.to_csv(inside / f"new{i}.csv", index=False)
        (inside / "cases.json").write_text(json.dumps({"formulas": texts, "news": len(news)}))
        done = subprocess.run(
            ["Rscript", "--vanilla", "-e", _R], cwd=inside, capture_output=True, text=True, timeout=900, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        answers: list[dict[str, Any]] = json.loads((inside / "answers.json").read_text())
    return answers
