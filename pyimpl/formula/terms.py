"""R's ``terms.formula``: which terms a formula stands for, in which order, and how factors in them are coded.

A term is a set of variables, held as an integer with one bit a variable (R's bit patterns in ``model.c``).
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyimpl.errors import FormulaError
from pyimpl.formula.parse import Call, Const, Name, Node, Num, all_names, deparse, fold, variable_label, walk

__all__ = ["CONTRASTS", "FULL", "MOST_TERMS", "Term", "Terms", "expand_terms"]

#: A factor in a term is coded by contrasts (1 of R's ``attr(terms, "factors")``) ...
CONTRASTS = 1
#: ... or by an indicator of each level (2), because the term without it is not in the model.
FULL = 2


@dataclass(frozen=True, slots=True)
class Term:
    """One term of an expanded formula.

    Attributes
    ----------
    label : str
        R's term label: ``x``, ``x:g``, ``I(x^2)``.
    variables : tuple of int
        Positions in :attr:`Terms.variables`, ascending.
    codes : tuple of int
        For each of them :data:`CONTRASTS` or :data:`FULL`, R's marginality rule (``TermCode`` in ``model.c``); a
        model without intercept changes the first factor further (see :func:`pyimpl.design.model_matrix.plan_columns`).
    """

    label: str
    variables: tuple[int, ...]
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """An expanded formula, as R's ``terms`` object; equal to itself alone, and so cheap to look up.

    Attributes
    ----------
    variables : tuple of Node
        ``attr(, "variables")``: response first, then in order of appearance, removed terms' variables too.
    names : tuple of str
        Their names in a model frame.
    spellings : tuple of str
        How they are written in labels of terms and columns.
    response : int
        Position of the response in ``variables``, or -1.
    intercept : bool
    terms : tuple of Term
        Ordered by degree; within a degree by appearance.
    offsets : tuple of int
        Positions of ``offset(...)`` variables.
    """

    variables: tuple[Node, ...]
    names: tuple[str, ...]
    spellings: tuple[str, ...]
    response: int
    intercept: bool
    terms: tuple[Term, ...]
    offsets: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Term labels (``attr(, "term.labels")``)."""
        return tuple(term.label for term in self.terms)


_OPERATORS = frozenset({"+", "-", "*", ":", "/", "^", "%in%", "("})


def _constant(node: Node) -> float | None:
    """Value of a constant that may stand alone in a formula (``isZeroOne``): 0 or 1, TRUE and FALSE included."""
    if isinstance(node, Num) and node.value in (0.0, 1.0):
        return node.value
    if isinstance(node, Const) and node.name in ("TRUE", "FALSE"):
        return float(node.name == "TRUE")
    return None


def _same_numbers(node: Node) -> Node:
    """Write 2L as 2 in a tree: the same variable to R (``MatchVar`` compares numbers by value)."""
    if isinstance(node, Num):
        return Num(node.value)
    if isinstance(node, Call) and any(isinstance(part, Num) and part.integer for part in walk(node)):
        return fold(node, _with_plain_number)
    return node


def _with_plain_number(node: Node, args: tuple[Node, ...]) -> Node:
    if isinstance(node, Num):
        return Num(node.value)
    return Call(node.fn, args, node.names) if isinstance(node, Call) else node


#: More terms are refused before they are made: 16 variables crossed have 65 535.
MOST_TERMS = 50_000

#: Terms in order, without repeats: R's ``TrimRepeat``, done as they come.
_Encoded = dict[int, None]


def _distinct(terms: Iterable[int]) -> _Encoded:
    """Drop empty and repeated terms (``TrimRepeat``), which are read no further than to :data:`MOST_TERMS`."""
    left = (term for term in terms if term)
    found = dict.fromkeys(itertools.islice(left, MOST_TERMS))
    for term in left:
        found[term] = None
        if len(found) > MOST_TERMS:
            raise FormulaError(
                f"The formula stands for more than {MOST_TERMS} terms: k variables crossed by '*' make 2^k - 1, "
                "(a + b + ...)^2 all pairs. Name the interactions that you mean."
            )
    return found


