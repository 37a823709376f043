"""A thin candidate's cause is the planted fault, or none; and a detector that goes wrong is never silent."""

import math
from typing import Any

import pytest

from validation.compare import compare_fits
from validation.conformance.answer import OFFERS, Answer
from validation.conformance.run import without_missing
from validation.errors import DetectorWarning
from validation.faults import FAULTS
from validation.faults.bases import likelihood_base
from validation.faults.thin import THIN, answer_of
from validation.judge.diagnosis import diagnose

#: What is also right to say: that names or numbers are not there, where nothing more can be known.
ALSO = {"unknown", "missing-numbers", "other-names", "rows"}
LIKELIHOOD = {fault.name: fault for fault in FAULTS["likelihood"]}


def causes_of(fault: str, base_name: str, thin: str) -> tuple[str, list[Any]]:
    base, planted = likelihood_base(base_name, 1), LIKELIHOOD[fault]
    wrong = planted.plant(base, planted.sized.planted if planted.sized else 0.0)
    keys = THIN[thin]
    missing = frozenset(OFFERS) - frozenset(keys)
    answer = Answer(answer_of(wrong, keys), base.formula, base.data, base.reml, missing)
    answer.align(base.fit)
    made = compare_fits(base.fit, answer, data=base.data, REML=base.reml)
    comparison, _ = without_missing(made, missing)
    return planted.expected, list(comparison.causes) if comparison.verdict.failed else []


@pytest.mark.parametrize(
    ("fault", "thin", "named"),
    [
        ("other criterion", "plain mapping", True),
        ("other criterion", "without fits", True),
        ("optimizer stopped early", "plain mapping", True),
        ("a variance put to 0", "without fits", True),
        ("correlation lost (||)", "plain mapping", True),
        ("a lost column", "fixef, se", True),
        ("predictor centred", "plain mapping", False),
        ("one value recoded", "without fits", False),
        ("a pupil in another school", "plain mapping", False),
        ("rows dropped", "BLUPs", False),
        ("loose standard errors", "fixef, se", False),
    ],
)
def test_the_right_cause_or_none(fault, thin, named):
    expected, causes = causes_of(fault, "slopes", thin)
    assert causes
    assert (causes[0].name == expected) if named else (causes[0].name in ALSO), causes[0]


def test_a_cause_says_to_how_many_digits_it_was_reproduced():
    _, causes = causes_of("other criterion", "slopes", "plain mapping")
    assert "digits or more" in causes[0].evidence
    assert causes[0].figures["digits"] >= 4


@pytest.mark.slow
@pytest.mark.parametrize("base", ["intercept", "slopes", "categorical", "crossed"])
@pytest.mark.parametrize("thin", list(THIN))
def test_no_thin_candidate_gets_a_wrong_cause(base, thin):
    wrong = []
    for name, fault in LIKELIHOOD.items():
        if fault.applies(likelihood_base(base, 1).traits):
            expected, causes = causes_of(name, base, thin)
            if causes and causes[0].name not in ALSO | {expected}:
                wrong.append((name, expected, causes[0].name))
    assert not wrong


def test_a_detector_that_goes_wrong_says_so():
    def detector(evidence: object) -> None:
        raise ZeroDivisionError("by nought")

    with pytest.warns(DetectorWarning, match="detector detector went wrong: ZeroDivisionError: by nought"):
        assert diagnose(math.nan, [detector]) == ()
