"""Predictions on new data from data-dependent transforms, one inside another: R's number or an error, no third one."""

import warnings
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import DataError, PyimplError
from tests.pyimpl.nestings import ask_r, formulas, frames


def ours(text: str, data: pd.DataFrame, news: list[pd.DataFrame]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = lmer(text, data)
        except PyimplError as error:
            return {"fit": str(error)}
        out: list[dict[str, Any]] = []
        for new in news:
            try:
                out.append({"values": fit.predict(new, allow_new_levels=True).to_numpy()})
            except PyimplError as error:
                out.append({"error": str(error)})
        return {"news": out, "spread": float(np.ptp(data["y"])), "beta": fit.fixef().to_numpy()}


def _verb(refuses: bool, other: str) -> str:
    return "refuses" if refuses else other


def verdicts(texts: list[str], data: pd.DataFrame, news: list[pd.DataFrame]) -> tuple[Counter[str], list[str]]:
    """How often both give a number, both refuse, and one refuses; and every third number."""
    count: Counter[str] = Counter()
    wrong = []
    for text, theirs in zip(texts, ask_r(texts, data, news), strict=True):
        mine = ours(text, data, news)
        if "fit" in theirs or "fit" in mine:
            count[f"fit: R {_verb('fit' in theirs, 'fits')}, ours {_verb('fit' in mine, 'fits')}"] += 1
            continue
        if len(mine["beta"]) != len(theirs["beta"]) or np.abs(mine["beta"] - theirs["beta"]).max(initial=0.0) > 1e-4 * (
            1 + np.abs(mine["beta"]).max(initial=0.0)
        ):
            count["another fit"] += 1  # a likelihood with two optima, or one at which R stopped early
            continue
        for k, (a, b) in enumerate(zip(mine["news"], theirs["news"], strict=True)):
            if "error" in a or "error" in b:
                count[f"predict: R {_verb('error' in b, 'answers')}, ours {_verb('error' in a, 'answers')}"] += 1
                if "error" not in a:
                    wrong.append(f"{text} on new data {k}: R refuses ({b['error'][:80]}), ours {a['values'][:4]}")
                continue
            values = b["values"]
            numbers = np.array([np.nan if value == "NA" else float(value) for value in values])
            count["both answer"] += 1
            size = mine["spread"] + np.nanmax(np.abs(numbers), initial=0.0)
            if not np.allclose(a["values"], numbers, rtol=0, atol=1e-4 * size, equal_nan=True):
                wrong.append(f"{text} on new data {k}: R {numbers[:4]}, ours {a['values'][:4]}")
    return count, wrong


def check(seed: int, models: int) -> None:
    data, news = frames(seed)
    count, wrong = verdicts(formulas(seed, models), data, news)
    assert not wrong, "\n".join(wrong)
    assert count["both answer"] > models, count
    assert count["predict: R refuses, ours refuses"] > models // 20, count
    assert count["predict: R answers, ours refuses"] <= models // 20, count
    assert count["another fit"] <= models // 20, count
    assert count["fit: R fits, ours refuses"] <= models // 10, count


@pytest.mark.r
def test_a_nesting_predicts_as_r_does_or_refuses() -> None:
    check(seed=1, models=120)


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_many_nestings_predict_as_r_does_or_refuse(seed: int) -> None:
    check(seed, models=400)


def test_poly_of_scale_is_refused_on_new_data() -> None:
    data, news = frames(1)
    fit = lmer("y ~ poly(scale(x), 2) + (1 | g)", data)
    with pytest.raises(DataError, match="wrong number of columns in new data"):
        fit.predict(news[0])
    with pytest.raises(DataError, match="wrong number of columns in new data"):
        fit.simulate(1, 1, newdata=news[0])
    assert len(fit.predict()) == len(data)


def test_new_data_with_other_columns_are_refused() -> None:
    data, _ = frames(1)
    fit = lmer("y ~ dummy(f) + (1 | g)", data)
    with pytest.raises(DataError, match=r"dummy\(f\) had 2 column\(s\) when the model was fitted"):
        fit.predict(data[data.f != "c"])
