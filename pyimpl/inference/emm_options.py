"""What may be asked of a grid of estimates: tests, intervals, the scale that they are shown on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from pyimpl.arguments import Share
from pyimpl.errors import DataError
from pyimpl.inference.contrast_families import ContrastOptions

__all__ = ["ContrastArguments", "HypothesisOptions", "ShownOptions", "Tests", "both_of", "tail_of"]


class HypothesisOptions(TypedDict, total=False):
    """How estimates are tested.

    Attributes
    ----------
    side : {0, -1, 1} or {"two-sided", "<", ">"}
    delta : float
        Threshold of a test of equivalence (`side` 0), noninferiority (1) or nonsuperiority (−1).
    cross_adjust : str
        Adjustment of p values across the groups of the `by` variables, after that within each: ``"sidak"``,
        ``"bonferroni"``, ``"holm"``, ...
    frequentist : bool
        Of a posterior: z tests and intervals of its means and standard deviations, in place of HPD intervals.
    """

    side: str | int
    delta: float
    cross_adjust: str
    frequentist: bool


class ShownOptions(TypedDict, total=False):
    """What is shown beside estimates.

    Attributes
    ----------
    infer : bool or (bool, bool)
        Whether intervals, and tests, are shown.
    level : float
        Of the intervals.
    type : {"link", "response"}
        The scale.
    """

    infer: bool | tuple[bool, bool]
    level: Share
    type: str


class ContrastArguments(ContrastOptions, ShownOptions, total=False):
    """Arguments of :meth:`EmmGrid.contrast` after `name`: of the family, and what is shown."""


@dataclass(frozen=True)
class Tests:
    """:class:`HypothesisOptions` with their defaults."""

    side: str | int = 0
    delta: float = 0.0
    cross_adjust: str = "none"
    frequentist: bool = False


def both_of(infer: bool | Sequence[bool]) -> tuple[bool, bool]:
    """Whether intervals, and tests, are shown."""
    both = (infer, infer) if isinstance(infer, bool) else tuple(infer)
    if len(both) != 2 or not all(isinstance(one, (bool, np.bool_)) for one in both):
        raise DataError(f"infer is True, False, or one of them for intervals and one for tests, not {infer!r}")
    return bool(both[0]), bool(both[1])


_SIDES = {
    **dict.fromkeys(("0", "2", "both", "two-sided", "equivalence", "!=", "="), 0),
    **dict.fromkeys(("-1", "left", "<", "nonsuperiority", "inferiority"), -1),
    **dict.fromkeys(("1", "+1", "right", ">", "noninferiority", "superiority"), 1),
}


def tail_of(side: str | int) -> int:
    """-1, 0 or 1 of emmeans' words for the side of a test."""
    if str(side) not in _SIDES:
        raise DataError(f"side is 0, -1 or 1, or 'two-sided', '<' or '>', not {side!r}")
    return _SIDES[str(side)]
