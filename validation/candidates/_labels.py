"""Formulas and labels between R and Python's formula languages (patsy, formulae, formulaic)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import numpy as np
import pandas as pd

from pyimpl.formula.bars import split_formula
from pyimpl.formula.parse import deparse, parse

#: What most of the packages claim: nested and crossed factors, correlated and independent slopes, factors.
USUAL = frozenset(
    {"ml", "reml", "slopes", "independent", "nested", "crossed", "categorical", "interaction", "singular"}
)


def take_apart(formula: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Response and fixed effects of a formula of lme4's language, and the (effects, group) of each random term.

    The fixed part has ``**`` for R's ``^``; ``||`` and ``/`` are expanded as R does.
    """
    mixed = split_formula(parse(formula))
    bars = tuple((deparse(bar.effects), deparse(bar.group)) for bar in mixed.bars)
    return deparse(mixed.fixed).replace("^", "**"), bars


def r_name(name: str) -> str:
    """Return R's name of a coefficient: ``female[T.F]:x`` is ``femaleF:x``, ``Intercept`` is ``(Intercept)``."""
    if name in ("Intercept", "1", "const"):
        return "(Intercept)"
    plain = re.sub(r"\[(?:T\.)?([^\]]*)\]", r"\1", name)
    return re.sub(r"\s*\*\*\s*", "^", plain)


def group_labels(data: pd.DataFrame, group: str) -> pd.Series:
    """Labels of a grouping factor, of an interaction ``a:b`` those of both, as R writes them; missing stays missing."""
    labels = [data[name.strip(" ()")].astype(object).map(str, na_action="ignore") for name in group.split(":")]
    return reduce(lambda outer, inner: outer + ":" + inner, labels)


def r_group(name: str, formula: str, separator: str = ":") -> tuple[str, Callable[[str], str]]:
    """Return R's name of a grouping factor, and the function that writes its levels as R does.

    Packages write the inner factor of ``(1 | a/b)`` as ``a:b``, R as ``b:a``, with the levels in the same order.
    """
    parts = name.split(":")
    for _, group in take_apart(formula)[1]:
        own = [part.strip(" ()") for part in group.split(":")]
        if len(own) > 1 and sorted(own) == sorted(parts):
            order = [parts.index(part) for part in own]

            def spell(level: str, order: list[int] = order) -> str:
                pieces = str(level).split(separator)
                return ":".join(pieces[i] for i in order) if len(pieces) == len(order) else str(level)

            return ":".join(own), spell
    return name, str


def covariances(
    parts: Iterable[tuple[str, Sequence[str], Sequence[Sequence[float]] | np.ndarray]], formula: str
) -> dict[str, pd.DataFrame]:
    """Covariance matrices of random terms (factor, effects, matrix) under R's names: a second of ``g`` is ``g.1``."""
    found: dict[str, pd.DataFrame] = {}
    seen: Counter[str] = Counter()
    for name, effects, matrix in parts:
        group, _ = r_group(name, formula)
        term = f"{group}.{seen[group]}" if seen[group] else group
        found[term] = pd.DataFrame(np.asarray(matrix, dtype=float), index=list(effects), columns=list(effects))
        seen[group] += 1
    return found
