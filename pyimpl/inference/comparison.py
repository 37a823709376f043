"""Comparing models: ``anova`` of several fits or of one, ``drop1``, ``ranova``."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.formula.parse import deparse_lines, parse
from pyimpl.formula.terms import expand_terms
from pyimpl.inference.estimates import Estimates
from pyimpl.inference.ranova import full_formula, linear_model_loglik, lrt_table, reduced_formulas
from pyimpl.inference.source import Source
from pyimpl.printing import AnovaTable, CallText
from r_scripts.caller import warn
from r_scripts.dialect import Dialect

__all__ = [
    "ComparedFit",
    "ComparedModel",
    "deletion_scope",
    "deviance_name",
    "information_criteria",
    "likelihood_ratio_tests",
    "random_effects_tests",
    "sequential_anova",
    "single_term_deletions",
]


class ComparedModel(Protocol):
    """What tests between models ask of a fit, of ``lmer`` or of ``lm``."""

    @property
    def call(self) -> CallText:
        """The call, as text."""

    @property
    def dialect(self) -> Dialect:
        """Whose words the fit has."""

    @property
    def source(self) -> Source | None:
        """The data and arguments of the call."""

    @property
    def formula(self) -> str:
        """The formula as R deparses it."""

    @property
    def npar(self) -> int:
        """Number of parameters."""

    def nobs(self) -> int:
        """Rows used."""

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised."""

    def logLik(self) -> float:
        """Log-likelihood, restricted for a REML fit."""

    def AIC(self) -> float:
        """Akaike's criterion."""

    def BIC(self) -> float:
        """Schwarz's criterion."""

    def refitML(self) -> "ComparedModel":
        """The same model by maximum likelihood."""

    def variable_names(self) -> tuple[str, ...]:
        """Columns of the data that the formula names."""


class ComparedFit(ComparedModel, Protocol):
    """What comparing asks of a fit of ``lmer``."""

    @property
    def design(self) -> Design:
        """y, X, the terms and all labels."""


def deviance_name(dialect: Dialect) -> str:
    """What tables call −2 log-likelihood."""
    return "-2*log(L)" if dialect.has("minus_two_log_lik") else "deviance"


def information_criteria(
    fits: Sequence[ComparedModel], name: str, values: Sequence[float], model_names: Sequence[str] | None
) -> pd.DataFrame:
    """``AIC(m1, m2, ...)``: model x (``df``, number of parameters; the criterion).

    Parameters
    ----------
    fits : sequence of fits of ``lmer`` and ``lm``
    name : {"AIC", "BIC"}
    values : sequence of float
        The criterion of each.
    model_names : sequence of str, optional
        Default ``MODEL1``, ...

    Raises
    ------
    ModelError
        There are too many or too few names.

    Warns
    -----
    PyimplWarning
        The models use different numbers of rows.
    """
    if len({fit.nobs() for fit in fits}) > 1:
        warn("models are not all fitted to the same number of observations", PyimplWarning)
    table = {"df": [fit.npar for fit in fits], name: list(values)}
    return pd.DataFrame(table, index=_model_names(model_names, len(fits)))


def _model_names(names: Sequence[str] | None, count: int) -> list[str]:
    found = [f"MODEL{i + 1}" for i in range(count)] if names is None else list(names)
    if len(found) != count:
        raise ModelError("model names vector and model list have different lengths")
    return found


