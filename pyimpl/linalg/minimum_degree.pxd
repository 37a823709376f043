# compiled: see setup.py
cdef class QuotientGraph:
    cdef Py_ssize_t n, left, placed, turn, lowest, used, n_created
    cdef Py_ssize_t[::1] lists, start, n_elements, n_nodes
    cdef Py_ssize_t[::1] weight, merged_next, merged_last
    cdef Py_ssize_t[::1] buffer, created, element_start, element_size
    cdef Py_ssize_t[::1] degree, head, after, before
    cdef Py_ssize_t[::1] mark, outside, stamp
    cdef Py_ssize_t[::1] hash_head, hash_next, hash_of, seen
    cdef Py_ssize_t seen_stamp
    cdef Py_ssize_t[::1] order

    cdef Py_ssize_t next_node(self) noexcept
    cdef int eliminate(self, Py_ssize_t p) except -1
    cdef void link(self, Py_ssize_t i) noexcept
    cdef void unlink(self, Py_ssize_t i) noexcept
    cdef void put(self, Py_ssize_t i) noexcept
    cdef int make_room(self, Py_ssize_t need) except -1
    cdef Py_ssize_t join(self, Py_ssize_t p) noexcept
    cdef void measure(self, Py_ssize_t begin) noexcept
    cdef void update(self, Py_ssize_t i, Py_ssize_t p, Py_ssize_t total) noexcept
    cdef void absorb(self, Py_ssize_t p, Py_ssize_t begin) noexcept
    cdef void merge(self, Py_ssize_t begin) noexcept
    cdef void merge_same(self, Py_ssize_t i) noexcept
    cdef void finish(self, Py_ssize_t p, Py_ssize_t begin) noexcept
