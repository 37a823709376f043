"""Compare the likelihood-ratio tests of two implementations: ``anova(m1, m2, ...)`` of R and of a candidate."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pandas as pd

from pyimpl.frame.columns import as_pandas
from validation.compare import candidate_fit, describe_side
from validation.comparison import Comparison, Side
from validation.contract import AnovaTable, LinearMixedFit, Values
from validation.errors import RAISED, text_of
from validation.judge.likelihood_ratio import COLUMNS, AnovaEvidence, judge_anova, refitted, table_of_fits, tidy_table
from validation.judge.rows import table_of
from validation.options import Against, Progress, silent
from validation.references.choose import Model, Source, choose_source, reference_of


def compare_anova(
    formulas: Sequence[str],
    data: pd.DataFrame,
    *,
    REML: bool = True,
    refit: bool = True,
    against: Against | Source = "auto",
    weights: Values | None = None,
    offset: Values | None = None,
    candidate: Callable[..., LinearMixedFit] | None = None,
    anova: Callable[..., AnovaTable] | None = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fit several models with R and with Python, and judge whether their likelihood-ratio tests agree.

    Parameters
    ----------
    formulas : sequence of str
        Two models or more, as for ``lmer``; in any order (R sorts them by their number of parameters).
    data : data frame of any kind
    REML : bool
        The criterion by which the models are fitted.
    refit : bool
        As of ``anova``: REML fits are refitted by maximum likelihood before they are compared.
    against : {"auto", "live", "recorded", "certified"}
        As of :func:`validation.compare`.
    weights, offset : optional
        Passed on to both sides.
    candidate : callable, optional
        ``candidate(formula, data, REML=...)``; ``pyimpl.lmer`` where not given.
    anova : callable, optional
        ``anova(*fits)``: the candidate's table of tests, a row for each model (or a mapping with the statistic, its
        degrees of freedom and p of one test); the first fit's own ``anova(*others, refit=...)`` where not given.
    columns : sequence of str
        Columns of R's table that are compared, for programs that do not give them all; all of them where not given.
    title : str, optional
    progress : callable, optional

    Returns
    -------
    Comparison
        Of kind ``"anova"``.

    Raises
    ------
    ValueError
        Fewer than two models; a column that R's table does not have.
    NoReferenceError
        Neither live R nor a stored reference of all models is to be had.
    SideError
        One side could not fit a model.

    Examples
    --------
    >>> models = ["score ~ ses + (1 | school)", "score ~ ses + (ses | school)"]
    >>> compare_anova(models, data).agrees  # doctest: +SKIP
    True
    """
    if isinstance(formulas, str) or len(formulas) < 2:
        raise ValueError(f"a likelihood-ratio test needs two models or more; formulas={formulas!r}")
    progress = progress or silent
    frame = as_pandas(data)
    arguments = {name: value for name, value in (("weights", weights), ("offset", offset)) if value is not None}
    source = choose_source(against)
    # A stored fit cannot be refitted: its ML counterpart is stored beside it.
    criterion = REML and ("live" in source.kinds or not refit)
    left, right = [], []
    for formula in formulas:
        model = Model(formula, frame, "likelihood", criterion, arguments, default=False)
        left.append(reference_of(model, source, progress))
        right.append(candidate_fit(replace(model, REML=REML), candidate, left[-1], progress))
    progress("done", 1.0)
    return compare_anova_fits(
        [cast("LinearMixedFit", one.fit) for one in left],
        [cast("LinearMixedFit", one.fit) for one in right],
        anova=anova,
        refit=refit,
        columns=columns,
        data=frame,
        title=title,
        sides=(left[-1].side, right[-1].side),
    )


