"""Rows 7 and 8: other random-effects terms, effects left out, other covariance structures, and the order of θ.

And all detectors for two likelihood fits, those of the modules beside among them, in the order of AGREEMENT.md's table.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TypeAlias

import numpy as np

from validation.algebra import Pieces, Solution, Term, optimum_of
from validation.covariances import FREE, STRUCTURES, Structure
from validation.judge.diagnosis import Detector, assume, coding, first_of, found_by, given, labels, model, reported
from validation.judge.diagnosis.coding import basis
from validation.judge.diagnosis.labels import levels_of, other_names, residual_groups, rows_used, same_estimates
from validation.judge.diagnosis.model import NUMBERS, implied_by, proof_by
from validation.judge.evidence import Evidence
from validation.judge.objective import structure_words
from validation.quantities import quietly
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding

#: A random-effects term: its grouping factor, its number of levels, its effects.
_Term: TypeAlias = tuple[str, int, tuple[str, ...]]

#: What to do where random effects are others.
_RANDOM_PART = (
    "Write the random part as lme4 reads it: (x | g) has an intercept and a correlation, (x || g) no correlation, "
    "(1 | a/b) is (1 | a) + (1 | a:b), and levels of b that repeat within a mean nothing without a."
)


def model_structure(evidence: Evidence) -> Cause | None:
    """Row 7: crossed against nested, || against |, an implied intercept lost."""
    terms = {side: _terms_of(evidence, side) for side in ("reference", "candidate")}
    ours, theirs = terms.values()
    assume(ours and theirs)
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    # otherwise another order, which order_of_theta looks at
    shapes = [sorted((group, count, sorted(es)) for group, count, es in found) for found in (ours, theirs)]
    assume(shapes[0] != shapes[1])
    if left is not None and right is not None:
        assume(not _only_recoded(left, right))
    else:  # names and counts alone are no other model where all numbers of one agree
        assume(not _same_components(evidence))
    # where a side does not say, those of the other; otherwise free covariances
    said = [evidence.structures(side) for side in terms]
    structures = [
        next((one for one in (own, other) if one and len(one) == len(found)), [FREE] * len(found))
        for own, other, found in zip(said, said[::-1], terms.values(), strict=True)
    ]
    thetas = [
        sum(structure.n_par(len(term[2])) for structure, term in zip(own, found, strict=False))
        for own, found in zip(structures, terms.values(), strict=True)
    ]
    assume(thetas[0] != thetas[1] or not found_by(other_names, evidence))
    columns = [sum(count * len(effects) for _, count, effects in found) for found in (ours, theirs)]
    effects = [sorted((group, e) for group, _, es in found for e in es) for found in (ours, theirs)]
    lost = [e for e in effects[0] if e not in effects[1]]
    groups = [{group: count for group, count, _ in found} for found in (ours, theirs)]
    same_groups = groups[0].keys() == groups[1].keys()
    if lost and all(effect == "(Intercept)" for _, effect in lost) and same_groups:
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


def _same_components(evidence: Evidence) -> bool:
    """Whether the candidate's estimates are the reference's, and its variances as well, under whatever names."""
    rows = evidence.rows("variance")
    rows = rows[~rows["group"].isin(residual_groups(evidence))]
    a, b = (np.sort(rows.loc[rows[f"has_{side}"], side]) for side in ("reference", "candidate"))
    return a.size == b.size and np.allclose(b, a, rtol=Match.FOLLOWS, atol=0.0) and same_estimates(evidence)


def _terms_of(evidence: Evidence, side: str) -> list[_Term]:
    """(grouping factor, levels, effects) of each term; from its variances where a fit has no pieces."""
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    own, other, extraction = (left, right, evidence.left) if side == "reference" else (right, left, evidence.right)
    if own is not None:
        return [(term.group, term.J, term.effects) for term in own.terms]
    groups, variances = (extraction.table[extraction.table["quantity"] == name] for name in ("ngrps", "variance"))
    # without ngrps, levels are taken to be the other side's: what is not said does not differ
    known = {term.group: term.J for term in other.terms} if other is not None else {}
    ngrps = dict(zip(groups["group"], groups["value"], strict=True)) or known
    residual = ["Residual", *(residual_groups(evidence) if side == "candidate" else ())]
    effects = variances[~variances["group"].isin(residual)].groupby("group", sort=False)["term"]
    terms = {str(name): tuple(part) for name, part in effects}
    # R calls a factor's second term g.1.
    factors = {name: name if name in ngrps else re.sub(r"\.\d+$", "", name) for name in terms}
    return [(factors[name], int(ngrps.get(factors[name], 0)), part) for name, part in terms.items()]


def order_of_theta(evidence: Evidence) -> Cause | None:
    """Row 8: θ's elements in another order than lme4's."""
    left, right = given(evidence.theta("reference")), given(evidence.theta("candidate"))
    assume(sorted(left.index) == sorted(right.index) and not left.index.equals(right.index))
    known, own = (levels_of(evidence, side) for side in ("reference", "candidate"))
    assume(all(set(known[group]) == set(own[group]) for group in known.keys() & own.keys()))
    return Finding(8, "theta-order", Strength.PARTIAL).told(
        "The elements of θ stand in another order",
        f"lme4: {', '.join(map(str, left.index))}; the candidate: {', '.join(map(str, right.index))}",
        "lme4 sorts terms by their number of levels, most first, and takes each term's lower triangle column by "
        "column; a start value or a profile given by position goes wrong otherwise.",
    )


def _only_recoded(left: Pieces, right: Pieces) -> bool:
    """Whether the terms differ by the names of recoded columns only: row 3 explains that."""
    shapes = [[(term.group, term.J, term.p) for term in pieces.terms] for pieces in (left, right)]
    names = [[effect for term in pieces.terms for effect in term.effects] for pieces in (left, right)]
    changed = [(a, b) for a, b in zip(*names, strict=False) if a != b]
    recoded = all(a in left.coef_names and b in right.coef_names for a, b in changed)
    return shapes[0] == shapes[1] and recoded and basis(left, right) is not None


def _unused_levels(evidence: Evidence) -> str:
    """Levels that only the candidate has and no row of the data; the empty string where there are others as well."""
    found: list[str] = []
    data, given_levels = evidence.data, levels_of(evidence, "candidate")
    for group, ours in levels_of(evidence, "reference").items():
        theirs = given_levels.get(group, ours)
        extra, lost = set(theirs) - set(ours), set(ours) - set(theirs)
        if lost or data is None or group not in data or extra & set(data[group].dropna().astype(str)):
            return ""
        found += [f"{label!r} of {group}" for label in sorted(extra)]
    return ", ".join(found[:5])


def lost_effects(evidence: Evidence) -> Cause | None:
    """Row 7: a random effect, a term or all of them left out, where that model alone gives the candidate's numbers."""
    pieces = given(evidence.searchable)
    assume(not evidence.rows("variance", "theta")["has_candidate"].any() and not evidence.another_model)
    # (0 + x | g) of a centred x is another model, which may have no variance there
    origin_is_no_matter = all(
        set(term.effects) <= {"(Intercept)"} or (term.structure.free and "(Intercept)" in term.effects)
        for term in pieces.terms
    )
    found: list[Cause] = []
    for what, solution in _submodels(evidence, pieces):
        proof = proof_by(evidence, solution, NUMBERS)
        # logLik and σ are the same in all coordinates of the fixed effects, and so tell nothing of these
        if proof is not None and (origin_is_no_matter or proof.quantities - {"logLik", "sigma"}):
            # the same model, and no variance of the candidate's that would tell
            title = f"The candidate left out {what}, or put the variance to 0"
            finding = Finding(7, "random-effects-left-out-or-zero", Strength.RECOMPUTED)
            found.append(finding.told(title, proof.words(f"the model without {what}"), _RANDOM_PART))
    return found[0] if len(found) == 1 else None  # of several that give the same numbers none is named


