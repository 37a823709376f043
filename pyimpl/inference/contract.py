"""What the verbs after the fit ask of a fit: the public verbs of ``lmer``'s and ``stan_lmer``'s fits."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, Unpack, overload, runtime_checkable

import numpy as np
import pandas as pd

from r_scripts.variances import ConditionalVariances

if TYPE_CHECKING:
    from scipy import sparse

    from pyimpl.design.design import Design
    from pyimpl.design.re_form import ReForm
    from pyimpl.inference.bootstrap import Statistic
    from pyimpl.inference.kenward_roger import KenwardRoger
    from pyimpl.inference.satterthwaite import Satterthwaite
    from pyimpl.models.changes import LmerChanges
    from pyimpl.models.lmer_fit import LmerFit
    from pyimpl.models.stan_estimates import StanLmerSummary
    from pyimpl.posterior.loo import Loo

__all__ = ["Fit", "LikelihoodFit", "PosteriorFit"]


class Fit(Protocol):
    """A fitted model of either kind."""

    @property
    def design(self) -> "Design":
        """y, X, the terms and all labels."""

    def nobs(self) -> int:
        """Rows used."""

    def fixef(self) -> pd.Series:
        """Coefficients by R's name."""

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients."""

    def sigma(self) -> float:
        """Residual standard deviation."""

    def VarCorr(self) -> pd.DataFrame:
        """``as.data.frame(VarCorr(m))``."""

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Grouping factor -> level x effect."""

    def coef(self) -> dict[str, pd.DataFrame]:
        """Grouping factor -> level x coefficient."""

    def getData(self) -> pd.DataFrame:
        """Return the data that the model was fitted to."""

    @property
    def tidy(self) -> Callable[..., pd.DataFrame]:
        """A row for each coefficient."""


@runtime_checkable
class LikelihoodFit(Fit, Protocol):
    """What ``lmer`` returns."""

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether a variance or a correlation is at its bound, to within `tol`."""

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised."""

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``."""

    def satterthwaite(self) -> pd.DataFrame:
        """``coef(summary(m))`` of lmerTest."""

    def kenward_roger(self) -> pd.DataFrame:
        """``coef(summary(m, ddf = "Kenward-Roger"))`` of lmerTest."""

    def small_sample_method(self, ddf: str) -> "Satterthwaite | KenwardRoger":
        """Return the method that knows degrees of freedom of contrasts."""

    @property
    def confint(self) -> Callable[..., pd.DataFrame]:
        """Confidence intervals."""

    def ranef_frame(self) -> pd.DataFrame:
        """``as.data.frame(ranef(m))``."""

    def logLik(self, REML: bool | None = None) -> float:
        """Log-likelihood, restricted for a REML fit."""

    def update(self, formula: str | None = None, **changes: "Unpack[LmerChanges]") -> "LmerFit":
        """Fit again with another formula, or other arguments."""

    def REMLcrit(self) -> float:
        """-2 restricted log-likelihood."""

    def AIC(self) -> float:
        """Akaike's criterion."""

    def BIC(self) -> float:
        """Schwarz's criterion."""

    def df_residual(self) -> int:
        """Rows used minus parameters."""

    def r2(self, by_group: bool = False) -> pd.DataFrame:
        """Nakagawa's R²."""

    def fitted(self) -> pd.Series:
        """Conditional fitted values."""

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Residuals."""

    def hatvalues(self) -> pd.Series:
        """Leverages."""

    def cooks_distance(self) -> pd.Series:
        """Cook's distances."""

    def model_frame(self, fixed_only: bool = False) -> pd.DataFrame:
        """Variables of the model for the rows used."""

    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        re_form: "ReForm" = None,
        allow_new_levels: bool = False,
        random_only: bool = False,
    ) -> pd.Series:
        """Predictions."""

    @overload
    def getME(self, name: Literal["theta"]) -> pd.Series: ...
    @overload
    def getME(self, name: Literal["Lambda"]) -> "sparse.csc_array": ...
    @overload
    def getME(self, name: Literal["Tlist"]) -> dict[str, np.ndarray]: ...
    @overload
    def getME(self, name: Literal["devcomp"]) -> dict[str, dict[str, float]]: ...
    def getME(self, name: str) -> object:
        """Return a piece of the model."""

    def ranef_condVar(self) -> ConditionalVariances:
        """Conditional variances of the modes."""

    def bootMer(
        self,
        FUN: "Callable[[LmerFit], Statistic] | None" = None,
        nsim: int = 100,
        seed: int | np.random.SeedSequence | None = None,
        use_u: bool = False,
        type: str = "parametric",  # noqa: A002
        n_jobs: int = 1,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Bootstrap a statistic."""


@runtime_checkable
class PosteriorFit(Fit, Protocol):
    """What ``stan_lmer`` returns."""

    def stanfit_matrix(self) -> pd.DataFrame:
        """Draws of every parameter."""

    def nsamples(self) -> int:
        """Draws of all chains."""

    def se(self) -> pd.Series:
        """MAD_SD of each coefficient and random effect."""

    def summary(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        probs: Sequence[float] = (0.1, 0.5, 0.9),
        digits: int = 1,
    ) -> "StanLmerSummary":
        """``summary(m)``; its ``table`` holds the numbers."""

    def posterior_interval(
        self, prob: float = 0.9, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """Central posterior intervals."""

    def loo(self) -> "Loo":
        """Approximate leave-one-out cross-validation."""
