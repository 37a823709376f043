"""Progress of long work: a live line on a terminal, plain lines in a log, nothing when asked for quiet."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from validation.console import VisibleConsole
from validation.report.wording import shorten

#: What Stan prints while it samples: ``Chain 2: Iteration:  400 / 2000 [ 20%]  (Warmup)``.
_STAN = re.compile(r"Chain\s+(\d+).*?Iteration:\s*(\d+)\s*/\s*(\d+)")

#: Seconds after which a log hears again that a piece of work goes on.
_HEARTBEAT = 20.0


class Tracker:
    """Follows several pieces of work one after the other: shows a live line, or logs a few, or nothing.

    Parameters
    ----------
    total : int
        How many pieces there are.
    console : rich.console.Console
        Where it is shown. A terminal has a line that is drawn again and again and leaves nothing behind; what is none
        gets the start of each piece, and a sign of life where it takes long; a quiet one shows nothing.
    """

    def __init__(self, total: int, console: Console) -> None:
        self.total = total
        self._console = console
        self._number = 0
        self._chains: dict[int, float] = {}
        self._note = ""
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        # What is left beside spinner, bar, percentage and time; half for the title, half for what is being done.
        self._room = max(8, (console.width - 2 - 12 - 5 - 8 - 6) // 2)
        self._bars = Progress(
            SpinnerColumn("line"),  # which any terminal can show
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=8,
            disable=console.quiet or not console.is_terminal or console.is_dumb_terminal,
        )

    def start(self, title: str) -> None:
        """Begin the next piece; one that was begun before ends."""
        self.finish()
        self._number += 1
        self._chains, self._note = {}, ""
        named = f"[{self._number}/{self.total}] {title}"
        self._bars.add_task(shorten(named, self._room), total=None, note="")
        if not self._bars.disable:
            self._bars.start()
        elif not self._console.quiet:
            self._print(named)
            self._done = threading.Event()
            self._thread = threading.Thread(
                target=self._beat, args=[self._done], name="mlmparity-progress", daemon=True
            )
            self._thread.start()

    def finish(self) -> None:
        """End the piece."""
        for task in self._bars.task_ids:
            if not self._bars.disable:
                self._bars.stop()
            self._bars.remove_task(task)
        if self._thread is not None:
            self._done.set()
            self._thread.join(timeout=1.0)
            self._thread = None

    def __call__(self, message: str = "", fraction: float | None = None, **more: Any) -> None:
        """Take a report from the work: a message, how far it is (0 to 1); Stan's own lines become a fraction."""
        text = " ".join(str(message).split())
        if stan := _STAN.search(text):
            chain, at, of = (int(part) for part in stan.groups())
            self._chains[chain] = at / max(of, 1)
            fraction = chain_fraction(self._chains, more.get("chains"))
            text = f"sampling: chain {chain}, iteration {at} of {of}"
        elif re.match(r"Chain \d+:", text) or (not text and fraction is None):
            return  # what else Stan says about a chain does not tell how far it is
        self._note = text if fraction is None else f"{text} ({100 * fraction:.0f}%)"
        for task in self._bars.task_ids:
            self._bars.update(task, note=shorten(text, self._room))
            if fraction is not None:
                self._bars.update(task, total=1.0, completed=min(max(fraction, 0.0), 1.0))

    def _beat(self, done: threading.Event) -> None:
        began = time.monotonic()
        while not done.wait(_HEARTBEAT):
            note = f": {self._note}" if self._note else ""
            self._print(f"    {time.monotonic() - began:.0f} s{note}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def chain_fraction(chains: dict[int, float], expected: int | None = None) -> float:
    """How far the sampling is, from the fractions of its chains; chains not yet heard of count as not begun.

    Where it is not known how many are expected, there are Stan's default of 4.
    """
    return min(1.0, sum(chains.values()) / max(expected or 4, *chains, 1))


@contextmanager
def tracker(total: int, *, quiet: bool = False, console: Console | None = None) -> Iterator[Tracker]:
    """A tracker of so many pieces of work: shown on standard error, or another console, or not at all."""
    made = Tracker(total, VisibleConsole(quiet=True) if quiet else console or VisibleConsole(stderr=True))
    try:
        yield made
    finally:
        made.finish()
