"""Prior specifications and how they are resolved against the data."""

import numpy as np
import pytest

from pyimpl.errors import DataError, ModelError, RankDeficientWarning
from pyimpl.posterior import priors
from pyimpl.posterior.priors import cauchy, decov, exponential, normal, student_t
from pyimpl.posterior.specification import FLAT, specify
from tests.pyimpl.posterior_cases import design_of, recorded, specification_of


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


@pytest.mark.parametrize("name", ["laplace", "lasso", "hs", "hs_plus", "product_normal", "lkj"])
def test_priors_that_are_not_there_are_refused_by_name(name: str) -> None:
    with pytest.raises(ModelError, match=name):
        getattr(priors, name)()


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ModelError, match="scale should be positive"):
        normal(0, -1)
    with pytest.raises(ModelError, match="rate should be positive"):
        exponential(0)
    with pytest.raises(ModelError, match="df should be positive"):
        student_t(0)
    with pytest.raises(ModelError, match="numeric"):
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
        specify(
            design_of(record),
            prior=normal(),
            prior_intercept=normal(),
            prior_aux=exponential(),
            prior_covariance=decov(),
        )


def test_constant_columns_are_dropped_as_in_rstanarm() -> None:
    record = dict(recorded()["cases"]["no_intercept"])
    X = np.array(record["X"], dtype=float)
    X[:, 3] = 5.0
    record["X"] = X.tolist()
    arguments = {"prior_intercept": normal(), "prior_aux": exponential(), "prior_covariance": decov()}
    with pytest.warns(RankDeficientWarning, match="Dropped empty interaction levels: x1"):
        spec = specify(design_of(record), prior=normal(), **arguments)
    assert spec.design.coef_names == ("fa", "fb", "fc")
    assert spec.K == 3
