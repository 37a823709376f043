"""All numbers of a fit, labelled as ``validation.quantities`` labels them, and those of a proved optimum as balls."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from flint import arb, arb_mat

from pyimpl.design.design import Design
from pyimpl.inference.random_effects import varcorr_names
from validation.certify.criterion import Column
from validation.certify.enclose import Enclosure

#: quantity, group, term, term2, level
Key: TypeAlias = tuple[str, str | None, str | None, str | None, str | None]

_Number = TypeVar("_Number")


def labelled(design: Design, of: Mapping[str, Callable[..., _Number | None]]) -> Iterator[tuple[Key, _Number]]:
    """Every number that users read off a fit, by its labels, in the order of the files.

    Quantities are those of ``validation.quantities.likelihood_quantities`` (without the sums over rows), and
    ``condcov``: conditional covariances between the effects of a term. ``of`` computes them, as numbers of any type,
    from where they are: a coefficient or a pair of them; term, row and column in T; term and effects (none: the
    residuals); term, level and effects. What is None does not exist.
    """

    def row(
        quantity: str,
        *at: int,
        group: str | None = None,
        term: str | None = None,
        term2: str | None = None,
        level: str | None = None,
    ) -> Iterator[tuple[Key, _Number]]:
        if (value := of[quantity](*at)) is not None:
            yield (quantity, group, term, term2, level), value

    for quantity in ("logLik", "REMLcrit", "deviance", "AIC", "BIC", "sigma"):
        yield from row(quantity)
    for i, name in enumerate(design.coef_names):
        yield from row("fixef", i, term=name)
    for i, name in enumerate(design.coef_names):
        yield from row("se", i, term=name)
        yield from row("t", i, term=name)
    for i, name in enumerate(design.coef_names):
        for j in range(i + 1):
            yield from row("vcov", i, j, term=name, term2=design.coef_names[j])
    for t, of_design in enumerate(design.terms):
        index = of_design.covariance.theta_index
        for k, name in enumerate(of_design.theta_names):
            yield from row("theta", t, *of_design.covariance.places[index.index(k)], term=name)
    for k, name in enumerate(design.par_names if design.structure is not None else ()):
        yield from row("par", k, term=name)
    names = varcorr_names([term.group for term in design.terms])
    for t, (group, effects) in enumerate(zip(names, (term.effects for term in design.terms), strict=True)):
        for i, effect in enumerate(effects):
            yield from row("variance", t, i, group=group, term=effect)
            yield from row("sd", t, i, group=group, term=effect)
        for j, effect in enumerate(effects):
            for i in range(j + 1, len(effects)):
                yield from row("covariance", t, i, j, group=group, term=effect, term2=effects[i])
                yield from row("cor", t, i, j, group=group, term=effect, term2=effects[i])
    yield from row("variance", group="Residual")
    yield from row("sd", group="Residual")
    for t, term in enumerate(design.terms):
        for k, effect in enumerate(term.effects):
            for j, level in enumerate(term.levels):
                yield from row("ranef", t, j, k, group=term.group, term=effect, level=level)
    for t, term in enumerate(design.terms):
        for j, level in enumerate(term.levels):
            for k, effect in enumerate(term.effects):
                yield from row("condsd", t, j, k, group=term.group, term=effect, level=level)
                for m in range(k):
                    pair = {"term": effect, "term2": term.effects[m]}
                    yield from row("condcov", t, j, k, m, group=term.group, level=level, **pair)


def certified_values(design: Design, enclosure: Enclosure) -> Iterator[tuple[Key, arb]]:
    """Enclose every number of a fit."""
    problem, REML, P = enclosure.problem, enclosure.problem.REML, design.P
    found = problem.evaluate(enclosure.values)
    sigma2 = found.r2 / found.df
    relative = problem.relative(enclosure.values)
    own = zip(problem.terms, problem.by_term(enclosure.values), strict=True)
    templates = [term.template(values) for term, values in own]
    npar = P + len(problem.bound) + 1
    #: of each column of Z: ΣZ'V⁻¹[X y] and ΣP of its block, and its row there
    blocks: dict[Column, tuple[arb_mat, arb_mat, int]] = {}
    for block, Sigma, G, M in found.solutions:
        left, spread = Sigma * G, Sigma * M.inv()
        blocks.update({column: (left, spread, i) for i, column in enumerate(block.columns)})

    def se(i: int) -> arb:
        return (sigma2 * found.unscaled[i, i]).sqrt()

    def covariance(*at: int) -> arb:
        return sigma2 * relative[at[0]][at[1], at[-1]] if at else sigma2

    def correlation(t: int, i: int, j: int) -> arb | None:
        value = covariance(t, i, j) / (covariance(t, i).sqrt() * covariance(t, j).sqrt())
        return value if value.is_finite() else None  # there is none with a variance of 0

    def mode(t: int, level: int, k: int) -> arb:  # b = ΣZ'V⁻¹(y − Xβ̂)
        left, _, i = blocks[t, level, k]
        return left[i, P] - sum((left[i, c] * found.beta[c, 0] for c in range(P)), arb(0))

    def conditional(t: int, level: int, k: int, other: int) -> arb:  # σ²ΣP
        _, spread, i = blocks[t, level, k]
        return sigma2 * spread[i, blocks[t, level, other][2]]

    of: dict[str, Callable[..., arb | None]] = {
        "logLik": lambda: -found.value / 2,
        "REMLcrit": lambda: found.value if REML else None,
        "deviance": lambda: None if REML else found.value,
        "AIC": lambda: found.value + 2 * npar,
        "BIC": lambda: found.value + npar * arb(design.N).log(),
        "sigma": sigma2.sqrt,
        "fixef": lambda i: found.beta[i, 0],
        "se": se,
        "t": lambda i: found.beta[i, 0] / se(i),
        "vcov": lambda i, j: sigma2 * found.unscaled[i, j],
        "theta": lambda t, i, j: templates[t][i, j],
        "par": lambda k: problem.full(enclosure.values)[k],
        "variance": covariance,
        "sd": lambda *at: covariance(*at).sqrt(),
        "covariance": covariance,
        "cor": correlation,
        "ranef": mode,
        "condsd": lambda t, level, k: conditional(t, level, k, k).sqrt(),
        "condcov": conditional,
    }
    return labelled(design, of)
