"""Row 7: random effects that the candidate left out, told where it gives no variances that would show it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from validation.algebra import Pieces
from validation.judge.diagnosis.model import another_model, optimum_of, small_enough
from validation.judge.diagnosis.reproduced import proof_by
from validation.judge.diagnosis.structure import RANDOM_PART
from validation.judge.evidence import Evidence
from validation.tolerances import Strength
from validation.verdict import Cause

__all__ = ["lost_effects"]

_QUANTITIES = ("fixef", "se", "vcov", "sigma", "ranef", "logLik")


def lost_effects(evidence: Evidence) -> Cause | None:
    """Row 7: a random effect, a term or all of them left out, where that model alone gives the candidate's numbers."""
    pieces = evidence.reference_pieces
    given = evidence.rows("variance", "theta")["has_candidate"].any()
    if pieces is None or given or not evidence.referee_holds or not small_enough(pieces) or another_model(evidence):
        return None
    found: list[Cause] = []
    for name, what, model in _submodels(pieces):
        solution = evidence.solve(np.zeros(pieces.n_theta)) if model is None else optimum_of(model, evidence.reml)
        if (proof := proof_by(evidence, solution, _QUANTITIES)) is not None:
            # the same model, and no variance of the candidate's that would tell
            title = f"The candidate left out {what}, or put the variance to 0"
            text = proof.words(f"the model without {what}")
            found.append(Cause(7, name, title, text, RANDOM_PART, strength=Strength.RECOMPUTED))
    return found[0] if len(found) == 1 else None  # of several that give the same numbers none is named


def _submodels(pieces: Pieces) -> Iterator[tuple[str, str, Pieces | None]]:
    """Name of the cause, what is left out, and the model without it: None where no random effects are left."""
    yield "random-terms", "the random effects: its numbers are those of least squares", None
    start = 0
    for place, term in enumerate(pieces.terms):
        columns = np.arange(start, start + term.J * term.p)
        start += term.J * term.p
        others = pieces.terms[:place], pieces.terms[place + 1 :]
        if len(pieces.terms) > 1:
            left = tuple(np.delete(np.arange(pieces.Z.shape[1]), columns))
            yield (
                "crossed-vs-nested",
                f"the random effects of {term.name}",
                replace(pieces, Z=pieces.Z[:, left], terms=(*others[0], *others[1])),
            )
        for j, effect in enumerate(term.effects if term.p > 1 else ()):
            left = tuple(np.delete(np.arange(pieces.Z.shape[1]), columns[j :: term.p]))
            fewer = replace(term, effects=(*term.effects[:j], *term.effects[j + 1 :]))
            yield (
                "random-intercept-lost" if effect == "(Intercept)" else "random-terms",
                f"the random effect {effect} of {term.name}",
                replace(pieces, Z=pieces.Z[:, left], terms=(*others[0], fewer, *others[1])),
            )
