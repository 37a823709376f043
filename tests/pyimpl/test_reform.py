"""``re_form`` compared by columns and terms, as ``lme4:::mkNewReTrms`` does: which are answered, and with what."""

import json
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import PyimplError

MODELS = (
    "y ~ x + (wet | g)", "y ~ x + (1 + wet | g)", "y ~ (wet + x | g)", "y ~ x + (1 | g) + (0 + x | g) + (1 | h)",
    "y ~ x + (x || g) + (1 | h:g)", "y ~ x + (0 + f | g)", "y ~ (f | g)", "y ~ x + (x:f | g)",
    "y ~ x + (poly(x, 2) | g)", "y ~ x + (1 | g/h)", "y ~ x + (factor(k) | g)", "y ~ x + (o | g)",
    "y ~ x + (k | k)",
)  # fmt: skip
FORMS = (
    "~(wet | g)", "~(1 + wet | g)", "~(wet + 1 | g)", "~(1 | g)", "~(wet || g)", "~(0 + wet | g)", "~(x | g)",
    "~(x || g)", "~(0 + x | g)", "~(x + wet | g)", "~(wet * x | g)", "~(f | g)", "~(0 + f | g)", "~(f - 1 | g)",
    "~(x:f | g)", "~(f:x | g)", "~(x * f | g)", "~(1 | g) + (1 | h)", "~(1 | h)", "~(1 | g) + (x | g)", "~(1 | h:g)",
    "~(1 | g:h)", "~(1 | g/h)", "~(poly(x, 2) | g)", "~(poly(x, 3) | g)", "~(factor(k) | g)", "~(k | g)", "~(o | g)",
    "~x + (1 | g)", "~1", "~0", "~x", "~(z | g)", "~(k | k)", "~(1 | k)", "~(1 | g) + (1 | g)", "~(0 | g)",
    "~(1 + 0 + x | g)", "~((1 | g))", "~(1 | nowhere)",
)  # fmt: skip
_R = r"""
suppressMessages(library(lme4))
d <- read.csv("data.csv", stringsAsFactors = TRUE); d$o <- ordered(d$o)
spec <- jsonlite::fromJSON("cases.json")
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10), calc.derivs = FALSE,
  check.conv.singular = "ignore", check.nobs.vs.nRE = "ignore")
ask <- function(m, form, new) tryCatch({
  p <- suppressWarnings(if (is.null(new)) predict(m, re.form = as.formula(form), random.only = TRUE)
                        else predict(m, new, re.form = as.formula(form), random.only = TRUE))
  I(unname(p))
}, error = function(e) list(error = conditionMessage(e)))
out <- lapply(spec$models, function(text) {
  m <- suppressWarnings(suppressMessages(lmer(as.formula(text), d, control = tight)))
  list(theta = I(unname(getME(m, "theta"))),
       forms = lapply(spec$forms, function(form) list(ask(m, form, NULL), ask(m, form, d[1:3, ]))))
})
cat(jsonlite::toJSON(out, auto_unbox = TRUE, digits = NA), file = "answers.json")
"""


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 240
    d = pd.DataFrame(
        {
            "x": rng.normal(0, 1, n).round(3),
            "wet": rng.integers(0, 2, n).astype(bool),
            "f": rng.choice(["a", "b", "c"], n),
            "o": rng.choice(["p", "q", "r"], n),
            "k": rng.integers(1, 4, n),
            "g": rng.permutation(np.resize([f"g{i}" for i in range(12)], n)),
            "h": rng.permutation(np.resize(["u", "v", "w"], n)),
        }
    )
    size = {name: rng.normal(0, 1.5, (12, 3)) for name in ("a", "x", "wet", "f")}
    at = d.g.str[1:].astype(int).to_numpy()
    noise = rng.normal(0, 0.5, n) + rng.normal(0, 1, 36)[at * 3 + d.h.map({"u": 0, "v": 1, "w": 2})]
    slopes = size["x"][at, 0] * d.x + size["wet"][at, 0] * d.wet + size["f"][at, d.f.map({"a": 0, "b": 1, "c": 2})]
    d.insert(0, "y", (size["a"][at, 0] + slopes + noise).round(3))
    return d.astype({"f": "category", "g": "category", "h": "category"}).assign(
        o=pd.Categorical(d.o, ["p", "q", "r"], ordered=True)
    )


def _ours(fit: Any, form: str, new: pd.DataFrame | None) -> np.ndarray | str:
    try:
        return np.asarray(fit.predict(new, re_form=form, random_only=True).to_numpy(), dtype=float)
    except PyimplError as error:
        return str(error)


@pytest.mark.r
def test_re_form_is_answered_and_refused_as_in_r(data: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data.assign(wet=data.wet.map({True: "TRUE", False: "FALSE"})).to_csv(Path(folder, "data.csv"), index=False)
        Path(folder, "cases.json").write_text(json.dumps({"models": MODELS, "forms": FORMS}))
        subprocess.run(["Rscript", "--vanilla", "-e", _R], cwd=folder, check=True, capture_output=True, timeout=250)
        answers = json.loads(Path(folder, "answers.json").read_text())
    wrong, answered, refused = [], 0, 0
    for text, model in zip(MODELS, answers, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = lmer(text, data)
        theta = np.asarray(fit.getME("theta"))
        close = 3e-3 if np.allclose(theta, model["theta"], atol=1e-3, rtol=1e-3) else 0.05
        for form, pair in zip(FORMS, model["forms"], strict=True):
            for new, theirs in zip((None, data.iloc[:3]), pair, strict=True):
                # lme4 1.1-31 (not 1.1-37): a factor that re.form leaves out has no levels left, and its contrasts fail
                if isinstance(theirs, dict) and theirs["error"].startswith("contrasts can be applied only"):
                    continue
                mine = _ours(fit, form, new)
                if isinstance(theirs, dict) or isinstance(mine, str):
                    refused += isinstance(theirs, dict)
                    if isinstance(theirs, dict) != isinstance(mine, str):
                        wrong.append(f"{text}, {form}: R {str(theirs)[:90]}, ours {str(mine)[:90]}")
                    continue
                answered += 1
                if not np.allclose(mine, theirs, atol=close * max(1.0, np.abs(theirs).max()), rtol=0):
                    wrong.append(f"{text}, {form}: R {theirs[:3]}, ours {mine[:3]}")
    assert not wrong, "\n".join(wrong)
    assert answered > 100
    assert refused > 100
