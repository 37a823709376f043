"""The fit: R's names, R's numbers and R's printed text, from R's own draws; and stan_lmer's own behaviour."""

import gzip
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, ModelError
from pyimpl.models.stan_estimates import SamplingRecord
from pyimpl.models.stan_lmer import StanLmerFit, stan_lmer
from pyimpl.posterior.draws import PosteriorDraws
from pyimpl.posterior.priors import (
    Priors,
    cauchy,
    decov,
    exponential,
    normal,
    student_t,
)
from pyimpl.posterior.specification import specify
from r_scripts.dialect import Dialect
from tests.pyimpl.posterior_cases import DATA, design_of, recorded, sampled
from validation.contract import BayesianFit

#: Which R printed.json.gz was made with.
RECORDED = Dialect.of("debian-12")

PRINTED_PRIORS: dict[str, dict[str, Any]] = {
    "slopes": {},
    "crossed": {
        "prior_intercept": normal(20, 3),
        "prior_aux": cauchy(0, 3),
        "prior_covariance": decov(shape=2, scale=[0.5, 1.25]),
    },
    "three": {
        "prior": student_t(df=[3, 4, 5, 6], location=[0, 0.5, 1, -1], scale=2, autoscale=True),
        "prior_intercept": None,
        "prior_aux": exponential(0.1),
    },
    "no_intercept": {"prior": cauchy(10, 5), "prior_aux": student_t(4, 0, 20)},
    "flat": {"prior": None, "prior_aux": None},
}


@cache
def printed() -> dict[str, Any]:
    with gzip.open(DATA / "printed.json.gz", "rt") as file:
        return json.load(file)


@cache
def fit_of_R_draws(name: str) -> StanLmerFit:
    """A fit that holds the very draws from which R printed."""
    record = printed()[name]
    spec = specify(design_of(record), Priors(**PRINTED_PRIORS[name]))
    matrix = pd.DataFrame(np.array(record["draws"], dtype=float), columns=record["names"])
    coef = matrix[list(spec.design.coef_names)].to_numpy()
    beta = coef[:, int(spec.has_intercept) :]
    n = len(matrix)
    factors, at = [], 0
    Sigma = matrix.filter(regex=r"^Sigma\[").to_numpy()
    for term in spec.terms:
        column, row = np.triu_indices(term.p)
        S = np.zeros((n, term.p, term.p))
        S[:, row, column] = S[:, column, row] = Sigma[:, at : at + column.size]
        at += column.size
        factors.append(np.linalg.cholesky(S))
    draws = PosteriorDraws(
        spec=spec,
        chains=record["chains"],
        draws=n // record["chains"],
        gamma=coef[:, :1] + (beta @ spec.xbar)[:, None] if spec.has_intercept else coef[:, :0],
        beta=beta,
        z_beta=beta,
        b=matrix.filter(regex=r"^b\[").to_numpy(),
        sigma=matrix["sigma"].to_numpy(),
        T=factors,
        mean_PPD=matrix["mean_PPD"].to_numpy(),
        zeta_total=np.empty((n, 0)),
        z_T_norm=np.empty((n, 0)),
        z_T_unused=np.empty((n, 0)),
        rss=None,
    )
    draws.__dict__["log_posterior"] = matrix["log-posterior"].to_numpy()
    return StanLmerFit(spec, draws, SamplingRecord(seed=1), dialect=RECORDED)


ALL = list(PRINTED_PRIORS)


@pytest.mark.parametrize("name", ALL)
def test_print_is_rs_text(name: str) -> None:
    fit, record = fit_of_R_draws(name), printed()[name]
    assert str(fit) == record["print"]
    assert str(fit.print(digits=3, detail=False)) == record["print3"]


SOME = {
    "slopes": ([0.025, 0.975], 2),
    "crossed": ([0.05, 0.5, 0.95], 3),
    "three": ([0.1, 0.9], 1),
    "no_intercept": ([0.5], 2),
    "flat": ([0.25, 0.75], 4),
}


@pytest.mark.parametrize("name", ALL)
def test_summary_is_rs_text(name: str) -> None:
    fit, record = fit_of_R_draws(name), printed()[name]
    assert str(fit.summary()) == record["summary"]
    probs, digits = SOME[name]
    some = fit.summary(pars=["alpha", "beta", "sigma"], regex_pars="^Sigma", probs=probs, digits=digits)
    assert str(some) == record["summary_some"]


@pytest.mark.parametrize("name", ALL)
def test_prior_summary_is_rs_text(name: str) -> None:
    fit, record = fit_of_R_draws(name), printed()[name]
    # R prints the name of the variable, here the argument of the script's function
    assert str(fit.prior_summary(model_name="m")) == record["prior_summary"]
    assert str(fit.prior_summary(digits=4, model_name="m")) == record["prior_summary4"]


