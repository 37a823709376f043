cimport cython

cdef class TrustRegion:
    cdef readonly Py_ssize_t n
    cdef readonly double[::1] x, gradient, trial
    cdef readonly double[:, ::1] matrix
    cdef readonly double[:, ::1] accepted
    cdef readonly double value, radius
    cdef readonly int code, evaluations, steps
    cdef readonly int kind
    cdef double[:, ::1] _added, _vectors, _square, _plain
    cdef double[::1] _direction, _values, _step, _other, _change, _plain_step
    cdef double _predicted, _before
    cdef int _phase, _polished, _escapes, _candidate, _doubts, _budget
    cdef bint _started

    cdef void start(self, double[::1] start, int kind, int budget, int spent) noexcept
    cdef bint update(self, double value, double[::1] gradient, double[:, ::1] matrix) except -1
    cdef void _accept(self, double value, double[::1] gradient) noexcept
    cdef void _renew(self, double[:, ::1] matrix) noexcept
    cdef void _rank_one(self, double[::1] s, double[::1] y) noexcept
    cdef bint _propose(self) except -1
    cdef bint _escape(self) except -1
    cdef double _decrease(self, double[:, ::1] B, double[::1] s) noexcept
    cdef int _minimise_model(self, double[:, ::1] B, double radius, double[::1] s) except -1
    cdef bint _after_escape(self, double value, double[::1] gradient, double[:, ::1] matrix, bint finite) except -1

cdef bint cholesky_solve(double[:, ::1] B, double[::1] g, double[:, ::1] L, double[::1] s) noexcept
cdef int eigen(double[:, ::1] B, double[:, ::1] A, double[::1] values, double[:, ::1] V) except -1
