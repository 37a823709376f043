"""Rows 4, 8 and 12: other rows, values or names, right numbers at wrong labels or of wrong signs, what is missing."""

import math
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from validation.algebra import optimum_of, solve
from validation.errors import some
from validation.judge.diagnosis import all_close, assume, close, found_by, given
from validation.judge.diagnosis.coding import basis
from validation.judge.diagnosis.model import proof_by
from validation.judge.evidence import Evidence
from validation.quantities import columns_of, quietly, records
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding

_NA_INTEGER = -(2.0**31)
_OF_INTEGERS = {"-2147483648", "-9223372036854775808", "-2147483648.0"}
_MISSING_LABELS = {"nan", "na", "<na>", "none", "null", "nat", "", *_OF_INTEGERS}


def levels_of(evidence: Evidence, side: str) -> dict[str, list[str]]:
    """The levels of a side's grouping factors; of its BLUPs where it does not give its factors."""
    fit, modes = evidence.fit(side), evidence.rows("ranef")
    of_factors = quietly(
        lambda: {str(name): [*map(str, factor.cat.categories)] for name, factor in fit.getME("flist").items()}, {}
    )
    of_modes = modes[modes[f"has_{side}"]].groupby("group", sort=False)["level"]
    return of_factors or {str(group): levels.tolist() for group, levels in of_modes}


def rows_used(evidence: Evidence) -> Cause | None:
    """Row 4: rows dropped or kept; a missing value that became a level, or R's integer NA taken for a number."""
    nobs, known = evidence.pair("nobs"), levels_of(evidence, "reference")
    odd = [
        f"{label!r} in {group}"
        for group, labels in levels_of(evidence, "candidate").items()
        for label in set(labels) - set(known.get(group, labels))
        if label.strip().casefold() in _MISSING_LABELS
    ]
    pieces, rows, coded = evidence.candidate_pieces, evidence.rows("fitted"), []
    if pieces is not None:
        where = (
            *(f"column {name} of the candidate's X holds" for name in pieces.coef_names),
            "the candidate's response is",
        )
        counts = np.sum(np.column_stack([pieces.X, pieces.y]) == _NA_INTEGER, axis=0)
        coded = [f"{where[i]} −2147483648 in {counts[i]} rows" for i in np.flatnonzero(counts)[:1]]
    ours, theirs = (set(rows.loc[rows[f"has_{side}"], "level"]) for side in ("reference", "candidate"))
    counted = all(map(math.isfinite, nobs))
    other_count = counted and nobs[0] != nobs[1] and not same_estimates(evidence)
    # A side without fitted values has no rows to compare: that they are missing is another finding. Labels are names:
    # they tell of rows where the data have them all, and the values under them are not the reference's as they stand.
    data = evidence.data
    named = ours and theirs and (data is None or theirs <= {*map(str, data.index)})
    named = named and (other_count or not counted or len(theirs) == nobs[1])
    named = named and not (same_values(evidence) or same_estimates(evidence))
    alone = {"candidate": theirs - ours, "reference": ours - theirs} if named else {}
    assume(any(alone.values()) or odd or (counted and coded) or other_count)
    parts = [f"the reference uses {nobs[0]:.0f} rows, the candidate {nobs[1]:.0f}"]
    for side, labels in alone.items():
        if labels:
            few = some(sorted(labels, key=lambda label: (len(label), label)))
            parts.append(f"only the {side} uses {len(labels)} rows ({few})")
        if labels and side == "candidate" and data is not None:
            columns = columns_of(str(getattr(evidence.reference, "formula", "")), data)
            own = data.loc[[str(label) in labels for label in data.index], columns]
            if missing := int(own.isna().any(axis=1).sum()):
                parts[-1] += f", {missing} of them with a missing value in a variable of the formula"
    name, title = "rows", "The two sides do not use the same rows"
    if odd:
        name, title = "missing-as-level", "A missing value became a level of a grouping factor"
        parts.append(f"the candidate has the level {', '.join(odd)}")
    elif coded:
        name, title = "missing-as-integer", "R's missing integer was taken for the number −2147483648"
        parts += coded
    return Finding(4, name, Strength.LISTED).told(
        title,
        "; ".join(parts),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit), and make sure missing "
        "values reach the other side as missing.",
    )


