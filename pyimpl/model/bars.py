"""Random-effects bars in formulas: lme4's ``findbars``, ``nobars``, ``subbars`` and ``expandDoubleVerts``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyimpl.errors import FormulaError, ModelError
from pyimpl.model.formula import Call, Name, Node, Num, deparse, parse, variable_label
from pyimpl.model.rtext import is_syntactic
from pyimpl.model.terms import expand_terms

__all__ = ["Bar", "MixedFormula", "expand_double_bars", "find_bars", "remove_bars", "replace_bars", "split_formula"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One random-effects term ``(effects | group)``.

    Attributes
    ----------
    effects : Node
        Left of the bar.
    group : Node
        Right of the bar: a name, or an interaction such as ``b:a``.
    """

    effects: Node
    group: Node

    @property
    def group_name(self) -> str:
        """Name of the grouping factor as lme4 shows it (``barnames``)."""
        return variable_label(self.group)

    @property
    def label(self) -> str:
        """The term as lme4 shows it: ``1 + x | g``."""
        return f"{deparse(self.effects)} | {deparse(self.group)}"


@dataclass(frozen=True, slots=True)
class MixedFormula:
    """A mixed-model formula taken apart as ``lme4::lFormula`` does.

    Attributes
    ----------
    original : Node
        As the user wrote it.
    expanded : Node
        With ``||`` expanded: what ``formula(m)`` shows.
    frame : Node
        Bars replaced by ``+``: the formula of the model frame.
    fixed : Node
        Without the bars.
    bars : tuple of Bar
        In the order of the formula, ``/`` expanded.
    """

    original: Node
    expanded: Node
    frame: Node
    fixed: Node
    bars: tuple[Bar, ...]


def _map_args(node: Call, change: Callable[[Node], Node]) -> Call:
    return Call(node.fn, tuple(change(arg) for arg in node.args), node.names, node.place)


def _has_bar(node: Node) -> bool:
    return isinstance(node, Call) and (node.fn in ("|", "||") or any(_has_bar(arg) for arg in node.args))


def _is_bar(node: Node) -> bool:
    return isinstance(node, Call) and node.fn in ("|", "||") and len(node.args) == 2


def expand_double_bars(node: Node) -> Node:
    """``(x || g)`` -> ``((1 | g) + (0 + x | g))``, term by term (``expandDoubleVerts``)."""
    if not isinstance(node, Call):
        return node
    if node.fn != "||":
        return _map_args(node, expand_double_bars)
    effects, group = node.args
    terms = expand_terms(Call("~", (effects,)))
    pieces = [f"0+{label}" for label in terms.labels]
    if terms.intercept:
        pieces.insert(0, "1")
    if not terms.terms:
        raise FormulaError(
            f"lme4 cannot read ({deparse(node)}): '||' needs a slope left of it. "
            f"Write ({deparse(effects)} | {deparse(group)})."
        )
    if isinstance(group, Name) and not is_syntactic(group.name):
        raise FormulaError(
            f"lme4 cannot expand '||' over the name {deparse(group)}, which needs backticks. Rename the column, "
            f"or write the terms one by one: (1 | {deparse(group)}) + (0 + x | {deparse(group)})."
        )
    return parse("+".join(f"({piece}|{deparse(group)})" for piece in pieces))


def _slash_terms(group: Node) -> list[Node]:
    """Take ``a/b/c`` apart: its factors, outermost first; one factor where there is no ``/``."""
    if not any(isinstance(part, Call) and part.fn == "/" for part in _walk(group)):
        return [group]
    if not isinstance(group, Call) or group.fn != "/":
        raise FormulaError(
            f"The grouping factor {deparse(group)} cannot be read (lme4: unparseable formula for grouping factor). "
            "Nest with a/b/c at the top level, e.g. (1 | a/b), or write the terms one by one: (1 | a) + (1 | a:b)."
        )
    return _slash_terms(group.args[0]) + _slash_terms(group.args[1])


def _walk(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Call):
        for arg in node.args:
            yield from _walk(arg)


