"""What a fit hands back: the contract that both sides meet, written once.

``bridge`` (R, live) and ``pyimpl`` (Python alone) return objects that satisfy these protocols; the test suite runs
the same contract tests against both. A third party's library joins by meeting as much of it as it can: every method
that is there is compared, and every one that is not is reported as missing, never passed over.

Conventions, for every method:

* Verbs are R's (``fixef``, ``VarCorr``); ``_`` stands for R's dots (``df_residual``, ``re_form``).
* Labels are R's: ``(Intercept)``, ``femaleF``, ``x:factorB``; grouping levels are strings.
* What R shows as ``NA`` is a missing value (``pandas.isna`` is true of it).
* Variances are in squared units of the response; standard deviations, coefficients and BLUPs in its units.
* Returned objects are copies: changing one does not change the fit.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import xarray as xr

#: A number for each row of the data, or the name of a column.
Values: TypeAlias = str | Sequence[float] | np.ndarray | pd.Series
#: Draws that come without a fit: parameter -> (chains, draws) or (draws,).
Draws: TypeAlias = "xr.DataTree | xr.Dataset | pd.DataFrame | Mapping[str, np.ndarray] | Mapping[str, Sequence[float]]"
#: Likelihood-ratio tests: a row for each model, or the numbers of one test.
AnovaTable: TypeAlias = pd.DataFrame | Mapping[str, object]


class HasFrame(Protocol):
    """What is reported after a fit, as ``emmeans()`` and ``predictions()`` return it."""

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each mean, contrast or prediction."""


#: What is reported after a fit.
Table: TypeAlias = pd.DataFrame | HasFrame


