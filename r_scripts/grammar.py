"""The one list of what a formula, and an option of R's verbs, may say.

R runs whatever stands in a formula, and looks up functions by strings in places where nobody expects it:
``C(h, "cat")`` calls ``cat``, ``ave(x, g, FUN = "system")`` a shell. So each function that may be called stands here
with the arguments, by name and kind, that it may have; everything else is refused. The list is read by

* ``bridge/formula.py``, which checks a formula before R sees it,
* ``r_scripts/formula.R``, which checks R's own parse tree of it, and the options of R's verbs, against the same list
  (:func:`as_data`), and is sufficient by itself,
* ``pyimpl/frame/functions.py``, which evaluates what stands here in Python, and matches the arguments of a call by it.

It also has the characters that take the place of those that R would parse in a column's name (:func:`inert`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

__all__ = [
    "CHECK_ACTIONS",
    "CONSTANTS",
    "CONTRASTS",
    "CONTROL",
    "FUNCTIONS",
    "INERT_SYMBOLS",
    "LITERAL_FUNCTIONS",
    "LITERAL_OPERATORS",
    "NA_ACTIONS",
    "OPERATORS",
    "OPTIMIZERS",
    "PRIORS",
    "RESERVED",
    "SHORT_CONTRASTS",
    "STRUCTURES",
    "SUMMARIES",
    "Argument",
    "Function",
    "Kind",
    "as_data",
    "inert",
    "restored",
]


class Kind(StrEnum):
    """What an argument may be."""

    #: An expression of columns, constants (strings too) and functions of this list. R never looks up a function there.
    VALUE = "value"
    #: Constants and what is computed of them, without columns: ``TRUE``, ``"a"``, ``c(0, 2.5)``.
    LITERAL = "literal"
    #: A literal without strings.
    NUMBERS = "numbers"
    #: One of `SUMMARIES`, as a bare name: R calls it.
    SUMMARY = "summary"
    #: One of `CONTRASTS`, bare or as a string (R calls it), or numbers.
    CONTRAST = "contrast"
    #: A random-effects term, ``1 + x | g``.
    BAR = "bar"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument that a function may have.

    Attributes
    ----------
    name : str
        R's name of it.
    kind : Kind
    """

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a formula may call.

    Attributes
    ----------
    name : str
    positional : tuple of Argument
        May be given by place (in this order) or by name.
    rest : Kind or None
        Kind of any further arguments without name; None where there are none.
    named : tuple of Argument
        May be given by name only.
    labelled : bool
        Whether further arguments may have plain names of their own, as the columns of ``cbind(a = x, b = z)``.
    """

    name: str
    positional: tuple[Argument, ...]
    rest: Kind | None = None
    named: tuple[Argument, ...] = ()
    labelled: bool = False

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """All arguments that have names."""
        return self.positional + self.named

    def match(self, labels: Sequence[str | None]) -> tuple[Argument | None, ...]:
        """Match the arguments of a call as R does: exact names, then unique beginnings of them, then places.

        As in R, only what stands before ``...`` (`positional`) may be abbreviated.

        Parameters
        ----------
        labels : sequence of str or None
            The name of each argument of the call, None for one given by place.

        Returns
        -------
        tuple of Argument or None
            What each argument of the call is; None for one of ``...``, whose kind is `rest`.

        Raises
        ------
        ValueError
            With the reason in words: an argument that the function may not have, twice the same, or too many.
        """
        by_name = {argument.name: argument for argument in self.arguments}
        short = [argument for argument in self.positional if argument.name not in labels]
        named: dict[int, Argument] = {}
        for place, label in enumerate(labels):
            if label is None:
                continue
            fits = [by_name[label]] if label in by_name else [a for a in short if label and a.name.startswith(label)]
            if not fits and self.labelled and _PLAIN.fullmatch(label) and label not in RESERVED:
                continue
            if len(fits) != 1:
                names = ", ".join(by_name) or "none with a name"
                raise ValueError(f"{self.name}() may not have an argument {label!r} in a formula; it has {names}")
            if fits[0] in named.values():
                raise ValueError(f"{self.name}() has the argument {fits[0].name!r} twice")
            named[place] = fits[0]
        if not labels:
            raise ValueError(f"{self.name}() has no argument")
        free = [argument for argument in self.positional if argument not in named.values()]
        unnamed = labels.count(None)
        if unnamed > len(free) and self.rest is None:
            raise ValueError(
                f"{self.name}() has at most {len(self.positional)} arguments in a formula "
                f"({', '.join(argument.name for argument in self.positional)}); this one has {len(labels)}"
            )
        by_place = iter([*free[:unnamed], *[None] * (unnamed - len(free))])
        return tuple(named.get(place) if label is not None else next(by_place) for place, label in enumerate(labels))

    def matched(self, labels: Sequence[str | None]) -> tuple[Kind, ...]:
        """The kind of each argument of a call; see :meth:`match`."""
        return tuple((self.rest or Kind.VALUE) if found is None else found.kind for found in self.match(labels))


def _arguments(text: str) -> tuple[Argument, ...]:
    """Read ``"x digits:literal"``: names with kinds, `Kind.VALUE` where none stands."""
    pairs = (word.partition(":") for word in text.split())
    return tuple(Argument(name, Kind(kind or "value")) for name, _, kind in pairs)


def _function(
    name: str, positional: str, rest: Kind | None = None, named: str = "", *, labelled: bool = False
) -> Function:
    return Function(name, _arguments(positional), rest, _arguments(named), labelled)


_OF_X = """
abs acos as.character as.double as.factor as.integer as.logical as.numeric asin atan ceiling cos cosh droplevels exp
expm1 floor I is.na log10 log1p log2 rev sign sin sinh sqrt tan tanh tolower toupper trunc
cummax cummin cumprod cumsum
""".split()  # noqa: SIM905 - one word a name reads best

#: Name → the function: all that a formula may call.
FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        *(_function(name, "x") for name in _OF_X),
        _function("ave", "x", Kind.VALUE, "FUN:summary"),
        _function("bs", "x df:numbers knots degree:numbers intercept:literal Boundary.knots"),
        _function("c", "", Kind.VALUE),
        _function("C", "object contr:contrast how.many:numbers", None, "base:numbers"),
        _function("cbind", "", Kind.VALUE, "deparse.level:numbers", labelled=True),
        _function(
            "cut", "x breaks labels:literal include.lowest:literal right:literal dig.lab:numbers ordered_result:literal"
        ),
        _function("dummy", "f levelsToKeep:literal"),
        _function("endsWith", "x suffix"),
        _function("factor", "x levels labels exclude:literal ordered:literal"),
        _function("ifelse", "test yes no"),
        _function("interaction", "", Kind.VALUE, "drop:literal sep:literal lex.order:literal"),
        _function("log", "x base"),
        _function("logb", "x base"),
        *(_function(name, "", Kind.VALUE, "na.rm:literal") for name in ("max", "min", "pmax", "pmin", "sum")),
        _function("mean", "x", None, "trim:numbers na.rm:literal"),
        _function("median", "x na.rm:literal"),
        _function("nchar", "x type:literal"),
        _function("ns", "x df:numbers knots intercept:literal Boundary.knots"),
        _function("offset", "object"),
        _function("ordered", "x levels labels"),
        _function("paste", "", Kind.VALUE, "sep:literal collapse:literal"),
        _function("paste0", "", Kind.VALUE, "collapse:literal"),
        _function("poly", "x degree", Kind.VALUE, "raw:literal simple:literal"),  # R looks for it among its ...
        _function("quantile", "x probs na.rm:literal names:literal type:numbers"),
        _function("rank", "x na.last:literal ties.method:literal"),
        _function("relevel", "x ref:literal"),
        _function("round", "x digits"),
        _function("scale", "x center scale"),
        _function("sd", "x na.rm:literal"),
        _function("seq", "from to by length.out"),
        _function("signif", "x digits"),
        _function("startsWith", "x prefix"),
        _function("substr", "x start stop"),
        _function("substring", "text first last"),
        _function("var", "x", None, "na.rm:literal"),
        _function("xor", "x y"),
    )
}

#: Covariance structures around a random-effects term: lme4 has them since 2.0-1.
STRUCTURES: Mapping[str, Function] = {
    name: _function(name, "term:bar", None, "hom:literal") for name in ("us", "diag", "cs", "ar1")
}

#: Operators, each with one or two arguments without names.
OPERATORS = (
    *("~", "+", "-", "*", "/", "^", ":", "%in%", "%%", "%/%", "|", "||", "&"),
    *("==", "!=", "<", ">", "<=", ">=", "!", "("),
)

#: What `Kind.LITERAL` may be computed with.
LITERAL_FUNCTIONS = ("c", "cbind", "rev", "seq", "sqrt", "exp", "log")
LITERAL_OPERATORS = ("+", "-", "*", "/", "^", ":", "(")

#: Contrast functions, for ``C()`` and the argument ``contrasts``.
CONTRASTS = ("contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.SAS")

#: Their short names, which ``C()`` knows as bare names.
SHORT_CONTRASTS = ("treatment", "sum", "helmert", "poly", "SAS")

#: What ``ave(x, g, FUN = )`` may be.
SUMMARIES = ("max", "mean", "median", "min", "sd", "sum", "var")

#: Words that are values, not columns.
CONSTANTS = ("TRUE", "FALSE", "NA", "NULL", "Inf", "NaN")

#: Words that R does not take for names.
RESERVED = (
    *("function", "if", "else", "for", "while", "repeat", "break", "next", "in"),
    *CONSTANTS,
    *("NA_integer_", "NA_real_", "NA_character_", "NA_complex_"),
)

#: Values of ``na.action``: R looks each up as a function.
NA_ACTIONS = ("na.omit", "na.exclude", "na.fail", "na.pass")

#: rstanarm's functions for priors.
PRIORS = (
    *("normal", "student_t", "cauchy", "hs", "hs_plus", "laplace", "lasso", "product_normal", "exponential"),
    *("decov", "lkj", "default_prior_intercept", "default_prior_coef"),
)

#: Values of lmerControl's ``optimizer``: R looks each up as a function.
OPTIMIZERS = ("bobyqa", "Nelder_Mead", "nloptwrap", "nlminbwrap", "nmkbw", "optimx")

#: Values of lmerControl's ``check.*``.
CHECK_ACTIONS = (
    *("ignore", "message", "warning", "stop", "silent.drop.cols", "message+drop.cols", "warn+drop.cols"),
    *("stop.deficient", "silent.rescale", "message+rescale", "warn+rescale"),
)

#: Arguments of lmerControl, by R's names, and what each takes: "flag", "number", "optimizer", "action" or "numbers"
#: (a list of numbers, truth values and, for ``method`` and ``algorithm``, names).
CONTROL: Mapping[str, str] = {
    "optimizer": "optimizer",
    "optCtrl": "numbers",
    **dict.fromkeys(
        ("restart_edge", "calc.derivs", "use.last.params", "sparseX", "standardize.X", "autoscale"), "flag"
    ),
    **dict.fromkeys(("boundary.tol", "check.conv.nobsmax", "check.conv.nparmax"), "number"),
    **{
        f"check.{name}": "action"
        for name in (
            *("nobs.vs.rankZ", "nobs.vs.nlev", "nlev.gtreq.5", "nlev.gtr.1", "nobs.vs.nRE", "rankX", "scaleX"),
            "formula.LHS",
        )
    },
}

# Replaced in a name: what R's parser takes for anything but a part of a word (blanks stay: between words they are a
# syntax error), and, where a word begins with it, a digit, a dot or the first letter of a reserved word.
# The minus sign comes first: R's chartr() takes one between two characters for a range.
_PUNCTUATION = "-" + "".join(chr(code) for code in range(1, 128) if not (chr(code).isalnum() or chr(code) in "-._ "))
_FIRST = "".join(chr(code) for code in range(128) if chr(code).isalnum()) + "."
_REPLACED = _PUNCTUATION + _FIRST

#: The symbols that take their places: Byzantine musical notation. R prints them, each as wide as a letter, and its
#: parser takes none for a letter or an operator.
INERT_SYMBOLS = "".join(chr(0x1D000 + place) for place in range(len(_REPLACED)))

_TO_INERT = dict(zip(_REPLACED, INERT_SYMBOLS, strict=True))
_FROM_INERT = str.maketrans(INERT_SYMBOLS, _REPLACED)
_PLAIN = re.compile(r"(?:[^\W\d_]|\.(?![\d.]))[\w.]*")
_WORD = re.compile(r"[\w.]+")
_NUMBER_OR_DOTS = re.compile(r"\d|\.\d|\.\.")


def inert(name: str) -> str:
    """A column's name in a form that R cannot take for code.

    lme4 and others write formulas as text and parse them again, without backticks around names. A name that R would
    parse as anything but itself has its operators, quotes, parentheses and the like replaced, one symbol for each
    character: as wide, in backticks where the name would be, and a syntax error where it is parsed without.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        The name itself where it is a plain one; :func:`restored` leads back.
    """
    if _PLAIN.fullmatch(name) and name not in RESERVED:
        return name
    text = "".join(_TO_INERT[c] if c in _PUNCTUATION else c for c in name)

    def word(match: re.Match[str]) -> str:
        found = match[0]
        if found in RESERVED or _NUMBER_OR_DOTS.match(found):
            return _TO_INERT.get(found[0], found[0]) + found[1:]
        return found

    return _WORD.sub(word, text)


def restored(text: str) -> str:
    """R's text, with the user's names in it."""
    return text if text.isascii() else text.translate(_FROM_INERT)


class _FunctionData(TypedDict):
    """A `Function` as R gets it."""

    positional: list[str]
    positional_kinds: list[str]
    rest: str
    named: list[str]
    named_kinds: list[str]
    labelled: bool


def _described(function: Function) -> _FunctionData:
    return {
        "positional": [argument.name for argument in function.positional],
        "positional_kinds": [str(argument.kind) for argument in function.positional],
        "rest": "" if function.rest is None else str(function.rest),
        "named": [argument.name for argument in function.named],
        "named_kinds": [str(argument.kind) for argument in function.named],
        "labelled": function.labelled,
    }


def as_data() -> dict[str, object]:
    """The whole list as plain data (strings, lists, dicts), as ``r_scripts/formula.R`` gets it."""
    return {
        "functions": {name: _described(function) for name, function in FUNCTIONS.items()},
        "structures": {name: _described(function) for name, function in STRUCTURES.items()},
        "operators": list(OPERATORS),
        "literal_functions": list(LITERAL_FUNCTIONS),
        "literal_operators": list(LITERAL_OPERATORS),
        "contrasts": list(CONTRASTS),
        "short_contrasts": list(SHORT_CONTRASTS),
        "summaries": list(SUMMARIES),
        "reserved": list(RESERVED),
        "na_actions": list(NA_ACTIONS),
        "priors": list(PRIORS),
        "optimizers": list(OPTIMIZERS),
        "check_actions": list(CHECK_ACTIONS),
        "control": dict(CONTROL),
        "punctuation": _PUNCTUATION,
        "replaced": _REPLACED,
        "symbols": INERT_SYMBOLS,
    }
