"""pymer4: R's lme4 (by lmerTest) with its default optimizer, driven from Python; needs R and several R packages."""

from typing import Any

import numpy as np
import pandas as pd

from validation.candidates._labels import USUAL

#: From its documentation: whatever lme4's formulas can; REML and ML; weights; its contrasts by ``set_contrasts``.
CAN = USUAL | {"contrasts"}
#: Its tables hold neither vcov nor conditional variances; fitted values stand in a joined table without row labels.
MISSING = frozenset({"objective", "design", "condsd", "vcov", "fitted"})
DISTRIBUTIONS = ("pymer4",)


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: object) -> dict[str, object]:
    """``pymer4.models.lmer(formula, data)``, factors by ``set_factors``, then ``fit(REML=...)``."""
    import polars
    from pymer4.models import lmer

    contrasts = options.pop("contrasts", None)
    if options:
        raise NotImplementedError(f"this adapter passes no {', '.join(options)} on to pymer4")
    model = lmer(formula, data=polars.from_pandas(data.reset_index(drop=True)))
    factors = {
        str(name): [str(level) for level in data[name].cat.categories]
        for name in data.columns
        if isinstance(data[name].dtype, pd.CategoricalDtype) and str(name) in formula
    }
    if factors:
        model.set_factors(factors)
    if contrasts:
        model.set_contrasts(contrasts)
    model.fit(REML=REML)
    table = model.result_fit.to_pandas().set_index("term")
    stats = model.result_fit_stats.to_dicts()[0]
    modes = model.ranef if isinstance(model.ranef, dict) else {_only_group(model): model.ranef}
    return {
        "fixef": dict(table["estimate"]),
        "se": dict(table["std_error"]),
        "sigma": stats["sigma"],
        "VarCorr": _components(model.ranef_var.to_dicts()),
        "ranef": {group: frame.to_pandas().set_index("level") for group, frame in modes.items()},
        "logLik": stats["logLik"],
        "AIC": stats["AIC"],
        "BIC": stats["BIC"],
        "df_residual": stats["df_residual"],
        "nobs": stats["nobs"],
        # Its table has a REML criterion only where lme4 was run by REML.
        "isREML": stats.get("REMLcrit") is not None and not np.isnan(stats["REMLcrit"]),
        "REMLcrit": stats.get("REMLcrit"),
    }


def _only_group(model: Any) -> str:
    return next(str(row["group"]) for row in model.ranef_var.to_dicts() if row["group"] != "Residual")


def _components(rows: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """``sd__x`` and ``cor__x.z`` of each group, as covariance matrices."""
    sds: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["group"] != "Residual" and row["term"].startswith("sd__"):
            sds.setdefault(row["group"], {})[row["term"].removeprefix("sd__")] = row["estimate"]
    matrices = {
        group: pd.DataFrame(np.diag(np.square(list(own.values()))), index=list(own), columns=list(own))
        for group, own in sds.items()
    }
    for row in rows:
        if row["term"].startswith("cor__"):
            pair, own = row["term"].removeprefix("cor__"), sds[row["group"]]
            first, second = next((a, b) for a in own for b in own if f"{a}.{b}" == pair)
            value = row["estimate"] * own[first] * own[second]
            matrices[row["group"]].loc[first, second] = matrices[row["group"]].loc[second, first] = value
    return matrices
