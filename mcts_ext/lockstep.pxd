"""Steps of many searches, a leaf or a few of each, in batches. A group is the rows of one leaf: one row, or one for
each symmetry if their answers are averaged."""
from libc.stdint cimport uint8_t, uint32_t

from mcts_ext.cache cimport Table
from mcts_ext.slot cimport Engine, Slot


cdef enum Evaluator:
    NETWORK
    UNIFORM
    ROLLOUT


cdef struct Batch:
    Engine* engine
    Slot* slots
    int* active                          # [slots that take part]
    # Of each of these, beside each other: read from the slots, which other threads write, they would cost more than
    # all else that a batch needs one thread for.
    uint8_t* going                       # whether its search goes on
    int* waiting                         # leaves that await their evaluation
    int* first_group                     # where they are in the batch
    int rows                             # of a group
    size_t row_floats                    # of one position's planes
    float* planes                        # [groups * rows, row_floats]
    uint8_t* legal                       # [groups * rows, A]
    const float* logits                  # [groups * rows, A]
    const float* values                  # [groups * rows]
    Table* cache                         # may be NULL
    Evaluator evaluator
    uint32_t most                        # simulations of a slot in one call of run_slot
    int* cancelled


cdef int keep_going(Batch* batch, int count) noexcept nogil
cdef int close_holes(Batch* batch, int count) noexcept nogil
cdef int bad_row(const Batch* batch, int count) noexcept nogil
cdef void collect_slot(void* batch, int index) noexcept nogil
cdef void apply_slot(void* batch, int index) noexcept nogil
cdef void run_slot(void* batch, int index) noexcept nogil
cdef void update_active(Slot* slot) noexcept nogil
