"""What a planted fault is, and the registry of all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from validation.faults.bases import BaseFit

#: The kinds of comparison that must catch a fault.
Kind: TypeAlias = Literal["likelihood", "posterior", "anova", "results"]

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
    #: ``plant(base, size)`` -> wrong fit; ``size`` means nothing where ``sized`` is None
    plant: Callable[[BaseFit, float], object]
    kind: Kind = "likelihood"
    #: tags that a base model must, and must not, have for the fault to be one
    needs: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    sized: FaultSize | None = None

    def applies(self, tags: frozenset[str]) -> bool:
        """Whether a base model with these tags can have the fault."""
        return self.needs <= tags and not (self.without & tags)


#: Every fault that was registered, in the order of the files.
FAULTS: list[Fault] = []


def fault(
    number: int,
    name: str,
    expected: str,
    *,
    kind: Kind = "likelihood",
    needs: str = "",
    without: str = "",
    sized: FaultSize | None = None,
    of: Callable[[BaseFit], object] = lambda base: base,
) -> Callable[[FunctionT], FunctionT]:
    """Register a function as a fault: of a base, and of a size where it has one, it makes the wrong fit.

    Parameters
    ----------
    number, name, expected, kind, sized
        As of :class:`Fault`.
    needs, without : str
        Traits, separated by commas.
    of : callable
        What the function takes of the base.
    """

    def register(function: FunctionT) -> FunctionT:
        def plant(base: BaseFit, size: float) -> object:
            return function(of(base), size) if sized is not None else function(of(base))

        wanted, unwanted = (frozenset(filter(None, text.split(", "))) for text in (needs, without))
        FAULTS.append(Fault(number, name, expected, plant, kind, wanted, unwanted, sized))
        return function

    return register
