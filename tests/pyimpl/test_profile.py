"""Profiles and their intervals: against live lme4, against constrained optimisation on V itself, at the boundary."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import ndtri

from pyimpl.errors import DataError, ModelError, PyimplWarning
from pyimpl.inference import confint
from pyimpl.inference.at_optimum import warm_start
from pyimpl.inference.profile import percent_labels
from pyimpl.linalg.threads import one_blas_thread
from pyimpl.models.lmer import LmerControl, lmer

Z = float(ndtri(0.975))


def profiler_of(fit):
    return confint.profiler_of(fit.model, warm_start(fit.model), fit.control, fit.dialect)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_blas_thread():  # as confint and profile do
        yield


@pytest.fixture(scope="module")
def three_effects() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(14), 7)
    x, w = rng.normal(size=(2, 98))
    L = np.array([[1.5, 0, 0], [0.5, 0.9, 0], [-0.3, 0.6, 0.8]])
    b = rng.normal(size=(14, 3)) @ L.T
    y = 2 + x + np.einsum("ij,ij->i", np.column_stack([np.ones(98), x, w]), b[group]) + rng.normal(size=98)
    weights = rng.uniform(0.5, 2, 98).round(2)
    return pd.DataFrame({"y": y, "x": x, "w": w, "g": pd.Categorical(group.astype(str)), "weights": weights})


@pytest.fixture(scope="module")
def slopes(three_effects):
    return lmer("y ~ x + (x | g)", three_effects)


# -- against R --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_both(live_dialect):
    from bridge import datasets, lme4, mlmRev

    GCSE = mlmRev.Gcsemv()
    GCSE["female"] = GCSE["gender"].cat.reorder_categories(["M", "F"])
    cases = {
        "sleepstudy": ("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy", package="lme4"), True),
        "M2": ("course ~ 1 + female + (1 | school)", GCSE, False),
        "Penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", datasets.load("Penicillin", package="lme4"), True),
    }

    def fit(name):
        formula, data, REML = cases[name]
        return lmer(formula, data, REML, dialect=live_dialect), lme4.lmer(formula, data, REML, control="tight")

    return fit


def _fixef_at(fit, row):
    """Generalised least squares by its definition at a profile's variance parameters, one scalar effect a term."""
    X, Z = fit.getME("X").to_numpy(), fit.getME("Z").toarray()
    levels = fit.ngrps().to_numpy()
    sds = [row[name] for name in row.index if name.startswith(".sig0")]
    scaled = Z * np.repeat(np.array(sds, dtype=float) / row[".sigma"], levels)
    inner = np.eye(Z.shape[1]) + scaled.T @ scaled

    def whiten(M):  # V^-1 M sigma^2, by Woodbury's identity
        return M - scaled @ np.linalg.solve(inner, scaled.T @ M)

    return np.linalg.solve(X.T @ whiten(X), X.T @ whiten(fit.getME("y").to_numpy()))


@pytest.mark.parametrize("formula", ["y ~ x + w + (1 | g)", "y ~ x + (1 | g) + (1 | h)"])
def test_each_row_of_a_profile_has_the_fixed_effects_of_its_variances(three_effects, formula):
    """lme4 >= 2.0 repeats the estimates there (``profile_keeps_fixef``), which are other numbers: 0.1 se and more."""
    data = three_effects.assign(h=three_effects.index % 9)
    data["y"] += data["h"] % 5
    fit = lmer(formula, data, REML=False)
    table = fit.profile("theta_")
    names = list(fit.fixef().index)
    truth = np.array([_fixef_at(fit, row) for _, row in table.iterrows()])
    np.testing.assert_allclose(table[names], truth, rtol=1e-7)
    moved = np.abs(truth - fit.fixef().to_numpy()).max(axis=0) / fit.coef_table()["Std. Error"].to_numpy()
    assert moved.max() > 0.1  # else the estimates would pass


