"""Functions of a formula that give factors: ``factor``, ``cut``, ``interaction``, ``relevel``, ``C``, ..."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pyimpl.errors import DataError, FormulaError
from pyimpl.formula.parse import Call, Const, Name, Node, Str, deparse
from pyimpl.frame.columns import Column, Factor, Logical, Numeric, as_factor
from pyimpl.frame.comparisons import one_column
from pyimpl.frame.contrasts import CONTRASTS, FactorContrasts, as_how_many, contrast_matrix
from pyimpl.frame.cutting import cut_labels, equal_breaks
from pyimpl.frame.expressions import Expressions, FormulaFunction
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.text.values import format_number, unique_numbers
from r_scripts import grammar

__all__ = ["FACTOR_FUNCTIONS"]

_LABEL = 12.0  # numbers of eight bytes that a label takes, in lists


def _droplevels(e: Expressions, node: Call) -> Column:
    value = e.value(e.match(node, "x")["x"])
    if not isinstance(value, Factor) or value.text:
        raise FormulaError(f"{deparse(node)}: droplevels() needs a factor.")
    return value.drop_unused()


def _interaction(e: Expressions, node: Call) -> Column:
    """``interaction(a, b, ..., drop, sep, lex.order)``: every combination is a level.

    The first factor's levels vary fastest, with ``lex.order`` slowest.
    """
    several, named = e.several(node, "drop", "sep", "lex.order")
    parts = [as_factor(e.value(arg)) for arg in several]
    drop = e.flag(named.get("drop"), False, node)
    slow_first = e.flag(named.get("lex.order"), False, node)
    sep = e.labels(named["sep"], node)[0] if "sep" in named else "."
    if not parts or len({len(part) for part in parts}) > 1:
        raise FormulaError(f"{deparse(node)}: interaction() needs factors of the same length.")
    combinations = math.prod(len(part.levels) for part in parts)
    refuse_too_large(
        _LABEL * float(combinations),
        f"the {combinations} levels of {deparse(node)}",
        "As a grouping factor write a:b, which has only the combinations that occur.",
    )
    codes, labels = parts[0].codes.astype(np.intp), list(parts[0].levels)
    for part in parts[1:]:
        missing = (codes < 0) | (part.codes < 0)
        if slow_first:
            joined = codes * len(part.levels) + part.codes.astype(np.intp)
            labels = [f"{before}{sep}{this}" for before in labels for this in part.levels]
        else:
            joined = codes + len(labels) * part.codes.astype(np.intp)
            labels = [f"{before}{sep}{this}" for this in part.levels for before in labels]
        codes = np.where(missing, -1, joined)
    distinct, where = unique_numbers(labels)
    # a code of -1 takes the last place, which stays -1; there may be no levels at all
    made = Factor(np.append(where, -1)[codes].astype(np.intp), tuple(distinct))
    return made.drop_unused() if drop else made


def _dummy(e: Expressions, node: Call) -> Column:
    """``lme4::dummy(f, levelsToKeep)``: an indicator of each level, all but the first by default."""
    bound = e.match(node, "f", "levelsToKeep")
    factor = as_factor(e.value(bound["f"]))
    if (factor.codes < 0).any():
        raise DataError(f"{deparse(node)}: {deparse(bound['f'])} has missing values, which dummy() cannot code.")
    kept = e.labels(bound["levelsToKeep"], node) if "levelsToKeep" in bound else list(factor.levels[1:])
    unknown = [level for level in kept if level not in factor.levels]
    if unknown or not kept:
        raise FormulaError(
            f"{deparse(node)}: levelsToKeep must be levels of {deparse(bound['f'])} ({', '.join(factor.levels)}); "
            f"found {', '.join(unknown) or 'none'}."
        )
    columns = np.stack([factor.codes == factor.levels.index(level) for level in kept], axis=1)
    return Numeric(columns.astype(np.float64), names=tuple(kept))


def _factor(e: Expressions, node: Call) -> Column:
    """``factor(x, levels, labels, exclude, ordered)`` and ``ordered(x, levels, labels)``."""
    is_ordered = node.fn == "ordered"
    bound = e.match(node, "x", "levels", "labels", *([] if is_ordered else ["ordered", "exclude"]))
    value = e.value(bound["x"])
    keep_order = isinstance(value, Factor) and value.ordered
    ordered = is_ordered or e.flag(bound.get("ordered"), keep_order, node)
    if is_ordered and "levels" not in bound and isinstance(value, Factor) and not value.text:
        # as.ordered semantics of ordered(): factor(x, levels = levels(x)[used], ordered = TRUE)
        value = value.drop_unused()
    made = as_factor(value)
    if "levels" in bound:
        levels = e.labels(bound["levels"], node)
        if len(set(levels)) != len(levels):
            raise FormulaError(f"{deparse(node)}: a level is listed twice.")
        place = {level: i for i, level in enumerate(levels)}
        lut = np.array([*(place.get(level, -1) for level in made.levels), -1], dtype=np.intp)
        made = Factor(lut[made.codes], tuple(levels))
    if bound.get("exclude", Const("NA")) != Const("NA"):
        out = set(e.labels(bound["exclude"], node))
        levels = [level for level in made.levels if level not in out]
        lut = np.array([*(levels.index(one) if one not in out else -1 for one in made.levels), -1], dtype=np.intp)
        made = Factor(lut[made.codes], tuple(levels))
    if "labels" in bound:
        labels = e.labels(bound["labels"], node)
        count = len(made.levels)
        if len(labels) == 1 and count > 1:
            labels = [f"{labels[0]}{i + 1}" for i in range(count)]
        if len(labels) != count:
            raise FormulaError(f"{deparse(node)}: {len(labels)} labels for {count} levels.")
        distinct, where = unique_numbers(labels)
        made = Factor(np.where(made.codes >= 0, where[made.codes], -1), tuple(distinct))
    return replace(made, ordered=ordered, text=False)


def _as_factor(e: Expressions, node: Call) -> Column:
    value = e.value(e.match(node, "x")["x"])
    if isinstance(value, Factor) and not value.text:
        return value
    return as_factor(value)


def _relevel(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "ref")
    value = e.value(bound["x"])
    if not isinstance(value, Factor) or value.text or value.ordered:
        raise FormulaError(
            f"{deparse(node)}: 'relevel' only for (unordered) factors. For strings write relevel(factor(x), ...)."
        )
    if "ref" not in bound:
        raise FormulaError(f'{deparse(node)}: the argument ref is missing: relevel(x, ref = "level").')
    reference = e.value(bound["ref"])
    if len(reference) != 1:
        raise FormulaError(f"{deparse(node)}: 'ref' must be of length one.")
    if isinstance(reference, Factor):
        name = reference.levels[0]
        if name not in value.levels:
            raise FormulaError(
                f"{deparse(node)}: 'ref' must be an existing level; {name!r} is none of {', '.join(value.levels)}."
            )
        first = value.levels.index(name)
    else:
        number = reference.array.ravel()[0]
        if not 1 <= number <= len(value.levels):
            raise FormulaError(f"{deparse(node)}: ref = {format_number(number)} must be in 1L:{len(value.levels)}.")
        first = int(number) - 1
    order = [first, *(i for i in range(len(value.levels)) if i != first)]
    rank = np.empty(len(order) + 1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    return Factor(rank[value.codes], tuple(value.levels[i] for i in order))


def _cut(e: Expressions, node: Call) -> Column:
    bound = e.match(node, "x", "breaks", "labels", "include.lowest", "right", "dig.lab", "ordered_result")
    value = e.value(bound["x"])
    x = one_column(value.array) if isinstance(value, Numeric) else np.empty((0, 0))
    if x.ndim != 1:
        raise FormulaError(f"{deparse(node)}: 'x' must be numeric and have one column.")
    if "breaks" not in bound:
        raise FormulaError(f"{deparse(node)}: the argument breaks is missing.")
    breaks = e.numbers(bound["breaks"], node).array
    right = e.flag(bound.get("right"), True, node)
    lowest = e.flag(bound.get("include.lowest"), False, node)
    ordered = e.flag(bound.get("ordered_result"), False, node)
    digits = int(e.numbers(bound["dig.lab"], node).array[0]) if "dig.lab" in bound else 3
    if len(breaks) == 1:
        breaks = equal_breaks(x, float(breaks[0]), node)
    breaks = np.sort(breaks)
    if np.isnan(breaks).any() or (np.diff(breaks) == 0).any():
        raise FormulaError(f"{deparse(node)}: 'breaks' are not unique.")
    count = len(breaks) - 1
    labels: list[str]
    given = e.value(bound["labels"]) if "labels" in bound and bound["labels"] != Const("NULL") else None
    if given is None:
        labels = cut_labels(breaks, right, lowest, digits)
    elif isinstance(given, Logical):
        labels = [] if e.flag(bound["labels"], True, node) else [""] * count
        if not labels:
            raise FormulaError(f"{deparse(node)}: labels must be FALSE or a vector of labels.")
    else:
        labels = e.labels(bound["labels"], node)
        if len(labels) != count:
            raise FormulaError(f"{deparse(node)}: {len(labels)} labels for {count} intervals.")
    codes = np.searchsorted(breaks, x, side="left" if right else "right") - 1
    if lowest:
        codes = np.where(x == (breaks[0] if right else breaks[-1]), 0 if right else count - 1, codes)
    codes = np.where(np.isnan(x) | (codes < 0) | (codes >= count), -1, codes)
    if isinstance(given, Logical):
        return Numeric(np.where(codes >= 0, codes + 1.0, np.nan), kind="integer")
    distinct, where = unique_numbers(labels)
    codes = np.where(codes >= 0, where[codes], -1)
    return Factor(codes.astype(np.intp), tuple(distinct), ordered=ordered)


def _as_character(e: Expressions, node: Call) -> Column:
    return replace(_sorted_text(as_factor(e.value(e.match(node, "x")["x"]))), ordered=False)


def _sorted_text(factor: Factor) -> Factor:
    """Strings with these values: levels are the values sorted by code point."""
    order = sorted(range(len(factor.levels)), key=factor.levels.__getitem__)
    rank = np.full(len(order) + 1, -1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    return Factor(rank[factor.codes], tuple(factor.levels[i] for i in order), text=True)


def _contrasted(e: Expressions, node: Call) -> Column:
    """``C(object, contr, how.many, base = )``: a factor that carries its contrasts."""
    bound = e.match(node, "object", "contr", "how.many", "base")
    value = e.value(bound["object"])
    made = value if isinstance(value, Factor) and not value.text else as_factor(value)
    if len(made.levels) < 2:
        raise DataError(
            f"{deparse(node)}: contrasts can be applied only to factors with 2 or more levels; "
            f"{deparse(bound['object'])} has {len(made.levels)}."
        )
    return replace(made, contrasts=_contrasts_of(e, node, bound, made))


def _contrasts_of(e: Expressions, node: Call, bound: Mapping[str, Node], made: Factor) -> FactorContrasts:
    contr = bound.get("contr")
    called = False  # whether R is given a function, or numbers made by one, and not a function's name
    if contr is None:
        name = "contr.poly" if made.ordered else "contr.treatment"
    elif isinstance(contr, Str) or (isinstance(contr, Name) and contr.name in grammar.SHORT_CONTRASTS):
        name = contr.value if isinstance(contr, Str) else f"contr.{contr.name}"
    elif isinstance(contr, Name) and contr.name in CONTRASTS:
        name, called = contr.name, True
    else:
        matrix = e.numbers(contr, node)
        values = matrix.array if matrix.array.ndim == 2 else matrix.array[:, None]
        if len(values) != len(made.levels):
            raise FormulaError(
                f"{deparse(node)}: wrong number of contrast matrix rows: {len(values)} for {len(made.levels)} levels "
                f"({', '.join(made.levels[:8])})."
            )
        return as_how_many(values, matrix.names, _how_many(e, node, bound, made), node)
    if name not in CONTRASTS:
        raise FormulaError(f"{deparse(node)}: contr is one of {', '.join(CONTRASTS)}, or numbers; found {name!r}.")
    if not called and not {"how.many", "base"} & bound.keys():
        return FactorContrasts(name)
    base = e.one_number(bound["base"], node) if "base" in bound else None
    if base is not None and (name != "contr.treatment" or base not in range(1, len(made.levels) + 1)):
        raise FormulaError(
            f"{deparse(node)}: base is the number of a level (1 to {len(made.levels)}) for contr.treatment; found "
            f"{format_number(base)} for {name}."
        )
    # before R 4.3 a function was told how many levels there are, not which
    named = e.dialect.has("contrasts_by_level")
    levels = made.levels if named else tuple(str(i + 1) for i in range(len(made.levels)))
    coding = contrast_matrix(name, levels, deparse(node), base=None if base is None else int(base) - 1)
    plain = name in ("contr.sum", "contr.helmert")
    return as_how_many(coding.contrasts, None if plain else coding.suffixes, _how_many(e, node, bound, made), node)


def _how_many(e: Expressions, node: Call, bound: Mapping[str, Node], made: Factor) -> int:
    if "how.many" not in bound:
        return len(made.levels) - 1
    count = e.one_number(bound["how.many"], node)
    if count != int(count) or not 1 <= count < len(made.levels):
        raise FormulaError(
            f"{deparse(node)}: how.many is a number of contrasts, 1 to {len(made.levels) - 1}; found "
            f"{format_number(count)}."
        )
    return int(count)


#: Name -> function.
FACTOR_FUNCTIONS: Mapping[str, FormulaFunction] = {
    "factor": _factor,
    "ordered": _factor,
    "as.factor": _as_factor,
    "as.character": _as_character,
    "relevel": _relevel,
    "droplevels": _droplevels,
    "cut": _cut,
    "interaction": _interaction,
    "dummy": _dummy,
    "C": _contrasted,
}
