"""The proof of a cause: undo it, and see whether the candidate's numbers come out, and to how many digits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from validation import tolerances
from validation.algebra import Solution
from validation.judge.digits import digits
from validation.judge.evidence import Evidence
from validation.judge.implied import implied_numbers
from validation.quantities import Key, key_of, records

__all__ = ["Reproduction", "proof_by", "reproduced"]

#: What is looked at of a model that was computed anew.
_ESTIMATES = ("fixef", "se", "sigma", "variance", "covariance", "sd", "logLik")


@dataclass(frozen=True)
class Reproduction:
    """How many of a candidate's numbers a supposed cause gives.

    Attributes
    ----------
    total : int
        Numbers that both sides have and that tell: the cause moves them by more than the digits that would show it.
    matched : int
        Those of them that are the candidate's, to four digits at least and one more than the reference's are.
    digits : float
        Of the matched number that is reproduced worst.
    quantities : frozenset of str
        That are matched.
    """

    total: int
    matched: int
    digits: float
    quantities: frozenset[str]

    @property
    def proves(self) -> bool:
        """Whether they are a proof."""
        return tolerances.REPRODUCED.holds(self.total, self.matched, self.digits)

    def words(self, model: str) -> str:
        """Say how many of the numbers are those of a model, and that it was computed here."""
        return (
            f"{self.matched} of the {self.total} numbers that tell are those of {model} to {self.digits:.0f} digits or "
            "more, computed here from the reference's own y, X and Z"
        )


def reproduced(evidence: Evidence, expected: Mapping[Key, float], quantities: Iterable[str]) -> Reproduction:
    """Compare the candidate's numbers with those that a supposed cause gives.

    Parameters
    ----------
    evidence : Evidence
    expected : mapping
        (quantity, group, term, term2, level) -> number, as of :func:`validation.judge.implied.implied_numbers`.
    quantities : iterable of str
        Which of them are looked at.
    """
    limits = tolerances.REPRODUCED
    total = 0
    found: list[tuple[str, float]] = []
    for record in records(evidence.compared(*quantities)):
        value = expected.get(key_of(record))
        if value is None or value != value or digits(value, record["reference"]) > limits.telling:
            continue
        total += 1
        got = digits(record["candidate"], value)
        if got >= max(limits.least, digits(record["candidate"], record["reference"]) + limits.gained):
            found.append((record["quantity"], got))
    least = min((got for _, got in found), default=0.0)
    return Reproduction(total, len(found), least, frozenset(name for name, _ in found))


def proof_by(
    evidence: Evidence,
    solution: Solution | None,
    quantities: Iterable[str] = _ESTIMATES,
    but: Iterable[Key] = (),
) -> Reproduction | None:
    """What a model that was computed anew gives of the candidate's numbers; None where that proves nothing.

    Parameters
    ----------
    evidence : Evidence
    solution : Solution or None
        The model at its optimum.
    quantities : iterable of str
    but : iterable of Key
        Numbers that prove nothing: the model was chosen by them.
    """
    if solution is None:
        return None
    expected = {**implied_numbers(solution), ("logLik", None, None, None, None): -solution.objective / 2}
    for key in but:
        expected.pop(key, None)
    found = reproduced(evidence, expected, quantities)
    return found if found.proves else None
