"""Small dense matrices against LAPACK."""

import numpy as np
import pytest

from pyimpl.linalg.dense import backward, factorise, forward, invert, symmetric_times


@pytest.mark.parametrize("q", [1, 2, 3, 5, 8, 23])
@pytest.mark.parametrize("nested", [False, True])
def test_factors_solves_and_inverses_are_those_of_lapack(q, nested):
    rng = np.random.default_rng(q)
    A = rng.normal(size=(q, q + 2))
    A = A @ A.T + np.eye(q)
    if nested:  # levels that do not meet
        A *= np.equal.outer(np.arange(q) // 6, np.arange(q) // 6)
    X = rng.normal(size=(q, 3))
    L = np.linalg.cholesky(A)
    own = np.where(np.tri(q, dtype=bool), A, np.nan)
    out, image = np.full((q, q), np.nan), np.empty_like(X)
    symmetric_times.jit(own, X, image)
    np.testing.assert_allclose(image, A @ X, rtol=1e-12, atol=1e-12)
    assert factorise.jit(own)
    np.testing.assert_allclose(np.tril(own), L, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(own, own.T)
    solved = X.copy()
    forward.jit(own, solved)
    np.testing.assert_allclose(L @ solved, X, atol=1e-12)
    backward.jit(own, solved)
    np.testing.assert_allclose(A @ solved, X, atol=1e-11)
    invert.jit(own, out)
    np.testing.assert_allclose(np.tril(out), np.tril(np.linalg.inv(A)), rtol=1e-10, atol=1e-12)
    assert np.isnan(out[np.triu_indices(q, 1)]).all()


@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan])
def test_what_is_not_positive_definite_is_said_to_be_so(value):
    A = np.eye(6)
    A[4, 4] = value
    assert not factorise.jit(A)
