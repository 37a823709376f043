"""Planted faults: each is caught, and named before all else; what is no known fault is said to be unknown."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from validation import compare_draws, compare_fits
from validation.faults import FAULTS, at_theta
from validation.faults.bases import BASES, HARD_BASES, LIKELIHOOD_BASES, likelihood_base, posterior_base, sample


def first_base(fault):
    bases = BASES[fault.kind].items()
    return next(name for name, base in bases if name not in HARD_BASES and fault.applies(base.tags))


def planted(name, fit):
    """A fit with a fault of this name."""
    fault = next(fault for fault in FAULTS["likelihood"] if fault.name == name)
    return fault.plant(replace(likelihood_base("slopes"), fit=fit))


@pytest.mark.parametrize("fault", FAULTS["likelihood"], ids=lambda fault: fault.name)
def test_caught_and_named(fault):
    base = likelihood_base(first_base(fault))
    comparison = compare_fits(base.fit, fault.plant(base), data=base.data)
    assert not comparison.agrees
    cause = comparison.causes[0]
    assert (cause.fault, cause.name) == (fault.number, fault.expected)
    assert any(character.isdigit() for character in cause.evidence)
    assert len(cause.remedy) > 30


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS["posterior"], ids=lambda fault: fault.name)
def test_caught_and_named_in_a_posterior(fault):
    base = posterior_base(first_base(fault))
    comparison = compare_fits(base.fit, fault.plant(base))
    assert not comparison.agrees
    assert (comparison.causes[0].fault, comparison.causes[0].name) == (fault.number, fault.expected)


@pytest.mark.parametrize("away", [0.0, 100.0])
def test_predictors_that_are_not_centred_are_named_however_far_their_mean_is(away):
    """A search from no shift ended elsewhere, by the draws of some seeds (8): the density says where to begin."""
    fault = next(fault for fault in FAULTS["posterior"] if fault.name == "predictors not centred")
    base = posterior_base("intercept", 8, 300)
    data = base.data.assign(ses=base.data["ses"] + away)
    base = replace(base, data=data, fit=sample(base.formula, data, 8, 300), draws=300)
    (cause,) = compare_fits(base.fit, fault.plant(base)).causes
    assert cause.name == "prior-not-centred"


@pytest.mark.parametrize("size", [1e-5, 5e-5])
def test_an_optimizer_that_stopped_early_is_not_taken_for_lost_digits(size):
    """However far the response is from 0: the numbers at the optimizer's own θ are right to the last digit."""
    base = likelihood_base("far from 0")
    comparison = compare_fits(base.fit, at_theta(base.fit, base.fit.theta.to_numpy() * (1 + size)), data=base.data)
    assert not comparison.agrees
    assert [cause.name for cause in comparison.causes] == ["stopped-early"]


@pytest.mark.parametrize("name", LIKELIHOOD_BASES)
def test_right_fits_agree(name):
    base = likelihood_base(name)
    assert compare_fits(base.fit, base.refit(), data=base.data).agrees


def test_every_row_of_the_table_and_forty_variants():
    assert {fault.number for fault in (*FAULTS["likelihood"], *FAULTS["posterior"])} == set(range(1, 13))
    assert len(FAULTS["likelihood"]) + len(FAULTS["posterior"]) >= 40
    assert len({(fault.kind, fault.name) for fault in (*FAULTS["likelihood"], *FAULTS["posterior"])}) == len(
        FAULTS["likelihood"]
    ) + len(FAULTS["posterior"])


def test_loose_standard_errors_fail_and_nothing_else_does():
    fit = likelihood_base("slopes").fit
    comparison = compare_fits(fit, planted("loose standard errors", fit))
    failed = comparison.table[[verdict.failed for verdict in comparison.table["verdict"]]]
    assert set(failed["quantity"]) == {"se", "t"}


