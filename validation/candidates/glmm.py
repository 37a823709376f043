"""The package glmm: ``glmm.fit(data, formula, reml=...)``."""

import numpy as np
import pandas as pd

from validation.candidates._labels import USUAL, covariances, r_group

#: From its documentation ("What the formula accepts"); ``(x || g)`` is refused there.
CAN = (USUAL - {"independent"}) | {"weights", "offset"}
#: No objective of θ, no conditional variances, no design.
MISSING = frozenset({"objective", "design", "condsd"})
DISTRIBUTIONS = ("glmm",)


def fit(formula: str, data: pd.DataFrame, REML: bool = True, **options: object) -> dict[str, object]:
    """``glmm.fit(data, formula, reml=REML)``."""
    import glmm

    passed = {name: np.asarray(value, dtype=float) for name, value in options.items()}
    found = glmm.fit(data, formula, reml=REML, **passed)
    if len(found.varcorr) < len(found.re_groups):
        raise RuntimeError(f"glmm returned no fit: {'; '.join(str(w.get('message', w)) for w in found.warnings)}")
    terms = []
    for (group, effects), lower in zip(found.re_groups, found.varcorr, strict=True):
        matrix = np.zeros((len(effects), len(effects)))
        # Entries of the lower triangle, column by column.
        matrix[np.triu_indices(len(effects))] = lower
        terms.append((group, effects, matrix + np.triu(matrix, 1).T))
    modes: dict[str, pd.DataFrame] = {}
    for block in found.ranef_blocks:
        group, spell = r_group(block["group"], formula)
        frame = pd.DataFrame(block["values"], index=[spell(level) for level in block["levels"]], columns=block["terms"])
        modes[group] = modes[group].join(frame) if group in modes else frame
    # A column that cannot be estimated is marked as aliased and has no number; R's fixef() leaves it out.
    kept = ~np.asarray(found.aliased, dtype=bool)
    names = [name for name, keep in zip(found.names, kept, strict=True) if keep]
    return {
        "fixef": dict(zip(names, np.asarray(found.beta)[kept], strict=True)),
        "se": dict(zip(names, np.asarray(found.se)[kept], strict=True)),
        "vcov": np.asarray(found.vcov)[np.ix_(kept, kept)],
        "sigma": float(np.sqrt(found.dispersion)),
        "VarCorr": covariances(terms, formula),
        "ranef": modes,
        "logLik": found.loglik,
        "AIC": found.aic,
        "BIC": found.bic,
        "npar": found.df,
        "nobs": found.nobs,
        "singular": found.singular,
        "isREML": found.reml,
        "fitted": found.fitted,
        "residuals": found.residuals() if callable(found.residuals) else found.residuals,
    }
