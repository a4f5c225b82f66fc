"""Proofs by alpha-beta, see endgame.pyx."""
from libc.stdint cimport int8_t, uint32_t, uint64_t

from mcts_ext.state cimport Rules


cdef struct Entry:
    uint64_t key
    int8_t value
    int8_t bound                         # 0: empty
    unsigned short move                  # tried first next time


cdef struct Prover:
    const Rules* rules
    Entry* table
    uint64_t mask
    unsigned char* states                # one for each ply of a line
    unsigned char* legal                 # [depth, num_actions]
    uint32_t* history                    # [2, num_actions]: how often an action cut a line short
    size_t stride
    int depth
    long long budget                     # moves that may still be tried


cdef bint init_prover(Prover* prover, const Rules* rules, int table_bits) noexcept nogil
cdef void free_prover(Prover* prover) noexcept nogil
cdef void clear_prover(Prover* prover) noexcept nogil
cdef bint prove(Prover* prover, const void* state, long long moves, int* value) noexcept nogil
