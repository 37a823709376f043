"""Rows 7 and 8: other random-effects terms, effects that were left out, and the order of θ."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from validation.algebra import Pieces
from validation.judge.diagnosis.coding import basis
from validation.judge.diagnosis.model import (
    TermOf,
    another_model,
    count_of_theta,
    levels_of,
    optimum_of,
    searchable,
    terms_of,
)
from validation.judge.diagnosis.names import other_names
from validation.judge.diagnosis.reproduced import NUMBERS, proof_by
from validation.judge.diagnosis.rows import rows_used
from validation.judge.evidence import Evidence
from validation.tolerances import Strength
from validation.verdict import Cause

__all__ = ["lost_effects", "model_structure", "order_of_theta"]

#: What to do where random effects are others.
_RANDOM_PART = (
    "Write the random part as lme4 reads it: (x | g) has an intercept and a correlation, (x || g) no correlation, "
    "(1 | a/b) is (1 | a) + (1 | a:b), and levels of b that repeat within a mean nothing without a."
)


def model_structure(evidence: Evidence) -> Cause | None:
    """Row 7: crossed against nested, || against |, an implied intercept lost."""
    sides = ("reference", "candidate")
    terms = {side: terms_of(evidence, side) for side in sides}
    ours, theirs = terms.values()
    if not ours or not theirs:
        return None
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    fixed_lost = (
        left is not None
        and right is not None
        and ("(Intercept)" in left.coef_names) != ("(Intercept)" in right.coef_names)
        and left.X.shape[1] != right.X.shape[1]
    )
    if sorted(ours) == sorted(theirs) and not fixed_lost:
        return None  # another order at most, which order_of_theta looks at
    thetas = [count_of_theta(evidence, side, terms[side]) for side in sides]
    if _only_recoded(left, right, ours, theirs) or (thetas[0] == thetas[1] and other_names(evidence)):
        return None
    columns = [sum(count * len(effects) for _, count, effects in found) for found in (ours, theirs)]
    effects = [sorted((group, e) for group, _, es in found for e in es) for found in (ours, theirs)]
    lost = [e for e in effects[0] if e not in effects[1]]
    groups = [{group: count for group, count, _ in found} for found in (ours, theirs)]
    same_groups = groups[0].keys() == groups[1].keys()
    if fixed_lost and ours == theirs:
        side = "candidate" if left is not None and "(Intercept)" in left.coef_names else "reference"
        name, title = "intercept-lost", f"The {side} has no intercept among its fixed effects"
    elif lost and all(effect == "(Intercept)" for _, effect in lost) and same_groups:
        name, title = "random-intercept-lost", "A random-effects term lost its implied intercept"
    elif effects[0] == effects[1] and thetas[0] != thetas[1]:
        side = "candidate" if thetas[1] < thetas[0] else "reference"
        title = f"The {side} keeps random effects independent (||), the other correlates them (|)"
        name = "correlation-lost"
    elif groups[0] != groups[1] and (unused := _unused_levels(evidence)):
        name, title = "unused-levels", f"The candidate keeps levels that do not occur in the data: {unused}"
    elif groups[0] != groups[1]:
        name, title = "crossed-vs-nested", "The grouping factors differ: crossed against nested, or other levels"
        nobs = evidence.pair("nobs")
        if same_groups and (nobs[0] != nobs[1] or rows_used(evidence) is not None):
            return None  # other rows have other levels: row 4 explains it
    else:
        name, title = "random-terms", "The two sides do not have the same random-effects terms"
    # of a factor that only a table of variances names, the levels are not known
    known = [all(count for _, count, _ in found) for found in (ours, theirs)]
    counts = [f"{theta} θ" + f" and {n} columns of Z" * k for theta, n, k in zip(thetas, columns, known, strict=True)]
    shown = "; ".join(
        f"{side}: "
        + ", ".join(f"({' + '.join(es)} | {group}{f', {J} levels' if J else ''})" for group, J, es in terms[side])
        for side in sides
    )
    return Cause(
        7,
        name,
        title,
        f"{counts[0]} in the reference, {counts[1]} in the candidate. {shown}",
        _RANDOM_PART,
        strength=Strength.ANOTHER_MODEL,
    )


def order_of_theta(evidence: Evidence) -> Cause | None:
    """Row 8: θ's elements in another order than lme4's."""
    left, right = evidence.theta("reference"), evidence.theta("candidate")
    if left is None or right is None or sorted(left.index) != sorted(right.index) or left.index.equals(right.index):
        return None
    return Cause(
        8,
        "theta-order",
        "The elements of θ stand in another order",
        f"lme4: {', '.join(map(str, left.index))}; the candidate: {', '.join(map(str, right.index))}",
        "lme4 sorts terms by their number of levels, most first, and takes each term's lower triangle column by "
        "column; a start value or a profile given by position goes wrong otherwise.",
        strength=Strength.PARTIAL,
    )


def _only_recoded(left: Pieces | None, right: Pieces | None, ours: list[TermOf], theirs: list[TermOf]) -> bool:
    """Whether the terms differ by the names of recoded columns only: row 3 explains that."""
    if left is None or right is None or basis(left, right) is None:
        return False
    if [(group, count, len(es)) for group, count, es in ours] != [(g, count, len(es)) for g, count, es in theirs]:
        return False
    return all(
        a == b or (a in left.coef_names and b in right.coef_names)
        for (_, _, first), (_, _, second) in zip(ours, theirs, strict=True)
        for a, b in zip(first, second, strict=True)
    )


def _unused_levels(evidence: Evidence) -> str:
    """Levels that only the candidate has and no row of the data; the empty string where there are others as well."""
    found: list[str] = []
    theirs = levels_of(evidence, "candidate")
    for group, ours in levels_of(evidence, "reference").items():
        extra = set(theirs.get(group, ours)) - set(ours)
        if set(ours) - set(theirs.get(group, ours)) or evidence.data is None or group not in evidence.data:
            return ""
        if extra & set(evidence.data[group].dropna().astype(str)):
            return ""
        found += [f"{label!r} of {group}" for label in sorted(extra)]
    return ", ".join(found[:5])


#: What is the same in all coordinates of the fixed effects, and so tells nothing of these.
_OF_ANY_COORDINATES = frozenset({"logLik", "sigma"})


def lost_effects(evidence: Evidence) -> Cause | None:
    """Row 7: a random effect, a term or all of them left out, where that model alone gives the candidate's numbers."""
    pieces = searchable(evidence)
    if pieces is None or evidence.rows("variance", "theta")["has_candidate"].any() or another_model(evidence):
        return None
    # (0 + x | g) of a centred x is another model, which may have no variance there
    origin_is_no_matter = all(
        set(term.effects) <= {"(Intercept)"} or (term.structure.free and "(Intercept)" in term.effects)
        for term in pieces.terms
    )
    found: list[Cause] = []
    for what, model in _submodels(pieces):
        solution = evidence.solve(np.zeros(pieces.n_theta)) if model is None else optimum_of(model, evidence.reml)
        proof = proof_by(evidence, solution, NUMBERS)
        if proof is not None and (origin_is_no_matter or not _OF_ANY_COORDINATES.issuperset(proof.quantities)):
            # the same model, and no variance of the candidate's that would tell
            title = f"The candidate left out {what}, or put the variance to 0"
            text = proof.words(f"the model without {what}")
            name = "random-effects-left-out-or-zero"
            found.append(Cause(7, name, title, text, _RANDOM_PART, strength=Strength.RECOMPUTED))
    return found[0] if len(found) == 1 else None  # of several that give the same numbers none is named


def _submodels(pieces: Pieces) -> Iterator[tuple[str, Pieces | None]]:
    """What is left out, and the model without it: None where no random effects are left."""
    yield "the random effects: its numbers are those of least squares", None
    start = 0
    for place, term in enumerate(pieces.terms):
        columns = np.arange(start, start + term.J * term.p)
        start += term.J * term.p
        others = pieces.terms[:place], pieces.terms[place + 1 :]
        if len(pieces.terms) > 1:
            left = tuple(np.delete(np.arange(pieces.Z.shape[1]), columns))
            fewer_terms = replace(pieces, Z=pieces.Z[:, left], terms=(*others[0], *others[1]))
            yield f"the random effects of {term.name}", fewer_terms
        for j, effect in enumerate(term.effects if term.p > 1 else ()):
            left = tuple(np.delete(np.arange(pieces.Z.shape[1]), columns[j :: term.p]))
            fewer = replace(term, effects=(*term.effects[:j], *term.effects[j + 1 :]))
            model = replace(pieces, Z=pieces.Z[:, left], terms=(*others[0], fewer, *others[1]))
            yield f"the random effect {effect} of {term.name}", model
