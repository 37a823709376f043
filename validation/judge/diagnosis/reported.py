"""Row 10: what is computed from a right fit in another way: constants, counts, standard errors, tests."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from validation.judge.diagnosis import all_close, close, same_p
from validation.judge.diagnosis.criterion import other_optimum
from validation.judge.diagnosis.model import another_model, columns_differ, implied_by
from validation.judge.evidence import Evidence
from validation.judge.implied import implied_numbers
from validation.tolerances import Match, Strength
from validation.verdict import Cause

__all__ = ["constants", "degrees_of_freedom", "residual_variance", "standard_error_scale", "tests_of_coefficients"]


class _Offset(NamedTuple):
    """By how much the candidate's −2 log-likelihood is off, and what that is known from.

    ``expected`` is the log-likelihood that it should report; not a number where all of its objective is off. ``proof``
    is ``"function"`` (the objective is off at every θ), ``"own"`` (what is reported is not the objective's at the
    candidate's own θ̂) or ``"number"`` (one number alone is off, and only a known constant or scale explains it).
    """

    size: float
    expected: float
    where: str
    proof: str


def constants(evidence: Evidence) -> Cause | None:
    """Row 10: the objective or the log-likelihood differs by a constant, or is reported on another scale."""
    found = _offset(evidence)
    if found is None:
        return None
    N = evidence.value("reference", "nobs")
    scale, other = _other_scale(evidence.value("candidate", "logLik"), found.expected, N), None
    known = [pair for pair in _constants(evidence).items() if close(abs(found.size), abs(pair[1]), Match.RULE)]
    cause, title, text = "constant-offset", "The log-likelihood lacks (or has besides) a constant", found.where
    remedy = (
        "Keep every constant of the normal density, as R does, so that logLik, AIC and BIC can be compared across "
        "programs; estimates are not affected."
    )
    if scale is not None:
        cause, title = "log-likelihood-scale", f"What the candidate reports as log-likelihood is {scale[0]}"
        text += f"; {scale[0]} would be {scale[1]:.6f}, which is what it reports"
        remedy = "Report the log-likelihood itself, with its sign: AIC, BIC and likelihood-ratio tests depend on it."
    elif known:
        title += f": {known[0][0]}"
        text += f", which is {'−' if found.size < 0 else ''}{known[0][0]} = {known[0][1]:.6f}"
    elif (other := _of_other_criterion(evidence)) is not None:
        cause, title = "another-log-likelihood", f"The log-likelihood is {other[0]}, and nothing else is"
        text += f"; {other[0]} would be {other[1]:.6f}, which is what it reports"
        remedy = "Report the criterion that was maximised: logLik() of a REML fit is the restricted log-likelihood."
    elif found.proof == "own":
        cause = "another-log-likelihood"
        title = "The log-likelihood that is reported is not that of the candidate's own objective at its own θ̂"
        text += "; no constant and no scale that is known explains it"
        remedy = (
            "Report −½ of the objective's value at θ̂; a log-likelihood given the random effects is another quantity."
        )
    elif found.proof == "number":
        return None
    strength = Strength.LISTED if scale or known or other else Strength.CERTAIN
    return Cause(10, cause, title, text, remedy, strength=strength)


def _offset(evidence: Evidence) -> _Offset | None:
    """What is off: the objective at every θ; or the reported log-likelihood against the objective, or against θ."""
    logLik, points = evidence.pair("logLik"), evidence.same_theta
    if len(points) >= 3 and points["reference"].notna().any():
        shift = (points["candidate"] - points["reference"]).to_numpy()
        size = max(float(np.nanmax(np.abs(points["reference"]))), 1.0)
        if (
            np.isfinite(shift).all()
            and np.ptp(shift) <= Match.COMPUTED * size
            and abs(shift.mean()) > Match.RULE * size
        ):
            off = float(shift.mean())
            return _Offset(off, math.nan, f"the objectives differ by {off:.6f} at all {len(points)} θ", "function")
    if not all(map(math.isfinite, logLik)):
        return None
    if evidence.objective_agrees:
        expected = logLik[0] + (evidence.improvement or 0.0) / 2.0
        off = -2.0 * (logLik[1] - expected)
        where = f"the objectives are the same function, but -2 log-likelihood differs by {off:.6f}"
        return _Offset(off, expected, where, "own") if abs(off) > max(Match.FOLLOWS, _last_digits(expected)) else None
    if len(points) or another_model(evidence):
        return None
    if implied_by(evidence) and evidence.at_candidate is not None:
        expected, words = -evidence.at_candidate.objective / 2.0, "from what the candidate's own θ implies"
    elif evidence.known_theta is None and _nothing_else_differs(evidence):
        expected, words = logLik[0], "from the reference's, and nothing else that both sides give differs"
    else:
        return None
    off = -2.0 * (logLik[1] - expected)
    if abs(off) <= max(Match.ROUGH, _last_digits(expected)):
        return None
    return _Offset(off, expected, f"-2 log-likelihood differs by {off:.6f} {words}", "number")


def _last_digits(logLik: float) -> float:
    """What -2 log-likelihood, AIC and BIC may differ by for being stored in single precision."""
    return 2.0 * Match.SUMMED * abs(logLik)


def _nothing_else_differs(evidence: Evidence) -> bool:
    """Whether the estimates that a candidate without θ gives are the reference's."""
    left, right = evidence.arrays("fixef", "se", "vcov", "sigma", "variance", "sd", "ranef", "nobs", "npar")
    return all_close(right, left, Match.FOLLOWS)


def _other_scale(reported: float, expected: float, rows: float) -> tuple[str, float] | None:
    """The scale on which a log-likelihood is reported, and its value there; None where it is none that is known."""
    if not math.isfinite(expected) or expected == 0.0:
        return None
    for words, value in (
        ("its negative", -expected),
        ("−2 times it, the deviance", -2.0 * expected),
        ("twice it", 2.0 * expected),
        ("half of it", expected / 2.0),
        ("its mean over the rows", expected / rows),
        ("its logarithm to the base 10", expected / math.log(10.0)),
    ):
        if close(reported, value, Match.RULE):
            return words, value
    return None


def _of_other_criterion(evidence: Evidence) -> tuple[str, float] | None:
    """The other criterion's log-likelihood, at this criterion's optimum or at its own; None where it is neither.

    Nor where no number says that the fit is not the other criterion's.
    """
    if not evidence.arrays("sigma", "se", "variance")[1].size:
        return None
    theta = evidence.reference_theta if evidence.known_theta is None else evidence.known_theta
    words = "that of ML" if evidence.reml else "the restricted one"
    for where, find in (
        ("at the fit's own θ", lambda: evidence.solve(theta, not evidence.reml)),
        ("at the optimum of its own", lambda: other_optimum(evidence)),
    ):
        found = find()
        if found is not None and close(evidence.value("candidate", "logLik"), -found.objective / 2.0, Match.SUMMED):
            return f"{words} {where}", -found.objective / 2.0
    return None


def _constants(evidence: Evidence) -> dict[str, float]:
    """Constants of the normal density that programs leave out, or put in."""
    N, p = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
    pieces, sigma, log2pi = evidence.reference_pieces, evidence.value("reference", "sigma"), math.log(2 * math.pi)
    known = {
        "N log(2π)": N * log2pi,
        "(N − p) log(2π)": (N - p) * log2pi,
        "p log(2π)": p * log2pi,
        "N": N,
        "N − p": N - p,
        "N (1 + log(2π))": N * (1 + log2pi),
        "(N − p)(1 + log(2π))": (N - p) * (1 + log2pi),
    }
    if pieces is not None and pieces.weights is not None:
        known["Σ log w, the logs of the prior weights"] = float(np.log(pieces.weights).sum())
    if pieces is not None and pieces.X.shape[1]:
        sign, logdet = np.linalg.slogdet(pieces.X.T @ pieces.X)
        if sign > 0:
            known["log|X'X|"] = float(logdet)
    if sigma > 0:
        known["2N log σ"] = 2 * N * math.log(sigma)
    return known


def degrees_of_freedom(evidence: Evidence) -> Cause | None:
    """Row 10: parameters counted otherwise (σ not among them, θ's elements not all), or another N in BIC."""
    npar, logLik = evidence.pair("npar"), evidence.pair("logLik")
    aic, bic = evidence.pair("AIC"), evidence.pair("BIC")
    N = evidence.value("reference", "nobs")
    nobs = evidence.pair("nobs")
    if evidence.candidate_theta is None or columns_differ(evidence) or nobs[0] != nobs[1]:
        return None
    # An AIC or a BIC that is the reference's was counted as R counts, whatever the log-likelihood beside it.
    implied = math.nan if close(aic[1], aic[0], Match.COMPUTED) else (aic[1] + 2 * logLik[1]) / 2
    counted = npar[1] if math.isfinite(npar[1]) and npar[1] != npar[0] else implied
    if math.isfinite(counted) and abs(counted - npar[0]) > Match.RULE and abs(counted - round(counted)) < Match.RULE:
        missing = npar[0] - counted
        words = " (σ is not counted)" if missing == 1 else ""
        return Cause(
            10,
            "parameter-count",
            f"The candidate counts {counted:.0f} parameters, the reference {npar[0]:.0f}{words}",
            f"AIC is -2 log-likelihood plus {implied * 2:.6g} in the candidate; R adds 2 × "
            f"{npar[0]:.0f}: fixed effects, "
            "elements of θ, and σ",
            "Count fixed effects, every element of θ and σ: likelihood-ratio tests, AIC and BIC depend on it.",
            strength=Strength.COUNTS,
        )
    residual = evidence.pair("df_residual")
    fixed = float(len(evidence.rows("fixef")))
    if all(map(math.isfinite, residual)) and residual[0] != residual[1]:
        words = {N - fixed: "N − p, less the fixed effects alone", N - npar[0] + 1: "without σ"}.get(residual[1], "")
        return Cause(
            10,
            "residual-df",
            "The residual degrees of freedom are counted otherwise" + (f": {words}" if words else ""),
            f"the candidate has {residual[1]:.0f}, the reference {residual[0]:.0f}: N = {N:.0f} less "
            f"{npar[0]:.0f} parameters, of which {fixed:.0f} are fixed effects",
            "df.residual() of lme4 is N less all parameters: fixed effects, elements of θ, and σ. No estimate depends "
            "on it.",
            strength=Strength.SAID_OF_COUNTS,
        )
    weight = (bic[1] + 2 * logLik[1]) / npar[0] if npar[0] else math.nan
    right = close(bic[1], bic[0], Match.COMPUTED) or close(weight, math.log(N), Match.ESTIMATED)
    right = right or abs(weight - math.log(N)) * npar[0] <= _last_digits(logLik[1])
    if math.isfinite(weight) and math.isfinite(N) and not right:
        return bic_sample_size(weight, N)
    return None


def bic_sample_size(weight: float, N: float) -> Cause:
    """Row 10: BIC's penalty for a parameter is not the logarithm of the number of rows."""
    return Cause(
        10,
        "bic-sample-size",
        "BIC uses another number of observations",
        f"BIC's penalty per parameter is {weight:.6f} = log({math.exp(min(weight, 50.0)):.6g}); R uses log({N:.0f}), "
        "the rows used",
        "Use log(N) with N the number of rows used, as R's BIC does.",
        strength=Strength.CERTAIN,
    )


def residual_variance(evidence: Evidence) -> Cause | None:
    """Row 10: σ with another divisor than the criterion's, N for REML's N − p or the other way round."""
    left, right = evidence.pair("sigma")
    N, p = evidence.value("reference", "nobs"), float(len(evidence.compared("fixef")))
    if not (left > 0 and right > 0 and N > p > 0):
        return None
    factor = right / left
    for words, target in (
        ("N in place of N − p", math.sqrt((N - p) / N)),
        ("N − p in place of N", math.sqrt(N / (N - p))),
    ):
        if not close(factor, target, Match.SUMMED):
            continue
        theta, se = evidence.arrays("theta"), evidence.arrays("se")
        if not all_close(theta[1], theta[0], Match.FOLLOWS):
            return None  # another θ, and σ with it
        follows = se[0].size > 0 and all_close(se[1] / se[0], np.full(se[0].size, target))
        return Cause(
            10,
            "sigma-divisor",
            f"The residual variance is divided by {words}" + (", and the standard errors with it" if follows else ""),
            f"σ is {right:.8g} in the candidate and {left:.8g} in the reference: a ratio of {factor:.8g}, which is "
            f"{'√((N − p)/N)' if target < 1 else '√(N/(N − p))'} with N = {N:.0f} and p = {p:.0f}",
            "σ̂² is r²/N by maximum likelihood and r²/(N − p) by REML, with r² the penalised residual sum of squares.",
            strength=Strength.RULE,
        )
    return None


def standard_error_scale(evidence: Evidence) -> Cause | None:
    """Row 10: all standard errors are off by one factor (degrees of freedom, σ left out), or t is not β/SE."""
    own, given = evidence.arrays("se")
    if not own.size or columns_differ(evidence):
        return None
    ratio = given / own
    N, p = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
    sigma = evidence.value("reference", "sigma")
    given_sigma = evidence.value("candidate", "sigma")
    if math.isnan(given_sigma):
        given_sigma = evidence.value("candidate", "sd", group="Residual")
    sigma_agrees = close(given_sigma, sigma, Match.ESTIMATED)
    if (
        np.isfinite(ratio).all()
        and np.ptp(ratio) < Match.ESTIMATED * abs(ratio.mean())
        and abs(ratio.mean() - 1) > Match.ESTIMATED
        and sigma_agrees
    ):
        factor = float(ratio.mean())
        names = [name for name, value in _known_factors(N, p, sigma).items() if close(factor, value, Match.ESTIMATED)]
        # one factor of several coefficients, to many more digits than it is off by, is a rule whatever its name
        plain = len(ratio) > 1 and float(np.ptp(ratio)) < Match.VISIBLE * abs(factor - 1)
        if names or plain or abs(factor - 1) >= Match.VISIBLE:
            return Cause(
                10,
                "standard-error-scale",
                "All standard errors are off by one factor" + (f", {names[0]}" if names else ""),
                f"candidate over reference is {factor:.8g} for all {len(ratio)} coefficients",
                "vcov(β̂) is σ̂² (X'V⁻¹X)⁻¹ with the σ̂ that is reported.",
                strength=Strength.OWN_RULE,
            )
    beta, se, t = (
        {side: evidence.by_term(side, name) for side in ("reference", "candidate")} for name in ("fixef", "se", "t")
    )
    off = [
        term
        for term, value in t["candidate"].items()
        if math.isfinite(value)
        and se["candidate"].get(term, math.nan) > 0
        # otherwise t may be right and the estimate wrong
        and all(
            close(x["candidate"].get(term, math.nan), x["reference"].get(term, math.nan), Match.FOLLOWS)
            for x in (beta, se)
        )
        and not close(value, beta["candidate"][term] / se["candidate"][term], Match.RULE)
    ]
    if off:
        b, s = beta["candidate"][off[0]], se["candidate"][off[0]]
        return Cause(
            10,
            "test-statistic",
            "The test statistic is not the estimate over its standard error",
            f"for {', '.join(off[:5])} the candidate's t is not its own estimate divided by its own standard "
            f"error: {t['candidate'][off[0]]:.6g}, where {b:.6g} / {s:.6g} is {b / s:.6g}",
            "lme4's t value is β̂/SE; p-values by z, t or Satterthwaite are another matter and are not in this table.",
            strength=Strength.CERTAIN,
        )
    return _loose(evidence, ratio)


def _known_factors(N: float, p: float, sigma: float) -> dict[str, float]:
    return {
        "√(N/(N − p)): residual degrees of freedom in place of N": math.sqrt(N / (N - p)),
        "√((N − p)/N): N in place of residual degrees of freedom": math.sqrt((N - p) / N),
        "√((N − 1)/N): N in place of N − 1": math.sqrt((N - 1) / N),
        "√(N/(N − 1)): N − 1 in place of N": math.sqrt(N / (N - 1)),
        "1/√N: a standard error was taken for a standard deviation": 1 / math.sqrt(N),
        "1/σ: σ was left out": 1 / sigma,
        "σ: σ was put in twice": sigma,
    }


def _follow(evidence: Evidence, off: float) -> bool:
    """Whether the candidate's standard errors are those that its own θ implies, to a hundredth of what they are off."""
    if evidence.at_candidate is None:
        return False
    implied, given = implied_numbers(evidence.at_candidate), evidence.by_term("candidate", "se")
    expected = {
        term: implied["se", None, term, None, None] for term in given if ("se", None, term, None, None) in implied
    }
    return bool(expected) and all_close(
        (given[term] for term in expected), expected.values(), max(Match.CHAINED, off / 100)
    )


def _loose(evidence: Evidence, ratio: np.ndarray) -> Cause | None:
    """Standard errors alone are a little off: another computation of them."""
    off = float(np.max(np.abs(ratio - 1), initial=0.0)) if np.isfinite(ratio).all() else math.inf
    if not Match.RULE < off < Match.ANOTHER_WAY or evidence.objective_agrees is False:
        return None
    spread = float(np.ptp(ratio)) if len(ratio) > 1 else off
    if min(float(np.min(np.abs(ratio - 1))), spread) < Match.FOLLOWS * off:
        return None  # another computation leaves none of them to the digit, and no factor that all have
    if evidence.known_theta is None:
        return None  # a θ that is a little off would show alike
    (ours, theirs), (se, _) = evidence.arrays("fixef"), evidence.arrays("se")
    away = np.abs(theirs - ours)
    if away.size != se.size or (away > Match.ROUGH * se).any() or (away > Match.VISIBLE * off * se).any():
        return None  # the estimates moved too: then the standard errors follow them
    if _follow(evidence, off):
        return None  # it is θ that is a little off
    return Cause(
        10,
        "standard-errors-loose",
        "The standard errors come from another computation (a numerical Hessian, the information of all parameters at "
        "once, a small-sample adjustment as Kenward and Roger's: which of them is not known)",
        f"the coefficients agree within {float(np.max(away / se)):.1g} standard errors, the standard errors differ by "
        f"factors from {ratio.min():.7g} to {ratio.max():.7g}",
        "lme4's standard errors are the roots of σ̂²(X'V⁻¹X)⁻¹, in closed form; derivatives taken numerically keep four "
        "digits or so. Conclusions do not change, digits do.",
        strength=Strength.CERTAIN,
    )


_TESTS_REMEDY = (
    "lme4 prints no p-values on purpose. Say which ones are wanted: Satterthwaite's or Kenward and Roger's degrees of "
    "freedom (lmerTest, pbkrtest) for small samples; the normal distribution (z) is too generous when there are few "
    "groups."
)


def tests_of_coefficients(evidence: Evidence) -> Cause | None:
    """Row 10: p-values by another distribution (z, residual df), or one-sided."""
    ours, p = evidence.by_term("reference", "p"), evidence.by_term("candidate", "p")
    own_t, t = evidence.by_term("reference", "t"), evidence.by_term("candidate", "t")
    own_df, df = evidence.by_term("reference", "df"), evidence.by_term("candidate", "df")
    # Where t itself differs, another p follows from it.
    terms = [term for term in ours if term in t and close(t[term], own_t[term], Match.ROUGH)]
    off = [term for term in terms if not same_p(p[term], ours[term], Match.FOLLOWS)]
    if not off:
        return None
    N, rank = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
    npar = evidence.value("reference", "npar")
    groups = evidence.rows("ngrps")["reference"].to_numpy(dtype=float)
    smallest = float(groups.min()) if groups.size else math.nan
    hypotheses = (
        ("z", "the normal distribution (z tests)", math.inf),
        ("residual-df", f"t with N − p = {N - rank:.0f} degrees of freedom", N - rank),
        ("residual-df", f"t with N − npar = {N - npar:.0f} degrees of freedom", N - npar),
        ("groups-df", f"t with groups − 1 = {smallest - 1:.0f} degrees of freedom", smallest - 1),
        ("groups-df", f"t with groups − p = {smallest - rank:.0f} degrees of freedom", smallest - rank),
    )

    def tail(term: str, freedom: float) -> float:
        return float(2 * (norm.sf(abs(t[term])) if math.isinf(freedom) else student_t.sf(abs(t[term]), freedom)))

    found = [
        (name, words)
        for name, words, freedom in hypotheses
        if freedom > 0 and all(same_p(p[term], tail(term, freedom), Match.RULE) for term in off)
    ]
    other_df = [term for term in off if term in df and not close(df[term], own_df[term], Match.FOLLOWS)]
    known = {term: own_df[term] for term in terms if term in own_df}
    if (
        not found
        and known
        and all(same_p(p[term], tail(term, known.get(term, math.nan)) / 2, Match.FOLLOWS) for term in off)
    ):
        found = [("one-sided", "one tail of the distribution only")]
    if not found and other_df:
        term = other_df[0]
        found = [("other-df", f"{df[term]:.6g} degrees of freedom (the reference has {own_df[term]:.6g})")]
    if not found:
        return None
    name, words = found[0]
    term = off[0]
    return Cause(
        10,
        f"p-values-{name}",
        f"The candidate's p-values are by {words}",
        f"for {term}: reference p = {ours[term]:.6g}"
        + (f" (df {own_df[term]:.6g})" if term in own_df else "")
        + f", candidate p = {p[term]:.6g}, at t = {t[term]:.6g}; so for {len(off)} of {len(terms)} coefficients",
        _TESTS_REMEDY,
        strength=Strength.RULE,
    )
