"""stan_lmer through the bridge: draws, printouts, density, priors; short chains on a small data set."""

import os
import re
import signal
import subprocess
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bridge import rstanarm
from bridge.errors import DataError, HandleError, RCrashError, RError, RTimeoutError, RWarning
from bridge.session import Session, default, use
from validation.contract import BayesianFit

pytestmark = pytest.mark.r

FORMULA = "Reaction ~ 1 + Days + (1 + Days | Subject)"


def sample(data, formula=FORMULA, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RWarning)
        return rstanarm.stan_lmer(formula, data, **{"seed": 7, "chains": 1, "iter": 60, **options})


def test_it_meets_the_contract(stan, sleepstudy):
    assert isinstance(stan, BayesianFit)
    assert stan.formula == FORMULA
    assert stan.fixef().index.tolist() == ["(Intercept)", "Days"]
    assert (stan.se() > 0).all()
    assert stan.se().index.tolist()[:3] == ["(Intercept)", "Days", "b[(Intercept) Subject:308]"]
    assert stan.ranef()["Subject"].shape == (18, 2)
    np.testing.assert_allclose(
        stan.coef()["Subject"].to_numpy(), stan.ranef()["Subject"].to_numpy() + stan.fixef().to_numpy()
    )
    table = stan.VarCorr()
    assert table["grp"].tolist() == ["Subject"] * 3 + ["Residual"]
    assert pd.isna(table["var2"].iloc[0])
    assert stan.nobs() == 180
    assert stan.ngrps().to_dict() == {"Subject": 18}
    assert stan.num_upars == 45 == len(stan.upar_names)
    assert stan.fitted().index.equals(sleepstudy.index)


def test_the_draws_are_a_tree_in_the_contracts_layout(stan):
    tree = stan.posterior
    assert isinstance(tree, xr.DataTree)
    posterior = tree["posterior"].to_dataset()
    names = [n for n in stan.parameters if not n.startswith("b[")]
    assert set(posterior.data_vars) == {*names, "b"}
    assert {"mean_PPD", "log-posterior", "sigma", "Sigma[Subject:Days,(Intercept)]"} <= set(names)
    assert dict(posterior.sizes) == {"chain": 2, "draw": 40, "b_label": 38}
    assert "b[(Intercept) Subject:_NEW_Subject]" in posterior["b_label"].values
    matrix = stan.stanfit_matrix()
    np.testing.assert_array_equal(posterior["sigma"].values.ravel(), matrix["sigma"])
    label = "b[Days Subject:335]"
    np.testing.assert_array_equal(posterior["b"].sel(b_label=label).values.ravel(), matrix[label])
    stats = tree["sample_stats"].to_dataset()
    assert {"acceptance_rate", "step_size", "tree_depth", "n_steps", "diverging", "energy", "lp"} == set(
        stats.data_vars
    )
    assert stats["diverging"].dtype == bool
    assert tree["observed_data"]["Reaction"].shape == (180,)
    tree["posterior"]["sigma"].values[:] = 0
    assert (stan.posterior["posterior"]["sigma"].values > 0).all()


def test_arviz_reads_it(stan):
    import arviz_stats as az

    table = az.summary(stan.posterior, var_names=["sigma", "Days"])
    assert table.shape[0] == 2


def test_matrix_columns_are_r_s(stan):
    """``as.matrix(m)`` of rstanarm 2.21.3 leaves out ``_NEW_``, mean_PPD and log-posterior; the stanfit has them."""
    matrix, everything = stan.as_matrix(), stan.stanfit_matrix()
    assert matrix.shape == (80, 2 + 36 + 1 + 3)
    assert everything.shape == (80, 2 + 38 + 1 + 3 + 2)
    assert matrix.columns.tolist()[:4] == ["(Intercept)", "Days", "b[(Intercept) Subject:308]", "b[Days Subject:308]"]
    assert matrix.columns.tolist()[-4:] == [
        "sigma",
        "Sigma[Subject:(Intercept),(Intercept)]",
        "Sigma[Subject:Days,(Intercept)]",
        "Sigma[Subject:Days,Days]",
    ]
    assert everything.columns.tolist()[-2:] == ["mean_PPD", "log-posterior"]
    some = stan.as_matrix(pars=["sigma", "mean_PPD"], regex_pars="^Sigma")
    assert some.columns.tolist()[:2] == ["sigma", "mean_PPD"]
    assert some.shape == (80, 5)
    with pytest.raises(RError, match="nope"):
        stan.as_matrix(pars="nope")


