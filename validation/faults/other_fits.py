"""Likelihood fits of another model, or of other data, than was asked for."""

from dataclasses import replace
from functools import partial

import pandas as pd

from validation.faults.bases import BaseFit
from validation.faults.changed_numbers import at_theta
from validation.faults.fault import FaultSize, fault
from validation.references.recorded import RecordedLmerFit


def _used(base: BaseFit) -> pd.DataFrame:
    """The rows that the right fit uses."""
    return base.data.loc[base.fit.y.index]


@fault(12, "a lost column", "lost-column", without="no fixed effects, aliased")
def _lost_column(base: BaseFit) -> RecordedLmerFit:
    fixed, bar, random = base.formula.partition("(")
    variable = next(f"{name} + " for name in ("ses", "arm", "people", "`home status`") if f"{name} + " in fixed)
    if "offset" in base.formula:
        return base.refit(base.formula.replace(variable, ""), data=_used(base))
    return base.refit(fixed.replace(variable, "1 + ") + bar + random, data=_used(base))


@fault(3, "another reference level", "coding-reference-level", needs="categorical")
def _relevelled(base: BaseFit) -> RecordedLmerFit:
    arm = base.data["arm"].cat.reorder_categories(["tutor", "control", "books", "both"])
    return base.refit(data=base.data.assign(arm=arm))


fault(3, "factor taken as ordered", "coding-polynomial", needs="categorical")(
    lambda base: base.refit(data=base.data.assign(arm=base.data["arm"].cat.as_ordered()))
)


fault(3, "predictor centred", "coding-centred", needs="predictor", without="singular")(
    lambda base: base.refit(data=base.data.assign(ses=base.data["ses"] - _used(base)["ses"].mean()))
)


@fault(3, "predictor standardised", "coding-scaled", needs="predictor")
def _standardised(base: BaseFit) -> RecordedLmerFit:
    ses = _used(base)["ses"]
    return base.refit(data=base.data.assign(ses=(base.data["ses"] - ses.mean()) / ses.std(ddof=0)))


fault(
    3,
    "predictor in another unit",
    "coding-scaled",
    needs="predictor",
    sized=FaultSize(9.0, 1e-12, "share of the predictor"),
)(lambda base, size: base.refit(data=base.data.assign(ses=base.data["ses"] * (1 + size))))


@fault(3, "coefficients renamed", "coding-names")
def _renamed(base: BaseFit) -> RecordedLmerFit:
    names = [str(name).replace("(Intercept)", "Intercept").replace("arm", "arm[T.") for name in base.fit.X.columns]
    fit = base.fit
    return replace(
        fit,
        X=fit.X.set_axis(names, axis=1),
        coefficients=fit.coefficients.set_axis(names, axis=0),
        covariance=fit.covariance.set_axis(names, axis=0).set_axis(names, axis=1),
    )


@fault(4, "rows dropped", "rows", sized=FaultSize(20.0, 1.0, "rows"))
def _dropped_rows(base: BaseFit, size: float) -> RecordedLmerFit:
    lost = _used(base).index[:: max(1, round(len(base.fit.y) / size))][: max(1, round(size))]
    return base.refit(data=base.data.drop(lost))


@fault(4, "missing values filled in", "rows", without="singular, nested")
def _filled_in(base: BaseFit) -> RecordedLmerFit:
    data = base.data.copy()
    for name in map(base.column, ("score", "ses")):
        data[name] = data[name].fillna(data[name].mean())
    return base.refit(data=data)


@fault(4, "missing value as a level", "missing-as-level", without="singular, nested")
def _missing_as_level(base: BaseFit) -> RecordedLmerFit:
    school = base.column("school")
    filled = base.data[school].astype(object).fillna("nan").astype("category")
    return base.refit(data=base.data.assign(**{school: filled}))


@fault(
    4, "missing integer as a number", "missing-as-integer", needs="predictor", without="singular, slope of predictor"
)
def missing_as_integer(base: BaseFit) -> RecordedLmerFit:
    """R's missing integer, −2147483648, is read as a number."""
    return base.refit(data=base.data.assign(ses=base.data["ses"].fillna(-2147483648.0)))


@fault(4, "a pupil in another school", "data-values", without="nested")
def _moved_pupil(base: BaseFit) -> RecordedLmerFit:
    data = base.data.copy()
    row = base.fit.y.index[3]
    school = base.column("school")
    levels = [level for level in data[school].cat.categories if level != data.loc[row, school]]
    data.loc[row, school] = levels[0]
    return base.refit(data=data)


@fault(4, "one value recoded", "data-values", without="singular", sized=FaultSize(10.0, 1e-9, "units of y"))
def _recoded_value(base: BaseFit, size: float) -> RecordedLmerFit:
    data = base.data.copy()
    row = base.fit.y.index[10]
    data.loc[row, base.column("score")] += size
    return base.refit(data=data)


@fault(4, "response standardised", "response-scaled", without="weighted")
def _other_response(base: BaseFit) -> RecordedLmerFit:
    name = base.column("score")
    score = _used(base)[name]
    return base.refit(data=base.data.assign(**{name: (base.data[name] - score.mean()) / score.std()}))


fault(6, "a variance kept off 0", "boundary", needs="singular", sized=FaultSize(0.1, 1e-9, "theta in place of 0"))(
    lambda base, size: at_theta(base.fit, base.fit.theta.to_numpy() + size)
)


def _formula(base: BaseFit, old: str, new: str) -> RecordedLmerFit:
    """Another formula; one that the change leaves as it is plants nothing, and is an error."""
    changed = base.formula.replace(old, new)
    if changed == base.formula:
        raise ValueError(f"the fault does not change {base.formula!r}")
    return base.refit(changed)


#: Name of a fault, what it is called, tags that it needs and that it must not meet, and the change of the formula.
_FORMULAS = (
    ("correlation lost (||)", "correlation-lost", "slopes", "", "(ses | school)", "(ses || school)"),
    ("random intercept lost", "random-intercept-lost", "slopes", "", "(ses | school)", "(0 + ses | school)"),
    ("random slope lost", "random-terms", "slopes", "", "(ses | school)", "(1 | school)"),
    ("fixed intercept lost", "intercept-lost", "", "categorical, singular, no fixed effects", "~ ", "~ 0 + "),
    ("nested taken as crossed", "crossed-vs-nested", "nested", "", "school/room", "school) + (1 | room"),
    ("crossed taken as nested", "crossed-vs-nested", "crossed", "", "(1 | school) + (1 | rater)", "(1 | school/rater)"),
    ("a term lost", "crossed-vs-nested", "crossed", "", " + (1 | rater)", ""),
    ("offset ignored", "lost-offset", "weighted", "", "offset(handicap) + ", ""),
)
for _name, _cause, _needs, _without, _old, _new in _FORMULAS:
    fault(12 if "offset" in _name else 7, _name, _cause, needs=_needs, without=_without)(
        partial(_formula, old=_old, new=_new)
    )
fault(12, "weights ignored", "lost-weights", needs="weighted")(lambda base: base.refit(weights=None))
for _name, _contrasts in (("sum", "contr.sum"), ("Helmert", "contr.helmert")):
    fault(3, f"{_name} contrasts", f"coding-{_name.casefold()}", needs="categorical")(
        lambda base, contrasts=_contrasts: base.refit(contrasts={"arm": contrasts})
    )
