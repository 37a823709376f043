"""The self-test: it passes on the judge, and fails where the judge is blind, misnames, or cries wolf."""

import json

import pytest

from validation import selftest
from validation.faults import FAULTS, FaultSize
from validation.faults.bases import BASES, HARD_BASES, base_fit, likelihood_base
from validation.faults.fault import _right, changes
from validation.selftest import CleanRun, Outcome, SelfTest, _smallest, clean_run, plant


def outcome(**changed):
    fields = {
        "row": 1,
        "kind": "likelihood",
        "fault": "f",
        "base": "b",
        "expected": "x",
        "caught": True,
        "causes": ("x",),
    }
    return Outcome(**({"causes": ("x",)} | fields | changed))


def clean(alarms, runs, kind="posterior"):
    verdicts = ["disagrees"] * alarms + ["agrees"] * (runs - alarms)
    return tuple(CleanRun(kind, "b", "seed", i, verdict) for i, verdict in enumerate(verdicts))


def test_passes_only_if_all_is_caught_and_named():
    assert SelfTest((outcome(),), (), 1).ok
    assert "not caught" in SelfTest((outcome(caught=False, causes=()),), (), 1).problems[0]
    assert "misnamed" in SelfTest((outcome(causes=("y", "x")),), (), 1).problems[0]
    assert "KeyError" in SelfTest((outcome(error="KeyError: 1"),), (), 1).problems[0]
    assert not SelfTest((), (), 1).ok


def test_of_a_thin_answer_silence_is_right_and_a_wrong_cause_is_not():
    thin = {"thin": "fixef", "careful": True}
    assert SelfTest((outcome(), outcome(caught=False, causes=(), **thin)), (), 1).ok
    assert SelfTest((outcome(), outcome(causes=("unknown",), **thin)), (), 1).ok
    wrong = SelfTest((outcome(), outcome(causes=("y", "x"), **thin)), (), 1)
    assert wrong.problems == ("f in b (answering fixef): a wrong cause, y",)
    assert "1 planted through thin candidates: 1 seen, 0 named rightly, 1 wrongly" in wrong.summary()


def test_of_a_whole_answer_to_a_hard_model_silence_is_right_and_a_wrong_cause_is_not():
    assert SelfTest((outcome(), outcome(causes=("unknown",), careful=True)), (), 1).ok
    assert SelfTest((outcome(), outcome(causes=("y",), careful=True)), (), 1).problems == (
        "f in b (likelihood): a wrong cause, y",
    )
    # a variance of 0 and none are one model where no variance is answered, and no other name says what is known
    known = {"expected": "boundary", "causes": ("random-effects-left-out-or-zero",), "careful": True}
    told = SelfTest((outcome(), outcome(thin="fixef", **known)), (), 1)
    assert told.ok
    assert "1 planted through thin candidates: 1 seen, 1 named rightly" in told.summary()
    for wrong in (known, {**known, "causes": ("boundary",), "thin": "fixef"}):
        assert not SelfTest((outcome(), outcome(**wrong)), (), 1).ok


def test_false_alarms_beyond_the_stated_rate_fail():
    assert SelfTest((outcome(),), clean(3, 60), 1).ok  # 1.2 expected
    assert not SelfTest((outcome(),), clean(7, 60), 1).ok
    assert not SelfTest((outcome(),), clean(1, 100, "likelihood"), 1).ok
    found = SelfTest((outcome(),), clean(3, 60), 1).false_alarms["posterior"]
    low, high = found.interval
    assert low < found.rate == 0.05 < high


def test_json_and_table_have_everything():
    result = SelfTest((outcome(size=1.0, smallest=0.1, unit="rows"), outcome(fault="g", caught=False)), clean(0, 4), 1)
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert not data["ok"]
    assert data["planted"][0]["smallest"] == 0.1
    assert data["false_alarms"]["posterior"]["comparisons"] == 4
    assert result.table().row_count == 2
    assert "FAILED" in result.summary()


def test_the_smallest_size_is_found_by_bisection():
    size = FaultSize(1.0, 1e-9, "")
    assert 1e-4 < _smallest(lambda size: size > 1e-4, size) < 3e-4
    assert _smallest(lambda size: True, size) == 1e-9
    assert _smallest(lambda size: False, size) == 1.0  # which is caught: that was seen before


