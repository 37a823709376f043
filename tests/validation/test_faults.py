"""Planted faults: each is caught, and named before all else."""

import pytest

from validation import compare_fits
from validation.faults import LIKELIHOOD_FAULTS, loose_standard_errors


@pytest.mark.parametrize("criterion", ["ml_fit", "reml_fit"])
@pytest.mark.parametrize("fault", LIKELIHOOD_FAULTS, ids=lambda fault: fault.name)
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
    pieces, factors = make_design(make_data(seed=8), slope=False)
    fit = make_fit(pieces, factors, reml=True)
    assert compare_fits(fit, fit).agrees
    apply = [fault for fault in LIKELIHOOD_FAULTS if fault.number not in (7,) and fault.name != "effects swapped"]
    wrong = {fault.name: [cause.name for cause in compare_fits(fit, fault.plant(fit)).causes][:1] for fault in apply}
    assert wrong == {fault.name: [fault.expected] for fault in apply}
