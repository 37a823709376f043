# The collapsed density's data and work space, and what other compiled modules call. `number` is one double or a batch.

from pyimpl.linalg.batch cimport number

cdef class Statistics:
    cdef readonly Py_ssize_t first, terms, pmax, p, m, levels_of_first, different, components, columns, largest, packed
    cdef const double[:, :, ::1] S       # (U, p, p): the different Z_j'Z_j of the first term
    cdef const double[::1] count         # (U,): levels that have each
    cdef const double[:, :, ::1] E       # (U, p (p + 1)/2, packed): sums of outer products of B's rows
    cdef const double[::1] WW            # (packed,): W'W by rows of its lower triangle
    cdef const long long[::1] inverse    # (J,): which of the different S a level has
    cdef const double[:, :, ::1] B       # (J, p, m): Z_j'W
    cdef const double[:, ::1] R          # (q, m): the other terms' Z'W
    cdef const long long[::1] sizes      # (terms,): effects of each term
    cdef const long long[::1] block_start, block_term, component_start, G_start, level_start, levels, C_start, C_column
    cdef const double[::1] G             # Z'Z of each component, (n, n) by rows, one after the other
    cdef const double[:, ::1] C          # (nnz, p): Z_j'Z of the other terms' columns, level by level

cdef class Work:
    cdef object buffer                   # keeps the memory of all that follows; each counts numbers, not doubles
    cdef double *Lambda                  # (terms, pmax, pmax)
    cdef double *M                       # (p, p), or (U, p, p) where they are kept: a level's Cholesky factor
    cdef double *H                       # likewise: L⁻¹Λ'
    cdef double *P                       # (U, p, p): Λ(I + Λ'SΛ)⁻¹Λ'
    cdef double *M_inverse               # (U, p, p): (I + Λ'SΛ)⁻¹, for derivatives
    cdef double *F                       # (U, p, p): see the gradient
    cdef double *Q                       # (packed,): W'V⁻¹W
    cdef double *A                       # as G: each component's factor
    cdef double *A_inverse               # as G, for derivatives
    cdef double *Y                       # (q, m): L⁻¹Λ'R
    cdef double *X                       # (q, m): A⁻¹Λ'R, for derivatives
    cdef double *N                       # (q, m): ΛX, for derivatives
    cdef double *scratch                 # (largest², at least what a level needs)
    cdef double *coefficients            # (m, m): factor of the coefficients' precision
    cdef double *c                       # (m,): their conditional mean less the centre
    cdef double *sigma                   # σ; then D (m,), known (m,)
    cdef double *D
    cdef double *known                   # (m − 1,): prior means of the g integrated coefficients, the others' values
    cdef double *d_Lambda                # (terms, pmax, pmax)
    cdef double *d_D                     # (m,)
    cdef double *d_fixed                 # (m,)
    cdef double *d_sigma
    cdef double *full                    # (3, m, m): symmetric matrices of W's columns
    cdef Py_ssize_t width                # numbers side by side: 1, or BATCH
    cdef bint derivatives, factors

cdef number eliminate(Statistics data, Work work, number *Lambda) noexcept nogil
cdef number solve_coefficients(Statistics data, Work work, number *Lambda, Py_ssize_t g) noexcept nogil
cdef void inverse_of_small(number *L, Py_ssize_t p, number *out) noexcept nogil
cdef void load(Work work, double[:, :, :, ::1] Lambda, double[::1] sigma, double[:, ::1] D, double[:, ::1] known, Py_ssize_t start)
cdef Py_ssize_t batch_for(Statistics data) noexcept
