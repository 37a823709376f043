"""The package interlace-lme: ``interlace.fit(fixed, data, random=[...], method=...)``."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from validation.candidates._labels import USUAL, covariances, r_group, r_name

#: From its README: crossed and nested intercepts, slopes (correlated and ``||``), weights; ``fit`` takes an offset.
CAN = USUAL | {"weights", "offset"}
#: Variances of a term with slopes are not handed back as a matrix; it has no objective of θ for callers.
MISSING = frozenset({"objective", "design"})
DISTRIBUTIONS = ("interlace-lme",)


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: object) -> dict[str, object]:
    """``interlace.fit`` with the bars of the formula as they are written."""
    import interlace

    bars = re.findall(r"\([^()|]*\|[^()]*\)", formula)
    fixed = formula
    for bar in bars:
        fixed = fixed.replace(bar, "")
    fixed = re.sub(r"[\s+]*$", "", re.sub(r"(\+\s*)+", "+ ", fixed)).replace("^", "**")
    passed = {name: np.asarray(value, dtype=float) for name, value in options.items()}
    found = interlace.fit(fixed, data, random=bars, method="REML" if REML else "ML", **passed)
    names = [r_name(str(name)) for name in found.fe_params.index]
    modes = _by_group(found.random_effects, formula)
    return {
        "fixef": dict(zip(names, np.asarray(found.fe_params, dtype=float), strict=True)),
        "se": dict(zip(names, np.asarray(found.fe_bse, dtype=float), strict=True)),
        "vcov": np.asarray(found.fe_cov, dtype=float),
        "sigma": float(np.sqrt(found.scale)),
        "VarCorr": covariances(_components(found.variance_components, modes, formula), formula),
        "ranef": modes,
        "condsd": _by_group(found.random_effects_se, formula),
        "logLik": found.llf,
        "AIC": found.aic,
        "BIC": found.bic,
        "npar": found.nparams,
        "nobs": found.nobs,
        "singular": found.is_singular,
        "isREML": found.method == "REML",
        "fitted": found.fittedvalues,
        "residuals": found.resid,
    }


def _by_group(blocks: Any, formula: str) -> dict[str, pd.DataFrame]:
    result = {}
    for name, block in blocks.items():
        group, spell = r_group(str(name), formula)
        frame = block.copy() if isinstance(block, pd.DataFrame) else pd.DataFrame({"(Intercept)": pd.Series(block)})
        frame.columns = [r_name(str(column)) for column in frame.columns]
        frame.index = [spell(str(level)) for level in frame.index]
        result[group] = frame
    return result


def _components(given: Any, modes: dict[str, pd.DataFrame], formula: str) -> Iterator[tuple[str, list[str], Any]]:
    for name, value in given.items():
        whole = np.ndim(value) == 2
        effects = list(modes[r_group(str(name), formula)[0]].columns) if whole else ["(Intercept)"]
        yield str(name), effects, value if whole else [[value]]
