"""Where the values of a script come from: which statements compute from models, and which prepare what a model needs.

By the names in the text: a name that is given a value computed from a model carries that on, until it gets another.
"""

from validation.migrate.code import Code, python_name
from validation.migrate.rcode import Node
from validation.migrate.seen import Seen
from validation.migrate.watched import FITS, UNSUPPORTED, VERBS

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


#: Verbs of fits that are words for data, too.
_OF_DATA_TOO = {"summary", "print", "as.matrix", "model.matrix", "se"}
_OF_POSTERIORS = {
    *("posterior_interval", "posterior_predict", "posterior_linpred", "posterior_epred", "loo", "waic", "bayes_R2"),
    *("prior_summary", "log_lik", "loo_R2", "predictive_interval", "predictive_error", "nsamples"),
}
_APPLIES = {"lapply", "sapply", "vapply", "map", "map_dbl"}
_OF_TEXTS = {"paste", "paste0", "sprintf", "as.formula", "formula"}


def kinds_by_use(statements: list[Node]) -> dict[str, Code]:
    """What names that nothing gives a value to must be, by the calls that they stand in: fits, texts.

    Parameters
    ----------
    statements : list of Node
        Code that is translated without being run. Of one statement alone, ``summary(m)`` is taken for a fit's.
    """
    made = {name for node in statements for name in targets(node)}
    found: dict[str, Code] = {}
    for node in (one for statement in statements for one in statement.walk()):
        if node.kind == "dollar" and node.text == "@" and node.parts[0].kind == "name":
            found.setdefault(node.parts[0].text, Code(python_name(node.parts[0].text), "fit", True, "lmer"))
        piped = node.kind == "binary" and node.text in ("|>", "%>%") and node.parts[1].kind == "call"
        call = node.parts[1] if piped else node
        if call.kind != "call":
            continue
        values = [one.value for one in call.args if one.value is not None and one.name is None]
        values = [node.parts[0], *values] if piped else values
        over_fits = call.text in _APPLIES and any(one.kind == "name" and one.text in VERBS for one in values[1:])
        if over_fits and values[0].kind == "call":
            values = [one.value for one in values[0].args if one.value is not None]  # sapply(list(a, b), AIC)
        several = call.text in ("anova", "AIC", "BIC", "loo_compare") or over_fits
        of_fits = over_fits or (call.text in VERBS and (call.text not in _OF_DATA_TOO or len(statements) == 1))
        for value in values if several or call.text in _OF_TEXTS else values[:1]:
            if value.kind != "name" or value.text in made or value.text in found:
                continue
            if of_fits:
                kind = "stan_lmer" if call.text in _OF_POSTERIORS else "lmer"
                found[value.text] = Code(python_name(value.text), "fit", True, kind)
            elif call.text in _OF_TEXTS:
                found[value.text] = Code(python_name(value.text), "string")
    return found


class Provenance:
    """Statements by where their values come from.

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
