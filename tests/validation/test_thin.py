"""A thin candidate's cause is the planted fault, or none; and a detector that goes wrong is never silent."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from validation.algebra import optimum_of, pieces_of, solve
from validation.compare import compare_fits
from validation.covariances import Structure
from validation.errors import DetectorWarning
from validation.faults import FAULTS, at_theta
from validation.faults.bases import HARD_BASES, BaseFit, fit_lmer, likelihood_base, simulate
from validation.faults.thin import CAREFUL, THIN, answer_of, compare_answers, compare_thinly, right_cause
from validation.judge.diagnosis import diagnose
from validation.judge.diagnosis.coding import basis, kinds_of
from validation.judge.evidence import Evidence
from validation.tolerances import Strength
from validation.verdict import Finding

LIKELIHOOD = {fault.name: fault for fault in FAULTS["likelihood"]}


def causes_of(fault: str, base_name: str, thin: str = "", seed: int = 1) -> tuple[str, list[Any]]:
    base, planted = likelihood_base(base_name, seed), LIKELIHOOD[fault]
    wrong = planted.plant(base)
    made = compare_thinly(base, wrong, thin) if thin else compare_fits(base.fit, wrong, data=base.data, REML=base.reml)
    return right_cause(planted.expected, THIN.get(thin, ())), list(made.causes) if made.verdict.failed else []


@pytest.mark.parametrize(
    ("fault", "thin", "named"),
    [
        ("other criterion", "plain mapping", True),
        ("other criterion", "without fits", True),
        ("optimizer stopped early", "plain mapping", True),
        ("a variance put to 0", "without fits", True),
        ("correlation lost (||)", "plain mapping", True),
        ("correlation lost (||)", "fixef", True),  # a search of its optimum that ends at a variance of 0 goes on
        ("random slope lost", "fixef", True),  # the model without it gives these coefficients, the one without || not
        ("random intercept lost", "fixef, se", True),
        ("random slope lost", "logLik alone", True),
        ("random slope lost", "components", True),
        ("a lost column", "fixef, se", True),
        ("predictor centred", "plain mapping", True),
        ("predictor centred", "fixef, se", True),  # the standard error of the intercept is that at the centre
        ("predictor standardised", "BLUPs", True),
        ("predictor in another unit", "components", True),
        ("response standardised", "plain mapping", True),
        ("one value recoded", "without fits", False),
        ("a pupil in another school", "plain mapping", False),
        ("rows dropped", "BLUPs", False),
        ("loose standard errors", "fixef, se", False),
    ],
)
def test_the_right_cause_or_none(fault, thin, named):
    expected, causes = causes_of(fault, "slopes", thin)
    assert causes
    assert (causes[0].name == expected) if named else (causes[0].name in CAREFUL), causes[0]


@pytest.mark.parametrize(
    ("fault", "base", "thin", "named"),
    [
        # five coefficients of a model with one θ are one number: by chance within a twentieth of REML's
        ("optimizer stopped early", "categorical", "fixef", False),
        ("other criterion", "categorical", "fixef", True),
        # at that seed the centred predictor's slopes have no variance: the model without them, in other coordinates
        ("predictor centred", "independent terms", "logLik alone", False),
        ("random slope lost", "slopes", "logLik alone", True),
    ],
)
def test_few_numbers_that_meet_those_of_another_cause_are_no_proof_of_it(fault, base, thin, named):
    expected, causes = causes_of(fault, base, thin, seed=9)
    assert causes[0].name == (expected if named else "unknown")


@pytest.mark.parametrize("name", ["slopes", "crossed"])
def test_coefficients_that_are_nearly_those_of_the_other_criterion_are_no_proof_of_it(name):
    base = likelihood_base(name, 1)
    other = base.refit(reml=not base.reml)
    near = at_theta(base.fit, 0.02 * base.fit.theta.to_numpy() + 0.98 * other.theta.to_numpy())
    for keys in (("fixef",), ("fixef", "ranef"), ("fixef", "se")):
        assert compare_answers(base, answer_of(near, keys)).causes[0].name == "unknown"
        assert compare_answers(base, answer_of(other, keys)).causes[0].name == "reml-vs-ml"


@pytest.mark.parametrize(
    ("change", "keys", "cause"),
    [
        (lambda d: d.assign(ses=d["ses"] - 3.0), ("fixef", "vcov", "theta"), "coding-centred"),
        (lambda d: d.assign(ses=60.0 * d["ses"]), ("fixef", "vcov"), "coding-scaled"),
        (lambda d: d.assign(score=d["score"] / 10.0), ("fixef", "se"), "response-scaled"),
        # two coefficients say what the centre is, and nothing is left to prove it
        (lambda d: d.assign(ses=d["ses"] - 3.0), ("fixef",), "unknown"),
        # without standard errors a centre may be the predictor's or the response's
        (lambda d: d.assign(ses=d["ses"] - 3.0), ("fixef", "sigma", "logLik"), "unknown"),
        (lambda d: d.assign(ses=np.exp(d["ses"] / 4.0)), ("fixef", "se", "vcov"), "unknown"),
        # a root of numbers near a million is a line, to five digits
        (lambda d: d.assign(score=np.sqrt(1e6 + d["score"])), ("fixef", "vcov", "sigma", "VarCorr", "nobs"), "unknown"),
        (lambda d: d.assign(score=0.07 * d["score"] + 3.1), ("fixef", "vcov", "sigma", "VarCorr"), "response-scaled"),
    ],
)
def test_other_units_are_proved_without_the_design_or_not_named(change, keys, cause):
    base = likelihood_base("slopes", 1)
    (found, *_) = compare_answers(base, answer_of(base.refit(data=change(base.data)), keys)).causes
    assert found.name == cause
    if cause == "unknown":
        assert "would have to return" in found.remedy
    else:
        assert "digits or more" in found.evidence


@pytest.mark.parametrize("keys", [("fixef",), ("fixef", "se", "logLik"), ("fixef", "sigma", "VarCorr", "vcov")])
def test_a_factors_coefficients_under_other_levels_names(keys):
    base = likelihood_base("categorical")
    arm = base.data["arm"].cat.reorder_categories(["tutor", "both", "control", "books"])
    given = answer_of(base.refit(data=base.data.assign(arm=arm)), keys)
    given["fixef"] = given["fixef"].set_axis(base.fit.fixef().index)
    causes = compare_answers(base, given).causes
    assert causes[0].name == "permuted-terms"
    assert "what they give for the 4 levels" in causes[0].evidence
    given["fixef"] = given["fixef"] + [0.0, 0.0, 0.01, 0.0, 0.0]  # one level is another number
    assert "permuted-terms" not in [cause.name for cause in compare_answers(base, given).causes]


@pytest.mark.parametrize("keys", [("fixef", "se"), ()])
def test_an_indicator_coded_1_and_2_is_not_taken_for_contrasts(keys):
    formula, data = "score ~ late + (1 | school)", simulate(1, "intercept")
    base = BaseFit("coded", formula, data, True, fit_lmer(formula, data, True))
    for shift, cause in ((1.0, "coding-centred"), (-0.5, "coding-sum")):
        other = base.refit(data=data.assign(late=data["late"] + shift))
        made = compare_answers(base, answer_of(other, keys)) if keys else compare_fits(base.fit, other, data=data)
        assert made.causes[0].name == cause


def test_of_numbers_that_other_units_do_not_move_none_may_differ():
    base = likelihood_base("slopes", 1)
    given = answer_of(base.refit(data=base.data.assign(ses=60.0 * base.data["ses"])), ("fixef", "se", "sigma"))
    given["sigma"] = 1.1 * given["sigma"]
    assert compare_answers(base, given).causes[0].name in CAREFUL


@pytest.mark.filterwarnings("error::validation.errors.DetectorWarning")
@pytest.mark.parametrize("name", ["no fixed effects", "no fixed effects, slopes"])
@pytest.mark.parametrize(
    ("change", "keys", "cause"),
    [
        (lambda y: y / 10.0, ("sigma", "logLik", "nobs"), "response-scaled"),
        (lambda y: y / 10.0, ("VarCorr", "sigma"), "response-scaled"),
        (lambda y: y / 10.0, ("VarCorr",), "unknown"),  # sigma, which says what the scale is, is missing
        (lambda y: y / 10.0, ("sigma",), "unknown"),  # and is no proof of itself
        # without an intercept the mean is no coordinate: the shifted response has an optimum of its own
        (lambda y: (y - y.mean()) / y.std(), ("VarCorr",), "response-scaled"),
        (lambda y: (y - y.mean()) / y.std(), ("theta", "sigma", "logLik", "nobs"), "response-scaled"),
        (lambda y: np.cbrt(y), ("sigma", "logLik", "nobs"), "unknown"),
        (lambda y: y / 10.0 + 3.0, ("VarCorr", "sigma", "logLik", "nobs"), "unknown"),
    ],
)
def test_without_coefficients_the_response_alone_may_be_in_other_units(name, change, keys, cause):
    base = likelihood_base(name, 1)
    used = base.data.loc[base.fit.y.index]
    made = compare_answers(base, answer_of(base.refit(data=used.assign(score=change(used["score"]))), keys))
    assert made.causes[0].name == cause


def least_squares(base):
    X, y = base.fit.X.to_numpy(), base.fit.y.to_numpy()
    return {"fixef": dict(zip(base.fit.X.columns, np.linalg.lstsq(X, y, rcond=None)[0], strict=True))}


def test_least_squares_are_told_and_of_two_models_with_the_same_numbers_neither():
    base = likelihood_base("crossed", 1)
    (cause,) = compare_answers(base, least_squares(base)).causes
    assert cause.name == "random-effects-left-out-or-zero"
    assert "least squares" in cause.title
    # without variance between schools the model without raters is that without any random effect
    data = simulate(1, "singular")
    formula = "score ~ ses + (1 | school) + (1 | rater)"
    data["score"] += np.where(data["rater"].cat.codes % 2 == 0, 5.0, -5.0)
    base = BaseFit("two", formula, data, True, fit_lmer(formula, data, True))
    (cause,) = compare_answers(base, least_squares(base)).causes
    assert cause.name == "unknown"
    # of one quantity: what was compared is said, and what more would tell
    assert "the same model (fixef-names)" in cause.evidence
    assert "the log-likelihood, sigma, VarCorr, θ" in cause.remedy


@pytest.mark.parametrize(
    ("fault", "base"),
    [
        ("a variance put to 0", "no fixed effects"),  # its fitted values are the marginal ones, and rightly
        ("standard errors of the other criterion", "wild scales, slopes"),  # the search is in the effects' units
        ("a variance put to 0", "wild scales, slopes"),  # isSingular() is true of the right fit, too
        ("one value recoded", "nanoseconds"),  # an outlier of 10 s takes the variance to the boundary
        ("variances as SDs", "nanoseconds"),
        ("covariances for correlations", "wild scales, slopes"),  # θ of the slope is 2e-5: the predictor is in 1e4
        ("an unseen level gets the first one's effect", "names with spaces"),
        ("other criterion", "hertz"),
    ],
)
def test_causes_in_hard_models_are_right(fault, base):
    expected, causes = causes_of(fault, base)
    assert causes
    assert causes[0].name == expected


def test_a_number_that_is_none_is_no_boundary():
    expected, causes = causes_of("a standard error of NaN", "wild scales, slopes", "plain mapping")
    assert [cause.name for cause in causes] == [expected]


@pytest.mark.parametrize("base", list(HARD_BASES))
def test_hard_models_agree_with_themselves(base):
    made = likelihood_base(base, 1)
    assert not compare_fits(made.fit, made.fit, data=made.data, REML=made.reml).verdict.failed
    assert not compare_thinly(made, made.fit, "plain mapping").verdict.failed


def test_the_boundary_does_not_hang_on_a_predictors_unit():
    fit = likelihood_base("slopes", 1).fit
    pieces = pieces_of(fit)
    theta = fit.theta.to_numpy()
    assert not pieces.on_boundary(theta).any()
    for unit in (1e-6, 1e6):
        scale = np.array([1.0, unit])
        columns = np.tile(scale, pieces.Z.shape[1] // 2)
        other = replace(pieces, Z=sp.csc_array(pieces.Z @ sp.diags_array(columns)))
        same = theta / np.array([1.0, unit, unit])
        assert not other.on_boundary(same).any()
        np.testing.assert_allclose(same / other.theta_scale, theta / pieces.theta_scale, rtol=1e-12)
    theta = np.array([*theta[:2], 1e-9])
    assert pieces.on_boundary(theta).tolist() == [False, False, True]


@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e4])
def test_a_search_that_ended_at_a_variance_of_0_goes_on(unit):
    fit = likelihood_base("slopes", 1).fit
    pieces = pieces_of(fit)
    terms = (replace(pieces.terms[0], structure=Structure("diag")),)
    columns = np.tile([1.0, unit], pieces.Z.shape[1] // 2)
    independent = replace(pieces, terms=terms, Z=sp.csc_array(pieces.Z @ sp.diags_array(columns)))
    inside = optimum_of(independent, fit.reml, independent.theta_scale)
    edge = optimum_of(independent, fit.reml, np.array([0.9, 0.0]))  # its slope along the second is 0 there
    assert inside is not None
    assert edge is not None
    assert edge.objective == pytest.approx(inside.objective, abs=1e-6)
    assert edge.theta[1] * unit > 0.1
    assert solve(independent, np.array([edge.theta[0], 0.0]), fit.reml).objective > inside.objective + 0.1


def test_a_cause_says_to_how_many_digits_it_was_reproduced():
    _, causes = causes_of("other criterion", "slopes", "plain mapping")
    told = re.search(r"to (\d+) digits or more", causes[0].evidence)
    assert told is not None
    assert int(told[1]) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("base", ["intercept", "slopes", "categorical", "crossed"])
@pytest.mark.parametrize("thin", list(THIN))
def test_no_thin_candidate_gets_a_wrong_cause(base, thin):
    wrong = []
    for name, fault in LIKELIHOOD.items():
        if fault.applies(likelihood_base(base, 1).tags):
            expected, causes = causes_of(name, base, thin)
            if causes and causes[0].name not in CAREFUL | {expected}:
                wrong.append((name, expected, causes[0].name))
    assert not wrong


@pytest.mark.parametrize("thin", ["", "logLik alone", "plain mapping", "without design"])
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda value, rows: value + rows / 2 * math.log(2 * math.pi), "constant-offset"),
        (lambda value, rows: -value, "log-likelihood-scale"),
        (lambda value, rows: value / rows, "log-likelihood-scale"),
    ],
)
def test_a_log_likelihood_of_another_kind_is_named_whatever_else_is_answered(change, cause, thin):
    base = likelihood_base("slopes", 1)
    rows = base.fit.nobs()
    wrong = replace(base.fit, scalars={**base.fit.scalars, "logLik": change(base.fit.logLik(), rows)})
    made = compare_thinly(base, wrong, thin) if thin else compare_fits(base.fit, wrong, data=base.data, REML=base.reml)
    assert not made.agrees
    assert [found.name for found in made.causes] == [cause]


@pytest.mark.parametrize("base", ["crossed", "categorical"])
@pytest.mark.parametrize("at", ["the fit's own θ", "the optimum of its own"])
def test_the_other_criterions_log_likelihood_of_a_right_fit_is_named(base, at):
    made = likelihood_base(base)
    other = made.refit(reml=not made.reml)
    own = -solve(pieces_of(made.fit), made.fit.theta.to_numpy(), not made.reml).objective / 2.0
    value = own if at == "the fit's own θ" else other.logLik()
    for keys in (("sigma",), ("fixef", "se"), ("fixef", "sigma", "VarCorr"), THIN["plain mapping"]):
        found = compare_answers(made, {**answer_of(made.fit, keys), "logLik": value}).causes
        assert [(cause.name, at in cause.title) for cause in found] == [("another-log-likelihood", True)], keys
    # a log-likelihood alone may be of a fit by the other criterion
    for keys in ((), ("fixef",)):
        causes = compare_answers(made, {**answer_of(other, keys), "logLik": other.logLik(), "nobs": 1.0 * other.nobs()})
        assert not {cause.name for cause in causes.causes} - {"reml-vs-ml", "unknown"}


@pytest.mark.parametrize("base", ["crossed", "categorical"])
def test_the_log_likelihood_at_the_other_criterions_optimum_is_named(base):
    made = likelihood_base(base)
    theta = made.refit(reml=not made.reml).theta.to_numpy()
    value = -solve(pieces_of(made.fit), theta, made.reml).objective / 2.0
    for keys in (("fixef", "se"), ("sigma", "VarCorr"), THIN["plain mapping"]):
        found = compare_answers(made, {**answer_of(made.fit, keys), "logLik": value}).causes
        assert [(cause.name, "at the other criterion's θ" in cause.title) for cause in found] == [
            ("another-log-likelihood", True)
        ], keys


def test_a_log_likelihood_that_is_not_that_of_the_variances_beside_it_is_named():
    base = likelihood_base("intercept")
    known = {**answer_of(base.fit, ("sigma", "VarCorr")), "logLik": base.fit.logLik() - 4.4}
    assert [cause.name for cause in compare_answers(base, known).causes] == ["another-log-likelihood"]
    known["sigma"] = 1.1 * base.fit.sigma()  # nothing says that these variances are the model's
    assert [cause.name for cause in compare_answers(base, known).causes] == ["unknown"]


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        (("fixef", "ranef"), "response-scaled"),
        (("fixef", "sigma", "VarCorr", "ranef"), "response-scaled"),
        (THIN["without design"], "response-scaled"),
        (("fixef", "sigma"), "unknown"),  # as if the predictor were scored the other way
        (("fixef",), "unknown"),
    ],
)
def test_a_response_that_is_scored_the_other_way(keys, cause):
    base = likelihood_base("intercept", 41)
    wrong = base.refit(data=base.data.assign(score=100.0 - base.data["score"]))
    assert compare_answers(base, answer_of(wrong, keys)).causes[0].name == cause


@pytest.mark.parametrize("keys", [("fixef", "sigma", "VarCorr"), ("fixef", "ranef"), THIN["components"]])
def test_a_predictor_that_is_centred_in_the_random_part_alone(keys):
    base = likelihood_base("slopes", 41)
    used = base.data.dropna(subset=["score", "ses", "school"])
    wrong = base.refit(data=base.data.assign(late=base.data["ses"] - used["ses"].mean()),
                       formula="score ~ ses + (late | school)")  # fmt: skip
    known = answer_of(wrong, keys)
    for key in {"VarCorr", "ranef"} & known.keys():
        known[key] = (
            known[key].replace("late", "ses")
            if key == "VarCorr"
            else {group: frame.rename(columns={"late": "ses"}) for group, frame in known[key].items()}
        )
    (cause, *_) = compare_answers(base, known).causes
    assert (cause.name, cause.title.endswith("in the random part alone")) == ("coding-centred", True)


def test_standard_errors_that_are_variances_are_named():
    base = likelihood_base("crossed", 41)
    known = {**answer_of(base.fit, ("fixef", "sigma")), "se": answer_of(base.fit, ("se",))["se"] ** 2}
    assert compare_answers(base, known).causes[0].name == "scale-squared"


@pytest.mark.parametrize(
    ("base", "quantity", "change", "title"),
    [
        ("crossed", "fitted", lambda s: s.marginal, "Fitted values leave the random effects out"),
        ("crossed", "residuals", lambda s: s.pieces.y - s.marginal, "Residuals are those without the random effects"),
        ("weighted", "fitted", lambda s: s.fitted - s.pieces.offset, "Fitted values leave the offset out"),
        (
            "weighted", "residuals", lambda s: np.sqrt(s.pieces.weights) * (s.pieces.y - s.fitted),
            "Residuals are multiplied by the roots of the prior weights",
        ),
        ("crossed", "residuals", lambda s: (s.pieces.y - s.fitted) / s.sigma, "Residuals are divided by σ"),
        (
            "crossed", "fitted", lambda s: s.marginal + s.pieces.Z.toarray()[:, :18] @ s.b[:18],
            "Fitted values leave the random effects of rater out",
        ),
    ],
)  # fmt: skip
def test_fitted_values_and_residuals_without_a_part_are_named(base, quantity, change, title):
    made = likelihood_base(base)
    solution = solve(pieces_of(made.fit), made.fit.theta.to_numpy(), made.reml)
    known = answer_of(made.fit, ("fixef", "sigma", "VarCorr", "fitted", "residuals"))
    known[quantity] = known[quantity] * 0.0 + change(solution)
    (cause, *_) = compare_answers(made, known).causes
    assert (cause.title, cause.fault) == (title, 11)
    known[quantity] = known[quantity] * 0.9 + 1.0
    assert compare_answers(made, known).causes[0].name == "unknown"


def test_effects_over_the_spread_that_they_have_are_named():
    base = likelihood_base("slopes", 41)
    modes = {group: (frame - frame.mean()) / frame.std() for group, frame in base.fit.ranef().items()}
    assert compare_answers(base, {"ranef": modes, "sigma": base.fit.sigma()}).causes[0].name == "modes-standardised"


def test_contrasts_of_ones_own_are_another_coding():
    left = pieces_of(likelihood_base("categorical").fit)
    arms = [j for j, name in enumerate(left.coef_names) if name.startswith("arm")]
    X = left.X.copy()
    X[:, arms] = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 5.0], [4.0, 0.0, 1.0], [1.0, 1.0, 1.0]])[
        (left.X[:, arms] @ np.arange(1, 4)).astype(int)
    ]
    right = replace(left, X=X)
    A = basis(left, right)
    assert A is not None
    assert [kind.name for kind in kinds_of(left, right, A)] == ["coding"]


def test_a_log_likelihood_that_nothing_explains_gets_no_wrong_name():
    base = likelihood_base("slopes", 1)
    wrong = replace(base.fit, scalars={**base.fit.scalars, "logLik": base.fit.logLik() + 3.3})
    made = compare_fits(base.fit, wrong, data=base.data, REML=base.reml)
    assert [found.name for found in made.causes] == ["another-log-likelihood"]
    assert not compare_thinly(base, wrong, "logLik alone").causes


def test_a_log_likelihood_that_no_theta_reaches_fails_without_theta():
    base = likelihood_base("crossed")
    known = {"fixef": base.fit.fixef(), "sigma": base.fit.sigma()}
    by_verdict = {
        str(compare_answers(base, {**known, "logLik": base.fit.logLik() + more}).verdict): more
        for more in (0.0, 5.0, 1000.0)
    }
    assert by_verdict == {"agrees": 0.0, "inconclusive": 5.0, "disagrees": 1000.0}


def test_a_detector_that_goes_wrong_says_so():
    def detector(evidence: object) -> None:
        raise ZeroDivisionError("by nought")

    with pytest.warns(DetectorWarning, match="detector detector went wrong: ZeroDivisionError: by nought"):
        assert diagnose(math.nan, [detector]) == ()


def everything(fit):
    told = {"AIC": fit.AIC(), "BIC": fit.BIC(), "npar": fit.npar, "df_residual": fit.df_residual()}
    return {**answer_of(fit, ("fixef", "se", "sigma", "VarCorr", "theta", "ranef", "logLik", "nobs")), **told}


PENALTIES = {
    "AICc": (lambda a, k, N: {"AIC": a["AIC"] + 2 * k * (k + 1) / (N - k - 1)}, "other-penalty"),
    "a penalty of 1": (lambda a, k, N: {"AIC": -2 * a["logLik"] + k}, "other-penalty"),
    "BIC is AIC": (lambda a, k, N: {"BIC": a["AIC"]}, "other-penalty"),
    "BIC without σ": (lambda a, k, N: {"BIC": -2 * a["logLik"] + (k - 1) * math.log(N)}, "parameter-count"),
    "adjusted BIC": (lambda a, k, N: {"BIC": -2 * a["logLik"] + k * math.log((N + 2) / 24)}, "other-penalty"),
    "levels for rows": (lambda a, k, N: {"BIC": -2 * a["logLik"] + k * math.log(18)}, "bic-sample-size"),
    "half the rows": (lambda a, k, N: {"BIC": -2 * a["logLik"] + k * math.log(N / 2)}, "unknown"),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_named_by_what_it_is(name):
    base = likelihood_base("slopes")
    change, cause = PENALTIES[name]
    answer = everything(base.fit)
    answer |= change(answer, base.fit.npar, base.fit.nobs())
    assert [found.name for found in compare_answers(base, answer).causes] == [cause]
    if cause == "other-penalty":  # a number of parameters that nothing else bears out is none
        del answer["npar"], answer["df_residual"]
        assert "bic-sample-size" not in {found.name for found in compare_answers(base, answer).causes}


def test_one_coefficient_is_not_all_of_them():
    base = likelihood_base("no fixed effects")
    data = base.data.assign(score=base.data["score"] + 50.0)
    fit = fit_lmer("score ~ 1 + (1 | school)", data, True)
    alone = replace(base, fit=fit, data=data, formula="score ~ 1 + (1 | school)")
    answer = everything(fit)
    answer["se"] = {name: 0.61 * value for name, value in answer["se"].items()}
    assert [found.name for found in compare_answers(alone, answer).causes] == ["unknown"]


def test_a_residual_variance_has_the_other_criterions_divisor_or_none():
    base = likelihood_base("intercept")  # by REML: σ² is divided by N − p already
    N, p = base.fit.nobs(), len(base.fit.fixef())
    answer = everything(base.fit)
    for factor, named in ((math.sqrt((N - p) / N), True), (math.sqrt(N / (N - p)), False)):
        found = compare_answers(base, {**answer, "sigma": answer["sigma"] * factor}).causes
        assert ("sigma-divisor" in {cause.name for cause in found}) == named


def at_other_optimum(base: BaseFit) -> Any:
    """The fit at the other criterion's θ̂, with all else by the formulas of the criterion asked for."""
    return at_theta(base.fit, base.refit(reml=not base.reml).theta.to_numpy())


