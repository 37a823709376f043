"""R's values and Python's, side by side, and whether they agree."""

import math
from collections.abc import Mapping
from typing import Any

from scipy import stats

from validation.migrate.compared import Compared, Row, close, compare_values, of_one_kind, paired
from validation.migrate.random_values import Drawn, judge_drawn
from validation.migrate.replay import AT_R, PROBABILITIES, Replayed
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
    MIGRATED_EXCESS,
    MIGRATED_VALUE,
    OPTIMUM,
)

__all__ = ["judge", "other_shape", "thetas_of", "unproved"]

#: ``lme4::isSingular``'s tolerance: a θ below it is at the boundary.
SINGULAR = 1e-4


def judge(script: Script, watched: Watched, replayed: Replayed) -> list[Compared]:
    """Compare all that R was seen to compute with what the script computed.

    Returns
    -------
    list of Compared
        In R's order. A value of R whose statement is carried over but which has no counterpart disagrees.
    """
    return _Judge(script, watched, replayed).all()


class _Judge:
    """Goes through what R was seen to do, in its order."""

    def __init__(self, script: Script, watched: Watched, replayed: Replayed) -> None:
        self.script, self.watched, self.replayed = script, watched, replayed
        self.carried = {piece.statement: piece for piece in script.pieces if piece.status == "carried"}
        self.marked = {span.site for span in script.spans}
        self.fits = {int(e["number"]): e["fit"] for e in watched.events if e["event"] == "fit"}
        self.posteriors = sum("stanreg" in fit["classes"] for fit in self.fits.values())
        self.slack: dict[int, float] = {}
        self.flat: dict[int, str] = {}  # fit -> why its θ is not determined as closely as R's and Python's differ
        self.differs: dict[int, int] = {}  # fit -> the line of the model that differs
        self.sizes: dict[int, dict[str, tuple[float, float]]] = {}  # posterior -> effective sample sizes
        self.waiting: list[Drawn] = []
        self.times = max((_times(event, script) for event in watched.events), default=0)

    def all(self) -> list[Compared]:
        """All that was compared."""
        taken: dict[int, int] = {}
        found: list[Compared] = []
        for event in self.watched.events:
            one: Compared | None = None
            if event["event"] in ("shown", "variable"):
                one = self._of_statement(event)
            elif event["event"] in ("value", "error"):
                site = int(event["site"])
                if int(event["statement"]) in self.carried and site in self.marked:
                    k = taken.get(site, 0)
                    taken[site] = k + 1
                    one = self._of_call(event, site, k)
            found += [one] if one is not None else []
        judge_drawn(self.waiting)
        for one in found:
            one.settle()
        return found

    def _of_call(self, event: Mapping[str, Any], site: int, k: int) -> Compared | None:
        """A watched call's k-th value."""
        statement, place = int(event["statement"]), self.script.sites[site]
        one = Compared(statement, place.node.line, site, place.name, k, "agrees", file=self.carried[statement].file)
        ours = self.replayed.seen.get(site, [])
        if event["event"] == "error":
            one.verdict, one.why = "not compared", "R stopped here: " + event.get("message", "")
            return one
        if k >= len(ours):
            one.verdict, one.why = "disagrees", self.replayed.error or "the script has no value here"
            return one
        value = event["value"]
        if "formula" in value.get("class", ()):
            return None  # the models that it is of are compared
        if value["type"] == "list" and value["items"] and all(item["type"] == "fit" for item in value["items"]):
            return None  # each of its models is compared where it was fitted
        if value["type"] == "fit" and int(value["fit"]) in self.fits:
            fit = self.fits[int(value["fit"])]
            if statement in self.script.on_draws and "draws" not in fit:  # fitted to random numbers
                one.what = "model"
                self._wait(one, _estimates(fit), ours[k], None)
            else:
                self._fit(one, int(value["fit"]), ours[k])
            return one
        of = int(event["of"]) if event.get("of") is not None else None
        verb = VERBS.get(place.name)
        if verb is not None and verb.gives == "text":
            printed = [line for line in event.get("printed") or [] if line is not None]
            compare_values(one, _lines(printed), _lines([text for _, text in ours[k].texts]), 0.0, modes=False, least=0)
            return one
        if statement in self.script.of_draws:
            self._wait(one, from_r(value), ours[k], of)
            return one
        self._plain(one, from_r(value), ours[k], of, modes=place.name == "ranef")
        if one.verdict == "disagrees" and of in self.differs:
            one.why = f"its model differs (line {self.differs[of]})"
        if one.verdict == "disagrees" and of in self.flat:
            one.verdict, one.why, one.rows = "not compared", self.flat[of], []
        return one

    def _fit(self, one: Compared, number: int, ours: Labelled) -> None:
        one.what, fit = "model", self.fits[number]
        self.slack[number] = _model(one, fit, ours, self.posteriors)
        flat = _as_good(one, ours)
        if flat:
            self.flat[number] = flat
        if one.verdict == "disagrees":
            self.differs.setdefault(number, one.line)
        if "draws" in fit:
            theirs, python = _draw_table(fit), dict(ours.numbers)
            self.sizes[number] = {
                parameter: (size, python.get(f"draws · {parameter} · n_eff", math.nan))
                for (parameter, column), size in theirs.items()
                if column == "n_eff"
            }

    def _wait(self, one: Compared, r: Labelled, ours: Labelled, of: int | None) -> None:
        """A value that is computed from draws is judged when all are known."""
        k = one.occurrence
        again = [values[one.site][k] for values in self.replayed.again if len(values.get(one.site, [])) > k]
        sizes = self.sizes.get(of, {}) if of is not None else {}
        for more in self.sizes.values() if not sizes else ():
            for parameter, pair in more.items():
                known = sizes.get(parameter, pair)
                sizes[parameter] = min(known, pair, key=lambda both: both[0] / max(both[1], 1.0))
        self.waiting.append(Drawn(one, r, ours, again, sizes, self.times))

    def _plain(self, one: Compared, r: Labelled, ours: Labelled, of: int | None, *, modes: bool) -> None:
        """A value that is computed from fits by a likelihood."""
        excess = self.slack.get(of, 0.0) if of is not None else max(self.slack.values(), default=0.0)
        share = MIGRATED_VALUE.limit * max(1.0, math.sqrt(excess) / LARGEST_ESTIMATE_LIMIT)
        fits = [self.fits[of]] if of in self.fits else list(self.fits.values())
        least = min((_least(fit) for fit in fits), default=0.0)
        compare_values(one, r, ours, share, modes=modes, least=least)

    def _of_statement(self, event: Mapping[str, Any]) -> Compared | None:
        """What a statement showed, or a variable after it: as a watched call's value."""
        statement = int(event["statement"])
        kept = _kept_of(self.script, event)
        if statement not in self.carried or kept is None:
            return None
        site, name = kept
        piece = self.carried[statement]
        ours = self.replayed.seen.get(site, [])
        r = _r_value(self.watched.frames, event)
        if holds_fits(event.get("value", {})) or not ours or not (r.numbers or r.texts):
            return None
        last = len(ours) - 1
        one = Compared(statement, piece.line, site, name, last, "agrees", what=event["event"], file=piece.file)
        if statement in self.script.of_draws:
            self._wait(one, r, ours[last], None)
        else:
            modes = any(place.statement == statement and place.name == "ranef" for place in self.script.sites)
            self._plain(one, r, ours[last], None, modes=modes)
        return one


