"""The design of a linear mixed model: y, X and the terms that make up Z, with R's labels.

Everything downstream (blocks, likelihood, posterior) sees the data only through :class:`Design`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, dialect_of
from pyimpl.covariance.structures import Structure, covariance_of
from pyimpl.design.checks import (
    LMER_CHECKS,
    CheckControl,
    check_duplicates,
    check_effects,
    check_levels,
    check_names,
    check_scale,
    check_weights,
    rank_message,
)
from pyimpl.design.encoded import EncodedRows, EncodedTerm, random_columns
from pyimpl.design.model_matrix import Contrasts, Kind, MatrixPlan, column_kind, plan_columns
from pyimpl.design.random_term import RandomTerm
from pyimpl.design.reading import ReadBar, ReadFormula, read_formula, variables_of
from pyimpl.errors import (
    DataError,
    FormulaError,
    ModelError,
    PyimplError,
    PyimplWarning,
    RankDeficientWarning,
)
from pyimpl.formula.bars import Bar, newer_reading
from pyimpl.formula.parse import Call, Name, Node, all_names, deparse, parse
from pyimpl.formula.terms import Terms, expand_terms
from pyimpl.frame.column_types import Basis, few_enough, occurring
from pyimpl.frame.columns import Column, Data, Factor, Logical, Numeric, as_factor
from pyimpl.frame.functions import Evaluator
from pyimpl.frame.model_frame import NEW_DATA, FrameArguments, ModelFrame, Subset, model_frame
from pyimpl.linalg.dqrdc2 import independent_columns
from pyimpl.linalg.threads import FEW_ROWS, one_blas_thread
from r_scripts.caller import warn
from r_scripts.dialect import Dialect

if TYPE_CHECKING:
    from scipy import sparse

__all__ = [
    "Design",
    "EncodedRows",
    "EncodedTerm",
    "build_design",
    "design_of",
    "frame_of",
    "model_matrix",
    "random_columns",
]


_NEWEST = Dialect.of(None)


@dataclass(frozen=True)
class _Recipe:
    """What new data need: variables, remembered bases, plans of the model matrices.

    ``kinds`` has the variables of random-effects terms, which ``re.form`` may combine anew; ``group_kinds`` those that
    are grouping factors too, and so factors in the terms of that group.
    """

    fixed: Terms
    fixed_plan: MatrixPlan
    kept_columns: np.ndarray | None
    random: tuple[tuple[Bar, Terms, MatrixPlan], ...]
    bases: Mapping[Node, Basis]
    kinds: Mapping[Node, Kind]
    group_kinds: Mapping[Node, Kind]


@dataclass(frozen=True)
class Design:
    """y, X, the random terms, and all labels, for the rows used.

    Attributes
    ----------
    formula : str
        As R deparses it (``formula(m)``: ``(x || g)`` is written ``((1 | g) + (0 + x | g))``).
    response : str
        Deparsed left-hand side.
    index : pandas.Index
        The data's own index of the rows used, length N.
    y : ndarray, shape (N,)
        Response (the offset not subtracted).
    X : ndarray, shape (N, P), C order
        Fixed-effects model matrix without the dropped columns; P may be 0.
    coef_names : tuple of str
        R's names of X's columns.
    terms : tuple of RandomTerm
        In lme4's order: if any later term has more levels than an earlier one, sorted by decreasing number of levels,
        ties reversed (``rev(order(nl))`` of ``lme4::mkReTrms``); otherwise formula order.
    weights : ndarray, shape (N,), or None
        Prior weights.
    offset : ndarray, shape (N,), or None
        Sum of ``offset()`` terms and the ``offset`` argument.
    frame_source : pandas.DataFrame or callable
        The model frame, or what makes it (see :attr:`frame`).
    dropped_coefs : tuple of str
        Columns of X dropped because of rank deficiency, R's names.
    omitted : ndarray of intp
        Positions (0-based, in the data) of the rows that ``na.action`` left out.
    messages : tuple of str
        What R would say on the way, e.g. about dropped columns.
    warnings : tuple of str
        What R would warn about on the way.
    call_formula : str
        The formula as the user wrote it, deparsed (``||`` not expanded).
    na_action : str
        ``"na.omit"`` or ``"na.exclude"``.
    assign : tuple of int
        Term of each column of X, 0 for the intercept.
    term_labels : tuple of str
        Labels of the fixed terms, ``attr(terms, "term.labels")``.
    dialect : Dialect
        Whose lme4 has read the formula.
    """

    formula: str
    response: str
    index: pd.Index
    y: np.ndarray
    X: np.ndarray
    coef_names: tuple[str, ...]
    terms: tuple[RandomTerm, ...]
    weights: np.ndarray | None
    offset: np.ndarray | None
    frame_source: pd.DataFrame | Callable[[], pd.DataFrame]
    dropped_coefs: tuple[str, ...] = ()
    omitted: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    messages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    call_formula: str = ""
    na_action: str = "na.omit"
    assign: tuple[int, ...] = ()
    term_labels: tuple[str, ...] = ()
    recipe: _Recipe | None = field(default=None, repr=False, compare=False)
    dialect: Dialect = field(default=_NEWEST, repr=False, compare=False)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The model frame: variables of the model for the rows used (factors as categoricals, unused levels dropped).

        Made when first asked for: no fit needs it, and making it would cost as much as a small fit.
        """
        return self.frame_source if isinstance(self.frame_source, pd.DataFrame) else self.frame_source()

    @cached_property
    def N(self) -> int:
        """Number of rows used."""
        return int(self.y.shape[0])

    @property
    def P(self) -> int:
        """Number of fixed-effect columns."""
        return len(self.coef_names)

    @cached_property
    def q(self) -> int:
        """Number of random effects: columns of Z."""
        return sum(term.J * term.p for term in self.terms)

    @property
    def intercept(self) -> bool:
        """Whether X has an intercept column."""
        return "(Intercept)" in self.coef_names

    @property
    def theta_names(self) -> tuple[str, ...]:
        """Names of θ, ``names(getME(m, "theta"))``: ``school.(Intercept)``, ``school.femaleF.(Intercept)``, ..."""
        return tuple(name for term in self.terms for name in term.theta_names)

    @property
    def par_names(self) -> tuple[str, ...]:
        """Names of the parameters that a search is over, ``names(getME(m, "par"))``."""
        return tuple(name for term in self.terms for name in term.par_names)

    @cached_property
    def structure(self) -> Structure | None:
        """The terms' covariance structures; None where all are unstructured."""
        if all(term.structured is None for term in self.terms):
            return None
        return Structure(tuple(term.covariance for term in self.terms))

    @property
    def unique_groups(self) -> tuple[str, ...]:
        """A distinct name for each term, as ``VarCorr`` shows them: ``g``, ``g.1`` (R's ``make.unique``)."""
        return _make_unique([term.group for term in self.terms])

    @property
    def flist(self) -> pd.DataFrame:
        """The grouping factors (``getME(m, "flist")``): a categorical for each distinct one, the data's index."""
        factors: dict[str, pd.Categorical] = {}
        for term in self.terms:
            if term.group not in factors:
                factors[term.group] = pd.Categorical.from_codes(
                    term.codes, categories=pd.Index(term.levels, dtype=object), validate=False
                )
        return pd.DataFrame(factors, index=self.index)

    @cached_property
    def Z(self) -> "sparse.csc_array":
        """Random-effects model matrix, N x q, in lme4's column order: term by term, level by level, effects fastest."""
        from scipy import sparse

        blocks = [random_columns(term.codes, term.columns, term.J) for term in self.terms]
        return sparse.csc_array(sparse.hstack(blocks, format="csc"))

    def encode(self, newdata: pd.DataFrame, *, fixed: bool = True, random: bool | Sequence[bool] = True) -> EncodedRows:
        """Encode new data in this design's codings: same levels, contrasts, ``poly`` and ``scale`` bases.

        Missing values give NaN in X and in the terms' columns (``na.pass``, the default of ``predict.merMod``); the
        response is not needed.

        Parameters
        ----------
        newdata : pandas.DataFrame
        fixed : bool
            Whether the columns of the fixed effects are wanted (and so must exist).
        random : bool or sequence of bool
            Likewise for the random effects: all or none of the terms, or one truth value for each; what is returned
            has the wanted terms only.

        Raises
        ------
        DataError
            A column is missing; a factor has levels the model does not know (new *grouping* levels are reported in
            :attr:`EncodedTerm.new_levels` instead).
        """
        if self.recipe is None:
            raise ModelError("This design was not made by build_design and cannot encode new data.")
        recipe = self.recipe
        data = Data(newdata)
        offset = np.zeros(data.rows)
        X = None
        if fixed:
            predictors = recipe.fixed_plan.variables
            wanted = [v for i, v in enumerate(recipe.fixed.variables) if i != recipe.fixed.response or v in predictors]
            frame = _new_frame(wanted, data, recipe)
            X = recipe.fixed_plan.build(frame)
            if recipe.kept_columns is not None:
                X = X[:, recipe.kept_columns]
            for position in recipe.fixed.offsets:
                offset = offset + _numbers(frame.columns[recipe.fixed.variables[position]])
        terms = []
        chosen = [random] * len(self.terms) if isinstance(random, bool) else random
        if any(chosen):
            for term, (bar, effects, plan), take in zip(self.terms, recipe.random, chosen, strict=True):
                if not take:
                    continue
                groups = [Name(name) for name in all_names(bar.group)]
                frame = _new_frame([*effects.variables, *groups], data, recipe)
                lookup = _as_factors(frame)
                factor = _grouping_factor(bar, frame, all_names(bar.group), lookup)
                known = {level: i for i, level in enumerate(term.levels)}
                new = tuple(level for level in factor.levels if level not in known)
                place = {**known, **{level: term.J + i for i, level in enumerate(new)}}
                lut = np.array([*(place[level] for level in factor.levels), -1], dtype=np.intp)
                codes, columns = lut[factor.codes], plan.build(_effects_frame(all_names(bar.group), frame, lookup))
                columns[codes < 0] = 0.0  # lme4's Z has no entry in a row without a level
                terms.append(EncodedTerm(term.group, term.effects, term.levels, codes, columns, new))
        return EncodedRows(data.index, X, offset, tuple(terms))