def test_several_faults_are_all_named():
    fit = likelihood_base("slopes").fit
    for wrong, names in (
        (("variances as SDs", "BLUPs reversed"), {"permuted-levels", "scale-squared"}),
        (("BIC with groups", "unshrunken BLUPs"), {"unshrunken", "bic-sample-size"}),
        (("other criterion", "variances as SDs"), {"reml-vs-ml", "scale-squared"}),
    ):
        spoiled = planted(wrong[1], planted(wrong[0], fit))
        assert names <= {cause.name for cause in compare_fits(fit, spoiled).causes}


def noisy_modes(fit):
    rng = np.random.default_rng(1)
    return replace(fit, modes={g: frame + 0.01 * rng.normal(size=frame.shape) for g, frame in fit.modes.items()})


def larger_sigma(fit):
    return replace(fit, scalars={**fit.scalars, "sigma": fit.sigma() * 1.01})


def larger_sds(fit):
    return replace(fit, components=fit.components.assign(sdcor=fit.components["sdcor"] * 1.07))


def penalised(fit):
    return replace(fit, objective=lambda theta: fit.devfun(theta) + float(np.sum(np.square(theta))))


@pytest.mark.parametrize("spoil", [noisy_modes, larger_sigma, larger_sds, penalised])
def test_what_is_no_known_fault_is_said_to_be_unknown_with_what_is_known(spoil):
    fit = likelihood_base("slopes").fit
    cause = compare_fits(fit, spoil(fit)).causes[0]
    assert (cause.fault, cause.name) == (0, "unknown")
    assert "Both sides agree on: the same model" in cause.evidence
    assert "They differ on:" in cause.evidence
    assert len(cause.remedy) > 30


def test_rows_are_aligned_by_label():
    base = likelihood_base("intercept")
    shuffled = base.data.sample(frac=1.0, random_state=3)
    assert compare_fits(base.fit, base.refit(data=shuffled), data=base.data).agrees
    other = base.refit(data=shuffled.reset_index(drop=True))
    assert not compare_fits(base.fit, other, data=base.data).agrees


@pytest.mark.r
def test_on_live_fits_with_several_terms():
    from bridge import datasets, lme4
    from validation.faults.bases import BaseFit
    from validation.references.recorded import RecordedLmerFit

    data = datasets.load("Penicillin", package="lme4")
    formula = "diameter ~ 1 + (1 | plate) + (1 | sample)"
    live = lme4.lmer(formula, data, REML=True, control="tight")
    base = BaseFit("Penicillin", formula, data, True, RecordedLmerFit.of(live, live=True))
    names = {
        "other criterion, silently", "SDs relative to sigma", "optimizer stopped early", "two levels swapped",
        "N log(2 pi) lost", "unshrunken BLUPs", "coef for ranef", "marginal fitted values", "single precision",
    }  # fmt: skip
    wrong = {}
    for fault in FAULTS["likelihood"]:
        if fault.name in names:
            comparison = compare_fits(base.fit, fault.plant(base), data=data)
            if not comparison.causes or comparison.causes[0].name != fault.expected:
                wrong[fault.name] = [cause.name for cause in comparison.causes]
    assert wrong == {}


# ---------------------------------------------------------------------------------------------------- hostile


class Nothing:
    formula = ""


class Raises:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def method(*args, **kwargs):
            raise RuntimeError("no such luck")

        return method

    def __dir__(self):
        return []


def test_a_candidate_that_gives_nothing_or_raises_is_missing_everything():
    fit = likelihood_base("intercept").fit
    for candidate in (Nothing(), Raises()):
        comparison = compare_fits(fit, candidate)
        assert not comparison.agrees
        assert comparison.causes[0].name == "missing-numbers"
        assert str(comparison)
        assert comparison.to_json()


def test_what_a_model_does_not_have_warns_nobody(recwarn):
    fit = likelihood_base("intercept").fit  # it has no correlations
    assert not compare_fits(fit, planted("BLUPs reversed", fit)).agrees
    assert [str(warning.message) for warning in recwarn] == []


def duplicated_level(fit):
    return replace(fit, modes={g: pd.concat([frame, frame.iloc[:1]]) for g, frame in fit.modes.items()})


