"""What a fit hands over, read once, checked against the contract, and copied into plain numbers before it is compared.

A candidate is a stranger: it may return complex numbers whose imaginary part a conversion would drop, counts of 180.9
rows, labels that say they equal everything, objects that answer differently each time. So the judge compares nothing
but what :class:`CheckedFit` gives it: every part is asked for once, is real numbers of the right shape under plain
labels, or is *malformed*, which is another verdict than missing or different. What cannot be read is a
:class:`MalformedError`; complex numbers, truth values and texts are no numbers.
"""

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from pyimpl.linalg.memory import memory
from r_scripts.variances import Block, ConditionalVariances
from validation.contract import LinearMixedFit
from validation.errors import RAISED, EndedError, error_in_words
from validation.tolerances import Match

#: So often is an array copied while it is compared.
_COPIES = 8
#: No table has more entries (rows, columns) than the first, and so many more for each row of the data.
_LEAST_ENTRIES, _ENTRIES_A_ROW = 1000, 10
#: No name or level is longer; to print one of millions of characters takes minutes.
_LONGEST_LABEL = 100_000


_Read = TypeVar("_Read")


class MalformedError(ValueError):
    """A value is not what the contract asks for: the text says what it is, what was expected, and where."""


# ---------------------------------------------------------------------------------------------------- one value


def number(value: object, what: str, finite: bool = False) -> float:
    """A real number as a float; None and ``pandas.NA`` are NaN."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = filled(value)[()]
    if value is None or value is pd.NA:
        found = math.nan
    elif isinstance(value, bool | np.bool_):
        raise MalformedError(f"{what} is the truth value {bool(value)}; expected a number")
    elif isinstance(value, np.integer | np.floating):
        found = float(value)
    elif isinstance(value, int):
        try:
            found = float(int.__index__(value))
        except OverflowError:
            raise MalformedError(f"{what} is a whole number of more than 300 digits; expected a number") from None
    elif isinstance(value, float):
        found = float.__float__(value)  # a subclass may convert itself into another number
    elif isinstance(value, complex | np.complexfloating):
        raise MalformedError(f"{what} is the complex number {complex(value)}; expected a real number")
    else:
        raise MalformedError(f"{what} is {kind_of(value)}; expected a number")
    if finite and not math.isfinite(found):
        raise MalformedError(f"{what} is {_plain(found)}; expected a finite number")
    return found


def whole(value: object, what: str, least: float = 0.0) -> int:
    """A count."""
    found = number(value, what, finite=True)
    if found != math.floor(found):
        raise MalformedError(f"{what} is {_plain(found)}; expected a whole number")
    if found < least:
        raise MalformedError(f"{what} is {_plain(found)}; expected at least {least:g}")
    return int(found)


def flag(value: object, what: str) -> bool:
    """A truth value; nothing that only counts as one."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise MalformedError(f"{what} is {kind_of(value)}; expected True or False")


def label(value: object) -> str:
    """A label as plain text: of a subclass of ``str``, which may have its own idea of equality, the letters alone."""
    text = value if isinstance(value, str) else str(value)
    return str.__str__(text)


# ---------------------------------------------------------------------------------------------------- many values


def filled(array: np.ndarray) -> np.ndarray:
    """An array whose masked values are missing: a plain conversion would show what lies under the mask."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    plain, masked = np.ma.getdata(array), np.ma.getmaskarray(array)
    if not masked.any():
        return plain
    return np.where(masked, math.nan, plain if plain.dtype.kind in "iufc" else plain.astype(object))


def refuse_beyond_memory(size: int, shape: tuple[int, ...], what: str) -> None:
    """Refuse what holds more numbers than there is memory for: a view, or a sparse matrix's columns, may."""
    if 8 * size > memory() / _COPIES:
        raise MalformedError(f"{what} has the shape {shape}; that is more than memory could hold")


def most_entries(rows: int) -> int:
    """No table of a fit to so many rows has more entries (rows, columns): to name each one takes minutes."""
    return _LEAST_ENTRIES + _ENTRIES_A_ROW * rows


def pairs_of(value: Mapping[object, object], what: str) -> list[tuple[object, object]]:
    """The entries of a mapping, which may be a stranger's: as many as it says that it has."""
    count = len(value)
    pairs = list(itertools.islice(value.items(), count + 1))
    if len(pairs) != count:
        raise MalformedError(f"{what} is {kind_of(value)} with other entries than the {count} that it says it has")
    return pairs


