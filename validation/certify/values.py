"""All numbers of a fit at a proved optimum, as balls, labelled as ``validation.quantities`` labels them."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import pandas as pd
from flint import arb

from pyimpl.design.design import Design
from validation.certify.criterion import Balls, Evaluation
from validation.certify.enclose import Enclosure, Parameters

#: quantity, group, term, term2, level, ball.
Labelled: TypeAlias = tuple[str, str | None, str | None, str | None, str | None, arb]


def certified_values(
    design: Design, components: pd.DataFrame, balls: Balls, REML: bool, enclosure: Enclosure
) -> list[Labelled]:
    """Enclose every number that users read off a fit.

    Quantities are those of ``validation.quantities.likelihood_quantities`` (without the sums over rows), and
    ``condcov``: conditional covariances between the effects of a term. The labels are the design's, and those of the
    components R's: ``VarCorr()`` of any fit of the design has them.
    """
    found = enclosure.parameters.evaluate(balls, REML, enclosure.values)
    sigma2 = found.r2 / found.df
    rows: list[Labelled] = []

    def add(quantity: str, value: arb, term: str | None = None, term2: str | None = None) -> None:
        rows.append((quantity, None, term, term2, None, value))

    parameters = enclosure.parameters
    npar = design.P + len(parameters.bound) + 1
    add("logLik", -found.value / 2)
    add("REMLcrit" if REML else "deviance", found.value)
    add("AIC", found.value + 2 * npar)
    add("BIC", found.value + npar * arb(design.N).log())
    add("sigma", sigma2.sqrt())
    names = design.coef_names
    errors = [(sigma2 * found.unscaled[i, i]).sqrt() for i in range(design.P)]
    beta = [value for (value,) in found.beta.tolist()]
    for name, value in zip(names, beta, strict=True):
        add("fixef", value, name)
    for name, value, error in zip(names, beta, errors, strict=True):
        add("se", error, name)
        add("t", value / error, name)
    for i, name in enumerate(names):
        for j in range(i + 1):
            add("vcov", sigma2 * found.unscaled[i, j], name, names[j])
    own = parameters.by_term(enclosure.values)
    for term, of_design, values in zip(parameters.terms, design.terms, own, strict=True):
        T = term.template(values)
        index = of_design.covariance.theta_index
        for k, name in enumerate(of_design.theta_names):
            row, column = of_design.covariance.places[index.index(k)]
            add("theta", T[row, column], name)
    if design.structure is not None:
        for name, value in zip(design.par_names, enclosure.all_values(), strict=True):
            add("par", value, name)
    rows += _components(design, components, enclosure, sigma2)
    rows += _random_effects(design, found, sigma2)
    return rows


def _components(design: Design, components: pd.DataFrame, enclosure: Enclosure, sigma2: arb) -> Iterator[Labelled]:
    """Variances, covariances, sds and correlations, in VarCorr's order."""
    relatives = enclosure.parameters.relative(enclosure.values)
    groups = list(dict.fromkeys(components["grp"]))
    for t, (group, term) in enumerate(zip(groups, design.terms, strict=False)):
        relative = relatives[t]
        sds = [(sigma2 * relative[i, i]).sqrt() for i in range(term.p)]
        for i, name in enumerate(term.effects):
            yield "variance", group, name, None, None, sigma2 * relative[i, i]
            yield "sd", group, name, None, None, sds[i]
        for j in range(term.p):
            for i in range(j + 1, term.p):
                pair = (term.effects[j], term.effects[i])
                yield "covariance", group, *pair, None, sigma2 * relative[i, j]
                yield "cor", group, *pair, None, sigma2 * relative[i, j] / (sds[i] * sds[j])
    yield "variance", "Residual", None, None, None, sigma2
    yield "sd", "Residual", None, None, None, sigma2.sqrt()


def _random_effects(design: Design, found: Evaluation, sigma2: arb) -> Iterator[Labelled]:
    """Conditional modes b = ΣZ'V⁻¹(y − Xβ̂) and their variances σ²ΣP, by level."""
    modes: dict[tuple[int, int, int], arb] = {}
    variances: dict[tuple[int, int, int, int], arb] = {}
    for columns, Sigma, G, M in found.solutions:
        left = Sigma * G
        spread = Sigma * M.inv()
        for i, (t, level, k) in enumerate(columns):
            explained = sum((left[i, c] * found.beta[c, 0] for c in range(design.P)), arb(0))
            modes[t, level, k] = left[i, design.P] - explained
            first = i - k
            for other in range(k + 1):
                variances[t, level, k, other] = sigma2 * spread[i, first + other]
    for t, term in enumerate(design.terms):
        for k, effect in enumerate(term.effects):
            for level, label in enumerate(term.levels):
                yield "ranef", term.group, effect, None, label, modes[t, level, k]
    for t, term in enumerate(design.terms):
        for level, label in enumerate(term.levels):
            for k, effect in enumerate(term.effects):
                yield "condsd", term.group, effect, None, label, variances[t, level, k, k].sqrt()
                for other in range(k):
                    pair = (effect, term.effects[other])
                    yield "condcov", term.group, *pair, label, variances[t, level, k, other]


def objective_at(enclosure: Enclosure, balls: Balls, REML: bool, parameters: Iterable[float]) -> arb:
    """The criterion at any parameters (doubles, taken for exactly what they are)."""
    free = Parameters(enclosure.parameters.terms, (False,) * len(enclosure.parameters.bound))
    return free.evaluate(balls, REML, [arb(value) for value in parameters]).value
