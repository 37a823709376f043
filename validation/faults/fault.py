"""What a planted fault is, and the registry of all of them."""

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from validation.faults.bases import BASES, tags_in

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
    #: tags that a base model must, and must not, have for the fault to be one
    needs: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    sized: FaultSize | None = None

    def applies(self, tags: frozenset[str]) -> bool:
        """Whether a base model with these tags can have the fault."""
        return self.needs <= tags and not (self.without & tags)

    def plant(self, base: object, size: float | None = None) -> object:
        """The wrong fit of a base; of its usual size where none is given, and none matters where it is not sized."""
        if self.sized is None:
            return self.make(base)
        return self.make(base, self.sized.planted if size is None else size)


#: Every fault, by the kind of comparison that must catch it, in the order of AGREEMENT.md's table.
FAULTS: dict[str, list[Fault]] = {kind: [] for kind in BASES}


def fault(
    number: int,
    name: str,
    expected: str,
    *,
    kind: str = "likelihood",
    needs: str = "",
    without: str = "",
    sized: FaultSize | None = None,
    how: Callable[..., object] | None = None,
) -> Callable[[FunctionT], FunctionT]:
    """Register a function as a fault: of a base, and of a size where it has one, it makes the wrong fit.

    Parameters
    ----------
    number, name, expected, kind, sized
        As of :class:`Fault`.
    needs, without : str
        Tags, separated by commas.
    how : callable
        Where the function only says what changes: ``how(function, base)``, or with a size, makes the wrong fit.
    """

    def register(function: FunctionT) -> FunctionT:
        make = function if how is None else partial(how, function)
        new = Fault(number, name, expected, make, kind, tags_in(needs), tags_in(without), sized)
        insort(FAULTS[kind], new, key=lambda known: known.number)
        return function

    return register
