"""Reductions of parts of the rows merge to the reduction of all."""

import numpy as np
import pandas as pd
import pytest

import mlmparity
from pyimpl import lmer
from pyimpl.design.design import Design
from pyimpl.errors import ModelError
from pyimpl.likelihood.merging import compress, merge
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import optimize


def _design(formula: str, data: pd.DataFrame, **arguments: object) -> Design:
    return lmer(formula, data, REML=False, **arguments).model.design  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    data = mlmparity.load_dataset("sleepstudy")
    rng = np.random.default_rng(4)
    return data.assign(w=rng.uniform(0.5, 2.0, len(data)), o=rng.normal(0, 20, len(data)))


@pytest.fixture(scope="module")
def crossed() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 1200
    a, b, c = rng.integers(0, 12, n), rng.integers(0, 7, n), rng.integers(0, 3, n)
    x = rng.normal(3.0, 2.0, n)
    y = rng.normal(size=12)[a] + rng.normal(size=7)[b] + 0.3 * rng.normal(size=12)[a] * x + c + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "c": pd.Categorical(c), "a": pd.Categorical(a), "b": pd.Categorical(b)})


MODELS = {
    "slopes": ("sleep", "Reaction ~ Days + (Days | Subject)", {}),
    "weights and offset": ("sleep", "Reaction ~ Days + (Days | Subject)", {"weights": "w", "offset": "o"}),
    "two terms of a factor": ("sleep", "Reaction ~ Days + (Days || Subject)", {}),
    "crossed": ("crossed", "y ~ x + c + (x | a) + (1 | b)", {}),
    "nested": ("crossed", "y ~ x + (1 | a/b)", {}),
}


@pytest.mark.parametrize("REML", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_merged_parts_are_the_whole(name: str, REML: bool, request: pytest.FixtureRequest) -> None:
    source, formula, arguments = MODELS[name]
    data = request.getfixturevalue(source)
    arguments = {key: data[column] for key, column in arguments.items()}
    whole = _design(formula, data, **arguments)
    rng = np.random.default_rng(6)
    part = rng.integers(0, 3, len(data))
    pieces = [
        compress(_design(formula, data[part == k], **{key: one[part == k] for key, one in arguments.items()}))
        for k in range(3)
    ]
    one_by_one = merge([merge(pieces[:2]), pieces[2]])
    assert len(data) == one_by_one.N
    fit = lmer(formula, data, REML=REML, **arguments)  # type: ignore[arg-type]
    for merged in (compress(whole), merge(pieces), one_by_one):
        objective = Objective(merged.reduce(), REML)
        for theta in (fit.getME("theta"), 0.5 * fit.getME("theta") + 0.1):
            expected = fit.devfun(theta)
            assert objective(np.asarray(theta)) == pytest.approx(expected, rel=1e-12)
        found = objective.solve(optimize(objective).final)
        np.testing.assert_allclose(found.beta, fit.fixef().to_numpy(), rtol=1e-7)
        np.testing.assert_allclose(found.theta, fit.getME("theta"), atol=1e-6)


def test_few_rows_stand_for_many(crossed: pd.DataFrame) -> None:
    many = pd.concat([crossed.assign(y=crossed["y"] + shift) for shift in range(20)], ignore_index=True)
    small = compress(_design("y ~ x + (x | a)", many))
    assert len(many) == small.N
    assert small.design.N == 12 * (2 + 2 + 1)


def test_parts_of_other_models_are_refused(sleep: pd.DataFrame) -> None:
    first = compress(_design("Reaction ~ Days + (Days | Subject)", sleep))
    for formula, what in (
        ("Reaction ~ Days + (1 | Subject)", "part 2 has other terms"),
        ("Reaction ~ w + (Days | Subject)", "part 2 has other columns of X than the first"),
    ):
        with pytest.raises(ModelError, match=what):
            merge([first, compress(_design(formula, sleep))])
    with pytest.raises(ModelError, match="at least one part"):
        merge([])
