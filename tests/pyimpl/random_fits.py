"""Random models of all kinds against live R: ``python -m tests.pyimpl.random_fits FIRST LAST``.

Of each model: whether both sides fit it, whose criterion is lower (lme4's default optimizer; its tight one besides
where the default is apart, and each fourth time), whether both warn alike, and whether they print the same text.

A criterion of ours above R's counts unless ours, at R's own theta, is not lower than at our optimum: then R's number is
what its sums leave of the digits (``rounding``), and ``certify.recompute`` can say so in fifty.
"""

import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pyimpl import lmer
from pyimpl.errors import PyimplError
from r_scripts.dialect import PACKAGES, Dialect

__all__ = ["KINDS", "Found", "compared", "model"]

Model = tuple[str, pd.DataFrame, dict[str, Any]]

_BARS = (
    "(1 | g)", "(x | g)", "(0 + x | g)", "(x || g)", "(x + z | g)", "(1 | h)", "(z | h)", "(1 | g/k)", "(1 | g:h)",
    "(1 | k)", "(f | k)", "(0 + f | g)", "(b | h)", "(t | k)", "(t || h)", "(poly(t, 2) | g)", "(1 | f)", "(x:z | g)",
    "(0 + x | g) + (1 | g)", "(x * z || h)", "(1 | h/g)",
)  # fmt: skip
_FIXED = (
    "1", "x", "z", "x + z", "x * f", "f", "0 + f", "x + z + t", "b * x", "0 + x", "poly(x, 2)", "f:x", "offset(t) + x",
    "scale(x) + I(z^2)", "log(abs(z) + 1)", "C(f, contr.sum) * b", "f %in% b", "(x + f)^2",
)  # fmt: skip


def _codes(rng: np.random.Generator, n: int, levels: int) -> np.ndarray:
    """Levels of n rows: balanced, sorted, skew, with long tails, or nearly all in one."""
    kind = rng.integers(5)
    if kind == 0:
        return rng.permutation(np.arange(n) % levels)
    if kind == 1:
        return np.sort(rng.integers(0, levels, n))
    if kind == 2:
        return np.minimum((levels * rng.beta(0.4, 2, n)).astype(int), levels - 1)
    if kind == 3:
        return np.minimum(rng.zipf(1.6, n) - 1, levels - 1)
    return np.r_[np.arange(levels), np.zeros(max(0, n - levels), int)][:n]


def _column(rng: np.random.Generator, n: int, wild: bool) -> np.ndarray:
    """A predictor; a wild one in any unit from 1e-6 to 1e6."""
    kind, values = rng.integers(6), rng.normal(size=n)
    if kind == 1:
        values = rng.integers(0, 4, n).astype(float)
    elif kind == 2:
        values = values + float(rng.choice([50, 1e4]))
    elif kind == 3:
        values = rng.exponential(size=n) ** 2
    elif kind == 4:
        values = np.cumsum(values)
    elif kind == 5:
        values = (rng.random(n) < 0.3) * 1.0
    if not values.std() > 0:
        values = rng.normal(size=n)
    return values * 10.0 ** rng.integers(-6, 7) if wild else values


