"""Data files as people have them: each kind, how it was understood, and what is refused."""

import bz2
import datetime as dt
import gzip
import io
import lzma
import random
import subprocess
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlmparity import read_data
from validation.errors import InputError
from validation.reading import read_file
from validation.reading.text import TextOptions


def written(folder: Path, content: str | bytes, name: str = "d.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    reading = read_file(written(tmp_path, "y;x;g\n1,5;2;a\n2;;b\nNA;-,5;\n"))
    assert reading.data["y"].tolist()[:2] == [1.5, 2.0]
    assert reading.data["x"].tolist()[::2] == [2.0, -0.5]
    assert reading.data["g"].tolist() == ["a", "b", ""]
    assert str(reading) == (
        "separated by semicolons; decimal commas; 3 rows, 3 columns; text: g; missing: y (1), x (1)"
    )


def test_semicolons_with_points_and_commas_in_text(tmp_path: Path) -> None:
    reading = read_file(written(tmp_path, "y;name\n1.5;Smith, J\n2.5;Doe, A\n"))
    assert reading.data["y"].tolist() == [1.5, 2.5]
    assert reading.how == ("separated by semicolons",)


def test_a_decimal_comma_in_quotes_between_commas_is_text_as_in_r_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, 'y,g\n"1,5",a\n"2,5",b\n')
    reading = read_file(path)
    assert reading.data["y"].tolist() == ["1,5", "2,5"]
    assert "decimal commas left as text in y" in str(reading)
    assert read_file(path, text=TextOptions(separator=",", decimal=".")).data["y"].tolist() == ["1,5", "2,5"]


def test_an_explicit_decimal_comma_leaves_points_as_text_as_r_does(tmp_path: Path) -> None:
    path = written(tmp_path, "y;x\n1.5;1,5\n2.5;2\n")
    assert read_file(path).data["y"].tolist() == [1.5, 2.5]
    assert read_file(path, text=TextOptions(decimal=",")).data["y"].tolist() == ["1.5", "2.5"]


@pytest.mark.parametrize(("separator", "words"), [("\t", "tabs"), ("|", "bars"), (";", "semicolons")])
def test_the_separator_is_found(tmp_path: Path, separator: str, words: str) -> None:
    lines = [["a", "b", "c"], ["1", "x, y", "3"], ["4", "z", "6"]]
    reading = read_file(written(tmp_path, "\n".join(separator.join(line) for line in lines), "d.txt"))
    assert list(reading.data.columns) == ["a", "b", "c"]
    assert words in str(reading)


def test_excels_sep_line_byte_order_mark_and_empty_columns(tmp_path: Path) -> None:
    reading = read_file(written(tmp_path, "\ufeffsep=;\r\ny;g;;\r\n1,5;a;;\r\n2,5;b;;\r\n"))
    assert list(reading.data.columns) == ["y", "g"]
    assert "2 empty columns without a name left out" in str(reading)


def test_points_among_numbers_are_missing_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, "y,x,g\n1,.,.\n.,2.5,a\n3,NaN,b\n")
    reading = read_file(path)
    assert reading.data["y"].isna().tolist() == [False, True, False]
    assert reading.data["x"].isna().tolist() == [True, False, True]
    assert reading.data["g"].tolist() == [".", "a", "b"]  # a label
    assert "a lone '.' taken as missing in y (1), x (1)" in str(reading)
    as_r = read_file(path, text=TextOptions(missing=["NA"])).data
    assert as_r["y"].tolist() == ["1", ".", "3"]
    other = read_file(written(tmp_path, "y\n1\n-99\n"), text=TextOptions(missing=["-99"])).data
    assert other["y"].isna().tolist() == [False, True]
    other = read_file(written(tmp_path, "y;g\n1,5;a\nx;b\n1e3;c\n"), text=TextOptions(missing=["x"])).data
    assert other["y"].tolist()[::2] == [1.5, 1000]


def test_logical_columns(tmp_path: Path) -> None:
    reading = read_file(written(tmp_path, "a,b\nT,F\nF,TRUE\n"))
    assert reading.data.dtypes.astype(str).tolist() == ["bool", "bool"]
    assert "logical: a, b" in str(reading)


