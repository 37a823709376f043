"""Bad inputs of every sort: data frames, formulas and arguments that no one should pass to lmer, and some fine ones.

Everything is chosen through one function ``pick(options)``, so that hypothesis and a seeded generator share it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

Pick = Callable[[Sequence[Any]], Any]

NAMES = ["y", "x", "z", "k", "f", "o", "l", "g", "h", "w", "a b", "1x", "if", "é.x", "_u", "(Intercept)", "b"]

FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ 1 + (1 | g)",
    "y ~ x + f + (x | g)",
    "y ~ x * f + (1 | g) + (1 | h)",
    "y ~ x + (x || g)",
    "y ~ 0 + f + (1 | g/h)",
    "y ~ o + l + (1 | g:h)",
    "y ~ f + (f | g)",
    "y ~ f + (0 + f || g)",
    "y ~ poly(x, 2) + (1 | g)",
    "y ~ scale(x) + (scale(x) | g)",
    "y ~ log(z) + (1 | g)",
    "log(z) ~ x + (1 | g)",
    "y ~ factor(k) + (1 | h)",
    "y ~ I(x^2) + offset(z) + (1 | g)",
    "y ~ x + z + I(x + z) + (1 | g)",
    "y ~ (1 | g) + (1 | g)",
    "y ~ x + (x + z + k | g)",
    "y ~ `a b` + (1 | g)",
    "y ~ `1x` + `if` + (1 | h)",
    "y ~ é.x + `_u` + (1 | g)",
    "y ~ `(Intercept)` + (1 | g)",
    "y ~ b + (1 | g)",
    "y ~ x + (1 | k)",
    "y ~ x + (1 | l)",
    "y ~ x + (1 | o)",
    "y ~ x + (1 | x)",
    "y ~ y + (1 | g)",
    "y ~ x + (y | g)",
    "y ~ cut(x, 3) + (1 | g)",
    "y ~ x:g + (1 | g)",
    "y ~ g + (1 | g)",
    "f ~ x + (1 | g)",
    "l ~ x + (1 | g)",
    "o ~ x + (1 | g)",
    "I(y / 0) ~ x + (1 | g)",
    "y ~ I(x / 0) + (1 | g)",
    "y ~ sqrt(x) + (1 | g)",
    "y ~ x - 1 + (x - 1 | g)",
    "y ~ 0 + (1 | g)",
    "y ~ (x + f)^2 + (1 | h)",
    "y ~ x %in% f + (1 | g)",
    "y ~ . + (1 | g)",
]

BROKEN = [
    "y ~ x",
    "~ x + (1 | g)",
    "y ~",
    "",
    "y ~ x + (1 | g",
    "y ~ x + 1 | g)",
    "y ~ x ++ (1 | g)",
    "y ~ x x + (1 | g)",
    "y ~ nothere + (1 | g)",
    "y ~ x + (1 | nothere)",
    "nothere ~ x + (1 | g)",
    "y ~ nofunction(x) + (1 | g)",
    "y ~ system('true') + (1 | g)",
    "y ~ x + (1 | )",
    "y ~ x + ( | g)",
    "y ~ x + (1 | g | h)",
    "y ~ x^0 + (1 | g)",
    "y ~ 2 + (1 | g)",
    "y ~ poly(f, 2) + (1 | g)",
    "y ~ poly(x, 200) + (1 | g)",
    "y ~ log('a') + (1 | g)",
    "y ~ x + (1 | 1)",
    "y ~ x + (1 | g + h)",
    "y ~ x + (0 | g)",
    "y ~ f + f^2 + (1 | g) +",
    "y ~ x = z + (1 | g)",
    "y ~ x[1] + (1 | g)",
    "y ~ x$z + (1 | g)",
    "y ~ relevel(f, 'nolevel') + (1 | g)",
    "y ~ x + (nothere | g)",
    "y ~ 'x' + (1 | g)",
]

NUMBERS = ["fine"] * 40 + [
    "constant", "zero", "gaps", "all gaps", "one inf", "all inf", "minus inf", "huge", "tiny", "far", "integer",
    "big integer", "binary", "overflow", "inf and gaps", "two values", "strings", "logical",
]  # fmt: skip
FACTORS = ["fine"] * 30 + [
    "one level", "all distinct", "all gaps", "gaps", "unused", "strings", "odd names", "logical", "numbers", "integers",
    "ordered", "pairs", "one row of a level", "colons",
]  # fmt: skip
WEIGHTS = [None] * 40 + ["w", "w", "zeros", "negative", "gaps", "inf", "short", "text", "constant", "f"]


def numbers(pick: Pick, n: int, kinds: Sequence[str] = NUMBERS) -> Any:
    """A column that should be numeric."""
    rng = np.random.default_rng(pick(range(50)))
    values = np.round(rng.normal(size=n), pick([2, 6]))
    some = rng.random(n) < 0.15
    match pick(kinds):
        case "constant":
            return np.full(n, 3.7)
        case "zero":
            return np.zeros(n)
        case "gaps":
            return np.where(some, np.nan, values)
        case "all gaps":
            return np.full(n, np.nan)
        case "one inf":
            return np.where(np.arange(n) == n // 2, np.inf, values)
        case "all inf":
            return np.full(n, np.inf)
        case "minus inf":
            return np.where(some, -np.inf, values)
        case "inf and gaps":
            return np.where(some, np.inf, np.where(rng.random(n) < 0.2, np.nan, values))
        case "huge":
            return values * 1e12
        case "tiny":
            return values * 1e-12
        case "far":
            return values + 1e7
        case "overflow":
            return values * 1e200
        case "integer":
            return rng.integers(-5, 6, n)
        case "big integer":
            return rng.integers(-5, 6, n) * 2.0**40
        case "binary":
            return rng.integers(0, 2, n)
        case "two values":
            return np.where(np.arange(n) < 2, values, 1.0)
        case "strings":
            return np.array([f"s{i % 3}" for i in range(n)], dtype=object)
        case "logical":
            return values > 0
        case _:
            return values


def labels(pick: Pick, n: int) -> Any:
    """A column that should be a factor."""
    rng = np.random.default_rng(pick(range(50)))
    kind = pick(FACTORS)
    count = pick([2, 3, 3, 5, 6])
    pool = ["", " ", "a:b", "é", "NA", "b|c"] if kind == "odd names" else ["a", "a:b", "b", "b:a", "c", ":"]
    pool = pool if kind in ("odd names", "colons") else ["c", "a", "b", "E", "d", "f"]
    values: list[Any] = rng.choice(pool[:count], n).tolist()
    gap = rng.random(n) < 0.2
    if kind == "one level":
        values = ["a"] * n
    elif kind == "all distinct":
        values = [f"v{i}" for i in range(n)]
    elif kind == "pairs":
        values = [f"v{i // 2}" for i in range(n)]
    elif kind == "one row of a level":
        values = ["only"] * (n > 0) + ["rest"] * (n - 1)
    elif kind == "all gaps":
        values = [None] * n
    elif kind == "gaps":
        values = [None if missing else value for value, missing in zip(values, gap, strict=True)]
    elif kind == "logical":
        return rng.random(n) < 0.5
    elif kind == "numbers":
        return rng.choice([0.1 + 0.2, 1e5, -1 / 3], n)
    elif kind == "integers":
        return rng.integers(0, count, n)
    if kind in ("strings", "colons"):
        return pd.Series(values, dtype="str")
    known = sorted({value for value in values if value is not None})
    levels = [*known[::-1], *(["never"] if kind == "unused" else [])]
    return pd.Categorical(values, categories=levels or ["a"], ordered=kind == "ordered")


def bad_frame(pick: Pick) -> pd.DataFrame:
    """A frame with the columns :data:`NAMES`, some of them bad."""
    n = pick([0, 1, 2, 3, 6, 12, *[24, 30, 40, 40, 50, 60] * 5])
    out: dict[str, Any] = {}
    for name in NAMES:
        if name in ("f", "g", "h"):
            out[name] = labels(pick, n)
        elif name == "o":
            out[name] = pd.Categorical(np.resize(["lo", "hi", "mid"], n), ["lo", "mid", "hi"], ordered=True)
        elif name == "l":
            out[name] = np.arange(n) % 3 == 0
        elif name == "w":
            out[name] = np.linspace(0.5, 2, n)
        elif name == "k":
            out[name] = np.arange(n) % 4
        elif name == "z":
            out[name] = np.abs(numbers(pick, n, ["fine", "fine", "gaps", "tiny"])) + 0.1
        elif name in ("y", "x"):
            out[name] = numbers(pick, n)
        else:
            out[name] = np.round(np.cos(np.arange(n) * (len(out) + 1.0)), 3)
    return pd.DataFrame(out)


def bad_arguments(pick: Pick, n: int) -> dict[str, Any]:
    """Further arguments of lmer."""
    out: dict[str, Any] = {"REML": pick([True, False])}
    for what in ("weights", "offset"):
        kind = pick(WEIGHTS)
        values = np.linspace(0.5, 2, max(n, 1))[:n]
        if kind == "zeros":
            out[what] = np.where(np.arange(n) % 5 == 0, 0.0, values)
        elif kind == "negative":
            out[what] = values - 1
        elif kind == "gaps":
            out[what] = np.where(np.arange(n) % 5 == 0, np.nan, values)
        elif kind == "inf":
            out[what] = np.where(np.arange(n) % 5 == 0, np.inf, values)
        elif kind == "short":
            out[what] = np.ones(n + 1)
        elif kind == "constant":
            out[what] = np.full(n, 2.0)
        elif kind == "text":
            out[what] = "nothere"
        elif kind is not None:
            out[what] = kind
    out["subset"] = pick(
        [None] * 30 + ["x > 0", "x > 0", "k < 3", "k < 3", "g == 'a'", "x > 1e300", "l", "nothere > 1", "x"]
    )
    out["na_action"] = pick(["na.omit"] * 20 + ["na.exclude", "na.fail"])
    contrasts = [
        {"f": "contr.sum"},
        {"f": "contr.helmert"},
        {"f": "contr.nothere"},
        {"f": "contr.SAS"},
        {"x": "contr.sum"},
    ]
    out["contrasts"] = pick([None] * 20 + contrasts)
    return {name: value for name, value in out.items() if value is not None}


def bad_formula(pick: Pick) -> str:
    """A formula, one in seven broken."""
    return pick(BROKEN) if pick(range(7)) == 0 else pick(FORMULAS)


def picker(rng: np.random.Generator) -> Pick:
    """Choose by a seeded generator."""
    return lambda options: options[int(rng.integers(len(options)))]
