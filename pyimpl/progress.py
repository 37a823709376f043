"""Progress: a bar on a terminal, and one in a notebook that needs no widgets."""

import html
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

__all__ = ["Bar", "in_notebook", "progress_bar", "with_bar"]

_T = TypeVar("_T")
_EVERY = 0.1  # seconds between two pictures of a bar


class Bar(Protocol):
    """What shows how far some work is."""

    def advance(self, size: float = 1.0) -> None:
        """So much more is done."""

    def describe(self, text: str, share: float | None = None) -> None:
        """What is being done now, and which share of all is done."""


class _Silent:
    def advance(self, size: float = 1.0) -> None:
        pass

    def describe(self, text: str, share: float | None = None) -> None:
        pass


class _Terminal:
    def __init__(self, what: str, total: float | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self.what = what
        self.bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bars.add_task(what, total=total)
        self.bars.start()

    def advance(self, size: float = 1.0) -> None:
        self.bars.advance(self.task, size)

    def describe(self, text: str, share: float | None = None) -> None:
        self.bars.update(self.task, description=f"{self.what}: {text}")
        if share is not None:
            self.bars.update(self.task, total=1.0, completed=min(max(share, 0.0), 1.0))

    def close(self) -> None:
        self.bars.stop()


class _Notebook:
    """HTML's own ``<progress>``, drawn again in its place: no ipywidgets, and nothing is left when the work is done."""

    def __init__(self, what: str, total: float | None) -> None:
        from IPython.display import HTML, display

        self.html = HTML
        self.what, self.total, self.done, self.text = what, total, 0.0, ""
        self.began = time.monotonic()
        self.last = self.began
        self.handle = display(HTML(self._drawn()), display_id=True)

    def _drawn(self) -> str:
        share = "" if not self.total else f' value="{min(1.0, self.done / self.total):.4f}"'
        percent = "" if not self.total else f"{100 * min(1.0, self.done / self.total):.0f}%, "
        text = html.escape(f"{self.what}: {self.text}" if self.text else self.what)
        seconds = time.monotonic() - self.began
        return (
            f'<div style="max-width:800px;font:13px sans-serif"><progress{share} style="width:16em;'
            f'vertical-align:middle"></progress> {text} ({percent}{seconds:.0f} s)</div>'
        )

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self.last >= _EVERY and self.handle is not None:
            self.last = now
            self.handle.update(self.html(self._drawn()))

    def advance(self, size: float = 1.0) -> None:
        self.done += size
        self._draw()

    def describe(self, text: str, share: float | None = None) -> None:
        self.text = text
        if share is not None:
            self.total, self.done = 1.0, share
        self._draw()

    def close(self) -> None:
        if self.handle is not None:
            self.handle.update(self.html(""))


def in_notebook() -> bool:
    """Whether cells of a notebook show what is displayed: IPython runs as a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextmanager
def progress_bar(what: str, total: float | None = None, *, shown: bool = True) -> Iterator[Bar]:
    """Show a bar while the block runs, where it is wanted.

    Parameters
    ----------
    what : str
        What is being done.
    total : float, optional
        How much there is of it; not known when not given.
    shown : bool
        Whether a bar is wanted.
    """
    if not shown:
        yield _Silent()
        return
    bar = _Notebook(what, total) if in_notebook() else _Terminal(what, total)
    try:
        yield bar
    finally:
        bar.close()


def with_bar(what: str, pieces: Iterable[_T], sizes: Sequence[float], *, shown: bool = True) -> Iterator[_T]:
    """Yield the pieces, and move a bar by the size of each as it is done with.

    Parameters
    ----------
    what : str
    pieces : iterable
    sizes : sequence of float
        Of each piece.
    shown : bool
    """
    with progress_bar(what, sum(sizes), shown=shown) as bar:
        for piece, size in zip(pieces, sizes, strict=True):
            yield piece
            bar.advance(size)
