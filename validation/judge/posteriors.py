"""Posteriors, judged by gates (AGREEMENT.md): the same density, valid samplers, z, size, distribution, quadrature."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from validation import tolerances
from validation.checks import Check
from validation.judge.density import same_density
from validation.judge.distributions import distributions
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Row
from validation.judge.scores import against_truth, sizes, z_scores
from validation.judge.summaries import summaries
from validation.judge.validity import invalid_sides, left_open, validity
from validation.options import Progress

#: Its check, what judges, and the sides whose draws must be valid for it to say anything.
_Gate: TypeAlias = tuple[str, Callable[[PosteriorEvidence], tuple[Check, list[Row]] | None], tuple[str, ...]]


def judge_posteriors(evidence: PosteriorEvidence, seed: int, progress: Progress) -> tuple[list[Check], list[Row]]:
    """Judge two posteriors by gates 1 to 6, and each side against quadrature where there is one.

    Gate 2 decides what gates 3 to 5 are worth: where a sampler is not valid they are inconclusive. Against quadrature a
    side stands alone: the other one's sampler does not matter. What is reported of a fit's own draws is judged, valid
    or not.
    """
    sides = "reference", "candidate"
    of_density: list[_Gate] = [("gate-1", lambda e: same_density(e, seed), ())] if evidence.density else []
    of_truth: list[_Gate] = [(f"truth-{side}", partial(against_truth, side=side), (side,)) for side in sides]
    gates: list[_Gate] = [
        *of_density,
        ("gate-2", validity, ()),
        ("gate-3", z_scores, sides),
        ("gate-4", sizes, sides),
        ("gate-5", distributions, sides),
        *(of_truth if evidence.truth is not None else ()),
        ("gate-6", summaries, ()),
    ]
    checks: list[Check] = []
    rows: list[Row] = []
    for position, (identifier, gate, by_draws_of) in enumerate(gates):
        progress(f"{identifier.replace('-', ' ')}: {tolerances.TITLES[identifier]}", position / len(gates))
        found = gate(evidence)
        if found is not None:
            check, judged = left_open(*found) if invalid_sides(rows).intersection(by_draws_of) else found
            checks.append(check)
            rows += judged
    return checks, rows
