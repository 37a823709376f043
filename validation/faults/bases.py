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


class Base(NamedTuple):
    """A model of simulated data: what kind it is, and what its right fit is made of."""

    formula: str  # of likelihood-ratio tests several, fewest parameters first, separated by semicolons
    reml: bool
    tags: str  # what faults may need of it, separated by commas
    of: str = ""  # the base whose data it has; its own where empty
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda data: data  # what is done to these
    #: what is reported after the fit, where that is compared
    report: "Callable[[LmerFit], Any] | None" = None


LIKELIHOOD_BASES = {
    "slopes": Base("score ~ ses + (ses | school)", False, "slopes, two effects, predictor, slope of predictor"),
    "intercept": Base("score ~ ses + (1 | school)", True, "predictor"),
    "categorical": Base("score ~ arm + ses + (1 | school)", False, "categorical, predictor"),
    "crossed": Base("score ~ ses + (1 | school) + (1 | rater)", True, "crossed, several terms, predictor"),
    "nested": Base("score ~ arm + (1 | school/room)", True, "nested, several terms, categorical"),
    "singular": Base("score ~ ses + (1 | school)", True, "singular, predictor"),
    "far from 0": Base("score ~ ses + (1 | school)", False, "far, predictor"),
    "weighted": Base("score ~ ses + offset(handicap) + (1 | school)", False, "weighted, predictor"),
}

_SPACED = {"score": "test score", "ses": "home status", "school": "the school"}


def _spaced(data: pd.DataFrame) -> pd.DataFrame:
    named = data.rename(columns=_SPACED)
    levels = named["the school"].cat.rename_categories(lambda level: f"St. {level}: upper")
    return named.assign(**{"the school": levels})


