"""R's ``lme4`` with its default optimizer, and ``rstanarm``, through the bridge: what a user of R gets."""

from typing import Any

from validation.suite import FEATURES

__all__ = ["CAN", "DISTRIBUTIONS", "MISSING", "fit", "sample"]

CAN = frozenset(FEATURES)
MISSING: frozenset[str] = frozenset()
DISTRIBUTIONS = ("mlmparity",)


def fit(formula: str, data: Any, REML: bool = True, **options: Any) -> Any:
    """``lme4::lmer`` as users call it."""
    from bridge import lme4

    return lme4.lmer(formula, data, REML=REML, **options)


def sample(formula: str, data: Any, seed: int, **options: Any) -> Any:
    """``rstanarm::stan_lmer`` as users call it."""
    from bridge import rstanarm

    return rstanarm.stan_lmer(formula, data, seed=seed, **options)
