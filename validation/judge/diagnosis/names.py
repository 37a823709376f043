"""Row 8 of AGREEMENT.md's table: the same numbers under other names."""

import math
from typing import TypeAlias

import pandas as pd

from validation.judge.diagnosis import assume
from validation.judge.evidence import Evidence
from validation.owndata import some
from validation.quantities import records
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding

#: The places where names stand: what they name, the column of the joined table, and the quantities that carry a value
#: under each of them. A name's numbers are found again by the other columns.
_SPACES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coefficient", "term", ("fixef", "se", "t")),
    ("grouping factor", "group", ("sd", "variance", "ranef", "condsd")),
    ("random effect", "term", ("sd", "variance", "ranef", "condsd")),
    ("level", "level", ("ranef", "condsd")),
)


def other_names(evidence: Evidence) -> Cause | None:
    """Names on one side only whose numbers are all there on the other side, under names that it alone has."""
    found: dict[str, str] = {}
    agreeing = 0
    for what, column, quantities in _SPACES:
        rows = evidence.rows(*quantities)
        rows = rows[rows["group"] != "Residual"]
        pairs, numbers = _renamed(rows, column)
        if pairs:
            found[what] = some([f"{theirs!r} is R's {ours!r}" for ours, theirs in pairs], 3)
            agreeing += numbers
    assume(found)
    shown = "; ".join(f"{what} {names}" for what, names in found.items())
    return Finding(8, "other-names", Strength.LISTED).told(
        "The candidate has the same numbers under other names",
        f"{shown}. Under these names {agreeing} numbers agree to four digits or more",
        "Return R's names: '(Intercept)', a factor's level behind its name ('genderM'), 'a:b' for an interaction, and "
        "each level as it is written in the data. What stands under another name counts as missing.",
    )


def _renamed(rows: pd.DataFrame, column: str) -> tuple[list[tuple[str, str]], int]:
    """Pairs (the reference's name, the candidate's) in one column, and how many numbers speak for them.

    Every name that only one side has must find its partner, one to one, by all its numbers: then nothing is missing,
    it is called otherwise.
    """
    ours, theirs = (_numbers(rows, column, side) for side in ("reference", "candidate"))
    alone, others = set(ours) - set(theirs), set(theirs) - set(ours)
    if not alone or len(alone) != len(others):
        return [], 0
    pairs: list[tuple[str, str]] = []
    agreeing = 0
    for name in [name for name in ours if name in alone]:  # in the order of R
        fitting = {other: count for other in sorted(others) if (count := _agree(ours[name], theirs[other])) > 0}
        if len(fitting) != 1:
            return [], 0  # none, or several that can't be told apart
        ((other, count),) = fitting.items()
        others.remove(other)
        pairs.append((name, other))
        agreeing += count
    return pairs, agreeing


_Numbers: TypeAlias = dict[str, dict[tuple[str, ...], float]]


def _numbers(rows: pd.DataFrame, column: str, side: str) -> dict[str, _Numbers]:
    """Name → quantity → its numbers on one side, by what else they belong to."""
    others = [other for other in ("group", "term", "level") if other != column]
    found: dict[str, _Numbers] = {}
    for record in records(rows[rows[f"has_{side}"]]):
        if record[column] is not None and math.isfinite(record[side]):
            key = tuple(str(record[other]) for other in others)
            found.setdefault(str(record[column]), {}).setdefault(record["quantity"], {})[key] = float(record[side])
    return found


def _agree(ours: _Numbers, theirs: _Numbers) -> int:
    """How many numbers two names share; 0 where any that both have differs, or where none tells."""
    count = 0
    for quantity in ours.keys() & theirs.keys():  # what is not given at all is told by another cause
        left, right = ours[quantity], theirs[quantity]
        if len(left) != len(right):
            return 0
        # Where other names differ as well (a group and its effects), numbers are paired in their order.
        keys = list(left) if left.keys() == right.keys() else list(right)
        pairs = list(zip(left.values(), (right[key] for key in keys), strict=True))
        size = max(abs(a) for a, _ in pairs)
        if size == 0.0 or any(abs(a - b) > Match.FOLLOWS * size for a, b in pairs):
            return 0
        count += len(pairs)
    return count
