"""The sparse factor, its solves and its selected inverse against dense ones; the order against what it must beat."""

import numpy as np
import pytest
from scipy import sparse

from pyimpl.linalg.minimum_degree import minimum_degree
from pyimpl.linalg.sparse_cholesky import Factor, analyse


def graph(pattern):
    pattern = sparse.csr_array(pattern.astype(float))
    pattern.setdiag(0)
    pattern.eliminate_zeros()
    return pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)


def bipartite(rng, left, right, density):
    B = sparse.random_array((left, right), density=density, rng=rng)
    return sparse.csr_array(sparse.block_array([[None, B], [B.T, None]]) != 0)


def fill(pattern, order):
    P = pattern.toarray()[np.ix_(order, order)] | np.eye(len(order), dtype=bool)
    total = 0
    for j in range(len(order)):
        rows = np.flatnonzero(P[j + 1 :, j]) + j + 1
        total += rows.size
        P[np.ix_(rows, rows)] = True
    return total


@pytest.mark.parametrize(("width", "density"), [(1, 0.01), (1, 0.05), (2, 0.03), (3, 0.2)])
def test_factor_solves_and_inverse(width, density):
    rng = np.random.default_rng(width)
    pattern = bipartite(rng, 60, 40, density)
    widths = np.where(np.arange(100) < 60, width, 1).astype(np.int64)
    node = np.repeat(np.arange(100), widths)
    q = node.size
    A = (pattern.toarray() | np.eye(100, dtype=bool))[np.ix_(node, node)] * rng.normal(size=(q, q))
    A = np.tril(A) + np.tril(A, -1).T + 30 * np.eye(q)
    symbolic = analyse(*graph(pattern), widths)
    factor = Factor(symbolic)
    rows, cols = np.nonzero(np.tril(A))
    where = factor.locate(rows, cols)
    assert len(set(where.tolist())) == where.size
    factor.values[where] = A[rows, cols]
    assert factor.factorise()
    assert factor.log_det() == pytest.approx(np.linalg.slogdet(A)[1], rel=1e-13)
    X = rng.normal(size=(q, 3))
    np.testing.assert_allclose(factor.backward(factor.forward(X)), np.linalg.solve(A, X), atol=1e-14)
    half = factor.forward(X)
    np.testing.assert_allclose(half.T @ half, X.T @ np.linalg.solve(A, X), atol=1e-13)
    factor.invert()
    np.testing.assert_allclose(factor.inverse[where], np.linalg.inv(A)[rows, cols], atol=1e-15)


@pytest.mark.parametrize("density", [0.02, 0.5])
def test_what_is_not_positive_definite_is_said(density):
    rng = np.random.default_rng(1)
    pattern = bipartite(rng, 30, 20, density)
    factor = Factor(analyse(*graph(pattern), np.ones(50, dtype=np.int64)))
    rows, cols = np.nonzero(np.tril(pattern.toarray()))
    factor.values[factor.locate(rows, cols)] = 1.0
    every = np.arange(50)
    factor.values[factor.locate(every, every)] = 0.1
    assert not factor.factorise()


def test_the_counted_elements_are_those_of_the_factor():
    pattern = bipartite(np.random.default_rng(2), 80, 60, 0.02)
    symbolic = analyse(*graph(pattern), np.ones(140, dtype=np.int64))
    core = symbolic.order.size - symbolic.core
    assert int(symbolic.counts.sum()) + core * (core - 1) // 2 >= fill(pattern, symbolic.order)
    assert Factor(symbolic).rows.size == symbolic.counts.sum()


def test_the_order_is_a_permutation_with_little_fill():
    rng = np.random.default_rng(3)
    side = 15
    line = sparse.diags_array([np.ones(side - 1)] * 2, offsets=[-1, 1])
    grid = sparse.csr_array(
        (sparse.kron(sparse.eye_array(side), line) + sparse.kron(line, sparse.eye_array(side))) != 0
    )
    patterns = [grid, bipartite(rng, 150, 100, 0.02), bipartite(rng, 40, 40, 0.3)]
    for pattern in patterns:
        order, core = minimum_degree(*graph(pattern), 1.0)
        n = pattern.shape[0]
        assert sorted(order.tolist()) == list(range(n))
        assert 0 <= core <= n
        assert fill(pattern, order) < fill(pattern, rng.permutation(n))
    star = sparse.lil_array((50, 50))
    star[0, 1:] = star[1:, 0] = 1
    order, _ = minimum_degree(*graph(sparse.csr_array(star)), 1.0)
    assert fill(sparse.csr_array(star) != 0, order) == 49  # none but the star's own elements


def test_disconnected_and_empty_graphs_are_ordered():
    order, _ = minimum_degree(np.zeros(6, dtype=np.int64), np.zeros(0, dtype=np.int64), 0.7)
    assert sorted(order.tolist()) == list(range(5))
