cimport cython
from pyimpl.likelihood.wide_levels cimport WideLevels

cdef class Inner:
    cdef readonly Py_ssize_t J, p, m, q
    cdef readonly double[:, :, ::1] R, C
    cdef readonly Py_ssize_t[::1] indptr, columns
    cdef readonly double[:, ::1] values
    cdef readonly bint contiguous
    cdef bint REML
    cdef readonly Py_ssize_t[::1] base, pair_ptr
    cdef readonly int[::1] pair_row
    cdef readonly double pairs
    cdef readonly WideLevels wide
    cdef readonly double[::1] counts
    cdef bint merged
    cdef double[::1] _E, _D, _U, _work, _room
    cdef double *E
    cdef double *D
    cdef double *U
    cdef Py_ssize_t n
    cdef Py_ssize_t *rows
    cdef Py_ssize_t *cols
    cdef double *W
    cdef double *K
    cdef double *info
    cdef double *M
    cdef double *h

    cdef double eliminate(self, double* T, double* S, double* Sx, double* S2) except? -1.25

    cdef int _scatter(self, Py_ssize_t j, double* S2) except -1
    cdef double _quadratic(self, Py_ssize_t j, double* N) noexcept
    cdef double residual_square(self, double* v) noexcept
    cdef void effects(self, Py_ssize_t j, double* lz, double* Q, Py_ssize_t first, double* V) noexcept
    cdef void forget_products(self) noexcept
    cdef int level_trace(self, Py_ssize_t j, double* N, double* K, bint own) except -1
    cdef int back(self, double* T, double* lz, double* Q, double* N, double weight, bint REML, bint curved) except -1
    cdef int _scalar_back(self, double t, double* lz, double* Q, double* N, double weight, bint curved) except -1
    cdef double scalar_derivatives(self, double t, double* Q, double df, double prss, bint REML, double* room, double* curvature) noexcept
