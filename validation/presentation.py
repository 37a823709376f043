"""How a comparison is shown: the place where :mod:`validation.report` says it, and where a comparison asks.

A comparison knows nothing of pages; the report knows comparisons. So the report registers itself here when the package
is imported, and no module below it imports it.
"""

from typing import Any, Protocol, TypeVar

__all__ = ["Presenter", "present_by", "presenter"]

Shown = TypeVar("Shown", contravariant=True)


class Presenter(Protocol[Shown]):
    """What shows a comparison."""

    def page(self, comparison: Shown) -> str:
        """As one self-contained HTML page."""

    def data(self, comparison: Shown) -> str:
        """As JSON."""

    def fragment(self, comparison: Shown) -> str:
        """As HTML for a notebook."""

    def text(self, comparison: Shown) -> str:
        """As text for a terminal."""


_registered: list[Presenter[Any]] = []


def present_by(new: Presenter[Any]) -> None:
    """Show comparisons by this presenter from now on."""
    _registered[:] = [new]


def presenter() -> Presenter[Any]:
    """What shows comparisons."""
    return _registered[0]
