"""Row 12: weights, columns and numbers that are lost."""

from dataclasses import replace

from validation.algebra import solve
from validation.judge.diagnosis import close
from validation.judge.diagnosis.model import optimum_of, searchable
from validation.judge.diagnosis.reproduced import proof_by
from validation.judge.evidence import Evidence
from validation.tolerances import Match, Strength
from validation.verdict import Cause

__all__ = ["lost_numbers", "lost_weights", "malformed_values"]

_READING = (
    "Check how the candidate reads the formula and which columns it drops: R drops those that others give, and names "
    "them. A column more or less changes every other estimate."
)


def lost_weights(evidence: Evidence) -> Cause | None:
    """Row 12: prior weights, or an offset, that the candidate left out."""
    pieces, theta, own = evidence.reference_pieces, evidence.known_theta, evidence.at_candidate
    if pieces is None or theta is None or own is None:
        return None
    given = [name for name in ("weights", "offset") if getattr(pieces, name) is not None]
    lost = []
    for names in [(name,) for name in given] + ([tuple(given)] if len(given) == 2 else []):
        weights, offset = (None if name in names else getattr(pieces, name) for name in ("weights", "offset"))
        without = solve(replace(pieces, weights=weights, offset=offset), theta, evidence.reml)
        if close(-2.0 * evidence.value("candidate", "logLik"), without.objective, Match.COMPUTED):
            lost.append((names, without.objective))
    if not lost:
        return None
    names, objective = lost[0]
    words = " and the ".join({"weights": "prior weights", "offset": "offset"}[name] for name in names)
    return Cause(
        12,
        f"lost-{names[0]}",
        f"The candidate left the {words} out",
        f"without the {words} the objective at the candidate's θ is {objective:.8g}, which is what it reports; with "
        f"them it is {own.objective:.8g}",
        "Pass weights and offset on to the candidate, row by row for the rows used; a program that cannot take them "
        "should refuse them, not ignore them.",
        strength=Strength.SAME_NUMBERS,
    )


def lost_numbers(evidence: Evidence) -> Cause | None:
    """Row 12: a column or a quantity that is silently missing."""
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    if left is not None and right is not None:
        lost = [name for name in left.coef_names if name not in right.coef_names]
        extra = [name for name in right.coef_names if name not in left.coef_names]
        if bool(lost) != bool(extra):
            columns = f"column{'s' * (len(lost or extra) > 1)} {', '.join(lost or extra)} of X"
            title = f"The candidate lost the {columns}" if lost else f"The candidate has the {columns} besides"
            sizes = len(left.coef_names), len(right.coef_names)
            text = f"X has {sizes[0]} columns in the reference and {sizes[1]} in the candidate"
            return _columns("lost-column" if lost else "extra-column", title, text)
    elif (found := _dropped_columns(evidence) or _extra_coefficients(evidence)) is not None:
        return found
    joined = evidence.joined
    # A NaN where the reference has a number is as missing as a row that is not there.
    none = ~joined["has_candidate"] | (joined["candidate"].isna() & joined["reference"].notna())
    missing = joined[joined["has_reference"] & none]
    if missing.empty:
        return None
    counts = missing["quantity"].value_counts()
    text = "missing: " + ", ".join(f"{name} ({count})" for name, count in counts.items())
    problems = [f"{name}: {why}" for name, why in evidence.right.problems.items() if name in counts.index]
    return Cause(
        12,
        "missing-numbers",
        "The candidate does not give all numbers",
        ". ".join([text, *filter(None, ["; ".join(problems)])]),
        "Give every quantity that R gives, under R's labels: what is missing cannot be compared, and "
        "is never passed over.",
        strength=Strength.SEEN,
    )


def _extra_coefficients(evidence: Evidence) -> Cause | None:
    """Coefficients that the reference has not, of a candidate that gives all of the reference's besides."""
    names = evidence.rows("fixef")
    extra = [str(name) for name in names.loc[~names["has_reference"], "term"]]
    if not extra or not names["has_reference"].any() or not names["has_candidate"].all():
        return None
    title = f"The candidate has the coefficient{'s' if len(extra) > 1 else ''} {', '.join(extra)} besides"
    had = int(names["has_reference"].sum())
    text = f"it gives {len(names)} coefficients, the reference {had}, all of which it has"
    return _columns("extra-column", title, text)


def _dropped_columns(evidence: Evidence) -> Cause | None:
    """Columns whose coefficients are not given, where the model without them gives the candidate's numbers."""
    pieces, names = searchable(evidence), evidence.rows("fixef")
    lost = [str(name) for name in names.loc[~names["has_candidate"], "term"]]
    if pieces is None or not lost or not names["has_candidate"].any() or not names["has_reference"].all():
        return None
    kept = [j for j, name in enumerate(pieces.coef_names) if name not in lost]
    without = replace(pieces, X=pieces.X[:, kept], coef_names=tuple(pieces.coef_names[j] for j in kept))
    if (proof := proof_by(evidence, optimum_of(without, evidence.reml))) is None:
        return None
    name, title = "lost-column", f"The candidate lost the column{'s' if len(lost) > 1 else ''} {', '.join(lost)} of X"
    if lost == ["(Intercept)"]:
        name, title = "intercept-lost", "The candidate has no intercept among its fixed effects"
    return _columns(name, title, proof.words(f"the model without {', '.join(lost)}"))


def _columns(name: str, title: str, text: str) -> Cause:
    return Cause(7 if name == "intercept-lost" else 12, name, title, text, _READING, strength=Strength.ANOTHER_INPUT)


def malformed_values(evidence: Evidence) -> Cause | None:
    """What the candidate hands over is not what the contract asks for."""
    wrong = evidence.malformed("candidate")
    if not wrong:
        return None
    texts = list(dict.fromkeys(wrong.values()))
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return Cause(
        12,
        "malformed-values",
        f"What the candidate hands over is malformed: {texts[0]}{more}",
        "; ".join(texts[:10]),
        "Return real numbers of the right shape under R's labels; a malformed value is never converted into one that "
        "agrees.",
        strength=Strength.ANOTHER_MODEL,
    )
