"""Rows 3 and 4 of a candidate that gives no design: a predictor, or the response, in another unit or centred.

Such a fit is the reference's in other coordinates. x = c + s x' makes of the columns of X, and of those of Z of every
level, the same columns times an invertible matrix M, of β the vector M⁻¹β, and of Σ the matrix M⁻¹ΣM⁻ᵀ; y' = a + b y
moves the intercept and the scale. So every number follows from the reference's own optimum. What the coordinates are
the coefficients say (and σ); all other numbers are the proof.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from validation.algebra import Pieces, Solution, solve
from validation.judge.diagnosis import all_close, assume, close, given
from validation.judge.diagnosis.coding import kinds_of
from validation.judge.diagnosis.model import another_model, optimum_of, searchable
from validation.judge.diagnosis.reproduced import NUMBERS, proof_by
from validation.judge.evidence import Evidence
from validation.judge.implied import implied_numbers
from validation.quantities import Key, key_of, quietly, records
from validation.tolerances import REPRODUCED, Match, Strength
from validation.verdict import Cause, Finding

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


class _Model(NamedTuple):
    """The reference's model in other coordinates.

    ``mapping`` is M with X' = XM, and ``fitted`` are the numbers that said what the coordinates are.
    """

    response: _Units
    mapping: np.ndarray
    solution: Solution | None
    fitted: list[Key]
    part: str = ""


def other_units(evidence: Evidence) -> Cause | None:
    """Rows 3 and 4: predictors or the response in another unit, or centred, where that gives the numbers."""
    pieces, theta = given(searchable(evidence)), given(evidence.reference_theta)
    ours, theirs = evidence.by_term("fixef")
    assume(evidence.candidate_pieces is None and not another_model(evidence) and ours.keys() == {*pieces.coef_names})
    models = _models(evidence, pieces, theta, ours, theirs) if ours else _without_coefficients(evidence, pieces)
    found: dict[str, Cause] = {}
    for model in models:
        proof = proof_by(evidence, model.solution, NUMBERS, model.fitted)
        if proof is None or proof.matched < proof.total or not _others_kept(evidence, model.solution):
            continue
        # of numbers far from 0 any function is one of its lines, to some digits
        a_line = not (model.response.plain_scale or model.response.plain_shift)
        if not a_line or proof.digits >= REPRODUCED.alone:
            cause = _cause(pieces, model, proof.words("the same model of these data"))
            found.setdefault(cause.title, cause)
    return next(iter(found.values())) if len(found) == 1 else None  # of several with the same numbers none is named


def _models(
    evidence: Evidence, pieces: Pieces, theta: np.ndarray, ours: Mapping[str, float], theirs: Mapping[str, float]
) -> Iterator[_Model]:
    """The model in coordinates that its coefficients speak of, at what the reference's optimum is there."""
    beta, told = (np.array([side[name] for name in pieces.coef_names]) for side in (ours, theirs))
    for response in _responses(evidence, pieces, beta, told):
        a, b = response.shift, response.scale
        moved = b * beta + a * _constant(pieces)
        for change in _predictors(pieces, moved, told):
            changed = None if _compensate(response, change) else _in_units(pieces, theta, change)
            if changed is None or not all_close(told, np.linalg.solve(changed[2], moved), Match.FOLLOWS):
                continue
            right, point, M = changed
            solution = quietly(lambda: solve(replace(right, y=a + b * right.y), point, evidence.reml), None)  # noqa: B023
            yield _Model(response, M, solution, _fitted(pieces, response, change))
    numeric = [(name, x) for name, x in zip(pieces.coef_names, pieces.X.T, strict=True) if np.unique(x).size > 2]
    for name, x in numeric if all_close(told, beta, Match.FOLLOWS) else ():
        for units in (_Units(s, c) for s in (1.0, _sds(x)[0]) for c in (0.0, float(x.mean()))):
            if (changed := _in_units(pieces, theta, {name: units})) is not None:
                alone = solve(replace(changed[0], X=pieces.X), changed[1], evidence.reml)
                yield _Model(_Units(1.0, 0.0), changed[2], alone, [], ", in the random part alone")


def _without_coefficients(evidence: Evidence, pieces: Pieces) -> Iterator[_Model]:
    """Other coordinates of the response alone: without an intercept a shift is another model, with another optimum."""
    sds, (ours, theirs) = _sds(pieces.y), evidence.pair("sigma")
    scales = (1.0, *(1.0 / sd for sd in sds))
    usual = [_Units(b, a) for b in scales for a in (0.0, -b * float(pieces.y.mean())) if (b, a) != (1.0, 0.0)]
    b, plain = _near(theirs / ours, scales)
    for response in usual if plain or not np.isfinite(b) else [*usual, _Units(b, 0.0, plain_scale=False)]:
        right = replace(pieces, y=response.shift + response.scale * pieces.y)
        yield _Model(response, np.eye(0), optimum_of(right, evidence.reml), _fitted(pieces, response, {}))


