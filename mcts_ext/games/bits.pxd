"""Sets of bits in a machine word, and in 128 bits for the boards that need more."""
from libc.stdint cimport uint64_t

from mcts_ext.rng cimport random_below


cdef extern from *:
    """
    typedef unsigned __int128 uint128_t;

    static inline int popcount64(uint64_t x) {
    #ifdef __POPCNT__
        return __builtin_popcountll(x);
    #else
        x -= (x >> 1) & 0x5555555555555555u;
        x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
        return (int)((((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u) >> 56);
    #endif
    }
    #define low64(x) ((uint64_t)(x))
    #define high64(x) ((uint64_t)((uint128_t)(x) >> 64))
    """
    ctypedef long long uint128_t         # for Cython a type of its own, for C the one above
    int popcount64(uint64_t) noexcept nogil
    int lowest_bit "__builtin_ctzll"(uint64_t) noexcept nogil        # of a word that is not 0
    uint64_t low64(uint128_t) noexcept nogil
    uint64_t high64(uint128_t) noexcept nogil


ctypedef fused Bits:
    uint64_t
    uint128_t


cdef inline int count_bits(Bits bits) noexcept nogil:
    if Bits is uint64_t:
        return popcount64(bits)
    else:
        return popcount64(low64(bits)) + popcount64(high64(bits))


cdef inline int first_bit(Bits bits) noexcept nogil:
    """The lowest bit of a set that is not empty."""
    if Bits is uint64_t:
        return lowest_bit(bits)
    else:
        return lowest_bit(low64(bits)) if low64(bits) else 64 + lowest_bit(high64(bits))


cdef inline int random_bit(Bits bits, uint64_t* rng) noexcept nogil:
    """A bit of a set that is not empty, each as likely."""
    cdef int nth
    for nth in range(<int>random_below(rng, count_bits[Bits](bits))):
        bits &= bits - 1
    return first_bit[Bits](bits)
