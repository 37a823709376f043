"""What R's accessors say of a fitted model: its formula's parts, terms, frame and matrices.

Both fits have these verbs (``lme4`` and ``rstanarm`` share them: ``formula``, ``terms``, ``model.frame``, ...).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES
from pyimpl.errors import DataError, ModelError
from pyimpl.formula.bars import find_bars, remove_bars, replace_bars
from pyimpl.formula.parse import Call, Num, all_names, deparse, parse
from pyimpl.formula.terms import Terms, expand_terms
from pyimpl.formula.update import write_out_dot
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    from scipy import sparse

    from pyimpl.design.design import Design

__all__ = ["Family", "ModelAccessors", "fixed_formula", "random_formula"]


def fixed_formula(formula: str) -> str:
    """``formula(m, fixed.only = TRUE)``: the formula without its random-effects terms."""
    response, right = _sides(formula)
    rest = remove_bars(right)
    return deparse(Call("~", (response, Num(1.0) if rest is None else rest)))


def random_formula(formula: str, dialect: Dialect | None = None) -> str:
    """``formula(m, random.only = TRUE)``: the response and the random-effects terms, ``/`` expanded."""
    response, right = _sides(formula)
    return f"{deparse(response)} ~ {' + '.join(bar.text for bar in find_bars(right, dialect))}"


def _sides(formula: str) -> tuple[Any, Any]:
    tree = parse(formula)
    assert isinstance(tree, Call)
    return tree.args[0], tree.args[1]


def _one_part(fixed_only: bool, random_only: bool) -> None:
    if fixed_only and random_only:
        raise DataError("can't specify 'only fixed' and 'only random' terms: set one of fixed_only and random_only")


def _spread(terms: "list[tuple[np.ndarray, np.ndarray]]", levels: list[int]) -> "sparse.csc_array":
    """Z of new data, from each term's codes and columns: levels that are not among the fit's have no entry."""
    from scipy import sparse

    from pyimpl.design.design import random_columns

    parts = []
    for (codes, columns), count in zip(terms, levels, strict=True):
        known = (codes >= 0) & (codes < count)
        parts.append(random_columns(np.where(known, codes, 0), np.where(known[:, None], columns, 0.0), count))
    return sparse.csc_array(sparse.hstack(parts, format="csc"))


class Family:
    """``family(m)``: what ``lmer`` and ``stan_lmer`` fit is Gaussian with the identity link.

    Attributes
    ----------
    family : str
    link : str
    """

    family = "gaussian"
    link = "identity"

    def __str__(self) -> str:
        return f"\nFamily: {self.family} \nLink function: {self.link} \n"

    __repr__ = __str__


@SIGNATURES.verbs
class ModelAccessors:
    """Verbs of a fit that only need its design (a base class of both fits)."""

    design: "Design"

    def _repr_html_(self) -> str:
        return printed_html(str(self))

    def _source_data(self) -> pd.DataFrame | None:
        """Return the data frame that the fit was made from, if there is one."""
        raise NotImplementedError

    def get_formula(self, fixed_only: bool = False, random_only: bool = False) -> str:
        """``formula(m, fixed.only, random.only)``: the formula, or its fixed or random part.

        Parameters
        ----------
        fixed_only, random_only : bool
            At most one of them.

        Returns
        -------
        str
            Deparsed as in R, the response included.
        """
        _one_part(fixed_only, random_only)
        if fixed_only:
            return fixed_formula(self.design.formula)
        return random_formula(self.design.formula, self.design.dialect) if random_only else self.design.formula

    def _explicit_formula(self) -> str:
        """Return the formula for updates: what a ``.`` stands for is written out."""
        recipe = self.design.recipe
        return self.design.formula if recipe is None else write_out_dot(self.design.formula, recipe.fixed)

    def terms(self, fixed_only: bool = True, random_only: bool = False) -> Terms:
        """``terms(m, fixed.only, random.only)``: the expanded formula.

        ``.labels`` are R's ``term.labels``, ``.intercept`` and ``.variables`` its attributes of the same names. As in
        R, `random_only` has the bars replaced by ``+``, and takes precedence over the default of `fixed_only`.
        """
        if random_only:
            return expand_terms(replace_bars(parse(random_formula(self.design.formula, self.design.dialect))))
        if fixed_only:
            recipe = self.design.recipe  # knows what a dot stands for
            return expand_terms(parse(fixed_formula(self.design.formula))) if recipe is None else recipe.fixed
        return expand_terms(replace_bars(parse(self.design.formula)), tuple(map(str, self.design.frame.columns)))

    def model_frame(self, fixed_only: bool = False) -> pd.DataFrame:
        """``model.frame(m, fixed.only)``: the variables of the model for the rows used, the data's index.

        Factors are categoricals without unused levels; ``fixed_only`` leaves out variables of random effects only. The
        arguments ``weights`` and ``offset`` are columns ``(weights)`` and ``(offset)``, as in R.
        """
        given = {"(weights)": self.design.weights, "(offset)": self._offset_argument()}
        extra = {name: values for name, values in given.items() if values is not None}
        frame = self.design.frame.assign(**extra)
        if not fixed_only:
            return frame
        names = set(self.terms().names)
        every = set(self.terms(fixed_only=False).names)

        def kept(column: str) -> bool:
            # a matrix such as poly(x, 2) has a column for each of its own
            return (
                column in names
                or column in extra
                or (column not in every and any(column.startswith(f"{name}.") for name in names))
            )

        return frame.loc[:, [kept(str(column)) for column in frame.columns]].copy()

    def _offset_argument(self) -> np.ndarray | None:
        """Return the argument ``offset``, which R's frame has (an ``offset()`` of the formula is there already)."""
        design = self.design
        inside = design.recipe is not None and bool(design.recipe.fixed.offsets)
        return None if inside or design.offset is None else design.offset.copy()

    def model_matrix(
        self,
        type: str = "fixed",  # noqa: A002
        newdata: pd.DataFrame | None = None,
    ) -> "pd.DataFrame | sparse.csc_array | dict[str, pd.DataFrame]":
        """``model.matrix(m, type)``, also of new data.

        Parameters
        ----------
        type : {"fixed", "random", "randomListRaw"}
            X as a DataFrame, Z (rows x random effects, sparse), or the model matrix of each random-effects term before
            it is spread over the levels, by the term's label.
        newdata : data frame of any kind, optional
            Rows to code as the model's own: its levels, contrasts, and what ``poly``, ``scale``, ``bs`` and ``ns``
            remember. Default: the rows the model was fitted to. The response is not needed; missing values are missing
            in the result; a level that the fit does not know has no entry in Z.

        Raises
        ------
        DataError
            Another `type`; a column is missing; a factor has levels that the fit does not know.
        """
        design = self.design
        if type not in ("fixed", "random", "randomListRaw"):
            raise DataError(f"model_matrix: type must be 'fixed', 'random' or 'randomListRaw', not {type!r}")
        fixed = type == "fixed"
        if newdata is None:
            X: np.ndarray | None = design.X
            index, terms = design.index, [(term.codes, term.columns) for term in design.terms]
        else:
            rows = design.encode(newdata, fixed=fixed, random=not fixed)
            X, index, terms = rows.X, rows.index, [(term.codes, term.columns) for term in rows.terms]
        if fixed:
            assert X is not None
            return pd.DataFrame(X.copy(), index=index, columns=list(design.coef_names))
        if type == "randomListRaw":
            return {
                term.label: pd.DataFrame(columns.copy(), index=index, columns=list(term.effects))
                for term, (_, columns) in zip(design.terms, terms, strict=True)
            }
        if newdata is None:
            return design.Z.copy()
        return _spread(terms, [term.J for term in design.terms])

    def weights(self) -> pd.Series:
        """``weights(m)``: the prior weights of the rows used (ones where none were given); the data's index."""
        design = self.design
        values = np.ones(design.N) if design.weights is None else design.weights.copy()
        return pd.Series(values, index=design.index)

    def getData(self) -> pd.DataFrame:
        """``getData(m)``: the data that the model was fitted to, rows not used included: a copy, as a pandas frame."""
        data = self._source_data()
        if data is None:
            raise ModelError("this fit was made from a design, not from a data frame: there are no data to return")
        return data.copy()

    def family(self) -> Family:
        """``family(m)``: Gaussian, identity link."""
        return Family()

    def isLMM(self) -> bool:
        """``isLMM(m)``: whether this is a linear mixed model; always."""
        return True

    def isGLMM(self) -> bool:
        """``isGLMM(m)``: whether this is a generalised linear mixed model; never."""
        return False

    def isNLMM(self) -> bool:
        """``isNLMM(m)``: whether this is a nonlinear mixed model; never."""
        return False

    def variable_names(self) -> tuple[str, ...]:
        """``all.vars(formula(m))``: columns of the data that the formula names, in order."""
        return tuple(dict.fromkeys(all_names(parse(self.design.formula))))
