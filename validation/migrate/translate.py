"""R expressions as Python expressions.

What can't be said is refused (:class:`Untranslatable`) with the reason; the caller then writes what R was seen to do in
its place. Each watched call keeps a mark around its Python text (:data:`OPEN`, :data:`CLOSE`), from which the place of
its counterpart in the finished script is read.
"""

import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyimpl
from r_scripts.arguments import R_ARGUMENTS
from validation.migrate.instrument import Site
from validation.migrate.rcode import Argument, Node
from validation.migrate.watched import FITS, NO_MEANING, PRIOR_FORMALS, PRIORS, UNSUPPORTED, VERBS

__all__ = [
    "CLOSE",
    "LABELLED",
    "OPEN",
    "Code",
    "Maker",
    "Refused",
    "Scope",
    "Translator",
    "Untranslatable",
    "element_of",
    "in_order",
    "matched",
    "minus_one",
    "nested",
    "plus_one",
    "python_name",
    "quoted",
]

#: Around the Python text of a watched call: OPEN, the site's number, a semicolon, the text, CLOSE.
OPEN, CLOSE = "\ue000", "\ue001"
_TAKEN = {
    *keyword.kwlist,
    *FITS,
    "np",
    "pd",
    "print",
    "list",
    "dict",
    "range",
    "len",
    "sum",
    "min",
    "max",
    "abs",
    "round",
}
# kinds whose values are pandas objects with labels, so that R's [ ] is .iloc, .loc
LABELLED = {"series", "frame", "table", "data"}


def nested(one: "Code") -> str:
    """The kind of an element, with what it holds itself: ``dict<fit<lm``."""
    return one.kind + (f"<{one.element}" if one.element != "any" else "")


def element_of(text: str, kind: str) -> "Code":
    """An element of a list: the opposite of :func:`nested`."""
    own, _, inner = kind.partition("<")
    return Code(text, own, True, inner or "any")


class Untranslatable(Exception):  # noqa: N818 - not an error of the program: what R said has no counterpart here
    """An R expression that is not carried over, and why."""


class Refused(Untranslatable):
    """An expression that asks for something that is not here, in whatever words."""


#: What a kept summary has under R's name, and of which kind it is.
_OF_SUMMARY = {
    "coefficients": "frame",
    "sigma": "number",
    "ngrps": "frame",
    "r.squared": "number",
    "adj.r.squared": "number",
    "fstatistic": "series",
}


