"""Rows 2 to 4 of AGREEMENT.md's table: the same model in other coordinates, or its numbers on another scale.

Where the candidate gives its X, that is the reference's X times an invertible matrix A. What A joins is one factor or
one predictor; the values that its columns take say which contrasts they are, or that a predictor was centred or
rescaled.

A candidate that gives no design may have a predictor, or the response, in another unit or centred. x = c + s x' makes
of the columns of X, and of those of Z of every level, the same columns times an invertible matrix M, of β the vector
M⁻¹β, and of Σ the matrix M⁻¹ΣM⁻ᵀ; y' = a + b y moves the intercept and the scale. So every number follows from the
reference's own optimum. What the coordinates are the coefficients say (and σ); all other numbers are the proof.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from validation.algebra import Pieces, Solution, optimum_of, solve
from validation.judge.diagnosis import all_close, assume, close, first_of, given
from validation.judge.diagnosis.model import NUMBERS, proof_by, with_implied
from validation.judge.evidence import Evidence
from validation.quantities import named, quietly, records
from validation.tolerances import REPRODUCED, Match, Strength
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
    same_names, near = left.coef_names == right.coef_names, Match.ENTRY * scale.max()
    if same_names and np.allclose(left.X, right.X, rtol=Match.ENTRY, atol=near):
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
    se = evidence.rows("se").query("has_reference")["reference"].to_numpy(dtype=float)
    unit = se if se.size == beta_left.size and (se > 0).all() else np.maximum(np.abs(beta_left), Match.ZERO)
    found = [
        (float(np.max(np.abs(A @ beta_right - beta_left) / unit)), pieces, A)
        for pieces in ([own] if own is not None else _named(evidence, left))
        if (A := basis(left, pieces)) is not None and A.shape == (beta_left.size, beta_right.size)
    ]
    distance, right, A = given(min(found, key=lambda one: one[0], default=None))
    assume(own is not None or distance < _SAME_MODEL)  # names alone are no evidence: the numbers must bear them out
    apart = float(np.max(np.abs(beta_right - beta_left) / unit)) if right.coef_names == left.coef_names else math.inf
    if apart < _SAME_MODEL <= distance:
        return Finding(3, "design-of-other-coefficients", Strength.SAME_NUMBERS).told(
            "The X that the candidate hands over is not that of its coefficients",
            f"its X is the reference's X times an invertible matrix; mapped by it its coefficients are {distance:.2g} "
            f"standard errors apart, as they stand {apart:.2g}: they are of the reference's X",
            "Give the X whose product with the coefficients is Xβ, not one that was centred, scaled or made orthogonal "
            "for the computation.",
        )
    kinds = kinds_of(left, right, A)
    first, names = kinds[0], ""
    only = [[name for name in a.coef_names if name not in b.coef_names] for a, b in ((left, right), (right, left))]
    if any(only):
        shown = [", ".join(part) or "none" for part in only]
        names = f"; only the reference has {shown[0]}, only the candidate {shown[1]}"
    # |X'X| is another in another basis, and with it the restricted likelihood
    theta, objective = evidence.reference_theta, math.nan
    if theta is not None:
        objective = quietly(lambda: solve(replace(left, X=right.X), theta, evidence.reml).objective, math.nan)
    same, follows = distance < _SAME_MODEL, close(-2.0 * evidence.value("candidate", "logLik"), objective, Match.SUMMED)
    strength = Strength.SAME_NUMBERS if same else Strength.LOOSE_MATCH
    return Finding(3, first.name, strength, frozenset({"logLik"} if same and follows else ())).told(
        "; ".join(dict.fromkeys(kind.words for kind in kinds)),
        f"the candidate's X{'' if own is not None else ', as its coefficients are named,'} is the reference's X "
        "times an invertible matrix, and mapped by it the coefficients are "
        f"{distance:.2g} standard errors apart: {'the same' if same else 'another'} model in another "
        f"basis{names}",
        first.remedy,
    )


def _named(evidence: Evidence, left: Pieces) -> list[Pieces]:
    """The X that the names of the candidate's coefficients speak of, where it gives no X of its own.

    ``methodfilm`` is the indicator of the level film; a name of the reference's is its column, unless it is an
    indicator's as well (``method1`` is the level 1, or the first column of sum contrasts): then there are two readings.
    """
    names = [str(name) for name in evidence.candidate.fixef().index]
    labels, data = evidence.rows("fitted").query("has_reference")["level"].tolist(), given(evidence.data)
    positions = data.index.map(str).get_indexer(pd.Index(labels))
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
    constant, known = np.ptp(left.X, axis=0) == 0, dict(zip(left.coef_names, left.X.T, strict=True))
    changed = []
    for j, (name, x) in enumerate(zip(right.coef_names, right.X.T, strict=True)):
        kept = name in known and np.allclose(known[name], x, rtol=Match.ENTRY, atol=0)
        if ":" not in name and np.ptp(x) != 0 and not kept:
            changed.append(j)
    links = (A[:, changed] != 0) & ~constant[:, None]
    _, parts = connected_components(links.T.astype(float) @ links)
    found = [(links[:, parts == part].any(axis=1), np.array(changed)[parts == part]) for part in np.unique(parts)]
    return [(np.flatnonzero(rows).tolist(), columns.tolist()) for rows, columns in found if rows.any()]


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


_INTERCEPT = "(Intercept)"
_SAME_UNIT = (
    "Give both sides the response in the same unit, centred on both or on neither: coefficients, standard errors and "
    "standard deviations are in that unit."
)


class _Units(NamedTuple):
    """Scale and shift of a variable, and whether they are numbers that people use: those need not be estimated."""

    scale: float
    shift: float
    plain_scale: bool = True
    plain_shift: bool = True


def other_units(evidence: Evidence) -> Cause | None:
    """Rows 3 and 4: predictors or the response in another unit, or centred, where that gives the numbers."""
    pieces, theta, reml = given(evidence.searchable), given(evidence.reference_theta), evidence.reml
    ours, theirs = evidence.by_term("fixef")
    assume(evidence.candidate_pieces is None and not evidence.another_model and ours.keys() == {*pieces.coef_names})
    beta, told = (np.array([side[name] for name in pieces.coef_names]) for side in (ours, theirs))
    causes: list[Cause | None] = []
    for response in _responses(evidence, pieces, beta, told):
        a, b = response.shift, response.scale
        moved = b * beta + a * _constant(pieces)
        for change in _predictors(pieces, moved, told):
            shifted = [units for units in change.values() if units.shift != 0.0]
            # shifts of the response and of predictors make up for each other, where one of them is estimated
            if response.shift and shifted and not all(units.plain_shift for units in (response, *shifted)):
                continue
            changed = _in_units(pieces, theta, change)
            if changed is not None and all_close(told, np.linalg.solve(changed[2], moved), Match.FOLLOWS):
                right, point, M = changed
                right = replace(right, y=a + b * right.y)
                # without coefficients a shift of the response is another model, with another optimum
                at = partial(optimum_of, right, reml) if a != 0.0 and not ours else partial(solve, right, point, reml)
                causes.append(_in_coordinates(evidence, quietly(at, None), M, response, change))
    numeric = [(name, x) for name, x in zip(pieces.coef_names, pieces.X.T, strict=True) if np.unique(x).size > 2]
    for name, x in numeric if all_close(told, beta, Match.FOLLOWS) else ():
        for units in (_Units(s, c) for s in (1.0, _sds(x)[0]) for c in (0.0, float(x.mean()))):
            if (changed := _in_units(pieces, theta, {name: units})) is not None:
                alone = solve(replace(changed[0], X=pieces.X), changed[1], reml)
                part = ", in the random part alone"
                causes.append(_in_coordinates(evidence, alone, changed[2], _Units(1.0, 0.0), {name: units}, part))
    found = {cause.title: cause for cause in reversed(causes) if cause is not None}
    return next(iter(found.values())) if len(found) == 1 else None  # of several with the same numbers none is named


def _in_coordinates(
    evidence: Evidence,
    solution: Solution | None,
    M: np.ndarray,
    response: _Units,
    change: Mapping[str, _Units],
    part: str = "",
) -> Cause | None:
    """The cause, where the model in these coordinates, of X' = XM, gives the candidate's numbers."""
    left, a, b = given(evidence.reference_pieces), response.shift, response.scale
    # what said what the coordinates are proves nothing
    names = [name for name, units in change.items() if not units.plain_scale]
    names += [] if all(units.plain_shift for units in (response, *change.values())) else [_INTERCEPT]
    names += () if response.plain_scale else left.coef_names[-1:]
    fitted = [named("fixef", term=name) for name in names] + [named("sigma")] * (not response.plain_scale)
    proof = proof_by(evidence, solution, NUMBERS, fitted)
    if solution is None or proof is None or proof.matched < proof.total:
        return None
    # what the other coordinates do not move must be what it was: otherwise there is another fault
    rows = with_implied(evidence, solution, "fixef", "se", "sigma", "sd")
    kept = all_close(rows["candidate"], rows["implied"].fillna(rows["reference"]), Match.FOLLOWS)
    # of numbers far from 0 any function is one of its lines, to some digits
    a_line = not (response.plain_scale or response.plain_shift)
    if not kept or (a_line and proof.digits < REPRODUCED.alone):
        return None
    text = proof.words("the same model of these data")
    factor, shift = f"{b:.6g} times " if b != 1.0 else "", f" {a:+.6g}" if a else ""
    scaled = [f"The candidate's response is {factor}the reference's{shift}"] if factor or shift else []
    if (np.eye(len(M)) == M).all():
        return Finding(4, "response-scaled", Strength.RECOMPUTED).told(scaled[0], text, _SAME_UNIT)
    kinds = kinds_of(left, replace(left, X=left.X @ M), M)
    title = "; ".join([*dict.fromkeys(kind.words for kind in kinds), *scaled]) + part
    return Finding(3, kinds[0].name, Strength.RECOMPUTED).told(title, text, kinds[0].remedy)


def _constant(pieces: Pieces) -> np.ndarray:
    return np.array([name == _INTERCEPT for name in pieces.coef_names], dtype=float)


def _sds(x: np.ndarray) -> tuple[float, float]:
    return float(x.std(ddof=1)), float(x.std())


def _near(value: float, plain: tuple[float, ...], unit: float = 0.0) -> tuple[float, bool]:
    """A number that people use, where the value is one but for an optimizer's digits; or the value, and False."""
    found = [one for one in plain if abs(value - one) <= Match.FOLLOWS * (unit or abs(one))]
    return (min(found, key=lambda one: abs(value - one)), True) if found else (value, False)


