"""The kinds of columns that a model frame has, as R has them: numbers, logicals and factors (strings among them).

Values are numpy arrays and factor codes, never per-row objects; missing is NaN for numbers and logicals and code -1 for
factors.
"""

import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.errors import DataError, PyimplWarning
from pyimpl.linalg.columns import levels_used, some_negative, square_sum
from pyimpl.text.values import format_integer, format_number, unique_numbers
from r_scripts.caller import warn

__all__ = [
    "INT_MAX",
    "NO_BASIS",
    "Basis",
    "Column",
    "Factor",
    "FactorContrasts",
    "Logical",
    "Numeric",
    "PolynomialCoefs",
    "Spline",
    "as_factor",
    "category_labels",
    "datetime_labels",
    "few_enough",
    "integers",
    "occurring",
    "strings",
]


#: Largest integer of R.
_EXACT = 2**53
INT_MAX = 2147483647.0
_CHUNK = 65_536


def _finite(values: np.ndarray) -> bool:
    # of infinite values, and of very large ones
    return math.isfinite(square_sum(values))


def refuse_merged(name: str, whole: Iterable[int], doubles: np.ndarray) -> None:
    """Refuse whole numbers of which different ones are one number as a double, which is what R and a model have.

    Parameters
    ----------
    name : str
        Of the column.
    whole : iterable of int
        As they are; missing ones are whatever they are.
    doubles : ndarray of float
        The same, where they are there.

    Raises
    ------
    DataError
    """
    if doubles.size and float(np.nanmax(np.abs(doubles), initial=0.0)) > _EXACT:
        there = ~np.isnan(doubles)
        different = {number for number, known in zip(whole, there, strict=True) if known}
        if len(np.unique(doubles[there])) < len(different):
            raise DataError(
                f"Column {name!r} holds whole numbers beyond 2^53 that differ by less than a double can tell, which is "
                "all that R and a model have. Turn it into strings if it identifies, or scale it first."
            )


def integers(values: np.ndarray) -> "Numeric":
    """Whole numbers as R has them: its integers have 32 bits; a column with larger ones is double."""
    # the sum of squares settles nearly every column without gaps
    fits = square_sum(values) <= INT_MAX**2 or float(np.nanmax(np.abs(values), initial=0.0)) <= INT_MAX
    return Numeric(values, kind="integer" if fits else "double")


@dataclass(frozen=True, slots=True)
class Spline:
    """Basis of splines.

    Attributes
    ----------
    degree : int
        Of the polynomials; 3 for natural splines.
    knots : ndarray, shape (k,)
        Inner knots.
    boundary : ndarray, shape (2,)
        Boundary knots, sorted.
    intercept : bool
        Whether the basis spans the constant.
    """

    degree: int
    knots: np.ndarray
    boundary: np.ndarray
    intercept: bool


#: Of an orthogonal polynomial in one variable: (alpha, norm2).
PolynomialCoefs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Basis:
    """What ``poly``, ``scale``, ``bs`` and ``ns`` leave with a value: R's attributes, which arithmetic keeps.

    R's ``makepredictcall`` reads them from the variables of a model frame, for new data.

    Attributes
    ----------
    center, scale : ndarray, shape (k,), or None
        ``scaled:center`` and ``scaled:scale``.
    coefs : tuple of (alpha, norm2), or None
        ``coefs`` of orthogonal polynomials, a pair for each variable.
    spline : Spline, or None
        ``degree``, ``knots``, ``Boundary.knots`` and ``intercept`` of splines.
    maker : str
        The value's class, where it has one: ``"poly"``, ``"bs"``, ``"ns"``.
    """

    center: np.ndarray | None = None
    scale: np.ndarray | None = None
    coefs: tuple[PolynomialCoefs, ...] | None = None
    spline: Spline | None = None
    maker: str = ""

    def under(self, first: "Basis") -> "Basis":
        """Attributes of a result of two operands of one size: those of the first, and what only this one has."""
        return Basis(
            self.center if first.center is None else first.center,
            self.scale if first.scale is None else first.scale,
            self.coefs if first.coefs is None else first.coefs,
            self.spline if first.spline is None else first.spline,
            first.maker or self.maker,
        )


