"""Other people's ports of lmer, as data: each is a way of being wrong that no list of the judge names.

A port is a base model and a function that makes its answers: a mapping as in docs/conformance.md. ``true`` are the
causes that may be named for it; every other name is a wrong one.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from validation.algebra import pieces_of, solve
from validation.faults.bases import BaseFit
from validation.faults.thin import answer_of

__all__ = ["PORTS", "Port"]

Answers = dict[str, Any]

#: How much ports answer, from 3 quantities to all that a mapping may have.
FEW = ("fixef", "se", "nobs")
ESTIMATES = ("fixef", "se", "sigma", "VarCorr", "nobs")
USUAL = ("fixef", "se", "sigma", "VarCorr", "ranef", "logLik", "nobs")
MANY = (*USUAL, "vcov", "condsd", "fitted", "residuals")
ALL = (*MANY, "theta")
#: Of 3, 5 and 8 quantities.
THIN = (("fixef", "sigma", "logLik"), ESTIMATES, (*USUAL, "theta"))


@dataclass(frozen=True)
class Port:
    """A port.

    Attributes
    ----------
    name, base : str
    make : callable
        ``make(base, keys)`` -> answers.
    true : frozenset of str
        Causes that are right.
    keys : tuple of tuples
        What it answers, one run for each.
    """

    name: str
    base: str
    make: Callable[[BaseFit, tuple[str, ...]], Answers]
    true: frozenset[str]
    keys: tuple[tuple[str, ...], ...] = (FEW, USUAL, ALL)


def _quiet(base: BaseFit, **changes: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return base.refit(**changes)


def model(formula: str | None = None, reml: Callable[[bool], bool] | None = None, data: Any = None, **options: Any):
    """Another model, other data or options, fitted rightly."""

    def make(base: BaseFit, keys: tuple[str, ...]) -> Answers:
        changed = {} if formula is None else {"formula": formula}
        if reml is not None:
            changed["reml"] = reml(base.reml)
        if data is not None:
            changed["data"] = data(base.data.copy())
        given = {name: value(base) if callable(value) else value for name, value in options.items()}
        return answer_of(_quiet(base, **changed, **given), keys)

    return make


def answers(change: Callable[[Answers, BaseFit], None]):
    """The right fit, its answers changed."""

    def make(base: BaseFit, keys: tuple[str, ...]) -> Answers:
        given = answer_of(base.fit, tuple(dict.fromkeys((*keys, "sigma", "nobs"))))
        given = {key: value.copy() if hasattr(value, "copy") else value for key, value in given.items()}
        change(given, base)
        return {key: given[key] for key in keys}

    return make


def at_theta(theta: Callable[[np.ndarray, BaseFit], np.ndarray]):
    """All numbers of another θ, as an optimizer leaves them that ends there."""

    def make(base: BaseFit, keys: tuple[str, ...]) -> Answers:
        from validation.faults import at_theta as moved

        return answer_of(moved(base.fit, theta(base.fit.theta.to_numpy(), base)), keys)

    return make


def _scaled(key: str, factor: Callable[[BaseFit], float]):
    def change(given: Answers, base: BaseFit) -> None:
        if key in given:
            given[key] = given[key] * factor(base)

    return answers(change)


def _components(rule: Callable[[float, float], float], off: bool = True, residual: bool = False):
    """VarCorr's variances (and covariances) by a rule of value and sigma."""

    def change(given: Answers, base: BaseFit) -> None:
        if "VarCorr" not in given:
            return
        table, sigma = given["VarCorr"].copy(), given["sigma"]
        for i, row in table.iterrows():
            if (row["grp"] == "Residual" and not residual) or (isinstance(row["var2"], str) and not off):
                continue
            table.loc[i, "vcov"] = rule(row["vcov"], sigma)
        single = table["var2"].isna()
        table.loc[single, "sdcor"] = np.sqrt(np.abs(table.loc[single, "vcov"]))
        given["VarCorr"] = table

    return answers(change)


def _correlation(rule: Callable[[float], float]):
    def change(given: Answers, base: BaseFit) -> None:
        if "VarCorr" in given:
            table = given["VarCorr"].copy()
            both = table["var2"].notna()
            table.loc[both, ["vcov", "sdcor"]] = table.loc[both, ["vcov", "sdcor"]].map(rule)
            given["VarCorr"] = table

    return answers(change)


def _modes(rule: Callable[[pd.DataFrame, BaseFit, str], pd.DataFrame]):
    def change(given: Answers, base: BaseFit) -> None:
        if "ranef" in given:
            given["ranef"] = {group: rule(frame, base, group) for group, frame in given["ranef"].items()}

    return answers(change)


def _ols(base: BaseFit) -> tuple[np.ndarray, np.ndarray, float]:
    pieces = pieces_of(base.fit)
    beta, *_ = np.linalg.lstsq(pieces.X, pieces.y, rcond=None)
    residual = pieces.y - pieces.X @ beta
    sigma2 = residual @ residual / (len(residual) - len(beta))
    return beta, np.sqrt(np.diag(np.linalg.inv(pieces.X.T @ pieces.X)) * sigma2), float(np.sqrt(sigma2))


