"""Posteriors, judged by gates (AGREEMENT.md): the same density, valid samplers, z, size, distribution, quadrature."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from validation import tolerances
from validation.checks import Check
from validation.judge.dependence import correlation, p_value, pairs
from validation.judge.ecdf import ecdf_difference
from validation.judge.quantiles import QuantileSide, quantile_side, quantile_z
from validation.judge.rows import Row, check_of, counts, describe, judge_number, missing_row, row
from validation.judge.summaries import summaries
from validation.quantities import (
    KEYS,
    MAIN_EXCLUDED,
    QUANTILES,
    Extraction,
    draws_of,
    groups_of,
    join,
    posterior_summary,
    records,
    split_parameter,
    summary_quantities,
)
from validation.verdict import Verdict
from validation.wellformed import number, numbers, whole

__all__ = [
    "PosteriorEvidence",
    "density_points",
    "judge_posteriors",
    "main_parameters",
    "mcse_freedom",
    "repeated_draws",
    "thinned",
    "z_limit",
]

Progress = Callable[[str, float | None], None]

#: Most draws a side that the ECDF test looks at: beyond them it sees shifts of 0.05 sd, and only gets slower.
_MOST_DRAWS = 2000

#: Power at which "the smallest detectable shift" is detected.
_POWER = 0.8


@dataclass
class PosteriorEvidence:
    """Two posteriors, read once.

    Attributes
    ----------
    reference, candidate : BayesianFit
    truth : pandas.DataFrame or None
        Summary by quadrature (columns of ``posterior_summary``, the ``mcse_`` ones its error), where there is one.
    names, draws : dict
        By side: parameter names and draws (parameters x chains x draws); absent where a side has summaries only.
    summaries : dict of str to pandas.DataFrame
        By side.
    points : ndarray
        Where the densities were compared (gate 1), one row each; ``point_labels`` says what each is.
    densities : pandas.DataFrame
        ``reference`` and ``candidate`` log density at the points.
    dependence : list of (str, str, float, float, bool)
        What gate 5 found: two parameters, their rank correlation on either side, and whether these agree.
    """

    reference: Any
    candidate: Any
    truth: pd.DataFrame | None = None
    density: bool = True
    names: dict[str, list[str]] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    summaries: dict[str, pd.DataFrame] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    joined: pd.DataFrame = field(default_factory=pd.DataFrame)
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    point_labels: list[str] = field(default_factory=list)
    densities: pd.DataFrame = field(default_factory=pd.DataFrame)
    detectable: float = math.nan
    dependence: list[tuple[str, str, float, float, bool]] = field(default_factory=list)
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for side, fit in (("reference", self.reference), ("candidate", self.candidate)):
            try:
                if hasattr(fit, "posterior_summary"):
                    self.summaries[side] = fit.posterior_summary()
                else:
                    self.names[side], self.draws[side] = draws_of(fit)
                    self.summaries[side] = posterior_summary(self.names[side], self.draws[side])
            except Exception as error:  # the side has no usable draws: every row of the other is a missing row
                self.problems[side] = f"{type(error).__name__}: {error}"
                for found in (self.names, self.draws, self.summaries):
                    found.pop(side, None)
        # The names of both sides tell the grouping factors: so one name is taken apart alike on both.
        self.groups = groups_of(str(name) for summary in self.summaries.values() for name in summary.index)
        extractions = {
            side: summary_quantities(self.summaries[side], self.groups)
            if side in self.summaries
            else Extraction(_empty_table())
            for side in ("reference", "candidate")
        }
        self.joined = join(extractions["reference"].table, extractions["candidate"].table)

    def quantile_sides(self, side: str) -> dict[float, QuantileSide]:
        """What a side knows of each quantile."""
        if side not in self.summaries:
            return {}
        return {
            probability: quantile_side(self.summaries[side], probability, self.names.get(side), self.draws.get(side))
            for probability in QUANTILES
        }

    def freedom(self, side: str) -> dict[tuple[Any, ...], float]:
        """Degrees of freedom of each mean's and sd's mcse, by (quantity, group, term, term2, level)."""
        found: dict[tuple[Any, ...], float] = {}
        for i, name in enumerate(self.names.get(side, ())):
            ess = float(self.summaries[side]["ess_bulk"].iloc[i])
            mean, sd = mcse_freedom(self.draws[side][i], ess if math.isfinite(ess) else 2.0)
            keys = split_parameter(name, self.groups)
            found["post-mean", *keys], found["post-sd", *keys] = mean, sd
        return found

    def independent(self, side: str) -> dict[str, np.ndarray]:
        """Draws of each parameter thinned to its ESS."""
        fit = self.reference if side == "reference" else self.candidate
        if side in self.draws:
            summary = self.summaries[side]
            return {name: thinned(self.draws[side][i], summary.iloc[i]) for i, name in enumerate(self.names[side])}
        if hasattr(fit, "independent_draws"):
            frame = fit.independent_draws()
            return {str(name): frame[name].dropna().to_numpy(dtype=float) for name in frame.columns}
        return {}


def _empty_table() -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series(dtype=object if name in KEYS else float) for name in (*KEYS, "value", "error")}
    )


def main_parameters(names: Sequence[str]) -> list[str]:
    """Parameters that are neither random effects nor rstanarm's ``mean_PPD`` and ``log-posterior``."""
    return [name for name in names if not name.startswith("b[") and name not in MAIN_EXCLUDED]


