"""Likelihood fits, judged in five tiers (AGREEMENT.md): structure, objective, optimum, estimates, BLUPs."""

import math
from collections.abc import Callable

from validation import tolerances
from validation.checked_fit import PART_OF
from validation.checks import Check
from validation.judge.estimates import estimates
from validation.judge.evidence import Evidence
from validation.judge.modes import conditional_modes
from validation.judge.objective import optimum, same_theta
from validation.judge.rows import Row, check_of
from validation.judge.structure import structure
from validation.options import Progress
from validation.verdict import Verdict


def judge_likelihood(evidence: Evidence, seed: int, progress: Progress) -> tuple[list[Check], list[Row]]:
    """Judge two likelihood fits by tiers 1 to 5; evidence is filled on the way with what the diagnosis needs."""
    checks: list[Check] = []
    rows: list[Row] = []
    tiers: list[Callable[[Evidence], tuple[Check, list[Row]]]] = [
        structure,
        lambda e: same_theta(e, seed),
        optimum,
        estimates,
        conditional_modes,
    ]
    for number, tier in enumerate(tiers):
        progress(f"tier {number + 1}: {tolerances.TITLES[f'tier-{number + 1}']}", number / len(tiers))
        check, judged = _name_malformed(*tier(evidence), evidence)
        checks.append(check)
        rows.extend(judged)
    return checks, rows


def _name_malformed(check: Check, rows: list[Row], evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tell what a side handed over malformed from what it lacks: both fail, and each under its own name."""
    judged: list[Row] = []
    said: dict[str, None] = {}  # texts in their order
    for r in rows:
        part = PART_OF.get(r.quantity, r.quantity)
        sides = {"reference": r.reference, "candidate": r.candidate} if r.verdict is Verdict.MISSING else {}
        lost = [side for side, value in sides.items() if math.isnan(value)]
        wrong = {side: parts[part] for side in lost if part in (parts := evidence.malformed(side))}
        if wrong:
            text = "; ".join(f"malformed ({side}): {text}" for side, text in wrong.items())
            said[text] = None
            r = r._replace(verdict=Verdict.MALFORMED, reason=text)
        judged.append(r)
    if not said:
        return check, rows
    return check_of(check.id, judged, f"{'; '.join(said)}. {check.summary}", check.rule), judged
