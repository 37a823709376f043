"""Likelihood fits of another model, or of other data, than was asked for."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from validation.faults.bases import Base
from validation.faults.changed_numbers import (
    at_theta,
)
from validation.references.recorded import RecordedLmerFit

__all__ = [
    "centred",
    "contrasts",
    "dropped_rows",
    "filled_in",
    "formula",
    "lost_column",
    "missing_as_integer",
    "missing_as_level",
    "moved_pupil",
    "off_boundary",
    "ordered",
    "other_response",
    "recoded_value",
    "relevelled",
    "renamed",
    "rescaled",
    "standardised",
]


def _used(base: Base) -> pd.DataFrame:
    """The rows that the right fit uses."""
    return base.data.loc[base.fit.y.index]


def lost_column(base: Base) -> RecordedLmerFit:
    """A variable is gone from the fixed effects."""
    fixed, bar, random = base.formula.partition("(")
    variable = next(f"{name} + " for name in ("ses", "arm", "people", "`home status`") if f"{name} + " in fixed)
    if "offset" in base.formula:
        return base.refit(base.formula.replace(variable, ""), data=_used(base))
    return base.refit(fixed.replace(variable, "1 + ") + bar + random, data=_used(base))


def relevelled(base: Base) -> RecordedLmerFit:
    """Another level of ``arm`` is the first."""
    arm = base.data["arm"].cat.reorder_categories(["tutor", "control", "books", "both"])
    return base.refit(data=base.data.assign(arm=arm))


def ordered(base: Base) -> RecordedLmerFit:
    """``arm`` was taken for an ordered factor."""
    return base.refit(data=base.data.assign(arm=base.data["arm"].cat.as_ordered()))


def contrasts(name: str) -> Callable[[Base, float], RecordedLmerFit]:
    """A factor coded by other contrasts."""
    return lambda base, size: base.refit(contrasts={"arm": name})


def centred(base: Base) -> RecordedLmerFit:
    """The predictor is centred on one side."""
    return base.refit(data=base.data.assign(ses=base.data["ses"] - _used(base)["ses"].mean()))


def standardised(base: Base) -> RecordedLmerFit:
    """The predictor is standardised on one side, by numpy's sd."""
    ses = _used(base)["ses"]
    return base.refit(data=base.data.assign(ses=(base.data["ses"] - ses.mean()) / ses.std(ddof=0)))


def rescaled(base: Base, size: float) -> RecordedLmerFit:
    """The predictor is in another unit."""
    return base.refit(data=base.data.assign(ses=base.data["ses"] * (1 + size)))


def renamed(base: Base) -> RecordedLmerFit:
    """Coefficients under the names of another library."""
    names = [str(name).replace("(Intercept)", "Intercept").replace("arm", "arm[T.") for name in base.fit.X.columns]
    fit = base.fit
    return replace(
        fit,
        X=fit.X.set_axis(names, axis=1),
        coefficients=fit.coefficients.set_axis(names, axis=0),
        covariance=fit.covariance.set_axis(names, axis=0).set_axis(names, axis=1),
    )


def dropped_rows(base: Base, size: float) -> RecordedLmerFit:
    """Some rows are dropped."""
    lost = _used(base).index[:: max(1, round(len(base.fit.y) / size))][: max(1, round(size))]
    return base.refit(data=base.data.drop(lost))


def filled_in(base: Base) -> RecordedLmerFit:
    """Missing values are replaced by the mean in place of their rows being dropped."""
    data = base.data.copy()
    for name in map(base.column, ("score", "ses")):
        data[name] = data[name].fillna(data[name].mean())
    return base.refit(data=data)


def missing_as_level(base: Base) -> RecordedLmerFit:
    """A missing school is a school called ``nan``."""
    school = base.column("school")
    filled = base.data[school].astype(object).fillna("nan").astype("category")
    return base.refit(data=base.data.assign(**{school: filled}))


def missing_as_integer(base: Base) -> RecordedLmerFit:
    """R's missing integer, −2147483648, is read as a number."""
    return base.refit(data=base.data.assign(ses=base.data["ses"].fillna(-2147483648.0)))


def moved_pupil(base: Base) -> RecordedLmerFit:
    """One row belongs to another school."""
    data = base.data.copy()
    row = base.fit.y.index[3]
    school = base.column("school")
    levels = [level for level in data[school].cat.categories if level != data.loc[row, school]]
    data.loc[row, school] = levels[0]
    return base.refit(data=data)


def recoded_value(base: Base, size: float) -> RecordedLmerFit:
    """One pupil's score is another one."""
    data = base.data.copy()
    row = base.fit.y.index[10]
    data.loc[row, base.column("score")] += size
    return base.refit(data=data)


def other_response(base: Base) -> RecordedLmerFit:
    """The response is centred and divided by its sd."""
    name = base.column("score")
    score = _used(base)[name]
    return base.refit(data=base.data.assign(**{name: (base.data[name] - score.mean()) / score.std()}))


def off_boundary(base: Base, size: float) -> RecordedLmerFit:
    """A variance that should be 0 is not."""
    return at_theta(base.fit, base.fit.theta.to_numpy() + size)


def formula(change: Callable[[str], str]) -> Callable[[Base, float], RecordedLmerFit]:
    """Another formula; one that the change leaves as it is plants nothing, and is an error."""

    def plant(base: Base, size: float) -> RecordedLmerFit:
        changed = change(base.formula)
        if changed == base.formula:
            raise ValueError(f"the fault does not change {base.formula!r}")
        return base.refit(changed)

    return plant
