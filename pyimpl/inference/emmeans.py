"""Estimated marginal means, trends, and joint tests of a fit's terms, as R's emmeans has them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypedDict, Unpack, cast

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.errors import DataError, PyimplWarning
from pyimpl.formula.parse import Name, Node, all_names, parse
from pyimpl.frame.columns import Data
from pyimpl.frame.model_frame import NEW_DATA, model_frame
from pyimpl.inference.contract import Fit
from pyimpl.inference.contrast_families import DESCRIPTIONS, ContrastOptions
from pyimpl.inference.emm_combine import EmmList
from pyimpl.inference.emm_grid import EmmGrid, EmmPair, EmmSummary, joint_messages, joint_note
from pyimpl.inference.emm_text import At, Level, label_of
from pyimpl.inference.nested_means import nested_means, nesting_note, only_there
from pyimpl.inference.reference_grid import (
    OFFSET,
    CovReduce,
    GridOptions,
    expand_grid,
    find_nests,
    predictors_of,
    reference_grid,
)
from r_scripts.caller import warn

__all__ = [
    "GridArguments",
    "JointTestsArguments",
    "MeansArguments",
    "Several",
    "Specs",
    "TrendsArguments",
    "emmeans",
    "emtrends",
    "joint_tests",
    "ref_grid",
]

#: Variables, or R's formula of them.
Specs: TypeAlias = str | Sequence[str]

#: R's list of specs, with names or without.
Several: TypeAlias = Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]

_STEP = 0.001  # emtrends' delta.var, in ranges of the covariate


class GridArguments(TypedDict, total=False):
    """Arguments of :func:`ref_grid` after the fit."""

    at: At | None
    cov_reduce: CovReduce
    cov_keep: Sequence[str]
    ddf: str | float | None
    ddf_limit: int


class AveragingArguments(TypedDict, total=False):
    """The rarer arguments of :func:`emmeans` and its kin: of the grid, and of how it is averaged over.

    R hands them on to ``ref_grid`` and ``emmeans`` likewise, by its ``...``.
    """

    weights: str | Sequence[float]
    cov_reduce: CovReduce
    cov_keep: Sequence[str]
    nesting: bool
    ddf_limit: int


class MeansOptions(AveragingArguments, ContrastOptions, total=False):
    """Arguments of :func:`emmeans` after `level`."""

    infer: bool | tuple[bool, bool]
    type: str


class TrendsOptions(MeansOptions, total=False):
    """Arguments of :func:`emtrends` after `ddf`."""

    delta_var: float | None
    level: Share


class JointTestsArguments(GridArguments, total=False):
    """Arguments of :func:`joint_tests` after `by`."""

    weights: str | Sequence[float]
    nesting: bool
    show0df: bool
    showconf: bool


class MeansArguments(GridArguments, MeansOptions, total=False):
    """Arguments of :func:`emmeans` after `specs`."""

    by: str | Sequence[str] | None
    adjust: str | None
    level: Share


class TrendsArguments(MeansArguments, total=False):
    """Arguments of :func:`emtrends` after `var`."""

    delta_var: float | None


@dataclass(frozen=True, eq=False)
class _Averaging:
    """:class:`AveragingArguments` with their defaults."""

    weights: str | Sequence[float] = "equal"
    cov_reduce: CovReduce = True
    cov_keep: Sequence[str] = ()
    nesting: bool = True
    ddf_limit: int = 3000

    @classmethod
    def taken_from(cls, options: dict[str, Any], what: str, contrasts: str | None = None) -> "_Averaging":
        """Take the arguments out of `options`; what is left is for `contrasts`, and refused where there are none."""
        own = cls(**{one.name: options.pop(one.name) for one in fields(cls) if one.name in options})
        if options and contrasts is None:
            raise DataError(
                f"{what}: {', '.join(options)} is an option of contrasts, and these specs ask for none. Write "
                "'pairwise ~ a', or give it to .contrast()."
            )
        return own

    def grid(self, at: At | None, ddf: str | float | None) -> GridOptions:
        return GridOptions(at, self.cov_reduce, tuple(self.cov_keep), ddf, self.ddf_limit)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Arguments of :func:`emmeans` that all of several specs share; `column` is what their contrasts are called."""

    by: str | Sequence[str] | None
    at: At | None
    adjust: str | None
    ddf: str | float | None
    level: float
    infer: bool | tuple[bool, bool] | None = None
    type: str | None = None
    column: str = "contrast"


