"""What the doors share: a model call as plain data, and R's conditions as Python's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bridge.errors import BridgeError, DataError, RError, RWarning
from bridge.formula import CONTRASTS, Formula, check_columns, parse, r_symbol
from bridge.frames import column_names, frame_to_r
from bridge.session import Reply
from r_scripts.caller import warn
from r_scripts.grammar import NA_ACTIONS, inert
from r_scripts.signatures import Signatures, shown

__all__ = [
    "SIGNATURES",
    "Contrasts",
    "ModelArguments",
    "ModelCall",
    "Vector",
    "as_numbers",
    "describe",
    "emit",
    "explain",
]


#: Arguments held against a function's annotations, with an error of ours.
SIGNATURES = Signatures(DataError)

#: A column's name, or a value for each row.
Vector = str | pd.Series | np.ndarray | Sequence[float]

#: Column -> the name of R's contrasts, or a matrix.
Contrasts = Mapping[str, "str | np.ndarray | pd.DataFrame | Sequence[Sequence[float]]"]


@dataclass(frozen=True, eq=False)
class ModelArguments:
    """The arguments that R's fitting functions share; see :func:`bridge.lme4.lmer`."""

    weights: Vector | None = None
    offset: Vector | None = None
    subset: Vector | None = None
    na_action: str = "na.omit"
    contrasts: Contrasts | None = None
    data_name: str | None = None


@dataclass(frozen=True)
class ModelCall:
    """A checked model call.

    Attributes
    ----------
    formula : Formula
    described : dict
        Plain data for ``model_call`` of ``r_scripts/lme4.R``.
    index : pandas.Index
        The data's own index.
    """

    formula: Formula
    described: dict[str, Any]
    index: pd.Index


def as_numbers(values: object, what: str) -> np.ndarray:
    """Return an array of float; what is no numbers is refused by the name `what`."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers, not {shown(values)}") from error


def emit(reply: Reply) -> None:
    """Pass R's warnings on as :class:`~bridge.errors.RWarning`."""
    for text in reply.warnings:
        warn(text, RWarning)


def describe(
    formula: str,
    data: pd.DataFrame,
    arguments: ModelArguments,
    *,
    needs_response: bool = True,
) -> ModelCall:
    """Check a model call and describe it as plain data.

    Parameters
    ----------
    formula, data
        See :func:`bridge.lme4.lmer`.
    arguments : ModelArguments
    needs_response : bool
        Whether the formula needs a left-hand side, numeric.

    Raises
    ------
    FormulaError, DataError
    """
    subset, na_action, data_name = arguments.subset, arguments.na_action, arguments.data_name
    parsed = parse(formula, require_response=needs_response)
    names = column_names(data)
    check_columns(parsed, names)
    if data.shape[0] == 0:
        raise DataError("the data have no rows")
    if na_action not in NA_ACTIONS:
        raise DataError(f"na_action={na_action!r}; it is one of {', '.join(NA_ACTIONS)}")
    name = _name_of(data) if data_name is None else r_symbol(data_name)
    wanted = set(names) if parsed.dot else set(parsed.names)
    described: dict[str, Any] = {"formula": parsed.text, "data_name": name, "na_action": na_action}
    extra: dict[str, pd.Series] = {}
    chosen = None if subset is None else _chosen_rows(subset, names, len(data))
    if chosen is not None:
        described["subset"] = chosen.described
        wanted |= set(chosen.columns)
        subset = None
    for role, value in (("weights", arguments.weights), ("offset", arguments.offset), ("subset", subset)):
        if value is None:
            continue
        if isinstance(value, str):
            if value not in names:
                raise DataError(f"{role}={value!r} names no column. Columns: {', '.join(names[:30])}")
            wanted.add(value)
            described[role] = value
            column: pd.Series = data.iloc[:, names.index(value)]
        else:
            column = _vector(role, value, data)
            symbol = _free_symbol(role, value, names, extra)
            extra[symbol] = column
            described[role] = symbol
        if role == "subset":
            if not pd.api.types.is_bool_dtype(column.dtype):
                raise DataError(
                    "subset says for each row whether to use it (an array, Series or column of booleans), or numbers "
                    "rows from 1, as R does (integers)"
                )
        elif not pd.api.types.is_numeric_dtype(column.dtype):
            raise DataError(f"{role} must be numeric, not {column.dtype}")
    if arguments.contrasts is not None:
        described["contrasts"] = _contrasts(arguments.contrasts, names)
    if needs_response:
        _check_response(parsed, data, names)
    if chosen is None:  # which rows a condition leaves, R finds out
        _check_finite(data, names, wanted, None if subset is None else _subset_rows(subset, data, names))
    frame = frame_to_r(data, wanted)
    for symbol, column in extra.items():
        sent = frame_to_r(column.to_frame(symbol))
        frame["names"].append(symbol)
        frame["columns"].extend(sent["columns"])
    described["frame"] = frame
    return ModelCall(parsed, described, data.index)


