"""What a candidate answers: a plain mapping of quantities, dressed as a fit so that the judge reads it unchanged.

What follows from other quantities by plain arithmetic (t from the standard errors, θ from the covariance matrices, AIC
from the log-likelihood) is worked out; what does not is missing, and a missing quantity is a failure unless the
candidate declares that it does not offer it.
"""

import difflib
import itertools
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from r_scripts.variances import Block, ConditionalVariances
from validation.contract import BayesianFit, Draws, LinearMixedFit
from validation.covariances import FREE, semidefinite_factor, structures_of, triangle
from validation.quantities import DrawsAlone, columns_of, quietly, records
from validation.references.recorded import by_level
from validation.tolerances import SINGULAR
from validation.wellformed import (
    CheckedFit,
    MalformedError,
    by_group,
    components_of,
    covariance_of,
    label,
    labelled,
    labelled_columns,
    most_entries,
    number,
    numbers,
    pairs_of,
    refuse_beyond_rows,
)


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

#: The same for posteriors: the log density (gate 1), b[...] of the levels, b[... _NEW_...] of a new one, Sigma[...],
#: the residual standard deviation, and two columns that are no parameters.
POSTERIOR_OFFERS = ("density", "ranef", "new-levels", "VarCorr", "sigma", "mean_PPD", "log-posterior")

#: Keys of an answer besides those of :data:`OFFERS`.
_PARTS = frozenset(
    {"residuals", "X", "Z", "y", "flist", "cnms", "devfun", "isREML", "warnings", "messages", "formula", "label"}
)


#: Columns of the variance components that name effects.
_EFFECTS = ("var1", "var2")


class NotOfferedError(LookupError):
    """The answer does not hold a quantity, nor what it would follow from."""


class AnswerError(MalformedError):
    """The answer holds something that cannot be read."""


def as_fit(
    answer: object,
    formula: str,
    data: pd.DataFrame,
    reml: bool,
    missing: frozenset[str] = frozenset(),
    reference: LinearMixedFit | None = None,
) -> LinearMixedFit:
    """Dress what a candidate returned as a fit.

    That is a mapping of quantities (keys of :data:`OFFERS`, and ``X``, ``Z``, ``y``, ``flist``, ``devfun``, ...), or an
    object with methods of :class:`validation.contract.LinearMixedFit`, which is returned as it is. ``data`` are what
    the candidate was given (fitted values without labels get their index), and what it declares ``missing`` is not
    worked out. Pairs of labels are written in the ``reference``'s order: a covariance is the same whichever effect is
    named first.
    """
    if isinstance(answer, Mapping):
        return cast("LinearMixedFit", Answer(answer, formula, data, reml, missing, reference))  # in part
    if not any(callable(getattr(answer, name, None)) for name in ("fixef", "VarCorr", "ranef", "sigma")):
        raise AnswerError(
            f"the candidate returned a {type(answer).__name__}; expected a mapping of quantities (fixef, se, sigma, "
            "VarCorr, ranef, logLik, nobs, ...) or an object with methods of these names"
        )
    return cast("LinearMixedFit", answer)


def as_posterior(answer: object) -> BayesianFit:
    """Dress the draws that a candidate returned (DataTree, Dataset, DataFrame, mapping) as a posterior fit."""
    names = dir(answer)  # hasattr would build the posterior
    alone = isinstance(answer, Mapping | pd.DataFrame) or not {"data_vars", "children"}.isdisjoint(names)
    if not alone and "posterior" not in names:
        raise AnswerError(
            f"the candidate returned a {type(answer).__name__}; expected draws: an xarray DataTree or Dataset, a "
            "DataFrame, or a mapping from R's parameter names to arrays of shape (chains, draws); what a candidate "
            "says of its own Monte Carlo errors is nothing to judge it by"
        )
    return cast("BayesianFit", DrawsAlone(cast("Draws", answer)) if alone else _OwnDraws(answer))


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


def _given_or(
    name: str, work_out: Callable[["Answer"], object] | None = None, *sources: str
) -> Callable[["Answer"], Any]:
    """The contract's method for a quantity: as it was answered (the judge reads and checks it), or what follows.

    ``work_out`` needs other quantities, its ``sources``; what is declared missing is not worked out.
    """

    def method(self: "Answer") -> object:
        if work_out is None or name in self.given:
            return self.take(name)
        if name in self.missing:
            raise NotOfferedError(f"{name} is declared missing")
        for source in sources:
            if source not in self.given:
                raise NotOfferedError(f"the answer has no {name!r}, nor {source!r} to work it out from")
        return work_out(self)

    return method


