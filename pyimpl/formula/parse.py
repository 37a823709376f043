"""R formulas as data: tokenizer, parser to an abstract syntax tree, and R's ``deparse``.

Nothing here is ever evaluated: a formula is data, not code to run. The grammar is the part of R's that formulas need
(R's ``gram.y``: operator precedence, backticks, unary operators, right-associative ``^``, ``2L`` and ``1e-3``, strings,
named arguments); everything else of R's grammar is refused by name.

Trees of formulas with thousands of terms are deep on their left side: ``((a + b) + c) + ...``. No function here or in
:mod:`pyimpl.formula.bars` and :mod:`pyimpl.formula.terms` calls itself along that side. Everything else can be no
deeper than R's own parser allows (:data:`MOST_NESTED`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from pyimpl.errors import FormulaError
from pyimpl.text.values import format_number, quote_name, quote_string
from r_scripts.escapes import visible

__all__ = [
    "MOST_NESTED",
    "Call",
    "Const",
    "Name",
    "Node",
    "Num",
    "Str",
    "all_names",
    "deparse",
    "deparse_lines",
    "fold",
    "parse",
    "variable_label",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol: the name of a column."""

    name: str


@dataclass(frozen=True, slots=True)
class Num:
    """A numeric constant; ``integer`` for ``2L``."""

    value: float
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Str:
    """A string constant."""

    value: str


