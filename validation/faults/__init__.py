"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

``bases`` has the right fits; ``likelihood``, ``posterior`` and ``tables`` (the tests between fits, and what is reported
after one) spoil them: each fault is registered where it is defined, with its row of AGREEMENT.md's table.
``validation.selftest`` runs them all.
"""

from validation.faults import likelihood, posterior, tables  # noqa: F401 (they register)
from validation.faults.fault import FAULTS, Fault, FaultSize
from validation.references.whole import at_theta

__all__ = ["FAULTS", "Fault", "FaultSize", "at_theta"]
