"""All numbers of a fit, labelled as ``validation.quantities`` labels them, and those of a proved optimum as balls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flint import arb, arb_mat
from mpmath import mpf

from pyimpl.design.design import Design
from pyimpl.inference.random_effects import varcorr_names
from validation.certify.criterion import Column
from validation.certify.enclose import Enclosure, cholesky
from validation.quantities import Key, named

_Number = TypeVar("_Number", arb, mpf)


@dataclass(frozen=True)
class Computed(Generic[_Number]):
    """What there is to compute of a fit, as balls or in floating point: all that users read follows from it."""

    criterion: _Number
    par: Sequence[_Number]  # the parameters of all terms
    sigma2: _Number
    fixef: Callable[[int], _Number]  # of a coefficient
    vcov: Callable[[int, int], _Number]  # of two
    T: Callable[[int, int, int], _Number]  # of term, row and column
    covariance: Callable[[int, int, int], _Number]  # of term and two effects
    ranef: Callable[[int, int, int], _Number]  # of term, level and effect
    condcov: Callable[[int, int, int, int], _Number]  # of term, level and two effects
    sqrt: Callable[[_Number], _Number]
    log: Callable[[int], _Number]


def labelled(design: Design, REML: bool, found: Computed[_Number]) -> dict[Key, _Number]:
    """Every number that users read off a fit, by its labels, in the order of the files.

    Quantities are those of ``validation.quantities.likelihood_quantities`` (without the sums over rows), and
    ``condcov``: conditional covariances between the effects of a term. Effects whose variance is 0 have no correlation.
    """
    sqrt, npar = found.sqrt, design.P + len(found.par) + 1
    values = {
        named("logLik"): -found.criterion / 2,
        named("REMLcrit" if REML else "deviance"): found.criterion,
        named("AIC"): found.criterion + 2 * npar,
        named("BIC"): found.criterion + npar * found.log(design.N),
        named("sigma"): sqrt(found.sigma2),
    }
    coefficients = list(enumerate(design.coef_names))
    values |= {named("fixef", term=name): found.fixef(i) for i, name in coefficients}
    for i, name in coefficients:
        se = values[named("se", term=name)] = sqrt(found.vcov(i, i))
        values[named("t", term=name)] = found.fixef(i) / se
    for i, name in coefficients:
        values |= {named("vcov", None, name, other): found.vcov(i, j) for j, other in coefficients[: i + 1]}
    for t, term in enumerate(design.terms):
        index = term.covariance.theta_index
        for k, name in enumerate(term.theta_names):
            values[named("theta", term=name)] = found.T(t, *term.covariance.places[index.index(k)])
    if design.structure is not None:
        values |= {named("par", term=name): value for name, value in zip(design.par_names, found.par, strict=True)}
    groups = varcorr_names([term.group for term in design.terms])
    for t, (group, effects) in enumerate(zip(groups, (term.effects for term in design.terms), strict=True)):
        sds = []
        for i, effect in enumerate(effects):
            variance = values[named("variance", group, effect)] = found.covariance(t, i, i)
            sds.append(sqrt(variance))
            values[named("sd", group, effect)] = sds[i]
        for j, effect in enumerate(effects):
            for i in range(j + 1, len(effects)):
                covariance = values[named("covariance", group, effect, effects[i])] = found.covariance(t, i, j)
                if (product := sds[i] * sds[j]) != 0:
                    values[named("cor", group, effect, effects[i])] = covariance / product
    values[named("variance", "Residual")] = found.sigma2
    values[named("sd", "Residual")] = sqrt(found.sigma2)
    for t, term in enumerate(design.terms):
        for k, effect in enumerate(term.effects):
            for j, level in enumerate(term.levels):
                values[named("ranef", term.group, effect, None, level)] = found.ranef(t, j, k)
    for t, term in enumerate(design.terms):
        for j, level in enumerate(term.levels):
            for k, effect in enumerate(term.effects):
                values[named("condsd", term.group, effect, None, level)] = sqrt(found.condcov(t, j, k, k))
                for m, other in enumerate(term.effects[:k]):
                    values[named("condcov", term.group, effect, other, level)] = found.condcov(t, j, k, m)
    return values


def certified_values(design: Design, enclosure: Enclosure) -> dict[Key, arb]:
    """Enclose every number of a fit."""
    problem, P = enclosure.problem, design.P
    found = problem.evaluate(enclosure.par)
    sigma2, relative = found.r2 / found.df, problem.relative(enclosure.par)
    templates = {t: cholesky(Sigma) for t, Sigma in relative.items()}
    #: of each column of Z: ΣZ'V⁻¹[X y] and ΣP of its block, and its row there
    blocks: dict[Column, tuple[arb_mat, arb_mat, int]] = {}
    for block, Sigma, G, M in found.solutions:
        left, spread = Sigma * G, Sigma * M.inv()
        blocks.update({column: (left, spread, i) for i, column in enumerate(block.columns)})

    def mode(t: int, level: int, k: int) -> arb:  # b = ΣZ'V⁻¹(y − Xβ̂)
        left, _, i = blocks[t, level, k]
        return left[i, P] - sum((left[i, c] * found.beta[c, 0] for c in range(P)), arb(0))

    def conditional(t: int, level: int, k: int, other: int) -> arb:  # σ²ΣP
        _, spread, i = blocks[t, level, k]
        return sigma2 * spread[i, blocks[t, level, other][2]]

    computed = Computed(
        found.value,
        enclosure.par,
        sigma2,
        fixef=lambda i: found.beta[i, 0],
        vcov=lambda i, j: sigma2 * found.unscaled[i, j],
        T=lambda t, i, j: templates[t][i, j],
        covariance=lambda t, i, j: sigma2 * relative[t][i, j],
        ranef=mode,
        condcov=conditional,
        sqrt=arb.sqrt,
        log=lambda number: arb(number).log(),
    )
    return labelled(design, problem.REML, computed)
