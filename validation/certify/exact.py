"""The exact sums of squares and products that a linear mixed model's likelihood is made of.

A double is a rational number, so the sufficient statistics Z'Z, Z'X, Z'y, X'X, X'y, y'y of the data are rational
numbers too; they are summed here without rounding (FLINT's ``fmpq``). Rows whose random effects are connected (through
shared levels) make up a block; V is block-diagonal over the blocks, so the likelihood is a sum over them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from flint import fmpq, fmpq_mat
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyimpl.design.design import Design

#: A column of Z: term, level, effect (all 0-based).
Column: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class ExactBlock:
    """Sums over the rows of one block of V."""

    columns: tuple[Column, ...]  # the block's columns of Z, sorted: q of them
    A: fmpq_mat  # shape q x q: Z'WZ
    B: fmpq_mat  # shape q x (p + 1): Z'W[X y]


@dataclass(frozen=True)
class ExactSums:
    """What the likelihood needs to know of the data, exactly."""

    #: rows used, columns of X
    n: int
    p: int
    sizes: tuple[int, ...]  # number of effects of each term
    blocks: tuple[ExactBlock, ...]
    C: fmpq_mat  # shape (p + 1) x (p + 1): [X y]'W[X y]
    weights: tuple[fmpq, ...] = ()  # the prior weights other than 1


def _exact(values: np.ndarray) -> list[fmpq]:
    return [fmpq(*float(value).as_integer_ratio()) for value in values]


def exact_sums(design: Design) -> ExactSums:
    """Sum a design's squares and products without rounding: its y, X and Z are doubles, taken for what they are."""
    y = _exact(design.y)
    if design.offset is not None:
        y = [value - known for value, known in zip(y, _exact(design.offset), strict=True)]
    F = [[*_exact(row), value] for row, value in zip(design.X, y, strict=True)]
    weights = [fmpq(1)] * design.N if design.weights is None else _exact(design.weights)
    Z = design.Z.tocsr()
    names = [(t, level, k) for t, term in enumerate(design.terms) for level in range(term.J) for k in range(term.p)]
    blocks = []
    for rows, columns in _parts(design):
        z = [_exact(row) for row in Z[rows][:, columns].toarray()]
        weighted = _weighted(z, [weights[row] for row in rows]).transpose()
        B = weighted * fmpq_mat([F[row] for row in rows])
        blocks.append(ExactBlock(tuple(names[column] for column in columns), weighted * fmpq_mat(z), B))
    return ExactSums(
        design.N,
        design.P,
        tuple(term.p for term in design.terms),
        tuple(blocks),
        _weighted(F, weights).transpose() * fmpq_mat(F),
        tuple(weight for weight in weights if weight != 1),
    )


def _weighted(rows: Sequence[Sequence[fmpq]], weights: Sequence[fmpq]) -> fmpq_mat:
    return fmpq_mat([[weight * value for value in row] for row, weight in zip(rows, weights, strict=True)])


def _parts(design: Design) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of Z of each block: rows are connected where they share a level of any grouping factor."""
    starts = np.cumsum([0, *(term.J * term.p for term in design.terms)])
    places = np.hstack(
        [
            start + term.codes[:, None] * term.p + np.arange(term.p)
            for start, term in zip(starts, design.terms, strict=False)
        ]
    )
    rows = np.repeat(np.arange(design.N), places.shape[1])
    pattern = sparse.csr_array((np.ones(rows.size), (rows, places.ravel())), shape=(design.N, int(starts[-1])))
    _, part = connected_components(pattern.T @ pattern, directed=False)
    of_row = part[places[:, 0]]
    for one in np.unique(of_row):
        yield np.flatnonzero(of_row == one), np.flatnonzero(part == one)


def less_explained(C: fmpq_mat, A: fmpq_mat, B: fmpq_mat) -> fmpq_mat:
    """C − B'A⁻B with a generalised inverse of A: what is left of the sums C when columns are fitted; its rank is exact.

    A are the sums of the fitted columns, B those between these and the rest.
    """
    q = A.nrows()
    reduced, rank = fmpq_mat([a + b for a, b in zip(A.tolist(), B.tolist(), strict=True)]).rref()
    for i in range(rank):
        row = reduced.tolist()[i]
        pivot = next(j for j, value in enumerate(row) if value != 0)
        C = C - fmpq_mat([[value] for value in B.tolist()[pivot]]) * fmpq_mat([row[q:]])
    return C
