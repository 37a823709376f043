"""Where the command prints: nothing that a terminal would obey comes from people's data."""

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from r_scripts.escapes import visible


class VisibleConsole(Console):
    """A console that writes control characters in any text out; colours and moves of the cursor are its own.

    Where nobody's terminal says how wide it is (a log, a pipe), it has 100 columns.

    Parameters
    ----------
    options
        As of :class:`rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)
        if not (options.get("width") or os.environ.get("COLUMNS") or self.file.isatty()):
            self.width = 100

    def say(self, text: str | Text, style: str = "") -> None:
        """Print text as it is: it is no markup, and has no line breaks but its own."""
        self.print(Text(text) if isinstance(text, str) else text, style=style, soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as :meth:`rich.console.Console.render` does, and write out what a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
