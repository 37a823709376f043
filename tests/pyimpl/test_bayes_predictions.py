"""Predictions, LOO and WAIC: from live rstanarm's own draws, with live rstanarm's and loo's numbers."""

import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.posterior import loo as loo_module
from pyimpl.posterior.draws import PosteriorDraws
from pyimpl.posterior.predictions import interval, response
from pyimpl.stan_lmer import StanLmerFit, loo_compare, stan_lmer

FORMULAS = {
    "A": "y ~ scale(x) + f + (1 + x | g) + (1 | g:h)",
    "B": "y ~ x + (1 | g)",
    "C": "y ~ 0 + poly(x, 2) + f + (0 + f | g) + (x || h)",
}


def make_data() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(20261123)
    n = 70
    g, h = rng.integers(0, 6, n), rng.integers(0, 3, n)
    data = pd.DataFrame(
        {
            "x": rng.normal(0.3, 1, n),
            "f": rng.choice(list("abc"), n),
            "g": [f"G {k}" for k in g],
            "h": [f"h{k}" for k in h],
        }
    )
    effects = rng.normal(0, 2, (6, 2))
    data["y"] = 5 + data["x"] + effects[g, 0] + 0.4 * effects[g, 1] * data["x"] + 2 * rng.standard_t(4, n)
    new = pd.DataFrame(
        {
            "x": [0.0, 1.5, 3.0, -2.0, 1.0],
            "f": ["a", "b", "c", "a", "b"],
            "g": ["G 1", "new", "other", "G 3", "new"],
            "h": ["h0", "h0", "h9", "h9", "h2"],
            "y": [1.0, 2.0, 3.0, 4.0, 5.0],
        },
        index=["p", "q", "r", "s", "t"],
    )
    return data, new


