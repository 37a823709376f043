"""The script with a mark around each watched call: ``.mlmparity(3, lmer(...))``.

R evaluates the call in the place where it stands, with its own text, once, and the mark sees its value. Nothing of the
script changes but that; what waits for a person at the screen is not run.
"""

from dataclasses import dataclass

from validation.migrate.rcode import Node
from validation.migrate.watched import INTERACTIVE, SHOWING, VERBS, is_watched

__all__ = ["Site", "instrument", "own_sites", "sites"]

_QUOTED = {"quote", "bquote", "substitute", "expression", "library", "require", "function", "~", "rm"}


#: purrr's functions, to which a formula is a function.
PURRR = {"map", "map_dbl", "map_chr", "map_int", "map_lgl", "map_dfr", "map2", "map2_dbl", "imap", "imap_chr", "walk"}


@dataclass(frozen=True)
class Site:
    """A place in the script where a watched call stands.

    Attributes
    ----------
    number : int
    name : str
        The function's name.
    node : Node
        The call; of a pipe, the whole pipe; of what shows or writes something (``kable``), that.
    statement : int
        The statement it belongs to, from 0.
    """

    number: int
    name: str
    node: Node
    statement: int

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers of a fit: a simulation, a bootstrap, in whatever verb."""
        verb = VERBS.get(self.name)
        boots = any(one.value is not None and one.value.text == "boot" for one in self.node.args)
        return verb is not None and (verb.random or boots)


def sites(statements: list[Node]) -> list[Site]:
    """All places where watched calls stand, in the text's order.

    Parameters
    ----------
    statements : list of Node
        The script (:func:`validation.migrate.rcode.parse`).
    """
    found: list[Site] = []

    # purrr's ~ f(.x) is a function, no formula
    lambdas = {
        (argument.value.start, argument.value.end)
        for statement in statements
        for call in statement.walk()
        if call.kind == "call" and call.text in PURRR
        for argument in call.args
        if argument.value is not None and argument.value.kind == "unary" and argument.value.text == "~"
    }

    def look(node: Node, statement: int, mark: bool) -> None:
        name = _called(node) if mark else ""
        if name:
            found.append(Site(len(found), name, node, statement))
        part = _shown_by(node) if mark else None
        if part is not None and not _called(part):
            found.append(Site(len(found), _name_of(node), part, statement))
        piped = node.kind == "binary" and node.text in ("|>", "%>%", "%T>%", "%<>%", "%$%")
        if node.kind == "assign":
            target, value = node.parts
            look(target, statement, target.kind == "function")
            look(value, statement, mark)
            return
        if (node.kind == "call" and node.text in _QUOTED) or (node.kind == "binary" and node.text == "~"):
            mark = False
        if node.kind == "unary" and node.text == "~" and (node.start, node.end) not in lambdas:
            mark = False
        if piped:  # the call on the right gets its first argument from the pipe: only the whole can be marked
            left, right = node.parts
            look(left, statement, mark)
            for argument in right.args:
                if argument.value is not None:
                    look(argument.value, statement, mark)
            return
        for child in node.parts:
            look(child, statement, mark and not (node.kind == "call" and child is node.parts[0]))
        for argument in node.args:
            if argument.value is not None:
                look(argument.value, statement, mark)

    for k, statement in enumerate(statements):
        look(statement, k, True)
    return found


def _called(node: Node) -> str:
    """The watched function that the node calls, itself, through a pipe, ``do.call`` or an apply."""
    if node.kind == "binary" and node.text in ("|>", "%>%"):
        right = node.parts[1]
        if right.kind == "call" and is_watched(right.text):
            return right.text
        return ""
    if node.kind != "call":
        return ""
    if is_watched(node.text):
        return node.text
    if node.text in ("eval", "eval.parent", "evalq"):  # of a call that was put together: it may fit a model
        return node.text
    if node.text in ("do.call", "lapply", "sapply", "vapply", "Map", "mapply", "map", "map_dbl", "Reduce", "Recall"):
        for argument in node.args:
            value = argument.value
            if value is not None and value.kind in ("name", "string", "namespace") and is_watched(value.text):
                return value.text
            if value is not None and value.kind == "function" and any(_called(part) for part in value.walk()):
                return node.text
    return ""


def _name_of(node: Node) -> str:
    return node.parts[1].text if node.kind == "binary" else node.text


def _shown_by(node: Node) -> Node | None:
    """What a call shows or writes: the table that is given to ``kable()``, by itself or through a pipe."""
    if node.kind == "binary" and node.text in ("|>", "%>%"):
        left, right = node.parts
        placed = any(one.value is not None and one.value.text in (".", "_") for one in right.args)
        return left if right.kind == "call" and right.text in SHOWING and not placed else None
    if node.kind != "call" or node.text not in SHOWING or not node.args:
        return None
    if node.args[0].name not in (None, "x", "object"):
        return None
    first = node.args[0].value
    return first if first is not None and first.kind in ("name", "call", "index", "dollar", "binary") else None


def own_sites(outer: Site, places: list[Site]) -> list[int]:
    """The sites in a call's own arguments, not those in functions that it is given."""
    functions = [(one.start, one.end) for one in outer.node.walk() if one.kind == "function"]
    return [
        place.number
        for place in places
        if place is not outer
        and outer.node.start <= place.node.start
        and place.node.end <= outer.node.end
        and not any(start <= place.node.start and place.node.end <= end for start, end in functions)
    ]


def instrument(code: str, statements: list[Node], places: list[Site]) -> str:
    """The code with its marks.

    Returns
    -------
    str
        R code; the lines are those of ``code``.
    """
    # at one place an outer mark opens before an inner one, and closes after it
    inserts: list[tuple[int, int, int, str]] = []
    for place in places:
        width = place.node.end - place.node.start
        own = ", ".join(f"{one}L" for one in own_sites(place, places)) or "0L"
        drawing = f"drawing = base::c({own}), " if place.draws else ""
        inserts.append((place.node.start, 1, -width, f".mlmparity({place.number}L, {drawing}"))
        inserts.append((place.node.end, 0, width, ")"))
    for k, statement in enumerate(statements):
        skipped = "if (FALSE) " if statement.kind == "call" and statement.text in INTERACTIVE else ""
        inserts.append((statement.start, 1, -(len(code) + 1), f".mlmparity_at({k}L); {skipped}"))
    parts, at = [], 0
    for start, _, _, text in sorted(inserts, key=lambda one: one[:3]):
        parts += [code[at:start], text]
        at = start
    return "".join(parts) + code[at:]
