"""Right fits for faults to be planted in: simulated data, fitted by ``pyimpl``, no R needed.

Each base is another kind of model, so that a fault is not caught in one model only. The data have rows with missing
values, unequal groups and level labels whose order is not the alphabet's.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import numpy as np
import pandas as pd

from validation.faults.planted import PlantedPosterior, sample
from validation.references.recorded import RecordedLmerFit

if TYPE_CHECKING:
    from pyimpl.inference.emm_grid import EmmGrid
    from pyimpl.models.lmer import LmerFit

FitT = TypeVar("FitT")


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split(", "))


#: Name of a base -> its formula, the criterion, and what kind of model it is.
LIKELIHOOD_BASES: dict[str, tuple[str, bool, frozenset[str]]] = {
    "slopes": ("score ~ ses + (ses | school)", False,
               _tags("slopes, two effects, one term, predictor, slope of predictor")),
    "intercept": ("score ~ ses + (1 | school)", True, _tags("one term, one effect, predictor")),
    "categorical": ("score ~ arm + ses + (1 | school)", False, _tags("one term, one effect, categorical, predictor")),
    "crossed": ("score ~ ses + (1 | school) + (1 | rater)", True,
                _tags("crossed, several terms, one effect, predictor")),
    "nested": ("score ~ arm + (1 | school/room)", True, _tags("nested, several terms, one effect, categorical")),
    "singular": ("score ~ ses + (1 | school)", True, _tags("singular, one term, one effect, predictor")),
    "far from 0": ("score ~ ses + (1 | school)", False, _tags("far, one term, one effect, predictor")),
    "weighted": ("score ~ ses + offset(handicap) + (1 | school)", False,
                 _tags("weighted, one term, one effect, predictor")),
}  # fmt: skip

_SPACED = {"score": "test score", "ses": "home status", "school": "the school"}


def _spaced(data: pd.DataFrame) -> pd.DataFrame:
    named = data.rename(columns=_SPACED)
    levels = named["the school"].cat.rename_categories(lambda level: f"St. {level}: upper")
    return named.assign(**{"the school": levels})


_ONE = _tags("one term, one effect")

#: Models in which much is degenerate, redundant or oddly scaled: name -> formula, criterion, tags, the base whose
#: data they have, and what is done to these. Of a fault in them the judge names the right cause or none.
HARD_BASES: dict[str, tuple[str, bool, frozenset[str], str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "no fixed effects": (
        "score ~ 0 + (1 | school)", True, _ONE | {"no fixed effects"}, "intercept",
        lambda data: data.assign(score=data["score"] - 50.0)
    ),
    "no fixed effects, slopes": (
        "score ~ 0 + (ses | school)", False, _tags("one term, two effects, no fixed effects"), "slopes",
        lambda data: data.assign(score=data["score"] - 50.0)
    ),
    "an effect in two terms": (
        "score ~ ses + (1 | school) + (ses | school)", True,
        _tags("several terms, two effects, shared effect"), "slopes", lambda data: data
    ),
    "independent terms": (
        "score ~ ses + (1 | school) + (0 + ses | school)", False, _tags("several terms, predictor"), "slopes",
        lambda data: data
    ),
    "aliased": (
        "score ~ late + ses + twice + (1 | school)", True, _ONE | {"aliased"}, "intercept",
        lambda data: data.assign(twice=2.0 * data["ses"])
    ),
    "wild scales": (
        "score ~ people + micro + (1 | school)", False, _ONE, "intercept",
        lambda data: data.assign(people=1e7 * data["ses"], micro=1e-6 * data["late"])
    ),
    "wild scales, slopes": (
        "score ~ people + (people | school)", True, _tags("one term, two effects"), "slopes",
        lambda data: data.assign(people=1e4 * data["ses"])
    ),
    "names with spaces": (
        "`test score` ~ `home status` + (1 | `the school`)", True, _ONE, "intercept", _spaced
    ),
    "hertz": (
        "score ~ ses + (1 | school)", True, _ONE | {"predictor"}, "intercept",
        lambda data: data.assign(score=2.4e9 + 1e7 * data["score"])
    ),
    "nanoseconds": (
        "score ~ ses + (1 | school)", False, _ONE | {"predictor"}, "intercept",
        lambda data: data.assign(score=1e-9 * data["score"])
    ),
}  # fmt: skip

POSTERIOR_BASES: dict[str, tuple[str, frozenset[str]]] = {
    "intercept": ("score ~ ses + (1 | school)", _tags("one effect, predictor")),
    "slopes": ("score ~ ses + stage + (ses | school)", _tags("two effects, predictor, slopes, categorical")),
}

#: Name of a base of likelihood-ratio tests -> its models, the criterion, the data's base, and its tags.
ANOVA_BASES: dict[str, tuple[tuple[str, ...], bool, str, frozenset[str]]] = {
    "random slope": (
        ("score ~ ses + (1 | school)", "score ~ ses + (ses | school)"),
        True, "slopes", _tags("reml, variances, slopes"),
    ),
    "fixed effects": (
        ("score ~ ses + (1 | school)", "score ~ ses + late + arm + (1 | school)"),
        False, "categorical", _tags("ml"),
    ),
    "three models": (
        ("score ~ ses + (1 | school)", "score ~ ses + (1 | school) + (1 | rater)",
         "score ~ ses + late + (1 | school) + (1 | rater)"),
        True, "crossed", _tags("reml, variances"),
    ),
    "missing values": (
        ("score ~ 1 + (1 | school)", "score ~ ses + (1 | school)"),
        False, "intercept", _tags("other rows"),
    ),
}  # fmt: skip


def _grid(found: object) -> "EmmGrid":
    return cast("EmmGrid", found)  # of one formula without contrasts


#: Name of a table of what is reported after a fit -> how it is made of the fit, and its tags.
RESULTS_BASES: "dict[str, tuple[Callable[[LmerFit], pd.DataFrame], frozenset[str]]]" = {
    "means": (lambda fit: _grid(fit.emmeans("arm")).frame, _tags("means, intervals, df, three rows")),
    "contrasts": (lambda fit: _grid(fit.emmeans("arm")).pairs().frame, _tags("tests, three rows")),
    "trends": (lambda fit: _grid(fit.emtrends("~ stage", "ses")).frame, _tags("means, intervals, df")),
    "predictions": (
        lambda fit: fit.predictions({"ses": [0.0, 1.5], "arm": None}),
        _tags("means, intervals, three rows"),
    ),
}


_BASES: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "likelihood": LIKELIHOOD_BASES,
    "posterior": POSTERIOR_BASES,
    "anova": ANOVA_BASES,
    "results": RESULTS_BASES,
}


def tags_of(kind: str) -> dict[str, frozenset[str]]:
    """The bases of a kind of comparison (a key of ``FAULTS``) and their tags."""
    return {name: cast("frozenset[str]", base[-1]) for name, base in _BASES[kind].items()}


@dataclass(frozen=True)
class BaseFit(Generic[FitT]):
    """A right fit, with all that is needed to fit it again, rightly or wrongly."""

    name: str
    formula: str
    data: pd.DataFrame
    reml: bool
    tags: frozenset[str]
    #: for likelihood-ratio tests the models, fewest parameters first; for what is reported after a fit the table
    fit: FitT
    options: Mapping[str, pd.Series] = field(default_factory=dict)  # weights
    seed: int = 1
    draws: int = 0  # of a posterior
    sigma: float = float("nan")  # residual standard deviation of the fit behind a table

    def column(self, name: str) -> str:
        """The name that a variable of :func:`simulate` has in these data."""
        return name if name in self.data else _SPACED[name]

    def refit(
        self, formula: str | None = None, data: pd.DataFrame | None = None, reml: bool | None = None, **options: object
    ) -> RecordedLmerFit:
        """Fit again with something changed (likelihood fits)."""
        data = self.data if data is None else data
        own = {name: series.loc[data.index] for name, series in self.options.items() if name not in options}
        given = {name: value for name, value in {**own, **options}.items() if value is not None}
        return fit_lmer(formula or self.formula, data, self.reml if reml is None else reml, **given)


def fit_lmer(formula: str, data: pd.DataFrame, reml: bool, **options: object) -> RecordedLmerFit:
    """Fit by ``pyimpl.lmer``, frozen, its objective and predictions live."""
    import pyimpl

    with warnings.catch_warnings(action="ignore"):  # a singular base says so
        return RecordedLmerFit.of(
            cast("Callable[..., LmerFit]", pyimpl.lmer)(formula, data, REML=reml, **options), live=True
        )


def _factor(codes: np.ndarray, *levels: str) -> pd.Categorical:
    return pd.Categorical([levels[code] for code in codes], categories=list(levels))


def simulate(seed: int, name: str = "slopes", schools: int = 18, size: int = 11) -> pd.DataFrame:
    """Pupils in schools (``size`` in each on average): a response and every variable that the bases' formulas have.

    Of the bases, by their names, ``"singular"`` has no variance between schools; the others have.
    """
    rng = np.random.default_rng([seed, 77])
    sizes = rng.integers(max(4, size // 2), size + size // 2 + 1, size=schools)
    school = np.repeat(np.arange(schools), sizes)
    n = school.size
    rater, room, arm = rng.integers(0, 9, n), rng.integers(0, 3, n), rng.integers(0, 4, n)
    ses, late = 2.0 + rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    spread = 0.0 if name == "singular" else 6.0
    a = rng.normal(0, spread, schools)
    b = 0.3 * a + rng.normal(0, 2.5, schools)
    handicap = rng.normal(0, 4.0, n)
    effect = np.array([0.0, 2.0, -3.0, 5.0])[arm]
    noise = rng.normal(0, 8.0, n)
    if name == "singular":  # less than no variance between schools: their means are all the same
        for j in range(schools):
            noise[school == j] -= noise[school == j].mean()
            ses[school == j] -= ses[school == j].mean() - 2.0
    score = 50 + 4 * ses + noise
    if name != "singular":
        score += a[school] + effect
        score += b[school] * ses if name == "slopes" else 0.0
        score += rng.normal(0, 4.0, 9)[rater] if name == "crossed" else 0.0
        score += rng.normal(0, 4.0, (schools, 3))[school, room] if name == "nested" else 0.0
        score += handicap if name == "weighted" else 0.0
        score += 1e6 if name == "far from 0" else 0.0
    labels = [f"s{(7 * j) % 40 + 1}" for j in range(schools)]  # not in alphabetical order, nor in that of numbers
    data = pd.DataFrame(
        {
            "score": score,
            "ses": ses,
            "late": late,
            "stage": _factor(late.astype(int), "early", "late"),
            "arm": _factor(arm, "control", "books", "tutor", "both"),
            "school": pd.Categorical([labels[j] for j in school], categories=labels),
            "rater": _factor(rater, *(f"r{k}" for k in (5, 2, 9, 1, 8, 3, 7, 4, 6))),
            "room": _factor(room, "north", "east", "west"),
            "handicap": handicap,
            "w": rng.uniform(0.5, 2.5, n),
        }
    )
    if name != "singular":  # rows that R drops
        data.loc[data.index[[5, n // 2]], "score"] = np.nan
        data.loc[data.index[[n // 3]], "ses"] = np.nan
        data.loc[data.index[[7, n // 4]], "school"] = np.nan
    return data


@lru_cache(maxsize=16)
def likelihood_base(name: str, seed: int = 1) -> BaseFit[RecordedLmerFit]:
    """A right likelihood fit."""
    if name in HARD_BASES:
        formula, reml, tags, of, change = HARD_BASES[name]
        data = change(simulate(seed, of))
    else:
        formula, reml, tags = LIKELIHOOD_BASES[name]
        data = simulate(seed, name)
    options = {"weights": data["w"]} if "weighted" in tags else {}
    return BaseFit(name, formula, data, reml, tags, fit_lmer(formula, data, reml, **options), options, seed)


@lru_cache(maxsize=8)
def posterior_base(name: str, seed: int = 1, draws: int = 1000) -> BaseFit[PlantedPosterior]:
    """A right posterior, and the data behind it."""
    formula, tags = POSTERIOR_BASES[name]
    data = simulate(seed, "slopes" if "slopes" in tags else "intercept", schools=9, size=9)
    return BaseFit(name, formula, data, False, tags, sample(formula, data, seed, draws), {}, seed, draws)


@lru_cache(maxsize=8)
def anova_base(name: str, seed: int = 1) -> "BaseFit[tuple[LmerFit, ...]]":
    """Right fits of models to be compared by likelihood-ratio tests."""
    import pyimpl

    formulas, reml, of, tags = ANOVA_BASES[name]
    data = simulate(seed, of)
    with warnings.catch_warnings(action="ignore"):  # a model with a random slope of no variance says so
        fits = tuple(pyimpl.lmer(formula, data, REML=reml) for formula in formulas)
    return BaseFit(name, "; ".join(formulas), data, reml, tags, fits, {}, seed)


@lru_cache(maxsize=8)
def results_base(name: str, seed: int = 1) -> BaseFit[pd.DataFrame]:
    """A right table of what is reported after a fit, of data so small that t's quantiles are not the normal's."""
    import pyimpl

    make, tags = RESULTS_BASES[name]
    data = simulate(seed, "categorical", schools=7, size=6)
    formula = "score ~ arm + ses * stage + (1 | school)"
    fit = pyimpl.lmer(formula, data)
    return BaseFit(name, formula, data, True, tags, make(fit), {}, seed, sigma=fit.sigma())
