cimport cython

cdef class Projections:
    cdef readonly Py_ssize_t N, P, p, J
    cdef readonly Py_ssize_t[::1] order
    cdef Py_ssize_t[::1] starts
    cdef double[::1] offset, root, residual, rest, part
    cdef bint centre
    cdef readonly double mean, square
    cdef readonly double[::1] coefficients
    cdef double[:, ::1] basis, Q, within_basis
    cdef readonly double[:, ::1] triangle
    cdef Py_ssize_t[:, ::1] column
    cdef double[:, ::1] Z
    cdef Py_ssize_t[::1] width, indptr, columns
    cdef double[:, ::1] values

    cdef double _least_squares(self, const double[::1] y) noexcept
    cdef void _levels(self, double before, double[:, :, ::1] C) noexcept
    cdef void _within(self, double[:, ::1] within_root, double[:, ::1] within) noexcept
    cdef void _outer(self, double[:, :, ::1] C, double[:, ::1] within_dense) noexcept
