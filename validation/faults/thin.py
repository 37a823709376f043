"""Thin candidates: a wrong fit of which only some quantities are answered, as third parties answer.

The fewer quantities a candidate gives, the more faults look alike. A cause that is named for a thin candidate must be
the planted fault, or none: silence is careful, a wrong name costs its reader days.
"""

from collections.abc import Callable, Collection, Mapping
from typing import cast

import numpy as np
import pandas as pd

from validation.comparison import Comparison
from validation.conformance.answer import OFFERS, Answer
from validation.conformance.run import without_missing
from validation.contract import LinearMixedFit
from validation.faults.bases import BaseFit

#: What may be said of any fault whatever a candidate answers, for it names nothing but what is seen: that the cause is
#: not known, that numbers are not there, that rows or names are others.
CAREFUL = frozenset({"unknown", "missing-numbers", "other-names", "rows"})

#: Causes that leave the same numbers where no variance is answered: a random effect (or a term, a factor of two that
#: are crossed) whose variance is 0 is none. What is known then has a name of its own.
_ALIKE = frozenset({"boundary", "random-terms", "random-intercept-lost", "crossed-vs-nested"})

_COMPONENTS = ("sigma", "VarCorr")

#: Name of a thin candidate -> the quantities that it answers; everything else is declared missing.
THIN: dict[str, tuple[str, ...]] = {
    "fixef": ("fixef",),
    "fixef, se": ("fixef", "se"),
    "fixef, se, logLik": ("fixef", "se", "logLik"),
    "components": ("fixef", "se", *_COMPONENTS),
    "logLik alone": ("logLik", "nobs"),
    "plain mapping": ("fixef", "se", *_COMPONENTS, "ranef", "logLik", "nobs", "fitted", "residuals"),
    "without fits": ("fixef", "se", "vcov", *_COMPONENTS, "logLik", "nobs"),
    "BLUPs": ("fixef", *_COMPONENTS, "ranef", "condsd"),
    "without design": (
        "fixef", "se", "vcov", *_COMPONENTS, "theta", "ranef", "condsd", "logLik", "nobs", "fitted", "residuals",
    ),
}  # fmt: skip


def right_cause(expected: str, answered: Collection[str]) -> str:
    """The right name of a fault where a candidate answers only some quantities; none given are all."""
    known = not answered or not {"VarCorr", "theta"}.isdisjoint(answered)
    return expected if known or expected not in _ALIKE else "random-effects-left-out-or-zero"


def compare_thinly(base: BaseFit, wrong: LinearMixedFit, thin: str) -> Comparison:
    """Judge a wrong fit of which a thin candidate answers its few quantities, and declares the others missing.

    ``thin`` is one of :data:`THIN`.
    """
    return compare_answers(base, answer_of(wrong, THIN[thin]))


def compare_answers(base: BaseFit, given: Mapping[str, object]) -> Comparison:
    """Judge the plain mapping that a third party answers of a base's model; what is not in it is declared missing."""
    from validation import compare_fits

    missing = frozenset(OFFERS) - frozenset(given)
    answer = Answer(dict(given), base.formula, base.data, base.reml, missing, base.fit)
    comparison, _ = without_missing(
        compare_fits(base.fit, cast("LinearMixedFit", answer), data=base.data, REML=base.reml), missing
    )
    return comparison


def answer_of(fit: LinearMixedFit, keys: tuple[str, ...]) -> dict[str, object]:
    """Some quantities of a fit as the plain mapping of ``docs/conformance.md``."""
    named_otherwise: Mapping[str, Callable[[], object]] = {
        "se": lambda: fit.coef_table()["Std. Error"],
        "theta": lambda: fit.getME("theta"),
        "condsd": lambda: _sds(fit),
    }
    return {key: named_otherwise[key]() if key in named_otherwise else getattr(fit, key)() for key in keys}


def _sds(fit: LinearMixedFit) -> dict[str, pd.DataFrame]:
    modes, arrays = fit.ranef(), fit.ranef_condVar()
    return {
        group: pd.DataFrame(
            np.sqrt(np.einsum("lee->le", np.asarray(arrays[group], dtype=float))), frame.index, frame.columns
        )
        for group, frame in modes.items()
    }
