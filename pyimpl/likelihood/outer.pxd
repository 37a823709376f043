cimport cython
from pyimpl.linalg.pattern cimport Pattern
from pyimpl.linalg.supernodal cimport Factor

cdef class Outer:
    cdef readonly Py_ssize_t q, m, factors
    cdef readonly Pattern pattern
    cdef readonly Factor factor
    cdef readonly double[::1] within, S2
    cdef readonly double[:, ::1] within_dense, Sx, V
    cdef readonly Py_ssize_t[::1] node_factor, width, template, levels, level_ptr
    cdef readonly bint scalar
    cdef double[::1] _scale, _work, _sizes
    cdef double* _T

    cdef void set_template(self, double* T) noexcept
    cdef bint factorise(self) except -1
    cdef void _product(self, double* S, bint inner, double* out) noexcept
    cdef void lambda_times(self, double* X, Py_ssize_t m, bint transposed, double* out) noexcept
    cdef int symmetric(self, double* X, Py_ssize_t m, double* out) except -1
    cdef int effects(self, double* lz, double* SZ, double* Q) except -1
    cdef void _square(self, double* X, double* Y, Py_ssize_t ld, double* T, Py_ssize_t p, bint inner) noexcept
    cdef void _nodes_times(self, double* Y, Py_ssize_t ld, Py_ssize_t m, Py_ssize_t f, Py_ssize_t n, bint inner) noexcept
    cdef void _block_trace(self, double* X, double* Z, Py_ssize_t ld, Py_ssize_t a, Py_ssize_t b, double* KT) noexcept
    cdef bint plain_traces(self, double* KT) noexcept
    cdef void traces(self, double* KT) noexcept
    cdef int exact_trace(self, Py_ssize_t f, double* K) except -1
    cdef void sandwich(self) noexcept
    cdef void squares(self, Py_ssize_t f, double weight, bint REML, double* W) noexcept
    cdef void images(self, Py_ssize_t f, Py_ssize_t n, Py_ssize_t* rows, Py_ssize_t* cols, double* s) noexcept
