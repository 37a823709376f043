"""The full density against rstan::log_prob: recorded for every kind of model, live for some."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pyimpl.errors import ModelError
from pyimpl.posterior.full import FullDensity, cornish_fisher_t
from pyimpl.posterior.pymc_model import build_pymc_model, pymc_point
from tests.pyimpl.posterior_cases import DATA, case_names, design_of, is_prior_PD, recorded, specification_of


def _disagreement(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference, constants included, relative to the spread of the values."""
    return float(np.max(np.abs(mine - theirs) / np.maximum(1.0, np.abs(theirs - theirs[0]))))


@pytest.mark.parametrize("name", case_names())
def test_log_prob_is_rstans_constants_included(name: str) -> None:
    record = recorded()["cases"][name]
    density = FullDensity(specification_of(name))
    points, theirs = np.array(record["points"], dtype=float), np.array(record["log_prob"], dtype=float)
    assert points.shape == (60, density.num_upars)
    assert np.isfinite(theirs).all()
    mine = density.log_prob(points)
    assert _disagreement(mine, theirs) < 1e-8
    # one point or many: the same
    assert density.log_prob(points[3]) == pytest.approx(mine[3], rel=1e-15)


@pytest.mark.parametrize("name", case_names())
def test_names_are_rstanarms(name: str) -> None:
    names = recorded()["cases"][name]["names"]
    ppd = [] if is_prior_PD(name) else ["mean_PPD"]
    assert FullDensity(specification_of(name)).labels == [*names[: -1 - len(ppd)]]
    assert names[-1 - len(ppd) :] == [*ppd, "log-posterior"]


def test_the_comparison_sees_small_faults() -> None:
    """Each fault that a port really has moves the differences by far more than 1e-8."""
    from dataclasses import replace

    record = recorded()["cases"]["M3"]
    points, theirs = np.array(record["points"], dtype=float), np.array(record["log_prob"], dtype=float)
    spec = specification_of("M3")
    s_y = spec.aux.scale[0]
    faults = {
        "ddof 0": replace(spec, aux=replace(spec.aux, scale=spec.aux.scale * np.sqrt(1724 / 1725))),
        "intercept prior not centred": replace(spec, intercept=replace(spec.intercept, mean=np.zeros(1))),
        "2019 intercept scale": replace(spec, intercept=replace(spec.intercept, scale=np.array([10 * s_y]))),
        "shape 2": replace(spec, shape=np.array([2.0])),
        "regularization 2": replace(spec, regularization=np.array([2.0])),
    }
    for name, fault in faults.items():
        mine = FullDensity(fault).log_prob(points)
        assert _disagreement(mine - mine[0], theirs - theirs[0]) > 1e-6, name


def test_weights_enter_with_rstanarms_own_normaliser() -> None:
    """rstanarm's pw_gauss has log(2π sigma), not log(2π sigma²): the textbook density does not agree with R."""
    record = recorded()["cases"]["weights"]
    spec = specification_of("weights")
    density = FullDensity(spec)
    points, theirs = np.array(record["points"], dtype=float), np.array(record["log_prob"], dtype=float)
    mine = density.log_prob(points)
    assert _disagreement(mine, theirs) < 1e-8
    textbook = mine - 0.5 * spec.weights.sum() * np.log(density.sigma(points))
    assert _disagreement(textbook - textbook[0], theirs - theirs[0]) > 0.01


@pytest.mark.parametrize(
    "name", ["M3", "four_three", "decov", "no_intercept", "student", "flat", "given", "product", "qr"]
)
def test_unconstrain_inverts_constrain(name: str) -> None:
    spec = specification_of(name)
    density = FullDensity(spec)
    points = np.random.default_rng(1).normal(scale=0.5, size=(5, density.num_upars))
    sigma = density.sigma(points)
    T = density.T(points, sigma)
    at = density.slices
    back = density.unconstrain(
        points[:, at["gamma"]], points[:, at["z_beta"]], density.b(points, T), sigma, T
    )  # the sum of ζ and the length of z_T are lost, and with them nothing that the parameters depend on
    assert np.allclose(density.constrain(back), density.constrain(points), rtol=1e-10, atol=1e-12)


