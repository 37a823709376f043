"""R's names of everything that a ``stan_lmer`` fit draws."""

from itertools import permutations

from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import DataError

__all__ = ["Sigma_labels", "b_labels", "is_new_level", "level_label", "refuse_ambiguous_names", "term_labels"]

_NEW = "_NEW_"  # marks the padded level


def level_label(level: str) -> str:
    """Write a level as it stands in a parameter's name: spaces become ``_`` (``rstanarm:::pad_reTrms``)."""
    return level.replace(" ", "_")


def b_labels(terms: tuple[RandomTerm, ...]) -> list[str]:
    """Names of the random effects: term by term, level by level, effects fastest, the padded level last.

    ``b[(Intercept) school:20920]``, ``b[femaleF school:20920]``, ..., ``b[(Intercept) school:_NEW_school]``. Spaces of
    a group's name stay, but for those in its padded level: ``b[(Intercept) Animal ID:_NEW_Animal_ID]``.
    """
    return [
        f"b[{effect} {term.group}:{level}]"
        for term in terms
        for level in map(level_label, (*term.levels, _NEW + term.group))
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
    return _NEW in label


def refuse_ambiguous_names(terms: tuple[RandomTerm, ...]) -> None:
    """Refuse groups and levels whose random effects would have no names of their own; rstanarm cannot fit them either.

    Raises
    ------
    DataError
        A group or level holds ``_NEW_``, which marks new levels; two levels differ by ``" "`` and ``"_"`` only; two
        terms give the same name.
    """
    names = []
    for term in terms:
        if _NEW in term.group:
            raise DataError(
                f"the grouping factor {term.group!r} has '{_NEW}' in its name, by which rstanarm tells new levels. "
                "Rename it"
            )
        of_label: dict[str, str] = {}
        for level in term.levels:
            label = level_label(level)
            if _NEW in label:
                raise DataError(
                    f"the level {level!r} of {term.group} has '{_NEW}' in its name, by which rstanarm tells new "
                    "levels. Rename it"
                )
            if label in of_label:
                raise DataError(
                    f"the levels {of_label[label]!r} and {level!r} of {term.group} have the same name in the "
                    f"posterior, where spaces are written as '_': {label}. Rename one of them"
                )
            of_label[label] = level
        names.append({f"{effect} {term.group}:{label}" for effect in term.effects for label in of_label})
    for (one, first), (other, second) in permutations(zip(terms, names, strict=True), 2):
        # g with a level "h:1", and g:h with a level "1"
        if other.group.startswith(f"{one.group}:") and first & second:
            raise DataError(
                f"b[{min(first & second)}] would name an effect of {one.group} and one of {other.group}. Rename a level"
            )


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