def thinned(draws: np.ndarray, summary: pd.Series) -> np.ndarray:
    """Draws (chains x draws) thinned to the smaller of bulk and tail ESS, at most 2000 of them."""
    total = draws.size
    ess = float(np.nanmin([summary["ess_bulk"], summary["ess_tail"], total]))
    wanted = max(2.0, min(ess, total, _MOST_DRAWS))
    step = max(1, math.ceil(total / wanted))
    return draws[:, ::step].ravel()


def z_limit(
    tests: int,
    alpha: float = tolerances.FALSE_ALARM_RATE,
    freedom: float = tolerances.MCSE_DEGREES_OF_FREEDOM,
) -> float:
    """Bonferroni's limit for |z|, t⁻¹(1 − α/(2K)) (``tolerances.Z_SCORE`` has the reason)."""
    return float(-stdtrit(min(freedom, tolerances.MCSE_DEGREES_OF_FREEDOM), alpha / (2 * max(tests, 1))))


def mcse_freedom(draws: np.ndarray, ess: float) -> tuple[float, float]:
    """Degrees of freedom of the mcse of a mean and of a sd, from how heavy the tails are.

    The mcse is itself an estimated variance: of ψ = x − m for the mean and (x − m)² for the sd. With κ the kurtosis of
    ψ its relative variance is (κ − 1)/ESS, that of a χ² with 2·ESS/(κ − 1) degrees of freedom.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws)
    ess : float
        Bulk ESS.

    Returns
    -------
    tuple of float
        For the mean and for the sd.
    """
    centred = draws.ravel() - draws.mean()
    found = []
    for influence in (centred, np.square(centred) - np.mean(np.square(centred))):
        variance = float(np.mean(np.square(influence)))
        kurtosis = float(np.mean(influence**4)) / variance**2 if variance > 0 else math.inf
        found.append(2.0 * ess / (kurtosis - 1.0) if kurtosis > 1.0 else math.inf)
    return found[0], found[1]


