"""Values that are computed from random numbers: R's agrees where it could be one more of Python's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from validation.migrate.compared import Compared, Row, close, limit_of_value, paired
from validation.migrate.repeats import LEAST
from validation.migrate.values import MANY, Labelled, column_of, summed_up
from validation.tolerances import FALSE_ALARM_RATE

__all__ = ["Drawn", "judge_drawn"]

#: What says how a sampler did, not what the posterior is.
_OF_SAMPLERS = {"n_eff", "Rhat", "mcse", "ess", "ess_bulk", "ess_tail", "rhat", "MCSE", "n.eff"}


@dataclass
class Drawn:
    """A random value that waits to be judged.

    Attributes
    ----------
    one : Compared
    r : Labelled
    ours : Labelled
        The script's.
    again : list of Labelled
        With other seeds.
    sizes : mapping of str to (float, float)
        Of each parameter of the posteriors it may come from, R's and Python's effective sample sizes.
    times : int
        How many simulations or bootstrap samples the script draws at most; 0 where it draws none.
    """

    one: Compared
    r: Labelled
    ours: Labelled
    again: Sequence[Labelled]
    sizes: Mapping[str, tuple[float, float]]
    times: int = 0


def judge_drawn(waiting: Sequence[Drawn]) -> None:
    """Judge random values, all of a script together at one rate of false alarms.

    The spread of Python's own values over the repetitions is the standard error of its value; R's is larger by the root
    of the ratio of the effective sample sizes. The difference is a Student t's with as many degrees of freedom as there
    are repetitions. A share of draws that is 0 or 1 each time has a spread of 0, and says by the number of draws alone
    how large it can be.

    Parameters
    ----------
    waiting : sequence of Drawn
        Their ``one`` gets rows, verdict and reason.
    """
    tables = [_tables(one) for one in waiting]
    count = sum(len(table) for table in tables if table)
    for drawn, table in zip(waiting, tables, strict=True):
        if table is None:
            _of_texts(drawn)
        elif len(drawn.again) < LEAST:
            drawn.one.verdict = "not compared"
            drawn.one.why = (
                f"random; in the time there is it was computed {len(drawn.again) + 1} times, too few to judge"
            )
        elif not table:
            drawn.one.verdict, drawn.one.why = "not compared", "how the sampler did: two samplers differ in it"
        else:
            _judge(drawn, table, FALSE_ALARM_RATE / count)


def _tables(drawn: Drawn) -> "list[tuple[str, float, list[float]]] | None":
    """Label, R's number, Python's numbers (the script's first); None where there are no numbers, or other ones."""
    r, ours = drawn.r, drawn.ours
    if not r.numbers:
        return None
    if r.summed or ours.summed or min(len(r.numbers), len(ours.numbers)) >= MANY:
        drawn.one.summed = True
        r, ours = summed_up(r), summed_up(ours)
        again = [summed_up(one) for one in drawn.again]
    else:
        again = list(drawn.again)
    pairs = paired(r, ours)
    if pairs is None:
        return None
    known = {label: (a, [b]) for label, a, b in pairs}
    for one in again:
        for label, _, b in paired(r, one) or []:
            known[label][1].append(b)
    left = {label for label in known if label.split(" · ")[-1] in _OF_SAMPLERS}
    return [(label, a, values) for label, (a, values) in known.items() if label not in left]


def _judge(drawn: Drawn, table: "list[tuple[str, float, list[float]]]", rate: float) -> None:
    largest: dict[str, float] = {}
    for label, a, _ in table:
        if math.isfinite(a):
            largest[column_of(label)] = max(largest.get(column_of(label), 0.0), abs(a))
    times = 1 + len(drawn.again)
    t = float(stats.t.isf(rate / 2.0, times - 1))
    for label, a, values in table:
        spread = float(np.std(values, ddof=1)) if len(values) == times else math.nan
        ratio, draws = _sizes(drawn.sizes, label)
        if math.isnan(draws) and drawn.times:
            draws = float(drawn.times)
        limit = limit_of_value(label, a, largest)
        if math.isfinite(spread):
            limit = max(limit, t * spread * math.sqrt(1.0 + ratio))
        if math.isfinite(draws) and 0.0 <= a <= 1.0 and len(set(values)) == 1 and values[0] in (0.0, 1.0):
            limit = max(limit, -math.log(rate) / draws)
        drawn.one.rows.append(Row(label, a, values[0], limit, close(a, values[0], limit)))
    drawn.one.why = f"random: Python's own values over {times} seeds say how far it may be"
    drawn.one.random = True
    if not all(row.agrees for row in drawn.one.rows):
        drawn.one.verdict = "disagrees"


def _sizes(sizes: Mapping[str, tuple[float, float]], label: str) -> tuple[float, float]:
    """Python's effective sample size over R's (at least 1), and R's; of the label's parameter, else of the worst."""
    parts = label.split(" · ")
    mine = [sizes[part] for part in parts if part in sizes] or list(sizes.values())
    ratios = [python / r for r, python in mine if math.isfinite(r) and math.isfinite(python) and r > 0]
    least = [r for r, _ in mine if math.isfinite(r)]
    return max([1.0, *ratios]), min(least, default=math.nan)


def _of_texts(drawn: Drawn) -> None:
    """Texts that are computed from draws, and values of another shape than R's."""
    one, r, ours = drawn.one, drawn.r, drawn.ours
    theirs = [text for _, text in r.texts]
    given = [[text for _, text in value.texts] for value in (ours, *drawn.again)]
    if r.numbers:
        one.verdict, one.why = "disagrees", f"R gives {len(r.numbers)} numbers, Python {len(ours.numbers)}"
    elif r.other:
        one.verdict, one.why = "not compared", f"R's value is of class {r.other}: it holds no plain numbers"
    elif not theirs:
        one.verdict, one.why = "not compared", "no numbers in it"
    elif theirs in given:
        one.texts = len(theirs)
    elif len({tuple(texts) for texts in given}) > 1:
        one.verdict, one.why = "not compared", "a text that changes with the random numbers"
    else:
        one.verdict, one.why = "disagrees", "another text"
