"""Whether parameters depend on each other alike in two posteriors: what no comparison of margins can see.

Draws that were put together wrongly (each parameter's own draws right, in an order of their own) have right means, sds,
quantiles and distributions, and wrong predictions, contrasts and R².
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.special import ndtri, stdtr

from validation.quantities import split_parameter


def pairs(main: Sequence[str], names: Sequence[str], groups: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Pairs of parameters whose dependence is compared: of main ones (no random effects) each with every other.

    And each random effect among all names, with the coefficient that it adds to.
    """
    coefficients = {split_parameter(name)[1]: name for name in main if split_parameter(name)[0] is None}
    own = []
    for name in names:
        group, effect, _, level = split_parameter(name, groups)
        if group is not None and level is not None and name.startswith("b[") and effect in coefficients:
            own.append((coefficients[effect], name))
    return [*combinations(main, 2), *own]


def correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Correlation of the normal scores of two parameters' ranks (van der Waerden), and its Monte Carlo error.

    The error is that of the mean of the scores' products, by the effective sample size of those products: a little too
    large where the correlation is strong, since the scores' own spread is known. Draws are chains by draws; both
    numbers are none where a parameter does not vary.
    """
    from arviz_stats.base import array_stats
    from scipy.stats import rankdata

    scores = []
    for draws in (first, second):
        if not np.isfinite(draws).all() or np.ptp(draws) == 0.0:
            return math.nan, math.nan
        score = ndtri(rankdata(draws).reshape(draws.shape) / (draws.size + 1.0))
        scores.append(score / score.std())
    products = scores[0] * scores[1]
    ess = float(array_stats.ess(products, method="mean"))
    return float(products.mean()), float(products.std()) / math.sqrt(min(max(ess, 2.0), products.size))


def p_value(left: tuple[float, float], right: tuple[float, float], freedom: float) -> float:
    """Two-sided p-value of two correlations with their errors; 1 where both sides' are not to be had."""
    difference, error = left[0] - right[0], math.hypot(left[1], right[1])
    if math.isnan(difference) or error == 0.0:
        return 1.0 if math.isnan(left[0]) and math.isnan(right[0]) else float(difference == 0.0)
    return float(2.0 * stdtr(freedom, -abs(difference) / error))
