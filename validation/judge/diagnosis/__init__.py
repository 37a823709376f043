"""Why two fits differ: detectors for the faults that people who port R code really meet (AGREEMENT.md's table).

Each detector looks for one fault, independently of the others, and gives a :class:`Finding` with the figures that it
computed, or None. :func:`diagnose` runs them all and puts the likeliest first.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from validation.verdict import Cause

__all__ = ["Finding", "diagnose"]

#: Strength from which a finding explains weaker ones, and below which it needs no such explanation.
_CERTAIN, _WEAK = 0.9, 0.5


@dataclass(frozen=True)
class Finding:
    """A likely cause and how strong the evidence for it is.

    Attributes
    ----------
    cause : Cause
    strength : float
        From 0 to 1. 1: the fault was computed anew and gives the candidate's numbers; 0.5: a count or a label differs
        as it would; less: a coincidence is possible. Findings of one strength keep the detectors' order.
    """

    cause: Cause
    strength: float


def diagnose[EvidenceT](
    evidence: EvidenceT, detectors: Sequence[Callable[[EvidenceT], Finding | None]]
) -> tuple[Cause, ...]:
    """Run detectors over the evidence.

    A detector that fails finds nothing; the comparison itself never depends on one.

    Returns
    -------
    tuple of Cause
        Likeliest first.
    """
    findings: list[Finding] = []
    for detector in detectors:
        try:
            finding = detector(evidence)
        except Exception:  # evidence may lack anything; what could not be computed points to nothing
            logging.getLogger(__name__).debug("detector %s failed", detector.__name__, exc_info=True)
            continue
        if finding is not None:
            findings.append(finding)
    findings.sort(key=lambda finding: -finding.strength)
    if findings and findings[0].strength >= _CERTAIN:
        # What a weak detector saw is then a consequence (a coefficient of another name is also a missing one).
        findings = [finding for finding in findings if finding.strength >= _WEAK]
    return tuple(finding.cause for finding in findings)
