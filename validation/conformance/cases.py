"""The cases of conformance: the standard suite, models that show the faults of ports, and the tutorial's posteriors."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from validation.cases import BUILT_IN, Case, both_criteria, select
from validation.errors import NoReferenceError
from validation.references import certified, store
from validation.references.choose import Source
from validation.suite import SUITE, park_miller

__all__ = ["all_cases", "available", "choose", "with_reference"]


def _factor(codes: np.ndarray, levels: list[str], ordered: bool = False) -> pd.Categorical:
    return pd.Categorical([levels[code] for code in codes], categories=levels, ordered=ordered)


def _classes(groups: int = 18, size: int = 9) -> pd.DataFrame:
    """Return made-up classes, the same on every machine, with everything that the cases below ask for.

    Levels are not in alphabetical order, factors and grouping factors have levels that do not occur, and a few values
    are missing in the columns whose names end in ``_na``.
    """
    n = groups * size
    codes = np.repeat(np.arange(groups), size)
    draws = {name: park_miller(n, seed) for name, seed in zip("abcdefgh", range(101, 1000, 101), strict=False)}
    effects = {name: park_miller(groups, seed) for name, seed in zip("ijkl", (17, 29, 43, 59), strict=True)}
    x, z = (draws["a"] - 500) / 256, (draws["b"] - 500) / 256
    method = draws["c"] * 3 // 1000
    term = draws["d"] * 2 // 1000
    stage = draws["e"] * 4 // 1000
    rater, room = draws["f"] * 7 // 1000, draws["g"] * 5 // 1000
    noise = (draws["h"] + park_miller(n, 77) + park_miller(n, 78) - 1500) / 640
    slope_x, slope_z = (effects["j"] - 500) / 512, (effects["k"] - 500) / 512
    y = (
        20
        + 2 * x
        - z
        + np.array([0.0, 1.5, -2.0])[method]
        + term * (1 + (effects["l"][codes] - 500) / 256)
        + np.array([0.0, 0.5, 2.0, 2.5])[stage]
        + 4 * (effects["i"][codes] - 500) / 512
        + slope_x[codes] * x
        + slope_z[codes] * z
        + (park_miller(7, 5)[rater] - 500) / 400
        + (park_miller(5, 6)[room] - 500) / 300
        + noise
    )
    # Numbers as labels, not sorted as text ("2" before "10"), first met in another order than that of the levels.
    labels = [str(number) for number in (10, 2, 33, 4, 51, 6, 7, 18, 9, 100, 11, 21, 3, 44, 5, 16, 17, 8)][:groups]
    data = pd.DataFrame(
        {
            "y": np.round(y * 256) / 256,
            "x": x,
            "z": z,
            "method": _factor(method, ["talk", "film", "book"]),
            "term": _factor(term, ["winter", "summer"]),
            "stage": _factor(stage, ["low", "middle", "high", "top"], ordered=True),
            "class": _factor(codes, labels),
            "rater": _factor(rater, [f"r{i}" for i in range(7, 0, -1)]),
            "room": _factor(room, list("vwxyz")),
            "size": 1.0 + draws["g"] // 250,
            "known": (draws["f"] - 500) / 512,
            "number": np.array([7, 30, 2, 11, 5, 100, 1, 64, 9, 12, 21, 3, 45, 80, 8, 6, 4, 10])[:groups][codes],
        }
    )
    unused = data["method"].cat.set_categories(["talk", "drama", "film", "book", "song"])
    spare = data["class"].cat.set_categories(["empty", *labels, "spare"])
    gaps = np.arange(n)
    return data.assign(
        method_unused=unused,
        class_unused=spare,
        y_na=data["y"].mask(gaps % 23 == 4),
        x_na=data["x"].mask(gaps % 19 == 7),
        method_na=data["method"].mask(gaps % 31 == 11),
        class_na=data["class"].mask(gaps % 37 == 13),
        flat=_without_slopes(data["y"].to_numpy(), x, codes),
    )


def _without_slopes(y: np.ndarray, x: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return y with the same slope on x in every group, whose variance is then estimated as 0."""
    flat = y.copy()
    for code in np.unique(codes):
        own = codes == code
        centred = x[own] - x[own].mean()
        flat[own] -= centred * (centred @ y[own]) / (centred @ centred) - 2.0 * centred
    return np.round(flat * 256) / 256


