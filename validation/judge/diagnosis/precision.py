"""Row 12: digits that are lost to 32-bit floats, or to the size of the response."""

import math

import numpy as np

from validation.judge.diagnosis import all_close, assume, given, is_long, is_single
from validation.judge.diagnosis.model import same_model
from validation.judge.evidence import Evidence
from validation.judge.rows import digits
from validation.tolerances import ROUNDINGS, Match, Multiple, Share, Strength
from validation.verdict import Cause, Finding


def single_precision(evidence: Evidence) -> Cause | None:
    """Row 12: numbers that went through 32-bit floats."""
    rows = evidence.compared("fixef", "se", "theta", "sigma", "logLik", "sd", "variance", "covariance", "vcov", "ranef")
    reference, values = (rows[side].to_numpy() for side in ("reference", "candidate"))
    telling = is_long(values)
    assume(telling.sum() >= 5)
    assume(not is_single(reference[is_long(reference)]).mean() > Share.HALF)  # both sides are: no difference of them
    exact = is_single(values[telling])
    pieces, sigma = evidence.reference_pieces, evidence.value("reference", "sigma")
    coarse = 0.0 if pieces is None else float(np.spacing(np.abs(pieces.y).max()))
    # differences of numbers as large as the response keep few digits, in double precision
    assume(not coarse > Match.COMPUTED * sigma or (np.remainder(values[telling][exact], coarse) != 0).any())
    by_quantity = rows.loc[telling, "quantity"].to_numpy()
    whole = [q for q in dict.fromkeys(by_quantity) if exact[by_quantity == q].all() and (by_quantity == q).sum() >= 2]
    points = evidence.same_theta.reindex(columns=["reference", "candidate"])
    at_reference, objectives = points[np.isfinite(points.astype(float)).all(axis=1)].to_numpy(dtype=float).T
    if is_long(objectives).sum() > 1 and is_single(objectives).all():
        whole.append("the objective")
    strength, words = Strength.SAME_NUMBERS, f"all numbers of {', '.join(whole)} are exactly representable in 32 bits"
    if exact.mean() > Share.HALF:
        words = f"{exact.sum():.0f} of {telling.sum():.0f} numbers are exactly representable in 32 bits"
    elif not whole:
        # more than double precision leaves in a sum of squares of a response far from 0 for its spread, no less than
        # 32 bits leave, and to both sides: a penalty, or any smooth function of θ, is of one sign
        size = 0.0 if pieces is None or not sigma > 0 else float(np.abs(pieces.y).max()) / sigma
        least = max(float(np.finfo(np.float32).epsneg), float(np.finfo(float).eps) * size**2)
        errors = objectives / at_reference - 1.0
        assume(len(errors) and min((errors > 0).mean(), (errors < 0).mean()) >= Share.EITHER_SIGN)
        relative = float(np.median(np.abs(errors)))
        assume(least < relative < Match.ESTIMATED)
        strength, words = Strength.PLACE, f"the objectives agree to {-math.log10(relative):.1f} digits at the same θ"
    if exact.mean() <= Share.HALF and whole in ([], ["the objective"]):
        values, reference = objectives, at_reference  # it is said of these alone
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
