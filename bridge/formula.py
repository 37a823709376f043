"""A formula is data, not code: what a model formula may say, checked before R sees any of it.

R evaluates whatever stands in a formula: ``y ~ x + system("ls")`` runs ``ls``. So a formula from a user is read here
first, token by token, against the one list of what a formula may say (``r_scripts/grammar.py``): operators, and
functions with the arguments that each may have. ``r_scripts/formula.R`` checks R's own parse tree against that list.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.errors import DataError, FormulaError
from r_scripts import grammar
from r_scripts.grammar import Kind

__all__ = ["CONSTANTS", "CONTRASTS", "FUNCTIONS", "SUMMARIES", "Formula", "check_columns", "parse", "r_symbol"]

#: Names of the functions that a formula may call.
FUNCTIONS = frozenset(grammar.FUNCTIONS)

#: Names of contrast functions, allowed in ``C()`` and as ``contrasts``.
CONTRASTS = frozenset(grammar.CONTRASTS)

#: What ``ave(x, g, FUN = )`` may be.
SUMMARIES = frozenset(grammar.SUMMARIES)

#: Words that are values, not columns.
CONSTANTS = frozenset(grammar.CONSTANTS)

_RESERVED = frozenset(grammar.RESERVED)
_KEYWORDS = _RESERVED - CONSTANTS
_CALLABLE = {**grammar.FUNCTIONS, **grammar.STRUCTURES}

#: Open parentheses within each other that a formula may have; R's own parser gives up at about fifty thousand.
_DEEPEST = 100

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)L?)
    | (?P<name>(?:[^\W\d_]|\.(?!\d))[\w.]*)
    | (?P<backtick>`(?:[^`\\]|\\.)*`)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<forbidden><<-|->>|<-|->|:::|::|:=|\|>|[$@{};\\?\[\]\#])
    | (?P<operator>%in%|%%|%/%|\*\*|\|\||&&|==|!=|<=|>=|[-+*/^:|~<>!&=,()])
    """,
    re.VERBOSE | re.DOTALL,
)

_WHY = {
    "<-": "an assignment in R (for “less than minus” write `x < -1`)",
    "<<-": "an assignment in R",
    "->": "an assignment in R",
    "->>": "an assignment in R",
    ":=": "an assignment",
    "::": "a reach into another package",
    ":::": "a reach into another package",
    "|>": "a pipe",
    "$": "a reach into another object; name the column itself",
    "@": "a reach into another object",
    "[": "indexing; make a column of it in the data frame first",
    "]": "indexing; make a column of it in the data frame first",
    "#": "a comment",
    "\\": "an anonymous function",
}


@dataclass(frozen=True)
class Formula:
    """A formula that passed the check.

    Attributes
    ----------
    text : str
        The formula on one line.
    response : str
        The left-hand side's text; empty for a one-sided formula.
    names : tuple of str
        The variables, in order of appearance; each must be a column of the data.
    functions : tuple of str
        The functions that it calls.
    dot : bool
        Whether ``.`` (all other columns) occurs.
    called : tuple of str
        Functions that stand without parentheses, for R to call (``ave(x, g, FUN = max)``).
    """

    text: str
    response: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    dot: bool
    called: tuple[str, ...] = ()


_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u(?:\{([0-9a-fA-F]{1,4})\}|([0-9a-fA-F]{1,4}))"
    r"|U(?:\{([0-9a-fA-F]{1,8})\}|([0-9a-fA-F]{1,8}))|(.))",
    re.DOTALL,
)
_SIMPLE_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int

    @property
    def value(self) -> str:
        """A name or a string without its quotes."""
        return _unquoted(self.text) if self.kind in ("backtick", "string") else self.text


def _unquoted(token: str) -> str:
    """What R makes of a quoted name or string."""

    def one(match: re.Match[str]) -> str:
        sixteen, eight, *unicode, plain = match.groups()
        digits = next((d for d in unicode if d), None) or sixteen
        code = int(digits, 16) if digits else int(eight, 8) if eight else None
        if code is None:
            if plain not in "ntrabfv\\\"'` \n":
                raise FormulaError(f"R knows no escape {match[0]!r} (in {token})")
            return _SIMPLE_ESCAPES.get(plain, plain)
        if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise FormulaError(f"{match[0]!r} is no character that R can hold (in {token})")
        return chr(code)

    return _ESCAPE.sub(one, token[1:-1])


