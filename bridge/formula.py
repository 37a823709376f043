"""A formula is data, not code: what a model formula may say, checked before R sees any of it.

R evaluates whatever stands in a formula: ``y ~ x + system("ls")`` runs ``ls``. So a formula from a user is read here
first, token by token, against a list of operators and of functions without side effects (:data:`FUNCTIONS`). A second
check, of R's own parse tree, stands in ``r_scripts/formula.R``.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.errors import DataError, FormulaError

__all__ = ["CONSTANTS", "CONTRASTS", "FUNCTIONS", "SUMMARIES", "Formula", "check_columns", "parse", "r_symbol"]

#: Functions that a formula may call: none has side effects, none evaluates text.
FUNCTIONS = frozenset(
    """
    I abs acos as.character as.double as.factor as.integer as.logical as.numeric asin atan ave bs c C cbind ceiling cos
    cosh cut dummy droplevels exp expm1 factor floor ifelse interaction is.na log log10 log1p log2 logb max mean median
    min nchar ns offset ordered pmax pmin poly quantile rank relevel rev round scale sd seq sign signif sin sinh sqrt
    sum tan tanh trunc var
    """.split()  # noqa: SIM905 - one word a name reads best
)

#: Names of contrast functions, allowed inside ``C()``.
CONTRASTS = frozenset({"contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.SAS"})

#: What ``ave(x, g, FUN = )`` may be.
SUMMARIES = frozenset({"max", "mean", "median", "min", "sd", "sum", "var"})

#: Words that are values, not columns.
CONSTANTS = frozenset({"TRUE", "FALSE", "NA", "NULL", "Inf", "NaN"})

_KEYWORDS = frozenset({"function", "if", "else", "for", "while", "repeat", "break", "next", "in"})
_RESERVED = _KEYWORDS | CONSTANTS | {"NA_integer_", "NA_real_", "NA_character_", "NA_complex_"}

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[Li]?)
    | (?P<name>(?:[^\W\d_]|\.(?!\d))[\w.]*)
    | (?P<backtick>`(?:[^`\\]|\\.)*`)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<forbidden><<-|->>|<-|->|:::|::|:=|\|>|[$@{};\\?\[\]\#])
    | (?P<operator>%in%|%%|%/%|\*\*|\|\||&&|==|!=|<=|>=|[-+*/^:|~<>!&=,()])
    """,
    re.VERBOSE,
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
    """

    text: str
    response: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    dot: bool


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
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
            found.append((kind, token, position))
        position = match.end()
    return found


def _unquote(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])


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
    tokens = _tokens(text)
    names: dict[str, None] = {}
    functions: dict[str, None] = {}
    dot = False
    tilde: int | None = None
    stack: list[str | None] = []  # for each open parenthesis the function called, or None
    for index, (kind, token, position) in enumerate(tokens):
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        previous_kind, previous = tokens[index - 1][:2] if index else ("", "")
        inside_call = any(name is not None for name in stack)
        if kind == "name" and token in _KEYWORDS:
            raise FormulaError(f"{token!r} is R code and not allowed in a formula (in {text!r})")
        if kind in ("name", "backtick"):
            name = _unquote(token) if kind == "backtick" else token
            if not name:
                raise FormulaError(f"empty backticks at position {position + 1} (in {text!r})")
            if following == "(":
                if name not in FUNCTIONS or kind == "backtick":
                    near = difflib.get_close_matches(name, FUNCTIONS, n=1, cutoff=0.8)
                    raise FormulaError(
                        f"the function {name!r} is not allowed in a formula"
                        + (f" (did you mean {near[0]!r}?)" if near else "")
                        + f". Allowed are: {', '.join(sorted(FUNCTIONS))}. For anything else, make a column first "
                        f"(in {text!r})"
                    )
                functions[name] = None
            elif following == "=" and stack and stack[-1] is not None and previous in ("(", ","):
                pass  # the name of an argument
            elif name == "." and kind == "name":
                dot = True
            elif kind == "name" and (
                name in CONSTANTS
                or (name in CONTRASTS and "C" in stack)
                or (
                    name in SUMMARIES
                    and stack[-1:] == ["ave"]
                    and [t[1] for t in tokens[index - 2 : index]] == ["FUN", "="]
                )
            ):
                pass
            else:
                names[name] = None
            if previous_kind in ("name", "backtick", "number", "string") or previous == ")":
                raise FormulaError(f"an operator is missing before {token!r} (in {text!r})")
        elif kind in ("number", "string"):
            if kind == "string" and not inside_call:
                raise FormulaError(f"the string {token} may only be an argument of a function (in {text!r})")
            if following == "(":
                raise FormulaError(f"{token} is not a function (in {text!r})")
            if previous_kind in ("name", "backtick", "number", "string") or previous == ")":
                raise FormulaError(f"an operator is missing before {token!r} (in {text!r})")
        elif token == "(":
            if previous == ")":
                raise FormulaError(f"')(' calls the result of an expression, which is not allowed (in {text!r})")
            stack.append(
                _unquote(previous) if previous_kind == "backtick" else previous if previous_kind == "name" else None
            )
            if following == ")" and stack[-1] is None:
                raise FormulaError(f"empty parentheses at position {position + 1} (in {text!r})")
        elif token == ")":
            if not stack:
                raise FormulaError(f"a ')' at position {position + 1} has no '(' (in {text!r})")
            stack.pop()
        elif token == "~":
            if stack:
                raise FormulaError(f"a '~' inside parentheses (in {text!r})")
            if tilde is not None:
                raise FormulaError(f"a formula has one '~', this one has more: {text!r}")
            tilde = position
        elif token == ",":
            if not stack or stack[-1] is None:
                raise FormulaError(f"a ',' outside a function's arguments (in {text!r})")
        elif token == "=":
            named_argument = stack and stack[-1] is not None and previous_kind in ("name", "backtick")
            if not (named_argument and index >= 2 and tokens[index - 2][1] in ("(", ",")):
                raise FormulaError(f"'=' may only name an argument of a function (in {text!r})")
    if stack:
        raise FormulaError(f"{len(stack)} '(' without ')' (in {text!r})")
    if tilde is None:
        raise FormulaError(f"a formula has a '~' between response and predictors; there is none in {text!r}")
    response, right = text[:tilde].strip(), text[tilde + 1 :].strip()
    if not right:
        raise FormulaError(f"nothing stands right of '~' (in {text!r})")
    if require_response and not response:
        raise FormulaError(f"no response left of '~' (in {text!r})")
    _check_operators(tokens, text)
    joined = (
        " ".join(text.split())
        if "`" not in text and '"' not in text and "'" not in text
        else re.sub(r"[\r\n]", " ", text)
    )
    return Formula(joined.strip(), " ".join(response.split()), tuple(names), tuple(functions), dot)


def _check_operators(tokens: list[tuple[str, str, int]], text: str) -> None:
    """Refuse a binary operator without one of its sides."""
    unary = {"+", "-", "!", "~"}
    closers = {")", ","}
    for index, (kind, token, position) in enumerate(tokens):
        if kind != "operator" or token in ("(", ")", ",", "="):
            continue
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if following is None or (following[0] == "operator" and following[1] not in unary | {"("}):
            found = following[1] if following else "the end"
            raise FormulaError(
                f"nothing stands between {token!r} and {found!r} at position {position + 1} (in {text!r})"
            )
        previous = tokens[index - 1] if index else None
        opens = previous is None or (previous[0] == "operator" and previous[1] not in closers - {","})
        if token == "!" and not opens:
            raise FormulaError(f"an operator is missing before '!' at position {position + 1} (in {text!r})")
        if opens and token not in unary:
            raise FormulaError(f"nothing stands left of {token!r} at position {position + 1} (in {text!r})")


def check_columns(formula: Formula, columns: Iterable[object]) -> None:
    """Refuse a formula that names what is not a column.

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
