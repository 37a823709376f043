"""Row 11: predictions, and BLUPs that are not shrunken."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.algebra import Pieces, Term
from validation.judge.diagnosis import assume, given
from validation.judge.diagnosis.model import same_model
from validation.judge.evidence import Evidence
from validation.quantities import records
from validation.tolerances import Match, Share, Strength
from validation.verdict import Cause, Finding


def predictions(evidence: Evidence) -> Cause | None:
    """Row 11: marginal in place of conditional predictions, or unseen levels that do not get the random effect 0."""
    assume(same_model(evidence))  # another model predicts otherwise
    sigma = evidence.value("reference", "sigma")
    same = Match.FOLLOWS * sigma
    marginal, new = evidence.compared("predict-marginal"), evidence.compared("predict-new")
    fits = evidence.rows("fitted")
    conditional, population = (dict(zip(p["level"], p["reference"], strict=True)) for p in (fits, marginal))

    def gap(rows: pd.DataFrame, other: dict[str, float] | None = None) -> float:
        """How far the candidate's predictions are from the reference's, or from others where all these are known."""
        target = rows["reference"] if other is None else rows["level"].map(lambda row: other.get(row, math.inf))
        return float(np.max(np.abs((rows["candidate"] - target).to_numpy(dtype=float)), initial=0.0))

    if gap(marginal) > same > gap(marginal, conditional):
        return Finding(11, "conditional-for-marginal", Strength.ANOTHER_MODEL).told(
            "Predictions for the population contain the random effects",
            f"asked for the fixed effects alone (re.form = ~0) the candidate gives the conditional predictions, up "
            f"to {gap(marginal):.4g} from the marginal ones",
            "predict(re.form = ~0) is Xβ: what is expected of a new group. Leave the random effects out.",
        )
    assume(gap(new) > same >= gap(marginal) and not marginal.empty and set(new["level"]) <= conditional.keys())
    words, shift = "not Xβ", new["candidate"].to_numpy() - new["reference"].to_numpy()
    if gap(new, conditional) < same:
        words = "those of the rows' old levels"
    elif np.ptp(shift) < Match.RULE * sigma:
        modes = evidence.rows("ranef")
        of_level = modes[np.abs(modes["reference"] - shift.mean()) < Match.RULE * sigma]
        words = f"all off by {shift.mean():.5g}"
        words += f", the random effect of level {of_level['level'].iloc[0]}" if len(of_level) else ""
    strength = Strength.ANOTHER_INPUT if gap(new, population) > 0 else Strength.CERTAIN
    return Finding(11, "new-levels", strength).told(
        "Predictions for levels that the data do not have are wrong",
        f"for {len(new)} rows with unseen levels the candidate's predictions are {words}; they differ from the "
        f"reference's by up to {gap(new):.4g}",
        "A level that was not in the data has the random effect 0, its expectation: with allow.new.levels = TRUE "
        "lme4 predicts from the fixed effects (and from the levels that are known).",
    )


def unshrunken(evidence: Evidence) -> Cause | None:
    """Row 11: BLUPs without shrinkage, or coefficients in their place."""
    pieces, rows = given(evidence.reference_pieces), evidence.compared("ranef")
    assume(evidence.reference_theta is not None)
    sigma = evidence.value("reference", "sigma")
    same = Match.FOLLOWS * sigma
    assume(not (np.abs(rows["candidate"] - rows["reference"]) < same).all())
    labels = list(zip(rows["group"], rows["term"], rows["level"], strict=True))
    reference, candidate = (dict(zip(labels, rows[side], strict=True)) for side in ("reference", "candidate"))
    for unpooled in _unpooled(evidence, pieces):
        keys = [key for key in candidate if key in unpooled]
        matched = [key for key in keys if abs(candidate[key] - unpooled[key]) < same]
        telling = [key for key in keys if abs(reference[key] - unpooled[key]) > Match.ROUGH * sigma]
        if len(telling) < 2 or len(matched) < Share.MOST * len(keys):
            continue
        key = max(telling, key=lambda k: abs(reference[k] - unpooled[k]))
        return Finding(11, "unshrunken", Strength.RECOMPUTED).told(
            "The random effects are not shrunken: each level was estimated from its own rows alone",
            f"{len(matched)} of {len(keys)} values equal the level's own least-squares estimate; for {key[2]} the "
            f"candidate has {candidate[key]:.6g}, the BLUP is {reference[key]:.6g}: a ratio of "
            f"{candidate[key] / reference[key] if reference[key] else math.inf:.4g}, one over the shrinkage factor",
            "Conditional modes are the level's own estimate times the shrinkage factor, σ_a²/(σ_a² + σ²/n_j) for a "
            "random intercept.",
        )
    fixed = {r["term"]: r["reference"] for r in records(evidence.rows("fixef"))}
    added = {key: fixed.get(key[1], 0.0) for key in candidate}
    shifted = [k for k in added if abs(candidate[k] - reference[k] - added[k]) < same]
    assume(len(shifted) >= Share.MOST * len(added) and any(abs(x) > Match.ROUGH * sigma for x in added.values()))
    return Finding(11, "coef-for-ranef", Strength.RECOMPUTED).told(
        "ranef() holds coefficients: fixed effect plus random effect",
        f"{len(shifted)} of {len(added)} values are the reference's conditional mode plus its fixed effect",
        "ranef() are deviations from the fixed effects; coef() is their sum.",
    )


def other_fits(evidence: Evidence) -> Cause | None:
    """Row 11: fitted values or residuals that leave a part of R's out, or residuals on another scale."""
    solution = given(evidence.at_reference)
    pieces, sigma, own = solution.pieces, solution.sigma, evidence.at_candidate
    parts, Z, start = {"the random effects": solution.fitted - solution.marginal}, pieces.Z.tocsc(), 0
    for term in pieces.terms if len(pieces.terms) > 1 else ():
        columns = slice(start, start + term.J * term.p)
        start += term.J * term.p
        parts[f"the random effects of {term.name}"] = Z[:, columns] @ solution.b[columns]
    if pieces.offset is not None:
        parts["the offset"] = pieces.offset
    residuals = pieces.y - solution.fitted
    known = [
        *(("fitted", f"Fitted values leave {what} out", solution.fitted - part, sigma) for what, part in parts.items()),
        *(
            ("residuals", f"Residuals are those without {what}", residuals + part, sigma)
            for what, part in parts.items()
        ),
        ("residuals", "Residuals are divided by σ", residuals / sigma, 1.0),
    ]
    if pieces.weights is not None:
        weighted = np.sqrt(pieces.weights) * residuals
        known.append(("residuals", "Residuals are multiplied by the roots of the prior weights", weighted, sigma))
    for quantity, title, expected, unit in known:
        ours, theirs = evidence.arrays(quantity)
        if theirs.size != expected.size:
            continue
        away, from_right = (float(np.abs(theirs - values).max()) for values in (expected, ours))
        # At the candidate's own θ̂ what it gives may be right: where a variance is 0, both are one.
        of_own = None if own is None else own.fitted if quantity == "fitted" else pieces.y - own.fitted
        follows = of_own is not None and np.abs(theirs - of_own).max() < Match.FOLLOWS * unit
        if away < Match.FOLLOWS * unit < from_right and not follows:
            name = "marginal-fitted" if title == known[0][1] else f"other-{quantity}"
            return Finding(11, name, Strength.SAME_NUMBERS).told(
                title,
                f"they are that to {away:.2g}, and up to {from_right:.4g} from R's",
                "fitted() of lme4 is conditional, Xβ + Zb and the offset, and residuals() are the response less these. "
                "Marginal predictions are predict(re_form = NA).",
            )
    return None


