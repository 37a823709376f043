import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

from tests.validation import comparisons as made
from validation.comparison import TABLE_COLUMNS
from validation.plain import plain
from validation.report.json import SCHEMA_VERSION, dumps


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_layout_is_stable(data_regression):
    """The layout of version 1: keys, their order in rows, the words used. A change of it needs a new version."""

    def shape(value):
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        if isinstance(value, list):
            return [shape(value[0])] if value else []
        return type(value).__name__

    data = strict(dumps([made.disagreeing(), made.bayes()]))
    outline = shape(data)
    outline["comparisons"][0]["table"]["columns"] = data["comparisons"][0]["table"]["columns"]
    outline["comparisons"][0]["reference"]["provenance"] = "dict"
    outline["comparisons"][0]["candidate"]["provenance"] = "dict"
    outline["comparisons"][0]["table"]["rows"] = "list of lists"
    assert data["schema_version"] == SCHEMA_VERSION == 1
    data_regression.check(outline)


def test_missing_and_infinite_numbers_are_json():
    comparison = made.hostile()
    data = strict(dumps([comparison]))
    rows = [dict(zip(TABLE_COLUMNS, row, strict=True)) for row in data["comparisons"][0]["table"]["rows"]]
    assert rows[-1]["reference"] == "Infinity"
    assert rows[-1]["candidate"] == "-Infinity"
    missing = strict(dumps([made.disagreeing()]))["comparisons"][0]["table"]["rows"][10]
    assert missing[TABLE_COLUMNS.index("candidate")] is None


def test_every_row_and_every_digit_is_there():
    comparison = made.likelihood(levels=50)
    data = strict(dumps([comparison]))["comparisons"][0]["table"]
    back = pd.DataFrame(data["rows"], columns=data["columns"])
    assert list(back.columns) == list(TABLE_COLUMNS)
    assert len(back) == len(comparison.table)
    for name in ("reference", "candidate", "difference"):
        np.testing.assert_array_equal(back[name].to_numpy(float), comparison.table[name].to_numpy(float))
    assert list(back["level"].dropna()) == list(comparison.table["level"].dropna())


@pytest.mark.parametrize("column", TABLE_COLUMNS)
def test_a_lost_column_is_an_error(column):
    comparison = made.likelihood()
    with pytest.raises(ValueError, match=f"no column '{column}'"):
        dumps([dataclasses.replace(comparison, table=comparison.table.drop(columns=column))])


def test_a_lost_row_changes_the_text():
    comparison = made.likelihood()
    shorter = dataclasses.replace(comparison, table=comparison.table.iloc[:-1])
    assert len(strict(dumps([shorter]))["comparisons"][0]["table"]["rows"]) == len(comparison.table) - 1


def test_empty():
    assert strict(dumps([]))["verdict"] == "inconclusive"
    assert strict(dumps([made.empty()]))["comparisons"][0]["table"]["rows"] == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64("nan"), None),
        (math.inf, "Infinity"),
        (np.int32(4), 4),
        (np.bool_(True), True),
        (pd.NA, None),
        (pd.NaT, None),
        ({1: (np.float32(0.5),)}, {"1": [0.5]}),
        (np.arange(2), [0, 1]),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (pd.Series([1.5]), [1.5]),
        (1 + 2j, "(1+2j)"),
        (made.Verdict.BETTER, "better"),
    ],
)
def test_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_to_json_of_a_comparison_is_the_same():
    comparison = made.likelihood()
    assert comparison.to_json() == dumps([comparison])
