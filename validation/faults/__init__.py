"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

``bases`` has the right fits, ``likelihood`` and ``posterior`` the ways of spoiling them, by row of AGREEMENT.md's
table; ``validation.selftest`` runs them all.
"""

from validation.faults.fault import Fault, Sized
from validation.faults.likelihood import LIKELIHOOD_FAULTS, at_theta, loose_standard_errors
from validation.faults.posterior import POSTERIOR_FAULTS

__all__ = ["LIKELIHOOD_FAULTS", "POSTERIOR_FAULTS", "Fault", "Sized", "at_theta", "loose_standard_errors"]