def _unpooled(evidence: Evidence, pieces: Pieces) -> Iterator[dict[tuple[str, str, str], float]]:
    """Least-squares estimates of each level's effects from its own rows, term by term.

    Given the fixed effects; with several terms, both with the other terms' conditional modes taken off first
    and without.
    """
    if (solution := evidence.at_reference) is None:
        return
    marginal, Z = pieces.y - solution.marginal, pieces.Z.tocsc()
    root = np.ones(marginal.size) if pieces.weights is None else np.sqrt(pieces.weights)
    start = 0
    for term in pieces.terms:
        columns = slice(start, start + term.J * term.p)
        start += term.J * term.p
        others = np.where(np.isin(np.arange(solution.b.size), np.r_[columns]), 0.0, solution.b)
        residuals = [marginal] if len(pieces.terms) == 1 else [marginal - Z @ others, marginal]
        for residual in residuals:
            yield _by_level(term, sp.csc_array(sp.diags_array(root) @ Z[:, columns]), root * residual)


def _by_level(term: Term, Z: Any, residual: np.ndarray) -> dict[tuple[str, str, str], float]:
    values: dict[tuple[str, str, str], float] = {}
    for i, level in enumerate(term.levels):
        block = Z[:, i * term.p : (i + 1) * term.p]
        used = np.unique(block.indices)
        columns = block.toarray()[used]
        estimate, _, rank, _ = np.linalg.lstsq(columns, residual[used], rcond=None)
        for effect, value in zip(term.effects, estimate, strict=True) if rank == term.p else ():
            values[term.group, effect, level] = float(value)
    return values
