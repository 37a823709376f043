"""The cases of conformance: the standard suite, models that show the faults of ports, and the tutorial's posteriors."""

from collections.abc import Iterable, Sequence
from functools import cache

from validation.cases import BUILT_IN, Case, both_criteria, select
from validation.errors import NoReferenceError
from validation.references import certified, store
from validation.references.choose import Source
from validation.suite import SUITE

#: Where the made-up data are: what R knows nothing of is not among its data sets.
_MADE = store.DIRECTORY / "made"


@cache
def _extra() -> tuple[Case, ...]:
    """Models of made-up classes (``classes.csv``), with everything that the cases ask for.

    Levels are not in alphabetical order, factors and grouping factors have levels that do not occur, labels are numbers
    that are not sorted as text, and a few values are missing in the columns whose names end in ``_na``. ``flat`` is y
    with the same slope on x in every class, whose variance is then estimated as 0.
    """
    data = store.load_data("classes", _MADE)
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
    """Choose cases by name or by part of it (``"M1"``, ``"ml"``, ``"crossed-three"``); all where none is given."""
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

    A NoReferenceError where it has none of those that are asked for by name.
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