def _theta(fit: "Answer") -> pd.Series:
    """The elements of the relative covariance factors, by lme4's names."""
    scale = fit.read.sigma() ** 2
    values: dict[str, float] = {}
    terms = fit.terms()
    names = {name for name, _, _ in terms}
    for name, effects, matrix in terms:
        numbered = re.fullmatch(r"(.*)\.\d+", name)  # R calls a factor's second term g.1, but its θ g.x
        group = numbered[1] if numbered and numbered[1] in names else name
        factor = semidefinite_factor(matrix / scale)
        for i, j in triangle(len(effects)):
            name = effects[j] if i == j else f"{effects[i]}.{effects[j]}"
            values[f"{group}.{name}"] = float(factor[i, j])
    return pd.Series(values, dtype=float)


def _lower(fit: "Answer") -> pd.Series:
    """The bounds of the covariance parameters."""
    sizes = [len(effects) for _, effects, _ in fit.terms()]
    structures = structures_of(fit) if "structures" in fit.given else [FREE] * len(sizes)
    low = [low for found, p in zip(structures or (), sizes, strict=True) for low, _ in found.bounds(p)]
    index = fit.read.getME("par" if "structures" in fit.given else "theta").index
    if len(low) != len(index):
        raise NotOfferedError("the bounds of θ")
    return pd.Series(low, index=index)


def _singular(fit: "Answer") -> bool:
    """Whether a diagonal element of θ is (nearly) 0."""
    return bool((fit.read.getME("theta")[_lower(fit).to_numpy() == 0.0].abs() < SINGULAR).any())


def _npar(fit: "Answer") -> int:
    given = "theta" in fit.given
    n = len(fit.read.getME("theta")) if given else sum(FREE.n_par(len(effects)) for _, effects, _ in fit.terms())
    return len(fit.read.fixef()) + n + 1


