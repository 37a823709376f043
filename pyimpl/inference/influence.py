"""Influence by deletion: the model fitted again without each group, or each row (``lme4::influence.merMod``).

The measures are lme4's (``cooks.distance``, ``dfbeta``, ``dfbetas`` of an ``influence.merMod``), after Fox and
Weisberg's ``car``. Where a deletion leaves the columns of the design as they are, its rows are simply left out; only
where a factor loses a level is the design made anew.
"""

import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES
from pyimpl.design.design import Design, build_design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import DataError, PyimplError
from pyimpl.frame.model_frame import FrameArguments
from pyimpl.inference.at_optimum import AtOptimum, find_optimum
from pyimpl.inference.control import LmerControl
from pyimpl.inference.convergence import convergence_messages
from pyimpl.inference.random_effects import varcorr_names
from pyimpl.inference.source import Source
from pyimpl.likelihood.reduce import reduce_design
from pyimpl.likelihood.threads import threads_for
from pyimpl.linalg.dqrdc2 import independent_columns
from pyimpl.linalg.forecast import Forecast, foretold
from pyimpl.progress import with_bar
from r_scripts.dialect import Dialect

__all__ = ["Influence", "Refit", "WithoutRows", "deletion_units", "influence", "variance_names", "variances"]

#: A label of what is left out: of a row, or a level.
Unit = Hashable


@SIGNATURES.verbs
@dataclass(frozen=True, repr=False)
class Influence:
    """``influence(m, groups)``: what the fit would be without each unit.

    Attributes
    ----------
    fixed_effects : Series
        Of the whole fit.
    fixed_effects_deleted : DataFrame
        Unit x coefficient; missing where a coefficient cannot be estimated without the unit.
    var_cov_comps : Series
        ``sigma^2``, then the variances ``v[x]`` and covariances ``C[x2,x1]`` of each term (its group before a colon if
        there are several terms).
    var_cov_comps_deleted : DataFrame
        Unit x component.
    vcov : DataFrame
        Covariance matrix of the coefficients.
    vcov_deleted : dict of DataFrame
        By unit.
    groups : str
        ``"case"`` for single rows, else the columns that make up the units, joined by ``.``.
    converged : Series of bool
    function_evals : Series of int
        Evaluations of the criterion; 0 where the unit has no row in use.
    errors : dict of str
        By unit: what made a fit without it impossible. Its rows are missing.
    """

    fixed_effects: pd.Series
    fixed_effects_deleted: pd.DataFrame
    var_cov_comps: pd.Series
    var_cov_comps_deleted: pd.DataFrame
    vcov: pd.DataFrame
    vcov_deleted: dict[Unit, pd.DataFrame]
    groups: str
    converged: pd.Series
    function_evals: pd.Series
    errors: dict[Unit, str]

    @property
    def deleted(self) -> pd.Index:
        """The units, in the order of the data."""
        return self.fixed_effects_deleted.index

    def dfbeta(self, which: str = "fixed") -> pd.DataFrame:
        """``dfbeta(x, which)``: the estimates without a unit minus those with it, unit x parameter.

        Parameters
        ----------
        which : {"fixed", "var.cov"}
            Coefficients, or variances and covariances.
        """
        if which == "fixed":
            return self.fixed_effects_deleted - self.fixed_effects
        if which == "var.cov":
            return self.var_cov_comps_deleted - self.var_cov_comps
        raise DataError(f"dfbeta: which must be 'fixed' or 'var.cov', not {which!r}")

    def dfbetas(self) -> pd.DataFrame:
        """``dfbetas(x)``: :meth:`dfbeta` of the coefficients in units of their standard errors without the unit."""
        change = self.dfbeta()
        se = [np.sqrt(np.diag(self.vcov_deleted[unit].to_numpy())) for unit in self.deleted]
        return pd.DataFrame(change.to_numpy() / np.reshape(se, change.shape), change.index, change.columns)

    def cooks_distance(self) -> pd.Series:
        """``cooks.distance(x)``: (n − p)/(n p) · d'V⁻¹d for each unit; n units, p coefficients, d of :meth:`dfbeta`."""
        change = self.dfbeta().to_numpy()
        n, p = change.shape
        if not p:
            return pd.Series(np.nan, index=self.deleted)
        root = np.linalg.cholesky(self.vcov.to_numpy())
        scaled = np.linalg.solve(root, change.T)
        return pd.Series((n - p) / (n * p) * (scaled**2).sum(axis=0), index=self.deleted)

    def __repr__(self) -> str:
        what = "row" if self.groups == "case" else self.groups
        worst = self.cooks_distance().sort_values(ascending=False).head(3)
        shown = ", ".join(f"{unit} ({value:.3g})" for unit, value in worst.dropna().items())
        return f"Influence by deletion of each {what}: {len(self.deleted)} fits; largest Cook's distances: {shown}"


