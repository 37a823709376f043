"""Gate 1: the same log density, up to a constant."""

import math
from functools import partial

import numpy as np
import pandas as pd

from validation import tolerances
from validation.checks import Check
from validation.contract import BayesianFit
from validation.errors import error_in_words
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Row, asked, check_of, counts, judge_number, missing_row, row
from validation.quantities import quietly
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
    draws, labels = [], []
    for side, fit in (("reference", reference), ("candidate", candidate)):
        # one side's draws are enough to compare at; log_prob itself is what is compared
        given = None if fit is None else quietly(lambda: fit.unconstrained_draws(_DRAWS, seed), None)  # noqa: B023
        if given is None:
            continue
        points = np.atleast_2d(np.asarray(given, dtype=float))
        draws.append(points)
        labels += [f"{side} draw {i + 1}" for i in range(len(points))]
    if not draws:
        raise ValueError("neither side gives unconstrained draws")
    if len({points.shape[1] for points in draws}) > 1:
        draws, labels = draws[:1], [label for label in labels if label.startswith("reference")]
    inner = np.concatenate(draws)
    centre, spread = inner.mean(axis=0), inner.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    rng = np.random.default_rng(seed)
    far = centre + 3.0 * (inner[: _DRAWS // 2] - centre)
    labels += [f"far {i + 1}" for i in range(len(far))]
    # Coordinates one by one tell *which* prior differs. There are few but the random effects, which are in the middle.
    size = inner.shape[1]
    coordinates = list(range(size)) if size <= 40 else sorted({*range(12), *range(size - 20, size)})
    probes = []
    for k in coordinates:
        for name, step in (("up", 1.5), ("down", -1.5)):
            probe = centre.copy()
            probe[k] += step * spread[k]
            probes.append(probe)
            labels.append(f"coordinate {k + 1} {name}")
    scattered = centre + spread * rng.normal(size=(max(0, 50 - len(labels)), size)) * 1.5
    labels += [f"scattered {i + 1}" for i in range(len(scattered))]
    points = np.concatenate([centre[None], inner, far, np.array(probes), scattered])
    return points, ["centre", *labels]


def _densities(fit: BayesianFit, points: np.ndarray) -> np.ndarray:
    given = fit.log_prob(points)
    if np.shape(given) == (len(points),):
        return numbers(given, "log_prob()")
    return np.array([number(fit.log_prob(point), "log_prob()") for point in points])


def same_density(evidence: PosteriorEvidence, seed: int) -> tuple[Check, list[Row]]:
    """Gate 1: log densities at the same points, up to one constant."""
    rows: list[Row] = []
    sides = evidence.reference, evidence.candidate

    def count(fit: BayesianFit, quantity: str) -> float:
        value = getattr(fit, quantity)
        return float(whole(value() if callable(value) else value, quantity))

    for quantity in ("nobs", "num_upars"):
        left, right, why = asked(*sides, partial(count, quantity=quantity))
        if left is None or right is None:
            rows.append(missing_row("gate-1", quantity, left is not None, right is not None, why=why))
        else:
            rows.append(judge_number("gate-1", quantity, left, right, 1.0, tolerances.EXACT))
    if any(r.verdict.failed for r in rows):
        return check_of(
            "gate-1", rows, "not the same data or parameters: " + counts(rows), tolerances.DENSITY.reason
        ), rows
    try:
        points, labels = density_points(evidence.reference, evidence.candidate, seed)
    except Exception as error:
        why = error_in_words(error)
        rows.append(missing_row("gate-1", "log-density", False, False, why=why))
        return check_of("gate-1", rows, f"no points to compare at: {why}", tolerances.DENSITY.reason), rows
    ours, theirs, why = asked(*sides, lambda fit: _densities(fit, points))
    if ours is None or theirs is None:
        rows.append(missing_row("gate-1", "log-density", ours is not None, theirs is not None, why=why))
        return check_of("gate-1", rows, f"a density is missing: {why}", tolerances.DENSITY.reason), rows
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
        if math.isnan(left) or math.isnan(right):
            rows.append(row("gate-1", "log-density", left, right, Verdict.DISAGREES, "not a number", level=label))
            continue
        rows.append(
            judge_number("gate-1", "log-density", left, right, max(1.0, abs(left)), tolerances.DENSITY, level=label)
        )
    compared = [r for r in rows if r.quantity == "log-density"]
    largest = max((r.scaled for r in compared), default=math.nan)
    constant = float(theirs[origin] - ours[origin])
    summary = (
        f"largest relative difference {largest:.2g} at {len(compared)} points (allowed {tolerances.DENSITY.limit:g}); "
        f"constants differ by {constant:.2g}"
    )
    if len(compared) < 50:
        few = f"only {len(compared)} points have a finite density; at least 50 are needed"
        rows.append(row("gate-1", "log-density", math.nan, math.nan, Verdict.INCONCLUSIVE, few, level="points"))
    return check_of("gate-1", rows, summary, tolerances.DENSITY.reason), rows
