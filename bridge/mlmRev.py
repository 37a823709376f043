# ruff: noqa: N999 - the package's own name
"""``mlmRev``'s data sets by name: ``bridge.mlmRev.Gcsemv()``."""

from collections.abc import Callable

import pandas as pd

from bridge import datasets

__all__ = ["Gcsemv"]


def Gcsemv() -> pd.DataFrame:
    """Return the GCSE exam scores: 1905 students in 73 schools (school, student, gender, written, course)."""
    return datasets.load("Gcsemv", package="mlmRev")


def __getattr__(name: str) -> Callable[[], pd.DataFrame]:
    # Any other data set of the package, e.g. bridge.mlmRev.Chem97().
    if name.startswith("_"):
        raise AttributeError(name)

    def load() -> pd.DataFrame:
        return datasets.load(name, package="mlmRev")

    load.__name__ = load.__qualname__ = name
    load.__doc__ = f"Return mlmRev's data set ``{name}``."
    return load