def _new_frame(variables: Sequence[Node], data: Data, recipe: _Recipe) -> ModelFrame:
    if data.rows == 0:
        raise DataError("newdata has no rows.")
    return model_frame(variables, data, NEW_DATA, drop_unused=False, bases=recipe.bases)


def _make_unique(names: Sequence[str]) -> tuple[str, ...]:
    """R's ``make.unique``."""
    taken = set(names)
    seen: dict[str, int] = {}
    out = []
    for name in names:
        if name not in seen:
            seen[name] = 0
            out.append(name)
            continue
        while True:
            seen[name] += 1
            candidate = f"{name}.{seen[name]}"
            if candidate not in taken:
                break
        taken.add(candidate)
        out.append(candidate)
    return tuple(out)


def _numbers(column: Column) -> np.ndarray:
    if isinstance(column, Numeric):
        return column.array if column.array.ndim == 1 else column.array[:, 0]
    if isinstance(column, Logical):
        return column.array
    raise DataError("offset must be numeric.")


def _response(node: Node, column: Column) -> np.ndarray:
    if isinstance(column, Logical):
        return column.array
    if isinstance(column, Factor):
        what = "strings" if column.text else "a factor"
        raise DataError(
            f"response must be numeric: {deparse(node)} is {what} (values such as "
            f"{', '.join(map(repr, column.levels[:3]))}). Turn it into numbers."
        )
    if column.array.ndim == 2:
        if column.array.shape[1] > 1:
            raise DataError(
                f"The response {deparse(node)} has {column.array.shape[1]} columns; lmer fits one at a time."
            )
        return column.array[:, 0]
    return column.array


