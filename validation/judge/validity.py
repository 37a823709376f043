"""Gates 1 and 2, what must hold before draws are compared: one log density up to a constant, and valid samplers."""

import math
import operator
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from validation import tolerances
from validation.contract import BayesianFit
from validation.errors import error_in_words
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Found, Row, asked, counts, judge_number, missing_row, row
from validation.quantities import Key, named, quietly
from validation.tolerances import Tolerance
from validation.verdict import Verdict
from validation.wellformed import number, numbers, whole

#: Taken from each side.
_DRAWS = 20


def density_points(reference: BayesianFit, candidate: BayesianFit | None, seed: int) -> tuple[np.ndarray, list[str]]:
    """Where two log densities are compared: draws of both sides, points further out, and single coordinates moved.

    50 points or more, and a label for each (``"reference draw 3"``, ``"far 2"``, ``"coordinate 7 up"``, ...).
    """
    if hasattr(reference, "recorded_points"):
        points = np.asarray(reference.recorded_points(), dtype=float)
        return points, [f"recorded {i + 1}" for i in range(len(points))]
    draws: dict[str, np.ndarray] = {}
    for side, fit in (("reference", reference), ("candidate", candidate)):
        # one side's draws are enough to compare at; log_prob itself is what is compared
        given = None if fit is None else quietly(lambda: fit.unconstrained_draws(_DRAWS, seed), None)  # noqa: B023
        if given is None:
            continue
        points = np.atleast_2d(np.asarray(given, dtype=float))
        if all(points.shape[1] == other.shape[1] for other in draws.values()):
            draws[side] = points
    if not draws:
        raise ValueError("neither side gives unconstrained draws")
    labels = [f"{side} draw {i + 1}" for side, own in draws.items() for i in range(len(own))]
    inner = np.concatenate(list(draws.values()))
    centre, spread = inner.mean(axis=0), inner.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    rng = np.random.default_rng(seed)
    far = centre + 3.0 * (inner[: _DRAWS // 2] - centre)
    labels += [f"far {i + 1}" for i in range(len(far))]
    # Coordinates one by one tell *which* prior differs. There are few but the random effects, which are in the middle.
    size = inner.shape[1]
    coordinates = list(range(size)) if size <= 40 else sorted({*range(12), *range(size - 20, size)})
    moves = [(k, name, step) for k in coordinates for name, step in (("up", 1.5), ("down", -1.5))]
    probes = np.array([np.where(np.arange(size) == k, centre + step * spread, centre) for k, _, step in moves])
    labels += [f"coordinate {k + 1} {name}" for k, name, _ in moves]
    scattered = centre + spread * rng.normal(size=(max(0, 50 - len(labels)), size)) * 1.5
    labels += [f"scattered {i + 1}" for i in range(len(scattered))]
    points = np.concatenate([centre[None], inner, far, probes, scattered])
    return points, ["centre", *labels]


def _densities(fit: BayesianFit, points: np.ndarray) -> np.ndarray:
    given = fit.log_prob(points)
    if np.shape(given) == (len(points),):
        return numbers(given, "log_prob()")
    return np.array([number(fit.log_prob(point), "log_prob()") for point in points])


def same_density(evidence: PosteriorEvidence, seed: int) -> Found | None:
    """Gate 1: log densities at the same points, up to one constant; None where there are none to compare."""
    if not evidence.density:
        return None
    rows: list[Row] = []
    sides, key = (evidence.reference, evidence.candidate), named("log-density")

    def count(fit: BayesianFit, quantity: str) -> float:
        value = getattr(fit, quantity)
        return float(whole(value() if callable(value) else value, quantity))

    for quantity in ("nobs", "num_upars"):
        pair = asked(named(quantity), *sides, partial(count, quantity=quantity))
        rows.append(pair if isinstance(pair, Row) else judge_number(named(quantity), *pair, 1.0, tolerances.EXACT))
    if any(r.verdict.failed for r in rows):
        return rows, f"not the same data or parameters: {counts(rows)}"
    try:
        points, labels = density_points(evidence.reference, evidence.candidate, seed)
    except Exception as error:
        why = error_in_words(error)
        return [*rows, missing_row(key, False, False, why=why)], f"no points to compare at: {why}"
    given = asked(key, *sides, lambda fit: _densities(fit, points))
    if isinstance(given, Row):
        return [*rows, given], f"a density is missing: {given.reason.partition(': ')[2]}"
    ours, theirs = given
    evidence.points, evidence.point_labels = points, labels
    evidence.densities = pd.DataFrame({"reference": ours, "candidate": theirs})
    both_zero = np.isneginf(ours) & np.isneginf(theirs)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    origin = int(np.argmax(finite)) if finite.any() else 0
    for i, label in enumerate(labels):
        if i == origin or both_zero[i]:
            continue
        with np.errstate(invalid="ignore"):
            left, right = float(ours[i] - ours[origin]), float(theirs[i] - theirs[origin])
        key = named("log-density", level=label)
        if math.isnan(left) or math.isnan(right):
            rows.append(row(key, left, right, Verdict.DISAGREES, "not a number"))
        else:
            rows.append(judge_number(key, left, right, max(1.0, abs(left)), tolerances.DENSITY))
    compared = [r for r in rows if r.quantity == "log-density"]
    largest = max((r.scaled for r in compared), default=math.nan)
    constant = float(theirs[origin] - ours[origin])
    summary = (
        f"largest relative difference {largest:.2g} at {len(compared)} points (allowed {tolerances.DENSITY.limit:g}); "
        f"constants differ by {constant:.2g}"
    )
    if len(compared) < 50:
        few = f"only {len(compared)} points have a finite density; at least 50 are needed"
        rows.append(row(named("log-density", level="points"), math.nan, math.nan, Verdict.INCONCLUSIVE, few))
    return rows, summary


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


def validity(evidence: PosteriorEvidence) -> Found:
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
        values = {side: found[quantity][0] for side, found in worst.items()}
        failed = [side for side, value in values.items() if not holds(value, limit)]
        term = next((worst[side][quantity][1] for side in (*failed, *values)), None)
        rule = Tolerance("gate-2", limit, unit, tolerances.VALIDITY.reason)
        why = f"the {' and the '.join(failed)} misses it. {rule.reason}"
        key = named(quantity.replace("_", "-"), term=term)
        rows.append(_of_sides(key, values, failed, Verdict.INCONCLUSIVE, why, rule))
    copied = {side: repeated_draws(np.array([*own.values()])) for side, own in evidence.draws.items()}
    if copied:
        failed = [side for side, share in copied.items() if share > 0.0]
        only = "a draw of a continuous distribution comes again only at once, where a move is rejected"
        rule = Tolerance("gate-2", 0.0, "share of draws that were copied", only)
        why = f"{max(copied.values()):.1%} of the draws of the {' and the '.join(failed)} are copies of others"
        rows.append(_of_sides(named("repeated-draws"), copied, failed, Verdict.DISAGREES, why, rule))
        texts += [f"{copied[side]:.1%} of the {side}'s draws are copies of others" for side in failed]
    for side, problem in evidence.problems.items():
        rows.append(missing_row(named("draws", level=side), side != "reference", side != "candidate", why=problem))
        texts.append(f"the {side} has no usable draws: {problem}")
    told = [str(r.level) for r in rows if r.verdict is not Verdict.AGREES]
    evidence.invalid = {side for side in ("reference", "candidate") if any(side in level for level in told)}
    return rows, "; ".join(texts) or "no Monte Carlo on either side"


def _of_sides(
    key: Key, values: Mapping[str, float], failed: list[str], verdict: Verdict, why: str, rule: Tolerance
) -> Row:
    """A number of each side, judged by itself; ``level`` of the row says which sides failed."""
    left, right = (values.get(side, math.nan) for side in ("reference", "candidate"))
    verdict, reason = (verdict, why) if failed else (Verdict.AGREES, rule.reason)
    return row((*key[:4], " and ".join(failed) or None), left, right, verdict, reason, tolerance=rule)
