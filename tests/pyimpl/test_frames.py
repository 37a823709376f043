"""Frames of any kind: the same fit from pandas, polars and pyarrow, to the last bit; refusals by the column's name."""

import datetime
import decimal
import subprocess
import sys

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pyimpl.design.design import build_design
from pyimpl.errors import DataError
from pyimpl.frame import columns as columns_module
from pyimpl.frame.columns import Data, Factor, Logical, Numeric, as_pandas
from pyimpl.models.lmer import lmer

N = 120


def columns():
    rng = np.random.default_rng(11)
    g = rng.choice(["north", "south", "east", "west", "mid"], N)
    return {
        "y": rng.normal(size=N),
        "x": np.where(np.arange(N) % 17 == 3, np.nan, rng.normal(size=N)),
        "k": rng.integers(0, 9, N),
        "b": rng.random(N) < 0.5,
        "s": rng.choice(["q", "B", "a"], N),
        "g": g,
        "f": rng.choice(["lo", "hi", "mid"], N),
    }


@pytest.fixture(scope="module")
def pandas_frame():
    data = columns()
    frame = pd.DataFrame(data)
    frame["f"] = pd.Categorical(data["f"], categories=["lo", "mid", "hi", "never"])
    frame["s"] = frame["s"].astype("str")
    frame["g"] = frame["g"].astype("str")
    return frame


def as_polars(frame):
    enum = pl.Enum(["lo", "mid", "hi", "never"])
    return pl.DataFrame(
        {name: pl.Series(name, frame[name].tolist(), dtype=enum if name == "f" else None) for name in frame.columns}
    )


def kinds(frame):
    wide = as_polars(frame)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    half = len(frame) // 2
    return {
        "polars": wide,
        "polars chunked": pl.concat([wide[:half], wide[half:]], rechunk=False),
        "pyarrow": table,
        "pyarrow chunked": pa.concat_tables([table[:half], table[half:]]),
        "narwhals": nw.from_native(wide),
        "narwhals of pandas": nw.from_native(frame),
        "record batch": pa.RecordBatch.from_pandas(frame, preserve_index=False),
        "pandas of arrow": pd.DataFrame({c: pd.array(table[c], dtype=pd.ArrowDtype(table[c].type)) for c in frame}),
    }


FORMULA = "y ~ x + k * b + f + s + (1 + x | g)"


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_every_kind_gives_the_same_design(pandas_frame):
    expected = build_design(FORMULA, pandas_frame)
    for kind, frame in kinds(pandas_frame).items():
        design = build_design(FORMULA, frame)
        assert design.coef_names == expected.coef_names, kind
        assert np.array_equal(design.X, expected.X), kind
        assert np.array_equal(design.y, expected.y), kind
        assert design.terms[0].levels == expected.terms[0].levels, kind
        assert np.array_equal(design.terms[0].codes, expected.terms[0].codes), kind
        assert np.array_equal(design.omitted, expected.omitted), kind
        assert list(design.index) == list(expected.index), kind
        assert list(design.frame["f"].cat.categories) == ["lo", "mid", "hi"], kind


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_all_that_takes_data_takes_any_kind(pandas_frame):
    wide = as_polars(pandas_frame)
    expected, fit = lmer(FORMULA, pandas_frame), lmer(FORMULA, wide)
    assert np.array_equal(fit.fixef(), expected.fixef())
    new = wide[:7]
    assert np.allclose(fit.predict(new), expected.predict(pandas_frame[:7]), equal_nan=True, rtol=0, atol=0)
    assert list(fit.predict(new.to_arrow()).index) == list(range(7))
    assert np.array_equal(fit.update(". ~ . - s").fixef(), expected.update(". ~ . - s").fixef())
    padded = lmer("y ~ x + (1 | g)", wide, na_action="na.exclude").fitted()
    assert len(padded) == N
    assert padded.isna().sum() == pandas_frame["x"].isna().sum()
    weights = np.linspace(0.5, 2, N)
    weighted = lmer("y ~ 1 + (1 | g)", pandas_frame, weights=weights)
    for given in (pl.Series(weights), pa.array(weights), pa.chunked_array([weights[:5], weights[5:]]), "w"):
        again = lmer("y ~ 1 + (1 | g)", wide.with_columns(w=weights), weights=given)
        assert again.REMLcrit() == weighted.REMLcrit()
    assert lmer("y ~ 1 + (1 | g)", wide, subset=wide["k"] > 2).nobs() == int((pandas_frame["k"] > 2).sum())


def test_pandas_results_keep_the_index(pandas_frame):
    named = pandas_frame.set_axis([f"r{i}" for i in range(N)])
    for frame in (named, nw.from_native(named)):
        fit = lmer("y ~ 1 + (1 | g)", frame)
        assert fit.fitted().index[3] == "r3"
        assert fit.predict(frame).index[3] == "r3"


