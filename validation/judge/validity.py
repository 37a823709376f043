"""Gate 2: samplers that have converged, and draws that were drawn."""

import math
import operator
from collections.abc import Mapping, Sequence

import numpy as np

from validation import tolerances
from validation.checks import Check
from validation.contract import BayesianFit
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Measure, Row, check_of, missing_row, row
from validation.quantities import quietly
from validation.verdict import Verdict


def invalid_sides(rows: Sequence[Row]) -> set[str]:
    """Sides that gate 2 found not valid, or without draws."""
    told = [str(r.level) for r in rows if r.check == "gate-2" and r.verdict is not Verdict.AGREES]
    return {side for side in ("reference", "candidate") if any(side in level for level in told)}


def left_open(check: Check, rows: list[Row]) -> tuple[Check, list[Row]]:
    """What invalid draws can still say: that a number is missing; nothing about agreement or disagreement."""
    why = "the draws are not valid (gate 2)"
    judged = [
        r._replace(verdict=Verdict.INCONCLUSIVE, reason=why) if r.verdict in (Verdict.AGREES, Verdict.DISAGREES) else r
        for r in rows
    ]
    return check_of(check.id, judged, f"the draws are not valid (gate 2); {check.summary}", check.rule), judged


def _divergences(fit: BayesianFit) -> float:
    """Divergent transitions, wherever a fit reports them; 0 of a sampler that is not Hamiltonian."""
    if hasattr(fit, "divergences"):
        return float(fit.divergences)
    diagnostics = getattr(fit, "diagnostics", None)
    told = float(diagnostics.get("divergences", 0)) if isinstance(diagnostics, Mapping) else 0.0
    return quietly(lambda: float(fit.posterior["sample_stats"]["diverging"].sum()), told)


def repeated_draws(draws: np.ndarray) -> float:
    """Share of the draws that stand elsewhere once more, with the draw that follows them: a part that was copied.

    A sampler that rejects repeats a draw at once; that it comes back later, or in another chain, does not happen by
    chance. Draws (parameters by chains by draws) of few digits do meet by chance, but seldom with those that follow
    them: they are not judged where most that come again bring another next one with them.
    """
    moving = [i for i in range(len(draws)) if np.unique(draws[i]).size > tolerances.Share.DISTINCT * draws[i].size][:8]
    if not moving:
        return 0.0
    pairs = []
    for chain in range(draws.shape[1]):
        own = draws[moving, chain].T
        own = own[np.concatenate([[True], (own[1:] != own[:-1]).any(axis=1)])]
        pairs.append(np.hstack([own[:-1], own[1:]]))
    every = np.ascontiguousarray(np.vstack(pairs))
    if len(every) < 2:
        return 0.0
    alone, together = (1.0 - len(np.unique(part, axis=0)) / len(every) for part in (every[:, : len(moving)], every))
    return float(together) if together >= tolerances.Share.HALF * alone else 0.0


def validity(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 2: R-hat, bulk and tail ESS of every parameter, and divergences, on both sides."""
    rows: list[Row] = []
    texts = []
    worst: dict[str, dict[str, tuple[float, str | None]]] = {}
    for side, summary in evidence.summaries.items():
        if (summary["mcse_mean"] == 0).all() and summary["ess_bulk"].isna().all():
            continue  # quadrature, certified: no Monte Carlo, nothing to converge
        fit = evidence.reference if side == "reference" else evidence.candidate
        found: dict[str, tuple[float, str | None]] = {"divergences": (_divergences(fit), None)}
        for column, sign in (("rhat", 1.0), ("ess_bulk", -1.0), ("ess_tail", -1.0)):
            numbers = summary[column].to_numpy(dtype=float)
            place = int(np.argmax(sign * numbers))  # the first that is no number, of a chain that does not move
            found[column] = (float(numbers[place]), str(summary.index[place]))
        worst[side] = found
        texts.append(
            f"{side}: largest R-hat {found['rhat'][0]:.4f}, smallest bulk ESS {found['ess_bulk'][0]:.0f}, tail ESS "
            f"{found['ess_tail'][0]:.0f}, {found['divergences'][0]:.0f} divergences"
        )
    for quantity, limit, unit, holds in (
        ("rhat", tolerances.VALIDITY.rhat, "largest R-hat", operator.lt),
        ("ess_bulk", tolerances.VALIDITY.ess, "smallest bulk ESS", operator.ge),
        ("ess_tail", tolerances.VALIDITY.ess, "smallest tail ESS", operator.ge),
        ("divergences", tolerances.VALIDITY.divergences, "divergent transitions", operator.le),
    ):
        values = {side: found[quantity] for side, found in worst.items()}
        failed = [side for side, (value, _) in values.items() if not holds(value, limit)]
        blamed = failed or list(values)
        left, right = (values.get(side, (math.nan, None))[0] for side in ("reference", "candidate"))
        verdict, level = Verdict.INCONCLUSIVE if failed else Verdict.AGREES, " and ".join(failed) or None
        reason = (f"the {' and the '.join(failed)} misses it. " if failed else "") + tolerances.VALIDITY.reason
        term, name = values[blamed[0]][1] if blamed else None, quantity.replace("_", "-")
        measured = Measure(unit=unit, limit=float(limit))
        rows.append(row("gate-2", name, left, right, verdict, reason, measured, term=term, level=level))
    copied = {side: repeated_draws(draws) for side, draws in evidence.draws.items()}
    if copied:
        failed = [side for side, share in copied.items() if share > 0.0]
        left, right = (copied.get(side, math.nan) for side in ("reference", "candidate"))
        reason = "a draw of a continuous distribution comes again only at once, where a move is rejected"
        if failed:
            reason = f"{max(copied.values()):.1%} of the draws of the {' and the '.join(failed)} are copies of others"
        verdict, level = Verdict.DISAGREES if failed else Verdict.AGREES, " and ".join(failed) or None
        measured = Measure(unit="share of draws that were copied", limit=0.0)
        rows.append(row("gate-2", "repeated-draws", left, right, verdict, reason, measured, level=level))
        texts += [f"{copied[side]:.1%} of the {side}'s draws are copies of others" for side in failed]
    for side, problem in evidence.problems.items():
        rows.append(missing_row("gate-2", "draws", side != "reference", side != "candidate", why=problem, level=side))
        texts.append(f"the {side} has no usable draws: {problem}")
    return check_of(
        "gate-2", rows, "; ".join(texts) or "no Monte Carlo on either side", tolerances.VALIDITY.reason
    ), rows
