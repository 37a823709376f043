"""What a candidate answers: a plain mapping of quantities, dressed as a fit so that the judge reads it unchanged.

What follows from other quantities by plain arithmetic (t from the standard errors, θ from the covariance matrices, AIC
from the log-likelihood) is worked out; what does not is missing, and a missing quantity is a failure unless the
candidate declares that it does not offer it.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import pandas as pd

from r_scripts.variances import Block, ConditionalVariances
from validation.contract import BayesianFit, Draws, LinearMixedFit
from validation.covariances import semidefinite_factor, structures_of
from validation.draws import DrawsAlone
from validation.quantities import columns_of, records
from validation.tolerances import SINGULAR, Match
from validation.wellformed import (
    MalformedError,
    flag,
    label,
    labelled,
    labelled_columns,
    most_entries,
    number,
    numbers,
    pairs_of,
    refuse_beyond_rows,
    whole,
)

__all__ = ["OFFERS", "POSTERIOR_OFFERS", "Answer", "AnswerError", "NotOfferedError", "as_fit", "as_posterior"]


def _itself(*names: str) -> dict[str, frozenset[str]]:
    """Quantities that stand for themselves alone."""
    return {name: frozenset({name}) for name in names}


#: What a candidate of likelihood fits may declare missing -> the compared quantities that it stands for.
OFFERS: dict[str, frozenset[str]] = {
    "fixef": frozenset({"fixef", "fixef-names"}),
    "se": frozenset({"se", "t"}),
    **_itself("vcov", "sigma"),
    "VarCorr": frozenset({"variance", "covariance", "sd", "cor"}),
    "theta": frozenset({"theta", "theta-names"}),
    **_itself("par", "structures", "singular", "ranef", "condsd", "coef", "logLik", "deviance", "REMLcrit", "AIC"),
    **_itself("BIC", "nobs", "npar", "df_residual", "ngrps", "criterion"),
    "fitted": frozenset({"fitted", "residuals", "scaled_residuals", "rows-used"}),
    "design": frozenset({"X", "X-columns", "Z", "y", "levels", "membership"}),
    "objective": frozenset({"objective", "own-optimum"}),
}

#: The same for posteriors.
POSTERIOR_OFFERS: dict[str, str] = {
    "density": "the log density (gate 1)",
    "ranef": "the random effects, b[...]",
    "new-levels": "the effects of a new level, b[... _NEW_...]",
    "VarCorr": "the covariance matrices, Sigma[...]",
    "sigma": "the residual standard deviation",
    "mean_PPD": "the mean of the posterior predictive distribution",
    "log-posterior": "the log posterior of each draw",
}

#: Keys of an answer besides those of :data:`OFFERS`.
_PARTS = frozenset(
    {"residuals", "X", "Z", "y", "flist", "cnms", "devfun", "isREML", "warnings", "messages", "formula", "label"}
)


class NotOfferedError(LookupError):
    """The answer does not hold a quantity, nor what it would follow from."""


class AnswerError(MalformedError):
    """The answer holds something that cannot be read."""


def as_fit(
    answer: object, formula: str, data: pd.DataFrame, reml: bool, missing: frozenset[str] = frozenset()
) -> LinearMixedFit:
    """Dress what a candidate returned as a fit.

    Parameters
    ----------
    answer : mapping or object
        A mapping of quantities (keys of :data:`OFFERS`, and ``X``, ``Z``, ``y``, ``flist``, ``devfun``, ...), or an
        object that has methods of :class:`validation.contract.LinearMixedFit`, which is returned as it is.
    formula : str
    data : pandas.DataFrame
        What the candidate was given: fitted values without labels get its index.
    reml : bool
        The criterion that was asked for.
    missing : frozenset of str
        What the candidate declares that it does not offer.

    Raises
    ------
    AnswerError
        Neither a mapping nor an object with methods of the contract, or a mapping with a key that is no quantity.
    """
    if isinstance(answer, Mapping):
        return cast("LinearMixedFit", Answer(answer, formula, data, reml, missing))  # in part
    if not any(callable(getattr(answer, name, None)) for name in ("fixef", "VarCorr", "ranef", "sigma")):
        raise AnswerError(
            f"the candidate returned a {type(answer).__name__}; expected a mapping of quantities (fixef, se, sigma, "
            "VarCorr, ranef, logLik, nobs, ...) or an object with methods of these names"
        )
    return cast("LinearMixedFit", answer)


def as_posterior(answer: object) -> BayesianFit:
    """Dress the draws that a candidate returned (DataTree, Dataset, DataFrame, mapping) as a posterior fit."""
    names = dir(answer)  # hasattr would build the posterior
    if not isinstance(answer, Mapping | pd.DataFrame) and ("posterior" in names and not hasattr(answer, "children")):
        return cast("BayesianFit", _OwnDraws(answer))
    if "posterior_summary" in names and "data_vars" not in names and not isinstance(answer, Mapping | pd.DataFrame):
        raise AnswerError(
            f"the candidate returned a {type(answer).__name__} with summaries; expected draws: what a candidate says "
            "of its own Monte Carlo errors is nothing to judge it by"
        )
    if not isinstance(answer, Mapping | pd.DataFrame) and not hasattr(answer, "data_vars"):
        raise AnswerError(
            f"the candidate returned a {type(answer).__name__}; expected draws: an xarray DataTree or Dataset, a "
            "DataFrame, or a mapping from R's parameter names to arrays of shape (chains, draws)"
        )
    return cast("BayesianFit", DrawsAlone(cast("Draws", answer)))


class _OwnDraws:
    """A candidate's posterior without the summaries that it makes itself: the judge makes them of its draws."""

    def __init__(self, fit: object) -> None:
        self._fit = fit

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._fit) if name not in ("posterior_summary", "independent_draws")]

    def __getattr__(self, name: str) -> object:
        if name in ("posterior_summary", "independent_draws", "recorded_points") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._fit, name)


