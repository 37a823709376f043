"""One value of R beside Python's: its numbers, in pairs, and how far each may be from the other."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from validation.migrate.values import Labelled, column_of, summed_up
from validation.tolerances import MIGRATED_VALUE

__all__ = ["Compared", "Row", "close", "compare_values", "limit_of_value", "of_one_kind", "paired"]

#: Columns that hold p-values.
_OF_P = ("p.value", "p-value", "p_value", "p.adjust")


@dataclass(frozen=True)
class Row:
    """One number: its label, R's, Python's, the largest difference that agrees, and whether it does."""

    label: str
    r: float
    python: float
    limit: float
    agrees: bool


@dataclass
class Compared:
    """One value of a watched call.

    Attributes
    ----------
    statement, line, site : int
    name : str
        R's function.
    occurrence : int
        In a loop, the how-manieth time, from 0.
    verdict : str
        ``agrees``, ``disagrees``, ``not compared``.
    why : str
    rows : list of Row
    what : str
        ``model``, ``value`` of a watched call, ``shown`` by a statement, or ``variable`` after it.
    file : str
        The file of the line, where it is not the script's own.
    texts : int
        How many texts were compared.
    random : bool
        Whether it is computed from random numbers.
    summed : bool
        Whether it is draws, and their columns' moments and quantiles were compared.
    """

    statement: int
    line: int
    site: int
    name: str
    occurrence: int
    verdict: str
    why: str = ""
    rows: list[Row] = field(default_factory=list)
    what: str = "value"
    file: str = ""
    texts: int = 0
    random: bool = False
    summed: bool = False

    @property
    def title(self) -> str:
        """Its name in the report: a function's with ``()``."""
        return f"{self.name}()" if self.what in ("model", "value") else self.name

    @property
    def parts(self) -> str:
        """What was compared of it."""
        numbers, texts = len(self.rows), self.texts
        words = [f"{numbers} number{'' if numbers == 1 else 's'}"] if numbers or not texts else []
        return " and ".join([*words, *([f"{texts} text{'' if texts == 1 else 's'}"] if texts else [])])

    def settle(self) -> None:
        """What was not compared has not agreed."""
        if self.verdict == "agrees" and not self.rows and not self.texts:
            self.verdict, self.why = "not compared", self.why or "nothing in it was compared"


def paired(r: Labelled, python: Labelled) -> "list[tuple[str, float, float]] | None":
    """Numbers that belong together: by their labels, else by their order where there are as many.

    What R has no labels for (a vector without names) goes by its order, whatever Python calls its elements.
    """
    theirs = dict(python.numbers)
    labels = [label for label, _ in r.numbers]
    several = len(theirs) == len(python.numbers) and len(set(labels)) == len(labels)
    same = len(r.numbers) == len(python.numbers)
    if several and set(labels) <= set(theirs) and not (r.unnamed and same):
        return [(label, value, theirs[label]) for label, value in r.numbers]
    if not same and python.numbers:  # what Python gives besides R's columns is left
        columns = {column_of(label) for label in labels}
        mine = [(label, value) for label, value in python.numbers if column_of(label) in columns]
        if "" not in columns and len(mine) == len(r.numbers):
            return [(label, value, other) for (label, value), (_, other) in zip(r.numbers, mine, strict=True)]
    if same:
        return [(label, value, other) for (label, value), (_, other) in zip(r.numbers, python.numbers, strict=True)]
    return None


def of_one_kind(r: Labelled, python: Labelled) -> tuple[Labelled, Labelled]:
    """Both by their columns' moments and quantiles, where one of them was too large to be kept otherwise."""
    return (summed_up(r), summed_up(python)) if r.summed or python.summed else (r, python)


