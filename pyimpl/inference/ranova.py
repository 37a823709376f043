"""Likelihood-ratio tests of random-effects terms (``lmerTest::ranova``): which smaller models, and the table."""

import math

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.errors import ModelError
from pyimpl.formula.bars import find_bars
from pyimpl.formula.parse import Call, Node, deparse, parse
from pyimpl.formula.terms import expand_terms
from pyimpl.formula.update import update_formula
from r_scripts.dialect import Dialect

__all__ = ["full_formula", "linear_model_loglik", "lrt_table", "reduced_formulas"]


def full_formula(formula: str, dialect: Dialect) -> str:
    """The model's formula, fixed terms first, each bar in parentheses; since lmerTest 3.2 the former as written."""
    from pyimpl.design.accessors import fixed_formula

    bars = " + ".join(bar.text for bar in find_bars(_right(formula), dialect))
    if dialect.has("ranova_keeps_one"):
        return deparse(parse(f"{fixed_formula(formula)} + {bars}"))
    return update_formula(formula, f". ~ {deparse(_right(fixed_formula(formula)))} + {bars}")


def reduced_formulas(formula: str, dialect: Dialect, reduce_terms: bool = True) -> dict[str, str]:
    """Smaller models by what is taken away: ``Days in (Days | Subject)`` -> formula (``lmerTest:::get_newforms``).

    Parameters
    ----------
    formula : str
        Of :func:`full_formula`.
    dialect : Dialect
        How a version of lme4 takes bars apart.
    reduce_terms : bool
        Take single effects away where a term has any that no other contains; otherwise whole terms.
    """
    out: dict[str, str] = {}
    for bar in find_bars(_right(formula), dialect):
        if bar.structure != "us":
            raise ModelError(
                f"ranova knows no smaller model of {bar.text}: leave the term out by update() and compare by anova()"
            )
        label = bar.label
        terms = expand_terms(Call("~", (bar.effects,)))
        scope = [
            term.label
            for term in terms.terms
            if not any(set(term.variables) < set(other.variables) for other in terms.terms)
        ]
        if not reduce_terms or not scope:
            out[f"({label})"] = update_formula(formula, f". ~ . - ({label})")
            continue
        for name in scope:
            rest = "1" if set(terms.labels) == {name} else _without(bar.effects, name)
            new = f". ~ . - ({label}) + ({rest} | {deparse(bar.group)})"
            out[f"{name} in ({label})"] = update_formula(formula, new)
    return out


def _right(formula: str) -> Node:
    tree = parse(formula)
    assert isinstance(tree, Call)
    return tree.args[-1]


def _without(effects: Node, name: str) -> str:
    updated = update_formula(f"y ~ {deparse(effects)}", f". ~ . - {name}")
    return deparse(_right(updated))


def linear_model_loglik(design: Design, REML: bool) -> tuple[float, int]:
    """``logLik(lm, REML)`` of the fixed effects alone, and its degrees of freedom (``stats:::logLik.lm``)."""
    offset = 0.0 if design.offset is None else design.offset
    weights = np.ones(design.N) if design.weights is None else design.weights
    used = weights > 0
    root = np.sqrt(weights[used])
    y, X = (design.y - offset)[used] * root, design.X[used] * root[:, None]
    P, rows = design.P, int(used.sum())
    log_det = 0.0
    if P:
        Q, R = np.linalg.qr(X)
        y = y - Q @ (Q.T @ y)
        log_det = float(np.log(np.abs(np.diag(R))).sum())
    n = rows - P if REML else rows
    value = 0.5 * (np.log(weights[used]).sum() - n * (math.log(2 * math.pi) + 1 - math.log(n) + math.log(y @ y)))
    return float(value) - (log_det if REML else 0.0), P + 1


def lrt_table(rows: dict[str, tuple[float, int]]) -> pd.DataFrame:
    """``lmerTest:::mk_LRtab``: tests of each model against the first.

    Parameters
    ----------
    rows : dict of (float, int)
        Log-likelihood and number of parameters, by label; the first is the whole model.
    """
    from scipy.special import chdtrc

    loglik = np.array([value for value, _ in rows.values()])
    npar = np.array([df for _, df in rows.values()])
    lrt = 2 * (loglik[0] - loglik)
    df = (npar[0] - npar).astype(float)
    lrt[0] = df[0] = np.nan
    with np.errstate(invalid="ignore"):
        p = np.where(df > 0, chdtrc(np.where(df > 0, df, 1.0), np.maximum(lrt, 0.0)), np.nan)
    return pd.DataFrame(
        {"npar": npar, "logLik": loglik, "AIC": -2 * loglik + 2 * npar, "LRT": lrt, "Df": df, "Pr(>Chisq)": p},
        index=list(rows),
    )
