"""Warm calls of short fits, call by call in turns within one process, so that a clock's changing speed touches all."""

import statistics
import time
import warnings

import pandas as pd

from benchmarks.models import Model
from benchmarks.programs import Program

__all__ = ["measure"]


def measure(models: list[Model], programs: list[Program], calls: int = 300, first: int = 20) -> pd.DataFrame:
    """Measure warm calls, each program's followed by the next one's.

    Each call finds the processor's caches as another program left them.

    Parameters
    ----------
    models : list of Model
    programs : list of Program
        The first is what the others are compared with. None that runs in a process of its own (lme4).
    calls : int
        Of each program, after the `first`, which do not count.

    Returns
    -------
    DataFrame
        Index model; a column of seconds (median) for each program; and for each but the first the median of its time
        over the first program's in the same turn.
    """
    rows = {}
    fits = [program.load() for program in programs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in models:
            data = model.load()
            times: list[list[float]] = [[] for _ in programs]
            for _ in range(first + calls):
                for fit, own in zip(fits, times, strict=True):
                    start = time.perf_counter()
                    fit(model.formula, data)
                    own.append(time.perf_counter() - start)
            counted = [own[first:] for own in times]
            row = {program.name: statistics.median(own) for program, own in zip(programs, counted, strict=True)}
            for program, own in zip(programs[1:], counted[1:], strict=True):
                ratios = [other / ours for other, ours in zip(own, counted[0], strict=True)]
                row[f"{program.name}/{programs[0].name}"] = statistics.median(ratios)
            rows[model.name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
