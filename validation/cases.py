"""Cases: a model, its data and the options under which both sides fit it; and which cases there are.

The tutorial's models (:data:`BUILT_IN`), and the standard suite (:data:`SUITE`): models whose likelihood fits every
program of mixed models should get right. Certified values and recorded references are made from these; the cases of
conformance (:func:`all_cases`) are more: models that show the faults of ports. The data come from R packages (live, or
as recorded), or were made up, and are stored with the references.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import pandas as pd

from validation.compare import compare_model
from validation.comparison import Comparison
from validation.errors import NoReferenceError, UnknownCaseError
from validation.options import DEFAULT_SEED, Progress
from validation.references import certified, store
from validation.references.choose import Model, Source, choose_source
from validation.references.recorded import RecordedLmerFit

NamedT = TypeVar("NamedT")

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

#: So many names stand in a message; of more, the command that lists them.
_MOST_NAMES = 12

#: Where the made-up data are: what R knows nothing of is not among its data sets.
_MADE = store.DIRECTORY / "made"


@dataclass(frozen=True)
class DataSet:
    """A data set of an R package, asked of R, or as recorded (``data(against)``; ``"auto"``: of R where it is)."""

    name: str
    package: str = ""  # none of data that were made up
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda data: data

    def __call__(self, against: str = "auto") -> pd.DataFrame:
        """The data, prepared."""
        if self.package and "live" in choose_source(against).kinds:
            from bridge import datasets

            data = datasets.load(self.name, package=self.package)
        else:
            data = store.load_data(self.name, None if self.package else _MADE)
        data.attrs["name"] = self.name
        return self.prepare(data)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case(Model):
    """A model with a name (``"M1-ml"``, short and unique), as validate, conformance and record know it.

    Attributes
    ----------
    title : str
        For a reader.
    needs : frozenset of str
        What a program must be able to do to fit it: keys of :data:`FEATURES`.
    too_large : bool
        Its blocks are too large for multi-precision: it is not certified unless it is named.

    Examples
    --------
    >>> Case.of("mine", "y ~ x + (1 | g)", frame, REML=False).compare()  # doctest: +SKIP
    """

    title: str
    needs: frozenset[str] = frozenset()
    too_large: bool = False

    stated: ClassVar[bool] = True

    @property
    def package(self) -> str:
        """The R package that has the data; empty where they are made up, or one's own."""
        return self.data.package if isinstance(self.data, DataSet) else ""

    @property
    def dataset(self) -> str:
        """Name under which the data of a package are recorded."""
        return self.data.name if isinstance(self.data, DataSet) and self.package else ""

    @classmethod
    def of(cls, name: str, formula: str, data: pd.DataFrame, *, bayes: bool = False, REML: bool = True) -> "Case":
        """Make a case of one's own from a DataFrame and a formula."""
        kind: Literal["likelihood", "bayes"] = "bayes" if bayes else "likelihood"
        return cls(formula, data, kind, REML, name=name, title=f"{name}: {formula}")

    def compare(
        self,
        against: str | Source = "auto",
        seed: int = DEFAULT_SEED,
        progress: Progress | None = None,
    ) -> Comparison:
        """Fit and judge; arguments as of :func:`validation.compare.compare_model`."""
        return compare_model(replace(self, seed=seed), against, title=self.title, progress=progress)


def prepare_gcsemv(data: pd.DataFrame) -> pd.DataFrame:
    """R's ``Gcsemv$female <- relevel(Gcsemv$gender, "M")``; ``subset(select = c(school, student, female, course))``."""
    gender = data["gender"].cat
    female = gender.set_categories(["M", *gender.categories.drop("M")])
    prepared = data.assign(female=female)[["school", "student", "female", "course"]].copy()
    prepared.attrs["name"] = "GCSE"
    return prepared


#: ``mlmRev::Gcsemv`` as the tutorial prepares it: ``female`` is ``gender`` with "M" as its reference level.
gcsemv = DataSet("Gcsemv", "mlmRev", prepare_gcsemv)


#: How a model is fitted: what the case's name ends in, and what its title.
_FITS = {"ml": "maximum likelihood", "reml": "REML", "bayes": "posterior"}


