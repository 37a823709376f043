"""The result of a comparison: what ``compare`` returns, what the report, the command and a notebook show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

import pandas as pd

from validation.checks import TABLE_COLUMNS, Check, Side
from validation.verdict import Cause, Verdict

__all__ = ["TABLE_COLUMNS", "Check", "Comparison", "Side"]


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
