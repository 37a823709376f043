"""Rows 4, 8 and 12: other rows, values or names, right numbers at wrong labels or of wrong signs, and what is lost."""

import math
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from validation.algebra import solve
from validation.judge.diagnosis import all_close, assume, close, found_by, given, is_single
from validation.judge.diagnosis.coding import basis
from validation.judge.diagnosis.model import optimum_of, proof_by, same_model, searchable
from validation.judge.evidence import Evidence
from validation.judge.rows import digits
from validation.owndata import some
from validation.quantities import columns_of, quietly, records
from validation.tolerances import ROUNDINGS, Match, Multiple, Share, Strength
from validation.verdict import Cause, Finding

_MISSING_LABELS = {"nan", "na", "<na>", "none", "null", "nat", ""}

_NA_INTEGER = -(2.0**31)
_INTEGER_MISSING = {"-2147483648", "-9223372036854775808", "-2147483648.0"}


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
        if label.strip().casefold() in _MISSING_LABELS or label in _INTEGER_MISSING
    ]
    coded = _integer_missing(evidence)
    rows = evidence.rows("fitted")
    ours, theirs = (set(rows.loc[rows[f"has_{side}"], "level"]) for side in ("reference", "candidate"))
    # A side without fitted values has no rows to compare: that they are missing is another finding.
    alone = {"candidate": theirs - ours, "reference": ours - theirs} if ours and theirs else {}
    assume(any(alone.values()) or odd or (all(map(math.isfinite, nobs)) and (coded or nobs[0] != nobs[1])))
    parts = [f"the reference uses {nobs[0]:.0f} rows, the candidate {nobs[1]:.0f}"]
    for side, labels in alone.items():
        if labels:
            few = some(sorted(labels, key=lambda label: (len(label), label)))
            parts.append(f"only the {side} uses {len(labels)} rows ({few})")
        if labels and side == "candidate" and evidence.data is not None:
            data = evidence.data[[str(label) in labels for label in evidence.data.index]]
            columns = columns_of(str(getattr(evidence.reference, "formula", "")), data)
            if missing := int(data[columns].isna().any(axis=1).sum()):
                parts[-1] += f", {missing} of them with a missing value in a variable of the formula"
    name, title = "rows", "The two sides do not use the same rows"
    if odd:
        name, title = "missing-as-level", "A missing value became a level of a grouping factor"
        parts.append(f"the candidate has the level {', '.join(odd)}")
    elif coded:
        name, title = "missing-as-integer", "R's missing integer was taken for the number −2147483648"
        parts.append(coded)
    return Finding(4, name, Strength.LISTED).told(
        title,
        "; ".join(parts),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit), and make sure missing "
        "values reach the other side as missing.",
    )


def _integer_missing(evidence: Evidence) -> str:
    if (pieces := evidence.candidate_pieces) is None:
        return ""
    columns = [f"column {name} of the candidate's X holds" for name in pieces.coef_names]
    values = zip((*columns, "the candidate's response is"), (*pieces.X.T, pieces.y), strict=True)
    counts = ((words, int(np.sum(column == _NA_INTEGER))) for words, column in values)
    return next((f"{words} −2147483648 in {count} rows" for words, count in counts if count), "")


def data_values(evidence: Evidence) -> Cause | None:
    """Row 4: the same rows and columns, but not the same values in them."""
    left, right = given(evidence.reference_pieces), given(evidence.candidate_pieces)
    assume(left.y.size == right.y.size == evidence.value("reference", "nobs"))
    name, title = "data-values", "The two sides did not read the same values from the data"
    numbers = [("the response", left.y, right.y)]
    if left.coef_names == right.coef_names and basis(left, right) is None:
        numbers += zip(left.coef_names, left.X.T, right.X.T, strict=True)
    sizes = [max(float(np.nanmax(np.abs(a), initial=0.0)), Match.ZERO) for _, a, _ in numbers]
    # Half of single precision: smaller differences are another storage, not other values.
    pairs = [(*one, ~(np.abs(one[1] - one[2]) <= Match.RULE * size)) for one, size in zip(numbers, sizes, strict=True)]
    factors = [evidence.fit(side).getME("flist").astype(str) for side in ("reference", "candidate")]
    for group in [group for group in factors[0] if group in factors[1]]:
        a, b = (frame[group].to_numpy() for frame in factors)
        if a.size == b.size and set(a) == set(b):
            pairs.append((str(group), a, b, a != b))
    labels = [str(label) for label in evidence.rows("fitted")["level"]]
    parts = []
    for column, a, b, off in pairs:
        if off.any():
            i = int(np.flatnonzero(off)[0])
            row = f" in row {labels[i]}" if len(labels) == off.size else ""
            shown = " against ".join(f"{v:.8g}" if isinstance(v, float) else repr(str(v)) for v in (a[i], b[i]))
            parts.append(f"{column} differs in {int(off.sum())} of {off.size} rows, e.g.{row} {shown}")
    assume(parts)
    if pairs[0][-1].any():
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


