"""What a posterior fit reports of its draws (coefficients, σ, VarCorr), judged against its own draws by R's rules.

The rules are rstanarm's: ``fixef`` and ``ranef`` are medians, ``se`` is the MAD_SD (1.4826 times the median absolute
deviation), ``sigma`` the median; ``VarCorr`` has posterior *means* of the covariance matrix, its ``sdcor`` are their
roots and the correlations of the mean matrix, and its residual row is the mean of sigma and its square. The draws are
at hand, so there is no Monte Carlo error in this: a number is R's or it is not.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from validation import tolerances
from validation.contract import BayesianFit
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Found, Row, counts, judge_number
from validation.quantities import Key, key_of, records, reported_quantities

#: R's ``mad(constant = 1.4826)``.
MAD_FACTOR = 1.4826


class Draws(dict[str, np.ndarray]):
    """Draws by rstanarm's column name, each as one vector."""

    def __init__(self, names: Sequence[str], values: np.ndarray) -> None:
        super().__init__(zip(names, (own.ravel() for own in values), strict=True))

    def covariance(self, group: str, first: str, second: str) -> np.ndarray | None:
        """Draws of an element of Sigma; None where there are none."""
        return self.get(f"Sigma[{group}:{first},{second}]", self.get(f"Sigma[{group}:{second},{first}]"))


def _mad_sd(x: np.ndarray) -> float:
    return MAD_FACTOR * float(np.median(np.abs(x - np.median(x))))


def _mean(x: np.ndarray) -> float:
    return float(x.mean())


def _median(x: np.ndarray) -> float:
    return float(np.median(x))