@pytest.mark.parametrize("keys", [("fixef", "se", "sigma", "VarCorr"), THIN["plain mapping"]])
def test_a_theta_of_the_other_criterion_is_no_optimizer_that_stopped_early(keys):
    base = likelihood_base("slopes")
    assert [cause.name for cause in compare_answers(base, answer_of(at_other_optimum(base), keys)).causes] == [
        "theta-other-criterion"
    ]
    third = (2 * base.fit.theta.to_numpy() + base.refit(reml=not base.reml).theta.to_numpy()) / 3
    early = compare_answers(base, answer_of(at_theta(base.fit, third), keys))
    assert [cause.name for cause in early.causes] == ["stopped-early"]


def test_the_other_criterion_is_named_where_the_variance_components_are_wrong_besides():
    base = likelihood_base("slopes")
    known = answer_of(base.refit(reml=not base.reml), ("fixef", "se", "sigma", "VarCorr", "logLik"))
    table = known["VarCorr"].copy()
    table[["vcov", "sdcor"]] *= 0.9
    (cause, *others) = compare_answers(base, {**known, "VarCorr": table}).causes
    assert (cause.name, "another fault" in cause.evidence, others) == ("reml-vs-ml", True, [])


def test_without_fixed_effects_the_flag_of_the_criterion_says_nothing():
    base = likelihood_base("intercept")
    formula = base.formula.replace("~ ", "~ 0 + ").replace("ses + ", "")
    left = fit_lmer(formula, base.data, True)
    right = replace(base.fit, reml=True)
    assert not left.fixef().size
    made = compare_fits(left, right, data=base.data, REML=True)
    assert "reml-vs-ml" not in {cause.name for cause in made.causes}


