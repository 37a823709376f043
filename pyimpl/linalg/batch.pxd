# Several numbers side by side: what is computed of one point is computed of BATCH points by the same instructions.
# A function of `number` is compiled twice: for one double, and for a batch. A constant becomes a batch by adding zero().

cdef extern from *:
    """
    #include <math.h>
    #if defined(__GNUC__)
    #pragma GCC diagnostic ignored "-Wpsabi"
    #define MLMPARITY_BATCH 4
    typedef double batch __attribute__((vector_size(32), aligned(8)));
    #define MLMPARITY_ELEMENT(x, i) ((x)[i])
    #else
    #define MLMPARITY_BATCH 1
    typedef double batch;
    #define MLMPARITY_ELEMENT(x, i) (x)
    #endif
    static CYTHON_INLINE batch batch_of(double x) {
        batch out;
        for (int i = 0; i < MLMPARITY_BATCH; i++) MLMPARITY_ELEMENT(out, i) = x;
        return out;
    }
    static CYTHON_INLINE batch batch_root(batch x) {
        for (int i = 0; i < MLMPARITY_BATCH; i++)
            MLMPARITY_ELEMENT(x, i) = MLMPARITY_ELEMENT(x, i) > 0.0 ? sqrt(MLMPARITY_ELEMENT(x, i)) : NAN;
        return x;
    }
    static CYTHON_INLINE batch batch_reciprocal(batch x) { return 1.0 / x; }
    #if defined(__GNUC__)
    /* x = 2^k (1 + f), 1 + f between the roots of 1/2 and 2, and log(1 + f) = 2 artanh(s), s = f/(2 + f), by Taylor's
       series, whose rest is less than rounding; f - f^2/2 comes first, so that f near 0 keeps its digits. nan of what
       is not positive, normal and finite. A call of log for each element took a fifth to a quarter of a density. */
    typedef unsigned long long batch_bits __attribute__((vector_size(32), aligned(8)));
    static CYTHON_INLINE batch batch_log(batch x) {
        const unsigned long long low = 0x3fe6a09e667f3bcdULL;  /* the root of 1/2 */
        batch_bits bits = (batch_bits) x + (0x3ff0000000000000ULL - low);
        batch k = (batch) ((bits >> 52) | 0x4330000000000000ULL) - (4503599627370496.0 + 1023.0);
        batch f = (batch) ((bits & 0x000fffffffffffffULL) + low) - 1.0;
        batch s = f / (f + 2.0), z = s * s, w = z * z, half = 0.5 * f * f;
        batch even = w * (2.0/5 + w * (2.0/9 + w * (2.0/13 + w * (2.0/17 + w * (2.0/21)))));
        batch odd = z * (2.0/3 + w * (2.0/7 + w * (2.0/11 + w * (2.0/15 + w * (2.0/19)))));
        /* log 2 in two parts, the first of 33 bits: k times it is exact */
        const double high = 5954088943.0 / 8589934592.0, rest = 7.440617110012397e-11;
        batch value = k * high - ((half - (s * (half + odd + even) + k * rest)) - f);
        batch_bits usual = (batch_bits) (x >= 2.2250738585072014e-308) & (batch_bits) (x <= 1.7976931348623157e308);
        return (batch) ((batch_bits) value | ~usual);  /* all bits set are a nan */
    }
    #else
    static CYTHON_INLINE batch batch_log(batch x) { return log(x); }
    #endif
    """
    const Py_ssize_t MLMPARITY_BATCH
    ctypedef long double batch  # wider than double: what is made of both is a batch
    batch batch_of(double x) noexcept nogil
    batch batch_root(batch x) noexcept nogil
    batch batch_log(batch x) noexcept nogil
    batch batch_reciprocal(batch x) noexcept nogil

from libc.math cimport NAN, log, sqrt

ctypedef fused number:
    double
    batch

cdef inline number zero(number *like) noexcept nogil:
    if number is double:
        return 0.0
    else:
        return batch_of(0.0)

# Memory as numbers of the kind of `like`.
cdef inline number *numbers(double *memory, number *like) noexcept nogil:
    return <number *> memory

# The square root of what is positive; nan of anything else, which spreads to all that is computed from it.
cdef inline number root(number x) noexcept nogil:
    if number is double:
        return sqrt(x) if x > 0.0 else NAN
    else:
        return batch_root(x)

# The logarithm of what is positive; a batch has nan of anything else.
cdef inline number logarithm(number x) noexcept nogil:
    if number is double:
        return log(x)
    else:
        return batch_log(x)

cdef inline number reciprocal(number x) noexcept nogil:
    if number is double:
        return 1.0 / x
    else:
        return batch_reciprocal(x)
