cimport cython

cdef class Pattern:
    cdef readonly Py_ssize_t q, nodes, supernodes, size, widest, tallest
    cdef readonly double flops
    # by node, in the factor's order
    cdef readonly Py_ssize_t[::1] order, node_first, node_super
    # by supernode: first node, first column, panel's place, rows below by node and by column
    cdef readonly Py_ssize_t[::1] super_node, first, panel, node_row_ptr, node_rows, row_ptr, rows
    # supernodes that change each, and which of their rows are its columns
    cdef readonly Py_ssize_t[::1] source_ptr, source, source_begin, source_end
    # by column: its supernode, and where its elements are
    cdef readonly Py_ssize_t[::1] super_of, base
    cdef readonly bint contiguous
    cdef readonly object columns

cdef class Factor:
    cdef readonly Pattern pattern
    cdef double* L
    cdef double* Z
    cdef readonly double[::1] values, inverse
    cdef double[::1] _work, _square
    cdef Py_ssize_t[::1] _at

    cpdef bint factorise(self) except -1
    cpdef double log_det(self)
    cdef void forward(self, double* X, Py_ssize_t m) noexcept
    cdef void backward(self, double* X, Py_ssize_t m) noexcept
    cpdef int invert(self) except -1
    cdef void _gather(self, Py_ssize_t s, double* G, Py_ssize_t* at) noexcept

cdef void symmetric_times(Pattern pattern, double* S, double* X, Py_ssize_t m, double* out) noexcept