@pytest.mark.r
@pytest.mark.parametrize("name", ["sleepstudy", "M2", "Penicillin"])
def test_profile_is_lme4s(in_both, name, live_dialect):
    ours, theirs = in_both(name)
    table, reference = ours.profile(), theirs.profile()
    assert list(table.columns) == list(reference.columns)
    assert list(table[".par"].unique()) == list(reference[".par"].unique())
    profiler = profiler_of(ours)
    compared = 0
    for parameter, rows in reference.groupby(".par", sort=False):
        evaluate, start = profiler._function(parameter)
        rows = rows.sort_values(".focal")
        center = profiler._center(parameter)
        for side in (rows[rows[".focal"] < center][::-1], rows[rows[".focal"] >= center]):
            free = start
            for _, row in side.iterrows():
                point = evaluate(row[".focal"], free)
                free = point.free
                # lme4's search may end beside the minimum far out (sleepstudy: at a correlation of 1): never below ours
                assert abs(point.zeta) <= abs(row[".zeta"]) + 1e-5
                if abs(row[".zeta"]) > 3:
                    continue
                assert point.zeta == pytest.approx(row[".zeta"], abs=1e-5)
                theirs_all = row[list(profiler.names)].to_numpy(dtype=float)
                told = np.ones(len(theirs_all), dtype=bool)
                if parameter.startswith(".sig") and live_dialect.has("profile_keeps_fixef"):
                    told[-len(ours.fixef()) :] = False
                np.testing.assert_allclose(point.others()[told], theirs_all[told], rtol=1e-3, atol=1e-4)
                compared += 1
    assert compared > 10 * len(profiler.names)
    # the same steps: as many points, but for one where the last zeta is near the end
    sizes = table.groupby(".par").size() - reference.groupby(".par").size()
    assert sizes.abs().max() <= 2


@pytest.mark.r
@pytest.mark.parametrize("name", ["sleepstudy", "M2", "Penicillin"])
def test_profile_intervals_are_lme4s(in_both, name):
    ours, theirs = in_both(name)
    intervals, reference = ours.confint(), theirs.confint(method="profile")
    assert list(intervals.index) == list(reference.index)
    assert list(intervals.columns) == list(reference.columns) == ["2.5 %", "97.5 %"]
    # lme4 interpolates by a spline between points about 0.45 apart in zeta: that is all the difference
    width = reference["97.5 %"] - reference["2.5 %"]
    assert ((intervals - reference).abs().div(width, axis=0) < 1e-3).all(axis=None)


@pytest.mark.r
def test_labels_of_levels_are_rs(rscript):
    levels = [0.95, 0.9, 0.99, 0.999, 0.68, 1 / 3, 0.9995]
    code = (
        f"for (l in c({', '.join(map(repr, levels))}))"
        + r"""
      {a <- (1 - l)/2; cat(paste(lme4:::format.perc(c(a, 1 - a), 3), collapse = ";"), "\n")}"""
    )
    for level, line in zip(levels, rscript(code).splitlines(), strict=True):
        assert ";".join(percent_labels((0.5 * (1 - level), 0.5 * (1 + level)))) == line.strip()


# -- against other computations ----------------------------------------------------------------------


def _dense_minimum(data, held):
    """Minimise -2 log-likelihood over (A, log sigma) under a constraint, with V itself and a general optimizer."""
    y = data["y"].to_numpy()
    X = np.column_stack([np.ones(len(y)), data["x"]])
    effects = np.column_stack([np.ones(len(y)), data["x"], data["w"]])
    codes = data["g"].cat.codes.to_numpy()
    same = codes[:, None] == codes[None, :]
    at = np.tril_indices(3)

    def covariance(parameters):
        A = np.zeros((3, 3))
        A[at] = parameters[:6]
        return A @ A.T

    def deviance(parameters):
        V = np.where(same, effects @ covariance(parameters) @ effects.T, 0.0)
        V += np.exp(2 * parameters[6]) * np.eye(len(y))
        inverse = np.linalg.inv(V)
        r = y - X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
        return np.linalg.slogdet(V)[1] + r @ inverse @ r + len(y) * math.log(2 * math.pi)

    def constraint(parameters):
        G = covariance(parameters)
        i, j, x = held
        return (math.sqrt(G[i, i]) if i == j else G[i, j] / math.sqrt(G[i, i] * G[j, j])) - x

    start = np.array([1.5, 0.5, 0.9, -0.3, 0.6, 0.8, 0.0])
    done = minimize(
        deviance, start, method="SLSQP", constraints=[{"type": "eq", "fun": constraint}],
        options={"ftol": 1e-13, "maxiter": 300},
    )  # fmt: skip
    return done.fun


@pytest.mark.parametrize(
    ("parameter", "held"),
    [("cor_x.(Intercept)|g", (1, 0, 0.8)), ("sd_x|g", (1, 1, 0.6)), ("cor_w.x|g", (2, 1, -0.2))],
)
def test_zeta_with_three_effects_is_that_of_constrained_optimisation(three_effects, parameter, held):
    fit = lmer("y ~ x + (x + w | g)", three_effects, REML=False)
    profiler = profiler_of(fit)
    (parameter,) = profiler.parameters.choose(parameter)
    evaluate, start = profiler._function(parameter)
    point = evaluate(held[2], start)
    assert abs(point.zeta) > 0.3  # there is something to compare
    assert fit.deviance() + point.zeta**2 == pytest.approx(_dense_minimum(three_effects, held), abs=1e-5)
    others = dict(zip(profiler.names, point.others(), strict=True))
    assert others[parameter] == pytest.approx(held[2], abs=1e-9)


