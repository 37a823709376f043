"""The register of what makes Python of R's functions, and what makers share."""

from collections.abc import Callable

from validation.migrate.code import Code, Scope
from validation.migrate.rcode import Node
from validation.migrate.translate import Maker, Translator

__all__ = ["FUNCTIONS", "maker", "numbers", "only", "values_of"]

#: R's function -> what makes its Python; each module of makers adds its own.
FUNCTIONS: dict[str, Maker] = {}


def maker(*names: str, takes: str | None = "", unneeded: str = "") -> Callable[[Maker], Maker]:
    """Let a function make the Python of R's functions of these names.

    Parameters
    ----------
    *names : str
    takes : str or None
        The arguments, by R's names, that it reads; a call with another is refused, by the argument's name. None where
        any name is allowed (``c(a = 1)``).
    unneeded : str
        Arguments that change nothing in Python, or only how a value is printed: they are noted.
    """

    def keep(function: Maker) -> Maker:
        def checked(t: Translator, node: Node, scope: Scope) -> Code:
            if takes is not None:
                _check_arguments(t, node, takes.split(), unneeded.split())
            return function(t, node, scope)

        FUNCTIONS.update(dict.fromkeys(names, checked))
        return function

    return keep


def _check_arguments(t: Translator, node: Node, takes: list[str], unneeded: list[str]) -> None:
    for argument in node.args:
        name = argument.name
        if name is None or argument.value is None or any(one.startswith(name) for one in takes):
            continue
        if not any(one.startswith(name) for one in unneeded):
            raise t.refuse(node, f"the argument {name} of {node.text}() is not carried over")
        t.noted.append(f"{name} = {t.source(argument.value)} (of {node.text}(): how it is printed)")


def values_of(node: Node) -> list[Node]:
    """The arguments without names."""
    return [argument.value for argument in node.args if argument.value is not None and argument.name is None]


def only(t: Translator, node: Node, scope: Scope) -> Code:
    """The one argument that a function is of, by place or by name."""
    values = values_of(node) or [a.value for a in node.args if a.value is not None]
    if not values:
        raise t.refuse(node, "a call without arguments")
    if len(values) > 1 and node.text != "print":
        raise t.refuse(node, f"{node.text}() with more arguments than one")
    made = t.expression(values[0], scope)
    return numbers(t, made) if node.text in _OF_NUMBERS else made


#: Functions of R's that take a vector with names, which a loop can have filled by names.
_OF_NUMBERS = {
    "sqrt",
    "exp",
    "log",
    "abs",
    "log10",
    "log2",
    "floor",
    "ceiling",
    "cumsum",
    "which.min",
    "which.max",
    "range",
    "diff",
    "rev",
    "sort",
    "any",
    "all",
    "unlist",
}


def numbers(t: Translator, made: Code) -> Code:
    """Numbers under names, one by one, as a vector with names."""
    if made.kind != "dict" or made.element not in ("number", "any"):
        return made
    return Code(f"pd.Series({made.text})", "series")
