"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

``bases`` has the right fits, ``likelihood``, ``posterior``, ``anova`` and ``results`` the ways of spoiling them (the
tests between them, what is reported after them), by row of AGREEMENT.md's table; ``validation.selftest`` runs them all.
"""

from validation.faults.anova import ANOVA_FAULTS
from validation.faults.changed_numbers import at_theta, loose_standard_errors
from validation.faults.fault import Fault, Sized
from validation.faults.likelihood import LIKELIHOOD_FAULTS
from validation.faults.posterior import POSTERIOR_FAULTS
from validation.faults.results import RESULTS_FAULTS

__all__ = [
    "ANOVA_FAULTS",
    "FAULTS",
    "LIKELIHOOD_FAULTS",
    "POSTERIOR_FAULTS",
    "RESULTS_FAULTS",
    "Fault",
    "Sized",
    "at_theta",
    "loose_standard_errors",
]

#: Every fault, by the kind of comparison that must catch it.
FAULTS: dict[str, tuple[Fault, ...]] = {
    "likelihood": LIKELIHOOD_FAULTS,
    "posterior": POSTERIOR_FAULTS,
    "anova": ANOVA_FAULTS,
    "results": RESULTS_FAULTS,
}
