"""Predictions, LOO and WAIC: from live rstanarm's own draws, with live rstanarm's and loo's numbers."""

import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.models.stan_estimates import SamplingRecord
from pyimpl.models.stan_lmer import StanLmerFit, loo_compare, stan_lmer
from pyimpl.posterior import loo as loo_module
from pyimpl.posterior.draws import PosteriorDraws
from pyimpl.posterior.predictions import interval, response
from r_scripts.dialect import Dialect

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
    dialect: Dialect
    fits: dict[str, StanLmerFit]

    def __call__(self, name: str) -> np.ndarray:
        values = np.fromfile(self.folder / name)
        rows, columns = int(values[0]), int(values[1])
        return values[2:].reshape(rows, columns, order="F")


def with_r_draws(fit: StanLmerFit, matrix: pd.DataFrame) -> StanLmerFit:
    """The same model, of the same dialect, with R's draws in place of ours."""
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
    return StanLmerFit(spec, draws, SamplingRecord(seed=11), dialect=fit.dialect)


@pytest.fixture(scope="module")
def r(tmp_path_factory: pytest.TempPathFactory, live_dialect: Dialect) -> Oracle:
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
    oracle = Oracle(folder, with_factor(data), with_factor(new), live_dialect, {})
    for name, formula in FORMULAS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PyimplWarning)
            fit = stan_lmer(formula, oracle.data, seed=1, iter=20, chains=1, dialect=live_dialect)
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
    efficiency = r(f"{name}_relative_eff")[:, 0]
    estimated = loo_module.relative_eff(np.exp(r(f"{name}_log_lik")), 2, r.dialect)
    np.testing.assert_allclose(estimated, efficiency, rtol=1e-9)
    np.testing.assert_allclose(found.r_eff, 1.0 if r.dialect.has("no_r_eff") else efficiency, rtol=1e-9)
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
    columns = (r.folder / "compare_columns").read_text().splitlines()
    assert table.columns.tolist() == [*columns, "weight"]
    for column in columns:
        theirs = (r.folder / f"compare_{column}").read_text().splitlines()
        if pd.api.types.is_numeric_dtype(table[column]):
            numbers = [float(value.replace("NA", "nan")) for value in theirs]
            np.testing.assert_allclose(table[column], numbers, rtol=1e-8)
        else:
            assert table[column].tolist() == theirs
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
    with pytest.raises(DataError, match="f is no variable of the model's random effects"):
        own.posterior_epred(new, re_form="~ (f | g)")
    with pytest.raises(DataError, match="y"):
        own.predictive_error(new.drop(columns="y"))
    with pytest.raises(DataError, match="prob must be a number between 0 and 1"):
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
    fit = stan_lmer("y ~ x + (1 | g)", data, seed=1, iter=400, dialect="debian-12")
    with pytest.warns(PyimplWarning, match="pareto_k > 0.7"):
        found = fit.loo()
    assert found.pareto_k.idxmax() == 0
    assert "(very bad)  1" in str(found)
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


@pytest.mark.r
def test_new_rows_have_the_log_likelihood_of_rstanarm(r: Oracle) -> None:
    mine = r.fits["A"].log_lik(r.new)
    assert mine.columns.tolist() == ["p", "q", "r", "s", "t"]
    np.testing.assert_allclose(mine, r("log_lik_new"), rtol=1e-10)
    with pytest.raises(DataError):
        r.fits["A"].log_lik(r.new.drop(columns="y"))


@pytest.mark.r
def test_fitted_values_are_those_at_the_medians(r: Oracle) -> None:
    fit = r.fits["A"]
    np.testing.assert_allclose(fit.fitted(), r("fitted")[:, 0], rtol=1e-10)
    np.testing.assert_allclose(fit.residuals(), r("residuals")[:, 0], rtol=1e-8, atol=1e-10)


@pytest.mark.r
def test_array_and_sizes_are_those_of_rstanarm(r: Oracle, own: StanLmerFit) -> None:
    lines = (r.folder / "array.txt").read_text().split()
    array = own.as_array(regex_pars="^b")
    assert lines[:2] == ["150", "2"]
    assert array.shape == (200, 4, int(lines[2]))
    assert str(r.fits["A"].nsamples()) == lines[3]
    assert array["chains"].to_numpy().tolist()[:2] == lines[4:]
    np.testing.assert_array_equal(array[:, 1].to_numpy(), own.as_matrix(regex_pars="^b")[200:400])


@pytest.mark.r
@pytest.mark.parametrize("type_", ["mean", "var", "quantile"])
def test_left_out_predictions_are_those_of_loo(r: Oracle, type_: str) -> None:
    mine = np.asarray(r.fits["A"].loo_linpred(type_, (0.1, 0.7)))
    np.testing.assert_allclose(mine.reshape(70, -1), r(f"loo_linpred_{type_}"), rtol=1e-7)
    with pytest.raises(DataError, match="'mean', 'var' or 'quantile'"):
        r.fits["A"].loo_linpred("median")


@pytest.mark.r
@pytest.mark.parametrize("name", ["A", "B"])
def test_printed_loo_and_waic_are_those_of_r(r: Oracle, name: str) -> None:
    for what, mine in (("loo", quiet_loo(r.fits[name])), ("waic", quiet_waic(r.fits[name].log_lik(), r.dialect))):
        assert f"{mine}\n" == (r.folder / f"{name}_{what}.txt").read_text()


def quiet_waic(log_lik: pd.DataFrame, dialect: Dialect) -> loo_module.Waic:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        return loo_module.waic(log_lik, dialect)