RSCRIPT = r"""
suppressMessages(library(rstanarm))
data(sleepstudy, package = "lme4")
fit <- suppressWarnings(stan_lmer(Reaction ~ 1 + Days + (1 + Days | Subject), data = sleepstudy, seed = 7, chains = 2,
  iter = 80, cores = 1, refresh = 0, control = list(max_treedepth = 7)))
num <- function(x) cat("@", paste(format(as.double(x), digits = 17), collapse = ","), "\n")
num(as.matrix(fit)); num(as.matrix(fit$stanfit)[, c("mean_PPD", "log-posterior")])
num(rstan::log_prob(fit$stanfit, seq(-0.5, 0.5, length.out = 45)))
num(posterior_interval(fit, prob = 0.8)); num(posterior_predict(fit, draws = 3, seed = 11))
print(fit, digits = 2); cat("@@\n"); print(summary(fit, pars = c("Days", "sigma"), probs = c(0.025, 0.975), digits = 2))
cat("@@\n"); print(prior_summary(fit)); cat("@@\n"); print(summary(fit)); cat("@@\n")
"""


def test_everything_equals_an_independent_rscript(stan):
    """The same seed gives the same draws to the last bit, whatever the number of cores."""
    done = subprocess.run(["Rscript", "-e", RSCRIPT], capture_output=True, text=True, timeout=200, check=True)
    numbers = [np.array(line[1:].split(","), dtype=float) for line in done.stdout.splitlines() if line.startswith("@ ")]
    texts = re.sub(r"(?m)^@ .*\n", "", done.stdout).split("@@\n")
    same = np.testing.assert_array_equal
    same(stan.as_matrix().to_numpy().ravel(order="F"), numbers[0])
    same(stan.stanfit_matrix()[["mean_PPD", "log-posterior"]].to_numpy().ravel(order="F"), numbers[1])
    same(stan.log_prob(np.linspace(-0.5, 0.5, 45)), numbers[2])
    same(stan.posterior_interval(prob=0.8).to_numpy().ravel(order="F"), numbers[3])
    same(stan.posterior_predict(draws=3, seed=11).to_numpy().ravel(order="F"), numbers[4])
    assert str(stan.print(digits=2)) == texts[0]
    assert str(stan.summary(pars=["Days", "sigma"], probs=[0.025, 0.975], digits=2)) == texts[1]
    assert str(stan.prior_summary()) == texts[2]
    assert str(stan.summary()) == texts[3]


def test_unconstrained_draws_are_where_stan_was(stan):
    draws = stan.unconstrained_draws(30, seed=5)
    assert draws.shape == (30, 45)
    np.testing.assert_array_equal(draws, stan.unconstrained_draws(30, seed=5))
    assert not np.array_equal(draws, stan.unconstrained_draws(30, seed=6))
    kept = stan._unconstrained()
    # Stan writes six digits of a density of about -900 and of its arguments
    np.testing.assert_allclose(stan.log_prob(kept["values"]), kept["lp"], atol=0.05)
    log_posterior = stan.stanfit_matrix()["log-posterior"].to_numpy()
    assert np.abs(kept["lp"][:, None] - log_posterior[None, :]).min(axis=1).max() < 1e-3
    with pytest.raises(DataError, match="kept"):
        stan.unconstrained_draws(10**6, seed=1)


def test_gradient_is_that_of_the_density(stan):
    point = stan.unconstrained_draws(1, seed=1)[0]
    gradient = stan.grad_log_prob(point)
    step = 1e-5
    for i in (0, 1, 5, 41, 44):
        shift = np.zeros(45)
        shift[i] = step
        slope = (stan.log_prob(point + shift) - stan.log_prob(point - shift)) / (2 * step)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-4, atol=1e-4)
    assert stan.grad_log_prob(np.vstack([point, point])).shape == (2, 45)
    with pytest.raises(DataError, match=r"\(45,\)"):
        stan.log_prob(np.zeros(3))