class Answer:
    """A likelihood fit made of a plain mapping (contract: ``validation.contract.LinearMixedFit``, in part).

    ``given`` is what was answered, ``missing`` is declared so. ``read`` is this answer as the judge reads it, from
    which whatever follows is worked out.
    """

    read: CheckedFit
    criterion: str  # that was asked for

    def __init__(
        self,
        values: Mapping[str, object],
        formula: str,
        data: pd.DataFrame,
        reml: bool,
        missing: frozenset[str] = frozenset(),
        reference: LinearMixedFit | None = None,
    ) -> None:
        known = sorted({*OFFERS, *_PARTS} - {"design", "objective", "criterion"})
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f". Known are: {', '.join(known)}"
                raise AnswerError(f"the answer has the key {key!r}, which is no quantity{hint}")
        self.given = {key: value for key, value in values.items() if value is not None}
        self.missing = missing
        self.read = CheckedFit(cast("LinearMixedFit", self), strict=False)
        self._data, self._reml = data, reml
        self.criterion = "REMLcrit" if reml else "deviance"
        self.devfun = cast("Callable[..., float] | None", self.given.get("devfun"))  # the objective at any θ
        # a reference that lacks these has no order to write pairs of labels in
        like = cast("LinearMixedFit", reference)
        self._order = quietly(lambda: [str(name) for name in like.fixef().index], [])
        pairs = quietly(lambda: like.VarCorr()[["grp", *_EFFECTS]], pd.DataFrame(columns=["grp", *_EFFECTS]))
        self._groups = [str(group) for group in dict.fromkeys(pairs["grp"])]
        self._pairs = {tuple(map(str, pair)) for pair in pairs.itertuples(index=False)}
        if "structures" in self.given:  # otherwise all covariances are free
            self.getReCovs = self._structures
        self.formula = str(self.given.get("formula", formula))
        self.label = str(self.given.get("label", ""))
        self.warnings, self.messages = (_texts(self.given.get(key), key) for key in ("warnings", "messages"))

    def take(self, name: str) -> object:
        """What was answered."""
        if name not in self.given:
            raise NotOfferedError(f"the answer has no {name!r}")
        refuse_beyond_rows(self.given[name], most_entries(len(self._data)), name)
        return self.given[name]

    fixef = _given_or("fixef")
    sigma = _given_or("sigma")
    nobs = _given_or("nobs")
    logLik = _given_or("logLik", lambda fit: -0.5 * number(fit.take(fit.criterion), fit.criterion))
    deviance = _given_or("deviance", lambda fit: -2.0 * fit.read.logLik())
    REMLcrit = _given_or("REMLcrit", lambda fit: -2.0 * fit.read.logLik())
    AIC = _given_or("AIC", lambda fit: -2.0 * fit.read.logLik() + 2.0 * fit.read.npar)
    BIC = _given_or("BIC", lambda fit: -2.0 * fit.read.logLik() + math.log(fit.read.nobs()) * fit.read.npar)
    df_residual = _given_or("df_residual", lambda fit: fit.read.nobs() - fit.read.npar)
    isSingular = _given_or("singular", _singular)
    ngrps = _given_or("ngrps", lambda fit: {group: len(frame) for group, frame in fit.read.ranef().items()}, "ranef")
    npar = property(_given_or("npar", _npar))

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised, as far as the candidate says; otherwise what was asked for."""
        if "criterion" in self.missing and "isREML" not in self.given:
            raise NotOfferedError("criterion is declared missing")
        return cast("bool", self.given.get("isREML", self._reml))

    def _structures(self) -> pd.DataFrame:
        given = self.take("structures")
        if not isinstance(given, pd.DataFrame) or not {"structure", "hom", "nc"} <= set(given.columns):
            raise AnswerError("structures: expected a DataFrame, columns structure, hom, nc, a row for each term")
        return given

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        given = self.take("vcov")
        if not isinstance(given, pd.DataFrame):
            names, values = self.read.fixef().index, numbers(given, "vcov", ndim=2)
            if values.shape != (len(names), len(names)):
                raise AnswerError(f"vcov has shape {values.shape}; expected {(len(names), len(names))}, as fixef")
            given = pd.DataFrame(values, index=names, columns=names)
        matrix = labelled_columns(given, "vcov")
        return matrix.loc[self._order, self._order] if sorted(matrix.index) == sorted(self._order) else matrix

    def coef_table(self) -> pd.DataFrame:
        """Estimates, standard errors and t values."""
        fixed = self.read.fixef()
        errors = labelled(_standard_errors(self), "se").reindex(fixed.index)
        with np.errstate(all="ignore"):
            return pd.DataFrame({"Estimate": fixed, "Std. Error": errors, "t value": fixed / errors})

    def VarCorr(self) -> pd.DataFrame:
        """Variance components as ``as.data.frame(VarCorr(m))``."""
        given = self.take("VarCorr")
        if not isinstance(given, pd.DataFrame):
            given = _components(given)
        figures = ("vcov", "sdcor") if "sdcor" in given.columns else ("vcov",)
        rows = records(components_of(given, "VarCorr", figures=figures))
        variances = {(r["grp"], r["var1"]): r["vcov"] for r in rows if r["var2"] is None}
        for r in rows:
            if (r["grp"], r["var2"], r["var1"]) in self._pairs:
                r["var1"], r["var2"] = r["var2"], r["var1"]
            r.setdefault("sdcor", _sdcor(r, variances))
        if "sigma" in self.given and all(r["grp"] != "Residual" for r in rows):
            sigma = self.read.sigma()
            rows.append({"grp": "Residual", "var1": None, "var2": None, "vcov": sigma**2, "sdcor": sigma})
        return pd.DataFrame(rows, columns=["grp", *_EFFECTS, "vcov", "sdcor"], dtype=object)

    def terms(self) -> list[tuple[str, list[str], np.ndarray]]:
        """Each random term: its name, its effects, its covariance matrix."""
        terms = []
        for name, rows in self.VarCorr().dropna(subset="var1").groupby("grp", sort=False):
            effects = rows.loc[rows["var2"].isna(), "var1"].tolist()
            matrix = np.zeros((len(effects), len(effects)))
            for r in rows.itertuples(index=False):
                i, j = effects.index(r.var1), effects.index(r.var1 if r.var2 is None else r.var2)
                matrix[i, j] = matrix[j, i] = float(cast("float", r.vcov))
            terms.append((str(name), effects, matrix))
        if {name for name, _, _ in terms} <= set(self._groups):
            terms.sort(key=lambda term: self._groups.index(term[0]))
        return terms

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes."""
        return _by_level(self.take("ranef"), "ranef")

    def coef(self) -> dict[str, pd.DataFrame]:
        """``fixef`` plus ``ranef`` for each level."""
        return _by_level(_coef_of(self), "coef")

    def ranef_condVar(self) -> ConditionalVariances:
        """Conditional variances; between effects missing."""
        result = {}
        read = partial(labelled_columns, unique_columns=False)
        for group, given in by_group(_by_level(self.take("condsd"), "condsd"), "condsd", read).items():
            sds = given.to_numpy()
            values = np.full((*sds.shape, sds.shape[1]), np.nan)
            values[:, np.arange(sds.shape[1]), np.arange(sds.shape[1])] = np.sign(sds) * sds**2
            result[group] = Block(values, list(given.index), list(given.columns))
        return ConditionalVariances(result)

    def fitted(self) -> pd.Series:
        """Conditional fitted values."""
        return self._rows(self.take("fitted"), "fitted")

    def residuals(self, scaled: bool = False) -> pd.Series:
        """Response residuals; scaled ones only where there are no weights to divide by."""
        left = None if "residuals" in self.given else self._left_by_fitted()
        residuals = self._rows(self.take("residuals"), "residuals") if left is None else left
        return residuals / self.read.sigma() if scaled else residuals

    def _left_by_fitted(self) -> pd.Series | None:
        """The response less the fitted values that were answered; None where it is no column of numbers."""
        name = self.formula.partition("~")[0].strip().strip("`")
        if "fitted" not in self.given or name not in self._data or not is_numeric_dtype(self._data[name]):
            return None
        fitted, response = self.fitted(), labelled(self._data[name].astype(float), "the data", unique=False)
        if not fitted.index.equals(response.index):
            if not response.index.is_unique or not fitted.index.isin(response.index).all():
                return None
            response = response.loc[fitted.index]
        return pd.Series(response.to_numpy() - fitted.to_numpy(), fitted.index)

    def _rows(self, values: object, name: str) -> pd.Series:
        if isinstance(values, pd.Series):
            return labelled(values, name, unique=False)
        array = numbers(values, name)
        complete = self._data.dropna(subset=columns_of(self.formula, self._data))
        for index in (self._data.index, complete.index):
            if len(index) == array.size:
                return labelled(pd.Series(array, index=index), name, unique=False)
        raise AnswerError(f"{name} has {array.size} values, the data have {len(self._data)} rows; give a Series")

    def getME(self, name: str) -> object:
        """The pieces that the answer holds or that follow."""
        return _PIECES[name](self) if name in _PIECES else self.take(name)