def _tokens(text: str) -> tuple[list[_Token], str]:
    """The tokens, and the text on one line."""
    found: list[_Token] = []
    line: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or "\0" in match.group():
            raise FormulaError(
                f"the formula cannot be read at position {position + 1}: {text[position : position + 20]!r} "
                f"(in {text!r})"
            )
        kind = str(match.lastgroup)
        token = match.group()
        if kind == "forbidden":
            why = _WHY.get(token, "R code, not part of a model formula")
            raise FormulaError(f"{token!r} is not allowed in a formula: it is {why} (in {text!r})")
        if kind != "space":
            found.append(_Token(kind, token, position))
        line.append(" " if kind == "space" else token)
        position = match.end()
    return found, "".join(line).strip()


@dataclass(slots=True)
class _Open:
    """An open parenthesis: the function called, and where its arguments begin."""

    function: str | None
    starts: list[int]
    labels: list[str | None] = field(default_factory=lambda: [None])


class _Reader:
    """Reads a formula from left to right; what each call may have is checked where its parenthesis closes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens, self.line = _tokens(text)
        self.stack: list[_Open] = []
        self.columns: dict[int, str] = {}  # by token: the names that are columns
        self.functions: dict[str, None] = {}
        self.called: dict[str, None] = {}
        self.dot = False
        self.tilde: int | None = None

    def fail(self, problem: str) -> FormulaError:
        return FormulaError(f"{problem} (in {self.text!r})")

    def text_at(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def read(self) -> None:
        for index, token in enumerate(self.tokens):
            if token.kind in ("name", "backtick", "number", "string"):
                self.operand(index, token)
            elif token.text == "(":
                self.opened(index)
            elif token.text == ")":
                self.closed(index, token)
            elif token.text == "~":
                if self.stack:
                    raise self.fail("a '~' inside parentheses")
                if self.tilde is not None:
                    raise FormulaError(f"a formula has one '~', this one has more: {self.text!r}")
                self.tilde = token.place
            elif token.text == ",":
                if not self.stack or self.stack[-1].function is None:
                    raise self.fail("a ',' outside a function's arguments")
                self.stack[-1].starts.append(index + 1)
                self.stack[-1].labels.append(None)
            elif token.text == "=":
                self.label(index)
        if self.stack:
            raise self.fail(f"{len(self.stack)} '(' without ')'")

    def operand(self, index: int, token: _Token) -> None:
        before = self.tokens[index - 1] if index else None
        if token.kind == "name" and token.text in _KEYWORDS:
            raise self.fail(f"{token.text!r} is R code and not allowed in a formula")
        calls = self.text_at(index + 1) == "("
        if token.kind == "string" and all(level.function is None for level in self.stack):
            raise self.fail(f"the string {token.text} may only be an argument of a function")
        if token.kind in ("number", "string") and calls:
            raise self.fail(f"{token.text} is not a function")
        name = token.value
        if token.kind == "backtick" and not name:
            raise self.fail(f"empty backticks at position {token.place + 1}")
        if not name.isascii() and set(name) & set(grammar.INERT_SYMBOLS):
            raise self.fail("the formula holds a symbol of Byzantine musical notation, which the bridge needs itself")
        if calls:
            self.function(name, token)
        elif token.kind in ("name", "backtick") and name == ".":  # to R one symbol: it expands either
            self.dot = True
        elif token.kind == "backtick" or (token.kind == "name" and name not in CONSTANTS):
            self.columns[index] = name
        if before is not None and (before.kind in ("name", "backtick", "number", "string") or before.text == ")"):
            raise self.fail(f"an operator is missing before {token.text!r}")

    def function(self, name: str, token: _Token) -> None:
        if name not in _CALLABLE or token.kind == "backtick":
            near = difflib.get_close_matches(name, FUNCTIONS, n=1, cutoff=0.8)
            raise FormulaError(
                f"the function {name!r} is not allowed in a formula"
                + (f" (did you mean {near[0]!r}?)" if near else "")
                + f". Allowed are: {', '.join(sorted(FUNCTIONS))}. For anything else, make a column first "
                f"(in {self.text!r})"
            )
        if name in grammar.STRUCTURES and any(level.function is not None for level in self.stack):
            raise self.fail(f"{name}() is a covariance structure of random effects and stands inside no function")
        self.functions[name] = None

    def opened(self, index: int) -> None:
        before = self.tokens[index - 1] if index else None
        if before is not None and before.text == ")":
            raise self.fail("')(' calls the result of an expression, which is not allowed")
        function = before.value if before is not None and before.kind in ("name", "backtick") else None
        if function is None and self.text_at(index + 1) == ")":
            raise self.fail(f"empty parentheses at position {self.tokens[index].place + 1}")
        if len(self.stack) >= _DEEPEST:
            raise self.fail(f"more than {_DEEPEST} parentheses within each other")
        self.stack.append(_Open(function, [index + 1]))

    def label(self, index: int) -> None:
        level = self.stack[-1] if self.stack else None
        named = self.tokens[index - 1] if index else None
        if (
            level is None
            or level.function is None
            or named is None
            or named.kind not in ("name", "backtick")
            or level.starts[-1] != index - 1
        ):
            raise self.fail("'=' may only name an argument of a function")
        self.columns.pop(index - 1, None)
        level.labels[-1] = named.value
        level.starts[-1] = index + 1

    def closed(self, index: int, token: _Token) -> None:
        if not self.stack:
            raise self.fail(f"a ')' at position {token.place + 1} has no '('")
        level = self.stack.pop()
        if level.function is None:
            return
        if level.starts == [index]:
            raise self.fail(f"{level.function}() has no argument")
        try:
            kinds = _CALLABLE[level.function].matched(tuple(level.labels))
        except ValueError as error:
            raise self.fail(str(error)) from None
        ends = [*(start - 1 for start in level.starts[1:]), index]
        for place, (kind, start, label) in enumerate(zip(kinds, level.starts, level.labels, strict=True)):
            # a further argument's name stands before its value
            end = ends[place] if place == len(ends) - 1 else ends[place] - (2 if level.labels[place + 1] else 0)
            if start >= end:
                raise self.fail(f"an empty argument in {level.function}()")
            self.argument(level.function, label, kind, start, end)

    def argument(self, function: str, label: str | None, kind: Kind, start: int, end: int) -> None:
        tokens = self.tokens[start:end]
        shown = f"{function}({label + ' = ' if label else ''}{' '.join(token.text for token in tokens)})"
        alone = tokens[0] if len(tokens) == 1 else None
        if kind is Kind.SUMMARY:
            if alone is None or alone.kind != "name" or alone.text not in SUMMARIES:
                raise self.fail(f"{shown}: R would call it; it may be one of {', '.join(sorted(SUMMARIES))}")
            self.columns.pop(start, None)
            self.called[alone.text] = None
        elif (
            kind is Kind.CONTRAST
            and alone is not None
            and alone.kind in ("name", "string")
            and alone.text not in CONSTANTS
        ):
            bare = alone.kind == "name"
            known = CONTRASTS.union(grammar.SHORT_CONTRASTS if bare else ())
            if alone.value not in known or "\\" in alone.text:
                raise self.fail(f"{shown}: R would call it; it may be numbers or one of {', '.join(sorted(CONTRASTS))}")
            self.columns.pop(start, None)
            if bare and alone.text in CONTRASTS:
                self.called[alone.text] = None
        elif kind is Kind.BAR:
            if not any(token.text in ("|", "||") for token in tokens):
                raise self.fail(f"{shown}: a covariance structure stands around a term such as 1 + x | g")
        elif kind is not Kind.VALUE:
            self.literal(shown, Kind.LITERAL if kind is Kind.LITERAL else Kind.NUMBERS, start, end)

    def literal(self, shown: str, kind: Kind, start: int, end: int) -> None:
        operators = {*grammar.LITERAL_OPERATORS, ")", ",", "=", "**"}
        for index in range(start, end):
            token = self.tokens[index]
            calls = self.text_at(index + 1) == "("
            names = self.text_at(index + 1) == "="
            if token.kind in ("name", "backtick"):
                good = token.text in (grammar.LITERAL_FUNCTIONS if calls else CONSTANTS) or names
            elif token.kind == "string":
                good = kind is not Kind.NUMBERS
            else:
                good = token.kind == "number" or token.text in operators
            if not good:
                what = "numbers" if kind is Kind.NUMBERS else "constants"
                raise self.fail(f"{shown}: only {what} may stand there, not {token.text}")


def parse(text: str, *, require_response: bool = True) -> Formula:
    """Check a formula and take it apart.

    Parameters
    ----------
    text : str
        An R model formula.
    require_response : bool
        Whether a left-hand side is needed.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        Not a formula, malformed, or something in it is not allowed; names what and where.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a string such as 'y ~ x + (1 | g)', not a {type(text).__name__}")
    if not text.strip():
        raise FormulaError("the formula is empty; expected something like 'y ~ x + (1 | g)'")
    reader = _Reader(text)
    reader.read()
    if reader.tilde is None:
        raise FormulaError(f"a formula has a '~' between response and predictors; there is none in {text!r}")
    response, right = text[: reader.tilde].strip(), text[reader.tilde + 1 :].strip()
    if not right:
        raise FormulaError(f"nothing stands right of '~' (in {text!r})")
    if require_response and not response:
        raise FormulaError(f"no response left of '~' (in {text!r})")
    _check_operators(reader.tokens, text)
    return Formula(
        reader.line,
        " ".join(response.split()),
        tuple(dict.fromkeys(reader.columns.values())),
        tuple(reader.functions),
        reader.dot,
        tuple(reader.called),
    )


