"""``re.form``: which random effects a prediction includes."""

import pandas as pd

from pyimpl.design.design import Design
from pyimpl.design.model_matrix import column_names
from pyimpl.errors import DataError
from pyimpl.formula.bars import Bar, expand_double_bars, find_bars
from pyimpl.formula.parse import Call, Name, Node, Num, all_names, deparse, parse
from pyimpl.formula.terms import expand_terms

__all__ = ["ReForm", "wanted_effects"]

#: What ``re_form`` may be: None, a formula, or R's NA and FALSE.
ReForm = str | float | bool | None


def wanted_effects(design: Design, re_form: ReForm) -> list[list[int]]:
    """Read a ``re.form``, as ``lme4:::mkNewReTrms`` does: its terms' columns are looked up by their names.

    So ``~ (wet | plot)`` and ``~ (wet + 1 | plot)`` are the same, ``~ (1 | plot)`` is a part of either, and
    ``~ (wet || plot)`` asks for the column ``wetFALSE``, which neither has.

    Parameters
    ----------
    design : Design
        The fitted model's.
    re_form : None, ``"~0"``, ``"NA"``, NaN, False, or a formula
        None: all random effects; ``"~0"`` (or ``"NA"``, NaN, False): none; ``"~ (1 | g)"``: those named.

    Returns
    -------
    list of list of int
        For each term the positions of the effects that are wanted; one that two terms of the formula ask for stands
        there twice, and counts twice, as in R.

    Raises
    ------
    DataError
        It is no formula, or one without random effects; it names variables, grouping factors or effects that the
        model does not have.
    """
    everything = [list(range(term.p)) for term in design.terms]
    if re_form is None:
        return everything
    wanted: list[list[int]] = [[] for _ in design.terms]
    if not isinstance(re_form, str):
        if re_form is False or (pd.api.types.is_scalar(re_form) and pd.isna(re_form)):
            return wanted
        raise DataError(f"re_form must be None, '~0' or a formula such as '~ (1 | g)', not {re_form!r}")
    if re_form.strip() == "NA":
        return wanted
    tree = parse(re_form)
    if not (isinstance(tree, Call) and tree.fn == "~" and len(tree.args) == 1):
        raise DataError(f"re_form must be a formula such as '~ (1 | g)', not {re_form!r}")
    if tree.args[0] == Num(0.0):
        return wanted
    bars = find_bars(expand_double_bars(tree.args[0]), design.dialect)
    if not bars:
        raise DataError(
            f"re_form {re_form!r} has no random-effects terms. Write '~0' for none of them, or name some: '~ (1 | g)'."
        )
    for bar in bars:
        places = [i for i, term in enumerate(design.terms) if term.group == bar.group_name]
        if not places:
            raise DataError(
                f"grouping factors specified in re_form that were not present in original model: {bar.group_name}. "
                f"There are {', '.join(dict.fromkeys(term.group for term in design.terms))}."
            )
        effects = {effect: (i, k) for i in reversed(places) for k, effect in enumerate(design.terms[i].effects)}
        names = _effects(bar, design)
        missing = [name for name in names if name not in effects]
        if missing:
            raise DataError(
                "random effects specified in re_form that were not present in original model: "
                f"{', '.join(missing)}. ({bar.label}) asks for {', '.join(names)}; {bar.group_name} has "
                f"{', '.join(effect for i in places for effect in design.terms[i].effects)}."
            )
        for name in names:
            i, k = effects[name]
            wanted[i].append(k)
    return [sorted(chosen) for chosen in wanted]


def _effects(bar: Bar, design: Design) -> tuple[str, ...]:
    """R's names of the columns of a term of ``re.form``, whose variables are those of the model's random effects."""
    # a term of the model has its columns, whatever else is known of its variables
    for term in design.terms:
        if term.label == bar.label:
            return term.effects
    recipe = design.recipe
    if recipe is None:
        raise DataError("This design was not made by build_design: re_form must name its terms as they are.")
    terms = expand_terms(Call("~", (bar.effects,)))
    groups: set[Node] = {Name(name) for name in all_names(bar.group)}
    kinds = dict(recipe.kinds)
    kinds.update((node, kind) for node, kind in recipe.group_kinds.items() if node in groups)
    unknown = [deparse(node) for node in terms.variables if node not in kinds]
    if unknown:
        known = ", ".join(deparse(node) for node in recipe.kinds)
        raise DataError(
            f"re_form: {unknown[0]} is no variable of the model's random effects (R: model frame and formula "
            f"mismatch). Write it as the model does; there are {known}."
        )
    return column_names(terms, kinds)