@SIGNATURES.checked
def ref_grid(
    fit: Fit,
    at: At | None = None,
    cov_reduce: CovReduce = True,
    cov_keep: Sequence[str] = (),
    ddf: str | float | None = None,
    ddf_limit: int = 3000,
) -> EmmGrid:
    """``emmeans::ref_grid(m, at, cov.reduce, cov.keep)``: predictions for every combination of levels.

    Parameters as of :func:`emmeans`.
    """
    return reference_grid(fit, GridOptions(at, cov_reduce, tuple(cov_keep), ddf, ddf_limit))


@SIGNATURES.checked
def emmeans(
    fit: Fit,
    specs: Specs | Several,
    by: str | Sequence[str] | None = None,
    at: At | None = None,
    adjust: str | None = None,
    ddf: str | float | None = None,
    *,
    level: Share = 0.95,
    **options: Unpack[MeansOptions],
) -> EmmGrid | EmmPair | EmmList:
    """``emmeans::emmeans(m, specs, by, at, adjust, lmer.df)``: estimated marginal means.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    specs : str, sequence of str, or several of them
        Variables whose combinations have a mean each, ``"a"`` or ``["a", "b"]``; or R's formula, ``"~ a | b"``,
        ``"pairwise ~ a"`` (with contrasts). A list of formulas, or a mapping of names to specs, is R's list of specs.
    by : str or sequence of str, optional
        Variables within whose combinations means are compared.
    at : mapping, optional
        Variable -> levels of a factor, or values of a covariate, to take.
    adjust : str, optional
        Adjustment for several tests: ``"tukey"``, ``"sidak"``, ``"bonferroni"``, ``"holm"``, ``"mvt"``,
        ``"scheffe"``, ``"none"``, ...
    ddf : {"kenward-roger", "satterthwaite", "asymptotic"} or float, optional
        Degrees of freedom (R's ``lmer.df``, or ``df``), any case; default Kenward and Roger's, with their adjusted
        standard errors.
    level : float
        Of the confidence intervals.
    **options
        Besides:

        - ``weights`` ("equal", "proportional", "outer", "cells", "flat", or numbers): how the variables averaged over
          are weighted.
        - ``cov_reduce`` (callable, mapping of callables, or bool): a covariate's value in the grid, from its values in
          the data; default their mean. Covariates with two distinct values have both. False: every value.
        - ``cov_keep`` (names): covariates that keep every value.
        - ``nesting`` (bool): whether nesting is looked for; False takes all factors as crossed (R's
          ``nesting = NULL``).
        - ``ddf_limit`` (int): rows up to which degrees of freedom are computed (3000); beyond they are infinite, with a
          warning.
        - ``infer`` (bool, or a pair): whether intervals, and tests, are shown.
        - ``type`` ("link" or "response"): of a response that the formula transforms, ``log(y)``, ``sqrt(y)``, the scale
          of what is shown; differences of logarithms are ratios.
        - ``ref``, ``reverse``, ``wts``, ``max_degree``: of the contrasts (see :meth:`EmmGrid.contrast`).

    Returns
    -------
    EmmGrid, EmmPair or EmmList
        ``.frame``, ``str()`` as R prints, ``.contrast()``, ``.pairs()``, ``.confint()``, ``.test()``; for a two-sided
        formula both the means (``.emmeans``) and ``.contrasts``; for several specs all of them by what they are.

    Raises
    ------
    DataError
        A variable that is not a predictor, a level that is not there, an unknown method.

    Warns
    -----
    PyimplWarning
        The variables interact with others, which are averaged over; factors are nested in others: means of a nested
        factor are shown within these, and it is averaged over where it occurs.
    """
    several = _several(specs)
    rest: dict[str, Any] = dict(options)
    asked = _Asked(by, at, adjust, ddf, level, rest.pop("infer", None), rest.pop("type", None))
    if several is None:
        return _means_of(fit, cast(Specs, specs), asked, rest)
    out = EmmList()
    for name, one in several:
        own = dict(rest)
        if _specification(one, by)[0] is None:  # options of contrasts are for the specs that ask for some
            own = {key: value for key, value in own.items() if key in AveragingArguments.__annotations__}
        column = "contrast" if name is None else f"{name}.contrast"
        found = _means_of(fit, one, replace(asked, column=column), own)
        means = found.emmeans if isinstance(found, EmmPair) else found
        variables = ", ".join(variable for variable in means.grid.columns if variable not in means.by)
        of = f" of {variables}" + (f" | {', '.join(means.by)}" if means.by else "")
        if not isinstance(found, EmmPair):
            out[f"emmeans{of}" if name is None else name] = means
            continue
        family = DESCRIPTIONS.get(_specification(one, by)[0] or "", "contrasts")
        out |= {
            f"emmeans{of}" if name is None else f"{name} emmeans": means,
            f"{family}{of}" if name is None else f"{name} {family}": found.contrasts,
        }
    return out