def _responses(evidence: Evidence, pieces: Pieces, beta: np.ndarray, given: np.ndarray) -> Iterator[_Units]:
    """The coordinates that the response may have: its own first; by σ, or by the last coefficient without σ.

    σ does not tell a scale that is turned round, as items that are scored the other way are: the last coefficient does,
    as it would of a predictor that is.
    """
    yield _Units(1.0, 0.0)
    ours, theirs = evidence.pair("sigma")
    sds, constant = _sds(pieces.y), _constant(pieces)
    scales = (1.0, *(1.0 / sd for sd in sds))
    factors = [theirs / ours, -theirs / ours] if np.isfinite(theirs) else [*given[-1:] / beta[-1:]]
    if not beta.size:  # a shift moves σ where there is no intercept, and nothing tells the sign
        factors = [*scales, *factors[:1]]
    for factor in factors if pieces.offset is None else ():
        if not np.isfinite(factor) or factor == 0.0:
            continue
        b, plain = _near(factor, tuple(sign * one for sign in (1.0, -1.0) for one in scales))
        usual = (0.0, -b * float(pieces.y.mean()))
        estimated = _near(float((given - b * beta) @ constant), usual, abs(b) * sds[0])
        for a, plain_shift in dict.fromkeys(((usual[0], True), (usual[1], True), estimated)):
            if (a, abs(b)) != (0.0, 1.0) and (a == 0.0 or constant.any() or not beta.size):
                yield _Units(b, a, plain and b > 0, plain_shift)


