import gzip

import pandas as pd
import pytest

from validation.errors import InputError
from validation.reading import read_file
from validation.reading.files import as_factors, parse_factor


def test_reads_as_r_does(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("y,g,x,n\n1.5,None,a,1\nNA,null,NA,2\n,b,c,NA\n", encoding="utf-8")
    data = read_file(path).data
    assert list(data.columns) == ["y", "g", "x", "n"]
    assert data["y"].isna().tolist() == [False, True, True]
    assert data["g"].tolist() == ["None", "null", "b"]  # labels, not missing values
    assert data["x"].isna().tolist() == [False, True, False]


def test_row_names_of_write_csv_are_left_out(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('"","y"\n"1",2\n"2",3\n')
    assert list(read_file(path).data.columns) == ["y"]


@pytest.mark.parametrize(
    ("content", "names", "first", "said"),
    [
        ('"g" "y"\n"1" "a" 1\n"2" "b" 2\n', ["g", "y"], ["a", 1], "separated by blanks"),  # R's write.table
        ("id   y   g  \n 1   2.5  a\n10   3.5  b\n", ["id", "y", "g"], [1, 2.5, "a"], "separated by blanks"),
        ("note\nhello world\nand more\n", ["note"], ["hello world"], None),
        ("first name,y\nab cd,1\nef gh,2\n", ["first name", "y"], ["ab cd", 1], None),
        ("g , y\na , 1\nb , 2\n", ["g", "y"], ["a ", 1], None),  # names lose their blanks, as in R
        ('g,pay\na,"1,200"\nb,900\n', ["g", "pay"], ["a", "1,200"], "commas between thousands left as text in pay"),
        ('g,pay\na,"1,200.5"\nb,0.5\n', ["g", "pay"], ["a", "1,200.5"], "commas between thousands"),
        ('g,x\na,"1,25"\nb,3\n', ["g", "x"], ["a", "1,25"], "decimal commas left as text in x"),
    ],
)
def test_tables_as_people_write_them(tmp_path, content, names, first, said):
    path = tmp_path / "d.csv"
    path.write_text(content)
    reading = read_file(path)
    assert list(reading.data.columns) == names
    assert reading.data.iloc[0].tolist() == first
    assert said is None or said in str(reading)
    assert said is not None or "separated" not in str(reading)


def test_compressed_and_tab_separated(tmp_path):
    with gzip.open(tmp_path / "d.csv.gz", "wt") as file:
        file.write("a,b\n1,2\n")
    assert read_file(tmp_path / "d.csv.gz").data["b"].tolist() == [2]
    (tmp_path / "d.tsv").write_text("a\tb\n1\t2\n")
    assert read_file(tmp_path / "d.tsv").data["b"].tolist() == [2]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"y,x\n", "no rows"),
        ("a.csv", b"y,y\n1,2\n", "more than one column 'y'"),
        ("a.csv", "y\nä\n".encode("latin-1"), "not UTF-8"),
        ("a.csv", b"a,b\n1,2,3\n4,5,6,7\n", "row 2 has 3 cells, the line of names 2"),
        ("a.csv", b"g,y,z\na,1,2\na,2\nb,4,5,6\n", "row 4 has 4 cells, the line of names 3.*'a' more than once"),
        ("a.csv", b"# made by X\ng,y\na,1\na,2\n", "row 2 has 2 cells, the line of names 1"),
        ("a.xlsx", b"PK", "no .xlsx file by its first bytes"),
        ("a.parquet", b"PAR1", "parquet"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        read_file(tmp_path / name)
    assert name in str(error.value)


def test_missing_file_and_folder(tmp_path):
    (tmp_path / "grades.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"no file .*Is it 'grades.csv'"):
        read_file(tmp_path / "grade.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_file(tmp_path)


def test_factors():
    data = pd.DataFrame(
        {"school": [10, 9, 10], "sex": ["F", "M", None], "flag": [True, False, True], "t": ["b", "a", "b"]}
    )
    data["n"] = pd.Series(["b", None, "a"], dtype=object)  # as files with blanks give it
    made = as_factors(data, ["school", "sex=M,F", "flag"], strings=True)
    assert list(made["n"].cat.categories) == ["a", "b"]
    assert list(made["school"].cat.categories) == ["9", "10"]
    assert list(made["sex"].cat.categories) == ["M", "F"]
    assert made["sex"].isna().tolist() == [False, False, True]
    assert list(made["flag"].cat.categories) == ["FALSE", "TRUE"]
    assert list(made["t"].cat.categories) == ["a", "b"]
    assert data["sex"].tolist()[:2] == ["F", "M"]  # the data given are left alone
    assert as_factors(pd.DataFrame({"k": [1.0, None, 2.0]}), ["k"])["k"].cat.categories.tolist() == ["1", "2"]


def test_factor_errors():
    data = pd.DataFrame({"school": ["a", "b"], "sex": ["F", "M"]})
    with pytest.raises(InputError, match="did you mean 'school'"):
        as_factors(data, ["schol"])
    with pytest.raises(InputError, match="does not list as levels: 'F'"):
        as_factors(data, ["sex=M"])
    with pytest.raises(InputError, match="names no column"):
        parse_factor("=a,b")
    with pytest.raises(InputError, match="empty level"):
        parse_factor("g=a,,b")
    with pytest.raises(InputError, match="'a' more than once"):
        parse_factor("g=a,a")
