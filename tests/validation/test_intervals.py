"""Confidence intervals are joined by what they are, whatever a version calls them."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from r_scripts.dialect import Dialect
from validation.intervals import compare_intervals, judge_intervals, tidy_intervals
from validation.references.provenance import dialect_of
from validation.verdict import Verdict


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    # many groups: lme4's profiles of correlations near 1 are not monotonic, and it says so
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(40), 8)
    x, z = rng.normal(size=(2, 320)).round(3)
    b = rng.normal(size=(40, 3)) @ np.array([[1.2, 0.3, 0.1], [0, 0.9, 0.2], [0, 0, 0.8]])
    y = 1 + x + b[g, 0] + b[g, 1] * x + b[g, 2] * z + rng.normal(size=320)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g.astype(str)})


FORMULA = "y ~ x + (x + z | g)"


@pytest.fixture(scope="module")
def fits(data):
    return {version: lmer(FORMULA, data, REML=False, dialect=version) for version in ("1.1-37", "2.1-0")}


@pytest.fixture(scope="module")
def tables(fits):
    return {version: fit.confint() for version, fit in fits.items()}


def test_intervals_of_two_versions_agree_by_what_they_are(fits, tables):
    found = compare_intervals(fits["1.1-37"], fits["2.1-0"])
    assert found.verdict is Verdict.AGREES
    assert len(found.table) == 2 * len(tables["2.1-0"])
    kinds = found.table["quantity"].value_counts()
    assert kinds.to_dict() == {"sd": 6, "correlation": 6, "sigma": 2, "fixef": 4}
    assert (found.table["difference"].abs() == 0).all()


def test_a_join_by_name_would_be_seen(fits, tables):
    old, new = tables["1.1-37"], tables["2.1-0"]
    assert list(old.index) == list(new.index)
    # what a join by .sig02 does: read the one version's names as the other's
    wrong = [
        tidy_intervals(old, fits["1.1-37"]),
        tidy_intervals(new, fits["2.1-0"], Dialect.of("1.1-37")),
    ]
    rows = judge_intervals(*wrong)
    bad = {(row.quantity, row.term, row.term2) for row in rows if row.verdict is Verdict.DISAGREES}
    assert {("correlation", "(Intercept)", "x"), ("sd", "x", None)} <= bad
    found = compare_intervals(fits["1.1-37"], fits["2.1-0"], candidate_dialect=Dialect.of("1.1-37"))
    assert found.verdict is Verdict.DISAGREES


def test_names_that_say_what_they_are_need_no_version(fits, tables):
    class Other:
        """A fit of somebody else's."""

        def __init__(self, fit):
            self.VarCorr, self.fixef = fit.VarCorr, fit.fixef

    other = Other(fits["2.1-0"])
    spelled = fits["2.1-0"].confint(method="Wald", signames=False)
    keys = ["quantity", "group", "term", "term2"]
    pd.testing.assert_frame_equal(
        tidy_intervals(spelled, other)[keys], tidy_intervals(tables["2.1-0"], fits["2.1-0"])[keys]
    )
    with pytest.raises(ValueError, match=r"depends on lme4's version"):
        tidy_intervals(tables["2.1-0"], other)
    assert len(tidy_intervals(tables["2.1-0"], other, Dialect.of("2.1-0"))) == len(spelled)


def test_a_parameter_that_one_side_lacks_is_missing(fits, tables):
    whole = tidy_intervals(tables["2.1-0"], fits["2.1-0"])
    rows = judge_intervals(whole, whole[whole["quantity"] != "correlation"])
    assert sum(row.verdict is Verdict.MISSING for row in rows) == 6
    with pytest.raises(ValueError, match=r"row '\.sig99'"):
        tidy_intervals(tables["2.1-0"].rename(index={".sig01": ".sig99"}), fits["2.1-0"])
    with pytest.raises(ValueError, match="twice"):
        tidy_intervals(pd.concat([tables["2.1-0"]] * 2), fits["2.1-0"])


def test_versions_are_read_from_provenance():
    flat = {"R": "4.2.2", "lme4": "1.1-31", "rstanarm": "2.21.3"}
    nested = {"R": "R version 4.5.0 (2025-04-11)", "packages": {"lme4": "1.1-37", "loo": None}}
    assert dialect_of(flat) == Dialect.of("debian-12")
    assert dialect_of(nested) == Dialect.of("debian-13")
    assert dialect_of({"R": "4.6.2", "lme4": "2.1-0"}) == Dialect.of("debian-sid")
    assert dialect_of({"python": "3.13.0"}) is None
    assert dialect_of(None) is None
    # older than anything tested: what is not named is the oldest's
    assert dialect_of({"R": "4.1.0"}).versions["loo"] == "2.5.1"


@pytest.mark.r
def test_live_intervals_agree(data):
    from bridge import lme4

    formula = "y ~ x + (x | g)"
    theirs = lme4.lmer(formula, data, REML=False, control="tight")
    # in the newest words and in the oldest: the join knows the meaning either way
    for dialect in (None, "1.1-31"):
        found = compare_intervals(theirs, lmer(formula, data, REML=False, dialect=dialect))
        assert found.verdict is Verdict.AGREES, found.table[found.table["verdict"] != Verdict.AGREES]
