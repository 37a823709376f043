"""A likelihood fit behind the contract: what a stranger's fit answers, read once and checked."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.contract import LinearMixedFit
from validation.errors import RAISED, EndedError, error_in_words
from validation.tolerances import Match
from validation.wellformed import (
    MalformedError,
    by_group,
    components_of,
    covariance_of,
    flag,
    kind_of,
    label,
    labelled,
    labelled_columns,
    labels_of,
    most_entries,
    number,
    numbers,
    refuse_beyond_memory,
    refuse_beyond_rows,
    variances_of,
    whole,
)

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


_Read = TypeVar("_Read")


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
            same = np.isclose(found["Estimate"].to_numpy(), fixed, rtol=Match.SAME_NUMBER, atol=0, equal_nan=True)
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

    def getME(self, name: str) -> Any:
        """A piece of the model."""

        def read() -> Any:
            what = f"getME({name!r})"
            value = self._sized(self._fit.getME(name), what)
            found = _PIECES[name](value, what, self._strict) if name in _PIECES else value
            if name in ("X", "Z", "y", "flist"):
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
