"""The closed list of functions that a formula may call, with R's semantics, and the variables of a model frame."""

from collections.abc import Callable

from pyimpl.errors import FormulaError
from pyimpl.formula.parse import Call, Name, Node, deparse
from pyimpl.frame.basis_functions import BASIS_FUNCTIONS
from pyimpl.frame.column_types import Basis
from pyimpl.frame.columns import Column
from pyimpl.frame.expressions import Expressions, FormulaFunction
from pyimpl.frame.factor_functions import FACTOR_FUNCTIONS
from pyimpl.frame.number_functions import NUMBER_FUNCTIONS
from pyimpl.frame.text_functions import TEXT_FUNCTIONS
from r_scripts import grammar
from r_scripts.dialect import Dialect

__all__ = ["ALLOWED_FUNCTIONS", "Evaluator"]

_FUNCTIONS: dict[str, FormulaFunction] = {
    **NUMBER_FUNCTIONS,
    **FACTOR_FUNCTIONS,
    **TEXT_FUNCTIONS,
    **BASIS_FUNCTIONS,
}

#: Names of the functions that a formula may call: those of the one list.
ALLOWED_FUNCTIONS = tuple(sorted(grammar.FUNCTIONS, key=str.lower))


class Evaluator(Expressions):
    """Evaluates the variables of a formula on columns.

    Parameters
    ----------
    lookup, has, rows, dialect
        See :class:`~pyimpl.frame.expressions.Expressions`.
    """

    def __init__(
        self, lookup: Callable[[str], Column], has: Callable[[str], bool], rows: int, dialect: Dialect | None = None
    ):
        super().__init__(lookup, has, rows, _FUNCTIONS, Dialect.of(dialect))

    def variable(self, node: Node, basis: Basis | None = None) -> Column:
        """One variable of a model frame, as long as the data.

        ``basis`` is what :func:`pyimpl.frame.bases.remembered_basis` took from an earlier evaluation: a ``poly``,
        ``scale``, ``bs`` or ``ns`` that is itself the variable is evaluated in it, as R's ``predvars`` do. One inside
        another call is not remembered, in R neither.
        """
        if isinstance(node, Name):
            return self.lookup(node.name)
        remembers = BASIS_FUNCTIONS.get(node.fn) if isinstance(node, Call) else None
        if isinstance(node, Call) and remembers is not None:
            column: Column = remembers(self, node, basis)
        else:
            column = self.value(node)
        if len(column) == self.rows:
            return column
        raise FormulaError(
            f"{deparse(node)} has {len(column)} values but the data have {self.rows} rows. "
            "Every term needs at least one column of the data in it."
        )
