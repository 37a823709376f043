"""A difference that a version explains: named as that, with both versions, where undoing the change gives the numbers.

The verdict stays what it is; the cause says that neither side is wrong, but that they speak of two releases.
"""

import math
import re
from collections.abc import Mapping, Sequence

from r_scripts.dialect import CHANGES, Dialect, changes_between
from validation.comparison import Side
from validation.contract import LinearMixedFit
from validation.judge.rows import Row
from validation.quantities import quietly
from validation.references.provenance import dialect_of
from validation.tolerances import Match
from validation.verdict import Cause, Verdict

#: Rows that compare lists of labels: what they compared is read again from both fits.
_LABELS = frozenset({"theta-names", "levels", "membership"})


def dialect_of_side(side: Side) -> Dialect | None:
    """The versions that a side speaks of: R's own; of a candidate its dialect, the newest where it names none.

    None of a reference that does not tell its versions.
    """
    told = side.provenance.get("dialect")
    if isinstance(told, Mapping | str):
        return quietly(lambda: Dialect.of(told), None)
    found = dialect_of(side.provenance)
    return found if side.kind in ("live-r", "recorded-r") else found or Dialect.of(None)


def version_cause(
    rows: Sequence[Row], reference: Side, candidate: Side, fits: tuple[LinearMixedFit, LinearMixedFit]
) -> Cause | None:
    """The change between the versions of both sides that explains every failed row; None where none does.

    Rows that compared labels are read again from the fits, the reference's and the candidate's.
    """
    left, right = dialect_of_side(reference), dialect_of_side(candidate)
    failed = [row for row in rows if row.verdict.failed]
    if left is None or right is None or not failed or "reformulas" not in changes_between(left, right):
        return None
    labels = [row for row in failed if row.quantity in _LABELS]
    others = [row for row in failed if row.quantity not in _LABELS]
    if not (_only_parentheses(others) and all(_same_labels(row.quantity, row.group, fits) for row in labels)):
        return None
    change = CHANGES["reformulas"]
    versions = [side.versions[change.package] for side in (left, right)]
    return Cause(
        12,
        "another-version",
        f"The reference speaks as {change.package} {versions[0]}, the candidate as {change.package} {versions[1]}",
        f"since {change.package} {change.since} {change.what} ({change.source}); with the names of one release all "
        f"{len(failed)} rows are equal",
        f"Nothing is wrong with either: compare with the same release, or fit with dialect={versions[0]!r}.",
    )


def _only_parentheses(failed: Sequence[Row]) -> bool:
    """Whether every failed row is a name with parentheses about it, and has its number under the other name."""

    def key(row: Row) -> tuple[object, ...]:
        return tuple(_bare(part) if isinstance(part, str) else part for part in row.key)

    missing = [row for row in failed if row.verdict is Verdict.MISSING]
    left = {key(row): row.reference for row in missing if math.isnan(row.candidate)}
    right = {key(row): row.candidate for row in missing if math.isnan(row.reference)}
    if len(left) + len(right) < len(failed) or not left or left.keys() != right.keys():
        return False
    return all(abs(left[k] - right[k]) <= Match.ESTIMATED * max(abs(left[k]), Match.CHAINED) for k in left)


def _same_labels(quantity: str, group: object, fits: tuple[LinearMixedFit, LinearMixedFit]) -> bool:
    """Whether the labels that a row compared are the same, in the same order, but for parentheses about a group."""

    def read(fit: LinearMixedFit) -> list[str]:
        if quantity == "theta-names":
            return [_bare(str(name)) for name in fit.getME("theta").index]
        flist = fit.getME("flist")
        (column,) = (flist[name] for name in flist.columns if _bare(str(name)) == _bare(str(group)))
        return [str(level) for level in column.cat.categories] if quantity == "levels" else column.astype(str).tolist()

    left, right = quietly(lambda: read(fits[0]), None), quietly(lambda: read(fits[1]), None)
    return left is not None and left == right  # one that cannot be read proves nothing


def _bare(name: str) -> str:
    return re.sub(r"^\(([^()]+:[^()]+)\)", r"\1", name)
