"""Hypotheses of type I, II and III about the terms of a linear model, as lmerTest states them.

Each term's hypothesis is Lβ = 0; lmerTest follows SAS. ``lmerTest:::get_contrasts_type1``,
``get_contrasts_type2_unfolded`` and ``get_contrasts_type3``, its tolerances and roundings (``zapsmall``) included,
but for the change to another coding than treatment contrasts, which lmerTest rounds.
"""

import math

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.design.model_matrix import Piece
from pyimpl.errors import DataError, ModelError
from pyimpl.formula.parse import Call, variable_label
from pyimpl.formula.terms import CONTRASTS
from pyimpl.linalg.dqrdc2 import independent_columns

__all__ = ["term_hypotheses"]

_TYPES = {"I": "I", "1": "I", "II": "II", "2": "II", "III": "III", "3": "III"}
_EPS = 1e-6  # lmerTest:::doolittle


def term_hypotheses(design: Design, type: str = "III") -> dict[str, np.ndarray]:  # noqa: A002
    """Contrast matrices of each fixed term.

    Parameters
    ----------
    design : Design
    type : {"III", "II", "I", "3", "2", "1"}
        I: each term after those before it; II: after all terms that do not contain it; III: SAS's type III, marginal
        means of balanced data whatever the coding.

    Returns
    -------
    dict
        Term label -> L, shape (rows, P); no rows where nothing is left to test.

    Raises
    ------
    DataError
        If the type is unknown.
    ModelError
        If the design does not know its formula.
    """
    if type not in _TYPES:
        raise DataError(f"type must be 'I', 'II' or 'III', not {type!r}")
    if design.recipe is None:
        raise ModelError("this fit was made from a design without its formula: its terms are not known")
    labels = design.term_labels
    if _TYPES[type] == "I" or design.P <= 1 or len(labels) <= 1:
        return _type1(design)
    return _type2(design) if _TYPES[type] == "II" else _type3(design)


def _columns_of(assign: tuple[int, ...], term: int) -> list[int]:
    return [i for i, a in enumerate(assign) if a == term + 1]


def _unit_lower(A: np.ndarray) -> np.ndarray:
    """L of A = LU without pivoting (Doolittle); pivots and elements below lmerTest's tolerance count as 0."""
    U = A.copy()
    L = np.eye(len(A))
    for i in range(len(A) - 1):
        if abs(U[i, i]) >= _EPS:
            L[i + 1 :, i] = U[i + 1 :, i] / U[i, i]
        U[i + 1 :] -= np.outer(L[i + 1 :, i], U[i])
    L[np.abs(L) < _EPS] = 0.0
    return L


def _type1(design: Design) -> dict[str, np.ndarray]:
    if design.P == 0 or (design.P == 1 and design.intercept):
        return {}
    L = _unit_lower(design.X.T @ design.X).T if design.P > 1 else np.ones((1, 1))
    return {label: L[_columns_of(design.assign, t)] for t, label in enumerate(design.term_labels)}


def _type2(design: Design) -> dict[str, np.ndarray]:
    containing = _containing(design)
    out = {}
    for t, label in enumerate(design.term_labels):
        own = _columns_of(design.assign, t)
        if not containing[t]:
            out[label] = np.eye(design.P)[own]
            continue
        last = [*own, *(i for other in containing[t] for i in _columns_of(design.assign, other))]
        order = [i for i in range(design.P) if i not in last] + last
        X = design.X[:, order]
        L = np.empty((design.P, design.P))
        L[:, order] = _unit_lower(X.T @ X).T
        at = [order.index(i) for i in own]
        out[label] = L[at]
    return out


def _is_numeric(design: Design, position: int) -> bool:
    """Whether R's ``dataClasses`` would say "numeric": matrices, such as those of ``poly`` and ``scale``, are not."""
    assert design.recipe is not None
    node = design.recipe.fixed.variables[position]
    if isinstance(node, Call) and node.fn in ("poly", "scale"):
        return False
    label = variable_label(node)
    if label not in design.frame.columns:
        return False
    column = design.frame[label]
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _containing(design: Design) -> list[list[int]]:
    """For each term the terms that contain it: more factors, the same covariates (``lmerTest:::term_contain``)."""
    assert design.recipe is not None
    terms = design.recipe.fixed.terms
    variables = [{v for v, code in zip(term.variables, term.codes, strict=True) if code == CONTRASTS} for term in terms]
    numeric = {v: _is_numeric(design, v) for v in set().union(*variables)}
    covariates = [{v for v in own if numeric[v]} for own in variables]
    return [
        [s for s in range(len(terms)) if variables[t] < variables[s] and covariates[t] == covariates[s]]
        for t in range(len(terms))
    ]


