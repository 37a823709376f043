cimport cython
from pyimpl.likelihood.inner cimport Inner
from pyimpl.likelihood.outer cimport Outer
from pyimpl.likelihood.trust_region cimport TrustRegion

cdef class Engine:
    cdef readonly Py_ssize_t n, m, p, q, factors
    cdef readonly Inner inner
    cdef readonly Outer outer
    cdef public double df
    cdef public bint REML
    cdef readonly bint closed_form
    cdef readonly double[:, ::1] within, within_root
    cdef readonly double[::1] theta, gradient
    cdef readonly double[:, ::1] hessian, information
    cdef readonly double value, log_det, log_det_RX, prss
    cdef readonly double[:, ::1] to_basis
    cdef readonly Py_ssize_t[::1] place, rows, cols, begin, size, levels, template
    cdef double[::1] _T, _KT, _work, _lz, _own_gradient, _images, _search, _sums
    cdef double[:, ::1] _S, _L, _own_information, _scaled_hessian

    cdef double evaluate(self, const double[::1] theta, int order) except? -1.25
    cdef void _fill_templates(self, const double[::1] theta) noexcept
    cdef bint _profile(self) noexcept
    cdef int _derivatives(self, bint curved) except -1
    cdef int _information(self, double* info, double* M, double* h) except -1
    cdef int _outer_derivatives(self, Py_ssize_t f, double weight, bint curved) except -1
    cdef int _put(self, Py_ssize_t f, double* KT, double* K, double* W, bint curved) except -1
    cdef double search(self, TrustRegion region, const double[::1] start, const double[::1] units, int budget, bint near) except? -1.25
    cdef int _offer(self, const double[::1] units, double[::1] g, double[:, ::1] H) noexcept
