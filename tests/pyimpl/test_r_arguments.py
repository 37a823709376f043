"""Calls carried over from R run: arguments without a meaning here are accepted, or explained."""

import re
import warnings
from pathlib import Path

import pytest

from mlmparity import LmerControl, lmer, load_dataset, stan_lmer
from pyimpl.errors import PyimplError
from r_scripts.arguments import R_ARGUMENTS

FORMULA = "Yield ~ 1 + (1 | Batch)"


def test_what_has_no_meaning_changes_nothing() -> None:
    data = load_dataset("Dyestuff")
    control = LmerControl(optimizer="bobyqa", optCtrl={"maxfun": 2e5}, calc_derivs=False)
    assert control == LmerControl()
    assert lmer(FORMULA, data, verbose=1, control=control).REMLcrit() == lmer(FORMULA, data).REMLcrit()
    plain = stan_lmer(FORMULA, data, seed=1, iter=60, chains=2)
    carried = stan_lmer(
        FORMULA, data, seed=1, iter=60, chains=2, algorithm="sampling", cores=4, refresh=0, adapt_delta=0.99, thin=1,
        control={"max_treedepth": 15}, init="random", verbose=False, open_progress=False, save_warmup=False,
    )  # fmt: skip
    assert carried.as_matrix().equals(plain.as_matrix())
    assert carried.update(refresh=200, iter=50).as_matrix().shape[0] == 50  # the call goes on without them


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"algorithm": "meanfield"}, "approximations"),
        ({"cores": 0}, "1 or more"),
        ({"refresh": -1}, "whole number"),
        ({"adapt_delta": 1.5}, "between 0 and 1"),
        ({"thin": 2}, "smaller iter"),
        ({"init": [0.1]}, "finds the mode"),
        ({"save_warmup": True}, "no draws of a warm-up"),
        ({"control": "tight"}, "a mapping"),
    ],
)
def test_what_asks_for_something_else_is_explained(argument: dict[str, object], said: str) -> None:
    with pytest.raises(PyimplError, match=said) as told:
        stan_lmer(FORMULA, load_dataset("Dyestuff"), **argument)  # type: ignore[arg-type]
    name, value = next(iter(argument.items()))
    assert f"{name}={value!r}" in str(told.value)


def test_the_deviance_function_is_pointed_to() -> None:
    with pytest.raises(PyimplError, match=r"fit\.devfun\(theta\)"):
        lmer(FORMULA, load_dataset("Dyestuff"), devFunOnly=True)
    with pytest.raises(PyimplError, match="there is one optimizer"):
        LmerControl(optCtrl="maxfun")  # type: ignore[arg-type]


@pytest.mark.parametrize(("fit", "hint"), [(lmer, "REML"), (stan_lmer, "prior")])
def test_a_misspelled_name_is_no_argument_of_r(fit: object, hint: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{hint}x'. Did you mean '{hint}'"):
        fit(FORMULA, load_dataset("Dyestuff"), **{f"{hint}x": 1})  # type: ignore[operator]
    with pytest.raises(TypeError, match="Did you mean 'na_action'"):
        fit(FORMULA, load_dataset("Dyestuff"), **{"na.action": "na.omit"})  # type: ignore[operator]


def test_the_documentation_has_every_one() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "r-to-python.md").read_text("utf-8")
    for function, arguments in R_ARGUMENTS.items():
        for name in arguments:
            assert re.search(rf"\| `{function}` \| `{name}` \|", page), (function, name)


def test_autoscale_leaves_out_the_warning_about_scales_and_changes_no_number() -> None:
    sleep = load_dataset("sleepstudy")
    sleep["D"], sleep["E"] = sleep["Days"] * 1e7, sleep["Days"] ** 2 * 1e-3
    formula = "Reaction ~ D + E + (1 | Subject)"
    with pytest.warns(UserWarning, match="very different scales"):
        plain = lmer(formula, sleep)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = lmer(formula, sleep, control=LmerControl(autoscale=True))
    assert scaled.fixef().tolist() == plain.fixef().tolist()
    with pytest.raises(PyimplError, match="autoscale"):
        LmerControl(autoscale="yes")  # type: ignore[arg-type]