class Another:
    """A fit of which some pieces, or methods, are others."""

    def __init__(self, fit: Any, pieces: dict[str, Any] | None = None, **methods: Any) -> None:
        self._fit, self._pieces = fit, pieces or {}
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fit, name)

    def getME(self, name: str) -> Any:
        return self._pieces.get(name, self._fit.getME(name))


@pytest.mark.parametrize("kind", ["centred", "orthogonal"])
def test_a_design_that_is_not_of_the_coefficients_is_no_other_coding(kind):
    base = likelihood_base("slopes")
    X = base.fit.getME("X")
    other = X - X.mean() * (X.columns != "(Intercept)") if kind == "centred" else 0.0 * X + np.linalg.qr(X)[0]
    made = compare_fits(base.fit, Another(base.fit, {"X": other}), data=base.data, REML=base.reml)
    assert [cause.name for cause in made.causes] == ["design-of-other-coefficients"]


def test_a_flag_that_contradicts_its_own_theta_is_no_boundary():
    base = likelihood_base("slopes")
    wrong = Another(base.fit, isSingular=lambda tol=1e-4: True)
    made = compare_fits(base.fit, wrong, data=base.data, REML=base.reml)
    assert [cause.name for cause in made.causes] == ["singular-flag"]
    turned = {**answer_of(base.fit, ("fixef", "sigma", "VarCorr", "logLik")), "theta": -base.fit.theta}
    assert "boundary" not in {cause.name for cause in compare_answers(base, turned).causes}


