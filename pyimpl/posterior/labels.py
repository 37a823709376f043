"""R's names of everything that a ``stan_lmer`` fit draws."""

from pyimpl.model.design import RandomTerm

__all__ = ["Sigma_labels", "b_labels", "is_new_level", "level_label", "term_labels"]


def level_label(level: str) -> str:
    """Write a level as it stands in a parameter's name: spaces become ``_`` (``rstanarm:::pad_reTrms``)."""
    return level.replace(" ", "_")


def b_labels(terms: tuple[RandomTerm, ...]) -> list[str]:
    """Names of the random effects: term by term, level by level, effects fastest, the padded level last.

    ``b[(Intercept) school:20920]``, ``b[femaleF school:20920]``, ..., ``b[(Intercept) school:_NEW_school]``.
    """
    return [
        f"b[{effect} {term.group}:{level}]"
        for term in terms
        for level in (*map(level_label, term.levels), f"_NEW_{term.group}")
        for effect in term.effects
    ]


def Sigma_labels(terms: tuple[RandomTerm, ...]) -> list[str]:
    """Names of the covariances: for each term the lower triangle, column by column."""
    return [
        f"Sigma[{term.group}:{term.effects[row]},{term.effects[column]}]"
        for term in terms
        for column in range(term.p)
        for row in range(column, term.p)
    ]


def is_new_level(label: str) -> bool:
    """Whether a name belongs to a padded level (``rstanarm:::unpad_reTrms``)."""
    return "_NEW_" in label


def term_labels(terms: tuple[RandomTerm, ...]) -> list[str]:
    """One name for each term: its grouping factor; a factor's second term is ``g.1``, its third ``g.2``.

    lme4's names of ``VarCorr(m)`` (``make.unique``).
    """
    seen: dict[str, int] = {}
    out = []
    for term in terms:
        n = seen.get(term.group, 0)
        out.append(term.group if n == 0 else f"{term.group}.{n}")
        seen[term.group] = n + 1
    return out
