"""The models that are measured, with their data from live R."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

__all__ = ["MODELS", "Model", "select"]


def _gcsemv() -> pd.DataFrame:
    from bridge import mlmRev

    data = mlmRev.Gcsemv()
    data["female"] = data["gender"].cat.reorder_categories(["M", "F"])
    return data


def _of(name: str, package: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        from bridge import datasets

        return datasets.load(name, package=package)

    return load


@dataclass(frozen=True)
class Model:
    """A model to measure: its name, formula and the loader of its data."""

    name: str
    formula: str
    load: Callable[[], pd.DataFrame]


MODELS = (
    Model("M1", "course ~ 1 + (1 | school)", _gcsemv),
    Model("M2", "course ~ 1 + female + (1 | school)", _gcsemv),
    Model("M3", "course ~ 1 + female + (1 + female | school)", _gcsemv),
    Model("sleepstudy", "Reaction ~ Days + (Days | Subject)", _of("sleepstudy", "lme4")),
    Model("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", _of("Penicillin", "lme4")),
    Model("Pastes", "strength ~ 1 + (1 | batch/cask)", _of("Pastes", "lme4")),
)


def select(names: list[str] | None) -> list[Model]:
    """Return the models of these names, all where none is given.

    Raises
    ------
    ValueError
        For a name that no model has.
    """
    known = {model.name: model for model in MODELS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(f"no model called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(MODELS)
