"""Random-effects bars in formulas: lme4's ``findbars``, ``nobars``, ``subbars`` and ``expandDoubleVerts``.

What stands right of a bar is read as the dialect's lme4 does. Since 1.1-36 (package reformulas) it is a formula of its
own, whose terms are the grouping factors: ``f*g`` is f, g and ``f:g``. Before, only ``a/b`` was taken apart.
"""

from dataclasses import dataclass

from pyimpl.errors import FormulaError, ModelError
from pyimpl.formula.parse import Call, Const, Name, Node, Num, deparse, fold, parse, variable_label, walk
from pyimpl.formula.terms import expand_terms
from pyimpl.text.values import is_syntactic
from r_scripts.dialect import CHANGES, Dialect
from r_scripts.grammar import STRUCTURES

__all__ = [
    "Bar",
    "MixedFormula",
    "expand_double_bars",
    "find_bars",
    "newer_reading",
    "remove_bars",
    "replace_bars",
    "split_formula",
]


@dataclass(frozen=True, slots=True)
class Bar:
    """One random-effects term ``(effects | group)``.

    Attributes
    ----------
    effects : Node
        Left of the bar.
    group : Node
        Right of the bar: a name, or an interaction such as ``b:a``.
    structure : str
        Covariance structure: ``us`` where none is named.
    hom : bool or None
        Its argument ``hom``; None where it is not given.
    """

    effects: Node
    group: Node
    structure: str = "us"
    hom: bool | None = None

    @property
    def group_name(self) -> str:
        """Name of the grouping factor as lme4 shows it (``barnames``)."""
        return variable_label(self.group)

    @property
    def label(self) -> str:
        """The term as lme4 shows it: ``1 + x | g``."""
        return f"{deparse(self.effects)} | {deparse(self.group)}"

    @property
    def text(self) -> str:
        """The term as a formula has it: ``(1 + x | g)``, or ``cs(1 + x | g, hom = TRUE)``."""
        if self.structure == "us":
            return f"({self.label})"
        hom = "" if self.hom is None else f", hom = {str(self.hom).upper()}"
        return f"{self.structure}({self.label}{hom})"


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
        In the order of the formula, ``/`` (and ``*``, ``+``, by dialect) right of a bar expanded.
    """

    original: Node
    expanded: Node
    frame: Node
    fixed: Node
    bars: tuple[Bar, ...]


_BARS = ("|", "||")
#: Covariance structures of lme4 2.0. ``us`` (unstructured) is what a bar without one has.
_STRUCTURES = tuple(STRUCTURES)


def _is_bar(node: Node) -> bool:
    return isinstance(node, Call) and node.fn in _BARS and len(node.args) == 2


def _is_structure(node: Node) -> bool:
    """Whether it is a random-effects term with a covariance structure, ``us(x | g)``."""
    return isinstance(node, Call) and node.fn in _STRUCTURES and bool(node.args) and _is_bar(_bare(node.args[0]))


def _is_split_structure(node: Node) -> bool:
    """Whether it is what became of ``us(x || g)``: ``us((1 | g) + (0 + x | g))``."""
    return isinstance(node, Call) and node.fn == "us" and bool(node.args) and any(map(_is_bar, walk(node.args[0])))


def _bare(node: Node) -> Node:
    """Without parentheses around it."""
    while isinstance(node, Call) and node.fn == "(" and len(node.args) == 1:
        node = node.args[0]
    return node


def _hom(term: Call) -> bool | None:
    """The argument ``hom`` of a covariance structure."""
    for name, arg in zip(term.names, term.args, strict=False):
        if name == "hom":
            return isinstance(arg, Const) and arg.name == "TRUE"
    return None


def _rebuilt(node: Node, args: tuple[Node, ...]) -> Node:
    return Call(node.fn, args, node.names, node.place) if isinstance(node, Call) and args else node


def expand_double_bars(node: Node) -> Node:
    """``(x || g)`` -> ``((1 | g) + (0 + x | g))``, term by term (``expandDoubleVerts``)."""

    def double(part: Node) -> bool:
        return isinstance(part, Call) and part.fn == "||"

    def change(part: Node, args: tuple[Node, ...]) -> Node:
        return _split_bar(part) if isinstance(part, Call) and double(part) else _rebuilt(part, args)

    return fold(node, change, double)


def _split_bar(bar: Call) -> Node:
    effects, group = bar.args
    terms = expand_terms(Call("~", (effects,)))
    pieces = [f"0+{label}" for label in terms.labels]
    if terms.intercept:
        pieces.insert(0, "1")
    if not terms.terms:
        raise FormulaError(
            f"lme4 cannot read ({deparse(bar)}): '||' needs a slope left of it. "
            f"Write ({deparse(effects)} | {deparse(group)})."
        )
    if isinstance(group, Name) and not is_syntactic(group.name):
        raise FormulaError(
            f"lme4 cannot expand '||' over the name {deparse(group)}, which needs backticks. Rename the column, "
            f"or write the terms one by one: (1 | {deparse(group)}) + (0 + x | {deparse(group)})."
        )
    return parse("+".join(f"({piece}|{deparse(group)})" for piece in pieces))


def _has_slash(node: Node) -> bool:
    return any(isinstance(part, Call) and part.fn == "/" for part in walk(node))


def _slash_terms(group: Node) -> list[Node]:
    """Take ``a/b/c`` apart: its factors, outermost first; one factor where there is no ``/``."""
    if not _has_slash(group):
        return [group]
    inner: list[Node] = []
    outer = group
    while isinstance(outer, Call) and outer.fn == "/":
        outer, last = outer.args
        inner.append(last)
    factors = [outer, *reversed(inner)]
    if any(_has_slash(factor) for factor in factors):
        raise FormulaError(
            f"The grouping factor {deparse(group)} cannot be read (lme4: unparseable formula for grouping factor). "
            "Nest with a/b/c at the top level, e.g. (1 | a/b), or write the terms one by one: (1 | a) + (1 | a:b)."
        )
    return factors


def _nested_factors(group: Node) -> list[Node]:
    """Grouping factors of lme4 until 1.1-35 (``findbars``): ``a/b/c`` is taken apart, nothing else."""
    factors = _slash_terms(group)
    if len(factors) > 1 and isinstance(factors[0], Call):
        outer = deparse(factors[0])
        raise FormulaError(
            f"The grouping factor {deparse(group)} cannot be evaluated by lme4 before {CHANGES['reformulas'].since}: "
            f"what others are nested in has to be a column there. Make {outer} one, or write the terms one by one."
        )
    # lme4's makeInteraction: innermost first, each new factor before what it is nested in: s:(h:g), h:g, g.
    nested = [factors[0]]
    for factor in factors[1:]:
        nested.insert(0, Call(":", (factor, nested[0])))
    return nested


def _factors_of_terms(group: Node) -> list[Node]:
    """Grouping factors of reformulas (``expandGrpVar``): the terms of the formula ``~ group``, by their labels."""
    labels = list(expand_terms(Call("~", (group,))).labels)
    if _has_slash(group):
        # a/b has the terms a and a:b, and its factors are b:a and a; labels are taken apart as text, as R does
        labels = [":".join(reversed(label.split(":"))) for label in reversed(labels)]
    try:
        return [parse(label) for label in labels]
    except FormulaError as error:
        raise FormulaError(
            f"The grouping factor {deparse(group)} cannot be read: lme4 takes its terms apart at ':', which leaves "
            f"{labels[0]!r}. Make the factor a column beforehand."
        ) from error


def newer_reading(group: Node) -> str:
    """What lme4 since 1.1-36 makes of a grouping factor that earlier ones refuse: a sentence; empty where the same."""
    try:
        factors, before = _factors_of_terms(group), _nested_factors(group)
    except FormulaError:
        return ""
    if factors == before:
        return ""
    terms = " + ".join(f"(1 | {deparse(factor)})" for factor in factors)
    return f"lme4 reads (1 | {deparse(group)}) as {terms} since version {CHANGES['reformulas'].since}."


def find_bars(node: Node, dialect: Dialect | None = None) -> tuple[Bar, ...]:
    """Every random-effects term of the right-hand side, in order (``findbars``; ``||`` expanded beforehand).

    Parameters
    ----------
    node : Node
    dialect : Dialect, optional
        Whose lme4 reads the grouping factors; the newest where not given.

    Raises
    ------
    FormulaError
        A grouping factor that cannot be read.
    """
    read = _factors_of_terms if Dialect.of(dialect).has("reformulas") else _nested_factors
    found: list[Bar] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Call):
            continue
        if _is_structure(part):
            bar = _bare(part.args[0])
            assert isinstance(bar, Call)
            effects, group = bar.args
            found += [Bar(effects, factor, part.fn, _hom(part)) for factor in read(group)]
        elif _is_bar(part):
            effects, group = part.args
            found += [Bar(effects, factor) for factor in read(group)]
        else:
            waiting.extend(reversed(part.args))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is left of a part of a formula without its bars (None: nothing), and whether it had any."""

    node: Node | None
    bars: bool


