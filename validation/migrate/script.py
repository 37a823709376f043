"""The Python script: R's statements, one by one, each as a comment above what stands for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from validation.migrate.functions import FUNCTIONS, is_translated
from validation.migrate.instrument import Site, sites
from validation.migrate.layout import Span, as_comment, block_of, head_of, indented, one_line, without_marks, wrapped
from validation.migrate.means import MEANS
from validation.migrate.rcode import Argument, Node
from validation.migrate.sources import Source
from validation.migrate.translate import (
    CLOSE,
    OPEN,
    Code,
    Refused,
    Scope,
    Translator,
    Untranslatable,
    element_of,
    nested,
    python_name,
)
from validation.migrate.values import r_frame, r_literal
from validation.migrate.watch import Watched
from validation.migrate.watched import FITS, PLOTS, UNSUPPORTED, VERBS, words

__all__ = ["Piece", "Script", "Span", "without_marks", "write_script"]

_QUIET = words(
    """
    library require suppressPackageStartupMessages set.seed rm attach detach setwd options install.packages
    requireNamespace
    invisible source data theme_set gc Sys.time proc.time sessionInfo
    """
)
# what makes data out of data; what it made is in the data that were kept
_WRANGLING = words(
    """
    subset with within transform filter mutate select arrange group_by na.omit droplevels factor as.factor
    relevel ifelse merge left_join rename return function local aggregate ave scale cut interaction is.na
    complete.cases order rev sort rep which split reformulate tryCatch try stopifnot setdiff vector character
    numeric
    """
)


@dataclass
class Piece:
    """What became of one statement of R.

    Attributes
    ----------
    statement : int
    line : int
        Its first line in the script of R.
    text : str
    status : str
        ``carried`` (Python does it), ``data`` (its result is kept in the data or as a value), ``setup`` (nothing to do
        in Python), ``left`` (not carried over).
    why : str
        Of what was left, and of what was carried over with less than everything.
    note : str
        Arguments that were left out because they change nothing in Python.
    file : str
        Where it is not the script's: of a file that the script reads by ``source()``.
    code : list of str
        Python's lines, with the marks of :mod:`validation.migrate.translate`.
    """

    statement: int
    line: int
    text: str
    status: str
    why: str = ""
    code: list[str] = field(default_factory=list)
    note: str = ""
    file: str = ""


@dataclass
class Script:
    """The finished script.

    Attributes
    ----------
    text : str
    spans : list of Span
    pieces : list of Piece
    frames : dict of str to DataFrame
        File name (without its ending) -> data.
    first_lines : dict of int to int
        Statement -> the line of the script where its Python begins.
    sites : list of Site
    assumed : list of str
        Names that were taken for data, where nothing was run.
    """

    text: str
    spans: list[Span]
    pieces: list[Piece]
    frames: dict[str, pd.DataFrame]
    first_lines: dict[int, int]
    sites: list[Site]
    assumed: list[str] = field(default_factory=list)


class _Writer:
    """Writes the statements in order; knows what R had at each."""

    def __init__(
        self,
        source: Source,
        statements: list[Node],
        watched: Watched | None,
        unrolled: set[int],
        left: Mapping[int, str],
    ):
        self.source, self.statements, self.watched = source, statements, watched
        self.unrolled, self.left = unrolled, left
        self.places = sites(statements)
        self.events = watched.events if watched else []
        self.vectors: dict[str, pd.DataFrame] = {}  # weights and offsets that are no columns, as R had them
        self.seen = self._seen()
        self.names: dict[int, str] = {}  # frame -> Python's variable
        self.prelude: list[str] = []
        self.top = Scope(recorded=self._recorded)
        self.statement = 0
        self.fits: dict[int, str] = {}  # fit -> Python's expression for it
        self.dropped: list[str] = []  # what the present statement does without
        tests = any("lmerModLmerTest" in event["fit"]["classes"] for event in self.events if event["event"] == "fit")
        loaded = any(
            n.kind == "call"
            and n.text in ("library", "require")
            and n.args
            and n.args[0].value is not None
            and n.args[0].value.text == "lmerTest"
            for s in statements
            for n in s.walk()
        )
        self.translator = Translator(
            source.code,
            self.places,
            self.seen,
            self.frame_variable,
            tests or (loaded and not watched),
            {**FUNCTIONS, **MEANS},
        )
        if watched is None:
            self.translator.assumed = set()

    # ----------------------------------------------------------------------------------- what R was seen to do

    def _seen(self) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for event in self.events:
            if event["event"] not in ("fit", "value"):
                continue
            one = found.setdefault(int(event["site"]), {"frames": [], "formulas": [], "columns": [], "of_fit": True})
            if event["event"] == "fit":
                fit = event["fit"]
                one["algorithm"] = fit.get("algorithm")
                if "frame" in fit:
                    one["frames"].append(int(fit["frame"]))
                    one["columns"] = self._frame(int(fit["frame"])).get("names", [])
                one["formulas"].append(fit.get("formula", ""))
                one["contrasts"] = self._contrasts(fit)
                one["vectors"] = {}
                for argument in ("weights", "offset"):
                    values = fit.get(argument, {}).get("value", {})
                    if values.get("type") in ("double", "integer"):
                        key = f"{argument}_{event['number']}"
                        self.vectors[key] = pd.DataFrame({argument: [float(v) for v in values["values"]]})
                        one["vectors"][argument] = key
            elif event.get("of") is None:
                one["of_fit"] = False
        return found

    def _frame(self, number: int) -> dict[str, Any]:
        return self.watched.frames.get(number, {}) if self.watched else {}

    def _contrasts(self, fit: Mapping[str, Any]) -> dict[str, str] | None:
        """The contrasts that R's options gave a model, where they are not R's defaults."""
        option = fit.get("contrasts_option", [])
        if option in ([], ["contr.treatment", "contr.poly"]) or "frame" not in fit:
            return None
        frame, out = self._frame(int(fit["frame"])), {}
        for name, column in zip(frame.get("names", []), frame.get("columns", []), strict=True):
            bare = fit.get("formula", "").split("(")[0]
            if column["type"] in ("factor", "ordered", "character") and re.search(
                rf"(?<![\w.]){re.escape(name)}(?![\w.])", bare
            ):
                out[name] = option[1 if column["type"] == "ordered" else 0]
        return out or None

    def frame_variable(self, number: int) -> str:
        """The variable that holds a frame; the line that reads it comes before the statement that first needs it."""
        if number in self.names:
            return self.names[number]
        stored = self._frame(number)
        if not stored:
            raise Untranslatable("the data of this model are too large to be kept")
        base = python_name(stored.get("name") or "data")
        name, k = base, 2
        while name in self.names.values() or (name in {c.text for c in self.top.names.values()}):
            name, k = f"{base}_{k}", k + 1
        self.names[number] = name
        self.translator.needs("read")
        self.prelude.append(f'{name} = read("{name}")')
        return name

    def _recorded(self, name: str) -> Code | None:
        """What a name was in R when the present statement began."""
        latest = None
        for event in self.events:
            if event["event"] == "variable" and event["name"] == name and int(event["statement"]) < self.statement:
                latest = event
        if latest is None:
            return None
        if latest.get("frame"):
            return Code(self.frame_variable(int(latest["frame"])), "data")
        value = latest.get("value", {"type": "other"})
        if value["type"] == "fit" and int(value["fit"]) in self.fits:
            return Code(self.fits[int(value["fit"])], "fit")
        literal = r_literal(value)
        if literal is None:
            return None
        code, kind = literal
        for module in ("np", "pd"):
            if f"{module}." in code:
                self.translator.needs(module)
        variable = python_name(name)
        self.prelude.append(f"{variable} = {code}  # as R had it")
        element = {"strings": "string", "vector": "number"}.get(kind, "any")
        self.top.names[name] = Code(variable, kind, True, element)
        return self.top.names[name]

    # ------------------------------------------------------------------------------------------- statements

    def pieces(self) -> list[Piece]:
        """Every statement's piece, in order."""
        found = []
        for k, node in enumerate(self.statements):
            self.statement, self.prelude = k, []
            self.translator.noted = []
            piece = self._piece(k, node)
            piece.note = "; ".join(dict.fromkeys(self.translator.noted)) if piece.status == "carried" else ""
            if piece.status in ("data", "left"):
                self._forget(k)
            piece.code = [*self.prelude, *piece.code] if piece.status == "carried" else []
            found.append(piece)
            self._learn(k)
        return found

    def _piece(self, k: int, node: Node) -> Piece:
        text = self.source.code[node.start : node.end]
        piece = Piece(k, node.line, text, "carried", file=self.source.file(node.start))
        if self.watched is not None and not any(
            e["event"] == "statement" and int(e["statement"]) == k for e in self.events
        ):
            piece.status, piece.why = "left", "R did not get here: " + (self.watched.error or "it ended before")
            return piece
        stopped = [e for e in self.events if e["event"] == "error" and int(e["statement"]) == k]
        if stopped and self.watched is not None and self.watched.error:
            piece.status, piece.why = "left", f"R stopped here: {stopped[0]['message']}"
            return piece
        if k in self.left:
            piece.status, piece.why = "left", self.left[k]
            return piece
        name = node.text if node.kind == "call" else ""
        if name == "set.seed" and node.args and node.args[0].value is not None and node.args[0].value.kind == "number":
            self.translator.seed = node.args[0].value.text.rstrip("L")
        if (
            name == "assign"
            and len(node.args) >= 2
            and node.args[0].value is not None
            and node.args[1].value is not None
        ):
            target, value = node.args[0].value, node.args[1].value
            if target.kind == "string":
                node = Node("assign", "<-", [Node("name", target.text), value], [], node.start, node.end, node.line)
        if name in _QUIET:
            piece.status = "setup"
            if name == "source":
                piece.status, piece.why = (
                    "left",
                    "source() of a file that is not beside the script, or not by its name: its models are not watched",
                )
            return piece
        if name == "emm_options" and len(node.args) == 1 and node.args[0].name == "lmer.df":
            method = node.args[0].value
            if method is not None and method.kind == "string":
                self.translator.ddf, piece.status = method.text, "setup"
                return piece
        if k not in self.unrolled:
            names, fits, frames = dict(self.top.names), dict(self.fits), dict(self.names)
            try:
                self.dropped = []
                piece.code = self.lines(node, self.top, top=True)
                piece.why = "; ".join(dict.fromkeys(self.dropped))
                return piece
            except Untranslatable as reason:
                piece.why = str(reason)
                self.top.names, self.fits, self.names, self.prelude = names, fits, frames, []
        return self._as_seen(k, node, piece)

    def _as_seen(self, k: int, node: Node, piece: Piece) -> Piece:
        """What R was seen to do in a statement that can't be said as it stands."""
        here = [event for event in self.events if int(event.get("statement", -1)) == k]
        fits = [event for event in here if event["event"] == "fit"]
        values = [event for event in here if event["event"] == "value" and event.get("of")]
        unsupported = sorted({n.text for n in node.walk() if n.kind == "call" and n.text in UNSUPPORTED})
        if fits or values:
            try:
                code, why = self._unroll(k, node, here)
                if code:
                    piece.code, piece.status, piece.why = code, "carried", why
                    piece.why = "; ".join(dict.fromkeys([*([why] if why else []), *self._unsaid(node)]))
                    return piece
                piece.why = why or piece.why
            except Untranslatable as reason:
                piece.why = str(reason)
            piece.status = "left"
            return piece
        kept = [event for event in here if event["event"] == "variable"] or self._is_data(node)
        plots = any(n.kind == "call" and n.text in PLOTS for n in node.walk())
        if kept and not unsupported and not plots:
            piece.status, piece.why = "data", "what it made is kept as R had it"
            return piece
        if unsupported:
            piece.why = "; ".join(f"{u}(): {UNSUPPORTED[u]}" for u in unsupported)
        elif plots:
            piece.why = "a plot"
        elif not piece.why:
            piece.why = "no counterpart in mlmparity"
        if node.kind == "assign" and node.parts[1].kind == "function" and self.watched is not None:
            piece.status, piece.why = "data", "a function; what its calls did stands where it is called"
            return piece
        piece.status = "left"
        return piece

    def _is_data(self, node: Node) -> bool:
        """Whether a statement prepares a data frame: R's is kept, though this step may have left it as it was."""
        target = node.parts[0] if node.kind == "assign" else node
        while target.kind in ("index", "dollar", "call") and node.kind == "assign":
            inner = target.args[0].value if target.kind == "call" and target.args else target.parts[0]
            if inner is None or inner is target:
                break
            target = inner
        return node.kind == "assign" and any(
            event["event"] == "variable" and event["name"] == target.text and event.get("frame")
            for event in self.events
        )

    def _unsaid(self, node: Node) -> list[str]:
        """Calls in a statement that nothing stands for, though its models are carried over."""
        own = {s.parts[0].text for s in self.statements if s.kind == "assign" and s.parts[1].kind == "function"}
        out = []
        for call in node.walk():
            name = call.text if call.kind == "call" else ""
            if (
                not name
                or name in FITS
                or name in VERBS
                or name in MEANS
                or name in _WRANGLING
                or name in own
                or is_translated(name)
            ):
                continue
            if name in UNSUPPORTED:
                out.append(f"{name}(): {UNSUPPORTED[name]}")
            elif name in PLOTS:
                out.append(f"{name}(): a plot")
            elif not self._inside_data(call, node):
                out.append(f"{name}(): no counterpart in mlmparity")
        return out

    def _inside_data(self, call: Node, statement: Node) -> bool:
        """Whether a call stands in an argument of a model, where the data already have its result."""
        for node in statement.walk():
            fits = node.kind == "call" and node.text in FITS
            if fits and call is not node and node.start <= call.start and call.end <= node.end:
                return True
        return False

    def _forget(self, k: int) -> None:
        """What R's statement changed and Python's script did not: a name's value of before must not stand for it."""
        for event in self.events:
            if event["event"] == "variable" and int(event["statement"]) == k:
                self.top.names.pop(event["name"], None)

    def _learn(self, k: int) -> None:
        """Which variable holds which fit, from what R was seen to have after the statement."""
        for event in self.events:
            if event["event"] != "variable" or int(event["statement"]) != k:
                continue
            value, name = event.get("value", {}), event["name"]
            known = self.top.names.get(name)
            if known is None:
                continue
            if value.get("type") == "fit":
                self.fits.setdefault(int(value["fit"]), known.text)
            elif value.get("type") == "list":
                self._learn_items(known, value)

    def _learn_items(self, known: Code, value: Mapping[str, Any]) -> None:
        """The fits in a list, and in the lists in it."""
        keys = value.get("names")
        for i, item in enumerate(value["items"]):
            key = repr(keys[i]) if keys and keys[i] and known.kind == "dict" else str(i)
            inner = element_of(f"{known.text}[{key}]", known.element)
            if item.get("type") == "fit":
                self.fits.setdefault(int(item["fit"]), inner.text)
            elif item.get("type") == "list" and inner.kind in ("dict", "list"):
                self._learn_items(inner, item)

    # ---------------------------------------------------------------------------------- statements, as they stand

    def lines(self, node: Node, scope: Scope, top: bool = False) -> list[str]:
        """Python's lines for one statement.

        Raises
        ------
        Untranslatable
        """
        if node.kind == "block":
            return [line for part in node.parts for line in self._inner(part, scope)]
        if node.kind == "assign":
            return self._assign(node, scope)
        if node.kind == "for":
            return self._for(node, scope)
        if node.kind in ("if", "while"):
            return self._branch(node, scope)
        if node.kind == "word":
            return [{"next": "continue"}.get(node.text, node.text)]
        if node.kind == "call" and node.text == "return" and scope.outer is not None:
            value = node.args[0].value if node.args else None
            return ["return" if value is None else f"return {self.translator.expression(value, scope).text}"]
        if node.kind == "call" and node.text == "suppressWarnings" and len(node.args) == 1 and node.args[0].value:
            return self.lines(node.args[0].value, scope, top)
        made = self.translator.expression(node, scope)
        if made.kind == "function":
            raise self.translator.refuse(node, "a function that is not used")
        if top and made.kind != "none" and not made.text.lstrip(OPEN + "0123456789;").startswith("print("):
            return [f"print({made.text})"]
        return [made.text]

    def _inner(self, node: Node, scope: Scope) -> list[str]:
        """A statement inside a loop or a function; what only draws or shows is left out by name, the rest kept."""
        first_only = node.kind in ("for", "if", "while")
        comment = as_comment(f"line {node.line}: " + self.source.code[node.start : node.end], first_only=first_only)
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
                self.translator.needs("np")
                length = self.translator.expression(value.args[0].value, scope)
                return self._bind(target.text, Code(f"np.zeros({length.text})", "vector", True, "number"), scope)
            return self._bind(target.text, self.translator.expression(value, scope), scope)
        if target.kind == "call" and target.text in ("names", "colnames") and len(target.args) == 1:
            owner = target.args[0].value
            frame = scope.find(owner.text) if owner is not None and owner.kind == "name" else None
            if frame is not None and frame.kind in ("vector", "series") and target.text == "names":
                self.translator.needs("np")
                self.translator.needs("pd")
                labels = self.translator.expression(value, scope).text
                named = Code(f"pd.Series(np.asarray({frame.text}), index=list({labels}))", "series")
                return self._bind(owner.text, named, scope)  # type: ignore[union-attr]
            if frame is not None and frame.kind == "frame":
                return [f"{frame.text}.columns = {self.translator.expression(value, scope).text}"]
        if target.kind in ("index", "dollar") and target.parts[0].kind == "name":
            return self._assign_part(target, value, scope)
        raise self.translator.refuse(node, "an assignment of this kind")

    def _bind(self, name: str, made: Code, scope: Scope) -> list[str]:
        if made.kind == "data":
            raise Untranslatable("the data are kept as R had them after this step")
        variable = python_name(name)
        scope.names[name] = Code(variable, made.kind, True, made.element)
        if variable == made.text:
            return []
        return [f"{variable} = {made.text}"]

    def _assign_part(self, target: Node, value: Node, scope: Scope) -> list[str]:
        owner = target.parts[0].text
        thing = scope.find(owner)
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
        return [f"{thing.text}[{place}] = {made.text}"]

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
        inner = self.translator.parameters(node, scope, kinds)
        given = []
        for one in node.args:
            default = "" if one.value is None else f"={self.translator.expression(one.value, scope).text}"
            given.append(f"{python_name(one.name or '')}{default}")
        steps = body.parts if body.kind == "block" else [body]
        lines: list[str] = []
        kind = "any"
        for k, step in enumerate(steps):
            if (
                k < len(steps) - 1
                or step.kind in ("for", "while", "if", "assign")
                or (step.kind == "call" and step.text == "return")
            ):
                lines += self._inner(step, inner) if body.kind == "block" else self.lines(step, inner)
                if step.kind == "call" and step.text == "return" and step.args and step.args[0].value is not None:
                    kind = self.translator.expression(step.args[0].value, inner).kind
            else:
                made = self.translator.expression(step, inner)
                kind = made.kind
                comment = (
                    as_comment(f"line {step.line}: " + self.source.code[step.start : step.end])
                    if body.kind == "block"
                    else []
                )
                lines += [*comment, f"return {made.text}"]
        scope.names[name] = Code(python_name(name), "function", True, kind)
        return [f"def {python_name(name)}({', '.join(given)}):", *indented(lines)]

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
        body = self.lines(node.parts[1], scope)
        return [f"for {python_name(node.text)} in {text}:", *indented(block_of(body))]

    def _branch(self, node: Node, scope: Scope) -> list[str]:
        condition = self.translator.expression(node.parts[0], scope)
        lines = [f"{node.kind} {condition.text}:", *indented(block_of(self.lines(node.parts[1], scope)))]
        if len(node.parts) == 3:
            lines += ["else:", *indented(block_of(self.lines(node.parts[2], scope)))]
        return lines

    # -------------------------------------------------------------------------------- statements, as they were seen

    def _unroll(self, k: int, node: Node, here: list[dict[str, Any]]) -> tuple[list[str], str]:
        target = node.parts[0].text if node.kind == "assign" and node.parts[0].kind == "name" else ""
        base = python_name(target) if target else "m"
        number = sum(event["event"] == "fit" for event in here)
        lines: list[str] = []
        omitted: list[str] = []
        count = 0
        for event in here:
            if event["event"] == "fit":
                count += 1
                variable = base if number == 1 and target else f"{base}_{len(self.fits) + 1}"
                try:
                    text = self._seen_fit(event)
                except Untranslatable as reason:
                    omitted.append(str(reason))
                    continue
                lines.append(f"{variable} = {text}")
                self.fits[int(event["number"])] = variable
            elif event["event"] == "value" and event.get("of") and event["value"]["type"] != "fit":
                fit = self.fits.get(int(event["of"]))
                place = self.places[int(event["site"])]
                if fit is None or place.name not in VERBS or place.node.kind != "call" or place.name == "print":
                    continue
                call = Node(
                    "call",
                    place.name,
                    place.node.parts,
                    [Argument(None, Node("name", "\0fit")), *place.node.args[1:]],
                    place.node.start,
                    place.node.end,
                    place.node.line,
                )
                try:
                    made = self.translator.expression(call, Scope({"\0fit": Code(fit, "fit")}, self.top))
                except Untranslatable as reason:
                    omitted.append(str(reason))
                    continue
                lines.append(f"print({made.text})")
        if target:
            lines += self._gather(k, target, base, number)
        return lines, "; ".join(dict.fromkeys(omitted))

    def _seen_fit(self, event: Mapping[str, Any]) -> str:
        """A model as R was seen to fit it, whatever the script's words for it were."""
        site, fit = int(event["site"]), event["fit"]
        place = self.places[site]
        fun = fit["fun"].split("::")[-1]
        if fun == "stan_glmer" and "stanreg" in fit["classes"] and place.name == "stan_lmer":
            fun = "stan_lmer"
        if fun not in FITS:
            raise Untranslatable(f"{fun}(): {UNSUPPORTED.get(fun, 'no counterpart in mlmparity')}")
        if "frame" not in fit:
            raise Untranslatable(f"{fun}(): the data of this model are not known")
        forced = {
            **self.seen.get(site, {}),
            "forced": fit["formula"],
            "frames": [int(fit["frame"])],
            "columns": self._frame(int(fit["frame"])).get("names", []),
        }
        if place.node.kind == "call" and place.node.text in FITS:
            before = self.seen.get(site)
            self.seen[site] = forced
            try:
                return self.translator.expression(place.node, self.top).text
            except Refused:
                raise
            except Untranslatable:  # an argument that only a function's inside knows: R's own record is left
                pass
            finally:
                if before is not None:
                    self.seen[site] = before
        known = {"formula", "data", "REML", "control", "start", "verbose", "", "na.action"}
        more = [name for name in fit.get("given") or [] if name not in known]
        extra = ""
        for name in ("weights", "offset", "subset"):
            given = fit.get(name)
            kept = f"{name}_{event['number']}"
            if given and name != "subset" and given["code"] not in forced["columns"] and kept in self.vectors:
                self.translator.needs("read")
                extra += f', {name}=read("{kept}")["{name}"].to_numpy()'
                more = [one for one in more if one != name]
            elif given and given["code"] in forced["columns"] and name != "subset":
                extra += f', {name}="{given["code"]}"'
                more = [one for one in more if one != name]
            elif given and name == "subset":
                extra += f", subset={given['code']!r}"
                more = [one for one in more if one != name]
        if more:
            raise Untranslatable(f"{fun}(): the argument {more[0]} of a model that was made by {place.name}()")
        formula = '"' + fit["formula"].replace("\\", "\\\\").replace('"', '\\"') + '"'
        reml = ", REML=False" if fit.get("REML") is False else ""
        data = self.frame_variable(int(fit["frame"]))
        contrasts = self._contrasts(fit)
        extra += f", contrasts={contrasts!r}" if contrasts else ""
        return f"{OPEN}{site};{self.translator.imported(FITS[fun].python)}({formula}, {data}{reml}{extra}){CLOSE}"

    def _gather(self, k: int, target: str, base: str, number: int) -> list[str]:
        """The list that R's statement made of its fits."""
        for event in self.events:
            if event["event"] == "variable" and int(event["statement"]) == k and event["name"] == target:
                value = event.get("value", {})
                if value.get("type") == "fit" and int(value["fit"]) in self.fits:
                    held = self.fits[int(value["fit"])]
                    self.top.names[target] = Code(base, "fit")
                    return [f"{base} = {held}"] if held != base else []
                items = value.get("items", []) if value.get("type") == "list" else []
                held_all = [self.fits.get(int(item["fit"])) if item.get("type") == "fit" else None for item in items]
                if items and all(held_all):
                    names = value.get("names")
                    if names and all(names):
                        inside = ", ".join(f"{n!r}: {h}" for n, h in zip(names, held_all, strict=True))
                        self.top.names[target] = Code(base, "dict", True, "fit")
                        return [f"{base} = {{{inside}}}"]
                    self.top.names[target] = Code(base, "list", True, "fit")
                    return [f"{base} = [{', '.join(str(h) for h in held_all)}]"]
        if number == 1 and base in self.fits.values():
            self.top.names[target] = Code(base, "fit")
        return []


