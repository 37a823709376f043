"""R's ``model.matrix``: contrasts, and which columns a term has, in R's order and with R's names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from pyimpl.errors import DataError, FormulaError
from pyimpl.formula.parse import Node, deparse
from pyimpl.formula.terms import FULL, Terms
from pyimpl.frame.column_types import FactorContrasts
from pyimpl.frame.columns import Factor, Logical, Numeric
from pyimpl.frame.contrasts import Coding, contrast_matrix, contrasts_coding, numbered
from pyimpl.frame.model_frame import ModelFrame
from pyimpl.linalg.forecast import refuse_too_large

__all__ = [
    "Contrasts",
    "Kind",
    "MatrixPlan",
    "Piece",
    "column_kind",
    "column_names",
    "plan_columns",
]

#: The ``contrasts`` argument: variable -> ``"contr.sum"`` (or ``"sum"``), or a matrix, level x column.
Contrasts = Mapping[str, "str | np.ndarray | pd.DataFrame | Sequence[Sequence[float]]"]


_NAME = 16.0  # numbers of eight bytes that a column's name takes
_REMEMBERED = 100  # levels of a factor up to which a plan, with its tables of contrasts, is kept for the next fit


@dataclass(frozen=True, slots=True)
class Piece:
    """One variable's columns within a term: a numeric matrix, or rows of a table by level."""

    node: Node
    levels: tuple[str, ...] | None
    table: np.ndarray | None
    suffixes: tuple[str, ...]

    @property
    def binary(self) -> bool:
        """Whether its columns hold only 0 and 1 whatever the data."""
        return self.table is not None and set(self.table.ravel().tolist()) <= {0.0, 1.0}


@dataclass(frozen=True)
class MatrixPlan:
    """How to make a model matrix from a model frame; remembered for new data.

    Attributes
    ----------
    intercept : bool
    pieces : tuple of tuple
        For each term its variables' columns.
    names : tuple of str
        R's column names.
    assign : tuple of int
        Term of each column, 0 for the intercept (``attr(X, "assign")``).
    """

    intercept: bool
    pieces: tuple[tuple[Piece, ...], ...]
    names: tuple[str, ...]
    assign: tuple[int, ...]

    @property
    def variables(self) -> frozenset[Node]:
        """Variables that have columns."""
        return frozenset(piece.node for term in self.pieces for piece in term)

    @cached_property
    def indicators(self) -> list[bool]:
        """Which columns hold only 0 and 1 whatever the data."""
        known = [True] if self.intercept else []
        for term in self.pieces:
            if term:
                binary = all(piece.binary for piece in term)
                known += [binary] * math.prod(len(piece.suffixes) for piece in term)
        return known

    def build(self, frame: ModelFrame) -> np.ndarray:
        """Make the model matrix of a frame: float64, shape (rows, columns), C order.

        Raises
        ------
        DataError
            A factor of the frame has a level that the plan does not know.
        """
        refuse_too_large(
            2.0 * frame.rows * len(self.names),
            f"the {frame.rows} rows and {len(self.names)} columns of the model matrix",
            "Leave out an interaction, or make a factor of many levels a grouping factor.",
        )
        out = np.empty((frame.rows, len(self.names)))
        at = 0
        if self.intercept:
            out[:, 0] = 1.0
            at = 1
        blocks: dict[int, np.ndarray] = {}
        for term in self.pieces:
            block: np.ndarray | None = None
            for piece in term:
                part = blocks.get(id(piece))
                if part is None:
                    part = blocks[id(piece)] = _piece_columns(piece, frame)
                if block is None:
                    block = part
                elif part.shape[1] == 1:
                    block = block * part
                elif block.shape[1] == 1:
                    block = part * block
                else:
                    # First variable fastest.
                    block = (part[:, :, None] * block[:, None, :]).reshape(len(block), -1)
            if block is not None:
                out[:, at : at + block.shape[1]] = block
                at += block.shape[1]
        return out


