"""The proof of a cause: undo it, and see whether the candidate's numbers come out, and to how many digits."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from validation import tolerances
from validation.algebra import Solution
from validation.judge.evidence import Evidence
from validation.judge.implied import implied_numbers
from validation.judge.rows import digits
from validation.quantities import Key, key_of, records

#: The estimates of a fit, and all that it reports of its parameters.
_ESTIMATES = ("fixef", "se", "sigma", "variance", "covariance", "sd", "logLik")
NUMBERS = (*_ESTIMATES, "vcov", "cor", "ranef")


#: Numbers of a fit that follow from θ alone, whatever σ is.
_OF_THETA = frozenset({"fixef", "ranef"})


@dataclass(frozen=True)
class Reproduction:
    """How many of a candidate's numbers a supposed cause gives."""

    total: int  # that both sides have and that tell: the cause moves them by more than the digits that would show it
    matched: int  # of them, to four digits at least and one more than the reference's are
    digits: float  # of the matched number that is reproduced worst
    quantities: frozenset[str]  # that are matched

    def words(self, model: str) -> str:
        """Say how many of the numbers are those of a model, and that it was computed here."""
        return (
            f"{self.matched} of the {self.total} numbers that tell are those of {model} to {self.digits:.0f} digits or "
            "more, computed here from the reference's own y, X and Z"
        )


def proof_by(
    evidence: Evidence,
    solution: Solution | None,
    quantities: Iterable[str] = _ESTIMATES,
    but: Collection[Key] = (),
) -> Reproduction | None:
    """What a model at its optimum gives of the candidate's numbers; None where that proves nothing.

    Nothing is proved by the numbers (``but``) that the model was chosen by.
    """
    if solution is None:
        return None
    limits = tolerances.REPRODUCED
    expected = {**implied_numbers(solution), ("logLik", None, None, None, None): -solution.objective / 2}
    found: list[tuple[str, float, float]] = []  # quantity, digits, digits of the reference's number
    columns: dict[Key, list[bool]] = {}  # but for the level: which of its numbers are reproduced
    for record in records(evidence.compared(*quantities)):
        value = math.nan if (key := key_of(record)) in but else expected.get(key, math.nan)
        if math.isnan(value) or digits(value, record["reference"]) > limits.telling:
            continue
        got, had = digits(record["candidate"], value), digits(record["reference"], value)
        matched = got >= max(limits.least, digits(record["candidate"], record["reference"]) + limits.gained)
        columns.setdefault((*key[:-1], None), []).append(matched)
        if matched:
            found.append((record["quantity"], got, had))
    if not found:
        return None
    names, got_each, had_each = zip(*found, strict=True)
    # what moves most tells best: of the others an optimizer's last digits are a larger share
    independent = 1 if _OF_THETA.issuperset(names) else min(len(found), 2)
    nearer = independent * (min(got_each) - min(had_each))
    total, share = sum(map(len, columns.values())), float(np.mean([np.mean(column) for column in columns.values()]))
    if not limits.holds(total, share, min(got_each), nearer):
        return None
    return Reproduction(total, len(found), min(got_each), frozenset(names))
