"""What a posterior fit reports of its draws (coefficients, σ, VarCorr), judged against its own draws by R's rules.

The rules are rstanarm's: ``fixef`` and ``ranef`` are medians, ``se`` is the MAD_SD (1.4826 times the median absolute
deviation), ``sigma`` the median; ``VarCorr`` has posterior *means* of the covariance matrix, its ``sdcor`` are their
roots and the correlations of the mean matrix, and its residual row is the mean of sigma and its square. The draws are
at hand, so there is no Monte Carlo error in this: a number is R's or it is not.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from validation import tolerances
from validation.checks import Check
from validation.contract import BayesianFit
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Row, check_of, counts, judge_number
from validation.quantities import records

__all__ = ["MAD_FACTOR", "RULES", "Draws", "by_rules", "reported", "summaries"]

#: R's ``mad(constant = 1.4826)``.
MAD_FACTOR = 1.4826

#: Quantity, and the labels of a number: group, term, term2, level.
Key = tuple[str, str | None, str | None, str | None, str | None]


class Draws:
    """Draws by rstanarm's column name, each as one vector."""

    def __init__(self, names: list[str], values: np.ndarray) -> None:
        self._at = {name: i for i, name in enumerate(names)}
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def __getitem__(self, name: str) -> np.ndarray:
        vector: np.ndarray = self._values[self._at[name]].ravel()
        return vector

    def get(self, name: str) -> np.ndarray | None:
        """The draws of a parameter; None where there are none."""
        at = self._at.get(name)
        return None if at is None else self._values[at].ravel()

    def covariance(self, group: str, first: str, second: str) -> np.ndarray | None:
        """Draws of an element of Sigma; None where there are none."""
        for a, b in ((first, second), (second, first)):
            name = f"Sigma[{group}:{a},{b}]"
            if name in self:
                return self[name]
        return None


def _mad_sd(x: np.ndarray) -> float:
    return MAD_FACTOR * float(np.median(np.abs(x - np.median(x))))


def _mean(x: np.ndarray) -> float:
    return float(x.mean())


def _median(x: np.ndarray) -> float:
    return float(np.median(x))


