"""The faults of likelihood fits: what each is called, where it can be planted, and what must name it."""

from collections.abc import Callable

from validation.faults.bases import Base
from validation.faults.changed_numbers import (
    alphabetical_modes,
    bic_with_groups,
    by_crossproducts,
    coef_for_ranef,
    conditional_for_marginal,
    conditional_variances,
    constant_lost,
    constant_lost_in_loglik,
    first_level_for_new,
    loose_standard_errors,
    lost_covariances,
    lost_level,
    marginal_fitted,
    modes,
    not_a_number,
    of_correlations,
    on_boundary,
    one_mode_flipped,
    one_sided_tests,
    other_criterion,
    other_criterion_silently,
    permuted_coefficients,
    relative_sds,
    relative_variances,
    residual_df_in_se,
    residual_tests,
    reversed_modes,
    sds_as_variances,
    shifted_modes,
    sigma_divisor,
    sigma_not_counted,
    sigma_squared,
    single_precision,
    standard_errors_of_other_criterion,
    stopped_early,
    swapped_effects,
    swapped_pair,
    swapped_terms,
    theta_reversed,
    unshrunken,
    variances_as_sds,
    wrong_statistic,
    z_tests,
)
from validation.faults.fault import Fault, Sized
from validation.faults.other_fits import (
    centred,
    contrasts,
    dropped_rows,
    filled_in,
    formula,
    lost_column,
    missing_as_integer,
    missing_as_level,
    moved_pupil,
    off_boundary,
    ordered,
    other_response,
    recoded_value,
    relevelled,
    renamed,
    rescaled,
    standardised,
)
from validation.references.recorded import RecordedLmerFit

__all__ = ["LIKELIHOOD_FAULTS"]


def _frozen(change: Callable[[RecordedLmerFit], RecordedLmerFit]) -> Callable[[Base, float], RecordedLmerFit]:
    return lambda base, size: change(base.fit)


def _from(change: Callable[[Base], RecordedLmerFit]) -> Callable[[Base, float], RecordedLmerFit]:
    return lambda base, size: change(base)


def _traits(*names: str) -> frozenset[str]:
    return frozenset(names)


_SINGULAR = _traits("singular")

