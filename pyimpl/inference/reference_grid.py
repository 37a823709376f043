"""The reference grid of a model: combinations of factors' levels, covariates at their mean (``emmeans::ref_grid``)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.arguments import as_numbers
from pyimpl.design.accessors import fixed_formula
from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.formula.parse import Call, Name, Node, all_names, parse
from pyimpl.frame.columns import Data, Factor, Logical, Numeric
from pyimpl.frame.model_frame import NEW_DATA, ModelFrame, model_frame
from pyimpl.inference.contract import Fit, LikelihoodFit, PosteriorFit
from pyimpl.inference.emm_grid import EmmGrid
from pyimpl.inference.emm_text import At, Level, Values, label_of, paste_levels
from pyimpl.inference.emm_transformation import transformation_of
from pyimpl.inference.kenward_roger import KenwardRoger
from pyimpl.inference.linear_functions import Basis, null_space
from pyimpl.inference.tidying import used_positions
from pyimpl.text.numbers import r_round
from r_scripts.caller import warn

__all__ = ["GridOptions", "Predictors", "expand_grid", "find_nests", "predictors_of", "reference_grid"]

OFFSET = ".offset."  # R's name of a variable of the grid, never shown
_OPERATORS = frozenset({"~", "+", "-", "*", "/", ":", "(", "|"})
_KEPT = 2  # emm_options("cov.keep"): covariates with no more distinct values are like factors
_METHODS = ("kenward-roger", "satterthwaite", "asymptotic")  # of degrees of freedom
_LARGEST = 10_000  # emm_options("rg.limit")

#: What a covariate is reduced to: one value or several.
Reduction = float | Sequence[float] | np.ndarray

#: How covariates are reduced: one function for all, or one each; False keeps every value.
CovReduce = Callable[[np.ndarray], Reduction] | Mapping[str, Callable[[np.ndarray], Reduction]] | bool


@dataclass(frozen=True)
class GridOptions:
    """How a reference grid is made.

    Attributes
    ----------
    at : mapping, optional
        Variable -> levels or values to take.
    cov_reduce : callable, mapping of callables, or bool
    cov_keep : tuple of str
        Covariates whose distinct values are all kept.
    ddf : str or float, optional
        ``"kenward-roger"`` (R's default), ``"satterthwaite"``, ``"asymptotic"``, or a number.
    ddf_limit : int
        Rows up to which degrees of freedom are computed.
    """

    at: At | None = None
    cov_reduce: CovReduce = True
    cov_keep: tuple[str, ...] = ()
    ddf: str | float | None = None
    ddf_limit: int = 3000


@dataclass(frozen=True, eq=False)
class Predictors:
    """The fixed effects' variables as columns of the data, for the rows used.

    Attributes
    ----------
    data : DataFrame
        Rows used.
    names : tuple of str
        In order of the formula.
    frame : ModelFrame
        The formula's variables, evaluated.
    coerced_factors, coerced_covariates : frozenset of str
        Columns that the formula alone makes factors (``factor(k)``), or numbers.
    offset : ndarray, shape (N,), or None
        None where all are 0.
    weights : ndarray, shape (N,), or None
    """

    data: pd.DataFrame
    names: tuple[str, ...]
    frame: ModelFrame
    coerced_factors: frozenset[str]
    coerced_covariates: frozenset[str]
    offset: np.ndarray | None
    weights: np.ndarray | None


def _fixed_nodes(fit: Fit) -> list[Node]:
    recipe = fit.design.recipe
    if recipe is None:
        raise ModelError("this fit was made from a design without its formula: its variables are not known")
    return [node for i, node in enumerate(recipe.fixed.variables) if i != recipe.fixed.response]


def _calls(node: Node) -> set[str]:
    if not isinstance(node, Call):
        return set()
    return {node.fn}.union(*(_calls(arg) for arg in node.args))


def predictors_of(fit: Fit) -> Predictors:
    """Recover the data of the fixed effects (``emmeans::recover_data``)."""
    recipe = fit.design.recipe
    nodes = _fixed_nodes(fit)
    assert recipe is not None
    every = fit.getData()
    data = every.iloc[used_positions(every.index, fit)]
    known = {str(column) for column in data.columns}
    names = tuple(dict.fromkeys(name for node in nodes for name in all_names(node) if name in known and name != "pi"))
    frame = model_frame(nodes, Data(data), NEW_DATA, bases=recipe.bases) if nodes else None
    columns = Data(data)
    factors = {name for name in names if _is_factor(columns.column(name))}
    made_factors: set[str] = set()
    made_covariates: set[str] = set()
    if frame is not None:
        for node in nodes:
            inside = set(all_names(node)) & set(names)
            if isinstance(node, Name):
                continue
            if _is_factor(frame.columns[node]):
                made_factors |= inside - factors
            else:
                made_covariates |= inside & factors
    right = parse(fixed_formula(fit.design.formula))
    assert isinstance(right, Call)
    offset = fit.design.offset
    # emmeans counts prior weights only where it has to recover the data, because the formula calls functions
    counted = bool(_calls(right.args[-1]) - _OPERATORS)
    assert frame is not None or not names
    return Predictors(
        data,
        names,
        frame if frame is not None else model_frame([], Data(data), NEW_DATA),
        frozenset(made_factors),
        frozenset(made_covariates),
        offset if offset is not None and np.any(offset != 0) else None,
        fit.design.weights if counted else None,
    )


def _is_factor(column: Any) -> bool:
    return isinstance(column, Factor) and not column.text


def expand_grid(levels: Mapping[str, Sequence[Level]], ordered: Mapping[str, bool] | None = None) -> pd.DataFrame:
    """``expand.grid``: every combination, the first variable fastest; strings are factors in the order given."""
    names = list(levels)
    rows = list(product(*(list(levels[name]) for name in reversed(names))))
    columns: dict[str, Any] = {}
    for k, name in enumerate(names):
        values = [row[len(names) - 1 - k] for row in rows]
        if all(isinstance(value, str) for value in levels[name]):
            categories = pd.Index(list(dict.fromkeys(levels[name])), dtype=object)
            columns[name] = pd.Categorical(values, categories=categories, ordered=bool((ordered or {}).get(name)))
        elif all(isinstance(value, (bool, np.bool_)) for value in levels[name]):
            columns[name] = np.array(values, dtype=bool)
        else:
            columns[name] = np.array([float(value) for value in values])
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))


def _given(at: Values) -> list[Level]:
    values = [at] if isinstance(at, (str, bool, int, float, np.number)) else list(at)
    return [
        value if isinstance(value, str) else bool(value) if isinstance(value, (bool, np.bool_)) else float(value)
        for value in values
    ]


def _reduced(reduce: CovReduce, name: str, values: np.ndarray) -> list[Level]:
    function: Any = np.mean
    if isinstance(reduce, Mapping):
        function = reduce.get(name, np.mean)
    elif not isinstance(reduce, bool):
        function = reduce
    if not callable(function):
        raise DataError(f"cov_reduce is a function of a covariate's values, or one for each; not {function!r}")
    reduced = as_numbers(function(values), f"what cov_reduce makes of {name}")
    return [float(value) for value in np.atleast_1d(reduced)]


def _levels(known: Predictors, options: GridOptions) -> tuple[dict[str, list[Level]], list[str], list[str]]:
    """Levels of each variable; the variables that are like factors; the formula's own factors that `at` restricts."""
    at = dict(options.at or {})
    unknown = [name for name in at if name not in known.names]
    if unknown:
        raise DataError(f"at: {unknown[0]!r} is not a predictor of the model; there are {', '.join(known.names)}")
    columns = Data(known.data)
    threshold = 99 if options.cov_reduce is False else _KEPT
    levels: dict[str, list[Level]] = {}
    cells: list[str] = []
    for name in known.names:
        column = columns.column(name)
        coerced = name in known.coerced_factors
        is_factor = isinstance(column, Factor) and name not in known.coerced_covariates
        if is_factor or isinstance(column, Logical) or coerced:
            cells.append(name)
        if name in at and not coerced:
            levels[name] = _given(at[name])
            if is_factor:
                assert isinstance(column, Factor)
                _check_levels(name, levels[name], column)
        elif isinstance(column, Factor) and is_factor:
            used = set(column.codes.tolist())
            levels[name] = [level for i, level in enumerate(column.levels) if i in used]
        elif isinstance(column, Logical):
            levels[name] = [bool(value) for value in np.unique(column.array)]
        else:
            values = column.codes + 1.0 if isinstance(column, Factor) else _vector(column, name)
            distinct = np.unique(values)
            if coerced:
                levels[name] = [float(value) for value in distinct]
            elif len(distinct) > threshold and name not in options.cov_keep:
                levels[name] = _reduced(options.cov_reduce, name, values)
            else:
                levels[name] = [float(value) for value in distinct]
                cells.append(name)
    restricted = [name for name in at if name in known.coerced_factors]
    return levels, cells, restricted


def _vector(column: Any, name: str) -> np.ndarray:
    assert isinstance(column, Numeric)
    if column.array.ndim == 1:
        return column.array
    raise DataError(f"the predictor {name!r} is a matrix: make its columns variables of their own")


def _check_levels(name: str, given: Sequence[Level], column: Factor) -> None:
    for level in given:
        if level not in column.levels:
            raise DataError(f"at: {level!r} is not a level of {name}; there are {', '.join(column.levels)}")


def _weights(known: Predictors, grid: pd.DataFrame, cells: Sequence[str]) -> np.ndarray:
    """Count the rows of the data (or sum their weights) that have a grid row's levels."""
    prior = np.ones(len(known.data)) if known.weights is None else known.weights
    if not cells:
        return np.ones(len(grid))
    columns = Data(known.data)
    labels = []
    for name in cells:
        column = columns.column(name)
        if isinstance(column, Factor):
            labels.append([column.levels[code] for code in column.codes.tolist()])
        elif isinstance(column, Logical):
            labels.append([label_of(bool(value)) for value in column.array])
        else:
            labels.append([label_of(float(value)) for value in _vector(column, name)])
    totals: dict[str, float] = {}
    for key, weight in zip((" ".join(row) for row in zip(*labels, strict=True)), prior.tolist(), strict=True):
        totals[key] = totals.get(key, 0.0) + weight
    return np.array([totals.get(key, 0.0) for key in paste_levels(grid, cells)])


def model_rows(fit: Fit, grid: pd.DataFrame) -> np.ndarray:
    """Rows of the model matrix, with the columns that were dropped, for a grid of the predictors."""
    recipe = fit.design.recipe
    assert recipe is not None
    wanted = [
        node
        for i, node in enumerate(recipe.fixed.variables)
        if i != recipe.fixed.response and node in recipe.fixed_plan.variables
    ]
    source = grid if grid.shape[1] else pd.DataFrame({".": np.zeros(len(grid))})
    frame = model_frame(wanted, Data(source), NEW_DATA, drop_unused=False, bases=recipe.bases)
    X: np.ndarray = recipe.fixed_plan.build(replace(frame, rows=len(grid)))
    return X


def basis_of(fit: Fit, options: GridOptions, known: Predictors) -> Basis:
    """Coefficients, their covariance matrix and their degrees of freedom, as ``ddf`` asks."""
    recipe = fit.design.recipe
    assert recipe is not None
    K = len(recipe.fixed_plan.names)
    kept = np.arange(K) if recipe.kept_columns is None else np.asarray(recipe.kept_columns)
    beta = np.full(K, np.nan)
    unestimable = None
    if len(kept) < K:
        unestimable = null_space(recipe.fixed_plan.build(known.frame), kept)
    if isinstance(fit, PosteriorFit):
        if options.ddf is not None:
            raise DataError("ddf is for fits of lmer: a posterior has no degrees of freedom")
        draws = fit.stanfit_matrix()[list(fit.fixef().index)].to_numpy()
        beta[kept] = draws.mean(axis=0)
        return Basis(beta, fit.vcov().to_numpy(), unestimable, _infinite, None, draws, fit.sigma())
    assert isinstance(fit, LikelihoodFit)
    beta[kept] = fit.fixef().to_numpy()
    vcov = fit.vcov().to_numpy()
    asked = options.ddf.lower() if isinstance(options.ddf, str) else _METHODS[0]
    methods = [method for method in _METHODS if asked and method.startswith(asked)]  # a beginning will do, as in R
    if len(methods) != 1:
        raise DataError(f"ddf is 'kenward-roger', 'satterthwaite', 'asymptotic' or a number, not {options.ddf!r}")
    (method,) = methods
    if method != "asymptotic" and fit.nobs() > options.ddf_limit:
        warn(
            f"Degrees of freedom are asymptotic because the number of rows exceeds {options.ddf_limit}, as in emmeans; "
            f"for {method}'s give ddf_limit={fit.nobs()}",
            PyimplWarning,
        )
        method = "asymptotic"
    df: Callable[[np.ndarray], float] = _infinite
    if method == "kenward-roger":
        adjusted = fit.small_sample_method("Kenward-Roger")
        assert isinstance(adjusted, KenwardRoger)
        # emmeans takes the unadjusted matrix of the fit itself, of maximum likelihood, too
        df = replace(adjusted, vcov=vcov).df
        vcov = adjusted.adjusted
    elif method == "satterthwaite":
        df = fit.small_sample_method("Satterthwaite").df
    if options.ddf is not None and not isinstance(options.ddf, str):
        number = float(options.ddf)
        if not number > 0:
            raise DataError(f"ddf: degrees of freedom must be positive, not {options.ddf!r}")
        return Basis(beta, vcov, unestimable, lambda _: number, "user-specified", None, fit.sigma())
    if method == "asymptotic":
        return Basis(beta, vcov, unestimable, df, method, None, fit.sigma())

    def of_a_difference(row: np.ndarray) -> float:
        # a difference of what is alike by the model has no variance, so that nothing tells its degrees of freedom
        return df(row) if row.any() else math.nan

    return Basis(beta, vcov, unestimable, of_a_difference, method, None, fit.sigma())


def _infinite(_: np.ndarray) -> float:
    return float("inf")


def reference_grid(fit: Fit, options: GridOptions, shift: tuple[str, float] | None = None) -> EmmGrid:
    """``ref_grid(m, at, cov.reduce, ...)``.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    options : GridOptions
    shift : (str, float), optional
        A covariate, and how much to add to its values (for slopes).

    Returns
    -------
    EmmGrid

    Raises
    ------
    DataError
        `at` names what is not a predictor, or a level that is not there; the grid has more than 10 000 rows.
    """
    known = predictors_of(fit)
    levels, cells, restricted = _levels(known, options)
    if known.offset is not None and isinstance(fit, LikelihoodFit):
        distinct = np.unique(known.offset)
        levels[OFFSET] = [float(x) for x in distinct] if len(distinct) <= _KEPT else [float(known.offset.mean())]
    size = int(np.prod([len(values) for values in levels.values()])) if levels else 1
    if size > _LARGEST:
        raise DataError(f"the reference grid has {size} rows, more than {_LARGEST}: restrict it with `at`")
    columns = Data(known.data)
    ordered = {name: bool(getattr(columns.column(name), "ordered", False)) for name in known.names}
    grid = expand_grid(levels, ordered)
    if not levels:
        grid = pd.DataFrame(index=pd.RangeIndex(1))
    if shift is not None:
        grid[shift[0]] = grid[shift[0]] + shift[1]
    X = model_rows(fit, grid)
    offset = None
    if OFFSET in grid:
        offset = grid[OFFSET].to_numpy()
    elif known.offset is not None and fit.design.recipe is not None and fit.design.recipe.fixed.offsets:
        offset = fit.design.encode(grid, random=False).offset
    for name in restricted:
        wanted = {float(r_round([float(value)], 3)[0]) for value in _given((options.at or {})[name])}
        rounded = r_round(grid[name].to_numpy(dtype=float), 3)
        kept = np.isin(rounded, list(wanted))
        if not kept.any():
            raise DataError(f"at: none of the values given occurs in {name}")
        grid, X = grid[kept].reset_index(drop=True), X[kept]
        offset = None if offset is None else offset[kept]
        levels[name] = [x for x in levels[name] if not isinstance(x, str) and float(r_round([x], 3)[0]) in wanted]
    weights = _weights(known, grid, [name for name in cells if name in grid])
    recipe = fit.design.recipe
    assert recipe is not None
    variables = tuple(
        frozenset(name for position in term.variables for name in all_names(recipe.fixed.variables[position]))
        for term in recipe.fixed.terms
    )
    shown = grid.drop(columns=[name for name in (OFFSET,) if name in grid])
    return EmmGrid(
        basis=basis_of(fit, options, known),
        grid=shown,
        levels=levels,
        linfct=X,
        weights=weights,
        offset=offset,
        family_size=float(len(grid)),
        term_variables=variables,
        scale=transformation_of(recipe.fixed.variables[recipe.fixed.response]),
    )


def find_nests(fit: Fit, grid: EmmGrid) -> dict[str, list[str]]:
    """Which variables are nested in others: in the data, or by the formula (``emmeans:::.find_nests``).

    Returns
    -------
    dict
        Variable -> the variables that it is nested in.
    """
    names = [name for name, values in grid.levels.items() if len(values) > 1]
    nests: dict[str, list[str]] = {}
    if len(names) < 2:
        return nests
    assert grid.weights is not None
    frame = grid.grid
    if OFFSET in names:
        assert grid.offset is not None
        frame = frame.assign(**{OFFSET: grid.offset})
    used = frame[grid.weights > 0]
    for name in names:
        above = {other for other, within in nests.items() if name in within}
        others = [other for other in names if other != name and other not in above]
        inside = [other for other in others if _levels_within(used, name, other) == 1]
        if inside:
            nests[name] = inside
    _nests_of_formula(fit, names, nests)
    for name in list(nests):
        inherited = [other for parent in nests[name] for other in nests.get(parent, [])]
        nests[name] = list(dict.fromkeys([*inherited, *nests[name]]))
    return {name: within for name, within in nests.items() if name not in within}


def _levels_within(used: pd.DataFrame, name: str, other: str) -> int:
    """Largest number of levels of the other variable that a level occurs with."""
    keys = [label_of(value) for value in used[name]]
    values = [label_of(value) for value in used[other]]
    found: dict[str, set[str]] = {}
    for key, value in zip(keys, values, strict=True):
        found.setdefault(key, set()).add(value)
    return max(map(len, found.values()), default=0)


def _nests_of_formula(fit: Fit, names: Sequence[str], nests: dict[str, list[str]]) -> None:
    """Add what the formula says: a variable without a main effect is nested in those it is crossed with in full."""
    recipe = fit.design.recipe
    assert recipe is not None
    terms = recipe.fixed
    # a variable of the formula stands for the only column that it is made of
    own = {}
    for position, node in enumerate(terms.variables):
        inside = all_names(node)
        if position != terms.response and len(set(inside)) == 1 and inside[0] in names:
            own[position] = inside[0]
    present = list(dict.fromkeys(own.values()))
    codes = [
        {own[position]: code for position, code in zip(term.variables, term.codes, strict=True) if position in own}
        for term in terms.terms
    ]
    main = {
        next(iter(code)) for code, term in zip(codes, terms.terms, strict=True) if len(term.variables) == 1 and code
    }
    for name in present:
        if name in main:
            continue
        columns = [code for code in codes if code.get(name) == 1] or [code for code in codes if code.get(name) == 2]
        sets = [[other for other, value in code.items() if value == 2 and other != name] for code in columns]
        if len({len(one) for one in sets}) > 1:
            sets.sort(key=len)
            for i in range(len(sets) - 1, 0, -1):
                if any(set(earlier) <= set(sets[i]) for earlier in sets[:i]):
                    del sets[i]
        within = list(dict.fromkeys(other for one in sets for other in one))
        if within:
            nests[name] = list(dict.fromkeys([*nests.get(name, []), *within]))
