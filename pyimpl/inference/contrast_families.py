"""Families of contrasts, as R's emmeans has them (``pairwise.emmc`` and its kin)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import as_numbers
from pyimpl.errors import DataError
from pyimpl.linalg.dqrdc2 import dqrdc2
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.text.numbers import r_round

__all__ = ["DESCRIPTIONS", "FAMILIES", "ContrastFamily", "ContrastOptions", "contrast_family"]

_FEWER = "Compare within the levels of another variable (by=), or with one level (trt.vs.ctrl)."


@dataclass(frozen=True)
class ContrastFamily:
    """Contrasts of k estimates.

    Attributes
    ----------
    names : tuple of str
    coefficients : ndarray, shape (contrasts, k)
    adjust : str
        The adjustment that R takes by default.
    pairs : bool
        Whether these are all pairwise differences.
    kind : str or None
        ``"pairs"``, or None where the coefficients decide.
    size : int or None
        Number of estimates in the family, if R says so.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    adjust: str = "none"
    kind: str | None = None
    size: int | None = None


def _matrix(rows: list[np.ndarray], k: int) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(len(rows), k)


def _unit(k: int, plus: int, minus: int) -> np.ndarray:
    row = np.zeros(k)
    row[plus], row[minus] = 1.0, -1.0
    return row


def _pairwise(levels: Sequence[str], raw: Sequence[str], *, reverse: bool = False, **_: Any) -> ContrastFamily:
    k = len(levels)
    count = k * (k - 1) // 2
    refuse_too_large(count * k, f"{count} pairwise differences of {k} estimates", _FEWER)
    coefficients = np.zeros((count, k))
    names: list[str] = []
    for i in range(k):
        others = range(i) if reverse else range(i + 1, k)
        block = coefficients[len(names) : len(names) + len(others)]
        block[:, i] = 1.0
        np.fill_diagonal(block[:, others.start : others.stop], -1.0)
        names += [f"{levels[i]} - {levels[j]}" for j in others]
    return ContrastFamily(tuple(names), coefficients, "tukey", "pairs", None if reverse else k)


def _revpairwise(levels: Sequence[str], raw: Sequence[str], **options: Any) -> ContrastFamily:
    return _pairwise(levels, raw, **{**options, "reverse": True})


def _consecutive(levels: Sequence[str], raw: Sequence[str], *, reverse: bool = False, **_: Any) -> ContrastFamily:
    k = len(levels)
    sign = -1.0 if reverse else 1.0
    rows = [sign * _unit(k, i + 1, i) for i in range(k - 1)]
    ends = [(i, i + 1) if reverse else (i + 1, i) for i in range(k - 1)]
    return ContrastFamily(tuple(f"{levels[i]} - {levels[j]}" for i, j in ends), _matrix(rows, k), "mvt")


def _mean_change(levels: Sequence[str], raw: Sequence[str], *, reverse: bool = False, **_: Any) -> ContrastFamily:
    k = len(levels)
    sign = -1.0 if reverse else 1.0
    rows = [np.repeat([-sign / i, sign / (k - i)], [i, k - i]) for i in range(1, k)]
    return ContrastFamily(tuple(f"{levels[i - 1]}|{levels[i]}" for i in range(1, k)), _matrix(rows, k), "mvt")


def _positions(ref: Any, raw: Sequence[str]) -> list[int]:
    """Which levels `ref` names, or counts from 1 as R does."""
    keys = [ref] if isinstance(ref, (str, int, np.integer)) else list(ref)
    found = []
    for key in keys:
        if isinstance(key, str):
            if key not in raw:
                raise DataError(f"contrast: ref={key!r} is none of the levels {', '.join(raw)}")
            found.append(list(raw).index(key))
        elif 1 <= int(key) <= len(raw):
            found.append(int(key) - 1)
        else:
            raise DataError(f"contrast: ref={key} is out of range: there are {len(raw)} levels, the first is 1")
    if not found:
        raise DataError("contrast: ref names no level")
    return found


def _versus(
    levels: Sequence[str], raw: Sequence[str], *, ref: Any = 1, reverse: bool = False, **_: Any
) -> ContrastFamily:
    k = len(levels)
    at = _positions(ref, raw)
    control = levels[at[0]] if len(at) == 1 else f"avg({','.join(levels[i] for i in at)})"
    names, rows = [], []
    for i in range(k):
        if i in at:
            continue
        row = np.zeros(k)
        row[at] = -1.0 / len(at)
        row[i] = 1.0
        rows.append(-row if reverse else row)
        names.append(f"{control} - {levels[i]}" if reverse else f"{levels[i]} - {control}")
    return ContrastFamily(tuple(names), _matrix(rows, k), "dunnettx")


def _versus_last(levels: Sequence[str], raw: Sequence[str], **options: Any) -> ContrastFamily:
    return _versus(levels, raw, **{"ref": len(levels), **options})


def _effects(levels: Sequence[str], raw: Sequence[str], *, wts: Any = None, **_: Any) -> ContrastFamily:
    k = len(levels)
    weights = np.ones(k) if wts is None else np.asarray(wts, dtype=float)
    if weights.shape != (k,):
        raise DataError(f"contrast: wts has {weights.size} elements; there are {k} levels")
    rows = np.eye(k) - weights / weights.sum()
    return ContrastFamily(tuple(f"{level} effect" for level in levels), rows, "fdr")


def _deleted_effects(levels: Sequence[str], raw: Sequence[str], **options: Any) -> ContrastFamily:
    family = _effects(levels, raw, **options)
    rows = family.coefficients / np.diag(family.coefficients)[:, None]
    return ContrastFamily(family.names, rows, "fdr")