def test_other_encodings(tmp_path: Path) -> None:
    path = written(tmp_path, "Straße;y\nKöln;1\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"line 1.*'Straße'.*--encoding latin-1"):
        read_file(path)
    reading = read_file(path, text=TextOptions(encoding="latin-1"))
    assert list(reading.data.columns) == ["Straße", "y"]
    assert "latin-1" in str(reading)
    assert read_file(written(tmp_path, "y,g\n1,ö\n".encode("utf-16"))).data["g"].tolist() == ["ö"]
    with pytest.raises(InputError, match="no encoding 'klingon'"):
        TextOptions(encoding="klingon")
    for name in ("utf\0", "\ud800"):
        with pytest.raises(InputError, match="there is no encoding"):
            TextOptions(encoding=name)
    with pytest.raises(InputError, match="NUL"):
        read_file(written(tmp_path, "y,g\n1,ö\n".encode("utf-16-le")))


def stata(folder: Path, name: str = "d.dta") -> Path:
    import pyreadstat

    frame = pd.DataFrame(
        {"school": [3, 1, 2, 1], "sex": [2.0, 1.0, 2.0, np.nan], "age": [30.0, 41.5, -9.0, 22.0], "t": list("abcd")}
    )
    labels: Any = {"school": {1: "Zoo", 2: "Abbey", 3: "Mid"}, "sex": {1: "M", 2: "F"}, "age": {-9: "refused"}}
    writer = pyreadstat.write_dta if name.endswith(".dta") else pyreadstat.write_sav
    writer(frame, folder / name, variable_value_labels=labels)
    return folder / name


@pytest.mark.parametrize("name", ["d.dta", "d.sav"])
def test_labelled_columns_are_factors_in_the_order_of_their_values_and_never_ordered(tmp_path: Path, name: str) -> None:
    reading = read_file(stata(tmp_path, name))
    data = reading.data
    assert list(data["school"].cat.categories) == ["Zoo", "Abbey", "Mid"]
    assert not data["school"].cat.ordered
    assert data["sex"].tolist()[:3] == ["F", "M", "F"]
    assert data["sex"].isna().tolist() == [False, False, False, True]
    assert data["age"].tolist() == [30.0, 41.5, -9.0, 22.0]
    assert "only some values have labels, so left as numbers: age (1 of 4 values)" in str(reading)
    assert "factor: school (Zoo, Abbey, Mid), sex (M, F)" in str(reading)


def test_a_workbook(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "scores"
    for row in [
        ["y", "g", "x", "day", "flag", None],
        [1.5, "a", 1, dt.date(2020, 1, 1), True, None],
        [None, "b", "NA", dt.date(2020, 1, 2), False, None],
        [3, 7, ".", dt.date(2020, 1, 3), True, None],
        [None] * 6,
    ]:
        sheet.append(row)
    book.create_sheet("notes").append(["z"])
    book["notes"].append([9])
    path = tmp_path / "d.xlsx"
    book.save(path)
    reading = read_file(path)
    data = reading.data
    assert list(data.columns) == ["y", "g", "x", "day", "flag"]
    assert data["y"].isna().tolist() == [False, True, False]
    assert data["g"].tolist() == ["a", "b", "7"]
    assert data["x"].isna().tolist() == [False, True, True]
    assert data["flag"].tolist() == [True, False, True]
    assert "sheet 'scores' (the first of 2; --sheet for 'notes')" in str(reading)
    assert "date: day" in str(reading)
    assert read_file(path, sheet="notes").data["z"].tolist() == [9]
    with pytest.raises(InputError, match="no sheet 'Notes'; it has 'scores', 'notes'"):
        read_file(path, sheet="Notes")


def test_integers_with_missing_values_and_dates_of_stata_are_no_text(tmp_path: Path) -> None:
    import pyreadstat

    frame = pd.DataFrame(
        {
            "school": pd.array([1, None, 3], dtype="Int32"),
            "born": [0.0, np.nan, 14_610.0],
            "seen": [0.0, 1.5e12, np.nan],
            "plain": [dt.date(2020, 2, 29)] * 3,
        }
    )
    path = tmp_path / "d.dta"
    formats: Any = {"born": "%tdDD/NN/CCYY", "seen": "%tcDD/NN/CCYY_HH:MM"}
    pyreadstat.write_dta(frame, path, variable_format=formats)
    reading = read_file(path)
    assert reading.data["school"].dtype == "Int64"
    assert reading.data["born"].tolist()[::2] == [dt.date(1960, 1, 1), dt.date(2000, 1, 1)]
    assert reading.data["seen"].tolist()[:2] == [pd.Timestamp("1960-01-01"), pd.Timestamp("2007-07-14 02:40")]
    assert str(reading) == "3 rows, 4 columns; date: born, seen, plain; missing: school (1), born (1), seen (1)"


def test_codes_that_a_file_declares_missing_are_missing_and_no_levels(tmp_path: Path) -> None:
    import pyreadstat

    labels: Any = {"a": {1: "no", 2: "yes", 98: "refused"}, "t": {"m": "male", "f": "female", "x": "unknown"}}
    frame = pd.DataFrame({"a": [1.0, 2.0, 98.0], "t": ["m", "x", "f"], "n": [1.5, -99.0, 2.0]})
    ranges: Any = {"a": [{"lo": 97, "hi": 99}], "t": ["x"], "n": [-99]}
    pyreadstat.write_sav(frame, tmp_path / "d.sav", variable_value_labels=labels, missing_ranges=ranges)
    reading = read_file(tmp_path / "d.sav")
    assert "declared missing: a (refused), t (unknown)" in str(reading)
    assert "factor: a (no, yes), t (female, male); missing: a (1), t (1), n (1)" in str(reading)

    labels = {"a": {1: "no", 2: "yes", "c": "refused"}}
    stated: Any = pd.DataFrame({"a": [1, 2, "c"]})
    pyreadstat.write_dta(stated, tmp_path / "d.dta", variable_value_labels=labels, missing_user_values={"a": ["c"]})
    reading = read_file(tmp_path / "d.dta")
    assert "declared missing: a (refused)" in str(reading)
    assert list(reading.data["a"].cat.categories) == ["no", "yes"]


def test_a_portable_file_of_spss(tmp_path: Path) -> None:
    import pyreadstat

    pyreadstat.write_por(pd.DataFrame({"SCHOOL": [1.0, 2.0], "Y": [1.5, np.nan]}), tmp_path / "d.por")
    data = read_file(tmp_path / "d.por").data
    assert data["SCHOOL"].tolist() == [1, 2]
    assert data["Y"].isna().tolist() == [False, True]


def workbook(folder: Path, rows: list[list[object]]) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    book.save(folder / "d.xlsx")
    return folder / "d.xlsx"


def test_a_workbook_with_blank_rows_blanks_titles_and_formulas(tmp_path: Path) -> None:
    reading = read_file(workbook(tmp_path, [[], [None, " "], [None, " g ", "y"], [None, " a", 1], [None, "b ", 2]]))
    assert reading.data.to_dict("list") == {"g": ["a", "b"], "y": [1, 2]}
    with pytest.raises(InputError, match="'Results of 2019' alone, and the table below has 2 columns"):
        read_file(workbook(tmp_path, [["Results of 2019"], [], ["g", "y"], ["a", 1]]))
    with pytest.raises(InputError, match="column 'y' holds formulas whose values are not in the file"):
        read_file(workbook(tmp_path, [["x", "y"], [1, "=A2*2"], [2, "=A3*2"]]))
    assert read_file(workbook(tmp_path, [["x", "y"], [1, None], [2, None]])).data["y"].isna().all()


def test_a_workbook_that_states_other_dimensions_than_it_has(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["g", "y"], ["a", 1], ["b", 2]])
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    with zipfile.ZipFile(path, "w") as book:
        for name, part in parts.items():
            book.writestr(name, part.replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"'))
    assert read_file(path).data.to_dict("list") == {"g": ["a", "b"], "y": [1, 2]}


def test_a_page_that_is_a_chart_is_no_sheet(tmp_path: Path) -> None:
    import openpyxl
    from openpyxl.chart import BarChart

    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in [["g", "y"], ["a", 1]]:
        sheet.append(row)
    book.create_chartsheet("Picture", 0).add_chart(BarChart())
    book.save(tmp_path / "d.xlsx")
    assert read_file(tmp_path / "d.xlsx").data["y"].tolist() == [1]


def test_arrows_logical_values_decimals_and_index(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "b": [True, None, False],
            "d": pa.array([Decimal("1.25"), None, Decimal("2.50")]),
            "day": [dt.date(2020, 1, 1), None, dt.date(2020, 1, 2)],
            "l": [[1], [2, 3], None],
        }
    )
    parquet.write_table(table, tmp_path / "d.parquet")
    reading = read_file(tmp_path / "d.parquet")
    assert reading.data["b"].dtype == "boolean"
    assert reading.data["d"].dtype == float
    assert "logical: b; date: day; of a kind that no model takes: l; missing:" in str(reading)
    frame = pd.DataFrame(
        {"y": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 1)], names=["school", "p"])
    )
    frame.to_parquet(tmp_path / "i.parquet")
    reading = read_file(tmp_path / "i.parquet")
    assert list(reading.data.columns) == ["school", "p", "y"]
    assert "from pandas' index: school, p" in str(reading)


