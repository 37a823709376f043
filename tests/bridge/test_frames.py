"""Data frames to R and back, against live R."""

import datetime as dt
import decimal
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import DataError
from bridge.frames import TEXT, frame_to_r, labels_to_index, r_to_frame
from bridge.session import default
from pyimpl.frame.columns import read_column


def echo(frame: pd.DataFrame) -> pd.DataFrame:
    return r_to_frame(default().call("frame_echo", described=frame_to_r(frame)).value)


def structure(frame: pd.DataFrame) -> str:
    return default().call("frame_structure", described=frame_to_r(frame)).value


@pytest.mark.r
def test_every_kind_of_column_there_and_back():
    frame = pd.DataFrame(
        {
            "double": [1.5, np.nan, -0.0],
            "integer": [1, 2, -3],
            "missing": pd.array([1, None, 3], dtype="Int64"),
            "truth": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "text": pd.array(["b", None, "a"], dtype=TEXT),
            "factor": pd.Categorical(["u", "v", None], categories=["v", "u", "unused"]),
            "ordered": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "hi"], ordered=True),
            "naive": pd.to_datetime(["2020-01-01 12:30:00.25", None, "1969-12-31"], format="ISO8601").astype(
                "datetime64[us]"
            ),
            "zoned": pd.to_datetime(["2020-07-01", None, "2021-01-01"])
            .tz_localize("Europe/Berlin")
            .astype("datetime64[us, Europe/Berlin]"),
            "date": pd.Series([dt.date(2020, 2, 29), None, dt.date(1960, 1, 1)], dtype=object),
        }
    )
    pd.testing.assert_frame_equal(echo(frame), frame, check_freq=False)
    text = structure(frame)
    assert "$ double : num  1.5 NA 0" in text
    assert "$ integer: int  1 2 -3" in text
    assert "$ missing: int  1 NA 3" in text
    assert "$ maybe  : logi  TRUE NA FALSE" in text
    assert '$ text   : chr  "b" NA "a"' in text
    assert '$ factor : Factor w/ 3 levels "v","u","unused": 2 1 NA' in text
    assert '$ ordered: Ord.factor w/ 2 levels "lo"<"hi": 1 2 1' in text
    assert "$ date   : Date" in text
    assert "$ naive  : POSIXct" in text


@pytest.mark.r
def test_nullable_floats_and_objects_of_one_type():
    frame = pd.DataFrame(
        {
            "Float64": pd.array([1.5, None], dtype="Float64"),
            "bools": pd.Series([True, None], dtype=object),
            "ints": pd.Series([1, None], dtype=object),
            "floats": pd.Series([1.5, None], dtype=object),
            "strings": pd.Series(["x", None], dtype=object),
            "nothing": pd.Series([None, None], dtype=object),
            "uint8": np.array([1, 255], dtype=np.uint8),
        }
    )
    got = echo(frame)
    assert [str(dtype) for dtype in got.dtypes] == ["float64", "boolean", "Int64", "float64", "str", "boolean", "int64"]
    assert got["Float64"].isna().tolist() == [False, True]
    assert got["ints"].tolist() == [1, pd.NA]
    assert got["uint8"].tolist() == [1, 255]


@pytest.mark.r
def test_large_integers_become_doubles_and_too_large_ones_are_refused():
    got = echo(pd.DataFrame({"x": [2**31, -(2**53)]}))
    assert got["x"].dtype == np.float64
    assert got["x"].tolist() == [2.0**31, -(2.0**53)]
    # R's NA is -2^31 itself: it must arrive as a number, not as missing
    assert echo(pd.DataFrame({"x": [-(2**31), 0]}))["x"].tolist() == [-(2.0**31), 0.0]
    with pytest.raises(DataError, match=r"'x' .*2\^53"):
        frame_to_r(pd.DataFrame({"x": [2**53 + 1]}))
    assert echo(pd.DataFrame({"x": [3 * 2**60, 0]}))["x"].tolist() == [3 * 2.0**60, 0.0]  # exact as a double


@pytest.mark.r
def test_numbers_of_several_types_in_one_column_are_doubles():
    frame = pd.DataFrame(
        {
            "mixed": pd.Series([1, 2.5, None, decimal.Decimal("0.5")], dtype=object),
            "decimals": pd.Series([decimal.Decimal("1.25")] * 4, dtype=object),
        }
    )
    got = echo(frame)
    assert got["mixed"].isna().tolist() == [False, False, True, False]
    assert got["mixed"].dropna().tolist() == [1.0, 2.5, 0.5]
    assert got["decimals"].tolist() == [1.25] * 4


