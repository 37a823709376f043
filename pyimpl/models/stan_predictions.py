"""Predictions of the fit that ``stan_lmer`` returns, and how good they are (a base class of ``StanLmerFit``)."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Probs, Seed, Share, as_numbers, generator
from pyimpl.design.re_form import ReForm
from pyimpl.errors import DataError, ModelError
from pyimpl.linalg.heard import heard_if_long
from pyimpl.models.stan_estimates import StanEstimates, percent
from pyimpl.posterior.loo import Loo, Waic, bootstrap_R2, loo, loo_means, waic
from pyimpl.posterior.predictions import (
    Offset,
    PredictionRows,
    interval,
    linear_predictor,
    log_density,
    predicted_responses,
    prediction_rows,
    response,
)

__all__ = ["StanPredictions"]


@SIGNATURES.verbs
class StanPredictions(StanEstimates):
    """A posterior with predictions for rows and new data, ``loo``, ``waic`` and R²."""

    # ------------------------------------------------------------------ predictions
    def _rows(self, draws: int | None, seed: int | None) -> np.ndarray:
        if draws is None:
            return np.arange(self.draws.n)
        if draws > self.draws.n:
            raise ModelError(f"'draws' should be <= posterior sample size ({self.draws.n}), but is {draws}.")
        return np.sort(generator(seed).choice(self.draws.n, size=draws, replace=False))

    @cached_property
    def _rows_used(self) -> PredictionRows:
        return prediction_rows(self.design)

    def _eta(self, chosen: np.ndarray) -> np.ndarray:
        return linear_predictor(self.draws, chosen, self._rows_used)

    def _frame(self, values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, columns=self.design.index)

    def posterior_linpred(
        self,
        newdata: pd.DataFrame | None = None,
        draws: Count | None = None,
        re_form: ReForm = None,
        offset: Offset | None = None,
        seed: Seed | None = None,
    ) -> pd.DataFrame:
        """``posterior_linpred(m, newdata, draws, re.form, offset)``: the linear predictor, draws x rows.

        Parameters
        ----------
        newdata : pandas.DataFrame, optional
            Default: the rows used. A level that the fit does not know has the effects of the padded level ``_NEW_``:
            draws of a new level from the fitted distribution, one and the same for all its unknown levels, as in
            rstanarm.
        draws : int, optional
            So many of the posterior draws, chosen at random; default all.
        re_form : None, ``"NA"``, ``"~0"`` or a formula
            None: all random effects; ``"NA"`` or ``"~0"``: none; ``"~ (1 | g)"``: those named.
        offset : array-like, optional
            Needed for `newdata` where the model was fitted with the argument `offset`.
        seed : int, optional

        Returns
        -------
        pandas.DataFrame
            Columns: the labels of the rows.

        Raises
        ------
        DataError
            `newdata` lacks a column or has missing values; `re_form` names what the model does not have.
        """
        rows = prediction_rows(self.design, newdata, re_form, offset)
        eta = linear_predictor(self.draws, self._rows(draws, seed), rows)
        return pd.DataFrame(eta, columns=rows.index)

    def posterior_epred(
        self,
        newdata: pd.DataFrame | None = None,
        draws: Count | None = None,
        re_form: ReForm = None,
        offset: Offset | None = None,
        seed: Seed | None = None,
    ) -> pd.DataFrame:
        """Draw the expected response: :meth:`posterior_linpred`, in a Gaussian model."""
        return self.posterior_linpred(newdata, draws, re_form, offset, seed)

    def posterior_predict(
        self,
        newdata: pd.DataFrame | None = None,
        draws: Count | None = None,
        re_form: ReForm = None,
        fun: Callable[[np.ndarray], np.ndarray] | None = None,
        seed: Seed | None = None,
        offset: Offset | None = None,
    ) -> pd.DataFrame:
        """``posterior_predict(m, newdata, draws, re.form, fun, seed, offset)``: predicted responses, draws x rows.

        Parameters as of :meth:`posterior_linpred`; `fun` transforms the predictions (``numpy.exp`` for a logged
        response). With `draws`, rstanarm 2.21.3 pairs the linear predictors of the chosen draws with the sigmas of the
        first draws; here each draw keeps its own sigma.
        """
        rows = prediction_rows(self.design, newdata, re_form, offset)
        chosen = self._rows(draws, seed)
        eta = linear_predictor(self.draws, chosen, rows)
        values = heard_if_long(50.0 * eta.size, predicted_responses, eta, self.draws.sigma[chosen], seed)
        if fun is not None:
            values = as_numbers(fun(values), "what fun returns")
            if values.shape != eta.shape:
                raise DataError(f"fun returns an array of shape {values.shape}; it was given one of {eta.shape}")
        return pd.DataFrame(values, columns=rows.index)

    def predictive_interval(
        self,
        prob: Share = 0.9,
        newdata: pd.DataFrame | None = None,
        draws: Count | None = None,
        re_form: ReForm = None,
        fun: Callable[[np.ndarray], np.ndarray] | None = None,
        seed: Seed | None = None,
        offset: Offset | None = None,
    ) -> pd.DataFrame:
        """``predictive_interval(m, prob, newdata, ...)``: central intervals of :meth:`posterior_predict`.

        Returns
        -------
        pandas.DataFrame
            A row for each row predicted; columns ``5%`` and ``95%`` (for ``prob=0.9``).
        """
        predicted = self.posterior_predict(newdata, draws, re_form, fun, seed, offset)
        values, probs = interval(predicted.to_numpy(), prob)
        return pd.DataFrame(values, index=predicted.columns, columns=[percent(q) for q in probs])

    def predictive_error(
        self,
        newdata: pd.DataFrame | None = None,
        draws: Count | None = None,
        re_form: ReForm = None,
        seed: Seed | None = None,
        offset: Offset | None = None,
    ) -> pd.DataFrame:
        """``predictive_error(m, newdata, ...)``: observed minus predicted, draws x rows.

        `newdata` must hold the response.
        """
        y = response(self.design, newdata)
        predicted = self.posterior_predict(newdata, draws, re_form, None, seed, offset)
        return pd.DataFrame(y - predicted.to_numpy(), columns=predicted.columns)

    def loo_linpred(
        self,
        type: str = "mean",  # noqa: A002
        probs: Probs = (0.5,),
    ) -> pd.Series | pd.DataFrame:
        """``loo_linpred(m, type, probs)``: the linear predictor of each row, from the other rows (PSIS).

        Parameters
        ----------
        type : {"mean", "var", "quantile"}
        probs : sequence of float
            Of ``"quantile"``.

        Returns
        -------
        Series, or DataFrame for quantiles
            The data's index.
        """
        return self._left_out(self._eta(np.arange(self.draws.n)), type, probs)

    def loo_predict(
        self,
        type: str = "mean",  # noqa: A002
        probs: Probs = (0.5,),
        seed: Seed | None = None,
    ) -> pd.Series | pd.DataFrame:
        """``loo_predict(m, type, probs)``: as :meth:`loo_linpred`, of predicted responses."""
        return self._left_out(self.posterior_predict(seed=seed).to_numpy(), type, probs)

    def loo_predictive_interval(self, prob: Share = 0.9, seed: Seed | None = None) -> pd.DataFrame:
        """``loo_predictive_interval(m, prob)``: central intervals of each row's prediction from the other rows."""
        if not 0 < prob < 1:
            raise ModelError(f"prob should be a number between 0 and 1, but is {prob!r}.")
        found = self.loo_predict("quantile", ((1 - prob) / 2, 1 - (1 - prob) / 2), seed)
        return pd.DataFrame(found)

    def _left_out(self, values: np.ndarray, type: str, probs: Sequence[float]) -> pd.Series | pd.DataFrame:  # noqa: A002
        from pyimpl.posterior.leave_out import expectation

        found = expectation(values, self.log_lik().to_numpy(), self.draws.chains, type, probs, self.dialect)
        if type == "quantile":
            return pd.DataFrame(found, index=self.design.index, columns=[percent(q) for q in probs])
        return pd.Series(found, index=self.design.index)

    def fitted(self) -> pd.Series:
        """``fitted(m)``: the linear predictor at the posterior medians; the data's index."""
        medians = self.draws.coef, self.draws.b
        coef, b = (np.median(values, axis=0) for values in medians)
        rows, at = self._rows_used, 0
        eta = rows.X @ coef
        if rows.offset is not None:
            eta = eta + rows.offset
        for term, (codes, columns, _) in zip(self.design.terms, rows.terms, strict=True):
            width = term.p * (term.J + 1)
            eta = eta + np.einsum("ij,ij->i", columns, b[at : at + width].reshape(-1, term.p)[codes])
            at += width
        return pd.Series(eta, index=self.design.index)

    def residuals(self) -> pd.Series:
        """``residuals(m)``: the response minus :meth:`fitted`; the data's index."""
        return pd.Series(self.design.y, index=self.design.index) - self.fitted()

    def predict(self, *arguments: object, **options: object) -> pd.Series:
        """``predict(m)`` is refused, as by rstanarm: take :meth:`posterior_predict`."""
        raise ModelError(
            "'predict' is not available for models fit with stan_lmer. Please use the 'posterior_predict' function "
            "instead."
        )

    def confint(self, *arguments: object, **options: object) -> pd.DataFrame:
        """``confint(m)`` is refused, as by rstanarm: take :meth:`posterior_interval`."""
        raise ModelError(
            "For models fit using MCMC or a variational approximation please use posterior_interval() to obtain "
            "Bayesian interval estimates."
        )

    # ------------------------------------------------------------------ predictive accuracy
    def log_lik(self, newdata: pd.DataFrame | None = None, offset: Offset | None = None) -> pd.DataFrame:
        """``log_lik(m, newdata, offset)``: pointwise log likelihood, draws x rows.

        Parameters
        ----------
        newdata : pandas.DataFrame, optional
            With the response; levels that the fit does not know have the effects of ``_NEW_``. Default: the rows used,
            the model's weights multiplied in (new rows have none).
        offset : array-like, optional
            Of `newdata`, where the model was fitted with the argument `offset`.
        """
        sigma, every = self.draws.sigma[:, None], np.arange(self.draws.n)
        if newdata is None:
            eta, y = self._eta(every), self.design.y
        else:
            rows = prediction_rows(self.design, newdata, None, offset)
            eta, y = linear_predictor(self.draws, every, rows), response(self.design, newdata)
        value = heard_if_long(20.0 * eta.size, log_density, y, eta, sigma)
        if newdata is not None:
            return pd.DataFrame(value, columns=newdata.index)
        if self.spec.weights is not None:
            value *= self.spec.weights
        return self._frame(value)

    def loo(self, r_eff: bool | None = None) -> Loo:
        """``loo(m, r_eff)``: approximate leave-one-out cross-validation (PSIS), with R's numbers.

        Parameters
        ----------
        r_eff : bool, optional
            Whether the draws' relative efficiency is estimated, or the draws are taken as independent. By default as
            the dialect's rstanarm does: estimated before 2.32.2, not since.

        Raises
        ------
        ModelError
            The model has weights (rstanarm refuses as well).

        Warns
        -----
        PyimplWarning
            Some Pareto k is above 0.7.
        """
        if self.spec.weights is not None:
            raise ModelError("'loo' is not supported if model has weights.")
        return loo(self.log_lik(), self.draws.chains, self.dialect, r_eff)

    def waic(self) -> Waic:
        """``waic(m)``, with R's numbers."""
        return waic(self.log_lik(), self.dialect)

    def bayes_R2(self) -> pd.Series:
        """``bayes_R2(m)``: variance of the fit over that plus sigma², for each draw."""
        rows = np.arange(self.draws.n)
        fit = self._eta(rows).var(axis=1, ddof=1)
        return pd.Series(fit / (fit + self.draws.sigma**2))

    def loo_R2(self, seed: Seed | None = None) -> pd.Series:
        """``loo_R2(m)``: R² of leave-one-out predictions, draws of a Bayesian bootstrap.

        `seed` defaults to the fit's, as in rstanarm.
        """
        log_lik = self.log_lik().to_numpy()
        error = loo_means(self._eta(np.arange(self.draws.n)), log_lik) - self.design.y
        rng = np.random.default_rng(self.seed if seed is None else seed)
        return pd.Series(bootstrap_R2(self.design.y, error, rng.standard_exponential(log_lik.shape)))