def _error_and_limit(
    record: dict[str, Any], limit: float, tests: int, freedoms: Sequence[dict[tuple[Any, ...], float]]
) -> tuple[float, float]:
    """Monte Carlo error of a difference of means or sds, and the limit for its z.

    The error of a sd is proportional to the sd, and a sample that misses the tail has both too small: under the
    hypothesis that is tested both sides have one sd, so the larger stands for both. Degrees of freedom of the two
    errors are combined after Welch and Satterthwaite.
    """
    errors = [float(np.nan_to_num(record[f"error_{side}"])) for side in ("reference", "candidate")]
    if record["quantity"] == "post-sd":
        values = [abs(record["reference"]), abs(record["candidate"])]
        errors = [e * max(values) / v if v > 0 else e for e, v in zip(errors, values, strict=True)]
    error = math.hypot(*errors)
    key = (record["quantity"], *(record[name] for name in ("group", "term", "term2", "level")))
    known = [(e, f[key]) for e, f in zip(errors, freedoms, strict=True) if error > 0 and f.get(key, 0.0) > 0]
    spread = sum((e / error) ** 4 / freedom for e, freedom in known)
    if spread * tolerances.MCSE_DEGREES_OF_FREEDOM > 1.0:
        limit = z_limit(tests, freedom=1.0 / spread)
    return error, limit


def judge_posteriors(
    evidence: PosteriorEvidence, seed: int = 20180101, progress: Progress | None = None
) -> tuple[list[Check], list[Row]]:
    """Judge two posteriors by gates 1 to 6, and each side against quadrature where there is one.

    Returns
    -------
    checks : list of Check
        Gate 2 decides what the others are worth: where a sampler is not valid, gates 3 to 5 are inconclusive.
    rows : list of dict
    """
    checks: list[Check] = []
    rows: list[Row] = []

    def say(identifier: str, fraction: float) -> None:
        if progress is not None:
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
        spoilt = _invalid_sides(validity_rows)
        # Against quadrature a side stands alone: the other one's sampler does not matter.
        if spoilt & ({identifier.removeprefix("truth-")} if identifier.startswith("truth-") else spoilt):
            check, judged = _inconclusive(check, judged)
        checks.append(check)
        rows.extend(judged)
    found = summaries(evidence)
    if found is not None:  # of one fit's own draws, valid or not
        checks.append(found[0])
        rows.extend(found[1])
    return checks, rows


def _invalid_sides(validity_rows: Sequence[Row]) -> set[str]:
    """Sides that gate 2 found not valid, or without draws."""
    return {
        side
        for r in validity_rows
        if r["verdict"] is not Verdict.AGREES
        for side in ("reference", "candidate")
        if side in str(r["level"])
    }


def _inconclusive(check: Check, rows: list[Row]) -> tuple[Check, list[Row]]:
    """What invalid draws can still say: that a number is missing; nothing about agreement or disagreement."""
    judged = [
        {**r, "verdict": Verdict.INCONCLUSIVE, "reason": "the draws are not valid (gate 2)"}
        if r["verdict"] in (Verdict.AGREES, Verdict.DISAGREES)
        else r
        for r in rows
    ]
    return check_of(check.id, judged, f"the draws are not valid (gate 2); {check.summary}", check.rule), judged


# ---------------------------------------------------------------------------------------------------- gate 1