#: Each reported quantity: R's rule first (by the name "R"), then what other programs do, with words for it. A rule of
#: one vector takes the draws of the parameter; of an sd the draws of the variance; of a correlation those of the
#: covariance and of both variances.
RULES: dict[str, dict[str, tuple[str, Callable[..., float]]]] = {
    "fixef": {
        "R": ("posterior medians", _median),
        "mean": ("posterior means", _mean),
    },
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
    "ranef": {
        "R": ("posterior medians", _median),
        "mean": ("posterior means", _mean),
    },
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
        "R": (
            "correlations of the posterior mean covariance matrix",
            lambda c, a, b: _mean(c) / math.sqrt(_mean(a) * _mean(b)),
        ),
        "mean": ("posterior means of the correlations", lambda c, a, b: _mean(c / np.sqrt(a * b))),
        "median": ("posterior medians of the correlations", lambda c, a, b: _median(c / np.sqrt(a * b))),
        "covariance": ("covariances", lambda c, a, b: _mean(c)),
    },
    "reported-covariance": {
        "R": ("posterior means of the covariances", lambda c, a, b: _mean(c)),
        "median": ("posterior medians of the covariances", lambda c, a, b: _median(c)),
        "correlation": (
            "correlations of the mean covariance matrix",
            lambda c, a, b: _mean(c) / math.sqrt(_mean(a) * _mean(b)),
        ),
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

    Parameters
    ----------
    fit : BayesianFit
    draws : Draws
    """
    found: dict[Key, tuple[float, tuple[np.ndarray, ...]]] = {}

    def add(key: Key, value: Any, *vectors: np.ndarray | None) -> None:
        known = tuple(vector for vector in vectors if vector is not None)
        if len(known) == len(vectors):
            found[key] = (float(value), known)

    def coefficients(quantity: str, values: pd.Series) -> None:
        for name, value in values.items():
            if str(name) in draws:
                add((quantity, None, str(name), None, None), value, draws[str(name)])

    def components(table: pd.DataFrame) -> None:
        for r in records(table):
            group, first, second = str(r["grp"]), r["var1"], r["var2"]
            if not isinstance(first, str):
                residual = draws.get("sigma")
                add(("residual-variance", group, None, None, None), r["vcov"], residual)
                add(("residual-sd", group, None, None, None), r["sdcor"], residual)
                continue
            if not isinstance(second, str):
                own = draws.covariance(group, first, first)
                add(("reported-variance", group, first, None, None), r["vcov"], own)
                add(("reported-sd", group, first, None, None), r["sdcor"], own)
                continue
            three = (
                draws.covariance(group, first, second),
                draws.covariance(group, first, first),
                draws.covariance(group, second, second),
            )
            add(("reported-covariance", group, first, second, None), r["vcov"], *three)
            add(("reported-correlation", group, first, second, None), r["sdcor"], *three)

    def modes(frames: Mapping[str, pd.DataFrame]) -> None:
        for group, frame in frames.items():
            for effect in frame.columns:
                for level, value in frame[effect].items():
                    name = f"b[{effect} {group}:{str(level).replace(' ', '_')}]"
                    if name in draws:
                        add(("ranef", str(group), str(effect), None, str(level)), value, draws[name])

    readers: dict[str, Callable[[Any], None]] = {
        "fixef": lambda value: coefficients("fixef", value),
        "se": lambda value: coefficients("se", value),
        "sigma": lambda value: (
            add(("sigma", None, None, None, None), value, draws["sigma"]) if "sigma" in draws else None
        ),
        "VarCorr": components,
        "ranef": modes,
    }
    for verb, read in readers.items():
        try:
            read(getattr(fit, verb)())
        except Exception:  # draws alone report nothing; what a fit lacks is told where its draws are compared
            continue
    return found


def by_rules(key: Key, vectors: tuple[np.ndarray, ...], rule: str = "R") -> float:
    """A number by one of :data:`RULES`; NaN where it has none."""
    try:
        return RULES[key[0]][rule][1](*vectors)
    except (ZeroDivisionError, ValueError):  # a variance of 0, or a negative one among a fault's draws
        return math.nan


def summaries(evidence: PosteriorEvidence) -> tuple[Check, list[Row]] | None:
    """Gate 6: what each side reports, against its own draws by R's rules; None where neither side reports anything.

    Parameters
    ----------
    evidence : PosteriorEvidence

    Returns
    -------
    Check and rows
        In the rows the reference's column is R's rule of that side's draws; ``level`` is the side where the row has no
        level of its own.
    """
    rows: list[Row] = []
    for side, fit in (("reference", evidence.reference), ("candidate", evidence.candidate)):
        if side not in evidence.draws:
            continue
        draws = Draws(evidence.names[side], evidence.draws[side])
        for key, (value, vectors) in reported(fit, draws).items():
            quantity, group, term, term2, level = key
            right = by_rules(key, vectors)
            scale = max(abs(right), _posterior_sd(quantity, vectors), abs(value) if not right else 0.0)
            judged = judge_number(
                "gate-6",
                f"reported-{quantity.removeprefix('reported-')}",
                right,
                value,
                scale if scale > 0 else 1.0,
                tolerances.REPORTED,
                group=group,
                term=term,
                term2=term2,
                level=level or (side if side == "reference" else None),
            )
            words = RULES[quantity]["R"][0]
            told = f"the {side}'s own draws by R's rule ({words}), and what it reports. {judged.reason}"
            rows.append(judged._replace(reason=told))
    if not rows:
        return None
    return check_of("gate-6", rows, counts(rows), tolerances.REPORTED.reason), rows
