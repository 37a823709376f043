"""Cases: the built-in ones, choosing by name, cases of one's own."""

import pandas as pd
import pytest

from validation import Case
from validation.cases import BUILT_IN, UnknownCaseError, prepare_gcsemv, select


def test_the_tutorials_models_each_three_ways():
    assert [case.name for case in BUILT_IN] == [
        "M1-ml", "M1-reml", "M1-bayes", "M2-ml", "M2-reml", "M2-bayes", "M3-ml", "M3-reml", "M3-bayes",
    ]  # fmt: skip
    assert [case.REML for case in BUILT_IN[:2]] == [False, True]
    assert {case.kind for case in BUILT_IN} == {"likelihood", "bayes"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, 9),
        ([], 9),
        (["M1"], 3),
        (["m1-ML"], 1),
        (["bayes"], 3),
        (["M1", "M1-ml"], 3),
        ("M2", 3),
    ],
)
def test_choosing(names, expected):
    assert len(select(names)) == expected


def test_an_unknown_name_is_an_error_with_close_matches():
    with pytest.raises(UnknownCaseError, match=r"there is no case 'M4'; did you mean 'M\d"):
        select(["M4"])
    with pytest.raises(UnknownCaseError, match="There are: M1-ml"):
        select(["nothing like it"])


def test_a_case_of_ones_own(data):
    case = Case.of("mine", "course ~ female + (1 | school)", data, REML=False)
    assert case.load() is not data
    pd.testing.assert_frame_equal(case.load(), data)
    assert case.kind == "likelihood"
    assert case.REML is False
    assert Case.of("mine", "course ~ 1 + (1 | school)", data, bayes=True).kind == "bayes"


def test_the_tutorials_preparation():
    raw = pd.DataFrame(
        {
            "school": pd.Categorical(["a", "b"]),
            "student": pd.Categorical(["1", "2"]),
            "gender": pd.Categorical(["F", "M"], categories=["F", "M"]),
            "written": [1.0, 2.0],
            "course": [3.0, None],
        }
    )
    prepared = prepare_gcsemv(raw)
    assert list(prepared.columns) == ["school", "student", "female", "course"]
    assert list(prepared["female"].cat.categories) == ["M", "F"]
    assert list(prepared["female"]) == ["F", "M"]
    assert prepared.attrs["name"] == "GCSE"
    assert list(raw["gender"].cat.categories) == ["F", "M"]


@pytest.mark.r
def test_live_and_recorded_data_are_the_same():
    from validation.cases import gcsemv
    from validation.references.provenance import data_hash

    live = gcsemv("live")
    assert data_hash(live) == data_hash(gcsemv("recorded"))
    assert live.shape == (1905, 4)
    assert live["course"].notna().sum() == 1725
