"""Columns of a data frame: what R makes of each kind, and its factor levels and labels."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.design import build_design
from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.frame.column_types import category_labels
from pyimpl.frame.columns import Data, Factor, Logical, Numeric, as_factor, read_column
from pyimpl.frame.contrasts import contrast_matrix
from pyimpl.likelihood.rows import by_level, constant_column, nodes_by_level, root_mean_squares, sort_by_level
from pyimpl.linalg.columns import centred_squares, column_means, levels_used, products, some_negative, square_sum
from pyimpl.linalg.dqrdc2 import dqrdc2, full_column_rank, independent_columns
from tests.pyimpl.model_oracle import ask_r


def frame_of_kinds() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 40
    days = [dt.date(2020, 1, 31), dt.date(1969, 5, 1), dt.date(2020, 12, 1), None]
    return pd.DataFrame(
        {
            "double": rng.choice(
                [1e5, 0.1 + 0.2, 1 / 3, -2.5, 1e-5, 1e15, 123456.7, 2.0**53, 1e22, 0.0, 100.0, np.nan], n
            ),
            "near": rng.choice([1.0, 1.5, 1e-300, 1e300, -1e5, 99999.0, 1234567.8], n),
            "integer": rng.choice([100000, 20, 3, 1234567, -5, 2147483647], n),
            "large": rng.choice([10000000000, 20, 3000000000000000], n),
            "logical": rng.random(n) < 0.5,
            "string": rng.choice(["b", "B", "a", "_", "é", "Z z", "10", "9", "", "ä"], n),
            "date": pd.Series([days[i] for i in rng.integers(0, 4, n)], dtype=object),
            "factor": pd.Categorical(rng.choice(list("xyz"), n), categories=["z", "never", "x", "y"]),
        }
    )


@pytest.mark.r
def test_levels_and_codes_are_rs():
    frame = frame_of_kinds()
    # R has no 64-bit integers: the bridge hands such a column over as doubles.
    sent = frame.assign(large=frame["large"].astype(float))
    names = list(frame.columns)
    answers, numbers = ask_r([sent], [{"kind": "factor", "formula": "~1", "column": n, "frame": 0} for n in names])
    for name, answer in zip(names, answers, strict=True):
        ours = as_factor(Data(frame).column(name))
        assert list(ours.levels) == answer["levels"], name
        codes = np.where(ours.codes < 0, np.nan, ours.codes + 1.0)
        theirs = numbers(answer["codes"])[:, 0]
        theirs = np.where(theirs == -2147483648.0, np.nan, theirs)
        np.testing.assert_array_equal(codes, theirs, err_msg=name)


@pytest.mark.parametrize(
    ("values", "kind", "missing"),
    [
        (pd.array([1, None, 3], dtype="Int64"), "integer", [False, True, False]),
        (pd.array([1.5, None, 3], dtype="Float64"), "double", [False, True, False]),
        (np.array([1, 2, 3], dtype=np.int8), "integer", [False] * 3),
        (np.array([1, 2, 3], dtype=np.uint16), "integer", [False] * 3),
        (np.array([1, 2, 3], dtype=np.float32), "double", [False] * 3),
        (np.array([1, 2, 2**31]), "double", [False] * 3),
        (pd.Series([1, None, 2], dtype=object), "integer", [False, True, False]),
        (pd.to_datetime(["2020-01-01", None, "2020-01-03"]), "datetime", [False, True, False]),
        (pd.to_datetime(["2020-01-01", None, "2020-01-03"]).tz_localize("UTC"), "datetime", [False, True, False]),
    ],
)
def test_numbers_of_every_dtype(values, kind, missing):
    column = read_column("v", pd.Series(values))
    assert isinstance(column, Numeric)
    assert column.kind == kind
    assert column.missing().tolist() == missing


@pytest.mark.parametrize(
    "values",
    [
        np.array([True, False, True]),
        pd.array([True, None, True], dtype="boolean"),
        pd.Series([True, None, False], dtype=object),
    ],
)
def test_booleans_are_logicals(values):
    assert isinstance(read_column("v", pd.Series(values)), Logical)


@pytest.mark.parametrize("dtype", ["str", object, "string"])
def test_strings_sort_by_code_point_and_none_is_missing(dtype):
    column = read_column("v", pd.Series(["b", "B", None, "a"], dtype=dtype))
    assert isinstance(column, Factor)
    assert column.text
    assert column.levels == ("B", "a", "b")
    assert column.codes.tolist() == [2, 0, -1, 1]


def test_text_that_is_no_unicode_is_refused():
    """pandas ended in an UnicodeEncodeError of pyarrow's where the labels were used."""
    for labels in (["\ud800", "a"], ["é", "b\udfff"]):
        column = pd.Series([labels[i % 2] for i in range(6)], dtype=object)
        with pytest.raises(DataError, match="holds text that is not valid Unicode"):
            read_column("g", column)
    assert read_column("g", pd.Series(["é", "😀"])).levels == ("é", "😀")