def _compensate(response: _Units, change: Mapping[str, _Units]) -> bool:
    """Whether shifts of the response and of predictors, one of them estimated, make up for each other."""
    shifted = [units for units in change.values() if units.shift != 0.0]
    return response.shift != 0.0 and bool(shifted) and not all(u.plain_shift for u in (response, *shifted))


def _fitted(pieces: Pieces, response: _Units, change: Mapping[str, _Units]) -> list[Key]:
    """The numbers that said what the coordinates are, and so prove nothing."""
    names = [name for name, units in change.items() if not units.plain_scale]
    if not all(units.plain_shift for units in (response, *change.values())):
        names.append(_INTERCEPT)
    if not response.plain_scale:
        names += pieces.coef_names[-1:]
    keys: list[Key] = [("fixef", None, name, None, None) for name in names]
    return keys if response.plain_scale else [*keys, ("sigma", None, None, None, None)]


def _cause(left: Pieces, model: _Model, text: str) -> Cause:
    M, a, b = model.mapping, model.response.shift, model.response.scale
    factor, shift = f"{b:.6g} times " if b != 1.0 else "", f" {a:+.6g}" if a else ""
    scaled = f"The candidate's response is {factor}the reference's{shift}"
    if (np.eye(len(M)) == M).all():
        return Finding(4, "response-scaled", Strength.RECOMPUTED).told(scaled, text, _SAME_UNIT)
    kinds = kinds_of(left, replace(left, X=left.X @ M), M)
    titles = [*dict.fromkeys(kind.words for kind in kinds), *([scaled] if b != 1.0 or a else [])]
    return Finding(3, kinds[0].name, Strength.RECOMPUTED).told("; ".join(titles) + model.part, text, kinds[0].remedy)


def _others_kept(evidence: Evidence, solution: Solution | None) -> bool:
    """Whether what the other coordinates do not move is what it was: otherwise there is another fault."""
    expected = {} if solution is None else implied_numbers(solution)
    rows = records(evidence.compared("fixef", "se", "sigma", "sd"))
    return all(close(r["candidate"], expected.get(key_of(r), r["reference"]), Match.FOLLOWS) for r in rows)


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
    factors = (theirs / ours, -theirs / ours) if np.isfinite(theirs) else (float(given[-1] / beta[-1]),)
    sds, constant = _sds(pieces.y), _constant(pieces)
    for factor in factors if pieces.offset is None else ():
        if not np.isfinite(factor) or factor == 0.0:
            continue
        b, plain = _near(factor, tuple(sign * one for sign in (1.0, -1.0) for one in (1.0, *(1.0 / sd for sd in sds))))
        usual = (0.0, -b * float(pieces.y.mean()))
        estimated = _near(float((given - b * beta) @ constant), usual, abs(b) * sds[0])
        for a, plain_shift in dict.fromkeys(((usual[0], True), (usual[1], True), estimated)):
            if (a, abs(b)) != (0.0, 1.0) and (a == 0.0 or constant.any()):
                yield _Units(b, a, plain and b > 0, plain_shift)


def _predictors(pieces: Pieces, beta: np.ndarray, given: np.ndarray) -> Iterator[dict[str, _Units]]:
    """The coordinates that predictors may have: none, one, or all that are numbers, centred at their means or not."""
    yield {}
    columns = {
        name: (x, b, g)
        for name, x, b, g in zip(pieces.coef_names, pieces.X.T, beta, given, strict=True)
        if ":" not in name and np.ptp(x) > 0 and b != 0.0 and g != 0.0
    }
    unit = {name: _near(g / b, (1.0, *_sds(x))) for name, (x, b, g) in columns.items()}
    mean = {name: float(x.mean()) for name, (x, _, _) in columns.items()}
    shift = float((given - beta) @ _constant(pieces))
    for name, (x, b, _) in columns.items():
        centre = _near(shift / b, (0.0, mean[name]), _sds(x)[0])
        yield {name: _Units(unit[name][0], centre[0], unit[name][1], centre[1])}
    numeric = [name for name, (x, _, _) in columns.items() if np.unique(x).size > 2]
    if len(numeric) > 1:
        for centred in (0.0, 1.0):
            yield {name: _Units(unit[name][0], mean[name] * centred, unit[name][1]) for name in numeric}


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