def unknown_level(fit):
    return replace(
        fit,
        modes={g: pd.concat([frame, frame.iloc[:1].rename(index=lambda _: "zz")]) for g, frame in fit.modes.items()},
    )


def infinite(fit):
    return replace(fit, coefficients=fit.coefficients * np.inf)


def missing_numbers(fit):
    return replace(fit, coefficients=fit.coefficients * np.nan)


def objective_of_nan(fit):
    return replace(fit, objective=lambda theta: float("nan"))


@pytest.mark.parametrize("spoil", [duplicated_level, unknown_level, infinite, missing_numbers, objective_of_nan])
def test_hostile_values_fail_and_are_not_blamed_on_the_estimation(spoil):
    fit = likelihood_base("intercept").fit
    comparison = compare_fits(fit, spoil(fit))
    assert not comparison.agrees
    assert comparison.causes[0].name in ("missing-numbers", "malformed-values", "unknown")
    assert not compare_fits(spoil(fit), fit).agrees


def test_nan_on_both_sides_is_not_agreement_of_numbers():
    fit = missing_numbers(likelihood_base("intercept").fit)
    assert not compare_fits(fit, fit).agrees


def test_a_theta_of_nearly_zero_is_zero():
    fit = likelihood_base("singular").fit
    assert compare_fits(at_theta(fit, np.array([0.0])), at_theta(fit, np.array([1e-9]))).agrees
    assert not compare_fits(at_theta(fit, np.array([0.0])), at_theta(fit, np.array([1e-2]))).agrees


def test_other_dtypes_hold_the_same_numbers():
    fit = likelihood_base("intercept").fit
    assert compare_fits(fit, replace(fit, coefficients=fit.coefficients.astype(object))).agrees


# ---------------------------------------------------------------------------------------------------- hostile draws


def with_draws(fit, change):
    fit.values = change(fit.values.copy())
    return fit


def put(value):
    def change(values):
        values[1, 0, 3] = value
        return values

    return change


@pytest.mark.parametrize(
    "change",
    [
        put(np.nan),
        lambda values: values * np.nan,
        lambda values: np.zeros_like(values),
        lambda values: np.repeat(values[:, :, :10], 50, axis=2),  # a sticky chain
        lambda values: values[:, :, :2],
        lambda values: values[:, :1, :40],
    ],
)
def test_draws_that_say_nothing_are_inconclusive_and_have_no_cause(make_posterior, change):
    comparison = compare_fits(make_posterior(1, draws=500), with_draws(make_posterior(2, draws=500), change))
    assert comparison.verdict == "inconclusive"
    assert comparison.causes == ()
    assert str(comparison)


def test_no_draws_at_all_are_missing(make_posterior):
    comparison = compare_fits(
        make_posterior(1, draws=500), with_draws(make_posterior(2), lambda values: values[:, :, :0])
    )
    assert not comparison.agrees
    assert any("no usable draws" in note for note in comparison.notes)


def test_one_chain_is_split_and_anticorrelated_draws_are_worth_more_than_their_number(make_posterior):
    one = with_draws(make_posterior(2), lambda values: values[:, :1])
    assert compare_fits(make_posterior(1), one).agrees

    rng = np.random.default_rng(5)
    draws = {name: rng.normal(size=(4, 1000)) for name in "ab"}
    for values in draws.values():
        for t in range(1, 1000):
            values[:, t] = -0.7 * values[:, t - 1] + np.sqrt(0.51) * values[:, t]
    assert compare_draws(draws, {name: rng.normal(size=(4, 1000)) for name in "ab"}).agrees


def test_a_density_that_fails_is_not_blamed_on_a_prior(make_posterior):
    for extra in (lambda u: np.nan, lambda u: -np.inf, lambda u: float(np.sum(np.sin(u)))):
        right = make_posterior(2, draws=500)
        right.extra = extra
        cause = compare_fits(make_posterior(1, draws=500), right).causes[0]
        assert cause.name in ("unknown", "density")
