from pyimpl.linalg.pattern cimport Pattern

cdef class Factor:
    cdef readonly Pattern pattern
    cdef double* L
    cdef double* Z
    cdef readonly double[::1] values, inverse
    cdef double[::1] _work, _square
    cdef Py_ssize_t[::1] _at

    cpdef bint factorise(self) except -1
    cpdef double log_det(self)
    cdef int forward(self, double* X, Py_ssize_t m) except -1
    cdef int backward(self, double* X, Py_ssize_t m) except -1
    cpdef int invert(self) except -1
    cdef int symmetric_times(self, double* S, double* X, Py_ssize_t m, double* out) except -1
    cdef void _gather(self, Py_ssize_t s, double* G, Py_ssize_t* at) noexcept
