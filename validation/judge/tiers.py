"""Likelihood fits, judged in five tiers, and posteriors, by six gates (AGREEMENT.md)."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from validation import tolerances
from validation.comparison import Check
from validation.judge.estimates import conditional_modes, estimates
from validation.judge.evidence import Evidence
from validation.judge.objective import optimum, same_theta, structure
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Found, Row, conclude
from validation.judge.scores import against_truth, distributions, sizes, summaries, z_scores
from validation.judge.validity import same_density, validity
from validation.options import Progress
from validation.verdict import Verdict
from validation.wellformed import PART_OF

E = TypeVar("E")
#: A tier or gate by its check's name: what judges (None where there is nothing to judge), and the rule.
_Step: TypeAlias = tuple[str, Callable[[E], Found | None], str]


def judge_likelihood(evidence: Evidence, seed: int, progress: Progress) -> tuple[list[Check], list[Row]]:
    """Judge two likelihood fits by tiers 1 to 5; evidence is filled on the way with what the diagnosis needs."""
    tiers: list[_Step[Evidence]] = [
        ("tier-1", structure, f"{tolerances.EXACT.reason} {tolerances.DESIGN.reason}"),
        ("tier-2", partial(same_theta, seed=seed), tolerances.SAME_THETA.reason),
        ("tier-3", optimum, tolerances.OPTIMUM.reason),
        ("tier-4", estimates, tolerances.ESTIMATE.reason),
        ("tier-5", conditional_modes, tolerances.CONDITIONAL_MODE.reason),
    ]
    return _in_turn(tiers, evidence, progress, lambda _, found: _name_malformed(*found, evidence))


def judge_posteriors(evidence: PosteriorEvidence, seed: int, progress: Progress) -> tuple[list[Check], list[Row]]:
    """Judge two posteriors by gates 1 to 6, and each side against quadrature where there is one.

    Gate 2 decides what gates 3 to 5 are worth: where a sampler is not valid they are inconclusive. Against quadrature a
    side stands alone: the other one's sampler does not matter. What is reported of a fit's own draws is judged, valid
    or not.
    """
    gates: list[_Step[PosteriorEvidence]] = [
        ("gate-1", partial(same_density, seed=seed), tolerances.DENSITY.reason),
        ("gate-2", validity, tolerances.VALIDITY.reason),
        ("gate-3", z_scores, tolerances.Z_SCORE.reason),
        ("gate-4", sizes, tolerances.SIZE.reason),
        ("gate-5", distributions, tolerances.ECDF.reason),
        ("truth-reference", partial(against_truth, side="reference"), tolerances.Z_SCORE.reason),
        ("truth-candidate", partial(against_truth, side="candidate"), tolerances.Z_SCORE.reason),
        ("gate-6", summaries, tolerances.REPORTED.reason),
    ]
    sides = {"reference", "candidate"}
    by_draws_of = {"gate-3": sides, "gate-4": sides, "gate-5": sides} | {f"truth-{side}": {side} for side in sides}

    def amended(gate: str, found: Found) -> Found:
        return _left_open(*found) if evidence.invalid & by_draws_of.get(gate, set()) else found

    return _in_turn(gates, evidence, progress, amended)


def _in_turn(
    steps: Sequence[_Step[E]], evidence: E, progress: Progress, amended: Callable[[str, Found], Found]
) -> tuple[list[Check], list[Row]]:
    """Checks and rows of the steps; what one finds is amended."""

    def parts() -> Iterator[tuple[str, Found, str]]:
        for position, (identifier, judge, rule) in enumerate(steps):
            progress(f"{identifier.replace('-', ' ')}: {tolerances.TITLES[identifier]}", position / len(steps))
            if (found := judge(evidence)) is not None:
                yield identifier, amended(identifier, found), rule

    return conclude(parts())


def _name_malformed(rows: list[Row], summary: str, evidence: Evidence) -> Found:
    """Tell what a side handed over malformed from what it lacks: both fail, and each under its own name."""
    judged: list[Row] = []
    said: dict[str, None] = {}  # texts in their order
    for r in rows:
        part = PART_OF.get(r.quantity, r.quantity)
        lost = [side for side in ("reference", "candidate") if math.isnan(getattr(r, side))]
        wrong = [f"malformed ({side}): {parts[part]}" for side in lost if part in (parts := evidence.malformed(side))]
        if wrong and r.verdict is Verdict.MISSING:
            text = "; ".join(wrong)
            said[text] = None
            r = r._replace(verdict=Verdict.MALFORMED, reason=text)
        judged.append(r)
    return judged, f"{'; '.join(said)}. {summary}" if said else summary


def _left_open(rows: list[Row], summary: str) -> Found:
    """What invalid draws can still say: that a number is missing; nothing about agreement or disagreement."""
    why = "the draws are not valid (gate 2)"
    judged = [
        r._replace(verdict=Verdict.INCONCLUSIVE, reason=why) if r.verdict in (Verdict.AGREES, Verdict.DISAGREES) else r
        for r in rows
    ]
    return judged, f"{why}; {summary}"
