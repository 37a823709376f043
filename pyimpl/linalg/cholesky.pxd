# Matrices of doubles by rows: a pointer, and how many numbers lie from one row to the next (ld).
# A factor fills the square: L in the lower triangle and L' in the upper, so that loops run along rows.

cdef bint cholesky(double *A, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
cdef double log_determinant(const double *L, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
cdef void solve_lower(const double *L, Py_ssize_t n, Py_ssize_t ld, double *B, Py_ssize_t m, Py_ssize_t ldb) noexcept nogil
cdef void solve_upper(const double *L, Py_ssize_t n, Py_ssize_t ld, double *B, Py_ssize_t m, Py_ssize_t ldb) noexcept nogil
cdef void inverse(const double *L, Py_ssize_t n, Py_ssize_t ld, double *out, Py_ssize_t ldo, double *work) noexcept nogil