def read(values, dtype=None):
    return Data(pl.DataFrame({"v": pl.Series("v", values, dtype=dtype)})).column("v")


def test_every_kind_of_column():
    for column, kind in (
        (read([1, None, 3]), "integer"),
        (read([1, 2**40, 3]), "double"),
        (read([1, None, 3], pl.UInt8), "integer"),
        (read([decimal.Decimal("1.5"), None]), "double"),
        (read([1.5, None, float("nan")], pl.Float32), "double"),
        (read([datetime.date(2020, 1, 2), None]), "date"),
        (read([datetime.datetime(2020, 1, 2, 3), None]), "datetime"),
    ):
        assert isinstance(column, Numeric)
        assert column.kind == kind
    assert np.isnan(read([1.5, None, float("nan")]).array).tolist() == [False, True, True]
    assert read([datetime.date(1970, 1, 3)]).array.tolist() == [2.0]
    assert read([datetime.datetime(1970, 1, 1, 0, 1)]).array.tolist() == [60.0]
    berlin = read([datetime.datetime(1970, 1, 1)], pl.Datetime("ms", "UTC"))
    assert berlin.array.tolist() == [0.0]
    logical = read([True, None, False])
    assert isinstance(logical, Logical)
    assert np.array_equal(logical.array, [1.0, np.nan, 0.0], equal_nan=True)
    assert isinstance(read([None, None]), Logical)
    text = read(["b", None, "a", ""])
    assert (text.levels, text.codes.tolist(), text.text) == (("", "a", "b"), [2, -1, 1, 0], True)


