"""Certified values on disk: what they hold, as a fit and as strings; what is refused."""

import json
import shutil
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from validation.compare import compare_fits
from validation.references import certified
from validation.references.store import DIRECTORY, DamagedReferenceError
from validation.suite import SUITE

CASES = {case.name: case for case in SUITE}


def test_the_suite_is_there_by_both_criteria():
    names = certified.available()
    for stem in ("M1", "sleepstudy", "Dyestuff", "Dyestuff2"):
        assert {f"{stem}-ml", f"{stem}-reml"} <= set(names)
    assert set(names) <= CASES.keys()


@pytest.mark.parametrize("name", ["sleepstudy-reml", "Dyestuff2-ml", "sleepstudy-independent-ml", "Pastes-reml"])
def test_a_certified_fit_is_judged_as_any_other(name):
    case = CASES[name]
    data = case.load("recorded")
    result = compare_fits(certified.load(name), lmer(case.formula, data, REML=case.REML), data=data)
    assert result.agrees, result.table[[verdict.failed for verdict in result.table["verdict"]]]


def test_values_have_their_digits():
    for name in certified.available():
        table = certified.load_values(name)
        assert list(table.columns) == ["quantity", "group", "term", "term2", "level", "value", "radius"]
        for value, radius in zip(table["value"], table["radius"], strict=True):
            assert Decimal(radius) <= abs(Decimal(value)) * Decimal("1e-15")


def test_a_shifted_value_of_a_certified_fit_is_caught():
    case = CASES["sleepstudy-ml"]
    data = case.load("recorded")
    fit = lmer(case.formula, data, REML=False)
    reference = certified.load(case.name)
    reference.coefficients.loc["Days", "Estimate"] += 1e-3
    assert not compare_fits(reference, fit, data=data).agrees


def test_unknown_names_are_answered_with_those_that_there_are():
    with pytest.raises(LookupError, match="sleepstudy-reml"):
        certified.load("sleepstudy")


def test_other_data_are_refused():
    data = CASES["Dyestuff-ml"].load("recorded")
    data.loc[0, "Yield"] += 1
    with pytest.raises(DamagedReferenceError, match="not those"):
        certified.load("Dyestuff-ml", data=data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("1527.5", "1527.6"),
        lambda text: json.dumps([1, 2]),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    (tmp_path / certified.FOLDER).mkdir()
    path = tmp_path / certified.FOLDER / "Dyestuff-ml.json"
    shutil.copy(DIRECTORY / certified.FOLDER / path.name, path)
    assert certified.load("Dyestuff-ml", tmp_path).nobs() == 30
    text = path.read_text("utf-8")
    assert damage(text) != text
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(DamagedReferenceError, match="mlmparity certify"):
        certified.load("Dyestuff-ml", tmp_path)


def test_a_certificate_written_and_read_is_the_same(tmp_path):
    first = certified.load_certificate("Penicillin-reml")
    certified.save(first, tmp_path)
    assert certified.load_certificate("Penicillin-reml", tmp_path) == first
    assert first.value("sigma") == first.table().set_index("quantity").loc["sigma", "value"]
    with pytest.raises(LookupError, match="no certified"):
        first.value("sigma", term="x")


def test_terms_of_one_factor_have_no_covariance_between_them():
    array = certified.load("sleepstudy-independent-reml").ranef_condVar()["Subject"]
    assert np.isnan(array.values[:, 0, 1]).all()
    assert (array.values[:, [0, 1], [0, 1]] > 0).all()
    assert isinstance(certified.load("Pastes-ml").ranef()["cask:batch"], pd.DataFrame)