@cache
def _extra() -> tuple[Case, ...]:
    data = _classes()
    models: list[tuple[str, str, str, str, dict[str, object]]] = [
        ("weights", "Prior weights", "y ~ x + (1 | class)", "weights", {"weights": data["size"]}),
        ("offset", "An offset", "y ~ x + (1 | class)", "offset", {"offset": data["known"]}),
        ("level-order", "A factor whose levels are not in alphabetical order", "y ~ method + (1 | class)",
         "categorical", {}),
        ("unused-levels", "Levels that do not occur", "y ~ method_unused + (1 | class_unused)", "categorical", {}),
        ("missing-values", "Missing values in every kind of column", "y_na ~ x_na + method_na + (1 | class_na)",
         "categorical missing", {}),
        ("number-groups", "A grouping factor of whole numbers", "y ~ x + (1 | number)", "", {}),
        ("implied-intercept", "(x | g), whose intercept is implied", "y ~ x + (x | class)", "slopes", {}),
        ("explicit-intercept", "(1 + x | g), an intercept and a slope, correlated", "y ~ x + (1 + x | class)",
         "slopes", {}),
        ("slope-only", "(0 + x | g), a slope without intercept", "y ~ x + (0 + x | class)", "independent", {}),
        ("factor-slope", "A factor's random slopes", "y ~ term + (term | class)", "categorical slopes", {}),
        ("three-effects", "Two random slopes with the intercept", "y ~ x + z + (x + z | class)", "slopes", {}),
        ("crossed-three", "Three crossed factors", "y ~ x + (1 | class) + (1 | rater) + (1 | room)", "crossed", {}),
        ("crossed-slopes", "A slope beside a crossed factor", "y ~ x + (x | class) + (1 | rater)", "crossed slopes",
         {}),
        ("singular-slope", "A slope whose variance is 0", "flat ~ x + (x | class)",
         "slopes singular", {}),
        ("interaction", "Two factors and their interaction", "y ~ method * term + (1 | class)",
         "categorical interaction", {}),
        ("interaction-numeric", "A factor by a number", "y ~ method * x + (1 | class)", "categorical interaction", {}),
        ("no-intercept", "No fixed intercept", "y ~ 0 + method + x + (1 | class)", "categorical", {}),
        ("ordered", "An ordered factor (polynomial contrasts)", "y ~ stage + (1 | class)", "categorical contrasts",
         {}),
        ("sum-contrasts", "contr.sum", "y ~ method + x + (1 | class)", "categorical contrasts",
         {"contrasts": {"method": "contr.sum"}}),
    ]  # fmt: skip
    return tuple(
        case
        for name, title, formula, needs, options in models
        for case in both_criteria(name, title, formula, data, needs, options=options)
    )


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of conformance: the standard suite, the extra models, the tutorial's posteriors."""
    return (*SUITE, *_extra(), *(case for case in BUILT_IN if case.kind == "bayes"))


def choose(names: Iterable[str] | None = None) -> tuple[Case, ...]:
    """Choose cases by name or by part of the name (``"M1"``, ``"ml"``, ``"crossed-three"``); all where none is given.

    Raises
    ------
    validation.cases.UnknownCaseError
        A name that none has.
    """
    return select(names, all_cases())


def available(source: Source) -> frozenset[str]:
    """Names of the cases that a source has a reference of."""
    found: set[str] = set()
    for kind in source.kinds:
        names = {case.name for case in all_cases() if kind == "certified" or not case.certified_only}
        stored = {"certified": certified.available, "recorded": store.names}.get(kind)
        found |= names if stored is None else names & set(stored())
    return frozenset(found)


def with_reference(source: Source, names: Sequence[str]) -> tuple[Case, ...]:
    """The cases that a source has a reference of; those of these names where any are named.

    Raises
    ------
    validation.errors.UnknownCaseError
        A name that no case has.
    validation.errors.NoReferenceError
        The source has none of those that are asked for by name.
    """
    chosen = choose(names)
    there = available(source)
    lacking = [case for case in chosen if case.name not in there]
    kept = tuple(case for case in chosen if case.name in there)
    unfit = [case.name for case in lacking if case.certified_only]
    if names and not kept and unfit:
        raise NoReferenceError(
            f"only certified values can judge {', '.join(unfit)}: lme4's own arithmetic loses half of the digits; "
            "use --reference certified"
        )
    if names and not kept:
        raise NoReferenceError(
            f"there is no {source.name} reference of {', '.join(case.name for case in lacking)}; "
            f"`mlmparity cases` lists what there is ({len(there)} cases have one)"
        )
    return kept
