"""Sums over the rows of a matrix's columns, in one pass over memory that holds it row by row."""

import cython
import numpy as np

__all__ = ["ROWS", "centred_squares", "column_means", "levels_used", "products", "some_negative", "square_sum"]

#: Rows of a block: of six columns it fills half of a first-level cache.
ROWS = 512


_ROWS = cython.declare(cython.Py_ssize_t, ROWS)


@cython.cfunc
@cython.exceptval(check=False)
def dot(
    a: cython.pointer[cython.const[cython.double]], b: cython.pointer[cython.const[cython.double]],
    n: cython.Py_ssize_t, step_a: cython.Py_ssize_t, step_b: cython.Py_ssize_t,
) -> cython.double:  # fmt: skip
    """Σ a_i b_i of elements so far apart, in four sums so that no addition waits for the one before it."""
    i: cython.Py_ssize_t = 0
    s0: cython.double = 0.0
    s1: cython.double = 0.0
    s2: cython.double = 0.0
    s3: cython.double = 0.0
    while i + 4 <= n:
        s0 += a[i * step_a] * b[i * step_b]
        s1 += a[(i + 1) * step_a] * b[(i + 1) * step_b]
        s2 += a[(i + 2) * step_a] * b[(i + 2) * step_b]
        s3 += a[(i + 3) * step_a] * b[(i + 3) * step_b]
        i += 4
    while i < n:
        s0 += a[i * step_a] * b[i * step_b]
        i += 1
    return (s0 + s1) + (s2 + s3)


@cython.cfunc
@cython.exceptval(check=False)
def load(
    X: cython.pointer[cython.const[cython.double]], p: cython.Py_ssize_t, n: cython.Py_ssize_t, shift: cython.p_double,
    block: cython.p_double,
) -> cython.void:  # fmt: skip
    """N rows of p columns into a block, column by column (each ROWS long), each less its shift."""
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    for i in range(n):
        for c in range(p):
            block[c * _ROWS + i] = X[i * p + c] - shift[c]


def column_means(X: cython.const[cython.double][:, ::1]) -> np.ndarray:
    """Mean of each column, shape (p,)."""
    N: cython.Py_ssize_t = X.shape[0]
    p: cython.Py_ssize_t = X.shape[1]
    begin: cython.Py_ssize_t
    n: cython.Py_ssize_t
    c: cython.Py_ssize_t
    one: cython.double = 1.0
    out_array = np.zeros(p)
    out: cython.double[::1] = out_array
    for begin in range(0, N if p else 0, _ROWS):
        n = min(_ROWS, N - begin)
        for c in range(p):
            out[c] += dot(cython.address(X[begin, c]), cython.address(one), n, p, 0)
    for c in range(p):
        out[c] /= N
    return out_array


def products(X: cython.const[cython.double][:, ::1], shift: cython.double[::1]) -> np.ndarray:
    """Cross-products of the columns of a narrow X, each less its shift, by blocks of rows that stay in the cache.

    A call of the BLAS takes three times as long for three columns.

    Parameters
    ----------
    X : ndarray of float, shape (N, p)
    shift : ndarray, shape (p,)

    Returns
    -------
    ndarray, shape (p, p)
    """
    N: cython.Py_ssize_t = X.shape[0]
    p: cython.Py_ssize_t = X.shape[1]
    begin: cython.Py_ssize_t
    n: cython.Py_ssize_t
    a: cython.Py_ssize_t
    c: cython.Py_ssize_t
    out_array = np.zeros((p, p))
    out: cython.double[:, ::1] = out_array
    room: cython.double[::1] = np.empty(ROWS * max(p, 1))
    block: cython.p_double = cython.address(room[0])
    for begin in range(0, N if p else 0, _ROWS):
        n = min(_ROWS, N - begin)
        load(cython.address(X[begin, 0]), p, n, cython.address(shift[0]), block)
        for a in range(p):
            for c in range(a + 1):
                out[a, c] += dot(block + a * _ROWS, block + c * _ROWS, n, 1, 1)
    for a in range(p):
        for c in range(a):
            out[c, a] = out[a, c]
    return out_array


def centred_squares(X: cython.const[cython.double][:, ::1]) -> np.ndarray:
    """Sum of squares about the mean of each column.

    Parameters
    ----------
    X : ndarray of float, shape (N, p)

    Returns
    -------
    ndarray, shape (p,)
        −1 for a column of only 0 and 1.
    """
    N: cython.Py_ssize_t = X.shape[0]
    p: cython.Py_ssize_t = X.shape[1]
    begin: cython.Py_ssize_t
    n: cython.Py_ssize_t
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    squares_array = np.zeros(p)
    squares: cython.double[::1] = squares_array
    mean: cython.double[::1] = column_means(X)
    room: cython.double[::1] = np.empty(ROWS * max(p, 1))
    block: cython.p_double = cython.address(room[0])
    for begin in range(0, N if p else 0, _ROWS):
        n = min(_ROWS, N - begin)
        load(cython.address(X[begin, 0]), p, n, cython.address(mean[0]), block)
        for c in range(p):
            squares[c] += dot(block + c * _ROWS, block + c * _ROWS, n, 1, 1)
    for c in range(p):
        for i in range(N):
            if X[i, c] != 0.0 and X[i, c] != 1.0:
                break
        else:
            squares[c] = -1.0
    return squares_array


def square_sum(values: np.ndarray) -> float:
    """Sum of squares of all elements: if it is finite, so are they, for certain and in one pass; it may overflow.

    The BLAS would do the same with several threads, whose start takes longer.

    Parameters
    ----------
    values : ndarray of float, of any shape
    """
    x: cython.const[cython.double][::1] = np.ascontiguousarray(values).reshape(-1)
    n: cython.Py_ssize_t = x.shape[0]
    i: cython.Py_ssize_t
    # four sums, so that one addition need not wait for the last
    a: cython.double = 0.0
    b: cython.double = 0.0
    c: cython.double = 0.0
    d: cython.double = 0.0
    for i in range(0, n - 3, 4):
        a += x[i] * x[i]
        b += x[i + 1] * x[i + 1]
        c += x[i + 2] * x[i + 2]
        d += x[i + 3] * x[i + 3]
    for i in range(n - n % 4, n):
        a += x[i] * x[i]
    return (a + b) + (c + d)


def some_negative(codes: cython.const[cython.Py_ssize_t][::1]) -> bool:
    """Whether some code is negative.

    Parameters
    ----------
    codes : ndarray of intp, shape (N,)
    """
    i: cython.Py_ssize_t
    found: cython.bint = False
    for i in range(codes.shape[0]):
        if codes[i] < 0:
            found = True
            break
    return found


def levels_used(codes: cython.const[cython.Py_ssize_t][::1], levels: cython.Py_ssize_t) -> np.ndarray:
    """Mask of the levels that some row has, shape (levels,); it ends where all have turned up.

    Parameters
    ----------
    codes : ndarray of intp, shape (N,)
        Negative where missing.
    levels : int
    """
    seen = np.zeros(levels, dtype=np.bool_)
    mask: cython.uchar[::1] = seen.view(np.uint8)
    i: cython.Py_ssize_t
    count: cython.Py_ssize_t = 0
    for i in range(codes.shape[0]):
        if 0 <= codes[i] < levels and not mask[codes[i]]:
            mask[codes[i]] = 1
            count += 1
            if count == levels:
                break
    return seen