def _correlation(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    return _mean(c) / math.sqrt(_mean(a) * _mean(b))


_Rule: TypeAlias = tuple[str, Callable[..., float]]
_COEFFICIENTS: dict[str, _Rule] = {"R": ("posterior medians", _median), "mean": ("posterior means", _mean)}

#: Each reported quantity: R's rule first (by the name "R"), then what other programs do, with words for it. A rule of
#: one vector takes the draws of the parameter; of an sd the draws of the variance; of a correlation those of the
#: covariance and of both variances.
RULES: dict[str, dict[str, _Rule]] = {
    "fixef": _COEFFICIENTS,
    "se": {
        "R": ("MAD_SD, 1.4826 times the median absolute deviation", _mad_sd),
        "sd": ("posterior sds", lambda x: float(x.std(ddof=1))),
        "sd-ddof0": ("posterior sds with ddof = 0", lambda x: float(x.std())),
        "mad": ("median absolute deviations without the factor 1.4826", lambda x: _mad_sd(x) / MAD_FACTOR),
        "variance": ("posterior variances", lambda x: float(x.var(ddof=1))),
    },
    "sigma": {
        "R": ("the posterior median of sigma", _median),
        "mean": ("the posterior mean of sigma", _mean),
        "variance": ("a residual variance", lambda x: _median(x) ** 2),
        "mean-variance": ("the posterior mean of the residual variance", lambda x: _mean(x**2)),
    },
    "ranef": _COEFFICIENTS,
    "reported-sd": {
        "R": ("roots of the posterior mean variances", lambda v: math.sqrt(_mean(v))),
        "median-sd": ("posterior medians of the sds", lambda v: _median(np.sqrt(v))),
        "mean-sd": ("posterior means of the sds", lambda v: _mean(np.sqrt(v))),
        "squared": ("variances: their roots are R's", _mean),
        "median-variance": ("posterior medians of the variances", _median),
    },
    "reported-variance": {
        "R": ("posterior means of the variances", _mean),
        "median": ("posterior medians of the variances", _median),
        "median-sd": ("squares of the posterior medians of the sds", lambda v: _median(np.sqrt(v)) ** 2),
        "mean-sd": ("squares of the posterior means of the sds", lambda v: _mean(np.sqrt(v)) ** 2),
        "square-root": ("sds, the roots of the mean variances", lambda v: math.sqrt(_mean(v))),
    },
    "reported-correlation": {
        "R": ("correlations of the posterior mean covariance matrix", _correlation),
        "mean": ("posterior means of the correlations", lambda c, a, b: _mean(c / np.sqrt(a * b))),
        "median": ("posterior medians of the correlations", lambda c, a, b: _median(c / np.sqrt(a * b))),
        "covariance": ("covariances", lambda c, a, b: _mean(c)),
    },
    "reported-covariance": {
        "R": ("posterior means of the covariances", lambda c, a, b: _mean(c)),
        "median": ("posterior medians of the covariances", lambda c, a, b: _median(c)),
        "correlation": ("correlations of the mean covariance matrix", _correlation),
    },
    "residual-sd": {
        "R": ("the posterior mean of sigma", _mean),
        "median": ("the posterior median of sigma", _median),
        "root-mean": ("the root of the posterior mean of sigma²", lambda s: math.sqrt(_mean(s**2))),
        "squared": ("the square of the posterior mean of sigma", lambda s: _mean(s) ** 2),
    },
    "residual-variance": {
        "R": ("the square of the posterior mean of sigma", lambda s: _mean(s) ** 2),
        "median": ("the square of the posterior median of sigma", lambda s: _median(s) ** 2),
        "mean-variance": ("the posterior mean of sigma²", lambda s: _mean(s**2)),
        "square-root": ("an sd: the posterior mean of sigma", _mean),
    },
}


#: What a number is a summary of, draw by draw and in its own unit, where that is not the first of its vectors.
_DRAW_BY_DRAW: dict[str, Callable[..., np.ndarray]] = {
    "reported-sd": np.sqrt,
    "reported-correlation": lambda c, a, b: c / np.sqrt(a * b),
    "residual-variance": np.square,
}


def _posterior_sd(quantity: str, vectors: tuple[np.ndarray, ...]) -> float:
    """Spread of what is summarised, in the unit of the number; 0 where its draws are not all numbers."""
    with np.errstate(all="ignore"):  # a fault's draws may have negative variances
        own = _DRAW_BY_DRAW[quantity](*vectors) if quantity in _DRAW_BY_DRAW else vectors[0]
        spread = float(own.std())
    return spread if math.isfinite(spread) else 0.0


def reported(fit: BayesianFit, draws: Draws) -> dict[Key, tuple[float, tuple[np.ndarray, ...]]]:
    """What a fit reports, and for each number the draws that R's rule takes it from.

    A verb that the fit does not have, and a number of which there are no draws, are left out: gates 3 to 5 say what is
    missing.
    """
    found: dict[Key, tuple[float, tuple[np.ndarray, ...]]] = {}
    for record in records(reported_quantities(fit)):
        quantity, group, first, second, level = key_of(record)
        if quantity in ("fixef", "se", "sigma"):
            vectors = [draws.get(first or "sigma")]
        elif quantity == "ranef":
            vectors = [draws.get(f"b[{first} {group}:{str(level).replace(' ', '_')}]")]
        elif first is None:
            quantity, vectors = f"residual-{quantity}", [draws.get("sigma")]
        else:
            pairs = [(first, second), (first, first), (second, second)] if second else [(first, first)]
            vectors = [draws.covariance(str(group), *pair) for pair in pairs]
            quantity = "reported-correlation" if quantity == "cor" else f"reported-{quantity}"
        known = tuple(vector for vector in vectors if vector is not None)
        if len(known) == len(vectors):
            found[quantity, group, first, second, level] = record["value"], known
    return found


def by_rules(key: Key, vectors: tuple[np.ndarray, ...], rule: str = "R") -> float:
    """A number by one of :data:`RULES`; NaN where it has none."""
    try:
        return RULES[key[0]][rule][1](*vectors)
    except (ZeroDivisionError, ValueError):  # a variance of 0, or a negative one among a fault's draws
        return math.nan


def summaries(evidence: PosteriorEvidence) -> Found | None:
    """Gate 6: what each side reports, against its own draws by R's rules; None where neither side reports anything.

    In the rows the reference's column is R's rule of that side's draws; ``level`` is the side, where a row has none.
    """
    rows: list[Row] = []
    for side, fit in (("reference", evidence.reference), ("candidate", evidence.candidate)):
        if side not in evidence.draws:
            continue
        draws, of_side = Draws(evidence.names[side], evidence.draws[side]), side if side == "reference" else None
        for key, (value, vectors) in reported(fit, draws).items():
            quantity, group, term, term2, level = key
            right = by_rules(key, vectors)
            scale = max(abs(right), _posterior_sd(quantity, vectors), abs(value) if not right else 0.0)
            shown = f"reported-{quantity.removeprefix('reported-')}", group, term, term2, level or of_side
            judged = judge_number(shown, right, value, scale if scale > 0 else 1.0, tolerances.REPORTED)
            words = RULES[quantity]["R"][0]
            told = f"the {side}'s own draws by R's rule ({words}), and what it reports. {judged.reason}"
            rows.append(judged._replace(reason=told))
    return (rows, counts(rows)) if rows else None
