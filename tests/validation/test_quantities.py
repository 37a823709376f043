"""A fit as a long table, and the join by label."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from validation.quantities import (
    KEYS,
    draws_of,
    groups_of,
    join,
    likelihood_quantities,
    posterior_summary,
    split_parameter,
)
from validation.references.provenance import data_hash


def test_every_quantity_of_a_fit(ml_fit, reml_fit):
    table = likelihood_quantities(ml_fit).table
    assert list(table.columns) == [*KEYS, "value", "error"]
    assert set(table["quantity"]) == {
        "nobs", "npar", "df_residual", "ngrps", "criterion", "singular", "logLik", "deviance", "AIC", "BIC", "fixef",
        "se", "t", "vcov", "theta", "sigma", "variance", "covariance", "sd", "cor", "ranef", "condsd", "coef", "fitted",
        "residuals", "scaled_residuals",
    }  # fmt: skip
    assert "REMLcrit" in set(likelihood_quantities(reml_fit).table["quantity"])
    assert len(table[table["quantity"] == "ranef"]) == 60
    assert not table.duplicated(list(KEYS)).any()


def test_a_method_that_fails_is_noted_and_the_others_go_on(ml_fit):
    class Broken:
        def __getattr__(self, name):
            if name == "vcov":
                raise AttributeError("no vcov here")
            return getattr(ml_fit, name)

    extraction = likelihood_quantities(Broken())
    assert "no vcov here" in extraction.problems["vcov"]
    assert "vcov" not in set(extraction.table["quantity"])
    assert "fixef" in set(extraction.table["quantity"])


def test_the_join_is_by_label_not_by_position(ml_fit):
    table = likelihood_quantities(ml_fit).table
    shuffled = table.sample(frac=1.0, random_state=3)
    joined = join(table, shuffled)
    assert len(joined) == len(table)
    pd.testing.assert_series_equal(joined["reference"], joined["candidate"], check_names=False)
    assert joined["has_reference"].all()
    assert joined["has_candidate"].all()


def test_rows_of_either_side_stay(ml_fit):
    table = likelihood_quantities(ml_fit).table
    joined = join(table.iloc[1:], table.iloc[:-1])
    assert len(joined) == len(table)
    assert (~joined["has_reference"]).sum() == 1
    assert (~joined["has_candidate"]).sum() == 1


def test_a_label_that_occurs_twice_loses_nothing(ml_fit):
    table = likelihood_quantities(ml_fit).table
    doubled = pd.concat([table, table.iloc[[10]]])
    joined = join(table, doubled)
    assert len(joined) == len(table) + 1
    assert (~joined["has_reference"]).sum() == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("(Intercept)", (None, "(Intercept)", None, None)),
        ("sigma", (None, "sigma", None, None)),
        ("b[(Intercept) school:20920]", ("school", "(Intercept)", None, "20920")),
        ("b[femaleF school:_NEW_school]", ("school", "femaleF", None, "_NEW_school")),
        ("b[I(x + 1) g:a]", ("g", "I(x + 1)", None, "a")),
        ("b[(Intercept) cask:batch:a:A]", ("cask:batch", "(Intercept)", None, "a:A")),
        ("Sigma[school:femaleF,(Intercept)]", ("school", "femaleF", "(Intercept)", None)),
        ("x:factorB", (None, "x:factorB", None, None)),
    ],
)
def test_rstanarms_names_are_taken_apart(name, expected):
    assert split_parameter(name) == expected


def test_summaries_with_their_monte_carlo_errors():
    rng = np.random.default_rng(3)
    summary = posterior_summary(["a", "b"], rng.normal(size=(2, 4, 1000)) + np.array([0.0, 5.0])[:, None, None])
    assert summary.loc["b", "mean"] == pytest.approx(5.0, abs=0.1)
    assert summary.loc["a", "mcse_mean"] == pytest.approx(1 / np.sqrt(4000), rel=0.15)
    assert summary.loc["a", "mcse_q2.5"] > 1.5 * summary.loc["a", "mcse_q50"]
    assert (summary["rhat"] < 1.01).all()


def test_draws_of_a_dataset_with_one_labelled_dimension():
    import xarray as xr

    rng = np.random.default_rng(3)
    dataset = xr.Dataset(
        {
            "sigma": (("chain", "draw"), rng.normal(size=(2, 5))),
            "b": (("chain", "draw", "b_label"), rng.normal(size=(2, 5, 3))),
        },
        coords={"b_label": ["b[x g:1]", "b[x g:2]", "b[x g:_NEW_g]"]},
    )

    class Fit:
        posterior = dataset

    names, draws = draws_of(Fit())
    assert names == ["sigma", "b[x g:1]", "b[x g:2]", "b[x g:_NEW_g]"]
    assert draws.shape == (4, 2, 5)
    np.testing.assert_array_equal(draws[2], dataset["b"].values[:, :, 1])


def test_the_hash_sees_values_levels_and_their_order(data):
    same = data_hash(data)
    assert data_hash(data.copy()) == same
    changed = data.copy()
    changed.loc[changed.index[3], "course"] += 1e-12
    assert data_hash(changed) != same
    releveled = data.assign(female=data["female"].cat.reorder_categories(["F", "M"]))
    assert data_hash(releveled) != same
    assert data_hash(data.rename(columns={"course": "score"})) != same
    assert data_hash(data.set_index(np.arange(len(data)) + 5)) == same


def test_the_hash_takes_rs_na_for_what_it_is():
    missing = np.array([0x7FF00000000007A2], dtype=np.uint64).view(float)  # R's NA_real_
    left, right = (pd.DataFrame({"x": [1.0, value]}) for value in (missing[0], np.nan))
    assert data_hash(left) == data_hash(right)
    assert data_hash(left) != data_hash(pd.DataFrame({"x": [1.0, 0.0]}))


def test_values_missing_on_one_side_are_not_taken_for_absent_rows(ml_fit):
    coefficients = ml_fit.coefficients.copy()
    coefficients.iloc[0, 0] = np.nan
    table = likelihood_quantities(replace(ml_fit, coefficients=coefficients)).table
    joined = join(likelihood_quantities(ml_fit).table, table)
    assert joined["has_candidate"].all()


def test_the_error_of_a_standard_deviation_follows_the_squares():
    """Draws with autocorrelation −.7 have squares with .49: an ESS of n(1 − .49)/(1 + .49), whatever ArviZ is there."""
    rng = np.random.default_rng(6)
    draws = rng.normal(size=(1, 4, 20_000))
    for t in range(1, draws.shape[2]):
        draws[..., t] = -0.7 * draws[..., t - 1] + np.sqrt(0.51) * draws[..., t]
    exact = np.sqrt(1 / (2 * 80_000 * 0.51 / 1.49))
    assert posterior_summary(["a"], draws).loc["a", "mcse_sd"] == pytest.approx(exact, rel=0.05)


def test_an_effect_that_is_another_one_twice_hides_no_group():
    assert groups_of(["Sigma[g:x:f,f,x:f,f]", "Sigma[a:b:poly(x, 2)1,poly(x, 2)1]"]) == ("a:b", "g")