def _fits(
    name: str, title: str, formula: str, data: DataSet, needs: str = "", *, posterior: bool = False, **more: Any
) -> tuple[Case, ...]:
    """A model by maximum likelihood (``name-ml``) and by REML (``name-reml``), and its ``posterior`` (``name-bayes``).

    ``needs`` are a case's besides the criterion, separated by blanks; ``more`` are further fields of :class:`Case`.
    """
    return tuple(
        Case(
            formula, data, "bayes" if end == "bayes" else "likelihood", end != "ml", name=f"{name}-{end}",
            title=f"{title}, {words}", needs=frozenset([end, *needs.split()]), **more,
        )
        for end, words in _FITS.items()
        if posterior or end != "bayes"
    )  # fmt: skip


#: The tutorial's models: M1, M2 and M3, each by ML, by REML, and as a posterior.
BUILT_IN: tuple[Case, ...] = tuple(
    case
    for name, title, formula, needs in (
        ("M1", "Model 1, varying intercept", "course ~ 1 + (1 | school)", "missing"),
        ("M2", "Model 2, varying intercept with a predictor", "course ~ 1 + female + (1 | school)",
         "categorical missing"),
        ("M3", "Model 3, varying intercept and slope", "course ~ 1 + female + (1 + female | school)",
         "categorical slopes missing"),
    )
    for case in _fits(name, title, formula, gcsemv, needs, posterior=True)
)  # fmt: skip


def _published(name: str, source: str, formula: str, needs: str = "", too_large: bool = False) -> tuple[Case, ...]:
    """A model of a data set of an R package (``package::name``), as it is."""
    package, _, dataset = source.partition("::")
    return _fits(name, source, formula, DataSet(dataset, package), needs, too_large=too_large)


def _balanced(name: str, layout: str, needs: str = "") -> tuple[Case, ...]:
    """A one-way layout with equal groups: the estimates have closed forms (Searle, Casella & McCulloch 1992)."""
    return _fits(name, f"Balanced one-way layout, {layout}", "y ~ 1 + (1 | group)", DataSet(name), needs)


def _structured(name: str, term: str) -> tuple[Case, ...]:
    """A model with a structured covariance matrix, which lme4 fits since 2.0.

    Of children measured in four waves, several times in each; what is near in time is alike. Unbalanced.
    """
    title, formula = f"Repeated measures, {term.partition('(')[0]}", f"y ~ wave + {term}"
    return _fits(name, title, formula, DataSet("repeated"), "categorical structured", certified_only=True)


def _with_written(data: pd.DataFrame) -> pd.DataFrame:
    return prepare_gcsemv(data).assign(written=data["written"])