def compare_values(one: Compared, r: Labelled, python: Labelled, share: float, *, modes: bool, least: float) -> None:
    """Compare numbers, each by the tolerance of its column, and texts.

    Parameters
    ----------
    one : Compared
        Gets rows, verdict and reason.
    r, python : Labelled
    share : float
        The tolerance, relative to a value.
    modes : bool
        Whether they are conditional modes (BLUPs).
    least : float
        How far numbers may differ that are 0 but for rounding.
    """
    if r.other and not r.numbers:
        one.verdict, one.why = "not compared", f"R's value is of class {r.other}: it holds no plain numbers"
        return
    r, python = of_one_kind(r, python)
    one.summed = r.summed
    pairs = paired(r, python)
    if pairs is None:
        one.verdict = "disagrees"
        one.why = f"R gives {len(r.numbers)} numbers, Python {len(python.numbers)} {python.other}".rstrip()
        return
    _compare_texts(one, r, python)
    if not pairs:
        if not r.texts:
            one.verdict, one.why = "not compared", "no numbers in it"
        return
    largest: dict[str, float] = {}
    for label, a, _ in pairs:
        if math.isfinite(a):
            largest[column_of(label)] = max(largest.get(column_of(label), 0.0), abs(a))
    errors = _errors_of_intervals(r)
    for label, a, b in pairs:
        limit = limit_of_value(label, a, largest, share, modes=modes)
        if math.isfinite(a):
            limit = max(limit, least, share * errors.get(label, 0.0))
        one.rows.append(Row(label, a, b, limit, close(a, b, limit)))
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"


#: What the ends of an interval are called.
_ENDS = (
    ("lower", "upper"),
    ("lo", "hi"),
    ("lwr", "upr"),
    ("low", "high"),
    ("conf.low", "conf.high"),
    ("lower.CL", "upper.CL"),
    ("asymp.LCL", "asymp.UCL"),
    ("2.5 %", "97.5 %"),
    ("5 %", "95 %"),
)


def _errors_of_intervals(value: Labelled) -> dict[str, float]:
    """Of each end of an interval a quarter of its width, about a standard error: an end near 0 is known no better."""
    numbers = dict(value.numbers)
    found = {}
    for label, lower in value.numbers:
        row, between, column = label.rpartition(" · ")
        for one, other in _ENDS:
            upper = numbers.get(f"{row}{between}{other}", math.nan) if column == one else math.nan
            if math.isfinite(lower) and math.isfinite(upper):
                found[label] = found[f"{row}{between}{other}"] = abs(upper - lower) / 4.0
    return found


def _compare_texts(one: Compared, r: Labelled, python: Labelled) -> None:
    """Texts in their order, where both sides have as many."""
    theirs, ours = [text for _, text in r.texts], [text for _, text in python.texts]
    if not theirs or (r.numbers and len(theirs) != len(ours)):
        return
    one.texts = len(theirs)
    if theirs != ours:
        one.verdict = "disagrees"
        first = next((pair for pair in zip(theirs, ours, strict=False) if pair[0] != pair[1]), None)
        one.why = (
            f"a text: R {first[0]!r}, Python {first[1]!r}"
            if first
            else f"R has {len(theirs)} texts, Python {len(ours)}"
        )


def limit_of_value(
    label: str,
    a: float,
    largest: Mapping[str, float],
    share: float = MIGRATED_VALUE.limit,
    *,
    modes: bool = False,
) -> float:
    """How far a number may be from R's: a share of it, or of the largest in its column; of p, by its logarithm."""
    column = column_of(label)
    if "Pr(" in column or column in _OF_P:
        # p is about exp(-t²/2): a relative change of t moves log p by twice that share of it
        return 2.0 * share * a * max(1.0, abs(math.log(a))) if a > 0 else 1e-300
    scale = 1.0 if modes else 0.1
    return share * max(abs(a), scale * largest.get(column, 0.0)) if math.isfinite(a) else 0.0


def close(a: float, b: float, limit: float) -> bool:
    """Whether two numbers agree; missing ones with missing ones alone."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= limit
