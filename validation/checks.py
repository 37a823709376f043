"""The outcome of one tier or gate, the sides of a comparison with their fits, and the columns of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from validation.contract import LinearMixedFit, MultilevelFit
from validation.verdict import Verdict


class Row(NamedTuple):
    """One compared number: a row of :attr:`validation.comparison.Comparison.table`, whose columns are these fields.

    Attributes
    ----------
    check : str
        Id of the :class:`Check` that judged it, e.g. ``"tier-4"``.
    quantity : str
        ``"fixef"``, ``"se"``, ``"vcov"``, ``"sd"``, ``"theta"``, ``"ranef"``, ``"deviance"``, ``"post-mean"``, ...
    group, term, term2, level : str or None
        Grouping factor; coefficient or effect; second effect of a covariance or correlation; level of the factor.
    reference, candidate, difference : float
        The reference's value (R, recorded R, certified, quadrature), the candidate's (Python), and theirs less ours.
    digits : float
        Log relative error: -log10(|x - c| / |c|), at most the digits that the reference has.
    scaled, unit, tolerance : float, str, float
        |difference| in a unit (``"standard errors"``, ``"relative"``, ...), and the largest that still agrees.
    verdict : Verdict
    reason : str
        Why the tolerance is what it is; for a failed row what is wrong with it.
    """

    check: str
    quantity: str
    group: str | None
    term: str | None
    term2: str | None
    level: str | None
    reference: float
    candidate: float
    difference: float
    digits: float
    scaled: float
    unit: str
    tolerance: float
    verdict: Verdict
    reason: str

    @property
    def key(self) -> tuple[str, str | None, str | None, str | None, str | None]:
        """Which number it holds (:data:`validation.quantities.KEYS`)."""
        return self[1:6]

    @property
    def name(self) -> str:
        """Its name for a sentence: ``ranef school (Intercept) 20920``."""
        return " ".join(str(part) for part in self.key if part is not None)


#: Columns of a comparison's table.
TABLE_COLUMNS = Row._fields


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    label : str
        For a reader: ``"lme4 1.1-31, live"``, ``"recorded lme4 1.1-31"``, ``"pyimpl 0.1.0"``.
    kind : str
        ``"live-r"``, ``"recorded-r"``, ``"certified"``, ``"quadrature"``, ``"python"`` or ``"third-party"``.
    provenance : mapping
        Versions, platform, BLAS, date, seed, hash of the data, seconds taken, ... (JSON-able).
    """

    label: str
    kind: str
    provenance: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """One side's fit of a model."""

    fit: MultilevelFit  # as much of ``validation.contract`` as it has
    side: Side  # how the report calls it, with its provenance


@dataclass(frozen=True)
class Reference(Fitted):
    """What a candidate is judged by: tight lme4, rstanarm, a record of either, or certified values."""

    default: LinearMixedFit | None = None  # by lme4's default optimizer: the numbers that a user of R sees
    data: pd.DataFrame | None = None  # that it was fitted to, and which the candidate gets too


@dataclass(frozen=True)
class Check:
    """The outcome of one tier or gate.

    Attributes
    ----------
    id : str
        ``"tier-1"`` ... ``"tier-5"``, ``"gate-1"`` ... ``"gate-6"``.
    title : str
        For a reader, e.g. ``"The objective at the same θ"``.
    verdict : Verdict
    summary : str
        One sentence with the figures, e.g. ``"largest relative difference 3e-15 at 12 points (allowed 1e-10)"``.
    rule : str
        The rule and its reason.
    """

    id: str
    title: str
    verdict: Verdict
    summary: str
    rule: str
