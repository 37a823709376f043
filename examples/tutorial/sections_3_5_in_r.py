"""Sections 3 to 5 of the tutorial run by rstanarm, and the diff with the same sections in Python.

``sections_3_5.R`` takes the tutorial's steps in R; :mod:`examples.tutorial.sections_3_5` takes them
in Python. Both label what they find alike: a model, a parameter and a statistic. Two samplers never give the same
draws, so each number is judged by the Monte Carlo error of the difference.
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from examples.tutorial.sections_3_5 import STATISTICS, drawn, monte_carlo_sd

__all__ = ["RSections", "compare_sections", "live_reference", "record", "recorded_reference"]

#: Probability that any of all the numbers of two right samplers is beyond its limit.
FALSE_ALARM = 1e-3

_COLUMNS = ["model", "parameter", "statistic", "value", "n_eff"]


@dataclass(frozen=True)
class RSections:
    """What rstanarm gives.

    Attributes
    ----------
    numbers : DataFrame
        Columns model, parameter, statistic, value, n_eff (bulk effective sample size of the parameter).
    texts : dict of str
        What R prints, by the call.
    convergence : DataFrame
        By model: the largest R-hat and the smallest effective sample size over the draws (section 5).
    label : str
    provenance : dict
    """

    numbers: pd.DataFrame
    texts: dict[str, str]
    convergence: pd.DataFrame
    label: str
    provenance: dict[str, Any]

    @classmethod
    def of_reply(cls, value: Mapping[str, Any], label: str, provenance: Mapping[str, Any]) -> "RSections":
        """Take what the R function returns."""
        numbers = pd.DataFrame({name: list(value[name]) for name in _COLUMNS})
        convergence = pd.DataFrame(
            {"rhat": list(value["rhat"]), "ratio": list(value["ratio"])}, index=list(value["fits"]), dtype=float
        )
        return cls(numbers, dict(value["texts"]), convergence, label, dict(provenance))


def live_reference(**options: Any) -> RSections:
    """Run the sections in R, now: three models, minutes.

    Parameters
    ----------
    **options
        ``chains``, ``iter``, ``seed``, ``cores`` of the R function.
    """
    from bridge import session
    from bridge.provenance import r_versions

    with session.Session(scripts=[Path(__file__).parent / "sections_3_5.R"]) as r, session.use(r):
        reply, versions = r.call("tutorial_sections_3_5", **options), r_versions()
    label = f"rstanarm {versions['packages']['rstanarm']} on R {versions['R']}, live"
    made_with = {**versions, "script": "sections_3_5.R", "options": options, "python": platform.platform()}
    return RSections.of_reply(reply.value, label, made_with)


def recorded_reference(folder: Any = None) -> RSections:
    """Return the sections as R ran them when they were recorded.

    Raises
    ------
    LookupError
        Nothing is recorded.
    """
    file = (folder or resources.files("examples.tutorial") / "data") / "tutorial_sections_3_5.json"
    if not file.is_file():
        raise LookupError(
            "the tutorial's sections 3 to 5 are not recorded; examples.tutorial.sections_3_5_in_r.record does it"
        )
    stored = json.loads(file.read_text(encoding="utf-8"))
    return RSections.of_reply(stored["sections"], stored["label"], stored["provenance"])


def record(folder: Any, **options: Any) -> Any:
    """Write down what live R gives; returns the file's path."""
    from validation.files import write_atomically

    made = live_reference(**options)
    sections = {
        **{name: made.numbers[name].tolist() for name in _COLUMNS},
        "texts": made.texts,
        "fits": made.convergence.index.tolist(),
        "rhat": made.convergence["rhat"].tolist(),
        "ratio": made.convergence["ratio"].tolist(),
    }
    stored = {"label": f"recorded {made.label.removesuffix(', live')}", "provenance": made.provenance}
    path = folder / "tutorial_sections_3_5.json"
    text = json.dumps({**stored, "sections": sections}, ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(path, text + "\n")
    return path


def compare_sections(fits: Mapping[str, Any], reference: RSections) -> pd.DataFrame:
    """Diff every number of the sections.

    The limit is that of all numbers together: with `K` of them, each may be off by the normal quantile of
    ``FALSE_ALARM / (2 K)`` Monte Carlo standard errors of the difference.

    Parameters
    ----------
    fits : mapping of str to BayesianFit
        As :func:`examples.tutorial.sections_3_5.fit_models` returns them.
    reference : RSections

    Returns
    -------
    DataFrame
        model, parameter, statistic, ``R``, ``Python``, ``mcse`` (of the difference), ``z``, ``agrees``.

    Raises
    ------
    KeyError
        A model of the reference is not among the fits, or a parameter not in its fit: nothing is left out silently.
    """
    table = reference.numbers
    missing = [name for name in table["model"].unique() if name not in fits]
    if missing:
        raise KeyError(f"the fits lack {', '.join(missing)}")
    limit = NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * len(table)))
    rows = []
    for (model, parameter), part in table.groupby(["model", "parameter"], sort=False):
        draws, _, own = drawn(fits[str(model)], str(parameter))
        numbers = part[["value", "n_eff"]].to_numpy(float)
        for name, (theirs, n_eff) in zip(part["statistic"], numbers, strict=True):
            statistic = STATISTICS[str(name)]
            value = statistic(draws)
            mcse = monte_carlo_sd(statistic, draws) * np.sqrt(1 / own + 1 / n_eff)
            z = (value - theirs) / mcse
            rows.append((model, parameter, name, theirs, value, mcse, z, abs(z) <= limit))
    return pd.DataFrame(rows, columns=["model", "parameter", "statistic", "R", "Python", "mcse", "z", "agrees"])