def file_name(name: str) -> str:
    """A file's name as it can stand in a comment and a docstring, which it must not end."""
    return re.sub(r"[^\w .()+/-]", "_", name)


def write_script(
    source: Source,
    statements: list[Node],
    watched: Watched | None,
    *,
    unrolled: set[int] | None = None,
    left: Mapping[int, str] | None = None,
) -> Script:
    """The Python script that does what the script of R does.

    Parameters
    ----------
    source : Source
    statements : list of Node
    watched : Watched or None
        What R was seen to do; None where the text is all there is (``--no-run``).
    unrolled : set of int, optional
        Statements to write as they were seen, not as they stand.
    left : mapping of int to str, optional
        Statements to leave out, and why.

    Returns
    -------
    Script
    """
    writer = _Writer(source, statements, watched, unrolled or set(), left or {})
    pieces = writer.pieces()
    body: list[str] = []
    starts: dict[int, int] = {}
    name = file_name(source.path.name)
    for piece in pieces:
        if piece.status == "setup":
            continue
        mark = {"data": "  [in the data]", "left": f"  [NOT CARRIED OVER: {one_line(piece.why)}]"}.get(piece.status, "")
        if body and body[-1] != "":
            body.append("")
        stepwise = any(line.lstrip().startswith("# line ") for line in piece.code)  # each step has its own comment
        body += as_comment(
            f"{file_name(piece.file) or name}, line {piece.line}:{mark} {piece.text}", first_only=stepwise
        )
        if piece.status == "carried" and piece.why:
            body += as_comment(f"not carried over here: {piece.why}")
        if piece.note:
            body += as_comment(f"without effect here: {piece.note}")
        starts[piece.statement] = len(body)
        for line in piece.code:
            body += wrapped(line)
        if piece.status in ("data", "left"):
            body.append("")
    header = head_of(name, writer.translator)
    text, spans = without_marks("\n".join([*header, *body]).rstrip() + "\n")
    frames = {}
    if watched is not None:
        for number, variable in writer.names.items():
            frame = r_frame(watched.frames[number])
            frame.attrs["name"] = watched.frames[number].get("name") or "data"
            frames[variable] = frame
        frames.update({key: frame for key, frame in writer.vectors.items() if f'read("{key}")' in text})
    first_lines = {k: len(header) + line + 1 for k, line in starts.items()}
    return Script(text, spans, pieces, frames, first_lines, writer.places, sorted(writer.translator.assumed or ()))
