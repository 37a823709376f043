"""R's ``model.frame``: the variables of a model, evaluated on the data, for the rows used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.formula.parse import Name, Node, all_names, parse, variable_label
from pyimpl.frame.bases import remembered_basis
from pyimpl.frame.column_types import Basis
from pyimpl.frame.columns import Column, Data, Factor, Logical, Numeric, column_values
from pyimpl.frame.functions import Evaluator
from pyimpl.linalg.columns import square_sum
from r_scripts.caller import warn
from r_scripts.dialect import Dialect
from r_scripts.grammar import NA_ACTIONS

__all__ = ["NEW_DATA", "FrameArguments", "ModelFrame", "Subset", "VectorLike", "model_frame"]

_LARGEST = 1e140  # sums of squares of larger values overflow

#: Weights or an offset: one value a row of the data, or the name of a column.
VectorLike = str | Sequence[float] | np.ndarray | pd.Series

#: Rows: a condition or row numbers as R writes them, a mask, or numbers of rows counted from 1.
Subset = str | Sequence[bool] | Sequence[int] | np.ndarray | pd.Series


@dataclass(frozen=True, eq=False)
class FrameArguments:
    """The arguments of R's ``model.frame`` that every fitting function hands on to it.

    Attributes
    ----------
    weights, offset : str, array or Series, optional
        Name of a column, or one number for each row of the data; a Series must have the data's index.
    subset : str, array of bool or of int, optional
        Rows to use: a condition in R's words (``"x > 0 & g != 'a'"``) or a mask, in which missing counts as False; or
        numbers of rows as R counts them, from 1, negative ones left out (``"-(1:5)"``, ``[1, 3, 4]``).
    na_action : str
        ``"na.omit"`` or ``"na.exclude"`` (the same rows; results are padded), ``"na.fail"``, ``"na.pass"`` (for new
        data).
    """

    weights: VectorLike | None = None
    offset: VectorLike | None = None
    subset: Subset | None = None
    na_action: str = "na.omit"


#: All rows without missing values.
_COMPLETE = FrameArguments()
#: New data: all rows, those with missing values too.
NEW_DATA = FrameArguments(na_action="na.pass")


@dataclass(frozen=True)
class ModelFrame:
    """The variables of a model for the rows used.

    Attributes
    ----------
    variables : tuple of Node
        The response first.
    columns : dict
        Variable -> column; factors without unused levels.
    index : pandas.Index
        The data's index of the rows used.
    rows : int
        Number of rows used.
    kept : ndarray of intp, or None
        Positions in the data of the rows used; None where all are.
    omitted : ndarray of intp
        Positions in the data of the rows that ``na.action`` left out (rows outside ``subset`` are not among them).
    weights, offset : ndarray of float64, shape (rows,), or None
        The arguments of these names.
    warnings : tuple of str
        What R would warn about in evaluating the variables.
    na_action : str
        What was done with missing values.
    """

    variables: tuple[Node, ...]
    columns: dict[Node, Column]
    index: pd.Index
    rows: int
    kept: np.ndarray | None
    omitted: np.ndarray
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    #: variable -> what poly, scale, bs and ns remember, for new data
    bases: Mapping[Node, Basis] = field(default_factory=dict)
    #: what keeps later changes of the data away, where the columns are views of them
    source: Data | None = field(default=None, repr=False, compare=False)
    na_action: str = "na.omit"

    def to_pandas(self) -> pd.DataFrame:
        """Give the frame as pandas: factors as categoricals, matrices as one column each (``poly(x, 2).1``)."""
        out: dict[str, Any] = {}
        for node in self.variables:
            name = variable_label(node)
            column = self.columns[node]
            if isinstance(column, Numeric) and column.array.ndim == 2 and column.array.shape[1] > 1:
                labels = column.names or tuple(str(j + 1) for j in range(column.array.shape[1]))
                for j, label in enumerate(labels):
                    out[f"{name}.{label}"] = column.array[:, j].copy()
            else:
                values = column_values(column)
                # pandas copies arrays that it is given, but not the codes of a categorical
                out[name] = values.copy() if isinstance(values, pd.Categorical) else values
        return pd.DataFrame(out, index=self.index)


def _vector(value: VectorLike, what: str, data: Data, evaluator: Evaluator) -> np.ndarray:
    """Read the argument ``weights`` or ``offset`` as numbers, one a row of the data."""
    if isinstance(value, str):
        node: Node = Name(value) if value in data else parse(value)
        column = evaluator.variable(node)
        if isinstance(column, Factor) or (isinstance(column, Numeric) and column.array.ndim == 2):
            raise DataError(f"{what} must be numeric; column {value!r} is not.")
        return column.array
    if isinstance(value, pd.Series):
        if not value.index.equals(data.index):
            raise DataError(
                f"The index of the Series given as {what} differs from the data's index. "
                f"Give {what} as an array (taken by position) or as the name of a column."
            )
        value = value.to_numpy(dtype=np.float64, na_value=np.nan)
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers or the name of a column, not {value!r:.60}.") from error
    if numbers.ndim != 1 or len(numbers) != data.rows:
        raise DataError(
            f"Variable lengths differ: {what} has shape {numbers.shape}, the data have {data.rows} rows. "
            "Give one value for each row of the data, before subset and missing values are applied."
        )
    return numbers


def _subset_rows(subset: Subset, data: Data, evaluator: Evaluator) -> np.ndarray:
    """Positions in the data of the rows of a subset, in its order."""
    if isinstance(subset, str):
        column = evaluator.value(parse(subset))
        if isinstance(column, Numeric) and column.array.ndim == 1:
            return _numbered_rows(column.array, data)
        if not isinstance(column, Logical):
            raise DataError(
                f"subset must be logical, or numbers of rows; {subset!r} is not. Write a condition such as 'x > 0' or "
                "rows such as '1:50'."
            )
        if len(column) != data.rows:
            raise DataError(f"subset {subset!r} has {len(column)} values, the data {data.rows} rows.")
        return np.flatnonzero(column.array == 1)
    if isinstance(subset, pd.Series) and subset.dtype.kind not in "iu":
        if not subset.index.equals(data.index):
            raise DataError("The index of the Series given as subset differs from the data's. Give it as an array.")
        subset = subset.fillna(False).to_numpy()
    mask = np.asarray(subset)
    if mask.ndim == 1 and mask.dtype.kind in "iu":
        return _numbered_rows(mask.astype(np.float64), data)
    if mask.dtype != bool or mask.shape != (data.rows,):
        raise DataError(
            f"subset must be one True or False for each of the {data.rows} rows of the data, numbers of rows counted "
            f"from 1, or a condition as a string; found {mask.dtype} of shape {mask.shape}."
        )
    return np.flatnonzero(mask)


def _numbered_rows(numbers: np.ndarray, data: Data) -> np.ndarray:
    """Positions of rows that are counted from 1, as R does; negative numbers leave rows out."""
    whole = np.rint(numbers)
    if not len(whole) or (whole != numbers).any() or (whole == 0).any() or np.abs(whole).max() > data.rows:
        raise DataError(
            "subset must be logical, or numbers of rows, counted from 1 to "
            f"{data.rows} as in R; found {', '.join(f'{number:g}' for number in numbers[:6])}"
            f"{', ...' if len(numbers) > 6 else ''}. For positions from 0 add 1, or write a condition such as 'x > 0'."
        )
    if (whole < 0).all():
        kept = np.ones(data.rows, dtype=bool)
        kept[(-whole).astype(np.intp) - 1] = False
        return np.flatnonzero(kept)
    if (whole < 0).any():
        raise DataError("subset: numbers of rows to keep and, negative, of rows to leave out cannot be mixed.")
    rows: np.ndarray = whole.astype(np.intp) - 1
    return rows


def _check_infinite(node: Node, column: Column) -> None:
    if not isinstance(column, Numeric):
        return
    # the sum of squares bounds the largest value from both sides, and settles nearly every column
    square = square_sum(column.array)
    if (column.array.size or 1) / _LARGEST**2 <= square <= _LARGEST**2:
        return
    if column.any_infinite():
        bad = np.isinf(column.array)
        first = int(np.argmax(bad.any(axis=1) if bad.ndim == 2 else bad))
        raise DataError(
            f"{variable_label(node)} has {int(bad.sum())} infinite value(s), the first in row {first + 1} of the "
            "rows used (NA/NaN/Inf in R's words). Replace them by missing values or leave the rows out."
        )
    if column.array.size:
        largest = max(float(column.array.max()), -float(column.array.min()))
        if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
            raise DataError(
                f"{variable_label(node)} has values of the order of {largest:.0e}, whose squares are beyond double "
                "precision. Rescale the column."
            )


def model_frame(
    variables: Sequence[Node],
    data: pd.DataFrame | Data,
    arguments: FrameArguments = _COMPLETE,
    *,
    drop_unused: bool = True,
    bases: Mapping[Node, Basis] | None = None,
    dialect: Dialect | None = None,
) -> ModelFrame:
    """Evaluate variables on data as R's ``model.frame(formula, data, subset, weights, na.action, offset)``.

    Variables are evaluated on all rows (so ``scale(x)`` takes its mean from all of them), then ``subset`` is applied,
    then ``na.action``, then unused levels are dropped: R's order.

    Parameters
    ----------
    variables : sequence of Node
        :attr:`pyimpl.formula.terms.Terms.variables`.
    data : pandas.DataFrame
    arguments : FrameArguments
        Weights, offset, subset and what is done with missing values.
    drop_unused : bool
        ``drop.unused.levels``.
    bases : mapping, optional
        What ``poly``, ``scale``, ``bs`` and ``ns`` remembered (:attr:`ModelFrame.bases`) of the frame they were first
        evaluated on.
    dialect : Dialect, optional
        Which R is meant; the newest by default.

    Raises
    ------
    DataError
        Missing columns, infinite values, lengths or indices that differ, negative weights.
    FormulaError
        An expression that is not allowed.
    ModelError
        Missing values with ``na.fail``; no row left.
    """
    weights, offset, subset, na_action = arguments.weights, arguments.offset, arguments.subset, arguments.na_action
    if na_action not in NA_ACTIONS:
        raise DataError(f"na_action {na_action!r} is unknown; there are 'na.omit', 'na.exclude' and 'na.fail'.")
    source = data if isinstance(data, Data) else Data(data)
    if source.rows == 0:
        raise ModelError("0 (non-NA) cases: the data have no rows.")
    evaluator = Evaluator(source.column, source.__contains__, source.rows, dialect)
    columns, kept_bases = _evaluated(variables, evaluator, bases or {})
    weight_values = None if weights is None else _vector(weights, "weights", source, evaluator)
    offset_values = None if offset is None else _vector(offset, "offset", source, evaluator)
    if weight_values is not None and np.any(weight_values < 0):
        raise DataError("weights must not be negative (lme4: all(weights >= 0) is not TRUE).")

    missing = None if na_action == "na.pass" else _missing_rows(columns, (weight_values, offset_values))
    chosen = None if subset is None else _subset_rows(subset, source, evaluator)
    kept, omitted = _used_rows(source.rows, chosen, missing)
    if len(omitted) and na_action == "na.fail":
        names = [variable_label(node) for node, column in columns.items() if column.missing()[omitted].any()]
        raise ModelError(
            f"Missing values in {len(omitted)} rows (in {', '.join(names) or 'weights or offset'}) and na_action is "
            "'na.fail'. Use 'na.omit' to leave these rows out."
        )
    index, rows = source.index, source.rows
    if kept is not None:
        rows = len(kept)
        columns = {node: column.take(kept) for node, column in columns.items()}
        index = index.take(kept)
        weight_values = None if weight_values is None else weight_values[kept]
        offset_values = None if offset_values is None else offset_values[kept]
    if rows == 0:
        raise ModelError(_no_rows(source, columns, omitted, subset is not None))
    for node, column in columns.items():
        if isinstance(column, Factor) and (drop_unused or column.text):
            columns[node] = dropped = column.drop_unused()
            if dropped.contrasts != column.contrasts:
                evaluator.note("contrasts dropped from factor", node)
        elif not isinstance(column, Factor) and na_action != "na.pass":
            _check_infinite(node, column)
    for what, extra in (("weights", weight_values), ("offset", offset_values)):
        if extra is not None and np.isinf(extra).any():
            raise DataError(f"{what} has infinite values. Replace them or leave the rows out.")
    for text, where in evaluator.notes:
        warn(f"{text} in {where}", PyimplWarning)
    notes = tuple(text for text, _ in evaluator.notes)
    return ModelFrame(
        tuple(columns),
        columns,
        index,
        rows,
        kept,
        omitted,
        weight_values,
        offset_values,
        notes,
        kept_bases,
        source if kept is None else None,
        na_action,
    )


def _used_rows(
    rows: int, chosen: np.ndarray | None, missing: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Rows that are used, None where they are all, and those of the chosen ones (None: all) that are missing."""
    omitted = np.empty(0, dtype=np.intp)
    if missing is not None:
        omitted = np.flatnonzero(missing) if chosen is None else chosen[missing[chosen]]
        chosen = np.flatnonzero(~missing) if chosen is None else chosen[~missing[chosen]]
    if chosen is None or (len(chosen) == rows and np.array_equal(chosen, np.arange(rows))):
        return None, omitted
    return chosen, omitted


