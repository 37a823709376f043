"""Two posteriors, read once, and how precisely their draws are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from validation import tolerances
from validation.contract import BayesianFit
from validation.errors import RAISED, error_in_words
from validation.quantities import (
    MAIN_EXCLUDED,
    draws_of,
    groups_of,
    join,
    key_of,
    posterior_summary,
    split_parameter,
    summary_quantities,
)


@dataclass
class PosteriorEvidence:
    """Two posteriors, read once.

    What a side lacks is absent from ``draws`` and ``summaries``, which are by side.
    """

    reference: BayesianFit
    candidate: BayesianFit
    truth: pd.DataFrame | None = None  # summary by quadrature (as posterior_summary), ``mcse_`` its error
    density: bool = True
    draws: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)  # by parameter, each chains x draws
    summaries: dict[str, pd.DataFrame] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    joined: pd.DataFrame = field(default_factory=pd.DataFrame)
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # of gate 1, in rows
    point_labels: list[str] = field(default_factory=list)
    densities: pd.DataFrame = field(default_factory=pd.DataFrame)  # of both sides at the points
    invalid: set[str] = field(default_factory=set)  # sides that gate 2 found not valid, or without draws
    detectable: float = math.nan
    #: What gate 5 found: two parameters, their rank correlation on either side, and whether these agree.
    dependence: list[tuple[str, str, float, float, bool]] = field(default_factory=list)
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for side, fit in (("reference", self.reference), ("candidate", self.candidate)):
            try:
                if hasattr(fit, "posterior_summary"):
                    self.summaries[side] = fit.posterior_summary()
                else:
                    names, values = draws_of(fit)
                    self.summaries[side] = posterior_summary(names, values)
                    self.draws[side] = dict(zip(names, values, strict=True))
            except RAISED as error:  # the side has no usable draws: every row of the other is a missing row
                self.problems[side] = error_in_words(error)
        # The names of both sides tell the grouping factors: so one name is taken apart alike on both.
        self.groups = groups_of(str(name) for summary in self.summaries.values() for name in summary.index)
        summaries = (self.summaries.get(side, pd.DataFrame()) for side in ("reference", "candidate"))
        self.joined = join(*(summary_quantities(summary, self.groups) for summary in summaries))

    def freedom(self, side: str) -> dict[tuple[object, ...], float]:
        """Degrees of freedom of each mean's and sd's mcse, by (quantity, group, term, term2, level)."""
        found: dict[tuple[object, ...], float] = {}
        for i, (name, own) in enumerate(self.draws.get(side, {}).items()):
            ess = float(self.summaries[side]["ess_bulk"].iloc[i])
            mean, sd = mcse_freedom(own, ess if math.isfinite(ess) else 2.0)
            keys = split_parameter(name, self.groups)
            found["post-mean", *keys], found["post-sd", *keys] = mean, sd
        return found

    def independent(self, side: str) -> dict[str, np.ndarray]:
        """Draws of each parameter thinned to its ESS."""
        fit = self.reference if side == "reference" else self.candidate
        if side in self.draws:
            summary = self.summaries[side]
            return {name: thinned(own, summary.iloc[i]) for i, (name, own) in enumerate(self.draws[side].items())}
        if hasattr(fit, "independent_draws"):
            frame = fit.independent_draws()
            return {str(name): frame[name].dropna().to_numpy(dtype=float) for name in frame.columns}
        return {}

    def main_draws(self) -> dict[str, pd.DataFrame]:
        """Independent draws of each side's main parameters, for the plots."""
        independent = {side: self.independent(side) for side in ("reference", "candidate")}
        return {
            side: pd.DataFrame({name: pd.Series(own[name]) for name in main_parameters(list(own))})
            for side, own in independent.items()
        }


def main_parameters(names: Sequence[str]) -> list[str]:
    """Parameters that are neither random effects nor rstanarm's ``mean_PPD`` and ``log-posterior``."""
    return [name for name in names if not name.startswith("b[") and name not in MAIN_EXCLUDED]


def thinned(draws: np.ndarray, summary: pd.Series) -> np.ndarray:
    """Draws (chains x draws) thinned to the smaller of bulk and tail ESS, at most 2000 of them."""
    total = draws.size
    ess = float(np.nanmin([summary["ess_bulk"], summary["ess_tail"], total]))
    wanted = max(2.0, min(ess, total, tolerances.MOST_DRAWS))
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
    ψ its relative variance is (κ − 1)/ESS (the bulk one), that of a χ² with 2·ESS/(κ − 1) degrees of freedom.
    """
    centred = draws.ravel() - draws.mean()
    found = []
    for influence in (centred, np.square(centred) - np.mean(np.square(centred))):
        variance = float(np.mean(np.square(influence)))
        kurtosis = float(np.mean(influence**4)) / variance**2 if variance > 0 else math.inf
        found.append(2.0 * ess / (kurtosis - 1.0) if kurtosis > 1.0 else math.inf)
    return found[0], found[1]


def error_and_limit(
    record: dict[str, Any], limit: float, tests: int, freedoms: Sequence[dict[tuple[object, ...], float]]
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
    error, key = math.hypot(*errors), key_of(record)
    known = [(e, f[key]) for e, f in zip(errors, freedoms, strict=True) if error > 0 and f.get(key, 0.0) > 0]
    spread = sum((e / error) ** 4 / freedom for e, freedom in known)
    if spread * tolerances.MCSE_DEGREES_OF_FREEDOM > 1.0:
        limit = z_limit(tests, freedom=1.0 / spread)
    return error, limit