@dataclass(frozen=True)
class Code:
    """Python text and what its value is.

    Attributes
    ----------
    text : str
    kind : str
        ``fit number string vector strings series frame frames table data list dict formula none any function``.
    atom : bool
        Whether it needs no parentheses inside a larger expression.
    element : str
        Of a list or dict, the kind of its elements.
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
    """R's name as a name in Python: ``m.1`` is ``m_1``.

    Parameters
    ----------
    name : str
    """
    text = re.sub(r"\W", "_", name.strip("."), flags=re.ASCII) or "x"
    if text[0].isdigit():
        text = "x" + text
    return text + "_" if text in _TAKEN else text


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
        R's functions and what makes their Python (``validation.migrate.functions``).
    """

    def __init__(
        self,
        code: str,
        places: list[Site],
        seen: Mapping[int, Mapping[str, object]],
        frame_variable: Callable[[int], str],
        lmer_test: bool = False,
        functions: "Mapping[str, Maker] | None" = None,
    ) -> None:
        self.code = code
        self.by_place = {(place.node.start, place.node.end, place.node.kind): place for place in places}
        self.seen = seen
        self.frame_variable = frame_variable
        self.lmer_test = lmer_test
        self.functions = functions or {}
        self.noted: list[str] = []  # arguments that change nothing in Python
        self.ddf = ""  # emm_options(lmer.df = )
        self.seed = "1"  # the last set.seed() of the script, for posteriors without a seed of their own
        self.assumed: set[str] | None = None  # where nothing was run: names that are taken for data
        self.used: set[str] = set()  # names of mlmparity that the script imports
        self.modules: set[str] = set()

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

    def needs(self, module: str) -> None:
        """Note that the script needs a module."""
        self.modules.add(module)

    # ---------------------------------------------------------------------------------------- expressions

    def expression(self, node: Node, scope: Scope) -> Code:
        """Translate one expression.

        Raises
        ------
        Untranslatable
        """
        made: Code = getattr(self, f"_{node.kind}", self._other)(node, scope)
        place = self.by_place.get((node.start, node.end, node.kind))
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
        if node.text == "pi" and scope.find("pi") is None:
            self.needs("np")
            return Code("np.pi", "number")
        found = scope.find(node.text)
        if found is None and self.assumed is not None:
            self.assumed.add(node.text)
            return Code(python_name(node.text), "data")
        if found is None:
            raise self.refuse(node, "a name that the script's Python side does not know")
        return found

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
        left, right = (self.expression(part, scope) for part in node.parts)
        if op == ":":
            return Code(f"range({left.text}, {plus_one(right)})", "range")
        if op == "%in%":
            if left.kind in ("series", "vector"):
                return Code(f"{left.inside()}.isin({right.text})", "series")
            return Code(f"{left.inside()} in {right.inside()}", "number", False)
        known = {"^": "**", "**": "**", "&&": "and", "||": "or", "%%": "%", "%/%": "//"}
        shared = {"+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!=", "&", "|"}
        if op not in known and op not in shared:
            raise self.refuse(node, f"the operator {op} is not carried over")
        rowwise = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
        if op in rowwise and {left.kind, right.kind} == {"frame", "vector"}:  # R recycles a vector down the columns
            frame, vector = (left, right) if left.kind == "frame" else (right, left)
            method = rowwise[op] if frame is left else "r" + rowwise[op]
            return Code(f"{frame.inside()}.{method}({vector.text}, axis=0)", "frame")
        sides = [self._arithmetic(one) for one in (left, right)]
        kind = "number"
        for wanted in ("vector", "series", "frame", "any"):
            if wanted in (left.kind, right.kind) or (wanted == "vector" and "range" in (left.kind, right.kind)):
                kind = wanted
        return Code(f"{sides[0]} {known.get(op, op)} {sides[1]}", kind, False)

    def _arithmetic(self, one: Code) -> str:
        if one.kind in ("strings", "vector", "range") and one.text.startswith(("[", "range")):
            self.needs("np")
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

    # -------------------------------------------------------------------------------------- parts of things

    def _dollar(self, node: Node, scope: Scope) -> Code:
        owner, name = node.parts
        if node.text == "$" and name.kind == "name":
            special = self._of_summary(owner, name.text, scope)
            if special is not None:
                return special
        thing = self.expression(owner, scope)
        if thing.kind == "emmpair" and name.text in ("emmeans", "emtrends", "contrasts"):
            return Code(f"{thing.inside()}.{'contrasts' if name.text == 'contrasts' else 'emmeans'}", "emmeans")
        if thing.kind == "loo" and name.text in ("estimates", "pointwise"):
            return Code(f"{thing.inside()}.{name.text}", "frame")
        if thing.kind == "summary" and name.text in _OF_SUMMARY:
            return Code(f"{thing.inside()}.{name.text.replace('.', '_')}", _OF_SUMMARY[name.text])
        if node.text != "$":
            raise self.refuse(node, "slots are R's inside")
        return self._element(thing, quoted(name.text), node)

    def _of_summary(self, owner: Node, name: str, scope: Scope) -> Code | None:
        """``summary(m)$coefficients`` and its like: what our fits give by a method of their own."""
        if owner.kind != "call" or owner.text != "summary" or len(owner.args) != 1 or owner.args[0].value is None:
            return None
        fit = self.expression(owner.args[0].value, scope)
        known = {
            "coefficients": ("coef_table()", "frame"),
            "sigma": ("sigma()", "number"),
            "varcor": ("VarCorr()", "table"),
            "r.squared": ("r_squared", "number"),
            "adj.r.squared": ("adj_r_squared", "number"),
            "fstatistic": ("fstatistic", "series"),
        }
        if fit.kind != "fit" or name not in known:
            return None
        method, kind = known[name]
        return Code(f"{fit.inside()}.{method}", kind)

    def _element(self, thing: Code, key: str, node: Node) -> Code:
        if thing.kind == "frames":
            return Code(f"{thing.inside()}[{key}]", "frame")
        if thing.kind in ("frame", "table", "data"):
            return Code(f"{thing.inside()}[{key}]", "series")
        if thing.kind == "dict":
            return element_of(f"{thing.inside()}[{key}]", thing.element)
        raise self.refuse(node, f"an element of something that is not known to have elements ({thing.kind})")

    def _index(self, node: Node, scope: Scope) -> Code:
        thing = self.expression(node.parts[0], scope)
        keys = [argument.value for argument in node.args]
        if node.text == "[[":
            if len(keys) != 1 or keys[0] is None:
                raise self.refuse(node, "an element by two indices")
            key = self.expression(keys[0], scope)
            if key.kind == "string":
                return self._element(thing, key.text, node)
            if thing.kind in ("list", "vector", "strings"):
                return element_of(f"{thing.inside()}[{minus_one(key)}]", thing.element)
            if thing.kind == "numbered":
                return element_of(f"{thing.inside()}[{key.text}]", thing.element)
            if thing.kind == "dict":
                return element_of(f"list({thing.text}.values())[{minus_one(key)}]", thing.element)
            if thing.kind == "frames":
                return Code(f"list({thing.text}.values())[{minus_one(key)}]", "frame")
            if thing.kind == "series":
                return Code(f"{thing.inside()}.iloc[{minus_one(key)}]", "number")
            raise self.refuse(node, f"an element of something that is not known to have elements ({thing.kind})")
        if thing.kind in ("frame", "table", "data") and len(keys) == 2:
            return self._cells(thing, keys, node, scope)
        if len(keys) != 1 or keys[0] is None:
            raise self.refuse(node, "indices of a kind that is not carried over")
        return self._slice(thing, keys[0], node, scope)

    def _cells(self, thing: Code, keys: "list[Node | None]", node: Node, scope: Scope) -> Code:
        parts, texts, single = [], 0, 0
        for key in keys:
            if key is None:
                parts.append((":", ""))
                continue
            made = self.expression(key, scope)
            single += made.kind in ("number", "string")
            if made.kind in ("string", "strings"):
                texts += 1
                parts.append((made.text, "loc"))
            elif made.kind == "number":
                parts.append((minus_one(made), "iloc"))
            elif made.kind == "range":
                parts.append((_as_slice(made.text), "iloc"))
            elif made.kind in ("series", "vector"):
                parts.append((made.text, "loc"))
            else:
                raise self.refuse(node, "indices of a kind that is not carried over")
        ways = {way for _, way in parts if way}
        if len(ways) == 2:  # a row by name and a column by number, or the other way round
            (row, row_way), (column, column_way) = parts
            kind = "number" if single == 2 else "series"
            return Code(f"{thing.inside()}.{row_way}[{row}].{column_way}[{column}]", kind)
        way = ways.pop() if ways else "iloc"
        kind = {2: "number", 1: "series", 0: thing.kind}[single]
        return Code(f"{thing.inside()}.{way}[{parts[0][0]}, {parts[1][0]}]", kind)

    def _slice(self, thing: Code, key: Node, node: Node, scope: Scope) -> Code:
        made = self.expression(key, scope)
        text = thing.inside()
        if thing.kind in ("frames", "dict") and made.kind in ("string", "strings"):
            raise self.refuse(node, "a part of a list")
        if thing.kind in ("frame", "data", "table"):
            if made.kind in ("string", "strings"):
                listed = made.text if made.kind == "strings" else f"[{made.text}]"
                return Code(f"{text}[{listed}]", thing.kind)
            raise self.refuse(node, "columns by number")
        if made.kind == "string":
            return Code(f"{text}[{made.text}]", "number")
        if made.kind in ("strings", "series"):
            return Code(f"{text}[{made.text}]", thing.kind)
        at = ".iloc" if thing.kind == "series" else ""
        if key.kind == "unary" and key.text == "-" and key.parts[0].kind == "number":
            if key.parts[0].text.rstrip("L") != "1":
                raise self.refuse(node, "leaving out an element other than the first")
            return Code(f"{text}{at}[1:]", thing.kind, True, thing.element)
        if made.kind == "number":
            return Code(f"{text}{at}[{minus_one(made)}]", "number" if thing.kind == "series" else thing.element)
        if made.kind == "range":
            return Code(f"{text}{at}[{_as_slice(made.text)}]", thing.kind, True, thing.element)
        if made.kind == "vector":
            return Code(f"{text}{at}[{made.text}]", thing.kind)
        raise self.refuse(node, "indices of a kind that is not carried over")

    # ------------------------------------------------------------------------------------------- functions

    def _function(self, node: Node, scope: Scope) -> Code:
        """A function of one expression, as a lambda."""
        body = node.parts[0]
        while body.kind == "block" and len(body.parts) == 1:
            body = body.parts[0]
        if body.kind == "call" and body.text == "return" and len(body.args) == 1 and body.args[0].value is not None:
            body = body.args[0].value
        inner = self.parameters(node, scope)
        made = self.expression(body, inner)
        names = ", ".join(python_name(one.name or "x") for one in node.args)
        return Code(f"lambda {names}: {made.text}", "function", False, made.kind)

    def parameters(self, node: Node, scope: Scope, kinds: Mapping[str, Code] | None = None) -> Scope:
        """The scope inside a function: each parameter is what its uses and the run say it is."""
        inner = Scope({}, scope)
        for one in node.args:
            name = one.name or ""
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
                    place = self.by_place.get((node.start, node.end, node.kind))
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
        if name in UNSUPPORTED:
            raise self.refuse(node, UNSUPPORTED[name])
        if name in FITS:
            return self._fit(node, scope)
        if name in PRIORS and not scope.find(name):
            return self._prior(node, scope)
        made = self._verb(node, scope) if name in VERBS else None
        if made is None:
            made = self.functions[name](self, node, scope) if name in self.functions else None
        if made is not None:
            return made
        own = scope.find(name) if name else None
        if own is not None and own.kind == "function":
            given = [self._given(argument, scope) for argument in node.args]
            return Code(f"{own.text}({', '.join(given)})", own.element)
        raise self.refuse(node, f"{name or 'this call'} has no counterpart in mlmparity")

    def expression_of_call(self, node: Node, scope: Scope) -> Code:
        """A call that the text has in another form (``do.call``)."""
        return self._call(node, scope)

    def _given(self, argument: Argument, scope: Scope) -> str:
        if argument.value is None:
            raise Untranslatable(f"an argument {argument.name} without a value")
        text = self.expression(argument.value, scope).text
        return f"{python_name(argument.name)}={text}" if argument.name else text

    def _prior(self, node: Node, scope: Scope) -> Code:
        given = []
        for k, argument in enumerate(node.args):
            formals = PRIOR_FORMALS.get(node.text, ())
            name = argument.name or (formals[k] if k < len(formals) else None)
            if argument.value is None or name is None:
                raise self.refuse(node, "an argument of the prior that is not known")
            given.append(f"{name}={self.expression(argument.value, scope).text}")
        return Code(f"{self.imported(node.text)}({', '.join(given)})", "any")

    def _fit(self, node: Node, scope: Scope) -> Code:
        known = FITS[node.text]
        if known.python not in pyimpl.__all__:
            raise self.refuse(node, f"{node.text}() has no counterpart in mlmparity")
        place = self.by_place.get((node.start, node.end, node.kind))
        seen = self.seen.get(place.number, {}) if place else {}
        arguments = matched(node.args, known.positions)
        data, columns = self._data_of(node, arguments, seen, scope)
        given = [self._formula(node, arguments, seen, scope)]
        if data:
            given.append(data)
        for name, value in arguments.items():
            if name in ("formula", "data") or value is None:
                continue
            ours = known.rename.get(name, name.replace(".", "_"))
            if ours is None or (known.python == "lmer" and name in ("control", "start")):
                self._without(node, known.python, name, value, seen)
                continue
            if name == "subset":
                given.append(f"subset={quoted(self.source(value))}")
            elif name in ("weights", "offset"):
                given.append(f"{name}={self._weights(name, value, data, columns, seen, scope)}")
            elif name == "contrasts":
                given.append(f"contrasts={self.expression(value, scope).text}")
            elif value.kind == "name" and value.text.startswith("na."):
                given.append(f"{ours}={quoted(value.text)}")
            else:
                given.append(f"{ours}={self.expression(value, scope).text}")
        if known.python == "stan_lmer" and "seed" not in arguments:
            given.append(f"seed={self.seed}")
        if "contrasts" not in arguments and seen.get("contrasts"):
            given.append(f"contrasts={seen['contrasts']!r}")
        return Code(f"{self.imported(known.python)}({', '.join(given)})", "fit", True, known.python)

    def _without(self, node: Node, function: str, name: str, value: Node, seen: Mapping[str, object]) -> None:
        """Leave out an argument that has no meaning in Python; refuse a value of it that asks for another result."""
        rule = R_ARGUMENTS.get(function, {}).get(name)
        recorded = seen.get(name)
        plain: object = recorded if isinstance(recorded, str) else value.text if value.kind == "string" else None
        if rule is not None and plain is not None and not rule.accepts(plain):
            raise Refused(f"{node.text}(): {name} = {plain!r}, but expected is {rule.expected}: {rule.why}")
        self.noted.append(
            f"{name} = {self.source(value)} ({rule.why if rule else NO_MEANING.get(name, 'no meaning here')})"
        )

    def _formula(
        self, node: Node, arguments: Mapping[str, "Node | None"], seen: Mapping[str, object], scope: Scope
    ) -> str:
        value = arguments.get("formula")
        forced = seen.get("forced")
        if forced:
            return quoted(str(forced))
        if value is None:
            raise self.refuse(node, "a model without a formula")
        try:
            made = self.expression(value, scope)
            if made.kind in ("formula", "string", "any"):
                return made.text
            raise self.refuse(value, "not known to be a formula")
        except Untranslatable:
            formulas = seen.get("formulas", [])
            if isinstance(formulas, list) and len(set(formulas)) == 1:
                return quoted(str(formulas[0]))
            raise

    def _data_of(
        self, node: Node, arguments: Mapping[str, "Node | None"], seen: Mapping[str, object], scope: Scope
    ) -> tuple[str, list[str]]:
        value = arguments.get("data")
        if value is not None and value.kind == "name" and not seen.get("forced"):
            found = scope.names.get(value.text) if scope.outer is not None else None
            if found is not None and found.kind in ("data", "any"):
                return found.text, []
        frames = seen.get("frames", [])
        if isinstance(frames, list) and len(set(frames)) == 1:
            return self.frame_variable(frames[0]), list(seen.get("columns", []))  # type: ignore[call-overload]
        if isinstance(frames, list) and len(set(frames)) > 1:
            if value is not None:
                made = self.expression(value, scope)
                if made.kind == "data":
                    return made.text, []
            raise self.refuse(node, "the model is fitted to several data sets here")
        if value is not None:  # nothing was run: the text is all there is
            made = self.expression(value, scope)
            return made.text, []
        raise self.refuse(node, "the data of the model are not known")

    def _weights(
        self, name: str, value: Node, data: str, columns: list[str], seen: Mapping[str, object], scope: Scope
    ) -> str:
        """Weights or an offset: a column's name, the same expression, or the numbers that R had."""
        try:
            return self._column(value, data, columns, scope)
        except Untranslatable:
            vectors = seen.get("vectors", {})
            kept = vectors.get(name) if isinstance(vectors, dict) else None
            if kept is None:
                raise
            self.needs("read")
            return f'read("{kept}")["{name}"].to_numpy()'

    def _column(self, value: Node, data: str, columns: list[str], scope: Scope) -> str:
        if value.kind == "name" and (value.text in columns or scope.find(value.text) is None):
            return quoted(value.text)
        inner = Scope({one: Code(f"{data}[{quoted(one)}]", "series") for one in columns}, scope)
        return self.expression(value, inner).text

    # ----------------------------------------------------------------------------------------------- verbs

    def _verb(self, node: Node, scope: Scope) -> Code | None:
        """A call of one of our fits' methods; None where its first argument is no fit."""
        verb = VERBS[node.text]
        if not node.args or node.args[0].value is None:
            return None
        first = node.args[0].value
        if node.text == "coef" and first.kind == "call" and first.text == "summary" and first.args[0].value is not None:
            fit = self.expression(first.args[0].value, scope)
            if fit.kind == "fit":
                table = "satterthwaite()" if self._tests(fit) else "coef_table()"
                return Code(f"{fit.inside()}.{table}", "frame")
        fit = self.expression(first, scope)
        if node.text == "coef" and fit.kind == "summary":
            return Code(f"{fit.inside()}.coefficients", "frame")
        if fit.kind != "fit":
            return None
        if node.text == "print":
            return None
        if node.text in ("anova", "AIC", "BIC", "loo_compare"):
            return self._several(node, fit, scope)
        rest = matched(node.args[1:], verb.positions)
        given: list[str] = []
        for name, value in in_order(rest, verb.positions):
            ours = verb.rename.get(name, name.replace(".", "_"))
            if value is None:
                continue
            if ours is None:
                self.noted.append(f"{name} = {self.source(value)} ({NO_MEANING.get(name, 'no meaning here')})")
                continue
            if value.kind == "constant" and value.text == "NA" and ours == "re_form":
                given.append("re_form='~0'")
                continue
            text = self.expression(value, scope).text
            leading = name in ("specs", "formula") and not given
            given.append(text if leading else f"{ours}={text}")
        if node.text == "summary" and self._tests(fit) and "ddf" not in rest:
            given.append('ddf="Satterthwaite"')
        if verb.gives == "emmeans" and self.ddf and not any(one.startswith("ddf=") for one in given):
            given.append(f"ddf={quoted(self.ddf)}")
        if node.text == "coef" and fit.element == "lm":
            return Code(f"{fit.inside()}.coef()", "series")
        kind = {"table": "table", "intervals": "frame", "draws": "frame"}.get(verb.gives, verb.gives)
        if (
            kind == "emmeans" and given and re.match(r'"[^~]*[^~\s][^~]*~', given[0])
        ):  # pairwise ~ a: means and contrasts
            kind = "emmpair"
        return Code(f"{fit.inside()}.{verb.method}({', '.join(given)})", kind)

    def _tests(self, fit: Code) -> bool:
        return self.lmer_test

    def _several(self, node: Node, fit: Code, scope: Scope) -> Code:
        fits, names, rest = [], [], []
        for argument in node.args:
            if argument.value is None:
                continue
            if argument.name is None:
                made = self.expression(argument.value, scope)
                if made.kind != "fit":
                    raise self.refuse(node, "a comparison with something that is no fit")
                fits.append(made)
                names.append(self.source(argument.value))
            else:
                value = self.expression(argument.value, scope)
                rest.append(f"{argument.name.replace('.', '_')}={value.text}")
        if node.text == "anova":
            others = [one.text for one in fits[1:]]
            if others:
                rest.append(f"model_names=({', '.join(quoted(one) for one in names)})")
            elif self._tests(fit):
                for default in ('type="III"', 'ddf="Satterthwaite"'):
                    if not any(one.startswith(default.partition("=")[0] + "=") for one in rest):
                        rest.append(default)
            return Code(f"{fit.inside()}.anova({', '.join([*others, *rest])})", "frame")
        if len(fits) == 1:
            return Code(f"{fit.inside()}.{node.text}()", "number")
        self.needs("pd")
        listed = ", ".join(one.text for one in fits)
        labels = "{" + f"'df': [m.npar for m in ({listed})], '{node.text}': [m.{node.text}() for m in ({listed})]" + "}"
        return Code(f"pd.DataFrame({labels}, index={names!r})", "frame")


#: What makes the Python of one function of R.
Maker = Callable[[Translator, Node, Scope], Code]


# ------------------------------------------------------------------------------------------------ text


def quoted(text: str) -> str:
    """R's text as a string of Python's."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def minus_one(code: Code) -> str:
    """R's index, from 1, as Python's, from 0."""
    return str(int(code.text) - 1) if code.text.isdigit() else f"{code.inside()} - 1"


def plus_one(code: Code) -> str:
    """The end of a range that R includes."""
    return str(int(code.text) + 1) if code.text.isdigit() else f"{code.inside()} + 1"


def _as_slice(text: str) -> str:
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