_Key = tuple[int, tuple[int, ...]]


def _variable_columns(design: Design, position: int, piece: Piece) -> tuple[np.ndarray, bool]:
    """A numeric variable's columns, or an indicator of each level of a factor."""
    label, frame = variable_label(piece.node), design.frame
    if piece.levels is not None:
        column = frame[label]
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = column.cat.codes.to_numpy()
        else:
            codes = column.to_numpy().astype(np.intp)  # a logical: FALSE, TRUE
        return np.eye(len(piece.levels))[codes], True
    if label in frame.columns:
        return frame[label].to_numpy(dtype=float)[:, None], False
    parts = [f"{label}.{suffix}" for suffix in piece.suffixes]
    return frame[parts].to_numpy(dtype=float), False


def _overparametrised(design: Design) -> tuple[np.ndarray, list[_Key], np.ndarray, list[_Key]]:
    """X with every factor in indicators, and X in treatment contrasts, with a key for each column."""
    recipe = design.recipe
    assert recipe is not None
    full: list[np.ndarray] = []
    full_keys: list[_Key] = []
    treatment: list[np.ndarray] = []
    treatment_keys: list[_Key] = []
    if recipe.fixed_plan.intercept:
        for columns, keys in ((full, full_keys), (treatment, treatment_keys)):
            columns.append(np.ones((design.N, 1)))
            keys.append((-1, ()))
    for t, pieces in enumerate(recipe.fixed_plan.pieces):
        block = np.ones((design.N, 1))
        places: list[tuple[tuple[int, ...], bool]] = [((), True)]  # levels, and whether treatment contrasts keep it
        for position, piece in zip(recipe.fixed.terms[t].variables, pieces, strict=True):
            part, is_factor = _variable_columns(design, position, piece)
            reduced = is_factor and piece.table is not None and piece.table.shape[1] < len(piece.levels or ())
            block = (part[:, :, None] * block[:, None, :]).reshape(design.N, -1)  # the first variable fastest
            places = [
                ((*before, k), kept and not (reduced and k == 0))
                for k in range(part.shape[1])
                for before, kept in places
            ]
        full.append(block)
        full_keys += [(t, key) for key, _ in places]
        kept_columns = [i for i, (_, kept) in enumerate(places) if kept]
        treatment.append(block[:, kept_columns])
        treatment_keys += [(t, places[i][0]) for i in kept_columns]
    return np.hstack(full), full_keys, np.hstack(treatment), treatment_keys


def _zapsmall(values: np.ndarray) -> np.ndarray:
    """R's ``zapsmall``: rounded to seven digits of the largest element; a rounding error above 10^k counts as 10^k."""
    largest = float(np.abs(values).max(initial=0.0))
    return np.round(values, max(0, 7 - math.ceil(math.log10(largest) - 1e-9)) if largest > 0 else 7)


def _type3(design: Design) -> dict[str, np.ndarray]:
    full, full_keys, X, keys = _overparametrised(design)
    kept = independent_columns(X)
    X, keys = X[:, kept], [keys[i] for i in kept]
    inverse = np.linalg.pinv(X, rcond=float(np.sqrt(np.finfo(float).eps)))
    L = _zapsmall((inverse @ full).T)  # rows: parameters of the overparametrised model; columns: estimable functions
    containing = _containing(design)
    place = {t: [i for i, key in enumerate(keys) if key[0] == t] for t in range(-1, len(design.term_labels))}
    assert design.recipe is not None
    order = [len(term.variables) for term in design.recipe.fixed.terms]
    for t in sorted(range(len(order)), key=lambda i: -order[i]):
        if containing[t]:
            others = L[:, [i for other in containing[t] for i in place[other]]]
            own = L[:, place[t]]
            L[:, place[t]] = _zapsmall(own - others @ np.linalg.lstsq(others, own, rcond=1e-7)[0])
    L = L[[full_keys.index(key) for key in keys]]
    # lmerTest rounds this to six or seven digits, as rounding errors will have it: not followed
    to_coding = inverse @ design.X
    out = {}
    for t, label in enumerate(design.term_labels):
        rows = L[:, place[t]].T
        out[label] = rows[np.abs(rows).sum(axis=1) > 1e-8] @ to_coding
    return out