def same_values(evidence: Evidence, ordered: bool = False) -> bool:
    """Whether the rows of both sides hold the same values (responses, or else fitted values), whatever their labels."""

    def values(table: pd.DataFrame) -> np.ndarray:
        fitted, left = (table.loc[table["quantity"] == q, "value"].to_numpy(float) for q in ("fitted", "residuals"))
        with np.errstate(invalid="ignore"):
            found = fitted + left if len(left) == len(fitted) else fitted
        return found if ordered else np.sort(found)

    a, b = values(evidence.left.table), values(evidence.right.table)
    return 0 < a.size == b.size and bool(np.isfinite([a, b]).all()) and _same(a, b)


def same_estimates(evidence: Evidence) -> bool:
    """Whether all estimates agree, with two numbers among them that a column or a row more would change."""
    rows = evidence.compared("fixef", "se", "sigma", "logLik")
    unit = np.where(rows["quantity"] == "logLik", 1.0, rows["reference"].abs())
    for i, (quantity, term) in enumerate(zip(rows["quantity"], rows["term"], strict=True)):
        if quantity == "fixef" and math.isfinite(error := evidence.value("reference", "se", term=term)):
            unit[i] = error
    off = (rows["candidate"] - rows["reference"]).abs() > Match.FOLLOWS * unit
    return bool((rows["quantity"] != "fixef").sum() > 1 and not off.any() and rows["candidate"].notna().all())


def other_labels(evidence: Evidence) -> Cause | None:
    """Row 8: the same rows under other labels; or a number of rows that counts groups."""
    (ours, theirs), rows = evidence.pair("nobs"), evidence.rows("fitted")
    groups = [group for group, levels in levels_of(evidence, "reference").items() if len(levels) == theirs]
    if ours != theirs and groups and same_estimates(evidence):
        return Finding(8, "nobs-of-groups", Strength.LISTED).told(
            f"The candidate's number of rows is that of the groups: {theirs:.0f} for {ours:.0f}",
            f"{groups[0]} has {theirs:.0f} levels, and all estimates are the reference's",
            "Return the number of rows used as nobs, and numbers of levels as ngrps.",
        )
    assume((rows["has_reference"] != rows["has_candidate"]).any() and same_values(evidence))
    first = [str(rows.loc[rows[f"has_{side}"], "level"].iloc[0]) for side in ("reference", "candidate")]
    order = "in the same order" if same_values(evidence, ordered=True) else "in another order"
    return Finding(8, "other-names", Strength.LISTED).told(
        "The candidate has the same rows under other labels",
        f"as a set the values of the {rows['has_reference'].sum():.0f} rows are the same, {order}; the first is "
        f"{first[0]!r} in the reference and {first[1]!r} in the candidate",
        "Return fitted values and residuals with the data's own index: an index that was made anew names other rows.",
    )


def data_values(evidence: Evidence) -> Cause | None:
    """Row 4: the same rows and columns, but not the same values in them."""
    left, right = given(evidence.reference_pieces), given(evidence.candidate_pieces)
    assume(left.y.size == right.y.size == evidence.value("reference", "nobs"))
    # rows of other names in another order can't be compared one by one
    assume(same_values(evidence, ordered=True) or not found_by(other_labels, evidence))
    name, title = "data-values", "The two sides did not read the same values from the data"
    columns = [("the response", left.y, right.y)]
    if left.coef_names == right.coef_names and found_by(basis, left, right) is None:
        columns += zip(left.coef_names, left.X.T, right.X.T, strict=True)
    factors = [evidence.fit(side).getME("flist").astype(str) for side in ("reference", "candidate")]
    for group in factors[0].columns.intersection(factors[1].columns):
        a, b = (frame[group].to_numpy() for frame in factors)
        columns += [(str(group), a, b)] if a.size == b.size and set(a) == set(b) else []
    labels = [str(label) for label in evidence.rows("fitted")["level"]]
    parts = []
    for column, a, b in columns:
        if (off := _other_values(a, b)).any():
            i = int(np.flatnonzero(off)[0])
            row = f" in row {labels[i]}" if len(labels) == off.size else ""
            shown = " against ".join(f"{v:.8g}" if isinstance(v, float) else repr(str(v)) for v in (a[i], b[i]))
            parts.append(f"{column} differs in {int(off.sum())} of {off.size} rows, e.g.{row} {shown}")
    assume(parts)
    if _other_values(left.y, right.y).any():
        slope, constant = np.polyfit(left.y, right.y, 1)
        if (np.abs(slope * left.y + constant - right.y) <= Match.COMPUTED * float(np.abs(right.y).max())).all():
            name, title = "response-scaled", "The candidate's response is centred or rescaled"
            parts[0] = f"its y is {slope:.6g} times the reference's {constant:+.6g}"
    return Finding(4, name, Strength.ANOTHER_INPUT).told(
        title,
        "; ".join(parts[:4]),
        "Compare the data frames of both sides column by column before the models: a merge or sort that moved rows, a "
        "recoded value, or a transformed variable is found there fastest.",
    )


