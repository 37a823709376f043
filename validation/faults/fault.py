"""What a planted fault is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Fault", "Sized"]


@dataclass(frozen=True)
class Sized:
    """How large a fault is.

    Attributes
    ----------
    planted : float
        The size at which it is planted.
    least : float
        Where the search for the smallest size that is still caught ends.
    unit : str
        What the size is, in words.
    """

    planted: float
    least: float
    unit: str


@dataclass(frozen=True)
class Fault:
    """A way of being wrong that people really met, to be planted into a right fit.

    Attributes
    ----------
    number : int
        Row of AGREEMENT.md's table.
    name : str
        For a reader.
    expected : str
        ``Cause.name`` that must come first.
    plant : callable
        ``plant(base, size)`` -> wrong fit; ``size`` means nothing where ``sized`` is None.
    kind : {"likelihood", "posterior", "anova", "results"}
    needs, without : frozenset of str
        Traits that a base model must, and must not, have for the fault to be one.
    sized : Sized, optional
    """

    number: int
    name: str
    expected: str
    plant: Callable[[Any, float], Any]
    kind: Literal["likelihood", "posterior", "anova", "results"] = "likelihood"
    needs: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    sized: Sized | None = None

    def applies(self, traits: frozenset[str]) -> bool:
        """Whether a base model with these traits can have the fault."""
        return self.needs <= traits and not (self.without & traits)
