"""The benchmarks run: what they measure is there (how long it takes is no test's business)."""

import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import growth, models, once, programs, refit, startup, turns


def small():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(8), 6)
    return pd.DataFrame({"y": rng.standard_normal(48) + rng.standard_normal(8)[g], "g": pd.Categorical(g.astype(str))})


def test_one_program_in_one_process():
    (program,) = programs.installed(["pyimpl"])
    found = once.measure(program, "y ~ 1 + (1 | g)", small(), seconds=30)
    assert found["calls"] >= 2
    assert found["first"] > 0
    assert found["warm"] > 0
    assert math.isfinite(found["deviance"])


@pytest.mark.r
def test_refits_of_both_sides_are_compared():
    table = refit.measure([models.Model("small", "y ~ 1 + (1 | g)", small)], calls=2, rounds=1)
    assert abs(table.loc["small", "difference"]) < 1e-5
    assert table.loc["small", "ratio"] == table.loc["small", "lme4"] / table.loc["small", "pyimpl"]


def test_calls_in_turns():
    (ours,) = programs.installed(["pyimpl"])
    slow = replace(ours, name="slow", load=lambda: lambda formula, data: (time.sleep(0.3), ours.load()(formula, data)))
    table = turns.measure([models.Model("small", "y ~ 1 + (1 | g)", small)], [ours, slow], calls=5, first=1)
    assert list(table.columns) == ["pyimpl", "slow", "slow/pyimpl"]
    assert table.loc["small", "slow/pyimpl"] > 2  # a fit takes a thousandth of the nap, on a busy machine a tenth


def test_a_fit_in_a_fresh_interpreter():
    good, bad = (models.Model(name, f"{name} ~ 1 + (1 | g)", small) for name in ("y", "absent"))
    table = startup.cold([good, bad], programs.installed(["pyimpl"]), repeat=1)
    assert table.loc["y", "pyimpl"] > 0
    assert math.isnan(table.loc["absent", "pyimpl"])


@pytest.mark.r
def test_lme4_is_timed_inside_r():
    (program,) = programs.installed(["lme4"])
    found = once.measure(program, "y ~ 1 + (1 | g)", small(), seconds=30)
    (ours,) = programs.installed(["pyimpl"])
    assert found["deviance"] == pytest.approx(once.measure(ours, "y ~ 1 + (1 | g)", small(), 0.1)["deviance"], abs=1e-6)


def test_a_program_or_model_that_is_not_known():
    with pytest.raises(ValueError, match="no program called lme5"):
        programs.installed(["lme5"])
    with pytest.raises(ValueError, match="no model called M9"):
        models.select(["M9"])


def test_simulated_crossed_data():
    near, far = growth.simulated(2000, 200, "neighbours"), growth.simulated(2000, 200, "random")
    gap = (near["h"].cat.codes.astype(int) - near["g"].cat.codes.astype(int)) % 200
    assert gap.max() < 10
    assert ((far["h"].cat.codes.astype(int) - far["g"].cat.codes.astype(int)) % 200).max() > 100
    assert "h" not in growth.simulated(300, 30)


def test_plot_of_growth(tmp_path):
    table = pd.DataFrame(
        {
            "series": ["a", "a", "b"],
            "rows": [10, 100, 10],
            "levels": [1, 1, 1],
            "seconds": [0.1, 1.0, np.nan],
            "peak_mb": [1.0, 2.0, np.nan],
        }
    )
    growth.plot(table, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
