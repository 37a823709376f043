"""New responses from a fitted model, for the rows used or for new ones (``lme4:::.simulateFun``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, as_numbers, generator
from pyimpl.design.design import Design, EncodedTerm
from pyimpl.design.re_form import wanted_effects
from pyimpl.errors import DataError
from pyimpl.inference.estimates import Estimates
from pyimpl.inference.point_prediction import refuse_new_levels
from pyimpl.likelihood.reduce import Reduced
from pyimpl.linalg.forecast import refuse_too_large

__all__ = [
    "ClusterRand",
    "NewParameters",
    "SimulationRows",
    "draw_response",
    "new_parameters",
    "rows_to_simulate",
    "simulate_rows",
]


#: Draws random effects before they are scaled: from a generator and a shape.
ClusterRand = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

#: Parameters to take instead of the estimates: ``beta``, ``theta`` (or ``par``), ``sigma``.
NewParameters = Mapping[str, Sequence[float] | np.ndarray | pd.Series | float]


@dataclass(frozen=True)
class SimulationRows:
    """Rows to simulate, in the codings of the fit.

    Attributes
    ----------
    index : pandas.Index
    X : ndarray, shape (rows, P)
    offset : ndarray, shape (rows,), or None
    terms : tuple of EncodedTerm
    """

    index: pd.Index
    X: np.ndarray
    offset: np.ndarray | None
    terms: tuple[EncodedTerm, ...]

    @classmethod
    def of_design(cls, design: Design) -> "SimulationRows":
        """Return the rows used."""
        terms = tuple(EncodedTerm(t.group, t.effects, t.levels, t.codes, t.columns) for t in design.terms)
        return cls(design.index, design.X, design.offset, terms)

    @classmethod
    def of_data(cls, design: Design, newdata: pd.DataFrame) -> "SimulationRows":
        """Return the rows of new data; the ``offset`` argument of the fit has no part in them, as in ``predict``."""
        rows = design.encode(newdata)
        assert rows.X is not None
        return cls(rows.index, rows.X, rows.offset, rows.terms)


def rows_to_simulate(design: Design, newdata: pd.DataFrame | None, allow_new_levels: bool) -> SimulationRows:
    """Return the rows used, or those of new data.

    Raises
    ------
    DataError
        `newdata` lacks a column, or has a level that is not known and not allowed.
    """
    if newdata is None:
        return SimulationRows.of_design(design)
    rows = SimulationRows.of_data(design, newdata)
    if not allow_new_levels:
        for term in rows.terms:
            refuse_new_levels(term.codes, term.new_levels, len(term.levels), "is drawn")
    return rows


@SIGNATURES.checked
def new_parameters(
    design: Design, blocks: Reduced, estimates: Estimates, newparams: NewParameters | None, conditional: bool
) -> Estimates:
    """The estimates with some parameters replaced (lme4's ``setParams``).

    Parameters
    ----------
    design : Design
    blocks : Reduced
    estimates : Estimates
    newparams : mapping, optional
        ``beta``, ``theta`` (or ``par``, where covariances are structured), ``sigma``.
    conditional : bool
        Whether estimated random effects are kept: they belong to the θ they were estimated with.

    Raises
    ------
    DataError
        Another name, or a wrong number of elements; θ together with estimated random effects.
    """
    if not newparams:
        return estimates
    unknown = set(newparams) - {"beta", "theta", "par", "sigma"}
    if unknown:
        raise DataError(f"newparams has {sorted(unknown)[0]!r}; there are beta, theta, par and sigma")
    if "theta" in newparams and "par" in newparams:
        raise DataError("newparams has both theta and par: give one of them")
    if conditional and ("theta" in newparams or "par" in newparams):
        raise DataError("newparams: another theta has no estimated random effects; give re_form='~0'")
    changes: dict[str, Any] = {}
    known = {
        "beta": design.coef_names,
        "theta": design.theta_names,
        "par": design.par_names,
        "sigma": ("sigma",),
    }
    for name, names in known.items():
        if name not in newparams:
            continue
        value = newparams[name]
        if isinstance(value, pd.Series) and set(value.index) == set(names):
            value = value[list(names)]
        numbers = np.atleast_1d(np.asarray(value, dtype=float))
        if numbers.shape != (len(names),) or not np.isfinite(numbers).all():
            raise DataError(
                f"newparams: {name} needs {len(names)} finite numbers ({', '.join(names)}), not {value!r:.80}"
            )
        changes[name] = numbers
    if "sigma" in changes:
        changes["sigma"] = float(changes["sigma"][0])
        if changes["sigma"] < 0:
            raise DataError(f"newparams: sigma must not be negative, but is {changes['sigma']}")
    if "par" in changes:
        changes["theta"] = changes.pop("par")
    elif "theta" in changes and blocks.structure is not None:
        changes["theta"] = blocks.structure.from_theta(changes["theta"])
    if "theta" in changes:
        templates: list[np.ndarray] = [np.empty(0)] * len(design.terms)
        for factor in blocks.factors:
            T = factor.template(changes["theta"])
            for start, i in zip(factor.effect_start, factor.terms, strict=True):
                block = slice(start, start + design.terms[i].p)
                templates[i] = T[block, block]
        changes["templates"] = tuple(templates)
    return replace(estimates, **changes)


def simulate_rows(
    rows: SimulationRows,
    estimates: Estimates,
    wanted: Sequence[Sequence[int]],
    nsim: int,
    rng: np.random.Generator,
    cluster_rand: ClusterRand | None = None,
) -> np.ndarray:
    """Draw responses, shape (rows, nsim).

    Parameters
    ----------
    rows : SimulationRows
    estimates : Estimates
    wanted : sequence of sequence of int
        Effects of each term that are taken as estimated (0 for a level that the fit does not know); the others are
        drawn, one vector for each level, known or not.
    nsim : int
    rng : Generator
    cluster_rand : callable, optional
        Draws random effects before they are scaled; default the standard normal distribution.

    Raises
    ------
    DataError
        `cluster_rand` gives another shape, or what is no finite number.
    """
    N = len(rows.index)
    largest = max([N, *(b.size for b in estimates.b)])
    refuse_too_large(3.0 * nsim * largest, f"{nsim} simulations of {N} rows", "Ask for fewer at a time")
    values = np.zeros((N, nsim))
    values += (rows.X @ estimates.beta)[:, None] if estimates.beta.size else 0.0
    if rows.offset is not None:
        values += rows.offset[:, None]
    for term, T, b, keep in zip(rows.terms, estimates.templates, estimates.b, wanted, strict=True):
        known, p = b.shape
        if len(keep):
            padded = np.vstack([b, np.zeros((1, p))])
            codes = np.where((term.codes < 0) | (term.codes >= known), known, term.codes)
            values += np.einsum("ij,ij->i", term.columns[:, keep], padded[codes][:, keep])[:, None]
        if len(set(keep)) < p:
            levels = known + len(term.new_levels)
            new = _standard_effects(cluster_rand, rng, (nsim, levels, p)) @ T.T * estimates.sigma
            new[..., keep] = 0.0
            # a missing level (code -1) has columns of zeros
            values += np.einsum("ij,sij->is", term.columns, new[:, term.codes])
    values += estimates.sigma * rng.standard_normal((nsim, N)).T
    return values


def _standard_effects(draw: ClusterRand | None, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if draw is None:
        return rng.standard_normal(shape)
    numbers = as_numbers(draw(rng, shape), "what cluster_rand gives")
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise DataError(
            f"cluster_rand must give finite numbers in the shape it is asked for, {shape}; found {numbers.shape}"
        )
    return numbers


def draw_response(
    design: Design, estimates: Estimates, seed: np.random.SeedSequence, use_u: bool, semiparametric: bool
) -> np.ndarray:
    """One new response for the rows used, shape (N,).

    Parameters
    ----------
    design : Design
    estimates : Estimates
    seed : SeedSequence
    use_u : bool
        Keep the random effects as estimated instead of drawing new ones.
    semiparametric : bool
        Add resampled residuals to the fitted values.
    """
    rng = generator(seed)
    if semiparametric:
        residuals = design.y - estimates.fitted
        return estimates.fitted + rng.choice(residuals, size=residuals.size)
    wanted = wanted_effects(design, None if use_u else "~0")
    return simulate_rows(SimulationRows.of_design(design), estimates, wanted, 1, rng)[:, 0]
