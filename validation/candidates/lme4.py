"""R's ``lme4`` with its default optimizer, and ``rstanarm``, through the bridge: what a user of R gets."""

from typing import Any

import pandas as pd

from validation.cases import FEATURES
from validation.contract import BayesianFit, LinearMixedFit

CAN = frozenset(FEATURES)


def versions() -> dict[str, str]:
    """Versions of the R packages that are judged, from live R; none where there is no R (the fits will say so)."""
    from bridge.errors import BridgeError
    from bridge.provenance import r_versions

    try:
        return dict(r_versions(("lme4", "rstanarm"))["packages"])
    except BridgeError:
        return {}


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: Any) -> LinearMixedFit:
    """``lme4::lmer`` as users call it."""
    from bridge import lme4

    return lme4.lmer(formula, data, REML=REML, **options)


def sample(formula: str, data: pd.DataFrame, seed: int, **options: Any) -> BayesianFit:
    """``rstanarm::stan_lmer`` as users call it."""
    from bridge import rstanarm

    return rstanarm.stan_lmer(formula, data, seed=seed, **options)