#: The places where names stand: what they name, the column of the joined table, and the quantities that carry a value
#: under each of them. A name's numbers are found again by the other columns.
_SPACES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coefficient", "term", ("fixef", "se", "t")),
    ("grouping factor", "group", ("sd", "variance", "ranef", "condsd")),
    ("random effect", "term", ("sd", "variance", "ranef", "condsd")),
    ("level", "level", ("ranef", "condsd")),
)


def other_names(evidence: Evidence) -> Cause | None:
    """Names on one side only whose numbers are all there on the other side, under names that it alone has."""
    shown, agreeing = [], 0
    for what, column, quantities in _SPACES:
        rows = evidence.rows(*quantities)
        if pairs := _renamed(rows[rows["group"] != "Residual"], column):
            shown.append(f"{what} " + some([f"{theirs!r} is R's {ours!r}" for ours, theirs, _ in pairs], 3))
            agreeing += sum(count for *_, count in pairs)
    assume(shown)
    return Finding(8, "other-names", Strength.LISTED).told(
        "The candidate has the same numbers under other names",
        f"{'; '.join(shown)}. Under these names {agreeing} numbers agree to four digits or more",
        "Return R's names: '(Intercept)', a factor's level behind its name ('genderM'), 'a:b' for an interaction, and "
        "each level as it is written in the data. What stands under another name counts as missing.",
    )


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
    title = f"The candidate lost the column{shown} of X"
    if of_design:
        title = title if lost else f"The candidate has the column{shown} of X besides"
        text = f"X has {len(ours)} columns in the reference and {len(theirs)} in the candidate"
    elif extra:
        title = f"The candidate has the coefficient{shown} besides"
        text = f"it gives {len(theirs)} coefficients, the reference {len(ours)}, all of which it has"
    else:  # names alone are no proof that the model is without them
        pieces = given(searchable(evidence))
        kept = [j for j, column in enumerate(pieces.coef_names) if column not in lost]
        without = replace(pieces, X=pieces.X[:, kept], coef_names=tuple(pieces.coef_names[j] for j in kept))
        proof = given(proof_by(evidence, optimum_of(without, evidence.reml)))
        text = proof.words(f"the model without {', '.join(lost)}")
        if lost == ["(Intercept)"]:
            name, title = "intercept-lost", "The candidate has no intercept among its fixed effects"
    return Finding(7 if name == "intercept-lost" else 12, name, Strength.ANOTHER_INPUT).told(
        title,
        text,
        "Check how the candidate reads the formula and which columns it drops: R drops those that others give, and "
        "names them. A column more or less changes every other estimate.",
    )


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


def single_precision(evidence: Evidence) -> Cause | None:
    """Row 12: numbers that went through 32-bit floats."""
    rows = evidence.compared("fixef", "se", "theta", "sigma", "logLik", "sd", "variance", "covariance", "vcov", "ranef")
    reference, values = (rows[side].to_numpy() for side in ("reference", "candidate"))
    telling, telling_reference = (np.isfinite(x) & (x != np.round(x)) for x in (values, reference))
    assume(telling.sum() >= 5)
    assume(not is_single(reference[telling_reference]).mean() > Share.HALF)  # both sides are: no difference of them
    exact = is_single(values[telling])
    pieces, sigma = evidence.reference_pieces, evidence.value("reference", "sigma")
    coarse = 0.0 if pieces is None else float(np.spacing(np.abs(pieces.y).max()))
    # differences of numbers as large as the response keep few digits, in double precision
    assume(not coarse > Match.COMPUTED * sigma or (np.remainder(values[telling][exact], coarse) != 0).any())
    by_quantity = rows.loc[telling, "quantity"].to_numpy()
    whole = [q for q in dict.fromkeys(by_quantity) if exact[by_quantity == q].all() and (by_quantity == q).sum() >= 2]
    strength, words = Strength.SAME_NUMBERS, f"all numbers of {', '.join(whole)} are exactly representable in 32 bits"
    if exact.mean() > Share.HALF:
        words = f"{exact.sum():.0f} of {telling.sum():.0f} numbers are exactly representable in 32 bits"
    elif not whole:
        points = evidence.same_theta
        assume(len(points))
        with np.errstate(all="ignore"):
            relative = float(np.abs(points["candidate"] / points["reference"] - 1).median())
        # more than double precision leaves in a sum of squares of a response far from 0 for its spread
        size = 0.0 if pieces is None or not sigma > 0 else float(np.abs(pieces.y).max()) / sigma
        assume(max(Match.COMPUTED, float(np.finfo(float).eps) * size**2) < relative < Match.ESTIMATED)
        strength, words = Strength.PLACE, f"the objectives agree to {-math.log10(relative):.1f} digits at the same θ"
    median = float(np.nanmedian([digits(c, r) for c, r in zip(values, reference, strict=True)]))
    return Finding(12, "single-precision", strength).told(
        "The candidate computes, or stores, in single precision",
        f"{words}; the digits of agreement stop at {median:.1f} (median)",
        "Use 64-bit floats throughout: the sums of squares behind a deviance lose half their digits otherwise.",
    )


