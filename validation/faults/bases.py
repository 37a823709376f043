"""Right fits for faults to be planted in: simulated data, fitted by ``pyimpl``, no R needed.

Each base is another kind of model, so that a fault is not caught in one model only. The data have rows with missing
values, unequal groups and level labels whose order is not the alphabet's.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

import numpy as np
import pandas as pd

from validation.quantities import draws_of
from validation.references.recorded import RecordedLmerFit

if TYPE_CHECKING:
    import xarray as xr

    from pyimpl.models.lmer import LmerFit
    from pyimpl.models.stan_lmer import StanLmerFit

FitT = TypeVar("FitT")


def tags_in(text: str) -> frozenset[str]:
    """Tags that are separated by commas."""
    return frozenset(filter(None, text.split(", ")))


class Base(NamedTuple):
    """A model of simulated data: what kind it is, and what its right fit is made of."""

    formula: str  # of likelihood-ratio tests several, fewest parameters first, separated by semicolons
    reml: bool
    tags: frozenset[str]
    of: str = ""  # the base whose data it has; its own where empty
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda data: data  # what is done to these
    #: what is reported after the fit, where that is compared
    report: "Callable[[LmerFit], pd.DataFrame] | None" = None


def _base(formula: str, reml: bool, tags: str, of: str = "", **more: Any) -> Base:
    return Base(formula, reml, tags_in(tags), of, **more)


_ONE = "one term, one effect"

LIKELIHOOD_BASES = {
    "slopes": _base("score ~ ses + (ses | school)", False,
                    "slopes, two effects, one term, predictor, slope of predictor"),
    "intercept": _base("score ~ ses + (1 | school)", True, f"{_ONE}, predictor"),
    "categorical": _base("score ~ arm + ses + (1 | school)", False, f"{_ONE}, categorical, predictor"),
    "crossed": _base("score ~ ses + (1 | school) + (1 | rater)", True, "crossed, several terms, one effect, predictor"),
    "nested": _base("score ~ arm + (1 | school/room)", True, "nested, several terms, one effect, categorical"),
    "singular": _base("score ~ ses + (1 | school)", True, f"singular, {_ONE}, predictor"),
    "far from 0": _base("score ~ ses + (1 | school)", False, f"far, {_ONE}, predictor"),
    "weighted": _base("score ~ ses + offset(handicap) + (1 | school)", False, f"weighted, {_ONE}, predictor"),
}  # fmt: skip

_SPACED = {"score": "test score", "ses": "home status", "school": "the school"}


def _spaced(data: pd.DataFrame) -> pd.DataFrame:
    named = data.rename(columns=_SPACED)
    levels = named["the school"].cat.rename_categories(lambda level: f"St. {level}: upper")
    return named.assign(**{"the school": levels})


def _from_0(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(score=data["score"] - 50.0)


#: Models in which much is degenerate, redundant or oddly scaled. Of a fault in them the judge names the right cause or
#: none.
HARD_BASES = {
    "no fixed effects": _base("score ~ 0 + (1 | school)", True, f"{_ONE}, no fixed effects", "intercept",
                              change=_from_0),
    "no fixed effects, slopes": _base("score ~ 0 + (ses | school)", False, "one term, two effects, no fixed effects",
                                      "slopes", change=_from_0),
    "an effect in two terms": _base("score ~ ses + (1 | school) + (ses | school)", True,
                                    "several terms, two effects, shared effect", "slopes"),
    "independent terms": _base("score ~ ses + (1 | school) + (0 + ses | school)", False, "several terms, predictor",
                               "slopes"),
    "aliased": _base("score ~ late + ses + twice + (1 | school)", True, f"{_ONE}, aliased", "intercept",
                     change=lambda data: data.assign(twice=2.0 * data["ses"])),
    "wild scales": _base("score ~ people + micro + (1 | school)", False, _ONE, "intercept",
                         change=lambda data: data.assign(people=1e7 * data["ses"], micro=1e-6 * data["late"])),
    "wild scales, slopes": _base("score ~ people + (people | school)", True, "one term, two effects", "slopes",
                                 change=lambda data: data.assign(people=1e4 * data["ses"])),
    "names with spaces": _base("`test score` ~ `home status` + (1 | `the school`)", True, _ONE, "intercept",
                               change=_spaced),
    "hertz": _base("score ~ ses + (1 | school)", True, f"{_ONE}, predictor", "intercept",
                   change=lambda data: data.assign(score=2.4e9 + 1e7 * data["score"])),
    "nanoseconds": _base("score ~ ses + (1 | school)", False, f"{_ONE}, predictor", "intercept",
                         change=lambda data: data.assign(score=1e-9 * data["score"])),
}  # fmt: skip

POSTERIOR_BASES = {
    "intercept": _base("score ~ ses + (1 | school)", False, "one effect, predictor"),
    "slopes": _base("score ~ ses + stage + (ses | school)", False, "two effects, predictor, slopes, categorical"),
}

ANOVA_BASES = {
    "random slope": _base("score ~ ses + (1 | school); score ~ ses + (ses | school)", True,
                          "reml, variances, slopes", "slopes"),
    "fixed effects": _base("score ~ ses + (1 | school); score ~ ses + late + arm + (1 | school)", False, "ml",
                           "categorical"),
    "three models": _base("score ~ ses + (1 | school); score ~ ses + (1 | school) + (1 | rater); "
                          "score ~ ses + late + (1 | school) + (1 | rater)", True, "reml, variances", "crossed"),
    "missing values": _base("score ~ 1 + (1 | school); score ~ ses + (1 | school)", False, "other rows", "intercept"),
}  # fmt: skip


def _table(tags: str, report: "Callable[[LmerFit], Any]") -> Base:
    return _base("score ~ arm + ses * stage + (1 | school)", True, tags, "categorical", report=report)


#: What is reported after a fit of data so small that t's quantiles are not the normal's.
RESULTS_BASES = {
    "means": _table("means, intervals, df, three rows", lambda fit: cast("Any", fit.emmeans("arm")).frame),
    "contrasts": _table("tests, three rows", lambda fit: cast("Any", fit.emmeans("arm")).pairs().frame),
    "trends": _table("means, intervals, df", lambda fit: cast("Any", fit.emtrends("~ stage", "ses")).frame),
    "predictions": _table("means, intervals, three rows",
                          lambda fit: fit.predictions({"ses": [0.0, 1.5], "arm": None})),
}  # fmt: skip

#: Every base, by the kind of comparison in which its faults must be caught (as ``FAULTS`` has them) and by its name.
BASES: Mapping[str, Mapping[str, Base]] = {
    "likelihood": {**LIKELIHOOD_BASES, **HARD_BASES},
    "posterior": POSTERIOR_BASES,
    "anova": ANOVA_BASES,
    "results": RESULTS_BASES,
}


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

    @property
    def used(self) -> pd.DataFrame:
        """The rows that the right fit uses (likelihood fits)."""
        return self.data.loc[cast("RecordedLmerFit", self.fit).y.index]

    def refit(
        self, formula: str | None = None, data: pd.DataFrame | None = None, reml: bool | None = None, **options: object
    ) -> RecordedLmerFit:
        """Fit again with something changed (likelihood fits)."""
        data = self.data if data is None else data
        own = {name: series.loc[data.index] for name, series in self.options.items() if name not in options}
        given = {name: value for name, value in {**own, **options}.items() if value is not None}
        return fit_lmer(formula or self.formula, data, self.reml if reml is None else reml, **given)

    def again(self, data: pd.DataFrame | None = None, **options: object) -> "PlantedPosterior":
        """Sample again by another seed, with something changed (posteriors)."""
        return sample(self.formula, self.data if data is None else data, self.seed + 1000, self.draws, **options)


def _lmer(formula: str, data: pd.DataFrame, reml: bool, **options: object) -> "LmerFit":
    import pyimpl

    with warnings.catch_warnings(action="ignore"):  # a singular base says so
        return cast("Callable[..., LmerFit]", pyimpl.lmer)(formula, data, REML=reml, **options)


def fit_lmer(formula: str, data: pd.DataFrame, reml: bool, **options: object) -> RecordedLmerFit:
    """Fit by ``pyimpl.lmer``, frozen, its objective and predictions live."""
    with warnings.catch_warnings(action="ignore"):  # convergence is checked when it is asked for
        return RecordedLmerFit.of(_lmer(formula, data, reml, **options), live=True)


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


def _reported(verb: str) -> Callable[["PlantedPosterior"], Any]:
    """The contract's method that gives what is reported."""
    return lambda fit: copy.copy(fit.reports[verb])


