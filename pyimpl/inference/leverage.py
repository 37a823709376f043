"""Leverage of single rows: the hat matrix of a linear mixed model, as ``lme4::hatvalues.merMod``."""

import numpy as np

from pyimpl.design.design import Design
from pyimpl.inference.derivatives import row_groups
from pyimpl.inference.estimates import Estimates
from pyimpl.likelihood.threads import sized_threads

__all__ = ["hat_diagonal", "hat_matrix"]


def _whitened(design: Design) -> np.ndarray:
    return design.X if design.weights is None else design.X * np.sqrt(design.weights)[:, None]


@sized_threads
def hat_diagonal(design: Design, estimates: Estimates) -> np.ndarray:
    """Diagonal of the hat matrix H: √w·ŷ = H·√w·y at the estimated θ.

    H = ZNZ' + V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ with N = Λ(Λ'Z'ZΛ + I)⁻¹Λ', rows weighted by √w
    (``C_L'C_L + C_R'C_R`` of Bates et al. 2015, section 5.4).

    Returns
    -------
    ndarray, shape (N,)
    """
    unscaled = estimates.vcov / estimates.sigma**2
    X, out = _whitened(design), np.empty(design.N)
    for group in row_groups(design, estimates.templates):
        U = group.solve(X[group.rows])
        # rows at a time: Z N is dense
        step = max(1, 2_000_000 // max(1, group.N.shape[0]))
        for start in range(0, group.rows.size, step):
            rows = slice(start, start + step)
            Z = group.Z[rows]
            random = np.asarray(Z.multiply(Z @ group.N).sum(axis=1)).ravel()
            out[group.rows[rows]] = random + np.einsum("ia,ab,ib->i", U[rows], unscaled, U[rows])
    return out


@sized_threads
def hat_matrix(design: Design, estimates: Estimates) -> np.ndarray:
    """The hat matrix itself (see :func:`hat_diagonal`).

    Returns
    -------
    ndarray, shape (N, N)
    """
    X, U = _whitened(design), np.empty((design.N, design.P))
    out = np.zeros((design.N, design.N))
    for group in row_groups(design, estimates.templates):
        U[group.rows] = group.solve(X[group.rows])
        out[np.ix_(group.rows, group.rows)] = group.Z @ (group.Z @ group.N).T
    return out + U @ (estimates.vcov / estimates.sigma**2) @ U.T
