"""Row 3 of AGREEMENT.md's table: the same model in another basis of its fixed effects, and which one.

The candidate's X is the reference's X times an invertible matrix A. What A joins is one factor or one predictor; the
values that its columns take say which contrasts they are, or that a predictor was centred or rescaled.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from validation.algebra import Pieces
from validation.judge.diagnosis import assume, given
from validation.judge.evidence import Evidence
from validation.quantities import records
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding


class Kind(NamedTuple):
    """What one group of changed columns turned out to be."""

    name: str
    words: str
    remedy: str


#: Coefficients that are no further apart, in standard errors, once mapped into one basis are those of one model.
_SAME_MODEL = Match.VISIBLE

_SAME_LEVELS = (
    "Give both sides the same factor levels in the same order (the first level is R's reference) and the same "
    "contrasts; nothing is wrong with the estimation."
)


def basis(left: Pieces, right: Pieces) -> np.ndarray | None:
    """A with right.X = left.X A, where there is such an invertible matrix and X is not the same already."""
    if left.X.shape != right.X.shape or left.X.shape[1] == 0:
        return None
    scale = np.abs(left.X).max(axis=0)
    if left.coef_names == right.coef_names and np.allclose(
        left.X, right.X, rtol=Match.ENTRY, atol=Match.ENTRY * scale.max()
    ):
        return None
    A, *_ = np.linalg.lstsq(left.X, right.X, rcond=None)
    residual = np.abs(left.X @ A - right.X).max() / max(float(np.abs(right.X).max()), Match.ZERO)
    if residual > Match.CHAINED or np.linalg.matrix_rank(A) < len(A):
        return None
    # Entries that are rounding noise would join columns that have nothing to do with each other.
    size = np.abs(right.X).max(axis=0) / np.maximum(scale[:, None], Match.ZERO)
    return np.where(np.abs(A) < Match.COMPUTED * size, 0.0, A)


def coding(evidence: Evidence) -> Cause | None:
    """Row 3: another reference level or contrast, a centred or rescaled predictor, columns in another order."""
    left, own = given(evidence.reference_pieces), evidence.candidate_pieces
    assume(left.coef_names and "fixef" not in {*evidence.left.problems, *evidence.right.problems})
    beta_left, beta_right = (np.asarray(evidence.fit(side).fixef(), float) for side in ("reference", "candidate"))
    se = np.array([r["reference"] for r in records(evidence.rows("se")) if r["has_reference"]])
    unit = se if se.size == beta_left.size and (se > 0).all() else np.maximum(np.abs(beta_left), Match.ZERO)
    found = [
        (float(np.max(np.abs(A @ beta_right - beta_left) / unit)), pieces, A)
        for pieces in ([own] if own is not None else _named(evidence, left))
        if (A := basis(left, pieces)) is not None and A.shape == (beta_left.size, beta_right.size)
    ]
    distance, right, A = given(min(found, key=lambda one: one[0], default=None))
    assume(own is not None or distance < _SAME_MODEL)  # names alone are no evidence: the numbers must bear them out
    kinds = kinds_of(left, right, A)
    first, names = kinds[0], ""
    only = [[name for name in a.coef_names if name not in b.coef_names] for a, b in ((left, right), (right, left))]
    if any(only):
        shown = [", ".join(part) or "none" for part in only]
        names = f"; only the reference has {shown[0]}, only the candidate {shown[1]}"
    return Finding(3, first.name, Strength.SAME_NUMBERS if distance < _SAME_MODEL else Strength.LOOSE_MATCH).told(
        "; ".join(dict.fromkeys(kind.words for kind in kinds)),
        f"the candidate's X{'' if own is not None else ', as its coefficients are named,'} is the reference's X "
        "times an invertible matrix, and mapped by it the coefficients are "
        f"{distance:.2g} standard errors apart: the same model in another basis{names}",
        first.remedy,
    )


def _named(evidence: Evidence, left: Pieces) -> list[Pieces]:
    """The X that the names of the candidate's coefficients speak of, where it gives no X of its own.

    ``methodfilm`` is the indicator of the level film; a name of the reference's is its column, unless it is an
    indicator's as well (``method1`` is the level 1, or the first column of sum contrasts): then there are two readings.
    """
    names = [str(name) for name in evidence.candidate.fixef().index]
    fitted = evidence.rows("fitted")
    labels = fitted.loc[fitted["has_reference"], "level"].tolist()
    data = given(evidence.data)
    positions = pd.Index([str(label) for label in data.index]).get_indexer(labels)
    assume(len(labels) == left.y.size and (positions >= 0).all())
    rows = data.iloc[positions]
    indicators: dict[str, np.ndarray] = {}
    for variable in rows.columns:
        number = pd.api.types.is_numeric_dtype(rows[variable])
        if not number and any(part.startswith(str(variable)) for name in names for part in name.split(":")):
            text = rows[variable].astype(str).to_numpy()
            indicators |= {f"{variable}{level}": (text == level).astype(float) for level in set(text)}
    columns = {name: left.X[:, j] for j, name in enumerate(left.coef_names)}
    readings = []
    for known in ({**columns, **indicators}, {**indicators, **columns}):
        known["(Intercept)"] = np.ones(left.y.size)
        parts = [name.split(":") if name not in known else [name] for name in names]
        if all(part in known for split in parts for part in split):
            X = np.column_stack([np.prod([known[part] for part in split], axis=0) for split in parts])
            readings.append(replace(left, X=X, coef_names=tuple(names)))
    return readings


def kinds_of(left: Pieces, right: Pieces, A: np.ndarray) -> list[Kind]:
    """What one X is of another, where right.X = left.X A: one finding for each factor or predictor that A changes."""
    if np.allclose(A, np.eye(len(A)), atol=Match.MAPPED_ENTRY):
        remedy = "Label coefficients as R does: the variable's name, and the level's after it."
        return [Kind("coding-names", "The same columns under other names", remedy)]
    order = [right.coef_names.index(name) if name in right.coef_names else -1 for name in left.coef_names]
    if sorted(order) == list(range(len(A))) and np.allclose(A[:, order], np.eye(len(A)), atol=Match.MAPPED_ENTRY):
        remedy = "Keep R's order of coefficients: the intercept, then the formula's terms, main effects first."
        return [Kind("coding-order", "The columns of X stand in another order", remedy)]
    kinds = [_kind(left, right, rows, columns) for rows, columns in _components(left, right, A)]
    return kinds or [Kind("coding", "The fixed effects stand in another basis", _SAME_LEVELS)]


def _components(left: Pieces, right: Pieces, A: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """Changed columns of both sides, those that A joins together; the intercept and interactions joined to none."""
    constant = np.ptp(left.X, axis=0) == 0

    def kept(j: int) -> bool:
        name = right.coef_names[j]
        same = left.X[:, left.coef_names.index(name)] if name in left.coef_names else np.full(len(left.X), np.nan)
        return bool(np.allclose(same, right.X[:, j], rtol=Match.ENTRY, atol=0))

    of_predictors = [j for j, name in enumerate(right.coef_names) if ":" not in name and np.ptp(right.X[:, j]) != 0]
    changed = [j for j in of_predictors if not kept(j)]
    found: list[tuple[set[int], set[int]]] = []
    for j in changed:
        rows = {i for i in range(len(A)) if A[i, j] != 0 and not constant[i]}
        joined = [pair for pair in found if pair[0] & rows]
        found = [pair for pair in found if pair not in joined]
        found.append((rows.union(*(pair[0] for pair in joined)), {j}.union(*(pair[1] for pair in joined))))
    return [(sorted(rows), sorted(columns)) for rows, columns in found]


def _kind(left: Pieces, right: Pieces, rows: list[int], columns: list[int]) -> Kind:
    before, after = left.X[:, rows], right.X[:, columns]
    label = ", ".join(left.coef_names[i] for i in rows)
    was, now = _contrasts(before), _contrasts(after)
    if len(rows) == 1 == len(columns) and (now is None or np.unique(before).size > 2):
        return _rescaled(before[:, 0], after[:, 0], label)
    if now is None:
        return Kind("coding", f"The factor behind {label} is coded otherwise", _SAME_LEVELS)
    if now == "treatment" and was in ("treatment", None):
        return Kind(
            "coding-reference-level",
            f"The factor behind {label} has another reference level",
            "Make the same level the first one on both sides (in R: relevel(); in pandas: cat.reorder_categories): "
            "every coefficient of a factor is a difference from its reference level.",
        )
    words = {
        "treatment": "treatment contrasts (differences from a reference level; R's contr.treatment)",
        "sum": "sum contrasts (deviations from the mean of the levels; R's contr.sum)",
        "helmert": "Helmert contrasts (each level against the mean of those before; R's contr.helmert)",
        "polynomial": "polynomial contrasts (linear, quadratic, ...: what R gives ordered factors; contr.poly)",
    }
    remedy = (
        "The candidate takes the factor as ordered, the reference does not: make it unordered (or ordered) on both."
        if (now, was) == ("polynomial", "treatment")
        else "Set the same contrasts on both sides; lmer's default is treatment contrasts for factors and polynomial "
        "ones for ordered factors. Predictions and tests of the whole factor are the same either way."
    )
    before_words = f"; the reference by {words[was]}" if was is not None else ""
    return Kind(f"coding-{now}", f"The candidate codes {label} by {words[now]}{before_words}", remedy)


def _rescaled(before: np.ndarray, after: np.ndarray, label: str) -> Kind:
    slope, constant = np.polyfit(before, after, 1)
    centre, mean = -constant / slope, float(before.mean())
    sds = [float(before.std(ddof=ddof)) for ddof in (1, 0)]
    shifted = abs(constant) > Match.COMPUTED * float(np.abs(after).max())
    where = f"at its mean {mean:.6g}" if abs(centre - mean) <= Match.RULE * sds[0] else f"at {centre:.6g}"
    if shifted and abs(slope - 1) <= Match.COMPUTED:
        return Kind(
            "coding-centred",
            f"The candidate centres the predictor {label} {where}",
            "Centre the predictor on both sides or on neither: the slope is the same, the intercept is the value at "
            "the centre.",
        )
    for sd, ddof in zip(sds, (1, 0), strict=True):
        if abs(slope * sd - 1) <= Match.COMPUTED:
            return Kind(
                "coding-scaled",
                f"The candidate standardises the predictor {label} (divides by its sd, ddof = {ddof})",
                "Standardise on both sides or on neither, with the same sd: R's scale() and sd() divide by N − 1, "
                "numpy's std() by N.",
            )
    centres = f"centres the predictor {label} {where} and multiplies it" if shifted else f"multiplies {label}"
    return Kind(
        "coding-scaled",
        f"The candidate {centres} by {slope:.6g}",
        "Use the same unit on both sides: the coefficient and its standard error are divided by the factor.",
    )


def _contrasts(columns: np.ndarray) -> str | None:
    """Which of R's contrasts a factor's columns are, whatever the order of its levels."""
    rows = np.unique(np.round(columns, 12), axis=0)
    m = columns.shape[1]
    if len(rows) != m + 1:
        return None
    # With two levels ±1 is both sum and Helmert: R's contr.sum gives the first level 1, contr.helmert −1, and X does
    # not say which level is first; treatment columns of the other side do, but "sum" is what people mean by ±1, and by
    # ±½ (deviation coding).
    for name, wanted in (
        ("treatment", np.eye(m + 1, m, -1)),
        ("sum", np.vstack([np.eye(m), -np.ones(m)])),
        ("helmert", np.diag(np.arange(1.0, m + 1), -1)[:, :m] - np.triu(np.ones((m + 1, m)))),
        ("sum", np.array([[-0.5], [0.5]])),
    ):
        ordered = wanted[np.lexsort(wanted.T[::-1])]
        if ordered.shape == rows.shape and np.allclose(rows, ordered, atol=Match.CHAINED):
            return name
    moments = np.vstack([rows.T @ rows - np.eye(m), rows.sum(axis=0)])
    return "polynomial" if np.allclose(moments, 0.0, atol=Match.CHAINED) else None
