"""An R script, or the R chunks of an Rmd or qmd file, as code that keeps the file's line numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

from validation.errors import InputError

__all__ = ["Source", "read_source"]

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})[ \t]*(?:\{(?P<head>[^}]*)\})?[ \t]*$")
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
    """

    path: Path
    code: str
    lines: tuple[str, ...]
    omitted: tuple[tuple[int, str], ...] = ()


def read_source(path: str | Path) -> Source:
    """Read a script.

    Parameters
    ----------
    path : path
        ``.R``, ``.Rmd`` or ``.qmd``; another ending is taken for R code.

    Returns
    -------
    Source

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
    code, omitted = [""] * len(lines), []
    closing, reading = "", False
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if closing:
            if fence and fence["head"] is None and fence["ticks"].startswith(closing):
                closing, reading = "", False
            elif reading and not line.lstrip().startswith("#|"):
                code[number - 1] = line
            elif reading and re.match(r"\s*#\|\s*eval:\s*false", line):
                omitted.append((number, "a chunk with eval: false"))
                reading = False
        elif fence:
            closing = fence["ticks"]
            head = (fence["head"] or "").strip()
            engine = re.match(r"[\w.]+", head)
            reading = bool(engine) and engine[0].lower() == "r"  # type: ignore[index]
            if reading and re.search(r"eval\s*=\s*(FALSE|F)\b", head):
                omitted.append((number, "a chunk with eval = FALSE"))
                reading = False
            elif engine and not reading:
                omitted.append((number, f"a chunk of {engine[0]}, not R"))
    return code, omitted
