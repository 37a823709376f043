"""A comparison: what ``compare`` returns, what the report, the command and a notebook show; and what it is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple

import pandas as pd

from validation.contract import LinearMixedFit, MultilevelFit
from validation.verdict import Cause, Verdict


class Row(NamedTuple):
    """One compared number: a row of :attr:`Comparison.table`, whose columns are these fields.

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
    """The reference's fit of a model: tight lme4, rstanarm, a record of either, or certified values."""

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
        return Verdict.of(check.verdict for check in self.checks)

    @property
    def agrees(self) -> bool:
        """Whether the two fits agree (an inconclusive comparison does not)."""
        return self.verdict is Verdict.AGREES

    def to_html(self) -> str:
        """The comparison as one self-contained HTML page."""
        return _reported("html", "render_page", [self])

    def to_json(self) -> str:
        """The comparison as JSON (missing and infinite values as ``null`` and strings)."""
        return _reported("json", "dumps", [self])

    def _repr_html_(self) -> str:
        return _reported("html", "render_fragment", self)

    def __str__(self) -> str:
        return _reported("text", "render_text", self)


def _reported(module: str, name: str, shown: object) -> str:
    """What a function of the report makes of a comparison; the report knows comparisons, so it is imported late."""
    function: Callable[[object], str] = getattr(import_module(f"validation.report.{module}"), name)
    return function(shown)
