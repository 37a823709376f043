"""Every tolerance of the judge, each with its unit and its reason: the one place to read and to argue about.

Nothing in here was fitted to a case. A limit is either exact, or a rounding error, or what the mathematics of an
optimum leaves undetermined, or a stated rate of false alarms.
"""

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """The largest difference that still agrees."""

    check: str  # the tier or gate it belongs to
    limit: float  # largest ``scaled`` difference that agrees
    unit: str  # what the difference is divided by, in words
    reason: str  # why this unit and this limit

    def at(self, limit: float, unit: str | None = None) -> "Tolerance":
        """The same with another limit, such as one for several tests, or in other units."""
        return replace(self, limit=limit, unit=self.unit if unit is None else unit)


TITLES = {
    "tier-1": "The same model: rows, columns, levels, X and Z",
    "tier-2": "The objective at the same θ",
    "tier-3": "The optimum",
    "tier-4": "Estimates: coefficients, standard errors, variance components",
    "tier-5": "BLUPs by level, their conditional sds, and fitted values",
    "gate-1": "The same density",
    "gate-2": "Valid samplers",
    "gate-3": "Posterior summaries within Monte Carlo error",
    "gate-4": "Size of the differences",
    "gate-5": "The whole distribution",
    "gate-6": "What is reported of the draws: coefficients, sigma, VarCorr",
    "anova-models": "The same models, with the same parameters and rows",
    "anova-fits": "Log-likelihood, AIC and BIC of each model",
    "anova-tests": "Likelihood-ratio tests: chi-square, degrees of freedom, p-value",
    "intervals": "Confidence intervals, by what they are",
    "migrate": "Values of a migrated script of R",
    "results-estimates": "Marginal means, contrasts or predictions",
    "results-errors": "Their standard errors",
    "results-df": "Their degrees of freedom",
    "results-intervals": "Their intervals",
    "results-tests": "Their tests",
    "truth-reference": "The reference against quadrature",
    "truth-candidate": "The candidate against quadrature",
}

EXACT = Tolerance(
    "tier-1",
    0.0,
    "exact",
    "Counts and labels have no rounding: one row, column or level more is another model.",
)

DESIGN = Tolerance(
    "tier-1",
    8 * float(np.finfo(float).eps),
    "of the column's largest entry, times √N",
    "A design matrix is data, so it must be equal; rounding errors are left only because poly(), scale() and the like "
    "are sums over N rows taken in another order, whose errors grow like √N: 8ε√N. Single precision is a million times "
    "larger even at N = 100 000.",
)

SAME_THETA = Tolerance(
    "tier-2",
    1e-10,
    "relative",
    "At a given θ the objective is plain algebra without an optimizer. It is a sum over N rows of terms of order 1, so "
    "two right programs differ by some 1e-14 of max(|objective|, N); 1e-10 leaves room for badly conditioned X and "
    "none for another formula.",
)

CONSISTENT = Tolerance(
    "tier-2",
    1e-9,
    "relative",
    "A fit's reported optimum must be its own objective at its own θ.",
)

OPTIMUM = Tolerance(
    "tier-3",
    1e-6,
    "units of -2 log-likelihood",
    "One-sided: the candidate may not be above the reference by more than a millionth (an excess e of the deviance "
    "moves estimates by √e standard errors, so 1e-6 is 0.001 SE at most). Lower is a better optimum, if the agreed "
    "objective says so at the candidate's θ.",
)

#: A difference of two values of an objective may be rounding up to so many of its rounding error's standard deviation:
#: beyond it, one in 16 000 of normal errors.
ROUNDINGS = 4.0

ESTIMATE = Tolerance(
    "tier-4",
    1e-5,
    "standard errors",
    "The deviance near its minimum is d + δ² with δ in standard errors, and is itself known only to its rounding error "
    "ν, measured at the reference's optimum and at least 2ε|d|: an optimizer that compares values can't place θ better "
    "than √ν SE. The limit is four times that; at least 1e-5 SE, a hundred-thousandth of what the data can say, and at "
    "most 1e-3, what tier 3 allows.",
)

#: Tier 4 and 5 never allow more than this, in standard errors: √1e-6, what tier 3 lets pass.
LARGEST_ESTIMATE_LIMIT = 1e-3

#: The criterion rises by δ² where a quantity is δ of its standard errors from the optimum. Where it rises by less than
#: this share of that, all the way from one θ̂ to the other, the data do not tell the two apart.
FLAT_SHARE = 1e-4