def variance_names(terms: Sequence[RandomTerm], groups: Sequence[str]) -> list[str]:
    """Names of the variance components, as ``influence.merMod`` has them."""
    names = ["sigma^2"]
    for term, group in zip(terms, groups, strict=True):
        start = f"{group}:" if len(terms) > 1 else ""
        for j in range(term.p):
            for i in range(j, term.p):
                inner = f"v[{term.effects[i]}]" if i == j else f"C[{term.effects[i]},{term.effects[j]}]"
                names.append(start + inner)
    return names


def variances(sigma: float, covariances: Sequence[np.ndarray]) -> np.ndarray:
    """The components that :func:`variance_names` names: σ², then lower triangles by columns."""
    return np.concatenate([[sigma**2], *(S.T[np.triu_indices(S.shape[0])] for S in covariances)])


def deletion_units(
    data: pd.DataFrame, index: pd.Index, groups: str | Sequence[str] | None, used: np.ndarray
) -> tuple[str, dict[Unit, np.ndarray]]:
    """The units to delete: name and, by label, the positions *among the rows used* of their rows.

    Parameters
    ----------
    data : DataFrame
    index : Index
        Labels of the rows of `data`.
    groups : str, sequence of str, or None
        Columns whose combinations are the units; None: each row.
    used : ndarray of int, shape (rows of data,)
        Position of each row among the rows used; -1: left out because of missing values; -2: not in the subset.
    """
    eligible = np.flatnonzero(used > -2)
    if groups is None:
        labels: list[Unit] = list(index[eligible])
        if len(set(labels)) < len(labels):
            labels = list(range(len(labels)))
        return "case", {label: used[[row]][used[[row]] >= 0] for label, row in zip(labels, eligible, strict=True)}
    columns = [groups] if isinstance(groups, str) else list(groups)
    if not columns:
        raise DataError("influence: groups names no column; leave it out to leave out each row in turn")
    missing = [name for name in columns if name not in data.columns]
    if missing:
        known = ", ".join(map(str, list(data.columns)[:20]))
        raise DataError(f"influence: groups {missing[0]!r} is no column of the data. Columns: {known}")
    parts = [data[name].iloc[eligible].reset_index(drop=True) for name in columns]
    if len(parts) == 1:
        keys = parts[0].astype(object)
    else:
        keys = pd.Series([".".join(map(str, row)) for row in zip(*parts, strict=True)], dtype=object)
        keys[np.any([part.isna().to_numpy() for part in parts], axis=0)] = None
    codes, uniques = pd.factorize(keys)
    units = {}
    for code, label in enumerate(uniques):
        positions = used[eligible[codes == code]]
        units[label] = positions[positions >= 0]
    return ".".join(columns), units


def _without_rows(design: Design, rows: np.ndarray) -> Design | None:
    """The design without some of the rows used, or None where its columns would not stay what they are.

    Parameters
    ----------
    design : Design
    rows : ndarray of int
        Positions among the rows used.
    """
    keep = np.ones(design.N, dtype=bool)
    keep[rows] = False
    X = design.X[keep]
    if X.shape[0] <= X.shape[1] or len(independent_columns(X)) < X.shape[1]:
        return None
    terms = []
    for term in design.terms:
        columns = term.columns[keep]
        if term.p > 1 and np.linalg.matrix_rank(columns) < np.linalg.matrix_rank(term.columns):
            return None
        if not columns.any(axis=0).all():
            return None
        present, codes = np.unique(term.codes[keep], return_inverse=True)
        if len(present) < 2 or len(present) >= len(codes):
            return None  # lme4 refuses, and says why
        levels = tuple(term.levels[i] for i in present)
        terms.append(replace(term, levels=levels, codes=codes.astype(np.intp), columns=columns))
    counts = [term.J for term in terms]
    if any(later > earlier for earlier, later in pairwise(counts)):
        return None  # lme4 would put the terms into another order
    y = design.y[keep]
    if (y == y[0]).all():
        return None
    index = design.index[keep]
    frame = design.frame_source
    return replace(
        design,
        index=index,
        y=y,
        X=np.ascontiguousarray(X),
        terms=tuple(terms),
        weights=None if design.weights is None else design.weights[keep],
        offset=None if design.offset is None else design.offset[keep],
        frame_source=(lambda: frame[keep]) if isinstance(frame, pd.DataFrame) else (lambda: frame()[keep]),
        recipe=None,
        omitted=np.empty(0, dtype=np.intp),
    )


#: One deletion: coefficients by name, vcov, components by name, converged, evaluations.
Refit = tuple[pd.Series, pd.DataFrame, pd.Series, bool, int]


def _batch(refit: Callable[[np.ndarray], Refit], parts: Sequence[np.ndarray]) -> list[Refit | str]:
    out: list[Refit | str] = []
    for rows in parts:
        try:
            out.append(refit(rows))
        except (PyimplError, np.linalg.LinAlgError) as failure:
            out.append(str(failure))
    return out


