"""statsmodels' ``MixedLM``: one grouping factor with correlated slopes, and variance components nested in it."""

import numpy as np
import pandas as pd

from validation.candidates._labels import group_labels, r_name, take_apart

#: From the documentation of ``MixedLM``; crossed factors only as one group of everything, which is not meant for more
#: than a few levels.
CAN = frozenset({"ml", "reml", "slopes", "categorical", "interaction", "singular"})
#: No objective of θ; AIC and BIC only of ML fits; the design is patsy's.
MISSING = frozenset({"objective", "design", "npar", "df_residual", "AIC", "BIC"})
DISTRIBUTIONS = ("statsmodels",)


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: object) -> dict[str, object]:
    """``statsmodels.formula.api.mixedlm(...).fit(reml=...)``."""
    import statsmodels.formula.api as smf

    if options:
        raise NotImplementedError(f"MixedLM has no {', '.join(options)}")
    fixed, bars = take_apart(formula)
    if len(bars) != 1:
        raise NotImplementedError(f"MixedLM has one grouping factor, not {', '.join(sorted({g for _, g in bars}))}")
    ((effects, group),) = bars
    labels = group_labels(data, group)
    used = data.assign(__group=labels).dropna(subset=["__group"])
    model = smf.mixedlm(fixed, used, groups="__group", re_formula=f"~ {effects}", missing="drop")
    found = model.fit(reml=REML)
    names = [r_name(name) for name in model.exog_names]
    columns = [r_name("Intercept" if name in ("Group", "__group") else name) for name in model.data.exog_re_names]
    modes = {str(level): np.asarray(values, dtype=float) for level, values in found.random_effects.items()}
    sds = {str(level): np.sqrt(np.diag(np.asarray(m))) for level, m in found.random_effects_cov.items()}
    k = len(names)
    return {
        "fixef": dict(zip(names, np.asarray(found.fe_params), strict=True)),
        "se": dict(zip(names, np.asarray(found.bse_fe), strict=True)),
        "vcov": np.asarray(found.cov_params())[:k, :k],
        "sigma": float(np.sqrt(found.scale)),
        "VarCorr": {group: pd.DataFrame(np.asarray(found.cov_re), index=columns, columns=columns)},
        "ranef": {group: pd.DataFrame(modes, index=columns).T},
        "condsd": {group: pd.DataFrame(sds, index=columns).T},
        "logLik": found.llf,
        "nobs": found.nobs,
        "fitted": pd.Series(np.asarray(found.fittedvalues), index=model.data.row_labels),
        "residuals": pd.Series(np.asarray(found.resid), index=model.data.row_labels),
    }