LIKELIHOOD_FAULTS: tuple[Fault, ...] = (
    Fault(1, "other criterion", "reml-vs-ml", _frozen(other_criterion), without=_SINGULAR),
    Fault(1, "other criterion, silently", "reml-vs-ml", _frozen(other_criterion_silently), without=_SINGULAR),
    Fault(2, "variances as SDs", "scale-squared", _frozen(variances_as_sds)),
    Fault(2, "SDs as variances", "scale-square-root", _frozen(sds_as_variances)),
    Fault(2, "SDs relative to sigma", "scale-relative", _frozen(relative_sds)),
    Fault(2, "variances relative to sigma squared", "scale-relative-variance", _frozen(relative_variances)),
    Fault(2, "sigma squared", "scale-squared", _frozen(sigma_squared)),
    Fault(
        2,
        "BLUPs over sigma",
        "modes-relative",
        _frozen(lambda fit: modes(fit, lambda frame: frame / fit.sigma())),
        without=_SINGULAR,
    ),
    Fault(
        2,
        "conditional variances for sds",
        "condsd-squared",
        _frozen(conditional_variances),
        without=_traits("singular", "two effects"),
    ),
    Fault(
        2,
        "covariances for correlations",
        "scale-covariance",
        _frozen(of_correlations(lambda r: r["vcov"])),
        needs=_traits("two effects"),
    ),
    Fault(
        7,
        "correlation reported as 0",
        "correlation-not-reported",
        _frozen(of_correlations(lambda r: 0.0)),
        needs=_traits("two effects"),
    ),
    Fault(
        1,
        "standard errors of the other criterion",
        "standard-errors-other-criterion",
        _frozen(standard_errors_of_other_criterion),
        without=_SINGULAR,
    ),
    Fault(8, "one BLUP's sign", "sign-flipped", _frozen(one_mode_flipped), without=_SINGULAR),
    Fault(
        8, "all BLUPs' signs", "sign-flipped", _frozen(lambda fit: modes(fit, lambda frame: -frame)), without=_SINGULAR
    ),
    Fault(8, "theta in another order", "permuted-terms", _frozen(theta_reversed), needs=_traits("several terms")),
    Fault(10, "sigma with another divisor", "sigma-divisor", _frozen(sigma_divisor)),
    Fault(3, "another reference level", "coding-reference-level", _from(relevelled), needs=_traits("categorical")),
    Fault(3, "sum contrasts", "coding-sum", contrasts("contr.sum"), needs=_traits("categorical")),
    Fault(3, "Helmert contrasts", "coding-helmert", contrasts("contr.helmert"), needs=_traits("categorical")),
    Fault(3, "factor taken as ordered", "coding-polynomial", _from(ordered), needs=_traits("categorical")),
    Fault(3, "predictor centred", "coding-centred", _from(centred), needs=_traits("predictor"), without=_SINGULAR),
    Fault(3, "predictor standardised", "coding-scaled", _from(standardised), needs=_traits("predictor")),
    Fault(
        3,
        "predictor in another unit",
        "coding-scaled",
        rescaled,
        needs=_traits("predictor"),
        sized=Sized(9.0, 1e-12, "share of the predictor"),
    ),
    Fault(3, "coefficients renamed", "coding-names", _from(renamed)),
    Fault(4, "rows dropped", "rows", dropped_rows, sized=Sized(20.0, 1.0, "rows")),
    Fault(4, "missing values filled in", "rows", _from(filled_in), without=_traits("singular", "nested")),
    Fault(
        4,
        "missing value as a level",
        "missing-as-level",
        _from(missing_as_level),
        without=_traits("singular", "nested"),
    ),
    Fault(
        4,
        "missing integer as a number",
        "missing-as-integer",
        _from(missing_as_integer),
        needs=_traits("predictor"),
        without=_traits("singular", "slope of predictor"),
    ),
    Fault(4, "a pupil in another school", "data-values", _from(moved_pupil), without=_traits("nested")),
    Fault(
        4, "one value recoded", "data-values", recoded_value, sized=Sized(10.0, 1e-9, "units of y"), without=_SINGULAR
    ),
    Fault(4, "response standardised", "response-scaled", _from(other_response), without=_traits("weighted")),
    Fault(
        5,
        "optimizer stopped early",
        "stopped-early",
        lambda base, size: stopped_early(base.fit, size),
        without=_SINGULAR,
        sized=Sized(0.02, 1e-8, "share of theta"),
    ),
    Fault(6, "a variance put to 0", "boundary", _frozen(on_boundary), without=_SINGULAR),
    Fault(
        6,
        "a variance kept off 0",
        "boundary",
        off_boundary,
        needs=_SINGULAR,
        sized=Sized(0.1, 1e-9, "theta in place of 0"),
    ),
    Fault(
        7,
        "correlation lost (||)",
        "correlation-lost",
        formula(lambda f: f.replace("(ses | school)", "(ses || school)")),
        needs=_traits("slopes"),
    ),
    Fault(
        7,
        "random intercept lost",
        "random-intercept-lost",
        formula(lambda f: f.replace("(ses | school)", "(0 + ses | school)")),
        needs=_traits("slopes"),
    ),
    Fault(
        7,
        "random slope lost",
        "random-terms",
        formula(lambda f: f.replace("(ses | school)", "(1 | school)")),
        needs=_traits("slopes"),
    ),
    Fault(
        7,
        "fixed intercept lost",
        "intercept-lost",
        formula(lambda f: f.replace("~ ", "~ 0 + ")),
        without=_traits("categorical", "singular", "no fixed effects"),
    ),
    Fault(
        7,
        "nested taken as crossed",
        "crossed-vs-nested",
        formula(lambda f: f.replace("school/room", "school) + (1 | room")),
        needs=_traits("nested"),
    ),
    Fault(
        7,
        "crossed taken as nested",
        "crossed-vs-nested",
        formula(lambda f: f.replace("(1 | school) + (1 | rater)", "(1 | school/rater)")),
        needs=_traits("crossed"),
    ),
    Fault(
        7,
        "a term lost",
        "crossed-vs-nested",
        formula(lambda f: f.replace(" + (1 | rater)", "")),
        needs=_traits("crossed"),
    ),
    Fault(8, "BLUPs reversed", "permuted-levels", _frozen(reversed_modes), without=_SINGULAR),
    Fault(8, "BLUPs shifted by one", "permuted-levels", _frozen(shifted_modes), without=_SINGULAR),
    Fault(8, "BLUPs in alphabetical order", "permuted-levels", _frozen(alphabetical_modes), without=_SINGULAR),
    Fault(
        8,
        "two levels swapped",
        "permuted-levels",
        lambda base, size: swapped_pair(base.fit, size),
        without=_SINGULAR,
        sized=Sized(1.0, 1e-4, "sds of the BLUPs apart"),
    ),
    Fault(8, "effects swapped", "permuted-effects", _frozen(swapped_effects), needs=_traits("two effects")),
    Fault(
        8, "variances of two terms swapped", "permuted-terms", _frozen(swapped_terms), needs=_traits("several terms")
    ),
    Fault(8, "coefficients permuted", "permuted-terms", _frozen(permuted_coefficients), needs=_traits("categorical")),
    Fault(10, "N log(2 pi) lost", "constant-offset", _frozen(constant_lost)),
    Fault(
        10, "log|X'X| lost in logLik", "constant-offset", _frozen(constant_lost_in_loglik), without=_traits("weighted")
    ),
    Fault(10, "sigma not counted", "parameter-count", _frozen(sigma_not_counted)),
    Fault(10, "BIC with groups", "bic-sample-size", _frozen(bic_with_groups)),
    Fault(10, "residual df in SEs", "standard-error-scale", _frozen(residual_df_in_se)),
    Fault(
        10,
        "loose standard errors",
        "standard-errors-loose",
        lambda base, size: loose_standard_errors(base.fit, size),
        sized=Sized(2.7e-4, 1e-8, "relative"),
    ),
    Fault(10, "t over the residual sd", "test-statistic", _frozen(wrong_statistic)),
    Fault(10, "z tests for Satterthwaite's", "p-values-z", _frozen(z_tests), without=_SINGULAR),
    Fault(10, "residual df for Satterthwaite's", "p-values-residual-df", _frozen(residual_tests), without=_SINGULAR),
    Fault(10, "one-sided p-values", "p-values-one-sided", _frozen(one_sided_tests)),
    Fault(11, "unshrunken BLUPs", "unshrunken", _frozen(unshrunken), without=_traits("singular", "shared effect")),
    Fault(11, "coef for ranef", "coef-for-ranef", _frozen(coef_for_ranef)),
    Fault(11, "marginal fitted values", "marginal-fitted", _frozen(marginal_fitted), without=_SINGULAR),
    Fault(
        11,
        "conditional for marginal predictions",
        "conditional-for-marginal",
        _frozen(conditional_for_marginal),
        without=_SINGULAR,
    ),
    Fault(
        11,
        "an unseen level gets the first one's effect",
        "new-levels",
        _frozen(first_level_for_new),
        without=_traits("singular", "nested"),
    ),
    Fault(12, "single precision", "single-precision", _frozen(single_precision)),
    Fault(12, "response not centred", "cancellation", _frozen(by_crossproducts), needs=_traits("far")),
    # without a column that another is twice of, that other one stands for it: nothing is lost
    Fault(12, "a lost column", "lost-column", _from(lost_column), without=_traits("no fixed effects", "aliased")),
    Fault(12, "a lost level", "missing-numbers", _frozen(lost_level)),
    Fault(12, "covariances not given", "missing-numbers", _frozen(lost_covariances)),
    Fault(12, "a standard error of NaN", "missing-numbers", _frozen(not_a_number), without=_traits("no fixed effects")),
    Fault(
        12, "weights ignored", "lost-weights", lambda base, size: base.refit(weights=None), needs=_traits("weighted")
    ),
    Fault(
        12,
        "offset ignored",
        "lost-offset",
        formula(lambda f: f.replace("offset(handicap) + ", "")),
        needs=_traits("weighted"),
    ),
)
