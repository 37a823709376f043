"""The exact sums of squares and products that a linear mixed model's likelihood is made of.

A double is a rational number, so the sufficient statistics Z'Z, Z'X, Z'y, X'X, X'y, y'y of the data are rational
numbers too; they are summed here without rounding. Rows whose random effects are connected (through shared levels) make
up a block; V is block-diagonal over the blocks, so the likelihood is a sum over them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyimpl.design.design import Design

__all__ = ["Column", "ExactBlock", "ExactSums", "exact_sums"]

#: A column of Z: term, level, effect (all 0-based).
Column = tuple[int, int, int]


@dataclass(frozen=True)
class ExactBlock:
    """Sums over the rows of one block of V.

    Attributes
    ----------
    columns : tuple of (term, level, effect)
        The block's columns of Z, sorted: q of them.
    A : tuple of tuple of Fraction
        Z'WZ, q x q.
    B : tuple of tuple of Fraction
        Z'W[X y], q x (p + 1).
    """

    columns: tuple[Column, ...]
    A: tuple[tuple[Fraction, ...], ...]
    B: tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True)
class ExactSums:
    """What the likelihood needs to know of the data, exactly.

    Attributes
    ----------
    n, p : int
        Rows used, columns of X.
    sizes : tuple of int
        Number of effects of each term.
    levels : tuple of int
        Number of levels of each term.
    blocks : tuple of ExactBlock
    C : tuple of tuple of Fraction
        [X y]'W[X y], (p + 1) x (p + 1).
    weights : tuple of Fraction
        The prior weights other than 1.
    """

    n: int
    p: int
    sizes: tuple[int, ...]
    levels: tuple[int, ...]
    blocks: tuple[ExactBlock, ...]
    C: tuple[tuple[Fraction, ...], ...]
    weights: tuple[Fraction, ...] = ()


@dataclass(frozen=True)
class _Integers:
    """A column of doubles as whole numbers over a common power of two."""

    values: list[int]
    shift: int

    @classmethod
    def of(cls, column: np.ndarray) -> "_Integers":
        ratios = [float(value).as_integer_ratio() for value in column]
        shift = max((den.bit_length() - 1 for _, den in ratios), default=0)
        return cls([num << (shift - den.bit_length() + 1) for num, den in ratios], shift)

    def minus(self, other: "_Integers") -> "_Integers":
        shift = max(self.shift, other.shift)
        return _Integers(
            [
                (a << (shift - self.shift)) - (b << (shift - other.shift))
                for a, b in zip(self.values, other.values, strict=True)
            ],
            shift,
        )

    def times(self, other: "_Integers") -> "_Integers":
        products = [a * b for a, b in zip(self.values, other.values, strict=True)]
        return _Integers(products, self.shift + other.shift)


def exact_sums(design: Design) -> ExactSums:
    """Sum a design's squares and products without rounding.

    Parameters
    ----------
    design : pyimpl.design.design.Design
        Its y, X and Z are doubles, and are taken for exactly what they are.

    Returns
    -------
    ExactSums
    """
    fixed = [_Integers.of(design.X[:, k]) for k in range(design.P)]
    response = _Integers.of(design.y)
    if design.offset is not None:
        response = response.minus(_Integers.of(design.offset))
    fixed.append(response)
    weighted = fixed
    weights: tuple[Fraction, ...] = ()
    if design.weights is not None:
        w = _Integers.of(design.weights)
        weighted = [w.times(column) for column in fixed]
        weights = tuple(Fraction(float(value)) for value in design.weights if value != 1.0)
    effects = [[_Integers.of(term.columns[:, k]) for k in range(term.p)] for term in design.terms]
    weighted_effects = (
        effects if design.weights is None else [[_Integers.of(design.weights).times(c) for c in e] for e in effects]
    )
    block_of, count = _blocks(design)
    rows_of: list[list[int]] = [[] for _ in range(count)]
    for row, block in enumerate(block_of):
        rows_of[block].append(row)
    blocks = tuple(_block(design, rows, effects, weighted_effects, fixed) for rows in rows_of)
    C = [
        [
            Fraction(sum(a * b for a, b in zip(x.values, y.values, strict=True)), 1 << (x.shift + y.shift))
            for y in weighted
        ]
        for x in fixed
    ]
    return ExactSums(
        design.N,
        design.P,
        tuple(term.p for term in design.terms),
        tuple(term.J for term in design.terms),
        blocks,
        _frozen(C),
        weights,
    )


def _blocks(design: Design) -> tuple[np.ndarray, int]:
    """Block of each row: rows are connected where they share a level of any grouping factor."""
    first = design.terms[0]
    starts = np.cumsum([0, *(term.J for term in design.terms)])
    edges_from = [first.codes for _ in design.terms[1:]] or [first.codes]
    edges_to = [starts[i] + design.terms[i].codes for i in range(1, len(design.terms))] or [first.codes]
    size = int(starts[-1])
    left, right = np.concatenate(edges_from), np.concatenate(edges_to)
    graph = sparse.coo_array((np.ones(left.size, dtype=np.int8), (left, right)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    found, block_of = np.unique(label[first.codes], return_inverse=True)
    return block_of, len(found)


def _block(
    design: Design,
    rows: Sequence[int],
    effects: Sequence[Sequence[_Integers]],
    weighted: Sequence[Sequence[_Integers]],
    fixed: Sequence[_Integers],
) -> ExactBlock:
    columns: list[Column] = sorted(
        {(t, int(term.codes[row]), k) for t, term in enumerate(design.terms) for row in rows for k in range(term.p)}
    )
    place = {column: i for i, column in enumerate(columns)}
    q = len(columns)
    A = [[0] * q for _ in range(q)]
    B = [[0] * len(fixed) for _ in range(q)]
    for row in rows:
        # the row's non-zero elements of Z, with and without its weight
        here = [
            (place[t, int(term.codes[row]), k], effects[t][k].values[row], weighted[t][k].values[row])
            for t, term in enumerate(design.terms)
            for k in range(term.p)
        ]
        for i, _, value in here:
            for j, other, _ in here:
                A[i][j] += value * other
            for j, column in enumerate(fixed):
                B[i][j] += value * column.values[row]
    shift = [effects[t][k].shift for t, _, k in columns]
    shift_weighted = [weighted[t][k].shift for t, _, k in columns]
    return ExactBlock(
        tuple(columns),
        _frozen([[Fraction(A[i][j], 1 << (shift_weighted[i] + shift[j])) for j in range(q)] for i in range(q)]),
        _frozen(
            [[Fraction(B[i][j], 1 << (shift_weighted[i] + c.shift)) for j, c in enumerate(fixed)] for i in range(q)]
        ),
    )


def _frozen(matrix: Sequence[Sequence[Fraction]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(row) for row in matrix)
