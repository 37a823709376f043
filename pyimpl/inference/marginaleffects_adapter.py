"""A fit as a model of the package marginaleffects, by its own protocol (a ``ModelAbstract``).

>>> from marginaleffects import avg_slopes  # doctest: +SKIP
>>> avg_slopes(fit.marginaleffects(), variables="x")  # doctest: +SKIP

Only the fixed effects are parameters, as in R's marginaleffects for lme4: standard errors are those of β̂, and random
effects that ``re_form`` conditions on are taken as known.
"""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import pandas as pd
import polars as pl
from marginaleffects.classes.model import ModelAbstract, ModelVault

from pyimpl.design.re_form import ReForm
from pyimpl.errors import DataError
from pyimpl.formula.parse import all_names
from pyimpl.frame.columns import Data, Factor
from pyimpl.inference.contract import LikelihoodFit
from pyimpl.inference.kenward_roger import KenwardRoger
from pyimpl.inference.tidying import used_positions

__all__ = ["MixedModel", "MixedModelArguments"]


class MixedModelArguments(TypedDict, total=False):
    """Arguments of :class:`MixedModel` after the fit."""

    re_form: ReForm
    vcov: str | pd.DataFrame
    beta: Mapping[str, float] | pd.Series | None


class MixedModel(ModelAbstract):
    """``lmer``'s fit, as marginaleffects asks for models.

    Parameters
    ----------
    fit : LmerFit
    re_form : optional
        Random effects that predictions use; default none.
    vcov : {"model", "Kenward-Roger"} or DataFrame
        Covariance matrix of β̂ (R's argument of the same name has the latter, too).
    beta : mapping or Series, optional
        Other coefficients than β̂.

    Notes
    -----
    Statistics are z's: give ``df=`` where t's are wanted.
    """

    def __init__(
        self,
        fit: LikelihoodFit,
        re_form: ReForm = "~0",
        vcov: str | pd.DataFrame = "model",
        beta: Mapping[str, float] | pd.Series | None = None,
    ) -> None:
        self._fit = fit
        self._re_form = re_form
        design = fit.design
        recipe = design.recipe
        if recipe is None:
            raise DataError("marginaleffects needs a fit whose formula is known")
        every = fit.getData()
        data = every.iloc[used_positions(every.index, fit)]
        names = [name for node in recipe.fixed.variables for name in all_names(node) if name in data.columns]
        groups = [name for bar, _, _ in recipe.random for name in (*all_names(bar.group), *all_names(bar.effects))]
        wanted = list(dict.fromkeys([*names, *(name for name in groups if name in data.columns)]))
        data = data[wanted].reset_index(drop=True)
        columns = Data(data)
        factors = {name: columns.column(name) for name in wanted}
        self._categories = {name: list(c.levels) for name, c in factors.items() if isinstance(c, Factor)}
        for name, levels in self._categories.items():  # marginaleffects takes no strings
            data[name] = pd.Categorical(data[name].astype(str), categories=levels)
        coef = fit.fixef() if beta is None else new_coefficients(fit, beta)
        if isinstance(vcov, pd.DataFrame):
            covariance = vcov.loc[list(coef.index), list(coef.index)].to_numpy()
        elif vcov == "model":
            covariance = fit.vcov().to_numpy()
        elif vcov == "Kenward-Roger":
            method = fit.small_sample_method("Kenward-Roger")
            assert isinstance(method, KenwardRoger)
            covariance = method.adjusted
        else:
            raise DataError(f"vcov is 'model', 'Kenward-Roger' or a data frame, not {vcov!r}")
        vault = ModelVault(
            coef=coef.to_numpy(),
            coefnames=np.array(list(coef.index)),
            # it reads no bars: the variables are all that it asks the formula for
            formula=f"{names[0]} ~ {' + '.join(f'`{name}`' for name in wanted[1:]) or 1}",
            modeldata=pl.from_pandas(data),
            package="mlmparity",
            vcov=covariance,
            variable_names=wanted,
            pandas_categorical_orders=self._categories,
        )
        super().__init__(fit, vault)

    def get_vcov(self, vcov: bool | np.ndarray | None = True) -> np.ndarray | None:
        """Return the covariance matrix of the coefficients; None where none is wanted."""
        if vcov is False or vcov is None:
            return None
        return self.vault.vcov if vcov is True else np.asarray(vcov)

    def get_exog(self, newdata: pl.DataFrame) -> np.ndarray:
        """Return X and, in the last column, what does not depend on β: offsets, random effects."""
        data = newdata.to_pandas()
        for name, levels in self._categories.items():
            if name in data.columns:
                data[name] = pd.Categorical(data[name].astype(str), categories=levels)
        rows = self._fit.design.encode(data, random=False)
        assert rows.X is not None
        known = self._fit.predict(data, re_form=self._re_form, allow_new_levels=True).to_numpy()
        return np.column_stack([rows.X, known - rows.X @ self._fit.fixef().to_numpy()])

    def get_predict(self, params: np.ndarray, newdata: np.ndarray | pl.DataFrame) -> pl.DataFrame:
        """Predict from these coefficients."""
        exog = newdata if isinstance(newdata, np.ndarray) else self.get_exog(newdata)
        values = exog[:, :-1] @ np.asarray(params) + exog[:, -1]
        return pl.DataFrame({"rowid": pl.Series(range(len(values)), dtype=pl.Int32), "estimate": values})


def new_coefficients(fit: LikelihoodFit, beta: Mapping[str, float] | pd.Series) -> pd.Series:
    """Return β̂ with some coefficients replaced.

    Raises
    ------
    DataError
        A coefficient that the model does not have.
    """
    coef = fit.fixef().copy()
    for name, value in dict(beta).items():
        if name not in coef.index:
            raise DataError(f"beta: there is no coefficient {name!r}; there are {', '.join(coef.index)}")
        coef[name] = float(value)
    return coef
