"""What each release of rstanarm and loo prints, names and computes: recorded from three stacks, read without R.

`rstanarm_dialects/record.R` made the recordings; every R that is there is asked again by the last test.
"""

import json
import subprocess
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, PyimplWarning
from pyimpl.models.stan_estimates import SamplingRecord
from pyimpl.models.stan_lmer import StanLmerFit, loo_compare, stan_lmer
from pyimpl.posterior import loo as loo_module
from pyimpl.posterior.draws import PosteriorDraws
from pyimpl.posterior.leave_out import expectation
from r_scripts.dialect import STACKS, Dialect
from tests.pyimpl.rstanarm_dialects import inputs

FOLDER = Path(__file__).with_name("rstanarm_dialects")

stacks = pytest.mark.parametrize("stack", STACKS)


@cache
def recorded(stack: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{stack}.json").read_text(encoding="utf-8"))
    return content


def numbers(values: Any) -> np.ndarray:
    """R's numbers; NA comes as text."""
    words = {"NA": np.nan, "NaN": np.nan, None: np.nan, "Inf": np.inf}
    return np.array([[words.get(cell, cell) for cell in row] for row in values], dtype=float)


def quiet(function: Any, *arguments: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        return function(*arguments, **options)


@cache
def fit_with_r_draws(stack: str) -> StanLmerFit:
    """The same model with that R's draws in place of ours."""
    r = recorded(stack)["fit"]
    fit = quiet(stan_lmer, inputs.FORMULA, inputs.data(), seed=1, iter=40, chains=1, dialect=stack)
    assert fit.draws.labels == r["names"]
    draws = pd.DataFrame(r["draws"], columns=r["names"])
    spec, none = fit.spec, np.empty((len(draws), 0))
    coef = draws[["(Intercept)", "x"]].to_numpy()
    taken = PosteriorDraws(
        spec=spec, chains=2, draws=len(draws) // 2, rss=None,
        gamma=coef[:, :1] + (coef[:, 1:] @ spec.xbar)[:, None], beta=coef[:, 1:], z_beta=coef[:, 1:],
        b=draws.filter(regex=r"^b\[").to_numpy(), sigma=draws["sigma"].to_numpy(), T=[cholesky_factors(draws)],
        mean_PPD=draws["mean_PPD"].to_numpy(), zeta_total=none, z_T_norm=none, z_T_unused=none,
    )  # fmt: skip
    return StanLmerFit(spec, taken, SamplingRecord(seed=7), dialect=Dialect.of(STACKS[stack]))


def cholesky_factors(draws: pd.DataFrame) -> np.ndarray:
    a, b, c = (draws[name].to_numpy() for name in draws.columns if name.startswith("Sigma["))
    return np.linalg.cholesky(np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -1))


def test_the_recordings_are_of_the_stacks_they_are_named_after() -> None:
    for stack, versions in STACKS.items():
        found = recorded(stack)["versions"]
        for package in ("R", "lme4", "rstanarm", "loo"):
            assert found[package] == versions[package].replace("-", ".")


# ---------------------------------------------------------------------- loo's own numbers and texts
@stacks
@pytest.mark.parametrize("columns", inputs.COLUMNS)
@pytest.mark.parametrize("r_eff", ["one", "estimated"])
def test_loo_of_given_log_likelihoods(stack: str, columns: str, r_eff: str) -> None:
    r = recorded(stack)["logs"][columns][r_eff]
    log_lik = pd.DataFrame(inputs.log_lik()[:, inputs.COLUMNS[columns]])
    dialect = Dialect.of(stack)
    mine = quiet(loo_module.loo, log_lik, 2, dialect, r_eff == "estimated")
    assert str(mine) == r["text"]
    np.testing.assert_allclose(mine.estimates, numbers(r["estimates"]), rtol=1e-9)
    theirs = numbers(r["pointwise"])  # elpd_loo, mcse, p_loo, looic, influence_pareto_k
    np.testing.assert_allclose(mine.pointwise, theirs[:, [0, 2, 3]], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mine.mcse_elpd, theirs[:, 1], rtol=1e-6)
    np.testing.assert_allclose(mine.pareto_k, theirs[:, 4], atol=1e-8)
    np.testing.assert_allclose(mine.n_eff, r["n_eff"], rtol=1e-8)
    np.testing.assert_allclose(mine.mcse, numbers([[r["mcse"]]])[0, 0], rtol=1e-6)
    np.testing.assert_allclose(mine.pareto_k_table(), numbers(r["table"]), rtol=1e-8)
    assert str(quiet(loo_module.waic, log_lik, dialect)) == r["waic"]
    if r_eff == "estimated":
        values = log_lik.to_numpy()
        for name in ("mean", "var"):
            found = expectation(values, values, 2, name, (), dialect)
            np.testing.assert_allclose(found, numbers([r[name]])[0], rtol=1e-8)
        found = expectation(values, values, 2, "quantile", (0.1, 0.7), dialect)
        np.testing.assert_allclose(found.T, numbers(r["quantile"]), rtol=1e-8)


@stacks
def test_effective_sample_sizes_of_chains_of_any_length(stack: str) -> None:
    """loo 2.5.1's are of inflated autocovariances; all end the sum five lags early, and give 2 for a negative start."""
    r = json.loads((FOLDER / "ess.json").read_text(encoding="utf-8"))[stack]
    mine = [
        loo_module.relative_eff(values.reshape(-1, 1), len(values), Dialect.of(stack))[0] * values.size
        for values in inputs.chains()
    ]
    np.testing.assert_allclose(mine, r, rtol=1e-9)


@stacks
def test_comparison_of_given_log_likelihoods(stack: str) -> None:
    r = recorded(stack)["logs"]["compare"]
    values = inputs.log_lik()
    loos = {
        name: quiet(loo_module.loo, pd.DataFrame(values[:, columns]), 2, Dialect.of(stack), False)
        for name, columns in inputs.COMPARE.items()
    }
    table = quiet(loo_compare, loos)
    assert list(table.columns) == [*r["columns"], "weight"]
    assert str(table) == r["text"]


# ---------------------------------------------------------------------- rstanarm's
@stacks
def test_texts_of_a_fit(stack: str) -> None:
    r, fit = recorded(stack)["fit"], fit_with_r_draws(stack)
    assert str(fit) == r["print"]
    assert str(fit.print(digits=3)) == r["print_3"]
    assert str(fit.prior_summary()) == r["prior_summary"]
    assert str(quiet(fit.loo)) == r["loo"]
    assert str(quiet(fit.waic)) == r["waic"]
    first = r["kfold"].splitlines()[1]
    assert str(quiet(fit_for_kfold(stack).kfold, K=2)).splitlines()[1] == first


@cache
def fit_for_kfold(stack: str) -> StanLmerFit:
    fit: StanLmerFit = quiet(stan_lmer, "y ~ x + (1 | g)", inputs.data(), seed=1, iter=60, chains=2, dialect=stack)
    return fit


@stacks
def test_numbers_of_a_fit(stack: str) -> None:
    r, fit = recorded(stack)["fit"], fit_with_r_draws(stack)
    interval = fit.posterior_interval()
    assert list(interval.columns) == r["interval_names"]
    np.testing.assert_allclose(interval, r["interval"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.bayes_R2(), r["bayes_R2"], rtol=1e-9)
    mine = quiet(fit.loo)
    np.testing.assert_allclose(mine.estimates, r["loo_estimates"], rtol=1e-8)
    np.testing.assert_allclose(mine.pareto_k, np.array(r["loo_pointwise"])[:, 4], atol=1e-7)
    for name in ("mean", "var"):
        np.testing.assert_allclose(fit.loo_linpred(name), r["linpred"][name], rtol=1e-7)
    np.testing.assert_allclose(fit.VarCorr()["vcov"], r["varcorr"], rtol=1e-9)
    np.testing.assert_allclose(fit.vcov(), r["vcov"], rtol=1e-9)
    np.testing.assert_allclose(fit.se(), r["se"], rtol=1e-9)
    np.testing.assert_allclose(fit.fitted(), r["fitted"], rtol=1e-9)


def test_variances_of_left_out_predictions_are_variances() -> None:
    """Hardly any weight is uneven here: a variance of left-out predictions is about that of the draws."""
    fit = fit_with_r_draws("debian-sid")
    ratio = fit.loo_linpred("var") / fit.posterior_linpred().var()
    assert ratio.between(0.3, 4).all()
    old = fit_with_r_draws("debian-12")
    assert (old.loo_linpred("var") / old.posterior_linpred().var()).median() < 0.3  # the bug of loo before 2.7.0


def test_the_argument_r_eff_is_that_of_rstanarm() -> None:
    fit = fit_with_r_draws("debian-sid")
    assert (quiet(fit.loo).r_eff == 1).all()
    assert not (quiet(fit.loo, r_eff=True).r_eff == 1).all()
    old = fit_with_r_draws("debian-12")
    assert not (quiet(old.loo).r_eff == 1).all()


def test_a_dialect_that_says_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="expected a stack"):
        stan_lmer(inputs.FORMULA, inputs.data(), dialect="Debian")


def test_fits_made_from_a_fit_keep_its_dialect() -> None:
    assert str(fit_for_kfold("debian-12").update(iter=20).dialect) == str(Dialect.of("debian-12"))


# ---------------------------------------------------------------------- names
@stacks
@pytest.mark.parametrize("case", inputs.NAMES)
def test_names_of_everything_drawn(stack: str, case: str) -> None:
    r, given = recorded(stack)["names"][case], inputs.NAMES[case]
    frame: Any = given["data"]
    frame = frame.assign(**{f: pd.Categorical(frame[f]) for f in given["factors"]})  # type: ignore[attr-defined]
    arguments = {"seed": 1, "iter": 40, "chains": 1, "dialect": stack}
    if "error" in r:
        with pytest.raises(DataError, match=r"Rename (it|one of them)$"):
            stan_lmer(given["formula"], frame, **arguments)  # type: ignore[arg-type]
        return
    fit = quiet(stan_lmer, given["formula"], frame, **arguments)
    assert fit.draws.labels == r["labels"]
    assert list(fit.as_matrix().columns) == r["matrix"]
    assert list(fit.summary().table.index) == r["summary"]
    assert list(fit.ngrps().index) == np.atleast_1d(r["groups"]).tolist()
    ranef = fit.ranef()
    assert list(ranef) == list(r["ranef"])
    for group, effects in r["ranef"].items():
        assert list(ranef[group].index) == effects["rows"]
        assert list(ranef[group].columns) == np.atleast_1d(effects["columns"]).tolist()
        assert not ranef[group].isna().to_numpy().any()
    assert len(fit.VarCorr()) == len(r["varcorr"])


def test_a_name_for_two_effects_is_refused() -> None:
    frame = inputs.data()
    frame["h"], frame["g"] = np.resize(["1", "2"], 24), np.resize(["h:1:a", "a", "b"], 24)
    frame["g:h"] = np.resize(["1:a", "2", "3", "4"], 24)
    with pytest.raises(DataError, match=r"b\[\(Intercept\) g:h:1:a\] would name an effect of g and one of g:h"):
        stan_lmer("y ~ x + (1 | g) + (1 | `g:h`)", frame, seed=1, iter=20, chains=1)


# ---------------------------------------------------------------------- with R
@pytest.mark.r
@pytest.mark.slow
def test_live_r_says_what_was_recorded(tmp_path: Path) -> None:
    inputs.write(tmp_path / "given.json")
    done = subprocess.run(
        ["Rscript", "--vanilla", str(FOLDER / "record.R"), str(tmp_path / "given.json"), str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    same = [stack for stack in STACKS if recorded(stack)["versions"] == found["versions"]]
    if not same:
        pytest.skip(f"no recording is of {found['versions']}")
    r = recorded(same[0])
    assert found["names"] == r["names"]
    assert {name: logs[kind]["text"] for name, logs in found["logs"].items() if name != "compare" for kind in logs} == {
        name: logs[kind]["text"] for name, logs in r["logs"].items() if name != "compare" for kind in logs
    }
    assert found["logs"]["compare"] == r["logs"]["compare"]
