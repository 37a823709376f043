"""The standard suite: models whose likelihood fits every program of mixed models should get right, and what each needs.

Certified values and recorded references are made from these cases; those of conformance (:func:`all_cases`) are more:
models that show the faults of ports, and the tutorial's posteriors. The data come from R
packages (live, or as recorded), or are made here by integer arithmetic, the same on every machine.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from validation.cases import BUILT_IN, Case, both_criteria, loader, prepare_gcsemv, select
from validation.errors import NoReferenceError
from validation.references import certified, store
from validation.references.choose import Source
from validation.references.recorded import RecordedLmerFit

#: What a program may or may not be able to do, and what that means.
FEATURES: dict[str, str] = {
    "ml": "maximum likelihood",
    "reml": "REML",
    "slopes": "random slopes, correlated with the intercept",
    "independent": "random slopes without correlation (x || g)",
    "nested": "nested grouping factors (1 | a/b)",
    "crossed": "crossed grouping factors",
    "categorical": "factors among the fixed effects, with R's contrasts",
    "interaction": "interactions among the fixed effects",
    "singular": "a variance whose estimate is 0",
    "weights": "prior weights",
    "offset": "an offset",
    "structured": "structured covariance matrices (diag, cs, ar1), as lme4 has them since 2.0",
    "missing": "rows with a missing value in a variable of the formula, which R drops",
    "contrasts": "other contrasts than R's default (contr.sum), and ordered factors",
    "bayes": "posteriors of rstanarm's model, under its default priors",
}


def park_miller(n: int, seed: int) -> np.ndarray:
    """Return n whole numbers from 0 to 999 by an exact linear congruential generator: the same on every machine.

    Park & Miller (1988), Communications of the ACM 31(10).
    """
    state, out = seed, []
    for _ in range(n):
        state = state * 48271 % 2147483647
        out.append(state * 1000 // 2147483647)
    return np.array(out)


def balanced_anova(groups: int, size: int, effect: int, seed: int) -> pd.DataFrame:
    """One-way layout with equal groups, for which the estimates have closed forms (Searle, Casella & McCulloch 1992).

    Parameters
    ----------
    groups, size : int
        Number of groups, and rows in each.
    effect : int
        Size of the groups' effects, in thousandths of the residuals'; 0 gives a variance of 0 or near it.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``y`` (whole multiples of 1/1000) and ``group``.
    """
    residuals = park_miller(groups * size, seed)
    effects = np.repeat(park_miller(groups, seed + 1) * effect // 1000, size)
    labels = [f"g{i:02d}" for i in range(1, groups + 1)]
    return pd.DataFrame(
        {"y": (residuals + effects) / 1000, "group": pd.Categorical(np.repeat(labels, size), categories=labels)}
    )


def nasty() -> pd.DataFrame:
    """Data that punish careless arithmetic: a response near 10⁸ that varies by 1, and a tiny ratio of variances.

    Unbalanced; ``y`` is exact in double precision (multiples of 1/1024).
    """
    sizes = [3 + (7 * i) % 11 for i in range(24)]
    n = sum(sizes)
    labels = [f"g{i:02d}" for i in range(1, 25)]
    group = np.repeat(np.arange(24), sizes)
    x = (park_miller(n, 31) - 500) / 1024
    effects = (park_miller(24, 77) - 500) * 120 // 1000
    y = 100_000_000 + ((park_miller(n, 5) - 500) + effects[group]) / 1024 + 2 * x
    return pd.DataFrame({"y": y, "x": x, "group": pd.Categorical([labels[i] for i in group], categories=labels)})


def repeated() -> pd.DataFrame:
    """Children measured in four waves, several times in each; what is near in time is alike.

    Unbalanced; ``y`` is exact in double precision (multiples of 1/1024).
    """
    children, waves = 24, 4
    own = park_miller(children, 41) - 500
    new = (park_miller(children * waves, 43) - 500).reshape(children, waves)
    effects = np.empty((children, waves), dtype=int)
    for w in range(waves):  # what remains of the wave before, and something new that grows
        before = own if w == 0 else effects[:, w - 1]
        effects[:, w] = (before * 600 + new[:, w] * (400 + 100 * w)) // 1000
    sizes = np.array([[2 + (5 * i + 3 * w) % 3 for w in range(waves)] for i in range(children)])
    child, wave = np.repeat(np.divmod(np.arange(children * waves), waves), sizes.ravel(), axis=1)
    noise = park_miller(child.size, 47) - 500
    return pd.DataFrame(
        {
            "y": (2048 + 200 * wave + effects[child, wave] + noise) / 1024,
            "wave": pd.Categorical([f"w{k + 1}" for k in wave]),
            "child": pd.Categorical([f"c{k + 1:02d}" for k in child]),
        }
    )


def _published(
    name: str, dataset: str, package: str, formula: str, needs: str = "", too_large: bool = False
) -> tuple[Case, ...]:
    """A model of a data set of an R package, as it is."""
    data = loader(dataset, package)
    title = f"{package}::{dataset}"
    return both_criteria(name, title, formula, data, needs, dataset=dataset, package=package, too_large=too_large)


def _balanced(name: str, groups: int, size: int, effect: int, seed: int, needs: str = "") -> tuple[Case, ...]:
    title = f"Balanced one-way layout, {groups} groups of {size}"
    return both_criteria(name, title, "y ~ 1 + (1 | group)", balanced_anova(groups, size, effect, seed), needs)


def _structured(name: str, term: str) -> tuple[Case, ...]:
    """A model with a structured covariance matrix, which lme4 fits since 2.0."""
    title = f"Repeated measures, {term.partition('(')[0]}"
    return both_criteria(name, title, f"y ~ wave + {term}", repeated(), "categorical structured", certified_only=True)


def _with_written(data: pd.DataFrame) -> pd.DataFrame:
    return prepare_gcsemv(data).assign(written=data["written"])


#: Every model twice: by maximum likelihood (``-ml``) and by REML (``-reml``).
SUITE: tuple[Case, ...] = (
    *(case for case in BUILT_IN if case.kind == "likelihood"),
    *both_criteria(
        "written",
        "Gcsemv with a continuous slope",
        "course ~ written + (written | school)",
        loader("Gcsemv", "mlmRev", _with_written),
        "slopes missing",
        dataset="Gcsemv",
    ),
    *_published("sleepstudy", "sleepstudy", "lme4", "Reaction ~ Days + (Days | Subject)", "slopes"),
    *_published("sleepstudy-independent", "sleepstudy", "lme4", "Reaction ~ Days + (Days || Subject)", "independent"),
    *_published("Dyestuff", "Dyestuff", "lme4", "Yield ~ 1 + (1 | Batch)"),
    *_published("Dyestuff2", "Dyestuff2", "lme4", "Yield ~ 1 + (1 | Batch)", "singular"),
    *_published("Penicillin", "Penicillin", "lme4", "diameter ~ 1 + (1 | plate) + (1 | sample)", "crossed"),
    *_published("Pastes", "Pastes", "lme4", "strength ~ 1 + (1 | batch/cask)", "nested"),
    *_published(
        "cake",
        "cake",
        "lme4",
        "angle ~ recipe * temperature + (1 | recipe:replicate)",
        "categorical interaction contrasts",
    ),
    *_published("Oxboys", "Oxboys", "mlmRev", "height ~ age + I(age^2) + (age | Subject)", "slopes"),
    *_published("Exam", "Exam", "mlmRev", "normexam ~ standLRT + sex + (standLRT | school)", "categorical slopes"),
    *_published("Chem97-nested", "Chem97", "mlmRev", "score ~ gcsecnt + (1 | lea/school)", "nested"),
    *_published("Chem97-crossed", "Chem97", "mlmRev", "score ~ gcsecnt + (1 | school) + (1 | lea)", "crossed"),
    *_published(
        "InstEval", "InstEval", "lme4", "y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", "crossed", too_large=True
    ),
    *_balanced("anova-6x5", 6, 5, 1500, 11),
    *_balanced("anova-30x4", 30, 4, 700, 23),
    *_balanced("anova-singular", 8, 6, 0, 3, "singular"),
    # lme4's log-likelihood of it keeps 7 digits of the certified one
    *both_criteria(
        "nasty", "A huge offset and a tiny ratio of variances", "y ~ x + (1 | group)", nasty(), certified_only=True
    ),
    *_structured("diag", "diag(0 + wave | child)"),
    *_structured("cs", "cs(0 + wave | child)"),
    *_structured("cs-one-sd", "cs(0 + wave | child, hom = TRUE)"),
    *_structured("ar1", "ar1(0 + wave | child, hom = FALSE)"),
    *_structured("ar1-one-sd", "ar1(0 + wave | child)"),
)


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
    models = [
        ("weights", "Prior weights", "y ~ x + (1 | class)", "weights"),
        ("offset", "An offset", "y ~ x + (1 | class)", "offset"),
        ("level-order", "A factor whose levels are not in alphabetical order", "y ~ method + (1 | class)",
         "categorical"),
        ("unused-levels", "Levels that do not occur", "y ~ method_unused + (1 | class_unused)", "categorical"),
        ("missing-values", "Missing values in every kind of column", "y_na ~ x_na + method_na + (1 | class_na)",
         "categorical missing"),
        ("number-groups", "A grouping factor of whole numbers", "y ~ x + (1 | number)", ""),
        ("implied-intercept", "(x | g), whose intercept is implied", "y ~ x + (x | class)", "slopes"),
        ("explicit-intercept", "(1 + x | g), an intercept and a slope, correlated", "y ~ x + (1 + x | class)",
         "slopes"),
        ("slope-only", "(0 + x | g), a slope without intercept", "y ~ x + (0 + x | class)", "independent"),
        ("factor-slope", "A factor's random slopes", "y ~ term + (term | class)", "categorical slopes"),
        ("three-effects", "Two random slopes with the intercept", "y ~ x + z + (x + z | class)", "slopes"),
        ("crossed-three", "Three crossed factors", "y ~ x + (1 | class) + (1 | rater) + (1 | room)", "crossed"),
        ("crossed-slopes", "A slope beside a crossed factor", "y ~ x + (x | class) + (1 | rater)", "crossed slopes"),
        ("singular-slope", "A slope whose variance is 0", "flat ~ x + (x | class)", "slopes singular"),
        ("interaction", "Two factors and their interaction", "y ~ method * term + (1 | class)",
         "categorical interaction"),
        ("interaction-numeric", "A factor by a number", "y ~ method * x + (1 | class)", "categorical interaction"),
        ("no-intercept", "No fixed intercept", "y ~ 0 + method + x + (1 | class)", "categorical"),
        ("ordered", "An ordered factor (polynomial contrasts)", "y ~ stage + (1 | class)", "categorical contrasts"),
        ("sum-contrasts", "contr.sum", "y ~ method + x + (1 | class)", "categorical contrasts"),
    ]  # fmt: skip
    options: dict[str, dict[str, object]] = {
        "weights": {"weights": data["size"]},
        "offset": {"offset": data["known"]},
        "sum-contrasts": {"contrasts": {"method": "contr.sum"}},
    }
    return tuple(
        case
        for name, title, formula, needs in models
        for case in both_criteria(name, title, formula, data, needs, options=options.get(name, {}))
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
    chosen, there = choose(names), available(source)
    kept = tuple(case for case in chosen if case.name in there)
    if kept or not names:
        return kept
    if unfit := [case.name for case in chosen if case.certified_only]:
        raise NoReferenceError(
            f"only certified values can judge {', '.join(unfit)}: lme4's own arithmetic loses half of the digits; "
            "use --reference certified"
        )
    raise NoReferenceError(
        f"there is no {source.name} reference of {', '.join(case.name for case in chosen)}; "
        f"`mlmparity cases` lists what there is ({len(there)} cases have one)"
    )


def certified_fit(name: str, directory: Path | None = None) -> RecordedLmerFit:
    """The certified values of a case of the suite as a fit, on its own data (recorded, made here, or from R).

    Raises
    ------
    LookupError
        The suite has no case of that name, or there are no certified values of it.
    """
    for case in SUITE:
        if case.name == name:
            return certified.load(name, case.load("recorded"), directory)
    raise LookupError(f"the suite has no case {name!r}; it has {', '.join(case.name for case in SUITE)}")
