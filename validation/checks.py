"""The outcome of one tier or gate, the sides of a comparison, and the columns of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from validation.verdict import Verdict

__all__ = ["TABLE_COLUMNS", "Check", "Side"]

#: Columns of :attr:`validation.comparison.Comparison.table`, one row per compared number.
TABLE_COLUMNS = (
    "check",  # id of the Check that judged the row, e.g. "tier-4"
    "quantity",  # "fixef", "se", "vcov", "sd", "cor", "sigma", "theta", "ranef", "condsd", "deviance", "post-mean", ...
    "group",  # grouping factor, or missing
    "term",  # coefficient or effect, or missing
    "term2",  # second effect of a covariance or correlation, or missing
    "level",  # level of the grouping factor, or missing
    "reference",  # the reference's value (R, recorded R, certified, quadrature)
    "candidate",  # the candidate's value (Python)
    "difference",  # candidate - reference
    "digits",  # log relative error: -log10(|x - c| / |c|), at most the digits the reference has
    "scaled",  # |difference| in the unit of the tolerance
    "unit",  # that unit, in words: "standard errors", "relative", "conditional sd", "z", "posterior sd", ...
    "tolerance",  # the largest `scaled` that still agrees
    "verdict",  # a Verdict
    "reason",  # why the tolerance is what it is; for a failed row what is wrong with it
)


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
