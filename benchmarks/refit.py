"""`refit` to new responses in a loop: live lme4 (timed inside R) and pyimpl taking turns."""

import statistics
import time

import pandas as pd

from benchmarks.models import Model

__all__ = ["measure"]


def measure(models: list[Model], calls: int = 20, rounds: int = 3) -> pd.DataFrame:
    """Measure the seconds of one ``refit`` to a simulated response, and how they compare.

    Returns
    -------
    DataFrame
        Index model; columns ``lme4``, ``pyimpl`` (seconds a call: the mean of a loop, the median over rounds),
        ``ratio``, ``difference`` (largest difference of deviance between both, where both had the same response).
    """
    from bridge import lme4
    from pyimpl import lmer

    rows = {}
    for model in models:
        data = model.load()
        ours = lmer(model.formula, data, REML=False)
        theirs = lme4.lmer(model.formula, data, REML=False)
        responses = [column for _, column in ours.simulate(calls, seed=20181).items()]
        mine, others, differences = [], [], []
        for turn in range(rounds + 1):
            reference = [theirs.refit(response) for response in responses]
            start = time.perf_counter()
            fits = [ours.refit(response) for response in responses]
            seconds = time.perf_counter() - start
            if turn:  # the first round warms up
                mine.append(seconds / calls)
                others.append(sum(fit.seconds["elapsed"] for fit in reference) / calls)
            differences = [a.deviance() - b.deviance() for a, b in zip(fits, reference, strict=True)]
        rows[model.name] = {
            "lme4": statistics.median(others),
            "pyimpl": statistics.median(mine),
            "ratio": statistics.median(others) / statistics.median(mine),
            "difference": max(differences, key=abs),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
