"""R code as a tree, with the place of each part in the text. Nothing is evaluated here.

The grammar and the order of the operators are those of R's ``gram.y``. A script must be read where no R is, so R's own
parser can't be asked; the tests compare the two.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Argument", "Node", "RSyntaxError", "parse"]


class RSyntaxError(ValueError):
    """Text that R's grammar does not allow, or that ends too early."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass
class Argument:
    """One argument of a call or parameter of a function: ``name = value``, either of which may be missing."""

    name: str | None
    value: "Node | None"


@dataclass
class Node:
    """A part of the code.

    Attributes
    ----------
    kind : str
        ``number string constant name call index dollar unary binary assign block paren function if for while repeat
        word`` (``word``: ``break`` and ``next``).
    text : str
        The number's text, the string's value, the name, or the operator; of a call, the function's name where it has
        one.
    parts : list of Node
        Operands, in the text's order; of a call and an index, the function or the object.
    args : list of Argument
        Of a call, an index, a function.
    start, end : int
        Where it stands in the text.
    line : int
        Its first line, from 1.
    """

    kind: str
    text: str
    parts: "list[Node]" = field(default_factory=list)
    args: list[Argument] = field(default_factory=list)
    start: int = 0
    end: int = 0
    line: int = 1

    def walk(self) -> "Iterator[Node]":
        """All parts, this one first, in the text's order."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            children = [*node.parts, *(argument.value for argument in node.args if argument.value is not None)]
            waiting.extend(sorted(children, key=lambda one: one.start, reverse=True))


# Binding powers (left, right) of the binary operators, weakest first (gram.y).
_BINARY = {
    "?": (1, 2),
    "<-": (8, 7),
    "<<-": (8, 7),
    ":=": (8, 7),
    "=": (10, 9),
    "->": (11, 12),
    "->>": (11, 12),
    "~": (13, 14),
    "||": (15, 16),
    "|": (15, 16),
    "&&": (17, 18),
    "&": (17, 18),
    ">": (21, 22),
    ">=": (21, 22),
    "<": (21, 22),
    "<=": (21, 22),
    "==": (21, 22),
    "!=": (21, 22),
    "+": (23, 24),
    "-": (23, 24),
    "*": (25, 26),
    "/": (25, 26),
    "|>": (27, 28),  # and %any%
    ":": (29, 30),
    "^": (34, 33),
    "**": (34, 33),
}
_UNARY = {"?": 2, "~": 14, "!": 19, "-": 31, "+": 31}
_LOW = 3  # the body of a function, a loop, an `if`: everything but `?`
_CONSTANTS = {"TRUE", "FALSE", "NULL", "NA", "NA_integer_", "NA_real_", "NA_character_", "Inf", "NaN"}
_WORDS = {"function", "if", "else", "for", "while", "repeat", "break", "next", "in"}
_TOKEN = re.compile(
    r"""(?P<space>[ \t\f\r\u00a0]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<number>(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][+-]?[0-9]+)?
          |(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[Li]?)
      | (?P<raw>[rR](?P<quote>["'])(?P<dashes>-*)(?P<open>[\[({]))
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<quoted>`(?:[^`\\]|\\.)*`)
      | (?P<name>(?:[^\W\d_]|\.(?!\d))[\w.]*|_(?!\w))
      | (?P<special>%[^%\n]*%)
      | (?P<op><<-|->>|:::|\|>|<-|->|<=|>=|==|!=|&&|\|\||:=|::|\*\*|[-+*/^<>=!&|~?:$@(){}\[\],;\\])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass
class _Token:
    kind: str
    text: str
    start: int
    end: int
    line: int


def _unescape(body: str) -> str:
    def one(match: re.Match[str]) -> str:
        text = match[1]
        if text[0] in "xuU" and len(text) > 1:
            return chr(int(text[1:].strip("{}"), 16))
        if text[0].isdigit():
            return chr(int(text, 8))
        return _ESCAPES.get(text, text)

    return re.sub(r"\\(x[0-9a-fA-F]{1,2}|[uU]\{?[0-9a-fA-F]{1,8}\}?|[0-7]{1,3}|.)", one, body, flags=re.DOTALL)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise RSyntaxError(f"unexpected {text[at]!r}", line)
        kind, end, value = str(match.lastgroup), match.end(), match[0]
        if match["raw"]:
            closing = {"(": ")", "[": "]", "{": "}"}[match["open"]] + match["dashes"] + match["quote"]
            close = text.find(closing, end)
            if close < 0:
                raise RSyntaxError("a raw string that does not end", line)
            kind, value, end = "string", text[end:close], close + len(closing)
        elif kind == "string":
            value = _unescape(value[1:-1])
        elif kind == "quoted":
            kind, value = "name", _unescape(value[1:-1])
        elif kind == "name" and value in _WORDS:
            kind = "word"
        elif kind == "name" and value in _CONSTANTS:
            kind = "constant"
        if kind != "space":
            found.append(_Token(kind, value, at, end, line))
        line += text.count("\n", at, end)
        at = end
    found.append(_Token("end", "", len(text), len(text), line))
    return found


class _Parser:
    """A Pratt parser. ``newlines`` says whether a line's end ends an expression (not inside ``(`` and ``[``)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.newlines = [True]

    def peek(self) -> _Token:
        if not self.newlines[-1]:
            self.skip_lines()
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.peek()
        self.at += 1
        return token

    def skip_lines(self) -> None:
        while self.tokens[self.at].kind == "newline":
            self.at += 1

    def is_op(self, *texts: str) -> bool:
        token = self.peek()
        return token.kind == "op" and token.text in texts

    def expect(self, text: str) -> _Token:
        token = self.take()
        if token.text != text or token.kind not in ("op", "word"):
            shown = "the end of the script" if token.kind == "end" else repr(token.text)
            raise RSyntaxError(f"expected {text!r}, found {shown}", token.line)
        return token

    def node(self, kind: str, text: str, first: "Node | _Token", parts: list[Node] | None = None) -> Node:
        return Node(kind, text, parts or [], [], first.start, self.tokens[self.at - 1].end, first.line)

    # ------------------------------------------------------------------------------------------ statements

    def statements(self, closing: str) -> list[Node]:
        found: list[Node] = []
        while True:
            while self.tokens[self.at].kind == "newline" or self.is_op(";"):
                self.at += 1
            token = self.peek()
            if token.kind == "end" or (closing and token.kind == "op" and token.text == closing):
                return found
            found.append(self.expression(0))
            token = self.peek()
            if token.kind not in ("newline", "end") and not self.is_op(";", *([closing] if closing else [])):
                raise RSyntaxError(f"unexpected {token.text!r}", token.line)

    # ----------------------------------------------------------------------------------------- expressions

    def power(self, token: _Token) -> tuple[int, int] | None:
        if token.kind == "special":
            return _BINARY["|>"]
        return _BINARY.get(token.text) if token.kind == "op" else None

    def expression(self, least: int, equals: bool = True) -> Node:
        left = self.prefix()
        while True:
            token = self.peek()
            power = self.power(token)
            if power is None or power[0] < least or (token.text == "=" and not equals):
                return left
            self.at += 1
            self.skip_lines()
            right = self.expression(power[1], equals)
            op = token.text
            if op in ("->", "->>"):
                parts, op = [right, left], op
            else:
                parts = [left, right]
            kind = "assign" if op in ("<-", "<<-", "=", "->", "->>", ":=") else "binary"
            left = self.node(kind, op, left, parts)

    def prefix(self) -> Node:
        token = self.peek()
        if token.kind == "newline":
            self.skip_lines()
            token = self.peek()
        if token.kind == "op" and token.text in _UNARY:
            self.at += 1
            self.skip_lines()
            return self.node("unary", token.text, token, [self.expression(_UNARY[token.text])])
        if token.kind == "word" or (token.kind == "op" and token.text == "\\"):
            return self.keyword()
        return self.postfix(self.primary())

    def primary(self) -> Node:
        token = self.take()
        if token.kind in ("number", "string", "constant", "name"):
            return self.node(token.kind, token.text, token)
        if token.kind == "op" and token.text == "(":
            self.newlines.append(False)
            inner = self.expression(0)
            self.expect(")")
            self.newlines.pop()
            return self.node("paren", "(", token, [inner])
        if token.kind == "op" and token.text == "{":
            self.newlines.append(True)
            inside = self.statements("}")
            self.newlines.pop()
            self.expect("}")
            return self.node("block", "{", token, inside)
        shown = "the end of the script" if token.kind == "end" else repr(token.text)
        raise RSyntaxError(f"unexpected {shown}", token.line)

    def postfix(self, left: Node) -> Node:
        while True:
            token = self.peek()
            if token.kind != "op":
                return left
            if token.text == "(":
                self.at += 1
                args = self.arguments(")")
                name = left.text if left.kind in ("name", "string") or left.kind == "namespace" else ""
                left = self.node("call", name, left, [left])
                left.args = args
            elif token.text == "[":
                self.at += 1
                double = self.tokens[self.at].kind == "op" and self.tokens[self.at].text == "["
                double = double and self.tokens[self.at].start == token.end
                if double:
                    self.at += 1
                args = self.arguments("]")
                if double:
                    self.expect("]")
                left = self.node("index", "[[" if double else "[", left, [left])
                left.args = args
            elif token.text in ("$", "@", "::", ":::"):
                self.at += 1
                self.skip_lines()
                right = self.take()
                if right.kind == "op" and right.text == "(":
                    self.at -= 1
                    inner = self.primary()
                    left = self.node("dollar", token.text, left, [left, inner])
                    continue
                if right.kind not in ("name", "string", "constant", "word"):
                    raise RSyntaxError(f"unexpected {right.text!r} after {token.text}", right.line)
                if token.text in ("::", ":::"):
                    left = self.node("namespace", right.text, left, [left])
                else:
                    left = self.node("dollar", token.text, left, [left, self.node("name", right.text, right)])
            else:
                return left

    def arguments(self, closing: str) -> list[Argument]:
        self.newlines.append(False)
        found: list[Argument] = []
        while True:
            if self.is_op(closing):
                break
            if self.is_op(","):
                self.at += 1
                found.append(Argument(None, None))
                if self.is_op(closing):
                    found.append(Argument(None, None))
                continue
            found.append(self.argument(closing))
            if self.is_op(","):
                self.at += 1
                if self.is_op(closing):
                    found.append(Argument(None, None))
                continue
            if not self.is_op(closing):
                token = self.peek()
                raise RSyntaxError(f"expected ',' or '{closing}', found {token.text or 'the end'!r}", token.line)
        if found and found[-1] == Argument(None, None) and closing == ")":
            found.pop()
        self.newlines.pop()
        # the bracket is taken after the rule about newlines is as it was before
        self.skip_to(closing)
        return found

    def skip_to(self, closing: str) -> None:
        self.skip_lines()
        self.expect(closing)

    def argument(self, closing: str) -> Argument:
        token = self.peek()
        following = self.at + 1
        while self.tokens[following].kind == "newline":
            following += 1
        after = self.tokens[following]
        if token.kind in ("name", "string", "constant") and after.kind == "op" and after.text == "=":
            self.at = following + 1
            if self.is_op(",", closing):
                return Argument(token.text, None)
            return Argument(token.text, self.expression(0, equals=False))
        return Argument(None, self.expression(0, equals=False))

    # -------------------------------------------------------------------------------------------- keywords

    def keyword(self) -> Node:
        token = self.take()
        word = token.text
        if word in ("break", "next"):
            return self.node("word", word, token)
        if word in ("function", "\\"):
            self.expect("(")
            args = self.arguments(")")
            for one in args:  # parameters: a bare name is a name
                if one.name is None and one.value is not None:
                    one.name, one.value = one.value.text, None
            self.skip_lines()
            made = self.node("function", "function", token, [self.expression(_LOW)])
            made.end = made.parts[0].end
            made.args = args
            return made
        if word == "repeat":
            self.skip_lines()
            return self.node("repeat", word, token, [self.expression(_LOW)])
        if word == "for":
            self.expect("(")
            self.newlines.append(False)
            name = self.take()
            self.expect("in")
            values = self.expression(0)
            self.expect(")")
            self.newlines.pop()
            self.skip_lines()
            return self.node("for", name.text, token, [values, self.expression(_LOW)])
        if word in ("if", "while"):
            self.expect("(")
            self.newlines.append(False)
            condition = self.expression(0)
            self.expect(")")
            self.newlines.pop()
            self.skip_lines()
            parts = [condition, self.expression(_LOW)]
            if word == "if" and self.follows_else():
                self.take()
                self.skip_lines()
                parts.append(self.expression(_LOW))
            return self.node(word, word, token, parts)
        raise RSyntaxError(f"unexpected {word!r}", token.line)

    def follows_else(self) -> bool:
        """Whether ``else`` comes next; inside braces and brackets it may stand on a later line."""
        at = self.at
        if len(self.newlines) > 1:
            while self.tokens[at].kind == "newline":
                at += 1
        if self.tokens[at].kind == "word" and self.tokens[at].text == "else":
            self.at = at
            return True
        return False


def parse(text: str) -> list[Node]:
    """The statements of R code.

    Returns
    -------
    list of Node
        One for each expression at the top level, in order; ``start`` and ``end`` are places in ``text``.

    Raises
    ------
    RSyntaxError
        R's grammar does not allow the text.
    """
    alone = re.search("[\ud800-\udfff]", text)
    if alone is not None:
        raise RSyntaxError(
            "half of a character (a lone surrogate), which no file can hold", text.count("\n", 0, alone.start()) + 1
        )
    try:
        return _Parser(text).statements("")
    except RecursionError:
        raise RSyntaxError("code that is nested too deeply to be read", 1) from None
