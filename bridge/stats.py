"""Plain R: ``lm``, ``model.matrix``, and what R prints for ``summary`` and ``str`` of a data frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bridge.call import SIGNATURES, Contrasts, ModelArguments, Vector, describe, emit, explain
from bridge.errors import RError
from bridge.frames import frame_to_r, labels_to_index
from bridge.replies import Printed, frame, series
from bridge.session import default

__all__ = ["Lm", "lm", "model_matrix", "str_frame", "summary_frame"]


@dataclass(frozen=True)
class Lm:
    """A fit of R's ``lm``.

    Attributes
    ----------
    coef : Series
        Missing where a coefficient is not estimable, as in R.
    table : DataFrame
        ``coef(summary(m))``: Estimate, Std. Error, t value, Pr(>|t|).
    vcov : DataFrame
    sigma, r_squared, logLik : float
    df_residual, nobs : int
    fitted, residuals : Series
        With the data's index.
    text : str
        R's printed summary.
    warnings, messages : tuple of str
    """

    coef: pd.Series
    table: pd.DataFrame
    vcov: pd.DataFrame
    sigma: float
    r_squared: float
    logLik: float
    df_residual: int
    nobs: int
    fitted: pd.Series
    residuals: pd.Series
    text: str
    warnings: tuple[str, ...]
    messages: tuple[str, ...]

    @property
    def se(self) -> pd.Series:
        """Standard errors of the estimable coefficients."""
        return self.table["Std. Error"]

    def summary(self) -> Printed:
        """R's own ``summary(m)``, as printed."""
        return Printed(self.text)


@SIGNATURES.leaving("formula", "data")
def lm(
    formula: str,
    data: pd.DataFrame,
    weights: Vector | None = None,
    offset: Vector | None = None,
    subset: Vector | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    data_name: str | None = None,
) -> Lm:
    """Fit a linear model with R's ``lm``. Parameters as in :func:`bridge.lme4.lmer`.

    Raises
    ------
    FormulaError, DataError, RError
    """
    call = describe(formula, data, ModelArguments(weights, offset, subset, na_action, contrasts, data_name))
    try:
        reply = default().call("stats_lm", described=call.described)
    except RError as error:
        raise explain(error, call, data) from error.__cause__
    emit(reply)
    x = reply.value

    def rows(described: Mapping[str, Any]) -> pd.Series:
        return pd.Series(np.array(described["values"]), index=labels_to_index(described["positions"], call.index))

    return Lm(
        series(x["coef"]), frame(x["table"]), frame(x["vcov"]), x["sigma"], x["r_squared"], x["logLik"],
        x["df_residual"], x["nobs"], rows(x["fitted"]), rows(x["residuals"]), x["summary"], reply.warnings,
        reply.messages,
    )  # fmt: skip


@SIGNATURES.leaving("formula", "data")
def model_matrix(
    formula: str,
    data: pd.DataFrame,
    contrasts: Contrasts | None = None,
    na_action: str = "na.omit",
) -> pd.DataFrame:
    """R's ``model.matrix``: rows used × columns, with the data's index.

    Parameters
    ----------
    formula : str
        One- or two-sided.
    data : pandas.DataFrame
    contrasts : mapping, optional
    na_action : str

    Raises
    ------
    FormulaError, DataError, RError
    """
    call = describe(formula, data, ModelArguments(contrasts=contrasts, na_action=na_action), needs_response=False)
    try:
        reply = default().call("stats_model_matrix", described=call.described)
    except RError as error:
        raise explain(error, call, data) from error.__cause__
    emit(reply)
    x = reply.value
    return frame(x["X"], labels_to_index(x["positions"], call.index))


def summary_frame(data: pd.DataFrame) -> Printed:
    """Return what R prints for ``summary(data)``."""
    return Printed(default().call("stats_summary_frame", frame=frame_to_r(data)).value)


def str_frame(data: pd.DataFrame) -> Printed:
    """Return what R prints for ``str(data)``."""
    return Printed(default().call("stats_str_frame", frame=frame_to_r(data)).value)