DEGREES_OF_FREEDOM = Tolerance(
    "tier-4",
    1e-4,
    "relative",
    "Satterthwaite's degrees of freedom are a ratio with second derivatives of the deviance in it. lmerTest takes them "
    "numerically, which keeps five to six digits; another method (z, residual df) differs in the first.",
)

P_VALUE = Tolerance(
    "tier-4",
    1e-4,
    "of max(1, |log p|)",
    "A p-value of 1e-20 and one of 2e-20 say the same, so p is compared by its logarithm; it inherits the limit of the "
    "degrees of freedom.",
)

CONDITIONAL_MODE = Tolerance(
    "tier-5",
    1e-5,
    "conditional sds",
    "BLUPs are smooth functions of θ and β, so they inherit tier 4's limit; their own unit is the conditional sd.",
)

CONDITIONAL_SD = Tolerance(
    "tier-5",
    1e-5,
    "relative",
    "A conditional sd is σ times a smooth function of θ and inherits tier 4's limit.",
)

BULK = Tolerance(
    "tier-5",
    1e-5,
    "residual sds",
    "Fitted values are linear in β and the BLUPs; σ is the size of what they leave unexplained.",
)

DENSITY = Tolerance(
    "gate-1",
    1e-8,
    "relative to max(1, |log-density difference|)",
    "Two programs of one density differ by rounding (about 1e-12 at |log p| of 7000). There is no sampling noise here, "
    "so this gate sees faults that no number of draws would show.",
)

#: Probability that a comparison of two right samplers fails gate 3, and the same again for gate 5 (Bonferroni).
FALSE_ALARM_RATE = 0.01

#: Degrees of freedom of a z-score's Student t: Monte Carlo standard errors are estimated themselves, through ESS, to
#: some 9% (1/√(2·60)). Measured on right samplers (tests/validation/test_quantiles.py): P(|z| > 3.5) of means, sds and
#: quantiles is 1 to 2.5 times a normal's, a t's with 60 degrees of freedom 1.9 times.
MCSE_DEGREES_OF_FREEDOM = 60

#: Most draws a side that the ECDF test looks at: beyond them it sees shifts of 0.05 sd, and only gets slower.
MOST_DRAWS = 2000

#: Power at which "the smallest detectable shift" is detected.
POWER = 0.8

Z_SCORE = Tolerance(
    "gate-3",
    math.nan,  # depends on the number of tests: judge.posteriors.z_limit
    "z (Monte Carlo standard errors of the difference)",
    "z = (a − b)/√(mcse_a² + mcse_b²) is standard normal for two right samplers, but for the mcse's own error of some "
    "9%, hence Student's t with 60 degrees of freedom; the limit is Bonferroni's t⁻¹(1 − α/(2K)), so that all K tests "
    "together raise a false alarm with probability α at most. Where tails are heavy the mcse is known less well: its "
    "degrees of freedom follow from the kurtosis, and sds are scored with the larger of the two. Quantiles are scored "
    "by the share of draws below a common point, which needs no density.",
)

MIGRATED_EXCESS = Tolerance(
    "migrate",
    1e-4,
    "units of -2 log-likelihood",
    "A migrated script is compared with what R's default optimizer found, which stops near the optimum: an excess e of "
    "R's criterion over ours moves its estimates by up to √e standard errors. 1e-4 is 0.01 SE, which no printed digit "
    "of a summary tells apart; above it R's own optimum is called early.",
)

MIGRATED_VALUE = Tolerance(
    "migrate",
    1e-3,
    "relative to the value, or to a tenth of the largest in its column (BLUPs: to the largest; intervals: a quarter of "
    "their width)",
    "What a script computes from a fit (coefficients, BLUPs, intervals, tests) follows the estimates, which tier 3 and "
    "R's early stop leave undetermined by 1e-3 standard errors; a summary prints three to four digits of them. A BLUP "
    "near zero is known no better than one that is far from it: all move with θ by a share of the component's scale.",
)

_AFTER = (
    "What is computed from a fit follows its estimates, which tier 3 and R's early stop leave undetermined by 1e-3 "
    "standard errors"
)

