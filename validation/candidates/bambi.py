"""bambi: the same formula, under bambi's own default priors, sampled by PyMC."""

import re
from typing import Any

import numpy as np
import pandas as pd

from validation.candidates._labels import r_name

#: From its documentation: common and group-specific effects of factors and numbers.
CAN = frozenset({"bayes", "slopes", "categorical", "interaction", "independent", "nested", "crossed"})
#: No density in rstanarm's parametrisation, no effects of a new level, and predictions only on request.
MISSING = frozenset({"density", "new-levels", "mean_PPD", "log-posterior"})
DISTRIBUTIONS = ("bambi", "formulae")


def sample(formula: str, data: pd.DataFrame, seed: int, **options: object) -> dict[str, np.ndarray]:
    """``bambi.Model(formula, data).fit()``, its draws under rstanarm's names."""
    import bambi

    model = bambi.Model(formula, data, dropna=True)
    settings: dict[str, object] = {"draws": 2000, "tune": 1000, "chains": 4, "cores": 2, "progressbar": False}
    found = model.fit(random_seed=seed, **(settings | options))
    draws: dict[str, np.ndarray] = {}
    posterior = found["posterior"]
    for name in posterior.data_vars:
        for term, values in _columns(str(name), posterior[name]):
            draws.update(_renamed(str(name), term, values))
    return draws


def _columns(name: str, array: Any) -> list[tuple[dict[str, str], np.ndarray]]:
    """Take a variable apart: the labels of each of its columns, and the draws (chains x draws)."""
    rest = [dim for dim in array.dims if dim not in ("chain", "draw")]
    stacked = array.transpose("chain", "draw", *rest).to_numpy().astype(float)
    columns = []
    for index in np.ndindex(*stacked.shape[2:]):
        labels = {dim: str(array.coords[dim].to_numpy()[i]) for dim, i in zip(rest, index, strict=True)}
        columns.append((labels, stacked[(slice(None), slice(None), *index)]))
    return columns


def _renamed(name: str, labels: dict[str, str], values: np.ndarray) -> dict[str, np.ndarray]:
    level = next((label for dim, label in labels.items() if dim.endswith("__factor_dim")), None)
    effect_labels = [label for dim, label in labels.items() if not dim.endswith("__factor_dim")]
    if "|" not in name:
        if name == "Intercept":
            return {"(Intercept)": values}
        return {name + "".join(effect_labels) if effect_labels else r_name(name): values}
    spread = re.fullmatch(r"(.*)_(sigma|offset)", name)
    effect, _, group = (spread[1] if spread else name).partition("|")
    effect = "(Intercept)" if effect == "1" else effect + "".join(effect_labels)
    if spread and spread[2] == "offset":
        return {}
    if spread:
        return {f"Sigma[{group}:{effect},{effect}]": values**2}
    return {f"b[{effect} {group}:{str(level).replace(' ', '_')}]": values}
