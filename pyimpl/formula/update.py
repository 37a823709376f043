"""R's ``update.formula`` for mixed-model formulas."""

from pyimpl.errors import FormulaError
from pyimpl.formula.bars import find_bars
from pyimpl.formula.parse import Call, Const, Name, Node, Num, all_names, deparse, parse
from pyimpl.formula.terms import Terms, expand_terms
from r_scripts.grammar import STRUCTURES

__all__ = ["update_formula", "write_out_dot"]


def write_out_dot(formula: str, fixed: Terms) -> str:
    """Write the columns that a ``.`` of the fixed part stands for; formulas without one are returned as they are.

    In an update a ``.`` means the formula's old side, not the data's columns (lme4 refuses to update such a model).

    Parameters
    ----------
    formula : str
        ``y ~ . - g + (1 | g)``
    fixed : Terms
        Its fixed part, expanded with the data's columns.

    Returns
    -------
    str
        ``y ~ x + z + (1 | g)``
    """
    tree = parse(formula)
    if not isinstance(tree, Call) or "." not in all_names(tree.args[-1]):
        return formula
    pieces = [*fixed.labels, *(deparse(fixed.variables[i]) for i in fixed.offsets)]
    pieces = pieces if fixed.intercept else ["0", *pieces]
    bars = [bar.text for bar in find_bars(tree.args[-1])]
    return f"{deparse(tree.args[0])} ~ {' + '.join([*(pieces or ['1']), *bars])}"


def update_formula(old: str, new: str) -> str:
    """Update a formula as ``update.formula(old, new)`` does: a ``.`` stands for the old left- or right-hand side.

    Fixed terms are expanded and put in R's order (by degree of interaction); random-effects terms keep their place
    among the terms of degree one.

    Parameters
    ----------
    old : str
        ``y ~ x + (1 | g)``
    new : str
        ``. ~ . - x``, or ``~ . + z``.

    Returns
    -------
    str

    Raises
    ------
    FormulaError
        If either is not a formula.
    """
    before, after = parse(old), parse(new)
    if not (isinstance(before, Call) and before.fn == "~" and len(before.args) == 2):
        raise FormulaError(f"The model's formula {old!r} has no response.")
    if not (isinstance(after, Call) and after.fn == "~"):
        raise FormulaError(f"{new!r} is not a formula. Write one such as '. ~ . - x'.")
    left = _replace_dot(after.args[0], before.args[0], False) if len(after.args) == 2 else before.args[0]
    right = _replace_dot(after.args[-1], before.args[1], True)
    fixed: list[tuple[int, Node]] = []
    first_degree: list[str] = []
    bars: dict[str, None] = {}
    for sign, part in _summands(right, 1):
        if find_bars(part):
            label = _bar_text(part)
            if sign > 0:
                bars.setdefault(label)
                first_degree.append(label)
            else:
                bars.pop(label, None)
                first_degree = [known for known in first_degree if known != label]
        else:
            fixed.append((sign, part))
            first_degree.append(deparse(part))
    text = " ".join(f"{'+' if sign > 0 else '-'} {deparse(part)}" for sign, part in fixed) or "+ 1"
    terms = expand_terms(parse(f"~ 0 {text}" if _drops_intercept(fixed) else f"~ 1 {text}"), ())
    singles = [t.label for t in terms.terms if len(t.variables) == 1]
    higher = [t.label for t in terms.terms if len(t.variables) > 1]
    offsets = [deparse(terms.variables[i]) for i in terms.offsets]
    # random-effects terms stay among the terms of degree one where the formula has them
    ordered: list[str] = []
    waiting = list(singles)
    names_before = 0
    for sign, part in _summands(right, 1):
        if find_bars(part):
            label = _bar_text(part)
            if sign > 0 and label in bars and label not in ordered:
                ordered.append(label)
        else:
            names = set(all_names(part))
            while waiting and sign > 0 and set(all_names(parse(waiting[0]))) <= names:
                ordered.append(waiting.pop(0))
                names_before += 1
    position = max((i for i, label in enumerate(ordered) if label not in bars), default=-1) + 1
    ordered[position:position] = waiting
    pieces = ordered + higher + offsets
    if not terms.intercept:
        pieces.append("-1")
    rhs = " + ".join(pieces).replace("+ -1", "- 1") if pieces else "1"
    return f"{deparse(left)} ~ {rhs}"


def _bar_text(part: Node) -> str:
    """A random-effects term, in parentheses unless it has a covariance structure around it."""
    inner = part.args[0] if isinstance(part, Call) and part.fn == "(" else part
    structured = isinstance(inner, Call) and inner.fn in STRUCTURES
    return deparse(inner) if structured else deparse(Call("(", (inner,)))


def _replace_dot(node: Node, by: Node, wrap: bool) -> Node:
    if isinstance(node, Name):
        if node.name != ".":
            return node
        return Call("(", (by,)) if wrap and isinstance(by, Call) and by.fn != "(" else by
    if isinstance(node, Call):
        return Call(node.fn, tuple(_replace_dot(arg, by, wrap) for arg in node.args), node.names)
    return node


def _summands(node: Node, sign: int) -> list[tuple[int, Node]]:
    """List the terms of a sum, parentheses around sums opened."""
    if isinstance(node, Call):
        if node.fn == "(" and isinstance(node.args[0], Call) and node.args[0].fn in ("+", "-", "("):
            return _summands(node.args[0], sign)
        if node.fn in ("+", "-") and len(node.args) == 2:
            return [*_summands(node.args[0], sign), *_summands(node.args[1], sign if node.fn == "+" else -sign)]
        if node.fn in ("+", "-") and len(node.args) == 1:
            return _summands(node.args[0], sign if node.fn == "+" else -sign)
        if node.fn == "(" and not find_bars(node):
            return [(sign, node.args[0])]
    return [(sign, node)]


def _drops_intercept(parts: list[tuple[int, Node]]) -> bool:
    """Whether the last word about the intercept is that it is left out."""
    dropped = False
    for sign, part in parts:
        if isinstance(part, Num) and part.value in (0.0, 1.0):
            dropped = (part.value == 0.0) == (sign > 0)
        elif isinstance(part, Const):
            raise FormulaError(f"{part.name} is not a term.")
    return dropped