def _submodels(evidence: Evidence, pieces: Pieces) -> Iterator[tuple[str, Solution | None]]:
    """What is left out, and the optimum of the model without it."""
    yield "the random effects: its numbers are those of least squares", evidence.solve(np.zeros(pieces.n_theta))
    every = np.arange(pieces.Z.shape[1])
    for place, (term, columns) in enumerate(zip(pieces.terms, pieces.by_level(every), strict=True)):
        without: list[tuple[str, np.ndarray, tuple[Term, ...]]] = []
        if len(pieces.terms) > 1:
            without.append((f"the random effects of {term.name}", columns, ()))
        for j, effect in enumerate(term.effects if term.p > 1 else ()):
            fewer = replace(term, effects=(*term.effects[:j], *term.effects[j + 1 :]))
            without.append((f"the random effect {effect} of {term.name}", columns[:, j], (fewer,)))
        for what, lost, instead in without:
            Z = pieces.Z[:, tuple(np.setdiff1d(every, lost))]
            terms = *pieces.terms[:place], *instead, *pieces.terms[place + 1 :]
            yield what, optimum_of(replace(pieces, Z=Z, terms=terms), evidence.reml)


def covariance_structure(evidence: Evidence) -> Cause | None:
    """Row 7: the sides say that they have other covariance structures, or another gives the candidate's numbers."""
    if evidence.other_structures:
        said = [(evidence.fit(side), evidence.structures(side) or []) for side in ("reference", "candidate")]
        # without getME("cnms") a term has no name, and its structure all the same
        shown = [", ".join(quietly(partial(structure_words, fit), map(str, own))) for fit, own in said]
        text, lost, strength = f"the reference has {shown[0]}; the candidate {shown[1]}", False, Strength.ANOTHER_MODEL
    else:
        (text, lost), strength = first_of(_reproducing_structures(evidence)), Strength.RECOMPUTED
    return Finding(7, "correlation-lost" if lost else "covariance-structure", strength).told(
        "The candidate keeps random effects independent (||), the reference correlates them (|)"
        if lost
        else "The random effects' covariances have another structure",
        text,
        "(x | g) and us(x | g) have free covariances, diag(x | g) none, cs(x | g) one correlation of any two effects, "
        "ar1(x | g) one that falls with their distance; cs and diag have a standard deviation for each effect unless "
        "hom = TRUE, ar1 one for all unless hom = FALSE.",
    )


