# Several numbers side by side: what is computed of one point is computed of LANES points by the same instructions.
# A function of `number` is compiled twice: for one double, and for lanes. A constant becomes lanes by adding zero().

cdef extern from *:
    """
    #include <math.h>
    #if defined(__GNUC__)
    #pragma GCC diagnostic ignored "-Wpsabi"
    #define MLMPARITY_LANES 4
    typedef double lanes __attribute__((vector_size(32), aligned(8)));
    #define MLMPARITY_LANE(x, i) ((x)[i])
    #else
    #define MLMPARITY_LANES 1
    typedef double lanes;
    #define MLMPARITY_LANE(x, i) (x)
    #endif
    static CYTHON_INLINE lanes lanes_of(double x) {
        lanes out;
        for (int i = 0; i < MLMPARITY_LANES; i++) MLMPARITY_LANE(out, i) = x;
        return out;
    }
    static CYTHON_INLINE lanes lanes_root(lanes x) {
        for (int i = 0; i < MLMPARITY_LANES; i++)
            MLMPARITY_LANE(x, i) = MLMPARITY_LANE(x, i) > 0.0 ? sqrt(MLMPARITY_LANE(x, i)) : NAN;
        return x;
    }
    static CYTHON_INLINE lanes lanes_reciprocal(lanes x) { return 1.0 / x; }
    static CYTHON_INLINE lanes lanes_log(lanes x) {
        for (int i = 0; i < MLMPARITY_LANES; i++) MLMPARITY_LANE(x, i) = log(MLMPARITY_LANE(x, i));
        return x;
    }
    """
    const Py_ssize_t MLMPARITY_LANES
    ctypedef long double lanes  # wider than double: what is made of both is lanes
    lanes lanes_of(double x) noexcept nogil
    lanes lanes_root(lanes x) noexcept nogil
    lanes lanes_log(lanes x) noexcept nogil
    lanes lanes_reciprocal(lanes x) noexcept nogil

from libc.math cimport NAN, log, sqrt

ctypedef fused number:
    double
    lanes

cdef inline number zero(number *like) noexcept nogil:
    if number is double:
        return 0.0
    else:
        return lanes_of(0.0)

# Memory as numbers of the kind of `like`.
cdef inline number *numbers(double *memory, number *like) noexcept nogil:
    return <number *> memory

# The square root of what is positive; nan of anything else, which spreads to all that is computed from it.
cdef inline number root(number x) noexcept nogil:
    if number is double:
        return sqrt(x) if x > 0.0 else NAN
    else:
        return lanes_root(x)

cdef inline number logarithm(number x) noexcept nogil:
    if number is double:
        return log(x)
    else:
        return lanes_log(x)

cdef inline number reciprocal(number x) noexcept nogil:
    if number is double:
        return 1.0 / x
    else:
        return lanes_reciprocal(x)
