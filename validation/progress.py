"""Progress of long work: a live line on a terminal, plain lines in a log, nothing when asked for quiet."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from validation.console import VisibleConsole
from validation.report.wording import shorten

#: What Stan prints while it samples: ``Chain 2: Iteration:  400 / 2000 [ 20%]  (Warmup)``.
_STAN = re.compile(r"Chain\s+(\d+).*?Iteration:\s*(\d+)\s*/\s*(\d+)")

#: What else Stan says about a chain: nothing that tells how far it is.
_CHAIN_TALK = re.compile(r"Chain\s+\d+:(?!.*Iteration:).*")

#: Seconds of silence after which a log hears that the work goes on.
_HEARTBEAT = 20.0


class Tracker:
    """Follows several pieces of work one after the other, and shows nothing.

    Attributes
    ----------
    total : int
        How many pieces there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.number = 0
        self._chains: dict[int, float] = {}

    def start(self, title: str) -> None:
        """Begin the next piece; one that was begun before ends."""
        self.finish()
        self.number += 1
        self._chains = {}
        self._begin(title)

    def finish(self) -> None:
        """End the piece."""

    def close(self) -> None:
        """No more pieces."""
        self.finish()

    def __call__(self, message: str = "", fraction: float | None = None, **more: Any) -> None:
        """Take a report from the work: a message, how far it is (0 to 1); Stan's own lines become a fraction."""
        text = " ".join(str(message).split())
        if _CHAIN_TALK.fullmatch(text):
            return
        stan = _STAN.search(text)
        if stan:
            chain, at, of = (int(part) for part in stan.groups())
            self._chains[chain] = at / max(of, 1)
            fraction = chain_fraction(self._chains, more.get("chains"))
            text = f"sampling: chain {chain}, iteration {at} of {of}"
        if text or fraction is not None:
            self._show(text, fraction)

    def _begin(self, title: str) -> None:
        pass

    def _show(self, text: str, fraction: float | None) -> None:
        pass


def chain_fraction(chains: dict[int, float], expected: int | None = None) -> float:
    """How far the sampling is, from the fractions of its chains; chains not yet heard of count as not begun.

    Where it is not known how many are expected, there are Stan's default of 4.
    """
    count = max(expected or 4, *chains, 1) if chains else expected or 4
    return min(1.0, sum(chains.values()) / count)


class _Terminal(Tracker):
    """A line that is drawn again and again; it leaves nothing behind."""

    def __init__(self, total: int, console: Console) -> None:
        super().__init__(total)
        # "line" is the spinner that any terminal can show.
        self._bars = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=8,
        )
        self._task: TaskID | None = None
        # What is left beside spinner, bar, percentage and time; half for the title, half for what is being done.
        self._room = max(8, (console.width - 2 - 12 - 5 - 8 - 6) // 2)

    def _begin(self, title: str) -> None:
        name = shorten(f"[{self.number}/{self.total}] {title}", self._room)
        self._task = self._bars.add_task(name, total=None, note="")
        self._bars.start()

    def _show(self, text: str, fraction: float | None) -> None:
        if self._task is None:
            return
        self._bars.update(self._task, note=shorten(text, self._room))
        if fraction is not None:
            self._bars.update(self._task, total=1.0, completed=min(max(fraction, 0.0), 1.0))

    def finish(self) -> None:
        if self._task is not None:
            self._bars.stop()
            self._bars.remove_task(self._task)
            self._task = None


class _Log(Tracker):
    """Plain lines, few of them: the start of each piece, and a sign of life when nothing else is said."""

    def __init__(self, total: int, console: Console) -> None:
        super().__init__(total)
        self._console = console
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._last = 0.0
        self._note = ""

    def _begin(self, title: str) -> None:
        self._print(f"[{self.number}/{self.total}] {title}")
        self._note = ""
        began = self._last = time.monotonic()
        self._done = done = threading.Event()

        def beat() -> None:
            while not done.wait(_HEARTBEAT / 4):
                now = time.monotonic()
                if now - self._last >= _HEARTBEAT:
                    self._last = now
                    note = f": {self._note}" if self._note else ""
                    self._print(f"    {now - began:.0f} s{note}")

        self._thread = threading.Thread(target=beat, name="mlmparity-progress", daemon=True)
        self._thread.start()

    def _show(self, text: str, fraction: float | None) -> None:
        done = "" if fraction is None else f" ({100 * fraction:.0f}%)"
        self._note = text + done

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
            self._thread = None


@contextmanager
def tracker(total: int, *, quiet: bool = False, console: Console | None = None) -> Iterator[Tracker]:
    """A tracker of so many pieces of work, fit for where the output goes: standard error, or another console."""
    console = console or VisibleConsole(stderr=True)
    made: Tracker
    if quiet:
        made = Tracker(total)
    elif console.is_terminal and not console.is_dumb_terminal:
        made = _Terminal(total, console)
    else:
        made = _Log(total, console)
    try:
        yield made
    finally:
        made.close()