def cancellation(evidence: Evidence) -> Cause | None:
    """Row 12: digits lost because the response is large for its spread, and was not centred before it was squared.

    What is lost by squaring the response, or by subtracting fitted values of its size, is known beforehand. The
    candidate's residual sum of squares must be off what its own θ implies by no more than that, and its θ no worse than
    an objective with such an error explains.
    """
    pieces, own, best = given(evidence.reference_pieces), given(evidence.at_candidate), given(evidence.at_reference)
    assume(same_model(evidence))
    left, right = evidence.arrays("sigma", "variance")
    assume(not all_close(right, left, Match.ESTIMATED))
    # where it says itself that its criterion is the other one, that comes first
    assume(evidence.value("candidate", "criterion") != float(not evidence.reml))
    N = pieces.y.size
    df = N - pieces.X.shape[1] if evidence.reml else N
    squares = own.sigma**2 * df
    epsilon = float(np.finfo(float).eps)
    weights = np.ones(N) if pieces.weights is None else pieces.weights
    total = float(weights @ pieces.y**2)
    assume(total >= Multiple.FAR * float(weights @ (pieces.y - np.average(pieces.y, weights=weights)) ** 2))
    # What is lost, as a share of the residual sum of squares: where y'y itself is summed, and where y − Xβ̂ − Zb is.
    by_squares = epsilon * total / squares
    by_differences = 2.0 * epsilon * math.sqrt(N * total / squares)
    reported = evidence.value("candidate", "sigma") ** 2 * df
    share = abs(reported / squares - 1.0) if math.isfinite(reported) else math.inf
    excess = own.objective - best.objective
    off = -2.0 * evidence.value("candidate", "logLik") - own.objective
    # Lost digits show in the numbers at the candidate's own θ; an optimizer that stopped early leaves right ones there.
    assume(excess <= Multiple.MISLED * max(df * share, abs(off) if math.isfinite(off) else 0.0))
    # A sum of squares that is off by no more than its residuals' rounding was not taken from y'y.
    direct = share <= Multiple.ROUNDED_SUM * by_differences
    loss, how = (by_differences, "the residuals") if direct else (by_squares, "the sum of squares of the response")
    noise = N * math.log1p(Multiple.ROUNDED_SUM * loss)  # of the objective, N log r² and more
    # Beside a minimum the parameters are off by the root of the objective's noise: what is small is explained so.
    assume(ROUNDINGS * math.sqrt(noise) > Match.ESTIMATED)
    assume(share <= Multiple.ROUNDED_SUM * loss and excess <= noise + Match.COMPUTED)
    size, spread = float(np.abs(pieces.y).max()), evidence.value("reference", "sigma")
    kept, percent = max(0.0, -math.log10(loss)), f"{100.0 * share:.2g}%" if math.isfinite(share) else "wholly"
    return Finding(12, "cancellation", Strength.COUNTS).told(
        "Digits are lost to the size of the response: it is far from 0 for its spread, and was not centred",
        f"the response goes up to {size:.4g} and its residual sd is {spread:.4g}: of the 16 digits of double "
        f"precision {kept:.0f} are left in {how} (y'y is {total:.3g}, of which {epsilon * total:.2g} is rounding; the "
        f"residual sum of squares is {squares:.4g}). The candidate's residual sum of squares is {percent} off "
        f"what its own θ implies, its objective {excess:.2g} above the least"
        + (f", its -2 log-likelihood {off:+.2g} off" if math.isfinite(off) else "")
        + ": no more than that loss. With the response centred first, the judge's own algebra gives the reference's "
        "log-likelihood to 9 digits",
        "Subtract a round number near its mean from the response (years since 2000, not the year; points above 500) "
        "before fitting, and add it to the intercept afterwards: nothing else changes. A program should centre by "
        "itself, and should sum squared residuals rather than take y'y apart.",
    )
