"""The finished script: what became of each statement of R, and where its Python stands."""

from dataclasses import dataclass, field

import pandas as pd

from validation.migrate.instrument import Site
from validation.migrate.layout import Span
from validation.migrate.statements import SHOWN

__all__ = ["VARIABLES", "Kept", "Piece", "Script", "Span"]

#: Numbers of values that are no site's: of variables here, of what a statement shows in ``SHOWN``.
VARIABLES = 2_000_000


@dataclass
class Piece:
    """What became of one statement of R.

    Attributes
    ----------
    statement : int
    line : int
        Its first line in the script of R.
    text : str
    status : str
        ``carried`` (Python does it), ``data`` (its result is kept in the data or as a value), ``setup`` (nothing to do
        in Python), ``past`` (after ``quit()``), ``left`` (not carried over).
    why : str
        Of what was left, and of what was carried over with less than everything.
    note : str
        Arguments that were left out because they change nothing in Python.
    file : str
        Where it is not the script's: of a file that the script reads by ``source()``.
    code : list of str
        Python's lines, with the marks of :mod:`validation.migrate.code`.
    bound : dict of str to str
        R's names that got values by it, and Python's variables for them.
    """

    statement: int
    line: int
    text: str
    status: str
    why: str = ""
    code: list[str] = field(default_factory=list)
    note: str = ""
    file: str = ""
    bound: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """A variable's value after a statement, where no watched call made it.

    Attributes
    ----------
    site : int
        A number of its own, from ``VARIABLES``.
    statement : int
    name : str
        R's variable.
    variable : str
        Python's.
    line : int
        The last line of the statement's Python.
    """

    site: int
    statement: int
    name: str
    variable: str
    line: int


@dataclass
class Script:
    """The finished script.

    Attributes
    ----------
    text : str
    spans : list of Span
    pieces : list of Piece
    frames : dict of str to DataFrame
        File name (without its ending) -> data.
    first_lines : dict of int to int
        Statement -> the line of the script where its Python begins.
    sites : list of Site
    assumed : list of str
        Names that were taken for data, where nothing was run.
    kept : list of Kept
    of_draws : set of int
        Statements that compute from draws.
    on_draws : set of int
        Those whose own models are fitted to draws.
    """

    text: str
    spans: list[Span]
    pieces: list[Piece]
    frames: dict[str, pd.DataFrame]
    first_lines: dict[int, int]
    sites: list[Site]
    assumed: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    of_draws: set[int] = field(default_factory=set)
    on_draws: set[int] = field(default_factory=set)

    @property
    def drawn(self) -> list[int]:
        """The sites, with those of what is shown and of variables, whose values are computed from draws."""
        of = {one.number: one.statement for one in self.sites} | {one.site: one.statement for one in self.kept}
        shown = {span.site: span.site - SHOWN for span in self.spans if SHOWN <= span.site < VARIABLES}
        marked = {span.site for span in self.spans} | {one.site for one in self.kept}
        return sorted(site for site, k in (of | shown).items() if k in self.of_draws and site in marked)
