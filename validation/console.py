"""Where the command prints: nothing that a terminal would obey comes from people's data."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from r_scripts.escapes import visible


class VisibleConsole(Console):
    """A console that writes control characters in any text out; colours and moves of the cursor are its own.

    Parameters
    ----------
    options
        As of :class:`rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as :meth:`rich.console.Console.render` does, and write out what a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
