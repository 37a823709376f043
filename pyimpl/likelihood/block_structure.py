"""Models whose covariance matrix has the same eigenvectors whatever its parameters are: orthogonal block structures.

Where every grouping factor has one effect a level, V = I + Σ_f θ_f² Z_f Z_f'. If the matrices Z_f Z_f' commute, they
have a common orthonormal basis of eigenvectors, and with their eigenvalues λ_f

    log|V| = Σ_k log(1 + Σ_f θ_f² λ_fk),    D'V⁻¹D = D'(I − UU')D + Σ_k (u_k'D)'(u_k'D) / (1 + Σ_f θ_f² λ_fk).

Eigenvectors with the same eigenvalues form a stratum (Nelder 1965, Proc. R. Soc. A 283). The matrices commute where
there is one factor, and in balanced designs, crossed or nested; whether they do is computed, not assumed.
"""

import math
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from pyimpl.design.design import Design
from pyimpl.likelihood.reduce import Blocks

__all__ = ["Strata", "find_strata"]

_ELEMENTS = 300_000  # of all columns of Z, up to which they are decomposed
_EQUAL = 1e-12  # eigenvalues below this, relative to the largest, are 0, and differences and couplings are rounding
_SMALL = 1e-9  # ... and between that and this it cannot be told


@dataclass(frozen=True)
class Strata:
    """The strata of a model. Rows are in the order of the eliminated factor's levels (``Blocks.order``).

    A stratum's eigenvectors are rotated such that as few as possible, at most P, carry X. Each of these has a row of
    its own; of the others only the number matters and, of the response, the sum of squares. They belong to the
    stratum's first row, which is there even if none carries X.

    Attributes
    ----------
    variances : ndarray, shape (n_theta, K)
        λ of each θ and row.
    counts : ndarray, shape (K,)
        Eigenvectors that a row stands for: all of the stratum for its first row, 0 for the others.
    directions : ndarray, shape (r, N)
        Orthonormal eigenvectors, stratum by stratum, those that carry X first. Empty where there is one factor: there
        the levels' bases are eigenvectors.
    rows : ndarray of int64, shape (r,)
        Row that each direction belongs to.
    alone : ndarray of bool, shape (r,)
        Whether it is the one that carries X in its row.
    X : ndarray, shape (K, P)
        u'X (in the basis of X).
    within_basis : ndarray, shape (P, N)
        Orthonormal basis of what the directions leave of X's basis.
    within : ndarray, shape (P + 1, P + 1)
        Cross-products of that, the response's 0.
    triangle : ndarray, shape (P + 1, P + 1)
        Its triangular factor, the last column 0.
    """

    variances: np.ndarray
    counts: np.ndarray
    directions: np.ndarray
    rows: np.ndarray
    alone: np.ndarray
    X: np.ndarray
    within_basis: np.ndarray
    within: np.ndarray
    triangle: np.ndarray


def find_strata(design: Design, blocks: Blocks) -> Strata | None:
    """Return the strata of a model; None where it has none, or where they would be dear to find.

    Parameters
    ----------
    design : Design
    blocks : Blocks
        Of that design.
    """
    factors = blocks.factors
    if blocks.cross is not None or any(factor.p != 1 for factor in factors):
        return None
    P, N = blocks.P, blocks.N
    if len(factors) == 1:
        J = factors[0].J
        return Strata(
            variances=np.ascontiguousarray(blocks.R[:, 0, 0] ** 2)[None, :],
            counts=np.ones(J),
            directions=np.empty((0, N)),
            rows=np.empty(0, dtype=np.int64),
            alone=np.empty(0, dtype=bool),
            X=np.empty((0, P)),
            within_basis=np.empty((P, 0)),
            within=np.empty((0, 0)),
            triangle=np.empty((0, 0)),
        )
    if N * sum(factor.J for factor in factors) > _ELEMENTS or not _may_commute(design, blocks):
        return None
    found = _common_eigenvectors(design, blocks)
    if found is None:
        return None
    U, eigenvalues = found
    X = blocks.basis[blocks.order]
    order, starts = _equal_runs(eigenvalues)
    U, eigenvalues = U[:, order], eigenvalues[:, order]
    variances: list[np.ndarray] = []
    counts: list[float] = []
    coefficients, rows, alone = [], [], []
    for start, stop in pairwise(starts):
        own = U[:, start:stop]
        rotation, triangle = np.linalg.qr(own.T @ X, mode="complete")
        U[:, start:stop] = own @ rotation
        size = stop - start
        carrying = min(size, P)
        lines = max(carrying, 1)
        known = len(counts)
        variances += [eigenvalues[:, start:stop].mean(axis=1)] * lines
        counts += [float(size)] + [0.0] * (lines - 1)
        coefficients.append(triangle[:carrying] if carrying else np.zeros((1, P)))
        rows += [known + i if i < carrying else known for i in range(size)]
        alone += [i < carrying for i in range(size)]
    rest = X - U @ (U.T @ X)
    rest -= U @ (U.T @ rest)
    triangle, within_basis = np.zeros((P + 1, P + 1)), np.zeros((N, P))
    if P:
        within_basis, triangle[:P, :P] = np.linalg.qr(rest)
    at = np.empty(len(factors), dtype=np.int64)  # of each θ
    for f, factor in enumerate(factors):
        at[factor.theta[0]] = f
    return Strata(
        variances=np.ascontiguousarray(np.array(variances).T[at]),
        counts=np.array(counts),
        directions=np.ascontiguousarray(U.T),
        rows=np.array(rows, dtype=np.int64),
        alone=np.array(alone),
        X=np.ascontiguousarray(np.vstack(coefficients)),
        within_basis=np.ascontiguousarray(within_basis.T),
        within=triangle.T @ triangle,
        triangle=triangle,
    )


