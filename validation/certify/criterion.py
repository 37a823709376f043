"""The profiled deviance and REML criterion in ball arithmetic, with gradient and Hessian.

With Σ = ΛΛ' (relative to σ²), A = Z'Z, B = Z'[X y] of a block of V = I + ZΣZ',

    log|V| = log|I + AΣ|,   G = Z'V⁻¹[X y] = (I + AΣ)⁻¹B,   H = Z'V⁻¹Z = (I + AΣ)⁻¹A,
    S = [X y]'V⁻¹[X y] = C − Σ_blocks B'ΣG,

and the criterion is that of Bates et al. (2015), eq. (31) and (41): S holds X'V⁻¹X and the penalised residual sum of
squares r². Along a direction, V' = ZΣ'Z', so S' = −G'Σ'G and (log|V|)' = tr(Σ'H); second derivatives likewise. Nothing
is rounded away: every number is a ball that holds the exact value (Johansson 2017, Arb, IEEE Trans. Comput. 66(8)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, arb_mat, fmpq

from validation.certify.exact import Column, ExactSums

__all__ = ["Balls", "Evaluation", "ball", "evaluate"]


def ball(value: Fraction | float | int) -> Any:
    """A rational number (or a double, which is one) as a ball."""
    exact = Fraction(value)
    return arb(fmpq(exact.numerator, exact.denominator))


def _matrix(rows: Sequence[Sequence[Fraction]]) -> Any:
    return arb_mat([[ball(value) for value in row] for row in rows])


@dataclass(frozen=True)
class Balls:
    """Sums of squares and products as balls, at the precision in force when they were made.

    Attributes
    ----------
    n, p : int
    sizes : tuple of int
        Effects of each term.
    blocks : tuple of (columns, A, B)
    C : arb_mat
    log_weights : arb
        Sum of the logarithms of the prior weights.
    """

    n: int
    p: int
    sizes: tuple[int, ...]
    blocks: tuple[tuple[tuple[Column, ...], Any, Any], ...]
    C: Any
    log_weights: Any

    @classmethod
    def of(cls, sums: ExactSums) -> "Balls":
        """Enclose exact sums."""
        blocks = tuple((block.columns, _matrix(block.A), _matrix(block.B)) for block in sums.blocks)
        log_weights = sum((ball(weight).log() for weight in sums.weights), arb(0))
        return cls(sums.n, sums.p, sums.sizes, blocks, _matrix(sums.C), log_weights)

    def transformed(self, W: Any) -> "Balls":
        """The same model with [X y] replaced by [X y]W."""
        blocks = tuple((columns, A, B * W) for columns, A, B in self.blocks)
        return Balls(self.n, self.p, self.sizes, blocks, W.transpose() * self.C * W, self.log_weights)


@dataclass(frozen=True)
class Evaluation:
    """The criterion and what comes with it, every number a ball.

    Attributes
    ----------
    value : arb
    gradient : list of arb
    hessian : list of list of arb
    beta : list of arb
    unscaled : arb_mat
        (X'V⁻¹X)⁻¹.
    r2 : arb
        Penalised residual sum of squares.
    df : int
        What r² is divided by: n, for REML n − p.
    solutions : tuple of (columns, Σ, G, P)
        Of each block, where asked for: P = (I + AΣ)⁻¹.
    """

    value: Any
    gradient: list[Any]
    hessian: list[list[Any]]
    beta: list[Any]
    unscaled: Any
    r2: Any
    df: int
    solutions: tuple[tuple[tuple[Column, ...], Any, Any, Any], ...] = ()


def spread(matrices: Mapping[int, Any], columns: Sequence[Column], sizes: Sequence[int]) -> Any:
    """A block's Σ (or a derivative of it) from the terms' p x p matrices; terms that are not given are 0."""
    q = len(columns)
    rows = [[0] * q for _ in range(q)]
    at = 0
    while at < q:
        term = columns[at][0]
        size = sizes[term]
        matrix = matrices.get(term)
        if matrix is not None:
            for i in range(size):
                for j in range(size):
                    rows[at + i][at + j] = matrix[i, j]
        at += size
    return arb_mat(rows)


def _identity(q: int) -> Any:
    return arb_mat([[int(i == j) for j in range(q)] for i in range(q)])


def _beside(left: Any, right: Any) -> Any:
    return arb_mat([a + b for a, b in zip(left.tolist(), right.tolist(), strict=True)])


def _columns(matrix: Any, start: int, stop: int) -> Any:
    return arb_mat([row[start:stop] for row in matrix.tolist()])


def evaluate(
    balls: Balls,
    REML: bool,
    covariances: Mapping[int, Any],
    first: Sequence[Mapping[int, Any]] = (),
    second: Mapping[tuple[int, int], Mapping[int, Any]] | None = None,
    keep: bool = False,
) -> Evaluation:
    """Enclose the criterion, its gradient and its Hessian.

    Parameters
    ----------
    balls : Balls
    REML : bool
    covariances : mapping of int to arb_mat
        Relative covariance matrix Σ of each term, p x p.
    first : sequence of mapping
        For each parameter: derivative of each term's Σ.
    second : mapping of (j, k), j ≤ k, to mapping, optional
        Second derivatives; the Hessian is left out where not given.
    keep : bool
        Keep the blocks' solutions, for the random effects.

    Raises
    ------
    ZeroDivisionError
        The balls are too wide for an inverse to be enclosed.
    """
    p, m = balls.p, len(first)
    log_det = arb(0)
    S = balls.C
    S1 = [arb_mat(p + 1, p + 1) for _ in range(m)]
    L1 = [arb(0) for _ in range(m)]
    pairs = [] if second is None else [(j, k) for j in range(m) for k in range(j, m)]
    S2 = {pair: arb_mat(p + 1, p + 1) for pair in pairs}
    L2 = {pair: arb(0) for pair in pairs}
    solutions = []
    for columns, A, B in balls.blocks:
        q = len(columns)
        Sigma = spread(covariances, columns, balls.sizes)
        M = _identity(q) + A * Sigma
        both = M.solve(_beside(B, A))
        G, H = _columns(both, 0, p + 1), _columns(both, p + 1, p + 1 + q)
        log_det += M.det().log()
        S = S - B.transpose() * (Sigma * G)
        Gt = G.transpose()
        DG, DH = [], []
        for j in range(m):
            D = spread(first[j], columns, balls.sizes)
            DG.append(D * G)
            DH.append(D * H)
            S1[j] = S1[j] - Gt * DG[j]
            L1[j] += DH[j].trace()
        for j, k in pairs:
            cross = DG[j].transpose() * (H * DG[k])
            S2[j, k] = S2[j, k] + cross + cross.transpose()
            L2[j, k] -= (DH[j] * DH[k]).trace()
            curved = (second or {}).get((j, k))
            if curved:
                D = spread(curved, columns, balls.sizes)
                S2[j, k] = S2[j, k] - Gt * (D * G)
                L2[j, k] += (D * H).trace()
        if keep:
            solutions.append((columns, Sigma, G, M.inv()))
    return _profiled(balls, REML, (log_det, L1, L2), (S, S1, S2), tuple(solutions))


def _profiled(
    balls: Balls,
    REML: bool,
    log_dets: tuple[Any, Sequence[Any], Mapping[tuple[int, int], Any]],
    products: tuple[Any, Sequence[Any], Mapping[tuple[int, int], Any]],
    solutions: tuple[Any, ...],
) -> Evaluation:
    """Profile β and σ² out of log|V| and [X, y]'V⁻¹[X, y], each with its first and second derivatives."""
    (log_det, L1, L2), (S, S1, S2) = log_dets, products
    p, m = balls.p, len(L1)

    def XX(matrix: Any) -> Any:
        return arb_mat([row[:p] for row in matrix.tolist()[:p]])

    def Xv(matrix: Any) -> Any:  # what the normal equations leave at β̂
        return arb_mat([row[:] for row in (matrix * v).tolist()[:p]])

    Sxx = XX(S)
    unscaled = Sxx.inv()
    beta = Sxx.solve(arb_mat([[S[i, p]] for i in range(p)]))
    v = arb_mat([*([-beta[i, 0]] for i in range(p)), [arb(1)]])
    vt = v.transpose()
    r2 = S[p, p] - sum((S[i, p] * beta[i, 0] for i in range(p)), arb(0))
    df = balls.n - p if REML else balls.n
    value = log_det - balls.log_weights + df * (1 + (2 * arb.pi() * r2 / df).log())
    if REML:
        value += Sxx.det().log()
    r1 = [(vt * (matrix * v))[0, 0] for matrix in S1]
    inner = [unscaled * XX(matrix) for matrix in S1] if REML else []
    left = [Xv(matrix) for matrix in S1]
    gradient = [L1[j] + df * r1[j] / r2 + (inner[j].trace() if REML else 0) for j in range(m)]
    hessian: list[list[Any]] = [[None] * m for _ in range(m)] if L2 else []
    for j, k in L2:
        r12 = (vt * (S2[j, k] * v))[0, 0] - 2 * (left[j].transpose() * (unscaled * left[k]))[0, 0]
        entry = L2[j, k] + df * (r12 / r2 - r1[j] * r1[k] / (r2 * r2))
        if REML:
            entry += (unscaled * XX(S2[j, k])).trace() - (inner[j] * inner[k]).trace()
        hessian[j][k] = hessian[k][j] = entry
    return Evaluation(value, gradient, hessian, [beta[i, 0] for i in range(p)], unscaled, r2, df, solutions)