@runtime_checkable
class MultilevelFit(Protocol):
    """What likelihood and Bayesian fits have in common."""

    @property
    def formula(self) -> str:
        """The model formula as R deparses it, e.g. ``course ~ 1 + female + (1 + female | school)``."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of all warnings of the fit, R's wording where R warns."""

    @property
    def messages(self) -> tuple[str, ...]:
        """The texts of all messages of the fit, e.g. ``boundary (singular) fit: see help('isSingular')``."""

    def fixef(self) -> pd.Series:
        """Fixed effects (posterior medians for a Bayesian fit): float64, indexed by R's coefficient name."""

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes (Bayesian: medians): grouping factor -> DataFrame, level (str) x effect."""

    def coef(self) -> dict[str, pd.DataFrame]:
        """``fixef`` plus ``ranef`` for each level: grouping factor -> DataFrame, level x coefficient."""

    def VarCorr(self) -> pd.DataFrame:
        """``as.data.frame(VarCorr(m))``: columns grp, var1, var2, vcov, sdcor.

        Rows in R's order: for each term its variances, then its covariances (``var2`` present, ``sdcor`` the
        correlation); last the row ``Residual`` (``var1`` and ``var2`` missing).
        """

    def sigma(self) -> float:
        """Residual standard deviation."""

    def nobs(self) -> int:
        """Number of rows used."""

    def ngrps(self) -> pd.Series:
        """Number of levels of each grouping factor: int64, indexed by factor."""

    def summary(self) -> object:
        """An object whose ``str()`` is exactly what R prints for ``summary(m)``."""


@runtime_checkable
class LinearMixedFit(MultilevelFit, Protocol):
    """A linear mixed model fitted by ML or REML, as ``lme4::lmer`` hands it back."""

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects, coefficient x coefficient."""

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``: index coefficient; columns ``Estimate``, ``Std. Error``, ``t value``."""

    def ranef_condVar(self) -> "Mapping[str, xr.DataArray]":
        """Conditional variances of the random effects, ``attr(ranef(m, condVar = TRUE)[[g]], "postVar")``.

        Grouping factor -> DataArray with dims ``(level, effect, effect2)`` and the labels of ``ranef()``. Where one
        factor has several terms, the entries between terms are missing (R gives none).
        """

    def logLik(self) -> float:
        """Log-likelihood at the optimum (for REML the restricted one), all constants kept."""

    @property
    def npar(self) -> int:
        """``attr(logLik(m), "df")``: fixed effects, covariance parameters and sigma."""

    def deviance(self) -> float:
        """-2 log-likelihood of an ML fit; for a REML fit what ``deviance(m)`` returns (with R's warning)."""

    def REMLcrit(self) -> float:
        """-2 restricted log-likelihood of a REML fit (``REMLcrit(m)``)."""

    def AIC(self) -> float:
        """``AIC(m)``."""

    def BIC(self) -> float:
        """``BIC(m)``."""

    def df_residual(self) -> int:
        """``df.residual(m)``: rows used minus ``npar``."""

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised."""

    def isSingular(self, tol: float = 1e-4) -> bool:
        """``isSingular(m, tol)``: whether a diagonal element of Λ's template is (nearly) 0."""

    def getME(self, name: str) -> Any:
        """The pieces of the model, ``getME(m, name)``.

        ``theta`` (Series named as in R: ``school.(Intercept)``, ``school.femaleF.(Intercept)``), ``beta`` (Series),
        ``X`` (DataFrame, rows used x coefficients, the data's index), ``Z`` (scipy.sparse CSC array, rows x q, lme4's
        column order), ``y`` (Series), ``cnms`` (dict term -> list of effects), ``flist`` (DataFrame of the grouping
        factors as categoricals, levels in R's order), ``Lambda`` (scipy.sparse CSC array, q x q), ``lower`` (Series
        like theta), ``u`` and ``b`` (arrays of length q).
        """

    def devfun(self, theta: Sequence[float] | np.ndarray | pd.Series) -> float:
        """The objective (ML deviance or REML criterion, profiled over β and σ) at any θ.

        Eq. (31) and (41) of Bates et al. (2015); θ in lme4's order.
        """

    def fitted(self) -> pd.Series:
        """Conditional fitted values of the rows used, with the data's index."""

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Residuals of the rows used, with the data's index; ``scaled=True`` divides by sigma."""

    @property
    def optinfo(self) -> Mapping[str, object]:
        """How the optimizer ended: at least ``optimizer``, ``feval``, ``conv``, ``message``, ``gradient``."""


@runtime_checkable
class StructuredFit(LinearMixedFit, Protocol):
    """A fit that knows lme4 2.0's covariance structures; without them all covariances are free (``us``).

    With a structured term ``devfun`` takes ``getME("par")`` in place of θ, and ``lower`` are its bounds.
    """

    def getReCovs(self) -> pd.DataFrame:
        """Covariance structure of each term, in ``cnms``' order: columns ``structure``, ``hom``, ``nc``.

        ``us``, ``diag``, ``cs`` or ``ar1``; whether all its effects have one standard deviation; their number.
        """


@runtime_checkable
class BayesianFit(MultilevelFit, Protocol):
    """A multilevel model sampled from its posterior, as ``rstanarm::stan_lmer`` hands it back."""

    @property
    def posterior(self) -> "xr.DataTree":
        """The draws as an ArviZ DataTree (groups ``posterior``, ``sample_stats``, ``observed_data``).

        In ``posterior`` every parameter that is not a random effect is a variable ``(chain, draw)`` under R's name
        (``(Intercept)``, ``femaleF``, ``sigma``, ``Sigma[school:(Intercept),(Intercept)]``, ``mean_PPD``,
        ``log-posterior``). The random effects are one variable ``b`` with the dimension ``b_label``, whose labels
        are R's names (``b[(Intercept) school:20920]``, the padded ``_NEW_`` levels included).
        """

    def as_matrix(
        self, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """``as.matrix(m, pars, regex_pars)``: draws (chain after chain) x R's columns, in R's order."""

    def posterior_interval(self, prob: float = 0.9, pars: Sequence[str] | None = None) -> pd.DataFrame:
        """Central intervals: index parameter; columns ``5%`` and ``95%`` (for ``prob=0.9``)."""

    def prior_summary(self) -> object:
        """An object whose ``str()`` is exactly what R prints for ``prior_summary(m)``."""

    def se(self) -> pd.Series:
        """``se(m)``: MAD_SD of each coefficient and, after those, of each random effect (``b[...]``)."""

    @property
    def num_upars(self) -> int:
        """Length of the unconstrained parameter vector (``rstan::get_num_upars``)."""

    def log_prob(self, upars: np.ndarray) -> float | np.ndarray:
        """Log density at unconstrained points, every constant and the Jacobian included.

        ``upars`` has shape ``(num_upars,)`` or ``(points, num_upars)``, in the order of STAN_LMER_MODEL.md.
        """

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        """``n`` posterior draws on the unconstrained scale, shape ``(n, num_upars)``: where to compare densities."""