def test_coefficients_interval_ends_where_the_deviance_with_it_held_says(three_effects):
    # with weights, where lme4 1.1-31's profile of a coefficient jumps beside the estimate, and an offset
    data = three_effects.assign(o=np.linspace(-1, 1, 98))
    fit = lmer("y ~ x + offset(o) + (x | g)", data, weights="weights")
    ends = fit.confint("x").loc["x"]
    best = fit.refitML().deviance()
    for end in ends:
        held = lmer("y ~ 1 + offset(o) + (x | g)", data.assign(o=data["o"] + end * data["x"]), False, weights="weights")
        assert held.deviance() - best == pytest.approx(Z**2, abs=1e-6)
    assert ends.iloc[0] < fit.fixef()["x"] < ends.iloc[1]


def test_intervals_scale_with_the_data(three_effects, slopes):
    scaled = three_effects.assign(y=three_effects["y"] * 1e3, x=three_effects["x"] * 1e-5)
    with pytest.warns(UserWarning, match="very different scales"), pytest.warns(UserWarning, match="singular"):
        fit = lmer("y ~ x + (x | g)", scaled)
    factor = np.array([1e3, 1e8, 1, 1e3, 1e3, 1e8])[:, None]
    np.testing.assert_allclose(fit.confint() / factor, slopes.confint(), rtol=1e-6)


def test_interval_ends_are_exact_and_follow_the_level(slopes):
    profiler = profiler_of(slopes)
    for level in (0.5, 0.95, 0.9999):
        intervals = slopes.confint(level=level)
        z = float(ndtri(0.5 + level / 2))
        for parameter in intervals.index:
            evaluate, start = profiler._function(parameter)
            for end in intervals.loc[parameter]:
                if end in profiler.bounds(parameter):
                    continue
                assert abs(evaluate(end, start).zeta) == pytest.approx(z, abs=1e-6)