def test_a_covariance_matrix_that_is_another_one_has_not_lost_its_correlation():
    base = likelihood_base("slopes")
    known = answer_of(base.fit, ("fixef", "sigma", "VarCorr", "theta"))
    table = known["VarCorr"].copy()
    table.loc[table["var2"].notna(), ["vcov", "sdcor"]] = 0.0
    assert compare_answers(base, {**known, "VarCorr": table}).causes[0].name == "correlation-not-reported"
    rest = table["var2"].isna() & (table["grp"] != "Residual")
    table.loc[rest, "vcov"] *= 4.0
    table.loc[rest, "sdcor"] *= 2.0
    assert compare_answers(base, {**known, "VarCorr": table}).causes[0].name == "unknown"


def test_what_a_proven_cause_reproduced_has_no_second_cause():
    found = [
        Finding(1, "proven", Strength.RECOMPUTED, frozenset({"se", "sigma"})),
        Finding(10, "of its numbers", Strength.OWN_RULE, frozenset({"se"})),
        Finding(10, "of others", Strength.OWN_RULE, frozenset({"logLik"})),
        Finding(10, "of anything", Strength.OWN_RULE),
    ]
    detectors = [lambda _, one=one: one.told("", "", "") for one in found]
    assert [cause.name for cause in diagnose(None, detectors)] == ["proven", "of others", "of anything"]


def test_standard_errors_of_the_other_criterion_are_no_numerical_hessian():
    base = likelihood_base("slopes")
    table = base.refit(reml=not base.reml).coefficients
    answer = {**everything(base.fit), "se": table["Std. Error"].to_dict()}
    assert [found.name for found in compare_answers(base, answer).causes] == ["standard-errors-other-criterion"]
    loose = {
        name: value * (1 + 3e-4 * (i + 1))
        for i, (name, value) in enumerate(base.fit.coefficients["Std. Error"].items())
    }
    found = compare_answers(base, {**answer, "se": loose}).causes
    assert [cause.name for cause in found] == ["standard-errors-loose"]


def test_the_other_optimum_is_searched_for_once():
    base = likelihood_base("slopes")
    evidence = Evidence(base.fit, base.refit(reml=not base.reml), base.reml, base.data)
    assert evidence.other_optimum is evidence.other_optimum