class _Expansion:
    """The state of one expansion: variables seen, intercept, parity of enclosing minuses (``EncodeVars``)."""

    def __init__(self, dot: Sequence[str] | None):
        self.variables: list[Node] = []
        self.positions: dict[Node, int] = {}
        self.dot = dot
        self.intercept = True
        self.parity = True

    def bit(self, node: Node) -> int:
        position = self.positions.setdefault(_same_numbers(node), len(self.positions))
        if position == len(self.variables):
            self.variables.append(node)
        return 1 << position

    def dot_terms(self) -> list[int]:
        if self.dot is None:
            raise FormulaError("'.' in a formula stands for all other columns, but there is no data frame here.")
        return [self.bit(Name(name)) for name in self.dot]

    def install(self, node: Node) -> None:
        """Install the variables in order of appearance, those of removed terms too (``ExtractVars``)."""
        waiting = [node]
        while waiting:
            part = waiting.pop()
            if isinstance(part, Name):
                if part.name == ".":
                    self.dot_terms()
                else:
                    self.bit(part)
            elif isinstance(part, Call) and part.fn in _OPERATORS and not part.names:
                if part.fn == "^":
                    _power(part)
                    waiting.append(part.args[0])
                else:
                    waiting.extend(reversed(part.args))
            elif isinstance(part, Call):
                self.bit(part)
            elif _constant(part) is None and part != Const("NULL"):
                raise FormulaError(
                    f"{deparse(part)} cannot stand as a term of a formula; only 0, 1 and -1 (the intercept) can. "
                    f"Arithmetic belongs inside I(): I(x + {deparse(part)})."
                )

    def encode(self, node: Node) -> _Encoded:
        """Terms of a part of the formula (``EncodeVars``); sums, which are deep on their left, in a loop."""
        above: list[Call] = []
        while isinstance(node, Call) and node.fn in _OPERATORS and not node.names and len(node.args) == 2:
            above.append(node)
            node = node.args[0]
        encoded = self.encode_one(node)
        for call in reversed(above):
            encoded = self.combine(call, encoded)
        return encoded

    def encode_one(self, node: Node) -> _Encoded:
        value = _constant(node)
        if value is not None:
            self.intercept = (value == 1) == self.parity
            return {}
        if isinstance(node, Name):
            return dict.fromkeys(self.dot_terms() if node.name == "." else [self.bit(node)])
        if not isinstance(node, Call):
            return {}  # NULL; anything else was refused by `install`
        if node.fn not in _OPERATORS or node.names:
            return {self.bit(node): None}
        return self.delete({}, node.args[0]) if node.fn == "-" else self.encode(node.args[0])

    def combine(self, call: Call, left: _Encoded) -> _Encoded:
        """Terms of an operator with two sides, of which the left one is encoded (and may be changed)."""
        fn, right_node = call.fn, call.args[1]
        if fn == "-":
            return self.delete(left, right_node)
        if fn == "^":
            return self.power(left, _power(call))
        right = self.encode(right_node)
        if fn == "+":
            left.update(right)
            return left
        if fn in ("*", "/") and not left:
            return {}  # R loses the right-hand side of 1 * f and of 1 / f
        if fn == "/":
            whole = _union(left)
            return _distinct([*left, *(whole | b for b in right)])
        if fn == "%in%":
            whole = _union(right)
            return _distinct(a | whole for a in left)
        crossed = (a | b for a in left for b in right)
        return _distinct(crossed if fn == ":" else itertools.chain(left, right, crossed))

    def power(self, left: _Encoded, exponent: int) -> _Encoded:
        right = left
        for _ in range(exponent - 1):
            larger = _distinct(a | b for a in left for b in right)
            if list(larger) == list(right):
                break  # every further power is the same
            right = larger
        return right

    def delete(self, left: _Encoded, node: Node) -> _Encoded:
        self.parity = not self.parity
        right = self.encode(node)
        self.parity = not self.parity
        return {term: None for term in left if term not in right}


