"""One simulation of one tree: select, expand, evaluate, backup, each a function without the GIL."""
from mcts_ext.slot cimport Engine, Leaf, Slot


cdef enum Selected:
    NEEDS_EVALUATION
    VALUE_KNOWN                          # terminal, solved, transposed, or the tree is full
    BLOCKED                              # the path ends at a node whose evaluation is under way


cdef bint begin(Engine* engine, Slot* slot) noexcept nogil
cdef Selected select_leaf(Engine* engine, Slot* slot, Leaf* leaf, bint grow_uniform) noexcept nogil
cdef void softmax_legal(const float* logits, const unsigned char* legal, int n, float* priors) noexcept nogil
cdef void expand(Engine* engine, Slot* slot, Leaf* leaf, const unsigned char* legal, const float* priors) noexcept nogil
cdef void expand_root(Engine* engine, Slot* slot) noexcept nogil
cdef void finish(Engine* engine, Slot* slot, Leaf* leaf, float value) noexcept nogil
