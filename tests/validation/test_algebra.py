"""The judge's own algebra, against dense textbook formulas."""

import numpy as np
import pytest
import scipy.sparse as sp

from validation.algebra import objective_floor, pieces_of, solve


@pytest.mark.parametrize("reml", [False, True])
def test_against_the_marginal_normal_density(design, reml):
    pieces, _ = design
    theta = np.array([0.7, -0.2, 0.5])
    found = solve(pieces, theta, reml)
    L = (pieces.Z @ pieces.Lambda(theta)).toarray()
    V = np.eye(len(pieces.y)) + L @ L.T
    Vi = np.linalg.inv(V)
    X, y = pieces.X, pieces.y
    XVX = X.T @ Vi @ X
    beta = np.linalg.solve(XVX, X.T @ Vi @ y)
    r = y - X @ beta
    df = len(y) - (X.shape[1] if reml else 0)
    sigma2 = r @ Vi @ r / df
    objective = df * np.log(2 * np.pi * sigma2) + np.linalg.slogdet(V)[1] + df
    if reml:
        objective += np.linalg.slogdet(XVX)[1]
    assert found.objective == pytest.approx(objective, rel=1e-12)
    np.testing.assert_allclose(found.beta, beta, rtol=1e-10)
    np.testing.assert_allclose(found.vcov, sigma2 * np.linalg.inv(XVX), rtol=1e-10)
    Lambda = pieces.Lambda(theta).toarray()
    b = Lambda @ Lambda.T @ pieces.Z.toarray().T @ Vi @ r
    np.testing.assert_allclose(found.b, b, atol=1e-9)
    full = sigma2 * (Lambda @ Lambda.T - Lambda @ L.T @ Vi @ L @ Lambda.T)
    sds = found.conditional_sds()
    np.testing.assert_allclose(list(sds.values()), np.sqrt(np.diag(full)), rtol=1e-8)


@pytest.mark.parametrize("reml", [False, True])
def test_no_objective_is_below_the_least(design, reml):
    from dataclasses import replace

    plain, _ = design
    rng = np.random.default_rng(11)
    weighted = replace(plain, weights=rng.uniform(0.5, 3.0, plain.y.size), offset=rng.normal(0, 5, plain.y.size))
    for pieces in (plain, weighted):
        least = objective_floor(pieces, reml)
        found = [solve(pieces, scale * rng.normal(size=3), reml).objective for scale in np.geomspace(1e-3, 1e3, 30)]
        assert least <= min(found)
        assert least > min(found) - plain.y.size  # and it says something
    # every row a level of its own: nothing is left over, and nothing bounds the objective
    every_row = replace(plain, Z=sp.csc_array(np.hstack([plain.Z.toarray(), np.eye(plain.y.size)])))
    assert objective_floor(every_row, reml) == -np.inf


def test_pieces_are_read_back_from_a_fit(design, ml_fit):
    pieces, _ = design
    read = pieces_of(ml_fit)
    assert read.terms == pieces.terms
    assert read.theta_names == pieces.theta_names
    np.testing.assert_array_equal((np.array(read.bounds)[:, 0] == 0.0), [True, False, True])


def test_pieces_that_do_not_fit_each_other_are_refused(ml_fit):
    from dataclasses import replace

    with pytest.raises(ValueError, match="Z has 58 columns, its terms 60"):
        pieces_of(replace(ml_fit, Z=ml_fit.Z[:, :-2]))


@pytest.mark.parametrize("reml", [False, True])
def test_prior_weights_and_an_offset_against_the_marginal_density(design, reml):
    from dataclasses import replace

    plain, _ = design
    rng = np.random.default_rng(3)
    weights, offset = rng.uniform(0.5, 3.0, plain.y.size), rng.normal(0, 5, plain.y.size)
    pieces = replace(plain, weights=weights, offset=offset)
    theta = np.array([0.7, -0.2, 0.5])
    found = solve(pieces, theta, reml)
    L = (pieces.Z @ pieces.Lambda(theta)).toarray()
    V = np.diag(1 / weights) + L @ L.T
    Vi = np.linalg.inv(V)
    X, y = pieces.X, pieces.y - offset
    XVX = X.T @ Vi @ X
    beta = np.linalg.solve(XVX, X.T @ Vi @ y)
    r = y - X @ beta
    df = len(y) - (X.shape[1] if reml else 0)
    sigma2 = r @ Vi @ r / df
    objective = df * (np.log(2 * np.pi * sigma2) + 1) + np.linalg.slogdet(V)[1]
    if reml:
        objective += np.linalg.slogdet(XVX)[1]
    assert found.objective == pytest.approx(objective, rel=1e-12)
    np.testing.assert_allclose(found.beta, beta, rtol=1e-9)
    Lambda = pieces.Lambda(theta).toarray()
    b = Lambda @ Lambda.T @ pieces.Z.toarray().T @ Vi @ r
    np.testing.assert_allclose(found.b, b, atol=1e-9)
    np.testing.assert_allclose(found.fitted, offset + X @ beta + pieces.Z @ b, atol=1e-9)
    full = sigma2 * (Lambda @ Lambda.T - Lambda @ L.T @ Vi @ L @ Lambda.T)
    np.testing.assert_allclose(list(found.conditional_sds().values()), np.sqrt(np.diag(full)), rtol=1e-8)


@pytest.mark.r
@pytest.mark.parametrize("reml", [False, True])
def test_weighted_fits_of_live_lme4(make_data, reml):
    from bridge import lme4

    data = make_data(seed=4)
    rng = np.random.default_rng(5)
    data["w"], data["o"] = rng.uniform(0.3, 4.0, len(data)), rng.normal(0, 3, len(data))
    formula = "course ~ female + offset(o) + (1 + female | school)"
    fit = lme4.lmer(formula, data, REML=reml, weights=data["w"], control="tight")
    pieces = pieces_of(fit)
    np.testing.assert_allclose(pieces.weights, data["w"])
    np.testing.assert_allclose(pieces.offset, data["o"])
    found = solve(pieces, fit.getME("theta").to_numpy(), reml)
    assert found.objective == pytest.approx(-2 * fit.logLik(), rel=1e-11)
    np.testing.assert_allclose(found.beta, fit.fixef(), rtol=1e-8)
    np.testing.assert_allclose(found.vcov, fit.vcov(), rtol=1e-7)
    assert found.sigma == pytest.approx(fit.sigma(), rel=1e-10)
    np.testing.assert_allclose(found.b, fit.ranef()["school"].to_numpy().ravel(), atol=1e-7)
    np.testing.assert_allclose(found.fitted, fit.fitted(), atol=1e-7)
    variances = fit.ranef_condVar()["school"].to_numpy()
    np.testing.assert_allclose(
        list(found.conditional_sds().values()), np.sqrt(np.diagonal(variances, axis1=1, axis2=2)).ravel(), rtol=1e-7
    )


def test_a_response_far_from_0_costs_no_digits():
    """The same model with 1e9 added to the response: only the intercept moves."""
    from dataclasses import replace

    from validation.faults.bases import likelihood_base

    pieces = pieces_of(likelihood_base("slopes").fit)
    theta = likelihood_base("slopes").fit.theta.to_numpy()
    whole = replace(pieces, y=np.round(pieces.y * 256) / 256)
    near, far = solve(whole, theta, False), solve(replace(whole, y=whole.y + 1e9), theta, False)
    assert far.objective == pytest.approx(near.objective, rel=1e-12)
    assert far.beta - near.beta == pytest.approx([1e9, 0.0], abs=1e-6)
    assert far.b == pytest.approx(near.b, abs=1e-9)
