"""The words of the judgement, shared by the judge, the comparison and the report; and what a shell learns of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """The verdict on one row, one check, or a whole comparison."""

    AGREES = "agrees"
    BETTER = "better"  # a better optimum than the reference's: reported, never a failure
    DISAGREES = "disagrees"
    INCONCLUSIVE = "inconclusive"  # e.g. a sampler that has not converged: neither pass nor fail
    MISSING = "missing"  # one side lacks the row: a failure, not a gap
    MALFORMED = "malformed"  # a side handed over what is no such number, table or label: nothing could be compared

    @property
    def failed(self) -> bool:
        """Whether this verdict makes the whole comparison disagree."""
        return self in (Verdict.DISAGREES, Verdict.MISSING, Verdict.MALFORMED)

    @staticmethod
    def of(verdicts: "Iterable[Verdict]") -> "Verdict":
        """One verdict from many: a failure beats inconclusive beats agreement; none at all is inconclusive.

        Malformed is the whole where nothing else failed.
        """
        seen = set(verdicts)
        failures = {verdict for verdict in seen if verdict.failed}
        if failures:
            return Verdict.MALFORMED if failures == {Verdict.MALFORMED} else Verdict.DISAGREES
        return Verdict.INCONCLUSIVE if not seen or Verdict.INCONCLUSIVE in seen else Verdict.AGREES


#: Exit codes of the command.
OK, DISAGREES, BAD_INPUT, INCONCLUSIVE, NO_R, INTERRUPTED = 0, 1, 2, 3, 4, 130


def exit_code(verdict: Verdict) -> int:
    """Return the exit code of a verdict on a whole run."""
    if verdict.failed:
        return DISAGREES
    return INCONCLUSIVE if verdict is Verdict.INCONCLUSIVE else OK


@dataclass(frozen=True)
class Cause:
    """A likely cause of a disagreement, from the table of faults in AGREEMENT.md.

    Attributes
    ----------
    fault : int
        The row of the table (1 to 12).
    name : str
        Short and stable, for programs: ``"reml-vs-ml"``.
    title : str
        One line for a reader.
    evidence : str
        What was computed that points to it, with its figures.
    remedy : str
        What to do about it, in words that an educational researcher understands.
    strength : float
        How strong the evidence is, one of :class:`validation.tolerances.Strength`: it ranks causes, those of one
        strength in the detectors' order.
    quantities : frozenset of str
        What it reproduces, or (where it is of a few quantities alone) what it is about; empty where nothing is said.
    """

    fault: int
    name: str
    title: str
    evidence: str
    remedy: str
    strength: float = field(default=0.0, repr=False, compare=False)
    quantities: frozenset[str] = field(default=frozenset(), repr=False, compare=False)


class Finding(NamedTuple):
    """Which fault a detector has found: its row of AGREEMENT.md's table, its name, and how strong the evidence is."""

    fault: int
    name: str
    strength: float
    quantities: frozenset[str] = frozenset()

    def told(self, title: str, evidence: str, remedy: str) -> Cause:
        """The cause, with its words."""
        return Cause(self.fault, self.name, title, evidence, remedy, self.strength, self.quantities)
