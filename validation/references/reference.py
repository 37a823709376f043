"""What a candidate is judged by: one class, wherever the reference comes from."""

from dataclasses import dataclass

import pandas as pd

from validation.checks import Side
from validation.contract import LinearMixedFit, MultilevelFit

__all__ = ["Fitted", "Reference"]


@dataclass(frozen=True)
class Fitted:
    """One side's fit of a model.

    Attributes
    ----------
    fit : fit
        As much of ``validation.contract`` as it has.
    side : Side
        How the report calls it, with its provenance.
    """

    fit: MultilevelFit
    side: Side


@dataclass(frozen=True)
class Reference(Fitted):
    """The reference's fit of a model: tight lme4, rstanarm, a record of either, or certified values.

    Attributes
    ----------
    default : fit or None
        What lme4 gives with its default optimizer: the numbers a user of R sees.
    data : pandas.DataFrame or None
        The data it was fitted to, which the candidate gets too.
    """

    default: LinearMixedFit | None = None
    data: pd.DataFrame | None = None
