"""An evaluation cache: what the network said about positions, shared by the slots, threads and games of a program."""
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from mcts_ext.pool cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock)
from mcts_ext.rng cimport mix64
from mcts_ext.state cimport Game
from mcts_ext.tree cimport pack_prior, unpack_prior


cdef struct Entry:
    uint64_t key                         # 0: empty
    float value
    uint16_t priors[1]                   # [A]; packed as in the tree, so that a hit changes no search


cdef uint64_t _absorb(uint64_t key, const char* data, size_t size) noexcept nogil:
    """Mixes `size` bytes into a key: four lanes of multiply and rotate, as xxHash has them, for data that is long."""
    cdef uint64_t[4] lanes = [key, key + 1, key + 2, key + 3]
    cdef uint64_t[4] words
    cdef size_t done = 0
    cdef int k
    while done < size:
        words[0] = words[1] = words[2] = words[3] = 0
        memcpy(words, data + done, min(sizeof(words), size - done))
        for k in range(4):
            lanes[k] += words[k] * <uint64_t>0x9E3779B97F4A7C15
            lanes[k] = (lanes[k] << 31 | lanes[k] >> 33) * <uint64_t>0xBF58476D1CE4E5B9
        done += sizeof(words)
    return mix64(lanes[0] ^ mix64(lanes[1] ^ mix64(lanes[2] ^ mix64(lanes[3]))))


cdef uint64_t view_key(const float* planes, size_t floats, const uint8_t* legal, size_t actions) noexcept nogil:
    """What an evaluator sees of a position, in 64 bits: so history counts exactly where the planes show it."""
    return _absorb(_absorb(1, <const char*>planes, floats * sizeof(float)), <const char*>legal, actions)


cdef inline Entry* _entry(const Table* table, uint64_t index) noexcept nogil:
    return <Entry*>(table.memory + index * table.stride)


cdef bint look_up(Table* table, uint64_t key, float* priors, float* value) noexcept nogil:
    """priors: [A], filled on a hit."""
    cdef Entry* entry = _entry(table, key % <uint64_t>table.entries)
    cdef int action
    cdef bint found
    pthread_mutex_lock(&table.mutex)
    found = entry.key == key and key != 0
    if found:
        table.hits += 1
        value[0] = entry.value
        for action in range(table.num_actions):
            priors[action] = unpack_prior(entry.priors[action])
    else:
        table.misses += 1
    pthread_mutex_unlock(&table.mutex)
    return found


cdef void store(Table* table, uint64_t key, const float* priors, float value) noexcept nogil:
    cdef Entry* entry = _entry(table, key % <uint64_t>table.entries)
    cdef int action
    pthread_mutex_lock(&table.mutex)
    entry.key = key
    entry.value = value
    for action in range(table.num_actions):
        entry.priors[action] = pack_prior(priors[action])
    pthread_mutex_unlock(&table.mutex)


cdef class EvaluationCache:
    """Room for `entries` positions of `game`; a new one takes the place of an old one with the same place.

    Give the same cache to several searches to share it. It belongs to one network: `clear` it when the weights change.
    Positions are told apart by 64 bits of their planes and legal actions: all that the evaluator sees, history too.
    """

    def __cinit__(self, Game game not None, Py_ssize_t entries):
        if entries < 1:
            raise ValueError(f"entries = {entries}: must be 1 or more")
        self.table.num_actions = game.num_actions
        self.table.entries = entries
        self.table.stride = (sizeof(Entry) + game.num_actions * sizeof(uint16_t) + 7) & ~<size_t>7
        self.table.memory = <char*>calloc(entries, self.table.stride)
        if self.table.memory == NULL:
            raise MemoryError(f"no memory for a cache of {entries} entries of {self.table.stride} bytes")
        pthread_mutex_init(&self.table.mutex, NULL)

    def __dealloc__(self):
        if self.table.memory != NULL:
            pthread_mutex_destroy(&self.table.mutex)
            free(self.table.memory)

    @property
    def entries(self):
        return self.table.entries

    @property
    def num_actions(self):
        return self.table.num_actions

    @property
    def hits(self):
        return self.table.hits

    @property
    def misses(self):
        return self.table.misses

    def clear(self):
        """Forgets everything: the network changed."""
        cdef Py_ssize_t i
        with nogil:
            pthread_mutex_lock(&self.table.mutex)
            for i in range(self.table.entries):
                _entry(&self.table, i).key = 0
            self.table.hits = self.table.misses = 0
            pthread_mutex_unlock(&self.table.mutex)
