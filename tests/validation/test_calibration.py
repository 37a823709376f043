"""Simulation-based calibration: a right sampler passes, a faulty one is caught; backends; resumption."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pyimpl.design.design import Design, build_design
from pyimpl.models.stan_lmer import StanLmerFit, normal
from tests.pyimpl.posterior_cases import sampled
from validation.calibration import MODELS, PRIORS, Calibration, Model, _one, sbc
from validation.cli import app
from validation.errors import InputError
from validation.verdict import Verdict

MODEL = Model("tiny", "tiny", "y ~ 1 + (1 | g)", 24, {"g": 6}, 0)
FEW = {"draws": 20, "seed": 3}


def too_sure_of_sigma(design: Design, seed: int, **options: Any) -> StanLmerFit:
    """A planted fault: sigma a tenth too large."""
    fit = sampled(design, seed=seed, **options)
    fit.draws = replace(fit.draws, sigma=1.15 * fit.draws.sigma)
    return fit


def shrunken_too_little(design: Design, seed: int, **options: Any) -> StanLmerFit:
    """A planted fault in the random effects alone."""
    fit = sampled(design, seed=seed, **options)
    fit.draws = replace(fit.draws, b=1.6 * fit.draws.b)
    return fit


@pytest.fixture(scope="module")
def right() -> Calibration:
    return sbc(MODEL.formula, MODEL.data(), simulations=60, **FEW)


def test_a_right_sampler_is_not_caught(right: Calibration) -> None:
    assert right.smallest_p > 0.05
    assert right.verdict is Verdict.INCONCLUSIVE  # fewer data sets than the gate asks for
    assert list(right.ranks.columns) == [
        "(Intercept)", "sigma", "Sigma[g:(Intercept),(Intercept)]", "b[(Intercept) g:0]", "log likelihood",
    ]  # fmt: skip
    assert right.ranks.to_numpy().max() <= 20


@pytest.mark.parametrize(("fault", "quantity"), [(too_sure_of_sigma, "sigma"), (shrunken_too_little, "log likelihood")])
def test_a_planted_fault_is_caught(fault: Any, quantity: str) -> None:
    result = sbc(MODEL.formula, MODEL.data(), simulations=60, fit=fault, **FEW)
    assert result.verdict is Verdict.DISAGREES
    assert result.table().loc[quantity, "p"] < 0.001


def test_verdicts() -> None:
    rng = np.random.default_rng(1)
    ranks = pd.DataFrame({"a": rng.integers(0, 101, 300), "b": rng.integers(0, 101, 300)})
    good = Calibration("x", ranks, 100, 0)
    assert good.verdict is Verdict.AGREES
    assert replace(good, warned=30).verdict is Verdict.INCONCLUSIVE
    assert replace(good, ranks=ranks[:100]).verdict is Verdict.INCONCLUSIVE
    assert replace(good, ranks=ranks // 2).verdict is Verdict.DISAGREES
    assert good.plot().get_axes()[1].get_title() == "b"


def test_an_interrupted_campaign_goes_on(right: Calibration, tmp_path: Path) -> None:
    def stop(text: str, share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sbc(MODEL.formula, MODEL.data(), simulations=60, folder=tmp_path, progress=stop, **FEW)
    shares: list[float] = []
    resumed = sbc(
        MODEL.formula, MODEL.data(), simulations=60, folder=tmp_path, progress=lambda t, s: shares.append(s), **FEW
    )
    assert min(shares) > 0.4
    pd.testing.assert_frame_equal(resumed.ranks, right.ranks)
    with pytest.raises(InputError, match="another campaign"):
        sbc(MODEL.formula, MODEL.data(), simulations=60, folder=tmp_path, draws=20, seed=4)


def test_priors_that_look_at_the_data_are_refused() -> None:
    for priors in ({}, {"prior": normal(0, 1, autoscale=True)}, {"prior": None}):
        with pytest.raises(InputError, match="not autoscaled"):
            sbc(MODEL.formula, MODEL.data(), priors=priors)


def test_the_command(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sbc", "intercepts", "-n", "5", "--draws", "20", "-o", str(tmp_path)])
    assert done.exit_code == 3  # inconclusive: 5 data sets
    assert "inconclusive; 5 data sets" in done.output
    assert (tmp_path / "sbc-intercepts.png").exists()
    assert CliRunner().invoke(app, ["sbc", "nothing", "-o", str(tmp_path)]).exit_code == 2


def test_the_command_needs_no_matplotlib_for_its_verdict(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(app, ["sbc", "intercepts", "-n", "5", "--draws", "20", "-o", str(tmp_path)])
    assert done.exit_code in (0, 3), done.output  # five data sets decide little
    assert "Without pictures of the ranks" in done.output
    assert "Calibration: " in done.output
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.slow
def test_threads_and_a_dask_cluster_give_the_same_ranks(right: Calibration) -> None:
    import joblib

    distributed = pytest.importorskip("distributed")
    with joblib.parallel_config(backend="threading", n_jobs=2):
        threads = sbc(MODEL.formula, MODEL.data(), simulations=60, **FEW)
    pd.testing.assert_frame_equal(threads.ranks, right.ranks)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        cluster_ranks = sbc(MODEL.formula, MODEL.data(), simulations=60, **FEW)
    pd.testing.assert_frame_equal(cluster_ranks.ranks, right.ranks)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_sampler_is_calibrated(model: Model) -> None:
    result = sbc(model.formula, model.data(), name=model.name, simulations=200, seed=20)
    assert result.smallest_p > 0.001


@pytest.mark.slow
def test_few_draws_of_a_hard_posterior_are_warned_of_and_not_refused():
    """A data set of the campaign whose posterior mixes slowly: with few draws it was called hopeless."""
    (model,) = (model for model in MODELS if model.name == "three")

    def fit(design, seed, **options):
        return sampled(design, seed=seed, **options)

    ranks, warned = _one(build_design(model.formula, model.data()), PRIORS, 1, 32, 100, fit)
    assert warned
    assert all(0 <= rank <= 100 for rank in ranks.values())
