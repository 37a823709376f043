"""R expressions as Python expressions.

What can't be said is refused (:class:`validation.migrate.code.Untranslatable`) with the reason; the caller then writes
what R was seen to do in its place. Each watched call keeps a mark around its Python text (``OPEN``, ``CLOSE`` of
:mod:`validation.migrate.code`), from which the place of its counterpart in the finished script is read.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from validation.migrate.code import (
    CLOSE,
    OPEN,
    Code,
    Scope,
    Untranslatable,
    element_of,
    plus_one,
    python_name,
    quoted,
    unmarked,
)
from validation.migrate.instrument import Site
from validation.migrate.model_calls import ModelCalls
from validation.migrate.parts import Parts
from validation.migrate.rcode import Argument, Node
from validation.migrate.watched import FITS, PRIORS, UNSUPPORTED, VERBS

__all__ = ["OPERATORS", "Maker", "Translator", "call_of", "is_several", "unwrapped"]


class Translator:
    """Translates expressions, given what the watched run saw at each site.

    Parameters
    ----------
    code : str
        The script's text.
    places : list of Site
    seen : mapping of int to Seen-like dict
        Site -> ``{"frames": [...], "formulas": [...], "fits": bool, "lmerTest": bool, "contrasts": ...}``.
    frame_variable : callable
        The Python variable that holds a frame, by its number (made on demand).
    lmer_test : bool
        Whether ``lmer`` is lmerTest's.
    functions : mapping of str to callable
        R's functions and what makes their Python (:data:`validation.migrate.makers.FUNCTIONS`).
    """

    def __init__(
        self,
        code: str,
        places: list[Site],
        seen: Mapping[int, Mapping[str, object]],
        frame_variable: "FrameVariable",
        lmer_test: bool = False,
        functions: "Mapping[str, Maker] | None" = None,
    ) -> None:
        self.code = code
        self.site_at = {(place.node.start, place.node.end, place.node.kind): place for place in places}
        self.seen = seen
        self.frame_variable = frame_variable
        self.lmer_test = lmer_test
        self.functions = functions or {}
        self.noted: list[str] = []  # arguments that change nothing in Python
        self.ddf = ""  # emm_options(lmer.df = )
        self.seed = "1"  # the last set.seed() of the script, for what draws without a seed of its own
        self.drawn_since = 0  # how often since then: each time other numbers, as in R
        self.assumed: set[str] | None = None  # where nothing was run: names that are taken for data
        self.by_use: dict[str, Code] = {}  # what they are if not data, by the calls that they stand in
        self.columns: dict[str, list[str]] = {}  # of each variable that holds data
        self.types: dict[str, dict[str, str]] = {}  # of their columns what R had: factor, double, character
        self.incomplete: dict[str, set[str]] = {}  # which of them have missing values
        self.defined: set[str] = set()  # names of the functions that the script has defined so far
        self.saved: dict[str, Code] = {}  # what the script wrote to files, by their names
        self.groups = ""  # the columns of the groups within which the present expression is computed
        self.bundles: dict[str, dict[str, Code]] = {}  # what save() wrote: file, as Python's text -> names
        self.lost: dict[str, int] = {}  # names that statements which are not carried over make, and these' lines
        self.untranslated: dict[str, str] = {}  # the script's own functions that have no Python, and why
        self.hoisted: list[str] = []  # what is to stand before the present statement: functions of several statements
        self.define: Callable[[Node, Scope, Mapping[str, Code]], tuple[str, str]] | None = None
        self.used: set[str] = set()  # names of mlmparity that the script imports
        self.calls = ModelCalls(self)
        self.parts = Parts(self)

    # -------------------------------------------------------------------------------------------- helpers

    def source(self, node: Node) -> str:
        """The R text of a part, on one line."""
        text = re.sub(r"#[^\n]*", "", self.code[node.start : node.end])
        return re.sub(r"\s+", " ", text).strip()

    def refuse(self, node: Node, why: str) -> Untranslatable:
        """Say why a part is not carried over."""
        text = self.source(node)
        return Untranslatable(f"{text[:60] + '…' if len(text) > 60 else text}: {why}")

    def imported(self, name: str) -> str:
        """Note that the script needs a name of mlmparity."""
        self.used.add(name)
        return name

    def next_seed(self) -> str:
        """A seed for what R draws from the stream that ``set.seed`` began."""
        self.drawn_since += 1
        return str(int(float(self.seed)) + self.drawn_since - 1)

    @contextlib.contextmanager
    def within(self, groups: str) -> Iterator[None]:
        """Translate what is computed within groups, each row by those of its group.

        Parameters
        ----------
        groups : str
            Python's list of the columns that make the groups; empty where there are none.
        """
        outer, self.groups = self.groups, groups
        try:
            yield
        finally:
            self.groups = outer

    def has_missing(self, column: Code) -> bool:
        """Whether a column of the data is known to have missing values, which pandas leaves out and R does not."""
        found = re.fullmatch(r'(\w+)\["(.*)"\]', column.text)
        return found is not None and found[2] in self.incomplete.get(found[1], set())

    def type_of(self, column: Code) -> str:
        """What a column of the data was in R: ``factor``, ``double``, ``character``; empty where that is not known."""
        found = re.fullmatch(r'(\w+)\["(.*)"\]', column.text)
        return self.types.get(found[1], {}).get(found[2], "") if found is not None else ""

    def among_columns(self, frame: Code, expression: Node, scope: Scope) -> Scope:
        """The scope of an expression in which the names of a frame's columns are its columns."""
        columns = self.columns.get(frame.text, [])
        if not columns and self.assumed is not None:  # nothing was run: what is no variable is taken for a column
            columns = [one.text for one in expression.walk() if one.kind == "name" and one.text not in scope.names]
        known = {name: Code(f"{frame.inside()}[{quoted(name)}]", "series", True, "column") for name in columns}
        return Scope(known, scope)

    # ---------------------------------------------------------------------------------------- expressions

    def expression(self, node: Node, scope: Scope) -> Code:
        """Translate one expression.

        Raises
        ------
        Untranslatable
        """
        made: Code = getattr(self, f"_{node.kind}", self._other)(node, scope)
        place = self.site_at.get((node.start, node.end, node.kind))
        if place is None:
            return made
        marked = f"{OPEN}{place.number};{made.text}{CLOSE}"
        return Code(marked, made.kind, made.atom, made.element)

    def _other(self, node: Node, scope: Scope) -> Code:
        raise self.refuse(node, f"R's {node.kind} has no counterpart inside an expression")

    def _paren(self, node: Node, scope: Scope) -> Code:
        inner = self.expression(node.parts[0], scope)
        return Code(f"({inner.text})", inner.kind, True, inner.element)

    def _number(self, node: Node, scope: Scope) -> Code:
        text = node.text.rstrip("L")
        if text.endswith("i"):
            raise self.refuse(node, "complex numbers are not carried over")
        return Code(str(int(text, 16)) if text.lower().startswith("0x") else text, "number")

    def _string(self, node: Node, scope: Scope) -> Code:
        return Code(quoted(node.text), "string")

    def _constant(self, node: Node, scope: Scope) -> Code:
        known = {
            "TRUE": ("True", "number"),
            "FALSE": ("False", "number"),
            "NULL": ("None", "none"),
            "Inf": ("float('inf')", "number"),
        }
        text, kind = known.get(node.text, ("float('nan')", "number"))
        return Code(text, kind)

    def _name(self, node: Node, scope: Scope) -> Code:
        if node.text in ("T", "F") and scope.find(node.text) is None:
            return Code("True" if node.text == "T" else "False", "number")
        if node.text in ("letters", "LETTERS") and scope.find(node.text) is None:
            alphabet = "abcdefghijklmnopqrstuvwxyz"
            shown = alphabet if node.text == "letters" else alphabet.upper()
            return Code(f'list("{shown}")', "strings", True, "string")
        if node.text == "pi" and scope.find("pi") is None:
            return Code("np.pi", "number")
        found = scope.find(node.text)
        if found is None and (made := self._as_function(node)) is not None:
            return made
        if found is None and self.assumed is not None and node.text not in self.lost:
            self.assumed.add(node.text)
            return self.by_use.get(node.text) or Code(python_name(node.text), "data")
        if found is None:
            where = self.lost.get(node.text)
            why = "a name that the script's Python side does not know"
            raise self.refuse(node, f"what line {where} makes, which is not carried over" if where else why)
        return found

    def _as_function(self, node: Node) -> Code | None:
        """A function of R's that is given to another, or kept in a list: ``AIC`` is ``lambda m: m.AIC()``."""
        name = node.text
        if name in self.defined or (name not in VERBS and name not in self.functions and name not in OPERATORS):
            return None
        kind = "fit" if name in VERBS else "any"
        call = call_of(node, [Node("name", one) for one in (("\0x", "\0y") if name in OPERATORS else ("\0x",))])
        inner = Scope({"\0x": Code("x", kind), "\0y": Code("y", kind)})
        try:
            made = self.expression(call, inner)
        except Untranslatable:
            return None
        variables = "x, y" if name in OPERATORS else "x"
        return Code(f"lambda {variables}: {made.text}", "function", False, made.kind)

    def _unary(self, node: Node, scope: Scope) -> Code:
        if node.text == "~":
            return Code(quoted(self.source(node)), "formula")
        inner = self.expression(node.parts[0], scope)
        if node.text == "!":
            sign = "~" if inner.kind in ("vector", "series") else "not "
            return Code(f"{sign}{inner.inside()}", inner.kind, False)
        return Code(f"{node.text}{inner.inside()}", inner.kind, False)

    def _binary(self, node: Node, scope: Scope) -> Code:
        op = node.text
        if op == "~":
            return Code(quoted(self.source(node)), "formula")
        if op in ("|>", "%>%"):
            return self._pipe(node, scope)
        left, right = (self._numbers(self.expression(part, scope)) for part in node.parts)
        if op == "%*%" and {left.kind, right.kind} == {"sparse"}:
            return Code(f"{left.inside()} @ {right.inside()}", "sparse", False)
        if op == "%*%" and "frame" not in (left.kind, right.kind) and {left.kind, right.kind} <= {"vector", "series"}:
            return Code(f"{left.inside()} @ {right.inside()}", "number", False)
        if op == "%*%" and {left.kind, right.kind} <= {"frame", "vector", "series"}:
            return Code(f"{left.inside()} @ {right.inside()}", "frame" if left.kind == right.kind else "series", False)
        if op == ":" and left.text.isdigit() and right.text.isdigit() and int(left.text) > int(right.text):
            return Code(f"range({left.text}, {int(right.text) - 1}, -1)", "range")
        if op == ":":
            return Code(f"range({left.text}, {plus_one(right)})", "range")
        if op == "%in%":
            if left.kind == "series":
                return Code(f"{left.inside()}.isin({right.text})", "series")
            if left.kind in ("vector", "strings", "list"):
                return Code(f"np.isin({left.text}, {right.text})", "vector")
            return Code(f"{left.inside()} in {right.inside()}", "number", False)
        known = {"^": "**", "**": "**", "&&": "and", "||": "or", "%%": "%", "%/%": "//"}
        shared = {"+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!=", "&", "|"}
        if op not in known and op not in shared:
            raise self.refuse(node, f"the operator {op} is not carried over")
        rowwise = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
        if op in rowwise and {left.kind, right.kind} in ({"frame", "vector"}, {"frame", "series"}):
            # R recycles a vector down the columns
            frame, vector = (left, right) if left.kind == "frame" else (right, left)
            method = rowwise[op] if frame is left else "r" + rowwise[op]
            return Code(f"{frame.inside()}.{method}({vector.text}, axis=0)", "frame")
        sides = [self._arithmetic(one) for one in (left, right)]
        kind = "number"
        for wanted in ("any", "vector", "series", "frame"):
            if wanted in (left.kind, right.kind) or (wanted == "vector" and "range" in (left.kind, right.kind)):
                kind = wanted
        of_columns = kind == "series" and all(one.element == "column" for one in (left, right) if one.kind == "series")
        element = "column" if of_columns else "any"
        return Code(f"{sides[0]} {known.get(op, op)} {sides[1]}", kind, False, element)

    def _numbers(self, one: Code) -> Code:
        """Numbers under names, one by one, as a vector with names; data as the table that they are."""
        if one.kind == "data":
            return Code(one.text, "frame", one.atom)
        if one.kind != "dict" or one.element != "number":
            return one
        return Code(f"pd.Series({one.text})", "series")

    def _arithmetic(self, one: Code) -> str:
        if one.kind in ("strings", "vector", "range") and one.text.startswith(("[", "range")):
            return f"np.array({one.text})"
        return one.inside()

    def _if(self, node: Node, scope: Scope) -> Code:
        """``if (a) b else c`` as a value."""
        if len(node.parts) != 3:
            raise self.refuse(node, "a value that is there only if a condition holds")
        parts = [one.parts[0] if one.kind == "block" and len(one.parts) == 1 else one for one in node.parts]
        condition, yes, no = (self.expression(one, scope) for one in parts)
        kind = yes.kind if yes.kind == no.kind else "any"
        element = yes.element if yes.element == no.element else "any"
        return Code(f"{yes.inside()} if {condition.text} else {no.inside()}", kind, False, element)

    def _pipe(self, node: Node, scope: Scope) -> Code:
        left, right = node.parts
        if right.kind != "call":
            raise self.refuse(node, "a pipe into something other than a call")
        placed = [
            Argument(
                a.name,
                left if a.value is not None and a.value.text in ("_", ".") and a.value.kind == "name" else a.value,
            )
            for a in right.args
        ]
        if not any(argument.value is left for argument in placed):
            placed = [Argument(None, left), *placed]
        call = Node("call", right.text, right.parts, placed, right.start, right.end, right.line)
        return self._call(call, scope)

    def _dollar(self, node: Node, scope: Scope) -> Code:
        return self.parts.dollar(node, scope)

    def _index(self, node: Node, scope: Scope) -> Code:
        return self.parts.index(node, scope)

    def by_place(self, one: Code) -> str:
        """What becomes a column, in its order: R does not look at its names. What a fit gives has the data's rows."""
        own = re.search(r"\.(fitted|residuals|predict)\([^()]*\)$", unmarked(one.text))
        if one.kind != "series" or one.element == "column" or own:
            return one.text
        return f"np.asarray({one.text})"

    # ------------------------------------------------------------------------------------------- functions

    def _function(self, node: Node, scope: Scope) -> Code:
        """A function of one expression, as a lambda; of several statements, as one that is defined before."""
        body = node.parts[0]
        if self.define is not None and is_several(body):
            name, kind = self.define(node, scope, {})
            return Code(name, "function", True, kind)
        body = unwrapped(body)
        if body.kind == "call" and body.text == "return" and len(body.args) == 1 and body.args[0].value is not None:
            body = body.args[0].value
        inner = self.parameters(node, scope)
        made = self.expression(body, inner)
        names = ", ".join(python_name(one.name or "x") for one in node.args)
        return Code(f"lambda {names}: {made.text}", "function", False, made.kind)

    def parameters(
        self, node: Node, scope: Scope, kinds: Mapping[str, Code] | None = None, *, dots: bool = True
    ) -> Scope:
        """The scope inside a function: each parameter is what its uses and the run say it is.

        ``dots``: whether its ``...`` may hold something; where no call gives more, there is nothing to pass on.
        """
        inner = Scope({}, scope)
        for one in node.args:
            name = one.name or ""
            if name == "..." and not dots:
                inner.names["..."] = Code("", "nothing")
                continue
            if name in ("...", ""):
                raise self.refuse(node, "a function with '...'")
            known = (kinds or {}).get(name)
            own = python_name(name)
            inner.names[name] = (
                Code(own, known.kind, True, known.element) if known else Code(own, self._guess(name, node.parts[0]))
            )
        return inner

    def _guess(self, name: str, body: Node) -> str:
        """What a parameter is, from what is done with it."""
        for node in body.walk():
            if node.kind == "call" and node.args and node.args[0].value is not None:
                first = node.args[0].value
                if first.kind == "name" and first.text == name and node.text in VERBS:
                    place = self.site_at.get((node.start, node.end, node.kind))
                    seen = self.seen.get(place.number, {}) if place else {}
                    if seen.get("of_fit", True):
                        return "fit"
            if node.kind == "call" and node.text in FITS:
                for k, argument in enumerate(node.args):
                    value = argument.value
                    if value is not None and value.kind == "name" and value.text == name:
                        positions = FITS[node.text].positions
                        wanted = argument.name or (positions[k] if k < len(positions) else "")
                        return {"data": "data", "formula": "formula"}.get(wanted, "any")
            if node.kind == "call" and node.text in ("paste", "paste0", "as.formula", "formula", "sprintf"):
                for argument in node.args:
                    if argument.value is not None and argument.value.kind == "name" and argument.value.text == name:
                        return "string"
            if node.kind == "index" and node.args and node.args[-1].value is not None:
                last = node.args[-1].value
                if last.kind == "name" and last.text == name:
                    return "number"
        return "any"

    def _call(self, node: Node, scope: Scope) -> Code:
        name = node.text
        dots = scope.find("...")
        if dots is not None and dots.kind == "nothing":
            given = [a for a in node.args if a.value is None or (a.value.kind, a.value.text) != ("name", "...")]
            if len(given) < len(node.args):
                node = Node(node.kind, node.text, node.parts, given, node.start, node.end, node.line)
        if name in UNSUPPORTED:
            raise self.refuse(node, UNSUPPORTED[name])
        if name in FITS:
            return self.calls.fit(node, scope)
        if name in PRIORS and not scope.find(name):
            return self.calls.prior(node, scope)
        mine = scope.find(name) if name in VERBS or name in self.functions else None
        # the script's own function of that name, even where it has no Python
        own_first = (mine is not None and mine.kind == "function") or name in self.defined
        made = self.calls.verb(node, scope) if name in VERBS and not own_first else None
        if made is None and not own_first:
            made = self.functions[name](self, node, scope) if name in self.functions else None
        if made is not None:
            return made
        own = scope.find(name) if name else None
        if own is not None and own.kind in ("function", "any"):  # what is called is a function
            passed = [self._given(argument, scope) for argument in node.args]
            return element_of(f"{own.text}({', '.join(passed)})", own.element)
        if name in VERBS and name not in self.functions and name not in self.defined:
            raise self.refuse(node, f"{name}() of something that is not known to be a fit")
        if name in self.untranslated:
            raise Untranslatable(f"{name}(): {self.untranslated[name]}")
        raise self.refuse(node, f"{name or 'this call'} has no counterpart in mlmparity")

    def expression_of_call(self, node: Node, scope: Scope) -> Code:
        """A call that the text has in another form (``do.call``)."""
        return self._call(node, scope)

    def _given(self, argument: Argument, scope: Scope) -> str:
        if argument.value is None:
            raise Untranslatable(f"an argument {argument.name} without a value")
        made = self.expression(argument.value, scope)
        if made.kind == "dict" and made.element == "number":
            made = self._numbers(made)
        return f"{python_name(argument.name)}={made.text}" if argument.name else made.text