def _identity(levels: Sequence[str], raw: Sequence[str], **_: Any) -> ContrastFamily:
    return ContrastFamily(tuple(levels), np.eye(len(levels)), "none", None, len(levels))


_DEGREES = ("linear", "quadratic", "cubic", "quartic", *(f"degree {d}" for d in range(5, 21)))


def _polynomial(
    levels: Sequence[str], raw: Sequence[str], *, max_degree: int | None = None, **_: Any
) -> ContrastFamily:
    """Orthogonal polynomials in small whole numbers, found as emmeans finds them."""
    k = len(levels)
    degree = min(20, min(6, k - 1) if max_degree is None else max_degree, k - 1)
    if degree < 1:
        return ContrastFamily((), np.empty((0, k)))
    x = np.arange(1.0, k + 1) - (k + 1) / 2
    qr = dqrdc2(np.stack([x**d for d in range(degree + 1)], axis=1))
    scaled = np.zeros((k, degree + 1))
    np.fill_diagonal(scaled, np.diag(qr.R))
    basis = qr.multiply_q(scaled)
    basis = (basis / np.sqrt((basis**2).sum(axis=0)))[:, 1:]
    rows = []
    for column in basis.T:
        con = column / column[column > 0.01].min()
        gap = float(np.abs(con - r_round(con)).max())
        while gap > 0.05:
            con = con / gap
            gap = float(np.abs(con - r_round(con)).max())
        rows.append(r_round(con))
    return ContrastFamily(_DEGREES[:degree], _matrix(rows, k))


#: Families by R's names.
FAMILIES: dict[str, Callable[..., ContrastFamily]] = {
    "pairwise": _pairwise,
    "revpairwise": _revpairwise,
    "tukey": _pairwise,
    "consec": _consecutive,
    "mean_chg": _mean_change,
    "trt.vs.ctrl": _versus,
    "trt.vs.ctrl1": _versus,
    "dunnett": _versus,
    "trt.vs.ctrlk": _versus_last,
    "eff": _effects,
    "del.eff": _deleted_effects,
    "identity": _identity,
    "poly": _polynomial,
}


#: What emmeans calls the contrasts of a family.
DESCRIPTIONS = {
    **dict.fromkeys(("pairwise", "revpairwise", "tukey"), "pairwise differences"),
    **dict.fromkeys(("trt.vs.ctrl", "trt.vs.ctrl1", "trt.vs.ctrlk", "dunnett"), "differences from control"),
    "consec": "changes between consecutive levels",
    "mean_chg": "mean after minus mean before",
    "eff": "differences from grand mean",
    "del.eff": "differences from mean of others",
    "identity": "Identity",
    "poly": "polynomial contrasts",
}


class ContrastOptions(TypedDict, total=False):
    """What families of contrasts may be asked for besides, each by those that take it.

    Attributes
    ----------
    ref : str, int or sequence of them
        The level compared with: a label, or a number from 1.
    reverse : bool
        Differences the other way round.
    wts : sequence of float
        Weights of the levels' mean.
    max_degree : int
        Of polynomials.
    """

    ref: str | int | Sequence[str] | Sequence[int]
    reverse: bool
    wts: Sequence[float] | np.ndarray | None
    max_degree: int | None


#: A family's name, or contrasts by name (of one alone, or of each level).
Method = str | Mapping[str, Sequence[float]] | Sequence[Sequence[float]] | np.ndarray | pd.DataFrame


def contrast_family(
    method: Method, levels: Sequence[str], raw: Sequence[str], **options: Unpack[ContrastOptions]
) -> ContrastFamily:
    """Contrasts of these levels.

    Parameters
    ----------
    method : str, mapping, DataFrame or array
        A name of :data:`FAMILIES`; names -> coefficients, one a level; a DataFrame with a contrast a column (R's way);
        or rows of coefficients.
    levels : sequence of str
        As they are shown (in parentheses where they hold an operator).
    raw : sequence of str
        As they are.
    **options
        ``ref``, ``reverse``, ``wts``, ``max_degree``, of the families that take them.

    Raises
    ------
    DataError
        An unknown family, a reference that is not there, or another number of coefficients than of levels.
    """
    if isinstance(method, str):
        if method not in FAMILIES:
            raise DataError(f"contrast: method is one of {', '.join(FAMILIES)}, or coefficients; not {method!r}")
        return FAMILIES[method](levels, raw, **options)
    if isinstance(method, pd.DataFrame):
        named = {str(name): as_numbers(method[name], f"contrast: coefficients of {name!r}") for name in method.columns}
    elif isinstance(method, Mapping):
        named = {str(name): as_numbers(row, f"contrast: coefficients of {name!r}") for name, row in method.items()}
    else:
        rows = np.atleast_2d(as_numbers(method, "contrast: coefficients"))
        named = {_written(row): row for row in rows}
    k = len(levels)
    for name, row in named.items():
        if row.shape != (k,):
            raise DataError(
                f"contrast: {name!r} has {row.size} coefficients; there are {k} estimates to contrast "
                f"({', '.join(raw[:8])}{', ...' if k > 8 else ''})"
            )
        if not np.isfinite(row).all():
            raise DataError(f"contrast: {name!r} has missing or infinite coefficients")
    return ContrastFamily(tuple(named), _matrix(list(named.values()), k))


def _written(row: np.ndarray) -> str:
    """How R names a contrast that has no name: ``c(1, -1, 0)``."""
    return f"c({', '.join(f'{x:g}' for x in row)})"
