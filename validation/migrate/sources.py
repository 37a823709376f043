"""An R script, or the R chunks of an Rmd or qmd file, as code that keeps the file's line numbers."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from validation.errors import InputError
from validation.migrate.rcode import Node, RSyntaxError, parse

__all__ = ["Source", "read_source", "with_sourced"]

_FENCE = re.compile(r"^[ \t>]*(?P<ticks>`{3,}|~{3,})[ \t]*(?:\{(?P<head>.*)\}|(?P<info>[^`{}]*))[ \t]*$")
_INLINE = r"`(?:r|\{r\})\s+([^`]+)`"
_CHILD = re.compile(r"\bchild\s*[=:]\s*[\"']([^\"']+)[\"']")
_INCLUDE = re.compile(r"^\s*\{\{<\s*include\s+(\S+?)\s*>\}\}\s*$")
_MORE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """The code of one file.

    Attributes
    ----------
    path : Path
    code : str
        R code; what is not R (text, chunks of other languages, YAML) is blank, so that each line keeps its number.
    lines : tuple of str
        The file's own lines.
    omitted : tuple of (int, str)
        Line and reason of the chunks that are not carried over.
    origins : tuple of (str, int)
        File and line of each line of the code, where other files stand in it (:func:`with_sourced`).
    """

    path: Path
    code: str
    lines: tuple[str, ...]
    omitted: tuple[tuple[int, str], ...] = ()
    origins: tuple[tuple[str, int], ...] = ()

    def statements(self) -> list[Node]:
        """The code's statements, each part with the line of the file that it stands in.

        Raises
        ------
        RSyntaxError
        """
        found = parse(self.code)
        if self.origins:
            for statement in found:
                for node in statement.walk():
                    node.line = self.origins[node.line - 1][1]
        return found

    def file(self, start: int) -> str:
        """The file that a place of the code is from; empty where it is the script itself."""
        if not self.origins:
            return ""
        name = self.origins[self.code.count("\n", 0, start)][0]
        return "" if name == self.path.name else name


def with_sourced(source: Source, depth: int = 5) -> Source:
    """The script with the files that it reads by ``source("helpers.R")``, each in the place of its call.

    Only calls at the top, on lines of their own, of files beside the script (or below), by a name that is written out;
    any other stays as it is.

    Parameters
    ----------
    source : Source
    depth : int
        How deep files may read files.

    Raises
    ------
    RSyntaxError
        The script is no R code.
    """
    lines = source.code.split("\n")
    origins = list(source.origins or ((source.path.name, k + 1) for k in range(len(lines))))
    changed, omitted = False, list(source.omitted)
    for node in reversed(parse(source.code)):
        inner = _sourced(source, node, depth)
        first, last = source.code.count("\n", 0, node.start), source.code.count("\n", 0, node.end)
        rest = re.sub(r"#.*", "", "\n".join(lines[first : last + 1]).replace(source.code[node.start : node.end], "", 1))
        if inner is None or rest.strip(" \t;"):
            continue
        code = inner.code.split("\n")
        lines[first : last + 1] = code
        origins[first : last + 1] = inner.origins
        omitted += [(node.line, f"{inner.origins[0][0]}, line {line}: {why}") for line, why in inner.omitted]
        changed = True
    if not changed:
        return source
    return replace(source, code="\n".join(lines), origins=tuple(origins), omitted=tuple(omitted))


def _sourced(source: Source, node: Node, depth: int) -> Source | None:
    """The file of a ``source()``, where it can stand in the call's place."""
    if node.kind != "call" or node.text != "source" or not depth or not node.args:
        return None
    value = next((one.value for one in node.args if one.name in (None, "file")), None)
    if value is None or value.kind != "string":
        return None
    home = source.path.resolve().parent
    try:
        path = (home / value.text).resolve()
    except (OSError, ValueError):  # no name of a file: NUL, half a character, too long
        return None
    if not path.is_relative_to(home) or path.suffix.lower() not in (".r", ".txt", ".rmd", ".qmd"):
        return None
    try:
        inner = read_source(path)
        # names of files within it are relative to the script's folder, where R runs
        inner = with_sourced(replace(inner, path=home / path.name), depth - 1)
    except (InputError, RSyntaxError, OSError):  # R says what is wrong with it
        return None
    name = path.relative_to(home).as_posix()
    origins = inner.origins or tuple((name, k + 1) for k in range(inner.code.count("\n") + 1))
    return replace(inner, origins=origins)


