"""All pairwise comparisons at a glance: matrices of P values and differences (``pwpm``), and letters (``cld``)."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.errors import DataError
from pyimpl.inference.emm_text import digits_of_estimates, paste_levels
from pyimpl.text.numbers import as_character, format_num, print_matrix
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    from pyimpl.inference.emm_grid import EmmGrid, EmmSummary

__all__ = ["SYMBOLS", "LetterOptions", "MatrixOptions", "PairwiseMatrix", "compact_letters", "pairwise_matrix"]

#: The symbols of groups that emmeans takes, in their order.
SYMBOLS = "1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_NOTE = (
    "NOTE: If two or more means share the same grouping symbol,\n"
    "      then we cannot show them to be different.\n"
    "      But we also did not show them to be the same."
)


class MatrixOptions(TypedDict, total=False):
    """What a matrix of pairwise comparisons shows.

    Attributes
    ----------
    reverse : bool
        Later minus earlier estimates.
    pvals, means, diffs : bool
        Whether P values, estimates and differences are shown.
    flip : bool
        P values below the diagonal.
    adjust : str
        Adjustment of the P values.
    side : str or int
        As of :meth:`EmmGrid.test`.
    delta : float
        As of :meth:`EmmGrid.test`.
    """

    reverse: bool
    pvals: bool
    means: bool
    diffs: bool
    flip: bool
    adjust: str | None
    side: str | int
    delta: float


class LetterOptions(TypedDict, total=False):
    """How letters are shown.

    Attributes
    ----------
    sort : bool
        Estimates in ascending order (within the groups of `by` variables).
    Letters : str
        The symbols, one of each group.
    reversed : bool
        Descending order, and the first symbol for the largest.
    signif_sets : bool
        Estimates that share a symbol differ significantly, in place of: could not be shown to differ.
    delta : float
        Threshold of equivalence: estimates that share a symbol are equivalent.
    adjust : str
        Adjustment of the P values, and of the intervals.
    """

    sort: bool
    Letters: str
    reversed: bool
    signif_sets: bool
    delta: float
    adjust: str | None


@dataclass(frozen=True)
class _Shown:
    """:class:`MatrixOptions` with their defaults."""

    reverse: bool = False
    pvals: bool = True
    means: bool = True
    diffs: bool = True
    flip: bool = False
    adjust: str | None = None
    side: str | int = 0
    delta: float = 0.0


@dataclass(frozen=True)
class _Lettered:
    """:class:`LetterOptions` with their defaults."""

    sort: bool = True
    Letters: str = SYMBOLS
    reversed: bool = False
    signif_sets: bool = False
    delta: float = 0.0
    adjust: str | None = None


@SIGNATURES.verbs
@dataclass(frozen=True, eq=False)
class PairwiseMatrix:
    """Estimates and their pairwise comparisons as a matrix; ``str()`` is what R prints.

    Attributes
    ----------
    tables : dict of str to DataFrame
        The group of the `by` variables (``""`` without them) -> the matrix as it is printed.
    means : bool
        Whether the estimates stand on the diagonal.
    legend : tuple of str
        What stands where.
    """

    tables: dict[str, pd.DataFrame]
    means: bool
    legend: tuple[str, ...]

    def __str__(self) -> str:
        parts = []
        for name, table in self.tables.items():
            cells = table.to_numpy(dtype=object).copy()
            if self.means:
                np.fill_diagonal(cells, [f"[{text}]" for text in np.diag(cells)])
            rows, columns = (list(map(str, labels)) for labels in (table.index, table.columns))
            parts.append((f"\n{name}\n" if name else "") + print_matrix(cells, rows, columns))
        return "\n".join([*parts, "", *self.legend])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(str(self))


def pairwise_matrix(
    grid: "EmmGrid", by: tuple[str, ...], digits: int | None = None, **options: Unpack[MatrixOptions]
) -> PairwiseMatrix:
    """``emmeans::pwpm(e)``: estimates on the diagonal, P values of differences above it, the differences below.

    Parameters
    ----------
    grid : EmmGrid
    by : tuple of str
        Variables whose combinations have a matrix each.
    digits : int, optional
        Significant digits; default as of the grid's table, and P values to four decimals.
    **options
        Of :class:`MatrixOptions`:

        - ``pvals``, ``means``, ``diffs`` (bool): whether P values, estimates and differences are shown.
        - ``reverse`` (bool): later minus earlier estimates.
        - ``flip`` (bool): P values below the diagonal.
        - ``adjust``, ``side``, ``delta``: of the tests, as of :meth:`EmmGrid.test`.

    Raises
    ------
    DataError
        Nothing is to be shown, or nothing to be compared.
    """
    shown = _Shown(**options)
    if not (shown.pvals or shown.means or shown.diffs):
        raise DataError("pwpm: one of pvals, means and diffs must be True")
    own = replace(grid, by=by)
    told = own.confint(frequentist=True)
    means = told.frame
    pairs = own.pairs(reverse=shown.reverse, adjust=shown.adjust)
    tests = pairs.test(side=shown.side, delta=shown.delta, frequentist=True)
    primary = [name for name in own.grid.columns if name not in by]
    labels = paste_levels(own.grid, primary)
    within = list(dict.fromkeys(paste_levels(own.grid, by)))
    numbers = digits_of_estimates(means, told.estimate) if digits is None else digits
    estimates, differences = (
        table[column].to_numpy(dtype=float) for table, column in ((means, told.estimate), (tests.frame, tests.estimate))
    )
    tables = {}
    for name, rows, compared in zip(within, own.rows_of(by), pairs.rows_of(by), strict=True):
        p = tests.frame["p.value"].to_numpy(dtype=float)[compared]
        texts = _p_texts(p) if digits is None else format_num(p, digits=digits)
        tables[f"{', '.join(by)} = {name}" if by else ""] = _matrix_of(
            [labels[i] for i in rows],
            texts if shown.pvals else None,
            format_num(estimates[rows], digits=numbers) if shown.means else None,
            format_num(differences[compared], digits=numbers) if shown.diffs else None,
            shown,
        )
    if len(tables) == 1:
        tables = {"": next(iter(tables.values()))}
    legend = _legend(":".join(primary), told, tests, shown)
    return PairwiseMatrix(tables, shown.means, legend)


def _p_texts(p: np.ndarray) -> list[str]:
    return ["    NA" if math.isnan(x) else "<.0001" if x < 1e-4 else f"{x:6.4f}" for x in p]


def _matrix_of(
    labels: list[str], p: list[str] | None, means: list[str] | None, differences: list[str] | None, shown: _Shown
) -> pd.DataFrame:
    """Lay out the parts; `p` and `differences` are in the order of the pairs."""
    n = len(labels)
    cells = np.full((n, n), "", dtype=object)
    earlier_first = [(i, j) for i in range(n) for j in range(i + 1, n)]
    pairs = [(i, j) for j in range(n) for i in range(j)] if shown.reverse else earlier_first
    if len(pairs) != len(p or differences or pairs):
        raise DataError(f"pwpm: {len(labels)} estimates have {len(pairs)} pairs, not {len(p or differences or [])}")
    for k, (i, j) in enumerate(pairs):
        cells[i, j] = p[k] if p is not None else ""
        cells[j, i] = differences[k] if differences is not None else ""
    rows, columns = slice(None), slice(None)
    if means is not None:
        np.fill_diagonal(cells, means)
    elif p is None or differences is None:  # a triangle alone
        rows, columns = (slice(0, n - 1), slice(1, n)) if differences is None else (slice(1, n), slice(0, n - 1))
    table = pd.DataFrame(cells[rows, columns], index=labels[rows], columns=labels[columns])
    return table.T if shown.flip else table


def _legend(variables: str, means: "EmmSummary", tests: "EmmSummary", shown: _Shown) -> tuple[str, ...]:
    lines = [f"Row and column labels: {variables}"]
    upper, lower = ("Lower", "Upper") if shown.flip else ("Upper", "Lower")
    if shown.pvals:
        text = f"{upper} triangle: P values "
        if "null" in tests.frame:
            text += f"  null = {as_character(float(tests.frame['null'].iloc[0]), 5)}"
        side = {"<": "<", "-1": "<", ">": ">", "1": ">"}.get(str(shown.side))
        text += "" if side is None else f"  side = “{side}”"
        text += f"  delta = {as_character(abs(shown.delta))}" if shown.delta else ""
        lines.append(text + ("" if tests.adjust == "none" else f"  adjust = “{tests.adjust}”"))
    if shown.means:
        scale = "  type = “response”" if means.estimate == "response" else ""
        lines.append(f"Diagonal: [Estimates] ({means.estimate}) {scale}")
    if shown.diffs:
        order = "later vs. earlier" if shown.reverse else "earlier vs. later"
        lines.append(f"{lower} triangle: Comparisons ({tests.estimate})   {order}")
    return tuple(lines)


def compact_letters(
    grid: "EmmGrid", by: tuple[str, ...], alpha: Share = 0.05, **options: Unpack[LetterOptions]
) -> "EmmSummary":
    """``multcomp::cld(e, alpha)``: the table of estimates with a symbol for each set that cannot be told apart.

    Symbols are found by inserting and absorbing (Piepho 2004, J. Comput. Graph. Stat. 13(2), 456-466), in the order
    that the R package multcompView gives them.

    Parameters
    ----------
    grid : EmmGrid
    by : tuple of str
        Variables within whose combinations estimates are compared.
    alpha : float
        Level of the tests.
    **options
        Of :class:`LetterOptions`:

        - ``sort`` (bool): estimates in ascending order (within the groups of `by` variables).
        - ``Letters`` (str): the symbols, one of each group.
        - ``reversed`` (bool): descending order, and the first symbol for the largest.
        - ``signif_sets`` (bool): estimates that share a symbol differ significantly.
        - ``delta`` (float): threshold of equivalence; estimates that share a symbol are equivalent.
        - ``adjust`` (str): of the P values, and of the intervals.

    Returns
    -------
    EmmSummary
        With a column ``.group`` (``.signif.set``, ``.equiv.set``).
    """
    shown = _Lettered(**options)
    own = replace(grid, by=by)
    told = grid.summary(adjust=shown.adjust, frequentist=True)  # by its own variables, as in R
    table = told.frame
    if shown.sort:
        order = _ascending(table, by, told.estimate)
        own, table = own.reordered(order), table.iloc[order].reset_index(drop=True)
    pairs = own.contrast("revpairwise", by=by)
    tests = pairs.test(delta=shown.delta, adjust=shown.adjust, frequentist=True)
    sets = shown.signif_sets or shown.delta > 0
    p = tests.frame["p.value"].to_numpy(dtype=float)
    apart = (p >= alpha) if sets else (p < alpha)
    known = ~np.isnan(table["SE"].to_numpy(dtype=float))
    letters = np.full(len(table), "", dtype=object)
    for rows, compared in zip(own.rows_of(by), pairs.rows_of(by), strict=True):
        letters[rows] = [f" {text}" for text in _letters(len(rows), apart[compared], shown)]
    letters[~known] = ""
    name = ".group" if not sets else ".equiv.set" if shown.delta > 0 else ".signif.set"
    table = table.assign(**{name: letters})
    if shown.sort and shown.reversed:
        table = table.iloc[np.concatenate([rows[::-1] for rows in own.rows_of(by)])].reset_index(drop=True)
    said = {
        ".group": _NOTE,
        ".signif.set": "Estimates sharing the same symbol are significantly different",
        ".equiv.set": "Estimates sharing the same symbol test as equivalent",
    }
    used = f"significance level used: alpha = {as_character(alpha)}"
    return replace(told, frame=table, by=by, messages=(*told.messages, *tests.messages, used, said[name]))


def _ascending(table: pd.DataFrame, by: tuple[str, ...], estimate: str) -> np.ndarray:
    keys = [table[estimate].to_numpy(dtype=float)]
    for name in reversed(by):
        column = table[name]
        codes = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column.rank(method="dense")
        keys.append(codes.to_numpy())
    return np.lexsort(keys)


def _letters(count: int, apart: np.ndarray, shown: _Lettered) -> list[str]:
    """Symbols of `count` estimates, one place a symbol; pairs are in the order 2-1, 3-1, 3-2, ... ."""
    pairs = [(i, j) for j in range(count) for i in range(j)]
    if not apart.any():
        return [shown.Letters[0]] * count
    sets: list[frozenset[int]] = [frozenset(range(count))]
    for (i, j), differ in zip(pairs, apart, strict=True):
        if not differ or not any({i, j} <= one for one in sets):
            continue
        split = [one for one in sets if {i, j} <= one]
        sets = _absorbed([*(one - {j} if one in split else one for one in sets), *(one - {i} for one in split)])
    ordered = _as_ordered_in_r([tuple(sorted(one)) for one in sets])
    if shown.reversed:
        ordered.reverse()
    symbols = _symbols(len(ordered), list(shown.Letters))
    return [
        "".join(symbol if k in one else " " * len(symbol) for symbol, one in zip(symbols, ordered, strict=True))
        for k in range(count)
    ]


def _absorbed(sets: list[frozenset[int]]) -> list[frozenset[int]]:
    """Leave out sets that lie in another."""
    kept: list[frozenset[int]] = []
    for k, one in enumerate(sets):
        others = [other for m, other in enumerate(sets) if m != k and (one < other or (one == other and m < k))]
        if not others:
            kept.append(one)
    return kept


def _as_ordered_in_r(sets: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """By the first member; neighbours that share it by the next one, in one pass (as multcompView does)."""
    out = sorted(sets, key=lambda one: one[0])
    shared = [k for k in range(len(out) - 1) if out[k][0] == out[k + 1][0]]
    for k in shared:
        if (*out[k + 1], math.inf) < (*out[k], math.inf):
            out[k], out[k + 1] = out[k + 1], out[k]
    return out


def _symbols(count: int, letters: list[str]) -> list[str]:
    """As many symbols as asked for: where letters run out the last one begins longer ones."""
    if not letters:
        raise DataError("cld: Letters has no symbol")
    if len(letters) < 2 or count < len(letters):
        return letters[:count] if count <= len(letters) else [letters[0] * (k + 1) for k in range(count)]
    longer = [*(letters[-1] + one for one in letters[:-1]), letters[-1]]
    return [*letters[:-1], *_symbols(count - len(letters) + 1, longer)]
