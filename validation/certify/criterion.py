"""The profiled deviance and REML criterion in ball arithmetic, with gradient and Hessian, from exact sums.

*Sums.* A double is a rational number, so the sufficient statistics Z'Z, Z'X, Z'y, X'X, X'y, y'y of the data are
rational numbers too; they are summed here without rounding (FLINT's ``fmpq``). Rows whose random effects are connected
(through shared levels) make up a block; V is block-diagonal over the blocks, so the likelihood is a sum over them.

*Criterion.* With Σ = ΛΛ' (relative to σ²), A = Z'Z, B = Z'[X y] of a block of V = I + ZΣZ',

    log|V| = log|I + AΣ|,   G = Z'V⁻¹[X y] = (I + AΣ)⁻¹B,   H = Z'V⁻¹Z = (I + AΣ)⁻¹A,
    S = [X y]'V⁻¹[X y] = C − Σ_blocks B'ΣG,

and the criterion is that of Bates et al. (2015), eq. (31) and (41): S holds X'V⁻¹X and the penalised residual sum of
squares r². Along a direction, V' = ZΣ'Z', so S' = −G'Σ'G and (log|V|)' = tr(Σ'H); second derivatives likewise. Nothing
is rounded away: every number is a ball that holds the exact value (Johansson 2017, Arb, IEEE Trans. Comput. 66(8)).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyimpl.design.design import Design

#: A column of Z: term, level, effect (all 0-based).
Column: TypeAlias = tuple[int, int, int]

_Matrix = TypeVar("_Matrix", fmpq_mat, arb_mat)


@dataclass(frozen=True)
class Block(Generic[_Matrix]):
    """Sums over the rows of one block of V."""

    columns: tuple[Column, ...]  # the block's columns of Z, sorted: q of them
    A: _Matrix  # shape q x q: Z'WZ
    B: _Matrix  # shape q x (p + 1): Z'W[X y]


@dataclass(frozen=True)
class Sums(Generic[_Matrix]):
    """What the likelihood needs to know of the data: exactly, or as balls."""

    n: int  # rows used
    p: int  # columns of X
    blocks: tuple[Block[_Matrix], ...]
    C: _Matrix  # shape (p + 1) x (p + 1): [X y]'W[X y]
    weights: tuple[fmpq, ...] = ()  # the prior weights other than 1

    def balls(self) -> "Sums[arb_mat]":
        """The sums enclosed, at the precision in force."""
        blocks = tuple(Block(block.columns, arb_mat(block.A), arb_mat(block.B)) for block in self.blocks)
        return Sums(self.n, self.p, blocks, arb_mat(self.C), self.weights)

    def transformed(self, W: _Matrix) -> "Sums[_Matrix]":
        """The same model with [X y] replaced by [X y]W."""
        blocks = tuple(replace(block, B=block.B * W) for block in self.blocks)
        return replace(self, blocks=blocks, C=W.transpose() * self.C * W)

    @cached_property
    def log_weights(self) -> arb:
        """Sum of the logarithms of the prior weights."""
        return sum((arb(weight).log() for weight in self.weights), arb(0))


ExactSums: TypeAlias = Sums[fmpq_mat]
Balls: TypeAlias = Sums[arb_mat]

#: A block with Σ, G and I + AΣ.
Solution: TypeAlias = tuple[Block[arb_mat], arb_mat, arb_mat, arb_mat]


#: Doubles as rational numbers, in an array of objects.
_exact = np.vectorize(lambda value: fmpq(*float(value).as_integer_ratio()), otypes=[object])


def _products(left: np.ndarray, right: np.ndarray) -> fmpq_mat:
    return fmpq_mat(left.T.tolist()) * fmpq_mat(right.tolist())


def exact_sums(design: Design) -> ExactSums:
    """Sum a design's squares and products without rounding: its y, X and Z are doubles, taken for what they are."""
    y = _exact(design.y)
    if design.offset is not None:
        y = y - _exact(design.offset)
    F, Z = np.column_stack([_exact(design.X), y]), design.Z.tocsr()
    weights = _exact(np.ones(design.N) if design.weights is None else design.weights)
    names = [(t, level, k) for t, term in enumerate(design.terms) for level in range(term.J) for k in range(term.p)]
    blocks = []
    for rows, columns in _parts(design):
        z = _exact(Z[rows][:, columns].toarray())
        weighted = z * weights[rows, None]
        own = tuple(names[column] for column in columns)
        blocks.append(Block(own, _products(weighted, z), _products(weighted, F[rows])))
    C = _products(F * weights[:, None], F)
    return Sums(design.N, design.P, tuple(blocks), C, tuple(weights[weights != 1]))


