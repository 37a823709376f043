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

cdef Py_ssize_t super_of(Pattern pattern, Py_ssize_t column) noexcept