def _may_commute(design: Design, blocks: Blocks) -> bool:
    """Whether all Z_f Z_f' commute on one vector: where they do not, it costs little to know."""
    x = np.random.default_rng(1).normal(size=design.N)
    root = np.ones(design.N) if design.weights is None else np.sqrt(design.weights)
    columns = [design.terms[factor.terms[0]].columns[:, 0] * root for factor in blocks.factors]

    def product(f: int, x: np.ndarray) -> np.ndarray:
        z, codes = columns[f], blocks.factors[f].codes
        image: np.ndarray = z * np.bincount(codes, z * x)[codes]
        return image

    once = [product(f, x) for f in range(len(columns))]
    for f, g in combinations(range(len(columns)), 2):
        one, other = product(f, once[g]), product(g, once[f])
        if not np.abs(one - other).max() <= _SMALL * np.abs(one).max():
            return False
    return True


def _common_eigenvectors(design: Design, blocks: Blocks) -> tuple[np.ndarray, np.ndarray] | None:
    """Orthonormal eigenvectors (N, r) of all Z_f Z_f', where they are the same, and eigenvalues (factors, r)."""
    root = np.ones(design.N) if design.weights is None else np.sqrt(design.weights)
    Zs = []
    for factor in blocks.factors:
        Z = np.zeros((design.N, factor.J))
        values = design.terms[factor.terms[0]].columns[:, 0] * root
        Z[np.arange(design.N), factor.codes[blocks.order]] = values[blocks.order]
        Zs.append(Z)
    sizes = [float((Z * Z).sum(axis=0).max()) for Z in Zs]
    if not min(sizes) > 0:
        return None
    # eigenvectors of a combination that no two different sets of eigenvalues are likely to share
    shares = [math.sqrt(2 + f) / size for f, size in enumerate(sizes)]
    U, singular, _ = np.linalg.svd(
        np.hstack([math.sqrt(share) * Z for share, Z in zip(shares, Zs, strict=True)]), full_matrices=False
    )
    squares = singular**2 / singular[0] ** 2
    U = U[:, squares > _EQUAL]
    unclear = bool(((squares > _EQUAL) & (squares < _SMALL)).any())
    eigenvalues = np.empty((len(Zs), U.shape[1]))
    for f, Z in enumerate(Zs):
        image = Z.T @ U
        product = image.T @ image
        values = np.diag(product) / product.max()
        unclear |= bool(((values > _EQUAL) & (values < _SMALL)).any())
        eigenvalues[f] = np.where(values > _EQUAL, np.diag(product), 0.0)
        np.fill_diagonal(product, 0.0)
        unclear |= bool(np.abs(product).max() > _EQUAL * eigenvalues[f].max())
    return None if unclear else (U, eigenvalues)


def _equal_runs(eigenvalues: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Order in which eigenvectors with the same eigenvalues stand together, and where each run starts (and ends)."""
    whole = np.round(eigenvalues / (_EQUAL * eigenvalues.max(axis=1, keepdims=True)))
    order = np.lexsort(whole)
    change = (np.abs(np.diff(whole[:, order], axis=1)) > 1).any(axis=0)
    return order, [0, *(np.flatnonzero(change) + 1).tolist(), eigenvalues.shape[1]]
