"""Writes the Python script: R's statements, one by one, each as a comment above what stands for it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from validation.migrate.code import Code, Scope, Untranslatable, distinct_names, element_of, python_name, quoted
from validation.migrate.instrument import sites
from validation.migrate.layout import as_comment, head_of, one_line, without_marks, wrapped
from validation.migrate.provenance import Provenance, kinds_by_use, root_name, targets, uses
from validation.migrate.rcode import Node
from validation.migrate.script import VARIABLES, Kept, Piece, Script
from validation.migrate.seen import Seen, holds_fits
from validation.migrate.sources import Source
from validation.migrate.statements import Statements
from validation.migrate.translate import Translator
from validation.migrate.unrolled import Unrolled
from validation.migrate.values import r_frame, r_literal
from validation.migrate.watch import Watched
from validation.migrate.watched import FITS, INTERACTIVE, PLOTS, PRIORS, SHOWING, UNSUPPORTED, VERBS, words
from validation.migrate.words import WORDS

__all__ = ["write_script"]

_QUIET = words(
    """
    library require suppressPackageStartupMessages set.seed rm attach detach setwd options install.packages
    requireNamespace quit q
    source data theme_set gc Sys.time proc.time sessionInfo
    """
)
_LOADS = {"library", "require", "requireNamespace", "loadNamespace", "suppressPackageStartupMessages"}
# what makes data out of data; what it made is in the data that were kept
_WRANGLING = words(
    """
    subset with within transform filter mutate select arrange group_by na.omit droplevels factor as.factor
    relevel ifelse merge left_join rename return function local aggregate ave scale cut interaction is.na
    complete.cases order rev sort rep which split reformulate tryCatch try stopifnot setdiff vector character
    numeric
    """
)


class _Writer:
    """Writes the statements in order; knows what R had at each."""

    def __init__(
        self,
        source: Source,
        statements: list[Node],
        watched: Watched | None,
        unrolled: Mapping[int, str],
        left: Mapping[int, str],
    ):
        self.source, self.statements, self.watched = source, statements, watched
        self.as_was_seen, self.left = unrolled, left
        self.places = sites(statements)
        self.seen = Seen(watched, self.places)
        self.provenance = Provenance(statements, self.seen)
        self.names: dict[tuple[int, str], str] = {}  # frame and its contrasts -> Python's variable
        self.files: dict[tuple[int, str], str] = {}  # frames that no variable holds, and their files' names
        self.made: dict[int, str] = {}  # frame -> Python's variable, where Python's script makes it
        self.attached: list[str] = []
        self.prelude: list[str] = []
        self.top = Scope(recorded=self._recorded)
        self.statement = 0
        self.fits: dict[int, str] = {}  # fit -> Python's expression for it
        events = self.seen.events
        tests = any("lmerModLmerTest" in event["fit"]["classes"] for event in events if event["event"] == "fit")
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
            self.seen.sites,
            self.frame_variable,
            tests or (loaded and not watched),
            WORDS,
        )
        if watched is None:
            self.translator.assumed = set()
            self.translator.by_use = kinds_by_use(statements)
        self.stated = Statements(self.translator, statements, self.places, self.provenance.of_models)
        self.unroller = Unrolled(self.translator, self.seen, self.top, self.fits)

    def frame_variable(self, number: int, contrasts: Mapping[str, Any] | None = None) -> str:
        """The variable that holds a frame; the line that reads it comes before the statement that first needs it."""
        given = self.seen.usual_contrasts(number) if contrasts is None else contrasts
        if number in self.made and not given:
            return self.made[number]
        key = number, json.dumps(given, sort_keys=True)
        if key in self.names:
            return self.names[key]
        stored = self.seen.frame(number)
        if not stored:
            raise Untranslatable("the data of this model are too large to be kept")
        base = python_name(stored.get("name") or "data")
        name, k = base, 2
        while name in {*self.names.values(), *self.files.values()} or (
            name in {c.text for c in self.top.names.values()}
        ):
            name, k = f"{base}_{k}", k + 1
        self.names[key] = name
        self.translator.columns[name] = list(stored.get("names", []))
        self.translator.types[name] = {
            one: column["type"] for one, column in zip(stored.get("names", []), stored.get("columns", []), strict=True)
        }
        self.translator.incomplete[name] = {
            one
            for one, column in zip(stored.get("names", []), stored.get("columns", []), strict=True)
            if any(value is None or value == "NaN" for value in column.get("values", []))
        }
        coded = ", ".join(f"{one} by {how if isinstance(how, str) else 'a matrix'}" for one, how in given.items())
        self.prelude.append(f'{name} = read("{name}")' + (f"  # contrasts in its attrs: {coded}" if given else ""))
        return name

    def _recorded(self, name: str) -> Code | None:
        """What a name was in R when the present statement began."""
        latest = None
        for event in self.seen.events:
            before = int(event.get("statement", -1)) < self.statement + (event["event"] == "dataset")
            if event["event"] in ("variable", "dataset") and event["name"] == name and before:
                latest = event
        if latest is None:
            return self._attached(name)
        if latest.get("frame"):
            return Code(self.frame_variable(int(latest["frame"])), "data")
        value = latest.get("value", {"type": "other"})
        if value["type"] == "fit" and int(value["fit"]) in self.fits:
            return Code(self.fits[int(value["fit"])], "fit")
        literal = r_literal(value)
        if literal is None:
            return None
        code, kind = literal
        variable = python_name(name)
        self.prelude.append(f"{variable} = {code}  # as R had it")
        element = {"strings": "string", "vector": "number"}.get(kind, "any")
        self.top.names[name] = Code(variable, kind, True, element)
        return self.top.names[name]

    def _attached(self, name: str) -> Code | None:
        """A column of what ``attach()`` was given last."""
        if name in self.attached:  # what is attached is itself no column of it
            return None
        for owner in reversed(self.attached):
            frame = self._recorded(owner)
            if frame is not None and frame.kind == "data" and name in self.translator.columns.get(frame.text, []):
                return Code(f"{frame.text}[{quoted(name)}]", "series")
        return None

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
            if node.kind == "assign":
                named = {root_name(node.parts[0])} if node.parts[0].kind in ("name", "string") else set()
                own = self.translator.defined - named
                self.translator.defined = own | named if node.parts[1].kind == "function" else own
            for name in targets(node):
                self.translator.lost.pop(name, None)
                if piece.status == "left":
                    self.translator.lost[name] = node.line
            piece.code = [*self.prelude, *piece.code] if piece.status == "carried" else []
            found.append(piece)
            self._learn(k)
        self._unneeded(found)
        return found

    def _piece(self, k: int, node: Node) -> Piece:
        text = self.source.code[node.start : node.end]
        piece = Piece(k, node.line, text, "carried", file=self.source.file(node.start))
        stopped = self._not_reached(k)
        if self.watched is not None and self.watched.quit and not self.seen.at(k, "statement"):
            piece.status, piece.why = "past", "after quit(): R does not get here"
            return piece
        if stopped or k in self.left:
            piece.status, piece.why = "left", stopped or self.left[k]
            return piece
        name = node.text if node.kind == "call" else ""
        if name in INTERACTIVE:
            piece.status, piece.why = "left", "it waits for a person at the screen, and was not run"
            return piece
        node = self._assigned(node)
        if self._setup(node, piece):
            return piece
        if k not in self.as_was_seen:
            names, fits, frames = dict(self.top.names), dict(self.fits), dict(self.names)
            try:
                self.stated.begin(k)
                piece.code = self.stated.lines(node, self.top, top=True)
                piece.why = "; ".join(dict.fromkeys(self.stated.dropped))
                piece.bound = dict(self.stated.bound)
                return piece
            except Untranslatable as reason:
                piece.why = str(reason)
                if node.kind == "assign" and node.parts[1].kind == "function":
                    self.translator.untranslated[root_name(node.parts[0])] = piece.why
                self._restore(names, fits, frames)
        else:
            piece.why = self.as_was_seen[k]
        return self._as_seen(k, node, piece)

    def _restore(self, names: dict[str, Code], fits: dict[int, str], frames: dict[tuple[int, str], str]) -> None:
        self.top.names, self.names, self.prelude = names, frames, []
        self.fits.clear()
        self.fits.update(fits)

    def _not_reached(self, k: int) -> str:
        """Why R did not get to a statement, or not to its end."""
        if self.watched is None:
            return ""
        if not self.seen.at(k, "statement"):
            return "R did not get here: " + (self.watched.error or "it ended before")
        if not self.watched.ended and not any(
            int(event["statement"]) > k for event in self.seen.events if event["event"] == "statement"
        ):
            return f"R did not get to its end: {self.watched.error or 'R ended'}"
        later = any(self.seen.at(one, "statement") for one in range(k + 1, len(self.statements)))
        if self.watched.error and not self.watched.quit and not later:
            stopped = self.seen.at(k, "error")
            return f"R stopped here: {stopped[0]['message'] if stopped else self.watched.error}"
        return ""

    @staticmethod
    def _assigned(node: Node) -> Node:
        """``assign("x", value)`` as ``x <- value``."""
        values = [one.value for one in node.args] if node.kind == "call" and node.text == "assign" else []
        if len(values) < 2 or values[0] is None or values[1] is None or values[0].kind != "string":
            return node
        name = Node("name", values[0].text)
        return Node("assign", "<-", [name, values[1]], [], node.start, node.end, node.line)

    def _setup(self, node: Node, piece: Piece) -> bool:
        """Whether a statement only prepares R itself; what it sets for later calls is noted."""
        name = node.text if node.kind == "call" else ""
        first = node.args[0].value if node.kind == "call" and node.args else None
        if name == "set.seed" and first is not None and first.kind == "number":
            self.translator.seed, self.translator.drawn_since = first.text.rstrip("L"), 0
        if name == "attach" and first is not None and first.kind == "name":
            self.attached.append(first.text)
        if name == "detach" and first is not None and first.text in self.attached:
            self.attached.remove(first.text)
        wrapped_up = name in ("suppressMessages", "suppressWarnings", "invisible") and first is not None
        inside = first.parts if wrapped_up and first is not None and first.kind == "block" else [first]
        if wrapped_up and all(one is not None and one.kind == "call" and one.text in _LOADS for one in inside):
            piece.status = "setup"
        if name == "" and node.kind == "call" and self.translator.source(node).startswith("knitr::opts_"):
            piece.status = "setup"
        if name == "source":
            piece.status, piece.why = (
                "left",
                "source() of a file that is not beside the script, or not by its name: its models are not watched",
            )
        elif name in _QUIET:
            piece.status = "setup"
        elif (
            name == "emm_options"
            and len(node.args) == 1
            and node.args[0].name == "lmer.df"
            and first is not None
            and first.kind == "string"
        ):
            self.translator.ddf, piece.status = first.text, "setup"
        return piece.status != "carried"

    def _as_seen(self, k: int, node: Node, piece: Piece) -> Piece:
        """What R was seen to do in a statement that can't be said as it stands."""
        here, reason = self.seen.at(k), piece.why
        unsupported = sorted({n.text for n in node.walk() if n.kind == "call" and n.text in UNSUPPORTED})
        plots = any(n.kind == "call" and n.text in PLOTS for n in node.walk())
        if self.seen.at(k, "fit") or any(event.get("of") for event in self.seen.at(k, "value")):
            if node.kind == "call" and node.text in PLOTS and not self.seen.at(k, "fit"):
                piece.status, piece.why = "left", "a plot"
                return piece
            known = dict(self.names)
            try:
                code, why = self.unroller.lines(k, node, here)
            except Untranslatable as refused:
                code, why = [], str(refused)
            if self.unroller.looped:  # its data are read where the models are, and have no variables
                new = {key: name for key, name in self.names.items() if key not in known}
                self.prelude = [line for line in self.prelude if line.partition(" = ")[0] not in new.values()]
                self.names, self.files = known, {**self.files, **new}
            if code:
                piece.code = [*code, *(line for line in self._held(k) if line not in code)]
                more = [*([why] if why else []), *self._unsaid(node, reason), *self._lost(k, node, reason)]
                piece.why = "; ".join(dict.fromkeys(more))
                return piece
            piece.why, piece.status = why or reason, "left"
            return piece
        kept = self.seen.at(k, "variable") or self._is_data(node)
        if kept and not unsupported and not plots:
            piece.status, piece.why = "data", "what it made is kept as R had it"
            if k in self.provenance.of_models and not (node.kind == "assign" and node.parts[1].kind == "function"):
                piece.status = "left"
                piece.why = f"{reason or 'no counterpart in mlmparity'}; where later lines need its value, it is R's"
            return piece
        if node.kind == "assign" and node.parts[1].kind == "function" and self.watched is not None:
            piece.status, piece.why = "data", "a function; what its calls did stands where it is called"
            return piece
        if unsupported:
            piece.why = "; ".join(f"{u}(): {UNSUPPORTED[u]}" for u in unsupported)
        elif plots:
            piece.why = "a plot"
        piece.status, piece.why = "left", piece.why or "no counterpart in mlmparity"
        return piece

    def _lost(self, k: int, node: Node, reason: str) -> list[str]:
        """What a statement made besides its models, where they are written as they were seen; it is forgotten."""
        frames = {int(e["fit"].get("frame", 0)) for e in self.seen.at(k, "fit")}
        lost = []
        for event in self.seen.at(k, "variable"):
            name = event["name"]
            if holds_fits(event.get("value", {})) or int(event.get("frame") or 0) in frames:
                continue
            if not (node.kind == "for" and name == node.text):
                lost.append(name)
            self.top.names.pop(name, None)
        if lost:
            return [f"{', '.join(lost)}: {reason or 'not computed here'}; where later lines need them, they are R's"]
        printed = self.unroller.printed
        marked = {(p.node.start, p.node.end) for p in self.places if p.statement == k and p.number in printed}
        shown = [e for e in self.seen.at(k, "shown") if not holds_fits(e["value"])]
        if shown and (node.start, node.end) not in marked:
            return [f"what it shows ({reason or 'no counterpart in mlmparity'})"]
        return []

    def _held(self, k: int) -> list[str]:
        """Lines that give R's variables the fits that they hold after a statement that was written as it was seen."""
        lines = []
        for event in self.seen.at(k, "variable"):
            value, name = event.get("value", {}), event["name"]
            if value.get("type") == "list" and holds_fits(value):
                lines += self.unroller.gathered(name, value)
            if value.get("type") != "fit":
                continue
            held = self.fits.get(int(value["fit"]))
            if held is None:
                self.top.names.pop(name, None)
                continue
            variable = python_name(name)
            if held != variable:
                lines.append(f"{variable} = {held}")
                self.fits[int(value["fit"])] = variable
            self.top.names[name] = Code(variable, "fit")
        return lines

    def _unneeded(self, pieces: list[Piece]) -> None:
        """What was kept as R had it, and is used by nothing that was carried over, was not carried over."""
        if self.watched is None:
            return
        carried = {piece.statement for piece in pieces if piece.status == "carried"}
        needed = self.provenance.needed(carried)
        called = {name for node in self.statements for name in uses(node)}
        for piece in pieces:
            if piece.status != "data" or piece.statement in needed:
                continue
            node = self.statements[piece.statement]
            function = node.kind == "assign" and node.parts[1].kind == "function"
            if function and root_name(node.parts[0]) in called:
                continue
            piece.status = "left"
            piece.why = "a function that nothing calls" if function else "no model and no later value depends on it"

    def _is_data(self, node: Node) -> bool:
        """Whether a statement prepares a data frame: R's is kept, though this step may have left it as it was."""
        return any(
            event["event"] == "variable" and event.get("frame") and event["name"] in targets(node)
            for event in self.seen.events
        )

    def _unsaid(self, node: Node, reason: str) -> list[str]:
        """Calls in a statement that nothing stands for, though its models are carried over."""
        own = {s.parts[0].text for s in self.statements if s.kind == "assign" and s.parts[1].kind == "function"}
        out = []
        for call in node.walk():
            name = call.text if call.kind == "call" else ""
            if name in SHOWING or name == "save":  # what is written as it was seen writes and shows no tables
                out.append(f"{name}(): {reason}")
                continue
            if (
                not name
                or name in FITS
                or name in VERBS
                or name in PRIORS
                or name in WORDS
                or name in _WRANGLING
                or name in own
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
        for event in self.seen.at(k, "variable"):
            self.top.names.pop(event["name"], None)

    def _learn(self, k: int) -> None:
        """Which variable holds which fit, from what R was seen to have after the statement."""
        for event in self.seen.at(k, "variable"):
            value, name = event.get("value", {}), event["name"]
            known = self.top.names.get(name)
            if known is None:
                continue
            if event.get("frame") and name in self.stated.bound and known.kind in ("data", "frame"):
                self.made[int(event["frame"])] = known.text
                stored = self.seen.frame(int(event["frame"]))
                self.translator.columns[known.text] = list(stored.get("names", []))
                self.translator.types[known.text] = {
                    one: column["type"]
                    for one, column in zip(stored.get("names", []), stored.get("columns", []), strict=True)
                }
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


def _names_in(statements: list[Node]) -> list[str]:
    """The names of variables and parameters, in the text's order."""
    fields = {id(one.parts[1]) for k in statements for one in k.walk() if one.kind == "dollar"}
    found: list[str] = []
    for statement in statements:
        for one in statement.walk():
            if one.kind in ("name", "for") and id(one) not in fields:
                found.append(one.text)
            if one.kind == "function":
                found += [argument.name for argument in one.args if argument.name]
    return found


def file_name(name: str) -> str:
    """A file's name as it can stand in a comment and a docstring, which it must not end."""
    return re.sub(r"[^\w .()+/-]", "_", name)


def write_script(
    source: Source,
    statements: list[Node],
    watched: Watched | None,
    *,
    unrolled: Mapping[int, str] | None = None,
    left: Mapping[int, str] | None = None,
) -> Script:
    """The Python script that does what the script of R does.

    Parameters
    ----------
    source : Source
    statements : list of Node
    watched : Watched or None
        What R was seen to do; None where the text is all there is (``--no-run``).
    unrolled : mapping of int to str, optional
        Statements to write as they were seen, not as they stand, and why.
    left : mapping of int to str, optional
        Statements to leave out, and why.
    """
    with distinct_names(_names_in(statements)):
        writer = _Writer(source, statements, watched, unrolled or {}, left or {})
        pieces = writer.pieces()
    body: list[str] = []
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    name = file_name(source.path.name)
    for piece in pieces:
        if piece.status == "setup":
            continue
        mark = {
            "data": " [in the data]",
            "past": " [after quit()]",
            "left": f" [NOT CARRIED OVER: {one_line(piece.why)}]",
        }.get(piece.status, "")
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
        ends[piece.statement] = len(body)
        if piece.status != "carried":
            body.append("")
    header = head_of(name, writer.translator, "\n".join(body))
    text, spans = without_marks("\n".join([*header, *body]).rstrip() + "\n")
    frames = {}
    if watched is not None:
        for (number, contrasts), variable in {**writer.files, **writer.names}.items():
            frame = r_frame(watched.frames[number])
            frame.attrs["name"] = watched.frames[number].get("name") or "data"
            if contrasts != "{}":
                frame.attrs["contrasts"] = json.loads(contrasts)
            frames[variable] = frame
        vectors = writer.seen.vectors
        frames.update({key: frame for key, frame in vectors.items() if f'read("{key}")' in text})
    first_lines = {k: len(header) + line + 1 for k, line in starts.items()}
    last_lines = {k: len(header) + line for k, line in ends.items()}
    kept = _kept(writer, pieces, last_lines)
    assumed = sorted(writer.translator.assumed or ())
    draws, on = writer.provenance.of_draws, writer.provenance.on_draws
    return Script(text, spans, pieces, frames, first_lines, writer.places, assumed, kept, draws, on)


def _kept(writer: _Writer, pieces: list[Piece], last_lines: Mapping[int, int]) -> list[Kept]:
    """The variables to keep that no watched call made, where R has them too."""
    kept: list[Kept] = []
    for piece in pieces:
        k = piece.statement
        node = writer.statements[k]
        whole = node.parts[1] if node.kind == "assign" else node
        watched = any((p.node.start, p.node.end) == (whole.start, whole.end) for p in writer.places)
        if piece.status != "carried" or watched:
            continue
        for event in writer.seen.at(k, "variable"):
            name = event["name"]
            if name in piece.bound and not holds_fits(event.get("value", {})):
                kept.append(Kept(VARIABLES + len(kept), k, name, piece.bound[name], last_lines[k]))
    return kept