def _predictors(pieces: Pieces, beta: np.ndarray, given: np.ndarray) -> Iterator[dict[str, _Units]]:
    """The coordinates that predictors may have: none, one, or all that are numbers, centred at their means or not."""
    yield {}
    shift, numeric = float((given - beta) @ _constant(pieces)), {}
    for name, x, b, g in zip(pieces.coef_names, pieces.X.T, beta, given, strict=True):
        if ":" in name or np.ptp(x) == 0 or b == 0.0 or g == 0.0:
            continue
        mean, sds = float(x.mean()), _sds(x)
        (scale, plain_scale), (centre, plain_centre) = _near(g / b, (1.0, *sds)), _near(shift / b, (0.0, mean), sds[0])
        yield {name: _Units(scale, centre, plain_scale, plain_centre)}
        if np.unique(x).size > 2:
            numeric[name] = _Units(scale, mean, plain_scale)
    if len(numeric) > 1:
        yield {name: units._replace(shift=0.0) for name, units in numeric.items()}
        yield numeric


def _in_units(
    pieces: Pieces, theta: np.ndarray, change: Mapping[str, _Units]
) -> tuple[Pieces, np.ndarray, np.ndarray] | None:
    """The model with x' = (x − shift)/scale of these predictors, its θ, and M; None where it is another model."""
    M = _mapping(pieces.coef_names, change)
    if M is None or (change and (np.abs(M) == np.eye(len(M))).all()):  # the other sign alone is another detector's
        return None
    blocks: list[np.ndarray] = []
    parts: list[np.ndarray] = []
    for term, T in zip(pieces.terms, pieces.templates(theta), strict=True):
        own = _mapping(term.effects, change)
        if own is None:
            return None
        kept, diagonal = ((own == other).all() for other in (np.eye(term.p), np.diag(np.diag(own))))
        if not (kept or term.structure.free or (diagonal and term.structure.name == "diag")):
            return None
        back = np.linalg.solve(own, T)
        part = term.structure.parameters(back @ back.T)
        if part is None:
            return None
        parts.append(part)
        blocks += [own] * term.J
    Z = sp.csc_array(pieces.Z @ sp.block_diag([sp.coo_array(block) for block in blocks])) if blocks else pieces.Z
    return replace(pieces, X=pieces.X @ M, Z=Z), np.concatenate([np.empty(0), *parts]), M


