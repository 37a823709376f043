"""Running several cases: which reference to compare with, one case after the other, and the files that result.

The command line is a thin entry to this module; a notebook or a script can call it as well.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pyimpl.extras import has
from r_scripts.dialect import Dialect
from validation.cases import BUILT_IN, Case, by_name
from validation.compare import compare
from validation.comparison import Check, Comparison, Side
from validation.errors import NotSupportedError, SideError
from validation.files import make_folder
from validation.options import Progress
from validation.progress import Tracker
from validation.references.choose import Source, choose_source
from validation.report.wording import NOT_REACHED
from validation.suite import all_cases, available
from validation.verdict import Verdict

if TYPE_CHECKING:
    from validation.report.plots import Plot


@dataclass(frozen=True)
class Work:
    """A comparison to make that is no case: it is run as one."""

    name: str
    title: str
    formula: str
    kind: str  # {"likelihood", "bayes"}
    compare: Callable[..., Comparison]  # ``compare(against=, seed=, progress=)`` makes the Comparison
    #: ``record(folder)`` writes what live R gives to a folder (its own where None), and returns the file's path
    record: "Callable[[Path | None], Path] | None" = None
    pictures: "Callable[[str], list[Plot]] | None" = None  # ``pictures(against)`` draws further pictures for the report


#: What others add to the built-in cases (:func:`add`), by name.
_added: dict[str, Work] = {}


def add(work: Work) -> None:
    """Let ``mlmparity validate`` and ``record`` know one more comparison, by its name."""
    _added[work.name] = work


def described(names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Name, title, formula, kind and references of cases; of all where none is named."""
    there = {kind: available(Source((kind,))) for kind in ("certified", "recorded")}
    cases = all_cases()
    chosen = choose(names, cases)
    return [
        {
            **{field: getattr(work, field) for field in ("name", "title", "formula", "kind")},
            "references": ["recorded"]
            if isinstance(work, Work)
            else [kind for kind, known in there.items() if work.name in known],
        }
        for work in choose((), cases)
        if work in chosen
    ]


def choose(names: Sequence[str], cases: Sequence[Case] = BUILT_IN) -> list[Case | Work]:
    """Return the cases with these names, and what was added; all where none is named.

    Raises
    ------
    ValueError
        A name that no case has.
    """
    known: dict[str, Case | Work] = {case.name: case for case in cases}
    return list(by_name(names, known | _added))


def run(
    works: Sequence[Case | Work],
    source: Source,
    *,
    seed: int | None = None,
    track: Tracker,
    finished: Callable[[Comparison], None] = lambda comparison: None,
    reported: type[Exception] = Exception,
) -> list[Comparison]:
    """Make the comparisons one after the other; one that ends in an error is reported, and the others go on.

    ``track`` hears which comparison begins and what it does; ``finished`` is called with each when it is made. Errors
    of the type ``reported`` are; others are raised.
    """
    made = []
    options: dict[str, Any] = {} if seed is None else {"seed": seed}
    for work in works:
        track.start(work.title)
        try:
            comparison = work.compare(against=source, progress=track, **options)
        except reported as error:
            logging.getLogger(__name__).debug("%s ended in an error", work.name, exc_info=True)
            comparison = could_not_compare(work.title, work.formula, work.kind, error, source.against)
        track.finish()
        made.append(comparison)
        finished(comparison)
    return made


def own_works(
    formulas: Sequence[str], data: pd.DataFrame, reml: bool = True, bayes: bool = False, dialect: Dialect | None = None
) -> list[Work]:
    """The comparisons of one's own models; several likelihood fits also by their likelihood-ratio tests.

    Python prints in the words of the R it is compared with, unless another `dialect` is given. Run them with
    ``reported=SideError``: where one side fits the model and the other cannot, that is a disagreement; any other error
    is about the data or the formula.
    """
    asked: dict[str, Any] = {"REML": reml, "bayes": bayes}
    if dialect is not None:
        asked["candidate_options"] = {"dialect": dialect}
    kind = "bayes" if bayes else "likelihood"
    works = [Work(formula, formula, formula, kind, partial(compare, formula, data, **asked)) for formula in formulas]
    if len(formulas) > 1 and not bayes:

        def tests(against: Source, progress: Progress, seed: int | None = None) -> Comparison:
            from validation.anova import compare_anova

            return compare_anova(formulas, data, REML=reml, against=against, progress=progress)

        title = f"anova: {'; '.join(formulas)}"
        works.append(Work("anova", title, title, "anova", tests))
    return works


def record_works(
    names: Sequence[str] = (),
    *,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Record what live R gives of cases, and of what was added; all built-in ones where none is named.

    The files written stand among the package's own references where no directory is given.

    Raises
    ------
    ValueError
        A name that no case has.
    NoRError
        There is no live R.
    """
    from validation import recording

    works = choose(names, all_cases() if names else BUILT_IN)
    written = []
    if cases := [work for work in works if isinstance(work, Case)]:
        choose_source("live")
        written += recording.record(cases, directory=directory, progress=progress)
    for work in works:
        if isinstance(work, Work) and work.record is not None:
            if directory is not None:
                make_folder(directory)
            written.append(work.record(directory))
    return written


def pictures(comparisons: Sequence[Comparison], against: str = "live") -> "dict[str, list[Plot]]":
    """Further pictures for the report, of comparisons that were added; none where what draws is not installed."""
    made = {comparison.title for comparison in comparisons if len(comparison.table)}
    drawn = {work.title: work.pictures for work in _added.values() if work.title in made}
    if not any(drawn.values()) or not has("plotnine", "matplotlib"):
        return {}
    return {title: draw(against) for title, draw in drawn.items() if draw is not None}


def could_not_compare(title: str, formula: str, kind: str, error: BaseException, against: str = "live") -> Comparison:
    """Return a case that ended in an error as a comparison: the report must not pass over it.

    It is inconclusive, also where a side says of itself that it does not have what the model needs; but where one side
    fits the model and the other goes wrong, the sides disagree.
    """
    message = " ".join(str(error).split()) or type(error).__name__
    verdict, rule = Verdict.INCONCLUSIVE, "A comparison that ends in an error shows neither agreement nor disagreement."
    if isinstance(error, NotSupportedError):
        message = f"not supported: {message}"
        rule = "What a side says it does not have is no disagreement: nothing was compared."
    elif isinstance(error, SideError):
        verdict, rule = Verdict.DISAGREES, "A model that one side fits and the other cannot is a disagreement."
    elif not isinstance(error, LookupError):
        message = f"{type(error).__name__}: {message}"
    check = Check("run", "Both sides fit the model", verdict, message, rule)
    kinds = {"live": "live-r", "certified": "certified"}
    reference = Side(NOT_REACHED, kinds.get(against, "recorded-r"))
    return Comparison(title, formula, kind, reference, Side(NOT_REACHED, "python"), (check,), pd.DataFrame())