def _with(**columns: Callable[[pd.DataFrame], pd.Series]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Data with further columns, or with others."""
    return lambda data: data.assign(**columns)


_from_0 = _with(score=lambda data: data["score"] - 50.0)

#: Models in which much is degenerate, redundant or oddly scaled. Of a fault in them the judge names the right cause or
#: none.
HARD_BASES = {
    "no fixed effects": Base("score ~ 0 + (1 | school)", True, "no fixed effects", "intercept", _from_0),
    "no fixed effects, slopes": Base("score ~ 0 + (ses | school)", False, "two effects, no fixed effects", "slopes",
                                     _from_0),
    "an effect in two terms": Base("score ~ ses + (1 | school) + (ses | school)", True,
                                   "several terms, two effects, shared effect", "slopes"),
    "independent terms": Base("score ~ ses + (1 | school) + (0 + ses | school)", False, "several terms, predictor",
                              "slopes"),
    "aliased": Base("score ~ late + ses + twice + (1 | school)", True, "aliased", "intercept",
                    _with(twice=lambda data: 2.0 * data["ses"])),
    "wild scales": Base("score ~ people + micro + (1 | school)", False, "", "intercept",
                        _with(people=lambda data: 1e7 * data["ses"], micro=lambda data: 1e-6 * data["late"])),
    "wild scales, slopes": Base("score ~ people + (people | school)", True, "two effects", "slopes",
                                _with(people=lambda data: 1e4 * data["ses"])),
    "names with spaces": Base("`test score` ~ `home status` + (1 | `the school`)", True, "", "intercept", _spaced),
    "hertz": Base("score ~ ses + (1 | school)", True, "predictor", "intercept",
                  _with(score=lambda data: 2.4e9 + 1e7 * data["score"])),
    "nanoseconds": Base("score ~ ses + (1 | school)", False, "predictor", "intercept",
                        _with(score=lambda data: 1e-9 * data["score"])),
}  # fmt: skip

POSTERIOR_BASES = {
    "intercept": Base("score ~ ses + (1 | school)", False, "predictor"),
    "slopes": Base("score ~ ses + stage + (ses | school)", False, "predictor, slopes, categorical"),
}

ANOVA_BASES = {
    "random slope": Base("score ~ ses + (1 | school); score ~ ses + (ses | school)", True, "reml, variances, slopes",
                         "slopes"),
    "fixed effects": Base("score ~ ses + (1 | school); score ~ ses + late + arm + (1 | school)", False, "ml",
                          "categorical"),
    "three models": Base("score ~ ses + (1 | school); score ~ ses + (1 | school) + (1 | rater); "
                         "score ~ ses + late + (1 | school) + (1 | rater)", True, "reml, variances", "crossed"),
    "missing values": Base("score ~ 1 + (1 | school); score ~ ses + (1 | school)", False, "other rows", "intercept"),
}  # fmt: skip


#: What packages call the columns of a table, and what the faults of tables do.
_COLUMNS = {"emmean": "estimate", "ses.trend": "estimate", "predicted": "estimate", "std.error": "SE",
            "conf.low": "lower.CL", "conf.high": "upper.CL"}  # fmt: skip


def _table(tags: str, report: "Callable[[LmerFit], Any]") -> Base:
    formula = "score ~ arm + ses * stage + (1 | school)"
    return Base(formula, True, tags, "categorical", report=lambda fit: report(fit).rename(columns=_COLUMNS))


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
    #: for likelihood-ratio tests the models, fewest parameters first; for what is reported after a fit the table
    fit: FitT
    options: Mapping[str, str] = field(default_factory=dict)  # the column of the weights
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
        data, reml = self.data if data is None else data, self.reml if reml is None else reml
        return fit_lmer(formula or self.formula, data, reml, **{**self.options, **options})

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

    origin: "StanLmerFit"  # what was sampled
    draws: "xr.DataArray"  # parameter (R's columns) x chain x draw
    log_prob: Callable[[np.ndarray], float | np.ndarray]  # log density at unconstrained points
    unconstrained_draws: Callable[[int, int], np.ndarray]  # ``unconstrained_draws(n, seed)``
    #: what ``VarCorr()``, ``fixef()``, ``se()``, ``sigma()`` and ``ranef()`` give
    reports: Mapping[str, object]

    @property
    def names(self) -> list[str]:
        """The parameters."""
        return list(self.draws["parameter"].to_numpy())

    def of(self, name: str) -> np.ndarray:
        """The draws of a parameter, chains x draws."""
        return self.draws.sel(parameter=name).to_numpy()

    formula = property(lambda fit: str(fit.origin.formula))
    num_upars = property(lambda fit: int(fit.origin.num_upars))
    response = property(lambda fit: np.asarray(fit.origin.design.y, dtype=float))

    def nobs(self) -> int:
        """Rows used."""
        return int(self.origin.nobs())

    VarCorr = _reported("VarCorr")
    fixef = _reported("fixef")
    se = _reported("se")
    sigma = _reported("sigma")
    ranef = _reported("ranef")

    @property
    def posterior(self) -> "xr.DataTree":
        """The draws as a DataTree."""
        import xarray as xr

        diverging = (("chain", "draw"), np.zeros(self.draws.shape[1:], dtype=bool))
        groups = {
            "posterior": xr.Dataset({"draws": self.draws}),
            "sample_stats": xr.Dataset({"diverging": diverging}),
            "observed_data": xr.Dataset({"y": ("row", self.response)}),
        }
        return xr.DataTree.from_dict(groups)


def sample(formula: str, data: pd.DataFrame, seed: int, draws: int, **options: object) -> PlantedPosterior:
    """Sample by ``pyimpl.stan_lmer`` and freeze."""
    import xarray as xr

    import pyimpl

    with warnings.catch_warnings(action="ignore"):  # validity is gate 2's to judge
        fit = cast("Callable[..., StanLmerFit]", pyimpl.stan_lmer)(formula, data, seed=seed, iter=2 * draws, **options)
    names, values = draws_of(fit)
    array = xr.DataArray(values, {"parameter": names}, ("parameter", "chain", "draw"))
    reports = {verb: getattr(fit, verb)() for verb in ("VarCorr", "fixef", "se", "sigma", "ranef")}
    return PlantedPosterior(fit, array, fit.log_prob, fit.unconstrained_draws, reports)


@lru_cache(maxsize=32)  # of one seed there are 28
def base_fit(kind: str, name: str, seed: int = 1, draws: int = 1000) -> BaseFit[Any]:
    """The right fit (or fits, or table) of a base, and the data behind it; ``draws`` are those of a posterior."""
    base = BASES[kind][name]
    sizes = {"posterior": (9, 9), "results": (7, 6)}.get(kind, (18, 11))
    data = base.change(simulate(seed, base.of or name, *sizes))
    options = {"weights": "w"} if "weighted" in base.tags else {}
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
    return BaseFit(name, base.formula, data, base.reml, fit, options, seed, draws, sigma)


likelihood_base, posterior_base, anova_base, results_base = (partial(base_fit, kind) for kind in BASES)
