"""The words of the judgement, shared by the judge, the comparison and the report."""

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Cause", "Verdict"]


class Verdict(StrEnum):
    """The verdict on one row, one check, or a whole comparison."""

    AGREES = "agrees"
    BETTER = "better"  # a better optimum than the reference's: reported, never a failure
    DISAGREES = "disagrees"
    INCONCLUSIVE = "inconclusive"  # e.g. a sampler that has not converged: neither pass nor fail
    MISSING = "missing"  # one side lacks the row: a failure, not a gap

    @property
    def failed(self) -> bool:
        """Whether this verdict makes the whole comparison disagree."""
        return self in (Verdict.DISAGREES, Verdict.MISSING)


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
    """

    fault: int
    name: str
    title: str
    evidence: str
    remedy: str
    figures: dict[str, float] = field(default_factory=dict)
