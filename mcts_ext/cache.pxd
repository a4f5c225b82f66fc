from libc.stdint cimport uint8_t, uint64_t

from mcts_ext.pool cimport pthread_mutex_t


cdef struct Table:
    int num_actions
    Py_ssize_t entries
    size_t stride                        # bytes of an entry
    char* memory
    unsigned long long hits, misses
    pthread_mutex_t mutex


cdef uint64_t view_key(const float* planes, size_t floats, const uint8_t* legal, size_t actions) noexcept nogil
cdef bint look_up(Table* table, uint64_t key, float* priors, float* value) noexcept nogil
cdef void store(Table* table, uint64_t key, const float* priors, float value) noexcept nogil


cdef class EvaluationCache:
    cdef Table table