#: What follows from θ alone, given the data.
_OF_THETA = ("theta", "components", "ranef", "sigma", "coef")


def _as_good(one: Compared, ours: Labelled) -> str:
    """Set aside what differs in θ where R's θ is an optimum, too: by Python's own criterion as good as Python's.

    Near a boundary, or where a model has more components than the data can tell apart, the criterion is flat: θ can be
    another though the likelihood is the same, and so can all that follows from it.
    """
    excess = dict(ours.numbers).get(AT_R, math.nan)
    differing = [row for row in one.rows if not row.agrees]
    if not differing or not abs(excess) <= MIGRATED_EXCESS.limit:
        return ""
    if any(row.label.split(" · ")[0].split(".")[0] not in _OF_THETA for row in differing):
        return ""
    one.rows = [row for row in one.rows if row.agrees]
    one.rows.append(Row(AT_R, excess, 0.0, MIGRATED_EXCESS.limit, True))
    one.verdict = "agrees"
    one.why = (
        f"its θ is not determined: R's is another, and only {max(excess, 0.0):.1g} above the optimum (in -2 log L)"
    )
    return one.why


def thetas_of(watched: Watched) -> dict[str, list[list[float] | None]]:
    """R's θ of each fit, by the site that made it, in order; None of what has none."""
    fits = {int(e["number"]): e["fit"] for e in watched.events if e["event"] == "fit"}
    found: dict[str, list[list[float] | None]] = {}
    for event in watched.events:
        if event["event"] == "value":
            value = event["value"]
            fit = fits.get(int(value["fit"]), {}) if value.get("type") == "fit" else {}
            found.setdefault(str(event["site"]), []).append(fit.get("theta", {}).get("values"))
    return {site: thetas for site, thetas in found.items() if any(thetas)}


def _estimates(fit: Mapping[str, Any]) -> Labelled:
    """What a model's estimates are, under the labels that Python's have."""
    found = Labelled()
    for name in ("fixef", "theta", "sigma", "logLik", "nobs"):
        if isinstance(fit.get(name), Mapping):
            found.numbers += from_r(fit[name], name).numbers
    return found


def unproved(script: Script, watched: Watched, compared: list[Compared]) -> list[tuple[int, str, str]]:
    """Line, name and reason of what is carried over and not compared: it is not known to agree."""
    stopped = "R stopped here"  # within try(): R has no value there
    left = [one for one in compared if one.verdict == "not compared" and not one.why.startswith(stopped)]
    found = [(one.line, one.title, one.why) for one in left]
    seen = {one.statement for one in compared}
    for piece in script.pieces:
        if piece.status != "carried" or piece.statement in seen or not piece.code:
            continue
        for event in watched.events:
            if int(event.get("statement", -1)) != piece.statement or holds_fits(event.get("value", {})):
                continue
            asked = event["event"] == "shown" or (event["event"] == "value" and event.get("of") is not None)
            made = event["event"] == "variable" and event["name"] in piece.bound
            if (asked or made) and _r_value(watched.frames, event).numbers:
                found.append((piece.line, event.get("name", "what it shows"), "nothing of Python's stands beside it"))
                break
    return sorted(dict.fromkeys(found))


