"""What once looked like a difference and is none, and what is one and must be named."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from validation.compare import compare, compare_fits
from validation.verdict import Verdict


@pytest.fixture(scope="module")
def ridge():
    """Slopes with a common mean that no fixed effect has: two minima (one of 60 such sets of data, seed 2)."""
    rng = np.random.default_rng(2)
    J = int(rng.choice([10, 30, 100]))
    n = J * int(rng.choice([3, 5, 10]))
    g, t = np.arange(n) % J, rng.integers(0, 5, n).astype(float)
    s = 10.0 ** rng.uniform(-2.5, 0.5)
    y = 10 * rng.normal() + rng.choice([-1, 1]) * t
    y = y + s * (rng.normal(size=J)[g] + 0.5 * rng.normal(size=J)[g] * t) + s * rng.normal(size=n)
    return pd.DataFrame({"y": y, "t": t, "g": pd.Categorical(g.astype(str))})


def test_the_worse_of_two_minima_is_named(ridge):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = lmer("y ~ 1 + (t | g)", ridge, REML=False)
        worse = best.allFit(["trust-region Newton"], start=[0.1, 0.0, 0.1])["trust-region Newton"]
    assert worse.deviance() > best.deviance() + 1.0  # else this tests nothing
    result = compare_fits(best, worse, data=ridge, REML=False)
    assert result.verdict is Verdict.DISAGREES
    cause = result.causes[0]
    assert cause.name == "another-optimum"
    assert "another, worse minimum; the reference's θ gives" in cause.title
    assert "at every θ near by it is higher" in cause.evidence


@pytest.mark.r
def test_a_model_without_fixed_effects_agrees():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(9), 3)
    data = pd.DataFrame({"y": rng.normal(size=9)[g] + rng.normal(size=27), "x": rng.normal(size=27)})
    data["g"] = [f"g{i}" for i in g]
    for reml in (True, False):
        result = compare("y ~ 0 + (1 | g) + (0 + x | g)", data, REML=reml, against="live")
        assert result.verdict is Verdict.AGREES, result
        assert not any("did not give" in note or "nan" in note for note in result.notes), result.notes