def test_levels_keep_their_order():
    enum = read(["lo", None, "hi"], pl.Enum(["lo", "hi", "never"]))
    assert (enum.levels, enum.ordered, enum.codes.tolist()) == (("lo", "hi", "never"), False, [0, -1, 1])
    # no order of its own: not that of appearance, which is another one for other rows
    assert read(["M", "F", None], pl.Categorical).levels == ("F", "M")
    assert read(["M", "F", None], pl.Categorical).codes.tolist() == [1, 0, -1]
    for ordered in (False, True):
        kind = pd.CategoricalDtype(["z", "a", "m"], ordered=ordered)
        table = pa.Table.from_pandas(pd.DataFrame({"v": pd.Categorical(["a", None, "z"], dtype=kind)}))
        factor = Data(table).column("v")
        assert (factor.levels, factor.ordered, factor.codes.tolist()) == (("z", "a", "m"), ordered, [1, -1, 0])
    parts = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["c", None, "a"]).dictionary_encode()]
    factor = Data(pa.table({"v": pa.chunked_array(parts)})).column("v")
    assert [factor.levels[code] if code >= 0 else None for code in factor.codes] == ["b", "a", "c", None, "a"]
    twice = pa.DictionaryArray.from_arrays([0, 1, 2, 3], pa.array(["u", "v", None, "u"]))
    factor = Data(pa.table({"v": twice})).column("v")
    assert (factor.levels, factor.codes.tolist()) == (("u", "v"), [0, 1, -1, 0])
    numbers = pa.DictionaryArray.from_arrays([1, 0], pa.array([10, 2]))
    assert Data(pa.table({"v": numbers})).column("v").levels == ("10", "2")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"v": [[1], [2]]}), "'v' has dtype .*list"),
        (pl.DataFrame({"v": [{"a": 1}]}), "'v' has dtype .*struct"),
        (pl.DataFrame({"v": [datetime.timedelta(1)]}), "'v' has dtype duration"),
        (pl.DataFrame({"v": [datetime.time(1)]}), "'v' has dtype time64"),
        (pl.DataFrame({"v": [b"x"]}), "'v' has dtype .*binary"),
        (pl.DataFrame({"v": pl.Series([object()], dtype=pl.Object)}), "'v' has dtype"),
        (pa.table([[1], [2]], names=["v", "v"]), "2 columns named 'v'"),
        (pl.DataFrame({"V": [1]}), "Did you mean 'V'"),
    ],
)  # fmt: skip
def test_what_no_model_can_use_is_refused_by_name(frame, said):
    with pytest.raises(DataError, match=said):
        Data(frame).column("v")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"v": [1]}).lazy(), r"lazy frame \(polars\).*collect"),
        (pl.Series([1]), "not Series"),
        ({"v": [1]}, "not dict"),
        (np.zeros(3), "not ndarray"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_frame_is_refused(frame, said):
    with pytest.raises(DataError, match=said):
        Data(frame)


def test_as_pandas_keeps_what_a_model_sees():
    wide = pl.DataFrame(
        {
            "i": [1, None],
            "b": [None, True],
            "d": [datetime.date(2020, 1, 2), None],
            "s": ["x", None],
            "e": pl.Series(["u", None], dtype=pl.Enum(["w", "u"])),
            "l": [[1], [2]],
        }
    )
    frame = as_pandas(wide)
    assert [str(kind) for kind in frame.dtypes] == ["Int64", "boolean", "object", "str", "category", "object"]
    for name in "ibdse":
        ours, theirs = Data(frame).column(name), Data(wide).column(name)
        if isinstance(ours, Factor):
            assert (ours.levels, ours.codes.tolist()) == (theirs.levels, theirs.codes.tolist())
        else:
            assert np.array_equal(ours.array, theirs.array, equal_nan=True)
    with pytest.raises(DataError, match="'l'"):
        Data(frame).column("l")
    pandas = pd.DataFrame({"a": [1]})
    assert as_pandas(pandas) is pandas


@pytest.mark.parametrize("how", ["copied", "long", "pandas without its shortcut"])
def test_later_changes_do_not_reach_the_frame_of_a_fit(how, monkeypatch):
    if how == "long":
        monkeypatch.setattr(columns_module, "_COPIED", 0)
    elif how != "copied":
        monkeypatch.setattr(columns_module, "_stored", None)
    frame = pd.DataFrame(columns()).dropna().reset_index(drop=True)
    frame["f"] = frame["f"].astype("category")
    frame["t"] = np.arange(float(len(frame)))
    frame["h"] = pd.Categorical(frame["g"]).as_ordered()
    fit = lmer("y ~ x + f + t + (1 | h)", frame)
    before, modes = (float(frame.loc[0, "x"]), str(frame.loc[0, "f"])), fit.ranef()["h"].to_numpy()
    codes = fit.design.terms[0].codes.copy()
    frame.loc[0, "x"] = 99.0
    frame.loc[0, "f"] = "lo" if before[1] != "lo" else "hi"
    frame.loc[:, "t"] = 0.0
    frame.loc[0:50, "h"] = "east"
    frame["y"] = 0.0
    kept = fit.design.frame
    assert np.array_equal(fit.design.terms[0].codes, codes)
    assert kept["t"].tolist() == list(range(len(frame)))
    assert np.array_equal(fit.ranef()["h"], modes)
    assert (kept.loc[0, "x"], kept.loc[0, "f"]) == before
    assert fit.design.y[0] != 0.0


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_however_a_pandas_column_is_read_it_is_the_same(pandas_frame, monkeypatch):
    frame = pandas_frame.assign(
        i=pd.array([None, *range(1, N)], dtype="Int64"),
        w=pd.array([0.5] * N, dtype="Float64"),
        t=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N), "D"),
        z=(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N), "h")).tz_localize("Europe/Berlin"),
        o=np.array(["b", None, "a"] * (N // 3), dtype=object),
        d=[datetime.date(2024, 1, 1 + k % 28) for k in range(N)],
        c=pd.Categorical(np.arange(N) % 5),
        u=np.arange(N, dtype=np.uint8),
        l=pd.array([True, None, False] * (N // 3), dtype="boolean"),
    )
    frame = frame.rename(columns={"u": 7})
    for name, value in (("_COPIED", 0), ("_stored", None)):
        with monkeypatch.context() as patch:
            patch.setattr(columns_module, name, value)
            other = Data(frame)
            expected = {str(column): other.column(str(column)) for column in frame}
        data = Data(frame)
        for column, two in expected.items():
            one = data.column(column)
            assert type(one) is type(two), column
            if isinstance(one, Factor):
                assert (one.levels, one.ordered, one.text) == (two.levels, two.ordered, two.text)
                assert one.codes.tolist() == two.codes.tolist()
            else:
                np.testing.assert_array_equal(one.array, two.array)
            if isinstance(one, Numeric):
                assert one.kind == two.kind
        with pytest.raises(DataError, match="complex128"):
            Data(pd.DataFrame({"j": [1j]})).column("j")
        with pytest.raises(DataError, match="2 columns named 'a'"):
            Data(pd.DataFrame([[1, 2]], columns=["a", "a"])).column("a")


def test_pandas_needs_neither_narwhals_nor_polars():
    code = (
        "import sys, numpy as np, pandas as pd; from pyimpl.design.design import build_design; "
        "build_design('y ~ 1 + (1 | g)', pd.DataFrame({'y': np.arange(9.0), 'g': list('abc') * 3})); "
        "print([m for m in ('narwhals', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verbs_that_go_back_to_the_data_take_any_kind(pandas_frame):
    from pyimpl import stan_lmer

    fit, reference = (lmer("y ~ x + (1 | g)", frame) for frame in (as_polars(pandas_frame), pandas_frame))
    assert len(fit.getData()) == len(pandas_frame)
    assert list(fit.getData()["g"]) == list(pandas_frame["g"])
    np.testing.assert_allclose(fit.influence("g").cooks_distance(), reference.influence("g").cooks_distance())
    bayes = stan_lmer("y ~ x + (1 | g)", as_polars(pandas_frame), seed=3)
    assert len(bayes.getData()) == len(pandas_frame)
    assert bayes.update(". ~ . - x").formula == "y ~ (1 | g)"
    assert bayes.kfold(2, seed=1) is not None