def remove_bars(node: Node) -> Node | None:
    """Take the bars out of the right-hand side, None where nothing is left (``nobars_``)."""

    def change(part: Node, args: tuple[_Rest, ...]) -> _Rest:
        if not isinstance(part, Call) or not (part.fn in _BARS or any(arg.bars for arg in args)):
            return _Rest(part, False)
        if part.fn in _BARS or _is_structure(part):
            return _Rest(None, True)
        if part.fn not in ("~", "(") and any(_is_bar(arg) for arg in part.args):
            return _Rest(None, True)
        left = [arg.node for arg in args if arg.node is not None]
        if len(left) == len(args):
            return _Rest(Call(part.fn, tuple(left), part.names, part.place), True)
        # As in lme4, what is left of an operator with a bar on one side is the other side alone.
        return _Rest(left[0] if left else None, True)

    return fold(node, change).node


def replace_bars(node: Node) -> Node:
    """Bars replaced by ``+`` (``subbars``), for the model frame; a covariance structure around one by parentheses."""

    def change(part: Node, args: tuple[Node, ...]) -> Node:
        if _is_bar(part):
            return Call("+", args)
        if _is_structure(part) or _is_split_structure(part):
            return Call("(", args[:1])
        return _rebuilt(part, args)

    return fold(node, change)