def test_diagnostics_and_seconds(stan):
    table = stan.diagnostics()
    assert table.index.tolist() == list(stan.parameters)
    assert table["Rhat"].between(0.5, 9).all()
    assert stan.elapsed.shape == (2, 2)
    assert 0 < stan.cpu_seconds < 200
    assert stan.control["iter"] == 80
    assert stan.control["adapt_delta"] == 0.95
    assert stan.control["max_treedepth"] == 7
    assert stan.control["versions"]["rstanarm"]


def test_prediction(stan, sleepstudy):
    predicted = stan.posterior_predict(draws=5, seed=1)
    assert predicted.shape == (5, 180)
    pd.testing.assert_frame_equal(predicted, stan.posterior_predict(draws=5, seed=1))
    new = sleepstudy.iloc[:2].assign(Subject=["308", "someone"]).set_axis(["x", "y"])
    assert stan.posterior_predict(new, draws=5, seed=1).columns.tolist() == ["x", "y"]
    expected = stan.posterior_epred(sleepstudy.iloc[:3])
    matrix = stan.stanfit_matrix()
    np.testing.assert_allclose(expected.iloc[:, 0], matrix["(Intercept)"] + matrix["b[(Intercept) Subject:308]"])
    marginal = stan.posterior_linpred(sleepstudy.iloc[:3], re_form="NA")
    np.testing.assert_allclose(marginal.iloc[:, 1], matrix["(Intercept)"] + matrix["Days"])
    assert stan.log_lik().shape == (80, 180)
    assert stan.bayes_R2().between(0, 1).all()
    with pytest.raises(DataError, match="lacks 'Days'"):
        stan.posterior_predict(new.drop(columns="Days"))


def test_loo(stan):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loo = stan.loo()
    assert loo.estimates.index.tolist() == ["elpd_loo", "p_loo", "looic"]
    assert loo.pareto_k.shape == (180,)
    assert "elpd_loo" in str(loo)


def test_priors_reach_r(sleepstudy):
    fit = sample(
        sleepstudy,
        "Reaction ~ Days + (1 | Subject)",
        prior=rstanarm.normal(location=[3], scale=100, autoscale=False),
        prior_intercept=rstanarm.student_t(4, 250, 50),
        prior_aux=rstanarm.exponential(0.5),
        prior_covariance=rstanarm.decov(shape=2, scale=3),
    )
    assert fit.control["max_treedepth"] == 15
    text = str(fit.prior_summary(model_name="mine"))
    assert "Priors for model 'mine'" in text
    assert "~ normal(location = 3, scale = 100)" in text
    assert "~ student_t(df = 4, location = 250, scale = 50)" in text
    assert "~ exponential(rate = 0.5)" in text
    assert "decov(reg. = 1, conc. = 1, shape = 2, scale = 3)" in text


def test_flat_priors_and_prior_pd(sleepstudy):
    fit = sample(sleepstudy, "Reaction ~ Days + (1 | Subject)", prior=None, prior_intercept=None, iter=40)
    assert "flat" in str(fit.prior_summary())
    prior = sample(sleepstudy, "Reaction ~ Days + (1 | Subject)", prior_PD=True, iter=100)
    assert prior.as_matrix()["Days"].std() > 5 * fit.as_matrix()["Days"].std()
    assert "mean_PPD" not in prior.parameters


def test_every_family_of_coefficient_priors(sleepstudy):
    f = "Reaction ~ Days + (1 | Subject)"
    for prior in (
        rstanarm.cauchy(0, 5), rstanarm.laplace(0, 5), rstanarm.lasso(1, 0, 5), rstanarm.hs(), rstanarm.hs_plus(),
        rstanarm.default_prior_coef(),
    ):  # fmt: skip
        fit = sample(sleepstudy, f, prior=prior, iter=20, unconstrained=False)
        assert fit.as_matrix().shape[0] == 10
    both = "Reaction ~ Days + I(Days^2) + (1 | Subject)"
    assert sample(sleepstudy, both, prior=rstanarm.product_normal(2), iter=20).as_matrix().shape[0] == 10