def density_points(reference: Any, candidate: Any, seed: int, n: int = 20) -> tuple[np.ndarray, list[str]]:
    """Where two log densities are compared: draws of both sides, points further out, and single coordinates moved.

    Parameters
    ----------
    reference, candidate : BayesianFit
    seed : int
    n : int
        Draws taken from each side.

    Returns
    -------
    points : ndarray, shape (at least 50, num_upars)
        The first is the origin of all differences.
    labels : list of str
        ``"reference draw 3"``, ``"far 2"``, ``"coordinate 7 up"``, ...
    """
    if hasattr(reference, "recorded_points"):
        points = np.asarray(reference.recorded_points(), dtype=float)
        return points, [f"recorded {i + 1}" for i in range(len(points))]
    draws, labels = [], []
    for side, fit in (("reference", reference), ("candidate", candidate)):
        try:
            points = np.atleast_2d(np.asarray(fit.unconstrained_draws(n, seed), dtype=float))
        except Exception:  # one side's draws are enough to compare at; log_prob itself is what is compared
            continue
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
    far = centre + 3.0 * (inner[: max(10, n // 2)] - centre)
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


def _densities(fit: Any, points: np.ndarray) -> np.ndarray:
    given = fit.log_prob(points)
    if np.shape(given) == (len(points),):
        return numbers(given, "log_prob()")
    return np.array([number(fit.log_prob(point), "log_prob()") for point in points])


def same_density(evidence: PosteriorEvidence, seed: int) -> tuple[Check, list[Row]]:
    """Gate 1: log densities at the same points, up to one constant."""
    rows: list[Row] = []
    sides = {"reference": evidence.reference, "candidate": evidence.candidate}
    for quantity in ("nobs", "num_upars"):
        values = {}
        why = ""
        for side, fit in sides.items():
            try:
                value = getattr(fit, quantity)
                values[side] = float(whole(value() if callable(value) else value, quantity))
            except Exception as error:
                why += f"{side}: {type(error).__name__}: {error} "
        if len(values) == 2:
            rows.append(
                judge_number("gate-1", quantity, values["reference"], values["candidate"], 1.0, tolerances.EXACT)
            )
        else:
            rows.append(missing_row("gate-1", quantity, "reference" in values, "candidate" in values, why=why))
    if any(r["verdict"].failed for r in rows):
        return check_of(
            "gate-1", rows, "not the same data or parameters: " + counts(rows), tolerances.DENSITY.reason
        ), rows
    found: dict[str, np.ndarray] = {}
    why = ""
    try:
        points, labels = density_points(evidence.reference, evidence.candidate, seed)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        rows.append(missing_row("gate-1", "log-density", False, False, why=why))
        return check_of("gate-1", rows, f"no points to compare at: {why}", tolerances.DENSITY.reason), rows
    for side, fit in sides.items():
        try:
            found[side] = _densities(fit, points)
        except Exception as error:
            why += f"{side}: {type(error).__name__}: {error} "
    if len(found) < 2:
        rows.append(missing_row("gate-1", "log-density", "reference" in found, "candidate" in found, why=why))
        return check_of("gate-1", rows, f"a density is missing: {why}", tolerances.DENSITY.reason), rows
    evidence.points, evidence.point_labels = points, labels
    evidence.densities = pd.DataFrame(found)
    both_zero = np.isneginf(found["reference"]) & np.isneginf(found["candidate"])
    finite = np.isfinite(found["reference"]) & np.isfinite(found["candidate"])
    origin = int(np.argmax(finite)) if finite.any() else 0
    for i, label in enumerate(labels):
        if i == origin or both_zero[i]:
            continue
        with np.errstate(invalid="ignore"):
            left = float(found["reference"][i] - found["reference"][origin])
            right = float(found["candidate"][i] - found["candidate"][origin])
        if math.isnan(left) or math.isnan(right):
            rows.append(
                row("gate-1", "log-density", left, right, Verdict.DISAGREES, level=label, reason="not a number")
            )
            continue
        rows.append(
            judge_number("gate-1", "log-density", left, right, max(1.0, abs(left)), tolerances.DENSITY, level=label)
        )
    compared = [r for r in rows if r["quantity"] == "log-density"]
    largest = max((r["scaled"] for r in compared), default=math.nan)
    constant = float(found["candidate"][origin] - found["reference"][origin])
    summary = (
        f"largest relative difference {largest:.2g} at {len(compared)} points (allowed {tolerances.DENSITY.limit:g}); "
        f"constants differ by {constant:.2g}"
    )
    if len(compared) < 50:
        rows.append(
            row(
                "gate-1",
                "log-density",
                math.nan,
                math.nan,
                Verdict.INCONCLUSIVE,
                level="points",
                reason=f"only {len(compared)} points have a finite density; at least 50 are needed",
            )
        )
    return check_of("gate-1", rows, summary, tolerances.DENSITY.reason), rows


# ---------------------------------------------------------------------------------------------------- gate 2


def _divergences(fit: Any) -> float:
    """Divergent transitions, wherever a fit reports them; 0 of a sampler that is not Hamiltonian."""
    if hasattr(fit, "divergences"):
        return float(fit.divergences)
    try:
        return float(fit.posterior["sample_stats"]["diverging"].sum())
    except Exception:  # no such variable: perhaps among the fit's own diagnostics
        diagnostics = getattr(fit, "diagnostics", None)
        return float(diagnostics.get("divergences", 0)) if isinstance(diagnostics, Mapping) else 0.0


def repeated_draws(draws: np.ndarray) -> float:
    """Share of the draws that stand elsewhere once more, with the draw that follows them: a part that was copied.

    A sampler that rejects repeats a draw at once; that it comes back later, or in another chain, does not happen by
    chance. Draws of few digits, which do meet by chance, are not judged.

    Parameters
    ----------
    draws : ndarray, shape (parameters, chains, draws)
    """
    moving = [i for i in range(len(draws)) if np.unique(draws[i]).size > 0.2 * draws[i].size][:8]
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
    _, count = np.unique(every, axis=0, return_counts=True)
    return float(1.0 - len(count) / len(every))


def validity(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 2: R-hat, bulk and tail ESS of every parameter, and divergences, on both sides."""
    rows: list[Row] = []
    texts = []
    worst: dict[str, dict[str, tuple[float, str | None]]] = {}
    for side, fit in (("reference", evidence.reference), ("candidate", evidence.candidate)):
        if side not in evidence.summaries:
            continue
        summary = evidence.summaries[side]
        exact = bool((summary["mcse_mean"] == 0).all() and summary["ess_bulk"].isna().all())
        if exact:  # quadrature, certified: no Monte Carlo, nothing to converge
            continue
        worst[side] = {"divergences": (_divergences(fit), None)}
        for quantity, column, largest in (
            ("rhat", "rhat", True),
            ("ess-bulk", "ess_bulk", False),
            ("ess-tail", "ess_tail", False),
        ):
            numbers = summary[column].to_numpy(dtype=float)
            if np.isnan(numbers).any():  # a chain that does not move has no R-hat
                worst[side][quantity] = (math.nan, str(summary.index[int(np.argmax(np.isnan(numbers)))]))
            else:
                place = int(np.argmax(numbers) if largest else np.argmin(numbers))
                worst[side][quantity] = (float(numbers[place]), str(summary.index[place]))
        found = worst[side]
        texts.append(
            f"{side}: largest R-hat {found['rhat'][0]:.4f}, smallest bulk ESS {found['ess-bulk'][0]:.0f}, tail ESS "
            f"{found['ess-tail'][0]:.0f}, {found['divergences'][0]:.0f} divergences"
        )
    limits: dict[str, tuple[float, str, Callable[[float], bool]]] = {
        "rhat": (tolerances.VALIDITY.rhat, "largest R-hat", lambda value: value < tolerances.VALIDITY.rhat),
        "ess-bulk": (tolerances.VALIDITY.ess, "smallest bulk ESS", lambda value: value >= tolerances.VALIDITY.ess),
        "ess-tail": (tolerances.VALIDITY.ess, "smallest tail ESS", lambda value: value >= tolerances.VALIDITY.ess),
        "divergences": (
            float(tolerances.VALIDITY.divergences),
            "divergent transitions",
            lambda value: value <= tolerances.VALIDITY.divergences,
        ),
    }
    for quantity, (limit, unit, holds) in limits.items():
        values = {side: found[quantity] for side, found in worst.items()}
        failed = [side for side, (value, _) in values.items() if not holds(value)]
        blamed = failed or list(values)
        rows.append(
            row(
                "gate-2",
                quantity,
                values.get("reference", (math.nan, None))[0],
                values.get("candidate", (math.nan, None))[0],
                Verdict.INCONCLUSIVE if failed else Verdict.AGREES,
                term=values[blamed[0]][1] if blamed else None,
                level=" and ".join(failed) if failed else None,
                unit=unit,
                tolerance=limit,
                reason=(f"the {' and the '.join(failed)} misses it. " if failed else "") + tolerances.VALIDITY.reason,
            )
        )
    copied = {side: repeated_draws(draws) for side, draws in evidence.draws.items()}
    if copied:
        failed = [side for side, share in copied.items() if share > 0.0]
        rows.append(
            row(
                "gate-2",
                "repeated-draws",
                copied.get("reference", math.nan),
                copied.get("candidate", math.nan),
                Verdict.DISAGREES if failed else Verdict.AGREES,
                level=" and ".join(failed) if failed else None,
                unit="share of draws that were copied",
                tolerance=0.0,
                reason=f"{max(copied.values()):.1%} of the draws of the {' and the '.join(failed)} are copies of others"
                if failed
                else "a draw of a continuous distribution comes again only at once, where a move is rejected",
            )
        )
        texts += [f"{copied[side]:.1%} of the {side}'s draws are copies of others" for side in failed]
    for side, problem in evidence.problems.items():
        rows.append(missing_row("gate-2", "draws", side != "reference", side != "candidate", why=problem, level=side))
        texts.append(f"the {side} has no usable draws: {problem}")
    return check_of(
        "gate-2", rows, "; ".join(texts) or "no Monte Carlo on either side", tolerances.VALIDITY.reason
    ), rows


# ---------------------------------------------------------------------------------------------------- gates 3, 4


def z_scores(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 3: z of every posterior mean, sd and quantile, with Bonferroni's limit."""
    joined = evidence.joined
    both = joined["has_reference"] & joined["has_candidate"]
    tests = int(both.sum())
    limit = z_limit(tests)
    rows: list[Row] = []
    quantiles = [evidence.quantile_sides(side) for side in ("reference", "candidate")]
    scores = quantile_scores(quantiles[0], quantiles[1], evidence.groups)
    freedoms = [evidence.freedom(side) for side in ("reference", "candidate")]
    for record in records(joined):
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        if not (record["has_reference"] and record["has_candidate"]):
            rows.append(
                missing_row(
                    "gate-3",
                    record["quantity"],
                    record["has_reference"],
                    record["has_candidate"],
                    record["reference"],
                    record["candidate"],
                    "; ".join(evidence.problems.values()),
                    **keys,
                )
            )
            continue
        error, row_limit = _error_and_limit(record, limit, tests, freedoms)
        z = scores.get((record["quantity"], *keys.values()))
        if z is not None:  # the row shows the quantiles; their unit is what makes the difference this z
            error = abs(record["candidate"] - record["reference"]) / max(abs(z), 1e-9) or error
        rows.append(
            judge_number(
                "gate-3",
                record["quantity"],
                record["reference"],
                record["candidate"],
                error,
                tolerances.Z_SCORE,
                row_limit,
                "Monte Carlo standard errors of the difference",
                **keys,
            )
        )
    zs = np.array([r["scaled"] for r in rows if math.isfinite(r["scaled"])])
    summary = counts(rows)
    if zs.size:
        summary = (
            f"{tests} z-scores, root mean square {np.sqrt(np.mean(zs**2)):.2f}, largest {zs.max():.2f} "
            f"({describe(max((r for r in rows if math.isfinite(r['scaled'])), key=lambda r: r['scaled']))}); "
            f"limit {limit:.2f} for a false-alarm rate of {tolerances.FALSE_ALARM_RATE:g} over all {tests}"
        )
        failed = sum(r["verdict"].failed for r in rows)
        if failed:
            summary = f"{failed} failed: " + summary
    return check_of("gate-3", rows, summary, tolerances.Z_SCORE.reason), rows


def quantile_scores(
    left: dict[float, QuantileSide], right: dict[float, QuantileSide], groups: Sequence[str] = ()
) -> dict[tuple[Any, ...], float]:
    """Score every quantile that draws can judge: z by (quantity, group, term, term2, level)."""
    scores: dict[tuple[Any, ...], float] = {}
    for probability in [p for p in left if p in right]:
        for name in left[probability].value:
            z = quantile_z(name, probability, left[probability], right[probability])
            if z is not None:
                scores[f"post-q{100 * probability:g}", *split_parameter(name, groups)] = z
    return scores


def sizes(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 4: differences of means and sds in posterior sds, and the smallest shift that could have been detected."""
    joined = evidence.joined
    both = joined[joined["has_reference"] & joined["has_candidate"]]
    limit = z_limit(len(both))
    sd_of = {
        tuple(record[key] for key in KEYS[1:]): record["reference"]
        for record in records(both[both["quantity"] == "post-sd"])
    }
    rows: list[Row] = []
    shifts: dict[str, float] = {}
    power = float(ndtri(_POWER))
    for record in records(both[both["quantity"].isin(["post-mean", "post-sd"])]):
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        sd = sd_of.get(tuple(record[key] for key in KEYS[1:]), math.nan)
        judged = judge_number(
            "gate-4", record["quantity"], record["reference"], record["candidate"], sd, tolerances.SIZE, **keys
        )
        error = math.hypot(record["error_reference"], record["error_candidate"])
        z = abs(record["candidate"] - record["reference"]) / error if error > 0 else math.inf
        if math.isfinite(judged["scaled"]):
            d = judged["scaled"]
            if d >= tolerances.SHIFT_FAILS:
                judged["verdict"] = Verdict.DISAGREES
                if z <= limit:
                    judged["verdict"] = Verdict.INCONCLUSIVE
                    judged["reason"] = (
                        f"{d:.2g} posterior sds apart, but the draws are too few to tell that from chance (z = {z:.1f})"
                    )
            elif d > tolerances.SHIFT_FINE:
                judged["reason"] = (
                    f"between {tolerances.SHIFT_FINE} and {tolerances.SHIFT_FAILS} posterior sds (z = {z:.1f})"
                )
        rows.append(judged)
        if record["quantity"] == "post-mean" and record["level"] is None and sd > 0 and math.isfinite(error):
            name = record["term"] if record["group"] is None else describe({**record, "quantity": "Sigma"})
            if name not in MAIN_EXCLUDED:
                shifts[name] = (limit + power) * error / sd
    summary = counts(rows)
    if shifts:
        hardest = max(shifts, key=lambda name: shifts[name])
        evidence.detectable = shifts[hardest]
        summary += (
            f"; smallest shift of a main parameter's mean that gate 3 would have detected (power {_POWER:.0%}): "
            f"{evidence.detectable:.2f} posterior sds ({hardest})"
        )
        if evidence.detectable > tolerances.SHIFT_FINE:
            summary += ": a weak comparison, more draws would sharpen it"
    return check_of("gate-4", rows, summary, tolerances.SIZE.reason), rows


# ---------------------------------------------------------------------------------------------------- gate 5


def distributions(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 5: two-sample ECDF-difference test of every parameter that has draws on both sides, and of dependences."""
    left, right = evidence.independent("reference"), evidence.independent("candidate")
    names = [name for name in left if name in right]
    together = _pairs(evidence)
    limit = tolerances.FALSE_ALARM_RATE / max(len(names) + len(together), 1)
    rows: list[Row] = []
    for position, name in enumerate(names):
        group, term, term2, level = split_parameter(name, evidence.groups)
        a, b = left[name], right[name]
        keys: dict[str, Any] = {"group": group, "term": term, "term2": term2, "level": level}
        try:
            found = ecdf_difference(a, b, seed=position)
        except ValueError as error:
            rows.append(
                row("gate-5", "ecdf", float(a.size), float(b.size), Verdict.INCONCLUSIVE, reason=str(error), **keys)
            )
            continue
        distance = float(np.max(np.abs(found.difference), initial=0.0))
        agrees = found.p_value >= limit
        judged = row(
            "gate-5",
            "ecdf",
            0.0,
            distance,
            Verdict.AGREES if agrees else Verdict.DISAGREES,
            scaled=found.p_value,
            unit=tolerances.ECDF.unit,
            tolerance=limit,
            reason=f"largest ECDF difference {distance:.3f} of {a.size} and {b.size} draws. {tolerances.ECDF.reason}",
            **keys,
        )
        judged["digits"] = math.nan
        rows.append(judged)
    rows.extend(_dependences(evidence, together, limit))
    summary = "no draws to compare"
    if rows:
        judged_rows = [r for r in rows if math.isfinite(r["scaled"])]
        if judged_rows:
            smallest = min(judged_rows, key=lambda r: r["scaled"])
            failed = sum(r["verdict"].failed for r in rows)
            summary = (
                f"{len(names)} parameters{f' and {len(together)} pairs' if together else ''}"
                f"{f', {failed} failed' if failed else ''}; smallest p-value "
                f"{smallest['scaled']:.2g} ({describe(smallest)}), limit {limit:.2g} for a false-alarm rate of "
                f"{tolerances.FALSE_ALARM_RATE:g} over all"
            )
        across = _rhat_across(evidence)
        if across is not None:
            summary += f"; R-hat across the two sides {across[0]:.4f} ({across[1]}), an addition only"
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
        agrees = p >= limit
        evidence.dependence.append((first, second, left[0], right[0], agrees))
        judged = row(
            "gate-5",
            "dependence",
            left[0],
            right[0],
            Verdict.AGREES if agrees else Verdict.DISAGREES,
            scaled=p,
            unit=tolerances.DEPENDENCE.unit,
            tolerance=limit,
            reason=tolerances.DEPENDENCE.reason,
            term=first,
            term2=second,
        )
        judged["digits"] = math.nan
        rows.append(judged)
    return rows


def _rhat_across(evidence: PosteriorEvidence) -> tuple[float, str] | None:
    """Largest R-hat of main parameters when the chains of both sides are taken for chains of one sampler."""
    if len(evidence.draws) < 2:
        return None
    from arviz_stats.base import array_stats

    names = [name for name in main_parameters(evidence.names["reference"]) if name in evidence.names["candidate"]]
    if not names:
        return None
    length = min(evidence.draws[side].shape[2] for side in ("reference", "candidate"))
    parts = [
        evidence.draws[side][[evidence.names[side].index(name) for name in names]][:, :, :length]
        for side in ("reference", "candidate")
    ]
    with np.errstate(all="ignore"):
        rhats = np.asarray(array_stats.rhat(np.concatenate(parts, axis=1)), dtype=float)
    if np.isnan(rhats).all():
        return None
    worst = int(np.nanargmax(rhats))
    return float(rhats[worst]), names[worst]


# ---------------------------------------------------------------------------------------------------- quadrature


def against_truth(evidence: PosteriorEvidence, side: str) -> tuple[Check, list[Row]]:
    """One side against quadrature: no Monte Carlo error on the other side, so it tells which side is off."""
    identifier = f"truth-{side}"
    if evidence.truth is None or side not in evidence.summaries:
        return check_of(identifier, [], "", tolerances.Z_SCORE.reason), []
    truth = summary_quantities(evidence.truth, evidence.groups).table
    truth = truth[truth["value"].notna()]
    own = summary_quantities(evidence.summaries[side], evidence.groups).table
    joined = join(truth, own)
    joined = joined[joined["has_reference"]]  # quadrature gives what it gives; the rest is judged by gates 3 to 5
    limit = z_limit(len(joined))
    exact = {probability: quantile_side(evidence.truth, probability) for probability in QUANTILES}
    scores = quantile_scores(exact, evidence.quantile_sides(side), evidence.groups)
    freedoms = [{}, evidence.freedom(side)]
    rows: list[Row] = []
    for record in records(joined):
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        if not record["has_candidate"]:
            why = "quadrature has it"
            rows.append(missing_row(identifier, record["quantity"], True, False, record["reference"], why=why, **keys))
            continue
        error, row_limit = _error_and_limit(record, limit, len(joined), freedoms)
        z = scores.get((record["quantity"], *keys.values()))
        if z is not None:
            error = abs(record["candidate"] - record["reference"]) / max(abs(z), 1e-9) or error
        rows.append(
            judge_number(
                identifier,
                record["quantity"],
                record["reference"],
                record["candidate"],
                error,
                tolerances.Z_SCORE,
                row_limit,
                "Monte Carlo standard errors",
                **keys,
            )
        )
    return check_of(identifier, rows, counts(rows), tolerances.Z_SCORE.reason), rows