def _interaction(left: Factor, right: Factor) -> Factor:
    """lme4's ``%i%``: used combinations only, ordered by the first factor's levels, then the second's."""
    width = len(right.levels)
    first, second = left.codes.astype(np.int64), right.codes.astype(np.int64)  # pandas' small integers would overflow
    size = len(left.levels) * width
    combined = first * width + second
    gaps = len(first) > 0 and int((first | second).min()) < 0
    missing = (first < 0) | (second < 0) if gaps else None
    if few_enough(size, len(first)):
        codes, used = occurring(combined if missing is None else np.where(missing, size, combined), size)
    else:
        codes, used = pd.factorize(combined if missing is None else np.where(missing, np.nan, combined), sort=True)
        used = np.asarray(used, dtype=np.intp)
    labels = [f"{left.levels[value // width]}:{right.levels[value % width]}" for value in used.tolist()]
    if len(set(labels)) < len(labels):
        # "a:b" with "c" and "a" with "b:c" are one level to lme4, which pastes; the first in the data gives its place.
        first = np.full(len(labels), len(codes), dtype=np.intp)
        np.minimum.at(first, codes[codes >= 0], np.flatnonzero(codes >= 0))
        leader: dict[str, int] = {}
        for i in np.argsort(first, kind="stable").tolist():
            leader.setdefault(labels[i], i)
        kept = sorted(leader.values())
        place = {old: new for new, old in enumerate(kept)}
        merge = np.array([*(place[leader[label]] for label in labels), -1], dtype=np.intp)
        codes, labels = merge[codes], [labels[i] for i in kept]
    return Factor(codes.astype(np.intp, copy=False), tuple(labels), complete=True)


