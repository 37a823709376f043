"""Compare what is reported after the fit: marginal means and contrasts (emmeans), and predictions with intervals.

Either side is a table as R's packages give it (``as.data.frame(emmeans(...))``, ``ggpredict``, ``predict(se.fit = )``),
or what :func:`pyimpl.emmeans` and its kin return. Rows are joined by the levels that they are of, never by position.
A cause is named only where undoing it gives the reference's numbers.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from validation import tolerances
from validation.compare import describe_side
from validation.comparison import Comparison
from validation.contract import Table
from validation.judge.diagnosis import unknown_cause
from validation.judge.rows import Row, conclude, counts, judge_number, judge_p, table_of
from validation.quantities import named
from validation.tolerances import Tolerance
from validation.verdict import Cause

#: What a column of a table is, by the names that R's packages give it, and how it is judged.
_NUMBERS: Mapping[str, tuple[Tolerance, tuple[str, ...]]] = {
    "estimate": (tolerances.REPORTED_ESTIMATE, ("emmean", "response", "ratio", "effect.size", "estimate", "prediction",
                                                "predicted", "fit", "Estimate", "lsmean")),
    "se": (tolerances.REPORTED_SE, ("SE", "std.error", "se.fit", "Std. Error", "se")),
    "df": (tolerances.REPORTED_DF, ("df",)),
    "lower": (tolerances.REPORTED_INTERVAL, ("lower.CL", "asymp.LCL", "lower.HPD", "conf.low", "lwr", "lower")),
    "upper": (tolerances.REPORTED_INTERVAL, ("upper.CL", "asymp.UCL", "upper.HPD", "conf.high", "upr", "upper")),
    "statistic": (tolerances.REPORTED_STATISTIC, ("t.ratio", "z.ratio", "t value", "statistic")),
    "p": (tolerances.REPORTED_P, ("p.value", "Pr(>|t|)")),
}  # fmt: skip
_RULES = {tolerance.check: tolerance.reason for tolerance, _ in _NUMBERS.values()}
_LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)


def _read(side: Table, keys: Sequence[str] | None, what: str) -> pd.DataFrame:
    """One side's numbers by what they are, indexed by the labels of their rows."""
    table = getattr(side, "frame", side)
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"the {what} is a data frame, or what emmeans() and predictions() return, not {side!r:.80}")
    given = [str(name) for name in table.columns]
    names = {quantity: names for quantity, (_, names) in _NUMBERS.items()}
    names["estimate"] += tuple(name for name in given if name.endswith(".trend"))
    present = {quantity: [name for name in own if name in given] for quantity, own in names.items()}
    found = {quantity: own[0] for quantity, own in present.items() if own}
    if "estimate" not in found:
        raise ValueError(f"the {what} has no column of estimates; it has {', '.join(given)}")
    known = {*itertools.chain(*names.values()), "null", "note"}
    columns = [name for name in given if name not in known] if keys is None else list(keys)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(f"the {what} has no column {missing[0]!r} to join by; it has {', '.join(given)}")
    labels = tuple(
        " ".join(_label(value) for value in row) for row in table[columns].itertuples(index=False, name=None)
    ) if columns else tuple(str(index) for index in table.index)  # fmt: skip
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise ValueError(f"the {what} has a row twice: {twice[0]!r}; keys= names the columns that tell rows apart")
    numbers = {q: pd.to_numeric(table[name], errors="coerce").to_numpy(float) for q, name in found.items()}
    return pd.DataFrame(numbers, index=pd.Index(labels, dtype=object))


def _label(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).upper()
    if isinstance(value, (int, float, np.number)):
        return f"{float(value):.10g}"
    return str(value)


def compare_emmeans(
    reference: Table, candidate: Table, *, keys: Sequence[str] | None = None, title: str | None = None
) -> Comparison:
    """Judge whether two tables of marginal means, trends or contrasts agree.

    Parameters
    ----------
    reference, candidate : DataFrame, EmmGrid or EmmSummary
        With emmeans' columns: the variables' levels (or ``contrast``), the estimate, ``SE``, ``df``, interval ends,
        ``t.ratio``, ``p.value``; what the reference has must be there.
    keys : sequence of str, optional
        Columns that name the rows; default all that hold no such numbers.
    title : str, optional

    Returns
    -------
    Comparison
        Of kind ``"results"``. p-values by ``adjust = "mvt"`` R integrates with random points, good to about 1e-3.

    Raises
    ------
    ValueError
        A side is no such table; rows that cannot be told apart.
    """
    left, right = _read(reference, keys, "reference"), _read(candidate, keys, "candidate")
    ours, theirs = ({str(label): dict(row) for label, row in table.iterrows()} for table in (left, right))
    judged = [r for label in dict.fromkeys([*ours, *theirs]) for r in _rows(label, ours.get(label), theirs.get(label))]
    parts = {name: [row for row in judged if _NUMBERS[row.quantity][0].check == name] for name in _RULES}
    checks, rows = conclude((name, (part, counts(part)), _RULES[name]) for name, part in parts.items() if part)
    causes: tuple[Cause, ...] = ()
    if any(check.verdict.failed for check in checks):
        causes = tuple(_causes(left, right)) or (unknown_cause(checks, rows),)
    sides = describe_side(reference), describe_side(candidate)
    return Comparison(title or "estimated marginal means", "", "results", *sides, tuple(checks), table_of(rows), causes)


