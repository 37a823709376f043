"""Row 7: random effects whose covariances have another structure: diag for us, cs for ar1, one variance for several."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from validation.algebra import Pieces, Term
from validation.covariances import STRUCTURES, Structure
from validation.judge.diagnosis import assume, given
from validation.judge.diagnosis.model import another_model, implied_by, optimum_of, searchable
from validation.judge.diagnosis.reproduced import NUMBERS, proof_by
from validation.judge.evidence import Evidence
from validation.judge.objective import structure_words
from validation.tolerances import Strength
from validation.verdict import Cause, Finding


def covariance_structure(evidence: Evidence) -> Cause | None:
    """Row 7: the sides say that they have other covariance structures, or another gives the candidate's numbers."""
    if evidence.other_structures:
        shown = [", ".join(structure_words(evidence.fit(side))) for side in ("reference", "candidate")]
        return _cause(f"the reference has {shown[0]}; the candidate {shown[1]}", Strength.ANOTHER_MODEL)
    pieces, known, implied = given(searchable(evidence)), evidence.known_theta, implied_by(evidence)
    has_variance = evidence.rows("variance")["has_candidate"]
    # where variances are given and not of every effect, terms are others
    assume(not another_model(evidence) and (has_variance.all() or not has_variance.any()))
    # of one that says it has the reference's structures no other is looked for
    assume(not pieces.structured or evidence.structures("candidate") is None)
    for place, term, structure in _others(pieces):
        if implied and known is not None and not _has(term, structure, pieces.by_term(known)[place]):
            continue  # all its numbers follow from its θ, which has another structure than this
        if not implied and term.structure.free and structure != Structure("diag"):
            continue  # what people lose is the correlation; nothing else is looked for without a sign of it
        terms = tuple(replace(one, structure=structure) if one is term else one for one in pieces.terms)
        solution = optimum_of(replace(pieces, terms=terms), evidence.reml)
        proof = proof_by(evidence, solution, NUMBERS)
        if proof is None or solution is None:
            continue
        lost = term.structure.free and structure == Structure("diag")
        if lost and solution.pieces.on_boundary(solution.theta).any():
            continue  # the model without the effect has the same numbers
        model = f"the model with {structure} covariances of {term.name} (the reference: {term.structure})"
        return _cause(proof.words(model), Strength.RECOMPUTED, lost)
    return None


def _others(pieces: Pieces) -> Iterator[tuple[int, Term, Structure]]:
    """Structures that a term may have been given instead; of those with the same matrices one, and never its own."""
    for place, term in enumerate(pieces.terms):
        if term.p == 1:
            continue
        known = {_matrices(term.structure, term.p)}
        for name in STRUCTURES:
            for hom in (False, True) if name != "us" else (False,):
                other = Structure(name, hom)
                if _matrices(other, term.p) not in known:
                    known.add(_matrices(other, term.p))
                    yield place, term, other


def _matrices(structure: Structure, p: int) -> Structure:
    """The structure, or of two correlated effects that whose covariance matrices are the same ones.

    One correlation is all that two effects have: ``us``, ``cs`` and ``ar1`` of two standard deviations are one, and so
    are ``cs`` and ``ar1`` of a common one.
    """
    return Structure("cs", structure.hom) if p == 2 and structure.name != "diag" else structure


def _has(term: Term, structure: Structure, theta: np.ndarray) -> bool:
    T = term.structure.template(theta, term.p)
    return structure.parameters(T @ T.T) is not None


def _cause(text: str, strength: float, lost: bool = False) -> Cause:
    return Finding(7, "correlation-lost" if lost else "covariance-structure", strength).told(
        "The candidate keeps random effects independent (||), the reference correlates them (|)"
        if lost
        else "The random effects' covariances have another structure",
        text,
        "(x | g) and us(x | g) have free covariances, diag(x | g) none, cs(x | g) one correlation of any two effects, "
        "ar1(x | g) one that falls with their distance; cs and diag have a standard deviation for each effect unless "
        "hom = TRUE, ar1 one for all unless hom = FALSE.",
    )
