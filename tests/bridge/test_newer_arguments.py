"""Arguments that a release of lme4 brought: passed to an R that has them, refused with the release by one that has not.

An older lme4 takes them among its dots and does nothing with them, without a word.
"""

import json
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest

from bridge import lme4
from bridge.errors import BridgeError, DataError, FormulaError
from r_scripts.dialect import CHANGES

pytestmark = pytest.mark.r

FORMULA = "Reaction ~ Days + (Days | Subject)"
ROWS = [0, 17, 40]


@pytest.fixture(scope="module")
def fit(sleepstudy):
    return lme4.lmer(FORMULA, sleepstudy)


def _weights(n):
    return 1.0 + np.arange(n) % 3


CALLS = {
    "predict_se_fit": lambda fit, data: fit.predict(data, se_fit=True)["se.fit"].iloc[ROWS],
    "refit_newweights": lambda fit, data: fit.refit(data["Reaction"], newweights=_weights(len(data))).fixef(),
    "vcov_full": lambda fit, _: fit.vcov(full=True).iloc[0, :5],
}
IN_R = """
suppressMessages(library(lme4))
m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
cat(jsonlite::toJSON(list(
  # of all rows: lme4 1.1-37 ends in an error where new data lack levels
  predict_se_fit = unname(predict(m, sleepstudy, se.fit = TRUE)$se.fit[c(1, 18, 41)]),
  refit_newweights = fixef(refit(m, sleepstudy$Reaction, newweights = 1 + (0:179) %% 3)),
  vcov_full = vcov(m, full = TRUE)[1, 1:5]), digits = NA))
"""


@pytest.mark.parametrize("change", CALLS)
def test_what_this_lme4_lacks_is_refused_with_the_release_that_has_it(change, fit, sleepstudy, live_dialect):
    if not live_dialect.has(change):
        with pytest.raises(DataError, match=rf"is there since lme4 {CHANGES[change].since}; this R has lme4 \d"):
            CALLS[change](fit, sleepstudy)
        return
    told = subprocess.run(["Rscript", "--vanilla", "-"], input=IN_R, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(CALLS[change](fit, sleepstudy), json.loads(told.stdout)[change], rtol=1e-7)


@pytest.mark.parametrize(
    ("term", "change", "told"),
    [
        ("(1 | Subject * half)", "reformulas", "Subject [*] half"),
        ("cs(0 + half | Subject)", "structured_covariances", "cs"),
    ],
)
def test_terms_that_this_lme4_lacks_are_refused_with_the_release_that_has_them(
    term, change, told, sleepstudy, live_dialect
):
    data = sleepstudy.assign(half=np.where(sleepstudy["Days"] > 4, "late", "early"))
    formula = f"Reaction ~ Days + {term}"
    if live_dialect.has(change):
        assert np.isfinite(lme4.lmer(formula, data).REMLcrit())
        return
    release = f"are there since lme4 {CHANGES[change].since}; this R has lme4 {live_dialect.versions['lme4']}"
    with pytest.raises(FormulaError, match=f"{told}.* {release}"):
        lme4.lmer(formula, data)


def test_a_grouping_factor_that_no_lme4_reads_is_refused_as_by_r(sleepstudy):
    with pytest.raises(BridgeError) as refused:
        lme4.lmer("Reaction ~ Days + (1 | Days - Days)", sleepstudy)
    assert "since lme4" not in str(refused.value)


def test_weights_of_another_number_of_rows_are_refused(fit, sleepstudy):
    with pytest.raises(DataError, match=r"newweights has shape \(3,\)"):
        fit.refit(sleepstudy["Reaction"], newweights=np.ones(3))


@pytest.mark.parametrize("structure", ["us", "diag", "cs", "ar1"])
def test_structured_covariances_are_fitted_by_an_r_that_knows_them(structure, sleepstudy, live_dialect):
    data = sleepstudy.assign(part=pd.Categorical("p" + (sleepstudy["Days"] // 4).astype(int).astype(str)))
    formula = f"Reaction ~ Days + {structure}(0 + part | Subject)"
    if not live_dialect.has("structured_covariances"):
        with pytest.raises(BridgeError, match=rf"{structure}.*2\.0"):
            lme4.lmer(formula, data)
        return
    in_r = """
    suppressMessages(library(lme4)); sleepstudy$part <- factor(paste0("p", sleepstudy$Days %/% 4))
    m <- suppressWarnings(suppressMessages(lmer(FORMULA, sleepstudy)))
    cat(sprintf("%.17g ", c(REMLcrit(m), getME(m, "theta"))))
    """.replace("FORMULA", formula)
    told = subprocess.run(["Rscript", "--vanilla", "-"], input=in_r, capture_output=True, text=True, check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit, tight = lme4.lmer(formula, data), lme4.lmer(formula, data, control="tight")
    numbers = np.array(told.stdout.split(), dtype=float)
    np.testing.assert_allclose([fit.REMLcrit(), *fit.getME("theta")], numbers, rtol=1e-12)
    assert tight.REMLcrit() <= fit.REMLcrit() + 1e-9
    moved = tight.getME("par")
    assert tight.devfun(moved) == pytest.approx(tight.REMLcrit(), rel=1e-12)
    if len(moved) < len(tight.getME("theta")):
        assert structure in ("cs", "ar1")
        with pytest.raises(DataError, match=f"par, from which theta follows, has {len(moved)} elements"):
            tight.devfun(tight.getME("theta"))