def test_categories_of_numbers_have_rs_labels():
    column = read_column("v", pd.Series(pd.Categorical([1e5, 0.5, 1e5])))
    assert column.levels == ("0.5", "1e+05")
    assert read_column("v", pd.Series(pd.Categorical([True, False]))).levels == ("FALSE", "TRUE")
    with pytest.raises(DataError, match="several categories that R would write as '1'"):
        read_column("v", pd.Series(pd.Categorical([1, "1"])))


def test_numbers_that_agree_to_15_digits_are_one_level_as_in_r():
    with pytest.warns(PyimplWarning, match="2 different numbers make 1 levels"):
        assert as_factor(Numeric(np.array([0.3, 0.1 + 0.2]))).levels == ("0.3",)


@pytest.mark.parametrize("span", [3, 4000, 10**9])  # a place for each number, and hashed
@pytest.mark.parametrize("gaps", [False, True])
def test_whole_numbers_are_levels_in_their_order(span, gaps):
    rng = np.random.default_rng(span)
    values = pd.array(rng.integers(-span, span, size=900), dtype="Int64")
    values[:2] = [100_000 % span, -span]
    if gaps:
        values[::7] = pd.NA
    factor = as_factor(read_column("g", values))
    present = sorted(set(values.dropna().tolist()))
    assert factor.levels == tuple(map(str, present))
    assert [None if code < 0 else present[code] for code in factor.codes.tolist()] == [
        None if value is pd.NA else value for value in values.tolist()
    ]
    assert factor.drop_unused().levels == factor.levels


def test_datetimes_have_labels():
    days = read_column("v", pd.Series(pd.to_datetime(["2020-01-02", "2019-05-01"])))
    assert as_factor(days).levels == ("2019-05-01", "2020-01-02")
    stamps = read_column("v", pd.Series(pd.to_datetime(["2020-01-02 10:30:00", "2019-05-01 00:00:00"])))
    assert as_factor(stamps).levels == ("2019-05-01 00:00:00", "2020-01-02 10:30:00")


def test_a_polynomial_of_40_levels_is_refused():
    levels = [str(i) for i in range(40)]
    assert contrast_matrix("contr.poly", levels[:39], "o").contrasts.shape == (39, 38)
    with pytest.raises(ModelError, match="39 degrees of freedom"):
        contrast_matrix("contr.poly", levels, "o")


@pytest.mark.r
def test_qr_pivots_as_rs():
    import subprocess
    import tempfile
    from pathlib import Path

    rng = np.random.default_rng(11)
    matrices = []
    for _ in range(300):
        n, p = int(rng.integers(2, 30)), int(rng.integers(1, 12))
        x = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-6, 7, size=p)
        for _ in range(int(rng.integers(0, 4))):
            j, k = int(rng.integers(p)), rng.integers(p, size=2)
            noise = rng.normal(size=n) * 10.0 ** rng.uniform(-12, -3) if rng.random() < 0.5 else 0.0
            x[:, j] = x[:, k[0]] * rng.normal() + x[:, k[1]] * rng.normal() + noise
        if rng.random() < 0.2:
            x[:, int(rng.integers(p))] = 0.0
        matrices.append(np.round(x) if rng.random() < 0.3 else x)
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "m.bin").open("wb") as file:
            for x in matrices:
                np.array(x.shape, dtype=np.int32).tofile(file)
                x.ravel("F").tofile(file)
        script = """f <- file("m.bin", "rb")
        for (i in 1:300) {
          s <- readBin(f, "integer", 2)
          q <- qr(matrix(readBin(f, "double", s[1] * s[2]), s[1], s[2]), tol = 1e-7, LAPACK = FALSE)
          cat(q$rank, q$pivot, "\\n")
        }"""
        done = subprocess.run(
            ["Rscript", "--vanilla", "-e", script], cwd=folder, capture_output=True, text=True, check=True, timeout=60
        )
    deficient = 0
    for x, line in zip(matrices, done.stdout.splitlines(), strict=True):
        rank, *pivot = (int(word) for word in line.split())
        ours = dqrdc2(x)
        assert ours.rank == rank
        assert [int(position) + 1 for position in ours.pivot] == pivot
        assert (independent_columns(x) + 1).tolist() == pivot[:rank]
        assert not (full_column_rank(x) and rank < x.shape[1])
        deficient += rank < x.shape[1]
    assert deficient > 50


