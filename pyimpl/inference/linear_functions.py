"""Linear functions of a fit's coefficients: which can be estimated, their values, standard errors and tests."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc

from pyimpl.linalg.dqrdc2 import dqrdc2
from pyimpl.linalg.forecast import Forecast
from pyimpl.text.numbers import r_round, zapsmall

__all__ = ["Basis", "JointTest", "null_space"]

_TOLERANCE = 1e-8  # emm_options("estble.tol")


def null_space(X: np.ndarray, kept: np.ndarray) -> np.ndarray | None:
    """Orthonormal basis of the coefficients that change no fitted value.

    Parameters
    ----------
    X : ndarray, shape (N, K)
        The model matrix with all its columns.
    kept : ndarray of intp
        Columns that are linearly independent and span the others.

    Returns
    -------
    ndarray, shape (K, K − len(kept)), or None
        None where X has full column rank.
    """
    K = X.shape[1]
    if len(kept) == K:
        return None
    dropped = np.setdiff1d(np.arange(K), kept)
    basis = np.zeros((K, len(dropped)))
    basis[kept] = -np.linalg.lstsq(X[:, kept], X[:, dropped], rcond=None)[0]
    basis[dropped, np.arange(len(dropped))] = 1.0
    return np.linalg.qr(basis)[0]


@dataclass(frozen=True)
class JointTest:
    """An F test of linear functions: its rows' basis, degrees of freedom, statistic and p value.

    ``note`` is 1 where rows depend on others, 2 where some cannot be estimated, 3 where both.
    """

    df1: int
    df2: float
    F: float
    p: float
    note: int
    rows: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Basis:
    """Estimates of the coefficients and all that linear functions of them need.

    Attributes
    ----------
    beta : ndarray, shape (K,)
        Missing where a column was dropped.
    vcov : ndarray, shape (P, P)
        Of those that are there.
    unestimable : ndarray, shape (K, K − P), or None
        See :func:`null_space`.
    df : callable
        Degrees of freedom of the t statistic of a linear function, shape (P,).
    df_method : str or None
        What printed tables call it.
    draws : ndarray, shape (draws, P), or None
        Of a posterior.
    sigma : float
        Residual standard deviation.
    """

    beta: np.ndarray
    vcov: np.ndarray
    unestimable: np.ndarray | None
    df: Callable[[np.ndarray], float]
    df_method: str | None
    draws: np.ndarray | None
    sigma: float

    @property
    def active(self) -> np.ndarray:
        """Which coefficients are there, shape (K,)."""
        return ~np.isnan(self.beta)

    def estimable(self, L: np.ndarray) -> np.ndarray:
        """Which rows of L, shape (rows, K), can be estimated (``estimability::is.estble``)."""
        if self.unestimable is None:
            known: np.ndarray = ~np.isnan(L).any(axis=1)
            return known
        size = (L**2).sum(axis=1)
        off = ((L @ self.unestimable) ** 2).sum(axis=1)
        there: np.ndarray = off < _TOLERANCE * np.where(size < _TOLERANCE, 1.0, size)
        return there

    def estimates(self, L: np.ndarray, offset: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, standard errors and degrees of freedom of the rows of L; missing where they cannot be estimated."""
        there = self.estimable(L)
        own = L[:, self.active]
        value = own @ self.beta[self.active]
        if offset is not None:
            value = value + offset
        se, df = np.full(len(L), np.nan), np.full(len(L), np.nan)
        rows = np.flatnonzero(there)
        forecast = Forecast("the degrees of freedom", len(rows), "rows", 'Take ddf="asymptotic", or fewer rows')
        for i in rows:
            # coefficients that are rounding errors beside the others count as 0, as in emmeans
            row = np.where(zapsmall(own[i]) != 0, own[i], 0.0)
            se[i] = np.sqrt(row @ self.vcov @ row)
            df[i] = self.df(own[i])
            forecast.done()
        return np.where(there, value, np.nan), se, df

    def covariance(self, L: np.ndarray) -> np.ndarray:
        """Covariance matrix of the linear functions; missing where they cannot be estimated."""
        own = L[:, self.active].astype(float)
        own[~self.estimable(L)] = np.nan
        out: np.ndarray = own @ self.vcov @ own.T
        return out

    def sample(self, L: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
        """Draws of the linear functions, shape (draws, rows)."""
        assert self.draws is not None
        values = self.draws @ L[:, self.active].T
        values[:, ~self.estimable(L)] = np.nan
        return values if offset is None else values + offset

    def joint_test(self, L: np.ndarray) -> JointTest:
        """Test that all rows of L are 0, by F (emmeans' ``test(joint = TRUE)``)."""
        zero = (L == 0).all(axis=1)
        note = 2 if zero.any() else 0
        missing = np.isnan(L).any(axis=1)
        note |= 2 if missing.any() else 0
        L = L[~(zero | missing)]
        if self.unestimable is not None and not self.estimable(L).all():
            L = self._estimable_part(L)
            note |= 2
        small = np.where(np.abs(L) < 1e-7, 0.0, L)
        qr = dqrdc2(small.T) if L.size else None
        rank = 0 if qr is None else qr.rank
        if qr is None or rank == 0:
            return JointTest(0, np.nan, np.nan, np.nan, 3, None)
        if rank < len(L):
            note |= 1
        rows = np.linalg.qr(small.T[:, qr.pivot[:rank]])[0].T
        own = rows[:, self.active]
        value = own @ self.beta[self.active]
        try:
            F = float(value @ np.linalg.solve(own @ self.vcov @ own.T, value)) / rank
        except np.linalg.LinAlgError:
            return JointTest(rank, np.nan, np.nan, np.nan, 1, None)
        df2 = min(self.df(row) for row in own)
        if F < 0:
            p = 1.0
        elif np.isinf(df2):
            p = float(chdtrc(rank, F * rank))
        else:
            p = float(fdtrc(rank, df2, F))
        return JointTest(rank, float(r_round([df2], 2)[0]), float(r_round([F], 3)[0]), p, note, rows)

    def _estimable_part(self, L: np.ndarray) -> np.ndarray:
        """Combinations of the rows that can be estimated (``estimability::estble.subspace``)."""
        assert self.unestimable is not None
        off = np.where(np.abs(L) < 1e-7, 0.0, L) @ self.unestimable
        off[np.abs(off) <= _TOLERANCE] = 0.0
        U, d, _ = np.linalg.svd(off, full_matrices=True)
        rank = int((d > _TOLERANCE).sum())
        part: np.ndarray = U[:, rank:].T @ L
        return part
