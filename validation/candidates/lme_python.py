"""The package lme-python: ``lme_python.lmer(formula, data, reml)``."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from validation.candidates._labels import USUAL, covariances, r_group

#: From its documentation; weights by ``lmer_weighted``.
CAN = USUAL | {"weights", "offset"}
#: No objective of θ, no conditional variances, no design.
MISSING = frozenset({"objective", "design", "condsd", "npar", "df_residual"})
DISTRIBUTIONS = ("lme-python",)


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: object) -> dict[str, object]:
    """``lme_python.lmer``, or ``lmer_weighted`` where there are weights; an offset is a term of its formula."""
    import lme_python

    weights, offset = options.pop("weights", None), options.pop("offset", None)
    if options:
        raise NotImplementedError(f"lme_python.lmer has no {', '.join(options)}")
    if offset is not None:
        data = data.assign(offset__=np.asarray(offset, dtype=float))
        formula = formula.replace("~", "~ offset(offset__) +", 1)
    found: Any
    if weights is not None:
        found = lme_python.lmer_weighted(formula, data, REML, np.asarray(weights, dtype=float).tolist())
    else:
        found = lme_python.lmer(formula, data, REML)
    names = [_r_name(str(name), data) for name in found.fixed_names]
    return {
        "fixef": dict(zip(names, found.coefficients, strict=True)),
        "se": dict(zip(names, found.beta_se, strict=True)),
        "vcov": np.asarray(found.v_beta_unscaled, dtype=float) * found.sigma2,
        "sigma": float(np.sqrt(found.sigma2)),
        "VarCorr": covariances(_components(found.var_corr), formula),
        "ranef": _modes(found.ranef, formula),
        "logLik": found.log_likelihood,
        "deviance": found.deviance,
        "REMLcrit": found.reml_criterion,
        "AIC": found.aic,
        "BIC": found.bic,
        "nobs": found.num_obs,
        "fitted": found.fitted,
        "residuals": found.residuals,
    }


def _r_name(name: str, data: pd.DataFrame) -> str:
    """Return R's name: its ``method:termfilm:winter`` is ``methodfilm:termwinter``, a number's level is empty."""
    parts = name.split(":")
    for number in range(2, len(parts)):  # the variables, the first level glued to the last of them, the other levels
        variables, rest = parts[: number - 1], parts[number - 1 :]
        last = next((str(column) for column in data.columns if rest[0].startswith(str(column))), None)
        if len(rest) != number or last is None or any(variable not in data for variable in variables):
            continue
        levels = [rest[0][len(last) :], *rest[1:]]
        return ":".join(f"{v}{level}" for v, level in zip([*variables, last], levels, strict=True))
    return name


def _components(rows: Any) -> Iterator[tuple[str, list[str], list[list[float]]]]:
    """Its rows (group, effect, effect2, variance or covariance, sd), as a matrix for each term."""
    for group in dict.fromkeys(row[0] for row in rows if row[0] != "Residual"):
        own = {frozenset(row[1:3]): row[3] for row in rows if row[0] == group}
        effects = [row[1] for row in rows if row[0] == group and row[1] == row[2]]
        if len(own) == len(effects):  # variances without a covariance are of terms of their own
            yield from ((group, [effect], [[own[frozenset([effect])]]]) for effect in effects)
        else:
            yield group, effects, [[own.get(frozenset([a, b]), 0.0) for b in effects] for a in effects]


def _modes(rows: Any, formula: str) -> dict[str, pd.DataFrame]:
    """Its rows (group, level, effect, value), as frames; levels of interactions are joined by ``_`` there."""
    modes: dict[str, dict[str, dict[str, float]]] = {}
    for group, level, effect, value in rows:
        name, spell = r_group(group, formula, separator="_")
        modes.setdefault(name, {}).setdefault(effect, {})[spell(str(level))] = value
    return {group: pd.DataFrame(columns) for group, columns in modes.items()}
