"""Sums over the rows of each column of a matrix, in one or two passes over memory that holds it row by row."""

import cython
import numpy as np

__all__ = ["centred_squares", "end_products", "square_sum"]


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
    i: cython.Py_ssize_t
    c: cython.Py_ssize_t
    x: cython.double
    squares_array = np.zeros(p)
    squares: cython.double[::1] = squares_array
    mean: cython.double[::1] = np.zeros(p)
    other: cython.double[::1] = np.zeros(p)  # 0 while there were only 0 and 1
    for i in range(N):
        for c in range(p):
            x = X[i, c]
            mean[c] += x
            other[c] += not (x == 0.0 or x == 1.0)
    for c in range(p):
        mean[c] /= N
    for i in range(N):
        for c in range(p):
            x = X[i, c] - mean[c]
            squares[c] += x * x
    for c in range(p):
        if other[c] == 0.0:
            squares[c] = -1.0
    return squares_array


def end_products(X: cython.const[cython.double][:, ::1]) -> tuple[float, float, float]:
    """Products of the first and the last column: of the first with itself, with the last, of the last with itself."""
    last: cython.Py_ssize_t = X.shape[1] - 1
    i: cython.Py_ssize_t
    a: cython.double = 0.0
    b: cython.double = 0.0
    c: cython.double = 0.0
    for i in range(X.shape[0]):
        a += X[i, 0] * X[i, 0]
        b += X[i, 0] * X[i, last]
        c += X[i, last] * X[i, last]
    return a, b, c


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
