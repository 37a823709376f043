"""Verbs after the fit against R: each call in both languages, on models that differ in what they are made of.

What R says is in ``data/verbs_*.json.gz``, made by ``data/make_verbs.R`` of ``data/verbs_*_cases.json``; the data are
the frames of ``data/after.json.gz``. Where R has the packages in the versions of the record, it is made anew.
"""

import gzip
import json
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pyimpl
from pyimpl.inference.comparison_arrows import comparison_arrows

DATA = Path(__file__).parent / "data"
FRAMES = json.loads(gzip.decompress((DATA / "after.json.gz").read_bytes()))["frames"]
CASES = {
    path.name.removesuffix("_cases.json"): json.loads(path.read_text())
    for path in sorted(DATA.glob("verbs_*_cases.json"))
}
RECORDS = {name: json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes())) for name in CASES}
CALLS = [
    (name, i, j)
    for name, record in RECORDS.items()
    for i, results in enumerate(record["results"])
    for j, result in enumerate(results)
    if "error" not in result
]
TOLERANCE = 2e-5  # R's θ comes of a search that ends about 1e-7 from the minimum


@cache
def frame_of(name):
    columns = {}
    for label, column in FRAMES[name].items():
        if "codes" in column:
            codes = [-1 if code is None else code for code in column["codes"]]
            levels = pd.Index(column["levels"], dtype=object)
            columns[label] = pd.Categorical.from_codes(codes, levels, ordered=column["ordered"])
        else:
            columns[label] = column["values"]
    return pd.DataFrame(columns)


def data_of(case):
    frame = frame_of(case["frame"])
    return eval(case["derive"]["py"], {"frame": frame, "np": np, "pd": pd}) if "derive" in case else frame


@cache
def fit_of(name, i):
    case = CASES[name]["cases"][i]
    given = {key: case[key] for key in ("weights", "offset", "dialect") if key in case}
    if "na.action" in case:
        given["na_action"] = case["na.action"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyimpl.lmer(case["formula"], data_of(case), REML=case.get("REML", True), **given)


def arrows(means, **options):
    found = comparison_arrows(means, **options)
    return pd.DataFrame({"lcmpl": found.left, "rcmpl": found.right})


def evaluated(name, i, j):
    case = CASES[name]["cases"][i]
    known = {"fit": fit_of(name, i), "frame": data_of(case), "np": np, "pd": pd, "pyimpl": pyimpl, "arrows": arrows}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(case["calls"][j]["py"], known)


def same_column(ours, theirs, tolerance, absolute=None):
    numeric = all(isinstance(value, (int, float)) or value is None for value in theirs)
    if numeric and not any(isinstance(value, bool) for value in theirs):
        expected = np.array([np.nan if value is None else value for value in theirs], dtype=float)
        found = np.array(ours, dtype=float)
        found[np.isinf(found)] = np.nan  # JSON has no infinity
        if absolute is not None:  # of draws: five Monte Carlo standard errors
            np.testing.assert_allclose(found, expected, rtol=0, atol=absolute)
            return
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    else:
        assert [None if pd.isna(value) else str(value) for value in ours] == [
            None if value is None else str(value) for value in theirs
        ]


@pytest.mark.parametrize(("name", "i", "j"), CALLS, ids=lambda value: str(value))
def test_calls_are_rs(name, i, j):
    call, recorded = CASES[name]["cases"][i]["calls"][j], RECORDS[name]["results"][i][j]
    assert call["r"] == recorded["r"], "the record is of other calls: make it anew"
    value = evaluated(name, i, j)
    if "text" in recorded:
        assert str(value).rstrip("\n") == recorded["text"].rstrip("\n")
        return
    table = value if isinstance(value, pd.DataFrame) else pd.DataFrame({"value": np.ravel(value)})
    assert [str(column) for column in table.columns] == list(recorded["table"])
    for column, theirs in recorded["table"].items():
        values = theirs if isinstance(theirs, list) else [theirs]
        same_column(table[column], values, call.get("tolerance", TOLERANCE), call.get("atol"))


@pytest.mark.parametrize("name", list(RECORDS))
def test_nearly_every_call_is_compared(name):
    """R refuses few of the calls: a record of errors would compare nothing."""
    results = [result for results in RECORDS[name]["results"] for result in results]
    assert len(results) == sum(len(case["calls"]) for case in CASES[name]["cases"])
    assert sum("error" in result for result in results) <= len(results) // 10


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECORDS))
@pytest.mark.skipif(not shutil.which("Rscript"), reason="no R on this machine")
def test_the_records_are_rs(name):
    """Live R, where it has the packages in the versions of the record, says the same."""
    versions = RECORDS[name]["versions"]
    packages = ", ".join(f"'{package}'" for package in versions)
    ask = f"cat(paste(sapply(c({packages}), function(p) as.character(packageVersion(p)))))"
    found = subprocess.run(["Rscript", "--vanilla", "-e", ask], capture_output=True, text=True, check=False)
    if found.returncode or found.stdout.split() != list(versions.values()):
        pytest.skip(f"needs R's packages in the versions {versions}")
    call = ["Rscript", "--vanilla", str(DATA / "make_verbs.R"), str(DATA), f"{name}_cases.json"]
    live = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    for ours, theirs in zip(live["results"], RECORDS[name]["results"], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.keys() == other.keys()
            assert one.get("text") == other.get("text")
            for column, values in other.get("table", {}).items():
                same = one["table"][column]
                same_column(
                    same if isinstance(same, list) else [same], values if isinstance(values, list) else [values], 1e-6
                )
