"""Gate 5: whole distributions, and their dependence."""

import math
from collections.abc import Sequence
from typing import Unpack, cast

import numpy as np

from validation import tolerances
from validation.checks import Check
from validation.judge.dependence import correlation, p_value, pairs
from validation.judge.ecdf import ecdf_difference
from validation.judge.posterior_evidence import PosteriorEvidence, main_parameters
from validation.judge.rows import Measure, Place, Row, check_of, row
from validation.quantities import KEYS, split_parameter
from validation.tolerances import Tolerance
from validation.verdict import Verdict


def distributions(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 5: two-sample ECDF-difference test of every parameter that has draws on both sides, and of dependences."""
    left, right = evidence.independent("reference"), evidence.independent("candidate")
    names = [name for name in left if name in right]
    together = _pairs(evidence)
    limit = tolerances.FALSE_ALARM_RATE / max(len(names) + len(together), 1)
    rows: list[Row] = []
    for position, name in enumerate(names):
        a, b = left[name], right[name]
        place = cast("Place", dict(zip(KEYS[1:], split_parameter(name, evidence.groups), strict=True)))
        try:
            found = ecdf_difference(a, b, seed=position)
        except ValueError as error:
            rows.append(row("gate-5", "ecdf", a.size, b.size, Verdict.INCONCLUSIVE, str(error), **place))
            continue
        distance = float(np.max(np.abs(found.difference), initial=0.0))
        reason = f"largest ECDF difference {distance:.3f} of {a.size} and {b.size} draws. {tolerances.ECDF.reason}"
        rows.append(_tested("ecdf", 0.0, distance, found.p_value, tolerances.ECDF.at(limit), reason, **place))
    rows.extend(_dependences(evidence, together, limit))
    summary = "no draws to compare"
    if rows:
        judged_rows = [r for r in rows if math.isfinite(r.scaled)]
        if judged_rows:
            smallest = min(judged_rows, key=lambda r: r.scaled)
            failed = sum(r.verdict.failed for r in rows)
            summary = (
                f"{len(names)} parameters{f' and {len(together)} pairs' if together else ''}"
                f"{f', {failed} failed' if failed else ''}; smallest p-value "
                f"{smallest.scaled:.2g} ({smallest.name}), limit {limit:.2g} for a false-alarm rate of "
                f"{tolerances.FALSE_ALARM_RATE:g} over all"
            )
    return check_of("gate-5", rows, summary, tolerances.ECDF.reason), rows


def _pairs(evidence: PosteriorEvidence) -> list[tuple[str, str]]:
    """Pairs whose dependence can be compared: none where a side keeps no draws that belong together."""
    if len(evidence.draws) < 2:
        return []
    names = [name for name in evidence.names["reference"] if name in set(evidence.names["candidate"])]
    return pairs(main_parameters(names), names, evidence.groups)


def _dependences(evidence: PosteriorEvidence, together: Sequence[tuple[str, str]], limit: float) -> list[Row]:
    rows: list[Row] = []
    evidence.dependence = []
    positions = {side: {name: i for i, name in enumerate(evidence.names[side])} for side in evidence.draws}
    for first, second in together:
        left, right = (
            correlation(*(evidence.draws[side][positions[side][name]] for name in (first, second)))
            for side in ("reference", "candidate")
        )
        p = p_value(left, right, tolerances.MCSE_DEGREES_OF_FREEDOM)
        evidence.dependence.append((first, second, left[0], right[0], p >= limit))
        tolerance = tolerances.DEPENDENCE.at(limit)
        rows.append(_tested("dependence", left[0], right[0], p, tolerance, tolerance.reason, term=first, term2=second))
    return rows


def _tested(
    quantity: str, left: float, right: float, p: float, tolerance: Tolerance, reason: str, **place: Unpack[Place]
) -> Row:
    """A row that is judged by a p-value; digits would say nothing of it."""
    verdict = Verdict.AGREES if p >= tolerance.limit else Verdict.DISAGREES
    measured = Measure(p, tolerance.unit, tolerance.limit)
    return row("gate-5", quantity, left, right, verdict, reason, measured, **place)._replace(digits=math.nan)
