"""Statements of R as statements of Python: assignments, loops, branches, functions."""

import functools
from collections.abc import Callable, Mapping

from validation.migrate.code import (
    CLOSE,
    OPEN,
    Code,
    Scope,
    Untranslatable,
    as_slice,
    element_of,
    minus_one,
    nested,
    python_name,
    quoted,
)
from validation.migrate.instrument import Site
from validation.migrate.layout import as_comment, block_of, indented
from validation.migrate.provenance import root_name
from validation.migrate.rcode import Node
from validation.migrate.translate import Translator, is_several

__all__ = ["SHOWN", "Statements"]

#: What prepares R itself, within functions and loops.
_OF_R_ALONE = {"library", "require", "requireNamespace", "suppressPackageStartupMessages", "set.seed", "gc", "flush"}
#: What the k-th statement shows is marked by ``SHOWN + k``, where it is no watched call.
SHOWN = 1_000_000


class Statements:
    """Translates statements as they stand.

    Parameters
    ----------
    translator : Translator
    statements : list of Node
        All of the script.
    places : list of Site
    of_models : set of int
        Statements that compute from models: a column that one adds to data is computed in Python, too.

    Attributes
    ----------
    dropped : list of str
        What the present statement does without.
    bound : dict of str to str
        R's names that it gives values to at the top, and Python's variables for them.
    """

    def __init__(self, translator: Translator, statements: list[Node], places: list[Site], of_models: set[int]) -> None:
        self.translator, self.statements, self.places = translator, statements, places
        translator.define = self.define_before
        self.of_models = of_models
        self.dropped: list[str] = []
        self.bound: dict[str, str] = {}
        self.statement = 0
        self.depth = 0  # inside how many loops and functions: there data are made anew each time

    def begin(self, statement: int) -> None:
        """Begin a statement."""
        self.statement, self.dropped, self.bound = statement, [], {}

    def lines(self, node: Node, scope: Scope, top: bool = False) -> list[str]:
        """Python's lines for one statement, with the functions before it that it needs.

        Raises
        ------
        Untranslatable
        """
        return self._with_hoisted(lambda: self._lines(node, scope, top))

    def _with_hoisted(self, write: "Callable[[], list[str]]") -> list[str]:
        outer, self.translator.hoisted = self.translator.hoisted, []
        try:
            made = write()
            return [*self.translator.hoisted, *made]
        finally:
            self.translator.hoisted = outer

    def define_before(self, node: Node, scope: Scope, kinds: "Mapping[str, Code]") -> tuple[str, str]:
        """A function without a name, of several statements: defined before the statement; its name, and what it gives.

        Parameters
        ----------
        node : Node
            ``function(x) {...}``.
        scope : Scope
        kinds : mapping of str to Code
            What its parameters are, as far as that is known.
        """
        parameters = [python_name(one.name or "x") for one in node.args]
        name = "_".join(["for", *parameters])
        inner = self.translator.parameters(node, scope, kinds)
        defaults = [self.translator.expression(one.value, scope).text if one.value else "" for one in node.args]
        given = [f"{one}={default}" if default else one for one, default in zip(parameters, defaults, strict=True)]
        body = node.parts[0]
        self.depth += 1
        try:
            lines, kind = self._body(body.parts if body.kind == "block" else [body], body.kind == "block", inner)
        finally:
            self.depth -= 1
        made = [f"def {name}({', '.join(given)}):", *indented(lines), ""]
        if made not in [self.translator.hoisted[k : k + len(made)] for k in range(len(self.translator.hoisted))]:
            self.translator.hoisted += made
        return name, kind

    def _lines(self, node: Node, scope: Scope, top: bool = False) -> list[str]:
        if node.kind == "block":
            return [line for part in node.parts for line in self._inner(part, scope)]
        if node.kind == "assign":
            return self._assign(node, scope)
        if node.kind == "paren" and node.parts[0].kind == "assign":  # (x <- value): assigned and shown
            return self._assigned_and_shown(node.parts[0], scope, top)
        if node.kind == "for":
            return self._for(node, scope)
        if node.kind in ("if", "while"):
            return self._branch(node, scope)
        if node.kind == "repeat":
            return ["while True:", *indented(block_of(self.lines(node.parts[0], scope)))]
        if node.kind == "word":
            return [{"next": "continue"}.get(node.text, node.text)]
        if node.kind == "call" and node.text in _OF_R_ALONE:
            return []
        if node.kind == "call" and node.text == "return" and scope.outer is not None:
            value = node.args[0].value if node.args else None
            return ["return" if value is None else f"return {self.translator.expression(value, scope).text}"]
        if node.kind == "call" and node.text == "suppressWarnings" and len(node.args) == 1 and node.args[0].value:
            return self.lines(node.args[0].value, scope, top)
        if node.kind == "call" and node.text == "invisible" and len(node.args) == 1 and node.args[0].value:
            return self.lines(node.args[0].value, scope)
        if node.kind == "call" and node.text == "tryCatch":
            return self._tried(node, scope)
        if node.kind == "call" and node.text == "load" and len(node.args) == 1 and node.args[0].value is not None:
            return self._loaded(node.args[0].value, scope)
        if node.kind == "index" and any(one.kind == "assign" and one.text == ":=" for one in node.walk()):
            return self._changed_in_place(node, scope, top)
        made = self.translator.expression(node, scope)
        if made.kind == "function":
            raise self.translator.refuse(node, "a function that is not used")
        if top and made.kind != "none" and not made.text.lstrip(OPEN + "0123456789;").startswith("print("):
            watched = made.text.startswith(OPEN) and made.text.endswith(CLOSE) and made.text.count(CLOSE) == 1
            plain = watched or made.kind == "fit"
            text = made.text if plain else f"{OPEN}{SHOWN + self.statement};{made.text}{CLOSE}"
            return [f"print({text})"]
        return [made.text]

    def _assigned_and_shown(self, node: Node, scope: Scope, top: bool) -> list[str]:
        lines = self._assign(node, scope)
        made = self.translator.expression(node.parts[0], scope)
        marked = top and made.kind != "fit"
        text = f"{OPEN}{SHOWN + self.statement};{made.text}{CLOSE}" if marked else made.text
        return [*lines, f"print({text})"]

    def _inner(self, node: Node, scope: Scope) -> list[str]:
        """A statement inside a loop or a function; what only draws or shows is left out by name, the rest kept."""
        first_only = node.kind in ("for", "if", "while")
        comment = as_comment(f"line {node.line}: " + self.translator.code[node.start : node.end], first_only=first_only)
        try:
            return [*comment, *self.lines(node, scope)]
        except Untranslatable as reason:
            inside = [place for place in self.places if node.start <= place.node.start and place.node.end <= node.end]
            if node.kind != "call" or inside:
                raise
            self.dropped.append(f"line {node.line}: {reason}")
            comment[0] = comment[0].replace(": ", ": [NOT CARRIED OVER] ", 1)
            return comment

    def _assign(self, node: Node, scope: Scope) -> list[str]:
        target, value = node.parts
        if target.kind in ("name", "string"):
            if value.kind == "function":
                return self._define(target.text, value, scope)
            if value.kind == "assign":
                first = self._assign(value, scope)
                return [*first, *self._bind(target.text, self.translator.expression(value.parts[0], scope), scope)]
            if value.kind == "if" and len(value.parts) == 3:
                a, b, c = (
                    self.translator.expression(
                        part.parts[0] if part.kind == "block" and len(part.parts) == 1 else part, scope
                    )
                    for part in value.parts
                )
                return self._bind(
                    target.text, Code(f"{b.text} if {a.text} else {c.text}", b.kind, False, b.element), scope
                )
            if (
                value.kind == "call"
                and value.text in ("tryCatch", "try")
                and any(a.name == "error" for a in value.args)
            ):
                return self._guarded(target.text, value, scope)
            if value.kind == "call" and value.text in ("list", "c") and not value.args:
                return self._bind(target.text, Code("{}", "dict"), scope)
            if value.kind == "constant" and value.text == "NULL":
                return self._bind(target.text, Code("{}", "dict"), scope)
            if value.kind == "call" and value.text == "vector" and value.args and value.args[0].value.text == "list":  # type: ignore[union-attr]
                return self._bind(target.text, Code("{}", "dict"), scope)
            if (
                value.kind == "call"
                and value.text in ("numeric", "double")
                and len(value.args) == 1
                and value.args[0].value
            ):
                length = self.translator.expression(value.args[0].value, scope)
                return self._bind(target.text, Code(f"np.zeros({length.text})", "vector", True, "number"), scope)
            return self._bind(target.text, self.translator.expression(value, scope), scope)
        if target.kind == "call" and target.text in ("names", "colnames") and len(target.args) == 1:
            lines = self._name_parts(target, value, scope)
            if lines is not None:
                return lines
        if target.kind == "index" and target.parts[0].kind == "call" and target.parts[0].text in ("names", "colnames"):
            return self._rename_parts(target, value, scope)
        if target.kind in ("index", "dollar") and target.parts[0].kind == "name":
            return self._assign_part(target, value, scope)
        raise self.translator.refuse(node, "an assignment of this kind")

    def _name_parts(self, target: Node, value: Node, scope: Scope) -> list[str] | None:
        """``names(x) <- ...``; None where there is nothing like it for what ``x`` is."""
        owner = target.args[0].value
        thing = scope.find(owner.text) if owner is not None and owner.kind == "name" else None
        if owner is None or thing is None:
            return None
        if thing.kind == "frame":
            return [f"{thing.text}.columns = {self.translator.expression(value, scope).text}"]
        if target.text == "names" and thing.kind in ("vector", "series"):
            labels = self.translator.expression(value, scope).text
            named = f"pd.Series(np.asarray({thing.text}), index=list({labels}))"
            return self._bind(owner.text, Code(named, "series"), scope)
        if target.text == "names" and thing.kind in ("dict", "numbered"):
            labels = self.translator.expression(value, scope).text
            named = f"dict(zip({labels}, {thing.text}.values()))"
            return self._bind(owner.text, Code(named, "dict", True, thing.element), scope)
        if target.text == "names" and thing.kind == "list":
            labels = self.translator.expression(value, scope).text
            named = f"dict(zip({labels}, {thing.text}))"
            return self._bind(owner.text, Code(named, "dict", True, thing.element), scope)
        return None

    def _rename_parts(self, target: Node, value: Node, scope: Scope) -> list[str]:
        """``names(x)[2] <- "b"``, ``names(x)[names(x) == "a"] <- "b"``, of a table that Python made."""
        call, key = target.parts[0], target.args[0].value if len(target.args) == 1 else None
        owner = call.args[0].value if len(call.args) == 1 else None
        thing = scope.find(owner.text) if owner is not None and owner.kind == "name" else None
        if thing is None or thing.kind != "frame" or key is None or owner is None:
            raise self.translator.refuse(target, "the data are kept as R had them after this step")
        new, columns = self.translator.expression(value, scope), f"{thing.text}.columns"
        if new.kind == "string" and key.kind == "binary" and key.text == "==" and key.parts[1].kind == "string":
            pairs = f"{{{quoted(key.parts[1].text)}: {new.text}}}"
        else:
            at = self.translator.expression(key, scope)
            if new.kind == "string" and at.kind == "number":
                pairs = f"{{{columns}[{minus_one(at)}]: {new.text}}}"
            elif new.kind == "strings" and at.kind in ("range", "vector"):
                places = f"[{as_slice(at.text)}]" if at.kind == "range" else f"[np.array({at.text}) - 1]"
                pairs = f"dict(zip({columns}{places}, {new.text}))"
            else:
                raise self.translator.refuse(target, "an assignment of this kind")
        if scope.outer is None:
            self.bound[owner.text] = thing.text
        return [f"{thing.text} = {thing.text}.rename(columns={pairs})"]

    def _bind(self, name: str, made: Code, scope: Scope) -> list[str]:
        computed = self.statement in self.of_models
        if made.kind == "data" and not self.depth and not computed:
            raise Untranslatable("the data are kept as R had them after this step")
        variable = python_name(name)
        scope.names[name] = Code(variable, made.kind, True, made.element)
        if scope.outer is None:
            self.bound[name] = variable
        if variable == made.text:
            return []
        return [f"{variable} = {made.text}"]

    def _assign_part(self, target: Node, value: Node, scope: Scope) -> list[str]:
        owner = target.parts[0].text
        thing = scope.find(owner)
        if thing is not None and thing.kind == "frame":
            return self._assign_cells(thing, target, value, scope)
        computed = self.statement in self.of_models and scope.outer is None
        if thing is not None and thing.kind == "data" and target.kind == "dollar" and computed:
            lines = self._assign_cells(thing, target, value, scope)  # a column that a model gave
            scope.names[owner] = thing
            return lines
        if thing is None or thing.kind not in ("dict", "numbered", "vector", "list"):
            raise self.translator.refuse(target, "the data are kept as R had them after this step")
        made = self.translator.expression(value, scope)
        if target.kind == "dollar":
            key = Code(repr(target.parts[1].text), "string")
        elif len(target.args) == 1 and target.args[0].value is not None:
            key = self.translator.expression(target.args[0].value, scope)
        else:
            raise self.translator.refuse(target, "an assignment of this kind")
        kind, place = thing.kind, key.text
        if thing.kind in ("dict", "numbered"):
            kind = "dict" if key.kind == "string" else "numbered"
        elif key.kind == "number":
            place = str(int(key.text) - 1) if key.text.isdigit() else f"{key.inside()} - 1"
        where: Scope | None = scope
        while where is not None and owner not in where.names:
            where = where.outer
        if where is not None:
            where.names[owner] = Code(thing.text, kind, True, nested(made))
            if where.outer is None:
                self.bound[owner] = thing.text
        return [f"{thing.text}[{place}] = {made.text}"]

    def _assign_cells(self, thing: Code, target: Node, value: Node, scope: Scope) -> list[str]:
        """``d$x <- ...`` and ``d[rows, "x"] <- ...`` of a table that Python made."""
        made = self.translator.expression(value, scope)
        if scope.outer is None:
            self.bound[target.parts[0].text] = thing.text
        if target.kind == "dollar":
            return [f"{thing.text}[{quoted(target.parts[1].text)}] = {self.translator.by_place(made)}"]
        keys = [argument.value for argument in target.args]
        if target.text == "[" and len(keys) == 2 and keys[0] is not None and keys[1] is not None:
            rows, column = (self.translator.expression(key, scope) for key in keys if key is not None)
            if rows.kind in ("series", "vector") and column.kind == "string":
                return [f"{thing.text}.loc[{rows.text}, {column.text}] = {made.text}"]
        if target.text == "[[" and len(keys) == 1 and keys[0] is not None and keys[0].kind == "string":
            return [f"{thing.text}[{quoted(keys[0].text)}] = {made.text}"]
        raise self.translator.refuse(target, "an assignment of this kind")

    def _changed_in_place(self, node: Node, scope: Scope, top: bool) -> list[str]:
        """data.table's ``x[, a := b]``; with ``[]`` behind it, shown."""
        shown = not any(one.value is not None for one in node.args)
        owner = root_name(node)
        thing = scope.find(owner)
        computed = self.statement in self.of_models and scope.outer is None
        if thing is None or (thing.kind != "frame" and not (thing.kind == "data" and computed)):
            raise self.translator.refuse(node, "the data are kept as R had them after this step")
        made = self.translator.expression(node.parts[0] if shown else node, scope)
        scope.names[owner] = Code(thing.text, thing.kind, thing.atom, "data.table")
        if scope.outer is None:
            self.bound[owner] = thing.text
        lines = [f"{thing.text} = {made.text}"]
        if shown and top:
            lines.append(f"print({OPEN}{SHOWN + self.statement};{thing.text}{CLOSE})")
        return lines

    def _loaded(self, file: Node, scope: Scope) -> list[str]:
        """``load("a.RData")`` of what ``save()`` wrote before."""
        made = self.translator.expression(file, scope)
        kept = self.translator.bundles.get(made.text)
        if kept is None:
            raise self.translator.refuse(file, "a file that the script did not write")
        for name, code in kept.items():
            scope.names[name] = code
            self.bound[name] = code.text
        return [f"{', '.join(code.text for code in kept.values())}, = pd.read_pickle({made.text}).values()"]

    def _tried(self, call: Node, scope: Scope) -> list[str]:
        """``tryCatch({...}, error = function(e) ..., finally = ...)`` as a statement."""
        tried = next((a.value for a in call.args if a.name in (None, "expr")), None)
        handler = next((a.value for a in call.args if a.name == "error"), None)
        last = next((a.value for a in call.args if a.name == "finally"), None)
        if tried is None or any(a.name not in (None, "expr", "error", "finally") for a in call.args):
            raise self.translator.refuse(call, "tryCatch() of this kind")
        if handler is not None and (handler.kind != "function" or len(handler.args) > 1):
            raise self.translator.refuse(call, "tryCatch() with a handler that is no function of one argument")
        lines = ["try:", *indented(block_of(self.lines(tried, scope)))]
        if handler is not None:
            name = (handler.args[0].name if handler.args else "") or "e"
            asked = any(one.kind == "name" and one.text == name for one in handler.parts[0].walk())
            inner = Scope({name: Code(python_name(name), "condition")}, scope)
            said = f" as {python_name(name)}" if asked else ""
            lines += [f"except Exception{said}:", *indented(block_of(self.lines(handler.parts[0], inner)))]
        if last is not None:
            lines += ["finally:", *indented(block_of(self.lines(last, scope)))]
        return lines if handler is not None or last is not None else self.lines(tried, scope)

    def _guarded(self, name: str, call: Node, scope: Scope) -> list[str]:
        """``x <- tryCatch(a, error = function(e) b)``; a handler of one expression that leaves the error alone."""
        tried = next((a.value for a in call.args if a.name in (None, "expr")), None)
        handler = next((a.value for a in call.args if a.name == "error"), None)
        others = [a.name for a in call.args if a.name not in (None, "expr", "error", "silent")]
        if tried is None or handler is None or handler.kind != "function" or len(handler.args) > 1 or others:
            raise self.translator.refuse(call, f"{call.text}() of this kind")
        error = handler.args[0].name if handler.args else ""
        body = handler.parts[0]
        steps = body.parts if body.kind == "block" else [body]
        if not steps:
            raise self.translator.refuse(call, f"{call.text}() of this kind")
        asked = any(one.kind == "name" and one.text == error for one in body.walk())
        inner = Scope({error or "": Code(python_name(error or "e"), "condition")}, scope)
        made = self.translator.expression(tried, scope)
        before = [line for step in steps[:-1] for line in self._inner(step, inner)]
        last = steps[-1].args[0].value if steps[-1].kind == "call" and steps[-1].text == "return" else steps[-1]
        if last is None:
            raise self.translator.refuse(call, f"{call.text}() of this kind")
        other = self.translator.expression(last, inner)
        variable = python_name(name)
        caught = f"except Exception as {python_name(error or 'e')}:" if asked else "except Exception:"
        lines = self._bind(name, made, scope)
        if lines != [f"{variable} = {made.text}"]:
            raise self.translator.refuse(call, f"{call.text}() of this kind")
        return ["try:", *indented(lines), caught, *indented(before), f"    {variable} = {other.text}"]

    def _define(self, name: str, node: Node, scope: Scope) -> list[str]:
        body = node.parts[0]
        calls = [n for s in self.statements for n in s.walk() if n.kind == "call" and n.text == name]
        kinds: dict[str, Code] = {}
        for call in calls:  # what its arguments are where it is called
            waiting = [one.name or "" for one in node.args]
            for argument in call.args:
                formal = argument.name or (waiting[0] if waiting else "")
                if formal in waiting:
                    waiting.remove(formal)
                if argument.value is not None and argument.value.kind == "string":
                    kinds.setdefault(formal, Code("", "string"))
                elif argument.value is not None and argument.value.kind == "number":
                    kinds.setdefault(formal, Code("", "number"))
        dots = any(
            argument.name is not None and argument.name not in [one.name for one in node.args]
            for call in calls
            for argument in call.args
        )
        defaults = {
            one.name or "": self.translator.expression(one.value, scope) for one in node.args if one.value is not None
        }
        for formal, code in defaults.items():
            kinds.setdefault(formal, Code("", code.kind, True, code.element))
        inner = self.translator.parameters(node, scope, kinds, dots=dots)
        inner.names["Recall"] = Code(python_name(name), "function")
        given = []
        for one in node.args:
            if one.name == "...":
                continue
            default = f"={defaults[one.name].text}" if one.name in defaults else ""
            given.append(f"{python_name(one.name or '')}{default}")
        steps = body.parts if body.kind == "block" else [body]
        self.depth += 1
        try:
            lines, kind = self._body(steps, body.kind == "block", inner)
        finally:
            self.depth -= 1
        scope.names[name] = Code(python_name(name), "function", True, kind)
        return [f"def {python_name(name)}({', '.join(given)}):", *indented(lines)]

    def _body(self, steps: list[Node], block: bool, inner: Scope) -> tuple[list[str], str]:
        """The lines of a function, and the kind of what it returns."""
        lines: list[str] = []
        given: list[Code] = []
        for k, step in enumerate(steps):
            returned = step.args[0].value if step.kind == "call" and step.text == "return" and step.args else None
            last = k == len(steps) - 1 and step.kind not in ("for", "while", "assign")
            last = last and not (step.kind == "if" and len(step.parts) < 3)
            if returned is None and not last:
                lines += self._inner(step, inner) if block else self.lines(step, inner)
                if step.kind == "assign" and k == len(steps) - 1:  # its value is what the function gives
                    made = self.translator.expression(step.parts[0], inner)
                    given, lines = [made], [*lines, f"return {made.text}"]
                continue
            value = returned if returned is not None else step
            if value.kind == "if" and any(is_several(part) for part in value.parts[1:]):
                lines += self._inner_returns(value, inner, given)
                continue
            text = self.translator.code[step.start : step.end]
            lines += as_comment(f"line {step.line}: {text}") if block else []
            lines += self._with_hoisted(functools.partial(self._return, value, inner, given))
        kinds = {nested(one) for one in given}
        return lines, kinds.pop() if len(kinds) == 1 else "any"

    def _return(self, value: Node, inner: Scope, given: list[Code]) -> list[str]:
        given.append(self.translator.expression(value, inner))
        return [f"return {given[-1].text}"]

    def _inner_returns(self, node: Node, inner: Scope, given: list[Code]) -> list[str]:
        """``if (a) {...} else {...}`` at a function's end: each branch returns what its last statement gives."""
        condition = self.translator.expression(node.parts[0], inner)
        lines = [f"if {condition.text}:"]
        for k, part in enumerate(node.parts[1:]):
            body, kind = self._body(part.parts if part.kind == "block" else [part], part.kind == "block", inner)
            given.append(element_of("", kind))
            lines += [*(["else:"] if k else []), *indented(block_of(body))]
        return lines

    def _for(self, node: Node, scope: Scope) -> list[str]:
        over = self.translator.expression(node.parts[0], scope)
        element = {"range": "number", "strings": "string", "frames": "frame"}.get(over.kind, over.element)
        text = over.text
        if over.kind in ("dict", "frames"):
            text = f"{over.inside()}.values()"
        elif over.kind == "string":
            text, element = f"[{over.text}]", "string"
        elif over.kind not in ("range", "strings", "list", "vector"):
            raise self.translator.refuse(node.parts[0], "a loop over something that is no list")
        scope.names[node.text] = element_of(python_name(node.text), element)
        self.depth += 1
        try:
            body = self.lines(node.parts[1], scope)
        finally:
            self.depth -= 1
        return [f"for {python_name(node.text)} in {text}:", *indented(block_of(body))]

    def _branch(self, node: Node, scope: Scope) -> list[str]:
        condition = self.translator.expression(node.parts[0], scope)
        lines = [f"{node.kind} {condition.text}:", *indented(block_of(self.lines(node.parts[1], scope)))]
        if len(node.parts) == 3:
            lines += ["else:", *indented(block_of(self.lines(node.parts[2], scope)))]
        return lines
