"""The contract of a game, as the search sees it: constants and functions that need neither Python nor the GIL.

A state is an opaque block of `state_size` bytes (16-byte aligned). Values are seen by the player to move.
"""
from libc.stdint cimport uint64_t


cdef struct Rules:
    size_t state_size
    int num_actions, rows, cols, planes
    int max_length                       # plies, an upper bound of a game
    void* data                           # the game's own settings (size, komi, ...)
    void (*init)(const Rules*, void* s) noexcept nogil               # the start position, into raw memory
    void (*copy)(const Rules*, void* dst, const void* src) noexcept nogil   # dst is initialised; NULL: plain memory
    void (*destroy)(const Rules*, void* s) noexcept nogil            # NULL: nothing to free
    void (*play)(const Rules*, void* s, int action) noexcept nogil   # the action must be legal
    int (*legal)(const Rules*, const void* s, unsigned char* mask) noexcept nogil   # fills num_actions bytes; the count
    int (*to_move)(const Rules*, const void* s) noexcept nogil       # 0 or 1
    bint (*terminal)(const Rules*, const void* s) noexcept nogil
    float (*outcome)(const Rules*, const void* s) noexcept nogil     # terminal states: +1, 0, -1 for the player to move
    uint64_t (*hash)(const Rules*, const void* s) noexcept nogil     # equal positions, equal hash
    void (*encode)(const Rules*, const void* s, float* planes) noexcept nogil   # [rows, cols, planes], mover's stones first
    float (*playout)(const Rules*, void* s, uint64_t* rng) noexcept nogil   # random moves to the end; result for the
                                                                            # player who was to move at the call
    void (*stones)(const Rules*, const void* s, signed char* points) noexcept nogil   # [rows, cols]: 0 empty, 1 first
                                                                                     # player, 2 second
    # Of games that are counted, NULL elsewhere. Terminal states only:
    float (*score)(const Rules*, const void* s) noexcept nogil       # the margin of the player to move
    void (*ownership)(const Rules*, const void* s, signed char* points) noexcept nogil   # whose each point is, as stones


cdef extern from "string.h" nogil:
    void* memcpy(void* dst, const void* src, size_t n)


cdef inline void copy_state(const Rules* rules, void* dst, const void* src) noexcept nogil:
    """dst, an initialised state, becomes equal to src."""
    cdef size_t word
    if rules.copy != NULL:
        rules.copy(rules, dst, src)
    elif rules.state_size <= 64 and rules.state_size & 7 == 0:
        for word in range(rules.state_size >> 3):        # small states inline: cheaper than a call of memcpy
            (<uint64_t*>dst)[word] = (<const uint64_t*>src)[word]
    else:
        memcpy(dst, src, rules.state_size)


cdef class Game:
    cdef Rules rules
    cdef readonly str name
    cdef readonly str geometry           # "points" | "cells" | "hex" | "drop": how a board of it is drawn
    cdef public dict settings            # what `make` was given that is not the default
    cdef readonly list symmetries        # of (action permutation int32 [A], point permutation int32 [rows * cols])

    cdef int raise_error(self) except -1


cdef class State:
    cdef readonly Game game
    cdef void* blob
