"""The judge's own algebra, against dense textbook formulas."""

import numpy as np
import pytest

from validation.judge.algebra import pieces_of, solve


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


def test_pieces_are_read_back_from_a_fit(design, ml_fit):
    pieces, _ = design
    read = pieces_of(ml_fit)
    assert read.terms == pieces.terms
    assert read.theta_names == pieces.theta_names
    np.testing.assert_array_equal(read.diagonal, [True, False, True])


def test_pieces_that_do_not_fit_each_other_are_refused(ml_fit):
    from dataclasses import replace

    with pytest.raises(ValueError, match="Z has 58 columns, its terms 60"):
        pieces_of(replace(ml_fit, Z=ml_fit.Z[:, :-2]))
