"""Tables of text by the rules of R's read.csv, and the same rules in live R on files made at random."""

import random
import subprocess

import numpy as np
import pandas as pd
import pytest

from validation.errors import InputError
from validation.reading import read_file
from validation.reading.files import understood
from validation.reading.text import convert, read_r_cells


def read_r_table(text):
    names, columns = read_r_cells(text)
    return pd.DataFrame(dict(zip(names, map(convert, columns), strict=True)))


def column(*cells):
    return read_r_table("\n".join(["x,y", *(f"{cell},1" for cell in cells)]))["x"]


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["T", "F"], "bool", [True, False]),
        (["TRUE", "", "NA"], "boolean", [True, None, None]),
        (["true", "false"], "object", ["true", "false"]),
        (["1", " 2", "3 "], "int64", [1, 2, 3]),
        (["1", "", "NA"], "float64", [1, None, None]),
        (["2147483648", "1"], "float64", [2147483648, 1]),
        (["1.5", "NaN", "-Inf", "1e3"], "float64", [1.5, None, -np.inf, 1000]),
        (["a", "", "NA", "NaN"], "object", ["a", "", None, "NaN"]),
        (["T", "a"], "object", ["T", "a"]),
        (["1_000", "2"], "object", ["1_000", "2"]),
        (['"a,b"', '"c""d"'], "object", ["a,b", 'c"d']),
        (["", "NA"], "boolean", [None, None]),
    ],
)
def test_a_column_is_what_r_makes_of_it(cells, dtype, values):
    found = column(*cells)
    assert str(found.dtype) == dtype
    assert [None if pd.isna(value) else value for value in found.tolist()] == values


def test_an_exponent_has_digits_since_r_4_4_1():
    assert column("1e", "2E+").tolist() == ["1e", "2E+"]
    assert column("1e", "2").tolist() == ["1e", "2"]


def test_the_case_of_the_bug_report(tmp_path):
    rows = ["1.2,T,A", "3.9,F,", "3.1,T,NaN", "2.2,T,B"]
    path = tmp_path / "d.csv"
    path.write_text("\n".join(["y,arm,site", *rows]))
    data = read_file(path).data
    assert data["site"].tolist() == ["A", "", "NaN", "B"]
    assert data["arm"].tolist() == [True, False, True, True]
    assert understood(data) == "4 rows, 3 columns; text: site; logical: arm; missing: none"


def test_rows_of_another_length():
    assert read_r_table("a,b\n1,2\n3\n")["b"].isna().tolist() == [False, True]
    assert read_r_table("a\nr1,1\nr2,2\n").to_dict("list") == {"a": [1, 2]}  # the first column names the rows
    with pytest.raises(InputError, match="row 6 has 3 cells"):
        read_r_table("a,b\n1,2\n1,2\n1,2\n1,2\n1,2,3\n")
    with pytest.raises(InputError, match="empty"):
        read_r_table("\n\n")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_file(path)


POOLS = [
    ["T", "F", "TRUE", ""], ["true", "False"], ["1", "", " 3", "4 ", "NA"], ["1.5", "NaN", "Inf", "-inf", ""],
    ["a", "b", "", "NA", "NaN"], [" a", "a ", "T"], ["1e5", "2E-3", "1e"], ["0x1A", "3"], ["2147483648", "5"],
    ["", "NA"], ["  ", "1"], ['"NA"', '"x"'], ['"1"', "2"], ['"a,b"', '"c""d"'], ["1.", "+.5"], ["1d5", "3"],
    ["  ", "a"], ["1_000", "2"], [" NA", "5"], ["- 5", "4"], ["0x1.8p3", "2"], ['""', "5"], ["#1", "2"],
]  # fmt: skip

SCRIPT = r"""
for (f in sort(list.files(commandArgs(TRUE)[1], "csv$", full.names = TRUE))) {
  d <- suppressWarnings(read.csv(f, check.names = FALSE))
  for (j in seq_along(d)) {
    v <- d[[j]]
    s <- ifelse(is.na(v), "<NA>", if (is.double(v)) sprintf("%.17g", v) else as.character(v))
    cat(basename(f), names(d)[j], class(v), paste(s, collapse = "\x1f"), sep = "\t"); cat("\n")
  }
}
"""


def as_r(value):
    if pd.isna(value):
        return "<NA>"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return value if isinstance(value, str) else f"{value:.17g}".replace("inf", "Inf")


@pytest.mark.r
def test_a_hundred_files_as_live_r_reads_them(tmp_path, live_dialect):
    rng = random.Random(11)
    if not live_dialect.has("numbers_end_in_digits"):  # an older R reads "1e" as 1
        pools = [[cell for cell in pool if cell != "1e"] for pool in POOLS]
    else:
        pools = POOLS
    for k in range(100):
        three = [pools[k % len(pools)], rng.choice(pools), rng.choice(pools)]
        lines = ["a,b,c", *(",".join(rng.choice(pool) for pool in three) for _ in range(rng.randint(4, 9)))]
        (tmp_path / f"{k:03}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "read.R").write_text(SCRIPT)
    run = ["Rscript", "--vanilla", str(tmp_path / "read.R"), str(tmp_path)]
    told = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout
    kinds = {"bool": "logical", "boolean": "logical", "int64": "integer", "float64": "numeric", "object": "character"}
    seen = 0
    for line in told.splitlines():
        file, name, kind, cells = line.split("\t")
        found = read_r_table((tmp_path / file).read_text())[name]
        own = kinds[str(found.dtype)]
        assert own == kind or (kind == "integer" and own == "numeric" and found.isna().any()), (file, name)
        assert [as_r(value) for value in found.tolist()] == cells.split("\x1f"), (file, name)
        seen += 1
    assert seen == 300
