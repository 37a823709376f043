"""The factor by supernodes, its solves and its selected inverse against dense ones; the order's fill."""

import numpy as np
import pytest
from scipy import sparse

from pyimpl.linalg.minimum_degree import minimum_degree
from pyimpl.linalg.pattern import analyse, blocks
from pyimpl.linalg.supernodal import Factor


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


def panels(pattern, A):
    """Where the elements of a matrix in the factor's order are: their places in the panels, rows and columns."""
    first, panel, row_ptr, rows = (np.asarray(x) for x in (pattern.first, pattern.panel, pattern.row_ptr, pattern.rows))
    places, r, c = [], [], []
    for s in range(pattern.supernodes):
        cols = np.arange(first[s], first[s + 1])
        every = np.concatenate([cols, rows[row_ptr[s] : row_ptr[s + 1]]])
        i, k = np.meshgrid(np.arange(every.size), np.arange(cols.size), indexing="ij")
        keep = every[i] >= cols[k]
        places.append((panel[s] + k * every.size + i)[keep])
        r.append(every[i][keep])
        c.append(cols[k][keep])
    return np.concatenate(places), np.concatenate(r), np.concatenate(c)


@pytest.mark.parametrize(("width", "density"), [(1, 0.01), (1, 0.05), (2, 0.03), (3, 0.2), (8, 0.5)])
def test_factor_solves_and_inverse(width, density):
    """From many small panels to wide ones that are split."""
    rng = np.random.default_rng(width)
    pattern = bipartite(rng, 60, 40, density)
    widths = np.where(np.arange(100) < 60, width, 1).astype(np.intp)
    indptr, indices = graph(pattern)
    order, core = minimum_degree(indptr, indices, 0.7)
    symbolic = analyse(indptr, indices, widths, np.asarray(order), core)
    node = np.repeat(np.asarray(symbolic.order), widths[np.asarray(symbolic.order)])
    q = node.size
    A = (pattern.toarray() | np.eye(100, dtype=bool))[np.ix_(node, node)] * rng.normal(size=(q, q))
    A = np.tril(A) + np.tril(A, -1).T + 60 * np.eye(q)
    factor = Factor(symbolic)
    where, rows, cols = panels(symbolic, A)
    assert len(set(where.tolist())) == where.size
    kept = np.zeros((q, q), dtype=bool)
    kept[rows, cols] = True
    assert not np.tril(A)[~kept].any()  # the pattern has every element
    np.asarray(factor.values)[where] = A[rows, cols]
    assert factor.factorise()
    assert factor.log_det() == pytest.approx(np.linalg.slogdet(A)[1], rel=1e-13)
    X = rng.normal(size=(q, 3))
    np.testing.assert_allclose(factor.solve(X), np.linalg.solve(A, X), atol=1e-14)
    factor.invert()
    np.testing.assert_allclose(np.asarray(factor.inverse)[where], np.linalg.inv(A)[rows, cols], atol=1e-15)


def test_a_large_factor_is_made_in_pieces():
    """From some thousand columns on LAPACK's and BLAS's calls are cut into pieces, between which Ctrl-C is heard."""
    rng = np.random.default_rng(5)
    n = 2000
    factor = Factor(blocks(np.zeros(1, dtype=int), np.array([n], dtype=np.intp)))
    half = rng.normal(size=(n, n))
    A = half @ half.T + n * np.eye(n)
    np.asarray(factor.values)[:] = A.ravel()
    assert factor.factorise()
    lower = np.tri(n, dtype=bool)
    L = np.linalg.cholesky(A)
    np.testing.assert_allclose(np.asarray(factor.values).reshape(n, n).T[lower], L[lower], atol=1e-12)
    X = rng.normal(size=(n, 700))  # wide enough that the solves are cut as well
    np.testing.assert_allclose(A @ factor.solve(X), X, atol=1e-11)
    factor.invert()
    inverse = np.asarray(factor.inverse).reshape(n, n).T
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    np.testing.assert_allclose(inverse @ (A @ X[:, :3]), X[:, :3], atol=1e-11)
    A[1500, 1500] = -1.0
    np.asarray(factor.values)[:] = A.ravel()
    assert not factor.factorise()


@pytest.mark.parametrize("density", [0.02, 0.5])
def test_what_is_not_positive_definite_is_said(density):
    rng = np.random.default_rng(1)
    indptr, indices = graph(bipartite(rng, 30, 20, density))
    order, core = minimum_degree(indptr, indices, 0.7)
    factor = Factor(analyse(indptr, indices, np.ones(50, dtype=np.intp), np.asarray(order), core))
    where, rows, cols = panels(factor.pattern, None)
    np.asarray(factor.values)[where] = np.where(rows == cols, 0.1, 1.0)
    assert not factor.factorise()


def test_blocks_are_factored_by_themselves():
    pattern = blocks(np.array([0, 1, 0, 2, 1]), np.array([1, 2, 1, 1, 2], dtype=np.intp))
    assert pattern.supernodes == 3
    assert pattern.size == 2**2 + 4**2 + 1
    np.testing.assert_array_equal(pattern.columns, [0, 2, 1, 6, 4])


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