def _mapping(names: tuple[str, ...], change: Mapping[str, _Units]) -> np.ndarray | None:
    """M of columns with these names; None where what a centre needs is not among them."""
    M = np.eye(len(names))
    for x, (s, c, *_) in change.items():
        step = np.eye(len(names))
        for j, name in enumerate(names):
            parts = name.split(":")
            if x in parts:
                rest = ":".join(part for part in parts if part != x) or _INTERCEPT
                step[j, j] = 1.0 / s
                if c != 0.0 and rest not in names:
                    return None
                if c != 0.0:
                    step[names.index(rest), j] = -c / s
        M = M @ step
    return M


#: Name, words, and what the rule makes of the reference's numbers, of σ and of the effect's own standard deviation.
_Rule: TypeAlias = tuple[str, str, Callable[[np.ndarray, float, float], np.ndarray]]

_COMPONENTS: tuple[_Rule, ...] = (
    ("squared", "the squares of the reference's", lambda x, s, sd: x * x),
    ("square-root", "the square roots of the reference's", lambda x, s, sd: np.sqrt(x)),
    ("relative", "the reference's divided by σ (θ's scale)", lambda x, s, sd: x / s),
    ("relative-variance", "the reference's divided by σ² (relative covariances)", lambda x, s, sd: x / s**2),
    ("times-sigma", "the reference's times σ", lambda x, s, sd: x * s),
    ("times-variance", "the reference's times σ²", lambda x, s, sd: x * s**2),
    ("sd-over-sigma", "the roots of the reference's, divided by σ", lambda x, s, sd: np.sqrt(x) / s),
)

