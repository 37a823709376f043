"""Tiers 1 to 5: each passes a right fit, and each can fail."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from validation import Verdict, compare_fits
from validation.faults import at_theta
from validation.faults.bases import likelihood_base
from validation.judge.rows import check_of, judge_number
from validation.quantities import named
from validation.tolerances import ESTIMATE


def verdicts(comparison):
    return {check.id: check.verdict for check in comparison.checks}


def rows(comparison, **wanted):
    table = comparison.table
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


@pytest.mark.parametrize("name", ["ml_fit", "reml_fit"])
def test_a_fit_agrees_with_itself(name, request):
    fit = request.getfixturevalue(name)
    comparison = compare_fits(fit, fit)
    assert comparison.agrees
    assert set(verdicts(comparison)) == {"tier-1", "tier-2", "tier-3", "tier-4", "tier-5"}
    assert (comparison.table["verdict"] == Verdict.AGREES).all()
    assert comparison.causes == ()
    assert (comparison.table["reason"].str.len() > 10).all()


def test_rounding_noise_agrees(ml_fit, make_fit, design):
    theta = ml_fit.theta.to_numpy() * (1 + 1e-9)
    assert compare_fits(ml_fit, at_theta(ml_fit, theta)).agrees


@pytest.mark.parametrize("size", [3e-4, 1e-2])
def test_an_optimum_missed_by_little_fails_tier_4(ml_fit, size):
    wrong = at_theta(ml_fit, ml_fit.theta.to_numpy() * (1 + size))
    found = verdicts(compare_fits(ml_fit, wrong))
    assert found["tier-1"] is Verdict.AGREES
    assert found["tier-2"] is Verdict.AGREES
    assert found["tier-4"] is Verdict.DISAGREES


# ------------------------------------------------------------------------------------------------ tier 1


def test_tier_1_sees_one_entry_of_X(ml_fit):
    X = ml_fit.X.copy()
    X.iloc[7, 1] += 1e-12
    comparison = compare_fits(ml_fit, replace(ml_fit, X=X))
    assert rows(comparison, quantity="X", term="femaleF")["verdict"].tolist() == [Verdict.DISAGREES]
    assert verdicts(comparison)["tier-1"] is Verdict.DISAGREES


def test_tier_1_sees_one_entry_of_Z_and_of_y(ml_fit):
    Z = ml_fit.Z.copy()
    Z.data = Z.data.copy()
    Z.data[5] = 1.0 + 1e-9
    y = ml_fit.y.copy()
    y.iloc[3] += 1e-7
    comparison = compare_fits(ml_fit, replace(ml_fit, Z=Z, y=y))
    assert rows(comparison, quantity="Z")["verdict"].tolist() == [Verdict.DISAGREES]
    assert rows(comparison, quantity="y")["verdict"].tolist() == [Verdict.DISAGREES]


def test_tier_1_sees_the_order_of_levels(ml_fit):
    factors = ml_fit.factors.copy()
    levels = list(factors["school"].cat.categories)
    levels[0], levels[1] = levels[1], levels[0]
    factors["school"] = factors["school"].cat.reorder_categories(levels)
    row = rows(compare_fits(ml_fit, replace(ml_fit, factors=factors)), quantity="levels").iloc[0]
    assert row["verdict"] is Verdict.DISAGREES
    assert "another order" in row["reason"]
    assert "'20920'" in row["reason"]


def test_tier_1_sees_columns_in_another_order(ml_fit):
    row = rows(
        compare_fits(ml_fit, replace(ml_fit, X=ml_fit.X.iloc[:, ::-1], coefficients=ml_fit.coefficients.iloc[::-1])),
        quantity="fixef-names",
    ).iloc[0]
    assert row["verdict"] is Verdict.DISAGREES


def test_tier_1_sees_another_row(ml_fit):
    index = ml_fit.X.index.to_numpy().copy()
    index[0] = 99_999
    moved = pd.Index(index)
    other = replace(
        ml_fit, fits=ml_fit.fits.set_axis(moved), y=ml_fit.y.set_axis(moved), X=ml_fit.X.set_axis(moved, axis=0)
    )
    comparison = compare_fits(ml_fit, other)
    assert rows(comparison, quantity="rows-used")["verdict"].tolist() == [Verdict.DISAGREES]
    # joined by label, so the row that only one side has is missing, not shifted
    assert rows(comparison, quantity="fitted")["verdict"].tolist() == [Verdict.MISSING]


def test_tier_1_sees_rows_in_other_levels(ml_fit):
    factors = ml_fit.factors.copy()
    levels = factors["school"].cat.categories
    factors.iloc[0, 0] = levels[-1]
    row = rows(compare_fits(ml_fit, replace(ml_fit, factors=factors)), quantity="membership").iloc[0]
    assert row["verdict"] is Verdict.DISAGREES
    assert row["scaled"] == 1


# ------------------------------------------------------------------------------------------------ tier 2


def test_tier_2_separates_algebra_from_the_optimizer(ml_fit):
    wrong = replace(ml_fit, objective=lambda theta: ml_fit.objective(theta) * (1 + 3e-10))
    found = verdicts(compare_fits(ml_fit, wrong))
    assert found["tier-2"] is Verdict.DISAGREES
    assert found["tier-4"] is not Verdict.DISAGREES


def test_tier_2_looks_at_the_boundary_too(ml_fit):
    def wrong_at_boundary(theta):
        return ml_fit.objective(theta) + (1.0 if theta[0] == 0 else 0.0)

    comparison = compare_fits(ml_fit, replace(ml_fit, objective=wrong_at_boundary))
    failed = rows(comparison, check="tier-2", verdict=Verdict.DISAGREES)
    assert set(failed["level"]) == {"boundary, all 0", "boundary, element 1"}


def test_tier_2_does_not_pass_a_fit_without_objective(ml_fit):
    class NoObjective:
        def __getattr__(self, name):
            if name == "devfun":
                raise AttributeError(name)
            return getattr(ml_fit, name)

    comparison = compare_fits(ml_fit, NoObjective())
    assert rows(comparison, check="tier-2")["verdict"].tolist() == [Verdict.MISSING]
    assert not comparison.agrees


def test_tier_2_maps_theta_by_name(ml_fit):
    order = [2, 0, 1]
    names = ml_fit.theta.index[order]
    inverse = np.argsort(order)
    other = replace(
        ml_fit,
        theta=ml_fit.theta[names],
        lower=ml_fit.lower[names],
        objective=lambda theta: ml_fit.objective(np.asarray(theta)[inverse]),
    )
    assert verdicts(compare_fits(ml_fit, other))["tier-2"] is Verdict.AGREES


def test_a_fit_must_report_its_own_optimum(ml_fit):
    wrong = replace(ml_fit, theta=ml_fit.theta * 1.05)
    own = rows(compare_fits(ml_fit, wrong), quantity="own-optimum", level="candidate")
    assert own["verdict"].tolist() == [Verdict.DISAGREES]


# ------------------------------------------------------------------------------------------------ tier 3


def test_a_better_optimum_is_reported_and_never_failed(ml_fit):
    stopped = at_theta(ml_fit, ml_fit.theta.to_numpy() * 1.02)
    comparison = compare_fits(stopped, ml_fit)
    assert comparison.agrees
    assert verdicts(comparison)["tier-3"] is Verdict.BETTER
    assert verdicts(comparison)["tier-4"] is Verdict.BETTER
    assert any("better" in note for note in comparison.notes)


def test_a_better_optimum_of_an_effect_in_two_terms_is_no_failure():
    right = likelihood_base("an effect in two terms").fit
    assert compare_fits(at_theta(right, right.theta.to_numpy() * 1.02), right).agrees


@pytest.mark.parametrize("pivots", [[0], [-1], slice(None)])
def test_a_better_optimum_may_leave_the_boundary_or_reach_it(ml_fit, pivots):
    """A derivative-free search may end on the boundary where the minimum is inside: what isSingular() says follows."""
    theta = ml_fit.theta.to_numpy().copy()
    theta[np.flatnonzero(ml_fit.lower.to_numpy() == 0.0)[pivots]] = 0.0
    stuck = at_theta(ml_fit, theta)
    assert stuck.isSingular()
    assert not ml_fit.isSingular()
    comparison = compare_fits(stuck, ml_fit)
    assert comparison.agrees, comparison
    row = rows(comparison, quantity="singular").iloc[0]
    assert row["verdict"] is Verdict.BETTER
    assert "follows from a better optimum" in row["reason"]
    assert not compare_fits(ml_fit, stuck).agrees

    untrue = replace(ml_fit)
    object.__setattr__(untrue, "isSingular", lambda tol=1e-4: True)  # what its own θ belies
    comparison = compare_fits(at_theta(ml_fit, ml_fit.theta.to_numpy() * 1.02), untrue)
    assert rows(comparison, quantity="singular")["verdict"].tolist() == [Verdict.DISAGREES]


def test_a_worse_optimum_fails(ml_fit):
    stopped = at_theta(ml_fit, ml_fit.theta.to_numpy() * 1.02)
    assert verdicts(compare_fits(ml_fit, stopped))["tier-3"] is Verdict.DISAGREES


def test_a_lower_number_that_its_theta_does_not_give_is_no_better_optimum(ml_fit):
    boasting = replace(ml_fit, scalars={**ml_fit.scalars, "logLik": ml_fit.logLik() + 1.0})
    row = rows(compare_fits(ml_fit, boasting), quantity="logLik").iloc[0]
    assert row["verdict"] is Verdict.DISAGREES
    assert "not that of its θ" in row["reason"]


def test_a_better_optimum_does_not_excuse_wrong_standard_errors(ml_fit):
    stopped = at_theta(ml_fit, ml_fit.theta.to_numpy() * 1.02)
    coefficients = ml_fit.coefficients.copy()
    coefficients["Std. Error"] *= 1.1
    comparison = compare_fits(stopped, replace(ml_fit, coefficients=coefficients))
    assert rows(comparison, quantity="se")["verdict"].tolist() == [Verdict.DISAGREES] * 2
    assert not comparison.agrees


# ------------------------------------------------------------------------------------------------ tiers 4 and 5


@pytest.mark.parametrize("quantity", ["fixef", "se", "t", "sd", "variance", "cor", "sigma", "theta", "vcov"])
def test_tier_4_can_fail_for_every_quantity(ml_fit, quantity):
    factor = 1 + 1e-3
    coefficients, components = ml_fit.coefficients.copy(), ml_fit.components.copy()
    changed = ml_fit
    if quantity in ("fixef", "se", "t"):
        coefficients[{"fixef": "Estimate", "se": "Std. Error", "t": "t value"}[quantity]] *= factor
        changed = replace(ml_fit, coefficients=coefficients)
    elif quantity in ("sd", "variance", "cor"):
        components["vcov" if quantity == "variance" else "sdcor"] *= factor
        changed = replace(ml_fit, components=components)
    elif quantity == "sigma":
        changed = replace(ml_fit, scalars={**ml_fit.scalars, "sigma": ml_fit.sigma() * factor})
    elif quantity == "theta":
        changed = replace(ml_fit, theta=ml_fit.theta * factor)
    else:
        changed = replace(ml_fit, covariance=ml_fit.covariance * factor)
    found = rows(compare_fits(ml_fit, changed), check="tier-4", quantity=quantity)
    assert (found["verdict"] == Verdict.DISAGREES).any()


def test_a_lost_level_is_a_failure_not_a_gap(ml_fit):
    modes = {"school": ml_fit.modes["school"].drop(index="20920")}
    variances = {"school": ml_fit.mode_variances["school"][1:]}
    comparison = compare_fits(ml_fit, replace(ml_fit, modes=modes, mode_variances=variances))
    lost = rows(comparison, level="20920", verdict=Verdict.MISSING)
    assert set(lost["quantity"]) >= {"ranef", "condsd"}
    assert not comparison.agrees


def test_a_level_too_many_is_a_failure_too(ml_fit):
    modes = {"school": ml_fit.modes["school"].drop(index="20920")}
    variances = {"school": ml_fit.mode_variances["school"][1:]}
    comparison = compare_fits(replace(ml_fit, modes=modes, mode_variances=variances), ml_fit)
    assert Verdict.MISSING in set(rows(comparison, level="20920")["verdict"])
    assert not comparison.agrees


def test_tier_5_sees_one_blup_and_one_conditional_sd(ml_fit):
    modes = {"school": ml_fit.modes["school"].copy()}
    modes["school"].iloc[3, 0] += 1e-3
    variances = {"school": ml_fit.mode_variances["school"].copy()}
    variances["school"][4, 1, 1] *= 1.001
    comparison = compare_fits(ml_fit, replace(ml_fit, modes=modes, mode_variances=variances))
    failed = rows(comparison, check="tier-5", verdict=Verdict.DISAGREES)
    level = ml_fit.modes["school"].index
    assert set(zip(failed["quantity"], failed["level"], strict=True)) >= {("ranef", level[3]), ("condsd", level[4])}


def test_tier_5_sees_one_fitted_value(ml_fit):
    fits = ml_fit.fits.copy()
    fits.iloc[11] += 0.01
    comparison = compare_fits(ml_fit, replace(ml_fit, fits=fits))
    row = rows(comparison, quantity="fitted").iloc[0]
    assert row["verdict"] is Verdict.DISAGREES
    assert row["level"] == str(fits.index[11])
    assert f"of {len(fits)}, 1 beyond" in row["reason"]


def test_a_singular_fit_is_judged_by_sigma_not_by_correlations(make_data, make_design, make_fit_at):
    pieces, factors = make_design(make_data())
    from validation.algebra import solve

    def objective(theta):
        return solve(pieces, np.asarray(theta), False).objective

    left = make_fit_at(pieces, factors, False, np.array([0.5, 0.1, 0.0]), objective)
    # the last column of T may have either sign of rounding: Σ is the same
    right = make_fit_at(pieces, factors, False, np.array([0.5, 0.1, 1e-9]), objective)
    comparison = compare_fits(left, right)
    assert comparison.agrees
    assert rows(comparison, quantity="cor")["unit"].tolist() == ["standard errors of Σ"]
    assert rows(comparison, quantity="covariance")["unit"].tolist() == ["standard errors"]
    shown = rows(comparison, quantity="theta")
    assert (shown["scaled"] <= shown["tolerance"]).all()
    # what is not Σ's own number is never said to agree where Σ does not
    wrong = make_fit_at(pieces, factors, False, np.array([0.5, 0.07, 0.0]), objective)
    apart = compare_fits(left, wrong)
    assert not apart.agrees
    assert set(rows(apart, quantity="theta")["verdict"]) == {Verdict.DISAGREES}
    assert rows(apart, quantity="cor")["reason"].str.contains("judged by Σ").all()


def test_a_boundary_of_zero_variance_still_compares_blups(make_data, make_design, make_fit_at):
    from validation.algebra import solve

    pieces, factors = make_design(make_data(), slope=False)

    def objective(theta):
        return solve(pieces, np.asarray(theta), False).objective

    zero = make_fit_at(pieces, factors, False, np.array([0.0]), objective)
    assert compare_fits(zero, zero).agrees
    modes = {"school": zero.modes["school"] + 0.01}
    assert not compare_fits(zero, replace(zero, modes=modes)).agrees


# ------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_degenerate_scale_passes_nothing(scale):
    same = judge_number(named("fixef"), 1.0, 1.0, scale, ESTIMATE)
    other = judge_number(named("fixef"), 1.0, 1.1, scale, ESTIMATE)
    assert same.verdict is Verdict.INCONCLUSIVE
    assert other.verdict is Verdict.DISAGREES


def test_missing_values():
    assert judge_number(named("fixef"), np.nan, np.nan, 1.0, ESTIMATE).verdict is Verdict.AGREES
    assert judge_number(named("fixef"), np.nan, 1.0, 1.0, ESTIMATE).verdict is Verdict.DISAGREES
    assert judge_number(named("fixef"), 1.0, np.nan, 1.0, ESTIMATE).verdict is Verdict.DISAGREES
    assert judge_number(named("fixef"), np.inf, np.inf, 1.0, ESTIMATE).verdict is Verdict.INCONCLUSIVE
    assert judge_number(named("fixef"), 1.0, -np.inf, 1.0, ESTIMATE).verdict is Verdict.DISAGREES


def test_a_check_without_rows_is_inconclusive():
    assert check_of("tier-4", [], "", "").verdict is Verdict.INCONCLUSIVE


def test_zero_standard_errors_do_not_pass(ml_fit):
    coefficients = ml_fit.coefficients.copy()
    coefficients["Std. Error"] = 0.0
    broken = replace(ml_fit, coefficients=coefficients)
    assert not compare_fits(broken, broken).agrees


def test_a_candidate_of_nothing_but_fixef(ml_fit):
    class Bare:
        def fixef(self):
            return ml_fit.fixef()

    comparison = compare_fits(ml_fit, Bare())
    assert comparison.verdict is Verdict.DISAGREES
    assert rows(comparison, quantity="fixef")["verdict"].tolist() == [Verdict.AGREES] * 2
    assert {"ranef", "sigma", "objective", "X"} <= set(rows(comparison, verdict=Verdict.MISSING)["quantity"])
    assert any("did not give" in note for note in comparison.notes)