def _times(event: Mapping[str, Any], script: Script) -> int:
    """How many draws a call made that draws: simulations, bootstrap samples; 0 of anything else."""
    if event["event"] != "value" or not script.sites[int(event["site"])].draws:
        return 0
    value = event["value"]
    if value["type"] == "frame":
        return len(value["names"])
    boot = [item for item in value.get("items") or [] if len(item.get("dim") or []) == 2]
    return int(boot[0]["dim"][0]) if boot else 0


def _least(fit: Mapping[str, Any]) -> float:
    """What is 0 but for rounding in a fit's values: the BLUPs where θ is below ``isSingular``'s tolerance.

    They are about θ² times a level's sum of residuals, at most θ² n σ.
    """
    numbers = [fit[name]["values"][0] for name in ("sigma", "nobs") if fit.get(name, {}).get("values")]
    known = [float(one) for one in numbers if isinstance(one, int | float)]
    return SINGULAR**2 * known[0] * known[1] if len(known) == 2 else 0.0


def _lines(texts: list[str]) -> Labelled:
    """A printed text, line by line, without the blanks at their ends."""
    lines = [line.rstrip() for text in texts for line in text.split("\n")]
    return Labelled(texts=[("", line) for line in lines if line])


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


def other_shape(script: Script, watched: Watched, replayed: Replayed) -> tuple[int, str] | None:
    """The first statement that shows, or leaves in a variable, something of another shape than R's; and why not."""
    carried = {piece.statement for piece in script.pieces if piece.status == "carried"}
    for event in watched.events:
        kept = _kept_of(script, event) if event["event"] in ("shown", "variable") else None
        if kept is None or int(event["statement"]) not in carried or holds_fits(event.get("value", {})):
            continue
        ours, r = replayed.seen.get(kept[0], []), _r_value(watched.frames, event)
        if ours and r.numbers and paired(*of_one_kind(r, ours[-1])) is None:
            what = f"{kept[1]}: R has {len(r.numbers)} numbers, its Python {len(ours[-1].numbers)}"
            return int(event["statement"]), what
    return None


def _model(one: Compared, fit: Mapping[str, Any], python: Labelled, posteriors: int) -> float:
    """Compare a model's estimates; returns by how much R's criterion lies above ours (units of −2 log L)."""
    theirs = dict(python.numbers)
    if "draws" in fit:
        _posterior(one, fit, theirs, posteriors)
        return 0.0
    excess = 0.0
    names = ("fixef", "theta", "sigma", "logLik", "nobs", "ngrps", "components", "ranef", "coef")
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
    least = _least(fit)
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
                allowed = max(share * max(abs(a), largest), least)
                if name == "theta" and max(abs(a), abs(b)) < SINGULAR:  # at the boundary for both
                    allowed = SINGULAR
            allowed = allowed if math.isfinite(allowed) else 0.0
            one.rows.append(Row(label, a, b, allowed, close(a, b, allowed)))
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
    count = float(fit.get("count", math.inf))
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
        one.rows.append(Row(f"{parameter} · mean", a, b, limit, close(a, b, limit)))
        r = {p: table[parameter, f"{100 * p:g}%"] for p in PROBABILITIES if (parameter, f"{100 * p:g}%") in table}
        python = {p: theirs.get(f"draws · {parameter} · {100 * p:g}%", math.nan) for p in r}
        # antithetic draws can know a mean better than as many independent ones; a quantile they do not
        share = z * math.sqrt(1.0 / min(size, count) + 1.0 / min(ours, count))
        for p, limit in _quantile_limits(r, python, share).items():
            label = f"{parameter} · {100 * p:g}%"
            one.rows.append(Row(label, r[p], python[p], limit, close(r[p], python[p], limit)))
    if not all(row.agrees for row in one.rows):
        one.verdict = "disagrees"
    one.why = one.why or f"within {z:.1f} Monte Carlo standard errors" if one.verdict == "agrees" else one.why


def _quantile_limits(r: Mapping[float, float], python: Mapping[float, float], share: float) -> dict[float, float]:
    """How far quantiles may lie apart: the error of a probability, √(p(1−p)/n), times the slope of the quantiles there.

    The slope is the steeper one of those to the neighbours, of both sides' quantiles: across both it would be too flat,
    since quantiles rise faster the farther out they are. A quantile's error needs no moments, so that it holds for
    heavy tails too, where that of a standard deviation does not exist.
    """
    known = sorted(r)
    limits = {}
    for before, p, after in zip(known, known[1:], known[2:], strict=False):
        slope = max(
            max((one[p] - one[before]) / (p - before), (one[after] - one[p]) / (after - p)) for one in (r, python)
        )
        limits[p] = share * math.sqrt(p * (1.0 - p)) * slope
    return limits
