"""What a fit hands over, read once, checked against the contract, and copied into plain numbers before it is compared.

A candidate is a stranger: it may return complex numbers whose imaginary part a conversion would drop, counts of 180.9
rows, labels that say they equal everything, objects that answer differently each time. So the judge compares nothing
but what :class:`CheckedFit` gives it: every part is asked for once, is real numbers of the right shape under plain
labels, or is *malformed*, which is another verdict than missing or different.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from pyimpl.linalg.memory import memory
from r_scripts.variances import Block, ConditionalVariances
from validation.contract import LinearMixedFit
from validation.tolerances import Match

__all__ = [
    "PART_OF",
    "CheckedFit",
    "MalformedError",
    "filled",
    "flag",
    "label",
    "labelled",
    "labelled_columns",
    "number",
    "numbers",
    "variances_of",
    "whole",
]


#: So often is an array copied while it is compared.
_COPIES = 8
#: No name or level is longer; to print one of millions of characters takes minutes.
_LONGEST_LABEL = 100_000


class MalformedError(ValueError):
    """A value is not what the contract asks for: the text says what it is, what was expected, and where."""


#: Compared quantity -> the part of a fit that it is read from.
PART_OF: dict[str, str] = {
    "fixef-names": "fixef",
    "se": "coef_table",
    "t": "coef_table",
    "theta": "getME theta",
    "theta-names": "getME theta",
    "variance": "VarCorr",
    "covariance": "VarCorr",
    "sd": "VarCorr",
    "cor": "VarCorr",
    "condsd": "ranef_condVar",
    "criterion": "isREML",
    "singular": "isSingular",
    "rows-used": "fitted",
    "scaled_residuals": "residuals scaled",
    "levels": "getME flist",
    "membership": "getME flist",
    "X": "getME X",
    "X-columns": "getME X",
    "Z": "getME Z",
    "y": "getME y",
    "objective": "devfun",
    "own-optimum": "devfun",
    "predict-marginal": "predict",
    "predict-new": "predict",
}


# ---------------------------------------------------------------------------------------------------- one value


def number(value: object, what: str, finite: bool = False) -> float:
    """A real number as a float; None and ``pandas.NA`` are NaN.

    Raises
    ------
    MalformedError
        Complex, a truth value, text, an array, anything else that is no real number; not finite where it must be.
    """
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
        raise MalformedError(f"{what} is {_kind(value)}; expected a number")
    if finite and not math.isfinite(found):
        raise MalformedError(f"{what} is {_plain(found)}; expected a finite number")
    return found


def whole(value: object, what: str, least: float = 0.0) -> int:
    """A count.

    Raises
    ------
    MalformedError
        No number, not whole, or less than ``least``.
    """
    found = number(value, what, finite=True)
    if found != math.floor(found):
        raise MalformedError(f"{what} is {_plain(found)}; expected a whole number")
    if found < least:
        raise MalformedError(f"{what} is {_plain(found)}; expected at least {least:g}")
    return int(found)


def flag(value: object, what: str) -> bool:
    """A truth value; nothing that only counts as one.

    Raises
    ------
    MalformedError
        Anything but ``True`` and ``False`` (Python's or numpy's).
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise MalformedError(f"{what} is {_kind(value)}; expected True or False")


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