def _model(rng: np.random.Generator, *, wild: bool = False, huge: bool = False, left_out: bool = False) -> Model:
    n = int(rng.choice([15, 25, 40, 80, 150, 300]))
    data = pd.DataFrame({name: _column(rng, n, wild) for name in "xzt"})
    codes = {name: _codes(rng, n, min(int(rng.choice([2, 3, 5, 9, 20, 60])), max(2, n // 2))) for name in "ghk"}
    if rng.random() < 0.25:
        codes["h"] = codes["g"] // 2  # g is nested in h
    elif rng.random() < 0.15:
        codes["h"] = np.where(rng.random(n) < 0.05, 0, codes["g"])  # nearly confounded
    for name, code in codes.items():
        data[name] = pd.Categorical([f"{name}{one}" for one in code])
    data["f"] = pd.Categorical(np.array(["f0", "f1", "f2"])[rng.integers(0, 3, n)])
    data["b"] = rng.random(n) < 0.5
    bars = rng.choice(_BARS, int(rng.choice([1, 1, 2, 2, 3])), replace=False)
    fixed = str(rng.choice(["1", "0", "f"])) if left_out else str(rng.choice(_FIXED))
    most = 5 if huge else 2
    y = rng.normal(size=n)
    for code in codes.values():
        if rng.random() < 0.7:
            y += (rng.normal(size=code.max() + 1) * 10.0 ** rng.uniform(-2, most))[code]
        if rng.random() < 0.4:
            x = data[str(rng.choice(list("xzt")))].to_numpy()
            common = rng.normal() * (left_out or rng.random() < 0.6)
            slopes = common + rng.normal(size=code.max() + 1) * 10.0 ** rng.uniform(-2, most - 1)
            y += slopes[code] * x / np.sqrt(np.mean(x**2))
    if rng.random() < 0.1:
        y = np.round(y, int(rng.integers(0, 2)))
    if rng.random() < 0.08:
        y[rng.integers(n)] += 1e3 * np.std(y)  # an outlier
    if rng.random() < 0.05:
        y = y.mean() + (rng.normal(size=codes["g"].max() + 1))[codes["g"]]  # constant within groups
    data["y"] = y * 10.0 ** rng.choice([0, 0, 0, -7, 6] if wild else [0]) + (rng.random() < 0.1) * 1e5
    options: dict[str, Any] = {"REML": bool(rng.integers(2))}
    if rng.random() < 0.2:
        data["w"] = 10.0 ** rng.uniform(-2, 2, n)
        options["weights"] = "w"
    if rng.random() < 0.15:
        data["off"] = rng.normal(size=n) * data["y"].std() * float(rng.choice([0.1, 10]))
        options["offset"] = "off"
    if rng.random() < 0.15:
        name = str(rng.choice(["y", "x", "g", "f"]))
        data[name] = data[name].where(rng.random(n) > 0.1)
    return f"y ~ {fixed} + " + " + ".join(bars), data, options


#: Kind → a random model of it.
KINDS: dict[str, Callable[[np.random.Generator], Model]] = {
    "plain": _model,
    "wild": lambda rng: _model(rng, wild=True),
    "huge": lambda rng: _model(rng, huge=True),
    "left out": lambda rng: _model(rng, left_out=True),
}


def model(seed: int) -> tuple[str, Model]:
    """The kind and the model of a seed."""
    kind = list(KINDS)[seed % len(KINDS)]
    return kind, KINDS[kind](np.random.default_rng([2026, seed]))


@dataclass
class Found:
    """What a campaign found: how many of each, and the seeds of what should not be.

    Attributes
    ----------
    counts : Counter
    seeds : dict
        What should not be → lines that name the models.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seeds: dict[str, list[str]] = field(default_factory=dict)

    def say(self, what: str, line: str) -> str:
        self.counts[what] += 1
        self.seeds.setdefault(what, []).append(line)
        return f"{what}: {line}"


class _SlowError(Exception):
    pass


def _ring(*_: object) -> None:
    raise _SlowError("slow")


def _criterion(fit: Any) -> float:
    return float(fit.REMLcrit() if fit.isREML() else fit.deviance())


def _fitted(
    side: Callable[..., Any], formula: str, data: pd.DataFrame, ours: bool = False, **options: Any
) -> tuple[Any, list[str], str]:
    """A fit, what was warned, and why there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signal.alarm(30)
        try:
            fit = side(formula, data, **options)
            _criterion(fit)
        except Exception as error:  # whatever it is, it is an answer
            foreign = not isinstance(error, (PyimplError, _SlowError)) and ours
            return None, [], f"{'FOREIGN ' if foreign else ''}{type(error).__name__}: {str(error)[:150]}"
        finally:
            signal.alarm(0)
    return fit, sorted(" ".join(str(one.message).split()) for one in caught), ""


def compared(seeds: range, found: Found, sides: tuple[Callable[..., Any], Callable[..., Any]]) -> Iterator[str]:
    """Compare models one by one; yields a line for each that should not be.

    Parameters
    ----------
    seeds : range
    found : Found
        Counts are added to it.
    sides : tuple of callable
        ``lmer`` in Python and in R.
    """
    signal.signal(signal.SIGALRM, _ring)
    for seed in seeds:
        kind, (formula, data, options) = model(seed)
        line = f"{seed} ({kind}) {formula} {options}"
        ours, warned, why = _fitted(sides[0], formula, data, ours=True, **options)
        theirs, warned_there, why_there = _fitted(sides[1], formula, data, **options)
        found.counts["models"] += 1
        if why.startswith("FOREIGN"):
            yield found.say("foreign traceback", f"{line}: {why}")
        elif "_SlowError" in why + why_there:
            found.counts["slow"] += 1
        elif ours is None and theirs is None:
            found.counts["both refuse"] += 1
        elif ours is None:
            yield found.say("refused where R fits", f"{line}: {why}")
        elif theirs is None:
            yield found.say("fitted where R fails", f"{line}: {why_there}")
        else:
            found.counts["fitted by both"] += 1
            yield from _judged(seed, line, (ours, theirs), found, sides[1], (formula, data, options))
            if warned != warned_there:
                found.counts["other warnings"] += 1


def _judged(
    seed: int, line: str, fits: tuple[Any, Any], found: Found, r_lmer: Callable[..., Any], given: Model
) -> Iterator[str]:
    ours, theirs = fits
    value, other = _criterion(ours), _criterion(theirs)
    limit = 1e-5 * max(1.0, 1e-3 * abs(other))  # a printed digit, of large values rounding
    if value > other + limit:
        there = float(ours.devfun(np.asarray(theirs.getME("theta"))))
        if there < value - limit:
            yield found.say("above default", f"{line}: {value - other:.3g} above {other:.8g}")
        else:
            yield found.say(
                "rounding", f"{line}: {value - other:.3g} above {other:.8g}; ours there {there - value:.3g}"
            )
    if value < other - 1e-3:
        found.counts["lower than default"] += 1
    if value < other - 1e-3 or seed % 4 == 0:
        formula, data, options = given
        tight, _, _ = _fitted(r_lmer, formula, data, control="tight", **options)
        if tight is not None and value > _criterion(tight) + limit:
            there = float(ours.devfun(np.asarray(tight.getME("theta"))))
            what = "above tight" if there < value - limit else "rounding"
            yield found.say(what, f"{line}: {value - _criterion(tight):.3g} above {_criterion(tight):.8g}")
    if abs(value - other) < limit and str(ours.summary()).split() != str(theirs.summary()).split():
        found.counts["other text"] += 1


def main(first: int, last: int) -> int:
    """Run the campaign, and print what should not be as it is found, and the counts at the end."""
    from bridge import lme4, provenance

    dialect = Dialect.of({name: text for name, text in provenance.r_versions().items() if name in PACKAGES})
    found = Found()
    for line in compared(range(first, last), found, (partial(lmer, dialect=dialect), lme4.lmer)):
        print(line, flush=True)
    print(dict(found.counts))
    return int(any(found.counts[what] for what in ("foreign traceback", "above default", "above tight")))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