def test_a_plan_is_that_of_the_columns_kinds_not_of_the_formula_alone():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"y": rng.normal(size=24), "g": list("uvwxyz") * 4})
    kinds = {
        "three levels": (pd.Categorical(list("abc") * 8), ["fb", "fc"]),
        "two others": (pd.Categorical(list("pq") * 12), ["fq"]),
        "ordered": (pd.Categorical(list("abc") * 8, ordered=True), ["f.L", "f.Q"]),
        "numbers": (rng.normal(size=24), ["f"]),
        "logical": (np.arange(24) % 2 == 0, ["fTRUE"]),
    }
    for _ in range(2):  # the second time from what is kept
        for values, names in kinds.values():
            design = build_design("y ~ f + (1 | g)", frame.assign(f=values))
            assert design.coef_names == ("(Intercept)", *names)
            sums = build_design("y ~ f + (1 | g)", frame.assign(f=list("abc") * 8), contrasts={"f": "contr.sum"})
            assert sums.coef_names == ("(Intercept)", "f1", "f2")


def test_what_the_checks_need_of_columns():
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(70), 1e6 + rng.normal(size=70), np.arange(70) % 2, np.full(70, 3.0)])
    X[69, 2] = 2.0
    X.flags.writeable = False  # as a user's matrix may be
    for rows in range(9):
        np.testing.assert_allclose(square_sum(X[:rows, 1]), (X[:rows, 1] ** 2).sum(), rtol=1e-14)
    assert square_sum(np.array([0.0, np.inf, 1.0])) == np.inf
    assert np.isnan(square_sum(np.full(3, np.nan)))
    squares = centred_squares(X)
    assert squares[0] == -1.0
    np.testing.assert_allclose(squares[1:], ((X - X.mean(axis=0)) ** 2).sum(axis=0)[1:], rtol=1e-12, atol=1e-20)
    means = column_means(X)
    np.testing.assert_allclose(means, X.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(products(X, np.zeros(4)), X.T @ X, rtol=1e-14)
    np.testing.assert_allclose(products(X, means), (X - means).T @ (X - means), rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="not C-contiguous"):  # else it would read other numbers
        centred_squares(np.asfortranarray(X))
    assert constant_column(X) == (0, 1.0)
    assert constant_column(np.ascontiguousarray(X[:, 1:])) == (2, 3.0)
    assert constant_column(np.ascontiguousarray(X[:, 1:3])) == (-1, 0.0)
    assert constant_column(np.zeros((5, 1))) == (-1, 0.0)
    np.testing.assert_allclose(root_mean_squares(X), np.sqrt((X**2).mean(axis=0)), rtol=1e-14)
    np.testing.assert_array_equal(root_mean_squares(np.zeros((5, 2))), [1.0, 1.0])


def test_what_the_checks_need_of_codes():
    codes = np.array([2, 0, 2, -1, 4], dtype=np.intp)
    codes.flags.writeable = False
    assert some_negative(codes)
    assert not some_negative(codes[:3])
    assert not some_negative(codes[:0])
    np.testing.assert_array_equal(levels_used(codes, 6), [True, False, True, False, True, False])
    np.testing.assert_array_equal(levels_used(codes[:2], 3), [True, False, True])
    small = Factor(codes.astype(np.int8), tuple("abcdef"))  # pandas' own codes, whose type no compiled loop takes
    plain = Factor(codes, tuple("abcdef"))
    assert small.any_missing() is plain.any_missing() is True
    np.testing.assert_array_equal(small.used(), plain.used())
    assert small.drop_unused().levels == plain.drop_unused().levels == ("a", "c", "e")


def test_rows_level_by_level():
    rng = np.random.default_rng(3)
    g, h = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
    X, z = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))
    X.flags.writeable = False
    order, starts, place = sort_by_level(g, 5)
    np.testing.assert_array_equal(order, np.argsort(g, kind="stable"))
    np.testing.assert_array_equal(np.diff(starts), np.bincount(g, minlength=5))
    np.testing.assert_array_equal(by_level([X, z], place), np.hstack([X, z])[order])
    np.testing.assert_array_equal(nodes_by_level([g, h], [4, 3], place), np.column_stack([g, h + 4])[order])


def test_labels_of_categories_are_those_of_the_index_that_is_there():
    for names in (["a", "b"], ["c", "d"], ["a", "b"]):  # an index that is gone may have lent another its identity
        for _ in range(2):
            assert category_labels("g", pd.Index(names)) == tuple(names)
        index = pd.Index(names)
        assert category_labels("g", index) is category_labels("g", index)