@pytest.mark.parametrize("ending", [".feather", ".parquet"])
def test_arrow_files_keep_factors_and_ordered_ones_are_noticed(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame(
        {
            "y": [1.0, 2.0, np.nan],
            "f": pd.Categorical(["b", "a", "b"], categories=["b", "a"]),
            "o": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"], ordered=True),
        }
    )
    path = tmp_path / f"d{ending}"
    (frame.to_feather if ending == ".feather" else frame.to_parquet)(path)
    reading = read_file(path)
    assert list(reading.data["f"].cat.categories) == ["b", "a"]
    assert "factor: f (b, a)" in str(reading)
    assert "ordered factor, which makes polynomial contrasts: o (lo < mid < hi)" in str(reading)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def give(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    give(b"y;g\n1,5;a\n")
    assert read_data("-")["y"].tolist() == [1.5]
    assert "Read standard input: separated by semicolons" in capsys.readouterr().out
    give(gzip.compress(b"y,g\n1,a\n"))
    assert read_data("-", quiet=True)["y"].tolist() == [1]
    give(stata(tmp_path).read_bytes())
    assert read_data("-", quiet=True)["school"].tolist()[0] == "Mid"
    pd.DataFrame({"y": [1.5]}).to_stata(tmp_path / "old.dta", version=114, write_index=False)
    give((tmp_path / "old.dta").read_bytes())
    assert read_data("-", quiet=True)["y"].tolist() == [1.5]
    assert capsys.readouterr().out == ""
    give(b"")
    with pytest.raises(InputError, match="nothing came"):
        read_data("-")


def test_factors_are_made_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "y,sex,school\n1,F,2\n2,M,10\n", "pupils.csv")
    data = read_data(path, factors=["sex=M,F", "school"])
    assert data.attrs["name"] == "pupils"
    said = "Read pupils.csv: 2 rows, 3 columns; factor: sex (M, F), school (2, 10); missing: none\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.csv", b"PK\x03\x04rest", "looks like .xlsx inside"),
        ("d.csv", b"PAR1xxxx", "looks like .parquet inside"),
        ("d.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx"),
        ("d.RData", b"RDX3\n", "saveRDS"),
        ("d.dta", b"nothing of the kind", "no .dta file"),
        ("d.sav", b"$FL2 and then nothing", "no .sav file"),
        ("d.xlsx", b"PK\x03\x04" + b"\0" * 50, "cannot be read as .xlsx"),
        ("d.xlsx", b"y,g\n1,a\n", "it is no .xlsx file"),
        ("d.xlsx", b"\xd0\xcf\x11\xe0", "protected by a password"),
        ("d.parquet", b"PK\x03\x04", "it looks like .xlsx inside"),
        ("d.feather", b"ARROW1" + b"\0" * 20, "cannot be read as .feather"),
        ("d.parquet", b"PAR1" + b"\xff" * 40 + b"PAR1", "cannot be read as .parquet"),
        ("d.csv.gz", b"\x1f\x8bxxxx", "cannot be unpacked"),
        ("d.pdf", b"%PDF-1.4", "ending '.pdf'"),
        ("d.csv", b"a,,b\n1,2,3\n", "column 2 has values but no name"),
        ("d.csv", b"a;a\n1;2\n", "more than one column 'a'"),
        ("d.csv", b'a,b\n"1,2\n', "never closed"),
        ("d.csv", b'a,b\n"' + b"1,2\n" * 50_000, "never closed"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = written(tmp_path, content, name)
    with pytest.raises(InputError) as error:
        read_file(path)
    assert words in str(error.value)
    assert name in str(error.value)


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="separator"):
        TextOptions(separator="::")
    with pytest.raises(InputError, match="both the separator and the decimal"):
        TextOptions(separator=",", decimal=",")
    with pytest.raises(InputError, match="decimal mark"):
        TextOptions(decimal="x")
    with pytest.raises(InputError, match=r"\.xlsx file only"):
        read_file(written(tmp_path, "a\n1\n"), sheet="x")
    with pytest.raises(InputError, match=r"\.xlsx file only"):
        read_file(stata(tmp_path), sheet="x")
    with pytest.raises(InputError, match="no decimal mark to be told"):
        read_file(stata(tmp_path), text=TextOptions(decimal=","))
    with pytest.raises(InputError, match=r"no name of a file|no file"):
        read_file("a\0b.csv")