def compare_anova_fits(
    reference: Sequence[LinearMixedFit],
    candidate: Sequence[LinearMixedFit] | pd.DataFrame | Mapping[str, object],
    *,
    anova: Callable[..., AnovaTable] | None = None,
    refit: bool = True,
    columns: Sequence[str] | None = None,
    data: pd.DataFrame | None = None,
    title: str | None = None,
    sides: tuple[Side | None, Side | None] = (None, None),
) -> Comparison:
    """Judge whether two sides' likelihood-ratio tests of the same models agree.

    Parameters
    ----------
    reference : sequence of fit
        Two likelihood fits or more.
    candidate : sequence of fit, data frame, or mapping
        The candidate's fits of the same models in the same order; or its table of tests alone, a row for each model,
        fewest parameters first; or a mapping with the numbers of one test (``{"chisq": ..., "df": ..., "p": ...}``).
    anova : callable, optional
        ``anova(*fits)``, the candidate's table; see :func:`compare_anova`.
    refit : bool
    columns : sequence of str
        Columns of R's table that are compared. Where not given all of them, but of a mapping those that it has, and
        the test's own.
    data : pandas.DataFrame, optional
        Of both: helps to name a cause.
    title : str, optional
    sides : pair of Side, optional
        What the report calls the reference and the candidate.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Fewer than two models, not as many on both sides, an unknown column, a table without a statistic.
    """
    alone = candidate if isinstance(candidate, pd.DataFrame | Mapping) else None
    theirs: list[LinearMixedFit] = [] if isinstance(candidate, pd.DataFrame | Mapping) else list(candidate)
    if columns is None:
        of_one = {"Chisq", "Df", "Pr(>Chisq)", *tidy_table(alone).columns} if isinstance(alone, Mapping) else set()
        columns = tuple(of_one or COLUMNS)
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise ValueError(f"columns={unknown!r}: R's table has {', '.join(COLUMNS)}")
    if len(reference) < 2:
        raise ValueError(f"a likelihood-ratio test needs two models or more; the reference has {len(reference)}")
    if alone is None and len(theirs) != len(reference):
        raise ValueError(f"the reference has {len(reference)} models and the candidate {len(theirs)}")
    refusals: dict[str, str] = {}
    tables: dict[str, pd.DataFrame] = {}
    own = anova or (lambda *fits: _table(fits, refit))
    makers: dict[str, Callable[[], AnovaTable]] = {
        "reference": lambda: _table(reference, refit),
        "candidate": lambda: own(*theirs) if alone is None else alone,
    }
    notes = []
    for side, make in makers.items():
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                table = make()
        except RAISED as error:  # a refusal is an answer: R refuses models of different rows
            refusals[side] = " ".join(text_of(error).split()) or type(error).__name__
            continue
        said = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
        notes += [f"The {side} says: {text}" for text in said]
        tables[side] = tidy_table(table)
    order = sorted(range(len(reference)), key=lambda i: reference[i].npar)
    evidence = AnovaEvidence(
        tables,
        refusals,
        tuple(reference[i] for i in order),
        tuple(theirs[i] for i in order if theirs),
        refit,
        tuple(name for name in COLUMNS if name in columns),
        data,
    )
    checks, rows, causes = judge_anova(evidence)
    formula = "; ".join(evidence.names)
    left = sides[0] or describe_side(reference[0])
    right = sides[1] or (Side("candidate", "third-party") if alone is not None else describe_side(theirs[0]))
    printed = {side: table.to_string(float_format=lambda value: f"{value:.8g}") for side, table in tables.items()}
    judged = tuple(checks), table_of(rows), causes, tuple(notes)
    return Comparison(title or f"anova: {formula}", formula, "anova", left, right, *judged, printed=printed)


def _table(fits: Sequence[LinearMixedFit], refit: bool) -> AnovaTable:
    """The table of tests of a side's fits: its own ``anova``, or the definition where it has none."""
    anova = getattr(fits[0], "anova", None)
    if not callable(anova):
        return table_of_fits(refitted(fits, refit))
    takes = inspect.signature(anova).parameters
    options = {"refit": refit} if "refit" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values()) else {}
    table: AnovaTable = anova(*fits[1:], **options)
    return table
