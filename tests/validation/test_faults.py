"""Planted faults: each is caught, and named before all else."""

import pytest

from validation import compare_fits
from validation.faults import LIKELIHOOD_FAULTS, loose_standard_errors

# Every fault once, and those that the criterion could change under both.
PLANTED = [
    (fault, criterion)
    for fault in LIKELIHOOD_FAULTS
    for criterion in ("ml_fit", "reml_fit")
    if criterion == "ml_fit" or fault.number in (1, 5, 6, 10)
]


@pytest.mark.parametrize(
    ("fault", "criterion"), PLANTED, ids=[f"{fault.name}-{criterion}" for fault, criterion in PLANTED]
)
def test_caught_and_named(fault, criterion, request, data):
    fit = request.getfixturevalue(criterion)
    comparison = compare_fits(fit, fault.plant(fit), data=data)
    assert not comparison.agrees
    cause = comparison.causes[0]
    assert cause.name == fault.expected
    assert cause.fault == fault.number
    assert any(character.isdigit() for character in cause.evidence)
    assert len(cause.remedy) > 30


def test_every_row_of_the_table_that_two_likelihood_fits_can_show():
    assert {fault.number for fault in LIKELIHOOD_FAULTS} == {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12}


def test_loose_standard_errors_fail_and_nothing_else_does(ml_fit):
    comparison = compare_fits(ml_fit, loose_standard_errors(ml_fit))
    failed = comparison.table[[verdict.failed for verdict in comparison.table["verdict"]]]
    assert set(failed["quantity"]) == {"se", "t"}


def test_on_a_model_with_one_random_intercept_too(make_data, make_design, make_fit):
    simple = {
        "other criterion, silently", "variances as SDs", "dropped rows", "stopped early", "variance on the boundary",
        "two levels swapped", "sigma not counted", "unshrunken BLUPs", "single precision",
    }  # fmt: skip
    pieces, factors = make_design(make_data(seed=8), slope=False)
    fit = make_fit(pieces, factors, reml=True)
    assert compare_fits(fit, fit).agrees
    apply = [fault for fault in LIKELIHOOD_FAULTS if fault.name in simple]
    wrong = {fault.name: [cause.name for cause in compare_fits(fit, fault.plant(fit)).causes][:1] for fault in apply}
    assert wrong == {fault.name: [fault.expected] for fault in apply}


@pytest.mark.r
def test_on_live_fits_with_several_terms():
    from bridge import datasets, lme4
    from validation.references.recorded import RecordedLmerFit

    data = datasets.load("Penicillin", package="lme4")
    live = lme4.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data, REML=True, control="tight")
    fit = RecordedLmerFit.of(live, live=True)
    names = {
        "other criterion, silently", "relative", "stopped early", "two levels swapped", "N log(2 pi) lost",
        "unshrunken BLUPs", "coef for ranef", "marginal fitted values", "single precision",
    }  # fmt: skip
    for fault in LIKELIHOOD_FAULTS:
        if fault.name in names:
            comparison = compare_fits(fit, fault.plant(fit), data=data)
            assert not comparison.agrees
            assert comparison.causes[0].name == fault.expected, fault.name