@dataclass(frozen=True)
class _Rows:
    """A subset that is not a truth value for each row: plain data for R, and the columns that it names."""

    described: dict[str, Any]
    columns: tuple[str, ...] = ()


def _chosen_rows(subset: Vector, names: list[str], count: int) -> _Rows | None:
    """A condition or row numbers, checked; None for a mask or the name of a column."""
    if isinstance(subset, str):
        if subset in names:
            return None
        parsed = parse(f"~ I({subset})", require_response=False)
        check_columns(parsed, names)
        return _Rows({"condition": subset}, parsed.names)
    numbers = np.asarray(subset)
    if numbers.dtype.kind not in "iu":
        return None
    if numbers.ndim != 1 or not numbers.size or (numbers == 0).any() or int(np.abs(numbers).max()) > count:
        raise DataError(f"subset: R counts the rows of the data from 1 to {count}; add 1 to positions from 0")
    return _Rows({"rows": numbers.tolist()})


def _vector(role: str, value: Any, data: pd.DataFrame) -> pd.Series:
    if isinstance(value, pd.Series):
        if not value.index.equals(data.index):
            raise DataError(f"{role} is a Series whose index is not the data's; reindex it, or pass an array")
        column = value.reset_index(drop=True)
    else:
        array = np.asarray(value)
        if array.ndim != 1:
            raise DataError(f"{role} has {array.ndim} dimensions; expected one value for each row")
        column = pd.Series(array)
    if len(column) != len(data):
        raise DataError(f"{role} has {len(column)} values, the data have {len(data)} rows")
    return column


def _free_symbol(role: str, value: Any, names: list[str], extra: Mapping[str, Any]) -> str:
    candidates = [str(value.name)] if isinstance(value, pd.Series) and isinstance(value.name, str) else []
    for candidate in [*candidates, role, f".{role}", f".{role}_of_rows"]:
        try:
            r_symbol(candidate, role)
        except DataError:
            continue
        if candidate not in names and candidate not in extra:
            return candidate
    raise DataError(f"the data have columns {role!r} and '.{role}'; rename one of them")