def _expand_slash(bar: Call) -> list[Bar]:
    effects, group = bar.args
    factors = _slash_terms(group)
    # lme4's makeInteraction: innermost first, each new factor before what it is nested in: s:(h:g), h:g, g.
    nested = [factors[0]]
    for factor in factors[1:]:
        nested.insert(0, Call(":", (factor, nested[0])))
    return [Bar(effects, part) for part in nested]


def find_bars(node: Node) -> tuple[Bar, ...]:
    """Every random-effects term of the right-hand side, in order (``findbars``; ``||`` expanded beforehand)."""
    if not isinstance(node, Call):
        return ()
    if node.fn == "(":
        return find_bars(node.args[0])
    if _is_bar(node):
        return tuple(_expand_slash(node))
    return tuple(bar for arg in node.args for bar in find_bars(arg))


def remove_bars(node: Node) -> Node | None:
    """Take the bars out of the right-hand side, None where nothing is left (``nobars_``)."""
    if not isinstance(node, Call) or not _has_bar(node):
        return node
    if _is_bar(node) or (node.fn not in ("~", "(") and any(_is_bar(arg) for arg in node.args)):
        return None
    kept = [remove_bars(arg) for arg in node.args]
    left = [arg for arg in kept if arg is not None]
    if len(left) == len(kept):
        return Call(node.fn, tuple(left), node.names, node.place)
    # As in lme4, what is left of an operator with a bar on one side is the other side alone.
    return left[0] if left else None


def replace_bars(node: Node) -> Node:
    """Bars replaced by ``+`` (``subbars``), for the model frame."""
    if not isinstance(node, Call):
        return node
    changed = _map_args(node, replace_bars)
    return Call("+", changed.args) if _is_bar(node) else changed


def _refuse_hidden_bars(node: Node, inside: Call | None = None) -> None:
    if not isinstance(node, Call):
        return
    if inside is not None and node.fn in ("|", "||"):
        raise FormulaError(
            f"{deparse(inside)}: lme4 takes every '|' of a formula for a random-effects bar, inside functions too. "
            "For a logical 'or', compute the column beforehand."
        )
    transparent = node.fn in ("+", "-", "*", ":", "/", "^", "%in%", "(", "~", "|", "||")
    for arg in node.args:
        _refuse_hidden_bars(arg, inside if transparent else (inside or node))


def split_formula(formula: Node) -> MixedFormula:
    """Take a mixed-model formula apart as ``lme4::lFormula`` does.

    Raises
    ------
    FormulaError
        Not a two-sided formula; a bar inside a function; a grouping factor that cannot be read.
    ModelError
        No random-effects term.
    """
    if not isinstance(formula, Call) or formula.fn != "~":
        raise FormulaError(
            f"{deparse(formula)!r} is not a model formula: the '~' between response and predictors is missing. "
            "Write one such as 'y ~ x + (1 | g)'."
        )
    if len(formula.args) != 2:
        raise FormulaError(
            f"The formula {deparse(formula)!r} has no response. Write it left of the '~': 'y {deparse(formula)}'."
        )
    response, right = formula.args
    if _has_bar(response):
        raise FormulaError(
            f"The response {deparse(response)!r} cannot have a bar. Put random effects right of the '~'."
        )
    if isinstance(response, Call) and response.fn == "~":
        raise FormulaError(f"The formula {deparse(formula)!r} has more than one '~'. Keep one.")
    _refuse_hidden_bars(right)
    right = expand_double_bars(right)
    bars = find_bars(right)
    if not bars:
        raise ModelError(
            f"No random effects terms specified in formula {deparse(formula)!r}. "
            "Add one, e.g. '+ (1 | g)' for an intercept that varies over the levels of g."
        )
    for bar in bars:
        if isinstance(bar.effects, Call) and bar.effects.fn in ("|", "||"):
            raise FormulaError(f"The random-effects term ({bar.label}) has two bars. Write one term for each.")
    rest = remove_bars(right)
    expanded = Call("~", (response, right))
    return MixedFormula(
        original=formula,
        expanded=expanded,
        frame=Call("~", (response, replace_bars(right))),
        fixed=Call("~", (response, Num(1.0) if rest is None else rest)),
        bars=bars,
    )
