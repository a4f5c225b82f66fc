"""Random numbers without the GIL: SplitMix64 (Steele, Lea, Flood 2014), one 64-bit word of state."""
from libc.stdint cimport uint32_t, uint64_t


cdef inline uint64_t mix64(uint64_t z) noexcept nogil:
    """A bijection of 64-bit words that scatters its input; also used to hash positions."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t next_random(uint64_t* rng) noexcept nogil:
    rng[0] += <uint64_t>0x9E3779B97F4A7C15
    return mix64(rng[0])


cdef inline uint32_t random_below(uint64_t* rng, uint32_t n) noexcept nogil:
    """Uniform on 0..n-1 (Lemire's multiply-shift; the bias is below n / 2^32)."""
    return <uint32_t>(((next_random(rng) >> 32) * n) >> 32)


cdef inline double random_unit(uint64_t* rng) noexcept nogil:
    """Uniform on the open interval (0, 1)."""
    return (<double>(next_random(rng) >> 11) + 0.5) * 1.1102230246251565e-16