_TRANSPARENT = frozenset({"+", "-", "*", ":", "/", "^", "%in%", "(", "~", *_BARS})


def _refuse_hidden_bars(node: Node, dialect: Dialect) -> None:
    waiting: list[tuple[Node, Call | None]] = [(node, None)]
    while waiting:
        part, inside = waiting.pop()
        if not isinstance(part, Call):
            continue
        if inside is not None and part.fn in _BARS:
            raise FormulaError(
                f"{deparse(inside)}: lme4 takes every '|' of a formula for a random-effects bar, inside functions too. "
                "For a logical 'or', compute the column beforehand."
            )
        if _is_structure(part):
            _check_structure(part, dialect)
            waiting.append((part.args[0], inside))
            continue
        if _is_split_structure(part):
            waiting.append((part.args[0], inside))
            continue
        inner = inside if part.fn in _TRANSPARENT else (inside or part)
        waiting.extend((arg, inner) for arg in part.args)


def _check_structure(term: Call, dialect: Dialect) -> None:
    """Refuse a covariance structure in a dialect that has none, and what lme4 would not understand or pass over."""
    change = CHANGES["structured_covariances"]
    if not dialect.has("structured_covariances"):
        raise FormulaError(
            f"{deparse(term)}: covariance structures (us, diag, cs, ar1) exist since lme4 {change.since}; this dialect "
            f"is lme4 {dialect.versions['lme4']}. us(x | g) is (x | g); diag(x | g) is (x || g) for numeric x."
        )
    bar = _bare(term.args[0])
    assert isinstance(bar, Call)
    if bar.fn == "||" and term.fn != "us":  # us(x || g) is (x || g)
        effects, group = map(deparse, bar.args)
        raise FormulaError(
            f"{deparse(term)}: '||' inside {term.fn}() would make a term of one effect of each, to which no structure "
            f"applies. Write diag({effects} | {group}), or ({effects} || {group})."
        )
    try:
        STRUCTURES[term.fn].match(term.names or [None] * len(term.args))
    except ValueError as error:
        raise FormulaError(
            f"{deparse(term)}: {error}. lme4 would pass over it; write {term.fn}({deparse(bar)}, hom = TRUE) for one "
            "standard deviation of all effects."
        ) from error
    for name, arg in zip(term.names, term.args, strict=False):
        if name == "hom" and not (isinstance(arg, Const) and arg.name in ("TRUE", "FALSE")):
            raise FormulaError(f"{deparse(term)}: hom is TRUE or FALSE, not {deparse(arg)}.")


def split_formula(formula: Node, dialect: Dialect | None = None) -> MixedFormula:
    """Take a mixed-model formula apart as ``lme4::lFormula`` does.

    Parameters
    ----------
    formula : Node
    dialect : Dialect, optional
        Whose lme4 reads it; the newest where not given.

    Raises
    ------
    FormulaError
        Not a two-sided formula; a bar inside a function; a grouping factor that cannot be read; a covariance structure
        in a dialect that has none.
    ModelError
        No random-effects term.
    """
    spoken = Dialect.of(dialect)
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
    if any(isinstance(part, Call) and part.fn in _BARS for part in walk(response)):
        raise FormulaError(
            f"The response {deparse(response)!r} cannot have a bar. Put random effects right of the '~'."
        )
    if isinstance(response, Call) and response.fn == "~":
        raise FormulaError(f"The formula {deparse(formula)!r} has more than one '~'. Keep one.")
    _refuse_hidden_bars(right, spoken)
    right = expand_double_bars(right)
    bars = find_bars(right, spoken)
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
