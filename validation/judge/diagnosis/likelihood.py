"""Detectors for two likelihood fits: rows 1 to 8 and 10 to 12 of AGREEMENT.md's table of faults."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.sparse as sp
from scipy.stats import norm
from scipy.stats import t as student_t

from validation import tolerances
from validation.algebra import Pieces, Term, solve
from validation.judge.diagnosis import Finding, close
from validation.judge.diagnosis.coding import basis, coding
from validation.judge.diagnosis.derived import correlations, residual_variance, scale_of_modes, signs
from validation.judge.diagnosis.names import other_names
from validation.judge.diagnosis.reproduced import reproduced
from validation.judge.digits import digits
from validation.judge.estimates import implied_numbers
from validation.judge.evidence import Evidence
from validation.quantities import columns_of, records
from validation.verdict import Cause

__all__ = [
    "DETECTORS",
    "boundary",
    "cancellation",
    "constants",
    "data_values",
    "degrees_of_freedom",
    "lost_numbers",
    "lost_weights",
    "model_structure",
    "optimizer",
    "order_of_theta",
    "other_criterion",
    "other_optimum",
    "permuted_labels",
    "permuted_modes",
    "predictions",
    "rows_used",
    "scale_of_components",
    "single_precision",
    "standard_error_scale",
    "standard_errors_of_other_criterion",
    "tests_of_coefficients",
    "unshrunken",
]

#: Largest problem for which another optimum is computed: the judge's algebra is short, not quick.
_MOST_COLUMNS, _MOST_ROWS = 1500, 50_000


def _same_model(evidence: Evidence) -> bool:
    """Whether both sides have the same rows, columns and θ: otherwise numbers of one θ mean nothing for the other."""
    return evidence.known_theta is not None and not _another_model(evidence)


def _another_model(evidence: Evidence) -> bool:
    """Whether what the candidate gives contradicts that it fitted the same model to the same rows."""
    nobs = evidence.pair("nobs")
    if math.isfinite(nobs[1]) and nobs[0] != nobs[1]:
        return True
    theta = evidence.theta("candidate")
    if theta is not None and evidence.candidate_theta() is None:
        return True
    return _columns_differ(evidence) or not evidence.rows("variance")["has_reference"].all()


def _columns_differ(evidence: Evidence) -> bool:
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    if left is None or right is None:
        names = evidence.rows("fixef")
        if not names["has_candidate"].any():
            return False  # it gives none: nothing is known of them
        return bool((names["has_reference"] != names["has_candidate"]).any())
    return left.coef_names != right.coef_names


# ---------------------------------------------------------------------------------------------------- row 1


def other_criterion(evidence: Evidence) -> Finding | None:
    """Row 1: REML asked for and ML fitted, or the other way round."""
    flag = evidence.value("candidate", "criterion")
    says_other = math.isfinite(flag) and bool(flag) != evidence.reml
    wanted, other = ("REML", "ML") if evidence.reml else ("ML", "REML")
    figures: dict[str, float] = {}
    solution = other_optimum(evidence)
    proof = None
    if solution is not None:
        expected = implied_numbers(solution)
        expected["logLik", None, None, None, None] = -solution.objective / 2
        proof = reproduced(evidence, expected, ("fixef", "se", "sigma", "variance", "covariance", "sd", "logLik"))
        figures = {
            "matched": float(proof.matched),
            "compared": float(proof.total),
            "digits": proof.digits,
            "other_logLik": -solution.objective / 2,
        }
    # Standard errors alone may be of the other criterion where the fit is not.
    if proof is not None and proof.proves and proof.quantities != {"se"}:
        strength = 1.0
        given = evidence.value("candidate", "logLik")
        evidence_text = (
            f"{proof.matched} of the {proof.total} numbers that tell the two criteria apart are those of the {other} "
            f"fit to {proof.digits:.0f} digits or more, computed here from the reference's own y, X and Z "
            f"(log-likelihood {-solution.objective / 2:.6f}, "
            + (f"candidate {given:.6f}, " if math.isfinite(given) else "")
            + f"reference {evidence.value('reference', 'logLik'):.6f})"
        )
    elif says_other:
        strength = 0.9
        evidence_text = f"the candidate's isREML() says {other}, and {wanted} was asked for"
    else:
        return None
    cause = Cause(
        1,
        "reml-vs-ml",
        f"The candidate was fitted by {other}, the reference by {wanted}",
        evidence_text,
        f"Ask the candidate for {wanted} (in R: REML = {'TRUE' if evidence.reml else 'FALSE'}). If you did, it ignores "
        "the argument: variance components of REML and ML differ by about one part in the number of groups.",
        figures,
    )
    return Finding(cause, strength)


def other_optimum(evidence: Evidence) -> Any:
    """The reference's model at the optimum of the other criterion, by the judge's algebra; None where it is too large.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Solution or None
    """
    pieces = evidence.reference_pieces
    theta = evidence.theta("reference")
    if pieces is None or theta is None or _another_model(evidence):
        return None
    if not _small_enough(pieces):
        return None

    def at(point: np.ndarray) -> Any:
        return evidence.solve(point, not evidence.reml)

    start = theta.to_numpy()
    if (first := at(start)) is None:
        return None
    candidate = evidence.known_theta
    beside = None if candidate is None else at(candidate)
    if candidate is not None and beside is not None and beside.objective < first.objective:
        start = candidate  # if it was fitted by the other criterion, it is its optimum
    return _optimum(at, start, pieces.diagonal)


def _small_enough(pieces: Pieces) -> bool:
    """Whether another optimum is computed by the judge's algebra."""
    return pieces.Z.shape[1] <= _MOST_COLUMNS and pieces.y.size <= _MOST_ROWS and pieces.n_theta <= 10


def _optimum(at: Callable[[np.ndarray], Any], start: np.ndarray, diagonal: np.ndarray) -> Any:
    """The solution at the least objective, from a start that has one."""

    def objective(point: np.ndarray) -> float:
        found = at(point)
        return found.objective if found is not None else math.inf

    bounds = [(0.0, None) if bounded else (None, None) for bounded in diagonal]
    found = scipy.optimize.minimize(objective, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    return at(found.x)


# ---------------------------------------------------------------------------------------------------- row 2

_TRANSFORMS: tuple[tuple[str, str, Callable[[float, float], float]], ...] = (
    ("squared", "the squares of the reference's", lambda r, s: r * r),
    ("square-root", "the square roots of the reference's", lambda r, s: math.sqrt(r) if r >= 0 else math.nan),
    ("relative", "the reference's divided by σ (θ's scale)", lambda r, s: r / s),
    ("relative-variance", "the reference's divided by σ² (relative covariances)", lambda r, s: r / s**2),
    ("times-sigma", "the reference's times σ", lambda r, s: r * s),
    ("times-variance", "the reference's times σ²", lambda r, s: r * s**2),
    (
        "sd-over-sigma",
        "the roots of the reference's, divided by σ",
        lambda r, s: math.sqrt(r) / s if r >= 0 else math.nan,
    ),
)


def scale_of_components(evidence: Evidence) -> Finding | None:
    """Row 2: variance, SD, θ or relative covariance in each other's place."""
    sigma = evidence.value("reference", "sigma")
    if not math.isfinite(sigma) or sigma <= 0:
        return None
    for quantity, words in (
        ("sd", "SDs"),
        ("variance", "variances"),
        ("covariance", "covariances"),
        ("sigma", "residual SD"),
        ("theta", "θ"),
    ):
        rows = evidence.compared(quantity)
        failed = [
            (float(r["reference"]), float(r["candidate"]))
            for r in records(rows)
            if not close(r["candidate"], r["reference"], 1e-3)
        ]
        # A 0 or a 1 is its own square; the residual's row is judged with the others.
        unit = {"sd": sigma, "sigma": sigma, "theta": 1.0}.get(quantity, sigma**2)
        telling = [(r, c) for r, c in failed if abs(r) > 1e-8 * unit and abs(abs(r) - 1) > 1e-6]
        if not telling:
            continue
        for name, description, transform in _TRANSFORMS:
            if all(close(c, transform(r, sigma), 1e-4) for r, c in telling):
                r, c = telling[0]
                cause = Cause(
                    2,
                    f"scale-{name}",
                    f"The candidate's {words} are {description}",
                    f"{len(telling)} of {len(telling)} differing {words} match: reference {r:.6g}, candidate {c:.6g}, "
                    f"expected under this fault {transform(r, sigma):.6g} (σ = {sigma:.6g})",
                    "Report variances as variances, SDs as their roots, and both on the scale of the response: "
                    "Σ = σ²TT', where T is made of θ.",
                    {"reference": r, "candidate": c, "expected": transform(r, sigma), "sigma": sigma},
                )
                return Finding(cause, 0.95)
    return _own_components(evidence)


def _own_components(evidence: Evidence) -> Finding | None:
    """SDs that are the candidate's own variances (or the other way round), whatever the reference has."""
    rows = {
        quantity: {(r["group"], r["term"]): float(r["candidate"]) for r in records(evidence.compared(quantity))}
        for quantity in ("sd", "variance")
    }
    keys = [key for key in rows["sd"] if key in rows["variance"] and abs(rows["sd"][key] - 1) > 1e-6]
    unit = evidence.value("reference", "sigma")
    keys = [key for key in keys if rows["sd"][key] > 1e-8 * unit and math.isfinite(rows["variance"][key])]
    if len(keys) < 2 or not all(close(rows["sd"][key], rows["variance"][key], 1e-9) for key in keys):
        return None
    reference = {
        (r["group"], r["term"]): (float(r["reference"]), float(v["reference"]))
        for r, v in zip(records(evidence.compared("sd")), records(evidence.compared("variance")), strict=True)
    }
    key = keys[0]
    sd, variance = reference[key]
    value = rows["sd"][key]
    squared = abs(math.log(value / variance)) < abs(math.log(value / sd)) if sd > 0 and variance > 0 else True
    cause = Cause(
        2,
        "scale-squared" if squared else "scale-square-root",
        "The candidate's SDs are its own variances" if squared else "The candidate's variances are its own SDs",
        f"for all {len(keys)} components both are the same number, e.g. {value:.6g} (reference: SD {sd:.6g}, variance "
        f"{variance:.6g})",
        "An SD is the root of the variance: report both on the scale of the response.",
        {"candidate": value, "sd": sd, "variance": variance},
    )
    return Finding(cause, 0.94)


# ---------------------------------------------------------------------------------------------------- row 4

_MISSING_LABELS = {"nan", "na", "<na>", "none", "null", "nat", ""}
_INTEGER_MISSING = {"-2147483648", "-9223372036854775808", "-2147483648.0"}


def rows_used(evidence: Evidence) -> Finding | None:
    """Row 4: rows dropped or kept; a missing value that became a level, or R's integer NA taken for a number."""
    nobs = evidence.pair("nobs")
    levels = {side: _levels(evidence, side) for side in ("reference", "candidate")}
    odd: list[str] = []
    for group, labels in levels["candidate"].items():
        extra = set(labels) - set(levels["reference"].get(group, labels))
        odd += [
            f"{label!r} in {group}"
            for label in extra
            if label.strip().casefold() in _MISSING_LABELS or label in _INTEGER_MISSING
        ]
    coded = _integer_missing(evidence)
    used = {side: _row_labels(evidence, side) for side in ("reference", "candidate")}
    # A side without fitted values has no rows to compare: that they are missing is another finding.
    known = bool(used["candidate"] and used["reference"])
    extra_rows = used["candidate"] - used["reference"] if known else set()
    lost_rows = used["reference"] - used["candidate"] if known else set()
    if nobs[0] == nobs[1] and not odd and not coded and not (extra_rows or lost_rows):
        return None
    if not all(map(math.isfinite, nobs)) and not (extra_rows or lost_rows or odd):
        return None
    parts = [f"the reference uses {nobs[0]:.0f} rows, the candidate {nobs[1]:.0f}"]
    if extra_rows:
        parts.append(
            f"only the candidate uses {len(extra_rows)} rows ({_few(extra_rows)}){_with_missing(evidence, extra_rows)}"
        )
    if lost_rows:
        parts.append(f"only the reference uses {len(lost_rows)} rows ({_few(lost_rows)})")
    name, title = "rows", "The two sides do not use the same rows"
    if odd:
        name, title = "missing-as-level", "A missing value became a level of a grouping factor"
        parts.append(f"the candidate has the level {', '.join(odd)}")
    elif coded:
        name, title = "missing-as-integer", "R's missing integer was taken for the number −2147483648"
        parts.append(coded)
    cause = Cause(
        4,
        name,
        title,
        "; ".join(parts),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit), and make sure missing "
        "values reach the other side as missing.",
        {"reference_rows": nobs[0], "candidate_rows": nobs[1]},
    )
    return Finding(cause, 0.98)


