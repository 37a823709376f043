"""Posteriors, judged by gates (AGREEMENT.md): the same density, valid samplers, z, size, distribution, quadrature."""

from collections.abc import Callable

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

__all__ = ["judge_posteriors"]


def judge_posteriors(evidence: PosteriorEvidence, seed: int, progress: Progress) -> tuple[list[Check], list[Row]]:
    """Judge two posteriors by gates 1 to 6, and each side against quadrature where there is one.

    Returns
    -------
    checks : list of Check
        Gate 2 decides what the others are worth: where a sampler is not valid, gates 3 to 5 are inconclusive.
    rows : list of Row
    """
    checks: list[Check] = []
    rows: list[Row] = []

    def say(identifier: str, fraction: float) -> None:
        progress(f"{identifier.replace('-', ' ')}: {tolerances.TITLES[identifier]}", fraction)

    if evidence.density:
        say("gate-1", 0.0)
        check, judged = same_density(evidence, seed)
        checks.append(check)
        rows.extend(judged)
    say("gate-2", 0.3)
    valid, validity_rows = validity(evidence)
    checks.append(valid)
    rows.extend(validity_rows)
    gates: list[tuple[str, Callable[[], tuple[Check, list[Row]]]]] = [
        ("gate-3", lambda: z_scores(evidence)),
        ("gate-4", lambda: sizes(evidence)),
        ("gate-5", lambda: distributions(evidence)),
    ]
    if evidence.truth is not None:
        gates += [
            ("truth-reference", lambda: against_truth(evidence, "reference")),
            ("truth-candidate", lambda: against_truth(evidence, "candidate")),
        ]
    for position, (identifier, gate) in enumerate(gates):
        say(identifier, 0.4 + 0.6 * position / len(gates))
        check, judged = gate()
        spoilt = invalid_sides(validity_rows)
        # Against quadrature a side stands alone: the other one's sampler does not matter.
        if spoilt & ({identifier.removeprefix("truth-")} if identifier.startswith("truth-") else spoilt):
            check, judged = left_open(check, judged)
        checks.append(check)
        rows.extend(judged)
    found = summaries(evidence)
    if found is not None:  # of one fit's own draws, valid or not
        checks.append(found[0])
        rows.extend(found[1])
    return checks, rows
