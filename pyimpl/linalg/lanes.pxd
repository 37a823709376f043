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
    #if defined(__GNUC__)
    /* x = 2^k (1 + f), 1 + f between the roots of 1/2 and 2, and log(1 + f) = 2 artanh(s), s = f/(2 + f), by Taylor's
       series, whose rest is less than rounding; f - f^2/2 comes first, so that f near 0 keeps its digits. nan of what
       is not positive, normal and finite. A call of log for each lane took a fifth to a quarter of a density. */
    typedef unsigned long long lanes_bits __attribute__((vector_size(32), aligned(8)));
    static CYTHON_INLINE lanes lanes_log(lanes x) {
        const unsigned long long low = 0x3fe6a09e667f3bcdULL;  /* the root of 1/2 */
        lanes_bits bits = (lanes_bits) x + (0x3ff0000000000000ULL - low);
        lanes k = (lanes) ((bits >> 52) | 0x4330000000000000ULL) - (4503599627370496.0 + 1023.0);
        lanes f = (lanes) ((bits & 0x000fffffffffffffULL) + low) - 1.0;
        lanes s = f / (f + 2.0), z = s * s, w = z * z, half = 0.5 * f * f;
        lanes even = w * (2.0/5 + w * (2.0/9 + w * (2.0/13 + w * (2.0/17 + w * (2.0/21)))));
        lanes odd = z * (2.0/3 + w * (2.0/7 + w * (2.0/11 + w * (2.0/15 + w * (2.0/19)))));
        /* log 2 in two parts, the first of 33 bits: k times it is exact */
        const double high = 5954088943.0 / 8589934592.0, rest = 7.440617110012397e-11;
        lanes value = k * high - ((half - (s * (half + odd + even) + k * rest)) - f);
        lanes_bits usual = (lanes_bits) (x >= 2.2250738585072014e-308) & (lanes_bits) (x <= 1.7976931348623157e308);
        return (lanes) ((lanes_bits) value | ~usual);  /* all bits set are a nan */
    }
    #else
    static CYTHON_INLINE lanes lanes_log(lanes x) { return log(x); }
    #endif
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

# The logarithm of what is positive; lanes have nan of anything else.
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