#: What is reported after the fit (emmeans, predictions), by what it is.
REPORTED_ESTIMATE = Tolerance("results-estimates", LARGEST_ESTIMATE_LIMIT, "standard errors", f"{_AFTER}.")
REPORTED_SE = Tolerance(
    "results-errors",
    LARGEST_ESTIMATE_LIMIT,
    "relative",
    f"{_AFTER}; standard errors change by the same share of themselves.",
)
REPORTED_DF = Tolerance(
    "results-df",
    10 * LARGEST_ESTIMATE_LIMIT,
    "relative",
    f"{_AFTER}; degrees of freedom are a ratio of second derivatives of the deviance, ten times as sensitive. Another "
    "method differs in the first digit.",
)
REPORTED_INTERVAL = Tolerance("results-intervals", LARGEST_ESTIMATE_LIMIT, "widths of the interval", f"{_AFTER}.")
REPORTED_P = Tolerance(
    "results-tests",
    2 * LARGEST_ESTIMATE_LIMIT,
    "of max(1, |log p|)",
    f"{_AFTER}; log p changes by no more than twice that share of itself.",
)
REPORTED_STATISTIC = Tolerance(
    "results-tests",
    2 * LARGEST_ESTIMATE_LIMIT,
    "of max(1, |t|)",
    f"{_AFTER}, and standard errors by that share of themselves: t may move by both.",
)
#: lme4 interpolates between points of its profile by a spline; pyimpl's ends are exact.
ENDS = Tolerance(
    "intervals",
    2e-3,
    "widths of the interval",
    "lme4 interpolates a profile between points about 0.45 apart in zeta, which moves an end by up to 1e-3 widths",
)
SAME_QUANTILE = Tolerance(
    "results-intervals",
    1e-3,
    "relative",
    "Half widths in standard errors are quantiles: those of 95 and 94.99 % differ by 1e-3, those of methods by more.",
)

#: Shifts in posterior sds: up to the first there is nothing to say; from the second on it is a failure.
SHIFT_FINE, SHIFT_FAILS = 0.1, 0.25

SIZE = Tolerance(
    "gate-4",
    SHIFT_FAILS,
    "posterior sds",
    "A shift of 0.1 posterior sd changes the coverage of a 95% interval by less than 0.3 points; 0.25 sd changes what "
    "a reader concludes. Judged on means and sds; tail quantiles of a thousand draws carry up to 0.1 sd of Monte Carlo "
    "error themselves and are judged by gates 3 and 5.",
)

ECDF = Tolerance(
    "gate-5",
    math.nan,  # alpha / number of parameters
    "simultaneous p-value",
    "Two-sample ECDF-difference test (Säilynoja, Bürkner & Vehtari 2022): the probability, computed exactly, that "
    "draws of one distribution leave a simultaneous band as narrow as this somewhere; below α/K fails.",
)

DEPENDENCE = Tolerance(
    "gate-5",
    math.nan,  # alpha / number of parameters and pairs
    "p-value",
    "Rank correlations (of normal scores, van der Waerden) of pairs of parameters, by their Monte Carlo error and "
    "Student's t: means, sds and distributions can all be right where draws of different parameters do not belong "
    "together. Below α/K, with K the number of parameters and pairs, fails.",
)

REPORTED = Tolerance(
    "gate-6",
    1e-8,
    "relative to the number or its posterior sd",
    "A reported number is a mean, a median or a root of one fit's own draws: there is no Monte Carlo error between "
    "them. Means are sums in another order, and draws may have been written down to ten digits.",
)

CHI_SQUARE = Tolerance(
    "anova-tests",
    2.0 * OPTIMUM.limit,
    "units of chi-square",
    "The statistic is a difference of two values of -2 log-likelihood, each of which may be off by tier 3's limit.",
)

LIKELIHOOD_RATIO_P = Tolerance(
    "anova-tests",
    P_VALUE.limit,
    "of max(1, |log p|)",
    "p is compared by its logarithm, as tier 4 does; where chi-square is near 0, p may besides move by as much as "
    "chi-square's own limit moves it.",
)


@dataclass(frozen=True)
class Validity:
    """What draws must satisfy before anything is concluded from them (Vehtari et al. 2021)."""

    rhat: float = 1.01  # rank-normalised split R-hat is below
    ess: float = 400.0  # least bulk and tail ESS, 100 a chain for four chains: below it the MCSE itself is unreliable
    divergences: int = 0  # most divergent transitions
    reason: str = (
        "Draws of a chain that has not converged say nothing about the posterior: the answer is then neither pass nor "
        "fail (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021: R-hat < 1.01, bulk and tail ESS ≥ 400)."
    )


VALIDITY = Validity()


@dataclass(frozen=True)
class Recorded:
    """What a reference that is recorded must satisfy: one that contradicts itself would judge by chance."""

    follows: float = 1e-8  # of two ways of computing a number, in its own unit (standard errors, rows); seen: 4e-11
    enough: float = 0.8  # share of the bulk ESS aimed at (their MCSE is then near 1 % of an sd) that is recorded
    far: float = 8.0  # standard errors that the mean of the draws may be from the summary's, which has more of them
    largest_error: float = 4.0  # posterior sd of a Monte Carlo error: a quantile of a long tail has more than one


