"""The profiled deviance and REML criterion in ball arithmetic, with gradient and Hessian.

With Σ = ΛΛ' (relative to σ²), A = Z'Z, B = Z'[X y] of a block of V = I + ZΣZ',

    log|V| = log|I + AΣ|,   G = Z'V⁻¹[X y] = (I + AΣ)⁻¹B,   H = Z'V⁻¹Z = (I + AΣ)⁻¹A,
    S = [X y]'V⁻¹[X y] = C − Σ_blocks B'ΣG,

and the criterion is that of Bates et al. (2015), eq. (31) and (41): S holds X'V⁻¹X and the penalised residual sum of
squares r². Along a direction, V' = ZΣ'Z', so S' = −G'Σ'G and (log|V|)' = tr(Σ'H); second derivatives likewise. Nothing
is rounded away: every number is a ball that holds the exact value (Johansson 2017, Arb, IEEE Trans. Comput. 66(8)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from flint import arb, arb_mat

from validation.certify.exact import Column, ExactSums

#: A block's columns, Σ, G and I + AΣ.
Solution: TypeAlias = tuple[tuple[Column, ...], arb_mat, arb_mat, arb_mat]


@dataclass(frozen=True)
class Balls:
    """Sums of squares and products as balls, at the precision in force when they were made."""

    n: int
    p: int
    sizes: tuple[int, ...]  # effects of each term
    blocks: tuple[tuple[tuple[Column, ...], arb_mat, arb_mat], ...]
    C: arb_mat
    log_weights: arb  # sum of the logarithms of the prior weights

    @classmethod
    def of(cls, sums: ExactSums) -> "Balls":
        """Enclose exact sums."""
        blocks = tuple((block.columns, arb_mat(block.A), arb_mat(block.B)) for block in sums.blocks)
        log_weights = sum((arb(weight).log() for weight in sums.weights), arb(0))
        return cls(sums.n, sums.p, sums.sizes, blocks, arb_mat(sums.C), log_weights)

    def transformed(self, W: arb_mat) -> "Balls":
        """The same model with [X y] replaced by [X y]W."""
        blocks = tuple((columns, A, B * W) for columns, A, B in self.blocks)
        return replace(self, blocks=blocks, C=W.transpose() * self.C * W)


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


def identity(q: int) -> arb_mat:
    """The unit matrix."""
    return arb_mat([[int(i == j) for j in range(q)] for i in range(q)])


def part(matrix: arb_mat, rows: slice, columns: slice) -> arb_mat:
    """Some rows and columns of a matrix."""
    return arb_mat([row[columns] for row in matrix.tolist()[rows]])


def _spread(matrices: Mapping[int, arb_mat], columns: Sequence[Column]) -> arb_mat:
    """A block's Σ (or a derivative of it) from the terms' matrices; terms that are not given are 0."""
    out = arb_mat(len(columns), len(columns))
    for i, (term, level, effect) in enumerate(columns):
        for j, other in enumerate(columns):
            if term in matrices and other[:2] == (term, level):
                out[i, j] = matrices[term][effect, other[2]]
    return out


def eliminate(balls: Balls, covariances: Mapping[int, arb_mat]) -> tuple[arb, arb_mat, list[Solution]]:
    """log|V| and S = [X y]'V⁻¹[X y], with each block's solution.

    Raises
    ------
    ZeroDivisionError
        The balls are too wide for an inverse to be enclosed.
    """
    log_det, S, solutions = arb(0), balls.C, []
    for columns, A, B in balls.blocks:
        Sigma = _spread(covariances, columns)
        M = identity(len(columns)) + A * Sigma
        G = M.solve(B)
        log_det += M.det().log()
        S = S - B.transpose() * (Sigma * G)
        solutions.append((columns, Sigma, G, M))
    return log_det, S, solutions


def evaluate(
    balls: Balls,
    REML: bool,
    covariances: Mapping[int, arb_mat],
    first: Sequence[Mapping[int, arb_mat]] = (),
    second: Mapping[tuple[int, int], Mapping[int, arb_mat]] | None = None,
) -> Evaluation:
    """Enclose the criterion, its gradient and its Hessian.

    ``covariances`` are the terms' relative covariance matrices Σ, ``first`` for each parameter their derivatives, and
    ``second``, for pairs j ≤ k, the second ones that are not 0; the Hessian is left out where not given.

    Raises
    ------
    ZeroDivisionError
        The balls are too wide for an inverse to be enclosed.
    """
    p, m = balls.p, len(first)
    log_det, S, solutions = eliminate(balls, covariances)
    S1, L1 = [arb_mat(p + 1, p + 1) for _ in range(m)], [arb(0) for _ in range(m)]
    pairs = [] if second is None else [(j, k) for j in range(m) for k in range(j, m)]
    S2, L2 = {pair: arb_mat(p + 1, p + 1) for pair in pairs}, {pair: arb(0) for pair in pairs}
    for (_, A, _), (columns, _, G, M) in zip(balls.blocks if m else (), solutions, strict=m > 0):
        H = M.solve(A)
        Gt = G.transpose()
        D = [_spread(direction, columns) for direction in first]
        DG, DH = [matrix * G for matrix in D], [matrix * H for matrix in D]
        for j in range(m):
            S1[j] = S1[j] - Gt * DG[j]
            L1[j] += DH[j].trace()
        for j, k in pairs:
            cross = DG[j].transpose() * (H * DG[k])
            S2[j, k] = S2[j, k] + cross + cross.transpose()
            L2[j, k] -= (DH[j] * DH[k]).trace()
            if curved := (second or {}).get((j, k)):
                bend = _spread(curved, columns)
                S2[j, k] = S2[j, k] - Gt * (bend * G)
                L2[j, k] += (bend * H).trace()
    return _profiled(balls, REML, (log_det, L1, L2), (S, S1, S2), solutions)


def _profiled(
    balls: Balls,
    REML: bool,
    log_dets: tuple[arb, Sequence[arb], Mapping[tuple[int, int], arb]],
    products: tuple[arb_mat, Sequence[arb_mat], Mapping[tuple[int, int], arb_mat]],
    solutions: list[Solution],
) -> Evaluation:
    """Profile β and σ² out of log|V| and [X, y]'V⁻¹[X, y], each with its first and second derivatives."""
    (log_det, L1, L2), (S, S1, S2) = log_dets, products
    p, m = balls.p, len(L1)
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
