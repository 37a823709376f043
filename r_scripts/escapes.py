r"""Characters that a terminal would obey, written out: text from people's data stays text.

A column's name, a level or a formula may hold control characters. Printed as they are, they move the cursor, change
the colours or the title of the window, or hide what follows. R writes them out (``\033``, ``\n``) wherever it prints
a matrix or deparses; so do these, and every error and every line of the command goes through them.
"""

import re
import unicodedata

__all__ = ["VisibleText", "encode_string", "visible"]

_SHORT = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", "\a": "\\a", "\b": "\\b", "\f": "\\f"}
_SHORT["\v"] = "\\v"
#: Categories that the C library's ``iswprint`` does not call printable: controls, surrogates, unassigned, separators.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
#: Characters that turn the direction of the text around them: R prints them, a terminal shows another text.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ANY = re.compile(r"[^ -\[\]-~]")  # backslash and everything but the rest of printable ASCII


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x80:
        return f"\\{code:03o}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def encode_string(text: str, quote: str = "") -> str:
    """``encodeString(text)``: what R prints for a string in a matrix, as a name, or in a call.

    Parameters
    ----------
    text : str
    quote : str
        A character to be escaped too; it is not put around the text.
    """
    if text.isprintable() and "\\" not in text and (not quote or quote not in text):
        return text

    def one(match: re.Match[str]) -> str:
        character = match[0]
        unprintable = character == "\\" or unicodedata.category(character) in _UNPRINTABLE
        return _escape(character) if unprintable else character

    out = _ANY.sub(one, text)
    return out.replace(quote, f"\\{quote}") if quote else out


def visible(text: str) -> str:
    """Text for a terminal: all that it would obey is written out, but for ends of lines and tabs.

    Parameters
    ----------
    text : str
    """
    if text.isprintable():
        return text

    def one(match: re.Match[str]) -> str:
        character = match[0]
        if character in "\n\t\\":
            return character
        obeyed = character in _TURNING or unicodedata.category(character) in _UNPRINTABLE
        return _escape(character) if obeyed else character

    return _ANY.sub(one, text)


class VisibleText(Exception):  # noqa: N818 - of warnings, too
    """Base of errors and warnings whose text may hold people's data: a traceback shows it, and nothing obeys it."""

    def __str__(self) -> str:
        return visible(super().__str__())