#: Of values that none of them made.
NO_BASIS = Basis()


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers.

    Attributes
    ----------
    array : ndarray of float64, shape (N,) or (N, k)
        A matrix is what ``poly`` and ``scale`` give.
    kind : str
        ``"double"``, ``"integer"``, ``"date"`` (days since 1970-01-01) or ``"datetime"`` (seconds since then, UTC):
        how the values turn into labels (``as.character``).
    names : tuple of str or None
        Column names of a matrix, or None for R's 1, 2, ...
    basis : Basis
        What ``poly`` and ``scale`` left with the value.
    """

    array: np.ndarray
    kind: str = "double"
    names: tuple[str, ...] | None = None
    basis: Basis = NO_BASIS

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def take(self, rows: np.ndarray) -> "Numeric":
        """Take the rows at these positions."""
        return Numeric(self.array.take(rows, axis=0), self.kind, self.names, self.basis)

    def any_missing(self) -> bool:
        """Whether some row is missing."""
        return not _finite(self.array) and bool(np.isnan(self.array).any())

    def any_infinite(self) -> bool:
        """Whether some value is infinite."""
        return not _finite(self.array) and bool(np.isinf(self.array).any())

    def missing(self) -> np.ndarray:
        """Mask of missing rows, shape (N,)."""
        gaps: np.ndarray = np.isnan(self.array)
        return gaps.any(axis=1) if gaps.ndim == 2 else gaps


@dataclass(frozen=True, slots=True)
class Logical:
    """Truth values: ``array`` is float64 of shape (N,) with 0, 1 and NaN (R's NA)."""

    array: np.ndarray

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def take(self, rows: np.ndarray) -> "Logical":
        """Take the rows at these positions."""
        return Logical(self.array.take(rows))

    def any_missing(self) -> bool:
        """Whether some row is missing."""
        return not _finite(self.array)

    def missing(self) -> np.ndarray:
        """Mask of missing rows, shape (N,)."""
        return np.isnan(self.array)


@dataclass(frozen=True, slots=True)
class FactorContrasts:
    """Contrasts that a factor carries (R's attribute ``contrasts``).

    Attributes
    ----------
    function : str
        One of R's functions for contrasts; empty where there is a matrix.
    matrix : tuple of tuple of float, or None
        A row for each level.
    suffixes : tuple of str
        The matrix' column names.
    """

    function: str
    matrix: tuple[tuple[float, ...], ...] | None = None
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor, an ordered factor, or strings.

    Attributes
    ----------
    codes : ndarray of a signed integer type, shape (N,)
        0-based position in ``levels``; -1 is missing. pandas' own small integers are kept: arithmetic with codes needs
        ``astype(intp)`` first.
    levels : tuple of str
        Strings have their distinct values, sorted by code point (R's order in the C locale).
    ordered : bool
    text : bool
        Whether R has a character vector here: unused values are never levels.
    complete : bool
        Whether every level is known to be used.
    contrasts : FactorContrasts, or None
        Those that ``C()`` gave it.
    """

    codes: np.ndarray
    levels: tuple[str, ...]
    ordered: bool = False
    text: bool = False
    complete: bool = field(default=False, compare=False)
    contrasts: FactorContrasts | None = None

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def take(self, rows: np.ndarray) -> "Factor":
        """Take the rows at these positions; unused levels stay."""
        return Factor(self.codes.take(rows), self.levels, self.ordered, self.text, contrasts=self.contrasts)

    def any_missing(self) -> bool:
        """Whether some row is missing."""
        if self._plain():
            return some_negative(self.codes)
        return self.codes.size > 0 and int(self.codes.min()) < 0

    def _plain(self) -> bool:
        """Whether the codes are such as compiled loops take."""
        return self.codes.dtype == np.intp and self.codes.flags.c_contiguous

    def missing(self) -> np.ndarray:
        """Mask of missing rows, shape (N,)."""
        return self.codes < 0

    def used(self) -> np.ndarray:
        """Mask of the levels that some row has, shape (levels,)."""
        if self._plain():
            return levels_used(self.codes, len(self.levels))
        seen = np.zeros(len(self.levels) + 1, dtype=bool)  # the last is where code -1 goes
        # In most data every level turns up early: then the other rows need not be looked at.
        for start in range(0, len(self.codes), _CHUNK):
            seen[self.codes[start : start + _CHUNK]] = True
            if np.count_nonzero(seen[:-1]) == len(self.levels):  # quicker than all() for few levels
                break
        return seen[:-1]

    def drop_unused(self) -> "Factor":
        """Without the levels that no row has (``droplevels``); the order of the others stays.

        Contrasts are kept where no level is dropped, as R keeps them.
        """
        if self.complete:
            return self
        used = self.used()
        if np.count_nonzero(used) == used.size:
            return Factor(self.codes, self.levels, self.ordered, self.text, True, self.contrasts)
        position = np.full(len(used) + 1, -1, dtype=self.codes.dtype)
        position[:-1][used] = np.arange(np.count_nonzero(used))
        levels = tuple(level for level, use in zip(self.levels, used.tolist(), strict=True) if use)
        return Factor(position.take(self.codes, mode="wrap"), levels, self.ordered, self.text, True)


Column = Numeric | Logical | Factor


def datetime_labels(seconds: np.ndarray) -> list[str]:
    """Write seconds since 1970-01-01 UTC as R's ``as.character`` does: the time only where some has one."""
    stamps = np.array(np.round(seconds * 1e6), dtype=np.int64).astype("datetime64[us]")
    days = stamps.astype("datetime64[D]")
    if (stamps == days).all():
        return [str(day) for day in days]
    return [str(stamp).replace("T", " ") for stamp in stamps.astype("datetime64[s]")]


#: The labels of indices of categories that are still there, by their identity: an index does not change, and to read
#: its strings takes a tenth of a small fit.
_LABELLED: dict[int, tuple[weakref.ref[pd.Index], tuple[str, ...]]] = {}
_REMEMBERED = 1000  # categories up to which their labels are kept


def category_labels(name: str, categories: pd.Index) -> tuple[str, ...]:
    """Write the categories of the column ``name`` as R's levels.

    Raises
    ------
    DataError
        Two categories have the same text.
    """
    key = id(categories)
    known = _LABELLED.get(key)
    if known is not None and known[0]() is categories:
        return known[1]
    labels = _category_labels(name, categories)
    if len(labels) <= _REMEMBERED:
        _LABELLED[key] = weakref.ref(categories, lambda _: _LABELLED.pop(key, None)), labels
    return labels


def refuse_half_characters(name: str, labels: Iterable[str]) -> None:
    """Refuse text that is no Unicode: lone surrogates, with which pandas ends, or R, where the labels are used.

    Raises
    ------
    DataError
    """
    for label in labels:
        if not label.isascii() and any("\ud800" <= character <= "\udfff" for character in label):
            raise DataError(f"Column {name!r} holds text that is not valid Unicode, {label!r}. Clean it.")


def _category_labels(name: str, categories: pd.Index) -> tuple[str, ...]:
    # at once: an Arrow-backed index makes a scalar of its own for every element it is asked for
    values = categories.to_numpy(dtype=object).tolist()
    if isinstance(categories.dtype, pd.StringDtype) or set(map(type, values)) == {str}:
        refuse_half_characters(name, values)
        return tuple(values)  # distinct already
    if categories.dtype.kind in "iu":
        return tuple(map(str, values))
    if categories.dtype.kind == "M":
        local = pd.DatetimeIndex(categories).tz_localize(None)  # R writes times as their zone has them
        labels = datetime_labels(local.to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6)
    else:
        labels = [_label_of(value) for value in values]
    if len(set(labels)) != len(labels):
        text = next(label for label in labels if labels.count(label) > 1)
        raise DataError(
            f"Column {name!r} has several categories that R would write as {text!r}. Rename all but one of them."
        )
    return tuple(labels)


def _label_of(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float | np.floating):
        return format_number(float(value))
    return str(value)


_LABELS: dict[str, Callable[[np.ndarray], list[str]]] = {
    "double": lambda values: [format_number(value) for value in values.tolist()],
    "integer": lambda values: [format_integer(value) for value in values.tolist()],
    "date": lambda values: [str(np.datetime64(int(day), "D")) for day in values],
    "datetime": datetime_labels,
}


def few_enough(size: int, rows: int) -> bool:
    """Whether :func:`occurring`, which has a place for each of so many numbers, takes less than to hash the rows'."""
    return size <= 4 * rows + 1024


def occurring(numbers: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row's code among the numbers that occur, and these numbers, ascending.

    Parameters
    ----------
    numbers : ndarray of int, shape (N,)
        From 0 to ``size``; ``size`` itself stands for a missing one, whose code is −1.
    size : int
    """
    occurs = np.zeros(size + 1, dtype=np.bool_)
    occurs[numbers] = True
    used = np.flatnonzero(occurs[:-1])
    place = np.full(size + 1, -1, dtype=np.intp)
    place[used] = np.arange(used.size)
    return place[numbers], used


def as_factor(column: Column) -> Factor:
    """R's ``factor(x)``: unused levels dropped, numbers sorted numerically and labelled by ``as.character``.

    Raises
    ------
    DataError
        A matrix cannot be a factor.
    """
    if isinstance(column, Factor):
        used = column.drop_unused()
        return Factor(used.codes, used.levels, used.ordered, complete=True) if used.text else used
    if isinstance(column, Logical):
        codes = np.where(np.isnan(column.array), -1, column.array).astype(np.intp)
        return Factor(codes, ("FALSE", "TRUE")).drop_unused()
    values = column.array
    if values.ndim == 2:
        if values.shape[1] != 1:
            raise DataError("A matrix (poly(), scale() of several columns) cannot be a factor.")
        values = values[:, 0]
    if column.kind == "integer" and values.size and not column.any_missing():
        lowest = float(values.min())
        span = int(float(values.max()) - lowest) + 1
        if few_enough(span, values.size):
            codes, numbers = occurring((values - lowest).astype(np.intp), span)
            return Factor(codes, tuple(map(str, (numbers + int(lowest)).tolist())), complete=True)
    codes, uniques = pd.factorize(values, sort=True, use_na_sentinel=True)
    labels = _LABELS[column.kind](uniques)
    codes = codes.astype(np.intp, copy=False)
    # Numbers that agree to 15 digits have one label and so are one level, as in R.
    distinct, where = unique_numbers(labels)
    if len(distinct) < len(labels):
        warn(
            f"{len(labels)} different numbers make {len(distinct)} levels, because R labels numbers by 15 significant "
            "digits. If they are identifiers, make them strings.",
            PyimplWarning,
        )
        codes = np.where(codes >= 0, where[codes], -1)
    return Factor(codes, tuple(distinct))


def strings(labels: Sequence[str], codes: np.ndarray) -> Factor:
    """A character vector: its distinct values, sorted by code point, are its levels.

    Parameters
    ----------
    labels : sequence of str
        May have repeats, and some that no row has.
    codes : ndarray of int, shape (N,)
        Each row's position among them; -1 is missing.
    """
    levels = sorted(set(labels))
    place = {level: i for i, level in enumerate(levels)}
    lut = np.array([*(place[label] for label in labels), -1], dtype=np.intp)
    return Factor(lut[codes], tuple(levels), text=True).drop_unused()
