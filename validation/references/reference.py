"""What a candidate is judged by: one class, wherever the reference comes from."""

from dataclasses import dataclass

import pandas as pd

from validation.checks import Side
from validation.contract import LinearMixedFit, MultilevelFit


@dataclass(frozen=True)
class Fitted:
    """One side's fit of a model."""

    fit: MultilevelFit  # as much of ``validation.contract`` as it has
    side: Side  # how the report calls it, with its provenance


@dataclass(frozen=True)
class Reference(Fitted):
    """The reference's fit of a model: tight lme4, rstanarm, a record of either, or certified values."""

    default: LinearMixedFit | None = None  # by lme4's default optimizer: the numbers that a user of R sees
    data: pd.DataFrame | None = None  # that it was fitted to, and which the candidate gets too