def _from_ols(what: str):
    def change(given: Answers, base: BaseFit) -> None:
        beta, se, _ = _ols(base)
        if what in ("fixef", "both"):
            given["fixef"] = pd.Series(beta, given["fixef"].index)
        if what in ("se", "both") and "se" in given:
            given["se"] = pd.Series(se, given["se"].index)

    return answers(change)


def _sandwich(given: Answers, base: BaseFit) -> None:
    if "se" not in given:
        return
    pieces = pieces_of(base.fit)
    solution = solve(pieces, base.fit.theta.to_numpy(), base.reml)
    V = (pieces.Z @ pieces.Lambda(solution.theta)).toarray()
    W = np.linalg.inv(np.eye(len(pieces.y)) + V @ V.T)
    bread = np.linalg.inv(pieces.X.T @ W @ pieces.X)
    residual = pieces.y - pieces.X @ solution.beta
    codes = base.fit.factors.iloc[:, 0].cat.codes.to_numpy()
    scores = [pieces.X[codes == j].T @ (W @ residual)[codes == j] for j in np.unique(codes)]
    meat = sum(np.outer(one, one) for one in scores)
    given["se"] = pd.Series(np.sqrt(np.diag(bread @ meat @ bread)), given["se"].index)


def _float32(given: Answers, base: BaseFit) -> None:
    for key, value in given.items():
        if isinstance(value, float):
            given[key] = float(np.float32(value))
        elif isinstance(value, pd.Series):
            given[key] = value.astype(np.float32).astype(float)
        elif isinstance(value, dict):
            given[key] = {name: frame.astype(np.float32).astype(float) for name, frame in value.items()}


def _printed(given: Answers, base: BaseFit) -> None:
    """As its summary prints them."""
    for key, value in given.items():
        if isinstance(value, float):
            given[key] = round(value, 3)
        elif isinstance(value, pd.Series | pd.DataFrame):
            numeric = value.select_dtypes("number") if isinstance(value, pd.DataFrame) else value
            rounded = numeric.round(3)
            given[key] = value.assign(**rounded) if isinstance(value, pd.DataFrame) and key == "VarCorr" else rounded
        elif isinstance(value, dict):
            given[key] = {name: frame.round(3) for name, frame in value.items()}


def _loglik(rule: Callable[[float, BaseFit], float]):
    def change(given: Answers, base: BaseFit) -> None:
        if "logLik" in given:
            given["logLik"] = rule(given["logLik"], base)

    return answers(change)


def _conditional(value: float, base: BaseFit) -> float:
    n, sigma = base.fit.nobs(), base.fit.sigma()
    residual = base.fit.residuals().to_numpy()
    return float(-n / 2 * np.log(2 * np.pi * sigma**2) - residual @ residual / (2 * sigma**2))


def _sorted_labels(frame: pd.DataFrame, base: BaseFit, group: str) -> pd.DataFrame:
    return pd.DataFrame(frame.to_numpy(), sorted(frame.index), frame.columns)


