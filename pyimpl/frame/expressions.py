"""The expressions of a formula, evaluated with R's semantics: names, constants, operators, and the arguments of calls.

What calls of functions give stands in the modules by kind (``number_functions``, ``factor_functions``, ...), which
:mod:`pyimpl.frame.functions` brings together: a closed list, nothing else is run.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pyimpl.errors import FormulaError
from pyimpl.formula.parse import Call, Const, Name, Node, Num, Str, deparse
from pyimpl.frame.bases import kept_attributes
from pyimpl.frame.columns import INT_MAX, Column, Factor, Logical, Numeric, as_factor
from pyimpl.frame.comparisons import COMPARISONS, compare_labels, contained_in, one_column
from pyimpl.linalg.forecast import refuse_too_large
from r_scripts import grammar
from r_scripts.dialect import Dialect

__all__ = ["Expressions", "FormulaFunction"]

_ARITHMETIC = frozenset({"+", "-", "*", "/", "^", "%%", "%/%"})
_CONSTANTS = {"Inf": math.inf, "NaN": math.nan}
_NAMED_CONSTANTS: dict[str, Column] = {
    "pi": Numeric(np.array([math.pi])),
    "T": Logical(np.array([1.0])),
    "F": Logical(np.array([0.0])),
}

#: A function of a formula: what a call of it is worth.
FormulaFunction = Callable[["Expressions", Call], Column]


@dataclass
class Expressions:
    """Evaluates expressions on columns.

    Parameters
    ----------
    lookup : callable
        Name -> column; raises :class:`~pyimpl.errors.DataError` for a column that does not exist.
    has : callable
        Whether a column of that name exists (``pi``, ``T`` and ``F`` are constants only where none does).
    rows : int
        Number of rows; constants are recycled to it.
    functions : mapping
        Name -> function: all that may be called.
    dialect : Dialect
        Which R is meant.
    notes : dict
        Warnings of the evaluation are added here: (R's words, the expression).
    """

    lookup: Callable[[str], Column]
    has: Callable[[str], bool]
    rows: int
    functions: Mapping[str, FormulaFunction]
    dialect: Dialect = field(default_factory=Dialect)
    notes: dict[tuple[str, str], None] = field(default_factory=dict)

    def note(self, text: str, node: Node) -> None:
        """Remember a warning of R's, of this expression."""
        self.notes[text, deparse(node)] = None

    def value(self, node: Node) -> Column:
        """Value of an expression; constants have length 1."""
        if isinstance(node, Num):
            return Numeric(np.array([node.value]), kind="integer" if node.integer else "double")
        if isinstance(node, Str):
            return Factor(np.zeros(1, dtype=np.intp), (node.value,), text=True)
        if isinstance(node, Const):
            if node.name in ("TRUE", "FALSE", "NA"):
                return Logical(np.array([{"TRUE": 1.0, "FALSE": 0.0, "NA": math.nan}[node.name]]))
            if node.name in _CONSTANTS:
                return Numeric(np.array([_CONSTANTS[node.name]]))
            raise FormulaError("NULL has no values. Remove it from the formula.")
        if isinstance(node, Name):
            if node.name in _NAMED_CONSTANTS and not self.has(node.name):
                return _NAMED_CONSTANTS[node.name]
            if node.name == ".":
                raise FormulaError("'.' stands for all other columns only as a term of its own, not inside a function.")
            return self.lookup(node.name)
        fn, args = node.fn, node.args
        if fn == "(":
            return self.value(args[0])
        if fn in _ARITHMETIC and not node.names:
            return self._unary(node) if len(args) == 1 else self._arithmetic(node)
        if fn in COMPARISONS and len(args) == 2:
            return self._comparison(node)
        if fn == "!" and len(args) == 1:
            return Logical(1.0 - self.truth(args[0], node))
        if fn in ("&", "|") and len(args) == 2:
            return self._logic(node)
        if fn == "%in%" and len(args) == 2:
            return contained_in(node, self.value(args[0]), self.value(args[1]))
        if fn == ":" and len(args) == 2:
            return self._colon(node)
        function = self.functions.get(fn)
        if function is None:
            raise FormulaError(self._not_allowed(node))
        return function(self, node)

    def _not_allowed(self, node: Call) -> str:
        if node.fn in ("&&", "||", "~", "?"):
            return f"{deparse(node)}: {node.fn!r} cannot be used inside a function of a formula."
        allowed = ", ".join(sorted(self.functions, key=str.lower))
        return (
            f"{node.fn}() cannot be called in a formula ({deparse(node)}). Allowed are {allowed} and "
            "arithmetic inside I(). Compute the column beforehand, e.g. data.assign(z=...), and name it in the formula."
        )

    def numbers(self, node: Node, caller: Node) -> Numeric:
        """Value of an expression that must be numbers or logicals, as numbers; `caller` is named where it is not."""
        value = self.value(node)
        if isinstance(value, Logical):
            return Numeric(value.array, kind="integer")
        if isinstance(value, Factor):
            what = "strings" if value.text else "a factor"
            raise FormulaError(
                f"{deparse(caller)}: numbers are needed, but {deparse(node)} is {what} "
                f"(values such as {', '.join(map(repr, value.levels[:3]))}). For its codes write as.numeric(...)."
            )
        return value

    def _unary(self, node: Call) -> Column:
        value = self.numbers(node.args[0], node)
        return replace(value, array=-value.array if node.fn == "-" else value.array)

    def _arithmetic(self, node: Call) -> Column:
        left, right = self.numbers(node.args[0], node), self.numbers(node.args[1], node)
        a, b = self.aligned(left, right, node)
        whole = left.kind == right.kind == "integer"
        with np.errstate(all="ignore"):
            if node.fn == "+":
                out = a + b
            elif node.fn == "-":
                out = a - b
            elif node.fn == "*":
                out = a * b
            elif node.fn == "/":
                out, whole = a / b, False
            elif node.fn == "^":
                out, whole = _power(a, b), False
            else:
                if whole and np.any(b == 0):
                    b = np.where(b == 0, np.nan, b)  # integer %% 0 is NA
                out = np.mod(a, b) if node.fn == "%%" else np.floor(a / b)
        if whole and np.any(np.abs(out) > INT_MAX):
            self.note("NAs produced by integer overflow", node)
            out = np.where(np.abs(out) > INT_MAX, np.nan, out)
        if np.isnan(out).any() and np.any(np.isnan(out) & ~np.isnan(a) & ~np.isnan(b)) and not whole:
            self.note("NaNs produced", node)
        names = left.names if left.array.ndim == 2 else right.names
        return Numeric(out, "integer" if whole else "double", names, kept_attributes(left, right))

    def aligned(self, left: Numeric, right: Numeric, node: Call) -> tuple[np.ndarray, np.ndarray]:
        """Two operands in shapes that numpy broadcasts as R recycles: equal lengths, or one value."""
        a, b = left.array, right.array
        lengths = {len(a), len(b)} - {1}
        if len(lengths) > 1:
            raise FormulaError(f"{deparse(node)}: the sides have {len(a)} and {len(b)} values.")
        if a.ndim == 2 and b.ndim == 2 and a.shape[1] != b.shape[1]:
            raise FormulaError(f"{deparse(node)}: non-conformable, {a.shape[1]} and {b.shape[1]} columns.")
        if a.ndim == 2 and b.ndim == 1:
            b = b[:, None]
        elif b.ndim == 2 and a.ndim == 1:
            a = a[:, None]
        return a, b

    def truth(self, node: Node, caller: Node) -> np.ndarray:
        """Value of an expression as truth values: 0, 1 and NaN, shape (N,)."""
        value = self.value(node)
        if isinstance(value, Logical):
            return value.array
        if isinstance(value, Numeric) and (array := one_column(value.array)).ndim == 1:
            return np.where(np.isnan(array), np.nan, (array != 0).astype(np.float64))
        raise FormulaError(f"{deparse(caller)}: {deparse(node)} is neither a logical nor a number.")

    def _logic(self, node: Call) -> Column:
        a, b = self.truth(node.args[0], node), self.truth(node.args[1], node)
        decided = 0.0 if node.fn == "&" else 1.0
        missing = np.isnan(a) | np.isnan(b)
        out = np.where((a == decided) | (b == decided), decided, np.where(missing, np.nan, 1.0 - decided))
        return Logical(out)

    def _comparison(self, node: Call) -> Column:
        left, right = self.value(node.args[0]), self.value(node.args[1])
        if isinstance(left, Factor) or isinstance(right, Factor):
            return compare_labels(node, left, right)
        a, b = self.aligned(self.numbers(node.args[0], node), self.numbers(node.args[1], node), node)
        a, b = one_column(a), one_column(b)
        if a.ndim == 2 or b.ndim == 2:
            raise FormulaError(f"{deparse(node)}: a matrix cannot be a logical variable.")
        out = COMPARISONS[node.fn](a, b).astype(np.float64)
        return Logical(np.where(np.isnan(a) | np.isnan(b), np.nan, out))

    def _colon(self, node: Call) -> Column:
        ends = [self.value(arg) for arg in node.args]
        if not all(isinstance(end, Numeric) and len(end) == 1 for end in ends):
            raise FormulaError(
                f"{deparse(node)}: inside a function ':' is R's sequence and needs two numbers. "
                "An interaction of factors stands outside functions."
            )
        low, high = (float(end.array[0]) for end in ends if isinstance(end, Numeric))
        step = 1.0 if high >= low else -1.0
        refuse_too_large(4.0 * abs(high - low), f"the numbers of {deparse(node)}", "Take fewer.")
        return Numeric(np.arange(low, high + step * 1e-10, step), kind="integer" if low.is_integer() else "double")

    def arguments(self, node: Call) -> list[tuple[str | None, Node]]:
        """Name each argument of a call as the one list says (`r_scripts.grammar`), None for those of R's ``...``."""
        try:
            found = grammar.FUNCTIONS[node.fn].match([name for name, _ in node.named_args()])
        except ValueError as error:
            raise FormulaError(f"{deparse(node)}: {error}.") from None
        return [
            (None if argument is None else argument.name, arg) for argument, arg in zip(found, node.args, strict=True)
        ]

    def match(self, node: Call, *formals: str) -> dict[str, Node]:
        """Bind the arguments of a call, of which `formals` are understood here; the first must be given."""
        bound: dict[str, Node] = {}
        for name, arg in self.arguments(node):
            if name not in formals:
                raise FormulaError(
                    f"{deparse(node)}: {node.fn}() takes only {', '.join(formals)} in Python; "
                    f"{deparse(arg) if name is None else name!r} needs R."
                )
            bound[name] = arg
        if formals[0] not in bound:
            raise FormulaError(f"{deparse(node)}: the argument {formals[0]!r} is missing.")
        return bound

    def several(self, node: Call, *formals: str) -> tuple[list[Node], dict[str, Node]]:
        """Arguments that make up R's ``...``, and the named ones, of which `formals` are understood here."""
        several: list[Node] = []
        named: dict[str, Node] = {}
        for name, arg in self.arguments(node):
            if name in (None, "x"):
                several.append(arg)
            elif name in formals:
                named[str(name)] = arg
            else:
                raise FormulaError(
                    f"{deparse(node)}: {node.fn}() takes only {', '.join(formals)} by name in Python; {name!r} needs R."
                )
        if not several:
            raise FormulaError(f"{deparse(node)}: {node.fn}() needs a value.")
        return several, named

    def one_number(self, node: Node, caller: Node) -> float:
        """Value of an expression that must be one finite number."""
        value = self.numbers(node, caller).array
        if value.size != 1 or not math.isfinite(value.ravel()[0]):
            raise FormulaError(f"{deparse(caller)}: {deparse(node)} must be one number.")
        return float(value.ravel()[0])

    def flag(self, node: Node | None, default: bool, caller: Node) -> bool:
        """Value of an expression that must be TRUE or FALSE; the default where it is not there."""
        if node is None:
            return default
        value = self.value(node)
        if isinstance(value, Logical) and len(value) == 1 and not np.isnan(value.array[0]):
            return bool(value.array[0])
        raise FormulaError(f"{deparse(caller)}: {deparse(node)} must be TRUE or FALSE.")

    def labels(self, node: Node, caller: Node) -> list[str]:
        """Read a vector of labels: strings, or numbers as R writes them."""
        value = self.value(node)
        made = value if isinstance(value, Factor) else as_factor(value)
        if (made.codes < 0).any():
            raise FormulaError(f"{deparse(caller)}: {deparse(node)} has missing values.")
        return [made.levels[code] for code in made.codes]


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # R multiplies for an exponent of 2, calls pow() otherwise; 1^NA and NA^0 are 1 in both.
    if b.size == 1 and b.ravel()[0] == 2:
        return a * a
    out: np.ndarray = np.power(a, b)
    return out
