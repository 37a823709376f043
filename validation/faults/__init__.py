"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

``bases`` has the right fits; ``changed_numbers`` and ``other_fits`` (likelihood fits), ``posterior``, ``anova`` (the
tests between fits) and ``results`` (what is reported after them) spoil them: each fault is registered where it is
defined, with its row of AGREEMENT.md's table. ``validation.selftest`` runs them all.
"""

from validation.faults import anova, changed_numbers, fault, other_fits, posterior, results  # noqa: F401 (they register)
from validation.faults.changed_numbers import at_theta, loose_standard_errors
from validation.faults.fault import Fault, FaultSize

__all__ = ["FAULTS", "Fault", "FaultSize", "at_theta", "loose_standard_errors"]

#: Every fault, by the kind of comparison that must catch it.
FAULTS: dict[str, tuple[Fault, ...]] = {
    kind: tuple(sorted((one for one in fault.FAULTS if one.kind == kind), key=lambda one: one.number))
    for kind in ("likelihood", "posterior", "anova", "results")
}