def _group_centred(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(ses=data["ses"] - data.groupby("school", observed=True)["ses"].transform("mean"))


def _first_school_lost(data: pd.DataFrame) -> pd.DataFrame:
    data = data[data["school"] != data["school"].cat.categories[0]].copy()
    return data.assign(school=data["school"].cat.remove_unused_categories())


def _missing_group_kept(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(school=data["school"].cat.add_categories("nan").fillna("nan"))


def _two_levels_merged(data: pd.DataFrame) -> pd.DataFrame:
    first, second = data["school"].cat.categories[:2]
    return data.assign(school=data["school"].replace(second, first).astype("category"))


def _row_twice(data: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([data, data.iloc[[30]].set_axis([10_000])])


def _winsorised(data: pd.DataFrame) -> pd.DataFrame:
    low, high = data["score"].quantile([0.02, 0.98])
    return data.assign(score=data["score"].clip(low, high))


def _noisy(given: Answers, base: BaseFit) -> None:
    if "se" in given:
        rng = np.random.default_rng(5)
        given["se"] = given["se"] * (1.0 + 0.01 * rng.normal(size=len(given["se"])))


def _prior(theta: np.ndarray, base: BaseFit) -> np.ndarray:
    """The mode under a gamma(2.5, 0) prior of each standard deviation, as blme's default has it."""
    import scipy.optimize

    pieces = pieces_of(base.fit)
    diagonal = np.array(pieces.bounds)[:, 0] == 0.0

    def objective(point: np.ndarray) -> float:
        return solve(pieces, point, base.reml).objective - 3.0 * float(np.log(np.abs(point[diagonal])).sum())

    return scipy.optimize.minimize(objective, theta, method="L-BFGS-B").x


def _weights(rule: Callable[[np.ndarray], np.ndarray]):
    def weights(base: BaseFit) -> pd.Series:
        w = base.options["weights"]
        return pd.Series(rule(w.to_numpy()), w.index)

    return weights


def _theta(rule: Callable[[pd.Series], pd.Series]):
    """θ on another scale."""

    def change(given: Answers, base: BaseFit) -> None:
        if "theta" in given:
            given["theta"] = rule(given["theta"])

    return answers(change)


def _adjusted(given: Answers, base: BaseFit) -> None:
    if "se" in given:
        given["se"] = given["se"] * np.linspace(1.03, 1.001, len(given["se"]))


def _empirical(given: Answers, base: BaseFit) -> None:
    if "VarCorr" in given:
        table, modes = given["VarCorr"].copy(), base.fit.ranef()
        for i, row in table[table["grp"] != "Residual"].iterrows():
            sd = modes[row["grp"]][row["var1"]].std()
            table.loc[i, ["vcov", "sdcor"]] = sd**2, sd
        given["VarCorr"] = table


def _moments(theta: np.ndarray, base: BaseFit) -> np.ndarray:
    """Henderson's: mean squares between and within the groups of the residuals of OLS."""
    pieces = pieces_of(base.fit)
    residual = pd.Series(pieces.y - pieces.X @ _ols(base)[0])
    groups = residual.groupby(base.fit.factors.iloc[:, 0].astype(str).to_numpy())
    n, N = groups.size(), len(residual)
    within = ((residual - groups.transform("mean")) ** 2).sum() / (N - len(n))
    between = (n * groups.mean() ** 2).sum() / (len(n) - 1)
    size = (N - (n**2).sum() / N) / (len(n) - 1)
    return np.array([np.sqrt(max(between - within, 0.0) / size / within)])


def _within(given: Answers, base: BaseFit) -> None:
    """Fixed effects of the groups, as econometrics has them."""
    data = base.data.dropna(subset=["score", "ses", "school"])
    means = data.groupby("school", observed=True)[["score", "ses"]].transform("mean")
    x, y = data["ses"] - means["ses"], data["score"] - means["score"]
    slope = (x @ y) / (x @ x)
    left = ((y - slope * x) ** 2).sum() / (len(data) - data["school"].nunique() - 1)
    names = given["fixef"].index
    given["fixef"] = pd.Series([data["score"].mean() - slope * data["ses"].mean(), slope], names)
    if "se" in given:
        given["se"] = pd.Series([np.sqrt(left / len(data)), np.sqrt(left / (x @ x))], names)


def _centred_intercept(given: Answers, base: BaseFit) -> None:
    """Fitted to a centred predictor and transformed back, the intercept's standard error left as it was."""
    if "se" in given:
        place = np.array([1.0, base.data["ses"].mean()])
        given["se"] = given["se"].copy()
        given["se"].iloc[0] = np.sqrt(place @ base.fit.vcov().to_numpy() @ place)


def _spherical(frame: pd.DataFrame, base: BaseFit, group: str) -> pd.DataFrame:
    components = base.fit.VarCorr()
    sds = components.loc[(components["grp"] == group) & components["var2"].isna(), "sdcor"].to_numpy()
    return frame / sds * base.fit.sigma()


def _reml_of_n(value: float, base: BaseFit) -> float:
    """The REML criterion with N where N - p belongs."""
    pieces = pieces_of(base.fit)
    N, P = pieces.X.shape
    solution = solve(pieces, base.fit.theta.to_numpy(), True)
    rest = solution.objective - (N - P) * (1 + np.log(2 * np.pi * solution.sigma**2))
    return -(rest + N * (1 + np.log(2 * np.pi * solution.sigma**2 * (N - P) / N))) / 2


def _replicated(base: BaseFit, keys: tuple[str, ...]) -> Answers:
    """Prior weights taken for numbers of rows."""
    times = np.maximum(1, np.round(base.options["weights"].reindex(base.data.index))).astype(int)
    rows = base.data.loc[base.data.index.repeat(times)].reset_index(drop=True)
    return answer_of(_quiet(base, data=rows, weights=None), tuple(k for k in keys if k not in ("fitted", "residuals")))


def _huber(data: pd.DataFrame) -> pd.DataFrame:
    """The response that Huber's M-estimator works with: residuals of least squares pulled in to 1.345 sds."""
    known = data.dropna(subset=["score", "ses"])
    x, y = np.column_stack([np.ones(len(known)), known["ses"]]), known["score"].to_numpy()
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    limit = 1.345 * np.median(np.abs(residual)) / 0.6745
    pulled = data["score"].copy()
    pulled[known.index] = y - residual + np.clip(residual, -limit, limit)
    return data.assign(score=pulled)


def _ridge(given: Answers, base: BaseFit) -> None:
    """A penalty of 1 on each coefficient, as of a prior."""
    vcov = base.fit.vcov().to_numpy() / base.fit.sigma() ** 2
    shrunk = np.linalg.solve(np.linalg.inv(vcov) + np.eye(len(vcov)), np.linalg.solve(vcov, given["fixef"].to_numpy()))
    given["fixef"] = pd.Series(shrunk, given["fixef"].index)


def _standardised(given: Answers, base: BaseFit) -> None:
    """Coefficients in standard deviations of the response and of the predictor."""
    frame = base.fit.X
    sds = frame.std().where(frame.std() > 0.0, 1.0) / base.fit.y.std()
    for key in ("fixef", "se"):
        if key in given:
            given[key] = given[key] * sds.to_numpy()


def _other_criterions_errors(given: Answers, base: BaseFit) -> None:
    if "se" in given:
        given["se"] = _quiet(base, reml=not base.reml).coef_table()["Std. Error"]


def _averaged(data: pd.DataFrame) -> pd.DataFrame:
    """A row for each group and level of the second factor."""
    keys = ["school", "rater"]
    return data.groupby(keys, observed=True, as_index=False)[["score", "ses"]].mean().dropna()


def _swapped_terms(given: Answers, base: BaseFit) -> None:
    """Each term's variance under the next one's name."""
    if "VarCorr" in given:
        table = given["VarCorr"].copy()
        terms = (table["grp"] != "Residual").to_numpy()
        table.loc[terms, ["vcov", "sdcor"]] = table.loc[terms, ["vcov", "sdcor"]].to_numpy()[::-1]
        given["VarCorr"] = table


def _em(theta: np.ndarray, base: BaseFit) -> np.ndarray:
    """Ten steps of EM from θ = 1 (one effect a term)."""
    pieces = pieces_of(base.fit)
    for step in range(11):
        found = solve(pieces, np.ones(len(theta)) if step == 0 else theta, base.reml)
        sds, modes = found.conditional_sds(), found.ranef()
        squares = [[modes[k] ** 2 + sds[k] ** 2 for k in modes if k[0] == term.group] for term in pieces.terms]
        theta = np.array([np.sqrt(np.mean(one)) / found.sigma for one in squares])
    return theta


NONE: frozenset[str] = frozenset()


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


_CODED = _names("coding-centred", "coding-scaled", "data-values", "coding", "coding-other-values")
_DATA = _names("data-values", "other-rows", "rows")
_RESPONSE = _DATA | _names("response-scaled")
_CROSSED = _names("crossed-vs-nested", "random-terms")
_SCALE = _names("scale-relative", "scale-squared", "scale-square-root")


def _between(given: Answers, base: BaseFit) -> None:
    """Least squares of the groups' means."""
    codes = base.fit.factors.iloc[:, 0].cat.codes.to_numpy()
    X, y = base.fit.X.groupby(codes).mean(), base.fit.y.groupby(codes).mean()
    given["fixef"] = pd.Series(np.linalg.lstsq(X, y, rcond=None)[0], given["fixef"].index)


def _raw_means(frame: pd.DataFrame, base: BaseFit, group: str) -> pd.DataFrame:
    residual = base.fit.y - base.fit.X @ base.fit.fixef()
    means = residual.groupby(base.fit.factors[group], observed=True).mean()
    return means.to_frame("(Intercept)").reindex(frame.index)


def _shrunken_twice(frame: pd.DataFrame, base: BaseFit, group: str) -> pd.DataFrame:
    rows, theta2 = base.fit.factors[group].value_counts().reindex(frame.index), float(base.fit.theta.iloc[0]) ** 2
    return frame.mul(theta2 / (theta2 + 1.0 / rows), axis=0)


def _table(change: Callable[[pd.DataFrame], None]):
    """VarCorr's table, changed in its place."""

    def changed(given: Answers, base: BaseFit) -> None:
        if "VarCorr" in given:
            given["VarCorr"] = given["VarCorr"].copy()
            change(given["VarCorr"])

    return answers(changed)


def _covariances_for_correlations(table: pd.DataFrame) -> None:
    both = table["var2"].notna()
    table.loc[both, "sdcor"] = table.loc[both, "vcov"]


def _turned_round(table: pd.DataFrame) -> None:
    table[["vcov", "sdcor"]] = table[["vcov", "sdcor"]].to_numpy()[::-1]


def _far_rows_dropped(data: pd.DataFrame) -> pd.DataFrame:
    away = (data["score"] - data["score"].mean()).abs()
    return data.drop(away.nlargest(5).index)


def _robust_sigma(given: Answers, base: BaseFit) -> None:
    residual = base.fit.residuals()
    given["sigma"] = float(1.4826 * (residual - residual.median()).abs().median())


def _other_criterion_of_theta(value: float, base: BaseFit) -> float:
    return solve(pieces_of(base.fit), base.fit.theta.to_numpy(), not base.reml).objective


def _variances_for_sds_elsewhere(base: BaseFit, keys: tuple[str, ...]) -> Answers:
    """Two faults at once: the reference's numbers say nothing of the scale."""
    given = at_theta(lambda theta, base: 1.1 * theta)(base, keys)
    given["VarCorr"] = given["VarCorr"].assign(sdcor=given["VarCorr"]["vcov"])
    return given


def _by_appearance(base: BaseFit, keys: tuple[str, ...]) -> Answers:
    """A factor's levels in the order in which the data have them, its coefficients under the names of R's order."""
    levels = list(dict.fromkeys(base.data["arm"].astype(str)))
    arm = base.data["arm"].cat.reorder_categories(levels)
    given, names = answer_of(_quiet(base, data=base.data.assign(arm=arm)), keys), base.fit.fixef().index
    named = {key: given[key].set_axis(names) for key in ("fixef", "se") if key in given}
    if "vcov" in given:
        named["vcov"] = pd.DataFrame(given["vcov"].to_numpy(), names, names)
    return {**given, **named}


def _standardised_by_school(data: pd.DataFrame) -> pd.DataFrame:
    by_school = data.groupby("school", observed=True)["score"]
    return data.assign(score=(data["score"] - by_school.transform("mean")) / by_school.transform("std"))


def _two_after_the_fit(given: Answers, base: BaseFit) -> None:
    """The log-likelihood without its constant, and N - p where the standard errors have N."""
    N, p = base.fit.nobs(), len(base.fit.fixef())
    if "logLik" in given:
        given["logLik"] += N * np.log(2 * np.pi) / 2
    given["se"] = given["se"] * np.sqrt(N / (N - p))


#: With BLUPs, and with θ.
_MODES = (USUAL, MANY, ALL)

PORTS: tuple[Port, ...] = (
    Port("standard errors over N in place of N - 1", "slopes", _scaled(
        "se", lambda b: np.sqrt((b.fit.nobs() - 1) / b.fit.nobs())), _names("standard-error-scale")),
    Port("standard errors over the root of N", "intercept", _scaled("se", lambda b: 1 / np.sqrt(b.fit.nobs())),
         _names("standard-error-scale")),
    Port("standard errors adjusted for small samples", "slopes", answers(_adjusted),
         _names("standard-errors-loose")),
    Port("theta squared", "slopes", _theta(np.square), _names("scale-squared")),
    Port("standard error of the intercept of a centred predictor", "intercept", answers(_centred_intercept), NONE),
    Port("log of theta", "crossed", _theta(np.log), NONE),
    Port("theta times sigma", "intercept", _theta(lambda t: t * 8.0), _names("scale-times-sigma")),
    Port("variances of the BLUPs", "crossed", answers(_empirical), NONE),
    Port("variances by the moments", "intercept", at_theta(_moments), _names("stopped-early")),
    Port("within groups", "intercept", answers(_within), NONE),
    Port("spherical effects for BLUPs", "slopes", _modes(_spherical), _names("modes-spherical")),
    Port("REML with N for N - p", "intercept", _loglik(_reml_of_n), NONE),
    Port("weights as rows", "weighted", _replicated, _names("rows")),
    Port("the other criterion", "intercept", model(reml=lambda reml: not reml), _names("reml-vs-ml")),
    Port("the other criterion, slopes", "slopes", model(reml=lambda reml: not reml), _names("reml-vs-ml")),
    Port("the other criterion, crossed", "crossed", model(reml=lambda reml: not reml), _names("reml-vs-ml")),
    Port("sigma squared", "slopes", _scaled("sigma", lambda base: base.fit.sigma()), _SCALE),
    Port("variances over N - 1", "intercept", _components(lambda v, s: v * 1.01, residual=True), NONE),
    Port("sds for variances", "crossed", _components(lambda v, s: np.sqrt(v)), _SCALE),
    Port("variances relative to sigma", "crossed", _components(lambda v, s: v / s**2), _SCALE),
    Port("precisions for variances", "slopes", _components(lambda v, s: 1 / v), NONE),
    Port("log sds for variances", "intercept", _components(lambda v, s: abs(np.log(v) / 2)), NONE),
    Port("sum contrasts", "categorical", model(contrasts={"arm": "contr.sum"}), _names("coding-sum")),
    Port("predictor centred", "intercept", model(data=lambda d: d.assign(ses=d["ses"] - d["ses"].mean())), _CODED),
    Port(
        "predictor standardised by N", "slopes",
        model(data=lambda d: d.assign(ses=(d["ses"] - d["ses"].mean()) / d["ses"].std(ddof=0))), _CODED,
    ),
    Port("predictor centred by group", "intercept", model(data=_group_centred), _DATA),
    Port(
        "last level is the reference", "categorical",
        model(data=lambda d: d.assign(arm=d["arm"].cat.reorder_categories(list(d["arm"].cat.categories[::-1])))),
        _names("coding-reference-level"),
    ),
    Port("a factor taken as numbers", "categorical",
         model(data=lambda d: d.assign(arm=d["arm"].cat.codes.astype(float))),
         _names("lost-column", "other-names", "model-differs")),
    Port("BLUPs under sorted labels", "intercept", _modes(_sorted_labels), _names("permuted-levels")),
    Port("BLUPs under sorted labels, slopes", "slopes", _modes(_sorted_labels),
         _names("permuted-levels")),
    Port("BLUPs sum to 0", "categorical", _modes(lambda f, b, g: f - f.mean() + 0.3), NONE),
    Port("BLUPs over sigma", "crossed", _modes(lambda f, b, g: f / b.fit.sigma()), _names("modes-relative")),
    Port("BLUPs halved", "intercept", _modes(lambda f, b, g: f / 2), NONE),
    Port("BLUPs of the fixed slope added", "slopes", _modes(lambda f, b, g: f.add(np.array([0.0,
         b.fit.fixef()["ses"]]))),
         _names("coef-for-ranef")),
    Port("sigma of N - p", "categorical", _scaled("sigma", lambda b: np.sqrt(b.fit.nobs() / (b.fit.nobs() - 5))),
         _names("sigma-divisor")),
    Port("sigma of the residuals", "slopes", _scaled(
        "sigma", lambda b: b.fit.residuals().to_numpy().std() / b.fit.sigma()), _names("sigma-divisor")),
    Port("sigma of N - p - q", "intercept", _scaled("sigma", lambda b: np.sqrt(
        (b.fit.nobs() - 2) / (b.fit.nobs() - 2 - 18))), _names("sigma-divisor")),
    Port("weights inverted", "weighted", model(weights=_weights(lambda w: 1 / w)),
         _names("data-values", "lost-weights")),
    Port("roots of the weights", "weighted", model(weights=_weights(np.sqrt)), _names("data-values", "lost-weights")),
    Port("weights of mean 1", "weighted", model(weights=_weights(lambda w: w / w.mean())), _names("constant-offset")),
    Port("weights left out", "weighted", model(weights=None), _names("lost-weights")),
    Port("offset forgotten", "weighted", model(formula="score ~ ses + (1 | school)"), _names("lost-offset")),
    Port("offset with the other sign", "weighted",
         model(data=lambda d: d.assign(handicap=-d["handicap"])), _names("data-values", "lost-offset")),
    Port("offset as a predictor", "weighted", model(formula="score ~ ses + handicap + (1 | school)"),
         _names("extra-column", "lost-offset")),
    Port("correlation with the other sign", "slopes", _correlation(lambda v: -v), _names("sign-flipped")),
    Port("correlation reported as 0", "slopes", _correlation(lambda v: 0.0), _names("correlation-not-reported")),
    Port("without correlation", "slopes", model(formula="score ~ ses + (ses || school)"), _names("correlation-lost")),
    Port("without random slope", "slopes", model(formula="score ~ ses + (1 | school)"), _names("random-terms")),
    Port("without random intercept", "slopes", model(formula="score ~ ses + (0 + ses | school)"),
         _names("random-intercept-lost")),
    Port("logLik without 2 pi", "crossed", _loglik(lambda v, b: v + (b.fit.nobs() - 2) / 2 * np.log(2 * np.pi)),
         _names("constant-offset")),
    Port("logLik without log|X'X|", "intercept", _loglik(lambda v, b: v + np.linalg.slogdet(
        b.fit.X.to_numpy().T @ b.fit.X.to_numpy())[1] / 2), _names("constant-offset")),
    Port("logLik is the deviance", "slopes", _loglik(lambda v, b: -2 * v), _names("log-likelihood-scale")),
    Port("logLik given the random effects", "intercept", _loglik(_conditional), _names("another-log-likelihood")),
    Port("logLik of the other criterion alone", "slopes", _loglik(
        lambda v, b: solve(pieces_of(b.fit), b.fit.theta.to_numpy(), True).objective / -2),
         _names("another-log-likelihood", "reml-vs-ml")),
    Port("stopped at 1 % of theta", "slopes", at_theta(lambda t, b: t * 1.01), _names("stopped-early")),
    Port("stopped at 20 % of theta", "crossed", at_theta(lambda t, b: t * 1.2), _names("stopped-early")),
    Port("stopped at the start", "slopes", at_theta(lambda t, b: np.array([1.0, 0.0, 1.0])), _names("stopped-early")),
    Port("a floor below the variances", "singular", at_theta(lambda t, b: np.maximum(t, 0.05)),
         _names("boundary", "stopped-early")),
    Port("a variance put to 0", "crossed", at_theta(lambda t, b: t * [0.0, 1.0]), _names("boundary", "stopped-early")),
    Port("a prior on the sds", "slopes", at_theta(_prior), _names("stopped-early", "boundary")),
    Port("single precision", "crossed", answers(_float32), _names("single-precision")),
    Port("as printed", "slopes", answers(_printed), NONE),
    Port("standard errors of OLS", "categorical", _from_ols("se"), NONE),
    Port("OLS", "crossed", _from_ols("both"), _names("random-terms")),
    Port("coefficients of OLS", "intercept", _from_ols("fixef"), NONE),
    Port("robust standard errors", "intercept", answers(_sandwich), NONE),
    Port("standard errors of a rough Hessian", "slopes", answers(_noisy), _names("standard-errors-loose")),
    Port("standard errors squared", "slopes", answers(
        lambda g, b: g.update(se=g["se"] ** 2) if "se" in g else None),
         _names("standard-error-scale", "standard-errors-squared")),
    Port("half widths for standard errors", "crossed", _scaled("se", lambda b: 1.959964),
         _names("standard-error-scale")),
    Port("a group lost", "intercept", model(data=_first_school_lost), _names("rows", "crossed-vs-nested")),
    Port("rows without a group kept as one", "crossed", model(data=_missing_group_kept),
         _names("rows", "missing-as-level")),
    Port("two levels merged", "slopes", model(data=_two_levels_merged),
         _names("crossed-vs-nested", "rows", "merged-levels")),
    Port("a row twice", "intercept", model(data=_row_twice), _names("rows")),
    Port("missing response filled by its mean", "categorical",
         model(data=lambda d: d.assign(score=d["score"].fillna(d["score"].mean()))), _names("rows", "missing-rows")),
    Port("missing predictor filled by 0", "slopes", model(data=lambda d: d.assign(ses=d["ses"].fillna(0.0))),
         _names("rows", "missing-rows")),
    Port("response winsorised", "intercept", model(data=_winsorised), _DATA),
    Port("response times 10", "slopes", model(data=lambda d: d.assign(score=10 * d["score"])), _RESPONSE),
    Port("response centred", "crossed",
         model(data=lambda d: d.assign(score=d["score"] - d["score"].mean())), _RESPONSE),
    Port("response standardised", "intercept", model(
        data=lambda d: d.assign(score=(d["score"] - d["score"].mean()) / d["score"].std())), _RESPONSE),
    Port("log of the response", "slopes", model(
        data=lambda d: d.assign(score=np.log(d["score"] - d["score"].min() + 1))), _DATA),
    Port("one factor forgotten", "crossed", model(formula="score ~ ses + (1 | school)"), _CROSSED),
    Port("crossed taken as nested", "crossed", model(formula="score ~ ses + (1 | school/rater)"), _CROSSED),
    Port("nested, the outer factor alone", "nested", model(formula="score ~ arm + (1 | school)"), _CROSSED),
    Port("a predictor besides", "intercept", model(formula="score ~ ses + late + (1 | school)"),
         _names("extra-column")),
    Port("a predictor lost", "categorical", model(formula="score ~ arm + (1 | school)"), _names("lost-column")),
    Port("no intercept", "intercept", model(formula="score ~ 0 + ses + (1 | school)"), _names("intercept-lost")),
    Port("correlations of coefficients for vcov", "slopes", answers(
        lambda g,
         b: g.update(vcov=g["vcov"] / np.outer(*(2 * [np.sqrt(np.diag(g["vcov"]))]))) if "vcov" in g else None),
         NONE, (ALL,)),
    Port("vcov of OLS", "intercept", answers(lambda g, b: g.update(vcov=pd.DataFrame(
        np.linalg.inv(b.fit.X.to_numpy().T @ b.fit.X.to_numpy()) * b.fit.sigma() ** 2, *g["vcov"].axes))
        if "vcov" in g else None), NONE, (ALL,)),
    Port("residuals with the other sign", "slopes", answers(
        lambda g, b: g.update(residuals=-g["residuals"]) if "residuals" in g else None),
         _names("sign-flipped"), (MANY, ALL)),
    Port("residuals over sigma", "crossed", answers(
        lambda g, b: g.update(residuals=g["residuals"] / g["sigma"]) if "residuals" in g else None), NONE, (MANY, ALL)),
    Port("fitted values of the fixed effects", "slopes", answers(
        lambda g, b: g.update(fitted=pd.Series(b.fit.X.to_numpy() @ b.fit.fixef().to_numpy(), b.fit.fits.index))
        if "fitted" in g else None), _names("marginal-fitted"), (MANY, ALL)),
    Port("conditional variances for sds", "crossed", answers(
        lambda g, b: g.update(condsd={k: f**2 for k, f in g["condsd"].items()}) if "condsd" in g else None),
         _names("condsd-squared"), (MANY, ALL)),
    Port("nobs counts all rows", "intercept", answers(lambda g, b: g.update(nobs=len(b.data))), _names("rows")),
    Port("a slope forgotten and the other criterion", "slopes",
         model(formula="score ~ ses + (1 | school)", reml=lambda reml: not reml),
         _names("random-terms", "reml-vs-ml"), THIN),
    Port("weights forgotten and the other criterion", "weighted", model(weights=None, reml=lambda reml: not reml),
         _names("lost-weights", "reml-vs-ml"), THIN),
    Port("crossed factors as one of their pairs", "crossed", model(formula="score ~ ses + (1 | school:rater)"),
         _CROSSED, THIN),
    Port("the slope of another predictor is random", "slopes", model(formula="score ~ ses + (late | school)"),
         _names("random-terms", "model-differs"), THIN),
    Port("Huber's response", "intercept", model(data=_huber), _DATA, THIN),
    Port("coefficients of a ridge", "categorical", answers(_ridge), NONE, THIN),
    Port("standardised coefficients", "slopes", answers(_standardised), _CODED | _DATA, THIN),
    Port("ten steps of EM", "crossed", at_theta(_em), _names("stopped-early"), THIN),
    Port("theta of two digits", "slopes", at_theta(lambda t, b: np.round(t, 2)), _names("stopped-early"), THIN),
    Port("standard errors of the other criterion", "intercept", answers(_other_criterions_errors),
         _names("standard-errors-other-criterion"), THIN),
    Port("half widths by t", "categorical", _scaled("se", lambda b: 2.0301), _names("standard-error-scale"), THIN),
    Port("AIC for logLik", "slopes", _loglik(lambda v, b: -2 * v + 2 * b.fit.npar), NONE, THIN),
    Port("logLik of each row", "crossed", _loglik(lambda v, b: v / b.fit.nobs()),
         _names("log-likelihood-scale"), THIN),
    Port("BLUPs with the other sign", "crossed", _modes(lambda f, b, g: -f), _names("sign-flipped"), THIN),
    Port("variances of the terms exchanged", "crossed", answers(_swapped_terms), _names("permuted-terms"), THIN),
    Port("every second row", "intercept", model(data=lambda d: d.iloc[::2].copy()), _names("rows"), THIN),
    Port("response in whole numbers", "categorical", model(data=lambda d: d.assign(score=d["score"].round())),
         _DATA, THIN),
    Port("response in half precision", "slopes",
         model(data=lambda d: d.assign(score=d["score"].astype(np.float16).astype(float))),
         _DATA | _names("single-precision"), THIN),
    Port("response of the row before", "slopes", model(data=lambda d: d.assign(score=d["score"].shift())), _DATA, THIN),
    Port("averages of pairs", "crossed", model(data=_averaged), _names("rows"), THIN),
    Port("Helmert contrasts", "categorical", model(contrasts={"arm": "contr.helmert"}), _names("coding-helmert"), THIN),
    Port("offset counted twice", "weighted", model(data=lambda d: d.assign(handicap=2 * d["handicap"])),
         _names("data-values", "lost-offset"), THIN),
    Port("the predictor squared besides", "intercept", model(
        data=lambda d: d.assign(late=d["ses"] ** 2), formula="score ~ ses + late + (1 | school)"),
         _names("extra-column"), THIN),
    Port("both random effects lost", "nested", model(formula="score ~ arm + (1 | room)"), _CROSSED, THIN),
    Port("the predictor in tens", "slopes", model(data=lambda d: d.assign(ses=d["ses"] / 10)),
         _names("coding-scaled"), THIN),
    Port("ranks of the predictor", "intercept", model(data=lambda d: d.assign(ses=d["ses"].rank())), _DATA, THIN),
    Port("predictor centred at its median", "intercept",
         model(data=lambda d: d.assign(ses=d["ses"] - d["ses"].median())), _names("coding-centred"), THIN),
    Port("BLUPs moved by one level", "crossed", _modes(
        lambda f, b, g: pd.DataFrame(np.roll(f.to_numpy(), 1, axis=0), f.index, f.columns)),
         _names("permuted-levels"), _MODES),
    Port("BLUPs without the last level", "nested", _modes(lambda f, b, g: f.iloc[:-1]), NONE, _MODES),
    Port("BLUPs shrunken twice", "intercept", _modes(_shrunken_twice), NONE, _MODES),
    Port("raw means for BLUPs", "intercept", _modes(_raw_means), _names("unshrunken"), _MODES),
    Port("sigma by the median of the residuals", "slopes", answers(_robust_sigma), NONE, THIN),
    Port("standard errors of a difference", "categorical", _scaled("se", lambda b: np.sqrt(2.0)),
         _names("standard-error-scale")),
    Port("t for the standard errors", "slopes", answers(
        lambda g, b: g.update(se=(g["fixef"] / g["se"]).abs()) if "se" in g else None), NONE),
    Port("between groups", "intercept", answers(_between), NONE, THIN),
    Port("weights squared", "weighted", model(weights=_weights(np.square)), _names("data-values", "lost-weights"),
         THIN),
    Port("covariances for correlations", "slopes", _table(_covariances_for_correlations), _names("scale-covariance"),
         (ESTIMATES, *_MODES)),
    Port("variances of J levels", "intercept", _components(lambda v, s: v * 17 / 18), NONE, (ESTIMATES, *_MODES)),
    Port("theta in the other order", "slopes", answers(
        lambda g, b: g.update(theta=g["theta"].iloc[::-1]) if "theta" in g else None), _names("theta-order"), (ALL,)),
    Port("residual and group variance exchanged", "intercept", _table(_turned_round), _names("permuted-terms"),
         (ESTIMATES, *_MODES)),
    Port("levels written as numbers with a point", "crossed", _modes(
        lambda f, b, g: f.set_axis([f"{label}.0" for label in f.index])), NONE, _MODES),
    Port("labels cut to two characters", "intercept", model(
        data=lambda d: d.assign(school=d["school"].astype(str).str[:2].astype("category"))), _CROSSED, THIN),
    Port("polynomial contrasts", "categorical", model(contrasts={"arm": "contr.poly"}), _names("coding-polynomial"),
         THIN),
    Port("an interaction besides", "categorical", model(formula="score ~ arm * ses + (1 | school)"),
         _names("extra-column"), THIN),
    Port("square root of the response", "far from 0", model(data=lambda d: d.assign(score=np.sqrt(d["score"].abs()))),
         _DATA, THIN),
    Port("the farthest responses dropped", "slopes", model(data=_far_rows_dropped), _names("rows"), THIN),
    Port("REML criterion for logLik", "slopes", _loglik(_other_criterion_of_theta), NONE, THIN),
    Port("slopes of a predictor of sd 1", "slopes", _modes(
        lambda f, b, g: f.assign(ses=f["ses"] * b.data["ses"].std())), NONE, _MODES),
    Port("levels by appearance under R's names", "categorical", _by_appearance, _names("permuted-terms"),
         (FEW, *THIN, *_MODES)),
    Port("response standardised in each school", "intercept", model(data=_standardised_by_school), _DATA,
         (("fixef", "ranef", "sigma"), *_MODES)),
    Port("the constant lost, and standard errors over N - p", "intercept", answers(_two_after_the_fit),
         _names("constant-offset", "standard-error-scale"),
         (("fixef", "se", "VarCorr", "theta", "nobs"), FEW, *_MODES)),
    Port("stopped early, and variances for sds", "crossed", _variances_for_sds_elsewhere,
         _names("scale-squared", "stopped-early"), (ESTIMATES, *_MODES)),
)  # fmt: skip