def test_what_rstan_printed_is_in_the_error(sleepstudy):
    """rstanarm's product_normal fails with one predictor; R's error alone is '$ operator is invalid ...'."""
    with pytest.raises(RError, match="num_normals"):
        sample(sleepstudy, "Reaction ~ Days + (1 | Subject)", prior=rstanarm.product_normal(2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prior": rstanarm.decov()}, "prior=decov"),
        ({"prior_covariance": rstanarm.normal()}, "prior_covariance=normal"),
        ({"prior_covariance": None}, "no flat prior"),
        ({"prior": "normal"}, "such as normal"),
        ({"chains": 0}, "chains=0"),
        ({"iter": 10, "warmup": 10}, "leaves no draws"),
        ({"seed": 2**31}, "seed="),
        ({"adapt_delta": 1.5}, "adapt_delta"),
        ({"thin": 1.5}, "thin must be a whole number, not 1.5"),
    ],
)
def test_bad_options(sleepstudy, options, said):
    with pytest.raises(DataError, match=said):
        sample(sleepstudy, **options)


def test_bad_prior_arguments():
    with pytest.raises(DataError, match="must be positive"):
        rstanarm.normal(0, -1)
    with pytest.raises(DataError, match="location must be a number or a sequence of numbers"):
        rstanarm.normal("0; quit()")
    with pytest.raises(DataError, match="finite"):
        rstanarm.exponential(np.inf)


def test_bad_data(sleepstudy):
    with pytest.raises(DataError, match="'Dayz'"):
        sample(sleepstudy, "Reaction ~ Dayz + (1 | Subject)")
    with pytest.raises(DataError, match="not numeric"):
        sample(sleepstudy, "Subject ~ Days + (1 | Subject)")
    with pytest.raises(RError, match="Initialization failed"):
        sample(sleepstudy, prior_covariance=rstanarm.lkj())


def test_missing_rows_keep_their_index(sleepstudy):
    data = sleepstudy.assign(Reaction=sleepstudy["Reaction"].where(sleepstudy.index != 5))
    data = data.set_axis([f"r{i}" for i in range(180)])
    fit = sample(data, "Reaction ~ Days + (1 | Subject)")
    assert fit.nobs() == 179
    assert fit.data_index.equals(data.index.delete(5))
    assert fit.posterior_predict(draws=2).columns.equals(data.index.delete(5))


def test_progress_and_thin(sleepstudy):
    lines: list[str] = []
    fit = sample(
        sleepstudy,
        "Reaction ~ Days + (1 | Subject)",
        progress=lines.append,
        chains=2,
        cores=2,
        iter=40,
        thin=2,
        warmup=20,
    )
    assert any(re.search(r"Chain 2: Iteration: 40 / 40 \[100%\]", line) for line in lines)
    assert fit.stanfit_matrix().shape[0] == 20
    read = [rstanarm.parse_progress(line) for line in lines]
    assert (1, 40, 40, "Sampling") in read
    assert {item[0] for item in read if item} == {1, 2}
    assert None in read


def test_warnings_of_stan_reach_python(sleepstudy):
    with pytest.warns(RWarning, match="R-hat|ESS"):
        fit = rstanarm.stan_lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, seed=1, chains=1, iter=20)
    assert fit.warnings


def chains_of(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry))
    return found


@pytest.mark.slow
def test_timeout_ctrl_c_and_crash_in_the_middle_of_sampling(sleepstudy):
    long = {"iter": 200_000, "chains": 2, "cores": 2}
    with Session() as session, use(session):
        sample(sleepstudy, "Reaction ~ Days + (1 | Subject)", iter=20)
        with pytest.raises(RTimeoutError):
            sample(sleepstudy, timeout=1.5, **long)
        assert session.call("echo", x=1).value == [1]
        threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            sample(sleepstudy, **long)
        assert session.call("echo", x=1).value == [1]
        time.sleep(0.5)
        assert chains_of(session.pid) == []
        fit = sample(sleepstudy, "Reaction ~ Days + (1 | Subject)", iter=20)
        threading.Timer(1.5, lambda: os.kill(session.pid, signal.SIGKILL)).start()
        with pytest.raises(RCrashError, match="SIGKILL"):
            sample(sleepstudy, **long)
        assert session.call("echo", x=1).value == [1]
        assert fit.as_matrix().shape[0] == 10
        with pytest.raises(HandleError):
            fit.log_prob(np.zeros(fit.num_upars))


def test_log_prob_after_parallel_chains_and_default_session(stan):
    assert np.isfinite(stan.log_prob(np.zeros(45)))
    assert default().live_handles() >= 1
