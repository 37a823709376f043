"""Functions of a formula that give numbers and truth values: mathematics, summaries, running totals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pyimpl.errors import DataError, FormulaError
from pyimpl.formula.parse import Call, Name, Node, deparse
from pyimpl.frame.column_types import strings
from pyimpl.frame.columns import INT_MAX, Column, Factor, Logical, Numeric, as_factor
from pyimpl.frame.comparisons import one_column, strings_as_truth
from pyimpl.frame.cutting import sequence
from pyimpl.frame.expressions import Expressions, FormulaFunction
from pyimpl.frame.summaries import SUMMARIES, TIES, rank, trimmed_mean
from pyimpl.text.numbers import quantile7, r_round, r_signif

__all__ = ["NUMBER_FUNCTIONS"]

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


def _identity(e: Expressions, node: Call) -> Column:
    return e.value(e.match(node, "x")["x"])


def _offset(e: Expressions, node: Call) -> Column:
    value = e.value(e.match(node, "object")["object"])
    if isinstance(value, Logical):
        return Numeric(value.array, kind="integer")
    if isinstance(value, Factor) or one_column(value.array).ndim == 2:
        raise DataError(f"{deparse(node)}: an offset must be numeric, of one column.")
    return value


def _maths(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x")
    value = e.numbers(bound["x"], node)
    with np.errstate(all="ignore"):
        return _checked(e, node, value, _MATHS[node.fn](value.array))


def _checked(e: Expressions, node: Call, argument: Numeric, out: np.ndarray) -> Numeric:
    if np.any(np.isnan(out) & ~np.isnan(argument.array)):
        e.note("NaNs produced", node)
    return Numeric(out, names=argument.names, basis=argument.basis)


def _log(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "base")
    value = e.numbers(bound["x"], node)
    with np.errstate(all="ignore"):
        if "base" not in bound:
            return _checked(e, node, value, np.log(value.array))
        base = e.numbers(bound["base"], node).array
        if len(base) != 1:
            raise FormulaError(f"{deparse(node)}: base must be one number.")
        if base[0] == 10:
            return _checked(e, node, value, np.log10(value.array))
        if base[0] == 2:
            return _checked(e, node, value, np.log2(value.array))
        return _checked(e, node, value, np.log(value.array) / np.log(base[0]))


def _summary(e: Expressions, node: Call) -> Column:
    """``mean(x, na.rm)``, ``median``, ``var``, ``sd``, and ``min``, ``max``, ``sum`` of several."""
    args, named = e.several(node, "na.rm", *(["trim"] if node.fn == "mean" else []))
    drop = e.flag(named.get("na.rm"), False, node)
    if node.fn not in ("min", "max", "sum") and len(args) != 1:
        raise FormulaError(f"{deparse(node)}: {node.fn}() takes x and na.rm; found {len(args)} values.")
    columns = [e.numbers(arg, node) for arg in args]
    values = np.concatenate([column.array.ravel() for column in columns])
    if drop:
        values = values[~np.isnan(values)]
    whole = node.fn in ("min", "max", "sum") and all(column.kind == "integer" for column in columns)
    trim = e.one_number(named["trim"], node) if "trim" in named else 0.0
    with np.errstate(all="ignore"):
        result = trimmed_mean(values, trim) if trim > 0 else SUMMARIES[node.fn](values)
    return Numeric(np.array([result]), kind="integer" if whole and math.isfinite(result) else "double")


def _many(e: Expressions, node: Call) -> tuple[list[Node], bool]:
    """Arguments of a function of several columns, and ``na.rm``."""
    args, named = e.several(node, "na.rm")
    return args, e.flag(named.get("na.rm"), False, node)


def _parallel(e: Expressions, node: Call) -> Column:
    """``pmin`` and ``pmax``: row by row."""
    args, drop = _many(e, node)
    columns = [e.numbers(arg, node) for arg in args]
    choose = {("pmin", False): np.minimum, ("pmin", True): np.fmin, ("pmax", False): np.maximum}
    out = columns[0].array
    for column in columns[1:]:
        a, b = e.aligned(replace(columns[0], array=out), column, node)
        out = choose.get((node.fn, drop), np.fmax)(a, b)
    whole = all(column.kind == "integer" for column in columns)
    first = columns[0]  # whose attributes the result has, if it is as long
    if len(out) != len(first):
        first = Numeric(out[:, 0] if out.ndim == 2 and out.shape[1] == 1 else out)
    elif first.array.ndim == 1 and out.ndim == 2:
        out = one_column(out)
        if out.ndim == 2:
            raise FormulaError(
                f"{deparse(node)}: {node.fn}() has as many values as its longest argument, {out.size}, but the "
                f"data have {len(out)} rows. Put the matrix first."
            )
    return Numeric(out, "integer" if whole else "double", first.names, first.basis)


def _round(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "digits")
    value = e.numbers(bound["x"], node)
    digits = e.one_number(bound["digits"], node) if "digits" in bound else 0.0
    if value.kind == "integer" and digits >= 0:
        return value
    return Numeric(r_round(value.array, digits), names=value.names, basis=value.basis)


def _rank(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "ties.method")
    value = e.numbers(bound["x"], node)
    ties = e.labels(bound["ties.method"], node) if "ties.method" in bound else ["average"]
    if len(ties) != 1 or ties[0] not in TIES:
        raise FormulaError(f"{deparse(node)}: ties.method is one of {', '.join(TIES)}.")
    whole = "double" if ties[0] == "average" else "integer"
    return Numeric(rank(value.array.ravel(order="F"), ties[0]), kind=whole)


def _average(e: Expressions, node: Call) -> Column:
    """``ave(x, g, ..., FUN = mean)``: a summary of x within each combination of levels; all of x without g."""
    plain, named = e.several(node, "FUN")
    function = named.get("FUN", Name("mean"))
    if not isinstance(function, Name) or function.name not in SUMMARIES:
        raise FormulaError(
            f"{deparse(node)}: ave() takes numbers, factors and FUN, one of {', '.join(sorted(SUMMARIES))}."
        )
    given = e.numbers(plain[0], node)
    value = replace(given, array=one_column(given.array))
    groups = [as_factor(e.value(arg)).codes.astype(np.intp) for arg in plain[1:]]
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


def _quantile(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "probs", "na.rm", "names", "type")
    e.flag(bound.get("names"), True, node)  # of no consequence for a column
    if "type" in bound and e.one_number(bound["type"], node) != 7:
        raise FormulaError(f"{deparse(node)}: quantile() knows only type = 7, R's default, in Python.")
    values = e.numbers(bound["x"], node).array.ravel()
    probabilities = e.numbers(bound["probs"], node).array if "probs" in bound else np.linspace(0, 1, 5)
    if e.flag(bound.get("na.rm"), False, node):
        values = values[~np.isnan(values)]
    if np.isnan(values).any() or not len(values):
        raise FormulaError(f"{deparse(node)}: missing values and no values are not allowed; na.rm = TRUE drops gaps.")
    if np.isnan(probabilities).any() or (probabilities < 0).any() or (probabilities > 1).any():
        raise FormulaError(f"{deparse(node)}: 'probs' outside [0,1].")
    return Numeric(quantile7(values, probabilities))


def _sequence(e: Expressions, node: Call) -> Column:
    """``seq(from, to, by)`` or ``seq(from, to, length.out = n)``."""
    bound = e.match(node, "from", "to", "by", "length.out")
    ends = {name: e.numbers(arg, node).array for name, arg in bound.items()}
    if "to" not in ends or len(ends) > 3 or any(len(end) != 1 for end in ends.values()):
        raise FormulaError(f"{deparse(node)}: write seq(from, to, by) or seq(from, to, length.out = n), with numbers.")
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


def _as_logical(e: Expressions, node: Call) -> Column:
    value = e.value(e.match(node, "x")["x"])
    if isinstance(value, Factor):
        return Logical(strings_as_truth(value))
    return Logical(e.truth(node.args[0], node).ravel())


def _absolute(e: Expressions, node: Call) -> Column:
    value = e.numbers(e.match(node, "x")["x"], node)
    return replace(value, array=np.abs(value.array))


def _combine(e: Expressions, node: Call) -> Column:
    values = [e.value(arg) for arg in node.args]
    if not values:
        raise FormulaError("c() without values has no use in a formula.")
    if any(isinstance(value, Factor) for value in values):
        return _joined_texts([as_factor(value) for value in values])
    joined = np.concatenate([value.array.ravel() for value in values if not isinstance(value, Factor)])
    if all(isinstance(value, Logical) for value in values):
        return Logical(joined)
    whole = all(
        isinstance(value, Logical) or (isinstance(value, Numeric) and value.kind == "integer") for value in values
    )
    return Numeric(joined, kind="integer" if whole else "double")


_RUNNING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    # R adds up and multiplies in long double, and rounds each element
    "cumsum": lambda values: np.cumsum(values.astype(np.longdouble)).astype(np.float64),
    "cumprod": lambda values: np.cumprod(values.astype(np.longdouble)).astype(np.float64),
    "cummax": np.maximum.accumulate,
    "cummin": np.minimum.accumulate,
}


def _running(e: Expressions, node: Call) -> Column:
    """``cumsum``, ``cumprod``, ``cummax``, ``cummin``: missing from the first missing value on."""
    value = e.numbers(e.match(node, "x")["x"], node)
    whole = value.kind == "integer" and node.fn != "cumprod"
    with np.errstate(all="ignore"):
        out = _RUNNING[node.fn](value.array.ravel(order="F"))
    if whole and (over := np.abs(out) > INT_MAX).any():
        e.note("integer overflow in 'cumsum'; use 'cumsum(as.numeric(.))'", node)
        out = np.where(np.maximum.accumulate(over), np.nan, out)
    return Numeric(out, kind="integer" if whole else "double")


def _signif(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "digits")
    value = e.numbers(bound["x"], node)
    digits = max(1, round(e.one_number(bound["digits"], node))) if "digits" in bound else 6
    return replace(value, array=np.asarray(r_signif(value.array, digits), dtype=np.float64).reshape(value.array.shape))


def _xor(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "y")
    if len(bound) < 2:
        raise FormulaError(f"{deparse(node)}: xor() needs x and y.")
    one, other = e.truth(bound["x"], node), e.truth(bound["y"], node)
    if 1 not in (len(one), len(other)) and len(one) != len(other):
        raise FormulaError(f"{deparse(node)}: the sides have {len(one)} and {len(other)} values.")
    return Logical(np.abs(one - other))


def _reverse(e: Expressions, node: Call) -> Column:
    value = e.value(e.match(node, "x")["x"])
    if isinstance(value, Numeric) and value.array.ndim == 2:
        value = Numeric(value.array.ravel(order="F"), value.kind)
    return value.take(np.arange(len(value))[::-1])


def _bind(e: Expressions, node: Call) -> Column:
    """``cbind(a, b, ...)``: a matrix, its columns named by columns of the data and by argument names."""
    parts: list[np.ndarray] = []
    names: list[str] = []
    for (label, arg), (argument, _) in zip(node.named_args(), e.arguments(node), strict=True):
        if argument is not None:
            raise FormulaError(f"{deparse(node)}: cbind() takes no {argument} in Python.")
        value = e.value(arg)
        if isinstance(value, Factor):
            if value.text:
                raise FormulaError(f"{deparse(node)}: {deparse(arg)} is strings, which are no numbers.")
            value = Numeric(np.where(value.codes >= 0, value.codes + 1.0, np.nan))
        if value.array.ndim == 2:
            parts.append(value.array)
            names += (isinstance(value, Numeric) and value.names) or [""] * value.array.shape[1]
        else:
            parts.append(value.array[:, None])
            names.append(label or (arg.name if isinstance(arg, Name) else ""))
    if not parts:
        raise FormulaError("cbind() without values has no use in a formula.")
    longest = max(len(part) for part in parts)
    if any(len(part) not in (1, longest) for part in parts):
        raise FormulaError(f"{deparse(node)}: the columns have {', '.join(str(len(part)) for part in parts)} values.")
    joined = np.hstack([np.broadcast_to(part, (longest, part.shape[1])) for part in parts])
    return Numeric(joined, names=tuple(names) if any(names) else None)


def _as_numeric(e: Expressions, node: Call) -> Column:
    value = e.value(e.match(node, "x")["x"])
    whole = node.fn == "as.integer"
    if isinstance(value, Logical):
        return Numeric(value.array, kind="integer" if whole else "double")
    if isinstance(value, Factor):
        if value.text:
            parsed = np.array([*(_parse_number(level) for level in value.levels), np.nan])
            if np.isnan(parsed[:-1]).any():
                e.note("NAs introduced by coercion", node)
            numbers = parsed[value.codes]
            return Numeric(np.trunc(numbers) if whole else numbers, kind="integer" if whole else "double")
        codes = np.where(value.codes >= 0, value.codes + 1.0, np.nan)
        return Numeric(codes, kind="integer" if whole else "double")
    numbers = value.array.ravel(order="F")
    return Numeric(np.trunc(numbers) if whole else numbers, kind="integer" if whole else "double")


def _is_na(e: Expressions, node: Call) -> Column:
    return Logical(e.value(e.match(node, "x")["x"]).missing().astype(np.float64))


def _ifelse(e: Expressions, node: Call) -> Column:
    """``ifelse(test, yes, no)``: as long as the test, of the kind of what is taken; of a factor its codes, as in R."""
    bound = e.match(node, "test", "yes", "no")
    if len(bound) < 3:
        raise FormulaError(f"{deparse(node)}: ifelse() needs test, yes and no.")
    given = e.value(bound["test"])
    words = isinstance(given, Factor) and given.text
    test = strings_as_truth(given) if words and isinstance(given, Factor) else e.truth(bound["test"], node)
    taken: list[tuple[np.ndarray, Column]] = []
    for side, rows in (("yes", test == 1), ("no", test == 0)):
        value = _recycled(e.value(bound[side]), len(test))
        if rows.any():
            taken.append((rows, value))
    if any(isinstance(value, Factor) for _, value in taken):
        return _chosen_texts(taken, len(test))
    chosen = np.full(len(test), np.nan)
    for rows, value in taken:
        if not isinstance(value, Factor):
            chosen[rows] = value.array[rows]
    if all(isinstance(value, Logical) for _, value in taken):
        return Logical(chosen)
    return Numeric(chosen, kind="integer" if all(_whole(value) for _, value in taken) else "double")


def _recycled(value: Column, length: int) -> Column:
    """What ``ifelse`` takes from: as long as its test, without attributes, a factor as its codes."""
    if isinstance(value, Factor):
        if value.text:
            return value.take(np.resize(np.arange(len(value)), length))
        value = Numeric(np.where(value.codes >= 0, value.codes + 1.0, np.nan), kind="integer")
    array = np.resize(value.array.ravel(order="F"), length)
    if isinstance(value, Logical):
        return Logical(array)
    return Numeric(array, kind="integer" if _whole(value) else "double")


def _whole(value: Column) -> bool:
    return isinstance(value, Logical) or (isinstance(value, Numeric) and value.kind == "integer")


def _chosen_texts(taken: Sequence[tuple[np.ndarray, Column]], length: int) -> Factor:
    """Strings of some rows, and of the others what ``as.character`` makes of their numbers."""
    joined = _joined_texts([as_factor(value.take(np.flatnonzero(rows))) for rows, value in taken])
    codes = np.full(length, -1, dtype=np.intp)
    codes[np.concatenate([np.flatnonzero(rows) for rows, _ in taken])] = joined.codes
    return Factor(codes, joined.levels, text=True)


def _joined_texts(parts: Sequence[Factor]) -> Factor:
    labels = [level for part in parts for level in part.levels]
    starts = np.cumsum([0, *(len(part.levels) for part in parts)])
    return strings(
        labels,
        np.concatenate(
            [
                np.where(part.codes < 0, -1, part.codes.astype(np.intp) + start)
                for part, start in zip(parts, starts[:-1].tolist(), strict=True)
            ]
        ),
    )


def _parse_number(text: str) -> float:
    try:
        # Python reads the digits of every script, R those of ASCII
        return float(text.strip()) if "_" not in text and text.strip().isascii() else math.nan
    except ValueError:
        return math.nan


#: Name -> function.
NUMBER_FUNCTIONS: Mapping[str, FormulaFunction] = {
    "I": _identity,
    "offset": _offset,
    "log": _log,
    "logb": _log,
    "abs": _absolute,
    "c": _combine,
    "cbind": _bind,
    "rev": _reverse,
    "as.numeric": _as_numeric,
    "as.double": _as_numeric,
    "as.integer": _as_numeric,
    "as.logical": _as_logical,
    "is.na": _is_na,
    "ifelse": _ifelse,
    "xor": _xor,
    "pmin": _parallel,
    "pmax": _parallel,
    "round": _round,
    "signif": _signif,
    "rank": _rank,
    "ave": _average,
    "quantile": _quantile,
    "seq": _sequence,
    **dict.fromkeys(SUMMARIES, _summary),
    **dict.fromkeys(_RUNNING, _running),
    **dict.fromkeys(_MATHS, _maths),
}
