"""The verbs after the fit as methods: each calls the function of its name, which is imported when it is asked for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pyimpl.inference.contract import Fit, LikelihoodFit
    from pyimpl.inference.emm_grid import EmmGrid, EmmPair, EmmSummary

__all__ = ["AfterTheFit", "AfterTheLikelihoodFit"]


class AfterTheFit:
    """Verbs that both fits have."""

    def tidy(
        self: "Fit",
        effects: str | Sequence[str] | None = None,
        conf_int: bool = False,
        conf_level: float | None = None,
        conf_method: str | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """``broom.mixed::tidy(m)``; see :func:`pyimpl.inference.tidying.tidy`."""
        from pyimpl.inference.tidying import tidy

        return tidy(self, effects, conf_int, conf_level, conf_method, **options)

    def glance(self: "Fit", looic: bool = False) -> pd.DataFrame:
        """``broom.mixed::glance(m)``: the fit in one row; see :func:`pyimpl.inference.tidying.glance`."""
        from pyimpl.inference.tidying import glance

        return glance(self, looic)

    def emmeans(self: "Fit", specs: str | Sequence[str], **options: Any) -> "EmmGrid | EmmPair":
        """``emmeans(m, specs, by, at, adjust, ...)``; see :func:`pyimpl.inference.emmeans.emmeans`."""
        from pyimpl.inference.emmeans import emmeans

        return emmeans(self, specs, **options)

    def emtrends(self: "Fit", specs: str | Sequence[str], var: str, **options: Any) -> "EmmGrid | EmmPair":
        """``emtrends(m, specs, var, ...)``; see :func:`pyimpl.inference.emmeans.emtrends`."""
        from pyimpl.inference.emmeans import emtrends

        return emtrends(self, specs, var, **options)

    def ref_grid(self: "Fit", **options: Any) -> "EmmGrid":
        """``ref_grid(m, at, cov.reduce, ...)``; see :func:`pyimpl.inference.emmeans.ref_grid`."""
        from pyimpl.inference.emmeans import ref_grid

        return ref_grid(self, **options)

    def predictions(self: "Fit", over: str | Sequence[str] | Mapping[str, Any], **options: Any) -> pd.DataFrame:
        """``ggpredict(m, terms, condition)``; see :func:`pyimpl.inference.prediction_grid.predictions`."""
        from pyimpl.inference.prediction_grid import predictions

        return predictions(self, over, **options)


class AfterTheLikelihoodFit(AfterTheFit):
    """Verbs of ``lmer``'s fits."""

    def predict_interval(self: "LikelihoodFit", newdata: pd.DataFrame | None = None, **options: Any) -> pd.DataFrame:
        """``predictInterval(m, ...)``; see :func:`pyimpl.inference.prediction_simulation.predict_interval`."""
        from pyimpl.inference.prediction_simulation import predict_interval

        return predict_interval(self, newdata, **options)

    def boot_predictions(self: "LikelihoodFit", newdata: pd.DataFrame | None = None, **options: Any) -> pd.DataFrame:
        """Bootstrap intervals; see :func:`pyimpl.inference.prediction_simulation.boot_predictions`."""
        from pyimpl.inference.prediction_simulation import boot_predictions

        return boot_predictions(self, newdata, **options)

    def augment(
        self: "LikelihoodFit", data: pd.DataFrame | None = None, newdata: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """``broom.mixed::augment(m, data, newdata)``; see :func:`pyimpl.inference.tidying.augment`."""
        from pyimpl.inference.tidying import augment

        return augment(self, data, newdata)

    def joint_tests(self: "LikelihoodFit", by: str | Sequence[str] | None = None, **options: Any) -> "EmmSummary":
        """``joint_tests(m, by, ...)``; see :func:`pyimpl.inference.emmeans.joint_tests`."""
        from pyimpl.inference.emmeans import joint_tests

        return joint_tests(self, by, **options)
