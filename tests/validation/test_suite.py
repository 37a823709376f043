"""The standard suite: complete, distinct, and its made-up data the same on every machine."""

import numpy as np
import pytest

from validation.cases import FEATURES, SUITE


def test_every_model_is_there_by_both_criteria_under_a_name_of_its_own():
    names = [case.name for case in SUITE]
    assert len(set(names)) == len(names)
    assert {name.removesuffix("-ml") for name in names if name.endswith("-ml")} == {
        name.removesuffix("-reml") for name in names if name.endswith("-reml")
    }


def test_needs_are_features_and_name_the_criterion():
    for case in SUITE:
        assert case.needs <= FEATURES.keys(), case.name
        assert ("reml" in case.needs) is case.REML
        assert ("ml" in case.needs) is not case.REML


def test_made_up_data_are_exact_in_double_precision():
    data = {case.name: case.load("recorded") for case in SUITE if not case.dataset}
    for name in ("nasty-ml", "ar1-reml"):
        assert (data[name]["y"] * 1024 == np.round(data[name]["y"] * 1024)).all()
    assert data["nasty-ml"]["y"].min() > 9e7
    for name, groups, size in (("anova-6x5-ml", 6, 5), ("anova-30x4-ml", 30, 4), ("anova-singular-reml", 8, 6)):
        assert data[name].groupby("group", observed=True).size().tolist() == [size] * groups
        assert (data[name]["y"] == np.round(data[name]["y"] * 1000) / 1000).all()


@pytest.mark.r
@pytest.mark.parametrize("name", ["written-ml", "Oxboys-reml", "Chem97-nested-ml"])
def test_data_come_live_from_r(name):
    (case,) = [case for case in SUITE if case.name == name]
    data = case.load("live")
    for column in case.formula.replace("(", " ").replace(")", " ").split():
        if column.isidentifier():
            assert column in data.columns or column == "I"


def test_what_only_certified_values_can_judge_and_what_is_too_large_is_said_by_the_case():
    from validation.cases import available
    from validation.certify.command import chosen
    from validation.references import certified
    from validation.references.choose import choose_source

    only = {case.name for case in SUITE if case.certified_only}
    assert only
    assert only <= set(certified.available())
    assert not only & available(choose_source("recorded"))
    large = {case.name for case in SUITE if case.too_large}
    assert large
    assert not large & {case.name for case in chosen([])}
    assert {case.name for case in chosen(sorted(large))} == large