def test_zero_density_is_minus_infinity_not_an_error() -> None:
    density = FullDensity(specification_of("M1"))
    point = np.zeros(density.num_upars)
    point[-1] = 800.0
    assert density.log_prob(point) == -np.inf


def test_wrong_length_is_refused() -> None:
    density = FullDensity(specification_of("M1"))
    with pytest.raises(ModelError, match=r"\(77,\)"):
        density.log_prob(np.zeros(76))


def test_cornish_fisher_is_close_to_t_for_large_df() -> None:
    from scipy import stats

    z = np.linspace(-2, 2, 9)
    assert np.allclose(cornish_fisher_t(z, 30.0), stats.t.ppf(stats.norm.cdf(z), 30), atol=1e-6)


@pytest.mark.parametrize(
    "name", ["M3", "four_three", "no_intercept", "weights", "student", "flat", "hs", "lasso", "product", "qr_given"]
)
def test_pymc_model_has_the_same_density(name: str) -> None:
    from pytensor.compile.mode import Mode

    spec = specification_of(name)
    density = FullDensity(spec)
    model = build_pymc_model(spec)
    log_p = model.compile_logp(mode=Mode(linker="py", optimizer="fast_compile"))
    points = np.array(recorded()["cases"][name]["points"], dtype=float)[[0, 1, 2, 40, 41]]
    theirs = np.array([float(log_p(pymc_point(spec, point))) for point in points])
    assert _disagreement(density.log_prob(points), theirs) < 1e-8


def test_pymc_model_leaves_out_the_unused_scales_of_hs_plus() -> None:
    """Their logarithm (the Jacobian, as they have no prior) is all that Stan's density has more."""
    from pytensor.compile.mode import Mode

    spec = specification_of("hs_plus")
    density = FullDensity(spec)
    log_p = build_pymc_model(spec).compile_logp(mode=Mode(linker="py", optimizer="fast_compile"))
    at = density.slices["global"].start + 2
    for point in np.array(recorded()["cases"]["hs_plus"]["points"], dtype=float)[[0, 1, 40]]:
        got = float(log_p(pymc_point(spec, point)))
        assert got + point[at : at + 2].sum() == pytest.approx(density.log_prob(point), rel=1e-9)


def test_pymc_model_has_named_coordinates() -> None:
    model = build_pymc_model(specification_of("M3"))
    assert list(model.coords["coefficient"]) == ["femaleF"]
    assert model.coords["school"][0] == "20920"
    assert model.coords["school"][-1] == "_NEW_school"
    assert list(model.coords["school_effect"]) == ["(Intercept)", "femaleF"]
    assert {v.name for v in model.free_RVs} == {
        "gamma", "z_beta", "aux", "tau_school", "zeta_school", "rho_school", "z_school",
    }  # fmt: skip


@pytest.mark.r
def test_live_rstanarm_still_gives_the_recorded_values(tmp_path: Path) -> None:
    """Replay of the record: five kinds of model, in R, now."""
    names = ["two_one", "weights", "cauchy", "hs_plus", "qr_given"]
    out = tmp_path / "live.json"
    subprocess.run(
        ["Rscript", str(DATA / "make_log_prob.R"), str(out), *names], check=True, capture_output=True, timeout=280
    )
    live = json.loads(out.read_text())
    for name in names:
        then, now = recorded()["cases"][name], live["cases"][name]
        assert then["points"] == now["points"]
        assert np.array_equal(design_of(then).X, design_of(now).X)
        mine = FullDensity(specification_of(name)).log_prob(np.array(now["points"], dtype=float))
        assert _disagreement(mine, np.array(now["log_prob"], dtype=float)) < 1e-8
