"""lme4's ``lmer`` and rstanarm's ``stan_lmer`` in Python alone (no R, no rpy2).

Importing this package loads neither PyMC, nor ArviZ, nor matplotlib: they come in where they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import r_scripts  # noqa: F401 - which says where Python is too old
from pyimpl import extensions

if TYPE_CHECKING:
    from pyimpl.design.design import model_matrix
    from pyimpl.errors import (
        ConvergenceWarning,
        DataError,
        FormulaError,
        ModelError,
        PyimplError,
        PyimplWarning,
        RankDeficientWarning,
        SingularFitWarning,
    )
    from pyimpl.formula.update import update_formula
    from pyimpl.inference.emmeans import emmeans, emtrends, joint_tests, ref_grid
    from pyimpl.inference.prediction_grid import predictions
    from pyimpl.inference.prediction_simulation import boot_predictions, predict_interval
    from pyimpl.inference.regression_table import regression_table
    from pyimpl.inference.tidying import augment, glance, tidy
    from pyimpl.models.lm import LmFit, lm
    from pyimpl.models.lm_list import LmListFit, lmList
    from pyimpl.models.lmer import LmerControl, LmerFit, lmer
    from pyimpl.models.stan_lmer import (
        StanLmerFit,
        cauchy,
        decov,
        exponential,
        hs,
        hs_plus,
        laplace,
        lasso,
        lkj,
        loo_compare,
        normal,
        product_normal,
        stan_lmer,
        student_t,
    )

__all__ = [
    "ConvergenceWarning",
    "DataError",
    "FormulaError",
    "LmFit",
    "LmListFit",
    "LmerControl",
    "LmerFit",
    "ModelError",
    "PyimplError",
    "PyimplWarning",
    "RankDeficientWarning",
    "SingularFitWarning",
    "StanLmerFit",
    "augment",
    "boot_predictions",
    "cauchy",
    "decov",
    "emmeans",
    "emtrends",
    "exponential",
    "glance",
    "hs",
    "hs_plus",
    "joint_tests",
    "laplace",
    "lasso",
    "lkj",
    "lm",
    "lmList",
    "lmer",
    "loo_compare",
    "model_matrix",
    "normal",
    "predict_interval",
    "predictions",
    "product_normal",
    "ref_grid",
    "regression_table",
    "stan_lmer",
    "student_t",
    "tidy",
    "update_formula",
]

extensions.install()

_MODULES = {
    **dict.fromkeys(("LmerControl", "LmerFit", "lmer"), "pyimpl.models.lmer"),
    **dict.fromkeys(("LmFit", "lm"), "pyimpl.models.lm"),
    **dict.fromkeys(("LmListFit", "lmList"), "pyimpl.models.lm_list"),
    "model_matrix": "pyimpl.design.design",
    "update_formula": "pyimpl.formula.update",
    **dict.fromkeys(("emmeans", "emtrends", "joint_tests", "ref_grid"), "pyimpl.inference.emmeans"),
    "regression_table": "pyimpl.inference.regression_table",
    "predictions": "pyimpl.inference.prediction_grid",
    **dict.fromkeys(("boot_predictions", "predict_interval"), "pyimpl.inference.prediction_simulation"),
    **dict.fromkeys(("augment", "glance", "tidy"), "pyimpl.inference.tidying"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    default = "pyimpl.errors" if name.endswith(("Error", "Warning")) else "pyimpl.models.stan_lmer"
    value = getattr(import_module(_MODULES.get(name, default)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
