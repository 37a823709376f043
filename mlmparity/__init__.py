"""Multilevel models that agree with R's lme4 and rstanarm, and the proof of it.

>>> from mlmparity import lmer, load_dataset
>>> fit = lmer("course ~ 1 + gender + (1 | school)", load_dataset("Gcsemv"))
>>> print(round(fit.fixef()["genderM"], 3))
-6.741

Everything is loaded when it is first used. The models in Python (``lmer``, ``stan_lmer`` and what goes with them) are
``pyimpl``'s, R itself (``lme4``, ``rstanarm``, ``mlmRev``) is ``bridge``'s, and the judge (``compare``) is
``validation``'s.
"""

from typing import TYPE_CHECKING

from mlmparity.rooms import load

if TYPE_CHECKING:
    from bridge import lme4, mlmRev, rstanarm
    from pyimpl import (
        ConvergenceWarning,
        DataError,
        FormulaError,
        LmerControl,
        LmerFit,
        ModelError,
        PyimplError,
        PyimplWarning,
        RankDeficientWarning,
        SingularFitWarning,
        StanLmerFit,
        augment,
        cauchy,
        decov,
        emmeans,
        emtrends,
        exponential,
        glance,
        hs,
        hs_plus,
        joint_tests,
        laplace,
        lasso,
        lkj,
        lmer,
        loo_compare,
        model_matrix,
        normal,
        product_normal,
        ref_grid,
        stan_lmer,
        student_t,
        tidy,
    )
    from validation import (
        Case,
        Cause,
        Check,
        Comparison,
        Side,
        Verdict,
        compare,
        compare_anova,
        compare_anova_fits,
        compare_draws,
        compare_fits,
    )
    from validation.reading.files import read_data
    from validation.references.datasets import dataset_names, load_dataset

    __version__: str

__all__ = [
    "Case",
    "Cause",
    "Check",
    "Comparison",
    "ConvergenceWarning",
    "DataError",
    "FormulaError",
    "LmerControl",
    "LmerFit",
    "ModelError",
    "PyimplError",
    "PyimplWarning",
    "RankDeficientWarning",
    "Side",
    "SingularFitWarning",
    "StanLmerFit",
    "Verdict",
    "__version__",
    "augment",
    "cauchy",
    "compare",
    "compare_anova",
    "compare_anova_fits",
    "compare_draws",
    "compare_fits",
    "dataset_names",
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
    "lme4",
    "lmer",
    "load_dataset",
    "loo_compare",
    "mlmRev",
    "model_matrix",
    "normal",
    "product_normal",
    "read_data",
    "ref_grid",
    "rstanarm",
    "stan_lmer",
    "student_t",
    "tidy",
]

_R_PACKAGES = ("lme4", "mlmRev", "rstanarm")
_HOMES = {
    **dict.fromkeys(
        (
            "Case",
            "Cause",
            "Check",
            "Comparison",
            "Side",
            "Verdict",
            "compare",
            "compare_anova",
            "compare_anova_fits",
            "compare_draws",
            "compare_fits",
        ),
        "validation",
    ),
    "read_data": "validation.reading.files",
    **dict.fromkeys(("dataset_names", "load_dataset"), "validation.references.datasets"),
}


def __getattr__(name: str) -> object:
    """Load what is asked for, and only that."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("mlmparity")
    elif name in _R_PACKAGES:
        value = load(f"bridge.{name}")
    else:
        value = getattr(load(_HOMES.get(name, "pyimpl")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