def compare_predictions(
    reference: Table, candidate: Table, *, keys: Sequence[str] | None = None, title: str | None = None
) -> Comparison:
    """Judge whether two tables of predictions agree: values, standard errors and interval ends.

    Parameters
    ----------
    reference, candidate : DataFrame
        Columns as of ``predict(m, se.fit = TRUE)`` (``fit``, ``se.fit``, ``lwr``, ``upr``), ggeffects or merTools.
    keys : sequence of str, optional
        Columns that name the rows; default all that hold no such numbers, or the index where there are none.
    title : str, optional

    Returns
    -------
    Comparison
        Of kind ``"results"``.

    Raises
    ------
    ValueError
        A side is no such table; rows that cannot be told apart.
    """
    return compare_emmeans(reference, candidate, keys=keys, title=title or "predictions")


def _rows(label: str, ours: Mapping[str, float] | None, theirs: Mapping[str, float] | None) -> Iterator[Row]:
    """Judge the numbers of one row of the two tables: those that the reference has."""
    if ours is None or theirs is None:
        left, right = (None if row is None else row["estimate"] for row in (ours, theirs))
        yield judge_number(named("estimate", level=label), left, right, math.nan, tolerances.REPORTED_ESTIMATE)
        return
    se = ours.get("se", math.nan)
    width = ours.get("upper", math.nan) - ours.get("lower", math.nan)
    # where a table has no standard errors its intervals say how well a number is known
    unit = se if math.isfinite(se) else 0.5 * width
    scales = {
        "estimate": unit if math.isfinite(unit) else abs(ours["estimate"]),
        "se": se,
        "df": ours.get("df", math.nan),
        "statistic": max(1.0, abs(ours.get("statistic", math.nan))),
    }
    for quantity, (tolerance, _) in _NUMBERS.items():
        key, value, found = named(quantity, level=label), ours.get(quantity), theirs.get(quantity)
        if value is None:
            continue
        if quantity == "p" and found is not None:
            yield judge_p(key, value, found, tolerance)
        elif value == found and math.isinf(value):  # infinite degrees of freedom are normal quantiles
            yield judge_number(key, 1.0, 1.0, 1.0, replace(tolerance, reason="infinite on both sides"))
        else:
            yield judge_number(key, value, found, scales.get(quantity, width), tolerance)


# -- causes ------------------------------------------------------------------------------------------------------------


def _causes(left: pd.DataFrame, right: pd.DataFrame) -> Iterator[Cause]:
    """What, undone in the candidate's numbers, gives the reference's."""
    common = [label for label in left.index if label in right.index]
    for find in (_of_errors, _of_intervals, _of_tests, _of_estimates) if common else ():
        yield from (Cause(4, *found) for found in find(left.loc[common], right.loc[common]))


