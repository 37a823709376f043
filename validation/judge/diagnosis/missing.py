"""Row 12: weights, columns and numbers that are lost."""

import math
from dataclasses import replace

import pandas as pd

from validation.algebra import solve
from validation.judge.diagnosis import assume, close, found_by, given
from validation.judge.diagnosis.model import optimum_of, searchable
from validation.judge.diagnosis.reproduced import proof_by
from validation.judge.evidence import Evidence
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding

_READING = (
    "Check how the candidate reads the formula and which columns it drops: R drops those that others give, and names "
    "them. A column more or less changes every other estimate."
)


def lost_weights(evidence: Evidence) -> Cause | None:
    """Row 12: prior weights, or an offset, that the candidate left out."""
    pieces, own = given(evidence.reference_pieces), given(evidence.at_candidate)
    for name, words, without in (
        ("weights", "prior weights", replace(pieces, weights=None)),
        ("offset", "offset", replace(pieces, offset=None)),
        ("weights", "prior weights and the offset", replace(pieces, weights=None, offset=None)),
    ):
        objective = math.nan if getattr(pieces, name) is None else solve(without, own.theta, evidence.reml).objective
        if close(-2.0 * evidence.value("candidate", "logLik"), objective, Match.COMPUTED):
            return Finding(12, f"lost-{name}", Strength.SAME_NUMBERS).told(
                f"The candidate left the {words} out",
                f"without the {words} the objective at the candidate's θ is {objective:.8g}, which is what it reports; "
                f"with them it is {own.objective:.8g}",
                "Pass weights and offset on to the candidate, row by row for the rows used; a program that cannot take "
                "them should refuse them, not ignore them.",
            )
    return None


def lost_numbers(evidence: Evidence) -> Cause | None:
    """Row 12: a column or a quantity that is silently missing."""
    for detector in (_columns_of_design, _dropped_columns, _extra_coefficients):
        if (found := found_by(detector, evidence)) is not None:
            return found
    joined = evidence.joined
    # A NaN where the reference has a number is as missing as a row that is not there.
    none = ~joined["has_candidate"] | (joined["candidate"].isna() & joined["reference"].notna())
    missing = joined[joined["has_reference"] & none]
    assume(len(missing))
    counts = missing["quantity"].value_counts()
    text = "missing: " + ", ".join(f"{name} ({count})" for name, count in counts.items())
    problems = [f"{name}: {why}" for name, why in evidence.right.problems.items() if name in counts.index]
    return Finding(12, "missing-numbers", Strength.SEEN).told(
        "The candidate does not give all numbers",
        ". ".join([text, *filter(None, ["; ".join(problems)])]),
        "Give every quantity that R gives, under R's labels: what is missing cannot be compared, and "
        "is never passed over.",
    )


def _columns_of_design(evidence: Evidence) -> Cause:
    """Columns that only one side's X has."""
    left, right = (given(pieces).coef_names for pieces in (evidence.reference_pieces, evidence.candidate_pieces))
    lost, extra = ([name for name in a if name not in b] for a, b in ((left, right), (right, left)))
    assume(bool(lost) != bool(extra))
    columns = f"column{'s' * (len(lost or extra) > 1)} {', '.join(lost or extra)} of X"
    title = f"The candidate lost the {columns}" if lost else f"The candidate has the {columns} besides"
    text = f"X has {len(left)} columns in the reference and {len(right)} in the candidate"
    return _columns("lost-column" if lost else "extra-column", title, text)


def _extra_coefficients(evidence: Evidence) -> Cause:
    """Coefficients that the reference has not, of a candidate that gives all of the reference's besides."""
    names = _named_alone(evidence)
    extra = [str(name) for name in names.loc[~names["has_reference"], "term"]]
    assume(extra and names["has_reference"].any() and names["has_candidate"].all())
    title = f"The candidate has the coefficient{'s' if len(extra) > 1 else ''} {', '.join(extra)} besides"
    had = int(names["has_reference"].sum())
    text = f"it gives {len(names)} coefficients, the reference {had}, all of which it has"
    return _columns("extra-column", title, text)


def _dropped_columns(evidence: Evidence) -> Cause:
    """Columns whose coefficients are not given, where the model without them gives the candidate's numbers."""
    pieces, names = given(searchable(evidence)), _named_alone(evidence)
    lost = [str(name) for name in names.loc[~names["has_candidate"], "term"]]
    assume(lost and names["has_candidate"].any() and names["has_reference"].all())
    kept = [j for j, name in enumerate(pieces.coef_names) if name not in lost]
    without = replace(pieces, X=pieces.X[:, kept], coef_names=tuple(pieces.coef_names[j] for j in kept))
    proof = given(proof_by(evidence, optimum_of(without, evidence.reml)))
    name, title = "lost-column", f"The candidate lost the column{'s' if len(lost) > 1 else ''} {', '.join(lost)} of X"
    if lost == ["(Intercept)"]:
        name, title = "intercept-lost", "The candidate has no intercept among its fixed effects"
    return _columns(name, title, proof.words(f"the model without {', '.join(lost)}"))


def _named_alone(evidence: Evidence) -> pd.DataFrame:
    """The coefficients, where their names alone tell the columns of X."""
    assume(evidence.reference_pieces is None or evidence.candidate_pieces is None)
    return evidence.rows("fixef")


def _columns(name: str, title: str, text: str) -> Cause:
    return Finding(7 if name == "intercept-lost" else 12, name, Strength.ANOTHER_INPUT).told(title, text, _READING)


def malformed_values(evidence: Evidence) -> Cause | None:
    """What the candidate hands over is not what the contract asks for."""
    wrong = evidence.malformed("candidate")
    assume(wrong)
    texts = list(dict.fromkeys(wrong.values()))
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return Finding(12, "malformed-values", Strength.ANOTHER_MODEL).told(
        f"What the candidate hands over is malformed: {texts[0]}{more}",
        "; ".join(texts[:10]),
        "Return real numbers of the right shape under R's labels; a malformed value is never converted into one that "
        "agrees.",
    )
