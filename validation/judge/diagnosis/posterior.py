"""Detectors for two posteriors: rows 2, 4, 8, 9 and 12 of AGREEMENT.md's table of faults."""

from collections.abc import Callable

from validation.judge.diagnosis import Finding
from validation.judge.posteriors import PosteriorEvidence

__all__ = ["DETECTORS"]

DETECTORS: tuple[Callable[[PosteriorEvidence], Finding | None], ...] = ()