@dataclass(frozen=True)
class PlantedPosterior:
    """A posterior as plain data, meeting as much of ``validation.contract.BayesianFit`` as the judge asks for."""

    formula: str
    names: tuple[str, ...]  # R's columns
    draws: np.ndarray  # shape (parameters, chains, draws)
    #: rows used; length of the unconstrained vector
    rows: int
    num_upars: int
    log_prob: Callable[[np.ndarray], float | np.ndarray]  # log density at unconstrained points
    at: Callable[[int, int], np.ndarray]  # ``at(n, seed)``: draws on the unconstrained scale
    response: np.ndarray
    origin: "StanLmerFit"  # what was sampled
    #: what ``VarCorr()``, ``fixef()``, ``se()``, ``sigma()`` and ``ranef()`` give
    reports: Mapping[str, object] = field(default_factory=dict)

    def of(self, name: str) -> np.ndarray:
        """The draws of a parameter, chains x draws."""
        return self.draws[self.names.index(name)]

    def nobs(self) -> int:
        """Rows used."""
        return self.rows

    VarCorr = _reported("VarCorr")
    fixef = _reported("fixef")
    se = _reported("se")
    sigma = _reported("sigma")
    ranef = _reported("ranef")

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        """Draws on the unconstrained scale."""
        return self.at(n, seed)

    @property
    def posterior(self) -> "xr.DataTree":
        """The draws as a DataTree."""
        import xarray as xr

        draws = (("chain", "draw", "parameter"), np.moveaxis(self.draws, 0, -1))
        diverging = (("chain", "draw"), np.zeros(self.draws.shape[1:], dtype=bool))
        groups = {
            "posterior": xr.Dataset({"draws": draws}, coords={"parameter": list(self.names)}),
            "sample_stats": xr.Dataset({"diverging": diverging}),
            "observed_data": xr.Dataset({"y": ("row", self.response)}),
        }
        return xr.DataTree.from_dict(groups)


