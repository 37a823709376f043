"""Prior specifications and how they are resolved against the data."""

from collections.abc import Callable

import numpy as np
import pytest

from pyimpl.errors import DataError, ModelError, RankDeficientWarning
from pyimpl.posterior import priors
from pyimpl.posterior.priors import (
    Priors,
    cauchy,
    decov,
    exponential,
    hs,
    hs_plus,
    laplace,
    lasso,
    lkj,
    normal,
    product_normal,
    student_t,
)
from pyimpl.posterior.specification import FLAT, specify
from pyimpl.posterior.text import prior_text
from tests.pyimpl.posterior_cases import PRIORS, case_names, design_of, recorded, specification_of


def test_defaults_are_autoscaled_as_rstanarm_2_21() -> None:
    spec = specification_of("M2")
    # STAN_LMER_MODEL.md, from rstanarm's prior.info
    assert spec.intercept.mean[0] == pytest.approx(73.3874492754, abs=1e-9)
    assert spec.intercept.scale[0] == pytest.approx(40.8023882755, abs=1e-9)
    assert spec.coef.scale[0] == pytest.approx(83.164455817274, abs=1e-9)
    assert 1 / spec.aux.scale[0] == pytest.approx(1 / 16.3209553102, abs=1e-11)
    assert spec.intercept.adjusted
    assert spec.coef.adjusted
    assert spec.aux.adjusted


def test_a_prior_that_the_user_gives_is_not_autoscaled() -> None:
    spec = specification_of("M2", prior=normal(0, 100), prior_intercept=normal(0, 100))
    assert spec.coef.scale[0] == 100
    assert spec.intercept.scale[0] == 100
    assert spec.intercept.mean[0] == 0
    assert not spec.coef.adjusted
    # autoscaled on request, but still not centred at mean(y): only the default is
    asked = specification_of("M2", prior_intercept=normal(0, 2.5, autoscale=True))
    assert asked.intercept.mean[0] == 0
    assert asked.intercept.scale[0] == pytest.approx(40.8023882755, abs=1e-9)


def test_flat_and_default_scales() -> None:
    spec = specification_of("M2", prior=None, prior_intercept=student_t(4), prior_aux=cauchy())
    assert spec.coef.dist == FLAT
    assert spec.intercept.scale[0] == 2.5
    assert spec.intercept.df[0] == 4
    assert spec.aux.scale[0] == 1


def test_predictors_are_centred_only_with_an_intercept() -> None:
    assert np.abs(specification_of("M2").x.mean(axis=0)).max() < 1e-15
    no_intercept = specification_of("no_intercept")
    assert not no_intercept.has_intercept
    assert np.array_equal(no_intercept.xbar, np.zeros(4))


SUMMARIES = [name for name in case_names() if set(PRIORS.get(name, {})) & {"prior", "QR"}]


@pytest.mark.parametrize("name", [*SUMMARIES, "M3", "decov"])
def test_prior_summary_is_rs_text(name: str) -> None:
    assert prior_text(specification_of(name), model_name="fit") == recorded()["cases"][name]["prior_summary"]


