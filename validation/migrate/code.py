"""What the translation makes: Python text with its value's kind, the names in a scope; R's matching of arguments."""

import builtins
import contextlib
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

import pyimpl
from validation.migrate.rcode import Argument, Node
from validation.migrate.watched import FITS

__all__ = [
    "CLOSE",
    "LABELLED",
    "OPEN",
    "Code",
    "Refused",
    "Scope",
    "Untranslatable",
    "as_slice",
    "distinct_names",
    "element_of",
    "in_order",
    "matched",
    "minus_one",
    "nested",
    "plus_one",
    "python_name",
    "quoted",
    "unmarked",
]

#: Around the Python text of a watched call: OPEN, the site's number, a semicolon, the text, CLOSE.
OPEN, CLOSE = "\ue000", "\ue001"
_TAKEN = {
    *keyword.kwlist,
    *FITS,
    *(name for name in dir(builtins) if not name.startswith("_")),
    *pyimpl.__all__,
    "np",
    "pd",
    "stats",
    "regex",
    "reduce",
    "combinations",
    "read",
    "Path",
    "DATA",
}
#: Names of R that would be one in Python (``a.b`` and ``a_b``), and what each is called: of the script that is written.
_DISTINCT: ContextVar[Mapping[str, str] | None] = ContextVar("distinct", default=None)
# kinds whose values are pandas objects with labels, so that R's [ ] is .iloc, .loc
LABELLED = {"series", "frame", "table", "data"}


def nested(one: "Code") -> str:
    """The kind of an element, with what it holds itself: ``dict<fit<lm``."""
    return one.kind + (f"<{one.element}" if one.element not in ("any", "column") else "")


def element_of(text: str, kind: str) -> "Code":
    """An element of a list: the opposite of :func:`nested`."""
    own, _, inner = kind.partition("<")
    return Code(text, own, True, inner or "any")


class Untranslatable(Exception):  # noqa: N818 - not an error of the program: what R said has no counterpart here
    """An R expression that is not carried over, and why."""


class Refused(Untranslatable):
    """An expression that asks for something that is not here, in whatever words."""


@dataclass(frozen=True)
class Code:
    """Python text and what its value is.

    Attributes
    ----------
    text : str
    kind : str
        ``fit number string vector positions strings series frame frames table data list dict formula none any
        function``; ``positions`` are R's, from 1.
    atom : bool
        Whether it needs no parentheses inside a larger expression.
    element : str
        Of a list or dict, the kind of its elements; ``column`` of a series that is a data frame's column, which in R is
        a vector without names.
    """

    text: str
    kind: str = "any"
    atom: bool = True
    element: str = "any"

    def inside(self) -> str:
        """The text, in parentheses where it needs them."""
        return self.text if self.atom else f"({self.text})"


@dataclass
class Scope:
    """Names and what they are; ``outer`` is where a name is looked for next.

    ``recorded`` is asked for names that no translated statement has made: it returns what the name was in R.
    """

    names: dict[str, Code] = field(default_factory=dict)
    outer: "Scope | None" = None
    recorded: Callable[[str], Code | None] | None = None

    def find(self, name: str) -> Code | None:
        """What a name stands for."""
        if name in self.names:
            return self.names[name]
        if self.outer is not None:
            return self.outer.find(name)
        return self.recorded(name) if self.recorded is not None else None


def python_name(name: str) -> str:
    """R's name as a name in Python: ``m.1`` is ``m_1``."""
    return (_DISTINCT.get() or {}).get(name) or _as_identifier(name)


def _as_identifier(name: str) -> str:
    text = re.sub(r"\W", "_", name.strip(".")) or "x"
    if not text.isidentifier():  # it begins with a digit; or it is of letters that Python does not take
        text = "x" + text
    if not text.isidentifier():
        text = re.sub(r"\W", "_", text, flags=re.ASCII)
    return text + "_" if text in _TAKEN else text


@contextlib.contextmanager
def distinct_names(names: Sequence[str]) -> Iterator[None]:
    """Let each name of a script have a name of its own in Python.

    Parameters
    ----------
    names : sequence of str
        R's, in the script's order: the first keeps what :func:`python_name` makes of it alone.
    """
    of: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = made = _as_identifier(name)
        k = 2
        while made in of:
            made, k = f"{plain}_{k}", k + 1
        of[made] = name
        if made != plain:
            renamed[name] = made
    token = _DISTINCT.set(renamed)
    try:
        yield
    finally:
        _DISTINCT.reset(token)


def quoted(text: str) -> str:
    """R's text as a string of Python's; what is no printable character is escaped, so that it can end no line."""
    escaped = {"\\": "\\\\", '"': '\\"'}
    inside = (
        escaped.get(one) or (one if one.isprintable() else one.encode("unicode_escape").decode("ascii")) for one in text
    )
    return '"' + "".join(inside) + '"'


def unmarked(text: str) -> str:
    """A text without the marks of watched calls: where it stands a second time, only the first is watched."""
    return re.sub(rf"{OPEN}\d+;|{CLOSE}", "", text)


def minus_one(code: Code) -> str:
    """R's index, from 1, as Python's, from 0."""
    if code.kind == "positions" and code.text.endswith(" + 1"):
        return code.text.removesuffix(" + 1")
    if re.fullmatch(r"int\(np\.arg(min|max)\(.*\)\) \+ 1", code.text):
        return code.text.removesuffix(" + 1")
    return str(int(code.text) - 1) if code.text.isdigit() else f"{code.inside()} - 1"


def plus_one(code: Code) -> str:
    """The end of a range that R includes."""
    return str(int(code.text) + 1) if code.text.isdigit() else f"{code.inside()} + 1"


def as_slice(text: str) -> str:
    """``range(a, b)`` over R's 1-based indices as a slice of Python's."""
    first, _, last = text.removeprefix("range(").removesuffix(")").partition(", ")
    start = str(int(first) - 1) if first.isdigit() else f"{first} - 1"
    end = (
        str(int(last) - 1) if last.isdigit() else last.removesuffix(" + 1") if last.endswith(" + 1") else f"{last} - 1"
    )
    return f"{start}:{end}"


def in_order(given: "Mapping[str, Node | None]", formals: tuple[str, ...]) -> "list[tuple[str, Node | None]]":
    """Arguments in the order of the formals; others after them, as they were given."""
    return sorted(given.items(), key=lambda item: formals.index(item[0]) if item[0] in formals else len(formals))


def matched(arguments: list[Argument], positions: tuple[str, ...]) -> "dict[str, Node | None]":
    """Arguments by the formals they go to, as R matches them: by name, by a name's beginning, then by place."""
    found: dict[str, Node | None] = {}
    for argument in arguments:
        if argument.name is not None:
            full = [one for one in positions if one.startswith(argument.name)]
            found[full[0] if len(full) == 1 else argument.name] = argument.value
    waiting = [one for one in positions if one not in found]
    for argument in arguments:
        if argument.name is None and argument.value is not None:
            if not waiting:
                raise Untranslatable("more arguments than are known")
            found[waiting.pop(0)] = argument.value
    return found
