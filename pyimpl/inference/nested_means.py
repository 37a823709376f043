"""Estimated marginal means where factors are nested in others (R's ``emmeans:::.nested_emm``, ``.nested_contrast``).

A level of a nested factor exists within one level of the factors that it is nested in. Means over it are taken within
each of these, over the levels that are there; its own means are those of the combinations that the data have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pyimpl.inference.emm_grid import EmmGrid
from pyimpl.inference.emm_text import Level, label_of, paste_levels
from pyimpl.inference.reference_grid import expand_grid

__all__ = ["Nesting", "nested_means", "nesting_note", "only_there"]

#: Factor -> the factors that it is nested in.
Nesting = Mapping[str, Sequence[str]]

#: Means of a grid without nesting: from the grid, the variables kept, the `by` variables, and whether to be quiet.
Averaged = Callable[[EmmGrid, tuple[str, ...], tuple[str, ...], bool], EmmGrid]


def nesting_note(nests: Nesting) -> str:
    """What R says of a nesting structure."""
    lines = [f"    {name} %in% {within[0] if len(within) == 1 else '*'.join(within)}" for name, within in nests.items()]
    return "\n".join(["NOTE: A nesting structure was detected in the fitted model:", *lines])


def nested_means(
    grid: EmmGrid, specs: tuple[str, ...], by: tuple[str, ...], nests: Nesting, averaged: Averaged
) -> EmmGrid:
    """Average a grid over all variables but these, with the nesting kept.

    Parameters
    ----------
    grid : EmmGrid
    specs, by : tuple of str
        Variables that have means, and those within which means are compared.
    nests : mapping
    averaged : callable
        Means of a grid without nesting.

    Returns
    -------
    EmmGrid
        A factor among `specs` brings the factors that it is nested in along; rows that the data lack are left out.
    """
    shown = [name for name in dict.fromkeys([*specs, *by]) if name in nests]
    parents = [parent for name in shown for parent in nests[name]]
    wanted = tuple(dict.fromkeys([*shown, *parents, *specs]))
    groups = tuple(name for name in by if name not in shown)
    inner = [name for name in nests if name in grid.levels and name not in wanted and name not in groups]
    if inner:
        grid, nests = _averaged_within(grid, wanted, groups, inner, nests, averaged)
        result = nested_means(grid, wanted, groups, nests, averaged)
    else:
        result = averaged(grid, wanted, groups, False)
    if shown:
        result = only_there(result, shown, nests)
    left = {name: tuple(within) for name, within in nests.items() if name in result.levels}
    shown_by = tuple(dict.fromkeys([*(parent for name in by if name in nests for parent in nests[name]), *by]))
    return replace(result, nesting=left, by=shown_by)


def _averaged_within(
    grid: EmmGrid,
    wanted: tuple[str, ...],
    groups: tuple[str, ...],
    inner: Sequence[str],
    nests: Nesting,
    averaged: Averaged,
) -> tuple[EmmGrid, Nesting]:
    """Average over the most deeply nested factor, within each combination of what it is nested in."""
    deepest = max(reversed(inner), key=lambda name: len(nests[name]))
    within = tuple(dict.fromkeys([*nests[deepest], *(name for name in inner if name != deepest)]))
    kept = tuple(name for name in dict.fromkeys([*wanted, *groups, *within]) if name in grid.levels)  # not "1"
    keys = np.array(paste_levels(grid.grid, within))
    parts: list[EmmGrid] = []
    combinations = expand_grid({name: grid.levels[name] for name in within})
    for key, values in zip(
        paste_levels(combinations, within), combinations.itertuples(index=False, name=None), strict=True
    ):
        part = _part(grid, keys == key, deepest, dict(zip(within, values, strict=True)))
        means = averaged(part, kept, (), True)
        parts.append(means if not np.isnan(part.linfct).all() else replace(means, weights=np.zeros(len(means.grid))))
    levels = {name: grid.levels[name] for name in kept}
    rows = pd.concat([part.grid for part in parts], ignore_index=True)
    places = {key: i for i, key in enumerate(paste_levels(rows, kept))}
    full = expand_grid(levels, {name: bool(getattr(grid.grid[name].dtype, "ordered", False)) for name in kept})
    order = np.array([places[key] for key in paste_levels(full, kept)])
    over = dict.fromkeys(name for part in parts for name in part.averaged_over if name not in kept)
    joined = replace(
        parts[0],
        grid=full,
        levels=levels,
        linfct=np.vstack([part.linfct for part in parts])[order],
        weights=np.concatenate([_numbers(part.weights, part) for part in parts])[order],
        offset=None if grid.offset is None else np.concatenate([_numbers(part.offset, part) for part in parts])[order],
        averaged_over=tuple(over),
    )
    return joined, {name: within for name, within in nests.items() if name in levels}


def _part(grid: EmmGrid, rows: np.ndarray, deepest: str, fixed: dict[str, Level]) -> EmmGrid:
    """The rows of a grid that have these levels, with the levels of the nested factor that occur there.

    Where none occurs, the first stands for it, with coefficients that are missing: what is made of them is not
    estimable.
    """
    assert grid.weights is not None
    frame = grid.grid[rows]
    there = list(dict.fromkeys(label_of(value) for value in frame[deepest][grid.weights[rows] > 0]))
    linfct = grid.linfct[rows]
    if not there:
        there = [label_of(grid.levels[deepest][0])]
        linfct = np.full_like(linfct, np.nan)
    labels = [label_of(value) for value in frame[deepest]]
    kept = np.isin(labels, there)
    levels = {name: [fixed[name]] if name in fixed else values for name, values in grid.levels.items()}
    levels[deepest] = [value for value in grid.levels[deepest] if label_of(value) in there]
    return replace(
        grid,
        grid=frame[kept].reset_index(drop=True),
        levels=levels,
        linfct=linfct[kept],
        weights=grid.weights[rows][kept],
        offset=None if grid.offset is None else grid.offset[rows][kept],
    )


def _numbers(values: np.ndarray | None, part: EmmGrid) -> np.ndarray:
    return np.zeros(len(part.grid)) if values is None else values


def only_there(means: EmmGrid, shown: Sequence[str], nests: Nesting) -> EmmGrid:
    """Leave out combinations of nested factors and what they are nested in that the data lack.

    Parameters
    ----------
    means : EmmGrid
    shown : sequence of str
        The nested factors.
    nests : mapping
    """
    assert means.weights is not None
    kept = np.ones(len(means.grid), dtype=bool)
    for name in shown:
        keys = np.array(paste_levels(means.grid, tuple(dict.fromkeys([name, *nests[name]]))))
        for key in dict.fromkeys(keys.tolist()):
            if not means.weights[keys == key].any():
                kept[keys == key] = False
    return replace(
        means,
        grid=means.grid[kept].reset_index(drop=True),
        linfct=means.linfct[kept],
        weights=means.weights[kept],
        offset=None if means.offset is None else means.offset[kept],
    )