#: R's operators, which are functions: they can be given to others.
OPERATORS = {"+", "-", "*", "/", "^", "==", "<", ">", "<=", ">=", "!=", "&", "|", "%in%", "%*%", "[", "[["}


def call_of(function: Node, values: "list[Node]", more: "list[Argument] | None" = None) -> Node:
    """A function's call with these values; an operator's as the operation."""
    place = (function.start, function.end, function.line)
    given = [*(Argument(None, value) for value in values), *(more or [])]
    if function.text in ("[", "[["):
        return Node("index", function.text, [values[0]], given[1:], *place)
    if function.text in OPERATORS and len(given) == 2 and function.kind in ("name", "string"):
        return Node("binary", function.text, [one.value for one in given if one.value is not None], [], *place)
    return Node("call", function.text, [function], given, *place)


def unwrapped(body: Node) -> Node:
    """A function's body, out of the braces around a single expression."""
    while body.kind == "block" and len(body.parts) == 1:
        body = body.parts[0]
    return body


def is_several(body: Node) -> bool:
    """Whether a function's body is more than one expression."""
    body = unwrapped(body)
    return body.kind in ("block", "assign", "for", "while", "repeat") or (body.kind == "if" and len(body.parts) < 3)


class FrameVariable(Protocol):
    """The variable that holds a frame with these contrasts."""

    def __call__(self, number: int, contrasts: Mapping[str, object] | None = None) -> str: ...


#: What makes the Python of one function of R.
Maker = Callable[[Translator, Node, Scope], Code]