def _same(a: pd.Series | np.ndarray, b: pd.Series | np.ndarray, limit: float) -> bool:
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    known = ~(np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore", divide="ignore"):
        return bool(known.any() and (np.abs(other - one)[known] <= limit * np.abs(one)[known]).all())


def _wrong(ours: pd.DataFrame, theirs: pd.DataFrame, quantity: str, limit: float) -> bool:
    both = quantity in ours and quantity in theirs
    return both and not _same(ours[quantity], theirs[quantity], limit)


#: Name, title, evidence and remedy of a cause.
_Found: TypeAlias = Iterator[tuple[str, str, str, str]]


def _of_errors(ours: pd.DataFrame, theirs: pd.DataFrame) -> _Found:
    limit = tolerances.REPORTED_SE.limit
    if not _wrong(ours, theirs, "se", limit):
        return
    if _same(ours["se"], np.sqrt(theirs["se"]), limit):
        yield (
            "variance-for-se",
            "Variances are given as standard errors",
            "the roots of the candidate's standard errors are the reference's",
            "Take the root of the diagonal of L V L'.",
        )
    extra = theirs["se"] ** 2 - ours["se"] ** 2
    # of standard errors that are all alike, any factor adds the same to each square
    alike = bool(np.ptp(ours["se"]) <= limit * ours["se"].mean())
    if (extra > 0).all() and extra.std() <= limit * extra.mean() and not alike:
        yield (
            "variance-added",
            "A variance is added to the squared standard errors, the same to each",
            f"every squared standard error exceeds the reference's by {float(extra.mean()):.6g}: the residual "
            "variance, or that of a random effect?",
            "Of a mean the error is that of its estimate; the variances of residuals and of random effects belong to "
            "new observations and new groups.",
        )


def _freedom(table: pd.DataFrame) -> np.ndarray:
    return table["df"].to_numpy(float) if "df" in table else np.full(len(table), np.inf)


def _of_intervals(ours: pd.DataFrame, theirs: pd.DataFrame) -> _Found:
    if not {"lower", "upper", "se"} <= set(ours) & set(theirs):
        return
    limit, df = tolerances.SAME_QUANTILE.limit, _freedom(ours)
    right, own = (0.5 * (table["upper"] - table["lower"]) / table["se"] for table in (ours, theirs))
    if _same(right, own, limit):
        return
    normal = stats.norm.ppf(0.975)
    if not np.isinf(df).all() and _same(np.full(len(own), normal), own, limit):
        yield (
            "normal-quantiles",
            "Normal quantiles stand where t's belong",
            f"the candidate's intervals are {normal:.4f} standard errors wide on each side, whatever the df",
            "Take quantiles of t with the degrees of freedom of each row.",
        )
        return
    levels = [
        next((level for level in _LEVELS if _same(stats.t.ppf(0.5 + level / 2, df), quantiles, limit)), None)
        for quantiles in (right, own)
    ]
    if (level := levels[1]) is not None and levels[0] is None:
        yield (
            "not-adjusted",
            "The candidate's intervals are not adjusted for several of them",
            f"their half widths in standard errors are the quantiles of {100 * level:g}% for each alone; the "
            "reference's are of no usual level",
            "Adjust them, as adjust= says, or leave it out on both sides.",
        )
    elif level is not None:
        yield (
            "other-level",
            f"The candidate's intervals are of another level, {100 * level:g}%",
            "their half widths in standard errors are that level's quantiles",
            "Ask for the same level on both sides.",
        )


def _of_tests(ours: pd.DataFrame, theirs: pd.DataFrame) -> _Found:
    limit = tolerances.REPORTED_P.limit
    if not {"statistic", "p"} <= set(ours) & set(theirs) or _same(ours["p"], theirs["p"], limit):
        return
    upper = stats.t.sf(ours["statistic"].to_numpy(float), _freedom(ours))
    plain = 2 * stats.t.sf(np.abs(ours["statistic"].to_numpy(float)), _freedom(ours))
    several = np.minimum(1.0, plain * len(plain))
    one_sided = any(_same(ours["p"], values, limit) for values in (upper, 1 - upper, plain / 2))
    for name, title, values, remedy in (
        ("two-sided", "p-values are of both tails", plain if one_sided else np.nan * plain, "Ask for the same side."),
        ("not-adjusted", "p-values are not adjusted for several tests", plain, "Adjust them, as adjust= says."),
        ("one-sided", "p-values are of one tail", plain / 2, "Double them: the tests are two-sided."),
        ("bonferroni", "p-values are adjusted by Bonferroni's method", several, "Take the family's own adjustment."),
    ):
        if _same(theirs["p"], values, limit) and not _same(ours["p"], values, limit):
            yield name, title, "computed anew from the reference's statistics they are the candidate's", remedy
            return


def _of_estimates(ours: pd.DataFrame, theirs: pd.DataFrame) -> _Found:
    limit = tolerances.REPORTED_SE.limit
    one, other = (table["estimate"].to_numpy(float) for table in (ours, theirs))
    wrong = _wrong(ours, theirs, "estimate", limit)
    if wrong and _same(one, -other, limit):
        yield (
            "reversed",
            "Every estimate has the other sign",
            "it is the reference's with the other sign: differences are taken the other way round, or the response is",
            "emmeans' pairwise is the first level minus the second.",
        )
    if wrong and _same(np.sort(one), np.sort(other), limit):
        count = np.count_nonzero(np.abs(other - one) > limit * np.abs(one))
        yield (
            "levels-swapped",
            "Numbers stand under other levels",
            f"the candidate's {count} estimates that differ are the reference's of other rows",
            "Compare the order of the levels: the reference's is that of its factors.",
        )
    unit = ours["se"].to_numpy(float) if "se" in ours else np.abs(one)
    off = np.flatnonzero(np.abs(other - one) > limit * unit)
    if len(one) >= 3 and len(off) == 1 and not _wrong(ours, theirs, "se", limit):
        row = int(off[0])
        yield (
            "one-row",
            "One row alone differs",
            f"row {row + 1} of {len(one)}: {one[row]:.6g} there, {other[row]:.6g} here; every other estimate agrees",
            "Look at what is special to this row: an empty cell, a level's weight.",
        )