def with_factor(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(f=pd.Categorical(data["f"], categories=["b", "a", "c"]))


@dataclass
class Oracle:
    folder: Path
    data: pd.DataFrame
    new: pd.DataFrame
    fits: dict[str, StanLmerFit]

    def __call__(self, name: str) -> np.ndarray:
        values = np.fromfile(self.folder / name)
        rows, columns = int(values[0]), int(values[1])
        return values[2:].reshape(rows, columns, order="F")


def with_r_draws(fit: StanLmerFit, matrix: pd.DataFrame) -> StanLmerFit:
    """The same model with R's draws in place of ours."""
    spec = fit.spec
    coef = matrix[list(spec.design.coef_names)].to_numpy()
    first = int(spec.has_intercept)
    n = len(matrix)
    none = np.empty((n, 0))
    draws = PosteriorDraws(
        spec=spec, chains=2, draws=n // 2, rss=None,
        gamma=coef[:, :first] + (coef[:, first:] @ spec.xbar)[:, None] * first,
        beta=coef[:, first:], z_beta=coef[:, first:], b=matrix.filter(regex=r"^b\[").to_numpy(),
        sigma=matrix["sigma"].to_numpy(), T=[], mean_PPD=None, zeta_total=none, z_T_norm=none, z_T_unused=none,
    )  # fmt: skip
    return StanLmerFit(spec, draws, sampler_result=None, density=None, seed=11, seconds=0.0)


@pytest.fixture(scope="module")
def r(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    folder = tmp_path_factory.mktemp("oracle")
    data, new = make_data()
    for name, frame in (("data.csv", data), ("new.csv", new)):
        frame.to_csv(folder / name, index=False, float_format="%.17g")
    script = Path(__file__).with_name("bayes_oracle.R")
    done = subprocess.run(
        ["Rscript", "--vanilla", str(script), str(folder / "data.csv"), str(folder / "new.csv"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    oracle = Oracle(folder, with_factor(data), with_factor(new), {})
    for name, formula in FORMULAS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PyimplWarning)
            fit = stan_lmer(formula, oracle.data, seed=1, iter=20, chains=1)
        names = (folder / f"{name}_names").read_text().splitlines()
        assert names == fit.draws.labels
        oracle.fits[name] = with_r_draws(fit, pd.DataFrame(oracle(f"{name}_draws"), columns=names))
    return oracle


@pytest.fixture(scope="module")
def own() -> StanLmerFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        return stan_lmer(FORMULAS["A"], with_factor(make_data()[0]), seed=1, iter=400)


def quiet_loo(fit: StanLmerFit) -> loo_module.Loo:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        return fit.loo()


# ---------------------------------------------------------------------- with R's numbers
@pytest.mark.r
@pytest.mark.parametrize(
    ("name", "re_form"),
    [
        ("epred", None),
        ("epred_NA", "NA"),
        ("epred_0", "~0"),
        ("epred_g", "~ (1 + x | g)"),
        ("epred_1g", "~ (1 | g)"),
        ("epred_gh", "~ (1 | g:h)"),
    ],
)
def test_new_data_are_predicted_as_rstanarm_does(r: Oracle, name: str, re_form: str | None) -> None:
    mine = r.fits["A"].posterior_epred(r.new, re_form=re_form)
    assert mine.columns.tolist() == ["p", "q", "r", "s", "t"]
    np.testing.assert_allclose(mine, r(name), rtol=1e-11, atol=1e-11)


@pytest.mark.r
def test_rows_used_are_predicted_as_rstanarm_does(r: Oracle) -> None:
    np.testing.assert_allclose(r.fits["A"].posterior_epred(), r("epred_used"), rtol=1e-11)
    np.testing.assert_allclose(r.fits["A"].posterior_epred(re_form="~ (1 | g)"), r("epred_used_1g"), rtol=1e-11)
    np.testing.assert_allclose(r.fits["B"].posterior_linpred(r.new), r("linpred_B"), rtol=1e-11)


@pytest.mark.r
def test_codings_of_the_fit_are_kept_for_new_data(r: Oracle) -> None:
    """``poly``, a factor's slopes, uncorrelated effects, no intercept."""
    np.testing.assert_allclose(r.fits["C"].posterior_epred(r.new), r("epred_C"), rtol=1e-11, atol=1e-11)


@pytest.mark.r
def test_intervals_and_errors_of_the_same_predictions_are_rs(r: Oracle) -> None:
    values, probs = interval(r("yrep"), 0.8)
    assert probs == pytest.approx((0.1, 0.9))
    np.testing.assert_allclose(values, r("interval"), rtol=1e-12)
    np.testing.assert_allclose(response(r.fits["A"].design, r.new) - r("yrep"), r("error"), rtol=1e-12)


@pytest.mark.r
@pytest.mark.parametrize("name", ["A", "B"])
def test_loo_is_rs(r: Oracle, name: str) -> None:
    fit = r.fits[name]
    np.testing.assert_allclose(fit.log_lik(), r(f"{name}_log_lik"), rtol=1e-10)
    found = quiet_loo(fit)
    np.testing.assert_allclose(found.r_eff, r(f"{name}_relative_eff")[:, 0], rtol=1e-9)
    theirs = r(f"{name}_pointwise")  # elpd_loo, mcse, p_loo, looic, influence_pareto_k
    np.testing.assert_allclose(found.pareto_k, theirs[:, 4], atol=1e-8)
    np.testing.assert_allclose(found.pointwise, theirs[:, [0, 2, 3]], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.estimates, r(f"{name}_loo"), rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        np.testing.assert_allclose(fit.waic().estimates, r(f"{name}_waic"), rtol=1e-9)


@pytest.mark.r
def test_comparison_is_rs_with_arviz_weights(r: Oracle) -> None:
    loos = {name: quiet_loo(r.fits[name]) for name in ("B", "A")}
    table = loo_compare(loos)
    best = max(loos, key=lambda name: loos[name].pointwise["elpd_loo"].sum())
    assert table.index[0] == best
    np.testing.assert_allclose(table.drop(columns="weight"), r("compare"), rtol=1e-8)
    assert table["weight"].sum() == pytest.approx(1)
    assert table["weight"].between(0, 1).all()


@pytest.mark.r
@pytest.mark.parametrize("name", ["A", "B"])
def test_loo_R2_is_rs_given_rs_exponentials(r: Oracle, name: str) -> None:
    fit = r.fits[name]
    error = loo_module.loo_means(fit.posterior_epred().to_numpy(), fit.log_lik().to_numpy()) - fit.design.y
    mine = loo_module.bootstrap_R2(fit.design.y, error, r("exponentials"))
    np.testing.assert_allclose(mine, r(f"{name}_loo_R2")[:, 0], rtol=1e-9)
    drawn = fit.loo_R2()
    assert drawn.mean() == pytest.approx(mine.mean(), abs=5 * mine.std() / np.sqrt(150))


# ---------------------------------------------------------------------- by itself
def test_new_levels_have_the_spread_of_the_fitted_distribution(own: StanLmerFit) -> None:
    new = with_factor(make_data()[1])
    rows = own.posterior_linpred(new, re_form="~ (1 | g)").to_numpy() - own.posterior_linpred(new, re_form="NA")
    np.testing.assert_allclose(rows["q"], rows["t"], atol=1e-10)  # one draw of a new level, however many are new
    np.testing.assert_allclose(rows["q"], own.stanfit_matrix()["b[(Intercept) g:_NEW_g]"], atol=1e-10)
    Sigma = own.as_matrix(["Sigma[g:(Intercept),(Intercept)]"]).iloc[:, 0]
    assert rows["q"].var() == pytest.approx(Sigma.mean(), rel=0.35)


def test_predictions_are_reproducible_and_each_draw_keeps_its_sigma(own: StanLmerFit) -> None:
    new = with_factor(make_data()[1])
    one, two = own.posterior_predict(new, draws=100, seed=5), own.posterior_predict(new, draws=100, seed=5)
    pd.testing.assert_frame_equal(one, two)
    assert not np.array_equal(one, own.posterior_predict(new, draws=100, seed=6))
    doubled = own.posterior_predict(new, draws=100, seed=5, fun=lambda values: 2 * values)
    np.testing.assert_allclose(doubled, 2 * one)
    limits = own.predictive_interval(0.5, new, seed=5)
    assert limits.columns.tolist() == ["25%", "75%"]
    assert limits.index.tolist() == new.index.tolist()
    errors = own.predictive_error(new, draws=100, seed=5)
    np.testing.assert_allclose(errors, new["y"].to_numpy() - one)
    covered = own.predictive_interval(0.9, seed=1)
    y = own.design.y
    assert 0.8 < ((covered["5%"] < y) & (y < covered["95%"])).mean() < 0.98


def test_bad_new_data_are_refused(own: StanLmerFit) -> None:
    new = with_factor(make_data()[1])
    with pytest.raises(DataError, match="NAs are not allowed in newdata, but x has some"):
        own.posterior_predict(new.assign(x=np.nan))
    with pytest.raises(DataError, match="more than 0 rows"):
        own.posterior_predict(new.iloc[:0])
    with pytest.raises(DataError, match="must be a data frame"):
        own.posterior_predict(new.to_dict())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="x"):
        own.posterior_epred(new.drop(columns="x"))
    with pytest.raises(DataError, match="not present in original model: h"):
        own.posterior_epred(new, re_form="~ (1 | h)")
    with pytest.raises(DataError, match="not present in original model: f"):
        own.posterior_epred(new, re_form="~ (f | g)")
    with pytest.raises(DataError, match="y"):
        own.predictive_error(new.drop(columns="y"))
    with pytest.raises(ModelError, match="prob should be"):
        own.predictive_interval(1.2, new)


def test_offsets_belong_to_their_rows() -> None:
    data, new = make_data()
    data["o"], new["o"] = data["x"] * 10, [100.0, 0, 0, 0, 0]
    term = stan_lmer("y ~ x + offset(o) + (1 | g)", data, seed=1, iter=100)
    argument = stan_lmer("y ~ x + (1 | g)", data, offset="o", seed=1, iter=100)
    pd.testing.assert_frame_equal(term.posterior_epred(new), argument.posterior_epred(new, offset=new["o"]))
    gone = term.posterior_epred(new) - term.posterior_epred(new.assign(o=0.0))
    np.testing.assert_allclose(gone["p"], 100)
    with pytest.raises(ModelError, match="give offset"):
        argument.posterior_epred(new)
    with pytest.raises(DataError, match="offset has shape"):
        argument.posterior_epred(new, offset=[1.0, 2.0])


def test_an_outlier_is_found_by_pareto_k_and_the_result_says_so() -> None:
    data, _ = make_data()
    data.loc[0, ["x", "y"]] = [12.0, -60.0]
    fit = stan_lmer("y ~ x + (1 | g)", data, seed=1, iter=400)
    with pytest.warns(PyimplWarning, match="pareto_k > 0.7"):
        found = fit.loo()
    assert found.pareto_k.idxmax() == 0
    assert "above 0.7" in str(found)
    assert "elpd_loo" in str(found)
    np.testing.assert_allclose(np.exp(found.log_weights).sum(axis=0), 1)


def test_loo_refuses_what_it_cannot_do(own: StanLmerFit) -> None:
    data, _ = make_data()
    weighted = stan_lmer("y ~ x + (1 | g)", data, weights=np.linspace(0.5, 2, len(data)), seed=1, iter=100)
    with pytest.raises(ModelError, match="model has weights"):
        weighted.loo()
    with pytest.raises(ModelError, match="at least two"):
        loo_compare({"a": own})
    fewer = stan_lmer("y ~ x + (1 | g)", data.iloc[:-1], seed=1, iter=100)
    with pytest.raises(ModelError, match="same observations"):
        loo_compare({"a": quiet_loo(own), "b": quiet_loo(fewer)})
    short = stan_lmer("y ~ x + (1 | g)", data, seed=1, iter=20, chains=1)
    with pytest.raises(ModelError, match="too few"):
        short.loo()


def test_predictive_check_draws_the_data_over_the_predictions(own: StanLmerFit, tmp_path: Path) -> None:
    figure = own.pp_check(nreps=12, seed=3)
    axes = figure.axes[0]
    assert len(axes.lines) == 13
    assert axes.get_xlabel() == "y"
    x, height = axes.lines[-1].get_data()
    assert np.trapezoid(height, x) == pytest.approx(1, abs=0.02)
    figure.savefig(tmp_path / "check.png")
    assert (tmp_path / "check.png").stat().st_size > 5000
