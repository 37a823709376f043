"""R's values and Python's, side by side, and whether they agree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from validation.migrate.provenance import is_random
from validation.migrate.replay import PROBABILITIES, Replayed
from validation.migrate.script import Script
from validation.migrate.seen import holds_fits
from validation.migrate.statements import SHOWN
from validation.migrate.values import Labelled, from_r
from validation.migrate.watch import Watched
from validation.migrate.watched import VERBS
from validation.tolerances import (
    FALSE_ALARM_RATE,
    LARGEST_ESTIMATE_LIMIT,
    MCSE_DEGREES_OF_FREEDOM,
    MIGRATED_DRAWS,
    MIGRATED_EXCESS,
    MIGRATED_VALUE,
    OPTIMUM,
)

__all__ = ["Compared", "Row", "judge"]


@dataclass(frozen=True)
class Row:
    """One number: its label, R's, Python's, the largest difference that agrees, and whether it does."""

    label: str
    r: float
    python: float
    limit: float
    agrees: bool


@dataclass
class Compared:
    """One value of a watched call.

    Attributes
    ----------
    statement, line, site : int
    name : str
        R's function.
    occurrence : int
        In a loop, the how-manieth time, from 0.
    verdict : str
        ``agrees``, ``disagrees``, ``not compared``.
    why : str
    rows : list of Row
    what : str
        ``model``, ``value`` of a watched call, ``shown`` by a statement, or ``variable`` after it.
    file : str
        The file of the line, where it is not the script's own.
    """

    statement: int
    line: int
    site: int
    name: str
    occurrence: int
    verdict: str
    why: str = ""
    rows: list[Row] = field(default_factory=list)
    what: str = "value"
    file: str = ""

    @property
    def title(self) -> str:
        """Its name in the report: a function's with ``()``."""
        return f"{self.name}()" if self.what in ("model", "value") else self.name


def judge(script: Script, watched: Watched, replayed: Replayed) -> list[Compared]:
    """Compare all that R was seen to compute with what the script computed.

    Parameters
    ----------
    script : Script
    watched : Watched
    replayed : Replayed

    Returns
    -------
    list of Compared
        In R's order. A value of R whose statement is carried over but which has no counterpart disagrees.
    """
    carried = {piece.statement: piece for piece in script.pieces if piece.status == "carried"}
    marked = {span.site for span in script.spans}
    taken: dict[int, int] = {}
    found: list[Compared] = []
    slack: dict[int, float] = {}
    differs: dict[int, int] = {}  # fit -> the line of the model that differs
    stan: dict[int, Mapping[str, Any]] = {}
    fits: dict[int, Mapping[str, Any]] = {}
    posteriors = sum("stanreg" in e["fit"]["classes"] for e in watched.events if e["event"] == "fit")
    for event in watched.events:
        if event["event"] == "fit":
            fits[int(event["number"])] = event["fit"]
            if "stanreg" in event["fit"]["classes"]:
                stan[int(event["number"])] = event["fit"]
    for event in watched.events:
        if event["event"] in ("shown", "variable"):
            found += _of_statement(script, carried, event, watched, replayed, max(slack.values(), default=0.0))
        if event["event"] not in ("value", "error"):
            continue
        site, statement = int(event["site"]), int(event["statement"])
        if statement not in carried or site not in marked:
            continue
        place = script.sites[site]
        k = taken.get(site, 0)
        taken[site] = k + 1
        one = Compared(statement, place.node.line, site, place.name, k, "agrees", file=carried[statement].file)
        found.append(one)
        ours = replayed.seen.get(site, [])
        if event["event"] == "error":
            one.verdict, one.why = "not compared", "R stopped here: " + event.get("message", "")
            continue
        if k >= len(ours):
            one.verdict, one.why = "disagrees", replayed.error or "the script has no value here"
            continue
        value = event["value"]
        if value["type"] == "list" and value["items"] and all(item["type"] == "fit" for item in value["items"]):
            found.pop()  # each of its models is compared where it was fitted
            continue
        if value["type"] == "fit" and int(value["fit"]) in fits:
            one.what = "model"
            slack[int(value["fit"])] = _model(one, fits[int(value["fit"])], ours[k], posteriors)
            if one.verdict == "disagrees":
                differs.setdefault(int(value["fit"]), one.line)
            continue
        of = event.get("of")
        if is_random(place.node):
            one.verdict, one.why = "not compared", "random numbers: R's and Python's streams differ"
        elif place.name == "loo_compare" or (".HPD" in str(value.get("names", ""))):
            one.verdict, one.why = (
                "not compared",
                "computed from draws, and no posterior standard deviation to judge it by",
            )
        elif of is not None and int(of) in stan:
            _posterior_value(one, from_r(value), ours[k], stan[int(of)])
        else:
            excess = slack.get(int(of), 0.0) if of is not None else max(slack.values(), default=0.0)
            _value(one, from_r(value), ours[k], excess, modes=place.name == "ranef")
            if one.verdict == "disagrees" and of is not None and int(of) in differs:
                one.why = f"its model differs (line {differs[int(of)]})"
    return found


