# Matrices by rows: a pointer, and how many numbers lie from one row to the next (ld).
# A factor fills the square: L in the lower triangle and L' in the upper, so that loops run along rows.
# `number` is one double, or a batch: several matrices side by side.

from pyimpl.linalg.batch cimport number

cdef bint cholesky(double *A, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
cdef void factorise(number *A, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
cdef number log_determinant(number *L, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
cdef void solve_lower(number *L, Py_ssize_t n, Py_ssize_t ld, number *B, Py_ssize_t m, Py_ssize_t ldb) noexcept nogil
cdef void solve_upper(number *L, Py_ssize_t n, Py_ssize_t ld, number *B, Py_ssize_t m, Py_ssize_t ldb) noexcept nogil
cdef void inverse(number *L, Py_ssize_t n, Py_ssize_t ld, number *out, Py_ssize_t ldo, number *work) noexcept nogil
