"""Nothing that a terminal would obey comes from people's data: not from names, levels, formulas or file names."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bridge import lme4
from bridge.errors import BridgeError
from pyimpl import lmer
from pyimpl.errors import FormulaError, PyimplError, PyimplWarning
from pyimpl.formula.parse import Name, Str, parse
from pyimpl.text.numbers import print_matrix, print_vector
from pyimpl.text.values import quote_name, quote_string
from r_scripts.escapes import encode_string, visible
from validation.console import VisibleConsole
from validation.errors import InputError

RED, TITLE, CLEAR = "y\x1b[31mred", "g\x1b]0;title\x07", "x\x1b[2J"
#: Text, and what R prints for it in a matrix, as a name in a call, and as a string (R 4.2.2, ``LANG=C.UTF-8``).
IN_R = (
    ("a\\b", "a\\\\b", "`a\\\\b`", '"a\\\\b"'),
    ('a"b', 'a"b', '`a"b`', '"a\\"b"'), ("a`b", "a`b", "`a\\`b`", '"a`b"'),
    ("t\tb", "t\\tb", "`t\\tb`", '"t\\tb"'), ("n\nb", "n\\nb", "`n\\nb`", '"n\\nb"'),
    ("\x1b[3m", "\\033[3m", "`\\033[3m`", '"\\033[3m"'),
    ("\x07\b\f\v", "\\a\\b\\f\\v", "`\\a\\b\\f\\v`", '"\\a\\b\\f\\v"'),
    ("\x7f", "\\177", "`\\177`", '"\\177"'), ("\x80x", "\\u0080x", "`\\u0080x`", '"\\u0080x"'),
    ("\u2028s", "\\u2028s", "`\\u2028s`", '"\\u2028s"'), ("\u0378", "\\u0378", "`\\u0378`", '"\\u0378"'),
    ("\u00a0n", "\u00a0n", "`\u00a0n`", '"\u00a0n"'), ("\u200bz", "\u200bz", "`\u200bz`", '"\u200bz"'),
)  # fmt: skip


@pytest.mark.parametrize(("text", "cell", "name", "string"), IN_R, ids=range(len(IN_R)))
def test_texts_are_written_as_r_writes_them(text, cell, name, string):
    assert encode_string(text) == cell
    assert quote_name(text) == name
    assert quote_string(text) == string
    assert parse(name) == Name(text)
    assert parse(string) == Str(text)
    assert print_matrix([[1.0]], [text], ["x"]).splitlines()[1] == f"{cell} 1"
    assert print_vector([1.0], names=[text]).split("\n")[0].strip() == cell.strip()


@pytest.mark.parametrize("text", [r"`\0`", r"`\U{ffffffff}`", r"`\ud800`", r"'\q'", r"`\400`", "'\0'", "`a\0`"])
def test_escapes_that_r_refuses_are_refused(text):
    with pytest.raises(FormulaError, match=r"R knows no escape|R can hold|R cannot hold"):
        parse(text)


def test_what_a_terminal_obeys_is_visible():
    obeyed = "".join(map(chr, [*range(32), *range(127, 160)])) + "\u202e\u2066\u2028"
    shown = visible(obeyed)
    assert shown.replace("\n", "").replace("\t", "").isprintable()
    assert visible("a\tb\n\\n ü 日本 👩‍🔬") == "a\tb\n\\n ü 日本 👩‍🔬"


def test_errors_and_warnings_are_visible():
    for kind in (PyimplError, PyimplWarning, BridgeError, InputError):
        assert str(kind(f"no column {CLEAR}")) == "no column x\\033[2J"


def data():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({RED: rng.normal(size=40), CLEAR: rng.normal(size=40)})
    frame["f"] = np.array(["a\x1b[2J", "q\r\nR and Python agree"])[rng.integers(0, 2, 40)]
    frame[TITLE] = rng.integers(0, 5, 40).astype(str)
    return frame


FORMULA = f"`{RED}` ~ `{CLEAR}` + f + (1 | `{TITLE}`)"


@pytest.mark.r
def test_a_summary_holds_none_and_is_r_s():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (str(side(FORMULA, data()).summary()) for side in (lmer, lme4.lmer))
    assert "\x1b" not in ours
    assert "\r" not in ours
    assert "\x1b" not in theirs
    for text in (ours, theirs):
        (row,) = [line for line in text.splitlines() if line.startswith("fq\\r\\nR and Python agree")]
        assert len(row.split()) == 7


def test_the_console_lets_none_through_whatever_holds_it():
    stream = io.StringIO()
    console = VisibleConsole(file=stream, width=80, color_system=None)
    table = Table("head\x1b[2J")
    table.add_row(RED)
    for thing in (CLEAR, Text(CLEAR, style="bold"), Panel(Text(TITLE)), table):
        console.print(thing)
    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert stream.getvalue().count("\\033") == 5


@pytest.mark.parametrize("arguments", [["compare", "-d", CLEAR, "-f", "y ~ x + (1 | g)"], ["validate", CLEAR]])
def test_the_command_prints_none(arguments, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mlmparity", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
    assert "[2J" in done.stderr
