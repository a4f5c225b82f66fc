from libc.stdint cimport uint64_t

cdef void dirichlet(uint64_t* rng, double alpha, int n, float* out) noexcept nogil
cdef double gumbel_noise(uint64_t* rng) noexcept nogil
