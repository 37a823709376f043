"""Data files as people have them: each kind, how it was understood, and what is refused."""

import datetime as dt
import gzip
import io
import random
import subprocess
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
    assert "sheet 'scores' (the first of 2)" in str(reading)
    assert "date: day" in str(reading)
    assert read_file(path, sheet="notes").data["z"].tolist() == [9]
    with pytest.raises(InputError, match="no sheet 'Notes'; it has 'scores', 'notes'"):
        read_file(path, sheet="Notes")


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
        ("d.feather", b"ARROW1" + b"\0" * 20, "cannot be read as .feather"),
        ("d.parquet", b"PAR1" + b"\xff" * 40 + b"PAR1", "cannot be read as .parquet"),
        ("d.csv.gz", b"\x1f\x8bxxxx", "cannot be unpacked"),
        ("d.pdf", b"%PDF-1.4", "ending '.pdf'"),
        ("d.csv", b"a,,b\n1,2,3\n", "column 2 has values but no name"),
        ("d.csv", b"a;a\n1;2\n", "more than one column 'a'"),
        ("d.csv", b'a,b\n"1,2\n', "never closed"),
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
    from bridge.errors import DataError

    with pytest.raises(DataError, match="holds a list"):
        read_file(tmp_path / "l.rds")
    with pytest.raises(DataError, match="R cannot read"):
        read_file(written(tmp_path, b"nothing", "n.rds"))


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