def _levels(evidence: Evidence, side: str) -> dict[str, list[str]]:
    fit = evidence.reference if side == "reference" else evidence.candidate
    try:
        flist = fit.getME("flist")
        return {str(name): [str(level) for level in flist[name].cat.categories] for name in flist.columns}
    except Exception:  # a fit without its factors may still have its BLUPs
        try:
            return {str(group): [str(level) for level in frame.index] for group, frame in fit.ranef().items()}
        except Exception:
            return {}


def _row_labels(evidence: Evidence, side: str) -> set[str]:
    rows = evidence.rows("fitted")
    return set(rows.loc[rows[f"has_{side}"], "level"])


def _few(labels: Iterable[str], most: int = 5) -> str:
    shown = sorted(labels, key=lambda label: (len(label), label))
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def _with_missing(evidence: Evidence, labels: set[str]) -> str:
    if evidence.data is None:
        return ""
    data = evidence.data[[str(label) in labels for label in evidence.data.index]]
    columns = columns_of(str(getattr(evidence.reference, "formula", "")), data)
    missing = int(data[columns].isna().any(axis=1).sum()) if columns else 0
    return f", {missing} of them with a missing value in a variable of the formula" if missing else ""


def _integer_missing(evidence: Evidence) -> str:
    pieces = evidence.candidate_pieces
    if pieces is None:
        return ""
    for j, name in enumerate(pieces.coef_names):
        count = int(np.sum(pieces.X[:, j] == -2147483648.0))
        if count:
            return f"column {name} of the candidate's X holds −2147483648 in {count} rows"
    count = int(np.sum(pieces.y == -2147483648.0))
    return f"the candidate's response is −2147483648 in {count} rows" if count else ""


def data_values(evidence: Evidence) -> Finding | None:
    """Row 4: the same rows and columns, but not the same values in them."""
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    if left is None or right is None or left.y.size != right.y.size or evidence.pair("nobs")[0] != left.y.size:
        return None
    labels = [str(label) for label in evidence.rows("fitted")["level"]]
    parts = []
    name, title = "data-values", "The two sides did not read the same values from the data"
    off = _entries_off(left.y, right.y)
    if off.any():
        slope, constant = np.polyfit(left.y, right.y, 1)
        if np.allclose(slope * left.y + constant, right.y, rtol=0, atol=1e-9 * float(np.abs(right.y).max())):
            name, title = "response-scaled", "The candidate's response is centred or rescaled"
            parts.append(f"its y is {slope:.6g} times the reference's {constant:+.6g}")
        else:
            parts.append(_off_words("the response", left.y, right.y, off, labels))
    if left.coef_names == right.coef_names and basis(left, right) is None:
        for j, column in enumerate(left.coef_names):
            off = _entries_off(left.X[:, j], right.X[:, j])
            if off.any():
                parts.append(_off_words(column, left.X[:, j], right.X[:, j], off, labels))
    factors = [_memberships(fit) for fit in (evidence.reference, evidence.candidate)]
    for group in [group for group in factors[0] if group in factors[1]]:
        a, b = factors[0][group], factors[1][group]
        if a.size == b.size and set(a) == set(b) and (off := a != b).any():
            parts.append(_off_words(group, a, b, off, labels))
    if not parts:
        return None
    cause = Cause(
        4,
        name,
        title,
        "; ".join(parts[:4]),
        "Compare the data frames of both sides column by column before the models: a merge or sort that moved rows, a "
        "recoded value, or a transformed variable is found there fastest.",
        {"parts": float(len(parts))},
    )
    return Finding(cause, 0.96)


