"""The models that are measured, with their data from live R."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from benchmarks.shapes import SHAPES

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
    """A model to measure.

    Attributes
    ----------
    name, formula : str
    load : callable
        Gives the data.
    kinds : frozenset of str
        Where it is measured: ``"likelihood"``, ``"bayes"``, ``"shapes"``.
    """

    name: str
    formula: str
    load: Callable[[], pd.DataFrame]
    kinds: frozenset[str] = frozenset({"likelihood", "bayes"})


_LIKELIHOOD = frozenset({"likelihood"})
_BAYES = frozenset({"bayes"})

MODELS = (
    Model("M1", "course ~ 1 + (1 | school)", _gcsemv),
    Model("M2", "course ~ 1 + female + (1 | school)", _gcsemv),
    Model("M3", "course ~ 1 + female + (1 + female | school)", _gcsemv),
    Model("sleepstudy", "Reaction ~ Days + (Days | Subject)", _of("sleepstudy", "lme4")),
    Model("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", _of("Penicillin", "lme4")),
    Model("Pastes", "strength ~ 1 + (1 | batch/cask)", _of("Pastes", "lme4")),
    Model("Chem97-nested", "score ~ gcsecnt + (1 | lea/school)", _of("Chem97", "mlmRev"), _LIKELIHOOD),
    Model("Chem97-crossed", "score ~ gcsecnt + (1 | school) + (1 | lea)", _of("Chem97", "mlmRev"), _LIKELIHOOD),
    Model("InstEval", "y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", _of("InstEval", "lme4"), _LIKELIHOOD),
    # 1 + 4·5/2 + 2·3/2 = 14 dimensions once coefficients and random effects are integrated out
    Model(
        "14-dim",
        "height ~ age + (age + I(age^2) + I(age^3) | Subject) + (age | Occasion)",
        _of("Oxboys", "mlmRev"),
        _BAYES,
    ),
    *(Model(name, formula, load, frozenset({"shapes"})) for name, (formula, load) in SHAPES.items()),
)


def select(names: list[str] | None, kind: str | None = None) -> list[Model]:
    """Return the models of these names, all (of a kind) where none is given.

    Raises
    ------
    ValueError
        For a name that no model has.
    """
    known = {model.name: model for model in MODELS if kind is None or kind in model.kinds}
    unknown = [name for name in names or () if name not in {model.name for model in MODELS}]
    if unknown:
        raise ValueError(f"no model called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names if name in known] if names else list(known.values())