def numbers(value: object, what: str, ndim: int | None = 1, finite: bool = False) -> np.ndarray:
    """Real numbers as a new float64 array.

    Parameters
    ----------
    value : array-like of numbers
    what : str
        How an error calls it.
    ndim : int, optional
        Number of dimensions; any where None.
    finite : bool
        Whether none may be missing or infinite.

    Raises
    ------
    MalformedError
        Complex, truth values, text, objects that are no numbers; another number of dimensions; not finite.
    """
    if isinstance(value, str | bytes | Mapping | set) or not (hasattr(value, "__len__") or hasattr(value, "__array__")):
        raise MalformedError(f"{what} is {_kind(value)}; expected an array of numbers")
    try:
        found = filled(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except Exception as error:
        raise MalformedError(f"{what} cannot be read as an array ({type(error).__name__}: {error})") from None
    if 8 * found.size > memory() / _COPIES:  # a view may hold more numbers than there is memory for
        raise MalformedError(f"{what} has the shape {found.shape}; that is more than memory could hold")
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


def _labels(index: Iterable[object], what: str, unique: bool) -> list[str]:
    found = [label(item) for item in index]
    longest = max(map(len, found), default=0)
    if longest > _LONGEST_LABEL:
        raise MalformedError(f"{what} has a label of {longest} characters; expected {_LONGEST_LABEL} at most")
    if unique and len(set(found)) < len(found):
        twice = sorted({name for name in found if found.count(name) > 1}) if len(found) < 5000 else ["..."]
        raise MalformedError(f"{what} has the label {twice[0]!r} more than once")
    return found


def labelled(value: object, what: str, finite: bool = False, unique: bool = True) -> pd.Series:
    """A Series (or a mapping from label to number) as plain numbers under plain labels.

    Raises
    ------
    MalformedError
        No Series and no mapping; a label twice where each may stand once; no real numbers.
    """
    if isinstance(value, pd.Series):
        index, values = list(value.index), numbers(value.array, what, finite=finite)
    elif isinstance(value, Mapping):
        pairs = [(key, item) for key, item in value.items()]
        index = [key for key, _ in pairs]
        values = np.array([number(item, f"{what} of {label(key)!r}", finite) for key, item in pairs], dtype=np.float64)
    else:
        raise MalformedError(
            f"{what} is {_kind(value)}; expected a Series or a mapping with R's names as keys, or labels as index"
        )
    return pd.Series(values, index=pd.Index(_labels(index, what, unique), dtype=object), dtype=np.float64)


def labelled_columns(
    value: object, what: str, finite: bool = False, unique: bool = True, unique_columns: bool = True
) -> pd.DataFrame:
    """A data frame as plain numbers under plain labels.

    Raises
    ------
    MalformedError
        No data frame; a label twice; no real numbers.
    """
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {_kind(value)}; expected a DataFrame")
    rows, columns = _labels(value.index, what, unique), _labels(value.columns, f"{what}'s columns", unique_columns)
    values = np.empty((len(rows), len(columns)))
    for j, name in enumerate(columns):
        values[:, j] = numbers(value.iloc[:, j].array, f"column {name!r} of {what}", finite=finite)
    return pd.DataFrame(values, index=pd.Index(rows, dtype=object), columns=pd.Index(columns, dtype=object))


def _by_group(value: object, what: str, read: Callable[[Any, str], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedError(f"{what} is {_kind(value)}; expected a mapping from grouping factor")
    pairs = [(label(group), block) for group, block in value.items()]
    _labels([group for group, _ in pairs], what, unique=True)
    return {group: read(block, f"{what} of {group!r}") for group, block in pairs}


def _kind(value: object) -> str:
    """What a value is, without asking it: its type, and its text where that is a plain one."""
    name = type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(value, str | bytes) and type(value) in (str, bytes):
        return f"the text {value[:40]!r}"
    return f"{article} {name}"


def _plain(value: float) -> str:
    return "missing (NaN)" if math.isnan(value) else f"{value:g}"


# ---------------------------------------------------------------------------------------------------- a whole fit


class CheckedFit:
    """A likelihood fit behind the contract: each part is read once, checked, and kept as plain data.

    What the fit lacks it lacks here too; its other attributes pass through.

    Parameters
    ----------
    fit : LinearMixedFit, or what meets a part of it
    strict : bool
        Whether estimates must be finite (a candidate's; of R it is known that some are not).

    Attributes
    ----------
    malformed : dict of str to str
        Part (``"nobs"``, ``"getME X"``) -> what is wrong with it, as far as it has been asked for.
    """

    def __init__(self, fit: LinearMixedFit, strict: bool = True) -> None:
        self._fit, self._strict = fit, strict
        self._known: dict[str, Any] = {}
        self.malformed: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self._fit, name)
        except AttributeError:
            raise
        except Exception as error:  # a property that raises is not there
            raise AttributeError(f"{name}: {error!r}") from error
        if name == "devfun" and callable(found):
            return lambda theta: self._guard("devfun", lambda: number(found(theta), "devfun(θ)"))
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

    # ------------------------------------------------------------------------------------------------ numbers

    def _scalar(self, name: str, finite: bool = False) -> float:
        return self._once(name, lambda: number(getattr(self._fit, name)(), f"{name}()", finite and self._strict))

    def sigma(self) -> float:
        """Residual standard deviation."""
        return self._scalar("sigma", finite=True)

    def logLik(self) -> float:
        """(Restricted) log-likelihood."""
        return self._scalar("logLik")

    def deviance(self) -> float:
        """What ``deviance(m)`` gives."""
        return self._scalar("deviance")

    def REMLcrit(self) -> float:
        """REML criterion."""
        return self._scalar("REMLcrit")

    def AIC(self) -> float:
        """``AIC(m)``."""
        return self._scalar("AIC")

    def BIC(self) -> float:
        """``BIC(m)``."""
        return self._scalar("BIC")

    def nobs(self) -> int:
        """Rows used."""
        return self._once("nobs", lambda: whole(self._fit.nobs(), "nobs()"))

    @property
    def npar(self) -> int:
        """Number of parameters."""

        def read() -> int:
            found = self._fit.npar
            return whole(found() if callable(found) else found, "npar")

        return self._attribute("npar", read)

    def _attribute(self, part: str, read: Callable[[], Any]) -> Any:
        try:
            return self._once(part, read)
        except AttributeError as error:  # inside a property it would lead to __getattr__, and to another answer
            raise LookupError(f"{part}: {error}") from None

    def df_residual(self) -> int:
        """``df.residual(m)``."""
        return self._once("df_residual", lambda: whole(self._fit.df_residual(), "df_residual()", -math.inf))

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised."""
        return self._once("isREML", lambda: flag(self._fit.isREML(), "isREML()"))

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether a diagonal element of θ is (nearly) 0."""
        return self._once("isSingular", lambda: flag(self._fit.isSingular(), "isSingular()"))

    # ------------------------------------------------------------------------------------------------ tables

    def ngrps(self) -> pd.Series:
        """Number of levels of each grouping factor."""

        def read() -> pd.Series:
            found = labelled(self._fit.ngrps(), "ngrps()")
            for group, count in found.items():
                whole(count, f"ngrps() of {group!r}")
            return found

        return self._once("ngrps", read)

    def fixef(self) -> pd.Series:
        """Fixed effects."""
        return self._once("fixef", lambda: labelled(self._fit.fixef(), "fixef()", self._strict))

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects: square, symmetric."""

        def read() -> pd.DataFrame:
            found = labelled_columns(self._fit.vcov(), "vcov()")
            if sorted(found.index) != sorted(found.columns):
                raise MalformedError("vcov() has other labels in its rows than in its columns")
            values = found.loc[:, list(found.index)].to_numpy()
            gap = np.abs(values - values.T)
            size = np.sqrt(np.abs(np.outer(np.diag(values), np.diag(values))))
            if self._strict and bool((gap > Match.SYMMETRIC * size + Match.ZERO).any()):
                raise MalformedError("vcov() is not symmetric; expected a covariance matrix")
            return found

        return self._once("vcov", read)

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``; its estimates are those of ``fixef()``."""

        def read() -> pd.DataFrame:
            found = labelled_columns(self._fit.coef_table(), "coef_table()")
            wanted = ["Estimate", "Std. Error", "t value"]
            if found.empty and self.fixef().empty:
                return found.reindex(columns=wanted)  # without fixed effects R's table has fewer columns
            lacking = [name for name in wanted if name not in found.columns]
            if lacking:
                raise MalformedError(f"coef_table() has no column {', '.join(map(repr, lacking))}")
            fixed = self.fixef().reindex(found.index).to_numpy()
            same = np.isclose(found["Estimate"].to_numpy(), fixed, rtol=Match.SAME_NUMBER, atol=0, equal_nan=True)
            if self._strict and not same.all():
                raise MalformedError("coef_table() has other estimates than fixef()")
            return found

        return self._once("coef_table", read)

    def VarCorr(self) -> pd.DataFrame:
        """Variance components as ``as.data.frame(VarCorr(m))``."""
        return self._once("VarCorr", lambda: _components(self._fit.VarCorr(), self._strict))

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes."""

        def one(block: object, what: str) -> pd.DataFrame:
            return labelled_columns(block, what, self._strict, unique_columns=False)

        return self._once("ranef", lambda: _by_group(self._fit.ranef(), "ranef()", one))

    def ranef_condVar(self) -> ConditionalVariances:
        """Conditional variances, level x effect x effect."""
        return self._once("ranef_condVar", lambda: variances_of(self._fit.ranef_condVar()))

    def coef(self) -> dict[str, pd.DataFrame]:
        """``fixef`` plus ``ranef`` for each level."""

        def one(block: object, what: str) -> pd.DataFrame:
            return labelled_columns(block, what, self._strict, unique_columns=False)

        return self._once("coef", lambda: _by_group(self._fit.coef(), "coef()", one))

    # ------------------------------------------------------------------------------------------------ rows

    def fitted(self) -> pd.Series:
        """Conditional fitted values."""
        return self._once("fitted", lambda: labelled(self._fit.fitted(), "fitted()", self._strict, unique=False))

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Response residuals."""

        def read() -> pd.Series:
            given = self._fit.residuals(scaled=True) if scaled else self._fit.residuals()
            found = labelled(given, "residuals()", self._strict and not scaled, unique=False)
            self._length(len(found), "residuals()")
            return found

        return self._once("residuals scaled" if scaled else "residuals", read)

    def getME(self, name: str) -> Any:
        """A piece of the model."""
        return self._once(f"getME {name}", lambda: self._piece(name, self._fit.getME(name)))

    def _piece(self, name: str, value: object) -> Any:
        what = f"getME({name!r})"
        if name in ("theta", "par", "beta", "lower"):
            return labelled(value, what, finite=self._strict and name != "lower", unique=False)
        if name == "X":
            found = labelled_columns(value, what, self._strict, unique=False)
            self._length(len(found), what)
            return found
        if name == "Z":
            matrix = _sparse(value, what, self._strict)
            self._length(matrix.shape[0], what)
            return matrix
        if name == "y":
            index = [label(item) for item in value.index] if isinstance(value, pd.Series) else None
            values = numbers(value.array if isinstance(value, pd.Series) else value, what, finite=self._strict)
            self._length(len(values), what)
            return pd.Series(values, index=index)
        if name in ("weights", "offset"):
            return numbers(value, what, ndim=None, finite=True)
        if name == "cnms":
            return _by_group(value, what, lambda names, text: _labels(_sequence(names, text), text, unique=False))
        if name == "flist":
            found = _factors(value, what)
            self._length(len(found), what)
            return found
        return value


def _sequence(value: object, what: str) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray | pd.Index):
        raise MalformedError(f"{what} is {_kind(value)}; expected a list of names")
    return list(value)


def variances_of(found: object) -> ConditionalVariances:
    """Read what ``ranef_condVar()`` gave; xarray is not imported where the numbers come without it.

    Raises
    ------
    MalformedError
        It is no mapping from grouping factor to DataArray (level, effect, effect2).
    """
    blocks = found.blocks if isinstance(found, ConditionalVariances) else found
    return ConditionalVariances(_by_group(blocks, "ranef_condVar()", _variances))


def _variances(block: object, what: str) -> Block:
    found = block if isinstance(block, Block) else _block(block, what)
    values = numbers(found.variances, what, ndim=3)
    levels, effects = _labels(found.levels, what, unique=True), _labels(found.effects, what, unique=False)
    if values.shape != (len(levels), len(effects), len(effects)):
        raise MalformedError(f"{what} has the shape {values.shape}; expected (level, effect, effect)")
    return Block(values, levels, effects)


def _block(array: object, what: str) -> Block:
    import xarray as xr

    if not isinstance(array, xr.DataArray):
        raise MalformedError(f"{what} is {_kind(array)}; expected a DataArray (level, effect, effect2)")
    absent = {"level", "effect"} - {str(name) for name in array.coords}
    if absent:
        raise MalformedError(f"{what} has no labels of {', '.join(sorted(absent))}")
    return Block(array.to_numpy(), *(array.coords[name].to_numpy().tolist() for name in ("level", "effect")))


def _components(value: object, strict: bool) -> pd.DataFrame:
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"VarCorr() is {_kind(value)}; expected a DataFrame as R's as.data.frame(VarCorr(m))")
    wanted = ("grp", "var1", "var2", "vcov", "sdcor")
    lacking = [name for name in wanted if name not in value.columns]
    if lacking:
        raise MalformedError(f"VarCorr() has no column {', '.join(map(repr, lacking))}")
    if not value.columns.is_unique:
        raise MalformedError("VarCorr() has a column more than once")
    names = {
        column: [None if item is None or item is pd.NA or item != item else label(item) for item in value[column]]
        for column in wanted[:3]
    }
    _labels([str(key) for key in zip(*names.values(), strict=True)], "VarCorr()", unique=strict)
    figures = {column: numbers(value[column].array, f"VarCorr()'s {column}") for column in wanted[3:]}
    frame = {column: pd.Series(items, dtype=object) for column, items in names.items()}
    return pd.DataFrame({**frame, **figures})