def test_arguments_of_the_shrinkage_priors_are_rs() -> None:
    horseshoe = specification_of("hs_default").coef
    assert (horseshoe.global_df, horseshoe.global_scale, horseshoe.slab_df, horseshoe.slab_scale) == (1, 0.01, 4, 2.5)
    assert specification_of("laplace_weights").coef.scale.tolist() == [2.5, 2.5]
    assert specification_of("M2", prior=lasso()).coef.df.tolist() == [1]
    assert specification_of("qr_product").coef.scale.tolist() == [2, 2]
    plus = specification_of("M3", prior=hs_plus(df1=2, df2=5)).coef
    assert (plus.df.tolist(), plus.scale.tolist()) == ([2], [5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: laplace(0, -1), "scale should be positive"),
        (lambda: lasso(df=-1), "df should be positive"),
        (lambda: lasso(df=np.inf), "df should be finite"),
        (lambda: hs(global_scale=0), "global_scale should be positive"),
        (lambda: hs(slab_df=[1, 2]), "slab_df must be a number, not"),
        (lambda: hs_plus(df2=-1), "df2 should be positive"),
        (lambda: product_normal(df=1.5), "whole number"),
        (lambda: product_normal(df=1), "2 or more"),
    ],
)
def test_wrong_hyperparameters_are_refused(make: Callable, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize("prior", [laplace(), lasso(), hs(), hs_plus(), product_normal()])
def test_shrinkage_priors_are_for_coefficients_only(prior: priors.Prior) -> None:
    for place in ("prior_intercept", "prior_aux"):
        with pytest.raises(ModelError, match=rf"{place}: the prior distribution should be one of .*{prior.dist}"):
            specification_of("M2", **{place: prior})


def test_what_stan_stops_at_is_refused() -> None:
    with pytest.raises(ModelError, match=r"lasso\(\) needs a coefficient"):
        specification_of("M1", prior=lasso())
    with pytest.raises(ModelError, match=r"product_normal\(\) needs 2 or more coefficients"):
        specification_of("M2", prior=product_normal())
    with pytest.raises(ModelError, match="stan_mvmer"):
        specification_of("M2", prior_covariance=lkj())
    with pytest.raises(ModelError, match="exponential\\(\\) is a prior of sigma"):
        specification_of("M2", prior=exponential())
    with pytest.raises(ModelError, match="multiple predictors"):
        specification_of("M2", QR=True)


def test_qr_orthogonalises_as_r_and_leads_back() -> None:
    plain, qr = specification_of("qr", QR=False), specification_of("qr")
    gram = qr.x.T @ qr.x
    assert np.allclose(gram, (qr.y.size - 1) * np.eye(3), atol=1e-9)
    assert np.allclose(qr.x, plain.x @ qr.R_inv, atol=1e-10)
    assert np.allclose(qr.xbar, plain.xbar @ qr.R_inv)
    # not autoscaled: the last diagonal element of R, whatever its sign
    given = specification_of("qr_given")
    assert np.allclose(given.x.T @ given.x, (given.x.T @ given.x)[0, 0] * np.eye(4), atol=1e-8)
    assert given.R_inv[3, 3] == pytest.approx(1.0)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ModelError, match="scale should be positive"):
        normal(0, -1)
    with pytest.raises(ModelError, match="rate should be positive"):
        exponential(0)
    with pytest.raises(ModelError, match="df should be positive"):
        student_t(0)
    with pytest.raises(ModelError, match="location must be a number or a sequence of numbers, not 'a'"):
        normal("a")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="shape should be positive"):
        decov(shape=0)


def test_priors_in_the_wrong_place_are_refused() -> None:
    with pytest.raises(ModelError, match=r"prior_intercept: .*exponential"):
        specification_of("M1", prior_intercept=exponential())
    with pytest.raises(ModelError, match="'prior_covariance' can't be None"):
        specification_of("M1", prior_covariance=None)
    with pytest.raises(ModelError, match="decov"):
        specification_of("M1", prior_covariance=normal())
    with pytest.raises(ModelError, match="'prior_aux' cannot be None"):
        specification_of("M1", prior_aux=None, prior_PD=True)
    with pytest.raises(ModelError, match="should be a prior such as"):
        specification_of("M1", prior="normal")


def test_wrong_lengths_are_refused_with_both_counts() -> None:
    with pytest.raises(ModelError, match=r"location of prior has 3 values.*\(2\)"):
        specification_of("two_one", prior=normal([0, 0, 0], 1))
    with pytest.raises(ModelError, match=r"shape of decov\(\) has 3 values.*\(2\)"):
        specification_of("two_one", prior_covariance=decov(shape=[1, 1, 1]))


def test_constant_response_is_refused() -> None:
    record = dict(recorded()["cases"]["two_one"])
    record["y"] = [4.0] * len(record["y"])
    with pytest.raises(DataError, match="constant"):
        specify(design_of(record), Priors(normal(), normal(), exponential()))


def test_constant_columns_are_dropped_as_in_rstanarm() -> None:
    record = dict(recorded()["cases"]["no_intercept"])
    X = np.array(record["X"], dtype=float)
    X[:, 3] = 5.0
    record["X"] = X.tolist()
    with pytest.warns(RankDeficientWarning, match="Dropped empty interaction levels: x1"):
        spec = specify(design_of(record), Priors(normal(), normal(), exponential()))
    assert spec.design.coef_names == ("fa", "fb", "fc")
    assert spec.K == 3
