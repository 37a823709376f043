"""Satterthwaite's degrees of freedom for contrasts of the fixed effects, as lmerTest computes them.

Kuznetsova, Brockhoff & Christensen (2017), J. Stat. Softw. 82(13), section 3; ``lmerTest::contest1D`` and
``contestMD``. lmerTest differentiates numerically; here the derivatives are exact (:mod:`.derivatives`).
"""

from dataclasses import dataclass

import numpy as np

from pyimpl.inference.derivatives import CovarianceDerivatives

__all__ = ["Satterthwaite"]

_EIGENVALUE = 1e-8  # lmerTest's tolerance for eigenvalues of the Hessian


@dataclass(frozen=True)
class Satterthwaite:
    """The asymptotic covariance matrix of (θ̂, σ̂) and the derivatives of vcov(β̂) by them.

    Attributes
    ----------
    beta : ndarray, shape (P,)
    vcov : ndarray, shape (P, P)
    varpar : ndarray, shape (k, k)
        2 H⁻¹, directions in which H is not positive left out.
    jacobian : ndarray, shape (k, P, P)
    warnings : tuple of str
        What lmerTest would warn about.
    """

    beta: np.ndarray
    vcov: np.ndarray
    varpar: np.ndarray
    jacobian: np.ndarray
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, beta: np.ndarray, derivatives: CovarianceDerivatives, REML: bool) -> "Satterthwaite":
        """Prepare for contrasts of `beta`, the coefficients of the fit that `derivatives` belong to."""
        hessian, jacobian = derivatives.by_theta_sigma(REML)
        values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
        notes = []
        negative = values[values < -_EIGENVALUE]
        if negative.size:
            plural = "eigenvalues" if negative.size > 1 else "eigenvalue"
            shown = " ".join(f"{value:.1e}" for value in negative[::-1])
            notes.append(f"Model failed to converge with {negative.size} negative {plural}: {shown}")
        zero = values[np.abs(values) <= _EIGENVALUE]
        if zero.size:
            plural = "eigenvalues" if zero.size > 1 else "eigenvalue"
            shown = " ".join(f"{value:.1e}" for value in zero[::-1])
            notes.append(f"Model may not have converged with {zero.size} {plural} close to zero: {shown}")
        keep = values > _EIGENVALUE
        varpar = 2 * (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
        return cls(beta, derivatives.Phi, varpar, jacobian, tuple(notes))

    def df(self, L: np.ndarray) -> float:
        """Degrees of freedom of the t statistic of L'β: 2 (L'ΦL)² / g'Ag."""
        variance = float(L @ self.vcov @ L)
        slope = (self.jacobian @ L) @ L
        with np.errstate(divide="ignore"):
            return float(2 * variance**2 / np.float64(slope @ self.varpar @ slope))

    def f_test(self, L: np.ndarray, beta0: np.ndarray | float = 0.0) -> tuple[float, int, float]:
        """F statistic, numerator and denominator degrees of freedom of Lβ = Lβ₀ (``contestMD``).

        Parameters
        ----------
        L : ndarray, shape (rows, P)
            Need not have full row rank.
        beta0 : float or ndarray, shape (P,)
        """
        values, vectors = np.linalg.eigh(L @ self.vcov @ L.T)
        values, vectors = values[::-1], vectors[:, ::-1]
        q = int((values > max(np.sqrt(np.finfo(float).eps) * values[0], 0.0)).sum())
        if q == 0:
            return np.nan, 0, np.nan
        contrasts = vectors[:, :q].T @ L
        F = float(((contrasts @ (self.beta - beta0)) ** 2 / values[:q]).sum() / q)
        return F, q, _pooled_df(np.array([self.df(row) for row in contrasts]))


def _pooled_df(nu: np.ndarray) -> float:
    """Denominator degrees of freedom from those of q independent t statistics (``lmerTest:::get_Fstat_ddf``)."""
    if nu.size == 1 or (np.abs(np.diff(nu)) < 1e-8).all():
        return float(nu.mean())
    if (nu <= 2).any():
        return 2.0
    with np.errstate(invalid="ignore"):
        expected = float(np.where(np.isinf(nu), 1.0, nu / (nu - 2)).sum())
    return 2 * expected / (expected - nu.size) if expected > nu.size else np.inf
