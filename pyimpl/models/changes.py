"""What ``update`` may change: the arguments of the functions that made a fit, for type checkers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from pyimpl.arguments import Count, Seed
from pyimpl.design.model_matrix import Contrasts
from pyimpl.frame.model_frame import Subset, VectorLike
from r_scripts.arguments import LmerArguments, StanArguments
from r_scripts.dialect import Dialect

if TYPE_CHECKING:
    from pyimpl.inference.at_optimum import Theta
    from pyimpl.inference.control import LmerControl
    from pyimpl.posterior.priors import Decov, Prior

__all__ = ["LmChanges", "LmerChanges", "StanLmerChanges"]


class LmChanges(TypedDict, total=False):
    """Arguments of :func:`pyimpl.lm` after the formula."""

    data: pd.DataFrame
    weights: VectorLike | None
    offset: VectorLike | None
    subset: Subset | None
    na_action: str
    contrasts: Contrasts | None
    data_name: str | None
    dialect: Dialect | Mapping[str, str] | str | None


class LmerChanges(LmChanges, LmerArguments, total=False):
    """Arguments of :func:`pyimpl.lmer` after the formula."""

    REML: bool
    control: "LmerControl | None"
    start: "Theta | None"


class StanLmerChanges(LmChanges, StanArguments, total=False):
    """Arguments of :func:`pyimpl.stan_lmer` after the formula."""

    prior: "Prior | None"
    prior_intercept: "Prior | None"
    prior_aux: "Prior | None"
    prior_covariance: "Decov"
    prior_PD: bool
    QR: bool
    chains: Count
    iter: Count
    warmup: int | None
    seed: Seed | None
    sampler: str
    progress: bool
