"""Marginal means and predictions of two sides are judged; each fault planted is found, and its cause is named."""

import gzip
import json
import math
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pyimpl import emmeans, lmer, predictions
from validation import compare_emmeans, compare_predictions
from validation.faults import FAULTS
from validation.faults.bases import RESULTS_BASES, results_base
from validation.selftest import clean_run, plant

DATA = Path(__file__).parents[1] / "pyimpl" / "data"


@cache
def recorded():
    """R's emmeans tables of the record, each with the call that makes it in Python."""
    cases = json.loads((DATA / "after_cases.json").read_text())["cases"]
    record = json.loads(gzip.decompress((DATA / "after.json.gz").read_bytes()))
    return cases, record


@cache
def fit():
    frame = recorded()[1]["frames"]["study"]
    columns = {}
    for name, column in frame.items():
        columns[name] = (
            pd.Categorical.from_codes(column["codes"], column["levels"], ordered=column["ordered"])
            if "codes" in column
            else column["values"]
        )
    return lmer(recorded()[0][0]["formula"], pd.DataFrame(columns))


def means():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return emmeans(fit(), "~ a | b")


def test_what_r_says_agrees_with_what_we_say():
    cases, record = recorded()
    seen = 0
    for call, result in zip(cases[0]["calls"], record["results"][0], strict=True):
        random = "mvt" in call["r"] or "consec" in call["r"]  # integrated with random points in R
        if not call["r"].startswith("emmeans(") or random or "tolerance" in call or "error" in result:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = eval(call["py"], {"fit": fit()})
        ours = [value.emmeans, value.contrasts] if hasattr(value, "contrasts") else [value]
        if isinstance(value, dict):  # of a list of specs
            ours = list(value.values())
        for table, theirs in zip(ours, result["tables"], strict=True):
            reference = pd.DataFrame({k: v if isinstance(v, list) else [v] for k, v in theirs.items()})
            if "asymptotic" in call["r"]:
                reference["df"] = np.inf  # JSON has no infinity
            judged = compare_emmeans(reference, table)
            assert judged.agrees, f"{call['r']}: {judged}"
            seen += 1
    assert seen >= 8


