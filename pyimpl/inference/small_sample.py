"""Small-sample tests of the fixed effects: t tests of coefficients, F tests of terms and of smaller models."""

from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtrc, stdtr, stdtrit

from pyimpl.design.design import Design
from pyimpl.errors import ConvergenceWarning, DataError, ModelError
from pyimpl.inference.derivatives import CovarianceDerivatives, covariance_derivatives
from pyimpl.inference.estimates import Estimates
from pyimpl.inference.hypotheses import term_hypotheses
from pyimpl.inference.kenward_roger import KenwardRoger
from pyimpl.inference.satterthwaite import Satterthwaite
from pyimpl.linalg.quadratic_forms import quadratic_forms
from r_scripts.caller import warn

__all__ = ["SmallSample", "full_rank_rows", "restriction_matrix"]

_COLUMNS = ["Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"]
_F_COLUMNS = ["Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)"]
_RANK = 1e-7  # R's qr


class SmallSample:
    """What Satterthwaite's and Kenward and Roger's methods say of one fit.

    Parameters
    ----------
    design : Design
    estimates : Estimates
    REML : bool
    """

    def __init__(self, design: Design, estimates: Estimates, REML: bool) -> None:
        self._design = design
        self._estimates = estimates
        self._REML = REML

    @cached_property
    def _derivatives(self) -> CovarianceDerivatives:
        return covariance_derivatives(self._design, self._estimates)

    @cached_property
    def satterthwaite(self) -> Satterthwaite:
        """Satterthwaite's method, for either criterion."""
        method = Satterthwaite.of(self._estimates.beta, self._derivatives, self._REML)
        for text in method.warnings:
            warn(text, ConvergenceWarning)
        return method

    @cached_property
    def kenward_roger(self) -> KenwardRoger:
        """Kenward and Roger's method.

        Raises
        ------
        ModelError
            If the fit is not a REML fit, or covariances are structured.
        """
        if self._design.structure is not None:
            raise ModelError(
                "Kenward-Roger's method is for covariance matrices that are linear in their parameters, which "
                "structured ones (diag, cs, ar1) are not taken for here: take Satterthwaite's method"
            )
        if not self._REML:
            raise ModelError(
                "Kenward-Roger's method is only available for REML model fits: fit with REML=True, or take "
                "Satterthwaite's method"
            )
        return KenwardRoger.of(self._estimates.beta, self._derivatives)

    def _t_table(self, se: np.ndarray, df: np.ndarray) -> pd.DataFrame:
        t = self._estimates.beta / se
        values = np.column_stack([self._estimates.beta, se, df, t, 2 * stdtr(df, -np.abs(t))])
        return pd.DataFrame(values, index=list(self._design.coef_names), columns=_COLUMNS)

    def satterthwaite_table(self) -> pd.DataFrame:
        """Test each coefficient: Estimate, Std. Error, df, t value, Pr(>|t|)."""
        P = self._design.P
        df = np.array([self.satterthwaite.df(row) for row in np.eye(P)] if P else [])
        return self._t_table(np.sqrt(np.diag(self._estimates.vcov)), df)

    def kenward_roger_table(self) -> pd.DataFrame:
        """The same table with adjusted standard errors and Kenward and Roger's degrees of freedom."""
        P = self._design.P
        if not P:
            return self._t_table(np.empty(0), np.empty(0))
        method = self.kenward_roger
        df = np.array([method.df(row) for row in np.eye(P)])
        return self._t_table(np.sqrt(np.diag(method.adjusted)), df)

    def modcomp(self, L: np.ndarray, betaH: np.ndarray) -> pd.DataFrame:
        """Test Lβ = Lβ_H by Kenward and Roger's F: pbkrtest's ``KRmodcomp(...)$test``."""
        if betaH.shape not in ((), (self._design.P,)):
            raise DataError(f"betaH has shape {betaH.shape}; the model has {self._design.P} coefficients")
        test = self.kenward_roger.f_test(L, betaH)
        return pd.DataFrame(
            {
                "stat": [test.statistic, test.unscaled],
                "ndf": [test.ndf, test.ndf],
                "ddf": [test.ddf, test.ddf],
                "F.scaling": [test.scaling, np.nan],
                "p.value": [_f_tail(test.statistic, test.ndf, test.ddf), _f_tail(test.unscaled, test.ndf, test.ddf)],
            },
            index=["Ftest", "FtestU"],
        )

    def joint_contest(self, L: np.ndarray, rhs: np.ndarray, ddf: str) -> pd.DataFrame:
        """F test of Lβ = rhs (``lmerTest:::contestMD``).

        Parameters
        ----------
        L : ndarray, shape (rows, P)
            Need not have full row rank.
        rhs : ndarray, shape () or (rows,)
        ddf : {"Satterthwaite", "Kenward-Roger"}

        Returns
        -------
        DataFrame
            Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F); one row.
        """
        basis = full_rank_rows(L, self._design.P)
        if rhs.shape not in ((), (1,), (L.shape[0],)):
            raise DataError(f"rhs has shape {rhs.shape}; there are {L.shape[0]} contrasts")
        beta0 = np.linalg.pinv(L) @ np.broadcast_to(rhs, L.shape[0])
        if not np.allclose(L @ beta0, rhs, rtol=1e-9, atol=1e-9 * float(np.abs(rhs).max())):
            raise DataError("rhs: the contrasts are linearly dependent, and no coefficients have these values of them")
        s2, scaling = self._estimates.sigma**2, 1.0
        if self._method(ddf) == "Satterthwaite":
            F, ndf, df2 = self.satterthwaite.f_test(L, beta0)
        else:
            test = self.kenward_roger.f_test(basis, beta0)
            F, ndf, df2, scaling = test.unscaled, test.ndf, test.ddf, test.scaling
        row = (F * s2 * ndf, F * s2, ndf, df2, scaling * F, _f_tail(scaling * F, ndf, df2))
        return pd.DataFrame([row], index=["1"], columns=_F_COLUMNS, dtype=float)

    def single_contests(self, L: np.ndarray, rhs: np.ndarray, ddf: str, level: float | None) -> pd.DataFrame:
        """Test l'β = rhs by t for each row l of L (``lmerTest:::contest1D``).

        Parameters
        ----------
        L : ndarray, shape (rows, P)
        rhs : ndarray, shape ()
        ddf : {"Satterthwaite", "Kenward-Roger"}
        level : float, optional
            Of the confidence intervals of l'β; None: there are none.

        Returns
        -------
        DataFrame
            Estimate, Std. Error, df, t value, (lower, upper,) Pr(>|t|).
        """
        checked_contrasts(L, self._design.P)
        if rhs.size != 1:
            raise DataError("rhs must be one number if joint is False: take the contrasts one by one")
        method = self.satterthwaite if self._method(ddf) == "Satterthwaite" else self.kenward_roger
        vcov = self._estimates.vcov if isinstance(method, Satterthwaite) else method.adjusted
        estimate = L @ self._estimates.beta
        se = np.sqrt(quadratic_forms(L, vcov))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (estimate - rhs.ravel()) / se
        df = np.array([method.df(row) if row.any() else np.nan for row in L])
        table = {"Estimate": estimate, "Std. Error": se, "df": df, "t value": t}
        if level is not None:
            half = stdtrit(df, 0.5 * (1 + level)) * se
            table |= {"lower": estimate - half, "upper": estimate + half}
        table["Pr(>|t|)"] = 2 * stdtr(df, -np.abs(t))
        return pd.DataFrame(table, index=[str(i + 1) for i in range(len(L))])

    @staticmethod
    def _method(ddf: str) -> str:
        if ddf not in ("Satterthwaite", "Kenward-Roger"):
            raise DataError(f"ddf must be 'Satterthwaite' or 'Kenward-Roger', not {ddf!r}")
        return ddf

    def f_table(self, type: str, ddf: str) -> pd.DataFrame:  # noqa: A002
        """F tests of the terms (``lmerTest:::anova.lmerModLmerTest``).

        Parameters
        ----------
        type : {"III", "II", "I", "3", "2", "1"}
        ddf : {"Satterthwaite", "Kenward-Roger"}

        Returns
        -------
        DataFrame
            Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F); terms without a testable hypothesis last, missing.
        """
        self._method(ddf)
        rows: dict[str, tuple[float, ...]] = {}
        untestable = []
        s2 = self._estimates.sigma**2
        for label, L in term_hypotheses(self._design, type).items():
            scaling = 1.0
            if ddf == "Satterthwaite":
                F, ndf, df2 = self.satterthwaite.f_test(L) if L.shape[0] else (np.nan, 0, np.nan)
            elif L.shape[0]:
                test = self.kenward_roger.f_test(full_rank_rows(L, self._design.P))
                F, ndf, df2, scaling = test.unscaled, test.ndf, test.ddf, test.scaling
            else:
                ndf = 0
            if ndf == 0:
                untestable.append(label)
                continue
            rows[label] = (F * s2 * ndf, F * s2, ndf, df2, scaling * F, _f_tail(scaling * F, ndf, df2))
        for label in untestable:
            rows[label] = (np.nan,) * 6
        return pd.DataFrame(list(rows.values()), index=list(rows), columns=_F_COLUMNS, dtype=float)


