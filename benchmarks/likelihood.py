"""`lmer`: whole calls from data frame to fit, live lme4 (timed inside R) against pyimpl (timed in this process)."""

import statistics
import time

import pandas as pd

from benchmarks.models import Model

__all__ = ["measure"]


def measure(models: list[Model], repeat: int = 15) -> pd.DataFrame:
    """Median seconds of a warm ML fit on both sides, and their ratio.

    Calls take turns, so that whatever else the machine does hits both sides alike.

    Returns
    -------
    DataFrame
        Index model; columns ``lme4`` and ``pyimpl`` (seconds), ``ratio`` (lme4 / pyimpl), ``deviance_difference``.
    """
    from bridge import lme4
    from pyimpl import lmer

    rows = {}
    for model in models:
        data = model.load()
        ours, theirs = [], []
        for turn in range(repeat + 1):
            reference = lme4.lmer(model.formula, data, REML=False)
            start = time.perf_counter()
            fit = lmer(model.formula, data, REML=False)
            seconds = time.perf_counter() - start
            if turn:  # the first call of each side warms up
                ours.append(seconds)
                theirs.append(reference.seconds["elapsed"])
        lme4_median, pyimpl_median = statistics.median(theirs), statistics.median(ours)
        rows[model.name] = {
            "lme4": lme4_median,
            "pyimpl": pyimpl_median,
            "ratio": lme4_median / pyimpl_median,
            "deviance_difference": fit.deviance() - reference.deviance(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