def _union(terms: Iterable[int]) -> int:
    whole = 0
    for term in terms:
        whole |= term
    return whole


def _power(node: Call) -> int:
    exponent = node.args[1]
    if not isinstance(exponent, Num) or not 2 <= exponent.value < 1e6:
        raise FormulaError(
            f"Invalid power in the formula: {deparse(node)}. Outside I(), ^ means all interactions up to that order "
            "and takes an integer of at least 2; for the square of x write I(x^2)."
        )
    return int(exponent.value)


def _bits(term: int) -> tuple[int, ...]:
    positions = []
    while term:
        low = term & -term
        positions.append(low.bit_length() - 1)
        term ^= low
    return tuple(positions)


def _codes(term: int, positions: tuple[int, ...], preceding: _Encoded) -> tuple[int, ...]:
    """``TermCode``: contrasts if some preceding term contains this one without the variable, else indicators.

    Where the smaller term itself is in the model, as it is in ``a*b``, none is searched for.
    """
    codes = []
    for position in positions:
        rest = term & ~(1 << position)
        marginal = rest == 0 or rest in preceding or any(rest & ~other == 0 for other in preceding)
        codes.append(CONTRASTS if marginal else FULL)
    return tuple(codes)


def expand_terms(formula: Node, columns: Callable[[], Sequence[str]] | Sequence[str] | None = None) -> Terms:
    """Expand a formula as R's ``terms.formula(formula, data = data)``.

    Parameters
    ----------
    formula : Node
        ``lhs ~ rhs`` or ``~ rhs``, without random-effects bars.
    columns : sequence of str, or callable giving one, optional
        Column names of the data: what ``.`` stands for (less every name on the left-hand side).

    Raises
    ------
    FormulaError
        Not a formula; a number other than 0 and 1 as a term; a bad power; ``.`` without data.
    """
    if not isinstance(formula, Call) or formula.fn != "~":
        raise FormulaError(
            f"{deparse(formula)!r} is not a model formula: the '~' between response and predictors is missing. "
            "Write one such as 'y ~ x + (1 | g)'."
        )
    response = formula.args[0] if len(formula.args) == 2 else None
    right = formula.args[-1]
    if any(isinstance(side, Call) and side.fn == "~" for side in formula.args):
        raise FormulaError(f"The formula {deparse(formula)!r} has more than one '~'. Keep one.")
    dot = None
    if columns is not None and "." in all_names(right):
        names = columns() if callable(columns) else columns
        taken = set(all_names(response)) if response is not None else set()
        dot = [name for name in names if name not in taken]
    state = _Expansion(dot)
    if response is not None:
        state.bit(response)
    state.install(right)
    encoded = state.encode(right)
    variables = tuple(state.variables)
    offsets = tuple(i for i, node in enumerate(variables) if isinstance(node, Call) and node.fn == "offset")
    offset_bits = _union([1 << i for i in offsets])
    kept = [term for term in encoded if not term & offset_bits]
    kept.sort(key=int.bit_count)
    spellings = tuple(deparse(node, simple=True) for node in variables)
    terms, preceding = [], _Encoded()
    for term in kept:
        positions = _bits(term)
        label = ":".join(spellings[position] for position in positions)
        terms.append(Term(label, positions, _codes(term, positions, preceding)))
        preceding[term] = None
    return Terms(
        variables=variables,
        names=tuple(variable_label(node) for node in variables),
        spellings=spellings,
        response=0 if response is not None else -1,
        intercept=state.intercept,
        terms=tuple(terms),
        offsets=offsets,
    )
