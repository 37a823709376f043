"""A formula with all that its text alone decides: read once, however often it is fitted."""

from dataclasses import dataclass
from functools import lru_cache

from pyimpl.errors import FormulaError
from pyimpl.formula.bars import Bar, MixedFormula, split_formula
from pyimpl.formula.parse import Call, Name, Node, all_names, deparse, parse
from pyimpl.formula.terms import Terms, expand_terms
from pyimpl.frame.columns import Data
from r_scripts.dialect import Dialect

__all__ = ["ReadBar", "ReadFormula", "read_formula", "variables_of"]

_NEWEST = Dialect.of(None)


@dataclass(frozen=True, slots=True)
class ReadBar:
    """A random-effects term ``(effects | group)``.

    Attributes
    ----------
    bar : Bar
    label, group : str
        The term and its grouping factor as lme4 shows them.
    group_names : tuple of str
        Variables of the grouping factor.
    effects : Node
        The left-hand side as a one-sided formula.
    terms : Terms or None
        That formula expanded; None where a ``.`` needs the data.
    """

    bar: Bar
    label: str
    group: str
    group_names: tuple[str, ...]
    effects: Node
    terms: Terms | None


@dataclass(frozen=True, slots=True)
class ReadFormula:
    """A mixed model's formula.

    Attributes
    ----------
    mixed : MixedFormula
        Its fixed part, its bars, and the formula of the model frame.
    original, expanded, response : str
        The formula as written, as R deparses it with ``||`` expanded, and its left-hand side.
    variables : tuple of Node, or None
        Of the model frame; None where a ``.`` needs the data.
    fixed : Terms or None
        Fixed part expanded; None likewise.
    bars : tuple of ReadBar
    """

    mixed: MixedFormula
    original: str
    expanded: str
    response: str
    variables: tuple[Node, ...] | None
    fixed: Terms | None
    bars: tuple[ReadBar, ...]


def read_formula(text: str, dialect: Dialect) -> ReadFormula:
    """Read a mixed model's formula.

    Raises
    ------
    FormulaError
        It is no string, cannot be read, or calls something that is not allowed.
    ModelError
        It has no random effects.
    """
    if not isinstance(text, str):  # unhashable things, too: what was read is kept
        raise FormulaError(f"A formula must be a string such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    # only what a dialect says of formulas tells one reading from another
    return _read_as(text, "newest" if dialect is _NEWEST else dialect.versions["lme4"])


@lru_cache(maxsize=256)
def _read_as(text: str, lme4: str) -> ReadFormula:
    dialect = _NEWEST if lme4 == "newest" else Dialect.of(lme4)
    mixed = split_formula(parse(text), dialect)

    def terms_of(node: Node) -> Terms | None:
        return None if "." in all_names(node) else expand_terms(node)

    in_frame = terms_of(mixed.frame)
    bars = []
    for bar in mixed.bars:
        effects = Call("~", (bar.effects,))
        bars.append(ReadBar(bar, bar.label, bar.group_name, all_names(bar.group), effects, terms_of(effects)))
    return ReadFormula(
        mixed,
        deparse(mixed.original),
        deparse(mixed.expanded),
        deparse(mixed.expanded.args[0]) if isinstance(mixed.expanded, Call) else "",
        None if in_frame is None else in_frame.variables,
        terms_of(mixed.fixed),
        tuple(bars),
    )


def variables_of(read: ReadFormula, data: Data) -> tuple[Node, ...]:
    """Variables of the model frame, the response first; a ``.`` stands for the other columns of the data.

    Raises
    ------
    FormulaError
        A ``.`` together with a transformed variable, which lme4 would take as one more predictor.
    """
    if read.variables is not None:
        return read.variables
    formula = read.mixed.frame
    response = formula.args[0] if isinstance(formula, Call) else formula
    if not isinstance(response, Name):
        raise FormulaError(
            f"'.' with the response {deparse(response)}: lme4 would take the response itself as a predictor. "
            "Name the predictors, or make the transformed response a column."
        )
    terms = expand_terms(formula, data.names)
    transformed = [deparse(node) for node in terms.variables if not isinstance(node, Name)]
    if transformed:
        raise FormulaError(
            f"'.' together with {transformed[0]}: lme4 would take that as one more predictor column. "
            "Name the predictors instead of '.'."
        )
    return terms.variables