def refuse_beyond_rows(value: object, most: int, what: str) -> None:
    """Refuse a table that is longer than any of a model of these data: to name each number in it would take minutes.

    That is an array, a table, a list, or a mapping to such, as a fit gave it; ``most`` is how many rows or columns it
    may have.
    """
    if isinstance(value, ConditionalVariances):  # as xarray's only when asked for
        value = {group: block.variances for group, block in value.blocks.items()}
    blocks = [*itertools.islice(value.values(), most)] if isinstance(value, Mapping) else []
    for block in (value, *blocks):
        sizes = getattr(block, "shape", None)
        if not isinstance(sizes, tuple):
            sizes = (len(block),) if isinstance(block, list | tuple | Mapping) else ()
        if any(isinstance(size, int) and size > most for size in sizes):
            raise MalformedError(f"{what} has {max(sizes)} entries; a model of these data has {most} at most")


def numbers(value: object, what: str, ndim: int | None = 1, finite: bool = False) -> np.ndarray:
    """Real numbers as a new float64 array, of any dimensions where ``ndim`` is None; ``what`` names them in errors."""
    if isinstance(value, str | bytes | Mapping | set) or not (hasattr(value, "__len__") or hasattr(value, "__array__")):
        raise MalformedError(f"{what} is {kind_of(value)}; expected an array of numbers")
    try:
        found = filled(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except Exception as error:
        raise MalformedError(f"{what} cannot be read as an array ({error_in_words(error)})") from None
    refuse_beyond_memory(found.size, found.shape, what)
    if found.dtype.kind in "iuf":
        array = np.array(found, dtype=np.float64)
    elif found.dtype.kind == "O":
        flat = [number(item, f"a value of {what}") for item in found.ravel().tolist()]
        array = np.array(flat, dtype=np.float64).reshape(found.shape)
    else:
        words = {"c": "complex numbers", "b": "truth values", "U": "text", "S": "bytes", "M": "dates", "m": "times"}
        raise MalformedError(f"{what} holds {words.get(found.dtype.kind, str(found.dtype))}; expected real numbers")
    if ndim is not None and array.ndim != ndim:
        raise MalformedError(f"{what} has the shape {array.shape}; expected {ndim} dimension{'s' * (ndim > 1)}")
    if finite and not np.isfinite(array).all():
        bad = array[~np.isfinite(array)]
        raise MalformedError(f"{what} holds {_plain(bad.flat[0])} ({bad.size} of {array.size} are not finite)")
    return array


def labels_of(index: Iterable[object], what: str, unique: bool) -> list[str]:
    """Labels as plain text, no one of them twice where each may stand once."""
    found = [label(item) for item in index]
    longest = max(map(len, found), default=0)
    if longest > _LONGEST_LABEL:
        raise MalformedError(f"{what} has a label of {longest} characters; expected {_LONGEST_LABEL} at most")
    if unique and len(set(found)) < len(found):
        twice = min(name for name, count in Counter(found).items() if count > 1)
        raise MalformedError(f"{what} has the label {twice!r} more than once")
    return found


def labelled(value: object, what: str, finite: bool = False, unique: bool = True) -> pd.Series:
    """A Series (or a mapping from label to number) as plain numbers under plain labels."""
    if isinstance(value, pd.Series):
        index, values = list(value.index), numbers(value.array, what, finite=finite)
    elif isinstance(value, Mapping):
        pairs = pairs_of(value, what)
        index = [key for key, _ in pairs]
        values = np.array([number(item, f"{what} of {label(key)!r}", finite) for key, item in pairs], dtype=np.float64)
    else:
        raise MalformedError(
            f"{what} is {kind_of(value)}; expected a Series or a mapping with R's names as keys, or labels as index"
        )
    return pd.Series(values, index=pd.Index(labels_of(index, what, unique), dtype=object), dtype=np.float64)


def labelled_columns(
    value: object, what: str, finite: bool = False, unique: bool = True, unique_columns: bool = True
) -> pd.DataFrame:
    """A data frame as plain numbers under plain labels."""
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a DataFrame")
    rows, columns = labels_of(value.index, what, unique), labels_of(value.columns, f"{what}'s columns", unique_columns)
    values = np.empty((len(rows), len(columns)))
    for j, name in enumerate(columns):
        values[:, j] = numbers(value.iloc[:, j].array, f"column {name!r} of {what}", finite=finite)
    return pd.DataFrame(values, index=pd.Index(rows, dtype=object), columns=pd.Index(columns, dtype=object))


def by_group(value: object, what: str, read: Callable[[object, str], _Read]) -> dict[str, _Read]:
    """A mapping from grouping factor, each entry read by a function that is told what it is."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a mapping from grouping factor")
    pairs = [(label(group), block) for group, block in pairs_of(value, what)]
    labels_of([group for group, _ in pairs], what, unique=True)
    return {group: read(block, f"{what} of {group!r}") for group, block in pairs}


def kind_of(value: object) -> str:
    """What a value is, without asking it: its type, and its text where that is a plain one."""
    name = type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(value, str | bytes) and type(value) in (str, bytes):
        return f"the text {value[:40]!r}"
    return f"{article} {name}"


def _plain(value: float) -> str:
    return "missing (NaN)" if math.isnan(value) else f"{value:g}"


def covariance_of(value: object, what: str, strict: bool = True) -> pd.DataFrame:
    """A covariance matrix: square and, of a candidate, symmetric."""
    found = labelled_columns(value, what)
    if sorted(found.index) != sorted(found.columns):
        raise MalformedError(f"{what} has other labels in its rows than in its columns")
    values = found.loc[:, list(found.index)].to_numpy()
    gap = np.abs(values - values.T)
    size = np.sqrt(np.abs(np.outer(np.diag(values), np.diag(values))))
    if strict and bool((gap > Match.SYMMETRIC * size + Match.ZERO).any()):
        raise MalformedError(f"{what} is not symmetric; expected a covariance matrix")
    return found


def components_of(value: object, what: str, unique: bool = False, figures: tuple[str, ...] = ("vcov",)) -> pd.DataFrame:
    """``as.data.frame(VarCorr(m))``: names of rows as plain text or None, and figures (``vcov``, ``sdcor``)."""
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a DataFrame as R's as.data.frame(VarCorr(m))")
    names = ("grp", "var1", "var2")
    lacking = [name for name in (*names, *figures) if name not in value.columns]
    if lacking:
        raise MalformedError(f"{what} has no column {', '.join(map(repr, lacking))}")
    if not value.columns.is_unique:
        raise MalformedError(f"{what} has a column more than once")
    read: dict[str, pd.Series | np.ndarray] = {
        column: pd.Series(
            [None if item is None or item is pd.NA or item != item else label(item) for item in value[column]],
            dtype=object,
        )
        for column in names
    }
    labels_of([str(key) for key in zip(*read.values(), strict=True)], what, unique)
    return pd.DataFrame(read | {column: numbers(value[column].array, f"{what}'s {column}") for column in figures})


def variances_of(found: object, what: str = "ranef_condVar()") -> ConditionalVariances:
    """Read what ``ranef_condVar()`` gave; xarray is not imported where the numbers come without it."""
    blocks = found.blocks if isinstance(found, ConditionalVariances) else found
    return ConditionalVariances(by_group(blocks, what, _variances))


def _variances(block: object, what: str) -> Block:
    if not isinstance(block, Block):
        import xarray as xr

        if not isinstance(block, xr.DataArray):
            raise MalformedError(f"{what} is {kind_of(block)}; expected a DataArray (level, effect, effect2)")
        absent = {"level", "effect"} - {str(name) for name in block.coords}
        if absent:
            raise MalformedError(f"{what} has no labels of {', '.join(sorted(absent))}")
        block = Block(block.to_numpy(), *(block.coords[name].to_numpy().tolist() for name in ("level", "effect")))
    values = numbers(block.variances, what, ndim=3)
    levels, effects = labels_of(block.levels, what, unique=True), labels_of(block.effects, what, unique=False)
    if values.shape != (len(levels), len(effects), len(effects)):
        raise MalformedError(f"{what} has the shape {values.shape}; expected (level, effect, effect)")
    return Block(values, levels, effects)


# ---------------------------------------------------------------------------------------------------- a fit


#: Compared quantity -> the part of a fit that it is read from, where that has another name.
PART_OF: dict[str, str] = {
    "fixef-names": "fixef",
    **dict.fromkeys(("se", "t"), "coef_table"),
    "theta-names": "theta",
    **dict.fromkeys(("variance", "covariance", "sd", "cor"), "VarCorr"),
    "condsd": "ranef_condVar",
    "criterion": "isREML",
    "singular": "isSingular",
    "rows-used": "fitted",
    **dict.fromkeys(("levels", "membership"), "flist"),
    "X-columns": "X",
    **dict.fromkeys(("objective", "own-optimum"), "devfun"),
    **dict.fromkeys(("predict-marginal", "predict-new"), "predict"),
}


def _method(name: str, read: Callable[..., _Read], strictly: bool = False) -> Callable[["CheckedFit"], _Read]:
    """The contract's method of this name: what the fit gives, read once by ``read(value, what)``.

    ``strictly``: what reads it is told, too, whether it must be finite.
    """

    def method(self: "CheckedFit") -> _Read:
        what, more = f"{name}()", (self._strict,) if strictly else ()
        return self._once(name, lambda: read(self._sized(getattr(self._fit, name)(), what), what, *more))

    return method


def _counts(value: object, what: str) -> pd.Series:
    found = labelled(value, what)
    for group, count in found.items():
        whole(count, f"{what} of {group!r}")
    return found


def _by_level(value: object, what: str, strict: bool) -> dict[str, pd.DataFrame]:
    return by_group(value, what, lambda block, where: labelled_columns(block, where, strict, unique_columns=False))


class CheckedFit:
    """A likelihood fit behind the contract: each part is read once, checked, and kept as plain data.

    What the fit lacks it lacks here too; its other attributes pass through. ``strict``: estimates must be finite (a
    candidate's; of R it is known that some are not). No table has many times as many rows as the data, where that is
    told. ``malformed`` says of each part (``"nobs"``, ``"X"``) what is wrong with it, as far as it has been asked for.
    """

    def __init__(self, fit: LinearMixedFit, strict: bool = True, rows: int | None = None) -> None:
        self._fit, self._strict = fit, strict
        self._most = None if rows is None else most_entries(rows)
        self._known: dict[str, Any] = {}
        self.malformed: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self._fit, name)
        except AttributeError:
            raise
        except RAISED as error:  # a property that raises is not there
            raise AttributeError(f"{name}: {error_in_words(error)}") from error
        if name == "devfun" and callable(found):
            return lambda theta: self._guard(
                "devfun", lambda: (number if np.ndim(theta) == 1 else numbers)(found(theta), "devfun(θ)")
            )
        if name == "predict" and callable(found):
            return lambda *args, **more: self._guard(
                "predict", lambda: labelled(found(*args, **more), "predict()", unique=False)
            )
        return found

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self._fit)})

    def _guard(self, part: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except MalformedError as error:
            self.malformed[part] = str(error)
            raise
        except (SystemExit, GeneratorExit) as error:
            raise EndedError(f"{part} ends the program: {error!r}") from error

    def _once(self, part: str, read: Callable[[], Any]) -> Any:
        """Read a part; asked again, give what it was (or raise what it raised) the first time."""
        if part not in self._known:
            try:
                self._known[part] = self._guard(part, read)
            except Exception as error:
                self._known[part] = error
        found = self._known[part]
        if isinstance(found, Exception):
            raise found
        return found

    def _sized(self, value: _Read, what: str) -> _Read:
        """A part as it is, refused where it is far longer than the data."""
        if self._most is not None:
            refuse_beyond_rows(value, self._most, what)
        return value

    def _length(self, found: int, what: str) -> None:
        """Refuse a part of another number of rows than the fitted values have (or than ``nobs()`` says)."""
        for name, count in (("fitted()", lambda: len(self.fitted())), ("nobs()", self.nobs)):
            try:
                expected = count()
            except Exception:  # told where that part itself is compared
                continue
            if found != expected:
                raise MalformedError(f"{what} has {found} rows, {name} {expected}")
            return

    sigma = _method("sigma", number, strictly=True)
    logLik = _method("logLik", number)
    deviance = _method("deviance", number)
    REMLcrit = _method("REMLcrit", number)
    AIC = _method("AIC", number)
    BIC = _method("BIC", number)
    nobs = _method("nobs", whole)
    df_residual = _method("df_residual", partial(whole, least=-math.inf))
    isREML = _method("isREML", flag)
    ngrps = _method("ngrps", _counts)
    fixef = _method("fixef", labelled, strictly=True)
    vcov = _method("vcov", covariance_of, strictly=True)
    VarCorr = _method("VarCorr", partial(components_of, figures=("vcov", "sdcor")), strictly=True)
    ranef = _method("ranef", _by_level, strictly=True)
    coef = _method("coef", _by_level, strictly=True)
    ranef_condVar = _method("ranef_condVar", variances_of)
    fitted = _method("fitted", partial(labelled, unique=False), strictly=True)

    @property
    def npar(self) -> int:
        """Number of parameters, which may be a method."""

        def read() -> int:
            found = self._fit.npar
            return whole(found() if callable(found) else found, "npar")

        try:
            return self._once("npar", read)
        except AttributeError as error:  # inside a property it would lead to __getattr__, and to another answer
            raise LookupError(f"npar: {error}") from None

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether a diagonal element of θ is (nearly) 0."""
        return self._once("isSingular", lambda: flag(self._fit.isSingular(), "isSingular()"))

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``; its estimates are those of ``fixef()``."""

        def read() -> pd.DataFrame:
            found = labelled_columns(self._sized(self._fit.coef_table(), "coef_table()"), "coef_table()")
            wanted = ["Estimate", "Std. Error", "t value"]
            if found.empty and self.fixef().empty:
                return found.reindex(columns=wanted)  # without fixed effects R's table has fewer columns
            lacking = [name for name in wanted if name not in found.columns]
            if lacking:
                raise MalformedError(f"coef_table() has no column {', '.join(map(repr, lacking))}")
            fixed = self.fixef().reindex(found.index).to_numpy()
            same = np.isclose(found["Estimate"].to_numpy(), fixed, rtol=Match.COMPUTED, atol=0, equal_nan=True)
            if self._strict and not same.all():
                raise MalformedError("coef_table() has other estimates than fixef()")
            return found

        return self._once("coef_table", read)

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Response residuals."""

        def read() -> pd.Series:
            given = self._sized(self._fit.residuals(scaled=True) if scaled else self._fit.residuals(), "residuals()")
            found = labelled(given, "residuals()", self._strict and not scaled, unique=False)
            self._length(len(found), "residuals()")
            return found

        return self._once("scaled_residuals" if scaled else "residuals", read)

    def reorder(self, order: np.ndarray) -> None:
        """Put the rows of all parts that have any into another order: they are compared by their labels."""
        for name in ("fitted", *_BY_ROW):
            with contextlib.suppress(*RAISED):  # told where the part is compared
                value = self.fitted() if name == "fitted" else self.getME(name)
                self._known[name] = value.iloc[order] if isinstance(value, pd.DataFrame | pd.Series) else value[order]

    def getME(self, name: str) -> Any:
        """A piece of the model."""

        def read() -> Any:
            what = f"getME({name!r})"
            value = self._sized(self._fit.getME(name), what)
            found = _PIECES[name](value, what, self._strict) if name in _PIECES else value
            if name in _BY_ROW[:4]:
                self._length(found.shape[0], what)
            return found

        return self._once(name, read)


def _names(value: object, what: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray | pd.Index):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a list of names")
    return labels_of(value, what, unique=False)


def _sparse(value: object, what: str, finite: bool) -> sp.csc_array:
    if not sp.issparse(value):
        return sp.csc_array(numbers(value, what, ndim=2, finite=finite))
    dtype = getattr(value, "dtype", np.dtype(object))
    kind = np.dtype(dtype).kind
    if kind not in "iuf":
        raise MalformedError(f"{what} holds {'complex numbers' if kind == 'c' else dtype}; expected real numbers")
    shape = getattr(value, "shape", (0, 0))
    refuse_beyond_memory(shape[1], shape, what)
    try:
        matrix = sp.csc_array(value).astype(np.float64)
        matrix.check_format(full_check=True)
    except Exception as error:
        raise MalformedError(f"{what} is no sparse matrix that can be read ({error})") from None
    if finite and not np.isfinite(matrix.data).all():
        raise MalformedError(f"{what} holds entries that are not finite")
    return matrix


def _response(value: object, what: str, finite: bool) -> pd.Series:
    index = [label(item) for item in value.index] if isinstance(value, pd.Series) else None
    return pd.Series(numbers(value.array if isinstance(value, pd.Series) else value, what, finite=finite), index=index)


def _factors(value: object, what: str, strict: bool) -> pd.DataFrame:
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a DataFrame of the grouping factors")
    columns: dict[str, Any] = {}
    for j, name in enumerate(labels_of(value.columns, what, unique=True)):
        column = value.iloc[:, j]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            raise MalformedError(f"{what} has the column {name!r} of type {column.dtype}; expected a categorical")
        levels = labels_of(column.cat.categories, f"{what}'s levels of {name!r}", unique=True)
        columns[name] = pd.Categorical.from_codes(column.cat.codes.tolist(), categories=pd.Index(levels))
    return pd.DataFrame(columns, index=[label(item) for item in value.index])


#: Pieces of the model with a row for each row of the data; the last two may be one number.
_BY_ROW = ("X", "Z", "y", "flist", "weights", "offset")

#: Piece of the model -> what reads it.
_PIECES: dict[str, Callable[[Any, str, bool], Any]] = {
    **dict.fromkeys(("theta", "par", "beta"), lambda value, what, strict: labelled(value, what, strict, unique=False)),
    "lower": lambda value, what, strict: labelled(value, what, unique=False),
    **dict.fromkeys(("weights", "offset"), lambda value, what, strict: numbers(value, what, ndim=None, finite=True)),
    "cnms": lambda value, what, strict: by_group(value, what, _names),
    "X": lambda value, what, strict: labelled_columns(value, what, strict, unique=False),
    "Z": _sparse,
    "y": _response,
    "flist": _factors,
}
