"""``summary`` and ``str`` of data frames against live R."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from examples.tutorial.rframes import r_str, r_summary
from r_scripts.dialect import STACKS, Dialect
from tests.pyimpl.dialect_records import RECORDS, dialect_of_record
from tests.pyimpl.dialect_records import frame as recorded_frame


def frames():
    noise = np.random.default_rng(5)
    found = {}
    for number in range(30):
        rows = int(noise.integers(1, 40))
        scale = 10.0 ** noise.integers(-6, 7)
        values = noise.normal(noise.choice([0.0, 5.0, 1e4]), 1, rows) * scale
        values[noise.random(rows) < 0.15] = np.nan
        levels = [f"level{k}" for k in noise.permutation(int(noise.integers(1, 30)))]
        codes = noise.integers(0, len(levels), rows)
        found[f"frame{number}"] = pd.DataFrame(
            {
                "x": values,
                "one decimal": np.round(noise.normal(50, 10, rows), 1),
                "n": noise.integers(-5, 1000, rows),
                "g": pd.Categorical.from_codes(codes, levels),
                "o": pd.Categorical.from_codes(noise.integers(-1, 3, rows), ["low", "mid", "high"], ordered=True),
                "flag": noise.random(rows) < 0.5,
                "text": noise.choice(["a", "bb", 'quote"d', "back\\slash"], rows),
            }
        )
    return found


def build(frame):
    """R code that makes the same data frame."""
    parts = []
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = ", ".join("NA_integer_" if code < 0 else f"{code + 1}L" for code in column.cat.codes)
            levels = ", ".join(f'"{level}"' for level in column.cat.categories)
            chosen = f"c({levels})[c({codes})]"
            value = f"factor({chosen}, levels = c({levels}), ordered = {str(column.cat.ordered).upper()})"
        elif column.dtype == bool:
            value = "c(" + ", ".join(str(bool(v)).upper() for v in column) + ")"
        elif pd.api.types.is_integer_dtype(column.dtype):
            value = "c(" + ", ".join(f"{v}L" for v in column) + ")"
        elif pd.api.types.is_float_dtype(column.dtype):
            value = "c(" + ", ".join("NA_real_" if np.isnan(v) else repr(float(v)) for v in column) + ")"
        else:
            quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in column)
            value = "c(" + ", ".join(f'"{v}"' for v in quoted) + ")"
        parts.append(f"`{name}` = {value}")
    return f"data.frame({', '.join(parts)}, check.names = FALSE, stringsAsFactors = FALSE)"


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What R prints for each frame: name -> (summary, str)."""
    lines = ["options(width = 80)"]
    for name, frame in frames().items():
        lines.append(f"d <- {build(frame)}")
        lines.append(f'cat("\\n==={name}\\n"); print(summary(d)); cat("---\\n"); str(d)')
    script = tmp_path_factory.mktemp("r") / "frames.R"
    script.write_text("\n".join(lines), encoding="utf-8")
    output = subprocess.run(["Rscript", str(script)], capture_output=True, text=True, check=True).stdout
    found = {}
    for block in output.split("\n===")[1:]:
        name, _, rest = block.partition("\n")
        summary, _, structure = rest.partition("---\n")
        found[name] = (summary.rstrip("\n"), structure.rstrip("\n"))
    return found


@pytest.mark.r
@pytest.mark.parametrize("name", list(frames()))
def test_same_text_as_r(name, printed, live_dialect):
    frame = frames()[name]
    summary, structure = printed[name]
    assert r_summary(frame, dialect=live_dialect) == summary
    assert r_str(frame) == structure


@pytest.mark.parametrize("stack", STACKS)
def test_same_text_as_each_recorded_r(stack):
    record, dialect = RECORDS[stack], dialect_of_record(stack)
    odd = pd.DataFrame(
        {
            "a": [1.5, np.nan, 3e-5, 1e5, 2.25],
            "s": pd.Series(["x", "yy", None, "", " "], dtype="str"),
            "f": pd.Categorical(["u", "v", None, "u", "u"]),
            "l": pd.array([True, None, False, True, True], dtype="boolean"),
            "b": [0.000031, 0.00012, 0.5, 0.25, 1],
        }
    )
    described = {name: recorded_frame(name) for name in ("sleep", "holes", "cake")}
    described |= {"odd": odd, "text": odd[["s"]], "numbers": odd[["a", "b"]]}
    assert set(described) == set(record["described"])
    for name, data in described.items():
        assert r_summary(data, dialect=dialect) == record["described"][name]["summary"]
        assert r_str(data) == record["described"][name]["str"]


def test_the_newest_r_is_the_default():
    data = recorded_frame("holes")
    assert r_summary(data) == r_summary(data, dialect=Dialect.of("debian-sid"))
    assert r_summary(data) != r_summary(data, dialect=Dialect.of("debian-13"))


def test_other_types_are_refused_by_name():
    frame = pd.DataFrame({"when": pd.to_datetime(["2026-01-01"])})
    with pytest.raises(TypeError, match="column 'when'"):
        r_summary(frame)
    with pytest.raises(TypeError, match="column 'when'"):
        r_str(frame)
    with pytest.raises(ValueError, match="no columns"):
        r_summary(pd.DataFrame())
