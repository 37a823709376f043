"""Rows that stand for many: reductions of parts of the data merge.

All that the criterion asks of the rows that share their levels of every grouping factor (a cell) are the cross-products
of √w·[Z, X, y]. The triangular factor of those rows has the same, and is itself a set of rows, no more than there are
columns. A part of the data may therefore be replaced by such rows, parts by the rows of both, and these again by fewer:
what is reduced in the end is, to rounding, the reduction of all rows. For one grouping factor of J levels J(p + P + 1)
rows are enough, however many there were.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import ModelError
from pyimpl.likelihood.reduce import Reduced, reduce_design
from pyimpl.likelihood.rows import qr_by_level, sort_by_level

__all__ = ["Compressed", "compress", "merge"]


@dataclass(frozen=True)
class Compressed:
    """Rows that stand for all rows of a design, or of several.

    Attributes
    ----------
    design : Design
        Of those rows, √w times the columns; the offset is taken off, and no weights are left.
    N : int
        Rows for which they stand.
    log_weights : float
        Σ log w of those.
    """

    design: Design
    N: int
    log_weights: float

    def reduce(self) -> Reduced:
        """The reduction of all those rows: :func:`pyimpl.likelihood.reduce.reduce_design`.

        Raises
        ------
        ModelError
            As there.
        """
        reduced = reduce_design(self.design)
        share = math.sqrt(self.design.N / self.N)  # of a root mean square: squares are as they were, rows are fewer
        factors = tuple(replace(factor, scale=factor.scale * share) for factor in reduced.factors)
        return replace(reduced, N=self.N, log_weights=self.log_weights, factors=factors)


def compress(design: Design) -> Compressed:
    """Replace the rows of a design by the fewest that have the same cross-products in every cell.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Compressed
    """
    y = design.y if design.offset is None else design.y - design.offset
    log_weights = 0.0
    root = np.ones(design.N)
    if design.weights is not None:
        root, log_weights = np.sqrt(design.weights), float(np.log(design.weights).sum())
    codes = [term.codes for term in design.terms]
    columns = np.column_stack([*[term.columns for term in design.terms], design.X, y]) * root[:, None]
    return Compressed(_fewest(design, codes, columns), design.N, log_weights)


def merge(parts: Sequence[Compressed]) -> Compressed:
    """Rows that stand for the rows of all parts.

    Parameters
    ----------
    parts : sequence of Compressed
        Of designs of one model: the same terms and columns; levels are joined by their labels.

    Returns
    -------
    Compressed

    Raises
    ------
    ModelError
        If there is no part, or their terms or columns differ.
    """
    if not parts:
        raise ModelError("merge() needs at least one part")
    first = parts[0].design
    for number, part in enumerate(parts[1:], 2):
        _check(first, part.design, number)
    terms, codes = [], []
    for k, term in enumerate(first.terms):
        levels = tuple(dict.fromkeys(level for part in parts for level in part.design.terms[k].levels))
        place = {level: i for i, level in enumerate(levels)}
        joined = [
            np.array([place[level] for level in part.design.terms[k].levels], dtype=np.intp)[part.design.terms[k].codes]
            for part in parts
        ]
        terms.append(replace(term, levels=levels))
        codes.append(np.concatenate(joined))
    columns = np.vstack(
        [
            np.column_stack([*[term.columns for term in part.design.terms], part.design.X, part.design.y])
            for part in parts
        ]
    )
    design = _fewest(replace(first, terms=tuple(terms)), codes, columns)
    return Compressed(design, sum(part.N for part in parts), sum(part.log_weights for part in parts))


def _check(first: Design, other: Design, number: int) -> None:
    """Refuse a part of another model."""
    for what, ours, theirs in (
        ("columns of X", first.coef_names, other.coef_names),
        ("terms", [_name(term) for term in first.terms], [_name(term) for term in other.terms]),
    ):
        if list(ours) != list(theirs):
            raise ModelError(
                f"part {number} has other {what} than the first: {', '.join(theirs)} for {', '.join(ours)}. Parts of "
                "one model need the same formula and, of each factor, the same levels in their rows"
            )


def _name(term: RandomTerm) -> str:
    """A term, its effects and its structure."""
    return f"({' + '.join(term.effects)} | {term.group}; {term.covariance})"


def _fewest(design: Design, codes: Sequence[np.ndarray], columns: np.ndarray) -> Design:
    """The design of the rows [Z, X, y], those of each cell replaced by their triangular factor where that is smaller.

    Parameters
    ----------
    design : Design
        The terms, their levels, and all names.
    codes : sequence of ndarray of int, shape (n,)
        Of each term.
    columns : ndarray, shape (n, k)
    """
    n, k = columns.shape
    cell = np.zeros(n, dtype=np.intp)
    for one in codes:
        _, cell = np.unique(cell * (int(one.max(initial=0)) + 1) + one, return_inverse=True)
    cell = cell.astype(np.intp)
    count = np.bincount(cell)
    many = count[cell] > k
    kept = np.flatnonzero(~many)
    parts, rows = [columns[kept]], [kept]
    if many.any():
        of_many = np.flatnonzero(many)
        _, number = np.unique(cell[of_many], return_inverse=True)
        cells = int(number.max()) + 1
        order, starts, _ = sort_by_level(number.astype(np.intp), cells)
        R = np.zeros((cells, k, k))
        of_cell = of_many[order]
        nothing = np.zeros((of_many.size, 0)), np.zeros((cells, k, 0)), np.zeros((1, k))
        qr_by_level(np.ascontiguousarray(columns[of_cell]), nothing[0], starts, R, nothing[1], nothing[2], False)
        parts.append(R.reshape(-1, k))
        rows.append(np.repeat(of_cell[np.asarray(starts)[:-1]], k))
    stacked, source = np.vstack(parts), np.concatenate(rows)
    terms, at = [], 0
    for term, one in zip(design.terms, codes, strict=True):
        terms.append(replace(term, codes=one[source], columns=np.ascontiguousarray(stacked[:, at : at + term.p])))
        at += term.p
    return replace(
        design,
        index=pd.RangeIndex(len(stacked)),
        y=stacked[:, -1].copy(),
        X=np.ascontiguousarray(stacked[:, at:-1]),
        terms=tuple(terms),
        weights=None,
        offset=None,
    )