def _other_values(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where two columns have other labels, or numbers: half of single precision, less is another storage."""
    if left.dtype.kind != "f":
        return np.asarray(left != right)
    size = max(float(np.nanmax(np.abs(left), initial=0.0)), Match.ZERO)
    return np.asarray(~(np.abs(left - right) <= Match.RULE * size))


#: The places where names stand: what they name, the column of the joined table, and the quantities that carry a value
#: under each of them. A name's numbers are found again by the other columns.
_SPACES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coefficient", "term", ("fixef", "se", "t")),
    ("grouping factor", "group", ("sd", "variance")),
    ("grouping factor", "group", ("ranef", "condsd")),
    ("random effect", "term", ("sd", "variance")),
    ("random effect", "term", ("ranef", "condsd")),
    ("level", "level", ("ranef", "condsd")),
)


def other_names(evidence: Evidence) -> Cause | None:
    """Names on one side only whose numbers are all there on the other side, under names that it alone has."""
    residual = residual_groups(evidence)
    shown, agreeing = [f"grouping factor {group!r} is R's 'Residual'" for group in residual], len(residual)
    for what, column, quantities in _SPACES:
        rows = evidence.rows(*quantities)
        if pairs := _renamed(rows[~rows["group"].isin(["Residual", *residual])], column):
            shown.append(f"{what} " + some([f"{theirs!r} is R's {ours!r}" for ours, theirs, _ in pairs], 3))
            agreeing += sum(count for *_, count in pairs)
    assume(shown)
    return Finding(8, "other-names", Strength.LISTED).told(
        "The candidate has the same numbers under other names",
        f"{'; '.join(dict.fromkeys(shown))}. Under these names {agreeing} numbers agree to four digits or more",
        "Return R's names: '(Intercept)', a factor's level behind its name ('genderM'), 'a:b' for an interaction, and "
        "each level as it is written in the data. What stands under another name counts as missing.",
    )


def residual_groups(evidence: Evidence) -> list[str]:
    """Grouping factors that only the candidate's components have, whose one variance is its own σ²: the residual."""
    rows, sigma = evidence.rows("variance"), evidence.value("candidate", "sigma")
    sizes, rows = rows["group"].value_counts(), rows[~rows["group"].isin(rows.loc[rows["has_reference"], "group"])]
    pairs = zip(rows["group"], rows["candidate"], strict=True)
    return [str(group) for group, value in pairs if sizes[group] == 1 and close(value, sigma**2, Match.RULE)]


def _renamed(rows: pd.DataFrame, column: str) -> list[tuple[str, str, int]]:
    """The reference's name, the candidate's, and how many numbers speak for the pair, in one column.

    Every name that only one side has must find its partner, one to one, by all its numbers: then nothing is missing,
    it is called otherwise.
    """
    ours, theirs = (_numbers(rows, column, side) for side in ("reference", "candidate"))
    alone, others = [name for name in ours if name not in theirs], sorted(theirs.keys() - ours.keys())
    pairs: list[tuple[str, str, int]] = []
    for name in alone if len(alone) == len(others) else ():  # in the order of R
        fitting = [(name, other, count) for other in others if (count := _agree(ours[name], theirs[other])) > 0]
        if len(fitting) != 1:
            return []  # none, or several that can't be told apart
        others.remove(fitting[0][1])
        pairs += fitting
    return pairs


#: The numbers of a name by what else they belong to, quantity by quantity.
_Numbers: TypeAlias = dict[str, dict[tuple[str, ...], float]]


def _numbers(rows: pd.DataFrame, column: str, side: str) -> dict[str, _Numbers]:
    """The numbers of each name that one side has in a column."""
    others = [other for other in ("group", "term", "level") if other != column]
    found: dict[str, _Numbers] = {}
    for record in records(rows[rows[f"has_{side}"] & rows[column].notna() & np.isfinite(rows[side])]):
        key = tuple(str(record[other]) for other in others)
        found.setdefault(str(record[column]), {}).setdefault(record["quantity"], {})[key] = float(record[side])
    return found


def _agree(ours: _Numbers, theirs: _Numbers) -> int:
    """How many numbers two names share; 0 where any that both have differs, or where none tells."""
    count = 0
    for quantity in ours.keys() & theirs.keys():  # what is not given at all is told by another cause
        left, right = ours[quantity], theirs[quantity]
        # Where other names differ as well (a group and its effects), numbers are paired in their order.
        keys = left if left.keys() == right.keys() else right
        a, b = np.array([*left.values()]), np.array([right[key] for key in keys])
        size = float(np.abs(a).max())
        if a.size != b.size or size == 0.0 or (np.abs(a - b) > Match.FOLLOWS * size).any():
            return 0
        count += a.size
    return count


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
        if np.ptp(right) == 0.0:  # BLUPs that are all 0 are those of every effect without a variance
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
        rows = evidence.compared(quantity)
        if quantity == "cor":  # a part of Σ, of which the rest must be right
            sds = evidence.compared("sd")
            off = [not close(c, r, Match.FOLLOWS) for r, c in zip(sds["reference"], sds["candidate"], strict=True)]
            rows = rows[~rows["group"].isin(sds.loc[off, "group"])]
        left, right = (rows[side].to_numpy(dtype=float) for side in ("reference", "candidate"))
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
    numbers = pd.to_numeric(pd.Series(levels), errors="coerce")
    orders = {
        "in reverse order": left[::-1],
        "moved by one place down": np.roll(left, 1),
        "moved by one place up": np.roll(left, -1),
        "in the order of the levels sorted as text": left[np.argsort(levels, kind="stable")],
        "in the order of the levels sorted as numbers": left[np.argsort(numbers, kind="stable")],
    }
    return next((f" ({words})" for words, order in orders.items() if _same(order, right)), "")


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
    if (found := found_by(_columns, evidence)) is not None:
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


def _columns(evidence: Evidence) -> Cause:
    """Columns that only one side's X has, or, as far as coefficients' names tell, only one side's coefficients."""
    left, right, names = evidence.reference_pieces, evidence.candidate_pieces, evidence.rows("fixef")
    ours, theirs = (names.loc[names[f"has_{side}"], "term"].astype(str) for side in ("reference", "candidate"))
    if of_design := left is not None and right is not None:
        ours, theirs = (pd.Series(pieces.coef_names, dtype=str) for pieces in (left, right))
    lost, extra = ours[~ours.isin(theirs)].tolist(), theirs[~theirs.isin(ours)].tolist()
    assume((of_design or (len(ours) and len(theirs))) and bool(lost) != bool(extra))
    shown = f"{'s' * (len(lost or extra) > 1)} {', '.join(lost or extra)}"
    name = "lost-column" if lost else "extra-column"
    title = f"The candidate {'lost' if lost else 'has'} the column{shown} of X{'' if lost else ' besides'}"
    if of_design:
        text = f"X has {len(ours)} columns in the reference and {len(theirs)} in the candidate"
    elif extra and same_estimates(evidence):
        name, title = "no-coefficient", f"Among the candidate's coefficients stands what is none:{shown.lstrip('s')}"
        text = f"all other estimates are those of the model without it{_own_number(evidence, extra)}"
    elif extra:
        # where all agree, and these are too few, nothing says that it is in the model
        assume(not all_close(*evidence.arrays("fixef", "se", "sigma", "logLik"), Match.FOLLOWS))
        title = f"The candidate has the coefficient{shown} besides"
        text = f"it gives {len(theirs)} coefficients, the reference {len(ours)}, all of which it has"
    else:  # names alone are no proof that the model is without them
        pieces = given(evidence.searchable)
        kept = [j for j, column in enumerate(pieces.coef_names) if column not in lost]
        without = replace(pieces, X=pieces.X[:, kept], coef_names=tuple(pieces.coef_names[j] for j in kept))
        text = proof_by(evidence, optimum_of(without, evidence.reml)).words(f"the model without {', '.join(lost)}")
    if lost == ["(Intercept)"]:
        name, title = "intercept-lost", "The candidate has no intercept among its fixed effects"
    return Finding(7 if name == "intercept-lost" else 12, name, Strength.ANOTHER_INPUT).told(
        title,
        text,
        "Check how the candidate reads the formula and which columns it drops: R drops those that others give, and "
        "names them. A column more or less changes every other estimate.",
    )


def _own_number(evidence: Evidence, names: list[str]) -> str:
    """Which of the candidate's own components the number under a coefficient's name is."""
    rows, sigma = evidence.rows("sigma", "sd", "variance"), evidence.value("candidate", "sigma")
    found = [
        f"; {name} is its {record['quantity']}{' of ' * bool(record['group'])}{record['group'] or ''}{over}"
        for name in names
        for over, by in (("", 1.0), (" over σ", sigma), (" over σ²", sigma**2))
        for record in records(rows[rows["has_candidate"]])
        if close(evidence.value("candidate", "fixef", term=name), float(record["candidate"]) / by, Match.RULE)
    ]
    return "".join(found[:1])


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