def _piece_columns(piece: Piece, frame: ModelFrame) -> np.ndarray:
    column = frame.columns[piece.node]
    if piece.table is None:
        if isinstance(column, Numeric):
            values = column.array if column.array.ndim == 2 else column.array[:, None]
            if values.shape[1] == len(piece.suffixes):
                return values
            raise DataError(
                f"{deparse(piece.node)} had {len(piece.suffixes)} column(s) when the model was fitted; in the new data "
                f"it has {values.shape[1]}."
            )
        raise DataError(f"{deparse(piece.node)} was numeric when the model was fitted; in the new data it is not.")
    if isinstance(column, Logical):
        gaps = np.isnan(column.array)
        codes = np.where(gaps, -1, column.array).astype(np.intp)
        levels: tuple[str, ...] = ("FALSE", "TRUE")
    elif isinstance(column, Factor):
        codes, levels = column.codes, column.levels
    else:
        raise DataError(f"{deparse(piece.node)} was a factor when the model was fitted; in the new data it is numeric.")
    if levels != piece.levels:
        codes = _recode(codes, levels, piece)
    rows: np.ndarray = piece.table.take(codes, axis=0)
    if len(codes) and codes.min() < 0:
        rows[codes < 0] = np.nan
    return rows


def _recode(codes: np.ndarray, levels: tuple[str, ...], piece: Piece) -> np.ndarray:
    known = {level: i for i, level in enumerate(piece.levels or ())}
    lut = np.array([*(known.get(level, -2) for level in levels), -1], dtype=np.intp)
    out: np.ndarray = lut[codes]
    if (out == -2).any():
        used = {levels[code] for code in np.unique(codes[out == -2])}
        new = ", ".join(level for level in levels if level in used)
        raise DataError(
            f"Factor {deparse(piece.node)} has new level(s) {new}. The levels known are "
            f"{', '.join((piece.levels or ())[:10])}."
        )
    return out


def plan_columns(terms: Terms, frame: ModelFrame, contrasts: Contrasts | None = None) -> MatrixPlan:
    """Decide the columns of R's ``model.matrix(terms, frame, contrasts)``.

    Factors have contrasts (``contr.treatment``, ordered ones ``contr.poly``), or an indicator of each level where the
    marginal term is not in the model; without an intercept the first factor of the first term that has one has
    indicators (``modelmatrix`` in R's ``model.c``). Logicals are factors with the levels FALSE and TRUE.

    Raises
    ------
    ModelError
        A factor with fewer than two levels.
    DataError
        Contrasts that do not fit.
    """
    kinds = tuple([column_kind(node, frame) for node in terms.variables])
    if contrasts or any([kind.levels is not None and len(kind.levels) > _REMEMBERED for kind in kinds]):  # noqa: C419
        return _plan(terms, kinds, contrasts or {})
    return _remembered_plan(terms, kinds)


@lru_cache(maxsize=256)
def _remembered_plan(terms: Terms, kinds: "tuple[Kind, ...]") -> MatrixPlan:
    return _plan(terms, kinds, {})