@pytest.mark.r
@pytest.mark.parametrize(("name", "columns"), [("all", range(30)), ("ok", None), ("good", range(9, 20))])
def test_printed_pareto_k_of_every_kind(r: Oracle, name: str, columns: range | None) -> None:
    chosen = list(columns) if columns is not None else [i for i in range(30) if i not in (2, 4)]
    log_lik = pd.DataFrame(r("ll")[:, chosen])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyimplWarning)
        # the oracle gives loo the relative efficiency, whatever rstanarm does
        loo = loo_module.loo(log_lik, 2, r.dialect, True)
    assert f"{loo}\n" == (r.folder / f"loo_{name}.txt").read_text()
    assert f"{quiet_waic(log_lik, r.dialect)}\n" == (r.folder / f"waic_{name}.txt").read_text()


@pytest.mark.r
def test_printed_comparison_is_that_of_r(r: Oracle) -> None:
    table = loo_compare({"A": quiet_loo(r.fits["A"]), "longer": quiet_loo(r.fits["B"])})
    assert f"{table}\n" == (r.folder / "compare.txt").read_text()


@pytest.mark.r
def test_kfold_agrees_with_rstanarm(r: Oracle) -> None:
    fit = stan_lmer(FORMULAS["B"], r.data, seed=1, iter=2000, dialect=r.dialect)
    mine = fit.kfold(folds=np.arange(70) % 3 + 1)
    theirs = r("kfold")
    # 300 draws there: the log of a mean of densities is uncertain to a few hundredths
    np.testing.assert_allclose(mine.pointwise["elpd_kfold"], theirs[:, 0], atol=0.25)
    assert abs(mine.estimates.loc["elpd_kfold", "Estimate"] - theirs[:, 0].sum()) < 1.0
    shape = [line.split()[0] for line in str(mine).split("\n") if line]
    assert shape == [line.split()[0] for line in (r.folder / "kfold.txt").read_text().split("\n") if line]


def test_kfold_leaves_out_what_it_says(own: StanLmerFit) -> None:
    data = with_factor(make_data()[0])
    fit = stan_lmer("y ~ x + (1 | g)", data, seed=1, iter=400)
    folds = pd.Series(np.where(np.arange(70) < 30, 1, 2), index=data.index)
    found = fit.kfold(folds=folds)
    alone = stan_lmer("y ~ x + (1 | g)", data.iloc[30:], seed=1, iter=400)
    left = alone.log_lik(data.iloc[:30]).to_numpy()
    expected = np.log(np.exp(left).mean(axis=0))
    np.testing.assert_allclose(found.pointwise["elpd_kfold"][:30], expected, rtol=1e-10)
    assert (found.pointwise["p_kfold"] > 0).mean() > 0.5
    assert "Based on 2-fold cross-validation" in str(found)
    assert fit.kfold(4, seed=1).folds.value_counts().tolist() == [18, 18, 17, 17]
    for wrong, text in (({"K": 1}, "between 2"), ({"folds": [1, 3] * 35}, "without gaps"), ({"folds": [1]}, "each of")):
        with pytest.raises(DataError, match=text):
            fit.kfold(**wrong)


def test_update_changes_only_what_is_asked(own: StanLmerFit) -> None:
    smaller = own.update(". ~ . - f", iter=200)
    assert "f" not in smaller.terms().names
    assert smaller.draws.n == 400
    assert smaller.seed == own.seed
    pd.testing.assert_frame_equal(own.getData(), with_factor(make_data()[0]))
    assert own.get_formula(fixed_only=True) == "y ~ scale(x) + f"


def test_posterior_beside_prior(own: StanLmerFit) -> None:
    table = own.posterior_vs_prior(["fa", "sigma"], prob=0.5)
    assert table["model"].tolist() == ["Prior", "Prior", "Posterior", "Posterior"]
    posterior = table[table["model"] == "Posterior"].set_index("parameter")
    np.testing.assert_allclose(posterior[["lb", "ub"]], own.posterior_interval(0.5, ["fa", "sigma"]))
    prior = table[table["model"] == "Prior"].set_index("parameter")
    assert (prior["ub"] - prior["lb"] > posterior["ub"] - posterior["lb"]).all()
    everything = own.posterior_vs_prior()
    assert not set(everything["parameter"]) & {"mean_PPD", "log-posterior"}
    assert any(name.startswith("b[") for name in everything["parameter"])
    axes = own.plot_posterior_vs_prior(["fa", "sigma"], group_by_parameter=True).axes
    assert [ax.get_title() for ax in axes if ax.get_visible()] == ["fa", "sigma"]
    assert [ax.get_title() for ax in own.plot_posterior_vs_prior().axes] == ["Prior", "Posterior"]


def test_verbs_that_rstanarm_refuses_are_refused(own: StanLmerFit) -> None:
    with pytest.raises(ModelError, match="posterior_predict"):
        own.predict()
    with pytest.raises(ModelError, match="posterior_interval"):
        own.confint()


def test_left_out_intervals_hold_most_of_the_data(own: StanLmerFit) -> None:
    found = own.loo_predictive_interval(0.8, seed=1)
    assert found.columns.tolist() == ["10%", "90%"]
    y = own.design.y
    assert 0.65 < ((found["10%"] <= y) & (y <= found["90%"])).mean() < 0.95


def test_predictive_check_draws_the_data_over_the_predictions(own: StanLmerFit, tmp_path: Path) -> None:
    figure = own.pp_check(nreps=12, seed=3)
    axes = figure.axes[0]
    assert len(axes.lines) == 13
    assert axes.get_xlabel() == "y"
    x, height = axes.lines[-1].get_data()
    assert np.trapezoid(height, x) == pytest.approx(1, abs=0.02)
    figure.savefig(tmp_path / "check.png")
    assert (tmp_path / "check.png").stat().st_size > 5000