def _parts(design: Design) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of Z of each block: rows are connected where they share a level of any grouping factor."""
    rows, terms = np.arange(design.N), design.terms
    levels = sparse.hstack(
        [sparse.csr_array((np.ones(design.N), (rows, term.codes)), shape=(design.N, term.J)) for term in terms]
    )
    _, part = connected_components(levels.T @ levels, directed=False)
    of_row, of_column = part[terms[0].codes], np.repeat(part, [term.p for term in terms for _ in range(term.J)])
    for one in np.unique(of_row):
        yield np.flatnonzero(of_row == one), np.flatnonzero(of_column == one)


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


@dataclass(frozen=True)
class Evaluation:
    """The criterion and what comes with it, every number a ball."""

    value: arb
    gradient: list[arb]
    hessian: arb_mat
    beta: arb_mat  # shape p x 1
    unscaled: arb_mat  # (X'V⁻¹X)⁻¹
    r2: arb  # penalised residual sum of squares
    df: int  # what r² is divided by: n, for REML n − p
    solutions: list[Solution]  # of each block


def part(matrix: arb_mat, rows: slice, columns: slice) -> arb_mat:
    """Some rows and columns of a matrix."""
    return arb_mat([row[columns] for row in matrix.tolist()[rows]])


def _spread(matrices: Mapping[int, arb_mat], columns: Sequence[Column]) -> arb_mat:
    """A block's Σ (or a derivative of it) from the terms' matrices; terms that are not given are 0."""
    return arb_mat(
        [
            [matrices[t][k, other[2]] if t in matrices and other[:2] == (t, level) else 0 for other in columns]
            for t, level, k in columns
        ]
    )


def eliminate(balls: Balls, covariances: Mapping[int, arb_mat]) -> tuple[arb, arb_mat, list[Solution]]:
    """log|V| and S = [X y]'V⁻¹[X y], with each block's solution.

    Raises
    ------
    ZeroDivisionError
        The balls are too wide for an inverse to be enclosed.
    """
    log_det, S, solutions = arb(0), balls.C, []
    for block in balls.blocks:
        Sigma = _spread(covariances, block.columns)
        M = 1 + block.A * Sigma  # 1 is the unit matrix here
        G = M.solve(block.B)
        log_det += M.det().log()
        S = S - block.B.transpose() * (Sigma * G)
        solutions.append((block, Sigma, G, M))
    return log_det, S, solutions


def evaluate(
    balls: Balls,
    REML: bool,
    covariances: Mapping[int, arb_mat],
    first: Sequence[Mapping[int, arb_mat]] = (),
    second: Mapping[tuple[int, int], Mapping[int, arb_mat]] = MappingProxyType({}),
) -> Evaluation:
    """Enclose the criterion, its gradient and its Hessian.

    ``covariances`` are the terms' relative covariance matrices Σ, ``first`` for each parameter their derivatives, and
    ``second``, for pairs j ≤ k, the second ones that are not 0.

    Raises
    ------
    ZeroDivisionError
        The balls are too wide for an inverse to be enclosed.
    """
    p, m = balls.p, len(first)
    log_det, S, solutions = eliminate(balls, covariances)
    S1, L1 = [arb_mat(p + 1, p + 1) for _ in range(m)], [arb(0) for _ in range(m)]
    pairs = [(j, k) for j in range(m) for k in range(j, m)]
    S2, L2 = {pair: arb_mat(p + 1, p + 1) for pair in pairs}, {pair: arb(0) for pair in pairs}
    for block, _, G, M in solutions if m else ():
        H = M.solve(block.A)
        Gt = G.transpose()
        D = [_spread(direction, block.columns) for direction in first]
        DG, DH = [matrix * G for matrix in D], [matrix * H for matrix in D]
        for j in range(m):
            S1[j] = S1[j] - Gt * DG[j]
            L1[j] += DH[j].trace()
        for j, k in pairs:
            cross = DG[j].transpose() * (H * DG[k])
            S2[j, k] = S2[j, k] + cross + cross.transpose()
            L2[j, k] -= (DH[j] * DH[k]).trace()
            if curved := second.get((j, k)):
                bend = _spread(curved, block.columns)
                S2[j, k] = S2[j, k] - Gt * (bend * G)
                L2[j, k] += (bend * H).trace()

    # β and σ² profiled out
    of_X, of_y = slice(0, p), slice(p, p + 1)
    Sxx, Sxy = part(S, of_X, of_X), part(S, of_X, of_y)
    unscaled = Sxx.inv()
    beta = Sxx.solve(Sxy)
    v = arb_mat([*((-beta).tolist()), [1]])
    r2 = S[p, p] - (Sxy.transpose() * beta)[0, 0]
    df = balls.n - p if REML else balls.n
    value = log_det - balls.log_weights + df * (1 + (2 * arb.pi() * r2 / df).log())
    if REML:
        value += Sxx.det().log()
    r1 = [(v.transpose() * (matrix * v))[0, 0] for matrix in S1]
    inner = [unscaled * part(matrix, of_X, of_X) for matrix in S1] if REML else []
    left = [part(matrix * v, of_X, slice(None)) for matrix in S1]  # what the normal equations leave at β̂
    gradient = [L1[j] + df * r1[j] / r2 + (inner[j].trace() if REML else 0) for j in range(m)]
    hessian = arb_mat(m, m)
    for j, k in L2:
        r12 = (v.transpose() * (S2[j, k] * v))[0, 0] - 2 * (left[j].transpose() * (unscaled * left[k]))[0, 0]
        entry = L2[j, k] + df * (r12 / r2 - r1[j] * r1[k] / (r2 * r2))
        if REML:
            entry += (unscaled * part(S2[j, k], of_X, of_X)).trace() - (inner[j] * inner[k]).trace()
        hessian[j, k] = hessian[k, j] = entry
    return Evaluation(value, gradient, hessian, beta, unscaled, r2, df, solutions)
