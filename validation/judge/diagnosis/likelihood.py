"""Detectors for two likelihood fits: rows 1 to 8 and 10 to 12 of AGREEMENT.md's table of faults."""

from collections.abc import Callable

from validation.judge.diagnosis import Finding
from validation.judge.evidence import Evidence

__all__ = ["DETECTORS"]

DETECTORS: tuple[Callable[[Evidence], Finding | None], ...] = ()
