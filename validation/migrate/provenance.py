"""Where the values of a script come from: which statements compute from models, and which prepare what a model needs.

By the names in the text: a name that is given a value computed from a model carries that on, until it gets another.
"""

from validation.migrate.rcode import Node
from validation.migrate.seen import Seen
from validation.migrate.watched import FITS, UNSUPPORTED

__all__ = ["Provenance", "root_name", "targets", "uses"]

#: What changes its first argument where it stands.
_IN_PLACE = {"setkey", "setorder", "setnames", "setDT", "setattr", "set", "setDF"}


def root_name(node: Node) -> str:
    """The variable that an assignment's left side changes: ``d`` of ``levels(d$f)[2]``."""
    while node.kind in ("index", "dollar", "call", "paren"):
        inner = node.args[0].value if node.kind == "call" and node.args else node.parts[0] if node.parts else None
        if inner is None or inner is node:
            break
        node = inner
    return node.text if node.kind in ("name", "string") else ""


def targets(node: Node) -> set[str]:
    """The names that a statement gives values to, at its top (not inside the functions it defines)."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.kind == "function":
            continue
        if one.kind == "assign":
            found.add(root_name(one.parts[0]))
        elif one.kind == "for":
            found.add(one.text)
        elif one.kind == "call" and one.text == "assign" and one.args and one.args[0].value is not None:
            found.add(one.args[0].value.text)
        elif one.kind == "call" and one.text in _IN_PLACE and one.args and one.args[0].value is not None:
            found.add(root_name(one.args[0].value))
        waiting += [*one.parts, *(a.value for a in one.args if a.value is not None)]
        if one.kind == "index" and any(n.kind == "assign" and n.text == ":=" for n in one.walk()):
            found.add(root_name(one))
    return found - {""}


def uses(node: Node) -> set[str]:
    """The names that stand in a statement, functions' names with them."""
    found = {one.text for one in node.walk() if one.kind in ("name", "call", "namespace")}
    if node.kind == "assign" and node.parts[0].kind in ("name", "string"):
        found = {one.text for one in node.parts[1].walk() if one.kind in ("name", "call", "namespace")}
    return found


class Provenance:
    """Statements by where their values come from.

    Parameters
    ----------
    statements : list of Node
    seen : Seen

    Attributes
    ----------
    of_models : set of int
        Statements that compute from a model.
    of_draws : set of int
        Statements that compute from random numbers of a model: a posterior, a simulation, a bootstrap.
    on_draws : set of int
        Those of them whose own models are fitted to random numbers, as ``refit(m, simulate(m))`` is.
    """

    def __init__(self, statements: list[Node], seen: Seen) -> None:
        drawing = {place.statement for place in seen.places if place.draws}
        self.statements = statements
        self.of_models: set[int] = set()
        self.of_draws: set[int] = set()
        self.on_draws: set[int] = set()
        modelled: set[str] = set()
        drawn: set[str] = set()
        for k, node in enumerate(statements):
            used, given = uses(node), targets(node)
            calls = {one.text for one in node.walk() if one.kind == "call"}
            events = seen.at(k, "fit", "value")
            fitted = bool(calls & (FITS.keys() | UNSUPPORTED.keys())) or any(
                e["event"] == "fit" or e.get("of") is not None for e in events
            )
            random = any("stanreg" in e["fit"]["classes"] for e in events if e["event"] == "fit") or any(
                one.kind == "call" and one.text == "stan_lmer" for one in node.walk()
            )
            random = random or k in drawing
            if k in drawing or used & drawn:
                self.on_draws.add(k)
            for flag, names, found in ((fitted, modelled, self.of_models), (random, drawn, self.of_draws)):
                if flag or used & names:
                    found.add(k)
                    names |= given
                elif node.kind == "assign" and node.parts[0].kind in ("name", "string"):
                    names -= given

    def needed(self, carried: set[int]) -> set[int]:
        """Statements whose values, directly or through others, statements that are carried over use."""
        wanted: set[str] = set()
        found: set[int] = set()
        for k in reversed(range(len(self.statements))):
            node = self.statements[k]
            if k in carried or targets(node) & wanted:
                found.add(k)
                wanted |= uses(node)
        return found
