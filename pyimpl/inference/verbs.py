"""The verbs after the fit as methods: each calls the function of its name, which is imported when it is asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from pyimpl.arguments import SIGNATURES, Share

if TYPE_CHECKING:
    from pyimpl.inference.contract import Fit, LikelihoodFit
    from pyimpl.inference.emm_combine import EmmList
    from pyimpl.inference.emm_grid import EmmGrid, EmmPair, EmmSummary
    from pyimpl.inference.emm_text import Over
    from pyimpl.inference.emmeans import (
        GridArguments,
        JointTestsArguments,
        MeansArguments,
        Several,
        Specs,
        TrendsArguments,
    )
    from pyimpl.inference.fit_quality import QualityArguments
    from pyimpl.inference.ls_means import LeastSquaresMeans
    from pyimpl.inference.marginaleffects_adapter import MixedModel, MixedModelArguments
    from pyimpl.inference.prediction_grid import PredictionsArguments
    from pyimpl.inference.prediction_simulation import BootPredictionsArguments, PredictIntervalArguments
    from pyimpl.inference.tidying import TidyArguments

__all__ = ["AfterTheFit", "AfterTheLikelihoodFit"]


@SIGNATURES.verbs
class AfterTheFit:
    """Verbs that both fits have."""

    def tidy(
        self: "Fit",
        effects: str | Sequence[str] | None = None,
        conf_int: bool = False,
        conf_level: Share | None = None,
        conf_method: str | None = None,
        **options: "Unpack[TidyArguments]",
    ) -> pd.DataFrame:
        """``broom.mixed::tidy(m)``; see :func:`pyimpl.inference.tidying.tidy`."""
        from pyimpl.inference.tidying import tidy

        return tidy(self, effects, conf_int, conf_level, conf_method, **options)

    def glance(self: "Fit", looic: bool = False) -> pd.DataFrame:
        """``broom.mixed::glance(m)``: the fit in one row; see :func:`pyimpl.inference.tidying.glance`."""
        from pyimpl.inference.tidying import glance

        return glance(self, looic)

    def emmeans(
        self: "Fit", specs: "Specs | Several", **options: "Unpack[MeansArguments]"
    ) -> "EmmGrid | EmmPair | EmmList":
        """``emmeans(m, specs, by, at, adjust, ...)``; see :func:`pyimpl.inference.emmeans.emmeans`."""
        from pyimpl.inference.emmeans import emmeans

        return emmeans(self, specs, **options)

    def emtrends(
        self: "Fit", specs: str | Sequence[str], var: str, **options: "Unpack[TrendsArguments]"
    ) -> "EmmGrid | EmmPair":
        """``emtrends(m, specs, var, ...)``; see :func:`pyimpl.inference.emmeans.emtrends`."""
        from pyimpl.inference.emmeans import emtrends

        return emtrends(self, specs, var, **options)

    def joint_tests(
        self: "Fit", by: str | Sequence[str] | None = None, **options: "Unpack[JointTestsArguments]"
    ) -> "EmmSummary":
        """``joint_tests(m, by, ...)``; see :func:`pyimpl.inference.emmeans.joint_tests`."""
        from pyimpl.inference.emmeans import joint_tests

        return joint_tests(self, by, **options)

    def ref_grid(self: "Fit", **options: "Unpack[GridArguments]") -> "EmmGrid":
        """``ref_grid(m, at, cov.reduce, ...)``; see :func:`pyimpl.inference.emmeans.ref_grid`."""
        from pyimpl.inference.emmeans import ref_grid

        return ref_grid(self, **options)

    def predictions(self: "Fit", over: "Over", **options: "Unpack[PredictionsArguments]") -> pd.DataFrame:
        """``ggpredict(m, terms, condition)``; see :func:`pyimpl.inference.prediction_grid.predictions`."""
        from pyimpl.inference.prediction_grid import predictions

        return predictions(self, over, **options)


@SIGNATURES.verbs
class AfterTheLikelihoodFit(AfterTheFit):
    """Verbs of ``lmer``'s fits."""

    def predict_interval(
        self: "LikelihoodFit", newdata: pd.DataFrame | None = None, **options: "Unpack[PredictIntervalArguments]"
    ) -> pd.DataFrame:
        """``predictInterval(m, ...)``; see :func:`pyimpl.inference.prediction_simulation.predict_interval`."""
        from pyimpl.inference.prediction_simulation import predict_interval

        return predict_interval(self, newdata, **options)

    def boot_predictions(
        self: "LikelihoodFit", newdata: pd.DataFrame | None = None, **options: "Unpack[BootPredictionsArguments]"
    ) -> pd.DataFrame:
        """Bootstrap intervals; see :func:`pyimpl.inference.prediction_simulation.boot_predictions`."""
        from pyimpl.inference.prediction_simulation import boot_predictions

        return boot_predictions(self, newdata, **options)

    def augment(
        self: "LikelihoodFit", data: pd.DataFrame | None = None, newdata: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """``broom.mixed::augment(m, data, newdata)``; see :func:`pyimpl.inference.tidying.augment`."""
        from pyimpl.inference.tidying import augment

        return augment(self, data, newdata)

    # what the package maketables asks of a result (its plug-in format)

    @property
    def __maketables_coef_table__(self: "LikelihoodFit") -> pd.DataFrame:
        from pyimpl.inference.regression_table import maketables_coefficients

        return maketables_coefficients(self)

    @property
    def __maketables_depvar__(self: "LikelihoodFit") -> str:
        return self.design.response

    def __maketables_stat__(self: "LikelihoodFit", key: str) -> float | int | None:
        from pyimpl.inference.regression_table import maketables_stat

        return maketables_stat(self, key)

    def r2(self: "LikelihoodFit", by_group: bool = False, **options: "Unpack[QualityArguments]") -> pd.DataFrame:
        """``performance::r2(m)``: Nakagawa's R²; see :func:`pyimpl.inference.fit_quality.r2`."""
        from pyimpl.inference.fit_quality import r2

        return r2(self, by_group, **options)

    def icc(self: "LikelihoodFit", by_group: bool = False, **options: "Unpack[QualityArguments]") -> pd.DataFrame:
        """``performance::icc(m)``: intraclass correlation; see :func:`pyimpl.inference.fit_quality.icc`."""
        from pyimpl.inference.fit_quality import icc

        return icc(self, by_group, **options)

    def model_performance(self: "LikelihoodFit") -> pd.DataFrame:
        """``performance::model_performance(m)``; see :func:`pyimpl.inference.fit_quality.model_performance`."""
        from pyimpl.inference.fit_quality import model_performance

        return model_performance(self)

    def AICc(self: "LikelihoodFit", REML: bool | None = None) -> float:
        """``MuMIn::AICc(m)``; see :func:`pyimpl.inference.fit_quality.AICc`."""
        from pyimpl.inference.fit_quality import AICc

        return AICc(self, REML)

    def check_singularity(self: "LikelihoodFit", tolerance: float = 1e-5) -> bool:
        """``performance::check_singularity(m)``."""
        from pyimpl.inference.fit_quality import check_singularity

        return check_singularity(self, tolerance)

    def check_collinearity(self: "LikelihoodFit", ci: Share = 0.95) -> pd.DataFrame:
        """``performance::check_collinearity(m)``; see :func:`pyimpl.inference.fit_quality.check_collinearity`."""
        from pyimpl.inference.fit_quality import check_collinearity

        return check_collinearity(self, ci)

    def check_heteroscedasticity(self: "LikelihoodFit") -> float:
        """``performance::check_heteroscedasticity(m)``: the p value."""
        from pyimpl.inference.fit_quality import check_heteroscedasticity

        return check_heteroscedasticity(self)

    def check_outliers(self: "LikelihoodFit", threshold: float | None = None) -> pd.DataFrame:
        """``performance::check_outliers(m)``; see :func:`pyimpl.inference.fit_quality.check_outliers`."""
        from pyimpl.inference.fit_quality import check_outliers

        return check_outliers(self, threshold)

    def marginaleffects(self: "LikelihoodFit", **options: "Unpack[MixedModelArguments]") -> "MixedModel":
        """Return the fit as a model of the package marginaleffects (``pip install mlmparity[marginaleffects]``).

        See :class:`pyimpl.inference.marginaleffects_adapter.MixedModel`.
        """
        from pyimpl.errors import ModelError
        from r_scripts.installing import install_command

        try:
            from pyimpl.inference.marginaleffects_adapter import MixedModel
        except ImportError as error:
            raise ModelError(
                f"marginaleffects is not there ({error}): {install_command('mlmparity[marginaleffects]')}"
            ) from error
        return MixedModel(self, **options)

    def ls_means(
        self: "LikelihoodFit",
        which: str | Sequence[str] | None = None,
        level: Share = 0.95,
        ddf: str = "Satterthwaite",
        pairwise: bool = False,
    ) -> "LeastSquaresMeans":
        """``lmerTest::ls_means(m, which, level, ddf, pairwise)``; see :func:`pyimpl.inference.ls_means.ls_means`."""
        from pyimpl.inference.ls_means import ls_means

        return ls_means(self, which, level, ddf, pairwise)

    def difflsmeans(
        self: "LikelihoodFit",
        which: str | Sequence[str] | None = None,
        level: Share = 0.95,
        ddf: str = "Satterthwaite",
    ) -> "LeastSquaresMeans":
        """``lmerTest::difflsmeans(m, which, level, ddf)``: differences of all pairs of least-squares means."""
        from pyimpl.inference.ls_means import ls_means

        return ls_means(self, which, level, ddf, pairwise=True)

    def get_df(self: "LikelihoodFit", type: str = "residual") -> pd.Series | float:  # noqa: A002
        """``insight::get_df(m, type)``: degrees of freedom.

        Parameters
        ----------
        type : {"residual", "normal", "model", "satterthwaite", "kenward"}
            The rows used less the model's parameters; infinite; the number of parameters; or those of each
            coefficient's t test, by Satterthwaite's or by Kenward and Roger's method.

        Returns
        -------
        float, or a Series by coefficient

        Raises
        ------
        DataError
            Another type.
        """
        from pyimpl.errors import DataError

        if type == "residual":
            return float(self.df_residual())
        if type == "normal":
            return float("inf")
        if type == "model":
            return float(self.nobs() - self.df_residual())
        if type not in ("satterthwaite", "kenward"):
            raise DataError(
                f"get_df: type is 'residual', 'normal', 'model', 'satterthwaite' or 'kenward', not {type!r}"
            )
        table = self.satterthwaite() if type == "satterthwaite" else self.kenward_roger()
        return table["df"].copy()
