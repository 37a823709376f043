"""Kenward and Roger's adjusted covariance matrix and F test, as pbkrtest computes them.

Kenward & Roger (1997), Biometrics 53, 983-997; Halekoh & Højsgaard (2014), J. Stat. Softw. 59(9); ``vcovAdj``,
``KRmodcomp`` and ``Lb_ddf`` of pbkrtest.
"""

from dataclasses import dataclass

import numpy as np

from pyimpl.inference.derivatives import CovarianceDerivatives

__all__ = ["KenwardRoger", "KenwardRogerTest"]


@dataclass(frozen=True)
class KenwardRogerTest:
    """An F test of q linear hypotheses about β.

    Attributes
    ----------
    statistic : float
        The scaled statistic, F.scaling × Wald / q (``Ftest`` of ``KRmodcomp``).
    unscaled : float
        Wald / q (``FtestU``).
    ndf : int
    ddf : float
    scaling : float
    """

    statistic: float
    unscaled: float
    ndf: int
    ddf: float
    scaling: float


@dataclass(frozen=True)
class KenwardRoger:
    """The adjusted covariance matrix of a REML fit's fixed effects and what the degrees of freedom need.

    Attributes
    ----------
    beta : ndarray, shape (P,)
    vcov, adjusted : ndarray, shape (P, P)
        Φ and Φ_A.
    W : ndarray, shape (m, m)
        Asymptotic covariance matrix of the variance parameters, from the expected information.
    PX : ndarray, shape (m, P, P)
        X'Σ⁻¹G_rΣ⁻¹X (pbkrtest's P is its negative).
    """

    beta: np.ndarray
    vcov: np.ndarray
    adjusted: np.ndarray
    W: np.ndarray
    PX: np.ndarray

    @classmethod
    def of(cls, beta: np.ndarray, derivatives: CovarianceDerivatives) -> "KenwardRoger":
        """Adjust the covariance matrix of the REML fit that `derivatives` belong to."""
        Phi, PX = derivatives.Phi, derivatives.PX
        information = derivatives.projected_traces
        information = 0.5 * (information + information.T)
        # pbkrtest's rule, absolute tolerance included: a generalized inverse where an eigenvalue is tiny
        if np.abs(np.linalg.eigvalsh(information)).min() > 1e-10:
            W = 2 * np.linalg.inv(information)
        else:
            W = 2 * np.linalg.pinv(information, rcond=float(np.sqrt(np.finfo(float).eps)), hermitian=True)
        crossed = (PX @ Phi)[:, None] @ PX[None]
        U = np.einsum("rs,rsab->ab", W, derivatives.QX - crossed)
        adjusted = Phi + 2 * Phi @ (0.5 * (U + U.T)) @ Phi
        return cls(beta, Phi, adjusted, W, PX)

    def f_test(self, L: np.ndarray, beta0: np.ndarray | float = 0.0) -> KenwardRogerTest:
        """Test L(β − β₀) = 0.

        Parameters
        ----------
        L : ndarray, shape (q, P)
            Full row rank.
        beta0 : ndarray of shape (P,), or float
        """
        difference = L @ (self.beta - beta0)
        ddf, scaling = self._df(L)
        unscaled = float(difference @ np.linalg.solve(L @ self.adjusted @ L.T, difference)) / L.shape[0]
        return KenwardRogerTest(scaling * unscaled, unscaled, L.shape[0], ddf, scaling)

    def df(self, L: np.ndarray) -> float:
        """Degrees of freedom of the t statistic of L'β (``Lb_ddf``)."""
        return self._df(L[None, :])[0]

    def _df(self, L: np.ndarray) -> tuple[float, float]:
        """Denominator degrees of freedom and the scale of F (``pbkrtest:::.KR_adjust``)."""
        q = L.shape[0]
        theta = L.T @ np.linalg.solve(L @ self.vcov @ L.T, L)
        u = theta @ self.vcov @ self.PX @ self.vcov
        spur = np.einsum("raa->r", u)
        A1 = float(spur @ self.W @ spur)
        A2 = float(np.einsum("rs,rab,sba->", self.W, u, u))
        B = (A1 + 6 * A2) / (2 * q)
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.float64((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
            below = 3 * q + 2 * (1 - g)
            V0 = 1 + g / below * B
            V1 = 1 - (q - g) / below * B
            V2 = 1 - (q + 2 - g) / below * B
            V0 = 0.0 if abs(V0) < 1e-10 else V0
            ratio = 1.0 if abs(1 - A2 / q) < 1e-14 and abs(V1) < 1e-14 else (1 - A2 / q) / V1
            rho = ratio**2 * V0 / V2 / q
            ddf = 4 + (q + 2) / (q * rho - 1)
            scaling = 1.0 if abs(ddf - 2) < 0.01 else ddf * (1 - A2 / q) / (ddf - 2)
        return float(ddf), float(scaling)