def _f_tail(F: float, ndf: int, ddf: float) -> float:
    """Upper tail of the F distribution; missing where its degrees of freedom are not positive, as R's ``pf``."""
    if not ddf > 0 or np.isnan(F):
        return float("nan")
    if F <= 0:
        return 1.0
    return float(chdtrc(ndf, ndf * F) if np.isinf(ddf) else fdtrc(ndf, ddf, F))


def _rank(A: np.ndarray) -> int:
    if not A.size:
        return 0
    norms = np.linalg.norm(A, axis=0)
    return int(np.linalg.matrix_rank(A / np.where(norms > 0, norms, 1.0), rtol=_RANK))


def checked_contrasts(L: np.ndarray, P: int) -> np.ndarray:
    """Return L if it has P columns and finite elements.

    Raises
    ------
    DataError
    """
    if L.ndim != 2 or L.shape[1] != P:
        raise DataError(f"the matrix of hypotheses has shape {L.shape}; it needs {P} columns, one a coefficient")
    if not np.isfinite(L).all():
        raise DataError("the matrix of hypotheses has missing or infinite elements")
    return L


def full_rank_rows(L: np.ndarray, P: int) -> np.ndarray:
    """Rows that span the rows of L: L itself if its rows are independent.

    Raises
    ------
    DataError
        If L does not have P columns, has missing elements, or no row other than zeros.
    """
    rank = _rank(checked_contrasts(L, P).T)
    if rank == 0:
        raise DataError("the matrix of hypotheses has no row other than zeros")
    return L if rank == L.shape[0] else np.linalg.svd(L)[2][:rank]


def restriction_matrix(large: np.ndarray, small: np.ndarray) -> np.ndarray:
    """L with independent rows such that {Xβ: Lβ = 0} is the column space of the smaller model's matrix.

    ``pbkrtest::model2restriction_matrix``, up to the choice of a basis (no test depends on it).

    Parameters
    ----------
    large : ndarray, shape (N, P)
        Full column rank.
    small : ndarray, shape (N, P0)

    Raises
    ------
    ModelError
        If the smaller column space is not a proper subspace of the larger.
    """
    if large.shape[0] != small.shape[0]:
        raise ModelError(f"the models have {large.shape[0]} and {small.shape[0]} rows: they need the same data")
    P, P0 = large.shape[1], small.shape[1]
    if not P0 < P or _rank(np.hstack([large, small])) > P:
        raise ModelError("Models have equal mean structure or are not nested!")
    if not P0:
        return np.eye(P)
    basis = np.linalg.lstsq(large, small, rcond=None)[0]
    # orthogonal in units in which the columns of X have length 1
    norms = np.linalg.norm(large, axis=0)
    return np.linalg.svd(basis * norms[:, None])[0][:, P0:].T * norms
