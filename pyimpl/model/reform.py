"""``re.form``: which random effects a prediction includes."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pyimpl.errors import DataError
from pyimpl.model.bars import find_bars
from pyimpl.model.design import RandomTerm
from pyimpl.model.formula import Call, deparse, parse

__all__ = ["wanted_effects"]


def wanted_effects(terms: Sequence[RandomTerm], re_form: Any) -> list[list[int]]:
    """Read a ``re.form``.

    Parameters
    ----------
    terms : sequence of RandomTerm
        The fitted model's.
    re_form : None, ``"~0"``, ``"NA"``, NaN, False, or a formula
        None: all random effects; ``"~0"`` (or ``"NA"``, NaN, False): none; ``"~ (1 | g)"``: those named.

    Returns
    -------
    list of list of int
        For each term the positions of the effects that are wanted.

    Raises
    ------
    DataError
        It is no formula, or names grouping factors or effects that the model does not have.
    """
    everything = [list(range(term.p)) for term in terms]
    if re_form is None:
        return everything
    nothing: list[list[int]] = [[] for _ in terms]
    if not isinstance(re_form, str):
        if re_form is False or (pd.api.types.is_scalar(re_form) and pd.isna(re_form)):
            return nothing
        raise DataError(f"re_form must be None, '~0' or a formula such as '~ (1 | g)', not {re_form!r}")
    if re_form.strip() == "NA":
        return nothing
    tree = parse(re_form)
    if not (isinstance(tree, Call) and tree.fn == "~"):
        raise DataError(f"re_form must be a formula such as '~ (1 | g)', not {re_form!r}")
    wanted = nothing
    for bar in find_bars(tree.args[-1]):
        places = [i for i, term in enumerate(terms) if term.group == bar.group_name]
        if not places:
            raise DataError(
                f"grouping factors specified in re_form that were not present in original model: {bar.group_name}"
            )
        exact = [i for i in places if terms[i].label == bar.label]
        if exact:
            for i in exact:
                wanted[i] = everything[i]
            continue
        for name in _bar_effects(deparse(bar.effects)):
            found = [(i, k) for i in places for k, effect in enumerate(terms[i].effects) if effect == name]
            if not found:
                raise DataError(f"random effects specified in re_form that were not present in original model: {name}")
            for i, k in found:
                wanted[i] = sorted({*wanted[i], k})
    return wanted


def _bar_effects(text: str) -> list[str]:
    """Names of the effects that a bar's left-hand side asks for, the intercept included unless it is taken out."""
    parts = [part.strip() for part in text.replace("-", "+ -").split("+")]
    names = [part for part in parts if part not in ("", "0", "1", "- 1", "-1", "- 0")]
    dropped = any(part in ("0", "- 1", "-1") for part in parts)
    return names if dropped else ["(Intercept)", *names]