RECORDED = Recorded()


#: A diagonal element of θ below this is on its boundary: lme4's own limit of ``isSingular``.
SINGULAR = 1e-4

#: Share of its largest variance by which a covariance matrix may miss a structure and still have it: variances and
#: covariances are reported to six digits at least, and a structure that is another misses it in the first or second.
SAME_STRUCTURE = 1e-5

#: A candidate that fails alike in so many first cases is not asked for the others: two may be of one kind of model, the
#: third is of another.
FAILED_ALIKE = 3


@dataclass(frozen=True)
class Reproduced:
    """When a supposed cause has given the candidate's numbers.

    Attributes
    ----------
    telling : float
        A number tells where the cause moves it within so many digits: what is moved less cannot be told from the digits
        that an optimizer leaves.
    least : float
        Digits to which a telling number must be reproduced: the judge's own optimum has four or five.
    gained : float
        Digits by which it must be nearer to the supposed number than to the reference's.
    share : float
        Share of the telling numbers that must be reproduced, the BLUPs of an effect counted as one: a candidate may
        have another fault besides.
    alone : float
        Digits to which a single telling number must be reproduced, where there are not two of them: that one number
        meets another to six digits by chance happens once in a million.
    nearer : float
        Digits by which the numbers together must be nearer to the supposed ones than the reference's are, shared among
        those that are independent. Coefficients and BLUPs are one number, however many they are: they follow from θ,
        and a prior, a penalty or an optimizer that stops moves θ much as the other criterion does. That such a fit is
        by chance within a thousandth of the way to it happens in one of some hundred. All that σ is in is another.
    """

    telling: float = 5.0
    least: float = 4.0
    gained: float = 1.0
    share: float = 0.8
    alone: float = 6.0
    nearer: float = 3.0

    def holds(self, total: int, share: float, digits: float, nearer: float) -> bool:
        """Whether this share of the telling numbers, reproduced to so many digits, is a proof."""
        return nearer >= self.nearer and share >= self.share and (total > 1 or digits >= self.alone)


REPRODUCED = Reproduced()

#: Digits from which two numbers are the same where there is no unit to judge them by.
SAME_DIGITS = 12.0
#: False alarms that a simulation-based calibration's verdict allows, over all its quantities.
CALIBRATION_ALPHA = 0.05
#: Share of a calibration's fits with a warning of the sampler above which ranks say nothing.
CALIBRATION_WARNED = 0.05


class Match:
    """How near a number must be to another for a detector to take it for that one, as a share of its size.

    A detector tells a supposed cause from what it would leave by these alone; none is a verdict's limit. Each is as
    narrow as what lies between the two numbers allows, so that a chance meeting is as rare as it can be.
    """

    #: Below it a number is 0: data may be in any unit, so nothing larger is.
    ZERO = 1e-300
    #: Entries of X and Z: data, equal but for the last digits.
    ENTRY = 1e-12
    #: Entries of a matrix that takes one X to another, found by least squares.
    MAPPED_ENTRY = 1e-10
    #: One formula computed twice from the same data, here and by a side, or one number that a side gives twice: sums
    #: over N rows in another order.
    COMPUTED = 1e-9
    #: Such numbers after one more step (a factor's columns rounded into contrasts, a root).
    CHAINED = 1e-8
    #: Numbers that were summed or fitted from many that are right to twelve digits (densities, coefficients of them).
    SUMMED = 1e-7
    #: A rule applied to a reported number gives another reported number: what a candidate prints of them is six digits.
    RULE = 1e-6
    #: Estimates of two optimizers: tier 4's own limit.
    ESTIMATED = 1e-5
    #: What follows from estimates that stopped early: four digits are left of BLUPs, fitted values, p-values.
    FOLLOWS = 1e-4
    #: Estimates of an optimizer that stops on a change of the criterion of 1e-6: a thousandth of a standard error.
    ROUGH = 1e-3
    #: The two halves of a covariance matrix, which may have been computed one after the other.
    SYMMETRIC = 1e-6
    #: What a reader sees without being told: a hundredth.
    VISIBLE = 1e-2
    #: Standard errors of one fit by two methods (a Hessian, the expected information): within a twentieth.
    ANOTHER_WAY = 0.05