@pytest.mark.parametrize("name", ALL)
def test_numbers_are_rs(name: str) -> None:
    fit, record = fit_of_R_draws(name), printed()[name]
    assert list(fit.stanfit_matrix().columns) == record["names"]
    assert list(fit.as_matrix().columns) == record["as_matrix"]
    interval = fit.posterior_interval(prob=0.8)
    assert list(interval.index) == record["interval"]["names"]
    assert list(interval.columns) == record["interval"]["columns"]
    assert np.allclose(interval, record["interval"]["values"], rtol=1e-12)
    assert fit.fixef().to_dict() == pytest.approx(record["fixef"], rel=1e-12)
    assert fit.sigma() == pytest.approx(record["sigma"], rel=1e-12)
    # rstanarm's se(): all but sigma, Sigma and the padded levels
    assert list(fit.se().index) == [c for c in fit.as_matrix() if c != "sigma" and not c.startswith("Sigma[")]
    assert np.allclose(fit.vcov(), np.array(record["vcov"], dtype=float).reshape(fit.vcov().shape), rtol=1e-9)
    group = next(iter(fit.ranef()))
    assert np.allclose(fit.ranef()[group].to_numpy().T.ravel(), record["ranef"], rtol=1e-12)
    assert list(fit.coef()[group].columns) == list(np.atleast_1d(record["coef_columns"]))
    assert np.allclose(fit.coef()[group].to_numpy().T.ravel(), record["coef"], rtol=1e-12)
    assert fit.ngrps().to_dict() == record["ngrps"]
    mine, theirs = fit.VarCorr(), pd.DataFrame(record["VarCorr"])
    assert [list(row) for row in mine[["grp", "var1", "var2"]].astype(object).where(mine.notna(), None).to_numpy()] == [
        [row.get(key) for key in ("grp", "var1", "var2")] for row in record["VarCorr"]
    ]
    assert np.allclose(mine[["vcov", "sdcor"]], theirs[["vcov", "sdcor"]], rtol=1e-10)
    assert np.allclose(fit.log_lik().mean(), record["log_lik"], rtol=1e-9)
    assert fit.bayes_R2().mean() == pytest.approx(record["R2"], rel=1e-9)
    assert np.allclose(fit.posterior_epred().mean(), record["epred"], rtol=1e-10)
    assert np.allclose(fit.posterior_epred(re_form="NA").mean(), record["epred_fixed"], rtol=1e-10)


# ---------------------------------------------------------------------- stan_lmer
def gcse_fit(name: str = "M3", **options: Any) -> StanLmerFit:
    return sampled(design_of(recorded()["cases"][name]), **{"seed": 349, **options})


@cache
def m3() -> StanLmerFit:
    return gcse_fit()


def test_formula_and_data_frame_give_the_same_fit() -> None:
    record = recorded()["cases"]["two_one"]
    g, h = record["terms"]
    X = np.array(record["X"])
    data = pd.DataFrame(
        {
            "y": record["y"],
            "x1": X[:, 1],
            "x2": X[:, 2],
            "g": pd.Categorical.from_codes(g["codes"], g["levels"]),
            "h": pd.Categorical.from_codes(h["codes"], h["levels"]),
        }
    )
    one = stan_lmer("y ~ x1 + x2 + (1 + x1 | g) + (1 | h)", data, seed=3, iter=200)
    other = sampled(design_of(record), seed=3, iter=200)
    assert isinstance(one, BayesianFit)
    assert one.formula == record["formula"]
    pd.testing.assert_frame_equal(one.stanfit_matrix(), other.stanfit_matrix(), rtol=1e-9)


def test_seed_reproduces_and_changes_the_draws() -> None:
    again, other = gcse_fit("M1", iter=100), gcse_fit("M1", iter=100, seed=350)
    first = gcse_fit("M1", iter=100)
    assert np.array_equal(first.stanfit_matrix(), again.stanfit_matrix())
    assert not np.array_equal(first.stanfit_matrix(), other.stanfit_matrix())


def test_columns_are_rstanarms() -> None:
    fit = m3()
    assert list(fit.stanfit_matrix().columns) == recorded()["cases"]["M3"]["names"]
    # the tutorial's M1: 4000 x 76 (1 + 73 + sigma + Sigma)
    assert gcse_fit("M1").as_matrix().shape == (4000, 76)
    assert fit.as_matrix(pars=["femaleF"], regex_pars="^Sigma").columns.tolist()[0] == "femaleF"
    assert fit.as_matrix(pars=["mean_PPD", "log-posterior"]).shape == (4000, 2)
    with pytest.raises(ModelError, match=r"No parameter\(s\) nonsense"):
        fit.as_matrix(pars=["nonsense"])
    with pytest.raises(ModelError, match="No matches for 'regex_pars'"):
        fit.as_matrix(regex_pars="^nonsense")