def _several(specs: Specs | Several) -> list[tuple[str | None, Specs]] | None:
    """The names and specs of a list of specs; None where it is one alone."""
    if isinstance(specs, Mapping):
        return [(str(name), one) for name, one in specs.items()]
    if isinstance(specs, str) or all(isinstance(one, str) and "~" not in one for one in specs):
        return None
    return [(None, one) for one in specs]


def _means_of(fit: Fit, specs: Specs, asked: _Asked, rest: dict[str, Any]) -> EmmGrid | EmmPair:
    contrasts, wanted, within = _specification(specs, asked.by)
    over = _Averaging.taken_from(rest, "emmeans", contrasts)
    grid = reference_grid(fit, over.grid(asked.at, asked.ddf))
    means = marginal_means(fit, grid, wanted, within, over.weights, over.nesting)
    own_adjust = asked.adjust if asked.adjust is not None and contrasts is None else "none"
    means = replace(means, adjust=own_adjust).showing(asked.infer, asked.level, asked.type)
    if contrasts is None:
        return means
    own = means.contrast(contrasts, adjust=asked.adjust, name=asked.column, **rest)
    return EmmPair(means, own.showing(asked.infer))


def _specification(specs: Specs, by: str | Sequence[str] | None) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Contrasts, variables and `by` variables of the arguments `specs` and `by`."""
    groups = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    if not isinstance(specs, str):
        return None, tuple(specs), groups
    if "~" not in specs:
        return None, (specs,), groups
    left, _, right = specs.partition("~")
    main, _, rest = right.partition("|")
    names = tuple(_names_in(main))
    groups = tuple(dict.fromkeys([*_names_in(rest), *groups])) if rest.strip() else groups
    groups = tuple(name for name in groups if name not in names)
    return left.strip() or None, names, groups


def _names_in(text: str) -> list[str]:
    tree: Node = parse(text)
    if tree in (parse("1"), parse("1L")):
        return ["1"]
    names = list(dict.fromkeys(all_names(tree)))
    if not names:
        raise DataError(f"specs: there is no variable in {text.strip()!r}")
    return names


def _interacts(names: set[str], grid: EmmGrid) -> bool:
    return any(names < variables for variables in grid.term_variables)


def marginal_means(
    fit: Fit,
    grid: EmmGrid,
    specs: tuple[str, ...],
    by: tuple[str, ...],
    weights: str | Sequence[float] = "equal",
    nesting: bool = True,
    quiet: bool = False,
) -> EmmGrid:
    """Average a grid over all variables but these.

    Parameters as of :func:`emmeans`; `quiet` gives no warnings.
    """
    facs = tuple(dict.fromkeys([*specs, *by]))
    known: dict[str, list[Level]] = {**grid.levels, "1": ["overall"]} if "1" in facs else dict(grid.levels)
    for name in facs:
        if name not in known or name == OFFSET:
            there = ", ".join(variable for variable in grid.levels if variable != OFFSET) or "none"
            raise DataError(f"emmeans: no variable named {name!r} in the reference grid; there are: {there}")
    nests = find_nests(fit, grid) if nesting else {}
    if nests:
        if not quiet:
            warn(nesting_note(nests), PyimplWarning)

        def averaged(part: EmmGrid, kept: tuple[str, ...], within: tuple[str, ...], silent: bool) -> EmmGrid:
            return _averages(part, kept, within, weights, quiet or silent)

        return nested_means(grid, specs, by, nests, averaged)
    return _averages(grid, specs, by, weights, quiet)


def _averages(
    grid: EmmGrid,
    specs: tuple[str, ...],
    by: tuple[str, ...],
    weights: str | Sequence[float],
    quiet: bool,
) -> EmmGrid:
    """Average a grid in which all combinations of levels are rows, the first variable fastest."""
    facs = tuple(dict.fromkeys([*specs, *by]))
    known: dict[str, list[Level]] = {**grid.levels, "1": ["overall"]} if "1" in facs else dict(grid.levels)
    names = [name for name in grid.levels if len(grid.levels[name]) > 1]  # an array has 64 dimensions at most
    averaged = [name for name in names if name not in facs]
    levels = {name: known[name] for name in facs}
    dims = [len(grid.levels[name]) for name in names]
    index = np.arange(len(grid.linfct)).reshape(dims, order="F")  # the first variable varies fastest
    axes = [names.index(name) for name in facs if name in names]
    rest = [k for k in range(len(names)) if k not in axes]
    cells = np.transpose(index, [*axes, *rest]).reshape(
        int(np.prod([dims[k] for k in axes])) if axes else 1, -1, order="F"
    )
    counts = np.ones(len(grid.linfct)) if grid.weights is None else grid.weights
    counts = counts + 1 if not counts.any() else counts
    share = _shares(weights, cells, counts, [dims[k] for k in rest]) if averaged else None
    rows, offsets = [], []
    for cell in cells:
        own = np.full(len(cell), 1 / len(cell)) if share is None else share(cell)
        rows.append(own @ grid.linfct[cell])
        offsets.append(0.0 if grid.offset is None else float(own @ grid.offset[cell]))
    if not quiet and _interacts({*facs, *([grid.trend] if grid.trend else [])}, grid):
        text = "NOTE: Results may be misleading due to involvement in interactions"
        warn(text, PyimplWarning)
    return replace(
        grid,
        grid=expand_grid(levels),
        levels=levels,
        linfct=np.array(rows),
        weights=np.array([counts[cell].sum() for cell in cells]),
        offset=None if grid.offset is None else np.array(offsets),
        estimate="emmean" if grid.estimate == "prediction" else grid.estimate,
        infer=(True, False),
        adjust="none",
        family_size=float(len(rows)),
        by=tuple(by),
        averaged_over=tuple(dict.fromkeys([*grid.averaged_over, *averaged])),
    )


def _shares(
    weights: str | Sequence[float], cells: np.ndarray, counts: np.ndarray, dims: Sequence[int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the weights of the rows that one mean averages, as a function of them (they sum to 1)."""
    known = ("equal", "proportional", "outer", "cells", "flat")
    if not isinstance(weights, str):
        given = np.asarray(weights, dtype=float)
        if given.shape != (cells.shape[1],):
            raise DataError(f"weights: {given.size} numbers; {cells.shape[1]} combinations are averaged over")
        return lambda cell: given / given.sum()
    fits = [name for name in known if name.startswith(weights)] if weights else []
    if len(fits) != 1:
        raise DataError(f"weights is one of {', '.join(known)}, or numbers; not {weights!r}")
    if fits[0] == "equal":
        return lambda cell: np.full(len(cell), 1 / len(cell))
    total = counts[cells].sum(axis=0)
    if fits[0] == "proportional":
        return lambda cell: total / total.sum()
    if fits[0] == "outer":
        table = total.reshape(dims, order="F")
        size = table.sum()
        product = np.ones(1)
        for axis in range(table.ndim):
            margin = table.sum(axis=tuple(k for k in range(table.ndim) if k != axis)) / size
            product = np.multiply.outer(margin, product).ravel()
        return lambda cell: product / product.sum()

    def by_cells(cell: np.ndarray) -> np.ndarray:
        own = counts[cell] if fits[0] == "cells" else (counts[cell] > 0).astype(float)
        with np.errstate(invalid="ignore"):
            shares: np.ndarray = own / own.sum()
        return shares

    return by_cells


