"""``tidy``, ``glance``, ``augment`` and estimated marginal means against R's broom.mixed and emmeans.

R's tables and printed text are in ``data/after.json.gz``, made by ``data/make_after.R`` of ``data/after_cases.json``,
which has each call in both languages; where R has the packages, they are made anew.
"""

import gzip
import json
import subprocess
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pyimpl
from pyimpl.errors import DataError, PyimplWarning
from pyimpl.inference.emm_displays import PairwiseMatrix

DATA = Path(__file__).parent / "data"
CASES = json.loads((DATA / "after_cases.json").read_text())["cases"]
RECORD = json.loads(gzip.decompress((DATA / "after.json.gz").read_bytes()))
CALLS = [
    (i, j) for i, results in enumerate(RECORD["results"]) for j, result in enumerate(results) if "error" not in result
]
TOLERANCE = 2e-5  # R's θ comes of a search that ends about 1e-7 from the minimum; lmerTest's df of difference quotients


def _frame(record, name):
    columns = {}
    for label, column in record["frames"][name].items():
        if "codes" in column:
            codes = [-1 if code is None else code for code in column["codes"]]
            levels = pd.Index(column["levels"], dtype=object)
            columns[label] = pd.Categorical.from_codes(codes, levels, ordered=column["ordered"])
        else:
            columns[label] = column["values"]
    return pd.DataFrame(columns)


@cache
def _fit(i):
    case = CASES[i]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyimpl.lmer(
            case["formula"],
            _frame(RECORD, case["frame"]),
            REML=case.get("REML", True),
            weights=case.get("weights"),
            offset=case.get("offset"),
            contrasts=case.get("contrasts"),
        )


