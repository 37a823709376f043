"""The judge: whether two implementations of a multilevel model agree, and if not, why."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import r_scripts  # noqa: F401 - which says where Python is too old

if TYPE_CHECKING:
    from validation.anova import compare_anova, compare_anova_fits
    from validation.cases import Case
    from validation.compare import compare, compare_draws, compare_fits
    from validation.comparison import Check, Comparison, Side
    from validation.results import compare_emmeans, compare_predictions
    from validation.verdict import Cause, Verdict

__all__ = [
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
    "compare_emmeans",
    "compare_fits",
    "compare_predictions",
]

_HOMES = {
    "Case": "validation.cases",
    **dict.fromkeys(("Cause", "Verdict"), "validation.verdict"),
    **dict.fromkeys(("Check", "Comparison", "Side"), "validation.comparison"),
    **dict.fromkeys(("compare", "compare_draws", "compare_fits"), "validation.compare"),
    **dict.fromkeys(("compare_anova", "compare_anova_fits"), "validation.anova"),
    **dict.fromkeys(("compare_emmeans", "compare_predictions"), "validation.results"),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, and only that."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package, in which ``compare`` is always the function, whoever imports the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "compare" and isinstance(value, ModuleType):
            value = value.compare
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
