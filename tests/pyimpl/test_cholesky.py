"""Cholesky factors, solves and inverses of dense matrices, on both sides of where LAPACK takes over."""

import numpy as np
import pytest

from pyimpl.linalg.cholesky import cholesky_factor, inverse_of_factored, solve_factored

SIZES = (0, 1, 2, 3, 5, 17, 63, 64, 65, 150)


def _matrix(n):
    X = np.random.default_rng(n).normal(size=(n, n + 8))
    return X @ X.T


@pytest.mark.parametrize("n", SIZES)
def test_the_factor_times_its_transpose_is_the_matrix_and_fills_the_square(n):
    A = _matrix(n)
    L = A.copy()
    L[np.triu_indices(n, 1)] = np.nan  # never read
    assert cholesky_factor(L)
    np.testing.assert_array_equal(L, L.T)
    np.testing.assert_allclose(np.tril(L) @ np.tril(L).T, A, rtol=1e-13, atol=1e-13 * n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("m", [0, 1, 4])
def test_solves_and_inverse(n, m):
    A, B = _matrix(n), np.random.default_rng(m).normal(size=(n, m))
    L = A.copy()
    assert cholesky_factor(L)
    for transposed in (False, True):
        X = B.copy()
        solve_factored(L, X, transposed)
        factor = np.tril(L).T if transposed else np.tril(L)
        np.testing.assert_allclose(factor @ X, B, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(inverse_of_factored(L) @ A, np.eye(n), atol=1e-10 * np.linalg.cond(A) if n else 0)
    np.testing.assert_array_equal(inverse_of_factored(L), inverse_of_factored(L).T)


@pytest.mark.parametrize("n", [size for size in SIZES if size])
@pytest.mark.parametrize("bad", [-1.0, np.nan, 0.0])
def test_what_is_not_positive_definite_has_no_factor(n, bad):
    for place in (0, n - 1):
        A = _matrix(n)
        A[place, place] = bad
        assert not cholesky_factor(A)
