"""What R's comparisons and ``%in%`` are where a side has labels: strings, factors, ordered factors, dates as text."""

import re
from collections.abc import Callable, Mapping

import numpy as np

from pyimpl.errors import FormulaError
from pyimpl.formula.parse import Call, deparse
from pyimpl.frame.columns import Column, Factor, Logical, Numeric, as_factor

__all__ = ["COMPARISONS", "compare_labels", "contained_in", "one_column", "strings_as_truth"]

#: R's comparison → numpy's.
COMPARISONS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}

#: What ``as.logical`` reads.
_TRUTH = {
    **dict.fromkeys(("T", "TRUE", "true", "True"), 1.0),
    **dict.fromkeys(("F", "FALSE", "false", "False"), 0.0),
}
#: What ``as.Date`` reads of a text without a format; what follows it is ignored.
_DATE = re.compile(r"\s*(\d{1,4})([-/])(\d{1,2})\2(\d{1,2})", re.ASCII)


def compare_labels(node: Call, left: Column, right: Column) -> Logical:
    """Compare two columns of which one at least has labels (``Ops.factor``, ``Ops.ordered``, ``Ops.Date``).

    A factor is compared by its labels, and only for equality; an ordered factor by the order of its levels, among which
    a text that is none of them has no place, so that the answer is missing; strings by code point, R's order in the C
    locale; numbers and logicals with strings as ``as.character`` writes them; a date with the date that a string says.

    Raises
    ------
    FormulaError
        Where R has an error, or an answer that is missing in every row: unordered factors by order, two factors of
        different levels, an ordered factor and texts that are none of its levels. Times of day and
        strings, which R compares in the time zone of its session.
    """
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Numeric) and isinstance(other, Factor):
            if one.kind == "datetime":
                raise FormulaError(
                    f"{deparse(node)}: R compares times of day with strings in the time zone of its session. Compare "
                    "them beforehand, e.g. data.assign(late=data['time'] > '2020-01-31 12:00')."
                )
            if one.kind == "date":
                return _compare_days(node, left, right)
    sides = [side if isinstance(side, Factor) else as_factor(side) for side in (left, right)]
    factors = [side for side in (left, right) if isinstance(side, Factor) and not side.text]
    ordered = [side for side in factors if side.ordered]
    equality = node.fn in ("==", "!=")
    if len(factors) == 2:
        _refuse_different_levels(node, factors[0], factors[1], equality)
    if not equality and len(ordered) < len(factors):
        raise FormulaError(f"{deparse(node)}: {node.fn!r} is not meaningful for unordered factors.")
    if ordered and not equality:
        levels = ordered[0].levels
        for side in sides:
            if side.levels and not set(side.levels) & set(levels):
                raise FormulaError(
                    f"{deparse(node)}: {side.levels[0]!r} is not a level of the ordered factor ({', '.join(levels)})."
                )
    else:
        levels = tuple(sorted(set(sides[0].levels) | set(sides[1].levels)))
    place = {level: float(i) for i, level in enumerate(levels)}
    return _compared(node, *(_positions(side, place) for side in sides))


def _refuse_different_levels(node: Call, left: Factor, right: Factor, equality: bool) -> None:
    if left.ordered != right.ordered:
        raise FormulaError(
            f"{deparse(node)}: R does not compare an ordered factor with an unordered one. Make one of them strings, "
            "e.g. as.character(f)."
        )
    same = set(left.levels) == set(right.levels) if equality else left.levels == right.levels
    if not same:
        raise FormulaError(
            f"{deparse(node)}: the level sets of the two factors are different ({', '.join(left.levels[:8])}; "
            f"{', '.join(right.levels[:8])})."
        )


def _compared(node: Call, a: np.ndarray, b: np.ndarray) -> Logical:
    if 1 not in (len(a), len(b)) and len(a) != len(b):
        raise FormulaError(f"{deparse(node)}: the sides have {len(a)} and {len(b)} values.")
    out = COMPARISONS[node.fn](a, b).astype(np.float64)
    return Logical(np.where(np.isnan(a) | np.isnan(b), np.nan, out))


def _positions(side: Factor, place: Mapping[str, float]) -> np.ndarray:
    """Each row's place; a level that has none, and a missing value, are NaN."""
    lut = np.array([*(place.get(level, np.nan) for level in side.levels), np.nan])
    positions: np.ndarray = lut[side.codes]
    return positions


def _compare_days(node: Call, left: Column, right: Column) -> Logical:
    days: list[np.ndarray] = []
    for side in (left, right):
        if isinstance(side, Factor) and side.text:
            read = np.array([*(_day(node, level) for level in side.levels), np.nan])
            days.append(read[side.codes])
        elif isinstance(side, Numeric):
            days.append(one_column(side.array))
        else:
            raise FormulaError(f"{deparse(node)}: R does not compare a date with a factor. Compare it with a string.")
    return _compared(node, days[0], days[1])


def _day(node: Call, text: str) -> float:
    found = _DATE.match(text)
    year, _, month, day = found.groups() if found else ("", "", "", "")
    try:
        return float(np.datetime64(f"{int(year):04d}-{int(month):02d}-{int(day):02d}", "D").astype(np.int64))
    except ValueError:
        raise FormulaError(
            f"{deparse(node)}: {text!r} is not a date that R reads (year-month-day, such as '2020-01-31')."
        ) from None


def contained_in(node: Call, left: Column, table: Column) -> Logical:
    """R's ``left %in% table``: never missing; a missing value is found where the table has one.

    Raises
    ------
    FormulaError
        Dates and strings: R's versions differ.
    """
    sides = (left, table)
    if any(isinstance(side, Factor) for side in sides):
        if any(isinstance(side, Numeric) and side.kind in ("date", "datetime") for side in sides):
            raise FormulaError(
                f"{deparse(node)}: R before 4.3 finds no date among strings, later ones do. Write "
                "as.character(date) %in% ..., or compare the dates beforehand."
            )
        values, known = (side if isinstance(side, Factor) else as_factor(side) for side in sides)
        present = {known.levels[code] for code in np.unique(known.codes) if code >= 0}
        hit = np.array([*(level in present for level in values.levels), bool((known.codes < 0).any())])
        return Logical(hit[values.codes].astype(np.float64))
    numbers, among = (one_column(side.array) for side in sides if not isinstance(side, Factor))
    if numbers.ndim != 1:
        raise FormulaError(f"{deparse(node)}: a matrix cannot be a logical variable.")
    found = np.isin(numbers, among) | (np.isnan(numbers) & np.isnan(among).any())
    return Logical(found.astype(np.float64))


def strings_as_truth(column: Factor) -> np.ndarray:
    """R's ``as.logical`` of strings or a factor: 0, 1, and NaN where the label is no truth value; shape (N,)."""
    table = np.array([*(_TRUTH.get(level, np.nan) for level in column.levels), np.nan])
    truth: np.ndarray = table[column.codes]
    return truth


def one_column(values: np.ndarray) -> np.ndarray:
    """A matrix of one column as a vector; others as they are."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