class Share:
    """How many of the numbers that a detector looks at must show a fault, and what it takes for a pattern."""

    #: All but a few: a number in five may have another fault besides, or be too near to what it would be without.
    MOST = REPRODUCED.share
    #: Of draws, whose limits of Monte Carlo error one in a hundred misses by chance.
    NEARLY_ALL = 0.99
    #: Where more than this stand at their places, another order explains nothing.
    IN_PLACE = 0.95
    #: More often so than not: of arbitrary numbers of double precision hardly one is a 32-bit number.
    HALF = 0.5
    #: Rounding errs to both sides: of its errors so many at least are of the rarer sign.
    EITHER_SIGN = 0.25
    #: A correlation below this share of what it was is lost: of 400 draws its own error is 0.05.
    LOST = 0.25
    #: Draws of fewer different values than this meet again by chance.
    DISTINCT = 0.2


class Multiple:
    """How many times as large as a computed size something may be, where the computation gives a size only."""

    #: Sum of squares of a response over that about its mean from which it is far from 0: centring gains two digits.
    FAR = 100.0
    #: An objective with an error of some size misleads a search by up to so many times as much, and no more.
    MISLED = 100.0
    #: The rounding error of a sum is known by its order: what is within this of it is such an error.
    ROUNDED_SUM = 30.0
    #: Residuals of a fit of log densities, in units of gate 1's tolerance: the fit's own rounding comes on top of it.
    GATE = 3.0
    #: Posterior sds to which shifts of the centre are looked at.
    SHIFTS = 8.0
    #: A known deviation that allows for so many times what is seen would hide another one.
    DECLARED = 10.0


class Strength:
    """How strong a detector's evidence is: the order in which causes are named, strongest first.

    The order is that of explanation. What was computed anew and gives the candidate's numbers needs no other cause;
    another model has other values, other values have another optimum, and an optimum has numbers that some rule may
    meet by chance: so each comes before what would follow from it. The figures only place one before another.
    """

    #: The fault was computed anew from the reference's y, X and Z, and gives the candidate's numbers.
    RECOMPUTED = 1.0
    #: All numbers are there, to the digit: at other labels, in another basis, in 32 bits, without the weights.
    SAME_NUMBERS = 0.99
    #: A test differs because one of its fits does: the cause found in that fit comes before what the test shows.
    OF_ONE_FIT = 0.985
    #: Rows, names or a known constant: listed or met exactly, nothing is estimated.
    LISTED = 0.98
    #: Other terms, levels or columns, or a component at 0: everything that is estimated differs with them.
    ANOTHER_MODEL = 0.97
    #: Other values in the same rows and columns, or another θ from which all numbers follow.
    ANOTHER_INPUT = 0.96
    #: One rule gives every differing number of a quantity from the reference's.
    RULE = 0.95
    #: A rule joins two of the candidate's own numbers, whatever the reference's are.
    OWN_RULE = 0.94
    #: A rule gives a count, or the digits that are left; few numbers bear it out.
    COUNTS = 0.93
    #: Numbers are equal but for their signs.
    SIGNS = 0.92
    #: From here on a finding explains weaker ones. It is what the candidate says of itself, or what only one
    #: computation leaves, without a number that was computed anew.
    CERTAIN = 0.9
    #: A count differs that no estimate depends on, or two causes would leave the same.
    SAID_OF_COUNTS = 0.85
    #: The two optima cannot be told apart, or numbers are merely absent.
    EQUAL_OPTIMA = 0.8
    #: All follows, but the difference costs no digit that is judged.
    SMALL = 0.75
    #: The shape is that of the fault, the numbers meet it only roughly.
    LOOSE_MATCH = 0.7
    #: The fault explains a part of what differs.
    PARTIAL = 0.6
    #: Where it differs is known, and not why.
    PLACE = 0.55
    #: Below, nothing is explained: what differs is said first.
    SEEN = 0.5
    #: A trace.
    HINT = 0.3


def objective_noise(objective: float, nobs: int) -> float:
    """Rounding error of a profiled deviance: about ε times the size of the sum it is, 2ε·max(|d|, N)."""
    return 2.0 * float(np.finfo(float).eps) * max(abs(objective), float(nobs))


def optimum_limit(noise: float) -> float:
    """Tier 4 and 5's limit in standard errors: 4√ν, from 1e-5 to 1e-3 (:data:`ESTIMATE` has the reason)."""
    return min(max(ESTIMATE.limit, ROUNDINGS * math.sqrt(noise)), LARGEST_ESTIMATE_LIMIT)


def design_limit(rows: int) -> float:
    """Tier 1's limit for entries of X and Z: 8ε√N (:data:`DESIGN` has the reason)."""
    return DESIGN.limit * math.sqrt(max(rows, 1))