def _evaluated(i, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(call["py"], {"fit": _fit(i)})


def _tables(value):
    if isinstance(value, PairwiseMatrix):
        return []  # the text is all of it
    if isinstance(value, dict):
        return [grid.frame for grid in value.values()]
    if hasattr(value, "contrasts"):
        return [value.emmeans.frame, value.contrasts.frame]
    return [value if isinstance(value, pd.DataFrame) else value.frame]


def _same_column(ours, theirs, tolerance):
    if all(isinstance(value, (int, float)) or value is None for value in theirs) and not any(
        isinstance(value, bool) for value in theirs
    ):
        expected = np.array([np.nan if value is None else value for value in theirs], dtype=float)
        found = np.array(ours, dtype=float)
        found[np.isinf(found)] = np.nan  # JSON has no infinity
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    else:
        assert [None if pd.isna(value) else str(value) for value in ours] == [
            None if value is None else str(value) for value in theirs
        ]


@pytest.mark.parametrize(("i", "j"), CALLS, ids=lambda value: str(value))
def test_tables_are_rs(i, j):
    call, recorded = CASES[i]["calls"][j], RECORD["results"][i][j]
    tables = _tables(_evaluated(i, call))
    assert len(tables) == len(recorded["tables"])
    for ours, theirs in zip(tables, recorded["tables"], strict=True):
        kept = {name: column for name, column in theirs.items() if name not in call.get("drop", ())}
        plain = [str(name) for name in ours.columns]
        assert plain == list(kept)
        for name, column in kept.items():
            values = column if isinstance(column, list) else [column]
            _same_column(ours[name], values, call.get("tolerance", TOLERANCE))


def _is_printed(i, j):
    text = RECORD["results"][i][j].get("text")
    return text is not None and "tibble" not in text and "tolerance" not in CASES[i]["calls"][j]


@pytest.mark.parametrize(("i", "j"), [pair for pair in CALLS if _is_printed(*pair)], ids=lambda value: str(value))
def test_text_is_rs(i, j):
    ours = str(_evaluated(i, CASES[i]["calls"][j]))
    theirs = RECORD["results"][i][j]["text"]
    assert ours.rstrip("\n") == theirs.rstrip("\n")


def test_singular_mvt_is_tukeys():
    """With equal variances and pairwise differences of independent means mvt is Tukey's distribution."""
    from scipy.stats import studentized_range

    from pyimpl.inference.adjustments import Family, adjusted_critical_values, adjusted_p_values

    L = np.array([[1, -1, 0, 0], [1, 0, -1, 0], [1, 0, 0, -1], [0, 1, -1, 0], [0, 1, 0, -1], [0, 0, 1, -1]]) / 2**0.5
    family = Family([np.arange(6)], 4.0, 6.0, True, [3], L @ L.T)
    t, df = np.array([0.5, 1.0, 2.0, 2.5, 3.0, 4.0]), np.full(6, 15.0)
    exact = studentized_range.sf(2**0.5 * t, 4, 15)
    np.testing.assert_allclose(adjusted_p_values(t, df, "mvt", family).numbers, exact, atol=1e-4)
    ends = adjusted_critical_values(0.95, df, "mvt", family).numbers
    np.testing.assert_allclose(ends, studentized_range.ppf(0.95, 4, 15) / 2**0.5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_several_specs_are_named_as_in_r():
    fit = _fit(0)
    both = fit.emmeans(["pairwise ~ a | b", "~ b"], adjust="sidak")
    assert list(both) == ["emmeans of a | b", "pairwise differences of a | b", "emmeans of b"]
    assert list(fit.emmeans([["a"], ["a", "b"]])) == ["emmeans of a", "emmeans of a, b"]
    alone = fit.emmeans("pairwise ~ a | b", adjust="sidak")
    assert str(both["pairwise differences of a | b"]) == str(alone.contrasts)
    custom = fit.emmeans({"x": "trt.vs.ctrl ~ a", "y": "~ b"}, ref=2)  # an option of the contrasts there are
    assert list(custom) == ["x emmeans", "x differences from control", "y"]


@pytest.mark.filterwarnings("ignore")
def test_a_slope_over_everything_where_factors_are_nested():
    frame = _frame(RECORD, "study")
    frame["inner"] = pd.Categorical(frame["a"].astype(str) + (frame["u"] > 3).map({True: "+", False: "-"}))
    fit = pyimpl.lmer("y ~ a / inner + x + (1 | g)", frame)
    slopes = fit.emtrends("~ 1", "x")
    assert slopes.frame["x.trend"].item() == pytest.approx(fit.fixef()["x"], rel=1e-9)
    assert "averaged over the levels of: inner, a" in str(slopes)  # as R says it


def test_numbers_that_the_formula_makes_a_factor_of_are_held_at_their_first_level():
    """ggeffects' ggpredict does so; their mean is no level."""
    fit = _fit(6)
    held = fit.predictions("b", at={"o": "II"})
    assert held["k"].tolist() == [1, 1]
    np.testing.assert_allclose(held["predicted"], fit.predict(held, re_form="~0"), rtol=1e-12)
    assert fit.predictions("k")["k"].tolist() == [1, 2, 4]


def test_posteriors_of_a_transformed_response_are_transformed_draw_by_draw():
    fit = pyimpl.stan_lmer("log(z) ~ b + (1 | g)", _frame(RECORD, "study"), seed=1, chains=2, iter=400)
    means = fit.emmeans("pairwise ~ b", type="response")
    draws = means.emmeans.draws()
    assert means.emmeans.frame["response"].iloc[0] == pytest.approx(np.median(np.exp(draws[:, 0])), rel=1e-12)
    assert means.contrasts.frame.loc[0, ["contrast", "ratio"]].tolist() == [
        "u / v",
        pytest.approx(np.median(np.exp(draws[:, 0] - draws[:, 1])), rel=1e-12),
    ]
    assert "Results are back-transformed from the log scale" in str(means.contrasts)
    assert "Results are given on the log (not the response) scale." in str(fit.emmeans("b"))
    with pytest.raises(DataError, match="'link' or 'response'"):
        fit.emmeans("b", type="odds")


def test_what_0_over_0_prints_is_rs_nan():
    fit = pyimpl.lmer("y ~ x + x:b + (1 | g)", _frame(RECORD, "study"))
    pairs = fit.emmeans("~ b | x", at={"x": [0, 1]}, ddf="asymptotic", nesting=False).pairs()
    assert str(pairs).splitlines()[2].split()[-3:] == ["Inf", "NaN", "NaN"]


@pytest.mark.filterwarnings("ignore")
def test_means_over_more_covariates_than_an_array_has_dimensions():
    rng = np.random.default_rng(4)
    data = pd.DataFrame(rng.normal(size=(400, 70)), columns=[f"x{i}" for i in range(70)])
    data["f"], data["g"] = rng.choice(["a", "b"], 400), np.arange(400) % 20
    data["y"] = data["x3"] + (data["f"] == "b") + rng.normal(size=20)[data["g"]] + rng.normal(size=400)
    fit = pyimpl.lmer("y ~ f + " + " + ".join(f"x{i}" for i in range(70)) + " + (1 | g)", data)
    beta, means = fit.fixef(), data.mean(numeric_only=True)
    expected = beta["(Intercept)"] + sum(beta[f"x{i}"] * means[f"x{i}"] for i in range(70)) + np.r_[0, beta["fb"]]
    np.testing.assert_allclose(fit.emmeans("f", ddf="asymptotic").frame["emmean"], expected, rtol=1e-10)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_letters_show_what_the_tests_show(count):
    """Two estimates share a symbol if and only if their difference is not significant."""
    rng = np.random.default_rng(count)
    data = pd.DataFrame({"a": [f"l{i:02d}" for i in np.arange(20 * count) % count], "g": np.arange(20 * count) % 7})
    data["y"] = rng.normal(size=count)[np.arange(20 * count) % count] + rng.normal(size=len(data))
    means = pyimpl.lmer("y ~ a + (1 | g)", data).emmeans("a", ddf="asymptotic")
    for options in ({}, {"reversed": True}, {"signif_sets": True}, {"sort": False}):
        table = means.cld(adjust="holm", **options).frame
        place = dict(zip(table["a"], table.iloc[:, -1], strict=True))
        tests = means.pairs(adjust="holm").frame
        for name, p in zip(tests["contrast"], tests["p.value"], strict=True):
            one, other = (place[level] for level in name.split(" - "))
            shared = any(x == y != " " for x, y in zip(one, other, strict=True))
            assert shared == ((p < 0.05) if "signif_sets" in options else (p >= 0.05))


def test_posterior_means_are_linear_functions_of_the_draws():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = pyimpl.stan_lmer("y ~ a + x + (1 | g)", _frame(RECORD, "study"), seed=1)
    draws = fit.as_matrix(["(Intercept)", "amid", "ahigh", "x"])
    x = _frame(RECORD, "study")["x"].mean()
    low = draws["(Intercept)"] + x * draws["x"]
    means = fit.emmeans("pairwise ~ a")
    table = means.emmeans.frame
    assert list(table.columns) == ["a", "emmean", "lower.HPD", "upper.HPD"]
    assert table["emmean"].iloc[0] == pytest.approx(low.median(), rel=1e-12)
    inside = (low >= table["lower.HPD"].iloc[0]) & (low <= table["upper.HPD"].iloc[0])
    assert inside.mean() == pytest.approx(0.95, abs=2 / len(low))
    assert means.contrasts.frame["estimate"].iloc[0] == pytest.approx(-draws["amid"].median(), rel=1e-12)
    assert "HPD interval probability: 0.95" in str(means)
    tidied = fit.tidy(effects=["fixed", "ran_vals"], conf_int=True)
    assert list(tidied.columns) == ["term", "estimate", "std.error", "conf.low", "conf.high", "level", "group"]
    assert fit.glance()["pss"].item() == len(low)
    # frequentist = TRUE and joint tests take the draws' means and covariance matrix, without degrees of freedom
    own = draws.to_numpy()
    L = np.array([[0, -1, 0, 0], [0, 0, -1, 0]])
    value, V = L @ own.mean(axis=0), L @ np.cov(own.T) @ L.T
    z = means.contrasts.summary(frequentist=True).frame
    np.testing.assert_allclose(z["z.ratio"].iloc[:2], value / np.sqrt(np.diag(V)), rtol=1e-9)
    assert z["df"].tolist() == [np.inf] * 3
    F = value @ np.linalg.solve(V, value) / 2
    joint = means.contrasts.test(joint=True).frame
    assert joint[["df1", "df2", "F.ratio"]].iloc[0].tolist() == [2, np.inf, pytest.approx(F, abs=5.1e-4)]
    tests = fit.joint_tests().frame.set_index("model term")
    assert tests.loc["a", "F.ratio"] == pytest.approx(F, abs=5.1e-4)
    with pytest.raises(DataError, match="divide draws"):
        means.emmeans.eff_size(1.0, 20)


def test_slopes_with_an_offset():
    """R's emtrends fails on a fit with an offset; slopes do not depend on it."""
    slopes = _fit(4).emtrends("~ a", "x").frame
    beta = _fit(4).fixef()
    assert slopes["x.trend"].iloc[0] == pytest.approx(beta["alow:x"], rel=1e-6)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda fit: fit.emmeans("~ nothing"), "no variable named 'nothing'"),
        (lambda fit: fit.emmeans("~ a", at={"a": ["none"]}), "not a level of a"),
        (lambda fit: fit.emmeans("~ a", ddf="between"), "ddf is"),
        (lambda fit: fit.emmeans("~ a").contrast("nope"), "method is one of"),
        (lambda fit: fit.emmeans("~ a").contrast({"c": [1, -1]}), "2 coefficients; there are 3"),
        (lambda fit: fit.emmeans("~ a").summary(adjust="nope", infer=True), "adjust is one of"),
        (lambda fit: fit.emtrends("~ a", "b"), "is a factor"),
        (lambda fit: fit.tidy(effects="random"), "effects are some of"),
        (lambda fit: fit.emmeans("~ a").pwpm(pvals=False, means=False, diffs=False), "must be True"),
        (lambda fit: fit.emmeans("~ a").cld(Letters=""), "no symbol"),
        (lambda fit: fit.emmeans("~ a").cld(by="nothing"), "no variable 'nothing'"),
        (lambda fit: fit.plot_emmeans(["~ a", "~ b"]), "one specification"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_arguments_are_named(call, text):
    with pytest.raises(DataError, match=text):
        call(_fit(0))


def test_a_nesting_structure_is_said_in_rs_words():
    frame = _frame(RECORD, "study")
    frame["inner"] = pd.Categorical(frame["a"].astype(str) + (frame["u"] > 3).map({True: "+", False: "-"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = pyimpl.lmer("y ~ a / inner + (1 | g)", frame)
    with pytest.warns(PyimplWarning, match="nesting structure was detected in the fitted model:\n    inner %in% a"):
        means = fit.emmeans("~ inner")
    assert sorted(means.frame["a"].astype(str)) == ["high", "high", "low", "low", "mid", "mid"]
    with pytest.raises(DataError, match="by their names"):
        means.contrast({"c": [1, -1, 0, 0, 0, 0]})


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.r_packages("emmeans", "broom.mixed", "multcompView")
def test_the_record_is_rs(r_versions):
    """Live R, where it has the packages in the versions of the record, says the same."""
    versions = {name: RECORD["versions"][name] for name in ("lme4", "emmeans", "broom.mixed")}
    if {name: r_versions[name].replace("-", ".") for name in versions} != versions:
        pytest.skip(f"needs emmeans and broom.mixed of R, in the versions {versions}")
    made = subprocess.run(
        ["Rscript", "--vanilla", str(DATA / "make_after.R"), str(DATA)], capture_output=True, text=True, check=True
    )
    live = json.loads(made.stdout)
    assert live["frames"] == RECORD["frames"]
    for ours, theirs in zip(live["results"], RECORD["results"], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            if "mvt" in one["r"] or "consec" in one["r"]:
                continue  # integrated with random points
            assert one.get("text") == other.get("text"), one["r"]


def test_families_that_do_not_fit_are_refused():
    data = _frame(RECORD, "study")
    fit, other = (pyimpl.lmer(formula, data) for formula in ("y ~ a + (1 | g)", "y ~ a + x + (1 | g)"))
    means = fit.emmeans("a")
    with pytest.raises(DataError, match="different fits"):
        means.rbind(other.emmeans("a"))
    with pytest.raises(DataError, match="simple_contrasts"):
        means.contrast("pairwise", simple="each")
    with pytest.raises(DataError, match="cross_adjust is one of sidak"):
        means.test(cross_adjust="tukey")
    with pytest.raises(DataError, match="must be positive, not 0"):
        means.eff_size(0, 10)


def test_effect_sizes_are_the_delta_method_for_means_of_any_sign():
    data = _frame(RECORD, "study")
    fit = pyimpl.lmer("y ~ a + (1 | g)", data.assign(y=data["y"] - data["y"].mean()))
    means = fit.emmeans("a", ddf=12)
    value, V, sigma, edf = means.frame["emmean"].to_numpy(), means.vcov(), 1.7, 30.0
    assert (value < 0).any()
    assert (value > 0).any()

    def of(m, log_sigma):
        return np.array([m[0] - m[1], m[0] - m[2], m[1] - m[2]]) / np.exp(log_sigma)

    at = np.append(value, np.log(sigma))
    step = 1e-6 * np.eye(4)
    J = np.array([(of(*np.split(at + h, [3])) - of(*np.split(at - h, [3]))) / 2e-6 for h in step]).T
    whole = np.zeros((4, 4))
    whole[:3, :3], whole[3, 3] = V, 1 / (2 * edf)
    found = means.eff_size(sigma, edf).frame
    np.testing.assert_allclose(found["effect.size"], of(value, np.log(sigma)), rtol=1e-12)
    np.testing.assert_allclose(found["SE"], np.sqrt(np.diag(J @ whole @ J.T)), rtol=1e-7)


def test_differences_of_what_the_model_makes_alike_are_0_and_have_no_test():
    fit = pyimpl.lmer("y ~ x + x:b + (1 | g)", _frame(RECORD, "study"))
    for method in ("kenward-roger", "satterthwaite"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pairs = fit.emmeans("~ b | x", at={"x": [0, 1]}, ddf=method).pairs()
        table = pairs.frame
        assert table.loc[0, ["estimate", "SE"]].tolist() == [0, 0]
        assert table.loc[0, ["df", "t.ratio", "p.value"]].isna().all()
        assert 0 < table.loc[1, "p.value"] < 1
        assert "x = 0:" in str(pairs)


def test_criteria_of_several_models_and_what_variances_print_as():
    data = _frame(RECORD, "study")
    one, two = (pyimpl.lmer(formula, data) for formula in ("y ~ a + (1 | g)", "y ~ a + x + (x | g)"))
    assert one.AIC(two).to_dict("list") == {"df": [5, 8], "AIC": [one.AIC(), two.AIC()]}
    assert list(one.BIC(two, model_names=["one", "two"]).index) == ["one", "two"]
    with pytest.raises(ValueError, match="different lengths"):
        one.AIC(two, model_names=["one"])
    with pytest.warns(PyimplWarning, match="same number of observations"):
        one.AIC(pyimpl.lmer("y ~ a + (1 | g)", data.iloc[:90]))
    table = two.VarCorr()
    assert str(table) == repr(table) == table.to_text()
    table["share"] = table["vcov"] / table["vcov"].sum()
    assert "share" in str(table)  # a column of the user's own is shown


def test_levels_of_r2_are_in_the_formulas_order():
    fit = pyimpl.lmer("y ~ a + x + (1 | h) + (1 | g)", _frame(RECORD, "study"))
    assert fit.r2(by_group=True)["Level"].tolist() == [
        "Level 1",
        "h",
        "g",
    ]  # performance; VarCorr has g, of more levels, first


def test_aicc_of_as_many_parameters_as_rows_but_one_is_infinite_as_in_r():
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0, 5.0], "x": [1, 0, 2, 1, 3], "g": list("aabbb")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pyimpl.lmer("y ~ x + (1 | g)", frame).AICc() == np.inf