def _reproducing_structures(evidence: Evidence) -> Iterator[tuple[str, bool]]:
    """The proof of each structure that gives the candidate's numbers, and whether a correlation is lost in it."""
    pieces, known, implied = given(evidence.searchable), evidence.known_theta, implied_by(evidence)
    has_variance = evidence.rows("variance")["has_candidate"]
    # where variances are given and not of every effect, terms are others
    assume(not evidence.another_model and (has_variance.all() or not has_variance.any()))
    # of one that says it has the reference's structures no other is looked for
    assume(not pieces.structured or evidence.structures("candidate") is None)
    structures = [Structure(name, hom) for name in STRUCTURES for hom in (False, True) if name != "us" or not hom]
    for place, term in enumerate(pieces.terms):
        others: dict[Structure, Structure] = {}
        for one in structures if term.p > 1 else ():
            others.setdefault(_matrices(one, term.p), one)
        others.pop(_matrices(term.structure, term.p), None)
        T = np.eye(term.p) if known is None else pieces.templates(known)[place]
        for structure in others.values():
            lost = term.structure.free and structure == Structure("diag")
            if not implied and term.structure.free and not lost:
                continue  # what people lose is the correlation; nothing else is looked for without a sign of it
            if implied and structure.parameters(T @ T.T) is None:
                continue  # all its numbers follow from its θ, which has another structure than this
            terms = *pieces.terms[:place], replace(term, structure=structure), *pieces.terms[place + 1 :]
            solution = optimum_of(replace(pieces, terms=terms), evidence.reml)
            proof = proof_by(evidence, solution, NUMBERS)
            # the model without an effect has the same numbers as one without correlation
            at_zero = lost and solution is not None and solution.pieces.on_boundary(solution.theta).any()
            if proof is not None and not at_zero:
                words = f"the model with {structure} covariances of {term.name} (the reference: {term.structure})"
                yield proof.words(words), lost


def _matrices(structure: Structure, p: int) -> Structure:
    """The structure, or of two correlated effects that whose covariance matrices are the same ones.

    One correlation is all that two effects have: ``us``, ``cs`` and ``ar1`` of two standard deviations are one, and so
    are ``cs`` and ``ar1`` of a common one.
    """
    return Structure("cs", structure.hom) if p == 2 and structure.name != "diag" else structure


#: Detectors of the rows of AGREEMENT.md's table, whose order decides between findings of one strength.
_BY_ROW: tuple[tuple[Detector[Evidence], ...], ...] = (
    (model.other_criterion,),
    (coding.scale_of_components, coding.scale_of_modes, coding.correlations),
    (coding.coding, coding.other_units),
    (labels.rows_used, labels.data_values),
    (model.boundary, model.optimizer),
    (model_structure, covariance_structure, lost_effects),
    (order_of_theta, labels.permuted_modes, labels.permuted_labels, labels.permuted_factor),
    (labels.other_names, labels.other_labels, labels.signs),
    (reported.constants, reported.degrees_of_freedom, reported.residual_variance),
    (model.standard_errors_of_other_criterion, reported.standard_error_scale, reported.tests_of_coefficients),
    (reported.unshrunken, reported.other_fits, reported.predictions),
    (reported.single_precision, model.cancellation),
    (labels.lost_weights, labels.malformed_values, labels.lost_numbers),
)
DETECTORS = tuple(chain.from_iterable(_BY_ROW))

#: Of a comparison in which nothing is known to differ: what may still be known of it.
OF_INCONCLUSIVE: tuple[Detector[Evidence], ...] = (reported.constants,)
