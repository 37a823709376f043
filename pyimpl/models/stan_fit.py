"""The fit that ``stan_lmer`` returns."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Seed, Share
from pyimpl.errors import ModelError
from pyimpl.formula.update import update_formula
from pyimpl.inference.verbs import AfterTheFit
from pyimpl.models.stan_estimates import percent
from pyimpl.models.stan_predictions import StanPredictions
from pyimpl.plots.posterior import StanLmerPlots
from pyimpl.progress import with_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyimpl.models.changes import StanLmerChanges
    from pyimpl.posterior.leave_out import Folds, Kfold


__all__ = ["StanLmerFit"]


@SIGNATURES.verbs
class StanLmerFit(StanPredictions, StanLmerPlots, AfterTheFit):
    """A posterior of a Gaussian multilevel model: what :func:`stan_lmer` returns.

    Meets ``validation.contract.BayesianFit``. Everything returned is a copy.
    """

    def update(self, formula: str | None = None, **changes: "Unpack[StanLmerChanges]") -> "StanLmerFit":
        """``update(m, formula, ...)``: the same call of :func:`stan_lmer` with some arguments changed.

        Parameters
        ----------
        formula : str, optional
            ``". ~ . + x"``: a dot stands for the present left- or right-hand side.
        **changes
            Arguments of :func:`stan_lmer`, ``data`` included.
        """
        if self.source is None:
            raise ModelError(
                "This fit was made from a design, not from a data frame: call stan_lmer instead of update."
            )
        arguments: dict[str, Any] = {**self.source.arguments, **changes}
        if formula is not None:
            arguments["formula"] = update_formula(self._explicit_formula(), formula)
        return cast("StanLmerFit", self.source.call(**arguments))

    def kfold(
        self, K: int = 10, folds: "Folds | None" = None, seed: Seed | None = None, progress: bool = False
    ) -> "Kfold":
        """``kfold(m, K, folds)``: exact K-fold cross-validation: the model fitted again without each fold.

        Levels that only occur in the fold left out are predicted as new ones.

        Parameters
        ----------
        K : int
            Folds of nearly equal size, at random.
        folds : array-like or Series, optional
            The fold of each row used, from 1 on; instead of K.
        seed : int, optional
            Of the folds; the refits have the fit's own seed.
        progress : bool
            Show a bar.

        Raises
        ------
        ModelError
            The model has weights (rstanarm refuses as well), or was made from a design.
        """
        from pyimpl.posterior.leave_out import folds_of, kfold

        if self.spec.weights is not None:
            raise ModelError("kfold is not currently available for models fit using weights.")
        data = self.getData()
        used = data.index.get_indexer(self.design.index) if data.index.is_unique else None
        if used is None:
            raise ModelError("kfold needs data whose index has no repeated labels: reset_index() them.")
        chosen = folds_of(K, folds, self.design.index, seed)

        def without(out: np.ndarray) -> np.ndarray:
            mask = np.zeros(len(data), dtype=bool)
            mask[used[~out]] = True
            argument = self.source is not None and self.source.arguments.get("offset") is not None
            offset = self.design.offset[out] if argument and self.design.offset is not None else None
            return self.update(subset=mask).log_lik(data.iloc[used[out]], offset).to_numpy()

        def shown(names: Sequence[int]) -> Iterable[int]:
            return with_bar("kfold", names, [1] * len(names), shown=progress)

        return kfold(without, self.log_lik(), chosen, shown, self.dialect, self.sampling.seconds)

    def posterior_vs_prior(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        prob: Share = 0.9,
        prior: "StanLmerFit | None" = None,
    ) -> pd.DataFrame:
        """What ``posterior_vs_prior(m, pars, regex_pars, prob)`` plots: medians and intervals of prior and posterior.

        Parameters
        ----------
        pars, regex_pars
            As of :meth:`summary`; default all parameters.
        prob : float
            Of the central intervals.
        prior : StanLmerFit, optional
            Draws from the prior that are there already; by default the model is fitted with ``prior_PD=True`` and two
            chains, as in rstanarm.

        Returns
        -------
        DataFrame
            Columns model (``Prior``, ``Posterior``), parameter, estimate (median), lb, ub.
            :func:`pyimpl.plots.posterior_vs_prior_plot` draws it.

        Raises
        ------
        ModelError
            A prior is flat: there is nothing to draw from.
        """
        if not 0 < prob < 1:
            raise ModelError(f"prob should be a number between 0 and 1, but is {prob!r}.")
        if prior is None:
            prior = self.update(prior_PD=True, chains=2)
        probs = ((1 - prob) / 2, 0.5, 1 - (1 - prob) / 2)
        parts = []
        for name, fit in (("Prior", prior), ("Posterior", self)):
            table = fit.summary(pars=pars, regex_pars=regex_pars, probs=probs).table
            if pars is None:
                table = table.drop(index=["log-posterior", "mean_PPD"], errors="ignore")
            low, middle, high = (table[percent(q)].to_numpy() for q in probs)
            columns = {"model": name, "parameter": table.index, "estimate": middle, "lb": low, "ub": high}
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def plot_posterior_vs_prior(
        self,
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        prob: Share = 0.9,
        group_by_parameter: bool = False,
        prior: "StanLmerFit | None" = None,
    ) -> "Figure":
        """``posterior_vs_prior(m, ...)``: the plot of :meth:`posterior_vs_prior`, by default without random effects."""
        from pyimpl.plots.posterior import posterior_vs_prior_plot

        if pars is None and regex_pars is None:
            pars = [name for name in self.as_matrix().columns if not name.startswith("b[")]
        return posterior_vs_prior_plot(self.posterior_vs_prior(pars, regex_pars, prob, prior), group_by_parameter)