PLANTED = {
    "variance-for-se": lambda t: t.assign(SE=t["SE"] ** 2),
    "variance-added": lambda t: t.assign(SE=np.sqrt(t["SE"] ** 2 + 1.3)),
    "normal-quantiles": lambda t: t.assign(
        **{"lower.CL": t["emmean"] - 1.959964 * t["SE"], "upper.CL": t["emmean"] + 1.959964 * t["SE"]}
    ),
    "other-level": lambda t: t.assign(
        **{
            "lower.CL": t["emmean"] - stats.t.ppf(0.95, t["df"]) * t["SE"],
            "upper.CL": t["emmean"] + stats.t.ppf(0.95, t["df"]) * t["SE"],
        }
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_faults_of_means_are_found_and_named(name):
    judged = compare_emmeans(means(), PLANTED[name](means().frame))
    assert not judged.agrees
    assert [cause.name for cause in judged.causes] == [name]


TESTS = {
    "reversed": lambda t: t.assign(estimate=-t["estimate"]),
    "not-adjusted": lambda t: t.assign(**{"p.value": 2 * stats.t.sf(t["t.ratio"].abs(), t["df"])}),
    "one-sided": lambda t: t.assign(**{"p.value": stats.t.sf(t["t.ratio"].abs(), t["df"])}),
    "bonferroni": lambda t: t.assign(
        **{"p.value": np.minimum(1, len(t) * 2 * stats.t.sf(t["t.ratio"].abs(), t["df"]))}
    ),
}


@pytest.mark.parametrize("name", TESTS)
def test_faults_of_contrasts_are_found_and_named(name):
    pairs = means().pairs()
    judged = compare_emmeans(pairs, TESTS[name](pairs.frame))
    assert not judged.agrees
    assert [cause.name for cause in judged.causes] == [name]


@pytest.mark.parametrize("column", ["emmean", "SE", "df", "lower.CL", "upper.CL"])
def test_every_column_is_judged_and_none_may_be_missing(column):
    table = means().frame
    assert compare_emmeans(table, table.sample(frac=1, random_state=1)).agrees
    off = table.copy()
    off.loc[2, column] += 0.02 * abs(off.loc[2, column])
    assert not compare_emmeans(table, off).agrees
    off.loc[2, column] = math.nan
    assert not compare_emmeans(table, off).agrees
    if column != "emmean":
        assert not compare_emmeans(table, table.drop(columns=[column])).agrees


def test_rows_are_joined_by_what_they_are():
    table = means().frame
    assert not compare_emmeans(table, table.iloc[1:]).agrees
    assert not compare_emmeans(table.iloc[1:], table).agrees
    swapped = table.assign(a=table["a"].astype(str).replace({"low": "mid", "mid": "low"}))
    assert not compare_emmeans(table, swapped).agrees
    with pytest.raises(ValueError, match="a row twice"):
        compare_emmeans(table, pd.concat([table, table.iloc[:1]]))
    with pytest.raises(ValueError, match="no column of estimates"):
        compare_emmeans(table, table[["a", "b"]])
    with pytest.raises(ValueError, match="no column 'c' to join by"):
        compare_emmeans(table, table, keys=["c"])


def test_predictions_are_judged_too():
    table = predictions(fit(), {"x": [0, 1, 2], "a": None})
    assert compare_predictions(table, table).agrees
    frame = pd.DataFrame({"fit": [1.0, 2.0], "se.fit": [0.1, 0.2]}, index=["r1", "r2"])
    assert compare_predictions(frame, frame.iloc[::-1]).agrees
    wide = predictions(fit(), {"x": [0, 1, 2], "a": None}, interval="prediction")
    assert not compare_predictions(table, wide).agrees
    wrong = compare_predictions(frame, frame.assign(**{"se.fit": frame["se.fit"] ** 2}))
    assert [cause.name for cause in wrong.causes] == ["variance-for-se"]


@pytest.mark.parametrize("base", RESULTS_BASES)
def test_what_selftest_plants_is_caught_and_named_and_right_tables_raise_no_alarm(base):
    faults = [fault for fault in FAULTS["results"] if fault.applies(RESULTS_BASES[base].tags)]
    assert len(faults) >= 4
    assert [plant(fault, results_base(base)).trouble for fault in faults] == [""] * len(faults)
    assert not clean_run("results", base, "rows in another order, another start", 7).alarm


def test_an_estimate_is_wrong_from_the_tolerance_on():
    fault = next(fault for fault in FAULTS["results"] if fault.sized is not None)
    base = results_base("means")
    judged = [compare_emmeans(base.fit, fault.plant(base, size)).agrees for size in (0.9e-3, 1.1e-3)]
    assert judged == [True, False]


def test_what_nothing_explains_is_said_to_be_unknown():
    table = means().frame
    judged = compare_emmeans(table, table.assign(SE=1.07 * table["SE"]))
    assert [cause.name for cause in judged.causes] == ["unknown"]


def test_equal_standard_errors_prove_no_added_variance():
    table = means().frame.assign(SE=2.0)
    judged = compare_emmeans(table, table.assign(SE=3.0))
    assert "variance-added" not in [cause.name for cause in judged.causes]


def test_intervals_and_tests_are_told_by_both_sides():
    table = means().frame
    for level, ends, name in ((0.95, 0.025 / len(table), "not-adjusted"), (0.9, 0.025, "other-level")):
        half = stats.t.ppf(1 - ends, table["df"]) * table["SE"]
        ours = table.assign(**{"lower.CL": table["emmean"] - half, "upper.CL": table["emmean"] + half})
        half = stats.t.ppf(0.5 + level / 2, table["df"]) * table["SE"]
        theirs = table.assign(**{"lower.CL": table["emmean"] - half, "upper.CL": table["emmean"] + half})
        assert [cause.name for cause in compare_emmeans(ours, theirs).causes] == [name]
    pairs = means().pairs().frame
    one = pairs.assign(**{"p.value": stats.t.sf(pairs["t.ratio"], pairs["df"])})
    two = pairs.assign(**{"p.value": 2 * stats.t.sf(pairs["t.ratio"].abs(), pairs["df"])})
    assert [cause.name for cause in compare_emmeans(one, two).causes] == ["two-sided"]
