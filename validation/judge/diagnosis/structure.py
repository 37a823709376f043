"""Rows 7 and 8: other random-effects terms, effects that were left out, and the order of θ."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from validation.algebra import Pieces, Term
from validation.judge.diagnosis import assume, found_by, given
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
from validation.verdict import Cause, Finding

#: What to do where random effects are others.
_RANDOM_PART = (
    "Write the random part as lme4 reads it: (x | g) has an intercept and a correlation, (x || g) no correlation, "
    "(1 | a/b) is (1 | a) + (1 | a:b), and levels of b that repeat within a mean nothing without a."
)


def model_structure(evidence: Evidence) -> Cause | None:
    """Row 7: crossed against nested, || against |, an implied intercept lost."""
    terms = {side: terms_of(evidence, side) for side in ("reference", "candidate")}
    ours, theirs = terms.values()
    assume(ours and theirs)
    left, right, fixed_lost = evidence.reference_pieces, evidence.candidate_pieces, False
    if left is not None and right is not None:
        intercepts = ["(Intercept)" in pieces.coef_names for pieces in (left, right)]
        fixed_lost = intercepts[0] != intercepts[1] and left.X.shape[1] != right.X.shape[1]
        assume(not _only_recoded(left, right, ours, theirs))
    assume(fixed_lost or sorted(ours) != sorted(theirs))  # otherwise another order, which order_of_theta looks at
    thetas = [count_of_theta(evidence, *part) for part in terms.items()]
    assume(thetas[0] != thetas[1] or not found_by(other_names, evidence))
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
        # other rows have other levels: row 4 explains it
        assume(not same_groups or (nobs[0] == nobs[1] and not found_by(rows_used, evidence)))
    else:
        name, title = "random-terms", "The two sides do not have the same random-effects terms"
    # of a factor that only a table of variances names, the levels are not known
    known = [all(count for _, count, _ in found) for found in (ours, theirs)]
    counts = [f"{theta} θ" + f" and {n} columns of Z" * k for theta, n, k in zip(thetas, columns, known, strict=True)]
    shown = "; ".join(
        f"{side}: " + ", ".join(f"({' + '.join(es)} | {group}{f', {J} levels' if J else ''})" for group, J, es in found)
        for side, found in terms.items()
    )
    return Finding(7, name, Strength.ANOTHER_MODEL).told(
        title, f"{counts[0]} in the reference, {counts[1]} in the candidate. {shown}", _RANDOM_PART
    )


def order_of_theta(evidence: Evidence) -> Cause | None:
    """Row 8: θ's elements in another order than lme4's."""
    left, right = given(evidence.theta("reference")), given(evidence.theta("candidate"))
    assume(sorted(left.index) == sorted(right.index) and not left.index.equals(right.index))
    return Finding(8, "theta-order", Strength.PARTIAL).told(
        "The elements of θ stand in another order",
        f"lme4: {', '.join(map(str, left.index))}; the candidate: {', '.join(map(str, right.index))}",
        "lme4 sorts terms by their number of levels, most first, and takes each term's lower triangle column by "
        "column; a start value or a profile given by position goes wrong otherwise.",
    )


def _only_recoded(left: Pieces, right: Pieces, ours: list[TermOf], theirs: list[TermOf]) -> bool:
    """Whether the terms differ by the names of recoded columns only: row 3 explains that."""
    shapes = [[(group, count, len(es)) for group, count, es in terms] for terms in (ours, theirs)]
    return (
        shapes[0] == shapes[1]
        and basis(left, right) is not None
        and all(
            a == b or (a in left.coef_names and b in right.coef_names)
            for (_, _, first), (_, _, second) in zip(ours, theirs, strict=True)
            for a, b in zip(first, second, strict=True)
        )
    )


def _unused_levels(evidence: Evidence) -> str:
    """Levels that only the candidate has and no row of the data; the empty string where there are others as well."""
    found: list[str] = []
    given_levels = levels_of(evidence, "candidate")
    for group, ours in levels_of(evidence, "reference").items():
        theirs = given_levels.get(group, ours)
        extra = set(theirs) - set(ours)
        if set(ours) - set(theirs) or evidence.data is None or group not in evidence.data:
            return ""
        if extra & set(evidence.data[group].dropna().astype(str)):
            return ""
        found += [f"{label!r} of {group}" for label in sorted(extra)]
    return ", ".join(found[:5])


def lost_effects(evidence: Evidence) -> Cause | None:
    """Row 7: a random effect, a term or all of them left out, where that model alone gives the candidate's numbers."""
    pieces = given(searchable(evidence))
    assume(not evidence.rows("variance", "theta")["has_candidate"].any() and not another_model(evidence))
    # (0 + x | g) of a centred x is another model, which may have no variance there
    origin_is_no_matter = all(
        set(term.effects) <= {"(Intercept)"} or (term.structure.free and "(Intercept)" in term.effects)
        for term in pieces.terms
    )
    found: list[Cause] = []
    for what, model in _submodels(pieces):
        solution = evidence.solve(np.zeros(pieces.n_theta)) if model is None else optimum_of(model, evidence.reml)
        proof = proof_by(evidence, solution, NUMBERS)
        # logLik and σ are the same in all coordinates of the fixed effects, and so tell nothing of these
        if proof is not None and (origin_is_no_matter or proof.quantities - {"logLik", "sigma"}):
            # the same model, and no variance of the candidate's that would tell
            title = f"The candidate left out {what}, or put the variance to 0"
            finding = Finding(7, "random-effects-left-out-or-zero", Strength.RECOMPUTED)
            found.append(finding.told(title, proof.words(f"the model without {what}"), _RANDOM_PART))
    return found[0] if len(found) == 1 else None  # of several that give the same numbers none is named


def _submodels(pieces: Pieces) -> Iterator[tuple[str, Pieces | None]]:
    """What is left out, and the model without it: None where no random effects are left."""
    yield "the random effects: its numbers are those of least squares", None
    start = 0
    for place, term in enumerate(pieces.terms):
        columns = np.arange(start, start + term.J * term.p)
        start += term.J * term.p
        without: list[tuple[str, np.ndarray, tuple[Term, ...]]] = []
        if len(pieces.terms) > 1:
            without.append((f"the random effects of {term.name}", columns, ()))
        for j, effect in enumerate(term.effects if term.p > 1 else ()):
            fewer = replace(term, effects=(*term.effects[:j], *term.effects[j + 1 :]))
            without.append((f"the random effect {effect} of {term.name}", columns[j :: term.p], (fewer,)))
        for what, lost, instead in without:
            Z = pieces.Z[:, tuple(np.delete(np.arange(pieces.Z.shape[1]), lost))]
            yield what, replace(pieces, Z=Z, terms=(*pieces.terms[:place], *instead, *pieces.terms[place + 1 :]))
