"""z-scores of posterior quantiles, by proportions instead of densities.

The Monte Carlo standard error of a quantile needs the density there, which a few thousand autocorrelated draws give to
10% or 20% (in the tails worse): z-scores made with it have heavier tails than a normal, and with some hundred of them a
right sampler is soon beyond Bonferroni's limit. The share of draws below one common point needs no density: under the
null hypothesis it is p on both sides, with variance p(1 − p)/ESS (Vehtari et al. 2021, section 4: the ESS of a quantile
is that of the indicator).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class QuantileSide:
    """One side's knowledge of a quantile of every parameter."""

    value: dict[str, float]
    ess: dict[str, float]  # effective draws behind it; infinite for quadrature
    draws: dict[str, np.ndarray]  # empty where a side has summaries only


def quantile_side(
    summary: pd.DataFrame, probability: float, names: list[str] | None = None, draws: np.ndarray | None = None
) -> QuantileSide:
    """Collect one side's quantile from its summary (``quantities.posterior_summary``), and its draws if it has some."""
    column = f"q{100 * probability:g}"
    labels = [str(name) for name in summary.index]
    value = dict(zip(labels, summary[column].to_numpy(dtype=float), strict=True)) if column in summary else {}
    if names is not None and draws is not None:
        from arviz_stats.base import array_stats

        with np.errstate(all="ignore"):
            ess = np.atleast_1d(np.asarray(array_stats.ess(draws, method="quantile", prob=probability), dtype=float))
        of_each = {name: draws[i].ravel() for i, name in enumerate(names)}
        return QuantileSide(value, dict(zip(names, ess, strict=True)), of_each)
    exact = summary.get(f"mcse_{column}", pd.Series(np.nan, index=summary.index)).to_numpy(dtype=float) == 0.0
    kind = "ess_bulk" if probability == 0.5 else "ess_tail"
    sizes = summary[kind].to_numpy(dtype=float) if kind in summary else np.full(len(labels), math.nan)
    return QuantileSide(value, dict(zip(labels, np.where(exact, math.inf, sizes), strict=True)), {})


def quantile_z(name: str, probability: float, left: QuantileSide, right: QuantileSide) -> float | None:
    """Score the difference of one parameter's quantile: z of the left side's share of draws against the right's.

    Both sides' shares of draws below a common point (their quantiles' mean, weighted by ESS) are compared; a side
    without draws has its quantile as the point, and the share ``probability``. None where neither side has draws, or an
    ESS is missing.
    """
    sizes = left.ess.get(name, math.nan), right.ess.get(name, math.nan)
    values = left.value.get(name, math.nan), right.value.get(name, math.nan)
    if any(map(math.isnan, (*sizes, *values))) or min(sizes) <= 0:
        return None
    with_draws = name in left.draws, name in right.draws
    if all(with_draws):
        point = (sizes[0] * values[0] + sizes[1] * values[1]) / (sizes[0] + sizes[1])
    elif any(with_draws):
        point = values[1] if with_draws[0] else values[0]
    else:
        return None
    shares = [
        _share(side.draws[name], point) if has else probability
        for side, has in zip((left, right), with_draws, strict=True)
    ]
    variance = probability * (1.0 - probability) * (1.0 / sizes[0] + 1.0 / sizes[1])
    return (shares[0] - shares[1]) / math.sqrt(variance)


def _share(draws: np.ndarray, point: float) -> float:
    """Fraction of draws below ``point``, those at it counted half."""
    return float((np.mean(draws < point) + np.mean(draws <= point)) / 2.0)
