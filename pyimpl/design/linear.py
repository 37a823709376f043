"""The design of a linear model without random effects: y, X, weights and offset, as ``stats::lm`` makes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.design.model_matrix import Contrasts, MatrixPlan, plan_columns
from pyimpl.errors import DataError, FormulaError, PyimplWarning
from pyimpl.formula.parse import Call, Name, Node, all_names, deparse, fold, parse, walk
from pyimpl.formula.terms import Terms, expand_terms
from pyimpl.frame.columns import Column, Data, Factor, Logical
from pyimpl.frame.model_frame import NEW_DATA, FrameArguments, ModelFrame, model_frame
from r_scripts.caller import warn
from r_scripts.dialect import Dialect

__all__ = ["LinearDesign", "build_linear_design", "expand_dot"]


@dataclass(frozen=True)
class LinearDesign:
    """What ``lm`` fits.

    Attributes
    ----------
    formula : Node
        With ``.`` written out.
    call_formula : Node
        As it was written.
    terms : Terms
    frame : ModelFrame
    plan : MatrixPlan
    y : ndarray, shape (N,)
    X : ndarray, shape (N, P)
        All columns, also those that depend on others.
    weights, offset : ndarray, shape (N,), or None
    index : pandas.Index
        Of all rows of the data.
    kept : ndarray of intp
        Positions in the data of the rows used.
    na_action : str
    """

    formula: Node
    call_formula: Node
    terms: Terms
    frame: ModelFrame
    plan: MatrixPlan
    y: np.ndarray
    X: np.ndarray
    weights: np.ndarray | None
    offset: np.ndarray | None
    index: pd.Index
    kept: np.ndarray
    na_action: str

    @property
    def coef_names(self) -> tuple[str, ...]:
        """R's names of X's columns."""
        return self.plan.names

    @property
    def labels(self) -> list[str]:
        """R's row names of the rows used: positions from 1 where the data have no labels of their own."""
        return row_labels(self.index, self.kept)

    def encode(self, newdata: pd.DataFrame) -> tuple[pd.Index, np.ndarray, np.ndarray]:
        """Model matrix and ``offset()`` terms of new data: the index, X and the offset; missing values stay missing."""
        data = Data(newdata)
        if data.rows == 0:
            raise DataError("newdata has no rows.")
        wanted = [v for i, v in enumerate(self.terms.variables) if i != self.terms.response]
        frame = model_frame(wanted, data, NEW_DATA, drop_unused=False, bases=self.frame.bases)
        offset = np.zeros(data.rows)
        for position in self.terms.offsets:
            offset = offset + _vector(self.terms.variables[position], frame)
        return data.index, self.plan.build(frame), offset


def row_labels(index: pd.Index, positions: Sequence[int] | np.ndarray) -> list[str]:
    """R's row names: an index that only counts from 0 is R's automatic row names, from 1."""
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return [str(int(i) + 1) for i in positions]
    return [str(index[int(i)]) for i in positions]


def _vector(node: Node, frame: ModelFrame) -> np.ndarray:
    """A numeric or logical variable as one column."""
    column: Column = frame.columns[node]
    if isinstance(column, Factor):
        what = "strings" if column.text else "a factor"
        raise DataError(
            f"{deparse(node)} must be numeric and is {what} (values such as "
            f"{', '.join(map(repr, column.levels[:3]))}). Turn it into numbers."
        )
    if isinstance(column, Logical) or column.array.ndim == 1:
        return np.asarray(column.array, dtype=float)
    if column.array.shape[1] > 1:
        raise DataError(f"{deparse(node)} has {column.array.shape[1]} columns; lm takes one at a time.")
    return np.asarray(column.array[:, 0], dtype=float)


def expand_dot(formula: Node, terms: Terms) -> Node:
    """``formula(m)``: a dot is written out as the sum of the columns that it stands for."""
    if not isinstance(formula, Call) or "." not in all_names(formula):
        return formula
    names = [node for i, node in enumerate(terms.variables) if i != terms.response and isinstance(node, Name)]
    own = set(all_names(formula))
    columns: list[Node] = [node for node in names if node.name not in own or node.name == "."]
    total: Node = columns[0]
    for column in columns[1:]:
        total = Call("+", (total, column))

    def replaced(node: Node, args: tuple[Node, ...]) -> Node:
        if node == Name("."):
            return total
        return Call(node.fn, args, node.names) if isinstance(node, Call) else node

    return fold(formula, replaced)


def read_linear_formula(formula: str) -> Call:
    """Read a two-sided formula without bars.

    Raises
    ------
    FormulaError
        It has no response, or random-effects terms.
    """
    if not isinstance(formula, str):
        raise FormulaError(f"A formula must be a string such as 'y ~ x', not {type(formula).__name__}.")
    tree = parse(formula)
    if not isinstance(tree, Call) or tree.fn != "~" or len(tree.args) != 2:
        raise FormulaError(f"{formula!r} is not a two-sided formula. Write one such as 'y ~ x'.")
    return tree


def build_linear_design(
    formula: str,
    data: pd.DataFrame,
    arguments: FrameArguments,
    *,
    contrasts: Contrasts | None = None,
    dialect: Dialect | None = None,
) -> LinearDesign:
    """Build the model frame and model matrix of ``lm(formula, data, ...)``; arguments as :func:`pyimpl.lm`.

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    tree = read_linear_formula(formula)
    if any(isinstance(part, Call) and part.fn in ("|", "||") for part in walk(tree.args[1])):
        raise FormulaError(
            f"lm fits no random effects, and {formula!r} has a bar. Use lmer, or lmList for a fit in each group."
        )
    if arguments.na_action == "na.pass":
        raise DataError("na_action 'na.pass' is not supported: lm refuses missing values. Use 'na.omit'.")
    source = Data(data)
    terms = expand_terms(tree, source.names)
    frame = model_frame(terms.variables, source, arguments, dialect=dialect)
    for name in contrasts or ():
        if name not in terms.names:
            text = f"variable '{name}' is absent, its contrast will be ignored"
            warn(text, PyimplWarning)
    y = np.array(_vector(terms.variables[terms.response], frame))
    plan = plan_columns(terms, frame, contrasts)
    total = frame.offset
    for position in terms.offsets:
        part = _vector(terms.variables[position], frame)
        total = part if total is None else total + part
    return LinearDesign(
        formula=expand_dot(tree, terms),
        call_formula=tree,
        terms=terms,
        frame=frame,
        plan=plan,
        y=y,
        X=plan.build(frame),
        weights=None if frame.weights is None else np.array(frame.weights),
        offset=None if total is None else np.array(total),
        index=source.index,
        kept=np.arange(source.rows) if frame.kept is None else frame.kept,
        na_action=arguments.na_action,
    )
