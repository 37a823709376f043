"""``pyimpl``: our own ``lmer`` and ``stan_lmer``, judged like everyone else's."""

from typing import Any

import pandas as pd

from pyimpl import lmer as fit
from validation.contract import BayesianFit
from validation.suite import FEATURES

__all__ = ["CAN", "DISTRIBUTIONS", "fit", "sample"]

CAN = frozenset(FEATURES)
DISTRIBUTIONS = ("mlmparity",)


def sample(formula: str, data: pd.DataFrame, **options: Any) -> BayesianFit:
    """Sample the posterior (loaded when it is asked for: PyMC takes seconds)."""
    from pyimpl import stan_lmer

    return stan_lmer(formula, data, **options)
