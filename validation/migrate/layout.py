"""How the written script looks: comments, long lines, its head; and where the marked calls stand in it."""

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


def head_of(name: str, t: Translator) -> list[str]:
    """The script's first lines: what it is, what it imports, how it reads its data."""
    used, modules = sorted(t.used), t.modules
    lines = [
        f'"""What {name} does, in Python; written by `mlmparity migrate`.',
        "",
        "Each statement of R stands as a comment above its counterpart. test_migration.py holds R's values.",
        '"""',
        "",
    ]
    standard = [("reduce", "from functools import reduce"), ("read", "from pathlib import Path")]
    if "re" in modules:
        lines.append("import re")
    if modules & {"re", "reduce", "read"}:
        lines += [*(text for module, text in standard if module in modules), ""]
    if "np" in modules:
        lines.append("import numpy as np")
    if modules & {"pd", "read"}:
        lines.append("import pandas as pd")
    if "stats" in modules:
        lines.append("from scipy import stats")
    if used:
        lines += [*([""] if lines[-1] != "" else []), f"from mlmparity import {', '.join(used)}"]
    if "read" in modules:
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
        lines += ["", f"# Nothing was run: load these data first: {', '.join(sorted(t.assumed))}", ""]
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
    found = re.search(r"[(\[{]", line)
    if found is None or not line.rstrip(CLOSE).endswith((")", "]", "}")):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    start = found.start()
    parts, depth, quote, at = [], 0, "", start + 1
    for i in range(start + 1, len(line)):
        char = line[i]
        if quote:
            if char == quote and line[i - 1] != "\\":
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            if depth == 0:
                if re.sub(CLOSE, "", line[i + 1 :]).strip():
                    return [line]
                parts.append(line[at:i])
                if _is_comprehension(line[start + 1 : i]):
                    parts = [line[start + 1 : i]]
                if len(parts) == 1 and len(bare) <= 1.5 * WIDTH:
                    return [line]
                comma = "," if len(parts) > 1 else ""  # one part can be a comprehension
                return [line[: start + 1], *(f"{indent}    {part.strip()}{comma}" for part in parts), indent + line[i:]]
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(line[at:i])
            at = i + 1
    return [line]


def _is_comprehension(inside: str) -> bool:
    """Whether what stands between brackets is ``x for x in y``."""
    depth = 0
    for one in re.finditer(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[(\[{]|[)\]}]|\sfor\s", inside):
        if one[0] in "([{":
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