_MODES: tuple[_Rule, ...] = (
    ("relative", "the reference's divided by σ", lambda x, s, sd: x / s),
    ("times-sigma", "the reference's times σ", lambda x, s, sd: x * s),
    ("standardised", "the reference's divided by their own standard deviation (√Σ)", lambda x, s, sd: x / sd),
    ("standardised", "the reference's divided by the spread that they have", lambda x, s, sd: x / np.std(x, ddof=1)),
    ("spherical", "the spherical random effects u, where b = Λu", lambda x, s, sd: x * s / sd),
)

_CONDSDS: tuple[_Rule, ...] = (
    ("squared", "conditional variances, the squares of the sds", lambda x, s, sd: x**2),
    ("square-root", "the roots of the reference's", lambda x, s, sd: np.sqrt(x)),
    ("relative-variance", "conditional variances divided by σ²", lambda x, s, sd: (x / s) ** 2),
    ("relative", "the reference's divided by σ", lambda x, s, sd: x / s),
    ("times-sigma", "the reference's times σ", lambda x, s, sd: x * s),
)


def scale_of_components(evidence: Evidence) -> Cause | None:
    """Row 2: variance, SD, θ or relative covariance in each other's place."""
    sigma = evidence.value("reference", "sigma")
    assume(0 < sigma < math.inf)
    for quantity, words, unit, rules in (
        ("sd", "SDs", sigma, _COMPONENTS),
        ("variance", "variances", sigma**2, _COMPONENTS),
        ("covariance", "covariances", sigma**2, _COMPONENTS),
        ("sigma", "residual SD", sigma, _COMPONENTS),
        ("theta", "θ", 1.0, _COMPONENTS),
        ("se", "standard errors", 0.0, _COMPONENTS[:1]),
    ):
        left, right = evidence.arrays(quantity)
        off = np.array([not close(c, r, Match.ROUGH) for r, c in zip(left, right, strict=True)], dtype=bool)
        # A 0 or a 1 is its own square; the residual's row is judged with the others.
        telling = off & (np.abs(left) > Match.CHAINED * unit) & (np.abs(np.abs(left) - 1) > Match.RULE)
        left, right = left[telling], right[telling]
        for name, description, rule in rules if len(left) else ():
            with np.errstate(invalid="ignore"):
                expected = rule(left, sigma, math.nan)
            if all_close(right, expected, Match.FOLLOWS):
                return Finding(2, f"scale-{name}", Strength.RULE, frozenset({quantity})).told(
                    f"The candidate's {words} are {description}",
                    f"{len(left)} of {len(left)} differing {words} match: reference {left[0]:.6g}, candidate "
                    f"{right[0]:.6g}, expected under this fault {expected[0]:.6g} (σ = {sigma:.6g})",
                    "Report variances as variances, SDs as their roots, and both on the scale of the response: "
                    "Σ = σ²TT', where T is made of θ.",
                )
    # SDs that are the candidate's own variances (or the other way round), whatever the reference has
    both = evidence.compared("sd").merge(evidence.compared("variance"), on=["group", "term"], suffixes=("", "_var"))
    both = both[(np.abs(both["candidate"] - 1) > Match.RULE) & (both["candidate"] > Match.CHAINED * sigma)]
    both = both[np.isfinite(both["candidate_var"])]
    assume(len(both) > 1 and all_close(both["candidate"], both["candidate_var"], Match.COMPUTED))
    value, sd, variance = (float(both[name].iloc[0]) for name in ("candidate", "reference", "reference_var"))
    squared = abs(math.log(value / variance)) < abs(math.log(value / sd)) if sd > 0 and variance > 0 else True
    return Finding(2, "scale-squared" if squared else "scale-square-root", Strength.OWN_RULE).told(
        "The candidate's SDs are its own variances" if squared else "The candidate's variances are its own SDs",
        f"for all {len(both)} components both are the same number, e.g. {value:.6g} (reference: SD {sd:.6g}, variance "
        f"{variance:.6g})",
        "An SD is the root of the variance: report both on the scale of the response.",
    )