def likelihood_ratio_tests(fits: Sequence[ComparedModel], refit: bool, model_names: Sequence[str] | None) -> AnovaTable:
    """``anova(m1, m2, ...)``: each model against the one with fewer parameters before it.

    Parameters
    ----------
    fits : sequence of fits of ``lmer`` and ``lm``
        The first one's dialect names the columns. A fit of ``lm`` has the likelihood of least squares.
    refit : bool
        Refit by maximum likelihood first.
    model_names : sequence of str, optional
        Default ``MODEL1``, ...

    Raises
    ------
    ModelError
        The models use different rows or data, or there are too many or too few names.

    Warns
    -----
    PyimplWarning
        Both criteria are compared as they are.
    """
    first = fits[0]
    if len({fit.nobs() for fit in fits}) > 1:
        raise ModelError("models were not all fitted to the same size of dataset")
    names = _model_names(model_names, len(fits))
    for other in fits[1:]:
        _refuse_other_data(first, other)
    if refit:
        fits = [fit.refitML() for fit in fits]
    elif len({fit.isREML() for fit in fits}) > 1:
        warn("some models fit with REML = TRUE, some not", PyimplWarning)
    order = sorted(range(len(fits)), key=lambda i: fits[i].npar)
    fits, names = [fits[i] for i in order], [names[i] for i in order]
    npar = np.array([fit.npar for fit in fits])
    loglik = np.array([fit.logLik() for fit in fits])
    chisq = np.concatenate([[np.nan], 2 * np.maximum(0.0, np.diff(loglik))])
    df = np.concatenate([[np.nan], np.diff(npar).astype(float)])
    table = AnovaTable(
        {
            "npar": npar,
            "AIC": [fit.AIC() for fit in fits],
            "BIC": [fit.BIC() for fit in fits],
            "logLik": loglik,
            deviance_name(first.dialect): -2 * loglik,
            "Chisq": chisq,
            "Df": df,
            "Pr(>Chisq)": _chisq_tail(chisq, df),
        },
        index=names,
    )
    heading = [f"Data: {fits[0].call.data}"]
    if fits[0].call.subset is not None:
        heading.append(f"Subset: {fits[0].call.subset}")
    heading.append("Models:")
    heading += [f"{name}: {fit.formula}" for name, fit in zip(names, fits, strict=True)]
    table.heading = tuple(heading)
    return table


def sequential_anova(design: Design, estimates: Estimates) -> AnovaTable:
    """``anova(m)``: sums of squares of the terms in the order of the formula, over σ̂² without a test.

    Raises
    ------
    ModelError
        There are no fixed effects.
    """
    if not design.P:
        raise ModelError("the model has no fixed effects to test")
    root = np.linalg.cholesky(np.linalg.inv(estimates.vcov / estimates.sigma**2))
    squares = (root.T @ estimates.beta) ** 2
    rows = []
    for term in sorted(set(design.assign)):
        columns = [i for i, a in enumerate(design.assign) if a == term]
        if term == 0:
            continue
        total = float(squares[columns].sum())
        mean = total / len(columns)
        rows.append((design.term_labels[term - 1], len(columns), total, mean, mean / estimates.sigma**2))
    table = AnovaTable(
        [row[1:] for row in rows], index=[row[0] for row in rows], columns=["npar", "Sum Sq", "Mean Sq", "F value"]
    )
    table.heading = ("Analysis of Variance Table",)
    return table


def deletion_scope(design: Design, scope: str | Sequence[str] | None, *, marginal: bool = False) -> list[str]:
    """Labels of the terms that ``drop1`` takes away.

    Parameters
    ----------
    design : Design
    scope : str or sequence of str, optional
        A formula, ``"~ x + z"``, or labels; default each term that no other contains.
    marginal : bool
        Whether terms that another contains are refused.

    Raises
    ------
    DataError
        A term that the model does not have.
    ModelError
        The fit was made from a design without its formula.
    """
    if design.recipe is None:
        raise ModelError("this fit was made from a design without its formula: drop1 cannot take terms away")
    terms = design.recipe.fixed.terms
    free = [
        t.label for t in terms if not any(set(t.variables) < set(other.variables) for other in terms if other is not t)
    ]
    if scope is None:
        return free
    if isinstance(scope, str):
        wanted = [term.label for term in expand_terms(parse(scope if "~" in scope else f"~ {scope}")).terms]
    else:
        wanted = list(scope)
    known = free if marginal else [term.label for term in terms]
    # a:b and b:a are one term
    by_parts = {frozenset(label.split(":")): label for label in known}
    found = [by_parts.get(frozenset(label.split(":")), "") for label in wanted]
    if "" in found:
        what = "may be dropped without another that contains it" if marginal else "is a term of the model"
        raise DataError(
            f"drop1: scope names {wanted[found.index('')]!r}, which is none that {what}; there are {', '.join(known)}"
        )
    return found