def _sparse(value: object, what: str, finite: bool) -> sp.csc_array:
    if not sp.issparse(value):
        return sp.csc_array(numbers(value, what, ndim=2, finite=finite))
    dtype = getattr(value, "dtype", np.dtype(object))
    kind = np.dtype(dtype).kind
    if kind not in "iuf":
        raise MalformedError(f"{what} holds {'complex numbers' if kind == 'c' else dtype}; expected real numbers")
    shape = getattr(value, "shape", (0, 0))
    if 8 * shape[1] > memory() / _COPIES:
        raise MalformedError(f"{what} has the shape {shape}; that is more than memory could hold")
    try:
        matrix = sp.csc_array(value).astype(np.float64)
        matrix.check_format(full_check=True)
    except Exception as error:
        raise MalformedError(f"{what} is no sparse matrix that can be read ({error})") from None
    if finite and not np.isfinite(matrix.data).all():
        raise MalformedError(f"{what} holds entries that are not finite")
    return matrix


def _factors(value: object, what: str) -> pd.DataFrame:
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {_kind(value)}; expected a DataFrame of the grouping factors")
    columns: dict[str, Any] = {}
    for j, name in enumerate(_labels(value.columns, what, unique=True)):
        column = value.iloc[:, j]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            raise MalformedError(f"{what} has the column {name!r} of type {column.dtype}; expected a categorical")
        levels = _labels(column.cat.categories, f"{what}'s levels of {name!r}", unique=True)
        columns[name] = pd.Categorical.from_codes(column.cat.codes.tolist(), categories=pd.Index(levels))
    return pd.DataFrame(columns, index=[label(item) for item in value.index])
