"""Confidence intervals of two implementations, joined by what they are: never by ``.sig02``.

lme4 2.0 changed which standard deviation or correlation ``.sig01``, ``.sig02``, ... is, and kept the names: a join by
name compares a correlation with a standard deviation without a word. Here a table is first read in the words of the
version that made it (:mod:`pyimpl.likelihood.parameters`), and joined by quantity, grouping factor and effects.
"""

import math
from dataclasses import replace

import pandas as pd

from pyimpl.covariance.structures import covariance_of
from pyimpl.likelihood.parameters import Parameters
from r_scripts.dialect import Dialect
from validation.compare import describe_side
from validation.comparison import Comparison
from validation.contract import LinearMixedFit
from validation.covariances import structures_of
from validation.judge.rows import Row, conclude, judge_number, table_of
from validation.quantities import KEYS, Key, named
from validation.references.provenance import dialect_of, r_versions
from validation.tolerances import ENDS


def dialect_of_fit(fit: LinearMixedFit) -> Dialect | None:
    """In whose words a fit speaks: its own ``dialect``, live R's for a fit of the bridge, or its provenance's."""
    own = getattr(fit, "dialect", None)
    if isinstance(own, Dialect):
        return own
    if type(fit).__module__.partition(".")[0] == "bridge":
        return dialect_of(r_versions()) or Dialect.of(None)
    return dialect_of(getattr(fit, "provenance", None))


def tidy_intervals(table: pd.DataFrame, fit: LinearMixedFit, dialect: Dialect | None = None) -> pd.DataFrame:
    """A table of ``confint`` by what its rows are.

    Parameters
    ----------
    table : DataFrame
        Parameter x lower and upper end; rows named as by lme4, with ``.sig01``, ... or ``sd_(Intercept)|g``, ....
    fit : LinearMixedFit
        What the intervals are of: its ``VarCorr()`` and ``fixef()`` say which parameters there are.
    dialect : Dialect, optional
        The version whose names the rows have; the fit's own where not given.

    Returns
    -------
    DataFrame
        Columns quantity (``sd``, ``correlation``, ``sigma``, ``fixef``), group, term, term2, lower, upper. The two
        effects of a correlation are in alphabetical order.

    Raises
    ------
    ValueError
        Rows are named ``.sig01``, ... and no version is known; a row names no parameter of the fit, or twice the same.
    """
    spoken = dialect or dialect_of_fit(fit)
    names = [str(name) for name in table.index]
    if spoken is None:
        if any(name.startswith(".sig") and name != ".sigma" for name in names):
            raise ValueError(
                "the intervals are named .sig01, .sig02, ...: what that is depends on lme4's version, which is not "
                "known here; give dialect= (such as '1.1-37'), or names as of confint(signames = FALSE)"
            )
        spoken = Dialect.of(None)
    effects_of, structures = _terms(fit), structures_of(fit)
    covariances = None
    if structures is not None:
        pairs = zip(effects_of, structures, strict=True)
        covariances = [covariance_of(one.name, len(effects), one.hom) for (_, effects), one in pairs]
    parameters = Parameters(effects_of, [str(name) for name in fit.fixef().index], spoken, covariances)
    spellings = (parameters.names(signames) for signames in (False, True))
    known = {name: one for own in spellings for name, one in zip(own, parameters.meanings, strict=True)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"the intervals have a row {unknown[0]!r}; the fit has {', '.join(parameters.names())} or "
            f"{', '.join(parameters.names(signames=False)[: parameters.n_variance])}"
        )
    rows = []
    for name, ends in zip(names, table.iloc[:, :2].to_numpy(dtype=float), strict=True):
        one = known[name]
        terms = sorted((one.term, one.term2)) if one.quantity == "correlation" and one.term2 else (one.term, one.term2)
        rows.append((one.quantity, one.group, *terms, *ends))
    found = pd.DataFrame(rows, columns=[*KEYS[:4], "lower", "upper"])
    twice = found.duplicated(list(KEYS[:4]))
    if twice.any():
        raise ValueError(f"the intervals have a parameter twice: {names[int(twice.argmax())]!r}")
    return found


def _terms(fit: LinearMixedFit) -> list[tuple[str, list[str]]]:
    """Grouping factor and effects of each term, in the fit's order, from its ``VarCorr()``."""
    table = fit.VarCorr()
    variances = table[table["var1"].notna() & table["var2"].isna()]
    return [(str(group), part["var1"].astype(str).tolist()) for group, part in variances.groupby("grp", sort=False)]


def judge_intervals(reference: pd.DataFrame, candidate: pd.DataFrame) -> list[Row]:
    """Judge two tables of :func:`tidy_intervals`: an end in units of the reference's width.

    Returns
    -------
    list of Row
        One for each end; ``level`` says which. What one side lacks is missing.
    """
    left, right = _ends(reference), _ends(candidate)
    widths = {key: left[*key[:4], "upper"] - left[*key[:4], "lower"] for key in left}
    return [
        judge_number(key, left.get(key), right.get(key), widths.get(key, math.nan), ENDS)
        for key in dict.fromkeys([*left, *right])
    ]


def _ends(table: pd.DataFrame) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for quantity, group, term, term2, *ends in table.itertuples(index=False, name=None):
        for end, value in zip(("lower", "upper"), ends, strict=True):
            found[named(quantity, group or None, term or None, term2 or None, end)] = float(value)
    return found


def compare_intervals(
    reference: LinearMixedFit,
    candidate: LinearMixedFit,
    *,
    method: str = "profile",
    level: float = 0.95,
    reference_dialect: Dialect | None = None,
    candidate_dialect: Dialect | None = None,
) -> Comparison:
    """Judge whether the confidence intervals of two fits of one model agree, joined by what they are.

    Parameters
    ----------
    reference, candidate : LinearMixedFit
        Fits with ``confint(method=, level=)``.
    method : {"profile", "Wald"}
    level : float
    reference_dialect, candidate_dialect : Dialect, optional
        The version whose names a side has, where the fit does not say.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Names of which the version is not known, or that are no parameters of the fit; a fit without ``confint``.
    """
    tables, sides = [], []
    for fit, dialect in ((reference, reference_dialect), (candidate, candidate_dialect)):
        confint, spoken = getattr(fit, "confint", None), dialect or dialect_of_fit(fit)
        if not callable(confint):
            raise ValueError(f"{type(fit).__name__} has no confint(); judge_intervals() takes tables")
        tables.append(tidy_intervals(confint(method=method, level=level), fit, spoken))
        sides.append(replace(describe_side(fit), provenance={} if spoken is None else dict(spoken.versions)))
    rows = judge_intervals(*tables)
    ends = sum(not row.verdict.failed for row in rows)
    formula = str(getattr(reference, "formula", ""))
    checks, rows = conclude([("intervals", (rows, f"{ends} of {len(rows)} ends agree"), ENDS.reason)])
    title = f"{level:.4g} {method} intervals: {formula}"
    return Comparison(title, formula, "likelihood", sides[0], sides[1], tuple(checks), table_of(rows))