@pytest.mark.r
def test_arrows_types_are_what_pandas_own_would_be():
    days = pd.Series(pd.date_range("2020", periods=3, tz="Asia/Tokyo"))
    arrow = {
        "numbers": pd.Series([1.5, None, 2], dtype="double[pyarrow]"),
        "decimals": pd.Series([decimal.Decimal("1.25")] * 3, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
        "levels": pd.Series(list("bab")).astype(pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
        "times": days.astype(pd.ArrowDtype(pa.timestamp("us", "Asia/Tokyo"))),
        "dates": days.dt.tz_localize(None).astype("date32[pyarrow]"),
    }
    got = echo(pd.DataFrame(arrow))
    assert got["numbers"].isna().tolist() == [False, True, False]
    assert got["decimals"].tolist() == [1.25] * 3
    assert got["levels"].astype(str).tolist() == list("bab")
    assert (got["times"] == days).all()
    assert got["dates"].tolist() == days.dt.date.tolist()


@pytest.mark.r
def test_categories_that_are_not_strings():
    frame = pd.DataFrame(
        {
            "ints": pd.Categorical([100000, 2, 2], categories=[100000, 2]),
            "bools": pd.Categorical([True, False, True]),
            "floats": pd.Categorical([1.5, 2.0, 1.5]),
            "days": pd.Categorical(
                pd.to_datetime(["2020-01-01", "2020-02-01", "2020-02-01"]).tz_localize("Asia/Tokyo")
            ),
            "times": pd.Categorical(pd.to_datetime(["2020-01-01 10:00", "2020-02-01 00:00", "2020-02-01 00:00"])),
            "intervals": pd.cut([1, 2, 3], 2),
        }
    )
    got = echo(frame)
    for name in ("days", "times", "intervals"):  # pyimpl and the bridge give a level one name
        assert list(got[name].cat.categories) == list(read_column(name, frame[name]).levels)
    assert list(got["days"].cat.categories) == ["2020-01-01", "2020-02-01"]
    assert list(got["ints"].cat.categories) == ["100000", "2"]
    assert list(got["bools"].cat.categories) == ["FALSE", "TRUE"]
    assert list(got["floats"].cat.categories) == ["1.5", "2"]


@pytest.mark.r
def test_odd_column_names_are_kept():
    frame = pd.DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=["a b", "if", "größe", "1x"])
    assert list(echo(frame).columns) == ["a b", "if", "größe", "1x"]


@pytest.mark.r
def test_no_rows_and_no_columns():
    assert echo(pd.DataFrame({"x": np.empty(0)})).shape == (0, 1)
    assert echo(pd.DataFrame(index=range(3))).shape == (3, 0)


REFUSED = {
    "complex": pd.Series([1 + 2j, 0]),
    "interval": pd.Series(pd.interval_range(0, 2)),
    "period": pd.Series(pd.period_range("2020", periods=2, freq="Y")),
    "timedelta": pd.Series(pd.to_timedelta([1, 2], unit="s")),
    "mixed": pd.Series([1, "a"], dtype=object),
    "lists": pd.Series([[1], [2]], dtype=object),
    "dicts": pd.Series([{}, {}], dtype=object),
    "arrays": pd.Series([np.ones(2), np.ones(2)], dtype=object),
    "mixed_categories": pd.Series(pd.Categorical([1, "a"])),
    "same_numbers": pd.Series(pd.Categorical([0.1 + 0.2, 0.3])),
    "same_categories": pd.Series(pd.Categorical([dt.date(2020, 1, 1), "2020-01-01"])),
    "nul": pd.Series(["a\0b", "c"]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_the_columns_name(kind):
    with pytest.raises(DataError, match=re.escape(f"column {kind!r} (dtype ")) as caught:
        frame_to_r(pd.DataFrame({"fine": [1.0, 2.0], kind: REFUSED[kind]}))
    assert ";" in str(caught.value)  # what was found; what to do


def test_a_refused_column_that_is_not_asked_for_does_no_harm():
    frame = pd.DataFrame({"fine": [1.0, 2.0], "complex": REFUSED["complex"]})
    assert frame_to_r(frame, ["fine"])["names"] == ["fine"]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "duplicated column names: 'a'"),
        (pd.DataFrame([[1, 2]], columns=["1", 1]), "duplicated column names: '1'"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])), "MultiIndex"),
        (pd.DataFrame([[1]], columns=[""]), "empty"),
        (pd.DataFrame([[1]], columns=[1.5]), "float"),
        ([1, 2], "pandas DataFrame, not a list"),
    ],
)
def test_column_names_that_are_refused(frame, said):
    with pytest.raises(DataError, match=said):
        frame_to_r(frame)


def test_labels_come_back_by_position():
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)])
    assert labels_to_index(np.array([2, 3]), index).tolist() == [("a", 1), ("b", 2)]


def columns_of(n: int) -> st.SearchStrategy[pd.Series]:
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
    floats = st.lists(st.floats(allow_infinity=True), min_size=n, max_size=n).map(
        lambda x: pd.Series(x, dtype="float64")
    )
    integers = st.lists(st.none() | st.integers(-(2**31) + 1, 2**31 - 1), min_size=n, max_size=n).map(
        lambda x: pd.Series(x, dtype="Int64" if None in x else "int64")
    )
    strings = st.lists(st.none() | text, min_size=n, max_size=n).map(lambda x: pd.Series(x, dtype=TEXT))
    bools = st.lists(st.none() | st.booleans(), min_size=n, max_size=n).map(
        lambda x: pd.Series(x, dtype="boolean" if None in x else "bool")
    )

    @st.composite
    def factors(draw: st.DrawFn) -> pd.Series:
        levels = draw(st.lists(text, min_size=1, max_size=4, unique=True))
        codes = draw(st.lists(st.integers(-1, len(levels) - 1), min_size=n, max_size=n))
        categories = pd.Index(levels, dtype=TEXT)
        return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=draw(st.booleans())))

    return st.one_of(floats, integers, strings, bools, factors())


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 6))
    names = draw(
        st.lists(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    return pd.DataFrame({name: draw(columns_of(n)) for name in names})


@pytest.mark.r
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames())
def test_any_frame_there_and_back(frame):
    pd.testing.assert_frame_equal(echo(frame), frame, check_exact=True)