def scale_of_modes(evidence: Evidence) -> Cause | None:
    """Row 2: BLUPs or their conditional sds on another scale: over σ, standardised, squared."""
    sigma = evidence.value("reference", "sigma")
    assume(sigma > 0)
    sds: dict[object, float] = {(r["group"], r["term"]): r["reference"] for r in records(evidence.compared("sd"))}
    for quantity, kind, words, rules in (
        ("ranef", "modes", "random effects", _MODES),
        ("condsd", "condsd", "conditional sds", _CONDSDS),
    ):
        found: list[tuple[str, str, str]] = []
        for place, part in evidence.compared(quantity).groupby(["group", "term"], sort=False):
            left, right = part["reference"].to_numpy(dtype=float), part["candidate"].to_numpy(dtype=float)
            if len(left) < 3 or not np.isfinite(right).all() or _all_near(right, left):
                continue
            sd, i = sds.get(place, math.nan), int(np.argmax(np.abs(left)))
            name, text, _ = first_of(rule for rule in rules if _all_near(right, rule[2](left, sigma, sd)))
            shown = f"{left[i]:.6g} in the reference, {right[i]:.6g} in the candidate"
            found.append((name, text, f"{place[0]} {part['level'].iloc[i]} {place[1]}: {shown}"))
        if found:
            name, text, where = found[0]
            return Finding(2, f"{kind}-{name}", Strength.COUNTS, frozenset({quantity})).told(
                f"The candidate's {words} are {text}",
                f"at all levels; e.g. {where} (σ = {sigma:.6g})",
                "ranef() is on the scale of the response (for a slope: of the response per unit of the predictor), and "
                "so are the conditional sds.",
            )
    return None


def _all_near(values: np.ndarray, expected: np.ndarray) -> bool:
    """Whether numbers are those expected, in units of the largest; where all of these are 0 nothing tells."""
    size = float(np.max(np.abs(expected), initial=0.0))
    return bool((np.abs(values - expected) <= Match.FOLLOWS * size).all()) or size == 0.0


def correlations(evidence: Evidence) -> Cause | None:
    """Rows 2 and 7: covariances reported as correlations, or correlations reported as 0 though they were estimated."""
    rows, place = evidence.compared("covariance"), ["group", "term", "term2"]
    rows = evidence.compared("cor").merge(rows, "left", place, suffixes=("", "_covariance"))
    off = rows[[not close(r["candidate"], r["reference"], Match.ROUGH) for r in records(rows)]]
    assume(len(off))
    first = off.iloc[0]
    where = f"{first['group']}: {first['term']}, {first['term2']}"
    if all_close(off["candidate"], off["reference_covariance"]):
        return Finding(2, "scale-covariance", Strength.RULE).told(
            "The candidate's correlations are covariances",
            f"{where}: {first['candidate']:.6g} is the reference's covariance, its correlation is "
            f"{first['reference']:.6g}",
            "A correlation is the covariance over the product of both SDs, and lies between −1 and 1.",
        )
    theta, sds = evidence.arrays("theta"), evidence.compared("sd").merge(off[["group"]].drop_duplicates())
    # where the same term's variances are others, too, it is another matrix, not a 0 in this one
    assume(all_close(sds["candidate"], sds["reference"], Match.ROUGH))
    assume((off["candidate"] == 0.0).all() and len(theta[0]) and all_close(theta[1], theta[0], Match.ROUGH))
    return Finding(7, "correlation-not-reported", Strength.RULE).told(
        "The candidate estimated the correlation of random effects, and reports 0",
        f"{where}: {first['reference']:.6g} in the reference; the candidate's θ, from which it follows, is the "
        "reference's",
        "Compute Σ = σ²TT' from θ, its elements off the diagonal included.",
    )