def _plan(terms: Terms, kinds: "tuple[Kind, ...]", contrasts: Contrasts) -> MatrixPlan:
    codings: dict[int, Coding] = {}
    for i, kind in enumerate(kinds):
        given = contrasts.get(terms.names[i])
        if i == terms.response and given is None:
            continue
        if kind.levels is not None:
            if given is None and kind.contrasts is not None:
                codings[i] = contrasts_coding(kind.contrasts, kind.levels, terms.names[i])
                continue
            default = "contr.poly" if kind.ordered else "contr.treatment"
            codings[i] = contrast_matrix(default if given is None else given, kind.levels, terms.names[i])
        elif given is not None:
            raise DataError(
                f"Contrasts are given for {terms.names[i]}, which is not a factor (contrasts apply only to factors)."
            )

    full_first: tuple[int, int] | None = None
    if not terms.intercept:
        without = (pair for pair in enumerate(terms.terms) if terms.response not in pair[1].variables)
        full_first = next(((t, v) for t, term in without for v in term.variables if v in codings), None)
    names: list[str] = ["(Intercept)"] if terms.intercept else []
    assign: list[int] = [0] if terms.intercept else []
    cache: dict[tuple[int, bool], Piece] = {}
    pieces = []
    for t, term in enumerate(terms.terms):
        if term.variables == (terms.response,):
            continue  # R: the response appeared on the right-hand side and was dropped
        parts = []
        columns = [""]
        for position, code in zip(term.variables, term.codes, strict=True):
            full = code == FULL or full_first == (t, position)
            piece = cache.get((position, full))
            if piece is None:
                piece = cache[(position, full)] = _piece(
                    terms.variables[position], kinds[position], codings.get(position), full
                )
            parts.append(piece)
            refuse_too_large(
                _NAME * len(columns) * len(piece.suffixes),
                f"the names of {len(columns) * len(piece.suffixes)} columns",
                "Leave out an interaction, or make a factor of many levels a grouping factor.",
            )
            own = [terms.spellings[position] + suffix for suffix in piece.suffixes]
            columns = own if columns == [""] else [f"{before}:{this}" for this in own for before in columns]
        pieces.append(tuple(parts))
        names.extend(columns)
        assign.extend([t + 1] * len(columns))
    return MatrixPlan(terms.intercept, tuple(pieces), tuple(names), tuple(assign))


@dataclass(frozen=True, slots=True)
class Kind:
    """What of a variable's column decides the columns of the model matrix.

    Attributes
    ----------
    levels : tuple of str, or None
        Of a factor or a logical.
    ordered : bool
    suffixes : tuple of str
        Of the columns of numbers: one without a name, or a matrix's.
    contrasts : FactorContrasts, or None
        Those that ``C()`` gave the factor.
    """

    levels: tuple[str, ...] | None
    ordered: bool = False
    suffixes: tuple[str, ...] = ()
    contrasts: FactorContrasts | None = None


_NUMBERS, _TRUTH = Kind(None, suffixes=("",)), Kind(("FALSE", "TRUE"))


def column_names(terms: Terms, kinds: Mapping[Node, Kind]) -> tuple[str, ...]:
    """R's names of the columns of a model matrix with default contrasts, from the kinds of its variables.

    Raises
    ------
    ModelError
        A factor with fewer than two levels.
    KeyError
        A variable has no kind.
    """
    return _plan(terms, tuple(kinds[node] for node in terms.variables), {}).names


def column_kind(node: Node, frame: ModelFrame) -> Kind:
    """What of a variable decides the columns it has.

    Raises
    ------
    FormulaError
        It is no variable of the frame.
    """
    column = frame.columns.get(node)
    if column is None:
        raise FormulaError(
            f"{deparse(node)} is not a variable of the model frame (R: model frame and formula mismatch). "
            "Write it the same way everywhere in the formula."
        )
    if isinstance(column, Factor):
        return Kind(column.levels, column.ordered, contrasts=column.contrasts)
    if isinstance(column, Logical):
        return _TRUTH
    width = column.array.shape[1] if column.array.ndim == 2 else 1
    return _NUMBERS if width == 1 else Kind(None, suffixes=column.names or numbered(width))


def _piece(node: Node, kind: Kind, coding: Coding | None, full: bool) -> Piece:
    if coding is not None:
        if full:
            return Piece(node, coding.levels, np.eye(len(coding.levels)), coding.levels)
        return Piece(node, coding.levels, coding.contrasts, coding.suffixes)
    if kind.levels is not None:
        raise FormulaError(f"{deparse(node)} is the response and not numeric: it cannot be a predictor too. Remove it.")
    return Piece(node, None, None, kind.suffixes)