@pytest.fixture(scope="module")
def alike() -> pd.DataFrame:
    """Every group has the same values: nothing varies between groups, and all variances are exactly 0."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(8), 6).astype(str)
    return pd.DataFrame({"y": np.tile(rng.normal(size=6), 8), "x": np.tile(rng.normal(size=6), 8), "g": group})


def test_sigma_where_nothing_varies_between_groups_has_a_closed_profile(alike):
    # theta is 0 along the whole profile: d(sigma) = n log sigma^2 + rss / sigma^2
    with pytest.warns(UserWarning, match="singular"):
        fit = lmer("y ~ 1 + (1 | g)", alike, REML=False)
    n, s2 = len(alike), fit.sigma() ** 2
    for end in fit.confint(".sigma").loc[".sigma"]:
        assert n * math.log(end**2 / s2) + n * s2 / end**2 - n == pytest.approx(Z**2, abs=1e-6)


# -- tables, boundaries, bad input -------------------------------------------------------------------


def test_profile_table(slopes):
    table = slopes.profile(["x", "theta_"])
    assert list(table[".par"].unique()) == [".sig01", ".sig02", ".sig03", ".sigma", "x"]
    end = math.sqrt(16.811893829770927)  # qchisq(0.99, 6)
    for parameter, rows in table.groupby(".par"):
        assert rows[".focal"].is_monotonic_increasing
        assert rows[".zeta"].is_monotonic_increasing
        assert (rows[parameter] == rows[".focal"]).all()
        assert rows[".zeta"].max() > end or rows[".focal"].max() == 1
        assert (rows[".zeta"] == 0).sum() == 1
    finer = slopes.profile("x", delta_cutoff=0.05)
    assert len(finer) > len(table[table[".par"] == "x"])


def test_without_variance_intervals_start_at_zero_and_correlations_are_missing(alike):
    with pytest.warns(UserWarning, match="singular"):
        fit = lmer("y ~ x + (x | g)", alike)
    with pytest.warns(PyimplWarning, match=r"\.sig03 is not defined"):
        intervals = fit.confint("theta_")
    assert intervals.loc[".sig03"].isna().all()
    assert (intervals.loc[[".sig01", ".sig02"], "2.5 %"] == 0).all()
    assert (intervals.loc[[".sig01", ".sig02"], "97.5 %"] > 0.05).all()
    with pytest.warns(PyimplWarning, match=r"\.sig03 is not defined"):
        table = fit.profile(["theta_"])
    assert set(table[".par"]) == {".sig01", ".sig02", ".sigma"}
    assert table[".focal"][table[".par"] == ".sig01"].min() == 0.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_correlation_of_one_has_a_profile_on_one_side(three_effects, sign):
    d = three_effects
    shared = np.random.default_rng(3).normal(size=14)[d["g"].cat.codes]
    noise = np.random.default_rng(43).normal(size=98)
    with pytest.warns(UserWarning, match="singular"):
        fit = lmer("y ~ x + (x | g)", d.assign(y=2 + d["x"] + (1 + sign * 0.9 * d["x"]) * shared + 1.5 * noise))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert profiler_of(fit).optimum[1] == pytest.approx(sign)
    lower, upper = fit.confint(".sig03").loc[".sig03"]
    assert sign in (lower, upper)
    inside = lower if sign > 0 else upper
    assert -1 < inside < 1
    evaluate, start = profiler_of(fit)._function(".sig03")
    assert abs(evaluate(inside, start).zeta) == pytest.approx(Z, abs=1e-6)


def test_a_lower_deviance_than_the_fits_is_an_error(three_effects):
    stopped = LmerControl(max_evaluations=1)
    with pytest.warns(UserWarning, match="stopped after"):
        fit = lmer("y ~ x + (x + w | g)", three_effects, REML=False, control=stopped, start=[3.0, 0, 0, 3, 0, 3])
    with pytest.raises(ModelError, match=r"profiling .* detected a lower deviance"):
        fit.profile()


def test_bad_input(slopes):
    with pytest.raises(DataError, match=r"there is no parameter '\.sig09'"):
        slopes.confint([".sig09"])
    with pytest.raises(DataError, match="there is no parameter 'z'"):
        slopes.profile("z")
    with pytest.raises(DataError, match="'profile', 'Wald' or 'boot'"):
        slopes.confint(method="wald")
    with pytest.raises(DataError, match="level must be a number between 0 and 1"):
        slopes.confint(level=95)
    with pytest.raises(DataError, match="alphamax"):
        slopes.profile(alphamax=0)
    assert list(slopes.confint("beta_", method="Wald").index) == ["(Intercept)", "x"]
    for method in ("Wald", "boot"):  # R: ci[parm, ] by number, and get.which sorts names
        for asked, rows in (
            ([6, 5], ["x", "(Intercept)"]),
            ([5, 5], ["(Intercept)", "(Intercept)"]),
            (pd.Index([6, 5]), ["x", "(Intercept)"]),
            (["x", "(Intercept)", "x"], ["(Intercept)", "x"]),
            (5, ["(Intercept)"]),
        ):
            assert list(slopes.confint(asked, method=method, **({"nsim": 9} if method == "boot" else {})).index) == rows
    assert list(slopes.confint([6, 5]).index) == ["(Intercept)", "x"]


def test_names_and_order_are_those_of_the_version(slopes):
    old = slopes.update(dialect="1.1-38")
    kinds = {".sig01": "sd_(Intercept)|g", ".sig02": "cor_x.(Intercept)|g", ".sig03": "sd_x|g", ".sigma": "sigma"}
    before, since = old.confint(), slopes.confint()
    assert list(before.index) == list(since.index)  # the same names ...
    assert before.loc[".sig02"].tolist() == since.loc[".sig03"].tolist()  # ... of other parameters
    assert before.loc[".sig03"].tolist() == since.loc[".sig02"].tolist()
    for fit in (old, slopes):
        named = fit.confint("theta_", signames=False)
        pd.testing.assert_frame_equal(named.loc[list(kinds.values())], before.loc[list(kinds)].set_axis(kinds.values()))
        assert list(fit.confint(["sd_x|g"], method="Wald").index) == [".sig03" if fit is old else ".sig02"]
        profile = fit.profile("cor_x.(Intercept)|g", signames=False)
        assert profile[".par"].unique().tolist() == ["cor_x.(Intercept)|g"]
        assert (profile["cor_x.(Intercept)|g"] == profile[".focal"]).all()
    assert list(old.profile("x").columns[1:4]) == [".sig01", ".sig02", ".sig03"]
    assert list(slopes.bootMer(nsim=2, seed=1).columns) == list(since.index)
    first = old.bootMer(nsim=3, seed=1)
    pd.testing.assert_series_equal(
        first[".sig02"], slopes.bootMer(nsim=3, seed=1)[".sig03"], check_names=False, check_exact=True
    )
