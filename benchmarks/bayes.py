"""`stan_lmer`: smallest bulk ESS for each CPU-second, live rstanarm against pyimpl, 4 chains of 1000 kept draws."""

import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.models import Model

__all__ = ["measure"]


def _smallest_bulk_ess(fit: Any, names: list[str]) -> float:
    """Smallest bulk ESS over the given columns, by one estimator (ArviZ) for both sides."""
    from arviz_stats.base import array_stats

    draws = fit.as_matrix()[names].to_numpy()
    by_chain = draws.reshape(4, -1, draws.shape[1])
    return float(
        min(array_stats.ess(by_chain[:, :, k], method="bulk", chain_axis=0, draw_axis=1) for k in range(len(names)))
    )


def measure(models: list[Model], seed: int = 349) -> pd.DataFrame:
    """Smallest bulk ESS over all parameters (random effects too) per CPU-second, whole calls.

    rstanarm's CPU-seconds are Stan's own clock (warm-up and sampling of all chains); pyimpl's are those of this process
    for the whole call, from data frame to draws, after one call that loads compiled code.

    Returns
    -------
    DataFrame
        Index model; columns ``rstanarm_cpu``, ``rstanarm_ess``, ``pyimpl_cpu``, ``pyimpl_ess``, ``ratio`` (of ESS per
        CPU-second).
    """
    from bridge import rstanarm
    from pyimpl import stan_lmer

    rows = {}
    for model in models:
        data = model.load()
        stan_lmer(model.formula, data, seed=seed)
        times = []
        for turn in range(5):
            start = time.process_time()
            fit = stan_lmer(model.formula, data, seed=seed + turn)
            columns = fit.as_matrix().columns
            times.append(time.process_time() - start)
        ours = float(np.median(times))
        reference = rstanarm.stan_lmer(model.formula, data, seed=seed)
        names = [name for name in columns if name != "mean_PPD"]
        ess_ours, ess_theirs = _smallest_bulk_ess(fit, names), _smallest_bulk_ess(reference, names)
        rows[model.name] = {
            "rstanarm_cpu": reference.cpu_seconds,
            "rstanarm_ess": ess_theirs,
            "pyimpl_cpu": ours,
            "pyimpl_ess": ess_ours,
            "ratio": (ess_ours / ours) / (ess_theirs / reference.cpu_seconds),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
