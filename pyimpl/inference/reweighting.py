"""The same model with other prior weights (``refit(m, newweights = )``)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pyimpl.arguments import as_numbers
from pyimpl.errors import DataError
from pyimpl.frame.columns import Data
from pyimpl.inference.at_optimum import AtOptimum, find_optimum
from pyimpl.inference.control import LmerControl
from pyimpl.inference.source import Source, of_used_rows
from pyimpl.likelihood.reduce import reduce_design

__all__ = ["reweighted"]


def reweighted(
    model: AtOptimum,
    weights: Sequence[float] | np.ndarray | pd.Series,
    source: Source | None,
    start: np.ndarray,
    control: LmerControl,
) -> tuple[AtOptimum, Source | None]:
    """Fit a model with other prior weights, and say where it comes from then.

    Parameters
    ----------
    model : AtOptimum
    weights : array-like, shape (N,)
        A positive number for each row used, or for each row of the data.
    source : Source, optional
        The data and arguments of the call, of which the weights are replaced.
    start : ndarray, shape (n_theta,)
        θ that the search starts from.
    control : LmerControl

    Raises
    ------
    DataError
        Another number of weights, or some that are not positive and finite.
    """
    design = model.design
    numbers = as_numbers(weights, "newweights")
    whole = None if source is None else Data(source.data).rows
    numbers = of_used_rows(numbers, design, source)
    if numbers.shape != (design.N,):
        others = "" if whole in (None, design.N) else f", or {whole}, the rows of the data"
        raise DataError(
            f"newweights has shape {numbers.shape}: expected {design.N} numbers, the rows used in the fit{others}"
        )
    if not (numbers > 0).all() or not np.isfinite(numbers).all():
        raise DataError("newweights must be positive and finite")
    other = replace(design, weights=numbers)
    fitted = find_optimum(other, reduce_design(other), model.REML, control, start)
    if source is None:
        return fitted, None
    every = np.ones(whole or 0)
    every[source.used_rows(design)] = numbers
    return fitted, replace(source, arguments={**source.arguments, "weights": every})
