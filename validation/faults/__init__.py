"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

``bases`` has the right fits; ``likelihood``, ``posterior``, ``anova`` (the tests between fits) and ``results`` (what is
reported after them) spoil them: each fault is registered where it is defined, with its row of AGREEMENT.md's table.
``validation.selftest`` runs them all.
"""

from validation.faults import anova, fault, likelihood, posterior, results  # noqa: F401 (they register)
from validation.faults.bases import BASES
from validation.faults.fault import Fault, FaultSize
from validation.faults.likelihood import at_theta

__all__ = ["FAULTS", "Fault", "FaultSize", "at_theta"]

#: Every fault, by the kind of comparison that must catch it.
FAULTS: dict[str, tuple[Fault, ...]] = {
    kind: tuple(sorted((one for one in fault.FAULTS if one.kind == kind), key=lambda one: one.number)) for kind in BASES
}
