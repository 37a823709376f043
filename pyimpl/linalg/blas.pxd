cimport cython

ctypedef void (*gemm_t)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*syrk_t)(char*, char*, int*, int*, double*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*symm_t)(char*, char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*trsm_t)(char*, char*, char*, char*, int*, int*, double*, double*, int*, double*, int*) noexcept nogil
ctypedef void (*potrf_t)(char*, int*, double*, int*, int*) noexcept nogil

cdef gemm_t _dgemm
cdef syrk_t _dsyrk
cdef symm_t _dsymm
cdef trsm_t _dtrsm
cdef potrf_t _dpotrf
cdef potrf_t _dpotri

cdef void gemm(bint ta, bint tb, int m, int n, int k, double alpha, double* a, int lda, double* b, int ldb, double beta, double* c, int ldc) noexcept
cdef void syrk(bint transposed, int n, int k, double alpha, double* a, int lda, double beta, double* c, int ldc) noexcept
cdef void symm(int m, int n, double alpha, double* a, int lda, double* b, int ldb, double beta, double* c, int ldc) noexcept
cdef void trsm(bint right, bint transposed, int m, int n, double* a, int lda, double* b, int ldb) noexcept
cdef bint potrf(int n, double* a, int lda) noexcept
cdef void potri(int n, double* a, int lda) noexcept