_AsFactor = Callable[[str], Factor]


def _as_factors(frame: ModelFrame) -> _AsFactor:
    """Variables of the frame as factors, by name, each made once for all terms: numbers take time to label."""
    made: dict[str, Factor] = {}

    def lookup(name: str) -> Factor:
        if name not in made:
            made[name] = as_factor(frame.columns[Name(name)])
        return made[name]

    return lookup


def _grouping_factor(bar: Bar, frame: ModelFrame, names: Sequence[str], lookup: _AsFactor) -> Factor:
    """Evaluate the grouping factor of a bar as ``mkBlist`` does: its names are factors of the model frame."""

    def evaluate(node: Node) -> Factor:
        if isinstance(node, Call) and node.fn == "(":
            return evaluate(node.args[0])
        if isinstance(node, Call) and node.fn == ":" and len(node.args) == 2:
            return _interaction(evaluate(node.args[0]), evaluate(node.args[1]))
        if isinstance(node, Name):
            factor = lookup(node.name)
        else:
            evaluator = Evaluator(lookup, lambda name: Name(name) in frame.columns, frame.rows)
            factor = as_factor(evaluator.variable(node))
        return factor

    if isinstance(bar.group, Name) and bar.group in frame.columns:
        return lookup(bar.group.name)
    unknown = [name for name in names if Name(name) not in frame.columns]
    if unknown:
        raise ModelError(
            f"couldn't evaluate grouping factor {bar.group_name} within model frame: object '{unknown[0]}' not found. "
            "lme4 looks for it among the variables of the model; make it a column first, e.g. data['group'] = ..., "
            "and write (1 | group)."
        )
    if not names:
        raise ModelError(f"Invalid grouping factor specification, {bar.group_name}. Write a column's name: (1 | g).")
    try:
        factor = evaluate(bar.group)
    except FormulaError as error:
        raise ModelError(
            f"Invalid grouping factor specification, {bar.group_name}: {error} Right of the bar write a column's name, "
            f"an interaction a:b, or nested factors a/b. {newer_reading(bar.group)}".rstrip()
        ) from error
    return factor.drop_unused()


def _effects_frame(group_names: Sequence[str], frame: ModelFrame, lookup: _AsFactor) -> ModelFrame:
    """Make the frame for a bar's left-hand side: variables of its group are factors (lme4's ``factorize``)."""
    changed: dict[Node, Column] = {
        Name(name): lookup(name) for name in group_names if not isinstance(frame.columns[Name(name)], Factor)
    }
    return replace(frame, columns={**frame.columns, **changed}) if changed else frame


