cimport cython
from pyimpl.linalg.pattern cimport Pattern

cdef class WideLevels:
    cdef readonly Pattern pattern
    cdef readonly Py_ssize_t p, q, each
    cdef public Py_ssize_t batch
    cdef readonly Py_ssize_t[::1] indptr, columns, levels, place
    cdef double[:, ::1] rows, images

    cdef Py_ssize_t put(self, Py_ssize_t j, double* U) noexcept
    cdef int scatter(self, Py_ssize_t j, double* U, double* S2) except -1
    cdef int trace(self, Py_ssize_t j, double* U, double* N, double* M) except -1
    cdef int _multiply(self, Py_ssize_t batch, double* U, double* N) except -1