def test_a_fault_is_planted_and_its_smallest_size_looked_for():
    fault = next(fault for fault in FAULTS["likelihood"] if fault.name == "loose standard errors")
    found = plant(fault, likelihood_base("intercept"), search=True)
    assert found.named
    assert 1e-8 < found.smallest < 2.7e-4


@pytest.mark.parametrize("seed", [1, 7])
def test_a_log_likelihood_stored_in_single_precision_is_no_other_one(seed):
    """Of some thousands it has seven digits: so has BIC, whose penalty is then not quite log N."""
    fault = next(fault for fault in FAULTS["likelihood"] if fault.name == "single precision")
    found = plant(fault, likelihood_base("hertz", seed))
    assert not {"another-log-likelihood", "bic-sample-size"} & set(found.causes), found
    assert not found.trouble


def test_a_fault_that_cannot_be_planted_is_a_problem():
    fault = next(fault for fault in FAULTS["likelihood"] if fault.name == "correlation lost (||)")
    assert "does not change" in plant(fault, likelihood_base("intercept")).error


def test_a_fault_that_changes_nothing_in_a_base_is_not_planted_there():
    fault = next(fault for fault in FAULTS["likelihood"] if fault.name == "a variance put to 0")
    found = plant(fault, likelihood_base("slopes", 9))  # where it was estimated as 0
    assert not found.changed
    told = SelfTest((outcome(fault=fault.name, kind="likelihood"), found), (), 1)
    assert told.ok
    assert "planted 1 times" in told.summary()
    assert "changes nothing there: a variance put to 0 in slopes." in told.summary()
    assert plant(fault, likelihood_base("slopes", 1)).changed
    assert SelfTest((outcome(), found), (), 1).problems == (
        "a variance put to 0 (likelihood fits): changes nothing in any base model",
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("likelihood", "an effect in two terms"),
        ("likelihood", "weighted"),
        ("results", "trends"),
        ("posterior", "slopes"),
    ],
)
def test_a_right_fit_is_told_from_every_fault_by_its_own_numbers(kind, name):
    base = base_fit(kind, name, 2, 100)
    assert not changes(base, _right(base))
    for fault in FAULTS[kind][:: 5 if kind == "posterior" else 1]:
        if fault.applies(BASES[kind][name].tags):
            assert changes(base, fault.plant(base)), fault.name


@pytest.mark.parametrize("change", selftest.CHANGES["likelihood"])
def test_clean_runs_raise_no_alarm(change):
    assert clean_run("likelihood", "crossed", change, 77).verdict == "agrees"


def test_a_blind_judge_is_found_out(monkeypatch):
    import validation

    right = validation.compare_fits

    def blind(reference, candidate, **options):
        return right(reference, reference, **options)

    monkeypatch.setattr(validation, "compare_fits", blind)
    fault = FAULTS["likelihood"][0]
    assert plant(fault, likelihood_base("slopes")).trouble == "not caught"


def test_every_fault_has_a_model_that_is_not_hard():
    for kind, faults in FAULTS.items():
        for fault in faults:
            assert any(fault.applies(base.tags) for name, base in BASES[kind].items() if name not in HARD_BASES), fault


@pytest.mark.parametrize("clean", [1, 2, 10, 37])
def test_so_many_clean_comparisons_are_made_as_are_asked_for(clean):
    made = [task for task in selftest._tasks(1, True, clean) if task.func is clean_run]
    assert len(made) == clean
    assert {task.args[0] for task in made} == (
        set(BASES) if clean >= 10 else {"likelihood", "posterior"} if clean > 1 else {"likelihood"}
    )


@pytest.mark.parametrize("options", [{"clean": -1}, {"jobs": 0}])
def test_bad_input_is_refused(options):
    with pytest.raises(ValueError, match=r"cannot be -1|n_jobs == 0"):
        selftest.run(**options)


@pytest.mark.slow
def test_the_quick_suite_by_the_command(tmp_path):
    from validation.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["selftest", "--quick", "--json", str(tmp_path / "selftest.json"), "--quiet"])
    assert ended.value.code == 0
    assert json.loads((tmp_path / "selftest.json").read_text("utf-8"))["ok"]