def _check_operators(tokens: list[_Token], text: str) -> None:
    """Refuse a binary operator without one of its sides."""
    unary = {"+", "-", "!", "~"}
    for index, token in enumerate(tokens):
        if token.kind != "operator" or token.text in ("(", ")", ",", "="):
            continue
        place = token.place + 1
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if following is None or (following.kind == "operator" and following.text not in unary | {"("}):
            found = following.text if following else "the end"
            raise FormulaError(f"nothing stands between {token.text!r} and {found!r} at position {place} (in {text!r})")
        previous = tokens[index - 1] if index else None
        opens = previous is None or (previous.kind == "operator" and previous.text != ")")
        if token.text == "!" and not opens:
            raise FormulaError(f"an operator is missing before '!' at position {place} (in {text!r})")
        if opens and token.text not in unary:
            raise FormulaError(f"nothing stands left of {token.text!r} at position {place} (in {text!r})")


def check_columns(formula: Formula, columns: Iterable[object]) -> None:
    """Refuse a formula that names what is not a column, or a function that the column of that name would hide.

    Parameters
    ----------
    formula : Formula
    columns : iterable
        The data's column names.

    Raises
    ------
    DataError
        Names each absent column and close matches among the columns that are there.
    """
    present = [str(column) for column in columns]
    hidden = [name for name in formula.called if name in present]
    if hidden:
        raise DataError(
            f"the formula {formula.text!r} means R's function {hidden[0]!r}, but the data have a column of that name, "
            "which R would take instead; rename the column"
        )
    absent = [name for name in formula.names if name not in present]
    if not absent:
        return
    parts = []
    folded = {name.casefold(): name for name in present}
    for name in absent:
        near = difflib.get_close_matches(name, present, n=3, cutoff=0.6)
        if not near and name.casefold() in folded:
            near = [folded[name.casefold()]]
        parts.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
    shown = ", ".join(present[:30]) + (", ..." if len(present) > 30 else "")
    raise DataError(
        f"the formula {formula.text!r} names {', '.join(parts)}, but the data have no such column. Columns: {shown}"
    )


def r_symbol(name: object, what: str = "data_name") -> str:
    """Return ``name`` if it is a syntactic R name, which may stand in a call.

    Parameters
    ----------
    name : object
    what : str
        What the name is for, in the error.

    Raises
    ------
    DataError
    """
    text = str(name)
    if not isinstance(name, str) or not re.fullmatch(r"(?:[^\W\d_]|\.(?!\d))[\w.]*", text) or text in _RESERVED:
        raise DataError(
            f"{what}={name!r} is not a name in R: it starts with a letter and holds letters, digits, '.' and '_'"
        )
    return text