@dataclass(frozen=True, slots=True)
class Const:
    """One of R's reserved constants: TRUE, FALSE, NULL, NA, Inf, NaN."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call: an operator (``+``, ``|``, ``(`` for parentheses) or a function, its arguments and their names."""

    fn: str
    args: "tuple[Node, ...]"
    names: tuple[str | None, ...] = ()
    # Where the call stands in the text, for error messages only.
    place: int = field(default=-1, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # once, from the parts': a tree's hash and equality must not take Python's stack where the tree is deep
        object.__setattr__(self, "_hash", hash((self.fn, self.args, self.names)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Call):
            return NotImplemented
        pairs: list[tuple[Node, Node]] = [(self, other)]
        while pairs:
            one, two = pairs.pop()
            if one is two:
                continue
            if not (isinstance(one, Call) and isinstance(two, Call)):
                if one != two:
                    return False
                continue
            if (one._hash, one.fn, one.names, len(one.args)) != (two._hash, two.fn, two.names, len(two.args)):
                return False
            pairs.extend(zip(one.args, two.args, strict=True))
        return True

    def named_args(self) -> "Iterator[tuple[str | None, Node]]":
        """Pairs of argument name (or None) and argument."""
        yield from zip(self.names or (None,) * len(self.args), self.args, strict=True)


Node = Name | Num | Str | Const | Call

#: How deep parentheses and calls may be nested: R's own limit (``CONTEXTSTACK_SIZE`` of its parser).
MOST_NESTED = 50
_MOST_OPERATORS = 200  # operators that wait for their right side: - - - x, 2^2^2


def walk(node: Node) -> "Iterator[Node]":
    """Every part of a tree, the whole first, then each argument's parts in order."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Call):
            waiting.extend(reversed(part.args))


T = TypeVar("T")


def fold(
    node: Node, combine: "Callable[[Node, tuple[T, ...]], T]", leaf: "Callable[[Node], bool]" = lambda node: False
) -> T:
    """Compute something of a tree from what was computed of its parts.

    Parameters
    ----------
    node : Node
    combine : callable
        Called with a part and the results of its arguments (none where it has no arguments, or is a leaf).
    leaf : callable, optional
        Whether a call's arguments are left alone.
    """
    results: list[T] = []
    waiting: list[tuple[Node, bool]] = [(node, False)]
    while waiting:
        part, ready = waiting.pop()
        if not isinstance(part, Call) or (not ready and leaf(part)):
            results.append(combine(part, ()))
        elif not ready:
            waiting.append((part, True))
            waiting.extend((arg, False) for arg in reversed(part.args))
        else:
            start = len(results) - len(part.args)
            mine = tuple(results[start:])
            del results[start:]
            results.append(combine(part, mine))
    return results[0]


# R's precedence (gram.y), loosest first. Right-associative: only ^; not associative: comparisons.
_BINARY: dict[str, int] = {
    "~": 4, "|": 5, "||": 5, "&": 6, "&&": 6,
    "==": 8, "!=": 8, "<": 8, ">": 8, "<=": 8, ">=": 8,
    "+": 9, "-": 9, "*": 10, "/": 10, ":": 12, "^": 14,
}  # fmt: skip
_SPECIAL = 11  # %in%, %% and every other %op%
_UNARY: dict[str, int] = {"~": 4, "!": 7, "+": 13, "-": 13}
_COMPARISON = 8
_NO_SPACES = frozenset({"/", "^", ":", "%%", "%/%"})
_CONSTANTS = frozenset({"TRUE", "FALSE", "NULL", "NA", "Inf", "NaN"})
_KEYWORDS = frozenset({"if", "else", "repeat", "while", "function", "for", "next", "break", "in"})
_KEYWORDS |= {"NA_integer_", "NA_real_", "NA_character_", "NA_complex_"}
_REFUSED = {
    "<-": "an assignment", "<<-": "an assignment", "->": "an assignment", "->>": "an assignment", ":=": "an assignment",
    "=": "an assignment", "?": "R's help operator", "$": "an extraction", "@": "an extraction", "[": "an extraction",
    "]": "an extraction", "::": "a name-space", ":::": "a name-space", "{": "a block of code", "}": "a block of code",
    "|>": "a pipe", "\\": "a function definition", ";": "a second expression",
}  # fmt: skip

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<number>0[xX][0-9a-fA-F]+L?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[Li]?)
      | (?P<name>(?:[^\W\d_]|\.(?!\d))[\w.]*)
      | (?P<backtick>`(?:[^`\\]|\\.)*`)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<op>%[^%\n]*%|<<-|->>|:::|<-|->|<=|>=|==|!=|\|\||\|>|&&|::|:=|\*\*|[-+*/^:~|&!<>=(),?$@\[\]{};\\])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u\{?([0-9a-fA-F]{1,4})\}?|U\{?([0-9a-fA-F]{1,8})\}?|([0-7]{1,3})|(.))", re.DOTALL
)
_SIMPLE_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_PLAIN_ESCAPES = frozenset("ntrabfv\\\"'` \n")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int


def _fail(text: str, place: int, problem: str, fix: str) -> FormulaError:
    """Make an error that shows the line of the formula with a caret under the place."""
    start = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place)
    line = text[start : end if end >= 0 else len(text)]
    blanks = " " * len(visible(line[: place - start]))
    return FormulaError(f"{problem}\n  {visible(line)}\n  {blanks}^\n{fix}")


def _unescape(text: str) -> str:
    """What R makes of the text between quotes or backticks."""

    def one(match: re.Match[str]) -> str:
        sixteen, eight, plain = match[1] or match[2] or match[3], match[4], match[5]
        if plain:
            if plain not in _PLAIN_ESCAPES:
                raise FormulaError(f"R knows no escape {match[0]!r} (in {text!r}). A backslash is written twice: \\\\.")
            return _SIMPLE_ESCAPES.get(plain, plain)
        code = int(sixteen, 16) if sixteen else int(eight, 8)
        if not 0 < code <= (0x10FFFF if sixteen else 0xFF) or 0xD800 <= code <= 0xDFFF:
            raise FormulaError(f"{match[0]!r} is no character that R can hold (in {text!r}). Rename the column.")
        return chr(code)

    return _ESCAPE.sub(one, text)


def _tokenize(text: str) -> list[_Token]:
    tokens = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            if text[place] in "\"'`":
                raise _fail(text, place, "The formula has an unclosed quote.", f"Close it with another {text[place]} .")
            if text[place] == "_":
                raise _fail(
                    text, place, "A name cannot start with '_' in R.", "Write the column's name in backticks: `_name`."
                )
            raise _fail(
                text,
                place,
                f"The formula has an unexpected {text[place]!r}.",
                "Names of this kind need backticks: `a b`.",
            )
        kind = match.lastgroup or ""
        if kind != "space":
            # R's lexer reads ** as ^
            tokens.append(_Token(kind, "^" if kind == "op" and match[0] == "**" else match[0], place))
        place = match.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


class _Parser:
    """A precedence-climbing parser; prefix operators take operands by their own precedence, as R's grammar does."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = _tokenize(text)
        self.at = 0
        self.depth = 0
        self.nested = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def unexpected(self, token: _Token) -> FormulaError:
        if token.kind == "end":
            opened = sum(t.text == "(" for t in self.tokens) - sum(t.text == ")" for t in self.tokens)
            fix = f"Close {opened} parenthesis." if opened > 0 else "Something is missing after the last operator."
            return _fail(self.text, token.place, "The formula ends too early.", fix)
        if token.text in _REFUSED:
            what = _REFUSED[token.text]
            return _fail(
                self.text,
                token.place,
                f"A model formula cannot contain {what} ({token.text!r}).",
                "Compute the column beforehand, e.g. data.assign(...), and name it in the formula.",
            )
        if token.text in _KEYWORDS:
            return _fail(
                self.text,
                token.place,
                f"{token.text!r} is a reserved word of R.",
                f"If it is the name of a column, write it in backticks: `{token.text}`.",
            )
        if token.text == ")":
            return _fail(self.text, token.place, "Unexpected ')'.", "Remove it, or open a parenthesis before it.")
        return _fail(
            self.text,
            token.place,
            f"Unexpected {token.text!r}.",
            "Put an operator (+, *, :, ...) between terms; names with spaces need backticks: `a b`.",
        )

    def parse(self) -> Node:
        node = self.expression(0)
        if self.now.kind != "end":
            raise self.unexpected(self.now)
        return node

    def expression(self, minimum: int) -> Node:
        self.depth += 1
        if self.depth - self.nested > _MOST_OPERATORS:
            raise _fail(
                self.text,
                self.now.place,
                f"More than {_MOST_OPERATORS} operators wait for their right side here.",
                "Simplify the formula.",
            )
        left = self.prefix()
        while True:
            token = self.now
            if token.kind != "op":
                break
            strength = _SPECIAL if token.text[0] == "%" else _BINARY.get(token.text, -1)
            if strength < 0 or strength < minimum:
                break
            self.take()
            right = self.expression(strength if token.text == "^" else strength + 1)
            left = Call(token.text, (left, right), place=token.place)
            if strength == _COMPARISON and _BINARY.get(self.now.text) == _COMPARISON:
                raise _fail(
                    self.text, self.now.place, "R does not chain comparisons.", "Write (a < b) & (b < c) instead."
                )
        self.depth -= 1
        return left

    def open(self, token: _Token) -> None:
        """Enter a parenthesis or a call's arguments."""
        self.nested += 1
        if self.nested > MOST_NESTED:
            raise _fail(
                self.text,
                token.place,
                f"The formula has more than {MOST_NESTED} parentheses within each other, which R does not read "
                "(contextstack overflow).",
                "Take out those that are not needed, or compute a column beforehand.",
            )

    def prefix(self) -> Node:
        token = self.take()
        if token.kind == "op" and token.text in _UNARY:
            operand = self.expression(_UNARY[token.text])
            return Call(token.text, (operand,), place=token.place)
        if token.text == "(" and token.kind == "op":
            self.open(token)
            inner = self.expression(0)
            if self.now.text != ")":
                raise self.unexpected(self.now)
            self.take()
            self.nested -= 1
            return self.suffix(Call("(", (inner,), place=token.place))
        if token.kind == "number":
            return self.suffix(self.number(token))
        if token.kind == "string":
            return self.suffix(Str(_unescape(token.text[1:-1])))
        if token.kind == "backtick":
            name = _unescape(token.text[1:-1])
            if not name:
                raise _fail(self.text, token.place, "A name in backticks is empty.", "Write the column's name in them.")
            return self.suffix(Name(name), token)
        if token.kind == "name" and token.text not in _KEYWORDS:
            return self.suffix(Const(token.text) if token.text in _CONSTANTS else Name(token.text), token)
        raise self.unexpected(token)

    def number(self, token: _Token) -> Num:
        text = token.text
        if text[-1] == "i":
            raise _fail(self.text, token.place, "Complex numbers cannot stand in a model formula.", "Use real numbers.")
        integer = text[-1] == "L"
        digits = text[:-1] if integer else text
        value = float(int(digits, 16)) if digits[:2] in ("0x", "0X") else float(digits)
        # R reads 1.5L as the double 1.5, with a warning.
        return Num(value, integer and value.is_integer())

    def suffix(self, node: Node, token: _Token | None = None) -> Node:
        if self.now.text != "(" or self.now.kind != "op":
            return node
        if not isinstance(node, Name) or token is None:
            raise _fail(
                self.text,
                self.now.place,
                f"{deparse(node)} is not a function.",
                "Put an operator before the parenthesis.",
            )
        self.open(self.take())
        args: list[Node] = []
        names: list[str | None] = []
        while self.now.text != ")":
            name = None
            following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
            if self.now.kind in ("name", "backtick", "string") and following.text == "=" and following.kind == "op":
                label = self.take()
                name = label.text if label.kind == "name" else _unescape(label.text[1:-1])
                self.take()
            if self.now.kind == "op" and self.now.text in (",", ")"):
                raise _fail(
                    self.text, self.now.place, f"An argument of {node.name}() is empty.", "Write it or remove it."
                )
            args.append(self.expression(0))
            names.append(name)
            if self.now.text == ",":
                self.take()
                if self.now.text == ")":
                    raise _fail(
                        self.text, self.now.place, f"An argument of {node.name}() is empty.", "Write it or remove it."
                    )
            elif self.now.text != ")":
                raise self.unexpected(self.now)
        self.take()
        self.nested -= 1
        call = Call(node.name, tuple(args), tuple(names) if any(names) else (), token.place)
        return self.suffix_of_call(call)

    def suffix_of_call(self, call: Call) -> Node:
        if self.now.kind == "op" and self.now.text == "(":
            raise _fail(self.text, self.now.place, f"{deparse(call)} is not a function.", "Put an operator before '('.")
        return call


def parse(text: str) -> Node:
    """Parse an R expression, usually a formula.

    Parameters
    ----------
    text : str
        ``"y ~ x + (1 | g)"``. Newlines are white space (R's ``str2lang`` would refuse a break before an operator).

    Returns
    -------
    Node
        The tree of R's ``str2lang(text)``: operators and parentheses are calls.

    Raises
    ------
    FormulaError
        With the place of the problem (a caret) and the fix.
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula must be a string such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    if not text.strip():
        raise FormulaError("The formula is empty. Write one such as 'y ~ x + (1 | g)'.")
    if "\0" in text:
        raise FormulaError(f"The formula {text!r} holds a NUL character, which R cannot hold. Rename the column.")
    return _parsed(text)


@lru_cache(maxsize=512)
def _parsed(text: str) -> Node:
    return _Parser(text).parse()


_TIGHTEST = 100


def _precedence(node: Node) -> int:
    if not isinstance(node, Call) or node.fn == "(":
        return _TIGHTEST
    if len(node.args) == 2 and not node.names:
        if node.fn in _BINARY:
            return _BINARY[node.fn]
        if node.fn[0] == "%":
            return _SPECIAL
    if len(node.args) == 1 and not node.names and node.fn in _UNARY:
        return _UNARY[node.fn]
    return _TIGHTEST


class _Writer:
    """R's ``deparse``: text in lines that break after an operator or comma once ``cutoff`` bytes are written."""

    def __init__(self, cutoff: float, simple: bool):
        self.cutoff = cutoff
        self.simple = simple
        self.lines: list[str] = []
        self.line: list[str] = []
        self.length = 0
        self.indent = 0

    def put(self, text: str) -> None:
        if not self.line and self.indent:
            tabs = "".join("    " if i < 4 else "  " for i in range(self.indent))
            self.line.append(tabs)
            self.length += len(tabs)
        self.line.append(text)
        self.length += len(text.encode())

    def break_line(self, broken: bool) -> bool:
        """Start a new line if this one is long; the first break of a call indents what follows."""
        if self.length <= self.cutoff:
            return broken
        if not broken:
            self.indent += 1
        self.lines.append("".join(self.line))
        self.line, self.length = [], 0
        return True

    def finish(self) -> list[str]:
        return [*self.lines, "".join(self.line)]

    def write(self, node: Node) -> None:
        """Write a tree: what is still to be written waits in a list, a text, a part of the tree or a step to take."""
        waiting: list[_Step] = [node]
        while waiting:
            step = waiting.pop()
            if isinstance(step, str):
                self.put(step)
            elif isinstance(step, Call):
                waiting.extend(reversed(self.steps(step)))
            elif isinstance(step, Name | Num | Str | Const):
                self.put(self.plain(step))
            else:
                step()

    def plain(self, node: "Name | Num | Str | Const") -> str:
        if isinstance(node, Name):
            return quote_name(node.name)
        if isinstance(node, Num):
            suffix = "" if self.simple else "L"
            return f"{int(node.value)}{suffix}" if node.integer else format_number(node.value)
        return quote_string(node.value) if isinstance(node, Str) else node.name

    def steps(self, node: Call) -> "list[_Step]":
        """What has to be written, in order, for a call."""
        if node.fn == "(":
            return ["(", node.args[0], ")"]
        return self.operator(node) if _precedence(node) < _TIGHTEST else self.call(node)

    def operator(self, node: Call) -> "list[_Step]":
        fn, args, own = node.fn, node.args, _precedence(node)
        if len(args) == 1:
            return [fn, *_parenthesised(args[0], _precedence(args[0]) < own)]
        rightward = fn == "^"
        left, right = _precedence(args[0]), _precedence(args[1])
        steps = _parenthesised(args[0], left < own or (rightward and left == own))
        place = _Break(self)
        if fn in _NO_SPACES:
            steps.append(fn)
        else:
            steps += [f" {fn} ", place.here]
        # A prefix operator as right operand takes no parentheses: 2^-1.
        unary = isinstance(args[1], Call) and len(args[1].args) == 1
        steps += _parenthesised(args[1], not unary and (right < own or (not rightward and right == own)))
        return [*steps, place.end]

    def call(self, node: Call) -> "list[_Step]":
        steps: list[_Step] = [f"{quote_name(node.fn)}("]
        place = _Break(self)
        for i, (name, arg) in enumerate(node.named_args()):
            if i:
                steps += [", ", place.here]
            if name is not None:
                steps.append(f"{quote_name(name)} = ")
            steps.append(arg)
        return [*steps, ")", place.end]


_Step = str | Node | Callable[[], None]


@dataclass
class _Break:
    """The places of one call where its line may break; the first break indents what follows, up to the call's end."""

    writer: _Writer
    broken: bool = False

    def here(self) -> None:
        self.broken = self.writer.break_line(self.broken)

    def end(self) -> None:
        self.writer.indent -= self.broken


def _parenthesised(node: Node, needed: bool) -> list[_Step]:
    return ["(", node, ")"] if needed else [node]


def deparse(node: Node, *, simple: bool = False) -> str:
    """Write a tree as R's ``deparse(node, width.cutoff = 500)`` does, on one line.

    Parentheses that the formula has are kept (they are calls); others are added only where a tree that lme4 builds
    needs them (``s:(h:g)`` for ``g/h/s``). With ``simple`` as ``terms.formula`` writes its labels: ``2`` for ``2L``.
    """
    writer = _Writer(float("inf"), simple)
    writer.write(node)
    return writer.finish()[0]


def deparse_lines(node: Node, width_cutoff: int = 60) -> list[str]:
    """Write a tree as R's ``deparse(node, width.cutoff)`` does, in lines (R prints a long formula so)."""
    writer = _Writer(width_cutoff, simple=False)
    writer.write(node)
    return writer.finish()


def variable_label(node: Node) -> str:
    """Name of a variable in R's model frame (``deparse2``): as :func:`deparse`, a lone symbol without backticks."""
    return node.name if isinstance(node, Name) else deparse(node)


def all_names(node: Node) -> tuple[str, ...]:
    """Every column name in a tree, in order, without repeats (``all.vars``)."""
    return tuple(dict.fromkeys(part.name for part in walk(node) if isinstance(part, Name)))
