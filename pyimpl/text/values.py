"""How R writes numbers, strings and names: ``as.character`` and ``deparse`` of single values."""

import re
from collections.abc import Sequence

import numpy as np

from r_scripts.escapes import encode_string

__all__ = [
    "format_integer",
    "format_number",
    "is_syntactic",
    "quote_name",
    "quote_string",
    "sorted_text",
    "unique_numbers",
]

_RESERVED = frozenset(
    [
        "if",
        "else",
        "repeat",
        "while",
        "function",
        "for",
        "next",
        "break",
        "TRUE",
        "FALSE",
        "NULL",
        "Inf",
        "NaN",
        "NA",
        "NA_integer_",
        "NA_real_",
        "NA_character_",
        "NA_complex_",
        "in",
    ]
)
# A letter, or a dot that no digit follows; then letters, digits, dots, underscores (R's `make.names`).
_SYNTACTIC = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*\Z")


def format_number(value: float) -> str:
    """Write a double as R's ``as.character`` and ``deparse`` do: at most 15 significant digits.

    Fixed notation unless scientific is shorter (``options(scipen = 0)``): ``1e+05`` but ``123456``, ``1e-04`` but
    ``0.00012``.
    """
    value = float(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{abs(value):.14e}".split("e")
    exponent = int(exponent_text)
    digits = mantissa.replace(".", "").rstrip("0")
    significant = len(digits)
    decimals = max(0, significant - 1 - exponent)
    fixed_width = max(exponent, 0) + 1 + (decimals + 1 if decimals else 0)
    scientific_width = significant + (1 if significant > 1 else 0) + (4 if abs(exponent) < 100 else 5)
    sign = "-" if value < 0 else ""
    if fixed_width <= scientific_width:
        return f"{sign}{abs(value):.{decimals}f}"
    mantissa = digits[0] + ("." + digits[1:] if significant > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def format_integer(value: float) -> str:
    """Write an integer as R's ``as.character`` does."""
    return str(int(value))


def unique_numbers(labels: list[str]) -> tuple[list[str], np.ndarray]:
    """Merge equal labels, keeping the first place: the labels, and the new position of each old one."""
    seen: dict[str, int] = {}
    where = np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.intp)
    return list(seen), where


def is_syntactic(name: str) -> bool:
    """Whether R reads ``name`` as a name without backticks."""
    return name not in _RESERVED and _SYNTACTIC.match(name) is not None


def quote_name(name: str) -> str:
    """Write a symbol as ``deparse`` does inside a call: backticks where it is not syntactic."""
    if is_syntactic(name):
        return name
    return f"`{encode_string(name, '`')}`"


def quote_string(text: str) -> str:
    """Write a string constant as ``deparse`` does: in double quotes, escaped."""
    return f'"{encode_string(text, chr(34))}"'


def sorted_text(labels: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Sort distinct strings by code point (R's order in the C locale): sorted, and the new position of each old one."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    rank = np.empty(len(labels), dtype=np.intp)
    rank[order] = np.arange(len(labels))
    return tuple(labels[i] for i in order), rank
