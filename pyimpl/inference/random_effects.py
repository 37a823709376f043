"""What R says of the random effects: ``VarCorr``, ``ranef``, its conditional variances, ``coef``, ``rePCA``."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.inference.estimates import Estimates
from pyimpl.printing import VarCorrTable
from r_scripts.dialect import Dialect
from r_scripts.variances import Block, ConditionalVariances

__all__ = [
    "ConditionalModes",
    "coefficients_by_level",
    "conditional_modes",
    "conditional_variances",
    "covariance_structures",
    "principal_components",
    "terms_by_factor",
    "varcorr_names",
    "varcorr_table",
]


class ConditionalModes(dict[str, pd.DataFrame]):
    """Conditional modes with their variances: a dict of grouping factor -> DataFrame, level x effect.

    Attributes
    ----------
    postVar : mapping
        Grouping factor -> DataArray (level, effect, effect2); missing between terms of the same factor.
    """

    def __init__(self, modes: dict[str, pd.DataFrame], postVar: ConditionalVariances):
        super().__init__(modes)
        self.postVar = postVar


def terms_by_factor(design: Design) -> dict[str, list[int]]:
    """Positions of each grouping factor's terms, in lme4's order."""
    members: dict[str, list[int]] = {}
    for i, term in enumerate(design.terms):
        members.setdefault(term.group, []).append(i)
    return members


def covariance_structures(design: Design) -> pd.DataFrame:
    """The terms' covariance structures: structure, hom, nc (``lme4::getReCovs``)."""
    covariances = [term.covariance for term in design.terms]
    return pd.DataFrame(
        {
            "structure": [one.name for one in covariances],
            "hom": [one.hom for one in covariances],
            "nc": [one.p for one in covariances],
        },
        index=[term.group for term in design.terms],
    )


def varcorr_names(groups: Sequence[str]) -> tuple[str, ...]:
    """Names of the terms in ``VarCorr``: ``make.names(unique = TRUE)`` of all of them if any is repeated."""
    if len(set(groups)) == len(groups):
        return tuple(groups)
    legal = []
    for group in groups:
        name = "".join(c if c.isalnum() or c in "._" else "." for c in group)
        if not (name[:1].isalpha() or (name[:1] == "." and not name[1:2].isdigit())):
            name = "X" + name
        legal.append(name)
    taken = set(legal)
    seen: set[str] = set()
    counts: dict[str, int] = {}
    out = []
    for name in legal:
        new = name
        if name in seen:
            while new in taken:
                counts[name] = counts.get(name, 0) + 1
                new = f"{name}.{counts[name]}"
            taken.add(new)
        seen.add(name)
        out.append(new)
    return tuple(out)


def varcorr_table(design: Design, estimates: Estimates, dialect: Dialect) -> VarCorrTable:
    """``as.data.frame(VarCorr(m))``: grp, var1, var2, vcov, sdcor."""
    groups = varcorr_names([term.group for term in design.terms])
    effects = tuple(term.effects for term in design.terms)
    # one row and one correlation of what is the same for all effects (reformulas' formatVC)
    shown = tuple((term.covariance.rows_printed, term.covariance.printed) for term in design.terms)
    return VarCorrTable.of(groups, effects, estimates.covariances, estimates.sigma, dialect, shown)


def conditional_modes(design: Design, estimates: Estimates) -> dict[str, pd.DataFrame]:
    """``ranef(m)``: grouping factor -> level x effect, all terms of a factor side by side."""
    terms, out = design.terms, {}
    for group, members in terms_by_factor(design).items():
        effects = [name for i in members for name in terms[i].effects]
        values = np.hstack([estimates.b[i] for i in members])
        out[group] = pd.DataFrame(values, index=list(terms[members[0]].levels), columns=effects)
    return out


def conditional_variances(design: Design, estimates: Estimates) -> ConditionalVariances:
    """Conditional variances of the modes: grouping factor -> DataArray (level, effect, effect2).

    Missing between terms of the same factor (R gives none).
    """
    terms, out = design.terms, {}
    for group, members in terms_by_factor(design).items():
        effects = [name for i in members for name in terms[i].effects]
        values = np.full((terms[members[0]].J, len(effects), len(effects)), np.nan)
        at = 0
        for i in members:
            f, start = estimates.factor_of_term[i]
            p = terms[i].p
            values[:, at : at + p, at : at + p] = estimates.cond_var[f][:, start : start + p, start : start + p]
            at += p
        out[group] = Block(values, list(terms[members[0]].levels), effects)
    return ConditionalVariances(out)


def coefficients_by_level(fixed: pd.Series, modes: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """``coef(m)``: fixed effects plus the conditional modes of each level; grouping factor -> level x coefficient.

    Parameters
    ----------
    fixed : Series
        By coefficient's name.
    modes : dict of DataFrame
        Of :func:`conditional_modes`. An effect that is no fixed effect has a column of its own, before the others.
    """
    missing = [name for frame in modes.values() for name in frame.columns if name not in fixed.index]
    base = pd.concat([pd.Series(0.0, index=list(dict.fromkeys(missing))), fixed]) if missing else fixed
    out = {}
    for group, frame in modes.items():
        values = np.tile(base.to_numpy(), (len(frame), 1))
        columns = list(base.index)
        for j, name in enumerate(frame.columns):
            values[:, columns.index(name)] += frame.iloc[:, j].to_numpy()
        out[group] = pd.DataFrame(values, index=frame.index, columns=columns)
    return out


def principal_components(design: Design, estimates: Estimates) -> dict[str, np.ndarray]:
    """``rePCA(m)``: grouping factor -> standard deviations of its principal components over σ, descending."""
    templates = estimates.templates
    return {
        group: np.sort(np.concatenate([np.linalg.svd(templates[i], compute_uv=False) for i in members]))[::-1]
        for group, members in terms_by_factor(design).items()
    }
