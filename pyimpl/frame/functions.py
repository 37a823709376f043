"""The functions and operators that a formula may call, with R's semantics: a closed list, nothing else is run."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from pyimpl.errors import DataError, FormulaError
from pyimpl.formula.parse import Call, Const, Name, Node, Num, Str, deparse
from pyimpl.frame.bases import (
    check_polynomial,
    column_mean,
    kept_attributes,
    poly_at,
    poly_fit,
    root_mean_square,
    scale_call,
)
from pyimpl.frame.column_types import Basis
from pyimpl.frame.columns import INT_MAX, Column, Factor, Logical, Numeric, as_factor
from pyimpl.frame.cutting import cut_labels, equal_breaks, sequence
from pyimpl.frame.summaries import SUMMARIES, TIES, rank, trimmed_mean
from pyimpl.text.numbers import quantile7, r_round
from pyimpl.text.values import format_number, unique_numbers
from r_scripts import grammar

__all__ = ["ALLOWED_FUNCTIONS", "Evaluator"]

_ARITHMETIC = frozenset({"+", "-", "*", "/", "^", "%%", "%/%"})
_COMPARISONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
_MATHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "floor": np.floor,
    "ceiling": np.ceil,
    "sign": np.sign,
    "tanh": np.tanh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "trunc": np.trunc,
}
#: What ``as.logical`` reads.
_TRUTH = {("T", "TRUE", "true", "True"): 1.0, ("F", "FALSE", "false", "False"): 0.0}
_CONSTANTS = {"Inf": math.inf, "NaN": math.nan}
_NAMED_CONSTANTS: dict[str, Column] = {
    "pi": Numeric(np.array([math.pi])),
    "T": Logical(np.array([1.0])),
    "F": Logical(np.array([0.0])),
}


@dataclass
class Evaluator:
    """Evaluates the variables of a formula on columns.

    Parameters
    ----------
    lookup : callable
        Name -> column; raises :class:`~pyimpl.errors.DataError` for a column that does not exist.
    has : callable
        Whether a column of that name exists (``pi``, ``T`` and ``F`` are constants only where none does).
    rows : int
        Number of rows; constants are recycled to it.
    notes : dict
        Warnings of the evaluation are added here: (R's words, the expression).
    coded : dict
        Calls of ``poly`` that took the codes of a factor without order are added here: R refuses them since 4.6.
    """

    lookup: Callable[[str], Column]
    has: Callable[[str], bool]
    rows: int
    notes: dict[tuple[str, str], None] = field(default_factory=dict)
    coded: dict[Call, None] = field(default_factory=dict)

    def variable(self, node: Node, basis: Basis | None = None) -> Column:
        """One variable of a model frame, as long as the data.

        ``basis`` is what :func:`pyimpl.frame.bases.remembered_basis` took from an earlier evaluation: a ``poly`` or
        ``scale`` that is itself the variable is evaluated in it, as R's ``predvars`` do. One inside another call is
        not remembered, in R neither.
        """
        if isinstance(node, Name):
            return self.lookup(node.name)
        if isinstance(node, Call) and node.fn == "poly":
            column: Column = self._poly(node, basis)
        elif isinstance(node, Call) and node.fn == "scale":
            column = self._scale(node, basis)
        else:
            column = self._value(node)
        if len(column) == self.rows:
            return column
        raise FormulaError(
            f"{deparse(node)} has {len(column)} values but the data have {self.rows} rows. "
            "Every term needs at least one column of the data in it."
        )

    def _note(self, text: str, node: Node) -> None:
        self.notes[text, deparse(node)] = None

    # -- expressions -------------------------------------------------------------------------------------------------

    def _value(self, node: Node) -> Column:
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
            return self._value(args[0])
        if fn in _ARITHMETIC and not node.names:
            return self._unary(node) if len(args) == 1 else self._arithmetic(node)
        if fn in _COMPARISONS and len(args) == 2:
            return self._comparison(node)
        if fn == "!" and len(args) == 1:
            return Logical(1.0 - self._truth(args[0], node))
        if fn in ("&", "|") and len(args) == 2:
            return self._logic(node)
        if fn == "%in%" and len(args) == 2:
            return self._matching(node)
        if fn == ":" and len(args) == 2:
            return self._colon(node)
        method = _FUNCTIONS.get(fn) if fn in ALLOWED_FUNCTIONS else None
        if method is None:
            raise FormulaError(_not_allowed(node))
        return method(self, node)

    def _numbers(self, node: Node, caller: Node) -> Numeric:
        value = self._value(node)
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
        value = self._numbers(node.args[0], node)
        return replace(value, array=-value.array if node.fn == "-" else value.array)

    def _arithmetic(self, node: Call) -> Column:
        left, right = self._numbers(node.args[0], node), self._numbers(node.args[1], node)
        a, b = self._aligned(left, right, node)
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
            self._note("NAs produced by integer overflow", node)
            out = np.where(np.abs(out) > INT_MAX, np.nan, out)
        if np.isnan(out).any() and np.any(np.isnan(out) & ~np.isnan(a) & ~np.isnan(b)) and not whole:
            self._note("NaNs produced", node)
        names = left.names if left.array.ndim == 2 else right.names
        return Numeric(out, "integer" if whole else "double", names, kept_attributes(left, right))

    def _aligned(self, left: Numeric, right: Numeric, node: Call) -> tuple[np.ndarray, np.ndarray]:
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

    def _truth(self, node: Node, caller: Node) -> np.ndarray:
        value = self._value(node)
        if isinstance(value, Logical):
            return value.array
        if isinstance(value, Numeric) and value.array.ndim == 1:
            return np.where(np.isnan(value.array), np.nan, (value.array != 0).astype(np.float64))
        raise FormulaError(f"{deparse(caller)}: {deparse(node)} is neither a logical nor a number.")

    def _logic(self, node: Call) -> Column:
        a, b = self._truth(node.args[0], node), self._truth(node.args[1], node)
        decided = 0.0 if node.fn == "&" else 1.0
        missing = np.isnan(a) | np.isnan(b)
        out = np.where((a == decided) | (b == decided), decided, np.where(missing, np.nan, 1.0 - decided))
        return Logical(out)

    def _comparison(self, node: Call) -> Column:
        left, right = self._value(node.args[0]), self._value(node.args[1])
        compare = _COMPARISONS[node.fn]
        if isinstance(left, Factor) or isinstance(right, Factor):
            return self._compare_labels(node, left, right)
        a, b = self._aligned(self._numbers(node.args[0], node), self._numbers(node.args[1], node), node)
        if a.ndim == 2:
            raise FormulaError(f"{deparse(node)}: a matrix cannot be a logical variable.")
        out = compare(a, b).astype(np.float64)
        return Logical(np.where(np.isnan(a) | np.isnan(b), np.nan, out))

    def _compare_labels(self, node: Call, left: Column, right: Column) -> Column:
        sides = [side if isinstance(side, Factor) else _constant_label(side, node) for side in (left, right)]
        ordered = [side for side in sides if side.ordered]
        factors = [side for side in sides if not side.text]
        equality = node.fn in ("==", "!=")
        if ordered:
            levels = ordered[0].levels
            unknown = [side for side in sides if side is not ordered[0] and not set(side.levels) <= set(levels)]
            if unknown and not equality:
                raise FormulaError(
                    f"{deparse(node)}: {unknown[0].levels[0]!r} is not a level of the ordered factor "
                    f"({', '.join(levels)})."
                )
            levels = (*levels, *(level for side in unknown for level in side.levels if level not in levels))
        elif factors and not equality:
            raise FormulaError(f"{deparse(node)}: {node.fn!r} is not meaningful for unordered factors.")
        else:
            if len(factors) == 2 and set(factors[0].levels) != set(factors[1].levels):
                raise FormulaError(f"{deparse(node)}: the level sets of the two factors are different.")
            levels = tuple(sorted(set(sides[0].levels) | set(sides[1].levels)))
        place = {level: float(i) for i, level in enumerate(levels)}
        a, b = (_positions(side, place) for side in sides)
        out = _COMPARISONS[node.fn](a, b).astype(np.float64)
        return Logical(np.where(np.isnan(a) | np.isnan(b), np.nan, out))

    def _matching(self, node: Call) -> Column:
        left, table = self._value(node.args[0]), self._value(node.args[1])
        if isinstance(left, Factor):
            side = table if isinstance(table, Factor) else as_factor(table)
            known = {side.levels[code] for code in np.unique(side.codes) if code >= 0}
            hit = np.array([*(level in known for level in left.levels), bool((side.codes < 0).any())])
            return Logical(hit[left.codes].astype(np.float64))
        if isinstance(table, Factor):
            raise FormulaError(f"{deparse(node)}: numbers on the left, strings on the right.")
        return Logical(np.isin(left.array, table.array).astype(np.float64))

    def _colon(self, node: Call) -> Column:
        ends = [self._value(arg) for arg in node.args]
        if not all(isinstance(end, Numeric) and len(end) == 1 for end in ends):
            raise FormulaError(
                f"{deparse(node)}: inside a function ':' is R's sequence and needs two numbers. "
                "An interaction of factors stands outside functions."
            )
        low, high = (float(end.array[0]) for end in ends if isinstance(end, Numeric))
        step = 1.0 if high >= low else -1.0
        return Numeric(np.arange(low, high + step * 1e-10, step), kind="integer" if low.is_integer() else "double")

    # -- functions ---------------------------------------------------------------------------------------------------

    def _arguments(self, node: Call) -> list[tuple[str | None, Node]]:
        """Name each argument of a call as the one list says (`r_scripts.grammar`), None for those of R's ``...``."""
        try:
            found = grammar.FUNCTIONS[node.fn].match([name for name, _ in node.named_args()])
        except ValueError as error:
            raise FormulaError(f"{deparse(node)}: {error}.") from None
        return [
            (None if argument is None else argument.name, arg) for argument, arg in zip(found, node.args, strict=True)
        ]

    def _match(self, node: Call, *formals: str) -> dict[str, Node]:
        """Bind the arguments of a call, of which `formals` are understood here; the first must be given."""
        bound: dict[str, Node] = {}
        for name, arg in self._arguments(node):
            if name not in formals:
                raise FormulaError(
                    f"{deparse(node)}: {node.fn}() takes only {', '.join(formals)} in Python; "
                    f"{deparse(arg) if name is None else name!r} needs R."
                )
            bound[name] = arg
        if formals[0] not in bound:
            raise FormulaError(f"{deparse(node)}: the argument {formals[0]!r} is missing.")
        return bound

    def _several(self, node: Call, *formals: str) -> tuple[list[Node], dict[str, Node]]:
        """Arguments that make up R's ``...``, and the named ones, of which `formals` are understood here."""
        several: list[Node] = []
        named: dict[str, Node] = {}
        for name, arg in self._arguments(node):
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

    def _one_number(self, node: Node, caller: Node) -> float:
        value = self._numbers(node, caller).array
        if value.size != 1 or not math.isfinite(value.ravel()[0]):
            raise FormulaError(f"{deparse(caller)}: {deparse(node)} must be one number.")
        return float(value.ravel()[0])

    def _flag(self, node: Node | None, default: bool, caller: Node) -> bool:
        if node is None:
            return default
        value = self._value(node)
        if isinstance(value, Logical) and len(value) == 1 and not np.isnan(value.array[0]):
            return bool(value.array[0])
        raise FormulaError(f"{deparse(caller)}: {deparse(node)} must be TRUE or FALSE.")

    def _labels(self, node: Node, caller: Node) -> list[str]:
        """Read a vector of labels: strings, or numbers as R writes them."""
        value = self._value(node)
        if isinstance(value, Factor):
            return [value.levels[code] for code in value.codes]
        made = as_factor(value)
        if (made.codes < 0).any():
            raise FormulaError(f"{deparse(caller)}: {deparse(node)} has missing values.")
        return [made.levels[code] for code in made.codes]

    def _identity(self, node: Call) -> Column:
        return self._value(self._match(node, "x")["x"])

    def _offset(self, node: Call) -> Column:
        value = self._value(self._match(node, "object")["object"])
        if isinstance(value, Logical):
            return Numeric(value.array, kind="integer")
        if isinstance(value, Factor) or _one_column(value.array).ndim == 2:
            raise DataError(f"{deparse(node)}: an offset must be numeric, of one column.")
        return value

    def _maths(self, node: Call) -> Column:
        bound = self._match(node, "x")
        value = self._numbers(bound["x"], node)
        with np.errstate(all="ignore"):
            return self._checked(node, value, _MATHS[node.fn](value.array))

    def _checked(self, node: Call, argument: Numeric, out: np.ndarray) -> Numeric:
        if np.any(np.isnan(out) & ~np.isnan(argument.array)):
            self._note("NaNs produced", node)
        return Numeric(out, names=argument.names, basis=argument.basis)

    def _log(self, node: Call) -> Column:
        bound = self._match(node, "x", "base")
        value = self._numbers(bound["x"], node)
        with np.errstate(all="ignore"):
            if "base" not in bound:
                return self._checked(node, value, np.log(value.array))
            base = self._numbers(bound["base"], node).array
            if len(base) != 1:
                raise FormulaError(f"{deparse(node)}: base must be one number.")
            if base[0] == 10:
                return self._checked(node, value, np.log10(value.array))
            if base[0] == 2:
                return self._checked(node, value, np.log2(value.array))
            return self._checked(node, value, np.log(value.array) / np.log(base[0]))

    def _summary(self, node: Call) -> Column:
        """``mean(x, na.rm)``, ``median``, ``var``, ``sd``, and ``min``, ``max``, ``sum`` of several."""
        args, named = self._several(node, "na.rm", *(["trim"] if node.fn == "mean" else []))
        drop = self._flag(named.get("na.rm"), False, node)
        if node.fn not in ("min", "max", "sum") and len(args) != 1:
            raise FormulaError(f"{deparse(node)}: {node.fn}() takes x and na.rm; found {len(args)} values.")
        columns = [self._numbers(arg, node) for arg in args]
        values = np.concatenate([column.array.ravel() for column in columns])
        if drop:
            values = values[~np.isnan(values)]
        whole = node.fn in ("min", "max", "sum") and all(column.kind == "integer" for column in columns)
        trim = self._one_number(named["trim"], node) if "trim" in named else 0.0
        with np.errstate(all="ignore"):
            result = trimmed_mean(values, trim) if trim > 0 else SUMMARIES[node.fn](values)
        return Numeric(np.array([result]), kind="integer" if whole and math.isfinite(result) else "double")

    def _many(self, node: Call) -> tuple[list[Node], bool]:
        """Arguments of a function of several columns, and ``na.rm``."""
        args, named = self._several(node, "na.rm")
        return args, self._flag(named.get("na.rm"), False, node)

    def _parallel(self, node: Call) -> Column:
        """``pmin`` and ``pmax``: row by row."""
        args, drop = self._many(node)
        columns = [self._numbers(arg, node) for arg in args]
        choose = {("pmin", False): np.minimum, ("pmin", True): np.fmin, ("pmax", False): np.maximum}
        out = columns[0].array
        for column in columns[1:]:
            a, b = self._aligned(replace(columns[0], array=out), column, node)
            out = choose.get((node.fn, drop), np.fmax)(a, b)
        whole = all(column.kind == "integer" for column in columns)
        first = columns[0]  # whose attributes the result has, if it is as long
        if len(out) != len(first):
            first = Numeric(out[:, 0] if out.ndim == 2 and out.shape[1] == 1 else out)
        elif first.array.ndim == 1 and out.ndim == 2:
            out = _one_column(out)
            if out.ndim == 2:
                raise FormulaError(
                    f"{deparse(node)}: {node.fn}() has as many values as its longest argument, {out.size}, but the "
                    f"data have {len(out)} rows. Put the matrix first."
                )
        return Numeric(out, "integer" if whole else "double", first.names, first.basis)

    def _round(self, node: Call) -> Column:
        bound = self._match(node, "x", "digits")
        value = self._numbers(bound["x"], node)
        digits = self._one_number(bound["digits"], node) if "digits" in bound else 0.0
        if value.kind == "integer" and digits >= 0:
            return value
        return Numeric(r_round(value.array, digits), names=value.names, basis=value.basis)

    def _rank(self, node: Call) -> Column:
        bound = self._match(node, "x", "ties.method")
        value = self._numbers(bound["x"], node)
        ties = self._labels(bound["ties.method"], node) if "ties.method" in bound else ["average"]
        if len(ties) != 1 or ties[0] not in TIES:
            raise FormulaError(f"{deparse(node)}: ties.method is one of {', '.join(TIES)}.")
        whole = "double" if ties[0] == "average" else "integer"
        return Numeric(rank(value.array.ravel(order="F"), ties[0]), kind=whole)

    def _average(self, node: Call) -> Column:
        """``ave(x, g, ..., FUN = mean)``: a summary of x within each combination of levels; all of x without g."""
        plain, named = self._several(node, "FUN")
        function = named.get("FUN", Name("mean"))
        if not isinstance(function, Name) or function.name not in SUMMARIES:
            raise FormulaError(
                f"{deparse(node)}: ave() takes numbers, factors and FUN, one of {', '.join(sorted(SUMMARIES))}."
            )
        given = self._numbers(plain[0], node)
        value = replace(given, array=_one_column(given.array))
        groups = [as_factor(self._value(arg)).codes.astype(np.intp) for arg in plain[1:]]
        if value.array.ndim != 1 or any(len(codes) != len(value) for codes in groups):
            raise FormulaError(f"{deparse(node)}: ave() needs one column and factors of its length.")
        where = np.zeros(len(value), dtype=np.intp)
        for codes in groups:
            where = np.where((where < 0) | (codes < 0), -1, where * (codes.max(initial=0) + 1) + codes)
            known = where >= 0
            where[known] = np.unique(where[known], return_inverse=True)[1]
        order = np.argsort(where, kind="stable")
        ends = np.searchsorted(where[order], np.arange(where.max(initial=-1) + 2))
        out = value.array.copy()  # rows of no level keep their value
        for start, end in pairwise(ends.tolist()):
            rows = order[start:end]
            out[rows] = SUMMARIES[function.name](value.array[rows])
        whole = value.kind == "integer" and function.name in ("max", "min", "sum")
        out = out.reshape(given.array.shape)
        return Numeric(out, "integer" if whole else "double", given.names, given.basis)

    def _quantile(self, node: Call) -> Column:
        bound = self._match(node, "x", "probs", "na.rm", "names", "type")
        self._flag(bound.get("names"), True, node)  # of no consequence for a column
        if "type" in bound and self._one_number(bound["type"], node) != 7:
            raise FormulaError(f"{deparse(node)}: quantile() knows only type = 7, R's default, in Python.")
        values = self._numbers(bound["x"], node).array.ravel()
        probabilities = self._numbers(bound["probs"], node).array if "probs" in bound else np.linspace(0, 1, 5)
        if self._flag(bound.get("na.rm"), False, node):
            values = values[~np.isnan(values)]
        if np.isnan(values).any() or not len(values):
            raise FormulaError(
                f"{deparse(node)}: missing values and no values are not allowed; na.rm = TRUE drops gaps."
            )
        if np.isnan(probabilities).any() or (probabilities < 0).any() or (probabilities > 1).any():
            raise FormulaError(f"{deparse(node)}: 'probs' outside [0,1].")
        return Numeric(quantile7(values, probabilities))

    def _sequence(self, node: Call) -> Column:
        """``seq(from, to, by)`` or ``seq(from, to, length.out = n)``."""
        bound = self._match(node, "from", "to", "by", "length.out")
        ends = {name: self._numbers(arg, node).array for name, arg in bound.items()}
        if "to" not in ends or len(ends) > 3 or any(len(end) != 1 for end in ends.values()):
            raise FormulaError(
                f"{deparse(node)}: write seq(from, to, by) or seq(from, to, length.out = n), with numbers."
            )
        first, last = float(ends["from"][0]), float(ends["to"][0])
        if "length.out" in ends:
            count = math.ceil(ends["length.out"][0])
            if count < 2:
                raise FormulaError(f"{deparse(node)}: length.out must be at least 2.")
            return Numeric(sequence(first, last, count))
        step = float(ends["by"][0]) if "by" in ends else math.copysign(1.0, last - first)
        count = (last - first) / step if step else math.nan
        if not 0 <= count < INT_MAX:
            raise FormulaError(f"{deparse(node)}: wrong sign in 'by' argument, or too many numbers.")
        steps = np.arange(math.floor(count + 1e-10) + 1)
        out = first + steps * step
        return Numeric(np.minimum(out, last) if step > 0 else np.maximum(out, last))

    def _as_logical(self, node: Call) -> Column:
        value = self._value(self._match(node, "x")["x"])
        if isinstance(value, Factor):
            known = {word: truth for words, truth in _TRUTH.items() for word in words}
            table = np.array([*(known.get(level, math.nan) for level in value.levels), math.nan])
            return Logical(table[value.codes])
        return Logical(self._truth(node.args[0], node).ravel())

    def _droplevels(self, node: Call) -> Column:
        value = self._value(self._match(node, "x")["x"])
        if not isinstance(value, Factor) or value.text:
            raise FormulaError(f"{deparse(node)}: droplevels() needs a factor.")
        return value.drop_unused()

    def _interaction(self, node: Call) -> Column:
        """``interaction(a, b, ..., drop, sep, lex.order)``: every combination is a level.

        The first factor's levels vary fastest, with ``lex.order`` slowest.
        """
        several, named = self._several(node, "drop", "sep", "lex.order")
        parts = [as_factor(self._value(arg)) for arg in several]
        drop = self._flag(named.get("drop"), False, node)
        slow_first = self._flag(named.get("lex.order"), False, node)
        sep = self._labels(named["sep"], node)[0] if "sep" in named else "."
        if not parts or len({len(part) for part in parts}) > 1:
            raise FormulaError(f"{deparse(node)}: interaction() needs factors of the same length.")
        codes, labels = parts[0].codes.astype(np.intp), list(parts[0].levels)
        for part in parts[1:]:
            missing = (codes < 0) | (part.codes < 0)
            if slow_first:
                joined = codes * len(part.levels) + part.codes.astype(np.intp)
                labels = [f"{before}{sep}{this}" for before in labels for this in part.levels]
            else:
                joined = codes + len(labels) * part.codes.astype(np.intp)
                labels = [f"{before}{sep}{this}" for this in part.levels for before in labels]
            codes = np.where(missing, -1, joined)
        distinct, where = unique_numbers(labels)
        # a code of -1 takes the last place, which stays -1; there may be no levels at all
        made = Factor(np.append(where, -1)[codes].astype(np.intp), tuple(distinct))
        return made.drop_unused() if drop else made

    def _dummy(self, node: Call) -> Column:
        """``lme4::dummy(f, levelsToKeep)``: an indicator of each level, all but the first by default."""
        bound = self._match(node, "f", "levelsToKeep")
        factor = as_factor(self._value(bound["f"]))
        if (factor.codes < 0).any():
            raise DataError(f"{deparse(node)}: {deparse(bound['f'])} has missing values, which dummy() cannot code.")
        kept = self._labels(bound["levelsToKeep"], node) if "levelsToKeep" in bound else list(factor.levels[1:])
        unknown = [level for level in kept if level not in factor.levels]
        if unknown or not kept:
            raise FormulaError(
                f"{deparse(node)}: levelsToKeep must be levels of {deparse(bound['f'])} ({', '.join(factor.levels)}); "
                f"found {', '.join(unknown) or 'none'}."
            )
        columns = np.stack([factor.codes == factor.levels.index(level) for level in kept], axis=1)
        return Numeric(columns.astype(np.float64), names=tuple(kept))

    def _absolute(self, node: Call) -> Column:
        value = self._numbers(self._match(node, "x")["x"], node)
        return replace(value, array=np.abs(value.array))

    def _combine(self, node: Call) -> Column:
        values = [self._value(arg) for arg in node.args]
        if not values:
            raise FormulaError("c() without values has no use in a formula.")
        if any(isinstance(value, Factor) for value in values):
            texts: list[str] = []
            for arg in node.args:
                texts.extend(self._labels(arg, node))
            levels, where = unique_numbers(texts)
            order = sorted(range(len(levels)), key=levels.__getitem__)
            rank = np.argsort(order)
            return Factor(rank[where].astype(np.intp), tuple(levels[i] for i in order), text=True)
        joined = np.concatenate([value.array.ravel() for value in values if not isinstance(value, Factor)])
        if all(isinstance(value, Logical) for value in values):
            return Logical(joined)
        whole = all(
            isinstance(value, Logical) or (isinstance(value, Numeric) and value.kind == "integer") for value in values
        )
        return Numeric(joined, kind="integer" if whole else "double")

    def _factor(self, node: Call) -> Column:
        """``factor(x, levels, labels, exclude, ordered)`` and ``ordered(x, levels, labels)``."""
        is_ordered = node.fn == "ordered"
        bound = self._match(node, "x", "levels", "labels", *([] if is_ordered else ["ordered", "exclude"]))
        value = self._value(bound["x"])
        keep_order = isinstance(value, Factor) and value.ordered
        ordered = is_ordered or self._flag(bound.get("ordered"), keep_order, node)
        if is_ordered and "levels" not in bound and isinstance(value, Factor) and not value.text:
            # as.ordered semantics of ordered(): factor(x, levels = levels(x)[used], ordered = TRUE)
            value = value.drop_unused()
        made = as_factor(value)
        if "levels" in bound:
            levels = self._labels(bound["levels"], node)
            if len(set(levels)) != len(levels):
                raise FormulaError(f"{deparse(node)}: a level is listed twice.")
            place = {level: i for i, level in enumerate(levels)}
            lut = np.array([*(place.get(level, -1) for level in made.levels), -1], dtype=np.intp)
            made = Factor(lut[made.codes], tuple(levels))
        if bound.get("exclude", Const("NA")) != Const("NA"):
            out = set(self._labels(bound["exclude"], node))
            levels = [level for level in made.levels if level not in out]
            lut = np.array([*(levels.index(one) if one not in out else -1 for one in made.levels), -1], dtype=np.intp)
            made = Factor(lut[made.codes], tuple(levels))
        if "labels" in bound:
            labels = self._labels(bound["labels"], node)
            count = len(made.levels)
            if len(labels) == 1 and count > 1:
                labels = [f"{labels[0]}{i + 1}" for i in range(count)]
            if len(labels) != count:
                raise FormulaError(f"{deparse(node)}: {len(labels)} labels for {count} levels.")
            distinct, where = unique_numbers(labels)
            made = Factor(np.where(made.codes >= 0, where[made.codes], -1), tuple(distinct))
        return replace(made, ordered=ordered, text=False)

    def _as_factor(self, node: Call) -> Column:
        value = self._value(self._match(node, "x")["x"])
        if isinstance(value, Factor) and not value.text:
            return value
        return as_factor(value)

    def _relevel(self, node: Call) -> Column:
        bound = self._match(node, "x", "ref")
        value = self._value(bound["x"])
        if not isinstance(value, Factor) or value.text or value.ordered:
            raise FormulaError(
                f"{deparse(node)}: 'relevel' only for (unordered) factors. For strings write relevel(factor(x), ...)."
            )
        if "ref" not in bound:
            raise FormulaError(f'{deparse(node)}: the argument ref is missing: relevel(x, ref = "level").')
        reference = self._value(bound["ref"])
        if len(reference) != 1:
            raise FormulaError(f"{deparse(node)}: 'ref' must be of length one.")
        if isinstance(reference, Factor):
            name = reference.levels[0]
            if name not in value.levels:
                raise FormulaError(
                    f"{deparse(node)}: 'ref' must be an existing level; {name!r} is none of {', '.join(value.levels)}."
                )
            first = value.levels.index(name)
        else:
            number = reference.array.ravel()[0]
            if not 1 <= number <= len(value.levels):
                raise FormulaError(f"{deparse(node)}: ref = {format_number(number)} must be in 1L:{len(value.levels)}.")
            first = int(number) - 1
        order = [first, *(i for i in range(len(value.levels)) if i != first)]
        rank = np.empty(len(order) + 1, dtype=np.intp)
        rank[order] = np.arange(len(order))
        rank[-1] = -1
        return Factor(rank[value.codes], tuple(value.levels[i] for i in order))

    def _as_numeric(self, node: Call) -> Column:
        value = self._value(self._match(node, "x")["x"])
        whole = node.fn == "as.integer"
        if isinstance(value, Logical):
            return Numeric(value.array, kind="integer" if whole else "double")
        if isinstance(value, Factor):
            if value.text:
                parsed = np.array([*(_parse_number(level) for level in value.levels), np.nan])
                if np.isnan(parsed[:-1]).any():
                    self._note("NAs introduced by coercion", node)
                numbers = parsed[value.codes]
                return Numeric(np.trunc(numbers) if whole else numbers, kind="integer" if whole else "double")
            codes = np.where(value.codes >= 0, value.codes + 1.0, np.nan)
            return Numeric(codes, kind="integer" if whole else "double")
        numbers = value.array.ravel(order="F")
        return Numeric(np.trunc(numbers) if whole else numbers, kind="integer" if whole else "double")

    def _cut(self, node: Call) -> Column:
        bound = self._match(node, "x", "breaks", "labels", "include.lowest", "right", "dig.lab", "ordered_result")
        value = self._value(bound["x"])
        x = _one_column(value.array) if isinstance(value, Numeric) else np.empty((0, 0))
        if x.ndim != 1:
            raise FormulaError(f"{deparse(node)}: 'x' must be numeric and have one column.")
        if "breaks" not in bound:
            raise FormulaError(f"{deparse(node)}: the argument breaks is missing.")
        breaks = self._numbers(bound["breaks"], node).array
        right = self._flag(bound.get("right"), True, node)
        lowest = self._flag(bound.get("include.lowest"), False, node)
        ordered = self._flag(bound.get("ordered_result"), False, node)
        digits = int(self._numbers(bound["dig.lab"], node).array[0]) if "dig.lab" in bound else 3
        if len(breaks) == 1:
            breaks = equal_breaks(x, float(breaks[0]), node)
        breaks = np.sort(breaks)
        if np.isnan(breaks).any() or (np.diff(breaks) == 0).any():
            raise FormulaError(f"{deparse(node)}: 'breaks' are not unique.")
        count = len(breaks) - 1
        labels: list[str]
        given = self._value(bound["labels"]) if "labels" in bound and bound["labels"] != Const("NULL") else None
        if given is None:
            labels = cut_labels(breaks, right, lowest, digits)
        elif isinstance(given, Logical):
            labels = [] if self._flag(bound["labels"], True, node) else [""] * count
            if not labels:
                raise FormulaError(f"{deparse(node)}: labels must be FALSE or a vector of labels.")
        else:
            labels = self._labels(bound["labels"], node)
            if len(labels) != count:
                raise FormulaError(f"{deparse(node)}: {len(labels)} labels for {count} intervals.")
        codes = np.searchsorted(breaks, x, side="left" if right else "right") - 1
        if lowest:
            codes = np.where(x == (breaks[0] if right else breaks[-1]), 0 if right else count - 1, codes)
        codes = np.where(np.isnan(x) | (codes < 0) | (codes >= count), -1, codes)
        if isinstance(given, Logical):
            return Numeric(np.where(codes >= 0, codes + 1.0, np.nan), kind="integer")
        distinct, where = unique_numbers(labels)
        codes = np.where(codes >= 0, where[codes], -1)
        return Factor(codes.astype(np.intp), tuple(distinct), ordered=ordered)

    def _as_character(self, node: Call) -> Column:
        return replace(_sorted_text(as_factor(self._value(self._match(node, "x")["x"]))), ordered=False)

    def _is_na(self, node: Call) -> Column:
        return Logical(self._value(self._match(node, "x")["x"]).missing().astype(np.float64))

    def _ifelse(self, node: Call) -> Column:
        bound = self._match(node, "test", "yes", "no")
        if len(bound) < 3:
            raise FormulaError(f"{deparse(node)}: ifelse() needs test, yes and no.")
        test = self._truth(bound["test"], node)
        yes, no = self._numbers(bound["yes"], node), self._numbers(bound["no"], node)
        if yes.array.ndim == 2 or no.array.ndim == 2:
            raise FormulaError(f"{deparse(node)}: a matrix cannot be chosen from.")
        chosen = np.where(test == 1, yes.array, no.array)
        # R keeps the kind of what is chosen; only numbers and logicals are supported here.
        if all(isinstance(self._value(bound[side]), Logical) for side in ("yes", "no")):
            return Logical(np.where(np.isnan(test), np.nan, chosen))
        kinds = [side.kind for side, taken in ((yes, test == 1), (no, test == 0)) if taken.any()]
        return Numeric(
            np.where(np.isnan(test), np.nan, chosen), kind="integer" if set(kinds) == {"integer"} else "double"
        )

    def _scale(self, node: Call, basis: Basis | None = None) -> Numeric:
        """``scale(x, center, scale)``; with a basis as R evaluates it on new data."""
        if basis is not None:
            node = scale_call(node, basis)
        bound = self._match(node, "x", "center", "scale")
        value = self._numbers(bound["x"], node)
        x = value.array if value.array.ndim == 2 else value.array[:, None]
        remembered = basis or Basis()
        center = self._scale_setting(bound.get("center"), remembered.center, x.shape[1], "center", node)
        with np.errstate(all="ignore"):
            if center is True:
                center = np.array([column_mean(x[:, j]) for j in range(x.shape[1])])
            if isinstance(center, np.ndarray):
                x = x - center
            scale = self._scale_setting(bound.get("scale"), remembered.scale, x.shape[1], "scale", node)
            if scale is True:
                scale = np.array([root_mean_square(x[:, j]) for j in range(x.shape[1])])
            if isinstance(scale, np.ndarray):
                x = x / scale
        own = Basis(
            center if isinstance(center, np.ndarray) else None, scale if isinstance(scale, np.ndarray) else None
        )
        return Numeric(x, names=value.names, basis=value.basis.under(own))

    def _scale_setting(
        self, node: Node | None, remembered: np.ndarray | None, width: int, name: str, caller: Node
    ) -> bool | np.ndarray:
        if remembered is not None:
            if len(remembered) == width:
                return remembered
            raise DataError(
                f"{deparse(caller)}: it has {width} columns in the new data and had {len(remembered)} when the model "
                "was fitted."
            )
        if node is None:
            return True
        value = self._value(node)
        if isinstance(value, Logical) and len(value) == 1:
            return self._flag(node, True, caller)
        if isinstance(value, Factor) or value.array.size != width:
            raise FormulaError(
                f"{deparse(caller)}: length of '{name}' must equal the number of columns of 'x' ({width})."
            )
        return value.array.ravel().astype(np.float64)

    def _poly(self, node: Call, basis: Basis | None = None) -> Numeric:
        """``poly(x, degree, raw)``; with a basis as R evaluates it on new data."""
        several, named = self._several(node, "degree", "raw")
        if len(several) > 1:
            raise FormulaError(
                f"{deparse(node)}: poly() of several variables is not supported. Write one poly() for each."
            )
        given = self._value(several[0])
        if isinstance(given, Factor) and not given.text:  # R: as.numeric of whatever has numbers inside
            if not given.ordered:
                self.coded[node] = None
            given = Numeric(np.where(given.codes >= 0, given.codes + 1.0, np.nan))
        x = given.array if isinstance(given, Numeric) else self._numbers(several[0], node).array
        if basis is not None:
            check_polynomial(node, x)
        if x.ndim == 2:
            if x.shape[1] != 1:
                raise FormulaError(f"{deparse(node)}: poly() of several variables is not supported.")
            x = x[:, 0]
        degree_value = self._numbers(named.get("degree", Num(1.0)), node).array
        if len(degree_value) != 1:
            raise FormulaError(
                f"{deparse(node)}: poly() of several variables is not supported. Write one poly() for each."
            )
        degree = int(degree_value[0])
        if degree < 1:
            raise FormulaError(f"{deparse(node)}: 'degree' must be at least 1.")
        names = tuple(str(i + 1) for i in range(degree))
        if self._flag(named.get("raw"), False, node):
            powers = np.stack([x**power for power in range(1, degree + 1)], axis=1)
            return Numeric(powers, names=names, basis=Basis(poly=True))
        if basis is not None and basis.coefs is not None:
            return Numeric(poly_at(x, degree, *basis.coefs), names=names, basis=basis)
        if np.isnan(x).any():
            raise DataError(
                f"{deparse(node)}: missing values are not allowed in 'poly'. R evaluates it on all rows before any are "
                "left out: drop the rows with missing values from the data first."
            )
        if degree >= len(np.unique(x)):
            raise DataError(
                f"{deparse(node)}: 'degree' must be less than number of unique points ({len(np.unique(x))})."
            )
        with np.errstate(all="ignore"):
            z, alpha, norm2 = poly_fit(x, degree)
        if not np.isfinite(z).all():
            raise DataError(
                f"{deparse(node)}: the values are too large or infinite for polynomials. Rescale the column."
            )
        return Numeric(z, names=names, basis=Basis(coefs=(alpha, norm2), poly=True))

    def _poly_call(self, node: Call) -> Column:
        return self._poly(node)

    def _scale_call(self, node: Call) -> Column:
        return self._scale(node)


def _one_column(values: np.ndarray) -> np.ndarray:
    """A matrix of one column as a vector; others as they are."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # R multiplies for an exponent of 2, calls pow() otherwise; 1^NA and NA^0 are 1 in both.
    if b.size == 1 and b.ravel()[0] == 2:
        return a * a
    out: np.ndarray = np.power(a, b)
    return out


def _constant_label(value: Column, node: Call) -> Factor:
    """Make labels of numbers or logicals that are compared with labels."""
    if node.fn not in ("==", "!="):
        raise FormulaError(f"{deparse(node)}: numbers and strings have no order. Compare numbers with numbers.")
    return replace(as_factor(value), text=True)


def _sorted_text(factor: Factor) -> Factor:
    """Strings with these values: levels are the values sorted by code point."""
    order = sorted(range(len(factor.levels)), key=factor.levels.__getitem__)
    rank = np.full(len(order) + 1, -1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    return Factor(rank[factor.codes], tuple(factor.levels[i] for i in order), text=True)


def _positions(side: Factor, place: dict[str, float]) -> np.ndarray:
    lut = np.array([*(place[level] for level in side.levels), np.nan])
    positions: np.ndarray = lut[side.codes]
    return positions


def _parse_number(text: str) -> float:
    try:
        return float(text.strip()) if "_" not in text else math.nan
    except ValueError:
        return math.nan


_FUNCTIONS: dict[str, Callable[[Evaluator, Call], Column]] = {
    "I": Evaluator._identity,
    "offset": Evaluator._offset,
    "log": Evaluator._log,
    "abs": Evaluator._absolute,
    "c": Evaluator._combine,
    "factor": Evaluator._factor,
    "ordered": Evaluator._factor,
    "as.factor": Evaluator._as_factor,
    "relevel": Evaluator._relevel,
    "as.numeric": Evaluator._as_numeric,
    "as.double": Evaluator._as_numeric,
    "as.integer": Evaluator._as_numeric,
    "cut": Evaluator._cut,
    "as.character": Evaluator._as_character,
    "is.na": Evaluator._is_na,
    "ifelse": Evaluator._ifelse,
    "scale": Evaluator._scale_call,
    "poly": Evaluator._poly_call,
    "pmin": Evaluator._parallel,
    "pmax": Evaluator._parallel,
    "round": Evaluator._round,
    "rank": Evaluator._rank,
    "ave": Evaluator._average,
    "quantile": Evaluator._quantile,
    "seq": Evaluator._sequence,
    "as.logical": Evaluator._as_logical,
    "droplevels": Evaluator._droplevels,
    "interaction": Evaluator._interaction,
    "dummy": Evaluator._dummy,
    **dict.fromkeys(SUMMARIES, Evaluator._summary),
    **dict.fromkeys(_MATHS, Evaluator._maths),
}

#: Names of the functions that a formula may call: those of the one list that do not need R.
ALLOWED_FUNCTIONS = tuple(sorted(grammar.FUNCTIONS.keys() - grammar.ONLY_R, key=str.lower))


def _not_allowed(node: Call) -> str:
    if node.fn in ("&&", "||", "~", "?"):
        return f"{deparse(node)}: {node.fn!r} cannot be used inside a function of a formula."
    if node.fn in grammar.ONLY_R:
        return f"{deparse(node)}: {node.fn}() needs R: bridge.lme4 fits this formula. In Python " + (
            "give the argument contrasts={'f': 'contr.sum'}; to make numbers a factor write factor(x)."
            if node.fn == "C"
            else "compute the column beforehand, e.g. data.assign(z=...), and name it in the formula."
        )
    return (
        f"{node.fn}() cannot be called in a formula ({deparse(node)}). Allowed are {', '.join(ALLOWED_FUNCTIONS)} and "
        "arithmetic inside I(). Compute the column beforehand, e.g. data.assign(z=...), and name it in the formula."
    )