@dataclass(frozen=True)
class WithoutRows:
    """The model fitted again without some of the rows used, from the whole fit's θ, without warnings.

    Attributes
    ----------
    model : AtOptimum
        Of all rows.
    start : ndarray, shape (n_theta,)
    source : Source
    control : LmerControl
    dialect : Dialect
    """

    model: AtOptimum
    start: np.ndarray
    source: Source
    control: LmerControl
    dialect: Dialect

    def __call__(self, rows: np.ndarray) -> "Refit":
        """Fit without the rows at these positions among those used."""
        whole = self.model.design
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            design = _without_rows(whole, rows)
            if design is None:
                mask = np.zeros(len(self.source.data), dtype=bool)
                mask[np.delete(self.source.used_rows(whole), rows)] = True
                given: dict[str, Any] = dict(self.source.arguments)
                design = build_design(
                    whole.call_formula,
                    self.source.data,
                    FrameArguments(given.get("weights"), given.get("offset"), mask, given.get("na_action", "na.omit")),
                    contrasts=given.get("contrasts"),
                    checks=self.control.checks,
                    dialect=given.get("dialect"),
                )
            start = self.start if design.theta_names == whole.theta_names else None
            with threads_for(design):
                reduced = reduce_design(design)
            return self.compared(find_optimum(design, reduced, self.model.REML, self.control, start))

    def compared(self, model: AtOptimum) -> "Refit":
        """What is compared: coefficients, vcov, variances, whether converged, evaluations."""
        design, estimates = model.design, model.estimates
        names = list(design.coef_names)
        groups = varcorr_names([term.group for term in design.terms])
        components = variances(estimates.sigma, estimates.covariances)
        return (
            pd.Series(estimates.beta.copy(), index=names, dtype=float),
            pd.DataFrame(estimates.vcov.copy(), index=names, columns=names),
            pd.Series(components, index=variance_names(design.terms, groups)),
            model.return_code == 0 and not convergence_messages(model, self.control, self.dialect),
            model.optsum.evaluations,
        )


def influence(refit: WithoutRows, groups: str | Sequence[str] | None, n_jobs: int, progress: bool) -> Influence:
    """``influence(m, groups)``; see :meth:`pyimpl.LmerFit.influence`."""
    data, design = refit.source.frame, refit.model.design
    position = np.full(len(data), -2, dtype=np.intp)
    used = refit.source.used_rows(design)
    position[design.omitted] = -1
    position[used] = np.arange(used.size)
    name, units = deletion_units(data, data.index, groups, position)
    return _delete_each(refit, refit.compared(refit.model), name, units, n_jobs, progress)


def _delete_each(
    refit: Callable[[np.ndarray], Refit],
    whole: Refit,
    name: str,
    units: dict[Unit, np.ndarray],
    n_jobs: int,
    progress: bool,
) -> Influence:
    """Fit without each unit.

    Parameters
    ----------
    refit : callable
        Positions of rows -> the fit without them.
    whole : Refit
        Of all rows; what a unit without rows in use gives too.
    name, units
        Of :func:`deletion_units`.
    n_jobs : int
        Workers, as joblib counts them.
    progress : bool
    """
    todo = [label for label, rows in units.items() if rows.size]
    if n_jobs == 1:
        sizes = [1] * len(todo)
        batches: Iterable[list[Refit | str]] = (_batch(refit, [units[label]]) for label in todo)
    else:
        from joblib import Parallel, delayed, effective_n_jobs

        # the fit travels to the worker with each batch: few of them, but enough to even out and to show progress
        count = max(1, min(len(todo), 8 * effective_n_jobs(n_jobs)))
        parts = [[units[todo[i]] for i in part] for part in np.array_split(np.arange(len(todo)), count)]
        sizes = [len(part) for part in parts]
        batches = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_batch)(refit, part) for part in parts)
    forecast = Forecast("influence", sum(sizes), "fits", "Delete the levels of a larger grouping factor, or n_jobs=-1")
    found = [
        result
        for batch in foretold(with_bar("influence", batches, sizes, shown=progress), sizes, forecast)
        for result in batch
    ]
    results: dict[Unit, Refit | str] = dict(zip(todo, found, strict=True))
    beta, vcov, components, _, _ = whole
    nothing: Refit = (beta, vcov, components, True, 0)
    fixed, comps, covs, converged, evals, errors = [], [], {}, [], [], {}
    for label in units:
        result = results.get(label, nothing)
        if isinstance(result, str):
            errors[label] = result
            result = (beta * np.nan, vcov * np.nan, components * np.nan, False, 0)
        fixed.append(result[0].reindex(beta.index).to_numpy())
        covs[label] = result[1].reindex(index=beta.index, columns=beta.index)
        comps.append(result[2].reindex(components.index).to_numpy())
        converged.append(result[3])
        evals.append(result[4])
    index = pd.Index(list(units), name=None)
    return Influence(
        fixed_effects=beta,
        fixed_effects_deleted=pd.DataFrame(np.reshape(fixed, (len(index), len(beta))), index=index, columns=beta.index),
        var_cov_comps=components,
        var_cov_comps_deleted=pd.DataFrame(
            np.reshape(comps, (len(index), len(components))), index=index, columns=components.index
        ),
        vcov=vcov,
        vcov_deleted=covs,
        groups=name,
        converged=pd.Series(converged, index=index, dtype=bool),
        function_evals=pd.Series(evals, index=index, dtype="int64"),
        errors=errors,
    )