def test_log_posterior_column_is_the_full_density_at_the_draw() -> None:
    for fit in (m3(), sampled(design_of(recorded()["cases"]["four_three"]), iter=60, chains=2, seed=1)):
        points = fit.draws.unconstrained(slice(None))
        assert np.allclose(fit.log_prob(points), fit.draws.log_posterior, rtol=1e-10)
        constrained = fit.draws.full.constrain(points)
        assert np.allclose(constrained, fit.draws.matrix[:, : constrained.shape[1]], rtol=1e-7, atol=1e-9)


def test_unconstrained_draws_are_draws() -> None:
    fit = m3()
    points = fit.unconstrained_draws(50, seed=1)
    assert points.shape == (50, 155)
    assert fit.num_upars == 155
    assert np.array_equal(points, fit.unconstrained_draws(50, seed=1))
    assert np.isin(np.round(fit.log_prob(points), 6), np.round(fit.draws.log_posterior, 6)).all()


def test_data_tree_has_rs_names() -> None:
    tree = m3().posterior
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data"}
    posterior = tree["posterior"]
    assert posterior["(Intercept)"].shape == (4, 1000)
    assert posterior["b"].dims == ("chain", "draw", "b_label")
    labels = posterior["b_label"].values.tolist()
    assert labels[:2] == ["b[(Intercept) school:20920]", "b[femaleF school:20920]"]
    assert labels[-1] == "b[femaleF school:_NEW_school]"
    assert np.array_equal(
        posterior["sigma"].values.ravel(), m3().stanfit_matrix()["sigma"]
    )  # chain after chain, as in as_matrix


def test_returned_objects_are_copies() -> None:
    fit = m3()
    before = fit.as_matrix()
    changed = fit.as_matrix()
    changed.iloc[:, :] = 0.0
    whole = fit.stanfit_matrix()
    whole.iloc[:, :] = 0.0
    pd.testing.assert_frame_equal(fit.as_matrix(), before)


def test_predictions_of_the_rows() -> None:
    fit = m3()
    predicted = fit.posterior_predict(draws=200, seed=2)
    assert predicted.shape == (200, 1725)
    pd.testing.assert_frame_equal(predicted, fit.posterior_predict(draws=200, seed=2))
    expected = fit.posterior_epred(draws=200, seed=2)
    residual = predicted.to_numpy() - expected.to_numpy()
    assert residual.std() == pytest.approx(13.04, abs=0.1)
    with pytest.raises(ModelError, match="<= posterior sample size"):
        fit.posterior_predict(draws=4001)
    with pytest.raises(DataError, match="re_form"):
        fit.posterior_predict(re_form="(1 | school)")


def test_mean_PPD_is_distributed_as_the_mean_of_predictions() -> None:
    fit = m3()
    ppd = fit.posterior_predict(seed=4).to_numpy().mean(axis=1)
    column = fit.stanfit_matrix()["mean_PPD"].to_numpy()
    assert abs(ppd.mean() - column.mean()) < 5 * np.hypot(ppd.std(), column.std()) / np.sqrt(4000)
    assert column.std() == pytest.approx(ppd.std(), rel=0.06)


def test_prior_PD_leaves_the_likelihood_out() -> None:
    fit = gcse_fit("M2", prior_PD=True)
    assert "mean_PPD" not in fit.stanfit_matrix().columns
    draws = fit.as_matrix()
    s_y = fit.spec.aux.scale[0]
    assert draws["sigma"].mean() == pytest.approx(s_y, rel=0.08)  # Exponential(1 / s_y)
    assert draws["femaleF"].std() == pytest.approx(83.164, rel=0.05)
    assert np.allclose(fit.log_prob(fit.unconstrained_draws(20, 1)), np.sort(fit.draws.log_posterior)[0], atol=1e4)
    with pytest.raises(ModelError, match="prior is flat"):
        gcse_fit("M2", prior_PD=True, prior=None)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ModelError, match="chains should be an integer of 1 or more"):
        gcse_fit(chains=0)
    with pytest.raises(ModelError, match=r"iter \(100\) should be more than warmup \(100\)"):
        gcse_fit(iter=100, warmup=100)
    with pytest.raises(ModelError, match="sampler should be"):
        gcse_fit(sampler="gibbs")
    design = design_of(recorded()["cases"]["M1"])
    with pytest.raises(ModelError, match="No random effects terms"):
        sampled(replace(design, terms=()))


def test_diagnostics_say_how_it_went() -> None:
    d = m3().diagnostics
    assert d["method"] == "independence Metropolis"
    assert d["max_rhat"] < 1.01
    assert min(d["min_ess_bulk"], d["min_ess_tail"]) > 2500
    assert d["khat"] < 0.7
    assert 0.5 < d["acceptance"] < 1
    assert m3().warnings == ()


def test_import_loads_neither_pymc_nor_arviz_nor_matplotlib() -> None:
    import subprocess
    import sys

    code = (
        "import sys, pyimpl.models.stan_lmer; heavy = 'pymc arviz arviz_stats matplotlib xarray pytensor nutpie rpy2'; "
        "print([m for m in heavy.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