def _contrasts(contrasts: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for column, value in contrasts.items():
        if column not in names:
            raise DataError(f"contrasts names {column!r}, which is no column. Columns: {', '.join(names[:30])}")
        if isinstance(value, str):
            if value not in CONTRASTS:
                raise DataError(
                    f"contrasts[{column!r}]={value!r}; it is a matrix (levels x contrasts) or one of "
                    f"{', '.join(sorted(CONTRASTS))}"
                )
            described[column] = value
            continue
        matrix = np.asarray(value, dtype=np.float64)
        if matrix.ndim != 2:
            raise DataError(
                f"contrasts[{column!r}] must be a matrix (levels x contrasts), not {matrix.ndim}-dimensional"
            )
        labels = [str(c) for c in value.columns] if isinstance(value, pd.DataFrame) else []
        described[column] = {"values": matrix, "columns": labels or [str(i + 1) for i in range(matrix.shape[1])]}
    return described


def _plain_response(parsed: Formula) -> str | None:
    name = parsed.response[1:-1] if parsed.response.startswith("`") else parsed.response
    return name if name in parsed.names else None


def _check_response(parsed: Formula, data: pd.DataFrame, names: list[str]) -> None:
    response = _plain_response(parsed)
    if response is None:
        return
    column = data.iloc[:, names.index(response)]
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_complex_dtype(column.dtype):
        objects = column.dtype == object and all(isinstance(x, (int, float)) for x in column.dropna())
        if not objects:
            raise DataError(
                f"the response {response!r} is not numeric (dtype {column.dtype}); a linear mixed model needs numbers: "
                "convert it with pd.to_numeric() or choose another response"
            )
    missing = int(column.isna().sum())
    if missing == len(column):
        raise DataError(f"the response {response!r} is missing in all {missing} rows")


def _name_of(data: pd.DataFrame) -> str:
    try:
        return r_symbol(data.attrs.get("name", "data"))
    except DataError:
        return "data"  # a name that is good for other purposes only


def _subset_rows(subset: Vector, data: pd.DataFrame, names: list[str]) -> np.ndarray:
    column = data.iloc[:, names.index(subset)] if isinstance(subset, str) else _vector("subset", subset, data)
    return column.fillna(False).to_numpy(dtype=bool)


def _check_finite(data: pd.DataFrame, names: list[str], wanted: set[str], rows: np.ndarray | None) -> None:
    for name in names:
        if name not in wanted:
            continue
        column = data.iloc[:, names.index(name)]
        if pd.api.types.is_float_dtype(column.dtype):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            infinite = int(np.isinf(values if rows is None else values[rows]).sum())
            if infinite:
                raise DataError(
                    f"column {name!r} holds {infinite} infinite value{'s' if infinite > 1 else ''}; replace them by "
                    "missing values (np.nan) or drop their rows"
                )


#: Refusals of R that have their cause in the data: part of R's message, and the fix.
_REFUSALS = (
    ("grouping factors must have > 1 sampled level", "a grouping factor has one level in the rows used: {levels}"),
    ("number of levels of each grouping factor must be < number of observations", "there is a level for each row, so "
     "the group effect and the residual cannot be told apart: {levels}"),
    ("number of observations (", "more random effects than rows: {levels}"),
    ("0 (non-NA) cases", "no row is complete: every row has a missing value in a variable of the model{missing}"),
    ("missing values in object", "na_action='na.fail' and there are missing values{missing}"),
)  # fmt: skip


def explain(error: RError, call: ModelCall, data: pd.DataFrame) -> BridgeError:
    """Turn a refusal of R that has its cause in the data into a DataError that names column, level and fix.

    Parameters
    ----------
    error : RError
    call : ModelCall
    data : pandas.DataFrame
    """
    odd = [name for name in call.formula.names if inert(name) != name or " " in name]
    if odd and "unexpected" in error.message and error.message.startswith("<text>"):
        shown = ", ".join(map(repr, odd))
        result = DataError(
            f"R writes parts of this formula as text and reads them again, and cannot read {shown} there (so with "
            f"'||'); rename the column{'s' if len(odd) > 1 else ''}. R says: {error.message}"
        )
        result.__cause__ = error
        return result
    for sign, cause in _REFUSALS:
        if sign in error.message:
            names = [str(column) for column in data.columns]
            used = [name for name in names if name in call.formula.names]
            complete = data[[c for c in data.columns if str(c) in used]].dropna()
            levels = ", ".join(f"{name!r} has {complete[name].nunique()}" for name in used if name in complete)
            gaps = {name: int(data.iloc[:, names.index(name)].isna().sum()) for name in used}
            missing = ", ".join(f"{name!r} in {count}" for name, count in gaps.items() if count)
            text = cause.format(
                levels=f"distinct values in the {len(complete)} complete rows: {levels}",
                missing=f" (missing: {missing}, of {len(data)} rows)" if missing else "",
            )
            result = DataError(f"{text}. R says: {error.message}")
            result.__cause__ = error
            return result
    return error
