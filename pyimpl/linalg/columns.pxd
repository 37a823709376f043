# What other compiled modules call; see columns.py.

cdef double dot(const double *a, const double *b, Py_ssize_t n, Py_ssize_t step_a, Py_ssize_t step_b) noexcept
cdef void load(const double *X, Py_ssize_t p, Py_ssize_t n, double *shift, double *block) noexcept
