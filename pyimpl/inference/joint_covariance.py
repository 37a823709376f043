"""The covariance matrix of the errors of (b̂, β̂) given θ: what predictions that use random effects are uncertain by.

C = σ² [Z'WZ + (ΛΛ')⁻¹, Z'WX; X'WZ, X'WX]⁻¹, the inverse of the mixed model equations' matrix (Henderson 1975;
``lme4:::vcov_full``). With A = Λ'Z'WZΛ + I and B = Λ'Z'WX it is never formed for a prediction z'b + x'β:

    var = σ² u'A⁻¹u + r' vcov(β̂) r,   u = Λ'z,   r = x − B'A⁻¹u.
"""

from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from pyimpl.errors import ModelError
from pyimpl.inference.contract import LikelihoodFit
from pyimpl.inference.derivatives import MAX_CONNECTED, largest_group, row_groups
from pyimpl.linalg.forecast import Forecast
from pyimpl.linalg.quadratic_forms import quadratic_forms

__all__ = ["JointCovariance"]

_CHUNK = 2**19  # numbers of a dense right-hand side that are solved for at a time: 4 MB, some tenths of a second
_LARGEST = 20_000  # rows of a full matrix: 3.2 GB


class JointCovariance:
    """C of one fit.

    Parameters
    ----------
    fit : LmerFit
    """

    def __init__(self, fit: LikelihoodFit) -> None:
        self._design = fit.design
        self._sigma = fit.sigma()
        self._vcov = fit.vcov().to_numpy()
        self._Lambda = sparse.csc_array(fit.getME("Lambda"))

    @cached_property
    def _ZL(self) -> sparse.csc_array:
        """√W ZΛ, shape (N, q)."""
        ZL = self._design.Z @ self._Lambda
        weights = self._design.weights
        return sparse.csc_array(ZL if weights is None else sparse.diags_array(np.sqrt(weights)) @ ZL)

    @cached_property
    def _factor(self) -> SuperLU:
        """A = Λ'Z'WZΛ + I, factorised."""
        A = self._ZL.T @ self._ZL + sparse.eye_array(self._design.q)
        # A is positive definite: no pivoting, an order that suits its symmetric pattern
        options = {"SymmetricMode": True}
        return splu(sparse.csc_matrix(A), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)

    @cached_property
    def _B(self) -> np.ndarray:
        """B = Λ'Z'WX, shape (q, P)."""
        X, weights = self._design.X, self._design.weights
        return np.asarray(self._ZL.T @ (X if weights is None else X * np.sqrt(weights)[:, None]))

    def variance(self, X: np.ndarray | None, Z: sparse.csr_array | None) -> np.ndarray:
        """Variance of z'(b̂ − b) + x'(β̂ − β) for each row.

        Parameters
        ----------
        X : ndarray, shape (rows, P), or None
            None: the fixed effects have no part.
        Z : csr_array, shape (rows, q), or None
            None: the random effects have none.

        Returns
        -------
        ndarray, shape (rows,)
            In squared units of y.
        """
        if Z is None or not self._design.q:
            assert X is not None
            return quadratic_forms(X, self._vcov)
        if largest_group(self._design) <= MAX_CONNECTED:
            random, r = self._by_groups(Z)
        else:
            random, r = self._by_solving(Z)
        if X is not None:
            r = X + r
        return self._sigma**2 * random + quadratic_forms(r, self._vcov)

    def _by_groups(self, Z: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """u'A⁻¹u, shape (rows,), and −B'A⁻¹u, shape (rows, P), where A is block-diagonal over groups of effects."""
        design = self._design
        root = None if design.weights is None else np.sqrt(design.weights)[:, None]
        X = design.X if root is None else design.X * root
        starts = np.cumsum([0, *(term.J * term.p for term in design.terms)])
        templates = tuple(
            self._Lambda[at : at + term.p, at : at + term.p].toarray()
            for at, term in zip(starts[:-1].tolist(), design.terms, strict=True)
        )
        random, r = np.zeros(Z.shape[0]), np.zeros((Z.shape[0], design.P))
        by_column = sparse.csc_array(Z)
        for group in row_groups(design, templates):
            own = by_column[:, group.columns]
            rows, place = np.unique(own.indices, return_inverse=True)
            if not rows.size:
                continue
            own = sparse.csc_array((own.data, place, own.indptr), shape=(rows.size, group.columns.size)).tocsr()
            r[rows] -= own @ (group.N @ (group.Z.T @ X[group.rows]))
            step = max(1, _CHUNK // group.columns.size)
            for start in range(0, rows.size, step):
                z = own[start : start + step]
                random[rows[start : start + step]] += np.asarray(z.multiply(z @ group.N).sum(axis=1)).ravel()
        return random, r

    def _by_solving(self, Z: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """The same where so many effects hang together that an inverse of theirs would be too large."""
        rows = Z.shape[0]
        random, r = np.empty(rows), np.empty((rows, self._design.P))
        step = max(1, _CHUNK // self._design.q)
        forecast = Forecast("the standard errors", rows, "rows", 'Take fewer rows, or re_form="~0"')
        U = sparse.csr_array(Z @ self._Lambda)
        for start in range(0, rows, step):
            block = slice(start, start + step)
            u = U[block].toarray().T  # (q, rows of the block)
            solved = self._factor.solve(u)
            r[block] = -(solved.T @ self._B)
            random[block] = np.einsum("ij,ij->j", u, solved)
            forecast.done(u.shape[1])
        return random, r

    def full(self) -> pd.DataFrame:
        """``vcov(m, full = TRUE)`` of lme4 since 2.0-1: C itself.

        Returns
        -------
        DataFrame, shape (q + P, q + P)
            Random effects in Z's order, named ``group.level.effect``, before the fixed effects.

        Raises
        ------
        ModelError
            There are more than 20 000 random effects.
        """
        design = self._design
        q, P = design.q, design.P
        if q > _LARGEST:
            raise ModelError(
                f"vcov(full=True) would be a dense matrix of {q + P} rows; predict(se_fit=True) needs none"
            )
        names = [f"{t.group}.{level}.{effect}" for t in design.terms for level in t.levels for effect in t.effects]
        names += list(design.coef_names)
        C = np.empty((q + P, q + P))
        if q:
            L = self._Lambda.toarray()
            inner = self._sigma**2 * (L @ self._factor.solve(np.ascontiguousarray(L.T)))
            K = L @ self._factor.solve(np.ascontiguousarray(self._B)) if P else np.zeros((q, 0))
            C[:q, :q] = inner + K @ self._vcov @ K.T
            C[:q, q:] = -K @ self._vcov
            C[q:, :q] = C[:q, q:].T
        C[q:, q:] = self._vcov
        return pd.DataFrame(0.5 * (C + C.T), index=names, columns=names)
