"""What a planted fault is, the registry of all of them, and whether one changes anything.

Where it does not, there is nothing to catch, and its base model is no place for it: a variance put to 0 where it was
estimated as 0 is no fault. That is told from the two fits alone, not by the judge, who must not excuse what escapes
him.
"""

from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.faults.bases import BASES, BaseFit, PlantedPosterior
from validation.judge.likelihood_ratio import table_of_fits
from validation.quantities import prediction_quantities, quietly
from validation.references.recorded import RecordedLmerFit
from validation.tolerances import Match

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


@dataclass(frozen=True)
class FaultSize:
    """How large a fault is."""

    planted: float  # the size at which it is planted
    least: float  # where the search for the smallest size that is still caught ends
    unit: str  # what the size is, in words


@dataclass(frozen=True)
class Fault:
    """A way of being wrong that people really met, to be planted into a right fit."""

    number: int  # row of AGREEMENT.md's table
    name: str  # for a reader
    expected: str  # ``Cause.name`` that must come first
    make: Callable[..., object]  # ``make(base)``, or ``make(base, size)`` where it is ``sized``
    kind: str = "likelihood"  # of comparison that must catch it: likelihood, posterior, anova or results
    #: tags that a base model must, and must not, have for the fault to be one, separated by commas
    needs: str = ""
    without: str = ""
    sized: FaultSize | None = None

    def applies(self, tags: str) -> bool:
        """Whether a base model with these tags can have the fault."""
        needs, without, has = (set(filter(None, text.split(", "))) for text in (self.needs, self.without, tags))
        return needs <= has and not without & has

    def plant(self, base: object, size: float | None = None) -> object:
        """The wrong fit of a base; of its usual size where none is given, and none matters where it is not sized."""
        if self.sized is None:
            return self.make(base)
        return self.make(base, self.sized.planted if size is None else size)


#: Every fault, by the kind of comparison that must catch it, in the order of AGREEMENT.md's table.
FAULTS: dict[str, list[Fault]] = {kind: [] for kind in BASES}


def fault(
    number: int, name: str, expected: str, *, how: Callable[..., object] | None = None, **more: Any
) -> Callable[[FunctionT], FunctionT]:
    """Register a function as a fault: of a base, and of a size where it has one, it makes the wrong fit.

    Parameters
    ----------
    number, name, expected, more
        As of :class:`Fault`.
    how : callable
        Where the function only says what changes: ``how(function, base)``, or with a size, makes the wrong fit.
    """

    def register(function: FunctionT) -> FunctionT:
        new = Fault(number, name, expected, function if how is None else partial(how, function), **more)
        insort(FAULTS[new.kind], new, key=lambda known: known.number)
        return function

    return register


# ---------------------------------------------------------------------------------------------------- what changes

#: What a fit says of itself beside its numbers.
_WORDS = frozenset({"formula", "printed", "optimizer", "provenance", "warnings", "messages", "origin"})


def changes(base: BaseFit, planted: object) -> bool:
    """Whether a planted fit has other numbers than the right one, beyond rounding; another type is a change, too."""
    return not _same(_numbers(_right(base), base), _numbers(planted, base))


def _right(base: BaseFit) -> object:
    """What is planted, without the fault: a table of the same tests, draws of the same seed."""
    if isinstance(base.fit, PlantedPosterior):
        return base.again()
    if isinstance(base.fit, tuple):  # there is no table of models of different rows
        return quietly(lambda: table_of_fits([fit.refitML() for fit in base.fit]), None)
    return base.fit


def _numbers(fit: object, base: BaseFit) -> object:
    """A fit's own numbers; of functions their values, for one function may be written in two ways."""
    if not is_dataclass(fit):
        return fit
    parts = {part.name: getattr(fit, part.name) for part in fields(fit) if part.name not in _WORDS}
    if isinstance(fit, RecordedLmerFit):
        theta = fit.theta.to_numpy()
        parts["objective"] = [fit.devfun(point) for point in (theta, theta + 0.1)]
        parts["predictor"] = prediction_quantities(fit, base.data).table
    if isinstance(fit, PlantedPosterior):
        points = base.fit.unconstrained_draws(20, base.seed)
        parts["unconstrained_draws"] = fit.unconstrained_draws(20, base.seed)
        parts["log_prob"] = [fit.log_prob(point) for point in points]
    return parts


def _same(left: Any, right: Any) -> bool:
    # by columns: VarCorr's is a table of its own
    left, right = (dict(side.items()) if isinstance(side, pd.DataFrame) else side for side in (left, right))
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    first, second = (side.toarray() if sp.issparse(side) else np.asarray(side) for side in (left, right))
    if first.shape != second.shape or (isinstance(left, pd.Series) and not left.index.equals(right.index)):
        return False
    if first.dtype.kind not in "fiub" or second.dtype.kind not in "fiub":
        left, right = ([str(label) for label in side.ravel() if pd.notna(label)] for side in (first, second))
        return left == right and bool((pd.isna(first) == pd.isna(second)).all())  # a missing label is None or NaN
    size = float(np.abs(first[np.isfinite(first)]).max(initial=0.0))  # a bound of θ may be infinite
    return bool(np.allclose(first, second, rtol=0.0, atol=Match.CHAINED * size, equal_nan=True))
