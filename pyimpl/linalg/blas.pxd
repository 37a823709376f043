cimport cython

ctypedef void (*gemm_t)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*symm_t)(char*, char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*trsm_t)(char*, char*, char*, char*, int*, int*, double*, double*, int*, double*, int*) noexcept nogil
ctypedef void (*potrf_t)(char*, int*, double*, int*, int*) noexcept nogil

cdef gemm_t _dgemm
cdef symm_t _dsymm
cdef trsm_t _dtrsm
cdef potrf_t _dpotrf
cdef potrf_t _dpotri

cdef struct Matrix:
    double* at
    int rows
    int cols
    int stride

cdef Matrix matrix(double* at, int rows, int cols, int stride) noexcept
cdef int gemm(bint ta, bint tb, double alpha, Matrix a, Matrix b, double beta, Matrix c) except -1
cdef int symm(double alpha, Matrix a, Matrix b, double beta, Matrix c) except -1
cdef int trsm(bint right, bint transposed, Matrix factor, Matrix b) except -1
cdef int potrf(int n, double* a, int lda) except -1
cdef int potri(int n, double* a, int lda) except -1
