"""The same numbers under other names: told as such, and not where the numbers differ as well."""

import pandas as pd
import pytest

from pyimpl import lmer
from validation.cases import all_cases
from validation.conformance.candidate import candidate_of
from validation.conformance.run import Result, judge_case

GAPS = frozenset({"design", "objective", "condsd", "fitted", "vcov"})


def judged(name: str, rename, change=lambda answer: None) -> Result:
    """Judge a right fit whose labels are renamed and whose numbers may be changed."""

    def fit(formula, data, REML=True, **options):
        right = lmer(formula, data, REML=REML, **options)
        components = right.VarCorr()
        answer = {
            "fixef": right.fixef(), "se": right.coef_table()["Std. Error"], "sigma": right.sigma(),
            "VarCorr": components, "ranef": right.ranef(), "logLik": right.logLik(), "nobs": right.nobs(),
        }  # fmt: skip
        rename(answer)
        change(answer)
        return answer

    case = next(case for case in all_cases() if case.name == name)
    return judge_case(candidate_of(fit, missing=GAPS), case, "certified+recorded")


def effects(answer) -> None:
    answer["VarCorr"] = answer["VarCorr"].replace({"var1": {"(Intercept)": "Intercept"}})
    answer["VarCorr"] = answer["VarCorr"].replace({"var2": {"(Intercept)": "Intercept"}})
    answer["ranef"] = {g: f.rename(columns={"(Intercept)": "Intercept"}) for g, f in answer["ranef"].items()}


def coefficients(answer) -> None:
    for part in ("fixef", "se"):
        answer[part] = answer[part].rename(index={"(Intercept)": "Intercept", "femaleF": "female[T.F]"})


def groups(answer) -> None:
    answer["VarCorr"] = answer["VarCorr"].replace({"grp": {"cask:batch": "batch/cask"}})
    answer["ranef"] = {{"cask:batch": "batch/cask"}.get(g, g): f for g, f in answer["ranef"].items()}


def levels(answer) -> None:
    answer["ranef"] = {g: f.set_axis([f"{g}[{label}]" for label in f.index]) for g, f in answer["ranef"].items()}


@pytest.mark.parametrize(
    ("name", "rename", "evidence"),
    [
        ("M1-ml", effects, "random effect 'Intercept' is R's '(Intercept)'"),
        ("sleepstudy-reml", effects, "random effect 'Intercept' is R's '(Intercept)'"),
        ("M2-ml", coefficients, "'Intercept' is R's '(Intercept)', 'female[T.F]' is R's 'femaleF'"),
        ("Pastes-ml", groups, "grouping factor 'batch/cask' is R's 'cask:batch'"),
        ("Dyestuff-reml", levels, "level 'Batch[A]' is R's 'A', 'Batch[B]' is R's 'B'"),
    ],
)
def test_other_names_are_told(name, rename, evidence):
    result = judged(name, rename)
    assert result.status.failed, result
    cause = result.comparison.causes[0]
    assert cause.name == "other-names", [c.name for c in result.comparison.causes]
    assert evidence in cause.evidence


def halved(answer) -> None:
    components: pd.DataFrame = answer["VarCorr"].copy()
    components["vcov"], components["sdcor"] = components["vcov"] / 4, components["sdcor"] / 2
    answer["VarCorr"] = components
    answer["ranef"] = {group: frame / 2 for group, frame in answer["ranef"].items()}


def test_other_numbers_under_other_names_are_not_said_to_be_the_same():
    result = judged("M1-ml", effects, halved)
    assert "other-names" not in [cause.name for cause in result.comparison.causes]


def test_a_right_fit_has_no_such_cause():
    result = judged("M1-ml", lambda answer: None)
    assert not result.comparison.causes, result