def read_source(path: str | Path) -> Source:
    """Read a script.

    Parameters
    ----------
    path : path
        ``.R``, ``.Rmd`` or ``.qmd``; another ending is taken for R code.

    Raises
    ------
    InputError
        There is no such file, it can't be read, it is not text, or no R code is in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}; expected an R script (.R, .Rmd, .qmd)")
    if path.stat().st_size > _MORE:
        raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB is no script; expected R code, .Rmd or .qmd")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from None
    if b"\0" in raw:
        raise InputError(f"{path}: not a text file (it holds NUL bytes); expected R code, .Rmd or .qmd")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    text = text.replace("\ue000", "").replace("\ue001", "")  # marks of our own (validation.migrate.translate)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = tuple(text.split("\n"))
    if path.suffix.lower() not in (".rmd", ".qmd"):
        return Source(path, text, lines)
    code, omitted = _chunks(lines)
    if not any(line.strip() for line in code):
        raise InputError(f"{path}: no R chunk found; expected chunks that begin with ```{{r}}")
    return Source(path, "\n".join(code), lines, tuple(omitted))


def _chunks(lines: tuple[str, ...]) -> tuple[list[str], list[tuple[int, str]]]:
    """The R code of a document, line by line, and the chunks that are none or are not run."""
    code, omitted = [""] * len(lines), []
    default = _header(lines, code)
    closing, reading, began = "", False, 0
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if closing:
            if fence and fence["head"] is None and not fence["info"].strip() and fence["ticks"].startswith(closing):
                closing = ""
                default = _default_of("\n".join(code[began:number]), default) if reading else default
                reading = False
            elif reading and not line.lstrip().startswith("#|"):
                code[number - 1] = line
            elif reading and (option := re.match(r"\s*#\|\s*eval\s*:\s*(.*?)\s*$", line)):
                if not _is_true(option[1]):
                    omitted.append((number, f"a chunk with eval: {option[1]}"))
                    reading = False
            elif reading and (child := _CHILD.search(line)):
                code[number - 1] = f'source("{child[1]}")'
        elif fence:
            closing, began = fence["ticks"], number
            reading, why = _is_run((fence["head"] or "").strip(), default)
            if why:
                omitted.append((number, why))
            elif reading and (child := _CHILD.search(fence["head"])):
                code[number - 1] = f'source("{child[1]}")'  # its chunks stand here (with_sourced)
        elif include := _INCLUDE.match(line):
            code[number - 1] = f'source("{include[1]}")'
        elif inline := [one for one in re.findall(_INLINE, line) if _is_code(one)]:
            code[number - 1] = "; ".join(inline)  # what the text shows of it is a value like any other
        elif re.search(_INLINE, line):
            omitted.append((number, "R code within the text, `r ...`, that is no R code"))
    return code, omitted


def _is_run(head: str, default: bool) -> tuple[bool, str]:
    """Whether a chunk of this head is R code that is run; why not, where it is a chunk."""
    engine = re.match(r"[\w.]+", head)
    if engine is None:
        return False, ""
    if engine[0].lower() != "r":
        return False, f"a chunk of {engine[0]}, not R"
    asked = re.search(r"\beval\s*=\s*([^,]+)", head)
    if asked is None:
        return default, "" if default else "a chunk that the document's options leave out (eval: false)"
    said = asked[1].strip()
    return _is_true(said), "" if _is_true(said) else f"a chunk with eval = {said}"


def _is_true(said: str) -> bool:
    return said.strip().lower() in ("true", "t", "yes", "on")


def _default_of(chunk: str, default: bool) -> bool:
    """Whether chunks are run after one that may set ``knitr::opts_chunk``."""
    found = re.search(r"opts_chunk\$set\([^)]*\beval\s*=\s*(\w+)", chunk)
    return _is_true(found[1]) if found else default


def _header(lines: tuple[str, ...], code: list[str]) -> bool:
    """Read a document's YAML: ``params:``, which become R's list of that name; whether chunks are run."""
    if not lines or lines[0].strip() != "---":
        return True
    end = next((k for k, line in enumerate(lines[1:], 1) if line.strip() in ("---", "...")), 0)
    within, given, default = "", [], True
    for k, line in enumerate(lines[1:end], 1):
        top = re.match(r"(\w+)\s*:", line)
        within = top[1] if top else within
        inner = re.match(r"\s+([\w.]+)\s*:\s*(.+?)\s*$", line)
        if top and within == "params":
            given.append(str(k))
        elif inner and within == "params":
            value = inner[2].strip("\"'")
            plain = re.fullmatch(r"-?\d+(\.\d+)?", inner[2]) or inner[2] in ("true", "false")
            quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            given.append(f"{inner[1]} = {value.upper() if plain else quoted}")
        elif inner and within == "execute" and inner[1] == "eval":
            default = _is_true(inner[2])
    if len(given) > 1:
        code[int(given[0])] = f"params <- list({', '.join(given[1:])})"
    return default


def _is_code(text: str) -> bool:
    try:
        return bool(parse(text))
    except RSyntaxError:
        return False