@SIGNATURES.checked
def emtrends(
    fit: Fit,
    specs: str | Sequence[str],
    var: str,
    by: str | Sequence[str] | None = None,
    at: At | None = None,
    adjust: str | None = None,
    ddf: str | float | None = None,
    **options: Unpack[TrendsOptions],
) -> EmmGrid | EmmPair:
    """``emmeans::emtrends(m, specs, var)``: slopes of a covariate, at or within levels of other variables.

    Parameters
    ----------
    var : str
        A covariate, or a function of one: ``"log(x)"``.
    fit, specs, by, at, adjust, ddf
        As of :func:`emmeans`.
    **options
        ``delta_var``: step of the difference quotient, default a thousandth of the covariate's range; others as of
        :func:`emmeans`.

    Returns
    -------
    EmmGrid or EmmPair
        Estimates are called ``x.trend``.
    """
    contrasts, wanted, within = _specification(specs, by)
    rest: dict[str, Any] = dict(options)
    delta_var, level, infer = rest.pop("delta_var", None), rest.pop("level", 0.95), rest.pop("infer", None)
    over = _Averaging.taken_from(rest, "emtrends", contrasts)
    node = parse(var)
    inside = list(dict.fromkeys(all_names(node)))
    known = predictors_of(fit)
    if len(inside) != 1 or inside[0] not in known.names:
        raise DataError(f"emtrends: var is a covariate of the model or a function of one, not {var!r}")
    name = inside[0]
    values = Data(known.data).column(name)
    try:
        numbers = np.asarray(values.array, dtype=float)  # type: ignore[union-attr]
    except AttributeError as error:
        raise DataError(f"emtrends: {name} is a factor and has no slope") from error
    step = _STEP * float(numbers.max() - numbers.min()) if delta_var is None else float(delta_var)
    if step == 0:
        raise DataError("emtrends: delta_var must not be 0")
    grid_options = over.grid(at, ddf)
    low = reference_grid(fit, grid_options)
    high = reference_grid(fit, grid_options, (name, step))
    width: np.ndarray | float = step
    if not isinstance(node, Name):
        width = _evaluated(node, high.grid) - _evaluated(node, low.grid)
    linfct = (high.linfct - low.linfct) / np.reshape(width, (-1, 1))
    levels = dict(low.levels)
    slopes = replace(low, linfct=linfct, offset=None, levels=levels, estimate=f"{var}.trend", trend=name)
    slopes = replace(slopes, scale=None)  # slopes stay as they are
    if OFFSET in levels:
        slopes = _without_offset(slopes)
    means = marginal_means(fit, slopes, wanted, within, over.weights, over.nesting)
    means = replace(means, adjust=adjust if adjust is not None and contrasts is None else "none")
    means = means.showing(infer, level)
    if contrasts is None:
        return means
    return EmmPair(means, means.contrast(contrasts, adjust=adjust, **rest).showing(infer), "emtrends")