def single_term_deletions(
    fit: ComparedFit,
    updated: Callable[[str], ComparedFit],
    test: str,
    k: float,
    scope: str | Sequence[str] | None = None,
) -> AnovaTable:
    """``drop1(m, scope, test, k)``: the model without each of some terms, by maximum likelihood.

    Parameters
    ----------
    fit : fit of ``lmer``
    updated : callable
        Change of the formula -> the fit with it.
    test : {"none", "Chisq"}
    k : float
        Penalty for each parameter in the AIC.
    scope : str or sequence of str, optional
        See :func:`deletion_scope`.

    Raises
    ------
    DataError
        Another test, or a term that the model does not have.
    ModelError
        The fit was made from a design, or a smaller model uses other rows.
    """
    if test not in ("none", "Chisq"):
        raise DataError(f"test must be 'none' or 'Chisq', not {test!r}")
    labels = deletion_scope(fit.design, scope)
    fits = [fit.refitML(), *(updated(f". ~ . - {label}").refitML() for label in labels)]
    if len({one.nobs() for one in fits}) > 1:
        raise ModelError("number of rows in use has changed: remove missing values?")
    npar = np.array([one.npar for one in fits], dtype=float)
    aic = np.array([-2 * one.logLik() + k * one.npar for one in fits])
    df = npar[0] - npar
    df[0] = np.nan
    columns: dict[str, np.ndarray] = {"npar": df, "AIC": aic}
    if test == "Chisq":
        lrt = aic - k * npar
        lrt = lrt - lrt[0]
        lrt[0] = np.nan
        columns |= {"LRT": lrt, "Pr(Chi)": _chisq_tail(lrt, df)}
    table = AnovaTable(columns, index=["<none>", *labels] if labels else ["1"])  # R numbers a single row
    table.heading = ("Single term deletions", "\nModel:", *deparse_lines(parse(fit.formula)))
    return table


def random_effects_tests(
    fit: ComparedFit, formula: str, updated: Callable[[str], ComparedFit], reduce_terms: bool
) -> AnovaTable:
    """``lmerTest::ranova(m, reduce.terms)``: likelihood-ratio tests of the random-effects terms.

    Parameters
    ----------
    fit : fit of ``lmer``
    formula : str
        Of the fit, dots written out.
    updated : callable
        Formula -> the fit with it.
    reduce_terms : bool
        False: whole terms are taken away.

    Raises
    ------
    ModelError
        A smaller model uses other rows.
    """
    full = full_formula(formula, fit.dialect)
    rows = {"<none>": (fit.logLik(), fit.npar)}
    for label, smaller in reduced_formulas(full, fit.dialect, reduce_terms).items():
        if "|" not in smaller:
            rows[label] = linear_model_loglik(fit.design, fit.isREML())
            continue
        other = updated(smaller)
        if other.nobs() != fit.nobs():
            raise ModelError("number of rows in use has changed: remove missing values?")
        rows[label] = (other.logLik(), other.npar)
    table = AnovaTable(lrt_table(rows))
    table.heading = ("ANOVA-like table for random-effects: Single term deletions", "\nModel:", full)
    return table


def _refuse_other_data(first: ComparedModel, other: ComparedModel) -> None:
    """Refuse to compare models of different data or subsets, which R knows by the text of their calls.

    Copies of a data frame are the same data; what counts are the columns that both models use.
    """
    subsets = [None if fit.source is None else fit.source.arguments.get("subset") for fit in (first, other)]
    texts = [
        fit.call.subset if isinstance(one, str) else None for fit, one in zip((first, other), subsets, strict=True)
    ]
    masks = [None if one is None or isinstance(one, str) else np.asarray(one) for one in subsets]
    same_mask = masks[0] is masks[1] if masks[0] is None or masks[1] is None else np.array_equal(masks[0], masks[1])
    if texts[0] != texts[1] or not same_mask:
        raise ModelError("all models must use the same subset: fit them with the same argument subset")
    data = [None if fit.source is None else fit.source.frame for fit in (first, other)]
    if data[0] is data[1] or data[0] is None or data[1] is None:
        return
    used = [name for name in first.variable_names() if name in set(other.variable_names())]
    if data[0].shape[0] != data[1].shape[0] or not all(
        _same_values(data[0][name], data[1][name])
        for name in used
        if name in data[0].columns and name in data[1].columns
    ):
        raise ModelError("all models must be fit to the same data object: their data frames differ in what both use")


def _same_values(one: pd.Series, other: pd.Series) -> bool:
    return one.reset_index(drop=True).equals(other.reset_index(drop=True))


def _chisq_tail(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Upper tail of the chi-squared distribution; missing where df is 0 or missing."""
    from scipy.special import chdtrc

    with np.errstate(invalid="ignore"):
        usable = (df > 0) & ~np.isnan(statistic)
    out = np.full(len(df), np.nan)
    out[usable] = chdtrc(df[usable], np.maximum(statistic[usable], 0.0))
    return out