#: Quantities that the contract has under another name, or as a part of another.
_standard_errors = _given_or(
    "se", lambda fit: np.sqrt(pd.Series(np.diag(fit.read.vcov()), fit.read.vcov().index)), "vcov"
)
_coef_of = _given_or("coef", lambda fit: by_level(fit.read.fixef(), fit.read.ranef()), "fixef", "ranef")

#: Pieces of the model that follow from others.
_PIECES: dict[str, Callable[[Answer], object]] = {
    "theta": _given_or("theta", _theta, "VarCorr", "sigma"),
    "lower": _lower,
    "beta": Answer.fixef,
    "cnms": _given_or("cnms", lambda fit: {group: effects for group, effects, _ in fit.terms()}),
}


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
    rows: list[tuple[str, str | None, str | None, object]] = []
    for group, block in pairs_of(given, "VarCorr"):
        what = f"VarCorr of {label(group)!r}"
        if group == "Residual" and not isinstance(block, pd.DataFrame | Mapping | pd.Series):
            rows.append(("Residual", None, None, number(block, what)))
            continue
        if isinstance(block, pd.DataFrame):
            matrix = covariance_of(block, what)
        else:
            variances = labelled(block if isinstance(block, Mapping | pd.Series) else {"(Intercept)": block}, what)
            if len(variances) > 1:
                raise AnswerError(
                    f"{what} has {len(variances)} variances without covariances; give a DataFrame effect x effect, or "
                    "(for independent effects) one entry each: g, g.1, ..."
                )
            matrix = pd.DataFrame(np.diag(variances), index=variances.index, columns=variances.index)
        rows += [(label(group), effect, None, matrix.loc[effect, effect]) for effect in matrix.index]
        rows += [(label(group), *pair, matrix.loc[pair]) for pair in itertools.combinations(matrix.index, 2)]
    return pd.DataFrame(rows, columns=["grp", *_EFFECTS, "vcov"], dtype=object)


def _sdcor(row: Mapping[str, Any], variances: Mapping[tuple[str, str], float]) -> float:
    """The standard deviation to a variance, the correlation to a covariance."""
    if row["var2"] is None:
        return math.sqrt(row["vcov"]) if row["vcov"] >= 0 else math.nan
    product = math.prod(variances.get((row["grp"], row[name]), math.nan) for name in _EFFECTS)
    return float(row["vcov"]) / math.sqrt(product) if product > 0 else math.nan


def _by_level(given: object, name: str) -> Any:
    """Tables by grouping factor, where a Series by level stands for the intercepts; anything else as it is."""
    if not isinstance(given, Mapping):
        return given
    return {
        label(group): pd.DataFrame({"(Intercept)": labelled(block, f"{name} of {label(group)!r}")})
        if isinstance(block, Mapping | pd.Series)
        else block
        for group, block in pairs_of(given, name)
    }
