"""`refit` to new responses in a loop: live lme4, its loop within R, and pyimpl taking turns."""

import statistics
import time

import numpy as np
import pandas as pd

from benchmarks.models import Model

__all__ = ["measure"]


def measure(models: list[Model], calls: int = 50, rounds: int = 5) -> pd.DataFrame:
    """Measure the seconds of one ``refit`` to a simulated response, and how they compare.

    In its turn each program refits to all responses in a loop of its own, lme4 within R.

    Parameters
    ----------
    models : list of Model
    calls : int
        Responses, refitted in every turn.
    rounds : int
        Turns of each program that count, after one that warms up.

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
        simulated = ours.simulate(calls, seed=20181)
        responses = [column.to_numpy() for _, column in simulated.items()]
        mine, others, differences = [], [], np.zeros(calls)
        for turn in range(rounds + 1):
            reference, reference_seconds = theirs.refit_each(simulated)
            start = time.perf_counter()
            fits = [ours.refit(response) for response in responses]
            seconds = time.perf_counter() - start
            if turn:  # the first round warms up
                mine.append(seconds / calls)
                others.append(reference_seconds / calls)
            differences = np.array([fit.deviance() for fit in fits]) - reference
        rows[model.name] = {
            "lme4": statistics.median(others),
            "pyimpl": statistics.median(mine),
            "ratio": statistics.median(others) / statistics.median(mine),
            "difference": differences[np.abs(differences).argmax()],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
