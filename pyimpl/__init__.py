"""lme4's ``lmer`` and rstanarm's ``stan_lmer`` in Python alone (no R, no rpy2).

Importing this package loads neither PyMC, nor ArviZ, nor matplotlib, nor numba: they come in where they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from pyimpl.lmer import LmerControl, LmerFit, lmer
    from pyimpl.model.design import model_matrix

#: Exported name -> module that defines it.
_EXPORTS = {
    **dict.fromkeys(
        (
            "ConvergenceWarning",
            "DataError",
            "FormulaError",
            "ModelError",
            "PyimplError",
            "PyimplWarning",
            "RankDeficientWarning",
            "SingularFitWarning",
        ),
        "pyimpl.errors",
    ),
    **dict.fromkeys(("LmerControl", "LmerFit", "lmer"), "pyimpl.lmer"),
    "model_matrix": "pyimpl.model.design",
    **dict.fromkeys(("stan_lmer", "normal", "student_t", "cauchy", "exponential", "decov"), "pyimpl.stan_lmer"),
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
