"""What a posterior fit reports of its draws (coefficients, σ, VarCorr), judged against its own draws by R's rules.

The rules are rstanarm's: ``fixef`` and ``ranef`` are medians, ``se`` is the MAD_SD (1.4826 times the median absolute
deviation), ``sigma`` the median; ``VarCorr`` has posterior *means* of the covariance matrix, its ``sdcor`` are their
roots and the correlations of the mean matrix, and its residual row is the mean of sigma and its square. The draws are
at hand, so there is no Monte Carlo error in this: a number is R's or it is not.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from validation import tolerances
from validation.checks import Check
from validation.contract import BayesianFit
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.rows import Row, check_of, counts, judge_number
from validation.quantities import Key, quietly, records

#: R's ``mad(constant = 1.4826)``.
MAD_FACTOR = 1.4826

#: What is reported: its key, the number, and the draws that R's rule takes it from, where there are such.
_Reported: TypeAlias = tuple[Key, float, tuple[np.ndarray | None, ...]]


class Draws:
    """Draws by rstanarm's column name, each as one vector."""

    def __init__(self, names: list[str], values: np.ndarray) -> None:
        self._at = {name: i for i, name in enumerate(names)}
        self._values = values

    def get(self, name: str) -> np.ndarray | None:
        """The draws of a parameter; None where there are none."""
        at = self._at.get(name)
        return None if at is None else self._values[at].ravel()

    def covariance(self, group: str, first: str, second: str) -> np.ndarray | None:
        """Draws of an element of Sigma; None where there are none."""
        found = self.get(f"Sigma[{group}:{first},{second}]")
        return self.get(f"Sigma[{group}:{second},{first}]") if found is None else found


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
    """

    def coefficients(quantity: str) -> Iterator[_Reported]:
        for name, value in getattr(fit, quantity)().items():
            yield (quantity, None, str(name), None, None), value, (draws.get(str(name)),)

    def components() -> Iterator[_Reported]:
        for r in records(fit.VarCorr()):
            group = str(r["grp"])
            first, second = (r[name] if isinstance(r[name], str) else None for name in ("var1", "var2"))
            if first is None:
                names, pairs = ("residual-variance", "residual-sd"), []
            elif second is None:
                names, pairs = ("reported-variance", "reported-sd"), [(first, first)]
            else:
                names = "reported-covariance", "reported-correlation"
                pairs = [(first, second), (first, first), (second, second)]
            vectors = tuple(draws.covariance(group, *pair) for pair in pairs) or (draws.get("sigma"),)
            for name, column in zip(names, ("vcov", "sdcor"), strict=True):
                yield (name, group, first, second, None), r[column], vectors

    def modes() -> Iterator[_Reported]:
        for group, frame in fit.ranef().items():
            for effect in frame.columns:
                for level, value in frame[effect].items():
                    name = f"b[{effect} {group}:{str(level).replace(' ', '_')}]"
                    yield ("ranef", str(group), str(effect), None, str(level)), value, (draws.get(name),)

    def sigma() -> Iterator[_Reported]:
        yield ("sigma", None, None, None, None), fit.sigma(), (draws.get("sigma"),)

    readers = (partial(coefficients, "fixef"), partial(coefficients, "se"), sigma, components, modes)
    found: dict[Key, tuple[float, tuple[np.ndarray, ...]]] = {}
    for read in readers:
        # Draws alone report nothing; what a fit lacks is told where its draws are compared.
        given = quietly(lambda: [(key, float(value), vectors) for key, value, vectors in read()], [])  # noqa: B023
        for key, value, vectors in given:
            known = tuple(vector for vector in vectors if vector is not None)
            if len(known) == len(vectors):
                found[key] = value, known
    return found


def by_rules(key: Key, vectors: tuple[np.ndarray, ...], rule: str = "R") -> float:
    """A number by one of :data:`RULES`; NaN where it has none."""
    try:
        return RULES[key[0]][rule][1](*vectors)
    except (ZeroDivisionError, ValueError):  # a variance of 0, or a negative one among a fault's draws
        return math.nan


def summaries(evidence: PosteriorEvidence) -> tuple[Check, list[Row]] | None:
    """Gate 6: what each side reports, against its own draws by R's rules; None where neither side reports anything.

    In the rows the reference's column is R's rule of that side's draws; ``level`` is the side, where a row has none.
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