def _entries_off(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    # Half of single precision: smaller differences are another storage, not other values.
    return ~(np.abs(left - right) <= 1e-6 * max(float(np.nanmax(np.abs(left), initial=0.0)), 1e-300))


def _off_words(name: str, left: np.ndarray, right: np.ndarray, off: np.ndarray, labels: list[str]) -> str:
    i = int(np.flatnonzero(off)[0])
    row = f" in row {labels[i]}" if len(labels) == off.size else ""
    shown = [f"{v:.8g}" if isinstance(v, float) else repr(str(v)) for v in (left[i], right[i])]
    return f"{name} differs in {int(off.sum())} of {off.size} rows, e.g.{row} {shown[0]} against {shown[1]}"


def _memberships(fit: Any) -> dict[str, np.ndarray]:
    frame = fit.getME("flist")
    return {str(name): frame[name].astype(str).to_numpy() for name in frame.columns}


# ---------------------------------------------------------------------------------------------------- rows 5, 6


def boundary(evidence: Evidence) -> Finding | None:
    """Row 6: one side is on the boundary (a variance of 0), the other is not."""
    if not _same_model(evidence):
        return None
    singular = evidence.pair("singular")
    pieces, known = evidence.reference_pieces, evidence.known_theta
    said = math.isfinite(singular[1])
    if not said and pieces is not None and known is not None and _implied(evidence, known):
        singular = (singular[0], float(pieces.on_boundary(known).any()))
    if not all(map(math.isfinite, singular)) or singular[0] == singular[1]:
        return None
    if evidence.objective_agrees is not True and (known is None or not _implied(evidence, known)):
        return None  # the data or the criterion may be others: where θ̂ lies proves nothing then
    side = "candidate" if singular[1] == 1.0 else "reference"
    other = "reference" if side == "candidate" else "candidate"
    theta = evidence.theta(side)
    own = evidence.theta("reference")
    if theta is None and known is not None and own is not None and len(own) == len(known):
        theta = pd.Series(known, own.index)
    zeros = ""
    if theta is not None and pieces is not None and len(theta) == pieces.diagonal.size:
        names = list(theta.index[pieces.on_boundary(theta.to_numpy())])
        zeros = f" ({', '.join(map(str, names))} is 0)" if names else ""
    improvement = _improvement(evidence)
    words = (
        ""
        if improvement is None
        else (
            f"; the objective at the candidate's θ is {'lower' if improvement > 0 else 'higher'} by "
            f"{abs(improvement):.3g}"
        )
    )
    wrong = improvement is None or abs(improvement) > tolerances.OPTIMUM.limit
    cause = Cause(
        6,
        "boundary",
        f"The {side} puts a variance component on the boundary (0), the {other} does not",
        f"{'isSingular() is true of' if said else 'the variances are singular for'} the {side} only{zeros}{words}",
        "Treat 0 as a boundary that the optimizer can reach and leave again (lme4 bounds θ's diagonal below by 0), and "
        "restart from inside when it ends there; compare the objective at both θ.",
        {"improvement": math.nan if improvement is None else improvement},
    )
    return Finding(cause, 0.97 if wrong else 0.8)


def optimizer(evidence: Evidence) -> Finding | None:
    """Row 5: an optimizer stopped early, or at another optimum."""
    improvement = _improvement(evidence)
    if not _same_model(evidence) or improvement is None or evidence.objective_agrees is False:
        return None
    if not math.isfinite(improvement) or abs(improvement) <= max(4.0 * evidence.noise, 1e-12):
        return None
    theta_left, theta_right = evidence.theta("reference"), evidence.known_theta
    if theta_left is None or theta_right is None:
        return None
    side = "candidate" if improvement < 0 else "reference"
    worse, better = (
        (theta_right, theta_left.to_numpy()) if side == "candidate" else (theta_left.to_numpy(), theta_right)
    )
    if abs(improvement) <= tolerances.OPTIMUM.limit and all(
        close(r["candidate"], r["reference"], 1e-6) for r in records(evidence.compared("sigma", "sd", "se"))
    ):
        return None  # it cost no digit that is judged
    path = _along(evidence, worse, better)
    barrier = path is not None and max(path[1:-1], default=path[0]) > path[0] + max(4.0 * evidence.noise, 1e-9)
    if barrier:
        other = "reference" if side == "candidate" else "candidate"
        minimum = "minimum" if _is_minimum(evidence, worse) else "optimum"
        name = "another-optimum"
        title = f"The {side} ended at another, worse {minimum}; the {other}'s θ gives {abs(improvement):.3g} lower"
        how = f"and rises by {max(path) - path[0]:.3g} on the way from one to the other" if path is not None else ""
        if minimum == "minimum":
            how += "; at every θ near by it is higher"
    else:
        name, title = "stopped-early", f"The {side}'s optimizer stopped before the optimum"
        how = "and falls all the way from one to the other" if path is not None else ""
    distance = float(np.max(np.abs(worse - better)))
    significant = abs(improvement) > tolerances.OPTIMUM.limit
    # What the candidate reports must be what its θ implies: otherwise the optimizer explains only a part.
    consistent = _implied(evidence, theta_right)
    if not consistent and evidence.objective_agrees is not True:
        return None  # the data, the columns or the criterion may be others: θ alone proves nothing
    strength = 0.96 if consistent and significant else 0.75 if consistent else 0.6 if significant else 0.3
    about = "the candidate" if side == "candidate" else "R here (as users call it; tight lme4 does not)"
    cause = Cause(
        5,
        name,
        title,
        f"the same objective is higher at the {side}'s θ by {abs(improvement):.3g} {how}; the θ differ by up to "
        f"{distance:.2g}" + ("; all numbers of the candidate follow from its θ" if consistent else ""),
        f"Tighten the stopping tolerances of {about}, or start it from the other side's θ; derivative-free optimizers "
        "that stop on a change of 1e-8 leave variance components with 4 or 5 right digits.",
        {"excess": abs(improvement), "theta_distance": distance},
    )
    return Finding(cause, strength)


def _improvement(evidence: Evidence) -> float | None:
    """By how much the candidate's θ̂ is the better one; by the judge's own algebra where it gives no θ̂ itself."""
    if evidence.improvement is not None:
        return evidence.improvement
    thetas = evidence.theta("reference"), evidence.known_theta
    if thetas[0] is None or thetas[1] is None:
        return None
    ours, theirs = evidence.solve(thetas[0].to_numpy()), evidence.solve(thetas[1])
    return None if ours is None or theirs is None else ours.objective - theirs.objective


def _along(evidence: Evidence, start: np.ndarray, end: np.ndarray) -> list[float] | None:
    for side in ("reference", "candidate"):
        devfun = evidence.devfun(side)
        if devfun is None or (side == "candidate" and evidence.objective_agrees is not True):
            continue
        try:
            return [devfun(start + fraction * (end - start)) for fraction in np.linspace(0.0, 1.0, 9)]
        except Exception:  # a recorded objective knows its recorded points only
            continue
    own = [evidence.solve(start + fraction * (end - start)) for fraction in np.linspace(0.0, 1.0, 9)]
    return None if any(found is None for found in own) else [found.objective for found in own if found is not None]


def _is_minimum(evidence: Evidence, theta: np.ndarray) -> bool:
    """Whether the objective is higher at every neighbour of θ (a hundredth away, one coordinate at a time)."""
    pieces = evidence.reference_pieces
    solution = evidence.solve(theta)
    if pieces is None or solution is None:
        return False
    least = solution.objective - max(4.0 * evidence.noise, 1e-9)
    for i, diagonal in enumerate(pieces.diagonal):
        for sign in (-1.0, 1.0):
            near = theta.copy()
            near[i] += sign * 0.01 * max(abs(theta[i]), 0.01)
            if diagonal and near[i] < 0.0:
                continue
            beside = evidence.solve(near)
            if beside is None or beside.objective < least:
                return False
    return True


def _implied(evidence: Evidence, theta: np.ndarray) -> bool:
    solution = evidence.solve(theta)
    if solution is None:
        return False
    expected = implied_numbers(solution)
    checked = 0
    for record in records(evidence.compared("fixef", "se", "sigma", "variance", "sd", "ranef")):
        value = expected.get(tuple(record[name] for name in ("quantity", "group", "term", "term2", "level")))
        if value is None:
            continue
        checked += 1
        if not close(record["candidate"], value, 1e-5) and abs(record["candidate"] - value) > 1e-7 * solution.sigma:
            return False
    return checked > 0


# ---------------------------------------------------------------------------------------------------- row 7


def model_structure(evidence: Evidence) -> Finding | None:
    """Row 7: crossed against nested, || against |, an implied intercept lost."""
    terms = {side: _terms(evidence, side) for side in ("reference", "candidate")}
    if not terms["reference"] or not terms["candidate"]:
        return None
    thetas = {side: sum(len(e) * (len(e) + 1) // 2 for _, _, e in terms[side]) for side in terms}
    columns = {side: sum(count * len(effects) for _, count, effects in terms[side]) for side in terms}
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    fixed_lost = (
        left is not None
        and right is not None
        and ("(Intercept)" in left.coef_names) != ("(Intercept)" in right.coef_names)
        and left.X.shape[1] != right.X.shape[1]
    )
    if sorted(terms["reference"]) == sorted(terms["candidate"]) and not fixed_lost:
        return None  # another order at most, which order_of_theta looks at
    counts = (
        f"{thetas['reference']} θ and {columns['reference']} columns of Z in the reference, {thetas['candidate']} and "
        f"{columns['candidate']} in the candidate"
    )
    shown = "; ".join(
        f"{side}: "
        + ", ".join(f"({' + '.join(effects)} | {group}, {count} levels)" for group, count, effects in terms[side])
        for side in ("reference", "candidate")
    )
    if _only_recoded(left, right, terms) or (thetas["reference"] == thetas["candidate"] and other_names(evidence)):
        return None
    effects = {side: sorted((group, e) for group, _, es in terms[side] for e in es) for side in terms}
    groups = {side: {group: count for group, count, _ in terms[side]} for side in terms}
    if fixed_lost and terms["reference"] == terms["candidate"]:
        lost = "candidate" if left is not None and "(Intercept)" in left.coef_names else "reference"
        name, title = "intercept-lost", f"The {lost} has no intercept among its fixed effects"
    elif (
        [e for e in effects["reference"] if e not in effects["candidate"]]
        and all(e[1] == "(Intercept)" for e in effects["reference"] if e not in effects["candidate"])
        and groups["reference"].keys() == groups["candidate"].keys()
    ):
        name, title = "random-intercept-lost", "A random-effects term lost its implied intercept"
    elif effects["reference"] == effects["candidate"] and thetas["reference"] != thetas["candidate"]:
        independent = "candidate" if thetas["candidate"] < thetas["reference"] else "reference"
        name, title = (
            "correlation-lost",
            f"The {independent} keeps random effects independent (||), the other correlates them (|)",
        )
    elif groups["reference"] != groups["candidate"] and (unused := _unused_levels(evidence)):
        name, title = "unused-levels", f"The candidate keeps levels that do not occur in the data: {unused}"
    elif groups["reference"] != groups["candidate"]:
        name, title = "crossed-vs-nested", "The grouping factors differ: crossed against nested, or other levels"
        if (
            groups["reference"].keys() == groups["candidate"].keys()
            and evidence.pair("nobs")[0] != evidence.pair("nobs")[1]
        ):
            return None  # other rows have other levels: row 4 explains it
        if groups["reference"].keys() == groups["candidate"].keys() and _odd_levels(evidence):
            return None
    else:
        name, title = "random-terms", "The two sides do not have the same random-effects terms"
    cause = Cause(
        7,
        name,
        title,
        f"{counts}. {shown}",
        "Write the random part as lme4 reads it: (x | g) has an intercept and a correlation, (x || g) no correlation, "
        "(1 | a/b) is (1 | a) + (1 | a:b), and levels of b that repeat within a mean nothing without a.",
        {f"{side}_theta": float(thetas[side]) for side in thetas},
    )
    return Finding(cause, 0.97)


def order_of_theta(evidence: Evidence) -> Finding | None:
    """Row 8: θ's elements in another order than lme4's."""
    theta = {side: evidence.theta(side) for side in ("reference", "candidate")}
    left, right = theta["reference"], theta["candidate"]
    if left is None or right is None or sorted(left.index) != sorted(right.index) or left.index.equals(right.index):
        return None
    if evidence.value("candidate", "theta-names") != evidence.value("reference", "theta-names"):
        return None  # another number of them
    cause = Cause(
        8,
        "theta-order",
        "The elements of θ stand in another order",
        f"lme4: {', '.join(map(str, left.index))}; the candidate: {', '.join(map(str, right.index))}",
        "lme4 sorts terms by their number of levels, most first, and takes each term's lower triangle column by "
        "column; a start value or a profile given by position goes wrong otherwise.",
        {},
    )
    return Finding(cause, 0.6)


def _only_recoded(
    left: Pieces | None, right: Pieces | None, terms: dict[str, list[tuple[str, int, tuple[str, ...]]]]
) -> bool:
    """Whether the terms differ by the names of recoded columns only: row 3 explains that."""
    if left is None or right is None or basis(left, right) is None:
        return False
    shapes = {side: [(group, count, len(effects)) for group, count, effects in found] for side, found in terms.items()}
    if shapes["reference"] != shapes["candidate"]:
        return False
    pairs = zip(terms["reference"], terms["candidate"], strict=True)
    return all(
        a == b or (a in left.coef_names and b in right.coef_names)
        for (_, _, ours), (_, _, theirs) in pairs
        for a, b in zip(ours, theirs, strict=True)
    )


def _unused_levels(evidence: Evidence) -> str:
    """Levels that only the candidate has and no row of the data; the empty string where there are others as well."""
    found: list[str] = []
    theirs = _levels(evidence, "candidate")
    for group, ours in _levels(evidence, "reference").items():
        extra = set(theirs.get(group, ours)) - set(ours)
        if set(ours) - set(theirs.get(group, ours)) or evidence.data is None or group not in evidence.data:
            return ""
        if extra & set(evidence.data[group].dropna().astype(str)):
            return ""
        found += [f"{label!r} of {group}" for label in sorted(extra)]
    return ", ".join(found[:5])


def _odd_levels(evidence: Evidence) -> bool:
    finding = rows_used(evidence)
    return finding is not None


def _terms(evidence: Evidence, side: str) -> list[tuple[str, int, tuple[str, ...]]]:
    """(grouping factor, levels, effects) of each term; from VarCorr where a fit has no pieces."""
    pieces: Pieces | None = evidence.reference_pieces if side == "reference" else evidence.candidate_pieces
    if pieces is not None:
        return [(term.group, term.J, term.effects) for term in pieces.terms]
    fit = evidence.reference if side == "reference" else evidence.candidate
    try:
        components = fit.VarCorr()
    except Exception:
        return []
    try:
        ngrps = dict(fit.ngrps())
    except Exception:  # without it, levels are taken to be the other side's: what is not said does not differ
        other = evidence.reference_pieces if side == "candidate" else evidence.candidate_pieces
        ngrps = {term.group: term.J for term in other.terms} if other is not None else {}
    terms: dict[str, list[str]] = {}
    for row in components.itertuples(index=False):
        if str(row.grp) != "Residual" and (not isinstance(row.var2, str)):
            terms.setdefault(str(row.grp), []).append(str(row.var1))
    # R calls a factor's second term g.1.
    factors = {name: name if name in ngrps else name.rpartition(".")[0] for name in terms}
    return [(factors[name], int(ngrps.get(factors[name], 0)), tuple(effects)) for name, effects in terms.items()]


# ---------------------------------------------------------------------------------------------------- row 8


def permuted_modes(evidence: Evidence) -> Finding | None:
    """Row 8: BLUPs given to the wrong levels, or to the wrong effects."""
    rows = evidence.compared("ranef")
    if rows.empty:
        return None
    columns: dict[tuple[str, str], tuple[np.ndarray, np.ndarray, list[str]]] = {}
    for (group, term), part in rows.groupby(["group", "term"], sort=False):
        columns[str(group), str(term)] = (
            part["reference"].to_numpy(),
            part["candidate"].to_numpy(),
            part["level"].tolist(),
        )
    for (group, term), (left, right, levels) in columns.items():
        size = float(np.std(left)) or 1.0
        wrong = np.abs(right - left) > 1e-3 * size
        if not wrong.any() or not np.isfinite(right).all() or len(left) < 3:
            continue
        if np.allclose(np.sort(left), np.sort(right), rtol=0, atol=1e-4 * size):
            order = _order_words(left, right, levels, size)
            cause = Cause(
                8,
                "permuted-levels",
                f"The BLUPs of {group} are right but stand at the wrong levels",
                f"the {len(left)} values of {term} are the same on both sides as a set, {int(wrong.sum())} of them at "
                f"another level{order}",
                "Label each conditional mode with its own level; R orders levels as the factor does, not as they "
                "appear in the data and not as numbers.",
                {"misplaced": float(wrong.sum()), "levels": float(len(left))},
            )
            return Finding(cause, 0.99)
        for (other_group, other_term), (other_left, _, other_levels) in columns.items():
            if (other_group, other_term) == (group, term) or other_levels != levels:
                continue
            if np.allclose(right, other_left, rtol=0, atol=1e-4 * (float(np.std(other_left)) or 1.0)):
                cause = Cause(
                    8,
                    "permuted-effects",
                    f"The BLUPs of {other_term} stand under {term}",
                    f"all {len(left)} values that the candidate gives for {group} {term} are the reference's for "
                    f"{other_group} {other_term}",
                    "Label each column of conditional modes with its own effect; in Z the effects of a level are "
                    "adjacent.",
                    {"levels": float(len(left))},
                )
                return Finding(cause, 0.99)
    return None


def permuted_labels(evidence: Evidence) -> Finding | None:
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
        left, right = rows["reference"].to_numpy(), rows["candidate"].to_numpy()
        if len(left) < 2 or not (np.isfinite(left).all() and np.isfinite(right).all()):
            continue
        size = np.maximum(np.abs(left), 1e-9 * float(np.max(np.abs(left))))
        wrong = np.abs(left - right) > 1e-4 * size
        if wrong.sum() < 2 or not np.allclose(np.sort(left), np.sort(right), rtol=1e-6, atol=0):
            continue
        names = [_place(record) for record in records(rows)]
        moved = "; ".join(
            f"{names[i]} holds the value of {names[int(np.argmin(np.abs(left - right[i])))]}"
            for i in np.flatnonzero(wrong)[:3]
        )
        cause = Cause(
            8,
            "permuted-terms",
            f"The {words} are right but stand under the wrong names",
            f"as a set the {len(left)} values are the same, {int(wrong.sum())} stand elsewhere: {moved}",
            remedy,
            {"misplaced": float(wrong.sum())},
        )
        return Finding(cause, 0.97)
    return None


def _place(record: dict[str, Any]) -> str:
    return " ".join(str(record[key]) for key in ("group", "term") if record[key] is not None)


def _order_words(left: np.ndarray, right: np.ndarray, levels: list[str], size: float) -> str:
    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.allclose(a, b, rtol=0, atol=1e-4 * size))

    if same(left[::-1], right):
        return " (in reverse order)"
    for shift in (1, -1):
        if same(np.roll(left, shift), right):
            return f" (moved by one place {'down' if shift == 1 else 'up'})"
    for name, key in (("as text", str), ("as numbers", lambda label: float(label))):
        try:
            order = sorted(range(len(levels)), key=lambda i: key(levels[i]))
        except ValueError:
            continue
        if same(left[order], right):
            return f" (in the order of the levels sorted {name})"
    return ""


# ---------------------------------------------------------------------------------------------------- row 10


def constants(evidence: Evidence) -> Finding | None:
    """Row 10: the objective or the log-likelihood differs by a constant."""
    logLik = evidence.pair("logLik")
    N, p = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
    points = evidence.same_theta
    offset = math.nan
    where, proved = "", True
    if len(points) >= 3 and points["reference"].notna().any():
        shift = (points["candidate"] - points["reference"]).to_numpy()
        size = max(float(np.nanmax(np.abs(points["reference"]))), 1.0)
        if np.isfinite(shift).all() and np.ptp(shift) <= 1e-9 * size and abs(shift.mean()) > 1e-6 * size:
            offset = float(shift.mean())
            where = f"the objectives differ by {offset:.6f} at all {len(points)} θ"
    if math.isnan(offset) and evidence.objective_agrees and all(map(math.isfinite, logLik)):
        change = -2.0 * (logLik[1] - logLik[0])
        improvement = evidence.improvement or 0.0
        if abs(change + improvement) > 1e-4:
            offset = change + improvement
            where = f"the objectives are the same function, but -2 log-likelihood differs by {offset:.6f}"
    pieces, theta = evidence.reference_pieces, evidence.known_theta
    if math.isnan(offset) and not len(points) and theta is not None and _same_model(evidence):
        # Nothing to call: what is reported against what the candidate's own θ implies.
        solution = evidence.solve(theta)
        if solution is not None and _implied(evidence, theta):
            change = -2.0 * logLik[1] - solution.objective
            if math.isfinite(change) and abs(change) > max(1e-3, 1e-7 * abs(solution.objective)):
                offset = change
                where = f"-2 log-likelihood differs by {offset:.6f} from what the candidate's own θ implies"
            proved = False  # one number alone: only a constant that is known explains it
    if math.isnan(offset):
        return None
    sigma = evidence.value("reference", "sigma")
    log2pi = math.log(2 * math.pi)
    known = {
        "N log(2π)": N * log2pi,
        "(N − p) log(2π)": (N - p) * log2pi,
        "p log(2π)": p * log2pi,
        "N": N,
        "N − p": N - p,
        "N (1 + log(2π))": N * (1 + log2pi),
        "(N − p)(1 + log(2π))": (N - p) * (1 + log2pi),
        "half the -2 log-likelihood (a log-likelihood without its factor 2)": abs(logLik[0]),
    }
    if pieces is not None and pieces.weights is not None:
        known["Σ log w, the logs of the prior weights"] = float(np.log(pieces.weights).sum())
    if pieces is not None and pieces.X.shape[1]:
        sign, logdet = np.linalg.slogdet(pieces.X.T @ pieces.X)
        if sign > 0:
            known["log|X'X|"] = float(logdet)
    if sigma > 0:
        known["2N log σ"] = 2 * N * math.log(sigma)
    names = [name for name, value in known.items() if close(abs(offset), abs(value), 1e-6)]
    if not names and not proved:
        return None
    cause = Cause(
        10,
        "constant-offset",
        "The log-likelihood lacks (or has besides) a constant" + (f": {names[0]}" if names else ""),
        where + (f", which is {'−' if offset < 0 else ''}{names[0]} = {known[names[0]]:.6f}" if names else ""),
        "Keep every constant of the normal density, as R does, so that logLik, AIC and BIC can be compared across "
        "programs; estimates are not affected.",
        {"offset": offset, "N": N},
    )
    return Finding(cause, 0.98 if names else 0.9)


def degrees_of_freedom(evidence: Evidence) -> Finding | None:
    """Row 10: parameters counted otherwise (σ not among them, θ's elements not all), or another N in BIC."""
    npar, logLik = evidence.pair("npar"), evidence.pair("logLik")
    aic, bic = evidence.pair("AIC"), evidence.pair("BIC")
    N = evidence.value("reference", "nobs")
    nobs = evidence.pair("nobs")
    if evidence.candidate_theta() is None or _columns_differ(evidence) or nobs[0] != nobs[1]:
        return None
    implied = (aic[1] + 2 * logLik[1]) / 2
    counted = npar[1] if math.isfinite(npar[1]) and npar[1] != npar[0] else implied
    if math.isfinite(counted) and abs(counted - npar[0]) > 1e-6 and abs(counted - round(counted)) < 1e-6:
        missing = npar[0] - counted
        words = " (σ is not counted)" if missing == 1 else ""
        cause = Cause(
            10,
            "parameter-count",
            f"The candidate counts {counted:.0f} parameters, the reference {npar[0]:.0f}{words}",
            f"AIC is -2 log-likelihood plus {implied * 2:.6g} in the candidate; R adds 2 × "
            f"{npar[0]:.0f}: fixed effects, "
            "elements of θ, and σ",
            "Count fixed effects, every element of θ and σ: likelihood-ratio tests, AIC and BIC depend on it.",
            {"reference": npar[0], "candidate": counted},
        )
        return Finding(cause, 0.93)
    residual = evidence.pair("df_residual")
    fixed = float(len(evidence.rows("fixef")))
    if all(map(math.isfinite, residual)) and residual[0] != residual[1]:
        words = {N - fixed: "N − p, less the fixed effects alone", N - npar[0] + 1: "without σ"}.get(residual[1], "")
        cause = Cause(
            10,
            "residual-df",
            "The residual degrees of freedom are counted otherwise" + (f": {words}" if words else ""),
            f"the candidate has {residual[1]:.0f}, the reference {residual[0]:.0f}: N = {N:.0f} less "
            f"{npar[0]:.0f} parameters, of which {fixed:.0f} are fixed effects",
            "df.residual() of lme4 is N less all parameters: fixed effects, elements of θ, and σ. No estimate depends "
            "on it.",
            {"reference": residual[0], "candidate": residual[1]},
        )
        return Finding(cause, 0.85)
    weight = (bic[1] + 2 * logLik[1]) / npar[0] if npar[0] else math.nan
    if math.isfinite(weight) and math.isfinite(N) and not close(weight, math.log(N), 1e-5):
        effective = math.exp(min(weight, 50.0))
        cause = Cause(
            10,
            "bic-sample-size",
            "BIC uses another number of observations",
            f"BIC's penalty per parameter is {weight:.6f} = log({effective:.6g}); R uses log({N:.0f}), the rows used",
            "Use log(N) with N the number of rows used, as R's BIC does.",
            {"candidate_n": effective, "reference_n": N},
        )
        return Finding(cause, 0.9)
    return None


def standard_error_scale(evidence: Evidence) -> Finding | None:
    """Row 10: all standard errors are off by one factor (degrees of freedom, σ left out), or t is not β/SE."""
    rows = evidence.compared("se")
    if rows.empty or _columns_differ(evidence):
        return None
    ratio = (rows["candidate"] / rows["reference"]).to_numpy()
    N, p = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
    sigma = evidence.value("reference", "sigma")
    sigma_agrees = close(evidence.value("candidate", "sigma"), sigma, 1e-5)
    if (
        np.isfinite(ratio).all()
        and np.ptp(ratio) < 1e-5 * abs(ratio.mean())
        and abs(ratio.mean() - 1) > 1e-5
        and sigma_agrees
    ):
        factor = float(ratio.mean())
        names = [name for name, value in _known_factors(N, p, sigma).items() if close(factor, value, 1e-5)]
        cause = Cause(
            10,
            "standard-error-scale",
            "All standard errors are off by one factor" + (f", {names[0]}" if names else ""),
            f"candidate over reference is {factor:.8g} for all {len(ratio)} coefficients",
            "vcov(β̂) is σ̂² (X'V⁻¹X)⁻¹ with the σ̂ that is reported.",
            {"factor": factor},
        )
        if names or abs(factor - 1) >= 0.01:
            return Finding(cause, 0.94)
    terms = evidence.compared("t")
    beta = {r["term"]: r["candidate"] for r in records(evidence.compared("fixef"))}
    se = {r["term"]: r["candidate"] for r in records(rows)}
    both = records(evidence.compared("fixef")), records(rows)
    near = [{r["term"] for r in found if close(r["candidate"], r["reference"], 1e-4)} for found in both]
    agreed = near[0] & near[1]
    off = [
        r["term"]
        for r in records(terms)
        if r["term"] in beta
        and math.isfinite(r["candidate"])
        and se.get(r["term"], math.nan) > 0
        and r["term"] in agreed  # otherwise t may be right and the estimate wrong
        and not close(r["candidate"], beta[r["term"]] / se[r["term"]], 1e-6)
    ]
    if off:
        t_of = {r["term"]: r["candidate"] for r in records(terms)}
        cause = Cause(
            10,
            "test-statistic",
            "The test statistic is not the estimate over its standard error",
            f"for {', '.join(map(str, off[:5]))} the candidate's t is not its own estimate divided by its own standard "
            f"error: {t_of[off[0]]:.6g}, where {beta[off[0]]:.6g} / {se[off[0]]:.6g} is "
            f"{beta[off[0]] / se[off[0]]:.6g}",
            "lme4's t value is β̂/SE; p-values by z, t or Satterthwaite are another matter and are not in this table.",
            {},
        )
        return Finding(cause, 0.9)
    return _loose(evidence, ratio)


def standard_errors_of_other_criterion(evidence: Evidence) -> Finding | None:
    """Row 1: the standard errors alone are those of the other criterion's fit."""
    rows = records(evidence.compared("se"))
    off = [r for r in rows if not close(r["candidate"], r["reference"], 1e-5)]
    sigma = evidence.pair("sigma")
    if not off or not close(sigma[1], sigma[0], 1e-6):
        return None
    solution = other_optimum(evidence)
    if solution is None:
        return None
    expected = {key[2]: value for key, value in implied_numbers(solution).items() if key[0] == "se"}
    if not all(close(r["candidate"], expected.get(r["term"], math.nan), 1e-5) for r in rows):
        return None
    wanted, other = ("REML", "ML") if evidence.reml else ("ML", "REML")
    first = off[0]
    cause = Cause(
        1,
        "standard-errors-other-criterion",
        f"The standard errors are those of the {other} fit; the rest is the {wanted} fit that was asked for",
        f"all {len(rows)} match the {other} fit, computed here from the reference's own y, X and Z; e.g. "
        f"{first['term']}: {first['candidate']:.8g}, where {wanted} gives {first['reference']:.8g} and {other} "
        f"{expected[first['term']]:.8g}",
        f"Take vcov(β̂) from the same fit as β̂: σ̂²(X'V⁻¹X)⁻¹ at the θ̂ and σ̂ of {wanted}.",
        {"reference": float(first["reference"]), "candidate": float(first["candidate"])},
    )
    return Finding(cause, 0.96)


def _known_factors(N: float, p: float, sigma: float) -> dict[str, float]:
    return {
        "√(N/(N − p)): residual degrees of freedom in place of N": math.sqrt(N / (N - p)),
        "√((N − p)/N): N in place of residual degrees of freedom": math.sqrt((N - p) / N),
        "1/σ: σ was left out": 1 / sigma,
        "σ: σ was put in twice": sigma,
    }


def _follow(evidence: Evidence, off: float) -> bool:
    """Whether the candidate's standard errors are those that its own θ implies, to a hundredth of what they are off."""
    theta = evidence.known_theta
    solution = evidence.solve(theta) if theta is not None else None
    if solution is None:
        return False
    implied = {key[2]: value for key, value in implied_numbers(solution).items() if key[0] == "se"}
    rows = records(evidence.compared("se"))
    known = [(float(r["candidate"]), implied[r["term"]]) for r in rows if r["term"] in implied]
    return bool(known) and all(close(value, target, max(1e-8, off / 100)) for value, target in known)


def _loose(evidence: Evidence, ratio: np.ndarray) -> Finding | None:
    """Standard errors alone are a little off: another computation of them."""
    off = float(np.max(np.abs(ratio - 1), initial=0.0)) if np.isfinite(ratio).all() else math.inf
    if not 1e-6 < off < 0.05 or evidence.objective_agrees is False:
        return None
    if evidence.known_theta is None:
        return None  # a θ that is a little off would show alike
    fixed = evidence.compared("fixef")
    se = evidence.compared("se")["reference"].to_numpy()
    away = np.abs(fixed["candidate"].to_numpy() - fixed["reference"].to_numpy())
    if away.size != se.size or (away > 1e-3 * se).any() or (away > 1e-2 * off * se).any():
        return None  # the estimates moved too: then the standard errors follow them
    if _follow(evidence, off):
        return None  # it is θ that is a little off
    cause = Cause(
        10,
        "standard-errors-loose",
        "The standard errors come from another computation: from a numerical Hessian, or from all parameters' "
        "information at once",
        f"the coefficients agree within {float(np.max(away / se)):.1g} standard errors, the standard errors differ by "
        f"factors from {ratio.min():.7g} to {ratio.max():.7g}",
        "lme4's standard errors are the roots of σ̂²(X'V⁻¹X)⁻¹, in closed form; derivatives taken numerically keep four "
        "digits or so. Conclusions do not change, digits do.",
        {"largest": off},
    )
    return Finding(cause, 0.9)


_TESTS_REMEDY = (
    "lme4 prints no p-values on purpose. Say which ones are wanted: Satterthwaite's or Kenward and Roger's degrees of "
    "freedom (lmerTest, pbkrtest) for small samples; the normal distribution (z) is too generous when there are few "
    "groups."
)


def tests_of_coefficients(evidence: Evidence) -> Finding | None:
    """Row 10: p-values by another distribution (z, residual df), or one-sided."""
    tests = evidence.compared("p")
    if tests.empty:
        return None
    ours = {r["term"]: r for r in records(tests)}
    t = {r["term"]: float(r["candidate"]) for r in records(evidence.compared("t"))}
    df = {r["term"]: (float(r["reference"]), float(r["candidate"])) for r in records(evidence.compared("df"))}
    N, rank = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
    npar = evidence.value("reference", "npar")
    groups = evidence.rows("ngrps")["reference"].to_numpy(dtype=float)
    smallest = float(groups.min()) if groups.size else math.nan
    hypotheses: list[tuple[str, str, Callable[[str], float]]] = [
        ("z", "the normal distribution (z tests)", lambda term: math.inf),
        ("residual-df", f"t with N − p = {N - rank:.0f} degrees of freedom", lambda term: N - rank),
        ("residual-df", f"t with N − npar = {N - npar:.0f} degrees of freedom", lambda term: N - npar),
        ("groups-df", f"t with groups − 1 = {smallest - 1:.0f} degrees of freedom", lambda term: smallest - 1),
        ("groups-df", f"t with groups − p = {smallest - rank:.0f} degrees of freedom", lambda term: smallest - rank),
    ]
    reference_t = {r["term"]: float(r["reference"]) for r in records(evidence.compared("t"))}
    # Where t itself differs, another p follows from it.
    terms = [term for term in ours if term in t and close(t[term], reference_t[term], 1e-3)]
    off = [term for term in terms if not _same_p(ours[term]["candidate"], ours[term]["reference"], 1e-4)]
    if not off:
        return None

    def tail(term: str, freedom: float) -> float:
        return float(2 * (norm.sf(abs(t[term])) if math.isinf(freedom) else student_t.sf(abs(t[term]), freedom)))

    reference_df = {term: df[term][0] for term in terms if term in df}
    for name, words, freedom in hypotheses:
        if all(freedom(term) > 0 and _same_p(ours[term]["candidate"], tail(term, freedom(term)), 1e-6) for term in off):
            found = (name, words)
            break
    else:
        if reference_df and all(
            _same_p(ours[term]["candidate"], tail(term, reference_df[term]) / 2, 1e-4) for term in off
        ):
            found = ("one-sided", "one tail of the distribution only")
        elif any(term in df and not close(df[term][1], df[term][0], 1e-4) for term in off):
            term = next(term for term in off if term in df and not close(df[term][1], df[term][0], 1e-4))
            found = ("other-df", f"{df[term][1]:.6g} degrees of freedom (the reference has {df[term][0]:.6g})")
        else:
            return None
    term = off[0]
    cause = Cause(
        10,
        f"p-values-{found[0]}",
        f"The candidate's p-values are by {found[1]}",
        f"for {term}: reference p = {ours[term]['reference']:.6g}"
        + (f" (df {df[term][0]:.6g})" if term in df else "")
        + f", candidate p = {ours[term]['candidate']:.6g}, at t = {t[term]:.6g}; so for {len(off)} of {len(terms)} "
        "coefficients",
        _TESTS_REMEDY,
        {"reference": float(ours[term]["reference"]), "candidate": float(ours[term]["candidate"])},
    )
    return Finding(cause, 0.95)


def _same_p(p: float, q: float, limit: float) -> bool:
    if not (0.0 <= p <= 1.0 and 0.0 <= q <= 1.0):
        return False
    logs = [math.log(max(value, 1e-300)) for value in (p, q)]
    return abs(logs[0] - logs[1]) <= limit * max(1.0, abs(logs[1]))


# ---------------------------------------------------------------------------------------------------- row 11


def predictions(evidence: Evidence) -> Finding | None:
    """Row 11: marginal in place of conditional predictions, or unseen levels that do not get the random effect 0."""
    sigma = evidence.value("reference", "sigma")
    marginal, new = evidence.compared("predict-marginal"), evidence.compared("predict-new")
    fits = evidence.rows("fitted")

    def gap(rows: pd.DataFrame, other: dict[str, float] | None = None) -> float:
        if rows.empty:
            return 0.0
        target = rows["reference"].to_numpy() if other is None else np.array([other[row] for row in rows["level"]])
        return float(np.max(np.abs(rows["candidate"].to_numpy() - target)))

    conditional = dict(zip(fits["level"], fits["reference"], strict=True))
    population = dict(zip(marginal["level"], marginal["reference"], strict=True))
    if not _same_model(evidence):
        return None  # another model predicts otherwise
    comparable = gap(marginal) > 1e-4 * sigma and set(marginal["level"]) <= conditional.keys()
    if comparable and gap(marginal, conditional) < 1e-4 * sigma:
        cause = Cause(
            11,
            "conditional-for-marginal",
            "Predictions for the population contain the random effects",
            f"asked for the fixed effects alone (re.form = ~0) the candidate gives the conditional predictions, up "
            f"to {gap(marginal):.4g} from the marginal ones",
            "predict(re.form = ~0) is Xβ: what is expected of a new group. Leave the random effects out.",
            {"difference": gap(marginal)},
        )
        return Finding(cause, 0.97)
    marginal_agrees = not marginal.empty and gap(marginal) <= 1e-4 * sigma
    if gap(new) > 1e-4 * sigma and marginal_agrees and set(new["level"]) <= conditional.keys():
        words = "not Xβ"
        if gap(new, conditional) < 1e-4 * sigma:
            words = "those of the rows' old levels"
        else:
            modes = evidence.rows("ranef")
            shift = new["candidate"].to_numpy() - new["reference"].to_numpy()
            if np.ptp(shift) < 1e-6 * sigma:
                words = f"all off by {shift.mean():.5g}"
                same = modes[np.abs(modes["reference"] - shift.mean()) < 1e-6 * sigma]
                if len(same):
                    words += f", the random effect of level {same['level'].iloc[0]}"
        cause = Cause(
            11,
            "new-levels",
            "Predictions for levels that the data do not have are wrong",
            f"for {len(new)} rows with unseen levels the candidate's predictions are {words}; they differ from the "
            f"reference's by up to {gap(new):.4g}",
            "A level that was not in the data has the random effect 0, its expectation: with allow.new.levels = TRUE "
            "lme4 predicts from the fixed effects (and from the levels that are known).",
            {"difference": gap(new)},
        )
        known = gap(new, population) if set(new["level"]) <= population.keys() else math.inf
        return Finding(cause, 0.96 if known > 0 else 0.9)
    return None


def unshrunken(evidence: Evidence) -> Finding | None:
    """Row 11: BLUPs without shrinkage, coefficients in their place, or marginal in place of conditional predictions."""
    pieces, theta = evidence.reference_pieces, evidence.theta("reference")
    if pieces is None or theta is None:
        return None
    rows = evidence.compared("ranef")
    sigma = evidence.value("reference", "sigma")
    if not rows.empty and not (np.abs(rows["candidate"] - rows["reference"]) < 1e-4 * sigma).all():
        reference = {(r["group"], r["term"], r["level"]): r["reference"] for r in records(rows)}
        candidate = {(r["group"], r["term"], r["level"]): r["candidate"] for r in records(rows)}
        for unpooled in _unpooled(evidence, pieces, reference):
            keys = [key for key in candidate if key in unpooled]
            matched = [key for key in keys if abs(candidate[key] - unpooled[key]) < 1e-4 * sigma]
            telling = [key for key in keys if abs(reference[key] - unpooled[key]) > 1e-3 * sigma]
            if len(telling) < 2 or len(matched) < 0.8 * len(keys):
                continue
            key = max(telling, key=lambda k: abs(reference[k] - unpooled[k]))
            cause = Cause(
                11,
                "unshrunken",
                "The random effects are not shrunken: each level was estimated from its own rows alone",
                f"{len(matched)} of {len(keys)} values equal the level's own least-squares estimate; for {key[2]} the "
                f"candidate has {candidate[key]:.6g}, the BLUP is {reference[key]:.6g}: a ratio of "
                f"{candidate[key] / reference[key] if reference[key] else math.inf:.4g}, one over the shrinkage factor",
                "Conditional modes are the level's own estimate times the shrinkage factor, "
                "σ_a²/(σ_a² + σ²/n_j) for a random intercept.",
                {"candidate": candidate[key], "reference": reference[key], "unpooled": unpooled[key]},
            )
            return Finding(cause, 1.0)
        fixed = {r["term"]: r["reference"] for r in records(evidence.rows("fixef"))}
        keys = list(candidate)
        shifted = [key for key in keys if abs(candidate[key] - reference[key] - fixed.get(key[1], 0.0)) < 1e-4 * sigma]
        if len(shifted) >= 0.8 * len(keys) and any(abs(fixed.get(key[1], 0.0)) > 1e-3 * sigma for key in keys):
            cause = Cause(
                11,
                "coef-for-ranef",
                "ranef() holds coefficients: fixed effect plus random effect",
                f"{len(shifted)} of {len(keys)} values are the reference's conditional mode plus its fixed effect",
                "ranef() are deviations from the fixed effects; coef() is their sum.",
                {},
            )
            return Finding(cause, 1.0)
    solution = evidence.solve(theta.to_numpy())
    fits = evidence.compared("fitted")
    if solution is not None and len(fits) == solution.marginal.size:
        marginal = np.abs(fits["candidate"].to_numpy() - solution.marginal).max()
        conditional = np.abs(fits["candidate"].to_numpy() - fits["reference"].to_numpy()).max()
        own = None if evidence.known_theta is None else evidence.solve(evidence.known_theta)
        # At the candidate's own θ̂ its fitted values may be right: where a variance is 0, both are one.
        follows = own is not None and np.abs(fits["candidate"].to_numpy() - own.fitted).max() < 1e-4 * sigma
        if marginal < 1e-4 * sigma < conditional and not follows:
            cause = Cause(
                11,
                "marginal-fitted",
                "Fitted values leave the random effects out",
                f"they are Xβ to {marginal:.2g}, and up to {conditional:.4g} from the conditional ones",
                "fitted() of lme4 is conditional: Xβ + Zb. Marginal predictions are predict(re_form = NA).",
                {"marginal_difference": float(marginal), "conditional_difference": float(conditional)},
            )
            return Finding(cause, 0.99)
    return None


def _unpooled(
    evidence: Evidence, pieces: Pieces, modes: dict[tuple[str, str, str], float]
) -> Iterator[dict[tuple[str, str, str], float]]:
    """Least-squares estimates of each level's effects from its own rows, term by term.

    Given the fixed effects; with several terms, both with the other terms' conditional modes taken off first
    and without.
    """
    beta = np.asarray(evidence.reference.fixef(), dtype=float)
    if beta.size != pieces.X.shape[1]:
        return
    marginal = pieces.y - pieces.X @ beta - (0.0 if pieces.offset is None else pieces.offset)
    Z = pieces.Z.tocsc()
    root = np.ones(marginal.size) if pieces.weights is None else np.sqrt(pieces.weights)
    b = np.array(
        [
            modes.get((term.group, effect, level), math.nan)
            for term in pieces.terms
            for level in term.levels
            for effect in term.effects
        ]
    )
    start = 0
    for term in pieces.terms:
        columns = slice(start, start + term.J * term.p)
        start += term.J * term.p
        others = b.copy()
        others[columns] = 0.0
        residuals = [marginal] if len(pieces.terms) == 1 else [marginal - Z @ others, marginal]
        for residual in residuals:
            yield _by_level(term, sp.csc_array(sp.diags_array(root) @ Z[:, columns]), root * residual)


def _by_level(term: Term, Z: Any, residual: np.ndarray) -> dict[tuple[str, str, str], float]:
    values: dict[tuple[str, str, str], float] = {}
    for i, level in enumerate(term.levels):
        block = Z[:, i * term.p : (i + 1) * term.p]
        used = np.unique(block.indices)
        columns = block.toarray()[used]
        if np.linalg.matrix_rank(columns) < term.p:
            continue
        estimate = np.linalg.lstsq(columns, residual[used], rcond=None)[0]
        for effect, value in zip(term.effects, estimate, strict=True):
            values[term.group, effect, level] = float(value)
    return values


# ---------------------------------------------------------------------------------------------------- row 12


def single_precision(evidence: Evidence) -> Finding | None:
    """Row 12: numbers that went through 32-bit floats."""
    rows = evidence.compared("fixef", "se", "theta", "sigma", "logLik", "sd", "variance", "covariance", "vcov", "ranef")
    values = rows["candidate"].to_numpy()
    reference = rows["reference"].to_numpy()
    telling = np.isfinite(values) & (values != np.round(values))
    telling_reference = np.isfinite(reference) & (reference != np.round(reference))
    if telling.sum() < 5:
        return None
    with np.errstate(over="ignore"):
        exact = values[telling] == values[telling].astype(np.float32)
        also = reference[telling_reference] == reference[telling_reference].astype(np.float32)
    by_quantity = rows.loc[telling, "quantity"].to_numpy()
    whole = [q for q in dict.fromkeys(by_quantity) if exact[by_quantity == q].all() and (by_quantity == q).sum() >= 2]
    share = float(exact.mean())
    points = evidence.same_theta
    relative = math.nan
    if len(points) and (points["candidate"] / points["reference"]).notna().any():
        with np.errstate(all="ignore"):
            relative = float(np.nanmedian(np.abs(points["candidate"] / points["reference"] - 1)))
    if also.mean() > 0.5:
        return None  # both sides are: then it is no difference between them
    pieces = evidence.reference_pieces
    sigma = evidence.value("reference", "sigma")
    coarse = 0.0 if pieces is None else float(np.spacing(np.abs(pieces.y).max()))
    if coarse > 1e-9 * sigma and (np.remainder(values[telling][exact], coarse) == 0).all():
        return None  # differences of numbers as large as the response: few digits are left, in double precision
    if share > 0.5 or whole:
        words = f"{exact.sum():.0f} of {telling.sum():.0f} numbers are exactly representable in 32 bits"
        if share <= 0.5:
            words = f"all numbers of {', '.join(whole)} are exactly representable in 32 bits"
        strength = 0.99
    elif 1e-9 < relative < 1e-5 and relative > _cancelled(evidence):
        words = f"the objectives agree to {-math.log10(relative):.1f} digits at the same θ"
        strength = 0.55
    else:
        return None
    median = float(np.nanmedian([digits(c, r) for c, r in zip(values, reference, strict=True)]))
    cause = Cause(
        12,
        "single-precision",
        "The candidate computes, or stores, in single precision",
        f"{words}; the digits of agreement stop at {median:.1f} (median)",
        "Use 64-bit floats throughout: the sums of squares behind a deviance lose half their digits otherwise.",
        {"share_float32": share, "median_digits": median},
    )
    return Finding(cause, strength)


def _cancelled(evidence: Evidence) -> float:
    """The relative error that double precision leaves in a sum of squares of a response far from 0 for its spread."""
    pieces, sigma = evidence.reference_pieces, evidence.value("reference", "sigma")
    if pieces is None or not sigma > 0:
        return 0.0
    return float(np.finfo(float).eps * (np.abs(pieces.y).max() / sigma) ** 2)


#: Sum of squares of a response over that about its mean from which it is far from 0: centring gains two digits of it.
_FAR = 100.0

#: An objective with an error of this size misleads a search by up to so many times as much, and no more.
_SHOWS = 100.0


def cancellation(evidence: Evidence) -> Finding | None:
    """Row 12: digits lost because the response is large for its spread, and was not centred before it was squared.

    What is lost by squaring the response, or by subtracting fitted values of its size, is known beforehand. The
    candidate's residual sum of squares must be off what its own θ implies by no more than that, and its θ no worse than
    an objective with such an error explains.
    """
    pieces, theta = evidence.reference_pieces, evidence.known_theta
    own = None if theta is None else evidence.solve(theta)
    best = None if own is None else evidence.solve(evidence.theta("reference").to_numpy())  # type: ignore[union-attr]
    if pieces is None or own is None or best is None or not _same_model(evidence):
        return None
    N = pieces.y.size
    df = N - pieces.X.shape[1] if evidence.reml else N
    squares = own.sigma**2 * df
    epsilon = float(np.finfo(float).eps)
    weights = np.ones(N) if pieces.weights is None else pieces.weights
    total = float(weights @ pieces.y**2)
    if total < _FAR * float(weights @ (pieces.y - np.average(pieces.y, weights=weights)) ** 2):
        return None
    # What is lost, as a share of the residual sum of squares: where y'y itself is summed, and where y − Xβ̂ − Zb is.
    by_squares = epsilon * total / squares
    by_differences = 2.0 * epsilon * math.sqrt(N * total / squares)
    reported = evidence.value("candidate", "sigma") ** 2 * df
    share = abs(reported / squares - 1.0) if math.isfinite(reported) else math.inf
    excess = own.objective - best.objective
    off = -2.0 * evidence.value("candidate", "logLik") - own.objective
    if all(close(r["candidate"], r["reference"], 1e-5) for r in records(evidence.compared("sigma", "variance"))):
        return None
    if evidence.value("candidate", "criterion") == float(not evidence.reml):
        return None  # it says itself that its criterion is the other one: that comes first
    # Lost digits show in the numbers at the candidate's own θ; an optimizer that stopped early leaves right ones there.
    seen = max(df * share, abs(off) if math.isfinite(off) else 0.0)
    if excess > _SHOWS * seen:
        return None
    # A sum of squares that is off by no more than its residuals' rounding was not taken from y'y.
    direct = share <= 30.0 * by_differences
    loss, how = (by_differences, "the residuals") if direct else (by_squares, "the sum of squares of the response")
    noise = N * math.log1p(30.0 * loss)  # of the objective, N log r² and more
    # Beside a minimum the parameters are off by the root of the objective's noise: what is small is explained so.
    if 4.0 * math.sqrt(noise) <= 1e-5 or share > 30.0 * loss or excess > noise + 1e-9:
        return None
    size, spread = float(np.abs(pieces.y).max()), evidence.value("reference", "sigma")
    left = max(0.0, -math.log10(loss))
    cause = Cause(
        12,
        "cancellation",
        "Digits are lost to the size of the response: it is far from 0 for its spread, and was not centred",
        f"the response goes up to {size:.4g} and its residual sd is {spread:.4g}: of the 16 digits of double "
        f"precision {left:.0f} are left in {how} (y'y is {total:.3g}, of which {epsilon * total:.2g} is rounding; the "
        f"residual sum of squares is {squares:.4g}). The candidate's residual sum of squares is {_percent(share)} off "
        f"what its own θ implies, its objective {excess:.2g} above the least"
        + (f", its -2 log-likelihood {off:+.2g} off" if math.isfinite(off) else "")
        + ": no more than that loss. With the response centred first, the judge's own algebra gives the reference's "
        "log-likelihood to 9 digits",
        "Subtract a round number near its mean from the response (years since 2000, not the year; points above 500) "
        "before fitting, and add it to the intercept afterwards: nothing else changes. A program should centre by "
        "itself, and should sum squared residuals rather than take y'y apart.",
        {"loss": loss, "share": share, "excess": excess},
    )
    return Finding(cause, 0.93)


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g}%" if math.isfinite(share) else "wholly"


def lost_weights(evidence: Evidence) -> Finding | None:
    """Row 12: prior weights, or an offset, that the candidate left out."""
    pieces, theta = evidence.reference_pieces, evidence.known_theta
    if pieces is None or theta is None or (pieces.weights is None and pieces.offset is None):
        return None
    if evidence.solve(theta) is None:
        return None
    lost = []
    for names in (("weights",), ("offset",), ("weights", "offset")):
        if any(getattr(pieces, name) is None for name in names):
            continue
        without = solve(
            replace(
                pieces,
                weights=None if "weights" in names else pieces.weights,
                offset=None if "offset" in names else pieces.offset,
            ),
            theta,
            evidence.reml,
        )
        if close(-2.0 * evidence.value("candidate", "logLik"), without.objective, 1e-9):
            lost.append((names, without.objective))
    if not lost:
        return None
    names, objective = lost[0]
    words = " and the ".join({"weights": "prior weights", "offset": "offset"}[name] for name in names)
    cause = Cause(
        12,
        f"lost-{names[0]}",
        f"The candidate left the {words} out",
        f"without the {words} the objective at the candidate's θ is {objective:.8g}, which is what it reports; with "
        f"them it is {evidence.solve(theta).objective:.8g}",  # type: ignore[union-attr]
        "Pass weights and offset on to the candidate, row by row for the rows used; a program that cannot take them "
        "should refuse them, not ignore them.",
        {"objective": objective},
    )
    return Finding(cause, 0.99)


def lost_numbers(evidence: Evidence) -> Finding | None:
    """Row 12: a column or a quantity that is silently missing."""
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    if left is not None and right is not None:
        lost = [name for name in left.coef_names if name not in right.coef_names]
        extra = [name for name in right.coef_names if name not in left.coef_names]
        if lost and not extra:
            cause = Cause(
                12,
                "lost-column",
                f"The candidate lost the column{'s' if len(lost) > 1 else ''} {', '.join(lost)} of X",
                f"X has {len(left.coef_names)} columns in the reference and {len(right.coef_names)} in the candidate",
                "Check how the candidate reads the formula and whether it drops columns; R names the columns it drops.",
                {"reference": float(len(left.coef_names)), "candidate": float(len(right.coef_names))},
            )
            return Finding(cause, 0.96)
    elif (found := _dropped_columns(evidence)) is not None:
        return found
    joined = evidence.joined
    # A NaN where the reference has a number is as missing as a row that is not there.
    none = ~joined["has_candidate"] | (joined["candidate"].isna() & joined["reference"].notna())
    missing = joined[joined["has_reference"] & none]
    if missing.empty:
        return None
    by_quantity = missing["quantity"].value_counts()
    problems = "; ".join(f"{name}: {why}" for name, why in evidence.right.problems.items() if name in by_quantity.index)
    cause = Cause(
        12,
        "missing-numbers",
        "The candidate does not give all numbers",
        "missing: "
        + ", ".join(f"{name} ({count})" for name, count in by_quantity.items())
        + (f". {problems}" if problems else ""),
        "Give every quantity that R gives, under R's labels: what is missing cannot be compared, and "
        "is never passed over.",
        {"missing": float(len(missing))},
    )
    return Finding(cause, 0.5)


def _dropped_columns(evidence: Evidence) -> Finding | None:
    """Columns whose coefficients are not given, where the model without them gives the candidate's numbers."""
    pieces, theta = evidence.reference_pieces, evidence.theta("reference")
    names = evidence.rows("fixef")
    lost = [str(name) for name in names.loc[~names["has_candidate"], "term"]]
    if pieces is None or theta is None or not lost or not names["has_candidate"].any() or not evidence.referee_holds:
        return None
    if not names["has_reference"].all() or not _small_enough(pieces):
        return None
    kept = [j for j, name in enumerate(pieces.coef_names) if name not in lost]
    without = replace(pieces, X=pieces.X[:, kept], coef_names=tuple(pieces.coef_names[j] for j in kept))
    solution = _optimum(lambda point: solve(without, point, evidence.reml), theta.to_numpy(), pieces.diagonal)
    expected = implied_numbers(solution)
    expected["logLik", None, None, None, None] = -solution.objective / 2
    proof = reproduced(evidence, expected, ("fixef", "se", "sigma", "variance", "covariance", "sd", "logLik"))
    if not proof.proves:
        return None
    intercept = lost == ["(Intercept)"]
    cause = Cause(
        7 if intercept else 12,
        "intercept-lost" if intercept else "lost-column",
        "The candidate has no intercept among its fixed effects"
        if intercept
        else f"The candidate lost the column{'s' if len(lost) > 1 else ''} {', '.join(lost)} of X",
        f"without {', '.join(lost)} the model, computed here from the reference's own y, X and Z, gives "
        f"{proof.matched} of the {proof.total} numbers that tell to {proof.digits:.0f} digits or more",
        "Check how the candidate reads the formula and whether it drops columns; R names the columns it drops.",
        {"matched": float(proof.matched), "compared": float(proof.total), "digits": proof.digits},
    )
    return Finding(cause, 0.96)


def malformed_values(evidence: Evidence) -> Finding | None:
    """What the candidate hands over is not what the contract asks for."""
    wrong = evidence.candidate.malformed
    if not wrong:
        return None
    texts = list(dict.fromkeys(wrong.values()))
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    cause = Cause(
        12,
        "malformed-values",
        f"What the candidate hands over is malformed: {texts[0]}{more}",
        "; ".join(texts[:10]),
        "Return real numbers of the right shape under R's labels; a malformed value is never converted into one that "
        "agrees.",
        {"parts": float(len(wrong))},
    )
    return Finding(cause, 0.97)


#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Callable[[Evidence], Finding | None], ...] = (
    other_criterion,
    scale_of_components,
    scale_of_modes,
    correlations,
    coding,
    rows_used,
    data_values,
    boundary,
    optimizer,
    model_structure,
    order_of_theta,
    permuted_modes,
    permuted_labels,
    other_names,
    signs,
    constants,
    degrees_of_freedom,
    residual_variance,
    standard_errors_of_other_criterion,
    standard_error_scale,
    tests_of_coefficients,
    unshrunken,
    predictions,
    single_precision,
    cancellation,
    lost_weights,
    malformed_values,
    lost_numbers,
)
