"""How the written script looks: comments, long lines, its head; and where the marked calls stand in it."""

import ast
import re
import textwrap
from dataclasses import dataclass

from validation.migrate.code import CLOSE, OPEN, unmarked
from validation.migrate.translate import Translator

__all__ = ["Span", "as_comment", "block_of", "head_of", "indented", "one_line", "shown", "without_marks", "wrapped"]

WIDTH = 100


@dataclass(frozen=True)
class Span:
    """Where a watched call's counterpart stands in the script: lines from 1, columns from 0."""

    site: int
    line: int
    column: int
    end_line: int
    end_column: int


#: What a script imports, by the name in its code that asks for it.
_STANDARD = {
    "reduce": "from functools import reduce",
    "combinations": "from itertools import combinations",
    "Path": "from pathlib import Path",
}
_OTHERS = {"np": "import numpy as np", "pd": "import pandas as pd", "stats": "from scipy import stats"}


def _names_in(code: str) -> set[str]:
    """The names in a script; of one that Python cannot read, and which is written anew therefore, none."""
    try:
        return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    except SyntaxError:
        return set()


def head_of(name: str, t: Translator, code: str) -> list[str]:
    """The first lines of a script of this code: what it is, what it imports, how it reads its data."""
    used, names = sorted(t.used), _names_in(unmarked(code))
    names |= {"Path", "pd"} if "read" in names else set()
    lines = [
        f'"""What {name} does, in Python; written by `mlmparity migrate`.',
        "",
        "Each statement of R stands as a comment above its counterpart. test_migration.py holds R's values.",
        '"""',
        "",
    ]
    if "regex" in names:
        lines.append("import re as regex")  # R's scripts often have a variable re
    if names & {"regex", *_STANDARD}:
        lines += [*(text for name, text in _STANDARD.items() if name in names), ""]
    lines += [text for name, text in _OTHERS.items() if name in names]
    if used:
        lines += [*([""] if lines[-1] != "" else []), f"from mlmparity import {', '.join(used)}"]
    if "read" in names:
        lines += [
            "",
            'DATA = Path(__file__).parent / "data"',
            "",
            "",
            "def read(name):",
            '    """Data as the models of the script of R saw them."""',
            '    return pd.read_parquet(DATA / f"{name}.parquet")',
            "",
        ]
    if t.assumed:
        data = [one for one in sorted(t.assumed) if one not in t.by_use]
        others = [one for one in sorted(t.assumed) if one in t.by_use]
        parts = [f"load these data first: {', '.join(data)}"] if data else []
        parts += [f"give these a value first: {', '.join(others)}"] if others else []
        lines += ["", *as_comment(one_line(f"Nothing was run: {'; '.join(parts)}")), ""]
    return [*lines, ""]


def one_line(text: str) -> str:
    """A text on one line."""
    return re.sub(r"\s+", " ", text).strip()


