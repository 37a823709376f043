"""The result of a comparison: what ``compare`` returns, what the report, the command and a notebook show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from validation.verdict import Cause, Verdict

__all__ = ["TABLE_COLUMNS", "Check", "Comparison", "Side"]

#: Columns of :attr:`Comparison.table`, one row per compared number.
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
    provenance: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Comparison:
    """Two fits of one model, compared row by row and check by check.

    Attributes
    ----------
    title : str
        Name of the case, or the formula.
    formula : str
    kind : str
        ``"likelihood"`` or ``"bayes"``.
    reference, candidate : Side
    checks : tuple of Check
    table : pandas.DataFrame
        Columns :data:`TABLE_COLUMNS`, one row per number that either side has.
    causes : tuple of Cause
        Likely causes of the disagreement, likeliest first; empty where the sides agree.
    notes : tuple of str
        Warnings and messages of either fit, better optima, weak comparisons, changed versions.
    draws : mapping of str to pandas.DataFrame
        ``"reference"`` and ``"candidate"``: draws of the main parameters, for the plots of a Bayesian comparison.
    printed : mapping of str to str
        ``"reference"`` and ``"candidate"``: what ``summary()`` prints.
    """

    title: str
    formula: str
    kind: str
    reference: Side
    candidate: Side
    checks: tuple[Check, ...]
    table: pd.DataFrame
    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()
    draws: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    printed: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole: a failure beats inconclusive beats agreement; no check at all is inconclusive."""
        verdicts = [check.verdict for check in self.checks]
        if (failure := Verdict.of_failures(verdicts)) is not None:
            return failure
        if not verdicts or Verdict.INCONCLUSIVE in verdicts:
            return Verdict.INCONCLUSIVE
        return Verdict.AGREES

    @property
    def agrees(self) -> bool:
        """Whether the two fits agree (an inconclusive comparison does not)."""
        return self.verdict is Verdict.AGREES

    def to_html(self) -> str:
        """The comparison as one self-contained HTML page."""
        from validation.report.html import render_page

        return render_page([self])

    def to_json(self) -> str:
        """The comparison as JSON (missing and infinite values as ``null`` and strings)."""
        from validation.report.json import dumps

        return dumps([self])

    def _repr_html_(self) -> str:
        from validation.report.notebook import render_fragment

        return render_fragment(self)

    def __str__(self) -> str:
        from validation.report.text import render_text

        return render_text(self)