def build_design(
    formula: str,
    data: pd.DataFrame,
    arguments: FrameArguments = FrameArguments(),  # noqa: B008 (frozen)
    *,
    contrasts: Contrasts | None = None,
    checks: CheckControl = LMER_CHECKS,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> Design:
    """Build a mixed model's design as ``lme4::lFormula(formula, data, ...)``.

    Parameters
    ----------
    formula : str
        In R's language: ``"course ~ 1 + female + (1 + female | school)"``.
    data : DataFrame of pandas or polars, pyarrow Table, or another that narwhals reads
        Categoricals are factors (ordered ones too), strings and booleans R's character vectors and logicals.
    arguments : FrameArguments
        Weights, offset, subset and what is done with missing values.
    contrasts : mapping, optional
        Variable -> name (``"contr.sum"``) or matrix; applies to the fixed effects only, as in lme4.
    checks : CheckControl
        What is refused: :data:`~pyimpl.design.checks.LMER_CHECKS` or ``STAN_LMER_CHECKS``.
    dialect : Dialect, mapping or str, optional
        Whose lme4 reads the formula (``(1 | f*g)``, the name of ``(1 | (g:h))``); the newest where not given.

    Raises
    ------
    FormulaError
        The formula cannot be read or calls something that is not allowed.
    DataError
        A column does not fit: missing, infinite, not numeric where it must be, constant response.
    ModelError
        lme4 refuses such a model: no random effects, one level, as many levels as rows, ...

    Warns
    -----
    RankDeficientWarning
        Columns of X were dropped.
    PyimplWarning
        Predictors on very different scales; NaNs from ``log`` of negative numbers.
    """
    words = dialect_of(dialect)
    read = read_formula(formula, words)
    frame = frame_of(read, data, arguments, dialect=words)
    return design_of(read, frame, contrasts=contrasts, checks=checks, dialect=words)


def frame_of(
    read: ReadFormula,
    data: pd.DataFrame,
    arguments: FrameArguments,
    *,
    dialect: Dialect = _NEWEST,
) -> ModelFrame:
    """R's ``model.frame`` of a mixed model's formula: its variables for the rows used; see :func:`build_design`."""
    if arguments.na_action == "na.pass":
        raise DataError(
            "na_action 'na.pass' is not supported: lme4 refuses missing values in y, X and Z. "
            "Use 'na.omit' or 'na.exclude'."
        )
    source = Data(data)
    variables = variables_of(read, source)
    return model_frame(variables, source, arguments, dialect=dialect)


def design_of(
    read: ReadFormula,
    frame: ModelFrame,
    *,
    contrasts: Contrasts | None = None,
    checks: CheckControl = LMER_CHECKS,
    dialect: Dialect = _NEWEST,
) -> Design:
    """y, X and the random-effects terms of a model frame (the rest of ``lme4::lFormula``); see :func:`build_design`.

    Parameters
    ----------
    read : ReadFormula
    frame : ModelFrame
    contrasts : mapping, optional
    checks : CheckControl
    dialect : Dialect

    Returns
    -------
    Design
    """
    notes = _Notes(list(frame.warnings))
    # a copy: the data may change later, the design must not
    y = np.array(_response(frame.variables[0], frame.columns[frame.variables[0]]))
    terms, plans = _random_terms(read, frame)
    _check_terms(terms, frame, checks, notes)
    fixed = _fixed_terms(read, frame)
    _check_contrasts(fixed, contrasts, notes)
    matrix = _fixed_matrix(fixed, frame, contrasts, checks, notes)
    check_names(matrix.names, checks)
    check_duplicates([(term.group, term.effects) for term in terms], checks)
    offset = _total_offset(fixed, frame)
    _refuse_constant(frame.variables[0], y if offset is None else y - offset)
    return Design(
        formula=read.expanded,
        response=read.response,
        index=frame.index,
        y=y,
        X=matrix.X,
        coef_names=matrix.names,
        terms=terms,
        weights=None if frame.weights is None else np.array(frame.weights),
        offset=None if offset is None else np.array(offset),
        frame_source=frame.to_pandas,
        dropped_coefs=matrix.dropped,
        omitted=frame.omitted,
        messages=tuple(notes.messages),
        warnings=tuple(notes.warnings),
        call_formula=read.original,
        na_action=frame.na_action,
        assign=matrix.assign,
        term_labels=fixed.labels,
        recipe=_Recipe(fixed, matrix.plan, matrix.kept, plans, frame.bases, *_random_kinds(read.bars, plans, frame)),
        dialect=dialect,
    )


class _Notes:
    """What R would say and warn about on the way; warned at once, and kept for the fit."""

    def __init__(self, warnings: list[str]) -> None:
        self.warnings = warnings
        self.messages: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        warn(text, PyimplWarning)  # whoever asks for the design

    def dropped(self, names: Sequence[str]) -> None:
        """Columns of X that are linearly dependent."""
        self.messages.append(rank_message(len(names)))
        warn(f"{self.messages[-1]} ({', '.join(names)})", RankDeficientWarning)


_Plans = tuple[tuple[Bar, Terms, MatrixPlan], ...]


def _random_terms(read: ReadFormula, frame: ModelFrame) -> tuple[tuple[RandomTerm, ...], _Plans]:
    """``mkReTrms``: the random-effects terms in lme4's order, and the plans of their model matrices."""
    names = _plain_names(frame)
    terms: list[RandomTerm] = []
    plans: list[tuple[Bar, Terms, MatrixPlan]] = []
    lookup = _as_factors(frame)
    for bar in read.bars:
        term, plan = _random_term(bar, frame, names, lookup)
        terms.append(term)
        plans.append((bar.bar, *plan))
    counts = [term.J for term in terms]
    if any(later > earlier for earlier, later in pairwise(counts)):
        order = sorted(range(len(terms)), key=counts.__getitem__)[::-1]
        terms, plans = [terms[i] for i in order], [plans[i] for i in order]
    return tuple(terms), tuple(plans)


def _plain_names(frame: ModelFrame) -> list[str]:
    """Variables of the frame that are columns of the data, which a ``.`` stands for."""
    return [node.name for node in frame.variables if isinstance(node, Name)]


def _check_terms(terms: Sequence[RandomTerm], frame: ModelFrame, checks: CheckControl, notes: _Notes) -> None:
    """``checkNlevels``, ``checkZdims``, and the weights."""
    found = check_levels(list({term.group: term.J for term in terms}.items()), frame.rows, checks)
    check_weights(frame.weights, checks)
    if all(term.structured is None for term in terms):  # lme4 does not check this where a covariance is structured
        found += check_effects([(term.label, term.J * term.p) for term in terms], frame.rows, checks)
    for text in found:
        notes.warn(text)


def _fixed_terms(read: ReadFormula, frame: ModelFrame) -> Terms:
    """The fixed part expanded; a ``.`` stands for the frame's variables."""
    if read.fixed is not None:
        return read.fixed
    fixed = expand_terms(read.mixed.fixed, _plain_names(frame))
    if frame.weights is not None or frame.offset is not None:
        raise FormulaError(
            "'.' together with weights or offset: lme4 would take these as predictors too. Name the predictors."
        )
    return fixed


def _check_contrasts(fixed: Terms, contrasts: Contrasts | None, notes: _Notes) -> None:
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise DataError(
            f"contrasts is a mapping of variable to contrasts, such as {{'f': 'contr.sum'}}, not {contrasts!r:.60}."
        )
    for name in contrasts or ():
        if name not in fixed.names:
            notes.warn(f"variable '{name}' is absent, its contrast will be ignored")
    if any(term.variables == (fixed.response,) for term in fixed.terms):
        notes.warn("the response appeared on the right-hand side and was dropped")


@dataclass(frozen=True, slots=True)
class _FixedMatrix:
    """X without the columns dropped, and how to make it for new data; `kept` is None where none were dropped."""

    X: np.ndarray
    names: tuple[str, ...]
    assign: tuple[int, ...]
    dropped: tuple[str, ...]
    plan: MatrixPlan
    kept: np.ndarray | None


def _fixed_matrix(
    fixed: Terms, frame: ModelFrame, contrasts: Contrasts | None, checks: CheckControl, notes: _Notes
) -> _FixedMatrix:
    """``model.matrix``, ``chkRank.drop.cols`` and ``checkScaleX``."""
    plan = plan_columns(fixed, frame, contrasts)
    X, names, assign, indicators = plan.build(frame), plan.names, plan.assign, plan.indicators
    with one_blas_thread(frame.rows > FEW_ROWS):
        kept = independent_columns(X)
    dropped: tuple[str, ...] = ()
    if len(kept) < len(names):
        dropped = tuple(name for i, name in enumerate(names) if i not in set(kept.tolist()))
        notes.dropped(dropped)
        X = np.ascontiguousarray(X[:, kept])
        names, assign = tuple(names[i] for i in kept), tuple(assign[i] for i in kept)
        indicators = [indicators[i] for i in kept]
    text = check_scale(X, checks, indicators)
    if text is not None:
        notes.warn(text)
    return _FixedMatrix(X, names, assign, dropped, plan, kept if dropped else None)


def _total_offset(fixed: Terms, frame: ModelFrame) -> np.ndarray | None:
    """The argument ``offset`` plus the formula's ``offset()`` terms, shape (N,)."""
    total = frame.offset
    for position in fixed.offsets:
        part = _numbers(frame.columns[fixed.variables[position]])
        total = part if total is None else total + part
    return total


def _refuse_constant(response: Node, values: np.ndarray) -> None:
    """Refuse a response that is the same in all rows, its offset subtracted."""
    # nearly always the first two rows settle it
    if values.size > 1 and values[1] == values[0] and np.all(values == values[0]):
        raise DataError(
            f"Response is constant: {deparse(response)} is {values[0]:.15g} in each of the {values.size} rows "
            "used. There is nothing to model."
        )


def _random_kinds(
    bars: Sequence[ReadBar], recipes: Sequence[tuple[Bar, Terms, MatrixPlan]], frame: ModelFrame
) -> tuple[dict[Node, Kind], dict[Node, Kind]]:
    """Kinds of the variables of random-effects terms, as such and where they are grouping factors."""
    kinds = {node: column_kind(node, frame) for _, terms, _ in recipes for node in terms.variables}
    groups: dict[Node, Kind] = {}
    for node in {Name(name): None for bar in bars for name in bar.group_names}:
        column = frame.columns[node]
        if node in kinds:
            groups[node] = Kind(as_factor(column).levels, isinstance(column, Factor) and column.ordered)
        elif isinstance(column, Factor):
            kinds[node] = column_kind(node, frame)
    return kinds, groups


def _random_term(
    read: ReadBar, frame: ModelFrame, names: Sequence[str], lookup: _AsFactor
) -> tuple[RandomTerm, tuple[Terms, MatrixPlan]]:
    """One bar's part of ``mkReTrms`` (lme4's ``mkBlist``); its model matrix has default contrasts, as in lme4."""
    factor = _grouping_factor(read.bar, frame, read.group_names, lookup)
    terms = expand_terms(read.effects, names) if read.terms is None else read.terms
    local = _effects_frame(read.group_names, frame, lookup)
    try:
        plan = plan_columns(terms, local)
    except PyimplError as error:
        raise type(error)(f"In the random-effects term ({read.label}): {error}") from error
    if not plan.names:
        raise ModelError(
            f"The random-effects term ({read.label}) has no effects. Write (1 | {read.group}) or leave it out."
        )
    columns = plan.build(local)
    codes = factor.codes.astype(np.intp, copy=False)
    bar = read.bar
    structured = None if bar.structure == "us" else covariance_of(bar.structure, len(plan.names), bar.hom)
    term = RandomTerm(read.group, plan.names, factor.levels, codes, columns, read.label, structured)
    return term, (terms, plan)


@SIGNATURES.leaving("formula", "data")
def model_matrix(
    formula: str,
    data: pd.DataFrame,
    *,
    contrasts: Contrasts | None = None,
    subset: Subset | None = None,
    na_action: str = "na.omit",
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> pd.DataFrame:
    """R's ``model.matrix(formula, model.frame(formula, data, subset, na.action), contrasts)``.

    Parameters
    ----------
    formula : str
        One- or two-sided, without random-effects terms.
    data : pandas.DataFrame
    contrasts, dialect
        As for :func:`build_design`.
    subset, na_action
        As for :class:`~pyimpl.frame.model_frame.FrameArguments`.

    Returns
    -------
    pandas.DataFrame
        float64, R's column names, the data's index of the rows used.

    Raises
    ------
    FormulaError, DataError, ModelError
        As :func:`build_design`.
    """
    source = Data(data)
    terms = expand_terms(parse(formula), source.names)
    arguments = FrameArguments(subset=subset, na_action=na_action)
    frame = model_frame(terms.variables, source, arguments, drop_unused=False, dialect=dialect_of(dialect))
    plan = plan_columns(terms, frame, contrasts)
    return pd.DataFrame(plan.build(frame), index=frame.index, columns=pd.Index(plan.names, dtype=object))