def shown(text: str) -> str:
    """A text with no character that a terminal or Python's reader obeys, but for ends of lines."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", "?", text)


def as_comment(text: str, first_only: bool = False) -> list[str]:
    """A text as a comment."""
    text = shown(text)
    lines = [line.rstrip() for line in text.replace(OPEN, "").replace(CLOSE, "").split("\n")]
    if first_only and len(lines) > 1:
        lines = [lines[0] + " …"]
    lines = [lines[0], *textwrap.dedent("\n".join(lines[1:])).split("\n")] if len(lines) > 1 else lines
    return [f"# {line}".rstrip() if k == 0 else f"#     {line}".rstrip() for k, line in enumerate(lines)]


def block_of(lines: list[str]) -> list[str]:
    """Python wants a statement where R has a block of none."""
    return lines if any(not line.lstrip().startswith("#") for line in lines) else [*lines, "pass"]


def indented(lines: list[str]) -> list[str]:
    """Lines one level further in."""
    return ["    " + line for line in lines]


def wrapped(line: str) -> list[str]:
    """A call, a list or a dict that is too long for a line, with an argument on each."""
    bare = unmarked(line)
    if len(bare) <= WIDTH or line.lstrip().startswith("#"):
        return [line]
    chain = _chained(line)
    if chain is not None:
        return chain
    found = re.search(r"[(\[{]", line)
    if found is None or not line.rstrip(CLOSE).endswith((")", "]", "}")):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    start = found.start()
    parts, depth, quote, escaped, at = [], 0, "", False, start + 1
    for i in range(start + 1, len(line)):
        char = line[i]
        if quote:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            if depth == 0:
                if len(re.sub(CLOSE, "", line[i + 1 :]).strip()) > WIDTH // 2:
                    return [line]
                parts.append(line[at:i])
                if _is_comprehension(line[start + 1 : i]):
                    parts = [line[start + 1 : i]]
                comma = "," if len(parts) > 1 else ""  # one part can be a comprehension
                if len(parts) > 1 and not unmarked(parts[-1]).strip():
                    parts.pop()  # (x,) has its comma already
                inside = [wrapped(f"{indent}    {part.strip()}") for part in parts]
                if len(parts) == 1 and len(inside[0]) == 1 and len(bare) <= 1.5 * WIDTH:
                    return [line]
                broken = [row for rows in inside for row in [*rows[:-1], rows[-1] + comma]]
                return [line[: start + 1], *broken, indent + line[i:]]
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(line[at:i])
            at = i + 1
    return [line]


_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[(\[{]|[)\]}]|\.\w+\(|\sfor\s")


def _chained(line: str) -> list[str] | None:
    """``x = a.b().c().d()`` with a call on each line; None where it is no such chain."""
    found = re.match(r"(\s*)(\w+ = |print\()", line)
    if found is None or (found[2] == "print(" and not line.endswith(")")):
        return None
    inside = line[found.end() : -1] if found[2] == "print(" else line[found.end() :]
    depth, at, parts = 0, 0, []
    for one in _TOKEN.finditer(inside):
        if one[0].startswith("."):
            if depth == 0 and one.start() > at:
                parts.append(inside[at : one.start()])
                at = one.start()
            depth += 1
        elif one[0] in "([{":
            depth += 1
        elif one[0] in ")]}":
            depth -= 1
            if depth < 0:
                return None
    parts.append(inside[at:])
    if parts[0] in ("pd", "np"):  # a module's function, no object's
        parts = ["".join(parts[:2]), *parts[2:]]
    shapes = [unmarked(_outside(part)) for part in parts]
    plain = re.fullmatch(r"\w*(\.\w+|\(\)|\[\]|\{\})*", shapes[0])
    if len(parts) < 4 or not plain or not all(re.fullmatch(r"\.\w+\(\)(\.\w+|\[\])*", one) for one in shapes[1:]):
        return None
    indent = found[1]
    opening = found[2] if found[2] == "print(" else f"{found[2]}("
    return [f"{indent}{opening}", *(f"{indent}    {part}" for part in parts), f"{indent})"]


def _outside(text: str) -> str:
    """A text without what stands within its brackets."""
    depth, at, out = 0, 0, []
    for one in _TOKEN.finditer(text):
        if depth == 0:
            out.append(text[at : one.start()])
        if one[0].startswith(".") or one[0] in "([{":
            out += [one[0]] if depth == 0 else []
            depth += 1
        elif one[0] in ")]}":
            depth -= 1
            out += [one[0]] if depth == 0 else []
        at = one.end()
    return "".join([*out, text[at:]] if depth == 0 else out)


def _is_comprehension(inside: str) -> bool:
    """Whether what stands between brackets is ``x for x in y``."""
    depth = 0
    for one in _TOKEN.finditer(inside):
        if one[0] in "([{" or one[0].startswith("."):
            depth += 1
        elif one[0] in ")]}":
            depth -= 1
        elif depth == 0 and one[0].strip() == "for":
            return True
    return False


def without_marks(text: str) -> tuple[str, list[Span]]:
    """The text without its marks, and where what they marked stands."""
    out: list[str] = []
    spans: list[Span] = []
    open_at: list[tuple[int, int, int]] = []
    line, column, i = 1, 0, 0
    while i < len(text):
        char = text[i]
        if char == OPEN:
            end = text.index(";", i)
            open_at.append((int(text[i + 1 : end]), line, column))
            i = end + 1
            continue
        if char == CLOSE:
            site, first, start = open_at.pop()
            spans.append(Span(site, first, start, line, column))
        else:
            out.append(char)
            column += len(char.encode())
            if char == "\n":
                line, column = line + 1, 0
        i += 1
    return "".join(out), spans
