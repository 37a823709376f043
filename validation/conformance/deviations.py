"""Known deviations: a file that the third party keeps, in which an entry that no longer applies is an error.

A deviation says which numbers of which cases are known to differ, by how much at most, and why::

    [[deviation]]
    cases = ["M1-*", "M2-*"]
    quantity = "se"
    at_most = 3e-4
    reason = "numerical Hessian"

    [[deviation]]
    cases = "cake-*"
    error = "NotImplementedError"
    reason = "no interactions yet"

``quantity`` and ``check`` take one name or a list; ``at_most`` is in the unit of the comparison (the column ``scaled``
of the table). An entry is *stale* where nothing that it names deviates any more, and *too wide* where one of its cases
or quantities does not deviate, or where ``at_most`` is more than ten times what is seen.
"""

import fnmatch
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from validation.comparison import Row
from validation.files import FileError, read_bytes
from validation.tolerances import Multiple

if TYPE_CHECKING:
    from validation.conformance.run import Result


class DeviationError(ValueError):
    """The file of known deviations cannot be read, or an entry of it makes no sense."""


#: Bytes of the longest file, and dots of the longest key: nobody writes more by hand.
_MOST_BYTES, _MOST_DOTS = 1 << 24, 1000


@dataclass(frozen=True)
class Deviation:
    """One entry of the file."""

    number: int  # its place in the file, from 1
    cases: tuple[str, ...]  # names, with ``*`` and ``?``
    reason: str
    quantities: tuple[str, ...] = ()  # of the rows that are meant; any where there are none
    checks: tuple[str, ...] = ()  # the same
    error: str = ""  # name of the exception (``"*"`` for any) where the candidate raises
    at_most: float | None = None  # largest ``scaled`` difference that is known

    @property
    def title(self) -> str:
        """How messages call it."""
        what = self.error or ", ".join((*self.checks, *self.quantities))
        return f"entry {self.number} ({', '.join(self.cases)}: {what})"

    def covers_case(self, name: str) -> bool:
        """Whether a case's name matches."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.cases)

    def means(self, row: Row) -> bool:
        """Whether a row has failed and is of its quantities and checks."""
        own = row.quantity in (self.quantities or [row.quantity]) and row.check in (self.checks or [row.check])
        return row.verdict.failed and own and not self.error

    def covers_row(self, row: Row) -> bool:
        """Whether a row is one that is meant, and its difference no larger than known."""
        known = not math.isfinite(row.scaled) or (self.at_most is not None and row.scaled <= self.at_most)
        return self.means(row) and known

    def covers_error(self, kind: str) -> bool:
        """Whether an exception of the candidate, if any, is the one that is meant."""
        return bool(self.error and kind) and fnmatch.fnmatchcase(kind, self.error)


def read_deviations(path: str | Path) -> tuple[Deviation, ...]:
    """Read a file of known deviations."""
    try:
        written = read_bytes(Path(path), _MOST_BYTES)
    except FileNotFoundError:
        raise DeviationError(f"{path}: cannot be read: there is no such file") from None
    except FileError as error:
        raise DeviationError(str(error)) from None
    if any(line.partition(b"=")[0].count(b".") > _MOST_DOTS for line in written.splitlines()):
        raise DeviationError(f"{path}: has a key of more than {_MOST_DOTS} parts")  # tomllib takes their square
    try:
        content = tomllib.loads(written.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no UTF-8 and numbers of 5000 digits among them
        raise DeviationError(f"{path}: is not TOML: {error}") from None
    extra = sorted(content.keys() - {"deviation"})
    if extra:
        raise DeviationError(f"{path}: has {', '.join(extra)}; expected only entries [[deviation]]")
    entries = content.get("deviation", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DeviationError(f"{path}: write [[deviation]] (an array of entries), not [deviation]")
    return tuple(_read(path, number, entry) for number, entry in enumerate(entries, start=1))


_KEYS = {"cases", "reason", "quantity", "check", "error", "at_most"}


def _read(path: str | Path, number: int, entry: Mapping[str, object]) -> Deviation:
    place = f"{path}, entry {number}"
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise DeviationError(f"{place}: has the key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    cases, quantities, checks = (_list(place, key, entry.get(key)) for key in ("cases", "quantity", "check"))
    reason, error, at_most = entry.get("reason", ""), entry.get("error", ""), entry.get("at_most")
    if not cases:
        raise DeviationError(f'{place}: names no cases; write cases = "M1-ml" or cases = ["M1-*"]')
    if not isinstance(reason, str) or not reason.strip():
        raise DeviationError(f'{place}: gives no reason; write reason = "..."')
    if not isinstance(error, str):
        raise DeviationError(f"{place}: error is {error!r}; expected the name of an exception, or '*'")
    if bool(error) == bool(quantities or checks):
        raise DeviationError(
            f"{place}: write either quantity and check (which numbers differ) or error (what is raised)"
        )
    if at_most is not None and (not isinstance(at_most, int | float) or isinstance(at_most, bool) or not at_most > 0):
        raise DeviationError(f"{place}: at_most is {at_most!r}; expected a number above 0")
    return Deviation(
        number, cases, reason.strip(), quantities, checks, error, float(at_most) if at_most is not None else None
    )


def _list(place: str, key: str, value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(values, list) or not all(isinstance(item, str) and item for item in values):
        raise DeviationError(f"{place}: {key} is {value!r}; expected a name or a list of names")
    return tuple(values)


def problems_of(deviation: Deviation, results: Sequence["Result"], names: Collection[str]) -> list[str]:
    """What is wrong with an entry, given the results of the cases: stale, or too wide.

    An entry none of whose cases was judged is not judged itself, and one of which only some were is judged case by
    case; ``names`` are those of every case that could have been judged.
    """
    concerned = [result for result in results if result.judged and deviation.covers_case(result.case.name)]
    if not concerned:
        return [] if any(map(deviation.covers_case, names)) else [f"{deviation.title} names no case that there is"]
    hits: dict[str, bool] = {}
    rows: list[Row] = []
    for result in concerned:
        own = [r for r in result.rows if deviation.means(r)]
        hits[result.case.name] = bool(own) or deviation.covers_error(result.error.partition(":")[0])
        rows += own
    largest = max((r.scaled for r in rows if math.isfinite(r.scaled)), default=0.0)
    whole = {name for name in names if deviation.covers_case(name)} <= hits.keys()
    if whole and not any(hits.values()):
        return [f"{deviation.title} is stale: nothing that it names deviates any more; delete it"]
    problems = []
    fine = [case for case, hit in hits.items() if not hit]
    if fine:
        problems.append(f"{deviation.title} is too wide: {', '.join(fine)} does not deviate; name the cases that do")
    if not whole:
        return problems
    found = {name for r in rows for name in (r.quantity, r.check)}
    fine = [name for name in (*deviation.quantities, *deviation.checks) if name not in found]
    if fine:
        problems.append(f"{deviation.title} is too wide: {', '.join(fine)} does not deviate; leave it out")
    patterns = [p for p in deviation.cases if not any(fnmatch.fnmatchcase(case, p) for case in hits)]
    if patterns:
        problems.append(f"{deviation.title} names {', '.join(patterns)}, as no case is called")
    seen = f"the largest difference seen is {largest:.3g}"
    if largest > 0.0 and deviation.at_most is None:
        problems.append(f"{deviation.title} has no at_most; {seen}")
    elif deviation.at_most is not None and 0.0 < largest * Multiple.DECLARED < deviation.at_most:
        problems.append(f"{deviation.title} is too wide: at_most = {deviation.at_most:g}, but {seen}")
    elif deviation.at_most is not None and largest == 0.0:
        problems.append(f"{deviation.title} has an at_most, but what it names differs by no number; leave at_most out")
    return problems
