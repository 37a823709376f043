"""The package mixedlm: ``mixedlm.lmer``, modelled after lme4."""

import re
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from validation.candidates._labels import USUAL, covariances, r_group

#: From its documentation ("Coming from R").
CAN = USUAL | {"weights", "offset", "contrasts"}
#: Its design is not labelled.
MISSING = frozenset({"design"})
DISTRIBUTIONS = ("mixedlm",)

_CODINGS = {"contr.sum": "sum", "contr.treatment": "treatment", "contr.helmert": "helmert", "contr.poly": "poly"}


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: object) -> dict[str, object]:
    """``mixedlm.lmer(formula, data, REML=...)``."""
    import mixedlm

    codings = cast("Mapping[str, str]", options.pop("contrasts", None) or {})
    passed: dict[str, Any] = {name: np.asarray(value, dtype=float) for name, value in options.items()}
    if codings:
        passed["contrasts"] = {column: _CODINGS.get(coding, coding) for column, coding in codings.items()}
    found = mixedlm.lmer(formula, data, REML=REML, **passed)
    components: list[tuple[str, list[str], Any]] = []
    for name, block in found.VarCorr().groups.items():
        terms = [_r_name(term, data, codings) for term in block.term_names]
        if block.corr is None:  # (x || g): each effect is a term of its own
            components += [(name, [term], [[block.cov[i][i]]]) for i, term in enumerate(terms)]
        else:
            components.append((name, terms, block.cov))
    levels: dict[str, list[str]] = {}
    theta_names = []  # its θ runs along the rows of each factor's Λ, lme4's down the columns
    for structure in found.matrices.random_structures:
        group, spell = r_group(structure.grouping_factor, formula, separator="/")
        levels.setdefault(structure.grouping_factor, [spell(str(level)) for level in structure.level_map])
        effects = [_r_name(effect, data, codings) for effect in structure.term_names]
        for i, row in enumerate(effects):
            below = range(i + 1) if structure.correlated else [i]
            theta_names += [f"{group}.{row}" if i == j else f"{group}.{row}.{effects[j]}" for j in below]

    def frames(values: Any) -> dict[str, pd.DataFrame]:
        return {
            r_group(name, formula)[0]: pd.DataFrame(
                {_r_name(effect, data, codings): value for effect, value in block.items()}, index=levels[name]
            )
            for name, block in values.items()
        }

    return {
        "fixef": {_r_name(name, data, codings): value for name, value in found.fixef().items()},
        "vcov": np.asarray(found.vcov(), dtype=float),
        "sigma": float(found.sigma),
        "VarCorr": covariances(components, formula),
        "ranef": frames(found.ranef()),
        "condsd": {group: np.sqrt(frame) for group, frame in frames(found.ranef(condVar=True).condVar).items()},
        "theta": dict(zip(theta_names, found.theta, strict=True)),
        "logLik": found.logLik().value,
        "AIC": found.AIC(),
        "BIC": found.BIC(),
        "npar": found.npar() if callable(found.npar) else found.npar,
        "df_residual": found.df_residual() if callable(found.df_residual) else found.df_residual,
        "nobs": found.nobs(),
        "singular": found.isSingular(),
        "isREML": found.isREML(),
        "devfun": found.as_function("deviance"),
        "fitted": found.fitted(),
        "residuals": found.residuals(),
    }


def _r_name(name: str, data: pd.DataFrame, codings: Mapping[str, str]) -> str:
    """Return R's name: its ``method.2`` is the third level of ``method``, or the second column of contr.sum."""
    parts = []
    for part in str(name).split(":"):
        found = re.fullmatch(r"(.+)\.(\d+)", part)
        column = data.get(found[1]) if found else None
        if found is None or column is None or not isinstance(column.dtype, pd.CategoricalDtype):
            parts.append(part)
        elif found[1] in codings:
            parts.append(found[1] + found[2])
        else:
            parts.append(f"{found[1]}{column.cat.categories[int(found[2])]}")
    # Without an intercept its first factor has a column for each level, by the level's name: method.talk.
    levels = {
        f"{column}.{level}": f"{column}{level}"
        for column in data.columns
        if isinstance(data[column].dtype, pd.CategoricalDtype)
        for level in data[column].cat.categories
    }
    return ":".join(levels.get(part, part) for part in parts)
