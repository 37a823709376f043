"""What will take minutes, or more memory than there is, says so or is refused before it starts."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.linalg.memory import in_words, memory
from r_scripts.caller import warn

__all__ = ["Forecast", "foretold", "in_time", "refuse_too_large"]

T = TypeVar("T")

#: Seconds from which work is long: it says so.
LONG = 60.0
#: Seconds after which the time that repeated work takes is taken to be known.
KNOWN = 1.0


def in_time(seconds: float) -> str:
    """Seconds as minutes, hours or days, for a message."""
    for limit, size, unit in ((5400.0, 60.0, "minutes"), (172800.0, 3600.0, "hours"), (float("inf"), 86400.0, "days")):
        if seconds < limit:
            return f"{max(1.0, seconds / size):.0f} {unit}"
    raise AssertionError


class Forecast:
    """How long repeated work will take, said once as soon as its first pieces tell.

    Parameters
    ----------
    work : str
        What is done, such as ``"bootMer"``.
    total : int
        How many pieces it has.
    piece : str
        What a piece is, such as ``"refits"``.
    advice : str
        What to do instead.
    each : float, optional
        Seconds of a piece, where they are known: then it is said at once.
    """

    def __init__(self, work: str, total: int, piece: str, advice: str = "", each: float | None = None) -> None:
        self.work, self.total, self.piece, self.advice = work, total, piece, advice
        self.said = False
        self.finished = 0
        self.begun = time.perf_counter()
        if each is not None:
            self._say(each * total, each)

    def _say(self, left: float, each: float) -> None:
        if left > LONG and not self.said:
            self.said = True
            more, advice = " more" if self.finished else "", f". {self.advice}" if self.advice else ""
            warn(
                f"{self.work} may take about {in_time(left)}{more}: {self.total} {self.piece} of {each:.2g} s{advice}",
                PyimplWarning,
            )

    def done(self, count: int = 1) -> None:
        """Note that so many further pieces are done."""
        self.finished += count
        spent = time.perf_counter() - self.begun
        if not self.said and spent > KNOWN:
            each = spent / self.finished
            self._say(each * (self.total - self.finished), each)


def foretold(pieces: Iterable[T], sizes: Sequence[int], forecast: Forecast) -> Iterator[T]:
    """Yield what comes, each made up of so many pieces, and let the forecast know."""
    for piece, size in zip(pieces, sizes, strict=True):
        yield piece
        forecast.done(size)


def refuse_too_large(numbers: float, what: str, advice: str) -> None:
    """Refuse an array of so many numbers of eight bytes that the machine's memory cannot hold.

    Raises
    ------
    ModelError
    """
    if 8 * numbers > memory():
        raise ModelError(
            f"{what} need {in_words(8 * numbers)} of memory, and the machine has {in_words(memory())} for it. {advice}"
        )