def _given_or(name: str, work_out: Callable[["Answer"], float]) -> Callable[["Answer"], float]:
    """The contract's method that gives a number: as it was answered, or what follows from others."""

    def method(self: "Answer") -> float:
        if self._has(name):
            return number(self._values[name], name)
        self._derive(name)
        return float(work_out(self))

    return method


class Answer:
    """A likelihood fit made of a plain mapping (contract: ``validation.contract.LinearMixedFit``, in part)."""

    def __init__(
        self,
        values: Mapping[str, object],
        formula: str,
        data: pd.DataFrame,
        reml: bool,
        missing: frozenset[str] = frozenset(),
    ) -> None:
        known = sorted({*OFFERS, *_PARTS} - {"design", "objective", "criterion"})
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f". Known are: {', '.join(known)}"
                raise AnswerError(f"the answer has the key {key!r}, which is no quantity{hint}")
        self._values = {key: value for key, value in values.items() if value is not None}
        self._data, self._missing = data, missing
        self._order: list[str] = []
        self._pairs: set[tuple[str, str, str]] = set()
        self._groups: list[str] = []
        self._reml = reml
        self.formula = str(self._values.get("formula", formula))
        self.label = str(self._values.get("label", ""))
        self.warnings, self.messages = (_texts(self._values.get(key), key) for key in ("warnings", "messages"))

    # ------------------------------------------------------------------------------------------------ reading

    def _has(self, name: str) -> bool:
        return name in self._values

    def _take(self, name: str) -> object:
        if name not in self._values:
            raise NotOfferedError(f"the answer has no {name!r}")
        refuse_beyond_rows(self._values[name], most_entries(len(self._data)), name)
        return self._values[name]

    def _derive(self, name: str, *sources: str) -> None:
        """Refuse to work out what is declared missing, or what lacks its sources."""
        if name in self._missing:
            raise NotOfferedError(f"{name} is declared missing")
        for source in sources:
            if source not in self._values:
                raise NotOfferedError(f"the answer has no {name!r}, nor {source!r} to work it out from")

    def align(self, reference: LinearMixedFit) -> None:
        """Write pairs of labels in the reference's order: a covariance is the same whichever effect is named first."""
        try:
            names = [str(name) for name in reference.fixef().index]
            terms = [str(name) for name in dict.fromkeys(reference.VarCorr()["grp"])]
            pairs = {
                (str(r.grp), str(r.var1), str(r.var2))
                for r in reference.VarCorr().itertuples(index=False)
                if not _absent(r.var2)
            }
        except Exception:  # a reference that lacks them has nothing to align with
            return
        self._order, self._pairs, self._groups = names, pairs, terms

    # ------------------------------------------------------------------------------------------------ fixed effects

    def fixef(self) -> pd.Series:
        """Fixed effects."""
        return _series(self._take("fixef"), "fixef")

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        matrix = self._take("vcov")
        if not isinstance(matrix, pd.DataFrame):
            names = list(self.fixef().index)
            values = numbers(matrix, "vcov", ndim=2)
            if values.shape != (len(names), len(names)):
                raise AnswerError(f"vcov has shape {values.shape}; expected {(len(names), len(names))}, as fixef")
            matrix = pd.DataFrame(values, index=names, columns=names)
        matrix = labelled_columns(matrix, "vcov")
        if sorted(map(str, matrix.index)) == sorted(self._order) and matrix.index.is_unique:
            matrix = matrix.loc[self._order, self._order]
        return matrix

    def coef_table(self) -> pd.DataFrame:
        """Estimates, standard errors and t values."""
        fixed = self.fixef()
        if self._has("se"):
            errors = _series(self._values["se"], "se").reindex(fixed.index)
        else:
            self._derive("se", "vcov")
            matrix = self.vcov()
            errors = pd.Series(np.sqrt(np.diag(matrix.to_numpy())), index=matrix.index).reindex(fixed.index)
        with np.errstate(all="ignore"):
            return pd.DataFrame({"Estimate": fixed, "Std. Error": errors, "t value": fixed / errors})

    # ------------------------------------------------------------------------------------------------ components

    def sigma(self) -> float:
        """Residual standard deviation."""
        return number(self._take("sigma"), "sigma")

    def VarCorr(self) -> pd.DataFrame:
        """Variance components as ``as.data.frame(VarCorr(m))``."""
        given = self._take("VarCorr")
        if isinstance(given, pd.DataFrame):
            frame = given.copy()
            absent = {"grp", "var1", "var2", "vcov"} - set(frame.columns)
            if absent:
                raise AnswerError(f"VarCorr lacks the columns {', '.join(sorted(absent))} of R's data frame")
            frame["vcov"] = numbers(frame["vcov"].array, "VarCorr's vcov")
            if "sdcor" not in frame.columns:
                frame["sdcor"] = _sdcor(frame)
        else:
            frame = _components(given)
        for column in ("vcov", "sdcor"):
            frame[column] = numbers(frame[column].array, f"VarCorr's {column}")
        rows = records(frame)
        for r in rows:
            if not _absent(r["var2"]) and (r["grp"], r["var2"], r["var1"]) in self._pairs:
                r["var1"], r["var2"] = r["var2"], r["var1"]
        frame = pd.DataFrame(rows, columns=frame.columns, dtype=object)
        if not (frame["grp"] == "Residual").any() and self._has("sigma"):
            sigma = self.sigma()
            last = {"grp": "Residual", "var1": None, "var2": None, "vcov": sigma**2, "sdcor": sigma}
            frame = pd.concat([frame.astype(object), pd.DataFrame([last], dtype=object)], ignore_index=True)
        return frame

    def _terms(self) -> list[tuple[str, list[str], np.ndarray]]:
        """Each random term: its name, its effects, its covariance matrix."""
        frame = self.VarCorr()
        terms = []
        for name in dict.fromkeys(frame["grp"]):
            rows = [r for r in frame[frame["grp"] == name].itertuples(index=False) if not _absent(r.var1)]
            effects = [str(r.var1) for r in rows if _absent(r.var2)]
            matrix = np.zeros((len(effects), len(effects)))
            for r in rows:
                i = effects.index(str(r.var1))
                j = i if _absent(r.var2) else effects.index(str(r.var2))
                matrix[i, j] = matrix[j, i] = float(r.vcov)
            if effects:
                terms.append((str(name), effects, matrix))
        if {name for name, _, _ in terms} <= set(self._groups):
            terms.sort(key=lambda term: self._groups.index(term[0]))
        return terms

    def _theta(self) -> pd.Series:
        if self._has("theta"):
            return _series(self._values["theta"], "theta")
        self._derive("theta", "VarCorr", "sigma")
        scale = self.sigma() ** 2
        values: dict[str, float] = {}
        terms = self._terms()
        names = {name for name, _, _ in terms}
        for name, effects, matrix in terms:
            numbered = re.fullmatch(r"(.*)\.\d+", name)  # R calls a factor's second term g.1, but its θ g.x
            group = numbered[1] if numbered and numbered[1] in names else name
            factor = semidefinite_factor(matrix / scale)
            for j, column in enumerate(effects):
                for i in range(j, len(effects)):
                    values[f"{group}.{column}" if i == j else f"{group}.{effects[i]}.{column}"] = float(factor[i, j])
        return pd.Series(values, dtype=float)

    @property
    def getReCovs(self) -> Callable[[], pd.DataFrame]:
        """The terms' covariance structures, where the answer says them (``structures``)."""
        if not self._has("structures"):
            raise AttributeError("the answer has no 'structures'")
        given = self._values["structures"]
        if not isinstance(given, pd.DataFrame) or not {"structure", "hom", "nc"} <= set(given.columns):
            raise AnswerError("structures: expected a DataFrame, columns structure, hom, nc, a row for each term")
        return lambda: given

    def isSingular(self, tol: float = SINGULAR) -> bool:
        """Whether a diagonal element of θ is (nearly) 0."""
        if self._has("singular"):
            return flag(self._values["singular"], "singular")
        self._derive("singular")
        theta = self._theta()
        return bool((theta[self._lower(theta).to_numpy() == 0.0] < tol).any())

    def _lower(self, theta: pd.Series) -> pd.Series:
        rows = [i == j for _, effects, _ in self._terms() for j in range(len(effects)) for i in range(j, len(effects))]
        if len(rows) != len(theta):
            raise NotOfferedError("the bounds of θ")
        return pd.Series(np.where(rows, 0.0, -np.inf), index=theta.index)

    # ------------------------------------------------------------------------------------------------ random effects

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes."""
        return _by_level(self._take("ranef"), "ranef")

    def ranef_condVar(self) -> ConditionalVariances:
        """Conditional variances; between effects missing."""
        result = {}
        for group, frame in _by_level(self._take("condsd"), "condsd").items():
            values = np.full((len(frame), frame.shape[1], frame.shape[1]), np.nan)
            for j in range(frame.shape[1]):
                values[:, j, j] = np.sign(frame.iloc[:, j]) * frame.iloc[:, j] ** 2
            result[group] = Block(values, list(frame.index), list(frame.columns))
        return ConditionalVariances(result)

    def coef(self) -> dict[str, pd.DataFrame]:
        """``fixef`` plus ``ranef`` for each level."""
        if self._has("coef"):
            return _by_level(self._values["coef"], "coef")
        self._derive("coef", "fixef", "ranef")
        fixed = self.fixef()
        return {
            group: pd.DataFrame(
                {
                    name: fixed.get(name, 0.0) + (frame[name] if name in frame.columns else 0.0)
                    for name in dict.fromkeys([*fixed.index, *frame.columns])
                },
                index=frame.index,
            )
            for group, frame in self.ranef().items()
        }

    def ngrps(self) -> pd.Series:
        """Number of levels of each grouping factor."""
        if self._has("ngrps"):
            return labelled(self._values["ngrps"], "ngrps")
        self._derive("ngrps", "ranef")
        return pd.Series({group: len(frame) for group, frame in self.ranef().items()})

    # ------------------------------------------------------------------------------------------------ the optimum

    def logLik(self) -> float:
        """(Restricted) log-likelihood."""
        if self._has("logLik"):
            return number(self._values["logLik"], "logLik")
        other = "REMLcrit" if self._reml else "deviance"
        self._derive("logLik", other)
        return -0.5 * number(self._values[other], other)

    deviance = _given_or("deviance", lambda fit: -2.0 * fit.logLik())
    REMLcrit = _given_or("REMLcrit", lambda fit: -2.0 * fit.logLik())
    AIC = _given_or("AIC", lambda fit: -2.0 * fit.logLik() + 2.0 * fit.npar)
    BIC = _given_or("BIC", lambda fit: -2.0 * fit.logLik() + math.log(fit.nobs()) * fit.npar)
    _npar = _given_or("npar", lambda fit: len(fit.fixef()) + fit._n_theta() + 1)
    _df_residual = _given_or("df_residual", lambda fit: fit.nobs() - fit.npar)

    def nobs(self) -> int:
        """Rows used."""
        return whole(self._take("nobs"), "nobs")

    @property
    def npar(self) -> int:
        """Number of parameters."""
        return whole(self._npar(), "npar")

    def _n_theta(self) -> int:
        if self._has("theta"):
            return len(self._theta())
        self._derive("npar", "VarCorr")
        return sum(len(effects) * (len(effects) + 1) // 2 for _, effects, _ in self._terms())

    def df_residual(self) -> int:
        """Rows used minus parameters."""
        return whole(self._df_residual(), "df_residual", -math.inf)

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised, as far as the candidate says; otherwise what was asked for."""
        self._derive("criterion")
        return flag(self._values.get("isREML", self._reml), "isREML")

    @property
    def devfun(self) -> Callable[..., float] | None:
        """The objective at any θ, where the candidate has one."""
        return cast("Callable[..., float] | None", self._values.get("devfun"))

    # ------------------------------------------------------------------------------------------------ rows and design

    def fitted(self) -> pd.Series:
        """Conditional fitted values."""
        return self._rows(self._take("fitted"), "fitted")

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Response residuals; scaled ones only where there are no weights to divide by."""
        if type != "response":
            raise NotOfferedError(f"residuals of type {type!r}")
        residuals = self._rows(self._take("residuals"), "residuals")
        return residuals / self.sigma() if scaled else residuals

    def _rows(self, values: object, name: str) -> pd.Series:
        if isinstance(values, pd.Series):
            return labelled(values, name, unique=False)
        array = numbers(values, name)
        for index in (self._data.index, _complete(self.formula, self._data).index):
            if len(index) == array.size:
                return pd.Series(array, index=index)
        raise AnswerError(f"{name} has {array.size} values, the data have {len(self._data)} rows; give a Series")

    def getME(self, name: str) -> object:
        """The pieces that the answer holds or that follow."""
        if name == "theta":
            return self._theta()
        if name == "lower" and self._has("structures"):
            par = _series(self._take("par"), "par")
            low = [
                low
                for found, (_, effects, _) in zip(structures_of(self) or (), self._terms(), strict=True)
                for low, _ in found.bounds(len(effects))
            ]
            return pd.Series(low, index=par.index)
        if name == "par":
            return _series(self._take("par"), "par")
        if name == "lower":
            return self._lower(self._theta())
        if name == "beta":
            return self.fixef()
        if name == "cnms" and not self._has("cnms"):
            return {group: effects for group, effects, _ in self._terms()}
        return self._take(name)


def _series(values: object, name: str) -> pd.Series:
    return labelled(values, name, unique=name != "theta")


def _absent(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value))


def _texts(value: object, name: str) -> tuple[str, ...]:
    """What the candidate says, one text or several."""
    given = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(given, list | tuple):
        raise AnswerError(f"{name} is a {type(value).__name__}; expected a list of texts")
    return tuple(label(text) for text in given)


def _components(given: object) -> pd.DataFrame:
    """Mapping group -> variance, mapping effect -> variance, or labelled covariance matrix, as R's data frame."""
    if not isinstance(given, Mapping):
        raise AnswerError(f"VarCorr is a {type(given).__name__}; expected R's data frame or a mapping by group")
    rows: list[dict[str, object]] = []
    for group, block in pairs_of(given, "VarCorr"):
        if isinstance(block, pd.DataFrame):
            matrix = labelled_columns(block, f"VarCorr of {label(group)!r}")
            if list(matrix.index) != list(matrix.columns):
                raise AnswerError(f"VarCorr of {label(group)!r} has other labels in its rows than in its columns")
            if not np.allclose(matrix.to_numpy(), matrix.to_numpy().T, rtol=Match.SYMMETRIC, atol=0.0):
                raise AnswerError(f"VarCorr of {label(group)!r} is not symmetric; expected a covariance matrix")
        else:
            variances = dict(block.items()) if isinstance(block, Mapping | pd.Series) else {"(Intercept)": block}
            names = [str(effect) for effect in variances]
            matrix = pd.DataFrame(
                np.diag([number(v, f"VarCorr of {label(group)!r}") for v in variances.values()]),
                index=names,
                columns=names,
            )
            if len(names) > 1:
                raise AnswerError(
                    f"VarCorr of {group!r} has {len(names)} variances without covariances; give a DataFrame effect x "
                    "effect, or (for independent effects) one entry each: g, g.1, ..."
                )
        effects = [str(effect) for effect in matrix.index]
        values = matrix.to_numpy(dtype=float)
        rows += [
            {"grp": str(group), "var1": effect, "var2": None, "vcov": values[i, i]} for i, effect in enumerate(effects)
        ]
        rows += [
            {"grp": str(group), "var1": effects[j], "var2": effects[i], "vcov": values[i, j]}
            for j in range(len(effects))
            for i in range(j + 1, len(effects))
        ]
    frame = pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov"], dtype=object)
    frame["sdcor"] = _sdcor(frame)
    return frame