def sample(formula: str, data: pd.DataFrame, seed: int, draws: int, **options: object) -> PlantedPosterior:
    """Sample by ``pyimpl.stan_lmer`` and freeze."""
    import pyimpl

    with warnings.catch_warnings(action="ignore"):  # validity is gate 2's to judge
        fit = cast("Callable[..., StanLmerFit]", pyimpl.stan_lmer)(formula, data, seed=seed, iter=2 * draws, **options)
    names, values = draws_of(fit)
    return PlantedPosterior(
        formula=str(fit.formula),
        names=tuple(names),
        draws=values,
        rows=int(fit.nobs()),
        num_upars=int(fit.num_upars),
        log_prob=fit.log_prob,
        at=fit.unconstrained_draws,
        response=np.asarray(fit.design.y, dtype=float),
        origin=fit,
        reports={verb: getattr(fit, verb)() for verb in ("VarCorr", "fixef", "se", "sigma", "ranef")},
    )


@lru_cache(maxsize=16)
def base_fit(kind: str, name: str, seed: int = 1, draws: int = 1000) -> BaseFit[Any]:
    """The right fit (or fits, or table) of a base, and the data behind it; ``draws`` are those of a posterior."""
    base = BASES[kind][name]
    sizes = {"posterior": (9, 9), "results": (7, 6)}.get(kind, (18, 11))
    data = base.change(simulate(seed, base.of or name, *sizes))
    options = {"weights": data["w"]} if "weighted" in base.tags else {}
    fit: Any
    sigma = float("nan")
    if kind == "likelihood":
        fit = fit_lmer(base.formula, data, base.reml, **options)
    elif kind == "posterior":
        fit = sample(base.formula, data, seed, draws)
    else:
        fit = tuple(_lmer(formula, data, base.reml) for formula in base.formula.split("; "))
    if base.report is not None:
        fit, sigma = base.report(fit[0]), fit[0].sigma()
    return BaseFit(name, base.formula, data, base.reml, base.tags, fit, options, seed, draws, sigma)


likelihood_base, posterior_base, anova_base, results_base = (partial(base_fit, kind) for kind in BASES)
