"""Functions of a formula that work on text: ``paste``, ``nchar``, ``substr``, ``toupper``, ..."""

from collections.abc import Callable, Mapping

import numpy as np

from pyimpl.errors import FormulaError
from pyimpl.formula.parse import Call, Const, Node, deparse
from pyimpl.frame.column_types import strings
from pyimpl.frame.columns import Column, Factor, Logical, Numeric, as_factor
from pyimpl.frame.expressions import Expressions, FormulaFunction
from pyimpl.text.numbers import display_width

__all__ = ["TEXT_FUNCTIONS"]

#: What ``nchar`` counts, by its argument ``type``.
_COUNTED: dict[str, Callable[[str], int]] = {
    "chars": len,
    "bytes": lambda text: len(text.encode()),
    "width": display_width,
}


def _strings(e: Expressions, node: Node, caller: Node) -> Factor:
    """Whatever has labels as strings (``as.character``)."""
    value = e.value(node)
    if isinstance(value, Numeric) and value.array.ndim == 2:
        raise FormulaError(f"{deparse(caller)}: {deparse(node)} is a matrix, which has no texts.")
    return as_factor(value)


def _paste(e: Expressions, node: Call) -> Column:
    """``paste(..., sep)`` and ``paste0(...)``: texts of each row put together; a missing value is the text NA."""
    several, named = e.several(node, "sep", "collapse")
    if "collapse" in named and named["collapse"] != Const("NULL"):
        raise FormulaError(f"{deparse(node)}: with collapse it is one text for all rows. Leave collapse out.")
    sep = e.labels(named["sep"], node) if "sep" in named else ["" if node.fn == "paste0" else " "]
    if len(sep) != 1 or (node.fn == "paste0" and "sep" in named):
        raise FormulaError(f"{deparse(node)}: sep is one text, of paste() alone.")
    parts = [_strings(e, arg, node) for arg in several]
    longest = max(len(part) for part in parts)
    if any(len(part) not in (1, longest) for part in parts):
        raise FormulaError(f"{deparse(node)}: the texts have {', '.join(str(len(part)) for part in parts)} values.")
    labels, codes = [""], np.zeros(longest, dtype=np.intp)
    for i, part in enumerate(parts):
        own = [*part.levels, "NA"]
        joined = codes * len(own) + np.broadcast_to(np.where(part.codes < 0, len(own) - 1, part.codes), longest)
        present, codes = np.unique(joined, return_inverse=True)
        labels = [labels[k // len(own)] + (sep[0] if i else "") + own[k % len(own)] for k in present.tolist()]
    return strings(labels, codes)


def _nchar(e: Expressions, node: Call) -> Column:
    """``nchar(x, type)``: of a missing value of text it is missing."""
    bound = e.match(node, "x", "type")
    given = e.value(bound["x"])
    if isinstance(given, Factor) and not given.text:
        raise FormulaError(
            f"{deparse(node)}: nchar() requires a character vector, not a factor. Write "
            f"nchar(as.character({deparse(bound['x'])}))."
        )
    kinds = e.labels(bound["type"], node) if "type" in bound else ["chars"]
    fits = [name for name in _COUNTED if len(kinds) == 1 and kinds[0] and name.startswith(kinds[0])]
    if len(fits) != 1:
        raise FormulaError(f"{deparse(node)}: type is one of {', '.join(_COUNTED)}.")
    texts = _strings(e, bound["x"], node)
    missing = 2.0 if fits[0] == "bytes" or not isinstance(given, Factor) else np.nan
    counts = np.array([*(float(_COUNTED[fits[0]](level)) for level in texts.levels), missing])
    return Numeric(counts[texts.codes], kind="integer")


def _substr(e: Expressions, node: Call) -> Column:
    """``substr(x, start, stop)`` and ``substring(text, first, last)``: places are counted from 1."""
    names = ("x", "start", "stop") if node.fn == "substr" else ("text", "first", "last")
    bound = e.match(node, *names)
    if names[1] not in bound or (node.fn == "substr" and names[2] not in bound):
        raise FormulaError(f"{deparse(node)}: {node.fn}() needs {', '.join(names)}.")
    texts = _strings(e, bound[names[0]], node)
    ends = [e.numbers(bound[name], node).array if name in bound else np.array([1e6]) for name in names[1:]]
    if any(end.ndim != 1 or len(end) not in (1, len(texts)) for end in ends):
        raise FormulaError(f"{deparse(node)}: {names[1]} and {names[2]} are one number each, or one for each row.")
    rows = np.stack([texts.codes, *(np.broadcast_to(np.trunc(end), len(texts)) for end in ends)], axis=1)
    distinct, codes = np.unique(rows, axis=0, return_inverse=True)  # NaN equals NaN here
    cut: list[str] = []
    known = np.ones(len(distinct), dtype=bool)
    for i, (level, first, last) in enumerate(distinct.tolist()):
        known[i] = level >= 0 and first == first and last == last
        cut.append(texts.levels[int(level)][max(int(first), 1) - 1 : max(int(last), 0)] if known[i] else "")
    codes = codes.ravel()
    return strings(cut, np.where(known[codes], codes, -1))


def _change_case(e: Expressions, node: Call) -> Column:
    texts = _strings(e, e.match(node, "x")["x"], node)
    change = str.upper if node.fn == "toupper" else str.lower
    # R changes letter by letter: a letter that would become two stays
    labels = ["".join(new if len(new := change(c)) == 1 else c for c in level) for level in texts.levels]
    return strings(labels, texts.codes)


def _begins_or_ends(e: Expressions, node: Call) -> Column:
    """``startsWith(x, prefix)`` and ``endsWith(x, suffix)``, with one prefix or suffix."""
    part = "prefix" if node.fn == "startsWith" else "suffix"
    bound = e.match(node, "x", part)
    given = e.value(bound["x"])
    wanted = e.labels(bound[part], node) if part in bound else []
    if not isinstance(given, Factor) or not given.text or len(wanted) != 1:
        raise FormulaError(f"{deparse(node)}: {node.fn}() needs strings, and one {part}.")
    has = str.startswith if node.fn == "startsWith" else str.endswith
    return Logical(np.array([*(float(has(level, wanted[0])) for level in given.levels), np.nan])[given.codes])


#: Name -> function.
TEXT_FUNCTIONS: Mapping[str, FormulaFunction] = {
    "paste": _paste,
    "paste0": _paste,
    "nchar": _nchar,
    "substr": _substr,
    "substring": _substr,
    "toupper": _change_case,
    "tolower": _change_case,
    "startsWith": _begins_or_ends,
    "endsWith": _begins_or_ends,
}