#: Every model twice: by maximum likelihood (``-ml``) and by REML (``-reml``).
SUITE: tuple[Case, ...] = (
    *(case for case in BUILT_IN if case.kind == "likelihood"),
    *_fits(
        "written",
        "Gcsemv with a continuous slope",
        "course ~ written + (written | school)",
        DataSet("Gcsemv", "mlmRev", _with_written),
        "slopes missing",
    ),
    *_published("sleepstudy", "lme4::sleepstudy", "Reaction ~ Days + (Days | Subject)", "slopes"),
    *_published("sleepstudy-independent", "lme4::sleepstudy", "Reaction ~ Days + (Days || Subject)", "independent"),
    *_published("Dyestuff", "lme4::Dyestuff", "Yield ~ 1 + (1 | Batch)"),
    *_published("Dyestuff2", "lme4::Dyestuff2", "Yield ~ 1 + (1 | Batch)", "singular"),
    *_published("Penicillin", "lme4::Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "crossed"),
    *_published("Pastes", "lme4::Pastes", "strength ~ 1 + (1 | batch/cask)", "nested"),
    *_published(
        "cake",
        "lme4::cake",
        "angle ~ recipe * temperature + (1 | recipe:replicate)",
        "categorical interaction contrasts",
    ),
    *_published("Oxboys", "mlmRev::Oxboys", "height ~ age + I(age^2) + (age | Subject)", "slopes"),
    *_published("Exam", "mlmRev::Exam", "normexam ~ standLRT + sex + (standLRT | school)", "categorical slopes"),
    *_published("Chem97-nested", "mlmRev::Chem97", "score ~ gcsecnt + (1 | lea/school)", "nested"),
    *_published("Chem97-crossed", "mlmRev::Chem97", "score ~ gcsecnt + (1 | school) + (1 | lea)", "crossed"),
    *_published(
        "InstEval", "lme4::InstEval", "y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", "crossed", too_large=True
    ),
    *_balanced("anova-6x5", "6 groups of 5"),
    *_balanced("anova-30x4", "30 groups of 4"),
    *_balanced("anova-singular", "8 groups of 6", "singular"),
    # a response near 10⁸ that varies by 1: lme4's log-likelihood of it keeps 7 digits of the certified one
    *_fits(
        "nasty",
        "A huge offset and a tiny ratio of variances",
        "y ~ x + (1 | group)",
        DataSet("nasty"),
        certified_only=True,
    ),
    *_structured("diag", "diag(0 + wave | child)"),
    *_structured("cs", "cs(0 + wave | child)"),
    *_structured("cs-one-sd", "cs(0 + wave | child, hom = TRUE)"),
    *_structured("ar1", "ar1(0 + wave | child, hom = FALSE)"),
    *_structured("ar1-one-sd", "ar1(0 + wave | child)"),
)


@cache
def _extra() -> tuple[Case, ...]:
    """Models of made-up classes (``made/datasets/classes.json``), with everything that the cases ask for.

    Levels are not in alphabetical order, factors and grouping factors have levels that do not occur, labels are numbers
    that are not sorted as text, and a few values are missing in the columns whose names end in ``_na``. ``flat`` is y
    with the same slope on x in every class, whose variance is then estimated as 0.
    """
    data = DataSet("classes")
    frame = data()
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
        "weights": {"weights": frame["size"]},
        "offset": {"offset": frame["known"]},
        "sum-contrasts": {"contrasts": {"method": "contr.sum"}},
    }
    return tuple(
        case
        for name, title, formula, needs in models
        for case in _fits(name, title, formula, data, needs, options=options.get(name, {}))
    )


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of conformance: the standard suite, the extra models, the tutorial's posteriors."""
    return (*SUITE, *_extra(), *(case for case in BUILT_IN if case.kind == "bayes"))


def select(names: Iterable[str] | None = None, cases: Iterable[Case] = BUILT_IN) -> tuple[Case, ...]:
    """Choose cases as :func:`by_name` does."""
    return by_name(names, {case.name: case for case in cases})


def by_name(names: Iterable[str] | None, known: Mapping[str, NamedT]) -> tuple[NamedT, ...]:
    """Choose cases by name, by model (``"M1"`` is ``M1-ml``, ``M1-reml`` and ``M1-bayes``), or by a part of the name.

    Parameters
    ----------
    names : iterable of str, optional
        All cases where none is given. Case does not matter; ``"bayes"``, ``"ml"`` and ``"reml"`` choose by the ending.
    known : mapping
        What to choose from, by name.

    Raises
    ------
    UnknownCaseError
        A name that none has; close matches are named.
    """
    wanted = [names] if isinstance(names, str) else list(names or ())
    if not wanted:
        return tuple(known.values())
    parts = {name: name.casefold().split("-") for name in known}
    chosen: dict[str, NamedT] = {}
    for name in wanted:
        key = name.strip().casefold().split("-")
        found = [case for case, split in parts.items() if key in (split, split[:-1])]
        found = found or [case for case, split in parts.items() if len(key) == 1 and key[0] in split]
        if not found:
            stems = dict.fromkeys("-".join(known).split("-"))
            close = difflib.get_close_matches(name, [*known, *stems], n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            rest = (
                f"There are: {', '.join(known)}"
                if len(known) <= _MOST_NAMES
                else f"`mlmparity cases` lists the {len(known)}."
            )
            raise UnknownCaseError(f"there is no case {name!r}{hint or '.'} {rest}")
        chosen |= {case: known[case] for case in found}
    return tuple(chosen.values())


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
