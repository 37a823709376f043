"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

``bases`` has the right fits; ``likelihood``, ``posterior``, ``anova`` (the tests between fits) and ``results`` (what is
reported after them) spoil them: each fault is registered where it is defined, with its row of AGREEMENT.md's table.
``validation.selftest`` runs them all.
"""

from validation.faults import anova, likelihood, posterior, results  # noqa: F401 (they register)
from validation.faults.fault import FAULTS, Fault, FaultSize
from validation.faults.likelihood import at_theta

__all__ = ["FAULTS", "Fault", "FaultSize", "at_theta"]