def _evaluated(
    variables: Sequence[Node], evaluator: Evaluator, remembered: Mapping[Node, Basis]
) -> tuple[dict[Node, Column], dict[Node, Basis]]:
    """Each variable's column, and what ``poly``, ``scale`` and splines are to remember of it."""
    columns: dict[Node, Column] = {}
    bases: dict[Node, Basis] = {}
    for node in dict.fromkeys(variables):
        column = columns[node] = evaluator.variable(node, remembered.get(node))
        basis = remembered_basis(node, column)
        if basis is not None:
            bases[node] = basis
    return columns, bases


def _missing_rows(columns: Mapping[Node, Column], extras: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Mask of the rows where something is missing, or None where nothing is."""
    missing: np.ndarray | None = None
    gaps = [column.missing() for column in columns.values() if column.any_missing()]
    gaps += [np.isnan(extra) for extra in extras if extra is not None]
    for gap in gaps:
        missing = gap if missing is None else missing | gap
    return missing


def _no_rows(source: Data, columns: Mapping[Node, Column], omitted: np.ndarray, subset: bool) -> str:
    if len(omitted) == 0 and subset:
        return "0 (non-NA) cases: subset leaves no row. Check its condition."
    culprits: list[str] = []
    for node in columns:
        known = (name for name in all_names(node) if name in source)
        culprits.extend(name for name in known if source.column(name).missing().all())
    blame = (
        f"{', '.join(dict.fromkeys(culprits))} is missing in every row"
        if culprits
        else ("every row has a missing value in some variable of the model")
    )
    return f"0 (non-NA) cases: {blame}. Impute it or leave it out of the formula."
