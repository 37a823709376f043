"""What mkdocs does besides: tables with R's bar in code, roles and types of docstrings, read as they are meant."""

import html
import re
from typing import Any

import griffe
from griffe._internal.docstrings import numpy as numpydoc

_CODE = re.compile(r"`([^`]*)`")
_ROLE = re.compile(r":(?:func|meth|class|data|attr|mod|exc|ref):<code>~?([^<]*)</code>")


_read_as_code = numpydoc.parse_docstring_annotation


def _type_as_written(annotation: str, docstring: griffe.Docstring, **options: Any) -> str | griffe.Expr:
    """A docstring's type, which is words: as Python's code "array-like" would be a difference, a choice a set.

    A name alone is read as code, so that it becomes a link.
    """
    return _read_as_code(annotation, docstring, **options) if annotation.isidentifier() else annotation


numpydoc.parse_docstring_annotation = _type_as_written


def on_page_markdown(markdown: str, **_: Any) -> str:
    r"""Show ``\|`` within code of a table as GitHub does: as a bar."""
    lines = markdown.split("\n")
    return "\n".join(_CODE.sub(_code, line) if line.startswith("|") else line for line in lines)


def _code(span: "re.Match[str]") -> str:
    if r"\|" not in span[1]:
        return span[0]
    text = html.escape(span[1].replace(r"\|", "|"), quote=False).replace("|", "&#124;")
    return f"<code>{text}</code>"


def on_page_content(content: str, **_: Any) -> str:
    """Show Sphinx's roles, which docstrings have, as code; of a dotted name its last part."""
    return _ROLE.sub(lambda role: f"<code>{role[1].rpartition('.')[2]}</code>", content)
