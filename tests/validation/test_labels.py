"""Labels, names and counts alone are no other rows, columns, terms or precision: each cause with what proves it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from validation import compare_draws, compare_fits
from validation.faults import at_theta
from validation.faults.bases import BaseFit, fit_lmer, likelihood_base
from validation.faults.thin import answer_of, compare_answers
from validation.references.recorded import RecordedLmerFit
from validation.verdict import Cause

NUMBERS = ("fixef", "se", "sigma", "VarCorr", "ranef", "logLik", "nobs", "theta", "fitted", "residuals")
FITTED = ("fitted", "residuals")


def causes(base_name: str, change: Any, keys: tuple[str, ...] = NUMBERS) -> list[Cause]:
    base = likelihood_base(base_name, 1)
    answer: dict[str, Any] = answer_of(base.fit, keys)
    answer.update(change(answer, base))
    return list(compare_answers(base, answer).causes)


def anew(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    return {name: answer[name].set_axis([f"row {i}" for i in range(len(answer[name]))]) for name in FITTED}


def shuffled(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    return {name: series.iloc[::-1] for name, series in anew(answer, base).items()}


def first_rows(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    return {name: answer[name].iloc[:10] for name in FITTED}


def one_row_less(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    fewer = fit_lmer(base.formula, base.data.iloc[1:], base.reml)
    return answer_of(fewer, tuple(answer))


def variance_among_coefficients(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    variance = answer["VarCorr"]["vcov"].iloc[0] / answer["sigma"] ** 2
    return {"fixef": pd.concat([answer["fixef"], pd.Series({"Group Var": variance})])}


def one_predictor_more(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    data = base.data.assign(more=np.random.default_rng(1).normal(size=len(base.data)))
    return answer_of(fit_lmer(base.formula.replace("~ ", "~ more + "), data, base.reml), tuple(answer))


def residual_by_another_name(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    return {"VarCorr": answer["VarCorr"].replace({"grp": {"Residual": "residual"}})}


def effects_by_another_name(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    return {"VarCorr": answer["VarCorr"].replace("(Intercept)", "Intercept")}


def groups_counted(answer: dict[str, Any], base: BaseFit) -> dict[str, Any]:
    return {"nobs": len(answer["ranef"]["school"])}


@pytest.mark.parametrize(
    ("base", "change", "name", "says"),
    [
        ("slopes", anew, "other-names", "in the same order"),
        ("slopes", shuffled, "other-names", "in another order"),
        ("slopes", first_rows, "missing-numbers", ""),
        ("slopes", one_row_less, "rows", "only the reference uses 1 rows"),
        ("slopes", groups_counted, "nobs-of-groups", "all estimates are the reference's"),
        ("slopes", variance_among_coefficients, "no-coefficient", "Group Var is its variance of school over σ²"),
        ("slopes", one_predictor_more, "extra-column", "all of which it has"),
        ("intercept", residual_by_another_name, "other-names", "grouping factor 'residual' is R's 'Residual'"),
        ("slopes", effects_by_another_name, "other-names", "random effect 'Intercept' is R's '(Intercept)'"),
    ],
)
def test_a_label_is_told_from_what_it_labels(base, change, name, says):
    found = causes(base, change)
    assert [found[0].name, says in found[0].evidence] == [name, True], found


def test_the_residual_variance_may_stand_among_those_of_groups():
    def with_residual(answer, base):
        table = answer["VarCorr"].set_index("grp")["vcov"]
        return {"VarCorr": {**table.drop("Residual"), "Residual": table["Residual"]}}

    assert not causes("intercept", with_residual)


def test_numbers_of_few_bits_are_not_in_single_precision():
    base = likelihood_base("slopes", 1)
    found = compare_fits(base.fit, at_theta(base.fit, np.array([0.25, 0.0, 0.25])), data=base.data, REML=base.reml)
    assert found.causes[0].name == "stopped-early"
    assert "single-precision" not in [cause.name for cause in found.causes]


class Changed(RecordedLmerFit):
    """A recorded fit of which something is asked in another way."""

    def __getattribute__(self, name: str) -> Any:
        over = object.__getattribute__(self, "__dict__").get("over", {})
        return over[name] if name in over else object.__getattribute__(self, name)


def changed(fit: RecordedLmerFit, **over: Any) -> RecordedLmerFit:
    made = object.__new__(Changed)
    made.__dict__.update(fit.__dict__, over=over)
    return made


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (lambda value, theta: float(np.float32(value)), True),
        (lambda value, theta: value + 1e-4 * float(np.sum(np.square(theta))), False),
        (lambda value, theta: value + 1e-5 * np.sin(1e7 * float(np.sum(theta))), False),
    ],
)
def test_an_objective_is_in_single_precision_where_its_errors_are_rounding(error, named):
    base = likelihood_base("slopes", 1)
    wrong = changed(base.fit, devfun=lambda theta: error(base.fit.devfun(theta), theta))
    found = compare_fits(base.fit, wrong, data=base.data, REML=base.reml)
    assert found.verdict.failed
    assert ("single-precision" in [cause.name for cause in found.causes]) is named


def test_the_sign_of_a_correlation_is_no_cause_where_standard_deviations_differ():
    def inverse(answer, base):
        table = answer["VarCorr"].dropna(subset="var1")
        a, b, c = table["vcov"]
        matrix = np.linalg.inv([[a, c], [c, b]])
        names = table["var1"].iloc[:2].tolist()
        return {"VarCorr": {table["grp"].iloc[0]: pd.DataFrame(matrix, names, names)}}

    assert "sign-flipped" not in [cause.name for cause in causes("slopes", inverse)]


def test_a_parameter_that_the_reference_has_not_is_named():
    rng = np.random.default_rng(1)
    left, right = ({name: rng.normal(size=(4, 500)) for name in ("(Intercept)", "x", "sigma")} for _ in range(2))
    found = compare_draws(left, {**right, "lp__": rng.normal(size=(4, 500))})
    assert [(cause.name, "lp__" in cause.evidence) for cause in found.causes] == [("extra-parameters", True)]


def test_draws_in_whole_numbers_are_not_in_single_precision():
    rng = np.random.default_rng(1)
    left, right = ({name: 50.0 + rng.normal(size=(4, 500)) for name in ("(Intercept)", "x", "sigma")} for _ in range(2))
    found = compare_draws(left, {name: np.round(draws) for name, draws in right.items()})
    assert "single-precision" not in [cause.name for cause in found.causes]


def test_structures_are_told_where_terms_have_no_names():
    base = likelihood_base("slopes", 1)
    structures = base.fit.getReCovs().replace({"structure": {"us": "diag"}})
    wrong = changed(base.fit, getReCovs=lambda: structures, getME=None, sigma=lambda: 1.1)
    found = compare_fits(base.fit, wrong, data=base.data, REML=base.reml)
    assert "covariance-structure" in [cause.name for cause in found.causes]
