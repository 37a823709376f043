"""Row 8: right numbers under wrong labels, or with the wrong sign."""

from typing import Any

import numpy as np
import pandas as pd

from validation.judge.diagnosis import all_close, assume, given
from validation.judge.evidence import Evidence
from validation.quantities import records
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding


def permuted_modes(evidence: Evidence) -> Cause | None:
    """Row 8: BLUPs given to the wrong levels, or to the wrong effects."""
    columns = {
        (str(group), str(term)): (part["reference"].to_numpy(), part["candidate"].to_numpy(), part["level"].tolist())
        for (group, term), part in evidence.compared("ranef").groupby(["group", "term"], sort=False)
    }
    for (group, term), (left, right, levels) in columns.items():
        wrong = np.abs(right - left) > Match.ROUGH * (float(np.std(left)) or 1.0)
        if not wrong.any() or not np.isfinite(right).all() or len(left) < 3:
            continue
        if _same(np.sort(left), np.sort(right)):
            order = _order_words(left, right, levels)
            return Finding(8, "permuted-levels", Strength.SAME_NUMBERS).told(
                f"The BLUPs of {group} are right but stand at the wrong levels",
                f"the {len(left)} values of {term} are the same on both sides as a set, {int(wrong.sum())} of them at "
                f"another level{order}",
                "Label each conditional mode with its own level; R orders levels as the factor does, not as they "
                "appear in the data and not as numbers.",
            )
        for other, (other_left, _, other_levels) in columns.items():
            if other != (group, term) and other_levels == levels and _same(other_left, right):
                return Finding(8, "permuted-effects", Strength.SAME_NUMBERS).told(
                    f"The BLUPs of {other[1]} stand under {term}",
                    f"all {len(left)} values that the candidate gives for {group} {term} are the reference's for "
                    f"{' '.join(other)}",
                    "Label each column of conditional modes with its own effect; in Z the effects of a level are "
                    "adjacent.",
                )
    return None


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether numbers are the reference's, by the spread of these."""
    return bool(np.allclose(left, right, rtol=0, atol=Match.FOLLOWS * (float(np.std(left)) or 1.0)))


def permuted_labels(evidence: Evidence) -> Cause | None:
    """Row 8: coefficients, or variance components, that are right as a set and stand under the wrong names."""
    for quantity, words, remedy in (
        ("fixef", "coefficients", "Take each coefficient's name from the column of X that it belongs to."),
        ("sd", "standard deviations of the random effects", "Take each variance's term and effect from the same place "
         "as its value: lme4 sorts terms by their number of levels, most first, whatever the formula's order."),
        ("theta", "elements of θ", "lme4 sorts terms by their number of levels, most first, and takes each term's "
         "lower triangle column by column."),
    ):  # fmt: skip
        rows = evidence.compared(quantity)
        if quantity == "sd":
            rows = rows[rows["group"] != "Residual"]
        left, right = (rows[side].to_numpy() for side in ("reference", "candidate"))
        if len(left) < 2 or not (np.isfinite(left).all() and np.isfinite(right).all()):
            continue
        size = np.maximum(np.abs(left), Match.COMPUTED * float(np.max(np.abs(left))))
        wrong = np.abs(left - right) > Match.FOLLOWS * size
        if wrong.sum() < 2 or not np.allclose(np.sort(left), np.sort(right), rtol=Match.RULE, atol=0):
            continue
        names = [_place(record) for record in records(rows)]
        moved = "; ".join(
            f"{names[i]} holds the value of {names[int(np.argmin(np.abs(left - right[i])))]}"
            for i in np.flatnonzero(wrong)[:3]
        )
        return Finding(8, "permuted-terms", Strength.ANOTHER_MODEL).told(
            f"The {words} are right but stand under the wrong names",
            f"as a set the {len(left)} values are the same, {int(wrong.sum())} stand elsewhere: {moved}",
            remedy,
        )
    return None


def permuted_factor(evidence: Evidence) -> Cause | None:
    """Row 8: a factor's coefficients are those of its levels in another order, under the names of R's order."""
    (ours, theirs), data = evidence.by_term("fixef"), given(evidence.data)
    assume("(Intercept)" in ours and np.isfinite([*ours.values(), *theirs.values()]).all())
    for variable in map(str, data.columns):
        indicators = any(name.startswith(variable) and name != variable for name in ours)
        levels = data[variable].dropna().astype(str).unique() if indicators else ()
        names = ["(Intercept)", *(f"{variable}{level}" for level in levels if f"{variable}{level}" in ours)]
        left, right = (np.array([0.0, *(beta[n] for n in names[1:])]) + beta[names[0]] for beta in (ours, theirs))
        moved = int(np.sum(np.abs(left - right) > Match.FOLLOWS * float(np.std(left))))
        others = {name: value for name, value in ours.items() if name not in names}
        kept = all_close((theirs[name] for name in others), others.values(), Match.FOLLOWS)
        if moved > 1 and kept and _same(np.sort(left), np.sort(right)):
            return Finding(8, "permuted-terms", Strength.ANOTHER_MODEL).told(
                f"The coefficients of {variable} are right for its levels in another order: the names are not theirs",
                f"what they give for the {len(names)} levels (intercept, and intercept plus coefficient) is the same "
                f"as a set, {moved} stand elsewhere; all other coefficients agree",
                "Take each coefficient's name from the level that its column of X indicates: R's first level is the "
                "factor's, not the one that comes first in the data.",
            )
    return None


def signs(evidence: Evidence) -> Cause | None:
    """Row 8: numbers that are right but for their sign."""
    for quantity, words, remedy in (
        ("fixef", "coefficients", "Look at the order of differences: which group is subtracted from which."),
        ("ranef", "random effects", "A conditional mode is what the level has more than the fixed effects say."),
        ("cor", "correlations of random effects", "A correlation has the sign of its covariance, T_1'T_2 of θ's rows."),
        ("residuals", "residuals", "A residual is the response less the fitted value."),
    ):
        rows, (left, right) = evidence.compared(quantity), evidence.arrays(quantity)
        size = float(np.std(left)) or float(np.max(np.abs(left))) if len(left) else 0.0
        off = np.abs(left - right) > Match.FOLLOWS * size
        same_size = (np.abs(np.abs(left) - np.abs(right)) <= Match.FOLLOWS * size).all()  # never of what is not finite
        if not (size > 0 and off.any() and same_size):
            continue
        first = records(rows[off])[0]
        return Finding(8, "sign-flipped", Strength.SIGNS).told(
            f"The sign of {'all' if off.all() else f'{int(off.sum())} of {len(left)}'} {words} is wrong",
            f"all {len(left)} agree in size, and {int(off.sum())} differ in sign, e.g. {_place(first)}: "
            f"{first['reference']:.6g} in the reference, {first['candidate']:.6g} in the candidate",
            remedy,
        )
    return None


def _place(record: dict[str, Any]) -> str:
    return " ".join(str(record[key]) for key in ("group", "term", "term2", "level") if record[key] is not None)


def _order_words(left: np.ndarray, right: np.ndarray, levels: list[str]) -> str:
    orders = {
        "in reverse order": left[::-1],
        "moved by one place down": np.roll(left, 1),
        "moved by one place up": np.roll(left, -1),
        "in the order of the levels sorted as text": left[np.argsort(levels, kind="stable")],
    }
    numbers = pd.to_numeric(pd.Series(levels), errors="coerce")
    if numbers.notna().all():
        orders["in the order of the levels sorted as numbers"] = left[np.argsort(numbers.to_numpy(), kind="stable")]
    return next((f" ({words})" for words, order in orders.items() if _same(order, right)), "")