def test_any_bytes_are_a_table_or_our_error(tmp_path: Path) -> None:
    """Damaged files of every kind: nothing but a table or an InputError."""
    rng = random.Random(3)
    frame = pd.DataFrame({"y": [1.5, 2.5] * 20, "g": pd.Categorical(list("ab") * 20)})
    kinds: dict[str, bytes] = {".csv": b"y;g\n1,5;a\n2,5;b\n" * 9}
    for ending, write in ((".parquet", frame.to_parquet), (".feather", frame.to_feather)):
        write(tmp_path / f"whole{ending}")
        kinds[ending] = (tmp_path / f"whole{ending}").read_bytes()
    frame.to_excel(tmp_path / "whole.xlsx", index=False)
    kinds[".xlsx"] = (tmp_path / "whole.xlsx").read_bytes()
    for name in ("s.dta", "s.sav"):
        kinds[name[1:]] = stata(tmp_path, name).read_bytes()
    outcomes = {"read": 0, "refused": 0}
    for ending, whole in kinds.items():
        for _ in range(12):
            damaged = bytearray(whole)
            for _ in range(rng.choice([1, 3, 30])):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path = written(tmp_path, bytes(damaged[: rng.choice([len(damaged), len(damaged) // 2])]), f"d{ending}")
            try:
                read_file(path)
                outcomes["read"] += 1
            except InputError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 5, outcomes


@pytest.mark.r
def test_rds_comes_through_r(tmp_path: Path) -> None:
    script = """
    d <- data.frame(y = c(1.5, NA), f = factor(c("b", "a"), levels = c("b", "a")), s = c("x", "y"))
    d$l <- structure(c(2, 1), labels = c(no = 1, yes = 2), class = c("haven_labelled", "vctrs_vctr", "double"))
    saveRDS(d, "d.rds"); saveRDS(list(1), "l.rds")
    """
    subprocess.run(["Rscript", "--vanilla", "-e", script], cwd=tmp_path, check=True)
    data = read_file(tmp_path / "d.rds").data
    assert list(data["f"].cat.categories) == ["b", "a"]
    assert data["l"].tolist() == ["yes", "no"]
    assert data["s"].tolist() == ["x", "y"]
    with pytest.raises(InputError, match=r"l\.rds' cannot be used: it holds an object of class 'list'"):
        read_file(tmp_path / "l.rds")
    with pytest.raises(InputError, match=r"n\.rds' cannot be used: R cannot read"):
        read_file(written(tmp_path, b"nothing", "n.rds"))


@pytest.mark.r
def test_what_haven_and_r_count_as_missing_is_missing_in_an_rds_file(tmp_path: Path) -> None:
    """A missing value with a letter is none of the labelled ones, though match() of R takes every NA for the first."""
    script = """
    labelled <- function(x, labels, ...) {
      structure(x, labels = labels, ..., class = c("haven_labelled_spss", "haven_labelled"))
    }
    bytes <- function(letter) {
      x <- writeBin(NA_real_, raw(), endian = "big")
      x[5] <- charToRaw(letter)
      readBin(x, "double", endian = "big")
    }
    d <- data.frame(y = 1:5)
    d$a <- labelled(c(1, 2, bytes("a"), NA, 1), c(no = 1, yes = 2, refused = bytes("a")))
    d$s <- labelled(c(1, 2, 99, 98, 1), c(no = 1, yes = 2, refused = 98), na_values = c(98, 99))
    d$r <- labelled(c(1, 2, 97, 98, 5), c(refused = 98, one = 1), na_range = c(97, Inf))
    saveRDS(d, "d.rds")
    saveRDS(setNames(data.frame(1:2, 3:4), c("a", "a")), "twins.rds")
    m <- data.frame(y = 1:3); m$X <- matrix(1:6, 3); saveRDS(m, "matrix.rds")
    saveRDS(list(a = 1, d = mtcars), "list.rds"); saveRDS(data.frame(), "nothing.rds")
    """
    subprocess.run(["Rscript", "--vanilla", "-e", script], cwd=tmp_path, check=True)
    reading = read_file(tmp_path / "d.rds")
    assert reading.data["a"].isna().tolist() == [False, False, True, True, False]
    assert list(reading.data["a"].cat.categories) == ["no", "yes"]
    assert reading.data["s"].isna().tolist() == [False, False, True, True, False]
    assert reading.data["r"].isna().tolist() == [False, False, True, True, False]
    assert "left as numbers: r;" in str(reading)
    for name, words in {
        "twins": "more than one column 'a'",
        "matrix": r"'X' is of class 'matrix'.*do\.call\(data\.frame",
        "list": r"saveRDS\(x\$d, 'data\.rds'\)",
        "nothing": "has no columns",
    }.items():
        with pytest.raises(InputError, match=words):
            read_file(tmp_path / f"{name}.rds")


@pytest.mark.r
def test_semicolons_are_read_as_r_read_csv2_reads_them(tmp_path: Path) -> None:
    cells = ["1,5", "2", "", "NA", "-0,25", "1e3", "a", "T", "x,y", ",5"]
    rng = random.Random(11)
    columns = []
    for _ in range(40):
        among = rng.sample(cells, rng.choice([1, 2, 3, 5]))
        columns.append([rng.choice(among) for _ in range(6)])
    names = [f"c{j}" for j in range(len(columns))]
    text = "\n".join([";".join(names), *(";".join(row) for row in zip(*columns, strict=True))]) + "\n"
    path = written(tmp_path, text)
    mine = read_file(path, text=TextOptions(separator=";", decimal=",")).data
    script = f"""
    d <- read.csv2("{path}", check.names = FALSE)
    for (n in names(d)) {{
      shown <- ifelse(is.na(d[[n]]), "<NA>", format(d[[n]], digits = 15, trim = TRUE))
      cat(class(d[[n]]), paste(shown, collapse = "|"), "\\n", sep = "|")
    }}
    """
    out = subprocess.run(["Rscript", "--vanilla", "-e", script], capture_output=True, text=True, check=True).stdout
    for name, line in zip(names, out.splitlines(), strict=True):
        kind, *values = line.rstrip("|").split("|")
        column = mine[name]
        found = {"b": "logical", "i": "integer", "f": "numeric"}.get(getattr(column.dtype, "kind", "O"), "character")
        if kind == "integer" and column.isna().any():
            kind = "numeric"  # whole numbers with gaps
        assert found == kind, (name, columns[names.index(name)])
        for value, cell in zip(values, column, strict=True):
            same = (
                pd.isna(cell)
                if value == "<NA>"
                else float(value) == cell
                if found in ("integer", "numeric")
                else value.strip() in (str(cell), str(cell).upper())
            )
            assert same, (name, value, cell)


def _bomb(kind: str) -> bytes:
    """A small file that becomes 40 million bytes when it is unpacked."""
    text = b"y,g\n" + b"1,a\n" * 10_000_000
    if kind == "d.xlsx":
        book = io.BytesIO()
        with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("xl/workbook.xml", text)
        return book.getvalue()
    return {"d.csv.gz": gzip.compress, "d.csv.bz2": bz2.compress, "d.csv.xz": lzma.compress}[kind](text)


@pytest.mark.parametrize("kind", ["d.csv.gz", "d.csv.bz2", "d.csv.xz", "d.xlsx"])
def test_what_a_packed_file_holds_is_refused_where_memory_cannot_hold_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, _bomb(kind), kind)
    assert path.stat().st_size < 200_000
    for module in ("files", "programs"):
        monkeypatch.setattr(f"validation.reading.{module}.memory", lambda: 30_000_000)
    with pytest.raises(InputError, match=r"d\.(csv|xlsx).* GB"):
        read_data(path)


def test_a_file_without_an_end_and_one_too_large_for_its_cells_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("validation.reading.files.memory", lambda: 30_000_000)
    with pytest.raises(InputError, match="memory cannot hold"):
        read_data("/dev/zero")
    with pytest.raises(InputError, match=r"takes about .* GB of memory.*Save it as .parquet"):
        read_data(written(tmp_path, "y,g\n" + "1,a\n" * 600_000))


def test_a_long_text_says_how_long_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.reading.files._SECONDS", 1000.0)
    with pytest.warns(UserWarning, match=r"reading may take about .*million bytes of text.*parquet"):
        read_data(written(tmp_path, "y,g\n" + "1,a\n" * 200_000))


def test_digits_of_other_scripts_are_text_as_in_r(tmp_path: Path) -> None:
    data = read_data(written(tmp_path, "y,x,z\n1,\u0661,\uff11.5\n2,\u0662,2\n"))
    assert [data[name].dtype.kind for name in ("y", "x", "z")] == ["i", "O", "O"]
    assert data["x"].tolist() == ["\u0661", "\u0662"]