def _sdcor(frame: pd.DataFrame) -> list[float]:
    rows = records(frame)
    variances = {(r["grp"], r["var1"]): float(r["vcov"]) for r in rows if _absent(r["var2"])}
    result = []
    for r in rows:
        if _absent(r["var2"]):
            result.append(math.sqrt(r["vcov"]) if r["vcov"] >= 0 else math.nan)
        else:
            product = variances.get((r["grp"], r["var1"]), math.nan) * variances.get((r["grp"], r["var2"]), math.nan)
            result.append(float(r["vcov"]) / math.sqrt(product) if product > 0 else math.nan)
    return result


def _by_level(given: object, name: str) -> dict[str, pd.DataFrame]:
    if not isinstance(given, Mapping):
        raise AnswerError(f"{name} is a {type(given).__name__}; expected a mapping from grouping factor to DataFrame")
    result = {}
    for group, block in pairs_of(given, name):
        if isinstance(block, pd.DataFrame):
            frame = labelled_columns(block, f"{name} of {label(group)!r}", unique_columns=False)
        elif isinstance(block, Mapping | pd.Series):
            frame = pd.DataFrame({"(Intercept)": labelled(block, f"{name} of {label(group)!r}")})
        else:
            raise AnswerError(
                f"{name} of {group!r} is a {type(block).__name__}; expected a DataFrame level x effect, or a Series by "
                "level where the only effect is the intercept"
            )
        result[label(group)] = frame
    return result


def _complete(formula: str, data: pd.DataFrame) -> pd.DataFrame:
    """The rows without a missing value in a column that the formula names."""
    columns = columns_of(formula, data)
    return data.dropna(subset=columns) if columns else data
