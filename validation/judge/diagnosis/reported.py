"""Rows 10 to 12: what is computed from a right fit in another way (constants, tests, predictions), or in 32 bits."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import t as student_t

from validation.algebra import Solution, by_label
from validation.judge.diagnosis import all_close, assume, close, first_of, given, is_long, is_single, same_p
from validation.judge.diagnosis.model import implied_by, with_implied
from validation.judge.evidence import Evidence
from validation.judge.rows import digits
from validation.quantities import records
from validation.tolerances import Match, Share, Strength
from validation.verdict import Cause, Finding


def constants(evidence: Evidence) -> Cause | None:
    """Row 10: the objective or the log-likelihood differs by a constant, or is reported on another scale."""
    (size, expected, where, proof), reported = _offset(evidence), evidence.value("candidate", "logLik")
    scales = {
        "its negative": -expected,
        "−2 times it, the deviance": -2.0 * expected,
        "twice it": 2.0 * expected,
        "half of it": expected / 2.0,
        "its mean over the rows": expected / evidence.value("reference", "nobs"),
        "its logarithm to the base 10": expected / math.log(10.0),
    }
    scale = [pair for pair in scales.items() if expected != 0.0 and close(reported, pair[1], Match.RULE)]
    known = [pair for pair in _constants(evidence).items() if close(abs(size), abs(pair[1]), Match.RULE)]
    other = [] if scale or known else _of_other_criterion(evidence)
    cause, title = "constant-offset", "The log-likelihood lacks (or has besides) a constant"
    text = where + "".join(f"; {w} would be {v:.6f}, which is what it reports" for w, v in (scale or other)[:1])
    remedy = (
        "Keep every constant of the normal density, as R does, so that logLik, AIC and BIC can be compared across "
        "programs; estimates are not affected."
    )
    if scale:
        cause, title = "log-likelihood-scale", f"What the candidate reports as log-likelihood is {scale[0][0]}"
        remedy = "Report the log-likelihood itself, with its sign: AIC, BIC and likelihood-ratio tests depend on it."
    elif known:
        title += f": {known[0][0]}"
        text += f", which is {'−' if size < 0 else ''}{known[0][0]} = {known[0][1]:.6f}"
    elif other:
        cause, title = "another-log-likelihood", f"The log-likelihood is {other[0][0]}, and nothing else is"
        remedy = "Report the criterion that was maximised: logLik() of a REML fit is the restricted log-likelihood."
    elif proof == "own":
        cause = "another-log-likelihood"
        title = "The log-likelihood that is reported is not that of the candidate's own objective at its own θ̂"
        text += "; no constant and no scale that is known explains it"
        remedy = "Report −½ of the objective at θ̂; a log-likelihood given the random effects is another quantity."
    else:
        assume(proof != "number")
    strength = Strength.LISTED if scale or known or other else Strength.CERTAIN
    return Finding(10, cause, strength, frozenset({"logLik"})).told(title, text, remedy)


def _offset(evidence: Evidence) -> tuple[float, float, str, str]:
    """By how much −2 log-likelihood is off, what log-likelihood is expected, the words for it, and the proof.

    What is expected is not a number where all of the objective is off. The proof is ``"function"`` (the objective is
    off at every θ), ``"own"`` (what is reported is not the objective's at the candidate's own θ̂) or ``"number"`` (one
    number alone is off, and only a known constant or scale explains it).
    """
    logLik, points = evidence.pair("logLik"), evidence.same_theta
    if len(points) >= 3 and points["reference"].notna().any():
        shift = (points["candidate"] - points["reference"]).to_numpy()
        size = max(float(np.nanmax(np.abs(points["reference"]))), 1.0)
        off = float(shift.mean())
        if np.ptp(shift) <= Match.COMPUTED * size and abs(off) > Match.RULE * size:
            return off, math.nan, f"the objectives differ by {off:.6f} at all {len(points)} θ", "function"
    assume(all(map(math.isfinite, logLik)))
    expected, least, proof = logLik[0], Match.ROUGH, "own"
    if evidence.objective_agrees:
        expected, least = expected + (evidence.improvement or 0.0) / 2.0, Match.FOLLOWS
        words = "the objectives are the same function, but -2 log-likelihood differs by {}"
    elif implied_by(evidence) and evidence.at_candidate is not None:
        expected = -evidence.at_candidate.objective / 2.0
        words = "-2 log-likelihood differs by {} from what the candidate's own θ implies"
    else:
        proof = "number"
        words = "-2 log-likelihood differs by {} from the reference's, and nothing else that both sides give differs"
        left, right = evidence.arrays("fixef", "se", "vcov", "sigma", "variance", "sd", "ranef", "nobs", "npar")
        assume(evidence.known_theta is None and all_close(right, left, Match.FOLLOWS))
    assume(evidence.objective_agrees or not (len(points) or evidence.another_model))
    off = -2.0 * (logLik[1] - expected)
    assume(abs(off) > max(least, _last_digits(expected)))
    return off, expected, words.format(f"{off:.6f}"), proof


def _last_digits(logLik: float) -> float:
    """What -2 log-likelihood, AIC and BIC may differ by for being stored in single precision."""
    return 2.0 * Match.SUMMED * abs(logLik)


def _of_other_criterion(evidence: Evidence) -> list[tuple[str, float]]:
    """The other criterion's log-likelihood, or this one's at the other's optimum, where it is one of these.

    Not where no number says that the fit is not the other criterion's.
    """
    if not evidence.arrays("sigma", "se", "variance")[1].size:
        return []
    theta = evidence.reference_theta if evidence.known_theta is None else evidence.known_theta
    here, there = ("the restricted one", "that of ML") if evidence.reml else ("that of ML", "the restricted one")
    other, reported = evidence.other_optimum, evidence.value("candidate", "logLik")
    known = (
        (f"{there} at the fit's own θ", evidence.solve(theta, not evidence.reml)),
        (f"{there} at the optimum of its own", other),
        (f"{here} at the other criterion's θ", None if other is None else evidence.solve(other.theta)),
    )
    values = [(words, -found.objective / 2.0) for words, found in known if found is not None]
    return [pair for pair in values if close(reported, pair[1], Match.SUMMED)]


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
    if pieces is not None:
        known["log|X'X|"] = float(np.linalg.slogdet(pieces.X.T @ pieces.X)[1])
    if sigma > 0:
        known["2N log σ"] = 2 * N * math.log(sigma)
    return known


def degrees_of_freedom(evidence: Evidence) -> Cause | None:
    """Row 10: parameters counted otherwise (σ not among them, ...), or another penalty in AIC or BIC."""
    npar, logLik, aic, bic, nobs = map(evidence.pair, ("npar", "logLik", "AIC", "BIC", "nobs"))
    N, fixed = nobs[0], float(len(evidence.rows("fixef")))
    assume(evidence.candidate_theta is not None and not evidence.columns_differ and nobs[1] == N)
    # An AIC or a BIC that is the reference's was counted as R counts, whatever the log-likelihood beside it.
    criteria = {
        name: np.array([math.nan if close(theirs, ours, Match.COMPUTED) else theirs])
        for name, (ours, theirs) in (("AIC", aic), ("BIC", bic))
    }
    levels = evidence.rows("ngrps").set_index("group")["reference"]
    (k, told), reported = np.transpose([npar]), np.array(logLik[1:])
    if (found := penalty(k, told, criteria, reported, N, fixed, levels)) is not None:
        return found
    residual = evidence.pair("df_residual")
    assume(all(map(math.isfinite, residual)) and residual[0] != residual[1])
    known = {N - fixed: ": N − p, less the fixed effects alone", N - npar[0] + 1: ": without σ"}
    return Finding(10, "residual-df", Strength.SAID_OF_COUNTS).told(
        "The residual degrees of freedom are counted otherwise" + known.get(residual[1], ""),
        f"the candidate has {residual[1]:.0f}, the reference {residual[0]:.0f}: N = {N:.0f} less "
        f"{npar[0]:.0f} parameters, of which {fixed:.0f} are fixed effects",
        "df.residual() of lme4 is N less all parameters: fixed effects, elements of θ, and σ. No estimate depends "
        "on it.",
    )


def penalty(
    k: np.ndarray,
    told: np.ndarray,
    criteria: Mapping[str, np.ndarray],
    logLik: np.ndarray,
    N: float,
    fixed: float,
    levels: pd.Series,
) -> Cause | None:
    """Row 10: what AIC and BIC (NaN where they are the reference's, or not given) add to -2 log-likelihood.

    Arrays have an element for each model, of which ``k`` are the numbers of parameters as R counts them, and ``told``
    what the candidate says (NaN where it does not). A number of parameters is one that the candidate says, or that all
    criteria imply that are not R's; a sample size is one that exists: rows less the largest model's fixed effects, or a
    factor's levels. Where two readings fit, none is named.
    """
    slack = _last_digits(float(np.abs(logLik).max()))
    added = {name: value + 2.0 * logLik for name, value in criteria.items()}

    def meets(name: str, value: np.ndarray) -> bool:
        limit = np.maximum(Match.RULE * np.maximum(np.abs(value), 1.0), slack)
        return bool((np.abs(added[name] - value) <= limit).all())

    wrong = [
        name
        for name, right in (("AIC", 2 * k), ("BIC", k * math.log(N)))
        if np.isfinite(added[name]).all() and not meets(name, right)
    ]
    said = bool(np.isfinite(told).all())
    implied = [np.round(added[name] / (2.0 if name == "AIC" else math.log(N))) for name in wrong]
    other = said and bool((told != k).any())
    counted = told if other else implied[0] if implied else k
    follows = all(meets(name, counted * (2.0 if name == "AIC" else math.log(N))) for name in wrong)
    recounted = other or (follows and bool((counted != k).any()))
    left = np.where(k + 1 < N, N - k - 1, np.nan)  # AICc needs more rows than parameters
    formulas = {
        "AIC": {"the number of parameters once": k, "AICc's penalty": 2 * k + 2 * k * (k + 1) / left},
        "BIC": {
            "AIC's penalty": 2 * k,
            "log((N + 2)/24) for each parameter (the adjusted BIC)": k * math.log((N + 2) / 24),
        },
    }
    fitting = [(name, words) for name in wrong for words, value in formulas[name].items() if meets(name, value)]
    if recounted and (other or not fitting):
        words = f" in {' and '.join(wrong)}" * (said and not other)
        words += " (σ is not counted)" * bool((k - counted == 1).all())
        more = [f"{name} adds {', '.join(map('{:.6g}'.format, added[name]))} to -2 log-likelihood" for name in wrong]
        return Finding(10, "parameter-count", Strength.COUNTS).told(
            f"The candidate counts {', '.join(f'{value:.0f}' for value in counted)} parameters, the reference "
            f"{', '.join(f'{value:.0f}' for value in k)}{words}",
            "; ".join(more or ["it says so"]) + ": R counts fixed effects, elements of θ, and σ",
            "Count fixed effects, every element of θ and σ: likelihood-ratio tests, AIC and BIC depend on it.",
        )
    sizes = [(f"{count:.0f}, the levels of {group}", count) for group, count in levels.items()]
    for words, size in (*sizes, (f"{N - fixed:.0f}, N less the fixed effects", N - fixed)):
        if wrong == ["BIC"] and size > 0 and meets("BIC", k * math.log(size)) and not fitting:
            return Finding(10, "bic-sample-size", Strength.CERTAIN).told(
                "BIC uses another number of observations",
                f"BIC's penalty per parameter is {added['BIC'][0] / k[0]:.6f} = log({words}); R uses log({N:.0f}), the "
                "rows used",
                "Use log(N) with N the number of rows used, as R's BIC does.",
            )
    if (recounted and not said) or len(fitting) != len(wrong) or not wrong:
        return None
    return Finding(10, "other-penalty", Strength.CERTAIN).told(
        f"{' and '.join(wrong)} {'has' if len(wrong) == 1 else 'have'} another penalty than R's",
        "; ".join(f"{name} adds {words} to -2 log-likelihood: {added[name][0]:.6g}" for name, words in fitting),
        "R's AIC adds 2 and its BIC log(N) for each parameter: fixed effects, elements of θ, and σ.",
    )


def residual_variance(evidence: Evidence) -> Cause | None:
    """Row 10: σ with another divisor than the criterion's, N for REML's N − p or the other way round."""
    left, right = evidence.pair("sigma")
    N, p = evidence.value("reference", "nobs"), float(len(evidence.compared("fixef")))
    assume(left > 0 and right > 0 and N > p > 0)
    factor, words, root, target = right / left, "N − p in place of N", "√(N/(N − p))", math.sqrt(N / (N - p))
    if evidence.reml:  # its divisor is N − p, that of ML N: only the other one is left
        words, root, target = "N in place of N − p", "√((N − p)/N)", math.sqrt((N - p) / N)
    theta, se = evidence.arrays("theta"), evidence.arrays("se")
    # of another θ the σ is another, too
    assume(close(factor, target, Match.SUMMED) and all_close(theta[1], theta[0], Match.FOLLOWS))
    follows = se[0].size > 0 and all_close(se[1] / se[0], np.full(se[0].size, target))
    return Finding(10, "sigma-divisor", Strength.RULE).told(
        f"The residual variance is divided by {words}" + (", and the standard errors with it" if follows else ""),
        f"σ is {right:.8g} in the candidate and {left:.8g} in the reference: a ratio of {factor:.8g}, which is {root} "
        f"with N = {N:.0f} and p = {p:.0f}",
        "σ̂² is r²/N by maximum likelihood and r²/(N − p) by REML, with r² the penalised residual sum of squares.",
    )


def standard_error_scale(evidence: Evidence) -> Cause | None:
    """Row 10: all standard errors are off by one factor (degrees of freedom, σ left out), or t is not β/SE."""
    own, theirs = evidence.arrays("se")
    assume(own.size and not evidence.columns_differ)
    ratio, (sigma, given_sigma) = theirs / own, evidence.pair("sigma")
    if math.isnan(given_sigma):
        given_sigma = evidence.value("candidate", "sd", group="Residual")
    spread, factor = float(np.ptp(ratio)), float(ratio.mean())  # not a number where one of them is none
    one_factor = spread < Match.ESTIMATED * abs(factor) and abs(factor - 1) > Match.ESTIMATED
    if one_factor and close(given_sigma, sigma, Match.ESTIMATED):
        N, p = evidence.value("reference", "nobs"), float(len(evidence.rows("fixef")))
        known = {
            "√(N/(N − p)): residual degrees of freedom in place of N": math.sqrt(N / (N - p)),
            "√((N − p)/N): N in place of residual degrees of freedom": math.sqrt((N - p) / N),
            "√((N − 1)/N): N in place of N − 1": math.sqrt((N - 1) / N),
            "√(N/(N − 1)): N − 1 in place of N": math.sqrt(N / (N - 1)),
            "1/√N: a standard error was taken for a standard deviation": 1 / math.sqrt(N),
            "1/σ: σ was left out": 1 / sigma,
            "σ: σ was put in twice": sigma,
        }
        name = next((f", {name}" for name, value in known.items() if close(factor, value, Match.ESTIMATED)), "")
        # one factor of several coefficients, to many more digits than it is off by, is a rule whatever its name
        plain = abs(factor - 1) >= Match.VISIBLE or spread < Match.VISIBLE * abs(factor - 1)
        if name or (plain and len(ratio) > 1):
            return Finding(10, "standard-error-scale", Strength.OWN_RULE, frozenset({"se"})).told(
                f"All standard errors are off by one factor{name}",
                f"candidate over reference is {factor:.8g} for all {len(ratio)} coefficients",
                "vcov(β̂) is σ̂² (X'V⁻¹X)⁻¹ with the σ̂ that is reported.",
            )
    (beta, b), (se, s), (_, t) = map(evidence.by_term, ("fixef", "se", "t"))
    given_all = [term for term in t if term in b and s.get(term, math.nan) > 0 and math.isfinite(t[term])]
    # where the estimate is another one t may be right
    right = [term for term in given_all if all_close((b[term], s[term]), (beta[term], se[term]), Match.FOLLOWS)]
    off = [term for term in right if not close(t[term], b[term] / s[term], Match.RULE)]
    if off:
        value, estimate, error = t[off[0]], b[off[0]], s[off[0]]
        return Finding(10, "test-statistic", Strength.CERTAIN).told(
            "The test statistic is not the estimate over its standard error",
            f"for {', '.join(off[:5])} the candidate's t is not its own estimate divided by its own standard "
            f"error: {value:.6g}, where {estimate:.6g} / {error:.6g} is {estimate / error:.6g}",
            "lme4's t value is β̂/SE; p-values by z, t or Satterthwaite are another matter and are not in this table.",
        )
    return _loose(evidence, ratio)


def _loose(evidence: Evidence, ratio: np.ndarray) -> Cause:
    """Standard errors alone are a little off: another computation of them."""
    each = np.abs(ratio - 1)
    off = float(np.max(each))  # not a number where one of them is none
    assume(Match.RULE < off < Match.ANOTHER_WAY and evidence.objective_agrees is not False)
    spread = float(np.ptp(ratio)) if len(ratio) > 1 else off
    # another computation leaves none of them to the digit, and no factor that all have
    assume(min(float(np.min(each)), spread) >= Match.FOLLOWS * off)
    assume(evidence.known_theta is not None)  # a θ that is a little off would show alike
    (ours, theirs), (se, _) = evidence.arrays("fixef"), evidence.arrays("se")
    away = np.abs(theirs - ours)
    # where the estimates moved too, or θ is a little off, the standard errors follow
    assume(away.size == se.size and (away <= min(Match.ROUGH, Match.VISIBLE * off) * se).all())
    hundredth = max(Match.CHAINED, off / 100)  # of what they are off
    # those of its own θ, or of the other criterion's fit, need no other computation
    for solution in filter(None, (evidence.at_candidate, evidence.other_optimum)):
        rows = with_implied(evidence, solution, "se")
        assume(rows.empty or not all_close(rows["candidate"], rows["implied"], hundredth))
    return Finding(10, "standard-errors-loose", Strength.CERTAIN, frozenset({"se"})).told(
        "The standard errors come from another computation (a numerical Hessian, the information of all parameters at "
        "once, a small-sample adjustment as Kenward and Roger's: which of them is not known)",
        f"the coefficients agree within {float(np.max(away / se)):.1g} standard errors, the standard errors differ by "
        f"factors from {ratio.min():.7g} to {ratio.max():.7g}",
        "lme4's standard errors are the roots of σ̂²(X'V⁻¹X)⁻¹, in closed form; derivatives taken numerically keep four "
        "digits or so. Conclusions do not change, digits do.",
    )


def tests_of_coefficients(evidence: Evidence) -> Cause | None:
    """Row 10: p-values by another distribution (z, residual df), or one-sided."""
    (ours, p), (own_t, t), (own_df, df) = map(evidence.by_term, ("p", "t", "df"))
    # Where t itself differs, another p follows from it.
    terms = [term for term in ours if term in t and close(t[term], own_t[term], Match.ROUGH)]
    off = [term for term in terms if not same_p(p[term], ours[term], Match.FOLLOWS)]
    assume(off)
    N, npar = (evidence.value("reference", name) for name in ("nobs", "npar"))
    rank, smallest = float(len(evidence.rows("fixef"))), float(evidence.rows("ngrps")["reference"].min())
    hypotheses = (
        ("z", "the normal distribution (z tests)", math.inf),
        ("residual-df", f"t with N − p = {N - rank:.0f} degrees of freedom", N - rank),
        ("residual-df", f"t with N − npar = {N - npar:.0f} degrees of freedom", N - npar),
        ("groups-df", f"t with groups − 1 = {smallest - 1:.0f} degrees of freedom", smallest - 1),
        ("groups-df", f"t with groups − p = {smallest - rank:.0f} degrees of freedom", smallest - rank),
    )

    def tails(term: str, freedom: float) -> float:
        return float(2 * student_t.sf(abs(t[term]), freedom))  # the normal distribution's, where it is infinite

    found = [
        (name, words)
        for name, words, freedom in hypotheses
        if freedom > 0 and all(same_p(p[term], tails(term, freedom), Match.RULE) for term in off)
    ]
    if all(same_p(p[term], tails(term, own_df.get(term, math.nan)) / 2, Match.FOLLOWS) for term in off):
        found.append(("one-sided", "one tail of the distribution only"))
    other = [term for term in off if term in df and not close(df[term], own_df[term], Match.FOLLOWS)]
    found += [("other-df", f"{df[x]:.6g} degrees of freedom (the reference has {own_df[x]:.6g})") for x in other]
    (name, words), term = first_of(found), off[0]
    return Finding(10, f"p-values-{name}", Strength.RULE).told(
        f"The candidate's p-values are by {words}",
        f"for {term}: reference p = {ours[term]:.6g}"
        + (f" (df {own_df[term]:.6g})" if term in own_df else "")
        + f", candidate p = {p[term]:.6g}, at t = {t[term]:.6g}; so for {len(off)} of {len(terms)} coefficients",
        "lme4 prints no p-values on purpose. Say which ones are wanted: Satterthwaite's or Kenward and Roger's degrees "
        "of freedom (lmerTest, pbkrtest) for small samples; the normal distribution (z) is too generous when there are "
        "few groups.",
    )


def predictions(evidence: Evidence) -> Cause | None:
    """Row 11: marginal in place of conditional predictions, or unseen levels that do not get the random effect 0."""
    assume(evidence.same_model)  # another predicts otherwise
    sigma = evidence.value("reference", "sigma")
    same, fits = Match.FOLLOWS * sigma, evidence.rows("fitted")
    marginal, new = evidence.compared("predict-marginal"), evidence.compared("predict-new")
    conditional, population = (dict(zip(p["level"], p["reference"], strict=True)) for p in (fits, marginal))

    def gap(rows: pd.DataFrame, other: dict[str, float] | None = None) -> float:
        """How far the candidate's predictions are from the reference's, or from others where all these are known."""
        target = rows["reference"] if other is None else rows["level"].map(lambda row: other.get(row, math.inf))
        return float(np.max(np.abs((rows["candidate"] - target).to_numpy(dtype=float)), initial=0.0))

    if gap(marginal) > same > gap(marginal, conditional):
        return Finding(11, "conditional-for-marginal", Strength.ANOTHER_MODEL).told(
            "Predictions for the population contain the random effects",
            f"asked for the fixed effects alone (re.form = ~0) the candidate gives the conditional predictions, up "
            f"to {gap(marginal):.4g} from the marginal ones",
            "predict(re.form = ~0) is Xβ: what is expected of a new group. Leave the random effects out.",
        )
    assume(gap(new) > same >= gap(marginal) and not marginal.empty and set(new["level"]) <= conditional.keys())
    words, shift = "not Xβ", new["candidate"].to_numpy() - new["reference"].to_numpy()
    if gap(new, conditional) < same:
        words = "those of the rows' old levels"
    elif np.ptp(shift) < Match.RULE * sigma:
        modes = evidence.rows("ranef")
        of_level = modes[np.abs(modes["reference"] - shift.mean()) < Match.RULE * sigma]
        words = f"all off by {shift.mean():.5g}"
        words += f", the random effect of level {of_level['level'].iloc[0]}" if len(of_level) else ""
    return Finding(11, "new-levels", Strength.ANOTHER_INPUT if gap(new, population) > 0 else Strength.CERTAIN).told(
        "Predictions for levels that the data do not have are wrong",
        f"for {len(new)} rows with unseen levels the candidate's predictions are {words}; they differ from the "
        f"reference's by up to {gap(new):.4g}",
        "A level that was not in the data has the random effect 0, its expectation: with allow.new.levels = TRUE "
        "lme4 predicts from the fixed effects (and from the levels that are known).",
    )


def unshrunken(evidence: Evidence) -> Cause | None:
    """Row 11: BLUPs without shrinkage, or coefficients in their place."""
    rows, sigma = evidence.compared("ranef"), evidence.pair("sigma")[0]
    same = Match.FOLLOWS * sigma
    assume(not (np.abs(rows["candidate"] - rows["reference"]) < same).all())
    labels = list(zip(rows["group"], rows["term"], rows["level"], strict=True))
    reference, candidate = (dict(zip(labels, rows[side], strict=True)) for side in ("reference", "candidate"))
    for unpooled in () if evidence.at_reference is None else _unpooled(evidence.at_reference):
        keys = [key for key in candidate if math.isfinite(unpooled.get(key, math.nan))]
        matched = [key for key in keys if abs(candidate[key] - unpooled[key]) < same]
        telling = [key for key in keys if abs(reference[key] - unpooled[key]) > Match.ROUGH * sigma]
        if len(telling) < 2 or len(matched) < Share.MOST * len(keys):
            continue
        key = max(telling, key=lambda k: abs(reference[k] - unpooled[k]))
        return Finding(11, "unshrunken", Strength.RECOMPUTED).told(
            "The random effects are not shrunken: each level was estimated from its own rows alone",
            f"{len(matched)} of {len(keys)} values equal the level's own least-squares estimate; for {key[2]} the "
            f"candidate has {candidate[key]:.6g}, the BLUP is {reference[key]:.6g}: a ratio of "
            f"{candidate[key] / reference[key] if reference[key] else math.inf:.4g}, one over the shrinkage factor",
            "Conditional modes are the level's own estimate times the shrinkage factor, σ_a²/(σ_a² + σ²/n_j) for a "
            "random intercept.",
        )
    fixed = {r["term"]: r["reference"] for r in records(evidence.rows("fixef"))}
    added = {key: fixed.get(key[1], 0.0) for key in candidate}
    shifted = [k for k in added if abs(candidate[k] - reference[k] - added[k]) < same]
    assume(len(shifted) >= Share.MOST * len(added) and any(abs(x) > Match.ROUGH * sigma for x in added.values()))
    return Finding(11, "coef-for-ranef", Strength.RECOMPUTED).told(
        "ranef() holds coefficients: fixed effect plus random effect",
        f"{len(shifted)} of {len(added)} values are the reference's conditional mode plus its fixed effect",
        "ranef() are deviations from the fixed effects; coef() is their sum.",
    )


def other_fits(evidence: Evidence) -> Cause | None:
    """Row 11: fitted values or residuals that leave a part of R's out, or residuals on another scale."""
    solution = given(evidence.at_reference)
    pieces, sigma, own = solution.pieces, solution.sigma, evidence.at_candidate
    parts = {"the random effects": solution.fitted - solution.marginal}
    if len(pieces.terms) > 1:
        of_terms = zip(pieces.terms, _of_terms(solution), strict=True)
        parts |= {f"the random effects of {term.name}": pieces.Z @ modes for term, modes in of_terms}
    if pieces.offset is not None:
        parts["the offset"] = pieces.offset
    fitted, residuals = solution.fitted, pieces.y - solution.fitted
    known = [
        *(("fitted", f"Fitted values leave {what} out", fitted - part, sigma) for what, part in parts.items()),
        *(("residuals", f"Residuals are those without {what}", residuals + p, sigma) for what, p in parts.items()),
        ("residuals", "Residuals are divided by σ", residuals / sigma, 1.0),
    ]
    if pieces.weights is not None:
        weighted = np.sqrt(pieces.weights) * residuals
        known.append(("residuals", "Residuals are multiplied by the roots of the prior weights", weighted, sigma))
    for quantity, title, expected, unit in known:
        ours, theirs = evidence.arrays(quantity)
        if theirs.size != expected.size:
            continue
        away, from_right = (float(np.abs(theirs - values).max()) for values in (expected, ours))
        # At the candidate's own θ̂ what it gives may be right: where a variance is 0, both are one.
        of_own = None if own is None else own.fitted if quantity == "fitted" else pieces.y - own.fitted
        follows = of_own is not None and np.abs(theirs - of_own).max() < Match.FOLLOWS * unit
        if away < Match.FOLLOWS * unit < from_right and not follows:
            name = "marginal-fitted" if title == known[0][1] else f"other-{quantity}"
            return Finding(11, name, Strength.SAME_NUMBERS).told(
                title,
                f"they are that to {away:.2g}, and up to {from_right:.4g} from R's",
                "fitted() of lme4 is conditional, Xβ + Zb and the offset, and residuals() are the response less these. "
                "Marginal predictions are predict(re_form = NA).",
            )
    return None


def _of_terms(solution: Solution) -> Iterator[np.ndarray]:
    """The conditional modes of one term after the other, those of the other terms 0."""
    pieces = solution.pieces
    for columns in pieces.by_level(np.arange(pieces.Z.shape[1])):
        yield np.where(np.isin(np.arange(pieces.Z.shape[1]), columns), solution.b, 0.0)


def _unpooled(solution: Solution) -> Iterator[dict[tuple[str, str, str], float]]:
    """Least-squares estimates of each level's effects from its own rows, term by term; NaN where these are too few.

    Given the fixed effects; with several terms, both with the other terms' conditional modes taken off first
    and without.
    """
    pieces, left = solution.pieces, solution.pieces.y - solution.marginal
    root = np.ones(left.size) if pieces.weights is None else np.sqrt(pieces.weights)
    weighted = sp.csc_array(sp.diags_array(root) @ pieces.Z)
    for columns, own in zip(pieces.by_level(np.arange(pieces.Z.shape[1])), _of_terms(solution), strict=True):
        for residual in [left] if len(pieces.terms) == 1 else [left - pieces.Z @ (solution.b - own), left]:
            values = np.full(len(own), math.nan)
            for of_level in columns:
                block = weighted[:, of_level]
                used = np.unique(block.indices)
                estimate, _, rank, _ = np.linalg.lstsq(block.toarray()[used], (root * residual)[used], rcond=None)
                if rank == len(of_level):
                    values[of_level] = estimate
            yield by_label(pieces, values)


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
