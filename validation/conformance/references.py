"""What a candidate is judged by: certified values, recorded R, or live R."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from validation.cases import Case
from validation.compare import DEFAULT_SEED, NoReferenceError
from validation.comparison import Side
from validation.conformance.candidate import CandidateError
from validation.conformance.cases import all_cases
from validation.references import certified

__all__ = ["SOURCES", "Reference", "available", "reference_of", "settle"]

#: Where references come from.
SOURCES = ("auto", "certified", "recorded", "live")


@dataclass(frozen=True)
class Reference:
    """The reference's fit of a case, the data of both sides, and how the report calls it."""

    fit: Any
    data: pd.DataFrame
    side: Side


def settle(source: str) -> str:
    """Decide what ``"auto"`` means here: the best that there is for each case.

    Certified values first, for they have no error; for what is not certified live R where it can be used, recorded R
    where not.

    Parameters
    ----------
    source : str
        One of :data:`SOURCES`, or several of them in the order of preference: ``"certified+recorded"``.

    Returns
    -------
    str
        ``"certified"``, ``"recorded"``, ``"live"``, or several joined by ``+``.

    Raises
    ------
    validation.conformance.candidate.CandidateError
        No such source.
    validation.campaign.NoRError
        Live R was asked for and cannot be used.
    """
    from validation.campaign import resolve

    parts = source.split("+")
    if not set(parts) <= set(SOURCES) or ("auto" in parts and len(parts) > 1):
        raise CandidateError(
            f"--reference {source!r}: it is {', '.join(SOURCES)}, or several in the order of preference, as in "
            "certified+recorded"
        )
    if source == "auto":
        return f"certified+{resolve('auto').against}"
    if "live" in parts:
        resolve("live")
    return source


def available(source: str) -> frozenset[str]:
    """Names of the cases that a source, or one of several joined by ``+``, can judge."""
    if "+" in source:
        return frozenset().union(*(available(part) for part in source.split("+")))
    names = {case.name for case in all_cases()}
    if source == "certified":
        return frozenset(names & set(certified.available()))
    names = {case.name for case in all_cases() if not case.certified_only}
    if source == "recorded":
        from validation.references import store

        names &= set(store.names())
    return frozenset(names)


def reference_of(case: Case, source: str, seed: int = DEFAULT_SEED) -> Reference:
    """The reference's fit of a case.

    Parameters
    ----------
    case : Case
    source : str
        ``"certified"``, ``"recorded"`` or ``"live"``; or several joined by ``+``, the first that has the case.
    seed : int
        Of live rstanarm.

    Raises
    ------
    validation.compare.NoReferenceError
        The source does not have the case, or has it of other data.
    """
    if "+" in source:
        reasons = []
        for part in source.split("+"):
            if part != "certified" and case.certified_only:
                continue
            try:
                return reference_of(case, part, seed)
            except NoReferenceError as error:
                reasons.append(f"{part}: {error}")
        raise NoReferenceError("; ".join(reasons))
    if source == "live":
        return _live(case, seed)
    data = _data(case, source)
    if source == "certified":
        if case.options:
            raise NoReferenceError(f"no model with {', '.join(case.options)} is certified")
        if case.name not in certified.available():
            raise NoReferenceError(f"there are no certified values of {case.name}")
        fit, _, side = certified.find(case.formula, data, case.kind, case.REML, case.name)
        return Reference(fit, data, side)
    return _recorded(case, data)


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
    return Reference(_with_options(record.fit, case, data), data, record.side)


def _with_options(fit: Any, case: Case, data: pd.DataFrame) -> Any:
    """The recorded fit with the case's weights and offset, which the judge's own algebra needs."""
    lacking = {name: case.options[name] for name in ("weights", "offset") if name in case.options}
    lacking = {name: value for name, value in lacking.items() if getattr(fit, name, None) is None}
    if not lacking or not hasattr(fit, "y"):
        return fit
    used = pd.Index(data.index.astype(str)).get_indexer(fit.fitted().index.astype(str))
    return replace(fit, **{name: np.asarray(value, dtype=float)[used] for name, value in lacking.items()})


def _live(case: Case, seed: int) -> Reference:
    import time
    import warnings

    from validation.compare import live_r_side

    data = case.load("live")
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are fields of the fit and become notes
        if case.kind == "bayes":
            from bridge import rstanarm

            fit: Any = rstanarm.stan_lmer(case.formula, data, seed=seed, **case.options)
            return Reference(fit, data, live_r_side("rstanarm", data, time.perf_counter() - started, {"seed": seed}))
        from bridge import lme4

        fit = lme4.lmer(case.formula, data, REML=case.REML, control="tight", **case.options)
    return Reference(fit, data, live_r_side("lme4", data, time.perf_counter() - started, {"optimizer": "tight"}))
