"""What a candidate is judged by: certified values, recorded R, or live R."""

import importlib
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from validation.cases import Case
from validation.compare import DEFAULT_SEED, NoReferenceError
from validation.comparison import Side
from validation.conformance.candidate import CandidateError
from validation.conformance.cases import CERTIFIED_ONLY, all_cases

__all__ = ["SOURCES", "Reference", "available", "reference_of", "settle"]

Source = Literal["auto", "certified", "recorded", "live"]

#: Where references come from.
SOURCES: tuple[Source, ...] = ("auto", "certified", "recorded", "live")


@dataclass(frozen=True)
class Reference:
    """The reference's fit of a case, the data of both sides, and how the report calls it."""

    fit: Any
    data: pd.DataFrame
    side: Side


def settle(source: str) -> Source:
    """Decide what ``"auto"`` means here: live R where it can be used, recorded references where not.

    Raises
    ------
    validation.campaign.NoRError
        Live R was asked for and cannot be used.
    validation.compare.NoReferenceError
        Certified values were asked for, and there are none in this installation.
    """
    from validation.campaign import resolve

    if source not in SOURCES:
        raise CandidateError(f"--reference {source!r}: it is {', '.join(SOURCES)}")
    if source == "certified":
        _certified()
        return "certified"
    return resolve(source).against


def available(source: str) -> frozenset[str]:
    """Names of the cases that a source can judge."""
    if source == "certified":
        return frozenset(_certified().available())
    names = {case.name for case in all_cases() if case.name.rpartition("-")[0] not in CERTIFIED_ONLY}
    if source == "recorded":
        from validation.references import store

        names &= set(store.names())
    return frozenset(names)


def reference_of(case: Case, source: str, seed: int = DEFAULT_SEED) -> Reference:
    """The reference's fit of a case.

    Parameters
    ----------
    case : Case
    source : {"certified", "recorded", "live"}
    seed : int
        Of live rstanarm.

    Raises
    ------
    validation.compare.NoReferenceError
        The source does not have the case, or has it of other data.
    """
    if source == "live":
        return _live(case, seed)
    data = _data(case, source)
    if source == "certified":
        module = _certified()
        if case.name not in module.available():
            raise NoReferenceError(f"there are no certified values of {case.name}")
        fit = module.load(case.name)
        label = str(getattr(fit, "label", "") or "certified values")
        return Reference(fit, data, Side(label, "certified", dict(getattr(fit, "provenance", {}) or {})))
    return _recorded(case, data)


def _certified() -> Any:
    try:
        return importlib.import_module("validation.references.certified")
    except ModuleNotFoundError:
        raise NoReferenceError(
            "there are no certified values in this installation; judge by --reference recorded or live"
        ) from None


def _data(case: Case, source: str) -> pd.DataFrame:
    if isinstance(case.data, pd.DataFrame):
        return case.load()
    try:
        return case.load("recorded")
    except LookupError as error:
        if source == "recorded":
            raise NoReferenceError(f"the data of {case.name} are not recorded: {error}") from None
        return case.load("auto")


def _recorded(case: Case, data: pd.DataFrame) -> Reference:
    from validation.references import store

    try:
        record = store.load(case.name)
    except LookupError as error:
        raise NoReferenceError(str(error)) from None
    if record.formula != case.formula or record.model_hash != store.model_hash(case.formula, data):
        raise NoReferenceError(f"{case.name} was recorded on other data, or with another formula")
    return Reference(record.fit, data, record.side)


def _live(case: Case, seed: int) -> Reference:
    import time
    import warnings

    from validation.compare import _r_side

    data = case.load("live")
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are fields of the fit and become notes
        if case.kind == "bayes":
            from bridge import rstanarm

            fit: Any = rstanarm.stan_lmer(case.formula, data, seed=seed, **case.options)
            return Reference(fit, data, _r_side("rstanarm", data, time.perf_counter() - started, {"seed": seed}))
        from bridge import lme4

        fit = lme4.lmer(case.formula, data, REML=case.REML, control="tight", **case.options)
    return Reference(fit, data, _r_side("lme4", data, time.perf_counter() - started, {"optimizer": "tight"}))