def _kept_of(script: Script, event: Mapping[str, Any]) -> tuple[int, str] | None:
    """The number under which a statement's value, or a variable's, was kept; and the name in the report."""
    statement = int(event["statement"])
    if event["event"] == "shown":
        marked = any(span.site == SHOWN + statement for span in script.spans)
        return (SHOWN + statement, "what it shows") if marked else None
    for one in script.kept:
        if one.statement == statement and one.name == event["name"]:
            return one.site, one.name
    return None


def _r_value(watched_frames: Mapping[int, Mapping[str, Any]], event: Mapping[str, Any]) -> Labelled:
    if event.get("frame"):
        stored = watched_frames.get(int(event["frame"]))
        return from_r({"type": "frame", **stored}) if stored else Labelled(other="data.frame")
    return from_r(event["value"])


def _of_statement(
    script: Script,
    carried: Mapping[int, Any],
    event: Mapping[str, Any],
    watched: Watched,
    replayed: Replayed,
    excess: float,
) -> list[Compared]:
    """What a statement showed, or a variable after it: as a watched call's value; of draws, only if it agrees."""
    statement = int(event["statement"])
    kept = _kept_of(script, event)
    if statement not in carried or kept is None:
        return []
    site, name = kept
    piece = carried[statement]
    ours = replayed.seen.get(site, [])
    r = _r_value(watched.frames, event)
    if holds_fits(event.get("value", {})) or not ours or not (r.numbers or r.texts):
        return []
    one = Compared(statement, piece.line, site, name, 0, "agrees", what=event["event"], file=piece.file)
    modes = any(place.statement == statement and place.name == "ranef" for place in script.sites)
    _value(one, r, ours[-1], excess, modes=modes)
    if statement in script.of_draws and one.verdict == "disagrees":
        one.verdict, one.why, one.rows = "not compared", "computed from draws", []
    return [one]


def other_shape(script: Script, watched: Watched, replayed: Replayed) -> tuple[int, str] | None:
    """The first statement that shows, or leaves in a variable, something of another shape than R's; and why not.

    Parameters
    ----------
    script : Script
    watched : Watched
    replayed : Replayed
    """
    carried = {piece.statement for piece in script.pieces if piece.status == "carried"}
    for event in watched.events:
        kept = _kept_of(script, event) if event["event"] in ("shown", "variable") else None
        if kept is None or int(event["statement"]) not in carried or holds_fits(event.get("value", {})):
            continue
        ours, r = replayed.seen.get(kept[0], []), _r_value(watched.frames, event)
        if ours and r.numbers and _pairs(r, ours[-1]) is None:
            what = f"{kept[1]}: R has {len(r.numbers)} numbers, its Python {len(ours[-1].numbers)}"
            return int(event["statement"]), what
    return None


def _pairs(r: Labelled, python: Labelled) -> "list[tuple[str, float, float]] | None":
    """Numbers that belong together: by their labels, else by their order where there are as many."""
    theirs = dict(python.numbers)
    labels = [label for label, _ in r.numbers]
    if len(theirs) == len(python.numbers) and len(set(labels)) == len(labels) and set(labels) <= set(theirs):
        return [(label, value, theirs[label]) for label, value in r.numbers]
    if len(r.numbers) == len(python.numbers):
        return [(label, value, other) for (label, value), (_, other) in zip(r.numbers, python.numbers, strict=True)]
    return None


def _value(one: Compared, r: Labelled, python: Labelled, excess: float, *, modes: bool = False) -> None:
    """Compare numbers, each by the tolerance of its column; ``modes``: whether they are conditional modes (BLUPs)."""
    if r.other and not r.numbers:
        one.verdict, one.why = "not compared", f"R's value is of class {r.other}: it holds no plain numbers"
        return
    pairs = _pairs(r, python)
    if pairs is None:
        one.verdict = "disagrees"
        one.why = f"R gives {len(r.numbers)} numbers, Python {len(python.numbers)} {python.other}".rstrip()
        return
    if not pairs:
        same = [text for _, text in r.texts] == [text for _, text in python.texts]
        one.verdict = "agrees" if same and r.texts else "not compared"
        one.why = "" if r.texts else "no numbers in it"
        return
    share = MIGRATED_VALUE.limit * max(1.0, math.sqrt(excess) / LARGEST_ESTIMATE_LIMIT)
    largest: dict[str, float] = {}
    for label, a, _ in pairs:
        column = _column(label)
        if math.isfinite(a):
            largest[column] = max(largest.get(column, 0.0), abs(a))
    for label, a, b in pairs:
        column = _column(label)
        if "Pr(" in column or column in ("p.value", "p-value"):
            # p is about exp(-t²/2): a relative change of t moves log p by twice that share of it
            limit = 2.0 * share * a * max(1.0, abs(math.log(a))) if a > 0 else 1e-300
        else:
            scale = 1.0 if modes else 0.1
            limit = share * max(abs(a), scale * largest.get(column, 0.0)) if math.isfinite(a) else 0.0
        one.rows.append(Row(label, a, b, limit, _close(a, b, limit)))
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"