def _without_offset(grid: EmmGrid) -> EmmGrid:
    """Leave out the offset, which has no part in slopes."""
    count = len(grid.levels[OFFSET])
    rows = slice(0, len(grid.linfct) // count)  # it is the last variable, and so the slowest
    assert grid.weights is not None
    return replace(
        grid,
        grid=grid.grid.iloc[rows].reset_index(drop=True),
        levels={name: values for name, values in grid.levels.items() if name != OFFSET},
        linfct=grid.linfct[rows],
        weights=grid.weights.reshape(count, -1).sum(axis=0),
    )


def _evaluated(node: Node, grid: pd.DataFrame) -> np.ndarray:
    frame = model_frame([node], Data(grid), NEW_DATA)
    values: np.ndarray = np.asarray(frame.columns[node].array, dtype=float)  # type: ignore[union-attr]
    return values


def _mean_and_interval(values: np.ndarray) -> np.ndarray:
    """Return ``meanint``: a unit below and above the mean, so that covariates have something to test."""
    ends: np.ndarray = np.mean(values) + np.array([-1.0, 1.0])
    return ends


@SIGNATURES.checked
def joint_tests(
    fit: Fit,
    by: str | Sequence[str] | None = None,
    at: At | None = None,
    ddf: str | float | None = None,
    *,
    show0df: bool = False,
    showconf: bool = True,
    **options: Unpack[AveragingArguments],
) -> EmmSummary:
    """``emmeans::joint_tests(m, by)``: an F test of each term's contrasts of marginal means (like type III tests).

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
        Of a posterior the tests are of its means and covariance matrix, with infinite degrees of freedom, as in R.
    by : str or sequence of str, optional
        Variables within whose combinations terms are tested.
    show0df : bool
        Whether terms of which nothing can be tested are shown.
    showconf : bool
        Whether what is confounded with other terms is shown (rank-deficient models).
    at, ddf, **options
        As of :func:`emmeans`, without those of contrasts; but covariates are a unit below and above their mean.

    Returns
    -------
    EmmSummary
        ``model term``, (`by`,) ``df1``, ``df2``, ``F.ratio``, ``p.value``, (``note``); F has three decimals and degrees
        of freedom two, as in R.
    """
    groups = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    over = _Averaging.taken_from({"cov_reduce": _mean_and_interval, **options}, "joint_tests")
    grid = reference_grid(fit, over.grid(at, ddf))
    facs = [name for name in grid.levels if name not in groups and name != OFFSET and len(grid.levels[name]) >= 1]
    if not facs:
        raise DataError("joint_tests: there are no factors to test")
    nests = find_nests(fit, grid) if over.nesting else {}
    tested_together = (*grid.term_variables, *(frozenset([name, *within]) for name, within in nests.items()))
    parts: list[tuple[int, pd.DataFrame, list[np.ndarray | None]]] = []
    for these in _subsets(facs):
        nesters = [parent for name in these for parent in nests.get(name, ())]
        if not set(nesters) <= set(these) or not any(set(these) <= variables for variables in tested_together):
            continue
        means = marginal_means(fit, grid, these, groups, over.weights, over.nesting, True)
        if all(len(means.levels[name]) < 2 for name in these):
            continue
        contrasts = means.contrast("consec", interaction=True, by=list(dict.fromkeys([*groups, *nesters])))
        parts.append((len(these), *_tests_of(contrasts, groups, ":".join(these))))
    order = sorted(range(len(parts)), key=lambda i: parts[i][0])
    tables = [parts[i][1] for i in order]
    if showconf:
        there = only_there(grid, tuple(nests), nests) if nests else grid
        found = _confounded(fit, there, groups, [part[2] for part in parts], over.weights)
        tables += [] if found is None else [found]
    table = pd.concat(tables, ignore_index=True)
    for name in groups:  # a factor stays one, with its levels in their order, whatever pandas made of it
        kind = grid.grid[name].dtype
        if isinstance(kind, pd.CategoricalDtype) and isinstance(tables[0][name].dtype, pd.CategoricalDtype):
            table[name] = pd.Categorical([label_of(value) for value in table[name]], categories=kind.categories)
    if not show0df:
        table = table[table["df1"] > 0].reset_index(drop=True)
    notes = [int(note) for note in table.pop("note")]
    if any(notes):
        table["note"] = [joint_note(note) for note in notes]
    return EmmSummary(table, "F.ratio", groups, joint_messages(notes))


def _subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of the names, in the order in which emmeans visits them."""
    out: list[tuple[str, ...]] = []

    def visit(these: tuple[str, ...], start: int) -> None:
        if these:
            out.append(these)
        for i in range(start, len(names)):
            visit((*these, names[i]), i + 1)

    visit((), 0)
    return out


def _tests_of(contrasts: EmmGrid, by: tuple[str, ...], label: str) -> tuple[pd.DataFrame, list[np.ndarray | None]]:
    groups = contrasts.rows_of(by)
    tests = [contrasts.basis.joint_test(contrasts.linfct[rows]) for rows in groups]
    first = [int(rows[0]) for rows in groups]
    columns: dict[str, Any] = {"model term": [label] * len(tests)}
    columns |= {name: contrasts.grid[name].iloc[first].reset_index(drop=True) for name in by}
    columns |= {
        "df1": [float(test.df1) for test in tests],
        "df2": [test.df2 for test in tests],
        "F.ratio": [test.F for test in tests],
        "p.value": [test.p for test in tests],
        "note": [test.note for test in tests],
    }
    return pd.DataFrame(columns), [test.rows for test in tests]


def _confounded(
    fit: Fit,
    grid: EmmGrid,
    by: tuple[str, ...],
    tested: Sequence[Sequence[np.ndarray | None]],
    weights: str | Sequence[float],
) -> pd.DataFrame | None:
    """Test what all contrasts of the grid hold beyond the terms' own: effects that cannot be told apart."""
    from scipy.special import fdtrc

    whole = grid.contrast("consec", by=list(by), name=".cnt.")
    table, _ = _tests_of(whole, by, "(confounded)")
    numbers = table[["df1", "df2", "F.ratio"]].to_numpy(dtype=float)
    for g in range(len(table)):
        rows = [part[g] for part in tested if part[g] is not None]
        own = grid.basis.joint_test(np.vstack(rows)) if rows else None  # type: ignore[arg-type]
        df1, df2, F = (float(x) for x in numbers[g])
        spent, statistic = (own.df1, own.F) if own is not None else (0, 0.0)
        left = df1 - spent
        table.loc[g, "df1"] = left
        if left > 0:
            rest = (df1 * F - spent * statistic) / left
            table.loc[g, "F.ratio"] = rest
            table.loc[g, "p.value"] = 1.0 if rest <= 0 else float(fdtrc(left, min(df2, 1e15), rest))
        table.loc[g, "note"] = 0
    return table
