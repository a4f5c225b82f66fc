from libc.stdint cimport uint64_t

cdef void dirichlet(uint64_t* rng, float* alphas, int n) noexcept nogil
cdef double gumbel_noise(uint64_t* rng) noexcept nogil