def _column(label: str) -> str:
    """What numbers are of one kind: those of a column; a vector's are all of one."""
    _row, between, column = label.rpartition(" · ")
    return column if between else ""


def _close(a: float, b: float, limit: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= limit


def _model(one: Compared, fit: Mapping[str, Any], python: Labelled, posteriors: int) -> float:
    """Compare a model's estimates; returns by how much R's criterion lies above ours (units of −2 log L)."""
    theirs = dict(python.numbers)
    if "draws" in fit:
        _posterior(one, fit, theirs, posteriors)
        return 0.0
    excess = 0.0
    names = ("fixef", "theta", "sigma", "logLik", "nobs", "ngrps", "components", "ranef")
    r = {name: from_r(fit[name], name) for name in names if isinstance(fit.get(name), Mapping)}
    if "logLik" in r and "logLik" in theirs:
        a, b = r["logLik"].numbers[0][1], theirs["logLik"]
        excess = 2.0 * (b - a)
        lower = -OPTIMUM.limit <= excess <= MIGRATED_EXCESS.limit
        one.rows.append(Row("logLik", a, b, OPTIMUM.limit / 2.0, lower))
        if excess > MIGRATED_EXCESS.limit:
            one.why = (
                f"R's optimizer stopped {excess:.3g} above the optimum (in -2 log L): Python's fit is the better one"
            )
        elif excess < -OPTIMUM.limit:
            one.why = f"Python's criterion is {-excess:.3g} above R's (in -2 log L)"
    limit = max(LARGEST_ESTIMATE_LIMIT, 2.0 * math.sqrt(max(excess, 0.0)))
    errors = {}
    if isinstance(fit.get("coefficients"), Mapping):
        errors = {
            label.split(" · ")[0]: value
            for label, value in from_r(fit["coefficients"]).numbers
            if label.endswith("Std. Error")
        }
    share = MIGRATED_VALUE.limit * limit / LARGEST_ESTIMATE_LIMIT
    for name, labelled in r.items():
        if name == "logLik":
            continue
        numbers = [(label, value) for label, value in labelled.numbers]
        largest = max((abs(value) for _, value in numbers if math.isfinite(value)), default=0.0)
        for label, a in numbers:
            b = theirs.get(label, math.nan)
            if name in ("nobs", "ngrps"):
                allowed = 0.0
            elif name == "fixef":
                allowed = limit * errors.get(label.partition(" · ")[2], abs(a))
            else:
                allowed = share * max(abs(a), largest)
            allowed = allowed if math.isfinite(allowed) else 0.0
            one.rows.append(Row(label, a, b, allowed, _close(a, b, allowed)))
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"
    return max(excess, 0.0)


def _draw_table(fit: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    out = {}
    for label, value in from_r(fit["draws"]).numbers:
        parameter, _, column = label.rpartition(" · ")
        out[parameter, column] = value
    return out


def _posterior(one: Compared, fit: Mapping[str, Any], theirs: Mapping[str, float], posteriors: int) -> None:
    """Means and quantiles by their Monte Carlo errors (gate 3), all of a script's posteriors together at one rate."""
    table = _draw_table(fit)
    parameters = [parameter for parameter, column in table if column == "mean"]
    tests = max(1, (1 + len(PROBABILITIES) - 2) * len(parameters) * max(1, posteriors))
    z = float(stats.t.isf(FALSE_ALARM_RATE / tests / 2.0, MCSE_DEGREES_OF_FREEDOM))
    for parameter in parameters:
        sd, size = table[parameter, "sd"], table.get((parameter, "n_eff"), math.nan)
        size = 1000.0 if not math.isfinite(size) else max(size, 4.0)
        ours = theirs.get(f"draws · {parameter} · n_eff", math.nan)
        ours = 1000.0 if not math.isfinite(ours) else max(ours, 4.0)
        error = sd * math.sqrt(1.0 / size + 1.0 / ours)
        other = theirs.get(f"draws · {parameter} · sd", math.nan)
        a, b = table[parameter, "mean"], theirs.get(f"draws · {parameter} · mean", math.nan)
        # of a heavy tail one side's sd can be far too small: the larger one is the error's
        limit = z * error * max(1.0, other / sd if sd > 0 and math.isfinite(other) else 1.0)
        one.rows.append(Row(f"{parameter} · mean", a, b, limit, _close(a, b, limit)))
        r = {p: table[parameter, f"{100 * p:g}%"] for p in PROBABILITIES if (parameter, f"{100 * p:g}%") in table}
        python = {p: theirs.get(f"draws · {parameter} · {100 * p:g}%", math.nan) for p in r}
        for p, limit in _quantile_limits(r, python, z * math.sqrt(1.0 / size + 1.0 / ours)).items():
            label = f"{parameter} · {100 * p:g}%"
            one.rows.append(Row(label, r[p], python[p], limit, _close(r[p], python[p], limit)))
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"
    one.why = one.why or f"within {z:.1f} Monte Carlo standard errors" if one.verdict == "agrees" else one.why


def _quantile_limits(r: Mapping[float, float], python: Mapping[float, float], share: float) -> dict[float, float]:
    """How far quantiles may lie apart: the error of a probability, √(p(1−p)/n), times the slope of the quantiles there.

    The slope is between the neighbours, of both sides' quantiles. A quantile's error needs no moments, so that it holds
    for heavy tails too, where that of a standard deviation does not exist.
    """
    known = sorted(r)
    limits = {}
    for before, p, after in zip(known, known[1:], known[2:], strict=False):
        slope = max(one[after] - one[before] for one in (r, python)) / (after - before)
        limits[p] = share * math.sqrt(p * (1.0 - p)) * slope
    return limits


def _posterior_value(one: Compared, r: Labelled, python: Labelled, fit: Mapping[str, Any]) -> None:
    """A number computed from draws: within what the Monte Carlo errors of both sides allow."""
    if r.other and not r.numbers:
        one.verdict, one.why = "not compared", f"R's value is of class {r.other}: it holds no plain numbers"
        return
    pairs = _pairs(r, python)
    if not pairs:
        one.verdict, one.why = "not compared", "R's and Python's values have different shapes; both are draws"
        return
    if VERBS.get(one.name) is not None and VERBS[one.name].gives == "draws" and len(pairs) >= 200:
        _draws(one, pairs, fit)
        return
    table = _draw_table(fit)
    sds = {parameter: value for (parameter, column), value in table.items() if column == "sd"}
    sizes = {parameter: value for (parameter, column), value in table.items() if column == "n_eff"}
    for label, a, b in pairs:
        parts = label.split(" · ") if label else [one.name]
        parameter = next((part for part in parts if part in sds), None)
        if parameter is None or parts[-1] in ("n_eff", "Rhat", "mcse", "ess"):
            continue
        size = sizes.get(parameter, math.nan)
        size = max(4.0, size) if math.isfinite(size) else 400.0  # what R-hat below 1.01 asks for
        # both sides' errors; a quantile in the tail (2.5 %) has some seven times the variance of a mean
        limit = MIGRATED_DRAWS.limit * sds[parameter] * math.sqrt(2.0 * 7.0 / size)
        one.rows.append(Row(label, a, b, limit, _close(a, b, limit)))
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"
    elif not one.rows:
        one.verdict, one.why = "not compared", "no posterior standard deviation of R's to judge it by"


def _draws(one: Compared, pairs: list[tuple[str, float, float]], fit: Mapping[str, Any]) -> None:
    """Draws themselves: nothing but their distribution can agree, so their means and sds are compared, by column."""
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for label, a, b in pairs:
        theirs, ours = columns.setdefault(_column(label), ([], []))
        theirs.append(a)
        ours.append(b)
    sizes = {label.rpartition(" · ")[0]: n for label, n in from_r(fit["draws"]).numbers if label.endswith(" · n_eff")}
    z = float(stats.t.isf(FALSE_ALARM_RATE / (4.0 * len(columns)), MCSE_DEGREES_OF_FREEDOM))
    for column, (theirs, ours) in columns.items():
        size = sizes.get(column, math.nan)
        size = max(4.0, size) if math.isfinite(size) else 400.0
        limit = z * float(np.std(theirs)) * math.sqrt(2.0 / min(size, len(theirs)))
        for what, a, b in (("mean", np.mean(theirs), np.mean(ours)), ("sd", np.std(theirs), np.std(ours))):
            name = f"{column} · {what}" if column else what
            one.rows.append(Row(name, float(a), float(b), limit, _close(float(a), float(b), limit)))
    one.why = "draws: compared by the means and standard deviations of their columns"
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"
