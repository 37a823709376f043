"""Arguments of the wrong kind: one error of ours, whatever the verb."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lm, lmer, model_matrix
from pyimpl.errors import DataError, FormulaError

NO_LEVELS = ("0.95", "", None, [0.95], 0, 1, -1, 95, float("nan"), float("inf"), b"x", {}, object())
NO_SEEDS = ("1", "", -1, 1.5, ["x"], {}, object(), float("nan"))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "g": np.arange(40) % 8})
    frame["y"] += rng.normal(size=8)[frame["g"]]
    return frame


@pytest.fixture(scope="module")
def fit(data):
    return lmer("y ~ x + (1 | g)", data)


@pytest.mark.parametrize("level", NO_LEVELS, ids=map(str, range(len(NO_LEVELS))))
def test_a_level_that_is_none(fit, data, level):
    linear = lm("y ~ x", data)
    for verb in (
        lambda: fit.confint(method="Wald", level=level),
        lambda: linear.confint(level=level),
        lambda: str(fit.emmeans("x", level=level)),
    ):
        with pytest.raises(DataError, match="level must be between 0 and 1"):
            verb()


@pytest.mark.parametrize("seed", NO_SEEDS, ids=map(str, range(len(NO_SEEDS))))
def test_a_seed_that_is_none(fit, seed):
    with pytest.raises(DataError, match="seed is a whole number"):
        fit.simulate(1, seed=seed)


@pytest.mark.parametrize("formula", [None, 1, [], ["y ~ x"], {}, {"y": 1}, b"y ~ x", np.zeros(2), pd.Series(["y ~ x"])])
def test_a_formula_that_is_none(data, formula):
    for verb in (lambda: lmer(formula, data), lambda: model_matrix(formula, data)):
        with pytest.raises(FormulaError, match="must be a string such as"):
            verb()
